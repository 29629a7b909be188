//! What programs rely on: JSON Lines, signals, terminals, and `sb try`.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use common::{World, at_terminal, json, of_type, ran, sh};
use serde_json::Value;

/// Every command's summary has these fields and no others.
fn assert_fields(message: &Value, fields: &str) {
    let found = message.as_object().unwrap().keys().map(String::as_str);
    let found: BTreeSet<&str> = found.filter(|field| *field != "command").collect();
    let expected: BTreeSet<&str> = fields.split(' ').chain(["message_type"]).collect();
    assert_eq!(found, expected);
}

fn summary(world: &World, arguments: &[&str]) -> (Vec<Value>, Value) {
    let messages = json(&world.ok(&[arguments, &["--json"]].concat()));
    let last = messages.last().unwrap().clone();
    assert_eq!(last["message_type"], "summary");
    assert_eq!(of_type(&messages, "summary").len(), 1);
    (messages, last)
}

#[test]
fn every_command_ends_with_a_summary() {
    let world = World::bare();
    let init = summary(&world, &["init"]).1;
    assert_fields(&init, "vault vault_id root_fingerprint approved_algorithms key_file recovery_key_file recovery_key");
    let init = summary(&world, &["init", "v2", "--recovery-key-out", "paper"]).1;
    assert_fields(&init, "vault vault_id root_fingerprint approved_algorithms key_file recovery_key_file");
    let backup = summary(&world, &["backup", "firm", "--tag", "x", "--host", "office"]).1;
    assert_fields(
        &backup,
        "snapshot_id dry_run type base_id files_new files_changed files_unchanged files folders others bytes new_chunks new_bytes stored_bytes adopted_objects certificate read_back_objects read_back_bytes problems partial keys_overdue seconds",
    );
    let (messages, list) = summary(&world, &["snapshots"]);
    assert_fields(&list, "snapshots damaged");
    let snapshot = of_type(&messages, "snapshot")[0];
    assert_fields(
        snapshot,
        "snapshot_id started finished host sources tags files folders others bytes new_bytes stored_bytes problems partial documents document_root base program_version",
    );
    assert_eq!((&snapshot["snapshot_id"], &snapshot["host"]), (&backup["snapshot_id"], &"office".into()));
    let (messages, ls) = summary(&world, &["ls", "latest", "-R"]);
    assert_fields(&ls, "snapshot_id entries files bytes");
    assert_eq!(of_type(&messages, "entry").len() as u64, ls["entries"].as_u64().unwrap());
    assert_fields(
        &summary(&world, &["restore", "latest", "--to", "out"]).1,
        "files folders others bytes overwritten unchanged adjusted kept deleted dry_run problems snapshot_problems damaged complete seconds",
    );
    assert_fields(
        &summary(&world, &["verify"]).1,
        "level public root_fingerprint root_known good objects bytes snapshots documents findings lost_documents lost_folders lost_snapshots loss_is_all_told certificate packs_due packs_read all_read_since unfinished keys_overdue seconds",
    );
    assert_fields(
        &summary(&world, &["info"]).1,
        "vault vault_id root_fingerprint hash recipient approved_algorithms free_bytes total_bytes usage method slot user administrator snapshots damaged_snapshots latest key_epoch keys_since keys_due keys_overdue rotating",
    );
    assert_fields(&summary(&world, &["key", "list"]).1, "keys keys_overdue");
    assert_fields(
        &summary(&world, &["key", "rotate"]).1,
        "epoch began new due users tables tables_stuck runs_from_before epochs_closed name_keys_kept finished",
    );
    assert_fields(&summary(&world, &["db", "rebuild"]).1, "packs chunks replaced enrolled rollback_accepted kept lost");
    fs::write(world.path("sb.toml"), "vault = 'v'").unwrap();
    assert_fields(&summary(&world, &["config", "check", "sb.toml"]).1, "file faults");
    assert_fields(&summary(&world, &["config", "sample"]).1, "sample");
    let witness = summary(&world, &["witness", "init", "w", "--name", "witness.example/w1"]).1;
    assert_fields(&witness, "folder name verifier_key");
    let log = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    assert_fields(&summary(&world, &["witness", "add-log", "w", log]).1, "origin verifier_key added");
    assert_fields(&summary(&world, &["witness", "show", "w"]).1, "name verifier_key logs forked");
}

#[test]
fn names_that_are_not_text_come_in_base64_too() {
    let world = World::new();
    sh(&world.root, r"printf x > firm/$(printf 'b\374ro') && ln -s $(printf '\377') firm/odd");
    let messages = json(&world.ok(&["backup", "firm", "--json"]));
    assert_eq!(messages.last().unwrap()["others"], 2);
    let messages = json(&world.ok(&["ls", "latest", "--json"]));
    let entry = |end: &str| {
        let found =
            of_type(&messages, "entry").into_iter().find(|entry| entry["path"].as_str().unwrap().ends_with(end));
        found.unwrap().clone()
    };
    assert!(entry("/b\\xfcro")["path_base64"].is_string());
    assert_eq!((&entry("/odd")["target"], &entry("/odd")["target_base64"]), (&"\\xff".into(), &"/w==".into()));
    assert!(entry("/note.txt").get("path_base64").is_none());
    assert_eq!(entry("/note.txt")["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn errors_are_json_too() {
    let world = World::bare();
    let error = |arguments: &[&str]| {
        let ran = world.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.out, "");
        let error = json(&ran.err).remove(0);
        assert_fields(&error, "code message hint");
        assert_eq!(error["code"], ran.code);
        error
    };
    world.ok(&["init", "elsewhere", "--quiet"]);
    let none = error(&["snapshots"]);
    assert_eq!(
        (&none["code"], &none["message"]),
        (&10.into(), &format!("there is no vault at `{}`", world.path("vault").display()).into())
    );
    let usage = error(&["cat"]);
    assert_eq!((&usage["code"], &usage["hint"]), (&2.into(), &"`sb --help` shows how".into()));
    assert_eq!(usage["message"], "the following required arguments were not provided: <SNAP:PATH>");
    fs::write(world.path("bad.toml"), "x").unwrap();
    assert_eq!(error(&["snapshots", "--config", "bad.toml"])["code"], 2);
}

#[test]
fn a_long_run_reports_its_progress() {
    let world = World::new();
    slow_source(&world, 3);
    let messages = json(&world.ok(&["backup", "slow", "--json"]));
    let status = of_type(&messages, "status");
    assert!(!status.is_empty());
    assert_fields(status[0], "seconds entries files objects bytes bytes_expected stored_bytes");
}

/// Keeps the program busy with a file that takes no space, but must be hashed to its end: a GiB is a good part of a second on
/// any machine.
fn slow_source(world: &World, gib: u64) {
    fs::create_dir(world.path("slow")).unwrap();
    fs::write(world.path("slow/small"), "small").unwrap();
    fs::File::create(world.path("slow/holes")).unwrap().set_len(gib << 30).unwrap();
}

#[test]
fn an_interrupted_backup_ends_cleanly_and_goes_on_next_time() {
    let world = World::new();
    slow_source(&world, 1000);
    let mut command = world.command(&["backup", "slow"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let leases = world.path("vault/leases");
    while fs::read_dir(&leases).map_or(0, Iterator::count) == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stderr).unwrap();
    let (warning, rest) = said.split_once("\n\n").unwrap();
    assert!(warning.starts_with("sb: warning: there are 1073741 MB to back up"), "{warning}");
    assert_eq!(
        rest,
        "sb: stopping; once more ends it at once\nsb: interrupted. There is no new snapshot, but what was stored is kept and used by the next run.\n"
    );
    assert_eq!(fs::read_dir(leases).unwrap().count(), 0, "the lease is given back");
    assert_eq!(world.ok(&["snapshots"]), "no snapshots\n");
    assert!(world.ok(&["verify"]).ends_with("nothing is wrong\n"));
    fs::remove_file(world.path("slow/holes")).unwrap();
    world.ok(&["backup", "slow"]);
    assert!(world.ok(&["verify", "--level", "restore"]).ends_with("nothing is wrong\n"));
}

#[test]
#[ignore = "needs script"]
fn passphrases_are_asked_for_and_not_shown() {
    let world = World::bare();
    let init = "init --kdf pbkdf2-hmac-sha256";
    let seen = at_terminal(&world, init, &["one long secret\n", "another secret\n"]);
    assert!(
        seen.contains("sb: the two passphrases are not the same. Nothing was made; try again.\ncode 2\n"),
        "{seen}"
    );
    let seen = at_terminal(&world, &format!("{init} --recovery-key-out paper"), &["\u{3}"]);
    assert!(seen.contains("\ncode 130\n") && !world.path("paper").exists(), "{seen}");
    let seen = at_terminal(&world, init, &["one long secret\n", "one long secret\n"]);
    assert!(seen.starts_with("New passphrase: \nThe same again: \nRecovery key, shown this once"), "{seen}");
    let seen = at_terminal(&world, "snapshots", &["one long secret\n"]);
    let question = format!("Passphrase of the vault {}: \nno snapshots\ncode 0\n", world.path("vault").display());
    assert!(seen.starts_with(&question), "{seen}");
    assert!(!seen.contains("secret"));
    let seen = at_terminal(&world, "snapshots", &["\u{3}"]);
    assert!(seen.contains("\ncode 130\n") && seen.contains(" echo "), "the terminal shows again what is typed: {seen}");
    let missing = at_terminal(&world, "snapshots -r none", &[]);
    assert!(missing.starts_with("sb: there is no vault"), "nobody is asked for a passphrase to nothing: {missing}");
}

#[test]
#[ignore = "needs script"]
fn a_terminal_sees_progress_and_safe_names() {
    let world = World::new();
    slow_source(&world, 3);
    sh(&world.root, r"touch slow/$(printf 'red\033[31m')");
    let key = format!("--key-file {}", world.path("sb.key").display());
    let seen = at_terminal(&world, &format!("backup slow {key}"), &[]);
    assert!(seen.contains("backing up 0."), "{seen}");
    let seen = at_terminal(&world, &format!("ls latest {key}"), &[]);
    assert!(seen.contains(r"/slow/red\u{1b}[31m"), "{seen}");
    let seen = at_terminal(&world, &format!("backup slow -vv {key}"), &[]);
    assert!(seen.contains("sb: /"), "{seen}");
}

#[test]
fn the_whole_life_is_tried_on_a_firm_of_our_own() {
    let world = World::bare();
    fs::create_dir(world.path("tmp")).unwrap();
    let mut command = world.command(&["try"]);
    let tried = ran(command.env("TMPDIR", world.path("tmp")).env("SB_CONFIG", "/nowhere").env_remove("HOME"));
    assert_eq!((tried.code, tried.err.as_str()), (0, ""));
    for step in [
        "  1. make a small firm",
        " 15. restore from the damaged vault",
        "→ what the bad byte held is refused, all else is whole",
        "2 documents in it",
        "  sb init /mnt/backup/vault ",
    ] {
        assert!(tried.out.contains(step), "{step}: {}", tried.out);
    }
    assert_eq!(fs::read_dir(world.path("tmp")).unwrap().count(), 0, "nothing stays");
}

#[test]
fn the_whole_life_is_tried_on_a_folder_that_is_only_read() {
    let world = World::bare();
    fs::create_dir(world.path("tmp")).unwrap();
    let with = |arguments: &[&str]| ran(world.command(arguments).env("TMPDIR", world.path("tmp")));
    sh(
        &world.root,
        "cp -a firm before && mkdir firm/locked before/locked && touch firm/locked/x before/locked/x && chmod 500 firm/locked before/locked",
    );
    let messages = json(&with(&["try", "firm", "--keep", "--json"]).out);
    assert_eq!(of_type(&messages, "step").len(), 15);
    let kept = of_type(&messages, "summary")[0]["folder"].as_str().unwrap().to_owned();
    assert!(fs::metadata(&kept).unwrap().is_dir());
    assert_eq!(sh(&world.root, "diff -r --no-dereference firm before").code, 0);
    let vault = format!("{kept}/vault");
    let snapshots = ran(world
        .command(&["snapshots", "-r", &vault, "--key-file", &format!("{kept}/sb.key")])
        .env("SB_STATE_DIR", format!("{kept}/state")));
    assert_eq!(snapshots.out.lines().count(), 3);

    let said = with(&["try", "firm", "--keep"]).out;
    assert!(said.contains("Look around:\n  SB_STATE_DIR="), "{said}");
    let said = with(&["try", "firm", "--keep", "--quiet"]).out;
    assert!(said.starts_with("All of it is in ") && said.lines().count() == 1, "{said}");
    let above = with(&["try", &world.root.display().to_string()]);
    assert_eq!(above.code, 2);
    assert!(above.err.ends_with("Try another folder, or let TMPDIR name another place.\n"), "{}", above.err);
    assert_eq!(with(&["try", "none"]).err, "sb: cannot find `none`: No such file or directory\n");
    assert_eq!(with(&["try", "firm/note.txt"]).err, "sb: `firm/note.txt` is not a folder\n");
    let nowhere = ran(world.command(&["try"]).env("TMPDIR", "/nowhere/at/all"));
    assert!(nowhere.code == 1 && nowhere.err.ends_with("TMPDIR can name a place for it.\n"), "{}", nowhere.err);
}
