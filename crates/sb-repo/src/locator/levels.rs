//! The chunks that a run itself has stored, when they have become many.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::seal::Local;
use super::sorter::{Entries, merge, write_table};
use super::table::Table;
use crate::ids::ChunkId;
use crate::keys::CompartmentKeys;
use crate::vault::Surroundings;
use crate::view::View;
use crate::wire::locator::{LocatorEntry, prefix};

/// So many tables of about one size become one: a look-up asks few filters, and an entry is written again seldom.
const TABLES: usize = 8;

/// A set of chunks that grows and never shrinks, in sorted tables with filters: O'Neil et al., "The log-structured merge-tree",
/// Acta Informatica 33, 1996. A chunk takes less than 3 bytes of memory.
pub(crate) struct Levels {
    local: Local,
    /// The older, the larger.
    tables: RwLock<Vec<Arc<Table>>>,
    /// Tables are put together while others look things up, but by one thread only.
    adding: Mutex<()>,
}

impl Levels {
    pub(crate) fn new(around: &Surroundings, view: &View, keys: &CompartmentKeys) -> Self {
        Self { local: Local::new(around, view.id(), keys), tables: RwLock::default(), adding: Mutex::default() }
    }

    /// Adds these. False if no file can be written, and nothing is added.
    pub(crate) fn add(&self, entries: &mut [LocatorEntry]) -> bool {
        let _alone = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        entries.sort_unstable();
        let Ok(Ok(new)) = write_table(&self.local, true, entries.iter().copied().map(Ok)) else { return false };
        let mut tables = self.tables();
        tables.push(Arc::new(new));
        self.replace(tables.clone());
        while let Some(from) = tables.len().checked_sub(TABLES) {
            let alike = &tables[from..];
            if alike[0].len() > 2 * alike[TABLES - 1].len() {
                break;
            }
            let inputs = alike.iter().map(|table| Box::new(table.scan()) as Entries<'_>).collect();
            // Where that fails they stay as they are.
            let Ok(Ok(merged)) = write_table(&self.local, true, merge(inputs)) else { break };
            tables.truncate(from);
            tables.push(Arc::new(merged));
            self.replace(tables.clone());
        }
        true
    }

    fn tables(&self) -> Vec<Arc<Table>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, tables: Vec<Arc<Table>>) {
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = tables;
    }

    /// True if the chunk was added. What can't be read any more was not: then it is stored twice, which harms nobody.
    pub(crate) fn has(&self, id: &ChunkId) -> bool {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        tables.iter().any(|table| table.find(prefix(id), &mut found).is_ok() && !found.is_empty())
    }

    /// Bytes it takes in memory, at the most.
    #[cfg(feature = "testing")]
    pub(crate) fn resident(&self) -> usize {
        self.tables().iter().map(|table| table.resident()).sum()
    }
}
