//! Evidence folders: what the script of shell and openssl says of them, and what this crate says, must be the same.

mod authority;
mod changed;
mod claims;
mod known;
mod pages;
mod shell;
pub(crate) mod vault;

use std::collections::BTreeMap;

use sb_audit::*;
use sb_crypto::{Digest, sha256};

use shell::Scratch;
use vault::{Scene, scene};

type Files = BTreeMap<String, Vec<u8>>;

/// Lists the files as they are now, as whoever changes one on purpose does.
fn fix_sums(files: &mut Files) {
    let line = |(name, bytes): (&String, &Vec<u8>)| format!("{}  {name}\n", sha256(bytes));
    let sums: String = files.iter().filter(|(name, _)| *name != "SHA256SUMS").map(line).collect();
    files.insert("SHA256SUMS".to_owned(), sums.into_bytes());
}

fn list(files: &Files) -> Vec<(String, Vec<u8>)> {
    files.iter().map(|(name, bytes)| (name.clone(), bytes.clone())).collect()
}

fn fingerprint() -> Digest {
    scene().root.public().fingerprint()
}

/// What both verifiers say, which has to be the same: the line that the script ends with.
fn verdict(files: &Files) -> Result<String, String> {
    verdict_with(files, &Known::default(), &[])
}

fn verdict_with(files: &Files, known: &Known, arguments: &[&str]) -> Result<String, String> {
    let ours = EvidenceFolder::verify(&list(files), &fingerprint(), known);
    let text = fingerprint().to_string();
    let (status, printed) = Scratch::with(files).verify(&[&[text.as_str()], arguments].concat());
    let last = printed.lines().last().unwrap_or_default().to_owned();
    match (&ours, status) {
        (Ok(_), 0) => {
            assert!(last.starts_with("OK  ") && !printed.contains("FAILED  "), "{printed}");
            Ok(last)
        }
        (Err(_), 1) => {
            assert!(last.starts_with("FAILED  ") && !printed.contains("\nOK"), "{printed}");
            Err(last)
        }
        _ => panic!("this crate: {ours:?}\nthe script: {status}\n{printed}"),
    }
}

#[test]
fn a_good_folder_is_proven() {
    let bare = scene();
    let proven = EvidenceFolder::verify(&bare.folder().files().unwrap(), &fingerprint(), &Known::default()).unwrap();
    assert_eq!(proven.evidence.statement, bare.statement());
    assert_eq!((proven.chain.log_key(), proven.is_witnessed()), (&bare.machine.public(), false));
    assert!(verdict(&bare.files()).unwrap().ends_with("nobody outside has witnessed it"));

    let full = Scene::with_everything();
    let proven = EvidenceFolder::verify(&full.folder().files().unwrap(), &fingerprint(), &Known::default()).unwrap();
    assert_eq!((proven.officers.len(), proven.evidence.logged.cosignatures.len(), proven.stamps.len()), (1, 2, 1));
    assert_eq!(proven.document.as_ref().unwrap().path, b"/clients/3.pdf");
    assert!(proven.is_witnessed() && proven.known_witnesses.is_empty() && !proven.stamps[0].is_known);
    assert!(verdict(&full.files()).unwrap().ends_with("witnessed from outside by keys that this folder alone names"));
}

/// Evidence is kept for longer than programs: this folder was made once, and must hold whatever the program becomes.
#[test]
fn a_folder_that_was_made_long_ago_still_holds() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/evidence");
    let read = |name: &String| (name.clone(), std::fs::read(folder.join(name)).unwrap());
    let files: Files = Scene::with_everything().files().keys().map(read).collect();
    let last = verdict(&files).unwrap();
    let (status, printed) = Scratch::with(&files).run(&folder.join("verify.sh"), &[&fingerprint().to_string()]);
    assert!(status == 0 && printed.ends_with(&format!("{last}\n")), "{printed}");
}

#[test]
fn a_partial_backup_is_proven_to_be_partial() {
    let files = Scene { problems: 2, ..scene() }.files();
    assert!(verdict(&files).unwrap().starts_with("OK  PARTIAL: backup of snapshot:s_7 at 2026-01-15T09:07:40Z"));
}

#[test]
fn logs_and_trees_of_every_shape_are_climbed() {
    for (before, after, documents, shown) in [(0, 0, 1, 0), (0, 1, 2, 1), (4, 0, 3, 2), (3, 4, 7, 6), (6, 6, 4, 1)] {
        let documents = scene().documents.into_iter().cycle().take(documents).collect();
        let files = Scene { before, after, documents, shown: Some(shown), ..scene() }.files();
        verdict(&files).unwrap();
    }
}

/// What `sb` puts into a folder depends on nothing else than what goes in.
#[test]
fn the_same_evidence_makes_the_same_files() {
    let scene = Scene::with_everything();
    assert_eq!(scene.files(), scene.files());
    let names: Vec<_> = scene.folder().files().unwrap().into_iter().map(|(name, _)| name).collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), 15);
}

#[test]
fn only_what_verifies_becomes_a_folder() {
    let good = Scene::with_everything().folder();
    let refused = |change: &dyn Fn(&mut EvidenceFolder)| {
        let mut folder = good.clone();
        change(&mut folder);
        folder.files().unwrap_err()
    };
    let name = |name: &str| name.to_owned();
    assert!(matches!(refused(&|f| f.root = f.witnesses[0].key().to_owned()), FolderError::Chain { .. }));
    assert!(matches!(refused(&|f| f.user = f.writer.clone()), FolderError::Chain { .. }));
    assert!(matches!(refused(&|f| f.officers[0] = f.writer.clone()), FolderError::Chain { .. }));
    let twice = FolderError::Unsigned { name: name("chain/officer-2.sbv1") };
    assert_eq!(refused(&|f| f.officers.push(f.officers[0].clone())), twice);
    let unsigned = FolderError::Unsigned { name: name("chain/writer.sbv1") };
    assert_eq!(refused(&|f| f.envelope = scene().statement().to_envelope().unwrap()), unsigned);
    let absent = |name: &str| FolderError::NotCosigned { name: name.to_owned() };
    assert_eq!(refused(&|f| f.proof = scene().proof()), absent("w.example/1"));
    assert!(matches!(refused(&|f| f.proof.index += 1), FolderError::Evidence(_)));
    assert!(matches!(refused(&|f| f.proof.extra = None), FolderError::Evidence(EvidenceError::NoEntry)));
    assert!(matches!(refused(&|f| f.stamps[0].root.clear()), FolderError::Stamp { .. }));
    assert!(matches!(refused(&|f| f.stamps[0].response.clear()), FolderError::Stamp { .. }));
    assert!(matches!(refused(&|f| f.document.as_mut().unwrap().leaf.push(b' ')), FolderError::Document(_)));
    let many = |f: &mut EvidenceFolder| f.stamps = vec![f.stamps[0].clone(); 10];
    assert!(matches!(refused(&many), FolderError::Extra { .. }));
}

/// What is not needed, or can't be checked, is left out.
#[test]
fn strangers_signatures_are_left_out() {
    let scene = scene();
    let mut folder = scene.folder();
    folder.envelope.sign(&crate::key("stranger"));
    folder.envelope.sign(&scene.machine);
    let signature = crate::witness("stranger").cosign(folder.proof.checkpoint.text(), crate::at(5));
    folder.proof.checkpoint.add(signature);
    assert_eq!(folder.files().unwrap(), scene.folder().files().unwrap());
}
