//! Firms, policies and requests at random.

use chrono::Duration;
use proptest::prelude::*;
use sb_rbac::*;

use super::{day, usual};

const USERS: [&str; 6] = ["u_1", "u_2", "u_3", "u_4", "u_5", "u_6"];
const ROLES: [&str; 11] = [
    "verifier",
    "auditor",
    "operator",
    "restorer",
    "complianceOfficer",
    "disposalExecutor",
    "administrator",
    "owner",
    "admin",
    "partner",
    "visitor",
];

/// A user with these roles at most.
fn user(roles: usize) -> impl Strategy<Value = User> {
    let role = prop::sample::select(ROLES.to_vec());
    let clients = || prop::collection::btree_set(prop::sample::select(vec!["c_1", "c_2"]), 0..3);
    (
        prop::collection::vec(role, 0..=roles),
        clients(),
        clients(),
        prop::bool::weighted(0.8),
        prop::option::of(10..20_u32),
    )
        .prop_map(|(roles, clients, walled, is_active, until)| {
            let mut user = User::new(roles).working_for(clients);
            user.walled_off = walled.into_iter().map(ClientId::from).collect();
            user.is_active = is_active;
            user.access_until = until.map(day);
            user
        })
}

/// A firm whose users have so many roles each at most.
pub(crate) fn directory(roles: usize) -> impl Strategy<Value = Directory> {
    prop::collection::vec(user(roles), 1..=USERS.len()).prop_map(|users| {
        let mut directory = empty();
        for (id, user) in USERS.iter().zip(users) {
            directory.set_user(*id, user);
        }
        directory
    })
}

/// Roles and clients, and services of single roles.
pub(crate) fn empty() -> Directory {
    let mut directory = Directory::new();
    directory.add_client("c_1");
    directory.add_client("c_2");
    directory.define_role("partner", [Role::ComplianceOfficer, Role::Restorer]).unwrap();
    directory.define_role("visitor", [Role::Auditor, Role::Verifier]).unwrap();
    for role in ["operator", "disposalExecutor", "verifier"] {
        directory.set_service(role, Service::new([role]));
    }
    directory
}

fn change(kind: RequestKind, target: String) -> impl Strategy<Value = ChangeRequest> {
    let user = || prop::sample::select(USERS.to_vec());
    let kinds = prop_oneof![4 => Just(kind), 1 => prop::sample::select(RequestKind::ALL.to_vec())];
    let targets = prop_oneof![4 => Just(target), 1 => Just("document:d_9".to_owned())];
    (kinds, targets, user(), prop::collection::btree_set(user(), 0..4), 0..4_u32, any::<bool>()).prop_map(
        |(kind, target, by, approvals, required, is_cooled_off)| {
            let mut change = ChangeRequest::new("r_1", kind, target, by);
            change.approvals = approvals.into_iter().map(UserId::from).collect();
            (change.required, change.is_cooled_off) = (required, is_cooled_off);
            change
        },
    )
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let actions: Vec<Action> = Action::all().collect();
    let guarded: Vec<Action> = Action::all().filter(|a| a.is_in(Group::Execute) || a.is_in(Group::Approve)).collect();
    let action = prop_oneof![prop::sample::select(actions), prop::sample::select(guarded)];
    let principal = prop_oneof![
        4 => prop::sample::select(USERS.to_vec()).prop_map(Principal::user),
        1 => prop::sample::select(vec!["operator", "disposalExecutor", "verifier"]).prop_map(Principal::service),
    ];
    let facts =
        (prop::option::weighted(0.8, -3..3_i64), 0..2_u32, prop::sample::select(vec!["c_1", "c_2"]), any::<bool>());
    (principal, action, facts, any::<bool>(), prop::bool::weighted(0.8)).prop_flat_map(
        |(principal, action, facts, mfa, trusted)| {
            let (kept, holds, client, is_compliance) = facts;
            let mut resource = usual(action, "u_2");
            match &mut resource {
                Resource::Document(document) => {
                    document.retain_until = kept.map(|days| day(15) + Duration::days(days));
                    (document.holds, document.client) = (holds, client.into());
                    document.classes = if is_compliance { ["us.tax".to_owned()].into() } else { [].into() };
                }
                Resource::Client(id) | Resource::Snapshot { client: id, .. } | Resource::Hold { client: id, .. } => {
                    *id = client.into();
                }
                Resource::Retention { mode, .. } if is_compliance => *mode = RetentionMode::Compliance,
                Resource::User(id) | Resource::Roles { user: id, .. } => *id = "u_1".into(),
                _ => {}
            }
            let kind = RequestKind::of(action).unwrap_or(RequestKind::Dispose);
            let changes = (change(kind, resource.to_string()), prop::bool::weighted(0.9));
            (Just((principal, action, resource)), changes, Just((mfa, trusted))).prop_map(
                |((principal, action, mut resource), (change, is_given), (mfa, trusted))| {
                    if let Resource::Request(about) = &mut resource {
                        *about = change.clone();
                    }
                    let mut context = Context::new(day(15));
                    (context.mfa, context.clock_trusted) = (mfa, trusted);
                    context.request = Some(change).filter(|_| is_given);
                    Request::new(principal, action, resource, context)
                },
            )
        },
    )
}

/// A condition that policies for this kind of act are often made of, sound or not.
fn condition() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "context.mfa",
        "principal.active",
        "context.clockTrusted",
        "context.now < datetime(\"2026-01-20\")",
        "context has request && resource has request && resource.request == context.request",
        "context has request && context.request.kind == \"dispose\"",
        "context has request && context.request.distinctApprovals >= context.request.required",
        "context has request && context.request.required >= 1",
        "context has request && context.request.distinctApprovals >= 1",
        "context has request && context.request.proposedBy != principal",
        "context has approvers && context.approvers < 2",
        "context has users && context.users < 3",
        "resource has retainUntil && resource.retainUntil <= context.now",
        "resource.holds == 0",
        "resource.holds < 2",
        "resource.client == SB::Client::\"c_1\"",
        "resource in SB::DocumentClass::\"us.tax\"",
        "principal in SB::Role::\"partner\"",
    ])
}

fn scope() -> impl Strategy<Value = String> {
    let role = prop::sample::select(ROLES.to_vec()).prop_map(|role| format!("principal in SB::Role::\"{role}\""));
    prop_oneof![8 => role, 1 => Just("principal".to_owned()), 1 => Just("principal == SB::User::\"u_1\"".to_owned())]
}

/// Policies of a firm; many of them undo some guard rail.
pub(crate) fn policies() -> impl Strategy<Value = String> {
    let sound = "context has request && resource has request && resource.request == context.request && context.request.kind == \"dispose\" && \
        context.request.required >= 1 && context.request.distinctApprovals >= context.request.required && resource has retainUntil && \
        resource.retainUntil <= context.now && resource.holds == 0 && context.clockTrusted";
    let disposal = (scope(), prop::collection::vec(condition(), 0..4), any::<bool>()).prop_map(
        move |(scope, conditions, is_sound)| {
            let conditions = conditions
                .into_iter()
                .chain(is_sound.then_some(sound))
                .chain(["true"])
                .collect::<Vec<_>>()
                .join(" && ");
            format!("permit ({scope}, action == SB::Action::\"DisposeDocument\", resource) when {{ {conditions} }};")
        },
    );
    let approval = (
        scope(),
        prop::sample::select(vec![
            "principal != resource.proposedBy && !resource.approvals.contains(principal)",
            "principal != resource.proposedBy",
            "resource.distinctApprovals == 0 && principal != resource.proposedBy",
            "resource.required > 1",
            "context.mfa",
        ]),
    )
        .prop_map(|(scope, condition)| {
            format!("permit ({scope}, action == SB::Action::\"ApproveChange\", resource) when {{ {condition} }};")
        });
    let group = (
        scope(),
        prop::sample::select(vec![
            "inspect",
            "look",
            "read",
            "operate",
            "curate",
            "verify",
            "audit",
            "comply",
            "administer",
            "govern",
        ]),
    )
        .prop_map(|(scope, group)| format!("permit ({scope}, action in SB::Action::\"{group}\", resource);"));
    let forbid = (
        scope(),
        prop::sample::select(vec!["operate", "read", "destroy", "write"]),
        prop::sample::select(vec!["!context.mfa", "resource in SB::Client::\"c_2\"", "principal.active"]),
    )
        .prop_map(|(scope, group, condition)| {
            format!("forbid ({scope}, action in SB::Action::\"{group}\", resource) when {{ {condition} }};")
        });
    prop::collection::vec(prop_oneof![4 => disposal, 2 => approval, 3 => group, 2 => forbid], 1..4).prop_map(
        |policies| {
            let numbered = policies.iter().enumerate().map(|(n, policy)| format!("@id(\"firm-{n}\") {policy}\n"));
            numbered.collect()
        },
    )
}
