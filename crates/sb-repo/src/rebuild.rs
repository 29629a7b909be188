//! Making anew what can be made anew: the locator, out of the packs; this machine's memory, out of the vault.

use crate::clock::{Counter, Progress};
use crate::error::RepoError;
use crate::ids::{PackId, RunId};
use crate::live::names_in;
use crate::locator::{entries_of, write_locator};
use crate::name::ParsedName;
use crate::pack::read_pack_footer;
use crate::vault::{Change, Vault};
use crate::wire::frame::Author;

/// Packs in one increment of a rebuilt locator; bounds the memory it takes.
const PACKS_PER_LOCATOR: usize = 64;

/// What was made anew, and what could not be.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RebuildReport {
    /// Packs whose footers were read.
    pub packs: u64,
    /// Chunks in them.
    pub chunks: u64,
    /// Packs whose footers could not be read, and why.
    pub lost: Vec<(String, String)>,
    /// Locator increments that the new ones replace.
    pub replaced: u64,
    /// True if this machine was a stranger to the vault, and has enrolled.
    pub enrolled: bool,
    /// Journals whose remembered heads are not in the vault any more, where that was accepted.
    pub accepted: bool,
}

impl Vault {
    /// Writes the locator anew from the footers of all packs, and takes away the increments before. Enrols this machine if the
    /// vault does not know it. With `accept_rollback`, the vault is believed even where this machine remembers more than it
    /// has; without, that is an error.
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
        let known = self.around.state.log_key()?.map(|key| key.public());
        let writer = self.writer()?;
        report.enrolled |= known != Some(writer.public());
        let run = RunId::random(&*self.around.random);
        let state = self.around.state.clone();
        let _alive = state.hold(run)?;
        let author = Author { key: &writer, run };
        let change = self.rewrite_locator(&author, &mut report, progress)?;
        let old: Vec<String> = change.removed.iter().map(|(name, _)| name.clone()).collect();
        if !change.added.is_empty() || !change.removed.is_empty() {
            self.append(&writer, run, change)?;
        }
        // Removed by the journal already; what stays for whatever reason is reported by verify.
        for name in old {
            match self.around.storage.remove(&sb_store::ObjectName::new(name)?) {
                Ok(()) | Err(sb_store::StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.refresh()?;
        Ok(report)
    }

    fn rewrite_locator(
        &self,
        author: &Author<'_>,
        report: &mut RebuildReport,
        progress: Progress<'_>,
    ) -> Result<Change, RepoError> {
        let mut change = Change { operation: "rebuild", ..Change::default() };
        let (mut packs, mut entries) = (Vec::new(), Vec::new());
        for name in names_in(&self.view.listing, "packs/").filter(|name| self.view.live.is_readable(name)) {
            progress.check()?;
            let Some(id) = ParsedName::parse(name).and_then(|parsed| PackId::from_hex(&parsed.hash)) else { continue };
            match read_pack_footer(&*self.around.storage, &sb_store::ObjectName::new(name)?, id, &self.keys) {
                Ok((places, footer)) => {
                    let ordinal = u32::try_from(packs.len()).expect("a handful");
                    entries.extend(entries_of(&footer, ordinal));
                    packs.push(places);
                    report.packs += 1;
                    progress.monitor.count(Counter::Objects, 1);
                }
                Err(error) => report.lost.push((name.to_owned(), error.to_string())),
            }
            if packs.len() >= PACKS_PER_LOCATOR {
                report.chunks += entries.len() as u64;
                let (packs, entries) = (std::mem::take(&mut packs), std::mem::take(&mut entries));
                change.added.push(write_locator(&self.around, self.id(), &self.keys, author, packs, entries)?);
            }
        }
        if !packs.is_empty() {
            report.chunks += entries.len() as u64;
            change.added.push(write_locator(&self.around, self.id(), &self.keys, author, packs, entries)?);
        }
        // Those that are gone too: from here on nobody misses them.
        for (name, recorded) in self.view.live.iter().filter(|(name, _)| name.starts_with("locator/")) {
            change.removed.push((name.to_owned(), recorded.size));
            report.replaced += 1;
        }
        Ok(change)
    }
}
