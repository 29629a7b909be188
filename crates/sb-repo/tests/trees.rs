//! What trees hold: large and odd things whole, and what could not be read, with its cause.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use common::{Machine, Tree, assert_holds, expected, firm, key, new_vault, noise, options, stored};
use sb_repo::{
    Inline, Item, Progress, RepoError, RestoreOptions, RestoreProblem, RestoreReport, Silent, Snapshot, Vault,
    VerifyLevel,
};
use sb_source::{Cause, Fault, Kind, MemorySource, Target};
use sb_store::MemoryStorage;

fn begin(seed: u64) -> (Arc<MemoryStorage>, Vault) {
    let storage = Arc::new(MemoryStorage::new());
    let (vault, _) = new_vault(&Machine::new(seed), storage.clone());
    (storage, vault)
}

fn good(vault: &Vault) {
    let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
    assert!(report.is_good(), "{report:?}");
}

fn file_at(vault: &Vault, path: &[u8]) -> sb_repo::FileItem {
    let snapshot = vault.find_snapshot("latest").unwrap();
    match vault.reader(Progress::none()).unwrap().entry(&snapshot, path).unwrap().unwrap().item {
        Item::File(file) => *file,
        other => panic!("not a file: {other:?}"),
    }
}

#[test]
fn large_attributes_and_many_holes_stand_in_chunks_of_their_own() {
    let (_, mut vault) = begin(1);
    let mut source = MemorySource::new(&["/d"]);
    let extents: Vec<(u64, &[u8])> = (0..200).map(|n| (n * 4096 + 100, &b"an extent"[..])).collect();
    source.sparse_file("/d/sparse", 200 * 4096, &extents);
    source.directory("/d/folder");
    for path in ["/d/sparse", "/d/folder"] {
        source.edit(path, |metadata| metadata.xattrs = vec![(b"user.large".to_vec(), noise(1, 60_000))]);
    }
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let Inline::At(_) = file_at(&vault, b"/d/sparse").holes else { panic!("200 holes stand in the entry") };
    let mut tree = expected(&source);
    // What `stored` tells of holes is those in the entry itself.
    let holes = std::mem::take(&mut tree.get_mut(&b"/d/sparse"[..]).unwrap().3);
    assert_holds(&vault, "latest", &tree);
    good(&vault);
    let (folder, report) = restored(&vault, b"/d", RestoreOptions::default());
    // Not every file system has room for such attributes; the content is whole in any case.
    assert!(report.problems.iter().all(|problem| matches!(problem, RestoreProblem::Metadata(_))), "{report:?}");
    let bytes = fs::read(folder.path().join("sparse")).unwrap();
    assert_eq!(bytes, tree[&b"/d/sparse"[..]].2);
    assert_eq!(holes.len(), 201);
}

#[test]
fn attributes_too_large_for_the_format_are_a_problem_and_nothing_else_is_lost() {
    let (_, mut vault) = begin(2);
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", b"content").edit("/d/a", |metadata| {
        metadata.xattrs = (0..3).map(|n| (vec![b'a' + n], noise(1, 2 << 20))).collect();
    });
    let report = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_eq!(report.problems.iter().map(|problem| problem.cause).collect::<Vec<_>>(), [Cause::TooLarge]);
    source.edit("/d/a", |metadata| metadata.xattrs.clear());
    assert_holds(&vault, "latest", &expected(&source));
    good(&vault);
}

#[test]
fn a_folder_of_thousands_is_paged_and_an_entry_more_costs_little() {
    let (storage, mut vault) = begin(3);
    let mut source = MemorySource::new(&["/d"]);
    for number in 0..9000 {
        source.file(format!("/d/{number:05}.pdf"), format!("document {number}").as_bytes());
    }
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let size = |storage: &MemoryStorage| storage.objects().values().map(Vec::len).sum::<usize>();
    let (first, before) = (size(&storage), expected(&source));
    source.file("/d/04500 (copy).pdf", b"document 4500");
    let report = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_eq!(report.counts.new_chunks, 0);
    let cost = size(&storage) - first;
    assert!(cost < first / 2, "{cost} bytes after {first}");
    assert_holds(&vault, "latest~1", &before);
    assert_holds(&vault, "latest", &expected(&source));
    let snapshot = vault.find_snapshot("latest").unwrap();
    let reader = vault.reader(Progress::none()).unwrap();
    assert!(reader.entry(&snapshot, b"/d/08999.pdf").unwrap().is_some());
    for absent in [&b"/d/0"[..], b"/d/zzz", b"/d/00000.pdf/x", b"/e"] {
        assert!(matches!(reader.entry(&snapshot, absent), Err(RepoError::NoSuchPath { .. })));
    }
    assert_eq!(reader.measure(&snapshot, b"/d").unwrap().0, 9001);
}

#[test]
fn a_file_of_many_chunks_has_lists_and_every_increment_of_the_locator_counts() {
    let (storage, mut vault) = begin(4);
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/large", &noise(7, 3 << 20));
    for day in 0..5u64 {
        source.file(format!("/d/{day}"), &noise(100 + day, 20_000));
        vault.backup(&source, &options(), Progress::none()).unwrap();
    }
    assert_eq!(storage.objects().keys().filter(|name| name.starts_with("locator/")).count(), 5);
    assert!(file_at(&vault, b"/d/large").depth > 0);
    let vault = Machine::new(44).open(storage, &key()).unwrap();
    assert_holds(&vault, "latest", &expected(&source));
    good(&vault);
}

#[test]
fn what_cannot_be_read_is_a_problem_with_its_cause_and_the_rest_is_kept() {
    let (storage, mut vault) = begin(5);
    let mut source = firm();
    let faults: [(&[u8], Fault, Cause); 6] = [
        (b"/firm/1 denied", Fault::Denied, Cause::Denied),
        (b"/firm/2 denied folder", Fault::Denied, Cause::Denied),
        (b"/firm/3 vanishes", Fault::Vanishes, Cause::Vanished),
        (b"/firm/4 vanishes later", Fault::VanishesBeforeOpening, Cause::Vanished),
        (b"/firm/5 unreadable", Fault::FailsAfter(30_000), Cause::Unreadable),
        (b"/firm/6 \xff unreadable", Fault::FailsAfter(0), Cause::Unreadable),
    ];
    for (path, fault, _) in faults {
        if path.ends_with(b"folder") {
            source.directory(path).file([path, b"/unseen"].concat(), b"never seen");
        } else {
            source.file(path, &noise(1, 50_000));
        }
        source.fault(path, fault);
    }
    let report = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert!(report.is_partial());
    let vault = Machine::new(55).open(storage, &key()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    assert_eq!(snapshot.problem_count(), 6);
    let told = vault.reader(Progress::none()).unwrap().problems(&snapshot).unwrap();
    assert_eq!(told, report.problems);
    let told: Vec<_> = told.iter().map(|problem| (problem.path.as_bytes(), problem.cause)).collect();
    assert_eq!(told, faults.map(|(path, _, cause)| (path, cause)));
    let mut tree = expected(&firm());
    let mut kept = stored(&vault, &snapshot).unwrap();
    assert!(kept.remove(&b"/firm/2 denied folder"[..]).is_some(), "the folder itself was seen");
    let unchanged = |tree: &mut Tree| tree.remove(&b"/firm"[..]);
    unchanged(&mut tree);
    unchanged(&mut kept);
    assert_eq!(kept, tree);
    good(&vault);
}

#[test]
fn a_file_that_keeps_changing_is_kept_and_marked() {
    let (_, mut vault) = begin(6);
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", &noise(1, 30_000)).fault("/d/a", Fault::Changes).file("/d/b", b"still");
    let report = vault.backup(&source, &options(), Progress::none()).unwrap();
    let causes: Vec<_> = report.problems.iter().map(|problem| problem.cause).collect();
    assert_eq!((causes, report.problem_count), (vec![Cause::Changed], 1));
    assert!(file_at(&vault, b"/d/a").inconsistent && !file_at(&vault, b"/d/b").inconsistent);
    let (folder, report) = restored(&vault, b"/d", RestoreOptions::default());
    assert!(matches!(&report.problems[..], [RestoreProblem::Inconsistent { path }] if path == "/d/a"));
    assert_eq!(fs::read(folder.path().join("a")).unwrap(), noise(1, 30_000));
    good(&vault);
}

#[test]
fn more_problems_than_are_kept_are_counted() {
    let (_, mut vault) = begin(7);
    let mut source = MemorySource::new(&["/d"]);
    for number in 0..sb_repo::PROBLEMS_KEPT + 5 {
        let path = format!("/d/{number:05}");
        source.file(&path, b"x").fault(&path, Fault::Denied);
    }
    let report = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_eq!(report.problems.len(), sb_repo::PROBLEMS_KEPT);
    assert_eq!(report.problem_count, sb_repo::PROBLEMS_KEPT as u64 + 5);
    let snapshot = vault.find_snapshot("latest").unwrap();
    assert_eq!(vault.reader(Progress::none()).unwrap().problems(&snapshot).unwrap(), report.problems);
}

fn latest(vault: &Vault) -> Snapshot {
    vault.find_snapshot("latest").unwrap()
}

fn restored(vault: &Vault, path: &[u8], options: RestoreOptions) -> (tempfile::TempDir, RestoreReport) {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::create(folder.path()).unwrap();
    let reader = vault.reader(Progress::none()).unwrap();
    let report = reader.restore(&latest(vault), path, &target, options, Progress::none()).unwrap();
    (folder, report)
}

/// Contents and kinds below a folder, by path in it.
fn on_disk(folder: &Path, into: &mut BTreeMap<Vec<u8>, (char, Vec<u8>)>, prefix: &[u8]) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = [prefix, b"/", entry.file_name().as_encoded_bytes()].concat();
        let kind = entry.file_type().unwrap();
        let seen = if kind.is_file() {
            ('f', fs::read(entry.path()).unwrap())
        } else if kind.is_symlink() {
            ('l', fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes())
        } else if kind.is_dir() {
            on_disk(&entry.path(), into, &path);
            ('d', Vec::new())
        } else {
            (
                if kind.is_fifo() {
                    'p'
                } else if kind.is_socket() {
                    's'
                } else {
                    'c'
                },
                Vec::new(),
            )
        };
        into.insert(path, seen);
    }
}

#[test]
fn everything_is_restored_as_it_was() {
    let (_, mut vault) = begin(8);
    let mut source = firm();
    source.special("/firm/socket", Kind::Socket).special("/firm/disk", Kind::BlockDevice { major: 7, minor: 200 });
    source.edit("/firm", |metadata| metadata.mode = 0o711);
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let (folder, report) = restored(&vault, b"/", RestoreOptions::default());
    assert!(!report.is_damaged(), "{:?}", report.problems);
    assert_eq!((report.files, report.folders, report.others), (7, 4, 5));
    let mut found = BTreeMap::new();
    on_disk(folder.path(), &mut found, b"");
    let expected: BTreeMap<_, _> = expected(&source)
        .into_iter()
        .map(|(path, (kind, _, content, _))| {
            let seen = match kind {
                Kind::File => ('f', content),
                Kind::Directory => ('d', Vec::new()),
                Kind::Symlink { target } => ('l', target),
                Kind::Fifo => ('p', Vec::new()),
                Kind::Socket => ('s', Vec::new()),
                _ => ('c', Vec::new()),
            };
            (path, seen)
        })
        .collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let differing: Vec<_> = expected.iter().filter(|(path, seen)| found.get(*path) != Some(seen)).collect();
    assert!(differing.is_empty(), "{:?}", differing.iter().map(|(path, _)| path).collect::<Vec<_>>());
    let inode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().ino();
    assert_eq!(inode("firm/same.pdf"), inode("firm/acme/2025/scan.pdf"), "hard links stay links");
    let ledger = fs::metadata(folder.path().join("firm/acme/2025/ledger.csv")).unwrap();
    assert_eq!((ledger.mode() & 0o7777, ledger.uid()), (0o640, 1000));
}

#[test]
fn a_part_is_restored_under_its_own_name_or_into_the_target() {
    let (_, mut vault) = begin(9);
    let mut source = firm();
    source.edit("/firm/acme", |metadata| metadata.mode = 0o750);
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let (folder, report) = restored(&vault, b"/firm/acme/2025.txt", RestoreOptions::default());
    assert_eq!((report.files, report.folders), (1, 0));
    assert!(folder.path().join("2025.txt").is_file());
    let (folder, _) = restored(&vault, b"/firm/link", RestoreOptions::default());
    assert!(folder.path().join("link").is_symlink());
    let (folder, report) = restored(&vault, b"/firm/acme/", RestoreOptions::default().with_root_metadata(true));
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert!(folder.path().join("2025/ledger.csv").is_file());
    assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o750);
}

#[test]
fn damage_costs_a_restore_what_it_touches_and_a_stop_ends_it() {
    let (storage, mut vault) = begin(10);
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/lost", &noise(1, 30_000));
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let first: Vec<_> = storage.objects().into_keys().filter(|name| name.starts_with("packs/")).collect();
    source.file("/d/kept", &noise(2, 30_000));
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let content = first.iter().max_by_key(|name| storage.objects()[*name].len()).unwrap();
    let mut bytes = storage.objects()[content].clone();
    bytes[1000] ^= 1;
    storage.put_raw(content.as_str(), bytes);
    let vault = Machine::new(100).open(storage, &key()).unwrap();
    let (folder, report) = restored(&vault, b"/d", RestoreOptions::default());
    assert!(report.is_damaged());
    let lost: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    assert!(lost.len() == 1 && lost[0].starts_with("`/d/lost` is lost: "), "{lost:?}");
    assert!(!folder.path().join("lost").exists(), "nothing stands in its place");
    assert_eq!(fs::read(folder.path().join("kept")).unwrap(), noise(2, 30_000));
    let stop = AtomicBool::new(true);
    let stopped = Progress { monitor: &Silent, stop: &stop };
    let target = Target::create(folder.path()).unwrap();
    let reader = vault.reader(Progress::none()).unwrap();
    let outcome = reader.restore(&latest(&vault), b"/d", &target, RestoreOptions::default(), stopped);
    assert!(matches!(outcome, Err(RepoError::Interrupted)));
    assert!(matches!(vault.verify(VerifyLevel::Objects, stopped), Err(RepoError::Interrupted)));
    let nowhere = reader.restore(&latest(&vault), b"/e", &target, RestoreOptions::default(), Progress::none());
    assert!(matches!(nowhere, Err(RepoError::NoSuchPath { .. })));
}

#[test]
fn snapshots_are_found_by_what_people_type() {
    let (_, mut vault) = begin(11);
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(vault.backup(&firm(), &options(), Progress::none()).unwrap().snapshot);
    }
    let find = |name: &str| vault.find_snapshot(name).map(|snapshot| snapshot.id);
    assert_eq!(find("latest").unwrap(), ids[19]);
    assert_eq!(find("latest~19").unwrap(), ids[0]);
    for id in &ids {
        assert_eq!(find(&id.to_string()[..16]).unwrap(), *id);
    }
    for missing in ["", "latest~20", "latest~", "latest~x", "latestx", "zz"] {
        assert!(matches!(find(missing), Err(RepoError::NoSuchSnapshot { name }) if name == missing), "{missing}");
    }
    // Of twenty, two begin with the same of sixteen digits.
    let ambiguous = (0..16).filter(|digit| {
        let digit = format!("{digit:x}");
        matches!(find(&digit), Err(RepoError::AmbiguousSnapshot { .. }))
    });
    assert!(ambiguous.count() > 0);
}
