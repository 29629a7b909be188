use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process;

use crate::files::{Entry, Files, Temp};
use crate::{Space, platform};

/// The files of a folder of this machine.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
}

impl Disk {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Creates the folder and those above it, durably.
    pub(crate) fn create_root(path: &Path) -> io::Result<()> {
        let parent = path.parent();
        let created = match (platform::create_folder(path), parent) {
            (Err(error), _) if error.kind() == ErrorKind::AlreadyExists => false,
            (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => {
                Self::create_root(parent)?;
                platform::create_folder(path)?;
                true
            }
            (result, _) => result.map(|()| true)?,
        };
        match parent.map_or(Ok(()), platform::sync_folder) {
            // A folder that was there may lie in one we are not allowed to open.
            Err(_) if !created => Ok(()),
            result => result,
        }
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    fn open(&self, path: &Path) -> io::Result<(File, u64)> {
        let file = platform::open_file(&self.at(path))?;
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok((file, metadata.len())) } else { Err(ErrorKind::IsADirectory.into()) }
    }
}

impl Files for Disk {
    fn create_temp(&self, folder: &Path) -> io::Result<(PathBuf, Box<dyn Temp>)> {
        loop {
            let random = RandomState::new().hash_one(process::id());
            let path = folder.join(format!("{}-{random:016x}", process::id()));
            let file = match platform::create_file(&self.at(&path)) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                result => result?,
            };
            // Without locks a sweep by another process can only make this upload fail, not harm an object.
            let _ = file.lock();
            // Between creation and lock the file looked abandoned.
            if fs::symlink_metadata(self.at(&path)).is_ok() {
                return Ok((path, Box::new(DiskTemp { file })));
            }
        }
    }

    fn reclaim(&self, path: &Path) -> io::Result<bool> {
        let file = match self.open(path) {
            Ok((file, _)) => file,
            // Gone, no file, or of another user, who will sweep it.
            Err(_) => return Ok(false),
        };
        // A shared lock, as an exclusive one needs write access on NFS. Where there are no locks nothing is abandoned.
        if let Err(TryLockError::WouldBlock | TryLockError::Error(_)) = file.try_lock_shared() {
            return Ok(false);
        }
        match self.remove(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            result => result.map(|()| true),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        platform::rename_no_replace(&self.at(from), &self.at(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.at(path))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        platform::create_folder(&self.at(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        platform::sync_folder(&self.at(path))
    }

    fn entries(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.at(path))? {
            let entry = entry?;
            match entry.metadata() {
                Ok(found) => {
                    entries.push(Entry { name: entry.file_name(), is_folder: found.is_dir(), size: found.len() });
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (mut file, size) = self.open(path)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).map_err(|_| ErrorKind::OutOfMemory)?);
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_range_into(&self, path: &Path, offset: u64, length: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        let (mut file, size) = self.open(path)?;
        // Checked first, so that a wrong length allocates nothing.
        if offset.checked_add(length as u64).is_none_or(|end| end > size) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        file.seek(SeekFrom::Start(offset))?;
        buffer.clear();
        buffer.reserve_exact(length);
        // Unlike `read_exact`, this needs no zeros to overwrite.
        file.take(length as u64).read_to_end(buffer)?;
        if buffer.len() == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn evict(&self, path: &Path) {
        if let Ok((file, _)) = self.open(path) {
            platform::evict(&file);
        }
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let found = fs::symlink_metadata(self.at(path))?;
        if found.is_file() { Ok(found.len()) } else { Err(ErrorKind::IsADirectory.into()) }
    }

    fn space(&self) -> io::Result<Option<Space>> {
        platform::space(&self.root)
    }
}

struct DiskTemp {
    file: File,
}

impl Temp for DiskTemp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn seal(&mut self) -> io::Result<()> {
        // FAT and some shares know no permissions; the object is as good without.
        let _ = platform::make_read_only(&self.file);
        self.file.sync_all()
    }
}
