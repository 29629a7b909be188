//! A tree of files made by a test.

use std::collections::BTreeMap;

use crate::{Cause, Content, Entry, EntryPath, Event, Kind, Metadata, Problem, Source, SourceError, Timestamp};

/// 2023-11-14 22:13:20 UTC, the time of the first change to any memory source.
const EPOCH: i64 = 1_700_000_000;

/// A source without a file system: the second implementation of [`Source`], for tests.
///
/// It starts as an empty `/`. Every change takes place one second after the one before, so changed files have new
/// times. Parents of what is added are made on the way.
///
/// Its methods take a path as text or bytes and panic when it is no valid [`EntryPath`], or names nothing that could
/// be changed so.
///
/// ```
/// use sb_source::{Event, MemorySource, Source};
///
/// let mut source = MemorySource::new(&["/data"]);
/// source.file("/data/a.txt", b"hello").symlink("/data/b", b"a.txt");
/// let seen: Vec<_> = source
///     .walk()
///     .filter_map(|event| match event {
///         Event::Enter(entry) | Event::Entry(entry) => Some(entry.path.to_string()),
///         Event::Leave | Event::Problem(_) => None,
///     })
///     .collect();
/// assert_eq!(seen, ["/", "/data", "/data/a.txt", "/data/b"]);
/// ```
#[derive(Clone, Debug)]
pub struct MemorySource {
    roots: Vec<EntryPath>,
    /// By path, with a slash after the path of a folder: the order of a walk.
    nodes: BTreeMap<Vec<u8>, Node>,
    ticks: i64,
    inodes: u64,
}

/// What a [`MemorySource`] does wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A file cannot be opened, a folder cannot be listed.
    Denied,
    /// The entry is gone when the walk comes to it.
    Vanishes,
    /// The file is gone when it is opened.
    VanishesBeforeOpening,
    /// The file turns out to have changed when reading ends.
    Changes,
    /// Reading fails after this many bytes.
    FailsAfter(u64),
    /// The extended attributes of the entry can't be read.
    NoAttributes,
}

#[derive(Clone, Debug)]
struct Node {
    kind: Kind,
    metadata: Metadata,
    /// Bytes at offsets, sorted; what lies between is a hole.
    extents: Vec<(u64, Vec<u8>)>,
    fault: Option<Fault>,
}

impl Node {
    fn details(&self, path: &EntryPath) -> (Metadata, Option<Problem>) {
        let metadata = self.metadata.clone();
        if self.fault != Some(Fault::NoAttributes) {
            return (metadata, None);
        }
        let detail = "its extended attributes can't be read".to_owned();
        let problem = Problem { path: path.clone(), cause: Cause::Denied, detail };
        (Metadata { xattrs: Vec::new(), ..metadata }, Some(problem))
    }
}

impl MemorySource {
    /// An empty tree of which the folders or files `roots` are to be backed up.
    ///
    /// # Panics
    /// When a root is no valid path, or lies inside another.
    pub fn new<P: AsRef<[u8]>>(roots: &[P]) -> Self {
        let mut roots: Vec<_> = roots.iter().map(|root| parse(root.as_ref())).collect();
        roots.sort();
        for (i, root) in roots.iter().enumerate() {
            let inside = roots[i + 1..].iter().any(|other| other.strip_prefix(root).is_some());
            assert!(!inside, "a source lies inside {root:?}");
        }
        let mut source = Self { roots, nodes: BTreeMap::new(), ticks: 0, inodes: 0 };
        source.insert(&EntryPath::root(), Kind::Directory, Vec::new(), 0);
        source
    }

    /// Puts a file with this content at `path`. A file that is there already keeps its inode and its metadata but for
    /// size and times.
    pub fn file(&mut self, path: impl AsRef<[u8]>, content: &[u8]) -> &mut Self {
        self.sparse_file(path, content.len() as u64, &[(0, content)])
    }

    /// Puts a file of `size` bytes at `path` that consists of holes but for `extents`, bytes at offsets.
    ///
    /// # Panics
    /// When extents are out of order, overlap or end after `size`.
    pub fn sparse_file(&mut self, path: impl AsRef<[u8]>, size: u64, extents: &[(u64, &[u8])]) -> &mut Self {
        let mut end = 0;
        for (offset, bytes) in extents {
            assert!(end <= *offset, "extents are out of order");
            end = offset + bytes.len() as u64;
        }
        assert!(end <= size, "extents end after the file");
        let extents = extents.iter().map(|(offset, bytes)| (*offset, bytes.to_vec())).collect();
        self.insert(&parse(path.as_ref()), Kind::File, extents, size);
        self
    }

    /// Puts an empty folder at `path`.
    pub fn directory(&mut self, path: impl AsRef<[u8]>) -> &mut Self {
        self.insert(&parse(path.as_ref()), Kind::Directory, Vec::new(), 0);
        self
    }

    /// Puts a symbolic link to `target` at `path`.
    pub fn symlink(&mut self, path: impl AsRef<[u8]>, target: &[u8]) -> &mut Self {
        let kind = Kind::Symlink { target: target.to_vec() };
        self.insert(&parse(path.as_ref()), kind, Vec::new(), target.len() as u64);
        self
    }

    /// Puts a pipe, socket or device at `path`.
    pub fn special(&mut self, path: impl AsRef<[u8]>, kind: Kind) -> &mut Self {
        self.insert(&parse(path.as_ref()), kind, Vec::new(), 0);
        self
    }

    /// Gives the file at `existing` a second name. Both have the same inode; later changes to one are not seen in the
    /// other.
    pub fn hard_link(&mut self, existing: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> &mut Self {
        let node = self.node(existing.as_ref());
        node.metadata.links += 1;
        let (inode, linked) = (node.metadata.inode, node.clone());
        self.insert(&parse(path.as_ref()), linked.kind.clone(), Vec::new(), 0);
        for other in self.nodes.values_mut().filter(|other| other.metadata.inode == inode) {
            other.metadata.links = linked.metadata.links;
        }
        *self.node(path.as_ref()) = linked;
        self
    }

    /// Changes the metadata of the entry at `path` and nothing else.
    pub fn edit(&mut self, path: impl AsRef<[u8]>, change: impl FnOnce(&mut Metadata)) -> &mut Self {
        change(&mut self.node(path.as_ref()).metadata);
        self
    }

    /// Takes away the entry at `path` and all that is in it.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> &mut Self {
        let path = parse(path.as_ref());
        self.node(path.as_bytes());
        self.nodes.retain(|key, _| parse_key(key).strip_prefix(&path).is_none());
        self
    }

    /// Lets the entry at `path` fail in this way, or no longer.
    pub fn fault(&mut self, path: impl AsRef<[u8]>, fault: impl Into<Option<Fault>>) -> &mut Self {
        self.node(path.as_ref()).fault = fault.into();
        self
    }

    fn insert(&mut self, path: &EntryPath, kind: Kind, extents: Vec<(u64, Vec<u8>)>, size: u64) {
        if let Some(parent) = path.parent() {
            match self.get(&parent) {
                None => self.insert(&parent, Kind::Directory, Vec::new(), 0),
                Some(node) => assert!(node.kind == Kind::Directory, "{parent:?} is not a folder"),
            }
        }
        let key = key(path, &kind);
        let (metadata, fault) = match self.nodes.get(&key) {
            Some(old) if old.kind == kind => (old.metadata.clone(), old.fault),
            _ => {
                assert!(self.get(path).is_none_or(|old| old.kind != Kind::Directory && kind != Kind::Directory));
                (self.fresh(&kind), None)
            }
        };
        let now = Timestamp { seconds: EPOCH + self.ticks, nanoseconds: 0 };
        self.ticks += 1;
        let metadata = Metadata { mtime: now, ctime: now, size, ..metadata };
        self.nodes.insert(key, Node { kind, metadata, extents, fault });
    }

    fn fresh(&mut self, kind: &Kind) -> Metadata {
        self.inodes += 1;
        let mode = match kind {
            Kind::Directory => 0o755,
            Kind::Symlink { .. } => 0o777,
            _ => 0o644,
        };
        Metadata { mode, device: 1, inode: self.inodes, links: 1, ..Metadata::default() }
    }

    fn get(&self, path: &EntryPath) -> Option<&Node> {
        self.nodes.get(&key(path, &Kind::Directory)).or_else(|| self.nodes.get(path.as_bytes()))
    }

    fn node(&mut self, path: &[u8]) -> &mut Node {
        let path = parse(path);
        let folder = key(&path, &Kind::Directory);
        let key = if self.nodes.contains_key(&folder) { folder } else { path.as_bytes().to_vec() };
        self.nodes.get_mut(&key).unwrap_or_else(|| panic!("nothing at {path:?}"))
    }

    /// Whether the walk comes to `path`, and if so whether as an ancestor only.
    fn reach(&self, path: &EntryPath) -> Option<bool> {
        if self.roots.iter().any(|root| path.strip_prefix(root).is_some()) {
            return Some(false);
        }
        self.roots.iter().any(|root| root.strip_prefix(path).is_some()).then_some(true)
    }
}

fn parse(path: &[u8]) -> EntryPath {
    EntryPath::new(path).unwrap_or_else(|error| panic!("{error}"))
}

fn parse_key(key: &[u8]) -> EntryPath {
    match key.strip_suffix(b"/") {
        Some(b"") | None => parse(key),
        Some(folder) => parse(folder),
    }
}

fn key(path: &EntryPath, kind: &Kind) -> Vec<u8> {
    let mut key = path.as_bytes().to_vec();
    if *kind == Kind::Directory && !path.is_root() {
        key.push(b'/');
    }
    key
}

impl Source for MemorySource {
    fn walk(&self) -> Box<dyn Iterator<Item = Event> + Send + '_> {
        let mut events = Vec::new();
        let mut open: Vec<&[u8]> = Vec::new();
        // Below this the walk sees nothing: the folder vanished or may not be listed.
        let mut hidden: Option<&[u8]> = None;
        for (key, node) in &self.nodes {
            if hidden.is_some_and(|folder| key.starts_with(folder)) {
                continue;
            }
            let path = parse_key(key);
            let Some(ancestor) = self.reach(&path) else { continue };
            while open.last().is_some_and(|folder| !key.starts_with(folder)) {
                open.pop();
                events.push(Event::Leave);
            }
            let problem =
                |cause, detail: &str| Event::Problem(Problem { path: path.clone(), cause, detail: detail.to_owned() });
            let folder = node.kind == Kind::Directory;
            if node.fault == Some(Fault::Vanishes) {
                events.push(problem(Cause::Vanished, "it was there before"));
                hidden = folder.then_some(key);
                continue;
            }
            let plain = Metadata { user: None, group: None, xattrs: Vec::new(), ..node.metadata.clone() };
            let entry = Entry { path: path.clone(), kind: node.kind.clone(), metadata: plain, ancestor };
            if folder {
                events.push(Event::Enter(entry));
                open.push(key);
                if node.fault == Some(Fault::Denied) {
                    events.push(problem(Cause::Denied, "permission denied"));
                    hidden = Some(key);
                }
            } else {
                events.push(Event::Entry(entry));
            }
        }
        events.extend(open.iter().map(|_| Event::Leave));
        Box::new(events.into_iter())
    }

    fn details(&self, entry: &Entry) -> (Metadata, Option<Problem>) {
        match self.get(&entry.path) {
            Some(node) => node.details(&entry.path),
            None => (entry.metadata.clone(), None),
        }
    }

    fn open(&self, entry: &Entry) -> Result<Box<dyn Content + '_>, SourceError> {
        let path = entry.path.clone();
        let Some(node) = self.get(&path) else { return Err(SourceError::Vanished { path }) };
        match node.fault {
            Some(Fault::Denied) => {
                return Err(SourceError::Denied { path, source: std::io::ErrorKind::PermissionDenied.into() });
            }
            Some(Fault::VanishesBeforeOpening) => return Err(SourceError::Vanished { path }),
            _ if node.kind != Kind::File => {
                return Err(SourceError::Changed { path, change: "it is not a regular file" });
            }
            _ => {}
        }
        let mut holes = Vec::new();
        let mut end = 0;
        for (start, length) in
            node.extents.iter().map(|(offset, bytes)| (*offset, bytes.len())).chain([(node.metadata.size, 0)])
        {
            if start > end {
                holes.push((end, start - end));
            }
            end = start + length as u64;
        }
        let (metadata, problem) = node.details(&path);
        Ok(Box::new(MemoryContent { path, node, metadata, problem, holes, position: 0 }))
    }

    fn roots(&self) -> Vec<EntryPath> {
        self.roots.clone()
    }
}

#[derive(Debug)]
struct MemoryContent<'a> {
    path: EntryPath,
    node: &'a Node,
    metadata: Metadata,
    problem: Option<Problem>,
    holes: Vec<(u64, u64)>,
    position: u64,
}

impl Content for MemoryContent<'_> {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn holes(&self) -> &[(u64, u64)] {
        &self.holes
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let mut left = self.node.metadata.size - self.position;
        if let Some(Fault::FailsAfter(bytes)) = self.node.fault {
            left = left.min(bytes.saturating_sub(self.position));
            if self.position >= bytes {
                let source = std::io::Error::other("the disk is scratched");
                return Err(SourceError::Unreadable { path: self.path.clone(), source });
            }
        }
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let window = self.position..self.position + length as u64;
        buffer[..length].fill(0);
        for (offset, bytes) in &self.node.extents {
            let start = window.start.max(*offset);
            let end = window.end.min(offset + bytes.len() as u64);
            if start < end {
                let source = &bytes[(start - offset) as usize..(end - offset) as usize];
                buffer[(start - window.start) as usize..(end - window.start) as usize].copy_from_slice(source);
            }
        }
        self.position = window.end;
        Ok(length)
    }

    fn finish(self: Box<Self>) -> Result<(), SourceError> {
        if self.node.fault == Some(Fault::Changes) {
            return Err(SourceError::Changed { path: self.path, change: "its time is another" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
