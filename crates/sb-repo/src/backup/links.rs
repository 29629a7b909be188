//! What has several names: recognised again by device and inode, in little memory however many they are.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use sb_source::Metadata;

use super::file::FileContent;
use crate::ids::DocumentId;

/// Contents kept for the next name of a file; of others it is read again, which stores nothing twice.
const CONTENTS_KEPT: usize = 1024;

/// Device and inode.
type Inode = (u64, u64);

/// What is known of inodes with several links.
#[derive(Default)]
pub(super) struct Links {
    groups: HashMap<Inode, Group>,
    contents: HashMap<Inode, FileContent>,
    /// Those of the contents, oldest first.
    order: VecDeque<Inode>,
}

struct Group {
    id: DocumentId,
    links_left: u64,
}

impl Links {
    /// The link group of something that has several names; `document` names the group if this is the first of them.
    pub(super) fn group(&mut self, metadata: &Metadata, document: DocumentId) -> Option<DocumentId> {
        match self.groups.entry(inode(metadata)) {
            Entry::Occupied(mut known) => {
                let group = known.get_mut();
                group.links_left -= 1;
                let id = group.id;
                if group.links_left == 0 {
                    known.remove();
                }
                Some(id)
            }
            Entry::Vacant(new) => {
                let links_left = metadata.links.saturating_sub(1);
                (links_left > 0).then(|| new.insert(Group { id: document, links_left }).id)
            }
        }
    }

    /// What was read by way of another name of the same, unchanged file.
    pub(super) fn content(&self, metadata: &Metadata) -> Option<FileContent> {
        let content = self.contents.get(&inode(metadata))?;
        let is_same = content.metadata.mtime == metadata.mtime && content.metadata.size == metadata.size;
        is_same.then(|| content.clone())
    }

    /// Keeps what was read of a file with several names.
    pub(super) fn keep(&mut self, content: &FileContent) {
        let inode = inode(&content.metadata);
        if self.contents.insert(inode, content.clone()).is_none() {
            self.order.push_back(inode);
        }
        if self.order.len() > CONTENTS_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.contents.remove(&oldest);
        }
    }
}

fn inode(metadata: &Metadata) -> Inode {
    (metadata.device, metadata.inode)
}
