//! Going through an operation without keeping anything of it: what is read comes from the vault and from what this machine
//! remembers, what is written goes nowhere.

use std::sync::Arc;

use sb_store::{Listed, ObjectName, Space, Storage, StoreError, Upload};

use crate::logs::OwnLog;
use crate::sessions::KeyFinder;
use crate::vault::{Surroundings, Vault};

impl Surroundings {
    /// The same for a rehearsal: neither the storage nor this machine's memory is written to, though whoever writes is told that
    /// it went well. What was written can't be read back, so nothing that was done here counts.
    #[must_use]
    pub fn rehearsing(&self) -> Self {
        Self { storage: Arc::new(Untouched(self.storage.clone())), state: self.state.rehearsing(), ..self.clone() }
    }
}

impl Vault {
    /// The same vault in such surroundings.
    pub(crate) fn rehearsing(&self) -> Self {
        let around = self.around.rehearsing();
        let mut view = self.view.clone();
        view.storage = around.storage.clone();
        let finder = KeyFinder::new(&view);
        let (keyring, keys) = (Arc::clone(&self.keyring), self.keys.clone());
        let (slot, unusable_tables) = (self.slot.clone(), self.unusable_tables.clone());
        let (own_log, opened_by) = (OwnLog::default(), self.opened_by);
        Self { view, around, keyring, keys, finder, slot, opened_by, unusable_tables, own_log }
    }
}

/// A storage that only seems to be written to.
#[derive(Debug)]
struct Untouched(Arc<dyn Storage>);

impl Storage for Untouched {
    fn read(&self, name: &ObjectName) -> Result<Vec<u8>, StoreError> {
        self.0.read(name)
    }

    fn read_range_into(
        &self,
        name: &ObjectName,
        offset: u64,
        length: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        self.0.read_range_into(name, offset, length, buffer)
    }

    fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        self.0.size(name)
    }

    fn begin(&self) -> Result<Box<dyn Upload + '_>, StoreError> {
        Ok(Box::new(Nowhere))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.0.list(prefix)
    }

    fn remove(&self, _: &ObjectName) -> Result<(), StoreError> {
        Ok(())
    }

    fn space(&self) -> Result<Option<Space>, StoreError> {
        self.0.space()
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// An object that nobody will ever see.
struct Nowhere;

impl Upload for Nowhere {
    fn write(&mut self, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    fn finish(self: Box<Self>, _: &ObjectName) -> Result<(), StoreError> {
        Ok(())
    }
}
