//! What the operating system says of itself, and what differs between systems.

use std::ffi::{OsStr, OsString};
use std::process::Command;

/// Variables with secrets in them.
const SECRETS: [&str; 2] = ["SB_PASSPHRASE", "SB_RECOVERY_KEY"];

/// An environment variable; an empty one counts as not set.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// A program to start. It gets our environment, but for the secrets in it.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in SECRETS {
        command.env_remove(name);
    }
    command
}

#[cfg(unix)]
mod unix {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use crate::args::IoPriority;

    /// A new file that its owner alone may read.
    pub(crate) fn create_private(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }

    /// Makes the name of a new file survive a power cut.
    pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }

    /// Keeps keys out of core dumps, and other processes of the same user out of our memory.
    pub(crate) fn guard_memory() {
        // Where the system refuses, nothing is lost but a precaution. Programs that we start may raise the limit again.
        let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
        let none = rustix::process::Rlimit { current: Some(0), ..limit };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }

    /// Sets how soon the system serves this process. Disks follow the niceness on processors: at 19 the I/O priority is the
    /// lowest of the class "best effort" (Linux, Documentation/block/ioprio.rst).
    pub(crate) fn set_priority(priority: IoPriority) -> io::Result<()> {
        let nice = match priority {
            IoPriority::Low => 19,
            IoPriority::Normal => 0,
            IoPriority::High => -10,
        };
        Ok(rustix::process::setpriority_process(None, nice)?)
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

    /// Folders of this system cannot be synced.
    pub(crate) fn sync_folder_of(_path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Nothing to do.
    pub(crate) fn guard_memory() {}

    /// This system has no such thing, or not yet.
    pub(crate) fn set_priority(_priority: crate::args::IoPriority) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What the system calls itself.
    pub(crate) fn host_name() -> Vec<u8> {
        std::env::var_os("COMPUTERNAME").unwrap_or_default().into_encoded_bytes()
    }
}

#[cfg(not(unix))]
pub(crate) use other::{create_private, guard_memory, host_name, set_priority, sync_folder_of};
#[cfg(unix)]
pub(crate) use unix::{create_private, guard_memory, host_name, set_priority, sync_folder_of};
