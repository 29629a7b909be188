//! What no role and no policy gets past. Each starts from a request that is allowed, and changes one thing.

use chrono::Duration;
use sb_rbac::*;

use super::{alone, asked, built_in, day, document, firm, privileged, proposed, user};

/// The ids of the guard rails that deny a request.
fn rails(directory: &Directory, request: &Request) -> Vec<String> {
    let decision = built_in().authorize(directory, request);
    assert!(decision.errors.is_empty(), "{decision:?}");
    let rails = decision.determined_by.iter().filter(|by| by.kind == PolicyKind::GuardRail);
    rails.map(|by| by.id.clone()).collect()
}

fn disposal(change: impl FnOnce(&mut Document, &mut Context)) -> Request {
    let mut request = asked(user(Role::DisposalExecutor), Action::DisposeDocument);
    if let Resource::Document(document) = &mut request.resource {
        change(document, &mut request.context);
    }
    request
}

#[test]
fn documents_are_disposed_of_when_they_may_be() {
    let directory = firm();
    assert!(built_in().authorize(&directory, &disposal(|_, _| {})).is_allowed);
    assert!(
        built_in().authorize(&directory, &disposal(|document, _| document.retain_until = Some(day(15)))).is_allowed
    );
    let rail = ["f-retained-or-held"];
    assert_eq!(rails(&directory, &disposal(|document, _| document.retain_until = Some(day(16)))), rail);
    assert_eq!(rails(&directory, &disposal(|document, _| document.retain_until = None)), rail);
    assert_eq!(rails(&directory, &disposal(|document, _| document.holds = 1)), rail);
    assert_eq!(rails(&directory, &disposal(|_, context| context.clock_trusted = false)), rail);
    // Not even a nanosecond early.
    let soon = day(15) + Duration::nanoseconds(1);
    assert_eq!(rails(&directory, &disposal(|document, _| document.retain_until = Some(soon))), rail);
    // Times that Cedar cannot write are no way around it.
    let late = chrono::DateTime::<chrono::Utc>::MAX_UTC - Duration::days(2);
    assert_eq!(rails(&directory, &disposal(|document, _| document.retain_until = Some(late))), rail);
}

#[test]
fn an_approval_is_for_one_target_and_one_act() {
    let directory = firm();
    let bound = "f-approval-is-for-this-target-and-this-act";
    for action in Action::all().filter(|action| action.is_in(Group::Execute)) {
        let request = asked(user(Role::Owner), action);
        assert!(built_in().authorize(&directory, &request).is_allowed, "{action}");
        let mut other = request.clone();
        other.context.request.as_mut().unwrap().targets = ["document:d_2".to_owned()].into();
        assert_eq!(rails(&directory, &other), [bound], "{action}");
        for kind in RequestKind::ALL.into_iter().filter(|kind| RequestKind::of(action) != Some(*kind)) {
            let mut other = request.clone();
            other.context.request.as_mut().unwrap().kind = kind;
            assert_eq!(rails(&directory, &other), [bound], "{action} {}", kind.name());
        }
        let mut none = request.clone();
        none.context.request = None;
        assert_eq!(rails(&directory, &none), [bound, "f-dual-control"], "{action}");
    }
}

#[test]
fn approvals_are_by_enough_others() {
    let directory = firm();
    let with = |required, approvals: &[&str]| {
        disposal(|_, context| {
            let change = context.request.as_mut().unwrap();
            change.required = required;
            change.approvals = approvals.iter().map(|id| UserId::from(*id)).collect();
        })
    };
    assert!(built_in().authorize(&directory, &with(2, &["owner", "complianceOfficer"])).is_allowed);
    for request in [
        with(1, &[]),
        with(1, &["restorer"]),
        with(1, &["a stranger"]),
        with(2, &["owner"]),
        with(2, &["owner", "restorer"]),
        with(0, &["owner"]),
        with(u32::MAX, &["owner"]),
    ] {
        assert_eq!(rails(&directory, &request), ["f-dual-control"], "{:?}", request.context.request);
    }
    // Patience is no substitute where there is somebody to ask.
    let mut cooled = with(1, &[]);
    cooled.context.request.as_mut().unwrap().is_cooled_off = true;
    assert_eq!(rails(&directory, &cooled), ["f-dual-control"]);
    // The owner can approve as well; if neither can, patience is all there is.
    let mut directory = firm();
    for id in ["owner", "complianceOfficer"] {
        let mut locked = directory.user(&id.into()).unwrap().clone();
        locked.is_active = false;
        directory.set_user(id, locked);
    }
    assert!(built_in().authorize(&directory, &cooled).is_allowed);
}

#[test]
fn who_a_firms_policy_lets_approve_counts_as_somebody_to_ask() {
    let mut directory = alone();
    directory.set_user("staff", User::new(Vec::<Role>::new()));
    let mut request = asked(Principal::user("owner"), Action::ExportKey);
    let change = request.context.request.as_mut().unwrap();
    (change.proposed_by, change.is_cooled_off) = ("owner".into(), true);
    change.approvals.clear();
    assert!(built_in().authorize(&directory, &request).is_allowed);
    let text = r#"@id("partners-approve") permit (principal == SB::User::"staff", action == SB::Action::"ApproveChange", resource)
        unless { principal == resource.proposedBy || resource.approvals.contains(principal) ||
            principal in [SB::Role::"auditor", SB::Role::"verifier"] };"#;
    let authorizer = Authorizer::new(Policies::check(text, &directory).unwrap());
    assert!(!authorizer.authorize(&directory, &request).is_allowed);
}

#[test]
fn compliance_mode_is_for_good() {
    let directory = firm();
    let mut request = asked(user(Role::DisposalExecutor), Action::ShortenRetention);
    assert!(built_in().authorize(&directory, &request).is_allowed);
    request.resource = Resource::Retention { id: "x_1".into(), mode: RetentionMode::Compliance };
    assert_eq!(rails(&directory, &request), ["f-compliance-mode-never-shortens"]);
}

#[test]
fn nobody_approves_their_own_or_twice() {
    let directory = firm();
    let approve = |change: ChangeRequest| {
        Request::new(user(Role::ComplianceOfficer), Action::ApproveChange, Resource::Request(change), privileged())
    };
    let change = proposed(RequestKind::Dispose, "document:d_1");
    assert!(built_in().authorize(&directory, &approve(change.clone())).is_allowed);
    assert!(built_in().authorize(&directory, &approve(change.clone().approved_by("owner"))).is_allowed);
    let twice = approve(change.clone().approved_by("complianceOfficer"));
    let mut own = change;
    own.proposed_by = "complianceOfficer".into();
    assert_eq!(rails(&directory, &twice), ["f-no-self-or-double-approval"]);
    assert_eq!(rails(&directory, &approve(own)), ["f-no-self-or-double-approval"]);
}

#[test]
fn a_conflict_wall_beats_everything() {
    let mut directory = firm();
    for role in Role::ALL {
        let mut walled = directory.user(&role.name().into()).unwrap().clone();
        walled.walled_off = ["c_1".into()].into();
        directory.set_user(role.name(), walled);
        for action in Action::all() {
            let request = asked(user(role), action);
            let is_about_a_client = matches!(
                &request.resource,
                Resource::Client(_)
                    | Resource::Snapshot { .. }
                    | Resource::Document(_)
                    | Resource::Hold { .. }
                    | Resource::Report { .. }
                    | Resource::Certificate { .. }
            );
            let found = rails(&directory, &request);
            assert_eq!(found.contains(&"f-conflict-wall".to_owned()), is_about_a_client, "{role:?} {action}");
        }
    }
}

#[test]
fn who_is_locked_or_whose_time_is_over_does_nothing() {
    for (rail, change) in [
        ("f-inactive", (|user: &mut User| user.is_active = false) as fn(&mut User)),
        ("f-time-box", |user| user.access_until = Some(day(15))),
    ] {
        let mut directory = firm();
        for role in Role::ALL {
            let mut changed = directory.user(&role.name().into()).unwrap().clone();
            change(&mut changed);
            directory.set_user(role.name(), changed);
            for action in Action::all() {
                assert!(
                    rails(&directory, &asked(user(role), action)).contains(&rail.to_owned()),
                    "{rail} {role:?} {action}"
                );
            }
        }
    }
    let mut directory = firm();
    let mut daemon = directory.service(&"daemon".into()).unwrap().clone();
    daemon.is_active = false;
    directory.set_service("daemon", daemon);
    assert_eq!(rails(&directory, &asked(Principal::service("daemon"), Action::CreateSnapshot)), ["f-inactive"]);
    // Nobody has said how long this auditor is to have access.
    directory.set_user("auditor", User::new([Role::Auditor]));
    assert_eq!(rails(&directory, &asked(user(Role::Auditor), Action::ReadLog)), ["f-time-box"]);
}

#[test]
fn auditors_and_verifiers_write_nothing_whatever_else_they_are() {
    let mut directory = firm();
    for (id, role) in [("one", "auditor"), ("two", "verifier")] {
        let mut user = User::new([role, "owner"]);
        user.access_until = Some(day(31));
        directory.set_user(id, user);
        for action in Action::all() {
            let found = rails(&directory, &asked(Principal::user(id), action));
            let rail = "f-auditors-and-verifiers-never-write".to_owned();
            assert_eq!(found.contains(&rail), action.is_in(Group::Write), "{role} {action}");
        }
    }
}

#[test]
fn nobody_holds_both_of_what_checks_and_what_is_checked() {
    let directory = firm();
    let assign = |roles: &[&str]| {
        let after = roles.iter().map(|role| RoleName::from(*role)).collect();
        let resource = Resource::Roles { user: "nobody".into(), after };
        Request::new(user(Role::Administrator), Action::AssignRole, resource, privileged())
    };
    for fine in [&["administrator", "operator"][..], &["auditor"], &["auditor", "verifier"], &[]] {
        assert!(built_in().authorize(&directory, &assign(fine)).is_allowed, "{fine:?}");
    }
    for roles in [
        ["administrator", "complianceOfficer"],
        ["admin", "complianceOfficer"],
        ["auditor", "operator"],
        ["auditor", "administrator"],
        ["auditor", "admin"],
        ["auditor", "complianceOfficer"],
        ["auditor", "daemon"],
        ["auditor", "owner"],
    ] {
        assert_eq!(rails(&directory, &assign(&roles)), ["f-static-separation-of-duty"], "{roles:?}");
    }
    // Neither do roles of the firm's that are built upon them.
    let mut directory = firm();
    directory.define_role("it", [Role::Administrator]).unwrap();
    assert_eq!(rails(&directory, &assign(&["it", "complianceOfficer"])), ["f-static-separation-of-duty"]);
}

#[test]
fn roles_for_oneself_are_approved_by_others() {
    let directory = firm();
    let after = [Role::Administrator.into(), Role::Operator.into()].into();
    let resource = Resource::Roles { user: "administrator".into(), after };
    assert_eq!(resource.to_string(), r#"user:administrator={"administrator", "operator"}"#);
    let mut request = Request::new(user(Role::Administrator), Action::AssignRole, resource.clone(), privileged());
    assert_eq!(rails(&directory, &request), ["f-no-grant-to-oneself"]);
    let grant = ChangeRequest::new("r_1", RequestKind::Grant, resource.to_string(), "administrator");
    request.context.request = Some(grant.clone().approved_by("owner"));
    assert!(built_in().authorize(&directory, &request).is_allowed);
    // The approval was of those roles and no others.
    let after = [Role::Administrator.into(), Role::Owner.into()].into();
    request.resource = Resource::Roles { user: "administrator".into(), after };
    assert_eq!(rails(&directory, &request), ["f-no-grant-to-oneself"]);
    // Alone it takes patience.
    let alone = alone();
    let resource = Resource::Roles { user: "owner".into(), after: [Role::Owner.into(), Role::Auditor.into()].into() };
    let mut grant = ChangeRequest::new("r_1", RequestKind::Grant, resource.to_string(), "owner");
    let mut request = Request::new(Principal::user("owner"), Action::AssignRole, resource, Context::new(day(1)));
    request.context.request = Some(grant.clone());
    assert_eq!(rails(&alone, &request), ["f-no-grant-to-oneself"]);
    grant.is_cooled_off = true;
    request.context.request = Some(grant);
    assert!(built_in().authorize(&alone, &request).is_allowed);
}

#[test]
fn guard_rails_have_names_and_words() {
    assert_eq!(GuardRail::named("f-inactive").unwrap().words, "who is locked may do nothing");
    assert_eq!(GuardRail::named("p-operate"), None);
    let request =
        Request::new(user(Role::Owner), Action::DisposeDocument, Resource::Document(document()), privileged());
    assert_eq!(rails(&firm(), &request).len(), 2);
}
