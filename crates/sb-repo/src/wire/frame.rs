//! What every object begins and ends with: header, signer, run, signature (docs/format.md §2).

use sb_crypto::{Digest, Sha256, SigningKey, VerifyingKey, sha256};

use super::cbor::Malformed;
use crate::ids::{KeyId, RunId, VaultId};
use crate::name::{ObjectKind, Stem};

pub(crate) const HEADER: usize = 40;
pub(crate) const TRAILER: usize = 88;
const SIGNATURE: usize = 64;
const MAGIC: &[u8; 4] = b"SBV1";
pub(crate) const VERSION: u8 = 1;

/// The first 40 bytes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: ObjectKind,
    pub(crate) vault: VaultId,
    pub(crate) key: [u8; 16],
}

impl Header {
    pub(crate) fn clear(kind: ObjectKind, vault: VaultId) -> Self {
        Self { kind, vault, key: [0; 16] }
    }

    pub(crate) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = self.kind as u8;
        bytes[5] = VERSION;
        bytes[8..24].copy_from_slice(self.vault.as_bytes());
        bytes[24..].copy_from_slice(&self.key);
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes: &[u8; HEADER] = bytes.first_chunk().ok_or(Malformed("shorter than a header"))?;
        if bytes[..4] != *MAGIC {
            return Err(Malformed("not an object of a vault"));
        }
        if bytes[5] != VERSION || bytes[6..8] != [0; 2] {
            return Err(Malformed("a format version this program does not know"));
        }
        let kind = ObjectKind::from_u8(bytes[4]).ok_or(Malformed("an unknown type of object"))?;
        let vault = VaultId::from_slice(&bytes[8..24]).expect("16 bytes");
        let key = bytes[24..].try_into().expect("16 bytes");
        Ok(Self { kind, vault, key })
    }
}

/// Who writes an object: whose key signs it, and in which run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author<'a> {
    pub(crate) key: &'a SigningKey,
    pub(crate) run: RunId,
}

impl<'a> Author<'a> {
    /// Somebody who writes outside of any run.
    pub(crate) fn outside(key: &'a SigningKey) -> Self {
        Self { key, run: RunId::new([0; 8]) }
    }

    /// The 88 bytes after what `so_far` has hashed.
    pub(crate) fn trailer(&self, mut so_far: Sha256, stem: &Stem) -> [u8; TRAILER] {
        let mut bytes = [0; TRAILER];
        bytes[..16].copy_from_slice(&self.key.public().key_id());
        bytes[16..24].copy_from_slice(self.run.as_bytes());
        so_far.update(&bytes[..24]);
        let signature = self.key.sign(&message(&so_far.finish(), stem));
        bytes[24..].copy_from_slice(&signature);
        bytes
    }

    /// A whole object, and its digest.
    pub(crate) fn frame(&self, header: Header, body: &[u8], stem: &Stem) -> (Vec<u8>, Digest) {
        let mut bytes = Vec::with_capacity(HEADER + body.len() + TRAILER);
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(body);
        let mut hash = Sha256::new();
        hash.update(&bytes);
        bytes.extend_from_slice(&self.trailer(hash, stem));
        let digest = sha256(&bytes);
        (bytes, digest)
    }
}

fn message(digest: &Digest, stem: &Stem) -> Vec<u8> {
    [b"sbv1/object\0".as_slice(), digest.as_bytes(), stem.signed_text().as_bytes()].concat()
}

/// The last 88 bytes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) signer: KeyId,
    pub(crate) run: RunId,
    signature: [u8; SIGNATURE],
}

impl Trailer {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes: &[u8; TRAILER] = bytes.last_chunk().ok_or(Malformed("shorter than a trailer"))?;
        Ok(Self {
            signer: KeyId::from_slice(&bytes[..16]).expect("16 bytes"),
            run: RunId::from_slice(&bytes[16..24]).expect("8 bytes"),
            signature: bytes[24..].try_into().expect("64 bytes"),
        })
    }

    /// True if `key` signed these bytes under this stem; `signed` is the digest of all bytes before the signature.
    pub(crate) fn is_by(&self, key: &VerifyingKey, signed: &Digest, stem: &Stem) -> bool {
        key.verify(&message(signed, stem), &self.signature).is_ok()
    }
}

/// A whole object taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) header: Header,
    pub(crate) body: &'a [u8],
    pub(crate) trailer: Trailer,
    pub(crate) signed: Digest,
}

impl<'a> Frame<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() < HEADER + TRAILER {
            return Err(Malformed("shorter than header and trailer"));
        }
        let (rest, tail) = bytes.split_at(bytes.len() - TRAILER);
        Ok(Self {
            header: Header::parse(rest)?,
            body: &rest[HEADER..],
            trailer: Trailer::parse(tail)?,
            signed: sha256(&bytes[..bytes.len() - SIGNATURE]),
        })
    }
}

/// How many bytes at an object's end the signature does not cover.
pub(crate) const UNSIGNED: u64 = SIGNATURE as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_bound_to_its_signer_bytes_and_stem() {
        let key = SigningKey::from_seed(&[1; 32]);
        let header = Header { kind: ObjectKind::Slot, vault: VaultId::new([2; 16]), key: [3; 16] };
        let stem = Stem::mutable(ObjectKind::Slot, RunId::new([4; 8]), 0);
        let author = Author { key: &key, run: RunId::new([5; 8]) };
        let (bytes, digest) = author.frame(header, b"the body", &stem);
        assert_eq!(digest, sha256(&bytes));
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!((frame.header, frame.body, frame.trailer.run), (header, &b"the body"[..], author.run));
        assert!(frame.trailer.is_by(&key.public(), &frame.signed, &stem));
        let elsewhere = Stem::mutable(ObjectKind::Slot, RunId::new([4; 8]), 1);
        assert!(!frame.trailer.is_by(&key.public(), &frame.signed, &elsewhere));
        assert!(!frame.trailer.is_by(&SigningKey::from_seed(&[9; 32]).public(), &frame.signed, &stem));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let fine = Frame::parse(&damaged).is_ok_and(|f| {
                f.trailer.signer == frame.trailer.signer && f.trailer.is_by(&key.public(), &f.signed, &stem)
            });
            assert!(!fine, "byte {at}");
        }
    }

    #[test]
    fn short_or_foreign_bytes_are_refused() {
        let key = SigningKey::from_seed(&[1; 32]);
        let header = Header::clear(ObjectKind::Config, VaultId::new([2; 16]));
        let (bytes, _) = Author::outside(&key).frame(header, b"", &Stem::config(0));
        assert!(Frame::parse(&bytes).is_ok());
        assert!(Frame::parse(&bytes[1..]).is_err() && Frame::parse(&[]).is_err() && Header::parse(&[0; 40]).is_err());
        for (at, value) in [(0, b'X'), (4, 0), (4, 99), (5, 2), (6, 1)] {
            let mut other = bytes.clone();
            other[at] = value;
            assert!(Frame::parse(&other).is_err(), "byte {at}");
        }
    }
}
