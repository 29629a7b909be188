//! Leading a run: what the walk meets is compared, read if it has to be, and written into the tree in the order of the walk.

use std::collections::VecDeque;
use std::sync::Arc;

use sb_crypto::TreeHasher;
use sb_source::{Entry as Found, EntryPath, Event, Kind, Problem, Source};

use super::PROBLEMS_KEPT;
use super::cache::{CacheWriter, FolderRecord};
use super::compare::{Rule, Same, reusable};
use super::file::{FileJob, Reading};
use super::links::Links;
use super::past::Past;
use super::previous::{Previous, Was};
use super::store::Store;
use super::tree::Open;
use crate::clock::Counter;
use crate::error::RepoError;
use crate::tree::PageWriter;
use crate::wire::node::Reference;
use crate::wire::snapshot::Counts;

/// So many steps of the walk wait for files that are being read.
const WINDOW: usize = 2048;
/// Small files are handed out together, up to so many and so many bytes.
const BATCH_FILES: usize = 32;
const BATCH_BYTES: u64 = 512 << 10;

/// How many files there are of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Not there in the run before, or nothing is known of it.
    pub new: u64,
    /// There, and with another content or other metadata.
    pub changed: u64,
    /// As they were, whether they were read or not.
    pub unchanged: u64,
}

/// The leader of a run.
pub(super) struct Lead<'s, 'a> {
    pub(super) store: &'s Store<'a>,
    pub(super) source: &'a dyn Source,
    pub(super) rule: Rule,
    pub(super) previous: Previous<'s>,
    pub(super) past: Past,
    pub(super) cache: Option<CacheWriter>,
    pub(super) links: Links,
    /// Steps that come before one that waits.
    pending: VecDeque<Step>,
    batch: Vec<FileJob<'a>>,
    batch_bytes: u64,
    pub(super) open: Vec<Open>,
    /// The root node, once the walk is over.
    pub(super) root: Option<Reference>,
    pub(super) counts: Counts,
    pub(super) changes: Changes,
    pub(super) documents: TreeHasher,
    pub(super) problems: Vec<Problem>,
    pub(super) problem_count: u64,
}

/// A step of the walk on its way into the tree.
pub(super) enum Step {
    Problem(Problem),
    Enter(Found),
    Leave(Option<FolderRecord>),
    /// A file that is being read, perhaps by way of another of its names, and what was known of it.
    Reading(EntryPath, Arc<Reading>, Option<Was>),
    /// Anything that need not be read, or has no content.
    Other(Found, Option<Was>, Same),
}

impl<'s, 'a> Lead<'s, 'a> {
    pub(super) fn new(
        store: &'s Store<'a>,
        source: &'a dyn Source,
        rule: Rule,
        previous: Previous<'s>,
        cache: Option<CacheWriter>,
    ) -> Self {
        Self {
            store,
            source,
            rule,
            previous,
            past: Past::default(),
            cache,
            links: Links::default(),
            pending: VecDeque::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            open: Vec::new(),
            root: None,
            counts: Counts::default(),
            changes: Changes::default(),
            documents: TreeHasher::new(),
            problems: Vec::new(),
            problem_count: 0,
        }
    }

    /// Goes through the source and stores it; its root node, and where the list of problems is.
    pub(super) fn go(&mut self) -> Result<(Reference, Option<Reference>), RepoError> {
        self.walk()?;
        // Whoever listens may have seen enough.
        self.store.progress.check()?;
        let problems = self.store_problems()?;
        let root = match self.root {
            Some(root) => root,
            // A source without any folder, not even the root.
            None => PageWriter::default().finish(&mut self.store)?,
        };
        Ok((root, problems))
    }

    fn walk(&mut self) -> Result<(), RepoError> {
        // Alone, one file is done before the walk goes on.
        let window = if self.store.crew.threads() > 1 { WINDOW } else { 0 };
        for event in self.source.walk() {
            self.store.progress.check()?;
            let step = self.meet(event)?;
            for node in self.previous.take_pages().into_iter().flatten() {
                if !self.rule.exact {
                    self.past.expect(node);
                }
            }
            if self.pending.is_empty() && !matches!(step, Step::Reading(..)) {
                self.resolve(step)?;
                continue;
            }
            self.pending.push_back(step);
            self.resolve_pending(window)?;
        }
        self.hand_out();
        self.resolve_pending(0)
    }

    /// Takes steps into the tree, as far as they are ready, and waits until no more than `most` are left.
    fn resolve_pending(&mut self, most: usize) -> Result<(), RepoError> {
        while let Some(step) = self.pending.front() {
            if let Step::Reading(_, reading, _) = step
                && reading.get().is_none()
            {
                if self.pending.len() <= most {
                    return Ok(());
                }
                let reading = Arc::clone(reading);
                self.wait_for(&reading)?;
            }
            let step = self.pending.pop_front().expect("just seen");
            self.resolve(step)?;
        }
        Ok(())
    }

    /// What is to be done about something the walk has met.
    fn meet(&mut self, event: Event) -> Result<Step, RepoError> {
        Ok(match event {
            Event::Problem(problem) => Step::Problem(problem),
            Event::Enter(found) => {
                self.previous.enter(found.name());
                self.store.progress.monitor.at(found.path.as_bytes());
                Step::Enter(found)
            }
            Event::Leave => Step::Leave(self.previous.leave()),
            Event::Entry(found) => {
                let was = self.previous.find(found.name());
                let same = match &was {
                    Some(Was::Cached(record)) => reusable(self.store, &self.rule, record, &found)?,
                    _ => Same::Nothing,
                };
                if found.kind != Kind::File || same != Same::Nothing {
                    return Ok(Step::Other(found, was, same));
                }
                let path = found.path.clone();
                let shared = self.links.reading(&found.metadata);
                Step::Reading(path, shared.unwrap_or_else(|| self.read(found)), was)
            }
        })
    }

    /// Has a file read.
    pub(super) fn read(&mut self, found: Found) -> Arc<Reading> {
        self.batch_bytes += found.metadata.size;
        let reading = Arc::new(Reading::new(found));
        if reading.entry.metadata.links > 1 {
            self.links.keep(&reading.entry.metadata, &reading);
        }
        self.batch.push(FileJob { source: self.source, reading: Arc::clone(&reading) });
        if self.batch.len() >= BATCH_FILES || self.batch_bytes >= BATCH_BYTES {
            self.hand_out();
        }
        reading
    }

    /// Waits until a file has been read.
    pub(super) fn wait_for(&mut self, reading: &Reading) -> Result<(), RepoError> {
        self.hand_out();
        self.store.go_on()?;
        self.store.help_until(|_| reading.get().is_some())
    }

    fn hand_out(&mut self) {
        if !self.batch.is_empty() {
            self.batch_bytes = 0;
            self.store.crew.add(std::mem::take(&mut self.batch));
        }
    }

    /// Records a problem of the source.
    pub(super) fn problem(&mut self, problem: Problem) {
        self.store.progress.monitor.problem(&problem);
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_KEPT {
            self.problems.push(problem);
        }
    }

    pub(super) fn count_entry(&self) {
        self.store.progress.monitor.count(Counter::Entries, 1);
    }
}
