//! What goes wrong while reading a source, and never stops a backup.

use std::fmt;
use std::io::{self, ErrorKind};

use thiserror::Error;

use crate::EntryPath;

/// An entry that is missing from a backup, or incomplete in it, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The entry.
    pub path: EntryPath,
    /// The kind of trouble, for programs.
    pub cause: Cause,
    /// The error behind it, for people.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}: {}", self.path, self.cause, self.detail)
    }
}

/// The kinds of trouble a source can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// It was there and is no longer.
    Vanished,
    /// The operating system does not permit reading it.
    Denied,
    /// It changed while it was looked at.
    Changed,
    /// The device or file system failed.
    Unreadable,
    /// A name, attribute or file is larger than the operating system lets us read.
    TooLarge,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vanished => "has vanished",
            Self::Denied => "may not be read",
            Self::Changed => "changed while it was read",
            Self::Unreadable => "cannot be read",
            Self::TooLarge => "is too large to read",
        })
    }
}

impl Cause {
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Vanished,
            ErrorKind::PermissionDenied => Self::Denied,
            ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::StaleNetworkFileHandle => Self::Changed,
            ErrorKind::ArgumentListTooLong | ErrorKind::FileTooLarge | ErrorKind::InvalidFilename => Self::TooLarge,
            _ => Self::Unreadable,
        }
    }
}

/// Why a file could not be opened or read. It costs this file, not the backup.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file was there and is no longer.
    #[error("`{path}` has vanished")]
    Vanished {
        /// The file.
        path: EntryPath,
    },
    /// The operating system does not permit reading the file.
    #[error("`{path}` may not be read: {source}")]
    Denied {
        /// The file.
        path: EntryPath,
        /// The error behind it.
        source: io::Error,
    },
    /// The file is not what it was when it was looked at first.
    #[error("`{path}` changed while it was read: {change}")]
    Changed {
        /// The file.
        path: EntryPath,
        /// What is different.
        change: &'static str,
    },
    /// The device or file system failed.
    #[error("`{path}` cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: EntryPath,
        /// The error behind it.
        source: io::Error,
    },
    /// The file is larger than the operating system lets us read.
    #[error("`{path}` is too large to read: {source}")]
    TooLarge {
        /// The file.
        path: EntryPath,
        /// The error behind it.
        source: io::Error,
    },
}

impl SourceError {
    pub(crate) fn new(path: EntryPath, source: io::Error) -> Self {
        match Cause::of(&source) {
            Cause::Vanished => Self::Vanished { path },
            Cause::Denied => Self::Denied { path, source },
            Cause::Changed if source.kind() == ErrorKind::IsADirectory => {
                Self::Changed { path, change: "it is a folder now" }
            }
            Cause::Changed => Self::Changed { path, change: "a folder on the way is none any more" },
            Cause::TooLarge => Self::TooLarge { path, source },
            Cause::Unreadable => Self::Unreadable { path, source },
        }
    }

    /// The kind of trouble.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Vanished { .. } => Cause::Vanished,
            Self::Denied { .. } => Cause::Denied,
            Self::Changed { .. } => Cause::Changed,
            Self::Unreadable { .. } => Cause::Unreadable,
            Self::TooLarge { .. } => Cause::TooLarge,
        }
    }

    /// The file.
    pub fn path(&self) -> &EntryPath {
        match self {
            Self::Vanished { path }
            | Self::Denied { path, .. }
            | Self::Changed { path, .. }
            | Self::Unreadable { path, .. }
            | Self::TooLarge { path, .. } => path,
        }
    }

    /// What a backup records about the entry at `path`, which is the file or, for a folder read as one, its folder.
    pub fn problem(&self, path: &EntryPath) -> Problem {
        let detail = match self {
            Self::Vanished { .. } => "it was there before".to_owned(),
            Self::Changed { change, .. } => (*change).to_owned(),
            Self::Denied { source, .. } | Self::Unreadable { source, .. } | Self::TooLarge { source, .. } => {
                source.to_string()
            }
        };
        Problem { path: path.clone(), cause: self.cause(), detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_have_causes() {
        let path = EntryPath::new("/a").unwrap();
        let cases = [
            (ErrorKind::NotFound, Cause::Vanished, "it was there before"),
            (ErrorKind::PermissionDenied, Cause::Denied, "permission denied"),
            (ErrorKind::NotADirectory, Cause::Changed, "a folder on the way is none any more"),
            (ErrorKind::IsADirectory, Cause::Changed, "it is a folder now"),
            (ErrorKind::FileTooLarge, Cause::TooLarge, "file too large"),
            (ErrorKind::TimedOut, Cause::Unreadable, "timed out"),
        ];
        for (kind, cause, text) in cases {
            let error = SourceError::new(path.clone(), kind.into());
            assert_eq!((error.cause(), error.path()), (cause, &path));
            assert!(error.to_string().starts_with(&format!("`/a` {cause}")), "{error}");
            let problem = error.problem(&path);
            assert_eq!(problem, Problem { path: path.clone(), cause, detail: text.to_owned() });
        }
    }

    #[test]
    fn problems_read_as_sentences() {
        let said: Vec<_> = [Cause::Vanished, Cause::Denied, Cause::Changed, Cause::Unreadable, Cause::TooLarge]
            .into_iter()
            .map(|cause| Problem { path: EntryPath::root(), cause, detail: "why".to_owned() }.to_string())
            .collect();
        let expected = [
            "`/` has vanished: why",
            "`/` may not be read: why",
            "`/` changed while it was read: why",
            "`/` cannot be read: why",
            "`/` is too large to read: why",
        ];
        assert_eq!(said, expected);
    }
}
