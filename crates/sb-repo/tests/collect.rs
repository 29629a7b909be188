//! Forgetting and collecting: what goes, what stays, and who is in the way.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::faulty::{Act, Faulty};
use common::meddler::*;
use common::{Machine, assert_holds, expected, firm, key, new_vault, noise, options};
use sb_crypto::Lock;
use sb_repo::testing::{condemn, redact};
use sb_repo::{
    CollectOptions, CollectReport, CreateOptions, Flaw, MaxUnused, Progress, RepoError, SnapshotId, Vault, VerifyLevel,
    create,
};
use sb_source::MemorySource;
use sb_store::sim::SimDisk;
use sb_store::{MemoryStorage, Storage, StoreError};

fn collecting(max_unused: MaxUnused) -> CollectOptions {
    let mut options = CollectOptions::default();
    options.max_unused = max_unused;
    options
}

fn collect(vault: &mut Vault) -> Result<CollectReport, RepoError> {
    vault.collect(&collecting(MaxUnused::Bytes(0)), Progress::none())
}

fn forget(vault: &mut Vault, id: SnapshotId) {
    let report = vault.forget(&[id], Progress::none()).unwrap();
    assert_eq!(report.forgotten.count, 1);
}

fn bytes(storage: &MemoryStorage) -> u64 {
    storage.objects().values().map(|bytes| bytes.len() as u64).sum()
}

fn number(storage: &MemoryStorage, folder: &str) -> usize {
    storage.list(folder).unwrap().len()
}

/// A firm with something new each day: documents that compress, scans that do not, and many small files.
fn day(n: u64) -> MemorySource {
    let mut source = firm();
    for file in 0..60 {
        source.file(format!("/firm/acme/2025/old{file}"), &noise(file, 20_000));
    }
    for file in 0..40 * n {
        source.file(format!("/firm/acme/new{file}"), format!("letter {file} of day {n} ").repeat(100).as_bytes());
        source.file(format!("/firm/acme/scan{file}"), &noise(1000 * n + file, 15_000));
    }
    source
}

#[test]
fn forgetting_and_collecting_frees_what_only_the_forgotten_needed() {
    for max_unused in [MaxUnused::Bytes(0), MaxUnused::Percent(5)] {
        let (storage, machine, mut vault) = begin(1);
        let first = vault.backup(&day(0), &options(), Progress::none()).unwrap();
        let before = bytes(&storage);
        let extra: Vec<_> =
            (1..4).map(|n| vault.backup(&day(n), &options(), Progress::none()).unwrap().snapshot).collect();
        let after = bytes(&storage);
        let report = vault.forget(&extra, Progress::none()).unwrap();
        assert_eq!(report.forgotten.count, 3);
        let report = vault.collect(&collecting(max_unused), Progress::none()).unwrap();
        let left = bytes(&storage);
        let freed = (after - left) as f64 / (after - before) as f64;
        assert!(freed >= 0.95, "{max_unused:?}: {freed} of {} freed: {report:?}", after - before);
        assert!(report.freed().abs_diff(after - left) < 20_000, "{report:?} says {}", after - left);
        assert_eq!(report.snapshots, 1);
        let vault = machine.open(storage.clone(), &key()).unwrap();
        assert_holds(&vault, &first.snapshot.to_string(), &expected(&day(0)));
        assert_eq!(vault.snapshots().unwrap().snapshots.len(), 1);
        good(&vault);
        for folder in ["leases", "fences", "condemned"] {
            assert_eq!(number(&storage, folder), 0, "{folder}");
        }
    }
}

/// A vault with packs of which half is needed: the first snapshot is forgotten, the second has every other file of it.
fn half_needed(seed: u64) -> (Arc<MemoryStorage>, Machine, Vault, MemorySource) {
    let (storage, machine, mut vault) = begin(seed);
    let (mut all, mut half) = (MemorySource::new(&["/d"]), MemorySource::new(&["/d"]));
    for n in 0..40 {
        all.file(format!("/d/{n}"), &noise(n, 50_000));
        if n % 2 == 0 {
            half.file(format!("/d/{n}"), &noise(n, 50_000));
        }
    }
    let first = vault.backup(&all, &options(), Progress::none()).unwrap().snapshot;
    vault.backup(&half, &options(), Progress::none()).unwrap();
    forget(&mut vault, first);
    (storage, machine, vault, half)
}

#[test]
fn what_is_needed_of_wasteful_packs_moves_on_and_nothing_else_changes() {
    let (storage, machine, mut vault, half) = half_needed(2);
    let before = bytes(&storage);
    let tables = number(&storage, "sessions");
    let report = vault.collect(&CollectOptions::default(), Progress::none()).unwrap();
    assert!(report.rewritten.count == 1 && report.written.bytes > 1_000_000, "{report:?}");
    assert!(bytes(&storage) < before - 900_000, "{report:?}");
    assert!(number(&storage, "sessions") <= tables, "the keys of what is gone are gone");
    let latest = machine.open(storage.clone(), &key()).unwrap();
    assert_holds(&latest, "latest", &expected(&half));
    good(&latest);
    // Without its increments the locator is the packs' footers, which say the same.
    storage.list("locator").unwrap().iter().for_each(|listed| drop(storage.remove_raw(&listed.name)));
    assert_holds(&machine.open(storage.clone(), &key()).unwrap(), "latest", &expected(&half));
    let next = machine.backup(storage, &key(), &half).unwrap();
    assert_eq!(next.counts.new_chunks, 0, "what was moved is known");
}

#[test]
fn waste_is_tolerated_as_far_as_allowed() {
    for (max_unused, rewritten) in [
        (MaxUnused::Unlimited, 0),
        (MaxUnused::Percent(60), 0),
        (MaxUnused::Bytes(1 << 30), 0),
        (MaxUnused::Percent(40), 1),
    ] {
        let (_, _, mut vault, _) = half_needed(3);
        let report = vault.collect(&collecting(max_unused), Progress::none()).unwrap();
        assert_eq!(report.rewritten.count, rewritten, "{max_unused:?} {report:?}");
        assert!(rewritten > 0 || report.unused > 900_000, "{report:?}");
    }
}

#[test]
fn a_collection_on_trial_writes_nothing_and_says_what_there_is_to_free() {
    let (storage, _, mut vault, _) = half_needed(4);
    let before = storage.objects();
    let mut trial = CollectOptions::default();
    trial.dry_run = true;
    let said = vault.collect(&trial, Progress::none()).unwrap();
    assert!(said.dry_run && storage.objects() == before);
    let done = vault.collect(&CollectOptions::default(), Progress::none()).unwrap();
    assert_eq!((said.deleted, said.rewritten.count), (done.deleted, done.rewritten.count));
    assert!(said.freed().abs_diff(done.freed()) < 20_000, "{said:?}, then {done:?}");
}

#[test]
fn collecting_again_finds_nothing_to_do() {
    let (storage, _, mut vault, _) = half_needed(5);
    collect(&mut vault).unwrap();
    let before: BTreeSet<String> = storage.objects().into_keys().collect();
    let report = collect(&mut vault).unwrap();
    assert_eq!((report.freed(), report.written.count), (0, 0), "{report:?}");
    assert_eq!(storage.objects().into_keys().collect::<BTreeSet<_>>(), before, "nor does the journal grow");
}

#[test]
fn many_small_increments_of_the_locator_become_few() {
    let (storage, machine, mut vault) = begin(6);
    for n in 0..12 {
        let mut source = source();
        source.file("/d/today", &noise(n + 50, 3000));
        source.edit("/d/today", |metadata| metadata.ctime.seconds += n as i64);
        vault.backup(&source, &options(), Progress::none()).unwrap();
    }
    assert!(number(&storage, "locator") >= 12);
    vault.collect(&CollectOptions::default(), Progress::none()).unwrap();
    assert_eq!(number(&storage, "locator"), 1);
    let vault = machine.open(storage, &key()).unwrap();
    good(&vault);
    assert_eq!(vault.snapshots().unwrap().snapshots.len(), 12);
}

/// Lets a backup of this machine stop in its middle, with a pack stored.
fn interrupted(machine: &Machine, storage: &Arc<MemoryStorage>) {
    let mut large = source();
    large.file("/d/large", &noise(8, 38_000_000)).file("/d/sub/z", b"after it");
    let stop = AtomicBool::new(false);
    let meddler = Meddler::new(b"/d/sub", 1, || stop.store(true, Ordering::Relaxed));
    let progress = Progress { monitor: &meddler, stop: &stop };
    let cut = machine.open(storage.clone(), &key()).unwrap().backup(&large, &options(), progress);
    assert!(matches!(cut, Err(RepoError::Interrupted)), "{cut:?}");
}

#[test]
fn what_interrupted_runs_left_goes_when_they_are_dead() {
    let (storage, machine, mut vault) = begin(7);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let before = (number(&storage, "packs"), number(&storage, "sessions"));
    interrupted(&machine, &storage);
    // The run's machine says that it is over; its lease would be good for two days.
    let lease = Machine::new(77);
    assert!(number(&storage, "packs") > before.0);
    let report = collect(&mut lease.open(storage.clone(), &key()).unwrap()).unwrap();
    assert!(report.deleted.bytes > 30 << 20, "{report:?}");
    assert_eq!((number(&storage, "packs"), number(&storage, "sessions")), before);
    good(&machine.open(storage, &key()).unwrap());
}

#[test]
fn what_a_run_that_goes_on_has_stored_stays() {
    let (storage, machine, mut vault) = begin(8);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let mut large = source();
    large.file("/d/large", &noise(8, 38_000_000)).file("/d/sub/z", b"after it");
    let other = Machine::new(88);
    let report = Mutex::new(None);
    let meddler = Meddler::new(b"/d/sub", 1, || {
        *report.lock().unwrap() = Some(collect(&mut other.open(storage.clone(), &key()).unwrap()).unwrap());
    });
    let done = vault.backup(&large, &options(), heard_by(&meddler)).unwrap();
    let report = report.lock().unwrap().take().unwrap();
    assert_eq!(report.deleted.count, 0, "{report:?}");
    assert_eq!(meddler.warnings.load(Ordering::Relaxed), 0, "and it need not begin again");
    let vault = machine.open(storage.clone(), &key()).unwrap();
    assert_holds(&vault, &done.snapshot.to_string(), &expected(&large));
    good(&vault);
}

#[test]
fn a_run_relies_on_nothing_that_is_collected_meanwhile() {
    let (storage, machine, mut vault) = begin(9);
    let old = vault.backup(&source(), &options(), Progress::none()).unwrap().snapshot;
    let other = Machine::new(99);
    // A base of another kind: nothing that the collector would spare for this run's sake.
    let mut other_options = options();
    other_options.host = b"another".to_vec();
    let meddler = Meddler::new(b"/d/sub", 1, || {
        let mut vault = other.open(storage.clone(), &key()).unwrap();
        forget(&mut vault, old);
        let report = collect(&mut vault).unwrap();
        assert!(report.deleted.bytes > 70_000, "{report:?}");
    });
    let done = vault.backup(&source(), &other_options, heard_by(&meddler)).unwrap();
    assert!(meddler.warnings.load(Ordering::Relaxed) > 0, "it began again");
    let vault = machine.open(storage.clone(), &key()).unwrap();
    assert_holds(&vault, &done.snapshot.to_string(), &expected(&source()));
    good(&vault);
}

#[test]
fn the_base_of_a_run_is_spared_even_when_it_is_forgotten() {
    let (storage, machine, mut vault) = begin(10);
    let base = vault.backup(&source(), &options(), Progress::none()).unwrap().snapshot;
    let other = Machine::new(100);
    let meddler = Meddler::new(b"/d/sub", 1, || {
        let mut vault = other.open(storage.clone(), &key()).unwrap();
        forget(&mut vault, base);
        assert_eq!(collect(&mut vault).unwrap().deleted.count, 0);
        assert!(vault.snapshots().unwrap().snapshots.is_empty(), "forgotten it is");
        good(&other.open(storage.clone(), &key()).unwrap());
    });
    let done = vault.backup(&source(), &options(), heard_by(&meddler)).unwrap();
    assert_eq!(done.counts.new_chunks, 0, "what the base needs is used");
    collect(&mut vault).unwrap();
    let names = |folder: &str| storage.list(folder).unwrap();
    assert_eq!((names("snapshots").len(), names("condemned").len()), (1, 0), "now it is gone");
    let vault = machine.open(storage.clone(), &key()).unwrap();
    assert_holds(&vault, "latest", &expected(&source()));
    good(&vault);
}

/// Calls `act` at the given creation of an object, before it.
fn hooked(
    storage: &Arc<MemoryStorage>,
    at: usize,
    act: impl FnMut() + Send + 'static,
) -> (Arc<Faulty>, Arc<AtomicUsize>) {
    let (created, act) = (Arc::new(AtomicUsize::new(0)), Mutex::new(act));
    let counter = created.clone();
    let faulty = Faulty::new(storage, move |what, _| {
        if what == Act::Create && counter.fetch_add(1, Ordering::Relaxed) == at {
            (act.lock().unwrap())();
        }
        false
    });
    (faulty, created)
}

#[test]
fn a_run_that_is_taken_for_dead_finds_out_and_what_it_acknowledges_holds() {
    let mut at = 0;
    loop {
        let (storage, machine, mut vault) = begin(11);
        let first = vault.backup(&source(), &options(), Progress::none()).unwrap();
        let other = Machine::new(111);
        other.clock.advance_hours(100);
        let elsewhere = storage.clone();
        let (hooked, created) = hooked(&storage, at, move || {
            collect(&mut other.open(elsewhere.clone(), &key()).unwrap()).unwrap();
        });
        let mut changed = source();
        changed.file("/d/new", &noise(5, 50_000));
        let report = machine.backup(hooked, &key(), &changed).unwrap_or_else(|error| panic!("at {at}: {error}"));
        let vault = Machine::new(112).open(storage.clone(), &key()).unwrap();
        assert_holds(&vault, &report.snapshot.to_string(), &expected(&changed));
        assert_holds(&vault, &first.snapshot.to_string(), &expected(&source()));
        good(&vault);
        if at >= created.load(Ordering::Relaxed) {
            break;
        }
        at += 1;
    }
    assert!(at > 6, "lease, tables, packs, locator, snapshot, journal");
}

#[test]
fn a_collection_that_is_taken_for_dead_deletes_nothing_that_is_needed() {
    let mut at = 0;
    loop {
        let (storage, machine, _, half) = half_needed(12);
        let (other, third) = (Machine::new(121), Machine::new(122));
        other.clock.advance_hours(100);
        let elsewhere = storage.clone();
        let mut whole = half.clone();
        for n in 0..40 {
            whole.file(format!("/d/{n}"), &noise(n, 50_000));
        }
        let stored = whole.clone();
        let (hooked, created) = hooked(&storage, at, move || {
            collect(&mut other.open(elsewhere.clone(), &key()).unwrap()).unwrap();
            // And somebody relies on whatever that has left.
            third.backup(elsewhere.clone(), &key(), &stored).unwrap();
        });
        let outcome = collect(&mut machine.open(hooked, &key()).unwrap());
        assert!(
            matches!(outcome, Ok(_) | Err(RepoError::Busy { .. } | RepoError::Condemned { .. })),
            "{at}: {outcome:?}"
        );
        let vault = Machine::new(123).open(storage.clone(), &key()).unwrap();
        let snapshots = vault.snapshots().unwrap().snapshots;
        assert_eq!(snapshots.len(), if at < created.load(Ordering::Relaxed) { 2 } else { 1 });
        for snapshot in &snapshots {
            let tree = expected(if snapshot.counts().files == 40 { &whole } else { &half });
            assert_holds(&vault, &snapshot.id.to_string(), &tree);
        }
        good(&vault);
        if at >= created.load(Ordering::Relaxed) {
            break;
        }
        at += 1;
    }
    assert!(at > 6, "lease, fence, packs, journal, list, journal");
}

/// Lets a machine's collection die after so many creations.
fn cut_collection(machine: &Machine, storage: &Arc<MemoryStorage>, after: usize) {
    let created = AtomicUsize::new(0);
    let faulty = Faulty::new(storage, move |act, _| {
        act == Act::Remove || act == Act::Create && created.fetch_add(1, Ordering::Relaxed) >= after
    });
    let outcome = collect(&mut machine.open(faulty, &key()).unwrap());
    assert!(matches!(outcome, Err(RepoError::Store(_))), "{outcome:?}");
}

#[test]
fn two_collections_do_not_go_on_at_once_and_a_dead_one_is_taken_over() {
    for after in 2..6 {
        let (storage, machine, _, half) = half_needed(13);
        cut_collection(&machine, &storage, after);
        good(&machine.open(storage.clone(), &key()).unwrap());
        let other = Machine::new(131);
        let refused = collect(&mut other.open(storage.clone(), &key()).unwrap());
        assert!(matches!(refused, Err(RepoError::Busy { .. })), "{refused:?}");
        let (soon, late) = (storage.snapshot(), storage.snapshot());
        other.clock.advance_hours(49);
        for (storage, by) in [(soon, &machine), (late, &other)] {
            let storage = Arc::new(storage);
            let report = collect(&mut by.open(storage.clone(), &key()).unwrap()).unwrap();
            assert!(report.freed() > 900_000 || after > 4, "{after}: {report:?}");
            for folder in ["fences", "condemned"] {
                assert_eq!(number(&storage, folder), 0, "{folder} after {after}");
            }
            let vault = Machine::new(132).open(storage.clone(), &key()).unwrap();
            assert!(bytes(&storage) < 1_300_000);
            assert_holds(&vault, "latest", &expected(&half));
            good(&vault);
        }
    }
}

#[test]
fn nothing_is_deleted_from_a_vault_that_cannot_be_read() {
    let damage = |what: &str| -> (RepoError, bool) {
        let (storage, machine, _, _) = half_needed(14);
        let damaged = |name: &str| {
            let mut bytes = storage.objects()[name].clone();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            storage.put_raw(name, bytes);
        };
        let names = |folder: &str| storage.list(folder).unwrap().into_iter().map(|listed| listed.name);
        let smallest = |folder: &str| names(folder).min_by_key(|name| storage.objects()[name].len()).unwrap();
        let storage_type = |name: &str| storage.objects()[name][4];
        let of_type = |wanted: u8| names("packs").filter(|name| storage_type(name) == wanted).collect::<Vec<_>>();
        match what {
            "a pack of trees" => of_type(7).iter().for_each(|name| damaged(name)),
            "a pack" => of_type(6).iter().for_each(|name| drop(storage.remove_raw(name))),
            "a snapshot" => damaged(&smallest("snapshots")),
            "a lost snapshot" => drop(storage.remove_raw(&smallest("snapshots"))),
            // Both copies of each, so that nothing else says what they said.
            "the keys of packs" | "a certificate" | "a lost certificate" => {
                let folder = if what == "the keys of packs" { "sessions" } else { "writers" };
                for name in names(folder).chain(names(&format!("twin/{folder}"))) {
                    if what.contains("lost") { drop(storage.remove_raw(&name)) } else { damaged(&name) }
                }
            }
            "a journal" => damaged(&names("journal").nth(1).unwrap()),
            "a list" => storage.put_raw(format!("condemned/0000000000000000.0.{}", "0".repeat(16)), b"torn".to_vec()),
            "a lease" => storage.put_raw(format!("leases/0000000000000000.0.{}", "0".repeat(16)), b"torn".to_vec()),
            "a fence" => storage.put_raw(format!("fences/0000000000000000.0.{}", "0".repeat(16)), b"torn".to_vec()),
            other => panic!("{other}"),
        }
        // A stranger: this machine remembers the journals, and would certify itself again.
        let other = if ["a journal", "a certificate", "a lost certificate"].contains(&what) {
            Machine::new(141)
        } else {
            machine
        };
        let content = |storage: &MemoryStorage| {
            let objects = storage.objects();
            objects
                .into_iter()
                .filter(|(name, _)| name.starts_with("packs/") || name.starts_with("snap"))
                .collect::<Vec<_>>()
        };
        let before = content(&storage);
        let mut vault = other.open(storage.clone(), &key()).unwrap();
        let error = collect(&mut vault).unwrap_err();
        (error, content(&storage) == before)
    };
    let undecided = [
        "a pack of trees",
        "a pack",
        "a snapshot",
        "a lost snapshot",
        "a journal",
        "the keys of packs",
        "a certificate",
        "a lost certificate",
    ];
    for what in undecided {
        let (error, untouched) = damage(what);
        assert!(matches!(error, RepoError::Undecided { .. }), "{what}: {error}");
        assert!(
            error.to_string().starts_with("cannot tell what is still needed, so nothing was deleted: `"),
            "{error}"
        );
        assert!(untouched, "{what}");
    }
    for what in ["a list", "a lease", "a fence"] {
        let (error, untouched) = damage(what);
        assert!(matches!(error, RepoError::Damaged { .. }), "{what}: {error}");
        assert!(untouched, "{what}");
    }
}

#[test]
fn a_snapshot_that_cannot_be_read_can_be_forgotten_and_then_all_goes_on() {
    let (storage, machine, mut vault) = begin(15);
    let damaged = vault.backup(&source(), &options(), Progress::none()).unwrap().snapshot;
    let mut other = source();
    other.file("/d/b", b"changed");
    vault.backup(&other, &options(), Progress::none()).unwrap();
    let name = format!("snapshots/{damaged}");
    let mut bytes = storage.objects()[&name].clone();
    bytes[60] ^= 1;
    storage.put_raw(name.as_str(), bytes);
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    let refused = collect(&mut vault);
    assert!(
        matches!(&refused, Err(RepoError::Undecided { name: n, flaw: Flaw::WrongHash }) if *n == name),
        "{refused:?}"
    );
    forget(&mut vault, damaged);
    assert!(collect(&mut vault).unwrap().freed() > 0);
    let vault = machine.open(storage, &key()).unwrap();
    assert_holds(&vault, "latest", &expected(&other));
    good(&vault);
}

#[test]
fn only_what_is_there_can_be_forgotten() {
    let (storage, _, mut vault) = begin(16);
    let id = vault.backup(&source(), &options(), Progress::none()).unwrap().snapshot;
    let before = storage.objects();
    let missing = vault.forget(&[id, SnapshotId::new([7; 32])], Progress::none());
    assert!(matches!(missing, Err(RepoError::NoSuchSnapshot { .. })), "{missing:?}");
    assert_eq!(vault.forget(&[], Progress::none()).unwrap().forgotten.count, 0);
    assert!(storage.objects() == before);
    forget(&mut vault, id);
    let again = vault.forget(&[id], Progress::none());
    assert!(matches!(again, Err(RepoError::NoSuchSnapshot { .. })), "{again:?}");
    let stop = AtomicBool::new(true);
    let progress = Progress { monitor: &sb_repo::Silent, stop: &stop };
    let interrupted = vault.collect(&CollectOptions::default(), progress);
    assert!(matches!(interrupted, Err(RepoError::Interrupted)), "{interrupted:?}");
    let report = collect(&mut vault).unwrap();
    assert_eq!((report.snapshots, report.kept.count), (0, 0), "an empty vault holds nothing");
    assert_eq!((number(&storage, "packs"), number(&storage, "sessions"), number(&storage, "locator")), (0, 0, 0));
}

#[test]
fn what_a_redaction_hides_is_needed_no_more_and_what_it_shows_is() {
    let (storage, machine, mut vault) = begin(17);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    redact(&mut vault, &snapshot, b"/d", b"b").unwrap();
    let before = bytes(&storage);
    let report = collect(&mut vault).unwrap();
    assert!(report.rewritten.count > 0 && bytes(&storage) + 25_000 < before, "{report:?}");
    let vault = machine.open(storage, &key()).unwrap();
    assert!(vault.verify(VerifyLevel::Restore, Progress::none()).unwrap().is_good());
}

#[test]
fn pairs_of_machines_that_stored_the_same_keep_it_once() {
    let (storage, machine, mut vault) = begin(18);
    let first = vault.backup(&source(), &options(), Progress::none()).unwrap();
    let (mine, theirs) = (storage.clone(), storage.snapshot());
    let mut changed = source();
    changed.file("/d/both", &noise(9, 200_000));
    let other = Machine::new(181);
    let two = machine.backup(mine, &key(), &changed).unwrap();
    let three = other.backup(Arc::new(theirs.clone()), &key(), &changed).unwrap();
    theirs.objects().into_iter().for_each(|(name, bytes)| storage.put_raw(name, bytes));
    let before = bytes(&storage);
    collect(&mut vault).unwrap();
    assert!(bytes(&storage) + 190_000 < before, "{} of {before} left", bytes(&storage));
    let vault = machine.open(storage, &key()).unwrap();
    for (id, source) in [(first.snapshot, source()), (two.snapshot, changed.clone()), (three.snapshot, changed)] {
        assert_holds(&vault, &id.to_string(), &expected(&source));
    }
    good(&vault);
}

#[test]
fn a_full_disk_is_emptied_with_the_reserve_and_has_one_again_then() {
    let disk = SimDisk::new();
    disk.set_capacity(Some(24 << 20));
    let machine = Machine::new(19);
    let storage: Arc<dyn Storage> = Arc::new(disk.storage());
    let mut with = CreateOptions::default();
    with.reserve = 64 << 10;
    create(machine.around(storage.clone()), &[Lock::KeyFile(key())], &with).unwrap();
    let reserves = || storage.list("reserve").unwrap().len();
    assert_eq!(reserves(), 1);
    let mut kept = MemorySource::new(&["/kept"]);
    kept.file("/kept/a", &noise(1, 4 << 20));
    let stays = machine.backup(storage.clone(), &key(), &kept).unwrap();
    let mut mixed = kept.clone();
    mixed.file("/kept/b", &noise(2, 6 << 20)).file("/kept/c", &noise(3, 6 << 20));
    let goes = machine.backup(storage.clone(), &key(), &mixed).unwrap();
    // Nothing fits any more, not even an empty file.
    let used: usize = disk.files().values().map(Vec::len).sum();
    disk.set_capacity(Some(used as u64));
    let full = machine.backup(storage.clone(), &key(), &source());
    assert!(matches!(full, Err(RepoError::Store(StoreError::Full { .. }))), "{full:?}");
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    forget(&mut vault, goes.snapshot);
    assert_eq!(reserves(), 0, "it was used");
    good(&machine.open(storage.clone(), &key()).unwrap());
    let report = vault.collect(&CollectOptions::default(), Progress::none()).unwrap();
    assert!(report.deleted.bytes > 11 << 20, "{report:?}");
    assert_eq!(reserves(), 1, "and made again");
    let vault = machine.open(storage.clone(), &key()).unwrap();
    assert_holds(&vault, &stays.snapshot.to_string(), &expected(&kept));
    good(&vault);
    machine.backup(storage, &key(), &source()).unwrap();
}

#[test]
fn survivors_move_only_where_there_is_room() {
    let disk = SimDisk::new();
    let machine = Machine::new(20);
    let storage: Arc<dyn Storage> = Arc::new(disk.storage());
    new_vault(&machine, storage.clone());
    let (mut all, mut half) = (MemorySource::new(&["/d"]), MemorySource::new(&["/d"]));
    all.file("/d/a", &noise(1, 3_000_000)).file("/d/b", &noise(2, 3_000_000));
    half.file("/d/a", &noise(1, 3_000_000));
    let first = machine.backup(storage.clone(), &key(), &all).unwrap().snapshot;
    machine.backup(storage.clone(), &key(), &half).unwrap();
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    forget(&mut vault, first);
    let used: usize = disk.files().values().map(Vec::len).sum();
    disk.set_capacity(Some(used as u64 + 1_000_000));
    let report = vault.collect(&CollectOptions::default(), Progress::none()).unwrap();
    assert!(report.postponed.count == 1 && report.rewritten.bytes < 100_000, "{report:?}");
    disk.set_capacity(Some(used as u64 + 6_000_000));
    let report = vault.collect(&CollectOptions::default(), Progress::none()).unwrap();
    assert!(report.postponed.count == 0 && report.rewritten.bytes > 5_000_000, "{report:?}");
    let vault = machine.open(storage, &key()).unwrap();
    assert_holds(&vault, "latest", &expected(&half));
    good(&vault);
}

#[test]
fn a_damaged_pack_stays_where_it_is_and_the_rest_is_collected() {
    let (storage, machine, _, half) = half_needed(21);
    let content = storage.list("packs").unwrap().into_iter().max_by_key(|listed| listed.size).unwrap().name;
    let mut bytes = storage.objects()[&content].clone();
    bytes[500] ^= 1;
    storage.put_raw(content.as_str(), bytes);
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    let meddler = Meddler::new(b"", 0, || ());
    let report = vault.collect(&CollectOptions::default(), heard_by(&meddler)).unwrap();
    assert!(storage.objects().contains_key(&content) && report.postponed.count == 1, "{report:?}");
    assert!(meddler.warnings.load(Ordering::Relaxed) > 0);
    let lost = machine.open(storage, &key()).unwrap().verify(VerifyLevel::Restore, Progress::none()).unwrap();
    assert!(!lost.is_good(), "verify still says what is damaged");
    assert!(expected(&half).len() > 20);
}

#[test]
fn the_generation_of_the_vault_rises_with_each_collection_that_deletes() {
    let (_, machine, mut vault, _) = half_needed(22);
    let before = vault.view().generation();
    collect(&mut vault).unwrap();
    let after = vault.view().generation();
    assert!(after > before);
    collect(&mut vault).unwrap();
    assert_eq!(vault.view().generation(), after);
    drop(machine);
}

/// Calls `act` before the first creation of an object in this folder, and lets that fail if `act` says so.
fn before_first(
    storage: &Arc<MemoryStorage>,
    folder: &'static str,
    act: impl FnMut() -> bool + Send + 'static,
) -> Arc<Faulty> {
    let (first, act) = (AtomicBool::new(true), Mutex::new(act));
    Faulty::new(storage, move |what, name| {
        what == Act::Create
            && name.starts_with(folder)
            && first.swap(false, Ordering::Relaxed)
            && (act.lock().unwrap())()
    })
}

#[test]
fn what_somebody_begins_to_need_before_it_is_condemned_stays() {
    let (storage, machine, mut vault) = begin(23);
    let old = vault.backup(&source(), &options(), Progress::none()).unwrap().snapshot;
    vault.backup(MemorySource::new(&["/e"]).file("/e/x", b"another"), &options(), Progress::none()).unwrap();
    forget(&mut vault, old);
    let (elsewhere, other) = (storage.clone(), Machine::new(231));
    other.clock.advance_hours(1);
    let hooked = before_first(&storage, "condemned/", move || {
        let report = other.backup(elsewhere.clone(), &key(), &source()).unwrap();
        assert_eq!(report.counts.new_chunks, 0, "it relies on what was forgotten");
        false
    });
    collect(&mut machine.open(hooked, &key()).unwrap()).unwrap();
    let vault = machine.open(storage, &key()).unwrap();
    assert_holds(&vault, "latest", &expected(&source()));
    good(&vault);
}

#[test]
fn nothing_but_its_own_run_relies_on_what_is_in_no_journal_yet() {
    for seed in 240..246 {
        let (storage, machine, _) = begin(seed);
        let (elsewhere, other, third) = (storage.clone(), Machine::new(seed + 10), Machine::new(seed + 20));
        // Both store the same: one before the other knows of it, and then the other dies.
        let hooked = before_first(&storage, "snapshots/", move || {
            other.backup(elsewhere.clone(), &key(), &source()).unwrap();
            collect(&mut third.open(elsewhere.clone(), &key()).unwrap()).unwrap();
            true
        });
        assert!(machine.backup(hooked, &key(), &source()).is_err());
        let late = Machine::new(seed + 30);
        late.clock.advance_hours(100);
        collect(&mut late.open(storage.clone(), &key()).unwrap()).unwrap();
        let vault = late.open(storage, &key()).unwrap();
        assert_holds(&vault, "latest", &expected(&source()));
        good(&vault);
    }
}

#[test]
fn a_snapshot_of_a_dead_run_is_not_adopted_while_what_it_needs_is_deleted() {
    let (storage, machine, mut vault) = begin(26);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let content = packs(&storage).into_iter().max_by_key(|name| storage.objects()[name].len()).unwrap();
    let mut collector = Machine::new(261).open(storage.clone(), &key()).unwrap();
    let meddler = Meddler::new(b"/d/sub", 1, || condemn(&mut collector, std::slice::from_ref(&content)).unwrap());
    // It finds out, and dies before it can say so.
    let dying = Faulty::new(&storage, |act, name| act == Act::Create && name.starts_with("condemned/"));
    let cut = machine.open(dying, &key()).unwrap().backup(&source(), &options(), heard_by(&meddler));
    assert!(matches!(cut, Err(RepoError::Store(_))), "{cut:?}");
    let orphans: BTreeSet<String> = storage.list("snapshots").unwrap().into_iter().map(|listed| listed.name).collect();
    assert_eq!(orphans.len(), 2);
    // The collector goes on while the next run looks at what that one left.
    let (elsewhere, gone, seen) = (storage.clone(), content.clone(), AtomicBool::new(false));
    let known = format!("snapshots/{}", vault.find_snapshot("latest").unwrap().id);
    let watched = Faulty::new(&storage, move |act, name| {
        if act == Act::Read && name.starts_with("snapshots/") && name != known && !seen.swap(true, Ordering::Relaxed) {
            elsewhere.remove_raw(&gone);
            elsewhere.list("condemned").unwrap().iter().for_each(|list| drop(elsewhere.remove_raw(&list.name)));
        }
        false
    });
    let report = machine.backup(watched, &key(), &source()).unwrap();
    let vault = machine.open(storage.clone(), &key()).unwrap();
    assert_eq!(vault.snapshots().unwrap().snapshots.len(), 2, "the first, which is damaged now, and the last");
    assert_holds(&vault, &report.snapshot.to_string(), &expected(&source()));
}
