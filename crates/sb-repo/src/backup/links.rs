//! What has several names: recognised again by device and inode, in little memory however many they are.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sb_source::Metadata;

use super::file::Reading;
use crate::ids::DocumentId;

/// Readings kept for the next name of a file; of others it is read again, which stores nothing twice.
const READINGS_KEPT: usize = 1024;

/// Device and inode.
type Inode = (u64, u64);

/// What is known of inodes with several links.
#[derive(Default)]
pub(super) struct Links {
    groups: HashMap<Inode, Group>,
    readings: HashMap<Inode, (Metadata, Arc<Reading>)>,
    /// Those of the readings, oldest first.
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

    /// What is read by way of another name of the same, unchanged file.
    pub(super) fn reading(&self, metadata: &Metadata) -> Option<Arc<Reading>> {
        let (then, reading) = self.readings.get(&inode(metadata))?;
        let is_same = then.mtime == metadata.mtime && then.ctime == metadata.ctime && then.size == metadata.size;
        is_same.then(|| Arc::clone(reading))
    }

    /// Keeps what is read of a file with several names.
    pub(super) fn keep(&mut self, metadata: &Metadata, reading: &Arc<Reading>) {
        let inode = inode(metadata);
        if self.readings.insert(inode, (metadata.clone(), Arc::clone(reading))).is_none() {
            self.order.push_back(inode);
        }
        if self.order.len() > READINGS_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.readings.remove(&oldest);
        }
    }
}

fn inode(metadata: &Metadata) -> Inode {
    (metadata.device, metadata.inode)
}
