//! Certificates of runs, filed in the vault (docs/format.md §16).
//!
//! What one says is [`sb_audit`]'s; when it may be written, how it is stored and whether it counts is decided here. Statement and
//! signatures are objects of their own, so that another signature can come later. Journals list them, so none can go unnoticed.

mod check;
mod issue;
mod read_back;

pub(crate) use check::check_certificates;
pub(crate) use issue::{BackupFacts, write_certificate, write_object};
pub use issue::{CertificateTerms, Certified, VERIFIED_MAX, VerifiedFacts};
pub(crate) use read_back::read_back;

use std::collections::BTreeMap;

use sb_audit::{Envelope, EnvelopeSignature, STATEMENT_TYPE, Statement, pae};
use sb_crypto::{Digest, VerifyingKey, sha256};

use crate::error::{Flaw, RepoError};
use crate::ids::KeyId;
use crate::live::read;
use crate::name::{ParsedName, Stem};
use crate::trust::key_id;
use crate::view::View;
use crate::wire::cbor::Malformed;
use crate::wire::frame::Frame;
use crate::wire::proof::SignatureBody;

/// A certificate as it is filed, with the signatures that it has.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Certificate {
    /// SHA-256 of the object, which is in its name.
    pub object: Digest,
    /// What it says.
    pub statement: Statement,
    /// The same as it is stored and signed.
    pub payload: Vec<u8>,
    /// The machine that filed it.
    pub writer: KeyId,
    /// Who has signed it: machines and users that the vault vouches for. The machine that issued it is the first.
    pub signatures: Vec<CertificateSignature>,
}

/// A good signature of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateSignature {
    /// By whom.
    pub key: VerifyingKey,
    /// As DSSE has it.
    pub bytes: [u8; 64],
}

/// All certificates of a vault that count, by the time at which their runs ended, and what is wrong with others.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Certificates {
    /// Oldest first.
    pub certificates: Vec<Certificate>,
    /// Objects that should be certificates or signatures, and what is wrong with them.
    pub flawed: Vec<(String, Flaw)>,
}

impl Certificate {
    /// SHA-256 of the statement: what the log entry of its issue names.
    pub fn statement_sha256(&self) -> Digest {
        sha256(&self.payload)
    }

    /// The certificate as one file, with all its signatures (DSSE v1.0.2).
    pub fn envelope(&self) -> Envelope {
        let mut envelope = Envelope::new(STATEMENT_TYPE, self.payload.clone());
        for signature in &self.signatures {
            let key_id = sb_audit::envelope_key_id(&signature.key).to_string();
            envelope.add(EnvelopeSignature { key_id, bytes: signature.bytes.to_vec() });
        }
        envelope
    }
}

impl View {
    /// Reads all certificates.
    pub fn certificates(&self) -> Certificates {
        let mut found = Certificates::default();
        let mut by_statement: BTreeMap<Digest, Certificate> = BTreeMap::new();
        for (name, parsed) in self.entered("certificates/") {
            match self.certificate(name, &parsed) {
                Ok(certificate) => drop(by_statement.insert(certificate.statement_sha256(), certificate)),
                Err(flaw) => found.flawed.push((name.to_owned(), flaw)),
            }
        }
        for (name, parsed) in self.entered("signatures/") {
            match self.signature(name, &parsed, &by_statement) {
                Ok((statement, signature)) => {
                    let certificate = by_statement.get_mut(&statement).expect("looked up just now");
                    if !certificate.signatures.contains(&signature) {
                        certificate.signatures.push(signature);
                    }
                }
                Err(flaw) => found.flawed.push((name.to_owned(), flaw)),
            }
        }
        found.certificates = by_statement.into_values().collect();
        for certificate in &mut found.certificates {
            let issuer = certificate.writer;
            certificate
                .signatures
                .sort_by_key(|signature| (key_id(&signature.key) != issuer, *signature.key.as_bytes()));
        }
        // Times are in seconds; what was logged later was issued later.
        let order = |certificate: &Certificate| {
            let run = certificate.statement.run();
            (run.finished, run.log.head.size, certificate.object)
        };
        found.certificates.sort_by_key(order);
        found
    }

    /// Those of these objects that are good certificates and were not withdrawn, without their signatures.
    pub fn certificates_among(&self, objects: &[Digest]) -> Vec<Certificate> {
        let named = objects.iter().map(certificate_name).filter(|name| self.live.contains(name));
        named.filter_map(|name| self.certificate(&name, &ParsedName::parse(&name)?).ok()).collect()
    }

    /// The objects by which anybody who knows the root key can tell that this machine's log key is to be believed: the certificate
    /// of the user's key and that of the machine's, as they are stored. `None` if nobody vouches for it.
    pub fn chain(&self, writer: KeyId) -> Option<(Vec<u8>, Vec<u8>)> {
        let user = self.trust.writers.get(&writer)?.user_key;
        Some((self.user_certificate(user)?, self.key_object("writers/", writer)?))
    }

    /// The certificate of a user's signing key, as it is stored.
    pub fn user_certificate(&self, user: KeyId) -> Option<Vec<u8>> {
        self.key_object("users/", user)
    }

    /// The root public key.
    pub fn root_key(&self) -> VerifyingKey {
        self.trust.root
    }

    /// The good object of a folder of certificates that is about this key.
    fn key_object(&self, folder: &str, key: KeyId) -> Option<Vec<u8>> {
        crate::view::with_twins(&self.listing, folder).into_iter().find_map(|name| {
            let parsed = ParsedName::parse(name)?;
            let bytes = read(&*self.storage, name).ok()?;
            let body = self.trust.check(&parsed, &bytes).ok()?.body.to_vec();
            let of = match folder {
                "users/" => crate::wire::certificate::UserCertificate::decode(&body).ok()?.key,
                _ => crate::wire::certificate::WriterCertificate::decode(&body).ok()?.key,
            };
            (key_id(&of) == key).then_some(bytes)
        })
    }

    fn certificate(&self, name: &str, parsed: &ParsedName) -> Result<Certificate, Flaw> {
        let bytes = read(&*self.storage, name)?;
        let frame = self.trust.check(parsed, &bytes)?;
        let statement = Statement::parse(frame.body).map_err(|_| Malformed("not a statement that is certified"))?;
        // Else another machine could file it as its own, and it would no longer be found as that of who issued it.
        let log = self.log_key(frame.trailer.signer);
        if log.is_none_or(|log| log.name() != statement.run().log.origin) {
            return Err(Malformed("names another log than that of the machine that filed it").into());
        }
        Ok(Certificate {
            object: parsed.hash.parse().expect("a parsed name has 64 digits"),
            statement,
            payload: frame.body.to_vec(),
            writer: frame.trailer.signer,
            signatures: Vec::new(),
        })
    }

    fn signature(
        &self,
        name: &str,
        parsed: &ParsedName,
        of: &BTreeMap<Digest, Certificate>,
    ) -> Result<(Digest, CertificateSignature), Flaw> {
        let bytes = read(&*self.storage, name)?;
        let frame: Frame<'_> = self.trust.check(parsed, &bytes)?;
        let SignatureBody { statement, key, signature } = SignatureBody::decode(frame.body)?;
        let certificate = of.get(&statement).ok_or(Flaw::NotOfAnything)?;
        let id = key_id(&key);
        if !self.trust.writers.contains_key(&id) && !self.trust.users.contains_key(&id) {
            return Err(Flaw::UnknownSigner);
        }
        key.verify(&pae(STATEMENT_TYPE, &certificate.payload), &signature).map_err(|_| Flaw::BadSignature)?;
        Ok((statement, CertificateSignature { key, bytes: signature }))
    }
}

/// The name of the certificate that is this object.
pub(crate) fn certificate_name(object: &Digest) -> String {
    Stem::immutable(crate::name::ObjectKind::Certificate).name(object).to_string()
}

impl crate::vault::Vault {
    /// The certificate whose object's SHA-256 begins with these digits, or the newest of the snapshot whose id does.
    ///
    /// # Errors
    /// [`RepoError::NoSuchCertificate`].
    pub fn find_certificate(&self, name: &str) -> Result<Certificate, RepoError> {
        let all = self.view.certificates().certificates;
        let is_meant = |certificate: &&Certificate| {
            let subjects = certificate.statement.subjects.iter();
            certificate.object.to_string().starts_with(name)
                || matches!(certificate.statement.predicate, sb_audit::Predicate::Backup(_))
                    && subjects.map(|subject| subject.sha256.to_string()).any(|id| id.starts_with(name))
        };
        let found = all.iter().rev().find(is_meant).filter(|_| !name.is_empty());
        found.cloned().ok_or_else(|| RepoError::NoSuchCertificate { name: name.to_owned() })
    }
}
