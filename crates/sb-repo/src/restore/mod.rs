//! Restoring: each file is rebuilt, compared with its SHA-256, and only then given its name.
//!
//! One thread walks the tree, makes folders and gathers what is in them into windows. The segments of a
//! window are read once each, in the order in which they lie in the vault, and its files are written by all threads.

mod aside;
mod content;
mod crew;
mod executor;
mod levels;
mod overwrite;
mod plan;
mod segments;
mod stream;
mod walker;
mod window;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;

use sb_crypto::{Digest, sha256};
use sb_source::{Filter, MetadataProblem, Target, TargetError, Verdict};

use crate::clock::Progress;
use crate::error::RepoError;
use crate::reader::Reader;
use crate::snapshots::Snapshot;
use crate::tree::{Found, Step, walk};
use crate::wire::cbor::Fields;
use crate::wire::entry::{Entry, Item};
use executor::Executor;
use levels::Levels;
use walker::{HandOver, Walker, first_level};
use window::Window;

pub use overwrite::Overwrite;

/// How a restore is made.
///
/// ```
/// use sb_repo::{Overwrite, RestoreOptions};
/// use sb_source::Filter;
///
/// let filter = Filter::new(["/2025/"], ["*.tmp"])?;
/// let options = RestoreOptions::default().with_overwrite(Overwrite::IfChanged).with_filter(filter).with_delete(true);
/// # Ok::<(), sb_source::SelectionError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// Give the target folder itself the metadata of the folder that is restored. Default: no.
    pub root_metadata: bool,
    /// Restore to the path in the snapshot, with the folders above it, instead of right into the target. Default: no.
    pub full_paths: bool,
    /// What to do with what is there. Default: replace it.
    pub overwrite: Overwrite,
    /// What to restore, by patterns that are matched below the path restored. Default: everything.
    pub filter: Filter,
    /// Remove from folders that are restored whole what the snapshot does not have in them. Folders above the sources, new
    /// ones, those with unreadable parts and other file systems are left alone, and so is what the filter leaves out.
    /// Default: no.
    pub delete: bool,
    /// Write nothing, only say what would be. Default: no.
    pub dry_run: bool,
    /// In a dry run: the target's folder does not exist, so that nothing can be in the way; the one given is not looked at.
    /// Default: no.
    pub absent_target: bool,
    /// Folders of this machine in which nothing is written or removed. Default: none.
    pub spared: Vec<PathBuf>,
    /// Threads to work with; with 1 everything happens on the caller's, in order. Default, and 0: as many as the machine has.
    pub threads: usize,
}

impl RestoreOptions {
    /// The same with [`root_metadata`](Self::root_metadata) as given.
    #[must_use]
    pub fn with_root_metadata(mut self, yes: bool) -> Self {
        self.root_metadata = yes;
        self
    }

    /// The same with [`full_paths`](Self::full_paths) as given.
    #[must_use]
    pub fn with_full_paths(mut self, yes: bool) -> Self {
        self.full_paths = yes;
        self
    }

    /// The same with [`overwrite`](Self::overwrite) as given.
    #[must_use]
    pub fn with_overwrite(mut self, policy: Overwrite) -> Self {
        self.overwrite = policy;
        self
    }

    /// The same with [`filter`](Self::filter) as given.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// The same with [`delete`](Self::delete) as given.
    #[must_use]
    pub fn with_delete(mut self, yes: bool) -> Self {
        self.delete = yes;
        self
    }

    /// The same with [`dry_run`](Self::dry_run) as given.
    #[must_use]
    pub fn with_dry_run(mut self, yes: bool) -> Self {
        self.dry_run = yes;
        self
    }

    /// The same with [`absent_target`](Self::absent_target) as given.
    #[must_use]
    pub fn with_absent_target(mut self, yes: bool) -> Self {
        self.absent_target = yes;
        self
    }

    /// The same with [`spared`](Self::spared) as given.
    #[must_use]
    pub fn with_spared(mut self, folders: Vec<PathBuf>) -> Self {
        self.spared = folders;
        self
    }

    /// The same with [`threads`](Self::threads) as given.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}

/// What a restore did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Files restored.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Links, FIFOs, sockets, devices.
    pub others: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Of the files and others, those that took the place of what was there.
    pub overwritten: u64,
    /// Files and others that were there already as they are in the snapshot; not among those restored.
    pub unchanged: u64,
    /// Files and others that were not restored because something else is there that stays.
    pub kept: u64,
    /// What was removed: everything, folders too.
    pub deleted: u64,
    /// What is not there, or not as it was.
    pub problems: Vec<RestoreProblem>,
}

/// Something that was not restored as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreProblem {
    /// The vault does not have it any more. Nothing was put in its place.
    #[error("`{path}` is lost: {error}")]
    Lost {
        /// The path in the snapshot.
        path: String,
        /// Why.
        error: RepoError,
    },
    /// It could not be written.
    #[error("{0}")]
    NotWritten(TargetError),
    /// It is there, but without this.
    #[error("{0}")]
    Metadata(MetadataProblem),
    /// It is there, but what else was to be read of it is lost.
    #[error("`{path}` is restored without its {what}: {error}")]
    Degraded {
        /// The path in the snapshot.
        path: String,
        /// What is missing.
        what: &'static str,
        /// Why.
        error: RepoError,
    },
    /// It was lawfully disposed of.
    #[error("`{path}`: {documents} documents were disposed of")]
    Disposed {
        /// The folder.
        path: String,
        /// How many.
        documents: usize,
    },
    /// It was restored as it was read, which was while it changed.
    #[error("`{path}` changed while it was backed up and may not be consistent")]
    Inconsistent {
        /// The path in the snapshot.
        path: String,
    },
}

impl RestoreReport {
    /// Adds what another part of the same restore did.
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.folders += other.folders;
        self.others += other.others;
        self.bytes += other.bytes;
        self.overwritten += other.overwritten;
        self.unchanged += other.unchanged;
        self.kept += other.kept;
        self.deleted += other.deleted;
        self.problems.extend(other.problems);
    }

    /// True if something is lost, because the vault is damaged.
    pub fn is_damaged(&self) -> bool {
        let lost = |problem: &_| matches!(problem, RestoreProblem::Lost { .. } | RestoreProblem::Degraded { .. });
        self.problems.iter().any(lost)
    }
}

impl Reader<'_> {
    /// Restores what is at `path`: what is in a folder goes into the target, anything else under its own name. The root
    /// restores everything under its absolute path.
    ///
    /// A file is given its name only after its SHA-256 has been compared. What is in the way is replaced unless the options say
    /// otherwise, but a folder never is. Nothing is written outside the target. Where the file system takes two names for one, the
    /// second is not restored. What an earlier restore into the same place has left unfinished is removed.
    ///
    /// # Errors
    /// [`RepoError::NoSuchPath`], [`RepoError::Target`] if the target is full or can't be used at all, and
    /// [`RepoError::Interrupted`]. What else goes wrong is in the report.
    pub fn restore(
        &self,
        snapshot: &Snapshot,
        path: &[u8],
        target: &Target,
        options: RestoreOptions,
        progress: Progress<'_>,
    ) -> Result<RestoreReport, RepoError> {
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let start = Start::find(self, snapshot, path, &options)?;
        let threads = if options.threads == 0 { crew::available() } else { options.threads };
        let mut executor = Executor::new(self, target, &options, progress, (start.cut, start.base), threads);
        if threads == 1 || options.dry_run {
            let walked = self.walk(&start, target, &options, progress, &mut |window| executor.run(window))?;
            executor.report.add(walked);
        } else {
            let walked = thread::scope(|scope| {
                let (sender, receiver) = sync_channel::<Window>(0);
                let executor = &mut executor;
                let worker = scope.spawn(move || receiver.iter().try_for_each(|window| executor.run(window)));
                // It goes away only if it failed, which is then what went wrong.
                let mut hand_over = |window| sender.send(window).map_err(|_| RepoError::Interrupted);
                let walked = self.walk(&start, target, &options, progress, &mut hand_over);
                drop(sender);
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                walked
            })?;
            executor.report.add(walked);
        }
        if !options.dry_run {
            target.sync()?;
        }
        Ok(executor.report)
    }

    /// Walks the tree and hands on what is to be done; what the walk did itself.
    fn walk(
        &self,
        start: &Start,
        target: &Target,
        options: &RestoreOptions,
        progress: Progress<'_>,
        hand_over: &mut HandOver<'_>,
    ) -> Result<RestoreReport, RepoError> {
        let spared: Vec<_> = options.spared.iter().filter_map(|folder| Target::id_of(folder)).collect();
        // Above what is restored nothing is decided yet.
        let is_above = options.full_paths && matches!(start.found, Found::Entry(_));
        let verdict = if is_above { Verdict::Undecided } else { options.filter.start() };
        let mut walker = Walker {
            reader: self,
            options,
            spared: &spared,
            progress,
            levels: Levels::new(target, first_level(target, verdict, options)?),
            window: Window::default(),
            number: 0,
            hand_over,
            cut: start.cut,
            base: start.base,
            links: HashMap::new(),
            report: RestoreReport::default(),
        };
        walker.watch_for_others(0, start.is_ancestor())?;
        start.walk(self, &mut walker)?;
        let Walker { window, report, hand_over, .. } = walker;
        hand_over(window)?;
        Ok(report)
    }
}

/// Where a restore begins.
struct Start {
    path: Vec<u8>,
    found: Found,
    /// The folders above, if they are restored too, and how long their paths are.
    above: Vec<(usize, Entry)>,
    cut: usize,
    base: usize,
    root_metadata: bool,
    /// True if everything was backed up, from the root of the file system on.
    whole: bool,
}

impl Start {
    fn find(
        reader: &Reader<'_>,
        snapshot: &Snapshot,
        path: &[u8],
        options: &RestoreOptions,
    ) -> Result<Self, RepoError> {
        let found = reader.found(snapshot, path)?;
        let parent = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let base = if found.node().is_some() { path.len() } else { parent };
        let mut above = Vec::new();
        if options.full_paths {
            for end in (1..path.len()).filter(|end| path[*end] == b'/') {
                if let Found::Entry(entry) = reader.found(snapshot, &path[..end])? {
                    above.push((end, *entry));
                }
            }
        }
        let cut = if options.full_paths { 0 } else { base };
        let whole = snapshot.sources().iter().any(|source| source == b"/");
        let root_metadata = options.root_metadata && !options.full_paths;
        Ok(Self { path: path.to_vec(), found, above, cut, base, root_metadata, whole })
    }

    /// True if only some entries of the folder that goes into the target were backed up.
    fn is_ancestor(&self) -> bool {
        match &self.found {
            Found::Root(_) => !self.whole,
            Found::Entry(entry) => !matches!(entry.item, Item::Folder { ancestor: false, .. }),
        }
    }

    fn walk(&self, reader: &Reader<'_>, walker: &mut Walker<'_>) -> Result<(), RepoError> {
        for (end, entry) in &self.above {
            walker.enter(&self.path[..*end], entry, Verdict::Undecided)?;
        }
        match (&self.found, self.found.node()) {
            (Found::Entry(entry), Some(node)) if walker.options.full_paths => {
                if walker.enter(&self.path, entry, walker.options.filter.start())? {
                    below(reader, walker, node, &self.path)?;
                    walker.leave(&self.path, entry)?;
                }
            }
            (found, Some(node)) => {
                below(reader, walker, node, &self.path)?;
                let level = walker.levels.way.pop().expect("the target's folder");
                walker.end_first(&self.path, level, found, self.root_metadata)?;
            }
            (Found::Entry(entry), None) => walker.only(&self.path, entry)?,
            (Found::Root(_), None) => unreachable!("the root is a folder"),
        }
        for (end, entry) in self.above.iter().rev() {
            walker.leave(&self.path[..*end], entry)?;
        }
        Ok(())
    }
}

/// Restores what is in a folder.
fn below(
    reader: &Reader<'_>,
    walker: &mut Walker<'_>,
    node: crate::wire::node::Reference,
    start: &[u8],
) -> Result<(), RepoError> {
    walk(reader.tree(), node, start, &mut |path, step| match step {
        Step::Entry(entry) => walker.entry(path, entry),
        Step::Leave(entry) => walker.leave(path, entry).map(|()| true),
        Step::Unreadable(error) => walker.unreadable(path, error).map(|()| true),
    })
}

/// Tells names of one thing from those of another that has got its inode meanwhile.
fn identity(item: &Item) -> Digest {
    match item {
        Item::File(file) => file.sha256,
        other => sha256(&other.encode(Fields::new()).encode()),
    }
}

/// True for what costs the entry it touches; anything else ends the restore.
fn is_loss(error: &RepoError) -> bool {
    matches!(
        error,
        RepoError::Damaged { .. }
            | RepoError::MissingChunk { .. }
            | RepoError::WrongContent { .. }
            | RepoError::UnsupportedFeature { .. }
    )
}
