//! What was cosigned last, in one file for each log: the checkpoint with the log's signature and the witness's own. That
//! says who, what and when, and can't be torn or changed without its signature failing.

use std::fs;
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use sb_audit::{Checkpoint, Note, TreeHead, VerifierKey};

use crate::files::{Access, FolderError, write};

/// Far more than a checkpoint with two signatures takes.
const BYTES_MAX: u64 = 1 << 20;

/// A checkpoint that was cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// The log's size and root.
    pub head: TreeHead,
    /// When, to the second.
    pub time: DateTime<Utc>,
}

/// What the file of a log says of which nothing was cosigned yet. A missing file never means that.
fn blank(origin: &str) -> String {
    format!("nothing cosigned yet\n{origin}\n")
}

/// Makes the file of a log, unless there is one already.
pub(crate) fn begin(path: &Path, origin: &str) -> Result<(), FolderError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => write(path, blank(origin).as_bytes(), Access::Anyone),
        Err(source) => Err(FolderError::io("read", path, source)),
    }
}

/// The checkpoint cosigned last, with what it says; `None` if nothing was cosigned yet.
pub(crate) fn read(path: &Path, origin: &str, witness: &VerifierKey) -> Result<Option<(Note, Seen)>, FolderError> {
    let bytes = match fs::metadata(path) {
        Ok(file) if file.len() > BYTES_MAX => return Err(FolderError::damaged(path, "it is too long")),
        Ok(_) => fs::read(path),
        Err(error) => Err(error),
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let fault = format!("it is gone, and with it what was cosigned last of the log `{origin}`");
            return Err(FolderError::damaged(path, fault));
        }
        Err(source) => return Err(FolderError::io("read", path, source)),
    };
    if bytes == blank(origin).as_bytes() {
        return Ok(None);
    }
    let damaged = |fault: String| FolderError::damaged(path, fault);
    let note = Note::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
    let signed = note.verify([witness]).map_err(|error| damaged(error.to_string()))?;
    let time = signed[0].time.ok_or_else(|| damaged("a cosignature without a time".to_owned()))?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| damaged(error.to_string()))?;
    if checkpoint.origin() != origin {
        return Err(damaged(format!("it is of the log `{}`", checkpoint.origin())));
    }
    let seen = Seen { head: checkpoint.head(), time };
    Ok(Some((note, seen)))
}
