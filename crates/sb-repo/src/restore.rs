//! Restoring: each file is rebuilt, compared with its SHA-256, and only then given its name.

use std::collections::HashMap;

use sb_crypto::Digest;
use sb_source::{EntryPath, Kind, MetadataProblem, Target, TargetError};

use crate::clock::{Counter, Progress};
use crate::error::RepoError;
use crate::ids::DocumentId;
use crate::reader::{Reader, shown};
use crate::snapshots::Snapshot;
use crate::tree::{Found, Step, walk};
use crate::wire::entry::{Entry, FileItem, Item};
use crate::wire::node::Reference;

/// How a restore is made.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// Give the target folder itself the metadata of the folder that is restored. Default: no.
    pub root_metadata: bool,
}

impl RestoreOptions {
    /// The same with [`root_metadata`](Self::root_metadata) as given.
    #[must_use]
    pub fn with_root_metadata(mut self, yes: bool) -> Self {
        self.root_metadata = yes;
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
    /// True if something is lost, because the vault is damaged.
    pub fn is_damaged(&self) -> bool {
        self.problems.iter().any(|problem| matches!(problem, RestoreProblem::Lost { .. }))
    }

    /// True if something could not be written to the target.
    pub fn is_incomplete(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| matches!(problem, RestoreProblem::Lost { .. } | RestoreProblem::NotWritten(_)))
    }
}

struct Restore<'a> {
    reader: &'a Reader<'a>,
    target: &'a Target,
    progress: Progress<'a>,
    /// How much of a path in the snapshot falls away in the target.
    cut: usize,
    report: RestoreReport,
    /// Link group → where its first name is, and the content it has.
    links: HashMap<DocumentId, (EntryPath, Digest)>,
}

impl Reader<'_> {
    /// Restores what is at `path`: what is in a folder goes into the target, anything else under its own name. The root
    /// restores everything under its absolute path.
    ///
    /// A file is given its name only after its SHA-256 has been compared. What is in the way is replaced, but a folder never
    /// is. Nothing is written outside the target.
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
        let found = self.found(snapshot, path)?;
        let parent = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let cut = if found.node().is_some() { path.len() } else { parent };
        let (report, links) = (RestoreReport::default(), HashMap::new());
        let mut restore = Restore { reader: self, target, progress, cut, report, links };
        match (found.node(), &found) {
            (Some(node), _) => restore.folder(node, path)?,
            (None, Found::Entry(entry)) => {
                restore.step(path, entry)?;
            }
            (None, Found::Root(_)) => unreachable!("the root is a folder"),
        }
        if let (true, Found::Entry(entry), Some(_)) = (options.root_metadata, &found, found.node()) {
            restore.metadata(entry, path, &EntryPath::root())?;
        }
        target.sync()?;
        Ok(restore.report)
    }
}

impl Restore<'_> {
    fn folder(&mut self, node: Reference, start: &[u8]) -> Result<(), RepoError> {
        walk(self.reader.tree(), node, start, &mut |path, step| {
            self.progress.check()?;
            match step {
                Step::Entry(entry) => self.step(path, entry),
                Step::Leave(entry) => {
                    let place = self.place(path)?;
                    self.metadata(entry, path, &place).map(|()| true)
                }
                Step::Unreadable(error) => {
                    self.report.problems.push(RestoreProblem::Lost { path: shown(path), error });
                    Ok(true)
                }
            }
        })
    }

    /// Where a path of the snapshot goes.
    fn place(&self, path: &[u8]) -> Result<EntryPath, RepoError> {
        let wrong = |_| RepoError::WrongKind { path: shown(path), expected: "path" };
        EntryPath::new(&path[self.cut..]).map_err(wrong)
    }

    /// Restores an entry; false if it is a folder that can't be gone into.
    fn step(&mut self, path: &[u8], entry: &Entry) -> Result<bool, RepoError> {
        self.progress.monitor.count(Counter::Entries, 1);
        if let Item::Redacted { leaves } = &entry.item {
            let path = shown(path.strip_suffix(b"/").unwrap_or(path));
            self.report.problems.push(RestoreProblem::Disposed { path, documents: leaves.len() });
            return Ok(false);
        }
        let place = self.place(path)?;
        let outcome = match &entry.item {
            Item::File(file) => self.file(path, &place, entry, file)?,
            Item::Folder { .. } => self.target.directory(&place).map(|()| self.report.folders += 1),
            _ => self.other(path, &place, entry)?,
        };
        match outcome {
            Ok(()) => Ok(true),
            Err(error @ (TargetError::Full { .. } | TargetError::Unusable { .. })) => Err(error.into()),
            Err(error) => {
                self.report.problems.push(RestoreProblem::NotWritten(error));
                Ok(false)
            }
        }
    }

    fn file(
        &mut self,
        path: &[u8],
        place: &EntryPath,
        entry: &Entry,
        file: &FileItem,
    ) -> Result<Result<(), TargetError>, RepoError> {
        if let Some((first, sha256)) = file.link_group.and_then(|group| self.links.get(&group))
            && *sha256 == file.sha256
        {
            match self.target.hard_link(first, place) {
                Ok(()) => {
                    self.count_file(0);
                    return Ok(Ok(()));
                }
                // Not every file system has links; a copy has the same content.
                Err(TargetError::Failed { .. } | TargetError::Denied { .. } | TargetError::Unsupported { .. }) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        match self.write(path, place, entry, file) {
            Ok(()) => {
                self.count_file(file.size);
                if let Some(group) = file.link_group {
                    self.links.insert(group, (place.clone(), file.sha256));
                }
                if file.inconsistent {
                    self.report.problems.push(RestoreProblem::Inconsistent { path: shown(path) });
                }
                Ok(Ok(()))
            }
            Err(RepoError::Target(error)) => Ok(Err(error)),
            Err(error) => {
                self.lost(path, error)?;
                Ok(Ok(()))
            }
        }
    }

    fn count_file(&mut self, bytes: u64) {
        self.report.files += 1;
        self.report.bytes += bytes;
        self.progress.monitor.count(Counter::Files, 1);
    }

    /// Damage costs the entry it touches; anything else ends the restore.
    fn lost(&mut self, path: &[u8], error: RepoError) -> Result<(), RepoError> {
        match error {
            RepoError::Damaged { .. }
            | RepoError::MissingChunk { .. }
            | RepoError::WrongContent { .. }
            | RepoError::UnsupportedFeature { .. } => {
                self.report.problems.push(RestoreProblem::Lost { path: shown(path), error });
                Ok(())
            }
            error => Err(error),
        }
    }

    fn write(&mut self, path: &[u8], place: &EntryPath, entry: &Entry, file: &FileItem) -> Result<(), RepoError> {
        let xattrs = self.reader.xattrs(entry)?;
        let holes = self.reader.holes(file)?;
        let writer = self.target.file(place, file.size)?;
        let mut offset = 0;
        self.reader.content(path, file, self.progress, &mut |chunk| {
            for (start, end) in outside(&holes, offset, offset + chunk.len() as u64) {
                let within = |at: u64| usize::try_from(at - offset).expect("inside a chunk");
                writer.write_at(start, &chunk[within(start)..within(end)])?;
            }
            offset += chunk.len() as u64;
            Ok(())
        })?;
        let problems = writer.commit(&entry.metadata(xattrs))?;
        self.report.problems.extend(problems.into_iter().map(RestoreProblem::Metadata));
        Ok(())
    }

    fn other(&mut self, path: &[u8], place: &EntryPath, entry: &Entry) -> Result<Result<(), TargetError>, RepoError> {
        let made = match &entry.item {
            Item::Symlink { target } => self.target.symlink(place, target),
            Item::Fifo => self.target.fifo(place),
            Item::Socket => self.target.socket(place),
            _ => self.target.device(place, &entry.kind().expect("redacted entries do not come here")),
        };
        if made.is_ok() {
            self.report.others += 1;
            self.metadata(entry, path, place)?;
        }
        Ok(made)
    }

    fn metadata(&mut self, entry: &Entry, path: &[u8], place: &EntryPath) -> Result<(), RepoError> {
        let xattrs = match self.reader.xattrs(entry) {
            Ok(xattrs) => xattrs,
            Err(error) => return self.lost(path, error),
        };
        let kind = entry.kind().unwrap_or(Kind::File);
        match self.target.apply_metadata(place, &kind, &entry.metadata(xattrs)) {
            Ok(problems) => self.report.problems.extend(problems.into_iter().map(RestoreProblem::Metadata)),
            Err(error) => self.report.problems.push(RestoreProblem::NotWritten(error)),
        }
        Ok(())
    }
}

/// The parts of `start..end` that are in none of the holes, which are sorted.
fn outside(holes: &[(u64, u64)], start: u64, end: u64) -> Vec<(u64, u64)> {
    let mut parts = Vec::new();
    let mut at = start;
    let first = holes.partition_point(|(offset, length)| offset + length <= start);
    for (offset, length) in &holes[first..] {
        if *offset >= end {
            break;
        }
        if *offset > at {
            parts.push((at, *offset));
        }
        at = at.max(offset + length);
    }
    if at < end {
        parts.push((at, end));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_hole_is_written() {
        let holes = [(10, 10), (30, 5)];
        assert_eq!(outside(&holes, 0, 40), [(0, 10), (20, 30), (35, 40)]);
        assert_eq!(outside(&holes, 12, 18), []);
        assert_eq!(outside(&holes, 5, 15), [(5, 10)]);
        assert_eq!(outside(&holes, 19, 31), [(20, 30)]);
        assert_eq!(outside(&[], 3, 4), [(3, 4)]);
        assert_eq!(outside(&holes, 35, 35), []);
    }
}
