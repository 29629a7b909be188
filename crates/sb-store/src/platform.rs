//! What differs between operating systems. The portable part also serves Linux where a file system lacks something.

#[cfg(target_os = "linux")]
mod linux;
mod portable;

#[cfg(target_os = "linux")]
pub(crate) use linux::{create_file, create_folder, evict, make_read_only, open_file, rename_no_replace, space};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{create_file, create_folder, evict, make_read_only, open_file, rename_no_replace, space};

#[cfg(not(windows))]
pub(crate) fn sync_folder(path: &std::path::Path) -> std::io::Result<()> {
    use std::io::ErrorKind;

    match std::fs::File::open(path)?.sync_all() {
        // Some network file systems have no such call, and on a read-only one nothing can be pending.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Windows can't open a folder as a file; NTFS journals names by itself.
#[cfg(windows)]
pub(crate) fn sync_folder(_path: &std::path::Path) -> std::io::Result<()> {
    Ok(())
}
