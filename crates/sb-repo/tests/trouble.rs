//! Storage that fails, loses or keeps what it should not, and runs that go on in spite of it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::faulty::{Act, Faulty};
use common::meddler::*;
use common::{Machine, assert_holds, expected, key, new_vault, noise, options};
use sb_repo::testing::{condemn, need_features};
use sb_repo::{Flaw, Progress, RepoError, VerifyLevel};
use sb_source::{Content, Entry, EntryPath, Event, MemorySource, Metadata, Problem, Source, SourceError};
use sb_store::sim::SimDisk;
use sb_store::{MemoryStorage, Storage};

/// Hears warnings and how much is expected.
#[derive(Debug, Default)]
struct Listener {
    warnings: Mutex<Vec<String>>,
    expected: Mutex<Vec<u64>>,
}

impl sb_repo::Monitor for Listener {
    fn warning(&self, text: &str) {
        self.warnings.lock().unwrap().push(text.to_owned());
    }

    fn expect(&self, counter: sb_repo::Counter, total: u64) {
        assert_eq!(counter, sb_repo::Counter::Bytes);
        self.expected.lock().unwrap().push(total);
    }
}

#[test]
fn a_first_backup_that_is_likely_not_to_fit_is_warned_of() {
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", &noise(1, 6_000_000)).hard_link("/d/a", "/d/b").file("/d/c", &vec![0; 4_000_000]);
    for (capacity, is_tight) in [(None, false), (Some(30_000_000), false), (Some(3_000_000), true)] {
        let (disk, machine) = (SimDisk::new(), Machine::new(1));
        let (mut vault, _) = new_vault(&machine, Arc::new(disk.storage()));
        disk.set_capacity(capacity);
        let listener = Listener::default();
        let result = vault.backup(&source, &options(), Progress { monitor: &listener, ..Progress::none() });
        assert_eq!(result.is_err(), is_tight, "{result:?}");
        assert_eq!(*listener.expected.lock().unwrap(), [10_000_000], "hard links count once");
        let warnings = listener.warnings.into_inner().unwrap();
        assert_eq!(warnings.iter().any(|text| text.contains("10 MB to back up")), is_tight, "{warnings:?}");
    }
    let (mut vault, _) = new_vault(&Machine::new(2), Arc::new(MemoryStorage::new()));
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let listener = Listener::default();
    vault.backup(&source, &options(), Progress { monitor: &listener, ..Progress::none() }).unwrap();
    assert_eq!(*listener.expected.lock().unwrap(), [0; 0], "what later runs find is not known before");
}

/// A stream, which is walked once.
#[derive(Debug)]
struct Stream {
    source: MemorySource,
    walks: AtomicUsize,
}

impl Source for Stream {
    fn walk(&self) -> Box<dyn Iterator<Item = Event> + Send + '_> {
        self.walks.fetch_add(1, Ordering::Relaxed);
        self.source.walk()
    }

    fn details(&self, entry: &Entry) -> (Metadata, Option<Problem>) {
        self.source.details(entry)
    }

    fn open(&self, entry: &Entry) -> Result<Box<dyn Content + '_>, SourceError> {
        self.source.open(entry)
    }

    fn roots(&self) -> Vec<EntryPath> {
        self.source.roots()
    }

    fn knows_sizes(&self) -> bool {
        false
    }
}

#[test]
fn what_lies_in_as_many_segments_as_a_run_fills_at_a_time_is_read_about_once() {
    let (storage, machine, mut vault) = begin(29);
    let mut source = MemorySource::new(&["/d"]);
    for n in 0..640_u64 {
        let ending = ["pdf", "csv", "xml", "tif", "doc", "zip"][usize::try_from(n % 6).unwrap()];
        source.file(format!("/d/{n:03}.{ending}"), &noise(n, 64 << 10));
    }
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let counted = Faulty::new(&storage, |_, _| false);
    let vault = machine.open(counted.clone(), &key()).unwrap();
    let reader = vault.reader(Progress::none()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    counted.bytes_read.lock().unwrap().clear();
    common::small::read_all(&reader, &snapshot);
    let read = counted.bytes_read.lock().unwrap()["packs"];
    assert!(read < 2 * (640 << 16), "{read} bytes were read for {}", 640 << 16);
}

#[test]
fn how_much_a_stream_will_bring_is_not_guessed() {
    let (_, _, mut vault) = begin(28);
    let stream = Stream { source: source(), walks: AtomicUsize::new(0) };
    let listener = Listener::default();
    vault.backup(&stream, &options(), Progress { monitor: &listener, ..Progress::none() }).unwrap();
    assert!(listener.expected.into_inner().unwrap().is_empty());
    assert_eq!(stream.walks.into_inner(), 1);
}

#[test]
fn a_condemned_list_that_cannot_be_read_is_not_taken_for_none() {
    let (storage, machine, mut vault) = begin(20);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    condemn(&mut vault, &packs(&storage).into_iter().collect::<Vec<_>>()).unwrap();
    let broken = Faulty::new(&storage, |act, name| act == Act::Read && name.starts_with("condemned/"));
    let outcome = machine.backup(broken, &key(), &source());
    assert!(matches!(outcome, Err(RepoError::Store(_))), "{outcome:?}");
    storage.put_raw("condemned/0011223344556677.0.0011223344556677", b"rotten");
    let outcome = machine.backup(storage.clone(), &key(), &source());
    assert!(matches!(outcome, Err(RepoError::Damaged { flaw: Flaw::Undecidable, .. })), "{outcome:?}");
    storage.remove_raw("condemned/0011223344556677.0.0011223344556677");
    machine.backup(storage, &key(), &source()).unwrap();
}

#[test]
fn keys_that_are_damaged_are_not_relied_on() {
    for damage in [|_: &[u8]| Vec::new(), |bytes: &[u8]| [&bytes[..80], &[bytes[80] ^ 1], &bytes[81..]].concat()] {
        let (storage, machine, mut vault) = begin(21);
        vault.backup(&source(), &options(), Progress::none()).unwrap();
        for listed in storage.list("sessions").unwrap() {
            for name in [listed.name.clone(), format!("twin/{}", listed.name)] {
                let bytes = damage(&storage.objects()[&name]);
                storage.put_raw(name, bytes);
            }
        }
        let report = machine.backup(storage.clone(), &key(), &source()).unwrap();
        assert!(report.counts.new_bytes >= 70_000, "all contents are stored anew: {:?}", report.counts);
        let vault = Machine::new(121).open(storage, &key()).unwrap();
        assert_holds(&vault, &report.snapshot.to_string(), &expected(&source()));
    }
}

#[test]
fn an_attempt_that_begins_again_uses_what_it_has_stored() {
    let (storage, machine, mut vault) = begin(22);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let old: Vec<String> = packs(&storage).into_iter().collect();
    let mut more = source();
    more.file("/d/large", &noise(9, 3_000_000));
    let mut collector = machine.open(storage.clone(), &key()).unwrap();
    let meddler = Meddler::new(b"/d/sub", 1, || condemn(&mut collector, &old).unwrap());
    let report = vault.backup(&more, &options(), heard_by(&meddler)).unwrap();
    let stored: u64 = storage.list("packs").unwrap().iter().map(|listed| listed.size).sum();
    assert!(stored < 3_400_000, "the large file is stored once: {stored}");
    old.iter().for_each(|name| drop(storage.remove_raw(name)));
    assert_holds(&machine.open(storage, &key()).unwrap(), &report.snapshot.to_string(), &expected(&more));
}

#[test]
fn a_lease_that_cannot_be_deleted_ends_no_run() {
    let (storage, machine, _) = begin(23);
    let keeps = Faulty::new(&storage, |act, _| act == Act::Remove);
    let meddler = Meddler::new(b"/d/sub", 1, || machine.clock.advance_hours(13));
    let mut vault = machine.open(keeps, &key()).unwrap();
    vault.backup(&source(), &options(), heard_by(&meddler)).unwrap();
    assert_eq!(storage.list("leases").unwrap().len(), 2, "it was renewed, and both stay");
}

#[test]
fn what_another_machine_is_uploading_is_not_read() {
    let (storage, machine, _) = begin(24);
    let other = Machine::new(124);
    let mut large = source();
    large.file("/d/a large one", &noise(10, 40_000_000)).file("/d/sub/z", b"the run is still going on here");
    let meddler = Meddler::new(b"/d/sub", 1, || {
        assert!(packs(&storage).len() == 1, "a pack is there already");
        let watched = Faulty::new(&storage, |_, _| false);
        machine.backup(watched.clone(), &key(), &source()).unwrap();
        let read = watched.bytes_read.lock().unwrap().get("packs").copied().unwrap_or_default();
        assert!(read < 100_000, "{read} bytes of packs were read");
    });
    let mut vault = other.open(storage.clone(), &key()).unwrap();
    vault.backup(&large, &options(), heard_by(&meddler)).unwrap();
}

#[test]
fn an_enrolment_that_was_cut_is_completed() {
    for cut in ["writers/", "twin/writers/"] {
        let (storage, machine, _) = begin(25);
        let newcomer = Machine::new(125);
        let broken = Faulty::new(&storage, move |act, name| act == Act::Create && name.starts_with(cut));
        let outcome = newcomer.backup(broken, &key(), &source());
        assert!(outcome.is_err(), "{cut}");
        newcomer.backup(storage.clone(), &key(), &source()).unwrap();
        machine.backup(storage.clone(), &key(), &source()).unwrap();
        let count = |folder: &str| storage.list(folder).unwrap().len();
        assert_eq!(count("writers"), count("twin/writers"), "{cut}");
        good(&machine.open(storage, &key()).unwrap());
    }
}

#[test]
fn a_lost_twin_is_made_anew() {
    let (storage, machine, mut vault) = begin(26);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let whole = storage.objects();
    for name in whole.keys().filter(|name| name.starts_with("twin/")) {
        storage.remove_raw(name);
        let first = name.trim_start_matches("twin/");
        assert!(!good_without(&machine, &storage));
        machine.backup(storage.clone(), &key(), &source()).unwrap();
        assert!(good_without(&machine, &storage), "{name}");
        storage.remove_raw(first);
        machine.backup(storage.clone(), &key(), &source()).unwrap();
        assert_eq!(storage.objects()[first], whole[name]);
    }
}

fn good_without(machine: &Machine, storage: &Arc<MemoryStorage>) -> bool {
    let vault = machine.open(storage.clone(), &key()).unwrap();
    vault.verify(VerifyLevel::Objects, Progress::none()).unwrap().is_good()
}

#[test]
fn a_run_acknowledges_nothing_under_a_config_that_is_not_the_newest() {
    let (storage, machine, mut vault) = begin(27);
    let mut administrator = machine.open(storage.clone(), &key()).unwrap();
    let meddler = Meddler::new(b"/d/sub", 1, || need_features(&mut administrator, &[], &["new rules"]).unwrap());
    let outcome = vault.backup(&source(), &options(), heard_by(&meddler));
    assert!(matches!(outcome, Err(RepoError::UnsupportedFeature { .. })), "{outcome:?}");
    assert!(vault.snapshots().unwrap().snapshots.is_empty());
}
