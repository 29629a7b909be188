//! Certificates in the vault: which count, what is said of others, and what they say of when something was read.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use common::faulty::{Act, Faulty};
use common::meddler::{begin, good, source};
use common::{Machine, key, options};
use sb_audit::Predicate;
use sb_repo::testing::forge_certificate;
use sb_repo::{
    BackupOptions, BackupReport, CertificateTerms, Clock, Due, Flaw, Progress, State, Vault, VerifyLevel, View,
};
use sb_store::{MemoryStorage, Storage};

fn certifying() -> BackupOptions {
    let mut options = options();
    options.certificate = Some(CertificateTerms::new(vec!["nothing else".to_owned()]));
    options
}

fn certified(vault: &mut Vault) -> BackupReport {
    vault.backup(&source(), &certifying(), Progress::none()).unwrap()
}

fn names(storage: &MemoryStorage, folder: &str) -> Vec<String> {
    storage.list(folder).unwrap().into_iter().map(|listed| listed.name).collect()
}

#[test]
fn a_run_whose_certificate_does_not_read_back_begins_again_and_leaves_nothing() {
    let (storage, machine, _) = begin(700);
    let (inner, is_done) = (storage.clone(), AtomicBool::new(false));
    let rotting = Faulty::new(&storage, move |act, name| {
        if act == Act::Read && name.starts_with("certificates/") && !is_done.swap(true, Ordering::SeqCst) {
            let mut bytes = inner.objects()[name].clone();
            bytes[100] ^= 1;
            inner.put_raw(name, bytes);
        }
        false
    });
    let mut vault = machine.open(rotting, &key()).unwrap();
    let report = certified(&mut vault);
    assert_eq!(vault.snapshots().unwrap().snapshots.len(), 1, "the one that was certified");
    let object = report.certificate.unwrap().object;
    assert_eq!(names(&storage, "certificates"), [format!("certificates/{object}")]);
    good(&machine.open(storage, &key()).unwrap());
}

#[test]
fn no_other_machine_can_file_a_certificate_as_its_own() {
    let (storage, machine, mut vault) = begin(701);
    let object = certified(&mut vault).certificate.unwrap().object;
    let writer = vault.own_writer().unwrap().unwrap();
    let statement = vault.find_certificate(&object.to_string()).unwrap().statement;
    let mut thief = Machine::new(702).open(storage.clone(), &key()).unwrap();
    let mut copies: Vec<_> = (0..6).map(|_| forge_certificate(&mut thief, &statement).unwrap()).collect();
    copies.sort();
    let vault = machine.open(storage, &key()).unwrap();
    let all = vault.view().certificates();
    assert_eq!(all.certificates.iter().map(|one| (one.object, one.writer)).collect::<Vec<_>>(), [(object, writer)]);
    let report = vault.verify(VerifyLevel::Objects, Progress::none()).unwrap();
    let mut named: Vec<_> = report.findings.iter().map(|finding| finding.object.clone()).collect();
    named.sort();
    assert_eq!(named, copies);
}

#[test]
fn a_certificate_of_other_documents_than_the_snapshot_has_is_found_by_who_can_read_it() {
    let (storage, machine, mut vault) = begin(703);
    let object = certified(&mut vault).certificate.unwrap().object;
    let mut statement = vault.find_certificate(&object.to_string()).unwrap().statement;
    let Predicate::Backup(backup) = &mut statement.predicate else { panic!("of a backup") };
    backup.run.document_tree.as_mut().unwrap().root = sb_crypto::sha256(b"other documents");
    let forged = forge_certificate(&mut vault, &statement).unwrap();
    let vault = machine.open(storage, &key()).unwrap();
    for level in [VerifyLevel::Data, VerifyLevel::Restore] {
        let report = vault.verify(level, Progress::none()).unwrap();
        let named: Vec<_> = report.findings.iter().map(|finding| (finding.object.as_str(), &finding.flaw)).collect();
        assert_eq!(named, [(forged.as_str(), &Flaw::WrongDocumentRoot)]);
    }
}

#[test]
fn what_a_run_certified_while_the_vault_was_listed_is_not_missed() {
    let (storage, _, mut vault) = begin(704);
    certified(&mut vault);
    let certificate = names(&storage, "certificates").remove(0);
    let hidden = Arc::new(Mutex::new(None));
    let (inner, bytes, name) = (storage.clone(), hidden.clone(), certificate.clone());
    // The folder of certificates is listed before a run, the journals after it.
    let racing = Faulty::new(&storage, move |act, what| {
        let mut bytes = bytes.lock().unwrap();
        if act == Act::List && what.is_empty() {
            *bytes = inner.objects().get(&name).map(|bytes| bytes.to_vec());
            inner.remove_raw(&name);
        } else if let Some(bytes) = bytes.take() {
            inner.put_raw(&name, bytes);
        }
        false
    });
    let report = View::open(racing, &State::in_memory(), None).unwrap().verify(Progress::none()).unwrap();
    assert!(report.is_good(), "{report:?}");
    storage.remove_raw(&certificate);
    let report = View::open(storage, &State::in_memory(), None).unwrap().verify(Progress::none()).unwrap();
    assert_eq!(report.findings.iter().map(|finding| &finding.object).collect::<Vec<_>>(), [&certificate]);
}

#[test]
fn what_was_read_in_a_long_verification_was_read_when_it_began() {
    let (storage, machine, mut vault) = begin(705);
    certified(&mut vault);
    machine.clock.advance_hours(1000);
    let clock = machine.clock.clone();
    let slow = Faulty::new(&storage, move |act, name| {
        if act == Act::Read && name.starts_with("packs/") {
            clock.advance_hours(10);
        }
        false
    });
    let began = machine.clock.now();
    let vault = machine.open(slow, &key()).unwrap();
    assert!(vault.verify(VerifyLevel::Data, Progress::none()).unwrap().is_good());
    let due = Due { level: VerifyLevel::Data, before: began, until: None };
    let report = vault.verify_due(due, Progress::none()).unwrap();
    assert_eq!(report.due, 0);
    assert!(report.all_read_since.unwrap() < began + TimeDelta::hours(1), "{report:?}");
}
