//! What differs between operating systems.

#[cfg(unix)]
mod unix {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    /// A new file that its owner alone may read.
    pub(crate) fn create_private(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }

    /// Keeps keys out of core dumps, and other processes of the same user out of our memory.
    pub(crate) fn guard_memory() {
        // Where the system refuses, nothing is lost but a precaution.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }

    /// What the system calls itself.
    pub(crate) fn host_name() -> Vec<u8> {
        rustix::system::uname().nodename().to_bytes().to_vec()
    }
}

#[cfg(not(unix))]
mod other {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::path::Path;

    /// A new file.
    pub(crate) fn create_private(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    /// Nothing to do.
    pub(crate) fn guard_memory() {}

    /// What the system calls itself.
    pub(crate) fn host_name() -> Vec<u8> {
        std::env::var_os("COMPUTERNAME").unwrap_or_default().into_encoded_bytes()
    }
}

#[cfg(not(unix))]
pub(crate) use other::{create_private, guard_memory, host_name};
#[cfg(unix)]
pub(crate) use unix::{create_private, guard_memory, host_name};
