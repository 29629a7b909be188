//! Policies that would undo a guard rail are refused, with a counterexample that people can read.

use sb_rbac::*;

use super::{asked, firm, privileged, user};

fn counterexample(text: &str) -> Counterexample {
    match Policies::check(text, &firm()) {
        Err(PoliciesError::Permits(found)) => *found,
        other => panic!("{text}\n{other:?}"),
    }
}

const BOUND: &str = "context has request && resource has request && resource.request == context.request && context.request.kind == \"dispose\"";
const APPROVED: &str = "context.request.required >= 1 && context.request.distinctApprovals >= context.request.required";
const EXPIRED: &str = "resource has retainUntil && resource.retainUntil <= context.now && context.clockTrusted";

fn dispose(condition: &str) -> String {
    format!(
        "@id(\"quick\") permit (principal in SB::Role::\"operator\", action == SB::Action::\"DisposeDocument\", resource) when {{ {condition} }};"
    )
}

#[test]
fn the_built_in_permissions_pass_as_if_a_firm_had_written_them() {
    let text = include_str!("../../src/cedar/roles.cedar");
    let (text, _template) = text.split_once("// One user, and one client").unwrap();
    let policies = Policies::check(&text.replace("@id(\"p-", "@id(\"our-"), &firm()).unwrap();
    assert_eq!(policies.ids().count(), 14);
}

#[test]
fn disposal_of_a_held_document() {
    let whole = format!("{BOUND} && {APPROVED} && {EXPIRED} && resource.holds == 0");
    assert!(Policies::check(&dispose(&whole), &firm()).is_ok());
    let found = counterexample(&dispose(&format!("{BOUND} && {APPROVED} && {EXPIRED}")));
    assert_eq!(found.guard_rail.id, "f-retained-or-held");
    assert_eq!(
        found.to_string(),
        "`quick` permits user u_1, in role operator, to dispose of a document (document:d_1), though it is under a legal hold, which \
         must not be: a document is not disposed of while it has to be kept, is held, nobody knows until when it has to be kept, or \
         nobody vouches for the time (guard rail `f-retained-or-held`); leave `DisposeDocument` out of it, or add that condition"
    );
    assert!(matches!(&found.request.resource, Resource::Document(document) if document.holds == 1));
}

#[test]
fn every_other_condition_of_a_disposal_is_missed_too() {
    let conditions = [
        ("resource has retainUntil && resource.retainUntil <= context.now", "f-retained-or-held", "it has to be kept"),
        ("context.clockTrusted", "f-retained-or-held", "nobody vouches for the time"),
        ("resource.holds == 0", "f-retained-or-held", "it is under a legal hold"),
        ("context has request", "", ""),
        (
            "resource has request && resource.request == context.request",
            "f-approval-is-for-this-target-and-this-act",
            "the change request is for another target",
        ),
        (
            "context.request.kind == \"dispose\"",
            "f-approval-is-for-this-target-and-this-act",
            "the change request is one to `releaseHold`",
        ),
        (APPROVED, "f-dual-control", "approv"),
    ];
    for (missing, rail, words) in conditions.iter().filter(|(_, rail, _)| !rail.is_empty()) {
        let rest: Vec<&str> = conditions.iter().map(|(text, ..)| *text).filter(|text| text != missing).collect();
        let found = counterexample(&dispose(&rest.join(" && ")));
        assert_eq!(found.guard_rail.id, *rail, "{found}");
        // The earliest rail may be violated by more than what is missing; what is told is at least that.
        assert!(found.words.contains(words), "{found}");
    }
    // Off by one: the last approval, the last hold, the last millisecond.
    for (from, to) in [
        ("distinctApprovals >= context.request.required", "distinctApprovals + 1 >= context.request.required"),
        ("required >= 1", "required >= 0"),
        ("holds == 0", "holds <= 1"),
        ("holds == 0", "holds != 7"),
        ("retainUntil <= context.now", "retainUntil <= context.now.offset(duration(\"1d\"))"),
        ("context.now", "datetime(\"2030-01-01\")"),
        ("kind == \"dispose\"", "kind like \"*s*\""),
    ] {
        let whole = format!("{BOUND} && {APPROVED} && {EXPIRED} && resource.holds == 0");
        let found = counterexample(&dispose(&whole.replace(from, to)));
        assert!(!found.words.is_empty(), "{from}");
    }
}

#[test]
fn self_approval() {
    let permit = |condition: &str| {
        format!(
            "@id(\"partners\") permit (principal, action == SB::Action::\"ApproveChange\", resource) when {{ {condition} }};"
        )
    };
    let role = |condition: &str| permit(condition).replace("(principal,", "(principal in SB::Role::\"restorer\",");
    let found = counterexample(&role("context.mfa"));
    assert_eq!(found.guard_rail.id, "f-no-self-or-double-approval");
    assert!(found.to_string().starts_with("`partners` permits user u_1, in role restorer, to approve a proposed change (request:r_1), though the same user has"), "{found}");
    let found = counterexample(&role("principal != resource.proposedBy"));
    assert!(found.words.contains("the same user has approved it already"), "{found}");
    assert!(
        Policies::check(&role("principal != resource.proposedBy && !resource.approvals.contains(principal)"), &firm())
            .is_ok()
    );
    // Without a role in its scope it is an auditor's as well.
    let found = counterexample(&permit("principal != resource.proposedBy && !resource.approvals.contains(principal)"));
    assert_eq!(found.guard_rail.id, "f-auditors-and-verifiers-never-write");
}

#[test]
fn an_auditors_write() {
    let write = |role: &str| {
        format!(
            "@id(\"help\") permit (principal in SB::Role::\"{role}\", action == SB::Action::\"CreateSnapshot\", resource);"
        )
    };
    assert!(Policies::check(&write("operator"), &firm()).is_ok());
    let found = counterexample(&write("auditor"));
    assert_eq!(
        found.to_string(),
        "`help` permits user u_1, in role auditor, to make a backup (vault), which must not be: auditors and verifiers change nothing of \
         what they check (guard rail `f-auditors-and-verifiers-never-write`); leave `CreateSnapshot` out of it, or add that condition"
    );
    assert_eq!(counterexample(&write("verifier")).guard_rail, found.guard_rail);
    // Nor by a role of the firm's, by everybody, or by one's own name.
    let mut directory = firm();
    directory.define_role("visitor", [Role::Auditor]).unwrap();
    assert!(matches!(Policies::check(&write("visitor"), &directory), Err(PoliciesError::Permits(_))));
    let everybody = "@id(\"all\") permit (principal, action in SB::Action::\"administer\", resource);";
    assert_eq!(counterexample(everybody).guard_rail, found.guard_rail);
    let unless = "@id(\"all\") permit (principal, action in SB::Action::\"operate\", resource) unless { principal in SB::Role::\"auditor\" };";
    assert!(counterexample(unless).words.contains("in role verifier"));
    let both = "@id(\"all\") permit (principal, action in SB::Action::\"operate\", resource) unless { principal in [SB::Role::\"auditor\", SB::Role::\"verifier\"] };";
    assert!(Policies::check(both, &firm()).is_ok());
}

#[test]
fn acts_that_need_two_people() {
    for action in ["ReleaseHold", "ShortenRetention", "ExportKey", "RemoveUser", "ActivatePolicies"] {
        let text = format!(
            "@id(\"it\") permit (principal in SB::Role::\"administrator\", action == SB::Action::\"{action}\", resource) when {{ context has request }};"
        );
        let found = counterexample(&text);
        assert!(found.guard_rail.is_inviolable, "{found}");
    }
    let shorten = |more: &str| {
        format!(
            "@id(\"it\") permit (principal in SB::Role::\"owner\", action == SB::Action::\"ShortenRetention\", resource) when {{ {} && {APPROVED} {more} }};",
            BOUND.replace("dispose", "shorten")
        )
    };
    let found = counterexample(&shorten(""));
    assert_eq!(
        (found.guard_rail.id, found.words.contains("it is in compliance mode")),
        ("f-compliance-mode-never-shortens", true)
    );
    assert!(Policies::check(&shorten("&& resource.mode == \"governance\""), &firm()).is_ok());
}

#[test]
fn a_forbid_beside_it_makes_a_permit_fine() {
    let permit = dispose(&format!("{BOUND} && {APPROVED} && {EXPIRED}"));
    let forbid = "@id(\"holds\") forbid (principal, action == SB::Action::\"DisposeDocument\", resource) when { resource.holds > 0 };";
    assert!(Policies::check(&format!("{permit}\n{forbid}"), &firm()).is_ok());
    let elsewhere = forbid.replace("resource)", "resource in SB::Client::\"c_1\")");
    let found = counterexample(&format!("{permit}\n{elsewhere}"));
    assert!(
        matches!(&found.request.resource, Resource::Document(document) if document.client.as_str() != "c_1" || document.holds == 0),
        "{found}"
    );
}

#[test]
fn what_only_one_user_client_or_document_is_permitted_is_found() {
    for scope in [
        "principal == SB::User::\"eve\", action == SB::Action::\"DisposeDocument\", resource",
        "principal == SB::Service::\"cron\", action == SB::Action::\"DisposeDocument\", resource",
        "principal in SB::Role::\"owner\", action, resource == SB::Document::\"memo\"",
        "principal in SB::Role::\"owner\", action in SB::Action::\"destroy\", resource in SB::Client::\"acme\"",
        "principal in SB::Role::\"owner\", action in SB::Action::\"destroy\", resource in SB::DocumentClass::\"us.tax\"",
        "principal in SB::Role::\"owner\", action in SB::Action::\"destroy\", resource in SB::Snapshot::\"s_9\"",
    ] {
        counterexample(&format!("@id(\"a\") permit ({scope});"));
    }
    for condition in [
        "context.now > datetime(\"2040-01-01\")",
        "principal in SB::Role::\"restorer\" && principal in SB::Role::\"operator\"",
        "context has users && context.users == 12",
        "context has request && context.request.required == 3 && context.request.distinctApprovals == 2",
        "context has request && context.request.approvals.contains(SB::User::\"boss\")",
        "!context.mfa && !principal.active",
        "context has request && context.request.proposedBy == SB::User::\"boss\"",
        "context has request && context.request.approvals.containsAll([SB::User::\"boss\", SB::User::\"aunt\"])",
    ] {
        let found = counterexample(&format!(
            "@id(\"a\") permit (principal, action == SB::Action::\"DisposeDocument\", resource) when {{ {condition} }};"
        ));
        assert!(!found.permitted_by.is_empty(), "{condition}");
    }
}

#[test]
fn it_does_not_matter_who_is_removed() {
    for condition in [
        "!resource.active",
        "resource in SB::Role::\"operator\"",
        "resource == SB::User::\"eve\"",
        "principal == resource",
        "resource has accessUntil && resource.accessUntil < context.now",
        "resource.clients.contains(SB::Client::\"acme\")",
        "!resource.walledOff.isEmpty()",
    ] {
        let text = format!(
            "@id(\"it\") permit (principal in SB::Role::\"operator\", action == SB::Action::\"RemoveUser\", resource) when {{ {condition} }};"
        );
        assert_eq!(counterexample(&text).permitted_by, ["it"], "{condition}");
    }
    let issue = "@id(\"it\") permit (principal, action == SB::Action::\"IssueReport\", resource) when { resource has author && resource.author != principal };";
    assert_eq!(counterexample(issue).guard_rail.id, "f-auditors-and-verifiers-never-write");
}

#[test]
fn what_takes_too_long_to_try_is_refused() {
    let terms: Vec<String> = (0..14)
        .map(|n| {
            let all = ["context.request.required", "resource.holds", "context.users", "context.approvers"];
            format!("{} && resource.holds == 1000", all.map(|number| format!("{number} == {}", n * 4)).join(" && "))
        })
        .collect();
    let given = "context has request && context has users && context has approvers";
    let text = dispose(&format!("{given} && (({}))", terms.join(") || (")));
    let error = Policies::check(&text, &firm()).unwrap_err();
    let start = "whether `quick` can permit `DisposeDocument` where it must not takes more than 100000 requests to try";
    assert!(error.to_string().starts_with(start), "{error}");
}

/// Nothing needs to be said of these in a policy, because they bind whatever it says.
#[test]
fn a_plain_permit_is_accepted_and_still_stops_at_walls_locks_factors_and_time() {
    let text = "@id(\"all\") permit (principal in SB::Role::\"restorer\", action in SB::Action::\"read\", resource);
        @id(\"walls\") permit (principal, action == SB::Action::\"ReadDocument\", resource) when { principal.walledOff.contains(resource.client) || !principal.active };";
    let mut directory = firm();
    let text = text.replace("resource) when", "resource is SB::Document) when");
    let authorizer = Authorizer::new(Policies::check(&text, &directory).unwrap());
    let request = asked(user(Role::Restorer), Action::RestoreDocument);
    assert!(authorizer.authorize(&directory, &request).is_allowed);
    let mut with_one = request.clone();
    with_one.context.mfa = false;
    assert!(!authorizer.authorize(&directory, &with_one).is_allowed);
    let before = directory.user(&"restorer".into()).unwrap().clone();
    for change in [
        (|user: &mut User| user.is_active = false) as fn(&mut User),
        |user| user.walled_off = ["c_1".into()].into(),
        |user| user.access_until = Some(super::day(2)),
    ] {
        let mut changed = before.clone();
        change(&mut changed);
        directory.set_user("restorer", changed);
        for action in [Action::ReadDocument, Action::RestoreDocument] {
            assert!(!authorizer.authorize(&directory, &asked(user(Role::Restorer), action)).is_allowed, "{action}");
        }
    }
    let assign =
        "@id(\"hr\") permit (principal in SB::Role::\"restorer\", action == SB::Action::\"AssignRole\", resource);";
    let directory = firm();
    let authorizer = Authorizer::new(Policies::check(assign, &directory).unwrap());
    let roles = |user: &str, roles: &[&str]| Resource::Roles {
        user: user.into(),
        after: roles.iter().map(|role| RoleName::from(*role)).collect(),
    };
    for (resource, is_allowed) in [
        (roles("nobody", &["operator"]), true),
        (roles("nobody", &["auditor", "owner"]), false),
        (roles("restorer", &["owner"]), false),
    ] {
        let request = Request::new(user(Role::Restorer), Action::AssignRole, resource, privileged());
        assert_eq!(authorizer.authorize(&directory, &request).is_allowed, is_allowed, "{request:?}");
    }
}
