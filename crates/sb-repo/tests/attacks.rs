//! What somebody can do who can write to the storage, or has read a machine's log key, but has no key of a user.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::Arc;

use common::{Machine, assert_holds, expected, firm, key, new_vault, options};
use sb_crypto::{Credential, Lock, Secret};
use sb_repo::{Flaw, Progress, RepoError, State, Surroundings, Vault, VerifyLevel, View};
use sb_store::{MemoryStorage, Storage};

fn vault_with_a_backup(seed: u64) -> (Arc<MemoryStorage>, Machine, Vault) {
    let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(seed));
    let (mut vault, _) = new_vault(&machine, storage.clone());
    vault.backup(&firm(), &options(), Progress::none()).unwrap();
    (storage, machine, vault)
}

fn names(storage: &MemoryStorage, folder: &str) -> Vec<String> {
    storage.list(folder).unwrap().into_iter().map(|listed| listed.name).collect()
}

#[test]
fn a_log_key_alone_can_hide_nothing_and_nobody() {
    let (storage, machine, mut vault) = vault_with_a_backup(1);
    let mut victims = Vec::new();
    for folder in ["keys", "twin/keys", "snapshots", "packs", "sessions", "config", "users"] {
        victims.extend(names(&storage, folder));
    }
    let redaction = format!("redactions/{}", "0".repeat(64));
    sb_repo::testing::forge_entry(&mut vault, &[redaction], &victims).unwrap();
    let vault = machine.open(storage, &key()).unwrap();
    assert_holds(&vault, "latest", &expected(&firm()));
    let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
    let forged: Vec<_> = report.findings.iter().map(|finding| (&finding.object[..8], finding.flaw.clone())).collect();
    assert_eq!(forged, [("journal/", Flaw::NotEntitled)]);
}

#[test]
fn journal_entries_that_do_not_exist_stop_nothing() {
    let (storage, machine, _) = vault_with_a_backup(2);
    let journal = names(&storage, "journal").pop().unwrap();
    let folder = journal.rsplit_once('/').unwrap().0.to_owned();
    for number in ["18446744073709551615", "9999999999", "0000100000"] {
        storage.put_raw(format!("{folder}/{number}.{}", "0".repeat(64)), b"");
    }
    storage.put_raw(format!("redactions/{}", "0".repeat(64)), b"junk");
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    assert_holds(&vault, "latest", &expected(&firm()));
    let report = vault.verify(VerifyLevel::Objects, Progress::none()).unwrap();
    assert!((4..10).contains(&report.findings.len()), "{:?}", report.findings);
    vault.backup(&firm(), &options(), Progress::none()).unwrap();
}

#[test]
fn a_foreign_config_does_not_make_a_machine_forget() {
    let (storage, machine, _) = vault_with_a_backup(3);
    let root = tempfile::tempdir().unwrap();
    let state = State::among(root.path());
    let around = |storage: Arc<MemoryStorage>| Surroundings { state: state.clone(), ..machine.around(storage) };
    let credential = Credential::KeyFile(key());
    let open = |storage: Arc<MemoryStorage>| Vault::open(around(storage), &credential, None);
    let yesterday = Arc::new(storage.snapshot());
    open(storage).unwrap().backup(&firm(), &options(), Progress::none()).unwrap();
    let other = Arc::new(MemoryStorage::new());
    new_vault(&Machine::new(33), other.clone());
    for (name, bytes) in other.objects() {
        if ["config", "users", "keys"].iter().any(|folder| name.starts_with(folder)) {
            yesterday.put_raw(&name, bytes);
        }
    }
    let refused = open(yesterday.clone()).unwrap().backup(&firm(), &options(), Progress::none());
    assert!(matches!(refused, Err(RepoError::RolledBack { .. })), "{refused:?}");
    let view = View::open(yesterday.clone(), &state, None).unwrap();
    assert_eq!(view.id(), open(yesterday).unwrap().id());
    assert!(view.verify(Progress::none()).unwrap().findings.iter().any(|f| matches!(f.flaw, Flaw::RolledBack(_))));
}

#[test]
fn a_slot_of_nobodys_is_not_tried() {
    let (storage, machine, _) = vault_with_a_backup(4);
    // Ruinously expensive, if it were: a slot of another vault with the same passphrase.
    let foreign = Arc::new(MemoryStorage::new());
    let secret = || Secret::from("a passphrase".to_owned());
    let kdf = sb_crypto::Kdf::Pbkdf2HmacSha256 { rounds: 10_000_000 };
    sb_repo::create(
        Machine::new(44).around(foreign.clone()),
        &[Lock::Passphrase(secret(), kdf)],
        &sb_repo::CreateOptions::default(),
    )
    .unwrap();
    for name in names(&foreign, "keys") {
        storage.put_raw(&name, foreign.objects()[&name].clone());
    }
    let opened = Vault::open(machine.around(storage), &Credential::Passphrase(secret()), None);
    assert!(matches!(opened, Err(RepoError::NoSuchSlot { .. })), "{opened:?}");
}

#[test]
fn a_truncated_pack_is_stored_again() {
    let (storage, machine, _) = vault_with_a_backup(5);
    for name in names(&storage, "packs") {
        storage.put_raw(&name, b"");
    }
    let mut vault = machine.open(storage, &key()).unwrap();
    let report = vault.backup(&firm(), &options(), Progress::none()).unwrap();
    assert!(report.counts.new_chunks > 0);
    assert_holds(&vault, &report.snapshot.to_string(), &expected(&firm()));
}

#[test]
fn wrong_keys_and_nonsense_signed_by_a_log_key_cost_nothing() {
    let (storage, machine, mut vault) = vault_with_a_backup(6);
    for table in names(&storage, "sessions") {
        sb_repo::testing::forge_objects(&mut vault, &table).unwrap();
    }
    for level in [VerifyLevel::Data, VerifyLevel::Restore] {
        let vault = Machine::new(66).open(storage.clone(), &key()).unwrap();
        assert_holds(&vault, "latest", &expected(&firm()));
        let report = vault.verify(level, Progress::none()).unwrap();
        let found: Vec<_> = report.findings.iter().map(|finding| (&finding.object[..10], &finding.flaw)).collect();
        assert_eq!(found, [("snapshots/", &Flaw::UnknownKey); 2], "the nonsense is named");
        assert!(report.findings.iter().all(|finding| finding.documents.is_empty()));
    }
    let report = machine.backup(storage.clone(), &key(), &firm()).unwrap();
    assert_eq!(report.counts.new_chunks, 0);
    assert_holds(&Machine::new(67).open(storage, &key()).unwrap(), "latest", &expected(&firm()));
}

#[test]
fn an_entry_that_contradicts_others_is_named_and_changes_nothing() {
    let (storage, machine, mut vault) = vault_with_a_backup(7);
    let packs = names(&storage, "packs");
    sb_repo::testing::forge_entry(&mut vault, &packs, &[]).unwrap();
    let forged = names(&storage, "journal").pop().unwrap();
    let vault = Machine::new(77).open(storage.clone(), &key()).unwrap();
    let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
    assert!(matches!(&report.findings[..], [finding] if finding.object == forged), "{report:?}");
    assert!(matches!(&report.findings[0].flaw, Flaw::Contradiction(name) if packs.contains(name)));
    let report = machine.backup(storage, &key(), &firm()).unwrap();
    assert_eq!(report.counts.new_chunks, 0, "the packs count as before");
}

#[test]
fn what_is_put_beside_the_journal_while_a_run_goes_on_does_not_end_it() {
    let (storage, _, mut vault) = vault_with_a_backup(9);
    let journal = names(&storage, "journal").pop().unwrap();
    let (folder, _) = journal.rsplit_once('/').unwrap();
    for number in ["0000000000", "0000000001", "0000009999"] {
        let junk = format!("junk {number}");
        storage.put_raw(format!("{folder}/{number}.{}", sb_crypto::sha256(junk.as_bytes())), junk.as_bytes());
    }
    vault.backup(&firm(), &options(), Progress::none()).unwrap();
}
