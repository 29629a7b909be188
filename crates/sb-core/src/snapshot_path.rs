//! `SNAP[:PATH]`: a snapshot, or a place in it.

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A snapshot by the beginning of its id or as `latest` or `latest~N`, and a path in it: raw bytes, absolute.
///
/// ```
/// use sb_core::SnapshotPath;
///
/// let at = SnapshotPath::parse("latest~1:/clients/miller/".as_ref())?;
/// assert_eq!((at.snapshot.as_str(), at.path.as_deref()), ("latest~1", Some(&b"/clients/miller"[..])));
/// # Ok::<(), sb_core::SnapshotPathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPath {
    /// Which snapshot.
    pub snapshot: String,
    /// Where in it; `None` if the whole is meant.
    pub path: Option<Vec<u8>>,
}

/// Why a text names no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{text}` names no snapshot: write `latest`, `latest~1` or the beginning of an id, then perhaps `:` and a path"
)]
pub struct SnapshotPathError {
    /// As given, lossy.
    pub text: String,
}

impl SnapshotPath {
    /// Reads the notation. What follows the first colon is the path; a slash is put before it if it has none, and those it
    /// has too many are dropped.
    ///
    /// # Errors
    /// [`SnapshotPathError`] if what stands before the colon is neither `latest`, `latest~N` nor hexadecimal.
    pub fn parse(text: &OsStr) -> Result<Self, SnapshotPathError> {
        let bytes = text.as_encoded_bytes();
        let (name, path) = match bytes.iter().position(|byte| *byte == b':') {
            Some(colon) => (&bytes[..colon], Some(&bytes[colon + 1..])),
            None => (bytes, None),
        };
        let wrong = || SnapshotPathError { text: text.to_string_lossy().into_owned() };
        let name = std::str::from_utf8(name).map_err(|_| wrong())?.to_ascii_lowercase();
        let back = name.strip_prefix("latest");
        let is_latest = back.is_some_and(|back| {
            back.is_empty() || back.strip_prefix('~').is_some_and(|number| number.parse::<usize>().is_ok())
        });
        let is_id = !name.is_empty() && name.bytes().all(|c| c.is_ascii_hexdigit());
        if is_latest || is_id { Ok(Self { snapshot: name, path: path.map(normal) }) } else { Err(wrong()) }
    }
}

/// For names that are UTF-8, as arguments in a configuration are.
impl FromStr for SnapshotPath {
    type Err = SnapshotPathError;

    fn from_str(text: &str) -> Result<Self, SnapshotPathError> {
        Self::parse(text.as_ref())
    }
}

/// Lossy where the path is not UTF-8.
impl fmt::Display for SnapshotPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.snapshot)?;
        self.path.as_ref().map_or(Ok(()), |path| write!(f, ":{}", String::from_utf8_lossy(path)))
    }
}

fn normal(path: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(path.len() + 1);
    for component in path.split(|byte| *byte == b'/').filter(|component| !matches!(*component, b"" | b".")) {
        normal.push(b'/');
        normal.extend_from_slice(component);
    }
    if normal.is_empty() { b"/".to_vec() } else { normal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Option<(String, Option<String>)> {
        let at: SnapshotPath = text.parse().ok()?;
        Some((at.snapshot, at.path.map(|path| String::from_utf8(path).unwrap())))
    }

    #[test]
    fn snapshot_and_path_are_told_apart() {
        let both = |snapshot: &str, path: Option<&str>| Some((snapshot.to_owned(), path.map(str::to_owned)));
        for (text, meant) in [
            ("latest", both("latest", None)),
            ("LATEST~12", both("latest~12", None)),
            ("3fA9", both("3fa9", None)),
            ("3fa9:", both("3fa9", Some("/"))),
            ("3fa9:/", both("3fa9", Some("/"))),
            ("latest:a/b", both("latest", Some("/a/b"))),
            ("latest://a/./b//", both("latest", Some("/a/b"))),
            ("latest:/a:b", both("latest", Some("/a:b"))),
            ("latest:/a/../b", both("latest", Some("/a/../b"))),
            ("", None),
            (":/a", None),
            ("/a/b", None),
            ("latest~", None),
            ("latest~x", None),
            ("latest2", None),
            ("newest", None),
        ] {
            assert_eq!(parse(text), meant, "{text}");
        }
    }

    #[test]
    fn what_was_wrong_is_shown() {
        let error = SnapshotPath::parse("yesterday".as_ref()).unwrap_err();
        assert!(error.to_string().starts_with("`yesterday` names no snapshot: write `latest`"), "{error}");
        assert_eq!("latest:a".parse::<SnapshotPath>().unwrap().to_string(), "latest:/a");
        assert_eq!("3F".parse::<SnapshotPath>().unwrap().to_string(), "3f");
    }

    #[test]
    #[cfg(unix)]
    fn paths_are_raw_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let at = SnapshotPath::parse(OsStr::from_bytes(b"latest:/b\xfcro")).unwrap();
        assert_eq!(at.path.as_deref(), Some(&b"/b\xfcro"[..]));
        assert!(SnapshotPath::parse(OsStr::from_bytes(b"\xfc")).is_err());
    }

    proptest! {
        #[test]
        fn a_normal_path_stays_as_it_is(path in "(/[a-z.]{1,3}){0,4}/?") {
            let once = normal(path.as_bytes());
            prop_assert_eq!(&normal(&once), &once);
            prop_assert!(once.starts_with(b"/") && (once.len() == 1 || !once.ends_with(b"/")));
        }
    }
}
