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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_what_failed() {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let io = Failure::Io { path: "a/b".into(), source: gone() };
        assert!(io.to_string().starts_with("`a/b`: ") && io.source().is_some());
        let start = Failure::Start { program: "cargo".to_owned(), source: gone() };
        assert!(start.to_string().starts_with("cannot start `cargo`: ") && start.source().is_some());
        let source = serde_json::from_str::<u8>("x").unwrap_err();
        let json = Failure::Json { program: "cargo metadata", source };
        assert!(json.to_string().starts_with("unexpected JSON from `cargo metadata`: ") && json.source().is_some());
        let missing = Failure::Missing { what: "llvm-cov".to_owned(), hint: "install it" };
        assert_eq!(missing.to_string(), "llvm-cov not found; install it");
        assert_eq!(Failure::Found { task: "failed tests", faults: 2 }.to_string(), "failed tests: 2");
        assert_eq!(Failure::NothingRan("test").to_string(), "no test ran");
        assert!(missing.source().is_none());
    }
}
