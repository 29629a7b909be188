//! Reading one file, or a folder as an archive.

use std::io;

use sb_audit::Json;
use sb_crypto::Digest;
use sb_rbac::Action;
use sb_repo::{Item, Progress, RepoError, SnapshotId};

use crate::access::{Deed, deed, resource};
use crate::archive::Tar;
use crate::error::CoreError;
use crate::record::{Told, snapshot_id, vault_id};
use crate::session::Session;
use crate::snapshot_path::SnapshotPath;

/// A file that was read whole.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CatReport {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Its bytes.
    pub bytes: u64,
    /// Their SHA-256, compared with that of the day it was backed up.
    pub sha256: Digest,
}

/// What went into an archive.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ArchiveReport {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Entries in the archive.
    pub entries: u64,
    /// Files among them; of hard links to one file, the first alone.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
}

/// Showing contents.
const READ: Deed = deed("Snapshot.Read", Action::ReadDocument);

impl Session {
    /// True if there is a folder at this place, or the root.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] no such snapshot or path, and damage.
    pub fn is_folder(&self, at: &SnapshotPath, progress: Progress<'_>) -> Result<bool, CoreError> {
        self.ask(Action::ListSnapshot, resource(Action::ListSnapshot, self.id(), "any"))?;
        let snapshot = self.found(&at.snapshot, progress)?;
        let entry = self.vault.reader(progress)?.entry(&snapshot, at.path.as_deref().unwrap_or(b"/"))?;
        Ok(entry.is_none_or(|entry| matches!(entry.item, Item::Folder { .. })))
    }

    /// Passes what is at a place on as a tar archive (POSIX.1-2001 pax): with all metadata but holes, names beginning with the
    /// last component of the path; of the root, with everything in it. What has been written must not be used if this fails.
    /// Of what tar has no form for (sockets, what was disposed of), `progress` is warned.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] no such snapshot or path, damage, interruption, and what `write` returns as
    /// [`RepoError::Output`].
    pub fn archive(
        &mut self,
        at: &SnapshotPath,
        progress: Progress<'_>,
        write: &mut dyn io::Write,
    ) -> Result<ArchiveReport, CoreError> {
        let vault = vault_id(self.id());
        let read = |session: &mut Self| session.write_archive(at, progress, write);
        self.disclose(READ, &vault, progress, read, |report| Told {
            object: Some(snapshot_id(report.snapshot)),
            data: vec![("bytes", Json::Integer(report.bytes)), ("files", Json::Integer(report.files))],
            ..Told::default()
        })
    }

    fn write_archive(
        &self,
        at: &SnapshotPath,
        progress: Progress<'_>,
        write: &mut dyn io::Write,
    ) -> Result<ArchiveReport, CoreError> {
        let snapshot = self.found(&at.snapshot, progress)?;
        let path = at.path.as_deref().unwrap_or(b"/");
        let reader = self.vault.reader(progress)?;
        let mut tar = Tar::new(&reader, write, path, progress);
        if let Some(entry) = reader.entry(&snapshot, path)? {
            tar.add(path, &entry)?;
            if !matches!(entry.item, Item::Folder { .. }) {
                return Ok(tar.finish(snapshot.id)?);
            }
        }
        reader.list(&snapshot, path, true, &mut |path, entry| tar.add(path, entry))?;
        Ok(tar.finish(snapshot.id)?)
    }

    /// Passes a file's content on, piece by piece. What has been written must not be used if this fails.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] no such snapshot or path, [`RepoError::WrongKind`] for what is no file, damage, interruption, and
    /// what `write` returns as [`RepoError::Output`].
    pub fn cat(
        &mut self,
        at: &SnapshotPath,
        progress: Progress<'_>,
        write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<CatReport, CoreError> {
        let vault = vault_id(self.id());
        let read = |session: &mut Self| session.read_file(at, progress, write);
        self.disclose(READ, &vault, progress, read, |report| Told {
            object: Some(snapshot_id(report.snapshot)),
            data: vec![("bytes", Json::Integer(report.bytes)), ("files", Json::Integer(1))],
            ..Told::default()
        })
    }

    fn read_file(
        &self,
        at: &SnapshotPath,
        progress: Progress<'_>,
        write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<CatReport, CoreError> {
        let snapshot = self.found(&at.snapshot, progress)?;
        let path = at.path.as_deref().unwrap_or(b"/");
        let reader = self.vault.reader(progress)?;
        let entry = reader.entry(&snapshot, path)?;
        let Some(Item::File(file)) = entry.map(|entry| entry.item) else {
            let path = String::from_utf8_lossy(path).into_owned();
            return Err(RepoError::WrongKind { path, expected: "file" }.into());
        };
        reader.content(path, &file, progress, &mut |bytes| write(bytes).map_err(RepoError::Output))?;
        Ok(CatReport { snapshot: snapshot.id, bytes: file.size, sha256: file.sha256 })
    }
}
