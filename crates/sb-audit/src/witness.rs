//! What a witness does (C2SP tlog-witness, `add-checkpoint`): it cosigns a log's checkpoint if the log has only grown
//! since the one it cosigned before.
//!
//! There is no network and no state here, only the decision. A witness must store the new head **before** it answers,
//! and must let no other request for the same log in between; see [`AddCheckpoint::decide`].

use std::fmt;

use chrono::{DateTime, Utc};
use sb_crypto::{Digest, verify_consistency};

use crate::checkpoint::Checkpoint;
use crate::lines::{Lines, hash_text};
use crate::malformed::Malformed;
use crate::note::{Cosigner, Note, NoteError, NoteSignature, VerifierKey};
use crate::tree::TreeHead;

const FORMAT: &str = "add-checkpoint request";
const ANSWER_FORMAT: &str = "answer of a witness";
const BYTES_MAX: usize = 512 << 10;
const HASHES_MAX: usize = 63;

/// A request to a witness: the body of `POST <prefix>/add-checkpoint`.
///
/// ```
/// use chrono::DateTime;
/// use sb_audit::{AddCheckpoint, Checkpoint, Cosigner, NoteSigner, TreeHead};
/// use sb_crypto::{SigningKey, SystemRandom, leaf_hash};
///
/// let log = NoteSigner::new("example.com/log", SigningKey::generate(&SystemRandom))?;
/// let witness = Cosigner::new("witness.example/w1", SigningKey::generate(&SystemRandom))?;
/// let head = TreeHead { size: 1, root: leaf_hash(b"first entry") };
/// let body = AddCheckpoint::new(0, vec![], Checkpoint::of(&log, head))?.to_string();
///
/// // At the witness, which has never seen this log:
/// let request = AddCheckpoint::parse(body.as_bytes())?;
/// let accepted = request.decide(&[log.verifier().clone()], None).expect("the log has only grown");
/// // … here it stores `accepted`, and then answers:
/// let answer = request.cosign(&witness, DateTime::UNIX_EPOCH);
/// assert_eq!(accepted, head);
/// assert!(answer.starts_with("— witness.example/w1 "));
/// # Ok::<(), sb_audit::Malformed>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    old_size: u64,
    proof: Vec<Digest>,
    note: Note,
    checkpoint: Checkpoint,
}

impl AddCheckpoint {
    /// A request for the cosignature of a witness that has cosigned the log at `old_size`, or at 0 if it has not.
    ///
    /// # Errors
    /// [`Malformed`] if the note is no checkpoint, or the proof has more than 63 hashes.
    pub fn new(old_size: u64, proof: Vec<Digest>, note: Note) -> Result<Self, Malformed> {
        let checkpoint = Checkpoint::parse(note.text())?;
        if proof.len() > HASHES_MAX {
            return Err(Malformed::at_line(FORMAT, HASHES_MAX + 2, "too many hashes"));
        }
        Ok(Self { old_size, proof, note, checkpoint })
    }

    /// Reads a request's body. What can't be read is answered as [`Refusal::Malformed`] is.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut lines = Lines::new(FORMAT, bytes, BYTES_MAX)?;
        let old_size = lines.after("old", "no old size")?;
        let old_size = lines.number(old_size)?;
        let proof = lines.hashes(HASHES_MAX)?;
        Self::new(old_size, proof, Note::parse(lines.rest().as_bytes())?)
    }

    /// The size that the witness is said to have cosigned last.
    #[must_use]
    pub const fn old_size(&self) -> u64 {
        self.old_size
    }

    /// What is to be cosigned.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The same with its signatures, none of which are verified yet.
    #[must_use]
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// Whether a witness may cosign, which has `keys` for the log of this origin (none if it does not know it) and
    /// cosigned `latest` last (`None` if nothing). The new head to store, durably and before anything is answered.
    ///
    /// # Errors
    /// [`Refusal`], with the HTTP status to answer.
    pub fn decide(&self, keys: &[VerifierKey], latest: Option<TreeHead>) -> Result<TreeHead, Refusal> {
        let latest = latest.unwrap_or_else(TreeHead::empty);
        let new = self.checkpoint.head();
        let origin = self.checkpoint.origin();
        let keys: Vec<_> = keys.iter().filter(|key| key.name() == origin).collect();
        if keys.is_empty() {
            return Err(Refusal::UnknownLog { origin: origin.to_owned() });
        }
        self.note.verify(keys)?;
        if self.old_size > new.size {
            return Err(Refusal::Shrunk { old: self.old_size, new: new.size });
        }
        if self.old_size != latest.size {
            return Err(Refusal::Stale { latest: latest.size });
        }
        if new.size == latest.size && new.root != latest.root {
            return Err(Refusal::OtherRoot { latest: latest.size });
        }
        if verify_consistency(latest.size, new.size, &latest.root, &new.root, &self.proof) {
            Ok(new)
        } else {
            Err(Refusal::Inconsistent { old: latest.size, new: new.size })
        }
    }

    /// The body of the answer 200: the cosignature made at `time`. Nothing is checked here: call this only when
    /// [`decide`](Self::decide) has accepted the request and what it returned is stored.
    ///
    /// # Panics
    /// When `time` is before 1970.
    #[must_use]
    pub fn cosign(&self, witness: &Cosigner, time: DateTime<Utc>) -> String {
        witness.cosign(self.note.text(), time).to_string()
    }
}

/// The body of the request.
impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", hash_text(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

/// The cosignatures by `witnesses` in a witness's answer to a request about `checkpoint`; others in it are left out.
///
/// # Errors
/// [`WitnessError`] if it is no such answer, one of them is bad, or there is none.
pub fn parse_cosignatures(
    answer: &[u8],
    checkpoint: &Note,
    witnesses: &[VerifierKey],
) -> Result<Vec<NoteSignature>, WitnessError> {
    let note = Note::parse(&[checkpoint.text().as_bytes(), b"\n", answer].concat())?;
    // An empty line in the answer would make what stands before it part of what is signed.
    if note.text() != checkpoint.text() {
        return Err(Malformed::at_byte(ANSWER_FORMAT, 0, "not signature lines only").into());
    }
    note.verify(witnesses)?;
    let known = |signature: &&NoteSignature| witnesses.iter().any(|witness| signature.is_by(witness));
    Ok(note.signatures().iter().filter(known).cloned().collect())
}

/// The size that a witness says it cosigned last, in an answer 409.
///
/// # Errors
/// [`Malformed`] if it says no size.
pub fn parse_latest_size(answer: &[u8]) -> Result<u64, Malformed> {
    let mut lines = Lines::new(ANSWER_FORMAT, answer, 32)?;
    let size = lines.next()?;
    let size = lines.number(size)?;
    if lines.rest().is_empty() { Ok(size) } else { Err(lines.fault("more than a size")) }
}

/// Why a witness's answer is not to be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// It does not consist of signature lines.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A cosignature is bad, or there is none by a known witness.
    #[error(transparent)]
    Signature(#[from] NoteError),
}

/// Why a witness does not cosign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request can't be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// This witness does not watch the log.
    #[error("the log `{origin}` is not known here")]
    UnknownLog {
        /// The log's origin.
        origin: String,
    },
    /// The log did not sign the checkpoint.
    #[error(transparent)]
    Signature(#[from] NoteError),
    /// The old size is above the new one.
    #[error("the log can't shrink from {old} entries to {new}")]
    Shrunk {
        /// The old size in the request.
        old: u64,
        /// The size of the checkpoint.
        new: u64,
    },
    /// The old size is not the one cosigned last: ask again from there.
    #[error("the size cosigned last is {latest}")]
    Stale {
        /// The size cosigned last.
        latest: u64,
    },
    /// At the size cosigned last the log has another root: it was rewritten, or forked.
    #[error("another root was cosigned at size {latest}")]
    OtherRoot {
        /// The size cosigned last.
        latest: u64,
    },
    /// The proof does not show that the log has only grown.
    #[error("the proof does not show the log of {old} entries to be the beginning of that of {new}")]
    Inconsistent {
        /// The size cosigned last.
        old: u64,
        /// The size of the checkpoint.
        new: u64,
    },
}

impl Refusal {
    /// The HTTP status to answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::Shrunk { .. } => 400,
            Self::Signature(_) => 403,
            Self::UnknownLog { .. } => 404,
            Self::Stale { .. } | Self::OtherRoot { .. } => 409,
            Self::Inconsistent { .. } => 422,
        }
    }

    /// The body to answer, and its content type.
    #[must_use]
    pub fn answer(&self) -> (String, &'static str) {
        match self {
            Self::Stale { latest } | Self::OtherRoot { latest } => (format!("{latest}\n"), "text/x.tlog.size"),
            other => (format!("{other}\n"), "text/plain; charset=utf-8"),
        }
    }
}
