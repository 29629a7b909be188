//! Entering a new roll, and what goes with it.
//!
//! First the roll is entered, with what it adds. If nobody else has changed it meanwhile, what it does away with is removed by an entry of
//! its own: whoever loses the race takes nothing away from anybody.

use sb_crypto::{Digest, Key, Lock, PrivateKey, PublicKey, SigningKey, sha256};
use sb_store::ObjectName;

use super::users::member_of;
use super::{KeySet, Member, Roll, write_grant};
use crate::create::write_slot;
use crate::error::RepoError;
use crate::ids::{RunId, UserId};
use crate::live::read;
use crate::name::{ObjectKind, Stem, TWIN};
use crate::sessions::write_twice;
use crate::trust::key_id;
use crate::vault::{Change, Vault};
use crate::wire::certificate::UserCertificate;
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::slot::{KeyBundle, SlotPayload};

/// A change of the roll.
pub(super) struct RollChange {
    pub(super) operation: &'static str,
    pub(super) root: SigningKey,
    /// The roll that it was decided by.
    pub(super) seen: Roll,
    pub(super) roll: Roll,
    /// What is of no use after it.
    pub(super) gone: Vec<String>,
}

/// Writes what a roll adds, and enters its name in the roll.
type Write<'w> = dyn FnOnce(&Vault, &SigningKey, &mut Roll) -> Result<Vec<Added>, RepoError> + 'w;

impl Vault {
    /// Enters the roll if the one that was seen is still the newest, and removes what is gone then.
    pub(super) fn enter_roll(
        &mut self,
        change: RollChange,
        write: impl FnOnce(&Self, &SigningKey, &mut Roll) -> Result<Vec<Added>, RepoError>,
    ) -> Result<(), RepoError> {
        self.enter_roll_as(None, change, write)
    }

    /// The same as the writer whose run it is.
    pub(super) fn enter_roll_as(
        &mut self,
        writer: Option<&SigningKey>,
        change: RollChange,
        write: impl FnOnce(&Self, &SigningKey, &mut Roll) -> Result<Vec<Added>, RepoError>,
    ) -> Result<(), RepoError> {
        let write: Box<Write<'_>> = Box::new(write);
        let RollChange { operation, root, seen, mut roll, mut gone } = change;
        self.refresh()?;
        let before = self.view.newest_roll()?;
        if self.current_roll()? != seen {
            return Err(RepoError::RollChanged);
        }
        let is_owner = |member: &Member| {
            let is_named = member.roles.iter().any(|role| role == super::roll::OWNER);
            is_named && member.active && member.keys == KeySet::ALL && member.access_until.is_none()
        };
        if !roll.members.iter().any(is_owner) {
            return Err(RepoError::LastOwner);
        }
        if let Some((before, name, _)) = before {
            roll.generation = before.generation.checked_add(1).ok_or(RepoError::RollChanged)?;
            roll.previous = Some(self.hash_of(&name)?);
        }
        self.complete(&mut roll)?;
        (roll.time, roll.by) = (self.around.clock.now(), self.user());
        let writer = writer.map_or_else(|| self.writer(), |writer| Ok(writer.clone()))?;
        let mut added = write(self, &root, &mut roll)?;
        let (header, stem) = (Header::clear(ObjectKind::Roll, self.id()), Stem::roll(roll.generation));
        let written = write_twice(&*self.around.storage, &Author::outside(&root), header, &roll.encode(), &stem)?;
        let mine = written[0].name.clone();
        added.extend(written);
        let names: Vec<String> = added.iter().map(|object| object.name.clone()).collect();
        let run = RunId::new([0; 8]);
        self.append(&writer, run, Change { operation, added, ..Change::default() })?;
        self.refresh()?;
        match self.view.newest_roll()? {
            Some((_, name, None)) if name == mine => {
                let rolls = self.view.live.iter().map(|(name, _)| name).filter(|name| name.contains("roles/vault."));
                gone.extend(rolls.filter(|name| !name.ends_with(&mine)).map(str::to_owned));
                self.take_away(&writer, operation, gone)
            }
            _ => {
                // Certificates of users are for ever; without slots and a place on the roll they say nothing.
                let mine = names.into_iter().filter(|name| !name.contains("users/")).collect();
                self.take_away(&writer, "undo", mine)?;
                Err(RepoError::RollChanged)
            }
        }
    }

    /// Enters the removal of these objects and their twins, as far as they are live, and deletes them.
    pub(crate) fn take_away(
        &mut self,
        writer: &SigningKey,
        operation: &'static str,
        names: Vec<String>,
    ) -> Result<(), RepoError> {
        let both = |name: String| {
            let bare = name.strip_prefix(TWIN).unwrap_or(&name).to_owned();
            [format!("{TWIN}{bare}"), bare]
        };
        let mut names: Vec<String> = names.into_iter().flat_map(both).collect();
        names.sort_unstable();
        names.dedup();
        let live = names.into_iter().filter_map(|name| self.view.live.get(&name).map(|live| (name, live.size)));
        let removed: Vec<(String, u64)> = live.collect();
        if removed.is_empty() {
            return Ok(());
        }
        let gone: Vec<String> = removed.iter().map(|(name, _)| name.clone()).collect();
        self.append(writer, RunId::new([0; 8]), Change { operation, removed, ..Change::default() })?;
        for name in gone {
            // Removed by the journal already; what stays for whatever reason is reported by verify.
            let _ = self.around.storage.remove(&ObjectName::new(name)?);
        }
        Ok(())
    }

    /// Says of who made the vault what the roll says of the others.
    fn complete(&self, roll: &mut Roll) -> Result<(), RepoError> {
        let users: Vec<UserId> =
            roll.members.iter().filter(|m| m.key.is_none() && m.recipient.is_none()).map(|m| m.user).collect();
        for user in users {
            let known = self.member_with_keys(roll, user)?;
            let member = member_of(roll, user)?;
            *member = known;
            if user == self.user() {
                member.login = self.login().and_then(|login| self.sealed_login(user, login));
            }
        }
        Ok(())
    }

    /// The member with keys and grant, which of who made the vault no roll says before there is one.
    pub(super) fn member_with_keys(&self, roll: &Roll, user: UserId) -> Result<Member, RepoError> {
        let mut member = roll.member(user).cloned().ok_or(RepoError::NoSuchUser { user })?;
        if member.key.is_none() && member.recipient.is_none() {
            let own = self.view.trust.users.iter().filter(|(_, certified)| certified.user == user);
            let own: Vec<_> = own.map(|(key, _)| *key).collect();
            if let [key] = own.as_slice() {
                member.key = Some(*key);
                member.recipient = self.view.recipient_of(user, *key);
            }
            if let (Some(private), true) = (&self.keyring.payload.private, user == self.user()) {
                member.recipient = Some(private.public().clone());
                member.grant = self.keyring.grant.clone();
            }
        }
        Ok(member)
    }

    /// Grants these keys to a member, which is told so; in no journal yet.
    pub(super) fn grant(
        &self,
        root: &SigningKey,
        recipient: &PublicKey,
        keys: &KeyBundle,
        member: &mut Member,
    ) -> Result<Vec<Added>, RepoError> {
        member.recipient = Some(recipient.clone());
        let before = member.grant.take();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let added = write_grant(&self.around, self.id(), root, recipient, keys, before.as_deref())?;
        member.grant = added.first().map(|object| object.name.clone());
        Ok(added)
    }

    /// A new signing key and a new key to seal to.
    pub(super) fn new_identity(&self, user: UserId, login: &str) -> Result<SlotPayload, RepoError> {
        let random = &*self.around.random;
        Ok(SlotPayload {
            vault: self.id(),
            root: *self.keyring.root.as_bytes(),
            user,
            signing_seed: Key::random(random),
            keys: KeyBundle::default(),
            private: Some(PrivateKey::generate(self.view.config.recipient, random)?),
            login: Some(login.to_owned()),
        })
    }

    /// Certificate, slots and grant of a member, which is told so.
    pub(super) fn write_identity(
        &self,
        root: &SigningKey,
        payload: &SlotPayload,
        locks: &[Lock],
        keys: &KeyBundle,
        member: &mut Member,
    ) -> Result<Vec<Added>, RepoError> {
        let signing = SigningKey::from_seed(payload.signing_seed.as_bytes());
        let recipient: PublicKey = payload.private.as_ref().expect("made with one").public().clone();
        let created = self.around.clock.now();
        let certificate = UserCertificate { user: payload.user, key: signing.public(), created };
        let (header, stem) = (Header::clear(ObjectKind::User, self.id()), Stem::immutable(ObjectKind::User));
        let author = Author::outside(root);
        // First, as it vouches for the slots.
        let mut added = write_twice(&*self.around.storage, &author, header, &certificate.encode(), &stem)?;
        for lock in locks {
            added.extend(write_slot(&self.around, &self.view.config, &signing, lock, payload)?);
        }
        member.key = Some(key_id(&signing.public()));
        member.login = payload.login.as_deref().and_then(|login| self.sealed_login(payload.user, login));
        added.extend(self.grant(root, &recipient, keys, member)?);
        Ok(added)
    }

    fn sealed_login(&self, user: UserId, login: &str) -> Option<Vec<u8>> {
        let sealer = self.logins()?;
        Some(sealer.seal(user.as_bytes(), self.id().as_bytes(), login.as_bytes()))
    }

    pub(crate) fn hash_of(&self, name: &str) -> Result<Digest, RepoError> {
        let bytes = read(&*self.view.storage, name).or_else(|_| read(&*self.view.storage, &format!("{TWIN}{name}")));
        let damaged = |flaw| RepoError::Damaged { name: name.to_owned(), flaw };
        bytes.map(|bytes| sha256(&bytes)).map_err(damaged)
    }
}
