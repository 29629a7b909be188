//! A firm, a vault and a machine for each test, and the program as people run it.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Types of packs (docs/format.md §2).
pub(crate) const CONTENT_PACK: u8 = 6;
pub(crate) const META_PACK: u8 = 7;

pub(crate) struct World {
    _temp: tempfile::TempDir,
    pub(crate) root: PathBuf,
}

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl World {
    /// A firm, and no vault yet.
    pub(crate) fn bare() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("firm/miller/2025")).unwrap();
        fs::create_dir_all(root.join("home")).unwrap();
        fs::write(root.join("firm/miller/2025/ledger.csv"), "date;amount\n".repeat(1000)).unwrap();
        fs::write(root.join("firm/note.txt"), "remember").unwrap();
        std::os::unix::fs::symlink("note.txt", root.join("firm/link")).unwrap();
        Self { _temp: temp, root }
    }

    /// With a vault that a key file opens.
    pub(crate) fn new() -> Self {
        let world = Self::bare();
        world.ok(&["init", "--quiet"]);
        world
    }

    /// With a snapshot of the firm.
    pub(crate) fn backed_up() -> Self {
        let world = Self::new();
        world.ok(&["backup", "firm"]);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// `latest:` and an absolute path.
    pub(crate) fn at(&self, name: &str) -> String {
        format!("latest:{}", self.path(name).display())
    }

    /// The program with this world's settings and no others.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.wrapped(&[], arguments)
    }

    /// The same, started by another program.
    pub(crate) fn wrapped(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let words: Vec<OsString> = wrapper
            .iter()
            .map(OsString::from)
            .chain([OsString::from(env!("CARGO_BIN_EXE_sb"))])
            .chain(arguments.iter().map(OsString::from))
            .collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&self.root).stdin(Stdio::null()).env_clear();
        for kept in ["PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        if !wrapper.is_empty() {
            // Another user may not write where coverage is counted.
            command.env("LLVM_PROFILE_FILE", self.path("other-user-%p.profraw"));
        }
        command
            .env("HOME", self.path("home"))
            .env("TZ", "UTC")
            .env("SB_VAULT", self.path("vault"))
            .env("SB_KEY_FILE", self.path("sb.key"))
            .env("SB_STATE_DIR", self.path("state"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    /// Runs what must succeed, and gives its output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "sb {arguments:?}: {ran:?}");
        ran.out
    }

    /// Runs what must fail like this and print nothing else.
    pub(crate) fn fails(&self, arguments: &[&str], code: i32, message: &str) {
        let ran = self.run(arguments);
        let message = message.replace("ROOT", &self.root.display().to_string());
        assert_eq!((ran.code, ran.err.trim_end()), (code, message.as_str()), "sb {arguments:?}");
    }

    /// The packs of content, the smallest first.
    pub(crate) fn content_packs(&self) -> Vec<PathBuf> {
        self.packs(CONTENT_PACK)
    }

    /// The packs of one type, the smallest first.
    pub(crate) fn packs(&self, object_type: u8) -> Vec<PathBuf> {
        let mut packs = Vec::new();
        for folder in fs::read_dir(self.path("vault/packs")).unwrap() {
            for entry in fs::read_dir(folder.unwrap().path()).unwrap() {
                let path = entry.unwrap().path();
                let bytes = fs::read(&path).unwrap();
                if bytes[4] == object_type {
                    packs.push((bytes.len(), path));
                }
            }
        }
        packs.sort();
        packs.into_iter().map(|(_, path)| path).collect()
    }
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let output: Output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Each line as JSON.
pub(crate) fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Those of one type.
pub(crate) fn of_type<'a>(messages: &'a [Value], message_type: &str) -> Vec<&'a Value> {
    messages.iter().filter(|message| message["message_type"] == message_type).collect()
}

/// Changes one byte of a file, as a failing disk would.
pub(crate) fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Runs a command as a user whom `chmod` keeps out: as nobody, if we are root.
pub(crate) const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

pub(crate) fn sh(folder: &Path, script: impl AsRef<OsStr>) -> Ran {
    ran(Command::new("sh").arg("-c").arg(script).current_dir(folder))
}

/// Runs the program at a terminal, types a line at each question, and gives what could be seen.
pub(crate) fn at_terminal(world: &World, arguments: &str, lines: &[&str]) -> String {
    let mut command = world.command(&[]);
    let environment: Vec<_> =
        command.get_envs().map(|(k, v)| (k.to_owned(), v.unwrap_or_default().to_owned())).collect();
    command = Command::new("script");
    // The trap lets the shell outlive a ^C meant for the program.
    let program = format!("trap : INT; {} {arguments}; echo code $?; stty -a", env!("CARGO_BIN_EXE_sb"));
    command.args(["-qec", &program, "/dev/null"]).envs(environment).env_remove("SB_KEY_FILE");
    command.env("TERM", "xterm").env("SHELL", "/bin/sh");
    let mut child = command.current_dir(&world.root).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut typing = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    for line in lines {
        let before = seen.len();
        while seen.len() == before || !seen.ends_with(b": ") || seen.ends_with(b"sb: ") {
            let mut byte = [0];
            assert_eq!(screen.read(&mut byte).unwrap(), 1, "no question: {}", String::from_utf8_lossy(&seen));
            seen.push(byte[0]);
        }
        typing.write_all(line.as_bytes()).unwrap();
    }
    screen.read_to_end(&mut seen).unwrap();
    drop(typing);
    child.wait().unwrap();
    String::from_utf8(seen).unwrap().replace("\r\n", "\n")
}
