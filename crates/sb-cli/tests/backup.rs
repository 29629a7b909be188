//! Backing up as people ask for it: trials, parents, streams, lists and hooks.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{AS_NOBODY, World, is_root, json, ran, sh};
use serde_json::Value;

/// Everything below a folder, with contents and times.
fn traces(folder: &Path) -> BTreeMap<PathBuf, (std::time::SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let (path, metadata) = {
            let entry = entry.unwrap();
            (entry.path(), entry.metadata().unwrap())
        };
        let bytes = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        found.insert(path.clone(), (metadata.modified().unwrap(), bytes));
        found.extend(traces(&path));
    }
    found
}

fn summary(text: &str) -> Value {
    json(text).pop().unwrap()
}

fn without(summary: &Value, fields: &[&str]) -> Value {
    let mut summary = summary.clone();
    fields.iter().for_each(|field| drop(summary.as_object_mut().unwrap().remove(*field)));
    summary
}

#[test]
fn a_dry_run_tells_what_a_backup_would_do_and_leaves_no_trace() {
    let world = World::new();
    for round in 0..2 {
        let before = (traces(&world.path("vault")), traces(&world.path("state")));
        let said = world.ok(&["backup", "firm", "--dry-run"]);
        let (first, rest) = said.split_once('\n').unwrap();
        assert!(first.starts_with("dry run, ") && first.contains(": nothing has been written; "), "{said}");
        assert!(rest.contains("; the vault would grow by "), "{said}");
        let dry = summary(&world.ok(&["backup", "firm", "-n", "--json"]));
        assert!((traces(&world.path("vault")), traces(&world.path("state"))) == before, "round {round}");
        let done = summary(&world.ok(&["backup", "firm", "--json"]));
        assert_eq!((&dry["dry_run"], &dry["snapshot_id"]), (&true.into(), &Value::Null));
        assert_eq!(done["dry_run"], false);
        let own = [
            "dry_run",
            "snapshot_id",
            "seconds",
            "stored_bytes",
            "certificate",
            "read_back_objects",
            "read_back_bytes",
        ];
        assert_eq!(without(&dry, &own), without(&done, &own));
        if round == 0 {
            fs::write(world.path("firm/new"), "new").unwrap();
        }
    }
    let other = ran(world.command(&["backup", "firm", "-n"]).env("SB_STATE_DIR", world.path("nowhere")));
    assert!(other.code == 0 && other.out.contains("  files   0 new, 0 changed, 3 unchanged\n"), "{other:?}");
    assert!(!world.path("nowhere").exists());
    fs::write(world.path("firm/note.txt"), "remembered").unwrap();
    fs::write(world.path("firm/newer"), "new").unwrap();
    let lines = |more: &str| -> Vec<String> {
        let said = world.ok(&["backup", "firm", "-n", more]);
        let root = format!("{}/", world.root.display());
        said.lines().take_while(|line| !line.starts_with("dry run, ")).map(|line| line.replace(&root, "")).collect()
    };
    assert_eq!(lines("-v"), ["new         firm/newer", "changed     firm/note.txt"]);
    assert_eq!(lines("-vv").len(), 4);
}

#[test]
fn a_dry_run_needs_only_to_read() {
    let world = World::backed_up();
    fs::write(world.path("firm/new"), "new").unwrap();
    sh(&world.root, "chmod -R a+rX . && chmod 755 . && chmod -R a-w vault state && chmod a+r sb.key");
    let wrapper: &[&str] = if is_root() { &AS_NOBODY } else { &[] };
    let before = (traces(&world.path("vault")), traces(&world.path("state")));
    let dry = ran(&mut world.wrapped(wrapper, &["backup", "firm", "--dry-run"]));
    assert!(dry.code == 0 && dry.out.contains("  files   1 new, 0 changed, 2 unchanged\n"), "{dry:?}");
    assert!((traces(&world.path("vault")), traces(&world.path("state"))) == before);
}

#[test]
fn a_dry_run_says_what_could_not_be_read_and_runs_no_hooks() {
    let world = World::new();
    let dry =
        world.run(&["backup", "firm", "nowhere", "-n", "--pre-command", "touch pre", "--post-command", "touch post"]);
    assert_eq!(dry.code, 3);
    assert!(dry.err.contains("nowhere") && dry.err.contains("the snapshot would be partial"), "{dry:?}");
    assert!(!world.path("pre").exists() && !world.path("post").exists());
    assert_eq!(world.ok(&["snapshots"]), "no snapshots\n");
    let stream = sh(&world.root, stream(&world, "echo some text", "backup --stdin --dry-run"));
    assert!(stream.code == 0 && stream.out.contains("  new     10 B; "), "{stream:?}");
    let failed = world.run(&["backup", "--stdin-from-command", "-n", "--", "sh", "-c", "echo half; exit 3"]);
    assert!(failed.code == 1 && failed.err.contains("`sh` ended with exit status: 3"), "{failed:?}");
}

/// A line for a shell that feeds the program.
fn stream(world: &World, from: &str, arguments: &str) -> String {
    let path = |name: &str| world.path(name).display().to_string();
    format!(
        "{from} | SB_VAULT={} SB_KEY_FILE={} SB_STATE_DIR={} {} {arguments}",
        path("vault"),
        path("sb.key"),
        path("state"),
        env!("CARGO_BIN_EXE_sb")
    )
}

#[test]
fn a_parent_is_compared_with() {
    let world = World::new();
    let run = |more: &[&str]| summary(&world.ok(&[&["backup", "firm", "--json"], more].concat()));
    let first = run(&[]);
    fs::write(world.path("firm/new"), "new").unwrap();
    let second = run(&[]);
    run(&[]);
    let id = |summary: &Value| summary["snapshot_id"].as_str().unwrap().to_owned();
    let report = run(&["--parent", &id(&first)[..12]]);
    assert_eq!(
        (&report["base_id"], &report["files_new"], &report["type"]),
        (&first["snapshot_id"], &1.into(), &"incremental".into())
    );
    let report = run(&["--parent", "latest~2"]);
    assert_eq!(
        (&report["base_id"], &report["files_unchanged"], &report["type"]),
        (&second["snapshot_id"], &3.into(), &"full".into())
    );
    let wrong = |parent: &str, more: &[&str], code| {
        let ran = world.run(&[&["backup", "firm", "--parent", parent], more].concat());
        assert_eq!(ran.code, code, "{ran:?}");
        ran.err
    };
    assert!(wrong("ffff", &[], 1).starts_with("sb: no snapshot `ffff`"));
    wrong("latest:/firm", &[], 2);
    assert!(wrong("latest", &["--type", "differential"], 2).contains("compared with the newest full one"));
}

#[test]
fn streams_are_backed_up_as_one_file() {
    let world = World::new();
    assert_eq!(sh(&world.root, stream(&world, "echo dump", "backup --stdin -q")).code, 0);
    assert_eq!(world.ok(&["cat", "latest:/stdin"]), "dump\n");
    world.ok(&["backup", "-q", "--stdin-from-command", "--stdin-name", "db/books.sql", "--", "echo", "tables"]);
    assert_eq!(world.ok(&["dump", "latest", "/db/books.sql"]), "tables\n");
    world.ok(&["backup", "-q", "--stdin-from-command", "--stdin-filename", "x", "--", "echo", "again"]);
    assert_eq!(world.ok(&["cat", "latest:/x"]), "again\n");
    world.fails(
        &["backup", "--stdin-from-command", "--", "sh", "-c", "echo half; exit 3"],
        1,
        "sb: `sh` ended with exit status: 3. There is no new snapshot, for what came in is not all there should be.",
    );
    world.fails(
        &["backup", "--stdin-from-command", "--", "no-such-program"],
        1,
        "sb: cannot run `no-such-program`: No such file or directory. Nothing has been backed up.",
    );
    assert_eq!(json(&world.ok(&["snapshots", "--json"])).len(), 4);
}

#[test]
fn a_dump_that_nobody_can_take_in_is_not_begun() {
    let world = World::new();
    let refused = |more: &[&str], code: i32| {
        let dump = ["--", "sh", "-c", "touch begun; echo dump"];
        let ran = world.run(&[&["backup", "--stdin-from-command"], more, &dump[..]].concat());
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(!world.path("begun").exists(), "{ran:?}");
        ran.err
    };
    refused(&["--parent", "ffff"], 1);
    refused(&["--parent", &"f".repeat(64)], 1);
    assert!(refused(&["--free-minimum", "1000000T"], 1).contains("are free where the vault is"));
    refused(&["--vault", "nowhere"], 10);
    refused(&["--key-file", "nowhere.key"], 1);
    sh(&world.root, "cp -a vault old");
    world.ok(&["backup", "firm", "-q"]);
    sh(&world.root, "mv vault newer && mv old vault");
    assert!(refused(&[], 4).contains("rolled back"));
    sh(&world.root, "rm -r vault && mv newer vault");
    world.ok(&["backup", "-q", "--stdin-from-command", "--", "sh", "-c", "touch begun; echo dump"]);
    assert!(world.path("begun").exists() && world.ok(&["cat", "latest:/stdin"]) == "dump\n");
}

#[test]
fn a_stream_without_a_name_or_a_command_is_refused_before_anything_is_done() {
    let world = World::new();
    let refused = |arguments: &[&str], message: &str| {
        let before = ["--pre-command", "touch asked", "--post-command", "touch asked"];
        // Whoever were asked for a passphrase would be told that nobody can be.
        let mut command = world.command(&[&["backup"], &before[..], arguments].concat());
        let ran = ran(command.env_remove("SB_KEY_FILE").env("SB_PASSPHRASE_COMMAND", "touch asked"));
        assert!(ran.code == 2 && ran.err.contains(message) && !world.path("asked").exists(), "{ran:?}");
    };
    refused(&["--stdin-from-command"], "no command is given");
    refused(&["--stdin-from-command", "--dry-run"], "no command is given");
    refused(&["--stdin-from-command", "--stdin-name", "/", "--", "true"], "`/` is no name");
    refused(&["--stdin", "--stdin-name", "a/../b"], "`a/../b` is no name");
    refused(&["firm", "--stdin-name", "x"], "--stdin-name names what");
}

#[test]
fn a_pipe_that_nothing_comes_from_can_be_stopped() {
    let world = World::new();
    for arguments in ["backup --stdin <p", "backup --stdin-from-command -- sleep 60"] {
        let line = stream(
            &world,
            "rm -f p; mkfifo p; exec 3<>p; true",
            &format!("{arguments} & sleep 1; kill -TERM $!; wait $!; echo ended $? >ended"),
        );
        let ran = sh(&world.root, line);
        let ended = fs::read_to_string(world.path("ended")).unwrap();
        assert_eq!(ended, "ended 130\n", "{ran:?}");
        assert!(ran.err.contains("interrupted"), "{ran:?}");
    }
    assert!(!world.ok(&["snapshots"]).contains("/stdin"), "there is no snapshot");
}

#[test]
fn lists_say_what_is_backed_up() {
    let world = World::new();
    fs::write(world.path("list"), "firm/note.txt\n\nfirm/miller/2025\n").unwrap();
    world.ok(&["backup", "--files-from", "list", "-q"]);
    let listed = world.ok(&["ls", "latest", "-R"]);
    assert!(
        listed.contains("firm/note.txt\n") && listed.contains("ledger.csv\n") && !listed.contains("link"),
        "{listed}"
    );
    let piped = sh(&world.root, stream(&world, "find firm -name '*.csv' -print0", "backup --files-from - -q"));
    assert_eq!(piped.code, 0, "{piped:?}");
    assert!(!world.ok(&["ls", "latest", "-R"]).contains("note.txt"));
    assert_eq!(world.run(&["backup", "--files-from", "none"]).code, 1);
    assert_eq!(world.run(&["backup", "--files-from", "/dev/null"]).code, 2);
}

#[test]
fn commands_run_before_and_after() {
    let world = World::new();
    world.ok(&[
        "backup",
        "firm",
        "-q",
        "--pre-command",
        "echo early > firm/early",
        "--post-command",
        "echo $SB_STATUS $SB_SNAPSHOT > after",
    ]);
    let after = fs::read_to_string(world.path("after")).unwrap();
    let (status, id) = after.trim().split_once(' ').unwrap();
    assert!(status == "done" && id.len() == 64, "{after}");
    assert!(world.ok(&["ls", id]).contains("firm/early\n"));
    let failed = world.run(&[
        "backup",
        "firm",
        "--pre-command",
        "exit 4",
        "--post-command",
        "test $SB_STATUS = failed && rm after",
    ]);
    assert!(
        failed.code == 1 && failed.err.contains("ended with exit status: 4. Nothing has been backed up."),
        "{failed:?}"
    );
    assert!(!world.path("after").exists(), "what began half-way is tidied up");
    let line = stream(&world, "seq 1 100000", "backup --stdin -q --pre-command 'head -c 100000 >/dev/null'");
    assert_eq!(sh(&world.root, line).code, 0);
    let whole: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert!(world.ok(&["cat", "latest:/stdin"]) == whole, "what comes in is the backup's, all of it");
    let odd = world.run(&["backup", "firm", "nowhere", "--post-command", "echo $SB_STATUS; exit 5"]);
    assert!(odd.code == 3 && odd.err.contains("partial\n") && odd.err.contains("ended with exit status: 5"), "{odd:?}");
}

#[test]
fn a_restic_users_fingers_find_their_words() {
    let world = World::new();
    fs::write(world.path("firm/a.tmp"), "").unwrap();
    world.ok(&["backup", "firm", "-x", "-f", "-H", "office", "-e", "*.tmp", "--tag", "daily,tax"]);
    assert!(world.ok(&["snapshots", "--host", "office", "--tag", "tax"]).contains("[daily, tax]"));
    world.ok(&["tag", "latest", "--remove", "daily,tax", "--add", "a,b"]);
    assert!(world.ok(&["snapshots"]).contains("[a, b]"));
    let firm = world.path("firm").display().to_string();
    assert_eq!(world.ok(&["ls", "latest", &firm]), world.ok(&["ls", &format!("latest:{firm}")]));
    assert_eq!(world.ok(&["dump", "latest", &format!("{firm}/note.txt")]), "remember");
    let some = world.ok(&["restore", "latest", "-t", "out", "-i", "*.csv"]);
    assert!(!some.contains("nothing matches"), "{some}");
    world.ok(&["restore", &format!("latest:{firm}"), "--target", "out2", "-e", "*.csv"]);
    assert!(world.path("out2/note.txt").exists() && !world.path("out2/a.tmp").exists());
    for two in [["ls", "latest:/a"], ["cat", "latest:/a"], ["ls", "/a"]] {
        let ran = world.run(&[&two[..], &["/b", "--at", "now"]].concat());
        assert!(ran.code == 2 && ran.err.contains("are two paths, and one is taken"), "{ran:?}");
    }
    let nowhere = world.run(&["restore", "latest"]);
    assert_eq!(nowhere.code, 2);
    assert!(nowhere.err.contains("--to, or write --in-place"), "{}", nowhere.err);
    let alone = world.run(&[]);
    assert!(alone.code == 2 && alone.err.contains("Begin with `sb try`"), "{alone:?}");
    let db = world.run(&["db"]);
    assert!(db.code == 2 && db.err.contains("Usage: sb db [OPTIONS] <COMMAND>\n\nCommands:\n"), "{db:?}");
    let missing = world.run(&["restore"]);
    assert!(missing.err.contains("Usage: sb restore <SNAP[:PATH]>\n"), "what variables say was not typed: {missing:?}");
    assert!(world.ok(&["check", "--read-data"]).contains("at level `data`"));
    assert_eq!(world.run(&["check", "--read-data", "--level", "objects"]).code, 2);
    let nothing = world.ok(&["restore", "latest", "--to", "none", "--include", "*.zip"]);
    assert!(nothing.ends_with("\n  nothing matches what is to be included\n"), "{nothing}");
    let nothing = world.ok(&["find", "-s", "latest", "ledger"]);
    assert!(nothing.ends_with("; '*ledger*' finds names that have this in them\n"), "{nothing}");
    assert_eq!(world.ok(&["find", "x*"]), "nothing found in 1 snapshot\n");
}
