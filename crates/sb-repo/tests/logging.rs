//! Audit logs in the vault: what was logged stays, in one order, and whatever is done to it is found.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::faulty::{Act, Faulty};
use common::meddler::{begin, good, source};
use common::{Machine, event, key, new_vault, options};
use proptest::prelude::*;
use sb_audit::{Event, KeyChain, LogTip, Outcome, Policy};
use sb_crypto::VerifyingKey;
use sb_repo::testing::{forge_batch, log_signer};
use sb_repo::{
    CollectOptions, Flaw, KeyId, LogFinding, LogPosition, Logs, Progress, RepoError, State, Vault, VerifyLevel, View,
};
use sb_store::{MemoryStorage, Storage};

fn names(storage: &MemoryStorage, folder: &str) -> Vec<String> {
    storage.list(folder).unwrap().into_iter().map(|listed| listed.name).collect()
}

fn log(machine: &Machine, storage: &Arc<MemoryStorage>, ns: &[u32]) -> Result<LogPosition, RepoError> {
    let events: Vec<Event> = ns.iter().map(|n| event(*n)).collect();
    machine.open(storage.clone(), &key())?.log(&events)
}

fn logs(machine: &Machine, storage: &Arc<MemoryStorage>) -> Logs {
    machine.open(storage.clone(), &key()).unwrap().logs(Progress::none()).unwrap()
}

fn stranger() -> Machine {
    Machine::new(99)
}

/// What is found by whoever reads the logs; `verify` names the same, where it is damage, and with each object once.
fn found(machine: &Machine, storage: &Arc<MemoryStorage>) -> Vec<(String, String)> {
    let view = View::open(storage.clone(), &machine.state, None).unwrap();
    let found = view.logs(Progress::none()).unwrap().findings;
    let mut damaged: Vec<&str> =
        found.iter().filter(|finding| finding.is_damage()).map(|finding| finding.object.as_str()).collect();
    damaged.sort_unstable();
    damaged.dedup();
    let report = view.verify(Progress::none()).unwrap();
    let mut named: Vec<&str> = report.findings.iter().map(|finding| finding.object.as_str()).collect();
    named.sort_unstable();
    assert_eq!(named, damaged);
    found.into_iter().map(|finding| (finding.object, finding.flaw.to_string())).collect()
}

/// A vault with a log of three batches: entries 0 and 1, 2, 3 to 5. Their names.
fn with_log(seed: u64) -> (Arc<MemoryStorage>, Machine, Vec<String>) {
    let (storage, machine, _) = begin(seed);
    for ns in [&[0, 1][..], &[2], &[3, 4, 5]] {
        log(&machine, &storage, ns).unwrap();
    }
    let batches = names(&storage, "log");
    assert_eq!(batches.len(), 3);
    (storage, machine, batches)
}

/// An event without what the log adds to it.
fn bare(event: &Event) -> Event {
    let mut event = event.clone();
    event.data.retain(|key, _| !["journal", "logs"].contains(&key.as_str()));
    event
}

fn stem(name: &str) -> &str {
    &name[..=name.rfind('.').unwrap()]
}

#[test]
fn what_several_machines_log_is_read_by_time_with_writer_and_number() {
    let (storage, first, _) = begin(600);
    let second = Machine::new(601);
    let one = log(&first, &storage, &[1, 3]).unwrap();
    let two = log(&second, &storage, &[2]).unwrap();
    let three = log(&first, &storage, &[4]).unwrap();
    assert_eq!((one.first, one.head.size, three.first, three.head.size), (0, 2, 2, 3));
    assert!(one.writer == three.writer && one.writer != two.writer && two.first == 0);
    assert_eq!(names(&storage, "log").len(), 3);
    assert!(storage.objects().contains_key(&three.object));
    let view = View::open(storage.clone(), &State::in_memory(), None).unwrap();
    let logs = view.logs(Progress::none()).unwrap();
    assert!(logs.findings.is_empty(), "{:?}", logs.findings);
    let read: Vec<_> =
        logs.entries.iter().map(|logged| (logged.writer, logged.entry.seq, bare(&logged.entry.event))).collect();
    let (a, b) = (one.writer, two.writer);
    assert_eq!(read, [(a, 0, event(1)), (b, 0, event(2)), (a, 1, event(3)), (a, 2, event(4))]);
    assert_eq!(logs.heads, BTreeMap::from([(a, three.head), (b, two.head)]));
    assert!(found(&first, &storage).is_empty());
}

#[test]
fn an_entry_is_proved_by_its_batch_and_the_key_that_the_vault_vouches_for() {
    let (storage, _, _) = with_log(602);
    let view = View::open(storage, &State::in_memory(), None).unwrap();
    let writer = *view.logs(Progress::none()).unwrap().heads.keys().next().unwrap();
    let log = view.log_key(writer).unwrap();
    assert_eq!(log.name(), format!("sbv1/log/{}/{writer}", view.id()));
    let policy = Policy::parse(format!("log {log}\nquorum none\n").as_bytes()).unwrap();
    for seq in 0..6 {
        let proof = view.log_batch(writer, seq).unwrap().prove(seq).unwrap();
        proof.verify(proof.extra.as_deref().unwrap(), &policy).unwrap();
    }
    assert!(view.log_batch(writer, 6).is_none() && view.log_batch(KeyId::new([0; 16]), 0).is_none());
    assert!(view.log_key(KeyId::new([0; 16])).is_none());
}

/// What an auditor gets are these objects as they are stored, and the root key, which stands in the config.
#[test]
fn the_key_of_a_log_follows_from_the_root_key_without_this_crate() {
    let (storage, _, _) = with_log(604);
    let view = View::open(storage.clone(), &State::in_memory(), None).unwrap();
    let objects = storage.objects();
    let only = |folder: &str| -> Vec<u8> { objects[&names(&storage, folder)[0]].to_vec() };
    let config = only("config");
    let is_root = |bytes: &&[u8]| sb_crypto::sha256(bytes) == view.root_fingerprint();
    let root = config.windows(32).find(is_root).unwrap();
    let root = VerifyingKey::from_bytes(root.try_into().unwrap());
    let chain = KeyChain::verify(&root, &only("users"), &only("writers")).unwrap();
    let writer = *view.logs(Progress::none()).unwrap().heads.keys().next().unwrap();
    assert_eq!(Some(chain.log()), view.log_key(writer).as_ref());
    assert_eq!(chain.vault(), view.id().as_bytes());
}

#[test]
fn whatever_is_done_with_the_vault_leaves_logs_alone() {
    let (storage, machine, batches) = with_log(603);
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    let id = vault.backup(&source(), &options(), Progress::none()).unwrap().snapshot;
    // What a dead run left is taken over, too.
    let dying = Faulty::new(&storage, |act, name| act == Act::Create && name.starts_with("journal/"));
    assert!(Machine::new(604).backup(dying, &key(), &source()).is_err());
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    vault.forget(&[id], Progress::none()).unwrap();
    stranger().clock.advance_hours(100);
    vault.collect(&CollectOptions::default(), Progress::none()).unwrap();
    for accepts in [false, true] {
        vault.rebuild(accepts, Progress::none()).unwrap();
    }
    assert_eq!(names(&storage, "log"), batches);
    let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
    assert!(report.is_good() && report.unfinished.is_empty(), "{report:?}");
    assert_eq!(log(&machine, &storage, &[6]).unwrap().first, 6, "the log goes on");
    assert!(found(&machine, &storage).is_empty());
}

#[test]
fn a_run_tells_the_journal_entry_that_commits_to_what_it_did() {
    let (storage, machine, mut vault) = begin(605);
    let backup = vault.backup(&source(), &options(), Progress::none()).unwrap();
    let newest = |number: u64| {
        let journal = names(&storage, "journal");
        let name = journal.iter().find(|name| name.contains(&format!("/{number:010}."))).unwrap();
        name[name.rfind('.').unwrap() + 1..].to_owned()
    };
    let head = backup.journal.unwrap();
    assert_eq!((head.sha256.to_string(), head.number), (newest(1), 1));
    assert!(names(&storage, "journal")[0].contains(&KeyId::new(head.writer.key_id()).to_string()));
    let forget = vault.forget(&[backup.snapshot], Progress::none()).unwrap();
    assert_eq!(forget.journal.map(|head| (head.sha256.to_string(), head.number)), Some((newest(2), 2)));
    let collect = vault.collect(&CollectOptions::default(), Progress::none()).unwrap();
    let head = collect.journal.unwrap();
    assert!(head.number > 2 && head.sha256.to_string() == newest(head.number));
    let mut trial = options();
    trial.dry_run = true;
    assert_eq!(vault.backup(&source(), &trial, Progress::none()).unwrap().journal, None);
    assert_eq!(vault.forget(&[], Progress::none()).unwrap().journal, None);
    good(&machine.open(storage, &key()).unwrap());
}

#[test]
fn no_log_is_read_to_open_a_vault_and_only_the_newest_own_batch_to_append() {
    let (storage, machine, batches) = with_log(606);
    log(&Machine::new(607), &storage, &[7]).unwrap();
    let opened = Faulty::new(&storage, |act, name| act == Act::Read && name.starts_with("log/"));
    let mut vault = machine.open(opened, &key()).unwrap();
    vault.backup(&source(), &options(), Progress::none()).unwrap();
    let newest = batches[2].clone();
    let appended =
        Faulty::new(&storage, move |act, name| act == Act::Read && name.starts_with("log/") && name != newest);
    machine.open(appended.clone(), &key()).unwrap().log(&[event(8)]).unwrap();
    assert_eq!(appended.bytes_read.lock().unwrap()["log"], storage.objects()[&batches[2]].len() as u64);
    assert!(found(&machine, &storage).is_empty());
}

#[test]
fn the_end_of_a_log_is_missed_by_who_remembers_it_and_by_whoever_reads_what_they_say() {
    let (storage, machine, batches) = with_log(608);
    let visitors = [610, 611, 612].map(Machine::new);
    let [one, two, mut three] = [0, 1, 2].map(|n| visitors[n].open(storage.clone(), &key()).unwrap());
    one.logs(Progress::none()).unwrap();
    two.verify(VerifyLevel::Objects, Progress::none()).unwrap();
    three.heed_logs().unwrap();
    let lost = Arc::new(storage.snapshot());
    lost.remove_raw(&batches[2]);
    let said = "the log had 6 entries and has 3".to_owned();
    for knows in visitors.iter().chain([&machine]) {
        for _ in 0..2 {
            assert_eq!(found(knows, &lost), [(batches[2].clone(), said.clone())]);
            knows.open(lost.clone(), &key()).unwrap().heed_logs().unwrap();
        }
    }
    assert!(found(&stranger(), &lost).is_empty());
    let refused = log(&machine, &lost, &[6]);
    assert!(matches!(refused, Err(RepoError::LogRolledBack { size: 6, .. })), "{refused:?}");
    // Others have logs of their own, in which it stands what they have seen.
    let witness = Arc::new(lost.snapshot());
    assert!(log(&visitors[2], &witness, &[6]).is_ok());
    assert_eq!(
        found(&stranger(), &witness),
        [(format!("log/{}", batches[2].split('/').nth(1).unwrap()), said.clone())]
    );
    // So does the journal of the machine itself, if it goes on without logging.
    let journal = Arc::new(lost.snapshot());
    machine.backup(journal.clone(), &key(), &source()).unwrap();
    assert_eq!(found(&stranger(), &journal).len(), 1);
    // When somebody takes the vault as it is, the log goes on, under another name.
    let before = names(&lost, "log");
    let report = machine.open(lost.clone(), &key()).unwrap().rebuild(true, Progress::none()).unwrap();
    assert!(report.accepted && report.enrolled);
    assert!(found(&machine, &lost).is_empty());
    assert_eq!(log(&machine, &lost, &[6]).unwrap().first, 0);
    assert_eq!(names(&lost, "log").len(), before.len() + 1);
    assert!(found(&machine, &lost).is_empty());
    // Who has not seen it accepted still misses it.
    assert_eq!(found(&visitors[0], &lost), [(batches[2].clone(), said)]);
    assert!(visitors[0].open(lost.clone(), &key()).unwrap().rebuild(true, Progress::none()).unwrap().accepted);
    assert!(found(&visitors[0], &lost).is_empty());
}

#[test]
fn nothing_that_is_odd_or_lies_beside_a_log_hides_that_it_was_cut_short() {
    let (storage, machine, batches) = with_log(641);
    // The clock is set back, which is odd.
    log(&machine, &storage, &[0]).unwrap();
    log(&machine, &storage, &[7]).unwrap();
    machine.backup(storage.clone(), &key(), &source()).unwrap();
    storage.remove_raw(names(&storage, "log").last().unwrap());
    let folder = batches[0].rsplit_once('/').unwrap().0;
    let cut = (folder.to_owned(), "the log had 8 entries and has 7".to_owned());
    let odd = found(&stranger(), &storage);
    assert!(odd.contains(&cut) && odd.len() == 2, "{odd:?}");
    // What nobody of this vault has signed lies where the end was.
    let (other, _, mut thief) = begin(642);
    let foreign = forge_batch(&mut thief, 7, b"no batch").unwrap();
    storage.put_raw(format!("{folder}/{}", foreign.rsplit_once('/').unwrap().1), other.objects()[&foreign].clone());
    assert!(found(&stranger(), &storage).contains(&cut));
    // Other machines say in their logs what they have seen.
    let witness = Arc::new(storage.snapshot());
    Machine::new(643).open(witness.clone(), &key()).unwrap().log(&[event(8)]).unwrap();
    assert!(found(&stranger(), &witness).contains(&cut));
    // A batch in the middle that rots does not explain that the end is gone.
    let mut bytes = storage.objects()[&batches[1]].clone();
    bytes[300] ^= 1;
    storage.put_raw(&batches[1], bytes);
    assert!(found(&stranger(), &storage).contains(&cut));
}

#[test]
fn what_was_kept_for_a_log_that_cannot_be_continued_goes_into_the_next() {
    let (storage, machine, batches) = with_log(644);
    machine.open(storage.clone(), &key()).unwrap().spool(&event(6).answering(3)).unwrap();
    let mut bytes = storage.objects()[&batches[2]].clone();
    bytes[300] ^= 1;
    storage.put_raw(&batches[2], bytes);
    let position = log(&machine, &storage, &[7]).unwrap();
    assert_eq!((position.first, machine.open(storage.clone(), &key()).unwrap().spooled()), (1, 0));
    let logs = logs(&machine, &storage);
    let kept = logs.entries.iter().find(|logged| logged.writer == position.writer).unwrap();
    assert_eq!((kept.entry.event.intent, &kept.entry.event.data["announced"]), (None, &sb_audit::Json::Integer(3)));
}

#[test]
fn however_much_was_kept_it_is_logged() {
    let (storage, machine, mut vault) = begin(645);
    for n in 0..2001 {
        vault.spool(&event(n)).unwrap();
    }
    let position = vault.log(&[event(3000)]).unwrap();
    assert_eq!((position.first, position.head.size, names(&storage, "log").len()), (2001, 2002, 3));
    let told: Vec<_> = logs(&machine, &storage).entries.iter().map(|logged| bare(&logged.entry.event)).collect();
    assert_eq!(told, (0..2001).chain([3000]).map(event).collect::<Vec<_>>());
}

#[test]
fn what_was_done_and_not_logged_stays_to_be_told_whoever_tries_to_get_in() {
    let (storage, machine, mut vault) = begin(646);
    vault.log(&[event(1)]).unwrap();
    let untold = |storage: &Arc<MemoryStorage>| {
        let told = machine.open(storage.clone(), &key()).unwrap().unlogged().unwrap();
        told.into_iter().map(|unlogged| unlogged.operation).collect::<Vec<_>>()
    };
    assert!(untold(&storage).is_empty());
    // While a run goes on, it is the run that tells.
    let meanwhile = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (seen, inner, before) = (meanwhile.clone(), storage.clone(), names(&storage, "journal").len());
    let twin = machine.clone();
    let watched = Faulty::new(&storage, move |act, name| {
        if act == Act::Read && name.starts_with("journal/") && names(&inner, "journal").len() > before {
            seen.lock().unwrap().push(twin.open(inner.clone(), &key()).unwrap().unlogged().unwrap());
        }
        false
    });
    let mut running = machine.open(watched, &key()).unwrap();
    running.backup(&source(), &options(), Progress::none()).unwrap();
    let meanwhile = std::mem::take(&mut *meanwhile.lock().unwrap());
    assert!(!meanwhile.is_empty() && meanwhile.iter().all(Vec::is_empty), "{meanwhile:?}");
    assert_eq!(untold(&storage), ["backup"]);
    assert!(sb_repo::log_unopened(&machine.around(storage.clone()), &event(2)).unwrap());
    assert_eq!(untold(&storage), ["backup"]);
    machine.open(storage.clone(), &key()).unwrap().log(&[event(3)]).unwrap();
    assert!(untold(&storage).is_empty());
    // Who has looked at the vault before, and logs later, takes nothing back.
    let mut early = machine.open(storage.clone(), &key()).unwrap();
    let mut later = machine.open(storage.clone(), &key()).unwrap();
    later.backup(&source(), &options(), Progress::none()).unwrap();
    later.log(&[event(4)]).unwrap();
    early.log(&[event(5)]).unwrap();
    assert!(untold(&storage).is_empty());
    assert!(sb_repo::log_unopened(&machine.around(storage.clone()), &event(6)).unwrap());
    assert!(untold(&storage).is_empty() && found(&machine, &storage).is_empty());
}

#[test]
fn a_whole_log_that_is_gone_is_missed() {
    let (storage, machine, _) = with_log(613);
    let other = Machine::new(614);
    let gone = log(&other, &storage, &[7]).unwrap().object;
    machine.open(storage.clone(), &key()).unwrap().heed_logs().unwrap();
    storage.remove_raw(&gone);
    for knows in [&machine, &other] {
        assert_eq!(found(knows, &storage), [(gone.clone(), "the log had 1 entries and has 0".to_owned())]);
    }
    assert!(matches!(log(&other, &storage, &[8]), Err(RepoError::LogRolledBack { .. })));
    assert!(log(&machine, &storage, &[8]).is_ok());
}

#[test]
fn a_batch_that_is_gone_from_the_middle_or_replaced_is_named() {
    let (storage, machine, batches) = with_log(615);
    let objects = storage.objects();
    for machine in [&machine, &stranger()] {
        let gone = Arc::new(storage.snapshot());
        gone.remove_raw(&batches[1]);
        assert_eq!(found(machine, &gone), [(stem(&batches[1]).to_owned(), "entries 2 to 2 are missing".to_owned())]);
        // An older one in its place: under its name, or under a name that fits the bytes.
        gone.put_raw(&batches[1], objects[&batches[0]].clone());
        assert_eq!(found(machine, &gone), [(batches[1].clone(), Flaw::WrongHash.to_string())]);
        gone.remove_raw(&batches[1]);
        let hash = &batches[0][batches[0].rfind('.').unwrap() + 1..];
        let renamed = format!("{}{hash}", stem(&batches[1]));
        gone.put_raw(&renamed, objects[&batches[0]].clone());
        let mut both = found(machine, &gone);
        both.sort();
        let missing = (stem(&batches[1]).to_owned(), "entries 2 to 2 are missing".to_owned());
        assert_eq!(both, [missing, (renamed, Flaw::BadSignature.to_string())]);
    }
    let first_gone = Arc::new(storage.snapshot());
    first_gone.remove_raw(&batches[0]);
    assert_eq!(found(&stranger(), &first_gone)[0].0, stem(&batches[0]));
    assert_eq!(log(&machine, &first_gone, &[6]).unwrap().first, 6, "the machine knows where its log ends");
}

#[test]
fn a_newest_batch_that_rots_costs_itself_and_the_machine_goes_on_under_a_new_name() {
    let (storage, machine, batches) = with_log(616);
    let mut bytes = storage.objects()[&batches[2]].clone();
    bytes[300] ^= 1;
    storage.put_raw(&batches[2], bytes);
    let damaged = [(batches[2].clone(), Flaw::WrongHash.to_string())];
    assert_eq!(found(&machine, &storage), damaged);
    let writers = names(&storage, "writers").len();
    assert_eq!(log(&machine, &storage, &[6]).unwrap().first, 0);
    assert_eq!(log(&machine, &storage, &[7]).unwrap().first, 1);
    assert_eq!(names(&storage, "writers").len(), writers + 1);
    assert_eq!(found(&machine, &storage), damaged);
}

#[test]
fn what_others_put_beside_a_log_is_named_and_stops_nothing() {
    let (storage, machine, batches) = with_log(617);
    let folder = batches[0].rsplit_once('/').unwrap().0;
    let (other, other_machine, mut thief) = begin(618);
    let body = b"no batch";
    let foreign = forge_batch(&mut thief, 0, body).unwrap();
    let nobodys = format!("{folder}/{}", foreign.rsplit_once('/').unwrap().1);
    storage.put_raw(&nobodys, other.objects()[&foreign].clone());
    // Another writer of this vault, in the name of the first.
    let mut second = Machine::new(619).open(storage.clone(), &key()).unwrap();
    let own = forge_batch(&mut second, 6, body).unwrap();
    let forged = format!("{folder}/{}", own.rsplit_once('/').unwrap().1);
    storage.put_raw(&forged, storage.objects()[&own].clone());
    let junk = format!("{folder}/9999999999.{}", sb_crypto::sha256(b"junk"));
    storage.put_raw(&junk, b"junk");
    let expected = |mut found: Vec<(String, String)>| {
        found.retain(|(name, _)| *name != own);
        let names: Vec<_> = found.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [nobodys.clone(), forged.clone(), junk.clone()]);
    };
    expected(found(&machine, &storage));
    assert!(
        found(&stranger(), &storage).iter().any(|(name, flaw)| *name == own && flaw.contains("not a valid log batch"))
    );
    assert_eq!(log(&machine, &storage, &[6]).unwrap().first, 6);
    expected(found(&machine, &storage));
    // Who has signed nonsense himself can't go on there.
    let position = second.log(&[event(8)]).unwrap();
    assert!(position.first == 0 && !own.contains(&position.writer.to_string()));
    drop(other_machine);
}

#[test]
fn a_log_whose_writer_nobody_vouches_for_counts_for_nothing() {
    let (storage, machine, batches) = with_log(620);
    let vouches = |name: &String| name.contains("writers/");
    storage.objects().into_keys().filter(vouches).for_each(|name| drop(storage.remove_raw(&name)));
    let view = View::open(storage.clone(), &machine.state, None).unwrap();
    let logs = view.logs(Progress::none()).unwrap();
    assert!(logs.entries.is_empty() && logs.heads.is_empty());
    let named: Vec<_> = logs.findings.iter().map(|finding| &finding.object).collect();
    assert_eq!(named, batches.iter().chain([&batches[2]]).collect::<Vec<_>>());
    // The machine still has its key, and certifies itself again.
    assert_eq!(log(&machine, &storage, &[6]).unwrap().first, 6);
    assert_eq!(self::logs(&machine, &storage).entries.len(), 7);
}

#[test]
fn a_rewritten_log_is_found_as_long_as_somebody_remembers_the_other() {
    let (storage, machine, batches) = with_log(621);
    let visitor = Machine::new(622);
    visitor.open(storage.clone(), &key()).unwrap().heed_logs().unwrap();
    // With the log key a thief writes another history, and a longer one.
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    let signer = log_signer(&mut vault).unwrap();
    batches.iter().for_each(|name| drop(storage.remove_raw(name)));
    let (first, tip) = LogTip::new().append(&signer, &[event(0)]).unwrap();
    let (second, tip) = tip.append(&signer, &(10..20).map(event).collect::<Vec<_>>()).unwrap();
    assert_eq!(tip.size(), 11);
    forge_batch(&mut vault, 0, &first).unwrap();
    forge_batch(&mut vault, 1, &second).unwrap();
    assert!(found(&stranger(), &storage).is_empty(), "it is a good log");
    for knows in [&machine, &visitor] {
        for look in [
            |vault: &mut Vault| vault.heed_logs().unwrap(),
            |vault: &mut Vault| drop(vault.logs(Progress::none()).unwrap()),
            |vault: &mut Vault| drop(vault.verify(VerifyLevel::Objects, Progress::none()).unwrap()),
        ] {
            let said = "the first 6 entries are not those that were there".to_owned();
            assert_eq!(found(knows, &storage), [(batches[2].clone(), said)]);
            look(&mut knows.open(storage.clone(), &key()).unwrap());
        }
    }
    assert!(matches!(log(&machine, &storage, &[6]), Err(RepoError::LogRolledBack { size: 6, .. })));
}

#[test]
fn a_longer_fork_does_not_take_the_place_of_what_is_remembered() {
    let (storage, machine, batches) = with_log(639);
    let visitor = Machine::new(640);
    visitor.open(storage.clone(), &key()).unwrap().heed_logs().unwrap();
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    let signer = log_signer(&mut vault).unwrap();
    let writer = *logs(&stranger(), &storage).heads.keys().next().unwrap();
    let tip = vault.view().log_batch(writer, 2).unwrap().tip().clone();
    let (longer, _) = tip.append(&signer, &(10..20).map(event).collect::<Vec<_>>()).unwrap();
    forge_batch(&mut vault, 3, &longer).unwrap();
    for look in [
        |vault: &mut Vault| vault.heed_logs().unwrap(),
        |vault: &mut Vault| drop(vault.logs(Progress::none()).unwrap()),
    ] {
        look(&mut visitor.open(storage.clone(), &key()).unwrap());
    }
    let less = Arc::new(storage.snapshot());
    less.remove_raw(&batches[2]);
    let said = "the first 6 entries are not those that were there".to_owned();
    assert_eq!(found(&visitor, &less), [(batches[2].clone(), said)]);
}

#[test]
fn a_batch_that_says_again_what_others_say_changes_nothing() {
    let (storage, machine, _) = with_log(632);
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    let signer = log_signer(&mut vault).unwrap();
    let writer = *logs(&machine, &storage).heads.keys().next().unwrap();
    let tip = vault.view().log_batch(writer, 2).unwrap().tip().clone();
    for ns in [&[3][..], &[3, 4]] {
        let (again, _) = tip.append(&signer, &ns.iter().map(|n| event(*n)).collect::<Vec<_>>()).unwrap();
        forge_batch(&mut vault, 3, &again).unwrap();
    }
    assert_eq!(logs(&machine, &storage).entries.len(), 6);
    assert_eq!(log(&machine, &storage, &[6]).unwrap().first, 6);
    assert!(found(&machine, &storage).is_empty());
}

#[test]
fn what_several_branches_share_is_told_once() {
    let (storage, machine, _) = begin(633);
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    let signer = log_signer(&mut vault).unwrap();
    for n in 0..12 {
        // Half of them begin alike; in which order they are read is chance.
        let first = if n % 2 == 0 { 0 } else { 100 + n };
        let (bytes, _) = LogTip::new().append(&signer, &[event(first), event(200 + n)]).unwrap();
        forge_batch(&mut vault, 0, &bytes).unwrap();
    }
    let logs = logs(&stranger(), &storage);
    let of = |seq| logs.entries.iter().filter(|logged| logged.entry.seq == seq).count();
    assert_eq!((of(0), of(1)), (7, 12));
    assert_eq!(logs.entries.iter().filter(|logged| logged.entry.event == event(0)).count(), 1);
}

/// A rollback is accepted for logs that lost something, not for one that another process has just gone on with.
#[test]
fn what_is_logged_while_a_rollback_is_accepted_stays_remembered() {
    let (storage, machine, _) = with_log(636);
    let twin = Machine { state: machine.state.clone(), ..Machine::new(637) };
    let (armed, inner) = (Arc::new(AtomicBool::new(false)), storage.clone());
    let (is_armed, log_between) = (armed.clone(), move || log(&twin, &inner, &[7]).unwrap());
    let watched = Faulty::new(&storage, move |act, name| {
        if act == Act::Read && name.starts_with("journal/") && is_armed.swap(false, Ordering::SeqCst) {
            log_between();
        }
        false
    });
    let mut vault = machine.open(watched, &key()).unwrap();
    // So that the vault, when it is looked at again, is another, and its journals are read.
    Machine::new(638).backup(storage.clone(), &key(), &source()).unwrap();
    armed.store(true, Ordering::SeqCst);
    let report = vault.rebuild(true, Progress::none()).unwrap();
    assert!(!armed.load(Ordering::SeqCst), "it was logged between");
    assert!(!report.accepted && !report.enrolled);
    assert_eq!(log(&machine, &storage, &[8]).unwrap().first, 7);
    assert!(found(&machine, &storage).is_empty());
}

#[test]
fn a_batch_that_is_not_listed_is_missed_even_if_the_storage_says_that_it_has_it() {
    let (storage, machine, batches) = with_log(634);
    let hides = Faulty::hiding(&storage, &batches[2]);
    let view = View::open(hides, &machine.state, None).unwrap();
    let logs = view.logs(Progress::none()).unwrap();
    let said: Vec<_> = logs.findings.iter().map(|finding| (finding.object.clone(), finding.flaw.to_string())).collect();
    assert_eq!(said, [(batches[2].clone(), "the log had 6 entries and has 3".to_owned())]);
}

#[test]
fn what_another_process_has_logged_since_is_read_with_it() {
    let (storage, machine, _) = with_log(635);
    let mut early = machine.open(storage.clone(), &key()).unwrap();
    log(&machine, &storage, &[6, 7]).unwrap();
    // It learns what is remembered, and has not listed the vault again.
    early.heed_logs().unwrap();
    let logs = early.logs(Progress::none()).unwrap();
    assert!(logs.findings.is_empty(), "{:?}", logs.findings);
    assert_eq!(logs.entries.len(), 8);
    good(&early);
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn a_cloned_machine_forks_its_log_which_stays_whole_and_goes_on_under_a_new_name() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["a", "b"].map(|name| folder.path().join(name));
    let storage = Arc::new(MemoryStorage::new());
    let machine = Machine { state: State::open(&first).unwrap(), ..Machine::new(623) };
    new_vault(&machine, storage.clone());
    log(&machine, &storage, &[0, 1]).unwrap();
    copy_folder(&first, &second);
    let clone = Machine { state: State::open(&second).unwrap(), ..Machine::new(624) };
    // Both append at once: neither sees what the other writes.
    let elsewhere = Arc::new(storage.snapshot());
    log(&machine, &storage, &[2, 3]).unwrap();
    let forked = log(&clone, &elsewhere, &[2, 4]).unwrap();
    elsewhere.objects().into_iter().for_each(|(name, bytes)| storage.put_raw(name, bytes));
    let found = found(&stranger(), &storage);
    assert_eq!(found.iter().map(|(_, flaw)| flaw.as_str()).collect::<Vec<_>>(), ["the log forks at entry 3"]);
    assert!(found[0].0.starts_with(stem(&forked.object)));
    let told: Vec<_> = logs(&stranger(), &storage).entries.iter().map(|logged| bare(&logged.entry.event)).collect();
    assert_eq!(told, [0, 1, 2, 3, 4].map(event), "what both said is there once, what each said too");
    for machine in [&machine, &clone] {
        let anew = log(machine, &storage, &[5]).unwrap();
        assert!(anew.first == 0 && anew.writer != forked.writer);
        assert_eq!(log(machine, &storage, &[6]).unwrap().first, 1);
    }
    assert_eq!(self::found(&machine, &storage), found, "the fork stays on record");
    // And so does what each of them has said of the forked log.
    for name in names(&storage, "log").iter().filter(|name| name.starts_with(stem(&forked.object))) {
        let less = Arc::new(storage.snapshot());
        less.remove_raw(name);
        let missed = [&machine, &clone, &stranger()].map(|machine| self::found(machine, &less).len());
        assert_eq!(missed, [1, 1, 1]);
    }
}

#[test]
fn a_machine_that_has_forgotten_where_its_log_ends_finds_out() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(MemoryStorage::new());
    let machine = Machine { state: State::open(folder.path()).unwrap(), ..Machine::new(625) };
    new_vault(&machine, storage.clone());
    for n in 0..3 {
        fs::remove_file(folder.path().join("heads")).unwrap();
        assert_eq!(log(&machine, &storage, &[n]).unwrap().first, u64::from(n));
    }
    assert!(fs::read_to_string(folder.path().join("heads")).unwrap().contains("log "));
    assert!(found(&machine, &storage).is_empty());
}

#[test]
fn processes_of_one_machine_log_one_after_the_other() {
    let (storage, machine, _) = begin(626);
    std::thread::scope(|scope| {
        for process in 0..3 {
            let (machine, storage) = (&machine, &storage);
            scope.spawn(move || {
                let mut vault = machine.open(storage.clone(), &key()).unwrap();
                for n in 0..4 {
                    vault.log(&[event(process * 10 + n), event(process * 10 + n)]).unwrap();
                }
                good(&vault);
            });
        }
    });
    let logs = logs(&machine, &storage);
    assert!(logs.heads.len() == 1 && !logs.findings.iter().any(LogFinding::is_damage), "{logs:?}");
    let mut numbers: Vec<_> = logs.entries.iter().map(|logged| logged.entry.seq).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..24).collect::<Vec<_>>());
}

#[test]
fn what_is_odd_is_told_and_is_no_damage() {
    let (storage, machine, _) = begin(627);
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    let with = |n: u32, outcome: Outcome| {
        let mut event = event(n);
        event.outcome = outcome;
        event
    };
    let open = vault.log(&[with(1, Outcome::Intent), with(5, Outcome::Intent)]).unwrap().object;
    let answer = vault.log(&[with(1, Outcome::Failed).answering(0)]).unwrap().object;
    let unknown = vault.log(&[with(6, Outcome::Success).answering(2)]).unwrap().object;
    let mut odd = found(&machine, &storage);
    odd.sort();
    let said = |text: &str| odd.iter().find(|(_, flaw)| flaw.contains(text)).map(|(object, _)| object.clone());
    assert_eq!(odd.len(), 3, "{odd:?}");
    assert_eq!(said("is not known"), Some(open));
    assert_eq!(said("after one that says"), Some(answer));
    assert_eq!(said("announced no such thing"), Some(unknown));
    good(&vault);
}

#[test]
fn what_cannot_be_logged_is_refused_and_a_rehearsal_logs_nothing() {
    let (storage, machine, mut vault) = begin(628);
    assert!(matches!(vault.log(&[]), Err(RepoError::Unloggable(_))));
    let mut unreadable = event(1);
    unreadable.intent = Some(7);
    assert!(matches!(vault.log(&[unreadable]), Err(RepoError::Unloggable(_))));
    let rehearsing = machine.around(storage.clone()).rehearsing();
    let mut rehearsal = Vault::open(rehearsing, &sb_crypto::Credential::KeyFile(key()), None).unwrap();
    rehearsal.log(&[event(1)]).unwrap();
    assert!(names(&storage, "log").is_empty());
    assert_eq!(vault.log(&[event(2)]).unwrap().first, 0);
    assert!(found(&machine, &storage).is_empty());
    // Where nothing can be stored nothing is acknowledged, and the next one follows what there is.
    let full = Faulty::new(&storage, |act, name| act == Act::Create && name.starts_with("log/"));
    assert!(machine.open(full, &key()).unwrap().log(&[event(3)]).is_err());
    assert_eq!(vault.log(&[event(4)]).unwrap().first, 1);
}

#[test]
fn reading_stops_when_it_is_told_to() {
    let (storage, _, _) = with_log(629);
    let view = View::open(storage, &State::in_memory(), None).unwrap();
    let stop = true.into();
    let progress = Progress { monitor: &sb_repo::Silent, stop: &stop };
    assert!(matches!(view.logs(progress), Err(RepoError::Interrupted)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whoever logs whatever in whichever order: each log holds what its writer was told, and what is taken from its end is
    /// missed by whoever has looked since.
    #[test]
    fn logs_hold_what_was_acknowledged(
        batches in prop::collection::vec((0_usize..2, 1_u32..4), 1..8),
        looks: prop::sample::Index,
    ) {
        let (storage, first, _) = begin(630);
        let machines = [first, Machine::new(631)];
        let looks = looks.index(batches.len());
        let mut told: BTreeMap<KeyId, Vec<Event>> = BTreeMap::new();
        let mut seen = Vec::new();
        for (n, (machine, count)) in (0..).zip(&batches) {
            let events: Vec<_> = (0..*count).map(|m| event(n * 10 + m)).collect();
            let position = machines[*machine].open(storage.clone(), &key()).unwrap().log(&events).unwrap();
            let log = told.entry(position.writer).or_default();
            prop_assert_eq!(position.first, log.len() as u64);
            log.extend(events);
            prop_assert_eq!(position.head.size, log.len() as u64);
            if n as usize <= looks {
                seen.retain(|(writer, _)| *writer != position.writer);
                seen.push((position.writer, position.object));
            }
            if n as usize == looks {
                machines[1].open(storage.clone(), &key()).unwrap().heed_logs().unwrap();
            }
        }
        let logs = logs(&machines[0], &storage);
        prop_assert!(logs.findings.is_empty());
        for (writer, events) in &told {
            let own: Vec<_> = logs.entries.iter().filter(|logged| logged.writer == *writer).collect();
            prop_assert_eq!(own.iter().map(|logged| logged.entry.seq).collect::<Vec<_>>(), (0..own.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(own.iter().map(|logged| bare(&logged.entry.event)).collect::<Vec<_>>(), events.clone());
        }
        for (_, object) in seen {
            let less = Arc::new(storage.snapshot());
            less.remove_raw(&object);
            prop_assert!(!found(&machines[1], &less).is_empty());
        }
    }
}
