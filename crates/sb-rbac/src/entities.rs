//! A request and what it is about, as Cedar sees them: the principal, the resource and the change request, with everything above
//! them. Policies look one step deep, so nothing else is needed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request as Asking, RestrictedExpression as Value,
};
use chrono::{DateTime, Duration, Utc};

use crate::decision::Refusal;
use crate::directory::{Directory, User};
use crate::ids::{ClientId, RoleName, UserId};
use crate::request::{ChangeRequest, Principal, Request};
use crate::resource::{Document, Resource, RetentionMode};
use crate::shipped::{Applies, applies};

/// Types of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[rustfmt::skip]
pub(crate) enum Kind {
    User, Service, Role, Vault, Client, DocumentClass, Snapshot, Document, Policy, LegalHold, Report, Certificate, AuditLog,
    Slot, Key, PolicySet, ChangeRequest, Action,
}

const KINDS: [(Kind, &str); 18] = [
    (Kind::User, "SB::User"),
    (Kind::Service, "SB::Service"),
    (Kind::Role, "SB::Role"),
    (Kind::Vault, "SB::Vault"),
    (Kind::Client, "SB::Client"),
    (Kind::DocumentClass, "SB::DocumentClass"),
    (Kind::Snapshot, "SB::Snapshot"),
    (Kind::Document, "SB::Document"),
    (Kind::Policy, "SB::Policy"),
    (Kind::LegalHold, "SB::LegalHold"),
    (Kind::Report, "SB::Report"),
    (Kind::Certificate, "SB::Certificate"),
    (Kind::AuditLog, "SB::AuditLog"),
    (Kind::Slot, "SB::Slot"),
    (Kind::Key, "SB::Key"),
    (Kind::PolicySet, "SB::PolicySet"),
    (Kind::ChangeRequest, "SB::ChangeRequest"),
    (Kind::Action, "SB::Action"),
];

static TYPES: LazyLock<Vec<EntityTypeName>> = LazyLock::new(|| {
    KINDS.iter().map(|(_, name)| EntityTypeName::from_str(name).expect("it is written as one")).collect()
});

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        KINDS[self as usize].1
    }

    pub(crate) fn of(name: &EntityTypeName) -> Option<Self> {
        KINDS.iter().zip(TYPES.iter()).find(|(_, known)| *known == name).map(|((kind, _), _)| *kind)
    }
}

pub(crate) fn uid(kind: Kind, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(TYPES[kind as usize].clone(), EntityId::new(id))
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Users of the vault, locked ones too.
    pub(crate) users: usize,
    /// Users who could approve.
    pub(crate) approvers: usize,
}

/// A request that policies can be asked about.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Asking,
    pub(crate) entities: Entities,
    /// All that a policy's scope can name of the principal: itself and its roles.
    pub(crate) principals: Vec<EntityUid>,
    /// And of the resource: itself and what it lies in.
    pub(crate) resources: Vec<EntityUid>,
}

/// # Errors
/// What is not known, or can't be done to such a thing by anybody.
pub(crate) fn ask(directory: &Directory, request: &Request, counts: impl FnOnce() -> Counts) -> Result<Asked, Refusal> {
    let (principal, roles, is_active) = match &request.principal {
        Principal::User(id) => {
            let user = directory.user(id).ok_or_else(|| Refusal::NoSuchUser(id.clone()))?;
            (uid(Kind::User, id.as_str()), &user.roles, user.is_active)
        }
        Principal::Service(id) => {
            let service = directory.service(id).ok_or_else(|| Refusal::NoSuchService(id.clone()))?;
            (uid(Kind::Service, id.as_str()), &service.roles, service.is_active)
        }
    };
    let applies = applies(request.action);
    let resource = resource_uid(&request.resource);
    let fits = |kinds: &[Kind], uid: &EntityUid| Kind::of(uid.type_name()).is_some_and(|kind| kinds.contains(&kind));
    if !fits(&applies.principals, &principal) || !fits(&applies.resources, &resource) {
        return Err(Refusal::NoSuchAct);
    }
    if let Some(client) = request.resource.client().filter(|client| !directory.has_client(client)) {
        return Err(Refusal::NoSuchClient(client.clone()));
    }

    let change = request.context.request.as_ref().filter(|_| request.action.takes_request());
    let bound = change.filter(|change| change.targets.contains(&request.resource.to_string()));
    let parents = role_uids(directory, roles);
    let mut principals = vec![principal.clone()];
    principals.extend(parents.iter().cloned());

    let mut entities = Vec::with_capacity(3);
    match &request.principal {
        Principal::User(id) => {
            let user = directory.user(id).ok_or_else(|| Refusal::NoSuchUser(id.clone()))?;
            // One entity is both who asks and what it is about.
            let bound = bound.filter(|_| principal == resource);
            entities.push(user_entity(principal.clone(), user, parents, bound)?);
        }
        Principal::Service(_) => {
            let attributes = HashMap::from([("active".to_owned(), Value::new_bool(is_active))]);
            entities.push(entity(principal.clone(), attributes, parents)?);
        }
    }
    let mut resources = vec![resource.clone()];
    if resource != principal {
        let (attributes, parents) = match &request.resource {
            Resource::User(id) | Resource::Roles { user: id, .. } => {
                let user = directory.user(id).ok_or_else(|| Refusal::NoSuchUser(id.clone()))?;
                let parents = role_uids(directory, &user.roles);
                (user_attributes(user, bound), parents)
            }
            Resource::Request(change) => (change_attributes(directory, change), HashSet::from([vault()])),
            other => (attributes(other, bound), parents_of(other)),
        };
        resources.extend(parents.iter().cloned());
        entities.push(entity(resource.clone(), attributes, parents)?);
    }
    if let Some(change) = change {
        let attributes = change_attributes(directory, change);
        entities.push(entity(change_uid(change), attributes, HashSet::from([vault()]))?);
    }
    let context = context(directory, request, change, counts)?;
    let entities = applies.entities.clone().add_entities(entities, None).map_err(|error| inexpressible(&error))?;
    let asking = asking(applies, principal, resource, context)?;
    Ok(Asked { request: asking, entities, principals, resources })
}

fn asking(applies: &Applies, principal: EntityUid, resource: EntityUid, context: Context) -> Result<Asking, Refusal> {
    Asking::new(principal, applies.uid.clone(), resource, context, None).map_err(|error| inexpressible(&error))
}

fn context(
    directory: &Directory,
    request: &Request,
    change: Option<&ChangeRequest>,
    counts: impl FnOnce() -> Counts,
) -> Result<Context, Refusal> {
    let given = &request.context;
    let mut pairs = vec![
        ("mfa".to_owned(), Value::new_bool(given.mfa)),
        ("now".to_owned(), time(given.now, false)),
        ("clockTrusted".to_owned(), Value::new_bool(given.clock_trusted)),
    ];
    let counts = counts();
    pairs.push(("users".to_owned(), number(counts.users)));
    if request.action.takes_request() {
        pairs.push(("approvers".to_owned(), number(counts.approvers)));
    }
    if let Some(change) = change {
        pairs.push(("request".to_owned(), Value::new_entity_uid(change_uid(change))));
    }
    if let Resource::Roles { after, .. } = &request.resource {
        if let Some(unknown) = after.iter().find(|role| directory.role(role).is_none()) {
            return Err(Refusal::NoSuchRole((*unknown).clone()));
        }
        let roles = role_uids(directory, after).into_iter().map(Value::new_entity_uid);
        pairs.push(("resultingRoles".to_owned(), Value::new_set(roles)));
    }
    Context::from_pairs(pairs).map_err(|error| inexpressible(&error))
}

fn role_uids(directory: &Directory, roles: &BTreeSet<RoleName>) -> HashSet<EntityUid> {
    directory.closure(roles).iter().map(|role| uid(Kind::Role, role.as_str())).collect()
}

fn vault() -> EntityUid {
    uid(Kind::Vault, "vault")
}

fn change_uid(change: &ChangeRequest) -> EntityUid {
    uid(Kind::ChangeRequest, &change.id)
}

fn resource_uid(resource: &Resource) -> EntityUid {
    match resource {
        Resource::Vault => vault(),
        Resource::Client(id) => uid(Kind::Client, id.as_str()),
        Resource::Snapshot { id, .. } => uid(Kind::Snapshot, id),
        Resource::Document(document) => uid(Kind::Document, &document.id),
        Resource::Retention { id, .. } => uid(Kind::Policy, id),
        Resource::Hold { id, .. } => uid(Kind::LegalHold, id),
        Resource::Report { id, .. } => uid(Kind::Report, id),
        Resource::Certificate { id, .. } => uid(Kind::Certificate, id),
        Resource::Log(id) => uid(Kind::AuditLog, id),
        Resource::Slot { id, .. } => uid(Kind::Slot, id),
        Resource::Key(id) => uid(Kind::Key, id),
        Resource::User(id) | Resource::Roles { user: id, .. } => uid(Kind::User, id.as_str()),
        Resource::Policies(id) => uid(Kind::PolicySet, id),
        Resource::Request(change) => change_uid(change),
    }
}

fn parents_of(resource: &Resource) -> HashSet<EntityUid> {
    let mut parents = HashSet::new();
    if *resource != Resource::Vault {
        parents.insert(vault());
    }
    if let Some(client) = resource.client().filter(|_| !matches!(resource, Resource::Client(_))) {
        parents.insert(uid(Kind::Client, client.as_str()));
    }
    if let Resource::Document(document) = resource {
        parents.extend(document.snapshot.iter().map(|snapshot| uid(Kind::Snapshot, snapshot)));
        parents.extend(document.classes.iter().map(|class| uid(Kind::DocumentClass, class)));
    }
    parents
}

type Attributes = HashMap<String, Value>;

fn attributes(resource: &Resource, bound: Option<&ChangeRequest>) -> Attributes {
    let mut attributes = Attributes::new();
    let mut set = |name: &str, value| {
        attributes.insert(name.to_owned(), value);
    };
    match resource {
        Resource::Document(Document { client, retain_until, holds, .. }) => {
            set("client", client_value(client));
            set("holds", Value::new_long(i64::from(*holds)));
            if let Some(until) = retain_until {
                set("retainUntil", time(*until, true));
            }
        }
        Resource::Retention { mode, .. } => {
            let mode = match mode {
                RetentionMode::Governance => "governance",
                RetentionMode::Compliance => "compliance",
            };
            set("mode", Value::new_string(mode.to_owned()));
        }
        Resource::Hold { placed_by, .. } => set("placedBy", user_value(placed_by)),
        Resource::Report { author: Some(author), .. } => set("author", user_value(author)),
        Resource::Slot { owner, .. } => set("owner", user_value(owner)),
        _ => {}
    }
    let takes = matches!(
        resource,
        Resource::Document(_)
            | Resource::Retention { .. }
            | Resource::Hold { .. }
            | Resource::Key(_)
            | Resource::Policies(_)
    );
    if let Some(change) = bound.filter(|_| takes) {
        set("request", Value::new_entity_uid(change_uid(change)));
    }
    attributes
}

fn change_attributes(directory: &Directory, change: &ChangeRequest) -> Attributes {
    let counts = |user: &&UserId| **user != change.proposed_by && directory.has_user(user);
    let approvals = change.approvals.iter().map(user_value);
    HashMap::from([
        ("kind".to_owned(), Value::new_string(change.kind.name().to_owned())),
        ("proposedBy".to_owned(), user_value(&change.proposed_by)),
        ("approvals".to_owned(), Value::new_set(approvals)),
        ("distinctApprovals".to_owned(), number(change.approvals.iter().filter(counts).count())),
        ("required".to_owned(), Value::new_long(i64::from(change.required))),
        ("cooledOff".to_owned(), Value::new_bool(change.is_cooled_off)),
    ])
}

fn user_attributes(user: &User, bound: Option<&ChangeRequest>) -> Attributes {
    let mut attributes = HashMap::from([
        ("active".to_owned(), Value::new_bool(user.is_active)),
        ("clients".to_owned(), Value::new_set(user.clients.iter().map(client_value))),
        ("walledOff".to_owned(), Value::new_set(user.walled_off.iter().map(client_value))),
    ]);
    if let Some(until) = user.access_until {
        attributes.insert("accessUntil".to_owned(), time(until, false));
    }
    if let Some(change) = bound {
        attributes.insert("request".to_owned(), Value::new_entity_uid(change_uid(change)));
    }
    attributes
}

fn user_entity(
    uid: EntityUid,
    user: &User,
    parents: HashSet<EntityUid>,
    bound: Option<&ChangeRequest>,
) -> Result<Entity, Refusal> {
    entity(uid, user_attributes(user, bound), parents)
}

fn entity(uid: EntityUid, attributes: Attributes, parents: HashSet<EntityUid>) -> Result<Entity, Refusal> {
    Entity::new(uid, attributes, parents).map_err(|error| inexpressible(&error))
}

fn client_value(id: &ClientId) -> Value {
    Value::new_entity_uid(uid(Kind::Client, id.as_str()))
}

fn user_value(id: &UserId) -> Value {
    Value::new_entity_uid(uid(Kind::User, id.as_str()))
}

fn number(count: usize) -> Value {
    Value::new_long(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A time in milliseconds, which is as fine as Cedar has them, and of the years it can write. What ends a protection is rounded up,
/// so that it never ends early.
fn time(time: DateTime<Utc>, is_rounded_up: bool) -> Value {
    let up = if is_rounded_up && !time.timestamp_subsec_nanos().is_multiple_of(1_000_000) { 1 } else { 0 };
    let time = time + Duration::milliseconds(up);
    let (first, last) = (-62_167_219_200_000, 253_402_300_799_999);
    let time = DateTime::from_timestamp_millis(time.timestamp_millis().clamp(first, last)).unwrap_or(time);
    Value::new_datetime(time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

fn inexpressible(error: &dyn std::error::Error) -> Refusal {
    Refusal::Inexpressible(error.to_string())
}
