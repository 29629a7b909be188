//! Reading trees: a folder entry by entry, a path component by component.

use std::collections::{BTreeSet, HashMap};

use sb_crypto::{Sha256, open_with};

use crate::chunks::ChunkReader;
use crate::clock::{Counter, Progress};
use crate::error::{Flaw, RepoError};
use crate::ids::ChunkId;
use crate::keys::CompartmentKeys;
use crate::live::{names_in, read};
use crate::locator::Locator;
use crate::name::{ObjectKind, ParsedName};
use crate::view::View;
use crate::wire::cbor::{Malformed, Value};
use crate::wire::entry::{Entry, FileItem, Inline, Item, Xattr, order_key, read_holes, read_xattrs};
use crate::wire::frame::Frame;
use crate::wire::node::{Child, Node, Part, Reference, read_parts};
use crate::wire::redaction::{INFO, Redaction};

/// Inner nodes have up to 1,024 children, so more levels than this no folder has.
const NODES_DEEP: u32 = 8;

/// Nodes that others stand in for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redactions(HashMap<ChunkId, Reference>);

impl Redactions {
    /// Reads all redactions of the vault. One that can't be read or is gone is an error: what it hides must not come back.
    pub(crate) fn load(view: &View, keys: &CompartmentKeys) -> Result<Self, RepoError> {
        let mut nodes = HashMap::new();
        let there = names_in(&view.listing, "redactions/").filter(|name| view.live.is_readable(name));
        let recorded = view.live.iter().map(|(name, _)| name).filter(|name| name.starts_with("redactions/"));
        for name in there.chain(recorded).collect::<BTreeSet<_>>() {
            let Some(parsed) = ParsedName::parse(name) else { continue };
            let damaged = |flaw: Flaw| RepoError::Damaged { name: name.to_owned(), flaw };
            let checked = read(&*view.storage, name);
            let checked = checked.and_then(|bytes| view.trust.check(&parsed, &bytes).map(drop).map(|()| bytes));
            let bytes = match checked {
                Ok(bytes) => bytes,
                Err(flaw) if view.live.contains(name) => return Err(damaged(flaw)),
                // No user's: anybody may have put it there.
                Err(_) => continue,
            };
            let frame = Frame::parse(&bytes).map_err(|flaw| damaged(flaw.into()))?;
            let private = keys.private(ObjectKind::Redaction, frame.header.key, name)?;
            let plain = open_with(private, INFO, &frame.header.to_bytes(), frame.body)
                .map_err(|_| damaged(Malformed("does not open with the compartment's key").into()))?;
            let redaction = Redaction::decode(plain.as_bytes()).map_err(|flaw| damaged(flaw.into()))?;
            nodes.extend(redaction.nodes);
        }
        Ok(Self(nodes))
    }

    /// What is to be read for this node.
    pub(crate) fn resolve(&self, mut node: Reference) -> Reference {
        // A chain can't be longer than the list; a circle is broken there.
        for _ in 0..=self.0.len() {
            match self.0.get(&node.id) {
                Some(new) => node = *new,
                None => break,
            }
        }
        node
    }
}

/// Reads nodes and lists of one compartment.
#[derive(Clone, Copy)]
pub(crate) struct TreeReader<'v> {
    pub(crate) chunks: &'v ChunkReader<'v>,
    pub(crate) locator: &'v Locator,
    pub(crate) redactions: &'v Redactions,
}

impl<'v> TreeReader<'v> {
    /// The bytes of a chunk of metadata.
    pub(crate) fn meta(&self, reference: Reference) -> Result<Vec<u8>, RepoError> {
        self.chunks.meta(self.locator, reference)
    }

    /// A node of a folder, below `depth` others of it.
    fn node(&self, reference: Reference, depth: u32) -> Result<Node, RepoError> {
        let reference = self.redactions.resolve(reference);
        if depth > NODES_DEEP {
            return Err(malformed(reference, Malformed("nodes nested too deeply")));
        }
        let bytes = self.meta(reference)?;
        Node::decode(&bytes).map_err(|flaw| malformed(reference, flaw))
    }

    /// The bytes of the node that is to be read for this one.
    pub(crate) fn page(&self, reference: Reference) -> Result<Vec<u8>, RepoError> {
        self.meta(self.redactions.resolve(reference))
    }

    /// The entries of two folders, in order, but for those in pages that both have.
    pub(crate) fn apart(&self, before: Reference, after: Reference) -> Result<[FolderReader<'v>; 2], RepoError> {
        let pages = |node| -> Result<Vec<Reference>, RepoError> {
            Ok(match self.node(node, 0)? {
                Node::Inner(children) => children.into_iter().map(|child| child.node).collect(),
                Node::Leaf(_) => vec![node],
            })
        };
        let both = [pages(before)?, pages(after)?];
        let ids = both.each_ref().map(|pages| pages.iter().map(|page| page.id).collect::<BTreeSet<_>>());
        let mut waiting = both.into_iter().zip([&ids[1], &ids[0]]).map(|(pages, others)| {
            let own = pages.into_iter().rev().filter(|page| !others.contains(&page.id));
            FolderReader { reader: *self, waiting: own.map(|page| (page, 1)).collect(), page: Vec::new().into_iter() }
        });
        Ok([waiting.next(), waiting.next()].map(|reader| reader.expect("two folders")))
    }

    /// The entries of a folder, in order.
    pub(crate) fn folder(&self, node: Reference) -> FolderReader<'v> {
        FolderReader { reader: *self, waiting: vec![(node, 0)], page: Vec::new().into_iter() }
    }

    /// The entry of this name in a folder; reads only the pages on the way.
    pub(crate) fn find(&self, folder: Reference, name: &[u8]) -> Result<Option<Entry>, RepoError> {
        // A folder and anything else of that name sort differently, so there are two places to look.
        for is_folder in [false, true] {
            let key = order_key(name, is_folder);
            let mut at = folder;
            for depth in 0.. {
                match self.node(at, depth)? {
                    Node::Inner(children) => match children.iter().find(|child| child.last.as_slice() >= &*key) {
                        Some(child) => at = child.node,
                        None => break,
                    },
                    Node::Leaf(entries) => {
                        if let Some(found) = entries.into_iter().find(|entry| *entry.order_key() == *key) {
                            return Ok(Some(found));
                        }
                        break;
                    }
                }
            }
        }
        Ok(None)
    }

    /// An entry's extended attributes, wherever they are.
    pub(crate) fn xattrs(&self, entry: &Entry) -> Result<Vec<Xattr>, RepoError> {
        self.inline(&entry.xattrs, read_xattrs)
    }

    /// A file's holes, wherever they are.
    pub(crate) fn holes(&self, file: &FileItem) -> Result<Vec<(u64, u64)>, RepoError> {
        self.inline(&file.holes, read_holes)
    }

    /// A file's content, piece by piece. False if that was not what the file's SHA-256 says.
    pub(crate) fn content(
        &self,
        file: &FileItem,
        progress: Progress<'_>,
        each: &mut dyn FnMut(&[u8]) -> Result<(), RepoError>,
    ) -> Result<bool, RepoError> {
        if file.transform != 0 {
            return Err(RepoError::UnsupportedFeature { feature: format!("transform {}", file.transform) });
        }
        let (mut sha256, mut size) = (Sha256::new(), 0);
        self.each_part(&file.parts, file.depth, &mut |reference| {
            progress.check()?;
            let chunk = self.chunks.content(self.locator, reference)?;
            sha256.update(&chunk);
            size += chunk.len() as u64;
            progress.monitor.count(Counter::Bytes, chunk.len() as u64);
            each(&chunk)
        })?;
        Ok(size == file.size && sha256.finish() == file.sha256)
    }

    fn inline<T: Clone>(
        &self,
        list: &Inline<T>,
        decode: impl Fn(Value) -> Result<Vec<T>, Malformed>,
    ) -> Result<Vec<T>, RepoError> {
        match list {
            Inline::Here(list) => Ok(list.clone()),
            Inline::At(reference) => {
                let bytes = self.meta(*reference)?;
                Value::decode(&bytes).and_then(decode).map_err(|flaw| malformed(*reference, flaw))
            }
        }
    }

    /// Calls `each` with every piece of content of a file in order, going down through lists.
    pub(crate) fn each_part(
        &self,
        parts: &[Part],
        depth: u64,
        each: &mut dyn FnMut(Reference) -> Result<(), RepoError>,
    ) -> Result<(), RepoError> {
        for part in parts {
            if depth == 0 {
                each(part.reference)?;
            } else {
                self.each_part(&self.list(part, depth)?, depth - 1, each)?;
            }
        }
        Ok(())
    }

    /// The parts in a list of parts.
    pub(crate) fn list(&self, part: &Part, depth: u64) -> Result<Vec<Part>, RepoError> {
        let bytes = self.meta(part.reference)?;
        let parts = Value::decode(&bytes).and_then(|value| read_parts(value, depth - 1));
        let parts = parts.map_err(|flaw| malformed(part.reference, flaw))?;
        let total = parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.content));
        if total != Some(part.content) {
            return Err(malformed(part.reference, Malformed("a list's parts are not as long as it says")));
        }
        Ok(parts)
    }

    /// The node of the root of a tree, if the path is the root, or the entry at a path.
    pub(crate) fn lookup(&self, root: Reference, path: &[u8]) -> Result<Option<Found>, RepoError> {
        let mut found = Found::Root(root);
        for component in path.split(|byte| *byte == b'/').filter(|component| !component.is_empty()) {
            let Some(node) = found.node() else { return Ok(None) };
            match self.find(node, component)? {
                Some(entry) => found = Found::Entry(Box::new(entry)),
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }
}

/// What is at a path.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// The top of the tree.
    Root(Reference),
    /// An entry.
    Entry(Box<Entry>),
}

impl Found {
    /// The node, if it is a folder.
    pub(crate) fn node(&self) -> Option<Reference> {
        match self {
            Self::Root(node) => Some(*node),
            Self::Entry(entry) => match &entry.item {
                Item::Folder { node, .. } => Some(*node),
                _ => None,
            },
        }
    }
}

fn malformed(reference: Reference, flaw: Malformed) -> RepoError {
    RepoError::Damaged { name: format!("chunk {}", reference.id), flaw: flaw.into() }
}

/// A folder's entries in order, a page at a time.
pub(crate) struct FolderReader<'v> {
    reader: TreeReader<'v>,
    /// Nodes to be read yet, last first, and how deep they are.
    waiting: Vec<(Reference, u32)>,
    page: std::vec::IntoIter<Entry>,
}

impl Iterator for FolderReader<'_> {
    type Item = Result<Entry, RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.page.next() {
                return Some(Ok(entry));
            }
            let (node, depth) = self.waiting.pop()?;
            match self.reader.node(node, depth) {
                Ok(Node::Leaf(entries)) => self.page = entries.into_iter(),
                Ok(Node::Inner(children)) => {
                    self.waiting.extend(children.iter().rev().map(|Child { node, .. }| (*node, depth + 1)));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
