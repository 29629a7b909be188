//! Why something is allowed or denied, and what would have to change.
//!
//! What would have to change is found by trying: every suggestion was asked about and turns the answer, and no smaller one within it
//! does.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Duration, Utc};

use crate::authorizer::Authorizer;
use crate::decision::{Decision, PolicyKind};
use crate::directory::Directory;
use crate::guard::GuardRail;
use crate::ids::{ClientId, RoleName, UserId};
use crate::request::{ChangeRequest, Principal, Request, RequestKind};
use crate::resource::Resource;
use crate::role::is_separated;
use crate::shipped;

/// So many changes together at most, and so many suggestions.
const CHANGES_MAX: usize = 3;
const SUGGESTIONS_MAX: usize = 5;

/// Why something is allowed or denied. Its `Display` is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The request.
    pub request: Request,
    /// The answer.
    pub decision: Decision,
    /// What it rests on, in words, in the order of [`Decision::determined_by`].
    pub because: Vec<String>,
    /// What would turn a denial, the least first. Empty if nothing was found.
    pub suggestions: Vec<Suggestion>,
}

/// Changes that together turn a denial.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suggestion {
    /// All of them are needed.
    pub changes: Vec<Change>,
}

/// Something that could be otherwise. Its `Display` continues “it would be allowed with”.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The vault is opened with two factors.
    TwoFactors,
    /// Somebody vouches for the time.
    TrustedClock,
    /// It is done at this time or later.
    Wait(DateTime<Utc>),
    /// It is said until when the document has to be kept, and that is over.
    KnownRetention,
    /// All legal holds on the document are released.
    ReleasedHolds,
    /// A change request of this kind for this target, approved or cooled off as need be.
    ApprovedRequest(RequestKind, String),
    /// So many approvals of the change request more, by others than who has proposed it.
    Approvals(usize, UserId),
    /// The change request's cooling-off period is over.
    CoolingOff,
    /// Somebody other than this user does it.
    SomebodyElse(UserId),
    /// The user is unlocked.
    Unlock,
    /// The user's access ends later.
    LongerAccess,
    /// The user works for the client.
    Client(ClientId),
    /// There is no conflict wall between the user and the client.
    NoWall(ClientId),
    /// The principal has the role.
    Role(RoleName),
    /// The principal does not have the role.
    WithoutRole(RoleName),
    /// The role is not given, or is taken first.
    NotGiving(RoleName),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoFactors => f.write_str("the vault opened with key file and passphrase together"),
            Self::TrustedClock => f.write_str("a time that somebody vouches for"),
            Self::Wait(time) => write!(f, "waiting until {}", time.to_rfc3339()),
            Self::KnownRetention => f.write_str("a known end of its retention that has passed"),
            Self::ReleasedHolds => f.write_str("all its legal holds released"),
            Self::ApprovedRequest(kind, target) => {
                write!(f, "a change request to `{}` {target}, approved or cooled off", kind.name())
            }
            Self::Approvals(1, user) => write!(f, "an approval by somebody other than {user}"),
            Self::Approvals(count, user) => write!(f, "{count} approvals by others than {user}"),
            Self::CoolingOff => f.write_str("the request's cooling-off period over"),
            Self::SomebodyElse(user) => write!(f, "somebody other than {user} to do it"),
            Self::Unlock => f.write_str("the user unlocked"),
            Self::LongerAccess => f.write_str("access that ends later"),
            Self::Client(client) => write!(f, "work for client {client}"),
            Self::NoWall(client) => write!(f, "no conflict wall to client {client}"),
            Self::Role(role) => write!(f, "role {role}"),
            Self::WithoutRole(role) => write!(f, "role {role} taken away"),
            Self::NotGiving(role) => write!(f, "role {role} not given"),
        }
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: Vec<String> = self.changes.iter().map(ToString::to_string).collect();
        f.write_str(&changes.join(", and "))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request { principal, action, resource, .. } = &self.request;
        let may = if self.decision.is_allowed { "may" } else { "may not" };
        write!(f, "{principal} {may} {} ({resource}): {}", action.words(), self.because.join("; "))?;
        for (place, suggestion) in self.suggestions.iter().enumerate() {
            let start = if place == 0 { "it would be allowed with" } else { "or with" };
            write!(f, "\n{start} {suggestion}")?;
        }
        Ok(())
    }
}

impl Authorizer {
    /// Why a request is allowed or denied, and what would have to change for it to be allowed.
    pub fn explain(&self, directory: &Directory, request: &Request) -> Explanation {
        let decision = self.authorize(directory, request);
        let suggestions = match decision.is_allowed || decision.refusal.is_some() {
            true => Vec::new(),
            false => self.suggestions(directory, request),
        };
        let because = self.because(&decision);
        Explanation { request: request.clone(), decision, because, suggestions }
    }

    fn because(&self, decision: &Decision) -> Vec<String> {
        if let Some(refusal) = &decision.refusal {
            return vec![refusal.to_string()];
        }
        if !decision.errors.is_empty() {
            let errors = decision.errors.iter();
            let errors =
                errors.map(|error| format!("policy `{}` cannot be evaluated: {}", error.policy, error.message));
            return errors.collect();
        }
        if decision.determined_by.is_empty() {
            return vec!["no role and no policy permits it".to_owned()];
        }
        let words = decision.determined_by.iter().map(|determinant| {
            let id = determinant.id.as_str();
            match determinant.kind {
                PolicyKind::GuardRail => GuardRail::named(id).map_or(id, |rail| rail.words).to_owned(),
                PolicyKind::BuiltIn => shipped::words(id).unwrap_or(id).to_owned(),
                PolicyKind::Grant => format!("grant `{id}`"),
                PolicyKind::Firm => match self.policies().words(id) {
                    Some(words) => format!("{words} (policy `{id}`)"),
                    None => format!("policy `{id}`"),
                },
            }
        });
        words.collect()
    }

    fn suggestions(&self, directory: &Directory, request: &Request) -> Vec<Suggestion> {
        let changes = changes(directory, request);
        let mut trial = Trial { directory: directory.clone(), before: directory, request };
        let mut found: Vec<Vec<usize>> = Vec::new();
        for size in 1..=CHANGES_MAX.min(changes.len()) {
            for chosen in subsets(changes.len(), size) {
                let has_smaller = found.iter().any(|smaller| smaller.iter().all(|place| chosen.contains(place)));
                if found.len() == SUGGESTIONS_MAX || has_smaller {
                    continue;
                }
                let tried: Vec<&Change> = chosen.iter().map(|place| &changes[*place]).collect();
                if trial.allows(self, &tried) {
                    found.push(chosen);
                }
            }
        }
        let suggestion =
            |chosen: Vec<usize>| Suggestion { changes: chosen.iter().map(|place| changes[*place].clone()).collect() };
        found.into_iter().map(suggestion).collect()
    }
}

/// All choices of so many of the first numbers, in order.
fn subsets(of: usize, size: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..size {
        let longer = |chosen: &Vec<usize>| {
            let chosen = chosen.clone();
            let first = chosen.last().map_or(0, |last| last + 1);
            (first..of).map(move |next| [chosen.as_slice(), &[next]].concat())
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// What could be otherwise, what is easiest first.
fn changes(directory: &Directory, request: &Request) -> Vec<Change> {
    let mut all = Vec::new();
    if !request.context.mfa {
        all.push(Change::TwoFactors);
    }
    all.extend(of_resource(request));
    all.extend(of_request(directory, request));
    all.extend(of_principal(directory, request));
    all
}

fn of_resource(request: &Request) -> Vec<Change> {
    let mut all = Vec::new();
    match &request.resource {
        Resource::Document(document) => {
            if !request.context.clock_trusted {
                all.push(Change::TrustedClock);
            }
            match document.retain_until {
                None => all.push(Change::KnownRetention),
                Some(until) if until > request.context.now => all.push(Change::Wait(until)),
                Some(_) => {}
            }
            if document.holds > 0 {
                all.push(Change::ReleasedHolds);
            }
        }
        Resource::Request(change) => {
            if let Principal::User(user) = &request.principal
                && (change.proposed_by == *user || change.approvals.contains(user))
            {
                all.push(Change::SomebodyElse(user.clone()));
            }
        }
        Resource::Roles { after, .. } => all.extend(after.iter().cloned().map(Change::NotGiving)),
        _ => {}
    }
    all
}

fn of_request(directory: &Directory, request: &Request) -> Vec<Change> {
    let Some(kind) = RequestKind::of(request.action) else {
        return Vec::new();
    };
    let target = request.resource.to_string();
    let right = |change: &&ChangeRequest| change.kind == kind && change.targets.contains(&target);
    let Some(change) = request.context.request.as_ref().filter(right) else {
        return vec![Change::ApprovedRequest(kind, target)];
    };
    let counts = |user: &&UserId| **user != change.proposed_by && directory.has_user(user);
    let have = change.approvals.iter().filter(counts).count();
    let needed = usize::try_from(change.required.max(1)).unwrap_or(usize::MAX);
    let mut all = Vec::new();
    if have < needed {
        all.push(Change::Approvals(needed - have, change.proposed_by.clone()));
    }
    if !change.is_cooled_off {
        all.push(Change::CoolingOff);
    }
    all
}

fn of_principal(directory: &Directory, request: &Request) -> Vec<Change> {
    let mut all = Vec::new();
    let (roles, is_active) = match &request.principal {
        Principal::User(id) => {
            let Some(user) = directory.user(id) else {
                return all;
            };
            if let Some(client) = request.resource.client() {
                all.extend((!user.clients.contains(client)).then(|| Change::Client(client.clone())));
                all.extend(user.walled_off.contains(client).then(|| Change::NoWall(client.clone())));
            }
            if user.access_until.is_none_or(|until| until <= request.context.now) {
                all.push(Change::LongerAccess);
            }
            (&user.roles, user.is_active)
        }
        Principal::Service(id) => match directory.service(id) {
            Some(service) => (&service.roles, service.is_active),
            None => return all,
        },
    };
    if !is_active {
        all.push(Change::Unlock);
    }
    all.extend(roles.iter().cloned().map(Change::WithoutRole));
    all.extend(directory.roles().filter(|role| !roles.contains(role)).map(Change::Role));
    all
}

/// A directory in which only the principal is ever changed, and set back.
struct Trial<'a> {
    directory: Directory,
    before: &'a Directory,
    request: &'a Request,
}

impl Trial<'_> {
    fn allows(&mut self, authorizer: &Authorizer, changes: &[&Change]) -> bool {
        let mut request = self.request.clone();
        for change in changes {
            self.apply(change, &mut request);
        }
        // Nobody could be given roles together that check each other.
        let fits = self.is_separated(self.before) || !self.is_separated(&self.directory);
        let is_allowed = fits && authorizer.authorize(&self.directory, &request).is_allowed;
        match &request.principal {
            Principal::User(id) => {
                if let Some(user) = self.before.user(id) {
                    self.directory.set_user(id.clone(), user.clone());
                }
            }
            Principal::Service(id) => {
                if let Some(service) = self.before.service(id) {
                    self.directory.set_service(id.clone(), service.clone());
                }
            }
        }
        is_allowed
    }

    fn is_separated(&self, directory: &Directory) -> bool {
        let roles = match &self.request.principal {
            Principal::User(id) => directory.user(id).map(|user| &user.roles),
            Principal::Service(id) => directory.service(id).map(|service| &service.roles),
        };
        roles.is_some_and(|roles| is_separated(&directory.closure(roles)))
    }

    fn apply(&mut self, change: &Change, request: &mut Request) {
        let now = request.context.now;
        match change {
            Change::TwoFactors => request.context.mfa = true,
            Change::TrustedClock => request.context.clock_trusted = true,
            Change::Wait(until) => request.context.now = *until,
            Change::KnownRetention => with_document(request, |document| document.retain_until = Some(now)),
            Change::ReleasedHolds => with_document(request, |document| document.holds = 0),
            Change::ApprovedRequest(kind, target) => {
                request.context.request = Some(self.approved(*kind, target));
            }
            Change::Approvals(count, proposer) => {
                let others = self.before.users().map(|(id, _)| id).filter(|user| *user != proposer);
                if let Some(change) = &mut request.context.request {
                    let new: Vec<UserId> =
                        others.filter(|user| !change.approvals.contains(*user)).take(*count).cloned().collect();
                    change.approvals.extend(new);
                }
            }
            Change::CoolingOff => {
                if let Some(change) = &mut request.context.request {
                    change.is_cooled_off = true;
                }
            }
            Change::SomebodyElse(user) => {
                if let Resource::Request(change) = &mut request.resource {
                    change.approvals.remove(user);
                    if change.proposed_by == *user {
                        change.proposed_by = "somebody else".into();
                    }
                }
            }
            Change::NotGiving(role) => {
                if let Resource::Roles { after, .. } = &mut request.resource {
                    after.remove(role);
                }
            }
            _ => self.apply_to_principal(change, request),
        }
    }

    fn apply_to_principal(&mut self, change: &Change, request: &Request) {
        let later = request.context.now + Duration::days(1);
        match &request.principal {
            Principal::User(id) => {
                if let Some(user) = self.directory.user_mut(id) {
                    match change {
                        Change::Unlock => user.is_active = true,
                        Change::LongerAccess => user.access_until = Some(later),
                        Change::Client(client) => user.clients.extend([client.clone()]),
                        Change::NoWall(client) => user.walled_off.retain(|walled| walled != client),
                        _ => turn_role(&mut user.roles, change),
                    }
                }
            }
            Principal::Service(id) => {
                if let Some(service) = self.directory.service_mut(id) {
                    match change {
                        Change::Unlock => service.is_active = true,
                        _ => turn_role(&mut service.roles, change),
                    }
                }
            }
        }
    }

    /// A request like this that nothing is missing of: approved where somebody else is there, and cooled off.
    fn approved(&self, kind: RequestKind, target: &str) -> ChangeRequest {
        let asker = match &self.request.principal {
            Principal::User(id) => id.clone(),
            Principal::Service(_) => UserId::from("somebody else"),
        };
        let mut change = ChangeRequest::new("to be made", kind, target, asker.clone());
        change.approvals.extend(self.before.users().map(|(id, _)| id).find(|user| **user != asker).cloned());
        change.is_cooled_off = true;
        change
    }
}

fn turn_role(roles: &mut BTreeSet<RoleName>, change: &Change) {
    match change {
        Change::Role(role) => roles.extend([role.clone()]),
        Change::WithoutRole(role) => roles.retain(|held| held != role),
        _ => {}
    }
}

fn with_document(request: &mut Request, change: impl FnOnce(&mut crate::resource::Document)) {
    if let Resource::Document(document) = &mut request.resource {
        change(document);
    }
}
