//! Tags given later: which count, who may give them, and what becomes of those before.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::{Arc, Mutex};

use common::faulty::{Act, Faulty};
use common::{Machine, firm, key, new_vault, options};
use sb_repo::testing::lose_reading_keys;
use sb_repo::{Flaw, Monitor, Progress, SnapshotId, State, Vault, VerifyLevel, View};
use sb_store::MemoryStorage;

fn tagged(tags: &[&str]) -> (Arc<MemoryStorage>, Machine, Vault, SnapshotId) {
    let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(61));
    let (mut vault, _) = new_vault(&machine, storage.clone());
    let mut options = options();
    options.tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    let id = vault.backup(&firm(), &options, Progress::none()).unwrap().snapshot;
    (storage, machine, vault, id)
}

fn set(vault: &mut Vault, id: SnapshotId, tags: &[&str]) {
    vault.set_tags(vec![(id, tags.iter().map(|&tag| tag.to_owned()).collect())]).unwrap();
}

fn tags(vault: &Vault, id: SnapshotId) -> Vec<String> {
    vault.find_snapshot(&id.to_string()).unwrap().tags().to_vec()
}

fn labels(storage: &MemoryStorage) -> Vec<String> {
    storage.objects().into_keys().filter(|name| name.contains("labels/")).collect()
}

fn is_good(vault: &Vault) -> bool {
    let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
    report.is_good() && report.unfinished.is_empty()
}

#[test]
fn the_tags_given_last_replace_all_others_and_the_snapshot_keeps_its_id() {
    let (storage, _, mut vault, id) = tagged(&["daily"]);
    assert_eq!((tags(&vault, id), labels(&storage).len()), (vec!["daily".to_owned()], 0));
    for given in [&["tax", "2025"][..], &["archive"], &[], &["\u{fc}ber", "daily"]] {
        set(&mut vault, id, given);
        assert_eq!(tags(&vault, id), given);
        assert_eq!(labels(&storage).len(), 2, "one label, stored twice: {:?}", labels(&storage));
        let stranger = Machine::new(62).open(storage.clone(), &key()).unwrap();
        assert_eq!(tags(&stranger, id), given);
        assert!(is_good(&stranger));
    }
    // What was tagged is found and restored as before, and a backup goes on from it.
    let again = vault.backup(&firm(), &options(), Progress::none()).unwrap();
    assert_eq!((again.counts.new_chunks, tags(&vault, again.snapshot)), (0, Vec::new()));
    assert!(is_good(&vault));
}

#[test]
fn several_snapshots_change_with_one_entry() {
    let (storage, _, mut vault, first) = tagged(&[]);
    let second = vault.backup(&firm(), &options(), Progress::none()).unwrap().snapshot;
    let entries = |storage: &MemoryStorage| storage.objects().into_keys().filter(|n| n.starts_with("journal/")).count();
    let before = entries(&storage);
    vault.set_tags(vec![(first, vec!["a".to_owned()]), (second, vec!["b".to_owned()])]).unwrap();
    assert_eq!(entries(&storage), before + 1);
    assert_eq!((tags(&vault, first), tags(&vault, second)), (vec!["a".to_owned()], vec!["b".to_owned()]));
}

#[test]
fn of_two_machines_at_once_the_later_wins_and_the_next_tidies_up() {
    let (storage, _, vault, id) = tagged(&[]);
    drop(vault);
    let machines = [Machine::new(63), Machine::new(64)];
    machines[1].clock.advance_hours(5);
    let mut both = machines.each_ref().map(|machine| machine.open(storage.clone(), &key()).unwrap());
    // Neither has seen the other's: labels of different ids, then of one id and generation.
    set(&mut both[1], id, &["later"]);
    set(&mut both[0], id, &["earlier"]);
    let seen = machines[0].open(storage.clone(), &key()).unwrap();
    assert_eq!((tags(&seen, id), labels(&storage).len()), (vec!["later".to_owned()], 4));
    let mut both = machines.each_ref().map(|machine| machine.open(storage.clone(), &key()).unwrap());
    set(&mut both[0], id, &["earlier again"]);
    set(&mut both[1], id, &["later again"]);
    let mut seen = machines[0].open(storage.clone(), &key()).unwrap();
    assert_eq!(tags(&seen, id), ["later again"]);
    assert!(is_good(&seen));
    set(&mut seen, id, &["last"]);
    assert_eq!((tags(&seen, id), labels(&storage).len()), (vec!["last".to_owned()], 2));
    assert!(is_good(&seen));
}

#[test]
fn labels_that_were_cut_short_are_given_to_none() {
    let (storage, machine, mut vault, first) = tagged(&["daily"]);
    let second = vault.backup(&firm(), &options(), Progress::none()).unwrap().snapshot;
    let broken = Faulty::new(&storage, |act, name| act == Act::Create && name.starts_with("journal/"));
    let cut =
        machine.open(broken, &key()).unwrap().set_tags([first, second].map(|id| (id, vec!["tax".to_owned()])).into());
    assert!(cut.is_err());
    assert_eq!(labels(&storage).len(), 4);
    machine.backup(storage.clone(), &key(), &firm()).unwrap();
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    assert_eq!((tags(&vault, first), tags(&vault, second)), (vec!["daily".to_owned()], Vec::new()));
    assert!(is_good(&vault), "nobody is told that a backup takes them over, for none does");
    set(&mut vault, first, &["tax"]);
    assert_eq!((tags(&vault, first), tags(&vault, second)), (vec!["tax".to_owned()], Vec::new()));
}

/// What a command was warned of, line by line.
#[derive(Debug, Default)]
struct Heard(Mutex<String>);

impl Monitor for Heard {
    fn warning(&self, text: &str) {
        self.0.lock().unwrap().extend([text, "\n"]);
    }
}

/// The journal entries of one writer, the oldest first.
fn entries(storage: &MemoryStorage) -> Vec<String> {
    storage.objects().into_keys().filter(|name| name.starts_with("journal/")).collect()
}

/// The user takes the vault as it is; what a machine that has never seen it says of it then.
fn accepted(machine: &Machine, storage: &Arc<MemoryStorage>) -> Vault {
    machine.open(storage.clone(), &key()).unwrap().rebuild(true, Progress::none()).unwrap();
    Machine::new(67).open(storage.clone(), &key()).unwrap()
}

#[test]
fn tags_whose_entry_is_lost_are_kept_when_the_vault_is_taken_as_it_is() {
    for lost in 1..=4 {
        let (storage, machine, mut vault, id) = tagged(&["daily"]);
        // The second replaces the first, which is gone from the storage then.
        set(&mut vault, id, &["draft"]);
        set(&mut vault, id, &["audit", "2025"]);
        let entries = entries(&storage);
        assert_eq!(entries.len(), 4, "init, backup, and two of tags");
        entries[4 - lost..].iter().for_each(|name| drop(storage.remove_raw(name)));
        let vault = accepted(&machine, &storage);
        assert_eq!(tags(&vault, id), ["audit", "2025"], "{lost} entries lost");
        assert!(is_good(&vault), "{lost}: {:?}", vault.verify(VerifyLevel::Data, Progress::none()));
        set(&mut machine.open(storage.clone(), &key()).unwrap(), id, &["next"]);
        assert_eq!((tags(&accepted(&machine, &storage), id), labels(&storage).len()), (vec!["next".to_owned()], 2));
    }
}

#[test]
fn a_machine_that_never_saw_the_lost_entry_can_take_the_vault_as_it_is_too() {
    let (storage, _, mut vault, id) = tagged(&["daily"]);
    set(&mut vault, id, &["audit"]);
    storage.remove_raw(entries(&storage).last().unwrap());
    let vault = accepted(&Machine::new(68), &storage);
    assert_eq!(tags(&vault, id), ["audit"]);
    assert!(is_good(&vault));
}

#[test]
fn one_copy_of_a_lost_label_is_enough_and_none_is_told_of() {
    let (storage, machine, mut vault, id) = tagged(&["daily"]);
    set(&mut vault, id, &["audit"]);
    storage.remove_raw(entries(&storage).last().unwrap());
    let names = labels(&storage);
    let damage = |storage: &MemoryStorage, name: &str| {
        let mut bytes = storage.objects()[name].clone();
        bytes[60] ^= 1;
        storage.put_raw(name, bytes);
    };
    for damaged in [&names[..1], &names[1..], &names[..]] {
        let storage = Arc::new(storage.snapshot());
        damaged.iter().for_each(|name| damage(&storage, name));
        let machine = Machine { state: State::in_memory(), ..machine.clone() };
        let heard = Heard::default();
        let progress = Progress { monitor: &heard, ..Progress::none() };
        machine.open(storage.clone(), &key()).unwrap().rebuild(true, progress).unwrap();
        let told = heard.0.into_inner().unwrap();
        assert!(damaged.iter().all(|name| told.contains(&format!("`{name}` is in no journal and not used"))), "{told}");
        let vault = machine.open(storage, &key()).unwrap();
        assert_eq!(tags(&vault, id), if damaged.len() == 2 { ["daily"] } else { ["audit"] });
    }
}

#[test]
fn labels_of_snapshots_that_are_not_there_are_not_taken_over() {
    let (storage, machine, mut vault, id) = tagged(&["daily"]);
    let mut source = firm();
    source.file("/firm/later", b"later");
    let second = vault.backup(&source, &options(), Progress::none()).unwrap().snapshot;
    set(&mut vault, second, &["audit"]);
    let entries = entries(&storage);
    entries[entries.len() - 2..].iter().for_each(|name| drop(storage.remove_raw(name)));
    let (whole, gone) = (Arc::new(storage.snapshot()), Arc::new(storage.snapshot()));
    gone.remove_raw(&format!("snapshots/{second}"));
    let others = [machine.clone(), Machine { state: State::in_memory(), ..machine }];
    let vault = accepted(&others[0], &whole);
    assert_eq!(tags(&vault, second), ["audit"], "a snapshot that is taken over brings its tags");
    assert!(is_good(&vault));
    let vault = accepted(&others[1], &gone);
    let live = View::open(gone.clone(), &State::in_memory(), Some(vault.view().root_fingerprint())).unwrap();
    assert_eq!((tags(&vault, id), vault.snapshots().unwrap().snapshots.len()), (vec!["daily".to_owned()], 1));
    assert!(live.verify(Progress::none()).unwrap().is_good());
}

#[test]
fn who_may_not_read_tags_is_told_that_they_are_not_taken_over() {
    let (storage, machine, mut vault, id) = tagged(&["daily"]);
    set(&mut vault, id, &["audit"]);
    storage.remove_raw(entries(&storage).last().unwrap());
    let mut operator = machine.open(storage.clone(), &key()).unwrap();
    lose_reading_keys(&mut operator);
    let heard = Heard::default();
    operator.rebuild(true, Progress { monitor: &heard, ..Progress::none() }).unwrap();
    let told = heard.0.into_inner().unwrap();
    assert!(told.contains("the tags in `labels/") && told.contains("are not taken over"), "{told}");
    // Who may read takes them over afterwards.
    assert_eq!(tags(&accepted(&machine, &storage), id), ["audit"]);
}

#[test]
fn where_an_entry_is_damaged_nothing_is_taken_over_and_that_is_said() {
    let (storage, machine, mut vault, id) = tagged(&["daily"]);
    set(&mut vault, id, &["audit"]);
    let entries = entries(&storage);
    storage.remove_raw(&entries[1]);
    let before = labels(&storage);
    let heard = Heard::default();
    let outcome =
        machine.open(storage.clone(), &key()).unwrap().rebuild(true, Progress { monitor: &heard, ..Progress::none() });
    assert!(outcome.is_ok(), "{outcome:?}");
    let told = heard.0.into_inner().unwrap();
    assert!(told.contains("journals are damaged, so nothing is taken over"), "{told}");
    assert_eq!(labels(&storage), before);
}

#[test]
fn a_label_survives_the_loss_of_one_copy_and_is_missed_with_both() {
    let (storage, _, mut vault, id) = tagged(&["made with"]);
    set(&mut vault, id, &["given"]);
    let names = labels(&storage);
    for damaged in [&names[..1], &names[1..], &names[..]] {
        let storage = Arc::new(storage.snapshot());
        damaged.iter().for_each(|name| drop(storage.remove_raw(name)));
        let vault = Machine::new(65).open(storage, &key()).unwrap();
        let all = vault.snapshots().unwrap();
        let lost = damaged.len() == 2;
        assert_eq!(all.snapshots[0].tags(), if lost { ["made with"] } else { ["given"] });
        let label = names[0].strip_prefix("twin/").unwrap_or(&names[0]).to_owned();
        assert_eq!(all.flawed_labels, if lost { vec![(label, Flaw::Missing)] } else { Vec::new() });
        assert!(all.flawed.is_empty());
        assert!(!vault.verify(VerifyLevel::Objects, Progress::none()).unwrap().is_good());
    }
}

#[test]
fn a_label_that_was_replaced_does_not_come_back() {
    let (storage, _, mut vault, id) = tagged(&[]);
    set(&mut vault, id, &["old"]);
    let old: Vec<_> = storage.objects().into_iter().filter(|(name, _)| name.contains("labels/")).collect();
    set(&mut vault, id, &["new"]);
    old.iter().for_each(|(name, bytes)| storage.put_raw(name.clone(), bytes.clone()));
    let vault = Machine::new(66).open(storage, &key()).unwrap();
    assert_eq!(tags(&vault, id), ["new"]);
    let report = vault.verify(VerifyLevel::Data, Progress::none()).unwrap();
    assert!(report.findings.iter().all(|finding| finding.flaw == Flaw::Resurrected) && report.findings.len() == 2);
}

#[test]
fn the_labels_of_a_snapshot_are_forgotten_with_it() {
    let (storage, machine, mut vault, first) = tagged(&["daily"]);
    let mut source = firm();
    source.file("/firm/later", b"later");
    let second = vault.backup(&source, &options(), Progress::none()).unwrap().snapshot;
    set(&mut vault, first, &["a"]);
    set(&mut vault, second, &["b"]);
    assert_eq!(labels(&storage).len(), 4, "each is stored twice");
    let report = vault.forget(&[first], Progress::none()).unwrap();
    assert_eq!(report.forgotten.count, 1);
    assert_eq!(labels(&storage).len(), 2);
    assert_eq!(tags(&vault, second), ["b"]);
    assert!(is_good(&machine.open(storage, &key()).unwrap()));
}
