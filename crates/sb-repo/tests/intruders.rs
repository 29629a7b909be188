//! What does not belong into a vault, or not any more: it is found, and costs nothing.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::small::*;
use common::{Machine, key, noise};
use sb_crypto::{SigningKey, sha256};
use sb_repo::{Flaw, Progress, State, VerifyLevel, View};
use sb_source::MemorySource;

/// A framed object as docs/format.md §2 has it, made without the crate's help.
fn framed(kind: u8, vault: &[u8], body: &[u8], signer: &SigningKey, stem: &str) -> Vec<u8> {
    let mut bytes = [b"SBV1", &[kind, 1, 0, 0][..], vault, &[0; 16], body, &signer.public().key_id(), &[0; 8]].concat();
    let message = [b"sbv1/object\0", sha256(&bytes).as_bytes().as_slice(), stem.as_bytes()].concat();
    bytes.extend_from_slice(&signer.sign(&message));
    bytes
}

/// The name without its hash, and the hash.
fn split(name: &str) -> (&str, &str) {
    name.split_at(name.rfind(['.', '/']).unwrap() + 1)
}

/// Names that an object could have but does not: another generation, sequence number, bucket, writer, copy or hash.
fn other_names(name: &str) -> Vec<String> {
    let (stem, hash) = split(name);
    let folders: Vec<&str> = name.split('/').collect();
    let without_twin = name.strip_prefix("twin/").unwrap_or(name);
    let mut names = Vec::new();
    match without_twin.split('/').next().unwrap() {
        "journal" => {
            names.push(format!("journal/{}/0000000009.{hash}", folders[1]));
            names.push(format!("journal/{}/{}", "ab".repeat(16), folders[2]));
        }
        "log" => {
            names.push(format!("log/{}/0000000009.{hash}", folders[1]));
            names.push(format!("log/{}/{}", "ab".repeat(16), folders[2]));
        }
        "config" | "keys" | "sessions" | "leases" | "condemned" | "labels" => {
            let (item, generation) = stem.trim_end_matches('.').rsplit_once('.').unwrap();
            names.push(format!("{item}.{}.{hash}", generation.parse::<u64>().unwrap() + 1));
            names.push(format!("{item}.18446744073709551615.{hash}"));
            if let Some((_, table)) = without_twin.split_once("sessions/") {
                names.push(format!("sessions/{}/{}", "cd".repeat(16), table.rsplit_once('/').unwrap().1));
            } else if !without_twin.starts_with("config") {
                let folder = without_twin.split_once('/').unwrap().0;
                names.push(format!("{folder}/0123456789abcdef.0.{hash}"));
            }
        }
        folder => {
            let other = sha256(name.as_bytes()).to_string();
            names.push(if folder == "packs" {
                format!("packs/{}/{other}", &other[..2])
            } else {
                format!("{folder}/{other}")
            });
        }
    }
    if without_twin == name {
        names.push(format!("twin/{name}x"));
    }
    names
}

/// Objects that do not belong into the vault, with their names.
fn intruders(small: &Small) -> Vec<(String, Vec<u8>)> {
    let objects = small.objects();
    let mut added: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, bytes) in &objects {
        added.extend(other_names(name).into_iter().map(|other| (other, bytes.clone())));
    }
    let (journal, vault) = (objects.iter().find(|(name, _)| name.starts_with("journal/")).unwrap(), small.vault_id());
    let writer = journal.0.split('/').nth(1).unwrap();
    let stems = [
        (1, "config/vault.7.".to_owned()),
        (2, "users/".to_owned()),
        (3, "writers/".to_owned()),
        (4, "keys/00112233445566aa.0.".to_owned()),
        (5, format!("sessions/{}/00112233445566aa.0.", "0f".repeat(16))),
        (8, "locator/".to_owned()),
        (9, "snapshots/".to_owned()),
        (10, "redactions/".to_owned()),
        (11, format!("journal/{writer}/0000000007.")),
        (12, "leases/00112233445566aa.0.".to_owned()),
        (13, "fences/00112233445566aa.0.".to_owned()),
        (15, "reserve/".to_owned()),
        (16, "labels/00112233445566aa.0.".to_owned()),
        (17, format!("log/{writer}/0000000004.")),
        (18, "certificates/".to_owned()),
        (19, "signatures/".to_owned()),
        (20, "checkpoints/".to_owned()),
        (21, "stamps/".to_owned()),
        (22, "names/00112233445566aa.0.".to_owned()),
    ];
    let nobody = SigningKey::from_seed(&[0x77; 32]);
    let body_of = |kind: u8| {
        let (_, bytes) = objects.iter().find(|(_, bytes)| bytes[4] == kind).unwrap_or(journal);
        bytes[HEADER..bytes.len() - TRAILER].to_vec()
    };
    for (kind, stem) in stems {
        for bytes in [noise(kind.into(), 300), framed(kind, &vault, &body_of(kind), &nobody, &stem)] {
            let hash = sha256(&bytes).to_string();
            let digits = if stem.ends_with('.') && ![11, 17].contains(&kind) { 16 } else { 64 };
            added.push((format!("{stem}{}", &hash[..digits]), bytes));
        }
    }
    let pack = framed(6, &vault, &body_of(6), &nobody, "packs/");
    let hash = sha256(&pack).to_string();
    added.push((format!("packs/{}/{hash}", &hash[..2]), pack));
    for name in
        ["readme.txt", "packs/x", ".hidden", "Packs/a b", "config/vault.0", "keys", "twin/readme", "locator/\u{fc}"]
    {
        added.push((name.to_owned(), b"anything".to_vec()));
    }
    added
}

impl Small {
    fn vault_id(&self) -> Vec<u8> {
        self.objects()[0].1[8..24].to_vec()
    }

    /// That what was added is named, and costs nothing: the vault opens, restores and takes a backup.
    fn check_added(&self, added: &[(String, Vec<u8>)], pinned: bool) {
        let root = stranger(&self.storage).unwrap().view().root_fingerprint();
        let storage = self.storage.snapshot();
        added.iter().for_each(|(name, bytes)| storage.put_raw(name, bytes.clone()));
        let view = View::open(Arc::new(storage.clone()), &State::in_memory(), pinned.then_some(root)).unwrap();
        let report = view.verify(Progress::none()).unwrap();
        let names: BTreeSet<&str> = added.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(named(&report).into_iter().collect::<BTreeSet<_>>(), names);
        let vault = stranger(&storage).unwrap_or_else(|error| panic!("{names:?}: {error}"));
        let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
        assert_eq!(named(&report).into_iter().collect::<BTreeSet<_>>(), names);
        assert!(self.lost(&vault, &format!("{names:?}")).is_empty());
    }
}

#[test]
fn what_was_added_is_found_and_costs_nothing() {
    let small = small();
    for_each(&intruders(&small), |added| small.check_added(std::slice::from_ref(added), false));
}

#[test]
fn objects_of_another_vault_are_found_and_cost_nothing() {
    let small = small();
    let (other, _) = build(22, 1);
    let foreign: Vec<_> = other.objects().into_iter().collect();
    // Who knows neither root key nor its fingerprint can't tell which of two configs is the right one.
    for_each(&foreign, |added| small.check_added(std::slice::from_ref(added), added.0.contains("config/")));
    small.check_added(&foreign, true);
}

#[test]
fn backups_go_on_whatever_was_added() {
    let small = small();
    for (name, bytes) in intruders(&small) {
        let storage = small.with(&name, Some(bytes));
        let machine = Machine::new(24);
        let mut source = MemorySource::new(&["/d"]);
        source.file("/d/later", b"after the intrusion");
        let outcome = machine.backup(Arc::new(storage.clone()), &key(), &source);
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
}

#[test]
fn what_a_journal_says_was_removed_is_found_when_it_is_back() {
    let small = small();
    let before = small.objects();
    let mut vault = stranger(&small.storage).unwrap();
    vault.rebuild(false, Progress::none()).unwrap();
    let removed: Vec<_> = before.into_iter().filter(|(name, _)| !small.storage.objects().contains_key(name)).collect();
    assert_eq!(removed.len(), 3, "the increments of the locator that were replaced");
    for (name, bytes) in removed {
        assert!(name.starts_with("locator/"));
        let storage = small.with(&name, Some(bytes));
        let report = verify_without_keys(&storage);
        assert_eq!(named(&report), [&name]);
        assert_eq!(report.findings[0].flaw, Flaw::Resurrected);
        assert!(small.check_with_keys(&storage, &[&name], &name).is_empty());
    }
}
