//! Collecting: freeing what nothing needs.

use sb_rbac::Resource;
use sb_repo::{CollectOptions, CollectReport, Progress};

use crate::error::CoreError;
use crate::record::{COLLECT, Told, vault_id};
use crate::session::Session;

impl Session {
    /// Deletes what no snapshot needs, and what interrupted runs left. Backups may go on meanwhile.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] another collection that goes on, damage to what would say what is needed (nothing is deleted
    /// then), keys that do not open names, interruption, and failures of storage and state.
    pub fn collect(&mut self, options: &CollectOptions, progress: Progress<'_>) -> Result<CollectReport, CoreError> {
        if options.dry_run {
            self.ask(COLLECT.asks, Resource::Vault)?;
            return Ok(self.vault.collect(options, progress)?);
        }
        let vault = vault_id(self.id());
        let collect = |session: &mut Self| Ok(session.vault.collect(options, progress)?);
        self.change(COLLECT, &vault, progress, collect, |report: &CollectReport| Told {
            journal: report.journal,
            ..Told::default()
        })
    }
}
