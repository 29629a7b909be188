//! Reading a whole log, batch by batch, and finding what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sb_crypto::{Digest, TreeHasher};

use crate::batch::{Batch, BatchError};
use crate::entry::{Action, Entry, Event, OpaqueId, Outcome};
use crate::note::VerifierKey;
use crate::time;
use crate::tree::TreeHead;

/// Reads the batches of one log in the order of their names and compares them with each other and with heads seen
/// before. It keeps a frontier and the newest batch of each branch in memory, not the log.
///
/// ```
/// # use chrono::DateTime;
/// # use sb_audit::{Event, Finding, History, LogTip, NoteSigner, Outcome};
/// # use sb_crypto::{SigningKey, SystemRandom};
/// # let log = NoteSigner::new("firm.example/log-1", SigningKey::generate(&SystemRandom))?;
/// # let event = Event::new(DateTime::UNIX_EPOCH, "host:a".parse()?, "u_7".parse()?, "Snapshot.Create".parse()?, "s_1".parse()?, Outcome::Success);
/// let (first, tip) = LogTip::new().append(&log, &[event.clone(), event.clone()])?;
/// let (_lost, tip) = tip.append(&log, &[event.clone()])?;
/// let (third, tip) = tip.append(&log, &[event])?;
///
/// let mut history = History::new(log.verifier().clone(), &[tip.head()]);
/// history.read(0, &first);
/// history.read(3, &third);
/// assert_eq!(history.finish().findings, [Finding::Gap { from: 2, to: 3 }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct History {
    log: VerifierKey,
    branches: Vec<Branch>,
    findings: Vec<Finding>,
    /// Heads seen before that no branch has passed through yet.
    remembered: BTreeMap<u64, BTreeSet<Digest>>,
    /// The number in the name read last.
    named: u64,
}

/// One line of a log from its newest batch backwards.
#[derive(Clone, Debug)]
struct Branch {
    /// What lies before this is not known.
    start: u64,
    /// Where its newest batch begins.
    before: Position,
    /// Its newest batch.
    steps: Vec<Step>,
    /// Where it ends.
    now: Position,
    /// What was announced and has not ended.
    open: BTreeMap<u64, (Action, OpaqueId)>,
}

#[derive(Clone, Debug)]
struct Position {
    tree: TreeHasher,
    /// The latest time in an entry before it.
    newest: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug)]
struct Step {
    leaf: Digest,
    entry: Entry,
    /// Whether it ended something that was open.
    ends: bool,
}

/// How a batch fits to a branch.
struct Fit {
    branch: usize,
    /// Where the batch begins.
    before: Position,
    /// How many entries of the branch's newest batch stand before it.
    skipped: usize,
    /// How many of its entries the branch has too.
    shared: usize,
    /// Whether the branch ends with these.
    at_end: bool,
}

impl History {
    /// For the log with this key, of which these heads were seen before.
    #[must_use]
    pub fn new(log: VerifierKey, remembered: &[TreeHead]) -> Self {
        let mut heads: BTreeMap<u64, BTreeSet<Digest>> = BTreeMap::new();
        for head in remembered {
            heads.entry(head.size).or_default().insert(head.root);
        }
        pass(&mut heads, &TreeHasher::new());
        Self { log, branches: Vec::new(), findings: Vec::new(), remembered: heads, named: 0 }
    }

    /// Reads the next batch, whose name says that it begins with entry `named`. Returns it if it is good; all that is
    /// wrong is among the findings.
    ///
    /// # Panics
    /// When `named` is below that of the batch before: batches are read in the order of their names.
    pub fn read(&mut self, named: u64, bytes: &[u8]) -> Option<Batch> {
        assert!(named >= self.named, "batch {named} is read after batch {}", self.named);
        self.named = named;
        let batch = Batch::parse(bytes, &self.log).and_then(|batch| match batch.first() {
            first if first == named => Ok(batch),
            first => Err(BatchError::Misfiled { first, named }),
        });
        match batch {
            Ok(batch) => {
                self.place(&batch);
                Some(batch)
            }
            Err(error) => {
                self.findings.push(Finding::Broken { named, error });
                None
            }
        }
    }

    /// All that was found, and where the log ends.
    #[must_use]
    pub fn finish(mut self) -> Examined {
        let size = self.branches.iter().map(|branch| branch.now.tree.len()).max().unwrap_or(0);
        for (remembered, roots) in self.remembered {
            for root in roots {
                let head = TreeHead { size: remembered, root };
                self.findings.push(match remembered > size {
                    true => Finding::RolledBack { remembered: head, size },
                    false => Finding::Rewritten { remembered: head },
                });
            }
        }
        let open = self.branches.iter().flat_map(|branch| &branch.open);
        for (seq, (action, object)) in open.collect::<BTreeSet<_>>() {
            self.findings.push(Finding::OpenIntent { seq: *seq, action: action.clone(), object: object.clone() });
        }
        let head = |branch: &Branch| TreeHead { size: branch.now.tree.len(), root: branch.now.tree.root() };
        Examined { heads: self.branches.iter().map(head).collect(), findings: self.findings }
    }

    fn place(&mut self, batch: &Batch) {
        let step = |(leaf, entry): (&Digest, &Entry)| Step { leaf: *leaf, entry: entry.clone(), ends: false };
        let mut steps: Vec<_> = batch.leaves().iter().zip(batch.entries()).map(step).collect();
        let before = batch.head_before();
        let fits = self.branches.iter().enumerate().filter_map(|(index, branch)| branch.fit(index, before, &steps));
        let Some(fit) = fits.max_by_key(|fit| (fit.shared, fit.at_end)) else {
            return self.start_apart(batch, steps);
        };
        if fit.shared == steps.len() {
            return;
        }
        let mut index = fit.branch;
        if !fit.at_end {
            let fork = self.branches[index].up_to(fit.skipped + fit.shared);
            self.findings.push(Finding::Fork { at: fork.now.tree.len() });
            index = self.branches.len();
            self.branches.push(fork);
        }
        let branch = &mut self.branches[index];
        branch.before = fit.before;
        branch.steps.drain(..fit.skipped);
        self.advance(index, steps.split_off(fit.shared));
    }

    /// A batch that follows from nothing that was read.
    fn start_apart(&mut self, batch: &Batch, steps: Vec<Step>) {
        let first = batch.first();
        if self.branches.iter().any(|branch| first <= branch.now.tree.len()) {
            self.findings.push(Finding::Unconnected { first });
        } else if first > 0 {
            let from = self.branches.iter().map(|branch| branch.now.tree.len()).max().unwrap_or(0);
            self.findings.push(Finding::Gap { from, to: first });
        }
        let before = Position { tree: batch.tree_before().clone(), newest: None };
        pass(&mut self.remembered, &before.tree);
        let now = before.clone();
        self.branches.push(Branch { start: first, before, steps: Vec::new(), now, open: BTreeMap::new() });
        self.advance(self.branches.len() - 1, steps);
    }

    /// Goes on with a branch.
    fn advance(&mut self, branch: usize, steps: Vec<Step>) {
        let branch = &mut self.branches[branch];
        for step in steps {
            branch.take(step, &mut self.findings);
            pass(&mut self.remembered, &branch.now.tree);
        }
    }
}

/// Notes that a branch has passed through this head.
fn pass(remembered: &mut BTreeMap<u64, BTreeSet<Digest>>, tree: &TreeHasher) {
    if let Some(roots) = remembered.get_mut(&tree.len()) {
        roots.remove(&tree.root());
        if roots.is_empty() {
            remembered.remove(&tree.len());
        }
    }
}

impl Branch {
    /// Whether a batch that begins at `before` begins within this branch's newest batch, or at its end.
    fn fit(&self, branch: usize, before: TreeHead, steps: &[Step]) -> Option<Fit> {
        let skipped = usize::try_from(before.size.checked_sub(self.before.tree.len())?).ok()?;
        let (past, rest) = self.steps.split_at_checked(skipped)?;
        let begins = if rest.is_empty() { self.now.clone() } else { self.before.after(past) };
        if begins.tree.root() != before.root {
            return None;
        }
        let shared = rest.iter().zip(steps).take_while(|(old, new)| old.leaf == new.leaf).count();
        Some(Fit { branch, before: begins, skipped, shared, at_end: shared == rest.len() })
    }

    /// The branch as it was with so many entries of its newest batch.
    fn up_to(&self, count: usize) -> Self {
        let (kept, undone) = self.steps.split_at(count);
        let mut open = self.open.clone();
        for Step { entry: Entry { seq, event }, ends, .. } in undone.iter().rev() {
            open.remove(seq);
            open.extend(event.intent.filter(|_| *ends).map(|intent| (intent, subject(event))));
        }
        Self {
            start: self.start,
            before: self.before.clone(),
            steps: kept.to_vec(),
            now: self.before.after(kept),
            open,
        }
    }

    /// Goes on by one entry.
    fn take(&mut self, mut step: Step, findings: &mut Vec<Finding>) {
        let Entry { seq, event } = &step.entry;
        if let Some(newest) = self.now.take(&step) {
            findings.push(Finding::TimeWentBack { seq: *seq, newest, time: event.time });
        }
        let subject = subject(event);
        match event.intent {
            None if event.outcome == Outcome::Intent => {
                self.open.insert(*seq, subject);
            }
            None => {}
            // What was announced before the first entry that is there can't be known.
            Some(intent) if intent < self.start => {}
            Some(intent) if self.open.get(&intent) == Some(&subject) => {
                self.open.remove(&intent);
                step.ends = true;
            }
            Some(intent) => findings.push(Finding::UnknownIntent { seq: *seq, intent }),
        }
        self.steps.push(step);
    }
}

impl Position {
    /// Goes on by one entry. The latest time before it, if that is later than the entry's.
    fn take(&mut self, step: &Step) -> Option<DateTime<Utc>> {
        self.tree.push(step.leaf);
        let time = step.entry.event.time;
        let later = self.newest.filter(|newest| time < *newest);
        self.newest = later.or(Some(time));
        later
    }

    fn after(&self, steps: &[Step]) -> Self {
        let mut position = self.clone();
        for step in steps {
            position.take(step);
        }
        position
    }
}

/// What an intent and its outcome have in common.
fn subject(event: &Event) -> (Action, OpaqueId) {
    (event.action.clone(), event.object.clone())
}

/// What reading a log has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examined {
    /// Where each branch ends; an undamaged log has one, or none if it is empty.
    pub heads: Vec<TreeHead>,
    /// What was found, in the order of the log; then heads that are missing, then intents without outcome.
    pub findings: Vec<Finding>,
}

/// Something about a log that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// A batch is damaged, cut short or forged.
    #[error("the batch of entry {named} is not to be believed: {error}")]
    Broken {
        /// The number in its name.
        named: u64,
        /// What is wrong with it.
        error: BatchError,
    },
    /// Entries are missing.
    #[error("entries {from} to {} are missing", .to - 1)]
    Gap {
        /// The first one that is missing.
        from: u64,
        /// The next one that is there.
        to: u64,
    },
    /// Two entries have the same number: the log was continued twice, as by a cloned or restored machine.
    #[error("the log forks at entry {at}")]
    Fork {
        /// The first number that two entries have.
        at: u64,
    },
    /// A batch continues another log than the one that is there: the log was forked at an entry that is missing.
    #[error("the batch of entry {first} does not follow from the entries before it: the log was forked earlier")]
    Unconnected {
        /// The number of its first entry.
        first: u64,
    },
    /// The log is shorter than it was.
    #[error("the log had {} entries and has {size}", remembered.size)]
    RolledBack {
        /// The head seen before.
        remembered: TreeHead,
        /// How many there are now.
        size: u64,
    },
    /// The log had other entries than now, or those are missing.
    #[error("the first {} entries are not those that were there", remembered.size)]
    Rewritten {
        /// The head seen before.
        remembered: TreeHead,
    },
    /// Something was announced and no entry says how it ended: it was interrupted, or is going on.
    #[error("how `{action}` of `{object}` ended, announced by entry {seq}, is not known")]
    OpenIntent {
        /// The number of the entry.
        seq: u64,
        /// What was to be done.
        action: Action,
        /// To what.
        object: OpaqueId,
    },
    /// An entry tells the outcome of what was not announced, or has ended already.
    #[error("entry {seq} is the outcome of entry {intent}, which announced no such thing")]
    UnknownIntent {
        /// The number of the entry.
        seq: u64,
        /// The entry it names.
        intent: u64,
    },
    /// The machine's clock was set back.
    #[error("entry {seq} says {}, after one that says {}", time::milliseconds(time), time::milliseconds(newest))]
    TimeWentBack {
        /// The number of the entry.
        seq: u64,
        /// The latest time in an entry before it.
        newest: DateTime<Utc>,
        /// The time it says.
        time: DateTime<Utc>,
    },
}
