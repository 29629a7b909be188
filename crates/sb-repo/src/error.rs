//! What can go wrong with a vault.

use sb_crypto::CryptoError;
use sb_source::TargetError;
use sb_store::{ObjectName, StoreError};

use crate::access::KeySet;
use crate::ids::{ChunkId, KeyId, RequestId, SlotId, UserId};
use crate::wire::cbor::Malformed;

/// An error of the vault. Errors of what is backed up are another type ([`sb_source::SourceError`]) and never become one of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// The storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A cryptographic operation failed; which one the cause says.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// There is no vault in this storage.
    #[error("there is no vault here")]
    NoVault,
    /// There is a vault in this storage already.
    #[error("there is a vault here already")]
    VaultExists,
    /// The storage holds files that are none of a vault's.
    #[error("the folder is not empty: it holds `{name}`")]
    NotEmpty {
        /// One of them.
        name: String,
    },
    /// The vault needs a newer program.
    #[error("the vault uses `{feature}`, which this version does not know")]
    UnsupportedFeature {
        /// What it uses.
        feature: String,
    },
    /// No slot opens with what was given.
    #[error("wrong passphrase or key: no slot of this vault opens with it")]
    WrongCredential,
    /// The vault has no slot of the kind that was given.
    #[error("this vault has no slot for a {credential}")]
    NoSuchSlot {
        /// Which kind.
        credential: &'static str,
    },
    /// The vault's root key is not the one that was expected.
    #[error(
        "the vault's root key has fingerprint {found}, expected {expected}: this is another vault, or a forged one"
    )]
    RootMismatch {
        /// What the vault says.
        found: sb_crypto::Digest,
        /// What is known from elsewhere.
        expected: sb_crypto::Digest,
    },
    /// A slot made with a public key says which root to trust, so the fingerprint must be known from elsewhere.
    #[error("a slot for an RSA key proves nothing by itself: the root fingerprint must be given or remembered")]
    RootNotPinned,
    /// An object is not what it should be.
    #[error("`{name}` is damaged: {flaw}")]
    Damaged {
        /// The object.
        name: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// A chunk is in no object that can be read.
    #[error("chunk {id} {}", whereabouts(packs))]
    MissingChunk {
        /// The chunk.
        id: ChunkId,
        /// Packs that should hold it, and why it could not be read from them.
        packs: Vec<(String, String)>,
    },
    /// The keys at hand do not open this.
    #[error("the keys of this user cannot read {what}")]
    NoReadingKey {
        /// What can't be read.
        what: &'static str,
    },
    /// Only who has the root key changes users, roles and slots.
    #[error("this user may not change users, roles and keys")]
    NoRootKey,
    /// The vault was made, or is to be made, for approved algorithms only.
    #[error("{algorithm} is no approved algorithm, and this vault is for nothing else")]
    NotApproved {
        /// What was asked for.
        algorithm: &'static str,
    },
    /// Nobody can give what he has not.
    #[error("this user does not have the keys that are to be given")]
    KeysNotHeld {
        /// Which.
        wanted: KeySet,
    },
    /// What can't be a login.
    #[error("`{login}` cannot be a login")]
    InvalidLogin {
        /// What was given.
        login: String,
    },
    /// A user whom nothing lets in.
    #[error("a user needs something that opens the vault")]
    NoLock,
    /// The roll names no such user.
    #[error("there is no user {user}")]
    NoSuchUser {
        /// Who.
        user: UserId,
    },
    /// Nobody would have all keys any more.
    #[error("the last active user who has all keys cannot be removed, locked out or given fewer keys")]
    LastOwner,
    /// The user's slots are from before keys could be granted.
    #[error("nothing can be granted to user {user}, whose slots are of an older kind")]
    NoGrant {
        /// Who.
        user: UserId,
    },
    /// There is no such change request.
    #[error("there is no change request {id}")]
    NoSuchRequest {
        /// Which.
        id: RequestId,
    },
    /// The change request was refused, withdrawn or carried out.
    #[error("change request {id} is closed: it was refused, withdrawn or carried out")]
    RequestClosed {
        /// Which.
        id: RequestId,
    },
    /// There is no such slot.
    #[error("there is no key {id}")]
    NoSuchKey {
        /// Which.
        id: SlotId,
    },
    /// A user whom nothing would let in any more.
    #[error("the last key of a user cannot be removed")]
    LastSlot,
    /// Two have changed the roll at the same time, and it is not told whose change counts.
    #[error("somebody else has changed users or roles at the same time")]
    RollChanged,
    /// This machine has seen journal entries that are gone.
    #[error(
        "journal entry {sequence} of writer {writer}, which this machine has seen, is missing: the vault was rolled back or damaged"
    )]
    RolledBack {
        /// Whose journal.
        writer: KeyId,
        /// The newest entry seen.
        sequence: u64,
    },
    /// This machine's journal has two entries with the same number.
    #[error("the journal of writer {writer} forks at entry {sequence}: this machine was cloned or restored")]
    Forked {
        /// Whose journal.
        writer: KeyId,
        /// Where.
        sequence: u64,
    },
    /// This machine has seen entries of its audit log that are gone.
    #[error(
        "the audit log of writer {writer} had {size} entries when this machine last saw it, and lacks the newest: the vault was rolled back or damaged"
    )]
    LogRolledBack {
        /// Whose log.
        writer: KeyId,
        /// How many entries there were.
        size: u64,
    },
    /// Events can't be logged: there are none, too many for one batch, or one of them can't be written.
    #[error("cannot log this")]
    Unloggable(#[from] sb_audit::AppendError),
    /// What was written does not read back as it was written: the storage is failing, or somebody meddles with it.
    #[error("`{name}`, which was written just now, does not read back as it was written: {flaw}")]
    ReadBack {
        /// The object.
        name: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// What should be certified contradicts itself, or is too long.
    #[error("cannot certify this")]
    Uncertifiable(#[from] sb_audit::StatementError),
    /// No certificate has this id, or is of a snapshot with it.
    #[error("no certificate `{name}`")]
    NoSuchCertificate {
        /// As given.
        name: String,
    },
    /// What this run relied on is gone, damaged, or about to be deleted by a collector.
    #[error("`{name}`, which this run relied on, is gone or damaged")]
    Condemned {
        /// The object.
        name: String,
    },
    /// Another collection or rotation is going on, and two at once would be one too many.
    #[error("another collection or rotation of this vault began at {since} and is not over")]
    Busy {
        /// When it began, by the clock of the machine that runs it.
        since: chrono::DateTime<chrono::Utc>,
    },
    /// What is still needed can't be told, so nothing is deleted.
    #[error("cannot tell what is still needed, so nothing was deleted: `{name}`: {flaw}")]
    Undecided {
        /// The object that can't be read as it should be.
        name: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// No rule says which snapshots to keep.
    #[error("no rule says which snapshots to keep")]
    EmptyPolicy,
    /// A rule keeps what has certain tags, and nothing has them: somebody has made a mistake.
    #[error("no snapshot is tagged `{tags}`")]
    UnusedTags {
        /// The tags, with commas between.
        tags: String,
    },
    /// No snapshot has this id.
    #[error("no snapshot `{name}`")]
    NoSuchSnapshot {
        /// As given.
        name: String,
    },
    /// Several snapshots begin with these digits.
    #[error("several snapshots begin with `{name}`")]
    AmbiguousSnapshot {
        /// As given.
        name: String,
    },
    /// The snapshot does not hold this path.
    #[error("no `{path}` in snapshot {snapshot}")]
    NoSuchPath {
        /// As given, escaped where it can't be shown.
        path: String,
        /// Which snapshot.
        snapshot: String,
    },
    /// The path is of another kind than the operation needs.
    #[error("`{path}` is not a {expected}")]
    WrongKind {
        /// As given, escaped where it can't be shown.
        path: String,
        /// What is needed.
        expected: &'static str,
    },
    /// A file does not have the SHA-256 that it was backed up with.
    #[error("`{path}` does not have the SHA-256 it was backed up with")]
    WrongContent {
        /// The file.
        path: String,
    },
    /// What was read could not be passed on.
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
    /// The place to restore to failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The local state folder failed.
    #[error("cannot {action} `{path}` in the state folder")]
    State {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is less free space than a run needs to begin.
    #[error("only {free} bytes are free, at least {needed} are needed")]
    LowSpace {
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// A source did not keep the order that it promises ([`sb_source::Source`]).
    #[error("the source gave `{name}` after `{before}`, or twice: it does not keep its order")]
    Unordered {
        /// The entry.
        name: String,
        /// The one before it.
        before: String,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

fn whereabouts(packs: &[(String, String)]) -> String {
    match packs.first() {
        None => "is in no pack that is there".to_owned(),
        Some((pack, why)) => format!("cannot be read from `{pack}`: {why}"),
    }
}

impl RepoError {
    pub(crate) fn damaged(name: &ObjectName, flaw: impl Into<Flaw>) -> Self {
        Self::Damaged { name: name.to_string(), flaw: flaw.into() }
    }
}

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A journal says it must be there.
    #[error("missing")]
    Missing,
    /// A journal says it was removed.
    #[error("was removed, and is back")]
    Resurrected,
    /// No journal knows it and nobody who may write has signed it, or it is no object at all.
    #[error("does not belong here")]
    Surplus,
    /// The bytes do not have the SHA-256 that the name says.
    #[error("its bytes do not have the SHA-256 in its name")]
    WrongHash,
    /// The size is not the one in the journal.
    #[error("has {found} bytes, the journal says {expected}")]
    WrongSize {
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// Its bytes are no structure of the format.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It belongs to another vault or has another kind than its name says.
    #[error("is an object of another vault or kind")]
    Foreign,
    /// It says what a collection is about to delete, and can't be read: whatever it says must not be relied on.
    #[error("what it says is about to be deleted cannot be known; if no collection is running, remove the file")]
    Undecidable,
    /// A session table does not hold the key of a pack that was sealed with one of its keys.
    #[error("its key {0} is not that of the pack")]
    NoKey(usize),
    /// It is sealed to a key that the vault never had.
    #[error("is sealed to a key that is none of this vault's")]
    UnknownKey,
    /// Its signer is unknown or may not sign such an object.
    #[error("signed by somebody who may not")]
    UnknownSigner,
    /// Its signature is not good.
    #[error("its signature is not good")]
    BadSignature,
    /// The storage could not read it.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A journal entry says something else of an object than another entry does.
    #[error("contradicts another entry about `{0}`")]
    Contradiction(String),
    /// A journal entry removes or redacts, and nobody who may has signed for that; it does not count.
    #[error("removes or redacts what only a user may, and does not count")]
    NotEntitled,
    /// This many entries of a journal are missing from here on.
    #[error("missing, with the {0} entries after it")]
    MissingEntries(u64),
    /// The chain of a journal is broken here.
    #[error("does not follow from the entry before it")]
    BrokenChain,
    /// Two entries of a journal have one number: a machine was cloned or restored. Both count.
    #[error("another entry has its number: the machine that wrote it was cloned or restored")]
    Forked,
    /// This machine remembers a newer entry of the journal.
    #[error("journal entry {0}, which this machine has seen, is missing: the vault was rolled back or damaged")]
    RolledBack(u64),
    /// An audit log is not as it was written, or says something odd, here.
    #[error("{0}")]
    Log(Box<sb_audit::Finding>),
    /// A signature or a time stamp of something that is not there.
    #[error("is of something that is not there")]
    NotOfAnything,
    /// A certificate that the machine which filed it has not signed.
    #[error("has no signature of the machine that filed it")]
    Unsigned,
    /// Chunks in it do not have the ids that its footer says.
    #[error("a chunk in segment {0} is not what the footer says")]
    WrongChunk(u32),
    /// A snapshot's tree needs something that no readable pack holds.
    #[error("needs chunk {0}, which is in no readable pack")]
    NeedsChunk(ChunkId),
    /// A document of a snapshot, rebuilt, does not have the SHA-256 it was backed up with.
    #[error("a document in it does not have the SHA-256 it was backed up with")]
    WrongContent,
    /// The document tree computed anew is not the one the snapshot was made with.
    #[error("its documents are not those it was made with")]
    WrongDocumentRoot,
}
