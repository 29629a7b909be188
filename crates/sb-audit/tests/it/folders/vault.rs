//! A vault's keys and what they sign, made without the crate that keeps vaults: the layout is docs/format.md's.

use sb_audit::*;
use sb_crypto::{SigningKey, TreeHasher, inclusion_proof, leaf_hash, sha256};

use crate::{at, event, key, witness};

/// Which keys a folder is made with, and what is in it.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) root: SigningKey,
    pub(crate) user: SigningKey,
    pub(crate) machine: SigningKey,
    pub(crate) vault: [u8; 16],
    pub(crate) officers: Vec<SigningKey>,
    pub(crate) witnesses: Vec<&'static str>,
    /// Entries in the log before the certificate's, and after it.
    pub(crate) before: u64,
    pub(crate) after: u64,
    pub(crate) problems: u64,
    pub(crate) stamps: Vec<RootedStamp>,
    /// The documents of the snapshot, and which of them is shown.
    pub(crate) documents: Vec<String>,
    pub(crate) shown: Option<usize>,
    pub(crate) limits: Vec<String>,
}

/// A certificate of a backup of five documents, the third entry of the log.
pub(crate) fn scene() -> Scene {
    Scene {
        root: key("root"),
        user: key("user"),
        machine: key("machine"),
        vault: [0xb5; 16],
        officers: vec![],
        witnesses: vec![],
        before: 2,
        after: 1,
        problems: 0,
        stamps: vec![],
        documents: (0..5).map(|number| leaf(&format!("/clients/{number}.pdf"), &content(number))).collect(),
        shown: None,
        limits: vec!["Proves what was stored, not that it is true.".to_owned()],
    }
}

/// What the document of this number has in it.
pub(crate) fn content(number: usize) -> Vec<u8> {
    format!("the content of document {number}").into_bytes()
}

pub(crate) fn leaf(path: &str, content: &[u8]) -> String {
    let (salt, sha256, size) = ("0123456789abcdef".repeat(2), sha256(content), content.len());
    format!(
        r#"{{"id":"5f","mtime":"2025-03-14T09:00:00.000000000Z","path":"{path}","salt":"{salt}","sha256":"{sha256}","size":{size},"v":"sb-doc/v1"}}"#
    )
}

/// An object of a vault as it is stored.
pub(crate) fn object(kind: u8, vault: &[u8; 16], body: &[u8], signer: &SigningKey, stem: &str) -> Vec<u8> {
    object_naming(signer.public().key_id(), kind, vault, body, signer, stem)
}

/// The same, with this for the key that has signed it.
pub(crate) fn object_naming(
    named: [u8; 16],
    kind: u8,
    vault: &[u8; 16],
    body: &[u8],
    signer: &SigningKey,
    stem: &str,
) -> Vec<u8> {
    let mut bytes = [b"SBV1", &[kind, 1, 0, 0][..], vault, &[0; 16], body].concat();
    bytes.extend(named);
    bytes.extend([0; 8]);
    let message = [b"sbv1/object\0", sha256(&bytes).as_bytes().as_slice(), stem.as_bytes()].concat();
    bytes.extend(signer.sign(&message));
    bytes
}

/// 1,768,468,000 s and 5 ns, as CBOR.
pub(crate) const TIME: [u8; 8] = [3, 0x82, 0x1a, 0x69, 0x68, 0xad, 0x20, 5];

pub(crate) fn user_body(user: &SigningKey) -> Vec<u8> {
    [&[0xa3, 1, 0x50][..], &[7; 16], &[2, 0x58, 0x20], user.public().as_bytes(), &TIME].concat()
}

pub(crate) fn writer_body(machine: &SigningKey, user: &SigningKey) -> Vec<u8> {
    let id = user.public().key_id();
    [&[0xa3, 1, 0x58, 0x20][..], machine.public().as_bytes(), &[2, 0x50], &id, &TIME].concat()
}

impl Scene {
    pub(crate) fn with_everything() -> Self {
        let scene = Self {
            shown: Some(3),
            officers: vec![key("officer")],
            witnesses: vec!["w.example/1", "w.example/2"],
            ..scene()
        };
        let stamps = vec![super::authority::stamp(scene.proof().checkpoint.text().as_bytes())];
        Self { stamps, ..scene }
    }

    pub(crate) fn user_object(&self, user: &SigningKey) -> Vec<u8> {
        object(2, &self.vault, &user_body(user), &self.root, "users/")
    }

    pub(crate) fn chain(&self) -> KeyChain {
        let writer = object(3, &self.vault, &writer_body(&self.machine, &self.user), &self.user, "writers/");
        KeyChain::verify(&self.root.public(), &self.user_object(&self.user), &writer).unwrap()
    }

    pub(crate) fn statement(&self) -> Statement {
        let mut tree = TreeHasher::new();
        tree.extend(self.documents.iter().map(|leaf| leaf_hash(leaf.as_bytes())));
        let documents = self.documents.len() as u64;
        let run = Run {
            certificate_id: "bc_7".to_owned(),
            issuer: "firm.example".to_owned(),
            result: if self.problems == 0 { RunResult::Passed } else { RunResult::Partial },
            started: at(0),
            finished: at(60),
            document_tree: Some(DocumentTree { size: documents, root: tree.root() }),
            log: LogHead { origin: self.chain().log().name().to_owned(), head: TreeHead::empty() },
            clock: ClockEvidence { source: "ntp".to_owned(), max_skew_ms: Some(20), rollbacks: 0, anchor: None },
            tool: Tool { name: "sb".to_owned(), version: "0.1.0".to_owned() },
            limits: self.limits.clone(),
        };
        let backup = Backup {
            run,
            counts: BackupCounts { documents, bytes: 4096, problems: self.problems },
            written: Written { objects: 3, bytes: 9000 },
            referenced: Referenced { objects: 1, bytes: 100, read_in_full: Some(at(-1000)) },
            journal: JournalHead { writer: self.machine.public(), number: 4, sha256: sha256(b"journal") },
            policy_sha256: None,
            format_version: 1,
        };
        let subjects = vec![Subject { name: "snapshot:s_7".to_owned(), sha256: sha256(b"snapshot") }];
        Statement { subjects, predicate: Predicate::Backup(backup) }
    }

    pub(crate) fn envelope(&self) -> Envelope {
        let mut envelope = self.statement().to_envelope().unwrap();
        envelope.sign(&self.machine);
        self.officers.iter().for_each(|officer| envelope.sign(officer));
        envelope
    }

    pub(crate) fn log(&self) -> NoteSigner {
        NoteSigner::new(self.chain().log().name(), self.machine.clone()).unwrap()
    }

    /// The proof of an entry that records the issue of this statement.
    pub(crate) fn proof_of(&self, statement: &[u8]) -> TlogProof {
        let mut events: Vec<_> = (0..self.before).map(|object| event(0, object, Outcome::Success)).collect();
        let sum = Json::text(sha256(statement).to_string());
        let mut issue = event(61, 1, Outcome::Success).with("statement_sha256", sum);
        issue.action = Action::CERTIFICATE_ISSUE.parse().unwrap();
        events.push(issue);
        events.extend((0..self.after).map(|object| event(62, object, Outcome::Success)));
        let (bytes, _) = LogTip::new().append(&self.log(), &events).unwrap();
        let mut proof = Batch::parse(&bytes, self.log().verifier()).unwrap().prove(self.before).unwrap();
        for name in &self.witnesses {
            let signature = witness(name).cosign(proof.checkpoint.text(), at(100));
            proof.checkpoint.add(signature);
        }
        proof
    }

    pub(crate) fn proof(&self) -> TlogProof {
        self.proof_of(&self.statement().to_bytes().unwrap())
    }

    pub(crate) fn folder(&self) -> EvidenceFolder {
        let hashes: Vec<_> = self.documents.iter().map(|leaf| leaf_hash(leaf.as_bytes())).collect();
        let document = self.shown.map(|number| ShownDocument {
            leaf: self.documents[number].clone().into_bytes(),
            proof: DocumentProof { index: number as u64, path: inclusion_proof(&hashes, number) },
        });
        EvidenceFolder {
            root: self.root.public(),
            user: self.user_object(&self.user),
            writer: object(3, &self.vault, &writer_body(&self.machine, &self.user), &self.user, "writers/"),
            envelope: self.envelope(),
            proof: self.proof(),
            officers: self.officers.iter().map(|officer| self.user_object(officer)).collect(),
            witnesses: self.witnesses.iter().map(|name| witness(name).verifier().clone()).collect(),
            stamps: self.stamps.clone(),
            document,
        }
    }

    pub(crate) fn files(&self) -> super::Files {
        self.folder().files().unwrap().into_iter().collect()
    }
}
