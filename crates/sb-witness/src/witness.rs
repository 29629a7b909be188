//! A witness: its key, the logs it watches, and what it cosigned last. No network here: see `server` for that.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use sb_audit::{AddCheckpoint, Checkpoint, Cosigner, Malformed, Note, Refusal, TreeHead, VerifierKey};
use sb_crypto::{Random, SigningKey};

use crate::files::{Access, Folder, FolderError, Lock, write};
use crate::logs::{Logs, LogsError};
use crate::state::{self, Seen};

/// A witness in its folder, which no other program can use meanwhile.
#[derive(Debug)]
pub struct Witness {
    folder: Folder,
    cosigner: Cosigner,
    list: Logs,
    logs: BTreeMap<String, Log>,
    _lock: Lock,
}

#[derive(Debug, Default)]
struct Log {
    keys: Vec<VerifierKey>,
    /// Held from reading what was cosigned last until the next is stored.
    deciding: Mutex<()>,
}

impl Witness {
    /// Makes a witness with a new key, which signs as `name`, in a folder that is empty or does not exist.
    ///
    /// # Errors
    /// [`FolderError`].
    ///
    /// # Panics
    /// When the source of randomness fails.
    pub fn init(folder: &Path, name: &str, random: &dyn Random) -> Result<Self, FolderError> {
        let key = SigningKey::generate(random);
        let cosigner = Cosigner::new(name, key.clone())?;
        let folder = Folder::new(folder);
        let lock = folder.prepare()?;
        let list = Logs::default();
        write(&folder.logs(), list.to_string().as_bytes(), Access::Anyone)?;
        folder.write_key(&cosigner, &key)?;
        Ok(Self { folder, cosigner, list, logs: BTreeMap::new(), _lock: lock })
    }

    /// Opens a witness.
    ///
    /// # Errors
    /// [`FolderError`], also if what was cosigned last of any log is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self, FolderError> {
        let folder = Folder::new(folder);
        let cosigner = folder.read_key()?;
        let lock = folder.lock()?;
        let list = read_list(&folder)?;
        let logs = by_origin(&list);
        for origin in logs.keys() {
            state::read(&folder.head(origin), origin, cosigner.verifier())?;
        }
        Ok(Self { folder, cosigner, list, logs, _lock: lock })
    }

    /// The public half of its key, for those who are to believe its cosignatures.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        self.cosigner.verifier()
    }

    /// How many logs it watches.
    #[must_use]
    pub fn log_count(&self) -> usize {
        self.logs.len()
    }

    /// Watches a log from now on, or accepts another key of one it watches; false if it did so before.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn add_log(&mut self, key: VerifierKey) -> Result<bool, FolderError> {
        let origin = key.name().to_owned();
        let mut list = self.list.clone();
        if !list.add(key)? {
            return Ok(false);
        }
        // The list names only logs whose file is there, so that a missing one is always a lost one.
        let head = self.folder.head(&origin);
        state::begin(&head, &origin)?;
        state::read(&head, &origin, self.cosigner.verifier())?;
        write(&self.folder.logs(), list.to_string().as_bytes(), Access::Anyone)?;
        self.logs = by_origin(&list);
        self.list = list;
        Ok(true)
    }

    /// Answers the body of a request `add-checkpoint`.
    #[must_use]
    pub fn add_checkpoint(&self, request: &[u8], now: DateTime<Utc>) -> Answer {
        Answer::to(&self.cosign(request, now))
    }

    /// Cosigns the checkpoint in the body of a request `add-checkpoint`, if the log has only grown. When this returns, the
    /// checkpoint is stored durably; when it fails, nothing was cosigned.
    ///
    /// # Errors
    /// [`CosignError`].
    pub fn cosign(&self, request: &[u8], now: DateTime<Utc>) -> Result<Cosigned, CosignError> {
        let request = AddCheckpoint::parse(request).map_err(Refusal::from)?;
        let origin = request.checkpoint().origin();
        let unknown = || Refusal::UnknownLog { origin: origin.to_owned() };
        let log = self.logs.get(origin).ok_or_else(unknown)?;
        // What it guards is in the file, which is whole whatever a thread died of.
        let _deciding = log.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.head(origin);
        let latest = state::read(&path, origin, self.verifier())?;
        let decided = request.decide(&log.keys, latest.as_ref().map(|(_, seen)| seen.head));
        if let (Err(refusal), Some((cosigned, seen))) = (&decided, &latest)
            && is_signed(refusal)
            && contradicts(request.checkpoint().head(), seen.head)
        {
            self.keep_fork(origin, cosigned, &stored(&request, log))?;
        }
        let head = decided?;
        if now.timestamp() < 1 {
            return Err(CosignError::Clock { now });
        }
        let cosignature = self.cosigner.cosign(request.note().text(), now);
        let mut note = stored(&request, log);
        note.add(cosignature.clone());
        write(&path, note.to_string().as_bytes(), Access::Anyone)?;
        Ok(Cosigned { origin: origin.to_owned(), head, cosignature: cosignature.to_string() })
    }

    /// Keeps the proof that a log has forked: both checkpoints, the first time.
    fn keep_fork(&self, origin: &str, cosigned: &Note, refused: &Note) -> Result<(), FolderError> {
        let path = self.folder.fork(origin);
        if path.exists() {
            return Ok(());
        }
        write(&path.with_extension("cosigned"), cosigned.to_string().as_bytes(), Access::Anyone)?;
        write(&path, refused.to_string().as_bytes(), Access::Anyone)
    }
}

/// Whether what is refused for this was signed by the log all the same.
const fn is_signed(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::OtherRoot { .. } | Refusal::Stale { .. } | Refusal::Shrunk { .. })
}

/// Whether no log can have had both heads.
fn contradicts(one: TreeHead, other: TreeHead) -> bool {
    one.size == other.size && one.root != other.root
}

/// The checkpoint of a request that was decided about, with one signature: of those by others there may be any number.
fn stored(request: &AddCheckpoint, log: &Log) -> Note {
    let note = request.note();
    let signature = note.signatures().iter().find(|signature| log.keys.iter().any(|key| signature.is_by(key)));
    let signature = signature.expect("the log has signed what was decided about").clone();
    Note::new(note.text(), signature).expect("the text was one of a note before")
}

fn read_list(folder: &Folder) -> Result<Logs, FolderError> {
    let path = folder.logs();
    let text = fs::read_to_string(&path).map_err(|source| FolderError::io("read", &path, source))?;
    text.parse().map_err(|error: LogsError| FolderError::damaged(&path, error.to_string()))
}

fn by_origin(list: &Logs) -> BTreeMap<String, Log> {
    let mut logs: BTreeMap<String, Log> = BTreeMap::new();
    for key in list.keys() {
        logs.entry(key.name().to_owned()).or_default().keys.push(key.clone());
    }
    logs
}

/// What a witness has cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cosigned {
    /// Of which log.
    pub origin: String,
    /// Its size and root.
    pub head: TreeHead,
    /// The cosignature, a signature line of a note with its newline.
    pub cosignature: String,
}

/// Why a witness has not cosigned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CosignError {
    /// It refuses to.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It can't store what it would cosign, or does not know what it cosigned before.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The clock shows a time that a cosignature can't state.
    #[error("the clock of the witness is not set: it shows {now}")]
    Clock {
        /// What it shows.
        now: DateTime<Utc>,
    },
}

/// An answer to a request, as HTTP has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    pub(crate) const TEXT: &'static str = "text/plain; charset=utf-8";

    pub(crate) fn to(cosigned: &Result<Cosigned, CosignError>) -> Self {
        match cosigned {
            Ok(cosigned) => Self { status: 200, content_type: Self::TEXT, body: cosigned.cosignature.clone() },
            Err(CosignError::Refused(refusal)) => {
                let (body, content_type) = refusal.answer();
                Self { status: refusal.status(), content_type, body }
            }
            // What is wrong with its disk is for the witness's owner to know.
            Err(_) => {
                let body = "the witness is out of order, and its owner is told why\n".to_owned();
                Self { status: 500, content_type: Self::TEXT, body }
            }
        }
    }
}

/// What a witness watches and has cosigned, read while another program may be using it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Overview {
    /// The public half of its key.
    pub verifier: VerifierKey,
    /// The logs, by their origins.
    pub logs: Vec<Watched>,
}

/// A log that a witness watches.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Watched {
    /// Its name.
    pub origin: String,
    /// Its keys, the newest last.
    pub keys: Vec<VerifierKey>,
    /// What was cosigned last, if anything was.
    pub latest: Option<Seen>,
    /// A head that the log has signed although it contradicts what was cosigned at that size: the log has forked. The folder
    /// `forks` has both checkpoints.
    pub fork: Option<TreeHead>,
}

impl Overview {
    /// Reads the witness in this folder.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn read(folder: &Path) -> Result<Self, FolderError> {
        let folder = Folder::new(folder);
        let cosigner = folder.read_key()?;
        let mut logs = Vec::new();
        for (origin, log) in by_origin(&read_list(&folder)?) {
            let latest = state::read(&folder.head(&origin), &origin, cosigner.verifier())?.map(|(_, seen)| seen);
            let fork = read_fork(&folder, &origin, &log.keys)?;
            logs.push(Watched { origin, keys: log.keys, latest, fork });
        }
        Ok(Self { verifier: cosigner.verifier().clone(), logs })
    }
}

fn read_fork(folder: &Folder, origin: &str, keys: &[VerifierKey]) -> Result<Option<TreeHead>, FolderError> {
    let path = folder.fork(origin);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|source| FolderError::io("read", &path, source))?,
    };
    let damaged = |error: &dyn std::error::Error| FolderError::damaged(&path, error.to_string());
    let note = Note::parse(&bytes).map_err(|error| damaged(&error))?;
    note.verify(keys).map_err(|error| damaged(&error))?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error: Malformed| damaged(&error))?;
    Ok(Some(checkpoint.head()))
}
