//! Entries and batches.

use proptest::prelude::*;
use sb_audit::*;
use sb_crypto::{SigningKey, leaf_hash, node_hash};

use super::{at, event, key, log_key};

fn policy() -> Policy {
    Policy::parse(format!("log {}\nquorum none\n", log_key().verifier()).as_bytes()).unwrap()
}

fn events(from: u64, count: u64) -> Vec<Event> {
    (from..from + count).map(|object| event(0, object, Outcome::Success)).collect()
}

/// The batches of a log that is appended to in these portions.
fn batches(portions: &[u64]) -> Vec<Vec<u8>> {
    let mut tip = LogTip::new();
    let mut batches = Vec::new();
    for portion in portions {
        let (bytes, next) = tip.append(&log_key(), &events(tip.size(), *portion)).unwrap();
        batches.push(bytes);
        tip = next;
    }
    batches
}

fn parse(bytes: &[u8]) -> Result<Batch, BatchError> {
    Batch::parse(bytes, log_key().verifier())
}

#[test]
fn an_entry_says_everything_and_reads_back() {
    let event =
        event(7, 1, Outcome::Failed).answering(3).with("error", Json::text("no space")).with("n", Json::Integer(1));
    let entry = Entry { seq: 4, event };
    let text = String::from_utf8(entry.to_bytes().unwrap()).unwrap();
    assert_eq!(
        text,
        r#"{"action":"Snapshot.Delete","actor":"u_7","data":{"error":"no space","intent":3,"n":1},"object":"snapshot:s_1","outcome":"failed","seq":4,"src":"host:nas-1/sb","t":"2026-01-15T09:06:47.000Z","v":"sb-audit/v1"}"#
    );
    assert_eq!(Entry::parse(text.as_bytes()).unwrap(), entry);
}

#[test]
fn what_is_no_entry_is_refused() {
    let good = Entry { seq: 4, event: event(0, 1, Outcome::Success).answering(3) }.to_bytes().unwrap();
    let good = String::from_utf8(good).unwrap();
    for (from, to) in [
        ("sb-audit/v1", "sb-audit/v2"),
        ("success", "fine"),
        ("success", "intent"),
        (r#""intent":3"#, r#""intent":4"#),
        (r#""intent":3"#, r#""intent":"3""#),
        (r#""seq":4"#, r#""seq":"4""#),
        (r#""seq":4,"#, ""),
        ("u_7", "J. Smith"),
        ("u_7", ""),
        ("Snapshot.Delete", "Delete"),
        ("Snapshot.Delete", "snapshot.delete"),
        ("Snapshot.Delete", "Snapshot.Delete.Now"),
        ("09:06:40.000Z", "09:06:40Z"),
        (r#""data":{"intent":3}"#, r#""data":[]"#),
        (r#","v":"#, r#","u":1,"v":"#),
        (r#","v":"#, r#", "v":"#),
    ] {
        assert!(good.contains(from));
        assert!(Entry::parse(good.replace(from, to).as_bytes()).is_err(), "{from} -> {to}");
    }
    assert!(Entry::parse(&vec![b' '; 70_000]).is_err());
}

#[test]
fn what_nobody_could_read_is_not_written() {
    let event = event(0, 1, Outcome::Success);
    let deep = (0..20).fold(Json::Bool(true), |inner, _| Json::List(vec![inner]));
    let mut never = event.clone();
    never.time = chrono::DateTime::<chrono::Utc>::MAX_UTC;
    for bad in [
        event.clone().with("text", Json::text("x".repeat(65_536))),
        event.clone().with("deep", deep),
        event.clone().with("é", Json::Bool(true)),
        event.clone().with("intent", Json::text("x")),
        event.clone().with("intent", Json::Integer(0)),
        never,
    ] {
        assert!(Entry { seq: 0, event: bad.clone() }.to_bytes().is_err(), "{bad:?}");
        let error = LogTip::new().append(&log_key(), &[event.clone(), bad]).unwrap_err();
        assert!(matches!(error, AppendError::Unwritable { event: 1, .. }));
    }
    assert!(Entry { seq: 3, event: event.clone().answering(3) }.to_bytes().is_err());
    // What an entry answers is said by its own field, or by none.
    for bad in [event.clone(), event.clone().answering(1)] {
        assert!(Entry { seq: 3, event: bad.with("intent", Json::Integer(0)) }.to_bytes().is_err());
    }
    assert_eq!(LogTip::new().append(&log_key(), &[]).unwrap_err(), AppendError::Size { events: 0 });
}

#[test]
fn batches_and_logs_have_an_end() {
    let large = event(0, 1, Outcome::Success).with("text", Json::text("x".repeat(65_000)));
    let size = AppendError::Size { events: 1040 };
    assert_eq!(LogTip::new().append(&log_key(), &vec![large; 1040]).unwrap_err(), size);
    // The longest log there can be.
    let seq = 1 << 62;
    let entry = Entry { seq, event: event(0, 1, Outcome::Success) }.to_bytes().unwrap();
    let root = node_hash(&leaf_hash(b""), &leaf_hash(&entry));
    let note = Checkpoint::of(&log_key(), TreeHead { size: seq + 1, root });
    let longest = parse(&forged(seq, 1, &[entry], &note)).unwrap();
    assert!(longest.prove(seq).unwrap().verify(longest.entry_bytes(seq).unwrap(), &policy()).is_ok());
    assert_eq!(longest.tip().append(&log_key(), &events(0, 1)).unwrap_err(), AppendError::Size { events: 1 });
}

#[test]
fn what_was_denied_or_is_intended_is_logged_too() {
    for outcome in [Outcome::Intent, Outcome::Success, Outcome::Denied, Outcome::Failed] {
        let entry = Entry { seq: 0, event: event(0, 1, outcome) };
        assert_eq!(Entry::parse(&entry.to_bytes().unwrap()).unwrap().event.outcome, outcome);
    }
}

#[test]
fn ids_are_opaque_words() {
    let longest = "x".repeat(255);
    for good in ["u_7", "log:smith-cpa.example/securebackup/log-1", "host:nas-1/sbd", &longest] {
        assert_eq!(good.parse::<OpaqueId>().unwrap().to_string(), good);
    }
    for bad in ["", "a b", "a\"b", "a\\b", "é", "a\n", &format!("{longest}x")] {
        assert!(bad.parse::<OpaqueId>().is_err(), "{bad:?}");
    }
    let action: Action = "LegalHold.Place".parse().unwrap();
    assert_eq!(action.to_string(), "LegalHold.Place");
    assert!(format!("A.B{}", "c".repeat(62)).parse::<Action>().is_err());
    assert!(Action::CERTIFICATE_ISSUE.parse::<Action>().is_ok());
}

#[test]
fn batches_follow_each_other_however_they_are_cut() {
    let whole = parse(&batches(&[13])[0]).unwrap();
    for portions in [vec![1; 13], vec![6, 7], vec![1, 2, 3, 7], vec![8, 4, 1]] {
        let mut size = 0;
        let mut before = TreeHead::empty();
        for (bytes, portion) in batches(&portions).iter().zip(&portions) {
            let batch = parse(bytes).unwrap();
            assert_eq!((batch.first(), batch.head_before()), (size, before));
            assert_eq!(batch.entries().len() as u64, *portion);
            size += portion;
            before = batch.tip().head();
            assert_eq!((batch.tip().size(), before.size), (size, size));
        }
        assert_eq!(before, whole.tip().head());
    }
}

/// The tip of a batch that was read is as good as the one that wrote it.
#[test]
fn the_newest_batch_is_enough_to_go_on() {
    let stored = batches(&[3, 5]);
    let tip = parse(&stored[1]).unwrap().tip().clone();
    let (next, _) = tip.append(&log_key(), &events(8, 2)).unwrap();
    assert_eq!(next, batches(&[3, 5, 2])[2]);
}

#[test]
fn every_entry_is_proved_from_its_own_batch() {
    for portions in [vec![1; 20], vec![20], vec![7, 6, 7], vec![16, 1, 3], vec![5, 11, 4]] {
        for bytes in batches(&portions) {
            let batch = parse(&bytes).unwrap();
            for (seq, leaf) in (batch.first()..).zip(batch.leaves()) {
                let proof = batch.prove(seq).unwrap();
                let entry = batch.entry_bytes(seq).unwrap();
                assert_eq!(leaf_hash(entry), *leaf);
                assert_eq!(proof.extra.as_deref(), Some(entry));
                let believed = proof.verify(entry, &policy()).unwrap();
                assert_eq!(believed.checkpoint.head(), batch.tip().head());
                assert!(proof.verify(b"another entry", &policy()).is_err());
            }
            assert!(batch.prove(batch.tip().size()).is_none());
            assert!(batch.first() == 0 || batch.prove(batch.first() - 1).is_none());
            assert!(batch.entry_bytes(u64::MAX).is_none());
        }
    }
}

#[test]
fn any_flipped_bit_or_cut_of_a_batch_is_refused() {
    let bytes = &batches(&[3, 2])[1];
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << bit;
            assert!(parse(&flipped).is_err(), "bit {bit} of byte {index}");
        }
        assert!(parse(&bytes[..index]).is_err(), "{index} bytes");
    }
    assert!(parse(&[bytes.as_slice(), b"\n"].concat()).is_err());
}

/// A batch with these parts, well signed.
fn forged(first: u64, peaks: usize, entries: &[Vec<u8>], note: &Note) -> Vec<u8> {
    let bundle = bundle(entries);
    let peaks = leaf_hash(b"").as_bytes().repeat(peaks);
    let len = u32::try_from(bundle.len()).unwrap();
    [&first.to_be_bytes()[..], &peaks, &len.to_be_bytes(), &bundle, note.to_string().as_bytes()].concat()
}

#[test]
fn what_a_log_must_not_sign_is_refused_though_it_is_signed() {
    let entry = |seq| Entry { seq, event: event(0, 1, Outcome::Success) }.to_bytes().unwrap();
    let head = |size, entry: &[u8]| TreeHead { size, root: leaf_hash(entry) };
    let sign = |size, entry: &[u8]| Checkpoint::of(&log_key(), head(size, entry));
    let good = sign(1, &entry(0));
    assert!(parse(&forged(0, 0, &[entry(0)], &good)).is_ok());

    let error =
        |first, peaks, entries: &[Vec<u8>], note: &Note| parse(&forged(first, peaks, entries, note)).unwrap_err();
    assert_eq!(error(0, 0, &[entry(1)], &sign(1, &entry(1))), BatchError::Misnumbered { seq: 0, found: 1 });
    assert!(matches!(error(0, 0, &[b"{}".to_vec()], &sign(1, b"{}")), BatchError::Entry { seq: 0, .. }));
    assert_eq!(error(0, 0, &[entry(0)], &sign(2, &entry(0))), BatchError::OtherSize { first: 0, entries: 1, size: 2 });
    assert_eq!(error(0, 0, &[], &sign(0, b"")), BatchError::OtherSize { first: 0, entries: 0, size: 0 });
    assert_eq!(error(0, 0, &[entry(0)], &sign(1, b"x")), BatchError::OtherRoot { first: 0, size: 1 });
    assert_eq!(error(4, 1, &[entry(4)], &sign(5, &entry(4))), BatchError::OtherRoot { first: 4, size: 5 });
    assert!(matches!(error(u64::MAX, 64, &[entry(0)], &good), BatchError::Malformed(_)));

    let other = NoteSigner::new("example.com/other", SigningKey::from_seed(&[1; 32])).unwrap();
    let stranger = Checkpoint::of(&other, head(1, &entry(0)));
    assert_eq!(error(0, 0, &[entry(0)], &stranger), BatchError::Signature(NoteError::Unsigned));
    let text = stranger.text();
    let misnamed = Note::new(text, log_key().sign(text)).unwrap();
    let misnamed = error(0, 0, &[entry(0)], &misnamed);
    assert_eq!(misnamed, BatchError::OtherLog { origin: "example.com/other".to_owned() });
    let text = good.text().to_owned() + "extension\n";
    let extended = Note::new(&text, log_key().sign(&text)).unwrap();
    assert!(matches!(error(0, 0, &[entry(0)], &extended), BatchError::OtherLog { .. }));

    let mut cosigned = good.clone();
    cosigned.add(super::witness("w").cosign(good.text(), at(1)));
    assert!(matches!(error(0, 0, &[entry(0)], &cosigned), BatchError::Malformed(_)));
    let empty = vec![Vec::new(); 600_000];
    assert!(matches!(error(0, 0, &empty, &sign(600_000, b"")), BatchError::Malformed(_)), "there are no empty entries");
    let mut long = forged(0, 0, &[entry(0)], &good);
    long[8] = 0xff;
    assert!(parse(&long).unwrap_err().to_string().contains("too long a bundle"));
}

#[test]
fn a_proof_file_has_one_spelling() {
    let proof = parse(&batches(&[5])[0]).unwrap().prove(3).unwrap();
    let text = proof.to_string();
    assert_eq!(TlogProof::parse(text.as_bytes()).unwrap(), proof);
    let bare = TlogProof { extra: None, ..proof.clone() };
    assert_eq!(TlogProof::parse(bare.to_string().as_bytes()).unwrap(), bare);
    let first = text.lines().nth(3).unwrap();
    for (from, to) in [
        ("@v1", "@v2"),
        ("extra ", "extra"),
        ("extra ", "extra *"),
        ("index 3", "index 03"),
        ("index 3\n", ""),
        ("index 3", "index"),
        (first, "AAAA"),
        (first, &vec![first; 65].join("\n")),
        ("\n\n", "\n"),
        ("— ", "- "),
    ] {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text);
        assert!(TlogProof::parse(bad.as_bytes()).is_err(), "{from:?} -> {to:?}");
    }
    let unbelieved = Policy::parse(b"quorum none\n").unwrap();
    assert!(matches!(bare.verify(b"", &unbelieved), Err(TlogProofError::Policy(_))));
}

#[test]
fn a_batch_is_a_pure_function() {
    assert_eq!(batches(&[3, 4]), batches(&[3, 4]));
    let other = NoteSigner::new("example.com/log", key("other")).unwrap();
    assert_ne!(LogTip::new().append(&other, &events(0, 3)).unwrap().0, batches(&[3])[0]);
    assert_eq!(at(0), event(0, 0, Outcome::Success).time);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_entry_reads_back(
        seq: u64, seconds in -60_000_000_000..250_000_000_000_i64, millis in 0..1000_u32,
        actor in "[!#-&(-\\[\\]-~]{1,30}", action in "[A-Z][A-Za-z0-9]{0,20}\\.[A-Z][A-Za-z0-9]{0,20}",
        outcome in 0..4_usize, intent: Option<u64>, text: String,
    ) {
        let outcome = [Outcome::Intent, Outcome::Success, Outcome::Denied, Outcome::Failed][outcome];
        let time = chrono::DateTime::from_timestamp(seconds, millis * 1_000_000).unwrap();
        let actor: OpaqueId = actor.parse().unwrap();
        let mut event = Event::new(time, actor.clone(), actor.clone(), action.parse().unwrap(), actor, outcome);
        event = event.with("text", Json::Text(text));
        event.intent = intent.filter(|intent| outcome != Outcome::Intent && *intent < seq);
        let entry = Entry { seq, event };
        prop_assert_eq!(Entry::parse(&entry.to_bytes().unwrap()).unwrap(), entry);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
        let _ = Entry::parse(&bytes);
        let _ = Note::parse(&bytes);
        let _ = TlogProof::parse(&bytes);
        let _ = Policy::parse(&bytes);
        let _ = AddCheckpoint::parse(&bytes);
        let _ = parse_bundle(&bytes);
    }
}
