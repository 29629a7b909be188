//! Small packs, of which each run leaves some, are put together where that leads somewhere.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::Arc;

use common::meddler::*;
use common::{Machine, assert_holds, expected, key, new_vault, noise};
use sb_repo::{CollectOptions, CollectReport, Progress, SnapshotId};
use sb_source::MemorySource;
use sb_store::sim::SimDisk;
use sb_store::{MemoryStorage, Storage};

fn collect(machine: &Machine, storage: &Arc<dyn Storage>) -> CollectReport {
    machine.open(storage.clone(), &key()).unwrap().collect(&CollectOptions::default(), Progress::none()).unwrap()
}

fn number(storage: &Arc<dyn Storage>, folder: &str) -> usize {
    storage.list(folder).unwrap().len()
}

/// As many runs as it takes, each with a new file of this size; the snapshots and what they hold.
fn runs(machine: &Machine, storage: &Arc<dyn Storage>, size: usize) -> Vec<(SnapshotId, MemorySource)> {
    let day = |n: u64| {
        let mut source = MemorySource::new(&["/d"]);
        for file in 0..=n {
            source.file(format!("/d/{file}"), &noise(file, size));
        }
        source
    };
    (0..17).map(|n| (machine.backup(storage.clone(), &key(), &day(n)).unwrap().snapshot, day(n))).collect()
}

#[test]
fn small_packs_of_many_runs_become_one_and_stay_so() {
    let machine = Machine::new(80);
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    new_vault(&machine, storage.clone());
    let snapshots = runs(&machine, &storage, 30_000);
    assert_eq!(number(&storage, "packs"), 2 * 17);
    let report = collect(&machine, &storage);
    assert_eq!((report.rewritten.count, number(&storage, "packs")), (2 * 17, 2), "{report:?}");
    assert!(number(&storage, "sessions") <= 4, "keys go with the packs they were for");
    let after = storage.list("").unwrap();
    let again = collect(&machine, &storage);
    assert_eq!((again.rewritten.count, storage.list("").unwrap() == after), (0, true), "{again:?}");
    let vault = machine.open(storage, &key()).unwrap();
    for (id, source) in snapshots {
        assert_holds(&vault, &id.to_string(), &expected(&source));
    }
    good(&vault);
}

#[test]
fn on_a_disk_that_has_no_room_for_them_together_they_stay_and_no_more_is_written() {
    let (disk, machine) = (SimDisk::new(), Machine::new(81));
    let storage: Arc<dyn Storage> = Arc::new(disk.storage());
    new_vault(&machine, storage.clone());
    runs(&machine, &storage, 200_000);
    let used = || disk.files().values().map(Vec::len).sum::<usize>() as u64;
    // Room for some of them, but not for all.
    disk.set_capacity(Some(used() + 2_000_000));
    let before = used();
    let report = collect(&machine, &storage);
    assert_eq!(
        (report.rewritten.count, report.postponed.count),
        (17, 0),
        "those of metadata are small enough: {report:?}"
    );
    assert!(used() <= before, "{} bytes more", used() - before);
    let after = storage.list("").unwrap();
    let again = collect(&machine, &storage);
    assert!(again.rewritten.count == 0 && storage.list("").unwrap() == after, "{again:?}");
    assert_eq!(storage.list("packs").unwrap().iter().filter(|pack| pack.size > 200_000).count(), 17);
    disk.set_capacity(Some(used() + 10_000_000));
    collect(&machine, &storage);
    assert_eq!(number(&storage, "packs"), 2);
    good(&machine.open(storage, &key()).unwrap());
}
