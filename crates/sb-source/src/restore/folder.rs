//! A folder of a target, open.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::Arc;

use super::temp::{self, PREFIX, make_temp};
use super::{IfTaken, Mark, Scratch, metadata};
use crate::platform::{self, Blocked, NOT_INHERITED, Node, UNFINISHED};
use crate::{Entry, EntryPath, FileWriter, Kind, Metadata, MetadataProblem, TargetError};

/// Tells a folder from all others of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FolderId(pub(crate) (u64, u64));

/// A folder below a [`Target`](crate::Target), held open: what is done in it costs the same however deep it lies, and goes
/// nowhere else even if somebody moves the folder or puts a link in its place. A name is one component of a path.
///
/// ```
/// use sb_source::{EntryPath, IfTaken, Metadata, Target};
///
/// # let temp = tempfile::tempdir()?;
/// let (docs, is_new) = Target::create(temp.path())?.folder(&EntryPath::root())?.make_folder(b"docs")?;
/// let file = docs.file(b"note.txt", 2)?;
/// file.write_at(0, b"hi")?;
/// file.commit_as(&Metadata { mode: 0o600, ..Metadata::default() }, IfTaken::Fail)?;
/// assert!(is_new && docs.look(b"note.txt")?.is_some_and(|entry| entry.metadata.size == 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TargetFolder {
    node: Arc<Node>,
    path: EntryPath,
}

impl TargetFolder {
    pub(crate) fn new(node: Node, path: EntryPath) -> Self {
        Self { node: Arc::new(node), path }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Where it is, as seen from the target's folder.
    pub fn path(&self) -> &EntryPath {
        &self.path
    }

    /// The path of what has this name in it; a name that no file can have gives that of the folder itself.
    pub(crate) fn path_of(&self, name: &[u8]) -> EntryPath {
        self.path.join(name).unwrap_or_else(|_| self.path.clone())
    }

    /// Opens the folder at `path` below this one, which must exist.
    ///
    /// # Errors
    /// [`TargetError::WouldEscape`], [`TargetError::NotAFolder`] or [`TargetError::Missing`], with where the way ends.
    pub fn descend(&self, path: &EntryPath) -> Result<Self, TargetError> {
        let below = |path: &EntryPath| {
            let mut whole = self.path.clone();
            if !path.is_root() {
                whole.append(path);
            }
            whole
        };
        match platform::descend(&self.node, path) {
            Ok(node) => Ok(Self::new(node, below(path))),
            Err(Blocked { path, symlink: true, .. }) => Err(TargetError::WouldEscape { path: below(&path) }),
            Err(Blocked { path, error, .. }) => Err(TargetError::new(below(&path), error)),
        }
    }

    /// Makes a folder, and opens it; true if it was not there yet. A new one can be used by its owner only, and
    /// [`is_unfinished`](Self::is_unfinished) until it is given metadata; one that is there stays as it is.
    ///
    /// # Errors
    /// [`TargetError::WouldEscape`] or [`TargetError::NotAFolder`] when something is in the way; a full or read-only file
    /// system.
    pub fn make_folder(&self, name: &[u8]) -> Result<(Self, bool), TargetError> {
        let failed = |error| TargetError::new(self.path_of(name), error);
        let is_new = match self.node.make_folder(name) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(failed(error)),
        };
        match self.node.open_folder(name) {
            Ok(node) => {
                let folder = Self::new(node, self.path_of(name));
                if is_new {
                    folder.begin();
                }
                Ok((folder, is_new))
            }
            Err(error) => match self.node.inspect(name) {
                Ok((Kind::Symlink { .. }, _)) => Err(TargetError::WouldEscape { path: self.path_of(name) }),
                Ok((kind, _)) if kind != Kind::Directory => Err(TargetError::NotAFolder { path: self.path_of(name) }),
                _ => Err(failed(error)),
            },
        }
    }

    /// Begins a regular file of `size` bytes.
    ///
    /// # Errors
    /// A full or read-only file system.
    pub fn file(&self, name: &[u8], size: u64) -> Result<FileWriter, TargetError> {
        let (temp, file) = make_temp(PREFIX, &self.path_of(name), |temp| self.node.make_file(temp))?;
        FileWriter::new(file, size, self.clone(), name, temp)
    }

    /// Makes a symbolic link, pipe, socket or device.
    ///
    /// # Errors
    /// [`TargetError::Unsupported`] for any other kind; [`TargetError::NameTaken`], or a folder of that name; a full or
    /// read-only file system.
    pub fn special(&self, name: &[u8], kind: &Kind, if_taken: IfTaken) -> Result<(), TargetError> {
        self.name_it(name, if_taken, |name| self.node.make_special(name, kind))
    }

    /// Gives what is called `existing` in the folder `from`, and is no folder, a second name here.
    ///
    /// # Errors
    /// [`TargetError::Missing`] when it does not exist; else as [`special`](Self::special).
    pub fn hard_link(&self, from: &Self, existing: &[u8], name: &[u8], if_taken: IfTaken) -> Result<(), TargetError> {
        let (kind, _) = from.node.inspect(existing).map_err(|error| TargetError::new(from.path_of(existing), error))?;
        if kind == Kind::Directory {
            return Err(TargetError::IsAFolder { path: from.path_of(existing) });
        }
        self.name_it(name, if_taken, |name| from.node.link(existing, &self.node, name))
    }

    /// Makes what has no content under its own name or, if that is taken, under another that then replaces it.
    fn name_it(
        &self,
        name: &[u8],
        if_taken: IfTaken,
        make: impl Fn(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), TargetError> {
        let failed = |error| TargetError::new(self.path_of(name), error);
        match (make(name), if_taken) {
            (Err(error), IfTaken::Fail) if error.kind() == ErrorKind::AlreadyExists => {
                Err(TargetError::NameTaken { path: self.path_of(name) })
            }
            (Err(error), IfTaken::Replace) if error.kind() == ErrorKind::AlreadyExists => {
                let (temp, ()) = make_temp(PREFIX, &self.path_of(name), &make)?;
                let renamed = self.node.rename(&temp, name).map_err(failed);
                // It is there still if renaming failed, or if both are names of one file, when renaming does nothing at all.
                let _ = self.node.remove(&temp);
                renamed
            }
            (result, _) => result.map_err(failed),
        }
    }

    /// Gives what is called `name`, and was restored as a `kind`, its metadata; returns what could not be set.
    ///
    /// Owners are set by number. Extended attributes `user.*` and access lists that the metadata do not have are
    /// removed. If the owner cannot be set, the bits set-user-id and set-group-id are withheld.
    ///
    /// # Errors
    /// [`TargetError::Missing`] or [`TargetError::WrongKind`] when it is not there any more.
    pub fn set_metadata(
        &self,
        name: &[u8],
        kind: &Kind,
        metadata: &Metadata,
    ) -> Result<Vec<MetadataProblem>, TargetError> {
        let path = if name == b"." { self.path.clone() } else { self.path_of(name) };
        let failed = |error| TargetError::new(path.clone(), error);
        let node = self.node.entry(name).map_err(failed)?;
        let (present, _) = node.inspect_self().map_err(failed)?;
        if present != *kind {
            return Err(TargetError::WrongKind { path });
        }
        Ok(metadata::apply(&node, &path, kind, metadata))
    }

    /// Gives this folder itself its metadata, as [`set_metadata`](Self::set_metadata) does.
    pub fn set_own_metadata(&self, metadata: &Metadata) -> Vec<MetadataProblem> {
        metadata::apply(&self.node, &self.path, &Kind::Directory, metadata)
    }

    /// What has this name; `None` when nothing has. Owners come without names, and extended attributes are not looked up.
    ///
    /// # Errors
    /// A failing file system.
    pub fn look(&self, name: &[u8]) -> Result<Option<Entry>, TargetError> {
        match self.node.inspect(name) {
            Ok((kind, metadata)) => Ok(Some(Entry { path: self.path_of(name), kind, metadata, ancestor: false })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TargetError::new(self.path_of(name), error)),
        }
    }

    /// Which folder this is, and the number of its file system.
    ///
    /// # Errors
    /// A failing file system.
    pub fn identity(&self) -> Result<(FolderId, u64), TargetError> {
        let (_, metadata) = self.node.inspect_self().map_err(|error| TargetError::new(self.path.clone(), error))?;
        Ok((FolderId(self.node.identity(&metadata)), metadata.device))
    }

    /// True if this folder was made by a restore that has not come, or did not come, to give it its metadata: it can be used by
    /// its owner only, and has set-user-id and sticky bit, which nobody else gives a folder. Not told on every system.
    pub fn is_unfinished(&self) -> bool {
        self.mode().is_some_and(|mode| mode & NOT_INHERITED == UNFINISHED)
    }

    /// Says that it has not been given its metadata yet, if that can be said here.
    pub(crate) fn begin(&self) {
        if let Some(mode) = self.mode() {
            let _ = self.node.set_mode(UNFINISHED | mode & !NOT_INHERITED & 0o7777);
        }
    }

    /// Takes that back.
    pub(crate) fn finish(&self) {
        if let Some(mode) = self.mode().filter(|mode| mode & NOT_INHERITED == UNFINISHED) {
            // It can be used all the same.
            let _ = self.node.set_mode(mode & 0o2700);
        }
    }

    fn mode(&self) -> Option<u32> {
        self.node.inspect_self().ok().map(|(_, metadata)| metadata.mode)
    }

    /// Opens a regular file for reading, to compare what is in it.
    ///
    /// # Errors
    /// [`TargetError::Missing`], [`TargetError::WrongKind`] if it is no regular file, and what else keeps it from being read.
    pub fn open(&self, name: &[u8]) -> Result<File, TargetError> {
        let failed = |error| TargetError::new(self.path_of(name), error);
        let file = self.node.open(name).map_err(failed)?;
        match platform::inspect_file(&file).map_err(failed)? {
            (Kind::File, ..) => Ok(file),
            _ => Err(TargetError::WrongKind { path: self.path_of(name) }),
        }
    }

    /// A file without a name on this folder's file system, to keep content in for a while.
    ///
    /// # Errors
    /// A full or read-only file system.
    pub fn scratch(&self) -> Result<Scratch, TargetError> {
        let (temp, file) = make_temp(PREFIX, &self.path, |temp| self.node.make_scratch(temp))?;
        // Where an open file keeps its name, the next restore removes it.
        let _ = self.node.remove(&temp);
        Ok(Scratch(file))
    }

    /// The extended attributes of what is called `name`, as far as they can be read.
    pub fn xattrs(&self, name: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.node.xattrs(name).0
    }

    /// True if what is called `name` has these extended attributes already: [`set_metadata`](Self::set_metadata) would neither
    /// set nor remove any.
    pub fn has_xattrs(&self, name: &[u8], wanted: &[(Vec<u8>, Vec<u8>)]) -> bool {
        let (present, error) = self.node.xattrs(name);
        error.is_none() && metadata::has_xattrs(&present, wanted)
    }

    /// Removes what is called `name` and is no folder; of a symbolic link the link itself.
    ///
    /// # Errors
    /// [`TargetError::IsAFolder`]; [`TargetError::NameTaken`] if the file system finds it under this name, but lists it under
    /// another; a read-only file system.
    pub fn remove(&self, name: &[u8]) -> Result<(), TargetError> {
        if !self.node.list().0.iter().any(|child| *child.name == *name) {
            return Err(TargetError::NameTaken { path: self.path_of(name) });
        }
        self.node.remove(name).map_err(|error| TargetError::new(self.path_of(name), error))
    }

    /// Makes all that was restored on this folder's file system outlast a power cut.
    ///
    /// # Errors
    /// A failing file system: what was restored may be incomplete.
    pub fn sync(&self) -> Result<(), TargetError> {
        self.node.sync().map_err(|error| TargetError::new(self.path.clone(), error))
    }

    /// Removes files that restores which were cut short have left unfinished here, but not those of restores that are still at
    /// work; returns the [`Mark`]s, of which none is removed.
    pub fn clear_unfinished(&self) -> Vec<Mark> {
        temp::clear(self)
    }
}
