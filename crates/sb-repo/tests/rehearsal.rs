//! A dry run tells what the run would do, and leaves no trace.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use common::faulty::{Act, Faulty};
use common::meddler::{begin, good};
use common::{Machine, assert_holds, expected, firm, key, new_vault, noise, options};
use sb_crypto::Credential;
use sb_repo::{BackupOptions, BackupReport, FileChange, Monitor, Progress, RepoError, SnapshotType, State, Vault};
use sb_source::{Fault, Source};
use sb_store::{MemoryStorage, Storage};

fn dry(options: &BackupOptions) -> BackupOptions {
    let mut dry = options.clone();
    dry.dry_run = true;
    dry
}

/// All that a folder holds: paths, times of change and contents.
fn traces(folder: &Path) -> Vec<(std::path::PathBuf, std::time::SystemTime, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let (path, metadata) = (entry.path(), entry.metadata().unwrap());
        let bytes = if metadata.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        found.push((path.clone(), metadata.modified().unwrap(), bytes));
        found.extend(traces(&path));
    }
    found.sort();
    found
}

/// A dry run and the run itself, which comes to the same.
fn both(vault: &mut Vault, source: &dyn Source, options: &BackupOptions) -> BackupReport {
    let rehearsed = vault.backup(source, &dry(options), Progress::none()).unwrap();
    let done = vault.backup(source, options, Progress::none()).unwrap();
    assert!(rehearsed.dry_run && !done.dry_run);
    let told = |report: &BackupReport| {
        let BackupReport { kind, base, changes, problem_count, adopted, .. } = *report;
        let mut counts = report.counts;
        counts.stored_bytes = 0;
        (kind, base, changes, counts, problem_count, adopted, report.problems.clone())
    };
    assert_eq!(format!("{:?}", told(&rehearsed)), format!("{:?}", told(&done)));
    // Salts are other ones, and how well they compress.
    let (expected, stored) = (rehearsed.counts.stored_bytes, done.counts.stored_bytes);
    assert!(expected.abs_diff(stored) <= stored / 10, "{expected} were told, {stored} were stored");
    done
}

#[test]
fn it_tells_what_the_run_then_does() {
    for threads in [1, 3] {
        let (storage, machine, mut vault) = begin(1);
        let mut options = options();
        options.threads = threads;
        let mut source = firm();
        for n in 0..200 {
            source.file(format!("/firm/many/{n}"), &noise(n, 9000));
        }
        let first = both(&mut vault, &source, &options);
        assert!(first.counts.stored_bytes > 1_800_000);
        assert_eq!(both(&mut vault, &source, &options).counts.stored_bytes, 0);
        source.file("/firm/many/7", b"changed").file("/firm/new", &noise(1000, 30_000)).remove("/firm/many/8");
        let third = both(&mut vault, &source, &options);
        assert_eq!((third.changes.new, third.changes.changed), (1, 1));
        options.kind = SnapshotType::Differential;
        assert_eq!(both(&mut vault, &source, &options).base, Some(first.snapshot));
        options.kind = SnapshotType::Full;
        both(&mut vault, &source, &options);
        options.parent = Some(third.snapshot);
        assert_eq!(both(&mut vault, &source, &options).base, Some(third.snapshot));
        good(&vault);
        assert_eq!(vault.snapshots().unwrap().snapshots.len(), 6);
        let vault = machine.open(storage, &key()).unwrap();
        assert_holds(&vault, "latest", &expected(&source));
    }
}

#[test]
fn neither_the_vault_nor_the_state_folder_is_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine { state: State::open(&folder.path().join("own")).unwrap(), ..Machine::new(2) };
    let storage = Arc::new(MemoryStorage::new());
    let (mut vault, _) = new_vault(&machine, storage.clone());
    let mut source = firm();
    for round in 0..2 {
        let (objects, before) = (storage.objects(), traces(folder.path()));
        vault.backup(&source, &dry(&options()), Progress::none()).unwrap();
        assert!(storage.objects() == objects && traces(folder.path()) == before, "round {round}");
        vault.backup(&source, &options(), Progress::none()).unwrap();
        source.file("/firm/new", b"new");
    }

    // A machine that has never seen the vault, and may only read it.
    source.file("/firm/newer", b"newer");
    let objects = storage.objects();
    let readable = Faulty::new(&storage, |act, _| !matches!(act, Act::Read | Act::List));
    let newcomer = Machine { state: State::among(&folder.path().join("none")), ..Machine::new(3) };
    let around = newcomer.around(readable).rehearsing();
    let mut vault = Vault::open(around, &Credential::KeyFile(key()), None).unwrap();
    let report = vault.backup(&source, &dry(&options()), Progress::none()).unwrap();
    assert_eq!((report.kind, report.changes.new, report.adopted), (SnapshotType::Full, 1, 0));
    assert!(storage.objects() == objects && !folder.path().join("none").exists());
}

#[test]
fn what_a_run_left_that_was_cut_short_counts_and_stays_as_it_is() {
    let (storage, machine, _) = begin(4);
    let broken = Faulty::new(&storage, |act, name| act == Act::Create && name.starts_with("snapshots/"));
    machine.backup(broken, &key(), &firm()).unwrap_err();
    // The lease of a run that was killed is still there.
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    let objects = storage.objects();
    let report = vault.backup(&firm(), &dry(&options()), Progress::none()).unwrap();
    assert!(report.adopted > 2 && report.counts.new_chunks == 0, "{report:?}");
    assert!(storage.objects() == objects);
    let done = both(&mut vault, &firm(), &options());
    assert_eq!((done.adopted, done.counts.new_chunks), (report.adopted, 0));
    assert_holds(&vault, "latest", &expected(&firm()));
    good(&vault);
}

/// Hears what becomes of files.
#[derive(Debug, Default)]
struct Ear(Mutex<Vec<(FileChange, String)>>);

impl Monitor for Ear {
    fn compared(&self, change: FileChange, path: &[u8]) {
        self.0.lock().unwrap().push((change, String::from_utf8_lossy(path).into_owned()));
    }
}

#[test]
fn each_file_is_told_of_in_order() {
    for threads in [1, 3] {
        let (_, _, mut vault) = begin(8);
        let mut source = firm();
        vault.backup(&source, &options(), Progress::none()).unwrap();
        source.file("/firm/acme/2025.txt", b"rewritten").file("/firm/new", b"new").remove("/firm/acme/nothing");
        source.edit("/firm/acme/2025/ledger.csv", |metadata| {
            metadata.mode = 0o600;
            metadata.ctime.seconds += 1;
        });
        let (ear, stop) = (Ear::default(), AtomicBool::new(false));
        let mut dry = dry(&options());
        dry.threads = threads;
        let report = vault.backup(&source, &dry, Progress { monitor: &ear, stop: &stop }).unwrap();
        let heard = ear.0.into_inner().unwrap();
        assert_eq!(heard.len() as u64, report.counts.files);
        let of =
            |change| heard.iter().filter(|(is, _)| *is == change).map(|(_, path)| path.as_str()).collect::<Vec<_>>();
        assert_eq!(of(FileChange::New), ["/firm/new"]);
        assert_eq!(of(FileChange::Changed).len() as u64, report.changes.changed);
        assert!(of(FileChange::Changed).contains(&"/firm/acme/2025.txt"), "{heard:?}");
        assert_eq!(of(FileChange::Unchanged).len() as u64, report.changes.unchanged);
    }
}

#[test]
fn problems_are_told() {
    let (_, _, mut vault) = begin(5);
    let mut source = firm();
    source.fault("/firm/acme/2025.txt", Fault::Denied);
    let report = both(&mut vault, &source, &options());
    assert!(report.is_partial());
}

#[test]
fn a_vault_that_no_run_would_begin_on_is_refused() {
    let (storage, machine, mut vault) = begin(6);
    let earlier = storage.snapshot();
    vault.backup(&firm(), &options(), Progress::none()).unwrap();
    let mut rolled_back = machine.open(Arc::new(earlier), &key()).unwrap();
    let outcome = rolled_back.backup(&firm(), &dry(&options()), Progress::none());
    assert!(matches!(outcome, Err(RepoError::RolledBack { .. })), "{outcome:?}");
}

#[test]
fn what_a_rehearsing_vault_seems_to_have_done_does_not_count() {
    let (storage, machine, mut vault) = begin(7);
    let first = vault.backup(&firm(), &options(), Progress::none()).unwrap();
    let objects = storage.objects();
    let around = machine.around(storage.clone()).rehearsing();
    let mut rehearsing = Vault::open(around, &Credential::KeyFile(key()), None).unwrap();
    let mut source = firm();
    source.file("/firm/new", &noise(7, 10_000));
    assert!(rehearsing.backup(&source, &options(), Progress::none()).is_err(), "nobody is told that it is safe");
    rehearsing.forget(&[first.snapshot], Progress::none()).unwrap();
    assert!(storage.objects() == objects);
    assert!(storage.list("snapshots").unwrap().len() == 1);
}
