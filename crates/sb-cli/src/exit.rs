//! Exit codes. They are interface: scripts rely on them.

use std::process::ExitCode;

/// What the program tells whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The command line or the configuration makes no sense.
    Usage = 2,
    /// Not everything could be read, or not everything could be put back.
    Partial = 3,
    /// The vault is damaged.
    Damaged = 4,
    /// The user may not do that.
    Denied = 5,
    /// There is no vault.
    NoVault = 10,
    /// An exclusive step is running elsewhere.
    Busy = 11,
    /// Wrong passphrase or key.
    WrongKey = 12,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
