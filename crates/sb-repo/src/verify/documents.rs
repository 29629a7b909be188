//! Documents: every tree complete, every document tree the one of the snapshot, every content rebuilt.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use sb_crypto::{Digest, Sha256, TreeHasher};

use super::data::Bad;
use super::{DocumentRef, VerifyLevel, VerifyReport};
use crate::chunks::ChunkReader;
use crate::clock::{Counter, Progress};
use crate::error::{Flaw, RepoError};
use crate::ids::ChunkId;
use crate::keys::CompartmentKeys;
use crate::locator::Locator;
use crate::name;
use crate::snapshots::Snapshot;
use crate::tree::{Redactions, Step, TreeReader, document_leaf, walk};
use crate::vault::Vault;
use crate::view::View;
use crate::wire::entry::{Entry, FileItem, Inline, Item};

/// True if everything a snapshot needs is there, by id, and its documents are those it was made with.
pub(crate) fn check_tree(
    view: &View,
    keys: &CompartmentKeys,
    chunks: &ChunkReader<'_>,
    locator: &Locator,
    snapshot: &Snapshot,
    progress: Progress<'_>,
) -> Result<bool, RepoError> {
    let redactions = Redactions::load(view, keys)?;
    let reader = TreeReader { chunks, locator, redactions: &redactions };
    let bad = Bad::new();
    let (mut complete, mut documents) = (true, TreeHasher::new());
    walk(reader, snapshot.root(), b"/", &mut |path, step| {
        progress.check()?;
        match step {
            Step::Entry(entry) => {
                complete &= lacks(reader, &bad, entry)?.is_none();
                push_leaves(&mut documents, path, entry);
            }
            Step::Unreadable(_) => complete = false,
            Step::Leave(_) => {}
        }
        Ok(complete)
    })?;
    let problems = snapshot.problems_at().is_none_or(|reference| reader.meta(reference).is_ok());
    Ok(complete && problems && documents.root() == snapshot.document_root())
}

fn push_leaves(documents: &mut TreeHasher, path: &[u8], entry: &Entry) {
    match &entry.item {
        Item::File(file) => documents.push(document_leaf(path, entry.mtime, file)),
        Item::Redacted { leaves } => documents.extend(leaves.iter().copied()),
        _ => {}
    }
}

/// A chunk that the entry itself needs and that is in no segment that can be read.
fn lacks(reader: TreeReader<'_>, bad: &Bad, entry: &Entry) -> Result<Option<ChunkId>, RepoError> {
    let gone = |id: &ChunkId| reader.locator.places(id).all(|place| bad.contains(&(place.pack, place.segment)));
    if let Inline::At(reference) = &entry.xattrs
        && gone(&reference.id)
    {
        return Ok(Some(reference.id));
    }
    let Item::File(file) = &entry.item else { return Ok(None) };
    if let Inline::At(reference) = &file.holes
        && gone(&reference.id)
    {
        return Ok(Some(reference.id));
    }
    let mut lacking = None;
    let listed = reader.each_part(&file.parts, file.depth, &mut |reference| {
        if lacking.is_none() && gone(&reference.id) {
            lacking = Some(reference.id);
        }
        Ok(())
    });
    match listed {
        Ok(()) => Ok(lacking),
        Err(RepoError::MissingChunk { id, .. }) => Ok(Some(id)),
        Err(RepoError::Damaged { .. }) => Ok(file.parts.first().map(|part| part.reference.id)),
        Err(error) => Err(error),
    }
}

/// What is carried through all snapshots.
struct Pass<'a> {
    reader: TreeReader<'a>,
    bad: &'a Bad,
    level: VerifyLevel,
    /// Folders seen at their paths, so that what snapshots share is gone through once where that is enough.
    seen: HashSet<(ChunkId, u64)>,
    /// Contents rebuilt.
    rebuilt: HashSet<(Digest, ChunkId)>,
    lost: Vec<(DocumentRef, Option<ChunkId>)>,
    documents: u64,
}

impl Vault {
    /// Goes through all snapshots, newest first.
    pub(super) fn verify_documents(
        &self,
        reader: TreeReader<'_>,
        bad: &Bad,
        level: VerifyLevel,
        report: &mut VerifyReport,
        progress: Progress<'_>,
    ) -> Result<(), RepoError> {
        let snapshots = self.snapshots()?;
        for (name, flaw) in snapshots.flawed {
            report.find(&name, flaw);
        }
        let mut pass =
            Pass { reader, bad, level, seen: HashSet::new(), rebuilt: HashSet::new(), lost: Vec::new(), documents: 0 };
        for snapshot in snapshots.snapshots.iter().rev() {
            let lost_before = pass.lost.len();
            let root = pass.snapshot(snapshot, progress)?;
            report.snapshots += 1;
            let is_whole = pass.lost.len() == lost_before;
            if level > VerifyLevel::Objects && is_whole && root != snapshot.document_root() {
                report.find(name::snapshot(&snapshot.id).as_str(), Flaw::WrongDocumentRoot);
            }
        }
        report.documents = if level == VerifyLevel::Objects { 0 } else { pass.documents };
        for (document, chunk) in pass.lost {
            blame(report, reader.locator, document, chunk);
        }
        Ok(())
    }
}

/// Enters a lost document under every object that should hold what it lacks, or else under its snapshot.
fn blame(report: &mut VerifyReport, locator: &Locator, document: DocumentRef, chunk: Option<ChunkId>) {
    let mut objects: Vec<String> = Vec::new();
    if let Some(chunk) = &chunk {
        objects.extend(locator.places(chunk).map(|place| name::pack(&locator.pack(place.pack).id).to_string()));
    }
    objects.retain(|object| report.findings.iter().any(|finding| finding.object == *object));
    if objects.is_empty() {
        let snapshot = name::snapshot(&document.snapshot).to_string();
        report.find(&snapshot, chunk.map_or(Flaw::WrongContent, Flaw::NeedsChunk));
        objects.push(snapshot);
    }
    for finding in report.findings.iter_mut().filter(|finding| objects.contains(&finding.object)) {
        if !finding.documents.contains(&document) {
            finding.documents.push(document.clone());
        }
    }
}

impl Pass<'_> {
    /// Goes through one snapshot; the root of its document tree, which is right only at the deeper levels.
    fn snapshot(&mut self, snapshot: &Snapshot, progress: Progress<'_>) -> Result<Digest, RepoError> {
        let mut documents = TreeHasher::new();
        let at = |path: &[u8]| DocumentRef { snapshot: snapshot.id, path: path.to_vec() };
        if let Some(reference) = snapshot.problems_at()
            && let Err(RepoError::MissingChunk { id, .. }) = self.reader.meta(reference)
        {
            self.lost.push((at(b"/"), Some(id)));
        }
        walk(self.reader, snapshot.root(), b"/", &mut |path, step| {
            progress.check()?;
            match step {
                Step::Leave(_) => Ok(true),
                Step::Unreadable(error) => {
                    let chunk = if let RepoError::MissingChunk { id, .. } = error { Some(id) } else { None };
                    self.lost.push((at(path), chunk));
                    Ok(true)
                }
                Step::Entry(entry) => {
                    progress.monitor.count(Counter::Entries, 1);
                    if let Item::Folder { node, .. } = &entry.item {
                        let is_new = self.seen.insert((node.id, hash(path)));
                        // The document tree needs every leaf of every snapshot; the search for lost documents does not.
                        return Ok(is_new || self.level > VerifyLevel::Objects);
                    }
                    push_leaves(&mut documents, path, entry);
                    match self.entry(entry, progress)? {
                        Some(chunk) => self.lost.push((at(path), chunk)),
                        None => self.documents += u64::from(matches!(entry.item, Item::File(_))),
                    }
                    Ok(true)
                }
            }
        })?;
        Ok(documents.root())
    }

    /// The chunk that the entry lacks, if any; `Some(None)` if its content is wrong though all chunks are there.
    fn entry(&mut self, entry: &Entry, progress: Progress<'_>) -> Result<Option<Option<ChunkId>>, RepoError> {
        if let Some(chunk) = lacks(self.reader, self.bad, entry)? {
            return Ok(Some(Some(chunk)));
        }
        let Item::File(file) = &entry.item else { return Ok(None) };
        let first = file.parts.first().map_or(ChunkId::new([0; 32]), |part| part.reference.id);
        if self.level < VerifyLevel::Restore || self.rebuilt.contains(&(file.sha256, first)) {
            return Ok(None);
        }
        match rebuild(self.reader, file, progress) {
            Ok(true) => {
                self.rebuilt.insert((file.sha256, first));
                Ok(None)
            }
            Ok(false) => Ok(Some(None)),
            Err(RepoError::MissingChunk { id, .. }) => Ok(Some(Some(id))),
            Err(RepoError::Damaged { .. }) => Ok(Some(None)),
            Err(error) => Err(error),
        }
    }
}

fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// Reads a document from its chunks; true if it has its size and SHA-256.
fn rebuild(reader: TreeReader<'_>, file: &FileItem, progress: Progress<'_>) -> Result<bool, RepoError> {
    let (mut sha256, mut size) = (Sha256::new(), 0);
    reader.each_part(&file.parts, file.depth, &mut |reference| {
        progress.check()?;
        let chunk = reader.chunks.content(reader.locator, reference)?;
        sha256.update(&chunk);
        size += chunk.len() as u64;
        progress.monitor.count(Counter::Bytes, chunk.len() as u64);
        Ok(())
    })?;
    Ok(size == file.size && sha256.finish() == file.sha256)
}
