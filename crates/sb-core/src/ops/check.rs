//! Comparing what can be made anew with what it is made from.

use sb_repo::{IndexReport, Progress};

use crate::error::CoreError;
use crate::record::vault_id;
use crate::session::Session;

impl Session {
    /// Compares what this machine remembers with the vault, and the vault's locator with its packs. Writes nothing.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] interruption and failures of the storage. What is wrong is in the report.
    pub fn check_index(&self, progress: Progress<'_>) -> Result<IndexReport, CoreError> {
        let done = self.vault.check_index(progress).map_err(CoreError::from);
        self.looked("Vault.CheckIndex", &vault_id(self.id()), done)
    }
}
