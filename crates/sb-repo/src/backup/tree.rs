//! Walking the source and writing its tree, depth first.

use sb_crypto::random_array;
use sb_source::{Cause, Entry as Found, Event, Kind, Problem, Source};

use super::base::{Base, BaseFolder};
use super::links::Links;
use super::run::Run;
use crate::clock::Counter;
use crate::error::RepoError;
use crate::tree::{ChunkSink, PageWriter, document_leaf};
use crate::wire::cbor::{Fields, Value, array};
use crate::wire::entry::{Entry, FileItem, Inline, Item, Xattr, order_key, xattrs};
use crate::wire::node::Reference;
use crate::wire::pack::SEGMENT_MAX;

/// Extended attributes that are longer than this in all stand in a chunk of their own.
const XATTRS_DIRECT: usize = 4096;

/// A folder whose entries are being written.
struct Open<'v> {
    found: Found,
    base: BaseFolder<'v>,
    pages: PageWriter,
}

impl Run<'_> {
    /// Goes through the source; the root node of its tree.
    pub(super) fn walk(&mut self, source: &dyn Source, base: Base<'_>) -> Result<Reference, RepoError> {
        let mut open: Vec<Open<'_>> = Vec::new();
        let mut links = Links::default();
        for event in source.walk() {
            self.go_on()?;
            match event {
                Event::Problem(problem) => self.problem(problem),
                Event::Enter(found) => {
                    let base = match open.last_mut() {
                        None => base.top(),
                        Some(parent) => base.folder(parent.base.find(&order_key(found.name(), true)).as_ref()),
                    };
                    self.progress.monitor.at(found.path.as_bytes());
                    open.push(Open { found, base, pages: PageWriter::default() });
                }
                Event::Entry(found) => {
                    let parent = open.last_mut().expect("entries come inside folders");
                    let before = parent.base.find(&order_key(found.name(), false));
                    if let Some(entry) = self.entry(source, &found, before.as_ref(), &mut links)? {
                        self.progress.monitor.count(Counter::Entries, 1);
                        parent.pages.add(&entry, &self.tools.keys.pages, self)?;
                    }
                }
                Event::Leave => {
                    let folder = open.pop().expect("every folder is entered before it is left");
                    let node = folder.pages.finish(self)?;
                    let Some(parent) = open.last_mut() else { return Ok(node) };
                    let item = Item::Folder { node, ancestor: folder.found.ancestor };
                    self.counts.folders += 1;
                    self.progress.monitor.count(Counter::Entries, 1);
                    let entry = self.with_metadata(&folder.found, &folder.found.metadata, item)?;
                    parent.pages.add(&entry, &self.tools.keys.pages, self)?;
                }
            }
        }
        // A source without any folder, not even the root: an empty tree.
        PageWriter::default().finish(self)
    }

    fn entry(
        &mut self,
        source: &dyn Source,
        found: &Found,
        before: Option<&Entry>,
        links: &mut Links,
    ) -> Result<Option<Entry>, RepoError> {
        let item = match &found.kind {
            Kind::File => return self.file(source, found, before, links),
            Kind::Directory => unreachable!("folders are entered"),
            Kind::Symlink { target } => Item::Symlink { target: target.clone() },
            Kind::Fifo => Item::Fifo,
            Kind::Socket => Item::Socket,
            Kind::CharDevice { major, minor } => Item::CharDevice { major: *major, minor: *minor },
            Kind::BlockDevice { major, minor } => Item::BlockDevice { major: *major, minor: *minor },
        };
        self.counts.others += 1;
        let link_group = links.group(&found.metadata, self.tools.keys.document(found.path.as_bytes()));
        let entry = self.with_metadata(found, &found.metadata, item)?;
        Ok(Some(Entry { link_group, ..entry }))
    }

    fn file(
        &mut self,
        source: &dyn Source,
        found: &Found,
        before: Option<&Entry>,
        links: &mut Links,
    ) -> Result<Option<Entry>, RepoError> {
        let document = self.tools.keys.document(found.path.as_bytes());
        let content = match links.content(&found.metadata) {
            Some(content) => content,
            None => {
                let Some(content) = self.read_file(source, found)? else { return Ok(None) };
                if content.metadata.links > 1 {
                    links.keep(&content);
                }
                content
            }
        };
        let group = links.group(&content.metadata, document);
        self.counts.files += 1;
        self.counts.bytes += content.size;
        self.progress.monitor.count(Counter::Files, 1);
        let mtime = content.metadata.mtime;
        let salt = match before.map(|before| (before.mtime, &before.item)) {
            Some((then, Item::File(old)))
                if then == mtime && old.sha256 == content.sha256 && old.size == content.size =>
            {
                old.salt
            }
            _ => random_array(&*self.tools.around.random),
        };
        let metadata = content.metadata;
        let item = FileItem {
            size: content.size,
            sha256: content.sha256,
            parts: content.parts,
            depth: content.depth,
            chunker: content.chunker,
            transform: 0,
            document,
            salt,
            holes: content.holes,
            inconsistent: content.inconsistent,
        };
        self.documents.push(document_leaf(found.path.as_bytes(), mtime, &item));
        let entry = self.with_metadata(found, &metadata, Item::File(Box::new(item)))?;
        Ok(Some(Entry { link_group: group, ..entry }))
    }

    fn with_metadata(&mut self, found: &Found, metadata: &sb_source::Metadata, item: Item) -> Result<Entry, RepoError> {
        Ok(Entry {
            name: found.name().to_vec(),
            item,
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            user: metadata.user.clone(),
            group: metadata.group.clone(),
            mtime: metadata.mtime,
            xattrs: self.store_xattrs(found, &metadata.xattrs)?,
            link_group: None,
            extra: Fields::new(),
        })
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
        Ok(Inline::At(self.store(bytes)?))
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
        loop {
            let bytes = Value::Array(items.clone()).encode();
            if bytes.len() <= SEGMENT_MAX {
                return self.store(bytes).map(Some);
            }
            items.truncate(items.len() / 2);
        }
    }
}
