//! Compacting the locator: increments whose packs are gone, and many small ones, become few.

use std::collections::BTreeSet;

use sb_store::ObjectName;

use super::mark::Marked;
use super::removal::Collection;
use crate::error::RepoError;
use crate::ids::PackId;
use crate::live::names_in;
use crate::locator::{read_located_packs, read_locator};
use crate::name;
use crate::rebuild::Increments;
use crate::wire::journal::Added;
use crate::wire::locator::{LocatorEntry, PackPlaces};

/// An increment of fewer packs is small.
const SMALL: usize = 16;
/// So many small ones are worth putting together.
const MANY: usize = 8;

impl Collection<'_> {
    /// Writes increments anew that list packs that are gone, and small ones when there are many.
    pub(super) fn compact_locator(&mut self, marked: &mut Marked) -> Result<(), RepoError> {
        let (mut stale, mut small) = (Vec::new(), Vec::new());
        let live: Vec<String> = names_in(&self.vault.view.listing, "locator/")
            .filter(|name| self.vault.view.live.contains(name))
            .map(str::to_owned)
            .collect();
        for name in live {
            self.go_on()?;
            // One that can't be read is for verify to name and for a rebuild to replace.
            let object = ObjectName::new(name.as_str())?;
            let Ok(packs) = read_located_packs(&*self.vault.around.storage, &object, self.vault.keys()?) else {
                continue;
            };
            let is_there = |pack: &PackPlaces| self.vault.view.live.contains(name::pack(&pack.id).as_str());
            if !packs.iter().all(is_there) {
                stale.push(name);
            } else if packs.len() < SMALL {
                small.push(name);
            }
        }
        if small.len() >= MANY {
            stale.append(&mut small);
        }
        if stale.is_empty() {
            return Ok(());
        }
        let (names, added) = self.rewritten(stale)?;
        added.iter().for_each(|object| self.report.written.add(object.size));
        for (_, size) in self.remove(names, added, marked, false)? {
            self.report.others.add(size);
        }
        Ok(())
    }

    /// Writes what these say, but for what can't be read, into new ones; whose place they take.
    fn rewritten(&self, old: Vec<String>) -> Result<(Vec<String>, Vec<Added>), RepoError> {
        let mut increments = Increments::new(self.vault, &self.author);
        let mut done: BTreeSet<PackId> = BTreeSet::new();
        let mut replaced = Vec::new();
        for name in old {
            self.progress.check()?;
            let object = ObjectName::new(name.as_str())?;
            let read = read_locator(&*self.vault.around.storage, &object, self.vault.keys()?);
            let Ok((packs, mut entries)) = read else { continue };
            entries.sort_unstable_by_key(LocatorEntry::pack);
            for (old, pack) in (0..).zip(packs) {
                if !self.vault.view.live.contains(name::pack(&pack.id).as_str()) || !done.insert(pack.id) {
                    continue;
                }
                let from = entries.partition_point(|entry| entry.pack() < old);
                let its = entries[from..].iter().take_while(|entry| entry.pack() == old);
                increments.add(pack, |new| its.map(|entry| entry.with_pack(new)).collect())?;
            }
            replaced.push(name);
        }
        Ok((replaced, increments.finish()?))
    }
}
