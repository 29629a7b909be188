//! Which algorithms NIST approves: for those who may use no others (docs/approved-algorithms.md says what that does and does not mean).

use crate::digest::HashAlgorithm;
use crate::recipient::RecipientAlgorithm;
use crate::slot::{Lock, SlotMethod};
use crate::stretch::Kdf;

impl HashAlgorithm {
    /// True of HMAC-SHA-256 (FIPS 198-1, FIPS 180-4).
    #[must_use]
    pub const fn is_approved(self) -> bool {
        matches!(self, Self::HmacSha256)
    }
}

impl RecipientAlgorithm {
    /// True of P-256 (SP 800-186) and RSA-OAEP (SP 800-56B Rev. 2).
    #[must_use]
    pub const fn is_approved(self) -> bool {
        matches!(self, Self::HpkeP256 | Self::Rsa4096)
    }
}

impl Kdf {
    /// True of PBKDF2 with HMAC-SHA-256 (SP 800-132).
    #[must_use]
    pub const fn is_approved(self) -> bool {
        matches!(self, Self::Pbkdf2HmacSha256 { .. })
    }
}

impl Lock {
    /// What of it is not approved, if something is not.
    ///
    /// ```
    /// use sb_crypto::{Kdf, Lock, Secret};
    /// let lock = |kdf| Lock::Passphrase(Secret::from("correct horse battery staple".to_owned()), kdf);
    /// assert_eq!(lock(Kdf::ARGON2ID).unapproved(), Some("Argon2id"));
    /// assert_eq!(lock(Kdf::PBKDF2).unapproved(), None);
    /// ```
    #[must_use]
    pub fn unapproved(&self) -> Option<&'static str> {
        match self.method() {
            SlotMethod::Passphrase { kdf } | SlotMethod::PassphraseAndKeyFile { kdf } if !kdf.is_approved() => {
                Some("Argon2id")
            }
            _ => None,
        }
    }
}
