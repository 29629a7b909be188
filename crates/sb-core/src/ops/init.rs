//! Making a vault.

use std::fs;

use sb_crypto::{Digest, HashAlgorithm, Lock, RecipientAlgorithm, RecoveryKey};
use sb_repo::{CreateOptions, RepoError, RunId, State, VaultId, create, is_login};

use crate::error::CoreError;
use crate::vault::Vault;

/// What a vault is made with; fixed for its life.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct InitOptions {
    /// What opens it, besides the recovery key. Default: nothing.
    pub locks: Vec<Lock>,
    /// What session keys are sealed with. Default: HPKE with X25519, or with P-256 where only approved algorithms are wanted.
    pub algorithm: Option<RecipientAlgorithm>,
    /// Nothing but approved algorithms, now and ever after (docs/approved-algorithms.md). Default: false.
    pub approved_only: bool,
}

/// A vault that was made.
#[derive(Debug)]
#[non_exhaustive]
pub struct InitReport {
    /// Its id.
    pub vault: VaultId,
    /// SHA-256 of its root key: what tells it from a forged one.
    pub root_fingerprint: Digest,
    /// What opens it when all else is lost. It is stored nowhere.
    pub recovery: RecoveryKey,
}

impl Vault {
    /// Makes a vault, and the folder for it if need be. This machine becomes its first writer.
    ///
    /// # Errors
    /// [`CoreError::VaultExists`], [`CoreError::NotEmpty`], [`CoreError::NoFolder`], in [`CoreError::Repo`] an algorithm that
    /// is not approved where no other is wanted, and failures of storage, state and keys.
    pub fn init(&self, options: &InitOptions) -> Result<InitReport, CoreError> {
        if self.location.folder().is_some_and(|folder| folder.exists() && !folder.is_dir()) {
            return Err(CoreError::NoFolder { location: self.location.clone() });
        }
        if let Some(login) = self.login.as_ref().filter(|login| !is_login(login)) {
            return Err(RepoError::InvalidLogin { login: login.clone() }.into());
        }
        let storage = self.location.create()?;
        // The vault has no id yet that its state could be filed under.
        let unnamed = self.state_root.join(format!("new-{}", RunId::random(&*self.random)));
        let made = State::open(&unnamed).and_then(|state| {
            let mut settings = CreateOptions::default();
            if options.approved_only {
                (settings.hash, settings.recipient) = (HashAlgorithm::HmacSha256, RecipientAlgorithm::HpkeP256);
            }
            settings.recipient = options.algorithm.unwrap_or(settings.recipient);
            settings.approved_only = options.approved_only;
            settings.login = self.login.clone().or(settings.login);
            create(self.surroundings(storage, state), &options.locks, &settings)
        });
        let (vault, recovery) = made.map_err(|error| {
            // Only what this call has put there; what stays is harmless.
            let _ = fs::remove_dir_all(&unnamed);
            CoreError::from(error).at(&self.location)
        })?;
        let (id, root_fingerprint) = (vault.id(), vault.view().root_fingerprint());
        drop(vault);
        // Whatever becomes of the state, the recovery key must be shown: a machine without state enrols anew.
        let _ = fs::rename(&unnamed, self.state_folder(id));
        Ok(InitReport { vault: id, root_fingerprint, recovery })
    }
}
