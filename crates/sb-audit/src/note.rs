//! Signed notes: text with signatures below it, as C2SP signed-note v1.0.0 defines them, and the two kinds of key that
//! sign ours: logs (type 0x01) and witnesses (type 0x04, C2SP tlog-cosignature v1.0.1).

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use chrono::{DateTime, Utc};
use sb_crypto::{SigningKey, VerifyingKey, sha256};

use crate::lines::Lines;
use crate::malformed::Malformed;

/// Room for many signatures of post-quantum size.
const NOTE_BYTES_MAX: usize = 256 << 10;
const SIGNATURES_MAX: usize = 64;
const FORMAT: &str = "signed note";
const KEY_FORMAT: &str = "verifier key";

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SignatureType {
    /// Ed25519 over the text of the note: a log.
    Note = 0x01,
    /// Ed25519 over a time and the text, `cosignature/v1`: a witness.
    Cosignature = 0x04,
}

/// A public key that verifies signatures on notes, with the name it signs under.
///
/// Its text is a C2SP *vkey*: `name+key id in hexadecimal+base64 of type and key`.
///
/// ```
/// use sb_audit::VerifierKey;
/// let text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
/// let key: VerifierKey = text.parse()?;
/// assert_eq!(key.name(), "example.com/foo");
/// assert_eq!(key.to_string(), text);
/// # Ok::<(), sb_audit::Malformed>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    kind: SignatureType,
    key: VerifyingKey,
}

impl VerifierKey {
    /// A key with its name.
    ///
    /// # Errors
    /// [`Malformed`] if the name is empty or has white space, control characters or a `+` in it.
    pub fn new(name: &str, kind: SignatureType, key: VerifyingKey) -> Result<Self, Malformed> {
        if is_key_name(name) {
            Ok(Self { name: name.to_owned(), kind, key })
        } else {
            Err(Malformed::at_field(KEY_FORMAT, "name", "empty, or with white space or `+` in it"))
        }
    }

    /// The name it signs under; of a log, the log's origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    #[must_use]
    pub const fn kind(&self) -> SignatureType {
        self.kind
    }

    /// The key itself.
    #[must_use]
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The key id: with the name it tells which key made a signature. It is a hint and proves nothing.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let mut bytes = Vec::from(self.name.as_bytes());
        bytes.extend([b'\n', self.kind as u8]);
        bytes.extend(self.key.as_bytes());
        let [a, b, c, d, ..] = *sha256(&bytes).as_bytes();
        [a, b, c, d]
    }

    /// When a cosignature was made, or `None` for a log's signature, if it is good at all.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<Option<DateTime<Utc>>> {
        match self.kind {
            SignatureType::Note => {
                self.key.verify(text.as_bytes(), signature.try_into().ok()?).ok()?;
                Some(None)
            }
            SignatureType::Cosignature => {
                let (time, signature) = signature.split_first_chunk()?;
                let seconds = u64::from_be_bytes(*time);
                let time = DateTime::from_timestamp(i64::try_from(seconds).ok()?, 0)?;
                self.key.verify(cosigned(text, seconds).as_bytes(), signature.try_into().ok()?).ok()?;
                Some(Some(time))
            }
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind as u8], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), Base64::encode_string(&key))
    }
}

/// Reads a vkey; other types than the two of [`SignatureType`] are refused.
impl FromStr for VerifierKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let fault = |field, fault| Malformed::at_field(KEY_FORMAT, field, fault);
        let (name, rest) = text.split_once('+').ok_or_else(|| fault("name", "no `+` after it"))?;
        let (id, encoded) = rest.split_once('+').ok_or_else(|| fault("id", "no `+` after it"))?;
        let bytes = Base64::decode_vec(encoded).map_err(|_| fault("key", "not base64"))?;
        let kind = match bytes.first() {
            Some(0x01) => SignatureType::Note,
            Some(0x04) => SignatureType::Cosignature,
            _ => return Err(fault("key", "of an unknown type")),
        };
        let key = bytes[1..].try_into().map_err(|_| fault("key", "not 32 bytes"))?;
        let key = Self::new(name, kind, VerifyingKey::from_bytes(key))?;
        if format!("{:08x}", u32::from_be_bytes(key.id())) == id {
            Ok(key)
        } else {
            Err(fault("id", "not that of the key"))
        }
    }
}

fn is_key_name(name: &str) -> bool {
    let unfit = |character: char| character.is_whitespace() || character.is_control() || character == '+';
    !name.is_empty() && !name.contains(unfit)
}

/// What a cosignature signs.
fn cosigned(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// The key of a log.
#[derive(Clone, Debug)]
pub struct NoteSigner {
    key: SigningKey,
    verifier: VerifierKey,
}

impl NoteSigner {
    /// A key that signs notes under this name; of a log, its origin.
    ///
    /// # Errors
    /// [`Malformed`] if it can't be a key's name; see [`VerifierKey::new`].
    pub fn new(name: &str, key: SigningKey) -> Result<Self, Malformed> {
        let verifier = VerifierKey::new(name, SignatureType::Note, key.public())?;
        Ok(Self { key, verifier })
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// A signature over the text of a note.
    #[must_use]
    pub fn sign(&self, text: &str) -> NoteSignature {
        NoteSignature::by(&self.verifier, self.key.sign(text.as_bytes()).to_vec())
    }
}

/// The key of a witness.
#[derive(Clone, Debug)]
pub struct Cosigner {
    key: SigningKey,
    verifier: VerifierKey,
}

impl Cosigner {
    /// A key that cosigns under this name. A key must not be used under two names: cosignatures do not commit to it.
    ///
    /// # Errors
    /// [`Malformed`] if it can't be a key's name; see [`VerifierKey::new`].
    pub fn new(name: &str, key: SigningKey) -> Result<Self, Malformed> {
        let verifier = VerifierKey::new(name, SignatureType::Cosignature, key.public())?;
        Ok(Self { key, verifier })
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// A `cosignature/v1` over the text of a checkpoint, made at `time`; what is below a second is cut off.
    ///
    /// # Panics
    /// When `time` is before 1970, which the format can't say.
    #[must_use]
    pub fn cosign(&self, text: &str, time: DateTime<Utc>) -> NoteSignature {
        let seconds = u64::try_from(time.timestamp()).expect("a cosignature is made after 1970");
        let signature = self.key.sign(cosigned(text, seconds).as_bytes());
        NoteSignature::by(&self.verifier, [&seconds.to_be_bytes(), signature.as_slice()].concat())
    }
}

/// One signature line of a note.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NoteSignature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl NoteSignature {
    fn by(verifier: &VerifierKey, bytes: Vec<u8>) -> Self {
        Self { name: verifier.name.clone(), id: verifier.id(), bytes }
    }

    /// The name of the key that is said to have made it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `key` is said to have made it.
    #[must_use]
    pub fn is_by(&self, key: &VerifierKey) -> bool {
        self.name == key.name && self.id == key.id()
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        let bytes = Base64::decode_vec(encoded).ok()?;
        let (id, bytes) = bytes.split_first_chunk()?;
        (is_key_name(name) && !bytes.is_empty()).then(|| Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }
}

/// The line with its newline.
impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.as_slice(), &self.bytes].concat();
        writeln!(f, "— {} {}", self.name, Base64::encode_string(&bytes))
    }
}

/// A text with signatures. Believe none of it before [`verify`](Self::verify) has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A text with one signature.
    ///
    /// # Errors
    /// [`Malformed`] if the text does not end with a newline or has control characters in it.
    pub fn new(text: &str, signature: NoteSignature) -> Result<Self, Malformed> {
        let mut lines = Lines::new(FORMAT, text.as_bytes(), NOTE_BYTES_MAX)?;
        lines.next()?;
        while !lines.rest().is_empty() {
            lines.next()?;
        }
        Ok(Self { text: text.to_owned(), signatures: vec![signature] })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`Malformed`] if it is none, has more than 64 signatures or more than 256 KiB.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let whole = Lines::new(FORMAT, bytes, NOTE_BYTES_MAX)?.rest();
        let (text, signatures) = whole.rsplit_once("\n\n").ok_or(Malformed::at_line(FORMAT, 1, "no signatures"))?;
        let first = text.lines().count() + 2;
        let mut lines = Lines::new(FORMAT, signatures.as_bytes(), NOTE_BYTES_MAX)?;
        let mut parsed = Vec::new();
        while parsed.is_empty() || !lines.rest().is_empty() {
            let fault = |fault| Malformed::at_line(FORMAT, first + parsed.len(), fault);
            let line = lines.next().map_err(|_| fault("a signature line is missing or has no end"))?;
            if parsed.len() == SIGNATURES_MAX {
                return Err(fault("too many signatures"));
            }
            let signature = NoteSignature::parse(line).ok_or_else(|| fault("not a signature line"))?;
            parsed.push(signature);
        }
        Ok(Self { text: format!("{text}\n"), signatures: parsed })
    }

    /// What is signed, with its final newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, good or bad.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature, as when a witness has cosigned.
    pub fn add(&mut self, signature: NoteSignature) {
        self.signatures.push(signature);
    }

    /// The signatures by any of `keys`, each key counted once, in the order of the note. Others are ignored.
    ///
    /// # Errors
    /// [`NoteError`] if a signature by one of them is bad, or there is none.
    pub fn verify<'k>(&self, keys: impl IntoIterator<Item = &'k VerifierKey>) -> Result<Vec<Signed<'k>>, NoteError> {
        let keys: Vec<_> = keys.into_iter().collect();
        let mut found: Vec<Signed<'k>> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = keys.iter().copied().find(|key| signature.is_by(key)) else { continue };
            let bad = || NoteError::BadSignature { name: key.name.clone() };
            let time = key.verify(&self.text, &signature.bytes).ok_or_else(bad)?;
            if found.iter().all(|signed| signed.key != key) {
                found.push(Signed { key, time });
            }
        }
        if found.is_empty() { Err(NoteError::Unsigned) } else { Ok(found) }
    }
}

/// The note as it is stored and sent.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}

/// A signature that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'k> {
    /// By whom.
    pub key: &'k VerifierKey,
    /// When, if it is a cosignature: what its maker says, to the second.
    pub time: Option<DateTime<Utc>>,
}

/// Why a note is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// A signature that names a known key was not made by it over this text.
    #[error("the signature of `{name}` is not good")]
    BadSignature {
        /// The name of the key.
        name: String,
    },
    /// None of the known keys has signed.
    #[error("no known key has signed this note")]
    Unsigned,
}
