//! Evidence folders, with the root key of the seed: no bytes of any file may panic. Files stand one after another: a byte
//! that says which, two of length, content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::{EvidenceFolder, Known};
use sb_crypto::Digest;

const FINGERPRINT: [u8; 32] = [
    0x24, 0x38, 0xdd, 0x04, 0xef, 0xc1, 0xe4, 0xf7, 0xf0, 0x36, 0xf1, 0x55, 0xdd, 0x6e, 0x06, 0x03, 0x18, 0xc3, 0xdb,
    0x91, 0xd8, 0xe1, 0x83, 0x4c, 0x4f, 0x04, 0xa2, 0x4d, 0x91, 0x91, 0xe9, 0x10,
];

const NAMES: [&str; 15] = [
    "README.html",
    "SHA256SUMS",
    "certificate.dsse.json",
    "certificate.tlog-proof",
    "chain/officer-1.sbv1",
    "chain/user.sbv1",
    "chain/writer.sbv1",
    "document.json",
    "document.proof",
    "root.pub.pem",
    "stamps/1.ca.pem",
    "stamps/1.tsr",
    "statement.json",
    "verify.sh",
    "witnesses.policy",
];

fuzz_target!(|bytes: &[u8]| {
    let mut files = Vec::new();
    let mut rest = bytes;
    while let Some(([name, high, low], after)) = rest.split_first_chunk::<3>() {
        let (content, after) = after.split_at(after.len().min(usize::from(u16::from_be_bytes([*high, *low]))));
        files.push((NAMES[usize::from(*name) % NAMES.len()].to_owned(), content.to_vec()));
        rest = after;
    }
    let _ = EvidenceFolder::verify(&files, &Digest::from_bytes(FINGERPRINT), &Known::default());
});
