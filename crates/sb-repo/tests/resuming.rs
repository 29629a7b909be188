//! Restoring where an earlier restore was cut short, and what may not be taken for whole then.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use common::place::{backed_up, look, names, restore, restore_as};
use sb_repo::{Counter, Deed, Monitor, Overwrite, Progress, RepoError, RestoreOptions, Vault};
use sb_source::{EntryPath, Filter, MemorySource, Target};

fn source() -> MemorySource {
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", b"first").file("/d/sub/b", b"second").file("/d/sub/c", b"third");
    source
}

fn if_changed() -> RestoreOptions {
    RestoreOptions::default().with_overwrite(Overwrite::IfChanged)
}

/// Names of marks in a folder.
fn marks(folder: &Path) -> Vec<String> {
    let target = Target::create(folder).unwrap().folder(&EntryPath::root()).unwrap();
    let mut marks: Vec<_> =
        target.marks().iter().map(|mark| String::from_utf8(mark.name().to_vec()).unwrap()).collect();
    marks.sort();
    marks
}

/// Copies the first mark that is seen, as it is left by a restore that is cut short.
#[derive(Debug)]
struct Saver<'a>(&'a Path, Mutex<Option<(String, Vec<u8>)>>);

impl<'a> Saver<'a> {
    fn new(folder: &'a Path) -> Self {
        Self(folder, Mutex::default())
    }

    /// Runs a restore and gives the mark that was there while it ran.
    fn mark(vault: &Vault, path: &str, folder: &'a Path, options: RestoreOptions) -> (String, Vec<u8>) {
        let saver = Self::new(folder);
        restore_as(vault, path, folder, options, &saver).unwrap();
        assert_eq!(marks(folder), [""; 0], "at the end none is left");
        saver.1.into_inner().unwrap().unwrap()
    }
}

impl Monitor for Saver<'_> {
    fn count(&self, counter: Counter, _: u64) {
        let mut saved = self.1.lock().unwrap();
        if counter == Counter::Entries && saved.is_none() {
            let name = marks(self.0).into_iter().next().expect("marked from the beginning");
            *saved = Some((name.clone(), fs::read(self.0.join(name)).unwrap()));
        }
    }
}

/// What a power cut leaves: size and time, and not the content.
fn tear(file: &Path) {
    let time = file.metadata().unwrap().modified().unwrap();
    let size = file.metadata().unwrap().size() as usize;
    fs::write(file, vec![0; size]).unwrap();
    fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap()
}

#[test]
fn files_below_a_mark_are_compared_and_the_mark_goes_when_the_same_is_restored() {
    let vault = backed_up(61, &source());
    for policy in [Overwrite::IfChanged, Overwrite::IfNewer, Overwrite::Always] {
        let folder = tempfile::tempdir().unwrap();
        let (name, text) = Saver::mark(&vault, "/d", folder.path(), RestoreOptions::default());
        let time = folder.path().metadata().unwrap().modified().unwrap();
        fs::write(folder.path().join(&name), &text).unwrap();
        fs::File::open(folder.path()).unwrap().set_modified(time).unwrap();
        tear(&folder.path().join("sub/b"));
        let options = || RestoreOptions::default().with_overwrite(policy);
        let dry = restore(&vault, "/d", folder.path(), options().with_dry_run(true));
        assert!(dry.resumed && dry.overwritten == if policy == Overwrite::Always { 3 } else { 1 }, "{dry:?}");
        let report = restore(&vault, "/d", folder.path(), options());
        assert!(report.resumed && report.overwritten == dry.overwritten, "{policy:?} {report:?}");
        assert_eq!(read(folder.path(), "sub/b"), "second", "{policy:?}");
        assert_eq!(names(folder.path()), ["a", "sub", "sub/b", "sub/c"], "the mark is gone");
        let is_same = folder.path().metadata().unwrap().modified().unwrap() == time;
        assert_eq!(is_same, policy != Overwrite::Always, "where no file is new, nothing tells of the mark");
    }
}

#[test]
fn without_a_mark_size_and_time_are_enough() {
    let vault = backed_up(62, &source());
    let folder = tempfile::tempdir().unwrap();
    restore(&vault, "/d", folder.path(), RestoreOptions::default());
    tear(&folder.path().join("sub/b"));
    let report = restore(&vault, "/d", folder.path(), if_changed());
    assert_eq!((report.unchanged, report.overwritten, report.resumed), (3, 0, false));
}

#[test]
fn a_mark_stays_as_long_as_something_else_is_restored() {
    let mut source = source();
    let machine = common::Machine::new(63);
    let (mut vault, _) = common::new_vault(&machine, std::sync::Arc::new(sb_store::MemoryStorage::new()));
    vault.backup(&source, &common::options(), Progress::none()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (name, text) = Saver::mark(&vault, "/d", folder.path(), RestoreOptions::default());
    let mark = folder.path().join(&name);
    source.remove("/d/sub/b");
    vault.backup(&source, &common::options(), Progress::none()).unwrap();
    fs::write(&mark, &text).unwrap();
    tear(&folder.path().join("a"));
    tear(&folder.path().join("sub/b"));
    // What is not in this snapshot is not looked at.
    assert_eq!(restore(&vault, "/d", folder.path(), if_changed().with_delete(false)).overwritten, 1);
    assert!(mark.exists());
    let reader = vault.reader(Progress::none()).unwrap();
    let first = vault.snapshots().unwrap().snapshots[0].clone();
    let target = Target::create(folder.path()).unwrap();
    for (options, stays) in [
        (RestoreOptions::default().with_overwrite(Overwrite::Never), true),
        (if_changed().with_filter(Filter::new(["a"], [""; 0]).unwrap()), true),
        (if_changed(), false),
    ] {
        let report = reader.restore(&first, b"/d", &target, options, Progress::none()).unwrap();
        assert_eq!((report.resumed, mark.exists()), (true, stays));
    }
    assert_eq!((read(folder.path(), "a"), read(folder.path(), "sub/b")), ("first".into(), "second".into()));
}

#[test]
fn marks_above_and_below_count_and_are_not_deleted() {
    let vault = backed_up(64, &source());
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("into");
    restore(&vault, "/d", &into, RestoreOptions::default());
    let name = ".sb-restore-unfinished-0123456789abcdef";
    for mark in [folder.path().join(name), into.join(name), into.join("sub").join(name)] {
        tear(&into.join("sub/c"));
        fs::write(&mark, "somebody else's").unwrap();
        let report = restore(&vault, "/d", &into, if_changed().with_delete(true));
        assert_eq!((report.overwritten, report.deleted, report.resumed), (1, 0, true), "{mark:?}");
        assert!(read(&into, "sub/c") == "third" && mark.exists());
        fs::remove_file(mark).unwrap();
    }
    // In a folder that the snapshot does not have it is nothing special.
    fs::create_dir(into.join("extra")).unwrap();
    fs::write(into.join("extra").join(name), "").unwrap();
    assert_eq!(restore(&vault, "/d", &into, if_changed().with_delete(true)).deleted, 2);
}

#[test]
fn restores_to_full_paths_mark_the_nearest_folder_there_is() {
    let vault = backed_up(65, &source());
    let full = || RestoreOptions::default().with_full_paths(true);
    let folder = tempfile::tempdir().unwrap();
    for path in ["/d/sub", "/", "/d/sub/b"] {
        let saver = Saver::new(folder.path());
        restore_as(&vault, path, folder.path(), full(), &saver).unwrap();
        assert!(saver.1.into_inner().unwrap().is_some(), "{path}");
        fs::remove_dir_all(folder.path().join("d")).unwrap();
    }
    let inner = folder.path().join("d/sub");
    fs::create_dir_all(&inner).unwrap();
    let saver = Saver::new(&inner);
    restore_as(&vault, "/d/sub/b", folder.path(), full(), &saver).unwrap();
    assert!(saver.1.into_inner().unwrap().is_some());
    assert_eq!(names(folder.path()), ["d", "d/sub", "d/sub/b"]);
}

/// Stops a restore after the first file.
#[derive(Debug)]
struct Stopper<'a>(&'a AtomicBool);

impl Monitor for Stopper<'_> {
    fn restored(&self, deed: Deed, path: &[u8]) {
        if deed == Deed::Made && path == b"/a" {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_restore_that_was_told_to_stop_leaves_no_doubt() {
    let vault = backed_up(66, &source());
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let reader = vault.reader(Progress::none()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    let target = Target::create(folder.path()).unwrap();
    let progress = Progress { monitor: &Stopper(&stop), stop: &stop };
    let stopped = reader.restore(&snapshot, b"/d", &target, RestoreOptions::default().with_threads(1), progress);
    assert!(matches!(stopped, Err(RepoError::Interrupted)), "{stopped:?}");
    assert!(folder.path().join("a").exists() && marks(folder.path()).is_empty());
}

#[test]
fn whatever_stopped_a_restore_the_next_gives_folders_their_metadata() {
    let mut source = source();
    source.edit("/d", |metadata| metadata.mode = 0o755).edit("/d/sub", |metadata| metadata.mode = 0o750);
    let vault = backed_up(68, &source);
    let reader = vault.reader(Progress::none()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    let folders = |folder: &Path| ["into", "into/sub"].map(|name| look(folder)[Path::new(name)].clone());
    let whole = tempfile::tempdir().unwrap();
    restore(&vault, "/d", &whole.path().join("into"), RestoreOptions::default());
    let policy = |policy| RestoreOptions::default().with_overwrite(policy);
    let only = |name| RestoreOptions::default().with_filter(Filter::new([name], [""; 0]).unwrap());
    for options in [policy(Overwrite::IfChanged), policy(Overwrite::Never), only("c")] {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("into");
        let stop = AtomicBool::new(false);
        let progress = Progress { monitor: &Stopper(&stop), stop: &stop };
        let target = Target::create(&into).unwrap();
        let first = RestoreOptions::default().with_threads(1);
        reader.restore(&snapshot, b"/d", &target, first, progress).unwrap_err();
        assert_eq!(folders(folder.path()).map(|(mode, ..)| mode & 0o7777), [0o5700; 2]);
        restore(&vault, "/d", &into, options);
        assert_eq!(folders(folder.path()), folders(whole.path()));
    }
    let folder = tempfile::tempdir().unwrap();
    restore(&vault, "/", &folder.path().join("into"), RestoreOptions::default());
    let mode = folder.path().join("into").metadata().unwrap().mode() & 0o7777;
    assert_eq!(mode, 0o700, "of the root of a file system nothing is known");
}

/// Restores `/d` into a folder, which is stopped after the first file.
fn stopped(vault: &Vault, into: &Path) {
    let stop = AtomicBool::new(false);
    let progress = Progress { monitor: &Stopper(&stop), stop: &stop };
    let (reader, snapshot) = (vault.reader(Progress::none()).unwrap(), vault.find_snapshot("latest").unwrap());
    let alone = RestoreOptions::default().with_threads(1);
    reader.restore(&snapshot, b"/d", &Target::create(into).unwrap(), alone, progress).unwrap_err();
}

fn mode(folder: &Path) -> u32 {
    folder.metadata().unwrap().mode() & 0o7777
}

fn set_mode(folder: &Path, mode: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn where_folders_hand_their_group_on_unfinished_ones_are_known_too() {
    let mut source = source();
    source.edit("/d", |metadata| metadata.mode = 0o755).edit("/d/sub", |metadata| metadata.mode = 0o750);
    let vault = backed_up(69, &source);
    let shared = tempfile::tempdir().unwrap();
    set_mode(shared.path(), 0o2775);
    let into = shared.path().join("into");
    stopped(&vault, &into);
    assert_eq!((mode(&into), mode(&into.join("sub"))), (0o7700, 0o7700));
    restore(&vault, "/d", &into, if_changed());
    assert_eq!((mode(&into), mode(&into.join("sub"))), (0o755, 0o750));
    let root = shared.path().join("root");
    restore(&vault, "/", &root, RestoreOptions::default());
    assert_eq!(mode(&root), 0o2700, "its own permissions are not known");
}

#[test]
fn folders_that_somebody_wants_for_himself_alone_stay_so() {
    let mut source = source();
    source.edit("/d/sub", |metadata| metadata.mode = 0o755);
    let vault = backed_up(70, &source);
    for own in [0o700, 0o1700, 0o3700] {
        let folder = tempfile::tempdir().unwrap();
        let sub = folder.path().join("sub");
        fs::create_dir(&sub).unwrap();
        set_mode(&sub, own);
        set_mode(folder.path(), own);
        restore(&vault, "/d", folder.path(), RestoreOptions::default().with_overwrite(Overwrite::Never));
        assert_eq!((mode(folder.path()), mode(&sub)), (own, own));
    }
    source.edit("/d", |metadata| metadata.mode = 0o1700);
    let vault = backed_up(71, &source);
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("into");
    restore(&vault, "/d", &into, RestoreOptions::default().with_root_metadata(true));
    assert_eq!(mode(&into), 0o1700, "as it was backed up");
}

#[test]
fn folders_of_a_restore_that_is_at_work_are_left_to_it() {
    let mut source = source();
    source.edit("/d/sub", |metadata| metadata.mode = 0o711);
    let vault = backed_up(72, &source);
    let folder = tempfile::tempdir().unwrap();
    stopped(&vault, folder.path());
    let sub = folder.path().join("sub");
    let at_work = Target::create(folder.path()).unwrap().folder(&EntryPath::root()).unwrap().mark("another").unwrap();
    restore(&vault, "/d", folder.path(), RestoreOptions::default().with_overwrite(Overwrite::Never));
    assert_eq!(mode(&sub), 0o5700);
    drop(at_work);
    restore(&vault, "/d", folder.path(), RestoreOptions::default().with_overwrite(Overwrite::Never));
    assert_eq!(mode(&sub), 0o711);
}

#[test]
fn a_folder_that_takes_no_mark_is_restored_into_all_the_same() {
    // Nothing can be made in here, not even by root; what is there can get its content back no more than its mark.
    let vault = backed_up(67, &source());
    let target = Target::create(Path::new("/proc/self")).unwrap();
    let reader = vault.reader(Progress::none()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    let report = reader.restore(&snapshot, b"/d", &target, RestoreOptions::default(), Progress::none()).unwrap();
    assert_eq!((report.files, report.problems.len()), (0, 2), "{:?}", report.problems);
}
