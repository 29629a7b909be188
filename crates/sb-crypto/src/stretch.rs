//! Passphrases into keys, slowly: Argon2id (RFC 9106) or PBKDF2-HMAC-SHA-256 (RFC 8018 §5.2).
//!
//! ```text
//! stretch(passphrase, salt) = Argon2id(version 0x13, P = passphrase, S = salt, no secret, no data, T = 32)
//!                           | PBKDF2-HMAC-SHA-256(P = passphrase, S = salt, dkLen = 32)
//! ```
//!
//! The passphrase goes in as the bytes the caller gives; nothing is trimmed or normalized here.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use argon2::{Algorithm, Argon2, Params, Version};
use ring::pbkdf2::{self, PBKDF2_HMAC_SHA256};

use crate::error::CryptoError;
use crate::secret::Key;

/// How a passphrase is turned into a key, and at what cost to whoever guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kdf {
    /// Argon2id: guessing costs memory as well as time.
    Argon2id {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over the memory.
        passes: u32,
        /// Lanes, which could be computed in parallel.
        lanes: u32,
    },
    /// PBKDF2-HMAC-SHA-256: for those who may use approved algorithms only.
    Pbkdf2HmacSha256 {
        /// Iterations.
        rounds: u32,
    },
}

impl Kdf {
    /// The second recommended setting of RFC 9106 §4: 64 MiB, three passes, four lanes.
    pub const ARGON2ID: Self = Self::Argon2id { memory_kib: 64 * 1024, passes: 3, lanes: 4 };

    /// 600,000 rounds, the OWASP recommendation for PBKDF2-HMAC-SHA-256 since 2023.
    pub const PBKDF2: Self = Self::Pbkdf2HmacSha256 { rounds: 600_000 };

    /// These parameters, if they lie within the bounds: Argon2id with 64 MiB to 1 GiB, 3 to 16 passes and 1 to 16
    /// lanes; PBKDF2 with 100,000 to 10,000,000 rounds. Slots outside are neither made nor opened: below, they would
    /// be easy to guess; above, a forged slot could exhaust the machine that tries to open it.
    ///
    /// # Errors
    /// [`CryptoError::KdfOutOfBounds`].
    pub fn checked(self) -> Result<Self, CryptoError> {
        #[cfg(any(test, feature = "testing"))]
        if WEAK_ALLOWED.load(std::sync::atomic::Ordering::Relaxed) {
            return self.within(&Bounds::WEAK);
        }
        self.within(&Bounds::SAFE)
    }

    fn within(self, bounds: &Bounds) -> Result<Self, CryptoError> {
        let fits = match self {
            Self::Argon2id { memory_kib, passes, lanes } => {
                bounds.memory_kib.contains(&memory_kib)
                    && bounds.passes.contains(&passes)
                    && bounds.lanes.contains(&lanes)
            }
            Self::Pbkdf2HmacSha256 { rounds } => bounds.rounds.contains(&rounds),
        };
        if fits { Ok(self) } else { Err(CryptoError::KdfOutOfBounds { kdf: self }) }
    }
}

struct Bounds {
    memory_kib: RangeInclusive<u32>,
    passes: RangeInclusive<u32>,
    lanes: RangeInclusive<u32>,
    rounds: RangeInclusive<u32>,
}

impl Bounds {
    const SAFE: Self =
        Self { memory_kib: 64 * 1024..=1024 * 1024, passes: 3..=16, lanes: 1..=16, rounds: 100_000..=10_000_000 };

    #[cfg(any(test, feature = "testing"))]
    const WEAK: Self = Self { memory_kib: 8..=1024 * 1024, passes: 1..=16, lanes: 1..=16, rounds: 1..=10_000_000 };
}

#[cfg(any(test, feature = "testing"))]
static WEAK_ALLOWED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// From now on this process makes and opens slots with cheap passphrase hashing (from 8 KiB, one pass or one round).
#[cfg(any(test, feature = "testing"))]
pub fn allow_weak_kdf() {
    WEAK_ALLOWED.store(true, std::sync::atomic::Ordering::Relaxed);
}

#[cfg(any(test, feature = "testing"))]
std::thread_local! {
    static STRETCHED: std::cell::RefCell<Vec<Kdf>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// With which parameters this thread has hashed passphrases since this was asked last.
#[cfg(any(test, feature = "testing"))]
pub fn stretched() -> Vec<Kdf> {
    STRETCHED.take()
}

/// The key that belongs to a passphrase and a salt. Refuses parameters that are out of bounds.
pub(crate) fn stretch(kdf: Kdf, passphrase: &[u8], salt: &[u8; 32]) -> Result<Key, CryptoError> {
    #[cfg(any(test, feature = "testing"))]
    STRETCHED.with_borrow_mut(|stretched| stretched.push(kdf));
    compute(kdf.checked()?, passphrase, salt)
}

fn compute(kdf: Kdf, passphrase: &[u8], salt: &[u8]) -> Result<Key, CryptoError> {
    let out_of_bounds = || CryptoError::KdfOutOfBounds { kdf };
    let mut key = Key::from_bytes([0; Key::LEN]);
    match kdf {
        Kdf::Argon2id { memory_kib, passes, lanes } => {
            let params = Params::new(memory_kib, passes, lanes, Some(Key::LEN)).map_err(|_| out_of_bounds())?;
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into(passphrase, salt, key.as_mut_bytes())
                .map_err(|error| match error {
                    argon2::Error::OutOfMemory => CryptoError::KdfOutOfMemory { memory_kib },
                    _ => out_of_bounds(),
                })?;
        }
        Kdf::Pbkdf2HmacSha256 { rounds } => {
            let rounds = NonZeroU32::new(rounds).ok_or_else(out_of_bounds)?;
            pbkdf2::derive(PBKDF2_HMAC_SHA256, rounds, salt, passphrase, key.as_mut_bytes());
        }
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use argon2::{AssociatedData, ParamsBuilder};

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn argon2id_of_rfc_9106_section_5_3() {
        let params = ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let mut tag = [0; 32];
        Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params)
            .unwrap()
            .hash_password_into(&[1; 32], &[2; 16], &mut tag)
            .unwrap();
        assert_eq!(hex(&tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }

    #[test]
    fn pbkdf2_of_rfc_7914_section_11() {
        // The first 32 of its 64 bytes.
        for (passphrase, salt, rounds, expected) in [
            ("passwd", "salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
            ("Password", "NaCl", 80_000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"),
        ] {
            let kdf = Kdf::Pbkdf2HmacSha256 { rounds };
            let key = compute(kdf, passphrase.as_bytes(), salt.as_bytes()).unwrap();
            assert_eq!(hex(key.as_bytes()), expected);
        }
    }

    #[test]
    fn bounds_are_those_of_the_format() {
        let argon = |memory_kib, passes, lanes| Kdf::Argon2id { memory_kib, passes, lanes };
        let pbkdf2 = |rounds| Kdf::Pbkdf2HmacSha256 { rounds };
        let safe = |kdf: Kdf| kdf.within(&Bounds::SAFE) == Ok(kdf);
        let refused = |kdf: Kdf| kdf.within(&Bounds::SAFE) == Err(CryptoError::KdfOutOfBounds { kdf });
        for kdf in [Kdf::ARGON2ID, Kdf::PBKDF2, argon(65_536, 3, 1), argon(1_048_576, 16, 16)] {
            assert!(safe(kdf), "{kdf:?}");
        }
        assert!(safe(pbkdf2(100_000)) && safe(pbkdf2(10_000_000)));
        assert!(refused(pbkdf2(99_999)) && refused(pbkdf2(10_000_001)));
        assert!(refused(argon(65_535, 3, 1)) && refused(argon(1_048_577, 3, 1)));
        assert!(refused(argon(65_536, 2, 1)) && refused(argon(65_536, 17, 1)));
        assert!(refused(argon(65_536, 3, 0)) && refused(argon(65_536, 3, 17)));
    }

    #[test]
    fn weak_bounds_hold_and_impossible_parameters_fail_cleanly() {
        allow_weak_kdf();
        let cheap = Kdf::Argon2id { memory_kib: 8, passes: 1, lanes: 1 };
        assert!(stretch(cheap, b"passphrase", &[0; 32]).is_ok());
        for kdf in [Kdf::Pbkdf2HmacSha256 { rounds: 0 }, Kdf::Argon2id { memory_kib: 8, passes: 1, lanes: 2 }] {
            assert_eq!(compute(kdf, b"", &[0; 32]), Err(CryptoError::KdfOutOfBounds { kdf }));
        }
    }
}
