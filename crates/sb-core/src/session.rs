//! A vault opened by one user.

use chrono::{DateTime, Utc};
use sb_crypto::Digest;
use sb_repo::{Progress, RepoError, Snapshot, Snapshots, VaultId};

use crate::access::Access;
use crate::error::CoreError;
use crate::record::{LIST, snapshot_id};
use crate::vault::Vault;

/// What the log calls it to be let in.
pub(crate) const OPEN: &str = "Vault.Open";

/// A vault opened by one user: what every operation that needs keys is a method of.
///
/// What it knows of the vault is from when it was opened and what it did itself since.
#[derive(Debug)]
pub struct Session {
    pub(crate) vault: sb_repo::Vault,
    pub(crate) place: Vault,
    /// What the user may do.
    pub(crate) access: Access,
    /// What opened it.
    pub(crate) method: &'static str,
    /// Snapshots begun after this do not count.
    pub(crate) as_of: Option<DateTime<Utc>>,
    /// What the clock had shown before it was set back.
    pub(crate) set_back: Option<DateTime<Utc>>,
}

impl Session {
    /// Lets in who is on the roll, and says to the log whom it does not.
    pub(crate) fn check_in(&mut self) -> Result<(), CoreError> {
        let user = self.vault.user().to_string();
        let now = self.place.clock.now();
        let because = match self.access.directory.user(&user.as_str().into()) {
            None => "you are no user of this vault any more",
            Some(user) if !user.is_active => "your access is locked",
            Some(user) if user.access_until.is_some_and(|until| until <= now) => "your access has ended",
            Some(_) => return Ok(()),
        };
        let refused: Result<(), CoreError> = self.refuse(OPEN, CoreError::LockedOut { because });
        refused
    }

    /// Looks at the vault anew, so that what is asked is asked about what there is now.
    pub(crate) fn renew(&mut self) -> Result<(), CoreError> {
        self.vault.refresh()?;
        self.look_anew()
    }

    /// Takes in what was changed of users and roles.
    pub(crate) fn look_anew(&mut self) -> Result<(), CoreError> {
        self.access = Access::of(&self.vault)?;
        Ok(())
    }

    /// Remembers where all logs end, so that none can be cut short unnoticed, and what the clock shows; and tells the log what
    /// this machine has kept.
    pub(crate) fn settle_in(&mut self) -> Result<(), CoreError> {
        self.vault.heed_logs()?;
        // Who has nowhere to keep it can still read.
        self.set_back = self.vault.note_time().unwrap_or(None);
        self.catch_up();
        Ok(())
    }

    /// The time that the clock had shown before, if it was set back since this machine last opened the vault.
    pub fn clock_set_back_from(&self) -> Option<DateTime<Utc>> {
        self.set_back
    }

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

    /// The same vault as of a time: snapshots begun later do not count, so `latest` is the newest of that time.
    #[must_use]
    pub fn as_of(self, time: DateTime<Utc>) -> Self {
        Self { as_of: Some(time), ..self }
    }

    /// The snapshot that a name means: the beginning of an id, `latest`, or `latest~N`. If it counts back from the latest and
    /// a newer one may be damaged, `progress` is warned.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] no such snapshot, or several, and keys that do not open snapshots;
    /// [`CoreError::NoSnapshotThen`].
    pub fn find(&self, name: &str, progress: Progress<'_>) -> Result<Snapshot, CoreError> {
        self.look(LIST, |session| session.found(name, progress), |found| Some(snapshot_id(found.id)))
    }

    /// The same for operations that ask and tell the log themselves.
    pub(crate) fn found(&self, name: &str, progress: Progress<'_>) -> Result<Snapshot, CoreError> {
        let all = self.counting()?;
        if name.starts_with("latest") {
            for (object, flaw) in &all.flawed {
                let text = format!("`{object}` is damaged ({flaw}), so `{name}` may not be what you expect");
                progress.monitor.warning(&text);
            }
        }
        match (all.find(name), self.as_of) {
            (Err(RepoError::NoSuchSnapshot { name }), Some(time)) => Err(CoreError::NoSnapshotThen { name, time }),
            (found, _) => Ok(found?.clone()),
        }
    }

    /// All snapshots that count.
    pub(crate) fn counting(&self) -> Result<Snapshots, CoreError> {
        let mut all = self.vault.snapshots()?;
        all.snapshots.retain(|snapshot| self.as_of.is_none_or(|time| snapshot.started() <= time));
        Ok(all)
    }

    /// Warns of snapshots and labels that can't be read, where an operation is about several snapshots.
    pub(crate) fn warn_of_flaws(&self, all: &Snapshots, progress: Progress<'_>) {
        for (object, flaw) in &all.flawed {
            progress.monitor.warning(&format!("`{object}` should be a snapshot and cannot be read: {flaw}"));
        }
        for (object, flaw) in &all.flawed_labels {
            let text = format!("`{object}` cannot be read ({flaw}), so some snapshot may have other tags");
            progress.monitor.warning(&text);
        }
    }
}
