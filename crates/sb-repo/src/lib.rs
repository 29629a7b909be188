#![doc = include_str!("../README.md")]

mod ids;
mod name;
mod wire;

mod clock;
mod error;
mod keys;
mod state;

mod live;
mod object;
mod trust;
mod view;

mod create;
mod door;
mod sessions;
mod vault;

mod chunks;
mod locator;
mod pack;
mod tree;

mod backup;
mod reader;
mod rebuild;
mod restore;
mod snapshots;
mod verify;

#[cfg(feature = "testing")]
pub mod testing;

pub use backup::{BackupOptions, BackupReport, PROBLEMS_KEPT};
pub use clock::{Clock, Counter, Deed, FixedClock, Monitor, Progress, Silent};
pub use create::{CreateOptions, create};
pub use error::{Flaw, RepoError};
pub use ids::{
    BucketId, ChunkId, CompartmentId, DocumentId, Id, KeyId, PackId, RunId, SlotId, SnapshotId, TableId, UserId,
    VaultId, tag,
};
pub use name::ObjectKind;
pub use reader::{EachEntry, Reader};
pub use rebuild::RebuildReport;
pub use restore::{Overwrite, RestoreOptions, RestoreProblem, RestoreReport};
pub use snapshots::{Snapshot, Snapshots};
pub use state::State;
pub use vault::{Surroundings, Vault};
pub use verify::{DocumentRef, Finding, VerifyLevel, VerifyReport};
pub use view::View;
pub use wire::cbor::Malformed;
pub use wire::entry::{Entry, FileItem, Inline, Item, Xattr};
pub use wire::node::{Part, Reference};
pub use wire::snapshot::{Counts, SnapshotType};
