//! Running other programs.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// How a program run under a time limit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    With(ExitStatus),
    /// It was killed because the time was up.
    OutOfTime,
}

impl Ended {
    pub(crate) fn is_success(self) -> bool {
        matches!(self, Self::With(status) if status.success())
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::With(status) => write!(f, "{status}"),
            Self::OutOfTime => f.write_str("its time limit"),
        }
    }
}

/// Runs `command` with our own standard streams; anything but success is a failure.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|source| Failure::Start { program: name(command), source })?;
    checked(command, status)
}

/// Runs `command` and returns what it wrote to standard output; anything but success is a failure.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Failure::Start { program: name(command), source })?;
    checked(command, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` for at most `limit`, its output and errors going to the file `log`, which is created.
pub(crate) fn logged(command: &mut Command, log: &Path, limit: Duration) -> Result<Ended, Failure> {
    let io = |source| Failure::Io { path: log.to_owned(), source };
    let file = File::create(log).map_err(io)?;
    command.stdin(Stdio::null()).stdout(file.try_clone().map_err(io)?).stderr(file);
    let mut child = command.spawn().map_err(|source| Failure::Start { program: name(command), source })?;
    wait(&mut child, limit).map_err(|source| Failure::Start { program: name(command), source })
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Ended> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::With(status));
        }
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(Ended::OutOfTime);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The text of the file `path`, with bytes that are not UTF-8 replaced: other programs wrote it.
pub(crate) fn read_lossy(path: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(path).map_err(|source| Failure::Io { path: path.to_owned(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where `program` is on the path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The cargo that started us, so that nested calls use the same toolchain.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn checked(command: &Command, status: ExitStatus) -> Result<(), Failure> {
    if status.success() { Ok(()) } else { Err(Failure::Program { program: name(command), ended: status.to_string() }) }
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    for argument in command.get_args().take(2) {
        name.push(' ');
        name.push_str(&argument.to_string_lossy());
    }
    name
}

/// Makes `path` a shell script, for tests. A shell writes it: were the file open here, another thread's child could
/// inherit it, and then it cannot be started ("text file busy").
#[cfg(test)]
pub(crate) fn write_script(path: &Path, text: &str) {
    let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod +x \"$2\"";
    run(Command::new("sh").args(["-c", write, "sh", text]).arg(path)).expect("a shell can write a file");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(test: &str) -> PathBuf {
        env::temp_dir().join(format!("xtask-{test}-{}", std::process::id()))
    }

    #[test]
    fn output_and_errors_go_to_the_log() {
        let log = log("log");
        let ended =
            logged(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), &log, Duration::MAX).unwrap();
        assert!(!ended.is_success());
        assert_eq!(ended.to_string(), "exit status: 3");
        assert_eq!(read_lossy(&log).unwrap(), "out\nerr\n");
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_program_over_its_time_is_killed() {
        let log = log("limit");
        let ended = logged(Command::new("sleep").arg("1000"), &log, Duration::from_millis(20)).unwrap();
        assert_eq!(ended, Ended::OutOfTime);
        assert!(!ended.is_success());
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn failures_name_the_program() {
        assert_eq!(run(Command::new("false").arg("x")).unwrap_err().to_string(), "`false x` ended with exit status: 1");
        assert!(output(&mut Command::new("/no/such")).unwrap_err().to_string().starts_with("cannot start `such`"));
        assert_eq!(output(Command::new("echo").arg("x")).unwrap(), "x\n");
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
