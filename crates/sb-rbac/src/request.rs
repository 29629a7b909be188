//! A question: may this principal do that?

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};

use crate::action::Action;
use crate::ids::{ServiceId, UserId};
use crate::resource::Resource;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Principal {
    /// A user, who has proved to be one.
    User(UserId),
    /// A service.
    Service(ServiceId),
}

impl Principal {
    /// A user.
    pub fn user(id: impl Into<UserId>) -> Self {
        Self::User(id.into())
    }

    /// A service.
    pub fn service(id: impl Into<ServiceId>) -> Self {
        Self::Service(id.into())
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user {id}"),
            Self::Service(id) => write!(f, "service {id}"),
        }
    }
}

/// A question: may this principal do that?
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Who.
    pub principal: Principal,
    /// What.
    pub action: Action,
    /// To what.
    pub resource: Resource,
    /// Under what circumstances.
    pub context: Context,
}

impl Request {
    /// A question.
    pub fn new(principal: Principal, action: Action, resource: Resource, context: Context) -> Self {
        Self { principal, action, resource, context }
    }
}

/// Circumstances of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// The time.
    pub now: DateTime<Utc>,
    /// Whether the vault was opened with two factors, such as a key file and a passphrase together.
    pub mfa: bool,
    /// Whether somebody else vouches for the time.
    pub clock_trusted: bool,
    /// The change request that asks for this, if there is one.
    pub request: Option<ChangeRequest>,
}

impl Context {
    /// At this time, with one factor, a clock that nobody vouches for, and no change request.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { now, mfa: false, clock_trusted: false, request: None }
    }
}

/// What a change request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RequestKind {
    /// To dispose of documents.
    Dispose,
    /// To release a legal hold.
    ReleaseHold,
    /// To shorten retention.
    Shorten,
    /// To export a key.
    ExportKey,
    /// To remove a user.
    RemoveUser,
    /// To put policies into force.
    ActivatePolicies,
    /// To give roles to oneself.
    Grant,
}

impl RequestKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Dispose,
        Self::ReleaseHold,
        Self::Shorten,
        Self::ExportKey,
        Self::RemoveUser,
        Self::ActivatePolicies,
        Self::Grant,
    ];

    /// Its name in policies, such as `releaseHold`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dispose => "dispose",
            Self::ReleaseHold => "releaseHold",
            Self::Shorten => "shorten",
            Self::ExportKey => "exportKey",
            Self::RemoveUser => "removeUser",
            Self::ActivatePolicies => "activatePolicies",
            Self::Grant => "grant",
        }
    }

    /// The kind of request that an action needs; `AssignRole` only if it is to oneself.
    pub const fn of(action: Action) -> Option<Self> {
        match action {
            Action::DisposeDocument => Some(Self::Dispose),
            Action::ReleaseHold => Some(Self::ReleaseHold),
            Action::ShortenRetention => Some(Self::Shorten),
            Action::ExportKey => Some(Self::ExportKey),
            Action::RemoveUser => Some(Self::RemoveUser),
            Action::ActivatePolicies => Some(Self::ActivatePolicies),
            Action::AssignRole => Some(Self::Grant),
            _ => None,
        }
    }
}

/// A change that somebody has proposed, with those who agreed. Proposal and approvals are signatures that the caller has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeRequest {
    /// Which.
    pub id: String,
    /// What it asks for.
    pub kind: RequestKind,
    /// To what, as [`Resource`] is written: `document:d_1`.
    pub targets: BTreeSet<String>,
    /// By whom.
    pub proposed_by: UserId,
    /// Who agreed. Only approvals by others than the proposer, and by users there are, count.
    pub approvals: BTreeSet<UserId>,
    /// How many have to agree, 1 at least.
    pub required: u32,
    /// Whether the cooling-off period is over, which is what a vault without two people who could approve has instead.
    pub is_cooled_off: bool,
}

impl ChangeRequest {
    /// A request for one target that nobody has agreed to yet; one has to.
    pub fn new(
        id: impl Into<String>,
        kind: RequestKind,
        target: impl Into<String>,
        proposed_by: impl Into<UserId>,
    ) -> Self {
        Self {
            id: id.into(),
            kind,
            targets: [target.into()].into(),
            proposed_by: proposed_by.into(),
            approvals: BTreeSet::new(),
            required: 1,
            is_cooled_off: false,
        }
    }

    /// The same request, agreed to by one more user.
    #[must_use]
    pub fn approved_by(mut self, user: impl Into<UserId>) -> Self {
        self.approvals.insert(user.into());
        self
    }
}
