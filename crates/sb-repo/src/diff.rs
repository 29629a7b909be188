//! What two snapshots, or a folder of each, do not have in common. Folders that are the same node are not looked into.

use std::collections::BTreeMap;

use crate::clock::Progress;
use crate::error::RepoError;
use crate::reader::{Reader, shown};
use crate::snapshots::Snapshot;
use crate::tree::{FolderReader, Found, Step, TreeReader, walk};
use crate::wire::entry::{Entry, Item};
use crate::wire::node::Reference;

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is in the second alone.
    Added,
    /// It is in the first alone.
    Removed,
    /// Its content, or what it points to, is another.
    Content,
    /// It is of another type: a folder is a file now.
    Type,
    /// Its permissions, owner, time or attributes alone are others.
    Metadata,
}

/// Something that differs.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// Its absolute path.
    pub path: &'a [u8],
    /// How.
    pub change: Change,
    /// As it is in the first.
    pub before: Option<&'a Entry>,
    /// As it is in the second.
    pub after: Option<&'a Entry>,
}

/// How to compare.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct DiffOptions {
    /// Tell of what differs in metadata alone, too. Default: such are only counted.
    pub metadata: bool,
}

/// Entries and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryTally {
    /// Regular files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Links, FIFOs, sockets and devices.
    pub others: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// All differences in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiffReport {
    /// What is in the second alone; what is of another type counts here as it is now.
    pub added: EntryTally,
    /// What is in the first alone; what is of another type counts here as it was.
    pub removed: EntryTally,
    /// What has another content, with the bytes it has now.
    pub changed: EntryTally,
    /// Bytes that the files with another content had before.
    pub changed_bytes_before: u64,
    /// Entries of another type.
    pub types: u64,
    /// Entries that differ in metadata alone, but for the folders above the sources.
    pub metadata: u64,
}

impl DiffReport {
    /// True if nothing differs at all.
    pub fn is_same(&self) -> bool {
        *self == Self::default()
    }
}

impl EntryTally {
    fn add(&mut self, entry: &Entry) {
        match &entry.item {
            Item::File(file) => {
                self.files += 1;
                self.bytes += file.size;
            }
            Item::Folder { .. } => self.folders += 1,
            _ => self.others += 1,
        }
    }
}

/// Is told of a difference.
pub type EachDifference<'a> = dyn FnMut(Difference<'_>) -> Result<(), RepoError> + 'a;

impl Reader<'_> {
    /// Compares what is at a path (absolute, raw bytes) in two snapshots and calls `each` with every difference. Of a folder
    /// that is in one alone everything in it is told of. What was disposed of is left out.
    ///
    /// # Errors
    /// [`RepoError::NoSuchPath`] if neither has the path, [`RepoError::Interrupted`], nodes that can't be read, and what
    /// `each` returns.
    pub fn diff(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        path: &[u8],
        options: DiffOptions,
        progress: Progress<'_>,
        each: &mut EachDifference<'_>,
    ) -> Result<DiffReport, RepoError> {
        let tree = self.tree();
        let both = [tree.lookup(before.root(), path)?, tree.lookup(after.root(), path)?];
        let mut comparison = Comparison {
            tree,
            options,
            progress,
            each,
            report: DiffReport::default(),
            path: Vec::new(),
            open: Vec::new(),
        };
        comparison.path.extend_from_slice(path.strip_suffix(b"/").unwrap_or(path));
        match both {
            [None, None] => {
                return Err(RepoError::NoSuchPath { path: shown(path), snapshot: after.id.short() });
            }
            [Some(Found::Root(before)), Some(Found::Root(after))] => comparison.enter(before, after)?,
            [before, after] => {
                let entry = |found: Option<Found>| match found {
                    Some(Found::Entry(entry)) => Some(*entry),
                    _ => None,
                };
                comparison.judge(entry(before), entry(after))?;
            }
        }
        comparison.go_on()?;
        Ok(comparison.report)
    }
}

struct Comparison<'a, 'e> {
    tree: TreeReader<'a>,
    options: DiffOptions,
    progress: Progress<'a>,
    each: &'a mut EachDifference<'e>,
    report: DiffReport,
    path: Vec<u8>,
    /// Folders that are being compared, with the lengths of their paths.
    open: Vec<(Merge<'a>, usize)>,
}

impl Comparison<'_, '_> {
    fn enter(&mut self, before: Reference, after: Reference) -> Result<(), RepoError> {
        if before.id != after.id {
            let sides = self.tree.apart(before, after)?.map(|reader| Side { reader, head: None });
            self.open.push((Merge { sides, waiting: BTreeMap::new() }, self.path.len()));
        }
        Ok(())
    }

    fn go_on(&mut self) -> Result<(), RepoError> {
        while let Some((merge, length)) = self.open.last_mut() {
            self.progress.check()?;
            self.path.truncate(*length);
            let [before, after] = merge.next()?;
            let Some(entry) = before.as_ref().or(after.as_ref()) else {
                self.open.pop();
                continue;
            };
            self.path.push(b'/');
            self.path.extend_from_slice(&entry.name);
            self.judge(before, after)?;
        }
        Ok(())
    }

    /// Compares what is at the path.
    fn judge(&mut self, before: Option<Entry>, after: Option<Entry>) -> Result<(), RepoError> {
        let change = match (&before, &after) {
            (None, None) => return Ok(()),
            (Some(before), Some(after)) => compare(before, after),
            (Some(_), None) => Some(Change::Removed),
            (None, Some(_)) => Some(Change::Added),
        };
        if let Some(change) = change {
            self.tell(change, before.as_ref(), after.as_ref())?;
        }
        let node = |entry: &Option<Entry>| match entry.as_ref().map(|entry| &entry.item) {
            Some(Item::Folder { node, .. }) => Some(*node),
            _ => None,
        };
        match (node(&before), node(&after)) {
            (Some(before), Some(after)) => self.enter(before, after),
            (Some(before), None) => self.all(before, Change::Removed),
            (None, Some(after)) => self.all(after, Change::Added),
            (None, None) => Ok(()),
        }
    }

    fn tell(&mut self, change: Change, before: Option<&Entry>, after: Option<&Entry>) -> Result<(), RepoError> {
        let report = &mut self.report;
        match change {
            Change::Content => {
                after.inspect(|entry| report.changed.add(entry));
                report.changed_bytes_before += before.map_or(0, size);
            }
            Change::Metadata => report.metadata += 1,
            Change::Added | Change::Removed | Change::Type => {
                report.types += u64::from(change == Change::Type);
                before.inspect(|entry| report.removed.add(entry));
                after.inspect(|entry| report.added.add(entry));
            }
        }
        if change == Change::Metadata && !self.options.metadata {
            return Ok(());
        }
        (self.each)(Difference { path: &self.path, change, before, after })
    }

    /// Everything in a folder that is in one of the two alone.
    fn all(&mut self, node: Reference, change: Change) -> Result<(), RepoError> {
        let (report, each, progress) = (&mut self.report, &mut *self.each, self.progress);
        walk(self.tree, node, &self.path, &mut |path, step| {
            progress.check()?;
            match step {
                Step::Entry(entry) if entry.is_redacted() => {}
                Step::Entry(entry) if change == Change::Added => {
                    report.added.add(entry);
                    each(Difference { path, change, before: None, after: Some(entry) })?;
                }
                Step::Entry(entry) => {
                    report.removed.add(entry);
                    each(Difference { path, change, before: Some(entry), after: None })?;
                }
                Step::Leave(_) => {}
                Step::Unreadable(error) => return Err(error),
            }
            Ok(true)
        })
    }
}

fn size(entry: &Entry) -> u64 {
    if let Item::File(file) = &entry.item { file.size } else { 0 }
}

/// How two entries of one name differ, folders without what is in them.
fn compare(before: &Entry, after: &Entry) -> Option<Change> {
    let is_same_content = match (&before.item, &after.item) {
        (Item::File(before), Item::File(after)) => (before.size, before.sha256) == (after.size, after.sha256),
        // What is above the sources was not backed up for its own sake, and changes all the time.
        (Item::Folder { ancestor: true, .. }, Item::Folder { ancestor: true, .. }) => return None,
        (Item::Folder { .. }, Item::Folder { .. }) => true,
        (before, after) if std::mem::discriminant(before) == std::mem::discriminant(after) => before == after,
        _ => return Some(Change::Type),
    };
    let holes = |entry: &Entry| if let Item::File(file) = &entry.item { Some(file.holes.clone()) } else { None };
    let metadata = |entry: &Entry| (entry.metadata(Vec::new()), entry.xattrs.clone(), entry.link_group, holes(entry));
    match is_same_content {
        false => Some(Change::Content),
        true if metadata(before) != metadata(after) => Some(Change::Metadata),
        true => None,
    }
}

/// Two folders of which entries of one name are brought together.
struct Merge<'a> {
    sides: [Side<'a>; 2],
    /// Entries without a partner that are no folders, by the order key that a folder of their name would have: until both
    /// sides are past it, one may come that has become a folder, or was one.
    waiting: BTreeMap<Vec<u8>, (usize, Entry)>,
}

/// One folder, and the entry that comes next.
struct Side<'a> {
    reader: FolderReader<'a>,
    head: Option<Entry>,
}

impl Side<'_> {
    /// The order key of the next entry.
    fn key(&mut self) -> Result<Option<Vec<u8>>, RepoError> {
        while self.head.as_ref().is_none_or(Entry::is_redacted) {
            self.head = match self.reader.next() {
                Some(entry) => Some(entry?),
                None => return Ok(None),
            };
        }
        Ok(self.head.as_ref().map(|entry| entry.order_key().into_owned()))
    }
}

impl Merge<'_> {
    /// The next name, as it is in the one and in the other; neither at the end.
    fn next(&mut self) -> Result<[Option<Entry>; 2], RepoError> {
        loop {
            let keys = [self.sides[0].key()?, self.sides[1].key()?];
            let next = keys.iter().flatten().min().cloned();
            if let Some(waiting) = self.waiting.first_entry()
                && next.as_ref().is_none_or(|next| waiting.key() < next)
            {
                let (side, entry) = waiting.remove();
                return Ok(on(side, entry));
            }
            let Some(next) = next else { return Ok([None, None]) };
            if keys[0] == keys[1] {
                return Ok([self.sides[0].head.take(), self.sides[1].head.take()]);
            }
            let side = usize::from(keys[0].as_ref() != Some(&next));
            let entry = self.sides[side].head.take().expect("it has a key");
            if !matches!(entry.item, Item::Folder { .. }) {
                self.waiting.insert([&next[..], b"/"].concat(), (side, entry));
                continue;
            }
            let mut both = on(side, entry);
            if let Some((other, partner)) = self.waiting.remove(&next) {
                both[other] = Some(partner);
            }
            return Ok(both);
        }
    }
}

fn on(side: usize, entry: Entry) -> [Option<Entry>; 2] {
    let mut both = [None, None];
    both[side] = Some(entry);
    both
}
