//! Reading a vault: folders, files, problems.

use sb_source::{Cause, EntryPath, Problem};

use crate::chunks::ChunkReader;
use crate::clock::Progress;
use crate::error::{Flaw, RepoError};
use crate::locator::{Locator, Scope};
use crate::snapshots::Snapshot;
use crate::tree::{Found, Redactions, Step, TreeReader, walk};
use crate::vault::Vault;
use crate::wire::cbor::{Malformed, Value};
use crate::wire::entry::{Entry, FileItem, Item, Xattr};

/// Is told of an entry and its absolute path.
pub type EachEntry<'a> = dyn FnMut(&[u8], &Entry) -> Result<(), RepoError> + 'a;

/// Reads snapshots of one vault. Holds the newest part of the locator in memory, and a bounded cache of what it opened.
pub struct Reader<'v> {
    vault: &'v Vault,
    chunks: ChunkReader<'v>,
    locator: Locator,
    redactions: Redactions,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("vault", &self.vault.id()).finish_non_exhaustive()
    }
}

impl Vault {
    /// A reader of this vault's snapshots.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] if a redaction can't be read, for what it hides must not come back; errors of the storage.
    pub fn reader(&self, progress: Progress<'_>) -> Result<Reader<'_>, RepoError> {
        Ok(Reader {
            vault: self,
            chunks: ChunkReader::new(&self.view, self.keys()?, &self.finder),
            locator: Locator::load(&self.around, &self.view, self.keys()?, progress.monitor, Scope::Reading)?,
            redactions: Redactions::load(&self.view, self.keys()?)?,
        })
    }
}

impl Reader<'_> {
    pub(crate) fn tree(&self) -> TreeReader<'_> {
        TreeReader { chunks: &self.chunks, locator: &self.locator, redactions: &self.redactions }
    }

    /// The entry at a path (absolute, raw bytes); `None` for the root, which has none.
    ///
    /// # Errors
    /// [`RepoError::NoSuchPath`], and what is wrong with the nodes on the way.
    pub fn entry(&self, snapshot: &Snapshot, path: &[u8]) -> Result<Option<Entry>, RepoError> {
        match self.found(snapshot, path)? {
            Found::Root(_) => Ok(None),
            Found::Entry(entry) => Ok(Some(*entry)),
        }
    }

    pub(crate) fn found(&self, snapshot: &Snapshot, path: &[u8]) -> Result<Found, RepoError> {
        let found = self.tree().lookup(snapshot.root(), path)?;
        found.ok_or_else(|| RepoError::NoSuchPath { path: shown(path), snapshot: snapshot.id.short() })
    }

    /// Calls `each` with the entries of a folder and their paths, in order, and with those below them if `recursive`; with
    /// the entry alone if it is no folder.
    ///
    /// # Errors
    /// As [`entry`](Self::entry), what `each` returns, and nodes that can't be read.
    pub fn list(
        &self,
        snapshot: &Snapshot,
        path: &[u8],
        recursive: bool,
        each: &mut EachEntry<'_>,
    ) -> Result<(), RepoError> {
        let found = self.found(snapshot, path)?;
        let Some(node) = found.node() else {
            if let Found::Entry(entry) = &found {
                each(path, entry)?;
            }
            return Ok(());
        };
        walk(self.tree(), node, path, &mut |path, step| match step {
            Step::Entry(entry) => each(path, entry).map(|()| recursive),
            Step::Leave(_) => Ok(true),
            Step::Unreadable(error) => Err(error),
        })
    }

    /// Writes a file's content. What has been written must not be used if this fails.
    ///
    /// # Errors
    /// [`RepoError::WrongContent`] if it does not have its SHA-256, [`RepoError::MissingChunk`], and what `write` returns.
    pub fn content(
        &self,
        path: &[u8],
        file: &FileItem,
        progress: Progress<'_>,
        write: &mut dyn FnMut(&[u8]) -> Result<(), RepoError>,
    ) -> Result<(), RepoError> {
        if self.tree().content(file, progress, write)? {
            Ok(())
        } else {
            Err(RepoError::WrongContent { path: shown(path) })
        }
    }

    /// What could not be read when the snapshot was made, as far as it is listed.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] or [`RepoError::MissingChunk`].
    pub fn problems(&self, snapshot: &Snapshot) -> Result<Vec<Problem>, RepoError> {
        let Some(reference) = snapshot.problems_at() else { return Ok(Vec::new()) };
        let bytes = self.tree().meta(reference)?;
        let damaged =
            |flaw: Malformed| RepoError::Damaged { name: format!("chunk {}", reference.id), flaw: Flaw::from(flaw) };
        read_problems(&bytes).map_err(damaged)
    }

    /// Extended attributes of an entry.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] or [`RepoError::MissingChunk`].
    pub fn attributes(&self, entry: &Entry) -> Result<Vec<Xattr>, RepoError> {
        self.tree().xattrs(entry)
    }

    /// Everything below a folder, in numbers: files and bytes.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn measure(&self, snapshot: &Snapshot, path: &[u8]) -> Result<(u64, u64), RepoError> {
        let (mut files, mut bytes) = (0, 0);
        self.list(snapshot, path, true, &mut |_, entry| {
            if let Item::File(file) = &entry.item {
                files += 1;
                bytes += file.size;
            }
            Ok(())
        })?;
        Ok((files, bytes))
    }
}

/// Reads the list of what a snapshot could not read (docs/format.md §12).
pub(crate) fn read_problems(bytes: &[u8]) -> Result<Vec<Problem>, Malformed> {
    Value::decode(bytes)?.list(read_problem)
}

fn read_problem(value: Value) -> Result<Problem, Malformed> {
    let [path, cause, detail] = value.tuple()?;
    let path = EntryPath::new(path.bytes()?).map_err(|_| Malformed("not a path"))?;
    let cause = match cause.uint()? {
        1 => Cause::Vanished,
        2 => Cause::Denied,
        3 => Cause::Changed,
        5 => Cause::TooLarge,
        _ => Cause::Unreadable,
    };
    Ok(Problem { path, cause, detail: detail.text()? })
}

/// A path for a message: what is not UTF-8 is escaped.
pub(crate) fn shown(path: &[u8]) -> String {
    let mut text = String::new();
    for chunk in path.utf8_chunks() {
        text.extend(
            chunk.valid().chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }),
        );
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}
