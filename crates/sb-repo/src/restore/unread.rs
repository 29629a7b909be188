//! What a snapshot does not have because it could not be read.

use std::collections::{BTreeSet, HashSet};

use super::{RestoreProblem, is_loss};
use crate::error::RepoError;
use crate::reader::Reader;
use crate::snapshots::Snapshot;

/// Paths of what a backup could not read. What is there of them may be the only copy.
pub(super) struct Unread(BTreeSet<Vec<u8>>);

impl Unread {
    /// Reads the list of a snapshot; `None` if it is not whole, and why is among the problems then.
    pub(super) fn of(
        reader: &Reader<'_>,
        snapshot: &Snapshot,
        problems: &mut Vec<RestoreProblem>,
    ) -> Result<Option<Self>, RepoError> {
        let listed = match reader.problems(snapshot) {
            Ok(listed) => listed,
            Err(error) if is_loss(&error) => {
                problems.push(RestoreProblem::ListLost { error });
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let unlisted = snapshot.problem_count().saturating_sub(listed.len() as u64);
        if unlisted > 0 {
            problems.push(RestoreProblem::Unlisted { count: unlisted });
            return Ok(None);
        }
        Ok(Some(listed.iter().map(|problem| problem.path.as_bytes().to_vec()).collect()))
    }

    /// Names in the folder at `path` under which something was that could not be read; `None` if any could have been.
    pub(super) fn names_in(&self, path: &[u8]) -> Option<HashSet<Vec<u8>>> {
        let inside = [path, b"/"].concat();
        let ways = inside.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| &inside[..end]);
        for folder in ways {
            let folder: &[u8] = if folder.is_empty() { b"/" } else { folder };
            if self.0.contains(folder) {
                return None;
            }
        }
        let below = self.0.range(inside.clone()..).map_while(|path| path.strip_prefix(inside.as_slice()));
        Some(below.filter_map(|path| Some(path.split(|byte| *byte == b'/').next()?.to_vec())).collect())
    }
}

impl FromIterator<Vec<u8>> for Unread {
    fn from_iter<I: IntoIterator<Item = Vec<u8>>>(paths: I) -> Self {
        Self(paths.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_is_found_from_every_folder_around_it() {
        let unread: Unread =
            ["/a/closed", "/a/b/file", "/a/b-"].into_iter().map(|path| path.as_bytes().to_vec()).collect();
        for (folder, names) in [
            ("", Some(&["a"][..])),
            ("/a", Some(&["b", "b-", "closed"])),
            ("/a/b", Some(&["file"])),
            ("/a/closed", None),
            ("/a/closed/deep", None),
            ("/a/closed2", Some(&[])),
            ("/c", Some(&[])),
        ] {
            let found = unread.names_in(folder.as_bytes());
            let names = names.map(|names| names.iter().map(|name| name.as_bytes().to_vec()).collect());
            assert_eq!(found, names, "{folder}");
        }
        assert!([b"/".to_vec()].into_iter().collect::<Unread>().names_in(b"/any").is_none());
    }
}
