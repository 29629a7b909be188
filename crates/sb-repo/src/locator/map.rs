//! All increments together, in memory.

use std::collections::{BTreeSet, HashMap};

use sb_store::ObjectName;

use super::read_locator;
use crate::clock::Monitor;
use crate::error::RepoError;
use crate::ids::{ChunkId, PackId, TableId};
use crate::keys::CompartmentKeys;
use crate::live::names_in;
use crate::name;
use crate::name::{ObjectKind, ParsedName};
use crate::pack::read_pack_footer;
use crate::sessions::table_of;
use crate::view::{View, with_twins};
use crate::wire::locator::{LocatorEntry, PackPlaces, prefix};
use crate::wire::pack::PackFooter;

/// More packs than this without an increment are worth a word.
const UNCOVERED_MANY: usize = 100;

/// Where a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) pack: u32,
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// Where every chunk of a compartment is. A chunk may be in several places.
#[derive(Debug, Default)]
pub(crate) struct Locator {
    packs: Vec<PackPlaces>,
    by_id: HashMap<PackId, u32>,
    sorted: Vec<LocatorEntry>,
    /// Increments and packs that could not be read.
    pub(crate) flawed: Vec<RepoError>,
    scope: Scope,
    /// Tables of keys that are there.
    tables: BTreeSet<TableId>,
    /// Packs from this ordinal on are in no increment.
    covered: usize,
}

/// Which packs count.
#[derive(Debug, Default)]
pub(crate) enum Scope {
    /// What can be read: live packs, and if a journal is damaged, others that are well signed.
    #[default]
    Reading,
    /// What a new snapshot may rely on: live packs that are there, as are their keys, and that no collector has condemned.
    Writing {
        /// Names of what is about to be deleted.
        condemned: BTreeSet<String>,
        /// Tables that are there, but damaged.
        unusable_tables: BTreeSet<TableId>,
    },
}

impl Locator {
    /// Reads all increments that may be used; what they do not cover comes from the packs' footers. Packs out of
    /// scope are as good as gone.
    pub(crate) fn load(
        view: &View,
        keys: &CompartmentKeys,
        monitor: &dyn Monitor,
        scope: Scope,
    ) -> Result<Self, RepoError> {
        let tables = with_twins(&view.listing, "sessions/").into_iter().filter_map(ParsedName::parse);
        let tables = tables.filter_map(|parsed| TableId::from_hex(parsed.stem.id())).collect();
        let mut locator = Self { scope, tables, ..Self::default() };
        for name in names_in(&view.listing, "locator/") {
            if ParsedName::parse(name).is_some() && view.live.is_readable(name) {
                let object = ObjectName::new(name)?;
                match read_locator(&*view.storage, &object, keys) {
                    Ok((packs, entries)) => locator.take_in(view, packs, entries),
                    Err(error) => locator.flawed.push(error),
                }
            }
        }
        let uncovered: Vec<String> = names_in(&view.listing, "packs/")
            .filter(|name| locator.may_use(view, name) && !locator.covers(name))
            .map(str::to_owned)
            .collect();
        if uncovered.len() > UNCOVERED_MANY {
            let count = uncovered.len();
            monitor.warning(&format!("reading the footers of {count} packs; `db rebuild` makes an index of them"));
        }
        locator.covered = locator.packs.len();
        for name in uncovered {
            if let Err(error) = locator.add_from_footer(view, keys, &name) {
                locator.flawed.push(error);
            }
        }
        locator.sorted.sort_unstable();
        locator.sorted.dedup();
        Ok(locator)
    }

    fn may_use(&self, view: &View, name: &str) -> bool {
        match &self.scope {
            Scope::Reading => view.live.is_readable(name),
            Scope::Writing { condemned, .. } => {
                // One that is shorter than it was holds less than it says.
                let size = view.live.get(name).map(|recorded| recorded.size);
                size.is_some() && view.listing.get(name).copied() == size && !condemned.contains(name)
            }
        }
    }

    /// True if the pack's key need not be there, or is.
    fn has_key(&self, pack: &PackPlaces) -> bool {
        let table = table_of(&pack.key);
        match &self.scope {
            Scope::Reading => true,
            Scope::Writing { unusable_tables, .. } => self.tables.contains(&table) && !unusable_tables.contains(&table),
        }
    }

    fn covers(&self, name: &str) -> bool {
        let parsed = ParsedName::parse(name);
        parsed.and_then(|parsed| PackId::from_hex(&parsed.hash)).is_some_and(|id| self.by_id.contains_key(&id))
    }

    /// Adds a pack by what its own footer says.
    fn add_from_footer(&mut self, view: &View, keys: &CompartmentKeys, name: &str) -> Result<(), RepoError> {
        let Some(id) = ParsedName::parse(name).and_then(|parsed| PackId::from_hex(&parsed.hash)) else { return Ok(()) };
        let (places, footer) = read_pack_footer(&*view.storage, &ObjectName::new(name)?, id, keys)?;
        if !self.has_key(&places) {
            return Ok(());
        }
        let pack = self.add_pack(places);
        self.sorted.extend(entries_of(&footer, pack));
        Ok(())
    }

    fn take_in(&mut self, view: &View, packs: Vec<PackPlaces>, entries: Vec<LocatorEntry>) {
        let ordinals: Vec<Option<u32>> = packs
            .into_iter()
            .map(|pack| {
                let counts = self.may_use(view, name::pack(&pack.id).as_str()) && self.has_key(&pack);
                counts.then(|| self.add_pack(pack))
            })
            .collect();
        let entries = entries.into_iter();
        self.sorted
            .extend(entries.filter_map(|entry| ordinals[entry.pack() as usize].map(|pack| entry.with_pack(pack))));
    }

    /// Adds a pack, or finds it; its ordinal.
    fn add_pack(&mut self, pack: PackPlaces) -> u32 {
        let next = u32::try_from(self.packs.len()).expect("fewer than 2³² packs");
        *self.by_id.entry(pack.id).or_insert_with(|| {
            self.packs.push(pack);
            next
        })
    }

    /// Packs that are in no increment, and their entries, whose ordinals count into them: what a run that was cut left, for
    /// the next increment.
    pub(crate) fn uncovered(&self) -> (Vec<PackPlaces>, Vec<LocatorEntry>) {
        let first = u32::try_from(self.covered).expect("fewer than 2³² packs");
        let entries = self.sorted.iter().filter(|entry| entry.pack() >= first);
        (self.packs[self.covered..].to_vec(), entries.map(|entry| entry.with_pack(entry.pack() - first)).collect())
    }

    /// The entries of one pack, counted as pack `new`.
    pub(crate) fn entries_in(&self, pack: u32, new: u32) -> Vec<LocatorEntry> {
        let entries = self.sorted.iter().filter(|entry| entry.pack() == pack);
        entries.map(|entry| entry.with_pack(new)).collect()
    }

    /// All places of a chunk, none if it is not known.
    pub(crate) fn places(&self, id: &ChunkId) -> impl Iterator<Item = Place> {
        let wanted = prefix(id);
        let from = first_from(&self.sorted, wanted);
        let fitting = self.sorted[from..].iter().take_while(move |entry| entry.prefix() == wanted);
        fitting.map(|entry| Place { pack: entry.pack(), segment: entry.segment(), offset: entry.offset() })
    }

    /// How many different chunks of content there are, and how many of metadata.
    pub(crate) fn chunks(&self) -> (u64, u64) {
        let (mut content, mut metadata, mut last) = (0, 0, None);
        for entry in &self.sorted {
            if last.replace(*entry.prefix()) != Some(*entry.prefix()) {
                *(if self.is_content(entry.pack()) { &mut content } else { &mut metadata }) += 1;
            }
        }
        (content, metadata)
    }

    /// The ordinal of a pack, if it is known.
    pub(crate) fn ordinal(&self, id: &PackId) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// A pack by its ordinal.
    pub(crate) fn pack(&self, ordinal: u32) -> &PackPlaces {
        &self.packs[ordinal as usize]
    }

    /// All packs, by ordinal.
    pub(crate) fn packs(&self) -> &[PackPlaces] {
        &self.packs
    }

    /// True if it is a pack of content.
    pub(crate) fn is_content(&self, ordinal: u32) -> bool {
        self.pack(ordinal).kind == ObjectKind::ContentPack
    }
}

/// Where in sorted entries those begin that are not before `wanted`. Ids are spread evenly, so it begins where it should be and
/// looks further and further around there: nearly always within one page of memory.
fn first_from(sorted: &[LocatorEntry], wanted: &[u8; 16]) -> usize {
    let is_before = |at: usize| sorted[at].prefix() < wanted;
    let first = u64::from_be_bytes(*wanted.first_chunk().expect("16 bytes"));
    let guess = usize::try_from((u128::from(first) * sorted.len() as u128) >> 64).expect("less than a length");
    let (mut low, mut high, mut step) = (guess, guess, 32);
    while low > 0 && !is_before(low - 1) {
        low = low.saturating_sub(step);
        step *= 2;
    }
    while high < sorted.len() && is_before(high) {
        high = (high + step).min(sorted.len());
        step *= 2;
    }
    low + sorted[low..high].partition_point(|entry| entry.prefix() < wanted)
}

/// The locator entries of a pack: each of its chunks and where it is.
pub(crate) fn entries_of(footer: &PackFooter, pack: u32) -> impl Iterator<Item = LocatorEntry> {
    (0..).zip(&footer.segments).flat_map(move |(segment, content)| {
        let mut offset = 0;
        content.chunks.iter().map(move |(id, length)| {
            let entry = LocatorEntry::new(id, pack, segment, offset);
            offset += length;
            entry
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_is_found_however_ids_are_spread(ids in prop::collection::vec((0u8..4, any::<u8>()), 0..300), wanted in any::<(u8, u8)>()) {
            let id = |(a, b): (u8, u8)| ChunkId::new([[a; 8], [b; 8], [a; 8], [b; 8]].concat().try_into().unwrap());
            let mut sorted: Vec<_> = ids.iter().map(|pair| LocatorEntry::new(&id(*pair), 0, 0, 0)).collect();
            sorted.sort_unstable();
            for pair in ids.into_iter().chain([wanted, (0, 0), (255, 255)]) {
                let id = id(pair);
                let expected = sorted.partition_point(|entry| entry.prefix() < prefix(&id));
                prop_assert_eq!(first_from(&sorted, prefix(&id)), expected);
            }
        }
    }
}
