//! What goes wrong, what people are told, and the exit code: the thing, the cause, the next step.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{AS_NOBODY, META_PACK, World, flip, is_root, json, of_type, ran, sh};
use serde_json::Value;

#[test]
fn where_no_vault_is() {
    let world = World::bare();
    fs::write(world.path("sb.key"), "").unwrap();
    let none = "sb: there is no vault at `ROOT/vault`. Make one with `sb init ROOT/vault`, or name another place with --vault or SB_VAULT.";
    world.ok(&["init", "-r", "elsewhere", "--key-file", "good.key", "--quiet"]);
    for arguments in [
        &["snapshots", "--key-file", "good.key"][..],
        &["backup", "firm", "--key-file", "good.key"],
        &["verify", "--public"],
        &["info", "--public"],
    ] {
        world.fails(arguments, 10, none);
    }
    let unnamed = ran(world.command(&["snapshots"]).env_remove("SB_VAULT"));
    assert_eq!(unnamed.code, 2);
    assert!(unnamed.err.starts_with("sb: no vault is named. Name it with --vault"), "{}", unnamed.err);
    let homeless = ran(world.command(&["snapshots"]).env_remove("SB_STATE_DIR").env_remove("HOME"));
    assert_eq!((homeless.code, homeless.err.contains("Set SB_STATE_DIR.")), (2, true), "{}", homeless.err);
    world.fails(
        &["init", "sftp://host/x"],
        2,
        "sb: `sftp://host/x` cannot be reached by this version: `sftp` comes later. Use a folder; a share or another machine's folder can be mounted and used like one.",
    );
    world.fails(
        &["init", "user@host:/x y"],
        2,
        "sb: `user@host:/x y` is neither an absolute path nor a URL, and could be meant for a place on another machine. If it is a folder here, write `'./user@host:/x y'`.",
    );
    assert!(!world.path("user@host:").exists());
    let spaced = world.run(&["info", "--public", "-r", "my vault"]);
    assert!(
        spaced.err.contains(
            "Make one with `sb init 'ROOT/my vault'`".replace("ROOT", &world.root.display().to_string()).as_str()
        ),
        "{}",
        spaced.err
    );
    world.fails(&["init", "what://x"], 2, "sb: `what://x` is no vault location: nothing is known of `what`. Write a path, or a URL such as `file:///mnt/backup`.");
}

#[test]
fn an_init_that_fails_leaves_nothing() {
    let world = World::new();
    world.fails(
        &["init"],
        1,
        "sb: there is a vault at `ROOT/vault` already. Use it as it is, or choose another folder for a new one.",
    );
    world.fails(
        &["init", "firm/note.txt", "--key-file", "new.key"],
        1,
        "sb: a vault needs a folder, and `ROOT/firm/note.txt` is a file. Name a folder that is empty or does not exist yet.",
    );
    let ran = world.run(&["init", "firm", "--key-file", "new.key", "--recovery-key-out", "paper"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.starts_with("sb: a vault needs an empty folder, and `")
            && ran.err.ends_with("Choose an empty folder, or one that does not exist yet.\n"),
        "{}",
        ran.err
    );
    assert!(!world.path("new.key").exists() && !world.path("paper").exists());
    fs::write(world.path("paper"), "other").unwrap();
    world.fails(&["init", "v2", "--recovery-key-out", "paper"], 1, "sb: cannot make `paper`: File exists");
    assert!(!world.path("v2").exists());
    let weak = common::ran(world.command(&["init", "v2"]).env("SB_PASSPHRASE", "1234567"));
    assert_eq!(weak.code, 2);
    assert!(weak.err.starts_with("sb: the passphrase has fewer than 8 characters."), "{}", weak.err);
    let alone = common::ran(world.command(&["init", "v2"]).env_remove("SB_KEY_FILE"));
    assert_eq!(alone.code, 2);
    assert!(
        alone
            .err
            .starts_with("sb: no passphrase or key was given, and there is no terminal to ask at. Give --key-file"),
        "{}",
        alone.err
    );
    world.fails(&["init", "v2", "--recipient", "firm/note.txt"], 1, "sb: cannot use `firm/note.txt`: not a PEM file, or a damaged one. `openssl pkey -in KEY.pem -pubout` writes the public half of a key.");
}

#[test]
fn keys_that_do_not_fit() {
    let world = World::new();
    world.ok(&["init", "other", "--key-file", "other.key", "--quiet"]);
    world.fails(
        &["snapshots", "--key-file", "other.key"],
        12,
        "sb: wrong passphrase or key: no slot of this vault opens with it. Try again; if it is lost, the recovery key opens the vault: `sb --recovery-key …`.",
    );
    let absent = "is not there. Check the path, and whether its disk is mounted.";
    for (option, what) in [
        ("--key-file", "key file"),
        ("--passphrase-file", "passphrase file"),
        ("--recovery-key-file", "recovery key file"),
        ("--rsa-key", "RSA key"),
    ] {
        world.fails(&["snapshots", option, "none"], 1, &format!("sb: the {what} `none` {absent}"));
    }
    world.fails(&["snapshots", "--key-file", "firm"], 1, "sb: cannot read `firm`: Is a directory");
    world.fails(
        &["snapshots", "--key-file", "firm/note.txt"],
        12,
        "sb: cannot use `firm/note.txt`: not a key file: it should begin with `sb-key-1:`",
    );
    world.fails(
        &["snapshots", "--recovery-key-file", "firm/note.txt"],
        12,
        "sb: this is no recovery key: a key has 56 characters, not 8. It has 14 groups of four characters, as `sb init` printed it.",
    );
    world.fails(
        &["snapshots", "--rsa-key", "firm/note.txt"],
        12,
        "sb: cannot use `firm/note.txt`: not a PEM file, or a damaged one",
    );
    fs::write(world.path("empty"), "\n").unwrap();
    world.fails(&["snapshots", "--passphrase-file", "empty"], 12, "sb: the passphrase is empty");
    fs::write(world.path("binary"), b"\xff").unwrap();
    world.fails(&["snapshots", "--passphrase-file", "binary"], 12, "sb: the passphrase is not UTF-8 text");
    world.fails(&["snapshots", "--key-file", "binary"], 12, "sb: cannot use `binary`: it is not text");
    let untyped = world.run(&["snapshots", "--recovery-key"]);
    assert_eq!(
        (untyped.code, untyped.err.starts_with("sb: no recovery key was given, and there is no terminal")),
        (2, true)
    );
    world.fails(&["snapshots", "--fingerprint", "12"], 2, "sb: `12` is no fingerprint: it has 64 hexadecimal digits");
    let other = world.run(&["verify", "--public", "--fingerprint", &"0".repeat(64)]);
    assert_eq!(other.code, 4);
    assert!(other.err.contains("this is another vault, or a forged one. Compare the fingerprint"), "{}", other.err);
}

#[test]
fn names_that_mean_nothing() {
    let world = World::backed_up();
    world.fails(&["ls", "latest~3"], 1, "sb: no snapshot `latest~3`. `sb snapshots` lists those there are.");
    world.fails(&["ls", "newest"], 2, "sb: `newest` names no snapshot: write `latest`, `latest~1` or the beginning of an id, then perhaps `:` and a path");
    let ran = world.run(&["cat", "latest:/none"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.starts_with("sb: no `/none` in snapshot ") && ran.err.ends_with("paths in it are absolute.\n"),
        "{}",
        ran.err
    );
    world.fails(
        &["cat", &world.at("firm/link")],
        1,
        "sb: `ROOT/firm/link` is not a file. `sb ls` shows what is in a folder, `sb restore` brings it back.",
    );
    world.fails(
        &["cat", "latest"],
        2,
        "sb: `latest` names no file. Write the snapshot, a colon and the path; `latest:/` is all of it, as tar.",
    );
}

#[test]
fn sources_that_cannot_be() {
    let world = World::new();
    world.fails(
        &["backup"],
        2,
        "sb: no source given. Name folders or files to back up, or list them in the configuration as `backup.paths`.",
    );
    world.fails(
        &["backup", "/none"],
        2,
        "sb: no source exists, not even `/none`. Check the path, and whether its disk is mounted.",
    );
    world.fails(
        &["backup", "vault/config"],
        2,
        "sb: the source `ROOT/vault/config` lies in `ROOT/vault`, which is to be skipped. The vault and the folder for local state are never backed up into the vault.",
    );
    let pattern = world.run(&["backup", "firm", "--exclude", "a{b"]);
    assert_eq!(pattern.code, 2);
    assert!(
        pattern.err.starts_with("sb: exclude pattern `a{b` is not valid: ")
            && pattern.err.ends_with("Patterns have the syntax of gitignore(5).\n")
    );
    assert_eq!(world.run(&["backup", "firm", "--exclude-larger-than", "much"]).code, 2);
    assert_eq!(world.run(&["backup", "firm", "--compression-level", "20"]).code, 2);
}

#[test]
fn a_restore_in_the_wrong_place() {
    let world = World::backed_up();
    let use_new = "Restore into a new folder, or say with --overwrite what becomes of files that have the same names; `--overwrite if-changed` goes on with a restore that was interrupted.";
    world.fails(&["restore", &world.at("firm"), "--to", "firm"], 1, &format!("sb: `firm` is not empty. {use_new}"));
    world.fails(
        &["restore", &world.at("firm/note.txt"), "--to", "firm"],
        1,
        &format!("sb: `firm/note.txt` exists already. {use_new}"),
    );
    world.fails(
        &["restore", "latest", "--to", "vault/x"],
        1,
        "sb: `vault/x` lies in the vault at `ROOT/vault`, which nothing can be restored into. Choose a folder outside the vault.",
    );
    world.fails(
        &["restore", "latest", "--to", "firm/note.txt"],
        1,
        "sb: `firm/note.txt` is a file, not a folder. --to names the folder to restore into; what is restored keeps its own name in it.",
    );
    let below = world.run(&["restore", "latest", "--to", "firm/note.txt/out"]);
    assert_eq!(below.code, 1);
    assert!(below.err.ends_with("Choose a folder that you may write to.\n"), "{}", below.err);
}

#[test]
fn what_cannot_be_read_makes_a_snapshot_partial() {
    let world = World::bare();
    fs::set_permissions(&world.root, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(world.path("firm/closed.txt"), "secret").unwrap();
    fs::set_permissions(world.path("firm/closed.txt"), fs::Permissions::from_mode(0o000)).unwrap();
    let wrapper: &[&str] = if is_root() { &AS_NOBODY } else { &[] };
    let run = |arguments: &[&str]| ran(&mut world.wrapped(wrapper, arguments));
    assert_eq!(run(&["init"]).code, 0);
    let backup = run(&["backup", "firm"]);
    assert_eq!(backup.code, 3);
    let firm = world.path("firm");
    assert_eq!(
        backup.err,
        format!(
            "sb: `{}/closed.txt` may not be read: Permission denied\nsb: the snapshot is partial: what is named above is missing from it, or incomplete in it\n",
            firm.display()
        )
    );
    assert!(run(&["snapshots"]).out.ends_with("  partial: 1 problem\n"));
    let messages = json(&run(&["backup", "firm", "gone", "--json"]).out);
    let problems = of_type(&messages, "problem");
    assert_eq!(problems.len(), 2);
    assert_eq!((&problems[0]["kind"], &problems[1]["kind"]), (&"denied".into(), &"vanished".into()));
    assert_eq!(problems[0]["path"], firm.join("closed.txt").to_str().unwrap());
    let summary = of_type(&messages, "summary")[0];
    assert_eq!((&summary["partial"], &summary["problems"]), (&true.into(), &2.into()));

    let restore = run(&["restore", &world.at("firm"), "--to", "out"]);
    assert_eq!(restore.code, 3);
    let partial = "sb: the snapshot is partial: 2 entries could not be read when it was made\n";
    assert!(restore.err.contains(partial), "{}", restore.err);
    let messages = json(&run(&["restore", &world.at("firm/note.txt"), "--to", "one", "--json"]).out);
    let summary = of_type(&messages, "summary")[0];
    assert_eq!((&summary["snapshot_problems"], &summary["complete"]), (&2.into(), &false.into()));
}

#[test]
fn a_source_that_is_a_link_is_not_taken_for_what_it_points_to() {
    let world = World::new();
    sh(&world.root, "ln -s firm way && ln -s gone nowhere");
    let link = world.run(&["backup", "way"]);
    assert_eq!(
        (link.code, link.err.as_str()),
        (
            0,
            "sb: warning: `way` is a symbolic link; only the link is backed up, name what it points to, or put a slash after it\n"
        )
    );
    assert_eq!(world.ok(&["ls", "latest"]), format!("{}\n", world.path("way").display()));
    let messages = json(&world.run(&["backup", "way", "--json"]).err);
    assert_eq!(of_type(&messages, "warning").len(), 1);

    let followed = world.run(&["backup", "way/"]);
    assert_eq!((followed.code, followed.err.as_str()), (0, ""));
    assert_eq!(world.ok(&["cat", &world.at("firm/note.txt")]), "remember");
    let gone = world.run(&["backup", "nowhere/", "firm"]);
    assert_eq!(gone.code, 3);
    assert!(gone.err.contains(&format!("`{}`", world.path("gone").display())), "{}", gone.err);
}

#[test]
fn excludes_that_name_a_source_are_not_ignored_in_silence() {
    let world = World::new();
    let pattern = world.path("firm/miller").display().to_string();
    let backup = world.run(&["backup", "firm", "--exclude", &pattern, "--exclude", "*.tmp"]);
    let expected = format!(
        "sb: warning: the pattern `{pattern}` begins with the path of a source, but is matched below it, where it hardly leaves out anything\n"
    );
    assert_eq!((backup.code, backup.err), (0, expected));
}

#[test]
fn a_file_that_changed_while_it_was_backed_up_does_not_end_well() {
    let world = World::new();
    // Appending keeps on until the backup is over, so no attempt at reading sees the file at rest.
    let script = "i=0; while [ ! -e stop ] && [ $i -lt 3000 ]; do echo x >> firm/busy; i=$((i + 1)); sleep 0.01; done";
    fs::File::create(world.path("firm/busy")).unwrap().set_len(1 << 30).unwrap();
    let mut writer = std::process::Command::new("sh").args(["-c", script]).current_dir(&world.root).spawn().unwrap();
    let backup = world.run(&["backup", "firm"]);
    fs::write(world.path("stop"), "").unwrap();
    writer.wait().unwrap();
    assert_eq!(backup.code, 3, "{}", backup.err);
    let restore = world.run(&["restore", &world.at("firm"), "--to", "out"]);
    assert_eq!(restore.code, 3);
    let changed = format!("`{}` changed while it was backed up", world.path("firm/busy").display());
    assert!(restore.err.contains(&changed), "{}", restore.err);
    assert!(restore.err.contains("the snapshot is partial: 1 entry could not be read"), "{}", restore.err);
}

#[test]
fn many_problems_are_not_all_listed() {
    let world = World::new();
    let gone: Vec<String> = (0..25).map(|n| format!("gone-{n:02}")).collect();
    let arguments: Vec<&str> = ["backup", "firm"].into_iter().chain(gone.iter().map(String::as_str)).collect();
    let ran = world.run(&arguments);
    assert_eq!((ran.code, ran.err.lines().count()), (3, 22));
    assert!(ran.err.contains("sb: and 5 more problems; -v lists them\n"), "{}", ran.err);
    assert_eq!(world.run(&[&arguments[..], &["-v"]].concat()).err.lines().count(), 26);
}

#[test]
#[ignore = "needs root"]
fn what_cannot_be_put_back_makes_a_restore_partial() {
    let world = World::new();
    let script = "chmod 777 . && for n in 1 2 3 4 \"$(printf '\\374')\"; do touch firm/$n; done; chmod -R a+rX firm";
    sh(&world.root, script);
    world.ok(&["backup", "firm"]);
    sh(&world.root, "mkdir out && chown -R 65534 out vault state sb.key");
    let run = |arguments: &[&str]| ran(&mut world.wrapped(&AS_NOBODY, arguments));
    let restore = run(&["restore", &world.at("firm"), "--to", "out/a"]);
    assert_eq!(restore.code, 3);
    assert!(
        restore.err.starts_with("sb: owner of `/1` cannot be restored: Operation not permitted; the same goes for "),
        "{}",
        restore.err
    );
    assert!(restore.err.ends_with("not everything could be put back as it was: see above\n"));
    assert!(run(&["restore", &world.at("firm"), "--to", "out/b", "-v"]).err.lines().count() > 6);
    let messages = json(&run(&["restore", &world.at("firm"), "--to", "out/c", "--json"]).out);
    let problems = of_type(&messages, "problem");
    assert!(problems.iter().all(|problem| problem["kind"] == "metadata" && problem["detail"].is_string()));
    let paths: Vec<_> = problems.iter().map(|problem| (&problem["path"], &problem["path_base64"])).collect();
    assert!(paths.contains(&(&"/1".into(), &Value::Null)), "{paths:?}");
    assert!(paths.contains(&(&"/\\xfc".into(), &"L/w=".into())), "{paths:?}");
    let trial = run(&["try", &world.path("firm").display().to_string()]);
    assert_eq!(trial.code, 0);
    assert!(trial.out.contains("owner or attributes that only root may set were left out for "), "{}", trial.out);
}

#[test]
fn damage_is_named_and_costs_what_it_holds_only() {
    let world = World::backed_up();
    fs::write(world.path("firm/later.txt"), "later").unwrap();
    world.ok(&["backup", "firm"]);
    let pack = world.content_packs().remove(0);
    flip(&pack, 150);
    let name = pack.file_name().unwrap().to_str().unwrap();
    let later = world.path("firm/later.txt").display().to_string();

    let verify = world.run(&["verify"]);
    assert_eq!(verify.code, 4);
    assert!(
        verify.out.contains(&format!("{name}` its bytes do not have the SHA-256 in its name\n    lost: ")),
        "{}",
        verify.out
    );
    assert!(verify.out.contains(&format!(":{later}\n")), "{}", verify.out);
    assert!(
        verify.out.ends_with("DAMAGE FOUND in 1 object: 1 document lost, all others can be restored\n"),
        "{}",
        verify.out
    );
    let public = world.run(&["verify", "--public"]);
    assert_eq!(public.code, 4);
    assert!(public.out.contains("without a key it cannot be said which documents that touches"), "{}", public.out);
    let messages = json(&world.run(&["verify", "--json"]).out);
    let finding = of_type(&messages, "finding")[0];
    assert_eq!(finding["documents"][0]["path"], later.as_str());
    assert_eq!(finding["documents"][0]["folder"], false);
    let summary = of_type(&messages, "summary")[0];
    assert_eq!((&summary["good"], &summary["loss_is_all_told"]), (&false.into(), &true.into()));
    assert_eq!((&summary["lost_documents"], &summary["lost_folders"]), (&1.into(), &0.into()));
    let messages = json(&world.run(&["verify", "--public", "--json"]).out);
    let summary = of_type(&messages, "summary")[0];
    assert_eq!((&summary["lost_documents"], &summary["loss_is_all_told"]), (&Value::Null, &Value::Null));

    let restore = world.run(&["restore", &world.at("firm"), "--to", "out"]);
    assert_eq!(restore.code, 4);
    assert!(
        restore.err.starts_with(&format!("sb: `{later}` is lost: "))
            && restore.err.contains("damage found: what is listed above could not be read"),
        "{}",
        restore.err
    );
    let diff = sh(&world.root, "diff -rq --no-dereference firm out").out;
    assert_eq!(diff, "Only in firm: later.txt\n");
    let messages = json(&world.run(&["restore", &world.at("firm"), "--to", "out2", "--json"]).out);
    let problem = of_type(&messages, "problem")[0];
    assert_eq!((&problem["kind"], &problem["path"]), (&"lost".into(), &later.as_str().into()));
    assert_eq!(of_type(&messages, "summary")[0]["damaged"], true);
    let cat = world.run(&["cat", &world.at("firm/later.txt")]);
    assert_eq!((cat.code, cat.out.as_str()), (4, ""));
    assert!(
        cat.err
            .ends_with("`sb verify` shows all that is damaged or cannot be read, and which documents that touches.\n"),
        "{}",
        cat.err
    );
}

#[test]
fn a_damaged_snapshot_is_not_passed_over_in_silence() {
    let world = World::backed_up();
    world.ok(&["backup", "firm"]);
    let newest = world.ok(&["snapshots", "-v"]).lines().last().unwrap()[..64].to_owned();
    flip(&world.path("vault/snapshots").join(&newest), 200);
    let list = world.run(&["snapshots"]);
    assert_eq!(list.code, 4);
    assert!(
        list.err.contains(&format!("`snapshots/{newest}` should be a snapshot and cannot be read")),
        "{}",
        list.err
    );
    let ls = world.run(&["ls", "latest"]);
    assert!(ls.err.contains("so `latest` may not be what you expect"), "{}", ls.err);
    let cat = world.run(&["cat", &world.at("firm/note.txt")]);
    assert_eq!(cat.out, "remember");
    assert!(cat.err.contains("so `latest` may not be what you expect"), "{}", cat.err);
    assert_eq!(world.run(&["info"]).code, 4);

    let gone = world.path("vault/snapshots").join(&newest);
    fs::remove_file(&gone).unwrap();
    let verify = world.run(&["verify"]);
    assert_eq!(verify.code, 4);
    assert!(verify.out.contains(&format!("    snapshot {} is lost\n", &newest[..8])), "{}", verify.out);
    assert!(verify.out.ends_with("DAMAGE FOUND in 1 object: 1 snapshot lost, and perhaps more\n"), "{}", verify.out);
}

#[test]
fn what_trees_that_are_gone_held_is_not_said_to_be_safe() {
    let world = World::backed_up();
    for pack in world.packs(META_PACK) {
        fs::remove_file(pack).unwrap();
    }
    let verify = world.run(&["verify"]);
    assert_eq!(verify.code, 4);
    assert!(verify.out.contains("    lost: all or part of what is below "), "{}", verify.out);
    assert!(verify.out.ends_with(": 1 folder lost, and perhaps more\n"), "{}", verify.out);
    let messages = json(&world.run(&["verify", "--json"]).out);
    let summary = of_type(&messages, "summary")[0];
    assert_eq!((&summary["lost_documents"], &summary["lost_folders"]), (&0.into(), &1.into()));
    assert_eq!(summary["loss_is_all_told"], false);
}

#[test]
fn names_in_the_storage_cannot_control_the_terminal() {
    let world = World::backed_up();
    let odd = "\u{1b}[31mred\nDAMAGE";
    fs::write(world.path("vault").join(odd), "").unwrap();
    let verify = world.run(&["verify"]);
    assert!(verify.code == 4 && verify.out.contains(r"`\u{1b}[31mred\nDAMAGE` does not belong here"), "{}", verify.out);
    fs::create_dir(world.path(odd)).unwrap();
    fs::write(world.path(odd).join(odd), "").unwrap();
    for arguments in [&["init", odd][..], &["ls", odd], &["info", "--public", "-r", odd], &["cat", odd]] {
        let ran = world.run(arguments);
        assert!(ran.code > 0 && ran.err.contains(r"\u{1b}[31mred\nDAMAGE"), "{ran:?}");
        assert!(!ran.err.contains('\u{1b}') && ran.err.lines().count() == 1, "{ran:?}");
    }
}

#[test]
fn a_damaged_journal_is_warned_of() {
    let world = World::backed_up();
    world.ok(&["backup", "firm"]);
    let damage = "j=$(ls vault/journal/*/0000000001.*); chmod u+w $j; printf x | dd of=$j bs=1 seek=100 conv=notrunc";
    assert_eq!(sh(&world.root, damage).code, 0);
    let list = world.run(&["snapshots"]);
    assert_eq!((list.code, list.out.lines().count()), (0, 3), "the snapshots are there: {list:?}");
    assert_eq!(list.err, "sb: warning: the vault's journals are damaged; `sb verify` names what is missing.\n");
    let verify = world.run(&["verify"]);
    assert_eq!(verify.code, 4);
    assert!(verify.out.ends_with(": which documents that touches cannot be said\n"), "{}", verify.out);
    let backup = world.run(&["backup", "firm"]);
    assert_eq!(backup.code, 0);
    assert!(backup.err.contains("journals are damaged"), "{}", backup.err);
}

#[test]
fn a_rolled_back_vault_is_read_with_a_warning_and_not_written_to() {
    let world = World::backed_up();
    sh(&world.root, "cp -a vault old");
    world.ok(&["backup", "firm"]);
    sh(&world.root, "rm -r vault && mv old vault");
    let list = world.run(&["snapshots"]);
    assert_eq!((list.code, list.out.lines().count()), (0, 2));
    assert!(
        list.err.starts_with("sb: warning: journal entry ")
            && list
                .err
                .ends_with("rolled back or damaged. What is shown may be old; `sb verify` names what is missing.\n"),
        "{}",
        list.err
    );
    let messages = json(&world.run(&["cat", &world.at("firm/note.txt"), "--json"]).err);
    assert_eq!(of_type(&messages, "warning").len(), 2, "that it is old, and that reading it cannot be logged");
    let verify = world.run(&["verify"]);
    assert_eq!(verify.code, 4);
    assert!(verify.out.contains("which this machine has seen, is missing"), "{}", verify.out);
    let backup = world.run(&["backup", "firm"]);
    assert_eq!(backup.code, 4);
    assert!(
        backup.err.contains("the vault was rolled back or damaged. If you yourself have put back an older copy"),
        "{}",
        backup.err
    );
    let said = world.ok(&["db", "rebuild", "--accept-rollback"]);
    assert!(said.contains("backups that this machine remembered and the vault has not are lost"), "{said}");
    world.ok(&["backup", "firm"]);
}

#[test]
fn whose_certificate_is_lost_is_told_how_to_get_another() {
    let world = World::backed_up();
    sh(&world.root, "rm vault/writers/* vault/twin/writers/*");
    for arguments in [&["verify"][..], &["verify", "--level", "objects"], &["verify", "--public"]] {
        let verify = world.run(arguments);
        assert_eq!(verify.code, 4, "{verify:?}");
        assert!(verify.out.ends_with("run a backup on that machine, which certifies itself again\n"), "{verify:?}");
    }
    let snapshots = world.run(&["snapshots"]);
    assert!(snapshots.err.contains("not all that was backed up may be shown"), "{snapshots:?}");
    world.ok(&["backup", "firm"]);
    for arguments in ["verify", "snapshots"] {
        let after = world.run(&[arguments]);
        assert!(!(after.out + &after.err).contains("certifies itself"), "{arguments}");
    }
}

#[test]
fn packs_that_are_gone_are_told_by_rebuild() {
    let world = World::backed_up();
    flip(&world.content_packs()[0], 20);
    let rebuild = world.run(&["db", "rebuild"]);
    assert_eq!(rebuild.code, 4);
    assert!(rebuild.err.contains("cannot be read, so that of the old locator was kept: "), "{}", rebuild.err);
    let locator = |script: &str| assert_eq!(sh(&world.root, script).code, 0);
    locator("cp -a vault whole && rm -r vault/locator");
    let messages = json(&world.run(&["db", "rebuild", "--json"]).out);
    let summary = of_type(&messages, "summary")[0];
    assert_eq!((summary["kept"].as_array().unwrap().len(), summary["lost"].as_array().unwrap().len()), (0, 1));
    locator("rm -r vault && mv whole vault && rm -r vault/locator");
    let rebuild = world.run(&["db", "rebuild", "--accept-rollback"]);
    assert_eq!(rebuild.code, 4);
    assert!(rebuild.err.contains("so what only it holds cannot be restored now: "), "{}", rebuild.err);
}

#[test]
fn a_state_folder_that_cannot_be_used() {
    let world = World::new();
    let ran = ran(world.command(&["snapshots"]).env("SB_STATE_DIR", world.path("firm/note.txt")));
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("in the state folder: ") && ran.err.contains("SB_STATE_DIR can name another"),
        "{}",
        ran.err
    );
}

/// A small file system of its own, unmounted in the end.
struct Mounted<'a>(&'a World);

impl<'a> Mounted<'a> {
    fn new(world: &'a World, megabytes: u32) -> Self {
        let done = sh(&world.root, format!("mkdir disk && mount -t tmpfs -o size={megabytes}m none disk"));
        assert_eq!(done.code, 0, "{done:?}");
        Self(world)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        sh(&self.0.root, "umount disk");
    }
}

#[test]
#[ignore = "needs root and mounting"]
fn a_full_disk_and_then_room_again() {
    let world = World::bare();
    let _disk = Mounted::new(&world, 24);
    sh(&world.root, "head -c 30000000 /dev/urandom > big");
    world.ok(&["init", "disk/vault", "--quiet"]);
    world.ok(&["backup", "-r", "disk/vault", "firm"]);
    let full = world.run(&["backup", "-r", "disk/vault", "big"]);
    assert_eq!(full.code, 1);
    assert!(
        full.err.starts_with("sb: the disk with the vault is full")
            && full.err.ends_with("Make room and run it again: what was stored before is kept and used.\n"),
        "{}",
        full.err
    );
    assert!(world.ok(&["verify", "-r", "disk/vault", "--level", "restore"]).ends_with("nothing is wrong\n"));
    sh(&world.root, "mount -o remount,size=60m disk");
    world.ok(&["backup", "-r", "disk/vault", "big"]);
    assert!(world.ok(&["verify", "-r", "disk/vault"]).ends_with("nothing is wrong\n"));
    sh(&world.root, "mount -o remount,size=58m disk; head -c 100000000 /dev/zero > disk/filler");
    let low = world.run(&["backup", "-r", "disk/vault", "firm"]);
    assert!(low.code == 1 && low.err.contains("and a backup needs 2.9 MiB."), "a twentieth: {}", low.err);
    let low = world.run(&["backup", "-r", "disk/vault", "firm", "--free-minimum", "1G"]);
    assert_eq!(low.code, 1);
    assert!(
        low.err.starts_with("sb: only ")
            && low.err.contains("and a backup needs 1.0 GiB.")
            && low.err.ends_with("Make room there, or ask for less with --free-minimum.\n"),
        "{}",
        low.err
    );
}

#[test]
#[ignore = "needs root and mounting"]
fn a_full_disk_to_restore_to() {
    let world = World::new();
    sh(&world.root, "head -c 3000000 /dev/urandom > firm/big");
    world.ok(&["backup", "firm"]);
    let _disk = Mounted::new(&world, 1);
    let full = world.run(&["restore", &world.at("firm"), "--to", "disk/out"]);
    assert_eq!(full.code, 1);
    assert!(
        full.err.contains("no space left for `") && full.err.ends_with("what is there already is whole.\n"),
        "{}",
        full.err
    );
}

#[test]
#[ignore = "needs root and mounting"]
fn a_trial_on_a_full_disk() {
    let world = World::bare();
    let _disk = Mounted::new(&world, 24);
    sh(&world.root, "head -c 30000000 /dev/urandom > firm/big");
    let ran = ran(world.command(&["try", "firm"]).env("TMPDIR", world.path("disk")));
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("Make room and run it again") && ran.err.contains(" Everything is still in "), "{ran:?}");
}

#[test]
#[ignore = "needs root and mounting"]
fn a_disk_that_is_read_only() {
    let world = World::bare();
    let _disk = Mounted::new(&world, 24);
    world.ok(&["init", "disk/vault", "--quiet"]);
    world.ok(&["backup", "-r", "disk/vault", "firm"]);
    sh(&world.root, "mount -o remount,ro disk");
    let backup = world.run(&["backup", "-r", "disk/vault", "firm"]);
    assert_eq!(backup.code, 1);
    assert!(
        backup.err.contains("the vault cannot be written")
            && backup.err.ends_with("Check how the vault's disk is mounted and whose folder it is.\n"),
        "{}",
        backup.err
    );
    assert!(world.ok(&["backup", "-r", "disk/vault", "firm", "--dry-run"]).starts_with("dry run, incremental since "));
    world.ok(&["restore", "-r", "disk/vault", &world.at("firm"), "--to", "out"]);
    assert!(world.ok(&["verify", "-r", "disk/vault"]).ends_with("nothing is wrong\n"));
}
