use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf, absolute};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::Disk;
use crate::error::is_crash;
use crate::files::{Entry, Files, Temp};
use crate::storage::check_prefix;
use crate::{Listed, ObjectName, Space, Storage, StoreError, Upload};

/// Where uploads are until they have a name.
const UPLOADS: &str = "tmp";

/// A storage in a folder of this machine, or of a share mounted on it.
///
/// Objects are files of mode 0400, folders have 0700. An upload is a locked file in `tmp/`; to finish it, its bytes are
/// synced, it gets its name by a rename that can't replace, and the folder is synced. Folders are made on demand, and the
/// first object a process puts into one also syncs the folder above, because the process that made it may have died before.
/// When a sync of a folder fails, nothing in it is acknowledged any more until the storage is opened again.
#[derive(Debug)]
pub struct LocalStorage {
    files: Arc<dyn Files>,
    root: String,
    /// Folders whose own names are known to be durable.
    durable_folders: Mutex<BTreeSet<PathBuf>>,
    /// Folders of which a sync has failed. A later one may claim success for names that never reached the disk.
    failed_folders: Mutex<BTreeMap<PathBuf, ErrorKind>>,
}

impl LocalStorage {
    /// Opens the storage in a folder that exists.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such folder, [`StoreError::Denied`] or [`StoreError::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let found = absolute(path).and_then(|root| Ok((fs::metadata(&root)?.is_dir(), root)));
        match found.map_err(|error| StoreError::reading("open", &name, error))? {
            (true, root) => Ok(Self::over(Arc::new(Disk::new(root)), name)),
            (false, _) => Err(StoreError::NotFound { name }),
        }
    }

    /// Creates the folder and those above it, durably, and opens the storage in it. A folder that exists is taken as it is.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::ReadOnly`], or those of [`open`](Self::open).
    pub fn create(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        absolute(path)
            .and_then(|root| Disk::create_root(&root))
            .map_err(|error| StoreError::writing("create", path.display().to_string(), error))?;
        Self::open(path)
    }

    pub(crate) fn over(files: Arc<dyn Files>, root: String) -> Self {
        Self { files, root, durable_folders: Mutex::default(), failed_folders: Mutex::default() }
    }

    /// Creates the missing folders above an object. On return the names of all of them are durable.
    fn ensure_folders(&self, object: &Path) -> Result<(), StoreError> {
        let mut folders: Vec<&Path> = parent(object).ancestors().filter(|folder| *folder != Path::new("")).collect();
        folders.reverse();
        let mut durable = self.durable_folders.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in folders {
            if durable.contains(folder) {
                continue;
            }
            match self.files.create_folder(folder) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                result => result.map_err(|error| StoreError::writing("create", self.label(folder), error))?,
            }
            let above = parent(folder);
            // One sync does for all that is there before it; where there may be hundreds, looking costs more than it saves.
            let others =
                if above == Path::new("") { self.files.entries(above).unwrap_or_default() } else { Vec::new() };
            self.sync(above).map_err(|error| StoreError::writing("sync", self.label(above), error))?;
            durable.extend(others.into_iter().filter(|entry| entry.is_folder).map(|entry| above.join(entry.name)));
            durable.insert(folder.to_path_buf());
        }
        Ok(())
    }

    /// Makes durable that the object at `path` has appeared or is gone.
    fn settle(&self, path: &Path) -> Result<(), StoreError> {
        self.sync(parent(path)).map_err(|error| StoreError::settling(slashed(path), error))
    }

    /// Makes all names in a folder durable, or fails for good.
    fn sync(&self, folder: &Path) -> io::Result<()> {
        let failed = || self.failed_folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kind) = failed().get(folder) {
            return Err(io::Error::new(*kind, "an earlier sync of the folder has failed"));
        }
        let synced = self.files.sync_folder(folder);
        if let Err(error) = &synced
            && !is_absent(error)
            && !is_crash(error)
        {
            failed().insert(folder.to_path_buf(), error.kind());
        }
        synced
    }

    /// Calls `visit` for everything below a folder but uploads. What vanishes meanwhile is left out.
    fn walk(&self, folder: &Path, visit: &mut dyn FnMut(PathBuf, &Entry)) -> Result<(), StoreError> {
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            let entries = match self.files.entries(&folder) {
                Err(error) if is_absent(&error) => continue,
                // Such as `lost+found`: no object can be in there.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && !may_hold_objects(&folder) => continue,
                result => result.map_err(|error| StoreError::reading("list", self.label(&folder), error))?,
            };
            for entry in entries {
                let path = folder.join(&entry.name);
                if path == Path::new(UPLOADS) {
                    continue;
                }
                if entry.is_folder {
                    folders.push(path.clone());
                }
                visit(path, &entry);
            }
        }
        Ok(())
    }

    fn remove_abandoned_uploads(&self) -> Result<u64, StoreError> {
        let uploads = Path::new(UPLOADS);
        let entries = match self.files.entries(uploads) {
            Err(error) if is_absent(&error) => return Ok(0),
            result => result.map_err(|error| StoreError::reading("list", UPLOADS, error))?,
        };
        let mut removed = 0;
        for entry in entries {
            let path = uploads.join(entry.name);
            let reclaimed = self.files.reclaim(&path);
            removed += u64::from(reclaimed.map_err(|error| StoreError::writing("remove", self.label(&path), error))?);
        }
        Ok(removed)
    }

    fn label(&self, path: &Path) -> String {
        if path == Path::new("") { self.root.clone() } else { slashed(path) }
    }
}

impl Storage for LocalStorage {
    fn read(&self, name: &ObjectName) -> Result<Vec<u8>, StoreError> {
        self.files.read(path_of(name)).map_err(|error| StoreError::reading("read", name.as_str(), error))
    }

    fn read_range_into(
        &self,
        name: &ObjectName,
        offset: u64,
        length: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        self.files.read_range_into(path_of(name), offset, length, buffer).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => StoreError::Short { name: name.to_string(), offset, length },
            _ => StoreError::reading("read", name.as_str(), error),
        })
    }

    fn evict(&self, name: &ObjectName) {
        self.files.evict(path_of(name));
    }

    fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        self.files.size(path_of(name)).map_err(|error| StoreError::reading("measure", name.as_str(), error))
    }

    fn begin(&self) -> Result<Box<dyn Upload + '_>, StoreError> {
        let uploads = Path::new(UPLOADS);
        let created = match self.files.create_temp(uploads) {
            Err(error) if error.kind() == ErrorKind::NotFound => match self.files.create_folder(uploads) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                _ => self.files.create_temp(uploads),
            },
            result => result,
        };
        let (path, temp) = created.map_err(|error| StoreError::writing("begin an upload in", UPLOADS, error))?;
        Ok(Box::new(LocalUpload { storage: self, path, temp: Some(temp) }))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        check_prefix(prefix)?;
        let mut found = Vec::new();
        self.walk(Path::new(prefix), &mut |path, entry| {
            if !entry.is_folder {
                found.push(Listed { name: slashed(&path), size: entry.size });
            }
        })?;
        found.sort();
        Ok(found)
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        let path = path_of(name);
        match self.files.remove(path) {
            Err(error) if is_absent(&error) => {
                // The process that removed it may have died before it synced the folder.
                match self.sync(parent(path)) {
                    Err(error) if !is_absent(&error) => Err(StoreError::settling(name.as_str(), error)),
                    _ => Err(StoreError::NotFound { name: name.to_string() }),
                }
            }
            Err(error) => Err(StoreError::writing("remove", name.as_str(), error)),
            Ok(()) => self.settle(path),
        }
    }

    fn space(&self) -> Result<Option<Space>, StoreError> {
        self.files.space().map_err(|error| StoreError::reading("measure", &self.root, error))
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        let removed = self.remove_abandoned_uploads()?;
        // A process may have died after naming an object and before syncing the folder.
        let mut folders = vec![PathBuf::new()];
        self.walk(Path::new(""), &mut |path, entry| {
            if entry.is_folder && may_hold_objects(&path) {
                folders.push(path);
            }
        })?;
        for folder in folders {
            self.sync(&folder).map_err(|error| StoreError::writing("sync", self.label(&folder), error))?;
        }
        Ok(removed)
    }
}

struct LocalUpload<'a> {
    storage: &'a LocalStorage,
    path: PathBuf,
    /// `None` once the file has its name or is gone.
    temp: Option<Box<dyn Temp>>,
}

impl LocalUpload<'_> {
    fn discard(&mut self) {
        if let Some(locked) = self.temp.take() {
            // What can't be removed now is left to a sweep.
            let _ = self.storage.files.remove(&self.path);
            drop(locked);
        }
    }

    fn label(&self) -> String {
        slashed(&self.path)
    }
}

impl Upload for LocalUpload<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let temp = self.temp.as_mut().ok_or_else(|| StoreError::Abandoned { name: slashed(&self.path) })?;
        temp.write(bytes).map_err(|error| {
            self.discard();
            StoreError::writing("write", self.label(), error)
        })
    }

    fn finish(mut self: Box<Self>, name: &ObjectName) -> Result<(), StoreError> {
        let Self { storage, .. } = *self;
        let path = path_of(name);
        let temp = self.temp.as_mut().ok_or_else(|| StoreError::Abandoned { name: slashed(&self.path) })?;
        temp.seal().map_err(|error| StoreError::writing("sync", name.as_str(), error))?;
        storage.ensure_folders(path)?;
        match storage.files.rename(&self.path, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // The process that created it may have died before it synced the folder.
                storage.settle(path)?;
                Err(StoreError::AlreadyExists { name: name.to_string() })
            }
            // A folder of that path is an object.
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                Err(StoreError::AlreadyExists { name: name.to_string() })
            }
            Err(error) => Err(StoreError::writing("rename", name.as_str(), error)),
            Ok(()) => {
                self.temp = None;
                storage.settle(path)
            }
        }
    }
}

impl Drop for LocalUpload<'_> {
    fn drop(&mut self) {
        self.discard();
    }
}

fn path_of(name: &ObjectName) -> &Path {
    Path::new(name.as_str())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// A path as it stands in listings and errors.
fn slashed(path: &Path) -> String {
    let components: Vec<_> = path.iter().map(|component| component.to_string_lossy()).collect();
    components.join("/")
}

fn may_hold_objects(folder: &Path) -> bool {
    check_prefix(&slashed(folder)).is_ok()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
