//! Who there is.

use std::collections::{BTreeMap, BTreeSet};

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
    pub(crate) users: BTreeMap<UserId, User>,
    pub(crate) services: BTreeMap<ServiceId, Service>,
    pub(crate) clients: BTreeSet<ClientId>,
    pub(crate) roles: Roles,
}

impl Directory {
    /// Nobody, no clients, and the built-in roles.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user, or replaces the one of that id.
    pub fn set_user(&mut self, id: impl Into<UserId>, user: User) {
        self.users.insert(id.into(), user);
    }

    /// Adds a service, or replaces the one of that id.
    pub fn set_service(&mut self, id: impl Into<ServiceId>, service: Service) {
        self.services.insert(id.into(), service);
    }

    /// Adds a client.
    pub fn add_client(&mut self, id: impl Into<ClientId>) {
        self.clients.insert(id.into());
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

    /// Roles and all they are built upon; without those that there are not.
    pub(crate) fn closure<'a>(&self, roles: impl IntoIterator<Item = &'a RoleName>) -> BTreeSet<RoleName> {
        roles.into_iter().filter_map(|role| self.roles.closure(role)).flatten().collect()
    }
}
