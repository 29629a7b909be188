//! The sign of a restore that is not over.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};

use super::TargetFolder;
use super::temp::{self, make_temp};
use crate::TargetError;
use crate::platform::Node;

/// What the names begin with; 16 hexadecimal digits follow.
const PREFIX: &[u8] = b".sb-restore-unfinished-";
/// Longer ones are none of ours.
const TEXT_MAX: u64 = 1 << 20;

/// A file that says of a folder: a restore into it, or into something in it, is not over or was cut short.
///
/// Size and time of a file, and its name, can outlast a power cut that its content does not. So whoever restores puts a mark
/// in front, makes all of it durable, and then takes the mark away. What is found below a mark is to be looked into.
///
/// ```
/// use sb_source::{EntryPath, Target};
///
/// # let temp = tempfile::tempdir()?;
/// let target = Target::create(temp.path())?;
/// let folder = target.folder(&EntryPath::root())?;
/// let mark = folder.mark("everything of yesterday")?;
/// assert_eq!(folder.marks()[0].text().as_deref(), Some(&b"everything of yesterday"[..]));
/// target.sync()?;
/// mark.remove()?;
/// assert!(folder.marks().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Mark {
    folder: TargetFolder,
    name: Vec<u8>,
    /// Not there if it can't be opened. While a restore is at work, it holds a lock on it.
    file: Option<File>,
}

impl Mark {
    /// Its name in its folder.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// What was to be restored, in the words of whoever did; `None` if that can't be read.
    pub fn text(&self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        self.folder.open(&self.name).ok()?.take(TEXT_MAX).read_to_end(&mut text).ok()?;
        Some(text)
    }

    /// True if the restore that made it is gone. Where there are no locks, that can't be told.
    pub fn is_left_over(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.try_lock().is_ok())
    }

    /// Takes it away; the time of its folder stays.
    ///
    /// # Errors
    /// A failing file system, and a folder that is not ours.
    pub fn remove(self) -> Result<(), TargetError> {
        let node = self.folder.node();
        let remove = || node.remove(&self.name);
        let removed = quietly(node, || match remove() {
            // The folder has got the permissions of a folder that is for reading only.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let mode = node.inspect_self()?.1.mode;
                node.set_mode(mode | 0o700)?;
                let removed = remove();
                node.set_mode(mode)?;
                removed
            }
            removed => removed,
        });
        removed.map_err(|error| TargetError::new(self.folder.path_of(&self.name), error))?;
        // If it comes back after a power cut, more is compared than need be.
        let _ = node.sync_names();
        Ok(())
    }
}

impl TargetFolder {
    /// Puts a mark into this folder, whose time stays, and makes it durable. Others, and those of other restores, do not mind.
    ///
    /// # Errors
    /// A full or read-only file system, and a folder that is not ours.
    pub fn mark(&self, text: &str) -> Result<Mark, TargetError> {
        let node = self.node();
        let (name, mut file) = make_temp(PREFIX, self.path(), |name| quietly(node, || node.make_file(name)))?;
        let _ = file.try_lock();
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| node.sync_names());
        let mark = Mark { folder: self.clone(), name, file: Some(file) };
        match written {
            Ok(()) => Ok(mark),
            Err(error) => {
                let failed = TargetError::new(self.path_of(&mark.name), error);
                let _ = mark.remove();
                Err(failed)
            }
        }
    }

    /// The marks in this folder, whoever made them.
    pub fn marks(&self) -> Vec<Mark> {
        self.node().list().0.into_iter().filter_map(|child| self.as_mark(&child.name)).collect()
    }

    /// What has this name, if that is one of a mark.
    pub(crate) fn as_mark(&self, name: &[u8]) -> Option<Mark> {
        is_mark(name).then(|| Mark { folder: self.clone(), name: name.to_vec(), file: self.open(name).ok() })
    }
}

pub(crate) fn is_mark(name: &[u8]) -> bool {
    temp::is_name(PREFIX, name)
}

/// Changes what is in a folder, which keeps its time.
fn quietly<T>(folder: &Node, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = folder.inspect_self();
    let changed = change()?;
    if let Ok((_, metadata)) = before {
        // Only the owner may; the time of a folder that is another's is that of the last change.
        let _ = folder.set_mtime(metadata.mtime);
    }
    Ok(changed)
}
