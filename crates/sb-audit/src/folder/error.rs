//! Why a folder proves nothing.

use sb_crypto::Digest;

use crate::chain::ChainError;
use crate::document::DocumentError;
use crate::evidence::EvidenceError;
use crate::malformed::Malformed;
use crate::timestamp::TimeStampError;

/// What of an evidence folder does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file is not there.
    #[error("`{name}` is missing")]
    Missing {
        /// The file.
        name: String,
    },
    /// A file is there that nothing in a folder vouches for.
    #[error("`{name}` does not belong into the folder")]
    Extra {
        /// The file.
        name: String,
    },
    /// A file is longer than any such file can be.
    #[error("`{name}` is longer than it can be")]
    TooLong {
        /// The file.
        name: String,
    },
    /// A file is not the one that `SHA256SUMS` lists.
    #[error("`{name}` is not as it was when the folder was made")]
    Changed {
        /// The file.
        name: String,
    },
    /// A file says what does not belong there, or in another spelling.
    #[error("`{name}` does not say what belongs there, and nothing else")]
    Spelling {
        /// The file.
        name: String,
    },
    /// A file can't be read.
    #[error("`{name}` can't be read")]
    Malformed {
        /// The file.
        name: String,
        /// Why.
        source: Malformed,
    },
    /// The root key is not the one that the auditor knows.
    #[error("the root key is another one, its fingerprint is {found}")]
    OtherRoot {
        /// Its fingerprint.
        found: Digest,
    },
    /// A key is not vouched for.
    #[error("nobody vouches for the key in `{name}`")]
    Chain {
        /// The file.
        name: String,
        /// Which link does not hold.
        source: ChainError,
    },
    /// A key that has to sign the certificate did not.
    #[error("the key of `{name}` did not sign the certificate, or did so twice")]
    Unsigned {
        /// The file with the key.
        name: String,
    },
    /// The certificate is not proven to be good, or to be logged.
    #[error("the certificate is not proven")]
    Evidence(#[from] EvidenceError),
    /// A witness that is named has not cosigned.
    #[error("`{name}` has not signed the checkpoint")]
    NotCosigned {
        /// The name of the witness, or of the log.
        name: String,
    },
    /// What is called a witness is none.
    #[error("the witness `{name}` {fault}")]
    NoWitness {
        /// Its name.
        name: String,
        /// Why it is none.
        fault: &'static str,
    },
    /// A time stamp is not to be believed.
    #[error("the time stamp of `{name}` does not hold")]
    Stamp {
        /// The file.
        name: String,
        /// Why.
        source: TimeStampError,
    },
    /// None of the time stamps is vouched for by the root certificates that the auditor knows.
    #[error("no time stamp is vouched for by the known root certificates")]
    NotVouched,
    /// The document is not proven to be in the snapshot.
    #[error("the document is not proven")]
    Document(#[from] DocumentError),
}
