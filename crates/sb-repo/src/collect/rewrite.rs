//! Moving what is needed out of packs that hold much that is not.

use std::collections::BTreeSet;

use super::mark::{Marked, Use};
use super::removal::Collection;
use super::scene::Scene;
use super::{OPERATION, Plan, Tally};
use crate::chunks::ChunkReader;
use crate::error::{Flaw, RepoError};
use crate::keys::CompartmentKeys;
use crate::locator::entries_of;
use crate::name::{self, ObjectKind};
use crate::pack::{FinishedPack, Segmenter, Tools, read_pack_footer};
use crate::rebuild::Increments;
use crate::sessions::KeyFinder;
use crate::vault::{Change, Vault};
use crate::wire::journal::Added;
use crate::wire::locator::PackPlaces;

/// Of the free space this much is left alone, in hundredths: what is moved may come out larger than it was.
const SPARE: u64 = 25;

/// A chunk that moves: its id and bytes.
type Moved<'m> = dyn FnMut(crate::ids::ChunkId, &[u8]) -> Result<(), RepoError> + 'm;

impl Vault {
    /// True if this user's keys open the pack, and new packs take its place.
    pub(super) fn can_move(&self, pack: &PackPlaces) -> bool {
        let opens = |keys: &CompartmentKeys| match pack.kind {
            ObjectKind::ContentPack => keys.reads_content(),
            _ => keys.reads_meta(),
        };
        self.keys.as_ref().is_some_and(|keys| opens(keys) && pack.bucket == keys.bucket(pack.kind))
    }

    /// Bytes that may be written before anything is freed.
    pub(super) fn room_to_move(&self) -> Result<u64, RepoError> {
        let free = self.around.storage.space()?.map_or(u64::MAX, |space| space.free);
        Ok(free / 100 * (100 - SPARE))
    }
}

impl Collection<'_> {
    /// Rewrites packs until little enough is left of what nothing needs, as many at once as there is room for.
    pub(super) fn rewrite_all(&mut self, marked: &mut Marked) -> Result<(), RepoError> {
        // Each is tried once, and what is new not at all, so that this ends whatever others do meanwhile.
        let (mut tried, mut unreadable): (BTreeSet<String>, BTreeSet<String>) = Default::default();
        loop {
            let scene = self.look(Some(&BTreeSet::new()))?;
            let ordinals = tried.iter().filter_map(|name| marked.ordinal(name)).collect();
            let plan = self.vault.plan(&scene, marked, self.options.max_unused, Some(&ordinals))?;
            (self.report.kept, self.report.unused) = (plan.report.kept, plan.report.unused);
            let batch = self.that_fit(&plan, marked)?;
            if batch.is_empty() {
                return self.postpone(&plan.rewrite, unreadable, marked);
            }
            let pack_of = |pack: u32| name::pack(&marked.locator.pack(pack).id).to_string();
            tried.extend(batch.iter().map(|pack| pack_of(*pack)));
            let (moved, new) = self.move_needed(&batch, marked, &scene, &mut unreadable)?;
            tried.extend(new);
            let mut names: Vec<String> = moved.iter().map(|pack| pack_of(*pack)).collect();
            names.sort();
            let tables: BTreeSet<String> = {
                let gone = names.iter().cloned().collect();
                self.vault.unused_tables(&scene, marked, &gone)?.into_iter().collect()
            };
            names.extend(tables);
            for portion in self.portions(names)? {
                for (name, size) in self.remove(portion, Vec::new(), marked, true)? {
                    if name.starts_with("packs/") {
                        self.report.rewritten.add(size);
                    } else {
                        self.report.others.add(size);
                    }
                }
            }
        }
    }

    /// Those of the packs to move whose needed part there is room for, in order.
    fn that_fit(&self, plan: &Plan, marked: &Marked) -> Result<Vec<u32>, RepoError> {
        let mut room = self.vault.room_to_move()?;
        let mut batch = Vec::new();
        for pack in plan.moving() {
            let (needed, _) = marked.share_of(pack);
            match room.checked_sub(needed) {
                Some(rest) => room = rest,
                None => continue,
            }
            batch.push(pack);
        }
        Ok(batch)
    }

    /// Says what stays though it was to be rewritten: there was no room for these, and the others count among what stays.
    fn postpone(&mut self, packs: &[u32], unreadable: BTreeSet<String>, marked: &Marked) -> Result<(), RepoError> {
        let mut left: BTreeSet<u32> = unreadable.iter().filter_map(|name| marked.ordinal(name)).collect();
        for pack in packs {
            if left.insert(*pack) {
                self.report.kept.add(marked.locator.pack(*pack).size);
                self.report.unused += marked.share_of(*pack).1;
            }
        }
        let mut postponed = Tally::default();
        for pack in left {
            postponed.add(marked.locator.pack(pack).size);
        }
        if postponed.count > 0 {
            let text = format!(
                "{} packs with much that nothing needs stay: no room to move the rest, or damaged",
                postponed.count
            );
            self.progress.monitor.warning(&text);
        }
        self.report.postponed = postponed;
        Ok(())
    }

    /// Writes what is needed of these packs into new ones, and enters them into the journal. Which packs it could do that for, and
    /// the names of the new ones.
    fn move_needed(
        &mut self,
        packs: &[u32],
        marked: &Marked,
        scene: &Scene,
        unreadable: &mut BTreeSet<String>,
    ) -> Result<(Vec<u32>, Vec<String>), RepoError> {
        let (mut added, mut moved) = (Vec::new(), Vec::new());
        let Self { vault, author, lease, progress, options, .. } = self;
        let vault: &Vault = vault;
        let tools = Tools {
            around: &vault.around,
            view: &vault.view,
            keys: vault.keys()?,
            epoch: vault.epoch(),
            author: *author,
            user: vault.keyring.user,
        };
        let finder = KeyFinder::new(&scene.view);
        let chunks = ChunkReader::new(&scene.view, vault.keys()?, &finder);
        let mut increments = Increments::new(vault, author);
        for kind in [ObjectKind::ContentPack, ObjectKind::MetaPack] {
            let mut segmenter = Segmenter::new(tools, kind, options.level);
            let mut finished: Vec<FinishedPack> = Vec::new();
            for pack in packs.iter().filter(|pack| marked.locator.pack(**pack).kind == kind) {
                progress.check()?;
                lease.keep(&vault.around, author)?;
                let outcome = survivors(vault, &chunks, marked, *pack, &mut |id, chunk| {
                    finished.extend(segmenter.add(id, chunk, &mut added)?);
                    Ok(())
                });
                match outcome {
                    Ok(()) => moved.push(*pack),
                    // What can't be read stays where it is; half of it may have moved, which costs space and nothing else.
                    Err(RepoError::Damaged { name, flaw }) => {
                        progress.monitor.warning(&format!("`{name}` is damaged and stays as it is: {flaw}"));
                        unreadable.insert(name::pack(&marked.locator.pack(*pack).id).to_string());
                    }
                    Err(error) => return Err(error),
                }
                locate(&mut increments, &mut finished, &mut added)?;
            }
            finished.extend(segmenter.finish(&mut added)?);
            locate(&mut increments, &mut finished, &mut added)?;
        }
        added.extend(increments.finish()?);
        let new = added.iter().filter(|object| object.name.starts_with("packs/"));
        let new = new.map(|object| object.name.clone()).collect();
        self.enter(added)?;
        Ok((moved, new))
    }

    /// Enters new packs into the journal, by the rules that every run keeps to.
    fn enter(&mut self, added: Vec<Added>) -> Result<(), RepoError> {
        if added.is_empty() {
            return Ok(());
        }
        self.vault.check_still_there(&BTreeSet::new(), &BTreeSet::new(), &added)?;
        added.iter().for_each(|object| self.report.written.add(object.size));
        let change = Change { operation: OPERATION, added, removed: Vec::new(), ..Change::default() };
        self.vault.append(self.author.key, self.author.run, change)
    }
}

/// Notes new packs, and where everything in them is.
fn locate(
    increments: &mut Increments<'_>,
    finished: &mut Vec<FinishedPack>,
    added: &mut Vec<Added>,
) -> Result<(), RepoError> {
    for pack in finished.drain(..) {
        increments.add(pack.places, |ordinal| entries_of(&pack.footer, ordinal).collect())?;
        added.push(pack.added);
    }
    Ok(())
}

/// Gives each needed chunk of a pack to `each`, whole and with the id that the pack's footer says.
fn survivors(
    vault: &Vault,
    chunks: &ChunkReader<'_>,
    marked: &Marked,
    pack: u32,
    each: &mut Moved<'_>,
) -> Result<(), RepoError> {
    let places = marked.locator.pack(pack);
    let name = name::pack(&places.id);
    let (_, footer) = read_pack_footer(&*vault.around.storage, &name, places.id, vault.keys()?)?;
    let ids = vault.keys()?.chunk_ids(places.kind, places.bucket);
    let uses = marked.uses_of(pack);
    let mut found = 0;
    for (number, segment) in (0..).zip(&footer.segments) {
        let needed =
            |offset: u32, length: u32| uses.binary_search(&Use { pack, segment: number, offset, length }).is_ok();
        let from = uses.partition_point(|each| each.segment < number);
        if uses.get(from).is_none_or(|first| first.segment != number) {
            continue;
        }
        let raw = chunks.segment(&marked.locator, pack, number)?;
        let mut offset = 0;
        for (id, length) in &segment.chunks {
            if needed(offset, *length) {
                let chunk = raw.get(offset as usize..(offset + length) as usize);
                let chunk = chunk.filter(|chunk| ids.of(chunk) == *id);
                each(*id, chunk.ok_or_else(|| RepoError::damaged(&name, Flaw::WrongChunk(number)))?)?;
                found += 1;
            }
            offset += length;
        }
    }
    // The locator may say otherwise than the footer, which then does not hold what is needed.
    if found == uses.len() { Ok(()) } else { Err(RepoError::damaged(&name, Flaw::WrongChunk(0))) }
}
