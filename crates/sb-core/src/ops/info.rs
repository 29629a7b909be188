//! What a vault is.

use chrono::{DateTime, Utc};
use sb_crypto::{Digest, HashAlgorithm, RecipientAlgorithm};
use sb_rbac::Action;
use sb_repo::{UserId, VaultId, View};
use sb_store::Space;

use crate::access::deed;
use crate::error::CoreError;
use crate::location::Location;
use crate::ops::KeyAge;
use crate::session::Session;
use crate::vault::Vault;

/// What a vault is and holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InfoReport {
    /// Where it is.
    pub location: Location,
    /// Its id.
    pub vault: VaultId,
    /// SHA-256 of its root key.
    pub root_fingerprint: Digest,
    /// How chunk ids, and what binds sealed texts, are computed.
    pub hash: HashAlgorithm,
    /// What session keys, snapshots and grants are sealed with.
    pub recipient: RecipientAlgorithm,
    /// True if the vault was made to use approved algorithms only.
    pub approved_only: bool,
    /// What the journals record, by folder of the vault. The journals themselves and what only runs at work have is not in it.
    pub usage: Vec<Usage>,
    /// Space of the storage, where it can tell.
    pub space: Option<Space>,
    /// How old its keys are.
    pub keys: KeyAge,
    /// What only a key shows.
    pub opened: Option<Opened>,
}

/// Objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The folder of the vault.
    pub folder: String,
    /// How many there are, second copies included.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What only a key shows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The slot that the key opened.
    pub slot: String,
    /// What the slot is opened by: `passphrase`, `key file`, `passphrase and key file`, `RSA key` or `recovery key`.
    pub method: &'static str,
    /// Whose it is.
    pub user: UserId,
    /// True if the user may change keys and users.
    pub is_administrator: bool,
    /// Snapshots that can be read.
    pub snapshots: usize,
    /// Objects that should be snapshots and can't be read.
    pub flawed_snapshots: usize,
    /// When the newest snapshot was begun.
    pub latest: Option<DateTime<Utc>>,
}

impl Session {
    /// Describes the vault.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] keys that do not open snapshots, and failures of the storage.
    pub fn info(&self) -> Result<InfoReport, CoreError> {
        let describe = |session: &Self| session.place.describe(session.vault.view(), Some(session.opened()?));
        self.look(deed("Vault.Show", Action::ShowVault), describe, |_| None)
    }

    fn opened(&self) -> Result<Opened, CoreError> {
        let all = self.vault.snapshots()?;
        Ok(Opened {
            slot: self.vault.slot(),
            method: self.method,
            user: self.vault.user(),
            is_administrator: self.vault.is_administrator(),
            snapshots: all.snapshots.len(),
            flawed_snapshots: all.flawed.len(),
            latest: all.snapshots.last().map(sb_repo::Snapshot::started),
        })
    }
}

impl Vault {
    /// Describes the vault as far as anybody can see, with no key.
    ///
    /// # Errors
    /// [`CoreError::NoVault`]; in [`CoreError::Repo`] another root key than expected and failures of the storage.
    pub fn info_public(&self, fingerprint: Option<Digest>) -> Result<InfoReport, CoreError> {
        self.describe(&self.view(fingerprint)?, None)
    }

    fn describe(&self, view: &View, opened: Option<Opened>) -> Result<InfoReport, CoreError> {
        let usage = view.usage().into_iter();
        Ok(InfoReport {
            location: self.location.clone(),
            vault: view.id(),
            root_fingerprint: view.root_fingerprint(),
            hash: view.hash(),
            recipient: view.recipient(),
            approved_only: view.is_approved_only(),
            usage: usage
                .map(|(folder, (objects, bytes))| Usage { folder: folder.to_owned(), objects, bytes })
                .collect(),
            space: self.location.open()?.space()?,
            keys: self.key_age(view),
            opened,
        })
    }
}
