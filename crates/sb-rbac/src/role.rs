//! Built-in roles, and those a firm builds upon them.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::RoleName;

/// A role that is built in. What each may do stands in `src/cedar/roles.cedar`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Checks that everything is there, and sees certificates. Writes nothing.
    Verifier,
    /// Sees logs, certificates, reports, users and policies until [`User::access_until`](crate::User). Writes nothing.
    Auditor,
    /// Makes and checks backups. Neither reads nor forgets them.
    Operator,
    /// Reads and restores documents of the clients the user works for.
    Restorer,
    /// Places holds, signs, approves, reports, forgets snapshots. Reads no contents.
    ComplianceOfficer,
    /// Carries out what was approved, and frees space. Often a service.
    DisposalExecutor,
    /// Users, roles and keys. No documents.
    Administrator,
    /// Everything, as far as the guard rails let anybody.
    Owner,
}

/// Names that others have for roles, each a role of its own that is built upon ours.
const PREDEFINED: [(&str, Role); 3] =
    [("accountant", Role::Restorer), ("admin", Role::Administrator), ("daemon", Role::DisposalExecutor)];

impl Role {
    /// Every built-in role.
    pub const ALL: [Self; 8] = [
        Self::Verifier,
        Self::Auditor,
        Self::Operator,
        Self::Restorer,
        Self::ComplianceOfficer,
        Self::DisposalExecutor,
        Self::Administrator,
        Self::Owner,
    ];

    /// Its name in policies: `SB::Role::"complianceOfficer"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verifier => "verifier",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
            Self::Restorer => "restorer",
            Self::ComplianceOfficer => "complianceOfficer",
            Self::DisposalExecutor => "disposalExecutor",
            Self::Administrator => "administrator",
            Self::Owner => "owner",
        }
    }

    /// The built-in role of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        role.name().into()
    }
}

/// Why a role can't be defined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoleError {
    /// The name is that of a role that is always there.
    #[error("`{0}` is the name of a built-in role")]
    Reserved(RoleName),
    /// An empty name, or one that is too long.
    #[error("a role's name has 1 to {NAME_BYTES_MAX} bytes")]
    Name,
    /// Roles that nobody may have together.
    #[error("a role cannot be both {} and {}: the one would check the other", .0.name(), .1.name())]
    Separated(Role, Role),
}

const NAME_BYTES_MAX: usize = 256;

/// The roles that are not built in, and what they are built upon.
#[derive(Clone, Debug)]
pub(crate) struct Roles(BTreeMap<RoleName, BTreeSet<Role>>);

impl Default for Roles {
    fn default() -> Self {
        Self(PREDEFINED.iter().map(|(name, role)| ((*name).into(), [*role].into())).collect())
    }
}

impl Roles {
    pub(crate) fn define(&mut self, name: RoleName, includes: BTreeSet<Role>) -> Result<(), RoleError> {
        if Role::named(name.as_str()).is_some() || PREDEFINED.iter().any(|(known, _)| *known == name.as_str()) {
            return Err(RoleError::Reserved(name));
        }
        if name.as_str().is_empty() || name.as_str().len() > NAME_BYTES_MAX {
            return Err(RoleError::Name);
        }
        if let Some((one, other)) = separated(&includes) {
            return Err(RoleError::Separated(one, other));
        }
        self.0.insert(name, includes);
        Ok(())
    }

    /// What a role is built upon, itself included; `None` if there is no such role.
    pub(crate) fn closure(&self, name: &RoleName) -> Option<BTreeSet<RoleName>> {
        if Role::named(name.as_str()).is_some() {
            return Some([name.clone()].into());
        }
        let includes = self.0.get(name)?;
        Some(includes.iter().map(|role| (*role).into()).chain([name.clone()]).collect())
    }

    /// Every role there is.
    pub(crate) fn names(&self) -> impl Iterator<Item = RoleName> {
        Role::ALL.into_iter().map(RoleName::from).chain(self.0.keys().cloned())
    }
}

/// Whether nobody may have all these roles, or could not use them.
pub(crate) fn is_separated(roles: &BTreeSet<RoleName>) -> bool {
    separated(&roles.iter().filter_map(|role| Role::named(role.as_str())).collect()).is_some()
}

/// Two of the roles that a role can't include both: what nobody may be assigned together, and what could never be used.
fn separated(roles: &BTreeSet<Role>) -> Option<(Role, Role)> {
    use Role::{Administrator, Auditor, ComplianceOfficer, DisposalExecutor, Operator, Owner, Verifier};
    let pairs = [
        (Administrator, ComplianceOfficer),
        (Auditor, Operator),
        (Auditor, Administrator),
        (Auditor, ComplianceOfficer),
        (Auditor, DisposalExecutor),
        (Auditor, Owner),
        (Verifier, Operator),
        (Verifier, Administrator),
        (Verifier, ComplianceOfficer),
        (Verifier, DisposalExecutor),
        (Verifier, Owner),
    ];
    pairs.into_iter().find(|(one, other)| roles.contains(one) && roles.contains(other))
}
