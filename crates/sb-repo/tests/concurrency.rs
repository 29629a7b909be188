//! Others at work meanwhile: collectors, a clone of this machine, disposal.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::meddler::*;
use common::{Machine, assert_holds, expected, key, new_vault, noise, options};
use sb_repo::testing::{condemn, redact};
use sb_repo::{Flaw, Item, Progress, RepoError, RestoreOptions, RestoreProblem, State, VerifyLevel, View};
use sb_source::Target;
use sb_store::{LocalStorage, MemoryStorage, Storage};

#[test]
fn a_pack_condemned_while_a_run_relies_on_it_is_not_relied_on() {
    let (storage, machine, mut vault) = begin(1);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let old = packs(&storage);
    let mut collector = machine.open(storage.clone(), &key()).unwrap();
    let names: Vec<String> = old.iter().cloned().collect();
    let meddler = Meddler::new(b"/d/sub", 1, || condemn(&mut collector, &names).unwrap());
    let report = vault.backup(&source(), &options(), heard_by(&meddler)).unwrap();
    assert_eq!(meddler.warnings.load(Ordering::Relaxed), 1, "it began again");
    assert!(report.counts.new_bytes >= 70_000, "all contents are stored anew: {:?}", report.counts);
    // The collector deletes what it condemned; the new snapshot does not need it.
    for name in &old {
        storage.remove_raw(name);
    }
    assert_holds(&machine.open(storage.clone(), &key()).unwrap(), &report.snapshot.to_string(), &expected(&source()));
    let attempts = storage.list("snapshots").unwrap().len();
    assert_eq!(attempts, 2, "of the attempt that failed no snapshot is left");
}

#[test]
fn what_is_condemned_from_the_start_is_not_used() {
    let (storage, machine, mut vault) = begin(2);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let old = packs(&storage);
    condemn(&mut vault, &old.iter().cloned().collect::<Vec<_>>()).unwrap();
    let meddler = Meddler::new(b"", 0, || ());
    let report = vault.backup(&source(), &options(), heard_by(&meddler)).unwrap();
    assert!(report.counts.new_bytes >= 70_000, "{:?}", report.counts);
    for name in &old {
        storage.remove_raw(name);
    }
    assert_holds(&machine.open(storage, &key()).unwrap(), "latest", &expected(&source()));
}

#[test]
fn of_what_is_stored_twice_either_copy_will_do_with_and_without_a_locator() {
    let (storage, _, mut vault) = begin(13);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    condemn(&mut vault, &packs(&storage).into_iter().collect::<Vec<_>>()).unwrap();
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    for with_locator in [true, false] {
        for name in packs(&storage) {
            let damaged = storage.snapshot();
            let mut bytes = damaged.objects()[&name].clone();
            bytes[200] ^= 1;
            damaged.put_raw(name.as_str(), bytes);
            if !with_locator {
                damaged.list("locator").unwrap().iter().for_each(|listed| drop(damaged.remove_raw(&listed.name)));
            }
            let vault = Machine::new(133).open(Arc::new(damaged), &key()).unwrap();
            let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
            assert!(report.findings.iter().any(|finding| finding.object == name));
            let lost: Vec<_> = report.findings.iter().flat_map(|finding| &finding.documents).collect();
            // Nodes are stored once for each snapshot; contents twice.
            let is_content = storage.objects()[&name].len() > 50_000;
            assert!(!is_content || lost.is_empty(), "{name} costs {lost:?}");
            if is_content {
                assert_holds(&vault, "latest", &expected(&source()));
            }
        }
    }
}

#[test]
fn a_pack_that_vanishes_during_a_run_is_stored_again() {
    let (storage, machine, mut vault) = begin(3);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let content = packs(&storage).into_iter().max_by_key(|name| storage.objects()[name].len()).unwrap();
    let meddler = Meddler::new(b"/d/sub", 1, || drop(storage.remove_raw(&content)));
    let report = vault.backup(&source(), &options(), heard_by(&meddler)).unwrap();
    assert!(report.counts.new_bytes >= 70_000, "{:?}", report.counts);
    assert_holds(&machine.open(storage.clone(), &key()).unwrap(), "latest", &expected(&source()));
    let again = vault.backup(&source(), &options(), Progress::none()).unwrap();
    assert_eq!(again.counts.new_chunks, 0, "and only once");
}

#[test]
fn a_run_gives_up_when_what_it_relies_on_vanishes_every_time() {
    let (storage, machine, mut vault) = begin(4);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let mut collector = machine.open(storage.clone(), &key()).unwrap();
    let other = Machine::new(44);
    let mut day = 0;
    let meddler = Meddler::new(b"/d/sub", 3, || {
        condemn(&mut collector, &packs(&storage).into_iter().collect::<Vec<_>>()).unwrap();
        // Somebody else stores the same again, so that the next attempt has something to rely on.
        day += 1;
        other.backup(storage.clone(), &key(), source().file("/d/day", format!("{day}").as_bytes())).unwrap();
    });
    let outcome = vault.backup(&source(), &options(), heard_by(&meddler));
    assert!(matches!(outcome, Err(RepoError::Condemned { .. })), "{outcome:?}");
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    assert_holds(&machine.open(storage.clone(), &key()).unwrap(), "latest", &expected(&source()));
}

#[test]
fn a_lost_pack_or_table_does_not_stop_backups() {
    for folder in ["packs", "sessions", "twin/sessions"] {
        let (storage, machine, mut vault) = begin(5);
        vault.backup(&source(), &options(), Progress::none()).unwrap();
        for listed in storage.list(folder).unwrap() {
            let lost = storage.snapshot();
            lost.remove_raw(&listed.name);
            let machine = Machine { state: State::in_memory(), ..machine.clone() };
            let outcome = machine.backup(Arc::new(lost.clone()), &key(), &source());
            assert!(outcome.is_ok(), "{} lost: {outcome:?}", listed.name);
            let vault = Machine::new(55).open(Arc::new(lost), &key()).unwrap();
            assert_holds(&vault, &outcome.unwrap().snapshot.to_string(), &expected(&source()));
        }
    }
}

#[test]
fn keys_that_are_gone_altogether_cost_what_they_sealed_and_no_backup() {
    let (storage, machine, mut vault) = begin(6);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    for listed in storage.list("sessions").unwrap() {
        let lost = storage.snapshot();
        lost.remove_raw(&listed.name);
        lost.remove_raw(&format!("twin/{}", listed.name));
        let machine = Machine { state: State::in_memory(), ..machine.clone() };
        let outcome = machine.backup(Arc::new(lost.clone()), &key(), &source());
        assert!(outcome.is_ok(), "{} lost: {outcome:?}", listed.name);
        let vault = Machine::new(66).open(Arc::new(lost), &key()).unwrap();
        assert_holds(&vault, &outcome.unwrap().snapshot.to_string(), &expected(&source()));
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn a_cloned_machine_forks_its_journal_and_goes_on_under_a_new_name() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["a", "b"].map(|name| folder.path().join(name));
    let storage = Arc::new(MemoryStorage::new());
    let machine = Machine { state: State::open(&first).unwrap(), ..Machine::new(7) };
    let (mut vault, _) = new_vault(&machine, storage.clone());
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    copy_folder(&first, &second);
    let clone = Machine { state: State::open(&second).unwrap(), ..Machine::new(77) };
    // Both append at once: neither sees what the other writes.
    let elsewhere = storage.snapshot();
    let (mut here, mut there) = (source(), source());
    here.file("/d/here", b"written here");
    there.file("/d/there", b"written there");
    let one = machine.backup(storage.clone(), &key(), &here).unwrap();
    let two = clone.backup(Arc::new(elsewhere.clone()), &key(), &there).unwrap();
    for (name, bytes) in elsewhere.objects() {
        storage.put_raw(name, bytes);
    }
    let view = View::open(storage.clone(), &State::in_memory(), None).unwrap();
    let report = view.verify(Progress::none()).unwrap();
    let flaws: Vec<_> = report.findings.iter().map(|finding| (finding.object.as_str(), &finding.flaw)).collect();
    assert!(matches!(flaws[..], [(name, Flaw::Forked)] if name.contains("/0000000002.")), "{flaws:?}");
    let writers = || storage.list("writers").unwrap().len();
    assert_eq!(writers(), 1);
    for (n, machine) in [&machine, &clone].into_iter().enumerate() {
        machine.backup(storage.clone(), &key(), &source()).unwrap();
        assert_eq!(writers(), 2 + n, "it has enrolled anew");
        machine.backup(storage.clone(), &key(), &source()).unwrap();
        assert_eq!(writers(), 2 + n, "and once only");
    }
    let vault = Machine::new(78).open(storage.clone(), &key()).unwrap();
    assert_holds(&vault, &one.snapshot.to_string(), &expected(&here));
    assert_holds(&vault, &two.snapshot.to_string(), &expected(&there));
    let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
    assert_eq!(report.findings.len(), 1, "the fork stays on record: {report:?}");
    // Nothing that was said is lost, so what an interrupted run has stored is used.
    let mut large = source();
    large.file("/d/large", &noise(8, 34_000_000)).file("/d/sub/z", b"after it");
    let third = Machine::new(79);
    let stop = AtomicBool::new(false);
    let meddler = Meddler::new(b"/d/sub", 1, || stop.store(true, Ordering::Relaxed));
    let progress = Progress { monitor: &meddler, stop: &stop };
    let cut = third.open(storage.clone(), &key()).unwrap().backup(&large, &options(), progress);
    assert!(matches!(cut, Err(RepoError::Interrupted)), "{cut:?}");
    let report = third.backup(storage, &key(), &large).unwrap();
    assert!(report.adopted > 0, "{report:?}");
}

#[test]
fn a_journal_that_rotted_at_its_end_does_not_stop_backups() {
    let (storage, machine, mut vault) = begin(8);
    let first = vault.backup(&source(), &options(), Progress::none()).unwrap();
    let newest = storage.list("journal").unwrap().pop().unwrap().name;
    let mut bytes = storage.objects()[&newest].clone();
    bytes[100] ^= 4;
    storage.put_raw(newest.as_str(), bytes);
    for _ in 0..2 {
        machine.backup(storage.clone(), &key(), &source()).unwrap();
    }
    assert_eq!(storage.list("writers").unwrap().len(), 2);
    let vault = Machine::new(88).open(storage, &key()).unwrap();
    assert_holds(&vault, &first.snapshot.to_string(), &expected(&source()));
    assert_holds(&vault, "latest", &expected(&source()));
}

#[test]
fn what_was_disposed_of_is_gone_for_list_restore_and_verify_and_every_proof_stays() {
    let (storage, machine, mut vault) = begin(9);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    let (root, documents) = (snapshot.document_root(), snapshot.documents());
    redact(&mut vault, &snapshot, b"/d", b"b").unwrap();
    let vault = machine.open(storage.clone(), &key()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    assert_eq!((snapshot.document_root(), snapshot.documents()), (root, documents));
    let reader = vault.reader(Progress::none()).unwrap();
    let mut seen = Vec::new();
    reader
        .list(&snapshot, b"/d", true, &mut |path, entry| {
            seen.push((String::from_utf8(path.to_vec()).unwrap(), matches!(entry.item, Item::Redacted { .. })));
            Ok(())
        })
        .unwrap();
    let seen: Vec<_> = seen.iter().map(|(path, redacted)| (path.as_str(), *redacted)).collect();
    assert_eq!(seen, [("/d/a", false), ("/d/", true), ("/d/sub", false), ("/d/sub/c", false)]);
    assert!(matches!(reader.entry(&snapshot, b"/d/b"), Err(RepoError::NoSuchPath { .. })));
    let folder = tempfile::tempdir().unwrap();
    let target = Target::create(folder.path()).unwrap();
    let report = reader.restore(&snapshot, b"/d", &target, RestoreOptions::default(), Progress::none()).unwrap();
    assert!(matches!(&report.problems[..], [RestoreProblem::Disposed { documents: 1, .. }]), "{report:?}");
    assert!(!report.is_damaged());
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "sub"]);
    good(&vault);
}

#[test]
fn what_was_disposed_of_may_come_again_and_does_not_disappear_with_the_redaction() {
    let (storage, machine, mut vault) = begin(10);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    redact(&mut vault, &snapshot, b"/d", b"b").unwrap();
    // The document is still in the source, and the redaction can't be read while the next backup is made.
    let name = storage.list("redactions").unwrap().pop().unwrap().name;
    let bytes = storage.remove_raw(&name).unwrap();
    let report = machine.backup(storage.clone(), &key(), &source()).unwrap();
    storage.put_raw(name, bytes);
    let vault = machine.open(storage, &key()).unwrap();
    assert_holds(&vault, &report.snapshot.to_string(), &expected(&source()));
    good(&vault);
}

#[test]
fn a_redaction_that_is_damaged_or_gone_fails_closed() {
    let (storage, machine, mut vault) = begin(11);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    redact(&mut vault, &snapshot, b"/d", b"b").unwrap();
    let listed = storage.list("redactions").unwrap().pop().unwrap();
    let whole = storage.objects()[&listed.name].clone();
    for bytes in [None, Some(Vec::new()), Some(whole[1..].to_vec())] {
        match bytes {
            Some(bytes) => storage.put_raw(listed.name.as_str(), bytes),
            None => drop(storage.remove_raw(&listed.name)),
        }
        let vault = machine.open(storage.clone(), &key()).unwrap();
        let refused = vault.reader(Progress::none()).map(drop);
        assert!(matches!(&refused, Err(RepoError::Damaged { name, .. }) if *name == listed.name), "{refused:?}");
        let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
        assert!(report.findings.iter().any(|finding| finding.object == listed.name));
    }
}

#[test]
fn processes_of_one_machine_share_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(LocalStorage::create(folder.path().join("vault")).unwrap());
    let state = || State::open(&folder.path().join("state")).unwrap();
    let machine = Machine { state: state(), ..Machine::new(12) };
    new_vault(&machine, storage.clone());
    std::thread::scope(|scope| {
        for n in 0..4u64 {
            let (storage, state) = (storage.clone(), state());
            scope.spawn(move || {
                let machine = Machine { state, ..Machine::new(120 + n) };
                let mut source = source();
                source.file("/d/own", &noise(n + 10, 5000));
                for _ in 0..3 {
                    machine.backup(storage.clone(), &key(), &source).unwrap();
                }
            });
        }
    });
    let vault = Machine::new(121).open(storage.clone(), &key()).unwrap();
    good(&vault);
    assert_eq!(vault.snapshots().unwrap().snapshots.len(), 12);
    assert_eq!(storage.list("writers").unwrap().len(), 1);
}
