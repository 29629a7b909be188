//! Witnesses: requests, decisions, answers.

use std::convert::Infallible;

use sb_audit::*;
use sb_crypto::{Digest, TreeHasher, leaf_hash};

use super::{at, key, log_key, witness};

fn root(size: u64) -> Digest {
    let mut tree = TreeHasher::new();
    tree.extend((0..size).map(|index| leaf_hash(&index.to_be_bytes())));
    tree.root()
}

fn head(size: u64) -> TreeHead {
    TreeHead { size, root: root(size) }
}

fn proof(old: u64, new: u64) -> Vec<Digest> {
    let mut hash_of = |subtree: Subtree| {
        let mut tree = TreeHasher::new();
        let start = subtree.index << subtree.level;
        tree.extend((start..start + (1 << subtree.level)).map(|index| leaf_hash(&index.to_be_bytes())));
        Ok::<_, Infallible>(tree.root())
    };
    prove_consistency(old, new, &mut hash_of).unwrap()
}

fn request(old: u64, new: u64) -> AddCheckpoint {
    AddCheckpoint::new(old, proof(old, new), Checkpoint::of(&log_key(), head(new))).unwrap()
}

fn decide(request: &AddCheckpoint, latest: Option<TreeHead>) -> Result<TreeHead, Refusal> {
    request.decide(&[log_key().verifier().clone()], latest)
}

#[test]
fn a_log_that_only_grows_is_cosigned_again_and_again() {
    let mut latest = None;
    for (old, new) in [(0, 1), (1, 3), (3, 3), (3, 8), (8, 13)] {
        let sent = request(old, new).to_string();
        let request = AddCheckpoint::parse(sent.as_bytes()).unwrap();
        assert_eq!(request.to_string(), sent);
        assert_eq!((request.old_size(), request.checkpoint().head()), (old, head(new)));
        assert_eq!(request.note(), &Checkpoint::of(&log_key(), head(new)));
        latest = Some(decide(&request, latest).unwrap());
        assert_eq!(latest, Some(head(new)));
        let answer = request.cosign(&witness("w1"), at(17));
        let note = Checkpoint::of(&log_key(), head(new));
        let [cosignature] =
            &parse_cosignatures(answer.as_bytes(), &note, &[witness("w1").verifier().clone()]).unwrap()[..]
        else {
            panic!("one cosignature")
        };
        assert_eq!(cosignature.to_string(), answer);
    }
}

#[test]
fn every_refusal_has_the_status_of_the_specification() {
    let conflict = |latest: &str| (latest.to_owned() + "\n", "text/x.tlog.size");
    let text = |text: &str| (text.to_owned() + "\n", "text/plain; charset=utf-8");

    let refusal = request(0, 1).decide(&[], None).unwrap_err();
    assert_eq!((refusal.status(), refusal.answer()), (404, text("the log `example.com/log` is not known here")));
    let other = NoteSigner::new("example.com/other", key("other")).unwrap();
    let refusal = request(0, 1).decide(&[other.verifier().clone()], None).unwrap_err();
    assert_eq!(refusal.status(), 404);

    let other = NoteSigner::new("example.com/log", key("other")).unwrap();
    let refusal = request(0, 1).decide(&[other.verifier().clone()], None).unwrap_err();
    assert_eq!((refusal.status(), refusal.answer()), (403, text("no known key has signed this note")));

    let shrunk = AddCheckpoint::new(3, vec![], Checkpoint::of(&log_key(), head(2))).unwrap();
    let refusal = decide(&shrunk, Some(head(3))).unwrap_err();
    assert_eq!((refusal.status(), refusal.answer()), (400, text("the log can't shrink from 3 entries to 2")));

    for latest in [None, Some(head(2)), Some(head(8))] {
        let refusal = decide(&request(3, 8), latest).unwrap_err();
        let size = latest.map_or(0, |head| head.size).to_string();
        assert_eq!((refusal.status(), refusal.answer()), (409, conflict(&size)));
    }

    let rewritten = TreeHead { size: 3, root: root(4) };
    let refusal = decide(&request(3, 3), Some(rewritten)).unwrap_err();
    assert_eq!((refusal.status(), refusal.answer()), (409, conflict("3")));
    assert_eq!(refusal, Refusal::OtherRoot { latest: 3 });

    let refusal = decide(&request(3, 8), Some(rewritten)).unwrap_err();
    assert_eq!((refusal.status(), refusal), (422, Refusal::Inconsistent { old: 3, new: 8 }));

    let malformed = Refusal::from(AddCheckpoint::parse(b"").unwrap_err());
    assert_eq!(malformed.status(), 400);
    assert!(malformed.answer().0.starts_with("not a valid add-checkpoint request"));
}

#[test]
fn proofs_must_be_exactly_what_is_needed() {
    let with_proof = |old, new, proof| AddCheckpoint::new(old, proof, Checkpoint::of(&log_key(), head(new))).unwrap();
    for (old, new, proof) in [
        (0, 4, vec![root(1)]),
        (4, 4, vec![root(1)]),
        (3, 8, vec![]),
        (3, 8, proof(3, 8)[1..].to_vec()),
        (3, 8, [proof(3, 8), vec![root(1)]].concat()),
    ] {
        let latest = (old > 0).then(|| head(old));
        assert_eq!(decide(&with_proof(old, new, proof), latest), Err(Refusal::Inconsistent { old, new }));
    }
    let forged = TreeHead { size: 0, root: root(1) };
    let empty = AddCheckpoint::new(0, vec![], Checkpoint::of(&log_key(), forged)).unwrap();
    assert_eq!(decide(&empty, None), Err(Refusal::OtherRoot { latest: 0 }));
    let empty = AddCheckpoint::new(0, vec![], Checkpoint::of(&log_key(), TreeHead::empty())).unwrap();
    assert_eq!(decide(&empty, None), Ok(TreeHead::empty()));
}

#[test]
fn what_is_no_request_is_refused() {
    let good = request(3, 8).to_string();
    let hash = good.lines().nth(1).unwrap();
    for bad in [
        good.replace("old 3", "old 03"),
        good.replace("old 3", "old"),
        good.replace("old 3", "new 3"),
        good.replace("\n\n", "\n"),
        good.replace(hash, &hash[1..]),
        good.replace(&format!("{hash}\n"), &format!("{hash}\n").repeat(64)),
        good.replace("\n8\n", "\neight\n"),
        format!("{good}\n"),
        good.trim_end().to_owned(),
    ] {
        assert!(AddCheckpoint::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let note = Checkpoint::of(&log_key(), head(8));
    assert!(AddCheckpoint::new(3, vec![root(1); 63], note.clone()).is_ok());
    assert!(AddCheckpoint::new(3, vec![root(1); 64], note).is_err());
    let note = Note::new("no checkpoint\n", log_key().sign("no checkpoint\n")).unwrap();
    assert!(AddCheckpoint::new(3, vec![], note).is_err());
}

#[test]
fn of_an_answer_only_known_witnesses_are_used() {
    let request = request(0, 1);
    let note = Checkpoint::of(&log_key(), head(1));
    let keys = [witness("w1").verifier().clone()];
    let answer = request.cosign(&witness("w2"), at(1)) + &request.cosign(&witness("w1"), at(2));
    let known = parse_cosignatures(answer.as_bytes(), &note, &keys).unwrap();
    assert_eq!(known.iter().map(NoteSignature::name).collect::<Vec<_>>(), ["w1"]);
    let unknown = request.cosign(&witness("w2"), at(1));
    let error = parse_cosignatures(unknown.as_bytes(), &note, &keys).unwrap_err();
    assert_eq!(error, WitnessError::Signature(NoteError::Unsigned));
    let other = Checkpoint::of(&log_key(), head(2));
    let error = parse_cosignatures(answer.as_bytes(), &other, &keys).unwrap_err();
    assert_eq!(error, WitnessError::Signature(NoteError::BadSignature { name: "w1".to_owned() }));
    // A good cosignature, of more than the checkpoint.
    let longer = witness("w1").cosign(&format!("{}\nmore\n", note.text()), at(2));
    let error = parse_cosignatures(format!("more\n\n{longer}").as_bytes(), &note, &keys).unwrap_err();
    assert!(matches!(error, WitnessError::Malformed(_)), "{error}");
    for bad in ["", "13\n", "\n\n— w1 AAAAAAA=\n", "<html>"] {
        let error = parse_cosignatures(bad.as_bytes(), &note, &keys).unwrap_err();
        assert!(matches!(error, WitnessError::Malformed(_) | WitnessError::Signature(NoteError::Unsigned)), "{bad}");
    }
}

#[test]
fn the_size_of_a_conflict_is_read() {
    assert_eq!(parse_latest_size(b"20852014\n"), Ok(20_852_014));
    for bad in ["", "\n", "12", "012\n", "12\n\n", "12\n13\n", "-1\n", "184467440737095516150000000000000\n"] {
        assert!(parse_latest_size(bad.as_bytes()).is_err(), "{bad:?}");
    }
}
