#![doc = include_str!("../README.md")]

mod batch;
mod bundle;
mod chain;
mod checkpoint;
mod document;
mod entry;
mod envelope;
mod evidence;
mod fields;
mod folder;
mod history;
mod json;
mod lines;
mod malformed;
mod note;
mod policy;
mod predicate;
mod statement;
mod stretch;
mod tile;
mod time;
mod timestamp;
mod tlog_proof;
mod tree;
mod witness;

pub use evidence::{Evidence, EvidenceError, Proven, Trust, verify_certificate};

pub use chain::{ChainError, KeyChain, UserKey};
pub use folder::{
    EvidenceFolder, FolderError, FolderStamp, Known, ProvenFolder, RootedStamp, ShownDocument, Stamped, VERIFY_SH,
    parse_fingerprint,
};

pub use document::{Document, DocumentError, DocumentProof};
pub use envelope::{Envelope, EnvelopeError, EnvelopeSignature, envelope_key_id, pae, spki_der, spki_pem};
pub use predicate::{
    Anchor, AnchorKind, Backup, BackupCounts, ClockEvidence, DocumentTree, JournalHead, LogHead, Predicate, Referenced,
    RetentionSummary, Run, RunResult, Tool, Verification, VerificationCounts, Written,
};
pub use statement::{STATEMENT_TYPE, Statement, StatementError, Subject};

pub use batch::{AppendError, Batch, BatchError, LogTip};
pub use entry::{Action, Entry, Event, OpaqueId, Outcome};
pub use history::{Examined, Finding, History};
pub use stretch::LogStretch;

pub use checkpoint::Checkpoint;
pub use note::{Cosigner, Note, NoteError, NoteSignature, NoteSigner, SignatureType, Signed, VerifierKey};
pub use policy::{Believed, Cosignature, Policy, PolicyError};
pub use timestamp::{Authorities, TimeStamp, TimeStampError, time_stamp_request};
pub use tlog_proof::{TlogProof, TlogProofError};
pub use witness::{AddCheckpoint, Refusal, WitnessError, parse_cosignatures, parse_latest_size};

pub use bundle::{ENTRY_BYTES_MAX, bundle, parse_bundle};
pub use tile::{TILE_WIDTH, Tile, TileError, TileKind, TileReader, TileWriter, parse_tile};
pub use tree::{Subtree, TreeHead, prove_consistency, prove_inclusion, tree_root};

pub use json::Json;
pub use malformed::{Malformed, Place};
