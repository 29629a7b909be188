//! Adding, changing and removing users.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sb_crypto::{HashAlgorithm, Lock, Sealer, SigningKey, derive};

use super::change::RollChange;
use super::{KeySet, Member, Roll};
use crate::error::RepoError;
use crate::ids::{RequestId, RunId, UserId};
use crate::vault::Vault;
use crate::wire::slot::KeyBundle;

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

    /// What users say to be let in, as far as the user who opened the vault may know: who manages users, or reads names, may know
    /// all, others their own.
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
    pub(super) fn logins(&self) -> Option<Sealer> {
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
        let (root, seen) = self.begin()?;
        let keys = self.held(new.keys)?;
        check_entrance(&new.login, &new.locks)?;
        let payload = self.new_identity(UserId::random(&*self.around.random), &new.login)?;
        let user = payload.user;
        let mut roll = seen.clone();
        let mut member = Member::new(user, new.roles.clone(), new.keys);
        member.clients.clone_from(&new.clients);
        member.access_until = new.access_until;
        roll.members.push(member);
        let change = RollChange { operation: "add-user", root, seen, roll, gone: Vec::new() };
        self.enter_roll(change, |vault, root, roll| {
            let mut added = vault.write_identity(root, &payload, &new.locks, &keys, member_of(roll, user)?)?;
            added.extend(vault.write_name(&format!("{USER}{user}"), &new.login, RunId::new([0; 8]))?);
            Ok(added)
        })?;
        Ok(user)
    }

    /// Changes what the roll says of a user, and gives the keys that this needs, or takes them away: what they have copied they keep.
    /// The change request that asks for it, if there is one, is carried out with it.
    ///
    /// # Errors
    /// [`RepoError::NoSuchUser`], [`RepoError::LastOwner`] if nobody would be left who has all keys, [`RepoError::NoGrant`] if
    /// nothing can be granted to the user's slots, [`RepoError::NoSuchRequest`] and [`RepoError::RequestClosed`], and those of
    /// [`add_user`](Self::add_user).
    pub fn change_user(
        &mut self,
        user: UserId,
        request: Option<RequestId>,
        change: impl FnOnce(&mut Member),
    ) -> Result<(), RepoError> {
        let (root, seen) = self.begin()?;
        let mut roll = seen.clone();
        let member = member_of(&mut roll, user)?;
        let before = member.keys;
        change(member);
        member.user = user;
        let after = member.keys;
        let mut gone = Vec::new();
        if after != before {
            self.held(after)?;
            let granted = self.member_with_keys(&seen, user)?;
            gone.extend(granted.grant.clone());
            granted.recipient.ok_or(RepoError::NoGrant { user })?;
        }
        let change = RollChange { operation: "change-user", root, seen, roll, gone };
        self.enter_roll(change, |vault, root, roll| {
            let member = member_of(roll, user)?;
            let has_access = member.has_access(vault.around.clock.now());
            // Who had no access when keys were rotated, or when their roles changed, was given none, and is when let in again.
            let lacks = member.grant.is_none() && after != KeySet::NONE;
            if after != before {
                member.grant = None;
            }
            // Whoever only locks somebody out needs no keys for that.
            let keys = if has_access && (after != before || lacks) { Some(vault.held(after)?) } else { None };
            let mut added = vault.write_outcome(request)?;
            if let Some(keys) = keys {
                let recipient = member.recipient.clone().ok_or(RepoError::NoGrant { user })?;
                added.extend(vault.grant(root, &recipient, &keys, member)?);
            }
            Ok(added)
        })
    }

    /// Removes a user: their slots open nothing any more, and they are granted nothing. What they have copied, of keys and of the vault,
    /// they keep, and the machines that they have enrolled are still believed. The change request that asks for it, if there is one, is
    /// carried out with it.
    ///
    /// # Errors
    /// Those of [`change_user`](Self::change_user).
    pub fn remove_user(&mut self, user: UserId, request: Option<RequestId>) -> Result<(), RepoError> {
        let (root, seen) = self.begin()?;
        let mut gone = self.slots_of(user)?;
        gone.extend(self.member_with_keys(&seen, user)?.grant);
        let mut roll = seen.clone();
        roll.members.retain(|member| member.user != user);
        let change = RollChange { operation: "remove-user", root, seen, roll, gone };
        self.enter_roll(change, |vault, _, _| vault.write_outcome(request))
    }

    /// Gives a user who has lost what opens the vault new keys of their own and a new lock. The old slots open nothing any more.
    ///
    /// # Errors
    /// Those of [`change_user`](Self::change_user).
    pub fn reset_user(&mut self, user: UserId, login: &str, locks: &[Lock]) -> Result<(), RepoError> {
        let (root, seen) = self.begin()?;
        let granted = self.member_with_keys(&seen, user)?;
        let has_access = granted.has_access(self.around.clock.now());
        let keys = if has_access { self.held(granted.keys)? } else { KeyBundle::default() };
        check_entrance(login, locks)?;
        let mut gone = self.slots_of(user)?;
        gone.extend(granted.grant);
        let payload = self.new_identity(user, login)?;
        let change = RollChange { operation: "reset-user", root, roll: seen.clone(), seen, gone };
        self.enter_roll(change, |vault, root, roll| {
            vault.write_identity(root, &payload, locks, &keys, member_of(roll, user)?)
        })
    }

    /// Sets the firm's own roles and policies.
    ///
    /// # Errors
    /// Those of [`change_user`](Self::change_user).
    pub fn change_roll(&mut self, request: Option<RequestId>, change: impl FnOnce(&mut Roll)) -> Result<(), RepoError> {
        let (root, seen) = self.begin()?;
        let mut roll = seen.clone();
        change(&mut roll);
        // Members need keys, too.
        roll.members.clone_from(&seen.members);
        let change = RollChange { operation: "change-roll", root, seen, roll, gone: Vec::new() };
        self.enter_roll(change, |vault, _, _| vault.write_outcome(request))
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

    /// Looks anew at what is to be changed: the root key, and the roll.
    fn begin(&mut self) -> Result<(SigningKey, Roll), RepoError> {
        self.refresh()?;
        self.check_heads()?;
        // Somebody may have rotated since: what is handed out has to be what there is now.
        self.take_in_grants()?;
        Ok((self.root_pair()?, self.current_roll()?))
    }

    /// The keys of this set, if the user has them.
    fn held(&self, set: KeySet) -> Result<KeyBundle, RepoError> {
        let keys = self.keyring.keys.limited_to(set);
        self.check_complete(&keys)?;
        if keys.set().covers(set) { Ok(keys) } else { Err(RepoError::KeysNotHeld { wanted: set }) }
    }

    pub(crate) fn root_pair(&self) -> Result<SigningKey, RepoError> {
        self.keyring.root_signing.clone().ok_or(RepoError::NoRootKey)
    }
}

pub(super) fn member_of(roll: &mut Roll, user: UserId) -> Result<&mut Member, RepoError> {
    roll.members.iter_mut().find(|member| member.user == user).ok_or(RepoError::NoSuchUser { user })
}

fn check_entrance(login: &str, locks: &[Lock]) -> Result<(), RepoError> {
    if !is_login(login) {
        return Err(RepoError::InvalidLogin { login: login.to_owned() });
    }
    if locks.is_empty() { Err(RepoError::NoLock) } else { Ok(()) }
}
