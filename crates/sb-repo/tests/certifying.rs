//! Certificates: what a run has written is read back before anybody relies on it, and what is certified of it is true.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use common::faulty::Faulty;
use common::{Machine, event, firm, key, new_vault, options};
use sb_audit::{Backup, Predicate, RunResult, Written};
use sb_crypto::Lock;
use sb_repo::{
    BackupOptions, BackupReport, Certificate, CertificateTerms, CreateOptions, Due, FixedClock, Monitor, Progress,
    RepoError, Surroundings, Vault, VerifiedFacts, VerifyLevel, View, create,
};
use sb_source::{Fault, MemorySource};
use sb_store::{Listed, MemoryStorage, ObjectName, Storage};

fn certified() -> BackupOptions {
    let mut options = options();
    options.certificate = Some(CertificateTerms::new(vec!["Proves nothing but that the test ran.".to_owned()]));
    options
}

/// A new vault of a machine.
fn begin(seed: u64) -> (Arc<MemoryStorage>, Machine, Vault) {
    let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(seed));
    let (vault, _) = new_vault(&machine, storage.clone());
    (storage, machine, vault)
}

fn stranger(storage: &Arc<MemoryStorage>) -> View {
    View::open(storage.clone(), &sb_repo::State::in_memory(), None).unwrap()
}

fn certificate_of(view: &View, report: &BackupReport) -> Certificate {
    let object = report.certificate.unwrap().object;
    view.certificates().certificates.into_iter().find(|certificate| certificate.object == object).unwrap()
}

fn said(certificate: &Certificate) -> &Backup {
    match &certificate.statement.predicate {
        Predicate::Backup(backup) => backup,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_certificate_says_what_was_done_and_is_signed_by_the_machine() {
    let (storage, _, mut vault) = begin(700);
    vault.log(&[event(1)]).unwrap();
    let report = vault.backup(&firm(), &certified(), Progress::none()).unwrap();
    let view = stranger(&storage);
    assert!(view.verify(Progress::none()).unwrap().is_good());
    let certificate = certificate_of(&view, &report);
    let backup = said(&certificate);
    let snapshot = vault.find_snapshot("latest").unwrap();
    assert_eq!(certificate.statement.subjects[0].sha256.to_string(), snapshot.id.to_string());
    assert_eq!(backup.run.document_tree, Some(snapshot.document_tree()));
    assert_eq!((backup.run.result, backup.counts.problems), (RunResult::Passed, 0));
    assert_eq!(backup.written, report.read_back);
    assert_eq!((backup.referenced.objects, backup.run.log.head.size), (0, 1));
    assert!(backup.run.started <= backup.run.finished);
    // Everything the run has stored, and nothing else, was read back.
    let stored: Vec<Listed> = storage.list("").unwrap();
    let of_run = |listed: &&Listed| {
        ["packs/", "sessions/", "twin/sessions/", "locator/", "snapshots/"].iter().any(|f| listed.name.starts_with(f))
    };
    let bytes = stored.iter().filter(of_run).map(|listed| listed.size).sum();
    assert_eq!(backup.written, Written { objects: stored.iter().filter(of_run).count() as u64, bytes });
    // Whose signature it is, the chain tells who knows the root key.
    let (user, writer) = view.chain(certificate.writer).unwrap();
    let chain = sb_audit::KeyChain::verify(&view.root_key(), &user, &writer).unwrap();
    assert_eq!(certificate.signatures[0].key, *chain.log_key());
    let envelope = certificate.envelope();
    assert!(envelope.verify(sb_audit::STATEMENT_TYPE, &[*chain.log_key()], 1).is_ok());
}

#[test]
fn the_same_inputs_make_the_same_bytes() {
    let made = || {
        let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(701));
        let clock = Arc::new(FixedClock(chrono::DateTime::from_timestamp(1_767_225_600, 0).unwrap()));
        let around = Surroundings { clock, ..machine.around(storage.clone()) };
        let (mut vault, _) = create(around, &[Lock::KeyFile(key())], &CreateOptions::default()).unwrap();
        vault.log(&[event(1)]).unwrap();
        let report = vault.backup(&firm(), &certified(), Progress::none()).unwrap();
        certificate_of(&stranger(&storage), &report)
    };
    let certificate = made();
    assert_eq!(certificate.payload, made().payload);
    assert_eq!(certificate.signatures, made().signatures);
    let text = String::from_utf8(certificate.payload).unwrap();
    assert_eq!(text, include_str!("data/backup.statement.json").trim_end(), "the golden statement");
}

#[test]
fn what_could_not_be_read_makes_it_partial() {
    let (storage, _, mut vault) = begin(702);
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", b"read").file("/d/b", b"nobody's business").fault("/d/b", Fault::Denied);
    let report = vault.backup(&source, &certified(), Progress::none()).unwrap();
    let certificate = certificate_of(&stranger(&storage), &report);
    assert_eq!((said(&certificate).run.result, said(&certificate).counts.problems), (RunResult::Partial, 1));
    assert_eq!(report.certificate.unwrap().result, RunResult::Partial);
}

#[test]
fn what_was_there_before_is_told_apart_with_the_time_since_when_it_was_read() {
    let (storage, machine, mut vault) = begin(703);
    let mut source = firm();
    let first = vault.backup(&source, &certified(), Progress::none()).unwrap();
    source.file("/firm/new", b"new");
    let second = vault.backup(&source, &certified(), Progress::none()).unwrap();
    let view = stranger(&storage);
    let (first, second) = (certificate_of(&view, &first), certificate_of(&view, &second));
    let (first, second) = (said(&first), said(&second));
    assert!(second.referenced.objects > 0 && second.written.bytes < first.written.bytes);
    let read = second.referenced.read_in_full.unwrap();
    assert!(read >= first.run.started && read < second.run.started, "it was read back when it was written");
    // Who has read nothing of it says so, until he has.
    let other = Machine::new(704);
    machine.clock.advance_hours(1);
    let mut vault = other.open(storage.clone(), &key()).unwrap();
    let third = vault.backup(&source, &certified(), Progress::none()).unwrap();
    assert_eq!(said(&certificate_of(&stranger(&storage), &third)).referenced.read_in_full, None);
    vault.verify(VerifyLevel::Objects, Progress::none()).unwrap();
    source.file("/firm/new", b"newer");
    let fourth = vault.backup(&source, &certified(), Progress::none()).unwrap();
    assert!(said(&certificate_of(&stranger(&storage), &fourth)).referenced.read_in_full.is_some());
}

/// Keeps the warnings.
#[derive(Debug, Default)]
struct Warned(Mutex<Vec<String>>);

impl Monitor for Warned {
    fn warning(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

/// A vault with a snapshot in a storage where what is in `folder` rots the first `times` times that it is written.
fn rotting(folder: &'static str, times: u32) -> (Arc<MemoryStorage>, Machine, Arc<Faulty>) {
    let (storage, machine, mut vault) = begin(705);
    vault.backup(&firm(), &certified(), Progress::none()).unwrap();
    let left = AtomicU32::new(times);
    let rots = move |name: &str| {
        name.starts_with(folder)
            && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
    };
    let faulty = Faulty::rotting(&storage, rots);
    (storage, machine, faulty)
}

#[test]
fn what_does_not_read_back_is_written_anew() {
    for folder in ["packs/", "sessions/", "twin/sessions/", "locator/", "snapshots/", "certificates/", "signatures/"] {
        let (storage, machine, rotting) = rotting(folder, 1);
        let (warned, stop) = (Warned::default(), false.into());
        let mut source = firm();
        source.file("/firm/new", &common::noise(9, 5000));
        let mut vault = machine.open(rotting, &key()).unwrap();
        let report = vault.backup(&source, &certified(), Progress { monitor: &warned, stop: &stop }).unwrap();
        let warnings = warned.0.into_inner().unwrap();
        assert!(
            warnings.iter().any(|text| text.contains("does not read back as it was written")),
            "{folder}: {warnings:?}"
        );
        let vault = machine.open(storage.clone(), &key()).unwrap();
        let verified = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
        assert!(verified.is_good(), "{folder}: {:?}", verified.findings);
        assert_eq!(vault.snapshots().unwrap().snapshots.len(), 2, "{folder}");
        let all = vault.view().certificates().certificates;
        assert_eq!(all.len(), 2, "{folder}: what was certified of the attempt before counts for nothing");
        assert!(all.iter().any(|certificate| certificate.object == report.certificate.unwrap().object));
    }
}

#[test]
fn a_storage_that_rots_whatever_is_written_acknowledges_nothing() {
    for folder in ["packs/", "snapshots/", "signatures/"] {
        let (storage, machine, rotting) = rotting(folder, 1000);
        let mut source = firm();
        source.file("/firm/new", &common::noise(9, 5000));
        let refused = machine.open(rotting, &key()).unwrap().backup(&source, &certified(), Progress::none());
        assert!(matches!(&refused, Err(RepoError::ReadBack { name, .. }) if name.starts_with(folder)), "{refused:?}");
        let vault = machine.open(storage.clone(), &key()).unwrap();
        assert_eq!(vault.snapshots().unwrap().snapshots.len(), 1, "{folder}");
        assert!(vault.verify(VerifyLevel::Restore, Progress::none()).unwrap().is_good(), "{folder}");
        assert_eq!(vault.view().certificates().certificates.len(), 1);
    }
    // Where the entry rots that would acknowledge it, the machine goes on in another journal, and the damage is told.
    let (storage, machine, rotting) = rotting("journal/", 1);
    machine.open(rotting, &key()).unwrap().backup(&firm(), &certified(), Progress::none()).unwrap();
    let vault = machine.open(storage, &key()).unwrap();
    // Where a journal is damaged, readers believe signatures: what the first attempt had stored is whole, too.
    assert_eq!(vault.snapshots().unwrap().snapshots.len(), 3);
    let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    assert!(report.findings[0].object.starts_with("journal/"));
}

#[test]
fn a_verification_is_certified_with_what_it_found() {
    let (storage, _, mut vault) = begin(706);
    vault.backup(&firm(), &certified(), Progress::none()).unwrap();
    let snapshots = vault.snapshots().unwrap().snapshots;
    let counts = sb_audit::VerificationCounts { documents: 3, bytes: 10, verified: 3, missing: 0, corrupt: 0 };
    let facts = |result| {
        let read = Written { objects: 7, bytes: 900 };
        VerifiedFacts::new(snapshots[0].started(), "data".to_owned(), result, counts, read)
    };
    let terms = CertificateTerms::new(vec!["Nothing.".to_owned()]);
    let contradiction = vault.certify_verification(facts(RunResult::Passed), &snapshots, &terms);
    assert!(
        matches!(contradiction, Err(RepoError::Uncertifiable(_))),
        "the snapshot has more documents: {contradiction:?}"
    );
    let counts = sb_audit::VerificationCounts {
        documents: snapshots[0].documents(),
        verified: snapshots[0].documents(),
        ..counts
    };
    let mut facts = facts(RunResult::Passed);
    facts.counts = counts;
    let certified = vault.certify_verification(facts, &snapshots, &terms).unwrap();
    let all = stranger(&storage).certificates().certificates;
    let found = all.iter().find(|certificate| certificate.object == certified.object).unwrap();
    assert!(
        matches!(&found.statement.predicate, Predicate::Verification(verification) if verification.method == "data")
    );
    assert!(stranger(&storage).verify(Progress::none()).unwrap().is_good());
    assert!(vault.find_certificate("").is_err() && vault.find_certificate("zz").is_err());
    assert_eq!(vault.find_certificate(&certified.object.to_string()[..12]).unwrap().object, certified.object);
}

#[test]
fn what_a_run_did_that_was_cut_short_before_it_could_be_logged_is_known() {
    let (_, _, mut vault) = begin(707);
    let operations = |vault: &Vault| -> Vec<String> {
        vault.unlogged().unwrap().into_iter().map(|unlogged| unlogged.operation).collect()
    };
    assert_eq!(operations(&vault), ["init"]);
    vault.log(&[event(1)]).unwrap();
    assert!(operations(&vault).is_empty());
    let report = vault.backup(&firm(), &certified(), Progress::none()).unwrap();
    let unlogged = vault.unlogged().unwrap();
    assert_eq!((unlogged.len(), unlogged[0].operation.as_str()), (1, "backup"));
    assert_eq!(unlogged[0].certificates, [report.certificate.unwrap().object]);
    assert_eq!(Some(unlogged[0].journal), report.journal);
    let found = vault.view().certificates_among(&unlogged[0].certificates);
    assert_eq!(found[0].statement_sha256(), report.certificate.unwrap().statement_sha256);
    vault.log(&[event(2)]).unwrap();
    assert!(operations(&vault).is_empty());
}

#[test]
fn names_are_set_replaced_and_erased() {
    let (storage, machine, mut vault) = begin(708);
    vault.name("user:1", Some("Ann")).unwrap();
    vault.name("user:2", Some("Bob")).unwrap();
    vault.name("user:1", Some("Ann Miller")).unwrap();
    let names = machine.open(storage.clone(), &key()).unwrap().names();
    assert_eq!(
        names.names.into_iter().collect::<Vec<_>>(),
        [("user:1", "Ann Miller"), ("user:2", "Bob")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    assert_eq!(storage.list("names").unwrap().len(), 2, "what was replaced is gone");
    // One copy may be lost.
    let one = storage.list("names").unwrap().remove(0).name;
    storage.remove_raw(&one);
    assert_eq!(machine.open(storage.clone(), &key()).unwrap().names().names.len(), 2);
    vault.name("user:1", None).unwrap();
    vault.name("user:9", None).unwrap();
    let left = machine.open(storage.clone(), &key()).unwrap().names().names;
    assert_eq!(left.into_keys().collect::<Vec<_>>(), ["user:2"]);
    // Both copies damaged: it is told.
    for listed in [storage.list("names").unwrap(), storage.list("twin/names").unwrap()].concat() {
        let name = ObjectName::new(listed.name.as_str()).unwrap();
        let mut bytes = storage.read(&name).unwrap();
        bytes[100] ^= 1;
        storage.put_raw(listed.name, bytes);
    }
    let names = machine.open(storage, &key()).unwrap().names();
    assert!(names.names.is_empty() && names.flawed.len() == 1, "{names:?}");
}

#[test]
fn checkpoints_are_filed_and_only_those_of_the_vault() {
    let (storage, _, mut vault) = begin(709);
    vault.log(&[event(1)]).unwrap();
    let writer = vault.own_writer().unwrap().unwrap();
    let batch = vault.view().newest_batch(writer).unwrap();
    vault.file_checkpoint(batch.checkpoint(), &[b"a stamp".to_vec()]).unwrap();
    let filed = stranger(&storage).checkpoints();
    assert!(filed.flawed.is_empty() && filed.statement_stamps.is_empty());
    assert_eq!((filed.checkpoints.len(), filed.checkpoints[0].head), (1, batch.tip().head()));
    assert_eq!(
        (filed.checkpoints[0].writer, filed.checkpoints[0].stamps.as_slice()),
        (writer, &[b"a stamp".to_vec()][..])
    );
    let (_, _, mut other) = begin(710);
    other.log(&[event(1)]).unwrap();
    let foreign = other.view().newest_batch(other.own_writer().unwrap().unwrap()).unwrap();
    assert!(matches!(vault.file_checkpoint(foreign.checkpoint(), &[]), Err(RepoError::Damaged { .. })));
    assert!(matches!(vault.heed_checkpoint(foreign.checkpoint()), Err(RepoError::Damaged { .. })));
    // A stretch of the log proves what one batch can't.
    vault.log(&[event(2), event(3)]).unwrap();
    let stretch = vault.view().log_stretch(writer, 0, 3).unwrap();
    let head = stretch.head();
    let path = stretch.prove_inclusion(0).unwrap();
    assert!(sb_crypto::verify_inclusion(0, head.size, &batch.leaves()[0], &path, &head.root));
    assert!(vault.view().log_stretch(writer, 0, 2).is_none() && vault.view().log_stretch(writer, 3, 3).is_none());
}

#[test]
fn packs_are_read_in_turn_as_long_as_there_is_time() {
    let (_, machine, mut vault) = begin(711);
    let mut source = MemorySource::new(&["/d"]);
    for n in 0..12 {
        source.file(format!("/d/{n}"), &common::noise(n, 2000));
        vault.backup(&source, &options(), Progress::none()).unwrap();
    }
    machine.clock.advance_hours(48);
    let now = || sb_repo::Clock::now(&*machine.clock);
    let due =
        |hours: i64, until| Due { level: VerifyLevel::Data, before: now() - chrono::TimeDelta::hours(hours), until };
    let nothing = vault.verify_due(due(24, Some(now())), Progress::none()).unwrap();
    assert!(nothing.due >= 12 && nothing.read == 0 && nothing.all_read_since.is_none(), "{nothing:?}");
    // The clock goes on by a second whenever it is read: a second night reads the rest.
    let nights = (1..20).map(|seconds| {
        let until = now() + chrono::TimeDelta::seconds(seconds);
        vault.verify_due(due(24, Some(until)), Progress::none()).unwrap()
    });
    let some = nights.into_iter().find(|night| night.read > 0).unwrap();
    assert!(some.read > 0 && some.left() > 0 && some.report.is_good(), "{some:?}");
    let rest = vault.verify_due(due(24, None), Progress::none()).unwrap();
    assert_eq!((rest.due, rest.left()), (some.left(), 0));
    assert!(rest.all_read_since.is_some());
    assert_eq!(vault.verify_due(due(24, None), Progress::none()).unwrap().due, 0);
    // Everything is due at the deeper level that was only looked at.
    let all = vault.verify_due(due(0, None), Progress::none()).unwrap();
    assert_eq!(all.due, all.read);
}
