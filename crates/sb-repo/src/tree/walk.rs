//! Going through a whole tree, depth first, in path order.

use super::{FolderReader, TreeReader};
use crate::error::RepoError;
use crate::wire::entry::{Entry, Item};
use crate::wire::node::Reference;

/// What is met on the way.
pub(crate) enum Step<'a> {
    /// An entry; of a folder, before what is in it.
    Entry(&'a Entry),
    /// The end of a folder.
    Leave(&'a Entry),
    /// A page of a folder that can't be read; the others are gone through all the same.
    Unreadable(RepoError),
}

/// Is told of a step and its path, and answers whether to go into the folder it was told of.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], Step<'_>) -> Result<bool, RepoError> + 'a;

/// Goes through the tree below `root`. `visit` is told each step and its absolute path, and whether to go into the folder it
/// was just told of is what it answers.
pub(crate) fn walk(
    reader: TreeReader<'_>,
    root: Reference,
    start: &[u8],
    visit: &mut Visit<'_>,
) -> Result<(), RepoError> {
    let mut path: Vec<u8> = start.strip_suffix(b"/").unwrap_or(start).to_vec();
    let mut open: Vec<(FolderReader<'_>, Option<Entry>, usize)> = vec![(reader.folder(root), None, path.len())];
    while let Some((folder, _, length)) = open.last_mut() {
        path.truncate(*length);
        match folder.next() {
            Some(Ok(entry)) => {
                path.push(b'/');
                path.extend_from_slice(&entry.name);
                let enter = visit(&path, Step::Entry(&entry))?;
                if let (true, Item::Folder { node, .. }) = (enter, &entry.item) {
                    let node = *node;
                    open.push((reader.folder(node), Some(entry), path.len()));
                }
            }
            Some(Err(error @ (RepoError::Damaged { .. } | RepoError::MissingChunk { .. }))) => {
                visit(if path.is_empty() { b"/" } else { &path }, Step::Unreadable(error))?;
            }
            Some(Err(error)) => return Err(error),
            None => {
                let (_, entry, _) = open.pop().expect("it was the last");
                if let Some(entry) = entry {
                    visit(&path, Step::Leave(&entry))?;
                }
            }
        }
    }
    Ok(())
}
