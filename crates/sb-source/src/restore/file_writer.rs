//! Restoring a file.

use std::fs::File;

use super::metadata;
use crate::platform::{self, Node};
use crate::{EntryPath, Kind, Metadata, MetadataProblem, TargetError};

/// A file being restored. It has a temporary name until [`commit`](Self::commit) gives it its own; dropped before,
/// it is removed.
#[derive(Debug)]
pub struct FileWriter {
    file: Option<File>,
    size: u64,
    path: EntryPath,
    folder: Node,
    temp: Vec<u8>,
}

impl FileWriter {
    pub(crate) fn new(
        file: File,
        size: u64,
        path: EntryPath,
        folder: Node,
        temp: Vec<u8>,
    ) -> Result<Self, TargetError> {
        let writer = Self { file: Some(file), size, path, folder, temp };
        writer.file().set_len(size).map_err(|error| writer.failed(error))?;
        Ok(writer)
    }

    /// Writes `bytes` at `offset`. Ranges never written remain holes, which read as zeros. Threads may write different
    /// ranges at the same time.
    ///
    /// # Errors
    /// [`TargetError::PastEnd`] outside the size the file was created with; a full or failing file system.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), TargetError> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.size {
            return Err(TargetError::PastEnd { path: self.path.clone(), size: self.size, end });
        }
        platform::write_all_at(self.file(), bytes, offset).map_err(|error| self.failed(error))
    }

    /// Gives the file its metadata and then, in one step, its name, replacing what had that name.
    ///
    /// Returns what could not be set. Like the rest of a restore the file outlasts a power cut only after
    /// [`Target::sync`](crate::Target::sync).
    ///
    /// # Errors
    /// [`TargetError::IsAFolder`] when a folder has the name; a failing file system.
    pub fn commit(mut self, metadata: &Metadata) -> Result<Vec<MetadataProblem>, TargetError> {
        let file = self.file.take().expect("only this method takes the file and it consumes the writer");
        let node = Node::of_file(file, &self.folder, &self.temp);
        let problems = metadata::apply(&node, &self.path, &Kind::File, metadata);
        drop(node);
        self.folder.rename(&self.temp, self.path.file_name()).map_err(|error| self.failed(error))?;
        self.temp.clear();
        Ok(problems)
    }

    fn file(&self) -> &File {
        self.file.as_ref().expect("the file is there until the writer is consumed")
    }

    fn failed(&self, error: std::io::Error) -> TargetError {
        TargetError::new(self.path.clone(), error)
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if !self.temp.is_empty() {
            drop(self.file.take());
            // Nobody is left to hear of a failure; the name tells what it is.
            let _ = self.folder.remove(&self.temp);
        }
    }
}
