//! What each built-in role may do, and may not.

use std::collections::BTreeSet;

use sb_rbac::*;

use super::{alone, asked, built_in, day, firm, privileged, user};

/// Written out, so that a change of any permission changes this table.
const OWN: &str = "AddOwnSlot ChangeOwnSlot RemoveOwnSlot CancelChange";
const INSPECT: &str = "ShowVault SeeSnapshots MeasureVault";
const LOOK: &str = "ListSnapshot CompareSnapshots FindEntries";
const VERIFY: &str =
    "RunVerify VerifyData VerifyRestore CheckLocator ListCertificates ShowCertificate VerifyCertificate VerifyLog";
const AUDIT: &str = "ShowVault ListCertificates ShowCertificate VerifyCertificate VerifyLog ExportEvidence ReadLog ExportLog \
    ReadReport ListHolds ListUsers ListRoles ListPolicies ListKeys ListRequests ExplainAccess";
const OPERATE: &str = "CreateSnapshot RebuildLocator AnchorLog";
/// Of clients the user works for; the vault as a whole is measured by others.
const RESTORE: &str = "ShowVault SeeSnapshots ReadDocument RestoreDocument RehearseRestore";
const COMPLY: &str = "TagSnapshot ForgetSnapshot AnchorLog PlaceHold IssueReport SignCertificate AcceptLosses NameId ProposeChange \
    RejectChange ApproveChange";
const EXECUTE: &str = "TagSnapshot ForgetSnapshot CollectVault DisposeDocument ReleaseHold ShortenRetention";
const ADMINISTER: &str = "ListUsers ListRoles ListPolicies ListKeys ListRequests ExplainAccess NameId ProposeChange AddUser \
    DefineRole ProposePolicies LockUser UnlockUser AssignRole RevokeRole ResetSlot RotateKeys ExportKey RemoveUser ActivatePolicies";

fn expected(role: Role) -> Vec<Action> {
    let more: &[&str] = match role {
        Role::Verifier => &[INSPECT, VERIFY],
        Role::Auditor => &[AUDIT],
        Role::Operator => &[INSPECT, VERIFY, OPERATE],
        Role::Restorer => &[RESTORE, LOOK],
        Role::ComplianceOfficer => &[INSPECT, VERIFY, AUDIT, LOOK, COMPLY],
        Role::DisposalExecutor => &[INSPECT, EXECUTE],
        Role::Administrator => &[INSPECT, ADMINISTER],
        _ => return Action::all().collect(),
    };
    let names: BTreeSet<&str> = more.iter().chain([&OWN]).flat_map(|names| names.split_whitespace()).collect();
    Action::all().filter(|action| names.contains(action.name())).collect()
}

fn allowed(authorizer: &Authorizer, directory: &Directory, request: impl Fn(Action) -> Request) -> Vec<Action> {
    Action::all().filter(|action| authorizer.authorize(directory, &request(*action)).is_allowed).collect()
}

#[test]
fn every_role_may_do_this_and_nothing_else() {
    let (authorizer, directory) = (built_in(), firm());
    for role in Role::ALL {
        assert_eq!(allowed(&authorizer, &directory, |action| asked(user(role), action)), expected(role), "{role:?}");
    }
    let own = [Action::AddOwnSlot, Action::ChangeOwnSlot, Action::RemoveOwnSlot, Action::CancelChange];
    assert_eq!(allowed(&authorizer, &directory, |action| asked(Principal::user("nobody"), action)), own);
    assert_eq!(Role::named("owner"), Some(Role::Owner));
}

#[test]
fn with_one_factor_nobody_complies_approves_administers_executes_or_restores() {
    let (authorizer, directory) = (built_in(), firm());
    let with_one = |role, action| {
        let mut request = asked(user(role), action);
        request.context.mfa = false;
        request
    };
    for role in Role::ALL {
        let is_privileged = |action: &Action| {
            [Group::Comply, Group::Approve, Group::Administer, Group::Execute]
                .into_iter()
                .any(|group| action.is_in(group))
                || *action == Action::RestoreDocument
        };
        let rest: Vec<Action> = expected(role).into_iter().filter(|action| !is_privileged(action)).collect();
        assert_eq!(allowed(&authorizer, &directory, |action| with_one(role, action)), rest, "{role:?}");
    }
    // A service has no second factor to show.
    let mut request = asked(Principal::service("daemon"), Action::DisposeDocument);
    request.context.mfa = false;
    assert!(authorizer.authorize(&directory, &request).is_allowed);
}

#[test]
fn alone_the_owner_needs_neither_factors_nor_others_but_patience() {
    let (authorizer, mut directory) = (built_in(), alone());
    directory.set_user("nobody", User::new(Vec::<Role>::new()));
    let request = |action, is_cooled_off| {
        let mut request = asked(Principal::user("owner"), action);
        request.context.mfa = false;
        if let Some(change) = &mut request.context.request {
            (change.proposed_by, change.is_cooled_off) = ("owner".into(), is_cooled_off);
            change.approvals.clear();
        }
        request
    };
    // A second user, even one without roles, brings back the second factor, but nobody to approve.
    let with_two = allowed(&authorizer, &directory, |action| request(action, true));
    assert!(!with_two.contains(&Action::AddUser) && with_two.contains(&Action::CreateSnapshot));
    let alone = alone();
    let others = [Action::LockUser, Action::UnlockUser, Action::RevokeRole, Action::AssignRole, Action::RemoveUser];
    let all: Vec<Action> = Action::all().filter(|action| !others.contains(action)).collect();
    assert_eq!(allowed(&authorizer, &alone, |action| request(action, true)), all);
    let without: Vec<Action> = all.iter().copied().filter(|action| !action.is_in(Group::Execute)).collect();
    assert_eq!(allowed(&authorizer, &alone, |action| request(action, false)), without);
}

#[test]
fn a_restorer_sees_nothing_of_other_clients() {
    let (authorizer, directory) = (built_in(), firm());
    for action in [Action::ReadDocument, Action::RestoreDocument, Action::RehearseRestore, Action::ListSnapshot] {
        let id = "s_1".to_owned();
        for (client, is_allowed) in [("c_1", true), ("c_2", false)] {
            let snapshot = Resource::Snapshot { id: id.clone(), client: client.into() };
            let request = Request::new(user(Role::Restorer), action, snapshot, privileged());
            assert_eq!(authorizer.authorize(&directory, &request).is_allowed, is_allowed, "{action} {client}");
        }
    }
    let all = Request::new(user(Role::Restorer), Action::SeeSnapshots, Resource::Vault, privileged());
    assert!(!authorizer.authorize(&directory, &all).is_allowed);
}

#[test]
fn a_role_of_the_firm_may_do_what_it_is_built_upon() {
    let (authorizer, mut directory) = (built_in(), firm());
    directory.define_role("office", [Role::Operator, Role::Restorer]).unwrap();
    directory.set_user("staff", User::new(["office"]).working_for(["c_1"]));
    let mut both: BTreeSet<Action> = expected(Role::Operator).into_iter().collect();
    both.extend(expected(Role::Restorer));
    let found: BTreeSet<Action> =
        allowed(&authorizer, &directory, |action| asked(Principal::user("staff"), action)).into_iter().collect();
    assert_eq!(found, both);
    assert!(directory.roles().any(|role| role.as_str() == "office"));
}

#[test]
fn names_that_others_have_for_roles_are_understood() {
    let (authorizer, mut directory) = (built_in(), firm());
    for (name, role) in
        [("accountant", Role::Restorer), ("admin", Role::Administrator), ("daemon", Role::DisposalExecutor)]
    {
        directory.set_user("one", User::new([name]).working_for(["c_1"]));
        let found = allowed(&authorizer, &directory, |action| asked(Principal::user("one"), action));
        assert_eq!(found, expected(role), "{name}");
    }
}

#[test]
fn roles_that_contradict_each_other_are_not_defined() {
    let mut directory = firm();
    let separated = directory.define_role("both", [Role::Auditor, Role::Operator]).unwrap_err();
    assert_eq!(separated.to_string(), "a role cannot be both auditor and operator: the one would check the other");
    assert_eq!(directory.define_role("owner", []), Err(RoleError::Reserved("owner".into())));
    assert_eq!(directory.define_role("admin", []), Err(RoleError::Reserved("admin".into())));
    assert_eq!(directory.define_role("", []), Err(RoleError::Name));
    assert_eq!(directory.define_role("x".repeat(257), []), Err(RoleError::Name));
}

#[test]
fn what_is_not_known_is_denied() {
    let (authorizer, directory) = (built_in(), firm());
    let refusal = |request: &Request| authorizer.authorize(&directory, request).refusal.unwrap();
    let owner = || user(Role::Owner);
    let ask =
        |principal, action, resource| refusal(&Request::new(principal, action, resource, privileged())).to_string();
    assert_eq!(ask(Principal::user("x"), Action::ShowVault, Resource::Vault), "there is no user `x`");
    assert_eq!(ask(Principal::service("x"), Action::ShowVault, Resource::Vault), "there is no service `x`");
    assert_eq!(ask(owner(), Action::SeeSnapshots, Resource::Client("x".into())), "there is no client `x`");
    assert_eq!(ask(owner(), Action::LockUser, Resource::User("x".into())), "there is no user `x`");
    let roles = Resource::Roles { user: "nobody".into(), after: ["x".into()].into() };
    assert_eq!(ask(owner(), Action::AssignRole, roles), "there is no role `x`");
    let act = "that is not done to such a thing, or not by a service";
    assert_eq!(ask(owner(), Action::ShowVault, Resource::Log("l_1".into())), act);
    assert_eq!(ask(Principal::service("daemon"), Action::ReadDocument, Resource::Vault), act);
    // Roles that there are not give nothing.
    let mut directory = firm();
    directory.set_user("one", User::new(["ghost"]));
    assert!(!authorizer.authorize(&directory, &asked(Principal::user("one"), Action::ShowVault)).is_allowed);
    assert!(directory.user(&"one".into()).is_some() && directory.service(&"daemon".into()).is_some());
}

#[test]
fn decisions_name_what_they_rest_on() {
    let (authorizer, directory) = (built_in(), firm());
    let decision = authorizer.authorize(&directory, &asked(user(Role::Operator), Action::CreateSnapshot));
    assert_eq!(
        (decision.determined_by[0].id.as_str(), decision.determined_by[0].kind),
        ("p-operate", PolicyKind::BuiltIn)
    );
    let mut request = asked(user(Role::Auditor), Action::ReadLog);
    request.context.now = day(31);
    let decision = authorizer.authorize(&directory, &request);
    assert_eq!(
        (decision.determined_by[0].id.as_str(), decision.determined_by[0].kind),
        ("f-time-box", PolicyKind::GuardRail)
    );
    let decision = authorizer.authorize(&directory, &asked(user(Role::Operator), Action::ReadDocument));
    assert_eq!((decision.is_allowed, decision.determined_by, decision.refusal), (false, Vec::new(), None));
}
