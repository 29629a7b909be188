//! Verifying what is certified: each certificate says something, its machine has signed it, and its snapshot is what it says.

use std::collections::BTreeMap;

use crate::certificates::{Certificates, certificate_name};
use crate::error::Flaw;
use crate::trust::key_id;
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

fn is_proof(name: &str) -> bool {
    name.starts_with("certificates/") || name.starts_with("signatures/")
}
