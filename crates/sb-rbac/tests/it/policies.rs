//! Reading a firm's policies: what is wrong with them, where, and what to do.

use sb_rbac::*;

use super::{asked, firm, privileged, user};

fn refused(text: &str) -> String {
    Policies::check(text, &firm()).unwrap_err().to_string()
}

#[test]
fn messages_say_which_policy_where_and_what_to_do() {
    let fine = "@id(\"a\") permit (principal, action == SB::Action::\"ShowVault\", resource);\n";
    for (text, message) in [
        ("\npermit (principal, action, resource", "line 2: unexpected end of input"),
        ("@id(\"a\")\npermit (principal, action, resource) when { principal.nmae };", "line 2: policy `a`: "),
        (
            &format!("{fine}permit (principal, action, resource);"),
            "line 2: this policy has no id; write `@id(\"…\")` before it",
        ),
        (&format!("{fine}@id(\"\") permit (principal, action, resource);"), "line 2: this policy has no id"),
        (&format!("{fine}\n{fine}"), "line 3: the id `a` is that of another policy; give the policy another"),
        (
            "@id(\"f-inactive\") permit (principal, action, resource);",
            "line 1: the id `f-inactive` is kept for guard rails and built-in policies",
        ),
        ("@id(\"f-mine\") permit (principal, action, resource);", "line 1: the id `f-mine` is kept for guard rails"),
        ("@id(\"t-adhoc-restore\") permit (principal, action, resource);", "line 1: the id `t-adhoc-restore`"),
        (
            "@id(\"t\") permit (principal == ?principal, action, resource);",
            "policy `t`: templates are not for firms; grant",
        ),
        (
            "@id(\"a\") permit (principal in SB::Role::\"Operator\", action, resource);",
            "line 1: policy `a`: there is no role `Operator`; define it first, or write `operator`",
        ),
        (
            "@id(\"a\") permit (principal in SB::Role::\"partner\", action, resource);",
            "there is no role `partner`; define it first",
        ),
        ("@id(\"a\") permit (principal, action == SB::Action::\"EditLog\", resource);", "line 1: policy `a`: "),
        (
            "@id(\"a\") permit (principal, action == SB::Action::\"ReadLog\", resource) when { resource.holds > 1 };",
            "line 1: policy `a`: ",
        ),
        // Two steps are one too many: only what lies one step away is handed over.
        (
            "@id(\"a\") permit (principal, action == SB::Action::\"ApproveChange\", resource) when { resource.proposedBy.active };",
            "line 1: policy `a`: ",
        ),
        // It never applies, so it is a mistake.
        (
            "@id(\"a\") permit (principal, action == SB::Action::\"ReadLog\", resource is SB::Client);",
            "line 1: policy `a`: ",
        ),
    ] {
        assert!(refused(text).starts_with(message) || refused(text).contains(message), "{text}\n{}", refused(text));
    }
}

#[test]
fn size_and_depth_are_limited() {
    let one = |n: usize| format!("@id(\"p{n}\") permit (principal, action == SB::Action::\"ShowVault\", resource);\n");
    let many: String = (0..1001).map(one).collect();
    assert!(refused(&many).starts_with("1001 policies are more than 1000"));
    assert!(refused(&" ".repeat(300_000)).starts_with("policies of 300000 bytes are more than 262144"));
    let start = "@id(\"a\") permit (principal, action, resource) when {\n";
    for deep in ["(".repeat(100_000), "[".repeat(33), "if true then 1 else ".repeat(40)] {
        assert!(
            refused(&format!("{start}{deep}")).starts_with("line 2: more than 32 brackets or `if`s within each other"),
            "{}",
            deep.len()
        );
    }
    // What only looks like it does no harm.
    let quoted = format!(
        "@id(\"a\") permit (principal, action == SB::Action::\"ShowVault\", resource) unless {{ principal == SB::User::\"\\\"{}\" }}; // {}\n",
        "(".repeat(40),
        "[".repeat(40)
    );
    assert!(Policies::check(&quoted, &firm()).is_ok());
    // Long chains that nest nothing are not deep.
    let flat = format!(
        "@id(\"a\") permit (principal, action == SB::Action::\"ShowVault\", resource) when {{ {} context.mfa }};",
        "context.mfa && ".repeat(160)
    );
    assert!(Policies::check(&flat, &firm()).is_ok());
}

#[test]
fn hostile_texts_are_errors() {
    for text in [
        "\u{0}",
        "@id(",
        "permit",
        "💥",
        "@id(\"a\") permit (principal, action, resource) when { \"\\u{202e}\" == \"a\" };",
        "//",
        "@id(\"a\")@id(\"b\") permit (principal, action, resource);",
    ] {
        let _ = Policies::check(text, &firm());
    }
    let right_to_left = "@id(\"a\") permit (principal, action == SB::Action::\"ShowVault\", resource) unless { principal == SB::User::\"u\u{202e}\" };";
    assert!(refused(right_to_left).contains("policy `a`"));
    for nested in ["!".repeat(5000), "-".repeat(5000), "a.".repeat(50_000), "a has ".repeat(5000), "a == ".repeat(5000)]
    {
        refused(&format!("@id(\"a\") permit (principal, action, resource) when {{ {nested}1 }};"));
    }
    let long = format!(
        "@id(\"a\") permit (principal, action == SB::Action::\"ShowVault\", resource) when {{ {}1 > 0 }};",
        "1 + ".repeat(20_000)
    );
    let _ = Policies::check(&long, &firm());
}

#[test]
fn many_names_take_no_longer_than_they_may() {
    let ids = |kind: &str, count: usize| {
        let ids: Vec<String> = (0..count).map(|n| format!("SB::{kind}::\"{kind}{n}\"")).collect();
        ids.join(", ")
    };
    let mut directory = firm();
    for n in 0..500 {
        directory.define_role(format!("Role{n}"), [Role::Operator]).unwrap();
    }
    let policy = |condition: String| {
        format!(
            "@id(\"a\") permit (principal, action == SB::Action::\"ExportKey\", resource) when {{ {condition} && context has request && !context.mfa }};"
        )
    };
    for condition in
        [format!("[{}].contains(principal)", ids("User", 5000)), format!("principal in [{}]", ids("Role", 500))]
    {
        let error = Policies::check(&policy(condition), &directory).unwrap_err();
        assert!(matches!(error, PoliciesError::Permits(_) | PoliciesError::TooComplex(_)), "{error}");
    }
}

#[test]
fn what_is_accepted_is_kept_as_it_was_written() {
    let text = "// ours\n@id(\"b\") permit (principal, action == SB::Action::\"ShowVault\", resource);\n@id(\"a\")\nforbid (principal, action == SB::Action::\"ShowVault\", resource) when { !context.mfa };";
    let directory = firm();
    let policies = Policies::check(text, &directory).unwrap();
    assert_eq!((policies.text(), policies.ids().collect::<Vec<_>>()), (text, vec!["b", "a"]));
    let authorizer = Authorizer::new(policies);
    assert_eq!(authorizer.policies().text(), text);
    let mut request = asked(Principal::user("nobody"), Action::ShowVault);
    let decision = authorizer.authorize(&directory, &request);
    assert!(decision.is_allowed);
    assert_eq!((decision.determined_by[0].id.as_str(), decision.determined_by[0].kind), ("b", PolicyKind::Firm));
    request.context.mfa = false;
    assert_eq!(authorizer.authorize(&directory, &request).determined_by[0].id, "a");
}

#[test]
fn nothing_is_allowed_if_a_policy_cannot_be_evaluated() {
    let directory = firm();
    let overflow = "context.users + 9223372036854775807 > 0";
    for effect in ["permit", "forbid"] {
        let text = format!(
            "@id(\"a\") {effect} (principal in SB::Role::\"operator\", action == SB::Action::\"CreateSnapshot\", resource) when {{ context has users && {overflow} }};"
        );
        let authorizer = Authorizer::new(Policies::check(&text, &directory).unwrap());
        let decision = authorizer.authorize(&directory, &asked(user(Role::Operator), Action::CreateSnapshot));
        assert!(!decision.is_allowed && decision.determined_by.is_empty(), "{decision:?}");
        assert_eq!(decision.errors[0].policy, "a");
        // Others are not concerned.
        assert!(authorizer.authorize(&directory, &asked(user(Role::Owner), Action::CreateSnapshot)).is_allowed);
        let explanation = authorizer.explain(&directory, &asked(user(Role::Operator), Action::CreateSnapshot));
        assert!(explanation.because[0].starts_with("policy `a` cannot be evaluated: "), "{explanation}");
    }
}

#[test]
fn a_snapshot_is_not_read_whole_where_some_documents_of_it_are_forbidden() {
    let directory = firm();
    let text = "@id(\"no-payroll\") forbid (principal in SB::Role::\"restorer\", action in SB::Action::\"read\", resource in SB::DocumentClass::\"us.payroll\");";
    let authorizer = Authorizer::new(Policies::check(text, &directory).unwrap());
    let snapshot = Resource::Snapshot { id: "s_1".into(), client: "c_1".into() };
    let request = |action, resource| Request::new(user(Role::Restorer), action, resource, privileged());
    let decision = authorizer.authorize(&directory, &request(Action::RestoreDocument, snapshot.clone()));
    assert_eq!((decision.is_allowed, decision.determined_by[0].id.as_str()), (false, "no-payroll"));
    assert!(authorizer.authorize(&directory, &request(Action::ListSnapshot, snapshot.clone())).is_allowed);
    // Others are not concerned, nor are other clients.
    let owner = Request::new(user(Role::Owner), Action::RestoreDocument, snapshot.clone(), privileged());
    assert!(authorizer.authorize(&directory, &owner).is_allowed);
    let elsewhere = "@id(\"holds\") forbid (principal, action in SB::Action::\"read\", resource is SB::Document in SB::Client::\"c_2\") when { resource.holds > 0 };";
    let other = Authorizer::new(Policies::check(elsewhere, &directory).unwrap());
    assert!(other.authorize(&directory, &owner).is_allowed);
    let here = Authorizer::new(Policies::check(&elsewhere.replace("c_2", "c_1"), &directory).unwrap());
    assert!(!here.authorize(&directory, &owner).is_allowed);
    for (class, is_allowed) in [("us.payroll", false), ("us.tax", true)] {
        let mut document = Document::new("d_1", "c_1");
        document.classes = [class.to_owned()].into();
        let decision = authorizer.authorize(&directory, &request(Action::ReadDocument, Resource::Document(document)));
        assert_eq!(decision.is_allowed, is_allowed, "{class}");
    }
}
