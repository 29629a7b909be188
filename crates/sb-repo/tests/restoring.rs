//! Restoring among what is there, in part, again, and with any number of threads.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::faulty::Faulty;
use common::place::{Ear, backed_up, look, names, restore, restore_as};
use common::{Machine, firm, key, new_vault, noise, options};
use sb_repo::{Counter, Deed, Monitor, Overwrite, Progress, RepoError, RestoreOptions, RestoreProblem};
use sb_source::{Filter, MemorySource, Target, TargetError, Timestamp};
use sb_store::{MemoryStorage, Storage};

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanoseconds: 0 }
}

/// Two files and a link of the time 1,000.
fn plain() -> MemorySource {
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", b"first").file("/d/sub/b", b"second").symlink("/d/link", b"a");
    for path in ["/d/a", "/d/sub/b", "/d/link"] {
        source.edit(path, |metadata| {
            metadata.mtime = at(1_000);
            metadata.mode = if path == "/d/link" { 0o777 } else { 0o640 };
        });
    }
    source
}

fn set_time(path: &Path, seconds: u64) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn any_number_of_threads_restores_the_same() {
    let mut source = firm();
    source.file("/firm/large", &noise(5, 20 << 20));
    source.sparse_file("/firm/large and sparse", 30 << 20, &[(10 << 20, &[7; 100_000]), ((30 << 20) - 3, b"end")]);
    for number in 0..600 {
        // Every third is in the vault already, so that its content lies elsewhere.
        let content = noise(100 + number % 200, 3_000);
        source.file(format!("/firm/many/{}/{number}", number % 7).as_str(), &content);
    }
    let vault = backed_up(31, &source);
    let mut seen = Vec::new();
    for threads in [1, 4, 0] {
        let folder = tempfile::tempdir().unwrap();
        let report = restore(&vault, "/firm", folder.path(), RestoreOptions::default().with_threads(threads));
        assert!(!report.is_damaged(), "{:?}", report.problems);
        let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
        assert!(folder.path().join("large and sparse").metadata().unwrap().blocks() * 512 < 2 << 20);
        seen.push((look(folder.path()), report.files, report.folders, report.others, report.bytes, problems));
    }
    assert_eq!(seen[0].1, 609);
    assert!(seen[0] == seen[1] && seen[0] == seen[2]);
}

#[test]
fn each_policy_replaces_what_it_says() {
    let vault = backed_up(32, &plain());
    let first = look(&{
        let folder = tempfile::tempdir().unwrap().keep();
        restore(&vault, "/d", &folder, RestoreOptions::default());
        folder
    });
    for (policy, a, overwritten, unchanged, adjusted, kept) in [
        (Overwrite::Always, "first", 3, 0, 0, 0),
        (Overwrite::IfChanged, "first", 1, 1, 1, 0),
        (Overwrite::IfNewer, "other", 0, 0, 0, 3),
        (Overwrite::Never, "other", 0, 0, 0, 3),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let options = || RestoreOptions::default().with_overwrite(policy);
        let report = restore(&vault, "/d", folder.path(), options());
        assert_eq!((report.files, report.overwritten, report.unchanged, report.kept), (2, 0, 0, 0), "{policy:?}");
        assert_eq!(look(folder.path()), first);
        // Of the same size; the other file only has another time and other rights.
        fs::write(folder.path().join("a"), "other").unwrap();
        set_time(&folder.path().join("sub/b"), 2_000);
        fs::set_permissions(folder.path().join("sub/b"), fs::Permissions::from_mode(0o600)).unwrap();
        let inode = folder.path().join("sub/b").metadata().unwrap().ino();
        let ear = Ear::default();
        let report = restore_as(&vault, "/d", folder.path(), options(), &ear).unwrap();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        assert_eq!((report.overwritten, report.unchanged, report.kept), (overwritten, unchanged, kept), "{policy:?}");
        assert_eq!((report.adjusted, ear.heard(Deed::Adjusted).len() as u64), (adjusted, adjusted), "{policy:?}");
        assert_eq!((report.folders, report.resumed), (0, false), "none was made");
        assert_eq!(ear.heard(Deed::Overwritten).len() as u64, overwritten);
        assert_eq!((ear.heard(Deed::Unchanged).len() as u64, ear.heard(Deed::Kept).len() as u64), (unchanged, kept));
        assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), a, "{policy:?}");
        let is_same_file = folder.path().join("sub/b").metadata().unwrap().ino() == inode;
        assert_eq!(is_same_file, policy != Overwrite::Always, "what has the same content is not written again");
        if matches!(policy, Overwrite::Always | Overwrite::IfChanged) {
            assert_eq!(look(folder.path()), first, "{policy:?}");
        }
    }
}

#[test]
fn what_is_newer_in_the_snapshot_replaces_what_is_older() {
    let vault = backed_up(33, &plain());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "older").unwrap();
    set_time(&folder.path().join("a"), 999);
    let options = RestoreOptions::default().with_overwrite(Overwrite::IfNewer);
    let report = restore(&vault, "/d", folder.path(), options);
    assert_eq!((report.files, report.overwritten, report.kept), (2, 1, 0));
    assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"first");
}

#[test]
fn a_restore_that_was_killed_goes_on_and_clears_up() {
    let mut source = plain();
    source.hard_link("/d/a", "/d/z");
    let vault = backed_up(34, &source);
    let folder = tempfile::tempdir().unwrap();
    restore(&vault, "/d", folder.path(), RestoreOptions::default());
    let whole = look(folder.path());
    let left = folder.path().join("sub/.sb-restore-0123456789abcdef");
    let in_use = folder.path().join(".sb-restore-fedcba9876543210");
    let users = folder.path().join(".sb-restore-of-mine");
    for path in [&left, &in_use, &users] {
        fs::write(path, "half").unwrap();
    }
    fs::remove_file(folder.path().join("link")).unwrap();
    let lock = fs::File::open(&in_use).unwrap();
    lock.try_lock().unwrap();
    let inode = folder.path().join("a").metadata().unwrap().ino();
    let again = RestoreOptions::default().with_overwrite(Overwrite::IfChanged);
    let report = restore(&vault, "/d", folder.path(), again);
    assert_eq!((report.files, report.others, report.unchanged), (0, 1, 3), "{:?}", report.problems);
    assert!(!left.exists() && in_use.exists() && users.exists());
    fs::remove_file(in_use).unwrap();
    fs::remove_file(users).unwrap();
    assert_eq!(look(folder.path()), whole);
    assert_eq!(folder.path().join("z").metadata().unwrap().ino(), inode, "links that are links stay so");
}

#[test]
fn what_the_snapshot_does_not_have_goes_if_that_is_asked_for() {
    let mut source = plain();
    source.directory("/d/only part of it");
    let vault = backed_up(35, &source);
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("into");
    restore(&vault, "/d", &into, RestoreOptions::default());
    let outside = folder.path().join("outside");
    let spared = into.join("sub/vault");
    for path in [&outside, &spared, &into.join("extra/deep")] {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("file"), "x").unwrap();
    }
    fs::write(into.join("extra/deep/keep.me"), "x").unwrap();
    fs::write(into.join("keep.me"), "x").unwrap();
    fs::write(into.join("sub/extra"), "x").unwrap();
    symlink(&outside, into.join("way out")).unwrap();
    let options = || {
        let filter = Filter::new([""; 0], ["*.me"]).unwrap();
        RestoreOptions::default().with_delete(true).with_filter(filter).with_spared(vec![spared.clone()])
    };
    let before = look(folder.path());
    let ear = Ear::default();
    let dry = restore_as(&vault, "/d", &into, options().with_dry_run(true), &ear).unwrap();
    assert_eq!(look(folder.path()), before, "nothing was written");
    assert_eq!((dry.files, dry.overwritten, dry.deleted), (2, 3, 3));
    let gone = ["/extra/deep/file", "/sub/extra", "/way out"];
    let sorted = |mut paths: Vec<String>| {
        paths.sort();
        paths
    };
    assert_eq!(sorted(ear.heard(Deed::Deleted)), gone);
    let ear = Ear::default();
    let report = restore_as(&vault, "/d", &into, options(), &ear).unwrap();
    assert_eq!(
        (report.deleted, sorted(ear.heard(Deed::Deleted)).iter().map(String::as_str).collect()),
        (3, gone.to_vec())
    );
    let left = names(&into);
    let kept = ["a", "extra", "extra/deep", "extra/deep/keep.me", "keep.me", "link", "only part of it", "sub"];
    assert_eq!(left[..8], kept);
    assert_eq!(left[8..], ["sub/b", "sub/vault", "sub/vault/file"]);
    assert!(outside.join("file").exists(), "a link is not followed");
}

#[test]
fn folders_above_the_sources_lose_nothing() {
    let mut source = MemorySource::new(&["/home/ann", "/srv/x"]);
    source.file("/home/ann/a", b"a").file("/srv/x/b", b"b");
    let vault = backed_up(36, &source);
    let folder = tempfile::tempdir().unwrap();
    restore(&vault, "/", folder.path(), RestoreOptions::default());
    for path in ["home/bob", "home/ann/extra", "etc"] {
        fs::create_dir_all(folder.path().join(path)).unwrap();
    }
    let report = restore(&vault, "/", folder.path(), RestoreOptions::default().with_delete(true));
    assert_eq!(report.deleted, 1);
    let left = ["etc", "home", "home/ann", "home/ann/a", "home/bob", "srv", "srv/x", "srv/x/b"];
    assert_eq!(names(folder.path()), left);
    let one = RestoreOptions::default().with_delete(true).with_filter(Filter::new(["a"], [""; 0]).unwrap());
    fs::write(folder.path().join("home/ann/other"), "").unwrap();
    assert_eq!(restore(&vault, "/", folder.path(), one).deleted, 0, "folders restored in part lose nothing");
}

#[test]
fn patterns_choose_what_is_restored() {
    let mut source = MemorySource::new(&["/d"]);
    for path in ["/d/2024/a.pdf", "/d/2024/a.tmp", "/d/2025/b.pdf", "/d/2025/deep/c.txt", "/d/x"] {
        source.file(path, path.as_bytes());
    }
    source.edit("/d/2025", |metadata| metadata.mode = 0o750);
    let vault = backed_up(37, &source);
    let chosen = |includes: &[&str], excludes: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let filter = Filter::new(includes.iter().copied(), excludes.iter().copied()).unwrap();
        let report = restore(&vault, "/d", folder.path(), RestoreOptions::default().with_filter(filter));
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        if let Ok(stat) = folder.path().join("2025").metadata() {
            assert_eq!(stat.mode() & 0o7777, 0o750, "parents come with their metadata");
        }
        names(folder.path())
    };
    assert_eq!(chosen(&["*.pdf"], &[]), ["2024", "2024/a.pdf", "2025", "2025/b.pdf"]);
    assert_eq!(chosen(&["/2025"], &["*.pdf"]), ["2025", "2025/deep", "2025/deep/c.txt"]);
    assert_eq!(chosen(&[], &["2025/", "*.tmp"]), ["2024", "2024/a.pdf", "x"]);
    assert_eq!(chosen(&["none"], &[]), [""; 0]);
}

#[test]
fn full_paths_are_made_with_the_folders_above() {
    let mut source = firm();
    source.edit("/firm/acme", |metadata| metadata.mode = 0o710);
    source.edit("/firm", |metadata| metadata.mode = 0o701);
    let vault = backed_up(38, &source);
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &str| folder.path().join(path).metadata().unwrap().mode() & 0o7777;
    let options = || RestoreOptions::default().with_full_paths(true).with_overwrite(Overwrite::Never);
    restore(&vault, "/firm/acme/2025.txt", folder.path(), options());
    assert_eq!(names(folder.path()), ["firm", "firm/acme", "firm/acme/2025.txt"]);
    assert_eq!((mode("firm"), mode("firm/acme")), (0o701, 0o710));
    fs::set_permissions(folder.path().join("firm"), fs::Permissions::from_mode(0o755)).unwrap();
    let report = restore(&vault, "/firm/acme/2025", folder.path(), options());
    assert_eq!((report.files, mode("firm")), (2, 0o755), "folders above that are there stay as they are");
    assert!(folder.path().join("firm/acme/2025/scan.pdf").exists());
    for threads in [1, 4] {
        fs::remove_dir_all(folder.path().join("firm")).unwrap();
        let report = restore(&vault, "/", folder.path(), options().with_threads(threads));
        assert_eq!((report.files, report.folders, report.others), (7, 4, 3), "all of it is below its root");
        assert_eq!((mode("firm"), mode("firm/acme")), (0o701, 0o710));
    }
    let absent = RestoreOptions::default().with_dry_run(true).with_absent_target(true);
    let report = restore(&vault, "/firm", folder.path(), absent);
    assert_eq!((report.files, report.folders, report.others, report.overwritten), (7, 3, 3, 0));
}

/// Puts something in the way as soon as a folder is made.
#[derive(Debug)]
struct Planter(PathBuf);

impl Monitor for Planter {
    fn restored(&self, deed: Deed, path: &[u8]) {
        if deed == Deed::Made && path == b"/sub" {
            fs::write(&self.0, "planted").unwrap();
        }
    }
}

/// Asks to stop when it hears of the first bytes.
#[derive(Debug)]
struct Impatient<'a>(&'a AtomicBool, AtomicU64);

impl Monitor for Impatient<'_> {
    fn count(&self, counter: Counter, n: u64) {
        if counter == Counter::Bytes && n > 0 {
            self.1.fetch_add(n, Ordering::Relaxed);
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_file_of_which_all_parts_are_the_same_can_be_stopped_in_the_middle() {
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/zeros", &vec![0; 80 << 20]);
    let vault = backed_up(60, &source);
    let (folder, stop) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
    let impatient = Impatient(&stop, AtomicU64::new(0));
    let (reader, snapshot) = (vault.reader(Progress::none()).unwrap(), vault.find_snapshot("latest").unwrap());
    let target = Target::create(folder.path()).unwrap();
    let progress = Progress { monitor: &impatient, stop: &stop };
    let stopped = reader.restore(&snapshot, b"/d", &target, RestoreOptions::default(), progress);
    assert!(matches!(stopped, Err(RepoError::Interrupted)), "{stopped:?}");
    assert!(impatient.1.into_inner() < 80 << 20);
}

#[test]
fn a_name_that_was_free_and_is_taken_meanwhile_stays_taken() {
    let vault = backed_up(39, &plain());
    for threads in [1, 4] {
        let folder = tempfile::tempdir().unwrap();
        let planter = Planter(folder.path().join("sub/b"));
        let options = RestoreOptions::default().with_threads(threads);
        let report = restore_as(&vault, "/d", folder.path(), options, &planter).unwrap();
        let taken = |problem: &RestoreProblem| matches!(problem, RestoreProblem::NotWritten(TargetError::NameTaken { path }) if path.as_bytes() == b"/sub/b");
        assert!(report.problems.len() == 1 && taken(&report.problems[0]), "{:?}", report.problems);
        assert_eq!((report.files, fs::read(folder.path().join("sub/b")).unwrap()), (1, b"planted".to_vec()));
        assert_eq!(names(folder.path()), ["a", "link", "sub", "sub/b"], "nothing unfinished is left");
    }
}

#[test]
fn spared_folders_are_not_gone_into() {
    let vault = backed_up(40, &plain());
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    let options = RestoreOptions::default().with_spared(vec![folder.path().join("sub")]);
    let report = restore(&vault, "/d", folder.path(), options);
    assert!(matches!(&report.problems[..], [RestoreProblem::NotWritten(TargetError::Spared { .. })]));
    assert_eq!(names(folder.path()), ["a", "link", "sub"]);
}

#[test]
fn deep_trees_come_back_with_few_handles() {
    let mut source = MemorySource::new(&["/d"]);
    let mut path = "/d".to_owned();
    for _ in 0..1_500 {
        path.push_str("/n");
    }
    source.file(format!("{path}/file").as_str(), b"at the bottom");
    let vault = backed_up(41, &source);
    for threads in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let options = RestoreOptions::default().with_threads(threads);
        let report = restore(&vault, "/d", folder.path(), options);
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        let again = RestoreOptions::default().with_threads(threads).with_overwrite(Overwrite::IfChanged);
        let again = restore(&vault, "/d", folder.path(), again);
        assert_eq!((report.files, report.folders, again.unchanged), (1, 1_500, 1));
    }
}

/// A tree of several windows: documents, and far from them the same documents filed again, one of them with a new beginning.
fn filed_twice() -> MemorySource {
    let mut source = MemorySource::new(&["/firm"]);
    let document = |number: u64| noise(5_000 + number, 40_000);
    for number in 0..300 {
        source.file(format!("/firm/a/{number}"), &document(number));
        source.file(format!("/firm/z/{number}"), &document(number * 7 % 300));
    }
    for number in 0..14_000 {
        source.file(format!("/firm/m/{}/{number}", number % 9), format!("letter {number}").as_bytes());
    }
    source.file("/firm/z/new", &[noise(1, 20_000), document(11)].concat());
    source
}

#[test]
fn what_is_filed_twice_is_read_once() {
    let (source, machine, storage) = (filed_twice(), Machine::new(61), Arc::new(MemoryStorage::new()));
    let (mut vault, _) = new_vault(&machine, storage.clone());
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let stored: u64 = storage.list("packs").unwrap().iter().map(|listed| listed.size).sum();
    let watched = Faulty::new(&storage, |_, _| false);
    let vault = machine.open(watched.clone(), &key()).unwrap();
    for threads in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        watched.bytes_read.lock().unwrap().clear();
        let report = restore(&vault, "/firm", folder.path(), RestoreOptions::default().with_threads(threads));
        assert!(!report.is_damaged() && report.files == 14_601, "{report:?}");
        let read = watched.bytes_read.lock().unwrap()["packs"];
        assert!(read < stored * 5 / 4, "{read} bytes were read of {stored}");
        for number in [0, 11, 299] {
            let copy = fs::read(folder.path().join(format!("z/{number}"))).unwrap();
            assert!(copy == noise(5_000 + number * 7 % 300, 40_000), "{number}");
        }
        let new = fs::read(folder.path().join("z/new")).unwrap();
        assert!(new == [noise(1, 20_000), noise(5_011, 40_000)].concat());
    }
}

/// Changes what has been restored as soon as that is told.
#[derive(Debug)]
struct Vandal(PathBuf);

impl Monitor for Vandal {
    fn restored(&self, _: Deed, path: &[u8]) {
        let path = std::str::from_utf8(path).unwrap();
        if let Some(name) = path.strip_prefix("/a/") {
            let file = self.0.join("a").join(name);
            match name.parse::<u32>().unwrap() % 3 {
                0 => fs::remove_file(file).unwrap(),
                1 => fs::write(file, vec![7; 40_000]).unwrap(),
                _ => {}
            }
        }
    }
}

#[test]
fn a_copy_of_what_somebody_has_changed_meanwhile_is_right_all_the_same() {
    let vault = backed_up(62, &filed_twice());
    let folder = tempfile::tempdir().unwrap();
    let vandal = Vandal(folder.path().to_owned());
    let report = restore_as(&vault, "/firm", folder.path(), RestoreOptions::default(), &vandal).unwrap();
    assert!(!report.is_damaged() && report.files == 14_601, "{report:?}");
    for number in 0..300 {
        let copy = fs::read(folder.path().join(format!("z/{number}"))).unwrap();
        assert!(copy == noise(5_000 + number * 7 % 300, 40_000), "{number}");
    }
}
