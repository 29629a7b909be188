//! One attempt at a backup: everything up to the journal entry that acknowledges it.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use sb_crypto::{SigningKey, TreeHasher, seal_to};
use sb_source::{Problem, Source};
use sb_store::create;

use super::base::Base;
use super::lease::Held;
use super::{BackupOptions, BackupReport, PROBLEMS_KEPT};
use crate::chunks::ChunkReader;
use crate::clock::{Counter, Progress};
use crate::error::RepoError;
use crate::ids::{ChunkId, RunId, SnapshotId, TableId};
use crate::keys::{ChunkIds, id_of};
use crate::locator::{Locator, write_locator};
use crate::name;
use crate::name::{ObjectKind, Stem};
use crate::pack::{FinishedPack, Segmenter, Tools};
use crate::sessions::table_of;
use crate::snapshots::Snapshot;
use crate::tree::{ChunkSink, Redactions, TreeReader};
use crate::vault::{Change, Vault};
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::locator::{LocatorEntry, PackPlaces, prefix};
use crate::wire::node::Reference;
use crate::wire::snapshot::{Counts, INFO, SnapshotBody, SnapshotType};

/// An increment of the locator is written after this many packs.
const PACKS_PER_LOCATOR: usize = 8;

/// The state of a run while it goes through the source.
pub(super) struct Run<'a> {
    pub(super) tools: Tools<'a>,
    pub(super) progress: Progress<'a>,
    lease: &'a mut Held,
    locator: &'a Locator,
    content: Segmenter<'a>,
    meta: Segmenter<'a>,
    content_ids: ChunkIds,
    meta_ids: ChunkIds,
    /// Chunks that this run stored.
    fresh: HashSet<[u8; 16]>,
    /// Packs of earlier runs that this one relies on.
    pub(super) used: HashSet<u32>,
    pub(super) added: Vec<Added>,
    unlocated: Vec<PackPlaces>,
    entries: Vec<LocatorEntry>,
    pub(super) counts: Counts,
    pub(super) documents: TreeHasher,
    pub(super) problems: Vec<Problem>,
    pub(super) problem_count: u64,
    /// What files are read into.
    pub(super) buffer: Vec<u8>,
}

/// What going through the source yields.
pub(super) struct Gathered {
    root: Reference,
    problems_at: Option<Reference>,
}

impl Vault {
    pub(super) fn attempt(
        &mut self,
        writer: &SigningKey,
        source: &dyn Source,
        options: &BackupOptions,
        progress: Progress<'_>,
    ) -> Result<BackupReport, RepoError> {
        let run = RunId::random(&*self.around.random);
        let state = self.around.state.clone();
        let _alive = state.hold(run)?;
        let author = Author { key: writer, run };
        let base = self.newest_like(source, options, progress)?;
        let mut lease = Held::take(self, &author, base.as_ref().map(|base| base.id))?;
        let outcome = self.gather_and_commit(&author, source, options, progress, &mut lease, base.as_ref());
        // Whether it went well or not, the run is over.
        lease.end(&self.around);
        outcome
    }

    fn gather_and_commit(
        &mut self,
        author: &Author<'_>,
        source: &dyn Source,
        options: &BackupOptions,
        progress: Progress<'_>,
        lease: &mut Held,
        base: Option<&Snapshot>,
    ) -> Result<BackupReport, RepoError> {
        let started = lease.started();
        let scope = self.writing()?;
        let locator = Locator::load(&self.view, &self.keys, progress.monitor, scope)?;
        let (snapshot, mut added, report, packs, tables) = {
            let tools = Tools {
                around: &self.around,
                view: &self.view,
                keys: &self.keys,
                epoch: self.epoch(),
                author: *author,
                user: self.keyring.user,
            };
            let chunks = ChunkReader::new(&self.view, &self.keys, &self.finder);
            // A base that can't be read costs salts, not correctness; read without its redactions, it would bring back
            // nodes that readers see others in the place of.
            let redactions = Redactions::load(&self.view, &self.keys);
            let base_root = base.filter(|_| redactions.is_ok()).map(Snapshot::root);
            let redactions = redactions.unwrap_or_default();
            let reader = TreeReader { chunks: &chunks, locator: &locator, redactions: &redactions };
            let base_tree = Base::new(reader, base_root);
            let mut run = Run::new(tools, progress, &locator, lease, options.level);
            let gathered = run.gather(source, base_tree)?;
            let body = run.snapshot(source, options, started, base, &gathered);
            let (snapshot, name) = run.write_snapshot(&body)?;
            let needed: BTreeSet<String> =
                run.used.iter().map(|pack| name::pack(&locator.pack(*pack).id).to_string()).collect();
            let tables: BTreeSet<TableId> = run.used.iter().map(|pack| table_of(&locator.pack(*pack).key)).collect();
            let report = BackupReport {
                snapshot,
                counts: body.counts,
                problem_count: run.problem_count,
                problems: std::mem::take(&mut run.problems),
                adopted: 0,
            };
            (name, run.added, report, needed, tables)
        };
        if let Err(error) = self.check_still_there(&packs, &tables, &added) {
            // What the run stored itself serves the next attempt, unless that is what somebody took away.
            let (none, tables) = (BTreeSet::new(), BTreeSet::new());
            let own_holds = self.check_still_there(&none, &tables, &added).is_ok();
            self.abandon(author, &snapshot, if own_holds { added } else { Vec::new() })?;
            return Err(error);
        }
        added.push(snapshot.clone());
        self.append(author.key, author.run, Change { operation: "backup", added, removed: Vec::new() })?;
        if let Err(error) = self.check_acknowledged(&snapshot) {
            self.abandon(author, &snapshot, Vec::new())?;
            return Err(error);
        }
        Ok(report)
    }

    /// Nobody was told of this snapshot, and it may not hold: nobody may adopt it either. The next attempt uses the rest.
    fn abandon(&mut self, author: &Author<'_>, snapshot: &Added, added: Vec<Added>) -> Result<(), RepoError> {
        let doomed = vec![snapshot.name.clone()];
        let removed = vec![(snapshot.name.clone(), snapshot.size)];
        let list = self.condemn(author, &doomed)?;
        self.carry_out(author, &list, Change { operation: "abandon", added, removed }, &doomed)
    }

    /// The newest snapshot of the same machine and the same sources.
    fn newest_like(
        &self,
        source: &dyn Source,
        options: &BackupOptions,
        progress: Progress<'_>,
    ) -> Result<Option<Snapshot>, RepoError> {
        if !self.keys.reads_meta() {
            return Ok(None);
        }
        let sources: Vec<_> = source.roots().iter().map(|root| root.as_bytes().to_vec()).collect();
        let mut snapshots = self.snapshots()?.snapshots;
        if snapshots.last().is_some_and(|newest| newest.started() > self.around.clock.now()) {
            progress
                .monitor
                .warning("the clock is behind the newest snapshot; `latest` goes by the clock, so set it right");
        }
        snapshots.retain(|snapshot| snapshot.host() == options.host && snapshot.sources() == sources);
        Ok(snapshots.pop())
    }
}

impl<'a> Run<'a> {
    fn new(tools: Tools<'a>, progress: Progress<'a>, locator: &'a Locator, lease: &'a mut Held, level: i32) -> Self {
        let content = Segmenter::new(tools, ObjectKind::ContentPack, level);
        let meta = Segmenter::new(tools, ObjectKind::MetaPack, level);
        let (unlocated, entries) = locator.uncovered();
        Self {
            content_ids: tools.keys.chunk_ids(ObjectKind::ContentPack, content.bucket()),
            meta_ids: tools.keys.chunk_ids(ObjectKind::MetaPack, meta.bucket()),
            tools,
            progress,
            lease,
            locator,
            content,
            meta,
            fresh: HashSet::new(),
            used: HashSet::new(),
            added: Vec::new(),
            unlocated,
            entries,
            counts: Counts::default(),
            documents: TreeHasher::new(),
            problems: Vec::new(),
            problem_count: 0,
            buffer: Vec::new(),
        }
    }

    /// Goes through the source and makes everything it holds durable.
    fn gather(&mut self, source: &dyn Source, base: Base<'_>) -> Result<Gathered, RepoError> {
        let root = self.walk(source, base)?;
        let problems_at = self.store_problems()?;
        for content in [true, false] {
            let segmenter = if content { &mut self.content } else { &mut self.meta };
            for pack in segmenter.finish(&mut self.added)? {
                self.finished(pack)?;
            }
        }
        self.flush_locator()?;
        Ok(Gathered { root, problems_at })
    }

    /// Goes on, unless the caller wants to stop; so often that the lease never expires.
    pub(super) fn go_on(&mut self) -> Result<(), RepoError> {
        self.progress.check()?;
        self.lease.keep(self.tools.around, &self.tools.author)
    }

    /// Stores a chunk of content, unless the vault has it.
    pub(super) fn store_content(&mut self, chunk: &[u8]) -> Result<Reference, RepoError> {
        let id = self.content_ids.of(chunk);
        if !self.is_known(&id, true) {
            self.counts.new_chunks += 1;
            self.counts.new_bytes += chunk.len() as u64;
            self.progress.monitor.count(Counter::NewChunks, 1);
            let finished = self.content.add(id, chunk, &mut self.added)?;
            finished.map_or(Ok(()), |pack| self.finished(pack))?;
        }
        Ok(reference(id, chunk.len()))
    }

    /// True if the chunk need not be stored; then this run relies on the pack that has it.
    fn is_known(&mut self, id: &ChunkId, content: bool) -> bool {
        let mut places = self.locator.places(id).filter(|place| self.locator.is_content(place.pack) == content);
        if let Some(place) = places.next() {
            self.used.insert(place.pack);
            return true;
        }
        !self.fresh.insert(*prefix(id))
    }

    fn finished(&mut self, pack: FinishedPack) -> Result<(), RepoError> {
        self.counts.stored_bytes += pack.places.size;
        self.progress.monitor.count(Counter::Stored, pack.places.size);
        let ordinal = u32::try_from(self.unlocated.len()).expect("a handful");
        self.entries.extend(crate::locator::entries_of(&pack.footer, ordinal));
        self.unlocated.push(pack.places);
        self.added.push(pack.added);
        if self.unlocated.len() >= PACKS_PER_LOCATOR { self.flush_locator() } else { Ok(()) }
    }

    fn flush_locator(&mut self) -> Result<(), RepoError> {
        if self.unlocated.is_empty() {
            return Ok(());
        }
        let Tools { around, view, keys, author, .. } = self.tools;
        let (packs, entries) = (std::mem::take(&mut self.unlocated), std::mem::take(&mut self.entries));
        self.added.push(write_locator(around, view.id(), keys, &author, packs, entries)?);
        Ok(())
    }

    /// Records a problem of the source.
    pub(super) fn problem(&mut self, problem: Problem) {
        self.progress.monitor.problem(&problem);
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_KEPT {
            self.problems.push(problem);
        }
    }

    fn snapshot(
        &self,
        source: &dyn Source,
        options: &BackupOptions,
        started: DateTime<Utc>,
        base: Option<&Snapshot>,
        gathered: &Gathered,
    ) -> SnapshotBody {
        SnapshotBody {
            compartment: self.tools.keys.id,
            root: gathered.root,
            base: base.map(|base| base.id),
            kind: SnapshotType::Full,
            host: options.host.clone(),
            user: self.tools.user,
            sources: source.roots().iter().map(|root| root.as_bytes().to_vec()).collect(),
            started,
            finished: self.tools.around.clock.now(),
            counts: self.counts,
            document_root: self.documents.root(),
            documents: self.documents.len(),
            problem_count: self.problem_count,
            problems: gathered.problems_at,
            tags: options.tags.clone(),
            version: options.version.clone(),
        }
    }

    fn write_snapshot(&self, body: &SnapshotBody) -> Result<(SnapshotId, Added), RepoError> {
        let Tools { around, view, epoch, author, .. } = self.tools;
        let header = Header { kind: ObjectKind::Snapshot, vault: view.id(), key: epoch.meta.key_id() };
        let sealed = seal_to(&epoch.meta, INFO, &header.to_bytes(), &body.encode(), &*around.random)?;
        let stem = Stem::immutable(ObjectKind::Snapshot);
        let (bytes, digest) = author.frame(header, &sealed, &stem);
        let name = stem.name(&digest);
        create(&*around.storage, &name, &bytes)?;
        Ok((id_of(digest), Added { name: name.to_string(), size: bytes.len() as u64, digest: None }))
    }
}

impl ChunkSink for Run<'_> {
    fn store(&mut self, chunk: Vec<u8>) -> Result<Reference, RepoError> {
        let id = self.meta_ids.of(&chunk);
        if !self.is_known(&id, false) {
            let finished = self.meta.add(id, &chunk, &mut self.added)?;
            finished.map_or(Ok(()), |pack| self.finished(pack))?;
        }
        Ok(reference(id, chunk.len()))
    }
}

fn reference(id: ChunkId, length: usize) -> Reference {
    Reference { id, length: u32::try_from(length).expect("a chunk is smaller than a segment") }
}
