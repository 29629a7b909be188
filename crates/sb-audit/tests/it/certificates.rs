//! Evidence: what holds, and which part does not.

use sb_audit::*;
use sb_crypto::{leaf_hash, sha256};

use super::statements::run;
use super::{at, event, key, log_key, witness};

/// Everything that belongs to a certificate, changeable.
#[derive(Clone)]
struct Case {
    statement: Statement,
    /// What the log says before and after the certificate's issue.
    before: u64,
    action: &'static str,
    outcome: Outcome,
    recorded: Vec<u8>,
    quorum: &'static str,
}

fn case() -> Case {
    let verification = Verification {
        run: run(),
        method: "full-read".to_owned(),
        counts: VerificationCounts { documents: 3, bytes: 4096, verified: 3, missing: 0, corrupt: 0 },
        read: None,
        retention: None,
    };
    let subjects = vec![Subject { name: "snapshot:s_1".to_owned(), sha256: sha256(b"snapshot") }];
    let statement = Statement { subjects, predicate: Predicate::Verification(verification) };
    let recorded = statement.to_bytes().unwrap();
    Case {
        statement,
        before: 2,
        action: Action::CERTIFICATE_ISSUE,
        outcome: Outcome::Success,
        recorded,
        quorum: "none",
    }
}

impl Case {
    fn with_log(mut self, origin: &str, size: u64) -> Self {
        let Predicate::Verification(verification) = &mut self.statement.predicate else { panic!("a verification") };
        verification.run.log = LogHead { origin: origin.to_owned(), head: TreeHead { size, root: leaf_hash(b"") } };
        self.recorded = self.statement.to_bytes().unwrap();
        self
    }

    fn files(&self) -> (Envelope, TlogProof) {
        let mut envelope = self.statement.to_envelope().unwrap();
        envelope.sign(&key("service"));
        let mut events: Vec<_> = (0..self.before).map(|object| event(0, object, Outcome::Success)).collect();
        let mut issue =
            event(0, 1, self.outcome).with("statement_sha256", Json::text(sha256(&self.recorded).to_string()));
        issue.action = self.action.parse().unwrap();
        events.push(issue);
        events.push(event(0, 9, Outcome::Success));
        let (bytes, _) = LogTip::new().append(&log_key(), &events).unwrap();
        let proof = Batch::parse(&bytes, log_key().verifier()).unwrap().prove(self.before).unwrap();
        (envelope, proof)
    }

    fn trust(&self) -> Trust {
        let policy =
            format!("log {}\nwitness w {}\nquorum {}\n", log_key().verifier(), witness("w").verifier(), self.quorum);
        Trust {
            signers: vec![key("service").public(), key("officer").public()],
            threshold: 1,
            policy: Policy::parse(policy.as_bytes()).unwrap(),
        }
    }

    fn verify(&self) -> Result<Proven, EvidenceError> {
        let (envelope, proof) = self.files();
        verify(&envelope, &proof, &self.trust())
    }
}

fn verify(envelope: &Envelope, proof: &TlogProof, trust: &Trust) -> Result<Proven, EvidenceError> {
    let (envelope, proof) = (envelope.to_json().to_string(), proof.to_string());
    verify_certificate(
        Evidence { envelope: envelope.as_bytes(), proof: proof.as_bytes(), entry: None, checkpoint: None },
        trust,
    )
}

#[test]
fn without_a_witness_it_is_proven_but_not_witnessed() {
    let proven = case().verify().unwrap();
    assert_eq!(proven.statement, case().statement);
    assert_eq!(proven.statement_sha256, sha256(&case().recorded));
    assert_eq!(proven.signers, [key("service").public()]);
    assert!(!proven.is_witnessed());
}

#[test]
fn a_witness_and_a_second_signature_can_come_later() {
    let mut case = case();
    case.quorum = "w";
    assert!(matches!(case.verify(), Err(EvidenceError::Log(TlogProofError::Policy(_)))));
    let (mut envelope, mut proof) = case.files();
    let signature = witness("w").cosign(proof.checkpoint.text(), at(99));
    proof.checkpoint.add(signature);
    envelope.sign(&key("officer"));
    let trust = Trust { threshold: 2, ..case.trust() };
    let proven = verify(&envelope, &proof, &trust).unwrap();
    assert!(proven.is_witnessed());
    assert_eq!(proven.signers.len(), 2);
}

/// The log, or whoever signs the certificates, is nobody else.
#[test]
fn a_witness_with_one_of_their_own_keys_has_witnessed_nothing() {
    for own in ["log", "service"] {
        let (envelope, mut proof) = case().files();
        let cosigner = Cosigner::new("somebody.example", key(own)).unwrap();
        proof.checkpoint.add(cosigner.cosign(proof.checkpoint.text(), at(99)));
        let with = |other: &str| {
            let file =
                format!("log {}\nwitness own {}\n{other}quorum own\n", log_key().verifier(), cosigner.verifier());
            Trust { policy: Policy::parse(file.as_bytes()).unwrap(), ..case().trust() }
        };
        let proven = verify(&envelope, &proof, &with("")).unwrap();
        assert_eq!((proven.logged.cosignatures.len(), proven.is_witnessed()), (1, false), "{own}");
        proof.checkpoint.add(witness("w").cosign(proof.checkpoint.text(), at(99)));
        let other = format!("witness w {}\n", witness("w").verifier());
        assert!(verify(&envelope, &proof, &with(&other)).unwrap().is_witnessed());
    }
}

/// Its run ended at second 60, as it says.
#[test]
fn a_certificate_that_was_seen_before_its_run_ended_is_not_believed() {
    let seen = |seconds: &[i64]| {
        let (envelope, mut proof) = case().files();
        for (name, seconds) in ["w", "w2"].iter().zip(seconds) {
            proof.checkpoint.add(witness(name).cosign(proof.checkpoint.text(), at(*seconds)));
        }
        let file = format!(
            "log {}\nwitness w {}\nwitness w2 {}\nquorum none\n",
            log_key().verifier(),
            witness("w").verifier(),
            witness("w2").verifier()
        );
        verify(&envelope, &proof, &Trust { policy: Policy::parse(file.as_bytes()).unwrap(), ..case().trust() })
    };
    let postdated = |seconds| Err(EvidenceError::Postdated { finished: at(60), seen: at(seconds) });
    assert_eq!(seen(&[-86_400]).map(|_| ()), postdated(-86_400));
    assert_eq!(seen(&[99, -600]).map(|_| ()), postdated(-600));
    // Clocks are not exact, and a claim of how inexact ours is may be anything.
    assert!(seen(&[-240]).is_ok() && seen(&[60, 61]).is_ok());
    let mut case = case();
    let Predicate::Verification(verification) = &mut case.statement.predicate else { panic!("a verification") };
    verification.run.clock.max_skew_ms = Some(u64::MAX);
    case.recorded = case.statement.to_bytes().unwrap();
    case.quorum = "w";
    let (envelope, mut proof) = case.files();
    proof.checkpoint.add(witness("w").cosign(proof.checkpoint.text(), at(-86_400)));
    assert!(verify(&envelope, &proof, &case.trust()).is_ok());
}

#[test]
fn the_entry_must_record_this_certificate() {
    let other = EvidenceError::OtherCertificate { statement: sha256(&case().recorded) };
    let change = |change: &dyn Fn(&mut Case)| {
        let mut case = case();
        change(&mut case);
        case.verify()
    };
    assert_eq!(change(&|case| case.recorded = b"another statement".to_vec()), Err(other.clone()));
    assert_eq!(change(&|case| case.action = "Certificate.Draft"), Err(other.clone()));
    assert_eq!(change(&|case| case.outcome = Outcome::Failed), Err(other));
}

#[test]
fn the_log_must_be_the_one_the_certificate_names() {
    assert!(case().with_log("example.com/log", 2).verify().is_ok());
    assert_eq!(case().with_log("example.com/log", 3).verify(), Err(EvidenceError::LogContradicted));
    assert_eq!(case().with_log("example.com/other", 0).verify(), Err(EvidenceError::LogContradicted));
}

#[test]
fn each_part_that_does_not_hold_is_named() {
    let (envelope, proof) = case().files();
    let trust = case().trust();
    let four_eyes = Trust { threshold: 2, ..trust.clone() };
    let too_few = EnvelopeError::TooFewSigners { found: 1, needed: 2 };
    assert_eq!(verify(&envelope, &proof, &four_eyes), Err(too_few.into()));

    let mut other = Envelope::new("text/plain", b"hello".to_vec());
    other.sign(&key("service"));
    assert!(matches!(verify(&other, &proof, &trust), Err(EvidenceError::Signatures(_))));
    let mut other = Envelope::new(STATEMENT_TYPE, b"hello".to_vec());
    other.sign(&key("service"));
    assert!(matches!(verify(&other, &proof, &trust), Err(EvidenceError::Statement(_))));

    let bare = TlogProof { extra: None, ..proof.clone() };
    assert_eq!(verify(&envelope, &bare, &trust), Err(EvidenceError::NoEntry));
    let moved = TlogProof { index: 1, ..proof.clone() };
    assert!(matches!(verify(&envelope, &moved, &trust), Err(EvidenceError::Log(TlogProofError::NotIncluded { .. }))));
    let other = TlogProof { extra: Some(b"{}".to_vec()), ..proof.clone() };
    assert!(matches!(verify(&envelope, &other, &trust), Err(EvidenceError::Log(_))));

    let text = envelope.to_json().to_string();
    let given =
        |envelope, proof, entry| verify_certificate(Evidence { envelope, proof, entry, checkpoint: None }, &trust);
    let proof_text = proof.to_string();
    let (good, entry) = (text.as_bytes(), proof.extra.as_deref());
    assert!(given(good, proof_text.as_bytes(), entry).is_ok());
    assert_eq!(given(good, proof_text.as_bytes(), Some(b"{}")), Err(EvidenceError::OtherEntry));
    let checkpoint = Some(b"an older one".as_slice());
    let older = Evidence { envelope: good, proof: proof_text.as_bytes(), entry: None, checkpoint };
    assert_eq!(verify_certificate(older, &trust), Err(EvidenceError::OtherCheckpoint));
    assert!(matches!(given(good, b"no proof", None), Err(EvidenceError::Proof(_))));
    assert!(matches!(given(b"{", proof_text.as_bytes(), None), Err(EvidenceError::Certificate(_))));
}

/// A log that signed what is no entry, or one under another's number.
#[test]
fn a_log_that_signs_nonsense_proves_nothing() {
    let (envelope, proof) = case().files();
    let entry = proof.extra.clone().unwrap();
    let forged = |entry: &[u8]| {
        let checkpoint = Checkpoint::of(&log_key(), TreeHead { size: 1, root: leaf_hash(entry) });
        let proof = TlogProof { extra: Some(entry.to_vec()), index: 0, path: vec![], checkpoint };
        verify(&envelope, &proof, &case().trust())
    };
    assert_eq!(forged(&entry), Err(EvidenceError::Misnumbered { seq: 2, index: 0 }));
    assert!(matches!(forged(b"{}"), Err(EvidenceError::Entry(_))));
    assert_eq!(at(0), case().statement.run().started);
}
