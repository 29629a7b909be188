//! Comparing what can be made anew with what it is made from.

use sb_rbac::Action;
use sb_repo::{IndexReport, Progress};

use crate::access::deed;
use crate::error::CoreError;
use crate::session::Session;

impl Session {
    /// Compares what this machine remembers with the vault, and the vault's locator with its packs. Writes nothing.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] interruption and failures of the storage. What is wrong is in the report.
    pub fn check_index(&self, progress: Progress<'_>) -> Result<IndexReport, CoreError> {
        let check = |session: &Self| Ok(session.vault.check_index(progress)?);
        self.look(deed("Vault.CheckIndex", Action::CheckLocator), check, |_| None)
    }
}
