//! Signed envelopes: DSSE v1.0.2 with Ed25519 (<https://github.com/secure-systems-lab/dsse>).
//!
//! What is signed is `PAE(type, payload) = "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload`, lengths counting
//! bytes in decimal. The payload itself is what a reader uses; no canonical form takes part in the verification.

use base64ct::{Base64, Base64Url, Encoding};
use sb_crypto::{Digest, SigningKey, VerifyingKey, sha256};

use crate::fields::Fields;
use crate::json::Json;
use crate::malformed::Malformed;

const FORMAT: &str = "envelope";
const BYTES_MAX: usize = 4 << 20;
const SIGNATURES_MAX: usize = 64;
/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410 §4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The bytes that an envelope's signatures sign.
///
/// ```
/// let signed = sb_audit::pae("http://example.com/HelloWorld", b"hello world");
/// assert_eq!(signed, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
/// ```
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// A public key as SubjectPublicKeyInfo in DER, the content of the PEM files that `openssl` reads.
#[must_use]
pub fn spki_der(key: &VerifyingKey) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), key.as_bytes()].concat()
}

/// A public key as the PEM file that `openssl` reads.
#[must_use]
pub fn spki_pem(key: &VerifyingKey) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", Base64::encode_string(&spki_der(key)))
}

/// How a key is named in envelopes: the SHA-256 of its SubjectPublicKeyInfo.
#[must_use]
pub fn envelope_key_id(key: &VerifyingKey) -> Digest {
    sha256(&spki_der(key))
}

/// A payload with signatures. Believe nothing of it before [`verify`](Self::verify) has.
///
/// ```
/// use sb_audit::Envelope;
/// use sb_crypto::{SigningKey, SystemRandom};
/// let service = SigningKey::generate(&SystemRandom);
/// let officer = SigningKey::generate(&SystemRandom);
/// let mut envelope = Envelope::new("text/plain", b"done".to_vec());
/// envelope.sign(&service);
/// envelope.sign(&officer); // perhaps a week later: nothing else changes
/// let read = Envelope::parse(envelope.to_json().to_string().as_bytes())?;
/// assert_eq!(read.verify("text/plain", &[service.public(), officer.public()], 2)?.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

/// A signature in an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// Which key made it: a hint that proves nothing. Empty if not said.
    pub key_id: String,
    /// The signature.
    pub bytes: Vec<u8>,
}

impl EnvelopeSignature {
    /// The signature of a payload of this type, for those who keep it apart and put the envelope together later.
    #[must_use]
    pub fn by(key: &SigningKey, payload_type: &str, payload: &[u8]) -> Self {
        let bytes = key.sign(&pae(payload_type, payload)).to_vec();
        Self { key_id: envelope_key_id(&key.public()).to_string(), bytes }
    }
}

impl Envelope {
    /// An envelope without signatures.
    #[must_use]
    pub fn new(payload_type: &str, payload: Vec<u8>) -> Self {
        Self { payload_type: payload_type.to_owned(), payload, signatures: Vec::new() }
    }

    /// Adds a signature by this key.
    pub fn sign(&mut self, key: &SigningKey) {
        self.add(EnvelopeSignature::by(key, &self.payload_type, &self.payload));
    }

    /// Adds a signature that was made elsewhere.
    pub fn add(&mut self, signature: EnvelopeSignature) {
        self.signatures.push(signature);
    }

    /// The kind of payload, a media type.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// The bytes that were signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signatures, good or bad.
    #[must_use]
    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    /// Reads an envelope; base64 may be of the standard or of the URL-safe alphabet, with padding. Fields that DSSE does
    /// not know are ignored, if [`Json`] can read them.
    ///
    /// # Errors
    /// [`Malformed`] if it is none, has more than 64 signatures or more than 4 MiB.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > BYTES_MAX {
            return Err(Malformed::at_byte(FORMAT, BYTES_MAX, "too long"));
        }
        let mut fields = Fields::of(FORMAT, "", Json::parse(bytes)?)?;
        let payload_type = fields.text("payloadType")?;
        let payload = base64(&mut fields, "payload")?;
        let signatures = fields.list("signatures")?;
        if signatures.is_empty() || signatures.len() > SIGNATURES_MAX {
            return Err(fields.fault("signatures", "none, or too many"));
        }
        let signature = |value| {
            let mut fields = Fields::of(FORMAT, "signatures", value)?;
            let key_id = match fields.optional("keyid") {
                None => String::new(),
                Some(Json::Text(text)) => text,
                Some(_) => return Err(fields.fault("keyid", "not a string")),
            };
            Ok(EnvelopeSignature { key_id, bytes: base64(&mut fields, "sig")? })
        };
        let signatures = signatures.into_iter().map(signature).collect::<Result<_, _>>()?;
        Ok(Self { payload_type, payload, signatures })
    }

    /// The envelope as it is stored and sent, in its canonical form.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let signature = |signature: &EnvelopeSignature| {
            let sig = Json::text(Base64::encode_string(&signature.bytes));
            Json::object([("keyid", Json::text(&signature.key_id)), ("sig", sig)])
        };
        Json::object([
            ("payload", Json::text(Base64::encode_string(&self.payload))),
            ("payloadType", Json::text(&self.payload_type)),
            ("signatures", Json::List(self.signatures.iter().map(signature).collect())),
        ])
    }

    /// The keys among `trusted` that have signed this payload as one of this type; each counts once, however many
    /// signatures it made. Signatures by others are ignored, and so are key ids, which anybody can write.
    ///
    /// # Errors
    /// [`EnvelopeError`] if the payload is of another type, or fewer than `threshold` keys have signed (at least 1).
    pub fn verify(
        &self,
        payload_type: &str,
        trusted: &[VerifyingKey],
        threshold: usize,
    ) -> Result<Vec<VerifyingKey>, EnvelopeError> {
        if self.payload_type != payload_type {
            return Err(EnvelopeError::OtherType { found: self.payload_type.clone() });
        }
        let signed = pae(&self.payload_type, &self.payload);
        let good = |key: &VerifyingKey, signature: &EnvelopeSignature| {
            signature.bytes.as_slice().try_into().is_ok_and(|bytes| key.verify(&signed, bytes).is_ok())
        };
        let mut signers: Vec<VerifyingKey> = Vec::new();
        for key in trusted {
            if !signers.contains(key) && self.signatures.iter().any(|signature| good(key, signature)) {
                signers.push(*key);
            }
        }
        let needed = threshold.max(1);
        if signers.len() < needed {
            return Err(EnvelopeError::TooFewSigners { found: signers.len(), needed });
        }
        Ok(signers)
    }
}

fn base64(fields: &mut Fields, name: &str) -> Result<Vec<u8>, Malformed> {
    let text = fields.text(name)?;
    let decoded = Base64::decode_vec(&text).or_else(|_| Base64Url::decode_vec(&text));
    decoded.map_err(|_| fields.fault(name, "not base64"))
}

/// Why an envelope is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The payload is something else.
    #[error("the envelope holds a payload of another type, `{found}`")]
    OtherType {
        /// The type it says.
        found: String,
    },
    /// Too few of the trusted keys have signed.
    #[error("{found} trusted keys have signed, at least {needed} must")]
    TooFewSigners {
        /// How many have.
        found: usize,
        /// How many must.
        needed: usize,
    },
}
