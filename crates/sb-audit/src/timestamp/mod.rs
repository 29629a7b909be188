//! Time stamps (RFC 3161, RFC 5816): an authority signs that a message existed at a time.
//!
//! What is stamped is the text of a checkpoint, so that cosignatures added later do not invalidate it.

mod certificate;
mod elements;
mod root;
mod token;

use chrono::{DateTime, TimeDelta, Utc};
use sb_crypto::{X509Hash, sha256};

use certificate::Certificate;
pub(crate) use root::RootCertificate;
pub(crate) use token::plain_answer;
use token::{Info, Token};

use crate::malformed::Malformed;

const FORMAT: &str = "time stamp";
/// Between the authority's certificate and the root's.
const INTERMEDIATES_MAX: usize = 6;
/// What stands before the hash in a request: version 1, and SHA-256 as the algorithm of the imprint.
const REQUEST_HEAD: [u8; 22] = [
    0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// The request to send to an authority (`application/timestamp-query`): for the SHA-256 of `message`, with the
/// authority's certificate in the answer. A nonce, new for each request, shows that the answer is none from before.
///
/// ```
/// let request = sb_audit::time_stamp_request(b"a checkpoint", Some(7));
/// assert_eq!(request[..2], [0x30, request.len() as u8 - 2]);
/// ```
#[must_use]
pub fn time_stamp_request(message: &[u8], nonce: Option<u64>) -> Vec<u8> {
    let mut body = Vec::from(REQUEST_HEAD);
    body.extend(sha256(message).as_bytes());
    if let Some(nonce) = nonce {
        let bytes = nonce_bytes(nonce);
        body.extend([0x02, u8::try_from(bytes.len()).expect("at most 9 bytes")]);
        body.extend(bytes);
    }
    body.extend([0x01, 0x01, 0xff]);
    let mut request = vec![0x30, u8::try_from(body.len()).expect("at most 70 bytes")];
    request.extend(body);
    request
}

/// A number as the content of a DER INTEGER: no leading zeros but one where the highest bit is set.
fn nonce_bytes(nonce: u64) -> Vec<u8> {
    let bytes = [&[0], nonce.to_be_bytes().as_slice()].concat();
    let is_needless = |pair: &[u8]| pair[0] == 0 && pair[1] < 0x80;
    let needless = bytes.windows(2).take_while(|pair| is_needless(pair)).count();
    bytes[needless..].to_vec()
}

/// Root certificates whose time stamps are believed.
///
/// ```
/// use sb_audit::Authorities;
/// # macro_rules! read { ($name:literal) => { include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/rfc3161/", $name)) } }
/// let (roots, stamp, text) = (read!("ca.pem"), read!("body.tsr"), read!("body"));
/// let stamp = Authorities::from_pem(roots)?.verify(stamp, text)?;
/// assert_eq!(stamp.time.to_rfc3339(), "2026-11-21T05:42:50+00:00");
/// # Ok::<(), sb_audit::TimeStampError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Authorities {
    roots: Vec<Certificate>,
}

/// What an authority has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeStamp {
    /// When the message existed already, to the second or finer.
    pub time: DateTime<Utc>,
    /// How far that may be off either way, if the authority says.
    pub accuracy: Option<TimeDelta>,
    /// The subject of the certificate it was signed with.
    pub authority: String,
    /// The policy it was issued under, as a dotted object identifier.
    pub policy: String,
    /// The authority's serial number for it, big-endian.
    pub serial: Vec<u8>,
    /// The nonce of the request, if it had one, as the content of a DER INTEGER; see [`answers`](Self::answers).
    pub nonce: Option<Vec<u8>>,
}

impl TimeStamp {
    /// Reads an authority's answer as [`Authorities::verify`] does, but for the roots: the stamp is of `message` and signed
    /// with the certificate in it, for which **nobody vouches**. It is for who has asked for it, to see whether it is
    /// what was asked for.
    ///
    /// # Errors
    /// [`TimeStampError`], but not [`Untrusted`](TimeStampError::Untrusted) nor [`NotValidThen`](TimeStampError::NotValidThen).
    pub fn read(response: &[u8], message: &[u8]) -> Result<Self, TimeStampError> {
        let token = Token::parse(response)?;
        let (signer, info) = token.check(message)?;
        Ok(Self::of(signer, info))
    }

    fn of(signer: &Certificate, info: Info) -> Self {
        Self {
            time: info.time,
            accuracy: info.accuracy,
            authority: signer.subject(),
            policy: info.policy,
            serial: info.serial,
            nonce: info.nonce,
        }
    }

    /// Whether it was made for the request with this nonce.
    #[must_use]
    pub fn answers(&self, nonce: u64) -> bool {
        self.nonce.as_ref().is_some_and(|found| *found == nonce_bytes(nonce))
    }
}

impl Authorities {
    /// Reads the root certificates from PEM, one or more.
    ///
    /// # Errors
    /// [`TimeStampError::Malformed`] if there are none, or other things.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TimeStampError> {
        Ok(Self { roots: Certificate::from_pem(pem)? })
    }

    /// Verifies an authority's answer (`application/timestamp-reply`, a `.tsr` file): that it stamps `message` (of a
    /// checkpoint its text, as [`Checkpoint`](crate::Checkpoint) displays it, without signatures), is signed by a certificate for time stamping only that was valid then, and that one of the roots vouches for that.
    /// Whether a certificate was revoked is not known here, nor whether the answer is new: whoever has just asked compares the
    /// nonce, by [`TimeStamp::answers`].
    ///
    /// Understood are SHA-256, SHA-384 and SHA-512 with RSA (PKCS #1 v1.5), the first two also with ECDSA on P-256 and
    /// P-384; and `SigningCertificateV2` attributes (RFC 5035), not those that use SHA-1.
    ///
    /// # Errors
    /// [`TimeStampError`].
    pub fn verify(&self, response: &[u8], message: &[u8]) -> Result<TimeStamp, TimeStampError> {
        let token = Token::parse(response)?;
        let (signer, info) = token.check(message)?;
        self.vouch(signer, token.certificates(), info.time)?;
        Ok(TimeStamp::of(signer, info))
    }

    /// Follows the issuers from `signer` up to a root, on all ways at once: an issuer may have several certificates, renewed
    /// or by several others, and not all of them lead there.
    fn vouch(&self, signer: &Certificate, others: &[Certificate], time: DateTime<Utc>) -> Result<(), TimeStampError> {
        let mut fault = TimeStampError::Untrusted { issuer: signer.issuer() };
        let mut left: Vec<&Certificate> = self.roots.iter().chain(others).collect();
        let mut reached = vec![signer];
        for intermediates in 0..=INTERMEDIATES_MAX + 1 {
            let mut level = Vec::new();
            for certificate in reached {
                match certificate.check_valid_at(time) {
                    Ok(()) if self.roots.contains(certificate) => return Ok(()),
                    Ok(()) => level.push(certificate),
                    Err(not_then) => fault = not_then,
                }
            }
            if let Some(top) = level.first() {
                fault = TimeStampError::Untrusted { issuer: top.issuer() };
            }
            let issues = |issuer: &&Certificate| level.iter().any(|below| below.is_issued_by(issuer, intermediates));
            (reached, left) = left.into_iter().partition(issues);
        }
        Err(fault)
    }
}

/// Why a time stamp is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeStampError {
    /// The bytes are no answer of an authority, or no certificate.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The authority did not stamp anything.
    #[error("the authority refused to make a time stamp, status {status}")]
    Refused {
        /// The `PKIStatus` of RFC 3161 §2.4.2.
        status: u8,
    },
    /// It stamps something else.
    #[error("the time stamp is of another message")]
    OtherMessage,
    /// It uses an algorithm that is not understood here.
    #[error("time stamps that use the algorithm {oid} are not understood")]
    UnknownAlgorithm {
        /// Its object identifier.
        oid: String,
    },
    /// The certificate it is signed with is not in it, or not bound to it.
    #[error("the time stamp does not contain the certificate that it was signed with")]
    NoCertificate,
    /// The signature is bad.
    #[error("the time stamp's signature does not match")]
    BadSignature,
    /// The certificate it is signed with is not for time stamps, or for other things too.
    #[error("the certificate of `{subject}` is not one for time stamps")]
    NotAnAuthority {
        /// The certificate's subject.
        subject: String,
    },
    /// A certificate was not valid yet, or no longer, at the time in the stamp.
    #[error("the certificate of `{subject}` was not valid at the time of the stamp")]
    NotValidThen {
        /// The certificate's subject.
        subject: String,
    },
    /// No root vouches for it.
    #[error("no trusted root vouches for certificates of `{issuer}`")]
    Untrusted {
        /// The issuer that is not known, or may not issue this.
        issuer: String,
    },
}

/// The hash algorithm with this object identifier.
fn hash_algorithm(oid: &str) -> Result<X509Hash, TimeStampError> {
    match oid {
        "2.16.840.1.101.3.4.2.1" => Ok(X509Hash::Sha256),
        "2.16.840.1.101.3.4.2.2" => Ok(X509Hash::Sha384),
        "2.16.840.1.101.3.4.2.3" => Ok(X509Hash::Sha512),
        _ => Err(TimeStampError::UnknownAlgorithm { oid: oid.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::elements::Element;
    use super::*;

    const STAMP: &[u8] = include_bytes!("../../tests/data/tsa/p256.tsr");
    const ROOT: &[u8] = include_bytes!("../../tests/data/tsa/p256-root.pem");

    #[test]
    fn only_a_certificate_for_time_stamps_alone_may_make_them() {
        for (pem, may) in [
            (include_bytes!("../../tests/data/tsa/purposes/tsa.pem").as_slice(), true),
            (include_bytes!("../../tests/data/tsa/purposes/plain.pem"), false),
            (include_bytes!("../../tests/data/tsa/purposes/uncritical.pem"), false),
            (include_bytes!("../../tests/data/tsa/purposes/several.pem"), false),
            (include_bytes!("../../tests/data/tsa/purposes/encipher.pem"), false),
            (include_bytes!("../../tests/data/tsa/purposes/constrained.pem"), false),
            (ROOT, false),
        ] {
            let certificate = &Certificate::from_pem(pem).unwrap()[0];
            assert_eq!(certificate.check_is_authority().is_ok(), may, "{}", certificate.subject());
        }
    }

    #[test]
    fn an_extension_that_can_not_be_read_is_not_passed_over() {
        let certificate = &Certificate::from_pem(include_bytes!("../../tests/data/tsa/purposes/tsa.pem")).unwrap()[0];
        let mut der = certificate.der().to_vec();
        let key_usage = [0x06, 0x03, 0x55, 0x1d, 0x0f, 0x01, 0x01, 0xff, 0x04, 0x04, 0x03];
        let at = der.windows(key_usage.len()).position(|window| window == key_usage).unwrap();
        der[at + key_usage.len() - 1] = 0x04;
        assert!(Certificate::parse(&der).unwrap().check_is_authority().is_err());
    }

    #[test]
    fn certificates_are_valid_for_a_while() {
        let token = Token::parse(STAMP).unwrap();
        let signer = token.verify_signature().unwrap();
        let roots = Authorities::from_pem(ROOT).unwrap();
        let then = token.info().unwrap().time;
        let vouch = |roots: &Authorities, time| roots.vouch(signer, token.certificates(), time);
        assert_eq!(vouch(&roots, then), Ok(()));
        let not_then = Err(TimeStampError::NotValidThen { subject: "CN=p256".to_owned() });
        assert_eq!(vouch(&roots, then - TimeDelta::days(1)), not_then);
        assert_eq!(vouch(&roots, then + TimeDelta::days(40_000)), not_then);
        // A certificate that is itself believed needs nobody to vouch for it.
        assert_eq!(vouch(&Authorities { roots: vec![signer.clone()] }, then), Ok(()));
    }

    const CROSSED_ROOT: &[u8] = include_bytes!("../../tests/data/tsa/crossed/root.pem");
    const CROSSED_TSA: &[u8] = include_bytes!("../../tests/data/tsa/crossed/tsa.pem");

    /// The issuer of `CROSSED_TSA`, with one key.
    fn issuer(pem: &[u8]) -> Certificate {
        Certificate::from_pem(pem).unwrap().remove(0)
    }

    #[test]
    fn any_certificate_of_an_issuer_may_lead_to_a_root() {
        let signer = issuer(CROSSED_TSA);
        let day = issuer(include_bytes!("../../tests/data/tsa/crossed/day.pem"));
        let stranger = issuer(include_bytes!("../../tests/data/tsa/crossed/stranger.pem"));
        let good = issuer(include_bytes!("../../tests/data/tsa/crossed/good.pem"));
        let renamed = issuer(include_bytes!("../../tests/data/tsa/crossed/renamed.pem"));
        let signs = issuer(include_bytes!("../../tests/data/tsa/crossed/signs.pem"));
        let code = issuer(include_bytes!("../../tests/data/tsa/crossed/code.pem"));
        let roots = Authorities::from_pem(CROSSED_ROOT).unwrap();
        let later = DateTime::from_timestamp(1_900_000_000, 0).unwrap();
        let vouch = |others: &[&Certificate]| {
            let others: Vec<_> = others.iter().map(|one| (*one).clone()).collect();
            roots.vouch(&signer, &others, later)
        };
        for others in [[&stranger, &day, &good], [&day, &stranger, &good], [&good, &stranger, &day]] {
            assert_eq!(vouch(&others), Ok(()));
        }
        assert_eq!(vouch(&[&day]), Err(TimeStampError::NotValidThen { subject: "CN=crossed".to_owned() }));
        let untrusted = |issuer: &str| Err(TimeStampError::Untrusted { issuer: issuer.to_owned() });
        assert_eq!(vouch(&[&stranger, &day]), untrusted("CN=stranger"));
        assert_eq!(vouch(&[]), untrusted("CN=crossed"));
        // The same key by another name, or not for issuing certificates, or not for this.
        for other in [&renamed, &signs, &code] {
            assert_eq!(vouch(&[other]), untrusted("CN=crossed"), "{}", other.subject());
        }
        // What is itself among the roots needs no other, and is valid for a while only, too.
        let anchored = |root: &Certificate| Authorities { roots: vec![root.clone()] }.vouch(&signer, &[], later);
        assert_eq!(anchored(&stranger), Ok(()));
        assert_eq!(anchored(&day), Err(TimeStampError::NotValidThen { subject: "CN=crossed".to_owned() }));
    }

    #[test]
    fn an_issuer_vouches_for_what_it_has_signed_alone() {
        let roots = Authorities::from_pem(include_bytes!("../../tests/data/tsa/crossed/good.pem")).unwrap();
        let signer = issuer(CROSSED_TSA);
        let then = DateTime::from_timestamp(1_900_000_000, 0).unwrap();
        assert_eq!(roots.vouch(&signer, &[], then), Ok(()));
        let root = issuer(ROOT);
        assert!(root.is_issued_by(&root, 0));
        let [signed, algorithm, signature] =
            Element::only("certificate", root.der()).unwrap().elements("certificate").all().unwrap()[..]
        else {
            panic!("three parts")
        };
        // Another signature, and another name for its algorithm than the signed one.
        let forged = |from: &[u8], to: &[u8], signer: &Certificate| {
            let at = signer.der().windows(from.len()).rposition(|window| window == from).unwrap();
            Certificate::parse(&[&signer.der()[..at], to, &signer.der()[at + from.len()..]].concat()).unwrap()
        };
        let mut other = signature.whole.to_vec();
        *other.last_mut().unwrap() ^= 1;
        let forged_root = forged(signature.whole, &other, &root);
        assert!(!forged_root.is_issued_by(&root, 0));
        let sha384 = [&algorithm.whole[..algorithm.whole.len() - 1], &[3]].concat();
        assert!(!forged(algorithm.whole, &sha384, &root).is_issued_by(&root, 0));
        let bytes = &signature.content[1..];
        let verify = |hash| root.verify("1.2.840.10045.4.3.2", hash, signed.whole, bytes);
        assert_eq!((verify(None), verify(Some(X509Hash::Sha256))), (Ok(()), Ok(())));
        assert_eq!(
            verify(Some(X509Hash::Sha384)),
            Err(TimeStampError::BadSignature),
            "the digest's algorithm is another"
        );
    }

    #[test]
    fn numbers_are_written_as_short_as_they_can_be() {
        for (nonce, bytes) in [
            (0, vec![0]),
            (0x7f, vec![0x7f]),
            (0x80, vec![0, 0x80]),
            (0x1234, vec![0x12, 0x34]),
            (u64::MAX, [vec![0], vec![0xff; 8]].concat()),
        ] {
            assert_eq!(nonce_bytes(nonce), bytes);
        }
    }
}
