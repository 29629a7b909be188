//! Is there room for a run?

use sb_source::{Event, Kind, Source};
use sb_store::Space;

use crate::clock::{Counter, Progress};
use crate::error::RepoError;
use crate::vault::Vault;

/// Free bytes that a run needs to begin, unless the caller says otherwise.
const FREE_MIN: u64 = 16 << 20;

/// What a source takes in a vault at its first backup, in hundredths of its size: 48 and 47 for two trees of office documents, 23 for
/// a database dump (docs/benchmarks.md), up to 100 for photos and archives.
const USUAL: u64 = 50;

impl Vault {
    /// Fails if there is less room than a backup needs to begin: what is given, or 16 MiB, or a twentieth of the storage where that is
    /// less. Every backup does it.
    ///
    /// # Errors
    /// [`RepoError::LowSpace`], and errors of the storage.
    pub fn check_space(&self, free_min: Option<u64>) -> Result<(), RepoError> {
        let Some(space) = self.around.storage.space()? else { return Ok(()) };
        let needed = free_min.unwrap_or_else(|| FREE_MIN.min(space.total / 20));
        if space.free < needed { Err(RepoError::LowSpace { free: space.free, needed }) } else { Ok(()) }
    }

    /// Tells how much there is to read where all of it is to be stored, and warns if that is likely not to fit.
    pub(super) fn estimate(&self, source: &dyn Source, progress: Progress<'_>) -> Result<(), RepoError> {
        if !source.knows_sizes() {
            return Ok(());
        }
        let mut bytes = 0;
        for event in source.walk() {
            progress.check()?;
            if let Event::Entry(entry) = event
                && entry.kind == Kind::File
            {
                bytes += entry.metadata.size / entry.metadata.links.max(1);
            }
        }
        progress.monitor.expect(Counter::Bytes, bytes);
        if let Some(Space { free, .. }) = self.around.storage.space()?
            && free < bytes / 100 * USUAL
        {
            progress.monitor.warning(&format!(
                "there are {} MB to back up, and only {} MB are free where the vault is; if what is new of them does not fit, make \
                 room and run it again: it goes on from there",
                bytes / 1_000_000,
                free / 1_000_000
            ));
        }
        Ok(())
    }
}
