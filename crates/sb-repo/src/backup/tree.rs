//! Writing the tree, depth first, and beside it the cache for the next run.

use std::sync::Arc;

use sb_crypto::{Digest, random_array};
use sb_source::{Cause, Entry as Found, EntryPath, Kind, Metadata, Problem};

use super::cache::{EntryRecord, FolderRecord, Stat};
use super::compare::{Same, reusable_folder};
use super::file::{FileContent, Reading};
use super::past::Past;
use super::previous::{Was, decode};
use super::store::Store;
use super::walk::{Lead, Step};
use crate::clock::{Counter, FileChange};
use crate::error::RepoError;
use crate::ids::ChunkId;
use crate::tree::{ChunkSink, PageWriter, document_leaf};
use crate::wire::cbor::{Fields, Value, array};
use crate::wire::entry::{Entry, FileItem, Inline, Item, Xattr, xattrs};
use crate::wire::node::Reference;
use crate::wire::pack::SEGMENT_MAX;

/// Extended attributes that are longer than this in all stand in a chunk of their own.
const XATTRS_DIRECT: usize = 4096;

/// A folder whose entries are being written.
pub(super) struct Open {
    found: Found,
    pages: PageWriter,
    /// Nodes that the cache has not been told of.
    nodes: Vec<ChunkId>,
}

/// Stores the nodes of one folder.
struct Nodes<'n, 's, 'a> {
    store: &'s Store<'a>,
    past: &'n mut Past,
    nodes: &'n mut Vec<ChunkId>,
}

impl ChunkSink for Nodes<'_, '_, '_> {
    fn store(&mut self, chunk: Vec<u8>) -> Result<Reference, RepoError> {
        let reference = self.store.meta_reference(&chunk);
        if !self.past.take(&reference.id) {
            self.store.meta(reference.id, &chunk)?;
        }
        self.nodes.push(reference.id);
        Ok(reference)
    }
}

impl Lead<'_, '_> {
    /// Takes a step into the tree.
    pub(super) fn resolve(&mut self, step: Step) -> Result<(), RepoError> {
        match step {
            Step::Problem(problem) => self.problem(problem),
            Step::Enter(found) => {
                if let Some(cache) = &mut self.cache {
                    cache.enter(found.name());
                }
                self.open.push(Open { found, pages: PageWriter::default(), nodes: Vec::new() });
            }
            Step::Leave(was) => self.leave(was)?,
            Step::Reading(path, reading, was) => self.file(&path, reading, was)?,
            Step::Other(found, Some(Was::Cached(was)), Same::All) => self.reuse(found, *was)?,
            Step::Other(found, was, _) => self.other(found, was)?,
        }
        Ok(())
    }

    fn leave(&mut self, was: Option<FolderRecord>) -> Result<(), RepoError> {
        let Open { found, pages, mut nodes } = self.open.pop().expect("every folder is entered before it is left");
        let node = pages.finish(&mut Nodes { store: self.store, past: &mut self.past, nodes: &mut nodes })?;
        self.tell_pages(nodes);
        if self.open.is_empty() {
            self.root = Some(node);
            self.leave_cached(&found, node, Vec::new(), false);
            return Ok(());
        }
        let problems = self.problem_count;
        self.counts.folders += 1;
        self.count_entry();
        let item = Item::Folder { node, ancestor: found.ancestor };
        let encoded = match was.filter(|was| reusable_folder(&self.rule, was, &found)) {
            Some(was) if was.node == node && was.ancestor == found.ancestor => {
                self.past.rely();
                was.encoded
            }
            was => {
                let entry = match was.and_then(|was| decode(&was.encoded)) {
                    Some(entry) => {
                        self.past.rely();
                        Entry { item, ..entry }
                    }
                    None => self.with_details(&found, item)?,
                };
                entry.encode().encode()
            }
        };
        self.add(found.name(), true, &encoded)?;
        self.leave_cached(&found, node, encoded, self.problem_count > problems);
        Ok(())
    }

    fn leave_cached(&mut self, found: &Found, node: Reference, encoded: Vec<u8>, doubtful: bool) {
        let (stat, racy) = (Stat::new(&found.kind, &found.metadata), doubtful || self.rule.is_racy(found));
        if let Some(cache) = &mut self.cache {
            cache.leave(FolderRecord { stat, racy, node, encoded, ancestor: found.ancestor });
        }
        self.tell_pages_above();
    }

    /// Tells the cache which nodes the present folder has come to have.
    fn tell_pages_above(&mut self) {
        let nodes = self.open.last_mut().map(|open| std::mem::take(&mut open.nodes));
        self.tell_pages(nodes.unwrap_or_default());
    }

    fn tell_pages(&mut self, nodes: Vec<ChunkId>) {
        if let Some(cache) = &mut self.cache {
            nodes.into_iter().for_each(|node| cache.page(node));
        }
    }

    /// Adds an encoded entry to the present folder.
    fn add(&mut self, name: &[u8], is_folder: bool, encoded: &[u8]) -> Result<(), RepoError> {
        let Open { pages, nodes, .. } = self.open.last_mut().expect("entries come inside folders");
        let mut sink = Nodes { store: self.store, past: &mut self.past, nodes };
        pages.add(name, is_folder, encoded, &self.store.tools.keys.pages, &mut sink)
    }

    /// Takes over an entry that has not changed.
    fn reuse(&mut self, found: Found, mut was: EntryRecord) -> Result<(), RepoError> {
        if found.metadata.links > 1 {
            let entry = decode(&was.encoded).expect("entries of several names are reused only if they are understood");
            let document = self.store.tools.keys.document(found.path.as_bytes());
            let link_group = self.links.group(&found.metadata, document);
            if entry.link_group != link_group {
                was.encoded = Entry { link_group, ..entry }.encode().encode();
            }
        }
        if found.kind == Kind::File {
            self.compared(FileChange::Unchanged, &found.path);
        }
        self.past.rely();
        self.count(&found.kind, found.metadata.size);
        if let Some(leaf) = was.leaf {
            self.documents.push(leaf);
        }
        self.add(found.name(), false, &was.encoded)?;
        if let Some(cache) = &mut self.cache {
            cache.entry(was);
        }
        self.tell_pages_above();
        Ok(())
    }

    /// Writes an entry whose content is not read: it has none, or has not changed.
    fn other(&mut self, found: Found, was: Option<Was>) -> Result<(), RepoError> {
        let before = was.as_ref().and_then(Was::entry);
        let item = match &found.kind {
            Kind::Symlink { target } => Item::Symlink { target: target.clone() },
            Kind::Fifo => Item::Fifo,
            Kind::Socket => Item::Socket,
            Kind::CharDevice { major, minor } => Item::CharDevice { major: *major, minor: *minor },
            Kind::BlockDevice { major, minor } => Item::BlockDevice { major: *major, minor: *minor },
            Kind::Directory => unreachable!("folders are entered"),
            Kind::File => before.as_ref().expect("only known content is not read").item.clone(),
        };
        let problems = self.problem_count;
        self.count(&found.kind, found.metadata.size);
        let document = self.store.tools.keys.document(found.path.as_bytes());
        let link_group = self.links.group(&found.metadata, document);
        let entry = Entry { link_group, ..self.with_details(&found, item)? };
        if found.kind == Kind::File {
            self.past.rely();
            self.compared(change(before.as_ref(), &entry), &found.path);
        }
        let leaf = self.leaf(&found, &entry);
        let stat = match (&found.kind, &was) {
            (Kind::File, Some(Was::Cached(was))) => self.rule.taken_over(&was.stat, &found),
            _ => Stat::new(&found.kind, &found.metadata),
        };
        self.write(&found, stat, &entry, leaf, self.problem_count > problems)
    }

    /// Writes a file that has been read.
    fn file(&mut self, path: &EntryPath, mut reading: Arc<Reading>, was: Option<Was>) -> Result<(), RepoError> {
        let is_lost = reading.get().is_some_and(|read| read.content.is_none());
        if is_lost && reading.entry.path != *path {
            // By another name it could not be read, which says nothing about this one.
            reading = self.read(Found { path: path.clone(), ..reading.entry.clone() });
            self.wait_for(&reading)?;
        }
        let read = reading.get().expect("only what is ready is written");
        let problems = self.problem_count;
        for problem in &read.problems {
            self.problem(Problem { path: path.clone(), ..problem.clone() });
        }
        let Some(content) = &read.content else { return Ok(()) };
        let before = was.as_ref().and_then(Was::entry);
        let document = self.store.tools.keys.document(path.as_bytes());
        let link_group = self.links.group(&content.metadata, document);
        let item = self.file_item(content, document, before.as_ref());
        self.count(&Kind::File, content.size);
        // What was opened is what counts: the walk may have seen an older state.
        let seen = Found { path: path.clone(), kind: Kind::File, metadata: content.metadata.clone(), ancestor: false };
        let xattrs = self.store_xattrs(&seen, &content.metadata.xattrs)?;
        let entry = entry(&seen, &content.metadata, xattrs, Item::File(Box::new(item)));
        let entry = Entry { link_group, ..entry };
        self.compared(change(before.as_ref(), &entry), path);
        let leaf = self.leaf(&seen, &entry);
        let stat = self.rule.seen(&seen);
        self.write(&seen, stat, &entry, leaf, self.problem_count > problems)
    }

    fn file_item(&self, content: &FileContent, document: crate::ids::DocumentId, before: Option<&Entry>) -> FileItem {
        // The same version of the same document keeps its salt, so that it is the same leaf.
        let salt = before.and_then(|before| match &before.item {
            Item::File(old)
                if before.mtime == content.metadata.mtime
                    && old.sha256 == content.sha256
                    && old.size == content.size =>
            {
                Some(old.salt)
            }
            _ => None,
        });
        FileItem {
            size: content.size,
            sha256: content.sha256,
            parts: content.parts.clone(),
            depth: content.depth,
            chunker: content.chunker,
            transform: 0,
            document,
            salt: salt.unwrap_or_else(|| random_array(&*self.store.tools.around.random)),
            holes: content.holes.clone(),
            inconsistent: content.inconsistent,
        }
    }

    /// Counts a file, and tells whoever listens.
    fn compared(&mut self, change: FileChange, path: &EntryPath) {
        let number = match change {
            FileChange::New => &mut self.changes.new,
            FileChange::Changed => &mut self.changes.changed,
            FileChange::Unchanged => &mut self.changes.unchanged,
        };
        *number += 1;
        self.store.progress.monitor.compared(change, path.as_bytes());
    }

    fn count(&mut self, kind: &Kind, bytes: u64) {
        self.count_entry();
        if *kind == Kind::File {
            self.counts.files += 1;
            self.counts.bytes += bytes;
            self.store.progress.monitor.count(Counter::Files, 1);
        } else {
            self.counts.others += 1;
        }
    }

    /// Writes an entry into the tree and the cache.
    fn write(
        &mut self,
        found: &Found,
        stat: Stat,
        entry: &Entry,
        leaf: Option<Digest>,
        doubtful: bool,
    ) -> Result<(), RepoError> {
        let encoded = entry.encode().encode();
        if let Some(leaf) = leaf {
            self.documents.push(leaf);
        }
        self.add(&entry.name, false, &encoded)?;
        let racy = doubtful || self.rule.is_racy(found);
        if let Some(cache) = &mut self.cache {
            cache.entry(EntryRecord { name: entry.name.clone(), stat, racy, leaf, encoded });
        }
        self.tell_pages_above();
        Ok(())
    }

    fn leaf(&self, found: &Found, entry: &Entry) -> Option<Digest> {
        match &entry.item {
            Item::File(file) => Some(document_leaf(found.path.as_bytes(), entry.mtime, file)),
            _ => None,
        }
    }

    /// An entry with what a walk leaves out.
    fn with_details(&mut self, found: &Found, item: Item) -> Result<Entry, RepoError> {
        let (details, problem) = self.source.details(found);
        if let Some(problem) = problem {
            self.problem(problem);
        }
        let xattrs = self.store_xattrs(found, &details.xattrs)?;
        Ok(entry(found, &details, xattrs, item))
    }

    fn store_xattrs(&mut self, found: &Found, list: &[Xattr]) -> Result<Inline<Xattr>, RepoError> {
        let total: usize = list.iter().map(|(name, value)| name.len() + value.len()).sum();
        if total <= XATTRS_DIRECT {
            return Ok(Inline::Here(list.to_vec()));
        }
        let bytes = xattrs(list).encode();
        if bytes.len() > SEGMENT_MAX {
            let detail = "its extended attributes are larger than 4 MiB".to_owned();
            self.problem(Problem { path: found.path.clone(), cause: Cause::TooLarge, detail });
            return Ok(Inline::default());
        }
        let mut sink = self.store;
        Ok(Inline::At(sink.store(bytes)?))
    }

    /// Stores the list of problems, as many as fit into a chunk.
    pub(super) fn store_problems(&mut self) -> Result<Option<Reference>, RepoError> {
        if self.problems.is_empty() {
            return Ok(None);
        }
        let list = array(&self.problems, |problem| {
            let cause = match problem.cause {
                Cause::Vanished => 1u64,
                Cause::Denied => 2,
                Cause::Changed => 3,
                Cause::TooLarge => 5,
                _ => 4,
            };
            vec![problem.path.as_bytes().into(), cause.into(), Value::from(problem.detail.as_str())]
        });
        let mut items = list.array().expect("made as an array");
        let mut sink = self.store;
        loop {
            let bytes = Value::Array(items.clone()).encode();
            if bytes.len() <= SEGMENT_MAX {
                return sink.store(bytes).map(Some);
            }
            items.truncate(items.len() / 2);
        }
    }
}

/// What has become of a file.
fn change(before: Option<&Entry>, now: &Entry) -> FileChange {
    match before {
        Some(before) if before == now => FileChange::Unchanged,
        Some(_) => FileChange::Changed,
        None => FileChange::New,
    }
}

fn entry(found: &Found, metadata: &Metadata, xattrs: Inline<Xattr>, item: Item) -> Entry {
    Entry {
        name: found.name().to_vec(),
        item,
        mode: metadata.mode,
        uid: metadata.uid,
        gid: metadata.gid,
        user: metadata.user.clone(),
        group: metadata.group.clone(),
        mtime: metadata.mtime,
        xattrs,
        link_group: None,
        extra: Fields::new(),
    }
}
