//! What the crate promises, tested from outside.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod checks;
mod explanations;
mod firm;
mod grants;
mod guards;
mod policies;
mod properties;
mod roles;
mod vectors;

use chrono::{DateTime, TimeZone, Utc};
use sb_rbac::{
    Action, Authorizer, ChangeRequest, Context, Directory, Document, Policies, Principal, Request, RequestKind,
    Resource, RetentionMode, Role, Service, User,
};

fn day(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, day, 0, 0, 0).unwrap()
}

/// A firm of one user for each role, whose id is the role's name, and a service.
fn firm() -> Directory {
    let mut directory = Directory::new();
    for client in ["c_1", "c_2"] {
        directory.add_client(client);
    }
    for role in Role::ALL {
        let mut user = User::new([role]).working_for(["c_1"]);
        user.access_until = Some(day(31));
        directory.set_user(role.name(), user);
    }
    directory.set_user("nobody", User::new(Vec::<Role>::new()));
    directory.set_service("daemon", Service::new([Role::DisposalExecutor, Role::Operator]));
    directory
}

/// A vault of one person.
fn alone() -> Directory {
    let mut directory = Directory::new();
    directory.add_client("c_1");
    directory.set_user("owner", User::new([Role::Owner]));
    directory
}

fn built_in() -> Authorizer {
    Authorizer::new(Policies::none())
}

/// With two factors and a clock that somebody vouches for.
fn privileged() -> Context {
    let mut context = Context::new(day(15));
    (context.mfa, context.clock_trusted) = (true, true);
    context
}

fn document() -> Document {
    let mut document = Document::new("d_1", "c_1");
    document.snapshot = Some("s_1".to_owned());
    document.retain_until = Some(day(10));
    document
}

/// What an action is usually about.
fn usual(action: Action, user: &str) -> Resource {
    use Action as A;
    let (client, id) = ("c_1".into(), "x_1".to_owned());
    match action {
        A::ListSnapshot | A::CompareSnapshots | A::TagSnapshot | A::ForgetSnapshot => Resource::Snapshot { id, client },
        A::ReadDocument | A::RestoreDocument | A::RehearseRestore | A::DisposeDocument => {
            Resource::Document(document())
        }
        A::FindEntries | A::SeeSnapshots | A::PlaceHold => Resource::Client(client),
        A::AnchorLog | A::VerifyLog | A::ReadLog | A::ExportLog | A::NameId => Resource::Log(id),
        A::ShowCertificate | A::VerifyCertificate | A::ExportEvidence | A::SignCertificate => {
            Resource::Certificate { id, client: Some(client) }
        }
        A::ReadReport | A::IssueReport => Resource::Report { id, client: Some(client), author: Some("partner".into()) },
        A::RejectChange | A::ApproveChange => Resource::Request(proposed(RequestKind::Dispose, "document:d_1")),
        A::CancelChange => Resource::Request(ChangeRequest::new("r_1", RequestKind::Dispose, "document:d_1", user)),
        A::LockUser | A::UnlockUser | A::RemoveUser | A::RevokeRole => Resource::User("nobody".into()),
        A::AssignRole => Resource::Roles { user: "nobody".into(), after: [Role::Operator.into()].into() },
        A::ResetSlot => Resource::Slot { id, owner: "nobody".into() },
        A::AddOwnSlot | A::ChangeOwnSlot | A::RemoveOwnSlot => Resource::Slot { id, owner: user.into() },
        A::ReleaseHold => Resource::Hold { id, client, placed_by: "complianceOfficer".into() },
        A::ShortenRetention => Resource::Retention { id, mode: RetentionMode::Governance },
        A::ExportKey => Resource::Key(id),
        A::ActivatePolicies => Resource::Policies(id),
        _ => Resource::Vault,
    }
}

/// A change request of the restorer's, which nobody has approved.
fn proposed(kind: RequestKind, target: impl Into<String>) -> ChangeRequest {
    ChangeRequest::new("r_1", kind, target, "restorer")
}

/// What a user asks for, with everything as it should be.
fn asked(principal: Principal, action: Action) -> Request {
    let id = match &principal {
        Principal::User(id) => id.to_string(),
        other => other.to_string(),
    };
    let resource = usual(action, &id);
    let mut context = privileged();
    if let Some(kind) = RequestKind::of(action) {
        context.request = Some(proposed(kind, resource.to_string()).approved_by("complianceOfficer"));
    }
    Request::new(principal, action, resource, context)
}

fn user(role: Role) -> Principal {
    Principal::user(role.name())
}
