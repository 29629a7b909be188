//! The locator: how much memory a chunk takes, how long it takes to open, and how fast chunks are looked up, on one thread.
//!
//!     cargo bench -p benches --bench locator              # 10⁶ chunks
//!     SB_CHUNKS=10000000 cargo bench -p benches --bench locator

#![expect(clippy::print_stdout, reason = "what it measures besides time")]

use std::hint::black_box;
use std::time::Instant;

use criterion::{BatchSize, Criterion, Throughput};
use sb_repo::State;
use sb_repo::testing::locators::{Loaded, Locators, chunk};

/// Chunks looked up in one sample.
const LOOKUPS: u64 = 4096;

fn chunks() -> u64 {
    let given = std::env::var("SB_CHUNKS").ok();
    given.map_or(1_000_000, |given| given.parse().expect("SB_CHUNKS is a number of chunks"))
}

fn print_resident(what: &str, loaded: &Loaded, chunks: u64) {
    let (own, packs) = loaded.resident();
    let each = |bytes: usize| bytes as f64 / chunks as f64;
    println!("{what}: {:.2} bytes of memory a chunk, and {:.2} for its share of packs", each(own), each(packs));
}

fn locator(criterion: &mut Criterion) {
    let chunks = chunks();
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let mut vault = Locators::new(State::open(folder.path()).expect("it is ours"));
    vault.fill(0..chunks);
    let load = |writing| vault.load(writing).expect("it is whole");
    let begun = Instant::now();
    drop(load(true));
    println!("the copy made of {chunks} chunks in increments: {:.2?}", begun.elapsed());

    let caches = std::fs::read_dir(folder.path().join("cache")).expect("it has been written");
    let sizes = caches.filter_map(|cache| Some(cache.ok()?.metadata().ok()?.len()));
    println!("on disk: {:.2} bytes a chunk", sizes.sum::<u64>() as f64 / chunks as f64);

    let (writer, reader) = (load(true), load(false));
    print_resident("who writes", &writer, chunks);
    print_resident("who reads", &reader, chunks);
    let stored = vault.stored();
    let begun = Instant::now();
    (0..chunks).step_by(1 << 17).for_each(|from| assert!(stored.add(from..chunks.min(from + (1 << 17)))));
    let each = stored.resident() as f64 / chunks as f64;
    println!("what a run has stored: {each:.2} bytes a chunk, added in {:.2?}", begun.elapsed());

    let mut group = criterion.benchmark_group(format!("locator of {chunks} chunks"));
    group.sample_size(10);
    for (name, writing) in [("open to write", true), ("open to read", false)] {
        group.bench_function(name, |bencher| bencher.iter_with_large_drop(|| load(writing)));
    }
    group.throughput(Throughput::Elements(LOOKUPS));
    for (name, first) in [("hits", 0), ("misses", chunks)] {
        let mut next = 0;
        let mut ids = || -> Vec<_> {
            // Others every time, so that what was opened is no help.
            next += LOOKUPS;
            (next..next + LOOKUPS).map(|number| chunk(first + number * 7919 % chunks)).collect()
        };
        let mut look = |name: String, has: &dyn Fn(&sb_repo::ChunkId) -> bool| {
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    &mut ids,
                    |ids| black_box(ids.iter().filter(|id| has(id)).count()),
                    BatchSize::PerIteration,
                );
            });
        };
        look(format!("{name}, writing"), &|id| writer.has(id).expect("it is whole"));
        if first == 0 {
            look(format!("{name}, reading"), &|id| reader.has(id).expect("it is whole"));
        }
        look(format!("{name}, in what a run has stored"), &|id| stored.has(id));
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    locator(&mut criterion);
    criterion.final_summary();
}
