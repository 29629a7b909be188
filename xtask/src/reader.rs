//! The independent reader of vaults in `tests/reader`, written in Python from the format's description alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::program;
use crate::suite::{Case, Outcome, Suite, TIME_LIMIT};
use crate::workspace::Workspace;

const SCRIPT: &str = "tests/reader/test_reader.py";
const REQUIREMENTS: [&str; 3] = ["cryptography==50.0.2", "zstandard==0.25.0", "cbor2==6.2.1"];

/// Runs the reader's test, counted as one, with the program `sb` in `SB_PROGRAM`. `None` if there is no such test.
pub(crate) fn run(
    workspace: &Workspace,
    machine: &mut Machine,
    sb: Option<&Path>,
    log: &Path,
) -> Result<Option<Suite>, Failure> {
    if !workspace.root.join(SCRIPT).is_file() {
        return Ok(None);
    }
    let started = Instant::now();
    let outcome = match environment(&workspace.target.join("reader-venv"), machine, log)? {
        None => Outcome::LeftOut { reason: "needs python3 with venv, and PyPI".to_owned() },
        Some(python) => {
            let mut command = Command::new(python);
            command.arg(SCRIPT).current_dir(&workspace.root).env("PYTHONDONTWRITEBYTECODE", "1");
            if let Some(sb) = sb {
                command.env("SB_PROGRAM", sb);
            }
            let ended = program::logged(&mut command, log, TIME_LIMIT)?;
            if ended.is_success() {
                Outcome::Passed
            } else {
                Outcome::Failed { output: format!("ended with {ended}\n{}", program::read_lossy(log)?) }
            }
        }
    };
    let cases = vec![Case { name: SCRIPT.to_owned(), outcome }];
    Ok(Some(Suite { name: "independent reader".to_owned(), time: started.elapsed(), cases }))
}

/// The Python of an environment with the reader's requirements, made if need be; `None` if it can't be made here.
fn environment(folder: &Path, machine: &mut Machine, log: &Path) -> Result<Option<PathBuf>, Failure> {
    let python = folder.join("bin/python");
    let stamp = folder.join("requirements");
    let wanted = REQUIREMENTS.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(Some(python));
    }
    let make = || {
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(folder);
        program::logged(&mut command, log, TIME_LIMIT).is_ok_and(program::Ended::is_success)
    };
    let made = make() || (machine.install("python3-venv") && make());
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(REQUIREMENTS);
    if !made || !program::logged(&mut pip, log, TIME_LIMIT)?.is_success() {
        return Ok(None);
    }
    fs::write(&stamp, wanted).map_err(|source| Failure::Io { path: stamp, source })?;
    Ok(Some(python))
}
