//! All increments together.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use sb_store::{ObjectName, Storage};

use super::seal::{Local, Unfit};
use super::sorter::{Entries, merge, write_table};
use super::table::Table;
use crate::error::RepoError;
use crate::ids::{ChunkId, PackId, TableId};
use crate::keys::CompartmentKeys;
use crate::name::{ObjectKind, ParsedName};
use crate::pack::read_pack_footer;
use crate::sessions::table_of;
use crate::view::View;
use crate::wire::locator::{LocatorEntry, PackPlaces, prefix};
use crate::wire::pack::PackFooter;
#[cfg(feature = "testing")]
use crate::wire::pack::SegmentPlace;

/// Entries that are sorted in memory at once when increments are read again.
const RUN: usize = 1 << 19;

/// Where a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) pack: u32,
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// Where every chunk of a compartment is. A chunk may be in several places.
pub(crate) struct Locator {
    packs: Vec<PackPlaces>,
    by_id: HashMap<PackId, u32>,
    /// What this machine has a copy of.
    pub(super) main: Option<Main>,
    /// What it has none of, sorted.
    pub(super) recent: Vec<LocatorEntry>,
    /// In the place of a copy that turned out to be damaged.
    mended: Mutex<Option<Arc<Mended>>>,
    origin: Origin,
    /// Increments and packs that could not be read.
    pub(crate) flawed: Vec<RepoError>,
    pub(super) scope: Scope,
    /// Tables of keys that are there.
    tables: BTreeSet<TableId>,
    /// Packs from this ordinal on are in no increment.
    pub(super) covered: usize,
}

/// A copy of increments, and what its pack ordinals mean.
pub(super) struct Main {
    pub(super) table: Table,
    pub(super) rows: Vec<Row>,
    pub(super) increments: Vec<String>,
}

/// A pack in an increment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) increment: u32,
    /// Its ordinal, or [`NONE`](Self::NONE) if it does not count.
    pub(super) pack: u32,
}

impl Row {
    pub(super) const NONE: u32 = u32::MAX;
    /// A pack of an increment that is gone.
    pub(super) const GONE: Self = Self { increment: u32::MAX, pack: Self::NONE };
}

/// Entries by the ordinals that count.
enum Mended {
    File(Box<Table>),
    Memory(Vec<LocatorEntry>),
}

/// Where a damaged copy's entries can be had again.
pub(super) struct Origin {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) keys: Arc<CompartmentKeys>,
    pub(super) local: Local,
}

/// Which packs count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What can be read: live packs, and if a journal is damaged, others that are well signed.
    Reading,
    /// The same, straight from the vault: nothing that this machine has kept hides what is wrong there.
    Checking,
    /// What a new snapshot may rely on: live packs that are there, as are their keys, and that no collector has condemned.
    Writing {
        /// Names of what is about to be deleted.
        condemned: BTreeSet<String>,
        /// Tables that are there, but damaged.
        unusable_tables: BTreeSet<TableId>,
    },
}

impl Scope {
    /// True if most chunks that are asked for are not there.
    pub(super) fn is_writing(&self) -> bool {
        matches!(self, Self::Writing { .. })
    }
}

impl Locator {
    pub(super) fn new(scope: Scope, tables: BTreeSet<TableId>, origin: Origin) -> Self {
        Self {
            packs: Vec::new(),
            by_id: HashMap::new(),
            main: None,
            recent: Vec::new(),
            mended: Mutex::default(),
            origin,
            flawed: Vec::new(),
            scope,
            tables,
            covered: 0,
        }
    }

    pub(super) fn may_use(&self, view: &View, name: &str) -> bool {
        match &self.scope {
            Scope::Reading | Scope::Checking => view.live.is_readable(name),
            Scope::Writing { condemned, .. } => {
                // One that is shorter than it was holds less than it says.
                let size = view.live.get(name).map(|recorded| recorded.size);
                size.is_some() && view.listing.get(name).copied() == size && !condemned.contains(name)
            }
        }
    }

    /// True if the pack's key need not be there, or is.
    pub(super) fn has_key(&self, pack: &PackPlaces) -> bool {
        let table = table_of(&pack.key);
        match &self.scope {
            Scope::Reading | Scope::Checking => true,
            Scope::Writing { unusable_tables, .. } => self.tables.contains(&table) && !unusable_tables.contains(&table),
        }
    }

    pub(super) fn covers(&self, name: &str) -> bool {
        let parsed = ParsedName::parse(name);
        parsed.and_then(|parsed| PackId::from_hex(&parsed.hash)).is_some_and(|id| self.by_id.contains_key(&id))
    }

    /// Adds a pack by what its own footer says.
    pub(super) fn add_from_footer(&mut self, view: &View, keys: &CompartmentKeys, name: &str) -> Result<(), RepoError> {
        let Some(id) = ParsedName::parse(name).and_then(|parsed| PackId::from_hex(&parsed.hash)) else { return Ok(()) };
        let (places, footer) = read_pack_footer(&*view.storage, &ObjectName::new(name)?, id, keys)?;
        if !self.has_key(&places) {
            return Ok(());
        }
        let pack = self.add_pack(&places);
        self.recent.extend(entries_of(&footer, pack));
        Ok(())
    }

    /// Adds a pack, or finds it; its ordinal.
    pub(super) fn add_pack(&mut self, pack: &PackPlaces) -> u32 {
        let next = u32::try_from(self.packs.len()).expect("fewer than 2³² packs");
        *self.by_id.entry(pack.id).or_insert_with(|| {
            self.packs.push(pack.clone());
            next
        })
    }

    /// Gives back the room that growing has left.
    pub(super) fn shrink(&mut self) {
        self.recent.shrink_to_fit();
        self.packs.shrink_to_fit();
        self.by_id.shrink_to_fit();
    }

    /// Packs that are in no increment, and their entries, whose ordinals count into them: what a run that was cut left, for
    /// the next increment.
    pub(crate) fn uncovered(&self) -> (Vec<PackPlaces>, Vec<LocatorEntry>) {
        let first = u32::try_from(self.covered).expect("fewer than 2³² packs");
        let entries = self.recent.iter().filter(|entry| entry.pack() >= first);
        (self.packs[self.covered..].to_vec(), entries.map(|entry| entry.with_pack(entry.pack() - first)).collect())
    }

    /// The entries of one pack, counted as pack `new`. Goes through the whole locator.
    ///
    /// # Errors
    /// As [`places`](Self::places).
    pub(crate) fn entries_in(&self, pack: u32, new: u32) -> Result<Vec<LocatorEntry>, RepoError> {
        let mut entries = self.fold(Vec::new, |entries, entry| {
            if entry.pack() == pack {
                entries.push(entry.with_pack(new));
            }
        })?;
        entries.sort_unstable();
        entries.dedup();
        Ok(entries)
    }

    /// All places of a chunk, none if it is not known.
    ///
    /// # Errors
    /// If this machine's copy is damaged and what it is of can't be read from the vault.
    pub(crate) fn places(&self, id: &ChunkId) -> Result<Vec<Place>, RepoError> {
        let wanted = prefix(id);
        let mut found = Vec::new();
        if let Some(main) = &self.main {
            match main.table.find(wanted, &mut found) {
                Ok(()) => found.retain_mut(|entry| {
                    let pack = main.rows[entry.pack() as usize].pack;
                    *entry = entry.with_pack(pack);
                    pack != Row::NONE
                }),
                Err(Unfit) => {
                    found.clear();
                    self.mended(main)?.find(wanted, &mut found)?;
                }
            }
        }
        find_sorted(&self.recent, wanted, &mut found);
        let place =
            |entry: LocatorEntry| Place { pack: entry.pack(), segment: entry.segment(), offset: entry.offset() };
        let mut places: Vec<Place> = found.into_iter().map(place).collect();
        // Two increments may say the same.
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }

    /// How many different chunks of content there are, and how many of metadata. Goes through the whole locator.
    ///
    /// # Errors
    /// As [`places`](Self::places).
    pub(crate) fn chunks(&self) -> Result<(u64, u64), RepoError> {
        let counted = self.fold(
            || (0, 0, None),
            |(content, metadata, last), entry| {
                if last.replace(*entry.prefix()) != Some(*entry.prefix()) {
                    *(if self.is_content(entry.pack()) { content } else { metadata }) += 1;
                }
            },
        )?;
        Ok((counted.0, counted.1))
    }

    /// Goes through all entries, in order but for the packs of one chunk.
    fn fold<T>(&self, begin: impl Fn() -> T, mut each: impl FnMut(&mut T, LocatorEntry)) -> Result<T, RepoError> {
        let mut go = |entries: Entries<'_>| -> Result<T, Unfit> {
            let recent = Box::new(self.recent.iter().copied().map(Ok)) as Entries<'_>;
            let mut outcome = begin();
            for entry in merge(vec![entries, recent]) {
                each(&mut outcome, entry?);
            }
            Ok(outcome)
        };
        let Some(main) = &self.main else {
            return Ok(go(Box::new(std::iter::empty())).expect("memory is not damaged"));
        };
        let counting = main.table.scan().filter_map(|entry| match entry {
            Ok(entry) => Some(main.rows[entry.pack() as usize].pack)
                .filter(|pack| *pack != Row::NONE)
                .map(|pack| Ok(entry.with_pack(pack))),
            Err(unfit) => Some(Err(unfit)),
        });
        go(Box::new(counting)).or_else(|Unfit| {
            let mended = self.mended(main)?;
            let entries: Entries<'_> = match &*mended {
                Mended::File(table) => Box::new(table.scan()),
                Mended::Memory(sorted) => Box::new(sorted.iter().copied().map(Ok)),
            };
            go(entries).map_err(|Unfit| unreadable())
        })
    }

    /// What the damaged copy was of, read from the vault again. The copy goes, so that the next run makes another.
    fn mended(&self, main: &Main) -> Result<Arc<Mended>, RepoError> {
        let mut mended = self.mended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mended) = &*mended {
            return Ok(mended.clone());
        }
        let local = &self.origin.local;
        local.state().remove_cache(local.copy());
        let ordinal = |id: &PackId| self.ordinal(id);
        let (runs, recent) = self.origin.read_again(main, &ordinal, &|pack| self.pack(pack).id, RUN)?;
        let inputs = || {
            let runs = runs.iter().map(|run| Box::new(run.scan()) as Entries<'_>);
            merge(runs.chain([Box::new(recent.iter().copied().map(Ok)) as Entries<'_>]).collect())
        };
        let table = write_table(local, self.scope.is_writing(), inputs());
        let new = match table {
            Ok(table) => Mended::File(Box::new(table.map_err(|Unfit| unreadable())?)),
            Err(_) => Mended::Memory(inputs().collect::<Result<_, _>>().map_err(|Unfit| unreadable())?),
        };
        Ok(mended.insert(Arc::new(new)).clone())
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

    /// Bytes of memory that grow with the number of chunks, and with that of packs.
    #[cfg(feature = "testing")]
    pub(crate) fn resident(&self) -> (usize, usize) {
        let main = self.main.as_ref();
        let chunks = self.recent.capacity() * size_of::<LocatorEntry>() + main.map_or(0, |main| main.table.resident());
        let segments = self.packs.iter().map(|pack| pack.segments.capacity() * size_of::<SegmentPlace>());
        let rows = main.map_or(0, |main| {
            let names = main.increments.iter().map(|name| name.capacity() + size_of::<String>());
            main.rows.capacity() * size_of::<Row>() + names.sum::<usize>()
        });
        let by_id = self.by_id.capacity() * (size_of::<(PackId, u32)>() + 1) * 8 / 7;
        (chunks, self.packs.capacity() * size_of::<PackPlaces>() + segments.sum::<usize>() + by_id + rows)
    }
}

impl std::fmt::Debug for Locator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locator").field("packs", &self.packs.len()).finish_non_exhaustive()
    }
}

impl Mended {
    fn find(&self, wanted: &[u8; 16], found: &mut Vec<LocatorEntry>) -> Result<(), RepoError> {
        match self {
            Self::File(table) => table.find(wanted, found).map_err(|Unfit| unreadable()),
            Self::Memory(sorted) => {
                find_sorted(sorted, wanted, found);
                Ok(())
            }
        }
    }
}

/// What was written a moment ago can't be read.
fn unreadable() -> RepoError {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "what was written there is not what it was");
    RepoError::State { action: "read", path: "cache".into(), source }
}

/// Appends the entries of a chunk.
fn find_sorted(sorted: &[LocatorEntry], wanted: &[u8; 16], found: &mut Vec<LocatorEntry>) {
    let from = sorted.partition_point(|entry| entry.prefix() < wanted);
    found.extend(sorted[from..].iter().take_while(|entry| entry.prefix() == wanted));
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
