//! What the machine itself has signed and logged, but is no statement or entry: both verifiers refuse the same.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sb_audit::*;
use sb_crypto::{leaf_hash, sha256};

use super::vault::{Scene, scene};
use super::{Files, fix_sums, verdict};

/// The folder with this statement in place of its own: signed, logged.
fn stating(statement: &[u8]) -> Files {
    let scene = scene();
    let mut envelope = Envelope::new(STATEMENT_TYPE, statement.to_vec());
    envelope.sign(&scene.machine);
    let mut files = scene.files();
    files.insert("statement.json".to_owned(), statement.to_vec());
    files.insert("certificate.dsse.json".to_owned(), envelope.to_json().to_string().into_bytes());
    files.insert("certificate.tlog-proof".to_owned(), scene.proof_of(statement).to_string().into_bytes());
    fix_sums(&mut files);
    files
}

/// The folder with this entry as the only one of the log.
fn logging(entry: &[u8]) -> Files {
    let scene = Scene { before: 0, ..scene() };
    let checkpoint = Checkpoint::of(&scene.log(), TreeHead { size: 1, root: leaf_hash(entry) });
    let proof = TlogProof { extra: Some(entry.to_vec()), index: 0, path: vec![], checkpoint };
    let mut files = scene.files();
    files.insert("certificate.tlog-proof".to_owned(), proof.to_string().into_bytes());
    fix_sums(&mut files);
    files
}

fn backup() -> String {
    String::from_utf8(scene().statement().to_bytes().unwrap()).unwrap()
}

fn verification() -> String {
    let Predicate::Backup(backup) = scene().statement().predicate else { panic!("a backup") };
    let retention =
        RetentionSummary { policy_sha256: sha256(b"rules"), under_retention: 5, overdue_for_disposition: 0 };
    let mut run = backup.run;
    run.clock.anchor = Some(Anchor { kind: AnchorKind::TimeStamp, by: "tsa.example".to_owned(), time: run.started });
    let counts = VerificationCounts { documents: 5, bytes: 4096, verified: 5, missing: 0, corrupt: 0 };
    let verification =
        Verification { run, method: "full-read".to_owned(), counts, read: None, retention: Some(retention) };
    let statement = Statement { predicate: Predicate::Verification(verification), ..scene().statement() };
    String::from_utf8(statement.to_bytes().unwrap()).unwrap()
}

fn entry() -> String {
    let proof = Scene { before: 0, ..scene() }.proof();
    String::from_utf8(proof.extra.unwrap()).unwrap()
}

const IN_ANY: [(&str, &str, bool); 32] = [
    (r#"},"name":"snapshot:s_7"}]"#, r#"},"name":"snapshot:s_7"},{"digest":{"sha256":"SUM"},"name":"b"}]"#, true),
    (r#"},"name":"snapshot:s_7"}]"#, r#"},"name":"snapshot:s_7"},7]"#, false),
    (r#"},"name":"snapshot:s_7"}]"#, r#"}}]"#, false),
    (r#""PASSED""#, r#""FINE""#, false),
    (r#""result":"PASSED""#, r#""result":"PASSED","result":"PASSED""#, false),
    (r#""result":"PASSED""#, r#""result":"PASSED","resulu":{"result":"FAILED"}"#, true),
    (r#""result":"PASSED""#, r#""result":"PASSED","r-.0_":[[],{},true,0,"\"result\":\"FAILED\""]"#, false),
    (r#""result":"PASSED""#, r#""result":"PASSED","resulu-.0_":[[],{},true,0,"\"result\":\"FAILED\""]"#, true),
    (r#""result":"PASSED""#, r#""result":"PASSED","resulu":[1,]"#, false),
    (r#""result":"PASSED""#, r#""result":"PASSED","resulu":[1 ]"#, false),
    (r#""result":"PASSED""#, r#""result":"PASSED","resulu":-1"#, false),
    (r#""result":"PASSED""#, r#""result":"PASSED","resulu":null"#, false),
    (r#""result":"PASSED""#, r#""result":"PASSED","resulu":[[[[[[[[[[[[[[]]]]]]]]]]]]]]"#, true),
    (r#""result":"PASSED""#, r#""result":"PASSED","resulu":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]"#, false),
    (r#""result":"PASSED""#, r#""result":"PASSED","result x":1"#, false),
    (r#""limits":["Proves"#, r#""limits":["\u0050roves"#, false),
    (r#""limits":["Proves"#, "\"limits\":[\"\tProves", false),
    (r#""limits":["Proves"#, r#""limits":["\"\\\b\f\n\r\t\u001f/Größe"#, true),
    (r#""limits":["Proves what was stored, not that it is true."]"#, r#""limits":[]"#, false),
    (r#""limits":["Proves what was stored, not that it is true."]"#, r#""limits":["a",7]"#, false),
    (r#""limits":["Proves what was stored, not that it is true."]"#, r#""limits":{"0":"a"}"#, false),
    ("2026-01-15T09:07:40Z", "2026-01-15T09:06:39Z", false),
    ("2026-01-15T09:07:40Z", "2028-02-29T23:59:60Z", true),
    ("2026-01-15T09:07:40Z", "2100-02-29T00:00:00Z", false),
    ("2026-01-15T09:07:40Z", "2026-04-31T00:00:00Z", false),
    ("2026-01-15T09:07:40Z", "2026-13-01T24:00:00Z", false),
    (r#""size":0}"#, r#""size":2}"#, true),
    (r#""size":0}"#, r#""size":3}"#, false),
    (r#""maxSkewMs":20"#, r#""maxSkewMs":18446744073709551616"#, false),
    (r#""alg":"rfc6962-sha256""#, r#""alg":"rfc6962-sha512""#, false),
    (r#"origin":"sbv1/log/b5"#, r#"origin":"sbv1/log/c5"#, false),
    (r#"},"name":"snapshot:s_7"}]"#, r#"},"name":"a"},{"digest":{"sha256":"00"},"name":"b"}]"#, false),
];

#[test]
fn a_statement_is_refused_by_both_or_by_none() {
    for statement in [backup(), verification()] {
        verdict(&stating(statement.as_bytes())).unwrap();
        for (from, to, is_good) in IN_ANY {
            assert!(statement.contains(from), "{from}");
            let changed = statement.replacen(from, &to.replace("SUM", &"0f".repeat(32)), 1);
            assert_eq!(verdict(&stating(changed.as_bytes())).is_ok(), is_good, "{from} -> {to}");
        }
    }
    for (from, to, is_good) in [
        (r#""problems":0"#, r#""problems":1"#, false),
        (r#""documents":5"#, r#""documents":6"#, false),
        (r#""formatVersion":1"#, r#""formatVersion":true"#, false),
        (r#","readInFullSince":"2026-01-15T08:50:00Z""#, "", true),
        (r#""attestation/backup/v1""#, "", true),
        ("attestation/backup/v1", "attestation/backup/v2", false),
    ] {
        let changed = backup().replacen(from, to, 1);
        assert_eq!(verdict(&stating(changed.as_bytes())).is_ok(), is_good, "{from} -> {to}");
    }
    for (from, to, is_good) in [
        (r#""missing":0"#, r#""missing":1"#, false),
        (r#""verified":5"#, r#""verified":4"#, false),
        (r#""kind":"rfc3161""#, r#""kind":"hearsay""#, false),
        (r#""underRetention":5"#, r#""underRetention":"5""#, false),
        (r#""method":"full-read","#, "", false),
        (r#""size":5"#, r#""size":18446744073709551615"#, false),
    ] {
        let changed = verification().replacen(from, to, 1);
        assert_eq!(verdict(&stating(changed.as_bytes())).is_ok(), is_good, "{from} -> {to}");
    }
    let failed = verification().replace("PASSED", "FAILED").replace(r#""missing":0"#, r#""missing":1"#);
    let failed = failed.replace(r#""verified":5"#, r#""verified":4"#);
    assert!(verdict(&stating(failed.as_bytes())).unwrap().starts_with("OK  FAILED: verification"));
    for bytes in
        [&b""[..], b"{}", b"[]", b"7", b"{\"a\":", b"\"a\\\"", b"{\"a\":1}}", b"{\"a\":\"\xed\xa0\x80\"}", b"{}\n"]
    {
        verdict(&stating(bytes)).unwrap_err();
    }
}

/// What both verifiers are to say of a statement.
fn judge(statement: &[u8], is_good: bool) {
    let text = String::from_utf8_lossy(statement);
    assert_eq!(verdict(&stating(statement)).is_ok(), is_good, "{text}");
}

#[test]
fn what_a_statement_may_leave_out_is_left_out_for_both() {
    let without = [r#""maxSkewMs":20,"#, "documentTree"];
    let cut = verification().replace(without[0], "");
    assert_ne!(cut, verification());
    judge(cut.as_bytes(), true);
    let (before, rest) = cut.split_once(r#""documentTree":{"#).unwrap();
    let bare = format!("{before}{}", rest.split_once("},").unwrap().1);
    judge(bare.as_bytes(), true);
    let read = bare.replace(r#""result":"PASSED""#, r#""read":{"bytes":7,"objects":3},"result":"PASSED""#);
    judge(read.as_bytes(), true);
    judge(read.replace(r#""objects":3"#, r#""objects":"3""#).as_bytes(), false);
    // A backup always has a tree.
    let (before, rest) = backup().split_once(r#""documentTree":{"#).map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    judge(format!("{before}{}", rest.split_once("},").unwrap().1).as_bytes(), false);
    // Nobody has verified more than there is.
    judge(verification().replace(r#""corrupt":0"#, r#""corrupt":1"#).replace("PASSED", "FAILED").as_bytes(), false);
}

#[test]
fn an_entry_is_refused_by_both_or_by_none() {
    verdict(&logging(entry().as_bytes())).unwrap();
    let sum = sha256(backup().as_bytes()).to_string();
    for (from, to, is_good) in [
        ("Certificate.Issue", "Certificate.Draft", false),
        (r#""outcome":"success""#, r#""outcome":"intent""#, false),
        (r#""seq":0"#, r#""seq":1"#, false),
        (r#""v":"sb-audit/v1""#, r#""v":"sb-audit/v2""#, false),
        (r#""src":"host:nas-1/sb""#, r#""src":"a house""#, false),
        (r#""src":"host:nas-1/sb""#, r#""src":"[a-z]^~!#&(""#, true),
        (r#""src":"host:nas-1/sb","#, r#""src":"a","stranger":1,"#, false),
        (r#""data":{"#, r#""data":{"intent":0,"#, false),
        (r#""data":{"#, r#""data":{"a b":0,"#, false),
        (r#""data":{"#, r#""data":{"a":{"statement_sha256":"x"},"#, true),
        ("41.000Z", "41Z", false),
        ("41.000Z", "41.00Z", false),
        ("2026-01-15", "2026-00-15", false),
        (&sum[..], &sum.to_uppercase(), false),
    ] {
        assert!(entry().contains(from), "{from}");
        let changed = entry().replacen(from, to, 1);
        assert_eq!(verdict(&logging(changed.as_bytes())).is_ok(), is_good, "{from} -> {to}");
    }
    for bytes in [&b""[..], b"{}", b"\xff"] {
        verdict(&logging(bytes)).unwrap_err();
    }
}

#[test]
fn a_checkpoint_has_three_lines_and_the_signatures_that_count() {
    let scene = scene();
    let proof = scene.proof();
    let log = scene.log();
    let with = |note: Note| {
        let mut files = scene.files();
        let proof = TlogProof { checkpoint: note, ..proof.clone() };
        files.insert("certificate.tlog-proof".to_owned(), proof.to_string().into_bytes());
        fix_sums(&mut files);
        verdict(&files).is_ok()
    };
    let text = proof.checkpoint.text();
    assert!(with(proof.checkpoint.clone()));
    let extended = format!("{text}an extension\n");
    assert!(!with(Note::new(&extended, log.sign(&extended)).unwrap()));
    let mut twice = proof.checkpoint.clone();
    twice.add(log.sign(text));
    assert!(!with(twice));
    let mut more = proof.checkpoint.clone();
    more.add(crate::witness("w").cosign(text, crate::at(0)));
    assert!(!with(more));
    let other = NoteSigner::new("sbv1/log/other", scene.machine.clone()).unwrap();
    assert!(!with(Note::new(text, other.sign(text)).unwrap()));
    for size in [u64::MAX, 1_000_000_000_000_000_000, 1] {
        let Ok(checkpoint) = Checkpoint::parse(text) else { panic!("a checkpoint") };
        assert!(!with(Checkpoint::of(&log, TreeHead { size, root: checkpoint.head().root })));
    }
}

#[test]
fn texts_are_utf8() {
    let with = |bytes: &[u8]| {
        let (statement, place) = (backup().into_bytes(), backup().find("Proves").unwrap());
        verdict(&stating(&[&statement[..place], bytes, &statement[place..]].concat())).is_ok()
    };
    for good in ["\u{7f}", "\u{80}ÿ", "\u{800}\u{d7ff}\u{e000}\u{ffff}", "\u{10000}\u{10ffff}"] {
        assert!(with(good.as_bytes()), "{good:?}");
    }
    let bad: [&[u8]; 9] = [
        b"\xff",
        b"\x80",
        b"\xc3",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xe2\x82",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
    ];
    for bytes in bad {
        assert!(!with(bytes), "{bytes:x?}");
    }
}

/// Statements that differ from a good one in a character or a piece, signed and logged by the machine.
#[test]
fn both_verifiers_agree_about_whatever_a_machine_states() {
    let pieces = prop::sample::select(vec![
        "\"",
        "\\",
        ",",
        ":",
        "{",
        "}",
        "[",
        "]",
        "0",
        "9",
        "a",
        " ",
        "\u{7f}",
        "é",
        "\\n",
        "true",
        "\"a\":1,",
        ",\"z\":[]",
        "[1,2]",
        "\n",
    ]);
    let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    let mutation = (any::<bool>(), any::<prop::sample::Index>(), 0..3usize, pieces);
    TestRunner::new(config)
        .run(&mutation, |(of_backup, place, removed, piece)| {
            let mut text = if of_backup { backup() } else { verification() };
            let at = place.index(text.len() - removed);
            text.replace_range(at..at + removed, piece);
            let _ = verdict(&stating(text.as_bytes()));
            Ok(())
        })
        .unwrap();
}
