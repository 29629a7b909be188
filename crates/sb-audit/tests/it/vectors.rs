//! The vectors of the design, made by `tests/vectors/gen.py` with other code than ours: every value, and every negative.

use base64ct::{Base64, Encoding};
use chrono::DateTime;
use sb_audit::*;
use sb_crypto::{Digest, TreeHasher, VerifyingKey, leaf_hash, node_hash, sha256, verify_consistency, verify_inclusion};
use serde_json::Value;

use super::key;

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../vectors/", $name)).as_slice()
    };
}

const LOG: &str = "smith-cpa.example/securebackup/log-1";
const SERVICE: &str = "smith-cpa.example/securebackup/cert-signer-1";
const OFFICER: &str = "smith-cpa.example/people/u_officer";
const WITNESS: &str = "witness.example/w1";
const STATEMENT: &[u8] = vector!("statement.json");
const CHECKPOINT: &[u8] = vector!("log/checkpoint");
const PROOF: &[u8] = vector!("certificate.tlog-proof");
const ENVELOPE: &[u8] = vector!("certificate.dsse.json");
const POLICY: &[u8] = vector!("trust.policy");

fn vectors() -> Value {
    serde_json::from_slice(vector!("vectors.json")).unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn base64(text: &str) -> Digest {
    Digest::from_bytes(Base64::decode_vec(text).unwrap().try_into().unwrap())
}

fn hashes(value: &Value) -> Vec<Digest> {
    texts(value).into_iter().map(base64).collect()
}

fn leaves() -> Vec<Digest> {
    texts(&vectors()["log"]["entries_utf8"]).iter().map(|entry| leaf_hash(entry.as_bytes())).collect()
}

fn root(leaves: &[Digest]) -> Digest {
    let mut tree = TreeHasher::new();
    tree.extend(leaves.iter().copied());
    tree.root()
}

fn trust() -> Trust {
    let signers = vec![key(SERVICE).public(), key(OFFICER).public()];
    Trust { signers, threshold: 2, policy: Policy::parse(POLICY).unwrap() }
}

fn evidence() -> Evidence<'static> {
    let entry = Some(vector!("certificate.entry"));
    Evidence { envelope: ENVELOPE, proof: PROOF, entry, checkpoint: Some(CHECKPOINT) }
}

#[test]
fn keys_and_their_ids() {
    let vectors = vectors();
    for name in [LOG, SERVICE, OFFICER, WITNESS] {
        let expected = &vectors["keys"][name];
        let public = key(name).public();
        let note = VerifierKey::new(name, SignatureType::Note, public).unwrap();
        let cosigner = VerifierKey::new(name, SignatureType::Cosignature, public).unwrap();
        assert_eq!(Digest::from_bytes(*public.as_bytes()).to_string(), expected["pub_hex"]);
        assert_eq!(note.to_string(), expected["vkey_type01"]);
        assert_eq!(cosigner.to_string(), expected["vkey_type04"]);
        assert_eq!(note, expected["vkey_type01"].as_str().unwrap().parse().unwrap());
        assert_eq!(cosigner, expected["vkey_type04"].as_str().unwrap().parse().unwrap());
        assert_eq!(envelope_key_id(&public).to_string(), expected["dsse_keyid"]);
    }
    for (name, pem) in [
        (LOG, vector!("keys/log.pub.pem")),
        (SERVICE, vector!("keys/signer.pub.pem")),
        (OFFICER, vector!("keys/officer.pub.pem")),
        (WITNESS, vector!("keys/witness.pub.pem")),
    ] {
        assert_eq!(spki_pem(&key(name).public()).as_bytes(), pem);
    }
}

#[test]
fn entries_are_written_byte_for_byte() {
    let vectors = vectors();
    let entries = texts(&vectors["log"]["entries_utf8"]);
    for (seq, text) in (0..).zip(&entries) {
        let entry = Entry::parse(text.as_bytes()).unwrap();
        assert_eq!(entry.seq, seq);
        assert_eq!(entry.to_bytes().unwrap(), text.as_bytes());
    }
    let hex: Vec<_> = leaves().iter().map(Digest::to_string).collect();
    assert_eq!(hex, texts(&vectors["log"]["leaf_hashes_hex"]));
    assert_eq!(Entry::parse(entries[4].as_bytes()).unwrap().event.outcome, Outcome::Denied);
    assert_eq!(entries[6].as_bytes(), vector!("certificate.entry"));
}

#[test]
fn roots_and_proofs_of_every_size() {
    let log = &vectors()["log"];
    let leaves = leaves();
    let mut hash_of = |subtree: Subtree| {
        let start = (subtree.index << subtree.level) as usize;
        leaves.get(start..start + (1 << subtree.level)).map(root).ok_or(())
    };
    for size in 0..=13 {
        let expected = base64(log["roots_b64_by_size"][size.to_string()].as_str().unwrap());
        assert_eq!(tree_root(size, &mut hash_of), Ok(expected));
    }
    let root = root(&leaves);
    for (index, leaf) in (0..).zip(&leaves) {
        let proof = prove_inclusion(index, 13, &mut hash_of).unwrap();
        assert_eq!(proof, hashes(&log["inclusion_b64"][index.to_string()]));
        assert!(verify_inclusion(index, 13, leaf, &proof, &root));
    }
    for old in 1..13 {
        let proof = prove_consistency(old, 13, &mut hash_of).unwrap();
        assert_eq!(proof, hashes(&log["consistency_to_13_b64"][old.to_string()]));
        let old_root = tree_root(old, &mut hash_of).unwrap();
        assert!(verify_consistency(old, 13, &old_root, &root, &proof));
    }
}

#[test]
fn the_checkpoint_with_both_signatures() {
    let log = NoteSigner::new(LOG, key(LOG)).unwrap();
    let witness = Cosigner::new(WITNESS, key(WITNESS)).unwrap();
    let mut note = Checkpoint::of(&log, TreeHead { size: 13, root: root(&leaves()) });
    let time = DateTime::from_timestamp(vectors()["log"]["cosig_time"].as_i64().unwrap(), 0).unwrap();
    note.add(witness.cosign(note.text(), time));
    assert_eq!(note.to_string().as_bytes(), CHECKPOINT);
    assert_eq!(note.to_string(), vectors()["log"]["checkpoint"]);
    assert_eq!(Note::parse(CHECKPOINT).unwrap(), note);
    let keys = [log.verifier().clone(), witness.verifier().clone()];
    let times: Vec<_> = note.verify(&keys).unwrap().iter().map(|signed| signed.time).collect();
    assert_eq!(times, [None, Some(time)]);
    assert_eq!(note.text().as_bytes(), vector!("rfc3161/body"));
}

#[test]
fn the_tiles() {
    let mut writer = TileWriter::new();
    assert!(leaves().into_iter().all(|leaf| writer.push(leaf).is_empty()));
    let [(tile, bytes)] = &writer.partial()[..] else { panic!("one partial tile") };
    assert_eq!(tile.to_string(), "tile/0/000.p/13");
    assert_eq!(tile.to_string(), vectors()["paths"]["0 partial 13"]);
    assert_eq!(bytes, vector!("log/tile/0/000.p/13"));
    assert_eq!(parse_tile(bytes, 13).unwrap(), leaves());
    let entries = vectors()["log"]["entries_utf8"].clone();
    assert_eq!(bundle(&texts(&entries)), vector!("log/tile/entries/000.p/13"));
    let parsed = parse_bundle(vector!("log/tile/entries/000.p/13")).unwrap();
    assert!(parsed.into_iter().eq(texts(&entries).iter().map(|entry| entry.as_bytes())));
    let large = Tile { kind: TileKind::Hashes(0), index: 1_234_067, width: 256 };
    assert_eq!(large.to_string(), vectors()["paths"]["1234067"]);
}

#[test]
fn the_statement_is_written_byte_for_byte() {
    let statement = Statement::parse(STATEMENT).unwrap();
    assert_eq!(statement.to_bytes().unwrap(), STATEMENT);
    assert_eq!(sha256(STATEMENT).to_string(), vectors()["dsse"]["statement_sha256"]);
    assert_eq!(statement.subjects[0].sha256, sha256(vector!("snapshot.manifest")));
    let Predicate::Verification(verification) = &statement.predicate else { panic!("a verification") };
    assert_eq!(verification.method, "full-read");
    assert_eq!(verification.counts.verified, 5);
    assert_eq!(verification.run.log.head, TreeHead { size: 6, root: root(&leaves()[..6]) });
}

#[test]
fn the_envelope_is_written_byte_for_byte() {
    let signed = pae(STATEMENT_TYPE, STATEMENT);
    assert_eq!(signed, vector!("certificate.pae"));
    assert_eq!(sha256(&signed).to_string(), vectors()["dsse"]["pae_sha256"]);
    let mut envelope = Statement::parse(STATEMENT).unwrap().to_envelope().unwrap();
    envelope.sign(&key(SERVICE));
    envelope.sign(&key(OFFICER));
    assert_eq!(envelope.to_json().to_string().as_bytes(), ENVELOPE);
    assert_eq!(Envelope::parse(ENVELOPE).unwrap(), envelope);
}

#[test]
fn the_proof_is_written_byte_for_byte() {
    let proof = TlogProof {
        extra: Some(vector!("certificate.entry").to_vec()),
        index: 6,
        path: hashes(&vectors()["log"]["inclusion_b64"]["6"]),
        checkpoint: Note::parse(CHECKPOINT).unwrap(),
    };
    assert_eq!(proof.to_string().as_bytes(), PROOF);
    assert_eq!(TlogProof::parse(PROOF).unwrap(), proof);
}

#[test]
fn the_evidence_proves_what_it_should() {
    let proven = verify_certificate(evidence(), &trust()).unwrap();
    assert_eq!(proven.statement.run().result, RunResult::Passed);
    assert_eq!(proven.signers, trust().signers);
    assert_eq!(proven.entry.seq, 6);
    assert_eq!(proven.logged.log.name(), LOG);
    assert_eq!(proven.logged.cosignatures[0].witness.name(), WITNESS);
    assert_eq!(proven.logged.cosignatures[0].time.timestamp(), 1_768_470_000);
    assert!(proven.is_witnessed());
}

#[test]
fn one_document_is_shown_without_the_others() {
    let tree = &vectors()["document_tree"];
    let statement = Statement::parse(STATEMENT).unwrap();
    let leaves: Vec<_> = texts(&tree["leaves_utf8"]).iter().map(|leaf| leaf_hash(leaf.as_bytes())).collect();
    let certified = DocumentTree { size: 5, root: root(&leaves) };
    assert_eq!(statement.run().document_tree, Some(certified));
    let text = ["sb-doc-proof@v1\nindex 1\n".as_bytes(), vector!("document.tlog-proof-body")].concat();
    let proof = DocumentProof::parse(&text).unwrap();
    assert_eq!(proof.path, hashes(&tree["inclusion_1_b64"]));
    let document = proof.verify(vector!("document.leaf"), &certified).unwrap();
    assert_eq!(document.path, b"2024/1120-S.pdf");
    assert_eq!(document.sha256, sha256(b"synthetic return"));
}

// What must fail, in the order of `negative.must_fail`.

#[test]
fn a_statement_with_a_flipped_bit_has_neither_signature() {
    let flipped = Base64::decode_vec(vectors()["negative"]["statement_bitflip_last3"].as_str().unwrap()).unwrap();
    let good = Envelope::parse(ENVELOPE).unwrap();
    let mut forged = Envelope::new(STATEMENT_TYPE, flipped);
    good.signatures().iter().for_each(|signature| forged.add(signature.clone()));
    for signer in [SERVICE, OFFICER] {
        let error = forged.verify(STATEMENT_TYPE, &[key(signer).public()], 1);
        assert_eq!(error, Err(EnvelopeError::TooFewSigners { found: 0, needed: 1 }));
    }
    let forged = forged.to_json().to_string();
    let result = verify_certificate(Evidence { envelope: forged.as_bytes(), ..evidence() }, &trust());
    assert!(matches!(result, Err(EvidenceError::Signatures(_))));
}

#[test]
fn a_proof_with_another_index_or_order_fails() {
    let entry = vector!("certificate.entry");
    let policy = Policy::parse(POLICY).unwrap();
    let good = TlogProof::parse(PROOF).unwrap();
    assert!(good.verify(entry, &policy).is_ok());
    let moved = TlogProof { index: 7, ..good.clone() };
    assert_eq!(moved.verify(entry, &policy), Err(TlogProofError::NotIncluded { index: 7, size: 13 }));
    let reversed = TlogProof { path: good.path.iter().rev().copied().collect(), ..good.clone() };
    assert_eq!(reversed.verify(entry, &policy), Err(TlogProofError::NotIncluded { index: 6, size: 13 }));
    let swapped = TlogProof { path: [&[good.path[1], good.path[0]], &good.path[2..]].concat(), ..good };
    let swapped = swapped.to_string();
    let result = verify_certificate(Evidence { proof: swapped.as_bytes(), ..evidence() }, &trust());
    assert!(matches!(result, Err(EvidenceError::Log(_))));
}

#[test]
fn a_proof_for_another_size_fails() {
    let proof = hashes(&vectors()["log"]["inclusion_b64"]["6"]);
    let leaves = leaves();
    assert!(!verify_inclusion(6, 13, &leaves[6], &proof, &root(&leaves[..12])));
    assert!(!verify_inclusion(6, 12, &leaves[6], &proof, &root(&leaves[..12])));
}

/// A note with the text of the checkpoint and one signature line made by hand.
fn note_signed(name: &str, id: &[u8], bytes: &[u8]) -> Note {
    let text = Note::parse(CHECKPOINT).unwrap().text().to_owned();
    let line = Base64::encode_string(&[id, bytes].concat());
    Note::parse(format!("{text}\n— {name} {line}\n").as_bytes()).unwrap()
}

#[test]
fn a_cosignature_signs_its_time() {
    let witness = VerifierKey::new(WITNESS, SignatureType::Cosignature, key(WITNESS).public()).unwrap();
    let text = Note::parse(CHECKPOINT).unwrap().text().to_owned();
    let time = 1_768_470_000_u64.to_be_bytes();
    let signed = |message: &[u8], time: &[u8]| {
        let bytes = [time, &key(WITNESS).sign(message)].concat();
        note_signed(WITNESS, &witness.id(), &bytes).verify([&witness]).is_ok()
    };
    let message = vectors()["log"]["cosigned_message"].as_str().unwrap().to_owned();
    assert!(signed(message.as_bytes(), &time));
    assert!(!signed(format!("cosignature/v1\n{text}").as_bytes(), &time));
    assert!(!signed(text.as_bytes(), &time));
    assert!(!signed(message.as_bytes(), &1_768_470_001_u64.to_be_bytes()));
    assert!(!signed(message.as_bytes(), &[]));
}

#[test]
fn the_blank_line_is_not_signed() {
    let log = VerifierKey::new(LOG, SignatureType::Note, key(LOG).public()).unwrap();
    let text = Note::parse(CHECKPOINT).unwrap().text().to_owned();
    let signed = |message: &str| note_signed(LOG, &log.id(), &key(LOG).sign(message.as_bytes())).verify([&log]).is_ok();
    assert!(signed(&text));
    assert!(!signed(&format!("{text}\n")));
    assert!(!signed(text.trim_end()));
}

#[test]
fn lengths_count_bytes() {
    let payload = "5 €".as_bytes();
    assert_eq!(pae("text/plän", payload), [b"DSSEv1 10 text/pl\xc3\xa4n 5 ".as_slice(), payload].concat());
    let by_characters = [b"DSSEv1 9 text/pl\xc3\xa4n 3 ".as_slice(), payload].concat();
    let mut envelope = Envelope::new("text/plän", payload.to_vec());
    envelope.add(EnvelopeSignature { key_id: String::new(), bytes: key(SERVICE).sign(&by_characters).to_vec() });
    assert!(envelope.verify("text/plän", &[key(SERVICE).public()], 1).is_err());
}

// And more of the same.

#[test]
fn any_flipped_byte_of_the_evidence_is_noticed() {
    let flip = |bytes: &[u8], index: usize| {
        let mut flipped = bytes.to_vec();
        flipped[index] ^= 1;
        flipped
    };
    for index in 0..ENVELOPE.len() {
        let envelope = flip(ENVELOPE, index);
        // Key ids are hints that nobody believes: they alone may be anything.
        match verify_certificate(Evidence { envelope: &envelope, ..evidence() }, &trust()) {
            Err(_) => {}
            Ok(proven) => {
                let key_id = |envelope: &[u8]| {
                    let parsed = Envelope::parse(envelope).unwrap();
                    parsed.signatures().iter().map(|signature| signature.key_id.clone()).collect::<Vec<_>>()
                };
                assert_ne!(key_id(&envelope), key_id(ENVELOPE), "byte {index}");
                assert_eq!(proven, verify_certificate(evidence(), &trust()).unwrap());
            }
        }
    }
    for index in 0..PROOF.len() {
        let proof = flip(PROOF, index);
        assert!(verify_certificate(Evidence { proof: &proof, ..evidence() }, &trust()).is_err(), "byte {index}");
    }
}

#[test]
fn other_keys_prove_nothing() {
    let mut other = trust();
    other.signers[1] = VerifyingKey::from_bytes([7; 32]);
    assert!(matches!(verify_certificate(evidence(), &other), Err(EvidenceError::Signatures(_))));
    other.threshold = 1;
    assert_eq!(verify_certificate(evidence(), &other).unwrap().signers, [key(SERVICE).public()]);
    let log = NoteSigner::new(LOG, key("another")).unwrap();
    other.policy = Policy::parse(format!("log {}\nquorum none\n", log.verifier()).as_bytes()).unwrap();
    assert!(matches!(verify_certificate(evidence(), &other), Err(EvidenceError::Log(_))));
}

#[test]
fn the_tree_of_the_published_leaves_is_the_one_in_the_vectors() {
    let reference = &vectors()["ct_reference"];
    let byte = |hex: &str, at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let leaf = |hex: &str| leaf_hash(&(0..hex.len()).step_by(2).map(|at| byte(hex, at)).collect::<Vec<_>>());
    let leaves: Vec<_> = texts(&reference["leaves_hex"]).into_iter().map(leaf).collect();
    for (size, expected) in (1..).zip(texts(&reference["roots_hex_size_1_to_8"])) {
        assert_eq!(root(&leaves[..size]).to_string(), expected);
    }
    assert_eq!(TreeHead::empty().root.to_string(), reference["empty_root_hex"]);
    assert_eq!(node_hash(&leaves[0], &leaves[1]), root(&leaves[..2]));
}
