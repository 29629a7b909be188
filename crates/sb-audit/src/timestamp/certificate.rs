//! X.509 certificates of time-stamp authorities and of those who vouch for them (RFC 5280).

use chrono::{DateTime, Utc};
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode, Tag};
use sb_crypto::{X509Hash, X509Signature};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

use super::TimeStampError;
use super::elements::{Element, malformed};
use crate::malformed::Malformed;

const NAME: &str = "certificate";
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// Extensions that may be critical: basic constraints, key usage, extended key usage, policies, key identifiers.
const UNDERSTOOD: [&str; 6] = ["2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.32", "2.5.29.14", "2.5.29.35"];

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    parsed: x509_cert::Certificate,
    der: Vec<u8>,
}

impl Certificate {
    pub(super) fn parse(der: &[u8]) -> Result<Self, Malformed> {
        let parsed = x509_cert::Certificate::from_der(der).map_err(|_| malformed(NAME, "not an X.509 certificate"))?;
        Ok(Self { parsed, der: der.to_vec() })
    }

    pub(super) fn from_pem(pem: &[u8]) -> Result<Vec<Self>, Malformed> {
        let none = || malformed(NAME, "not PEM with certificates");
        let all = x509_cert::Certificate::load_pem_chain(pem).map_err(|_| none())?;
        if all.is_empty() {
            return Err(none());
        }
        all.into_iter().map(|parsed| Self::parse(&parsed.to_der().map_err(|_| none())?)).collect()
    }

    pub(super) fn subject(&self) -> String {
        self.parsed.tbs_certificate().subject().to_string()
    }

    pub(super) fn issuer(&self) -> String {
        self.parsed.tbs_certificate().issuer().to_string()
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether it is the one with this issuer, in DER, and this content of a serial number.
    pub(super) fn is_numbered(&self, issuer: &[u8], serial: &[u8]) -> bool {
        let tbs = self.parsed.tbs_certificate();
        tbs.issuer().to_der().is_ok_and(|der| der == issuer) && tbs.serial_number().as_bytes() == serial
    }

    pub(super) fn check_valid_at(&self, time: DateTime<Utc>) -> Result<(), TimeStampError> {
        let validity = self.parsed.tbs_certificate().validity();
        let seconds =
            |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        if (seconds(validity.not_before)..=seconds(validity.not_after)).contains(&time.timestamp()) {
            Ok(())
        } else {
            Err(TimeStampError::NotValidThen { subject: self.subject() })
        }
    }

    /// Checks that it is for time stamps and nothing else, and says so critically (RFC 3161 §2.3).
    pub(super) fn check_is_authority(&self) -> Result<(), TimeStampError> {
        let no = TimeStampError::NotAnAuthority { subject: self.subject() };
        let usages = self.extension::<ExtendedKeyUsage>().ok_or_else(|| no.clone())?;
        let critical = self.is_critical(EXTENDED_KEY_USAGE);
        let signs =
            self.extension::<KeyUsage>().is_none_or(|usage| usage.digital_signature() || usage.non_repudiation());
        if usages.0 == [TIME_STAMPING] && critical && signs && self.is_understood() { Ok(()) } else { Err(no) }
    }

    /// Whether `issuer` has issued this certificate and may, with so many certificates between it and the authority's.
    pub(super) fn is_issued_by(&self, issuer: &Self, intermediates: usize) -> bool {
        let constraints = issuer.extension::<BasicConstraints>();
        let may_issue = constraints.is_some_and(|constraints| {
            let depth = constraints.path_len_constraint.map_or(usize::MAX, usize::from);
            constraints.ca && intermediates <= depth
        });
        let may_sign = issuer.extension::<KeyUsage>().is_none_or(|usage| usage.key_cert_sign());
        let usages = issuer.extension::<ExtendedKeyUsage>();
        let stamps =
            usages.is_none_or(|usages| usages.0.iter().any(|usage| [TIME_STAMPING, ANY_USAGE].contains(usage)));
        let named = self.parsed.tbs_certificate().issuer() == issuer.parsed.tbs_certificate().subject();
        named && may_issue && may_sign && stamps && issuer.is_understood() && self.is_signed_by(issuer)
    }

    fn is_signed_by(&self, issuer: &Self) -> bool {
        let Ok(whole) = Element::only(NAME, &self.der) else { return false };
        let Ok(signed) = whole.elements(NAME).expect(Tag::Sequence) else { return false };
        let algorithm = self.parsed.signature_algorithm();
        let oid = algorithm.oid.to_string();
        let Some(signature) = self.parsed.signature().as_bytes() else { return false };
        let same_within = algorithm == self.parsed.tbs_certificate().signature();
        same_within && issuer.verify(&oid, None, signed.whole, signature).is_ok()
    }

    /// Checks a signature made with its key by the algorithm with this object identifier; some need the hash besides.
    pub(super) fn verify(
        &self,
        oid: &str,
        hash: Option<X509Hash>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TimeStampError> {
        let unknown = || TimeStampError::UnknownAlgorithm { oid: oid.to_owned() };
        let spki = self.parsed.tbs_certificate().subject_public_key_info();
        let key = spki.subject_public_key.as_bytes().ok_or_else(unknown)?;
        let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        let curve = curve.map(|curve| curve.to_string());
        let (kind, named) = match oid {
            RSA => (RSA, None),
            "1.2.840.113549.1.1.11" => (RSA, Some(X509Hash::Sha256)),
            "1.2.840.113549.1.1.12" => (RSA, Some(X509Hash::Sha384)),
            "1.2.840.113549.1.1.13" => (RSA, Some(X509Hash::Sha512)),
            "1.2.840.10045.4.3.2" => (EC, Some(X509Hash::Sha256)),
            "1.2.840.10045.4.3.3" => (EC, Some(X509Hash::Sha384)),
            _ => return Err(unknown()),
        };
        let used = named.or(hash).ok_or_else(unknown)?;
        let agree = hash.is_none_or(|hash| hash == used);
        let algorithm = match (kind, spki.algorithm.oid.to_string().as_str(), curve.as_deref()) {
            (RSA, RSA, _) => X509Signature::Rsa(used),
            (EC, EC, Some(P256)) => X509Signature::EcdsaP256(used),
            (EC, EC, Some(P384)) => X509Signature::EcdsaP384(used),
            _ => return Err(unknown()),
        };
        let good = agree && algorithm.verify(key, message, signature).is_ok();
        if good { Ok(()) } else { Err(TimeStampError::BadSignature) }
    }

    fn extension<'a, T: Decode<'a> + der::oid::AssociatedOid>(&'a self) -> Option<T> {
        self.parsed.tbs_certificate().get_extension::<T>().ok().flatten().map(|(_, extension)| extension)
    }

    fn is_critical(&self, oid: ObjectIdentifier) -> bool {
        let mut extensions = self.parsed.tbs_certificate().extensions().into_iter().flatten();
        extensions.any(|extension| extension.extn_id == oid && extension.critical)
    }

    /// Whether what is looked at here can be read, and nothing else in it is critical.
    fn is_understood(&self) -> bool {
        let tbs = self.parsed.tbs_certificate();
        let known = |oid: ObjectIdentifier| UNDERSTOOD.contains(&oid.to_string().as_str());
        let mut extensions = tbs.extensions().into_iter().flatten();
        extensions.all(|extension| !extension.critical || known(extension.extn_id))
            && tbs.get_extension::<BasicConstraints>().is_ok()
            && tbs.get_extension::<KeyUsage>().is_ok()
            && tbs.get_extension::<ExtendedKeyUsage>().is_ok()
    }
}
