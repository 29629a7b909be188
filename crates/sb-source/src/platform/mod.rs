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
pub(crate) use linux::{Node, advise, holes, inspect_file, os_str, read_at, reserve, write_all_at, xattrs_of_file};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{Node, advise, holes, inspect_file, os_str, read_at, reserve, write_all_at, xattrs_of_file};

/// As long as a path for Linux may be: `PATH_MAX` without the NUL byte.
const LONGEST: usize = 4095;

/// The permissions of a folder that a restore has made and not given its metadata yet: its owner's only, and set-user-id and sticky
/// bit together, which say nothing of a folder, so that nobody else gives it both. A later restore knows it by them.
pub(crate) const UNFINISHED: u32 = 0o5700;
/// Of its permissions all but what it may have from the folder that it was made in.
pub(crate) const NOT_INHERITED: u32 = 0o5777;

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

/// A listing in the order of a walk, each name once: some file systems name twice what is made again meanwhile.
pub(crate) fn in_order(mut children: Vec<Child>) -> Vec<Child> {
    children.sort_unstable_by(|a, b| (&a.name, a.folder).cmp(&(&b.name, b.folder)));
    children.dedup_by(|later, earlier| later.name == earlier.name);
    children.sort_by(Child::order);
    children
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
    let (mut reached, mut passed) = (None, EntryPath::root());
    for part in path.parts(LONGEST) {
        let node = reached.as_ref().unwrap_or(start);
        // One call to the system if it can; else step by step, which also finds out which component is to blame.
        reached = Some(node.beneath(&part).or_else(|_| descend_by_steps(node, &part, &passed))?);
        passed.append(&part);
    }
    reached.map_or_else(|| descend_by_steps(start, path, &passed), Ok)
}

/// As [`descend`], where `start` lies at the path `passed`.
fn descend_by_steps(start: &Node, path: &EntryPath, passed: &EntryPath) -> Result<Node, Blocked> {
    let mut passed = passed.clone();
    let mut node = start.folder(b".").map_err(|error| Blocked { path: passed.clone(), symlink: false, error })?;
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
        let (start, _) = Node::create(temp.path()).unwrap();
        let path = |text: &str| EntryPath::new(text).unwrap();

        let by_steps: fn(&Node, &EntryPath) -> Result<Node, Blocked> =
            |start, path| descend_by_steps(start, path, &EntryPath::root());
        for route in [descend, by_steps] {
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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_long_way_tells_where_it_ends() {
        let temp = tempfile::tempdir().unwrap();
        let (node, long) = crate::testing::deep(temp.path());
        node.make_file(b"file").unwrap();
        node.make_special(b"link", &Kind::Symlink { target: b".".to_vec() }).unwrap();
        let (start, _) = Node::create(temp.path()).unwrap();
        let there = descend(&start, &long).unwrap().inspect_self().unwrap().1;
        assert_eq!(there.inode, node.inspect_self().unwrap().1.inode);
        for (name, symlink, kind) in [
            (b"none", false, ErrorKind::NotFound),
            (b"file", false, ErrorKind::NotADirectory),
            (b"link", true, ErrorKind::NotADirectory),
        ] {
            let blocked = long.join(name).unwrap();
            let end = descend(&start, &blocked.join(b"below").unwrap()).unwrap_err();
            assert_eq!((end.path, end.symlink, end.error.kind()), (blocked, symlink, kind));
        }
    }

    fn child(name: &str, folder: bool) -> Child {
        Child { name: name.as_bytes().into(), folder }
    }

    #[test]
    fn what_is_listed_twice_counts_once() {
        let listed = [("b", false), ("a", true), ("a-", false), ("b", false), ("a", true), ("a", false), ("b", true)];
        let children = in_order(listed.map(|(name, folder)| child(name, folder)).into());
        assert_eq!(children, [child("a", false), child("a-", false), child("b", false)]);
        assert_eq!(in_order(vec![child("a", true), child("a-", false)]), [child("a-", false), child("a", true)]);
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
