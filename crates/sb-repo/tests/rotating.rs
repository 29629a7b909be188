//! Rotation of keys among others who change users, lose certificates, or mean no good: nobody loses a key, nor gets one.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::Arc;

use common::faulty::{Act, Faulty};
use common::{Machine, assert_holds, backed_up, expected, firm, key, new_vault, options};
use sb_crypto::{KeyFile, Lock, SeededRandom};
use sb_repo::testing::{ForgedStatement, forge_statement};
use sb_repo::{KeySet, NewUser, Progress, RepoError, RequestId, RotateOptions, Vault};
use sb_store::sim::SimDisk;
use sb_store::{ObjectName, Storage};

fn file(n: u64) -> KeyFile {
    KeyFile::generate(&SeededRandom::new(9000 + n))
}

fn someone(login: &str, n: u64, keys: KeySet) -> NewUser {
    let role = if keys == KeySet::ALL { "owner" } else { "some" };
    NewUser::new(login, Lock::KeyFile(file(n)), vec![role.to_owned()], keys)
}

fn rotate(vault: &mut Vault) -> Result<bool, RepoError> {
    let mut options = RotateOptions::default();
    options.begin = true;
    Ok(vault.rotate(&options, Progress::none())?.is_finished)
}

/// Nothing vouches for a machine for now, so that what it has entered seems to be nobody's.
#[test]
fn while_a_machines_certificate_is_lost_no_key_is_destroyed() {
    let (storage, _, mut owner) = backed_up();
    let certificates = || -> Vec<String> {
        let listed = storage.list("").unwrap().into_iter().map(|listed| listed.name);
        listed.filter(|name| name.contains("writers/")).collect()
    };
    let known = certificates();
    let desk = Machine::new(3);
    let mut source = firm();
    source.file("/firm/desk", b"from the desk");
    let backup = desk.backup(storage.clone(), &key(), &source).unwrap();
    for name in certificates().into_iter().filter(|name| !known.contains(name)) {
        storage.remove(&ObjectName::new(name).unwrap()).unwrap();
    }
    let refused = rotate(&mut owner);
    assert!(matches!(refused, Err(RepoError::Undecided { .. })), "{refused:?}");
    // It certifies itself again, and all it has stored is there.
    desk.backup(storage.clone(), &key(), &source).unwrap();
    owner.refresh().unwrap();
    assert!(rotate(&mut owner).unwrap());
    let stranger = Machine::new(99).open(storage, &key()).unwrap();
    assert_holds(&stranger, &backup.snapshot.to_string(), &expected(&source));
}

/// Somebody has had a session open since before a rotation that was cut short once keys were granted, and lets another owner in: who
/// then rotates as the last must not be without the keys of that one.
#[test]
fn who_has_had_a_session_open_hands_out_the_newest_keys() {
    let (storage, machine, mut owner) = backed_up();
    let source = firm();
    let backup = machine.backup(storage.clone(), &key(), &source).unwrap();
    owner.add_user(&someone("partner", 1, KeySet::ALL)).unwrap();
    let mut partner = Machine::new(5).open(storage.clone(), &file(1)).unwrap();
    let cut_short = |folder: &'static str| {
        let broken = Faulty::new(&storage, move |act, name| act == Act::Create && name.contains(folder));
        let rotator = Machine { state: machine.state.clone(), ..Machine::new(7) };
        let outcome = rotator.open(broken, &key()).unwrap().rotate(&RotateOptions::default(), Progress::none());
        assert!(outcome.is_err());
    };
    cut_short("config/");
    partner.add_user(&someone("nina", 2, KeySet::ALL)).unwrap();
    cut_short("sessions/");
    // Sealed to the newest keys.
    let mut newest = firm();
    newest.file("/firm/new", b"a letter of today");
    let today = Machine::new(9).backup(storage.clone(), &key(), &newest).unwrap();
    let mut nina = machine.open(storage.clone(), &file(2)).unwrap();
    assert!(rotate(&mut nina).unwrap());
    for user in [key(), file(1), file(2)] {
        let stranger = Machine::new(8).open(storage.clone(), &user).unwrap();
        assert_holds(&stranger, &backup.snapshot.to_string(), &expected(&source));
        assert_holds(&stranger, &today.snapshot.to_string(), &expected(&newest));
    }
}

#[test]
fn who_is_locked_out_is_granted_nothing_by_a_change_of_roles_or_a_reset() {
    let (storage, machine, mut owner) = backed_up();
    let nina = owner.add_user(&someone("nina", 1, KeySet::READ)).unwrap();
    owner.change_user(nina, None, |member| member.active = false).unwrap();
    assert!(rotate(&mut owner).unwrap());
    let keys = |n: u64| machine.open(storage.clone(), &file(n)).unwrap().key_set();
    owner.change_user(nina, None, |member| member.keys = KeySet::READ_NAMES).unwrap();
    assert_eq!(keys(1), KeySet::NONE);
    owner.reset_user(nina, "nina", &[Lock::KeyFile(file(2))]).unwrap();
    assert_eq!(keys(2), KeySet::NONE);
    owner.change_user(nina, None, |member| member.active = true).unwrap();
    assert_eq!(keys(2), KeySet::READ_NAMES);
}

/// A machine key suffices to write a journal entry, also one that names what there never was.
#[test]
fn a_config_that_a_machine_makes_up_stops_nobody() {
    let (storage, machine, mut owner) = backed_up();
    owner.add_user(&someone("omar", 1, KeySet::ADD)).unwrap();
    let mut omar = Machine::new(4).open(storage.clone(), &file(1)).unwrap();
    forge_statement(&mut omar, RequestId::new([0; 8]), ForgedStatement::Config).unwrap();
    machine.backup(storage.clone(), &key(), &firm()).unwrap();
    let mut owner = machine.open(storage, &key()).unwrap();
    assert!(rotate(&mut owner).unwrap());
}

#[test]
fn a_config_that_is_put_back_meanwhile_is_not_gone_back_to() {
    let (storage, _, mut owner) = backed_up();
    let before = storage.objects();
    assert!(rotate(&mut owner).unwrap());
    let configs = |name: &String| name.contains("config/");
    for name in storage.objects().keys().filter(|name| configs(name)) {
        storage.remove(&ObjectName::new(name.clone()).unwrap()).unwrap();
    }
    for (name, bytes) in before.iter().filter(|(name, _)| configs(name)) {
        sb_store::create(&*storage, &ObjectName::new(name.clone()).unwrap(), bytes).unwrap();
    }
    let refused = owner.backup(&firm(), &options(), Progress::none()).map(drop);
    assert!(matches!(refused, Err(RepoError::Damaged { .. })), "{refused:?}");
}

/// Of two rolls of one generation the smaller hash counts, also if its author died before taking it back, and names grants that the
/// other has replaced.
#[test]
fn a_rival_roll_whose_author_died_shuts_nobody_out() {
    let mut survived = 0;
    for seed in 0..6 {
        let prepared = SimDisk::new();
        let (mut owner, _) = new_vault(&Machine::new(1), Arc::new(prepared.storage()));
        owner.add_user(&someone("partner", 1, KeySet::ALL)).unwrap();
        let nina = owner.add_user(&someone("nina", 2, KeySet::READ)).unwrap();
        drop(owner);
        let (theirs, mine) = (prepared.snapshot(), prepared.snapshot());
        let mut partner = Machine::new(20 + seed).open(Arc::new(theirs.storage()), &file(1)).unwrap();
        // As often as a rotation writes one.
        for active in [false, true] {
            partner.change_user(nina, None, |member| member.active = active).unwrap();
        }
        let mut owner = Machine::new(40 + seed).open(Arc::new(mine.storage()), &key()).unwrap();
        assert!(rotate(&mut owner).unwrap());
        // What the one wrote comes beside what the other did, but for what takes it back.
        let (theirs, mine) = (theirs.storage(), mine.storage());
        for listed in theirs.list("").unwrap() {
            let name = ObjectName::new(listed.name).unwrap();
            if !name.as_str().contains("grants/") && mine.size(&name).is_err() {
                sb_store::create(&mine, &name, &theirs.read(&name).unwrap()).unwrap();
            }
        }
        let storage: Arc<dyn Storage> = Arc::new(mine);
        for user in [key(), file(1)] {
            let opened = Machine::new(60).open(storage.clone(), &user);
            let opened = opened.unwrap_or_else(|error| panic!("{seed}: {error}"));
            survived += usize::from(opened.key_set() == KeySet::ALL);
        }
    }
    assert_eq!(survived, 12);
}
