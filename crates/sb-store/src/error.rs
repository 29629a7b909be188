use std::io::{self, ErrorKind};

/// What can go wrong between a caller and its storage.
///
/// Every variant names the object, or the folder or temporary file where no object is known yet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no object of that name.
    #[error("object `{name}` not found")]
    NotFound {
        /// The name asked for.
        name: String,
    },
    /// The name is taken, by an object or by a folder. Nothing was changed, and the object that has the name is durable.
    #[error("object `{name}` exists already")]
    AlreadyExists {
        /// The name that is taken.
        name: String,
    },
    /// No space, or no quota, is left. What was being written is gone; everything else is as it was.
    #[error("no space left while writing `{name}`")]
    Full {
        /// What was being written: the object, or the temporary file while the object has no name yet.
        name: String,
    },
    /// The place cannot be written: a read-only mount, or permissions that forbid it.
    #[error("cannot write `{name}`: storage is read-only")]
    ReadOnly {
        /// What was to be written or removed.
        name: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The place forbids reading.
    #[error("not allowed to read `{name}`")]
    Denied {
        /// What was to be read.
        name: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The object ends before the end of the range that was asked for.
    #[error("object `{name}` has no {length} bytes at offset {offset}")]
    Short {
        /// The object.
        name: String,
        /// Where the range starts, in bytes.
        offset: u64,
        /// The length of the range, in bytes.
        length: usize,
    },
    /// The name is none an object can have. Nothing was asked of the storage.
    #[error("bad object name `{name}`: {reason}")]
    BadName {
        /// The name as given.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A write of this upload failed before, so it cannot be finished. Begin a new one.
    #[error("upload `{name}` failed before and cannot go on")]
    Abandoned {
        /// The temporary file of the upload.
        name: String,
    },
    /// Anything else the operating system reports. The operation may or may not have taken effect.
    #[error("cannot {operation} `{name}`")]
    Io {
        /// What was attempted: a verb such as `read` or `write`.
        operation: &'static str,
        /// The object, folder or temporary file concerned.
        name: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The simulated process or machine is dead. Never returned by a storage outside simulations.
    #[error("simulated crash")]
    Crashed,
}

impl StoreError {
    /// Translates an error met while reading.
    pub(crate) fn reading(operation: &'static str, name: impl Into<String>, source: io::Error) -> Self {
        let name = name.into();
        match source.kind() {
            _ if is_crash(&source) => Self::Crashed,
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => Self::NotFound { name },
            ErrorKind::PermissionDenied => Self::Denied { name, source },
            _ => Self::Io { operation, name, source },
        }
    }

    /// Translates an error met while making a change durable that can be seen already, so that it is neither gone nor
    /// refused.
    pub(crate) fn settling(name: impl Into<String>, source: io::Error) -> Self {
        if is_crash(&source) { Self::Crashed } else { Self::Io { operation: "sync", name: name.into(), source } }
    }

    /// Translates an error met while writing or removing.
    pub(crate) fn writing(operation: &'static str, name: impl Into<String>, source: io::Error) -> Self {
        let name = name.into();
        match source.kind() {
            _ if is_crash(&source) => Self::Crashed,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { name },
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::ReadOnly { name, source },
            _ => Self::Io { operation, name, source },
        }
    }
}

/// A simulated machine that is dead says so through the `io::Error` of its file operations.
pub(crate) fn is_crash(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<StoreError>());
    matches!(inner, Some(StoreError::Crashed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(kind: ErrorKind) -> String {
        StoreError::reading("read", "packs/aa", kind.into()).to_string()
    }

    fn writing(kind: ErrorKind) -> String {
        StoreError::writing("write", "packs/aa", kind.into()).to_string()
    }

    #[test]
    fn errors_of_reading_say_what_the_caller_can_act_on() {
        assert_eq!(reading(ErrorKind::NotFound), "object `packs/aa` not found");
        assert_eq!(reading(ErrorKind::IsADirectory), "object `packs/aa` not found");
        assert_eq!(reading(ErrorKind::PermissionDenied), "not allowed to read `packs/aa`");
        assert_eq!(reading(ErrorKind::TimedOut), "cannot read `packs/aa`");
    }

    #[test]
    fn errors_of_writing_tell_full_from_read_only() {
        assert_eq!(writing(ErrorKind::StorageFull), "no space left while writing `packs/aa`");
        assert_eq!(writing(ErrorKind::QuotaExceeded), "no space left while writing `packs/aa`");
        assert_eq!(writing(ErrorKind::ReadOnlyFilesystem), "cannot write `packs/aa`: storage is read-only");
        assert_eq!(writing(ErrorKind::PermissionDenied), "cannot write `packs/aa`: storage is read-only");
        assert_eq!(writing(ErrorKind::TimedOut), "cannot write `packs/aa`");
        let settling = StoreError::settling("packs/aa", ErrorKind::StorageFull.into());
        assert_eq!(settling.to_string(), "cannot sync `packs/aa`");
    }

    #[test]
    fn a_simulated_crash_keeps_its_kind() {
        assert!(matches!(StoreError::reading("read", "a", io::Error::other(StoreError::Crashed)), StoreError::Crashed));
        assert!(matches!(
            StoreError::writing("write", "a", io::Error::other(StoreError::Crashed)),
            StoreError::Crashed
        ));
        assert!(matches!(StoreError::settling("a", io::Error::other(StoreError::Crashed)), StoreError::Crashed));
    }
}
