//! What an earlier run knew, followed in step with the walk: by this machine's cache, or by the tree in the vault.

use super::base::{Base, BaseFolder};
use super::cache::{CacheReader, EntryRecord, FolderRecord};
use crate::ids::ChunkId;
use crate::wire::cbor::Fields;
use crate::wire::entry::{Entry, order_key};

/// An earlier run.
pub(super) enum Previous<'v> {
    Nothing,
    /// Knows what was there, but not how to tell whether it has changed.
    Tree {
        base: Base<'v>,
        open: Vec<BaseFolder<'v>>,
    },
    Cache(Box<CacheReader>),
}

/// What was known of an entry.
pub(super) enum Was {
    Stored(Box<Entry>),
    Cached(Box<EntryRecord>),
}

impl Was {
    /// The entry as it was stored.
    pub(super) fn entry(&self) -> Option<Entry> {
        match self {
            Self::Stored(entry) => Some((**entry).clone()),
            Self::Cached(record) => decode(&record.encoded),
        }
    }
}

/// An entry out of a cache.
pub(super) fn decode(encoded: &[u8]) -> Option<Entry> {
    Entry::decode(Fields::decode(encoded).ok()?).ok()
}

impl<'v> Previous<'v> {
    pub(super) fn tree(base: Base<'v>) -> Self {
        Self::Tree { base, open: Vec::new() }
    }

    /// Follows the walk into a folder.
    pub(super) fn enter(&mut self, name: &[u8]) {
        match self {
            Self::Nothing => {}
            Self::Tree { base, open } => {
                let folder = match open.last_mut() {
                    None => base.top(),
                    Some(parent) => base.folder(parent.find(&order_key(name, true)).as_ref()),
                };
                open.push(folder);
            }
            Self::Cache(cache) => cache.enter(name),
        }
    }

    /// What was known of an entry of the present folder.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<Was> {
        match self {
            Self::Nothing => None,
            Self::Tree { open, .. } => open.last_mut()?.find(name).map(|entry| Was::Stored(Box::new(entry))),
            Self::Cache(cache) => cache.find(name).map(|record| Was::Cached(Box::new(record))),
        }
    }

    /// Nodes of folders that the vault has, as far as the walk has come since this was asked last.
    pub(super) fn take_pages(&mut self) -> Option<std::vec::Drain<'_, ChunkId>> {
        match self {
            Self::Nothing | Self::Tree { .. } => None,
            Self::Cache(cache) => Some(cache.take_pages()),
        }
    }

    /// Follows the walk out of a folder; what was known of that.
    pub(super) fn leave(&mut self) -> Option<FolderRecord> {
        match self {
            Self::Nothing => None,
            Self::Tree { open, .. } => {
                open.pop();
                None
            }
            Self::Cache(cache) => cache.leave(),
        }
    }
}
