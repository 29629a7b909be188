//! Any other system, by the standard library alone: names, times, sizes and links come back; owners, permissions but
//! for read-only, extended attributes, holes and special files do not, and links are checked for, not ruled out.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Child, Partial, Xattrs};
use crate::{EntryPath, Kind, Metadata, Timestamp};

/// A folder, or an entry.
#[derive(Debug)]
pub(crate) struct Node(PathBuf);

/// Opening and looking.
impl Node {
    /// The root of the file system; on Windows the imaginary folder of all drives, `C:` and so on.
    pub(crate) fn root() -> io::Result<Self> {
        Ok(Self(PathBuf::from(if cfg!(windows) { "" } else { "/" })))
    }

    /// The folder `path`, made if need be. Here alone symbolic links are followed.
    pub(crate) fn create(path: &Path) -> io::Result<(Self, bool)> {
        let is_new = !path.exists();
        fs::create_dir_all(path)?;
        Ok((Self(path.canonicalize()?), is_new))
    }

    /// An open file, which lies in `folder` as `name`.
    pub(crate) fn of_file(file: File, folder: &Self, name: &[u8]) -> Self {
        drop(file);
        // The name was accepted when the file was made.
        Self(folder.path(name).unwrap_or_else(|_| folder.0.clone()))
    }

    /// A folder in this folder.
    pub(crate) fn folder(&self, name: &[u8]) -> io::Result<Self> {
        let path = self.path(name)?;
        if path.symlink_metadata()?.is_dir() { Ok(Self(path)) } else { Err(ErrorKind::NotADirectory.into()) }
    }

    /// The same here.
    pub(crate) fn open_folder(&self, name: &[u8]) -> io::Result<Self> {
        self.folder(name)
    }

    /// Anything in this folder.
    pub(crate) fn entry(&self, name: &[u8]) -> io::Result<Self> {
        let path = self.path(name)?;
        path.symlink_metadata()?;
        Ok(Self(path))
    }

    /// There is no safe way in one call.
    pub(crate) fn beneath(&self, _path: &EntryPath) -> io::Result<Self> {
        Err(ErrorKind::Unsupported.into())
    }

    /// Likewise.
    pub(crate) fn readable(&self, path: &EntryPath) -> io::Result<Self> {
        self.beneath(path)
    }

    /// Likewise.
    pub(crate) fn file_beneath(&self, _path: &EntryPath) -> io::Result<File> {
        Err(ErrorKind::Unsupported.into())
    }

    /// The same as [`list`](Self::list).
    pub(crate) fn list_once(&self) -> Partial<Vec<Child>> {
        self.list()
    }

    /// What is in this folder, in no order.
    pub(crate) fn list(&self) -> Partial<Vec<Child>> {
        let mut children = Vec::new();
        let lines = match self.0.read_dir() {
            Ok(lines) => lines,
            Err(error) => return (children, Some(error)),
        };
        for line in lines {
            match line.and_then(|line| Ok((line.file_name(), line.file_type()?))) {
                Ok((name, kind)) => {
                    children.push(Child { name: name.as_encoded_bytes().into(), folder: kind.is_dir() });
                }
                Err(error) => return (children, Some(error)),
            }
        }
        (children, None)
    }

    /// Kind and metadata of an entry in this folder.
    pub(crate) fn inspect(&self, name: &[u8]) -> io::Result<(Kind, Metadata)> {
        Self(self.path(name)?).inspect_self()
    }

    /// Kind and metadata.
    pub(crate) fn inspect_self(&self) -> io::Result<(Kind, Metadata)> {
        let metadata = self.0.symlink_metadata()?;
        let (mut kind, mut described) = describe(&metadata)?;
        if metadata.is_symlink() {
            let target = self.0.read_link()?.into_os_string().into_encoded_bytes();
            described.size = target.len() as u64;
            kind = Kind::Symlink { target };
        }
        Ok((kind, described))
    }

    /// Tells this folder from all others: by its path, for lack of an inode.
    pub(crate) fn identity(&self, _metadata: &Metadata) -> (u64, u64) {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        (0, hasher.finish())
    }

    /// Extended attributes: none here.
    pub(crate) fn xattrs(&self, _name: &[u8]) -> Partial<Xattrs> {
        (Vec::new(), None)
    }

    /// Extended attributes: none here.
    pub(crate) fn xattrs_self(&self) -> Partial<Xattrs> {
        (Vec::new(), None)
    }

    /// Opens a regular file in this folder for reading.
    pub(crate) fn open(&self, name: &[u8]) -> io::Result<File> {
        let path = self.path(name)?;
        if !path.symlink_metadata()?.is_file() {
            return Err(ErrorKind::InvalidInput.into());
        }
        File::open(path)
    }

    fn path(&self, name: &[u8]) -> io::Result<PathBuf> {
        let mut name = os_str(name)?.to_owned();
        if cfg!(windows) && self.0.as_os_str().is_empty() {
            name.push("\\");
        }
        Ok(self.0.join(name))
    }
}

/// Changing a folder.
impl Node {
    /// Makes a folder.
    pub(crate) fn make_folder(&self, name: &[u8]) -> io::Result<()> {
        fs::create_dir(self.path(name)?)
    }

    /// Makes an empty file; fails if anything has the name.
    pub(crate) fn make_file(&self, name: &[u8]) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(self.path(name)?)
    }

    /// The same for a file to be read as well.
    pub(crate) fn make_scratch(&self, name: &[u8]) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.path(name)?)
    }

    /// Makes a symbolic link, where the standard library can.
    pub(crate) fn make_special(&self, name: &[u8], kind: &Kind) -> io::Result<()> {
        match kind {
            #[cfg(unix)]
            Kind::Symlink { target } => std::os::unix::fs::symlink(os_str(target)?, self.path(name)?),
            #[cfg(windows)]
            Kind::Symlink { target } => std::os::windows::fs::symlink_file(os_str(target)?, self.path(name)?),
            _ => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Gives the entry `name` of this folder a second name in the folder `to`.
    pub(crate) fn link(&self, name: &[u8], to: &Self, new: &[u8]) -> io::Result<()> {
        fs::hard_link(self.path(name)?, to.path(new)?)
    }

    /// Renames within this folder, replacing anything but a folder.
    pub(crate) fn rename(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        fs::rename(self.path(from)?, self.path(to)?)
    }

    /// Renames within this folder if nothing has the new name, as far as one can look.
    pub(crate) fn rename_new(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        match self.path(to)?.symlink_metadata() {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => self.rename(from, to),
        }
    }

    /// Removes a folder that is empty.
    pub(crate) fn remove_folder(&self, name: &[u8]) -> io::Result<()> {
        fs::remove_dir(self.path(name)?)
    }

    /// Removes anything but a folder.
    pub(crate) fn remove(&self, name: &[u8]) -> io::Result<()> {
        fs::remove_file(self.path(name)?)
    }

    /// Makes the names in this folder survive a power cut, where a folder can be opened as files are.
    pub(crate) fn sync_names(&self) -> io::Result<()> {
        File::open(&self.0).map_or(Ok(()), |folder| folder.sync_all())
    }

    /// The standard library can sync single files only.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Changing metadata.
impl Node {
    pub(crate) fn set_owner(&self, _uid: u32, _gid: u32) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        let mut permissions = self.0.symlink_metadata()?.permissions();
        permissions.set_readonly(mode & 0o222 == 0);
        fs::set_permissions(&self.0, permissions)
    }

    pub(crate) fn set_mtime(&self, mtime: Timestamp) -> io::Result<()> {
        if mtime.nanoseconds >= 1_000_000_000 {
            return Err(ErrorKind::InvalidInput.into());
        }
        let whole = Duration::from_secs(mtime.seconds.unsigned_abs());
        let second = if mtime.seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        let time = second.and_then(|second| second.checked_add(Duration::from_nanos(mtime.nanoseconds.into())));
        let time = time.ok_or(ErrorKind::InvalidInput)?;
        if self.0.symlink_metadata()?.is_symlink() {
            return Err(ErrorKind::Unsupported.into());
        }
        let file = OpenOptions::new().write(true).open(&self.0).or_else(|_| File::open(&self.0))?;
        file.set_times(FileTimes::new().set_modified(time))
    }

    pub(crate) fn set_xattr(&self, _name: &[u8], _value: &[u8]) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(crate) fn remove_xattr(&self, _name: &[u8]) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// Kind and metadata of an open file.
pub(crate) fn inspect_file(file: &File) -> io::Result<(Kind, Metadata, bool)> {
    let (kind, metadata) = describe(&file.metadata()?)?;
    Ok((kind, metadata, false))
}

/// Extended attributes: none here.
pub(crate) fn xattrs_of_file(_file: &File) -> Partial<Xattrs> {
    (Vec::new(), None)
}

/// Holes: not known here.
pub(crate) fn holes(_file: &File, _size: u64) -> Vec<(u64, u64)> {
    Vec::new()
}

/// No hint to give.
pub(crate) fn advise(_file: &File) {}

/// Space is taken as it is written.
pub(crate) fn reserve(_file: &File, _size: u64) -> io::Result<()> {
    Ok(())
}

/// A file has one position; who moves it holds this.
static POSITION: Mutex<()> = Mutex::new(());

pub(crate) fn read_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let _held = POSITION.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(offset))?;
    file.read(buffer)
}

pub(crate) fn write_all_at(mut file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let _held = POSITION.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// A name or path as the standard library wants it; without `unsafe` that must be UTF-8.
pub(crate) fn os_str(bytes: &[u8]) -> io::Result<&OsStr> {
    std::str::from_utf8(bytes).map(OsStr::new).map_err(|_| ErrorKind::InvalidFilename.into())
}

fn describe(metadata: &fs::Metadata) -> io::Result<(Kind, Metadata)> {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_symlink() => Kind::Symlink { target: Vec::new() },
        _ => return Err(ErrorKind::Unsupported.into()),
    };
    let mode = match (metadata.permissions().readonly(), metadata.is_dir()) {
        (true, true) => 0o555,
        (true, false) => 0o444,
        (false, true) => 0o755,
        (false, false) => 0o644,
    };
    let mtime = timestamp(metadata.modified()?);
    let size = if metadata.is_file() { metadata.len() } else { 0 };
    let described = Metadata { mode, mtime, ctime: mtime, size, links: 1, ..Metadata::default() };
    Ok((kind, with_signs_of_change(described, metadata)))
}

/// What tells that something has changed although its time of modification has not.
#[cfg(unix)]
fn with_signs_of_change(described: Metadata, metadata: &fs::Metadata) -> Metadata {
    use std::os::unix::fs::MetadataExt;
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
    let ctime = Timestamp { seconds: metadata.ctime(), nanoseconds };
    Metadata { ctime, inode: metadata.ino(), device: metadata.dev(), ..described }
}

/// Nothing does here that can be read without unsafe code.
#[cfg(not(unix))]
fn with_signs_of_change(described: Metadata, _: &fs::Metadata) -> Metadata {
    described
}

fn timestamp(time: SystemTime) -> Timestamp {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Timestamp { seconds: after.as_secs().cast_signed(), nanoseconds: after.subsec_nanos() },
        Err(error) => {
            let before = error.duration();
            let seconds = -before.as_secs().cast_signed();
            match before.subsec_nanos() {
                0 => Timestamp { seconds, nanoseconds: 0 },
                rest => Timestamp { seconds: seconds - 1, nanoseconds: 1_000_000_000 - rest },
            }
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn kind_of(error: io::Result<impl Sized>) -> ErrorKind {
        error.map(|_| ()).unwrap_err().kind()
    }

    #[test]
    fn looking() {
        let temp = tempfile::tempdir().unwrap();
        Node::create(&temp.path().join("a/b")).unwrap();
        let (node, _) = Node::create(&temp.path().join("a")).unwrap();
        fs::write(temp.path().join("a/file"), "content").unwrap();
        std::os::unix::fs::symlink("file", temp.path().join("a/link")).unwrap();

        let (mut children, error) = node.list_once();
        assert!(error.is_none());
        children.sort_by(Child::order);
        let seen: Vec<_> = children.iter().map(|child| (&*child.name, child.folder)).collect();
        assert_eq!(seen, [(&b"b"[..], true), (b"file", false), (b"link", false)]);

        let (kind, metadata) = node.inspect(b"file").unwrap();
        assert_eq!((kind, metadata.size, metadata.mode), (Kind::File, 7, 0o644));
        let (kind, metadata) = node.inspect(b"link").unwrap();
        assert_eq!((kind, metadata.size), (Kind::Symlink { target: b"file".to_vec() }, 4));
        let (kind, metadata) = node.folder(b"b").unwrap().inspect_self().unwrap();
        assert_eq!(kind, Kind::Directory);
        assert_eq!(node.entry(b"b").unwrap().identity(&metadata), node.folder(b"b").unwrap().identity(&metadata));
        assert_ne!(node.folder(b"b").unwrap().identity(&metadata), node.identity(&metadata));

        let file = node.open(b"file").unwrap();
        let mut buffer = [0; 4];
        assert_eq!(read_at(&file, &mut buffer, 3).unwrap(), 4);
        assert_eq!((&buffer, inspect_file(&file).unwrap().1.size), (b"tent", 7));
        advise(&file);
        assert_eq!((holes(&file, 7), xattrs_of_file(&file).0, node.xattrs(b"file").0), (vec![], vec![], vec![]));

        assert_eq!(kind_of(node.folder(b"link")), ErrorKind::NotADirectory);
        assert_eq!(kind_of(node.open(b"link")), ErrorKind::InvalidInput);
        assert_eq!(kind_of(node.entry(b"none")), ErrorKind::NotFound);
        assert_eq!(kind_of(node.entry(b"\xff")), ErrorKind::InvalidFilename);
        assert_eq!(kind_of(node.beneath(&EntryPath::root())), ErrorKind::Unsupported);
        assert!(Node(temp.path().join("none")).list().1.is_some());
        assert_eq!(kind_of(node.readable(&EntryPath::root())), ErrorKind::Unsupported);
        assert_eq!(kind_of(node.file_beneath(&EntryPath::root())), ErrorKind::Unsupported);
        assert_eq!(kind_of(Node::root().unwrap().folder(b"dev").unwrap().inspect(b"null")), ErrorKind::Unsupported);
    }

    #[test]
    fn changing() {
        let temp = tempfile::tempdir().unwrap();
        let (node, _) = Node::create(temp.path()).unwrap();
        node.make_folder(b"folder").unwrap();
        let file = node.make_file(b"new").unwrap();
        write_all_at(&file, b"late", 4).unwrap();
        write_all_at(&file, b"soon", 0).unwrap();
        assert_eq!(kind_of(node.make_file(b"new")), ErrorKind::AlreadyExists);
        let pinned = Node::of_file(file, &node, b"new");
        for mtime in [
            Timestamp { seconds: 1_000, nanoseconds: 5 },
            Timestamp { seconds: -1_000, nanoseconds: 5 },
            Timestamp { seconds: -1_000, nanoseconds: 0 },
        ] {
            pinned.set_mtime(mtime).unwrap();
            assert_eq!(pinned.inspect_self().unwrap().1.mtime, mtime);
        }
        pinned.set_mode(0o444).unwrap();
        assert_eq!(node.inspect(b"new").unwrap().1.mode, 0o444);
        node.rename(b"new", b"old").unwrap();
        node.link(b"old", &node.folder(b"folder").unwrap(), b"again").unwrap();
        assert_eq!(fs::read(temp.path().join("folder/again")).unwrap(), b"soonlate");
        node.make_special(b"link", &Kind::Symlink { target: b"old".to_vec() }).unwrap();
        node.sync_names().unwrap();
        node.sync().unwrap();

        let link = node.entry(b"link").unwrap();
        let odd = Timestamp { seconds: 0, nanoseconds: u32::MAX };
        assert_eq!(kind_of(link.set_mtime(Timestamp::default())), ErrorKind::Unsupported);
        assert_eq!(kind_of(pinned.set_mtime(odd)), ErrorKind::InvalidInput);
        assert_eq!(kind_of(link.set_owner(0, 0)), ErrorKind::Unsupported);
        assert_eq!(kind_of(link.set_xattr(b"user.a", b"")), ErrorKind::Unsupported);
        assert_eq!(kind_of(link.remove_xattr(b"user.a")), ErrorKind::Unsupported);
        assert_eq!(link.xattrs_self().0, vec![]);
        assert_eq!(kind_of(node.make_special(b"pipe", &Kind::Fifo)), ErrorKind::Unsupported);
        let other = node.make_file(b"other").unwrap();
        reserve(&other, 1).unwrap();
        node.make_scratch(b"scratch").unwrap();
        node.remove(b"scratch").unwrap();
        assert_eq!(kind_of(node.rename_new(b"other", b"old")), ErrorKind::AlreadyExists);
        node.rename_new(b"other", b"free").unwrap();
        node.make_folder(b"empty").unwrap();
        assert!(node.open_folder(b"empty").is_ok());
        node.remove_folder(b"empty").unwrap();
        node.remove(b"old").unwrap();
        assert_eq!(kind_of(node.entry(b"old")), ErrorKind::NotFound);
    }
}
