//! `sb log export`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sb_core::LoggedEntry;
use sb_core::audit::Json;
use serde_json::json;

use super::show::{Span, described, outcome};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::count;

/// Export the audit logs for another program
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb log export --format csv -o log.csv
  sb log export --format jsonl --since 2026-01-01 | jq .operation

CSV (RFC 4180) begins with TIMESTAMP,OPERATION,USER,STATUS. A name that a spreadsheet might take for a formula has an apostrophe before it.")]
pub(crate) struct ExportArgs {
    /// As what
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Where to; without it to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    span: Span,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A table, one line a record
    Csv,
    /// JSON Lines
    Jsonl,
}

const HEADING: &str = "TIMESTAMP,OPERATION,USER,STATUS,OBJECT,SOURCE,USER_ID,LOG,NUMBER,INTENT,DATA\r\n";

pub(super) fn run(args: &ExportArgs, context: &Context) -> Result<Exit, Failure> {
    let session = context.open()?;
    let mut report = context.listen(|progress| session.read_log(progress))?;
    args.span.apply(&mut report)?;
    let mut lines = String::new();
    if matches!(args.format, Format::Csv) {
        lines.push_str(HEADING);
    }
    for logged in &report.entries {
        match args.format {
            Format::Csv => lines.push_str(&row(logged, &report.names)),
            Format::Jsonl => lines.push_str(&format!("{}\n", described(logged, &report.names))),
        }
    }
    let output = &context.output;
    match &args.output {
        None => output.bytes(lines.as_bytes())?,
        Some(path) => {
            let failed = |error| Failure::file("write", path, &error);
            let mut file = BufWriter::new(File::create(path).map_err(failed)?);
            file.write_all(lines.as_bytes()).and_then(|()| file.flush()).map_err(failed)?;
            output.say(&format!("wrote {} to {}", count(report.entries.len() as u64, "record"), path.display()))?;
            output.event("summary", json!({ "records": report.entries.len(), "file": path.display().to_string() }))?;
        }
    }
    let is_damaged = report.findings.iter().any(sb_core::repo::LogFinding::is_damage);
    if is_damaged {
        output.warn("warning: the logs are damaged; `sb log verify` names what is wrong");
    }
    Ok(if is_damaged { Exit::Damaged } else { Exit::Done })
}

fn row(logged: &LoggedEntry, names: &BTreeMap<String, String>) -> String {
    let event = &logged.entry.event;
    let user = event.actor.as_str();
    let fields = [
        event.time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        event.action.to_string(),
        names.get(user).map_or(user, String::as_str).to_owned(),
        outcome(logged),
        event.object.to_string(),
        event.source.to_string(),
        user.to_owned(),
        logged.writer.to_string(),
        logged.entry.seq.to_string(),
        event.intent.map_or_else(String::new, |intent| intent.to_string()),
        Json::Object(event.data.clone()).to_string(),
    ];
    fields.map(|field| quoted(&field)).join(",") + "\r\n"
}

/// A field of RFC 4180, harmless to spreadsheets.
fn quoted(field: &str) -> String {
    let guard = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    match field.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{guard}{}\"", field.replace('"', "\"\"")),
        false => format!("{guard}{field}"),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn fields_are_quoted_and_no_formulas() {
        let cases = [
            ("a b", "a b"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "'=1+1"),
            ("-2,5", "\"'-2,5\""),
        ];
        for (field, expected) in cases {
            assert_eq!(quoted(field), expected);
        }
    }
}
