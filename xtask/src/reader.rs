//! The independent reader of vaults in `tests/reader`, written in Python from the format's description alone.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::program::{self, Ended};
use crate::suite::{Case, Outcome, Suite, TIME_LIMIT};
use crate::workspace::Workspace;

const SCRIPT: &str = "tests/reader/test_reader.py";
const REQUIREMENTS: [&str; 3] = ["cryptography==50.0.2", "zstandard==0.25.0", "cbor2==6.2.1"];

/// Runs the reader's test, counted as one, with the program `sb` in `SB_PROGRAM`: the one among `programs`, or a new
/// build. `None` if there is no such test.
pub(crate) fn run(
    workspace: &Workspace,
    machine: &mut Machine,
    programs: &[PathBuf],
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
            command.env("SB_PROGRAM", program_sb(workspace, programs)?);
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

/// Cargo builds `sb` along with the tests if any test of its crate runs it.
fn program_sb(workspace: &Workspace, programs: &[PathBuf]) -> Result<PathBuf, Failure> {
    let name = format!("sb{EXE_SUFFIX}");
    if let Some(built) = programs.iter().find(|file| file.ends_with(&name)) {
        return Ok(built.clone());
    }
    let build = ["build", "--workspace", "--all-features", "--bin=sb"];
    program::run(program::cargo().args(build).current_dir(&workspace.root))?;
    Ok(workspace.target.join("debug").join(name))
}

/// The Python of an environment with the reader's requirements, made if need be; `None` if it can't be made here.
fn environment(folder: &Path, machine: &mut Machine, log: &Path) -> Result<Option<PathBuf>, Failure> {
    let python = folder.join("bin/python");
    let stamp = folder.join("requirements");
    let wanted = REQUIREMENTS.join("\n");
    if is_usable(&python, &stamp, &wanted) {
        return Ok(Some(python));
    }
    let make = || {
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(folder);
        program::logged(&mut command, log, TIME_LIMIT).is_ok_and(Ended::is_success)
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

/// Whether the environment has what is wanted, and the Python that it was made with is still there to be linked to.
fn is_usable(python: &Path, stamp: &Path, wanted: &str) -> bool {
    python.is_file() && fs::read_to_string(stamp).is_ok_and(|made| made == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(test: &str) -> Workspace {
        let root = std::env::temp_dir().join(format!("xtask-reader-{test}-{}", std::process::id()));
        crate::suite::fresh_folder(&root.join("tests/reader")).unwrap();
        Workspace { target: root.join("target"), root, crates: Vec::new() }
    }

    /// Runs `script` as the reader's test with `sh` for Python.
    fn run_script(test: &str, script: &str) -> Option<Outcome> {
        let workspace = workspace(test);
        let root = &workspace.root;
        let bin = workspace.target.join("reader-venv/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(workspace.target.join("reader-venv/requirements"), REQUIREMENTS.join("\n")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", bin.join("python")).unwrap();
        fs::write(root.join(SCRIPT), script).unwrap();
        let programs = [root.join("sb")];
        let mut machine = Machine::inspect(root, false);
        let suite = run(&workspace, &mut machine, &programs, &root.join("reader.log")).unwrap();
        fs::remove_dir_all(root).unwrap();
        suite?.cases.pop().map(|case| case.outcome)
    }

    #[test]
    fn the_reader_gets_the_program_and_its_output_is_kept() {
        assert_eq!(run_script("good", "test -n \"$SB_PROGRAM\""), Some(Outcome::Passed));
        let Some(Outcome::Failed { output }) = run_script("bad", "echo torn segment; exit 1") else {
            panic!("it fails")
        };
        assert!(output.contains("torn segment"));
    }

    #[test]
    fn an_environment_whose_python_is_gone_is_made_anew() {
        let workspace = workspace("gone");
        let (python, stamp) = (workspace.root.join("python"), workspace.root.join("requirements"));
        fs::write(&stamp, "a").unwrap();
        std::os::unix::fs::symlink(workspace.root.join("upgraded-away"), &python).unwrap();
        assert!(!is_usable(&python, &stamp, "a"));
        fs::write(workspace.root.join("upgraded-away"), "").unwrap();
        assert!(is_usable(&python, &stamp, "a") && !is_usable(&python, &stamp, "b"));
        fs::remove_dir_all(&workspace.root).unwrap();
    }

    #[test]
    fn without_a_reader_nothing_runs() {
        let workspace = workspace("none");
        let mut machine = Machine::inspect(&workspace.root, false);
        assert!(run(&workspace, &mut machine, &[], &workspace.root.join("log")).unwrap().is_none());
        fs::remove_dir_all(&workspace.root).unwrap();
    }
}
