//! What can go wrong with an operation.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use sb_crypto::Digest;
use sb_rbac::{Action, PoliciesError, RoleError};
use sb_repo::{RepoError, RequestId};
use sb_source::{SelectionError, TargetError};
use sb_store::StoreError;
use thiserror::Error;

use crate::config::ConfigError;
use crate::location::{Location, LocationError};
use crate::requests::{Act, RequestState};

/// Why an operation was not done. What merely degrades one is in its report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CoreError {
    /// The text is no place for a vault.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// Nothing of a vault is there.
    #[error("there is no vault at `{location}`")]
    NoVault {
        /// Where.
        location: Location,
    },
    /// A vault cannot be made where one is.
    #[error("there is a vault at `{location}` already")]
    VaultExists {
        /// Where.
        location: Location,
    },
    /// A vault cannot be made where a file is.
    #[error("a vault needs a folder, and `{location}` is a file")]
    NoFolder {
        /// Where.
        location: Location,
    },
    /// A vault cannot be made among other files.
    #[error("a vault needs an empty folder, and `{location}` holds `{name}`")]
    NotEmpty {
        /// Where.
        location: Location,
        /// One of the files.
        name: String,
    },
    /// The vault, or what was read from it, is at fault.
    #[error(transparent)]
    Repo(RepoError),
    /// The user may not do that.
    #[error("you may not {}: {because}", action.words())]
    Denied {
        /// What.
        action: Action,
        /// Why not, in words.
        because: String,
        /// What would have to be otherwise, each by itself, in words that follow “it would be allowed with”.
        remedies: Vec<String>,
        /// The policies that say so.
        policies: Vec<String>,
    },
    /// One person alone may not do that.
    #[error("{} takes {}", words(act), if *is_alone { "a week of waiting, for there is nobody else who could agree" } else { "two people" })]
    NeedsApproval {
        /// What.
        act: Box<Act>,
        /// The request that asks for it already, and how far it has got.
        pending: Option<(RequestId, RequestState)>,
        /// True if nobody else could agree.
        is_alone: bool,
    },
    /// Others agree to roles, and to nothing else that somebody does to themselves.
    #[error("nobody changes their own clients, conflict walls or end of access")]
    OwnClients,
    /// No change request has an id that begins like this, or several do.
    #[error("there is no change request `{id}`")]
    NoSuchRequest {
        /// As given.
        id: String,
    },
    /// Nothing can become of a change request any more.
    #[error("change request {id} is {}", state.name())]
    RequestClosed {
        /// Which.
        id: RequestId,
        /// What became of it.
        state: RequestState,
    },
    /// The user has keys, and is not let in.
    #[error("you are not let in: {because}")]
    LockedOut {
        /// Why not, in words.
        because: &'static str,
    },
    /// Nobody is called that, or several are.
    #[error("there is no user `{name}`")]
    NoSuchUser {
        /// As given.
        name: String,
    },
    /// The login is somebody else's.
    #[error("there is a user `{login}` already")]
    UserExists {
        /// The login.
        login: String,
    },
    /// There is no such role.
    #[error("there is no role `{name}`")]
    NoSuchRole {
        /// As given.
        name: String,
        /// The roles there are.
        known: Vec<String>,
    },
    /// A user needs a role.
    #[error("a user needs a role")]
    NoRole,
    /// A role that users have can't be changed: the keys that they have would no longer be those that it needs.
    #[error("users have the role `{name}`, so it cannot be changed or removed")]
    RoleInUse {
        /// Which.
        name: String,
    },
    /// Nothing that lets anybody in has an id that begins like this, or several do.
    #[error("there is no key `{id}`")]
    NoSuchKey {
        /// As given.
        id: String,
    },
    /// A role can't be defined.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// The firm's policies are not accepted.
    #[error(transparent)]
    Policies(#[from] PoliciesError),
    /// There was no such snapshot then.
    #[error("no snapshot `{name}` as of {}", time.to_rfc3339())]
    NoSnapshotThen {
        /// As given.
        name: String,
        /// As of when.
        time: DateTime<Utc>,
    },
    /// Sources and excludes do not go together.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// What is to be restored would be written into the vault.
    #[error("`{}` lies in the vault at `{location}`, which nothing can be restored into", folder.display())]
    TargetInVault {
        /// The folder to restore into.
        folder: PathBuf,
        /// The vault.
        location: Location,
    },
    /// The place to restore to is taken by something that is no folder.
    #[error("`{}` is a file, not a folder", path.display())]
    TargetIsFile {
        /// What is there.
        path: PathBuf,
    },
    /// The restore would mix with what is in the folder.
    #[error("`{}` is not empty", folder.display())]
    TargetNotEmpty {
        /// The folder to restore into.
        folder: PathBuf,
    },
    /// The evidence would mix with what is in the folder.
    #[error("`{}` is not empty", folder.display())]
    EvidenceNotEmpty {
        /// The folder to write the evidence to.
        folder: PathBuf,
    },
    /// The restore would replace what is there.
    #[error("`{}` exists already", path.display())]
    TargetExists {
        /// What has the name of the file to restore.
        path: PathBuf,
    },
    /// The local state folder could not be kept.
    #[error("cannot {action} the state folder `{}`", folder.display())]
    StateFolder {
        /// What was tried.
        action: &'static str,
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The issue of a certificate is in no log, so nothing can prove it.
    #[error(
        "the issue of certificate {certificate} is not in the log: its run was cut short, or that part of the log is gone"
    )]
    NotLogged {
        /// The certificate.
        certificate: Digest,
    },
    /// A file of the folder for the auditor could not be written.
    #[error("cannot write `{}`", path.display())]
    EvidenceFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody vouches for this machine any more.
    #[error("this machine's certificate is lost from the vault; a backup makes it anew")]
    LostCertificate,
    /// What should be handed to an auditor does not hold.
    #[error("the evidence does not hold")]
    Evidence(#[from] sb_audit::FolderError),
    /// Nobody has signed the log.
    #[error("nobody has signed the log")]
    Unanchored {
        /// Why the first who was asked has not.
        #[source]
        cause: Option<Box<CoreError>>,
    },
    /// A witness has seen more of this machine's log than there is, or another one.
    #[error(
        "the witness at `{url}` has seen {seen} entries of this log, of which {size} are here: it was rolled back, or written anew"
    )]
    LogRefused {
        /// Where the witness is.
        url: String,
        /// How many entries it has seen.
        seen: u64,
        /// How many there are.
        size: u64,
    },
    /// That the log has grown cannot be proved: part of it is damaged or gone.
    #[error("cannot prove that the log of {size} entries is the one that had {old}, for part of it is damaged or gone")]
    LogUnproven {
        /// As it was.
        old: u64,
        /// As it is.
        size: u64,
    },
    /// A witness has not answered as one should.
    #[error(transparent)]
    Witness(#[from] sb_witness::SubmitError),
    /// A time-stamping authority has not answered as one should.
    #[error(transparent)]
    TimeStamping(#[from] sb_witness::StampError),
    /// A time stamp is not to be believed.
    #[error("the time stamp is not to be believed")]
    TimeStamp(#[from] sb_audit::TimeStampError),
    /// In a rehearsal nothing is certified.
    #[error("this is a rehearsal, of which nothing is certified")]
    Rehearsing,
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

fn words(act: &Act) -> &'static str {
    match act {
        Act::ExportRecoveryKey(_) => "to get a new recovery key",
        Act::RemoveUser(_) => "to remove a user",
        Act::Roles(..) => "to have other roles oneself",
        Act::ActivatePolicies(_) => "to put policies into force",
        Act::Dispose(_) => "to dispose of a document",
        Act::ReleaseHold(_) => "to release a legal hold",
        Act::ShortenRetention(_) => "to shorten a retention",
    }
}

impl From<RepoError> for CoreError {
    fn from(error: RepoError) -> Self {
        Self::Repo(error)
    }
}

impl From<StoreError> for CoreError {
    fn from(error: StoreError) -> Self {
        Self::Repo(error.into())
    }
}

impl From<TargetError> for CoreError {
    fn from(error: TargetError) -> Self {
        Self::Repo(error.into())
    }
}

impl CoreError {
    /// True if the user may not do that.
    pub fn is_denial(&self) -> bool {
        matches!(
            self,
            Self::Denied { .. }
                | Self::NeedsApproval { .. }
                | Self::OwnClients
                | Self::LockedOut { .. }
                | Self::Repo(
                    RepoError::NoReadingKey { .. }
                        | RepoError::WrongCredential
                        | RepoError::NoRootKey
                        | RepoError::KeysNotHeld { .. }
                )
        )
    }

    /// True if the vault is damaged, or less than this machine has seen of it.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::LogRefused { .. }
                | Self::Repo(
                    RepoError::Damaged { .. }
                        | RepoError::MissingChunk { .. }
                        | RepoError::Undecided { .. }
                        | RepoError::WrongContent { .. }
                        | RepoError::RolledBack { .. }
                        | RepoError::LogRolledBack { .. }
                )
        )
    }

    /// The same with the place named where the layers below know none.
    pub(crate) fn at(self, location: &Location) -> Self {
        let location = location.clone();
        match self {
            Self::Repo(RepoError::NoVault) => Self::NoVault { location },
            Self::Repo(RepoError::VaultExists) => Self::VaultExists { location },
            Self::Repo(RepoError::NotEmpty { name }) => Self::NotEmpty { location, name },
            other => other,
        }
    }
}
