//! A folder to restore into.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::metadata;
use crate::platform::{self, Blocked, Node};
use crate::{Entry, EntryPath, FileWriter, Kind, Metadata, MetadataProblem, TargetError};

/// A folder to restore into, from which nothing gets out.
///
/// Paths are as seen from that folder: `/a` is `a` in it. No symbolic link below the folder is followed, whoever put
/// it there and whenever, so that no tree, however malicious, can write outside. What is in the way is replaced in one
/// step, but a folder never is.
///
/// Restore a folder before what is in it and its metadata after that, since a read-only folder takes no children and
/// each child changes its time.
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
    root: Node,
}

impl Target {
    /// Opens `folder`, making it and its parents if need be. Only here symbolic links are followed. New folders can be
    /// used by their owner only, until they are given other metadata; those that are there already stay as they are.
    ///
    /// # Errors
    /// [`TargetError::Unusable`].
    pub fn create(folder: &Path) -> Result<Self, TargetError> {
        let unusable = |source| TargetError::Unusable { folder: folder.to_path_buf(), source };
        Ok(Self { root: Node::create(folder).map_err(unusable)? })
    }

    /// Makes the folder `path` and those it is in; a new folder can be used by its owner only. One that is there
    /// already stays as it is.
    ///
    /// # Errors
    /// [`TargetError::WouldEscape`] or [`TargetError::NotAFolder`] when something is in the way; a full or read-only
    /// file system.
    pub fn directory(&self, path: &EntryPath) -> Result<(), TargetError> {
        match self.make_folder(path) {
            Err(TargetError::Missing { .. }) => {}
            done => return done,
        }
        let mut folder = EntryPath::root();
        for name in path.components() {
            folder.push(name);
            self.make_folder(&folder)?;
        }
        Ok(())
    }

    /// Begins a regular file of `size` bytes at `path`. The folder it goes into must exist.
    ///
    /// # Errors
    /// What is wrong with the folder; a full or read-only file system.
    pub fn file(&self, path: &EntryPath, size: u64) -> Result<FileWriter, TargetError> {
        let folder = self.folder_of(path)?;
        let (temp, file) = make_temp(path, |temp| folder.make_file(temp))?;
        FileWriter::new(file, size, path.clone(), folder, temp)
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
        let from = self.folder_of(existing)?;
        let (kind, _) =
            from.inspect(existing.file_name()).map_err(|error| TargetError::new(existing.clone(), error))?;
        if kind == Kind::Directory {
            return Err(TargetError::IsAFolder { path: existing.clone() });
        }
        let folder = self.folder_of(path)?;
        let (temp, ()) = make_temp(path, |temp| from.link(existing.file_name(), &folder, temp))?;
        let renamed = self.settle(&folder, &temp, path);
        // When both names are those of one file already, renaming does nothing at all.
        let _ = folder.remove(&temp);
        renamed
    }

    /// Gives the entry at `path`, which was restored as a `kind`, its metadata, and returns what could not be set.
    ///
    /// Owners are set by number. Extended attributes `user.*` and access lists that the metadata do not have are
    /// removed. If the owner cannot be set, the bits set-user-id and set-group-id are withheld.
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
        let failed = |error| TargetError::new(path.clone(), error);
        let node = self.folder_of(path)?.entry(name).map_err(failed)?;
        let (present, _) = node.inspect_self().map_err(failed)?;
        if present != *kind {
            return Err(TargetError::WrongKind { path: path.clone() });
        }
        Ok(metadata::apply(&node, path, kind, metadata))
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
        match folder.inspect(name) {
            Ok((kind, metadata)) => {
                let metadata = Metadata { xattrs: folder.xattrs(name).0, ..metadata };
                Ok(Some(Entry { path: path.clone(), kind, metadata, ancestor: false }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TargetError::new(path.clone(), error)),
        }
    }

    /// Makes all that was restored outlast a power cut. Call it once, at the end.
    ///
    /// # Errors
    /// A failing file system: what was restored may be incomplete.
    pub fn sync(&self) -> Result<(), TargetError> {
        self.root.sync().map_err(|error| TargetError::new(EntryPath::root(), error))
    }

    fn make_folder(&self, path: &EntryPath) -> Result<(), TargetError> {
        if path.is_root() {
            return Ok(());
        }
        let folder = self.folder_of(path)?;
        match folder.make_folder(path.file_name()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => match folder.inspect(path.file_name()) {
                Ok((Kind::Directory, _)) => Ok(()),
                Ok((Kind::Symlink { .. }, _)) => Err(TargetError::WouldEscape { path: path.clone() }),
                Ok(_) => Err(TargetError::NotAFolder { path: path.clone() }),
                Err(error) => Err(TargetError::new(path.clone(), error)),
            },
            result => result.map_err(|error| TargetError::new(path.clone(), error)),
        }
    }

    fn special(&self, path: &EntryPath, kind: &Kind) -> Result<(), TargetError> {
        let folder = self.folder_of(path)?;
        let (temp, ()) = make_temp(path, |temp| folder.make_special(temp, kind))?;
        let settled = self.settle(&folder, &temp, path);
        if settled.is_err() {
            // The first failure is the one to report.
            let _ = folder.remove(&temp);
        }
        settled
    }

    fn settle(&self, folder: &Node, temp: &[u8], path: &EntryPath) -> Result<(), TargetError> {
        folder.rename(temp, path.file_name()).map_err(|error| TargetError::new(path.clone(), error))
    }

    /// The folder `path` is in; for the root, the root.
    fn folder_of(&self, path: &EntryPath) -> Result<Node, TargetError> {
        let parent = path.parent().unwrap_or_else(EntryPath::root);
        platform::descend(&self.root, &parent).map_err(|Blocked { path, symlink, error }| {
            if symlink { TargetError::WouldEscape { path } } else { TargetError::new(path, error) }
        })
    }
}

/// Makes something under a name nobody has.
fn make_temp<T>(path: &EntryPath, make: impl Fn(&[u8]) -> io::Result<T>) -> Result<(Vec<u8>, T), TargetError> {
    if path.is_root() {
        return Err(TargetError::IsAFolder { path: path.clone() });
    }
    loop {
        // The standard library seeds its hash maps with randomness from the system, each differently.
        let random = RandomState::new().hash_one(path);
        let temp = format!(".sb-restore-{random:016x}").into_bytes();
        match make(&temp) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => return result.map(|made| (temp, made)).map_err(|error| TargetError::new(path.clone(), error)),
        }
    }
}
