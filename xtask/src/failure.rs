//! Why a task failed.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a task failed; printed as the last line of its standard error.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense; the text says what is wrong with it.
    Usage(String),
    /// A file or folder could not be used.
    Io { path: PathBuf, source: io::Error },
    /// A program could not be started.
    Start { program: String, source: io::Error },
    /// A program ended with something else than success.
    Program { program: String, ended: String },
    /// A program's JSON was not what its documentation promises.
    Json { program: &'static str, source: serde_json::Error },
    /// Something the task cannot do without is not on this machine.
    Missing { what: String, hint: &'static str },
    /// The task ran and found fault; what it found is printed already.
    Found { task: &'static str, faults: usize },
    /// Nothing was tested, which must not look like success.
    NothingRan(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(problem) => f.write_str(problem),
            Self::Io { path, source } => write!(f, "`{}`: {source}", path.display()),
            Self::Start { program, source } => write!(f, "cannot start `{program}`: {source}"),
            Self::Program { program, ended } => write!(f, "`{program}` ended with {ended}"),
            Self::Json { program, source } => write!(f, "unexpected JSON from `{program}`: {source}"),
            Self::Missing { what, hint } => write!(f, "{what} not found; {hint}"),
            Self::Found { task, faults } => write!(f, "{task}: {faults}"),
            Self::NothingRan(what) => write!(f, "no {what} ran"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::Start { source, .. } => Some(source),
            Self::Json { source, .. } => Some(source),
            _ => None,
        }
    }
}
