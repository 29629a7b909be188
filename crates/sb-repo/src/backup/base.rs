//! The snapshot before, read in step with the walk, so that what did not change keeps its salt and its tree nodes.

use std::iter::Peekable;

use crate::tree::{FolderReader, TreeReader};
use crate::wire::entry::{Entry, Item};
use crate::wire::node::Reference;

/// A tree to compare with; one that can't be read compares with nothing.
pub(super) struct Base<'v> {
    reader: TreeReader<'v>,
    root: Option<Reference>,
}

/// A folder of the base, read in order.
#[derive(Default)]
pub(super) struct BaseFolder<'v>(Option<Peekable<FolderReader<'v>>>);

impl<'v> Base<'v> {
    pub(super) fn new(reader: TreeReader<'v>, root: Option<Reference>) -> Self {
        Self { reader, root }
    }

    /// The top folder.
    pub(super) fn top(&self) -> BaseFolder<'v> {
        BaseFolder(self.root.map(|node| self.reader.folder(node).peekable()))
    }

    /// The folder that this entry is.
    pub(super) fn folder(&self, entry: Option<&Entry>) -> BaseFolder<'v> {
        match entry.map(|entry| &entry.item) {
            Some(Item::Folder { node, .. }) => BaseFolder(Some(self.reader.folder(*node).peekable())),
            _ => BaseFolder(None),
        }
    }
}

impl BaseFolder<'_> {
    /// The entry with this order key; must be asked for in order.
    pub(super) fn find(&mut self, key: &[u8]) -> Option<Entry> {
        let entries = self.0.as_mut()?;
        loop {
            let order = match entries.peek()? {
                Ok(entry) => (*entry.order_key()).cmp(key),
                Err(_) => {
                    self.0 = None;
                    return None;
                }
            };
            match order {
                std::cmp::Ordering::Less => drop(entries.next()),
                std::cmp::Ordering::Equal => return entries.next().and_then(Result::ok),
                std::cmp::Ordering::Greater => return None,
            }
        }
    }
}
