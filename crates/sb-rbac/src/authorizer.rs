//! Decides.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use cedar_policy::{Authorizer as Cedar, Effect, EntityUid, PolicySet};

use crate::action::{Action, Group};
use crate::decision::{Decision, Determinant, PolicyFault, PolicyKind, Refusal};
use crate::directory::{Directory, User};
use crate::entities::{Asked, Counts, Kind, ask, uid};
use crate::ids::{ClientId, RoleName, UserId};
use crate::policies::Policies;
use crate::request::Request;
use crate::resource::Resource;
use crate::shipped::{GUARDS, RESERVED, ROLES};
use crate::slice::{Index, Scoped, reaches};

/// What a grant allows: to list, read and restore.
const GRANTED: [Action; 4] =
    [Action::ListSnapshot, Action::ReadDocument, Action::RestoreDocument, Action::RehearseRestore];

/// Lets one user see and restore the documents of one client or snapshot, whatever the user's roles. Guard rails bind as ever.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// By which it is revoked; decisions name it.
    pub id: String,
    /// To whom.
    pub user: UserId,
    /// What.
    pub scope: GrantScope,
}

impl Grant {
    /// A grant.
    pub fn new(id: impl Into<String>, user: impl Into<UserId>, scope: GrantScope) -> Self {
        Self { id: id.into(), user: user.into(), scope }
    }
}

/// What a [`Grant`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrantScope {
    /// All documents of a client.
    Client(ClientId),
    /// All documents of a snapshot.
    Snapshot(String),
}

/// Why something can't be granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// A policy or a grant has that id.
    #[error("there is a policy or a grant `{0}` already")]
    Taken(String),
}

/// Decides requests by the guard rails, what the built-in roles may do, the firm's policies, and grants.
///
/// It can be shared between threads; only granting and revoking change it.
#[derive(Debug)]
pub struct Authorizer {
    index: Index,
    kinds: HashMap<String, PolicyKind>,
    /// Whose principals may approve; `None`: everybody's.
    approving: Vec<Option<EntityUid>>,
    /// How many users of the directory with this stamp may approve.
    counted: Mutex<Option<(u64, usize)>>,
    firm: Policies,
}

impl Authorizer {
    /// An authorizer with a firm's policies, which may be none.
    pub fn new(firm: Policies) -> Self {
        let all = || GUARDS.iter().chain(&ROLES.0).chain(firm.policies());
        let index = Index::new(all(), ROLES.1.first().cloned());
        let kinds = [
            (PolicyKind::GuardRail, &GUARDS[..]),
            (PolicyKind::BuiltIn, &ROLES.0),
            (PolicyKind::Firm, firm.policies()),
        ];
        let kinds = kinds
            .into_iter()
            .flat_map(|(kind, policies)| policies.iter().map(move |policy| (policy.id().to_string(), kind)));
        let kinds = kinds.collect();
        let is_permit = |scoped: &&Scoped| scoped.policy().is_some_and(|policy| policy.effect() == Effect::Permit);
        let permits = index.of_action(Action::ApproveChange).iter().filter(is_permit);
        let approving = permits.map(|scoped| scoped.principal.clone()).collect();
        Self { index, kinds, approving, counted: Mutex::new(None), firm }
    }

    /// The firm's policies that are in force.
    pub fn policies(&self) -> &Policies {
        &self.firm
    }

    /// Grants something until it is revoked.
    ///
    /// # Errors
    /// [`GrantError::Taken`].
    pub fn grant(&mut self, grant: &Grant) -> Result<(), GrantError> {
        if self.kinds.contains_key(&grant.id) || RESERVED.contains(&grant.id) {
            return Err(GrantError::Taken(grant.id.clone()));
        }
        let scope = match &grant.scope {
            GrantScope::Client(client) => uid(Kind::Client, client.as_str()),
            GrantScope::Snapshot(snapshot) => uid(Kind::Snapshot, snapshot),
        };
        self.kinds.insert(grant.id.clone(), PolicyKind::Grant);
        self.index.link(&grant.id, &GRANTED, uid(Kind::User, grant.user.as_str()), scope);
        Ok(())
    }

    /// Revokes a grant. Returns false if there was none of that id.
    pub fn revoke(&mut self, id: &str) -> bool {
        self.index.unlink(id) && self.kinds.remove(id).is_some()
    }

    /// Whether a request is allowed, and by which policies. Who or what is not known is denied; so is everything if a policy that
    /// has a say can't be evaluated.
    pub fn authorize(&self, directory: &Directory, request: &Request) -> Decision {
        self.decide(directory, request, |asked| is_authorized(asked, &self.index.slice(request.action, asked)))
    }

    /// The same with every policy asked and not only those that can have a say: slower, and what [`Self::authorize`] is measured
    /// and tested against.
    pub fn authorize_unsliced(&self, directory: &Directory, request: &Request) -> Decision {
        self.decide(directory, request, |asked| is_authorized(asked, self.index.whole()))
    }

    /// The firm's policies that would permit a request if there were neither guard rails nor built-in permissions, unless others of
    /// the firm's forbid it. Of what an inviolable guard rail forbids there are none; see [`Policies::check`].
    pub fn permitted_by_firm_alone(&self, directory: &Directory, request: &Request) -> Vec<String> {
        let alone = PolicySet::from_policies(self.firm.policies().iter().cloned()).expect("ids are unique");
        let asked = ask(directory, request, || self.counts(directory, request.action));
        let verdict = asked.ok().map(|asked| is_authorized(&asked, &alone)).filter(|verdict| verdict.is_allowed);
        verdict.map_or_else(Vec::new, |verdict| verdict.reasons)
    }

    fn decide(&self, directory: &Directory, request: &Request, evaluate: impl FnOnce(&Asked) -> Verdict) -> Decision {
        let asked = match ask(directory, request, || self.counts(directory, request.action)) {
            Ok(asked) => asked,
            Err(refusal) => return Decision::refused(refusal),
        };
        let verdict = evaluate(&asked);
        let finer = if verdict.is_allowed { self.finer(request, &asked) } else { Vec::new() };
        let errors = verdict.errors;
        let is_allowed = verdict.is_allowed && errors.is_empty() && finer.is_empty();
        let reasons = match (verdict.is_allowed, is_allowed) {
            (true, false) => finer,
            _ => verdict.reasons,
        };
        let mut determined_by: Vec<Determinant> = reasons.into_iter().map(|id| self.determinant(id)).collect();
        determined_by.sort();
        Decision { is_allowed, determined_by, errors, refusal: None }
    }

    fn determinant(&self, id: String) -> Determinant {
        let kind = self.kinds.get(&id).copied().unwrap_or(PolicyKind::Firm);
        Determinant { id, kind }
    }

    /// What forbids some documents of a snapshot to this principal, perhaps: where a snapshot is asked about whole they can't be told
    /// apart.
    fn finer(&self, request: &Request, asked: &Asked) -> Vec<String> {
        if !matches!(request.resource, Resource::Snapshot { .. }) || !request.action.is_in(Group::Read) {
            return Vec::new();
        }
        let finer = self.firm.finer_than_snapshots().filter(|policy| {
            let scoped = Scoped::of(policy);
            let is_elsewhere = |uid: &EntityUid| {
                let kind = Kind::of(uid.type_name());
                !matches!(kind, Some(Kind::Document | Kind::DocumentClass)) && !asked.resources.contains(uid)
            };
            reaches(policy, request.action)
                && scoped.is_about(asked)
                && !scoped.resource.as_ref().is_some_and(is_elsewhere)
        });
        finer.map(|policy| policy.id().to_string()).collect()
    }

    /// How many users there are, and how many a policy lets approve. Only what needs two people has to know the latter.
    fn counts(&self, directory: &Directory, action: Action) -> Counts {
        let approvers = if action.takes_request() { self.approvers(directory) } else { 0 };
        Counts { users: directory.user_count(), approvers }
    }

    /// How many users could approve what others propose, because any policy lets them, whatever its conditions. Fewer than two: a
    /// cooling-off period stands in for approvals.
    pub fn approvers(&self, directory: &Directory) -> usize {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((stamp, approvers)) = *counted
            && stamp == directory.stamp()
        {
            return approvers;
        }
        let is_named =
            |uid: EntityUid| self.approving.iter().any(|named| named.as_ref().is_none_or(|named| *named == uid));
        let may = |role: &RoleName| {
            let closure = directory.closure([role]);
            closure.iter().any(|role| is_named(uid(Kind::Role, role.as_str())))
        };
        let roles: BTreeSet<RoleName> = directory.roles().filter(may).collect();
        let may_approve = |(id, user): &(&UserId, &User)| {
            user.is_active
                && (user.roles.iter().any(|role| roles.contains(role)) || is_named(uid(Kind::User, id.as_str())))
        };
        let approvers = directory.users().filter(may_approve).count();
        *counted = Some((directory.stamp(), approvers));
        approvers
    }
}

/// What a set of policies says.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) is_allowed: bool,
    pub(crate) reasons: Vec<String>,
    pub(crate) errors: Vec<PolicyFault>,
}

pub(crate) fn is_authorized(asked: &Asked, set: &PolicySet) -> Verdict {
    let response = Cedar::new().is_authorized(&asked.request, set, &asked.entities);
    let errors = response.diagnostics().errors().map(|error| {
        let cedar_policy::AuthorizationError::PolicyEvaluationError(fault) = error;
        PolicyFault { policy: fault.policy_id().to_string(), message: fault.inner().to_string() }
    });
    let mut errors: Vec<PolicyFault> = errors.collect();
    errors.sort();
    Verdict {
        is_allowed: response.decision() == cedar_policy::Decision::Allow,
        reasons: response.diagnostics().reason().map(ToString::to_string).collect(),
        errors,
    }
}

impl Decision {
    fn refused(refusal: Refusal) -> Self {
        Self { is_allowed: false, determined_by: Vec::new(), errors: Vec::new(), refusal: Some(refusal) }
    }
}
