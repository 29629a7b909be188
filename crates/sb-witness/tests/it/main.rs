//! What the crate promises, tested from outside.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod asking;
mod keeping;
mod serving;
mod stamping;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use sb_audit::{AddCheckpoint, Checkpoint, NoteSigner, TreeHead};
use sb_crypto::{Digest, SigningKey, SystemRandom, TreeHasher, consistency_proof, leaf_hash, sha256};
use sb_witness::Witness;

/// A log whose key can sign anything.
struct Log {
    signer: NoteSigner,
    leaves: Vec<Digest>,
}

impl Log {
    fn new(origin: &str) -> Self {
        let key = SigningKey::from_seed(sha256(origin.as_bytes()).as_bytes());
        Self { signer: NoteSigner::new(origin, key).unwrap(), leaves: Vec::new() }
    }

    /// The same with so many entries of a branch.
    fn grown(mut self, count: usize, branch: &str) -> Self {
        self.leaves.extend((0..count).map(|index| leaf_hash(format!("{branch} {index}").as_bytes())));
        self
    }

    fn head(&self, size: usize) -> TreeHead {
        let mut tree = TreeHasher::new();
        tree.extend(self.leaves[..size].iter().copied());
        TreeHead { size: size as u64, root: tree.root() }
    }

    fn request(&self, old: usize, new: usize) -> AddCheckpoint {
        let proof = if old == 0 { vec![] } else { consistency_proof(&self.leaves[..new], old) };
        AddCheckpoint::new(old as u64, proof, Checkpoint::of(&self.signer, self.head(new))).unwrap()
    }

    fn body(&self, old: usize, new: usize) -> Vec<u8> {
        self.request(old, new).to_string().into_bytes()
    }
}

/// A witness that watches some logs, and where it is.
struct Post {
    _temp: tempfile::TempDir,
    folder: PathBuf,
}

impl Post {
    fn new(logs: &[&Log]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("w1");
        let mut witness = Witness::init(&folder, "witness.example/w1", &SystemRandom).unwrap();
        for log in logs {
            assert!(witness.add_log(log.signer.verifier().clone()).unwrap());
        }
        Self { _temp: temp, folder }
    }

    fn open(&self) -> Witness {
        Witness::open(&self.folder).unwrap()
    }

    /// Where what was cosigned last of a log is.
    fn head(&self, log: &Log) -> PathBuf {
        self.folder.join("heads").join(sha256(log.signer.verifier().name().as_bytes()).to_string())
    }
}

/// So many seconds after some moment.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_468_000 + seconds, 0).unwrap()
}
