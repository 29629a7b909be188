//! Content that is in the target already, because a file that was restored before has it.
//!
//! Documents are filed in several places, and the second is far from the first: without this a segment would be opened for each of
//! them anew.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use sb_source::{EntryPath, Target};

use super::plan::Piece;
use crate::chunks::SegmentAt;

/// Pieces remembered in each of two generations, at some 110 bytes.
const GENERATION: usize = 1 << 15;

/// Where pieces of content are in the target, the newest of them.
#[derive(Default)]
pub(super) struct Copies {
    recent: Pieces,
    older: Pieces,
    /// The folder of the last file, which the next is likely to be in, too.
    folder: Option<Arc<EntryPath>>,
}

/// By segment and where in it they begin.
type Pieces = BTreeMap<(SegmentAt, u32), Spot>;

struct Spot {
    file: Arc<Origin>,
    /// No file is longer that is planned.
    offset: u32,
    length: u32,
}

/// A place in a file of the target.
pub(super) struct Copy {
    file: Arc<Origin>,
    offset: u64,
}

struct Origin {
    folder: Arc<EntryPath>,
    name: Box<[u8]>,
}

impl Copies {
    /// Where a piece is, if it is known.
    pub(super) fn find(&self, piece: Piece) -> Option<Copy> {
        [&self.recent, &self.older].into_iter().find_map(|pieces| {
            let ((_, start), spot) = pieces.range((piece.at, 0)..=(piece.at, piece.offset)).next_back()?;
            let skipped = piece.offset - *start;
            let is_there = u64::from(skipped) + u64::from(piece.length) <= u64::from(spot.length);
            is_there.then(|| Copy { file: spot.file.clone(), offset: u64::from(spot.offset) + u64::from(skipped) })
        })
    }

    /// The file at `path` in the target is about to get these pieces at these offsets.
    pub(super) fn remember(&mut self, path: &EntryPath, pieces: impl Iterator<Item = (Piece, u32)>) {
        let Some(parent) = path.parent() else { return };
        let folder = match &self.folder {
            Some(folder) if **folder == parent => folder.clone(),
            _ => self.folder.insert(Arc::new(parent)).clone(),
        };
        let file = Arc::new(Origin { folder, name: path.file_name().into() });
        for (piece, offset) in pieces {
            if self.recent.len() == GENERATION {
                self.older = std::mem::take(&mut self.recent);
            }
            let spot = Spot { file: file.clone(), offset, length: piece.length };
            self.recent.insert((piece.at, piece.offset), spot);
        }
    }
}

impl Copy {
    /// So many bytes from there, which may be others by now.
    pub(super) fn read(&self, target: &Target, length: usize) -> Option<Vec<u8>> {
        let mut file = target.folder(&self.file.folder).ok()?.open(&self.file.name).ok()?;
        let mut bytes = vec![0; length];
        file.seek(SeekFrom::Start(self.offset)).and_then(|_| file.read_exact(&mut bytes)).ok()?;
        Some(bytes)
    }
}
