//! Why a command was not done, as people are told: the thing, the cause, the next step.

use std::error::Error;
use std::io;

use sb_core::repo::RepoError;
use sb_core::{ConfigError, CoreError};

use crate::exit::Exit;
use crate::hint;

/// Ends a command.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to tell.
    Told {
        /// How the program ends.
        exit: Exit,
        /// The thing and the cause.
        message: String,
        /// The next step.
        hint: Option<String>,
    },
    /// Whoever read the output has had enough, which is nobody's fault.
    OutputClosed,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Told { exit: Exit::Failed, message: message.into(), hint: None }
    }

    /// A failure of the command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(message).with_exit(Exit::Usage)
    }

    /// The same with another exit code.
    pub(crate) fn with_exit(self, exit: Exit) -> Self {
        match self {
            Self::Told { message, hint, .. } => Self::Told { exit, message, hint },
            other => other,
        }
    }

    /// The same with a next step.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Told { exit, message, .. } => Self::Told { exit, message, hint: Some(hint.into()) },
            other => other,
        }
    }

    /// The same with something to know besides its next step.
    pub(crate) fn also(self, fact: &str) -> Self {
        match self {
            Self::Told { exit, message, hint } => {
                let hint = hint.map_or_else(|| fact.to_owned(), |hint| format!("{hint}. {fact}"));
                Self::Told { exit, message, hint: Some(hint) }
            }
            other => other,
        }
    }

    /// A file of the user's that cannot be read or written.
    pub(crate) fn file(action: &str, path: &std::path::Path, error: &dyn Error) -> Self {
        Self::new(format!("cannot {action} `{}`: {}", path.display(), chain(error)))
    }

    /// How the program ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Told { exit, .. } => *exit,
            Self::OutputClosed => Exit::Done,
        }
    }
}

/// An error and its causes in one line; a cause that the message before it has said already is not said again.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

impl From<CoreError> for Failure {
    fn from(error: CoreError) -> Self {
        if let CoreError::Repo(RepoError::Output(error)) = error {
            return error.into();
        }
        let exit = match &error {
            CoreError::Location(_) | CoreError::Selection(_) | CoreError::Config(_) => Exit::Usage,
            CoreError::NoVault { .. } => Exit::NoVault,
            CoreError::Repo(RepoError::WrongCredential | RepoError::NoSuchSlot { .. }) => Exit::WrongKey,
            CoreError::Repo(RepoError::Busy { .. }) => Exit::Busy,
            CoreError::Repo(RepoError::EmptyPolicy | RepoError::UnusedTags { .. }) => Exit::Usage,
            CoreError::Repo(RepoError::Interrupted) => Exit::Interrupted,
            CoreError::Repo(RepoError::RootMismatch { .. }) => Exit::Damaged,
            CoreError::Repo(RepoError::State { source, .. }) if source.kind() == io::ErrorKind::InvalidData => {
                Exit::Damaged
            }
            CoreError::NoSuchRequest { .. } | CoreError::AmbiguousRequest { .. } | CoreError::InvalidId { .. } => {
                Exit::Usage
            }
            CoreError::Policies(_) | CoreError::Ungovernable => Exit::Usage,
            CoreError::NoSuchUser { .. } | CoreError::NoSuchRole { .. } | CoreError::NoRole | CoreError::Role(_) => {
                Exit::Usage
            }
            CoreError::Repo(RepoError::InvalidLogin { .. } | RepoError::NotApproved { .. })
            | CoreError::UserExists { .. } => Exit::Usage,
            error if error.is_denial() => Exit::Denied,
            error if error.is_damage() => Exit::Damaged,
            _ => Exit::Failed,
        };
        Self::Told { exit, message: hint::message(&error), hint: hint::hint(&error) }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        CoreError::from(error).into()
    }
}

/// Failures of standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::new(format!("cannot write the output: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        let inner = io::Error::other("disk on fire");
        let error = ConfigError::Unreadable { file: "a".into(), source: inner };
        assert_eq!(chain(&error), "cannot read the configuration `a`: disk on fire");
        let error = sb_core::source::TargetError::Unusable { folder: "a".into(), source: io::Error::other("no") };
        assert_eq!(chain(&error), "cannot restore into `a`: no");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed: Failure = io::Error::from(io::ErrorKind::BrokenPipe).into();
        assert_eq!(closed.hint("nothing").with_exit(Exit::Failed).exit(), Exit::Done);
        let full: Failure = CoreError::from(RepoError::Output(io::ErrorKind::StorageFull.into())).into();
        assert_eq!(full.exit(), Exit::Failed);
    }
}
