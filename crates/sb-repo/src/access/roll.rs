//! The roll: which users there are, and which roles they have.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sb_crypto::{Digest, PublicKey};

use super::KeySet;
use crate::error::{Flaw, RepoError};
use crate::ids::{KeyId, UserId};
use crate::live::{names_in, read};
use crate::name::{ParsedName, TWIN};
use crate::trust::key_id;
use crate::view::View;

const FOLDER: &str = "roles/";
/// Who made a vault that has no roll yet has this role.
pub(super) const OWNER: &str = "owner";

/// Who has which roles, signed by the root key. Each names the one before. It holds no names of people or clients: what ids stand for is in
/// the directory of [names](crate::Vault::names). Names of custom roles and the firm's policies stand in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Roll {
    /// How many came before.
    pub generation: u64,
    /// SHA-256 of the object before.
    pub previous: Option<Digest>,
    /// When it was made.
    pub time: DateTime<Utc>,
    /// By whom.
    pub by: UserId,
    /// Every user, in the order in which they were added.
    pub members: Vec<Member>,
    /// Roles of the firm's own, and the roles that each builds upon.
    pub roles: BTreeMap<String, Vec<String>>,
    /// The firm's policies, in the language of whoever composes this crate.
    pub policies: Option<String>,
}

/// A user on the roll.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// Their roles.
    pub roles: Vec<String>,
    /// The keys that they were granted.
    pub keys: KeySet,
    /// False while they are locked out.
    pub active: bool,
    /// The clients that they work for, by opaque ids; what that means is the caller's.
    pub clients: Vec<String>,
    /// The clients of whom they must see nothing.
    pub walled_off: Vec<String>,
    /// From when on they have no access any more.
    pub access_until: Option<DateTime<Utc>>,
    /// Their login, sealed under a key of who has the root key: whoever manages users may have no key that reads the directory of names.
    pub(crate) login: Option<Vec<u8>>,
    /// Their signing key; another that was theirs before gives no slots any more.
    pub(crate) key: Option<KeyId>,
    /// What they are granted keys by.
    pub(crate) recipient: Option<PublicKey>,
    /// The one grant that counts.
    pub(crate) grant: Option<String>,
}

impl Member {
    /// Somebody active with these roles and keys, and nothing else.
    pub fn new(user: UserId, roles: Vec<String>, keys: KeySet) -> Self {
        let (clients, walled_off) = (Vec::new(), Vec::new());
        let (access_until, login, key, recipient, grant) = (None, None, None, None, None);
        let active = true;
        Self { user, roles, keys, active, clients, walled_off, access_until, login, key, recipient, grant }
    }

    /// True if they are neither locked out nor has their time run out.
    pub(super) fn has_access(&self, now: DateTime<Utc>) -> bool {
        self.active && self.access_until.is_none_or(|until| now < until)
    }
}

impl Roll {
    /// As of a vault of one user.
    pub fn of_owner(user: UserId) -> Self {
        let members = vec![Member::new(user, vec![OWNER.to_owned()], KeySet::ALL)];
        let roles = BTreeMap::new();
        Self { generation: 0, previous: None, time: DateTime::UNIX_EPOCH, by: user, members, roles, policies: None }
    }

    /// The user with this id.
    pub fn member(&self, user: UserId) -> Option<&Member> {
        self.members.iter().find(|member| member.user == user)
    }
}

impl View {
    /// The newest roll. `None` in a vault where nobody has been added to whoever made it.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] if there is one, and no copy of it is good: who may do what cannot be told then.
    pub fn roll(&self) -> Result<Option<Roll>, RepoError> {
        Ok(self.newest_roll()?.map(|(roll, ..)| roll))
    }

    /// The same with the name of its object, and what is wrong: that another says to be the newest, too.
    pub(crate) fn newest_roll(&self) -> Result<Option<(Roll, String, Option<String>)>, RepoError> {
        let entered = self.live.iter().map(|(name, _)| name).filter(|name| name.starts_with(FOLDER));
        let listed = names_in(&self.listing, FOLDER).filter(|name| self.live.is_readable(name));
        let mut names: Vec<(ParsedName, &str)> =
            entered.chain(listed).filter_map(|name| Some((ParsedName::parse(name)?, name))).collect();
        // The smaller hash wins: everybody has to come to the same.
        names.sort_by(|(a, _), (b, _)| (b.stem.generation(), &a.hash).cmp(&(a.stem.generation(), &b.hash)));
        names.dedup();
        // Names alone are anybody's word; but that there is a roll, and none can be read, nobody may pass over.
        let mut trouble = None;
        let mut found: Option<(Roll, String)> = None;
        for (parsed, name) in &names {
            let copies = [(*name).to_owned(), format!("{TWIN}{name}")];
            match copies.iter().map(|copy| self.read_roll(parsed, copy)).reduce(Result::or).expect("two copies") {
                Ok(roll) => match &found {
                    Some((newest, first)) if newest.generation == roll.generation => {
                        return Ok(Some((newest.clone(), first.clone(), Some((*name).to_owned()))));
                    }
                    Some((newest, first)) => return Ok(Some((newest.clone(), first.clone(), None))),
                    None => found = Some((roll, (*name).to_owned())),
                },
                Err(flaw) => trouble = trouble.or(Some(RepoError::Damaged { name: (*name).to_owned(), flaw })),
            }
        }
        match (found, trouble) {
            (Some((roll, name)), _) => Ok(Some((roll, name, None))),
            (None, Some(error)) => Err(error),
            (None, None) if self.live.has_removed(FOLDER) => {
                Err(RepoError::Damaged { name: FOLDER.to_owned(), flaw: Flaw::Missing })
            }
            (None, None) => Ok(None),
        }
    }

    fn read_roll(&self, parsed: &ParsedName, copy: &str) -> Result<Roll, Flaw> {
        let bytes = read(&*self.storage, copy)?;
        let roll = Roll::decode(self.trust.check(parsed, &bytes)?.body)?;
        if roll.generation == parsed.stem.generation() { Ok(roll) } else { Err(Flaw::Foreign) }
    }

    /// True if a slot of this user counts that this key has signed: the one that the roll says is theirs now, or root's.
    pub(crate) fn slots_count(&self, user: UserId, signer: KeyId) -> bool {
        let now = self.roll().ok().flatten().and_then(|roll| roll.member(user)?.key);
        now.is_none_or(|key| key == signer || signer == key_id(&self.trust.root))
    }

    /// Whoever was certified first: who made the vault.
    pub(crate) fn founder(&self) -> Option<UserId> {
        let first = self.trust.users.values().min_by_key(|certificate| (certificate.created, certificate.user));
        first.map(|certificate| certificate.user)
    }
}
