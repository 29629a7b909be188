//! Batches: how a log is stored, so that its writer needs no lock and reads one object to go on.
//!
//! ```text
//! batch = first (8) ‖ peak (32) … ‖ length of the bundle (4) ‖ bundle ‖ checkpoint
//! ```
//!
//! `first` is the number of the first entry in it, big-endian. The peaks are the roots of the full subtrees over all
//! entries before, from left to right, one for each bit set in `first`. The bundle is a C2SP entry bundle of at least
//! one entry; its length is big-endian. The checkpoint is a C2SP signed note to the end, with the signature of the log
//! and no other (cosignatures are objects of their own), over the tree *after* this batch. So the one signature covers
//! every byte: `first` and the number of entries by the size, peaks and entries by the root.
//!
//! In a vault this is the body of the object `log/<writer>/<first>.<hash>`.

use sb_crypto::{Digest, TreeHasher, leaf_hash};

use crate::bundle::{bundle, parse_bundle};
use crate::checkpoint::Checkpoint;
use crate::entry::{Entry, Event};
use crate::malformed::Malformed;
use crate::note::{Note, NoteError, NoteSigner, VerifierKey};
use crate::stretch::hash_in;
use crate::tlog_proof::TlogProof;
use crate::tree::{Subtree, TreeHead, prove_inclusion};

const FORMAT: &str = "log batch";
const BUNDLE_BYTES_MAX: usize = 64 << 20;
/// More than fit: an entry has 130 bytes and more. Whoever signs empty ones must not cost their reader memory.
const ENTRIES_MAX: usize = BUNDLE_BYTES_MAX / 128;
/// No log gets there, and sums stay in range.
const SIZE_MAX: u64 = 1 << 62;

/// Where a log ends: all that its writer needs to append.
///
/// ```
/// use chrono::DateTime;
/// use sb_audit::{Batch, Event, LogTip, NoteSigner, Outcome};
/// use sb_crypto::{SigningKey, SystemRandom};
///
/// let log = NoteSigner::new("firm.example/log-1", SigningKey::generate(&SystemRandom))?;
/// let event = Event::new(
///     DateTime::UNIX_EPOCH,
///     "host:nas-1/sb".parse()?,
///     "u_7".parse()?,
///     "Snapshot.Create".parse()?,
///     "snapshot:s_1".parse()?,
///     Outcome::Success,
/// );
/// let tip = LogTip::new();
/// let (bytes, tip) = tip.append(&log, &[event])?;
/// // Store the bytes; only then is `tip` where the log ends. Another day, or anybody with the public key:
/// let batch = Batch::parse(&bytes, log.verifier())?;
/// assert_eq!(batch.entries()[0].event.actor.as_str(), "u_7");
/// assert_eq!(batch.tip().head(), tip.head());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LogTip {
    tree: TreeHasher,
}

impl LogTip {
    /// That of a log without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self { tree: TreeHasher::new() }
    }

    /// How many entries there are, which is the number of the next one.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.len()
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.tree.len(), root: self.tree.root() }
    }

    /// The batch that appends these events, and where the log ends once it is stored. The batch is a pure function of
    /// tip, events and key.
    ///
    /// # Errors
    /// [`AppendError`] if there are no events, or one can't be written.
    pub fn append(&self, log: &NoteSigner, events: &[Event]) -> Result<(Vec<u8>, Self), AppendError> {
        let mut tree = self.tree.clone();
        let mut entries = Vec::with_capacity(events.len());
        for event in events {
            let seq = tree.len();
            let unwritable = |source| AppendError::Unwritable { event: entries.len(), source };
            let bytes = Entry { seq, event: event.clone() }.to_bytes().map_err(unwritable)?;
            tree.push(leaf_hash(&bytes));
            entries.push(bytes);
        }
        let bundle = bundle(&entries);
        if entries.is_empty() || bundle.len() > BUNDLE_BYTES_MAX || tree.len() > SIZE_MAX {
            return Err(AppendError::Size { events: events.len() });
        }
        let tip = Self { tree };
        let mut bytes = Vec::from(self.tree.len().to_be_bytes());
        bytes.extend(self.tree.peaks().iter().flat_map(|peak| *peak.as_bytes()));
        bytes.extend(u32::try_from(bundle.len()).expect("at most 64 MiB").to_be_bytes());
        bytes.extend(bundle);
        bytes.extend(Checkpoint::of(log, tip.head()).to_string().into_bytes());
        Ok((bytes, tip))
    }
}

/// Why events can't be appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// An event can't be written.
    #[error("event {event} can't be logged")]
    Unwritable {
        /// Which of those given, from 0.
        event: usize,
        /// Why.
        source: Malformed,
    },
    /// There are no events, or so many that they need several batches: more than 64 MiB.
    #[error("{events} events are no batch")]
    Size {
        /// How many were given.
        events: usize,
    },
}

/// A batch whose signature is good and which contains what it should.
#[derive(Clone, Debug)]
pub struct Batch {
    before: LogTip,
    entries: Vec<Entry>,
    bytes: Vec<Vec<u8>>,
    leaves: Vec<Digest>,
    tip: LogTip,
    checkpoint: Note,
}

impl Batch {
    /// Reads a batch of the log with this key and checks everything that can be known from it alone: its signature, its
    /// hashes, its entries and their numbers.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn parse(bytes: &[u8], log: &VerifierKey) -> Result<Self, BatchError> {
        let (before, bundle, note) = split(bytes)?;
        let checkpoint = Note::parse(note)?;
        if checkpoint.signatures().len() != 1 {
            return Err(Malformed::at_byte(FORMAT, bytes.len() - note.len(), "more than one signature").into());
        }
        checkpoint.verify([log])?;
        let parsed = Checkpoint::parse(checkpoint.text())?;
        if parsed.origin() != log.name() || !parsed.extensions().is_empty() {
            return Err(BatchError::OtherLog { origin: parsed.origin().to_owned() });
        }
        let raw = parse_bundle(bundle)?;
        if raw.len() > ENTRIES_MAX {
            return Err(Malformed::at_byte(FORMAT, 0, "more entries than it has room for").into());
        }
        let first = before.size();
        let size = first + raw.len() as u64;
        if parsed.head().size != size || raw.is_empty() {
            return Err(BatchError::OtherSize { first, entries: raw.len(), size: parsed.head().size });
        }
        let leaves: Vec<_> = raw.iter().map(|entry| leaf_hash(entry)).collect();
        let mut tip = before.clone();
        tip.tree.extend(leaves.iter().copied());
        if tip.head() != parsed.head() {
            return Err(BatchError::OtherRoot { first, size });
        }
        let mut entries = Vec::with_capacity(raw.len());
        for (seq, entry) in (first..).zip(&raw) {
            let entry = Entry::parse(entry).map_err(|source| BatchError::Entry { seq, source })?;
            if entry.seq != seq {
                return Err(BatchError::Misnumbered { seq, found: entry.seq });
            }
            entries.push(entry);
        }
        let bytes = raw.into_iter().map(<[u8]>::to_vec).collect();
        Ok(Self { before, entries, bytes, leaves, tip, checkpoint })
    }

    /// The number of its first entry.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.before.size()
    }

    /// Size and root of the log before it.
    #[must_use]
    pub fn head_before(&self) -> TreeHead {
        self.before.head()
    }

    pub(crate) const fn tree_before(&self) -> &TreeHasher {
        &self.before.tree
    }

    pub(crate) const fn tree_after(&self) -> &TreeHasher {
        &self.tip.tree
    }

    /// Where the log ends with it.
    #[must_use]
    pub const fn tip(&self) -> &LogTip {
        &self.tip
    }

    /// What it says; the first entry has the number [`first`](Self::first).
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The hashes of its entries.
    #[must_use]
    pub fn leaves(&self) -> &[Digest] {
        &self.leaves
    }

    /// The bytes of one of its entries, as they are hashed.
    #[must_use]
    pub fn entry_bytes(&self, seq: u64) -> Option<&[u8]> {
        self.bytes.get(self.place(seq)?).map(Vec::as_slice)
    }

    /// The signed checkpoint of the log as it was with this batch.
    #[must_use]
    pub const fn checkpoint(&self) -> &Note {
        &self.checkpoint
    }

    /// The proof that one of its entries is in the log; nothing but this batch is needed to make it.
    ///
    /// ```no_run
    /// # fn example(batch: &sb_audit::Batch, policy: &sb_audit::Policy) -> Result<(), sb_audit::TlogProofError> {
    /// let proof = batch.prove(batch.first()).expect("its own entry");
    /// let entry = proof.extra.as_deref().expect("the entry comes with it");
    /// proof.verify(entry, policy)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn prove(&self, seq: u64) -> Option<TlogProof> {
        let entry = self.entry_bytes(seq)?;
        let path = prove_inclusion(seq, self.tip.size(), &mut |subtree| self.hash_of(subtree).ok_or(())).ok()?;
        Some(TlogProof { extra: Some(entry.to_vec()), index: seq, path, checkpoint: self.checkpoint.clone() })
    }

    fn place(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.first())?).ok().filter(|place| *place < self.leaves.len())
    }

    fn hash_of(&self, subtree: Subtree) -> Option<Digest> {
        hash_in(&self.before.tree, &self.leaves, subtree)
    }
}

/// Tip before, bundle, note.
fn split(bytes: &[u8]) -> Result<(LogTip, &[u8], &[u8]), Malformed> {
    let cut = |rest: &[u8]| Malformed::at_byte(FORMAT, bytes.len() - rest.len(), "cut short");
    let (first, mut rest) = bytes.split_first_chunk().ok_or_else(|| cut(bytes))?;
    let first = u64::from_be_bytes(*first);
    if first > SIZE_MAX {
        return Err(Malformed::at_byte(FORMAT, 0, "a number that no log reaches"));
    }
    let mut peaks = Vec::new();
    for _ in 0..first.count_ones() {
        let (peak, after) = rest.split_first_chunk().ok_or_else(|| cut(rest))?;
        peaks.push(Digest::from_bytes(*peak));
        rest = after;
    }
    let tree = TreeHasher::from_peaks(first, peaks).expect("one peak for each bit set");
    let (len, rest) = rest.split_first_chunk().ok_or_else(|| cut(rest))?;
    let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
    if len > BUNDLE_BYTES_MAX {
        return Err(Malformed::at_byte(FORMAT, bytes.len() - rest.len() - 4, "too long a bundle"));
    }
    let (bundle, note) = rest.split_at_checked(len).ok_or_else(|| cut(rest))?;
    Ok((LogTip { tree }, bundle, note))
}

/// Why a batch is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// It is no batch, or cut short.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The log did not sign it.
    #[error(transparent)]
    Signature(#[from] NoteError),
    /// It is of another log.
    #[error("the batch is of the log `{origin}`")]
    OtherLog {
        /// The origin it says.
        origin: String,
    },
    /// It does not hold as many entries as was signed.
    #[error("{entries} entries from {first} on do not make a log of {size}")]
    OtherSize {
        /// The number of its first entry.
        first: u64,
        /// How many it holds.
        entries: usize,
        /// The size that was signed.
        size: u64,
    },
    /// Its entries, or what it says of those before, are not what was signed.
    #[error("entries {first} to {size} do not have the hash that was signed")]
    OtherRoot {
        /// The number of its first entry.
        first: u64,
        /// The size that was signed.
        size: u64,
    },
    /// The log signed what is no entry.
    #[error("entry {seq} can't be read")]
    Entry {
        /// Its number.
        seq: u64,
        /// What is wrong with it.
        source: Malformed,
    },
    /// An entry says another number than its place.
    #[error("entry {seq} says that it is number {found}")]
    Misnumbered {
        /// Its place.
        seq: u64,
        /// What it says.
        found: u64,
    },
    /// It is filed under the number of another entry.
    #[error("the batch begins with entry {first}, not {named}")]
    Misfiled {
        /// The number of its first entry.
        first: u64,
        /// The number in its name.
        named: u64,
    },
}
