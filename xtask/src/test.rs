//! `cargo xtask test`: every test there is, their results as JUnit XML, and a list of what was left out.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::failure::Failure;
use crate::junit;
use crate::libtest;
use crate::machine::Machine;
use crate::options::Options;
use crate::program;
use crate::reader;
use crate::suite::{self, Case, Counts, Outcome, Runner, Suite, TIME_LIMIT};
use crate::workspace::Workspace;

pub(crate) fn run(mut options: Options) -> Result<(), Failure> {
    let mut packages = options.values("-p")?;
    packages.extend(options.values("--package")?);
    options.finish()?;
    let workspace = Workspace::load()?;
    let results = workspace.target.join("test-results");
    let logs = results.join("logs");
    suite::fresh_folder(&results)?;
    suite::fresh_folder(&logs)?;
    let mut machine = Machine::inspect(&workspace.root, false);

    let built = suite::build(&workspace, program::cargo().arg("test").args(selection(&packages)))?;
    let mut suites = Vec::new();
    let mut add = |suite: Suite| {
        suite.print();
        suites.push(suite);
    };
    let mut runner = Runner { logs: logs.clone(), environment: Vec::new(), machine: &mut machine };
    for binary in &built.tests {
        add(runner.run(binary)?);
    }
    if let Some(suite) = doc_tests(&workspace, &packages, &logs.join("doc.log"))? {
        add(suite);
    }
    if packages.is_empty()
        && let Some(suite) = reader::run(&workspace, &mut machine, &built.programs, &logs.join("reader.log"))?
    {
        add(suite);
    }

    let path = results.join("junit.xml");
    fs::write(&path, junit::document(&suites)).map_err(|source| Failure::Io { path: path.clone(), source })?;
    conclude(&suites, &path)
}

/// Which crates to test. All features, so that no test is left out for the lack of one.
fn selection(packages: &[String]) -> Vec<String> {
    let mut selection = vec!["--all-features".to_owned()];
    if packages.is_empty() {
        selection.push("--workspace".to_owned());
    }
    selection.extend(packages.iter().map(|package| format!("--package={package}")));
    selection
}

/// The examples in READMEs and documentation.
fn doc_tests(workspace: &Workspace, packages: &[String], log: &Path) -> Result<Option<Suite>, Failure> {
    let libraries = workspace.crates.iter().filter(|member| member.has_library).map(|member| member.name.clone());
    let libraries: Vec<String> = libraries.filter(|name| packages.is_empty() || packages.contains(name)).collect();
    if libraries.is_empty() {
        return Ok(None);
    }
    let started = Instant::now();
    let mut cargo = program::cargo();
    // The same selection as before if it was the whole workspace, so that nothing is built twice.
    cargo.args(["test", "--doc", "--no-fail-fast"]).current_dir(&workspace.root);
    cargo.args(selection(if packages.is_empty() { packages } else { &libraries }));
    let ended = program::logged(&mut cargo, log, TIME_LIMIT)?;
    let output = program::read_lossy(log)?;
    let mut cases = libtest::doc_results(&output);
    if !ended.is_success() && cases.iter().all(|case| !matches!(case.outcome, Outcome::Failed { .. })) {
        let outcome = Outcome::Failed { output: format!("ended with {ended}\n{output}") };
        cases.push(Case { name: "cargo test --doc".to_owned(), outcome });
    }
    Ok(Some(Suite { name: "documentation examples".to_owned(), time: started.elapsed(), cases }))
}

/// Says what was left out, then the sums as the last line.
fn conclude(suites: &[Suite], path: &Path) -> Result<(), Failure> {
    let counts = total(suites);
    for suite in suites {
        for case in &suite.cases {
            if let Outcome::LeftOut { reason } = &case.outcome {
                println!("left out: {}: {} ({reason})", suite.name, case.name);
            }
        }
    }
    println!("results: {}", path.display());
    println!("{}", sums(counts));
    match counts {
        Counts { failed: 1.., .. } => Err(Failure::Found { task: "failed tests", faults: counts.failed }),
        Counts { passed: 0, .. } => Err(Failure::NothingRan("test")),
        _ => Ok(()),
    }
}

fn total(suites: &[Suite]) -> Counts {
    suites.iter().map(Suite::counts).fold(Counts::default(), |sum, one| Counts {
        passed: sum.passed + one.passed,
        failed: sum.failed + one.failed,
        left_out: sum.left_out + one.left_out,
    })
}

fn sums(Counts { passed, failed, left_out }: Counts) -> String {
    let skipped = if left_out > 0 { format!(", {left_out} skipped") } else { String::new() };
    format!("{passed} passed, {failed} failed{skipped}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn suite(outcomes: Vec<Outcome>) -> Suite {
        let cases = outcomes.into_iter().map(|outcome| Case { name: "t".to_owned(), outcome }).collect();
        Suite { name: "s".to_owned(), time: Duration::ZERO, cases }
    }

    #[test]
    fn the_last_line_sums_up_all_suites() {
        let left_out = Outcome::LeftOut { reason: "needs the corpus".to_owned() };
        let suites = [suite(vec![Outcome::Passed, Outcome::Passed]), suite(vec![Outcome::Passed, left_out])];
        assert_eq!(sums(total(&suites)), "3 passed, 0 failed, 1 skipped");
        assert_eq!(sums(total(&suites[..1])), "2 passed, 0 failed");
        assert!(conclude(&suites, Path::new("junit.xml")).is_ok());
    }

    #[test]
    fn failures_and_empty_runs_fail() {
        let failed = Outcome::Failed { output: String::new() };
        assert!(conclude(&[suite(vec![Outcome::Passed, failed])], Path::new("junit.xml")).is_err());
        assert!(conclude(&[], Path::new("junit.xml")).is_err());
    }

    #[test]
    fn the_whole_workspace_is_tested_unless_crates_are_named() {
        assert_eq!(selection(&[]), ["--all-features", "--workspace"]);
        assert_eq!(selection(&["sb-chunk".to_owned()]), ["--all-features", "--package=sb-chunk"]);
    }
}
