//! Rotation: new key pairs, to which everything new is sealed, and to which all tables of pack keys are sealed anew. No pack is touched.
//!
//! What there is to be done, the vault itself says: its config, what is granted, and the tables. So a rotation that was cut short, or
//! could not end because backups from before it were going on, is gone on with by the next one. `docs/decisions/0025-rotation.md` has
//! why nothing is lost, whoever writes meanwhile.

mod config;
mod retire;
mod tables;

use chrono::{DateTime, Utc};
use sb_audit::JournalHead;
use sb_crypto::{PrivateKey, SigningKey};
use sb_store::{ObjectName, StoreError};

use crate::access::KeySet;
use crate::backup::Held;
use crate::clock::Progress;
use crate::collect::fences;
use crate::error::{Flaw, RepoError};
use crate::ids::RunId;
use crate::vault::Vault;
use crate::view::View;
use crate::wire::frame::Author;
use tables::Scan;

/// What a rotation calls itself in the journal.
pub(crate) const OPERATION: &str = "rotate";

/// How to rotate.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RotateOptions {
    /// Begin a new epoch though the one before is not ended everywhere yet. Default: no, that one is gone on with.
    pub begin: bool,
}

/// The key pairs that new objects are sealed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEpoch {
    /// How often keys were rotated before.
    pub number: u64,
    /// When they came into use.
    pub began: DateTime<Utc>,
}

/// What a rotation did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RotateReport {
    /// The newest epoch.
    pub epoch: KeyEpoch,
    /// True if it was begun by this run, false if this run went on with it.
    pub is_new: bool,
    /// How many users were granted keys.
    pub granted: u64,
    /// Tables of pack keys that were sealed anew.
    pub tables: u64,
    /// Tables that could not be, and why: the first of them.
    pub stuck: Vec<(String, Flaw)>,
    /// How many there are.
    pub stuck_count: u64,
    /// Backups that began before the newest epoch and may be going on: what they write is sealed to older keys.
    pub running: u64,
    /// Epochs whose private keys for contents were destroyed.
    pub closed: u64,
    /// Earlier epochs whose private keys for names and snapshots are kept: snapshots are sealed to them for ever.
    pub names_kept: u64,
    /// True if nobody has a private key for contents of an earlier epoch any more. If not, the next rotation goes on.
    pub is_finished: bool,
    /// The newest entry of this machine's journal when it was over.
    pub journal: Option<JournalHead>,
}

/// Tables that are told of one by one.
const STUCK_TOLD: usize = 20;

impl View {
    /// The newest keys.
    pub fn key_epoch(&self) -> KeyEpoch {
        let number = self.config.compartments.first().and_then(|c| c.epochs.last()).map_or(0, |epoch| epoch.number);
        KeyEpoch { number, began: self.config.began.unwrap_or(self.config.created) }
    }

    /// True if a rotation was begun and has not ended, as far as anybody can see.
    pub fn is_rotating(&self) -> bool {
        self.config.compartments.iter().any(|compartment| compartment.epochs.len() > 1)
    }
}

impl Vault {
    /// Opens a new epoch of key pairs, grants its private keys to all who need them, seals all tables of pack keys to it, and destroys
    /// the private keys for contents of the epochs before. Goes on with a rotation that did not end. Reads and writes config, grants,
    /// roll, tables, journal, lease and fence, no pack and no snapshot; backups and restores may go on meanwhile.
    ///
    /// Whoever has copied earlier keys, and what was sealed to them, reads that for ever. The keys by which chunks are cut, named and found
    /// never change, nor do those of users.
    ///
    /// # Errors
    /// [`RepoError::NoRootKey`] and [`RepoError::KeysNotHeld`] for who has not all keys, [`RepoError::NoGrant`] if a user's slots are of
    /// the older kind, [`RepoError::Busy`] while a collection or another rotation goes on, [`RepoError::Undecided`] if journals are
    /// damaged, [`RepoError::RollChanged`] if users were changed at the same time; nothing is lost then.
    /// [`RepoError::RolledBack`], [`RepoError::Interrupted`], and errors of storage and state: what was begun then, the next run ends.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use sb_crypto::{Lock, KeyFile, SeededRandom};
    /// # use sb_repo::*;
    /// # let random = Arc::new(SeededRandom::new(1));
    /// # let clock = Arc::new(FixedClock(chrono::DateTime::UNIX_EPOCH));
    /// # let storage = Arc::new(sb_store::MemoryStorage::new());
    /// # let around = Surroundings { storage, state: State::in_memory(), clock, random: random.clone() };
    /// # let (mut vault, _) = create(around, &[Lock::KeyFile(KeyFile::generate(&*random))], &CreateOptions::default())?;
    /// # let mut source = sb_source::MemorySource::new(&["/desk"]);
    /// # source.file("/desk/letter", b"Dear Sir");
    /// vault.backup(&source, &BackupOptions::default(), Progress::none())?;
    ///
    /// let report = vault.rotate(&RotateOptions::default(), Progress::none())?;
    /// assert!(report.is_finished && report.tables > 0);
    /// assert_eq!(vault.view().key_epoch().number, 1);
    /// assert_eq!(vault.snapshots()?.snapshots.len(), 1);
    /// # Ok::<(), RepoError>(())
    /// ```
    pub fn rotate(&mut self, options: &RotateOptions, progress: Progress<'_>) -> Result<RotateReport, RepoError> {
        self.refresh()?;
        self.check_heads()?;
        let root = self.root_pair()?;
        if self.key_set() != KeySet::ALL {
            return Err(RepoError::KeysNotHeld { wanted: KeySet::ALL });
        }
        if self.keyring.payload.private.is_none() {
            return Err(RepoError::NoGrant { user: self.user() });
        }
        self.take_in_grants()?;
        self.check_complete(&self.keyring.keys)?;
        let writer = self.writer()?;
        let run = RunId::random(&*self.around.random);
        let state = self.around.state.clone();
        let _alive = state.hold(run)?;
        let author = Author { key: &writer, run };
        let mut lease = Held::take(self, &author, None)?;
        let outcome = Rotation::run(self, author, root, &mut lease, *options, progress);
        lease.end(&self.around);
        let (is_new, scan, tally) = outcome?;
        Ok(RotateReport {
            epoch: self.view.key_epoch(),
            is_new,
            granted: tally.granted,
            tables: tally.tables,
            stuck: scan.stuck,
            stuck_count: scan.stuck_count,
            running: scan.running,
            closed: tally.closed,
            names_kept: self.view.config.compartments.iter().map(|c| c.closed.len() as u64).sum(),
            is_finished: !self.is_rotating(),
            journal: self.journal_head(&writer),
        })
    }

    /// True if a rotation was begun and has not ended: private keys for contents of an earlier epoch are there, or ones of an epoch
    /// that the config does not name yet. Of who has no such keys the config alone says it.
    pub fn is_rotating(&self) -> bool {
        let newest = self.epoch().number;
        let is_other = |(number, _): &(u64, _)| *number != newest;
        let mut granted = self.keyring.keys.compartments.iter();
        self.view.is_rotating() || granted.any(|secrets| secrets.content.iter().any(is_other))
    }
}

/// What a rotation has done so far.
#[derive(Debug, Default)]
struct Done {
    granted: u64,
    tables: u64,
    closed: u64,
}

/// A rotation that is going on.
struct Rotation<'a> {
    vault: &'a mut Vault,
    author: Author<'a>,
    root: SigningKey,
    lease: &'a mut Held,
    progress: Progress<'a>,
    fence: ObjectName,
    done: Done,
}

impl<'a> Rotation<'a> {
    /// Rotates, under a lease.
    fn run(
        vault: &'a mut Vault,
        author: Author<'a>,
        root: SigningKey,
        lease: &'a mut Held,
        options: RotateOptions,
        progress: Progress<'a>,
    ) -> Result<(bool, Scan, Done), RepoError> {
        let fence = vault.raise_fence(&author)?;
        let mut rotation = Self { vault, author, root, lease, progress, fence, done: Done::default() };
        let outcome = rotation.steps(options);
        rotation.vault.lift(&rotation.fence);
        outcome.map(|(is_new, scan)| (is_new, scan, rotation.done))
    }

    fn steps(&mut self, options: RotateOptions) -> Result<(bool, Scan), RepoError> {
        self.displace()?;
        self.vault.refresh()?;
        // What was removed can't be told from what nobody has entered yet, nor what somebody needs whom nothing vouches for now.
        self.vault.check_witnesses()?;
        self.enter_config()?;
        let is_new = options.begin && !self.is_pending() || !self.vault.is_rotating();
        if is_new {
            self.begin()?;
        }
        if self.is_pending() {
            self.open_epoch()?;
        }
        let scan = self.seal_tables()?;
        let scan = self.retire(scan)?;
        self.tidy()?;
        Ok((is_new, scan))
    }

    /// Goes on, unless the caller wants to stop, or somebody has taken this rotation for dead.
    fn go_on(&mut self) -> Result<(), RepoError> {
        self.progress.check()?;
        self.lease.keep(&self.vault.around, &self.author)
    }

    /// The same before something that nobody else must do at the same time.
    fn check_still_ours(&mut self) -> Result<(), RepoError> {
        self.go_on()?;
        match self.vault.around.storage.size(&self.fence) {
            Err(StoreError::NotFound { .. }) => Err(RepoError::Busy { since: self.vault.around.clock.now() }),
            other => Ok(other.map(drop)?),
        }
    }

    /// Takes away the fences of collections and rotations that died, so that one which was only taken for dead finds out.
    fn displace(&self) -> Result<(), RepoError> {
        for fence in fences(&self.vault.view)? {
            if fence.object != self.fence.as_str() {
                self.vault.around.storage.remove(&ObjectName::new(fence.object)?)?;
            }
        }
        Ok(())
    }

    /// Makes the key pairs of the next epoch and grants them, before anybody can seal anything to them.
    fn begin(&mut self) -> Result<(), RepoError> {
        self.check_still_ours()?;
        let (random, recipient) = (self.vault.around.random.clone(), self.vault.view.config.recipient);
        let mut keys = self.vault.keyring.keys.clone();
        for compartment in &self.vault.view.config.compartments {
            let next = compartment.epochs.last().map_or(0, |epoch| epoch.number + 1);
            for secrets in keys.compartments.iter_mut().filter(|secrets| secrets.id == compartment.id) {
                secrets.meta.push((next, PrivateKey::generate(recipient, &*random)?.to_secret_bytes()));
                secrets.content.push((next, PrivateKey::generate(recipient, &*random)?.to_secret_bytes()));
            }
        }
        self.done.granted = self.vault.grant_to_all(self.author.key, OPERATION, &keys)?;
        Ok(())
    }
}
