//! Compacting the locator: increments whose packs are gone, and many small ones, become few.

use std::collections::BTreeSet;

use sb_store::ObjectName;

use super::mark::Marked;
use super::removal::Collection;
use crate::error::RepoError;
use crate::ids::PackId;
use crate::live::names_in;
use crate::locator::read_locator;
use crate::name;
use crate::rebuild::Increments;
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
            let Ok((packs, entries)) =
                read_locator(&*self.vault.around.storage, &ObjectName::new(name.as_str())?, &self.vault.keys)
            else {
                continue;
            };
            let is_there = |pack: &PackPlaces| self.vault.view.live.contains(name::pack(&pack.id).as_str());
            if !packs.iter().all(is_there) {
                stale.push((name, packs, entries));
            } else if packs.len() < SMALL {
                small.push((name, packs, entries));
            }
        }
        if small.len() >= MANY {
            stale.append(&mut small);
        }
        if stale.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = stale.iter().map(|(name, ..)| name.clone()).collect();
        let added = self.rewritten(stale)?;
        added.iter().for_each(|object| self.report.written.add(object.size));
        for (_, size) in self.remove(names, added, marked, false)? {
            self.report.others.add(size);
        }
        Ok(())
    }

    fn rewritten(
        &self,
        stale: Vec<(String, Vec<PackPlaces>, Vec<LocatorEntry>)>,
    ) -> Result<Vec<crate::wire::journal::Added>, RepoError> {
        let mut increments = Increments::new(self.vault, &self.author);
        let mut done: BTreeSet<PackId> = BTreeSet::new();
        for (_, packs, mut entries) in stale {
            entries.sort_unstable_by_key(LocatorEntry::pack);
            for (old, pack) in (0..).zip(packs) {
                if !self.vault.view.live.contains(name::pack(&pack.id).as_str()) || !done.insert(pack.id) {
                    continue;
                }
                let from = entries.partition_point(|entry| entry.pack() < old);
                let its = entries[from..].iter().take_while(|entry| entry.pack() == old);
                increments.add(pack, |new| its.map(|entry| entry.with_pack(new)).collect())?;
            }
        }
        increments.finish()
    }
}
