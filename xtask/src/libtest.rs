//! Reading what libtest, Rust's test harness, prints.
//!
//! Only its stable, human form is used: `test NAME ... ok`, one line per test, then a section for each failure.

use std::collections::HashMap;

use crate::suite::{Case, Outcome};

/// The tests named by `BINARY --list`, or `None` if the binary has another harness.
pub(crate) fn listed(output: &str) -> Option<Vec<String>> {
    let summary = output.lines().rfind(|line| !line.trim().is_empty())?;
    if !summary.ends_with(" benchmarks") && !summary.ends_with(" benchmark") {
        return None;
    }
    Some(output.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// The results of the tests `names` in `output`. What programs started by the tests print may stand in the middle of
/// it, even on the same line. A test that printed no result, because the process died, is missing.
pub(crate) fn results(names: &[String], output: &str) -> Vec<Case> {
    let known = |name: &str| names.iter().any(|known| known == name);
    let line_result = |line: &str| {
        line.match_indices("test ").find_map(|(at, start)| {
            let (name, outcome) = result(&line[at + start.len()..])?;
            known(&name).then_some((name, outcome))
        })
    };
    with_output(output.lines().filter_map(line_result), output)
}

/// The results of examples in documentation, whose names nobody knows before.
pub(crate) fn doc_results(output: &str) -> Vec<Case> {
    with_output(output.lines().filter_map(|line| result(line.strip_prefix("test ")?)), output)
}

/// Name and outcome in `NAME ... OUTCOME`.
fn result(text: &str) -> Option<(String, Outcome)> {
    let (name, outcome) = text.split_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name).to_owned();
    let outcome = if outcome.starts_with("ok") {
        Outcome::Passed
    } else if outcome.starts_with("FAILED") {
        Outcome::Failed { output: String::new() }
    } else {
        let reason = outcome.strip_prefix("ignored")?;
        Outcome::LeftOut { reason: reason.strip_prefix(", ").unwrap_or("no reason given").to_owned() }
    };
    Some((name, outcome))
}

fn with_output(results: impl Iterator<Item = (String, Outcome)>, output: &str) -> Vec<Case> {
    let mut sections = sections(output);
    let mut case = |(name, outcome)| match outcome {
        Outcome::Failed { .. } => {
            let output = sections.remove(&name).unwrap_or_default();
            Case { name, outcome: Outcome::Failed { output } }
        }
        outcome => Case { name, outcome },
    };
    results.map(&mut case).collect()
}

/// What each failed test printed.
fn sections(output: &str) -> HashMap<String, String> {
    let mut sections = HashMap::new();
    let mut current: Option<(String, String)> = None;
    for line in output.lines() {
        let heading = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if heading.is_some() || line == "failures:" || line.starts_with("test result: ") {
            sections.extend(current.take());
            current = heading.map(|name| (name.to_owned(), String::new()));
        } else if let Some((_, text)) = &mut current {
            text.push_str(line);
            text.push('\n');
        }
    }
    sections.extend(current);
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 5 tests
test a ... ok
test c ... ignored, needs the corpus
noise of a child: test d ... ignored
test b::deep ... FAILED
test e - should panic ... ok

failures:

---- b::deep stdout ----
hello

thread 'b' panicked at t.rs:2:36:
bad

failures:
    b::deep

test result: FAILED. 2 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.08s
";

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_list_names_tests_and_tells_a_foreign_harness() {
        assert_eq!(listed("a: test\nb::c: test\nd: benchmark\n\n2 tests, 1 benchmark\n"), Some(names(&["a", "b::c"])));
        assert_eq!(listed("0 tests, 0 benchmarks\n"), Some(Vec::new()));
        assert_eq!(listed("all fine\n"), None);
        assert_eq!(listed(""), None);
    }

    #[test]
    fn every_kind_of_result_is_read() {
        let cases = results(&names(&["a", "b::deep", "c", "d", "e", "lost"]), OUTPUT);
        let shown: Vec<_> = cases.iter().map(|case| (case.name.as_str(), &case.outcome)).collect();
        let left_out = |reason: &str| Outcome::LeftOut { reason: reason.to_owned() };
        let failed = Outcome::Failed { output: "hello\n\nthread 'b' panicked at t.rs:2:36:\nbad\n\n".to_owned() };
        assert_eq!(
            shown,
            [
                ("a", &Outcome::Passed),
                ("c", &left_out("needs the corpus")),
                ("d", &left_out("no reason given")),
                ("b::deep", &failed),
                ("e", &Outcome::Passed),
            ]
        );
    }

    #[test]
    fn a_test_cannot_invent_results_of_tests_that_are_not_there() {
        assert!(results(&names(&["a"]), "test b ... ok\n").is_empty());
    }

    #[test]
    fn names_of_doc_tests_have_spaces() {
        let cases = doc_results("test crates/sb-x/src/../README.md - (line 9) ... ok\n  test y ... ok\n");
        assert_eq!(cases.len(), 1);
        assert_eq!(cases[0].name, "crates/sb-x/src/../README.md - (line 9)");
        assert_eq!(cases[0].outcome, Outcome::Passed);
    }
}
