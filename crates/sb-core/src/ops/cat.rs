//! Reading one file.

use std::io;

use sb_crypto::Digest;
use sb_repo::{Item, Progress, RepoError, SnapshotId};

use crate::error::CoreError;
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

impl Session {
    /// Passes a file's content on, piece by piece. What has been written must not be used if this fails.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] no such snapshot or path, [`RepoError::WrongKind`] for what is no file, damage, interruption, and
    /// what `write` returns as [`RepoError::Output`].
    pub fn cat(
        &self,
        at: &SnapshotPath,
        progress: Progress<'_>,
        write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<CatReport, CoreError> {
        let snapshot = self.find(&at.snapshot, progress)?;
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
