//! Verifying what is certified: each certificate says something of this vault, the machine that has issued it has signed it, and for who
//! can read snapshots, it is of the documents that its snapshot has.

use std::collections::BTreeMap;

use sb_audit::Predicate;

use crate::certificates::{Certificates, certificate_name};
use crate::error::{Flaw, RepoError};
use crate::trust::key_id;
use crate::vault::Vault;
use crate::view::View;

/// What is wrong with certificates and signatures, by object.
pub(crate) fn check_certificates(view: &View) -> BTreeMap<String, Flaw> {
    let Certificates { certificates, flawed } = view.certificates();
    let is_gone = |(name, _): (&str, _)| is_proof(name) && !view.listing.contains_key(name);
    // Where a part is gone or damaged, which is told, no more can be said of the others.
    let is_whole = !flawed.iter().any(|(_, flaw)| *flaw != Flaw::NotOfAnything) && !view.live.iter().any(is_gone);
    let filed = view.checkpoints();
    let flawed = flawed.into_iter().filter(|(_, flaw)| is_whole || *flaw != Flaw::NotOfAnything);
    let mut flaws: BTreeMap<String, Flaw> = flawed.chain(filed.flawed).collect();
    for certificate in certificates {
        let is_signed = certificate.signatures.iter().any(|signature| key_id(&signature.key) == certificate.writer);
        let vault = format!("vault:{}/", view.id());
        let is_of_here = certificate.statement.subjects.iter().all(|subject| subject.name.starts_with(&vault));
        if !is_of_here {
            flaws.insert(certificate_name(&certificate.object), Flaw::Foreign);
        } else if !is_signed && is_whole {
            flaws.insert(certificate_name(&certificate.object), Flaw::Unsigned);
        }
    }
    flaws
}

impl Vault {
    /// Certificates of backups that name other documents than their snapshot, as far as that is there and can be read.
    pub(crate) fn untrue_certificates(&self) -> Result<Vec<String>, RepoError> {
        let snapshots = self.snapshots()?.snapshots;
        let trees = snapshots.iter().map(|snapshot| (*snapshot.id.as_bytes(), snapshot.document_tree()));
        let trees: BTreeMap<[u8; 32], _> = trees.collect();
        let certificates = self.view.certificates().certificates.into_iter();
        let untrue = certificates.filter(|certificate| match &certificate.statement.predicate {
            Predicate::Backup(backup) => certificate.statement.subjects.iter().any(|subject| {
                let tree = trees.get(subject.sha256.as_bytes());
                tree.is_some_and(|tree| backup.run.document_tree != Some(*tree))
            }),
            _ => false,
        });
        Ok(untrue.map(|certificate| certificate_name(&certificate.object)).collect())
    }
}

fn is_proof(name: &str) -> bool {
    name.starts_with("certificates/") || name.starts_with("signatures/")
}
