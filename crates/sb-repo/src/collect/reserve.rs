//! Room to delete on a full disk (docs/decisions/0009-space-reserve.md).

use sb_store::{ObjectName, StoreError};

use crate::create::write_reserve;
use crate::error::RepoError;
use crate::vault::{Change, Vault};
use crate::wire::frame::Author;

/// With less free than this the reserve is given up, and so large a one is made again where there is room.
const RESERVE: u64 = 4 << 20;

impl Vault {
    /// Gives the reserve up if there is little room. The journal hears of it when there is a new one.
    pub(crate) fn release_reserve(&self) -> Result<(), RepoError> {
        if self.around.storage.space()?.is_none_or(|space| space.free >= RESERVE) {
            return Ok(());
        }
        for name in self.view.listing.keys().filter(|name| name.starts_with("reserve/")) {
            match self.around.storage.remove(&ObjectName::new(name.as_str())?) {
                Ok(()) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Makes a new reserve in the place of one that was given up, as large as there is room for.
    pub(super) fn renew_reserve(&mut self, author: &Author<'_>) -> Result<(), RepoError> {
        let recorded = self.view.live.iter().filter(|(name, _)| name.starts_with("reserve/"));
        let removed: Vec<(String, u64)> = recorded.map(|(name, recorded)| (name.to_owned(), recorded.size)).collect();
        if removed.is_empty() || removed.iter().any(|(name, _)| self.view.listing.contains_key(name)) {
            return Ok(());
        }
        let added = match write_reserve(&self.around, self.id(), author, RESERVE) {
            // Whoever has so little room goes on without; the next collection tries again.
            Err(RepoError::Store(StoreError::Full { .. })) => return Ok(()),
            other => other?,
        };
        if added.is_empty() {
            return Ok(());
        }
        self.append(author.key, author.run, Change { operation: "reserve", added, removed, ..Change::default() })
    }
}
