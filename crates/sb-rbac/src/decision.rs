//! The answer to a request, and what it rests on.

use std::fmt;

use crate::ids::{ClientId, RoleName, ServiceId, UserId};

/// Whether something may be done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether it may.
    pub is_allowed: bool,
    /// The policies that made it so, by id: those that permit, or those that forbid. Empty if it is denied because nothing permits it.
    pub determined_by: Vec<Determinant>,
    /// Policies that could not be evaluated. Nothing is allowed then.
    pub errors: Vec<PolicyFault>,
    /// Why it was denied before any policy was asked.
    pub refusal: Option<Refusal>,
}

/// A policy that a decision rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Determinant {
    /// Its id.
    pub id: String,
    /// Where it is from.
    pub kind: PolicyKind,
}

/// Where a policy is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PolicyKind {
    /// One that is always there and always wins.
    GuardRail,
    /// What a built-in role may do.
    BuiltIn,
    /// One of the firm's.
    Firm,
    /// A grant to one user.
    Grant,
}

/// A policy that could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct PolicyFault {
    /// Its id.
    pub policy: String,
    /// What went wrong.
    pub message: String,
}

/// Why a request was denied before any policy was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The directory has no such user.
    NoSuchUser(UserId),
    /// The directory has no such service.
    NoSuchService(ServiceId),
    /// The directory has no such client.
    NoSuchClient(ClientId),
    /// The directory has no such role.
    NoSuchRole(RoleName),
    /// Nobody does that to such a thing, or not as a service.
    NoSuchAct,
    /// Some value is such that policies can't be asked about it.
    Inexpressible(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchUser(id) => write!(f, "there is no user `{id}`"),
            Self::NoSuchService(id) => write!(f, "there is no service `{id}`"),
            Self::NoSuchClient(id) => write!(f, "there is no client `{id}`"),
            Self::NoSuchRole(id) => write!(f, "there is no role `{id}`"),
            Self::NoSuchAct => f.write_str("that is not done to such a thing, or not by a service"),
            Self::Inexpressible(why) => write!(f, "policies cannot be asked about this: {why}"),
        }
    }
}
