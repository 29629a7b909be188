//! A vault opened by one user.

use sb_crypto::Digest;
use sb_repo::{Progress, Snapshot, VaultId};

use crate::error::CoreError;
use crate::vault::Vault;

/// A vault opened by one user: what every operation that needs keys is a method of.
///
/// What it knows of the vault is from when it was opened and what it did itself since.
#[derive(Debug)]
pub struct Session {
    pub(crate) vault: sb_repo::Vault,
    pub(crate) place: Vault,
    /// What opened it.
    pub(crate) method: &'static str,
}

impl Session {
    /// The vault's id.
    pub fn id(&self) -> VaultId {
        self.vault.id()
    }

    /// SHA-256 of the vault's root key, to compare with the recovery sheet.
    pub fn root_fingerprint(&self) -> Digest {
        self.vault.view().root_fingerprint()
    }

    /// The open vault, for what no operation does.
    pub fn vault(&self) -> &sb_repo::Vault {
        &self.vault
    }

    /// The snapshot that a name means. If it counts back from the latest and a newer one may be damaged, `progress` is warned.
    pub(crate) fn find(&self, name: &str, progress: Progress<'_>) -> Result<Snapshot, CoreError> {
        if name.starts_with("latest") {
            for (object, flaw) in self.vault.snapshots()?.flawed {
                let text = format!("`{object}` is damaged ({flaw}), so `{name}` may not be what you expect");
                progress.monitor.warning(&text);
            }
        }
        Ok(self.vault.find_snapshot(name)?)
    }
}
