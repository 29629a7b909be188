//! A vault in memory and what goes into it.
#![allow(dead_code, reason = "each benchmark uses its own part")]

use std::sync::Arc;

use sb_crypto::{KeyFile, Lock, Random, SeededRandom};
use sb_repo::{
    BackupOptions, Changes, CreateOptions, FixedClock, Progress, Snapshot, State, Surroundings, Vault, create,
};
use sb_source::Source;
use sb_store::MemoryStorage;

/// 2100-01-01: later than any file changes, or a run could not tell that one has not changed since it began.
const NOW: i64 = 4_102_444_800;

/// An empty vault in memory, and a machine that remembers in `state`.
pub(crate) fn vault(state: State) -> Vault {
    let random = Arc::new(SeededRandom::new(1));
    let lock = Lock::KeyFile(KeyFile::generate(&*random));
    let around = Surroundings {
        storage: Arc::new(MemoryStorage::new()),
        state,
        clock: Arc::new(FixedClock(chrono::DateTime::from_timestamp_secs(NOW).expect("in range"))),
        random,
    };
    create(around, &[lock], &CreateOptions::default()).expect("an empty storage takes a vault").0
}

/// Backs up on one thread, so that what is measured is work and not the number of cores.
pub(crate) fn back_up(vault: &mut Vault, source: &dyn Source) -> Changes {
    let mut options = BackupOptions::default();
    options.threads = 1;
    let report = vault.backup(source, &options, Progress::none()).expect("memory takes a backup");
    assert!(!report.is_partial(), "all can be read");
    report.changes
}

/// The newest snapshot.
pub(crate) fn latest(vault: &Vault) -> Snapshot {
    vault.find_snapshot("latest").expect("there is a snapshot")
}

/// Bytes that do not compress.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SeededRandom::new(2).fill(&mut bytes);
    bytes
}

/// A ledger, which compresses as such things do.
pub(crate) fn ledger(length: usize) -> Vec<u8> {
    const TEXTS: [&str; 6] = ["invoice paid", "rent", "payroll tax", "office supplies", "bank fee", "wire transfer"];
    let mut bytes = Vec::with_capacity(length + 64);
    for draw in noise(length / 4).chunks_exact(6) {
        let (day, month, account) = (draw[0] % 28 + 1, draw[1] % 12 + 1, u16::from(draw[2]) * 10 + 1000);
        let cents = u32::from(draw[3]) << 8 | u32::from(draw[4]);
        let text = TEXTS[usize::from(draw[5]) % TEXTS.len()];
        let line = format!("2025-{month:02}-{day:02};{account};{}.{:02};{text}\n", cents / 100, cents % 100);
        bytes.extend_from_slice(line.as_bytes());
    }
    bytes.truncate(length);
    assert_eq!(bytes.len(), length, "enough lines");
    bytes
}

/// The path of the file of this number: a hundred to a folder.
pub(crate) fn path(number: usize) -> String {
    format!("/firm/client {:03}/invoice-{number:06}.csv", number / 100)
}
