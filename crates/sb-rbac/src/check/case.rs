//! One request of the search, and the firm it could happen in.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};

use super::knobs::Setting;
use crate::action::Action;
use crate::directory::{Directory, Service, User};
use crate::entities::{Counts, Kind};
use crate::ids::{ClientId, RoleName, UserId};
use crate::mentions::Mentions;
use crate::request::{ChangeRequest, Context, Principal, Request, RequestKind};
use crate::resource::{Document, Resource, RetentionMode};

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) roles: Vec<RoleName>,
}

/// Names that no policy mentions, so that they stand for everybody and everything else.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Who has proposed.
    pub(crate) proposer: String,
    /// Who else is there to approve.
    pub(crate) others: Vec<String>,
    pub(crate) client: String,
}

impl Names {
    fn new(mentions: &Mentions) -> Self {
        Self {
            proposer: fresh(mentions, Kind::User, "u_2"),
            others: ["u_3", "u_4", "u_5", "u_6", "u_7"].map(|name| fresh(mentions, Kind::User, name)).to_vec(),
            client: fresh(mentions, Kind::Client, "c_1"),
        }
    }
}

/// A name like this that is not mentioned.
pub(crate) fn fresh(mentions: &Mentions, kind: Kind, name: &str) -> String {
    let mut name = name.to_owned();
    while mentions.ids(kind.name()).any(|mentioned| mentioned == name) {
        name.push('0');
    }
    name
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) names: Names,
    pub(crate) directory: Directory,
    pub(crate) counts: Counts,
    pub(crate) principal: Principal,
    /// How many roles the principal was assigned.
    pub(crate) roles: usize,
    who: String,
    action: Action,
    pub(crate) kind: Kind,
    pub(crate) resource: Resource,
    pub(crate) context: Context,
    pub(crate) change: ChangeRequest,
    pub(crate) has_change: bool,
    pub(crate) is_bound: bool,
    /// What is not as it should be.
    told: Vec<String>,
}

/// When it is.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

impl Case {
    /// A request for something of a kind that no guard rail forbids, but for what roles the principal has.
    pub(crate) fn new(action: Action, kind: Kind, who: &Who, directory: &Directory, mentions: &Mentions) -> Self {
        let names = Names::new(mentions);
        let mut firm = directory.emptied();
        for client in mentions.ids(Kind::Client.name()).chain([names.client.as_str()]) {
            firm.add_client(client);
        }
        for user in mentions
            .ids(Kind::User.name())
            .chain([names.proposer.as_str()])
            .chain(names.others.iter().map(String::as_str))
        {
            firm.set_user(user, User::new(Vec::<RoleName>::new()));
        }
        let principal = match who.kind {
            Kind::Service => {
                firm.set_service(who.id.as_str(), Service::new(who.roles.iter().cloned()));
                Principal::service(who.id.as_str())
            }
            _ => {
                let mut user = User::new(who.roles.iter().cloned()).working_for([names.client.as_str()]);
                user.access_until = Some(now() + Duration::days(1));
                firm.set_user(who.id.as_str(), user);
                Principal::user(who.id.as_str())
            }
        };
        let mut context = Context::new(now());
        (context.mfa, context.clock_trusted) = (true, true);
        let roles: Vec<&str> = who.roles.iter().map(RoleName::as_str).collect();
        let roles =
            if roles.is_empty() { "without any role".to_owned() } else { format!("in role {}", roles.join(" and ")) };
        Self {
            directory: firm,
            counts: Counts { users: 3, approvers: 2 },
            who: format!("{principal}, {roles},"),
            roles: who.roles.len(),
            principal,
            action,
            resource: resource(kind, action, mentions, &names),
            kind,
            context,
            change: ChangeRequest::new(
                fresh(mentions, Kind::ChangeRequest, "r_1"),
                RequestKind::of(action).unwrap_or(RequestKind::Dispose),
                "",
                names.proposer.as_str(),
            )
            .approved_by(names.others[0].as_str()),
            has_change: true,
            is_bound: true,
            told: Vec::new(),
            names,
        }
    }

    /// The case with something set otherwise.
    pub(crate) fn turned(&self, setting: &Setting) -> Self {
        let mut case = self.clone();
        (setting.apply)(&mut case);
        case.told.extend(setting.words.clone());
        case
    }

    pub(crate) fn user(&mut self) -> Option<&mut User> {
        match &self.principal {
            Principal::User(id) => self.directory.user_mut(id),
            Principal::Service(_) => None,
        }
    }

    /// The user who asks, or one who could.
    pub(crate) fn asker(&self) -> UserId {
        match &self.principal {
            Principal::User(id) => id.clone(),
            Principal::Service(id) => id.as_str().into(),
        }
    }

    pub(crate) fn set_client(&mut self, client: &str) {
        match &mut self.resource {
            Resource::Client(id) | Resource::Snapshot { client: id, .. } | Resource::Hold { client: id, .. } => {
                *id = ClientId::from(client);
            }
            Resource::Document(document) => document.client = client.into(),
            Resource::Report { client: id, .. } | Resource::Certificate { client: id, .. } => *id = Some(client.into()),
            _ => {}
        }
    }

    pub(crate) fn set_id(&mut self, new: &str) {
        match &mut self.resource {
            Resource::Snapshot { id, .. }
            | Resource::Retention { id, .. }
            | Resource::Hold { id, .. }
            | Resource::Report { id, .. }
            | Resource::Certificate { id, .. }
            | Resource::Slot { id, .. }
            | Resource::Log(id)
            | Resource::Key(id)
            | Resource::Policies(id) => *id = new.to_owned(),
            Resource::Document(document) => document.id = new.to_owned(),
            Resource::User(id) | Resource::Roles { user: id, .. } => *id = new.into(),
            Resource::Request(_) => self.change.id = new.to_owned(),
            Resource::Vault | Resource::Client(_) => {}
        }
    }

    pub(crate) fn request(&self) -> Request {
        let mut change = self.change.clone();
        let resource = match &self.resource {
            Resource::Request(_) => Resource::Request(change.clone()),
            other => other.clone(),
        };
        change.targets = [if self.is_bound { resource.to_string() } else { "document:another".to_owned() }].into();
        let mut context = self.context.clone();
        context.request = Some(change).filter(|_| self.has_change && self.action.takes_request());
        Request::new(self.principal.clone(), self.action, resource, context)
    }

    pub(crate) fn words(&self) -> String {
        let told = if self.told.is_empty() { String::new() } else { format!(", though {}", self.told.join(" and ")) };
        format!("{} to {} ({}){told}", self.who, self.action.words(), self.resource)
    }
}

fn resource(kind: Kind, action: Action, mentions: &Mentions, names: &Names) -> Resource {
    let (client, other) = (ClientId::from(names.client.as_str()), UserId::from(names.others[4].as_str()));
    let id = |name: &str| fresh(mentions, kind, name);
    match kind {
        Kind::Client => Resource::Client(client),
        Kind::Snapshot => Resource::Snapshot { id: id("s_1"), client },
        Kind::Document => {
            let mut document = Document::new(id("d_1"), client);
            document.retain_until = Some(now() - Duration::days(1));
            Resource::Document(document)
        }
        Kind::Policy => Resource::Retention { id: id("p_1"), mode: RetentionMode::Governance },
        Kind::LegalHold => Resource::Hold { id: id("h_1"), client, placed_by: other },
        Kind::Report => Resource::Report { id: id("r_1"), client: Some(client), author: None },
        Kind::Certificate => Resource::Certificate { id: id("z_1"), client: Some(client) },
        Kind::AuditLog => Resource::Log(id("l_1")),
        Kind::Slot => Resource::Slot { id: id("k_1"), owner: other },
        Kind::Key => Resource::Key(id("k_1")),
        Kind::User if action == Action::AssignRole => Resource::Roles { user: other, after: BTreeSet::new() },
        Kind::User => Resource::User(other),
        Kind::PolicySet => Resource::Policies(id("p_1")),
        Kind::ChangeRequest => {
            Resource::Request(ChangeRequest::new(id("r_1"), RequestKind::Dispose, "", names.proposer.as_str()))
        }
        _ => Resource::Vault,
    }
}
