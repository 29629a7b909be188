//! Making anew what is only a cache.

use sb_audit::Json;
use sb_rbac::Action;
use sb_repo::{Progress, RebuildReport};

use crate::access::deed;
use crate::error::CoreError;
use crate::record::{Told, vault_id};
use crate::session::Session;

/// How to rebuild.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RebuildOptions {
    /// Take the vault as it is for the truth even where this machine remembers more than it has. What it holds whole and no
    /// journal names is taken over then: snapshots, and tags with them. Default: no.
    pub accept_rollback: bool,
}

impl Session {
    /// Writes the vault's locator anew out of its packs, and makes this machine a writer again if it has forgotten how.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] a vault that was rolled back, unless that is accepted, and failures of storage and state.
    pub fn rebuild(&mut self, options: RebuildOptions, progress: Progress<'_>) -> Result<RebuildReport, CoreError> {
        let vault = vault_id(self.id());
        let asks = if options.accept_rollback { Action::AcceptLosses } else { Action::RebuildLocator };
        // What was rolled back can't be announced in the log before that is accepted.
        self.disclose(
            deed("Vault.Rebuild", asks),
            &vault,
            progress,
            |session| Ok(session.vault.rebuild(options.accept_rollback, progress)?),
            |report| Told {
                data: vec![("accepted_rollback", Json::Integer(u64::from(report.accepted)))],
                ..Told::default()
            },
        )
    }
}
