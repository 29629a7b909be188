//! From the root key of a vault to the key that a machine signs its log and its certificates with.
//!
//! Root vouches for the users of a vault, a user for a machine. Each of these certificates is an object of the vault,
//! and is verified here as it is stored: header, body and trailer as docs/format.md §2 and §4 lay them out.

use sb_crypto::{VerifyingKey, sha256};

use crate::malformed::Malformed;
use crate::note::{SignatureType, VerifierKey};

const FORMAT: &str = "certificate of a key";
const HEADER: usize = 40;
const TRAILER: usize = 88;
const SIGNATURE: usize = 64;

/// The keys of a machine and those that vouch for it, up to the root key of its vault.
///
/// ```
/// # use sb_crypto::{SigningKey, sha256};
/// # fn object(kind: u8, body: &[u8], signer: &SigningKey, stem: &str) -> Vec<u8> {
/// #     let mut bytes = [&b"SBV1"[..], &[kind, 1, 0, 0], &[7; 16], &[0; 16], body].concat();
/// #     bytes.extend(signer.public().key_id());
/// #     bytes.extend([0; 8]);
/// #     let message = [b"sbv1/object\0", sha256(&bytes).as_bytes().as_slice(), stem.as_bytes()].concat();
/// #     bytes.extend(signer.sign(&message));
/// #     bytes
/// # }
/// # let [root, user, log] = [1, 2, 3].map(|seed| SigningKey::from_seed(&[seed; 32]));
/// # let body = [&[0xa3, 1, 0x50][..], &[9; 16], &[2, 0x58, 0x20], user.public().as_bytes(), &[3, 0x82, 0, 0]].concat();
/// # let user_object = object(2, &body, &root, "users/");
/// # let id = user.public().key_id();
/// # let body = [&[0xa3, 1, 0x58, 0x20][..], log.public().as_bytes(), &[2, 0x50], &id, &[3, 0x82, 0, 0]].concat();
/// # let writer_object = object(3, &body, &user, "writers/");
/// use sb_audit::KeyChain;
/// // The bytes of an object `users/X` and of one `writers/X`, and the root key, which a fingerprint vouches for.
/// let chain = KeyChain::verify(&root.public(), &user_object, &writer_object)?;
/// assert_eq!(chain.log_key(), &log.public());
/// assert!(chain.log().name().starts_with("sbv1/log/07070707070707070707070707070707/"));
/// # Ok::<(), sb_audit::ChainError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChain {
    root: VerifyingKey,
    vault: [u8; 16],
    user: UserKey,
    log: VerifierKey,
}

/// A user of a vault, for whom the root key vouches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserKey {
    /// The user's opaque id.
    pub id: [u8; 16],
    /// The key that the user signs with.
    pub key: VerifyingKey,
}

impl KeyChain {
    /// Follows the chain from the root key to a machine; `user` and `writer` are the bytes of objects `users/X` and
    /// `writers/X` of the vault.
    ///
    /// # Errors
    /// [`ChainError`] says which link does not hold.
    pub fn verify(root: &VerifyingKey, user: &[u8], writer: &[u8]) -> Result<Self, ChainError> {
        let (vault, user) = read_user(root, user)?;
        let writer = Object::parse(writer, ObjectType::Writer).map_err(ChainError::Writer)?;
        let mut body = Body(writer.body);
        let parsed = (|| {
            body.expect(&[0xa3, 1, 0x58, 0x20])?;
            let log: &[u8; 32] = body.take()?;
            body.expect(&[2, 0x50])?;
            let user_key: &[u8; 16] = body.take()?;
            body.time()?;
            Some((VerifyingKey::from_bytes(*log), *user_key))
        })();
        let (log, user_key) = parsed.ok_or(ChainError::Writer(no_certificate()))?;
        if writer.vault != vault {
            return Err(ChainError::OtherVault { found: writer.vault });
        }
        if !writer.is_by(&user.key, "writers/") {
            return Err(ChainError::WriterUnsigned);
        }
        if user_key != user.key.key_id() {
            return Err(ChainError::OtherUser);
        }
        let origin = format!("sbv1/log/{}/{}", hex(&vault), hex(&log.key_id()));
        let log = VerifierKey::new(&origin, SignatureType::Note, log).expect("hexadecimal digits and `/` make a name");
        Ok(Self { root: *root, vault, user, log })
    }

    /// Another user of the same vault, from the bytes of an object `users/X`.
    ///
    /// # Errors
    /// [`ChainError`] if the root key does not vouch for that user, or not in this vault.
    pub fn other_user(&self, user: &[u8]) -> Result<UserKey, ChainError> {
        let (vault, user) = read_user(&self.root, user)?;
        if vault == self.vault { Ok(user) } else { Err(ChainError::OtherVault { found: vault }) }
    }

    /// The root key of the vault.
    #[must_use]
    pub const fn root(&self) -> &VerifyingKey {
        &self.root
    }

    /// The id of the vault.
    #[must_use]
    pub const fn vault(&self) -> &[u8; 16] {
        &self.vault
    }

    /// The user who vouches for the machine.
    #[must_use]
    pub const fn user(&self) -> &UserKey {
        &self.user
    }

    /// The key that the machine signs its log and its certificates with.
    #[must_use]
    pub const fn log_key(&self) -> &VerifyingKey {
        self.log.key()
    }

    /// The same key under the name of the machine's log, which is the log's origin: `sbv1/log/VAULT/KEY-ID`.
    #[must_use]
    pub const fn log(&self) -> &VerifierKey {
        &self.log
    }
}

/// In lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The vault of a user's certificate, and the user.
fn read_user(root: &VerifyingKey, bytes: &[u8]) -> Result<([u8; 16], UserKey), ChainError> {
    let object = Object::parse(bytes, ObjectType::User).map_err(ChainError::User)?;
    let mut body = Body(object.body);
    let parsed = (|| {
        body.expect(&[0xa3, 1, 0x50])?;
        let id: &[u8; 16] = body.take()?;
        body.expect(&[2, 0x58, 0x20])?;
        let key: &[u8; 32] = body.take()?;
        body.time()?;
        Some(UserKey { id: *id, key: VerifyingKey::from_bytes(*key) })
    })();
    let user = parsed.ok_or(ChainError::User(no_certificate()))?;
    if object.is_by(root, "users/") { Ok((object.vault, user)) } else { Err(ChainError::UserUnsigned) }
}

const fn no_certificate() -> Malformed {
    Malformed::at_byte(FORMAT, HEADER, "not the body of a certificate")
}

/// The types of object that are read here, as the header numbers them.
#[derive(Clone, Copy)]
enum ObjectType {
    User = 2,
    Writer = 3,
}

/// An object taken apart; nothing of it is verified yet.
struct Object<'a> {
    vault: [u8; 16],
    body: &'a [u8],
    signer: &'a [u8; 16],
    /// What the signature covers, but for the stem.
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE],
}

impl<'a> Object<'a> {
    fn parse(bytes: &'a [u8], kind: ObjectType) -> Result<Self, Malformed> {
        let short = || Malformed::at_byte(FORMAT, bytes.len(), "shorter than header and trailer");
        let (rest, trailer) = bytes.split_last_chunk::<TRAILER>().ok_or_else(short)?;
        let (header, body) = rest.split_first_chunk::<HEADER>().ok_or_else(short)?;
        let (magic, header) = header.split_first_chunk::<8>().expect("40 bytes");
        let (vault, key) = header.split_first_chunk().expect("32 bytes");
        if *magic != [b'S', b'B', b'V', b'1', kind as u8, 1, 0, 0] || *key != [0; 16] {
            return Err(Malformed::at_byte(FORMAT, 0, "not the header of one"));
        }
        let (signer, signature) = (trailer.first_chunk().expect("88 bytes"), trailer.last_chunk().expect("88 bytes"));
        Ok(Self { vault: *vault, body, signer, signed: &bytes[..bytes.len() - SIGNATURE], signature })
    }

    fn is_by(&self, key: &VerifyingKey, stem: &str) -> bool {
        let message = [b"sbv1/object\0", sha256(self.signed).as_bytes().as_slice(), stem.as_bytes()].concat();
        *self.signer == key.key_id() && key.verify(&message, self.signature).is_ok()
    }
}

/// What is left of a body. It is deterministic CBOR, so that everything but the time has its fixed place.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(bytes)?;
        Some(())
    }

    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    /// The last field, a time: an array of seconds and nanoseconds, which nothing here depends on.
    fn time(&mut self) -> Option<()> {
        self.expect(&[3, 0x82])?;
        self.integer(&[0x00, 0x20], 8)?;
        self.integer(&[0x00], 4)?;
        self.0.is_empty().then_some(())
    }

    /// An integer of one of these major types, of at most so many bytes after its head.
    fn integer(&mut self, majors: &[u8], bytes_max: usize) -> Option<()> {
        let &[head] = self.take()?;
        let length = match head & 0x1f {
            0..=23 => 0,
            additional @ 24..=27 => 1 << (additional - 24),
            _ => return None,
        };
        self.0 = self.0.get(length..)?;
        (majors.contains(&(head & 0xe0)) && length <= bytes_max).then_some(())
    }
}

/// Which link of a chain of keys does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The user's certificate can't be read.
    #[error("the certificate of the user can't be read")]
    User(#[source] Malformed),
    /// The root key did not sign the user's certificate.
    #[error("the certificate of the user was not signed by the root key")]
    UserUnsigned,
    /// The machine's certificate can't be read.
    #[error("the certificate of the machine can't be read")]
    Writer(#[source] Malformed),
    /// The user did not sign the machine's certificate.
    #[error("the certificate of the machine was not signed by the user")]
    WriterUnsigned,
    /// The machine's certificate names another user than the one who signed it.
    #[error("the certificate of the machine names another user")]
    OtherUser,
    /// The certificates are of different vaults.
    #[error("one of the certificates is of another vault, {}", hex(found))]
    OtherVault {
        /// The id of that vault.
        found: [u8; 16],
    },
}
