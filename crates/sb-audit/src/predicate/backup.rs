//! `backup/v1`: a backup was made.

use chrono::{DateTime, Utc};
use sb_crypto::{Digest, VerifyingKey};

use super::run::{Run, RunResult, key_text};
use crate::fields::Fields;
use crate::json::Json;
use crate::malformed::Malformed;
use crate::time;

/// A backup was made and everything it wrote was read back. `PARTIAL` means that some sources could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// What every certificate says. A backup that failed has no certificate.
    pub run: Run,
    /// What is in the snapshot.
    pub counts: BackupCounts,
    /// What this run wrote, all of it read back from the storage and hashed.
    pub written: Written,
    /// What was there before and is part of the snapshot.
    pub referenced: Referenced,
    /// The journal's newest entry, that of this run or the one before.
    pub journal: JournalHead,
    /// The SHA-256 of the vault's policy, where it has one.
    pub policy_sha256: Option<Digest>,
    /// The version of the vault's format.
    pub format_version: u64,
}

/// What is in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupCounts {
    /// How many documents.
    pub documents: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many sources could not be read.
    pub problems: u64,
}

/// Objects that a run has read from the storage in full, whose hashes are as they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// How many.
    pub objects: u64,
    /// How many bytes they have, as they are stored.
    pub bytes: u64,
}

/// Objects that a run found stored already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referenced {
    /// How many.
    pub objects: u64,
    /// How many bytes they have, as they are stored.
    pub bytes: u64,
    /// Since when each of them has been read in full at least once; `None` if one never was since it was written.
    pub read_in_full: Option<DateTime<Utc>>,
}

/// An entry of a journal, which commits to all objects of its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalHead {
    /// The writer's public key.
    pub writer: VerifyingKey,
    /// The entry's number.
    pub number: u64,
    /// The SHA-256 of its bytes as they are stored.
    pub sha256: Digest,
}

impl Written {
    pub(super) fn to_json(self) -> Json {
        Json::object([("bytes", Json::Integer(self.bytes)), ("objects", Json::Integer(self.objects))])
    }

    pub(super) fn from_fields(mut fields: Fields) -> Result<Self, Malformed> {
        Ok(Self { objects: fields.number("objects")?, bytes: fields.number("bytes")? })
    }
}

impl Backup {
    /// The URI of this kind of certificate.
    pub const TYPE: &str = "https://securebackup.example/attestation/backup/v1";

    pub(super) fn to_json(&self) -> Json {
        let counts = Json::object([
            ("bytes", Json::Integer(self.counts.bytes)),
            ("documents", Json::Integer(self.counts.documents)),
            ("problems", Json::Integer(self.counts.problems)),
        ]);
        let journal = Json::object([
            ("number", Json::Integer(self.journal.number)),
            ("sha256", Json::text(self.journal.sha256.to_string())),
            ("writer", Json::text(key_text(&self.journal.writer))),
        ]);
        let read = self.referenced.read_in_full.as_ref().map(|read| Json::text(time::seconds(read)));
        let referenced = Written { objects: self.referenced.objects, bytes: self.referenced.bytes };
        let json = self.run.to_json([
            ("counts", counts),
            ("formatVersion", Json::Integer(self.format_version)),
            ("journal", journal),
            ("referenced", referenced.to_json().with("readInFullSince", read)),
            ("written", self.written.to_json()),
        ]);
        json.with("policySha256", self.policy_sha256.map(|policy| Json::text(policy.to_string())))
    }

    pub(crate) fn from_fields(mut fields: Fields) -> Result<Self, Malformed> {
        let run = Run::from_fields(&mut fields)?;
        let mut counts = fields.object("counts")?;
        let counts = BackupCounts {
            documents: counts.number("documents")?,
            bytes: counts.number("bytes")?,
            problems: counts.number("problems")?,
        };
        match (run.result, counts.problems) {
            (RunResult::Passed, 0) | (RunResult::Partial, 1..) => {}
            _ => return Err(fields.fault("result", "not what the number of problems makes it")),
        }
        if run.document_tree.is_none_or(|tree| tree.size != counts.documents) {
            return Err(fields.fault("documentTree", "not a tree of as many documents as were counted"));
        }
        let written = Written::from_fields(fields.object("written")?)?;
        let mut referenced = fields.object("referenced")?;
        let mut journal = fields.object("journal")?;
        Ok(Self {
            run,
            counts,
            written,
            referenced: Referenced {
                objects: referenced.number("objects")?,
                bytes: referenced.number("bytes")?,
                read_in_full: referenced.optional_seconds("readInFullSince")?,
            },
            journal: JournalHead {
                writer: VerifyingKey::from_bytes(*journal.digest("writer")?.as_bytes()),
                number: journal.number("number")?,
                sha256: journal.digest("sha256")?,
            },
            policy_sha256: fields.optional_digest("policySha256")?,
            format_version: fields.number("formatVersion")?,
        })
    }
}
