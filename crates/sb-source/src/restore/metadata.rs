//! Putting metadata back, and what could not be.

use std::fmt;
use std::io::{self, ErrorKind};

use thiserror::Error;

use crate::path::Escaped;
use crate::platform::Node;
use crate::{EntryPath, Kind, Metadata};

/// A piece of metadata that could not be restored. The entry is there, its content is whole.
///
/// Without the rights of root, owners, `trusted.*` attributes and the like end up here.
#[derive(Debug, Error)]
#[error("{attribute} of `{path}` cannot be restored: {source}")]
pub struct MetadataProblem {
    /// The entry, as seen from the target's folder.
    pub path: EntryPath,
    /// What is not as it was.
    pub attribute: Attribute,
    /// The error behind it.
    pub source: io::Error,
}

/// Name and value of an extended attribute.
type Xattr = (Vec<u8>, Vec<u8>);

/// A piece of metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute {
    /// Owner and group.
    Owner,
    /// Permission bits.
    Mode,
    /// The time of the last change.
    Times,
    /// The list of extended attributes, from which those not in the backup would have been removed.
    Xattrs,
    /// The extended attribute of this name.
    Xattr(Vec<u8>),
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("owner"),
            Self::Mode => f.write_str("permissions"),
            Self::Times => f.write_str("time"),
            Self::Xattrs => f.write_str("extended attributes"),
            Self::Xattr(name) => write!(f, "extended attribute `{}`", Escaped(name)),
        }
    }
}

/// Gives the entry `node`, which is at `path`, this metadata.
///
/// The order matters: a new owner takes away capabilities and set-user-id, an access list sets permission bits, and
/// all of them may change times.
pub(crate) fn apply(node: &Node, path: &EntryPath, kind: &Kind, metadata: &Metadata) -> Vec<MetadataProblem> {
    let mut problems = Vec::new();
    let mut note = |attribute, result: io::Result<()>| {
        let failed = result.is_err();
        problems.extend(result.err().map(|source| MetadataProblem { path: path.clone(), attribute, source }));
        failed
    };
    let strange = note(Attribute::Owner, node.set_owner(metadata.uid, metadata.gid));
    apply_xattrs(node, &metadata.xattrs, &mut note);
    if !matches!(kind, Kind::Symlink { .. }) {
        // A program must not run with the rights of an owner it never had.
        let withheld = if strange { metadata.mode & 0o6000 } else { 0 };
        note(Attribute::Mode, node.set_mode(metadata.mode & !withheld));
        if withheld != 0 {
            note(Attribute::Mode, Err(ErrorKind::PermissionDenied.into()));
        }
    }
    note(Attribute::Times, node.set_mtime(metadata.mtime));
    problems
}

fn apply_xattrs(node: &Node, wanted: &[Xattr], note: &mut impl FnMut(Attribute, io::Result<()>) -> bool) {
    let (present, error) = node.xattrs_self();
    if let Some(error) = error {
        note(Attribute::Xattrs, Err(error));
    }
    for name in superfluous(&present, wanted) {
        note(Attribute::Xattr(name.clone()), node.remove_xattr(name));
    }
    for (name, value) in missing(&present, wanted) {
        note(Attribute::Xattr(name.clone()), node.set_xattr(name, value));
    }
}

/// True if nothing has to be changed.
pub(crate) fn has_xattrs(present: &[Xattr], wanted: &[Xattr]) -> bool {
    superfluous(present, wanted).next().is_none() && missing(present, wanted).next().is_none()
}

/// Names of what is to be removed: a new file inherits the access list of its folder. The system's own labels stay.
fn superfluous<'a>(present: &'a [Xattr], wanted: &'a [Xattr]) -> impl Iterator<Item = &'a Vec<u8>> {
    let ours = |name: &[u8]| name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_");
    let names = present.iter().map(|(name, _)| name);
    names.filter(move |name| ours(name) && !wanted.iter().any(|(wanted, _)| wanted == *name))
}

/// What is to be set.
fn missing<'a>(present: &'a [Xattr], wanted: &'a [Xattr]) -> impl Iterator<Item = &'a Xattr> {
    wanted.iter().filter(|pair| !present.contains(pair))
}
