//! Content that files of later rounds need.

use std::borrow::Cow;
use std::collections::HashMap;

use sb_source::{Scratch, Target};

use super::plan::Piece;
use super::window::Place;

/// So much is kept in memory, the rest in a file without a name in the target.
const MEMORY: usize = 4 << 20;

/// Pieces set aside for a window.
pub(super) struct Aside<'a> {
    target: &'a Target,
    /// Where the file goes.
    folder: Option<&'a Place>,
    memory: Vec<u8>,
    scratch: Option<Scratch>,
    written: u64,
    places: HashMap<Piece, Spot>,
}

#[derive(Clone, Copy)]
enum Spot {
    Memory(usize),
    Scratch(u64),
}

impl<'a> Aside<'a> {
    pub(super) fn new(target: &'a Target, folder: Option<&'a Place>) -> Self {
        Self { target, folder, memory: Vec::new(), scratch: None, written: 0, places: HashMap::new() }
    }

    /// Sets a piece aside. One for which there is no room is not there afterwards.
    pub(super) fn put(&mut self, piece: Piece, bytes: &[u8]) {
        let place = if self.memory.len() + bytes.len() <= MEMORY {
            self.memory.extend_from_slice(bytes);
            Some(Spot::Memory(self.memory.len() - bytes.len()))
        } else {
            self.write(bytes).map(Spot::Scratch)
        };
        self.places.extend(place.map(|place| (piece, place)));
    }

    fn write(&mut self, bytes: &[u8]) -> Option<u64> {
        if self.scratch.is_none() {
            self.scratch = self.folder?.open(self.target).and_then(|folder| folder.scratch()).ok();
        }
        let offset = self.written;
        self.scratch.as_ref()?.write_at(offset, bytes).ok()?;
        self.written += bytes.len() as u64;
        Some(offset)
    }

    pub(super) fn get(&self, piece: Piece) -> Option<Cow<'_, [u8]>> {
        let length = piece.length as usize;
        match *self.places.get(&piece)? {
            Spot::Memory(at) => self.memory.get(at..at + length).map(Cow::Borrowed),
            Spot::Scratch(at) => {
                let mut bytes = vec![0; length];
                self.scratch.as_ref()?.read_at(at, &mut bytes).ok()?;
                Some(Cow::Owned(bytes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_aside_is_there_however_much_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::create(folder.path()).unwrap();
        let place = Place::At(std::sync::Arc::new(sb_source::EntryPath::root()));
        let mut aside = Aside::new(&target, Some(&place));
        let piece = |number: u32| Piece { at: (0, number), offset: 0, length: 3 << 20 };
        let bytes = |number: u32| vec![u8::try_from(number).unwrap(); 3 << 20];
        (0..8).for_each(|number| aside.put(piece(number), &bytes(number)));
        assert!((0..8).all(|number| aside.get(piece(number)).unwrap() == bytes(number)));
        assert!(aside.get(piece(8)).is_none());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
    }
}
