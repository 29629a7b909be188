//! What a loss costs, what is said of it, and what can be made good.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::Arc;

use common::faulty::{Act, Faulty};
use common::small::*;
use common::{Machine, key, new_vault, noise, options};
use sb_crypto::sha256;
use sb_repo::testing::rewrite;
use sb_repo::{Flaw, Inline, Item, Progress, RepoError, RestoreOptions, State, VerifyLevel, View};
use sb_source::MemorySource;
use sb_store::{MemoryStorage, Storage};

#[test]
fn a_document_that_is_not_what_it_was_is_found() {
    let falsify = |change: fn(&mut sb_repo::FileItem)| {
        let small = small();
        let mut vault = stranger(&small.storage).unwrap();
        let latest = vault.find_snapshot("latest").unwrap();
        rewrite(&mut vault, &latest, b"/d", b"new", &mut |_, entry| {
            let Item::File(file) = &mut entry.item else { panic!("not a file") };
            change(file);
        })
        .unwrap();
        let snapshot = format!("snapshots/{}", latest.id);
        let report = |level| vault.verify(level, Progress::none()).unwrap();
        assert!(report(VerifyLevel::Objects).is_good(), "every object is as it was written");
        (snapshot, report(VerifyLevel::Data), report(VerifyLevel::Restore))
    };
    let (snapshot, data, restore) = falsify(|file| file.salt = [0; 16]);
    for report in [data, restore] {
        assert_eq!(named(&report), [&snapshot]);
        assert_eq!(report.findings[0].flaw, Flaw::WrongDocumentRoot);
    }
    let (snapshot, data, restore) = falsify(|file| file.sha256 = sha256(b"another content"));
    assert_eq!(data.findings[0].flaw, Flaw::WrongDocumentRoot);
    assert_eq!(named(&restore), [&snapshot]);
    let paths: Vec<_> = restore.findings[0].documents.iter().map(|document| document.path.as_slice()).collect();
    assert_eq!(paths, [b"/d/new"]);
    assert_ne!(restore.findings[0].flaw, Flaw::Missing, "the object is there, the document is not right");
}

#[test]
fn a_rebuilt_locator_forgets_nothing_that_the_old_one_knew() {
    let small = small();
    for (name, bytes) in small.objects().into_iter().filter(|(name, _)| name.starts_with("packs/")) {
        // The pointer leads to the footer; without it only the locator knows what is where.
        let storage = small.with(&name, Some(flipped(&bytes, bytes.len() - TRAILER - 1)));
        let machine = Machine { state: State::in_memory(), ..small.machine.clone() };
        let mut vault = machine.open(Arc::new(storage.clone()), &key()).unwrap();
        assert!(small.lost(&vault, &name).is_empty(), "{name}");
        for _ in 0..2 {
            let report = vault.rebuild(false, Progress::none()).unwrap();
            assert!(report.lost.is_empty(), "{report:?}");
            assert_eq!(report.kept.iter().map(|(kept, _)| kept).collect::<Vec<_>>(), [&name]);
            assert!(small.lost(&stranger(&storage).unwrap(), &name).is_empty(), "{name}");
        }
        // Where the old locator is gone too, it says so.
        for listed in storage.list("locator").unwrap() {
            storage.remove_raw(&listed.name);
        }
        let mut vault = machine.open(Arc::new(storage.clone()), &key()).unwrap();
        let report = vault.rebuild(false, Progress::none()).unwrap();
        assert_eq!(report.lost.iter().map(|(lost, _)| lost).collect::<Vec<_>>(), [&name]);
    }
}

#[test]
fn increments_that_a_rebuild_could_not_delete_are_deleted_by_the_next() {
    let small = small();
    let storage = Arc::new(small.storage.snapshot());
    let old = storage.list("locator").unwrap();
    let keeps = Faulty::new(&storage, |act, name| act == Act::Remove && name.starts_with("locator/"));
    let machine = Machine { state: State::in_memory(), ..small.machine.clone() };
    machine.open(keeps, &key()).unwrap().rebuild(false, Progress::none()).unwrap();
    let report = stranger(&storage).unwrap().verify(VerifyLevel::Objects, Progress::none()).unwrap();
    assert_eq!(report.findings.len(), old.len(), "{report:?}");
    machine.open(storage.clone(), &key()).unwrap().rebuild(false, Progress::none()).unwrap();
    let report = stranger(&storage).unwrap().verify(VerifyLevel::Restore, Progress::none()).unwrap();
    assert!(report.is_good(), "{report:?}");
}

#[test]
fn a_snapshot_that_is_gone_is_missed_by_whoever_lists_them() {
    let small = small();
    let newest = stranger(&small.storage).unwrap().find_snapshot("latest").unwrap().id;
    let name = format!("snapshots/{newest}");
    let vault = stranger(&small.with(&name, None)).unwrap();
    let snapshots = vault.snapshots().unwrap();
    assert_eq!((snapshots.snapshots.len(), snapshots.flawed), (1, vec![(name, Flaw::Missing)]));
}

#[test]
fn a_document_lost_in_several_snapshots_is_named_once_in_the_newest() {
    let (storage, machine) = (MemoryStorage::new(), Machine::new(24));
    let (mut vault, _) = new_vault(&machine, Arc::new(storage.clone()));
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", &noise(1, 5000));
    for day in 0..3 {
        source.file("/d/day", format!("{day}").as_bytes());
        vault.backup(&source, &options(), Progress::none()).unwrap();
    }
    let pack = storage.list("packs").unwrap().into_iter().max_by_key(|listed| listed.size).unwrap().name;
    storage.remove_raw(&pack);
    let vault = stranger(&storage).unwrap();
    let newest = vault.find_snapshot("latest").unwrap().id;
    let oldest = vault.find_snapshot("latest~2").unwrap().id;
    for level in [VerifyLevel::Objects, VerifyLevel::Data, VerifyLevel::Restore] {
        let report = vault.verify(level, Progress::none()).unwrap();
        let mut lost = report.findings.into_iter().find(|finding| finding.object == pack).unwrap().documents;
        lost.sort_by(|a, b| a.path.cmp(&b.path));
        let lost: Vec<_> = lost.iter().map(|lost| (lost.snapshot, lost.path.as_slice(), lost.is_folder)).collect();
        assert_eq!(lost, [(newest, &b"/d/a"[..], false), (oldest, b"/d/day", false)], "{level:?}");
    }
}

#[test]
fn why_a_storage_does_not_give_something_is_said() {
    let small = small();
    let storage = Arc::new(small.storage.snapshot());
    let broken = Faulty::new(&storage, |act, name| act == Act::Read && name.starts_with("packs/"));
    let vault = Machine::new(97).open(broken, &key()).unwrap();
    let reader = vault.reader(Progress::none()).unwrap();
    let error = reader.entry(&vault.find_snapshot("latest").unwrap(), b"/d").unwrap_err().to_string();
    assert!(error.contains("cannot be read from `packs/") && error.contains("cannot reach"), "{error}");
}

#[test]
fn a_disk_that_has_lost_its_config_is_no_empty_disk() {
    let small = small();
    let storage = small.storage.snapshot();
    for name in ["config", "twin/config"] {
        storage.list(name).unwrap().iter().for_each(|listed| drop(storage.remove_raw(&listed.name)));
    }
    let lost = |opened: Result<(), RepoError>| {
        assert!(
            matches!(&opened, Err(RepoError::Damaged { name, flaw: Flaw::Missing }) if name == "config"),
            "{opened:?}"
        );
    };
    lost(stranger(&storage).map(drop));
    lost(View::open(Arc::new(storage.clone()), &State::in_memory(), None).map(drop));
    // Without the certificates no slot counts, which is no matter of the right credential.
    let storage = small.storage.snapshot();
    for name in ["users", "twin/users"] {
        storage.list(name).unwrap().iter().for_each(|listed| drop(storage.remove_raw(&listed.name)));
    }
    let opened = stranger(&storage);
    assert!(matches!(opened, Err(RepoError::Damaged { flaw: Flaw::UnknownSigner, .. })), "{opened:?}");
}

#[test]
fn lost_attributes_and_wrong_holes_cost_no_content() {
    let (storage, machine) = (MemoryStorage::new(), Machine::new(25));
    let (mut vault, _) = new_vault(&machine, Arc::new(storage.clone()));
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/one/a", b"content").file("/d/two/b", &noise(3, 9000));
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let latest = vault.find_snapshot("latest").unwrap();
    let nowhere = sb_repo::Reference { id: sb_repo::ChunkId::new([9; 32]), length: 5 };
    rewrite(&mut vault, &latest, b"/d/one", b"a", &mut |_, entry| entry.xattrs = Inline::At(nowhere)).unwrap();
    rewrite(&mut vault, &latest, b"/d", b"one", &mut |_, entry| entry.xattrs = Inline::At(nowhere)).unwrap();
    rewrite(&mut vault, &latest, b"/d/two", b"b", &mut |_, entry| {
        let Item::File(file) = &mut entry.item else { panic!("not a file") };
        file.holes = Inline::Here(vec![(100, 4000)]);
    })
    .unwrap();
    let vault = stranger(&storage).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = sb_source::Target::create(folder.path()).unwrap();
    let reader = vault.reader(Progress::none()).unwrap();
    let report = reader
        .restore(&vault.find_snapshot("latest").unwrap(), b"/d", &target, RestoreOptions::default(), Progress::none())
        .unwrap();
    let degraded: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    assert!(
        degraded.iter().any(|text| text.starts_with("`/d/one/a` is restored without its extended attributes")),
        "{degraded:?}"
    );
    assert!(report.is_damaged());
    assert_eq!(std::fs::read(folder.path().join("one/a")).unwrap(), b"content");
    assert_eq!(std::fs::read(folder.path().join("two/b")).unwrap(), noise(3, 9000));
    // What is there may be all that is left of them; everything else is put right.
    let kept = vec![(b"user.client".to_vec(), b"acme".to_vec())];
    let damaged = [("/one/a", sb_source::Kind::File), ("/one", sb_source::Kind::Directory)];
    let found = |path: &str| target.exists(&sb_source::EntryPath::new(path).unwrap()).unwrap().unwrap().metadata;
    let before = damaged.each_ref().map(|(path, kind)| {
        let there = found(path);
        let changed = sb_source::Metadata { xattrs: kept.clone(), mode: there.mode ^ 0o011, ..there.clone() };
        target.apply_metadata(&sb_source::EntryPath::new(*path).unwrap(), kind, &changed).unwrap();
        there.mode
    });
    let if_changed = RestoreOptions::default().with_overwrite(sb_repo::Overwrite::IfChanged);
    let report =
        reader.restore(&vault.find_snapshot("latest").unwrap(), b"/d", &target, if_changed, Progress::none()).unwrap();
    assert!(report.is_damaged());
    for ((path, _), mode) in damaged.iter().zip(before) {
        let now = found(path);
        assert_eq!((now.mode, &now.xattrs), (mode, &kept), "{path}");
    }
}

#[test]
fn a_content_that_another_shares_its_hash_and_beginning_with_is_rebuilt_too() {
    let (storage, machine) = (MemoryStorage::new(), Machine::new(26));
    let (mut vault, _) = new_vault(&machine, Arc::new(storage.clone()));
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/one/a", &noise(5, 200_000)).file("/d/two/a", &noise(5, 200_000));
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let latest = vault.find_snapshot("latest").unwrap();
    rewrite(&mut vault, &latest, b"/d/two", b"a", &mut |_, entry| {
        let Item::File(file) = &mut entry.item else { panic!("not a file") };
        assert!(file.parts.len() > 3);
        file.parts.swap(1, 2);
    })
    .unwrap();
    let report = stranger(&storage).unwrap().verify(VerifyLevel::Restore, Progress::none()).unwrap();
    let lost: Vec<_> = report.findings.iter().flat_map(|finding| &finding.documents).collect();
    assert!(matches!(&lost[..], [lost] if lost.path == b"/d/two/a"), "{report:?}");
}
