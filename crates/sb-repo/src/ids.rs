//! Identifiers, each a type of its own so that none can be passed for another.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use sb_crypto::{Digest, Random, random_array};

/// `N` bytes that name one kind of thing; the kind is the tag `T`. Shown in hexadecimal.
pub struct Id<T, const N: usize>([u8; N], PhantomData<T>);

impl<T, const N: usize> Id<T, N> {
    /// The id with these bytes.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes, PhantomData)
    }

    /// A random id.
    pub fn random(random: &dyn Random) -> Self {
        Self::new(random_array(random))
    }

    /// The id in these bytes, if they are as many as it has.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::new)
    }

    /// The id in this hexadecimal text (lower-case, exactly 2 × `N` digits).
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 2 * N {
            return None;
        }
        let mut bytes = [0; N];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
        }
        Some(Self::new(bytes))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl<T> Id<T, 32> {
    /// The id that is this digest.
    pub fn of(digest: Digest) -> Self {
        Self::new(*digest.as_bytes())
    }
}

impl<T, const N: usize> Clone for Id<T, N> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T, const N: usize> Copy for Id<T, N> {}
impl<T, const N: usize> PartialEq for Id<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T, const N: usize> Eq for Id<T, N> {}
impl<T, const N: usize> PartialOrd for Id<T, N> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T, const N: usize> Ord for Id<T, N> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<T, const N: usize> Hash for Id<T, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T, const N: usize> fmt::Display for Id<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl<T, const N: usize> fmt::Debug for Id<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What each id is the id of.
pub mod tag {
    /// A vault.
    pub enum Vault {}
    /// A change request.
    pub enum Request {}
    /// A compartment: one client, or the default.
    pub enum Compartment {}
    /// A group of documents that will expire together.
    pub enum Bucket {}
    /// A person or service that holds a slot.
    pub enum User {}
    /// A public key.
    pub enum Key {}
    /// A key slot.
    pub enum Slot {}
    /// A table of pack keys.
    pub enum Table {}
    /// One run of a program that writes.
    pub enum Run {}
    /// A chunk of content or metadata.
    pub enum Chunk {}
    /// A document: a path in a compartment.
    pub enum Document {}
    /// A pack object.
    pub enum Pack {}
    /// A snapshot object.
    pub enum Snapshot {}
}

/// A vault's random id.
pub type VaultId = Id<tag::Vault, 16>;
/// A compartment's random id.
pub type CompartmentId = Id<tag::Compartment, 16>;
/// A bucket's opaque id.
pub type BucketId = Id<tag::Bucket, 16>;
/// A user's random id.
pub type UserId = Id<tag::User, 16>;
/// The first 16 bytes of a public key's SHA-256.
pub type KeyId = Id<tag::Key, 16>;
/// A slot's random id.
pub type SlotId = Id<tag::Slot, 8>;
/// A change request's random id.
pub type RequestId = Id<tag::Request, 8>;
/// A session table's random id.
pub type TableId = Id<tag::Table, 8>;
/// A run's random id, which is its lease's too.
pub type RunId = Id<tag::Run, 8>;
/// The keyed hash of a chunk.
pub type ChunkId = Id<tag::Chunk, 32>;
/// The keyed hash of a document's path.
pub type DocumentId = Id<tag::Document, 32>;
/// The SHA-256 of a pack as stored.
pub type PackId = Id<tag::Pack, 32>;
/// The SHA-256 of a snapshot object as stored.
pub type SnapshotId = Id<tag::Snapshot, 32>;

impl SnapshotId {
    /// The eight digits that people see.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_reads_back_and_refuses_anything_else() {
        let id = RunId::new([0, 1, 0xab, 0xff, 4, 5, 6, 7]);
        assert_eq!(id.to_string(), "0001abff04050607");
        assert_eq!(RunId::from_hex("0001abff04050607"), Some(id));
        assert_eq!(format!("{id:?}"), "0001abff04050607");
        for wrong in ["", "0001abff0405060", "0001ABFF04050607", "0001abff0405060g", "0001abff0405060700"] {
            assert_eq!(RunId::from_hex(wrong), None, "{wrong}");
        }
        assert_eq!(RunId::from_slice(&[1, 2, 3]), None);
        assert!(RunId::new([0; 8]) < id);
    }
}
