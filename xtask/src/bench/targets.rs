//! What is to be reached, as the project's performance targets say it: ratios to what runs beside, in the same run.

use super::results::{Results, Run};
use super::steps::Step;
use super::tools::Role;

/// What of a run is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Wall,
    Cpu,
    Memory,
    /// The vault, or what was added to it.
    Bytes,
    /// The vault before padding.
    Unpadded,
    /// Bytes protected ÷ bytes stored; higher is better.
    Saving,
}

impl Measure {
    pub(crate) fn of(self, run: &Run) -> Option<f64> {
        match self {
            Self::Wall => Some(run.wall_seconds),
            Self::Cpu => Some(run.cpu_seconds()),
            Self::Memory => Some(run.memory_bytes as f64),
            Self::Bytes => run.bytes.map(|bytes| bytes as f64),
            Self::Unpadded => run.unpadded_bytes.map(|bytes| bytes as f64),
            Self::Saving => None,
        }
    }
}

/// What a measure is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Against {
    /// The best of the other backup tools.
    BestPeer,
    /// The best of those that compress with zstd.
    BestPeerWithZstd,
    /// This tool or limit.
    Tool(&'static str),
    /// Nothing: a number of seconds, bytes, or times.
    Nothing,
}

/// One thing to be reached.
#[derive(Debug)]
pub(crate) struct Target {
    /// On these trees; on any if empty.
    trees: &'static [&'static str],
    /// At this step; at any if there is none.
    pub(crate) step: Option<Step>,
    pub(crate) measure: Measure,
    pub(crate) against: Against,
    /// At most this, or with [`Measure::Saving`] at least.
    pub(crate) bound: f64,
}

const ANY: &[&str] = &[];
const MANY: &[&str] = &["many"];
const SMALL: &[&str] = &["small"];
const HUGE: &[&str] = &["huge"];
const FILES: &[&str] = &["small", "many"];
const DUMPS: &[&str] = &["small", "huge"];

/// How many daily backups are meant.
pub(crate) const DAYS: usize = 30;

const fn target(trees: &'static [&'static str], step: Step, measure: Measure, against: Against, bound: f64) -> Target {
    Target { trees, step: Some(step), measure, against, bound }
}

/// All of them, as in the design document `performance.md`.
pub(crate) const TARGETS: [Target; 23] = [
    target(MANY, Step::First, Measure::Wall, Against::Tool("restic"), 0.5),
    target(ANY, Step::First, Measure::Wall, Against::BestPeer, 0.75),
    target(ANY, Step::First, Measure::Wall, Against::Tool("bare"), 1.2),
    target(MANY, Step::First, Measure::Cpu, Against::BestPeerWithZstd, 0.9),
    target(DUMPS, Step::First, Measure::Cpu, Against::Tool("bare"), 1.2),
    target(FILES, Step::First, Measure::Bytes, Against::BestPeer, 0.83),
    target(FILES, Step::First, Measure::Bytes, Against::Tool("tar | zstd -3"), 1.0),
    target(FILES, Step::First, Measure::Unpadded, Against::Tool("bare"), 1.03),
    target(HUGE, Step::First, Measure::Bytes, Against::BestPeer, 1.02),
    target(HUGE, Step::First, Measure::Saving, Against::Nothing, 4.0),
    target(SMALL, Step::Days, Measure::Saving, Against::Nothing, 40.0),
    target(ANY, Step::Unchanged, Measure::Wall, Against::BestPeer, 0.3),
    target(FILES, Step::Unchanged, Measure::Wall, Against::Tool("stat walk"), 1.0),
    target(ANY, Step::Day, Measure::Wall, Against::BestPeer, 0.25),
    target(ANY, Step::Day, Measure::Bytes, Against::BestPeer, 0.4),
    target(ANY, Step::Restore, Measure::Wall, Against::BestPeer, 0.8),
    target(FILES, Step::Restore, Measure::Wall, Against::Tool("cp -a"), 1.0),
    target(MANY, Step::One, Measure::Wall, Against::Nothing, 0.05),
    target(SMALL, Step::One, Measure::Wall, Against::Nothing, 0.025),
    target(ANY, Step::Find, Measure::Wall, Against::Nothing, 0.1),
    target(ANY, Step::Verify, Measure::Wall, Against::BestPeer, 0.5),
    Target { trees: ANY, step: None, measure: Measure::Memory, against: Against::Nothing, bound: 100e6 },
    target(ANY, Step::Start, Measure::Wall, Against::Nothing, 0.01),
];

impl Target {
    pub(crate) fn is_for(&self, tree: &str) -> bool {
        self.trees.is_empty() || self.trees.contains(&tree)
    }

    /// Ours ÷ what it is compared with, or ours alone; nothing if one of them was not measured.
    pub(crate) fn reached(&self, results: &Results, tree: &str) -> Option<f64> {
        let ours = results.in_role(Role::Ours).next()?;
        let Some(step) = self.step else { return worst(results, tree, &ours.name, self.measure) };
        if self.measure == Measure::Saving {
            // Fewer days hold less in common.
            if step == Step::Days && results.of(tree, &ours.name, step).count() < DAYS {
                return None;
            }
            return results.saving(tree, &ours.name, step);
        }
        let value = results.median(tree, &ours.name, step, |run| self.measure.of(run))?;
        // Nobody but us pads, or can tell.
        let theirs = if self.measure == Measure::Unpadded { Measure::Bytes } else { self.measure };
        let base = match self.against {
            Against::BestPeer => best_peer(results, tree, step, theirs, |_| true)?,
            Against::BestPeerWithZstd => best_peer(results, tree, step, theirs, |name| !name.contains("lz4"))?,
            Against::Tool(name) => results.median(tree, name, step, |run| theirs.of(run))?,
            Against::Nothing => 1.0,
        };
        (base > 0.0).then(|| value / base)
    }

    pub(crate) fn is_met(&self, reached: f64) -> bool {
        if self.measure == Measure::Saving { reached >= self.bound } else { reached <= self.bound }
    }
}

/// The lowest median of the other backup tools that `wanted` takes.
pub(crate) fn best_peer(
    results: &Results,
    tree: &str,
    step: Step,
    measure: Measure,
    wanted: impl Fn(&str) -> bool,
) -> Option<f64> {
    let peers = results.in_role(Role::Peer).filter(|peer| wanted(&peer.name));
    peers.filter_map(|peer| results.median(tree, &peer.name, step, |run| measure.of(run))).min_by(f64::total_cmp)
}

/// The highest of all steps.
fn worst(results: &Results, tree: &str, tool: &str, measure: Measure) -> Option<f64> {
    let of_step = |step| results.of(tree, tool, step).filter_map(|run| measure.of(run)).max_by(f64::total_cmp);
    Step::ALL.into_iter().filter_map(of_step).max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{example, example_run};

    fn reached(results: &Results, tree: &str, wanted: &Target) -> Option<f64> {
        assert!(wanted.is_for(tree));
        wanted.reached(results, tree)
    }

    #[test]
    fn ours_is_held_against_the_best_of_the_others() {
        let results = example("many");
        let first = |measure, against| reached(&results, "many", &target(MANY, Step::First, measure, against, 0.5));
        assert_eq!(first(Measure::Wall, Against::BestPeer), Some(0.5));
        assert_eq!(first(Measure::Wall, Against::BestPeerWithZstd), Some(0.4));
        assert_eq!(first(Measure::Wall, Against::Tool("restic")), Some(0.4));
        assert_eq!(first(Measure::Wall, Against::Tool("rustic")), None);
        assert_eq!(first(Measure::Wall, Against::Nothing), Some(2.0));
        assert_eq!(first(Measure::Unpadded, Against::Tool("bare")), None);
        assert_eq!(first(Measure::Saving, Against::Nothing), Some(8.0));
    }

    #[test]
    fn what_failed_is_nobody_s_best() {
        let mut results = example("small");
        let first = target(SMALL, Step::First, Measure::Wall, Against::BestPeer, 0.5);
        results.runs.iter_mut().find(|run| run.tool == "borg lz4").unwrap().fault = Some("oh".to_owned());
        assert_eq!(reached(&results, "small", &first), Some(0.4));
        results.runs.iter_mut().find(|run| run.tool == "sb").unwrap().fault = Some("oh".to_owned());
        assert_eq!(reached(&results, "small", &first), None);
    }

    #[test]
    fn memory_counts_at_its_worst_and_savings_at_least() {
        let mut results = example("small");
        let find = example_run("small", "sb", Step::Find, 0.1);
        results.runs.push(Run { memory_bytes: 120_000_000, ..find });
        let memory = TARGETS.iter().find(|target| target.step.is_none()).unwrap();
        let worst = reached(&results, "small", memory).unwrap();
        assert_eq!((worst, memory.is_met(worst)), (120e6, false));
        let days = TARGETS.iter().find(|target| target.step == Some(Step::Days)).unwrap();
        assert!(days.is_met(41.0) && !days.is_met(39.0));
        assert!(!days.is_for("huge"));
        let few = Run { bytes: Some(1), protected_bytes: Some(50), ..example_run("small", "sb", Step::Days, 0.1) };
        results.runs.push(few);
        assert_eq!(reached(&results, "small", days), None);
    }
}
