//! Grants to one user.

use sb_rbac::*;

use super::{asked, built_in, firm, privileged, user};

fn read(principal: &str, client: &str, snapshot: &str) -> Request {
    let mut document = Document::new("d_1", client);
    document.snapshot = Some(snapshot.to_owned());
    Request::new(Principal::user(principal), Action::ReadDocument, Resource::Document(document), privileged())
}

#[test]
fn a_grant_is_for_one_user_and_one_client_or_snapshot_until_it_is_revoked() {
    let (mut authorizer, directory) = (built_in(), firm());
    let request = read("nobody", "c_1", "s_1");
    assert!(!authorizer.authorize(&directory, &request).is_allowed);
    authorizer.grant(&Grant::new("g-1", "nobody", GrantScope::Client("c_1".into()))).unwrap();
    authorizer.grant(&Grant::new("g-2", "nobody", GrantScope::Snapshot("s_2".into()))).unwrap();
    let decision = authorizer.authorize(&directory, &request);
    assert!(decision.is_allowed);
    assert_eq!((decision.determined_by[0].id.as_str(), decision.determined_by[0].kind), ("g-1", PolicyKind::Grant));
    assert!(authorizer.authorize(&directory, &read("nobody", "c_2", "s_2")).is_allowed);
    assert!(!authorizer.authorize(&directory, &read("nobody", "c_2", "s_1")).is_allowed);
    assert!(!authorizer.authorize(&directory, &read("operator", "c_1", "s_1")).is_allowed);
    for request in [request.clone(), read("nobody", "c_2", "s_2"), read("nobody", "c_2", "s_1")] {
        assert_eq!(authorizer.authorize(&directory, &request), authorizer.authorize_unsliced(&directory, &request));
    }
    let snapshot = Resource::Snapshot { id: "s_2".into(), client: "c_2".into() };
    for (action, is_allowed) in
        [(Action::RestoreDocument, true), (Action::ListSnapshot, true), (Action::ForgetSnapshot, false)]
    {
        let request = Request::new(Principal::user("nobody"), action, snapshot.clone(), privileged());
        assert_eq!(authorizer.authorize(&directory, &request).is_allowed, is_allowed, "{action}");
    }
    assert!(authorizer.revoke("g-1") && !authorizer.revoke("g-1"));
    assert!(!authorizer.authorize(&directory, &request).is_allowed);
    assert!(authorizer.authorize(&directory, &read("nobody", "c_2", "s_2")).is_allowed);
}

#[test]
fn guard_rails_bind_grants_too() {
    let (mut authorizer, mut directory) = (built_in(), firm());
    authorizer.grant(&Grant::new("g-1", "nobody", GrantScope::Client("c_1".into()))).unwrap();
    let mut walled = User::new(Vec::<Role>::new());
    walled.walled_off = ["c_1".into()].into();
    directory.set_user("nobody", walled);
    assert!(!authorizer.authorize(&directory, &read("nobody", "c_1", "s_1")).is_allowed);
}

#[test]
fn ids_of_grants_are_their_own() {
    let mut authorizer = built_in();
    let grant = |id: &str| Grant::new(id, "nobody", GrantScope::Client("c_1".into()));
    authorizer.grant(&grant("g-1")).unwrap();
    for id in ["g-1", "f-inactive", "p-operate", "t-adhoc-restore"] {
        let error = authorizer.grant(&grant(id)).unwrap_err();
        assert_eq!(error.to_string(), format!("there is a policy or a grant `{id}` already"));
    }
    assert!(!authorizer.revoke("p-operate"));
    assert!(authorizer.authorize(&firm(), &asked(user(Role::Operator), Action::CreateSnapshot)).is_allowed);
}
