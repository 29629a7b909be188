//! Who may do what: every operation asks, and what it is told is in the log.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sb_core::audit::Outcome;
use sb_core::chrono::DateTime;
use sb_core::crypto::{Credential, KeyFile, Lock, SystemRandom};
use sb_core::rbac::{Action, RequestKind, Role};
use sb_core::repo::UserId;
use sb_core::{
    Act, AddUserOptions, AnchorOptions, ChangeUserOptions, Clock, CollectOptions, CoreError, DiffOptions,
    EvidenceOptions, FindOptions, ForgetOptions, KeepRules, LsOptions, Progress, RebuildOptions, RepoError,
    RestoreOptions, Selection, Session, SnapshotPath, SnapshotsOptions, StatsOptions, TagOptions, VerifyLevel,
    VerifyOptions,
};
use world::World;

type Operation = (&'static str, Action, fn(&World, &mut Session) -> Result<(), CoreError>);

fn latest() -> SnapshotPath {
    SnapshotPath { snapshot: "latest".to_owned(), path: None }
}

/// Every public operation of a session that does something to the vault or shows something of it, and what it asks for.
fn operations() -> Vec<Operation> {
    [looking(), reading(), working(), proving(), managing()].concat()
}

fn looking() -> Vec<Operation> {
    vec![
        ("info", Action::ShowVault, |_, s| s.info().map(drop)),
        ("snapshots", Action::SeeSnapshots, |_, s| s.snapshots(&SnapshotsOptions::default()).map(drop)),
        ("find", Action::SeeSnapshots, |_, s| s.find("latest", Progress::none()).map(drop)),
        ("plan_forgetting", Action::SeeSnapshots, |w, s| {
            let options = ForgetOptions::new(Selection::ByRules(KeepRules { last: Some(1), ..KeepRules::default() }));
            s.plan_forgetting(&options, w.clock.now(), &|time| time.naive_utc(), Progress::none()).map(drop)
        }),
        ("stats", Action::MeasureVault, |_, s| s.stats(&StatsOptions::default(), Progress::none()).map(drop)),
        ("ls", Action::ListSnapshot, |_, s| {
            s.ls(&latest(), LsOptions::default(), Progress::none(), &mut |_, _| Ok(())).map(drop)
        }),
        ("is_folder", Action::ListSnapshot, |_, s| s.is_folder(&latest(), Progress::none()).map(drop)),
        ("diff", Action::CompareSnapshots, |_, s| {
            s.diff("latest", "latest", &DiffOptions::default(), Progress::none(), &mut |_| Ok(())).map(drop)
        }),
        ("find_entries", Action::FindEntries, |_, s| {
            let options = FindOptions::default();
            s.find_entries(&options, Progress::none(), &mut |_, _, _| Ok(())).map(drop)
        }),
    ]
}

fn reading() -> Vec<Operation> {
    vec![
        ("cat", Action::ReadDocument, |w, s| {
            let path = w.root.join("firm/note.txt");
            let at = SnapshotPath {
                snapshot: "latest".to_owned(),
                path: Some(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec()),
            };
            s.cat(&at, Progress::none(), &mut |_| Ok(())).map(drop)
        }),
        ("archive", Action::ReadDocument, |_, s| {
            s.archive(&latest(), Progress::none(), &mut std::io::sink()).map(drop)
        }),
        ("restore", Action::RestoreDocument, |w, s| {
            let to = w.root.join(format!("restored-{}", s.vault().user()));
            s.restore(&latest(), &to, RestoreOptions::default(), Progress::none()).map(drop)
        }),
        ("restore_in_place", Action::RestoreDocument, |_, s| {
            s.restore_in_place(&latest(), RestoreOptions::default(), Progress::none()).map(drop)
        }),
    ]
}

fn working() -> Vec<Operation> {
    vec![
        ("backup", Action::CreateSnapshot, |w, s| s.backup(&w.options(), Progress::none()).map(drop)),
        ("backup_source", Action::CreateSnapshot, |w, s| {
            let firm = w.root.join("firm").into_os_string().into_encoded_bytes();
            let mut source = sb_core::source::MemorySource::new(&[&firm]);
            source.file([&firm[..], b"/note.txt"].concat(), b"remember");
            s.backup_source(&source, &w.options(), Progress::none()).map(drop)
        }),
        ("tag", Action::TagSnapshot, |_, s| {
            let mut options = TagOptions::default();
            (options.snapshots, options.add) = (vec!["latest".to_owned()], vec![s.vault().user().to_string()]);
            s.tag(&options, Progress::none()).map(drop)
        }),
        ("collect", Action::CollectVault, |_, s| s.collect(&CollectOptions::default(), Progress::none()).map(drop)),
        ("rebuild", Action::RebuildLocator, |_, s| s.rebuild(RebuildOptions::default(), Progress::none()).map(drop)),
        ("check_index", Action::CheckLocator, |_, s| s.check_index(Progress::none()).map(drop)),
        ("verify", Action::RunVerify, |_, s| {
            let mut options = VerifyOptions::default();
            options.level = VerifyLevel::Objects;
            s.verify(options, Progress::none()).map(drop)
        }),
    ]
}

fn proving() -> Vec<Operation> {
    vec![
        ("certificates", Action::ListCertificates, |_, s| s.certificates().map(drop)),
        ("certificate", Action::ShowCertificate, |_, s| {
            let newest = s.vault().view().certificates().certificates[0].object.to_string();
            s.certificate(&newest, Progress::none()).map(drop)
        }),
        ("sign_certificate", Action::SignCertificate, |_, s| {
            let newest = s.vault().view().certificates().certificates[0].object.to_string();
            s.sign_certificate(&newest, Progress::none()).map(drop)
        }),
        ("export_evidence", Action::ExportEvidence, |w, s| {
            let newest = s.vault().view().certificates().certificates[0].object.to_string();
            let to = w.root.join(format!("evidence-{}", s.vault().user()));
            s.export_evidence(&EvidenceOptions::new(newest), &to, Progress::none()).map(drop)
        }),
        ("read_log", Action::ReadLog, |_, s| s.read_log(Progress::none()).map(drop)),
        ("verify_log", Action::VerifyLog, |_, s| s.verify_log(&[], Progress::none()).map(drop)),
        ("name_id", Action::NameId, |_, s| s.name_id("user:x", Some("Ann"), Progress::none())),
        ("anchor", Action::AnchorLog, |_, s| match s.anchor(&AnchorOptions::default(), Progress::none()) {
            Err(CoreError::Unanchored { .. }) => Ok(()),
            other => other.map(drop),
        }),
    ]
}

fn managing() -> Vec<Operation> {
    vec![
        ("users", Action::ListUsers, |_, s| s.users().map(drop)),
        ("keys", Action::ListKeys, |_, s| s.keys(false).map(drop)),
        ("explain", Action::ExplainAccess, |_, s| {
            let founder = s.vault().current_roll().unwrap().members[0].user;
            s.explain(founder, Action::ReadLog, "vault", false).map(drop)
        }),
        ("add_user", Action::AddUser, |_, s| {
            let lock = Lock::KeyFile(KeyFile::generate(&SystemRandom));
            let login = format!("friend-{}", &s.vault().user().to_string()[..8]);
            s.add_user(&AddUserOptions::new(login, lock, vec!["verifier".to_owned()]), Progress::none()).map(drop)
        }),
        ("change_user", Action::AssignRole, |_, s| {
            let (user, mut options) = (spare(s), ChangeUserOptions::default());
            options.roles = Some(vec!["verifier".to_owned()]);
            s.change_user(user, &options, Progress::none())
        }),
        ("lock_user", Action::LockUser, |_, s| s.lock_user(spare(s), true, Progress::none())),
        ("reset_user", Action::ResetSlot, |_, s| {
            let lock = Lock::KeyFile(KeyFile::generate(&SystemRandom));
            s.reset_user(spare(s), lock, Progress::none())
        }),
        ("define_role", Action::DefineRole, |_, s| {
            let name = format!("role-{}", &s.vault().user().to_string()[..8]);
            s.define_role(&name, Some(&["verifier".to_owned()]), Progress::none())
        }),
        ("rotate_keys", Action::RotateKeys, |_, s| s.rotate_keys(false, Progress::none()).map(drop)),
        ("add_key", Action::AddOwnSlot, |_, s| {
            s.add_key(&Lock::KeyFile(KeyFile::generate(&SystemRandom)), Progress::none()).map(drop)
        }),
        ("policies", Action::ListPolicies, |_, s| s.policies().map(drop)),
        ("check_policies", Action::ListPolicies, |_, s| s.check_policies("").map(drop)),
        ("requests", Action::ListRequests, |_, s| s.requests(false).map(drop)),
        ("show_request", Action::ListRequests, |_, s| {
            let first = s.vault().view().requests().filed[0].id.to_string();
            s.show_request(&first).map(drop)
        }),
        ("propose", Action::ProposeChange, |_, s| {
            s.propose(&Act::ReleaseHold("h_1".to_owned()), None, Progress::none()).map(drop)
        }),
        ("approve", Action::ApproveChange, |w, s| s.approve(&asked(w), Progress::none()).map(drop)),
        ("reject", Action::RejectChange, |w, s| s.reject(&asked(w), Progress::none()).map(drop)),
        ("export_recovery_key", Action::ExportKey, |_, s| s.export_recovery_key(&mut |_| Ok(()), Progress::none())),
        ("remove_user", Action::RemoveUser, |_, s| s.remove_user(spare(s), Progress::none())),
        ("activate_policies", Action::ActivatePolicies, |_, s| s.activate_policies("", Progress::none())),
        ("forget", Action::ForgetSnapshot, |_, s| s.forget(&[], Progress::none()).map(drop)),
    ]
}

/// What the owner asks for.
fn asked(world: &World) -> String {
    let act = Act::ShortenRetention("r_1".to_owned());
    world.open().propose(&act, None, Progress::none()).unwrap().filed.id.to_string()
}

/// The user at whom changes are tried.
fn spare(session: &Session) -> UserId {
    session.vault().current_roll().unwrap().members.last().unwrap().user
}

/// What shows or does nothing: about the session itself, or tried below by the operations that use it.
const ASIDE: [&str; 14] = [
    "clock_set_back_from",
    "id",
    "root_fingerprint",
    "key_age",
    "vault",
    "as_of",
    "unlogged",
    "find_user",
    "change_key",
    "remove_key",
    // Constructors and questions about options.
    "new",
    "of_document",
    "is_all",
    "options",
];

/// The public functions of a session, out of the source.
fn public() -> BTreeSet<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let ops = fs::read_dir(src.join("ops")).unwrap().map(|entry| entry.unwrap().path());
    let mut found = BTreeSet::new();
    for file in ops.chain([src.join("session.rs"), src.join("record.rs")]) {
        let text = fs::read_to_string(file).unwrap();
        let mut in_session = false;
        for line in text.lines() {
            if line.starts_with("impl ") {
                in_session = line.starts_with("impl Session ");
            }
            let name = line.trim_start().strip_prefix("pub fn ").filter(|_| in_session);
            found.extend(name.map(|rest| rest.split(['(', '<']).next().unwrap().to_owned()));
        }
    }
    found
}

#[test]
fn every_operation_is_tried_here() {
    let tried: BTreeSet<String> = operations().iter().map(|(name, ..)| (*name).to_owned()).collect();
    let public = public();
    assert!(public.len() > 30, "{public:?}");
    let untried: Vec<_> =
        public.iter().filter(|name| !tried.contains(*name) && !ASIDE.contains(&name.as_str())).collect();
    assert!(untried.is_empty(), "operations that nobody has tried without leave: {untried:?}");
    assert!(tried.is_subset(&public), "{:?}", tried.difference(&public));
}

/// The actions that a role is to be allowed here; the rest is to be denied.
fn allowed(role: Role) -> BTreeSet<Action> {
    use Action::*;
    let inspect = [ShowVault, SeeSnapshots, MeasureVault];
    let verify = [RunVerify, CheckLocator, ListCertificates, ShowCertificate, VerifyLog];
    let look = [ListSnapshot, CompareSnapshots, FindEntries];
    let read = [ReadDocument, RestoreDocument];
    let operate = [CreateSnapshot, RebuildLocator, AnchorLog];
    let audit = [ShowVault, ListCertificates, ShowCertificate, VerifyLog, ExportEvidence, ReadLog];
    let lists = [ListUsers, ListKeys, ListPolicies, ListRequests, ExplainAccess];
    let administer = [NameId, AddUser, AssignRole, LockUser, ResetSlot, DefineRole, ProposeChange, RotateKeys];
    let govern = [ExportKey, RemoveUser, ActivatePolicies];
    let oversee = [ProposeChange, ApproveChange, RejectChange];
    let own = [AddOwnSlot].as_slice();
    let groups: Vec<&[Action]> = match role {
        Role::Verifier => vec![&verify, &inspect],
        Role::Auditor => vec![&audit, &lists],
        Role::Operator => vec![&operate, &inspect, &verify],
        Role::Restorer => vec![&inspect, &look, &read],
        Role::ComplianceOfficer => {
            vec![
                &audit,
                &lists,
                &verify,
                &inspect,
                &look,
                &oversee,
                &[SignCertificate, NameId, TagSnapshot, ForgetSnapshot, AnchorLog],
            ]
        }
        Role::DisposalExecutor => vec![&inspect, &[TagSnapshot, ForgetSnapshot, CollectVault]],
        Role::Administrator => vec![&inspect, &lists, &administer, &govern],
        _ => vec![
            &inspect,
            &verify,
            &look,
            &read,
            &operate,
            &audit,
            &lists,
            &administer,
            &govern,
            &oversee,
            &[SignCertificate, TagSnapshot, ForgetSnapshot, CollectVault],
        ],
    };
    groups.into_iter().chain([own]).flatten().copied().collect()
}

#[test]
fn each_role_may_do_what_it_is_for_and_nothing_else() {
    let world = World::new();
    let mut wrong = Vec::new();
    asked(&world);
    for role in Role::ALL {
        let login = format!("the-{}", role.name().to_lowercase());
        let (_, credential) = world.add(&login, &[role.name()]);
        for (n, (name, action, act)) in operations().into_iter().enumerate() {
            // Somebody to be locked, changed and reset, each time anew.
            if matches!(action, Action::LockUser | Action::AssignRole | Action::ResetSlot) {
                world.add(&format!("spare-{n}-{login}"), &["verifier"]);
            }
            let mut session = world.open_as(&login, &credential).unwrap();
            let outcome = act(&world, &mut session);
            let may = allowed(role).contains(&action);
            match outcome {
                Err(CoreError::Denied { action: denied, .. }) if !may && denied == action => {}
                // What names nobody may find is asked for first.
                Err(CoreError::Denied { action: Action::SeeSnapshots, .. }) if !may => {}
                // The keys that an operation needs, the role may not have; it is not let do less than its keys allow.
                Ok(()) if may => {}
                // What takes two people is asked for, and not done.
                Err(CoreError::NeedsApproval { act, .. }) if may => {
                    assert_ne!(act.kind(), RequestKind::Grant, "{} {name}", role.name());
                }
                Err(CoreError::Repo(
                    RepoError::NoReadingKey { .. } | RepoError::NoRootKey | RepoError::KeysNotHeld { .. },
                )) if may => {
                    assert!(keyless(role, action), "{} {name}: no key", role.name());
                }
                other => wrong.push(format!("{} {name}: {:?}", role.name(), other.map_err(|error| error.to_string()))),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a role may do, and can't for want of keys: who sees no names is told so by keys.
fn keyless(role: Role, action: Action) -> bool {
    use Action::*;
    match role {
        Role::Verifier | Role::Auditor | Role::Administrator => {
            let is_for_managers = matches!(action, RotateKeys) && role == Role::Administrator;
            is_for_managers
                || matches!(action, SeeSnapshots | MeasureVault | ShowVault | CheckLocator | NameId | ShowCertificate)
        }
        Role::Operator => matches!(action, SeeSnapshots | MeasureVault | ShowVault),
        _ => false,
    }
}

#[test]
fn what_was_denied_is_in_the_log_with_the_policy_that_did_it() {
    let world = World::new();
    let (user, credential) = world.add("omar", &["operator"]);
    let mut omar = world.open_as("omar", &credential).unwrap();
    let denied = omar.collect(&CollectOptions::default(), Progress::none()).unwrap_err();
    assert_eq!(denied.to_string(), "you may not free what nothing needs: no role and no policy permits it");
    omar.backup(&world.options(), Progress::none()).unwrap();
    drop(omar);
    let log = world.open().read_log(Progress::none()).unwrap();
    let of = |operation: &str, outcome: Outcome| {
        let found = log.entries.iter().find(|logged| {
            let event = &logged.entry.event;
            event.action.as_str() == operation
                && event.outcome == outcome
                && event.actor.as_str() == format!("user:{user}")
        });
        found.unwrap_or_else(|| panic!("{operation}")).entry.event.data.clone()
    };
    let text = |data: &BTreeMap<String, sb_core::audit::Json>, key: &str| data[key].to_string();
    assert!(text(&of("Vault.Collect", Outcome::Denied), "reason").contains("role"));
    assert!(text(&of("Snapshot.Create", Outcome::Success), "policies").contains("p-operate"));
}

#[test]
fn from_the_second_user_on_privileges_need_two_factors() {
    let world = World::new();
    let mut owner = world.open();
    let alone = KeyFile::generate(&SystemRandom);
    owner.add_key(&Lock::KeyFile(alone.clone()), Progress::none()).unwrap();
    let one_factor = || world.vault().open(&Credential::KeyFile(alone.clone()), None).unwrap();
    // One person does as he likes, but for letting in a second.
    one_factor().restore(&latest(), &world.root.join("r1"), RestoreOptions::default(), Progress::none()).unwrap();
    let lock = Lock::KeyFile(KeyFile::generate(&SystemRandom));
    let new = AddUserOptions::new("nina", lock, vec!["restorer".to_owned()]);
    let is_two_factors = |error: CoreError| {
        let CoreError::Denied { because, remedies, .. } = error else { panic!("{error}") };
        assert!(because.contains("two factors") && remedies[0].contains("key file and passphrase"), "{because}");
    };
    is_two_factors(one_factor().add_user(&new, Progress::none()).unwrap_err());
    owner.add_user(&new, Progress::none()).unwrap();
    is_two_factors(
        one_factor()
            .restore(&latest(), &world.root.join("r2"), RestoreOptions::default(), Progress::none())
            .unwrap_err(),
    );
    world.open().restore(&latest(), &world.root.join("r3"), RestoreOptions::default(), Progress::none()).unwrap();
}

#[test]
fn duties_are_kept_apart_and_nobody_gives_roles_to_himself() {
    let world = World::new();
    let (_, credential) = world.add("partner", &["owner"]);
    let (nina, _) = world.add("nina", &["verifier"]);
    let mut partner = world.open_as("partner", &credential).unwrap();
    let mut give = |user: UserId, roles: &[&str]| {
        let mut options = ChangeUserOptions::default();
        options.roles = Some(roles.iter().map(|role| (*role).to_owned()).collect());
        partner.change_user(user, &options, Progress::none())
    };
    assert!(matches!(give(nina, &["auditor", "operator"]), Err(CoreError::Denied { .. })));
    assert!(matches!(give(nina, &["nobody"]), Err(CoreError::NoSuchRole { .. })));
    assert!(matches!(give(nina, &[]), Err(CoreError::NoRole)));
    give(nina, &["operator", "restorer"]).unwrap();
    let own = partner.vault().user();
    let mut options = ChangeUserOptions::default();
    options.roles = Some(vec!["owner".to_owned(), "restorer".to_owned()]);
    let refused = partner.change_user(own, &options, Progress::none());
    assert!(matches!(&refused, Err(CoreError::NeedsApproval { is_alone: false, .. })), "{refused:?}");
}

#[test]
fn who_is_locked_removed_or_late_is_not_let_in() {
    let world = World::new();
    let (nina, credential) = world.add("nina", &["restorer"]);
    let refused = |because: &str| {
        let error = world.open_as("nina", &credential).unwrap_err();
        assert!(matches!(&error, CoreError::LockedOut { because: told } if told.contains(because)), "{error}");
        assert!(error.is_denial());
    };
    world.open().lock_user(nina, true, Progress::none()).unwrap();
    refused("locked");
    world.open().lock_user(nina, false, Progress::none()).unwrap();
    assert!(world.open_as("nina", &credential).is_ok());
    let mut options = ChangeUserOptions::default();
    options.access_until = Some(Some(DateTime::UNIX_EPOCH));
    world.open().change_user(nina, &options, Progress::none()).unwrap();
    refused("ended");
    options.access_until = Some(None);
    world.open().change_user(nina, &options, Progress::none()).unwrap();
    assert!(world.open_as("nina", &credential).is_ok());
    // Whose name is given, and somebody else's key, is refused as nobody is.
    assert!(matches!(world.open_as("nobody", &credential), Err(CoreError::Repo(RepoError::WrongCredential))));
}

#[test]
fn roles_of_the_firm_build_upon_others_and_stay_as_they_are_while_somebody_has_them() {
    let world = World::new();
    let mut owner = world.open();
    let includes = ["operator".to_owned(), "restorer".to_owned()];
    owner.define_role("tax-team", Some(&includes), Progress::none()).unwrap();
    assert!(matches!(owner.define_role("owner", Some(&includes), Progress::none()), Err(CoreError::Role(_))));
    let odd = owner.define_role("odd", Some(&["nobody".to_owned()]), Progress::none());
    assert!(matches!(odd, Err(CoreError::NoSuchRole { .. })));
    let (_, credential) = world.add("nina", &["tax-team"]);
    let mut nina = world.open_as("nina", &credential).unwrap();
    nina.backup(&world.options(), Progress::none()).unwrap();
    nina.restore(&latest(), &world.root.join("r"), RestoreOptions::default(), Progress::none()).unwrap();
    let mut owner = world.open();
    let changed = owner.define_role("tax-team", Some(&includes[..1]), Progress::none());
    assert!(matches!(changed, Err(CoreError::RoleInUse { .. })));
    assert!(matches!(owner.define_role("tax-team", None, Progress::none()), Err(CoreError::RoleInUse { .. })));
    assert!(matches!(owner.define_role("other", None, Progress::none()), Err(CoreError::NoSuchRole { .. })));
    let report = owner.users().unwrap();
    assert_eq!(report.roles["tax-team"], includes);
    assert_eq!(report.users.iter().map(|user| user.name.as_deref().unwrap()).collect::<Vec<_>>(), ["owner", "nina"]);
}

#[test]
fn keys_are_listed_changed_and_removed() {
    let world = World::new();
    let mut owner = world.open();
    let spare = KeyFile::generate(&SystemRandom);
    let id = owner.add_key(&Lock::KeyFile(spare.clone()), Progress::none()).unwrap();
    let keys = owner.keys(true).unwrap();
    assert_eq!((keys.len(), keys.iter().filter(|key| key.is_in_use).count()), (3, 1));
    let mut session = world.vault().open(&Credential::KeyFile(spare.clone()), None).unwrap();
    let other = KeyFile::generate(&SystemRandom);
    session.change_key(&Lock::KeyFile(other.clone()), Progress::none()).unwrap();
    let open = |key: &KeyFile| world.vault().open(&Credential::KeyFile(key.clone()), None).map(drop);
    assert!(open(&spare).is_err() && open(&other).is_ok());
    let mut owner = world.open();
    assert!(matches!(owner.remove_key("0", Progress::none()), Err(CoreError::NoSuchKey { .. })));
    owner.remove_key(&id.to_string()[..8], Progress::none()).unwrap();
    assert!(open(&other).is_err());
}
