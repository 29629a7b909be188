//! Reading back what a run has written, before anybody relies on it.

use std::collections::BTreeSet;

use sb_audit::Written;
use sb_crypto::{Digest, Sha256};
use sb_store::{ObjectName, Storage, StoreError};

use crate::clock::Progress;
use crate::error::{Flaw, RepoError};
use crate::name::ParsedName;
use crate::verify::each;
use crate::wire::journal::Added;

/// How much of an object is read at once.
const BLOCK: usize = 1 << 20;

/// What is not as it was written.
pub(crate) type Rotten = Vec<(String, Flaw)>;

/// Reads each of these objects from the storage, from the medium itself where that can be had, and compares it with what the run
/// knows of it.
pub(crate) fn read_back(
    storage: &dyn Storage,
    added: &[&Added],
    progress: Progress<'_>,
) -> Result<(Written, Rotten), RepoError> {
    // What was written twice under one name, by two attempts, is one object.
    let mut seen = BTreeSet::new();
    let added: Vec<&&Added> = added.iter().filter(|object| seen.insert(object.name.as_str())).collect();
    let flaws = each(&added, |object| {
        progress.check()?;
        compare(storage, object)
    })?;
    let rotten: Rotten =
        added.iter().zip(&flaws).filter_map(|(o, flaw)| Some((o.name.clone(), flaw.clone()?))).collect();
    let bytes = added.iter().map(|object| object.size).sum();
    Ok((Written { objects: added.len() as u64, bytes }, rotten))
}

/// What is wrong with an object that was written; errors of the storage, which may pass, are no flaws of the object.
fn compare(storage: &dyn Storage, object: &Added) -> Result<Option<Flaw>, RepoError> {
    let name = ObjectName::new(object.name.as_str())?;
    storage.evict(&name);
    let expected = match object.digest {
        Some(digest) => Some(digest),
        None => ParsedName::parse(&object.name).and_then(|parsed| parsed.hash.parse::<Digest>().ok()),
    };
    let found = match storage.size(&name) {
        Err(StoreError::NotFound { .. }) => return Ok(Some(Flaw::Missing)),
        size => size?,
    };
    if found != object.size {
        return Ok(Some(Flaw::WrongSize { found, expected: object.size }));
    }
    let (mut hash, mut at, mut block) = (Sha256::new(), 0, Vec::new());
    while at < object.size {
        let length = usize::try_from(object.size - at).unwrap_or(BLOCK).min(BLOCK);
        match storage.read_range_into(&name, at, length, &mut block) {
            Ok(()) => {}
            Err(StoreError::NotFound { .. }) => return Ok(Some(Flaw::Missing)),
            Err(StoreError::Short { .. }) => return Ok(Some(Flaw::WrongHash)),
            Err(error @ StoreError::Io { .. }) => return Ok(Some(Flaw::Unreadable(error.to_string()))),
            Err(error) => return Err(error.into()),
        }
        hash.update(&block);
        at += length as u64;
    }
    Ok((Some(hash.finish()) != expected).then_some(Flaw::WrongHash))
}
