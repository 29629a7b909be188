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

mod access;
mod create;
mod door;
mod rehearsal;
mod sessions;
mod vault;

mod chunks;
mod diff;
mod find;
mod glob;
mod labels;
mod locator;
mod names;
mod pack;
mod tree;

mod backup;
mod certificates;
mod check;
mod collect;
mod forget;
mod logs;
mod proof;
mod reader;
mod rebuild;
mod requests;
mod restore;
mod rotate;
mod snapshots;
mod stats;
mod verify;

#[cfg(feature = "testing")]
pub mod testing;

pub use access::{KeySet, LOGIN_MAX, Member, NewUser, Roll, SlotInfo, is_login};
pub use backup::{BackupOptions, BackupReport, Changes, PROBLEMS_KEPT};
pub use certificates::{
    Certificate, CertificateSignature, CertificateTerms, Certificates, Certified, VERIFIED_MAX, VerifiedFacts,
};
pub use check::{Doubt, IndexReport};
pub use clock::{Clock, Counter, Deed, FileChange, FixedClock, Monitor, Progress, Silent};
pub use collect::{CollectOptions, CollectReport, MaxUnused, Tally};
pub use create::{CreateOptions, create};
pub use diff::{Change, DiffOptions, DiffReport, Difference, EachDifference, EntryTally};
pub use error::{Flaw, RepoError};
pub use find::{EachMatch, EntryKind, FindReport, Query};
pub use forget::{Candidate, Choice, ForgetReport, GroupBy, KeepRules, Kept, Reason, Span, SpanError, choose};
pub use glob::{Pattern, PatternError};
pub use ids::{
    BucketId, ChunkId, CompartmentId, DocumentId, Id, KeyId, PackId, RequestId, RunId, SlotId, SnapshotId, TableId,
    UserId, VaultId, tag,
};
pub use logs::{FiledCheckpoint, FiledCheckpoints, LogEntry, LogFinding, LogPosition, Logs, Unlogged, log_unopened};
pub use name::ObjectKind;
pub use names::Names;
pub use proof::DocumentEvidence;
pub use reader::{EachEntry, Reader};
pub use rebuild::RebuildReport;
pub use requests::{FiledRequest, Proposal, Requests, SignedBy};
pub use restore::{Overwrite, RestoreOptions, RestoreProblem, RestoreReport};
pub use rotate::{KeyEpoch, RotateOptions, RotateReport};
pub use snapshots::{Snapshot, Snapshots};
pub use state::State;
pub use stats::{ChunkStats, ContentStats, StoredStats};
pub use vault::{Surroundings, Vault};
pub use verify::{DocumentRef, Due, DueReport, Finding, VerifyLevel, VerifyReport};
pub use view::View;
pub use wire::cbor::Malformed;
pub use wire::entry::{Entry, FileItem, Inline, Item, Xattr};
pub use wire::node::{Part, Reference};
pub use wire::snapshot::{Counts, SnapshotType};
