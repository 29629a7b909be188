//! Whether a restored tree is what was backed up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes compared at a time.
const BLOCK: usize = 256 << 10;

/// What first tells `restored` from `source`: a name, a kind, permissions, a size, a time of change to the nanosecond, the
/// target of a link, or a byte. Nothing if they are the same. Of folders themselves only names and permissions count.
pub(crate) fn difference(source: &Path, restored: &Path) -> Option<String> {
    let found = folders(source, restored);
    found.unwrap_or_else(|error| Some(format!("cannot be compared: {error}")))
}

fn folders(source: &Path, restored: &Path) -> io::Result<Option<String>> {
    let (wanted, mut there) = (names(source)?, names(restored)?);
    for (name, metadata) in wanted {
        let (original, copy) = (source.join(&name), restored.join(&name));
        let Some(other) = there.remove(&name) else {
            return Ok(Some(format!("`{}` is missing", copy.display())));
        };
        let differs = match entries(&original, &metadata, &copy, &other)? {
            None if metadata.is_dir() => folders(&original, &copy)?,
            Some(what) => Some(format!("`{}` has {what}", copy.display())),
            None => None,
        };
        if differs.is_some() {
            return Ok(differs);
        }
    }
    Ok(there.keys().next().map(|name| format!("`{}` is surplus", restored.join(name).display())))
}

fn names(folder: &Path) -> io::Result<BTreeMap<OsString, Metadata>> {
    fs::read_dir(folder)?.map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.metadata()?)))).collect()
}

fn entries(original: &Path, one: &Metadata, copy: &Path, other: &Metadata) -> io::Result<Option<&'static str>> {
    if one.file_type() != other.file_type() {
        return Ok(Some("become something else"));
    }
    if one.is_symlink() {
        let same = fs::read_link(original)? == fs::read_link(copy)?;
        return Ok((!same).then_some("another target"));
    }
    let times = |metadata: &Metadata| (metadata.mtime(), metadata.mtime_nsec());
    Ok(if one.mode() != other.mode() {
        Some("other permissions")
    } else if one.is_file() && one.size() != other.size() {
        Some("another size")
    } else if one.is_file() && times(one) != times(other) {
        Some("another time")
    } else if one.is_file() && !same_bytes(original, copy)? {
        Some("other bytes")
    } else {
        None
    })
}

/// Whether two files have the same bytes.
pub(crate) fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (vec![0; BLOCK], vec![0; BLOCK]);
    loop {
        let (read, also) = (fill(&mut one, &mut left)?, fill(&mut other, &mut right)?);
        if left[..read] != right[..also] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    #[test]
    fn whatever_differs_is_named() {
        let folder = std::env::temp_dir().join(format!("xtask-compare-{}", std::process::id()));
        let (source, copy) = (folder.join("source"), folder.join("copy"));
        fs::create_dir_all(source.join("deep")).unwrap();
        fs::write(source.join("deep/long"), vec![7; BLOCK + 5]).unwrap();
        fs::write(source.join("short"), "text").unwrap();
        symlink("short", source.join("link")).unwrap();
        let spoilt = |spoil: &dyn Fn()| {
            let _ = fs::remove_dir_all(&copy);
            assert!(Command::new("cp").arg("-a").arg(&source).arg(&copy).status().unwrap().success());
            spoil();
            difference(&source, &copy)
        };
        let says = |spoil: &dyn Fn(), text: &str| {
            let said = spoilt(spoil).unwrap_or_default();
            assert!(said.contains(text), "{said} instead of {text}");
        };
        assert_eq!(spoilt(&|| {}), None);
        says(&|| fs::remove_file(copy.join("short")).unwrap(), "short` is missing");
        says(&|| fs::write(copy.join("deep/new"), "").unwrap(), "new` is surplus");
        says(&|| fs::write(copy.join("short"), "text").unwrap(), "another time");
        says(&|| fs::write(copy.join("short"), "longer").unwrap(), "another size");
        says(&|| fs::set_permissions(copy.join("short"), PermissionsExt::from_mode(0o600)).unwrap(), "permissions");
        says(&|| fs::remove_dir_all(&copy).unwrap(), "cannot be compared");
        let replace_link = || {
            fs::remove_file(copy.join("link")).unwrap();
            symlink("elsewhere", copy.join("link")).unwrap();
        };
        says(&replace_link, "another target");
        let replace_by_folder = || {
            fs::remove_file(copy.join("link")).unwrap();
            fs::create_dir(copy.join("link")).unwrap();
        };
        says(&replace_by_folder, "something else");
        let flip = || {
            let time = fs::metadata(source.join("deep/long")).unwrap().modified().unwrap();
            let mut bytes = vec![7; BLOCK + 5];
            bytes[BLOCK + 4] = 8;
            fs::write(copy.join("deep/long"), bytes).unwrap();
            File::options().write(true).open(copy.join("deep/long")).unwrap().set_modified(time).unwrap();
        };
        says(&flip, "other bytes");
        fs::remove_dir_all(folder).unwrap();
    }
}
