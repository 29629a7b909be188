//! Proof of logging in one file that is checked offline (C2SP tlog-proof@v1, as of November 2026).

use std::fmt;

use base64ct::{Base64, Encoding};
use sb_crypto::{Digest, leaf_hash, verify_inclusion};

use crate::lines::{Lines, hash_text};
use crate::malformed::Malformed;
use crate::note::Note;
use crate::policy::{Believed, Policy, PolicyError};

const FORMAT: &str = "tlog-proof";
const HEADER: &str = "c2sp.org/tlog-proof@v1";
const BYTES_MAX: usize = 512 << 10;
/// As many as a tree of 2⁶⁴ leaves has levels.
pub(crate) const HASHES_MAX: usize = 64;

/// A checkpoint, and the way up to it from one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// What the application adds, not authenticated; ours is the entry.
    pub extra: Option<Vec<u8>>,
    /// Which entry of the log, from 0.
    pub index: u64,
    /// The inclusion proof, from the leaf upwards.
    pub path: Vec<Digest>,
    /// The signed checkpoint.
    pub checkpoint: Note,
}

impl TlogProof {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut lines = Lines::new(FORMAT, bytes, BYTES_MAX)?;
        if lines.next()? != HEADER {
            return Err(lines.fault("not `c2sp.org/tlog-proof@v1`"));
        }
        let extra = if lines.rest().starts_with("extra ") {
            let text = lines.after("extra", "no extra data")?;
            Some(Base64::decode_vec(text).map_err(|_| lines.fault("not base64"))?)
        } else {
            None
        };
        let index = lines.after("index", "no index")?;
        let index = lines.number(index)?;
        let path = lines.hashes(HASHES_MAX)?;
        Ok(Self { extra, index, path, checkpoint: Note::parse(lines.rest().as_bytes())? })
    }

    /// Checks that `entry` is in a log that the policy believes.
    ///
    /// # Errors
    /// [`TlogProofError`].
    pub fn verify(&self, entry: &[u8], policy: &Policy) -> Result<Believed, TlogProofError> {
        let believed = policy.check(&self.checkpoint)?;
        let head = believed.checkpoint.head();
        if verify_inclusion(self.index, head.size, &leaf_hash(entry), &self.path, &head.root) {
            Ok(believed)
        } else {
            Err(TlogProofError::NotIncluded { index: self.index, size: head.size })
        }
    }
}

/// The file.
impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", Base64::encode_string(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", hash_text(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why an entry is not proven to be in a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogProofError {
    /// The checkpoint is not to be believed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The hashes do not lead from the entry to the root.
    #[error("the proof does not show this entry to be number {index} of {size}")]
    NotIncluded {
        /// Where the entry is said to stand.
        index: u64,
        /// How many entries the log has.
        size: u64,
    },
}
