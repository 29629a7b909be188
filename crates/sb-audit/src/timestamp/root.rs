//! A root certificate that goes with a time stamp, in a file of its own.

use base64ct::{Base64, Encoding};
use sb_crypto::{Digest, sha256};

use super::certificate::Certificate;
use super::elements::malformed;
use super::{Authorities, TimeStampError};

/// Characters in a line of PEM (RFC 7468 §2).
const LINE: usize = 64;

/// One certificate that vouches for itself.
#[derive(Clone, Debug)]
pub(crate) struct RootCertificate(Certificate);

impl RootCertificate {
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, TimeStampError> {
        let [certificate] = <[Certificate; 1]>::try_from(Certificate::from_pem(pem)?)
            .map_err(|_| malformed("certificate", "more than one"))?;
        if certificate.is_issued_by(&certificate, 0) {
            Ok(Self(certificate))
        } else {
            Err(TimeStampError::Untrusted { issuer: certificate.issuer() })
        }
    }

    /// In PEM, without anything around it.
    pub(crate) fn to_pem(&self) -> String {
        let base64 = Base64::encode_string(self.0.der());
        let lines: String = base64
            .as_bytes()
            .chunks(LINE)
            .map(|line| str::from_utf8(line).expect("base64 is ASCII"))
            .flat_map(|line| [line, "\n"])
            .collect();
        format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
    }

    /// The SHA-256 of its DER, which authorities publish.
    pub(crate) fn sha256(&self) -> Digest {
        sha256(self.0.der())
    }
}

impl From<RootCertificate> for Authorities {
    fn from(root: RootCertificate) -> Self {
        Self { roots: vec![root.0] }
    }
}
