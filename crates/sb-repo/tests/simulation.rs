//! Crashes, failures and several writers, replayed from a seed.
//!
//! The oracle: what was acknowledged restores, exactly; nothing undamaged is reported as damage; the next run goes on.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::{Arc, Mutex};

use common::{Machine, Tree, assert_holds, expected, key, new_vault, noise};
use sb_repo::{BackupReport, Progress, RepoError, VerifyLevel};
use sb_source::MemorySource;
use sb_store::Storage;
use sb_store::sim::{Cut, Failure, Schedule, SimDisk};

/// A source small enough to be backed up thousands of times.
fn desk(day: u64) -> MemorySource {
    let mut source = MemorySource::new(&["/desk"]);
    source.directory("/desk").directory("/desk/in");
    source.file("/desk/in/letter", b"always the same");
    source.file("/desk/in/scan", &noise(day, 20_000));
    source.edit("/desk/in/scan", |metadata| metadata.ctime.seconds += day as i64);
    source.file(format!("/desk/note{day}"), format!("written on day {day}").as_bytes());
    source.symlink("/desk/link", b"in/letter");
    source
}

/// All snapshots that somebody was told of, and what must be in them.
#[derive(Default)]
struct Promises(Vec<(String, Tree)>);

impl Promises {
    fn note(&mut self, outcome: &Result<BackupReport, RepoError>, source: &MemorySource) {
        if let Ok(report) = outcome {
            assert!(!report.is_partial(), "{:?}", report.problems);
            self.0.push((report.snapshot.to_string(), expected(source)));
        }
    }

    /// Everything promised is there, nothing is damaged, and a stranger with the key sees it too.
    fn check(&self, storage: Arc<dyn Storage>, context: &str) {
        let vault = Machine::new(99).open(storage, &key()).unwrap_or_else(|error| panic!("{context}: {error}"));
        for (id, tree) in &self.0 {
            assert_holds(&vault, id, tree);
        }
        let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
        assert!(report.is_good(), "{context}: {:?}", report.findings);
    }
}

/// A vault with one snapshot on a simulated disk.
fn begin(machine: &Machine) -> (SimDisk, Promises) {
    let disk = SimDisk::new();
    let storage: Arc<dyn Storage> = Arc::new(disk.storage());
    new_vault(machine, storage.clone());
    let mut promises = Promises::default();
    promises.note(&machine.backup(storage, &key(), &desk(1)), &desk(1));
    assert_eq!(promises.0.len(), 1);
    (disk, promises)
}

fn run(machine: &Machine, disk: &SimDisk, day: u64) -> Result<BackupReport, RepoError> {
    machine.backup(Arc::new(disk.storage()), &key(), &desk(day))
}

/// How many file operations a second backup takes.
fn operations_of_a_backup() -> u64 {
    let machine = Machine::new(7);
    let (disk, _) = begin(&machine);
    let before = disk.operations();
    run(&machine, &disk, 2).unwrap();
    disk.operations() - before
}

/// A stride that makes about `runs` runs of a test, one at the least.
fn stride(operations: u64, runs: u64) -> usize {
    usize::try_from((operations / runs).max(1)).unwrap()
}

/// Cuts a backup at its operations, about `runs` of them.
fn cut_backups(runs: u64) {
    let operations = operations_of_a_backup();
    for k in (0..operations).step_by(stride(operations, runs)) {
        for cut in [Cut::Before, Cut::After] {
            let machine = Machine::new(7);
            let (disk, mut promises) = begin(&machine);
            disk.cut(cut);
            disk.crash_at(disk.operations() + k);
            let outcome = run(&machine, &disk, 2);
            promises.note(&outcome, &desk(2));
            disk.power_loss(k);
            let context = format!("power lost {cut:?} operation {k}");
            goes_on(&machine, &disk, promises, &context);
        }
    }
}

/// Everything acknowledged restores, and the next run works, after trouble.
fn goes_on(machine: &Machine, disk: &SimDisk, mut promises: Promises, context: &str) {
    promises.check(Arc::new(disk.storage()), context);
    let next = run(machine, disk, 3);
    assert!(next.is_ok(), "{context}, then {next:?}");
    promises.note(&next, &desk(3));
    promises.check(Arc::new(disk.storage()), context);
}

/// Lets operations of a backup fail, about `runs` of them.
fn fail_backups(runs: u64) {
    let operations = operations_of_a_backup();
    for failure in [Failure::Io, Failure::Full] {
        for k in (0..operations).step_by(stride(operations, runs)) {
            let machine = Machine::new(7);
            let (disk, mut promises) = begin(&machine);
            disk.fail_at(disk.operations() + k, failure);
            promises.note(&run(&machine, &disk, 2), &desk(2));
            let context = format!("operation {k} failed with {failure:?}");
            goes_on(&machine, &disk, promises, &context);
        }
    }
}

/// Cuts an adoption of orphans at its operations, and lets them fail, about `runs` of them.
fn trouble_adoptions(runs: u64) {
    // A run that is killed just before it is acknowledged leaves everything but the journal entry.
    let leave_orphans = |machine: &Machine| {
        let (disk, mut promises) = begin(machine);
        disk.crash_at(disk.operations() + operations_of_a_backup() * 9 / 10);
        promises.note(&run(machine, &disk, 2), &desk(2));
        assert_eq!(promises.0.len(), 1, "it was not acknowledged");
        disk.kill();
        (disk, promises)
    };
    let operations = {
        let machine = Machine::new(8);
        let (disk, _) = leave_orphans(&machine);
        let before = disk.operations();
        let report = run(&machine, &disk, 2).unwrap();
        assert!(report.adopted > 0, "{report:?}");
        assert_eq!(report.counts.new_chunks, 0, "what had been stored is not stored again");
        disk.operations() - before
    };
    for k in (0..operations).step_by(stride(operations, runs)) {
        for trouble in [Trouble::Cut, Trouble::Fail(Failure::Io), Trouble::Fail(Failure::Full)] {
            let machine = Machine::new(8);
            let (disk, mut promises) = leave_orphans(&machine);
            trouble.at(&disk, disk.operations() + k);
            promises.note(&run(&machine, &disk, 2), &desk(2));
            trouble.over(&disk, k);
            let context = format!("adoption, {trouble:?} at operation {k}");
            goes_on(&machine, &disk, promises, &context);
        }
    }
}

/// What happens at an operation.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Cut,
    Fail(Failure),
}

impl Trouble {
    fn at(self, disk: &SimDisk, k: u64) {
        match self {
            Self::Cut => disk.crash_at(k),
            Self::Fail(failure) => disk.fail_at(k, failure),
        }
    }

    fn over(self, disk: &SimDisk, seed: u64) {
        match self {
            Self::Cut => disk.power_loss(seed),
            Self::Fail(_) => disk.kill(),
        }
    }
}

/// Two machines back up at once, in an order that the seed decides, and there is trouble at one operation of that.
fn two_writers(seed: u64, trouble: Option<(Trouble, u64)>) -> u64 {
    let (a, b) = (Machine::new(seed), Machine::new(seed + 1000));
    let (disk, mut promises) = begin(&a);
    promises.note(&run(&b, &disk, 1), &desk(1));
    let before = disk.operations();
    if let Some((trouble, k)) = trouble {
        trouble.at(&disk, before + k);
    }
    let storage: Arc<dyn Storage> = Arc::new(disk.storage());
    let schedule = Schedule::new(seed, 2);
    let told = Mutex::new(Vec::new());
    let participant = |i: usize, machine: Machine| {
        let (storage, told) = (schedule.wrap(i, storage.clone()), &told);
        let day = 2 + i as u64;
        let work = move || {
            let outcome = machine.backup(storage, &key(), &desk(day));
            told.lock().unwrap().push((outcome, day));
        };
        Box::new(work) as Box<dyn FnOnce() + Send + '_>
    };
    schedule.run(vec![participant(0, a.clone()), participant(1, b.clone())]);
    let operations = disk.operations() - before;
    for (outcome, day) in told.into_inner().unwrap() {
        assert!(trouble.is_some() || outcome.is_ok(), "seed {seed}: {outcome:?}");
        promises.note(&outcome, &desk(day));
    }
    let context = format!("two writers, seed {seed}, {trouble:?}");
    if let Some((trouble, _)) = trouble {
        trouble.over(&disk, seed);
    }
    promises.check(Arc::new(disk.storage()), &context);
    for machine in [&a, &b] {
        let next = run(machine, &disk, 5);
        assert!(next.is_ok(), "{context}, then {next:?}");
        promises.note(&next, &desk(5));
    }
    promises.check(Arc::new(disk.storage()), &context);
    operations
}

/// Cuts two writers at their operations, and lets them fail, about `runs` of them.
fn trouble_two_writers(runs: u64) {
    let operations = two_writers(1, None);
    for k in (0..operations).step_by(stride(operations, runs)) {
        two_writers(k + 1, Some((Trouble::Cut, k)));
        two_writers(k + 1, Some((Trouble::Fail(Failure::Io), k)));
        two_writers(k + 1, Some((Trouble::Fail(Failure::Full), k)));
    }
}

#[test]
fn power_lost_in_a_backup_costs_nothing_promised() {
    cut_backups(130);
}

#[test]
fn operations_of_a_backup_may_fail() {
    fail_backups(60);
}

#[test]
fn an_adoption_may_be_cut_or_fail() {
    trouble_adoptions(40);
}

#[test]
fn two_writers_at_once_may_be_cut_or_fail() {
    trouble_two_writers(25);
}

#[test]
#[ignore = "long: cargo xtask sim"]
fn every_operation() {
    std::thread::scope(|scope| {
        for part in [cut_backups, fail_backups, trouble_adoptions, trouble_two_writers] {
            scope.spawn(move || part(u64::MAX));
        }
    });
    println!("every operation of a backup, of an adoption and of two writers may be cut or fail");
}

#[test]
fn a_full_disk_goes_on_when_there_is_room_and_stores_nothing_twice() {
    let machine = Machine::new(9);
    let (disk, mut promises) = begin(&machine);
    let mut big = MemorySource::new(&["/big"]);
    for n in 0..12 {
        big.file(format!("/big{n}").replace("/big", "/big/"), &noise(n + 50, 4 << 20));
    }
    let used: usize = disk.files().values().map(Vec::len).sum();
    disk.set_capacity(Some(used as u64 + (40 << 20)));
    let full = machine.backup(Arc::new(disk.storage()), &key(), &big);
    assert!(matches!(full, Err(RepoError::Store(sb_store::StoreError::Full { .. }))), "{full:?}");
    promises.check(Arc::new(disk.storage()), "on a full disk");
    disk.set_capacity(None);
    let report = machine.backup(Arc::new(disk.storage()), &key(), &big).unwrap();
    assert!(report.adopted > 0);
    assert!(report.counts.stored_bytes < 24 << 20, "the durable pack is not stored again: {:?}", report.counts);
    promises.note(&Ok(report), &big);
    promises.check(Arc::new(disk.storage()), "after there was room again");
}

/// A history that the seed decides: machines, runs, crashes, failures, full disks, two at once.
fn history(seed: u64) {
    let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    let machines = [Machine::new(seed), Machine::new(seed ^ 0xffff_0000)];
    let (disk, mut promises) = begin(&machines[0]);
    let expected_operations = 300;
    for step in 0..2 + roll(3) {
        let machine = &machines[usize::try_from(roll(2)).unwrap()];
        let day = 1 + roll(6);
        let at = disk.operations() + roll(expected_operations);
        let context = format!("seed {seed}, step {step}");
        match roll(5) {
            0 => {
                let outcome = run(machine, &disk, day);
                assert!(outcome.is_ok(), "{context}: {outcome:?}");
                promises.note(&outcome, &desk(day));
            }
            1 => {
                disk.cut(if roll(2) == 0 { Cut::Before } else { Cut::After });
                disk.crash_at(at);
                promises.note(&run(machine, &disk, day), &desk(day));
                disk.power_loss(roll(u64::MAX));
            }
            2 => {
                disk.crash_at(at);
                promises.note(&run(machine, &disk, day), &desk(day));
                disk.kill();
            }
            3 => {
                let failure = if roll(2) == 0 { Failure::Io } else { Failure::Full };
                let disk_at = at;
                if roll(2) == 0 {
                    disk.fail_at(disk_at, failure);
                } else {
                    disk.fail_from(disk_at, failure);
                }
                promises.note(&run(machine, &disk, day), &desk(day));
                disk.kill();
            }
            _ => {
                let used: usize = disk.files().values().map(Vec::len).sum();
                disk.set_capacity(Some(used as u64 + roll(60_000)));
                promises.note(&run(machine, &disk, day), &desk(day));
                disk.set_capacity(None);
            }
        }
        promises.check(Arc::new(disk.storage()), &context);
    }
    let last = run(&machines[0], &disk, 7);
    assert!(last.is_ok(), "seed {seed}: {last:?}");
    promises.note(&last, &desk(7));
    promises.check(Arc::new(disk.storage()), &format!("seed {seed}, at the end"));
    if seed.is_multiple_of(3) {
        two_writers(seed, Some((Trouble::Cut, roll(expected_operations * 2))));
    }
}

#[test]
fn a_few_hundred_histories() {
    (0..200).for_each(history);
}

#[test]
#[ignore = "long: cargo xtask sim"]
fn seeds_from_environment() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (from, count) = (number("SB_SIM_FROM", 0), number("SB_SIM_SEEDS", 1000));
    let next = std::sync::atomic::AtomicU64::new(from);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= from + count {
                        break;
                    }
                    if let Err(panic) = std::panic::catch_unwind(|| history(seed)) {
                        println!("failing seed: {seed}");
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
    });
    println!("{count} seeds from {from} on hold");
}
