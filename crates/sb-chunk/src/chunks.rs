//! Chunks of whatever can be read.

use std::io::{self, ErrorKind, Read};

use crate::Chunker;

/// How many chunks of maximum length the buffer holds: the more, the less is moved about.
const BUFFERED_CHUNKS: usize = 4;

/// Reads an input to its end and lends its chunks one by one.
///
/// Memory is four times the maximum chunk length, whatever the length of the input.
///
/// ```
/// use sb_chunk::{Chunker, Chunks, Params};
///
/// let chunker = Chunker::new(Params::around(1024)?, &[7; 32]);
/// let input = vec![42; 10_000];
/// let mut chunks = Chunks::new(input.as_slice(), chunker);
/// let mut total = 0;
/// while let Some(chunk) = chunks.next_chunk()? {
///     total += chunk.len();
/// }
/// assert_eq!(total, 10_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Chunks<R> {
    reader: R,
    chunker: Chunker,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    end: bool,
}

impl<R: Read> Chunks<R> {
    /// Chunks of `reader`, from where it stands.
    pub fn new(reader: R, chunker: Chunker) -> Self {
        let buffer = vec![0; BUFFERED_CHUNKS * chunker.params().max()];
        Self { reader, chunker, buffer, start: 0, filled: 0, end: false }
    }

    /// The next chunk; `None` at the end of the input.
    ///
    /// # Errors
    /// Whatever the reader reports, but for an interrupted call, which is repeated. What was read
    /// before is kept, so calling again goes on where the reader failed.
    pub fn next_chunk(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let ready = &self.buffer[self.start..self.filled];
            if let Some(length) = self.chunker.cut(ready, self.end) {
                let chunk = self.start..self.start + length;
                self.start = chunk.end;
                return Ok(Some(&self.buffer[chunk]));
            }
            if self.end {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.copy_within(self.start.., 0);
            self.filled -= self.start;
            self.start = 0;
        }
        match self.reader.read(&mut self.buffer[self.filled..]) {
            Ok(0) => self.end = true,
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Params;

    /// Gives `step` bytes at a time and fails in between, once for each error in the list.
    struct Unsteady<'a> {
        data: &'a [u8],
        step: usize,
        errors: Vec<ErrorKind>,
    }

    impl Read for Unsteady<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if let Some(kind) = self.errors.pop() {
                return Err(kind.into());
            }
            let step = self.step.min(buffer.len());
            self.data.read(&mut buffer[..step])
        }
    }

    fn chunker() -> Chunker {
        Chunker::new(Params::around(256).unwrap(), &[9; 32])
    }

    #[test]
    fn an_empty_input_has_no_chunk() {
        let mut chunks = Chunks::new(io::empty(), chunker());
        assert!(chunks.next_chunk().unwrap().is_none());
        assert!(chunks.next_chunk().unwrap().is_none());
    }

    #[test]
    fn errors_surface_and_reading_goes_on() {
        let errors = vec![ErrorKind::TimedOut, ErrorKind::Interrupted];
        let mut chunks = Chunks::new(Unsteady { data: b"short", step: 2, errors }, chunker());
        assert_eq!(chunks.next_chunk().unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(chunks.next_chunk().unwrap(), Some(&b"short"[..]));
        assert!(chunks.next_chunk().unwrap().is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn chunks_are_those_of_the_whole_input(
            data in prop::collection::vec(any::<u8>(), 0..20_000),
            step in 1_usize..5_000,
        ) {
            let mut chunks = Chunks::new(Unsteady { data: &data, step, errors: Vec::new() }, chunker());
            let mut rest = data.as_slice();
            while let Some(chunk) = chunks.next_chunk().unwrap() {
                prop_assert_eq!(chunker().cut(rest, true), Some(chunk.len()));
                prop_assert_eq!(chunk, &rest[..chunk.len()]);
                rest = &rest[chunk.len()..];
            }
            prop_assert!(rest.is_empty());
        }
    }
}
