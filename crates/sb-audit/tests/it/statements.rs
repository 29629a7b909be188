//! Statements and their predicates.

use proptest::prelude::*;
use sb_audit::*;
use sb_crypto::{leaf_hash, sha256};

use super::{at, key};

pub(super) fn run() -> Run {
    Run {
        certificate_id: "bc_1".to_owned(),
        issuer: "firm.example".to_owned(),
        result: RunResult::Passed,
        started: at(0),
        finished: at(60),
        document_tree: Some(DocumentTree { size: 3, root: leaf_hash(b"documents") }),
        log: LogHead { origin: "example.com/log".to_owned(), head: TreeHead::empty() },
        clock: ClockEvidence {
            source: "ntp".to_owned(),
            max_skew_ms: Some(20),
            rollbacks: 0,
            anchor: Some(Anchor { kind: AnchorKind::Witness, by: "witness.example/w1".to_owned(), time: at(-9) }),
        },
        tool: Tool { name: "sb".to_owned(), version: "0.1.0".to_owned() },
        limits: vec!["It does not prove that the sources were true.".to_owned()],
    }
}

fn backup() -> Backup {
    Backup {
        run: run(),
        counts: BackupCounts { documents: 3, bytes: 4096, problems: 0 },
        written: Written { objects: 2, bytes: 900 },
        referenced: Referenced { objects: 5, bytes: 70_000, read_in_full: Some(at(-86_400)) },
        journal: JournalHead { writer: key("writer").public(), number: 12, sha256: sha256(b"journal") },
        policy_sha256: Some(sha256(b"policy")),
        format_version: 1,
    }
}

fn verification() -> Verification {
    Verification {
        run: run(),
        method: "full-read".to_owned(),
        counts: VerificationCounts { documents: 3, bytes: 4096, verified: 3, missing: 0, corrupt: 0 },
        read: None,
        retention: None,
    }
}

fn of(predicate: Predicate) -> Statement {
    Statement { subjects: vec![Subject { name: "snapshot:s_1".to_owned(), sha256: sha256(b"snapshot") }], predicate }
}

fn reads_back(statement: &Statement) -> String {
    let bytes = statement.to_bytes().unwrap();
    assert_eq!(&Statement::parse(&bytes).unwrap(), statement);
    String::from_utf8(bytes).unwrap()
}

/// Written by hand: the form of `backup/v1` is fixed by this.
#[test]
fn a_backup_is_certified_in_these_bytes() {
    let text = reads_back(&of(Predicate::Backup(backup())));
    assert_eq!(
        text,
        concat!(
            r#"{"_type":"https://in-toto.io/Statement/v1","predicate":{"certificateId":"bc_1","clock":{"anchor":{"#,
            r#""at":"2026-01-15T09:06:31Z","by":"witness.example/w1","kind":"cosignature/v1"},"maxSkewMs":20,"#,
            r#""rollbacks":0,"source":"ntp"},"counts":{"bytes":4096,"documents":3,"problems":0},"documentTree":{"#,
            r#""alg":"rfc6962-sha256","root":"pKpNJGTP5Ei2X7Mgg9KgbA24Q5HtHSx4tUYb0oRC0RA=","size":3},"#,
            r#""finishedAt":"2026-01-15T09:07:40Z","formatVersion":1,"issuer":"firm.example","journal":{"number":12,"#,
            r#""sha256":"JOURNAL","writer":"WRITER"},"#,
            r#""limits":["It does not prove that the sources were true."],"log":{"origin":"example.com/log","#,
            r#""root":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","size":0},"policySha256":"POLICY","#,
            r#""referenced":{"bytes":70000,"objects":5,"readInFullSince":"2026-01-14T09:06:40Z"},"result":"PASSED","#,
            r#""startedAt":"2026-01-15T09:06:40Z","tool":{"name":"sb","version":"0.1.0"},"#,
            r#""written":{"bytes":900,"objects":2}},"#,
            r#""predicateType":"https://securebackup.example/attestation/backup/v1","#,
            r#""subject":[{"digest":{"sha256":"SNAPSHOT"},"name":"snapshot:s_1"}]}"#,
        )
        .replace("JOURNAL", &sha256(b"journal").to_string())
        .replace("POLICY", &sha256(b"policy").to_string())
        .replace("SNAPSHOT", &sha256(b"snapshot").to_string())
        .replace("WRITER", &sb_crypto::Digest::from_bytes(*key("writer").public().as_bytes()).to_string())
    );
}

#[test]
fn what_is_optional_may_be_absent() {
    let mut backup = backup();
    backup.policy_sha256 = None;
    backup.referenced.read_in_full = None;
    backup.run.clock.anchor = None;
    let text = reads_back(&of(Predicate::Backup(backup)));
    for absent in ["policySha256", "readInFullSince", "anchor"] {
        assert!(!text.contains(absent));
    }
    let mut verification = verification();
    assert!(!reads_back(&of(Predicate::Verification(verification.clone()))).contains("retention"));
    verification.run.clock.anchor = Some(Anchor { kind: AnchorKind::TimeStamp, by: "tsa".to_owned(), time: at(0) });
    verification.retention =
        Some(RetentionSummary { policy_sha256: sha256(b""), under_retention: 1, overdue_for_disposition: 2 });
    assert!(reads_back(&of(Predicate::Verification(verification))).contains(r#""overdueForDisposition":2"#));
}

#[test]
fn a_partial_backup_is_certified_as_partial() {
    let mut backup = backup();
    backup.run.result = RunResult::Partial;
    backup.counts.problems = 2;
    let statement = of(Predicate::Backup(backup));
    assert!(reads_back(&statement).contains(r#""result":"PARTIAL""#));
    assert_eq!(statement.run().result, RunResult::Partial);
}

/// Changes a good statement; that it is refused when written and when read, and which field is named.
fn refused(predicate: Predicate) -> Place {
    match of(predicate).to_bytes() {
        Err(StatementError::Malformed(malformed)) => malformed.place,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_certificate_contradicts_itself() {
    let field = |name: &str| Place::Field(name.to_owned());
    let backup_with = |change: &dyn Fn(&mut Backup)| {
        let mut backup = backup();
        change(&mut backup);
        refused(Predicate::Backup(backup))
    };
    assert_eq!(backup_with(&|backup| backup.counts.problems = 1), field("result"));
    assert_eq!(backup_with(&|backup| backup.run.result = RunResult::Partial), field("result"));
    assert_eq!(backup_with(&|backup| backup.run.result = RunResult::Failed), field("result"));
    assert_eq!(backup_with(&|backup| backup.counts.documents = 4), field("documentTree"));
    assert_eq!(backup_with(&|backup| backup.run.limits.clear()), field("limits"));
    assert_eq!(backup_with(&|backup| backup.run.finished = at(-1)), field("finishedAt"));
    let verification_with = |change: &dyn Fn(&mut Verification)| {
        let mut verification = verification();
        change(&mut verification);
        refused(Predicate::Verification(verification))
    };
    assert_eq!(verification_with(&|verification| verification.counts.missing = 1), field("result"));
    assert_eq!(verification_with(&|verification| verification.counts.corrupt = 1), field("result"));
    assert_eq!(verification_with(&|verification| verification.counts.verified = 2), field("result"));
    assert_eq!(
        verification_with(&|verification| {
            verification.counts.corrupt = 1;
            verification.run.result = RunResult::Partial;
        }),
        field("result")
    );
    assert_eq!(
        verification_with(&|verification| verification.run.document_tree.as_mut().unwrap().size = 4),
        field("documentTree")
    );
    for (verified, missing, corrupt) in [(4, 0, 0), (3, 1, 0), (2, 1, 1), (3, u64::MAX, 0), (3, 0, u64::MAX)] {
        let miscounted = verification_with(&|verification| {
            verification.run.result = RunResult::Failed;
            verification.counts = VerificationCounts { verified, missing, corrupt, ..verification.counts };
        });
        assert_eq!(miscounted, field("counts"));
    }
}

#[test]
fn a_verification_that_found_damage_or_could_not_check_all_says_so() {
    let mut failed = verification();
    failed.run.result = RunResult::Failed;
    failed.counts.corrupt = 1;
    failed.counts.verified = 2;
    reads_back(&of(Predicate::Verification(failed)));
    let mut partial = verification();
    partial.run.result = RunResult::Partial;
    partial.counts.verified = 2;
    reads_back(&of(Predicate::Verification(partial)));
}

#[test]
fn what_is_not_known_is_ignored_but_for_the_kind_of_predicate() {
    let text = reads_back(&of(Predicate::Verification(verification())));
    let newer = text.replace(r#""limits":"#, r#""later":[1,{}],"limits":"#);
    assert_eq!(Statement::parse(newer.as_bytes()).unwrap(), of(Predicate::Verification(verification())));
    let other = text.replace("verification/v1", "destruction/v1");
    let type_uri = "https://securebackup.example/attestation/destruction/v1".to_owned();
    assert_eq!(Statement::parse(other.as_bytes()), Err(StatementError::UnknownPredicate { type_uri }));
}

#[test]
fn what_is_no_statement_is_refused() {
    let good = reads_back(&of(Predicate::Backup(backup())));
    for (from, to) in [
        ("Statement/v1", "Statement/v0.1"),
        ("rfc6962-sha256", "rfc6962-sha512"),
        ("PASSED", "GREAT"),
        ("cosignature/v1", "promise"),
        ("2026-01-15T09:07:40Z", "2026-01-15T09:07:40+00:00"),
        (r#""number":12"#, r#""number":"12""#),
        (r#""bytes":900,"#, ""),
        (r#""objects":5,"#, ""),
        (r#""formatVersion":1,"#, ""),
        (r#""policySha256":""#, r#""policySha256":"x"#),
        (r#""readInFullSince":"2026"#, r#""readInFullSince":"26"#),
        (r#""name":"snapshot:s_1""#, r#""name":1"#),
        (r#""issuer":"firm.example","#, ""),
        (r#""version":"0.1.0""#, r#""version":[]"#),
        (r#""origin":"example.com/log","#, ""),
        (r#""source":"ntp""#, r#""source":null"#),
        (r#""rollbacks":0"#, r#""rollbacks":-1"#),
        (r#","predicateType""#, r#", "predicateType""#),
    ] {
        assert!(good.contains(from), "{from}");
        assert!(Statement::parse(good.replacen(from, to, 1).as_bytes()).is_err(), "{from} -> {to}");
    }
    let nobody = Statement { subjects: vec![], predicate: Predicate::Backup(backup()) };
    assert!(nobody.to_bytes().is_err() && nobody.to_envelope().is_err());
    assert!(Statement::parse(&vec![b' '; 2 << 20]).is_err());
    assert!(Statement::parse(b"[]").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_statement_reads_back(
        texts in prop::collection::vec(any::<String>(), 6), numbers in prop::collection::vec(any::<u64>(), 8), seconds in 0..100_000_i64,
    ) {
        let mut backup = backup();
        backup.run.certificate_id.clone_from(&texts[0]);
        backup.run.issuer.clone_from(&texts[1]);
        backup.run.limits = texts[2..].to_vec();
        backup.run.finished = at(seconds);
        backup.run.log.head.size = numbers[0];
        backup.run.document_tree = backup.run.document_tree.map(|tree| DocumentTree { size: numbers[1], ..tree });
        backup.counts = BackupCounts { documents: numbers[1], bytes: numbers[2], problems: 0 };
        backup.written = Written { objects: numbers[3], bytes: numbers[4] };
        backup.journal.number = numbers[5];
        let mut statement = of(Predicate::Backup(backup));
        statement.subjects[0].name.clone_from(&texts[5]);
        reads_back(&statement);
    }
}
