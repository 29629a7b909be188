//! Everything that can be done, each with the one name that policies and logs have for it.

use std::fmt;

/// A permission in the sense of INCITS 359: actions that are given together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Group {
    /// Shows that something is there and how much, but no name of a document.
    Inspect,
    /// Shows names of documents.
    Look,
    /// Shows contents.
    Read,
    /// Adds to the vault.
    Operate,
    /// Orders what is in it and frees space.
    Curate,
    /// Checks.
    Verify,
    /// Shows what was done, by whom and by what right.
    Audit,
    /// Decides what the law asks of the firm.
    Comply,
    /// Is the second person.
    Approve,
    /// Users, roles and keys.
    Administer,
    /// What is one's own.
    Own,
    /// Needs an approved request: all of `Destroy` and `Govern`.
    Execute,
    /// Ends a protection or a document.
    Destroy,
    /// Changes who can open the vault or what the rules are.
    Govern,
    /// Changes the vault, but for what is one's own.
    Write,
}

/// Something that can be done. In Cedar it is `SB::Action::"…"` with the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the table below says of each what it is, and `words` returns it")]
#[rustfmt::skip]
pub enum Action {
    ShowVault, SeeSnapshots, MeasureVault,
    ListSnapshot, CompareSnapshots, FindEntries,
    ReadDocument, RestoreDocument, RehearseRestore,
    CreateSnapshot, RebuildLocator, AnchorLog,
    TagSnapshot, ForgetSnapshot, CollectVault,
    RunVerify, VerifyData, VerifyRestore, CheckLocator,
    ListCertificates, ShowCertificate, VerifyCertificate, VerifyLog,
    ExportEvidence, ReadLog, ExportLog, ReadReport, ListHolds,
    ListUsers, ListRoles, ListPolicies, ListKeys, ListRequests, ExplainAccess,
    PlaceHold, IssueReport, SignCertificate, AcceptLosses, NameId, ProposeChange, RejectChange, ApproveChange,
    AddUser, DefineRole, ProposePolicies, LockUser, UnlockUser, AssignRole, RevokeRole, ResetSlot, RotateKeys,
    AddOwnSlot, ChangeOwnSlot, RemoveOwnSlot, CancelChange,
    DisposeDocument, ReleaseHold, ShortenRetention, ExportKey, RemoveUser, ActivatePolicies,
}

use Group::{
    Administer, Approve, Audit, Comply, Curate, Destroy, Execute, Govern, Inspect, Look, Operate, Own, Read, Verify,
    Write,
};

type Act = (Action, &'static str, &'static str, &'static [Group]);

/// In the order of the variants.
#[rustfmt::skip]
const ACTS: [Act; 61] = [
    (Action::ShowVault, "ShowVault", "show the vault's id, keys and settings", &[Inspect, Audit]),
    (Action::SeeSnapshots, "SeeSnapshots", "see which snapshots there are", &[Inspect]),
    (Action::MeasureVault, "MeasureVault", "measure how much is stored", &[Inspect]),
    (Action::ListSnapshot, "ListSnapshot", "list the folders of a snapshot", &[Look]),
    (Action::CompareSnapshots, "CompareSnapshots", "compare two snapshots", &[Look]),
    (Action::FindEntries, "FindEntries", "find documents by name", &[Look]),
    (Action::ReadDocument, "ReadDocument", "read a document", &[Read]),
    (Action::RestoreDocument, "RestoreDocument", "restore a document", &[Read]),
    (Action::RehearseRestore, "RehearseRestore", "rehearse a restore", &[Read]),
    (Action::CreateSnapshot, "CreateSnapshot", "make a backup", &[Operate, Write]),
    (Action::RebuildLocator, "RebuildLocator", "rebuild the list of what is where", &[Operate, Write]),
    (Action::AnchorLog, "AnchorLog", "have witnesses and time stamps vouch for the audit log", &[Operate, Write]),
    (Action::TagSnapshot, "TagSnapshot", "change the tags of a snapshot", &[Curate, Write]),
    (Action::ForgetSnapshot, "ForgetSnapshot", "forget a snapshot", &[Curate, Write]),
    (Action::CollectVault, "CollectVault", "free what nothing needs", &[Curate, Write]),
    (Action::RunVerify, "RunVerify", "verify all objects", &[Verify]),
    (Action::VerifyData, "VerifyData", "verify all data", &[Verify]),
    (Action::VerifyRestore, "VerifyRestore", "verify that every document can be restored", &[Verify]),
    (Action::CheckLocator, "CheckLocator", "check the list of what is where", &[Verify]),
    (Action::ListCertificates, "ListCertificates", "list certificates", &[Verify, Audit]),
    (Action::ShowCertificate, "ShowCertificate", "show a certificate", &[Verify, Audit]),
    (Action::VerifyCertificate, "VerifyCertificate", "verify a certificate", &[Verify, Audit]),
    (Action::VerifyLog, "VerifyLog", "verify the audit log", &[Verify, Audit]),
    (Action::ExportEvidence, "ExportEvidence", "export a certificate with its evidence", &[Audit]),
    (Action::ReadLog, "ReadLog", "read the audit log", &[Audit]),
    (Action::ExportLog, "ExportLog", "export the audit log", &[Audit]),
    (Action::ReadReport, "ReadReport", "read a report", &[Audit]),
    (Action::ListHolds, "ListHolds", "list legal holds", &[Audit]),
    (Action::ListUsers, "ListUsers", "list users", &[Audit]),
    (Action::ListRoles, "ListRoles", "list roles", &[Audit]),
    (Action::ListPolicies, "ListPolicies", "list policies", &[Audit]),
    (Action::ListKeys, "ListKeys", "list who can open the vault with what", &[Audit]),
    (Action::ListRequests, "ListRequests", "list change requests", &[Audit]),
    (Action::ExplainAccess, "ExplainAccess", "have somebody's access explained", &[Audit]),
    (Action::PlaceHold, "PlaceHold", "place a legal hold", &[Comply, Write]),
    (Action::IssueReport, "IssueReport", "issue a report", &[Comply, Write]),
    (Action::SignCertificate, "SignCertificate", "sign a certificate", &[Comply, Write]),
    (Action::AcceptLosses, "AcceptLosses", "accept that something is lost", &[Comply, Write]),
    (Action::NameId, "NameId", "say who or what an id of the audit log is", &[Comply, Administer, Write]),
    (Action::ProposeChange, "ProposeChange", "propose a change", &[Comply, Administer, Write]),
    (Action::RejectChange, "RejectChange", "reject a proposed change", &[Comply, Write]),
    (Action::ApproveChange, "ApproveChange", "approve a proposed change", &[Approve, Write]),
    (Action::AddUser, "AddUser", "add a user", &[Administer, Write]),
    (Action::DefineRole, "DefineRole", "define a role", &[Administer, Write]),
    (Action::ProposePolicies, "ProposePolicies", "propose policies", &[Administer, Write]),
    (Action::LockUser, "LockUser", "lock a user", &[Administer, Write]),
    (Action::UnlockUser, "UnlockUser", "unlock a user", &[Administer, Write]),
    (Action::AssignRole, "AssignRole", "give a user roles", &[Administer, Write]),
    (Action::RevokeRole, "RevokeRole", "take a role from a user", &[Administer, Write]),
    (Action::ResetSlot, "ResetSlot", "give somebody a new passphrase", &[Administer, Write]),
    (Action::RotateKeys, "RotateKeys", "rotate keys", &[Administer, Write]),
    (Action::AddOwnSlot, "AddOwnSlot", "add a passphrase or key of one's own", &[Own]),
    (Action::ChangeOwnSlot, "ChangeOwnSlot", "change one's own passphrase", &[Own]),
    (Action::RemoveOwnSlot, "RemoveOwnSlot", "remove a passphrase or key of one's own", &[Own]),
    (Action::CancelChange, "CancelChange", "withdraw one's own request", &[Own]),
    (Action::DisposeDocument, "DisposeDocument", "dispose of a document", &[Destroy, Execute, Write]),
    (Action::ReleaseHold, "ReleaseHold", "release a legal hold", &[Destroy, Execute, Write]),
    (Action::ShortenRetention, "ShortenRetention", "shorten retention", &[Destroy, Execute, Write]),
    (Action::ExportKey, "ExportKey", "export a recovery or compartment key", &[Govern, Execute, Write]),
    (Action::RemoveUser, "RemoveUser", "remove a user", &[Govern, Execute, Write]),
    (Action::ActivatePolicies, "ActivatePolicies", "put policies into force", &[Govern, Execute, Write]),
];

impl Action {
    /// Every action.
    pub fn all() -> impl Iterator<Item = Self> {
        ACTS.iter().map(|act| act.0)
    }

    /// Its name in policies, such as `CreateSnapshot`.
    pub const fn name(self) -> &'static str {
        ACTS[self as usize].1
    }

    /// What it is in words that follow “may”, such as `make a backup`.
    pub const fn words(self) -> &'static str {
        ACTS[self as usize].2
    }

    /// The permissions it belongs to.
    pub const fn groups(self) -> &'static [Group] {
        ACTS[self as usize].3
    }

    /// Whether it belongs to a permission.
    pub fn is_in(self, group: Group) -> bool {
        self.groups().contains(&group)
    }

    /// The action of that name.
    pub fn named(name: &str) -> Option<Self> {
        ACTS.iter().find(|act| act.1 == name).map(|act| act.0)
    }

    /// Whether a change request can be shown with it.
    pub(crate) fn takes_request(self) -> bool {
        self.is_in(Execute) || self == Self::AssignRole
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Group {
    /// Its name in policies, such as `operate`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inspect => "inspect",
            Self::Look => "look",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Curate => "curate",
            Self::Verify => "verify",
            Self::Audit => "audit",
            Self::Comply => "comply",
            Self::Approve => "approve",
            Self::Administer => "administer",
            Self::Own => "own",
            Self::Execute => "execute",
            Self::Destroy => "destroy",
            Self::Govern => "govern",
            Self::Write => "write",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_variants() {
        for (place, act) in ACTS.iter().enumerate() {
            assert_eq!((act.0 as usize, format!("{:?}", act.0).as_str()), (place, act.1));
            assert_eq!(Action::named(act.1), Some(act.0));
        }
    }
}
