//! Names of what is not whole yet.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};

use crate::platform::{self, Node};
use crate::{EntryPath, Kind, TargetError};

/// What the names begin with; 16 hexadecimal digits follow.
const PREFIX: &[u8] = b".sb-restore-";

/// Makes something under a name nobody has.
pub(crate) fn make_temp<T>(
    path: &EntryPath,
    make: impl Fn(&[u8]) -> io::Result<T>,
) -> Result<(Vec<u8>, T), TargetError> {
    loop {
        // The standard library seeds its hash maps with randomness from the system, each differently.
        let random = RandomState::new().hash_one(path);
        let temp = [PREFIX, format!("{random:016x}").as_bytes()].concat();
        match make(&temp) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => return result.map(|made| (temp, made)).map_err(|error| TargetError::new(path.clone(), error)),
        }
    }
}

fn is_temp(name: &[u8]) -> bool {
    let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix(PREFIX).is_some_and(|digits| digits.len() == 16 && digits.iter().all(digit))
}

/// Removes files that restores which are gone have left unfinished in `folder`; returns how many. A restore that is alive
/// holds a lock on its files.
pub(crate) fn clear(folder: &Node) -> u64 {
    let mut cleared = 0;
    for child in folder.list().0.into_iter().filter(|child| is_temp(&child.name)) {
        let left = folder.open(&child.name).is_ok_and(|file| {
            let is_file =
                platform::inspect_file(&file).is_ok_and(|(kind, stat, _)| kind == Kind::File && stat.links == 1);
            is_file && file.try_lock().is_ok() && folder.remove(&child.name).is_ok()
        });
        cleared += u64::from(left);
    }
    cleared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_count() {
        assert!(is_temp(b".sb-restore-0123456789abcdef"));
        for name in
            [&b".sb-restore-"[..], b".sb-restore-0123456789abcde", b".sb-restore-0123456789ABCDEF", b"sb-restore"]
        {
            assert!(!is_temp(name));
        }
    }
}
