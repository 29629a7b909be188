//! The folder of a witness: what is in it, and how files get there so that neither a power cut nor another program leaves
//! half of one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use sb_audit::Cosigner;
use sb_crypto::{Secret, SigningKey, sha256};

const KEY: &str = "witness.key";
const LOGS: &str = "logs";
const HEADS: &str = "heads";
const FORKS: &str = "forks";
const LOCK: &str = "lock";
/// How a file is called until it is whole.
const UNFINISHED: &str = "new";
/// What private keys of this family begin with (golang.org/x/mod/sumdb/note).
const PRIVATE: &str = "PRIVATE+KEY+";
/// The type of a cosigning key (C2SP tlog-cosignature, `cosignature/v1`).
const COSIGNATURE: u8 = 0x04;

/// The paths in a witness's folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

/// Held while a program works with the folder; given back when dropped, also by a program that dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join(LOGS)
    }

    /// Where the newest cosigned checkpoint of a log is. An origin may contain anything, so its hash is the name.
    pub(crate) fn head(&self, origin: &str) -> PathBuf {
        self.path.join(HEADS).join(sha256(origin.as_bytes()).to_string())
    }

    /// Where the proof is that a log has forked: a checkpoint that it signed and that can't be.
    pub(crate) fn fork(&self, origin: &str) -> PathBuf {
        self.path.join(FORKS).join(sha256(origin.as_bytes()).to_string())
    }

    /// Makes the folder, empty of witnesses, and locks it.
    pub(crate) fn prepare(&self) -> Result<Lock, FolderError> {
        create_folder(&self.path)?;
        // Before, so that nothing is left in a folder of somebody else's; and again, as another may just have made a witness.
        self.check_is_free()?;
        let lock = self.lock()?;
        self.check_is_free()?;
        create_folder(&self.path.join(HEADS))?;
        create_folder(&self.path.join(FORKS))?;
        Ok(lock)
    }

    /// Checks that nothing is there but what another attempt has left behind that was cut short.
    fn check_is_free(&self) -> Result<(), FolderError> {
        let found = list(&self.path)?;
        if found.iter().any(|name| name == KEY) {
            return Err(FolderError::Exists { folder: self.path.clone() });
        }
        let leftovers = [LOCK, HEADS, FORKS, LOGS, "logs.new", "witness.new"];
        let heads = self.path.join(HEADS);
        let is_taken = found.iter().any(|name| leftovers.iter().all(|leftover| name != leftover));
        if is_taken || heads.exists() && !list(&heads)?.is_empty() {
            return Err(FolderError::NotEmpty { folder: self.path.clone() });
        }
        Ok(())
    }

    /// Keeps others out.
    pub(crate) fn lock(&self) -> Result<Lock, FolderError> {
        let path = self.path.join(LOCK);
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|source| FolderError::io("open", &path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse { folder: self.path.clone() }),
            Err(TryLockError::Error(source)) => Err(FolderError::io("lock", &path, source)),
        }
    }

    /// Writes the key. A folder with a key in it is a witness, so this comes last when one is made.
    pub(crate) fn write_key(&self, cosigner: &Cosigner, key: &SigningKey) -> Result<(), FolderError> {
        let bytes = Secret::new([&[COSIGNATURE], key.seed().as_bytes().as_slice()].concat());
        let verifier = cosigner.verifier();
        let id = u32::from_be_bytes(verifier.id());
        let encoded = Secret::from(Base64::encode_string(bytes.as_bytes()));
        let head = format!("{PRIVATE}{}+{id:08x}+", verifier.name());
        let line = Secret::new([head.as_bytes(), encoded.as_bytes(), b"\n"].concat());
        write(&self.path.join(KEY), line.as_bytes(), Access::Owner)
    }

    pub(crate) fn read_key(&self) -> Result<Cosigner, FolderError> {
        let path = self.path.join(KEY);
        let text = match fs::read(&path) {
            Ok(text) => Secret::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FolderError::NoWitness { folder: self.path.clone() });
            }
            Err(source) => return Err(FolderError::io("read", &path, source)),
        };
        parse_key(text.as_bytes()).ok_or_else(|| FolderError::damaged(&path, "it is not the key of a witness"))
    }
}

fn parse_key(text: &[u8]) -> Option<Cosigner> {
    let line = str::from_utf8(text).ok()?.strip_suffix('\n')?.strip_prefix(PRIVATE)?;
    let (name, rest) = line.split_once('+')?;
    let (id, encoded) = rest.split_once('+')?;
    let bytes = Secret::new(Base64::decode_vec(encoded).ok()?);
    let (&kind, seed) = bytes.as_bytes().split_first()?;
    let key = SigningKey::from_seed(seed.try_into().ok()?);
    let cosigner = Cosigner::new(name, key).ok()?;
    let found = format!("{:08x}", u32::from_be_bytes(cosigner.verifier().id()));
    (kind == COSIGNATURE && found == id).then_some(cosigner)
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner alone.
    Owner,
    /// Whoever may read the folder.
    Anyone,
}

/// Puts a file in place whole and durably, or not at all: when this returns it survives a power cut.
pub(crate) fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), FolderError> {
    let unfinished = path.with_extension(UNFINISHED);
    write_new(&unfinished, bytes, access).map_err(|source| FolderError::io("write", &unfinished, source))?;
    let renamed = fs::rename(&unfinished, path).and_then(|()| sync_folder(path.parent().unwrap_or(Path::new("."))));
    renamed.map_err(|source| FolderError::io("write", path, source))
}

fn write_new(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if access == Access::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = access;
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the names in a folder survive a power cut; folders of other systems can't be synced.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn create_folder(path: &Path) -> Result<(), FolderError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made,
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    made.and_then(|()| sync_folder(parent)).map_err(|source| FolderError::io("make", path, source))
}

fn list(folder: &Path) -> Result<Vec<std::ffi::OsString>, FolderError> {
    let read = || fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>();
    read().map_err(|source| FolderError::io("read", folder, source))
}

/// Why a witness's folder can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The system refused something.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried: `read`, `write` and the like.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not what the witness has written. It is never taken for a new beginning: whoever does not know what was
    /// cosigned last can't know whether a log has only grown.
    #[error("`{}` is damaged: {fault}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// No witness was made here.
    #[error("there is no witness in `{}`", folder.display())]
    NoWitness {
        /// The folder.
        folder: PathBuf,
    },
    /// One was made here before.
    #[error("there is a witness in `{}` already", folder.display())]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// Something else is there.
    #[error("there are other files in `{}`", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// Another program works with it.
    #[error("another program is using the witness in `{}`", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The name can't be that of a witness.
    #[error(transparent)]
    Name(#[from] sb_audit::Malformed),
    /// The key can't be that of a log to watch.
    #[error(transparent)]
    Log(#[from] crate::logs::LogsError),
}

impl FolderError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, fault: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), fault: fault.into() }
    }
}
