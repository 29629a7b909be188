//! No two messages are ever sealed under one key and nonce, also where a machine comes back with the random generator that it had.
//! The histories of `simulation.rs` are watched for the same.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use common::{Machine, key, new_vault, noise};
use sb_crypto::testing::{seals, watch_seals};
use sb_crypto::{HashAlgorithm, KeyFile, Lock, RecipientAlgorithm, SeededRandom};
use sb_repo::{CollectOptions, CreateOptions, KeySet, MaxUnused, NewUser, Progress, RepoError, State, create};
use sb_source::MemorySource;
use sb_store::Storage;
use sb_store::sim::SimDisk;

fn desk(day: u64) -> MemorySource {
    let mut source = MemorySource::new(&["/desk"]);
    source.directory("/desk");
    source.file("/desk/letter", b"always the same");
    source.file("/desk/scan", &noise(day, 20_000));
    source.file(format!("/desk/note{day}"), format!("written on day {day}").as_bytes());
    source
}

/// All that is sealed in a day: backups, labels, names, users, grants and slots, a collection. Each day is another.
fn day(machine: &Machine, disk: &SimDisk, day: u64) -> Result<(), RepoError> {
    let storage: Arc<dyn Storage> = Arc::new(disk.storage());
    let report = machine.session(storage.clone(), &key(), &desk(day))?;
    let mut vault = machine.open(storage.clone(), &key())?;
    vault.set_tags(vec![(report.snapshot, vec![format!("day {day}")])])?;
    vault.name("user:0123", Some(&format!("Nina on day {day}")))?;
    let file = KeyFile::generate(&SeededRandom::new(5000 + day));
    let new = NewUser::new(format!("nina{day}"), Lock::KeyFile(file.clone()), vec!["some".to_owned()], KeySet::READ);
    let user = vault.add_user(&new)?;
    vault.change_user(user, None, |member| member.keys = KeySet::ADD)?;
    vault.add_lock(&Lock::KeyFile(file.clone()))?;
    machine.session(storage.clone(), &file, &desk(day + 1))?;
    vault.refresh()?;
    vault.reset_user(user, &format!("ben{day}"), &[Lock::KeyFile(file)])?;
    vault.forget(&[report.snapshot], Progress::none())?;
    let mut options = CollectOptions::default();
    options.max_unused = MaxUnused::Bytes(0);
    vault.collect(&options, Progress::none())?;
    vault.remove_user(user, None)
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A machine as it was when its disk and memory were copied: what it keeps, and where its generator stood.
struct Image<'f> {
    folder: &'f Path,
    generator: u64,
}

impl Image<'_> {
    fn wake(&self, name: &str) -> Machine {
        let folder = self.folder.with_file_name(name);
        copy_folder(self.folder, &folder);
        Machine { state: State::open(&folder).unwrap(), ..Machine::new(self.generator) }
    }
}

/// The ids of session tables, which the generator chooses.
fn tables(disk: &SimDisk) -> BTreeSet<String> {
    let names = disk.files().into_keys().filter(|name| name.starts_with("sessions/"));
    names.map(|name| name.rsplit('/').next().unwrap()[..16].to_owned()).collect()
}

fn assert_no_repeats(context: &str) {
    let seals = seals();
    assert!(seals.count > 100, "{context}: {} seals", seals.count);
    assert_eq!(seals.repeats, 0, "{context}: of {} seals", seals.count);
}

/// A machine is cloned; the clones work on copies of the vault, on one vault, and once more after a crash, always with the generator as
/// it was.
fn clones(seed: u64, hash: HashAlgorithm, recipient: RecipientAlgorithm) {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("machine");
    let machine = Machine { state: State::open(&folder).unwrap(), ..Machine::new(seed) };
    let disk = SimDisk::new();
    let mut options = CreateOptions::default();
    (options.reserve, options.hash, options.recipient) = (4096, hash, recipient);
    create(machine.around(Arc::new(disk.storage())), &[Lock::KeyFile(key())], &options).unwrap();
    day(&machine, &disk, 1).unwrap();
    let image = Image { folder: &folder, generator: seed + 1 };

    let (one, other) = (disk.snapshot(), disk.snapshot());
    let known = tables(&disk);
    let before = one.operations();
    machine_session(&image.wake("a"), &one, 10);
    let operations = one.operations() - before;
    machine_session(&image.wake("b"), &other, 20);
    let again: Vec<_> = tables(&one).intersection(&tables(&other)).filter(|id| !known.contains(*id)).cloned().collect();
    assert!(!again.is_empty(), "seed {seed}: the generator was to repeat itself");
    assert_no_repeats("on copies of the vault");

    day(&image.wake("c"), &disk, 30).unwrap();
    for (n, share) in [0, 3, 5, 7, 9].into_iter().enumerate() {
        disk.crash_at(disk.operations() + operations * share / 10);
        let _ = image.wake(&format!("d{n}")).session(Arc::new(disk.storage()), &key(), &desk(40 + share));
        disk.power_loss(seed + share);
        assert_no_repeats("after a crash");
    }
    for n in 0..3 {
        // What comes back from the past may find that it has no place any more, but seals until it does.
        let _ = day(&image.wake(&format!("e{n}")), &disk, 60 + 10 * n);
        assert_no_repeats("in one vault");
    }
}

fn machine_session(machine: &Machine, disk: &SimDisk, day: u64) {
    machine.session(Arc::new(disk.storage()), &key(), &desk(day)).unwrap();
}

#[test]
fn clones_with_the_same_random_generator_seal_nothing_under_the_same_key_and_nonce() {
    watch_seals();
    for seed in 0..6 {
        clones(100 * seed, HashAlgorithm::Blake3, RecipientAlgorithm::HpkeX25519);
        clones(100 * seed + 50, HashAlgorithm::HmacSha256, RecipientAlgorithm::HpkeP256);
    }
}

#[test]
fn vaults_made_with_the_same_random_generator_share_no_key_and_nonce() {
    watch_seals();
    for n in 0..5 {
        let (machine, disk) = (Machine::new(7), SimDisk::new());
        new_vault(&machine, Arc::new(disk.storage()));
        day(&machine, &disk, 1 + 10 * n).unwrap();
        day(&machine, &disk, 5 + 10 * n).unwrap();
    }
    assert_no_repeats("vaults with the same keys");
}
