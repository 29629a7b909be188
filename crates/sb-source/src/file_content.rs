//! Reading a file once, from beginning to end.

use std::fs::File;
use std::io::{self, ErrorKind};

use crate::{Content, EntryPath, Metadata, Problem, SourceError, platform};

/// Of files up to this size the system reads enough ahead without being told.
const READ_AHEAD: u64 = 128 << 10;

/// The content of a file of the file system.
#[derive(Debug)]
pub(crate) struct FileContent {
    path: EntryPath,
    file: File,
    metadata: Metadata,
    problem: Option<Problem>,
    holes: Vec<(u64, u64)>,
    /// How many holes end at or before the position.
    passed: usize,
    position: u64,
    /// What the system gave when it was asked for more than the size says.
    beyond: Option<bool>,
}

impl FileContent {
    /// `sparse` says that there may be holes.
    pub(crate) fn new(path: EntryPath, file: File, metadata: Metadata, problem: Option<Problem>, sparse: bool) -> Self {
        if metadata.size > READ_AHEAD {
            platform::advise(&file);
        }
        let holes = if sparse { platform::holes(&file, metadata.size) } else { Vec::new() };
        Self { path, file, metadata, problem, holes, passed: 0, position: 0, beyond: None }
    }

    fn read_here(&self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        read_at(&self.file, buffer, self.position).map_err(|error| SourceError::new(self.path.clone(), error))
    }

    /// Whether there is anything after the end, as in files that are made up when they are read.
    fn goes_on(&self) -> Result<bool, SourceError> {
        if let Some(beyond) = self.beyond {
            return Ok(beyond);
        }
        let read = read_at(&self.file, &mut [0], self.metadata.size);
        Ok(read.map_err(|error| SourceError::new(self.path.clone(), error))? > 0)
    }
}

impl Content for FileContent {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn holes(&self) -> &[(u64, u64)] {
        &self.holes
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        while self.holes.get(self.passed).is_some_and(|(offset, length)| offset + length <= self.position) {
            self.passed += 1;
        }
        let hole = self.holes.get(self.passed).copied();
        let inside = hole.is_some_and(|(offset, _)| offset <= self.position);
        let end = match hole {
            Some((offset, length)) if inside => offset + length,
            Some((offset, _)) => offset,
            None => self.metadata.size,
        };
        let left = usize::try_from(end - self.position).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let is_last = self.position + left as u64 == self.metadata.size && !inside;
        let read = if inside {
            buffer[..length].fill(0);
            length
        } else if length == 0 {
            0
        } else if is_last && buffer.len() > length {
            // With room for one byte more, the same call tells that there is none.
            let buffer = &mut buffer[..=length];
            let read = self.read_here(buffer)?;
            if read >= length {
                self.beyond = Some(read > length);
            }
            read.min(length)
        } else {
            self.read_here(&mut buffer[..length])?
        };
        self.position += read as u64;
        Ok(read)
    }

    fn finish(self: Box<Self>) -> Result<(), SourceError> {
        let now = platform::inspect_file(&self.file);
        let (_, now, _) = now.map_err(|error| SourceError::new(self.path.clone(), error))?;
        let change = if now.size != self.metadata.size {
            "its size is another"
        } else if now.mtime != self.metadata.mtime {
            "its time is another"
        } else if now.ctime != self.metadata.ctime {
            "its metadata are others"
        } else if self.goes_on()? {
            "it holds more than its size says"
        } else {
            return Ok(());
        };
        Err(SourceError::Changed { path: self.path, change })
    }
}

fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    loop {
        match platform::read_at(file, buffer, position) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
