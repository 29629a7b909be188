//! The layout that packs and locator increments share: sealed messages, a sealed footer with padding, a sealed pointer to it
//! (docs/format.md §8). No length stands in the clear.

use sb_crypto::{Digest, HashAlgorithm, Key, SEAL_OVERHEAD, Sealer, Sha256, commitment};
use sb_store::{ObjectName, Storage, Upload};

use super::cbor::Malformed;
use super::frame::{Author, HEADER, Header, TRAILER};
use super::padme;
use crate::error::RepoError;
use crate::name::Stem;

/// Where the first message begins: after header, salt and commitment.
pub(crate) const SEGMENTS_START: u64 = HEADER as u64 + 64;
const POINTER: usize = 16 + SEAL_OVERHEAD;
const PREFIX: usize = HEADER + 32;
const PAD_LARGE: u64 = 4 << 20;
const PAD_UNIT: u64 = 64 << 10;

/// The keys of one container.
pub(crate) struct ContainerKeys {
    messages: Sealer,
    footer: Sealer,
    pointer: Sealer,
}

/// What its messages are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Messages {
    Segments,
    Blocks,
}

impl ContainerKeys {
    pub(crate) fn new(hash: HashAlgorithm, what: Messages, messages: &Key, index: &Key) -> Self {
        let label = match what {
            Messages::Segments => "segment",
            Messages::Blocks => "locator",
        };
        Self {
            messages: Sealer::new(hash, messages, label),
            footer: Sealer::new(hash, index, "footer"),
            pointer: Sealer::new(hash, index, "pointer"),
        }
    }
}

/// Writes a container to a storage as it grows.
pub(crate) struct ContainerWriter<'s> {
    upload: Box<dyn Upload + 's>,
    keys: ContainerKeys,
    prefix: [u8; PREFIX],
    hash: Sha256,
    length: u64,
    messages: u32,
}

/// A container that is durable.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) name: ObjectName,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl<'s> ContainerWriter<'s> {
    pub(crate) fn begin(
        storage: &'s dyn Storage,
        header: Header,
        salt: [u8; 32],
        commit_key: &Key,
        keys: ContainerKeys,
    ) -> Result<Self, RepoError> {
        let mut prefix = [0; PREFIX];
        prefix[..HEADER].copy_from_slice(&header.to_bytes());
        prefix[HEADER..].copy_from_slice(&salt);
        let mut writer = Self { upload: storage.begin()?, keys, prefix, hash: Sha256::new(), length: 0, messages: 0 };
        writer.put(&prefix)?;
        writer.put(commitment(commit_key, &salt).as_bytes())?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), RepoError> {
        self.upload.write(bytes)?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Seals a message in place and appends it; returns its offset and sealed length.
    pub(crate) fn message(&mut self, buffer: &mut Vec<u8>) -> Result<(u64, u32), RepoError> {
        let offset = self.length;
        let context = message_context(&self.prefix, self.messages);
        self.keys.messages.seal_in_place(&context, &self.prefix, buffer);
        self.put(buffer)?;
        self.messages += 1;
        Ok((offset, u32::try_from(buffer.len()).expect("a message is a few MiB at the most")))
    }

    /// Appends footer, padding, pointer and trailer, and makes the object durable.
    pub(crate) fn finish(
        mut self,
        mut footer: Vec<u8>,
        author: &Author<'_>,
        stem: &Stem,
    ) -> Result<Written, RepoError> {
        let rest = (SEAL_OVERHEAD + POINTER + TRAILER) as u64;
        let bare = self.length + footer.len() as u64 + rest;
        let padded = if bare > PAD_LARGE { bare.next_multiple_of(PAD_UNIT) } else { padme(bare) };
        let padding = usize::try_from(padded - bare).expect("a pack fits in memory");
        footer.resize(footer.len() + padding, 0);
        let salt: [u8; 32] = self.prefix[HEADER..].try_into().expect("32 bytes");
        let offset = self.length;
        self.keys.footer.seal_in_place(&salt, &self.prefix, &mut footer);
        self.put(&footer)?;
        let pointer = [offset.to_be_bytes(), (footer.len() as u64).to_be_bytes()].concat();
        let sealed = self.keys.pointer.seal(&salt, &self.prefix, &pointer);
        self.put(&sealed)?;
        let trailer = author.trailer(self.hash.clone(), stem);
        self.put(&trailer)?;
        debug_assert_eq!(self.length, padded);
        let digest = self.hash.finish();
        let name = stem.name(&digest);
        self.upload.finish(&name)?;
        Ok(Written { name, digest, size: self.length })
    }
}

fn message_context(prefix: &[u8; PREFIX], number: u32) -> [u8; 36] {
    let mut context = [0; 36];
    context[..32].copy_from_slice(&prefix[HEADER..]);
    context[32..].copy_from_slice(&number.to_be_bytes());
    context
}

/// What a container begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) header: Header,
    prefix: [u8; PREFIX],
    commitment: Digest,
}

impl Opening {
    /// How many bytes at the start are needed.
    pub(crate) const LENGTH: usize = SEGMENTS_START as usize;

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes: &[u8; Self::LENGTH] = bytes.first_chunk().ok_or(Malformed("shorter than a pack's beginning"))?;
        Ok(Self {
            header: Header::parse(bytes)?,
            prefix: *bytes.first_chunk().expect("longer than the prefix"),
            commitment: Digest::from_bytes(*bytes.last_chunk().expect("longer than a digest")),
        })
    }

    /// True if the messages are sealed under this key.
    pub(crate) fn commits_to(&self, key: &Key) -> bool {
        let salt = self.prefix[HEADER..].try_into().expect("32 bytes");
        commitment(key, &salt) == self.commitment
    }

    /// Opens message `number`.
    pub(crate) fn message(&self, keys: &ContainerKeys, number: u32, sealed: &[u8]) -> Result<Vec<u8>, Malformed> {
        let context = message_context(&self.prefix, number);
        keys.messages
            .open(&context, &self.prefix, sealed)
            .map_err(|_| Malformed("a segment does not open with its key"))
    }

    /// Opens message `number` where it is.
    pub(crate) fn message_within<'b>(
        &self,
        keys: &ContainerKeys,
        number: u32,
        sealed: &'b mut [u8],
    ) -> Result<&'b [u8], Malformed> {
        let context = message_context(&self.prefix, number);
        keys.messages
            .open_within(&context, &self.prefix, sealed)
            .map_err(|_| Malformed("a segment does not open with its key"))
    }

    /// Opens the pointer: offset and sealed length of the footer, in an object of `size` bytes.
    pub(crate) fn pointer(&self, keys: &ContainerKeys, sealed: &[u8], size: u64) -> Result<(u64, usize), Malformed> {
        let plain = keys
            .pointer
            .open(&self.prefix[HEADER..], &self.prefix, sealed)
            .map_err(|_| Malformed("the pointer to the footer does not open with the index key"))?;
        let (offset, length) = plain.split_first_chunk().ok_or(Malformed("the pointer is too short"))?;
        let offset = u64::from_be_bytes(*offset);
        let length = u64::from_be_bytes(length.try_into().map_err(|_| Malformed("the pointer is too short"))?);
        let end = size - (POINTER + TRAILER) as u64;
        if offset < SEGMENTS_START || offset.checked_add(length) != Some(end) {
            return Err(Malformed("the pointer does not point to a footer"));
        }
        Ok((offset, usize::try_from(length).map_err(|_| Malformed("a footer is too long"))?))
    }

    /// Opens the footer.
    pub(crate) fn footer(&self, keys: &ContainerKeys, sealed: &[u8]) -> Result<Vec<u8>, Malformed> {
        keys.footer
            .open(&self.prefix[HEADER..], &self.prefix, sealed)
            .map_err(|_| Malformed("the footer does not open with the index key"))
    }
}

/// Where the pointer begins in an object of `size` bytes, and its length.
pub(crate) fn pointer_place(size: u64) -> Result<(u64, usize), Malformed> {
    let offset = size.checked_sub((POINTER + TRAILER) as u64).filter(|offset| *offset >= SEGMENTS_START);
    Ok((offset.ok_or(Malformed("shorter than a pack can be"))?, POINTER))
}

/// Reads and opens a container's beginning and footer from a storage.
pub(crate) fn read_footer(
    storage: &dyn Storage,
    name: &ObjectName,
    keys: impl FnOnce(&Opening) -> Result<ContainerKeys, RepoError>,
) -> Result<(Opening, ContainerKeys, Vec<u8>, u64), RepoError> {
    let damaged = |flaw: Malformed| RepoError::damaged(name, flaw);
    let size = storage.size(name)?;
    let (at, length) = pointer_place(size).map_err(damaged)?;
    let opening = Opening::parse(&storage.read_range(name, 0, Opening::LENGTH)?).map_err(damaged)?;
    let keys = keys(&opening)?;
    let pointer = storage.read_range(name, at, length)?;
    let (at, length) = opening.pointer(&keys, &pointer, size).map_err(damaged)?;
    let footer = opening.footer(&keys, &storage.read_range(name, at, length)?).map_err(damaged)?;
    Ok((opening, keys, footer, size))
}
