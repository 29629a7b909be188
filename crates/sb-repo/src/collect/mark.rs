//! Which chunks are needed, and where they are.

use std::collections::{BTreeSet, HashSet};

use super::scene::Scene;
use crate::chunks::ChunkReader;
use crate::clock::{Counter, Progress};
use crate::error::{Flaw, RepoError};
use crate::ids::{PackId, TableId};
use crate::keys::CompartmentKeys;
use crate::locator::{Locator, Place, Scope};
use crate::name::{self, ParsedName};
use crate::sessions::KeyFinder;
use crate::snapshots::read_snapshot;
use crate::tree::{Redactions, TreeReader};
use crate::vault::Vault;
use crate::view::{View, with_twins};
use crate::wire::entry::{Entry, Inline, Item};
use crate::wire::locator::{PackPlaces, prefix};
use crate::wire::node::{Node, Part, Reference};

/// A needed chunk where it lies: in sixteen bytes, so that there may be very many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    pub(super) pack: u32,
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// What is needed for everything to be restored.
pub(super) struct Marked {
    pub(super) locator: Locator,
    /// In order, each once.
    uses: Vec<Use>,
    /// What it was needed by.
    pub(super) roots: BTreeSet<String>,
    redactions: BTreeSet<String>,
}

/// Uses that wait to be sorted in, at the least.
const UNSORTED: usize = 1 << 20;

/// The order in which packs are taken for a chunk that is in several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Good,
    /// About to be deleted, unless it is needed.
    Condemned,
    /// Of a run that has not ended, and may never: nothing but that run may rely on it.
    Held,
}

impl Marked {
    /// Goes through all roots. Of a chunk in several packs one that is not condemned is needed, if there is one.
    pub(super) fn mark(
        vault: &Vault,
        scene: &Scene,
        condemned: &BTreeSet<String>,
        progress: Progress<'_>,
        go_on: &mut dyn FnMut() -> Result<(), RepoError>,
    ) -> Result<Self, RepoError> {
        let scope = Scope::Writing { condemned: BTreeSet::new(), unusable_tables: unusable_tables(vault, scene)? };
        let locator = Locator::load(&vault.around, &scene.view, vault.keys()?, progress.monitor, scope)?;
        let standing = locator.packs().iter().map(|pack| {
            let name = name::pack(&pack.id).to_string();
            Some(match (scene.held.contains(&name), condemned.contains(&name)) {
                (true, _) => Standing::Held,
                (_, true) => Standing::Condemned,
                _ => Standing::Good,
            })
        });
        let standing = standing.collect();
        let finder = KeyFinder::new(&scene.view);
        let chunks = ChunkReader::new(&scene.view, vault.keys()?, &finder);
        let redactions = Redactions::load(&scene.view, vault.keys()?).map_err(|error| undecided(error, ""))?;
        let reader = TreeReader { chunks: &chunks, locator: &locator, redactions: &redactions };
        let mut marker = Marker { reader, standing, uses: Vec::new(), sorted: 0, seen: HashSet::new(), go_on };
        for name in &scene.roots {
            marker.root(&scene.view, vault.keys()?, name).map_err(|error| undecided(error, name))?;
            progress.monitor.count(Counter::Entries, 1);
        }
        marker.sort();
        let uses = marker.uses;
        Ok(Self { locator, uses, roots: scene.roots.clone(), redactions: scene.redactions.clone() })
    }

    /// True if going through the roots again would find the same: none has come, and all that they need is still there.
    pub(super) fn holds_in(&self, scene: &Scene) -> bool {
        let is_there = |ordinal: u32| {
            let name = name::pack(&self.locator.pack(ordinal).id).to_string();
            let recorded = scene.view.live.get(&name).map(|recorded| recorded.size);
            recorded.is_some() && recorded == scene.view.listing.get(&name).copied()
        };
        scene.roots.is_subset(&self.roots)
            && scene.redactions == self.redactions
            && self.uses.chunk_by(|a, b| a.pack == b.pack).all(|uses| is_there(uses[0].pack))
    }

    /// The needed chunks of a pack, in order.
    pub(super) fn uses_of(&self, pack: u32) -> &[Use] {
        let from = self.uses.partition_point(|each| each.pack < pack);
        let to = self.uses.partition_point(|each| each.pack <= pack);
        &self.uses[from..to]
    }

    /// The ordinal of the pack with this name, if it is known what is in it.
    pub(super) fn ordinal(&self, name: &str) -> Option<u32> {
        let id = ParsedName::parse(name).and_then(|parsed| PackId::from_hex(&parsed.hash))?;
        self.locator.ordinal(&id)
    }

    /// Bytes of a pack that are needed and that are not, as they are stored; of a segment that is needed in part its share.
    pub(super) fn share_of(&self, pack: u32) -> (u64, u64) {
        let segments = &self.locator.pack(pack).segments;
        let all: u64 = segments.iter().map(|segment| u64::from(segment.stored)).sum();
        let uses = self.uses_of(pack).chunk_by(|a, b| a.segment == b.segment);
        let needed = uses.filter_map(|uses| {
            let segment = segments.get(uses[0].segment as usize)?;
            let raw: u64 = uses.iter().map(|each| u64::from(each.length)).sum();
            Some(u64::from(segment.stored) * raw / u64::from(segment.raw.max(1)))
        });
        let needed = needed.sum::<u64>().min(all);
        (needed, all - needed)
    }
}

/// Tables of keys that are there and can't be used: packs with their keys are as good as gone, and another has their chunks.
fn unusable_tables(vault: &Vault, scene: &Scene) -> Result<BTreeSet<TableId>, RepoError> {
    let names = with_twins(&scene.view.listing, "sessions/").into_iter().filter_map(ParsedName::parse);
    let tables: BTreeSet<TableId> = names.filter_map(|parsed| TableId::from_hex(parsed.stem.id())).collect();
    let held = scene.held.iter().map(String::as_str).collect();
    let usable = vault.usable_tables(&tables, &held, &BTreeSet::new())?;
    Ok(tables.difference(&usable).chain(&vault.unusable_tables).copied().collect())
}

/// True if a snapshot needs something that is in no pack, or only in packs that are condemned, or if it is none. What is there
/// and can't be read is damage, and says nothing about who was told of the snapshot.
pub(crate) fn is_hopeless(
    vault: &Vault,
    name: &str,
    condemned: &BTreeSet<String>,
    progress: Progress<'_>,
) -> Result<bool, RepoError> {
    let locator = Locator::load(&vault.around, &vault.view, vault.keys()?, progress.monitor, Scope::Reading)?;
    if !locator.flawed.is_empty() {
        return Ok(false);
    }
    let stays = |pack: &PackPlaces| !condemned.contains(name::pack(&pack.id).as_str());
    let standing = locator.packs().iter().map(|pack| stays(pack).then_some(Standing::Good)).collect();
    let chunks = ChunkReader::new(&vault.view, vault.keys()?, &vault.finder);
    // What is wrong with these is said when roots are gone through.
    let Ok(redactions) = Redactions::load(&vault.view, vault.keys()?) else { return Ok(false) };
    let reader = TreeReader { chunks: &chunks, locator: &locator, redactions: &redactions };
    let go_on: &mut dyn FnMut() -> Result<(), RepoError> = &mut || progress.check();
    let mut marker = Marker { reader, standing, uses: Vec::new(), sorted: 0, seen: HashSet::new(), go_on };
    match marker.root(&vault.view, vault.keys()?, name) {
        Ok(()) | Err(RepoError::NoReadingKey { .. }) => Ok(false),
        Err(RepoError::MissingChunk { packs, .. }) => Ok(packs.is_empty()),
        // That it can't be read, or not by this user, says nothing either.
        Err(RepoError::Damaged { name: damaged, flaw }) => Ok(damaged == name && matches!(flaw, Flaw::Malformed(_))),
        Err(error) => Err(error),
    }
}

struct Marker<'v, 'g> {
    reader: TreeReader<'v>,
    /// How packs stand; those that are as good as gone have none.
    standing: Vec<Option<Standing>>,
    uses: Vec<Use>,
    /// So many of them are in order, each once.
    sorted: usize,
    /// Chunks of metadata that were gone into.
    seen: HashSet<[u8; 16]>,
    go_on: &'g mut dyn FnMut() -> Result<(), RepoError>,
}

impl Marker<'_, '_> {
    /// Marks what a snapshot needs.
    fn root(&mut self, view: &View, keys: &CompartmentKeys, name: &str) -> Result<(), RepoError> {
        let snapshot = read_snapshot(view, keys, name)?;
        self.tree(snapshot.root())?;
        match snapshot.problems_at() {
            Some(problems) => self.need(problems, false),
            None => Ok(()),
        }
    }

    /// Marks a tree, but for what was marked before.
    fn tree(&mut self, root: Reference) -> Result<(), RepoError> {
        let mut waiting = vec![root];
        while let Some(node) = waiting.pop() {
            let node = self.reader.redactions.resolve(node);
            if !self.enter(node)? {
                continue;
            }
            let bytes = self.reader.meta(node)?;
            let decoded = Node::decode(&bytes)
                .map_err(|flaw| RepoError::Damaged { name: format!("chunk {}", node.id), flaw: flaw.into() })?;
            match decoded {
                Node::Inner(children) => waiting.extend(children.iter().map(|child| child.node)),
                Node::Leaf(entries) => {
                    for entry in &entries {
                        self.entry(entry)?;
                        if let Item::Folder { node, .. } = &entry.item {
                            waiting.push(*node);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), RepoError> {
        if let Inline::At(reference) = &entry.xattrs {
            self.need(*reference, false)?;
        }
        let Item::File(file) = &entry.item else { return Ok(()) };
        if let Inline::At(reference) = &file.holes {
            self.need(*reference, false)?;
        }
        self.parts(&file.parts, file.depth)
    }

    fn parts(&mut self, parts: &[Part], depth: u64) -> Result<(), RepoError> {
        for part in parts {
            if depth == 0 {
                self.need(part.reference, true)?;
            } else if self.enter(part.reference)? {
                self.parts(&self.reader.list(part, depth)?, depth - 1)?;
            }
        }
        Ok(())
    }

    /// Marks a chunk of metadata that leads to others; false if that has been done.
    fn enter(&mut self, reference: Reference) -> Result<bool, RepoError> {
        (self.go_on)()?;
        if !self.seen.insert(*prefix(&reference.id)) {
            return Ok(false);
        }
        self.need(reference, false)?;
        Ok(true)
    }

    fn need(&mut self, reference: Reference, content: bool) -> Result<(), RepoError> {
        let locator = self.reader.locator;
        let fits =
            |place: &Place| locator.is_content(place.pack) == content && self.standing[place.pack as usize].is_some();
        let places = locator.places(&reference.id)?.into_iter().filter(fits);
        let best = places.min_by_key(|place| (self.standing[place.pack as usize], locator.pack(place.pack).id));
        let Some(place) = best else {
            return Err(RepoError::MissingChunk { id: reference.id, packs: Vec::new() });
        };
        let (pack, segment, offset) = (place.pack, place.segment, place.offset);
        self.uses.push(Use { pack, segment, offset, length: reference.length });
        if self.uses.len() > 2 * self.sorted + UNSORTED {
            self.sort();
        }
        Ok(())
    }

    fn sort(&mut self) {
        self.uses.sort_unstable();
        self.uses.dedup();
        self.sorted = self.uses.len();
    }
}

/// What can't be read and would say what is needed.
fn undecided(error: RepoError, root: &str) -> RepoError {
    let named = |name: String| if root.is_empty() { name } else { root.to_owned() };
    match error {
        RepoError::MissingChunk { id, .. } => {
            RepoError::Undecided { name: named(String::new()), flaw: Flaw::NeedsChunk(id) }
        }
        RepoError::Damaged { name, flaw } => RepoError::Undecided { name: named(name), flaw },
        other => other,
    }
}
