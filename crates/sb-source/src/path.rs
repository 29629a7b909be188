//! Paths as raw bytes, valid by construction.

use std::fmt;

use thiserror::Error;

/// The path of an entry: absolute, `/`-separated raw bytes without a trailing slash; the root is `/`.
///
/// It needs no character set. No component is empty, `.` or `..`, or holds a NUL byte, so a path that exists can be
/// used without another check, also when its names came out of an untrusted vault.
///
/// ```
/// use sb_source::EntryPath;
///
/// let path = EntryPath::new("/clients/b\u{fc}ro")?.join(b"caf\xe9.pdf")?;
/// assert_eq!(path.file_name(), b"caf\xe9.pdf");
/// assert_eq!(path.to_string(), r"/clients/büro/caf\xe9.pdf");
/// assert!(EntryPath::root().join(b"..").is_err());
/// # Ok::<(), sb_source::PathError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPath(Vec<u8>);

impl EntryPath {
    /// The path `/`.
    pub fn root() -> Self {
        Self(b"/".to_vec())
    }

    /// Takes a whole path.
    ///
    /// # Errors
    /// A path that does not start with `/`, and a component [`join`](Self::join) would refuse.
    pub fn new(path: impl Into<Vec<u8>>) -> Result<Self, PathError> {
        let path = path.into();
        match path.strip_prefix(b"/") {
            Some(b"") => return Ok(Self(path)),
            Some(rest) => rest.split(|&byte| byte == b'/').try_for_each(check_name)?,
            None => return Err(PathError::NotAbsolute { path }),
        }
        Ok(Self(path))
    }

    /// The path of the entry `name` in this folder.
    ///
    /// # Errors
    /// A name that is empty, `.` or `..`, or holds `/` or NUL.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        check_name(name)?;
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        if !self.is_root() {
            path.extend_from_slice(&self.0);
        }
        path.push(b'/');
        path.extend_from_slice(name);
        Ok(Self(path))
    }

    /// The path of the folder this entry is in; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        match self.slash() {
            _ if self.is_root() => None,
            0 => Some(Self::root()),
            slash => Some(Self(self.0[..slash].to_vec())),
        }
    }

    /// The last component; empty for the root.
    pub fn file_name(&self) -> &[u8] {
        &self.0[self.slash() + 1..]
    }

    /// The components in order; none for the root.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
    }

    /// This path as seen from the folder `base`, or `None` when it is not `base` and not inside of it.
    ///
    /// ```
    /// use sb_source::EntryPath;
    ///
    /// let path = EntryPath::new("/clients/miller/2026")?;
    /// let inside = path.strip_prefix(&EntryPath::new("/clients")?);
    /// assert_eq!(inside, Some(EntryPath::new("/miller/2026")?));
    /// # Ok::<(), sb_source::PathError>(())
    /// ```
    pub fn strip_prefix(&self, base: &Self) -> Option<Self> {
        if base.is_root() {
            return Some(self.clone());
        }
        match self.0.strip_prefix(base.as_bytes())? {
            b"" => Some(Self::root()),
            rest @ [b'/', ..] => Some(Self(rest.to_vec())),
            _ => None,
        }
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0 == b"/"
    }

    /// The bytes of the path.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As [`join`](Self::join), in place, for names known to be good.
    pub(crate) fn push(&mut self, name: &[u8]) {
        debug_assert!(check_name(name).is_ok());
        if !self.is_root() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name);
    }

    /// As [`parent`](Self::parent), in place; the root stays.
    pub(crate) fn pop(&mut self) {
        self.0.truncate(self.slash().max(1));
    }

    /// This path in as few parts as can be, each of at most `length` bytes unless a single name has more; none for the
    /// root.
    pub(crate) fn parts(&self, length: usize) -> impl Iterator<Item = Self> {
        let slash = |&(_, byte): &(usize, &u8)| *byte == b'/';
        let mut rest = if self.is_root() { &[][..] } else { &self.0[..] };
        std::iter::from_fn(move || {
            let end = match rest.len() {
                0 => return None,
                short if short <= length => short,
                long => {
                    let mut slashes = rest.iter().enumerate().skip(1);
                    let near = slashes.clone().take(length).rfind(slash);
                    near.or_else(|| slashes.find(slash)).map_or(long, |(end, _)| end)
                }
            };
            let (part, after) = rest.split_at(end);
            rest = after;
            Some(Self(part.to_vec()))
        })
    }

    /// Goes on by another path, in place.
    pub(crate) fn append(&mut self, path: &Self) {
        if self.is_root() {
            self.0.clear();
        }
        self.0.extend_from_slice(&path.0);
    }

    fn slash(&self) -> usize {
        self.0.iter().rposition(|&byte| byte == b'/').expect("a path starts with a slash")
    }
}

/// Readable and unambiguous: invalid UTF-8, control characters and backslashes appear as escapes.
impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, &self.0)
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Why bytes are not a path or not a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path does not start with a slash.
    #[error("path `{}` does not start with a slash", Escaped(path))]
    NotAbsolute {
        /// The path as given.
        path: Vec<u8>,
    },
    /// A component is empty, `.` or `..`, or holds a slash or a NUL byte.
    #[error("`{}` is not the name of a file", Escaped(name))]
    BadName {
        /// The component as given.
        name: Vec<u8>,
    },
}

fn check_name(name: &[u8]) -> Result<(), PathError> {
    let bad = matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0));
    if bad { Err(PathError::BadName { name: name.to_vec() }) } else { Ok(()) }
}

pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0)
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for part in bytes.utf8_chunks() {
        for char in part.valid().chars() {
            if char.is_control() || char == '\\' {
                write!(f, "{}", char.escape_default())?;
            } else {
                write!(f, "{char}")?;
            }
        }
        for byte in part.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text).unwrap()
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b"] {
            assert_eq!(EntryPath::root().join(name), Err(PathError::BadName { name: name.to_vec() }));
        }
        for bad in ["", "a", "./a"] {
            assert!(matches!(EntryPath::new(bad), Err(PathError::NotAbsolute { .. })), "{bad}");
        }
        for bad in ["/a/", "//", "/a//b", "/../a", "/a/./b", "/a\0"] {
            assert!(matches!(EntryPath::new(bad), Err(PathError::BadName { .. })), "{bad}");
        }
        for good in ["/", "/...", "/.a", "/a b", "/-"] {
            assert_eq!(path(good).as_bytes(), good.as_bytes());
        }
    }

    #[test]
    fn parts_of_a_path() {
        assert_eq!(path("/a/b").parent(), Some(path("/a")));
        assert_eq!(path("/a").parent(), Some(EntryPath::root()));
        assert_eq!(EntryPath::root().parent(), None);
        assert_eq!(EntryPath::root().file_name(), b"");
        assert_eq!(EntryPath::root().components().count(), 0);
        assert_eq!(path("/a/b").components().collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn prefixes_end_at_components() {
        assert_eq!(path("/ab/c").strip_prefix(&path("/a")), None);
        assert_eq!(path("/a/c").strip_prefix(&path("/a")), Some(path("/c")));
        assert_eq!(path("/a").strip_prefix(&path("/a")), Some(EntryPath::root()));
        assert_eq!(path("/a").strip_prefix(&EntryPath::root()), Some(path("/a")));
        assert_eq!(path("/a").strip_prefix(&path("/a/b")), None);
    }

    #[test]
    fn parts_are_as_long_as_they_may_be() {
        let parts = |text: &str, length| path(text).parts(length).map(|part| part.to_string()).collect::<Vec<_>>();
        assert_eq!(parts("/", 4), [""; 0]);
        assert_eq!(parts("/a/b/c/d", 8), ["/a/b/c/d"]);
        assert_eq!(parts("/a/b/c/d", 7), ["/a/b/c", "/d"]);
        assert_eq!(parts("/a/b/c/d", 6), ["/a/b/c", "/d"]);
        assert_eq!(parts("/a/b/c/d", 5), ["/a/b", "/c/d"]);
        assert_eq!(parts("/a/long name/b/c", 4), ["/a", "/long name", "/b/c"]);
        assert_eq!(parts("/long name", 4), ["/long name"]);
    }

    #[test]
    fn what_cannot_be_printed_is_escaped() {
        let odd = EntryPath::new(b"/a\n\\\xff\x1b\xc3\xa9".to_vec()).unwrap();
        assert_eq!(odd.to_string(), r"/a\n\\\xff\u{1b}é");
        assert_eq!(format!("{odd:?}"), "\"/a\\n\\\\\\xff\\u{1b}é\"");
        let error = EntryPath::root().join(b"..").unwrap_err();
        assert_eq!(error.to_string(), "`..` is not the name of a file");
        let error = EntryPath::new("a").unwrap_err();
        assert_eq!(error.to_string(), "path `a` does not start with a slash");
    }

    proptest! {
        #[test]
        fn joining_and_splitting_are_inverse(names in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..5)) {
            let joined = names.iter().try_fold(EntryPath::root(), |path, name| path.join(name));
            if let Ok(path) = joined {
                prop_assert_eq!(path.components().collect::<Vec<_>>(), names.clone());
                let mut whole = EntryPath::root();
                path.parts(5).for_each(|part| whole.append(&part));
                prop_assert_eq!(&whole, &path);
                prop_assert_eq!(EntryPath::new(path.as_bytes()), Ok(path.clone()));
                prop_assert_eq!(path.file_name(), names.last().map_or(&[][..], Vec::as_slice));
                let mut changed = path.clone();
                changed.push(b"x");
                prop_assert_eq!(&changed, &path.join(b"x").unwrap());
                changed.pop();
                prop_assert_eq!(&changed, &path);
                changed.pop();
                prop_assert_eq!(changed, path.parent().unwrap_or(EntryPath::root()));
            } else {
                prop_assert!(names.iter().any(|name| check_name(name).is_err()));
            }
        }
    }
}
