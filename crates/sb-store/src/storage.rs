use std::fmt::Debug;
use std::sync::Arc;

use crate::{ObjectName, StoreError};

/// A place that keeps objects. There is no verb that overwrites.
///
/// Whatever implements it keeps this contract, which is what makes a vault survive power loss:
/// - An object appears under its name at once and whole, by [`Upload::finish`], and never changes after that.
/// - What [`Upload::finish`] and [`remove`](Self::remove) have acknowledged is durable.
/// - A name is never reused: `finish` refuses one that is taken.
/// - All methods may be called from many threads and processes at once.
pub trait Storage: Debug + Send + Sync {
    /// Reads a whole object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Denied`] or [`StoreError::Io`].
    fn read(&self, name: &ObjectName) -> Result<Vec<u8>, StoreError>;

    /// Reads exactly `length` bytes from `offset` on.
    ///
    /// # Errors
    /// [`StoreError::Short`] if the object ends earlier, otherwise as [`read`](Self::read).
    fn read_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        self.read_range_into(name, offset, length, &mut bytes)?;
        Ok(bytes)
    }

    /// [`read_range`](Self::read_range) into a buffer the caller keeps: its content is replaced, its memory used again.
    ///
    /// # Errors
    /// As [`read_range`](Self::read_range). What is in the buffer then is not defined.
    fn read_range_into(
        &self,
        name: &ObjectName,
        offset: u64,
        length: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError>;

    /// Lets the next reading of an object come from the place itself where that can be had, rather than from what this machine
    /// still has in memory of it. Default: does nothing.
    fn evict(&self, name: &ObjectName) {
        let _ = name;
    }

    /// The size of an object, in bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn size(&self, name: &ObjectName) -> Result<u64, StoreError>;

    /// Begins a new object, whose name is given when all its bytes are written.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::ReadOnly`] or [`StoreError::Io`].
    fn begin(&self) -> Result<Box<dyn Upload + '_>, StoreError>;

    /// Every file below a folder, sorted by name: `""` is everything, `"packs"` what is below `packs/`.
    ///
    /// Files that are no objects are listed too (see [`Listed::object_name`]), unfinished uploads are not. A folder that
    /// does not exist has no files. Objects that come or go meanwhile may or may not be listed.
    ///
    /// # Errors
    /// [`StoreError::BadName`] if `prefix` is neither empty nor of the form of an [`ObjectName`], [`StoreError::Denied`] or
    /// [`StoreError::Io`] if a folder can't be read: a listing is complete or an error.
    fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError>;

    /// Removes an object, durably.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, and none will come back; [`StoreError::ReadOnly`] if it must stay;
    /// [`StoreError::Io`] leaves open whether it was removed.
    fn remove(&self, name: &ObjectName) -> Result<(), StoreError>;

    /// How much space there is, where the place can tell.
    ///
    /// # Errors
    /// [`StoreError::Denied`] or [`StoreError::Io`].
    fn space(&self) -> Result<Option<Space>, StoreError>;

    /// Tidies up after processes that died: removes what remains of their uploads, returns of how many, and makes
    /// every object that is visible now durable. Uploads of live processes stay.
    ///
    /// Call it before relying on objects whose creation nobody acknowledged.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] if there is something to remove that can't be, [`StoreError::Denied`] or [`StoreError::Io`].
    fn sweep(&self) -> Result<u64, StoreError>;
}

/// An object that is being written. Dropping it leaves nothing behind.
pub trait Upload: Send {
    /// Appends bytes. After an error the upload is lost: drop it.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::ReadOnly`], [`StoreError::Abandoned`] after an earlier error, or
    /// [`StoreError::Io`].
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Gives the object its name: all of it or, on an error, nothing of it becomes visible, and it is durable on return.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the name is taken; the object that has it is untouched and durable.
    /// [`StoreError::Io`] leaves open whether the object was created. Otherwise as [`write`](Self::write).
    fn finish(self: Box<Self>, name: &ObjectName) -> Result<(), StoreError>;
}

/// Creates an object from bytes at hand.
///
/// ```
/// use sb_store::{MemoryStorage, ObjectName, Storage, StoreError};
///
/// let storage = MemoryStorage::new();
/// let name = ObjectName::new("config/1")?;
/// sb_store::create(&storage, &name, b"first")?;
/// assert!(matches!(sb_store::create(&storage, &name, b"second"), Err(StoreError::AlreadyExists { .. })));
/// assert_eq!(storage.read(&name)?, b"first");
/// # Ok::<(), StoreError>(())
/// ```
///
/// # Errors
/// As [`Storage::begin`], [`Upload::write`] and [`Upload::finish`].
pub fn create(storage: &dyn Storage, name: &ObjectName, bytes: &[u8]) -> Result<(), StoreError> {
    let mut upload = storage.begin()?;
    upload.write(bytes)?;
    upload.finish(name)
}

/// A file found by [`Storage::list`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its path, `/`-separated; lossy only for names that are not UTF-8.
    pub name: String,
    /// Its size, in bytes.
    pub size: u64,
}

impl Listed {
    /// The name as that of an object; `None` if no object can have it.
    pub fn object_name(&self) -> Option<ObjectName> {
        ObjectName::new(self.name.as_str()).ok()
    }
}

/// How much space a place has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes this process may still use.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Checks the prefix of a listing: empty, or a folder as it occurs in names.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), StoreError> {
    if prefix.is_empty() { Ok(()) } else { ObjectName::new(prefix).map(drop) }
}

impl<S: Storage + ?Sized> Storage for Arc<S> {
    fn read(&self, name: &ObjectName) -> Result<Vec<u8>, StoreError> {
        (**self).read(name)
    }

    fn read_range_into(
        &self,
        name: &ObjectName,
        offset: u64,
        length: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        (**self).read_range_into(name, offset, length, buffer)
    }

    fn evict(&self, name: &ObjectName) {
        (**self).evict(name);
    }

    fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        (**self).size(name)
    }

    fn begin(&self) -> Result<Box<dyn Upload + '_>, StoreError> {
        (**self).begin()
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        (**self).list(prefix)
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        (**self).remove(name)
    }

    fn space(&self) -> Result<Option<Space>, StoreError> {
        (**self).space()
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        (**self).sweep()
    }
}
