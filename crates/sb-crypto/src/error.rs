//! What can go wrong, as the caller can act on it.

use crate::recipient::RecipientAlgorithm;
use crate::stretch::Kdf;

/// Everything that can fail in this crate.
///
/// Messages never contain key material, nor any part of a text that was meant to be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// A slot can't be opened by this kind of credential, or not by this key; try the next slot.
    #[error("this credential does not belong to this key slot")]
    WrongMethod,
    /// The credential is of the right kind but does not open the slot: mistyped, or the slot is damaged.
    #[error("wrong passphrase or key, or a damaged key slot")]
    WrongCredential,
    /// Sealed bytes are damaged, or were sealed under another key, context or associated data.
    #[error("sealed data is damaged or was sealed under another key or for another place")]
    NotAuthentic,
    /// Sealed bytes are shorter than the shortest that sealing can produce.
    #[error("sealed data is cut short: {len} bytes, at least {min} needed")]
    Truncated {
        /// How many bytes there are.
        len: usize,
        /// How many bytes an empty plaintext would take.
        min: usize,
    },
    /// A plaintext is longer than AES-GCM may seal under one nonce (2³⁶ − 32 bytes).
    #[error("{len} bytes are too many to seal at once")]
    PlaintextTooLong {
        /// How many bytes were given.
        len: usize,
    },
    /// A signature is not one by this key over this message.
    #[error("signature does not match")]
    BadSignature,
    /// A secret key has the wrong number of bytes.
    #[error("a secret key has {expected} bytes, not {len}")]
    KeyLength {
        /// How many bytes were given.
        len: usize,
        /// How many there must be.
        expected: usize,
    },
    /// Bytes are no public key of this algorithm.
    #[error("not a valid {algorithm} public key")]
    InvalidPublicKey {
        /// The algorithm the key was read for.
        algorithm: RecipientAlgorithm,
    },
    /// Bytes are no private key of this algorithm.
    #[error("not a valid {algorithm} private key")]
    InvalidPrivateKey {
        /// The algorithm the key was read for.
        algorithm: RecipientAlgorithm,
    },
    /// The library could not make a key pair.
    #[error("generating a {algorithm} key pair failed")]
    KeyGeneration {
        /// The algorithm of the key asked for.
        algorithm: RecipientAlgorithm,
    },
    /// Passphrase hashing parameters are outside what this crate will run; see [`Kdf::checked`].
    #[error("passphrase hashing parameters out of bounds: {kdf:?}")]
    KdfOutOfBounds {
        /// The parameters refused.
        kdf: Kdf,
    },
    /// There is not enough memory to hash a passphrase.
    #[error("not enough memory to hash the passphrase: {memory_kib} KiB needed")]
    KdfOutOfMemory {
        /// Memory the parameters demand, in KiB.
        memory_kib: u32,
    },
    /// A text is not 64 hexadecimal digits.
    #[error("a digest is written as 64 hexadecimal digits")]
    DigestText,
    /// A key file does not begin as one.
    #[error("not a key file: it should begin with `sb-key-1:`")]
    KeyTextPrefix,
    /// A written key has too few or too many characters.
    #[error("a key has {expected} characters, not {len}")]
    KeyTextLength {
        /// How many characters were found, separators not counted.
        len: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A written key contains a character that can't stand in it.
    #[error("character {position} of the key cannot occur in a key")]
    KeyTextCharacter {
        /// Which one, counted from 1, separators not counted.
        position: usize,
    },
    /// A written key contradicts its check group: it was mistyped.
    #[error("the key is mistyped: its check group does not match")]
    KeyTextChecksum,
    /// A text holds no well-formed PEM block (RFC 7468).
    #[error("not a PEM file, or a damaged one")]
    PemSyntax,
    /// A PEM block is of another kind than the one needed.
    #[error("the PEM file holds a `{found}`, but a `{expected}` is needed")]
    PemLabel {
        /// The label found, such as `CERTIFICATE`.
        found: String,
        /// The label needed.
        expected: &'static str,
    },
    /// A private key in PEM is protected by a passphrase: [`PrivateKey::from_encrypted_pem`](crate::PrivateKey::from_encrypted_pem).
    #[error("the private key is encrypted: its passphrase is needed")]
    PrivateKeyEncrypted,
    /// That is not the passphrase of a private key in PEM, or the file is damaged.
    #[error("wrong passphrase of the private key, or a damaged file")]
    PrivateKeyPassphrase,
    /// A private key in PEM is encrypted in another way than PBES2 with AES and PBKDF2-HMAC-SHA-2 or scrypt.
    #[error("the private key is damaged, or encrypted in another way than by AES with PBKDF2-HMAC-SHA-256 or scrypt")]
    PrivateKeyCipher,
    /// A key in PEM is well-formed but no RSA key.
    #[error("the key is not an RSA key")]
    NotRsa,
    /// An RSA key has another size than 4096 bits.
    #[error("an RSA key must have 4096 bits, this one has {bits}")]
    RsaSize {
        /// The size of its modulus in bits.
        bits: usize,
    },
}
