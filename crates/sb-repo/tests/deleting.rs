//! What restores replace and remove, and what they must leave alone.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use common::place::{Ear, backed_up, names, restore, restore_as};
use common::{Machine, new_vault, options};
use sb_repo::{Deed, Overwrite, Progress, RestoreOptions, RestoreProblem};
use sb_source::{EntryPath, Fault, Filter, Kind, MemorySource, Metadata, Target, TargetError, Timestamp};
use sb_store::{MemoryStorage, ObjectName, Storage};

fn deleting() -> RestoreOptions {
    RestoreOptions::default().with_overwrite(Overwrite::IfChanged).with_delete(true)
}

fn plant(folder: &Path, files: &[&str]) {
    for file in files {
        fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        fs::write(folder.join(file), "x").unwrap();
    }
}

#[test]
fn what_the_backup_could_not_read_is_not_deleted() {
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", b"a").file("/d/closed/only", b"o").file("/d/file", b"f").file("/d/deep/x/gone", b"g");
    source.file("/d/deep/y", b"y").fault("/d/closed", Fault::Denied).fault("/d/file", Fault::Denied);
    source.fault("/d/deep/x/gone", Fault::Denied);
    let vault = backed_up(71, &source);
    assert_eq!(vault.find_snapshot("latest").unwrap().problem_count(), 3);
    let folder = tempfile::tempdir().unwrap();
    restore(&vault, "/d", folder.path(), RestoreOptions::default());
    let kept = ["closed/only", "closed/deep/too", "file", "deep/x/gone"];
    plant(folder.path(), &kept);
    plant(folder.path(), &["extra", "deep/extra", "deep/x/extra"]);
    let report = restore(&vault, "/d", folder.path(), deleting());
    assert_eq!(report.deleted, 3, "{:?}", report.problems);
    assert!(kept.iter().all(|file| folder.path().join(file).exists()), "{:?}", names(folder.path()));
    assert!(!folder.path().join("extra").exists());

    let whole = tempfile::tempdir().unwrap();
    plant(&whole.path().join("d"), &kept);
    plant(&whole.path().join("d"), &["extra"]);
    let report = restore(&vault, "/", whole.path(), deleting().with_full_paths(true));
    assert_eq!(report.deleted, 1, "the same from the root on");
    assert!(kept.iter().all(|file| whole.path().join("d").join(file).exists()));
}

#[test]
fn nothing_is_deleted_if_not_all_that_could_not_be_read_is_listed() {
    let gone: Vec<String> = (0..sb_repo::PROBLEMS_KEPT + 5).map(|number| format!("/d/gone/{number}")).collect();
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", b"a");
    for path in &gone {
        source.file(path.as_str(), b"").fault(path.as_str(), Fault::Denied);
    }
    let vault = backed_up(72, &source);
    let folder = tempfile::tempdir().unwrap();
    restore(&vault, "/d", folder.path(), RestoreOptions::default());
    plant(folder.path(), &["extra"]);
    let report = restore(&vault, "/d", folder.path(), deleting());
    assert!(matches!(&report.problems[..], [RestoreProblem::Unlisted { count: 5 }]), "{:?}", report.problems);
    assert!(!report.is_damaged() && folder.path().join("extra").exists());
    assert_eq!(report.deleted, 0);
}

#[test]
fn nothing_is_deleted_if_the_list_of_what_could_not_be_read_is_lost() {
    let machine = Machine::new(73);
    let storage = Arc::new(MemoryStorage::new());
    let (mut vault, _) = new_vault(&machine, storage.clone());
    let mut source = MemorySource::new(&["/d"]);
    let still = |source: &mut MemorySource| {
        source.edit("/d", |metadata| metadata.mtime = Timestamp { seconds: 1_000, nanoseconds: 0 });
    };
    source.file("/d/a", b"a");
    still(&mut source);
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let packs = listed(&storage);
    source.file("/d/closed", b"").fault("/d/closed", Fault::Denied);
    still(&mut source);
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path(), &["extra", "closed"]);
    // The same tree is in the packs of the first run, so the second has stored the list and nothing else.
    for name in listed(&storage).difference(&packs) {
        storage.remove(&ObjectName::new(name.as_str()).unwrap()).unwrap();
    }
    let report = restore(&vault, "/d", folder.path(), deleting());
    assert!(matches!(&report.problems[..], [RestoreProblem::ListLost { .. }]), "{:?}", report.problems);
    assert!(report.is_damaged() && report.files == 1 && report.deleted == 0);
    assert_eq!(names(folder.path()), ["a", "closed", "extra"]);
}

fn listed(storage: &MemoryStorage) -> BTreeSet<String> {
    storage.list("packs").unwrap().into_iter().map(|listed| listed.name).collect()
}

#[test]
fn what_an_include_takes_back_is_not_deleted() {
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/in/a", b"a").file("/d/out", b"o");
    let vault = backed_up(74, &source);
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path(), &["in/keep/x", "in/gone/keep/x", "in/gone/x", "in/y", "in/z.tmp", "extra"]);
    let filter = Filter::new(["in/", "!in/keep/", "!*.tmp"], [""; 0]).unwrap();
    let report = restore(&vault, "/d", folder.path(), deleting().with_filter(filter));
    assert_eq!((report.files, report.deleted), (1, 5), "{:?}", names(folder.path()));
    assert_eq!(names(folder.path()), ["extra", "in", "in/a", "in/keep", "in/keep/x", "in/z.tmp"]);
}

#[test]
fn everything_comes_back_under_its_full_path_from_the_root_on() {
    let mut source = MemorySource::new(&["/home/ann", "/srv/x"]);
    source.file("/home/ann/a", b"a").file("/srv/x/b", b"b");
    let vault = backed_up(75, &source);
    for path in ["/", ""] {
        let folder = tempfile::tempdir().unwrap();
        let full = || RestoreOptions::default().with_full_paths(true);
        let dry = restore(&vault, path, folder.path(), full().with_dry_run(true));
        assert_eq!((dry.files, dry.folders), (2, 4));
        let report = restore(&vault, path, folder.path(), full());
        assert_eq!((report.files, report.folders), (2, 4));
        let all = ["home", "home/ann", "home/ann/a", "srv", "srv/x", "srv/x/b"];
        assert_eq!(names(folder.path()), all);
        let again = restore(&vault, path, folder.path(), full().with_overwrite(Overwrite::Never));
        assert_eq!((again.files, again.folders, again.kept), (0, 0, 2));
    }
}

#[test]
fn attributes_that_differ_are_put_back_and_counted() {
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", b"a").file("/d/b", b"b").file("/d/c", b"c");
    for path in ["/d/a", "/d/b", "/d/c"] {
        source.edit(path, |metadata| metadata.xattrs = vec![(b"user.client".to_vec(), b"acme".to_vec())]);
    }
    let vault = backed_up(76, &source);
    let folder = tempfile::tempdir().unwrap();
    restore(&vault, "/d", folder.path(), RestoreOptions::default());
    let target = Target::create(folder.path()).unwrap();
    let path = |file: &str| EntryPath::new(format!("/{file}")).unwrap();
    let attributes = |file: &str| target.exists(&path(file)).unwrap().unwrap().metadata;
    let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let good = vec![pair("user.client", "acme")];
    for (file, xattrs) in [("a", vec![pair("user.client", "other")]), ("b", vec![good[0].clone(), pair("user.x", "")])]
    {
        let metadata = Metadata { xattrs, ..attributes(file) };
        target.apply_metadata(&path(file), &Kind::File, &metadata).unwrap();
    }
    for (adjusted, unchanged) in [(2, 1), (0, 3)] {
        let report = restore(&vault, "/d", folder.path(), deleting());
        assert_eq!((report.adjusted, report.unchanged, report.overwritten), (adjusted, unchanged, 0));
        assert!(["a", "b", "c"].iter().all(|file| attributes(file).xattrs == good));
    }
}

#[test]
fn what_is_in_the_way_of_a_folder_goes_if_the_policy_says_so() {
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/sub/deep/file", b"content").file("/d/x", b"x");
    source.edit("/d/sub", |metadata| metadata.mtime = Timestamp { seconds: 1_000, nanoseconds: 0 });
    let vault = backed_up(77, &source);
    for (policy, goes) in [
        (Overwrite::Always, true),
        (Overwrite::IfChanged, true),
        (Overwrite::IfNewer, false),
        (Overwrite::Never, false),
    ] {
        for link in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let (into, outside) = (folder.path().join("into"), folder.path().join("outside"));
            plant(&outside, &["deep/file"]);
            fs::create_dir(&into).unwrap();
            if link {
                symlink(&outside, into.join("sub")).unwrap();
            } else {
                fs::write(into.join("sub"), "in the way").unwrap();
            }
            for dry in [true, false] {
                let ear = Ear::default();
                let options = RestoreOptions::default().with_overwrite(policy).with_dry_run(dry).with_delete(true);
                let report = restore_as(&vault, "/d", &into, options, &ear).unwrap();
                assert_eq!(report.files, if goes { 2 } else { 1 }, "{policy:?} {link} {dry} {:?}", report.problems);
                assert_eq!((report.overwritten, report.problems.is_empty()), (u64::from(goes), goes));
                assert_eq!(ear.heard(Deed::Overwritten), if goes { vec!["/sub"] } else { vec![] });
                if !goes {
                    let RestoreProblem::NotWritten(error) = &report.problems[0] else { panic!("{report:?}") };
                    let is_named = match error {
                        TargetError::WouldEscape { path } if link || dry => path.as_bytes() == b"/sub",
                        TargetError::NotAFolder { path } => path.as_bytes() == b"/sub",
                        _ => false,
                    };
                    assert!(is_named, "{error}");
                }
            }
            assert_eq!(fs::read(outside.join("deep/file")).unwrap(), b"x", "a link is not followed");
            let all: &[&str] = if goes { &["sub", "sub/deep", "sub/deep/file", "x"] } else { &["sub", "x"] };
            assert_eq!(names(&into), all, "{policy:?} {link}");
        }
    }
}

#[test]
fn what_is_in_the_way_above_the_sources_stays() {
    let mut source = MemorySource::new(&["/srv/clients"]);
    source.file("/srv/clients/a", b"a");
    let vault = backed_up(78, &source);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("elsewhere")).unwrap();
    symlink("elsewhere", folder.path().join("srv")).unwrap();
    for path in ["/", "/srv/clients", "/srv/clients/a"] {
        let report = restore(&vault, path, folder.path(), RestoreOptions::default().with_full_paths(true));
        let problems = &report.problems[..];
        assert!(
            matches!(problems, [RestoreProblem::NotWritten(TargetError::WouldEscape { .. })]),
            "{path} {problems:?}"
        );
        assert_eq!(names(folder.path()), ["elsewhere", "srv"]);
    }
}
