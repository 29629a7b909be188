//! Where a vault is, as people write it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sb_store::{LocalStorage, Storage, StoreError};
use thiserror::Error;

/// Kinds of place that are planned and not there yet.
const LATER: [&str; 7] = ["sftp", "s3", "azblob", "gcs", "webdav", "http", "https"];

/// Where a vault is.
///
/// ```
/// use sb_core::{Location, LocationError};
///
/// let location = Location::parse("file:///mnt/disk%201/vault".as_ref())?;
/// assert_eq!(location.to_string(), "/mnt/disk 1/vault");
/// assert!(matches!(Location::parse("s3://bucket/vault".as_ref()), Err(LocationError::Later { .. })));
/// # Ok::<(), LocationError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A folder of this machine or of a share mounted on it, absolute.
    Folder(PathBuf),
}

/// Why a text is no place for a vault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LocationError {
    /// The text is empty, or so is the path in it.
    #[error("the vault's location is empty")]
    Empty,
    /// The kind of place is planned, but this version does not have it.
    #[error("`{url}` cannot be reached by this version: `{scheme}` comes later")]
    Later {
        /// As given.
        url: String,
        /// What stands before the colon.
        scheme: String,
    },
    /// No such kind of place is known.
    #[error("`{url}` is no vault location: nothing is known of `{scheme}`")]
    UnknownScheme {
        /// As given.
        url: String,
        /// What stands before the colon.
        scheme: String,
    },
    /// A `file:` URL that does not say which file.
    #[error("`{url}` is no file URL: {reason}")]
    FileUrl {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A relative path with a colon before its first slash, which many would take for a place on another machine.
    #[error("`{text}` is neither an absolute path nor a URL, and could be meant for a place on another machine")]
    Ambiguous {
        /// As given.
        text: String,
    },
    /// The working directory, to which a relative path belongs, is not known.
    #[error("`{path}` is relative, and there is no current folder")]
    NoCurrentFolder {
        /// As given.
        path: String,
    },
}

impl Location {
    /// Reads a path or a URL. Relative paths are taken from the current folder; one with a colon before its first slash must
    /// begin with `./`.
    ///
    /// # Errors
    /// [`LocationError`], whichever describes the text.
    pub fn parse(url: &OsStr) -> Result<Self, LocationError> {
        if !may_be_url(url) {
            return folder(url);
        }
        let text = url.to_string_lossy();
        match text.split_once(':') {
            Some(("file", rest)) if rest.starts_with("//") => folder(&file_url(&text, rest)?),
            Some((scheme, rest)) if rest.starts_with("//") || LATER.contains(&scheme) => {
                let (url, scheme) = (text.to_string(), scheme.to_owned());
                let is_planned = LATER.contains(&scheme.as_str());
                Err(if is_planned {
                    LocationError::Later { url, scheme }
                } else {
                    LocationError::UnknownScheme { url, scheme }
                })
            }
            _ => Err(LocationError::Ambiguous { text: text.into_owned() }),
        }
    }

    /// The storage there, which must exist.
    pub(crate) fn open(&self) -> Result<Arc<dyn Storage>, StoreError> {
        let Self::Folder(path) = self;
        Ok(Arc::new(LocalStorage::open(path)?))
    }

    /// The storage there, made if need be.
    pub(crate) fn create(&self) -> Result<Arc<dyn Storage>, StoreError> {
        let Self::Folder(path) = self;
        Ok(Arc::new(LocalStorage::create(path)?))
    }

    /// The folder, if it is one of this machine.
    pub fn folder(&self) -> Option<&Path> {
        let Self::Folder(path) = self;
        Some(path)
    }
}

/// As people would write it.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Folder(path) = self;
        path.display().fmt(f)
    }
}

/// True for what is no plain path: a colon stands before the first slash.
pub(crate) fn may_be_url(text: &OsStr) -> bool {
    let first = text.as_encoded_bytes().split(|byte| std::path::is_separator(char::from(*byte))).next();
    first.is_some_and(|first| first.contains(&b':')) && !Path::new(text).is_absolute()
}

fn folder(path: &OsStr) -> Result<Location, LocationError> {
    if path.is_empty() {
        return Err(LocationError::Empty);
    }
    let unknown = |_| LocationError::NoCurrentFolder { path: path.display().to_string() };
    Ok(Location::Folder(std::path::absolute(path).map_err(unknown)?))
}

/// The path of a file URL (RFC 8089): no host but `localhost`, percent-encoding undone.
fn file_url(url: &str, rest: &str) -> Result<OsString, LocationError> {
    let wrong = |reason| LocationError::FileUrl { url: url.to_owned(), reason };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = path.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(path);
    if !path.starts_with('/') {
        return Err(wrong("it must name an absolute path on this machine, as in `file:///mnt/backup`"));
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(wrong("two hexadecimal digits must follow each `%`"));
                };
                u8::try_from(high << 4 | low).expect("two hexadecimal digits")
            }
            byte => byte,
        });
    }
    os_string(bytes).ok_or_else(|| wrong("its path cannot be one on this system"))
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<String, String> {
        Location::parse(text.as_ref()).map(|location| location.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn paths_and_file_urls_are_folders() {
        let here = std::env::current_dir().unwrap();
        for (given, meant) in [
            ("/mnt/backup", "/mnt/backup".to_owned()),
            ("/mnt/a:b", "/mnt/a:b".to_owned()),
            ("file:///mnt/backup", "/mnt/backup".to_owned()),
            ("file://localhost/mnt/backup", "/mnt/backup".to_owned()),
            ("file:///mnt/a%20b%C3%BC", "/mnt/a bü".to_owned()),
            ("vault", here.join("vault").display().to_string()),
            ("./a:b", here.join("a:b").display().to_string()),
            ("a/b:c", here.join("a/b:c").display().to_string()),
        ] {
            assert_eq!(parse(given), Ok(meant), "{given}");
        }
    }

    #[test]
    fn what_is_no_place_says_why() {
        for (given, message) in [
            ("", "the vault's location is empty"),
            ("sftp://user@host/x", "`sftp://user@host/x` cannot be reached by this version: `sftp` comes later"),
            ("sftp:host:/x", "`sftp:host:/x` cannot be reached by this version: `sftp` comes later"),
            ("ftp://host/x", "`ftp://host/x` is no vault location: nothing is known of `ftp`"),
            (
                "file://host/x",
                "`file://host/x` is no file URL: it must name an absolute path on this machine, as in `file:///mnt/backup`",
            ),
            (
                "user@host:/x",
                "`user@host:/x` is neither an absolute path nor a URL, and could be meant for a place on another machine",
            ),
            (
                "rest:https://host/x",
                "`rest:https://host/x` is neither an absolute path nor a URL, and could be meant for a place on another machine",
            ),
            ("a:b", "`a:b` is neither an absolute path nor a URL, and could be meant for a place on another machine"),
            ("file:///a%2", "`file:///a%2` is no file URL: two hexadecimal digits must follow each `%`"),
            ("file:///a%zz", "`file:///a%zz` is no file URL: two hexadecimal digits must follow each `%`"),
        ] {
            assert_eq!(parse(given), Err(message.to_owned()), "{given}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn names_need_no_encoding() {
        use std::os::unix::ffi::OsStrExt;
        let path = OsStr::from_bytes(b"/mnt/b\xfcro");
        assert_eq!(Location::parse(path).unwrap().folder(), Some(Path::new(path)));
        assert!(Location::parse(OsStr::from_bytes(b"b\xfcro:x")).is_err());
        let url = Location::parse("file:///mnt/b%fcro".as_ref()).unwrap();
        assert_eq!(url.folder(), Some(Path::new(path)));
    }

    proptest! {
        #[test]
        fn any_text_is_a_place_or_an_error(text in "\\PC{0,20}") {
            let _ = Location::parse(text.as_ref());
            let _ = Location::parse(format!("file://{text}").as_ref());
        }
    }
}
