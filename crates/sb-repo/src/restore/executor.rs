//! Restoring window by window.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use sb_crypto::{Digest, Sha256};
use sb_source::{EntryPath, FolderId, IfTaken, Target, TargetError, TargetFolder};

use super::aside::Aside;
use super::plan::{Needs, Piece, rounds};
use super::segments::{ROOM, Segments, place};
use super::walker::is_fatal;
use super::window::{Step, Task, Window};
use super::{RestoreOptions, RestoreProblem, RestoreReport, content, identity, is_loss};
use crate::clock::{Counter, Deed, Progress};
use crate::error::RepoError;
use crate::ids::DocumentId;
use crate::reader::{Reader, shown};
use crate::wire::entry::{Entry, FileItem, Item};

/// What became of an entry. An error ends the restore.
pub(super) type Attempt = Result<Outcome, RepoError>;

#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) is_there: bool,
    pub(super) problems: Vec<RestoreProblem>,
}

pub(super) struct Executor<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) target: &'a Target,
    pub(super) options: &'a RestoreOptions,
    pub(super) spared: Vec<FolderId>,
    pub(super) progress: Progress<'a>,
    pub(super) cut: usize,
    pub(super) base: usize,
    pub(super) threads: usize,
    pub(super) segments: Segments<'a>,
    pub(super) report: RestoreReport,
    /// Link group → where its first name is, and what it is.
    links: HashMap<DocumentId, (EntryPath, Digest)>,
}

impl<'a> Executor<'a> {
    /// `cut` and `base` are what of a path in the snapshot falls away in the target, and before the filter.
    pub(super) fn new(
        reader: &'a Reader<'a>,
        target: &'a Target,
        options: &'a RestoreOptions,
        progress: Progress<'a>,
        (cut, base): (usize, usize),
        threads: usize,
    ) -> Self {
        let spared = options.spared.iter().filter_map(|folder| Target::id_of(folder)).collect();
        let segments = Segments::new(reader.tree(), ROOM);
        let (report, links) = (RestoreReport::default(), HashMap::new());
        Self { reader, target, options, spared, progress, cut, base, threads, segments, report, links }
    }

    /// Restores a window: first its files, by all threads, then the rest in order, at last the metadata of folders.
    pub(super) fn run(&mut self, window: Window) -> Result<(), RepoError> {
        let steps = window.steps;
        let mut files = if self.options.dry_run { HashMap::new() } else { self.files(&steps)? };
        let mut leaves = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            self.progress.check()?;
            match step {
                Step::File(task) => {
                    let outcome = files.remove(&number).unwrap_or_else(Outcome::there);
                    self.take_in(&task, outcome);
                }
                Step::Large(task) => {
                    let outcome = if self.options.dry_run { Outcome::there() } else { self.large(&task)? };
                    self.take_in(&task, outcome);
                }
                Step::Other(task) => self.other(&task)?,
                Step::Link(task) => self.link(&task)?,
                Step::Same(task, metadata) => self.same(&task, metadata)?,
                Step::Prune(folder, names) => self.prune(&folder, &names)?,
                Step::Leave(leave) => leaves.push(leave),
                Step::Problem(problem) => self.report.problems.push(problem),
            }
        }
        self.leave(&leaves)
    }

    /// Writes the files of a window; what became of each, by its number. After an error the rest is left undone.
    fn files(&mut self, steps: &[Step]) -> Result<HashMap<usize, Outcome>, RepoError> {
        let files: Vec<(usize, &Task)> = steps.iter().enumerate().filter_map(Step::as_file).collect();
        let to_read = |task: &Task| task.pieces.iter().copied().filter(|piece| task.copy(*piece).is_none()).collect();
        let pieces: Vec<Vec<Piece>> = files.iter().map(|(_, task)| to_read(task)).collect();
        let tree = self.reader.tree();
        let raw = |at| place(tree, at).map_or(0, |place| place.raw);
        let (mut done, mut aside) =
            (HashMap::new(), Aside::new(self.target, files.first().map(|(_, task)| &task.folder)));
        let rounds = rounds(&pieces, &raw, ROOM / 2);
        let nothing = Needs::default();
        let mut segments = std::mem::replace(&mut self.segments, Segments::new(tree, ROOM));
        if let Some(first) = rounds.first() {
            segments.load(&first.needs, self.threads);
        }
        for (number, round) in rounds.iter().enumerate() {
            self.progress.check()?;
            for piece in &round.aside {
                if let Some(bytes) = segments.bytes(*piece) {
                    aside.put(*piece, bytes);
                }
            }
            let (this, aside) = (&*self, &aside);
            let attempt =
                |file: &usize, at_hand: &Segments<'_>| (files[*file].0, this.small(files[*file].1, at_hand, aside));
            // While these files are written, what the next need is read.
            let next = rounds.get(number + 1).map_or(&nothing, |next| &next.needs);
            for (number, attempt) in segments.load_beside(next, self.threads, &round.files, &attempt) {
                done.insert(number, attempt?);
            }
        }
        self.segments = segments;
        Ok(done)
    }

    /// A file whose segments are at hand, or what it needs of them set aside.
    fn small(&self, task: &Task, segments: &Segments<'_>, aside: &Aside<'_>) -> Attempt {
        self.progress.check()?;
        let Item::File(file) = &task.entry.item else { return Ok(Outcome::default()) };
        let copied = |piece: Piece| Some(Cow::Owned(task.copy(piece)?.read(self.target, piece.length as usize)?));
        let bytes = |piece: &Piece| {
            let at_hand = segments.bytes(*piece).map(Cow::Borrowed);
            at_hand.or_else(|| aside.get(*piece)).or_else(|| copied(*piece))
        };
        let pieces: Option<Vec<Cow<'_, [u8]>>> = task.pieces.iter().map(bytes).collect();
        match pieces.filter(|pieces| is_content(file, pieces)) {
            Some(pieces) => self.attempt(task, |problems| self.write(task, file, &pieces, problems)),
            None => self.careful(task, file),
        }
    }

    fn write(
        &self,
        task: &Task,
        file: &FileItem,
        pieces: &[Cow<'_, [u8]>],
        problems: &mut Vec<RestoreProblem>,
    ) -> Result<(), RepoError> {
        let holes = or_none(self.reader.tree().holes(file), &task.path, "holes", problems)?;
        let writer = task.folder.open(self.target)?.file(&task.entry.name, file.size)?;
        if holes.is_empty() {
            writer.reserve()?;
        }
        let mut offset = 0;
        for bytes in pieces {
            content::write(&writer, &holes, offset, bytes)?;
            offset += bytes.len() as u64;
        }
        self.progress.monitor.count(Counter::Bytes, file.size);
        self.commit(task, writer, problems)
    }

    /// Reads a file chunk by chunk, from wherever each can be had, and says what is wrong with it.
    pub(super) fn careful(&self, task: &Task, file: &FileItem) -> Attempt {
        self.attempt(task, |problems| {
            let holes = or_none(self.reader.tree().holes(file), &task.path, "holes", problems)?;
            let writer = task.folder.open(self.target)?.file(&task.entry.name, file.size)?;
            let mut offset = 0;
            self.reader.content(&task.path, file, self.progress, &mut |chunk| {
                content::write(&writer, &holes, offset, chunk)?;
                offset += chunk.len() as u64;
                Ok(())
            })?;
            self.commit(task, writer, problems)
        })
    }

    pub(super) fn commit(
        &self,
        task: &Task,
        writer: sb_source::FileWriter,
        problems: &mut Vec<RestoreProblem>,
    ) -> Result<(), RepoError> {
        let metadata = self.metadata(&task.path, &task.entry, problems)?;
        let unset = writer.commit_as(&metadata, task.if_taken)?;
        problems.extend(unset.into_iter().map(RestoreProblem::Metadata));
        Ok(())
    }

    /// Tells errors that cost this entry from those that end the restore.
    pub(super) fn attempt(
        &self,
        task: &Task,
        write: impl FnOnce(&mut Vec<RestoreProblem>) -> Result<(), RepoError>,
    ) -> Attempt {
        let mut problems = Vec::new();
        let is_there = match write(&mut problems) {
            Ok(()) => true,
            Err(RepoError::Target(error)) if !is_fatal(&error) => {
                problems.push(RestoreProblem::NotWritten(error));
                false
            }
            Err(error) if is_loss(&error) => {
                problems.push(RestoreProblem::Lost { path: shown(&task.path), error });
                false
            }
            Err(error) => return Err(error),
        };
        Ok(Outcome { is_there, problems })
    }

    pub(super) fn metadata(
        &self,
        path: &[u8],
        entry: &Entry,
        problems: &mut Vec<RestoreProblem>,
    ) -> Result<sb_source::Metadata, RepoError> {
        let xattrs = or_none(self.reader.tree().xattrs(entry), path, "extended attributes", problems)?;
        Ok(entry.metadata(xattrs))
    }

    /// Counts a file that was tried.
    fn take_in(&mut self, task: &Task, Outcome { is_there, problems }: Outcome) {
        self.report.problems.extend(problems);
        if let (true, Item::File(file)) = (is_there, &task.entry.item) {
            self.count_file(task, file.size);
            self.keep_link(task);
            if file.inconsistent {
                self.report.problems.push(RestoreProblem::Inconsistent { path: shown(&task.path) });
            }
        }
    }

    fn count_file(&mut self, task: &Task, bytes: u64) {
        self.report.files += 1;
        self.report.bytes += bytes;
        self.progress.monitor.count(Counter::Files, 1);
        self.tell(task);
    }

    fn tell(&mut self, task: &Task) {
        let deed = if task.if_taken == IfTaken::Replace { Deed::Overwritten } else { Deed::Made };
        self.report.overwritten += u64::from(deed == Deed::Overwritten);
        self.progress.monitor.restored(deed, &task.path[self.cut..]);
    }

    /// Another name of what is restored already, or else restored itself.
    fn link(&mut self, task: &Task) -> Result<(), RepoError> {
        let linked = self.try_link(task);
        match (linked, &task.entry.item) {
            (Some(Ok(())), Item::File(_)) => self.count_file(task, 0),
            (Some(Ok(())), _) => {
                self.report.others += 1;
                self.tell(task);
            }
            (Some(Err(error)), _) => self.report.problems.push(not_written(error)?),
            (None, Item::File(_)) if self.options.dry_run => self.count_file(task, 0),
            (None, Item::File(_)) => {
                let outcome = self.large(task)?;
                self.take_in(task, outcome);
            }
            (None, _) => self.other(task)?,
        }
        Ok(())
    }

    /// Makes the entry another name of what is restored already; `None` if it has to be restored itself.
    fn try_link(&self, task: &Task) -> Option<Result<(), TargetError>> {
        let (first, is) = self.links.get(&task.entry.link_group?)?;
        if *is != identity(&task.entry.item) {
            return None;
        }
        if self.options.dry_run {
            return Some(Ok(()));
        }
        let folder = first
            .parent()
            .map_or_else(|| Err(TargetError::IsAFolder { path: first.clone() }), |parent| self.target.folder(&parent));
        let linked = folder.and_then(|from| {
            let folder = task.folder.open(self.target)?;
            folder.hard_link(&from, first.file_name(), &task.entry.name, task.if_taken)
        });
        match linked {
            // Not every file system has links; a copy has the same content.
            Err(TargetError::Failed { .. } | TargetError::Denied { .. } | TargetError::Unsupported { .. }) => None,
            done => Some(done),
        }
    }

    fn keep_link(&mut self, task: &Task) {
        if let (Some(group), Ok(place)) = (task.entry.link_group, EntryPath::new(&task.path[self.cut..])) {
            self.links.insert(group, (place, identity(&task.entry.item)));
        }
    }

    fn other(&mut self, task: &Task) -> Result<(), RepoError> {
        let kind = task.entry.kind().expect("redacted entries do not come here");
        if !self.options.dry_run {
            let folder = task.folder.open(self.target);
            let made = folder.and_then(|folder| folder.special(&task.entry.name, &kind, task.if_taken));
            if let Err(error) = made {
                self.report.problems.push(not_written(error)?);
                return Ok(());
            }
            self.set_metadata(task)?;
        }
        self.report.others += 1;
        self.tell(task);
        self.keep_link(task);
        Ok(())
    }

    fn same(&mut self, task: &Task, metadata: bool) -> Result<(), RepoError> {
        if metadata && !self.options.dry_run {
            self.set_metadata(task)?;
        }
        self.keep_link(task);
        Ok(())
    }

    fn set_metadata(&mut self, task: &Task) -> Result<(), RepoError> {
        let mut problems = Vec::new();
        let mut metadata = self.metadata(&task.path, &task.entry, &mut problems)?;
        let are_lost = !problems.is_empty();
        let kind = task.entry.kind().expect("redacted entries do not come here");
        let set = |folder: Arc<TargetFolder>| {
            if are_lost {
                // Attributes that are lost in the vault may well be there.
                metadata.xattrs = folder.xattrs(&task.entry.name);
            }
            folder.set_metadata(&task.entry.name, &kind, &metadata)
        };
        match task.folder.open(self.target).and_then(set) {
            Ok(unset) => problems.extend(unset.into_iter().map(RestoreProblem::Metadata)),
            Err(error) => problems.push(not_written(error)?),
        }
        self.report.problems.extend(problems);
        Ok(())
    }
}

impl Outcome {
    fn there() -> Self {
        Self { is_there: true, problems: Vec::new() }
    }
}

impl Step {
    fn as_file((number, step): (usize, &Self)) -> Option<(usize, &Task)> {
        if let Self::File(task) = step { Some((number, task)) } else { None }
    }
}

/// True if the pieces together are what the file is to be.
fn is_content(file: &FileItem, pieces: &[Cow<'_, [u8]>]) -> bool {
    let mut hash = Sha256::new();
    pieces.iter().for_each(|bytes| hash.update(bytes));
    let size: u64 = pieces.iter().map(|bytes| bytes.len() as u64).sum();
    size == file.size && hash.finish() == file.sha256
}

/// What is best restored without it if it is lost.
pub(super) fn or_none<T>(
    read: Result<Vec<T>, RepoError>,
    path: &[u8],
    what: &'static str,
    problems: &mut Vec<RestoreProblem>,
) -> Result<Vec<T>, RepoError> {
    match read {
        Err(error) if is_loss(&error) => {
            problems.push(RestoreProblem::Degraded { path: shown(path), what, error });
            Ok(Vec::new())
        }
        other => other,
    }
}

pub(super) fn not_written(error: TargetError) -> Result<RestoreProblem, RepoError> {
    if is_fatal(&error) { Err(error.into()) } else { Ok(RestoreProblem::NotWritten(error)) }
}
