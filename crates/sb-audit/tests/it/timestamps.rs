//! Time stamps, made by OpenSSL: `tests/vectors/mk_tsa.sh` and `tests/data/tsa/make.sh`.

use std::fs;

use chrono::TimeDelta;
use sb_audit::*;

const BODY: &[u8] = include_bytes!("../vectors/rfc3161/body");
const RESPONSE: &[u8] = include_bytes!("../vectors/rfc3161/body.tsr");
const REQUEST: &[u8] = include_bytes!("../vectors/rfc3161/body.tsq");
const ROOT: &[u8] = include_bytes!("../vectors/rfc3161/ca.pem");
const NONCE: u64 = 0x53eb_379a_9cc7_bd28;

fn data(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/data/tsa/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn verify(stamp: &str, root: &str) -> Result<TimeStamp, TimeStampError> {
    Authorities::from_pem(&data(root)).unwrap().verify(&data(stamp), &data("message"))
}

#[test]
fn the_request_is_the_one_openssl_makes() {
    assert_eq!(time_stamp_request(BODY, Some(NONCE)), REQUEST);
    let without = time_stamp_request(BODY, None);
    assert_eq!(without.len(), REQUEST.len() - 10);
}

#[test]
fn the_time_stamp_of_the_vectors_is_believed() {
    let stamp = Authorities::from_pem(ROOT).unwrap().verify(RESPONSE, BODY).unwrap();
    assert_eq!(stamp.time.to_rfc3339(), "2026-11-21T05:42:50+00:00");
    assert_eq!(stamp.authority, "CN=SecureBackup TEST TSA");
    assert_eq!(stamp.policy, "1.3.6.1.4.1.99999.1");
    assert_eq!(stamp.serial, [2]);
    assert_eq!(stamp.accuracy, Some(TimeDelta::seconds(1)));
    assert!(stamp.answers(NONCE) && !stamp.answers(NONCE + 1));
}

#[test]
fn who_has_asked_sees_whether_it_is_the_answer() {
    let stamp = TimeStamp::read(RESPONSE, BODY).unwrap();
    assert_eq!(stamp, Authorities::from_pem(ROOT).unwrap().verify(RESPONSE, BODY).unwrap());
    assert_eq!(TimeStamp::read(RESPONSE, b"another message"), Err(TimeStampError::OtherMessage));
    assert_eq!(TimeStamp::read(&data("refused.tsr"), BODY), Err(TimeStampError::Refused { status: 2 }));
    assert!(matches!(TimeStamp::read(b"", BODY), Err(TimeStampError::Malformed(_))));
}

#[test]
fn every_algorithm_and_a_chain_are_understood() {
    for (stamp, root) in [
        ("rsa-sha256.tsr", "rsa-root.pem"),
        ("rsa-sha384.tsr", "rsa-root.pem"),
        ("rsa-sha512.tsr", "rsa-root.pem"),
        ("p256.tsr", "p256-root.pem"),
        ("p384.tsr", "p384-root.pem"),
        ("long.tsr", "rsa-root.pem"),
    ] {
        let read = verify(stamp, root).unwrap_or_else(|error| panic!("{stamp}: {error}"));
        assert_eq!(read.policy, "1.3.6.1.4.1.99999.1");
    }
    let stamp = verify("rsa-sha256.tsr", "rsa-root.pem").unwrap();
    assert_eq!(stamp.accuracy, Some(TimeDelta::microseconds(1_500_100)));
    // Any of several roots may vouch.
    let both = Authorities::from_pem(&[data("p384-root.pem"), data("p256-root.pem")].concat()).unwrap();
    assert!(both.verify(&data("p256.tsr"), &data("message")).is_ok());
}

#[test]
fn what_does_not_hold_is_named() {
    let untrusted = |issuer: &str| Err(TimeStampError::Untrusted { issuer: issuer.to_owned() });
    assert_eq!(verify("rsa-sha256.tsr", "p256-root.pem"), untrusted("CN=rsa-root"));
    assert_eq!(verify("below-leaf.tsr", "leaf-root.pem"), untrusted("CN=leaf-root"));
    assert_eq!(verify("below-constrained.tsr", "constrained-root.pem"), untrusted("CN=constrained-root"));
    assert_eq!(verify("toolong.tsr", "rsa-root.pem"), untrusted("CN=upper0"));
    assert_eq!(verify("bare.tsr", "rsa-root.pem"), Err(TimeStampError::NoCertificate));
    assert_eq!(verify("rsa-sha1-binding.tsr", "rsa-root.pem"), Err(TimeStampError::NoCertificate));
    let sha1 = TimeStampError::UnknownAlgorithm { oid: "1.3.14.3.2.26".to_owned() };
    assert_eq!(verify("rsa-sha1-message.tsr", "rsa-root.pem"), Err(sha1));
    assert_eq!(verify("refused.tsr", "rsa-root.pem"), Err(TimeStampError::Refused { status: 2 }));
    let other_purpose = TimeStampError::NotAnAuthority { subject: "CN=plain-tsa".to_owned() };
    assert_eq!(verify("plain.tsr", "plain-root.pem"), Err(other_purpose));
    let authorities = Authorities::from_pem(ROOT).unwrap();
    assert_eq!(authorities.verify(RESPONSE, b"another message"), Err(TimeStampError::OtherMessage));
    assert!(matches!(authorities.verify(b"", BODY), Err(TimeStampError::Malformed(_))));
    assert!(matches!(authorities.verify(&vec![0x30; 1 << 20], BODY), Err(TimeStampError::Malformed(_))));
    for bad in [b"".as_slice(), b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(matches!(Authorities::from_pem(bad), Err(TimeStampError::Malformed(_))));
    }
}

/// Not covered by the signature are the status, the version numbers, the list of digest algorithms and whether an
/// algorithm has NULL parameters: they say nothing.
#[test]
fn what_a_flipped_bit_changes_is_never_what_was_stamped() {
    let authorities = Authorities::from_pem(ROOT).unwrap();
    let good = authorities.verify(RESPONSE, BODY).unwrap();
    let mut noticed = 0;
    for index in 0..RESPONSE.len() {
        for bit in 0..8 {
            let mut flipped = RESPONSE.to_vec();
            flipped[index] ^= 1 << bit;
            match authorities.verify(&flipped, BODY) {
                Err(_) => noticed += 1,
                Ok(stamp) => assert_eq!(stamp, good, "bit {bit} of byte {index}"),
            }
        }
        assert!(authorities.verify(&RESPONSE[..index], BODY).is_err());
    }
    assert!(noticed > RESPONSE.len() * 8 - 200, "{noticed}");
}
