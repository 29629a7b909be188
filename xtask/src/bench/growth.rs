//! How what a step takes grows with the tree.

use super::results::{Results, Tree};
use super::steps::Step;

/// Trees that differ by less than this say nothing about growth.
const FACTOR_MIN: f64 = 1.5;

/// How the time of a step grew from one tree to a larger one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Growth {
    /// How many times longer it took.
    pub(crate) times: f64,
    /// The power of the number of files that this is: 1 is as many times as there are more files, 0 no growth.
    pub(crate) by_files: Option<f64>,
    /// The power of the number of bytes that this is.
    pub(crate) by_bytes: Option<f64>,
}

/// The two trees on which the most was measured, the one with fewer files first; of several such pairs the one that differs most.
/// Nothing if there are no two.
pub(crate) fn pair(results: &Results) -> Option<(&Tree, &Tree)> {
    // A single file has no growth of their number.
    let trees = || results.trees.iter().filter(|tree| tree.files > 1);
    let factor = |less: &Tree, more: &Tree| more.files as f64 / less.files as f64;
    let pairs = trees().flat_map(|less| trees().map(move |more| (less, more)));
    let pairs = pairs.filter(|(less, more)| factor(less, more) >= FACTOR_MIN);
    pairs.max_by(|one, other| {
        let known = |(less, more): &(&Tree, &Tree)| {
            let cells = results.tools.iter().flat_map(|tool| Step::ALL.map(|step| (tool, step)));
            cells.filter(|(tool, step)| growth(results, less, more, &tool.name, *step).is_some()).count()
        };
        known(one).cmp(&known(other)).then(factor(one.0, one.1).total_cmp(&factor(other.0, other.1)))
    })
}

/// How the wall time of a tool's step grew between two trees.
pub(crate) fn growth(results: &Results, less: &Tree, more: &Tree, tool: &str, step: Step) -> Option<Growth> {
    let wall = |tree: &Tree| results.median(&tree.name, tool, step, |run| Some(run.wall_seconds));
    let times = wall(more)? / wall(less)?;
    let power = |one: u64, other: u64| {
        let factor = other as f64 / one as f64;
        (factor >= FACTOR_MIN).then(|| times.ln() / factor.ln())
    };
    Some(Growth { times, by_files: power(less.files, more.files), by_bytes: power(less.bytes, more.bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::example;

    #[test]
    fn growth_is_a_power_of_the_number_of_files_and_of_bytes() {
        let mut results = example("small");
        assert_eq!(pair(&results), None);
        results.join(example("many"));
        for run in results.runs.iter_mut().filter(|run| run.tree == "many") {
            run.wall_seconds *= 10.0;
        }
        let (less, more) = pair(&results).unwrap();
        assert_eq!((less.name.as_str(), more.name.as_str()), ("small", "many"));
        let grown = growth(&results, less, more, "sb", Step::First).unwrap();
        assert!((grown.times - 10.0).abs() < 1e-9);
        assert!((grown.by_files.unwrap() - 1.0).abs() < 1e-9);
        assert!((grown.by_bytes.unwrap() - 10_f64.ln() / 4_f64.ln()).abs() < 1e-9);
        assert_eq!(growth(&results, less, more, "sb", Step::Day), None);
        let same = Tree { bytes: less.bytes, ..more.clone() };
        assert_eq!(growth(&results, less, &same, "sb", Step::First).unwrap().by_bytes, None);
    }

    #[test]
    fn a_tree_on_which_little_was_measured_does_not_hide_what_is_known_of_others() {
        let mut results = example("small");
        results.join(example("many"));
        let tiny = example("tiny");
        results.join(Results { runs: tiny.runs.into_iter().take(1).collect(), ..tiny });
        let tree = results.trees.iter_mut().find(|tree| tree.name == "tiny").unwrap();
        tree.files = 2;
        let (less, more) = pair(&results).unwrap();
        assert_eq!((less.name.as_str(), more.name.as_str()), ("small", "many"));
    }

    #[test]
    fn one_huge_file_is_no_smaller_tree() {
        let mut results = example("small");
        results.trees.push(Tree { name: "huge".to_owned(), files: 1, bytes: 4_000_000_000 });
        assert_eq!(pair(&results), None);
    }
}
