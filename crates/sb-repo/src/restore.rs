//! Restoring: each file is rebuilt, compared with its SHA-256, and only then given its name.

use std::collections::HashMap;

use sb_crypto::{Digest, sha256};
use sb_source::{EntryPath, Kind, MetadataProblem, Target, TargetError};

use crate::clock::{Counter, Progress};
use crate::error::RepoError;
use crate::ids::DocumentId;
use crate::reader::{Reader, shown};
use crate::snapshots::Snapshot;
use crate::tree::{Found, Step, walk};
use crate::wire::cbor::Fields;
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
    /// True if something is lost, because the vault is damaged.
    pub fn is_damaged(&self) -> bool {
        let lost = |problem: &_| matches!(problem, RestoreProblem::Lost { .. } | RestoreProblem::Degraded { .. });
        self.problems.iter().any(lost)
    }
}

struct Restore<'a> {
    reader: &'a Reader<'a>,
    target: &'a Target,
    progress: Progress<'a>,
    /// How much of a path in the snapshot falls away in the target.
    cut: usize,
    report: RestoreReport,
    /// Link group → where its first name is, and what it is.
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
        if let Some(linked) = self.link(place, entry) {
            if linked.is_ok() {
                self.count_file(0);
            }
            return Ok(linked);
        }
        match self.write(path, place, entry, file) {
            Ok(()) => {
                self.count_file(file.size);
                self.keep_link(place, entry);
                if file.inconsistent {
                    self.report.problems.push(RestoreProblem::Inconsistent { path: shown(path) });
                }
                Ok(Ok(()))
            }
            Err(RepoError::Target(error)) => Ok(Err(error)),
            Err(error) if is_loss(&error) => {
                self.report.problems.push(RestoreProblem::Lost { path: shown(path), error });
                Ok(Ok(()))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the entry another name of what is restored already; `None` if it has to be restored itself.
    fn link(&self, place: &EntryPath, entry: &Entry) -> Option<Result<(), TargetError>> {
        let (first, is) = self.links.get(&entry.link_group?)?;
        if *is != identity(&entry.item) {
            return None;
        }
        match self.target.hard_link(first, place) {
            // Not every file system has links; a copy has the same content.
            Err(TargetError::Failed { .. } | TargetError::Denied { .. } | TargetError::Unsupported { .. }) => None,
            done => Some(done),
        }
    }

    fn keep_link(&mut self, place: &EntryPath, entry: &Entry) {
        if let Some(group) = entry.link_group {
            self.links.insert(group, (place.clone(), identity(&entry.item)));
        }
    }

    fn count_file(&mut self, bytes: u64) {
        self.report.files += 1;
        self.report.bytes += bytes;
        self.progress.monitor.count(Counter::Files, 1);
    }

    /// What is best restored without it if it is lost.
    fn or_none<T>(
        &mut self,
        read: Result<Vec<T>, RepoError>,
        path: &[u8],
        what: &'static str,
    ) -> Result<Vec<T>, RepoError> {
        match read {
            Err(error) if is_loss(&error) => {
                self.report.problems.push(RestoreProblem::Degraded { path: shown(path), what, error });
                Ok(Vec::new())
            }
            other => other,
        }
    }

    fn write(&mut self, path: &[u8], place: &EntryPath, entry: &Entry, file: &FileItem) -> Result<(), RepoError> {
        let tree = self.reader.tree();
        let holes = self.or_none(tree.holes(file), path, "holes")?;
        let writer = self.target.file(place, file.size)?;
        let mut offset = 0;
        self.reader.content(path, file, self.progress, &mut |chunk| {
            let end = offset + chunk.len() as u64;
            for part in parts(&holes, offset, end) {
                let within = |at: u64| usize::try_from(at - offset).expect("inside a chunk");
                let bytes = &chunk[within(part.start)..within(part.end)];
                // A list of holes that is wrong must not change the content.
                if !part.is_hole || bytes.iter().any(|byte| *byte != 0) {
                    writer.write_at(part.start, bytes)?;
                }
            }
            offset = end;
            Ok(())
        })?;
        let xattrs = self.or_none(tree.xattrs(entry), path, "extended attributes")?;
        let problems = writer.commit(&entry.metadata(xattrs))?;
        self.report.problems.extend(problems.into_iter().map(RestoreProblem::Metadata));
        Ok(())
    }

    fn other(&mut self, path: &[u8], place: &EntryPath, entry: &Entry) -> Result<Result<(), TargetError>, RepoError> {
        if let Some(linked) = self.link(place, entry) {
            self.report.others += u64::from(linked.is_ok());
            return Ok(linked);
        }
        let made = match &entry.item {
            Item::Symlink { target } => self.target.symlink(place, target),
            Item::Fifo => self.target.fifo(place),
            Item::Socket => self.target.socket(place),
            _ => self.target.device(place, &entry.kind().expect("redacted entries do not come here")),
        };
        if made.is_ok() {
            self.report.others += 1;
            self.metadata(entry, path, place)?;
            self.keep_link(place, entry);
        }
        Ok(made)
    }

    fn metadata(&mut self, entry: &Entry, path: &[u8], place: &EntryPath) -> Result<(), RepoError> {
        let xattrs = self.or_none(self.reader.tree().xattrs(entry), path, "extended attributes")?;
        let kind = entry.kind().unwrap_or(Kind::File);
        match self.target.apply_metadata(place, &kind, &entry.metadata(xattrs)) {
            Ok(problems) => self.report.problems.extend(problems.into_iter().map(RestoreProblem::Metadata)),
            Err(error) => self.report.problems.push(RestoreProblem::NotWritten(error)),
        }
        Ok(())
    }
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

/// A part of a file that is a hole altogether, or not at all.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    start: u64,
    end: u64,
    is_hole: bool,
}

/// Cuts `start..end` at the edges of the holes, which are sorted.
fn parts(holes: &[(u64, u64)], start: u64, end: u64) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = start;
    let mut push = |end: u64, is_hole| {
        if at < end {
            parts.push(Part { start: at, end, is_hole });
            at = end;
        }
    };
    let first = holes.partition_point(|(offset, length)| offset + length <= start);
    for (offset, length) in holes[first..].iter().take_while(|(offset, _)| *offset < end) {
        push(*offset, false);
        push(end.min(offset + length), true);
    }
    push(end, false);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_told_from_what_is_between() {
        let cut = |holes: &[(u64, u64)], start, end| -> Vec<_> {
            parts(holes, start, end).into_iter().map(|part| (part.start, part.end, part.is_hole)).collect()
        };
        let holes = [(10, 10), (30, 5)];
        let all = [(0, 10, false), (10, 20, true), (20, 30, false), (30, 35, true), (35, 40, false)];
        assert_eq!(cut(&holes, 0, 40), all);
        assert_eq!(cut(&holes, 12, 18), [(12, 18, true)]);
        assert_eq!(cut(&holes, 5, 15), [(5, 10, false), (10, 15, true)]);
        assert_eq!(cut(&holes, 19, 31), [(19, 20, true), (20, 30, false), (30, 31, true)]);
        assert_eq!(cut(&[], 3, 4), [(3, 4, false)]);
        assert_eq!(cut(&holes, 35, 35), []);
    }
}
