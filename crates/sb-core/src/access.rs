//! Asking whether something may be done, before it is.
//!
//! Keys decide what somebody can read whatever this module says; it decides what keys can't express, and says why. Every operation asks
//! by way of [`record`](crate::record), which writes down nothing that was not asked for.

use sb_rbac::{
    Action, Authorizer, ChangeRequest, Context, Decision, Directory, Policies, Principal, Request, Resource, Role, User,
};
use sb_repo::{KeySet, Member, RepoError, Roll, UserId, VaultId};

use crate::error::CoreError;
use crate::session::Session;

/// The client of all documents, as long as a vault has one compartment.
pub(crate) const CLIENT: &str = "default";

/// What an operation is called in the log, and by policies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deed {
    pub(crate) logged: &'static str,
    pub(crate) asks: Action,
}

/// An operation that the log calls this, and that policies call that.
pub(crate) const fn deed(logged: &'static str, asks: Action) -> Deed {
    Deed { logged, asks }
}

/// Who asks, and what is known of who may do what.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) directory: Directory,
    pub(crate) authorizer: Authorizer,
    /// The vault was opened with two factors.
    pub(crate) mfa: bool,
}

impl Access {
    /// As the vault's roll says.
    pub(crate) fn of(vault: &sb_repo::Vault) -> Result<Self, CoreError> {
        let roll = match vault.current_roll() {
            Ok(roll) => roll,
            // Who has all keys must be able to restore, whatever is damaged.
            Err(RepoError::Damaged { .. }) if vault.key_set() == KeySet::ALL => Roll::of_owner(vault.user()),
            Err(error) => return Err(error.into()),
        };
        let directory = directory(&roll)?;
        let policies = match roll.policies.as_deref().map(|text| Policies::check(text, &directory)).transpose() {
            // Or nobody could ever put better ones into force.
            Err(_) if vault.key_set() == KeySet::ALL => None,
            policies => policies?,
        };
        let authorizer = Authorizer::new(policies.unwrap_or_else(Policies::none));
        Ok(Self { directory, authorizer, mfa: vault.is_opened_by_two() })
    }
}

/// What the roll says, as policies see it.
pub(crate) fn directory(roll: &Roll) -> Result<Directory, CoreError> {
    let mut directory = Directory::new();
    directory.add_client(CLIENT);
    for (name, includes) in &roll.roles {
        directory.define_role(name.as_str(), includes.iter().filter_map(|role| Role::named(role)))?;
    }
    for member in &roll.members {
        for client in member.clients.iter().chain(&member.walled_off) {
            directory.add_client(client.as_str());
        }
        directory.set_user(member.user.to_string(), user(member));
    }
    Ok(directory)
}

fn user(member: &Member) -> User {
    let mut user = User::new(member.roles.iter().map(String::as_str)).working_for(member.clients.iter().cloned());
    user.is_active = member.active;
    user.walled_off = member.walled_off.iter().map(|client| client.as_str().into()).collect();
    user.access_until = member.access_until;
    user
}

/// The keys that somebody with these roles needs.
pub(crate) fn keys_of(roles: &[String], roll: &Roll) -> KeySet {
    let built_in = |name: &String| match Role::named(name) {
        Some(role) => vec![role],
        None => roll.roles.get(name).into_iter().flatten().filter_map(|role| Role::named(role)).collect(),
    };
    roles.iter().flat_map(built_in).map(keys).fold(KeySet::NONE, KeySet::union)
}

/// The keys that a role needs.
fn keys(role: Role) -> KeySet {
    match role {
        Role::Operator => KeySet::ADD,
        Role::Restorer | Role::DisposalExecutor => KeySet::READ,
        Role::ComplianceOfficer => KeySet::READ_NAMES,
        Role::Administrator => KeySet::MANAGE,
        Role::Owner => KeySet::ALL,
        // Verifiers and auditors sign, and read nothing.
        _ => KeySet::NONE,
    }
}

/// What an action is done to, where an operation names it in the log as `object`.
pub(crate) fn resource(asks: Action, vault: VaultId, object: &str) -> Resource {
    let id = object.split_once(':').map_or("any", |(_, id)| id).to_owned();
    match asks {
        Action::SeeSnapshots | Action::MeasureVault | Action::FindEntries => Resource::Client(CLIENT.into()),
        Action::ListSnapshot
        | Action::CompareSnapshots
        | Action::ReadDocument
        | Action::RestoreDocument
        | Action::RehearseRestore
        | Action::TagSnapshot
        | Action::ForgetSnapshot => Resource::Snapshot { id, client: CLIENT.into() },
        Action::ShowCertificate | Action::SignCertificate | Action::ExportEvidence | Action::VerifyCertificate => {
            Resource::Certificate { id, client: None }
        }
        Action::ReadLog | Action::ExportLog | Action::VerifyLog | Action::AnchorLog | Action::NameId => {
            Resource::Log(vault.to_string())
        }
        _ => Resource::Vault,
    }
}

impl Session {
    /// Whether the user who opened the vault may do this. The policies that say so.
    pub(crate) fn ask(&self, asks: Action, resource: Resource) -> Result<Decision, CoreError> {
        self.ask_among(&self.access.directory, asks, resource, None)
    }

    /// The same among other users than there are, or with a change request.
    pub(crate) fn ask_among(
        &self,
        directory: &Directory,
        asks: Action,
        resource: Resource,
        change: Option<ChangeRequest>,
    ) -> Result<Decision, CoreError> {
        let request = self.request(self.vault.user(), asks, resource, change);
        let decision = self.access.authorizer.authorize(directory, &request);
        if decision.is_allowed {
            return Ok(decision);
        }
        let explained = self.access.authorizer.explain(directory, &request);
        Err(CoreError::Denied {
            action: asks,
            because: explained.because.join("; "),
            remedies: explained.suggestions.iter().map(ToString::to_string).collect(),
            policies: policies(&decision),
        })
    }

    pub(crate) fn request(
        &self,
        user: UserId,
        asks: Action,
        resource: Resource,
        change: Option<ChangeRequest>,
    ) -> Request {
        let mut context = Context::new(self.place.clock.now());
        context.mfa = self.access.mfa;
        context.request = change;
        Request::new(Principal::user(user.to_string()), asks, resource, context)
    }
}

/// The policies that a decision rests on, as the log names them.
pub(crate) fn policies(decision: &Decision) -> Vec<String> {
    decision.determined_by.iter().map(|policy| policy.id.clone()).collect()
}
