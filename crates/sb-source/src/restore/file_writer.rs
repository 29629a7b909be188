//! Restoring a file.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{TargetFolder, metadata};
use crate::platform::{self, Node};
use crate::{EntryPath, Kind, Metadata, MetadataProblem, TargetError};

/// What to do where the name of something restored is taken, by anything but a folder, which is never replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfTaken {
    /// Replace what has the name, in one step.
    Replace,
    /// Leave it, and fail with [`TargetError::NameTaken`].
    Fail,
}

/// Files of so many bytes get their size before their content, so that those that cannot be are known at once.
const LARGE: u64 = 1 << 20;

/// A file being restored. It has a temporary name until [`commit`](Self::commit) gives it its own; dropped before,
/// it is removed.
#[derive(Debug)]
pub struct FileWriter {
    file: Option<File>,
    size: u64,
    /// How far anything is written, or the size was set.
    reached: AtomicU64,
    folder: TargetFolder,
    name: Vec<u8>,
    temp: Vec<u8>,
}

impl FileWriter {
    pub(crate) fn new(
        file: File,
        size: u64,
        folder: TargetFolder,
        name: &[u8],
        temp: Vec<u8>,
    ) -> Result<Self, TargetError> {
        // Tells those who clear up that somebody is at work. Where there are no locks, none is found later either.
        let _ = file.try_lock();
        let writer = Self { file: Some(file), size, reached: 0.into(), folder, name: name.to_vec(), temp };
        if size >= LARGE {
            writer.set_size()?;
        }
        Ok(writer)
    }

    /// Takes the space of the whole file, if it is a large one and the file system can do that, so that a full one is found
    /// out before anything is written. Not for files with holes, which would get none.
    ///
    /// # Errors
    /// A full or failing file system.
    pub fn reserve(&self) -> Result<(), TargetError> {
        if self.size < LARGE {
            return Ok(());
        }
        platform::reserve(self.file(), self.size).map_err(|error| self.failed(error))
    }

    /// Writes `bytes` at `offset`. Ranges never written remain holes, which read as zeros. Threads may write different
    /// ranges at the same time.
    ///
    /// # Errors
    /// [`TargetError::PastEnd`] outside the size the file was created with; a full or failing file system.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), TargetError> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.size {
            return Err(TargetError::PastEnd { path: self.path(), size: self.size, end });
        }
        platform::write_all_at(self.file(), bytes, offset).map_err(|error| self.failed(error))?;
        self.reached.fetch_max(end, Ordering::Relaxed);
        Ok(())
    }

    /// Gives the file its metadata and then, in one step, its name, replacing what had that name.
    ///
    /// Returns what could not be set. Like the rest of a restore the file outlasts a power cut only after
    /// [`Target::sync`](crate::Target::sync).
    ///
    /// # Errors
    /// [`TargetError::IsAFolder`] when a folder has the name; a failing file system.
    pub fn commit(self, metadata: &Metadata) -> Result<Vec<MetadataProblem>, TargetError> {
        self.commit_as(metadata, IfTaken::Replace)
    }

    /// As [`commit`](Self::commit), with a say in what happens where the name is taken.
    ///
    /// # Errors
    /// As [`commit`](Self::commit), and [`TargetError::NameTaken`].
    pub fn commit_as(mut self, metadata: &Metadata, if_taken: IfTaken) -> Result<Vec<MetadataProblem>, TargetError> {
        if self.reached.load(Ordering::Relaxed) < self.size {
            self.set_size()?;
        }
        let file = self.file.take().expect("only this method takes the file and it consumes the writer");
        let folder = self.folder.node();
        let node = Node::of_file(file, folder, &self.temp);
        let problems = metadata::apply(&node, &self.path(), &Kind::File, metadata);
        let renamed = match if_taken {
            IfTaken::Replace => folder.rename(&self.temp, &self.name),
            IfTaken::Fail => folder.rename_new(&self.temp, &self.name),
        };
        // Until here the lock had to be held.
        drop(node);
        renamed.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => TargetError::NameTaken { path: self.path() },
            _ => self.failed(error),
        })?;
        self.temp.clear();
        Ok(problems)
    }

    fn set_size(&self) -> Result<(), TargetError> {
        self.file().set_len(self.size).map_err(|error| self.failed(error))?;
        self.reached.store(self.size, Ordering::Relaxed);
        Ok(())
    }

    fn file(&self) -> &File {
        self.file.as_ref().expect("the file is there until the writer is consumed")
    }

    fn path(&self) -> EntryPath {
        self.folder.path_of(&self.name)
    }

    fn failed(&self, error: std::io::Error) -> TargetError {
        TargetError::new(self.path(), error)
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if !self.temp.is_empty() {
            drop(self.file.take());
            // Nobody is left to hear of a failure; the name tells what it is.
            let _ = self.folder.node().remove(&self.temp);
        }
    }
}
