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

/// The two trees that have the most different numbers of files, the smaller one first; nothing if there are no two.
pub(crate) fn pair(results: &Results) -> Option<(&Tree, &Tree)> {
    // A single file has no growth of their number.
    let trees = || results.trees.iter().filter(|tree| tree.files > 1);
    let (less, more) = (trees().min_by_key(|tree| tree.files)?, trees().max_by_key(|tree| tree.files)?);
    (more.files as f64 / less.files as f64 >= FACTOR_MIN).then_some((less, more))
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
    fn one_huge_file_is_no_smaller_tree() {
        let mut results = example("small");
        results.trees.push(Tree { name: "huge".to_owned(), files: 1, bytes: 4_000_000_000 });
        assert_eq!(pair(&results), None);
    }
}
