//! What one person alone may not do: asking, agreeing, waiting, and doing it once.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod world;

use proptest::prelude::*;
use sb_core::chrono::TimeDelta;
use sb_core::crypto::Credential;
use sb_core::repo::UserId;
use sb_core::{
    Act, COOLING_OFF, ChangeUserOptions, CoreError, LAPSES_AFTER, Progress, RepoError, RequestState, Session,
};
use world::World;

/// A vault with an owner, and others with these roles, whose sessions are open.
struct Firm {
    world: World,
    owner: Session,
    others: Vec<(UserId, Credential, Session)>,
}

impl Firm {
    fn new(roles: &[&str]) -> Self {
        let world = World::new();
        let mut others = Vec::new();
        for (n, role) in roles.iter().enumerate() {
            let (user, credential) = world.add(&format!("user-{n}"), &[role]);
            let session = world.open_as(&format!("user-{n}"), &credential).unwrap();
            others.push((user, credential, session));
        }
        Self { owner: world.open(), world, others }
    }

    fn user(&self, n: usize) -> UserId {
        self.others[n].0
    }

    fn session(&mut self, n: usize) -> &mut Session {
        &mut self.others[n].2
    }
}

fn propose(session: &mut Session, act: &Act) -> String {
    session.propose(act, None, Progress::none()).unwrap().filed.id.to_string()
}

impl Firm {
    /// As who opens the vault now sees it.
    fn state(&self, id: &str) -> RequestState {
        self.world.open().show_request(id).unwrap().request.state
    }
}

/// Whether it was refused because others have to agree first.
fn needs_approval<T>(outcome: Result<T, CoreError>) -> bool {
    matches!(outcome, Err(CoreError::NeedsApproval { .. }))
}

fn policy() -> String {
    "@id(\"officers-look\") permit (principal in SB::Role::\"complianceOfficer\", action in SB::Action::\"look\", resource);"
        .to_owned()
}

fn own_roles(user: UserId) -> (ChangeUserOptions, Act) {
    let roles = vec!["owner".to_owned(), "restorer".to_owned()];
    let mut options = ChangeUserOptions::default();
    options.roles = Some(roles.clone());
    (options, Act::Roles(user, roles))
}

#[test]
fn two_people_export_a_key_remove_a_user_give_themselves_roles_and_set_policies_and_one_does_not() {
    let mut firm = Firm::new(&["owner", "verifier"]);
    let (own, verifier) = (firm.owner.vault().user(), firm.user(1));
    let (options, roles) = own_roles(own);
    let acts = [Act::ExportRecoveryKey(own), roles, Act::ActivatePolicies(policy()), Act::RemoveUser(verifier)];
    let carry_out = |session: &mut Session, act: &Act| match act {
        Act::ExportRecoveryKey(_) => session.export_recovery_key(Progress::none()).map(drop),
        Act::RemoveUser(user) => session.remove_user(*user, Progress::none()),
        Act::Roles(user, _) => session.change_user(*user, &options, Progress::none()),
        Act::ActivatePolicies(text) => session.activate_policies(text, Progress::none()),
        other => panic!("{other:?}"),
    };
    for act in &acts {
        assert!(needs_approval(carry_out(&mut firm.owner, act)), "{act:?}");
        let id = propose(&mut firm.owner, act);
        assert!(matches!(
            carry_out(&mut firm.owner, act),
            Err(CoreError::NeedsApproval { pending: Some((_, RequestState::Waiting { approvals: 1 })), .. })
        ));
        // Who asks does not agree for himself.
        assert!(matches!(firm.owner.approve(&id, Progress::none()), Err(CoreError::Denied { .. })));
        let approved = firm.session(0).approve(&id, Progress::none()).unwrap();
        assert_eq!((approved.state, approved.counted), (RequestState::Ready, vec![firm.user(0)]));
        assert!(matches!(firm.session(0).approve(&id, Progress::none()), Err(CoreError::Denied { .. })));
        if matches!(act, Act::ExportRecoveryKey(_)) {
            // It is for who asked, and not for who agreed.
            assert!(needs_approval(carry_out(firm.session(0), act)));
        }
        carry_out(&mut firm.owner, act).unwrap_or_else(|error| panic!("{act:?}: {error}"));
        assert_eq!(firm.state(&id), RequestState::CarriedOut);
        // It was agreed to once.
        match act {
            Act::RemoveUser(_) => assert!(matches!(carry_out(&mut firm.owner, act), Err(CoreError::NoSuchUser { .. }))),
            _ => assert!(needs_approval(carry_out(&mut firm.owner, act)), "{act:?}"),
        }
        let closed = firm.session(0).approve(&id, Progress::none());
        assert!(matches!(closed, Err(CoreError::RequestClosed { state: RequestState::CarriedOut, .. })));
    }
    let roll = firm.world.open().vault().current_roll().unwrap();
    assert_eq!(roll.member(own).unwrap().roles, ["owner", "restorer"]);
    assert!(roll.member(verifier).is_none());
    let (_, credential, _) = &firm.others[1];
    assert!(firm.world.open_as("user-1", credential).is_err());
    assert_eq!(firm.world.open().policies().unwrap(), Some(policy()));
}

#[test]
fn alone_time_stands_in_and_begins_anew_when_users_change() {
    let mut firm = Firm::new(&["verifier"]);
    let own = firm.owner.vault().user();
    let id = propose(&mut firm.owner, &Act::ExportRecoveryKey(own));
    let waits = |outcome| matches!(outcome, Err(CoreError::NeedsApproval { is_alone: true, .. }));
    assert!(waits(firm.owner.export_recovery_key(Progress::none())));
    assert!(matches!(firm.state(&id), RequestState::CoolingOff { .. }));
    firm.world.clock.put_forward(COOLING_OFF - TimeDelta::hours(1));
    assert!(waits(firm.owner.export_recovery_key(Progress::none())));
    // Who could be sent away to be alone could have been asked.
    firm.world.add("newcomer", &["verifier"]);
    firm.world.clock.put_forward(TimeDelta::hours(2));
    assert!(waits(firm.owner.export_recovery_key(Progress::none())));
    firm.world.clock.put_forward(COOLING_OFF);
    let recovery = firm.owner.export_recovery_key(Progress::none()).unwrap();
    assert!(firm.world.vault().open(&Credential::Recovery(recovery), None).is_ok());
    assert!(waits(firm.owner.export_recovery_key(Progress::none())));
}

#[test]
fn where_somebody_could_be_asked_time_does_not_stand_in() {
    let mut firm = Firm::new(&["complianceOfficer"]);
    let own = firm.owner.vault().user();
    let id = propose(&mut firm.owner, &Act::ExportRecoveryKey(own));
    firm.world.clock.put_forward(COOLING_OFF * 2);
    assert!(needs_approval(firm.owner.export_recovery_key(Progress::none())));
    assert_eq!(firm.state(&id), RequestState::Waiting { approvals: 1 });
    firm.session(0).approve(&id, Progress::none()).unwrap();
    firm.world.clock.put_forward(LAPSES_AFTER);
    assert!(needs_approval(firm.owner.export_recovery_key(Progress::none())));
    assert_eq!(firm.state(&id), RequestState::Lapsed);
}

#[test]
fn an_approval_for_one_thing_does_nothing_for_another() {
    let mut firm = Firm::new(&["complianceOfficer", "verifier", "verifier"]);
    let (bob, ann, own) = (firm.user(1), firm.user(2), firm.owner.vault().user());
    let (mut options, roles) = own_roles(own);
    for act in [Act::RemoveUser(bob), roles, Act::ActivatePolicies(policy())] {
        let id = propose(&mut firm.owner, &act);
        firm.session(0).approve(&id, Progress::none()).unwrap();
    }
    assert!(needs_approval(firm.owner.remove_user(ann, Progress::none())));
    assert!(needs_approval(firm.owner.export_recovery_key(Progress::none())));
    assert!(needs_approval(firm.owner.activate_policies(&(policy() + " "), Progress::none())));
    options.roles = Some(vec!["owner".to_owned(), "operator".to_owned()]);
    assert!(needs_approval(firm.owner.change_user(own, &options, Progress::none())));
    options.roles = Some(vec!["owner".to_owned(), "restorer".to_owned()]);
    options.access_until = Some(None);
    let more = firm.owner.change_user(own, &options, Progress::none());
    assert!(matches!(more, Err(CoreError::OwnClients)), "{more:?}");
    firm.owner.remove_user(bob, Progress::none()).unwrap();
}

#[test]
fn only_who_may_agree_agrees_and_only_who_may_do_it_does_it() {
    let mut firm = Firm::new(&["complianceOfficer", "operator", "administrator", "verifier"]);
    let act = Act::RemoveUser(firm.user(3));
    // Who may not ask is not heard, and who may not agree neither.
    let denied = firm.session(1).propose(&act, None, Progress::none());
    assert!(matches!(denied, Err(CoreError::Denied { .. })));
    let id = propose(firm.session(2), &act);
    for n in [1, 2] {
        assert!(matches!(firm.session(n).approve(&id, Progress::none()), Err(CoreError::Denied { .. })), "{n}");
    }
    // Whatever another program says with their keys.
    let filed = firm.world.open().vault().view().requests().filed[0].id;
    let mut operator = firm.others.remove(1);
    forged_approval(&firm.world, &operator.1, filed);
    let bob = firm.user(2);
    assert!(needs_approval(firm.session(1).remove_user(bob, Progress::none())));
    assert_eq!(firm.state(&id), RequestState::Waiting { approvals: 1 });
    // Nor does who has agreed and was locked out since.
    firm.session(0).approve(&id, Progress::none()).unwrap();
    let officer = firm.user(0);
    firm.owner.lock_user(officer, true, Progress::none()).unwrap();
    assert!(matches!(firm.state(&id), RequestState::CoolingOff { .. }));
    firm.owner.lock_user(officer, false, Progress::none()).unwrap();
    // Asked for by one and agreed to by another, it may be done by a third who may do such things.
    assert!(matches!(operator.2.remove_user(firm.user(2), Progress::none()), Err(CoreError::Denied { .. })));
    firm.owner.remove_user(firm.user(2), Progress::none()).unwrap();
}

/// What the program would not do, done with the same keys.
fn forged_approval(world: &World, credential: &Credential, request: sb_core::repo::RequestId) {
    use sb_core::repo::{State, Surroundings, Vault};
    let storage = sb_core::store::LocalStorage::open(world.root.join("vault")).unwrap();
    let around = Surroundings {
        storage: std::sync::Arc::new(storage),
        state: State::in_memory(),
        clock: world.clock.clone(),
        random: std::sync::Arc::new(sb_core::crypto::SystemRandom),
    };
    Vault::open(around, credential, None).unwrap().decide(request, true).unwrap();
}

#[test]
fn what_is_refused_or_withdrawn_is_not_done_and_who_is_gone_asks_for_nothing() {
    let mut firm = Firm::new(&["owner", "verifier", "administrator"]);
    let bob = firm.user(1);
    let refused = propose(&mut firm.owner, &Act::RemoveUser(bob));
    firm.session(0).reject(&refused, Progress::none()).unwrap();
    assert_eq!(firm.state(&refused), RequestState::Rejected);
    let withdrawn = propose(&mut firm.owner, &Act::RemoveUser(bob));
    firm.owner.reject(&withdrawn, Progress::none()).unwrap();
    let approved = firm.session(0).approve(&withdrawn, Progress::none());
    assert!(matches!(approved, Err(CoreError::RequestClosed { .. })));
    assert!(needs_approval(firm.owner.remove_user(bob, Progress::none())));
    let orphaned = propose(firm.session(2), &Act::RemoveUser(bob));
    firm.session(0).approve(&orphaned, Progress::none()).unwrap();
    let administrator = firm.user(2);
    firm.owner.lock_user(administrator, true, Progress::none()).unwrap();
    assert_eq!(firm.state(&orphaned), RequestState::Void);
    assert!(needs_approval(firm.owner.remove_user(bob, Progress::none())));
    let unknown = firm.owner.reject("0123", Progress::none());
    assert!(matches!(unknown, Err(CoreError::NoSuchRequest { .. })));
}

#[test]
fn nobody_is_asked_for_what_would_be_denied_whoever_agreed() {
    let mut firm = Firm::new(&["complianceOfficer"]);
    let own = firm.owner.vault().user();
    let denied = firm.owner.propose(&Act::Roles(own, vec!["owner".into(), "auditor".into()]), None, Progress::none());
    assert!(matches!(denied, Err(CoreError::Denied { .. })), "{denied:?}");
    let officer = firm.user(0);
    let denied = firm.session(0).propose(&Act::RemoveUser(officer), None, Progress::none());
    assert!(matches!(denied, Err(CoreError::Denied { .. })), "{denied:?}");
    let nobody = firm.owner.propose(&Act::RemoveUser(UserId::new([9; 16])), None, Progress::none());
    assert!(matches!(nobody, Err(CoreError::NoSuchUser { .. })));
    let text = "@id(\"x\") permit (principal, action == SB::Action::\"ApproveChange\", resource);".to_owned();
    let refused = firm.owner.propose(&Act::ActivatePolicies(text.clone()), None, Progress::none());
    assert!(matches!(refused, Err(CoreError::Policies(_))), "{refused:?}");
    assert!(matches!(firm.owner.check_policies(&text), Err(CoreError::Policies(_))));
    // The last owner is asked about, and stays all the same.
    let id = propose(&mut firm.owner, &Act::RemoveUser(own));
    firm.session(0).approve(&id, Progress::none()).unwrap();
    let last = firm.owner.remove_user(own, Progress::none());
    assert!(matches!(last, Err(CoreError::Repo(RepoError::LastOwner))), "{last:?}");
}

/// For disposal, release and shortening there is the request, the approval and the decision; the acts come later.
#[test]
fn of_documents_holds_and_retention_it_is_decided_what_may_be_done() {
    let mut firm = Firm::new(&["complianceOfficer"]);
    let decided = |firm: &mut Firm, act: &Act| {
        let id = propose(&mut firm.owner, act);
        firm.session(0).approve(&id, Progress::none()).unwrap();
        firm.world.open().show_request(&id).unwrap().decision.unwrap()
    };
    let disposal = decided(&mut firm, &Act::Dispose("d_1".to_owned()));
    assert!(!disposal.decision.is_allowed);
    assert!(disposal.because.iter().any(|because| because.contains("kept")), "{:?}", disposal.because);
    assert!(decided(&mut firm, &Act::ReleaseHold("h_1".to_owned())).decision.is_allowed);
    assert!(decided(&mut firm, &Act::ShortenRetention("r_1".to_owned())).decision.is_allowed);
}

#[test]
fn the_log_has_who_asked_who_agreed_and_by_which_request_it_was_done() {
    let mut firm = Firm::new(&["complianceOfficer", "verifier"]);
    let bob = firm.user(1);
    assert!(needs_approval(firm.owner.remove_user(bob, Progress::none())));
    let id = propose(&mut firm.owner, &Act::RemoveUser(bob));
    firm.session(0).approve(&id, Progress::none()).unwrap();
    firm.owner.remove_user(bob, Progress::none()).unwrap();
    let log = firm.world.open().read_log(Progress::none()).unwrap();
    let said: Vec<String> = log
        .entries
        .iter()
        .map(|logged| &logged.entry.event)
        .filter(|event| event.action.as_str().starts_with("Request.") || event.action.as_str() == "User.Remove")
        .filter(|event| event.outcome != sb_core::audit::Outcome::Intent)
        .map(|event| {
            format!("{} {:?} {} {:?}", event.action.as_str(), event.outcome, event.object.as_str(), event.data)
        })
        .collect();
    let has = |parts: &[&str]| said.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    let request = format!("request:{id}");
    assert!(has(&["User.Remove", "Denied", "approval"]), "{said:#?}");
    assert!(has(&["Request.Propose", "Success", &request, "removeUser", &format!("user:{bob}")]), "{said:#?}");
    assert!(has(&["Request.Approve", "Success", &request]), "{said:#?}");
    assert!(has(&["User.Remove", "Success", &request]), "{said:#?}");
}

/// What happens to requests to remove one of three users.
#[derive(Clone, Copy, Debug)]
enum Step {
    Propose(usize, usize),
    Approve(usize, usize),
    Reject(usize, usize),
    Do(usize, usize),
    Lock(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0usize..4, 0usize..3).prop_map(|(who, whom)| Step::Propose(who, whom)),
        (0usize..4, 0usize..6).prop_map(|(who, request)| Step::Approve(who, request)),
        (0usize..4, 0usize..6).prop_map(|(who, request)| Step::Reject(who, request)),
        (0usize..4, 0usize..3).prop_map(|(who, whom)| Step::Do(who, whom)),
        (0usize..3, any::<bool>()).prop_map(|(who, locked)| Step::Lock(who, locked)),
    ]
}

/// A request to remove somebody, as the model has it.
#[derive(Clone, Debug)]
struct Asked {
    id: String,
    by: usize,
    whom: usize,
    agreed: Vec<usize>,
    is_closed: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever three who may ask, two of whom may agree, and one who may not do anything: nobody is removed but by a request for
    /// exactly that, by one, agreed to by another, who may do so at that time, and that nobody has refused.
    #[test]
    fn nobody_is_removed_but_by_two(steps in proptest::collection::vec(step(), 1..30)) {
        // 0 owner, 1 compliance officer, 2 administrator, 3 operator; and three to be removed.
        let mut firm = Firm::new(&["owner", "complianceOfficer", "administrator", "operator", "verifier", "verifier", "verifier"]);
        let (may_ask, may_agree, may_do) = ([true, true, true, false], [true, true, false, false], [true, false, true, false]);
        let (mut asked, mut locked, mut gone): (Vec<Asked>, [bool; 4], [bool; 3]) = (Vec::new(), [false; 4], [false; 3]);
        for step in steps {
            match step {
                Step::Propose(who, whom) => {
                    let act = Act::RemoveUser(firm.user(4 + whom));
                    let proposed = firm.session(who).propose(&act, None, Progress::none());
                    // Who is locked finds out when the vault is opened; an open session asks about what there is.
                    let may = may_ask[who] && may_do[who] && !locked[who] && !gone[whom];
                    prop_assert_eq!(proposed.is_ok(), may, "{:?}", proposed);
                    asked.extend(proposed.ok().map(|request| Asked {
                        id: request.filed.id.to_string(), by: who, whom, agreed: Vec::new(), is_closed: false,
                    }));
                }
                Step::Approve(who, request) => {
                    let Some(request) = asked.get_mut(request) else { continue };
                    let is_open = !request.is_closed && !locked[request.by];
                    let agreed = firm.others[who].2.approve(&request.id, Progress::none());
                    let may = may_agree[who] && !locked[who] && who != request.by && !request.agreed.contains(&who);
                    prop_assert_eq!(agreed.is_ok(), may && is_open, "{:?}", agreed);
                    if may && is_open {
                        request.agreed.push(who);
                    }
                }
                Step::Reject(who, request) => {
                    let Some(request) = asked.get_mut(request) else { continue };
                    let is_open = !request.is_closed && !locked[request.by];
                    let may = (who == request.by || may_agree[who]) && !locked[who];
                    let rejected = firm.others[who].2.reject(&request.id, Progress::none());
                    prop_assert_eq!(rejected.is_ok(), may && is_open, "{:?}", rejected);
                    request.is_closed |= may && is_open;
                }
                Step::Do(who, whom) => {
                    let user = firm.user(4 + whom);
                    let fits = |request: &&mut Asked| {
                        request.whom == whom && !request.is_closed && !locked[request.by] && request.agreed.iter().any(|&n| !locked[n])
                    };
                    let fitting = asked.iter_mut().filter(fits).count();
                    let done = firm.session(who).remove_user(user, Progress::none());
                    let may = may_do[who] && !locked[who] && fitting > 0 && !gone[whom];
                    prop_assert_eq!(done.is_ok(), may, "{:?}", done);
                    if may {
                        gone[whom] = true;
                        let states = firm.world.open().requests(false).unwrap().requests;
                        for request in &mut asked {
                            let state = states.iter().find(|judged| judged.filed.id.to_string() == request.id).unwrap().state;
                            request.is_closed |= state == RequestState::CarriedOut;
                        }
                    }
                }
                Step::Lock(who, lock) => {
                    let user = firm.user(who);
                    let owner = &mut firm.owner;
                    prop_assert!(owner.lock_user(user, lock, Progress::none()).is_ok());
                    locked[who] = lock;
                }
            }
            let roll = firm.world.open().vault().current_roll().unwrap();
            for (whom, gone) in gone.iter().enumerate() {
                prop_assert_eq!(roll.member(firm.user(4 + whom)).is_none(), *gone);
            }
        }
    }
}
