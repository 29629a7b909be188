use std::fs;
use std::io;
use std::path::Path;

/// A rename that can't replace: a second link to the file, then the first is removed.
///
/// If the process dies between the two, or removing fails, the file has two names, which is what sweeping is for.
pub(crate) fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    let _ = fs::remove_file(from);
    Ok(())
}

#[cfg(any(not(target_os = "linux"), test))]
pub(crate) fn create_file(path: &Path) -> io::Result<fs::File> {
    fs::File::create_new(path)
}

#[cfg(any(not(target_os = "linux"), test))]
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

#[cfg(any(not(target_os = "linux"), test))]
pub(crate) fn open_file(path: &Path) -> io::Result<fs::File> {
    fs::File::open(path)
}

/// Left out: a read-only file can't be removed everywhere.
#[cfg(any(not(target_os = "linux"), test))]
pub(crate) fn make_read_only(_file: &fs::File) -> io::Result<()> {
    Ok(())
}

/// There is no way to ask for it.
#[cfg(any(not(target_os = "linux"), test))]
pub(crate) fn evict(_file: &fs::File) {}

#[cfg(any(not(target_os = "linux"), test))]
pub(crate) fn space(_path: &Path) -> io::Result<Option<crate::Space>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};

    use super::*;

    #[test]
    fn a_rename_by_link_moves_and_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "1").unwrap();
        rename_no_replace(&from, &to).unwrap();
        assert!(!from.exists());

        fs::write(&from, "2").unwrap();
        assert_eq!(rename_no_replace(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&to).unwrap(), "1");
        assert_eq!(fs::read_to_string(&from).unwrap(), "2");
    }

    #[test]
    fn the_rest_works_without_the_operating_system() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        create_folder(&below).unwrap();
        assert_eq!(create_folder(&below).unwrap_err().kind(), ErrorKind::AlreadyExists);

        let path = below.join("file");
        let mut file = create_file(&path).unwrap();
        assert_eq!(create_file(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        file.write_all(b"bytes").unwrap();
        make_read_only(&file).unwrap();
        let mut text = String::new();
        open_file(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "bytes");
        evict(&file);
        assert_eq!(space(&path).unwrap(), None);
    }
}
