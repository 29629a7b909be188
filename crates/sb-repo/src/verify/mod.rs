//! Verifying a vault: what is there, what should be there, and what it holds.

mod data;
mod documents;
mod due;
mod objects;
mod parallel;

pub(crate) use documents::check_tree;
pub use due::{Due, DueReport};
pub(crate) use parallel::each;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::chunks::ChunkReader;
use crate::clock::{Progress, Silent};
use crate::error::{Flaw, RepoError};
use crate::ids::{KeyId, SnapshotId};
use crate::labels::Labels;
use crate::locator::{Locator, Scope};
use crate::logs::LogEnd;
use crate::tree::{Redactions, TreeReader};
use crate::vault::Vault;
use crate::view::View;
use data::Bad;

/// How deep to look. Each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerifyLevel {
    /// Every object is there and has the bytes, the signature and the place it should have. Needs no key.
    Objects,
    /// Every segment opens, every chunk has its id, every tree is complete and has the documents it was made with.
    Data,
    /// Every document, rebuilt, has the SHA-256 it was backed up with.
    Restore,
}

impl VerifyLevel {
    /// As it is written: `objects`, `data`, `restore`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::Data => "data",
            Self::Restore => "restore",
        }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The object.
    pub object: String,
    /// What is wrong with it.
    pub flaw: Flaw,
    /// Documents that can't be restored because of it, as far as they are known. Empty without keys.
    pub documents: Vec<DocumentRef>,
}

/// A document in a snapshot, or a folder of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentRef {
    /// The newest snapshot that has this version of it.
    pub snapshot: SnapshotId,
    /// Its path.
    pub path: Vec<u8>,
    /// True for a folder that can't be read, wholly or in part: documents below it are lost that nobody can name.
    pub is_folder: bool,
}

/// The outcome of a verification.
#[derive(Clone, Debug)]
pub struct VerifyReport {
    /// How deep it looked.
    pub level: VerifyLevel,
    /// Objects read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Snapshots whose trees were gone through. Zero without keys.
    pub snapshots: u64,
    /// Documents found complete at this level, counting every snapshot they are in. Zero at the level of objects.
    pub documents: u64,
    /// What is wrong, each object once.
    pub findings: Vec<Finding>,
    /// Where each object stands among the findings.
    places: HashMap<String, usize>,
    /// Objects that are whole and well signed but in no journal: of a run that goes on, or was cut short. The next backup of
    /// that machine takes them over, so labels are not among them. Also what a removal that goes on, or was cut short, has not deleted yet; the next
    /// collection does.
    pub unfinished: Vec<String>,
    /// Where the audit logs end.
    log_ends: BTreeMap<KeyId, LogEnd>,
}

impl VerifyReport {
    /// True if nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    fn new() -> Self {
        Self {
            level: VerifyLevel::Objects,
            objects: 0,
            bytes: 0,
            snapshots: 0,
            documents: 0,
            findings: Vec::new(),
            places: HashMap::new(),
            unfinished: Vec::new(),
            log_ends: BTreeMap::new(),
        }
    }

    /// Enters what is wrong with an object, unless something is already.
    fn find(&mut self, object: &str, flaw: Flaw) -> &mut Finding {
        let place = *self.places.entry(object.to_owned()).or_insert_with(|| {
            self.findings.push(Finding { object: object.to_owned(), flaw, documents: Vec::new() });
            self.findings.len() - 1
        });
        &mut self.findings[place]
    }

    /// Takes back what turns out to be no damage.
    fn take_back(&mut self, is_harmless: impl Fn(&Finding) -> bool) {
        self.findings.retain(|finding| !is_harmless(finding));
        let places = self.findings.iter().enumerate().map(|(place, finding)| (finding.object.clone(), place));
        self.places = places.collect();
    }

    /// Adds what another look has found.
    fn add(&mut self, finding: Finding) {
        let documents = &mut self.find(&finding.object, finding.flaw).documents;
        let known: BTreeSet<DocumentRef> = documents.iter().cloned().collect();
        documents.extend(finding.documents.into_iter().filter(|document| !known.contains(document)));
    }

    /// What is wrong with an object.
    fn found(&mut self, object: &str) -> Option<&mut Finding> {
        self.places.get(object).map(|place| &mut self.findings[*place])
    }
}

impl View {
    /// Verifies at the level of objects, with no key.
    ///
    /// # Errors
    /// [`RepoError::Interrupted`], and [`RepoError::Store`] if the storage can't be listed. Damage is in the report.
    pub fn verify(&self, progress: Progress<'_>) -> Result<VerifyReport, RepoError> {
        objects::verify(self, 0, progress)
    }
}

impl Vault {
    /// Verifies at this level, and names the documents that any damage touches. Remembers where the audit logs end, as
    /// [`logs`](Self::logs) does.
    ///
    /// # Errors
    /// [`RepoError::Interrupted`], [`RepoError::NoReadingKey`] for a level that this user's keys do not allow, and
    /// [`RepoError::Store`] if the storage can't be listed. Damage is in the report.
    pub fn verify(&self, level: VerifyLevel, progress: Progress<'_>) -> Result<VerifyReport, RepoError> {
        let started = self.around.clock.now();
        let report = self.verify_all(level, progress)?;
        self.enter_verified(&report, started);
        Ok(report)
    }

    fn verify_all(&self, level: VerifyLevel, progress: Progress<'_>) -> Result<VerifyReport, RepoError> {
        let load = || Locator::load(&self.around, &self.view, self.keys()?, progress.monitor, Scope::Checking);
        let locator = if level == VerifyLevel::Objects { None } else { Some(load()?) };
        let behind = locator.as_ref().map_or(Ok(0), |locator| self.bytes_behind(level, locator))?;
        let mut report = objects::verify(&self.view, behind, progress)?;
        report.level = level;
        self.remember_logs(&report.log_ends)?;
        let locator = match locator {
            None if report.is_good() || !self.reads_meta() => return Ok(report),
            None => load()?,
            Some(locator) => locator,
        };
        let chunks = ChunkReader::new(&self.view, self.keys()?, &self.finder);
        let redactions = match Redactions::load(&self.view, self.keys()?) {
            Ok(redactions) => redactions,
            Err(RepoError::Damaged { name, flaw }) => {
                report.find(&name, flaw);
                Redactions::default()
            }
            Err(error) => return Err(error),
        };
        for (name, flaw) in Labels::load(&self.view, self.keys()?)?.flawed {
            report.find(&name, flaw);
        }
        if level > VerifyLevel::Objects {
            for name in self.untrue_certificates()? {
                report.find(&name, Flaw::WrongDocumentRoot);
            }
        }
        for error in &locator.flawed {
            if let RepoError::Damaged { name, flaw } = error {
                report.find(name, flaw.clone());
            }
        }
        let reader = TreeReader { chunks: &chunks, locator: &locator, redactions: &redactions };
        if level == VerifyLevel::Objects {
            let bad = self.suspects(reader, &report);
            self.verify_documents(reader, &bad, &mut report, &AtomicBool::new(false), progress)?;
            return Ok(report);
        }
        // Documents are gone through meanwhile as if no data were bad; if any are, then once more, knowing which.
        let mut hopeful = VerifyReport { level, ..VerifyReport::new() };
        let in_vain = AtomicBool::new(false);
        let (bad, went) = thread::scope(|scope| {
            let documents =
                scope.spawn(|| self.verify_documents(reader, &Bad::new(), &mut hopeful, &in_vain, progress));
            let bad = self.verify_data(reader, &mut report, progress);
            in_vain.store(!bad.as_ref().is_ok_and(Bad::is_empty), Ordering::Relaxed);
            (bad, documents.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let bad = bad?;
        if bad.is_empty() && went.is_ok() && hopeful.is_good() {
            (report.snapshots, report.documents) = (hopeful.snapshots, hopeful.documents);
            return Ok(report);
        }
        // Their bytes have been counted.
        let progress = Progress { monitor: &Silent, ..progress };
        self.verify_documents(reader, &bad, &mut report, &AtomicBool::new(false), progress)?;
        // What was found once and not again is no less a finding; what lacks something bad was found again, under that.
        let is_of_its_own = |finding: &Finding| bad.is_empty() || !matches!(finding.flaw, Flaw::NeedsChunk(_));
        hopeful.findings.into_iter().filter(is_of_its_own).for_each(|finding| report.add(finding));
        Ok(report)
    }

    /// How many bytes there are to check beyond those of the objects.
    fn bytes_behind(&self, level: VerifyLevel, locator: &Locator) -> Result<u64, RepoError> {
        let segments = locator.packs().iter().flat_map(|pack| &pack.segments);
        let opened: u64 = segments.map(|segment| u64::from(segment.raw)).sum();
        let snapshots = self.snapshots()?.snapshots;
        let rebuilt: u64 = snapshots.iter().map(|snapshot| snapshot.counts().bytes).sum();
        Ok(match level {
            VerifyLevel::Objects => 0,
            VerifyLevel::Data => opened,
            VerifyLevel::Restore => opened + rebuilt,
        })
    }
}
