//! Who there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};

use crate::ids::{ClientId, RoleName, ServiceId, UserId};
use crate::role::{Role, RoleError, Roles};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// False for one who was locked.
    pub is_active: bool,
    /// The roles assigned. Names of roles that there are not give nothing.
    pub roles: BTreeSet<RoleName>,
    /// The clients the user works for.
    pub clients: BTreeSet<ClientId>,
    /// The clients the user must have nothing to do with, whatever else is said.
    pub walled_off: BTreeSet<ClientId>,
    /// When all access ends. An auditor without it has none.
    pub access_until: Option<DateTime<Utc>>,
}

impl User {
    /// An active user with these roles and no clients.
    pub fn new<R: Into<RoleName>>(roles: impl IntoIterator<Item = R>) -> Self {
        Self {
            is_active: true,
            roles: roles.into_iter().map(Into::into).collect(),
            clients: BTreeSet::new(),
            walled_off: BTreeSet::new(),
            access_until: None,
        }
    }

    /// The same user, working for these clients.
    #[must_use]
    pub fn working_for<C: Into<ClientId>>(mut self, clients: impl IntoIterator<Item = C>) -> Self {
        self.clients.extend(clients.into_iter().map(Into::into));
        self
    }
}

/// A program that acts for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// False for one that was locked.
    pub is_active: bool,
    /// The roles assigned.
    pub roles: BTreeSet<RoleName>,
}

impl Service {
    /// An active service with these roles.
    pub fn new<R: Into<RoleName>>(roles: impl IntoIterator<Item = R>) -> Self {
        Self { is_active: true, roles: roles.into_iter().map(Into::into).collect() }
    }
}

/// All users, services, clients and roles of a vault.
///
/// It has to be complete: how many users there are, and how many could approve, is counted here, and a vault of one person is
/// treated otherwise than one of two.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    users: BTreeMap<UserId, User>,
    services: BTreeMap<ServiceId, Service>,
    clients: BTreeSet<ClientId>,
    roles: Roles,
    /// Of directories with the same stamp one was cloned from the other, and neither changed since.
    stamp: u64,
}

static STAMPS: AtomicU64 = AtomicU64::new(1);

impl Directory {
    /// Nobody, no clients, and the built-in roles.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user, or replaces the one of that id.
    pub fn set_user(&mut self, id: impl Into<UserId>, user: User) {
        self.users.insert(id.into(), user);
        self.changed();
    }

    /// Adds a service, or replaces the one of that id.
    pub fn set_service(&mut self, id: impl Into<ServiceId>, service: Service) {
        self.services.insert(id.into(), service);
        self.changed();
    }

    /// Adds a client.
    pub fn add_client(&mut self, id: impl Into<ClientId>) {
        self.clients.insert(id.into());
        self.changed();
    }

    /// Defines a role of the firm's, or defines it anew: it may do what the built-in roles may that it is built upon, and what
    /// policies of the firm say of it.
    ///
    /// # Errors
    /// [`RoleError`].
    pub fn define_role(
        &mut self,
        name: impl Into<RoleName>,
        includes: impl IntoIterator<Item = Role>,
    ) -> Result<(), RoleError> {
        self.changed();
        self.roles.define(name.into(), includes.into_iter().collect())
    }

    /// The user of that id.
    pub fn user(&self, id: &UserId) -> Option<&User> {
        self.users.get(id)
    }

    /// The service of that id.
    pub fn service(&self, id: &ServiceId) -> Option<&Service> {
        self.services.get(id)
    }

    /// Every role there is, built in or defined.
    pub fn roles(&self) -> impl Iterator<Item = RoleName> {
        self.roles.names()
    }

    /// Nobody and no clients, with the roles of this one.
    pub(crate) fn emptied(&self) -> Self {
        Self { roles: self.roles.clone(), stamp: STAMPS.fetch_add(1, Ordering::Relaxed), ..Self::default() }
    }

    pub(crate) fn users(&self) -> impl Iterator<Item = (&UserId, &User)> {
        self.users.iter()
    }

    pub(crate) fn user_count(&self) -> usize {
        self.users.len()
    }

    pub(crate) fn has_user(&self, id: &UserId) -> bool {
        self.users.contains_key(id)
    }

    pub(crate) fn has_client(&self, id: &ClientId) -> bool {
        self.clients.contains(id)
    }

    pub(crate) fn user_mut(&mut self, id: &UserId) -> Option<&mut User> {
        self.changed();
        self.users.get_mut(id)
    }

    pub(crate) fn service_mut(&mut self, id: &ServiceId) -> Option<&mut Service> {
        self.changed();
        self.services.get_mut(id)
    }

    pub(crate) fn stamp(&self) -> u64 {
        self.stamp
    }

    fn changed(&mut self) {
        self.stamp = STAMPS.fetch_add(1, Ordering::Relaxed);
    }

    /// What a role is built upon, itself included; `None` if there is no such role.
    pub(crate) fn role(&self, name: &RoleName) -> Option<BTreeSet<RoleName>> {
        self.roles.closure(name)
    }

    /// Roles and all they are built upon; without those that there are not.
    pub(crate) fn closure<'a>(&self, roles: impl IntoIterator<Item = &'a RoleName>) -> BTreeSet<RoleName> {
        roles.into_iter().filter_map(|role| self.roles.closure(role)).flatten().collect()
    }
}
