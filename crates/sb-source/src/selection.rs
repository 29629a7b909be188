//! Several sources as one tree.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf, Prefix};
use std::sync::Arc;

use thiserror::Error;

use crate::EntryPath;

/// Why sources and options do not go together. Nothing can be backed up before this is put right.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// The list of sources is empty.
    #[error("no source given")]
    NoSource,
    /// Not one of the sources exists. (If only some are missing, the walk reports them.)
    #[error("no source exists, not even `{}`", path.display())]
    NothingThere {
        /// The first source as given.
        path: PathBuf,
    },
    /// A source cannot be made an absolute path.
    #[error("`{}` cannot be a source: {source}", path.display())]
    BadSource {
        /// The source as given.
        path: PathBuf,
        /// The error behind it.
        source: io::Error,
    },
    /// A source lies in a folder that is to be skipped, so nothing of it would be backed up.
    #[error("the source `{path}` lies in `{}`, which is to be skipped", folder.display())]
    Skipped {
        /// The source.
        path: EntryPath,
        /// The folder to be skipped, as given.
        folder: PathBuf,
    },
    /// A pattern is no valid glob.
    #[error("exclude pattern `{pattern}` is not valid: {source}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The error behind it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A pattern of what to restore is no valid glob.
    #[error("include pattern `{pattern}` is not valid: {source}")]
    Include {
        /// The pattern.
        pattern: String,
        /// The error behind it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file of patterns cannot be read.
    #[error("cannot read excludes from `{}`: {source}", file.display())]
    ExcludeFile {
        /// The file.
        file: PathBuf,
        /// The error behind it.
        source: io::Error,
    },
}

/// The sources as a tree: each leaf is one, and what is inside another lies below it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// The entry itself is a source, and everything below belongs to it.
    pub(crate) source: bool,
    pub(crate) children: BTreeMap<Vec<u8>, Arc<Plan>>,
}

impl Plan {
    pub(crate) fn new(sources: &[EntryPath]) -> Self {
        let mut plan = Self::default();
        for source in sources {
            let place = source
                .components()
                .fold(&mut plan, |plan, name| Arc::make_mut(plan.children.entry(name.to_vec()).or_default()));
            place.source = true;
        }
        plan
    }
}

/// Sorts, and drops what occurs twice or lies inside another.
pub(crate) fn outermost(mut paths: Vec<EntryPath>) -> Vec<EntryPath> {
    // By components, so that what lies inside a folder follows it directly.
    paths.sort_by(|a, b| a.components().cmp(b.components()));
    paths.dedup_by(|later, earlier| later.strip_prefix(earlier).is_some());
    paths.sort();
    paths
}

/// The absolute path of a source. Links on the way are resolved, a link that is the source itself is not. What does
/// not exist is taken literally.
pub(crate) fn normalize(path: &Path) -> io::Result<EntryPath> {
    let absolute = std::path::absolute(path)?;
    let resolved = match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => parent.canonicalize().map(|parent| parent.join(name)),
        _ => absolute.canonicalize(),
    };
    entry_path(&resolved.unwrap_or(absolute))
}

/// The same path in our own terms; the Windows drive `C:\` is the folder `/C:`.
pub(crate) fn entry_path(path: &Path) -> io::Result<EntryPath> {
    let mut entry = EntryPath::root();
    for component in path.components() {
        let invalid = |_| io::Error::from(ErrorKind::InvalidInput);
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir => entry.pop(),
            Component::Normal(name) => entry = entry.join(name.as_encoded_bytes()).map_err(invalid)?,
            Component::Prefix(prefix) => match prefix.kind() {
                Prefix::Disk(letter) | Prefix::VerbatimDisk(letter) => {
                    entry = entry.join(&[letter, b':']).map_err(invalid)?;
                }
                _ => return Err(ErrorKind::Unsupported.into()),
            },
        }
    }
    Ok(entry)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text).unwrap()
    }

    #[test]
    fn nested_sources_are_dropped() {
        let given = ["/a/b", "/a-b", "/a", "/c/d", "/a", "/c/d/e/f", "/ab"];
        let kept = outermost(given.iter().map(|given| path(given)).collect());
        assert_eq!(kept, ["/a", "/a-b", "/ab", "/c/d"].map(path));
        assert_eq!(outermost(vec![path("/a"), path("/")]), [path("/")]);
    }

    #[test]
    fn links_on_the_way_are_resolved_and_the_last_is_not() {
        let temp = tempfile::tempdir().unwrap();
        let real = temp.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("real/inner")).unwrap();
        std::os::unix::fs::symlink("real", real.join("link")).unwrap();
        let below = |rest: &str| entry_path(&real.join(rest)).unwrap();
        for (given, normal) in [
            ("link/inner", "real/inner"),
            ("link", "link"),
            ("link/", "link"),
            ("real/./inner", "real/inner"),
            ("real/inner/..", "real"),
            ("link/none", "real/none"),
            ("none/x/../y", "none/y"),
        ] {
            assert_eq!(normalize(&real.join(given)).unwrap(), below(normal), "{given}");
        }
        assert_eq!(normalize(Path::new("/")).unwrap(), EntryPath::root());
        assert_eq!(normalize(Path::new("/..")).unwrap(), EntryPath::root());
        let here = entry_path(&std::env::current_dir().unwrap().canonicalize().unwrap()).unwrap();
        assert_eq!(normalize(Path::new(".")).unwrap(), here);
        assert_eq!(normalize(Path::new("none")).unwrap(), here.join(b"none").unwrap());
        assert_eq!(normalize(Path::new("")).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_plan_is_the_tree_of_all_sources() {
        let plan = Plan::new(&[path("/a/b"), path("/c"), path("/c/d/e"), path("/c")]);
        assert!(!plan.source && plan.children.len() == 2);
        assert!(!plan.children[&b"a"[..]].source && plan.children[&b"a"[..]].children[&b"b"[..]].source);
        let outer = &plan.children[&b"c"[..]];
        assert!(outer.source && !outer.children[&b"d"[..]].source);
        assert!(outer.children[&b"d"[..]].children[&b"e"[..]].source);
        assert!(Plan::new(&[EntryPath::root()]).source);
    }
}
