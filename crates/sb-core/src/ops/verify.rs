//! Verifying.

use sb_crypto::Digest;
use sb_repo::{Progress, VerifyLevel, VerifyReport};

use crate::error::CoreError;
use crate::session::Session;
use crate::vault::Vault;

/// How to verify.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// How deep to look. Default: [`VerifyLevel::Data`].
    pub level: VerifyLevel,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { level: VerifyLevel::Data }
    }
}

/// What can be verified with no key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PublicReport {
    /// What was found.
    pub verified: VerifyReport,
    /// SHA-256 of the root key that all signatures lead to.
    pub root_fingerprint: Digest,
    /// True if that is the root key of the fingerprint that was given, or of this machine's memory. If not, the vault alone
    /// says so, and the fingerprint is to be compared with the recovery sheet.
    pub root_known: bool,
}

impl Session {
    /// Verifies the vault, and names the documents that any damage touches.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] a storage that can't be listed, keys that do not allow the level, and interruption. Damage is in
    /// the report.
    pub fn verify(&self, options: VerifyOptions, progress: Progress<'_>) -> Result<VerifyReport, CoreError> {
        Ok(self.vault.verify(options.level, progress)?)
    }
}

impl Vault {
    /// Verifies every object with no key at all: that it is there, and that its SHA-256 and its signature are good. Which
    /// root key all signatures lead to is told by `fingerprint` or this machine's memory; with neither, the vault's own word
    /// is taken for it.
    ///
    /// # Errors
    /// [`CoreError::NoVault`]; in [`CoreError::Repo`] another root key than expected, a storage that can't be listed, damage to
    /// every copy of what says what the vault is, and interruption. Other damage is in the report.
    pub fn verify_public(
        &self,
        fingerprint: Option<Digest>,
        progress: Progress<'_>,
    ) -> Result<PublicReport, CoreError> {
        let view = self.view(fingerprint)?;
        Ok(PublicReport {
            verified: view.verify(progress)?,
            root_fingerprint: view.root_fingerprint(),
            root_known: fingerprint.is_some() || view.is_root_remembered(),
        })
    }
}
