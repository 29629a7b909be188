//! Statements: what a certificate says, as an in-toto Statement v1
//! (<https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>) in canonical JSON.

use sb_crypto::Digest;

use crate::envelope::Envelope;
use crate::fields::Fields;
use crate::json::Json;
use crate::malformed::Malformed;
use crate::predicate::{Backup, Predicate, Run, Verification};

const FORMAT: &str = "statement";
const TYPE: &str = "https://in-toto.io/Statement/v1";
const BYTES_MAX: usize = 1 << 20;

/// The media type of a statement, the payload type of its envelope.
pub const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";

/// What a certificate says of which objects. Its bytes are a pure function of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it is about; at least one.
    pub subjects: Vec<Subject>,
    /// What it says.
    pub predicate: Predicate,
}

/// An object that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name, such as `vault:main/snapshot:s_01`.
    pub name: String,
    /// The SHA-256 of its bytes as they are stored.
    pub sha256: Digest,
}

impl Statement {
    /// The bytes to sign.
    ///
    /// # Errors
    /// [`StatementError`] if nobody could read them: no subject, a time outside the years 0000 to 9999, more than 1 MiB,
    /// or a claim that contradicts itself; see [`Run::result`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, StatementError> {
        let subject = |subject: &Subject| {
            let digest = Json::object([("sha256", Json::text(subject.sha256.to_string()))]);
            Json::object([("digest", digest), ("name", Json::text(&subject.name))])
        };
        let json = Json::object([
            ("_type", Json::text(TYPE)),
            ("predicate", self.predicate.to_json()),
            ("predicateType", Json::text(self.predicate.type_uri())),
            ("subject", Json::List(self.subjects.iter().map(subject).collect())),
        ]);
        let bytes = json.to_string().into_bytes();
        Self::parse(&bytes)?;
        Ok(bytes)
    }

    /// An envelope around it, still without signatures.
    ///
    /// # Errors
    /// Those of [`to_bytes`](Self::to_bytes).
    pub fn to_envelope(&self) -> Result<Envelope, StatementError> {
        Ok(Envelope::new(STATEMENT_TYPE, self.to_bytes()?))
    }

    /// Reads a statement. Only canonical bytes are accepted. Fields that are not known are ignored, as in-toto demands;
    /// kinds of predicate that are not known are not.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > BYTES_MAX {
            return Err(Malformed::at_byte(FORMAT, BYTES_MAX, "too long").into());
        }
        let mut fields = Fields::of(FORMAT, "", Json::parse_canonical(bytes)?)?;
        fields.expect("_type", TYPE, "not an in-toto Statement v1")?;
        let mut subjects = Vec::new();
        for value in fields.list("subject")? {
            let mut subject = Fields::of(FORMAT, "subject", value)?;
            let sha256 = subject.object("digest")?.digest("sha256")?;
            subjects.push(Subject { name: subject.text("name")?, sha256 });
        }
        if subjects.is_empty() {
            return Err(fields.fault("subject", "none").into());
        }
        let type_uri = fields.text("predicateType")?;
        let predicate = fields.object("predicate")?;
        let predicate = match type_uri.as_str() {
            Backup::TYPE => Predicate::Backup(Backup::from_fields(predicate)?),
            Verification::TYPE => Predicate::Verification(Verification::from_fields(predicate)?),
            _ => return Err(StatementError::UnknownPredicate { type_uri }),
        };
        Ok(Self { subjects, predicate })
    }

    /// What every certificate says.
    #[must_use]
    pub const fn run(&self) -> &Run {
        match &self.predicate {
            Predicate::Backup(backup) => &backup.run,
            Predicate::Verification(verification) => &verification.run,
        }
    }
}

/// Why bytes are no statement of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// They are none, or contradict themselves.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It says something that this version does not understand.
    #[error("statements of type `{type_uri}` are not known")]
    UnknownPredicate {
        /// The type.
        type_uri: String,
    },
}
