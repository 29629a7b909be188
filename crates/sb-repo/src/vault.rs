//! An open vault: a view of it, the keys of one user, and this machine as a writer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sb_audit::JournalHead;
use sb_crypto::{Credential, Digest, Random, SigningKey, SlotMethod};
use sb_store::{Storage, StoreError, create};

use crate::clock::Clock;
use crate::door::{Door, Opened};
use crate::error::{Flaw, RepoError};
use crate::ids::{KeyId, RunId, TableId, UserId, VaultId};
use crate::keys::{CompartmentKeys, Keyring};
use crate::live::{Listing, list, names_in, read};
use crate::logs::OwnLog;
use crate::name::{ObjectKind, ParsedName, Stem};
use crate::sessions::{KeyFinder, write_twice};
use crate::state::{Head, Remembered, State};
use crate::trust::{is_roots_own, key_id};
use crate::view::{View, candidates, refuse_unknown};
use crate::wire::certificate::WriterCertificate;
use crate::wire::config::Epoch;
use crate::wire::frame::{Author, Header};
use crate::wire::journal::{Added, Authority, JournalEntry, Loss};

/// What a vault needs of the world around it.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where the vault is.
    pub storage: Arc<dyn Storage>,
    /// What this machine remembers of it.
    pub state: State,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Where keys, salts and ids come from.
    pub random: Arc<dyn Random>,
}

/// A vault opened by one user.
///
/// What it knows of the storage is from when it was opened and what it did itself since; open it anew to see what others did.
#[derive(Debug)]
pub struct Vault {
    pub(crate) view: View,
    pub(crate) around: Surroundings,
    pub(crate) keyring: Arc<Keyring>,
    /// Of who may handle documents or their names.
    pub(crate) keys: Option<Arc<CompartmentKeys>>,
    pub(crate) finder: KeyFinder,
    /// What the credential opened.
    pub(crate) slot: ParsedName,
    /// What that asks for.
    pub(crate) opened_by: SlotMethod,
    /// Session tables that are damaged, so that packs with their keys are as good as gone.
    pub(crate) unusable_tables: BTreeSet<TableId>,
    /// Where this vault has itself left this machine's log.
    pub(crate) own_log: OwnLog,
}

/// A change that goes into the journal.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) operation: &'static str,
    pub(crate) added: Vec<Added>,
    pub(crate) removed: Vec<(String, u64)>,
    pub(crate) accepted: Vec<Loss>,
}

impl Vault {
    /// Opens the vault with a credential. `expected` is the root key's fingerprint where it is known from elsewhere.
    ///
    /// # Errors
    /// [`RepoError::NoVault`], [`RepoError::WrongCredential`], [`RepoError::NoSuchSlot`], [`RepoError::RootMismatch`],
    /// [`RepoError::RootNotPinned`] for an RSA key where no fingerprint is known, [`RepoError::UnsupportedFeature`], and errors of
    /// storage and state.
    pub fn open(around: Surroundings, credential: &Credential, expected: Option<Digest>) -> Result<Self, RepoError> {
        Self::open_by(around, None, credential, expected)
    }

    /// The same for the user with this login. A login that nobody has is refused as a wrong credential is, after as many derivations.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_as(
        around: Surroundings,
        login: &str,
        credential: &Credential,
        expected: Option<Digest>,
    ) -> Result<Self, RepoError> {
        Self::open_by(around, Some(login), credential, expected)
    }

    fn open_by(
        around: Surroundings,
        login: Option<&str>,
        credential: &Credential,
        expected: Option<Digest>,
    ) -> Result<Self, RepoError> {
        let listing = list(&*around.storage)?;
        let expected = expected.or(around.state.remembered()?.root);
        let trusts = candidates(&*around.storage, &listing, None);
        let door = Door { around: &around, listing, trusts, credential, expected, login };
        let Opened { slot, method, keyring, view } = door.open()?;
        let around = Surroundings { state: around.state.bound(keyring.vault)?, ..around };
        let keys = keyring.of(&view)?;
        let finder = KeyFinder::new(&view);
        let (keyring, keys) = (Arc::new(keyring), keys.map(Arc::new));
        let mut vault = Self {
            view,
            around,
            keyring,
            keys,
            finder,
            slot,
            opened_by: method,
            unusable_tables: BTreeSet::new(),
            own_log: OwnLog::default(),
        };
        match vault.remember() {
            // Reading needs no memory; who writes will be told.
            Ok(()) | Err(RepoError::State { .. }) => Ok(vault),
            Err(error) => Err(error),
        }
    }

    /// The keys of the compartment, of who may handle documents or their names.
    pub(crate) fn keys(&self) -> Result<&Arc<CompartmentKeys>, RepoError> {
        self.keys.as_ref().ok_or(RepoError::NoReadingKey { what: "what is in this vault, nor add to it" })
    }

    /// True if names and snapshots can be read.
    pub(crate) fn reads_meta(&self) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.reads_meta())
    }

    /// Looks at the storage anew.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn refresh(&mut self) -> Result<(), RepoError> {
        let remembered = self.around.state.remembered()?;
        let listing = list(&*self.around.storage)?;
        self.see(listing, remembered)
    }

    /// Takes this for what the storage holds. What was remembered before it was listed must be there; another process of this
    /// machine may remember more by now.
    pub(crate) fn see(&mut self, listing: Listing, remembered: Remembered) -> Result<(), RepoError> {
        let is_flawless = self.view.live.flaws.is_empty();
        if is_flawless && listing == self.view.listing && remembered == self.view.remembered {
            return self.remember();
        }
        let root = Some(self.keyring.root);
        let view = View::assemble(self.around.storage.clone(), listing, remembered, root, None)?;
        if view.config.generation < self.view.config.generation {
            // Somebody has put back the one before, by which everything would be sealed to keys that were given up.
            let name = Stem::config(self.view.config.generation).signed_text();
            return Err(RepoError::Damaged { name, flaw: Flaw::Missing });
        }
        let config = std::mem::replace(&mut self.view, view).config.generation;
        self.finder = KeyFinder::new(&self.view);
        let lacks = self.keys.as_ref().is_some_and(|keys| keys.lacks(self.epoch()));
        if lacks || self.view.config.generation != config {
            self.take_in_grants()?;
        }
        self.remember()
    }

    /// Takes what the vault grants now to who opened it, instead of what it did then: somebody has rotated keys.
    pub(crate) fn take_in_grants(&mut self) -> Result<(), RepoError> {
        let keyring = match Keyring::from_payload(self.keyring.payload.clone()).with_grants(&self.view) {
            // Better the keys of then than none.
            Err(RepoError::Damaged { .. }) => return Ok(()),
            other => other?,
        };
        self.keys = keyring.of(&self.view)?.map(Arc::new);
        self.keyring = Arc::new(keyring);
        Ok(())
    }

    /// What anybody can see of the vault.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The vault's id.
    pub fn id(&self) -> VaultId {
        self.view.id()
    }

    /// Who opened it.
    pub fn user(&self) -> UserId {
        self.keyring.user
    }

    /// True if this user may change keys and users.
    pub fn is_administrator(&self) -> bool {
        self.keyring.root_signing.is_some()
    }

    /// The slot that the credential opened, as a name without its hash.
    pub fn slot(&self) -> String {
        self.slot.stem.signed_text().trim_end_matches('.').to_owned()
    }

    /// Fails if journal entries that this machine has seen are gone. Reading goes on without them, writing must not.
    ///
    /// # Errors
    /// [`RepoError::RolledBack`].
    pub fn check_heads(&self) -> Result<(), RepoError> {
        for (name, flaw) in &self.view.live.flaws {
            if let (Flaw::RolledBack(sequence), Some(parsed)) = (flaw, ParsedName::parse(name)) {
                let writer = parsed.stem.folder().strip_prefix("journal/").and_then(KeyId::from_hex);
                return Err(RepoError::RolledBack { writer: writer.expect("a parsed name"), sequence: *sequence });
            }
        }
        Ok(())
    }

    /// Remembers the newest heads, never an older one than before.
    fn remember(&mut self) -> Result<(), RepoError> {
        if self.is_remembered(&self.view.remembered) {
            return Ok(());
        }
        self.make_durable()?;
        let state = self.around.state.clone();
        let _locked = state.lock_journal()?;
        self.remember_locked()
    }

    /// Makes durable what can be seen: an entry that is visible because its writer died before making it durable could still be lost,
    /// and must not be missed then. Where nothing can be written nothing can be lost that way.
    pub(crate) fn make_durable(&self) -> Result<(), RepoError> {
        match self.around.storage.sweep() {
            Ok(_) | Err(StoreError::ReadOnly { .. } | StoreError::Denied { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn is_remembered(&self, remembered: &Remembered) -> bool {
        let knows = |(writer, head): (&KeyId, &Head)| {
            remembered.heads.get(writer).is_some_and(|known| known.sequence >= head.sequence)
        };
        remembered.root == Some(self.view.root_fingerprint()) && self.view.live.heads.iter().all(knows)
    }

    /// The same for who has locked the journal already: what another process remembers meanwhile must not be lost.
    fn remember_locked(&mut self) -> Result<(), RepoError> {
        let mut remembered = self.around.state.remembered()?;
        remembered.root = Some(self.view.root_fingerprint());
        for (writer, head) in &self.view.live.heads {
            let known = remembered.heads.entry(*writer).or_insert(*head);
            if head.sequence > known.sequence {
                *known = *head;
            }
        }
        if remembered != self.view.remembered {
            self.around.state.remember(&remembered)?;
            self.view.remembered = remembered;
        }
        Ok(())
    }

    /// Takes the vault as it is for the truth from now on, after a rollback that the user knows of.
    pub(crate) fn accept_heads(&mut self) -> Result<(), RepoError> {
        let mut remembered = self.around.state.remembered()?;
        remembered.heads = self.view.live.heads.clone();
        self.around.state.remember(&remembered)?;
        self.refresh()
    }

    /// The newest entry of this writer's journal. It commits to all that the writer has ever entered.
    pub(crate) fn journal_head(&self, key: &SigningKey) -> Option<JournalHead> {
        let head = self.view.live.heads.get(&key_id(&key.public()))?;
        Some(JournalHead { writer: key.public(), number: head.sequence, sha256: head.digest })
    }

    /// The newest keys that new objects are sealed to.
    pub(crate) fn epoch(&self) -> &Epoch {
        let is_own = |id| self.keys.as_ref().is_none_or(|keys| keys.id == id);
        let compartment = self.view.config.compartments.iter().find(|c| is_own(c.id));
        compartment.and_then(|c| c.epochs.last()).expect("checked when the config was read")
    }

    /// This machine's log key; a machine without one that the vault knows enrols. Fails where the vault has features that a
    /// writer must know.
    pub(crate) fn writer(&mut self) -> Result<SigningKey, RepoError> {
        refuse_unknown(&self.view.config.writer_only)?;
        self.check_config_is_newest()?;
        let key = match self.around.state.log_key()? {
            Some(key) if self.knows_writer(&key) => key,
            Some(key) if self.has_lost_certificate(&key) => {
                let added = write_writer(&self.around, self.id(), &self.keyring.signing, &key)?;
                self.refresh()?;
                self.append(
                    &key,
                    RunId::new([0; 8]),
                    Change { operation: "enrol", added, removed: Vec::new(), ..Change::default() },
                )?;
                key
            }
            _ => return self.enrol(),
        };
        let writer = key_id(&key.public());
        let remembered = self.view.remembered.heads.get(&writer).copied();
        match newest_entry(&self.view, writer, remembered) {
            Ok(Some(_)) => Ok(key),
            Ok(None) => {
                // The enrolment was cut short. Who has a certificate and no journal would be taken for one who has lost it.
                self.append(&key, RunId::new([0; 8]), Change { operation: "enrol", ..Change::default() })?;
                Ok(key)
            }
            // A chain that forks, because the log key was copied to another machine, or that rotted at its end can't be
            // continued: from here on this machine writes under a new name.
            Err(RepoError::Forked { .. } | RepoError::Damaged { .. }) => self.enrol(),
            Err(error) => Err(error),
        }
    }

    /// Fails if a newer config must be there: what is written would be sealed to keys that were replaced.
    fn check_config_is_newest(&self) -> Result<(), RepoError> {
        let is_newer = |name: &str| {
            let generation = ParsedName::parse(name).map_or(0, |parsed| parsed.stem.generation());
            name.starts_with("config/") && generation > self.view.config.generation
        };
        let newer: Vec<&str> = self.view.live.iter().map(|(name, _)| name).filter(|name| is_newer(name)).collect();
        if newer.is_empty() {
            return Ok(());
        }
        // A machine of somebody who manages nothing could name what there never was.
        let managing = self.current_roll()?.members.into_iter().filter(|member| member.keys.manages);
        let managing: BTreeSet<UserId> = managing.map(|member| member.user).collect();
        let trust = &self.view.trust;
        let manages = |writer: &KeyId| {
            let user = trust.writers.get(writer).and_then(|writer| trust.users.get(&writer.user_key));
            user.is_some_and(|user| managing.contains(&user.user))
        };
        let is_said = |name: &&str| self.view.live.configs.get(*name).is_some_and(|by| by.iter().any(manages));
        match newer.into_iter().find(is_said) {
            Some(name) => Err(RepoError::Damaged { name: name.to_owned(), flaw: Flaw::Missing }),
            None => Ok(()),
        }
    }

    /// True if the vault has a certificate for this log key.
    pub(crate) fn knows_writer(&self, key: &SigningKey) -> bool {
        self.view.trust.writers.contains_key(&key_id(&key.public()))
    }

    /// True if this machine has written to the vault, and its certificate is gone without anybody having removed any. It certifies
    /// itself again when it backs up.
    pub fn lacks_certificate(&self) -> bool {
        self.around
            .state
            .log_key()
            .ok()
            .flatten()
            .is_some_and(|key| !self.knows_writer(&key) && self.has_lost_certificate(&key))
    }

    /// True if this log key has written to the vault, and its certificate is gone without anybody having removed any.
    fn has_lost_certificate(&self, key: &SigningKey) -> bool {
        let journal = format!("journal/{}/", key_id(&key.public()));
        let has_written = names_in(&self.view.listing, &journal).next().is_some();
        has_written && !self.view.live.has_removed("writers/")
    }

    /// Makes this machine a new log key and certifies it.
    pub(crate) fn enrol(&mut self) -> Result<SigningKey, RepoError> {
        let key = SigningKey::generate(&*self.around.random);
        self.around.state.set_log_key(&key)?;
        let added = write_writer(&self.around, self.id(), &self.keyring.signing, &key)?;
        let certificate = WriterCertificate {
            key: key.public(),
            user_key: key_id(&self.keyring.signing.public()),
            created: self.around.clock.now(),
        };
        self.view.trust.writers.insert(key_id(&key.public()), certificate);
        self.append(
            &key,
            RunId::new([0; 8]),
            Change { operation: "enrol", added, removed: Vec::new(), ..Change::default() },
        )?;
        Ok(key)
    }

    /// Appends an entry to this machine's journal, which acknowledges what it lists.
    pub(crate) fn append(&mut self, key: &SigningKey, run: RunId, change: Change) -> Result<(), RepoError> {
        self.append_in(key, run, change, self.view.live.generation)
    }

    /// The same in a generation of the vault that this entry begins.
    pub(crate) fn append_in(
        &mut self,
        key: &SigningKey,
        run: RunId,
        change: Change,
        generation: u64,
    ) -> Result<(), RepoError> {
        let state = self.around.state.clone();
        let (_locked, _) = state.lock_journal_as(&self.own_log.locker)?;
        let writer = key_id(&key.public());
        let remembered = state.remembered()?;
        let newest = newest_entry(&self.view, writer, remembered.heads.get(&writer).copied())?;
        let mut entry = JournalEntry {
            sequence: newest.map_or(0, |head| head.sequence + 1),
            previous: newest.map(|head| head.digest),
            time: self.around.clock.now(),
            operation: change.operation.to_owned(),
            generation,
            added: change.added,
            removed: change.removed,
            authority: None,
            log: remembered.logs.get(&writer).map(|end| end.head),
            accepted: change.accepted,
        };
        if entry.needs_authority() {
            let roots = entry.removed.iter().any(|(name, _)| is_roots_own(name));
            let by = if roots { self.root_pair()? } else { self.keyring.signing.clone() };
            let signature = by.sign(&entry.authority_message(self.id(), writer));
            entry.authority = Some(Authority { signer: key_id(&by.public()), signature });
        }
        let head = write_entry(&*self.view.storage, self.id(), &Author { key, run }, &entry)?;
        self.view.take_in(entry, writer, head);
        self.finder = KeyFinder::new(&self.view);
        // It is acknowledged whether or not this machine can remember it; if not, the next run will.
        let _ = self.remember_locked();
        Ok(())
    }
}

/// Writes the certificate of a machine's log key.
pub(crate) fn write_writer(
    around: &Surroundings,
    vault: VaultId,
    user: &SigningKey,
    key: &SigningKey,
) -> Result<Vec<Added>, RepoError> {
    let certificate =
        WriterCertificate { key: key.public(), user_key: key_id(&user.public()), created: around.clock.now() };
    let header = Header::clear(ObjectKind::Writer, vault);
    let stem = Stem::immutable(ObjectKind::Writer);
    write_twice(&*around.storage, &Author::outside(user), header, &certificate.encode(), &stem)
}

/// Writes a journal entry.
pub(crate) fn write_entry(
    storage: &dyn Storage,
    vault: VaultId,
    author: &Author<'_>,
    entry: &JournalEntry,
) -> Result<Head, RepoError> {
    let stem = Stem::journal(key_id(&author.key.public()), entry.sequence);
    let (bytes, digest) = author.frame(Header::clear(ObjectKind::Journal, vault), &entry.encode(), &stem);
    create(storage, &stem.name(&digest), &bytes)?;
    Ok(Head { sequence: entry.sequence, digest })
}

/// The last entry of this machine's own journal, which must not be older than the one it remembers. What anybody may have put
/// beside the entries does not count.
fn newest_entry(view: &View, writer: KeyId, remembered: Option<Head>) -> Result<Option<Head>, RepoError> {
    let mut entries: BTreeMap<u64, Vec<(Digest, ParsedName, String)>> = BTreeMap::new();
    for listed in view.storage.list(&format!("journal/{writer}"))? {
        if let Some(parsed) = ParsedName::parse(&listed.name) {
            let digest = parsed.hash.parse().expect("a parsed name has 64 digits");
            entries.entry(parsed.stem.generation()).or_default().push((digest, parsed, listed.name));
        }
    }
    let is_there = |head: &Head| {
        entries.get(&head.sequence).is_some_and(|here| here.iter().any(|(digest, ..)| *digest == head.digest))
    };
    if let Some(known) = remembered.filter(|known| !is_there(known)) {
        return Err(RepoError::RolledBack { writer, sequence: known.sequence });
    }
    let mut newest = None;
    for (&sequence, here) in entries.iter().rev() {
        if newest.is_some() && here.len() == 1 {
            continue;
        }
        let mut signed = Vec::new();
        for (digest, parsed, name) in here {
            let checked = read(&*view.storage, name).and_then(|bytes| view.trust.check(parsed, &bytes).map(drop));
            match checked {
                Ok(()) => signed.push(Head { sequence, digest: *digest }),
                Err(flaw @ (Flaw::WrongHash | Flaw::Unreadable(_))) => {
                    return Err(RepoError::Damaged { name: name.clone(), flaw });
                }
                Err(_) => {}
            }
        }
        if signed.len() > 1 {
            return Err(RepoError::Forked { writer, sequence });
        }
        newest = newest.or(signed.pop());
    }
    Ok(newest)
}
