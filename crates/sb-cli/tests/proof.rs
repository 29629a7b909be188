//! What an auditor gets: certificates, the folder that is checked without us, and the audit log.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use common::{Ran, World, flip, json, of_type, ran, sh};
use serde_json::Value;

/// Runs the script of a folder as an auditor does who has nothing but a shell and openssl.
fn checked(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new("env");
    command.args(["-i", "PATH=/usr/bin:/bin", "sh", "verify.sh"]).args(arguments).current_dir(folder);
    ran(&mut command)
}

fn fingerprint(world: &World) -> String {
    let info = world.ok(&["info", "--json"]);
    json(&info)[0]["root_fingerprint"].as_str().unwrap().to_owned()
}

fn records(world: &World) -> Vec<Value> {
    listed(world, &["log", "show", "--all"], "record")
}

/// The messages of a type that a command prints.
fn listed(world: &World, words: &[&str], message_type: &str) -> Vec<Value> {
    let messages = json(&world.ok(&[words, &["--json"]].concat()));
    of_type(&messages, message_type).into_iter().cloned().collect()
}

/// What was done and how it ended, without what was only announced.
fn told(world: &World) -> Vec<String> {
    let records = records(world).into_iter().filter(|record| record["status"] != "INTENT");
    records.map(|r| format!("{} {}", r["operation"].as_str().unwrap(), r["status"].as_str().unwrap())).collect()
}

#[test]
fn a_backup_is_certified_and_its_folder_holds_without_us() {
    let world = World::backed_up();
    let all = listed(&world, &["certificate", "list"], "certificate");
    assert_eq!((all.len(), &all[0]["kind"], &all[0]["result"]), (1, &"backup".into(), &"PASSED".into()));
    let shown = world.ok(&["certificate", "show", "latest"]);
    assert!(shown.contains("result       PASSED\n") && shown.contains("logged       as entry "), "{shown}");
    let said = world.ok(&["certificate", "export", "latest", "--to", "evidence"]);
    let root = fingerprint(&world);
    assert!(said.contains(&format!("    cd evidence && sh verify.sh {root}\n")), "{said}");
    let ok = checked(&world.path("evidence"), &[&root]);
    assert_eq!(ok.code, 0, "{ok:?}");
    assert!(ok.out.lines().any(|line| line.starts_with("OK  PASSED: backup")), "{}", ok.out);
    // The program itself agrees, and needs no vault.
    let verify = |fingerprint: &str| {
        ran(world.command(&["certificate", "verify", "evidence", "--fingerprint", fingerprint]).env_remove("SB_VAULT"))
    };
    assert_eq!(verify(&root).code, 0, "{:?}", verify(&root));
    let other = "0f".repeat(32);
    assert_eq!((verify(&other).code, checked(&world.path("evidence"), &[&other]).code), (4, 1));
    world.fails(
        &["certificate", "export", "latest", "--to", "evidence"],
        1,
        "sb: `evidence` is not empty. Nothing else may be in such a folder: choose a new one.",
    );
    let no_root = ["certificate", "export", "latest", "--to", "other", "--tsa-ca", "firm/note.txt"];
    assert!(world.run(&no_root).code == 2 && !world.path("other").exists());
    // What can't be a file of such a folder does not hold, as the script says.
    for odd in ["ln -s statement.json evidence/link", "mkdir evidence/more", "truncate -s 9M evidence/more"] {
        assert_eq!(sh(&world.root, odd).code, 0);
        let failed = verify(&root);
        assert!(failed.code == 4 && failed.out.starts_with("FAILED: `"), "{odd}: {failed:?}");
        assert_eq!(checked(&world.path("evidence"), &[&root]).code, 1, "{odd}");
        sh(&world.root, "rm -rf evidence/link evidence/more");
    }
    assert!(verify(&root).out.lines().next().unwrap().ends_with(", PASSED; nobody outside has witnessed it"));
    flip(&world.path("evidence/statement.json"), 30);
    assert_eq!((verify(&root).code, checked(&world.path("evidence"), &[&root]).code), (4, 1));
}

#[test]
fn one_document_is_shown_and_no_other() {
    let world = World::backed_up();
    let at = world.at("firm/note.txt");
    world.ok(&["certificate", "show", &at, "--export", "evidence"]);
    let root = fingerprint(&world);
    fs::write(world.path("restored"), "remember").unwrap();
    let restored = world.path("restored");
    let ok = checked(&world.path("evidence"), &[&root, "--document", restored.to_str().unwrap()]);
    assert_eq!(ok.code, 0, "{ok:?}");
    let verify = |folder| {
        let words = ["certificate", "verify", folder, "--fingerprint", &root, "--document", "restored"];
        ran(world.command(&words).env_remove("SB_VAULT"))
    };
    assert_eq!(verify("evidence").code, 0, "{:?}", verify("evidence"));
    fs::write(&restored, "forget").unwrap();
    assert_eq!(checked(&world.path("evidence"), &[&root, "--document", restored.to_str().unwrap()]).code, 1);
    let failed = verify("evidence");
    assert!(
        failed.code == 4 && failed.out.starts_with("FAILED: the file is not the document: its size is 6, "),
        "{failed:?}"
    );
    world.ok(&["certificate", "export", "latest", "--to", "whole"]);
    let failed = verify("whole");
    assert_eq!((failed.code, failed.out.as_str()), (4, "FAILED: this folder is about no single document\n"));
    let has = |name: &str| sh(&world.root, format!("grep -raq {name} evidence")).code == 0;
    assert_eq!(["note.txt", "ledger", "miller"].map(has), [true, false, false], "only what is shown is in it");
    world.fails(
        &["certificate", "show", &at],
        2,
        "sb: a document is proved by a folder of files. Name one with --export.",
    );
    assert_eq!(world.run(&["certificate", "show", &world.at("firm/none"), "--export", "none"]).code, 1);
    assert_eq!(world.run(&["certificate", "show", &world.at("firm"), "--export", "none"]).code, 1, "a folder is none");
}

#[test]
fn a_second_signature_can_come_later() {
    let world = World::backed_up();
    assert!(world.ok(&["certificate", "sign", "latest"]).contains("signed certificate "));
    assert!(world.ok(&["certificate", "sign", "latest"]).contains("had that signature already"));
    world.ok(&["certificate", "export", "latest", "--to", "evidence"]);
    let ok = checked(&world.path("evidence"), &[&fingerprint(&world)]);
    assert!(ok.code == 0 && ok.out.contains("and by 1 more of the vault's users"), "{ok:?}");
    let verified = world.ok(&["verify"]);
    assert!(verified.contains("nothing is wrong"), "{verified}");
}

#[test]
fn a_partial_backup_is_certified_as_partial_and_a_verification_too() {
    let world = World::backed_up();
    assert_eq!(world.run(&["backup", "firm", "no-such-folder"]).code, 3);
    world.ok(&["verify", "--level", "restore"]);
    let certificates = listed(&world, &["certificate", "list"], "certificate");
    let results: Vec<_> = certificates.iter().map(|c| format!("{} {}", c["kind"], c["result"])).collect();
    assert_eq!(results, [r#""backup" "PASSED""#, r#""backup" "PARTIAL""#, r#""verification" "PASSED""#]);
    let id = certificates[2]["certificate"].as_str().unwrap();
    assert!(world.ok(&["certificate", "show", &id[..10]]).contains("verified     4 of 4 documents"));
    world.ok(&["certificate", "export", &id[..10], "--to", "evidence"]);
    assert_eq!(checked(&world.path("evidence"), &[&fingerprint(&world)]).code, 0);
    // What is damaged is certified as well.
    flip(&world.content_packs()[0], 200);
    assert_eq!(world.run(&["verify"]).code, 4);
    let certificates = listed(&world, &["certificate", "list", "--latest", "1"], "certificate");
    assert_eq!(certificates[0]["result"], "FAILED");
    world.fails(
        &["certificate", "show", "ffffffff"],
        1,
        "sb: no certificate `ffffffff`. `sb certificate list` shows which there are.",
    );
}

#[test]
fn everything_that_is_done_stands_in_the_log() {
    let world = World::backed_up();
    world.ok(&["snapshots"]);
    world.ok(&["ls", "latest"]);
    world.ok(&["restore", "latest", "--to", "out"]);
    world.ok(&["tag", "latest", "--add", "x"]);
    assert_eq!(world.run(&["ls", "ffff"]).code, 1);
    let wrong = sb_core::crypto::KeyFile::generate(&sb_core::crypto::SystemRandom);
    fs::write(world.path("wrong.key"), wrong.to_string()).unwrap();
    assert_eq!(ran(world.command(&["snapshots"]).env("SB_KEY_FILE", world.path("wrong.key"))).code, 12);
    world.ok(&["cat", &world.at("firm/note.txt")]);
    world.ok(&["forget", "latest"]);
    let told = told(&world);
    for line in [
        "Snapshot.Create SUCCESS",
        "Certificate.Issue SUCCESS",
        "Vault.List SUCCESS",
        "Snapshot.List SUCCESS",
        "Snapshot.Restore SUCCESS",
        "Snapshot.Tag SUCCESS",
        "Snapshot.List FAILED",
        "Vault.Open DENIED",
        "Snapshot.Read SUCCESS",
        "Snapshot.Forget SUCCESS",
    ] {
        assert!(told.iter().any(|told| told == line), "{line} in {told:?}");
    }
    assert!(!told.iter().any(|told| told.ends_with("NO OUTCOME")), "{told:?}");
    // Neither names nor paths: a log cannot forget.
    for name in ["firm", "note", "ledger", "miller"] {
        assert_eq!(sh(&world.root, format!("grep -raq {name} vault/log state/*/spool")).code, 1, "{name}");
    }
    let verify = world.ok(&["log", "verify"]);
    assert!(verify.contains("nothing is gone, and nothing was written anew"), "{verify}");
    let csv = world.ok(&["log", "export", "--format", "csv"]);
    assert!(csv.starts_with("TIMESTAMP,OPERATION,USER,STATUS,"), "{csv}");
    assert_eq!(csv.lines().count(), 1 + records(&world).len());
    world.ok(&["log", "export", "--format", "jsonl", "-o", "log.jsonl"]);
    let first: Value =
        serde_json::from_str(fs::read_to_string(world.path("log.jsonl")).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(first["operation"], "Vault.Create");
}

#[test]
fn ids_have_names_that_can_be_erased() {
    let world = World::backed_up();
    let user = records(&world)[0]["user"].as_str().unwrap().to_owned();
    world.ok(&["log", "name", &user, "Ann Miller"]);
    assert!(world.ok(&["log", "show"]).contains("Ann Miller"));
    assert!(world.ok(&["log", "export"]).contains(",Ann Miller,"));
    world.ok(&["log", "name", &user, "=HYPERLINK(1)"]);
    assert!(world.ok(&["log", "export"]).contains(",'=HYPERLINK(1),"), "no formula for a spreadsheet");
    world.ok(&["log", "name", &user, "--erase"]);
    assert!(!world.ok(&["log", "show"]).contains("HYPERLINK"));
    assert_eq!(
        sh(&world.root, "ls vault/names vault/twin/names").out.lines().filter(|line| line.contains('.')).count(),
        0
    );
    assert!(world.ok(&["verify"]).contains("nothing is wrong"));
    assert_eq!(world.run(&["log", "name", "no id", "x"]).code, 2);
}

#[test]
fn a_run_that_was_killed_leaves_a_question() {
    let world = World::backed_up();
    let batches = || sh(&world.root, "ls vault/log/*/ | wc -l").out;
    let before = batches();
    let mut command = world.command(&["backup", "--stdin", "--stdin-name", "dump"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while batches() == before {
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let open = listed(&world, &["log", "show", "--open"], "record");
    assert_eq!((open.len(), &open[0]["operation"]), (1, &"Snapshot.Create".into()));
    let shown = world.ok(&["log", "show"]);
    assert!(shown.lines().any(|line| line.contains("Snapshot.Create ") && line.contains(" no outcome ")), "{shown}");
    assert!(world.ok(&["verify"]).contains("nothing is wrong"), "a question is no damage");
    // A run that failed says so.
    assert_eq!(world.run(&["backup", "firm", "--parent", "ffff"]).code, 1);
    assert!(told(&world).contains(&"Snapshot.Create FAILED".to_owned()));
}

#[test]
fn who_cannot_write_to_the_vault_reads_it_and_logs_later() {
    let world = World::backed_up();
    let records_before = records(&world).len();
    sh(&world.root, "mv vault away && mkdir vault && mount --bind away vault && mount -o remount,bind,ro vault");
    let restored = world.run(&["restore", "latest", "--to", "out"]);
    let umounted = sh(&world.root, "umount vault && rmdir vault && mv away vault");
    assert_eq!(umounted.code, 0, "{umounted:?}");
    if restored.code != 0 {
        panic!("{restored:?}");
    }
    assert!(restored.err.contains("is kept on this machine until it can be"), "{restored:?}");
    world.ok(&["backup", "firm"]);
    assert!(told(&world).contains(&"Snapshot.Restore SUCCESS".to_owned()));
    assert!(records(&world).len() > records_before);
}

/// A witness at work.
struct Serving(Child, String);

impl Serving {
    fn new(world: &World) -> Self {
        let mut command = world.command(&["witness", "serve", "w", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let port = first.split("127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self(child, format!("http://127.0.0.1:{port}"))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The origin of the only log of a vault, with the key it is signed with.
fn log_key(world: &World) -> String {
    world.ok(&["certificate", "export", "latest", "--to", "for-the-key"]);
    let policy = fs::read_to_string(world.path("for-the-key/witnesses.policy")).unwrap();
    policy.lines().next().unwrap().strip_prefix("log ").unwrap().to_owned()
}

#[test]
fn what_a_witness_has_seen_catches_who_puts_the_whole_vault_back() {
    let world = World::backed_up();
    let key = world.ok(&["witness", "init", "w", "--name", "witness.example/w1", "--quiet"]).trim_end().to_owned();
    world.ok(&["witness", "add-log", "w", &log_key(&world)]);
    sh(&world.root, "cp -a vault yesterday && cp -a state state-of-yesterday");
    let serving = Serving::new(&world);
    world.ok(&["backup", "firm"]);
    let url = serving.1.clone();
    let ask = ["log", "checkpoint", "--witness", &url, "--witness-key", &key];
    let said = world.ok(&ask);
    assert!(said.contains("signed by witness.example/w1 at "), "{said}");
    world.ok(&["certificate", "export", "latest", "--to", "evidence"]);
    let root = fingerprint(&world);
    let ok = checked(&world.path("evidence"), &[&root, "--witness", &key]);
    assert!(ok.code == 0 && ok.out.contains("whose key you gave"), "{ok:?}");
    let verify = |more: &[&str]| {
        let words = [&["certificate", "verify", "evidence", "--fingerprint", &root, "--json"], more].concat();
        json(&world.ok(&words)).remove(0)
    };
    for (more, known) in [(&["--witness-key", &key][..], true), (&[], false)] {
        let summary = verify(more);
        assert_eq!((&summary["witnessed"], &summary["witness_known"]), (&true.into(), &known.into()));
    }
    let unknown =
        world.run(&["certificate", "verify", "evidence", "--fingerprint", &root, "--tsa-ca", "firm/note.txt"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(world.ok(&ask).contains("signed by"), "the log has grown since");

    // The whole vault is put back, and everything that this machine remembers.
    sh(&world.root, "mv vault today && cp -a yesterday vault && rm -r state && mv state-of-yesterday state");
    let blind = world.run(&["verify", "--public"]);
    assert_eq!(blind.code, 0, "nobody can see that without a witness: {blind:?}");
    let seen = sh(&world.root, "ls w/heads/* | head -n 1").out.trim().to_owned();
    for words in [&["verify", "--public"][..], &["verify"], &["log", "verify"]] {
        let caught = world.run(&[words, &["--checkpoint", &seen]].concat());
        assert_eq!(caught.code, 4, "{words:?}: {caught:?}");
        assert!(caught.out.contains("entries and has "), "{words:?}: {caught:?}");
    }
    // The witness itself does not sign what is less, or another.
    let refused = world.run(&ask);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.err.contains("it was rolled back, or written anew"), "{refused:?}");
    assert_eq!(world.run(&["log", "checkpoint"]).code, 2);
    assert_eq!(world.run(&["log", "checkpoint", "--witness", &url]).code, 2, "a key must be known");
    drop(serving);
    assert_eq!(world.run(&ask).code, 1, "nobody answers");
}

#[test]
fn reading_is_spread_over_nights() {
    let world = World::backed_up();
    let summary = |words: &[&str]| json(&world.ok(&[words, &["--json"]].concat())).pop().unwrap();
    // Everything was read back when it was written, but not opened.
    let first = summary(&["verify", "--level", "objects", "--max-age", "30d"]);
    assert_eq!((&first["packs_due"], first["all_read_since"].is_string()), (&0.into(), true));
    let none = summary(&["verify", "--max-age", "30d", "--budget", "0s"]);
    assert!(none["packs_due"].as_u64().unwrap() > 0, "{none}");
    assert_eq!((&none["packs_read"], &none["all_read_since"]), (&0.into(), &Value::Null));
    let all = summary(&["verify", "--max-age", "30d", "--budget", "10min"]);
    assert_eq!(all["packs_read"], none["packs_due"]);
    assert_eq!(summary(&["verify", "--max-age", "30d"])["packs_due"], 0);
    let results: Vec<_> = listed(&world, &["certificate", "list"], "certificate")
        .iter()
        .map(|certificate| certificate["result"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(results, ["PASSED", "PASSED", "PARTIAL", "PASSED", "PASSED"]);
    // Damage in what is not due is not seen, and in what is due it is, with the documents.
    flip(&world.content_packs()[0], 200);
    assert_eq!(world.run(&["verify", "--max-age", "30d"]).code, 0);
    let damaged = world.run(&["verify", "--max-age", "0s"]);
    assert!(damaged.code == 4 && damaged.out.contains("DAMAGE FOUND in 1 object"), "{damaged:?}");
    assert_eq!(world.run(&["verify", "--max-age", "30d", "--level", "restore"]).code, 2);
    assert_eq!(world.run(&["verify", "--max-age", "soon"]).code, 2);
}

#[test]
fn who_issues_certificates_and_what_the_clock_is_worth_stands_in_them() {
    let world = World::new();
    fs::write(world.path("sb.toml"), "issuer = 'smith-cpa.example'\n").unwrap();
    // The machine was in the year 2100 once.
    let clock = sh(&world.root, "ls -d state/*/").out.trim().to_owned() + "clock";
    fs::write(world.path(&clock), "rollbacks 0\nnewest 4102444800\n").unwrap();
    let backup = world.run(&["backup", "firm", "--config", "sb.toml"]);
    assert!(
        backup.code == 0 && backup.err.contains("warning: the clock was set back: this machine had seen 2100-01-01"),
        "{backup:?}"
    );
    assert!(!world.run(&["snapshots"]).err.contains("clock"), "told once");
    let shown = json(&world.ok(&["certificate", "show", "latest", "--json"])).remove(0);
    let said = &shown["statement"]["predicate"];
    assert_eq!((&said["issuer"], &said["clock"]["rollbacks"]), (&"smith-cpa.example".into(), &1.into()));
}
