//! Every kind of object, and everything that somebody with access to the storage can do to it: `verify` names it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::Arc;

use common::small::*;
use common::{Machine, event, firm, key, options};
use sb_audit::Note;
use sb_repo::{Progress, State, VerifyReport, View};
use sb_store::MemoryStorage;

/// The folders whose objects must never change unnoticed. Leases, fences and condemned lists come and go, and the reserve is there to
/// be given up; what changes in them is found by `damage`.
const KINDS: [&str; 18] = [
    "packs",
    "locator",
    "snapshots",
    "sessions",
    "journal",
    "certificates",
    "signatures",
    "log",
    "checkpoints",
    "stamps",
    "keys",
    "users",
    "writers",
    "config",
    "labels",
    "names",
    "grants",
    "roles",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Flip,
    Truncate,
    Remove,
    /// Put something older of the same kind in its place, under its name.
    Replace,
    /// Add one that nobody who may has signed.
    Forge,
}

const DEEDS: [Deed; 5] = [Deed::Flip, Deed::Truncate, Deed::Remove, Deed::Replace, Deed::Forge];

/// The newest object of a kind, an older one if there is one, and how it is named.
fn chosen(small: &Small, kind: &str) -> (String, Vec<u8>, Option<Vec<u8>>) {
    let folder = format!("{kind}/");
    let all: Vec<_> = small.objects().into_iter().filter(|(name, _)| name.starts_with(&folder)).collect();
    let ((name, bytes), before) = all.split_last().map(|(last, before)| (last.clone(), before)).unwrap();
    (name, bytes, before.last().map(|(_, bytes)| bytes.clone()))
}

/// Does it. The names that must be found.
fn done(small: &Small, kind: &str, deed: Deed) -> (MemoryStorage, String) {
    let (name, bytes, older) = chosen(small, kind);
    let storage = match deed {
        Deed::Flip => small.with(&name, Some(flipped(&bytes, bytes.len() / 2))),
        Deed::Truncate => small.with(&name, Some(bytes[..bytes.len() - 1].to_vec())),
        Deed::Remove => small.with(&name, None),
        // Of a kind of which there is one, the older version is one that has lost its end.
        Deed::Replace => small.with(&name, Some(older.unwrap_or_else(|| bytes[..bytes.len() / 2].to_vec()))),
        Deed::Forge => {
            let mut forged = bytes.clone();
            let middle = forged.len() / 2;
            forged[middle] ^= 1;
            let hash = sb_crypto::sha256(&forged).to_string();
            let digits = name.len() - name.rfind(['.', '/']).unwrap() - 1;
            let fake = format!("{}{}", &name[..name.len() - digits], &hash[..digits]);
            // A pack lies in the folder that its name begins with.
            let fake = if kind == "packs" { format!("packs/{}/{hash}", &hash[..2]) } else { fake };
            let storage = small.storage.snapshot();
            storage.put_raw(fake.clone(), forged);
            return (storage, fake);
        }
    };
    (storage, name)
}

fn found(report: &VerifyReport, name: &str) -> bool {
    // Of what is missing from a log or a journal only the place is known.
    let place = name.rfind('.').filter(|_| name.starts_with("log/") || name.starts_with("journal/"));
    let writer = name.rsplit_once('/').map_or(name, |(folder, _)| folder);
    let is_meant = |object: &str| {
        object == name || place.is_some_and(|place| object.starts_with(&name[..=place]) || object == writer)
    };
    report.findings.iter().any(|finding| is_meant(&finding.object))
}

#[test]
fn whatever_is_done_to_an_object_of_whatever_kind_is_named() {
    let small = small();
    let mut unseen = Vec::new();
    for kind in KINDS {
        for deed in DEEDS {
            let (storage, name) = done(&small, kind, deed);
            // A stranger without a key, who knows nothing but what is in the storage.
            let stranger = verify_without_keys(&storage);
            // The machine that has seen the vault before.
            let view = View::open(Arc::new(storage), &small.machine.state, None).unwrap();
            let machine = view.verify(Progress::none()).unwrap();
            assert!(found(&machine, &name), "{kind} {deed:?}: {:?}", machine.findings);
            if !found(&stranger, &name) {
                unseen.push((kind, deed));
            }
        }
    }
    // Nothing in the vault speaks of the newest log batch but those who have seen it; the next one will.
    assert_eq!(unseen, [("log", Deed::Remove)]);
}

#[test]
fn a_vault_that_is_put_back_as_a_whole_is_seen_by_who_has_seen_more() {
    let small = small();
    let yesterday = small.storage.snapshot();
    let mut vault = small.machine.open(Arc::new(small.storage.clone()), &key()).unwrap();
    vault.log(&[event(10)]).unwrap();
    vault.backup(&firm(), &options(), Progress::none()).unwrap();
    vault.log(&[event(11)]).unwrap();
    let writer = vault.own_writer().unwrap().unwrap();
    let checkpoint: Note = vault.view().newest_batch(writer).unwrap().checkpoint().clone();
    let visitor = Machine::new(97);
    visitor.open(Arc::new(small.storage.clone()), &key()).unwrap().heed_logs().unwrap();

    // Whoever knows only the vault sees a vault as it was yesterday: that it is the newest, only others can know.
    assert!(verify_without_keys(&yesterday).is_good());
    // The machine that wrote to it, and one that has only looked at it, remember more.
    for state in [&small.machine.state, &visitor.state] {
        let report = View::open(Arc::new(yesterday.clone()), state, None).unwrap().verify(Progress::none()).unwrap();
        assert!(report.findings.iter().any(|finding| finding.object.starts_with("journal/")), "{:?}", report.findings);
        assert!(report.findings.iter().any(|finding| finding.object.starts_with("log/")), "{:?}", report.findings);
    }
    // A stranger with the checkpoint that a witness has kept.
    let mut view = View::open(Arc::new(yesterday), &State::in_memory(), None).unwrap();
    view.heed_checkpoint(&checkpoint).unwrap();
    let report = view.verify(Progress::none()).unwrap();
    assert_eq!(named(&report), [&format!("log/{writer}")]);
    // The vault of today has what the witness saw.
    let mut view = View::open(Arc::new(small.storage.clone()), &State::in_memory(), None).unwrap();
    view.heed_checkpoint(&checkpoint).unwrap();
    assert!(view.verify(Progress::none()).unwrap().is_good());
}

#[test]
fn parts_of_a_vault_that_are_put_back_contradict_the_rest() {
    let small = small();
    let yesterday = small.storage.snapshot().objects();
    let mut vault = small.machine.open(Arc::new(small.storage.clone()), &key()).unwrap();
    vault.log(&[event(10)]).unwrap();
    vault.backup(&firm(), &options(), Progress::none()).unwrap();
    vault.log(&[event(11)]).unwrap();
    for folder in ["journal/", "log/", "snapshots/", "packs/", "locator/", "sessions/"] {
        let storage = small.storage.snapshot();
        let newer: Vec<String> = storage
            .objects()
            .into_keys()
            .filter(|name| name.starts_with(folder) && !yesterday.contains_key(name))
            .collect();
        assert!(!newer.is_empty(), "{folder}");
        newer.iter().for_each(|name| drop(storage.remove_raw(name)));
        let report = verify_without_keys(&storage);
        assert!(
            report.findings.iter().any(|finding| finding.object.starts_with(folder)),
            "{folder}: {:?}",
            report.findings
        );
    }
}
