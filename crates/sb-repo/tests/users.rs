//! Users: what lets them in, which keys they are granted, and what they can open with them.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use common::{Machine, assert_holds, backed_up, expected, firm, key, new_vault, noise, options};
use sb_crypto::testing::{allow_weak_kdf, stretched};
use sb_crypto::{Credential, Kdf, KeyFile, Lock, Secret, SeededRandom};
use sb_repo::testing::{Forgery, Opened, forge, opened};
use sb_repo::{
    Clock, CollectOptions, Flaw, KeySet, NewUser, ObjectKind, Progress, RepoError, State, Surroundings, UserId, Vault,
    VerifyLevel, View, is_login,
};
use sb_source::MemorySource;
use sb_store::sim::{Cut, SimDisk};
use sb_store::{MemoryStorage, ObjectName, Storage};

const OTHER: Kdf = Kdf::Pbkdf2HmacSha256 { rounds: 1 };
const CHEAP: Kdf = Kdf::Argon2id { memory_kib: 8, passes: 1, lanes: 1 };

fn passphrase(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

/// What opens of each kind of object.
type Opens = Vec<(ObjectKind, Vec<Opened>)>;
/// Something done to the staff.
type Act = fn(&mut Vault, UserId) -> Result<(), RepoError>;

/// The key file of the `n`-th of the staff.
fn file(n: u64) -> KeyFile {
    KeyFile::generate(&SeededRandom::new(5000 + n))
}

fn roles(role: &str) -> Vec<String> {
    vec![role.to_owned()]
}

fn someone(login: &str, n: u64, keys: KeySet) -> NewUser {
    let role = if keys == KeySet::ALL { "owner" } else { "some" };
    NewUser::new(login, Lock::KeyFile(file(n)), roles(role), keys)
}

fn open(storage: &Arc<MemoryStorage>, machine: &Machine, key: &KeyFile) -> Vault {
    machine.open(storage.clone(), key).unwrap()
}

/// What a user with each set of keys opens who tries all keys in hand on all objects.
#[test]
fn what_the_keys_of_a_role_do_not_open_stays_ciphertext() {
    use ObjectKind::{ContentPack, Grant, Label, Locator, MetaPack, Name, SessionTable, Snapshot};
    use Opened::{Footer, Segments, Whole};
    let (storage, machine, mut owner) = backed_up();
    let latest = owner.snapshots().unwrap().snapshots[0].id;
    owner.set_tags(vec![(latest, vec!["2025".to_owned()])]).unwrap();
    let footers = [(ContentPack, vec![Footer]), (MetaPack, vec![Footer]), (Locator, vec![Footer, Segments])];
    let names = [
        (SessionTable, vec![Whole]),
        (Snapshot, vec![Whole]),
        (Label, vec![Whole]),
        (Name, vec![Whole]),
        (ContentPack, vec![Footer]),
        (MetaPack, vec![Footer, Segments]),
        (Locator, vec![Footer, Segments]),
    ];
    let mut all = names.to_vec();
    all[4].1.push(Segments);
    let grant = (Grant, vec![Whole]);
    let cases: [(&str, KeySet, Opens); 6] = [
        ("verifier", KeySet::NONE, vec![]),
        ("administrator", KeySet::MANAGE, vec![grant.clone()]),
        ("operator", KeySet::ADD, [&footers[..], std::slice::from_ref(&grant)].concat()),
        ("officer", KeySet::READ_NAMES, [&names[..], std::slice::from_ref(&grant)].concat()),
        ("restorer", KeySet::READ, [&all[..], std::slice::from_ref(&grant)].concat()),
        ("partner", KeySet::ALL, [&all[..], std::slice::from_ref(&grant)].concat()),
    ];
    for (n, (login, keys, _)) in (0..).zip(&cases) {
        owner.add_user(&someone(login, n, *keys)).unwrap();
    }
    for (n, (login, keys, opens)) in (0..).zip(&cases) {
        let theirs = open(&storage, &machine, &file(n));
        assert_eq!((theirs.key_set(), theirs.login()), (*keys, Some(*login)));
        let opens: BTreeMap<_, BTreeSet<_>> =
            opens.iter().map(|(kind, how)| (*kind, how.iter().copied().collect())).collect();
        assert_eq!(opened(&theirs).unwrap(), opens, "{login}");
    }
}

#[test]
fn who_only_adds_backs_up_incrementally_and_reads_nothing() {
    let (storage, _, mut owner) = backed_up();
    owner.add_user(&someone("desk-3", 1, KeySet::ADD)).unwrap();
    let desk = Machine::new(3);
    let mut source = firm();
    let first = desk.backup(storage.clone(), &file(1), &source).unwrap();
    // What the owner's machine has stored is not stored twice.
    assert_eq!(first.counts.new_chunks, 0);
    source.file("/firm/new.txt", b"a new letter");
    let second = desk.backup(storage.clone(), &file(1), &source).unwrap();
    assert_eq!((second.changes.new, second.changes.changed), (1, 0));
    assert!(second.counts.new_bytes < 100, "{}", second.counts.new_bytes);

    let operator = open(&storage, &desk, &file(1));
    assert!(matches!(operator.snapshots(), Err(RepoError::NoReadingKey { .. })));
    assert!(operator.verify(VerifyLevel::Objects, Progress::none()).unwrap().is_good());
    drop(operator);
    owner.refresh().unwrap();
    assert_holds(&owner, "latest", &expected(&source));
}

/// What is on an operator's machine once a run is over: its state folder, and the slot that opens there.
#[test]
fn what_an_operators_machine_keeps_reads_nothing_of_what_it_has_backed_up() {
    let (storage, _, mut owner) = backed_up();
    owner.add_user(&someone("desk-3", 1, KeySet::ADD)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let desk = Machine { state: State::open(folder.path()).unwrap(), ..Machine::new(3) };
    let content = noise(77, 40_000);
    let mut source = MemorySource::new(&["/desk"]);
    source.file("/desk/letter", &content);
    for _ in 0..2 {
        desk.backup(storage.clone(), &file(1), &source).unwrap();
    }
    let mut kept = Vec::new();
    let mut folders = vec![folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                kept.push(std::fs::read(path).unwrap());
            }
        }
    }
    assert!(kept.iter().map(Vec::len).sum::<usize>() > 500, "heads, key and caches are kept");
    for part in content.chunks(16) {
        assert!(!kept.iter().any(|bytes| bytes.windows(16).any(|window| window == part)));
    }
    let opened = opened(&open(&storage, &desk, &file(1))).unwrap();
    assert_eq!(opened[&ObjectKind::ContentPack], [Opened::Footer].into());
    assert!(!opened.contains_key(&ObjectKind::SessionTable) && !opened.contains_key(&ObjectKind::Snapshot));
}

#[test]
fn who_has_no_keys_verifies_objects_and_can_do_nothing_else() {
    let (storage, machine, mut owner) = backed_up();
    owner.add_user(&someone("auditor", 1, KeySet::NONE)).unwrap();
    let mut auditor = open(&storage, &machine, &file(1));
    assert!(auditor.verify(VerifyLevel::Objects, Progress::none()).unwrap().is_good());
    let no_key = |outcome: Result<(), RepoError>| matches!(outcome, Err(RepoError::NoReadingKey { .. }));
    assert!(no_key(auditor.verify(VerifyLevel::Data, Progress::none()).map(drop)));
    assert!(no_key(auditor.snapshots().map(drop)));
    assert!(no_key(auditor.reader(Progress::none()).map(drop)));
    assert!(no_key(auditor.backup(&firm(), &options(), Progress::none()).map(drop)));
    assert!(no_key(auditor.collect(&CollectOptions::default(), Progress::none()).map(drop)));
    assert!(no_key(auditor.rebuild(false, Progress::none()).map(drop)));
    assert!(auditor.names().names.is_empty());
    // What it signs is believed: it may sign certificates, and its machine has a log.
    auditor.log(&[common::event(1)]).unwrap();
    let no_root = |outcome: Result<(), RepoError>| matches!(outcome, Err(RepoError::NoRootKey));
    let user = auditor.user();
    assert!(no_root(auditor.add_user(&someone("friend", 2, KeySet::NONE)).map(drop)));
    assert!(no_root(auditor.change_user(user, None, |member| member.keys = KeySet::ALL)));
    assert!(no_root(auditor.remove_user(user, None)));
    assert!(no_root(auditor.change_roll(None, |_| {})));
    assert!(no_root(auditor.reset_user(user, "auditor", &[Lock::KeyFile(file(9))])));
}

#[test]
fn nobody_gives_keys_that_he_has_not() {
    let (storage, machine, mut owner) = backed_up();
    owner.add_user(&someone("admin", 1, KeySet::MANAGE)).unwrap();
    let mut admin = open(&storage, &machine, &file(1));
    let refused = admin.add_user(&someone("friend", 2, KeySet::READ)).map(drop);
    assert!(matches!(refused, Err(RepoError::KeysNotHeld { wanted: KeySet::READ })), "{refused:?}");
    let own = admin.user();
    let refused = admin.change_user(own, None, |member| member.keys = KeySet::ALL);
    assert!(matches!(refused, Err(RepoError::KeysNotHeld { .. })), "{refused:?}");
    admin.add_user(&someone("auditor", 3, KeySet::NONE)).unwrap();
    assert_eq!(open(&storage, &machine, &file(3)).key_set(), KeySet::NONE);
    // To lock somebody out takes none of their keys.
    let reader = owner.add_user(&someone("reader", 4, KeySet::READ)).unwrap();
    admin.change_user(reader, None, |member| member.active = false).unwrap();
    assert_eq!(open(&storage, &machine, &file(4)).key_set(), KeySet::READ);
}

#[test]
fn the_roll_says_who_there_is_and_a_vault_of_one_has_none() {
    let (storage, machine, mut owner) = backed_up();
    assert_eq!(owner.view().roll().unwrap(), None);
    let alone = owner.current_roll().unwrap();
    assert_eq!((alone.members.len(), alone.members[0].user), (1, owner.user()));
    assert_eq!((alone.members[0].roles.clone(), alone.members[0].keys), (roles("owner"), KeySet::ALL));

    let mut new = someone("nina", 1, KeySet::READ);
    new.clients = vec!["client:7".to_owned()];
    let nina = owner.add_user(&new).unwrap();
    owner
        .change_user(nina, None, |member| {
            member.active = false;
            member.walled_off = vec!["client:8".to_owned()];
        })
        .unwrap();
    owner.change_roll(None, |roll| drop(roll.roles.insert("tax".to_owned(), roles("restorer")))).unwrap();
    // Anybody can read it who believes the root key.
    let view = View::open(storage.clone(), &State::in_memory(), None).unwrap();
    let roll = view.roll().unwrap().unwrap();
    assert_eq!((roll.generation, roll.by), (2, owner.user()));
    let member = roll.member(nina).unwrap();
    assert!(!member.active);
    assert_eq!(
        (&member.clients[..], &member.walled_off[..]),
        (&["client:7".to_owned()][..], &["client:8".to_owned()][..])
    );
    assert_eq!(roll.roles["tax"], roles("restorer"));
    assert_eq!(owner.names().names[&format!("user:{nina}")], "nina");
    let report = open(&storage, &machine, &key()).verify(VerifyLevel::Restore, Progress::none()).unwrap();
    assert!(report.is_good(), "{report:?}");
}

#[test]
fn keys_come_and_go_with_roles_without_anybodys_passphrase() {
    let (storage, machine, mut owner) = backed_up();
    let nina = owner.add_user(&someone("nina", 1, KeySet::ADD)).unwrap();
    let set = |owner: &mut Vault, keys: KeySet| {
        let role = if keys == KeySet::ALL { "owner" } else { "some" };
        owner.change_user(nina, None, |member| (member.keys, member.roles) = (keys, roles(role))).unwrap();
        open(&storage, &machine, &file(1)).key_set()
    };
    for keys in [KeySet::READ, KeySet::NONE, KeySet::READ_NAMES, KeySet::ALL, KeySet::MANAGE] {
        assert_eq!(set(&mut owner, keys), keys);
    }
    // Whoever made the vault is a user like any other.
    set(&mut owner, KeySet::ALL);
    let mut nina = open(&storage, &machine, &file(1));
    nina.change_user(owner.user(), None, |member| member.keys = KeySet::NONE).unwrap();
    assert_eq!(open(&storage, &machine, &key()).key_set(), KeySet::NONE);
    assert!(nina.verify(VerifyLevel::Objects, Progress::none()).unwrap().is_good());
}

#[test]
fn somebody_always_has_all_keys() {
    let (storage, machine, mut owner) = backed_up();
    let own = owner.user();
    let is_last = |outcome: Result<(), RepoError>| matches!(outcome, Err(RepoError::LastOwner));
    assert!(is_last(owner.remove_user(own, None)));
    assert!(is_last(owner.change_user(own, None, |member| member.keys = KeySet::READ)));
    assert!(is_last(owner.change_user(own, None, |member| member.active = false)));
    assert!(is_last(owner.change_user(own, None, |member| member.roles = roles("restorer"))));
    assert!(is_last(owner.change_user(own, None, |member| member.access_until = Some(DateTime::UNIX_EPOCH))));
    owner.add_user(&someone("partner", 1, KeySet::ALL)).unwrap();
    owner.remove_user(own, None).unwrap();
    assert!(matches!(machine.open(storage.clone(), &key()).map(drop), Err(RepoError::WrongCredential)));
    let partner = open(&storage, &machine, &file(1));
    assert_holds(&partner, "latest", &expected(&firm()));
}

#[test]
fn who_was_removed_is_not_let_in_though_slot_and_grant_are_put_back() {
    let (storage, machine, mut owner) = backed_up();
    let nina = owner.add_user(&someone("nina", 1, KeySet::READ)).unwrap();
    let before: Vec<(ObjectName, Vec<u8>)> = storage
        .list("")
        .unwrap()
        .into_iter()
        .map(|listed| ObjectName::new(listed.name).unwrap())
        .map(|name| (name.clone(), storage.read(&name).unwrap()))
        .collect();
    owner.remove_user(nina, None).unwrap();
    let refused = || matches!(machine.open(storage.clone(), &file(1)).map(drop), Err(RepoError::WrongCredential));
    assert!(refused());
    for (name, bytes) in before {
        let _ = sb_store::create(&*storage, &name, &bytes);
    }
    assert!(refused());
    assert!(matches!(owner.remove_user(nina, None), Err(RepoError::NoSuchUser { user }) if user == nina));
    assert!(!open(&storage, &machine, &key()).verify(VerifyLevel::Objects, Progress::none()).unwrap().is_good());
}

#[test]
fn who_forgot_the_passphrase_is_let_in_anew_by_an_owner() {
    let (storage, machine, mut owner) = backed_up();
    let nina = owner.add_user(&someone("nina", 1, KeySet::READ)).unwrap();
    owner.reset_user(nina, "nina", &[Lock::KeyFile(file(2))]).unwrap();
    assert!(matches!(machine.open(storage.clone(), &file(1)).map(drop), Err(RepoError::WrongCredential)));
    let again = open(&storage, &machine, &file(2));
    assert_eq!((again.user(), again.key_set()), (nina, KeySet::READ));
    let ghost = UserId::new([9; 16]);
    let refused = owner.reset_user(ghost, "ghost", &[Lock::KeyFile(file(2))]);
    assert!(matches!(refused, Err(RepoError::NoSuchUser { .. })));
    assert!(matches!(owner.reset_user(nina, "nina", &[]), Err(RepoError::NoLock)));
    assert!(matches!(owner.reset_user(nina, "N!", &[Lock::KeyFile(file(2))]), Err(RepoError::InvalidLogin { .. })));
    assert!(matches!(owner.change_user(ghost, None, |_| {}), Err(RepoError::NoSuchUser { .. })));
}

#[test]
fn who_has_the_old_keys_of_a_user_who_was_given_new_ones_gets_nothing_by_them() {
    let (storage, machine, mut owner) = backed_up();
    let nina = owner.add_user(&someone("nina", 1, KeySet::ADD)).unwrap();
    let mut stolen = Machine::new(66).open(storage.clone(), &file(1)).unwrap();
    stolen.log(&[common::event(1)]).unwrap();
    owner.reset_user(nina, "nina", &[Lock::KeyFile(file(2))]).unwrap();
    // The thief makes slots of his own for her, and waits for what she is granted.
    let slot = stolen.add_lock(&Lock::KeyFile(file(6))).unwrap();
    assert!(matches!(machine.open(storage.clone(), &file(6)).map(drop), Err(RepoError::WrongCredential)));
    owner.change_user(nina, None, |member| member.keys = KeySet::READ).unwrap();
    assert!(matches!(machine.open(storage.clone(), &file(6)).map(drop), Err(RepoError::WrongCredential)));
    assert_eq!(open(&storage, &machine, &file(2)).key_set(), KeySet::READ);
    assert!(!owner.view().slots().iter().any(|listed| listed.id == slot));
}

/// What somebody with a slot of his own can put into the vault: slots of his own that name others, and names that mean nothing.
#[test]
fn slots_and_names_that_a_user_makes_up_take_nothing_from_others() {
    for forgery in [Forgery::OthersRecipient, Forgery::OthersSlotId, Forgery::OthersName, Forgery::RollWithoutObject] {
        let (storage, machine, mut owner) = backed_up();
        let bob = owner.add_user(&someone("bob", 1, KeySet::READ)).unwrap();
        let mut bobs = Machine::new(66).open(storage.clone(), &file(1)).unwrap();
        bobs.log(&[common::event(1)]).unwrap();
        forge(&mut bobs, &owner, &file(6), forgery).unwrap();
        if let Ok(opened) = machine.open(storage.clone(), &file(6)) {
            assert_eq!(opened.user(), bob, "{forgery:?}: nobody comes in by another name");
        }
        let owners = |vault: &Vault| vault.view().slots().iter().filter(|slot| slot.user == vault.user()).count();
        let before = owners(&owner);
        owner.change_user(bob, None, |member| member.keys = KeySet::NONE).unwrap();
        assert_eq!(open(&storage, &machine, &file(1)).key_set(), KeySet::NONE, "{forgery:?}");
        owner.remove_user(bob, None).unwrap();
        let again = open(&storage, &machine, &key());
        assert_eq!((again.key_set(), again.is_administrator()), (KeySet::ALL, true), "{forgery:?}");
        assert_eq!(owners(&again), before, "{forgery:?}");
        assert!(machine.open(storage.clone(), &file(1)).is_err(), "{forgery:?}");
        let stray = machine.open(storage, &file(6)).map(|vault| (vault.user(), vault.key_set()));
        assert!(stray.is_err() || stray.unwrap() == (bob, KeySet::NONE), "{forgery:?}");
    }
}

#[test]
fn a_new_user_needs_a_login_and_something_that_opens() {
    let (_, _, mut owner) = backed_up();
    for login in ["", "Nina", "nina ", "-nina", "nina-", "ni/na", "nín", &"n".repeat(65)] {
        assert!(!is_login(login), "{login}");
        let refused = owner.add_user(&someone(login, 1, KeySet::NONE)).map(drop);
        assert!(matches!(refused, Err(RepoError::InvalidLogin { .. })), "{login}");
    }
    for login in ["n", "nina", "nina.b", "desk-3", "3", "nina@firm.example", &"n".repeat(64)] {
        assert!(is_login(login), "{login}");
    }
    let mut nobody = someone("nina", 1, KeySet::NONE);
    nobody.locks.clear();
    assert!(matches!(owner.add_user(&nobody), Err(RepoError::NoLock)));
    assert_eq!(owner.view().roll().unwrap(), None);
}

/// A vault whose staff have passphrases: of one everybody knows the hashing, of another nobody has one.
fn with_passphrases() -> (Arc<MemoryStorage>, Machine) {
    allow_weak_kdf();
    let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(1));
    let lock = Lock::Passphrase(passphrase("owner's"), CHEAP);
    let (mut owner, _) =
        sb_repo::create(machine.around(storage.clone()), &[lock], &sb_repo::CreateOptions::default()).unwrap();
    for login in ["nina", "omar", "pia"] {
        // One of them hashes otherwise, and has two.
        let kdf = if login == "pia" { OTHER } else { CHEAP };
        let word = |word: &str| Lock::Passphrase(passphrase(&format!("{login}'s{word}")), kdf);
        let mut new = NewUser::new(login, word(""), roles("some"), KeySet::READ);
        new.locks.extend((login == "pia").then(|| word(" second")));
        owner.add_user(&new).unwrap();
    }
    owner.add_user(&someone("quinn", 1, KeySet::NONE)).unwrap();
    (storage, machine)
}

#[test]
fn who_is_not_there_is_refused_after_as_many_derivations_as_a_wrong_passphrase() {
    let (storage, machine) = with_passphrases();
    let attempt = |login: Option<&str>, word: &str| {
        stretched();
        let (around, credential) = (machine.around(storage.clone()), Credential::Passphrase(passphrase(word)));
        let opened = match login {
            Some(login) => Vault::open_as(around, login, &credential, None),
            None => Vault::open(around, &credential, None),
        };
        let mut derivations: Vec<String> = stretched().iter().map(|kdf| format!("{kdf:?}")).collect();
        derivations.sort();
        (opened.map(|vault| vault.login().map(str::to_owned)).map_err(|error| error.to_string()), derivations)
    };
    let (wrong, derivations) = attempt(Some("nina"), "a guess");
    assert!(wrong.is_err());
    assert_eq!(derivations, [CHEAP, OTHER, OTHER].map(|kdf| format!("{kdf:?}")), "as many as it takes for anybody");
    // Also somebody who is let in by something else only, and each of many that are nobody.
    for login in ["omar", "pia", "quinn", "owner", "nobody", "root", "admin", "x", "y", "z"] {
        assert_eq!(attempt(Some(login), "a guess"), (wrong.clone(), derivations.clone()), "{login}");
    }
    // The passphrase of one does not open for another.
    assert_eq!(attempt(Some("omar"), "nina's").0, wrong);
    assert_eq!(attempt(Some("nina"), "nina's").0, Ok(Some("nina".to_owned())));
    assert_eq!(attempt(Some("pia"), "pia's second").0, Ok(Some("pia".to_owned())));
    assert_eq!(attempt(None, "pia's").0, Ok(Some("pia".to_owned())));
    let file = Credential::KeyFile(file(1));
    assert!(matches!(
        Vault::open_as(machine.around(storage.clone()), "nina", &file, None).map(drop),
        Err(RepoError::WrongCredential)
    ));
    assert!(Vault::open_as(machine.around(storage), "quinn", &file, None).is_ok());
}

#[test]
fn a_user_changes_what_lets_them_in_and_the_old_opens_nothing() {
    let (storage, machine) = with_passphrases();
    let open = |login: &str, word: &str| {
        let credential = Credential::Passphrase(passphrase(word));
        Vault::open_as(machine.around(storage.clone()), login, &credential, None)
    };
    // One who may not remove slots, and one who may.
    for (login, may) in [("nina", false), ("owner", true)] {
        let old = format!("{login}'s");
        let mut vault = open(login, &old).unwrap();
        let slots = vault.view().slots().len();
        vault.change_lock(&Lock::Passphrase(passphrase("a better one"), CHEAP)).unwrap();
        assert!(matches!(open(login, &old).map(drop), Err(RepoError::WrongCredential)), "{login}");
        let mut vault = open(login, "a better one").unwrap();
        assert_eq!((vault.view().slots().len(), vault.is_administrator()), (slots, may));
        // Again, so that there are two old ones.
        vault.change_lock(&Lock::Passphrase(passphrase("the best"), CHEAP)).unwrap();
        assert!(open(login, "a better one").is_err() && open(login, "the best").is_ok());
    }
    let vault = open("owner", "the best").unwrap();
    assert!(vault.verify(VerifyLevel::Restore, Progress::none()).unwrap().is_good());
}

#[test]
fn slots_are_added_and_removed_but_for_the_last() {
    let (storage, machine, mut owner) = backed_up();
    let second = owner.add_lock(&Lock::KeyFile(file(7))).unwrap();
    assert_eq!(open(&storage, &machine, &file(7)).user(), owner.user());
    assert_eq!(owner.view().slots().len(), 3);
    owner.remove_slot(second).unwrap();
    assert!(matches!(machine.open(storage.clone(), &file(7)).map(drop), Err(RepoError::WrongCredential)));
    assert!(matches!(owner.remove_slot(second), Err(RepoError::NoSuchKey { id }) if id == second));
    owner.add_user(&someone("nina", 1, KeySet::NONE)).unwrap();
    let hers = owner.view().slots().into_iter().find(|slot| slot.user != owner.user()).unwrap();
    assert!(matches!(owner.remove_slot(hers.id), Err(RepoError::LastSlot)));
    let mut nina = open(&storage, &machine, &file(1));
    assert!(matches!(nina.remove_slot(second), Err(RepoError::NoRootKey)));
    assert!(!owner.is_opened_by_two());
    allow_weak_kdf();
    owner.add_lock(&Lock::PassphraseAndKeyFile(passphrase("both"), file(8), CHEAP)).unwrap();
    let both = Credential::PassphraseAndKeyFile(passphrase("both"), file(8));
    assert!(Vault::open(machine.around(storage), &both, None).unwrap().is_opened_by_two());
}

/// A clock at which somebody looks who then does something else first, once.
struct Distracting<'a>(Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>);

impl std::fmt::Debug for Distracting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Distracting")
    }
}

impl Clock for Distracting<'_> {
    fn now(&self) -> DateTime<Utc> {
        let act = self.0.lock().unwrap().take();
        act.into_iter().for_each(|act| act());
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }
}

#[test]
fn two_who_change_the_roll_at_once_are_told() {
    let (storage, machine, mut owner) = backed_up();
    owner.add_user(&someone("partner", 1, KeySet::ALL)).unwrap();
    let mut partner = Machine::new(2).open(storage.clone(), &file(1)).unwrap();
    let nina = owner.add_user(&someone("nina", 2, KeySet::NONE)).unwrap();
    let outcome = partner.change_user(nina, None, |member| {
        owner.add_user(&someone("omar", 3, KeySet::NONE)).unwrap();
        member.active = false;
    });
    assert!(matches!(outcome, Err(RepoError::RollChanged)), "{outcome:?}");
    // Everybody comes to the same, and goes on from there.
    let mut vault = open(&storage, &machine, &key());
    let before = vault.view().roll().unwrap().unwrap();
    vault.change_roll(None, |_| {}).unwrap();
    let after = vault.view().roll().unwrap().unwrap();
    assert_eq!((before.generation, after.generation, &after.members), (2, 3, &before.members));
}

#[test]
fn of_two_rolls_written_at_once_one_counts_for_everybody() {
    let (storage, machine, mut owner) = backed_up();
    owner.add_user(&someone("partner", 1, KeySet::ALL)).unwrap();
    let nina = owner.add_user(&someone("nina", 2, KeySet::NONE)).unwrap();
    let (locked, opened) = std::sync::mpsc::channel::<Vault>();
    let around = Machine::new(2).around(storage.clone());
    let act = move || {
        let mut owner: Vault = opened.recv().unwrap();
        let _ = owner.change_user(nina, None, |member| member.roles = roles("other"));
    };
    let clock = Arc::new(Distracting(Mutex::new(None)));
    let around = Surroundings { clock: clock.clone(), ..around };
    let mut partner = Vault::open(around, &Credential::KeyFile(file(1)), None).unwrap();
    partner.log(&[common::event(1)]).unwrap();
    *clock.0.lock().unwrap() = Some(Box::new(act));
    locked.send(owner).unwrap();
    let outcome = partner.change_user(nina, None, |member| member.active = false);
    assert!(matches!(outcome, Err(RepoError::RollChanged)), "{outcome:?}");
    let seen: Vec<_> = [1, 5].map(|n| Machine::new(n).open(storage.clone(), &key()).unwrap()).into();
    let rolls: Vec<_> = seen.iter().map(|vault| vault.current_roll().unwrap()).collect();
    assert_eq!(rolls[0], rolls[1]);
    let nina = rolls[0].member(nina).unwrap();
    assert!(nina.active != (nina.roles == roles("some")), "one of the two, and not both: {nina:?}");
    // The next change goes on from it.
    let mut owner = open(&storage, &machine, &key());
    owner.change_roll(None, |_| {}).unwrap();
    assert!(owner.verify(VerifyLevel::Objects, Progress::none()).unwrap().is_good());
}

#[test]
fn a_damaged_grant_or_roll_is_mended_by_its_twin_and_named() {
    let (storage, machine, mut owner) = backed_up();
    owner.add_user(&someone("nina", 1, KeySet::READ)).unwrap();
    let names = |folder: &str| -> Vec<ObjectName> {
        storage.list(folder).unwrap().into_iter().map(|listed| ObjectName::new(listed.name).unwrap()).collect()
    };
    for folder in ["grants", "roles"] {
        for name in names(folder) {
            storage.remove(&name).unwrap();
        }
    }
    let nina = open(&storage, &machine, &file(1));
    assert_eq!((nina.key_set(), nina.current_roll().unwrap().members.len()), (KeySet::READ, 2));
    let report = nina.verify(VerifyLevel::Objects, Progress::none()).unwrap();
    let is_named = |folder: &str| report.findings.iter().any(|finding| finding.object.starts_with(folder));
    assert!(is_named("grants/") && is_named("roles/"), "{report:?}");
    for folder in ["twin/grants", "twin/roles"] {
        for name in names(folder) {
            storage.remove(&name).unwrap();
        }
    }
    assert!(matches!(machine.open(storage.clone(), &file(1)).map(drop), Err(RepoError::Damaged { .. })));
    let view = View::open(storage.clone(), &State::in_memory(), None).unwrap();
    assert!(matches!(view.roll(), Err(RepoError::Damaged { .. })));
}

/// Does one thing after another to the staff of a vault that has `omar`, until one fails.
fn acts(owner: &mut Vault, omar: UserId) -> Vec<bool> {
    let acts: [Act; 3] = [
        |vault, _| vault.add_user(&someone("nina", 1, KeySet::READ)).map(drop),
        |vault, omar| vault.change_user(omar, None, |member| member.keys = KeySet::READ),
        |vault, omar| vault.remove_user(omar, None),
    ];
    let mut done = Vec::new();
    for act in acts {
        done.push(act(owner, omar).is_ok());
        if done.last() == Some(&false) {
            break;
        }
    }
    done
}

/// Wherever it is cut short, somebody is there or is not, and nobody else loses anything.
#[test]
fn a_change_of_users_counts_as_a_whole_or_not_at_all() {
    let mut letter = MemorySource::new(&["/firm"]);
    letter.file("/firm/letter", b"Dear Sirs");
    let prepared = SimDisk::new();
    let (mut owner, _) = new_vault(&Machine::new(1), Arc::new(prepared.storage()));
    owner.backup(&letter, &options(), Progress::none()).unwrap();
    let omar = owner.add_user(&someone("omar", 2, KeySet::ADD)).unwrap();
    let begin = || {
        let (disk, machine) = (prepared.snapshot(), Machine::new(3));
        let owner = machine.open(Arc::new(disk.storage()), &key()).unwrap();
        (disk, machine, owner)
    };
    let (first, operations) = {
        let (disk, _, mut owner) = begin();
        let first = disk.operations();
        assert_eq!(acts(&mut owner, omar), [true; 3]);
        (first, disk.operations())
    };
    for k in first..operations {
        // Each in one of two ways, which is half the time of both.
        let (cut, power) = if k % 2 == 0 { (Cut::Before, true) } else { (Cut::After, false) };
        let (disk, machine, mut owner) = begin();
        disk.cut(cut);
        disk.crash_at(k);
        let done = acts(&mut owner, omar);
        if power {
            disk.power_loss(k);
        } else {
            disk.kill();
        }
        let context = format!("operation {k}, {cut:?}, {done:?}");
        let storage: Arc<dyn Storage> = Arc::new(disk.storage());
        let owner = machine.open(storage.clone(), &key()).unwrap();
        let roll = owner.current_roll().unwrap();
        let (nina, omars) = (machine.open(storage.clone(), &file(1)), machine.open(storage, &file(2)));
        let is_on_roll = |vault: &Result<Vault, RepoError>| {
            vault.as_ref().is_ok_and(|vault| roll.member(vault.user()).is_some_and(|m| vault.key_set().covers(m.keys)))
        };
        assert!(is_on_roll(&nina) || !done[0], "{context}");
        assert_eq!(is_on_roll(&omars), roll.member(omar).is_some(), "{context}");
        assert!(is_on_roll(&omars) || done.len() == 3, "{context}");
        let members = 1 + usize::from(is_on_roll(&nina)) + usize::from(is_on_roll(&omars));
        assert_eq!(roll.members.len(), members, "{context}");
        // What was removed and is still there is no loss, and goes with the next collection.
        let report = owner.verify(VerifyLevel::Objects, Progress::none()).unwrap();
        assert!(report.findings.iter().all(|found| found.flaw == Flaw::Resurrected), "{context}: {report:?}");
        if !report.is_good() {
            let mut owner = owner;
            owner.collect(&CollectOptions::default(), Progress::none()).unwrap();
            let report = owner.verify(VerifyLevel::Restore, Progress::none()).unwrap();
            assert!(report.is_good(), "{context}: {report:?}");
        }
    }
}
