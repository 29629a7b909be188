//! What opens the vault: listing slots, and changing one's own.

use std::collections::{BTreeMap, BTreeSet};

use sb_crypto::{Lock, PublicKey, SlotMethod};
use sb_store::ObjectName;

use crate::create::{write_slot, write_slot_as};
use crate::error::RepoError;
use crate::ids::{RunId, SlotId, UserId};
use crate::live::read;
use crate::name::{ParsedName, TWIN};
use crate::trust::key_id;
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
        let mut slots: BTreeMap<SlotId, SlotInfo> = BTreeMap::new();
        for name in with_twins(&self.listing, FOLDER) {
            let Some((slot, generation)) = self.slot(name).filter(|_| self.live.is_readable(name)) else { continue };
            let info = SlotInfo { id: slot.id, user: slot.user, method: slot.sealed.method, generation };
            let known = slots.entry(info.id).or_insert_with(|| info.clone());
            if known.generation < info.generation {
                *known = info;
            }
        }
        slots.into_values().collect()
    }

    /// What grants to this user are sealed to, as the user's slots say.
    pub(crate) fn recipient_of(&self, user: UserId) -> Option<PublicKey> {
        let slots = with_twins(&self.listing, FOLDER).into_iter().filter(|name| self.live.is_readable(name));
        let theirs = slots.filter_map(|name| self.slot(name)).filter(|(slot, _)| slot.user == user);
        theirs
            .filter_map(|(slot, generation)| Some((generation, slot.recipient?)))
            .max_by_key(|(at, _)| *at)
            .map(|(_, key)| key)
    }

    /// A slot that counts, and its generation.
    fn slot(&self, name: &str) -> Option<(Slot, u64)> {
        let parsed = ParsedName::parse(name)?;
        let bytes = read(&*self.storage, name).ok()?;
        let signer = self.trust.check(&parsed, &bytes).ok()?.trailer.signer;
        let slot = Slot::decode(Frame::parse(&bytes).ok()?.body).ok()?;
        self.trust.gives_slots_to(slot.user, signer).then(|| (slot, parsed.stem.generation()))
    }
}

impl Vault {
    /// Lets the user who opened the vault in by something else, too.
    ///
    /// # Errors
    /// [`RepoError::RolledBack`], and errors of storage, state and keys.
    pub fn add_lock(&mut self, lock: &Lock) -> Result<SlotId, RepoError> {
        self.check_heads()?;
        let writer = self.writer()?;
        let added = write_slot(&self.around, &self.keyring.signing, lock, &self.keyring.payload)?;
        let id = added.first().and_then(|slot| SlotId::from_hex(ParsedName::parse(&slot.name)?.stem.id()));
        let change = Change { operation: "add-slot", added, ..Change::default() };
        self.append(&writer, RunId::new([0; 8]), change)?;
        Ok(id.expect("a slot is named by its id"))
    }

    /// Changes what lets the user in who opened the vault, instead of what opened it now, which opens nothing any more. Who has kept a
    /// copy of the old slot, and what opened it, still has the keys that it held then.
    ///
    /// # Errors
    /// [`RepoError::RolledBack`], and errors of storage, state and keys.
    pub fn change_lock(&mut self, lock: &Lock) -> Result<(), RepoError> {
        self.check_heads()?;
        let writer = self.writer()?;
        let id = SlotId::from_hex(self.slot.stem.id()).expect("a slot is named by its id");
        let generation = self.slot.stem.generation() + 1;
        let (signing, payload) = (&self.keyring.signing, &self.keyring.payload);
        let added = write_slot_as(&self.around, signing, lock, payload, id, generation)?;
        let newest = added.first().and_then(|slot| ParsedName::parse(&slot.name)).expect("written just now");
        let mut change = Change { operation: "change-slot", added, ..Change::default() };
        if self.is_administrator() {
            let is_older = |parsed: ParsedName| parsed.stem.family() == newest.stem.family();
            let names = self.view.live.iter().map(|(name, _)| name);
            let older = names.filter(|name| ParsedName::parse(name).is_some_and(is_older)).map(str::to_owned);
            change.removed = self.sizes(older.collect());
        }
        self.remove_entered(&writer, change)?;
        self.slot = newest;
        Ok(())
    }

    /// Removes a slot. What opened it opens nothing any more.
    ///
    /// # Errors
    /// [`RepoError::NoRootKey`], [`RepoError::LastSlot`] if it is the last of its user, [`RepoError::NoSuchKey`],
    /// [`RepoError::RolledBack`], and errors of storage and state.
    pub fn remove_slot(&mut self, id: SlotId) -> Result<(), RepoError> {
        self.check_heads()?;
        self.root_pair()?;
        let slots = self.view.slots();
        let slot = slots.iter().find(|slot| slot.id == id).ok_or(RepoError::NoSuchKey { id })?;
        if !slots.iter().any(|other| other.id != id && other.user == slot.user) {
            return Err(RepoError::LastSlot);
        }
        let writer = self.writer()?;
        let prefix = format!("{FOLDER}{id}.");
        let names = self.view.live.iter().map(|(name, _)| name);
        let its = names.filter(|name| name.strip_prefix(TWIN).unwrap_or(name).starts_with(&prefix));
        let removed = self.sizes(its.map(str::to_owned).collect());
        self.remove_entered(&writer, Change { operation: "remove-slot", removed, ..Change::default() })
    }

    /// The objects, and their twins, that are slots of this user.
    pub(super) fn slots_of(&self, user: UserId) -> Vec<String> {
        let slots = with_twins(&self.view.listing, FOLDER).into_iter().filter_map(|name| self.view.slot(name));
        let ids: BTreeSet<String> =
            slots.filter(|(slot, _)| slot.user == user).map(|(slot, _)| slot.id.to_string()).collect();
        let names = self.view.live.iter().map(|(name, _)| name);
        let is_theirs = |name: &&str| {
            let rest = name.strip_prefix(TWIN).unwrap_or(name).strip_prefix(FOLDER);
            rest.and_then(|rest| rest.split_once('.')).is_some_and(|(id, _)| ids.contains(id))
        };
        names.filter(is_theirs).map(str::to_owned).collect()
    }

    /// Enters a change, and deletes what it removes.
    fn remove_entered(&mut self, writer: &sb_crypto::SigningKey, change: Change) -> Result<(), RepoError> {
        let gone: Vec<String> = change.removed.iter().map(|(name, _)| name.clone()).collect();
        self.append(writer, RunId::new([0; 8]), change)?;
        for name in gone {
            // Removed by the journal already; what stays for whatever reason is reported by verify.
            let _ = self.around.storage.remove(&ObjectName::new(name)?);
        }
        Ok(())
    }

    /// True if the vault was opened by something that takes two things together: a passphrase and a key file.
    pub fn is_opened_by_two(&self) -> bool {
        let slots = self.view.slots();
        let slot = slots.iter().find(|slot| slot.id.to_string() == self.slot.stem.id());
        slot.is_some_and(|slot| matches!(slot.method, SlotMethod::PassphraseAndKeyFile { .. }))
    }

    /// The key id of the user's signing key.
    pub fn user_key(&self) -> crate::ids::KeyId {
        key_id(&self.keyring.signing.public())
    }
}
