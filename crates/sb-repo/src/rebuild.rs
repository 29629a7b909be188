//! Making anew what can be made anew: the locator, out of the packs; this machine's memory, out of the vault.

use sb_store::ObjectName;

use crate::backup::Held;
use crate::clock::{Counter, Progress};
use crate::error::RepoError;
use crate::ids::{PackId, RunId};
use crate::live::names_in;
use crate::locator::{Locator, Scope, entries_of, write_locator};
use crate::logs::losses;
use crate::name::ParsedName;
use crate::pack::read_pack_footer;
use crate::trust::key_id;
use crate::vault::{Change, Vault};
use crate::wire::frame::Author;
use crate::wire::journal::Added;
use crate::wire::locator::{LocatorEntry, PackPlaces};

/// Packs in one increment of a rebuilt locator; bounds the memory it takes.
pub(crate) const PACKS_PER_LOCATOR: usize = 64;

/// What was made anew, and what could not be.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RebuildReport {
    /// Packs whose footers were read.
    pub packs: u64,
    /// Chunks in them.
    pub chunks: u64,
    /// Packs whose footers could not be read, and why; the old locator's entries for them were taken over.
    pub kept: Vec<(String, String)>,
    /// Packs whose footers could not be read, and why, that the old locator did not know either.
    pub lost: Vec<(String, String)>,
    /// Locator increments that the new ones replace.
    pub replaced: u64,
    /// True if this machine was a stranger to the vault, and has enrolled.
    pub enrolled: bool,
    /// True if remembered heads of journals or audit logs are not in the vault any more, and that was accepted.
    pub accepted: bool,
}

impl Vault {
    /// Writes the locator anew from the footers of all packs, and takes away the increments before. Enrols this machine if the
    /// vault does not know it. With `accept_rollback`, the vault is believed even where this machine remembers more than it
    /// has, and where whole journals are gone; what is whole and in no journal is taken over, tags too. Without, the first is an
    /// error.
    ///
    /// # Errors
    /// [`RepoError::RolledBack`], and errors of storage and state. Packs that can't be read are in the report.
    pub fn rebuild(&mut self, accept_rollback: bool, progress: Progress<'_>) -> Result<RebuildReport, RepoError> {
        self.refresh()?;
        let mut report = RebuildReport::default();
        match self.check_heads() {
            Err(RepoError::RolledBack { .. }) if accept_rollback => {
                self.accept_heads()?;
                // The chain of this machine's own journal is broken; a new name begins a new one.
                self.enrol()?;
                report.accepted = true;
                report.enrolled = true;
            }
            other => other?,
        }
        if accept_rollback {
            let own = self.around.state.log_key()?.map(|key| key_id(&key.public()));
            let gone = self.accept_logs()?;
            report.accepted |= !gone.is_empty();
            // Going on where the log ends now would fork it.
            if gone.iter().any(|writer| Some(*writer) == own) && !report.enrolled {
                self.enrol()?;
                report.enrolled = true;
            }
        }
        let known = self.around.state.log_key()?.map(|key| key.public());
        let writer = self.writer()?;
        report.enrolled |= known != Some(writer.public());
        if accept_rollback {
            self.accept_lost_entries(&writer, progress)?;
            let accepted = losses(&self.view, progress)?;
            if !accepted.is_empty() {
                report.accepted = true;
                let change = Change { operation: "accept", accepted, ..Change::default() };
                self.append(&writer, RunId::new([0; 8]), change)?;
            }
        }
        let run = RunId::random(&*self.around.random);
        let state = self.around.state.clone();
        let _alive = state.hold(run)?;
        let author = Author { key: &writer, run };
        // So that no collector takes for nobody's what this run is writing.
        let lease = Held::take(self, &author, None)?;
        let outcome = self.replace_locator(&author, &mut report, progress);
        lease.end(&self.around);
        outcome?;
        self.refresh()?;
        Ok(report)
    }

    fn replace_locator(
        &mut self,
        author: &Author<'_>,
        report: &mut RebuildReport,
        progress: Progress<'_>,
    ) -> Result<(), RepoError> {
        let change = self.rewrite_locator(author, report, progress)?;
        // Also what an earlier rebuild, cut short, had removed by the journal only; not what is in no journal.
        let live = &self.view.live;
        let old = names_in(&self.view.listing, "locator/").filter(|name| live.contains(name) || live.is_removed(name));
        let old: Vec<String> = old.map(str::to_owned).collect();
        if !change.added.is_empty() || !change.removed.is_empty() {
            self.append(author.key, author.run, change)?;
        }
        // Removed by the journal already; what stays for whatever reason is reported by verify.
        for name in old {
            let _ = self.around.storage.remove(&ObjectName::new(name)?);
        }
        Ok(())
    }

    fn rewrite_locator(
        &self,
        author: &Author<'_>,
        report: &mut RebuildReport,
        progress: Progress<'_>,
    ) -> Result<Change, RepoError> {
        let mut increments = Increments::new(self, author);
        let mut unreadable: Vec<(PackId, String, RepoError)> = Vec::new();
        for name in names_in(&self.view.listing, "packs/").filter(|name| self.view.live.is_readable(name)) {
            progress.check()?;
            let Some(id) = ParsedName::parse(name).and_then(|parsed| PackId::from_hex(&parsed.hash)) else { continue };
            match read_pack_footer(&*self.around.storage, &ObjectName::new(name)?, id, self.keys()?) {
                Ok((places, footer)) => {
                    report.packs += 1;
                    report.chunks += increments.add(places, |ordinal| entries_of(&footer, ordinal).collect())?;
                    progress.monitor.count(Counter::Objects, 1);
                }
                Err(error) => unreadable.push((id, name.to_owned(), error)),
            }
        }
        if !unreadable.is_empty() {
            // What the old increments say of them is all that still leads to their segments.
            let locator = Locator::load(&self.around, &self.view, self.keys()?, progress.monitor, Scope::Checking)?;
            for (id, name, error) in unreadable {
                let Some(old) = locator.ordinal(&id) else {
                    report.lost.push((name, error.to_string()));
                    continue;
                };
                let entries = locator.entries_in(old, old)?.into_iter();
                let renumbered = |new| entries.map(|entry| entry.with_pack(new)).collect();
                report.chunks += increments.add(locator.pack(old).clone(), renumbered)?;
                report.kept.push((name, error.to_string()));
            }
        }
        let added = increments.finish()?;
        // Those that are gone too: from here on nobody misses them.
        let old = self.view.live.iter().filter(|(name, _)| name.starts_with("locator/"));
        let removed: Vec<_> = old.map(|(name, recorded)| (name.to_owned(), recorded.size)).collect();
        report.replaced = removed.len() as u64;
        Ok(Change { operation: "rebuild", added, removed, ..Change::default() })
    }
}

/// Increments of the locator in the making.
pub(crate) struct Increments<'a> {
    vault: &'a Vault,
    author: &'a Author<'a>,
    added: Vec<Added>,
    packs: Vec<PackPlaces>,
    entries: Vec<LocatorEntry>,
}

impl<'a> Increments<'a> {
    pub(crate) fn new(vault: &'a Vault, author: &'a Author<'a>) -> Self {
        Self { vault, author, added: Vec::new(), packs: Vec::new(), entries: Vec::new() }
    }

    /// Adds a pack and its entries under the ordinal it gets; how many they are.
    pub(crate) fn add(
        &mut self,
        pack: PackPlaces,
        entries: impl FnOnce(u32) -> Vec<LocatorEntry>,
    ) -> Result<u64, RepoError> {
        if self.packs.len() >= PACKS_PER_LOCATOR {
            self.write()?;
        }
        let entries = entries(u32::try_from(self.packs.len()).expect("a handful"));
        self.packs.push(pack);
        let count = entries.len() as u64;
        self.entries.extend(entries);
        Ok(count)
    }

    fn write(&mut self) -> Result<(), RepoError> {
        let (packs, entries) = (std::mem::take(&mut self.packs), std::mem::take(&mut self.entries));
        let keys = self.vault.keys()?;
        let written = write_locator(&self.vault.around, self.vault.id(), keys, self.author, packs, entries)?;
        self.added.push(written);
        Ok(())
    }

    /// What was written.
    pub(crate) fn finish(mut self) -> Result<Vec<Added>, RepoError> {
        if !self.packs.is_empty() {
            self.write()?;
        }
        Ok(self.added)
    }
}
