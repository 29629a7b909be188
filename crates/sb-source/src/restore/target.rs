//! A folder to restore into.

use std::path::{Path, PathBuf};

use super::mark::is_mark;
use super::{FolderId, IfTaken, TargetFolder};
use crate::platform::{self, Node};
use crate::selection::entry_path;
use crate::{Entry, EntryPath, FileWriter, Kind, Metadata, MetadataProblem, TargetError};

/// A folder to restore into, from which nothing gets out.
///
/// Paths are as seen from that folder: `/a` is `a` in it. No symbolic link below the folder is followed, whoever put
/// it there and whenever, so that no tree, however malicious, can write outside. What is in the way is replaced in one
/// step, but a folder never is.
///
/// Restore a folder before what is in it and its metadata after that, since a read-only folder takes no children and
/// each child changes its time. Whoever restores much into one folder opens it once: [`folder`](Self::folder).
///
/// ```
/// use sb_source::{EntryPath, Kind, Metadata, Target};
///
/// # let temp = tempfile::tempdir()?;
/// # let folder = &temp.path().join("restored");
/// let target = Target::create(folder)?;
/// let docs = EntryPath::new("/docs")?;
/// target.directory(&docs)?;
///
/// # let (uid, gid) = (std::os::unix::fs::MetadataExt::uid(&temp.path().metadata()?), std::os::unix::fs::MetadataExt::gid(&temp.path().metadata()?));
/// let metadata = Metadata { mode: 0o640, uid, gid, ..Metadata::default() };
/// let file = target.file(&docs.join(b"invoice.pdf")?, 8)?;
/// file.write_at(0, b"%PDF-1.7")?;
/// assert!(file.commit(&metadata)?.is_empty());
///
/// let metadata = Metadata { mode: 0o550, ..metadata };
/// assert!(target.apply_metadata(&docs, &Kind::Directory, &metadata)?.is_empty());
/// target.sync()?;
/// assert_eq!(std::fs::read(folder.join("docs/invoice.pdf"))?, b"%PDF-1.7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Target {
    root: TargetFolder,
    location: PathBuf,
}

impl Target {
    /// Opens `folder`, making it and its parents if need be. Only here symbolic links are followed. New folders can be
    /// used by their owner only, until they are given other metadata or, in the case of `folder` itself, are
    /// [`finish`](Self::finish)ed; those that are there already stay as they are.
    ///
    /// # Errors
    /// [`TargetError::Unusable`].
    pub fn create(folder: &Path) -> Result<Self, TargetError> {
        let unusable = |source| TargetError::Unusable { folder: folder.to_path_buf(), source };
        let (node, is_new) = Node::create(folder).map_err(unusable)?;
        let root = TargetFolder::new(node, EntryPath::root());
        if is_new {
            root.begin();
        }
        Ok(Self { root, location: folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf()) })
    }

    /// Takes away what tells that the folder is not finished yet. For folders that come to no metadata of their own.
    pub fn finish(&self) {
        self.root.finish();
    }

    /// Where the folder is on this machine; absolute and without symbolic links if that could be found out.
    pub fn location(&self) -> &Path {
        &self.location
    }

    /// True if a [`Mark`](crate::Mark) is in one of the folders that this one lies in, as far as they can be listed.
    pub fn is_below_mark(&self) -> bool {
        let above = self.location.ancestors().skip(1).filter_map(|folder| folder.read_dir().ok());
        above.flatten().flatten().any(|line| is_mark(line.file_name().as_encoded_bytes()))
    }

    /// Opens the folder at `path`, which must exist.
    ///
    /// # Errors
    /// [`TargetError::WouldEscape`], [`TargetError::NotAFolder`] or [`TargetError::Missing`], with where the way ends.
    pub fn folder(&self, path: &EntryPath) -> Result<TargetFolder, TargetError> {
        if path.is_root() { Ok(self.root.clone()) } else { self.root.descend(path) }
    }

    /// Which folder of this machine is at `path`, outside the target as well; `None` if none is. Symbolic links are followed.
    pub fn id_of(path: &Path) -> Option<FolderId> {
        let folder = Node::root().ok()?;
        let node = platform::descend(&folder, &entry_path(&path.canonicalize().ok()?).ok()?).ok()?;
        let (_, metadata) = node.inspect_self().ok()?;
        Some(FolderId(node.identity(&metadata)))
    }

    /// Makes the folder `path` and those it is in; a new folder can be used by its owner only, and
    /// [`is_unfinished`](TargetFolder::is_unfinished) until it is given metadata. One that is there already stays as it is.
    ///
    /// # Errors
    /// [`TargetError::WouldEscape`] or [`TargetError::NotAFolder`] when something is in the way; a full or read-only
    /// file system.
    pub fn directory(&self, path: &EntryPath) -> Result<(), TargetError> {
        let mut folder = self.root.clone();
        for name in path.components() {
            folder = folder.make_folder(name)?.0;
        }
        Ok(())
    }

    /// Begins a regular file of `size` bytes at `path`. The folder it goes into must exist.
    ///
    /// # Errors
    /// What is wrong with the folder; a full or read-only file system.
    pub fn file(&self, path: &EntryPath, size: u64) -> Result<FileWriter, TargetError> {
        self.parent(path)?.file(path.file_name(), size)
    }

    /// Puts a symbolic link at `path`; `target` is its text, which may be anything.
    ///
    /// # Errors
    /// What is wrong with the folder; a folder at `path`; a full or read-only file system.
    pub fn symlink(&self, path: &EntryPath, target: &[u8]) -> Result<(), TargetError> {
        self.special(path, &Kind::Symlink { target: target.to_vec() })
    }

    /// Puts a named pipe at `path`.
    ///
    /// # Errors
    /// As [`symlink`](Self::symlink).
    pub fn fifo(&self, path: &EntryPath) -> Result<(), TargetError> {
        self.special(path, &Kind::Fifo)
    }

    /// Puts a Unix domain socket, which nobody listens to, at `path`.
    ///
    /// # Errors
    /// As [`symlink`](Self::symlink).
    pub fn socket(&self, path: &EntryPath) -> Result<(), TargetError> {
        self.special(path, &Kind::Socket)
    }

    /// Puts a character or block device at `path`; needs the rights of root.
    ///
    /// # Errors
    /// [`TargetError::Unsupported`] for any other kind; else as [`symlink`](Self::symlink).
    pub fn device(&self, path: &EntryPath, kind: &Kind) -> Result<(), TargetError> {
        match kind {
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => self.special(path, kind),
            _ => Err(TargetError::Unsupported { path: path.clone() }),
        }
    }

    /// Gives the entry at `existing`, which is not a folder, the second name `path`.
    ///
    /// # Errors
    /// [`TargetError::Missing`] when `existing` does not exist; else as [`symlink`](Self::symlink).
    pub fn hard_link(&self, existing: &EntryPath, path: &EntryPath) -> Result<(), TargetError> {
        if existing.is_root() {
            return Err(TargetError::IsAFolder { path: existing.clone() });
        }
        let from = self.folder_of(existing)?;
        self.parent(path)?.hard_link(&from, existing.file_name(), path.file_name(), IfTaken::Replace)
    }

    /// Gives the entry at `path`, which was restored as a `kind`, its metadata, and returns what could not be set: see
    /// [`TargetFolder::set_metadata`].
    ///
    /// # Errors
    /// [`TargetError::Missing`] or [`TargetError::WrongKind`] when it is not there any more.
    pub fn apply_metadata(
        &self,
        path: &EntryPath,
        kind: &Kind,
        metadata: &Metadata,
    ) -> Result<Vec<MetadataProblem>, TargetError> {
        let name = if path.is_root() { b"." } else { path.file_name() };
        self.folder_of(path)?.set_metadata(name, kind, metadata)
    }

    /// What is at `path`; `None` when nothing is there. Owners come without names.
    ///
    /// # Errors
    /// [`TargetError::WouldEscape`] or [`TargetError::NotAFolder`] when something is in the way.
    pub fn exists(&self, path: &EntryPath) -> Result<Option<Entry>, TargetError> {
        let name = if path.is_root() { b"." } else { path.file_name() };
        let folder = match self.folder_of(path) {
            Err(TargetError::Missing { .. }) => return Ok(None),
            folder => folder?,
        };
        let found = folder.look(name)?;
        Ok(found.map(|entry| {
            let metadata = Metadata { xattrs: folder.node().xattrs(name).0, ..entry.metadata };
            Entry { path: path.clone(), metadata, ..entry }
        }))
    }

    /// Makes all that was restored outlast a power cut. Call it once, at the end.
    ///
    /// # Errors
    /// A failing file system: what was restored may be incomplete.
    pub fn sync(&self) -> Result<(), TargetError> {
        self.root.sync()
    }

    fn special(&self, path: &EntryPath, kind: &Kind) -> Result<(), TargetError> {
        self.parent(path)?.special(path.file_name(), kind, IfTaken::Replace)
    }

    /// The folder that something new at `path` goes into.
    fn parent(&self, path: &EntryPath) -> Result<TargetFolder, TargetError> {
        if path.is_root() { Err(TargetError::IsAFolder { path: path.clone() }) } else { self.folder_of(path) }
    }

    /// The folder `path` is in; for the root, the root.
    fn folder_of(&self, path: &EntryPath) -> Result<TargetFolder, TargetError> {
        self.folder(&path.parent().unwrap_or_else(EntryPath::root))
    }
}
