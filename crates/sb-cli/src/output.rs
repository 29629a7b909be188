//! What is printed: results and JSON Lines on standard output, warnings and errors on standard error. Names from a storage may
//! be in any of it, so nothing for people gets by here with control characters.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64ct::{Base64, Encoding};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::text::{harmless, harmless_line, shown, without_codes};

/// Where everything that a command prints goes through.
#[derive(Debug)]
pub(crate) struct Output {
    /// JSON Lines instead of text.
    pub(crate) json: bool,
    /// Results and trouble only.
    pub(crate) quiet: bool,
    /// How much more to say.
    pub(crate) verbose: u8,
    /// What the command is called.
    command: String,
    stdout: Mutex<BufWriter<Stdout>>,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool, verbose: u8) -> Self {
        let stdout = Mutex::new(BufWriter::with_capacity(64 << 10, io::stdout()));
        Self { json, quiet, verbose, command: String::new(), stdout }
    }

    /// The same for the command of this name, which stands in its summary.
    pub(crate) fn of(self, command: String) -> Self {
        Self { command, ..self }
    }

    /// Whether names must be made safe to look at.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// A line for people, left out by `--quiet`.
    pub(crate) fn say(&self, line: &str) -> Result<(), Failure> {
        if self.json || self.quiet { Ok(()) } else { self.line(line) }
    }

    /// A line of the result, for people.
    pub(crate) fn result(&self, line: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { self.line(line) }
    }

    /// A JSON object for programs; `fields` is an object.
    pub(crate) fn event(&self, message_type: &str, fields: Value) -> io::Result<()> {
        if !self.json {
            return Ok(());
        }
        let mut message = typed(message_type, fields);
        if message_type == "summary" {
            message["command"] = self.command.as_str().into();
        }
        let mut out = self.locked();
        writeln!(out, "{message}")?;
        // A program that reads along sees each as it comes; the many entries of a listing are worth a buffer.
        if matches!(message_type, "entry" | "match" | "change") { Ok(()) } else { out.flush() }
    }

    /// Raw bytes of the result.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        self.locked().write_all(bytes)
    }

    /// Writes what is buffered.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.locked().flush()
    }

    /// Something that somebody should know.
    pub(crate) fn warn(&self, text: &str) {
        // What was printed before comes before it on a terminal, too.
        let _ = self.flush();
        let line = if self.json {
            typed("warning", json!({ "message": text })).to_string()
        } else {
            format!("sb: {}", harmless_line(&without_codes(text)))
        };
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Why the command was not done, in one paragraph.
    pub(crate) fn failure(&self, failure: &Failure) {
        let _ = self.flush();
        let Failure::Told { exit, message, hint } = failure else { return };
        let line = if self.json {
            typed("error", json!({ "code": *exit as u8, "message": message, "hint": hint })).to_string()
        } else {
            let text = hint.as_ref().map_or_else(|| message.clone(), |hint| format!("{message}. {hint}."));
            format!("sb: {}", harmless_line(&without_codes(&text)))
        };
        let _ = writeln!(io::stderr(), "{line}");
    }

    fn line(&self, line: &str) -> Result<(), Failure> {
        let mut out = self.locked();
        writeln!(out, "{}", harmless(line))?;
        Ok(out.flush()?)
    }

    fn locked(&self) -> MutexGuard<'_, BufWriter<Stdout>> {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn typed(message_type: &str, fields: Value) -> Value {
    let mut object = Map::from_iter([("message_type".to_owned(), message_type.into())]);
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    Value::Object(object)
}

/// `fields` with a path: as text, and where it is not UTF-8 escaped in the text and in base64 besides.
pub(crate) fn with_path(mut fields: Value, key: &str, path: &[u8]) -> Value {
    if let Ok(text) = std::str::from_utf8(path) {
        fields[key] = text.into();
    } else {
        fields[key] = shown(path).into();
        fields[format!("{key}_base64")] = Base64::encode_string(path).into();
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_text_or_text_and_base64() {
        assert_eq!(with_path(json!({}), "path", b"/a\\b"), json!({ "path": "/a\\b" }));
        let odd = json!({ "n": 1, "path": "/b\\xfcro", "path_base64": "L2L8cm8=" });
        assert_eq!(with_path(json!({ "n": 1 }), "path", b"/b\xfcro"), odd);
    }

    #[test]
    fn the_type_comes_with_the_fields() {
        assert_eq!(typed("a", json!({ "b": 1 })), json!({ "message_type": "a", "b": 1 }));
        assert_eq!(typed("a", Value::Null), json!({ "message_type": "a" }));
    }
}
