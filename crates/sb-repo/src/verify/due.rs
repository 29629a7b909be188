//! Reading in full, over several nights, what has not been read for long.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{VerifyLevel, VerifyReport, each, objects};
use crate::chunks::ChunkReader;
use crate::clock::{Counter, Progress};
use crate::error::{Flaw, RepoError};
use crate::ids::PackId;
use crate::locator::{Locator, Scope};
use crate::name::ParsedName;
use crate::object::check_object;
use crate::state::Depth;
use crate::tree::{Redactions, TreeReader};
use crate::vault::Vault;

/// So many packs are read between two looks at the clock.
const AT_ONCE: usize = 8;

/// What is due, and for how long it may be read.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// How deep to look: [`VerifyLevel::Objects`] or [`VerifyLevel::Data`].
    pub level: VerifyLevel,
    /// Packs that this machine has not read that deep since then are due.
    pub before: DateTime<Utc>,
    /// No pack is begun after that.
    pub until: Option<DateTime<Utc>>,
}

/// What was read of what is due.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DueReport {
    /// What was found. Packs that are not due were not read; everything else was, but for documents.
    pub report: VerifyReport,
    /// Packs that were due.
    pub due: u64,
    /// Packs among them that were read.
    pub read: u64,
    /// Since when every pack has been read that deep; `None` if one never was.
    pub all_read_since: Option<DateTime<Utc>>,
}

impl DueReport {
    /// Packs that are still due.
    pub fn left(&self) -> u64 {
        self.due - self.read
    }
}

impl Vault {
    /// Verifies everything but packs, and of these those that are due, what was read longest ago first. What was read is remembered
    /// by this machine, also if the run is cut short.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_due(&self, due: Due, progress: Progress<'_>) -> Result<DueReport, RepoError> {
        let (depth, state) = (depth(due.level), &self.around.state);
        let ledger = state.ledger(self.around.clock.now());
        let packs = self.view.live.iter().filter_map(|(name, recorded)| Some((pack_of(name)?, name, recorded.size)));
        let mut packs: Vec<_> =
            packs.map(|(pack, name, size)| (ledger.get(&(pack, depth)).copied(), pack, name, size)).collect();
        packs.sort_unstable();
        let is_due = |read: &Option<DateTime<Utc>>| read.is_none_or(|read| read < due.before);
        let count = packs.partition_point(|(read, ..)| is_due(read));
        let skipped: BTreeSet<&str> = packs.iter().map(|(_, _, name, _)| *name).collect();
        let behind = packs[..count].iter().map(|(.., size)| size).sum();
        let mut report = objects::verify_but(&self.view, &skipped, behind, progress)?;
        self.remember_logs(&report.log_ends)?;
        report.level = due.level;

        let keys = if depth == Depth::Data { Some(self.keys()?) } else { None };
        let deep = keys
            .map(|keys| Locator::load(&self.around, &self.view, keys, progress.monitor, Scope::Checking))
            .transpose()?;
        let chunks = keys.map(|keys| ChunkReader::new(&self.view, keys, &self.finder));
        let redactions = Redactions::default();
        let mut read = 0;
        for some in packs[..count].chunks(AT_ONCE) {
            let now = self.around.clock.now();
            if due.until.is_some_and(|until| now >= until) {
                break;
            }
            let flaws = each(some, |(_, _, name, size)| {
                progress.check()?;
                let deep = deep.as_ref().zip(chunks.as_ref());
                let reader = deep.map(|(locator, chunks)| TreeReader { chunks, locator, redactions: &redactions });
                let flaws = self.read_pack(name, reader, progress)?;
                progress.monitor.count(Counter::Bytes, *size);
                Ok(flaws)
            })?;
            let mut good = Vec::new();
            for ((_, pack, name, size), flaws) in some.iter().zip(flaws) {
                (report.objects, report.bytes, read) = (report.objects + 1, report.bytes + size, read + 1);
                match flaws.into_iter().next() {
                    Some(flaw) => drop(report.find(name, flaw)),
                    None => good.push((*pack, depth)),
                }
            }
            // Who can't remember it reads it again sooner.
            let _ = state.enter_read(&good, now);
        }
        self.name_documents(&mut report, deep, progress)?;
        let ledger = state.ledger(self.around.clock.now());
        let times: Option<Vec<_>> = packs.iter().map(|(_, pack, ..)| ledger.get(&(*pack, depth)).copied()).collect();
        let all_read_since = times.and_then(|times| times.into_iter().min());
        Ok(DueReport { report, due: count as u64, read, all_read_since })
    }

    /// What is wrong with a pack: as an object, and with what is in it if that is asked for.
    fn read_pack(
        &self,
        name: &str,
        reader: Option<TreeReader<'_>>,
        progress: Progress<'_>,
    ) -> Result<Vec<Flaw>, RepoError> {
        let parsed = ParsedName::parse(name).expect("a pack of the live set");
        if let Err(flaw) = check_object(&self.view, &parsed, name) {
            return Ok(vec![flaw]);
        }
        let Some(reader) = reader else { return Ok(Vec::new()) };
        let silent = Progress { monitor: &crate::clock::Silent, ..progress };
        Ok(self.verify_pack(name, reader, silent)?.into_iter().map(|(_, flaw)| flaw).collect())
    }

    /// Names the documents that what was found touches, if this user can.
    fn name_documents(
        &self,
        report: &mut VerifyReport,
        locator: Option<Locator>,
        progress: Progress<'_>,
    ) -> Result<(), RepoError> {
        if report.is_good() || !self.reads_meta() {
            return Ok(());
        }
        let locator = match locator {
            Some(locator) => locator,
            None => Locator::load(&self.around, &self.view, self.keys()?, progress.monitor, Scope::Checking)?,
        };
        let chunks = ChunkReader::new(&self.view, self.keys()?, &self.finder);
        let redactions = Redactions::load(&self.view, self.keys()?).unwrap_or_default();
        let reader = TreeReader { chunks: &chunks, locator: &locator, redactions: &redactions };
        let bad = self.suspects(reader, report);
        let level = std::mem::replace(&mut report.level, VerifyLevel::Objects);
        let told = self.verify_documents(reader, &bad, report, &false.into(), progress);
        report.level = level;
        told
    }

    /// Remembers which packs were read in full since then, and nothing was wrong with.
    pub(super) fn enter_verified(&self, report: &VerifyReport, started: DateTime<Utc>) {
        let packs = self.view.live.iter().filter(|(name, _)| !report.places.contains_key(*name));
        let packs = packs.filter_map(|(name, _)| Some((pack_of(name)?, depth(report.level))));
        // Who can't remember it reads it again sooner.
        let _ = self.around.state.enter_read(&packs.collect::<Vec<_>>(), started);
    }
}

fn depth(level: VerifyLevel) -> Depth {
    if level == VerifyLevel::Objects { Depth::Objects } else { Depth::Data }
}

fn pack_of(name: &str) -> Option<PackId> {
    PackId::from_hex(name.strip_prefix("packs/")?.get(3..)?)
}
