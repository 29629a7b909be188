//! Whatever is done to the files of a folder is found, also when the list of their hashes is made anew.

use base64ct::{Base64, Encoding};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sb_audit::*;
use sb_crypto::SigningKey;

use super::vault::{Scene, object, object_naming, scene, user_body, writer_body};
use super::{Files, fix_sums, verdict};
use crate::key;

/// What the signatures say nothing about: whoever wants to be sure takes the script from elsewhere.
const UNPROVEN: [&str; 2] = ["README.html", "verify.sh"];

fn changed(files: &Files, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Files {
    let mut files = files.clone();
    change(files.get_mut(name).unwrap());
    files
}

/// With the list of hashes made anew.
fn forged(files: &Files, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Files {
    let mut files = changed(files, name, change);
    fix_sums(&mut files);
    files
}

fn replaced(files: &Files, name: &str, other: &Files) -> Files {
    forged(files, name, |bytes| bytes.clone_from(&other[name]))
}

#[test]
fn a_changed_byte_in_any_file_is_found() {
    let good = Scene::with_everything().files();
    for (name, bytes) in &good {
        let error = verdict(&changed(&good, name, |bytes| bytes[0] ^= 1)).unwrap_err();
        assert!(error.contains(name) || name == "SHA256SUMS", "{name}: {error}");
        let places = [0, bytes.len() / 3, bytes.len() * 3 / 4, bytes.len() - 1];
        for (place, mask) in places.into_iter().zip([1, 0x20, 0x80, 4]) {
            let flip = |bytes: &mut Vec<u8>| bytes[place] ^= mask;
            if name == "SHA256SUMS" {
                verdict(&changed(&good, name, flip)).unwrap_err();
            } else {
                assert_eq!(
                    verdict(&forged(&good, name, flip)).is_ok(),
                    UNPROVEN.contains(&name.as_str()),
                    "{name} {place}"
                );
            }
        }
    }
}

#[test]
fn what_is_missing_cut_or_too_much_is_found() {
    let good = Scene::with_everything().files();
    for name in good.keys().filter(|name| *name != "SHA256SUMS") {
        let mut files = good.clone();
        files.remove(name);
        fix_sums(&mut files);
        let error = verdict(&files).unwrap_err();
        assert!(error.contains("missing") || name.contains("officer"), "{name}: {error}");
        if UNPROVEN.contains(&name.as_str()) {
            continue;
        }
        verdict(&forged(&good, name, |bytes| bytes.truncate(bytes.len() - 1))).unwrap_err();
        verdict(&forged(&good, name, |bytes| bytes.push(b'\n'))).unwrap_err();
    }
    for name in ["chain/officer-3.sbv1", "stamps/2.tsr", "notes.txt", ".hidden", "chain/x", "with space"] {
        let mut files = good.clone();
        files.insert(name.to_owned(), good["chain/user.sbv1"].clone());
        fix_sums(&mut files);
        verdict(&files).unwrap_err();
    }
    // A file where a folder may be is one too many.
    let mut files = scene().files();
    files.insert("stamps".to_owned(), b"anything".to_vec());
    verdict(&files).unwrap_err();
    fix_sums(&mut files);
    verdict(&files).unwrap_err();
    let mut files = good.clone();
    files.remove("SHA256SUMS");
    assert!(verdict(&files).unwrap_err().contains("SHA256SUMS is missing"));
    for name in ["statement.json", "chain/user.sbv1"] {
        let error = verdict(&forged(&good, name, |bytes| bytes.resize((2 << 20) + 1, b' '))).unwrap_err();
        assert!(error.contains("longer than it can be"), "{error}");
    }
}

/// An id says which key is meant, and has to be the right one although the key is known without it.
#[test]
fn a_wrong_id_of_a_key_is_found() {
    let good = Scene { witnesses: vec!["w.example/1"], ..scene() }.files();
    let proof = String::from_utf8(good["certificate.tlog-proof"].clone()).unwrap();
    for line in proof.lines().filter(|line| line.starts_with("— ")) {
        let (before, encoded) = line.rsplit_once(' ').unwrap();
        let mut bytes = Base64::decode_vec(encoded).unwrap();
        bytes[3] ^= 1;
        let other = proof.replace(line, &format!("{before} {}", Base64::encode_string(&bytes)));
        verdict(&forged(&good, "certificate.tlog-proof", |bytes| *bytes = other.into_bytes())).unwrap_err();
    }
    let policy = String::from_utf8(good["witnesses.policy"].clone()).unwrap();
    for line in policy.lines().take(2) {
        let (before, key) = line.rsplit_once('+').unwrap();
        let other = policy.replace(line, &format!("{}00+{key}", &before[..before.len() - 2]));
        verdict(&forged(&good, "witnesses.policy", |bytes| *bytes = other.into_bytes())).unwrap_err();
    }
}

/// As a well-meaning mail program changes it.
#[test]
fn other_ends_of_lines_are_found() {
    let good = Scene::with_everything().files();
    for name in ["root.pub.pem", "certificate.tlog-proof", "witnesses.policy", "stamps/1.ca.pem", "document.proof"] {
        let crlf = |bytes: &mut Vec<u8>| *bytes = String::from_utf8_lossy(bytes).replace('\n', "\r\n").into_bytes();
        verdict(&forged(&good, name, crlf)).unwrap_err();
    }
}

#[test]
fn a_swapped_proof_is_found() {
    let good = scene().files();
    let elsewhere = Scene { before: 3, ..scene() };
    let other = Scene { limits: vec!["Another certificate of the same machine.".to_owned()], ..scene() };
    assert!(verdict(&replaced(&good, "certificate.tlog-proof", &elsewhere.files())).is_ok(), "it records the same");
    let error = verdict(&replaced(&good, "certificate.tlog-proof", &other.files())).unwrap_err();
    assert!(error.contains("statement_sha256"), "{error}");
    verdict(&replaced(&good, "statement.json", &other.files())).unwrap_err();
    verdict(&replaced(&good, "certificate.dsse.json", &other.files())).unwrap_err();

    // An older state of the log does not have the entry, whatever proof comes with it.
    let older = Scene { before: 1, after: 0, ..scene() }.proof_of(b"something else").checkpoint;
    let older = TlogProof { checkpoint: older, ..scene().proof() };
    let error = verdict(&forged(&good, "certificate.tlog-proof", |bytes| *bytes = older.to_string().into_bytes()));
    assert!(error.unwrap_err().contains("the checkpoint is older"));
    let moved = TlogProof { index: 1, ..scene().proof() };
    verdict(&forged(&good, "certificate.tlog-proof", |bytes| *bytes = moved.to_string().into_bytes())).unwrap_err();
}

#[test]
fn other_keys_are_found() {
    let good = scene().files();
    let stranger = || key("stranger");
    // Everything anew, from the root key down.
    let anew = Scene { root: stranger(), user: key("its user"), machine: key("its machine"), ..scene() }.files();
    let error = verdict(&anew).unwrap_err();
    assert!(error.contains("another key"), "{error}");
    // With the real root key before it.
    let error = verdict(&replaced(&anew, "root.pub.pem", &good)).unwrap_err();
    assert!(error.contains("chain/user.sbv1 was not signed by the root key"), "{error}");
    let mut files = replaced(&anew, "root.pub.pem", &good);
    files.insert("chain/user.sbv1".to_owned(), good["chain/user.sbv1"].clone());
    fix_sums(&mut files);
    assert!(verdict(&files).unwrap_err().contains("chain/writer.sbv1 was not signed by the user key"));
    // Signed by the user, where the machine has to.
    let mut envelope = scene().statement().to_envelope().unwrap();
    envelope.sign(&key("user"));
    let error =
        verdict(&forged(&good, "certificate.dsse.json", |bytes| *bytes = envelope.to_json().to_string().into()));
    assert!(error.unwrap_err().contains("not signed by the machine's key"));
    // A checkpoint that another key has signed under the machine's name.
    let log = NoteSigner::new(scene().chain().log().name(), stranger()).unwrap();
    let proof = TlogProof {
        checkpoint: Note::new(scene().proof().checkpoint.text(), log.sign(scene().proof().checkpoint.text())).unwrap(),
        ..scene().proof()
    };
    verdict(&forged(&good, "certificate.tlog-proof", |bytes| *bytes = proof.to_string().into_bytes())).unwrap_err();
}

#[test]
fn what_is_of_another_vault_is_found() {
    let good = scene().files();
    let other = Scene { vault: [0xc6; 16], ..scene() };
    for name in ["chain/user.sbv1", "chain/writer.sbv1", "statement.json", "certificate.tlog-proof"] {
        verdict(&replaced(&good, name, &other.files())).unwrap_err();
    }
    // The same machine and root key in two vaults: all of the certificate is of the other one.
    let mut files = other.files();
    for name in ["chain/user.sbv1", "chain/writer.sbv1"] {
        files.insert(name.to_owned(), good[name].clone());
    }
    fix_sums(&mut files);
    assert!(verdict(&files).is_err());
    let officer = Scene { officers: vec![key("officer")], ..scene() };
    let elsewhere = Scene { vault: [0xc6; 16], ..officer.clone() };
    let error = verdict(&replaced(&officer.files(), "chain/officer-1.sbv1", &elsewhere.files())).unwrap_err();
    assert!(error.contains("of another vault"), "{error}");
}

/// Objects that the right keys have signed, but that say something else.
#[test]
fn objects_that_are_no_certificates_are_found() {
    let (scene, good) = (scene(), scene().files());
    let user = |body: &[u8]| object(2, &scene.vault, body, &scene.root, "users/");
    let writer = |body: &[u8], signer: &SigningKey| object(3, &scene.vault, body, signer, "writers/");
    let (good_user, good_writer) = (user_body(&scene.user), writer_body(&scene.machine, &scene.user));
    let with_time = |body: &[u8], time: &[u8]| [&body[..body.len() - 6], time].concat();
    let cases = [
        ("chain/user.sbv1", user(&good_user), true),
        ("chain/user.sbv1", user(&[&good_user[..], &[0]].concat()), false),
        ("chain/user.sbv1", user(&good_user[..good_user.len() - 1]), false),
        ("chain/user.sbv1", user(&good_writer), false),
        ("chain/user.sbv1", user(&with_time(&good_user, &[0x20, 0x1a, 0x3b, 0x9a, 0xc9, 0xff])), true),
        ("chain/user.sbv1", user(&with_time(&good_user, &[0x3b, 0, 0, 0, 1, 0, 0, 0, 0, 0x18, 0x18])), true),
        ("chain/user.sbv1", user(&with_time(&good_user, &[0x17, 0x19, 1, 0])), true),
        ("chain/user.sbv1", user(&with_time(&good_user, &[0x40, 0])), false),
        ("chain/user.sbv1", user(&with_time(&good_user, &[0x1c, 0])), false),
        ("chain/user.sbv1", user(&with_time(&good_user, &[0, 0x20])), false),
        ("chain/user.sbv1", user(&with_time(&good_user, &[0, 0x1b, 0, 0, 0, 0, 0, 0, 0, 0])), false),
        ("chain/user.sbv1", object(3, &scene.vault, &good_user, &scene.root, "users/"), false),
        ("chain/user.sbv1", object(2, &scene.vault, &good_user, &scene.root, "writers/"), false),
        ("chain/user.sbv1", object_naming([7; 16], 2, &scene.vault, &good_user, &scene.root, "users/"), false),
        ("chain/writer.sbv1", writer(&good_writer, &scene.user), true),
        ("chain/writer.sbv1", writer(&good_writer, &scene.root), false),
        ("chain/writer.sbv1", writer(&writer_body(&scene.machine, &scene.root), &scene.user), false),
        ("chain/writer.sbv1", writer(&good_user, &scene.user), false),
        ("chain/writer.sbv1", object(2, &scene.vault, &good_writer, &scene.user, "writers/"), false),
        ("chain/writer.sbv1", object(3, &scene.vault, &good_writer, &scene.user, "users/"), false),
    ];
    for (number, (name, object, is_good)) in cases.into_iter().enumerate() {
        let verdict = verdict(&forged(&good, name, |bytes| *bytes = object));
        assert_eq!(verdict.is_ok(), is_good, "case {number} of {name}: {verdict:?}");
    }
}

/// What is done to one file: a place in it in thousandths, and what happens there.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(u8),
    Insert(u8),
    Remove(usize),
    Repeat(usize),
    Take,
}

fn mutations() -> impl Strategy<Value = (prop::sample::Index, prop::sample::Index, Mutation)> {
    let mutation = prop_oneof![
        (0..8u8).prop_map(|bit| Mutation::Flip(1 << bit)),
        prop::sample::select(&b"\n \r\0=+A0}\",\xff"[..]).prop_map(Mutation::Insert),
        (1..40usize).prop_map(Mutation::Remove),
        (1..80usize).prop_map(Mutation::Repeat),
        Just(Mutation::Take),
    ];
    (any::<prop::sample::Index>(), any::<prop::sample::Index>(), mutation)
}

#[test]
fn both_verifiers_agree_about_whatever_happens_to_a_folder() {
    let good = Scene::with_everything().files();
    let other = Scene { before: 1, shown: Some(1), officers: vec![key("officer")], ..scene() }.files();
    let names: Vec<_> = good.keys().filter(|name| !UNPROVEN.contains(&name.as_str())).collect();
    let config = ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&mutations(), |(name, place, mutation)| {
            let name = *name.get(&names);
            let files = forged(&good, name, |bytes| {
                let at = place.index(bytes.len());
                match mutation {
                    Mutation::Flip(mask) => bytes[at] ^= mask,
                    Mutation::Insert(byte) => bytes.insert(at, byte),
                    Mutation::Remove(count) => drop(bytes.drain(at..(at + count).min(bytes.len()))),
                    Mutation::Repeat(count) => {
                        let piece = bytes[at..(at + count).min(bytes.len())].to_vec();
                        bytes.splice(at..at, piece);
                    }
                    Mutation::Take => bytes.clone_from(other.get(name).unwrap_or(&good["root.pub.pem"])),
                }
            });
            let same = files[name] == good[name] || name == "SHA256SUMS";
            prop_assert_eq!(verdict(&files).is_ok(), same, "{}", name);
            Ok(())
        })
        .unwrap();
}
