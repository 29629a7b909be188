//! Compares two trees with nothing but the operating system's own calls, so that no mistake of ours agrees with itself.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// What was compared, and what is not the same.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) folders: u64,
    pub(super) others: u64,
    /// What differs, in words.
    pub(super) differences: Vec<String>,
    /// Inode of a file with several names → that of its counterpart.
    linked: HashMap<u64, u64>,
}

/// How much of an entry may differ, for reasons that were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excused {
    /// Nothing may.
    Nothing,
    /// Owner, permissions, times, attributes.
    Metadata,
    /// It may be missing altogether.
    All,
}

/// Decides by the path below the trees' roots.
pub(super) type Excuse<'a> = &'a dyn Fn(&Path) -> Excused;

/// Compares what is at two paths, and all below.
pub(super) fn compare(original: &Path, restored: &Path, excuse: Excuse<'_>) -> io::Result<Comparison> {
    let mut comparison = Comparison::default();
    comparison.entry(original, restored, Path::new(""), excuse)?;
    Ok(comparison)
}

impl Comparison {
    fn differ(&mut self, path: &Path, how: &str) {
        self.differences.push(format!("`{}` {how}", path.display()));
    }

    fn entry(&mut self, original: &Path, restored: &Path, below: &Path, excuse: Excuse<'_>) -> io::Result<()> {
        let excused = excuse(below);
        if excused == Excused::All {
            return Ok(());
        }
        let a = fs::symlink_metadata(original)?;
        let Ok(b) = fs::symlink_metadata(restored) else {
            self.differ(original, "is missing");
            return Ok(());
        };
        if a.file_type() != b.file_type() {
            self.differ(original, "is of another kind");
            return Ok(());
        }
        if excused == Excused::Nothing {
            for how in metadata_differences(original, &a, restored, &b)? {
                self.differ(original, how);
            }
        }
        if a.is_dir() {
            self.folders += 1;
            return self.folder(original, restored, below, excuse);
        }
        if a.is_file() {
            self.files += 1;
            self.bytes += a.len();
            if a.len() != b.len() || !same_bytes(original, restored)? {
                self.differ(original, "has another content");
            }
        } else {
            self.others += 1;
            if a.is_symlink() && fs::read_link(original)? != fs::read_link(restored)? {
                self.differ(original, "points elsewhere");
            }
        }
        if let Some((one, other)) = inodes(&a, &b)
            && *self.linked.entry(one).or_insert(other) != other
        {
            self.differ(original, "is no longer the same file as under its other names");
        }
        Ok(())
    }

    fn folder(&mut self, original: &Path, restored: &Path, below: &Path, excuse: Excuse<'_>) -> io::Result<()> {
        let there = names(restored)?;
        let wanted = names(original)?;
        for surplus in there.iter().filter(|name| !wanted.contains(name)) {
            self.differ(&restored.join(surplus), "was not there");
        }
        for name in wanted {
            self.entry(&original.join(&name), &restored.join(&name), &below.join(&name), excuse)?;
        }
        Ok(())
    }
}

fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(PathBuf::from(entry?.file_name()));
    }
    names.sort();
    Ok(names)
}

fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    let (mut a, mut b) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let length = one.read(&mut a)?;
        if other.read_exact(&mut b[..length]).is_err() || a[..length] != b[..length] {
            return Ok(false);
        }
        if length == 0 {
            return Ok(other.read(&mut b)? == 0);
        }
    }
}

#[cfg(unix)]
fn inodes(a: &Metadata, b: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    (a.nlink() > 1).then(|| (a.ino(), b.ino()))
}

#[cfg(not(unix))]
fn inodes(_a: &Metadata, _b: &Metadata) -> Option<(u64, u64)> {
    None
}

#[cfg(unix)]
fn metadata_differences(one: &Path, a: &Metadata, other: &Path, b: &Metadata) -> io::Result<Vec<&'static str>> {
    use std::os::unix::fs::MetadataExt;
    let mut differences = Vec::new();
    if (a.uid(), a.gid()) != (b.uid(), b.gid()) {
        differences.push("has another owner");
    }
    if a.mode() != b.mode() && !a.is_symlink() {
        differences.push("has other permissions");
    }
    if (a.mtime(), a.mtime_nsec()) != (b.mtime(), b.mtime_nsec()) {
        differences.push("has another time");
    }
    if a.rdev() != b.rdev() {
        differences.push("is another device");
    }
    if attributes(one)? != attributes(other)? {
        differences.push("has other attributes");
    }
    Ok(differences)
}

#[cfg(unix)]
fn attributes(path: &Path) -> io::Result<Vec<(std::ffi::OsString, Option<Vec<u8>>)>> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut attributes = Vec::new();
    for name in names {
        let value = xattr::get(path, &name)?;
        attributes.push((name, value));
    }
    attributes.sort();
    Ok(attributes)
}

#[cfg(not(unix))]
fn metadata_differences(_one: &Path, a: &Metadata, _other: &Path, b: &Metadata) -> io::Result<Vec<&'static str>> {
    Ok(if a.modified()? == b.modified()? { Vec::new() } else { vec!["has another time"] })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn tree(root: &Path) {
        fs::create_dir_all(root.join("folder")).unwrap();
        fs::write(root.join("folder/file"), "content").unwrap();
        fs::write(root.join("folder/long"), vec![7; 200_000]).unwrap();
        symlink("file", root.join("folder/link")).unwrap();
        fs::hard_link(root.join("folder/file"), root.join("folder/second")).unwrap();
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        for name in ["folder/file", "folder/long", "folder", ""] {
            File::open(root.join(name)).unwrap().set_modified(time).unwrap();
        }
    }

    /// What differs after a change to the second of two equal trees, but for times.
    fn differences(change: impl Fn(&Path)) -> Vec<String> {
        let temp = tempfile::tempdir().unwrap();
        let (one, two) = (temp.path().join("one"), temp.path().join("two"));
        tree(&one);
        tree(&two);
        change(&two);
        let comparison = compare(&one, &two, &|_| Excused::Nothing).unwrap();
        assert_eq!((comparison.folders, comparison.others <= 1), (2, true));
        let told = comparison.differences.into_iter().filter(|text| !text.ends_with("has another time"));
        told.map(|text| text.rsplit('/').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_kind_of_difference_is_told() {
        assert!(differences(|_| {}).is_empty());
        assert_eq!(
            differences(|two| fs::write(two.join("folder/long"), vec![8; 200_000]).unwrap()),
            ["long` has another content"]
        );
        assert_eq!(
            differences(|two| fs::write(two.join("folder/long"), "short").unwrap()),
            ["long` has another content"]
        );
        assert_eq!(differences(|two| fs::remove_file(two.join("folder/long")).unwrap()), ["long` is missing"]);
        assert_eq!(differences(|two| fs::write(two.join("folder/new"), "").unwrap()), ["new` was not there"]);
        let mode =
            |two: &Path| fs::set_permissions(two.join("folder/long"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(differences(mode), ["long` has other permissions"]);
        let relink = |two: &Path| {
            fs::remove_file(two.join("folder/link")).unwrap();
            symlink("long", two.join("folder/link")).unwrap();
        };
        assert_eq!(differences(relink), ["link` points elsewhere"]);
        let unlink = |two: &Path| {
            fs::remove_file(two.join("folder/second")).unwrap();
            fs::copy(two.join("folder/file"), two.join("folder/second")).unwrap();
        };
        assert_eq!(differences(unlink), ["second` is no longer the same file as under its other names"]);
        let kind = |two: &Path| {
            fs::remove_file(two.join("folder/long")).unwrap();
            symlink("file", two.join("folder/long")).unwrap();
        };
        assert_eq!(differences(kind), ["long` is of another kind"]);
        let attribute = |two: &Path| xattr::set(two.join("folder/long"), "user.a", b"1").unwrap();
        assert_eq!(differences(attribute), ["long` has other attributes"]);
    }

    #[test]
    fn what_is_excused_is_not_told() {
        let temp = tempfile::tempdir().unwrap();
        let (one, two) = (temp.path().join("one"), temp.path().join("two"));
        tree(&one);
        tree(&two);
        File::open(two.join("folder/long")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        fs::remove_file(two.join("folder/link")).unwrap();
        let strict = compare(&one, &two, &|_| Excused::Nothing).unwrap().differences;
        assert!(strict.iter().any(|text| text.ends_with("has another time")), "{strict:?}");
        let lenient = |path: &Path| match path.to_str() {
            Some("folder" | "folder/long") => Excused::Metadata,
            Some("folder/link") => Excused::All,
            _ => Excused::Nothing,
        };
        assert!(compare(&one, &two, &lenient).unwrap().differences.is_empty());
    }
}
