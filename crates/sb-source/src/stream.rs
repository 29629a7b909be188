//! One stream as a source: what a command prints, or what comes in at a pipe.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::sync::{Mutex, PoisonError};

use crate::{Content, Entry, EntryPath, Event, Kind, Metadata, Problem, Source, SourceError, Timestamp};

/// What the size of a stream is taken for as long as nobody knows it: that of a database dump.
const ASSUMED: u64 = 1 << 30;

/// A stream that is backed up as one file. It can be read once.
///
/// ```
/// use sb_source::{EntryPath, Event, Source, StreamSource, Timestamp};
///
/// let path = EntryPath::new("/dump.sql").unwrap();
/// let now = Timestamp { seconds: 1_767_225_600, nanoseconds: 0 };
/// let source = StreamSource::new(path, &b"CREATE TABLE"[..], now);
/// let Some(Event::Entry(entry)) = source.walk().nth(1) else { panic!("a file") };
/// let mut bytes = [0; 100];
/// let length = source.open(&entry)?.read(&mut bytes)?;
/// assert_eq!(&bytes[..length], b"CREATE TABLE");
/// # Ok::<(), sb_source::SourceError>(())
/// ```
pub struct StreamSource {
    path: EntryPath,
    metadata: Metadata,
    stream: Mutex<Option<Box<dyn Read + Send>>>,
}

impl StreamSource {
    /// The stream as a file at `path`, of the time `now`, that its owner alone may read.
    ///
    /// # Panics
    /// When `path` is the root, which is no file.
    pub fn new(path: EntryPath, stream: impl Read + Send + 'static, now: Timestamp) -> Self {
        assert!(!path.is_root(), "a stream needs a name");
        // Nothing tells whether a stream is as it was, so no run may take it for unchanged.
        let ctime = Timestamp { seconds: i64::MAX, nanoseconds: 0 };
        let metadata = Metadata { mode: 0o600, mtime: now, ctime, size: ASSUMED, links: 1, ..Metadata::default() };
        Self { path, metadata, stream: Mutex::new(Some(Box::new(stream))) }
    }
}

impl fmt::Debug for StreamSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSource").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Source for StreamSource {
    fn walk(&self) -> Box<dyn Iterator<Item = Event> + Send + '_> {
        let folder = Metadata { mode: 0o755, size: 0, ..self.metadata.clone() };
        let above = std::iter::successors(self.path.parent(), EntryPath::parent);
        let mut folders: Vec<EntryPath> = above.collect();
        folders.reverse();
        let leave = vec![Event::Leave; folders.len()];
        let enter = folders.into_iter().map(move |path| {
            let metadata = folder.clone();
            Event::Enter(Entry { path, kind: Kind::Directory, metadata, ancestor: true })
        });
        let metadata = self.metadata.clone();
        let file = Event::Entry(Entry { path: self.path.clone(), kind: Kind::File, metadata, ancestor: false });
        Box::new(enter.chain([file]).chain(leave))
    }

    fn details(&self, entry: &Entry) -> (Metadata, Option<Problem>) {
        (entry.metadata.clone(), None)
    }

    fn open(&self, entry: &Entry) -> Result<Box<dyn Content + '_>, SourceError> {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        match stream {
            Some(stream) if entry.path == self.path => {
                Ok(Box::new(StreamContent { path: self.path.clone(), metadata: &self.metadata, stream }))
            }
            _ => Err(SourceError::new(entry.path.clone(), io::Error::other("a stream can be read once only"))),
        }
    }

    fn knows_sizes(&self) -> bool {
        false
    }

    fn roots(&self) -> Vec<EntryPath> {
        vec![self.path.clone()]
    }
}

struct StreamContent<'a> {
    path: EntryPath,
    metadata: &'a Metadata,
    stream: Box<dyn Read + Send>,
}

impl fmt::Debug for StreamContent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamContent").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Content for StreamContent<'_> {
    fn metadata(&self) -> &Metadata {
        self.metadata
    }

    fn problem(&self) -> Option<&Problem> {
        None
    }

    fn holes(&self) -> &[(u64, u64)] {
        &[]
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result.map_err(|error| SourceError::new(self.path.clone(), error)),
            }
        }
    }

    fn finish(self: Box<Self>) -> Result<(), SourceError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cause;

    const NOW: Timestamp = Timestamp { seconds: 7, nanoseconds: 9 };

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text).unwrap()
    }

    /// Gives a byte at a time, is interrupted in between, and breaks after three.
    struct Breaking(u8);

    impl Read for Breaking {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 | 3 | 5 => Err(ErrorKind::Interrupted.into()),
                2 | 4 | 6 => {
                    buffer[0] = self.0;
                    Ok(1)
                }
                _ => Err(ErrorKind::BrokenPipe.into()),
            }
        }
    }

    #[test]
    fn a_stream_is_a_file_below_its_folders() {
        let source = StreamSource::new(path("/db/today/dump.sql"), io::empty(), NOW);
        let told: Vec<_> = source
            .walk()
            .map(|event| match event {
                Event::Enter(entry) => format!("+{}", entry.path),
                Event::Entry(entry) => entry.path.to_string(),
                Event::Leave => "-".to_owned(),
                Event::Problem(problem) => problem.to_string(),
            })
            .collect();
        assert_eq!(told, ["+/", "+/db", "+/db/today", "/db/today/dump.sql", "-", "-", "-"]);
        assert_eq!(source.roots(), [path("/db/today/dump.sql")]);
        assert!(!source.knows_sizes(), "what a walk says of its size is a guess");
        let Some(Event::Entry(entry)) = source.walk().nth(3) else { panic!("a file") };
        assert_eq!((source.details(&entry).0.mtime, entry.metadata.mode), (NOW, 0o600));
    }

    #[test]
    fn it_is_read_once_and_its_trouble_is_told() {
        let source = StreamSource::new(path("/dump"), Breaking(0), NOW);
        let Some(Event::Entry(entry)) = source.walk().nth(1) else { panic!("a file") };
        let mut content = source.open(&entry).unwrap();
        let mut buffer = [0; 8];
        assert_eq!([0; 3].map(|_| content.read(&mut buffer).unwrap()), [1; 3]);
        assert_eq!(content.read(&mut buffer).unwrap_err().cause(), Cause::Unreadable);
        assert!(content.holes().is_empty() && content.problem().is_none() && content.metadata().links == 1);
        content.finish().unwrap();
        assert_eq!(source.open(&entry).unwrap_err().cause(), Cause::Unreadable);
    }
}
