//! One attempt at a backup: everything up to the journal entry that acknowledges it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sb_audit::{DocumentTree, Referenced, Written};
use sb_crypto::{Digest, SigningKey, seal_to, sha256};
use sb_source::Source;
use sb_store::{ObjectName, create};

use super::base::Base;
use super::cache::{CacheHeader, CacheReader, CacheSeal, CacheWriter, cache_name};
use super::compare::Rule;
use super::lease::Held;
use super::previous::Previous;
use super::store::Store;
use super::walk::Lead;
use super::{BackupOptions, BackupReport};
use crate::certificates::{BackupFacts, CertificateTerms, Certified, read_back, write_certificate};
use crate::chunks::ChunkReader;
use crate::clock::Progress;
use crate::error::{Flaw, RepoError};
use crate::ids::{PackId, RunId, SnapshotId, TableId};
use crate::keys::id_of;
use crate::live::Recorded;
use crate::locator::Scope;
use crate::name::{ObjectKind, ParsedName, Stem, TWIN};
use crate::pack::Tools;
use crate::snapshots::Snapshot;
use crate::state::Depth;
use crate::tree::{Redactions, TreeReader};
use crate::trust::key_id;
use crate::vault::{Change, Vault};
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::node::Reference;
use crate::wire::snapshot::{Counts, INFO, SnapshotBody, SnapshotType};

/// What a run is asked to do.
#[derive(Clone, Copy)]
struct Request<'a> {
    author: Author<'a>,
    source: &'a dyn Source,
    options: &'a BackupOptions,
    progress: Progress<'a>,
}

/// What a run is compared with.
struct Compared {
    /// Of which snapshot it was, and how it is to be used.
    base: Option<SnapshotId>,
    kind: SnapshotType,
    cache: Option<CacheReader>,
    /// The tree of the base, where there is no cache.
    tree: Option<Snapshot>,
    /// What is reused is looked up first.
    exact: bool,
    /// What a snapshot relies on that takes over all that the cache knows.
    packs: BTreeSet<String>,
    tables: BTreeSet<TableId>,
}

/// What a run came to before it is acknowledged.
struct Gathered {
    snapshot: Added,
    added: Vec<Added>,
    report: BackupReport,
    packs: BTreeSet<String>,
    tables: BTreeSet<TableId>,
    cache: Option<CacheWriter>,
    started: DateTime<Utc>,
    tree: DocumentTree,
}

impl Vault {
    pub(super) fn attempt(
        &mut self,
        writer: &SigningKey,
        source: &dyn Source,
        options: &BackupOptions,
        adopted: bool,
        progress: Progress<'_>,
    ) -> Result<BackupReport, RepoError> {
        let run = RunId::random(&*self.around.random);
        let state = self.around.state.clone();
        let _alive = state.hold(run)?;
        let author = Author { key: writer, run };
        let scope = self.writing()?;
        let compared = self.compared(source, options, &scope, adopted, progress)?;
        if compared.base.is_none() {
            self.estimate(source, progress)?;
        }
        let mut lease = Held::take(self, &author, compared.base)?;
        let name = cache_name(self.keys()?, &options.host, &source.roots());
        let request = Request { author, source, options, progress };
        let outcome = self.gather(request, &mut lease, scope, compared).and_then(|gathered| match options.dry_run {
            true => Ok(gathered.report),
            false => self.acknowledge(request, gathered, &name),
        });
        // Whether it went well or not, the run is over.
        lease.end(&self.around);
        outcome
    }

    /// What to compare this run with: the cache of an earlier one if there is a good one, else the tree of a snapshot.
    fn compared(
        &self,
        source: &dyn Source,
        options: &BackupOptions,
        scope: &Scope,
        adopted: bool,
        progress: Progress<'_>,
    ) -> Result<Compared, RepoError> {
        // Of one that was forgotten there may be a cache.
        let is_forgotten = |parent: &SnapshotId| self.view.live.is_removed(snapshot_name(*parent).as_str());
        if let Some(parent) = options.parent.filter(is_forgotten) {
            return Err(RepoError::NoSuchSnapshot { name: parent.to_string() });
        }
        let Some(cache) = self.cached(source, options) else {
            let tree = match options.parent {
                Some(parent) => Some(self.find_snapshot(&parent.to_string())?),
                None => self.newest_like(source, options, progress)?,
            };
            let base = tree.as_ref().map(|base| base.id);
            return Ok(Compared {
                base,
                kind: SnapshotType::Full,
                cache: None,
                tree,
                exact: true,
                packs: BTreeSet::new(),
                tables: BTreeSet::new(),
            });
        };
        let mut kind = match options.kind {
            // Only since a full one is it differential.
            SnapshotType::Differential if options.parent.is_some() => SnapshotType::Incremental,
            kind => kind,
        };
        let now = self.around.clock.now();
        if cache.header.started > now.timestamp() {
            progress.monitor.warning(
                "the clock is behind that of the last run, so times tell nothing and every file is read; set it right, since \
                 `latest` goes by it, too",
            );
            kind = SnapshotType::Full;
        }
        let packs: BTreeSet<String> = self
            .view
            .live
            .iter()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("packs/"))
            .map(str::to_owned)
            .collect();
        let tables = self.view.live.iter().filter(|(name, _)| name.starts_with("sessions/"));
        let tables: BTreeSet<TableId> =
            tables.filter_map(|(name, _)| TableId::from_hex(ParsedName::parse(name)?.stem.id())).collect();
        let exact = kind == SnapshotType::Full || adopted || !self.is_base_kept(&cache) || !self.is_sound(scope);
        Ok(Compared { base: Some(cache.header.snapshot), kind, cache: Some(cache), tree: None, exact, packs, tables })
    }

    /// The cache of the run to compare with, if this machine has a good one.
    fn cached(&self, source: &dyn Source, options: &BackupOptions) -> Option<CacheReader> {
        let name = cache_name(self.keys().ok()?, &options.host, &source.roots());
        let which = match (options.parent, options.kind) {
            (Some(_), _) => &[NEWEST, FULL][..],
            (None, SnapshotType::Differential) => &[FULL],
            (None, _) => &[NEWEST],
        };
        let is_of_this_vault = |header: &CacheHeader| {
            let object = snapshot_name(header.snapshot);
            let is_known = self.view.live.contains(object.as_str()) || self.view.live.is_removed(object.as_str());
            header.name == name && is_known && header.redactions == self.redactions()
        };
        let is_meant = |header: &CacheHeader| match options.parent {
            Some(parent) => header.snapshot == parent,
            None => header.full || options.kind != SnapshotType::Differential,
        };
        which.iter().find_map(|which| {
            let seal = CacheSeal::new(self.id(), self.keys().ok()?);
            let cache = CacheReader::open(&self.around.state, seal, &format!("{name}.{which}"))?;
            (is_meant(&cache.header) && is_of_this_vault(&cache.header)).then_some(cache)
        })
    }

    /// True if the snapshot that a cache is of is there. Collections may have been since: they leave what it needs.
    fn is_base_kept(&self, cache: &CacheReader) -> bool {
        self.view.live.contains(snapshot_name(cache.header.snapshot).as_str())
    }

    /// Tells one set of redactions from another.
    fn redactions(&self) -> Digest {
        let names = self.view.live.iter().map(|(name, _)| name).filter(|name| name.starts_with("redactions/"));
        sha256(names.collect::<Vec<_>>().concat().as_bytes())
    }

    /// True if nothing that the vault should have is gone, damaged as far as that shows at a glance, or about to go.
    fn is_sound(&self, scope: &Scope) -> bool {
        let Scope::Writing { condemned, unusable_tables } = scope else { return false };
        let counts = |name: &str| {
            ["packs/", "sessions/", "locator/"]
                .iter()
                .any(|folder| name.strip_prefix(TWIN).unwrap_or(name).starts_with(folder))
        };
        let is_there =
            |(name, recorded): (&str, Recorded)| !counts(name) || self.view.listing.get(name) == Some(&recorded.size);
        condemned.is_empty()
            && unusable_tables.is_empty()
            && !self.view.live.is_incomplete()
            && self.view.live.iter().all(is_there)
    }

    fn gather(
        &self,
        request: Request<'_>,
        lease: &mut Held,
        scope: Scope,
        compared: Compared,
    ) -> Result<Gathered, RepoError> {
        let Request { author, source, options, progress } = request;
        let started = lease.started();
        let (epoch, user) = (self.epoch(), self.keyring.user);
        let tools = Tools { around: &self.around, view: &self.view, keys: self.keys()?, epoch, author, user };
        let rule = Rule {
            read_all: compared.kind == SnapshotType::Full,
            ignore_ctime: options.ignore_ctime,
            ignore_inode: options.ignore_inode,
            exact: compared.exact,
            started: started.timestamp(),
        };
        let store = Store::new(tools, progress, lease, scope, options.threads(), options.level);
        if rule.exact {
            // Also so that what is in no increment of it gets into one.
            store.known.locator(&tools, progress.monitor)?;
        }
        // A base that can't be read costs salts, not correctness; read without its redactions, it would bring back nodes
        // that readers see others in the place of.
        let redactions = if compared.tree.is_some() { Redactions::load(&self.view, self.keys()?).ok() } else { None };
        let chunks = ChunkReader::new(&self.view, self.keys()?, &self.finder);
        let previous = match (compared.cache, &compared.tree, &redactions) {
            (Some(cache), ..) => Previous::Cache(Box::new(cache)),
            (None, Some(base), Some(redactions)) => {
                let locator = store.known.locator(&tools, progress.monitor)?;
                let reader = TreeReader { chunks: &chunks, locator, redactions };
                Previous::tree(Base::new(reader, Some(base.root())))
            }
            _ => Previous::Nothing,
        };
        let seal = CacheSeal::new(self.id(), self.keys()?);
        let cache = (!options.dry_run).then(|| CacheWriter::begin(&self.around.state, seal, &*self.around.random));
        let mut lead = Lead::new(&store, source, rule, previous, cache);
        let (root, problems) = store.run(|| lead.go())?;
        let added = store.written()?;
        let body = SnapshotBody {
            base: compared.base,
            kind: compared.kind,
            started: options.time.unwrap_or(started),
            ..request.body(&tools, &lead, store.counts(lead.counts), root, problems)
        };
        let (id, snapshot) = write_snapshot(&tools, &body)?;
        let (mut packs, mut tables) = store.known.relied_on();
        if lead.past.is_relied_on() && !compared.exact {
            packs.extend(compared.packs);
            tables.extend(compared.tables);
        }
        let report = BackupReport {
            snapshot: id,
            dry_run: options.dry_run,
            kind: body.kind,
            base: body.base,
            counts: body.counts,
            changes: lead.changes,
            problem_count: lead.problem_count,
            problems: std::mem::take(&mut lead.problems),
            adopted: 0,
            journal: None,
            read_back: Written { objects: 0, bytes: 0 },
            certificate: None,
        };
        let tree = DocumentTree { size: body.documents, root: body.document_root };
        Ok(Gathered { snapshot, added, report, packs, tables, cache: lead.cache.take(), started, tree })
    }

    /// Reading back, the last look, the certificate, and the journal entry.
    fn acknowledge(
        &mut self,
        request: Request<'_>,
        gathered: Gathered,
        cache_name: &str,
    ) -> Result<BackupReport, RepoError> {
        let Request { author, options, progress, .. } = request;
        let author = &author;
        let Gathered { snapshot, mut added, mut report, packs, tables, cache, started, tree } = gathered;
        let mine: Vec<&Added> = added.iter().chain([&snapshot]).collect();
        let (read, rotten) = read_back(&*self.around.storage, &mine, progress)?;
        if let Err(error) = self.discard(rotten) {
            // What is whole is taken over by the next attempt.
            self.abandon(author, &[snapshot], Vec::new())?;
            return Err(error);
        }
        report.read_back = read;
        if let Err(error) = self.check_still_there(&packs, &tables, &added) {
            // What the run stored itself serves the next attempt, unless that is what somebody took away.
            let (none, tables) = (BTreeSet::new(), BTreeSet::new());
            let own_holds = self.check_still_there(&none, &tables, &added).is_ok();
            self.abandon(author, &[snapshot], if own_holds { added } else { Vec::new() })?;
            return Err(error);
        }
        let mut claims = vec![snapshot.clone()];
        if let Some(terms) = &options.certificate {
            let facts = Facts { packs: &packs, own: &added, started, tree, terms, threads: options.threads() };
            match self.certify(author, &report, facts) {
                Ok((certified, mut proofs)) => {
                    report.certificate = Some(certified);
                    claims.append(&mut proofs);
                }
                Err(error) => {
                    // Nobody was told of the snapshot; the next attempt makes one of its own, which is certified.
                    let abandoned = self.abandon(author, &claims, Vec::new());
                    return Err(if let RepoError::ReadBack { .. } = error {
                        abandoned.err().unwrap_or(error)
                    } else {
                        error
                    });
                }
            }
        }
        let own_packs = added.iter().filter_map(|object| pack_of(&object.name)).map(|pack| (pack, Depth::Objects));
        let own_packs: Vec<_> = own_packs.collect();
        added.extend(claims.iter().cloned());
        self.append(
            author.key,
            author.run,
            Change { operation: "backup", added, removed: Vec::new(), ..Change::default() },
        )?;
        if let Err(error) = self.check_acknowledged(&snapshot) {
            self.abandon(author, &claims, Vec::new())?;
            return Err(error);
        }
        self.read_back_entry(author.key)?;
        // They were read in full a moment ago. Who can't remember that reads them again sooner.
        let _ = self.around.state.enter_read(&own_packs, self.around.clock.now());
        let header = CacheHeader {
            name: cache_name.to_owned(),
            full: report.kind == SnapshotType::Full,
            snapshot: report.snapshot,
            redactions: self.redactions(),
            started: started.timestamp(),
        };
        let mut names = vec![format!("{cache_name}.{NEWEST}")];
        if report.kind == SnapshotType::Full {
            names.push(format!("{cache_name}.{FULL}"));
        }
        // Without it the next run reads everything, and stores nothing twice.
        let _ = cache.is_some_and(|cache| cache.finish(&header, &names));
        let journal = self.journal_head(author.key).filter(|_| !report.dry_run);
        Ok(BackupReport { journal, ..report })
    }

    /// Certifies what is about to be acknowledged.
    fn certify(
        &self,
        author: &Author<'_>,
        report: &BackupReport,
        facts: Facts<'_>,
    ) -> Result<(Certified, Vec<Added>), RepoError> {
        let journal = self.journal_head(author.key).expect("a machine that writes has enrolled");
        let own: BTreeSet<&str> = facts.own.iter().map(|object| object.name.as_str()).collect();
        let statement = self.view.backup_statement(
            &BackupFacts {
                snapshot: report.snapshot,
                started: facts.started,
                tree: facts.tree,
                bytes: report.counts.bytes,
                problems: report.problem_count,
                written: report.read_back,
                referenced: self.referenced(facts.packs.iter().filter(|name| !own.contains(name.as_str()))),
                journal,
                terms: facts.terms,
            },
            self.around.clock.now(),
        );
        let (certified, proofs) = write_certificate(&self.view, author, &statement, facts.threads)?;
        self.read_back_or_fail(&proofs)?;
        Ok((certified, proofs))
    }

    /// What a snapshot relies on of what was there before, and since when all of it has been read.
    fn referenced<'a>(&self, packs: impl Iterator<Item = &'a String>) -> Referenced {
        let ledger = self.around.state.ledger(self.around.clock.now());
        let mut referenced = Referenced { objects: 0, bytes: 0, read_in_full: None };
        let mut oldest = Some(DateTime::<Utc>::MAX_UTC);
        for name in packs {
            referenced.objects += 1;
            referenced.bytes += self.view.live.get(name).map_or(0, |recorded| recorded.size);
            let read = pack_of(name).and_then(|pack| ledger.get(&(pack, Depth::Objects)).copied());
            oldest = oldest.zip(read).map(|(oldest, read)| oldest.min(read));
        }
        referenced.read_in_full = oldest.filter(|_| referenced.objects > 0);
        referenced
    }

    /// Reads back the entry that acknowledges the run.
    fn read_back_entry(&self, key: &SigningKey) -> Result<(), RepoError> {
        let head = self.journal_head(key).expect("appended to just now");
        let name = Stem::journal(key_id(&key.public()), head.number).name(&head.sha256);
        self.around.storage.evict(&name);
        match self.around.storage.read(&name) {
            Ok(bytes) if sha256(&bytes) == head.sha256 => Ok(()),
            Ok(_) => Err(RepoError::ReadBack { name: name.to_string(), flaw: Flaw::WrongHash }),
            Err(error) => Err(error.into()),
        }
    }

    /// Nobody was told of this snapshot, and it may not hold: nobody may adopt it either, and what was certified of it is not
    /// true. The next attempt uses the rest.
    fn abandon(&mut self, author: &Author<'_>, claims: &[Added], added: Vec<Added>) -> Result<(), RepoError> {
        let doomed: Vec<String> = claims.iter().map(|object| object.name.clone()).collect();
        let removed = claims.iter().map(|object| (object.name.clone(), object.size)).collect();
        let list = self.condemn(author, &doomed)?;
        self.carry_out(author, &list, Change { operation: "abandon", added, removed, ..Change::default() }, &doomed)
    }

    /// The newest snapshot of the same machine and the same sources.
    fn newest_like(
        &self,
        source: &dyn Source,
        options: &BackupOptions,
        progress: Progress<'_>,
    ) -> Result<Option<Snapshot>, RepoError> {
        if !self.reads_meta() {
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

/// What is to be certified of a run, beside what its report says.
struct Facts<'a> {
    packs: &'a BTreeSet<String>,
    own: &'a [Added],
    started: DateTime<Utc>,
    tree: DocumentTree,
    terms: &'a CertificateTerms,
    threads: usize,
}

impl Request<'_> {
    /// What is known of a snapshot once everything is stored.
    fn body(
        &self,
        tools: &Tools<'_>,
        lead: &Lead<'_, '_>,
        counts: Counts,
        root: Reference,
        problems: Option<Reference>,
    ) -> SnapshotBody {
        let now = tools.around.clock.now();
        SnapshotBody {
            compartment: tools.keys.id,
            root,
            base: None,
            kind: SnapshotType::Full,
            host: self.options.host.clone(),
            user: tools.user,
            sources: self.source.roots().iter().map(|root| root.as_bytes().to_vec()).collect(),
            started: now,
            finished: now,
            counts,
            document_root: lead.documents.root(),
            documents: lead.documents.len(),
            problem_count: lead.problem_count,
            problems,
            tags: self.options.tags.clone(),
            version: self.options.version.clone(),
        }
    }
}

/// What the caches of the newest run and of the newest full run are called.
const NEWEST: &str = "newest";
const FULL: &str = "full";

fn pack_of(name: &str) -> Option<PackId> {
    ParsedName::parse(name)
        .filter(|parsed| parsed.kind == ObjectKind::ContentPack)
        .and_then(|p| PackId::from_hex(&p.hash))
}

fn snapshot_name(id: SnapshotId) -> ObjectName {
    Stem::immutable(ObjectKind::Snapshot).name(&Digest::from_bytes(*id.as_bytes()))
}

fn write_snapshot(tools: &Tools<'_>, body: &SnapshotBody) -> Result<(SnapshotId, Added), RepoError> {
    let Tools { around, view, epoch, author, .. } = tools;
    let header = Header { kind: ObjectKind::Snapshot, vault: view.id(), key: epoch.meta.key_id() };
    let sealed = seal_to(&epoch.meta, INFO, &header.to_bytes(), &body.encode(), &*around.random)?;
    let stem = Stem::immutable(ObjectKind::Snapshot);
    let (bytes, digest) = author.frame(header, &sealed, &stem);
    let name = stem.name(&digest);
    create(&*around.storage, &name, &bytes)?;
    Ok((id_of(digest), Added { name: name.to_string(), size: bytes.len() as u64, digest: None }))
}
