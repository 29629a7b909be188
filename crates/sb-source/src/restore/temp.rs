//! Names of what is not whole yet.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};

use super::{Mark, TargetFolder};
use crate::platform;
use crate::{EntryPath, Kind, TargetError};

/// What the names of files begin with that are not whole; 16 hexadecimal digits follow.
pub(crate) const PREFIX: &[u8] = b".sb-restore-";

/// Makes something under a name nobody has.
pub(crate) fn make_temp<T>(
    prefix: &[u8],
    path: &EntryPath,
    make: impl Fn(&[u8]) -> io::Result<T>,
) -> Result<(Vec<u8>, T), TargetError> {
    loop {
        // The standard library seeds its hash maps with randomness from the system, each differently.
        let random = RandomState::new().hash_one(path);
        let temp = [prefix, format!("{random:016x}").as_bytes()].concat();
        match make(&temp) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => return result.map(|made| (temp, made)).map_err(|error| TargetError::new(path.clone(), error)),
        }
    }
}

/// True for names that [`make_temp`] makes.
pub(crate) fn is_name(prefix: &[u8], name: &[u8]) -> bool {
    let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix(prefix).is_some_and(|digits| digits.len() == 16 && digits.iter().all(digit))
}

/// Removes files that restores which are gone have left unfinished in `folder`; returns the marks there. A restore that is
/// alive holds a lock on its files.
pub(crate) fn clear(folder: &TargetFolder) -> Vec<Mark> {
    let node = folder.node();
    let children = node.list().0;
    for child in children.iter().filter(|child| is_name(PREFIX, &child.name)) {
        // What can't be removed tells by its name what it is.
        let _ = node.open(&child.name).is_ok_and(|file| {
            let is_file =
                platform::inspect_file(&file).is_ok_and(|(kind, stat, _)| kind == Kind::File && stat.links == 1);
            is_file && file.try_lock().is_ok() && node.remove(&child.name).is_ok()
        });
    }
    children.iter().filter_map(|child| folder.as_mark(&child.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_count() {
        assert!(is_name(PREFIX, b".sb-restore-0123456789abcdef"));
        for name in [
            &b".sb-restore-"[..],
            b".sb-restore-0123456789abcde",
            b".sb-restore-0123456789ABCDEF",
            b"sb-restore",
            b".sb-restore-unfinished-0123456789abcdef",
        ] {
            assert!(!is_name(PREFIX, name));
        }
    }
}
