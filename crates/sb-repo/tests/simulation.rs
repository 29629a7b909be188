//! Crashes, failures and several writers, replayed from a seed.
//!
//! The oracle: what was acknowledged restores, exactly; nothing undamaged is reported as damage; the next run goes on; no two messages
//! are sealed under one key and nonce, though machines of all histories have the same few random generators.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::{Arc, Mutex};

use common::{Machine, Tree, assert_holds, event, expected, key, new_vault, noise};
use sb_crypto::testing::{seals, watch_seals};
use sb_repo::{
    BackupReport, CollectOptions, CollectReport, Finding, Flaw, MaxUnused, Progress, RepoError, RotateOptions,
    RotateReport, SnapshotId, VerifyLevel,
};
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

/// All snapshots that somebody was told of and nobody wanted to forget, and what must be in them.
#[derive(Default)]
struct Promises(Vec<(String, Tree)>);

impl Promises {
    fn note(&mut self, outcome: &Result<BackupReport, RepoError>, source: &MemorySource) {
        if let Ok(report) = outcome {
            assert!(!report.is_partial(), "{:?}", report.problems);
            self.0.push((report.snapshot.to_string(), expected(source)));
        }
    }

    /// What somebody begins to forget is promised no more, whatever comes of that. The snapshot's id.
    fn withdraw(&mut self, place: usize) -> SnapshotId {
        SnapshotId::from_hex(&self.0.remove(place).0).unwrap()
    }

    /// Everything promised is there, nothing is damaged, and a stranger with the key sees it too.
    fn check(&self, storage: Arc<dyn Storage>, context: &str) {
        let left = self.check_but_leftovers(storage, context);
        assert!(left.is_empty(), "{context}: {left:?}");
    }

    /// The same, but what a rotation that was cut short has replaced may still be there.
    fn check_but_leftovers(&self, storage: Arc<dyn Storage>, context: &str) -> Vec<Finding> {
        let vault = Machine::new(99).open(storage, &key()).unwrap_or_else(|error| panic!("{context}: {error}"));
        for (id, tree) in &self.0 {
            assert_holds(&vault, id, tree);
        }
        let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
        assert!(report.findings.iter().all(|f| f.flaw == Flaw::Resurrected), "{context}: {:?}", report.findings);
        let certificates = vault.view().certificates().certificates;
        let certified: Vec<String> = certificates.iter().map(|c| c.statement.subjects[0].sha256.to_string()).collect();
        for (id, _) in &self.0 {
            assert_eq!(certified.iter().filter(|of| *of == id).count(), 1, "{context}: the certificate of {id}");
        }
        assert_eq!(repeated_seals(), 0, "{context}: messages under a key and nonce that another had");
        report.findings
    }
}

/// How many messages of this process, of whatever history, met a key and nonce that another had met.
fn repeated_seals() -> usize {
    let seals = seals();
    assert!(seals.count > 10, "seals are noted");
    seals.repeats
}

/// A vault with one snapshot on a simulated disk.
fn begin(machine: &Machine) -> (SimDisk, Promises) {
    watch_seals();
    let disk = SimDisk::new();
    let storage: Arc<dyn Storage> = Arc::new(disk.storage());
    new_vault(machine, storage.clone());
    let mut promises = Promises::default();
    promises.note(&machine.session(storage, &key(), &desk(1)), &desk(1));
    assert_eq!(promises.0.len(), 1);
    (disk, promises)
}

fn run(machine: &Machine, disk: &SimDisk, day: u64) -> Result<BackupReport, RepoError> {
    machine.session(Arc::new(disk.storage()), &key(), &desk(day))
}

/// Forgets a snapshot and collects what only it needed, to the last byte.
fn forget_and_collect(
    machine: &Machine,
    storage: Arc<dyn Storage>,
    ids: &[SnapshotId],
) -> Result<CollectReport, RepoError> {
    let mut vault = machine.open(storage, &key())?;
    vault.forget(ids, Progress::none())?;
    let mut options = CollectOptions::default();
    options.max_unused = MaxUnused::Bytes(0);
    vault.collect(&options, Progress::none())
}

/// Those of these snapshots that are there yet.
fn unforgotten(machine: &Machine, disk: &SimDisk, ids: &[SnapshotId]) -> Vec<SnapshotId> {
    let all = machine.open(Arc::new(disk.storage()), &key()).unwrap().snapshots().unwrap();
    assert!(all.flawed.is_empty(), "{:?}", all.flawed);
    all.snapshots.iter().map(|snapshot| snapshot.id).filter(|id| ids.contains(id)).collect()
}

/// After trouble in a collection: backups go on, and the next collection ends what the one before began.
fn collects_on(machine: &Machine, disk: &SimDisk, mut promises: Promises, forgotten: &[SnapshotId], context: &str) {
    let storage = || -> Arc<dyn Storage> { Arc::new(disk.storage()) };
    promises.check(storage(), context);
    let next = run(machine, disk, 3);
    assert!(next.is_ok(), "{context}, then {next:?}");
    promises.note(&next, &desk(3));
    promises.check(storage(), context);
    let left = unforgotten(machine, disk, forgotten);
    let outcome = forget_and_collect(machine, storage(), &left);
    assert!(outcome.is_ok(), "{context}, then {outcome:?}");
    promises.check(storage(), context);
    let files = disk.files();
    let count = |folder: &str| files.keys().filter(|name| name.starts_with(folder)).count();
    assert_eq!(["leases/", "fences/", "condemned/"].map(count), [0; 3], "{context}: {:?}", files.keys());
    assert_eq!(count("snapshots/"), promises.0.len(), "{context}");
    let packs: usize = files.iter().filter(|(name, _)| name.starts_with("packs/")).map(|(_, bytes)| bytes.len()).sum();
    assert!(packs < 30_000 * (promises.0.len() + 1), "{context}: {packs} bytes are left");
}

/// A vault with three snapshots, one of which is to be forgotten: a part of its packs is needed by others.
fn three_days(machine: &Machine) -> (SimDisk, Promises, SnapshotId) {
    let (disk, mut promises) = begin(machine);
    for day in [2, 4] {
        promises.note(&run(machine, &disk, day), &desk(day));
    }
    let goes = promises.withdraw(0);
    (disk, promises, goes)
}

/// Cuts forgetting and collecting at their operations, and lets them fail, about `runs` of them.
fn trouble_collections(runs: u64) {
    let operations = {
        let machine = Machine::new(6);
        let (disk, promises, goes) = three_days(&machine);
        let before = disk.operations();
        let report = forget_and_collect(&machine, Arc::new(disk.storage()), &[goes]).unwrap();
        assert!(report.deleted.count > 0 && report.rewritten.count > 0 && report.others.count > 0, "{report:?}");
        let operations = disk.operations() - before;
        collects_on(&machine, &disk, promises, &[], "no trouble");
        operations
    };
    for k in (0..operations).step_by(stride(operations, runs)) {
        for trouble in [Trouble::Cut, Trouble::Fail(Failure::Io), Trouble::Fail(Failure::Full)] {
            for cut in [Cut::Before, Cut::After] {
                let machine = Machine::new(6);
                let (disk, promises, goes) = three_days(&machine);
                disk.cut(cut);
                trouble.at(&disk, disk.operations() + k);
                let _ = forget_and_collect(&machine, Arc::new(disk.storage()), &[goes]);
                trouble.over(&disk, k);
                let context = format!("collection, {trouble:?} {cut:?} at operation {k} of {operations}");
                collects_on(&machine, &disk, promises, &[goes], &context);
            }
        }
    }
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
            let outcome = machine.session(storage, &key(), &desk(day));
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

/// Two machines back up while a third forgets and collects, in an order that the seed decides, and there is trouble at one
/// operation of that. With an odd seed the collector's clock is days ahead: it takes the others for dead.
fn two_writers_and_a_collector(seed: u64, trouble: Option<(Trouble, u64)>) -> u64 {
    let machines = [Machine::new(seed), Machine::new(seed + 1000), Machine::new(seed + 2000)];
    let [a, b, c] = &machines;
    let (disk, mut promises, goes) = three_days(a);
    promises.note(&run(b, &disk, 1), &desk(1));
    let also = promises.withdraw(promises.0.len() - 1);
    let forgotten = [goes, also];
    if seed % 2 == 1 {
        c.clock.advance_hours(100);
    }
    let before = disk.operations();
    if let Some((trouble, k)) = trouble {
        trouble.at(&disk, before + k);
    }
    let storage: Arc<dyn Storage> = Arc::new(disk.storage());
    let schedule = Schedule::new(seed, 3);
    let told = Mutex::new(Vec::new());
    let writer = |i: usize, machine: Machine| {
        let (storage, told) = (schedule.wrap(i, storage.clone()), &told);
        // One stores what is being forgotten once more.
        let day = 1 + 4 * i as u64;
        let work = move || {
            let outcome = machine.session(storage, &key(), &desk(day));
            told.lock().unwrap().push((outcome, day));
        };
        Box::new(work) as Box<dyn FnOnce() + Send + '_>
    };
    let collected = Mutex::new(None);
    let collector = {
        let (storage, collected) = (schedule.wrap(2, storage.clone()), &collected);
        Box::new(move || {
            *collected.lock().unwrap() = Some(forget_and_collect(c, storage, &forgotten));
        }) as Box<dyn FnOnce() + Send + '_>
    };
    schedule.run(vec![writer(0, a.clone()), writer(1, b.clone()), collector]);
    let operations = disk.operations() - before;
    let context = format!("two writers and a collector, seed {seed}, {trouble:?}");
    for (outcome, day) in told.into_inner().unwrap() {
        let lost_its_ground = matches!(outcome, Err(RepoError::Condemned { .. }));
        assert!(trouble.is_some() || outcome.is_ok() || lost_its_ground, "{context}: {outcome:?}");
        promises.note(&outcome, &desk(day));
    }
    let collected = collected.into_inner().unwrap().unwrap();
    assert!(trouble.is_some() || collected.is_ok(), "{context}: {collected:?}");
    if let Some((trouble, _)) = trouble {
        trouble.over(&disk, seed);
    }
    promises.check(Arc::new(disk.storage()), &context);
    for machine in [a, b] {
        let next = run(machine, &disk, 5);
        assert!(next.is_ok(), "{context}, then {next:?}");
        promises.note(&next, &desk(5));
    }
    promises.check(Arc::new(disk.storage()), &context);
    // Days later no run that was cut can go on any more.
    c.clock.advance_hours(200);
    for id in unforgotten(c, &disk, &forgotten) {
        let _ = forget_and_collect(c, Arc::new(disk.storage()), &[id]);
    }
    let last = forget_and_collect(c, Arc::new(disk.storage()), &[]);
    assert!(last.is_ok(), "{context}, then {last:?}");
    promises.check(Arc::new(disk.storage()), &context);
    operations
}

/// Two machines back up while a third rotates keys, in an order that the seed decides, and there is trouble at one operation of that.
/// With an odd seed the clock of whoever rotates is days ahead: it takes the others for dead.
fn two_writers_and_a_rotation(seed: u64, trouble: Option<(Trouble, u64)>) -> u64 {
    let machines = [Machine::new(seed), Machine::new(seed + 1000), Machine::new(seed + 2000)];
    let [a, b, c] = &machines;
    let (disk, mut promises) = begin(a);
    promises.note(&run(b, &disk, 1), &desk(1));
    if seed % 2 == 1 {
        c.clock.advance_hours(100);
    }
    let before = disk.operations();
    if let Some((trouble, k)) = trouble {
        trouble.at(&disk, before + k);
    }
    let storage: Arc<dyn Storage> = Arc::new(disk.storage());
    let schedule = Schedule::new(seed, 3);
    let told = Mutex::new(Vec::new());
    let writer = |i: usize, machine: Machine| {
        let (storage, told) = (schedule.wrap(i, storage.clone()), &told);
        let day = 1 + 4 * i as u64;
        let work = move || {
            let outcome = machine.session(storage, &key(), &desk(day));
            told.lock().unwrap().push((outcome, day));
        };
        Box::new(work) as Box<dyn FnOnce() + Send + '_>
    };
    let rotated = Mutex::new(None);
    let rotator = {
        let (storage, rotated) = (schedule.wrap(2, storage.clone()), &rotated);
        Box::new(move || *rotated.lock().unwrap() = Some(rotate(c, storage))) as Box<dyn FnOnce() + Send + '_>
    };
    schedule.run(vec![writer(0, a.clone()), writer(1, b.clone()), rotator]);
    let operations = disk.operations() - before;
    let context = format!("two writers and a rotation, seed {seed}, {trouble:?}");
    for (outcome, day) in told.into_inner().unwrap() {
        let lost_its_ground = matches!(outcome, Err(RepoError::Condemned { .. }));
        assert!(trouble.is_some() || outcome.is_ok() || lost_its_ground, "{context}: {outcome:?}");
        promises.note(&outcome, &desk(day));
    }
    let rotated = rotated.into_inner().unwrap().unwrap();
    assert!(trouble.is_some() || rotated.is_ok(), "{context}: {rotated:?}");
    if let Some((trouble, _)) = trouble {
        trouble.over(&disk, seed);
    }
    promises.check_but_leftovers(Arc::new(disk.storage()), &context);
    for machine in [a, b] {
        let next = run(machine, &disk, 5);
        assert!(next.is_ok(), "{context}, then {next:?}");
        promises.note(&next, &desk(5));
    }
    // Days later no run that was cut can go on any more.
    c.clock.advance_hours(200);
    let last = rotate(c, Arc::new(disk.storage()));
    assert!(last.as_ref().is_ok_and(|last| last.is_finished), "{context}, then {last:?}");
    promises.check(Arc::new(disk.storage()), &context);
    operations
}

fn rotate(machine: &Machine, storage: Arc<dyn Storage>) -> Result<RotateReport, RepoError> {
    machine.open(storage, &key())?.rotate(&RotateOptions::default(), Progress::none())
}

/// Cuts two writers and a rotation at their operations, and lets them fail, about `runs` of them.
fn trouble_two_writers_and_a_rotation(runs: u64) {
    let operations = two_writers_and_a_rotation(2, None).max(two_writers_and_a_rotation(1, None));
    for k in (0..operations).step_by(stride(operations, runs)) {
        two_writers_and_a_rotation(k + 1, None);
        two_writers_and_a_rotation(k + 1, Some((Trouble::Cut, k)));
        two_writers_and_a_rotation(k + 2, Some((Trouble::Fail(Failure::Io), k)));
        two_writers_and_a_rotation(k + 1, Some((Trouble::Fail(Failure::Full), k)));
    }
}

/// Cuts two writers and a collector at their operations, and lets them fail, about `runs` of them.
fn trouble_two_writers_and_a_collector(runs: u64) {
    let operations = two_writers_and_a_collector(2, None).max(two_writers_and_a_collector(1, None));
    for k in (0..operations).step_by(stride(operations, runs)) {
        two_writers_and_a_collector(k + 1, None);
        two_writers_and_a_collector(k + 1, Some((Trouble::Cut, k)));
        two_writers_and_a_collector(k + 2, Some((Trouble::Fail(Failure::Io), k)));
        two_writers_and_a_collector(k + 1, Some((Trouble::Fail(Failure::Full), k)));
    }
}

/// Cuts logging at each of its operations, or lets that fail, on a machine that has logged before and on a new one.
fn trouble_logging() {
    let log = |machine: &Machine, disk: &SimDisk, n: u32| {
        let mut vault = machine.open(Arc::new(disk.storage()), &key())?;
        vault.log(&[event(n), event(n)]).map(drop)
    };
    let ready = |is_new: bool| {
        let (machine, other) = (Machine::new(9), Machine::new(10));
        let disk = SimDisk::new();
        new_vault(&machine, Arc::new(disk.storage()));
        log(&machine, &disk, 1).unwrap();
        (disk, if is_new { other } else { machine }, vec![1])
    };
    for is_new in [false, true] {
        let operations = {
            let (disk, machine, _) = ready(is_new);
            let before = disk.operations();
            log(&machine, &disk, 2).unwrap();
            disk.operations() - before
        };
        let cuts = (0..operations).flat_map(|k| [Cut::Before, Cut::After].map(|cut| (k, Trouble::Cut, cut)));
        let failures = (0..operations).map(|k| {
            let failure = if k % 2 == 0 { Failure::Io } else { Failure::Full };
            (k, Trouble::Fail(failure), Cut::Before)
        });
        for (k, trouble, cut) in cuts.chain(failures) {
            let (disk, machine, mut told) = ready(is_new);
            disk.cut(cut);
            trouble.at(&disk, disk.operations() + k);
            told.extend(log(&machine, &disk, 2).is_ok().then_some(2));
            trouble.over(&disk, k);
            let context = format!("logging, {trouble:?} {cut:?} at operation {k} of {operations}, new: {is_new}");
            check_logs(&machine, &disk, &told, &context);
            let next = log(&machine, &disk, 3);
            assert!(next.is_ok(), "{context}, then {next:?}");
            told.push(3);
            check_logs(&machine, &disk, &told, &context);
        }
    }
}

/// Everything that somebody was told to be logged is there, in whole batches, and whoever looks finds nothing wrong.
fn check_logs(machine: &Machine, disk: &SimDisk, told: &[u32], context: &str) {
    for machine in [machine, &Machine::new(98)] {
        let vault = machine.open(Arc::new(disk.storage()), &key()).unwrap();
        let logs = vault.logs(Progress::none()).unwrap();
        assert!(logs.findings.is_empty(), "{context}: {:?}", logs.findings);
        for n in told {
            let logged = logs.entries.iter().filter(|logged| logged.entry.event.object == event(*n).object).count();
            assert_eq!(logged, 2, "{context}: {n} in {:?}", logs.entries);
        }
        let report = vault.verify(VerifyLevel::Objects, Progress::none()).unwrap();
        assert!(report.is_good(), "{context}: {:?}", report.findings);
    }
}

#[test]
fn logging_may_be_cut_or_fail() {
    trouble_logging();
}

#[test]
fn forgetting_and_collecting_may_be_cut_or_fail() {
    trouble_collections(16);
}

#[test]
fn two_writers_and_a_collector_at_once_may_be_cut_or_fail() {
    trouble_two_writers_and_a_collector(10);
}

#[test]
fn two_writers_and_a_rotation_at_once_may_be_cut_or_fail() {
    trouble_two_writers_and_a_rotation(10);
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
        for part in [
            cut_backups,
            fail_backups,
            trouble_adoptions,
            trouble_two_writers,
            trouble_collections,
            trouble_two_writers_and_a_collector,
            trouble_two_writers_and_a_rotation,
        ] {
            scope.spawn(move || part(u64::MAX));
        }
    });
    println!(
        "every operation of a backup, an adoption, two writers, a collection, a rotation and all at once may be cut or fail"
    );
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
    let full = machine.session(Arc::new(disk.storage()), &key(), &big);
    assert!(matches!(full, Err(RepoError::Store(sb_store::StoreError::Full { .. }))), "{full:?}");
    promises.check(Arc::new(disk.storage()), "on a full disk");
    disk.set_capacity(None);
    let report = machine.session(Arc::new(disk.storage()), &key(), &big).unwrap();
    assert!(report.adopted > 0);
    assert!(report.counts.stored_bytes < 24 << 20, "the durable pack is not stored again: {:?}", report.counts);
    promises.note(&Ok(report), &big);
    promises.check(Arc::new(disk.storage()), "after there was room again");
}

/// Forgets, perhaps, and collects, and perhaps there is trouble at that operation.
fn troubled_collection(
    machine: &Machine,
    disk: &SimDisk,
    promises: &mut Promises,
    at: u64,
    roll: &mut dyn FnMut(u64) -> u64,
) {
    // The clock of whoever collects may be days ahead of that of the machine that was cut.
    machine.clock.advance_hours(if roll(3) == 0 { 100 } else { 0 });
    let mut goes = Vec::new();
    if promises.0.len() > 1 && roll(3) > 0 {
        goes.push(promises.withdraw(usize::try_from(roll(promises.0.len() as u64)).unwrap()));
    }
    match roll(4) {
        0 => disk.crash_at(at),
        1 => disk.fail_at(at, if roll(2) == 0 { Failure::Io } else { Failure::Full }),
        2 => disk.fail_from(at, if roll(2) == 0 { Failure::Io } else { Failure::Full }),
        _ => {}
    }
    let _ = forget_and_collect(machine, Arc::new(disk.storage()), &goes);
    if roll(2) == 0 { disk.kill() } else { disk.power_loss(roll(u64::MAX)) }
}

/// Rotates keys, and perhaps there is trouble at that operation; the next one ends it.
fn troubled_rotation(machine: &Machine, disk: &SimDisk, at: u64, roll: &mut dyn FnMut(u64) -> u64) {
    machine.clock.advance_hours(if roll(3) == 0 { 100 } else { 0 });
    match roll(3) {
        0 => disk.crash_at(at),
        1 => disk.fail_at(at, if roll(2) == 0 { Failure::Io } else { Failure::Full }),
        _ => {}
    }
    let _ = rotate(machine, Arc::new(disk.storage()));
    let is_killed = roll(2) == 0;
    if is_killed {
        disk.kill();
    } else {
        disk.power_loss(roll(u64::MAX));
    }
    let next = rotate(machine, Arc::new(disk.storage()));
    // Whoever else was cut in a collection may yet go on.
    assert!(matches!(next, Ok(_) | Err(RepoError::Busy { .. })), "{next:?}");
}

/// Days later, when no run that was cut can go on any more, a collection works.
fn collect_at_the_end(machine: &Machine, disk: &SimDisk, promises: &Promises, seed: u64) {
    machine.clock.advance_hours(200);
    let collected = forget_and_collect(machine, Arc::new(disk.storage()), &[]);
    assert!(collected.is_ok(), "seed {seed}: {collected:?}");
    promises.check(Arc::new(disk.storage()), &format!("seed {seed}, collected at the end"));
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
        match roll(8) {
            7 => troubled_rotation(machine, &disk, at, &mut roll),
            5 | 6 => troubled_collection(machine, &disk, &mut promises, at, &mut roll),
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
    collect_at_the_end(&machines[1], &disk, &promises, seed);
    if seed % 3 == 1 {
        two_writers_and_a_collector(seed, Some((Trouble::Cut, roll(expected_operations * 4))));
    }
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
