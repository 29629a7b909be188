//! What was measured, as it is kept beside the tables.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::steps::Step;
use super::tools::{Found, Role};
use crate::failure::Failure;
use crate::program;

/// All that is known of one run of `cargo xtask bench`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) tools: Vec<Described>,
    /// The command that changes a tree by a day.
    pub(crate) mutate: Option<String>,
    pub(crate) trees: Vec<Tree>,
    pub(crate) runs: Vec<Run>,
}

/// What it was measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
}

/// A tool that was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) version: String,
    pub(crate) init: Option<String>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) commands: Vec<(Step, String)>,
}

/// A tree that was backed up, as it was at first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    pub(crate) name: String,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// One command that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) tree: String,
    pub(crate) tool: String,
    pub(crate) step: Step,
    pub(crate) repetition: u32,
    pub(crate) wall_seconds: f64,
    pub(crate) user_seconds: f64,
    pub(crate) system_seconds: f64,
    /// Of the largest process.
    pub(crate) memory_bytes: u64,
    /// Processor time that went elsewhere meanwhile.
    pub(crate) neighbours_seconds: f64,
    /// Load average of the minute before.
    pub(crate) load: f64,
    pub(crate) noisy: bool,
    /// Whether it was done again because it was noisy, and does not count.
    pub(crate) dropped: bool,
    /// What the step is about: the vault's size, what was added to it, or what was freed.
    pub(crate) bytes: Option<u64>,
    /// What is stored without padding, where the tool can tell.
    pub(crate) unpadded_bytes: Option<u64>,
    /// What the snapshot holds.
    pub(crate) protected_bytes: Option<u64>,
    /// What was written to the tree before, where the command that did it says so.
    pub(crate) changed_bytes: Option<u64>,
    /// Why it failed, or its result is wrong.
    pub(crate) fault: Option<String>,
}

impl Run {
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }
}

impl Results {
    pub(crate) fn new(machine: Machine, found: &[Found], mutate: Option<&str>) -> Self {
        let tools = found.iter().map(Described::from).collect();
        Self { machine, tools, mutate: mutate.map(without_places), trees: Vec::new(), runs: Vec::new() }
    }

    /// The runs that count of this tree, tool and step.
    pub(crate) fn of<'r>(&'r self, tree: &'r str, tool: &'r str, step: Step) -> impl Iterator<Item = &'r Run> {
        let wanted = move |run: &&Run| run.tree == tree && run.tool == tool && run.step == step && !run.dropped;
        self.runs.iter().filter(wanted)
    }

    /// The median of what counts; nothing if there is none, or any of it failed.
    pub(crate) fn median(&self, tree: &str, tool: &str, step: Step, of: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        if self.of(tree, tool, step).any(|run| run.fault.is_some()) {
            return None;
        }
        median(self.of(tree, tool, step).filter_map(of).collect())
    }

    /// Bytes protected by all daily backups together ÷ bytes stored at last.
    pub(crate) fn saving(&self, tree: &str, tool: &str, step: Step) -> Option<f64> {
        let runs: Vec<&Run> = self.of(tree, tool, step).collect();
        let protected: u64 = runs.iter().filter_map(|run| run.protected_bytes).sum();
        let stored = runs.last()?.bytes?;
        let whole = stored > 0 && protected > 0 && runs.iter().all(|run| run.fault.is_none());
        whole.then(|| protected as f64 / stored as f64)
    }

    /// The tools in this role.
    pub(crate) fn in_role(&self, role: Role) -> impl Iterator<Item = &Described> {
        self.tools.iter().filter(move |tool| tool.role == role)
    }

    pub(crate) fn faults(&self) -> impl Iterator<Item = (&Run, &str)> {
        self.runs.iter().filter_map(|run| Some((run, run.fault.as_deref()?)))
    }

    /// Adds what another run measured; of what both have, the other's counts.
    pub(crate) fn join(&mut self, other: Self) {
        self.runs.retain(|run| !other.trees.iter().any(|tree| tree.name == run.tree));
        self.trees.retain(|tree| !other.trees.iter().any(|new| new.name == tree.name));
        self.tools.retain(|tool| !other.tools.iter().any(|new| new.name == tool.name));
        self.tools.splice(0..0, other.tools);
        self.trees.extend(other.trees);
        self.runs.extend(other.runs);
        self.machine = other.machine;
        self.mutate = other.mutate.or(self.mutate.take());
    }

    pub(crate) fn save(&self, file: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|source| Failure::Json { program: "cargo xtask bench", source })?;
        fs::write(file, text + "\n").map_err(|source| Failure::Io { path: file.to_owned(), source })
    }
}

impl From<&Found> for Described {
    fn from(found: &Found) -> Self {
        let tool = found.tool;
        let commands = Step::ALL.into_iter().filter_map(|step| Some((step, tool.command(step)?.to_owned())));
        Self {
            name: tool.name.to_owned(),
            role: tool.role,
            version: found.version.clone(),
            init: tool.init.map(str::to_owned),
            variables: tool.variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            commands: commands.collect(),
        }
    }
}

impl Machine {
    pub(crate) fn inspect() -> Result<Self, Failure> {
        let processors = program::read_lossy(Path::new("/proc/cpuinfo"))?;
        let memory = program::read_lossy(Path::new("/proc/meminfo"))?;
        let kibibytes = field(&memory, "MemTotal").and_then(|text| text.split_whitespace().next()?.parse().ok());
        Ok(Self {
            date: program::output(Command::new("date").args(["--utc", "+%F"]))?.trim().to_owned(),
            processor: field(&processors, "model name").unwrap_or("unknown processor").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_bytes: kibibytes.unwrap_or(0_u64) << 10,
            kernel: program::read_lossy(Path::new("/proc/sys/kernel/osrelease"))?.trim().to_owned(),
        })
    }
}

/// A command with its programs and files named without the folders they are in, which are nobody else's.
fn without_places(command: &str) -> String {
    let word = |word: &str| match word.rsplit_once('/') {
        Some((_, name)) if word.starts_with('/') || word.starts_with('~') => name.to_owned(),
        _ => word.to_owned(),
    };
    command.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The value on the line `name: value`.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// A run of one command, for tests.
#[cfg(test)]
pub(crate) fn example_run(tree: &str, tool: &str, step: Step, wall_seconds: f64) -> Run {
    Run {
        tree: tree.to_owned(),
        tool: tool.to_owned(),
        step,
        repetition: 0,
        wall_seconds,
        user_seconds: wall_seconds,
        system_seconds: wall_seconds / 2.0,
        memory_bytes: 50_000_000,
        neighbours_seconds: 0.0,
        load: 0.5,
        noisy: false,
        dropped: false,
        bytes: None,
        unpadded_bytes: None,
        protected_bytes: None,
        changed_bytes: None,
        fault: None,
    }
}

/// Results of `sb`, two peers and two limits on one tree, for tests.
#[cfg(test)]
pub(crate) fn example(tree: &str) -> Results {
    let machine = Machine {
        date: "2026-01-31".to_owned(),
        processor: "an example".to_owned(),
        cores: 2,
        memory_bytes: 8 << 30,
        kernel: "6.1".to_owned(),
    };
    let described = |name: &str, role| Described {
        name: name.to_owned(),
        role,
        version: format!("{name} 1.0"),
        init: None,
        variables: vec![("REPO".to_owned(), "$VAULT".to_owned())],
        commands: vec![(Step::First, format!("{name} backup \"$TREE\" | cat"))],
    };
    let tools = vec![
        described("sb", Role::Ours),
        described("restic", Role::Peer),
        described("borg lz4", Role::Peer),
        described("bare", Role::Limit),
        described("stat walk", Role::Limit),
    ];
    let (files, bytes) = if tree == "small" { (1_000, 1_000_000_000) } else { (10_000, 4_000_000_000) };
    let trees = vec![Tree { name: tree.to_owned(), files, bytes }];
    let mut runs = Vec::new();
    for (tool, wall_seconds, vault) in
        [("sb", 2.0, 500_000_000), ("restic", 5.0, 600_000_000), ("borg lz4", 4.0, 700_000_000)]
    {
        let protected_bytes = Some(bytes);
        runs.push(Run { bytes: Some(vault), protected_bytes, ..example_run(tree, tool, Step::First, wall_seconds) });
        for (repetition, factor) in [(0, 0.1), (1, 0.3), (2, 0.2)] {
            runs.push(Run { repetition, ..example_run(tree, tool, Step::Unchanged, wall_seconds * factor) });
        }
    }
    runs.push(Run { bytes: Some(490_000_000), ..example_run(tree, "bare", Step::First, 1.9) });
    runs.push(example_run(tree, "stat walk", Step::Unchanged, 0.2));
    Results { machine, tools, mutate: None, trees, runs }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_what_counts_and_did_not_fail() {
        let mut results = example("small");
        let wall = |results: &Results| results.median("small", "sb", Step::Unchanged, |run| Some(run.wall_seconds));
        assert_eq!(wall(&results), Some(0.4));
        let first = results.runs.iter().position(|run| run.step == Step::Unchanged).unwrap();
        results.runs[first].dropped = true;
        assert_eq!(wall(&results), Some(0.5));
        results.runs[first + 1].fault = Some("oh".to_owned());
        assert_eq!(wall(&results), None);
        assert_eq!(results.faults().count(), 1);
        assert_eq!(results.median("small", "sb", Step::Day, |run| Some(run.wall_seconds)), None);
    }

    #[test]
    fn what_is_saved_counts_all_days_against_the_last_vault() {
        let mut results = example("small");
        assert_eq!(results.saving("small", "sb", Step::First), Some(2.0));
        assert_eq!(results.saving("small", "sb", Step::Days), None);
        for day in 0..3 {
            let (bytes, protected_bytes) = (Some(100 + day), Some(1020));
            let run = example_run("small", "sb", Step::Days, 1.0);
            results.runs.push(Run { bytes, protected_bytes, ..run });
        }
        assert_eq!(results.saving("small", "sb", Step::Days), Some(30.0));
    }

    #[test]
    fn joined_results_have_each_tree_once() {
        let mut results = example("small");
        results.join(example("many"));
        results.join(example("small"));
        assert_eq!((results.trees.len(), results.tools.len()), (2, 5));
        assert_eq!(results.of("small", "sb", Step::First).count(), 1);
    }

    #[test]
    fn results_name_no_place_of_this_machine() {
        let command = r#"python3 /home/somebody/gen.py --out "$TREE/x" --mutate "$DAY""#;
        let results = Results::new(example("x").machine, &[], Some(command));
        assert_eq!(results.mutate.unwrap(), r#"python3 gen.py --out "$TREE/x" --mutate "$DAY""#);
    }

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::inspect().unwrap();
        assert!(machine.cores > 0 && machine.memory_bytes > 0 && machine.date.len() == 10);
        assert_eq!(field("a : 1\nb: 2 kB", "b"), Some("2 kB"));
        assert_eq!(median(vec![]), None);
    }
}
