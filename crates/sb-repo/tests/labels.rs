//! Tags given later: which count, who may give them, and what becomes of those before.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::Arc;

use common::faulty::{Act, Faulty};
use common::{Machine, firm, key, new_vault, options};
use sb_repo::{Flaw, Progress, SnapshotId, Vault, VerifyLevel};
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
    assert!(vault.verify(VerifyLevel::Restore, Progress::none()).unwrap().is_good());
    set(&mut vault, first, &["tax"]);
    assert_eq!((tags(&vault, first), tags(&vault, second)), (vec!["tax".to_owned()], Vec::new()));
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
