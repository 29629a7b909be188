//! Throughput of the kernels on one core: chunking, hashing, sealing.
//!
//!     cargo bench -p benches

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sb_chunk::{Chunker, Params};
use sb_crypto::{HashAlgorithm, Key, KeyedHash, Random, Sealer, SeededRandom, sha256};

const LENGTH: usize = 4 << 20;

fn noise() -> Vec<u8> {
    let mut bytes = vec![0; LENGTH];
    SeededRandom::new(1).fill(&mut bytes);
    bytes
}

fn kernels(criterion: &mut Criterion) {
    let (bytes, key) = (noise(), Key::from_bytes([7; 32]));
    let mut group = criterion.benchmark_group("4 MiB");
    group.throughput(Throughput::Bytes(LENGTH as u64)).sample_size(20);

    for average in [16 << 10, 64 << 10, 256 << 10] {
        let chunker = Chunker::new(Params::around(average).expect("sizes the chunker takes"), &[3; 32]);
        group.bench_function(format!("chunk at {} KiB", average >> 10), |bencher| {
            bencher.iter(|| {
                let mut rest = bytes.as_slice();
                while let Some(length) = chunker.cut(rest, true) {
                    rest = &rest[length..];
                }
                black_box(rest);
            });
        });
    }
    group.bench_function("SHA-256", |bencher| bencher.iter(|| black_box(sha256(&bytes))));
    for (name, algorithm) in [("BLAKE3", HashAlgorithm::Blake3), ("HMAC-SHA-256", HashAlgorithm::HmacSha256)] {
        let hash = KeyedHash::new(algorithm, &key);
        group.bench_function(format!("{name} of 16 KiB chunks"), |bencher| {
            bencher.iter(|| {
                for chunk in bytes.chunks(16 << 10) {
                    black_box(hash.hash(chunk));
                }
            });
        });
        let sealer = Sealer::new(algorithm, &key, "segment");
        let sealed = sealer.seal(b"context", b"header", &bytes);
        group.bench_function(format!("seal with {name}"), |bencher| {
            bencher.iter(|| black_box(sealer.seal(b"context", b"header", &bytes)));
        });
        group.bench_function(format!("open with {name}"), |bencher| {
            bencher.iter(|| sealer.open(b"context", b"header", &sealed).expect("sealed above"));
        });
    }
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);
