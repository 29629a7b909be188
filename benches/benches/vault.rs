//! Throughput of the vault in memory, on one core: storing, restoring, verifying; trees written, listed and searched.
//!
//!     cargo bench -p benches --bench vault

mod common;

use std::hint::black_box;

use common::{back_up, latest, ledger, noise, path, vault};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sb_repo::{Pattern, Progress, Query, RestoreOptions, State, VerifyLevel};
use sb_source::{MemorySource, Target};

const SIZES: [usize; 2] = [8 << 20, 32 << 20];
const ENTRIES: [usize; 2] = [1_000, 10_000];

/// One large file, for what counts by bytes.
fn one_file(bytes: &[u8]) -> MemorySource {
    let mut source = MemorySource::new(&["/firm"]);
    source.file("/firm/file", bytes);
    source
}

/// Many files of a line each, for what counts by entries.
fn many_files(entries: usize) -> MemorySource {
    let mut source = MemorySource::new(&["/firm"]);
    for number in 0..entries {
        source.file(path(number), format!("{number}\n").as_bytes());
    }
    source
}

/// Chunks → segments, compressed and sealed → packs.
fn store(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10);
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        for (name, bytes) in [("noise", noise(size)), ("ledger", ledger(size))] {
            let source = one_file(&bytes);
            group.bench_function(BenchmarkId::new(name, format!("{} MiB", size >> 20)), |bencher| {
                bencher.iter_batched_ref(
                    || vault(State::in_memory()),
                    |vault| back_up(vault, &source),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    for entries in ENTRIES {
        let source = many_files(entries);
        group.throughput(Throughput::Elements(entries as u64));
        group.bench_function(BenchmarkId::new("small files", entries), |bencher| {
            bencher.iter_batched_ref(
                || vault(State::in_memory()),
                |vault| back_up(vault, &source),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Packs in memory → files in a folder, and packs read for nothing but to be checked.
fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    group.sample_size(10);
    let by_bytes =
        SIZES.map(|size| (format!("{} MiB", size >> 20), Throughput::Bytes(size as u64), one_file(&ledger(size))));
    let by_entries = ENTRIES
        .map(|entries| (format!("{entries} small files"), Throughput::Elements(entries as u64), many_files(entries)));
    for (size, throughput, source) in by_bytes.into_iter().chain(by_entries) {
        let mut vault = vault(State::in_memory());
        back_up(&mut vault, &source);
        let snapshot = latest(&vault);
        group.throughput(throughput);
        group.bench_function(BenchmarkId::new("restore", &size), |bencher| {
            bencher.iter_batched_ref(
                || tempfile::tempdir().expect("a temporary folder"),
                |folder| {
                    let target = Target::create(folder.path()).expect("a new folder");
                    let reader = vault.reader(Progress::none()).expect("the index is whole");
                    let options = RestoreOptions::default();
                    let report = reader.restore(&snapshot, b"/firm", &target, options, Progress::none());
                    assert!(report.expect("memory can be read").problems.is_empty(), "all is restored");
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new("verify", &size), |bencher| {
            bencher.iter(|| {
                let report = vault.verify(VerifyLevel::Data, Progress::none()).expect("memory can be read");
                assert!(report.is_good(), "nothing is damaged");
            });
        });
    }
    group.finish();
}

/// Trees gone through whole, and searched by name.
fn trees(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tree");
    group.sample_size(20);
    for entries in ENTRIES {
        let mut vault = vault(State::in_memory());
        back_up(&mut vault, &many_files(entries));
        let snapshot = latest(&vault);
        group.throughput(Throughput::Elements(entries as u64));
        group.bench_function(BenchmarkId::new("list", entries), |bencher| {
            bencher.iter(|| {
                let reader = vault.reader(Progress::none()).expect("the index is whole");
                let mut seen = 0;
                let listed = reader.list(&snapshot, b"/", true, &mut |path, entry| {
                    black_box((path, entry));
                    seen += 1;
                    Ok(())
                });
                listed.expect("the tree is whole");
                assert!(seen > entries, "every file and its folders");
            });
        });
        let pattern = Pattern::new(b"invoice-000[0-4]77.csv", false).expect("a pattern");
        let mut query = Query::default();
        query.patterns = vec![pattern];
        group.bench_function(BenchmarkId::new("find", entries), |bencher| {
            bencher.iter(|| {
                let reader = vault.reader(Progress::none()).expect("the index is whole");
                let found = reader.find([&snapshot], &query, Progress::none(), &mut |_, _, _| Ok(()));
                assert_eq!(found.expect("the tree is whole").matches, 5);
            });
        });
        let last = path(entries - 1);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("look one up", entries), |bencher| {
            bencher.iter(|| {
                let reader = vault.reader(Progress::none()).expect("the index is whole");
                let entry = reader.entry(&snapshot, last.as_bytes()).expect("the tree is whole");
                assert!(entry.is_some(), "it is there");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, store, read, trees);
criterion_main!(benches);
