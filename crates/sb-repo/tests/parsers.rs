//! Parsers of vault bytes: whatever they are given they read or refuse.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{Machine, event, new_vault, noise, options};
use sb_crypto::sha256;
use sb_repo::testing::{PARSERS, condemn, parse, redact, specimens};
use sb_repo::{CertificateTerms, Progress, Proposal};
use sb_source::{Fault, MemorySource};
use sb_store::MemoryStorage;

/// The most and the largest seeds of one target.
const SEEDS_MAX: usize = 4;
const SEED_BYTES_MAX: usize = 2000;

/// Every structure of a small vault, by its parser, smallest first.
fn small() -> BTreeMap<&'static str, BTreeSet<(usize, Vec<u8>)>> {
    let (mut vault, _) = new_vault(&Machine::new(31), Arc::new(MemoryStorage::new()));
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", &noise(1, 300)).file("/d/b", b"disposed of").symlink("/d/link", b"a");
    source.sparse_file("/d/sub/holes", 9000, &[(5000, b"text")]).hard_link("/d/a", "/d/sub/same");
    source.edit("/d/a", |metadata| metadata.xattrs = vec![(b"user.a".to_vec(), b"value".to_vec())]);
    source.file("/d/locked", b"nobody's business").fault("/d/locked", Fault::Denied);
    let mut certified = options();
    certified.certificate = Some(CertificateTerms::new(vec!["Proves nothing but that the test ran.".to_owned()]));
    vault.log(&[event(1)]).unwrap();
    vault.backup(&source, &certified, Progress::none()).unwrap();
    let batch = vault.view().newest_batch(vault.own_writer().unwrap().unwrap()).unwrap();
    vault.file_checkpoint(batch.checkpoint(), &[b"the answer of an authority".to_vec()]).unwrap();
    vault.name("u_7", Some("Ann")).unwrap();
    vault.change_roll(None, |roll| drop(roll.roles.insert("tax".to_owned(), vec!["restorer".to_owned()]))).unwrap();
    vault.propose(&Proposal::new("removeUser", "user:u_7")).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    redact(&mut vault, &snapshot, b"/d", b"b").unwrap();
    vault.set_tags(vec![(snapshot.id, vec!["audited".to_owned()])]).unwrap();
    condemn(&mut vault, &["packs/none".to_owned()]).unwrap();
    vault.refresh().unwrap();
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (parser, bytes) in specimens(&vault).unwrap() {
        found.entry(parser).or_default().insert((bytes.len(), bytes));
    }
    assert_eq!(found.keys().copied().collect::<BTreeSet<_>>(), PARSERS.iter().map(|(name, _)| *name).collect());
    found
}

#[test]
fn no_change_of_a_byte_or_of_the_length_makes_a_parser_panic() {
    for (parser, specimens) in small() {
        for (length, bytes) in specimens.into_iter().filter(|(length, _)| *length <= SEED_BYTES_MAX) {
            parse(parser, &bytes);
            for at in 0..length {
                parse(parser, &bytes[..at]);
                for change in [1, 0x20, 0x80, 0xff] {
                    let mut changed = bytes.clone();
                    changed[at] ^= change;
                    parse(parser, &changed);
                }
            }
            parse(parser, &[bytes, vec![1; 9]].concat());
        }
    }
}

#[test]
#[ignore = "writes the seeds of the fuzz targets anew"]
fn write_seeds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    for (parser, specimens) in small() {
        let folder = folder.join(parser);
        fs::create_dir_all(&folder).unwrap();
        let fitting: Vec<_> = specimens.into_iter().filter(|(length, _)| *length <= SEED_BYTES_MAX).collect();
        // Small, large and some between.
        let step = fitting.len().div_ceil(SEEDS_MAX).max(1);
        for (_, bytes) in fitting.iter().rev().step_by(step) {
            fs::write(folder.join(&sha256(bytes).to_string()[..16]), bytes).unwrap();
        }
    }
}
