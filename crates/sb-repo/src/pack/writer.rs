//! One pack in the making.

use sb_crypto::{Key, random_array};

use crate::error::RepoError;
use crate::ids::{BucketId, ChunkId, PackId};
use crate::keys::{CompartmentKeys, id_of};
use crate::name::{ObjectKind, Stem};
use crate::wire::container::{ContainerKeys, ContainerWriter, Messages};
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::locator::PackPlaces;
use crate::wire::pack::{Codec, PackFooter, SegmentContent, SegmentPlace};

use super::places;

/// Writes segments to a pack; nothing of it is visible before [`finish`](Self::finish).
pub(crate) struct PackWriter<'s> {
    container: ContainerWriter<'s>,
    key_id: [u8; 16],
    footer: PackFooter,
}

/// A pack that is durable.
#[derive(Debug)]
pub(crate) struct FinishedPack {
    pub(crate) places: PackPlaces,
    pub(crate) added: Added,
    pub(crate) footer: PackFooter,
}

impl<'s> PackWriter<'s> {
    pub(crate) fn begin(
        around: &'s crate::vault::Surroundings,
        vault: crate::ids::VaultId,
        kind: ObjectKind,
        bucket: BucketId,
        keys: &CompartmentKeys,
        pack_key: &([u8; 16], Key),
    ) -> Result<Self, RepoError> {
        let (key_id, key) = pack_key;
        let header = Header { kind, vault, key: *key_id };
        let container_keys = ContainerKeys::new(keys.hash, Messages::Segments, key, &keys.index);
        let salt = random_array(&*around.random);
        let container = ContainerWriter::begin(&*around.storage, header, salt, key, container_keys)?;
        let footer = PackFooter { compartment: keys.id, bucket, kind, segments: Vec::new() };
        Ok(Self { container, key_id: *key_id, footer })
    }

    /// How many segments it has.
    pub(crate) fn segments(&self) -> usize {
        self.footer.segments.len()
    }

    /// Bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.container.length()
    }

    /// Seals and appends a segment: `stored` is `raw` bytes of these chunks, as the codec has them.
    pub(crate) fn segment(
        &mut self,
        stored: &mut Vec<u8>,
        raw: u32,
        codec: Codec,
        chunks: Vec<(ChunkId, u32)>,
    ) -> Result<(), RepoError> {
        let (offset, sealed) = self.container.message(stored)?;
        let place = SegmentPlace { offset, stored: sealed, raw, codec };
        self.footer.segments.push(SegmentContent { place, chunks });
        Ok(())
    }

    /// Makes the pack durable.
    pub(crate) fn finish(self, author: &Author<'_>) -> Result<FinishedPack, RepoError> {
        let written = self.container.finish(self.footer.encode(), author, &Stem::immutable(self.footer.kind))?;
        let id: PackId = id_of(written.digest);
        Ok(FinishedPack {
            places: places(id, written.size, self.key_id, &self.footer),
            added: Added { name: written.name.to_string(), size: written.size, digest: None },
            footer: self.footer,
        })
    }
}

/// Compresses a segment, unless that gains nothing.
pub(crate) fn compress(compressor: &mut zstd::bulk::Compressor<'_>, raw: &[u8], stored: &mut Vec<u8>) -> Codec {
    stored.clear();
    stored.reserve(zstd::zstd_safe::compress_bound(raw.len()));
    match compressor.compress_to_buffer(raw, stored) {
        Ok(length) if length < raw.len() => Codec::Zstd,
        // Whatever zstd could not do, the bytes as they are can be stored.
        _ => {
            stored.clear();
            stored.extend_from_slice(raw);
            Codec::Raw
        }
    }
}
