//! Room for what a restore has to keep for a while.

use std::fs::File;
use std::io;

use crate::platform;

/// A file without a name: nobody else can open it, and it is gone when this is dropped, or with the process.
#[derive(Debug)]
pub struct Scratch(pub(crate) File);

impl Scratch {
    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// A full or failing file system.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        platform::write_all_at(&self.0, bytes, offset)
    }

    /// Fills `bytes` with what was written at `offset`.
    ///
    /// # Errors
    /// A failing file system, and [`io::ErrorKind::UnexpectedEof`] if less was written.
    pub fn read_at(&self, mut offset: u64, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match platform::read_at(&self.0, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    bytes = &mut bytes[length..];
                    offset += length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{EntryPath, Target};

    #[test]
    fn what_was_written_comes_back_and_has_no_name() {
        let temp = tempfile::tempdir().unwrap();
        let scratch = Target::create(temp.path()).unwrap().folder(&EntryPath::root()).unwrap().scratch().unwrap();
        scratch.write_at(3, b"abc").unwrap();
        let mut bytes = [0; 4];
        scratch.read_at(2, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0abc");
        assert!(scratch.read_at(3, &mut bytes).is_err());
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }
}
