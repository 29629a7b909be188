//! What the journal of this machine has, and its log does not tell of.

use chrono::{DateTime, Utc};
use sb_audit::JournalHead;
use sb_crypto::{Digest, SigningKey};

use super::anchors::LAST;
use super::read::LogReader;
use super::{claims, newest_first};
use crate::error::RepoError;
use crate::live::{names_in, read};
use crate::name::{ParsedName, Stem};
use crate::trust::key_id;
use crate::vault::Vault;
use crate::wire::journal::JournalEntry;

/// At most so many are told of: those of runs that were cut short between journal and log are few.
const UNLOGGED_MAX: usize = 64;

/// Something that was done and not logged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unlogged {
    /// What the journal calls it.
    pub operation: String,
    /// When it was entered.
    pub time: DateTime<Utc>,
    /// The entry.
    pub journal: JournalHead,
    /// SHA-256 of the certificates among what was added, which is in their names.
    pub certificates: Vec<Digest>,
    /// SHA-256 of the snapshots among what was added.
    pub snapshots: Vec<Digest>,
}

impl Vault {
    /// What this machine has entered into its journal since it last logged something: oldest first. Ask before logging.
    ///
    /// # Errors
    /// Errors of the state. A log or a journal that can't be read has nothing to tell here.
    pub fn unlogged(&self) -> Result<Vec<Unlogged>, RepoError> {
        let Some(key) = self.around.state.log_key()?.filter(|key| self.knows_writer(key)) else {
            return Ok(Vec::new());
        };
        let Some(head) = self.journal_head(&key) else { return Ok(Vec::new()) };
        let from = match self.last_logged(&key) {
            Some(number) => number + 1,
            None => 0,
        };
        let numbers = (from..=head.number).rev().take(UNLOGGED_MAX);
        let mut unlogged: Vec<_> = numbers.filter_map(|number| self.entered(&key, number, &head)).collect();
        unlogged.reverse();
        Ok(unlogged)
    }

    /// The number of the newest entry of this machine's journal that its log names.
    fn last_logged(&self, key: &SigningKey) -> Option<u64> {
        let writer = key_id(&key.public());
        newest_first(&self.view, writer, LAST).find_map(|(name, parsed)| {
            let batch = LogReader::new(&self.view, writer, None, &[], parsed.stem.generation()).read(name, &parsed)?;
            let named = batch.entries().iter().rev().find_map(|entry| entry.event.data.get(claims::JOURNAL));
            named.and_then(claims::journal).map(|(number, _)| number)
        })
    }

    fn entered(&self, key: &SigningKey, number: u64, head: &JournalHead) -> Option<Unlogged> {
        let stem = Stem::journal(key_id(&key.public()), number);
        let prefix = stem.signed_text();
        // What this process itself has entered is not listed.
        let name = match number == head.number {
            true => stem.name(&head.sha256).to_string(),
            false => names_in(&self.view.listing, &prefix).next()?.to_owned(),
        };
        let parsed = ParsedName::parse(&name)?;
        let bytes = read(&*self.view.storage, &name).ok()?;
        let frame = self.view.trust.check(&parsed, &bytes).ok()?;
        // A run that goes on will tell itself.
        if self.around.state.is_alive(frame.trailer.run).unwrap_or(false) {
            return None;
        }
        let entry = JournalEntry::decode(frame.body).ok()?;
        let of = |folder: &str| {
            let names = entry.added.iter().filter_map(|object| object.name.strip_prefix(folder));
            names.filter_map(|hash| hash.parse().ok()).collect()
        };
        Some(Unlogged {
            certificates: of("certificates/"),
            snapshots: of("snapshots/"),
            operation: entry.operation,
            time: entry.time,
            journal: JournalHead { writer: key.public(), number, sha256: parsed.hash.parse().ok()? },
        })
    }
}
