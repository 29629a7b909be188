//! Deleting what nothing needs: by one planner, and by one path, on which every deletion goes.
//!
//! Nobody waits for anybody. What keeps a collection from deleting what somebody begins to rely on at that moment is an order
//! that both keep (`docs/decisions/0012-collection.md` has the whole argument):
//!
//! - The collector makes its list of what it condemns durable, *then* looks who is writing and which snapshots there are, and
//!   spares what these need. Then the journal entry, then the deletions, and the list is lifted last.
//! - A writer makes its snapshot durable, *then* reads the lists and looks whether all it relies on, its own packs included, is
//!   there. Then the journal entry, and after that once more whether its snapshot is condemned or gone. Then it is told of.
//!
//! So one of the two always sees the other. Leases and their terms only spare work: a run that is wrongly taken for dead finds
//! out and begins again.

mod condemn;
mod increments;
mod leases;
mod mark;
mod plan;
mod removal;
mod reserve;
mod rewrite;
mod scene;
mod witnesses;

pub(crate) use condemn::{about_to_go, condemned_lists, fences};
pub(crate) use leases::Leases;
pub(crate) use mark::is_hopeless;
pub use plan::MaxUnused;

use std::collections::BTreeSet;

use sb_audit::JournalHead;

use plan::{Fate, PackUse, decide};
use removal::Collection;

use crate::backup::Held;
use crate::clock::{Counter, Progress};
use crate::error::RepoError;
use crate::ids::RunId;
use crate::name;
use crate::vault::Vault;
use crate::wire::frame::Author;

use mark::Marked;
use scene::{Scene, Strays};

/// What a collection calls itself in the journal. Its entries raise the vault's generation.
pub(crate) const OPERATION: &str = "collect";

/// How to collect.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CollectOptions {
    /// How much of what nothing needs may stay among what is needed. Default: 5 % of all packs.
    pub max_unused: MaxUnused,
    /// Only find out what would be deleted; nothing is written at all. Default: no.
    pub dry_run: bool,
    /// zstd level of what is written anew. Default: 3.
    pub level: i32,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self { max_unused: MaxUnused::Percent(5), dry_run: false, level: 3 }
    }
}

/// A number of objects and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// What a collection did, or would do.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CollectReport {
    /// Snapshots that were gone through.
    pub snapshots: u64,
    /// Packs deleted because nothing needs anything in them, those of interrupted runs included.
    pub deleted: Tally,
    /// Packs deleted after what is needed of them was written anew: wasteful ones, and many small ones.
    pub rewritten: Tally,
    /// Packs with what was moved, their keys and their places. An estimate before the fact.
    pub written: Tally,
    /// Packs that stay as they are.
    pub kept: Tally,
    /// Bytes in those that nothing needs.
    pub unused: u64,
    /// Other objects deleted: snapshots of interrupted runs, keys of packs that are gone, places of chunks that are gone.
    pub others: Tally,
    /// Packs that were to be rewritten and were not: there was no room, or what is needed of them could not be read.
    pub postponed: Tally,
    /// True if nothing was done.
    pub dry_run: bool,
    /// The newest entry of this machine's journal when it was over: what it wrote and deleted stands there or before. `None` if nothing
    /// was done.
    pub journal: Option<JournalHead>,
}

impl CollectReport {
    /// Bytes that were freed in all.
    pub fn freed(&self) -> u64 {
        (self.deleted.bytes + self.rewritten.bytes + self.others.bytes).saturating_sub(self.written.bytes)
    }
}

impl Vault {
    /// Deletes what no snapshot needs, and what interrupted runs left. Backups of this and other machines may go on meanwhile.
    ///
    /// # Errors
    /// [`RepoError::Busy`] while another collection goes on, [`RepoError::Undecided`] if something is damaged that would say
    /// what is needed, [`RepoError::NoReadingKey`] for who may not read names; nothing is deleted then.
    /// [`RepoError::RolledBack`], [`RepoError::Interrupted`], and errors of storage and state: what was begun then, the next
    /// collection ends.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use sb_crypto::{Lock, KeyFile, SeededRandom};
    /// # use sb_repo::*;
    /// # let random = Arc::new(SeededRandom::new(1));
    /// # let clock = Arc::new(FixedClock(chrono::DateTime::UNIX_EPOCH));
    /// # let storage = Arc::new(sb_store::MemoryStorage::new());
    /// # let around = Surroundings { storage, state: State::in_memory(), clock, random: random.clone() };
    /// # let (mut vault, _) = create(around, &[Lock::KeyFile(KeyFile::generate(&*random))], &CreateOptions::default())?;
    /// # let mut source = sb_source::MemorySource::new(&["/desk"]);
    /// # source.file("/desk/letter", b"Dear Sir");
    /// let monday = vault.backup(&source, &BackupOptions::default(), Progress::none())?;
    /// source.file("/desk/draft", b"it was a mistake");
    /// let tuesday = vault.backup(&source, &BackupOptions::default(), Progress::none())?;
    ///
    /// vault.forget(&[tuesday.snapshot], Progress::none())?;
    /// let report = vault.collect(&CollectOptions::default(), Progress::none())?;
    /// assert!(report.deleted.count > 0);
    /// assert_eq!(vault.snapshots()?.snapshots[0].id, monday.snapshot);
    /// # Ok::<(), RepoError>(())
    /// ```
    pub fn collect(&mut self, options: &CollectOptions, progress: Progress<'_>) -> Result<CollectReport, RepoError> {
        self.refresh()?;
        self.check_heads()?;
        if !self.reads_meta() {
            return Err(RepoError::NoReadingKey { what: "names and snapshots" });
        }
        if options.dry_run {
            let leavings = self.leavings(progress)?;
            let mut strays = Strays::new(self.hopeless(&leavings, progress)?);
            let taken_over = if leavings.has_snapshots() { &leavings.whole[..] } else { &[] };
            return self.as_if_live(taken_over, |vault| vault.preview(options, &mut strays, progress));
        }
        self.release_reserve()?;
        let writer = self.writer()?;
        // What is complete is not left lying about, whoever has lost its entry; what is not is what nobody was told of.
        let strays = Strays::new(self.adopt_snapshots(&writer, progress)?);
        let run = RunId::random(&*self.around.random);
        let state = self.around.state.clone();
        let _alive = state.hold(run)?;
        let author = Author { key: &writer, run };
        let mut lease = Held::take(self, &author, None)?;
        let outcome = Collection::run(self, author, &mut lease, *options, strays, progress);
        lease.end(&self.around);
        Ok(CollectReport { journal: self.journal_head(&writer), ..outcome? })
    }

    /// What a collection would do now.
    fn preview(
        &mut self,
        options: &CollectOptions,
        strays: &mut Strays,
        progress: Progress<'_>,
    ) -> Result<CollectReport, RepoError> {
        let scene = self.look(None, strays)?;
        let marked = Marked::mark(self, &scene, &BTreeSet::new(), progress, &mut || progress.check())?;
        let plan = self.plan(&scene, &marked, options.max_unused, None)?;
        let mut report = CollectReport { dry_run: true, ..plan.report.clone() };
        let gone: BTreeSet<String> = plan.doomed.iter().cloned().chain(plan.names_to_move(&marked)).collect();
        for name in &plan.doomed {
            report.count_deleted(name, self.view.listing[name]);
        }
        for ordinal in plan.moving() {
            report.rewritten.add(marked.locator.pack(ordinal).size);
            report.written.add(marked.share_of(ordinal).0);
        }
        for name in self.unused_tables(&scene, &marked, &gone)? {
            report.others.add(self.view.listing[&name]);
        }
        Ok(report)
    }

    /// What is to be done about packs, and which objects without any use there are.
    fn plan(
        &self,
        scene: &Scene,
        marked: &Marked,
        limit: MaxUnused,
        leave: Option<&BTreeSet<u32>>,
    ) -> Result<Plan, RepoError> {
        let mut plan = Plan::default();
        plan.report.snapshots = marked.roots.len() as u64;
        let mut packs: Vec<(u32, PackUse)> = Vec::new();
        for (ordinal, pack) in (0..).zip(marked.locator.packs()) {
            if scene.held.contains(name::pack(&pack.id).as_str()) {
                continue;
            }
            let (needed, unused) = marked.share_of(ordinal);
            let is_needed = !marked.uses_of(ordinal).is_empty();
            let can_move = self.can_move(pack) && leave.is_none_or(|leave| !leave.contains(&ordinal));
            packs.push((ordinal, PackUse { kind: pack.kind, is_needed, needed, unused, can_move }));
        }
        let fates = decide(&packs.iter().map(|(_, pack)| *pack).collect::<Vec<_>>(), limit, self.room_to_move()?);
        for ((ordinal, pack), fate) in packs.iter().zip(fates) {
            let places = marked.locator.pack(*ordinal);
            match fate {
                Fate::Delete => plan.doomed.push(name::pack(&places.id).to_string()),
                Fate::Rewrite => plan.rewrite.push(*ordinal),
                Fate::Merge => plan.merge.push(*ordinal),
                Fate::Keep => {
                    plan.report.kept.add(places.size);
                    plan.report.unused += pack.unused;
                }
            }
        }
        // Tables of keys go by their packs, whatever they count for themselves.
        plan.doomed.extend(scene.trash.iter().filter(|name| !is_table(name)).cloned());
        plan.doomed.sort();
        plan.doomed.dedup();
        Ok(plan)
    }
}

/// What is to be done.
#[derive(Default)]
struct Plan {
    /// Names of what goes at once.
    doomed: Vec<String>,
    /// Packs of which only what is needed stays.
    rewrite: Vec<u32>,
    /// Small packs that are put together; there was room for all of them.
    merge: Vec<u32>,
    report: CollectReport,
}

impl Plan {
    /// Packs of which something moves, in the order in which room is given to them.
    fn moving(&self) -> impl Iterator<Item = u32> {
        self.merge.iter().chain(&self.rewrite).copied()
    }

    fn names_to_move(&self, marked: &Marked) -> Vec<String> {
        self.moving().map(|ordinal| name::pack(&marked.locator.pack(ordinal).id).to_string()).collect()
    }
}

impl CollectReport {
    fn count_deleted(&mut self, name: &str, bytes: u64) {
        if name.starts_with("packs/") { self.deleted.add(bytes) } else { self.others.add(bytes) }
    }
}

fn is_table(name: &str) -> bool {
    name.starts_with("sessions/") || name.starts_with("twin/sessions/")
}

/// Counts what was deleted.
fn count(progress: Progress<'_>, objects: usize) {
    progress.monitor.count(Counter::Objects, objects as u64);
}
