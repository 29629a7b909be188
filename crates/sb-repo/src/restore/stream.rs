//! Large files, one at a time: some segments are hashed and written while the next are read.

use sb_crypto::Sha256;
use sb_source::FileWriter;

use super::content;
use super::executor::{Attempt, Executor, Outcome, or_none};
use super::plan::{Needs, Piece, append};
use super::segments::Segments;
use super::walker::find_piece;
use super::window::Task;
use crate::clock::Counter;
use crate::error::RepoError;
use crate::wire::entry::{FileItem, Item};
use crate::wire::node::Reference;

/// Bytes of segments that are read at a time; as many are being written meanwhile.
const GROUP: usize = 8 << 20;

/// Bytes of the file that are written at a time: of one segment they can be any number.
const TURN: u64 = 32 << 20;

impl Executor<'_> {
    /// A file of any size, in memory that does not grow with it.
    pub(super) fn large(&mut self, task: &Task) -> Attempt {
        let Item::File(file) = &task.entry.item else { return Ok(Outcome::default()) };
        // What was kept for the next window makes room.
        self.segments.clear();
        let mut is_right = true;
        let outcome = self.attempt(task, |problems| {
            let holes = or_none(self.reader.tree().holes(file), &task.path, "holes", problems)?;
            let writer = task.folder.open(self.target)?.file(&task.entry.name, file.size)?;
            if holes.is_empty() {
                writer.reserve()?;
            }
            is_right = self.stream(file, &writer, &holes)?;
            if is_right { self.commit(task, writer, problems) } else { Ok(()) }
        })?;
        if is_right { Ok(outcome) } else { self.careful(task, file) }
    }

    /// False if something can't be read, or is not what it should be.
    fn stream(&self, file: &FileItem, writer: &FileWriter, holes: &[(u64, u64)]) -> Result<bool, RepoError> {
        if file.transform != 0 {
            return Ok(false);
        }
        let tree = self.reader.tree();
        let out = Out { writer, holes, hash: Sha256::new(), offset: 0, is_right: true };
        let segments = Segments::new(tree, GROUP);
        let mut stream = Stream {
            executor: self,
            out,
            segments,
            ready: Vec::new(),
            next: Vec::new(),
            bytes: 0,
            needs: Needs::default(),
        };
        let listed = tree.each_part(&file.parts, file.depth, &mut |reference| stream.push(reference));
        match listed {
            Ok(()) => {}
            Err(error) if super::is_loss(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        stream.turn()?;
        stream.turn()?;
        stream.segments.clear();
        let Out { hash, offset, is_right, .. } = stream.out;
        Ok(is_right && offset == file.size && hash.finish() == file.sha256)
    }
}

struct Stream<'a> {
    executor: &'a Executor<'a>,
    out: Out<'a>,
    segments: Segments<'a>,
    /// Pieces whose segments are at hand.
    ready: Vec<Piece>,
    /// Pieces whose segments are not, and which those are.
    next: Vec<Piece>,
    /// How long these are together.
    bytes: u64,
    needs: Needs,
}

impl Stream<'_> {
    fn push(&mut self, reference: Reference) -> Result<(), RepoError> {
        let Some((piece, raw)) = find_piece(self.executor.reader, reference, |at| self.needs.contains(at)) else {
            self.out.is_right = false;
            return Ok(());
        };
        let is_full = !self.needs.contains(piece.at) && self.needs.bytes() + raw as usize > GROUP;
        if is_full || self.bytes >= TURN {
            self.turn()?;
        }
        self.needs.add(piece.at, raw);
        self.bytes += u64::from(piece.length);
        append(&mut self.next, piece);
        Ok(())
    }

    /// Hashes and writes what is at hand while what comes next is read.
    fn turn(&mut self) -> Result<(), RepoError> {
        self.executor.progress.check()?;
        let Self { executor, out, segments, ready, next, bytes, needs } = self;
        if out.is_right {
            let (writer, holes, before) = (out.writer, out.holes, out.offset);
            let place = |at: &mut u64, piece: &Piece| {
                let offset = *at;
                *at += u64::from(piece.length);
                Some((offset, *piece))
            };
            let placed: Vec<(u64, Piece)> = ready.iter().scan(before, place).collect();
            let write = |(offset, piece): &(u64, Piece), segments: &Segments<'_>| match segments.bytes(*piece) {
                Some(bytes) => content::write(writer, holes, *offset, bytes),
                // Who hashes it says so.
                None => Ok(()),
            };
            let hash = |segments: &Segments<'_>| out.hash(ready, segments);
            let ((), written) = segments.load_while(needs, executor.threads, &placed, &write, hash);
            written.into_iter().collect::<Result<(), RepoError>>()?;
            executor.progress.monitor.count(Counter::Bytes, out.offset - before);
        }
        *ready = std::mem::take(next);
        *bytes = 0;
        *needs = Needs::default();
        Ok(())
    }
}

/// The file, as far as it has been hashed.
struct Out<'a> {
    writer: &'a FileWriter,
    holes: &'a [(u64, u64)],
    hash: Sha256,
    offset: u64,
    is_right: bool,
}

impl Out<'_> {
    /// Takes pieces in, in order, unless one of them could not be read.
    fn hash(&mut self, pieces: &[Piece], segments: &Segments<'_>) {
        for piece in pieces {
            let Some(bytes) = segments.bytes(*piece) else {
                self.is_right = false;
                break;
            };
            self.hash.update(bytes);
            self.offset += bytes.len() as u64;
        }
    }
}
