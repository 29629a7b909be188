//! Why something could not be put back.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use thiserror::Error;

use crate::EntryPath;

/// Why a restore could not write. Paths are as seen from the target's folder, which is `/`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The target's folder cannot be made or opened.
    #[error("cannot restore into `{}`: {source}", folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// The error behind it.
        source: io::Error,
    },
    /// The file system is full, or a quota is reached: nothing else can be written either.
    #[error("no space left for `{path}`: {source}")]
    Full {
        /// What was being written.
        path: EntryPath,
        /// The error behind it.
        source: io::Error,
    },
    /// The operating system does not permit it, or the file system is read-only.
    #[error("`{path}` may not be written: {source}")]
    Denied {
        /// What was being written.
        path: EntryPath,
        /// The error behind it.
        source: io::Error,
    },
    /// A symbolic link stands where a folder is needed. It could lead out of the target, so it is not followed.
    #[error("`{path}` is a symbolic link and could lead out of the target")]
    WouldEscape {
        /// The link.
        path: EntryPath,
    },
    /// Something that is no folder stands where one is needed.
    #[error("`{path}` is not a folder")]
    NotAFolder {
        /// What stands there.
        path: EntryPath,
    },
    /// A folder stands where something else is to go. Folders are never replaced.
    #[error("`{path}` is a folder and stays one")]
    IsAFolder {
        /// The folder.
        path: EntryPath,
    },
    /// Nothing is there.
    #[error("`{path}` does not exist")]
    Missing {
        /// What was looked for.
        path: EntryPath,
    },
    /// The name is taken by something that must not be replaced: it came there meanwhile, or is another name of the same
    /// restore that this file system does not tell from this one.
    #[error(
        "`{path}` is taken: something has got this name meanwhile, or the file system does not tell it from another"
    )]
    NameTaken {
        /// The name.
        path: EntryPath,
    },
    /// It is, or lies in, a folder that nothing may be restored into.
    #[error("`{path}` is not to be touched")]
    Spared {
        /// The folder.
        path: EntryPath,
    },
    /// Metadata was to go to an entry that is not of the kind it belongs to.
    #[error("`{path}` is not what was restored there")]
    WrongKind {
        /// The entry.
        path: EntryPath,
    },
    /// A write went past the size the file was announced with.
    #[error("`{path}` was to have {size} bytes, now comes byte {end}")]
    PastEnd {
        /// The file.
        path: EntryPath,
        /// The size it was created with, in bytes.
        size: u64,
        /// The end of the write, in bytes.
        end: u64,
    },
    /// The kind of entry does not exist on this system, or was asked for by the wrong verb.
    #[error("`{path}` is of a kind that cannot be restored here")]
    Unsupported {
        /// The entry.
        path: EntryPath,
    },
    /// The device or file system failed, or cannot hold a file so large.
    #[error("cannot write `{path}`: {source}")]
    Failed {
        /// What was being written.
        path: EntryPath,
        /// The error behind it.
        source: io::Error,
    },
}

impl TargetError {
    pub(crate) fn new(path: EntryPath, source: io::Error) -> Self {
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { path, source },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::Denied { path, source },
            ErrorKind::NotADirectory => Self::NotAFolder { path },
            ErrorKind::IsADirectory => Self::IsAFolder { path },
            ErrorKind::NotFound => Self::Missing { path },
            ErrorKind::Unsupported => Self::Unsupported { path },
            _ => Self::Failed { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_say_what_to_do() {
        let cases = [
            (ErrorKind::StorageFull, "no space left for `/a`: no storage space"),
            (ErrorKind::QuotaExceeded, "no space left for `/a`: quota exceeded"),
            (ErrorKind::ReadOnlyFilesystem, "`/a` may not be written: read-only filesystem or storage medium"),
            (ErrorKind::PermissionDenied, "`/a` may not be written: permission denied"),
            (ErrorKind::NotADirectory, "`/a` is not a folder"),
            (ErrorKind::IsADirectory, "`/a` is a folder and stays one"),
            (ErrorKind::NotFound, "`/a` does not exist"),
            (ErrorKind::Unsupported, "`/a` is of a kind that cannot be restored here"),
            (ErrorKind::FileTooLarge, "cannot write `/a`: file too large"),
            (ErrorKind::TimedOut, "cannot write `/a`: timed out"),
        ];
        for (kind, message) in cases {
            let error = TargetError::new(EntryPath::new("/a").unwrap(), kind.into());
            assert_eq!(error.to_string(), message);
        }
    }
}
