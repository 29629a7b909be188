//! What is not read again, and what must be, whatever the cache says.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};

use common::faulty::Faulty;
use common::{Machine, assert_holds, expected, firm, key, new_vault, noise, options};
use proptest::prelude::*;
use sb_repo::testing::lose_reading_keys;
use sb_repo::{
    BackupOptions, BackupReport, CollectOptions, MaxUnused, Progress, RepoError, Snapshot, SnapshotType, State, Vault,
    VerifyLevel,
};
use sb_source::{
    Content, Entry, EntryPath, Event, Fault, MemorySource, Metadata, Problem, Source, SourceError, StreamSource,
    Timestamp,
};
use sb_store::{MemoryStorage, Storage};

/// Tells which files were opened.
#[derive(Debug)]
struct Watched<'a> {
    source: &'a MemorySource,
    opened: Mutex<Vec<String>>,
}

impl Source for Watched<'_> {
    fn walk(&self) -> Box<dyn Iterator<Item = Event> + Send + '_> {
        self.source.walk()
    }

    fn details(&self, entry: &Entry) -> (Metadata, Option<Problem>) {
        self.source.details(entry)
    }

    fn open(&self, entry: &Entry) -> Result<Box<dyn Content + '_>, SourceError> {
        self.opened.lock().unwrap().push(entry.path.to_string());
        self.source.open(entry)
    }

    fn roots(&self) -> Vec<EntryPath> {
        self.source.roots()
    }
}

struct Office {
    storage: Arc<MemoryStorage>,
    machine: Machine,
    vault: Vault,
}

impl Office {
    fn new(seed: u64) -> Self {
        let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(seed));
        let (vault, _) = new_vault(&machine, storage.clone());
        Self { storage, machine, vault }
    }

    /// Backs up, proves that the snapshot is what the source is, and tells what was opened.
    fn run(&mut self, source: &MemorySource, change: impl FnOnce(&mut BackupOptions)) -> (BackupReport, Vec<String>) {
        let mut options = options();
        change(&mut options);
        let watched = Watched { source, opened: Mutex::default() };
        let report = self.vault.backup(&watched, &options, Progress::none()).unwrap();
        assert_holds(&self.vault, &report.snapshot.to_string(), &expected(source));
        (report, watched.opened.into_inner().unwrap())
    }

    fn snapshot(&self, report: &BackupReport) -> Snapshot {
        self.vault.find_snapshot(&report.snapshot.to_string()).unwrap()
    }

    fn assert_good(&self) {
        let report = self.vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
        assert!(report.is_good(), "{:?}", report.findings);
    }
}

fn nothing(_: &mut BackupOptions) {}

fn full(options: &mut BackupOptions) {
    options.kind = SnapshotType::Full;
}

fn differential(options: &mut BackupOptions) {
    options.kind = SnapshotType::Differential;
}

#[test]
fn what_has_not_changed_is_neither_read_nor_stored() {
    let mut office = Office::new(1);
    let mut source = firm();
    let (first, opened) = office.run(&source, nothing);
    assert_eq!((first.kind, first.base, first.changes.new), (SnapshotType::Full, None, first.counts.files));
    assert_eq!(opened.len() as u64, first.counts.files - 1, "hard links are read once");
    let packs = office.storage.list("packs").unwrap();
    let (second, opened) = office.run(&source, nothing);
    assert_eq!(opened, [""; 0]);
    assert_eq!((second.kind, second.base), (SnapshotType::Incremental, Some(first.snapshot)));
    assert_eq!((second.changes.unchanged, second.counts.stored_bytes), (first.counts.files, 0));
    assert_eq!(office.storage.list("packs").unwrap(), packs);
    assert_eq!(office.snapshot(&second).document_root(), office.snapshot(&first).document_root());
    assert_eq!(office.snapshot(&second).base(), Some(first.snapshot));

    source.file("/firm/acme/2025/new.txt", b"new").file("/firm/acme/2025.txt", b"rewritten");
    source.remove("/firm/acme/nothing").directory("/firm/zeta");
    let (third, opened) = office.run(&source, nothing);
    assert_eq!(opened, ["/firm/acme/2025.txt", "/firm/acme/2025/new.txt"]);
    assert_eq!((third.changes.new, third.changes.changed), (1, 1));
    assert_eq!(third.counts.new_chunks, 2);
    office.assert_good();
}

#[test]
fn full_reads_every_byte_and_differential_what_changed_since_then() {
    let mut office = Office::new(2);
    let mut source = firm();
    let (first, _) = office.run(&source, nothing);
    source.file("/firm/a", b"a");
    let (_, opened) = office.run(&source, nothing);
    assert_eq!(opened, ["/firm/a"]);
    source.file("/firm/b", b"b");
    let (third, opened) = office.run(&source, differential);
    assert_eq!((third.kind, third.base), (SnapshotType::Differential, Some(first.snapshot)));
    assert_eq!(opened, ["/firm/a", "/firm/b"]);
    let (fourth, opened) = office.run(&source, full);
    assert_eq!((fourth.kind, fourth.counts.new_chunks), (SnapshotType::Full, 0));
    assert_eq!(opened.len() as u64, fourth.counts.files - 1);
    assert_eq!(office.snapshot(&fourth).document_root(), office.snapshot(&third).document_root(), "salts are kept");
    let (fifth, opened) = office.run(&source, differential);
    assert_eq!((fifth.base, opened), (Some(fourth.snapshot), vec![]));
}

#[test]
fn every_sign_of_a_change_counts() {
    type Sign = (&'static str, fn(&mut Metadata));
    let signs: [Sign; 6] = [
        ("size", |metadata| metadata.size += 1),
        ("mtime", |metadata| metadata.mtime.nanoseconds += 1),
        ("mtime kept, ctime not", |metadata| metadata.ctime.nanoseconds += 1),
        ("inode", |metadata| metadata.inode += 1000),
        ("mode", |metadata| (metadata.mode, metadata.ctime.seconds) = (0o600, metadata.ctime.seconds + 1)),
        ("attributes", |metadata| {
            metadata.xattrs = vec![(b"user.a".to_vec(), b"b".to_vec())];
            metadata.ctime.seconds += 1;
        }),
    ];
    for (sign, change) in signs {
        let mut office = Office::new(3);
        let mut source = firm();
        office.run(&source, nothing);
        let before = source.clone();
        // Another content under the same times, but for the sign.
        let old = source.walk().find_map(|event| match event {
            Event::Entry(entry) if entry.name() == b"2025.txt" => Some(entry.metadata),
            _ => None,
        });
        source.file("/firm/acme/2025.txt", b"SORTS BETWEEN THE FOLDER AND WHAT IS IN IT");
        source.edit("/firm/acme/2025.txt", |metadata| {
            let size = metadata.size;
            *metadata = Metadata { size, ..old.clone().unwrap() };
            change(metadata);
        });
        if sign == "size" {
            source.file("/firm/acme/2025.txt", b"longer than it was before, whatever its time may say");
        }
        let (_, opened) = office.run(&source, nothing);
        assert_eq!(opened, ["/firm/acme/2025.txt"], "{sign}");
        office.run(&before, full);
    }
}

#[test]
fn folders_and_links_are_looked_at_anew_when_they_change() {
    let mut office = Office::new(4);
    let mut source = firm();
    office.run(&source, nothing);
    let touch = |metadata: &mut Metadata| {
        metadata.xattrs = vec![(b"user.label".to_vec(), b"tax".to_vec())];
        metadata.mode = 0o700;
        metadata.ctime.seconds += 1;
    };
    for path in ["/firm/acme", "/firm/link", "/firm/pipe", "/firm"] {
        source.edit(path, touch);
        let (_, opened) = office.run(&source, nothing);
        assert_eq!(opened, [""; 0], "{path}");
    }
    source.symlink("/firm/link", b"elsewhere");
    office.run(&source, nothing);
    office.assert_good();
}

#[test]
fn options_say_what_does_not_count() {
    let mut office = Office::new(5);
    let mut source = firm();
    office.run(&source, nothing);
    let paths = ["/firm/acme/2025.txt", "/firm/acme/2025/ledger.csv"];
    for path in paths {
        source.edit(path, |metadata| {
            metadata.ctime.seconds += 5;
            metadata.inode += 500;
            metadata.mode = 0o400;
            metadata.xattrs = vec![(b"user.read".to_vec(), b"from the share".to_vec())];
        });
    }
    let ignoring =
        |ctime, inode| move |options: &mut BackupOptions| (options.ignore_ctime, options.ignore_inode) = (ctime, inode);
    // What is taken for the same file still has its metadata looked at: `run` compares them.
    let (report, opened) = office.run(&source, ignoring(true, true));
    assert_eq!((opened, report.changes.changed), (vec![], 2));
    let (report, opened) = office.run(&source, ignoring(true, true));
    assert_eq!((opened, report.changes.changed), (vec![], 0));
    let (_, opened) = office.run(&source, nothing);
    assert_eq!(opened, paths, "who looks at what the runs before did not look at sees it");
    source.edit(paths[0], |metadata| metadata.inode += 1);
    let (_, opened) = office.run(&source, ignoring(true, false));
    assert_eq!(opened, [paths[0]]);
    source.edit(paths[1], |metadata| metadata.ctime.seconds += 1);
    let (_, opened) = office.run(&source, ignoring(false, true));
    assert_eq!(opened, [paths[1]]);
}

#[test]
fn what_changed_in_the_very_second_is_read_again() {
    let mut office = Office::new(6);
    let mut source = MemorySource::new(&["/d"]);
    // The clock here goes on by a second whenever it is read.
    let now = sb_repo::Clock::now(&*office.machine.clock).timestamp() + 60;
    let late = |metadata: &mut Metadata| {
        (metadata.mtime.seconds, metadata.ctime.seconds) = (now, now);
        (metadata.mtime.nanoseconds, metadata.ctime.nanoseconds) = (0, 0);
    };
    source.file("/d/old", b"old").file("/d/racy", b"first").edit("/d/racy", late);
    office.run(&source, nothing);
    // In the same second, of the same size, by the same time.
    source.file("/d/racy", b"SECOND"[..5].as_ref()).edit("/d/racy", late);
    let (_, opened) = office.run(&source, nothing);
    assert_eq!(opened, ["/d/racy"]);
    office.machine.clock.advance_hours(1);
    let (_, opened) = office.run(&source, nothing);
    assert_eq!(opened, ["/d/racy"], "it was still too fresh to be trusted");
    let (_, opened) = office.run(&source, nothing);
    assert_eq!(opened, [""; 0]);
}

#[test]
fn where_ctime_does_not_count_it_is_not_waited_for_either() {
    let mut office = Office::new(16);
    let mut source = MemorySource::new(&["/share"]);
    source.file("/share/old", b"old");
    let ignoring = |options: &mut BackupOptions| options.ignore_ctime = true;
    let later = |source: &mut MemorySource, clock: &dyn sb_repo::Clock| {
        let now = clock.now().timestamp() + 60;
        source.edit("/share/old", |metadata| metadata.ctime.seconds = now);
    };
    later(&mut source, &*office.machine.clock);
    office.run(&source, ignoring);
    later(&mut source, &*office.machine.clock);
    let (report, opened) = office.run(&source, ignoring);
    assert_eq!((opened, report.changes.unchanged, report.changes.changed), (vec![], 1, 0));
    // Of the same size in the same second, by a time that had not passed when the content was read.
    let now = sb_repo::Clock::now(&*office.machine.clock).timestamp() + 60;
    let write = |source: &mut MemorySource, content: &[u8]| {
        source.file("/share/old", content);
        source.edit("/share/old", |metadata| {
            metadata.mtime.seconds = 1_000_000;
            (metadata.mtime.nanoseconds, metadata.ctime) = (0, Timestamp { seconds: now, nanoseconds: 0 });
        });
    };
    write(&mut source, b"new");
    let (_, opened) = office.run(&source, |options| (options.ignore_ctime, options.kind) = (true, SnapshotType::Full));
    assert_eq!(opened, ["/share/old"]);
    write(&mut source, b"NEW");
    office.machine.clock.advance_hours(1);
    let (_, opened) = office.run(&source, nothing);
    assert_eq!(opened, ["/share/old"], "its ctime counts now, and says nothing");
}

#[test]
fn a_ctime_that_comes_back_vouches_for_no_metadata_of_between() {
    let mut office = Office::new(22);
    let mut source = MemorySource::new(&["/share"]);
    source.file("/share/a", b"a");
    let attribute = |source: &mut MemorySource, value: &str, ctime: i64| {
        source.edit("/share/a", |metadata| {
            metadata.xattrs = vec![(b"user.a".to_vec(), value.as_bytes().to_vec())];
            metadata.ctime.seconds = ctime;
        });
    };
    attribute(&mut source, "1", 1_000_000);
    office.run(&source, nothing);
    attribute(&mut source, "2", 1_000_005);
    office.run(&source, |options| options.ignore_ctime = true);
    // The volume is put back; `run` compares what is stored with what there is.
    attribute(&mut source, "1", 1_000_000);
    office.run(&source, nothing);
}

#[test]
fn files_are_counted_by_what_became_of_them() {
    let mut office = Office::new(17);
    let mut source = firm();
    let (first, _) = office.run(&source, nothing);
    let files = first.counts.files;
    let (report, _) = office.run(&source, full);
    assert_eq!((report.changes.new, report.changes.changed, report.changes.unchanged), (0, 0, files));
    source.edit("/firm/acme/2025.txt", |metadata| {
        metadata.mode = 0o600;
        metadata.ctime.seconds += 1;
    });
    let (report, _) = office.run(&source, nothing);
    assert_eq!((report.changes.changed, report.changes.unchanged), (1, files - 1), "its metadata changed");
}

#[test]
fn what_could_not_be_read_whole_is_looked_at_again() {
    let mut office = Office::new(18);
    let mut source = firm();
    let faulty = ["/firm/acme/2025", "/firm/acme/2025/ledger.csv", "/firm/link"];
    for path in faulty {
        source.edit(path, |metadata| metadata.xattrs = vec![(b"user.x".to_vec(), b"y".to_vec())]);
        source.fault(path, Fault::NoAttributes);
    }
    for _ in 0..2 {
        let (report, _) = office.run(&source, nothing);
        assert_eq!(report.problem_count, 3, "and it must not look complete the second time");
    }
    for path in faulty {
        source.fault(path, None);
    }
    let (report, opened) = office.run(&source, nothing);
    assert_eq!((report.problem_count, opened), (0, vec![faulty[1].to_owned()]));
}

/// Does something when the stream is read first.
struct Meanwhile<F: FnOnce() + Send>(Option<F>, &'static [u8]);

impl<F: FnOnce() + Send> std::io::Read for Meanwhile<F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Some(act) = self.0.take() {
            act();
        }
        std::io::Read::read(&mut self.1, buffer)
    }
}

fn stream(read: impl std::io::Read + Send + 'static) -> StreamSource {
    let long_ago = Timestamp { seconds: 1_000_000_000, nanoseconds: 0 };
    StreamSource::new(EntryPath::new("/dump").unwrap(), read, long_ago)
}

#[test]
fn a_stream_is_read_whatever_its_time_and_needs_nothing_that_a_collection_takes() {
    let mut office = Office::new(19);
    let other = Machine { clock: office.machine.clock.clone(), ..Machine::new(20) };
    let mut others = other.open(office.storage.clone(), &key()).unwrap();
    let doomed = others.backup(&firm(), &options(), Progress::none()).unwrap().snapshot;
    office.vault.backup(&stream(&b"first"[..]), &options(), Progress::none()).unwrap();
    let collect = move || {
        others.forget(&[doomed], Progress::none()).unwrap();
        others.collect(&CollectOptions::default(), Progress::none()).unwrap();
    };
    let packs = office.storage.list("packs").unwrap();
    let source = stream(Meanwhile(Some(collect), b"other"));
    let report = office.vault.backup(&source, &options(), Progress::none()).unwrap();
    assert!(packs.iter().any(|pack| !office.storage.list("packs").unwrap().contains(pack)), "something was collected");
    assert_eq!((report.kind, report.changes.changed), (SnapshotType::Incremental, 1));
    let snapshot = office.snapshot(&report);
    let stored = common::stored(&office.vault, &snapshot).unwrap();
    assert_eq!(stored[&b"/dump"[..]].2, b"other");
}

#[test]
fn a_collection_costs_the_next_run_no_reading() {
    let mut office = Office::new(21);
    let mut source = firm();
    let (doomed, _) = office.run(&source, |options| options.host = b"another".to_vec());
    source.file("/firm/large", &noise(5, 3 << 20));
    let (first, _) = office.run(&source, nothing);
    source.file("/firm/large2", &noise(6, 3 << 20));
    let (other, _) = office.run(&source, |options| options.host = b"another".to_vec());
    office.vault.forget(&[doomed.snapshot, other.snapshot], Progress::none()).unwrap();
    let mut options = CollectOptions::default();
    options.max_unused = MaxUnused::Bytes(0);
    assert!(office.vault.collect(&options, Progress::none()).unwrap().freed() > 3 << 20);
    source.remove("/firm/large2");
    let (report, opened) = office.run(&source, nothing);
    assert_eq!((report.base, opened), (Some(first.snapshot), vec![]));
    office.assert_good();
}

#[test]
fn a_run_that_finds_nothing_new_looks_nothing_up() {
    let mut office = Office::new(22);
    let mut source = MemorySource::new(&["/d"]);
    for file in 0..3000 {
        source.file(format!("/d/many/{file}"), b"the same");
        source.file(format!("/d/{}/{file}", file % 50), b"the same");
    }
    office.run(&source, nothing);
    let storage = Faulty::new(&office.storage, |_, _| false);
    let mut vault = office.machine.open(storage.clone(), &key()).unwrap();
    let report = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_eq!(report.changes.unchanged, 6000);
    let read = storage.bytes_read.lock().unwrap().clone();
    assert!(!read.contains_key("locator") && !read.contains_key("packs"), "{read:?}");
    assert_holds(&vault, &report.snapshot.to_string(), &expected(&source));
}

/// Says of a folder that it is there only because it leads to a source.
#[derive(Debug)]
struct Leading<'a>(&'a MemorySource, &'a str);

impl Source for Leading<'_> {
    fn walk(&self) -> Box<dyn Iterator<Item = Event> + Send + '_> {
        Box::new(self.0.walk().map(|event| match event {
            Event::Enter(entry) if entry.path.as_bytes() == self.1.as_bytes() => {
                Event::Enter(Entry { ancestor: true, ..entry })
            }
            event => event,
        }))
    }

    fn details(&self, entry: &Entry) -> (Metadata, Option<Problem>) {
        self.0.details(entry)
    }

    fn open(&self, entry: &Entry) -> Result<Box<dyn Content + '_>, SourceError> {
        self.0.open(entry)
    }

    fn roots(&self) -> Vec<EntryPath> {
        self.0.roots()
    }
}

#[test]
fn why_a_folder_is_there_is_of_this_run() {
    let mut office = Office::new(23);
    let source = firm();
    office.run(&source, nothing);
    let mut is_ancestor = |source: &dyn Source| {
        let report = office.vault.backup(source, &options(), Progress::none()).unwrap();
        let snapshot = office.snapshot(&report);
        let entry = office.vault.reader(Progress::none()).unwrap().entry(&snapshot, b"/firm/acme").unwrap().unwrap();
        matches!(entry.item, sb_repo::Item::Folder { ancestor: true, .. })
    };
    assert!(!is_ancestor(&source));
    assert!(is_ancestor(&Leading(&source, "/firm/acme")));
    assert!(!is_ancestor(&source));
}

#[test]
fn a_clock_that_was_set_back_makes_times_worthless() {
    let mut office = Office::new(7);
    let source = firm();
    office.run(&source, nothing);
    office.machine.clock.advance_hours(-24);
    let (report, opened) = office.run(&source, nothing);
    assert_eq!((report.kind, opened.len() as u64), (SnapshotType::Full, report.counts.files - 1));
    assert_eq!(report.counts.new_chunks, 0);
    let (report, opened) = office.run(&source, nothing);
    assert_eq!((report.kind, opened), (SnapshotType::Incremental, vec![]));
}

#[test]
fn what_the_vault_has_lost_is_read_and_stored_again() {
    for folder in ["packs", "sessions", "locator", "snapshots"] {
        let mut office = Office::new(8);
        let source = firm();
        office.run(&source, nothing);
        for listed in office.storage.list(folder).unwrap() {
            office.storage.remove_raw(&listed.name);
            office.storage.remove_raw(&format!("twin/{}", listed.name));
        }
        let (report, opened) = office.run(&source, nothing);
        let lost = folder == "packs" || folder == "sessions";
        assert_eq!(!opened.is_empty(), lost, "{folder}");
        assert_eq!(report.counts.new_chunks > 0, lost, "{folder}");
        // From then on all is as it should be.
        let (_, opened) = office.run(&source, nothing);
        let stays_incomplete = !opened.is_empty();
        assert!(!stays_incomplete, "{folder}: {opened:?}");
        let stranger = Machine::new(88).open(office.storage.clone(), &key()).unwrap();
        assert_holds(&stranger, "latest", &expected(&source));
    }
}

/// A machine with its memory in a folder.
fn machine_in(folder: &Path, seed: u64) -> Machine {
    Machine { state: State::open(folder).unwrap(), ..Machine::new(seed) }
}

fn caches(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder.join("cache")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_lost_or_damaged_cache_costs_reading_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(MemoryStorage::new());
    let machine = machine_in(folder.path(), 9);
    let (vault, _) = new_vault(&machine, storage.clone());
    let mut office = Office { storage, machine, vault };
    let source = firm();
    let (mut before, _) = office.run(&source, nothing);
    let files = caches(folder.path());
    assert_eq!(files.len(), 2, "one of the newest run, one of the newest full one");
    let whole = std::fs::read(&files[0]).unwrap();
    let mut damages: Vec<Vec<u8>> = vec![vec![], b"no cache".to_vec(), vec![0xff; 9000]];
    damages.extend((0..whole.len()).step_by(whole.len() / 20).map(|end| whole[..end].to_vec()));
    damages.extend((0..whole.len()).step_by(whole.len() / 20).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    }));
    for bytes in damages {
        caches(folder.path()).iter().for_each(|file| std::fs::write(file, &bytes).unwrap());
        let (report, opened) = office.run(&source, nothing);
        assert!(!opened.is_empty());
        assert_eq!(report.counts.new_chunks, 0);
        if report.kind == SnapshotType::Full {
            let root = |report: &BackupReport| office.snapshot(report).document_root();
            assert_eq!(root(&report), root(&before), "salts come from the snapshot before");
            assert_eq!(report.counts.stored_bytes, 0);
        }
        before = report;
    }
    caches(folder.path()).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    assert!(!office.run(&source, nothing).1.is_empty());
    assert!(office.run(&source, nothing).1.is_empty());
}

#[test]
fn the_cache_of_another_vault_or_of_other_sources_is_not_believed() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut offices = [0, 1].map(|n| {
        let storage = Arc::new(MemoryStorage::new());
        let machine = machine_in(folders[n].path(), 10 + n as u64);
        let (vault, _) = new_vault(&machine, storage.clone());
        Office { storage, machine, vault }
    });
    let source = firm();
    let (first, _) = offices[0].run(&source, nothing);
    offices[1].run(&source, nothing);
    for (own, foreign) in caches(folders[1].path()).iter().zip(caches(folders[0].path())) {
        std::fs::copy(foreign, own).unwrap();
    }
    let (report, opened) = offices[1].run(&source, nothing);
    assert!(opened.len() > 3 && report.base != Some(first.snapshot));
    let mut elsewhere = MemorySource::new(&["/firm/acme"]);
    elsewhere.file("/firm/acme/nothing", b"");
    let (report, opened) = offices[0].run(&elsewhere, nothing);
    assert_eq!((report.base, opened.len()), (None, 1));
    let (report, _) = offices[0].run(&source, |options| options.host = b"another".to_vec());
    assert_eq!((report.base, report.counts.new_chunks), (None, 0));
}

#[test]
fn a_cache_under_the_name_of_another_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, machine) = (Arc::new(MemoryStorage::new()), machine_in(folder.path(), 24));
    let (vault, _) = new_vault(&machine, storage.clone());
    let mut office = Office { storage, machine, vault };
    let mut elsewhere = MemorySource::new(&["/firm/acme"]);
    elsewhere.file("/firm/acme/nothing", b"");
    let (source, named) = (firm(), |suffix: &str| {
        let is_meant = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == suffix);
        caches(folder.path()).into_iter().find(is_meant).unwrap()
    });
    office.run(&source, nothing);
    let (second, _) = office.run(&source, nothing);
    let newest = named("newest");
    std::fs::copy(&newest, named("full")).unwrap();
    let (report, opened) = office.run(&source, differential);
    assert!(report.base != Some(second.snapshot) || report.kind == SnapshotType::Full, "{report:?}");
    assert!(!opened.is_empty(), "an incremental run is no base of a differential one");

    let of_firm = std::fs::read(&newest).unwrap();
    let before = caches(folder.path());
    let (first, _) = office.run(&elsewhere, nothing);
    for path in caches(folder.path()).into_iter().filter(|path| !before.contains(path)) {
        std::fs::write(path, &of_firm).unwrap();
    }
    let (report, _) = office.run(&elsewhere, nothing);
    assert_eq!(report.base, Some(first.snapshot), "found in the vault, not in the cache of other sources");
}

#[test]
fn a_cache_goes_with_the_snapshot_it_is_of() {
    // The vault is put back to an earlier state, which never had that snapshot.
    let (machine, source) = (Machine::new(12), firm());
    let storage = MemoryStorage::new();
    let (mut vault, _) = new_vault(&machine, Arc::new(storage.clone()));
    let earlier = storage.snapshot();
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let mut vault = machine.open(Arc::new(earlier.clone()), &key()).unwrap();
    vault.rebuild(true, Progress::none()).unwrap();
    let report = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert!(report.counts.new_chunks > 0 && report.base.is_none());
    assert_holds(&vault, "latest", &expected(&source));
}

/// Forgets these and deletes all that only they needed.
fn collect(vault: &mut Vault, reports: &[&BackupReport]) {
    let ids: Vec<_> = reports.iter().map(|report| report.snapshot).collect();
    vault.forget(&ids, Progress::none()).unwrap();
    let mut options = CollectOptions::default();
    options.max_unused = MaxUnused::Bytes(0);
    let report = vault.collect(&options, Progress::none()).unwrap();
    assert!(report.freed() > 0);
}

#[test]
fn a_cache_older_than_a_collection_costs_reading_and_nothing_else() {
    for kind in [nothing as fn(&mut _), differential] {
        let mut office = Office::new(16);
        let mut source = firm();
        let (first, _) = office.run(&source, nothing);
        source.file("/firm/acme/2025/new.pdf", &noise(16, 50_000));
        let (second, _) = office.run(&source, nothing);
        let mut another = MemorySource::new(&["/other"]);
        another.file("/other/ledger.csv", &b"date;account;amount\n".repeat(3000));
        office.run(&another, nothing);
        // All that the cache names is gone, but for what the other source has, too.
        collect(&mut office.vault, &[&first, &second]);
        let (third, opened) = office.run(&source, kind);
        assert!(opened.contains(&"/firm/acme/2025/new.pdf".to_owned()) && third.counts.new_bytes >= 120_000);
        office.assert_good();
        let stranger = Machine::new(88).open(office.storage.clone(), &key()).unwrap();
        assert_holds(&stranger, &third.snapshot.to_string(), &expected(&source));
        let (_, opened) = office.run(&source, nothing);
        assert_eq!(opened, [""; 0], "from then on all is known again");
    }
}

#[test]
fn the_cache_of_a_client_that_did_not_see_the_collection_is_not_believed_either() {
    for is_open_meanwhile in [true, false] {
        let mut office = Office::new(17);
        let client = Machine::new(18);
        let (own, mut shared) = (noise(17, 60_000), firm());
        office.run(&shared, nothing);
        shared.file("/firm/acme/own.pdf", &own);
        let vault = client.open(office.storage.clone(), &key()).unwrap();
        let mut laptop = Office { storage: office.storage.clone(), machine: client, vault };
        let named = |options: &mut BackupOptions| options.host = b"laptop".to_vec();
        let (first, _) = laptop.run(&shared, named);
        assert!((60_000..70_000).contains(&first.counts.new_bytes), "the office has stored the rest");
        office.vault.refresh().unwrap();
        collect(&mut office.vault, &[&first]);
        if !is_open_meanwhile {
            laptop.vault = laptop.machine.open(office.storage.clone(), &key()).unwrap();
        }
        let (second, opened) = laptop.run(&shared, named);
        assert!(opened.contains(&"/firm/acme/own.pdf".to_owned()), "{opened:?}");
        assert!(second.counts.new_bytes >= 60_000);
        laptop.assert_good();
        office.vault.refresh().unwrap();
        let (_, opened) = office.run(&firm(), nothing);
        assert_eq!(opened, [""; 0], "nothing that the office needs has gone");
        office.assert_good();
    }
}

#[test]
fn a_parent_is_what_a_run_is_compared_with() {
    let mut office = Office::new(19);
    let mut source = firm();
    let (full_one, _) = office.run(&source, nothing);
    source.file("/firm/a", b"a");
    let (second, _) = office.run(&source, nothing);
    source.file("/firm/b", b"b");
    let (third, _) = office.run(&source, nothing);
    let parent = |id| move |options: &mut BackupOptions| options.parent = Some(id);

    let (report, opened) = office.run(&source, parent(third.snapshot));
    assert_eq!((report.kind, report.base, opened), (SnapshotType::Incremental, Some(third.snapshot), vec![]));
    let (report, opened) = office.run(&source, parent(full_one.snapshot));
    assert_eq!((report.kind, report.base), (SnapshotType::Incremental, Some(full_one.snapshot)));
    assert_eq!((&opened[..], report.changes.new), (&["/firm/a".to_owned(), "/firm/b".to_owned()][..], 2));
    // Of this one nothing is known but what the vault has: all is read, and compared with that.
    let (report, opened) = office.run(&source, parent(second.snapshot));
    assert_eq!((report.kind, report.base), (SnapshotType::Full, Some(second.snapshot)));
    assert_eq!((opened.len() as u64, report.counts.new_chunks), (report.counts.files - 1, 0));
    let changes = (report.changes.new, report.changes.changed, report.changes.unchanged);
    assert_eq!(changes, (1, 0, report.counts.files - 1));
    let (report, _) = office.run(&source, |options| {
        options.kind = SnapshotType::Differential;
        options.parent = Some(full_one.snapshot);
    });
    assert_ne!(report.kind, SnapshotType::Differential, "it is since a snapshot that was named");

    let mut options = options();
    options.parent = Some(sb_repo::SnapshotId::new([9; 32]));
    let outcome = office.vault.backup(&source, &options, Progress::none());
    assert!(matches!(outcome, Err(RepoError::NoSuchSnapshot { .. })), "{outcome:?}");
    office.assert_good();
}

#[test]
fn a_snapshot_that_was_forgotten_is_no_parent_though_its_cache_is_there() {
    let mut office = Office::new(23);
    let (forgotten, _) = office.run(&firm(), nothing);
    office.vault.forget(&[forgotten.snapshot], Progress::none()).unwrap();
    let mut options = options();
    options.parent = Some(forgotten.snapshot);
    let objects = office.storage.objects();
    let is_refused = |vault: &mut Vault| {
        let outcome = vault.backup(&firm(), &options, Progress::none());
        let id = forgotten.snapshot.to_string();
        matches!(&outcome, Err(RepoError::NoSuchSnapshot { name }) if *name == id)
    };
    assert!(is_refused(&mut office.vault));
    lose_reading_keys(&mut office.vault);
    assert!(is_refused(&mut office.vault), "also for who knows snapshots by their caches only");
    assert_eq!(office.storage.objects(), objects);
}

#[test]
fn a_parent_of_other_paths_or_of_another_machine_will_do() {
    let mut office = Office::new(20);
    let (parent, _) = office.run(&firm(), |options| options.host = b"old server".to_vec());
    let mut part = MemorySource::new(&["/firm/acme"]);
    part.file("/firm/acme/nothing", b"").file("/firm/acme/2025.txt", b"rewritten").file("/firm/acme/new", b"new");
    let (report, _) = office.run(&part, |options| options.parent = Some(parent.snapshot));
    assert_eq!(report.base, Some(parent.snapshot));
    assert_eq!((report.changes.new, report.changes.changed + report.changes.unchanged), (1, 2));
}

#[test]
fn without_keys_that_read_only_what_this_machine_knows_can_be_a_parent() {
    let mut office = Office::new(21);
    let mut source = firm();
    let (first, _) = office.run(&source, nothing);
    let second = office.run(&source, nothing).0;
    office.run(&source, nothing);
    lose_reading_keys(&mut office.vault);
    source.file("/firm/a", b"a");
    let run = |office: &mut Office, parent: Option<&BackupReport>| {
        let mut options = options();
        options.parent = parent.map(|report| report.snapshot);
        let watched = Watched { source: &source, opened: Mutex::default() };
        let report = office.vault.backup(&watched, &options, Progress::none());
        (report, watched.opened.into_inner().unwrap())
    };
    let (report, opened) = run(&mut office, None);
    assert_eq!(opened, ["/firm/a"], "{report:?}");
    let (report, opened) = run(&mut office, Some(&first));
    assert_eq!((report.unwrap().base, &opened[..]), (Some(first.snapshot), &["/firm/a".to_owned()][..]));
    let objects = office.storage.objects();
    let (report, opened) = run(&mut office, Some(&second));
    assert!(matches!(report, Err(RepoError::NoReadingKey { .. })) && opened.is_empty(), "{report:?}");
    assert_eq!(office.storage.objects(), objects);
    let reader = office.machine.open(office.storage.clone(), &key()).unwrap();
    assert_holds(&reader, "latest", &expected(&source));
}

#[test]
fn a_large_file_of_which_little_is_new_is_the_same_read_by_one_thread_or_two() {
    let block = noise(3, 1 << 20);
    let mut content: Vec<u8> = (0..66_u8).flat_map(|n| block.iter().map(move |byte| byte ^ n)).collect();
    let counts = [1, 2].map(|threads| {
        let mut office = Office::new(23);
        let mut source = MemorySource::new(&["/firm"]);
        source.file("/firm/large.db", &content);
        office.run(&source, |options| options.threads = threads);
        content[40 << 20] ^= 1;
        source.file("/firm/large.db", &content);
        let (report, _) = office.run(&source, |options| options.threads = threads);
        content[40 << 20] ^= 1;
        assert!(report.changes.changed == 1 && report.counts.new_bytes < 4 << 20, "{report:?}");
        office.assert_good();
        (report.counts.new_chunks, report.counts.new_bytes)
    });
    assert_eq!(counts[0], counts[1]);
}

#[test]
fn any_number_of_threads_makes_the_same_snapshot() {
    let mut source = firm();
    for number in 0..300_u64 {
        let length = usize::try_from(number * number % 90_000).unwrap();
        source.file(format!("/firm/many/{}/{number}.pdf", number % 7), &noise(number, length));
        source.file(format!("/firm/many/{}/{number}.csv", number % 7), b"1;2\n".repeat(length / 40).as_slice());
    }
    source.file("/firm/large.db", &noise(1000, 20_000_000));
    source.hard_link("/firm/large.db", "/firm/many/large.db");
    let trees = [1, 2, 5].map(|threads| {
        let mut office = Office::new(13);
        let (report, _) = office.run(&source, |options| options.threads = threads);
        office.assert_good();
        let (second, opened) = office.run(&source, |options| options.threads = threads);
        assert!(opened.is_empty() && second.counts.stored_bytes == 0);
        (report.counts.files, report.counts.new_chunks, report.counts.new_bytes)
    });
    assert_eq!((trees[0], trees[0]), (trees[1], trees[2]));
}

#[test]
fn hard_links_stay_together_whichever_of_them_is_read() {
    let mut office = Office::new(14);
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/b", b"shared").hard_link("/d/b", "/d/c").hard_link("/d/b", "/d/e");
    let (_, opened) = office.run(&source, nothing);
    assert_eq!(opened, ["/d/b"]);
    let group = |office: &Office, report: &BackupReport| {
        let reader = office.vault.reader(Progress::none()).unwrap();
        let mut groups = Vec::new();
        let snapshot = office.snapshot(report);
        reader
            .list(&snapshot, b"/d", true, &mut |_, entry| {
                groups.push(entry.link_group);
                Ok(())
            })
            .unwrap();
        groups.dedup();
        groups
    };
    // A name that comes before the others gives the group another id, also for those that are not read.
    source.hard_link("/d/b", "/d/a");
    let (report, _) = office.run(&source, nothing);
    assert!(matches!(group(&office, &report)[..], [Some(_)]));
    source.remove("/d/a").remove("/d/b").remove("/d/c");
    source.edit("/d/e", |metadata| (metadata.links, metadata.ctime.seconds) = (1, metadata.ctime.seconds + 1));
    let (report, _) = office.run(&source, nothing);
    assert_eq!(group(&office, &report), [None]);
}

#[derive(Clone, Debug)]
enum Change {
    Write(u8, Vec<u8>),
    Remove(u8),
    Touch(u8),
    Folder(u8),
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(n, bytes)| Change::Write(n, bytes)),
        1 => any::<u8>().prop_map(Change::Remove),
        1 => any::<u8>().prop_map(Change::Touch),
        1 => any::<u8>().prop_map(Change::Folder),
    ]
}

fn place(number: u8) -> String {
    format!("/d/{}/{}/f{}", number % 3, number / 3 % 4, number / 12 % 6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_changes_every_snapshot_is_what_the_source_was(
        runs in prop::collection::vec((prop::collection::vec(changes(), 0..12), 0..4u8, 1..3usize), 1..7)
    ) {
        let mut office = Office::new(15);
        let mut source = MemorySource::new(&["/d"]);
        source.directory("/d");
        let mut there = std::collections::BTreeSet::new();
        for (changes, kind, threads) in runs {
            for change in changes {
                match change {
                    Change::Write(n, bytes) => {
                        source.file(place(n), &bytes);
                        there.insert(place(n));
                    }
                    Change::Remove(n) => {
                        if there.remove(&place(n)) {
                            source.remove(place(n));
                        }
                    }
                    Change::Touch(n) if there.contains(&place(n)) => {
                        source.edit(place(n), |metadata| {
                            metadata.mode ^= 0o020;
                            metadata.ctime.seconds += 1;
                        });
                    }
                    Change::Folder(n) => {
                        source.directory(format!("/d/{}/empty{}", n % 3, n % 5));
                    }
                    Change::Touch(_) => {}
                }
            }
            let kind = match kind {
                0 => SnapshotType::Full,
                1 => SnapshotType::Differential,
                _ => SnapshotType::Incremental,
            };
            office.run(&source, |options| (options.kind, options.threads) = (kind, threads));
        }
        office.assert_good();
    }
}
