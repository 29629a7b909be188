//! Snapshots: listing and finding them.

use chrono::{DateTime, Utc};
use sb_audit::DocumentTree;
use sb_crypto::{Digest, open_with};

use crate::error::{Flaw, RepoError};
use crate::ids::{SnapshotId, UserId};
use crate::keys::CompartmentKeys;
use crate::labels::Labels;
use crate::live::{names_in, read};
use crate::name::{ObjectKind, ParsedName};
use crate::vault::Vault;
use crate::view::View;
use crate::wire::cbor::Malformed;
use crate::wire::node::Reference;
use crate::wire::snapshot::{Counts, INFO, SnapshotBody, SnapshotType};

/// One point in time of one compartment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its id.
    pub id: SnapshotId,
    body: SnapshotBody,
}

/// All snapshots, oldest first, and what is wrong with those that can't be read.
#[derive(Clone, Debug, Default)]
pub struct Snapshots {
    /// Oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Names of objects that should be snapshots; one may be the newest.
    pub flawed: Vec<(String, Flaw)>,
    /// Names of labels that can't be read: some snapshot may have other tags than it shows.
    pub flawed_labels: Vec<(String, Flaw)>,
}

impl Snapshot {
    pub(crate) fn root(&self) -> Reference {
        self.body.root
    }

    pub(crate) fn problems_at(&self) -> Option<Reference> {
        self.body.problems
    }

    /// When the run began.
    pub fn started(&self) -> DateTime<Utc> {
        self.body.started
    }

    /// When everything but the snapshot itself was durable.
    pub fn finished(&self) -> DateTime<Utc> {
        self.body.finished
    }

    /// The machine, as people know it.
    pub fn host(&self) -> &[u8] {
        &self.body.host
    }

    /// Who made it.
    pub fn user(&self) -> UserId {
        self.body.user
    }

    /// Absolute paths of what was backed up.
    pub fn sources(&self) -> &[Vec<u8>] {
        &self.body.sources
    }

    /// What it holds, in numbers.
    pub fn counts(&self) -> Counts {
        self.body.counts
    }

    /// How it was made.
    pub fn snapshot_type(&self) -> SnapshotType {
        self.body.kind
    }

    /// The snapshot it was compared with.
    pub fn base(&self) -> Option<SnapshotId> {
        self.body.base
    }

    /// Words given to find it by: those it was made with, or those given to it last.
    pub fn tags(&self) -> &[String] {
        &self.body.tags
    }

    /// Entries that could not be read as they were; with any, it is partial.
    pub fn problem_count(&self) -> u64 {
        self.body.problem_count
    }

    /// Root of the document tree: what proves each document to have been in it.
    pub fn document_root(&self) -> Digest {
        self.body.document_root
    }

    /// The document tree: what a certificate of this snapshot says.
    pub fn document_tree(&self) -> DocumentTree {
        DocumentTree { size: self.body.documents, root: self.body.document_root }
    }

    /// How many documents the tree has.
    pub fn documents(&self) -> u64 {
        self.body.documents
    }

    /// The version of the program that made it.
    pub fn program_version(&self) -> &str {
        &self.body.version
    }
}

impl Vault {
    /// All snapshots that count, oldest first.
    ///
    /// # Errors
    /// [`RepoError::NoReadingKey`] if the user may not read names. Snapshots that are damaged or gone are in the list of
    /// flaws instead.
    pub fn snapshots(&self) -> Result<Snapshots, RepoError> {
        let mut all = Snapshots::default();
        let gone = self.view.live.iter().filter(|(name, _)| !self.view.listing.contains_key(*name));
        let gone = gone.filter(|(name, _)| name.starts_with("snapshots/"));
        all.flawed.extend(gone.map(|(name, _)| (name.to_owned(), Flaw::Missing)));
        for name in names_in(&self.view.listing, "snapshots/").filter(|name| self.view.live.is_readable(name)) {
            match read_snapshot(&self.view, self.keys()?, name) {
                Ok(snapshot) => all.snapshots.push(snapshot),
                Err(RepoError::Damaged { name, flaw }) => all.flawed.push((name, flaw)),
                Err(error) => return Err(error),
            }
        }
        all.snapshots.sort_by_key(|snapshot| (snapshot.started(), snapshot.id));
        let labels = Labels::load(&self.view, self.keys()?)?;
        for snapshot in &mut all.snapshots {
            if let Some(tags) = labels.tags(&snapshot.id) {
                snapshot.body.tags = tags.to_vec();
            }
        }
        all.flawed_labels = labels.flawed;
        Ok(all)
    }

    /// The snapshot that `name` means: the beginning of an id, `latest`, or `latest~N` for the one N before it.
    ///
    /// # Errors
    /// [`RepoError::NoSuchSnapshot`], [`RepoError::AmbiguousSnapshot`], and as [`snapshots`](Self::snapshots).
    pub fn find_snapshot(&self, name: &str) -> Result<Snapshot, RepoError> {
        self.snapshots()?.find(name).cloned()
    }
}

impl Snapshots {
    /// The one of these that `name` means, as for [`Vault::find_snapshot`].
    ///
    /// # Errors
    /// [`RepoError::NoSuchSnapshot`], [`RepoError::AmbiguousSnapshot`].
    pub fn find(&self, name: &str) -> Result<&Snapshot, RepoError> {
        let missing = || RepoError::NoSuchSnapshot { name: name.to_owned() };
        if let Some(rest) = name.strip_prefix("latest") {
            let back: usize = match rest.strip_prefix('~') {
                Some(number) => number.parse().map_err(|_| missing())?,
                None if rest.is_empty() => 0,
                None => return Err(missing()),
            };
            return self.snapshots.iter().rev().nth(back).ok_or_else(missing);
        }
        let mut fitting = self.snapshots.iter().filter(|s| !name.is_empty() && s.id.to_string().starts_with(name));
        let found = fitting.next().ok_or_else(missing)?;
        if fitting.next().is_some() {
            return Err(RepoError::AmbiguousSnapshot { name: name.to_owned() });
        }
        Ok(found)
    }
}

/// Reads one snapshot object.
pub(crate) fn read_snapshot(view: &View, keys: &CompartmentKeys, name: &str) -> Result<Snapshot, RepoError> {
    let damaged = |flaw: Flaw| RepoError::Damaged { name: name.to_owned(), flaw };
    let parsed = ParsedName::parse(name).ok_or_else(|| damaged(Flaw::Surplus))?;
    let bytes = read(&*view.storage, name).map_err(damaged)?;
    let frame = view.trust.check(&parsed, &bytes).map_err(damaged)?;
    let private = keys.private(ObjectKind::Snapshot, frame.header.key, name)?;
    let plain = open_with(private, INFO, &frame.header.to_bytes(), frame.body)
        .map_err(|_| damaged(Malformed("does not open with the compartment's key").into()))?;
    let body = SnapshotBody::decode(plain.as_bytes()).map_err(|flaw| damaged(flaw.into()))?;
    let id = SnapshotId::from_hex(&parsed.hash).ok_or_else(|| damaged(Flaw::Surplus))?;
    Ok(Snapshot { id, body })
}
