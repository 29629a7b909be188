//! Checking one object of any kind, as it is stored, with no key.

use sb_crypto::{Digest, Sha256, sha256};
use sb_store::{ObjectName, Storage, StoreError};

use crate::error::Flaw;
use crate::ids::{KeyId, RunId};
use crate::name::ParsedName;
use crate::view::View;
use crate::wire::frame::{HEADER, Header, TRAILER, Trailer, UNSIGNED};

/// How much of an object is read at once.
const BLOCK: usize = 1 << 20;

/// A good object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) signer: KeyId,
    pub(crate) run: RunId,
    pub(crate) header: Header,
}

/// What an object of this size says of itself at its end; nothing is checked. None if it does not end like an object, or is gone.
pub(crate) fn trailer_of(storage: &dyn Storage, name: &str, size: u64) -> Result<Option<Trailer>, StoreError> {
    let Some(offset) = size.checked_sub(TRAILER as u64) else { return Ok(None) };
    match storage.read_range(&ObjectName::new(name)?, offset, TRAILER) {
        Ok(bytes) => Ok(Trailer::parse(&bytes).ok()),
        Err(StoreError::NotFound { .. } | StoreError::Short { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads every byte of an object; compares hash, vault, kind, signer and signature.
pub(crate) fn check_object(view: &View, parsed: &ParsedName, name: &str) -> Result<Checked, Flaw> {
    let unreadable = |error: &dyn std::fmt::Display| Flaw::Unreadable(error.to_string());
    let object = ObjectName::new(name).map_err(|error| unreadable(&error))?;
    let storage = &*view.storage;
    let size = storage.size(&object).map_err(|error| unreadable(&error))?;
    let (mut hash, mut signed, mut at) = (Sha256::new(), None, 0);
    let (mut head, mut tail, mut block) = (Vec::new(), Vec::new(), Vec::new());
    while at < size {
        // The signature is read apart, so that the hash of all before it falls off on the way.
        let end = if at < size.saturating_sub(UNSIGNED) { size - UNSIGNED } else { size };
        let length = usize::try_from(end - at).unwrap_or(BLOCK).min(BLOCK);
        if at == size - UNSIGNED.min(size) {
            signed = Some(hash.clone());
        }
        storage.read_range_into(&object, at, length, &mut block).map_err(|error| unreadable(&error))?;
        hash.update(&block);
        if head.len() < HEADER {
            head.extend_from_slice(&block[..block.len().min(HEADER)]);
        }
        tail.extend_from_slice(&block[block.len().saturating_sub(TRAILER)..]);
        tail.drain(..tail.len().saturating_sub(TRAILER));
        at += length as u64;
    }
    let digest = hash.finish();
    if !parsed.fits(&digest) {
        return Err(Flaw::WrongHash);
    }
    let header = Header::parse(&head)?;
    let trailer = Trailer::parse(&tail)?;
    let signed = signed.map_or_else(|| sha256(b""), Sha256::finish);
    let run = view.trust.check_parts(parsed, &header, &trailer, &signed)?;
    Ok(Checked { digest, size, signer: trailer.signer, run, header })
}
