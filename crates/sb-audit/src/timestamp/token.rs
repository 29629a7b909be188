//! The answer of an authority: a `TimeStampResp` (RFC 3161 §2.4.2) with signed data of CMS (RFC 5652 §5) in it.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use der::Tag;
use sb_crypto::X509Hash;

use super::certificate::Certificate;
use super::elements::{Element, Elements, malformed};
use super::{FORMAT, TimeStampError, hash_algorithm};
use crate::malformed::Malformed;

const BYTES_MAX: usize = 256 << 10;
/// A `PKIStatusInfo` that says granted, and no more.
const PLAIN_STATUS: [u8; 5] = [0x30, 0x03, 0x02, 0x01, 0x00];
const CERTIFICATES_MAX: usize = 16;
const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
const TST_INFO: &str = "1.2.840.113549.1.9.16.1.4";
const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
const SIGNING_CERTIFICATE_V2: &str = "1.2.840.113549.1.9.16.2.47";

/// The parts of an answer; nothing of it is verified yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    content: &'a [u8],
    certificates: Vec<Certificate>,
    issuer: &'a [u8],
    serial: &'a [u8],
    hash: X509Hash,
    attributes: Element<'a>,
    algorithm: String,
    signature: &'a [u8],
}

/// What a time stamp says (`TSTInfo`).
#[derive(Debug)]
pub(super) struct Info {
    pub(super) policy: String,
    pub(super) hash: X509Hash,
    pub(super) imprint: Vec<u8>,
    pub(super) serial: Vec<u8>,
    pub(super) time: DateTime<Utc>,
    pub(super) accuracy: Option<TimeDelta>,
    pub(super) nonce: Option<Vec<u8>>,
}

/// The token in an answer, if there is one.
fn token(response: &[u8]) -> Result<Element<'_>, TimeStampError> {
    if response.len() > BYTES_MAX {
        return Err(Malformed::at_byte(FORMAT, BYTES_MAX, "too long").into());
    }
    let mut answer = sequence("answer", response)?;
    let status = answer.expect(Tag::Sequence)?.elements("status").expect(Tag::Integer)?.number("status")?;
    if status > 1 {
        return Err(TimeStampError::Refused { status: u8::try_from(status).unwrap_or(u8::MAX) });
    }
    let token = answer.expect(Tag::Sequence)?;
    answer.finish()?;
    Ok(token)
}

/// The answer with the same token and nothing else but the status 0: the authority signs no more than the token.
pub(crate) fn plain_answer(response: &[u8]) -> Result<Vec<u8>, TimeStampError> {
    let token = token(response)?.whole;
    let length = PLAIN_STATUS.len() + token.len();
    let bytes = length.to_be_bytes();
    let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    let mut answer = vec![0x30];
    if length >= 0x80 {
        answer.push(0x80 | u8::try_from(digits.len()).expect("at most 8 bytes"));
    }
    answer.extend_from_slice(digits);
    answer.extend(PLAIN_STATUS);
    answer.extend(token);
    Ok(answer)
}

/// The elements of the one sequence that these bytes are.
fn sequence<'a>(name: &'static str, bytes: &'a [u8]) -> Result<Elements<'a>, Malformed> {
    let element = Element::only(name, bytes)?;
    if element.tag == Tag::Sequence { Ok(element.elements(name)) } else { Err(malformed(name, "not a sequence")) }
}

impl<'a> Token<'a> {
    pub(super) fn parse(response: &'a [u8]) -> Result<Self, TimeStampError> {
        let mut token = token(response)?.elements("token");
        if token.next()?.oid("contentType")? != SIGNED_DATA {
            return Err(malformed("contentType", "not signed data").into());
        }
        let signed = sequence("token", token.expect_context(0)?.content)?;
        token.finish()?;
        Self::signed_data(signed)
    }

    fn signed_data(mut data: Elements<'a>) -> Result<Self, TimeStampError> {
        // Versions as RFC 5652 §5.1 and §5.3 have them for content of this type and signers of this kind.
        version(data.expect(Tag::Integer)?, 3)?;
        for hash in data.expect(Tag::Set)?.elements("digestAlgorithms").all()? {
            hash_algorithm(&algorithm(hash)?)?;
        }
        let mut encapsulated = data.expect(Tag::Sequence)?.elements("encapContentInfo");
        if encapsulated.next()?.oid("eContentType")? != TST_INFO {
            return Err(malformed("eContentType", "not a time stamp").into());
        }
        let mut content = encapsulated.expect_context(0)?.elements("eContent");
        encapsulated.finish()?;
        let octets = content.expect(Tag::OctetString)?.content;
        content.finish()?;
        let mut certificates = Vec::new();
        if let Some(set) = data.next_if(|element| element.is_context(0))? {
            // Other kinds of certificate have tags of their own and can't have signed this.
            let all = set.elements("certificates").all()?.into_iter().filter(|one| one.tag == Tag::Sequence);
            for certificate in all.take(CERTIFICATES_MAX) {
                certificates.push(Certificate::parse(certificate.whole)?);
            }
        }
        data.next_if(|element| element.is_context(1))?;
        let signers = data.expect(Tag::Set)?.elements("signerInfos").all()?;
        data.finish()?;
        let [signer] = signers[..] else { return Err(malformed("signerInfos", "not exactly one").into()) };
        let mut signer = sequence("signerInfo", signer.whole)?;
        version(signer.expect(Tag::Integer)?, 1)?;
        let mut sid = signer.expect(Tag::Sequence)?.elements("sid");
        let (issuer, serial) = (sid.expect(Tag::Sequence)?.whole, sid.expect(Tag::Integer)?.content);
        sid.finish()?;
        let hash = algorithm(signer.expect(Tag::Sequence)?)?;
        let attributes = signer.expect_context(0)?;
        let signature_algorithm = algorithm(signer.expect(Tag::Sequence)?)?;
        let signature = signer.expect(Tag::OctetString)?.content;
        signer.next_if(|element| element.is_context(1))?;
        signer.finish()?;
        Ok(Self {
            content: octets,
            certificates,
            issuer,
            serial,
            hash: hash_algorithm(&hash)?,
            attributes,
            algorithm: signature_algorithm,
            signature,
        })
    }

    pub(super) fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Who signed it and what it says, if it is a time stamp of `message` by an authority; who vouches for that is another
    /// question.
    pub(super) fn check(&self, message: &[u8]) -> Result<(&Certificate, Info), TimeStampError> {
        let signer = self.verify_signature()?;
        let info = self.info()?;
        if info.hash.hash(message) != info.imprint {
            return Err(TimeStampError::OtherMessage);
        }
        signer.check_is_authority()?;
        Ok((signer, info))
    }

    /// The certificate it was signed with, if the signature is good and covers content and certificate.
    pub(super) fn verify_signature(&self) -> Result<&Certificate, TimeStampError> {
        let named = |certificate: &&Certificate| certificate.is_numbered(self.issuer, self.serial);
        let certificate = self.certificates.iter().find(named).ok_or(TimeStampError::NoCertificate)?;
        if self.attribute(CONTENT_TYPE)?.oid("contentType")? != TST_INFO {
            return Err(malformed("contentType", "not a time stamp").into());
        }
        let digest = self.attribute(MESSAGE_DIGEST)?;
        if digest.tag != Tag::OctetString || digest.content != self.hash.hash(self.content) {
            return Err(TimeStampError::BadSignature);
        }
        self.check_binding(certificate)?;
        // What is signed is the attributes as a SET, not under the tag they are sent with (RFC 5652 §5.4).
        let mut signed = self.attributes.whole.to_vec();
        signed[0] = 0x31;
        certificate.verify(&self.algorithm, Some(self.hash), &signed, self.signature)?;
        Ok(certificate)
    }

    /// Checks that the signed attributes name this certificate first (RFC 5035 §3).
    fn check_binding(&self, certificate: &Certificate) -> Result<(), TimeStampError> {
        let attribute = self.attribute(SIGNING_CERTIFICATE_V2).map_err(|_| TimeStampError::NoCertificate)?;
        let mut list = attribute.elements("signingCertificate").expect(Tag::Sequence)?.elements("certs");
        let mut first = list.expect(Tag::Sequence)?.elements("certs");
        let hash = match first.next_if(|element| element.tag == Tag::Sequence)? {
            Some(named) => hash_algorithm(&algorithm(named)?)?,
            None => X509Hash::Sha256,
        };
        let bound = first.expect(Tag::OctetString)?.content;
        if bound == hash.hash(certificate.der()) { Ok(()) } else { Err(TimeStampError::NoCertificate) }
    }

    /// The one value of the one attribute of this type.
    fn attribute(&self, oid: &str) -> Result<Element<'a>, Malformed> {
        let mut found = None;
        for attribute in self.attributes.elements("signedAttrs").all()? {
            let mut parts = attribute.elements("signedAttrs");
            if parts.next()?.oid("signedAttrs")? == oid {
                let value = Element::only("signedAttrs", parts.expect(Tag::Set)?.content)?;
                if found.replace(value).is_some() {
                    return Err(malformed("signedAttrs", "an attribute twice"));
                }
            }
        }
        found.ok_or_else(|| malformed("signedAttrs", "an attribute is missing"))
    }

    pub(super) fn info(&self) -> Result<Info, TimeStampError> {
        let mut info = Element::only("tstInfo", self.content)?.elements("tstInfo");
        if info.expect(Tag::Integer)?.number("version")? != 1 {
            return Err(malformed("version", "not 1").into());
        }
        let policy = info.next()?.oid("policy")?;
        let mut imprint = info.expect(Tag::Sequence)?.elements("messageImprint");
        let hash = hash_algorithm(&algorithm(imprint.expect(Tag::Sequence)?)?)?;
        let imprint = imprint.expect(Tag::OctetString)?.content.to_vec();
        let serial = info.expect(Tag::Integer)?.content.to_vec();
        let time = info.expect(Tag::GeneralizedTime)?.content;
        let time = parse_time(time).ok_or_else(|| malformed("genTime", "not a time in UTC"))?;
        let accuracy = info.next_if(|element| element.tag == Tag::Sequence)?.map(accuracy).transpose()?;
        info.next_if(|element| element.tag == Tag::Boolean)?;
        let nonce = info.next_if(|element| element.tag == Tag::Integer)?;
        let nonce = nonce.map(|nonce| nonce.content.to_vec());
        info.next_if(|element| element.is_context(0))?;
        if let Some(extensions) = info.next_if(|element| element.is_context(1))? {
            refuse_critical(extensions)?;
        }
        info.finish()?;
        Ok(Info { policy, hash, imprint, serial, time, accuracy, nonce })
    }
}

/// The object identifier of an `AlgorithmIdentifier`; those understood here have no parameters, or NULL.
fn algorithm(element: Element<'_>) -> Result<String, Malformed> {
    let mut parts = sequence("algorithm", element.whole)?;
    let oid = parts.next()?.oid("algorithm")?;
    if parts.next_if(|part| part.tag == Tag::Null)?.is_some_and(|null| !null.content.is_empty()) {
        return Err(malformed("algorithm", "a NULL that is none"));
    }
    parts.finish()?;
    Ok(oid)
}

fn version(element: Element<'_>, version: u64) -> Result<(), Malformed> {
    if element.number("version")? == version { Ok(()) } else { Err(malformed("version", "not the one known here")) }
}

/// What is critical must be understood, and no extension is (RFC 5280 §4.2).
fn refuse_critical(extensions: Element<'_>) -> Result<(), Malformed> {
    const NAME: &str = "extensions";
    for extension in extensions.elements(NAME).all()? {
        let mut parts = extension.elements(NAME);
        parts.next()?.oid(NAME)?;
        if parts.next_if(|part| part.tag == Tag::Boolean)?.is_some_and(|critical| critical.content != [0]) {
            return Err(malformed(NAME, "a critical one that is not known"));
        }
    }
    Ok(())
}

/// `Accuracy`: seconds, milliseconds, microseconds, each of which may be missing.
fn accuracy(element: Element<'_>) -> Result<TimeDelta, Malformed> {
    let mut parts = element.elements("accuracy");
    let seconds = parts.next_if(|part| part.tag == Tag::Integer)?;
    let seconds = seconds.map_or(Ok(0), |part| part.number("accuracy"))?;
    let mut thousandths = |number| -> Result<i64, Malformed> {
        let part = parts.next_if(|part| part.is_implicit(number))?;
        let part = part.map_or(Ok(0), |part| part.implicit_number("accuracy"))?;
        i64::try_from(part).ok().filter(|part| *part < 1000).ok_or_else(|| malformed("accuracy", "out of range"))
    };
    let (millis, micros) = (thousandths(0)?, thousandths(1)?);
    parts.finish()?;
    let seconds = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds);
    let seconds = seconds.ok_or_else(|| malformed("accuracy", "out of range"))?;
    let sum = seconds.checked_add(&TimeDelta::microseconds(1000 * millis + micros));
    sum.ok_or_else(|| malformed("accuracy", "out of range"))
}

/// A `GeneralizedTime` as RFC 3161 restricts it: `YYYYMMDDhhmmss[.s…]Z`, fractions without trailing zeros.
fn parse_time(content: &[u8]) -> Option<DateTime<Utc>> {
    let text = str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) {
        return None;
    }
    let nanoseconds = match fraction {
        None => 0,
        Some(fraction) if digits(fraction) && fraction.len() <= 9 && !fraction.ends_with('0') => {
            format!("{fraction:0<9}").parse::<i64>().ok()?
        }
        Some(_) => return None,
    };
    let time = NaiveDateTime::parse_from_str(whole, "%Y%m%d%H%M%S").ok()?.and_utc();
    time.checked_add_signed(TimeDelta::nanoseconds(nanoseconds))
}

#[cfg(test)]
mod tests {
    use der::asn1::ObjectIdentifier;

    use super::*;

    const STAMP: &[u8] = include_bytes!("../../tests/data/tsa/p256.tsr");

    #[test]
    fn times_are_utc_and_may_have_fractions() {
        let written = |text: &str| parse_time(text.as_bytes()).map(|time| time.to_rfc3339());
        assert_eq!(written("20261121054250Z").as_deref(), Some("2026-11-21T05:42:50+00:00"));
        assert_eq!(written("20261121054250.5Z").as_deref(), Some("2026-11-21T05:42:50.500+00:00"));
        assert_eq!(written("20261121054250.000000001Z").as_deref(), Some("2026-11-21T05:42:50.000000001+00:00"));
        for bad in [
            "",
            "Z",
            "20261121054250",
            "202611210542Z",
            "20261121054250+0000",
            "20261121054250.Z",
            "20261121054250.50Z",
            "20261121054250.0000000001Z",
            "20261321054250Z",
            "20261121 54250Z",
            "20261121054250,5Z",
        ] {
            assert_eq!(written(bad), None, "{bad}");
        }
        assert_eq!(parse_time(b"\xff"), None);
    }

    /// DER of an element.
    fn der(tag: u8, content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        let len = u16::try_from(content.len()).unwrap().to_be_bytes();
        let head = if content.len() < 0x80 {
            vec![tag, len[1]]
        } else if len[0] == 0 {
            vec![tag, 0x81, len[1]]
        } else {
            vec![tag, 0x82, len[0], len[1]]
        };
        [head, content].concat()
    }

    fn parts(element: Element<'_>) -> Vec<&[u8]> {
        element.elements("part").all().unwrap().into_iter().map(|part| part.whole).collect()
    }

    fn one(bytes: &[u8]) -> Element<'_> {
        Element::only("one", bytes).unwrap()
    }

    /// What the signature does not cover is what it must be, too.
    #[test]
    fn an_answer_has_one_token_with_one_signer_and_nothing_else() {
        const NULL: &[u8] = &[0x05, 0x00];
        let [status, token] = parts(one(STAMP))[..] else { panic!("an answer") };
        let [kind, explicit] = parts(one(token))[..] else { panic!("a token") };
        let [version, digests, content, certificates, signers] = parts(one(one(explicit).content))[..] else {
            panic!("signed data")
        };
        let signer = one(signers).content;
        let with = |data: &[&[u8]], in_token: &[u8], in_answer: &[u8]| {
            let token = der(0x30, &[kind, &der(0xa0, &[&der(0x30, data)]), in_token]);
            let answer = der(0x30, &[status, &token, in_answer]);
            Token::parse(&answer).map(|token| token.verify_signature().is_ok())
        };
        let data = |signers: &[u8]| [version, digests, content, certificates, signers].map(<[u8]>::to_vec);
        let read = |data: &[Vec<u8>], in_token: &[u8], in_answer: &[u8]| {
            with(&data.iter().map(Vec::as_slice).collect::<Vec<_>>(), in_token, in_answer)
        };
        let good = data(signers);
        assert_eq!(read(&good, b"", b""), Ok(true));
        assert!(read(&good, NULL, b"").is_err());
        assert!(read(&good, b"", NULL).is_err());
        assert!(read(&[&good[..], &[NULL.to_vec()]].concat(), b"", b"").is_err());
        assert!(read(&data(&der(0x31, &[signer, signer])), b"", b"").is_err());
        assert!(read(&data(&der(0x31, &[])), b"", b"").is_err());
    }

    #[test]
    fn attributes_stand_once_and_name_a_time_stamp() {
        let oid = |oid: &str| der(0x06, &[ObjectIdentifier::new(oid).unwrap().as_bytes()]);
        let attribute = |kind: &str| der(0x30, &[&oid(CONTENT_TYPE), &der(0x31, &[&oid(kind)])]);
        let fault = |attributes: &[Vec<u8>]| {
            let set = der(0xa0, &attributes.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let token = Token::parse(STAMP).unwrap();
            let token = Token { attributes: one(&set), ..token };
            token.verify_signature().unwrap_err()
        };
        let (stamp, other) = (attribute(TST_INFO), attribute(SIGNED_DATA));
        let bad = |name, fault| TimeStampError::Malformed(malformed(name, fault));
        assert_eq!(fault(&[]), bad("signedAttrs", "an attribute is missing"));
        assert_eq!(fault(&[stamp.clone(), stamp.clone()]), bad("signedAttrs", "an attribute twice"));
        assert_eq!(fault(&[other]), bad("contentType", "not a time stamp"));
        assert_eq!(fault(&[stamp]), bad("signedAttrs", "an attribute is missing"), "that of the digest");
    }

    #[test]
    fn the_signer_is_named_by_issuer_and_number() {
        let verified = |change: &dyn Fn(&mut Token<'static>)| {
            let mut token = Token::parse(STAMP).unwrap();
            change(&mut token);
            token.verify_signature().map(drop)
        };
        assert_eq!(verified(&|_| {}), Ok(()));
        assert_eq!(verified(&|token| token.serial = &[9, 9]), Err(TimeStampError::NoCertificate));
        assert_eq!(verified(&|token| token.issuer = &[0x30, 0]), Err(TimeStampError::NoCertificate));
        assert_eq!(verified(&|token| token.certificates.clear()), Err(TimeStampError::NoCertificate));
        assert_eq!(verified(&|token| token.hash = X509Hash::Sha384), Err(TimeStampError::BadSignature));
        assert_eq!(verified(&|token| token.content = b""), Err(TimeStampError::BadSignature));
    }

    #[test]
    fn only_version_1_is_known_and_nothing_may_follow() {
        let plain = Token::parse(STAMP).unwrap().content;
        let read = |content: &[u8]| {
            let token = Token::parse(STAMP).unwrap();
            Token { content, ..token }.info().is_ok()
        };
        assert!(read(plain));
        let [version, rest @ ..] = &parts(one(plain))[..] else { panic!("a version") };
        assert_eq!(*version, [2, 1, 1]);
        assert!(!read(&der(0x30, &[&[2, 1, 2], &rest.concat()])));
        assert!(!read(&der(0x30, &[version, &rest.concat(), &[0x05, 0x00]])));
    }

    #[test]
    fn a_critical_extension_is_not_passed_over() {
        let info = one(Token::parse(STAMP).unwrap().content).content;
        let is_read = |extensions: &[&[u8]]| {
            let content = der(0x30, &[info, &der(0xa1, extensions)]);
            let token = Token::parse(STAMP).unwrap();
            Token { content: &content, ..token }.info().is_ok()
        };
        let (oid, value) = ([0x06, 0x03, 0x2a, 0x03, 0x04], [0x04, 0x00]);
        let plain = der(0x30, &[&oid, &value]);
        for (critical, good) in [(&[][..], true), (&[0x01, 0x01, 0x00], true), (&[0x01, 0x01, 0xff], false)] {
            assert_eq!(is_read(&[&plain, &der(0x30, &[&oid, critical, &value])]), good, "{critical:?}");
        }
        assert!(!is_read(&[&value]));
    }

    #[test]
    fn accuracies_are_added_up() {
        let read = |bytes: &[u8]| accuracy(Element::only("accuracy", bytes).unwrap());
        assert_eq!(read(&[0x30, 0]), Ok(TimeDelta::zero()));
        assert_eq!(read(&[0x30, 3, 2, 1, 7]), Ok(TimeDelta::seconds(7)));
        assert_eq!(read(&[0x30, 4, 0x80, 2, 3, 0xe7]), Ok(TimeDelta::milliseconds(999)));
        assert_eq!(read(&[0x30, 3, 0x81, 1, 9]), Ok(TimeDelta::microseconds(9)));
        for bad in [
            &[0x30, 4, 0x80, 2, 3, 0xe8][..],
            &[0x30, 2, 0x80, 0],
            &[0x30, 3, 0x80, 1, 0x80],
            &[0x30, 3, 0x82, 1, 1],
            &[0x30, 3, 2, 1, 0xff],
            &[0x30, 10, 2, 8, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
