//! Writing a folder as pages, in memory that does not grow with it.

use sb_crypto::KeyedHash;

use crate::error::RepoError;
use crate::wire::cbor::Value;
use crate::wire::entry::Entry;
use crate::wire::node::{Child, Node, Reference};

/// On average a page ends after this many entries.
const PAGE_ENTRIES_MEAN: u16 = 2048;
const PAGE_ENTRIES_MAX: usize = 4096;
const PAGE_BYTES_MAX: usize = 512 << 10;
const CHILDREN_MAX: usize = 1024;

/// Where pages go: stored as chunks of metadata.
pub(crate) trait ChunkSink {
    /// Stores a chunk, unless the vault has it.
    fn store(&mut self, chunk: Vec<u8>) -> Result<Reference, RepoError>;
}

/// One folder in the making. Where pages end depends on names alone, so that a change in a large folder costs one page.
#[derive(Debug, Default)]
pub(crate) struct PageWriter {
    page: Vec<Value>,
    page_bytes: usize,
    last: Vec<u8>,
    children: Vec<Child>,
}

impl PageWriter {
    /// Adds an entry; they come in order.
    pub(crate) fn add(
        &mut self,
        entry: &Entry,
        boundaries: &KeyedHash,
        sink: &mut dyn ChunkSink,
    ) -> Result<(), RepoError> {
        let key = entry.order_key().into_owned();
        debug_assert!(self.last.is_empty() || self.last < key, "entries come in order");
        let value = entry.encode();
        self.page_bytes += value.encode().len();
        self.page.push(value);
        self.last = key;
        let hash = boundaries.hash(&entry.name);
        let number = u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]);
        let full = self.page.len() >= PAGE_ENTRIES_MAX || self.page_bytes >= PAGE_BYTES_MAX;
        if full || number.is_multiple_of(PAGE_ENTRIES_MEAN) {
            self.end_page(sink)?;
        }
        Ok(())
    }

    fn end_page(&mut self, sink: &mut dyn ChunkSink) -> Result<(), RepoError> {
        let entries = self.page.len() as u64;
        let node = sink.store(Node::encode_leaf(std::mem::take(&mut self.page)))?;
        self.page_bytes = 0;
        self.children.push(Child { last: self.last.clone(), node, entries });
        Ok(())
    }

    /// Ends the folder: its root node.
    pub(crate) fn finish(mut self, sink: &mut dyn ChunkSink) -> Result<Reference, RepoError> {
        if !self.page.is_empty() || self.children.is_empty() {
            self.end_page(sink)?;
        }
        while self.children.len() > 1 {
            let mut above = Vec::new();
            for children in self.children.chunks(CHILDREN_MAX) {
                let node = sink.store(Node::encode_inner(children))?;
                let last = children.last().expect("chunks are not empty").last.clone();
                above.push(Child { last, node, entries: children.iter().map(|child| child.entries).sum() });
            }
            self.children = above;
        }
        Ok(self.children.pop().expect("a folder has at least one page").node)
    }
}
