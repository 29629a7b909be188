//! What is known about a file without reading it.

use crate::EntryPath;

/// A file, folder, link or device at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is, absolute.
    pub path: EntryPath,
    /// What it is.
    pub kind: Kind,
    /// Owner, times, size and the rest.
    pub metadata: Metadata,
    /// A folder that is only a parent of a source: its metadata is recorded, its other children are not visited.
    pub ancestor: bool,
}

impl Entry {
    /// The last component of the path; empty for `/`.
    pub fn name(&self) -> &[u8] {
        self.path.file_name()
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link, which is recorded and never followed.
    Symlink {
        /// The text of the link, in raw bytes.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A Unix domain socket.
    Socket,
    /// A character device.
    CharDevice {
        /// Selects the driver.
        major: u32,
        /// Selects the device among those of the driver.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Selects the driver.
        major: u32,
        /// Selects the device among those of the driver.
        minor: u32,
    },
}

/// Everything the operating system keeps about an entry but its name, kind and content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits, with set-user-id, set-group-id and sticky: at most `0o7777`.
    pub mode: u32,
    /// Number of the owner.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Name of the owner, if `/etc/passwd` has one. A walk leaves it out.
    pub user: Option<Vec<u8>>,
    /// Name of the group, if `/etc/group` has one. A walk leaves it out.
    pub group: Option<Vec<u8>>,
    /// When the content changed last.
    pub mtime: Timestamp,
    /// When content or metadata changed last; kept by the system, cannot be restored.
    pub ctime: Timestamp,
    /// Length of the content in bytes; for a symbolic link that of its target; otherwise 0.
    pub size: u64,
    /// The file system.
    pub device: u64,
    /// Number of the file on its file system; entries of equal device and inode are hard links.
    pub inode: u64,
    /// How many names the file has.
    pub links: u64,
    /// Extended attributes, sorted by name, as far as they may be read. A walk leaves them out. POSIX ACLs are among them, in the raw form of
    /// `system.posix_acl_access` and `system.posix_acl_default`.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A point in time relative to 1970-01-01 00:00 UTC; `nanoseconds` counts forward, also before that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// The rest, below 1,000,000,000.
    pub nanoseconds: u32,
}
