//! Linux: everything by handles of folders, so that paths may be of any length and nobody can slip in a symbolic
//! link on the way.
//!
//! Handles are opened with `O_PATH`, which needs no right to read and has no effect on devices or pipes. What Linux
//! cannot do to such a handle goes through `/proc/self/fd`, which must be mounted.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, Gid, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, SeekFrom, Statx,
    StatxFlags, StatxTimestamp, Timespec, Timestamps, UTIME_OMIT, Uid,
};
use rustix::io::Errno;

use super::{Child, Partial, Xattrs};
use crate::{EntryPath, Kind, Metadata, Timestamp};

/// Bytes of a listing that are taken from the system at once.
const LISTING: usize = 32 << 10;
/// More holes than this are read as the zeros they stand for, to bound memory.
const MAX_HOLES: usize = 1 << 18;

/// A folder, or an entry pinned whatever happens to its name.
#[derive(Debug)]
pub(crate) struct Node(OwnedFd);

/// Opening and looking.
impl Node {
    /// The root of the file system.
    pub(crate) fn root() -> io::Result<Self> {
        pin(CWD, b"/", OFlags::DIRECTORY)
    }

    /// The folder `path`, made if need be with those it is in, which can be used by their owner only; true if it was. Here alone
    /// symbolic links are followed.
    pub(crate) fn create(path: &Path) -> io::Result<(Self, bool)> {
        if let Some(above) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(above)?;
        }
        let is_new = match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        // Open for reading, which `sync` needs: once the folder has its metadata it may be too late to ask for that.
        match rustix::fs::openat(CWD, path, flags | OFlags::RDONLY, Mode::empty()) {
            Err(Errno::ACCESS) => {
                Ok((Self(rustix::fs::openat(CWD, path, flags | OFlags::PATH, Mode::empty())?), is_new))
            }
            result => Ok((Self(result?), is_new)),
        }
    }

    /// An open file, which lies in `_folder` as `_name`.
    pub(crate) fn of_file(file: File, _folder: &Self, _name: &[u8]) -> Self {
        Self(file.into())
    }

    /// A folder in this folder.
    pub(crate) fn folder(&self, name: &[u8]) -> io::Result<Self> {
        pin(&self.0, name, OFlags::DIRECTORY)
    }

    /// A folder in this folder, open for reading if we may, which makes it cheaper to change.
    pub(crate) fn open_folder(&self, name: &[u8]) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Self(fd)),
            Err(Errno::ACCESS) => self.folder(name),
            Err(error) => Err(error.into()),
        }
    }

    /// Anything in this folder.
    pub(crate) fn entry(&self, name: &[u8]) -> io::Result<Self> {
        pin(&self.0, name, OFlags::empty())
    }

    /// The folder `path` below this one in one call; fails for long paths and on Linux before 5.6.
    pub(crate) fn beneath(&self, path: &EntryPath) -> io::Result<Self> {
        let relative = match &path.as_bytes()[1..] {
            b"" => b".",
            relative => relative,
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Ok(Self(rustix::fs::openat2(&self.0, relative, flags, Mode::empty(), resolve)?))
    }

    /// The folder `path` below this one, ready to be listed, in one call; fails for long paths, for folders that may be
    /// passed through only, and on Linux before 5.6.
    pub(crate) fn readable(&self, path: &EntryPath) -> io::Result<Self> {
        let relative = match &path.as_bytes()[1..] {
            b"" => b".",
            relative => relative,
        };
        Ok(Self(open_beneath(&self.0, relative, OFlags::DIRECTORY)?))
    }

    /// Opens the file `path` below this folder for reading, in one call; fails as [`readable`](Self::readable) does, and
    /// for what is no file that can be read at once.
    pub(crate) fn file_beneath(&self, path: &EntryPath) -> io::Result<File> {
        Ok(open_beneath(&self.0, &path.as_bytes()[1..], OFlags::NONBLOCK)?.into())
    }

    /// What is in this folder, in no order.
    pub(crate) fn list(&self) -> Partial<Vec<Child>> {
        match open_quietly(&self.0, b".", OFlags::DIRECTORY) {
            Ok(folder) => self.lines(&folder),
            Err(error) => (Vec::new(), Some(error.into())),
        }
    }

    /// The same for a handle that has not been listed yet, which spares opening the folder again if it is
    /// [`readable`](Self::readable).
    pub(crate) fn list_once(&self) -> Partial<Vec<Child>> {
        match self.lines(&self.0) {
            (_, Some(error)) if error.raw_os_error() == Some(Errno::BADF.raw_os_error()) => self.list(),
            listed => listed,
        }
    }

    fn lines(&self, folder: &OwnedFd) -> Partial<Vec<Child>> {
        let (mut children, mut buffer) = (Vec::new(), Vec::with_capacity(LISTING));
        let mut lines = RawDir::new(folder, buffer.spare_capacity_mut());
        while let Some(line) = lines.next() {
            let line = match line {
                Ok(line) => line,
                Err(error) => return (children, Some(error.into())),
            };
            let name = line.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let folder = match line.file_type() {
                FileType::Directory => true,
                FileType::Unknown => matches!(self.inspect(name), Ok((Kind::Directory, _))),
                _ => false,
            };
            children.push(Child { name: name.into(), folder });
        }
        (children, None)
    }

    /// Kind and metadata, but for extended attributes and names of owners, of an entry in this folder.
    pub(crate) fn inspect(&self, name: &[u8]) -> io::Result<(Kind, Metadata)> {
        let link = || rustix::fs::readlinkat(&self.0, name, Vec::new()).map(std::ffi::CString::into_bytes);
        describe(&stat(&self.0, name)?, link)
    }

    /// Kind and metadata, but for extended attributes and names of owners.
    pub(crate) fn inspect_self(&self) -> io::Result<(Kind, Metadata)> {
        let link = || rustix::fs::readlinkat(&self.0, c"", Vec::new()).map(std::ffi::CString::into_bytes);
        describe(&stat(&self.0, b"")?, link)
    }

    /// Tells this folder, whose metadata that is, from all others.
    pub(crate) fn identity(&self, metadata: &Metadata) -> (u64, u64) {
        (metadata.device, metadata.inode)
    }

    /// Extended attributes of an entry in this folder.
    pub(crate) fn xattrs(&self, name: &[u8]) -> Partial<Xattrs> {
        let mut path = by_handle(&self.0).into_bytes();
        path.push(b'/');
        path.extend_from_slice(name);
        let path = Path::new(OsStr::from_bytes(&path));
        collect_xattrs(xattr::list(path), |name| xattr::get(path, name))
    }

    /// Extended attributes.
    pub(crate) fn xattrs_self(&self) -> Partial<Xattrs> {
        // One call for the many entries that have none; it fails for a handle that is not open.
        match rustix::fs::flistxattr(&self.0, &mut [0_u8; 16]) {
            Ok(0) => (Vec::new(), None),
            _ => xattrs_of(&self.0),
        }
    }

    /// Opens an entry in this folder for reading; does not wait for the other end of a pipe.
    pub(crate) fn open(&self, name: &[u8]) -> io::Result<File> {
        match open_quietly(&self.0, name, OFlags::NOFOLLOW | OFlags::NONBLOCK) {
            Err(Errno::AGAIN) => self.open_leased(name),
            result => Ok(result?.into()),
        }
    }

    /// Opens a regular file in this folder for reading; if somebody holds a lease on it, as servers of network shares
    /// do, waits until it is given up, at most `/proc/sys/fs/lease-break-time`.
    pub(crate) fn open_leased(&self, name: &[u8]) -> io::Result<File> {
        let pinned = self.entry(name)?;
        match pinned.inspect_self()? {
            (Kind::File, _) => Ok(open_quietly(CWD, by_handle(&pinned.0).as_bytes(), OFlags::empty())?.into()),
            _ => Err(ErrorKind::InvalidInput.into()),
        }
    }
}

/// Changing a folder.
impl Node {
    /// Makes a folder that only its owner can use.
    pub(crate) fn make_folder(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, name, Mode::RWXU)?)
    }

    /// Makes an empty file that only its owner can use; fails if anything has the name.
    pub(crate) fn make_file(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// The same for a file to be read as well.
    pub(crate) fn make_scratch(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Makes a link, pipe, socket or device.
    pub(crate) fn make_special(&self, name: &[u8], kind: &Kind) -> io::Result<()> {
        let (file_type, major, minor) = match kind {
            Kind::File | Kind::Directory => return Err(ErrorKind::Unsupported.into()),
            Kind::Symlink { target } => return Ok(rustix::fs::symlinkat(target.as_slice(), &self.0, name)?),
            Kind::Fifo => (FileType::Fifo, 0, 0),
            Kind::Socket => (FileType::Socket, 0, 0),
            Kind::CharDevice { major, minor } => (FileType::CharacterDevice, *major, *minor),
            Kind::BlockDevice { major, minor } => (FileType::BlockDevice, *major, *minor),
        };
        let device = rustix::fs::makedev(major, minor);
        Ok(rustix::fs::mknodat(&self.0, name, file_type, Mode::RUSR | Mode::WUSR, device)?)
    }

    /// Gives the entry `name` of this folder a second name in the folder `to`.
    pub(crate) fn link(&self, name: &[u8], to: &Self, new: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.0, name, &to.0, new, AtFlags::empty())?)
    }

    /// Renames within this folder, replacing anything but a folder.
    pub(crate) fn rename(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// Renames within this folder if nothing has the new name.
    pub(crate) fn rename_new(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        match rustix::fs::renameat_with(&self.0, from, &self.0, to, RenameFlags::NOREPLACE) {
            // Not every file system can: a second name is never given over another one either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                self.link(from, self, to)?;
                self.remove(from)
            }
            result => Ok(result?),
        }
    }

    /// Removes a folder that is empty.
    pub(crate) fn remove_folder(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Removes anything but a folder.
    pub(crate) fn remove(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Makes the names in this folder survive a power cut.
    pub(crate) fn sync_names(&self) -> io::Result<()> {
        match rustix::fs::fsync(&self.0) {
            // This handle is not open for reading.
            Err(Errno::BADF) => Ok(rustix::fs::fsync(open_quietly(&self.0, b".", OFlags::DIRECTORY)?)?),
            result => Ok(result?),
        }
    }

    /// Makes all that was written to this folder's file system survive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match rustix::fs::syncfs(&self.0) {
            // This handle is not open for reading.
            Err(Errno::BADF) => Ok(rustix::fs::syncfs(open_quietly(&self.0, b".", OFlags::DIRECTORY)?)?),
            result => Ok(result?),
        }
    }
}

/// Changing metadata.
impl Node {
    pub(crate) fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        // The system takes the highest number for "leave as it is".
        if uid == u32::MAX || gid == u32::MAX {
            return Err(ErrorKind::InvalidInput.into());
        }
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        Ok(rustix::fs::chownat(&self.0, c"", uid, gid, AtFlags::EMPTY_PATH)?)
    }

    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode & 0o7777);
        match rustix::fs::fchmod(&self.0, mode) {
            Err(Errno::BADF) => Ok(rustix::fs::chmodat(CWD, by_handle(&self.0), mode, AtFlags::empty())?),
            result => Ok(result?),
        }
    }

    pub(crate) fn set_mtime(&self, mtime: Timestamp) -> io::Result<()> {
        // Some higher numbers mean "now" or "leave as it is".
        if mtime.nanoseconds >= 1_000_000_000 {
            return Err(ErrorKind::InvalidInput.into());
        }
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() },
        };
        match rustix::fs::futimens(&self.0, &times) {
            Err(Errno::BADF) => Ok(rustix::fs::utimensat(CWD, by_handle(&self.0), &times, AtFlags::empty())?),
            result => Ok(result?),
        }
    }

    pub(crate) fn set_xattr(&self, name: &[u8], value: &[u8]) -> io::Result<()> {
        xattr::set_deref(by_handle(&self.0), OsStr::from_bytes(name), value)
    }

    pub(crate) fn remove_xattr(&self, name: &[u8]) -> io::Result<()> {
        xattr::remove_deref(by_handle(&self.0), OsStr::from_bytes(name))
    }
}

/// As [`Node::inspect_self`], and whether there may be holes.
pub(crate) fn inspect_file(file: &File) -> io::Result<(Kind, Metadata, bool)> {
    let stat = stat(file, b"")?;
    let (kind, metadata) = describe(&stat, || Err(Errno::INVAL))?;
    Ok((kind, metadata, stat.stx_blocks.saturating_mul(512) < stat.stx_size))
}

/// As [`Node::xattrs_self`].
pub(crate) fn xattrs_of_file(file: &File) -> Partial<Xattrs> {
    // Most files have none, and to know that takes one call.
    match rustix::fs::flistxattr_query(file) {
        Ok(0) => (Vec::new(), None),
        _ => xattrs_of(file),
    }
}

/// Holes of a file of `size` bytes, as (offset, length); the file's position is of no account and not kept.
pub(crate) fn holes(file: &File, size: u64) -> Vec<(u64, u64)> {
    let mut holes = Vec::new();
    let mut position = 0;
    while position < size && holes.len() < MAX_HOLES {
        let Ok(start) = rustix::fs::seek(file, SeekFrom::Hole(position)) else { break };
        let end = match rustix::fs::seek(file, SeekFrom::Data(start)) {
            Ok(end) => end.min(size),
            Err(Errno::NXIO) => size,
            Err(_) => break,
        };
        // The hole at the end of every file is none; and holes may be filled while we look.
        if start >= end {
            break;
        }
        holes.push((start, end - start));
        position = end;
    }
    holes
}

/// Tells the system that the file will be read once, from beginning to end.
pub(crate) fn advise(file: &File) {
    // Only a hint: reading works without.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
}

pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// Takes the space of a file that is going to have `size` bytes; as far as the file system can, which is no error.
pub(crate) fn reserve(file: &File, size: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(Errno::NOSPC) => Err(Errno::NOSPC.into()),
        Err(Errno::DQUOT) => Err(Errno::DQUOT.into()),
        _ => Ok(()),
    }
}

pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// A name or path as the standard library wants it.
pub(crate) fn os_str(bytes: &[u8]) -> io::Result<&OsStr> {
    Ok(OsStr::from_bytes(bytes))
}

fn pin(dir: impl AsFd, name: &[u8], flags: OFlags) -> io::Result<Node> {
    let flags = flags | OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(Node(rustix::fs::openat(dir, name, flags, Mode::empty())?))
}

/// Opens for reading and, if we may, without leaving a trace in the time of last access.
fn open_quietly(dir: impl AsFd, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(&dir, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => rustix::fs::openat(dir, name, flags, Mode::empty()),
        result => result,
    }
}

/// The same for a path below a folder, no part of which may be a link.
fn open_beneath(folder: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(&folder, path, flags | OFlags::NOATIME, Mode::empty(), resolve) {
        Err(Errno::PERM) => rustix::fs::openat2(folder, path, flags, Mode::empty(), resolve),
        result => result,
    }
}

fn by_handle(fd: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn stat(dir: impl AsFd, name: &[u8]) -> io::Result<Statx> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
    Ok(rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS)?)
}

fn describe(stat: &Statx, link: impl FnOnce() -> Result<Vec<u8>, Errno>) -> io::Result<(Kind, Metadata)> {
    let (major, minor) = (stat.stx_rdev_major, stat.stx_rdev_minor);
    let kind = match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink { target: link()? },
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharDevice { major, minor },
        FileType::BlockDevice => Kind::BlockDevice { major, minor },
        FileType::Unknown => return Err(ErrorKind::Unsupported.into()),
    };
    let size = match &kind {
        Kind::File => stat.stx_size,
        Kind::Symlink { target } => target.len() as u64,
        _ => 0,
    };
    let time = |time: StatxTimestamp| Timestamp { seconds: time.tv_sec, nanoseconds: time.tv_nsec };
    let metadata = Metadata {
        mode: u32::from(stat.stx_mode) & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        user: None,
        group: None,
        mtime: time(stat.stx_mtime),
        ctime: time(stat.stx_ctime),
        size,
        device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        links: stat.stx_nlink.into(),
        xattrs: Vec::new(),
    };
    Ok((kind, metadata))
}

fn xattrs_of(fd: &impl AsRawFd) -> Partial<Xattrs> {
    let path = by_handle(fd);
    collect_xattrs(xattr::list_deref(&path), |name| xattr::get_deref(&path, name))
}

fn collect_xattrs(
    names: io::Result<xattr::XAttrs>,
    get: impl Fn(&OsStr) -> io::Result<Option<Vec<u8>>>,
) -> Partial<Xattrs> {
    let mut xattrs = Vec::new();
    let mut trouble = None;
    match names {
        Ok(names) => {
            for name in names {
                match get(&name) {
                    Ok(Some(value)) => xattrs.push((name.as_bytes().to_vec(), value)),
                    Ok(None) => {}
                    Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                    Err(error) => trouble = Some(error),
                }
            }
        }
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {}
        Err(error) => trouble = Some(error),
    }
    xattrs.sort_unstable();
    (xattrs, trouble)
}
