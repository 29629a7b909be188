//! Searching snapshots by name, without an index: every page of a folder is looked at once, however many snapshots have it.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use chrono::{DateTime, Utc};

use crate::clock::{Counter, Progress};
use crate::error::{Flaw, RepoError};
use crate::glob::{Pattern, Positions};
use crate::reader::{Reader, shown};
use crate::snapshots::Snapshot;
use crate::wire::cbor::Malformed;
use crate::wire::entry::Entry;
use crate::wire::node::Reference;
use crate::wire::skim::{FILE, FOLDER, Page, REDACTED, SYMLINK, Skimmed};

/// Pages of which it is remembered what they hold; about 30 MB.
const MEMO_MAX: usize = 400_000;
/// A page with more matches in and below it is looked at again.
const FEW: usize = 64;
/// Matches remembered in all.
const MATCHES_MAX: usize = 50_000;
/// Inner nodes have up to 1,024 children, so more levels than this no folder has.
const NODES_DEEP: u32 = 8;

/// What is searched for: what matches any of the patterns and all the rest.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Query {
    /// Of names or paths.
    pub patterns: Vec<Pattern>,
    /// Only such entries; none means all.
    pub kinds: BTreeSet<EntryKind>,
    /// Only what was modified then or later.
    pub newer: Option<DateTime<Utc>>,
    /// Only what was modified before then.
    pub older: Option<DateTime<Utc>>,
}

/// What entries can be chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// Regular files.
    File,
    /// Folders.
    Folder,
    /// Symbolic links.
    Symlink,
}

/// What a search looked at and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FindReport {
    /// Snapshots searched.
    pub snapshots: u64,
    /// Those with a match.
    pub found_in: u64,
    /// Matches, counting every snapshot they are in.
    pub matches: u64,
    /// Pages of folders that had to be read.
    pub pages: u64,
    /// Pages that could not be read; what is in and below them was not searched.
    pub unreadable: u64,
}

/// Is told of a match: the snapshot, the absolute path and the entry.
pub type EachMatch<'a> = dyn FnMut(&Snapshot, &[u8], &Entry) -> Result<(), RepoError> + 'a;

impl Reader<'_> {
    /// Searches these snapshots in their order and calls `each` with every match in path order. Damage is told to
    /// `progress`, and the rest is searched.
    ///
    /// # Errors
    /// [`RepoError::Interrupted`], what `each` returns, and failures of the storage that are no damage.
    pub fn find<'s>(
        &self,
        snapshots: impl IntoIterator<Item = &'s Snapshot>,
        query: &Query,
        progress: Progress<'_>,
        each: &mut EachMatch<'_>,
    ) -> Result<FindReport, RepoError> {
        let mut search = Search {
            reader: self,
            query,
            progress,
            states: Vec::new(),
            numbers: HashMap::new(),
            memo: HashMap::new(),
            matches: 0,
            report: FindReport::default(),
        };
        for snapshot in snapshots {
            let before = search.report.matches;
            search.snapshot(snapshot, each)?;
            search.report.snapshots += 1;
            search.report.found_in += u64::from(search.report.matches > before);
        }
        Ok(search.report)
    }
}

/// Where all patterns stand.
type State = Box<[Positions]>;
/// A page and where matching stood at it.
type Key = ([u8; 16], u32);
/// A match by its path from where a page's entries are, with the slash before it.
type Relative = (Vec<u8>, Rc<Entry>);

/// What is in and below a page.
#[derive(Clone)]
enum Known {
    Nothing,
    Few(Rc<[Relative]>),
}

struct Search<'a> {
    reader: &'a Reader<'a>,
    query: &'a Query,
    progress: Progress<'a>,
    /// Every state met, and its number.
    states: Vec<State>,
    numbers: HashMap<State, u32>,
    memo: HashMap<Key, Known>,
    /// Matches in the memo.
    matches: usize,
    report: FindReport,
}

/// What is to be done with an entry of interest.
enum Step {
    Match(Rc<Entry>),
    /// Go into the page of a folder, or into a part of the same folder, which has no name.
    Enter {
        name: Vec<u8>,
        node: Reference,
        state: u32,
        depth: u32,
    },
}

/// A page that is being gone through.
struct Frame {
    key: Key,
    steps: std::vec::IntoIter<Step>,
    /// Length of the path of the folder.
    base: usize,
    /// What was found so far, unless that is more than a few.
    found: Option<Vec<Relative>>,
}

impl Search<'_> {
    fn snapshot(&mut self, snapshot: &Snapshot, each: &mut EachMatch<'_>) -> Result<(), RepoError> {
        let start: State = self.query.patterns.iter().map(Pattern::start).collect();
        let start = self.number(&start);
        let (mut path, mut stack) = (Vec::new(), Vec::new());
        self.enter(snapshot, snapshot.root(), start, 0, &mut path, &mut stack, each)?;
        while let Some(frame) = stack.last_mut() {
            path.truncate(frame.base);
            match frame.steps.next() {
                Some(Step::Match(entry)) => {
                    path.push(b'/');
                    path.extend_from_slice(&entry.name);
                    self.report.matches += 1;
                    each(snapshot, &path, &entry)?;
                    frame.keep((path[frame.base..].to_vec(), entry));
                }
                Some(Step::Enter { name, node, state, depth }) => {
                    if !name.is_empty() {
                        path.push(b'/');
                        path.extend_from_slice(&name);
                    }
                    self.enter(snapshot, node, state, depth, &mut path, &mut stack, each)?;
                }
                None => {
                    let done = stack.pop().expect("it was the last");
                    self.leave(done, &path, stack.last_mut());
                }
            }
        }
        Ok(())
    }

    /// Looks at a page, or tells what is known of it.
    #[expect(clippy::too_many_arguments, reason = "the state of one walk, which only its two functions share")]
    fn enter(
        &mut self,
        snapshot: &Snapshot,
        node: Reference,
        state: u32,
        depth: u32,
        path: &mut Vec<u8>,
        stack: &mut Vec<Frame>,
        each: &mut EachMatch<'_>,
    ) -> Result<(), RepoError> {
        self.progress.check()?;
        let key = (*node.id.as_bytes().first_chunk().expect("32 bytes"), state);
        if let Some(known) = self.memo.get(&key) {
            if let Known::Few(matches) = known.clone() {
                let base = path.len();
                for (relative, entry) in &*matches {
                    path.truncate(base);
                    path.extend_from_slice(relative);
                    self.report.matches += 1;
                    each(snapshot, path, entry)?;
                    if let Some(above) = stack.last_mut() {
                        above.keep((path[above.base..].to_vec(), entry.clone()));
                    }
                }
            }
            return Ok(());
        }
        let steps = match self.steps(node, state, depth) {
            Ok(steps) => steps,
            Err(error @ (RepoError::Damaged { .. } | RepoError::MissingChunk { .. })) => {
                let folder = if path.is_empty() { "/".to_owned() } else { shown(path) };
                let text = format!(
                    "`{folder}` in snapshot {} cannot be read whole, so not all of it was searched: {error}",
                    snapshot.id.short()
                );
                self.progress.monitor.warning(&text);
                self.report.unreadable += 1;
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        stack.push(Frame { key, steps: steps.into_iter(), base: path.len(), found: Some(Vec::new()) });
        Ok(())
    }

    /// The entries of a page that matter.
    fn steps(&mut self, node: Reference, number: u32, depth: u32) -> Result<Vec<Step>, RepoError> {
        let damaged =
            |flaw: Malformed| RepoError::Damaged { name: format!("chunk {}", node.id), flaw: Flaw::from(flaw) };
        if depth > NODES_DEEP {
            return Err(damaged(Malformed("nodes nested too deeply")));
        }
        let bytes = self.reader.tree().page(node)?;
        self.report.pages += 1;
        let mut steps = Vec::new();
        let entries = match Page::read(&bytes).map_err(damaged)? {
            Page::Inner(nodes) => {
                let part = |node| Step::Enter { name: Vec::new(), node, state: number, depth: depth + 1 };
                return Ok(nodes.into_iter().map(part).collect());
            }
            Page::Leaf(entries) => entries,
        };
        self.progress.monitor.count(Counter::Entries, entries.len() as u64);
        let state = self.states[number as usize].clone();
        let mut next = state.clone();
        for entry in entries.iter().filter(|entry| entry.kind != REDACTED) {
            let mut is_match = false;
            for ((pattern, at), next) in self.query.patterns.iter().zip(&*state).zip(&mut next) {
                let after = pattern.step(*at, entry.name);
                is_match |= pattern.accepts(after);
                *next = pattern.below(after);
            }
            if is_match && let Some(entry) = self.wanted(entry).map_err(damaged)? {
                steps.push(Step::Match(Rc::new(entry)));
            }
            if entry.kind == FOLDER && next.iter().any(|at| *at != 0) {
                let (name, node) = (entry.name.to_vec(), entry.node().map_err(damaged)?);
                let state = if next == state { number } else { self.number(&next) };
                steps.push(Step::Enter { name, node, state, depth: 0 });
            }
        }
        Ok(steps)
    }

    /// The number of a state.
    fn number(&mut self, state: &State) -> u32 {
        if let Some(number) = self.numbers.get(state) {
            return *number;
        }
        let number = u32::try_from(self.states.len()).expect("fewer states than pages");
        self.states.push(state.clone());
        self.numbers.insert(state.clone(), number);
        number
    }

    /// The entry, if it is one of those searched for by more than its name.
    fn wanted(&self, skimmed: &Skimmed<'_>) -> Result<Option<Entry>, Malformed> {
        let kind = match skimmed.kind {
            FILE => Some(EntryKind::File),
            FOLDER => Some(EntryKind::Folder),
            SYMLINK => Some(EntryKind::Symlink),
            _ => None,
        };
        let kinds = &self.query.kinds;
        if !kinds.is_empty() && kind.is_none_or(|kind| !kinds.contains(&kind)) {
            return Ok(None);
        }
        let entry = skimmed.entry()?;
        // A time that no calendar has is before or after them all.
        let time = (entry.mtime.seconds, entry.mtime.nanoseconds);
        let of = |time: DateTime<Utc>| (time.timestamp(), time.timestamp_subsec_nanos());
        let fits = self.query.newer.is_none_or(|newer| time >= of(newer))
            && self.query.older.is_none_or(|older| time < of(older));
        Ok(Some(entry).filter(|_| fits))
    }

    /// Remembers what a page holds, and says it to the page above.
    fn leave(&mut self, done: Frame, path: &[u8], above: Option<&mut Frame>) {
        if let Some(above) = above {
            match &done.found {
                Some(found) => {
                    for (relative, entry) in found {
                        above.keep(([&path[above.base..done.base], relative].concat(), entry.clone()));
                    }
                }
                None => above.found = None,
            }
        }
        let Some(found) = done.found.filter(|_| self.memo.len() < MEMO_MAX) else { return };
        if found.is_empty() {
            self.memo.insert(done.key, Known::Nothing);
        } else if self.matches + found.len() <= MATCHES_MAX {
            self.matches += found.len();
            self.memo.insert(done.key, Known::Few(found.into()));
        }
    }
}

impl Frame {
    fn keep(&mut self, found: Relative) {
        match &mut self.found {
            Some(few) if few.len() < FEW => few.push(found),
            // Of more than a few it is only remembered that they are many.
            other => *other = None,
        }
    }
}
