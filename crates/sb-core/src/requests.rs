//! Change requests: what one person alone may not do, what became of it, and whether it may be done now.

use chrono::{DateTime, TimeDelta, Utc};
use sb_crypto::sha256;
use sb_rbac::{
    Action, Change, ChangeRequest, Context, Decision, Document, Principal, Request, RequestKind, Resource,
    RetentionMode, RoleName,
};
use sb_repo::{FiledRequest, RequestId, Requests, SignedBy, UserId};

use crate::access::CLIENT;
use crate::error::CoreError;
use crate::session::Session;

/// How long a change waits for which there is no second person: a week, as long as a disposal waits between its approval and the act.
/// It begins anew whenever users or roles change, so that nobody can send away who would have been asked.
pub const COOLING_OFF: TimeDelta = TimeDelta::days(7);
/// How long a request can be carried out: what was agreed to must not be kept for an opportunity.
pub const LAPSES_AFTER: TimeDelta = TimeDelta::days(30);

/// Something that one person alone may not do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// To get a new recovery key on paper, oneself.
    ExportRecoveryKey(UserId),
    /// To remove a user.
    RemoveUser(UserId),
    /// To have these roles, and no others, oneself.
    Roles(UserId, Vec<String>),
    /// To put the firm's policies into force, or with an empty text out of force.
    ActivatePolicies(String),
    /// To dispose of a document.
    Dispose(String),
    /// To release a legal hold.
    ReleaseHold(String),
    /// To shorten a retention.
    ShortenRetention(String),
}

impl Act {
    /// What it is called in requests.
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::ExportRecoveryKey(_) => RequestKind::ExportKey,
            Self::RemoveUser(_) => RequestKind::RemoveUser,
            Self::Roles(..) => RequestKind::Grant,
            Self::ActivatePolicies(_) => RequestKind::ActivatePolicies,
            Self::Dispose(_) => RequestKind::Dispose,
            Self::ReleaseHold(_) => RequestKind::ReleaseHold,
            Self::ShortenRetention(_) => RequestKind::Shorten,
        }
    }

    pub(crate) fn asks(&self) -> Action {
        match self {
            Self::ExportRecoveryKey(_) => Action::ExportKey,
            Self::RemoveUser(_) => Action::RemoveUser,
            Self::Roles(..) => Action::AssignRole,
            Self::ActivatePolicies(_) => Action::ActivatePolicies,
            Self::Dispose(_) => Action::DisposeDocument,
            Self::ReleaseHold(_) => Action::ReleaseHold,
            Self::ShortenRetention(_) => Action::ShortenRetention,
        }
    }

    /// To what it is done, with no more facts than there are: nothing is known of documents, holds and retention yet.
    pub(crate) fn resource(&self) -> Resource {
        match self {
            Self::ExportRecoveryKey(user) => Resource::Key(format!("recovery:{user}")),
            Self::RemoveUser(user) => Resource::User(user.to_string().as_str().into()),
            Self::Roles(user, roles) => Resource::Roles {
                user: user.to_string().as_str().into(),
                after: roles.iter().map(|role| RoleName::from(role.as_str())).collect(),
            },
            Self::ActivatePolicies(text) => Resource::Policies(sha256(text.as_bytes()).to_string()),
            Self::Dispose(id) => Resource::Document(Document::new(id.as_str(), CLIENT)),
            Self::ReleaseHold(id) => {
                Resource::Hold { id: id.clone(), client: CLIENT.into(), placed_by: "unknown".into() }
            }
            Self::ShortenRetention(id) => Resource::Retention { id: id.clone(), mode: RetentionMode::Governance },
        }
    }
}

/// How far a change request has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestState {
    /// Others have agreed, or it has cooled off: it can be carried out by who may, until it lapses.
    Ready,
    /// So many others have yet to agree.
    Waiting {
        /// How many.
        approvals: u32,
    },
    /// There is nobody else to agree, so time has to pass.
    CoolingOff {
        /// Until then.
        until: DateTime<Utc>,
    },
    /// Somebody has refused it, or who asked has withdrawn it.
    Rejected,
    /// It was done.
    CarriedOut,
    /// It was not done in time.
    Lapsed,
    /// Who asked may not ask any more, or has other keys since.
    Void,
    /// Something that was said of it can't be read.
    Damaged,
}

impl RequestState {
    /// True if something can still become of it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Ready | Self::Waiting { .. } | Self::CoolingOff { .. })
    }

    /// In a word, as programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Waiting { .. } => "waiting",
            Self::CoolingOff { .. } => "cooling-off",
            Self::Rejected => "rejected",
            Self::CarriedOut => "carried-out",
            Self::Lapsed => "lapsed",
            Self::Void => "void",
            Self::Damaged => "damaged",
        }
    }
}

/// A change request, and how far it has got.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JudgedRequest {
    /// What was said of it.
    pub filed: FiledRequest,
    /// What is asked for, if this version knows it.
    pub kind: Option<RequestKind>,
    /// How far it has got.
    pub state: RequestState,
    /// Who has agreed and may agree: the others do not count.
    pub counted: Vec<UserId>,
    /// When it lapses.
    pub lapses: DateTime<Utc>,
}

/// That something may be done, and by which request.
pub(crate) struct Sanction {
    pub(crate) decision: Decision,
    pub(crate) request: Option<RequestId>,
}

impl Session {
    /// Whether this may be done: by oneself, or because others have agreed to exactly that.
    pub(crate) fn sanction(&self, act: &Act) -> Result<Sanction, CoreError> {
        let (asks, resource) = (act.asks(), act.resource());
        let alone = self.ask(asks, resource.clone());
        let Err(denied) = alone else { return alone.map(|decision| Sanction { decision, request: None }) };
        let mut pending: Vec<JudgedRequest> = self.judged(self.vault.requests());
        pending.retain(|request| request.state.is_open() && is_about(request, act));
        pending.sort_by_key(|request| request.state != RequestState::Ready);
        for request in pending.iter().filter(|request| request.state == RequestState::Ready) {
            let change = self.change_request(request);
            if let Ok(decision) = self.ask_among(&self.access.directory, asks, resource.clone(), change) {
                return Ok(Sanction { decision, request: Some(request.filed.id) });
            }
        }
        if !self.needs_only_a_request(act) {
            return Err(denied);
        }
        let pending = pending.first().map(|request| (request.filed.id, request.state));
        Err(CoreError::NeedsApproval { act: Box::new(act.clone()), pending, is_alone: self.is_alone() })
    }

    /// True if nobody else could agree, so that time stands in for it.
    fn is_alone(&self) -> bool {
        self.access.authorizer.approvers(&self.access.directory) < 2
    }

    /// True if an approved request is all that is missing.
    pub(crate) fn needs_only_a_request(&self, act: &Act) -> bool {
        let request = self.request(self.vault.user(), act.asks(), act.resource(), None);
        let explained = self.access.authorizer.explain(&self.access.directory, &request);
        let is_enough = |changes: &[Change]| matches!(changes, [Change::ApprovedRequest(..)]);
        explained.suggestions.iter().any(|suggestion| is_enough(&suggestion.changes))
    }

    /// How far each of these has got.
    pub(crate) fn judged(&self, requests: Requests) -> Vec<JudgedRequest> {
        requests.filed.into_iter().map(|filed| self.judge(filed)).collect()
    }

    fn judge(&self, filed: FiledRequest) -> JudgedRequest {
        let now = self.place.clock.now();
        let kind = RequestKind::ALL.into_iter().find(|kind| kind.name() == filed.proposal.kind);
        let lapses = filed.proposed.time + LAPSES_AFTER;
        let mut request = JudgedRequest { filed, kind, state: RequestState::Ready, counted: Vec::new(), lapses };
        request.counted = self.counted(&request);
        let filed = &request.filed;
        let asks =
            if kind == Some(RequestKind::ActivatePolicies) { Action::ProposePolicies } else { Action::ProposeChange };
        let cool = filed.proposed.time.max(self.changed()) + COOLING_OFF;
        request.state = if !filed.carried_out.is_empty() {
            RequestState::CarriedOut
        } else if !filed.rejections.is_empty() {
            RequestState::Rejected
        } else if filed.flaw.is_some() {
            RequestState::Damaged
        } else if lapses <= now {
            RequestState::Lapsed
        } else if kind.is_none() || !self.might(filed.proposed, asks, Resource::Vault) {
            RequestState::Void
        } else if !request.counted.is_empty() {
            RequestState::Ready
        } else if !self.is_alone() {
            RequestState::Waiting { approvals: 1 }
        } else if now < cool {
            RequestState::CoolingOff { until: cool }
        } else {
            RequestState::Ready
        };
        request
    }

    /// When users and roles last changed.
    fn changed(&self) -> DateTime<Utc> {
        self.vault.current_roll().map_or(DateTime::<Utc>::MIN_UTC, |roll| roll.time)
    }

    /// Those whose agreement counts: others than who asked, who may agree.
    fn counted(&self, request: &JudgedRequest) -> Vec<UserId> {
        let Some(nobody_yet) = self.bare(request) else { return Vec::new() };
        let counts = |by: &&SignedBy| {
            by.user != request.filed.proposed.user
                && self.might(**by, Action::ApproveChange, Resource::Request(nobody_yet.clone()))
        };
        let mut counted: Vec<UserId> = request.filed.approvals.iter().filter(counts).map(|by| by.user).collect();
        counted.sort_unstable();
        counted.dedup();
        counted
    }

    /// True if who has signed this might have: is on the roll with this key, and allowed to. With which factors they came in is not known
    /// any more, and was asked then.
    fn might(&self, by: SignedBy, asks: Action, resource: Resource) -> bool {
        let mut context = Context::new(self.place.clock.now());
        context.mfa = true;
        let request = Request::new(Principal::user(by.user.to_string()), asks, resource, context);
        by.is_current && self.access.authorizer.authorize(&self.access.directory, &request).is_allowed
    }

    /// The request as policies see it, without approvals.
    fn bare(&self, request: &JudgedRequest) -> Option<ChangeRequest> {
        let (id, proposal) = (request.filed.id.to_string(), &request.filed.proposal);
        let mut change = ChangeRequest::new(id, request.kind?, "", request.filed.proposed.user.to_string());
        change.targets.clone_from(&proposal.targets);
        Some(change)
    }

    /// The request as policies see it.
    pub(crate) fn change_request(&self, request: &JudgedRequest) -> Option<ChangeRequest> {
        let mut change = self.bare(request)?;
        change.approvals = request.counted.iter().map(|user| user.to_string().as_str().into()).collect();
        change.is_cooled_off = request.state == RequestState::Ready;
        Some(change)
    }
}

fn is_about(request: &JudgedRequest, act: &Act) -> bool {
    let targets = &request.filed.proposal.targets;
    request.kind == Some(act.kind()) && targets.contains(&act.resource().to_string())
}
