//! What something is done to.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};

use crate::ids::{ClientId, RoleName, UserId};
use crate::request::ChangeRequest;

/// What something is done to, with the facts of it that decide.
///
/// `to_string` is how change requests name it as a target: `document:d_1`, `vault`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resource {
    /// The vault as a whole, with all clients.
    Vault,
    /// All that belongs to one client.
    Client(ClientId),
    /// A snapshot, whole. Where policies of the firm distinguish documents it is denied what they forbid for some; ask for
    /// each document then.
    Snapshot {
        /// Which.
        id: String,
        /// Whose documents it has.
        client: ClientId,
    },
    /// A document in a snapshot.
    Document(Document),
    /// A rule of how long documents are kept.
    Retention {
        /// Which.
        id: String,
        /// Whether it can be shortened at all.
        mode: RetentionMode,
    },
    /// A legal hold.
    Hold {
        /// Which.
        id: String,
        /// On whose documents.
        client: ClientId,
        /// By whom.
        placed_by: UserId,
    },
    /// A report.
    Report {
        /// Which.
        id: String,
        /// About which client alone.
        client: Option<ClientId>,
        /// By whom, if a user has issued it.
        author: Option<UserId>,
    },
    /// A certificate.
    Certificate {
        /// Which.
        id: String,
        /// About which client alone.
        client: Option<ClientId>,
    },
    /// An audit log.
    Log(String),
    /// A passphrase, key file or the like.
    Slot {
        /// Which.
        id: String,
        /// Whom it lets in.
        owner: UserId,
    },
    /// The recovery key, or that of a compartment.
    Key(String),
    /// A user.
    User(UserId),
    /// A user, and all roles that are to be the user's from then on: what `AssignRole` is about.
    Roles {
        /// Whose.
        user: UserId,
        /// All that the user will have.
        after: BTreeSet<RoleName>,
    },
    /// Policies of the firm, by a hash of their text, so that an approval is for this very text.
    Policies(String),
    /// A change request.
    Request(ChangeRequest),
}

/// A document, and what decides about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Document {
    /// Which.
    pub id: String,
    /// Whose.
    pub client: ClientId,
    /// In which snapshot, if it is about one.
    pub snapshot: Option<String>,
    /// Its classes, such as `us.tax.return`.
    pub classes: BTreeSet<String>,
    /// Until when it must be kept. `None` if that can't be known yet: it is never disposed of then.
    pub retain_until: Option<DateTime<Utc>>,
    /// How many legal holds are on it.
    pub holds: u32,
}

impl Document {
    /// A document of a client, in no class, without holds, and to be kept for ever.
    pub fn new(id: impl Into<String>, client: impl Into<ClientId>) -> Self {
        Self {
            id: id.into(),
            client: client.into(),
            snapshot: None,
            classes: BTreeSet::new(),
            retain_until: None,
            holds: 0,
        }
    }
}

/// Whether retention can be shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetentionMode {
    /// By two people.
    Governance,
    /// By nobody.
    Compliance,
}

impl Resource {
    /// The client it belongs to.
    pub(crate) fn client(&self) -> Option<&ClientId> {
        match self {
            Self::Client(client) | Self::Snapshot { client, .. } | Self::Hold { client, .. } => Some(client),
            Self::Document(document) => Some(&document.client),
            Self::Report { client, .. } | Self::Certificate { client, .. } => client.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vault => f.write_str("vault"),
            Self::Client(id) => write!(f, "client:{id}"),
            Self::Snapshot { id, .. } => write!(f, "snapshot:{id}"),
            Self::Document(document) => write!(f, "document:{}", document.id),
            Self::Retention { id, .. } => write!(f, "retention:{id}"),
            Self::Hold { id, .. } => write!(f, "hold:{id}"),
            Self::Report { id, .. } => write!(f, "report:{id}"),
            Self::Certificate { id, .. } => write!(f, "certificate:{id}"),
            Self::Log(id) => write!(f, "log:{id}"),
            Self::Slot { id, .. } => write!(f, "slot:{id}"),
            Self::Key(id) => write!(f, "key:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
            // Quoted, so that no name of a role can look like two.
            Self::Roles { user, after } => {
                write!(f, "user:{user}=")?;
                f.debug_set().entries(after.iter().map(RoleName::as_str)).finish()
            }
            Self::Policies(id) => write!(f, "policies:{id}"),
            Self::Request(request) => write!(f, "request:{}", request.id),
        }
    }
}
