//! Looking into snapshots, comparing, measuring and tagging them, as people use it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::fs;

use common::{META_PACK, World, flip, json, of_type, ran, sh};

/// A second snapshot after some changes.
fn changed() -> World {
    let world = World::new();
    world.ok(&["backup", "firm", "--quiet", "--tag", "daily", "--host", "office"]);
    sh(
        &world.root,
        "cd firm && echo more >> note.txt && rm link && mkdir link && echo x > link/new && chmod 600 miller/2025/ledger.csv",
    );
    world.ok(&["backup", "firm", "--quiet", "--host", "laptop"]);
    world
}

impl World {
    /// The lines of a command's output, without the folder of this world.
    fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let root = format!("{}/", self.root.display());
        self.ok(arguments).lines().map(|line| line.replace(&root, "")).collect()
    }
}

#[test]
fn files_are_found_in_every_snapshot_newest_first() {
    let world = changed();
    let found = world.lines(&["find", "note*"]);
    assert!(found[0].starts_with("in snapshot ") && found[0].ends_with(", laptop:"), "{found:?}");
    assert!(found[3].ends_with(", office:"), "{found:?}");
    assert_eq!(
        [&found[1], &found[2], &found[4], &found[6]],
        ["firm/note.txt", "", "firm/note.txt", "2 matches in 2 of 2 snapshots"]
    );
    assert_eq!(found.len(), 7);
    assert_eq!(world.lines(&["find", "new", "--quiet"]), ["firm/link/new"]);
    assert_eq!(world.ok(&["find", "nothing*"]), "nothing found in 2 snapshots\n");
    assert_eq!(world.lines(&["find", "NOTE.*", "-i", "-q", "--snapshot", "latest"]), ["firm/note.txt"]);
    assert_eq!(world.lines(&["find", "firm/**/*.csv", "-q", "--host", "office"]), ["firm/miller/2025/ledger.csv"]);
    assert_eq!(world.lines(&["find", "link", "-q", "--type", "l"]), ["firm/link"]);
    assert_eq!(world.lines(&["find", "link", "-q", "--type", "d,f"]), ["firm/link/"]);
    assert_eq!(world.lines(&["find", "*", "-q", "--type", "f", "--older", "yesterday"]), [""; 0]);
    assert_eq!(world.lines(&["find", "*", "-q", "--type", "f", "--newer", "today", "--at", "now"]).len(), 3);
    let long = world.lines(&["find", "-l", "ledger.csv", "--snapshot", "latest"]);
    assert!(long[1].starts_with("-rw------- ") && long[1].ends_with(" firm/miller/2025/ledger.csv"), "{long:?}");
    assert_eq!(long[3], "1 match");
    world.fails(&["find", "a[b"], 2, "sb: `a[b` is no pattern: a `[` has no `]`; `\\[` means the bracket itself");
    world.fails(&["find", "x", "--type", "f", "--newer", "soon"], 2, "sb: `soon` is no time. Write 2026-03-31, 2026-03-31 14:05, RFC 3339, today, yesterday, now, or 3h, 10d, 2w for that long ago.");
    world.fails(
        &["find", "x", "--snapshot", "latest:/x"],
        2,
        "sb: `latest:/x` has a path, and a snapshot alone is meant here",
    );
}

#[test]
fn what_cannot_be_searched_is_told_and_ends_with_4() {
    let world = changed();
    for pack in world.packs(META_PACK) {
        flip(&pack, 250);
    }
    let found = world.run(&["find", "note*"]);
    assert_eq!(found.code, 4, "{found:?}");
    assert!(found.err.contains("cannot be read whole, so not all of it was searched"), "{found:?}");
    assert_eq!(world.run(&["diff", "latest~1", "latest"]).code, 4);
    assert_eq!(world.run(&["cat", "latest:/"]).code, 4);
}

#[test]
fn two_snapshots_are_compared() {
    let world = changed();
    let differences = world.lines(&["diff", "latest~1", "latest"]);
    assert_eq!(&differences[..4], ["T    firm/link/", "+    firm/link/new", "M    firm/note.txt", ""]);
    assert!(differences[4].starts_with("Between ") && differences[4].ends_with(':'), "{differences:?}");
    assert_eq!(differences[6], "         files  folders  others  size");
    assert_eq!(differences[7], "added        1        1       0  2 B");
    assert_eq!(differences[8], "removed      0        0       1  0 B");
    assert_eq!(differences[9], "changed      1        0       0  13 B, before 8 B");
    assert_eq!(differences[11], "2 entries differ in metadata alone; --metadata lists them.");
    let metadata = world.lines(&["diff", "latest~1", "latest", "--metadata"]);
    assert!(metadata.contains(&"U    firm/miller/2025/ledger.csv".to_owned()), "{metadata:?}");
    let miller = world.path("firm/miller").display().to_string();
    let same = world.ok(&["diff", "latest~1", "latest", &miller]);
    assert!(same.contains("1 entry differs in metadata alone; --metadata lists it"), "{same}");
    assert!(world.ok(&["diff", "latest", "latest"]).starts_with("nothing differs between "));
    let quiet = world.lines(&["diff", "latest", "latest~1", "-q"]);
    assert_eq!(quiet, ["T    firm/link", "-    firm/link/new", "M    firm/note.txt"]);
    let missing = world.run(&["diff", "latest~1", "latest", "/none"]);
    assert!(missing.code == 1 && missing.err.starts_with("sb: no `/none` in snapshot "), "{missing:?}");
    assert_eq!(world.run(&["diff", "latest"]).code, 2);
}

#[test]
fn what_is_protected_and_what_it_takes_is_told() {
    let world = changed();
    let all = world.ok(&["stats"]);
    for row in [
        "protected     23.5 KiB  5 files in 2 snapshots, from ",
        "deduplicated  11.7 KiB  in ",
        "compressed",
        "stored",
        "reserve",
    ] {
        assert!(all.contains(row), "{row}: {all}");
    }
    let one = world.ok(&["stats", "latest"]);
    assert!(one.contains("3 files in 1 snapshot of ") && one.contains("3 of these files, by their contents"), "{one}");
    assert_eq!(world.ok(&["stats", "--mode", "restore-size"]), "5 files, 23.5 KiB in 2 snapshots\n");
    assert_eq!(world.ok(&["stats", "--mode", "files-by-contents"]), "4 different files, 11.7 KiB in 2 snapshots\n");
    assert!(world.ok(&["stats", "latest", "--mode", "raw-data"]).contains(" different chunks, "));
    assert_eq!(world.ok(&["stats", "--host", "office", "--mode", "restore-size"]), "2 files, 11.7 KiB in 1 snapshot\n");
    assert_eq!(world.ok(&["stats", "--at", "now", "--mode", "restore-size"]), "3 files, 11.7 KiB in 1 snapshot\n");
}

#[test]
fn tags_are_changed_afterwards() {
    let world = changed();
    let ids: Vec<String> =
        world.ok(&["snapshots"]).lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let said = world.ok(&["tag", "latest", "--add", "tax return", "--add", "2025"]);
    assert_eq!(said, format!("{}  no tags  ->  [tax return, 2025]\nchanged 1 snapshot\n", ids[1]));
    assert!(world.ok(&["list", "--tag", "tax return"]).contains(&ids[1]));
    for change in [["--add", "2025"], ["--remove", "nosuch"], ["--set", "tax return,2025"]] {
        assert_eq!(world.ok(&[&["tag", "latest"], &change[..]].concat()), "1 snapshot needed no change\n");
    }
    let dry = world.ok(&["tag", "--tag", "daily", "--set", "kept", "--dry-run"]);
    assert_eq!(dry, format!("{}  [daily]  ->  [kept]\nwould change 1 snapshot\n", ids[0]));
    world.ok(&["tag", &ids[0], &ids[1], "--remove", "2025", "--remove", "daily", "--quiet"]);
    let list = world.ok(&["snapshots"]);
    assert!(list.contains("firm  [tax return]\n") && !list.contains("daily"), "{list}");
    assert_eq!(world.ok(&["tag", "--path", "/none", "--add", "x"]), "there is no such snapshot\n");
    let some = world.ok(&["tag", &ids[0], &ids[1], "--remove", "tax return"]);
    assert!(some.ends_with("changed 1 snapshot; 1 needed no change\n"), "{some}");
    world.ok(&["tag", "latest", "--set", ""]);
    assert!(!world.ok(&["snapshots"]).contains('['));
    world.ok(&["verify", "--level", "restore"]);
    let public = ran(world.command(&["verify", "--public"]).env_remove("SB_KEY_FILE"));
    assert_eq!(public.code, 0, "{public:?}");
    world.fails(
        &["tag", "--add", "x"],
        2,
        "sb: no snapshot is named. Write `latest` or the beginning of an id, or choose several with --host, --path or --tag.",
    );
    assert_eq!(world.run(&["tag", "latest"]).code, 2, "nothing is to be changed");
}

#[test]
fn tags_are_kept_when_the_vault_is_taken_as_it_is() {
    let world = World::backed_up();
    world.ok(&["tag", "latest", "--add", "audit", "-q"]);
    let newest = "rm \"$(ls vault/journal/*/* | tail -n 1)\"";
    for loss in [newest, "rm -r vault/journal"] {
        assert_eq!(sh(&world.root, loss).code, 0);
        assert_eq!(world.run(&["backup", "firm"]).code, 4);
        world.ok(&["db", "rebuild", "--accept-rollback"]);
        assert!(world.ok(&["snapshots"]).contains("[audit]"), "{loss}");
        let verified = world.ok(&["verify", "--level", "restore"]);
        assert!(verified.contains("nothing is wrong"), "{verified}");
    }
}

#[test]
fn what_a_cut_tag_left_is_not_said_to_be_taken_over() {
    let world = World::backed_up();
    sh(&world.root, "mkdir before && cp -a vault/journal vault/log before");
    world.ok(&["tag", "latest", "--add", "audit", "-q"]);
    sh(&world.root, "rm -r vault/journal vault/log && mv before/* vault");
    let public = ran(world.command(&["verify", "--public"]).env("SB_STATE_DIR", world.path("stranger")));
    assert!(public.code == 0 && !public.out.contains("in no journal yet"), "{public:?}");
}

#[test]
fn a_damaged_label_is_told_of() {
    let world = World::backed_up();
    world.ok(&["tag", "latest", "--add", "x"]);
    for folder in ["vault/labels", "vault/twin/labels"] {
        let label = fs::read_dir(world.path(folder)).unwrap().next().unwrap().unwrap().path();
        flip(&label, 200);
    }
    let list = world.run(&["snapshots"]);
    assert!(list.code == 4 && list.err.contains("cannot be read, so some snapshot may have other tags: "), "{list:?}");
    assert_eq!(world.run(&["verify"]).code, 4);
    world.ok(&["restore", "latest", "--to", "out"]);
}

#[test]
fn the_vault_is_seen_as_of_a_date() {
    let world = changed();
    let note = world.path("firm/note.txt").display().to_string();
    assert_eq!(world.ok(&["cat", &format!(":{note}"), "--at", "today"]), "remembermore\n");
    assert_eq!(world.ok(&["cat", &note, "--at", "now"]), "remembermore\n");
    assert_eq!(world.ok(&["cat", &format!("latest~1:{note}"), "--at", "now"]), "remember");
    assert_eq!(world.lines(&["ls", "--at", "today"]).len(), 3);
    assert_eq!(world.lines(&["ls", "--at", "today", &note]), ["firm/note.txt"]);
    let none = world.run(&["ls", "latest", "--at", "2001-01-01"]);
    assert_eq!(
        (none.code, none.err.as_str()),
        (
            1,
            "sb: no snapshot `latest` as of 2001-01-01 23:59:59 +00:00. `sb snapshots` lists those there are, and when they were begun.\n"
        )
    );
    assert_eq!(world.run(&["diff", "latest~1", "latest", "--at", "2001-01-01"]).code, 1);
    assert_eq!(world.run(&["ls"]).code, 2, "without a date a snapshot is needed");
    let id = world.ok(&["snapshots", "--latest", "1"]).lines().nth(1).unwrap()[..8].to_owned();
    assert_eq!(world.run(&["ls", &id, "--at", "yesterday"]).code, 1, "it was not there then");
}

#[test]
fn what_can_be_made_anew_is_checked() {
    let world = changed();
    let good = world.ok(&["db", "verify"]);
    assert!(good.starts_with("compared 2 locator objects with ") && good.ends_with("nothing is wrong\n"), "{good}");
    let locator = fs::read_dir(world.path("vault/locator")).unwrap().next().unwrap().unwrap().path();
    flip(&locator, 120);
    let bad = world.run(&["db", "verify"]);
    assert!(bad.code == 4 && bad.out.contains("; `sb db rebuild` mends it\n"), "{bad:?}");
    world.ok(&["db", "rebuild"]);
    assert_eq!(world.run(&["db", "verify"]).code, 0);
    let state = sh(&world.root, "ls -d state/*").out.trim().to_owned();
    let key = world.path(&state).join("log.key");
    fs::write(&key, "short").unwrap();
    let bad = world.run(&["db", "verify"]);
    assert!(bad.code == 4 && bad.out.contains("this machine's log key cannot be read: "), "{bad:?}");
    fs::remove_file(&key).unwrap();
    let stranger = world.ok(&["db", "verify"]);
    assert!(stranger.contains("the next command that writes makes one"), "{stranger}");
    fs::write(world.path(&state).join("heads"), "nonsense").unwrap();
    let bad = world.run(&["db", "verify"]);
    assert!(bad.code == 4 && bad.err.contains("heads` in the state folder"), "{bad:?}");
}

#[test]
fn a_vault_that_was_rolled_back_is_told() {
    let world = World::backed_up();
    sh(&world.root, "cp -a vault before");
    world.ok(&["backup", "firm", "--quiet"]);
    sh(&world.root, "rm -r vault && mv before vault");
    let said = world.run(&["db", "verify"]);
    assert!(
        said.code == 4 && said.out.contains("`sb db rebuild --accept-rollback` takes the vault as it is"),
        "{said:?}"
    );
    assert_eq!(world.run(&["tag", "latest", "--add", "x"]).code, 4, "it is not written to");
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let world = World::bare();
    world.ok(&["man", "pages"]);
    let mut pages: Vec<String> =
        fs::read_dir(world.path("pages")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    pages.sort();
    for page in ["sb.1", "sb-find.1", "sb-diff.1", "sb-stats.1", "sb-tag.1", "sb-db-verify.1", "sb-config-sample.1"] {
        assert!(pages.contains(&page.to_owned()), "{page}: {pages:?}");
    }
    let find = fs::read_to_string(world.path("pages/sb-find.1")).unwrap();
    assert!(find.contains(".TH sb-find 1") && find.contains("ignore\\-case"), "{find}");
    assert!(!world.ok(&["--help"]).contains("manual pages"), "it is for packagers");
}

#[test]
fn other_programs_words_are_understood() {
    let world = World::backed_up();
    let vault = world.path("vault").display().to_string();
    for words in [["list", "--repo", &vault], ["check", "-r", &vault], ["snapshots", "--vault", &vault]] {
        assert_eq!(ran(world.command(&words).env_remove("SB_VAULT")).code, 0, "{words:?}");
    }
}

#[test]
fn a_summary_says_of_which_command_it_is() {
    let world = World::backed_up();
    for (words, command) in [(&["list"][..], "snapshots"), (&["db", "verify"], "db verify"), (&["find", "x"], "find")] {
        let messages = json(&world.ok(&[words, &["--json"]].concat()));
        assert_eq!(of_type(&messages, "summary")[0]["command"], command);
    }
}
