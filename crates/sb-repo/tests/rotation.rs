//! Rotation of keys: nothing is lost whoever else is at work and wherever it is cut, no pack is touched, and old keys open nothing new.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use common::meddler::{Meddler, good, heard_by, source};
use common::{Machine, assert_holds, expected, firm, key, new_vault, noise, options};
use sb_crypto::{KeyFile, Lock, SeededRandom};
use sb_repo::testing::{Opened, forge_objects, opened, opened_in};
use sb_repo::{
    BackupReport, CollectOptions, Flaw, KeySet, NewUser, ObjectKind, Progress, RepoError, RotateOptions, RotateReport,
    SnapshotType, Vault, VerifyLevel,
};
use sb_source::MemorySource;
use sb_store::sim::{Cut, SimDisk};
use sb_store::{Listed, MemoryStorage, ObjectName, Space, Storage, StoreError, Upload};

fn file(n: u64) -> KeyFile {
    KeyFile::generate(&SeededRandom::new(7000 + n))
}

fn someone(login: &str, n: u64, keys: KeySet) -> NewUser {
    let role = if keys == KeySet::ALL { "owner" } else { "some" };
    NewUser::new(login, Lock::KeyFile(file(n)), vec![role.to_owned()], keys)
}

fn rotate(vault: &mut Vault) -> RotateReport {
    vault.rotate(&RotateOptions::default(), Progress::none()).unwrap()
}

fn anew() -> RotateOptions {
    let mut options = RotateOptions::default();
    options.begin = true;
    options
}

/// A vault with two backups in it, its owner, and the newest backup with what it must hold.
fn vault() -> (Arc<MemoryStorage>, Machine, Vault, (BackupReport, MemorySource)) {
    let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(1));
    let (mut vault, _) = new_vault(&machine, storage.clone());
    let mut firm = firm();
    vault.backup(&firm, &options(), Progress::none()).unwrap();
    firm.file("/firm/new", &noise(3, 30_000));
    let backup = vault.backup(&firm, &options(), Progress::none()).unwrap();
    (storage, machine, vault, (backup, firm))
}

fn names(storage: &dyn Storage, folder: &str) -> BTreeSet<String> {
    storage.list(folder).unwrap().into_iter().map(|listed| listed.name).collect()
}

/// What a stranger with the key sees is whole.
fn assert_whole(storage: &Arc<MemoryStorage>, backup: &BackupReport, source: &MemorySource) {
    let vault = Machine::new(99).open(storage.clone(), &key()).unwrap();
    assert_holds(&vault, &backup.snapshot.to_string(), &expected(source));
    good(&vault);
}

#[test]
fn after_a_rotation_all_is_as_it_was_but_for_what_it_is_sealed_to() {
    let (storage, machine, mut vault, (backup, firm)) = vault();
    let there = |folder: &str| names(&*storage, folder);
    let before = storage.objects();
    let tables = there("sessions");
    let report = rotate(&mut vault);
    assert!(report.is_new && report.is_finished, "{report:?}");
    assert_eq!((report.granted, report.tables, report.closed), (1, tables.len() as u64, 1));
    assert_eq!((report.names_kept, report.stuck_count, report.running), (1, 0, 0));
    assert_eq!(report.epoch, vault.view().key_epoch());
    assert_eq!(report.epoch.number, 1);
    assert!(tables.is_disjoint(&there("sessions")) && tables.len() == there("sessions").len());
    let after = storage.objects();
    for (name, bytes) in &before {
        let stays = ["packs/", "locator/", "snapshots/", "users/", "writers/", "keys/"];
        if stays.iter().any(|folder| name.strip_prefix("twin/").unwrap_or(name).starts_with(folder)) {
            assert_eq!(after.get(name), Some(bytes), "{name}");
        }
    }
    assert_eq!(names(&*storage, "config").len(), 1);
    assert_eq!(names(&*storage, "grants").len(), 1);
    assert!(names(&*storage, "leases").is_empty() && names(&*storage, "fences").is_empty());
    assert_whole(&storage, &backup, &firm);

    // Again and again: what was sealed long ago is read, what is there is not stored twice.
    for number in 2..4 {
        let again = machine.backup(storage.clone(), &key(), &firm).unwrap();
        assert_eq!(again.counts.new_chunks, 0);
        let report = rotate(&mut vault);
        assert_eq!((report.epoch.number, report.names_kept, report.is_finished), (number, number, true));
        assert_whole(&storage, &backup, &firm);
    }
    vault.collect(&CollectOptions::default(), Progress::none()).unwrap();
    assert_whole(&storage, &backup, &firm);
}

#[test]
fn everybody_keeps_the_keys_of_their_role_and_nobody_gets_more() {
    let (storage, machine, mut owner, _) = vault();
    let sets = [KeySet::NONE, KeySet::MANAGE, KeySet::ADD, KeySet::READ_NAMES, KeySet::READ, KeySet::ALL];
    for (n, keys) in (0..).zip(sets) {
        owner.add_user(&someone(&format!("user-{n}"), n, keys)).unwrap();
    }
    let before: Vec<_> = (0..6).map(|n| opened(&machine.open(storage.clone(), &file(n)).unwrap()).unwrap()).collect();
    let report = rotate(&mut owner);
    assert_eq!(report.granted, 6, "all but who needs none");
    for (n, keys) in (0..).zip(sets) {
        let theirs = machine.open(storage.clone(), &file(n)).unwrap();
        assert_eq!(theirs.key_set(), keys);
        assert_eq!(opened(&theirs).unwrap(), before[usize::try_from(n).unwrap()], "{keys:?}");
    }
    let mut operator = machine.open(storage.clone(), &file(2)).unwrap();
    let backup = operator.backup(&firm(), &options(), Progress::none()).unwrap();
    assert_whole(&storage, &backup, &firm());
    for n in [0, 1, 2, 3, 4] {
        let mut theirs = machine.open(storage.clone(), &file(n)).unwrap();
        let refused = theirs.rotate(&RotateOptions::default(), Progress::none());
        let expected = matches!(refused, Err(RepoError::NoRootKey | RepoError::KeysNotHeld { .. }));
        assert!(expected, "{refused:?}");
    }
}

/// The keys of somebody who was removed open nothing that is written after a rotation; what an old grant held neither.
#[test]
fn who_was_removed_opens_nothing_that_comes_after_and_no_copy_of_a_grant_does() {
    let (storage, machine, mut owner, _) = vault();
    let nina = owner.add_user(&someone("nina", 1, KeySet::READ)).unwrap();
    // She keeps what she has in memory, and a copy of everything.
    let hers = machine.open(storage.clone(), &file(1)).unwrap();
    let copied = storage.objects();
    assert!(opened(&hers).unwrap().contains_key(&ObjectKind::SessionTable));
    owner.remove_user(nina, None).unwrap();
    rotate(&mut owner);
    let mut later = firm();
    later.file("/firm/later", &noise(9, 20_000));
    let backup = owner.backup(&later, &options(), Progress::none()).unwrap();

    let of_later = MemoryStorage::new();
    for (name, bytes) in storage.objects().iter().filter(|(name, _)| !copied.contains_key(*name)) {
        of_later.put_raw(name.as_str(), bytes.clone());
    }
    let tables = names(&of_later, "sessions");
    assert!(!tables.is_empty() && names(&of_later, "snapshots").len() == 1);
    let theirs = opened_in(&hers, &of_later).unwrap();
    for kind in [ObjectKind::SessionTable, ObjectKind::Snapshot, ObjectKind::Grant] {
        assert!(!theirs.contains_key(&kind), "{theirs:?}");
    }
    for kind in [ObjectKind::ContentPack, ObjectKind::MetaPack] {
        assert!(theirs.get(&kind).is_none_or(|how| !how.contains(&Opened::Segments)), "{theirs:?}");
    }

    // Everything that was removed is put back: it lets nobody in, and changes nothing for the owner.
    for (name, bytes) in &copied {
        if !storage.objects().contains_key(name) {
            storage.put_raw(name.as_str(), bytes.clone());
        }
    }
    assert!(matches!(machine.open(storage.clone(), &file(1)), Err(RepoError::WrongCredential)));
    let owner = Machine::new(98).open(storage, &key()).unwrap();
    assert_eq!((owner.key_set(), owner.view().key_epoch().number), (KeySet::ALL, 1));
    assert_holds(&owner, &backup.snapshot.to_string(), &expected(&later));
    let report = owner.verify(VerifyLevel::Objects, Progress::none()).unwrap();
    assert!(report.findings.iter().all(|finding| finding.flaw == Flaw::Resurrected), "{report:?}");
}

#[test]
fn who_is_locked_out_is_granted_nothing_until_let_in_again() {
    let (storage, machine, mut owner, (backup, firm)) = vault();
    let nina = owner.add_user(&someone("nina", 1, KeySet::READ)).unwrap();
    owner.change_user(nina, None, |member| member.active = false).unwrap();
    rotate(&mut owner);
    let hers = machine.open(storage.clone(), &file(1)).unwrap();
    assert_eq!(hers.key_set(), KeySet::NONE);
    owner.change_user(nina, None, |member| member.active = true).unwrap();
    let hers = machine.open(storage, &file(1)).unwrap();
    assert_eq!(hers.key_set(), KeySet::READ);
    assert_holds(&hers, &backup.snapshot.to_string(), &expected(&firm));
}

#[test]
fn a_backup_that_began_before_goes_on_and_the_next_rotation_ends_what_it_held_up() {
    let (storage, machine, mut vault, _) = vault();
    let mut owner = Machine::new(2).open(storage.clone(), &key()).unwrap();
    let report = Mutex::new(None);
    let meddler = Meddler::new(b"/d/sub", 1, || *report.lock().unwrap() = Some(rotate(&mut owner)));
    let backup = vault.backup(&source(), &options(), heard_by(&meddler)).unwrap();
    assert_eq!(meddler.warnings.load(Ordering::Relaxed), 0, "it did not begin again");
    drop(meddler);
    let report = report.into_inner().unwrap().unwrap();
    assert!(report.is_new && !report.is_finished && report.running == 1, "{report:?}");
    assert!(owner.is_rotating());
    assert_whole(&storage, &backup, &source());
    // Who looked at the vault before the rotation reads on, and so does who looks now.
    assert_holds(&vault, &backup.snapshot.to_string(), &expected(&source()));
    let next = rotate(&mut owner);
    assert!(!next.is_new && next.is_finished && next.tables > 0, "{next:?}");
    assert_eq!(next.epoch, report.epoch);
    assert_whole(&storage, &backup, &source());
    assert_eq!(machine.backup(storage, &key(), &source()).unwrap().counts.new_chunks, 0);
}

#[test]
fn tables_that_are_sealed_anew_during_a_backup_that_relies_on_them_are_relied_on_all_the_same() {
    let (storage, _, mut vault, (_, firm)) = vault();
    let mut owner = Machine::new(2).open(storage.clone(), &key()).unwrap();
    let meddler = Meddler::new(b"/firm/acme", 1, || {
        owner.rotate(&anew(), Progress::none()).unwrap();
    });
    // Compared with a tree, not with what this machine remembers.
    let mut full = options();
    full.kind = SnapshotType::Full;
    let report = vault.backup(&firm, &full, heard_by(&meddler)).unwrap();
    assert_eq!(meddler.warnings.load(Ordering::Relaxed), 0, "it did not begin again");
    assert_eq!(report.counts.new_chunks, 0);
    assert_whole(&storage, &report, &firm);
}

#[test]
fn a_backup_that_was_cut_short_goes_on_after_a_rotation() {
    let (storage, machine, mut vault, _) = vault();
    let content = noise(50, 3 << 20);
    let mut big = MemorySource::new(&["/big"]);
    big.file("/big/a", &content).file("/big/b", b"the end");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let stopping = Watched::failing(&storage, "snapshots");
    let mut cut = machine.open(stopping, &key()).unwrap();
    assert!(cut.backup(&big, &options(), Progress { stop: &stop, ..Progress::none() }).is_err());
    drop(cut);
    let report = rotate(&mut vault);
    assert!(report.is_finished, "of a machine's own run it is known that it is over: {report:?}");
    let report = machine.backup(storage.clone(), &key(), &big).unwrap();
    assert!(report.adopted > 0 && report.counts.new_bytes < 1000, "{report:?}");
    assert_whole(&storage, &report, &big);
}

/// A machine sleeps for days in the middle of a backup; meanwhile its lease runs out and the keys that it seals to are destroyed.
#[test]
fn a_run_that_was_taken_for_dead_finds_that_its_keys_are_gone() {
    let (storage, _, mut vault, _) = vault();
    let other = Machine::new(2);
    let mut owner = other.open(storage.clone(), &key()).unwrap();
    let meddler = Meddler::new(b"/d/sub", 1, || {
        other.clock.advance_hours(100);
        let report = rotate(&mut owner);
        assert!(report.is_finished, "{report:?}");
    });
    let report = vault.backup(&source(), &options(), heard_by(&meddler)).unwrap();
    assert_eq!(meddler.warnings.load(Ordering::Relaxed), 1, "it began again");
    drop(meddler);
    let next = owner.rotate(&anew(), Progress::none()).unwrap();
    assert!(next.is_finished, "{next:?}");
    assert_whole(&storage, &report, &source());
}

/// What was stored under keys that are gone by now, by a run that did not find out because it was killed, is not relied on.
#[test]
fn nothing_is_taken_over_that_is_sealed_to_keys_that_are_gone() {
    let (storage, machine, vault, _) = vault();
    let other = Machine::new(2);
    let mut owner = other.open(storage.clone(), &key()).unwrap();
    let failing = Watched::failing(&storage, "snapshots");
    let mut cut = machine.open(failing, &key()).unwrap();
    let meddler = Meddler::new(b"/d/sub", 1, || {
        other.clock.advance_hours(100);
        assert!(rotate(&mut owner).is_finished);
    });
    assert!(cut.backup(&source(), &options(), heard_by(&meddler)).is_err());
    drop((cut, vault, meddler));
    let strays = |storage: &MemoryStorage| names(storage, "packs").len();
    assert!(strays(&storage) > 0);
    for machine in [machine, Machine::new(3)] {
        let backup = machine.backup(storage.clone(), &key(), &source()).unwrap();
        assert_whole(&storage, &backup, &source());
    }
}

#[test]
fn who_reads_meanwhile_reads_on() {
    let (storage, _, mut owner, (backup, firm)) = vault();
    let reading = Machine::new(4).open(storage.clone(), &key()).unwrap();
    // Two rotations: of the keys that it holds none opens any table now.
    rotate(&mut owner);
    rotate(&mut owner);
    let later = owner.backup(&source(), &options(), Progress::none()).unwrap();
    assert_holds(&reading, &backup.snapshot.to_string(), &expected(&firm));
    good(&reading);
    let mut reading = reading;
    reading.refresh().unwrap();
    assert_holds(&reading, &later.snapshot.to_string(), &expected(&source()));
    reading.set_tags(vec![(later.snapshot, vec!["kept".to_owned()])]).unwrap();
    let backup = reading.backup(&firm, &options(), Progress::none()).unwrap();
    assert_whole(&storage, &backup, &firm);
}

#[test]
fn a_verification_in_the_middle_of_which_keys_are_rotated_finds_nothing() {
    let (storage, _, mut owner, _) = vault();
    let vault = Machine::new(4).open(storage, &key()).unwrap();
    rotate(&mut owner);
    for level in [VerifyLevel::Objects, VerifyLevel::Data, VerifyLevel::Restore] {
        let report = vault.verify(level, Progress::none()).unwrap();
        assert!(report.is_good(), "{report:?}");
    }
}

#[test]
fn damaged_tables_stay_and_hold_up_the_end_and_not_the_next_epoch() {
    let (storage, _, mut vault, (backup, firm)) = vault();
    // Of one both copies are damaged, of another one.
    let tables = names(&*storage, "sessions");
    let (lost, half) = (tables.first().unwrap(), tables.last().unwrap());
    let whole = storage.objects();
    let twin = format!("twin/{lost}");
    for name in [lost, &twin, half] {
        let mut bytes = whole[name].clone();
        bytes[60] ^= 1;
        storage.put_raw(name.as_str(), bytes);
    }
    let report = rotate(&mut vault);
    assert!(!report.is_finished && report.closed == 0, "{report:?}");
    assert_eq!(report.stuck, [(lost.clone(), Flaw::WrongHash)]);
    let next = vault.rotate(&anew(), Progress::none()).unwrap();
    assert_eq!((next.is_new, next.epoch.number, next.stuck_count), (true, 2, 1));
    // Somebody finds a good copy.
    for name in [lost, &twin] {
        storage.put_raw(name.as_str(), whole[name].clone());
    }
    let last = rotate(&mut vault);
    assert!(last.is_finished && !last.is_new && last.closed == 2, "{last:?}");
    assert_whole(&storage, &backup, &firm);
}

/// With a machine's log key alone tables can be made up, which neither hide keys nor hold anything up.
#[test]
fn made_up_tables_change_nothing() {
    let (storage, machine, mut vault, (backup, firm)) = vault();
    let table = names(&*storage, "sessions").first().unwrap().clone();
    forge_objects(&mut machine.open(storage.clone(), &key()).unwrap(), &table).unwrap();
    let report = rotate(&mut vault);
    assert!(report.is_finished, "{report:?}");
    let vault = Machine::new(99).open(storage, &key()).unwrap();
    assert_holds(&vault, &backup.snapshot.to_string(), &expected(&firm));
}

#[test]
fn a_collection_and_a_rotation_exclude_each_other_and_two_rotations_do() {
    let (storage, _, mut vault, _) = vault();
    let mut owner = Machine::new(2).open(storage.clone(), &key()).unwrap();
    let outcome = Arc::new(Mutex::new(None));
    let told = outcome.clone();
    let watched = Watched::hooked(&storage, "sessions", move || {
        let rotated = owner.rotate(&anew(), Progress::none()).map(drop);
        let collected = owner.collect(&CollectOptions::default(), Progress::none()).map(drop);
        *told.lock().unwrap() = Some((rotated, collected));
    });
    let mut first = Machine::new(5).open(watched, &key()).unwrap();
    assert!(rotate(&mut first).is_finished);
    let (rotated, collected) = outcome.lock().unwrap().take().unwrap();
    assert!(matches!(rotated, Err(RepoError::Busy { .. })), "{rotated:?}");
    assert!(matches!(collected, Err(RepoError::Busy { .. })), "{collected:?}");
    vault.refresh().unwrap();
    good(&vault);
}

#[test]
fn a_vault_whose_newer_config_is_gone_is_not_written_to() {
    let (storage, machine, mut vault, (backup, firm)) = vault();
    let before = storage.objects();
    rotate(&mut vault);
    drop(vault);
    for folder in ["config", "twin/config"] {
        for name in names(&*storage, folder) {
            storage.remove_raw(&name);
        }
    }
    for (name, bytes) in before.iter().filter(|(name, _)| name.trim_start_matches("twin/").starts_with("config/")) {
        storage.put_raw(name.as_str(), bytes.clone());
    }
    let mut vault = machine.open(storage, &key()).unwrap();
    assert_holds(&vault, &backup.snapshot.to_string(), &expected(&firm));
    let refused = vault.backup(&firm, &options(), Progress::none()).map(drop);
    assert!(matches!(refused, Err(RepoError::Damaged { flaw: Flaw::Missing, .. })), "{refused:?}");
}

/// Reads and writes by folder.
#[derive(Debug, Default)]
struct Counts(Mutex<BTreeMap<(&'static str, String), u64>>);

impl Counts {
    fn count(&self, what: &'static str, name: &str) {
        let folder = name.strip_prefix("twin/").unwrap_or(name).split('/').next().unwrap().to_owned();
        *self.0.lock().unwrap().entry((what, folder)).or_default() += 1;
    }
}

type Hook = Mutex<Option<Box<dyn FnMut() + Send>>>;

/// Counts, fails when something is created in a folder, or has somebody do something then.
struct Watched {
    inner: Arc<MemoryStorage>,
    counts: Counts,
    folder: &'static str,
    fails: bool,
    hook: Hook,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl Watched {
    fn new(inner: &Arc<MemoryStorage>) -> Self {
        let (inner, counts) = (inner.clone(), Counts::default());
        Self { inner, counts, folder: "nothing", fails: false, hook: Mutex::default() }
    }

    /// One that fails when something is created in this folder.
    fn failing(inner: &Arc<MemoryStorage>, folder: &'static str) -> Arc<Self> {
        Arc::new(Self { folder, fails: true, ..Self::new(inner) })
    }

    /// One where something happens before something is created in this folder for the first time.
    fn hooked(inner: &Arc<MemoryStorage>, folder: &'static str, hook: impl FnMut() + Send + 'static) -> Arc<Self> {
        Arc::new(Self { folder, hook: Mutex::new(Some(Box::new(hook))), ..Self::new(inner) })
    }
}

impl Storage for Watched {
    fn read(&self, name: &ObjectName) -> Result<Vec<u8>, StoreError> {
        self.counts.count("read", name.as_str());
        self.inner.read(name)
    }

    fn read_range_into(&self, name: &ObjectName, at: u64, length: usize, to: &mut Vec<u8>) -> Result<(), StoreError> {
        self.counts.count("read", name.as_str());
        self.inner.read_range_into(name, at, length, to)
    }

    fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        self.inner.size(name)
    }

    fn begin(&self) -> Result<Box<dyn Upload + '_>, StoreError> {
        Ok(Box::new(WatchedUpload { upload: self.inner.begin()?, storage: self }))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(prefix)
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.counts.count("remove", name.as_str());
        self.inner.remove(name)
    }

    fn space(&self) -> Result<Option<Space>, StoreError> {
        self.inner.space()
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        self.inner.sweep()
    }
}

struct WatchedUpload<'a> {
    upload: Box<dyn Upload + 'a>,
    storage: &'a Watched,
}

impl Upload for WatchedUpload<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.upload.write(bytes)
    }

    fn finish(self: Box<Self>, name: &ObjectName) -> Result<(), StoreError> {
        self.storage.counts.count("write", name.as_str());
        if name.as_str().starts_with(self.storage.folder) {
            if self.storage.fails {
                let source = std::io::Error::other("the cable is loose");
                return Err(StoreError::Io { operation: "reach", name: name.to_string(), source });
            }
            let hook = self.storage.hook.lock().unwrap().take();
            if let Some(mut hook) = hook {
                hook();
            }
        }
        self.upload.finish(name)
    }
}

#[test]
fn rotating_and_removing_a_user_read_and_write_key_objects_only() {
    let (storage, machine, mut owner, _) = vault();
    for n in 0..3 {
        let mut more = MemorySource::new(&["/more"]);
        more.file(format!("/more/{n}"), &noise(100 + n, 100_000));
        owner.backup(&more, &options(), Progress::none()).unwrap();
    }
    let nina = owner.add_user(&someone("nina", 1, KeySet::READ)).unwrap();
    assert!(names(&*storage, "packs").len() > 6);
    drop(owner);
    let watched = Arc::new(Watched::new(&storage));
    let mut owner = machine.open(watched.clone(), &key()).unwrap();
    watched.counts.0.lock().unwrap().clear();
    owner.remove_user(nina, None).unwrap();
    let removing = std::mem::take(&mut *watched.counts.0.lock().unwrap());
    let report = rotate(&mut owner);
    assert!(report.is_finished);
    let rotating = std::mem::take(&mut *watched.counts.0.lock().unwrap());
    let key_objects =
        ["config", "users", "writers", "keys", "grants", "roles", "sessions", "journal", "leases", "fences"];
    for (act, counts) in [("remove-user", removing), ("rotate", rotating)] {
        for ((what, folder), n) in counts {
            assert!(key_objects.contains(&folder.as_str()), "{act}: {n} × {what} in {folder}");
        }
    }
    drop(owner);
    let owner = machine.open(storage, &key()).unwrap();
    good(&owner);
}

/// A source small enough to be backed up often.
fn letter() -> MemorySource {
    let mut letter = MemorySource::new(&["/firm"]);
    letter.file("/firm/letter", b"Dear Sirs");
    letter
}

/// What every crash starts from: an owner, somebody who reads, somebody who is locked out, two backups.
fn prepared() -> (SimDisk, Vec<(BackupReport, MemorySource)>) {
    let prepared = SimDisk::new();
    let (mut owner, _) = new_vault(&Machine::new(1), Arc::new(prepared.storage()));
    let mut more = letter();
    more.file("/firm/more", b"Yours faithfully");
    let backups = [letter(), more];
    let backups = backups.map(|source| (owner.backup(&source, &options(), Progress::none()).unwrap(), source));
    owner.add_user(&someone("nina", 1, KeySet::READ)).unwrap();
    (prepared, backups.into())
}

fn restores(vault: &Vault, backups: &[(BackupReport, MemorySource)], context: &str) {
    assert!(vault.snapshots().unwrap().flawed.is_empty(), "{context}");
    for (backup, source) in backups {
        assert_holds(vault, &backup.snapshot.to_string(), &expected(source));
    }
}

/// Wherever it is cut short, everybody gets in and everything restores, and the next run ends it. About `runs` operations of it are cut.
fn cut_rotations(runs: u64) {
    for alone in [true, false] {
        let (prepared, backups) = prepared();
        let begin = || {
            let (disk, machine) = (prepared.snapshot(), Machine::new(3));
            let mut owner = machine.open(Arc::new(disk.storage()), &key()).unwrap();
            if alone {
                let nina = owner.current_roll().unwrap().members.last().unwrap().user;
                owner.remove_user(nina, None).unwrap();
            }
            (disk, machine, owner)
        };
        let (first, operations) = {
            let (disk, _, mut owner) = begin();
            let first = disk.operations();
            assert!(rotate(&mut owner).is_finished);
            (first, disk.operations())
        };
        let stride = usize::try_from(((operations - first) / runs).max(1)).unwrap();
        for (n, k) in (first..operations).step_by(stride).enumerate() {
            let (cut, power) = if n % 2 == 0 { (Cut::Before, true) } else { (Cut::After, false) };
            let (disk, machine, mut owner) = begin();
            disk.cut(cut);
            disk.crash_at(k);
            let done = owner.rotate(&RotateOptions::default(), Progress::none());
            drop(owner);
            if power {
                disk.power_loss(k);
            } else {
                disk.kill();
            }
            let context = format!("operation {k} of {first}..{operations}, {cut:?}, alone: {alone}, {done:?}");
            let storage: Arc<dyn Storage> = Arc::new(disk.storage());
            let mut owner = machine.open(storage.clone(), &key()).unwrap();
            assert_eq!(owner.key_set(), KeySet::ALL, "{context}");
            restores(&owner, &backups, &context);
            if !alone {
                restores(&machine.open(storage.clone(), &file(1)).unwrap(), &backups, &context);
            }
            // A backup by somebody else comes between.
            if n % 3 == 0 {
                let report = Machine::new(8).backup(storage.clone(), &key(), &letter()).unwrap();
                assert_eq!(report.counts.new_chunks, 0, "{context}");
            }
            let report = owner.rotate(&RotateOptions::default(), Progress::none());
            let report = report.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(report.is_finished && report.epoch.number <= 2, "{context}: {report:?}");
            let stranger = Machine::new(99).open(storage.clone(), &key()).unwrap();
            restores(&stranger, &backups, &context);
            let verified = stranger.verify(VerifyLevel::Restore, Progress::none()).unwrap();
            assert!(verified.is_good(), "{context}: {verified:?}");
            assert_eq!(names(&*storage, "config").len(), 1, "{context}");
            if !alone {
                let hers = machine.open(storage.clone(), &file(1)).unwrap();
                assert_eq!(hers.key_set(), KeySet::READ, "{context}");
                restores(&hers, &backups, &context);
            }
        }
    }
}

#[test]
fn a_rotation_may_be_cut_short() {
    cut_rotations(70);
}

#[test]
#[ignore = "long: cargo xtask sim"]
fn every_operation_of_a_rotation() {
    cut_rotations(u64::MAX);
    println!("every operation of a rotation may be cut");
}
