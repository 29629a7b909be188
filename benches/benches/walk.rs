//! A folder on disk: walking it, and a run over it when nothing has changed since the one before.
//!
//!     cargo bench -p benches --bench walk

mod common;

use std::fs;
use std::hint::black_box;
use std::path::Path;

use common::{back_up, path, vault};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sb_repo::State;
use sb_source::{FileSource, Source, SourceOptions};

const ENTRIES: [usize; 2] = [1_000, 10_000];

fn fill(folder: &Path, entries: usize) {
    for number in 0..entries {
        let file = folder.join(&path(number)[1..]);
        fs::create_dir_all(file.parent().expect("it is in a folder")).expect("a temporary folder can be written to");
        fs::write(&file, format!("{number}\n")).expect("a temporary folder can be written to");
    }
}

fn walk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("folder");
    group.sample_size(20);
    for entries in ENTRIES {
        let (folder, state) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        fill(folder.path(), entries);
        let options = SourceOptions::default().threads(1);
        let source = FileSource::new([folder.path()], options).expect("the folder is there");
        group.throughput(Throughput::Elements(entries as u64));
        group.bench_function(BenchmarkId::new("walk", entries), |bencher| {
            bencher.iter(|| {
                let seen = source.walk().map(black_box).count();
                assert!(seen > entries, "every file and its folders");
            });
        });
        let mut vault = vault(State::open(state.path()).expect("a folder"));
        back_up(&mut vault, &source);
        group.bench_function(BenchmarkId::new("nothing changed", entries), |bencher| {
            bencher.iter(|| assert_eq!(back_up(&mut vault, &source).unchanged, entries as u64));
        });
    }
    group.finish();
}

criterion_group!(benches, walk);
criterion_main!(benches);
