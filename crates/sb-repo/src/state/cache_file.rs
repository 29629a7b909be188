//! Files among the caches of a machine.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Place, State, locked};

/// A cache that is read from anywhere.
pub(crate) trait CacheBytes: Read + Seek + Send {}
impl<T: Read + Seek + Send> CacheBytes for T {}

/// A cache that is being written.
pub(crate) enum CacheFile {
    Memory {
        state: State,
        bytes: Vec<u8>,
    },
    File {
        folder: PathBuf,
        new: std::io::BufWriter<tempfile::NamedTempFile>,
    },
    /// Gone with whoever reads it.
    Nameless(std::io::BufWriter<File>),
}

impl CacheFile {
    /// Puts it in the place of the caches of these names. It need not survive a power cut.
    pub(crate) fn keep(self, names: &[String]) -> std::io::Result<()> {
        match self {
            Self::Memory { state, bytes } => {
                if let Place::Memory { inner, .. } = &*state.0 {
                    let bytes: Arc<[u8]> = bytes.into();
                    locked(inner).caches.extend(names.iter().map(|name| (name.clone(), Arc::clone(&bytes))));
                }
                Ok(())
            }
            Self::File { folder, new } => {
                let new = new.into_inner().map_err(std::io::IntoInnerError::into_error)?;
                let Some((last, others)) = names.split_last() else { return Ok(()) };
                for name in others {
                    let copy = folder.join(format!("{name}.{}", std::process::id()));
                    fs::hard_link(new.path(), &copy).or_else(|_| fs::copy(new.path(), &copy).map(drop))?;
                    fs::rename(&copy, folder.join(name))?;
                }
                new.persist(folder.join(last)).map(drop).map_err(|error| error.error)
            }
            Self::Nameless(_) => Ok(()),
        }
    }

    /// Reads what was written, from anywhere; kept under this name for later runs, or for as long as it is read.
    pub(crate) fn open(self, name: Option<&str>) -> std::io::Result<Box<dyn CacheBytes>> {
        match self {
            Self::Memory { state, bytes } => {
                let bytes: Arc<[u8]> = bytes.into();
                if let (Place::Memory { inner, .. }, Some(name)) = (&*state.0, name) {
                    locked(inner).caches.insert(name.to_owned(), Arc::clone(&bytes));
                }
                Ok(Box::new(std::io::Cursor::new(bytes)))
            }
            Self::File { folder, new } => {
                let new = new.into_inner().map_err(std::io::IntoInnerError::into_error)?;
                let Some(name) = name else { return Ok(Box::new(new.into_file())) };
                let file = new.reopen()?;
                // What can't be kept is read by this run all the same.
                drop(new.persist(folder.join(name)));
                Ok(Box::new(file))
            }
            Self::Nameless(new) => Ok(Box::new(new.into_inner().map_err(std::io::IntoInnerError::into_error)?)),
        }
    }
}

impl Write for CacheFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Memory { bytes: all, .. } => all.write(bytes),
            Self::File { new, .. } => new.write(bytes),
            Self::Nameless(new) => new.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Memory { .. } => Ok(()),
            Self::File { new, .. } => new.flush(),
            Self::Nameless(new) => new.flush(),
        }
    }
}
