//! Trust policies.

use sb_audit::*;
use sb_crypto::leaf_hash;

use super::{at, key, log_key, witness};

/// A policy file: a log, six witnesses, and these lines.
fn file(lines: &str) -> String {
    let witnesses: String = ["X1", "X2", "X3", "Y1", "Y2", "Y3"]
        .iter()
        .map(|name| format!("witness {name} {}\n", witness(name).verifier()))
        .collect();
    format!("log {}\n{witnesses}{lines}\n", log_key().verifier())
}

fn policy(lines: &str) -> Result<Policy, Malformed> {
    Policy::parse(file(lines).as_bytes())
}

fn cosigned(names: &[&str]) -> Note {
    let mut note = Checkpoint::of(&log_key(), TreeHead { size: 1, root: leaf_hash(b"entry") });
    for name in names {
        note.add(witness(name).cosign(note.text(), at(7)));
    }
    note
}

/// The example of the specification.
#[test]
fn a_quorum_of_groups_of_groups() {
    let policy = policy(
        "group X-witnesses 2 X1 X2 X3\ngroup Y-witnesses any Y1 Y2 Y3\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y",
    )
    .unwrap();
    assert!(policy.asks_for_witnesses());
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 6));
    for (names, met) in [
        (vec![], false),
        (vec!["X1", "X2", "X3"], false),
        (vec!["X1", "Y1", "Y2", "Y3"], false),
        (vec!["X1", "X3", "Y2"], true),
        (vec!["X1", "X2", "X3", "Y1", "Y2", "Y3"], true),
        (vec!["X1", "X1", "Y2"], false),
        (vec!["X1", "Z1", "Y2"], false),
    ] {
        let believed = policy.check(&cosigned(&names));
        assert_eq!(believed.is_ok(), met, "{names:?}");
        if let Ok(believed) = believed {
            assert_eq!(believed.cosignatures.len(), names.len());
            assert!(believed.cosignatures.iter().all(|cosignature| cosignature.time == at(7)));
        }
    }
    let error = policy.check(&cosigned(&["X1", "Y1"])).unwrap_err();
    assert_eq!(error, PolicyError::NoQuorum { cosignatures: 2 });
}

#[test]
fn a_single_witness_or_none_may_do() {
    let one = policy("quorum X1").unwrap();
    assert!(one.check(&cosigned(&["X1"])).is_ok());
    assert!(one.check(&cosigned(&["X2"])).is_err());
    let none = policy("quorum none").unwrap();
    assert!(!none.asks_for_witnesses());
    assert_eq!(none.check(&cosigned(&[])).unwrap().cosignatures, []);
    // What the quorum does not need is reported all the same.
    assert_eq!(none.check(&cosigned(&["Y3"])).unwrap().cosignatures[0].witness, *witness("Y3").verifier());
}

#[test]
fn only_a_log_of_the_policy_is_believed_and_only_under_its_name() {
    let policy = policy("quorum none").unwrap();
    let head = TreeHead::empty();
    let other = NoteSigner::new("example.com/other", key("other")).unwrap();
    let unknown = PolicyError::UnknownLog { origin: "example.com/other".to_owned() };
    assert_eq!(policy.check(&Checkpoint::of(&other, head)), Err(unknown.clone()));
    // The log's key under a checkpoint that names another log.
    let text = Checkpoint::of(&other, head).text().to_owned();
    assert_eq!(policy.check(&Note::new(&text, log_key().sign(&text)).unwrap()), Err(unknown));
    let forged = NoteSigner::new("example.com/log", key("other")).unwrap();
    assert_eq!(policy.check(&Checkpoint::of(&forged, head)), Err(NoteError::Unsigned.into()));
    let text = "no checkpoint\n";
    let note = Note::new(text, log_key().sign(text)).unwrap();
    assert!(matches!(policy.check(&note), Err(PolicyError::Malformed(_))));
}

#[test]
fn a_bad_cosignature_by_a_known_witness_spoils_the_checkpoint() {
    let policy = policy("quorum none").unwrap();
    let mut note = cosigned(&["X1"]);
    note.add(witness("X2").cosign("another text\n", at(7)));
    assert_eq!(policy.check(&note), Err(NoteError::BadSignature { name: "X2".to_owned() }.into()));
}

#[test]
fn several_keys_of_one_log_are_all_believed() {
    let second = NoteSigner::new("example.com/log", key("second")).unwrap();
    let policy = policy(&format!("log {}\nquorum none", second.verifier())).unwrap();
    for log in [log_key(), second] {
        assert_eq!(policy.check(&Checkpoint::of(&log, TreeHead::empty())).unwrap().log, *log.verifier());
    }
}

#[test]
fn white_space_comments_urls_and_other_alphabets_are_read() {
    let (log, w) = (log_key(), witness("w"));
    let text = format!(
        "  # a comment with \u{20ac}\n\n\t log\t{}   https://example.com/log \n witness \u{212a} {} https://w.example\nquorum \u{212a}\n#\n",
        log.verifier(),
        w.verifier()
    );
    let policy = Policy::parse(text.as_bytes()).unwrap();
    assert_eq!(policy.witnesses(), [w.verifier().clone()]);
    // Names are bytes: a Kelvin sign is no K.
    assert!(Policy::parse(text.replace("quorum \u{212a}", "quorum K").as_bytes()).is_err());
    let latin = [b"# \xe9\n".as_slice(), text.as_bytes()].concat();
    assert!(Policy::parse(&latin).is_ok());
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let log = log_key().verifier().to_string();
    let renamed = NoteSigner::new("example.com/other", key("log")).unwrap().verifier().to_string();
    let x1 = witness("X1").verifier().to_string();
    for (lines, fault) in [
        ("quorum X1\nquorum X2", "a second quorum"),
        ("quorum Z", "a name that no line above defines"),
        ("quorum G\ngroup G any X1", "a name that no line above defines"),
        ("group G any G\nquorum G", "a name that no line above defines"),
        ("group G any none\nquorum G", "a name that no line above defines"),
        ("group X1 any X2\nquorum X1", "a name that is taken"),
        ("group none any X2\nquorum none", "a name that is taken"),
        ("group G any X1 X1\nquorum G", "a member that counts twice"),
        ("group G any X1\ngroup H any X1\nquorum G", "a member that counts twice"),
        ("group G 0 X1\nquorum G", "a threshold that can't be met, or no members"),
        ("group G 2 X1\nquorum G", "a threshold that can't be met, or no members"),
        ("group G all\nquorum G", "a threshold that can't be met, or no members"),
        ("group G 01 X1\nquorum G", "a threshold that is no number"),
        ("group G some X1\nquorum G", "a threshold that is no number"),
        ("quorum", "not a line of a policy"),
        ("quorum X1 X2", "not a line of a policy"),
        ("group", "not a line of a policy"),
        ("logs x", "not a line of a policy"),
        ("log x", "not a vkey"),
        (&format!("log {log}"), "a key that was listed before"),
        (&format!("log {renamed}"), "a key that was listed before"),
        (&format!("log {x1}"), "a key of the wrong type"),
        (&format!("witness Z {log}"), "a key of the wrong type"),
        (&format!("witness Z {x1}"), "a key that was listed before"),
        ("\u{7f}", "a control character"),
        ("quorum X1\r", "a control character"),
    ] {
        let error = policy(lines).unwrap_err();
        let last = if lines.contains("\nquorum X2") || lines.contains("group H") { 9 } else { 8 };
        assert_eq!((error.fault, error.place), (fault, Place::Line(last)), "{lines:?}");
    }
    assert_eq!(policy("").unwrap_err().fault, "no quorum");
    assert_eq!(Policy::parse(b"quorum none").unwrap_err().fault, "the line has no end");
    assert_eq!(Policy::parse(&b"#\n".repeat(200_000)).unwrap_err().fault, "the file is too long");
    assert_eq!(Policy::parse(b"").unwrap_err().fault, "no quorum");
}

#[test]
fn files_are_bounded() {
    let mut text = String::new();
    for index in 0..256 {
        text.push_str(&format!("witness {index} {}\n", witness(&format!("w{index}")).verifier()));
        text.push_str(&format!("group g{index} any {index}\n"));
    }
    assert!(Policy::parse(format!("{text}quorum g255\n").as_bytes()).is_ok());
    let more = format!("{text}witness more {}\nquorum none\n", witness("more").verifier());
    assert_eq!(Policy::parse(more.as_bytes()).unwrap_err().fault, "too many keys");
    let more = format!("{text}group more any g0\nquorum none\n");
    assert_eq!(Policy::parse(more.as_bytes()).unwrap_err().fault, "too many groups");
}
