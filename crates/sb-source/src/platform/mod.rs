//! All that differs between operating systems: Linux by folder handles, others by what the standard library has.
//!
//! Both give a [`Node`], a handle on a folder or on one entry. A name given to a node is one component and is never
//! followed when it is a symbolic link.

use std::cmp::Ordering;
use std::io::{self, ErrorKind};

use crate::{EntryPath, Kind};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;

#[cfg(target_os = "linux")]
pub(crate) use linux::{Node, advise, holes, inspect_file, os_str, read_at, write_all_at, xattrs_of_file};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{Node, advise, holes, inspect_file, os_str, read_at, write_all_at, xattrs_of_file};

/// Names and values of extended attributes, sorted by name.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// As much as could be had, and what stopped it.
pub(crate) type Partial<T> = (T, Option<io::Error>);

/// One line of a folder's listing. Kept small: there may be hundreds of thousands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) name: Box<[u8]>,
    pub(crate) folder: bool,
}

impl Child {
    /// The order of a walk: by name, where the name of a folder ends in a slash.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let common = self.name.len().min(other.name.len());
        let next = |child: &Self| child.name.get(common).copied().or(child.folder.then_some(b'/'));
        self.name[..common].cmp(&other.name[..common]).then_with(|| next(self).cmp(&next(other)))
    }
}

/// Where the way to a folder ends.
#[derive(Debug)]
pub(crate) struct Blocked {
    pub(crate) path: EntryPath,
    pub(crate) symlink: bool,
    pub(crate) error: io::Error,
}

/// Opens the folder `path` below `start`, following no symbolic link on the way.
pub(crate) fn descend(start: &Node, path: &EntryPath) -> Result<Node, Blocked> {
    // One call to the system if it can; else step by step, which also copes with paths of any length and finds out
    // which component is to blame.
    start.beneath(path).or_else(|_| descend_by_steps(start, path))
}

fn descend_by_steps(start: &Node, path: &EntryPath) -> Result<Node, Blocked> {
    let mut node = start.folder(b".").map_err(|error| Blocked { path: EntryPath::root(), symlink: false, error })?;
    let mut passed = EntryPath::root();
    for name in path.components() {
        passed.push(name);
        node = match node.folder(name) {
            Ok(next) => next,
            Err(error) => {
                let symlink = error.kind() == ErrorKind::NotADirectory
                    && matches!(node.inspect(name), Ok((Kind::Symlink { .. }, _)));
                return Err(Blocked { path: passed, symlink, error });
            }
        };
    }
    Ok(node)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_child_is_small() {
        assert!(size_of::<Child>() <= 24);
    }

    #[test]
    fn the_way_down_tells_where_it_ends() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("a/b")).unwrap();
        fs::write(temp.path().join("a/file"), "").unwrap();
        std::os::unix::fs::symlink("b", temp.path().join("a/link")).unwrap();
        let start = Node::create(temp.path()).unwrap();
        let path = |text: &str| EntryPath::new(text).unwrap();

        for route in [descend, descend_by_steps] {
            let there = route(&start, &path("/a/b")).unwrap().inspect_self().unwrap().1;
            assert_eq!(there.inode, start.folder(b"a").unwrap().inspect(b"b").unwrap().1.inode);
            assert!(route(&start, &EntryPath::root()).is_ok());
            for (to, blocked, symlink, kind) in [
                ("/a/none/c", "/a/none", false, ErrorKind::NotFound),
                ("/a/file/c", "/a/file", false, ErrorKind::NotADirectory),
                ("/a/link/c", "/a/link", true, ErrorKind::NotADirectory),
                ("/a/link", "/a/link", true, ErrorKind::NotADirectory),
            ] {
                let end = route(&start, &path(to)).unwrap_err();
                assert_eq!((end.path, end.symlink, end.error.kind()), (path(blocked), symlink, kind), "{to}");
            }
        }
    }

    proptest! {
        #[test]
        fn children_are_in_order_of_their_full_paths(
            names in prop::collection::btree_map("[ -0a]{1,4}", any::<bool>(), 0..20)
        ) {
            let names = names.into_iter().filter(|(name, _)| !name.contains('/'));
            let mut children: Vec<_> =
                names.map(|(name, folder)| Child { name: name.into_bytes().into(), folder }).collect();
            children.sort_by(Child::order);
            let full = |child: &Child| [&*child.name, if child.folder { b"/" } else { b"" }].concat();
            prop_assert!(children.is_sorted_by_key(full));
        }
    }
}
