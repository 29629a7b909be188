use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use crate::Space;

/// The file operations a [`LocalStorage`](crate::LocalStorage) is made of, so that a simulated disk can stand under it.
///
/// Paths are relative to the folder of the storage; the empty path is that folder. Nothing is durable before it is synced:
/// the bytes of a file by [`Temp::seal`], the names in a folder by [`Files::sync_folder`].
pub(crate) trait Files: Debug + Send + Sync {
    /// Creates a file under a fresh name in `folder` and locks it until it is dropped or its process dies.
    fn create_temp(&self, folder: &Path) -> io::Result<(PathBuf, Box<dyn Temp>)>;

    /// Removes a file made by `create_temp` unless it is locked; says whether it did.
    fn reclaim(&self, path: &Path) -> io::Result<bool>;

    /// Moves a file; `AlreadyExists` if the new name is taken.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates one folder; `AlreadyExists` if it is there.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes all names in a folder durable as they are now.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// What is in a folder, in any order.
    fn entries(&self, path: &Path) -> io::Result<Vec<Entry>>;

    /// The bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Exactly `length` bytes of a file in place of what is in `buffer`, or `UnexpectedEof`.
    fn read_range_into(&self, path: &Path, offset: u64, length: usize, buffer: &mut Vec<u8>) -> io::Result<()>;

    /// Drops what memory has of a file that is durable, where that can be done.
    fn evict(&self, path: &Path) {
        let _ = path;
    }

    /// The size of a file in bytes.
    fn size(&self, path: &Path) -> io::Result<u64>;

    /// The space of the file system, if it can tell.
    fn space(&self) -> io::Result<Option<Space>>;
}

/// A locked file that is being written.
pub(crate) trait Temp: Send {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file read-only and its bytes durable.
    fn seal(&mut self) -> io::Result<()>;
}

/// Something in a folder.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) is_folder: bool,
    /// Bytes; of no meaning for a folder.
    pub(crate) size: u64,
}
