//! What certificates of this program say beside what the vault knows.

use sb_audit::Tool;
use sb_repo::CertificateTerms;

use crate::session::Session;

/// What no certificate proves.
const ALWAYS: [&str; 2] = [
    "Proves which bytes were stored and read back, not that the records in them are accurate or complete.",
    "Times are those that the machine's clock showed. Only a cosignature of a witness or a time stamp over a later checkpoint of the \
     log shows that anything was there by then, and without one the log proves that it agrees with itself, not that it was always so.",
];

/// What a certificate of a backup does not prove.
const BACKUP: &str = "Objects that were there before and that this run referenced were not read again in it; `referenced` says since \
                      when each of them has been read in full.";

/// What a certificate of a verification does not prove.
const VERIFICATION: &str =
    "Speaks of the vault as it was read in this verification, and of nothing that was done to it later.";

impl Session {
    pub(crate) fn backup_terms(&self) -> CertificateTerms {
        self.terms(BACKUP)
    }

    pub(crate) fn verification_terms(&self) -> CertificateTerms {
        self.terms(VERIFICATION)
    }

    fn terms(&self, of_its_own: &str) -> CertificateTerms {
        let limits = [of_its_own].into_iter().chain(ALWAYS).map(str::to_owned).collect();
        let mut terms = CertificateTerms::new(limits);
        terms.issuer = self.place.issuer.clone();
        terms.clock = self.vault.clock_evidence();
        terms.tool = Tool { name: "sb".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        terms
    }
}
