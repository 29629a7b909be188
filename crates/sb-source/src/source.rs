//! The seam between what is backed up and who backs it up.

use std::fmt::Debug;

use crate::{Entry, EntryPath, Metadata, Problem, SourceError};

/// A tree of files that can be walked and read.
///
/// [`FileSource`](crate::FileSource) is the file system, [`MemorySource`](crate::MemorySource) a tree made by a test.
pub trait Source: Debug + Send + Sync {
    /// One walk over all sources, from `/` down.
    ///
    /// Every folder is an [`Event::Enter`], followed by what is in it and an [`Event::Leave`]. Its children come in
    /// the byte order of their names, where the name of a folder counts as name and `/`, so that full paths come in
    /// byte order, too. What cannot be walked becomes an [`Event::Problem`] and the walk goes on.
    ///
    /// Entries come without extended attributes and names of owners: see [`details`](Self::details).
    fn walk(&self) -> Box<dyn Iterator<Item = Event> + Send + '_>;

    /// The metadata of an entry that a walk has found, with what a walk leaves out because it costs a look of its own:
    /// extended attributes and the names of owner and group. What of that can't be read is a problem.
    ///
    /// For regular files [`open`](Self::open) tells as much.
    fn details(&self, entry: &Entry) -> (Metadata, Option<Problem>);

    /// Opens a regular file that a walk has found.
    ///
    /// # Errors
    /// When the file is gone, may not be read, or is no regular file any more.
    fn open(&self, entry: &Entry) -> Result<Box<dyn Content + '_>, SourceError>;

    /// The paths that were asked for: normalized, sorted, none inside another.
    fn roots(&self) -> Vec<EntryPath>;

    /// False if the sizes that a walk tells are guesses.
    fn knows_sizes(&self) -> bool {
        true
    }
}

/// A step of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A folder; its children follow.
    Enter(Entry),
    /// Anything else.
    Entry(Entry),
    /// The end of the folder entered last and not left yet.
    Leave,
    /// Something could not be seen, wholly or in part. When an entry of the same path came just before, it is
    /// complete but for what the problem says; a folder that cannot be listed comes as `Enter`, `Problem`, `Leave`.
    Problem(Problem),
}

/// The content of an open file, read from its beginning to its end.
pub trait Content: Debug + Send {
    /// The metadata of the file that was opened, details included. It is authoritative: a walk may have seen an older
    /// state.
    fn metadata(&self) -> &Metadata;

    /// What of the metadata could not be read.
    fn problem(&self) -> Option<&Problem>;

    /// Holes as (offset, length) in bytes, sorted and disjoint; empty when the file is not sparse. Holes are part of
    /// what [`read`](Self::read) gives, as zeros.
    fn holes(&self) -> &[(u64, u64)];

    /// Reads the next bytes into `buffer` and returns how many; 0 at the end of the file.
    ///
    /// Of a file it never gives more than [`metadata`](Self::metadata)'s `size` in all, even when the file grows; of a stream,
    /// whose size nobody knows before, all there is.
    ///
    /// # Errors
    /// When the device or file system cannot deliver.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SourceError>;

    /// Ends reading and tells whether what was read is one state of the file.
    ///
    /// # Errors
    /// [`SourceError::Changed`] when size or times differ from those at the beginning, or there is more to read than the
    /// size says.
    fn finish(self: Box<Self>) -> Result<(), SourceError>;
}
