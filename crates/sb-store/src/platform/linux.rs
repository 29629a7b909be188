use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Advice, CWD, OFlags, RenameFlags, fadvise, renameat_with, statvfs};
use rustix::io::Errno;

use super::portable;
use crate::Space;

pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Opens for reading, follows no symbolic link, and never waits for the other end of a pipe.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

pub(crate) fn make_read_only(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o400))
}

/// Drops what the page cache has of a file. What is not durable yet stays in it.
pub(crate) fn evict(file: &File) {
    // Only advice: on file systems that keep no pages there is nothing to drop.
    let _ = fadvise(file, 0, None, Advice::DontNeed);
}

/// `renameat2(2)` with `RENAME_NOREPLACE`.
pub(crate) fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => portable::rename_no_replace(from, to),
        result => Ok(result?),
    }
}

pub(crate) fn space(path: &Path) -> io::Result<Option<Space>> {
    let found = statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Some(Space { free: bytes(found.f_bavail), total: bytes(found.f_blocks) }))
}
