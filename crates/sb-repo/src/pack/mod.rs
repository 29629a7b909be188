//! Packs: writing them segment by segment, and reading their footers.

mod segmenter;
mod writer;

pub(crate) use segmenter::{Segmenter, Sizes, Tools};
pub(crate) use writer::{FinishedPack, PackWriter, compress};

use sb_store::{ObjectName, Storage};
use zstd::bulk::Decompressor;

use crate::error::{Flaw, RepoError};
use crate::ids::PackId;
use crate::keys::CompartmentKeys;
use crate::wire::cbor::Malformed;
use crate::wire::container::{ContainerKeys, Messages, Opening, read_footer};
use crate::wire::locator::PackPlaces;
use crate::wire::pack::{Codec, PackFooter};

/// A pack's footer, and what the locator needs to know of it. Needs the index key only.
pub(crate) fn read_pack_footer(
    storage: &dyn Storage,
    name: &ObjectName,
    id: PackId,
    keys: &CompartmentKeys,
) -> Result<(PackPlaces, PackFooter), RepoError> {
    // Messages are not opened here, so any key will do for them.
    let with = |_: &Opening| Ok(ContainerKeys::new(keys.hash, Messages::Segments, &keys.index, &keys.index));
    let (opening, _, footer, size) = read_footer(storage, name, with)?;
    let footer = PackFooter::decode(&footer).map_err(|flaw| RepoError::damaged(name, flaw))?;
    if footer.kind != opening.header.kind || footer.compartment != keys.id {
        return Err(RepoError::damaged(name, Flaw::Foreign));
    }
    Ok((places(id, size, opening.header.key, &footer), footer))
}

/// What the locator keeps of a footer.
pub(crate) fn places(id: PackId, size: u64, key: [u8; 16], footer: &PackFooter) -> PackPlaces {
    let segments = footer.segments.iter().map(|segment| segment.place).collect();
    PackPlaces { id, size, key, kind: footer.kind, bucket: footer.bucket, segments }
}

/// Unpacks segments, one after the other.
#[derive(Default)]
pub(crate) struct Unpacker(Option<Decompressor<'static>>);

impl Unpacker {
    /// A segment's chunks, from its stored bytes in place of what is in `chunks`; `raw` is how long they must be.
    pub(crate) fn unpack(
        &mut self,
        stored: &[u8],
        codec: Codec,
        raw: u32,
        chunks: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        chunks.clear();
        match codec {
            Codec::Raw => chunks.extend_from_slice(stored),
            Codec::Zstd => {
                chunks.reserve_exact(raw as usize);
                let unpacker = match &mut self.0 {
                    Some(unpacker) => unpacker,
                    none => none.insert(Decompressor::new().map_err(|_| Malformed("no memory to decompress with"))?),
                };
                let unpacked = unpacker.decompress_to_buffer(stored, chunks);
                unpacked.map_err(|_| Malformed("a segment does not decompress"))?;
            }
        }
        if chunks.len() == raw as usize {
            Ok(())
        } else {
            Err(Malformed("a segment does not have the length its footer says"))
        }
    }
}
