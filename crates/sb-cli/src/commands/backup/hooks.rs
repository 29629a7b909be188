//! Commands of the user's that run before and after a backup.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};

use crate::failure::Failure;
use crate::output::Output;
use crate::platform;

/// Runs the command that comes before; if it fails, nothing is backed up.
pub(super) fn before(command: Option<&OsStr>) -> Result<(), Failure> {
    let Some(command) = command else { return Ok(()) };
    match shell(command, &[]) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(Failure::new(format!("the command before the backup (`{}`) ended with {status}", command.display()))
                .hint("Nothing has been backed up"))
        }
        Err(error) => {
            Err(Failure::new(format!("cannot run `{}`: {error}", command.display())).hint("Nothing has been backed up"))
        }
    }
}

/// Runs the command that comes after, and tells it how the backup went. What it does changes nothing any more.
pub(super) fn after(command: Option<&OsStr>, output: &Output, status: &str, snapshot: &str) {
    let Some(command) = command else { return };
    match shell(command, &[("SB_STATUS", status), ("SB_SNAPSHOT", snapshot)]) {
        Ok(status) if status.success() => {}
        Ok(status) => {
            let command = command.display();
            output.warn(&format!("warning: the command after the backup (`{command}`) ended with {status}"));
        }
        Err(error) => output.warn(&format!("warning: cannot run `{}`: {error}", command.display())),
    }
}

fn shell(command: &OsStr, variables: &[(&str, &str)]) -> std::io::Result<ExitStatus> {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    // What it prints goes where our messages go: the output may be read by a program.
    let stdout = Stdio::from(std::io::stderr());
    // What comes in is the backup's.
    let stdin = Stdio::null();
    let variables = variables.iter().copied();
    platform::command(shell).arg(flag).arg(command).envs(variables).stdin(stdin).stdout(stdout).status()
}
