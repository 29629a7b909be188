//! Labels: giving tags to snapshots that are made already, and which of them count (docs/format.md §14).

use std::collections::{BTreeMap, BTreeSet};

use sb_crypto::{open_with, seal_to};
use sb_store::ObjectName;

use crate::error::{Flaw, RepoError};
use crate::ids::{Id, RunId, SnapshotId};
use crate::keys::CompartmentKeys;
use crate::live::{names_in, read};
use crate::name::{ObjectKind, ParsedName, Stem, TWIN, snapshot};
use crate::sessions::write_twice;
use crate::vault::{Change, Vault};
use crate::view::{View, with_twins};
use crate::wire::cbor::Malformed;
use crate::wire::frame::{Author, Frame, Header};
use crate::wire::journal::Added;
use crate::wire::label::{INFO, Label};

/// All labels that can be read.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    /// Of each snapshot, the one that counts last.
    of: BTreeMap<SnapshotId, Vec<Placed>>,
    /// Those that must be there and can't be read.
    pub(crate) flawed: Vec<(String, Flaw)>,
}

/// A label and where it is.
#[derive(Debug)]
struct Placed {
    name: String,
    parsed: ParsedName,
    label: Label,
}

impl Labels {
    /// Reads all labels of the vault. One that can't be read and is none that must be there is passed over, for anybody may
    /// have put it there.
    pub(crate) fn load(view: &View, keys: &CompartmentKeys) -> Result<Self, RepoError> {
        let mut labels = Self::default();
        let there = with_twins(&view.listing, "labels/").into_iter().filter(|name| view.live.is_readable(name));
        let recorded = view.live.iter().map(|(name, _)| name).filter(|name| name.contains("labels/"));
        let names: BTreeSet<&str> = there.chain(recorded).map(|name| name.strip_prefix(TWIN).unwrap_or(name)).collect();
        for name in names {
            let Some(parsed) = ParsedName::parse(name).filter(|parsed| parsed.kind == ObjectKind::Label) else {
                continue;
            };
            match open(view, keys, &parsed, name) {
                Ok(label) => {
                    let placed = Placed { name: name.to_owned(), parsed, label };
                    labels.of.entry(placed.label.snapshot).or_default().push(placed);
                }
                Err(RepoError::Damaged { flaw, .. }) if view.live.contains(name) => {
                    labels.flawed.push((name.to_owned(), flaw));
                }
                Err(RepoError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        labels.sort();
        Ok(labels)
    }

    fn sort(&mut self) {
        let mut highest: BTreeMap<String, u64> = BTreeMap::new();
        for placed in self.of.values().flatten() {
            let known = highest.entry(placed.parsed.stem.id().to_owned()).or_default();
            *known = placed.parsed.stem.generation().max(*known);
        }
        for placed in self.of.values_mut() {
            placed.sort_by_cached_key(|Placed { parsed, label, .. }| {
                let counts = highest.get(parsed.stem.id()) == Some(&parsed.stem.generation());
                (counts, label.time, parsed.stem.id().to_owned(), parsed.hash.clone())
            });
        }
    }

    /// The label of a snapshot, if it has one.
    fn last(&self, snapshot: &SnapshotId) -> Option<&Placed> {
        self.of.get(snapshot).and_then(|placed| placed.last())
    }

    /// The tags last given to a snapshot, if any were.
    pub(crate) fn tags(&self, snapshot: &SnapshotId) -> Option<&[String]> {
        self.last(snapshot).map(|placed| placed.label.tags.as_slice())
    }
}

/// Reads a label, or else its twin.
fn open(view: &View, keys: &CompartmentKeys, parsed: &ParsedName, name: &str) -> Result<Label, RepoError> {
    let twin = format!("{TWIN}{name}");
    match read_label(view, keys, parsed, name) {
        Err(error @ RepoError::Damaged { .. }) => read_label(view, keys, parsed, &twin).map_err(|_| error),
        other => other,
    }
}

/// Reads one copy of a label.
pub(crate) fn read_label(
    view: &View,
    keys: &CompartmentKeys,
    parsed: &ParsedName,
    name: &str,
) -> Result<Label, RepoError> {
    let damaged = |flaw: Flaw| RepoError::Damaged { name: name.to_owned(), flaw };
    if !view.listing.contains_key(name) || view.live.is_removed(name) {
        return Err(damaged(Flaw::Missing));
    }
    let bytes = read(&*view.storage, name).map_err(damaged)?;
    let frame: Frame<'_> = view.trust.check(parsed, &bytes).map_err(damaged)?;
    let private = keys.private(ObjectKind::Label, frame.header.key, name)?;
    let plain = open_with(private, INFO, &frame.header.to_bytes(), frame.body)
        .map_err(|_| damaged(Malformed("does not open with the compartment's key").into()))?;
    Label::decode(plain.as_bytes()).map_err(|flaw| damaged(flaw.into()))
}

/// Both copies of the labels whose snapshots are not live: they mean nothing.
pub(crate) fn idle_labels(view: &View, keys: &CompartmentKeys) -> Result<Vec<String>, RepoError> {
    let labels = Labels::load(view, keys)?;
    let idle = labels.of.into_iter().filter(|(id, _)| !view.live.contains(snapshot(id).as_str()));
    let copies = idle.flat_map(|(_, placed)| placed).flat_map(|placed| [format!("{TWIN}{}", placed.name), placed.name]);
    Ok(copies.filter(|name| view.live.contains(name) && view.listing.contains_key(name)).collect())
}

impl Vault {
    /// Gives snapshots these tags in place of those they have. It is durable, and what it replaces is removed, when this
    /// returns; all snapshots change together or none does.
    ///
    /// # Errors
    /// [`RepoError::NoReadingKey`] if the user may not read labels, [`RepoError::RolledBack`], errors of storage and state.
    pub fn set_tags(&mut self, tags: Vec<(SnapshotId, Vec<String>)>) -> Result<(), RepoError> {
        self.check_heads()?;
        let writer = self.writer()?;
        let labels = Labels::load(&self.view, self.keys()?)?;
        let run = RunId::random(&*self.around.random);
        let state = self.around.state.clone();
        let _alive = state.hold(run)?;
        let mut change = Change { operation: "tag", ..Change::default() };
        for (snapshot, tags) in tags {
            let id = labels.last(&snapshot).and_then(|placed| Id::from_hex(placed.parsed.stem.id()));
            let id = id.unwrap_or_else(|| Id::random(&*self.around.random));
            let label = Label { snapshot, tags, time: self.around.clock.now() };
            change.added.extend(self.write_label(run, id, &label)?);
            change.removed.extend(labels.of.get(&snapshot).into_iter().flatten().flat_map(|old| self.copies(old)));
        }
        let removed: Vec<String> = change.removed.iter().map(|(name, _)| name.clone()).collect();
        self.append(&writer, run, change)?;
        for name in removed {
            // Removed by the journal already; what stays for whatever reason is reported by verify.
            let _ = self.around.storage.remove(&ObjectName::new(name)?);
        }
        Ok(())
    }

    /// Writes a label as the next generation of `id`, also after those that no journal knows.
    fn write_label(&self, run: RunId, id: Id<(), 8>, label: &Label) -> Result<Vec<Added>, RepoError> {
        let prefix = format!("labels/{id}.");
        let known = names_in(&self.view.listing, &prefix).filter_map(|name| Some((ParsedName::parse(name)?, name)));
        let signed = known.filter(|(parsed, name)| {
            read(&*self.view.storage, name).is_ok_and(|bytes| self.view.trust.check(parsed, &bytes).is_ok())
        });
        let generation = signed.map(|(parsed, _)| parsed.stem.generation() + 1).max().unwrap_or(0);
        let recipient = &self.epoch().meta;
        let header = Header { kind: ObjectKind::Label, vault: self.id(), key: recipient.key_id() };
        let sealed = seal_to(recipient, INFO, &header.to_bytes(), &label.encode(), &*self.around.random)?;
        // What a snapshot is called is a user's word, not a machine's.
        let author = Author { key: &self.keyring.signing, run };
        let stem = Stem::mutable(ObjectKind::Label, id, generation);
        write_twice(&*self.around.storage, &author, header, &sealed, &stem)
    }

    /// The labels of these snapshots, both copies, and their sizes. Who may not read labels knows of none.
    pub(crate) fn labels_of(&self, snapshots: &[SnapshotId]) -> Result<Vec<(String, u64)>, RepoError> {
        if !self.reads_meta() {
            return Ok(Vec::new());
        }
        let labels = Labels::load(&self.view, self.keys()?)?;
        let placed = snapshots.iter().filter_map(|id| labels.of.get(id)).flatten();
        Ok(placed.flat_map(|placed| self.copies(placed)).collect())
    }

    /// Both copies of a label, as far as they are live, and their sizes.
    fn copies<'a>(&'a self, placed: &'a Placed) -> impl Iterator<Item = (String, u64)> + 'a {
        let names = [placed.name.clone(), format!("{TWIN}{}", placed.name)].into_iter();
        names.filter_map(|name| self.view.live.get(&name).map(|recorded| (name, recorded.size)))
    }
}
