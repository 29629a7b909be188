//! Building the workspace's test binaries and running them one after another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::failure::Failure;
use crate::libtest;
use crate::machine::Machine;
use crate::program::{self, Ended};
use crate::workspace::{Workspace, elements, text};

/// A test that hangs must end as a failed test, not as a build server's timeout that says nothing.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The tests of one binary, or the like.
#[derive(Debug)]
pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) time: Duration,
    pub(crate) cases: Vec<Case>,
}

/// One test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
}

/// What became of a test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed { output: String },
    LeftOut { reason: String },
}

/// How many tests had each outcome.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) left_out: usize,
}

impl Suite {
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for case in &self.cases {
            match case.outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Failed { .. } => counts.failed += 1,
                Outcome::LeftOut { .. } => counts.left_out += 1,
            }
        }
        counts
    }

    /// Prints one line, and all there is to know of each failure.
    pub(crate) fn print(&self) {
        let Counts { passed, failed, left_out } = self.counts();
        let verdict = if failed > 0 { "FAILED" } else { "ok" };
        let ran = passed + failed;
        println!("{verdict:>6}  {}: {ran} ran, {left_out} left out, {:.1} s", self.name, self.time.as_secs_f64());
        for case in &self.cases {
            if let Outcome::Failed { output } = &case.outcome {
                println!("---- {}: {}\n{output}", self.name, case.name);
            }
        }
    }
}

/// What cargo built.
#[derive(Debug, Default)]
pub(crate) struct Built {
    pub(crate) tests: Vec<TestBinary>,
    /// The programs of the workspace, such as `sb`.
    pub(crate) programs: Vec<PathBuf>,
}

/// A binary with tests in it.
#[derive(Debug)]
pub(crate) struct TestBinary {
    /// Crate, kind and name, for people.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    crate_name: String,
    /// The folder of its crate, where cargo runs tests too.
    folder: PathBuf,
}

/// Runs `cargo test --no-run`, prepared by the caller, and collects what it built.
pub(crate) fn build(workspace: &Workspace, cargo: &mut Command) -> Result<Built, Failure> {
    cargo.args(["--no-run", "--message-format=json-render-diagnostics"]).current_dir(&workspace.root);
    let mut built = Built::default();
    for line in program::output(cargo)?.lines().filter(|line| line.starts_with('{')) {
        let message: Value =
            serde_json::from_str(line).map_err(|source| Failure::Json { program: "cargo test", source })?;
        let Some(executable) = message["executable"].as_str().map(PathBuf::from) else { continue };
        let owner = workspace.crates.iter().find(|member| member.id == text(&message["package_id"]));
        if let (Some(owner), Some(true)) = (owner, message["profile"]["test"].as_bool()) {
            let kind = elements(&message["target"]["kind"]).map(text).next().unwrap_or_default();
            let name = format!("{} {kind} {}", owner.name, text(&message["target"]["name"]));
            let (crate_name, folder) = (owner.name.clone(), owner.folder.clone());
            built.tests.push(TestBinary { name, path: executable, crate_name, folder });
        } else {
            built.programs.push(executable);
        }
    }
    built.tests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(built)
}

/// Where and how test binaries run.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    /// Takes one log per binary.
    pub(crate) logs: PathBuf,
    /// Set for every binary.
    pub(crate) environment: Vec<(&'static str, PathBuf)>,
    pub(crate) machine: &'a mut Machine,
}

impl Runner<'_> {
    /// Runs the binary's tests; then those ignored for the lack of something this machine has.
    pub(crate) fn run(&mut self, binary: &TestBinary) -> Result<Suite, Failure> {
        let started = Instant::now();
        let log = self.logs.join(format!("{}.log", binary.name.replace([' ', '/'], "-")));
        program::logged(self.command(binary).arg("--list"), &log, TIME_LIMIT)?;
        let mut cases = match libtest::listed(&program::read_lossy(&log)?) {
            Some(names) => self.run_tests(binary, &names, &log)?,
            None => vec![whole(binary, program::logged(&mut self.command(binary), &log, TIME_LIMIT)?, &log)?],
        };
        let possible = |case: &Case| match &case.outcome {
            Outcome::LeftOut { reason } if self.machine.satisfies(reason) => Some(case.name.clone()),
            _ => None,
        };
        let possible: Vec<String> = cases.iter().filter_map(possible).collect();
        if !possible.is_empty() {
            cases.retain(|case| !possible.contains(&case.name));
            let log = log.with_extension("needs.log");
            cases.extend(self.run_tests_with(binary, &["--ignored", "--exact"], &possible, &log)?);
        }
        Ok(Suite { name: binary.name.clone(), time: started.elapsed(), cases })
    }

    fn run_tests(&self, binary: &TestBinary, names: &[String], log: &Path) -> Result<Vec<Case>, Failure> {
        let ended = program::logged(&mut self.command(binary), log, TIME_LIMIT)?;
        Ok(accounted(names, &program::read_lossy(log)?, ended))
    }

    fn run_tests_with(
        &self,
        binary: &TestBinary,
        arguments: &[&str],
        names: &[String],
        log: &Path,
    ) -> Result<Vec<Case>, Failure> {
        let ended = program::logged(self.command(binary).args(arguments).args(names), log, TIME_LIMIT)?;
        Ok(accounted(names, &program::read_lossy(log)?, ended))
    }

    fn command(&self, binary: &TestBinary) -> Command {
        // With a single thread libtest would print a test's name before it runs and its result after.
        let threads = thread::available_parallelism().map_or(2, |threads| threads.get().max(2));
        let mut command = Command::new(&binary.path);
        command
            .current_dir(&binary.folder)
            .env("CARGO_MANIFEST_DIR", &binary.folder)
            .env("CARGO_PKG_NAME", &binary.crate_name)
            .env("RUST_TEST_THREADS", threads.to_string())
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(corpus) = self.machine.corpus() {
            command.env("SB_CORPUS", corpus);
        }
        command
    }
}

/// A case for each of `names`: one without a result failed, and so did a process that ended badly without saying why.
/// The first such case tells the whole story.
fn accounted(names: &[String], output: &str, ended: Ended) -> Vec<Case> {
    let mut cases = libtest::results(names, output);
    let lost = |name: &&String| cases.iter().all(|case| case.name != **name);
    let mut lost: Vec<String> = names.iter().filter(lost).cloned().collect();
    let explained = cases.iter().any(|case| matches!(case.outcome, Outcome::Failed { .. }));
    if lost.is_empty() && !explained && !ended.is_success() {
        lost.push("the test process".to_owned());
    }
    for (at, name) in lost.into_iter().enumerate() {
        let story = if at == 0 { output } else { "" };
        let output = format!("no result: the process ended with {ended}\n{story}");
        cases.push(Case { name, outcome: Outcome::Failed { output } });
    }
    cases
}

/// A binary with a harness of its own counts as one test.
fn whole(binary: &TestBinary, ended: Ended, log: &Path) -> Result<Case, Failure> {
    let outcome = if ended.is_success() {
        Outcome::Passed
    } else {
        Outcome::Failed { output: format!("ended with {ended}\n{}", program::read_lossy(log)?) }
    };
    Ok(Case { name: binary.name.clone(), outcome })
}

/// Makes the folder `path`, and makes it empty.
pub(crate) fn fresh_folder(path: &Path) -> Result<(), Failure> {
    let io = |source| Failure::Io { path: path.to_owned(), source };
    if path.exists() {
        fs::remove_dir_all(path).map_err(io)?;
    }
    fs::create_dir_all(path).map_err(io)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    fn failed(cases: &[Case]) -> Vec<&str> {
        let failed = cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed { .. }));
        failed.map(|case| case.name.as_str()).collect()
    }

    #[test]
    fn a_test_without_a_result_failed() {
        let killed = Ended::With(ExitStatus::from_raw(6));
        let cases = accounted(&names(&["a", "b"]), "test a ... ok\nfatal: stack overflow\n", killed);
        assert_eq!(failed(&cases), ["b"]);
        let Outcome::Failed { output } = &cases[1].outcome else { panic!("b failed") };
        assert!(output.contains("signal: 6") && output.contains("stack overflow"));
    }

    #[test]
    fn a_process_that_ends_badly_after_its_tests_failed() {
        let cases = accounted(&names(&["a"]), "test a ... ok\n", Ended::OutOfTime);
        assert_eq!(failed(&cases), ["the test process"]);
        assert_eq!(failed(&accounted(&names(&["a"]), "test a ... ok\n", Ended::With(ExitStatus::default()))).len(), 0);
    }

    /// A script in the place of a test binary.
    fn script(test: &str, text: &str) -> (PathBuf, TestBinary) {
        let folder = std::env::temp_dir().join(format!("xtask-suite-{test}-{}", std::process::id()));
        fresh_folder(&folder).unwrap();
        let path = folder.join("binary");
        program::write_script(&path, text);
        let binary =
            TestBinary { name: "x lib x".to_owned(), path, crate_name: "x".to_owned(), folder: folder.clone() };
        (folder, binary)
    }

    fn run(test: &str, text: &str) -> Suite {
        let (folder, binary) = script(test, text);
        let mut machine = Machine::inspect(&folder, false);
        let mut runner = Runner { logs: folder.clone(), environment: Vec::new(), machine: &mut machine };
        let suite = runner.run(&binary).unwrap();
        fs::remove_dir_all(folder).unwrap();
        suite
    }

    #[test]
    fn ignored_tests_run_where_their_need_is_met() {
        let suite = run(
            "needs",
            "case \"$1\" in
             --list) printf 'a: test\\nb: test\\nc: test\\n\\n3 tests, 0 benchmarks\\n' ;;
             --ignored) printf 'test b ... ok\\n' ;;
             *) printf 'test a ... ok\\ntest b ... ignored, needs sh\\ntest c ... ignored, needs no-such-program\\n' ;;
             esac",
        );
        assert_eq!(suite.counts(), Counts { passed: 2, failed: 0, left_out: 1 });
        suite.print();
    }

    #[test]
    fn a_foreign_harness_counts_as_one_test() {
        assert_eq!(run("foreign-ok", "exit 0").counts(), Counts { passed: 1, failed: 0, left_out: 0 });
        assert_eq!(run("foreign-bad", "exit 1").counts(), Counts { passed: 0, failed: 1, left_out: 0 });
    }
}
