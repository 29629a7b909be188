//! Writing a folder as pages, in memory that does not grow with it.

use sb_crypto::KeyedHash;

use crate::error::RepoError;
use crate::reader::shown;
use crate::wire::entry::order_key;
use crate::wire::node::{Child, Node, Reference, encode_page};

/// On average a page ends after this many entries.
const PAGE_ENTRIES_MEAN: u16 = 2048;
const PAGE_ENTRIES_MAX: u64 = 4096;
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
    /// Encoded entries.
    page: Vec<u8>,
    entries: u64,
    last: Vec<u8>,
    children: Vec<Child>,
}

impl PageWriter {
    /// Adds an entry of this name, encoded; they come in order, for a page with others would be refused by every reader.
    pub(crate) fn add(
        &mut self,
        name: &[u8],
        is_folder: bool,
        encoded: &[u8],
        boundaries: &KeyedHash,
        sink: &mut dyn ChunkSink,
    ) -> Result<(), RepoError> {
        let key = order_key(name, is_folder);
        if !self.last.is_empty() && *self.last >= *key {
            return Err(RepoError::Unordered { name: shown(name), before: shown(&self.last) });
        }
        self.last.clear();
        self.last.extend_from_slice(&key);
        self.page.extend_from_slice(encoded);
        self.entries += 1;
        let hash = boundaries.hash(name);
        let number = u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]);
        let full = self.entries >= PAGE_ENTRIES_MAX || self.page.len() >= PAGE_BYTES_MAX;
        if full || number.is_multiple_of(PAGE_ENTRIES_MEAN) {
            self.end_page(sink)?;
        }
        Ok(())
    }

    fn end_page(&mut self, sink: &mut dyn ChunkSink) -> Result<(), RepoError> {
        let entries = std::mem::take(&mut self.entries);
        let node = sink.store(encode_page(entries, &self.page))?;
        self.page.clear();
        self.children.push(Child { last: self.last.clone(), node, entries });
        Ok(())
    }

    /// Ends the folder: its root node.
    pub(crate) fn finish(mut self, sink: &mut dyn ChunkSink) -> Result<Reference, RepoError> {
        if self.entries > 0 || self.children.is_empty() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::memory::MemorySink;
    use crate::wire::entry::{Entry, Inline};
    use sb_crypto::{HashAlgorithm, Key};
    use std::collections::BTreeSet;

    fn read(memory: &MemorySink, node: Reference, last: Option<(&[u8], u64)>) -> Vec<Vec<u8>> {
        let names: Vec<Vec<u8>> = match Node::decode(&memory.0[&node.id]).unwrap() {
            Node::Leaf(entries) => {
                assert!(entries.len() as u64 <= PAGE_ENTRIES_MAX);
                entries.into_iter().map(|entry| entry.name).collect()
            }
            Node::Inner(children) => {
                assert!(children.len() <= CHILDREN_MAX);
                let below = |child: &Child| read(memory, child.node, Some((&child.last, child.entries)));
                children.iter().flat_map(below).collect()
            }
        };
        if let Some((last, entries)) = last {
            assert_eq!((names.last().unwrap().as_slice(), names.len() as u64), (last, entries));
        }
        names
    }

    fn write(names: &BTreeSet<String>, xattr: usize) -> (MemorySink, Reference) {
        let boundaries = KeyedHash::new(HashAlgorithm::Blake3, &Key::from_bytes([3; 32]));
        let (mut memory, mut pages) = (MemorySink::default(), PageWriter::default());
        let xattrs = Inline::Here(vec![(b"user.x".to_vec(), vec![7; xattr])]);
        for name in names {
            let entry = Entry { xattrs: xattrs.clone(), ..Entry::plain(name.as_bytes()) };
            pages.add(&entry.name, false, &entry.encode().encode(), &boundaries, &mut memory).unwrap();
        }
        let root = pages.finish(&mut memory).unwrap();
        let expected: Vec<Vec<u8>> = names.iter().map(|name| name.clone().into_bytes()).collect();
        assert_eq!(read(&memory, root, None), expected);
        (memory, root)
    }

    fn names(count: usize) -> BTreeSet<String> {
        (0..count).map(|number| format!("document {number:07}.pdf")).collect()
    }

    #[test]
    fn an_entry_more_in_a_large_folder_costs_a_page_and_the_nodes_above() {
        let mut folder = names(10_000);
        let (before, _) = write(&folder, 0);
        assert!(before.0.len() > 3);
        for name in ["document 0004999 (copy).pdf", "a first one", "the last one"] {
            folder.insert(name.to_owned());
            let (after, _) = write(&folder, 0);
            let new = after.0.keys().filter(|id| !before.0.contains_key(id)).count();
            // The page, the next if the page was full, and the node above; each earlier name adds as much.
            assert!(new <= 3 * (folder.len() - 10_000), "{new}");
        }
    }

    #[test]
    fn folders_of_any_size_read_back() {
        for count in [0, 1, 2, 4096, 4097] {
            write(&names(count), 0);
        }
        let (memory, _) = write(&names(300), 20_000);
        assert!(memory.0.len() > 10, "pages end by size, too");
        let (memory, root) = write(&names(1100), PAGE_BYTES_MAX);
        assert_eq!(read(&memory, root, None).len(), 1100);
        let Node::Inner(children) = Node::decode(&memory.0[&root.id]).unwrap() else { panic!("not inner") };
        assert_eq!(children.iter().map(|child| child.entries).collect::<Vec<_>>(), [1024, 76], "two levels of lists");
    }
}
