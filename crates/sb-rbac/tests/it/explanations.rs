//! Why, and what would have to change.

use sb_rbac::*;

use super::{alone, asked, built_in, day, firm, user};

fn suggestions(explanation: &Explanation) -> Vec<String> {
    explanation.suggestions.iter().map(ToString::to_string).collect()
}

fn explain(request: &Request) -> Explanation {
    built_in().explain(&firm(), request)
}

#[test]
fn what_is_allowed_says_by_what() {
    let explanation = explain(&asked(user(Role::Operator), Action::CreateSnapshot));
    assert_eq!(
        explanation.to_string(),
        "user operator may make a backup (vault): operators make backups and check them"
    );
    assert!(explanation.suggestions.is_empty());
}

#[test]
fn a_missing_role_is_named_with_the_client() {
    let explanation = explain(&asked(Principal::user("nobody"), Action::ReadDocument));
    let said = explanation.to_string();
    assert!(
        said.starts_with("user nobody may not read a document (document:d_1): no role and no policy permits it\n"),
        "{said}"
    );
    assert!(said.contains("it would be allowed with role owner\n"), "{said}");
    assert!(said.contains("or with work for client c_1, and role restorer"), "{said}");
}

#[test]
fn factors_time_and_holds_are_suggested_alone_or_together() {
    let mut request = asked(user(Role::Restorer), Action::RestoreDocument);
    request.context.mfa = false;
    assert_eq!(suggestions(&explain(&request)), ["the vault opened with key file and passphrase together"]);
    let mut request = asked(Principal::service("daemon"), Action::DisposeDocument);
    if let Resource::Document(document) = &mut request.resource {
        (document.retain_until, document.holds) = (Some(day(20)), 2);
    }
    let explanation = explain(&request);
    assert_eq!(
        suggestions(&explanation),
        ["waiting until 2026-01-20T00:00:00+00:00, and all its legal holds released"]
    );
    if let Resource::Document(document) = &mut request.resource {
        (document.retain_until, document.holds) = (None, 0);
    }
    request.context.clock_trusted = false;
    let expected = "a time that somebody vouches for, and a known end of its retention that has passed";
    assert_eq!(suggestions(&explain(&request)), [expected]);
}

#[test]
fn approvals_are_suggested_by_somebody_else() {
    let mut request = asked(user(Role::DisposalExecutor), Action::DisposeDocument);
    request.context.request.as_mut().unwrap().approvals.clear();
    assert_eq!(suggestions(&explain(&request)), ["an approval by somebody other than restorer"]);
    request.context.request.as_mut().unwrap().required = 3;
    assert_eq!(suggestions(&explain(&request)), ["3 approvals by others than restorer"]);
    request.context.request = None;
    assert_eq!(suggestions(&explain(&request)), ["a change request to `dispose` document:d_1, approved or cooled off"]);
    let change = ChangeRequest::new("r_1", RequestKind::Dispose, "document:d_1", "complianceOfficer");
    let mut approve = asked(user(Role::ComplianceOfficer), Action::ApproveChange);
    approve.resource = Resource::Request(change);
    let explanation = explain(&approve);
    assert_eq!(explanation.because, ["nobody approves what they have proposed, and nobody approves twice"]);
    assert_eq!(suggestions(&explanation), ["somebody other than complianceOfficer to do it"]);
}

#[test]
fn alone_there_is_patience() {
    let mut request = asked(Principal::user("owner"), Action::ExportKey);
    let change = request.context.request.as_mut().unwrap();
    change.proposed_by = "owner".into();
    change.approvals.clear();
    let explanation = built_in().explain(&alone(), &request);
    assert_eq!(suggestions(&explanation), ["the request's cooling-off period over"]);
    request.context.request = None;
    let explanation = built_in().explain(&alone(), &request);
    assert_eq!(suggestions(&explanation), ["a change request to `exportKey` key:x_1, approved or cooled off"]);
}

#[test]
fn locks_walls_time_and_roles_are_suggested() {
    let mut directory = firm();
    let explain = |directory: &Directory, request: &Request| suggestions(&built_in().explain(directory, request));
    let mut restorer = directory.user(&"restorer".into()).unwrap().clone();
    (restorer.is_active, restorer.walled_off) = (false, ["c_1".into()].into());
    restorer.access_until = Some(day(1));
    directory.set_user("restorer", restorer);
    let request = asked(user(Role::Restorer), Action::ReadDocument);
    assert_eq!(
        explain(&directory, &request),
        ["no conflict wall to client c_1, and access that ends later, and the user unlocked"]
    );
    let mut auditor = User::new([Role::Auditor, Role::Owner]);
    auditor.access_until = Some(day(31));
    directory.set_user("auditor", auditor);
    let write = asked(user(Role::Auditor), Action::CreateSnapshot);
    assert_eq!(explain(&directory, &write), ["role auditor taken away"]);
    let mut service = Service::new([Role::Operator]);
    service.is_active = false;
    directory.set_service("cron", service);
    let said = explain(&directory, &asked(Principal::service("cron"), Action::CollectVault));
    assert_eq!(
        said,
        [
            "the user unlocked, and role disposalExecutor",
            "the user unlocked, and role owner",
            "the user unlocked, and role daemon"
        ]
    );
    let roles = Resource::Roles { user: "nobody".into(), after: [Role::Auditor.into(), Role::Operator.into()].into() };
    let mut assign = asked(user(Role::Administrator), Action::AssignRole);
    assign.resource = roles;
    assert_eq!(explain(&directory, &assign), ["role auditor not given", "role operator not given"]);
}

#[test]
fn every_suggestion_is_as_small_as_it_can_be() {
    let directory = firm();
    for role in Role::ALL {
        for action in Action::all() {
            let explanation = explain(&asked(user(role), action));
            let all = &explanation.suggestions;
            for (place, one) in all.iter().enumerate() {
                let is_within = |other: &Suggestion| other.changes.iter().all(|change| one.changes.contains(change));
                assert!(!all[..place].iter().any(is_within), "{explanation}");
            }
            let is_allowed = built_in().authorize(&directory, &explanation.request).is_allowed;
            assert_eq!(is_allowed, explanation.decision.is_allowed);
            assert!(is_allowed || !all.is_empty(), "{explanation}");
        }
    }
}

#[test]
fn what_nothing_helps_against_and_what_is_not_known_has_no_suggestion() {
    let mut request = asked(user(Role::Owner), Action::ShortenRetention);
    request.resource = Resource::Retention { id: "x_1".into(), mode: RetentionMode::Compliance };
    let explanation = explain(&request);
    assert_eq!((explanation.because.len(), explanation.suggestions.len()), (1, 0));
    let explanation = explain(&asked(Principal::user("x"), Action::ShowVault));
    assert_eq!(
        explanation.to_string(),
        "user x may not show the vault's id, keys and settings (vault): there is no user `x`"
    );
}

#[test]
fn policies_and_grants_are_named() {
    let directory = firm();
    let text = "@id(\"a\") @words(\"everybody measures\") permit (principal, action == SB::Action::\"MeasureVault\", resource);
        @id(\"b\") permit (principal, action == SB::Action::\"SeeSnapshots\", resource);";
    let mut authorizer = Authorizer::new(Policies::check(text, &directory).unwrap());
    authorizer.grant(&Grant::new("g-1", "nobody", GrantScope::Client("c_1".into()))).unwrap();
    let said = |action| authorizer.explain(&directory, &asked(Principal::user("nobody"), action)).because;
    assert_eq!(said(Action::MeasureVault), ["everybody measures (policy `a`)"]);
    assert_eq!(said(Action::SeeSnapshots), ["policy `b`"]);
    assert_eq!(said(Action::ReadDocument), ["grant `g-1`"]);
}
