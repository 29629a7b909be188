//! Whether what can be made anew is as it should be: this machine's memory and the locator.

use std::collections::BTreeSet;

use sb_store::ObjectName;

use crate::clock::{Counter, Progress};
use crate::error::RepoError;
use crate::ids::PackId;
use crate::live::names_in;
use crate::locator::{entries_of, read_locator};
use crate::name::{self, ParsedName};
use crate::pack::read_pack_footer;
use crate::vault::Vault;
use crate::wire::locator::{LocatorEntry, PackPlaces};

/// Something that is not as it should be. Unless it says otherwise, rebuilding mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Doubt {
    /// The log key can't be read.
    #[error("this machine's log key cannot be read: {why}")]
    LogKey {
        /// Why.
        why: String,
    },
    /// The vault lacks what this machine has seen in it. Rebuilding mends it only if that is accepted.
    #[error("{0}")]
    RolledBack(String),
    /// Journals are damaged. Rebuilding does not mend them.
    #[error("{0} journal entries are damaged or missing")]
    Journals(usize),
    /// A locator object can't be read.
    #[error("`{object}` cannot be read: {why}")]
    Unreadable {
        /// The object.
        object: String,
        /// Why.
        why: String,
    },
    /// A locator object says something else of a pack than the pack's own footer.
    #[error("`{object}` disagrees with `{pack}`: {missing} chunks missing, {surplus} not in the pack, segments {}", said(*segments))]
    Disagrees {
        /// The locator object.
        object: String,
        /// The pack.
        pack: String,
        /// Chunks of the pack that it lacks.
        missing: u64,
        /// Entries that fit no chunk of the pack.
        surplus: u64,
        /// True if it has the pack's size, key and segments right.
        segments: bool,
    },
    /// A pack's footer can't be read. Rebuilding keeps what the locator says of it.
    #[error("the index in `{pack}` cannot be read: {why}")]
    Footer {
        /// The pack.
        pack: String,
        /// Why.
        why: String,
    },
    /// No locator object has the pack, so its footer is read by every command.
    #[error("`{0}` is in no locator object")]
    Unindexed(String),
}

fn said(right: bool) -> &'static str {
    if right { "right" } else { "wrong" }
}

/// What was compared, and what is wrong.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct IndexReport {
    /// Locator objects read.
    pub increments: u64,
    /// Packs they describe.
    pub packs: u64,
    /// Entries compared with the packs' own.
    pub chunks: u64,
    /// Packs that they describe and that are not there any more, which is no fault.
    pub stale: u64,
    /// True if this machine has no log key that the vault knows: the next run that writes enrols it.
    pub stranger: bool,
    /// What is wrong.
    pub doubts: Vec<Doubt>,
}

impl IndexReport {
    /// True if nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.doubts.is_empty()
    }
}

impl Vault {
    /// Compares what this machine remembers with the vault, and the locator with the footers of all packs. Writes nothing.
    ///
    /// # Errors
    /// [`RepoError::Interrupted`], and storage that fails other than by damage.
    pub fn check_index(&self, progress: Progress<'_>) -> Result<IndexReport, RepoError> {
        let mut report = IndexReport::default();
        self.check_memory(&mut report);
        let mut indexed = BTreeSet::new();
        for object in names_in(&self.view.listing, "locator/").filter(|name| self.view.live.is_readable(name)) {
            progress.check()?;
            match read_locator(&*self.view.storage, &ObjectName::new(object)?, self.keys()?) {
                Ok((packs, entries)) => {
                    report.increments += 1;
                    self.check_increment(object, &packs, &entries, &mut indexed, &mut report, progress)?;
                }
                Err(error) => {
                    report.doubts.push(Doubt::Unreadable { object: object.to_owned(), why: error.to_string() });
                }
            }
            progress.monitor.count(Counter::Objects, 1);
        }
        let recorded = self.view.live.iter().map(|(name, _)| name).filter(|name| name.starts_with("locator/"));
        let missing = recorded.filter(|name| !self.view.listing.contains_key(*name));
        report
            .doubts
            .extend(missing.map(|name| Doubt::Unreadable { object: name.to_owned(), why: "missing".to_owned() }));
        for pack in names_in(&self.view.listing, "packs/").filter(|name| self.view.live.is_readable(name)) {
            let id = ParsedName::parse(pack).and_then(|parsed| PackId::from_hex(&parsed.hash));
            if id.is_some_and(|id| !indexed.contains(&id)) {
                report.doubts.push(Doubt::Unindexed(pack.to_owned()));
            }
        }
        Ok(report)
    }

    fn check_memory(&self, report: &mut IndexReport) {
        match self.around.state.log_key() {
            Ok(key) => report.stranger = key.is_none_or(|key| !self.knows_writer(&key)),
            Err(error) => {
                let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                report.doubts.push(Doubt::LogKey { why });
            }
        }
        match self.check_heads() {
            Err(error) => report.doubts.push(Doubt::RolledBack(error.to_string())),
            Ok(()) => match self.view.journal_flaws() {
                0 => {}
                flaws => report.doubts.push(Doubt::Journals(flaws)),
            },
        }
    }

    fn check_increment(
        &self,
        object: &str,
        packs: &[PackPlaces],
        entries: &[LocatorEntry],
        indexed: &mut BTreeSet<PackId>,
        report: &mut IndexReport,
        progress: Progress<'_>,
    ) -> Result<(), RepoError> {
        let mut by_pack: Vec<BTreeSet<LocatorEntry>> = vec![BTreeSet::new(); packs.len()];
        for entry in entries {
            by_pack[entry.pack() as usize].insert(*entry);
        }
        for (ordinal, (pack, found)) in (0..).zip(packs.iter().zip(by_pack)) {
            progress.check()?;
            let name = name::pack(&pack.id);
            let is_there = self.view.listing.contains_key(name.as_str()) && self.view.live.is_readable(name.as_str());
            if !is_there {
                report.stale += 1;
                continue;
            }
            indexed.insert(pack.id);
            report.packs += 1;
            let (places, footer) = match read_pack_footer(&*self.view.storage, &name, pack.id, self.keys()?) {
                Ok(read) => read,
                Err(error) => {
                    report.doubts.push(Doubt::Footer { pack: name.to_string(), why: error.to_string() });
                    continue;
                }
            };
            let right: BTreeSet<LocatorEntry> = entries_of(&footer, ordinal).collect();
            report.chunks += right.len() as u64;
            let (missing, surplus) = (right.difference(&found).count() as u64, found.difference(&right).count() as u64);
            if missing + surplus > 0 || places != *pack {
                let segments = places == *pack;
                let (object, pack) = (object.to_owned(), name.to_string());
                report.doubts.push(Doubt::Disagrees { object, pack, missing, surplus, segments });
            }
        }
        Ok(())
    }
}
