//! Removing what a restored folder is not to hold.

use std::collections::HashSet;
use std::io::ErrorKind;

use super::{FolderId, TargetFolder};
use crate::platform::{Child, Node};
use crate::{EntryPath, Kind, TargetError};

/// What to remove, and what not.
pub struct Prune<'a> {
    /// What stays, with all that is in it: asked with the path, as seen from the target's folder, and whether it is a folder.
    pub stays: &'a dyn Fn(&EntryPath, bool) -> bool,
    /// Folders never to be touched.
    pub spared: &'a [FolderId],
    /// Only say what would be removed.
    pub dry_run: bool,
    /// Is told of each thing removed, and whether it was a folder.
    pub removed: &'a mut dyn FnMut(&EntryPath, bool),
    /// Is told of what could not be removed.
    pub failed: &'a mut dyn FnMut(TargetError),
}

impl std::fmt::Debug for Prune<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prune").field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}

impl TargetFolder {
    /// Removes what is in this folder, but for what has one of the names in `keep`, what `prune` says stays, and other file
    /// systems that are mounted here. A symbolic link is removed, what it points to is not.
    pub fn prune(&self, keep: &HashSet<Vec<u8>>, prune: &mut Prune<'_>) {
        match self.identity() {
            Ok((_, device)) => drop(clear(self.node(), self.path(), device, keep, prune)),
            Err(error) => (prune.failed)(error),
        }
    }
}

/// Removes what is in a folder; true if nothing is left.
fn clear(node: &Node, path: &EntryPath, device: u64, keep: &HashSet<Vec<u8>>, prune: &mut Prune<'_>) -> bool {
    let (children, error) = node.list();
    let mut is_empty = error.is_none();
    if let Some(error) = error {
        (prune.failed)(TargetError::new(path.clone(), error));
    }
    let before = children.len();
    let mut children: Vec<Child> = children.into_iter().filter(|child| !keep.contains(&*child.name)).collect();
    is_empty &= before == children.len();
    if !keep.is_empty() && !children.is_empty() {
        let kept: HashSet<_> = keep.iter().filter_map(|name| only_name(node, name)).collect();
        children.retain(|child| only_name(node, &child.name).is_none_or(|id| !kept.contains(&id)));
    }
    children.sort_by(Child::order);
    for child in children {
        let Ok(below) = path.join(&child.name) else { continue };
        is_empty &= !(prune.stays)(&below, child.folder) && remove(node, &child, &below, device, prune);
    }
    is_empty
}

/// Which file or folder it is, unless it has several names. Where a file system does not tell capitals from small letters, what
/// was restored may be listed under another spelling.
fn only_name(folder: &Node, name: &[u8]) -> Option<(u64, u64)> {
    let (kind, metadata) = folder.inspect(name).ok()?;
    (kind == Kind::Directory || metadata.links == 1).then_some((metadata.device, metadata.inode))
}

/// Removes one entry, and what is in it; true if it is gone.
fn remove(folder: &Node, child: &Child, path: &EntryPath, device: u64, prune: &mut Prune<'_>) -> bool {
    let removed = if child.folder {
        match may_enter(folder, &child.name, device, prune.spared) {
            Ok(Some(node)) if clear(&node, path, device, &HashSet::new(), prune) => {
                if prune.dry_run {
                    Ok(())
                } else {
                    folder.remove_folder(&child.name)
                }
            }
            Ok(_) => return false,
            Err(error) => Err(error),
        }
    } else if prune.dry_run {
        Ok(())
    } else {
        folder.remove(&child.name)
    };
    match removed {
        Ok(()) => (prune.removed)(path, child.folder),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            (prune.failed)(TargetError::new(path.clone(), error));
            return false;
        }
    }
    true
}

/// A folder, unless it is spared or another file system.
fn may_enter(folder: &Node, name: &[u8], device: u64, spared: &[FolderId]) -> std::io::Result<Option<Node>> {
    let node = folder.folder(name)?;
    let (kind, metadata) = node.inspect_self()?;
    let stays = metadata.device != device || spared.contains(&FolderId(node.identity(&metadata)));
    Ok((kind == Kind::Directory && !stays).then_some(node))
}
