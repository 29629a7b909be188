//! What a collection makes of a vault in which something is lost that would say what is needed, and of what lies about in it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::faulty::{Act, Faulty};
use common::meddler::*;
use common::{Machine, assert_holds, expected, key, noise, options};
use sb_repo::testing::condemn;
use sb_repo::{CollectOptions, CollectReport, Flaw, MaxUnused, Progress, RepoError, SnapshotId, Vault, VerifyLevel};
use sb_source::MemorySource;
use sb_store::{MemoryStorage, Storage};

fn collect(vault: &mut Vault) -> Result<CollectReport, RepoError> {
    let mut options = CollectOptions::default();
    options.max_unused = MaxUnused::Bytes(0);
    vault.collect(&options, Progress::none())
}

fn collect_as(machine: &Machine, storage: &Arc<MemoryStorage>) -> Result<CollectReport, RepoError> {
    collect(&mut machine.open(storage.clone(), &key()).unwrap())
}

fn names(storage: &MemoryStorage, folder: &str) -> Vec<String> {
    storage.list(folder).unwrap().into_iter().map(|listed| listed.name).collect()
}

fn rot(storage: &MemoryStorage, name: &str) {
    let mut bytes = storage.objects()[name].clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    storage.put_raw(name, bytes);
}

/// What backups consist of.
fn stored(storage: &MemoryStorage) -> BTreeMap<String, Vec<u8>> {
    let is_stored = |name: &str| ["packs/", "snapshots/", "sessions/"].iter().any(|folder| name.starts_with(folder));
    storage.objects().into_iter().filter(|(name, _)| is_stored(name)).collect()
}

/// Something else than [`source`].
fn more() -> MemorySource {
    let mut source = MemorySource::new(&["/e"]);
    source.file("/e/x", &noise(7, 50_000)).file("/e/sub/y", b"another");
    source
}

/// A vault into which two machines have stored something, with the names of the second's certificate and of its journal.
fn two_machines(seed: u64) -> (Arc<MemoryStorage>, [Machine; 2], SnapshotId, [Vec<String>; 2]) {
    let (storage, first, mut vault) = begin(seed);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let before = storage.objects();
    let second = Machine::new(seed + 1000);
    let id = second.backup(storage.clone(), &key(), &more()).unwrap().snapshot;
    // The first has seen what the second did.
    first.open(storage.clone(), &key()).unwrap();
    let new = |folder: &str| names(&storage, folder).into_iter().filter(|name| !before.contains_key(name));
    let certificate = new("writers").chain(new("twin/writers")).collect();
    let journal = new("journal").collect();
    (storage, [first, second], id, [certificate, journal])
}

#[test]
fn of_a_chunk_in_two_packs_the_one_stays_whose_keys_can_be_read() {
    for seed in 400..406 {
        let (storage, machine, mut vault) = begin(seed);
        vault.backup(&source(), &options(), Progress::none()).unwrap();
        names(&storage, "sessions")
            .iter()
            .chain(&names(&storage, "twin/sessions"))
            .for_each(|name| rot(&storage, name));
        let again = machine.backup(storage.clone(), &key(), &source()).unwrap();
        assert!(again.counts.new_chunks > 0, "all is stored once more");
        collect_as(&machine, &storage).unwrap();
        let vault = machine.open(storage, &key()).unwrap();
        for snapshot in vault.snapshots().unwrap().snapshots {
            assert_holds(&vault, &snapshot.id.to_string(), &expected(&source()));
        }
    }
}

#[test]
fn what_a_machine_stored_stays_when_its_certificate_is_lost() {
    for damage in [rot, |storage: &MemoryStorage, name: &str| drop(storage.remove_raw(name))] {
        let (storage, [first, second], id, [certificate, _]) = two_machines(410);
        assert_eq!(certificate.len(), 2);
        damage(&storage, &certificate[0]);
        collect_as(&first, &storage).unwrap();
        assert!(storage.list("snapshots").unwrap().len() == 2, "one copy of two is enough");
        damage(&storage, &certificate[1]);
        for collector in [&first, &Machine::new(411)] {
            let storage = Arc::new(storage.snapshot());
            let before = stored(&storage);
            let refused = collect_as(collector, &storage);
            assert!(matches!(refused, Err(RepoError::Undecided { .. })), "{refused:?}");
            assert!(stored(&storage) == before);
        }
        // The machine itself still has the key, and certifies it again.
        second.backup(storage.clone(), &key(), &more()).unwrap();
        let vault = second.open(storage.clone(), &key()).unwrap();
        assert_holds(&vault, &id.to_string(), &expected(&more()));
        collect_as(&first, &storage).unwrap();
        let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
        assert!(report.findings.iter().all(|finding| certificate.contains(&finding.object)), "{report:?}");
    }
}

#[test]
fn what_nobody_known_has_signed_is_not_what_a_dead_run_left() {
    let (storage, _, id, [certificate, journal]) = two_machines(412);
    certificate.iter().chain(&journal).for_each(|name| drop(storage.remove_raw(name)));
    let before = stored(&storage);
    let refused = collect_as(&Machine::new(413), &storage);
    assert!(
        matches!(&refused, Err(RepoError::Undecided { name, flaw: Flaw::UnknownSigner }) if *name == format!("snapshots/{id}")),
        "what vouched for it may be lost: {refused:?}"
    );
    assert!(stored(&storage) == before && before.contains_key(&format!("snapshots/{id}")));
    // Whoever is sure that it is nobody's gives it up.
    let stranger = Machine::new(418);
    stranger.open(storage.clone(), &key()).unwrap().forget(&[id], Progress::none()).unwrap();
    collect_as(&stranger, &storage).unwrap();
}

#[test]
fn what_another_process_of_the_machine_enters_meanwhile_is_not_missed() {
    let (storage, machine, mut vault) = begin(437);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    // Once when the vault is listed as a whole: what was listed before that is the journals.
    for times in 1..4 {
        let (elsewhere, other, lists) = (storage.clone(), machine.clone(), AtomicUsize::new(0));
        let beside = Faulty::new(&storage, move |act, name| {
            if act == Act::List && name.is_empty() && lists.fetch_add(1, Ordering::Relaxed) == times {
                other.backup(elsewhere.clone(), &key(), &more()).unwrap();
            }
            false
        });
        collect(&mut machine.open(beside, &key()).unwrap()).unwrap();
    }
    good(&machine.open(storage, &key()).unwrap());
}

#[test]
fn what_was_acknowledged_stays_when_the_end_of_a_journal_is_lost() {
    let (storage, [first, _], id, [_, journal]) = two_machines(414);
    storage.remove_raw(journal.last().unwrap());
    let before = stored(&storage);
    let refused = collect_as(&first, &storage);
    assert!(matches!(refused, Err(RepoError::RolledBack { .. })), "who has seen it misses it: {refused:?}");
    let stranger = Machine::new(415);
    let mut trial = CollectOptions::default();
    trial.dry_run = true;
    let mut vault = stranger.open(storage.clone(), &key()).unwrap();
    let report = vault.collect(&trial, Progress::none()).unwrap();
    assert_eq!((report.freed(), report.snapshots), (0, 2), "{report:?}");
    assert_eq!(vault.snapshots().unwrap().snapshots.len(), 1, "a trial changes nothing");
    let report = collect_as(&stranger, &storage).unwrap();
    assert_eq!((report.deleted.count, report.snapshots), (0, 2), "{report:?}");
    assert!(stored(&storage) == before);
    let vault = stranger.open(storage, &key()).unwrap();
    assert_holds(&vault, &id.to_string(), &expected(&more()));
    good(&vault);
}

#[test]
fn a_journal_that_is_gone_altogether_is_missed() {
    let (storage, [_, second], id, [_, journal]) = two_machines(416);
    journal.iter().for_each(|name| drop(storage.remove_raw(name)));
    let before = stored(&storage);
    let stranger = Machine::new(417);
    let refused = collect_as(&stranger, &storage);
    assert!(matches!(refused, Err(RepoError::Undecided { flaw: Flaw::Missing, .. })), "{refused:?}");
    assert!(stored(&storage) == before);
    let report =
        stranger.open(storage.clone(), &key()).unwrap().verify(VerifyLevel::Objects, Progress::none()).unwrap();
    let found: Vec<_> = report.findings.iter().map(|finding| (&finding.object[..], &finding.flaw)).collect();
    let folder = journal[0].rsplit_once('/').unwrap().0;
    assert_eq!(found, [(&format!("{folder}/0000000000.")[..], &Flaw::Missing)]);
    // Backups go on, and when somebody takes the vault as it is, so does all else.
    stranger.backup(storage.clone(), &key(), &source()).unwrap();
    for accepts in [second, stranger] {
        let storage = Arc::new(storage.snapshot());
        accepts.open(storage.clone(), &key()).unwrap().rebuild(true, Progress::none()).unwrap();
        collect_as(&Machine::new(418), &storage).unwrap();
        accepts.backup(storage.clone(), &key(), &more()).unwrap();
        let vault = Machine::new(419).open(storage, &key()).unwrap();
        assert_holds(&vault, &id.to_string(), &expected(&more()));
        good(&vault);
    }
}

#[test]
fn a_machine_that_was_cut_short_when_it_enrolled_is_missed_by_nobody() {
    let (storage, machine, mut vault) = begin(420);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let newcomer = Machine::new(421);
    let broken = Faulty::new(&storage, |act, name| act == Act::Create && name.starts_with("journal/"));
    assert!(newcomer.backup(broken, &key(), &more()).is_err());
    assert_eq!(names(&storage, "writers").len(), 2);
    good(&machine.open(storage.clone(), &key()).unwrap());
    collect_as(&machine, &storage).unwrap();
    // Nor while it stores something for the first time.
    let stop = AtomicBool::new(false);
    let meddler = Meddler::new(b"/e/sub", 1, || {
        let storage = Arc::new(storage.snapshot());
        good(&machine.open(storage.clone(), &key()).unwrap());
        collect_as(&machine, &storage).unwrap();
        stop.store(true, Ordering::Relaxed);
    });
    let mut large = more();
    large.file("/e/large", &noise(8, 38_000_000));
    let progress = Progress { monitor: &meddler, stop: &stop };
    let cut = newcomer.open(storage.clone(), &key()).unwrap().backup(&large, &options(), progress);
    assert!(matches!(cut, Err(RepoError::Interrupted)), "{cut:?}");
    assert!(names(&storage, "packs").len() > 2);
    good(&machine.open(storage.clone(), &key()).unwrap());
    machine.backup(storage.clone(), &key(), &source()).unwrap();
    newcomer.backup(storage.clone(), &key(), &more()).unwrap();
    good(&machine.open(storage.clone(), &key()).unwrap());
}

#[test]
fn a_run_whose_keys_were_adopted_and_deleted_between_their_copies_finds_out() {
    let (storage, machine, mut vault) = begin(422);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let (elsewhere, first) = (storage.clone(), AtomicBool::new(true));
    let hooked = Faulty::new(&storage, move |act, name| {
        if act == Act::Create && name.starts_with("twin/sessions/") && first.swap(false, Ordering::Relaxed) {
            let others = [Machine::new(423), Machine::new(424)];
            others.iter().for_each(|other| other.clock.advance_hours(100));
            let mut small = MemorySource::new(&["/f"]);
            others[0].backup(elsewhere.clone(), &key(), small.file("/f/x", b"short")).unwrap();
            collect_as(&others[1], &elsewhere).unwrap();
        }
        false
    });
    let report = machine.backup(hooked, &key(), &more()).unwrap();
    let vault = Machine::new(425).open(storage, &key()).unwrap();
    assert_holds(&vault, &report.snapshot.to_string(), &expected(&more()));
}

/// A run that dies when all but its journal entry is written; the names of what it stored.
fn dead_run(storage: &Arc<MemoryStorage>, machine: &Machine) -> Vec<String> {
    let before = storage.objects();
    let dying = Faulty::new(storage, |act, name| act == Act::Create && name.starts_with("journal/"));
    assert!(machine.backup(dying, &key(), &more()).is_err());
    stored(storage).into_keys().filter(|name| !before.contains_key(name)).collect()
}

#[test]
fn a_snapshot_that_lacks_something_goes_with_what_only_it_needed() {
    let (storage, machine, mut vault) = begin(430);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let before = stored(&storage);
    let left = dead_run(&storage, &machine);
    let content =
        left.iter().filter(|name| name.starts_with("packs/")).max_by_key(|name| storage.objects()[*name].len());
    storage.remove_raw(content.unwrap());
    let mut trial = CollectOptions::default();
    trial.dry_run = true;
    let said = machine.open(storage.clone(), &key()).unwrap().collect(&trial, Progress::none()).unwrap();
    assert!(said.deleted.count > 0, "{said:?}");
    let report = collect_as(&machine, &storage).unwrap();
    assert_eq!(report.deleted.count, said.deleted.count);
    assert!(stored(&storage) == before, "all that the dead run had left is gone");
    good(&machine.open(storage, &key()).unwrap());
}

#[test]
fn a_snapshot_that_is_damaged_may_have_been_promised_to_somebody() {
    for kind in [6, 7] {
        let (storage, machine, mut vault) = begin(431);
        vault.backup(&source(), &options(), Progress::none()).unwrap();
        let left = dead_run(&storage, &machine);
        let is_of_kind = |name: &&String| name.starts_with("packs/") && storage.objects()[*name][4] == kind;
        rot(&storage, left.iter().find(is_of_kind).unwrap());
        let before = stored(&storage);
        let outcome = collect_as(&machine, &storage);
        assert!(matches!(outcome, Ok(_) | Err(RepoError::Undecided { .. })), "{outcome:?}");
        let after = stored(&storage);
        assert!(before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)), "{kind}");
    }
}

#[test]
fn a_snapshot_that_cannot_be_reached_may_have_been_promised_to_somebody() {
    let (storage, machine, mut vault) = begin(434);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let left = dead_run(&storage, &machine);
    for unreachable in left {
        let storage = Arc::new(storage.snapshot());
        let before = stored(&storage);
        let cable = unreachable.clone();
        let faulty = Faulty::new(&storage, move |act, name| act == Act::Read && name == cable);
        let outcome = collect(&mut machine.clone().open(faulty, &key()).unwrap());
        let after = stored(&storage);
        let stays = before.iter().all(|(name, bytes)| after.get(name) == Some(bytes));
        assert!(stays, "{unreachable}: {outcome:?}");
    }
}

#[test]
fn a_list_that_does_not_name_a_snapshot_makes_it_no_less_promised() {
    let (storage, machine, mut vault) = begin(435);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let left = dead_run(&storage, &machine);
    let snapshot = left.iter().find(|name| name.starts_with("snapshots/")).unwrap();
    let packs: Vec<String> = left.iter().filter(|name| name.starts_with("packs/")).cloned().collect();
    // A collector that died before it deleted anything.
    condemn(&mut Machine::new(436).open(storage.clone(), &key()).unwrap(), &packs).unwrap();
    for hours in [0, 200] {
        machine.clock.advance_hours(hours);
        let outcome = collect_as(&machine, &storage);
        let there = storage.objects();
        assert!(left.iter().all(|name| there.contains_key(name)), "{outcome:?}");
    }
    let id = SnapshotId::from_hex(snapshot.strip_prefix("snapshots/").unwrap()).unwrap();
    assert!(machine.open(storage, &key()).unwrap().can_forget(&id), "whoever knows better says so");
}

#[test]
fn a_snapshot_that_cannot_be_read_and_is_in_no_journal_can_be_given_up() {
    let (storage, machine, mut vault) = begin(432);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let before = stored(&storage);
    let left = dead_run(&storage, &machine);
    let name = left.iter().find(|name| name.starts_with("snapshots/")).unwrap();
    rot(&storage, name);
    let refused = collect_as(&machine, &storage);
    assert!(matches!(&refused, Err(RepoError::Undecided { name: told, .. }) if told == name), "{refused:?}");
    let id = SnapshotId::from_hex(name.strip_prefix("snapshots/").unwrap()).unwrap();
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    assert!(vault.can_forget(&id) && !vault.can_forget(&SnapshotId::new([7; 32])));
    vault.forget(&[id], Progress::none()).unwrap();
    assert!(!vault.can_forget(&id));
    collect_as(&machine, &storage).unwrap();
    assert!(stored(&storage) == before);
    good(&machine.open(storage, &key()).unwrap());
}

#[test]
fn a_snapshot_that_nobody_has_signed_says_nothing_about_what_is_needed() {
    let (storage, machine, mut vault) = begin(433);
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let mut bytes = storage.objects()[&names(&storage, "snapshots")[0]].clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let forged = format!("snapshots/{}", sb_crypto::sha256(&bytes));
    storage.put_raw(&forged, bytes);
    collect_as(&machine, &storage).unwrap();
    assert!(storage.objects().contains_key(&forged), "it is for verify to name");
}

/// A vault with two snapshots that have been given tags, and the second machine to forget one.
fn tagged(seed: u64) -> (Arc<MemoryStorage>, Machine, Machine, [SnapshotId; 2]) {
    let (storage, machine, mut vault) = begin(seed);
    let ids = [source(), more()].map(|source| vault.backup(&source, &options(), Progress::none()).unwrap().snapshot);
    vault.set_tags(ids.map(|id| (id, vec!["kept".to_owned()])).to_vec()).unwrap();
    (storage, machine, Machine::new(seed + 1000), ids)
}

fn labels(storage: &MemoryStorage) -> usize {
    names(storage, "labels").len() + names(storage, "twin/labels").len()
}

/// That nothing is left of what was begun, and one snapshot has its tags.
fn assert_tidy(storage: &Arc<MemoryStorage>) {
    for folder in ["condemned", "fences", "leases"] {
        assert!(names(storage, folder).is_empty(), "{folder}");
    }
    assert_eq!(labels(storage), 2);
    let vault = Machine::new(449).open(storage.clone(), &key()).unwrap();
    let snapshots = vault.snapshots().unwrap().snapshots;
    assert_eq!(snapshots.iter().map(sb_repo::Snapshot::tags).collect::<Vec<_>>(), [["kept"]]);
    good(&vault);
}

#[test]
fn forgetting_what_has_tags_does_not_end_a_collection() {
    let (storage, machine, other, [id, _]) = tagged(440);
    // Something to collect, or nothing is condemned.
    let extra = machine.backup(storage.clone(), &key(), MemorySource::new(&["/f"]).file("/f/x", b"short")).unwrap();
    machine.open(storage.clone(), &key()).unwrap().forget(&[extra.snapshot], Progress::none()).unwrap();
    let (elsewhere, first) = (storage.clone(), AtomicBool::new(true));
    let hooked = Faulty::new(&storage, move |act, name| {
        if act == Act::Create && name.starts_with("condemned/") && first.swap(false, Ordering::Relaxed) {
            // It is cut when it deletes, so that its list stays.
            let keeps = Faulty::new(&elsewhere, |act, name| act == Act::Remove && !name.starts_with("leases/"));
            let cut = other.open(keeps, &key()).unwrap().forget(&[id], Progress::none());
            assert!(matches!(cut, Err(RepoError::Store(_))), "{cut:?}");
        }
        false
    });
    collect(&mut machine.open(hooked, &key()).unwrap()).unwrap();
    assert_eq!(names(&storage, "condemned").len(), 1);
    collect_as(&machine, &storage).unwrap();
    assert_tidy(&storage);
}

#[test]
fn labels_of_what_is_forgotten_are_collected_however_they_were_left() {
    // Given to a snapshot that somebody has forgotten meanwhile.
    let (storage, machine, other, [id, _]) = tagged(442);
    let mut late = other.open(storage.clone(), &key()).unwrap();
    machine.open(storage.clone(), &key()).unwrap().forget(&[id], Progress::none()).unwrap();
    late.set_tags(vec![(id, vec!["late".to_owned()])]).unwrap();
    assert_eq!(labels(&storage), 4);
    let report = collect_as(&machine, &storage).unwrap();
    assert!(report.others.count >= 2, "{report:?}");
    assert_tidy(&storage);
    // Replaced, but not deleted.
    let (storage, machine, _, [id, other]) = tagged(443);
    let keeps = Faulty::new(&storage, |act, name| act == Act::Remove && name.contains("labels/"));
    machine.open(keeps, &key()).unwrap().set_tags(vec![(other, vec!["kept".to_owned()])]).unwrap();
    assert_eq!(labels(&storage), 6);
    machine.open(storage.clone(), &key()).unwrap().forget(&[id], Progress::none()).unwrap();
    collect_as(&machine, &storage).unwrap();
    assert_tidy(&storage);
}

#[test]
fn a_forgetting_that_fails_before_its_entry_leaves_no_list() {
    let (storage, machine, _, [id, _]) = tagged(444);
    let begun = AtomicBool::new(false);
    let broken = Faulty::new(&storage, move |act, name| {
        let is_list = act == Act::Create && name.starts_with("condemned/");
        let begun = begun.fetch_or(is_list, Ordering::Relaxed) || is_list;
        begun && act == Act::List && name == "leases"
    });
    let failed = machine.open(broken, &key()).unwrap().forget(&[id], Progress::none());
    assert!(matches!(failed, Err(RepoError::Store(_))), "{failed:?}");
    assert!(names(&storage, "condemned").is_empty());
    assert_eq!(machine.open(storage, &key()).unwrap().snapshots().unwrap().snapshots.len(), 2);
}

#[test]
fn who_begins_to_collect_after_another_gives_way_before_it_is_in_the_way() {
    let (storage, machine, mut vault) = begin(450);
    let id = vault.backup(&source(), &options(), Progress::none()).unwrap().snapshot;
    vault.forget(&[id], Progress::none()).unwrap();
    let (elsewhere, first, other) = (storage.clone(), AtomicBool::new(true), Machine::new(451));
    let raised = Arc::new(AtomicBool::new(false));
    let seen = raised.clone();
    let hooked = Faulty::new(&storage, move |act, name| {
        if act == Act::List && name == "fences" && first.swap(false, Ordering::Relaxed) {
            // Another takes lease and fence, and goes no further for now.
            let stuck = Faulty::new(&elsewhere, |act, name| {
                act == Act::Remove || act == Act::Create && name.starts_with("condemned/")
            });
            assert!(collect(&mut other.open(stuck, &key()).unwrap()).is_err());
        }
        seen.fetch_or(act == Act::Create && name.starts_with("fences/"), Ordering::Relaxed);
        false
    });
    let refused = collect(&mut machine.open(hooked, &key()).unwrap());
    assert!(matches!(refused, Err(RepoError::Busy { .. })), "{refused:?}");
    assert!(!raised.load(Ordering::Relaxed), "the other goes on as if nobody had come");
}

#[test]
fn snapshots_that_are_entered_while_a_collection_looks_do_not_end_it() {
    let (storage, machine, mut vault) = begin(452);
    let id = vault.backup(&source(), &options(), Progress::none()).unwrap().snapshot;
    vault.forget(&[id], Progress::none()).unwrap();
    let elsewhere = storage.clone();
    let other = Machine::new(453);
    let hooked = Faulty::new(&storage, move |act, name| {
        if act == Act::List && name == "journal" {
            // Snapshots have been listed by now, journals have not.
            other.backup(elsewhere.clone(), &key(), &more()).unwrap();
        }
        false
    });
    collect(&mut machine.open(hooked, &key()).unwrap()).unwrap();
    let vault = machine.open(storage, &key()).unwrap();
    assert!(vault.snapshots().unwrap().snapshots.len() > 2);
    assert_holds(&vault, "latest", &expected(&more()));
    good(&vault);
}
