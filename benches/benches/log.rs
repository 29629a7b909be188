//! The audit log of 1,000,000 entries: appending in batches of 1, 100 and 10,000, proving and verifying, each beside a limit of the
//! machine that is measured in the same run.
//!
//!     cargo bench -p benches --bench log [-- ENTRIES]
//!
//! Limits: of appending in memory and of verifying, the SHA-256 of all those bytes; of appending on the disk, storing as many bytes in as many
//! objects without writing a log; of proving, reading the batch. `LOG_BENCH_DIR` names the folder for what is measured on a disk.

#![allow(clippy::print_stdout, reason = "what is measured is what it prints")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sb_audit::{Event, Json, Outcome};
use sb_crypto::{KeyFile, Lock, Random, SeededRandom, sha256, verify_inclusion};
use sb_repo::{
    BackupOptions, CertificateTerms, CreateOptions, FixedClock, KeyId, Progress, State, Surroundings, Vault, create,
};
use sb_source::MemorySource;
use sb_store::{LocalStorage, MemoryStorage, ObjectName, Storage};

/// So many batches of one are appended: of one entry each, a million objects would measure the file system.
const ONES: usize = 2000;
const ROUNDS: usize = 5;

fn main() {
    // `cargo bench` passes an argument of its own, and `cargo test` one that asks for no measuring.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let entries = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let folder = std::env::var_os("LOG_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    println!("| what | of | time | a second | of the limit |\n|---|---|---|---|---|");
    for batch in [100, 10_000] {
        in_memory(entries, batch);
    }
    on_disk(&folder, entries);
    println!("\n| a backup of | without | certified and logged | more | reading back |\n|---|---|---|---|---|");
    for megabytes in [20, 200, 1000] {
        beside_a_backup(&folder, megabytes);
    }
}

/// What certificate and log cost a backup of new content to a vault in use, on the disk; reading back, which both kinds of run do,
/// apart.
fn beside_a_backup(folder: &Path, megabytes: usize) {
    let mut source = MemorySource::new(&["/firm"]);
    for n in 0..megabytes {
        source.file(format!("/firm/{n:04}"), &noise(n as u64));
    }
    let mut first = MemorySource::new(&["/firm"]);
    first.file("/firm/first", b"so that the vault has its folders");
    let (mut without, mut with, mut back) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let place = tempfile::tempdir_in(folder).expect("a folder for the measurement");
        for is_certified in [false, true] {
            let storage =
                Arc::new(LocalStorage::create(place.path().join(format!("{is_certified}"))).expect("a new folder"));
            let state = State::open(&place.path().join(format!("state-{is_certified}"))).expect("a new folder");
            let mut vault = vault_in(storage.clone(), state);
            let mut options = BackupOptions::default();
            options.certificate = is_certified.then(|| CertificateTerms::new(vec!["Proves nothing.".to_owned()]));
            back_up(&mut vault, &first, &options);
            let took = timed(|| back_up(&mut vault, &source, &options));
            if is_certified {
                with.push(took);
            } else {
                without.push(took);
            }
            if !is_certified {
                back.push(timed(|| read_all(&*storage)));
            }
        }
    }
    let [without, with, back] = [without, with, back].map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    });
    let (more, back) = (100.0 * (with - without) / without, 100.0 * back / without);
    println!("| {megabytes} MB | {without:.3} s | {with:.3} s | {more:.1} % | {back:.0} % of that |");
}

/// As a session does it: announced and told in the log if it is certified.
fn back_up(vault: &mut Vault, source: &MemorySource, options: &BackupOptions) {
    if options.certificate.is_some() {
        vault.log(&[event(1)]).expect("there is room");
    }
    let report = vault.backup(source, options, Progress::none()).expect("there is room");
    if let Some(certified) = report.certificate {
        let issue = event(2).with("statement_sha256", Json::text(certified.statement_sha256.to_string()));
        vault.log(&[event(2), issue]).expect("there is room");
    }
}

/// As a run reads back what it has written.
fn read_all(storage: &dyn Storage) {
    for listed in storage.list("").expect("a folder") {
        let name = ObjectName::new(listed.name).expect("an object");
        storage.evict(&name);
        black_box(sha256(&storage.read(&name).expect("it is there")));
    }
}

/// A megabyte that does not compress.
fn noise(seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; 1_000_000];
    SeededRandom::new(seed).fill(&mut bytes);
    bytes
}

fn in_memory(entries: usize, batch: usize) {
    let storage = Arc::new(MemoryStorage::new());
    let mut vault = vault(storage.clone());
    let took = timed(|| append(&mut vault, entries, batch));
    let bytes = stored(&storage);
    let limit = timed(|| hash_all(&bytes));
    row(&format!("append by {batch}, in memory"), entries, took, Some(limit));
    if batch == 10_000 {
        verify(&vault, &storage, entries);
        prove(&vault, entries as u64, 100, "a batch of 10,000");
    } else {
        prove(&vault, entries as u64, 1000, "a batch of 100");
    }
}

/// Appending one entry at a time to a log of many, with all that it takes to be durable.
fn on_disk(folder: &Path, entries: usize) {
    let place = tempfile::tempdir_in(folder).expect("a folder for the measurement");
    let storage = Arc::new(LocalStorage::create(place.path().join("vault")).expect("a new folder"));
    let state = State::open(&place.path().join("state")).expect("a new folder");
    let mut vault = vault_in(storage.clone(), state);
    let took = timed(|| append(&mut vault, entries, 10_000));
    row("append by 10,000, on the disk", entries, took, None);
    let took = timed(|| append(&mut vault, ONES, 1));
    let other = LocalStorage::create(place.path().join("limit")).expect("a new folder");
    let bytes: Vec<Vec<u8>> = newest(&*storage, ONES);
    let limit = timed(|| store_again(&other, &bytes));
    row(&format!("append by 1 to {entries}, on the disk"), ONES, took, Some(limit));
}

/// All that a reader who trusts nobody does with the log.
fn verify(vault: &Vault, storage: &MemoryStorage, entries: usize) {
    let took = timed(|| {
        let logs = vault.view().logs(Progress::none()).expect("memory can be read");
        assert!(logs.findings.is_empty() && logs.entries.len() == entries, "{:?}", logs.findings);
    });
    let bytes = stored(storage);
    let limit = timed(|| hash_all(&bytes));
    row("read and verify all of it", entries, took, Some(limit));
}

/// That an entry is in the log, by its own batch, and checking that.
fn prove(vault: &Vault, entries: u64, proofs: u64, of: &str) {
    let writer = writer(vault);
    let places: Vec<u64> = (0..proofs).map(|n| n * (entries / proofs)).collect();
    let mut made = Vec::new();
    let took = timed(|| {
        for place in &places {
            let batch = vault.view().log_batch(writer, *place).expect("it is there");
            made.push((batch.prove(*place).expect("its own entry"), batch.tip().head()));
        }
    });
    let limit = timed(|| {
        for place in &places {
            black_box(vault.view().log_batch(writer, *place));
        }
    });
    row(&format!("prove an entry of {of}"), places.len(), took, Some(limit));
    let took = timed(|| {
        for (proof, head) in &made {
            let entry = proof.extra.as_deref().expect("the entry comes with it");
            let leaf = sb_crypto::leaf_hash(entry);
            assert!(verify_inclusion(proof.index, head.size, &leaf, &proof.path, &head.root));
        }
    });
    row("verify such a proof", places.len(), took, None);
}

fn writer(vault: &Vault) -> KeyId {
    vault.own_writer().expect("a good state").expect("the machine has enrolled")
}

fn vault(storage: Arc<MemoryStorage>) -> Vault {
    vault_in(storage, State::in_memory())
}

fn vault_in(storage: Arc<dyn Storage>, state: State) -> Vault {
    let random = Arc::new(SeededRandom::new(1));
    let clock = Arc::new(FixedClock(chrono::DateTime::UNIX_EPOCH));
    let lock = Lock::KeyFile(KeyFile::generate(&*random));
    let around = Surroundings { storage, state, clock, random };
    create(around, &[lock], &CreateOptions::default()).expect("an empty storage takes a vault").0
}

fn append(vault: &mut Vault, entries: usize, batch: usize) {
    let mut left = entries;
    while left > 0 {
        let count = left.min(batch);
        let events: Vec<Event> = (left - count..left).map(event).collect();
        vault.log(&events).expect("there is room");
        left -= count;
    }
}

/// As the program writes them.
fn event(n: usize) -> Event {
    let id = |text: String| text.parse().expect("an id");
    let source = id("machine:0123456789abcdef0123456789abcdef/sb".to_owned());
    let (actor, object) = (id(format!("user:{:032x}", n % 7)), id(format!("snapshot:{n:064x}")));
    let action = "Snapshot.Restore".parse().expect("an action");
    let event = Event::new(chrono::DateTime::UNIX_EPOCH, source, actor, action, object, Outcome::Success);
    event.with("bytes", Json::Integer(n as u64)).with("files", Json::Integer(1))
}

/// The objects of the log.
fn stored(storage: &MemoryStorage) -> Vec<Vec<u8>> {
    storage.objects().into_iter().filter(|(name, _)| name.starts_with("log/")).map(|(_, bytes)| bytes).collect()
}

fn hash_all(objects: &[Vec<u8>]) {
    for bytes in objects {
        black_box(sha256(bytes));
    }
}

fn newest(storage: &dyn Storage, count: usize) -> Vec<Vec<u8>> {
    let listed = storage.list("log").expect("a folder");
    let read = |name: &str| storage.read(&ObjectName::new(name).expect("an object")).expect("it is there");
    listed[listed.len() - count..].iter().map(|listed| read(&listed.name)).collect()
}

fn store_again(storage: &dyn Storage, objects: &[Vec<u8>]) {
    for (n, bytes) in objects.iter().enumerate() {
        sb_store::create(storage, &ObjectName::new(format!("log/{n:010}")).expect("a name"), bytes)
            .expect("there is room");
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn row(what: &str, of: usize, took: Duration, limit: Option<Duration>) {
    let rate = of as f64 / took.as_secs_f64();
    let ratio = limit.map_or_else(String::new, |limit| format!("{:.2}", limit.as_secs_f64() / took.as_secs_f64()));
    println!("| {what} | {of} | {:.3} s | {rate:.0} | {ratio} |", took.as_secs_f64());
}
