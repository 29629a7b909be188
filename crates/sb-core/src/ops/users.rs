//! Users and roles.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sb_audit::Json;
use sb_crypto::Lock;
use sb_rbac::{Action, Directory, Resource, Role, RoleName};
use sb_repo::{KeySet, Member, NewUser, Progress, UserId};

use crate::access::{CLIENT, deed, directory, keys_of};
use crate::error::CoreError;
use crate::ops::requests::by_request;
use crate::record::{Told, user_id};
use crate::requests::Act;
use crate::session::Session;

/// The users of a vault.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UsersReport {
    /// Every user, in the order in which they were added.
    pub users: Vec<ListedUser>,
    /// Roles of the firm's own, and what each builds upon.
    pub roles: BTreeMap<String, Vec<String>>,
}

/// A user of a vault.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListedUser {
    /// What the roll says.
    pub member: Member,
    /// Who it is, where that may be read.
    pub name: Option<String>,
    /// How many things let them in.
    pub slots: usize,
    /// True for who has opened the vault.
    pub is_you: bool,
}

/// Somebody to be added.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AddUserOptions {
    /// What they say to be let in.
    pub login: String,
    /// What lets them in.
    pub lock: Lock,
    /// Their roles.
    pub roles: Vec<String>,
    /// The clients that they work for. Default: the one there is.
    pub clients: Vec<String>,
    /// When their access ends. An auditor needs that.
    pub access_until: Option<DateTime<Utc>>,
}

impl AddUserOptions {
    /// Somebody with these roles.
    pub fn new(login: impl Into<String>, lock: Lock, roles: Vec<String>) -> Self {
        Self { login: login.into(), lock, roles, clients: vec![CLIENT.to_owned()], access_until: None }
    }
}

/// What is to be otherwise with a user. What is `None` stays.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ChangeUserOptions {
    /// All roles from then on.
    pub roles: Option<Vec<String>>,
    /// All clients from then on.
    pub clients: Option<Vec<String>>,
    /// All clients from then on of whom they must see nothing.
    pub walled_off: Option<Vec<String>>,
    /// When their access ends; `Some(None)`: never.
    pub access_until: Option<Option<DateTime<Utc>>>,
}

impl ChangeUserOptions {
    fn is_more_than_roles(&self) -> bool {
        self.clients.is_some() || self.walled_off.is_some() || self.access_until.is_some()
    }
}

impl Session {
    /// Lists the users and the firm's own roles.
    ///
    /// # Errors
    /// [`CoreError::Denied`]; in [`CoreError::Repo`] a roll that can't be read.
    pub fn users(&self) -> Result<UsersReport, CoreError> {
        let list = |session: &Self| {
            let roll = session.vault.current_roll()?;
            let (names, slots) = (session.vault.user_logins(), session.vault.view().slots());
            let listed = |member: Member| ListedUser {
                name: names.get(&member.user).cloned(),
                slots: slots.iter().filter(|slot| slot.user == member.user).count(),
                is_you: member.user == session.vault.user(),
                member,
            };
            Ok(UsersReport { users: roll.members.into_iter().map(listed).collect(), roles: roll.roles })
        };
        self.look(deed("User.List", Action::ListUsers), list, |_| None)
    }

    /// The user whom a login, or the beginning of an id, means.
    ///
    /// # Errors
    /// [`CoreError::NoSuchUser`], and in [`CoreError::Repo`] a roll that can't be read.
    pub fn find_user(&self, name: &str) -> Result<UserId, CoreError> {
        let names = self.vault.user_logins();
        let roll = self.vault.current_roll()?;
        let by_name = roll.members.iter().filter(|m| names.get(&m.user).is_some_and(|login| login == name));
        let by_id = roll.members.iter().filter(|m| name.len() >= 4 && m.user.to_string().starts_with(name));
        let found: BTreeSet<UserId> = by_name.map(|m| m.user).collect();
        let found = if found.is_empty() { by_id.map(|m| m.user).collect() } else { found };
        match found.first() {
            Some(user) if found.len() == 1 => Ok(*user),
            _ => Err(CoreError::NoSuchUser { name: name.to_owned() }),
        }
    }

    /// Adds a user. From the second on, guard rails demand two factors and keep duties apart, so that whoever adds the second needs
    /// two factors already.
    ///
    /// # Errors
    /// [`CoreError::Denied`], [`CoreError::NoSuchRole`], [`CoreError::UserExists`]; in [`CoreError::Repo`] keys that cannot be given because whoever
    /// adds does not have them, a vault that was rolled back, and failures of storage and state.
    pub fn add_user(&mut self, options: &AddUserOptions, progress: Progress<'_>) -> Result<UserId, CoreError> {
        self.renew()?;
        let roll = self.vault.current_roll()?;
        if self.vault.user_logins().values().any(|login| *login == options.login) {
            return Err(CoreError::UserExists { login: options.login.clone() });
        }
        self.check_roles(&options.roles, &directory(&roll)?)?;
        let keys = keys_of(&options.roles, &roll);
        let mut new = NewUser::new(options.login.as_str(), options.lock.clone(), options.roles.clone(), keys);
        new.clients.clone_from(&options.clients);
        new.access_until = options.access_until;
        // Among those who there will be, for then there are guard rails that a vault of one does without.
        let mut after = roll;
        let newcomer = UserId::new([0; 16]);
        after.members.push(Member::new(newcomer, Vec::new(), KeySet::NONE));
        let among = directory(&after)?;
        let roles = Resource::Roles { user: newcomer.to_string().as_str().into(), after: names(&options.roles) };
        let asked = self.ask_among(&among, Action::AddUser, Resource::Vault, None);
        let asked = asked.and_then(|_| self.ask_among(&among, Action::AssignRole, roles, None));
        let add = |session: &mut Self| Ok(session.vault.add_user(&new)?);
        let vault = crate::record::vault_id(self.id());
        let user = self.change_asked(asked, "User.Add", &vault, progress, add, |user| Told {
            object: Some(user_id(*user)),
            data: vec![("roles", texts(&options.roles))],
            ..Told::default()
        })?;
        self.look_anew()?;
        Ok(user)
    }

    /// Changes a user's roles and clients, and when their access ends. Of oneself nothing but roles, and those only if others agree.
    ///
    /// # Errors
    /// [`CoreError::NeedsApproval`], [`CoreError::OwnClients`], and as [`add_user`](Self::add_user).
    pub fn change_user(
        &mut self,
        user: UserId,
        options: &ChangeUserOptions,
        progress: Progress<'_>,
    ) -> Result<(), CoreError> {
        self.renew()?;
        let roll = self.vault.current_roll()?;
        let member = roll.member(user).ok_or_else(|| CoreError::NoSuchUser { name: user.to_string() })?;
        let roles = options.roles.clone().unwrap_or_else(|| member.roles.clone());
        let among = directory(&roll)?;
        self.check_roles(&roles, &among)?;
        let keys = keys_of(&roles, &roll);
        let sanction = self.sanction(&Act::Roles(user, roles.clone())).and_then(|sanction| match sanction.request {
            // Others have agreed to roles, and to nothing else.
            Some(_) if options.is_more_than_roles() => Err(CoreError::OwnClients),
            _ => Ok(sanction),
        });
        let request = sanction.as_ref().ok().and_then(|sanction| sanction.request);
        let asked = sanction.map(|sanction| sanction.decision);
        let change = |session: &mut Self| {
            session.vault.change_user(user, request, |member| {
                if options.roles.is_some() {
                    (member.roles, member.keys) = (roles.clone(), keys);
                }
                member.clients = options.clients.clone().unwrap_or_else(|| member.clients.clone());
                member.walled_off = options.walled_off.clone().unwrap_or_else(|| member.walled_off.clone());
                member.access_until = options.access_until.unwrap_or(member.access_until);
            })?;
            Ok(())
        };
        self.change_asked(asked, "User.Change", &user_id(user), progress, change, |()| {
            let mut told = by_request(request);
            told.data.push(("roles", texts(&roles)));
            told
        })?;
        self.look_anew()
    }

    /// Locks a user out, or lets them in again. What lets them in stays as it is.
    ///
    /// # Errors
    /// As [`add_user`](Self::add_user).
    pub fn lock_user(&mut self, user: UserId, locked: bool, progress: Progress<'_>) -> Result<(), CoreError> {
        self.renew()?;
        let (logged, asks) = if locked { ("User.Lock", Action::LockUser) } else { ("User.Unlock", Action::UnlockUser) };
        let asked = self.ask(asks, Resource::User(user.to_string().as_str().into()));
        let change =
            |session: &mut Self| Ok(session.vault.change_user(user, None, |member| member.active = !locked)?);
        self.change_asked(asked, logged, &user_id(user), progress, change, |()| Told::default())?;
        self.look_anew()
    }

    /// Gives a user who has lost what lets them in something else instead. What did it before opens nothing any more.
    ///
    /// # Errors
    /// As [`add_user`](Self::add_user).
    pub fn reset_user(&mut self, user: UserId, lock: Lock, progress: Progress<'_>) -> Result<(), CoreError> {
        self.renew()?;
        let login = self.vault.user_logins().remove(&user);
        let slot = Resource::Slot { id: "all".to_owned(), owner: user.to_string().as_str().into() };
        let asked = self.ask(Action::ResetSlot, slot);
        let reset = |session: &mut Self| {
            let login = login.ok_or_else(|| CoreError::NoSuchUser { name: user.to_string() })?;
            Ok(session.vault.reset_user(user, &login, &[lock])?)
        };
        self.change_asked(asked, "User.Reset", &user_id(user), progress, reset, |()| Told::default())?;
        self.look_anew()
    }

    /// Defines a role of the firm's own, or with `None` does away with it.
    ///
    /// # Errors
    /// [`CoreError::Role`], [`CoreError::NoSuchRole`], [`CoreError::RoleInUse`], and as [`add_user`](Self::add_user).
    pub fn define_role(
        &mut self,
        name: &str,
        includes: Option<&[String]>,
        progress: Progress<'_>,
    ) -> Result<(), CoreError> {
        self.renew()?;
        let roll = self.vault.current_roll()?;
        let mut after = directory(&roll)?;
        match includes {
            Some(includes) => {
                let built_in = |role: &String| {
                    Role::named(role).ok_or_else(|| CoreError::NoSuchRole { name: role.clone(), known: built_in() })
                };
                after.define_role(name, includes.iter().map(built_in).collect::<Result<Vec<_>, _>>()?)?;
                let held = |member: &&Member| member.roles.iter().any(|role| role == name);
                let known = roll.roles.get(name);
                // Their keys would no longer be those of their roles.
                if known.is_some_and(|known| known != includes) && roll.members.iter().any(|m| held(&m)) {
                    return Err(CoreError::RoleInUse { name: name.to_owned() });
                }
            }
            None if !roll.roles.contains_key(name) => {
                return Err(CoreError::NoSuchRole {
                    name: name.to_owned(),
                    known: roll.roles.keys().cloned().collect(),
                });
            }
            None if roll.members.iter().any(|member| member.roles.iter().any(|role| role == name)) => {
                return Err(CoreError::RoleInUse { name: name.to_owned() });
            }
            None => {}
        }
        let change = |session: &mut Self| {
            session.vault.change_roll(None, |roll| match includes {
                Some(includes) => drop(roll.roles.insert(name.to_owned(), includes.to_vec())),
                None => drop(roll.roles.remove(name)),
            })?;
            Ok(())
        };
        let vault = crate::record::vault_id(self.id());
        self.change(deed("Role.Define", Action::DefineRole), &vault, progress, change, |()| Told {
            data: vec![("role", Json::text(name)), ("includes", texts(includes.unwrap_or_default()))],
            ..Told::default()
        })?;
        self.look_anew()
    }

    pub(crate) fn check_roles(&self, roles: &[String], among: &Directory) -> Result<(), CoreError> {
        let known: BTreeSet<String> = among.roles().map(|role| role.to_string()).collect();
        match roles.iter().find(|role| !known.contains(*role)) {
            Some(role) => Err(CoreError::NoSuchRole { name: role.clone(), known: known.into_iter().collect() }),
            None if roles.is_empty() => Err(CoreError::NoRole),
            None => Ok(()),
        }
    }
}

fn built_in() -> Vec<String> {
    Role::ALL.iter().map(|role| role.name().to_owned()).collect()
}

fn names(roles: &[String]) -> BTreeSet<RoleName> {
    roles.iter().map(|role| role.as_str().into()).collect()
}

fn texts(texts: &[String]) -> Json {
    Json::List(texts.iter().map(|text| Json::text(text.as_str())).collect())
}
