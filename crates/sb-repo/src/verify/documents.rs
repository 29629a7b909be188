//! Documents: every tree complete, every document tree the one of the snapshot, every content rebuilt.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};

use sb_crypto::{Digest, Sha256, TreeHasher, sha256};

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
    Ok(complete && problems && is_of(snapshot, &documents))
}

/// True if these are the documents that the snapshot was made with.
fn is_of(snapshot: &Snapshot, documents: &TreeHasher) -> bool {
    documents.len() == snapshot.documents() && documents.root() == snapshot.document_root()
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
    let gone = |id: &ChunkId| -> Result<bool, RepoError> {
        Ok(reader.locator.places(id)?.iter().all(|place| bad.contains(&(place.pack, place.segment))))
    };
    if let Inline::At(reference) = &entry.xattrs
        && gone(&reference.id)?
    {
        return Ok(Some(reference.id));
    }
    let Item::File(file) = &entry.item else { return Ok(None) };
    if let Inline::At(reference) = &file.holes
        && gone(&reference.id)?
    {
        return Ok(Some(reference.id));
    }
    let mut lacking = None;
    let listed = reader.each_part(&file.parts, file.depth, &mut |reference| {
        if lacking.is_none() && gone(&reference.id)? {
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
    /// Set when nobody needs the outcome any more.
    in_vain: &'a AtomicBool,
    report: &'a mut VerifyReport,
    /// Folders seen at their paths, so that what snapshots share is gone through once where that is enough.
    seen: HashSet<(ChunkId, u64)>,
    /// Contents rebuilt.
    rebuilt: HashSet<Digest>,
    /// What was found lost in the snapshot at hand.
    lost: u64,
    /// What is lost and entered; an older snapshot with the same adds nothing.
    told: HashSet<Digest>,
}

impl Vault {
    /// Goes through all snapshots, newest first, unless that turns out to be in vain.
    pub(super) fn verify_documents(
        &self,
        reader: TreeReader<'_>,
        bad: &Bad,
        report: &mut VerifyReport,
        in_vain: &AtomicBool,
        progress: Progress<'_>,
    ) -> Result<(), RepoError> {
        let snapshots = self.snapshots()?;
        for (name, flaw) in snapshots.flawed {
            report.find(&name, flaw);
        }
        let (seen, rebuilt, told) = (HashSet::new(), HashSet::new(), HashSet::new());
        let mut pass = Pass { reader, bad, in_vain, report, seen, rebuilt, lost: 0, told };
        for snapshot in snapshots.snapshots.iter().rev() {
            pass.snapshot(snapshot, progress)?;
        }
        Ok(())
    }
}

impl Pass<'_> {
    /// Goes through one snapshot.
    fn snapshot(&mut self, snapshot: &Snapshot, progress: Progress<'_>) -> Result<(), RepoError> {
        let mut documents = TreeHasher::new();
        self.lost = 0;
        if let Some(reference) = snapshot.problems_at()
            && let Err(RepoError::MissingChunk { id, .. }) = self.reader.meta(reference)
        {
            self.report.find(name::snapshot(&snapshot.id).as_str(), Flaw::NeedsChunk(id));
        }
        walk(self.reader, snapshot.root(), b"/", &mut |path, step| {
            progress.check()?;
            if self.in_vain.load(Ordering::Relaxed) {
                return Err(RepoError::Interrupted);
            }
            match step {
                Step::Leave(_) => {}
                Step::Unreadable(error) => {
                    let chunk = if let RepoError::MissingChunk { id, .. } = error { Some(id) } else { None };
                    self.lose_folder(snapshot, path, chunk);
                }
                Step::Entry(entry) => {
                    progress.monitor.count(Counter::Entries, 1);
                    if let Item::Folder { node, .. } = &entry.item {
                        let is_new = self.seen.insert((node.id, hash(path)));
                        // The document tree needs every leaf of every snapshot; the search for lost documents does not.
                        return Ok(is_new || self.report.level > VerifyLevel::Objects);
                    }
                    push_leaves(&mut documents, path, entry);
                    match (self.entry(entry, progress)?, &entry.item) {
                        (Some(chunk), _) => self.lose(snapshot, path, entry, chunk),
                        (None, Item::File(_)) if self.report.level > VerifyLevel::Objects => self.report.documents += 1,
                        _ => {}
                    }
                }
            }
            Ok(true)
        })?;
        self.report.snapshots += 1;
        if self.report.level > VerifyLevel::Objects && self.lost == 0 && !is_of(snapshot, &documents) {
            self.report.find(name::snapshot(&snapshot.id).as_str(), Flaw::WrongDocumentRoot);
        }
        Ok(())
    }

    /// Enters an entry that can't be restored as it was.
    fn lose(&mut self, snapshot: &Snapshot, path: &[u8], entry: &Entry, chunk: Option<ChunkId>) {
        let version = match &entry.item {
            Item::File(file) => document_leaf(path, entry.mtime, file),
            _ => version(path, chunk),
        };
        let document = DocumentRef { snapshot: snapshot.id, path: path.to_vec(), is_folder: false };
        self.enter(document, version, chunk);
    }

    /// Enters a folder of which a part can't be read.
    fn lose_folder(&mut self, snapshot: &Snapshot, path: &[u8], chunk: Option<ChunkId>) {
        let folder = DocumentRef { snapshot: snapshot.id, path: path.to_vec(), is_folder: true };
        self.enter(folder, version(path, chunk), chunk);
    }

    /// Enters what is lost under every object that should hold what it lacks, or else under its snapshot.
    fn enter(&mut self, document: DocumentRef, version: Digest, chunk: Option<ChunkId>) {
        self.lost += 1;
        if !self.told.insert(version) {
            return;
        }
        let places = chunk.iter().flat_map(|chunk| self.reader.locator.places(chunk).unwrap_or_default());
        let packs: BTreeSet<u32> = places.map(|place| place.pack).collect();
        let mut blamed = false;
        for pack in packs {
            if let Some(finding) = self.report.found(name::pack(&self.reader.locator.pack(pack).id).as_str()) {
                finding.documents.push(document.clone());
                blamed = true;
            }
        }
        if !blamed {
            let snapshot = name::snapshot(&document.snapshot).to_string();
            let flaw = chunk.map_or(Flaw::WrongContent, Flaw::NeedsChunk);
            self.report.find(&snapshot, flaw).documents.push(document);
        }
    }

    /// The chunk that the entry lacks, if any; `Some(None)` if its content is wrong though all chunks are there.
    fn entry(&mut self, entry: &Entry, progress: Progress<'_>) -> Result<Option<Option<ChunkId>>, RepoError> {
        if let Some(chunk) = lacks(self.reader, self.bad, entry)? {
            return Ok(Some(Some(chunk)));
        }
        let Item::File(file) = &entry.item else { return Ok(None) };
        if self.report.level < VerifyLevel::Restore {
            return Ok(None);
        }
        let content = content_of(file);
        if self.rebuilt.contains(&content) {
            progress.monitor.count(Counter::Bytes, file.size);
            return Ok(None);
        }
        let in_vain = self.in_vain;
        let go_on = &mut |_: &[u8]| if in_vain.load(Ordering::Relaxed) { Err(RepoError::Interrupted) } else { Ok(()) };
        match self.reader.content(file, progress, go_on) {
            Ok(true) => {
                self.rebuilt.insert(content);
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

/// Tells apart what can be lost at one path, where it is no file.
fn version(path: &[u8], chunk: Option<ChunkId>) -> Digest {
    let chunk = chunk.as_ref().map_or(&[][..], |chunk| chunk.as_bytes());
    sha256(&[chunk, path].concat())
}

/// Tells contents apart: by what they should be and by what they are put together from.
fn content_of(file: &FileItem) -> Digest {
    let mut hash = Sha256::new();
    hash.update(file.sha256.as_bytes());
    hash.update(&[file.depth.to_be_bytes(), file.size.to_be_bytes()].concat());
    for part in &file.parts {
        hash.update(part.reference.id.as_bytes());
    }
    hash.finish()
}
