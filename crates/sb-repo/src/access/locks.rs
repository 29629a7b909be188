//! What opens the vault: listing slots, and changing one's own.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use sb_crypto::{Lock, PublicKey, RecoveryKey, SlotMethod};

use crate::create::{write_slot, write_slot_as};
use crate::error::{Flaw, RepoError};
use crate::ids::{KeyId, RequestId, RunId, SlotId, UserId};
use crate::live::read;
use crate::name::{ParsedName, TWIN};
use crate::vault::{Change, Vault};
use crate::view::{View, with_twins};
use crate::wire::frame::Frame;
use crate::wire::slot::Slot;

const FOLDER: &str = "keys/";

/// A slot as anybody can see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotInfo {
    /// Its id.
    pub id: SlotId,
    /// Whose it is.
    pub user: UserId,
    /// What opens it.
    pub method: SlotMethod,
    /// How often what opens it was changed.
    pub generation: u64,
}

impl View {
    /// The slots that open something: of each the newest that was given by who may.
    pub fn slots(&self) -> Vec<SlotInfo> {
        let mut slots: BTreeMap<(SlotId, UserId), SlotInfo> = BTreeMap::new();
        for name in with_twins(&self.listing, FOLDER) {
            let Some(found) = self.slot(name).filter(|_| self.live.is_readable(name)) else { continue };
            let FoundSlot { slot, generation, .. } = found;
            let info = SlotInfo { id: slot.id, user: slot.user, method: slot.sealed.method, generation };
            let known = slots.entry((info.id, info.user)).or_insert_with(|| info.clone());
            if known.generation < info.generation {
                *known = info;
            }
        }
        slots.into_values().collect()
    }

    /// What grants to this user are sealed to, as a slot says that this key of theirs has signed.
    pub(crate) fn recipient_of(&self, user: UserId, key: KeyId) -> Option<PublicKey> {
        let names = with_twins(&self.listing, FOLDER).into_iter().filter(|name| self.live.is_readable(name));
        let slots = names.filter_map(|name| self.slot(name));
        slots.filter(|found| found.slot.user == user && found.signer == key).find_map(|found| found.slot.recipient)
    }

    /// A slot that counts.
    fn slot(&self, name: &str) -> Option<FoundSlot> {
        let parsed = ParsedName::parse(name)?;
        let bytes = read(&*self.storage, name).ok()?;
        let signer = self.trust.check(&parsed, &bytes).ok()?.trailer.signer;
        let slot = Slot::decode(Frame::parse(&bytes).ok()?.body).ok()?;
        let counts = slot.id.to_string() == parsed.stem.id()
            && self.trust.gives_slots_to(slot.user, signer)
            && self.slots_count(slot.user, signer);
        counts.then(|| FoundSlot { slot, generation: parsed.stem.generation(), signer })
    }
}

/// A slot, and who has signed it.
struct FoundSlot {
    slot: Slot,
    generation: u64,
    signer: KeyId,
}

impl Vault {
    /// Lets the user who opened the vault in by something else, too.
    ///
    /// # Errors
    /// [`RepoError::NotApproved`], [`RepoError::RolledBack`], and errors of storage, state and keys.
    pub fn add_lock(&mut self, lock: &Lock) -> Result<SlotId, RepoError> {
        self.refresh()?;
        self.check_heads()?;
        let writer = self.writer()?;
        let added = write_slot(&self.around, &self.view.config, &self.keyring.signing, lock, &self.keyring.payload)?;
        let id = added.first().and_then(|slot| SlotId::from_hex(ParsedName::parse(&slot.name)?.stem.id()));
        let change = Change { operation: "add-slot", added, ..Change::default() };
        self.append(&writer, RunId::new([0; 8]), change)?;
        Ok(id.expect("a slot is named by its id"))
    }

    /// Changes what lets the user in who opened the vault, instead of what opened it now, which opens nothing any more. Who has kept a
    /// copy of the old slot, and what opened it, still has the keys that it held then.
    ///
    /// # Errors
    /// [`RepoError::NotApproved`], [`RepoError::RolledBack`], and errors of storage, state and keys.
    pub fn change_lock(&mut self, lock: &Lock) -> Result<(), RepoError> {
        self.refresh()?;
        self.check_heads()?;
        let writer = self.writer()?;
        let id = SlotId::from_hex(self.slot.stem.id()).expect("a slot is named by its id");
        let generation = self.slot.stem.generation().checked_add(1).ok_or(RepoError::NoSuchKey { id })?;
        let (signing, payload) = (&self.keyring.signing, &self.keyring.payload);
        let added = write_slot_as(&self.around, &self.view.config, signing, lock, payload, id, generation)?;
        let newest = added.first().and_then(|slot| ParsedName::parse(&slot.name)).expect("written just now");
        self.append(&writer, RunId::new([0; 8]), Change { operation: "change-slot", added, ..Change::default() })?;
        if self.is_administrator() {
            let family = newest.stem.family();
            let is_older = |name: &String| {
                let parsed = ParsedName::parse(name);
                parsed.is_some_and(|parsed| parsed.stem.family() == family && parsed.stem.generation() < generation)
            };
            let older = self.slots_of(self.user())?.into_iter().filter(is_older).collect();
            self.take_away(&writer, "change-slot", older)?;
        }
        (self.slot, self.opened_by) = (newest, lock.method());
        Ok(())
    }

    /// Lets the user who opened the vault in by a new recovery key, and once `keep` has it, by none from before; carries out the change
    /// request that asks for it. If it can't be kept, everything is as it was.
    ///
    /// # Errors
    /// [`RepoError::NoRootKey`], [`RepoError::NoSuchRequest`], [`RepoError::RequestClosed`], also if somebody else has just carried it
    /// out, [`RepoError::Output`] of `keep`, [`RepoError::Damaged`] if it can't be told whose some slot is, [`RepoError::RolledBack`],
    /// and errors of storage, state and keys.
    pub fn renew_recovery(
        &mut self,
        request: RequestId,
        keep: &mut dyn FnMut(&RecoveryKey) -> io::Result<()>,
    ) -> Result<(), RepoError> {
        self.refresh()?;
        self.check_heads()?;
        self.root_pair()?;
        let user = self.user();
        let is_own = |slot: &SlotInfo| slot.user == user && slot.method == SlotMethod::Recovery;
        let before: Vec<SlotId> = self.view.slots().into_iter().filter(is_own).map(|slot| slot.id).collect();
        let is_older = |name: &String| before.iter().any(|id| name.starts_with(&format!("{FOLDER}{id}.")));
        let older: Vec<String> = self.slots_of(user)?.into_iter().filter(is_older).collect();
        let writer = self.writer()?;
        let recovery = RecoveryKey::generate(&*self.around.random);
        let lock = Lock::Recovery(recovery.clone());
        let mut added = self.write_outcome(Some(request))?;
        added.extend(write_slot(&self.around, &self.view.config, &self.keyring.signing, &lock, &self.keyring.payload)?);
        let names = added.iter().map(|object| object.name.clone()).collect();
        self.append(&writer, RunId::new([0; 8]), Change { operation: "renew-recovery", added, ..Change::default() })?;
        self.refresh()?;
        if self.has_rival(request) {
            self.take_away(&writer, "undo", names)?;
            return Err(RepoError::RequestClosed { id: request });
        }
        // Before it is known to be kept, the one before is worth more.
        if let Err(error) = keep(&recovery) {
            self.take_away(&writer, "undo", names)?;
            return Err(RepoError::Output(error));
        }
        self.take_away(&writer, "renew-recovery", older)
    }

    /// Removes a slot. What opened it opens nothing any more.
    ///
    /// # Errors
    /// [`RepoError::NoRootKey`], [`RepoError::LastSlot`] if it is the last of its user, [`RepoError::NoSuchKey`],
    /// [`RepoError::RolledBack`], and errors of storage and state.
    pub fn remove_slot(&mut self, id: SlotId) -> Result<(), RepoError> {
        self.refresh()?;
        self.check_heads()?;
        self.root_pair()?;
        let slots = self.view.slots();
        let slot = slots.iter().find(|slot| slot.id == id).ok_or(RepoError::NoSuchKey { id })?;
        if !slots.iter().any(|other| other.id != id && other.user == slot.user) {
            return Err(RepoError::LastSlot);
        }
        let writer = self.writer()?;
        let prefix = format!("{FOLDER}{id}.");
        let its = self.slots_of(slot.user)?.into_iter().filter(|name| name.starts_with(&prefix)).collect();
        self.take_away(&writer, "remove-slot", its)
    }

    /// The objects that are slots of this user, of whatever key of theirs. Fails if it can't be told of some object whose it is.
    pub(super) fn slots_of(&self, user: UserId) -> Result<Vec<String>, RepoError> {
        let names: BTreeSet<&str> =
            self.view.live.iter().map(|(name, _)| name.strip_prefix(TWIN).unwrap_or(name)).collect();
        let mut theirs = Vec::new();
        for name in names.into_iter().filter(|name| name.starts_with(FOLDER)) {
            let copies = [name.to_owned(), format!("{TWIN}{name}")];
            let is_theirs = |copy: &String| {
                let bytes = read(&*self.view.storage, copy)?;
                let parsed = ParsedName::parse(name).ok_or(Flaw::Surplus)?;
                let frame = self.view.trust.check(&parsed, &bytes)?;
                let slot = Slot::decode(frame.body)?;
                Ok(slot.user == user && self.view.trust.gives_slots_to(user, frame.trailer.signer))
            };
            match copies.iter().map(is_theirs).reduce(Result::or).expect("two copies") {
                Ok(true) => theirs.push(name.to_owned()),
                Ok(false) | Err(Flaw::UnknownSigner) => {}
                Err(flaw) => return Err(RepoError::Damaged { name: name.to_owned(), flaw }),
            }
        }
        Ok(theirs)
    }

    /// True if the vault was opened by something that takes two things together: a passphrase and a key file.
    pub fn is_opened_by_two(&self) -> bool {
        matches!(self.opened_by, SlotMethod::PassphraseAndKeyFile { .. })
    }
}
