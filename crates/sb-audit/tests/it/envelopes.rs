//! Envelopes.

use base64ct::{Base64, Base64Url, Encoding};
use sb_audit::*;

use super::key;

const TYPE: &str = "text/plain";

fn envelope(signers: &[&str]) -> Envelope {
    let mut envelope = Envelope::new(TYPE, vec![0xfb, 0xff, 0xfe]);
    signers.iter().for_each(|name| envelope.sign(&key(name)));
    envelope
}

#[test]
fn distinct_keys_are_counted_not_signatures() {
    let (a, b) = (key("a").public(), key("b").public());
    let twice = envelope(&["a", "a"]);
    assert_eq!(twice.verify(TYPE, &[a, b], 1), Ok(vec![a]));
    assert_eq!(twice.verify(TYPE, &[a, a], 2), Err(EnvelopeError::TooFewSigners { found: 1, needed: 2 }));
    assert_eq!(envelope(&["b", "a"]).verify(TYPE, &[a, b], 2), Ok(vec![a, b]));
}

#[test]
fn nobody_is_never_enough() {
    let none = EnvelopeError::TooFewSigners { found: 0, needed: 1 };
    assert_eq!(envelope(&["a"]).verify(TYPE, &[], 0), Err(none.clone()));
    assert_eq!(envelope(&["a"]).verify(TYPE, &[key("b").public()], 0), Err(none));
}

#[test]
fn key_ids_are_not_believed() {
    let a = key("a").public();
    assert_eq!(envelope(&["a"]).signatures(), [EnvelopeSignature::by(&key("a"), TYPE, &[0xfb, 0xff, 0xfe])]);
    let mut forged = envelope(&[]);
    let key_id = envelope_key_id(&a).to_string();
    forged.add(EnvelopeSignature { key_id, bytes: key("b").sign(&pae(TYPE, forged.payload())).to_vec() });
    assert!(forged.verify(TYPE, &[a], 1).is_err());
    assert!(forged.verify(TYPE, &[key("b").public()], 1).is_ok());
}

#[test]
fn the_type_is_signed_and_checked() {
    let a = key("a").public();
    let good = envelope(&["a"]);
    let other = EnvelopeError::OtherType { found: TYPE.to_owned() };
    assert_eq!(good.verify("text/html", &[a], 1), Err(other));
    let mut retyped = Envelope::new("text/html", good.payload().to_vec());
    retyped.add(good.signatures()[0].clone());
    assert!(retyped.verify("text/html", &[a], 1).is_err());
    assert_eq!(retyped.payload_type(), "text/html");
}

#[test]
fn both_alphabets_white_space_and_unknown_fields_are_read() {
    let good = envelope(&["a"]);
    let sig = Base64::encode_string(&good.signatures()[0].bytes);
    for payload in [Base64::encode_string(good.payload()), Base64Url::encode_string(good.payload())] {
        let text = format!(
            r#"{{ "payloadType": "{TYPE}", "payload": "{payload}", "more": [1],
                 "signatures": [ {{ "sig": "{sig}", "cert": "" }} ] }}"#
        );
        let read = Envelope::parse(text.as_bytes()).unwrap();
        assert_eq!(read.payload(), good.payload());
        assert_eq!(read.verify(TYPE, &[key("a").public()], 1).unwrap().len(), 1);
        assert_eq!(read.signatures()[0].key_id, "");
    }
}

#[test]
fn what_is_no_envelope_is_refused() {
    let good = envelope(&["a"]).to_json().to_string();
    assert!(Envelope::parse(good.as_bytes()).is_ok());
    let with = |signatures: &str| format!(r#"{{"payload":"","payloadType":"","signatures":{signatures}}}"#);
    let many = format!("[{}]", vec![r#"{"sig":""}"#; 65].join(","));
    for bad in [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        good.replace("payloadType", "payloadtype"),
        good.replace("+//+", "+//+="),
        good.replace("+//+", "+//*"),
        good.replace("+//+", "-//_"),
        with("[]"),
        with("{}"),
        with("[1]"),
        with("[{}]"),
        with(r#"[{"sig":"","keyid":1}]"#),
        with(&many),
        " ".repeat(5 << 20),
    ] {
        assert!(Envelope::parse(bad.as_bytes()).is_err(), "{}", &bad[..bad.len().min(200)]);
    }
    assert!(Envelope::parse(with(r#"[{"sig":""}]"#).as_bytes()).unwrap().verify("", &[key("a").public()], 1).is_err());
}
