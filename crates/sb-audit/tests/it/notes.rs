//! Signed notes, their keys, checkpoints.

use base64ct::{Base64, Encoding};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use sb_audit::*;
use sb_crypto::sha256;

use super::{at, key, log_key, witness};

const TEXT: &str = "first\n\nthird\n";

fn note() -> Note {
    Note::new(TEXT, log_key().sign(TEXT)).unwrap()
}

#[test]
fn a_note_reads_back_with_empty_lines_and_all_signatures() {
    let mut note = note();
    note.add(witness("w1").cosign(TEXT, at(5)));
    assert_eq!(note.to_string().lines().count(), 6);
    let read = Note::parse(note.to_string().as_bytes()).unwrap();
    assert_eq!(read, note);
    assert_eq!((read.text(), read.signatures().len()), (TEXT, 2));
    assert_eq!(read.signatures()[1].name(), "w1");
}

#[test]
fn unknown_signatures_are_ignored_and_known_bad_ones_are_not() {
    let (log, w1, w2) = (log_key(), witness("w1"), witness("w2"));
    let mut note = note();
    note.add(w1.cosign("another text\n", at(5)));
    assert_eq!(note.verify([log.verifier()]).unwrap().len(), 1);
    assert_eq!(note.verify([log.verifier(), w2.verifier()]).unwrap().len(), 1);
    let bad = NoteError::BadSignature { name: "w1".to_owned() };
    assert_eq!(note.verify([log.verifier(), w1.verifier()]), Err(bad.clone()));
    assert_eq!(note.verify([w1.verifier()]), Err(bad));
    assert_eq!(note.verify([w2.verifier()]), Err(NoteError::Unsigned));
    assert_eq!(note.verify([]), Err(NoteError::Unsigned));
}

#[test]
fn a_key_of_the_same_name_is_another_key() {
    let other = NoteSigner::new("example.com/log", key("other")).unwrap();
    assert_eq!(note().verify([other.verifier()]), Err(NoteError::Unsigned));
    let same_key = NoteSigner::new("example.com/other", key("log")).unwrap();
    assert_eq!(note().verify([same_key.verifier()]), Err(NoteError::Unsigned));
    let cosigner = Cosigner::new("example.com/log", key("log")).unwrap();
    assert_eq!(note().verify([cosigner.verifier()]), Err(NoteError::Unsigned));
}

#[test]
fn a_key_that_signs_twice_counts_once() {
    let mut note = note();
    note.add(log_key().sign(TEXT));
    assert_eq!(note.verify([log_key().verifier()]).unwrap().len(), 1);
}

#[test]
fn sixteen_signatures_of_post_quantum_size_are_read() {
    let mut text = note().to_string();
    let signature = Base64::encode_string(&[7; 4 + 8 + 2420]);
    for index in 0..16 {
        text.push_str(&format!("— witness{index} {signature}\n"));
    }
    assert!(Note::parse(text.as_bytes()).unwrap().verify([log_key().verifier()]).is_ok());
    for _ in 0..64 {
        text.push_str(&format!("— more {}\n", &Base64::encode_string(&[7; 5])));
    }
    assert_eq!(Note::parse(text.as_bytes()).unwrap_err().fault, "too many signatures");
}

#[test]
fn what_is_no_note_is_refused() {
    let good = note().to_string();
    for bad in [
        String::new(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        good.replace("— ", "- "),
        good.replace("— ", "—"),
        good.trim_end().to_owned(),
        format!("{good}\n"),
        format!("{good}text\n"),
        good.replace("example.com/log", "example.com+log"),
        good.replace("example.com/log", ""),
        good.replace("example.com/log", "example.com\u{2003}log"),
        good.replace("first", "fir\tst"),
        good.replace("first", &"x".repeat(300_000)),
        "text\n\n— name AAAA\n".to_owned(),
        "text\n\n— name AAAAAA==\n".to_owned(),
        "text\n\n— name AAAAAB==\n".to_owned(),
        "text\n\n— name AAAAAAA=\n— name\n".to_owned(),
    ] {
        assert!(Note::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
    let error = Note::parse("a\n\nb\n\n— name AAAAAAA=\nx\n".as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "not a valid signed note: not a signature line, line 6");
    for text in ["", "no end", "a\tb\n"] {
        assert!(Note::new(text, log_key().sign(text)).is_err(), "{text:?}");
    }
}

#[test]
fn a_cosignature_has_a_time_that_fits() {
    let text = "text\n";
    let w1 = witness("w1");
    for time in [DateTime::UNIX_EPOCH, DateTime::from_timestamp(DateTime::<Utc>::MAX_UTC.timestamp(), 0).unwrap()] {
        let note = Note::new(text, w1.cosign(text, time)).unwrap();
        assert_eq!(note.verify([w1.verifier()]).unwrap()[0].time, Some(time));
    }
    for seconds in [i64::MAX as u64, u64::MAX] {
        let signature = key("w1").sign(format!("cosignature/v1\ntime {seconds}\n{text}").as_bytes());
        let line = Base64::encode_string(&[&w1.verifier().id(), seconds.to_be_bytes().as_slice(), &signature].concat());
        let note = Note::parse(format!("{text}\n— w1 {line}\n").as_bytes()).unwrap();
        assert!(matches!(note.verify([w1.verifier()]), Err(NoteError::BadSignature { .. })));
    }
}

#[test]
#[should_panic(expected = "a cosignature is made after 1970")]
fn a_cosignature_before_1970_is_a_mistake() {
    let _ = witness("w1").cosign("text\n", at(-3_000_000_000));
}

#[test]
fn keys_are_read_in_one_spelling() {
    let good = log_key().verifier().to_string();
    let public = [&[1_u8], key("log").public().as_bytes().as_slice()].concat();
    for (bad, place) in [
        ("example.com/log", "name"),
        ("example.com/log+aLJgRm0Q", "id"),
        (&good.replace("example", "sample"), "id"),
        (&good.replace('+', "+0"), "key"),
        (&format!("{good}="), "key"),
        (&good.replace("example.com/log", ""), "name"),
        (&good.replace("example.com/log", "a b"), "name"),
        (&format!("n+00000000+{}", Base64::encode_string(&public[..32])), "key"),
        (&format!("n+00000000+{}", Base64::encode_string(&[&[6], &public[1..]].concat())), "key"),
        ("n+00000000+", "key"),
    ] {
        let error = bad.parse::<VerifierKey>().unwrap_err();
        assert_eq!(error.place, Place::Field(place.to_owned()), "{bad}");
    }
    assert!(NoteSigner::new("a+b", key("log")).is_err());
    assert!(Cosigner::new("", key("log")).is_err());
}

#[test]
fn checkpoints_have_one_spelling() {
    let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let text = format!("origin with spaces\n10\n{root}\nextension\n");
    let checkpoint = Checkpoint::parse(&text).unwrap();
    assert_eq!(checkpoint.head(), TreeHead { size: 10, root: sha256(b"") });
    assert_eq!(checkpoint.extensions(), ["extension"]);
    assert_eq!(checkpoint.to_string(), text);
    for (bad, line) in [
        (format!("\n10\n{root}\n"), 1),
        (format!("o\n010\n{root}\n"), 2),
        (format!("o\n-1\n{root}\n"), 2),
        ("o\n1\nabc\n".to_owned(), 3),
        ("o\n1\n".to_owned(), 3),
        (format!("o\n1\n{root}"), 3),
        (format!("o\n1\n{root}\n\n"), 4),
        (format!("o\n1\n{root}\nx"), 4),
    ] {
        assert_eq!(Checkpoint::parse(&bad).unwrap_err().place, Place::Line(line), "{bad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_note_reads_back(text in "([ -~é]{0,20}\n){1,6}", seconds in 0..8_000_000_000_000_i64) {
        let time = DateTime::from_timestamp(seconds, 0).unwrap();
        let mut note = Note::new(&text, log_key().sign(&text)).unwrap();
        note.add(witness("w").cosign(&text, time));
        let read = Note::parse(note.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&read, &note);
        let keys = [log_key().verifier().clone(), witness("w").verifier().clone()];
        prop_assert_eq!(read.verify(&keys).unwrap()[1].time, Some(time));
    }

    #[test]
    fn any_flipped_bit_of_a_note_is_noticed(at: prop::sample::Index, bit in 0..8) {
        let mut bytes = note().to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let noticed = Note::parse(&bytes).map(|note| note.verify([log_key().verifier()]).is_err());
        prop_assert!(noticed.unwrap_or(true));
    }
}
