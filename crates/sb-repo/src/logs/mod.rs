//! The audit logs of the machines that write to a vault, filed in it (docs/format.md §15).
//!
//! Each machine has a log of its own, so that no two need a lock, and signs it with its log key. What an entry says is
//! [`sb_audit`]'s, how a log is stored and found is decided here. Journals do not list batches: a log is a chain of its own, and
//! nothing ever removes a part of it.

mod anchors;
mod append;
mod claims;
mod read;
mod unlogged;

pub use anchors::{FiledCheckpoint, FiledCheckpoints};
pub(crate) use append::OwnLog;
#[cfg(feature = "testing")]
pub(crate) use append::signer;
pub use append::{LogPosition, log_unopened};
pub(crate) use read::{losses, read_logs};
pub use unlogged::Unlogged;

use std::collections::BTreeMap;

use sb_audit::{Batch, Entry, SignatureType, TreeHead, VerifierKey};
use sb_crypto::{Digest, VerifyingKey};

use crate::clock::Progress;
use crate::error::{Flaw, RepoError};
use crate::ids::{KeyId, VaultId};
use crate::live::names_in;
use crate::name::{ObjectKind, ParsedName, Stem};
use crate::trust::key_id;
use crate::vault::Vault;
use crate::view::View;
use read::{LogReader, is_damage, since_listed};

/// Where a log ended when it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogEnd {
    pub(crate) head: TreeHead,
    /// The number of the first entry of the newest batch.
    pub(crate) first: u64,
    /// The SHA-256 of that batch.
    pub(crate) digest: Digest,
}

impl LogEnd {
    /// The name of the newest batch.
    pub(crate) fn object(&self, writer: KeyId) -> String {
        Stem::log(writer, self.first).name(&self.digest).to_string()
    }
}

/// All audit logs of a vault, as they are stored.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Logs {
    /// What they say, by the times in the entries. Entries of a fork that two branches share stand there once.
    pub entries: Vec<LogEntry>,
    /// What is wrong with them, or should be known, by writer.
    pub findings: Vec<LogFinding>,
    /// Where each of them ends; a forked one, where its longest branch does.
    pub heads: BTreeMap<KeyId, TreeHead>,
}

/// An entry of one log; its number in that is `entry.seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Whose log.
    pub writer: KeyId,
    /// What it says.
    pub entry: Entry,
}

/// Something about a log that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFinding {
    /// Whose log.
    pub writer: KeyId,
    /// The batch, without its hash where the batch is missing and the hash is not known.
    pub object: String,
    /// What is wrong with it.
    pub flaw: Flaw,
}

impl LogFinding {
    /// True if the log is not as it was written. Otherwise the log is whole, and what it says is odd: an intent without outcome, an
    /// outcome without intent, a clock that was set back.
    pub fn is_damage(&self) -> bool {
        use sb_audit::Finding::{OpenIntent, TimeWentBack, UnknownIntent};
        let is_odd = |finding: &_| matches!(finding, OpenIntent { .. } | UnknownIntent { .. } | TimeWentBack { .. });
        !matches!(&self.flaw, Flaw::Log(finding) if is_odd(&**finding))
    }

    /// True if this is why the log is not as others have seen it, so that nothing more can be said of that. Neither what is odd nor
    /// what anybody may have put beside the log explains anything, and what is damaged before the log's end not that it is shorter.
    fn explains(&self, other: &sb_audit::Finding) -> bool {
        use sb_audit::Finding::{Rewritten, RolledBack};
        let is_its_own = matches!(self.flaw, Flaw::Log(_)) || is_damage(&self.flaw);
        let is_the_same =
            || matches!(&self.flaw, Flaw::Log(found) if matches!(**found, RolledBack { .. } | Rewritten { .. }));
        let begins = || ParsedName::parse(&self.object).map(|parsed| parsed.stem.generation());
        match other {
            RolledBack { size, .. } => is_its_own && self.is_damage() && (is_the_same() || begins() >= Some(*size)),
            _ => is_its_own && self.is_damage(),
        }
    }
}

/// The key of a writer's log under its name, which is the log's origin: unique, for both ids are, and nothing else that is signed
/// begins like it.
fn verifier(vault: VaultId, key: VerifyingKey) -> VerifierKey {
    let origin = format!("sbv1/log/{vault}/{}", key_id(&key));
    VerifierKey::new(&origin, SignatureType::Note, key).expect("letters, digits and slashes")
}

impl View {
    /// The key that this writer's log is signed with; `None` if no good certificate vouches for the writer. Its name is the log's
    /// origin.
    pub fn log_key(&self, writer: KeyId) -> Option<VerifierKey> {
        self.trust.writers.get(&writer).map(|writer| verifier(self.id(), writer.key))
    }

    /// Reads all audit logs, and compares them with what this machine remembers of them.
    ///
    /// # Errors
    /// [`RepoError::Interrupted`]. Damage is among the findings.
    pub fn logs(&self, progress: Progress<'_>) -> Result<Logs, RepoError> {
        Ok(self.logs_and_ends(progress)?.0)
    }

    fn logs_and_ends(&self, progress: Progress<'_>) -> Result<(Logs, BTreeMap<KeyId, LogEnd>), RepoError> {
        let (mut logs, mut ends) = (Logs::default(), BTreeMap::new());
        for log in read_logs(self, true, progress)? {
            let writer = log.writer;
            logs.entries.extend(log.entries.into_iter().map(|entry| LogEntry { writer, entry }));
            logs.findings.extend(log.findings);
            logs.heads.extend(log.newest.map(|end| (writer, end.head)));
            ends.extend(log.end.map(|end| (writer, end)));
        }
        logs.entries.sort_by_key(|LogEntry { writer, entry }| (entry.event.time, *writer, entry.seq));
        Ok((logs, ends))
    }

    /// The batch with this entry of a log: what a proof that the entry is in the log is made of. `None` if no good one has it; of a
    /// forked log, one of those that do.
    pub fn log_batch(&self, writer: KeyId, seq: u64) -> Option<Batch> {
        newest_first(self, writer, seq).find_map(|(name, parsed)| {
            let batch = LogReader::new(self, writer, None, &[], 0).read(name, &parsed)?;
            (batch.tip().size() > seq).then_some(batch)
        })
    }
}

impl Vault {
    /// Reads all audit logs, compares them with what this machine remembers of them, and remembers where they end now. A log that is
    /// not as it was seen before is remembered as it was.
    ///
    /// # Errors
    /// [`RepoError::Interrupted`], and errors of the storage. Damage is among the findings.
    pub fn logs(&self, progress: Progress<'_>) -> Result<Logs, RepoError> {
        let (logs, ends) = self.view.logs_and_ends(progress)?;
        self.remember_logs(&ends)?;
        Ok(logs)
    }

    /// Reads what has come to the logs since this machine saw them last (of a log that is new to it, the newest batch) and remembers
    /// where they end: whoever takes that away later is found out. Cheap enough for the beginning of whatever is done with a vault.
    ///
    /// # Errors
    /// Errors of the storage. What is damaged is not remembered, and for [`logs`](Self::logs) to name.
    pub fn heed_logs(&mut self) -> Result<(), RepoError> {
        let mut ends = BTreeMap::new();
        for (writer, batches) in by_writer(&self.view) {
            let end = match self.view.remembered.logs.get(&writer) {
                Some(known) => self.end_since(writer, &batches, *known),
                None => batches.iter().rev().find_map(|(name, parsed)| {
                    let mut reader = LogReader::new(&self.view, writer, None, &[], parsed.stem.generation());
                    reader.read(name, parsed);
                    reader.finish().newest
                }),
            };
            ends.extend(end.map(|end| (writer, end)));
        }
        self.remember_logs(&ends)?;
        // What is compared with from here on is what is remembered now, by whichever process.
        if let Ok(remembered) = self.around.state.remembered() {
            self.view.remembered.logs = remembered.logs;
        }
        Ok(())
    }

    /// Where a log ends that goes on from `known`; `None` if there is nothing new, or something is wrong with it.
    fn end_since(&self, writer: KeyId, batches: &[(String, ParsedName)], known: LogEnd) -> Option<LogEnd> {
        let object = known.object(writer);
        if batches.last().is_none_or(|(name, _)| *name == object) {
            return None;
        }
        let mut reader = LogReader::new(&self.view, writer, Some(known), &[], known.first);
        for (name, parsed) in batches.iter().filter(|(_, parsed)| parsed.stem.generation() >= known.first) {
            reader.read(name, parsed);
        }
        reader.finish().end
    }

    /// Remembers that these logs ended here, as seen beside what was remembered when the vault was looked at. What another process
    /// remembers since then stays: nobody has compared the two.
    pub(crate) fn remember_logs(&self, ends: &BTreeMap<KeyId, LogEnd>) -> Result<(), RepoError> {
        let seen = &self.view.remembered.logs;
        let longer =
            |(writer, end): &(&KeyId, &LogEnd)| seen.get(writer).is_none_or(|known| known.head.size < end.head.size);
        let news: Vec<_> = ends.iter().filter(longer).map(|(writer, end)| (*writer, *end)).collect();
        if news.is_empty() {
            return Ok(());
        }
        self.make_durable()?;
        let kept = self.around.state.lock_journal().and_then(|_locked| {
            let mut remembered = self.around.state.remembered()?;
            let unchanged = |writer: &KeyId| remembered.logs.get(writer) == seen.get(writer);
            let news: Vec<_> = news.into_iter().filter(|(writer, _)| unchanged(writer)).collect();
            remembered.logs.extend(news);
            self.around.state.remember(&remembered)
        });
        match kept {
            // Reading needs no memory.
            Ok(()) | Err(RepoError::State { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Forgets the ends of logs that are not there any more, after a rollback that the user knows of. Whose logs these are.
    pub(crate) fn accept_logs(&mut self) -> Result<Vec<KeyId>, RepoError> {
        let _locked = self.around.state.lock_journal()?;
        let mut remembered = self.around.state.remembered()?;
        let is_there = |(writer, end): (&KeyId, &LogEnd)| {
            let since = since_listed(&self.view, *writer, Some(*end));
            since.is_none_or(|since| since.iter().any(|(name, _)| *name == end.object(*writer)))
        };
        let gone: Vec<KeyId> =
            remembered.logs.iter().filter(|log| !is_there(*log)).map(|(writer, _)| *writer).collect();
        if !gone.is_empty() {
            remembered.logs.retain(|writer, _| !gone.contains(writer));
            self.around.state.remember(&remembered)?;
            self.view.remembered.logs = remembered.logs;
        }
        Ok(gone)
    }
}

/// The batches of each log by their names, which is the order of the log; also of logs that are remembered and gone.
fn by_writer(view: &View) -> BTreeMap<KeyId, Vec<(String, ParsedName)>> {
    let mut logs: BTreeMap<KeyId, Vec<(String, ParsedName)>> =
        view.remembered.logs.keys().map(|writer| (*writer, Vec::new())).collect();
    for (name, parsed) in batches_in(names_in(&view.listing, "log/").map(str::to_owned)) {
        let writer = parsed.stem.writer().expect("a batch is in its writer's folder");
        logs.entry(writer).or_default().push((name, parsed));
    }
    logs
}

/// The batches of a log that begin with this entry or before it, the newest first.
fn newest_first(view: &View, writer: KeyId, up_to: u64) -> impl Iterator<Item = (&str, ParsedName)> {
    let folder = format!("log/{writer}/");
    // What follows the number is a dot and hexadecimal digits.
    let end = format!("{folder}{up_to:010}.g");
    let names = view.listing.range(folder..end).rev().map(|(name, _)| name.as_str());
    names.filter_map(|name| Some((name, ParsedName::parse(name).filter(|parsed| parsed.kind == ObjectKind::Log)?)))
}

/// The log batches among these names.
fn batches_in<N: AsRef<str>>(names: impl Iterator<Item = N>) -> Vec<(N, ParsedName)> {
    let parsed = names.filter_map(|name| ParsedName::parse(name.as_ref()).map(|parsed| (name, parsed)));
    parsed.filter(|(_, parsed)| parsed.kind == ObjectKind::Log).collect()
}
