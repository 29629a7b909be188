#![doc = include_str!("../README.md")]

mod aead;
mod approved;
mod crockford;
mod derive;
mod digest;
mod encrypted_key;
mod error;
mod hedge;
mod kem;
mod merkle;
mod pem;
mod random;
mod recipient;
mod rsa;
mod seal;
#[cfg(any(test, feature = "testing"))]
mod seals;
mod secret;
mod sign;
mod slot;
mod stretch;
mod written_key;
mod x509;

pub use derive::{commitment, derive};
pub use digest::{Digest, HashAlgorithm, KeyedHash, Sha256, sha256};
pub use error::CryptoError;
pub use merkle::{
    TreeHasher, consistency_proof, inclusion_proof, leaf_hash, node_hash, verify_consistency, verify_inclusion,
};
#[cfg(any(test, feature = "testing"))]
pub use random::SeededRandom;
pub use random::{Random, SystemRandom, random_array};
pub use recipient::{PrivateKey, PublicKey, RecipientAlgorithm, open_with, seal_to};
pub use seal::{SEAL_OVERHEAD, Sealer};
pub use secret::{Key, Secret};
pub use sign::{SigningKey, VerifyingKey};
pub use slot::{Credential, Lock, SealedSlot, SlotMethod, open_slot, seal_slot};
pub use stretch::Kdf;
pub use written_key::{KeyFile, RecoveryKey};
pub use x509::{X509Hash, X509Signature};

/// Shortcuts for the tests of other crates.
#[cfg(any(test, feature = "testing"))]
pub mod testing {
    pub use crate::aead::seal_carelessly;
    pub use crate::seals::{Seals, seals, watch_seals};
    pub use crate::stretch::{allow_weak_kdf, stretched};
}
