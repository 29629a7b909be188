//! A small source, a vault in memory, and somebody who does something while a run goes on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sb_repo::{Monitor, Progress, Vault, VerifyLevel};
use sb_source::MemorySource;
use sb_store::{MemoryStorage, Storage};

use super::{Machine, new_vault, noise};

pub fn source() -> MemorySource {
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", &noise(1, 40_000)).file("/d/b", &noise(2, 30_000)).file("/d/sub/c", b"small");
    source
}

pub fn begin(seed: u64) -> (Arc<MemoryStorage>, Machine, Vault) {
    let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(seed));
    let (vault, _) = new_vault(&machine, storage.clone());
    (storage, machine, vault)
}

pub fn packs(storage: &MemoryStorage) -> BTreeSet<String> {
    storage.list("packs").unwrap().into_iter().map(|listed| listed.name).collect()
}

pub fn good(vault: &Vault) {
    let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
    assert!(report.is_good(), "{report:?}");
}

/// Does something in the middle of the walk, as often as it is told to, and counts the warnings.
pub struct Meddler<'a> {
    act: Mutex<Box<dyn FnMut() + Send + 'a>>,
    at: &'static [u8],
    left: AtomicUsize,
    pub warnings: AtomicUsize,
}

impl<'a> Meddler<'a> {
    pub fn new(at: &'static [u8], times: usize, act: impl FnMut() + Send + 'a) -> Self {
        Self { act: Mutex::new(Box::new(act)), at, left: times.into(), warnings: 0.into() }
    }
}

impl std::fmt::Debug for Meddler<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meddler")
    }
}

impl Monitor for Meddler<'_> {
    fn at(&self, path: &[u8]) {
        if path == self.at && self.left.load(Ordering::Relaxed) > 0 {
            self.left.fetch_sub(1, Ordering::Relaxed);
            (self.act.lock().unwrap())();
        }
    }

    fn warning(&self, _: &str) {
        self.warnings.fetch_add(1, Ordering::Relaxed);
    }
}

static NEVER: AtomicBool = AtomicBool::new(false);

pub fn heard_by(monitor: &dyn Monitor) -> Progress<'_> {
    Progress { monitor, stop: &NEVER }
}
