//! Adding, changing and removing users.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sb_crypto::{Digest, HashAlgorithm, Key, Lock, PrivateKey, PublicKey, Sealer, SigningKey, derive, sha256};

use super::{KeySet, Member, Roll, write_grant};
use crate::create::write_slot;
use crate::error::RepoError;
use crate::ids::{RunId, UserId};
use crate::live::read;
use crate::name::{ObjectKind, Stem, TWIN};
use crate::sessions::write_twice;
use crate::vault::{Change, Vault};
use crate::wire::certificate::UserCertificate;
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::slot::{KeyBundle, SlotPayload};

/// How logs, and the directory of names, call a user.
const USER: &str = "user:";

/// The longest login, in bytes.
pub const LOGIN_MAX: usize = 64;

/// True for what can be a login: lower-case letters, digits, and `.`, `_`, `-`, `@` inside.
pub fn is_login(login: &str) -> bool {
    let is_plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_inner = |c: u8| is_plain(c) || b"._-@".contains(&c);
    let bytes = login.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    bytes.len() <= LOGIN_MAX
        && bytes.iter().all(|&c| is_inner(c))
        && ends.is_some_and(|(&first, &last)| is_plain(first) && is_plain(last))
}

/// Somebody who is to be added to a vault.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewUser {
    /// What they say to be let in; see [`is_login`].
    pub login: String,
    /// What opens the vault for them; at least one.
    pub locks: Vec<Lock>,
    /// Their roles, as they are to stand on the roll.
    pub roles: Vec<String>,
    /// The keys that these need.
    pub keys: KeySet,
    /// The clients that they work for.
    pub clients: Vec<String>,
    /// From when on they have no access any more.
    pub access_until: Option<DateTime<Utc>>,
}

impl NewUser {
    /// Somebody with one lock, who works for nobody yet.
    pub fn new(login: impl Into<String>, lock: Lock, roles: Vec<String>, keys: KeySet) -> Self {
        let (login, locks) = (login.into(), vec![lock]);
        Self { login, locks, roles, keys, clients: Vec::new(), access_until: None }
    }
}

impl Vault {
    /// The keys that the user who opened the vault has.
    pub fn key_set(&self) -> KeySet {
        self.keyring.keys.set()
    }

    /// What the user who opened the vault says to be let in, if the slot knows.
    pub fn login(&self) -> Option<&str> {
        self.keyring.payload.login.as_deref()
    }

    /// What users say to be let in, as far as the user who opened the vault may know: of those who manage users all but whoever made the
    /// vault, of those who read names all, of others their own.
    pub fn user_logins(&self) -> BTreeMap<UserId, String> {
        let names = self.names().names.into_iter();
        let named = names.filter_map(|(id, name)| Some((UserId::from_hex(id.strip_prefix(USER)?)?, name)));
        let mut logins: BTreeMap<UserId, String> = named.collect();
        let sealer = self.logins();
        for member in self.current_roll().map_or(Vec::new(), |roll| roll.members) {
            let opened = sealer.as_ref().zip(member.login).and_then(|(sealer, sealed)| {
                let login = sealer.open(member.user.as_bytes(), self.id().as_bytes(), &sealed).ok()?;
                String::from_utf8(login).ok()
            });
            logins.extend(opened.map(|login| (member.user, login)));
        }
        logins.extend(self.login().map(|login| (self.user(), login.to_owned())));
        logins
    }

    /// What seals logins for those who have the root key.
    fn logins(&self) -> Option<Sealer> {
        let root = self.keyring.keys.root_seed.as_ref()?;
        Some(Sealer::new(HashAlgorithm::HmacSha256, &derive(root, "logins", &[]), "login"))
    }

    /// Adds a user: certificate, slots, the keys that they need, and a place on the roll, all in one entry of the journal. Where there
    /// was no roll, whoever made the vault stands on it as `owner`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use sb_crypto::{Credential, KeyFile, Lock, SeededRandom};
    /// # use sb_repo::*;
    /// # let random = Arc::new(SeededRandom::new(1));
    /// # let clock = Arc::new(FixedClock(chrono::DateTime::UNIX_EPOCH));
    /// # let storage = Arc::new(sb_store::MemoryStorage::new());
    /// # let around = Surroundings { storage, state: State::in_memory(), clock, random: random.clone() };
    /// # let (mut vault, _) = create(around.clone(), &[Lock::KeyFile(KeyFile::generate(&*random))], &CreateOptions::default())?;
    /// let hers = KeyFile::generate(&*random);
    /// let lock = Lock::KeyFile(hers.clone());
    /// let new = NewUser::new("nina", lock, vec!["operator".to_owned()], KeySet::ADD);
    /// let nina = vault.add_user(&new)?;
    ///
    /// let opened = Vault::open_as(around, "nina", &Credential::KeyFile(hers), None)?;
    /// assert_eq!((opened.user(), opened.key_set()), (nina, KeySet::ADD));
    /// assert!(!opened.key_set().reads_contents);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RepoError::NoRootKey`], [`RepoError::KeysNotHeld`] if the user who adds has not the keys that are to be given,
    /// [`RepoError::InvalidLogin`], [`RepoError::NoLock`], [`RepoError::RollChanged`] if somebody else changed the roll meanwhile,
    /// [`RepoError::RolledBack`], and errors of storage, state and keys.
    pub fn add_user(&mut self, new: &NewUser) -> Result<UserId, RepoError> {
        self.refresh()?;
        self.check_heads()?;
        let root = self.root_pair()?;
        let (keys, seen) = (self.held(new.keys)?, self.current_roll()?);
        if !is_login(&new.login) {
            return Err(RepoError::InvalidLogin { login: new.login.clone() });
        }
        if new.locks.is_empty() {
            return Err(RepoError::NoLock);
        }
        let writer = self.writer()?;
        let payload = self.new_identity(UserId::random(&*self.around.random), &new.login)?;
        let user = payload.user;
        let mut change = Change { operation: "add-user", ..Change::default() };
        change.added = self.write_identity(&root, &payload, &new.locks, &keys)?;
        change.added.extend(self.write_name(&format!("{USER}{user}"), &new.login, RunId::new([0; 8]))?);
        let mut member = Member::new(user, new.roles.clone(), new.keys);
        member.clients.clone_from(&new.clients);
        member.access_until = new.access_until;
        member.login =
            self.logins().map(|sealer| sealer.seal(user.as_bytes(), self.id().as_bytes(), new.login.as_bytes()));
        let mut roll = seen.clone();
        roll.members.push(member);
        self.enter_roll(&writer, &root, change, &seen, roll)?;
        Ok(user)
    }

    /// Changes what the roll says of a user, and gives the keys that this needs, or takes them away: what they have copied they keep.
    ///
    /// # Errors
    /// [`RepoError::NoSuchUser`], [`RepoError::LastOwner`] if nobody would be left who has all keys, [`RepoError::NoGrant`] if
    /// nothing can be granted to the user's slots, and those of [`add_user`](Self::add_user).
    pub fn change_user(&mut self, user: UserId, change: impl FnOnce(&mut Member)) -> Result<(), RepoError> {
        self.refresh()?;
        self.check_heads()?;
        let root = self.root_pair()?;
        let seen = self.current_roll()?;
        let mut roll = seen.clone();
        let member = roll.members.iter_mut().find(|member| member.user == user);
        let member = member.ok_or(RepoError::NoSuchUser { user })?;
        let before = member.keys;
        change(member);
        member.user = user;
        let after = member.keys;
        let writer = self.writer()?;
        let mut entry = Change { operation: "change-user", ..Change::default() };
        if after != before {
            let keys = self.held(after)?;
            let recipient = self.view.recipient_of(user).ok_or(RepoError::NoGrant { user })?;
            entry.removed = self.sizes(self.view.grants_to(&recipient));
            if !keys.is_empty() {
                entry.added = write_grant(&self.around, self.id(), &root, &recipient, &keys)?;
            }
        }
        self.enter_roll(&writer, &root, entry, &seen, roll)
    }

    /// Removes a user: their slots open nothing any more, and they are granted nothing. What they have copied, of keys and of the vault,
    /// they keep, and the machines that they have enrolled are still believed.
    ///
    /// # Errors
    /// Those of [`change_user`](Self::change_user).
    pub fn remove_user(&mut self, user: UserId) -> Result<(), RepoError> {
        self.refresh()?;
        self.check_heads()?;
        let root = self.root_pair()?;
        let seen = self.current_roll()?;
        seen.member(user).ok_or(RepoError::NoSuchUser { user })?;
        let writer = self.writer()?;
        let mut gone = self.slots_of(user);
        if let Some(recipient) = self.view.recipient_of(user) {
            gone.extend(self.view.grants_to(&recipient));
        }
        let change = Change { operation: "remove-user", removed: self.sizes(gone), ..Change::default() };
        let mut roll = seen.clone();
        roll.members.retain(|member| member.user != user);
        self.enter_roll(&writer, &root, change, &seen, roll)
    }

    /// Gives a user who has lost what opens the vault new keys of their own and a new lock. The old slots open nothing any more.
    ///
    /// # Errors
    /// Those of [`change_user`](Self::change_user).
    pub fn reset_user(&mut self, user: UserId, login: &str, locks: &[Lock]) -> Result<(), RepoError> {
        self.refresh()?;
        self.check_heads()?;
        let root = self.root_pair()?;
        let seen = self.current_roll()?;
        let member = seen.member(user).ok_or(RepoError::NoSuchUser { user })?;
        let keys = self.held(member.keys)?;
        if !is_login(login) {
            return Err(RepoError::InvalidLogin { login: login.to_owned() });
        }
        if locks.is_empty() {
            return Err(RepoError::NoLock);
        }
        let writer = self.writer()?;
        let mut gone = self.slots_of(user);
        if let Some(recipient) = self.view.recipient_of(user) {
            gone.extend(self.view.grants_to(&recipient));
        }
        let removed = self.sizes(gone);
        let payload = self.new_identity(user, login)?;
        let added = self.write_identity(&root, &payload, locks, &keys)?;
        let change = Change { operation: "reset-user", added, removed, ..Change::default() };
        self.enter_roll(&writer, &root, change, &seen, seen.clone())
    }

    /// Sets the firm's own roles and policies.
    ///
    /// # Errors
    /// Those of [`change_user`](Self::change_user).
    pub fn change_roll(&mut self, change: impl FnOnce(&mut Roll)) -> Result<(), RepoError> {
        self.refresh()?;
        self.check_heads()?;
        let root = self.root_pair()?;
        let writer = self.writer()?;
        let entry = Change { operation: "change-roll", ..Change::default() };
        let seen = self.current_roll()?;
        let mut roll = seen.clone();
        change(&mut roll);
        // Members need keys, too.
        roll.members.clone_from(&seen.members);
        self.enter_roll(&writer, &root, entry, &seen, roll)
    }

    /// The roll as it is, also where nobody has written one.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] if there is one that can't be read.
    pub fn current_roll(&self) -> Result<Roll, RepoError> {
        if let Some(roll) = self.view.roll()? {
            return Ok(roll);
        }
        Ok(Roll::of_owner(self.view.founder().unwrap_or(self.user())))
    }

    /// Writes the next roll beside what has been written, and enters all of it, if the one that was seen is still the newest.
    fn enter_roll(
        &mut self,
        writer: &SigningKey,
        root: &SigningKey,
        mut entry: Change,
        seen: &Roll,
        mut roll: Roll,
    ) -> Result<(), RepoError> {
        self.refresh()?;
        if self.current_roll()? != *seen {
            return Err(RepoError::RollChanged);
        }
        let is_owner = |member: &Member| member.active && member.keys == KeySet::ALL;
        if !roll.members.iter().any(is_owner) {
            return Err(RepoError::LastOwner);
        }
        if let Some((before, name, _)) = self.view.newest_roll()? {
            roll.generation = before.generation + 1;
            roll.previous = Some(self.hash_of(&name)?);
            entry.removed.extend(self.sizes(vec![format!("{TWIN}{name}"), name]));
        }
        (roll.time, roll.by) = (self.around.clock.now(), self.user());
        let (header, stem) = (Header::clear(ObjectKind::Roll, self.id()), Stem::roll(roll.generation));
        let added = write_twice(&*self.around.storage, &Author::outside(root), header, &roll.encode(), &stem)?;
        let mine = added[0].name.clone();
        entry.added.extend(added);
        let gone: Vec<String> = entry.removed.iter().map(|(name, _)| name.clone()).collect();
        self.append(writer, RunId::new([0; 8]), entry)?;
        for name in gone {
            // Removed by the journal already; what stays for whatever reason is reported by verify.
            let _ = self.around.storage.remove(&sb_store::ObjectName::new(name)?);
        }
        self.refresh()?;
        match self.view.newest_roll()? {
            Some((_, name, None)) if name == mine => Ok(()),
            _ => Err(RepoError::RollChanged),
        }
    }

    fn hash_of(&self, name: &str) -> Result<Digest, RepoError> {
        let bytes = read(&*self.view.storage, name).or_else(|_| read(&*self.view.storage, &format!("{TWIN}{name}")));
        let damaged = |flaw| RepoError::Damaged { name: name.to_owned(), flaw };
        bytes.map(|bytes| sha256(&bytes)).map_err(damaged)
    }

    /// A new signing key and a new key to seal to.
    fn new_identity(&self, user: UserId, login: &str) -> Result<SlotPayload, RepoError> {
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

    /// Certificate, slots and grant.
    fn write_identity(
        &self,
        root: &SigningKey,
        payload: &SlotPayload,
        locks: &[Lock],
        keys: &KeyBundle,
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
            added.extend(write_slot(&self.around, &signing, lock, payload)?);
        }
        if !keys.is_empty() {
            added.extend(write_grant(&self.around, self.id(), root, &recipient, keys)?);
        }
        Ok(added)
    }

    /// The keys of this set, if the user has them.
    fn held(&self, set: KeySet) -> Result<KeyBundle, RepoError> {
        let keys = self.keyring.keys.limited_to(set);
        if keys.set().covers(set) { Ok(keys) } else { Err(RepoError::KeysNotHeld { wanted: set }) }
    }

    pub(crate) fn root_pair(&self) -> Result<SigningKey, RepoError> {
        self.keyring.root_signing.clone().ok_or(RepoError::NoRootKey)
    }

    /// As a journal names what it removes.
    pub(super) fn sizes(&self, names: Vec<String>) -> Vec<(String, u64)> {
        names.into_iter().filter_map(|name| self.view.live.get(&name).map(|live| (name, live.size))).collect()
    }
}
