//! What an auditor knows from elsewhere: the fingerprint, witnesses, authorities, the restored document.

use std::fs;
use std::process::Command;

use base64ct::{Base64, Encoding};
use sb_audit::*;
use sb_crypto::SigningKey;

use super::authority::{respelled, stamp};
use super::shell::Scratch;
use super::vault::{Scene, content, leaf, scene};
use super::{Files, fingerprint, fix_sums, verdict, verdict_with};
use crate::{at, key, witness};

#[test]
fn the_fingerprint_may_be_written_as_people_write_it() {
    let folder = Scratch::with(&scene().files());
    let text = fingerprint().to_string();
    let upper = text.to_uppercase();
    let groups: Vec<_> = (0..16).map(|group| &upper[4 * group..4 * group + 4]).collect();
    for arguments in
        [vec![text.as_str()], vec![&upper], vec![&groups.join(" ")], vec![&groups.join("-")], groups.clone()]
    {
        assert_eq!(folder.verify(&arguments).0, 0, "{arguments:?}");
        assert_eq!(parse_fingerprint(&arguments.join(" ")), Some(fingerprint()));
    }
}

#[test]
fn what_can_not_be_checked_is_told_from_what_does_not_hold() {
    let folder = Scratch::with(&scene().files());
    let text = fingerprint().to_string();
    let long = format!("{text}0");
    for arguments in [
        vec![],
        vec!["5be2"],
        vec![&long],
        vec![&text[1..], "x"],
        vec![&text, "--witness"],
        vec![&text, "--witness", "a b"],
        vec![&text, "--tsa-ca", "no/such/file"],
        vec![&text, "--document"],
        vec![&text, "--loud"],
    ] {
        let (status, printed) = folder.verify(&arguments);
        assert!(status == 2 && printed.starts_with("usage: "), "{arguments:?}: {status} {printed}");
    }
    for bad in ["", "5be2", &text[1..], &long, "é"] {
        assert_eq!(parse_fingerprint(bad), None);
    }
    // Without openssl, or with one that is too old.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/folder/verify.sh");
    for version in ["LibreSSL 3.3.6", "OpenSSL 1.1.1w  11 Sep 2023"] {
        let scratch = Scratch::new();
        fs::write(scratch.path().join("openssl"), format!("#!/bin/sh\necho '{version}'\n")).unwrap();
        Command::new("chmod").arg("+x").arg(scratch.path().join("openssl")).status().unwrap();
        let path = format!("PATH={}:/usr/bin:/bin", scratch.path().display());
        let output =
            Command::new("env").args(["-i", &path, "sh", script, &text]).current_dir(folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(version));
    }
    let run = |variables: &[&str]| {
        let command = [&["-i"], variables, &["/bin/sh", script, &text]].concat();
        let output = Command::new("env").args(command).current_dir(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    // Without one of the tools, or a place for temporary files.
    let scratch = Scratch::new();
    let tools = "openssl sed grep cut od cmp base64 dd wc tr cat mktemp mkdir mv rm";
    for tool in tools.split(' ') {
        let found = ["/usr/bin", "/bin"].map(|folder| format!("{folder}/{tool}"));
        let found = found.iter().find(|path| fs::exists(path).unwrap()).unwrap();
        std::os::unix::fs::symlink(found, scratch.path().join(tool)).unwrap();
    }
    let path = format!("PATH={}", scratch.path().display());
    assert_eq!(run(&[&path]).0, Some(0), "{:?}", run(&[&path]));
    assert_eq!(run(&[&path, "TMPDIR=/no/such/folder"]).0, Some(2));
    fs::remove_file(scratch.path().join("base64")).unwrap();
    assert_eq!(run(&[&path]), (Some(2), "base64 is needed, and not there\n".to_owned()));
}

/// Those of BSD and macOS put other blanks between numbers, and do not break lines.
#[test]
fn the_tools_of_other_systems_do() {
    let scene = Scene { limits: vec!["Größe, 大小, 🗜".to_owned()], ..scene() };
    let (folder, scratch) = (Scratch::with(&scene.files()), Scratch::new());
    for (tool, does) in [
        ("od", r#"/usr/bin/od "$@" | sed 's/ /  /g; s/$/   /'"#),
        ("wc", r#"/usr/bin/wc "$@" | sed 's/^ */       /'"#),
        ("base64", r#"if [ $# -gt 0 ]; then exec /usr/bin/base64 -d; fi; /usr/bin/base64 -w 0; echo"#),
    ] {
        fs::write(scratch.path().join(tool), format!("#!/bin/sh\n{does}\n")).unwrap();
        Command::new("chmod").arg("+x").arg(scratch.path().join(tool)).status().unwrap();
    }
    let path = format!("PATH={}:/usr/bin:/bin", scratch.path().display());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/folder/verify.sh");
    let mut command = Command::new("env");
    command.args(["-i", &path, "sh", script, &fingerprint().to_string()]).current_dir(folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Nothing is left behind in the folder for temporary files.
#[test]
fn the_script_cleans_up_behind_itself() {
    let (folder, temporary) = (Scratch::with(&scene().files()), Scratch::new());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/folder/verify.sh");
    for (fingerprint, status) in [(fingerprint().to_string(), 0), ("0".repeat(64), 1)] {
        let variable = format!("TMPDIR={}", temporary.path().display());
        let mut command = Command::new("env");
        command.args(["-i", "PATH=/usr/bin:/bin", &variable, "sh", script, &fingerprint]).current_dir(folder.path());
        assert_eq!(command.output().unwrap().status.code(), Some(status));
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }
}

#[test]
fn links_are_not_followed() {
    let folder = Scratch::with(&scene().files());
    let path = folder.path().join("statement.json");
    fs::rename(&path, folder.path().join("../statement-elsewhere")).unwrap();
    std::os::unix::fs::symlink("../statement-elsewhere", &path).unwrap();
    let (status, printed) = folder.verify(&[&fingerprint().to_string()]);
    fs::remove_file(folder.path().join("../statement-elsewhere")).unwrap();
    assert!(status == 1 && printed.contains("FAILED  statement.json is missing"), "{printed}");
}

#[test]
fn a_witness_that_is_known_must_have_cosigned() {
    let files = Scene { witnesses: vec!["w.example/1", "w.example/2"], ..scene() }.files();
    let ask = |names: &[&str]| {
        let witnesses: Vec<_> = names.iter().map(|name| witness(name).verifier().clone()).collect();
        let texts: Vec<_> = witnesses.iter().map(ToString::to_string).collect();
        let arguments: Vec<_> = texts.iter().flat_map(|text| ["--witness", text.as_str()]).collect();
        verdict_with(&files, &Known { witnesses, authorities: None }, &arguments)
    };
    assert!(ask(&["w.example/2"]).unwrap().ends_with("witnessed from outside"));
    assert!(ask(&["w.example/1", "w.example/2"]).is_ok());
    assert!(
        ask(&["w.example/1", "w.example/3"])
            .unwrap_err()
            .contains("witness w.example/3 that you named has not cosigned")
    );
    let known = Known { witnesses: vec![witness("w.example/2").verifier().clone()], authorities: None };
    let proven = EvidenceFolder::verify(&super::list(&files), &fingerprint(), &known).unwrap();
    assert_eq!(proven.known_witnesses.len(), 1);
    assert_eq!((proven.known_witnesses[0].witness.name(), proven.known_witnesses[0].time), ("w.example/2", at(100)));
}

#[test]
fn not_everybody_is_a_witness() {
    let scene = scene();
    let with = |name: &str, key: SigningKey, seconds: i64| {
        let witness = Cosigner::new(name, key).unwrap();
        let mut folder = scene.folder();
        let time = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
        let signature = witness.cosign(folder.proof.checkpoint.text(), time);
        folder.proof.checkpoint.add(signature);
        folder.witnesses.push(witness.verifier().clone());
        let mut files: Files = scene.files();
        let policy = format!(
            "log {}\nwitness w1 {}\ngroup witnesses all w1\nquorum witnesses\n",
            scene.chain().log(),
            witness.verifier()
        );
        files.insert("witnesses.policy".to_owned(), policy.into_bytes());
        files.insert("certificate.tlog-proof".to_owned(), folder.proof.to_string().into_bytes());
        fix_sums(&mut files);
        let verdict = verdict(&files);
        assert_eq!(folder.files().is_ok(), verdict.is_ok());
        verdict.is_ok()
    };
    let ended = scene.statement().run().finished.timestamp();
    assert!(with("w.example/1", key("w"), ended));
    assert!(with(&"w".repeat(255), key("w"), 4_107_542_400));
    // Clocks differ by minutes; what was seen before that was postdated.
    assert!(with("w", key("w"), ended - 300) && !with("w", key("w"), ended - 301) && !with("w", key("w"), 0));
    assert!(with("w", key("w"), 253_402_300_799));
    assert!(!with("w", key("w"), 253_402_300_800));
    assert!(!with(&"w".repeat(256), key("w"), ended));
    assert!(!with("zeugin-ä", key("w"), ended));
    for own in [&scene.root, &scene.user, &scene.machine] {
        assert!(!with("w", own.clone(), ended));
    }
}

#[test]
fn an_authority_that_is_known_must_have_stamped() {
    let scene = scene();
    let statement = stamp(&scene.statement().to_bytes().unwrap());
    let stamps = vec![stamp(scene.proof().checkpoint.text().as_bytes()), statement.clone()];
    let files = Scene { stamps: stamps.clone(), ..scene.clone() }.files();
    let foreign = include_bytes!("../../vectors/rfc3161/ca.pem");
    let scratch = Scratch::new();
    let ask = |roots: &[u8], files: &Files| {
        let path = scratch.path().join("roots.pem");
        fs::write(&path, roots).unwrap();
        let known = Known { witnesses: vec![], authorities: Some(Authorities::from_pem(roots).unwrap()) };
        verdict_with(files, &known, &["--tsa-ca", path.to_str().unwrap()])
    };
    assert!(ask(&stamps[0].root, &files).unwrap().ends_with("witnessed from outside"));
    assert!(ask(&[foreign.as_slice(), &stamps[0].root].concat(), &files).is_ok());
    assert!(ask(foreign, &files).unwrap_err().contains("no time stamp is vouched for"));
    assert!(ask(foreign, &scene.files()).unwrap_err().contains("no time stamp is vouched for"));
    let proven = EvidenceFolder::verify(&super::list(&files), &fingerprint(), &Known::default()).unwrap();
    assert_eq!(
        proven.stamps.iter().map(|stamp| stamp.stamped).collect::<Vec<_>>(),
        [Stamped::Checkpoint, Stamped::Statement]
    );

    // A stamp of something else, and one that another authority made.
    for wrong in [stamp(b"something else"), RootedStamp { root: foreign.to_vec(), ..statement }] {
        let folder = Scene { stamps: vec![wrong.clone()], ..scene.clone() }.folder();
        assert!(matches!(folder.files(), Err(FolderError::Stamp { .. })));
        let mut forged = files.clone();
        forged.insert("stamps/2.tsr".to_owned(), wrong.response);
        forged.insert("stamps/2.ca.pem".to_owned(), wrong.root);
        fix_sums(&mut forged);
        verdict(&forged).unwrap_err();
    }
}

/// Authorities sign no more than the token; what is around it has one form here. A few bytes of every part are tried.
#[test]
fn a_time_stamp_that_is_no_longer_what_was_signed_is_found() {
    let scene = scene();
    let good = stamp(scene.proof().checkpoint.text().as_bytes());
    let files = Scene { stamps: vec![good.clone()], ..scene }.files();
    assert_eq!(files["stamps/1.tsr"], good.response);
    let unsigned = [0, 8, 28, 34, 37, 43, 50, 51];
    let length = good.response.len();
    for place in unsigned.into_iter().chain((60..length).step_by(length / 12)).chain([length - 1]) {
        let mut forged = files.clone();
        forged.get_mut("stamps/1.tsr").unwrap()[place] ^= 1;
        fix_sums(&mut forged);
        assert!(verdict(&forged).is_err(), "byte {place}");
    }
}

/// Openssl reads more than DER, and compares names without their case.
#[test]
fn a_time_stamp_in_another_spelling_is_found() {
    let scene = scene();
    let good = stamp(scene.proof().checkpoint.text().as_bytes());
    let files = Scene { stamps: vec![good.clone()], ..scene }.files();
    let response = &good.response;
    let others = respelled(response);
    // Of the answer, the token, what is stamped, the certificate, its signature, who signed, and what he signed.
    let mut all: Vec<_> = [0, 3, 6, 12, 15, 17, others.len() - 36].map(|number| others[number].clone()).into();
    let place = |piece: &[u8]| response.windows(piece.len()).rposition(|window| window == piece).unwrap();
    let mut changed = |place: usize, mask: u8| {
        let mut other = response.clone();
        other[place] ^= mask;
        all.push(other);
    };
    changed(place(b"Test root"), 0x20);
    changed(place(b"Test root") - 2, 0x13 ^ 0x0c);
    // The tag of the signed attributes, which begin with their type; and that of the set of a value.
    let attributes = place(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03") - 5;
    assert_eq!(response[attributes], 0xa0);
    changed(attributes, 0x20);
    changed(attributes + 16, 0x20);
    for (number, other) in all.into_iter().enumerate() {
        let mut forged = files.clone();
        forged.insert("stamps/1.tsr".to_owned(), other);
        fix_sums(&mut forged);
        assert!(verdict(&forged).is_err(), "{number}");
    }
    let root = String::from_utf8(good.root).unwrap();
    let base64: String = root.lines().filter(|line| !line.starts_with('-')).collect();
    let der = Base64::decode_vec(&base64).unwrap();
    let mut others: Vec<_> = respelled(&der).into_iter().step_by(19).collect();
    // Nor does a root certificate count that does not vouch for itself.
    others.push([&der[..der.len() - 1], &[der[der.len() - 1] ^ 1]].concat());
    for other in others {
        let base64 = Base64::encode_string(&other);
        let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
        let mut forged = files.clone();
        forged.insert("stamps/1.ca.pem".to_owned(), pem.into_bytes());
        fix_sums(&mut forged);
        assert!(verdict(&forged).is_err());
    }
}

#[test]
fn a_restored_document_is_compared() {
    let scene = Scene { shown: Some(3), ..scene() };
    let (folder, scratch) = (Scratch::with(&scene.files()), Scratch::new());
    let bare = Scratch::with(&super::scene().files());
    let ask = |folder: &Scratch, content: &[u8]| {
        let path = scratch.path().join("restored");
        fs::write(&path, content).unwrap();
        folder.verify(&[&fingerprint().to_string(), "--document", path.to_str().unwrap()])
    };
    let (status, printed) = ask(&folder, &content(3));
    assert!(status == 0 && printed.contains("byte for byte"), "{printed}");
    for wrong in [content(2), b"".to_vec(), [&content(3)[..], b"\n"].concat()] {
        let (status, printed) = ask(&folder, &wrong);
        assert!(status == 1 && printed.contains("FAILED  the file that you gave is not the document"), "{printed}");
    }
    assert_eq!(ask(&bare, &content(3)).0, 1);
}

/// Leaves that are in the tree, but say what a leaf can't say.
#[test]
fn a_document_is_what_its_leaf_says() {
    let good = leaf("/a%25b%FF/\u{e4}", b"content");
    for (from, to) in [
        ("", ""),
        ("%FF", "%Ff"),
        ("%FF", "%"),
        ("sb-doc/v1", "sb-doc/v2"),
        ("\"size\":7", "\"size\":07"),
        ("\"size\":7", "\"size\":18446744073709551615"),
        ("\"size\":7", "\"size\":18446744073709551616"),
        ("\"size\":7", "\"size\":\"7\""),
        (",\"v\"", ",\"u\":1,\"v\""),
        ("0123456789abcdef", "0123456789ABCDEF"),
        ("0123456789abcdef", "0123456789abcde"),
        ("\"mtime\"", "\"ntime\""),
        ("\"id\":\"5f\",", ""),
        ("/a", "\\u0001\\\\\\\"/a"),
        ("/a", "\\u0009"),
    ] {
        let documents = vec![good.replacen(from, to, 1)];
        let good = Scene { shown: Some(0), ..scene() };
        let scene = Scene { documents: documents.clone(), ..scene() };
        // Only what verifies becomes a folder, so that bad ones are put together here.
        let mut files = Scene { documents, shown: None, ..good }.files();
        files.insert("document.json".to_owned(), scene.documents[0].clone().into_bytes());
        files.insert("document.proof".to_owned(), DocumentProof { index: 0, path: vec![] }.to_string().into_bytes());
        fix_sums(&mut files);
        let is_good = Document::parse(scene.documents[0].as_bytes()).is_ok();
        assert_eq!(verdict(&files).is_ok(), is_good, "{from} -> {to}");
    }
}
