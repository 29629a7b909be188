//! The file cache: what the walk saw in the run before, in walk order, so that a run is one scan and no look-ups.
//!
//! A cache is a file in this machine's state, good for one machine name and one set of sources. It may be lost at any time;
//! then files are read again, and nothing is stored twice. Its layout is nobody else's business and changes with [`VERSION`]:
//!
//! ```text
//! file  = { length (4, big-endian) ‖ block } … ‖ header ‖ length of the header (4)
//! block = Seal(key, "files", context = id of the cache (16) ‖ number (8), aad = vault id ‖ compartment id, records)
//! ```
//!
//! The key is derived from the index key, which every writer has. The header, which names the id, is sealed with id and number
//! 0. The last record says that it is the last.

mod reader;
mod record;
mod writer;

pub(super) use reader::CacheReader;
pub(super) use record::{EntryRecord, FolderRecord, Stat};
pub(super) use writer::CacheWriter;

use sb_crypto::{Digest, HashAlgorithm, Key, Sealer, derive};
use sb_source::EntryPath;

use crate::ids::{CompartmentId, SnapshotId, VaultId};
use crate::keys::CompartmentKeys;
use crate::wire::cbor::{Fields, Malformed};

/// Which layout this is.
const VERSION: u64 = 2;

/// Records are sealed together up to about this many bytes.
const BLOCK: usize = 256 << 10;

/// No block is longer than this: one record more than fits, and no record is longer than a path and a full entry.
const BLOCK_MAX: usize = 4 << 20;

/// What a cache is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CacheHeader {
    /// Of which machine name and sources it is: its name.
    pub(super) name: String,
    /// That run read every byte.
    pub(super) full: bool,
    /// The snapshot that was made in that run.
    pub(super) snapshot: SnapshotId,
    /// The redactions there were then. What they take out of trees must not come back by way of the cache.
    pub(super) redactions: Digest,
    /// When that run began, in seconds since 1970.
    pub(super) started: i64,
}

impl CacheHeader {
    fn encode(&self, id: [u8; 16]) -> Vec<u8> {
        Fields::new()
            .with(1, VERSION)
            .with(2, &id)
            .with(3, self.snapshot)
            .with(4, self.name.as_str())
            .with(5, self.started)
            .with(6, self.redactions)
            .with(7, self.full)
            .encode()
    }

    fn decode(bytes: &[u8]) -> Result<(Self, [u8; 16]), Malformed> {
        let mut fields = Fields::decode(bytes)?;
        if fields.need(1)?.uint()? != VERSION {
            return Err(Malformed("a cache of another version"));
        }
        let id = fields.need(2)?.array_of()?;
        let snapshot = SnapshotId::new(fields.need(3)?.array_of()?);
        let name = fields.need(4)?.text()?;
        let started = fields.need(5)?.integer()?;
        let redactions = Digest::from_bytes(fields.need(6)?.array_of()?);
        let full = fields.need(7)?.boolean()?;
        Ok((Self { name, full, snapshot, redactions, started }, id))
    }
}

/// What caches of one compartment are sealed with.
pub(super) struct CacheSeal {
    sealer: Sealer,
    about: [u8; 32],
}

impl CacheSeal {
    pub(super) fn new(vault: VaultId, keys: &CompartmentKeys) -> Self {
        Self::with(vault, keys.id, keys.hash, &keys.index)
    }

    fn with(vault: VaultId, compartment: CompartmentId, hash: HashAlgorithm, index: &Key) -> Self {
        let key = derive(index, "file cache", &[]);
        let mut about = [0; 32];
        about[..16].copy_from_slice(vault.as_bytes());
        about[16..].copy_from_slice(compartment.as_bytes());
        Self { sealer: Sealer::new(hash, &key, "files"), about }
    }

    fn context(id: [u8; 16], number: u64) -> [u8; 24] {
        let mut context = [0; 24];
        context[..16].copy_from_slice(&id);
        context[16..].copy_from_slice(&number.to_be_bytes());
        context
    }
}

/// The name under which the cache of a machine name and a set of sources is kept. It says nothing about either.
pub(super) fn cache_name(keys: &CompartmentKeys, host: &[u8], sources: &[EntryPath]) -> String {
    let mut text = host.to_vec();
    for source in sources {
        text.push(0);
        text.extend_from_slice(source.as_bytes());
    }
    keys.document(&text).to_string()[..32].to_owned()
}
