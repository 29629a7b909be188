//! Locator increments as objects of the vault.

use sb_crypto::random_array;
use sb_store::{ObjectName, Storage};

use crate::error::{Flaw, RepoError};
use crate::ids::VaultId;
use crate::keys::CompartmentKeys;
use crate::name::{ObjectKind, Stem};
use crate::vault::Surroundings;
use crate::wire::cbor::Malformed;
use crate::wire::container::{ContainerKeys, ContainerWriter, Messages, Opening, read_footer};
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::locator::{BLOCK_ENTRIES, Block, ENTRY, LocatorEntry, LocatorFooter, PackPlaces};

/// Writes an increment. The entries' pack ordinals count into `packs`; their order does not matter.
pub(crate) fn write_locator(
    around: &Surroundings,
    vault: VaultId,
    keys: &CompartmentKeys,
    author: &Author<'_>,
    packs: Vec<PackPlaces>,
    mut entries: Vec<LocatorEntry>,
) -> Result<Added, RepoError> {
    entries.sort_unstable();
    let header = Header { kind: ObjectKind::Locator, vault, key: keys.index_key_id() };
    let container_keys = ContainerKeys::new(keys.hash, Messages::Blocks, &keys.index, &keys.index);
    let salt = random_array(&*around.random);
    let mut container = ContainerWriter::begin(&*around.storage, header, salt, &keys.index, container_keys)?;
    let mut blocks = Vec::new();
    let mut buffer = Vec::with_capacity(BLOCK_ENTRIES * ENTRY);
    for block in entries.chunks(BLOCK_ENTRIES) {
        buffer.clear();
        buffer.extend(block.iter().flat_map(|entry| entry.0));
        let (offset, stored) = container.message(&mut buffer)?;
        let entries = u32::try_from(block.len()).expect("at most 4,096");
        blocks.push(Block { first: *block[0].prefix(), offset, stored, entries });
    }
    let footer = LocatorFooter { compartment: keys.id, packs, blocks };
    let written = container.finish(footer.encode(), author, &Stem::immutable(ObjectKind::Locator))?;
    Ok(Added { name: written.name.to_string(), size: written.size, digest: None })
}

/// Reads an increment, all of it.
pub(crate) fn read_locator(
    storage: &dyn Storage,
    name: &ObjectName,
    keys: &CompartmentKeys,
) -> Result<(Vec<PackPlaces>, Vec<LocatorEntry>), RepoError> {
    let damaged = |flaw: Malformed| RepoError::damaged(name, flaw);
    let (opening, container_keys, footer) = open_locator(storage, name, keys)?;
    let mut entries = Vec::new();
    for (number, block) in (0..).zip(&footer.blocks) {
        let sealed = storage.read_range(name, block.offset, block.stored as usize)?;
        let plain = opening.message(&container_keys, number, &sealed).map_err(damaged)?;
        entries.extend(read_block(&plain, footer.packs.len()).map_err(damaged)?);
    }
    Ok((footer.packs, entries))
}

/// Reads which packs an increment is of, and no entries.
pub(crate) fn read_located_packs(
    storage: &dyn Storage,
    name: &ObjectName,
    keys: &CompartmentKeys,
) -> Result<Vec<PackPlaces>, RepoError> {
    open_locator(storage, name, keys).map(|(.., footer)| footer.packs)
}

fn open_locator(
    storage: &dyn Storage,
    name: &ObjectName,
    keys: &CompartmentKeys,
) -> Result<(Opening, ContainerKeys, LocatorFooter), RepoError> {
    let damaged = |flaw: Flaw| RepoError::damaged(name, flaw);
    let with = |opening: &Opening| {
        if opening.commits_to(&keys.index) {
            Ok(ContainerKeys::new(keys.hash, Messages::Blocks, &keys.index, &keys.index))
        } else {
            Err(damaged(Malformed("sealed under another index key").into()))
        }
    };
    let (opening, container_keys, footer, _) = read_footer(storage, name, with)?;
    let footer = LocatorFooter::decode(&footer).map_err(|flaw| damaged(flaw.into()))?;
    if footer.compartment != keys.id {
        return Err(damaged(Flaw::Foreign));
    }
    Ok((opening, container_keys, footer))
}

/// The entries of one opened block.
pub(crate) fn read_block(plain: &[u8], packs: usize) -> Result<Vec<LocatorEntry>, Malformed> {
    let (chunks, rest) = plain.as_chunks::<ENTRY>();
    let entries: Vec<_> = chunks.iter().map(|bytes| LocatorEntry(*bytes)).collect();
    if !rest.is_empty() || entries.iter().any(|entry| entry.pack() as usize >= packs) {
        return Err(Malformed("locator entries out of range"));
    }
    Ok(entries)
}
