//! A vault's life: made, written, read, verified, rebuilt.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::Arc;

use common::{Machine, assert_holds, expected, firm, key, new_vault, options};
use sb_crypto::Credential;
use sb_repo::{Progress, RepoError, Vault, VerifyLevel, View};
use sb_store::{MemoryStorage, Storage};

fn assert_good(vault: &Vault) {
    let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
    assert!(report.is_good() && report.unfinished.is_empty(), "{report:?}");
}

#[test]
fn what_is_backed_up_is_there_again() {
    let (storage, machine, source) = (Arc::new(MemoryStorage::new()), Machine::new(1), firm());
    let (mut vault, _) = new_vault(&machine, storage.clone());
    let report = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert!(!report.is_partial());
    assert_eq!((report.counts.files, report.counts.folders, report.counts.others), (7, 4, 3));
    let vault = machine.open(storage, &key()).unwrap();
    assert_holds(&vault, &report.snapshot.to_string(), &expected(&source));
    assert_good(&vault);
    let snapshot = vault.find_snapshot("latest").unwrap();
    assert_eq!((snapshot.host(), snapshot.documents()), (&b"office"[..], 7));
}

#[test]
fn unchanged_content_is_not_stored_again() {
    let (storage, machine, mut source) = (Arc::new(MemoryStorage::new()), Machine::new(2), firm());
    let (mut vault, _) = new_vault(&machine, storage.clone());
    let first = vault.backup(&source, &options(), Progress::none()).unwrap();
    let second = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_eq!((second.counts.new_chunks, second.counts.stored_bytes), (0, 0));
    let before = expected(&source);
    source.file("/firm/acme/2025/new.txt", b"one more");
    source.file("/firm/acme/2025/ledger.csv", b"rewritten");
    let third = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_eq!(third.counts.new_chunks, 2);
    let (a, b) = (vault.find_snapshot("latest~2").unwrap(), vault.find_snapshot("latest~1").unwrap());
    assert_eq!(a.document_root(), b.document_root(), "salts are kept while documents are unchanged");
    assert_eq!(b.base(), Some(a.id));
    assert_holds(&vault, &first.snapshot.to_string(), &before);
    assert_holds(&vault, &second.snapshot.to_string(), &before);
    assert_holds(&vault, "latest", &expected(&source));
    assert_good(&vault);
}

#[test]
fn the_recovery_key_alone_restores_and_enrols_a_new_machine() {
    let (storage, machine, source) = (Arc::new(MemoryStorage::new()), Machine::new(3), firm());
    let (mut vault, recovery) = new_vault(&machine, storage.clone());
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let other = Machine::new(33);
    let credential = Credential::Recovery(recovery);
    let mut vault = Vault::open(other.around(storage.clone()), &credential, None).unwrap();
    assert_holds(&vault, "latest", &expected(&source));
    let report = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_eq!(report.counts.new_chunks, 0);
    let journals = storage.list("journal").unwrap();
    let writers: std::collections::BTreeSet<_> =
        journals.iter().map(|entry| entry.name.rsplit_once('/').unwrap().0).collect();
    assert_eq!(writers.len(), 2, "{journals:?}");
    assert_good(&vault);
    assert_good(&machine.open(storage, &key()).unwrap());
}

#[test]
fn the_locator_is_rebuilt_from_the_packs() {
    let (storage, machine, source) = (Arc::new(MemoryStorage::new()), Machine::new(4), firm());
    let (mut vault, _) = new_vault(&machine, storage.clone());
    vault.backup(&source, &options(), Progress::none()).unwrap();
    for listed in storage.list("locator").unwrap() {
        storage.remove_raw(&listed.name);
    }
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    assert_holds(&vault, "latest", &expected(&source));
    assert_eq!(vault.verify(VerifyLevel::Objects, Progress::none()).unwrap().findings.len(), 1);
    let report = vault.rebuild(false, Progress::none()).unwrap();
    assert_eq!((report.packs, report.replaced, report.enrolled), (2, 1, false));
    assert!(report.chunks > 0 && report.lost.is_empty());
    assert_good(&vault);
    let again = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_eq!(again.counts.new_chunks, 0);
}

#[test]
fn a_rolled_back_vault_is_noticed_by_who_remembers() {
    let (storage, machine, source) = (Arc::new(MemoryStorage::new()), Machine::new(5), firm());
    let (mut vault, _) = new_vault(&machine, storage.clone());
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let yesterday = storage.snapshot();
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let storage: Arc<MemoryStorage> = Arc::new(yesterday);
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    assert_holds(&vault, "latest", &expected(&source));
    assert!(!vault.verify(VerifyLevel::Objects, Progress::none()).unwrap().is_good());
    let refused = vault.backup(&source, &options(), Progress::none());
    assert!(matches!(refused, Err(RepoError::RolledBack { sequence: 2, .. })), "{refused:?}");
    assert!(matches!(vault.rebuild(false, Progress::none()), Err(RepoError::RolledBack { .. })));
    assert!(vault.rebuild(true, Progress::none()).unwrap().accepted);
    vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_good(&vault);
    let stranger = Machine::new(55).open(storage, &key()).unwrap();
    assert_good(&stranger);
}

#[test]
fn anybody_can_verify_the_objects() {
    let (storage, machine, source) = (Arc::new(MemoryStorage::new()), Machine::new(6), firm());
    let (mut vault, _) = new_vault(&machine, storage.clone());
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let nobody = Machine::new(66);
    let view = View::open(storage, &nobody.state, None).unwrap();
    let report = view.verify(Progress::none()).unwrap();
    assert!(report.is_good() && report.objects > 10, "{report:?}");
    assert_eq!(view.root_fingerprint(), vault.view().root_fingerprint());
}

#[test]
fn the_next_backup_locates_what_no_increment_covers() {
    let (storage, machine, source) = (Arc::new(MemoryStorage::new()), Machine::new(7), firm());
    let (mut vault, _) = new_vault(&machine, storage.clone());
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let increments = |storage: &MemoryStorage| storage.list("locator").unwrap();
    for listed in increments(&storage) {
        storage.remove_raw(&listed.name);
    }
    let report = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_eq!((report.counts.new_chunks, increments(&storage).len()), (0, 1));
    vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_eq!(increments(&storage).len(), 1, "once is enough");
}
