//! What every certificate says of the run it is of.

use chrono::{DateTime, Utc};
use sb_crypto::{Digest, VerifyingKey};

use crate::fields::Fields;
use crate::json::Json;
use crate::lines::hash_text;
use crate::malformed::Malformed;
use crate::time;
use crate::tree::TreeHead;

const TREE_ALGORITHM: &str = "rfc6962-sha256";

/// A run that is certified: which, by whom, when, with what result, and what the certificate does not prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The certificate's id.
    pub certificate_id: String,
    /// Who issues it, such as the firm's domain.
    pub issuer: String,
    /// How it ended.
    pub result: RunResult,
    /// When it began, as the machine's clock says. Written to the second, like all times here.
    pub started: DateTime<Utc>,
    /// When it ended. Not before it began.
    pub finished: DateTime<Utc>,
    /// The tree over all documents of the snapshot; `None` where several were checked, or none was gone through.
    pub document_tree: Option<DocumentTree>,
    /// Where the log was when the run began.
    pub log: LogHead,
    /// What is known of the clock.
    pub clock: ClockEvidence,
    /// The program.
    pub tool: Tool,
    /// What the certificate does **not** prove, in sentences; at least one.
    pub limits: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunResult {
    /// All that was to be done was done, and nothing was wrong.
    Passed,
    /// Some of it could not be done; nothing of what was done is wrong.
    Partial,
    /// Something is wrong. There are no certificates of backups that failed.
    Failed,
}

impl RunResult {
    const ALL: [Self; 3] = [Self::Passed, Self::Partial, Self::Failed];

    /// As it is written: `PASSED`, `PARTIAL`, `FAILED`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Partial => "PARTIAL",
            Self::Failed => "FAILED",
        }
    }
}

/// The RFC 6962 tree over the documents of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentTree {
    /// How many documents.
    pub size: u64,
    /// The root over their leaves.
    pub root: Digest,
}

/// A log and how far it had got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// The log's origin.
    pub origin: String,
    /// Its size and root.
    pub head: TreeHead,
}

/// What is known of the clock that the times come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockEvidence {
    /// What sets the clock, such as `ntp+monotonic`.
    pub source: String,
    /// How far it may be off, in milliseconds, where that is known.
    pub max_skew_ms: Option<u64>,
    /// How often it was found set back.
    pub rollbacks: u64,
    /// The newest time that somebody else has signed, if anybody has.
    pub anchor: Option<Anchor>,
}

/// A time that somebody else has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// What kind of signature it is.
    pub kind: AnchorKind,
    /// Who signed it: the name of a witness or of an authority.
    pub by: String,
    /// The time.
    pub time: DateTime<Utc>,
}

/// What kind of signature vouches for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnchorKind {
    /// The cosignature of a witness.
    Witness,
    /// A time-stamp token (RFC 3161).
    TimeStamp,
}

impl AnchorKind {
    const ALL: [Self; 2] = [Self::Witness, Self::TimeStamp];

    /// As it is written: `cosignature/v1`, `rfc3161`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Witness => "cosignature/v1",
            Self::TimeStamp => "rfc3161",
        }
    }
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Run {
    /// These facts with those of one kind of certificate.
    pub(super) fn to_json<const N: usize>(&self, others: [(&str, Json); N]) -> Json {
        let mut json = Json::object([
            ("certificateId", Json::text(&self.certificate_id)),
            ("clock", self.clock.to_json()),
            ("finishedAt", Json::text(time::seconds(&self.finished))),
            ("issuer", Json::text(&self.issuer)),
            ("limits", Json::List(self.limits.iter().map(Json::text).collect())),
            ("log", self.log.to_json()),
            ("result", Json::text(self.result.as_str())),
            ("startedAt", Json::text(time::seconds(&self.started))),
            ("tool", self.tool.to_json()),
        ]);
        json = json.with("documentTree", self.document_tree.map(DocumentTree::to_json));
        for (key, value) in others {
            json = json.with(key, Some(value));
        }
        json
    }

    pub(super) fn from_fields(fields: &mut Fields) -> Result<Self, Malformed> {
        let result = fields.text("result")?;
        let result = RunResult::ALL.into_iter().find(|known| known.as_str() == result);
        let run = Self {
            certificate_id: fields.text("certificateId")?,
            issuer: fields.text("issuer")?,
            result: result.ok_or_else(|| fields.fault("result", "unknown"))?,
            started: fields.seconds("startedAt")?,
            finished: fields.seconds("finishedAt")?,
            document_tree: fields.optional_object("documentTree")?.map(DocumentTree::from_fields).transpose()?,
            log: LogHead::from_fields(fields.object("log")?)?,
            clock: ClockEvidence::from_fields(fields.object("clock")?)?,
            tool: Tool::from_fields(fields.object("tool")?)?,
            limits: fields.texts("limits")?,
        };
        if run.finished < run.started {
            return Err(fields.fault("finishedAt", "before `startedAt`"));
        }
        if run.limits.is_empty() {
            return Err(fields.fault("limits", "none: no certificate proves everything"));
        }
        Ok(run)
    }
}

impl DocumentTree {
    fn to_json(self) -> Json {
        Json::object([
            ("alg", Json::text(TREE_ALGORITHM)),
            ("root", Json::text(hash_text(&self.root))),
            ("size", Json::Integer(self.size)),
        ])
    }

    fn from_fields(mut fields: Fields) -> Result<Self, Malformed> {
        fields.expect("alg", TREE_ALGORITHM, "not `rfc6962-sha256`")?;
        Ok(Self { size: fields.number("size")?, root: fields.hash("root")? })
    }
}

impl LogHead {
    fn to_json(&self) -> Json {
        Json::object([
            ("origin", Json::text(&self.origin)),
            ("root", Json::text(hash_text(&self.head.root))),
            ("size", Json::Integer(self.head.size)),
        ])
    }

    fn from_fields(mut fields: Fields) -> Result<Self, Malformed> {
        let head = TreeHead { size: fields.number("size")?, root: fields.hash("root")? };
        Ok(Self { origin: fields.text("origin")?, head })
    }
}

impl ClockEvidence {
    fn to_json(&self) -> Json {
        let anchor = |anchor: &Anchor| {
            Json::object([
                ("at", Json::text(time::seconds(&anchor.time))),
                ("by", Json::text(&anchor.by)),
                ("kind", Json::text(anchor.kind.as_str())),
            ])
        };
        Json::object([("rollbacks", Json::Integer(self.rollbacks)), ("source", Json::text(&self.source))])
            .with("anchor", self.anchor.as_ref().map(anchor))
            .with("maxSkewMs", self.max_skew_ms.map(Json::Integer))
    }

    fn from_fields(mut fields: Fields) -> Result<Self, Malformed> {
        let anchor = match fields.optional_object("anchor")? {
            None => None,
            Some(mut anchor) => {
                let kind = anchor.text("kind")?;
                let kind = AnchorKind::ALL.into_iter().find(|known| known.as_str() == kind);
                let kind = kind.ok_or_else(|| anchor.fault("kind", "unknown"))?;
                Some(Anchor { kind, by: anchor.text("by")?, time: anchor.seconds("at")? })
            }
        };
        Ok(Self {
            source: fields.text("source")?,
            max_skew_ms: fields.optional_number("maxSkewMs")?,
            rollbacks: fields.number("rollbacks")?,
            anchor,
        })
    }
}

impl Tool {
    fn to_json(&self) -> Json {
        Json::object([("name", Json::text(&self.name)), ("version", Json::text(&self.version))])
    }

    fn from_fields(mut fields: Fields) -> Result<Self, Malformed> {
        Ok(Self { name: fields.text("name")?, version: fields.text("version")? })
    }
}

/// A public key in hexadecimal, for what names a machine by its log key.
pub(super) fn key_text(key: &VerifyingKey) -> String {
    Digest::from_bytes(*key.as_bytes()).to_string()
}
