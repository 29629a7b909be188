//! What each command does, as people use it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{World, json, of_type, ran, sh};

#[test]
fn a_vault_is_made_and_what_matters_is_shown_once() {
    let world = World::bare();
    let said = world.ok(&["init"]);
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("Recovery key, shown this once and stored nowhere:"));
    let recovery = lines.nth(1).unwrap().trim().to_owned();
    assert_eq!(recovery.split('-').count(), 14);
    let key_line =
        format!("The new key file `{}` opens it: keep a copy of it on another disk.", world.path("sb.key").display());
    assert!(said.contains(&key_line), "{said}");
    assert!(said.contains("nobody can open it, not even we."));
    let mode = fs::metadata(world.path("sb.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let again =
        world.command(&["snapshots", "--recovery-key"]).env("SB_RECOVERY_KEY", recovery.to_lowercase()).output();
    assert_eq!(again.unwrap().stdout, b"no snapshots\n");
    fs::write(world.path("paper"), recovery).unwrap();
    assert_eq!(world.ok(&["snapshots", "--recovery-key-file", "paper"]), "no snapshots\n");
}

#[test]
fn an_existing_key_file_is_used_and_the_recovery_key_goes_where_it_is_told() {
    let world = World::bare();
    world.ok(&["init", "other", "--quiet"]);
    let key = fs::read(world.path("sb.key")).unwrap();
    let said = world.ok(&["init", "vault", "--recovery-key-out", "paper"]);
    assert_eq!(fs::read(world.path("sb.key")).unwrap(), key);
    assert!(said.starts_with("Recovery key: written to `paper`."), "{said}");
    assert!(!said.contains(fs::read_to_string(world.path("paper")).unwrap().trim()));
    assert_eq!(fs::metadata(world.path("paper")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(world.ok(&["snapshots", "--recovery-key-file", "paper"]), "no snapshots\n");
}

#[test]
fn passphrases_come_from_variable_file_or_command() {
    let world = World::bare();
    let with = |variable: &str, value: &str, arguments: &[&str]| {
        ran(world.command(arguments).env_remove("SB_KEY_FILE").env(variable, value))
    };
    assert_eq!(with("SB_PASSPHRASE", "sch\u{f6}n geheim", &["init", "--kdf", "pbkdf2-hmac-sha256"]).code, 0);
    fs::write(world.path("secret"), "scho\u{308}n geheim\n").unwrap();
    assert_eq!(with("SB_PASSPHRASE_FILE", "secret", &["snapshots"]).out, "no snapshots\n");
    assert_eq!(with("SB_PASSPHRASE_COMMAND", "cat secret", &["snapshots"]).out, "no snapshots\n");
    let config = "passphrase-command = 'cat secret'";
    fs::write(world.path("a.toml"), config).unwrap();
    assert_eq!(with("SB_CONFIG", "a.toml", &["snapshots"]).out, "no snapshots\n");
    fs::write(world.path("b.toml"), "passphrase-file = 'secret'").unwrap();
    assert_eq!(with("SB_CONFIG", "b.toml", &["snapshots"]).out, "no snapshots\n");
    let failed = with("SB_PASSPHRASE_COMMAND", "exit 3", &["snapshots"]);
    assert_eq!((failed.code, failed.err.as_str()), (1, "sb: the passphrase command `exit 3` failed: exit status: 3\n"));
    let wrong = with("SB_PASSPHRASE", "something else", &["snapshots"]);
    assert_eq!(wrong.code, 12);
}

#[test]
fn passphrase_and_key_file_together_are_both_needed() {
    let world = World::bare();
    let with = |arguments: &[&str]| ran(world.command(arguments).env("SB_PASSPHRASE", "long enough"));
    assert_eq!(with(&["init", "--kdf", "pbkdf2-hmac-sha256"]).code, 0);
    assert_eq!(with(&["snapshots"]).out, "no snapshots\n");
    let file_alone = world.run(&["snapshots"]);
    assert_eq!(file_alone.code, 12);
    assert!(file_alone.err.starts_with("sb: this vault has no slot for a key file. Give what the vault was made with"));
    // Where only one of the two is asked for, the other does no harm.
    world.ok(&["init", "single", "--quiet"]);
    assert_eq!(with(&["snapshots", "-r", "single"]).out, "no snapshots\n");
}

#[test]
#[ignore = "needs openssl"]
fn an_rsa_key_opens_where_the_fingerprint_is_known() {
    let world = World::bare();
    let made = sh(
        &world.root,
        "openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out k.pem && openssl pkey -in k.pem -pubout -out p.pem",
    );
    assert_eq!(made.code, 0, "{made:?}");
    let alone = ran(world.command(&["init", "alone", "--recipient", "p.pem"]).env_remove("SB_KEY_FILE"));
    assert!(alone.code == 0 && alone.out.contains("alone --rsa-key PRIVATE.pem PATH…\n"), "{alone:?}");
    world.ok(&["backup", "-r", "alone", "--rsa-key", "k.pem", "firm"]);
    assert_eq!(world.run(&["snapshots", "-r", "alone"]).code, 1, "there is no key file");
    let said = world.ok(&["init", "--recipient", "p.pem", "--algorithm", "p256"]);
    let fingerprint = said.lines().find(|line| line.trim().len() == 64).unwrap().trim().to_owned();
    assert_eq!(world.ok(&["snapshots", "--rsa-key", "k.pem"]), "no snapshots\n");
    fs::remove_dir_all(world.path("state")).unwrap();
    let unpinned = world.run(&["snapshots", "--rsa-key", "k.pem"]);
    assert!(
        unpinned.code == 1
            && unpinned.err.ends_with("Give the root fingerprint that `sb init` printed, with --fingerprint.\n")
    );
    assert_eq!(world.ok(&["snapshots", "--rsa-key", "k.pem", "--fingerprint", &fingerprint]), "no snapshots\n");
    assert!(world.ok(&["info", "--rsa-key", "k.pem"]).contains("RSA key (keys/"));
    assert_eq!(world.run(&["snapshots", "--rsa-key", "p.pem"]).code, 12);
    assert_eq!(world.run(&["init", "v2", "--recipient", "k.pem"]).code, 1);
}

#[test]
fn a_backup_says_what_it_did() {
    let world = World::new();
    let said = world.ok(&["backup", "firm", "--host", "office", "--tag", "daily", "--compression-level", "9"]);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("snapshot ") && lines[0].contains(", taken in "), "{said}");
    assert!(
        lines[1].starts_with("  holds   2 files in ")
            && lines[1].contains(", 1 other (links, devices and the like): 11.7 KiB"),
        "{said}"
    );
    assert_eq!(lines[2], "  files   2 new, 0 changed, 0 unchanged");
    assert!(
        lines[3].starts_with("  new     11.7 KiB; the vault grew by ") && lines[3].ends_with(" in packs"),
        "{said}"
    );
    assert!(lines[4].starts_with("  proof   certificate ") && lines[4].ends_with(" read back and compared"), "{said}");
    assert_eq!(lines.len(), 5);
    let list = world.ok(&["list"]);
    assert!(list.starts_with("id        begun                       host    files      size  sources\n"), "{list}");
    assert!(list.contains(" +00:00  office      2  11.7 KiB  ") && list.ends_with("firm  [daily]\n"), "{list}");
    assert_eq!(world.ok(&["backup", "firm", "--quiet"]), "");
    fs::write(world.path("firm/note.txt"), "remembered").unwrap();
    let said = world.ok(&["backup", "firm", "-v"]);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("changed     ") && lines[0].ends_with("/firm/note.txt"), "{said}");
    assert!(lines[1].starts_with("snapshot ") && lines[1].len() > 64, "{said}");
}

#[test]
fn what_is_excluded_is_not_in_the_snapshot() {
    let world = World::new();
    sh(
        &world.root,
        "mkdir -p firm/cache firm/skip && printf 'Signature: 8a477f597d28d172789f06886806bc55' > firm/cache/CACHEDIR.TAG && touch firm/cache/x firm/skip/.nobackup firm/skip/y firm/a.tmp firm/b.bak firm/THUMBS.db firm/.sb-restore-0123456789abcdef && truncate -s 3M firm/large && echo '*.bak' > patterns",
    );
    world.ok(&[
        "backup",
        "firm",
        "--exclude",
        "*.tmp",
        "--iexclude",
        "Thumbs.DB",
        "--exclude-file",
        "patterns",
        "--exclude-caches",
        "--exclude-if-present",
        ".nobackup",
        "--exclude-larger-than",
        "1M",
        "--one-file-system",
    ]);
    let firm = world.path("firm").display().to_string();
    let listed = world.ok(&["ls", "latest", "-R"]);
    let names: Vec<&str> = listed.lines().map(|line| line.strip_prefix(&firm).unwrap()).collect();
    assert_eq!(
        names,
        [
            "/cache/",
            "/cache/CACHEDIR.TAG",
            "/link",
            "/miller/",
            "/miller/2025/",
            "/miller/2025/ledger.csv",
            "/note.txt",
            "/skip/",
            "/skip/.nobackup"
        ]
    );
}

#[test]
fn a_configuration_stands_in_for_options() {
    let world = World::bare();
    fs::create_dir_all(world.path("home/.config/securebackup")).unwrap();
    let config = "vault = '../../../vault'\nkey-file = '../../../sb.key'\nstate-dir = '../../../elsewhere'\n[backup]\npaths = ['../../../firm']\nhost = 'configured'\ntags = ['a']\nexclude = ['*.csv']\ncompression-level = 1\nfree-minimum = '1M'\n";
    let file = world.path("home/.config/securebackup/config.toml");
    fs::write(&file, config).unwrap();
    let bare = |arguments: &[&str]| {
        ran(world.command(arguments).env_remove("SB_VAULT").env_remove("SB_KEY_FILE").env_remove("SB_STATE_DIR"))
    };
    assert_eq!(bare(&["init"]).code, 0);
    assert_eq!(bare(&["backup", "--tag", "b"]).code, 0);
    let list = bare(&["snapshots"]).out;
    assert!(list.contains("configured      1 ") && list.contains("[a, b]"), "{list}");
    assert!(world.path("elsewhere").is_dir() && !world.path("state").exists());
    let check = bare(&["config", "check"]);
    assert_eq!((check.code, check.out), (0, format!("`{}` is in order\n", file.display())));
    fs::write(&file, "[backup]\npaths = ['/nowhere/at/all']").unwrap();
    let check = bare(&["config", "check"]);
    assert_eq!(
        (check.code, check.err.as_str()),
        (2, "sb: `backup.paths` names `/nowhere/at/all`, which does not exist\n")
    );
    assert_eq!(check.out, "no vault is named, so each command needs --vault or SB_VAULT\n");
    fs::write(&file, "fingerprint = '12'").unwrap();
    let wrong = format!("sb: `{}`: `fingerprint` must have 64 hexadecimal digits. ", file.display());
    assert!(bare(&["config", "check"]).err.starts_with(&wrong) && bare(&["snapshots"]).err.starts_with(&wrong));
    fs::write(&file, "vault = 's3://x'").unwrap();
    assert_eq!(bare(&["config", "check"]).err, "sb: `s3://x` cannot be reached by this version: `s3` comes later\n");
    fs::write(&file, "\nvalut = 's3://x'").unwrap();
    let broken = bare(&["snapshots"]);
    assert_eq!(broken.code, 2);
    assert!(broken.err.contains("line 2: unknown field `valut`, expected one of"), "{}", broken.err);
    assert!(bare(&["config", "sample"]).out.contains("[backup]\n"), "commands that need no configuration go on");
    world.fails(
        &["snapshots", "--config", "nosuch"],
        2,
        "sb: cannot read the configuration `nosuch`: No such file or directory. Check the path; `sb config sample` prints a configuration to begin with.",
    );
}

#[test]
fn variables_that_are_empty_count_as_not_set() {
    let world = World::backed_up();
    fs::write(world.path("sb.toml"), "vault = 'vault'\nkey-file = 'sb.key'\nstate-dir = 'state'").unwrap();
    let variables = [
        "SB_VAULT",
        "SB_KEY_FILE",
        "SB_PASSPHRASE_FILE",
        "SB_PASSPHRASE",
        "SB_PASSPHRASE_COMMAND",
        "SB_FINGERPRINT",
        "SB_STATE_DIR",
    ];
    let empty = variables.map(|name| (name, ""));
    let list = ran(world.command(&["snapshots", "--config", "sb.toml"]).envs(empty));
    assert_eq!((list.code, list.out.lines().count(), list.err.as_str()), (0, 2, ""), "{list:?}");
    let list = ran(world.command(&["snapshots"]).env("SB_CONFIG", ""));
    assert_eq!((list.code, list.err.as_str()), (0, ""), "{list:?}");
    let typed = ran(world.command(&["snapshots", "--recovery-key"]).env("SB_RECOVERY_KEY", ""));
    assert!(typed.err.contains("no recovery key was given, and there is no terminal"), "{typed:?}");
    assert_eq!(world.run(&["snapshots", "--key-file", ""]).code, 2, "an empty argument is a mistake");
}

#[test]
fn snapshots_are_picked_by_time_and_path() {
    let world = World::backed_up();
    let rows = |arguments: &[&str]| world.ok(arguments).lines().count().saturating_sub(1);
    assert_eq!(rows(&["snapshots", "--since", "yesterday", "--until", "today", "--latest", "3"]), 1);
    assert_eq!(rows(&["snapshots", "--until", "yesterday"]), 0);
    assert_eq!(rows(&["snapshots", "--since", "1h", "--path", "firm/miller"]), 1);
    assert_eq!(rows(&["snapshots", "--path", "/etc"]), 0);
    assert_eq!(rows(&["snapshots", "--host", "nobody's"]), 0);
    assert_eq!(rows(&["snapshots", "--tag", "none"]), 0);
    world.fails(
        &["snapshots", "--since", "soon"],
        2,
        "sb: `soon` is no time. Write 2026-03-31, 2026-03-31 14:05, RFC 3339, today, yesterday, now, or 3h, 10d, 2w for that long ago.",
    );
    let months = world.run(&["snapshots", "--since", "6m"]);
    assert!(months.code == 2 && months.err.contains("`6m` is no time. Write "), "{}", months.err);
}

#[test]
fn listings_have_raw_names_and_details_as_ls_has() {
    let world = World::new();
    sh(
        &world.root,
        r"cd firm && printf x > $(printf 'b\374ro') && chmod 4750 note.txt && touch -d '2001-02-03 04:05:06 UTC' note.txt && mkfifo pipe",
    );
    world.ok(&["backup", "firm"]);
    let output = world.command(&["ls", "latest"]).output().unwrap();
    let expected = [world.path("firm/").as_os_str().as_encoded_bytes(), b"b\xfcro\n"].concat();
    assert!(output.stdout.starts_with(&expected));
    let long = String::from_utf8_lossy(&world.command(&["ls", "-l", "latest"]).output().unwrap().stdout).into_owned();
    let line = |name: &str| long.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(
        line("/note.txt").starts_with("-rwsr-x--- ")
            && line("/note.txt").contains("            8 2001-02-03 04:05:06 +00:00 /"),
        "{long}"
    );
    assert!(line("/link").starts_with("lrwxrwxrwx ") && line("/link").ends_with("/link -> note.txt"), "{long}");
    assert!(line("/pipe").starts_with('p') && line("/miller/").starts_with('d'), "{long}");
    assert_eq!(world.ok(&["ls", &world.at("firm/note.txt")]), format!("{}\n", world.path("firm/note.txt").display()));
}

#[test]
fn a_file_is_printed_whole() {
    let world = World::backed_up();
    assert_eq!(world.ok(&["cat", &world.at("firm/note.txt")]), "remember");
    let ledger = world.ok(&["dump", &world.at("firm/miller/2025/ledger.csv")]);
    assert_eq!(ledger, fs::read_to_string(world.path("firm/miller/2025/ledger.csv")).unwrap());
}

#[test]
fn folders_files_and_everything_are_restored() {
    let world = World::backed_up();
    let said = world.ok(&["restore", &world.at("firm"), "--to", "out"]);
    assert!(said.starts_with("restored 2 files and 2 folders to out in ") && said.ends_with(": 11.7 KiB\n"), "{said}");
    let diff = |a: &str, b: &str| sh(&world.root, format!("diff -r --no-dereference {a} {b}")).out;
    assert_eq!(diff("firm", "out"), "");
    world.ok(&["restore", &world.at("firm/note.txt"), "--to", "one"]);
    assert_eq!(fs::read(world.path("one/note.txt")).unwrap(), b"remember");
    world.ok(&["restore", "latest", "--to", "all"]);
    assert_eq!(diff("firm", &format!("all/{}", world.path("firm").display())), "");
    fs::write(world.path("out/note.txt"), "changed").unwrap();
    world.ok(&["restore", &world.at("firm"), "--to", "out", "--overwrite", "always", "--quiet"]);
    assert_eq!(diff("firm", "out"), "");
}

#[test]
fn a_restore_among_what_is_there_does_as_it_is_told() {
    let world = World::backed_up();
    world.ok(&["restore", &world.at("firm"), "--to", "out"]);
    fs::write(world.path("out/note.txt"), "changed!").unwrap();
    fs::write(world.path("out/extra"), "").unwrap();
    let restore = |more: &[&str]| world.ok(&[&["restore", &world.at("firm"), "--to", "out"], more].concat());
    let said = restore(&["--overwrite", "never"]);
    assert!(said.starts_with("restored 0 files and 0 folders to out in "), "{said}");
    assert!(said.contains("\n  3 not restored, since something else is there and stays"), "{said}");
    let said = restore(&["--overwrite", "if-changed", "--delete", "--dry-run", "-v"]);
    for line in ["overwritten /note.txt", "unchanged   /link", "deleted     /extra", "  1 in place of what was there"] {
        assert!(said.lines().any(|said| said == line), "{line} in {said}");
    }
    assert!(said.contains("would restore 1 file and 0 folders to out: 8 B; nothing was changed"), "{said}");
    assert_eq!(fs::read(world.path("out/note.txt")).unwrap(), b"changed!");
    let new = world.ok(&["restore", &world.at("firm"), "--to", "nowhere", "--dry-run"]);
    assert!(
        new.starts_with("would restore 2 files and 2 folders to nowhere") && !world.path("nowhere").exists(),
        "{new}"
    );
    restore(&["--overwrite", "if-changed", "--delete", "--threads", "1"]);
    assert_eq!(sh(&world.root, "diff -r --no-dereference firm out").out, "");
    world.ok(&["restore", &world.at("firm"), "--to", "part", "--include", "*.csv", "--exclude", "none"]);
    assert_eq!(sh(&world.path("part"), "find . -type f").out, "./miller/2025/ledger.csv\n");
}

#[test]
fn a_restore_in_place_brings_back_what_is_missing() {
    let world = World::backed_up();
    let ledger = fs::read(world.path("firm/miller/2025/ledger.csv")).unwrap();
    fs::remove_dir_all(world.path("firm/miller")).unwrap();
    fs::write(world.path("firm/note.txt"), "newer").unwrap();
    let said = world.ok(&["restore", &world.at("firm"), "--in-place"]);
    assert!(said.starts_with("restored 1 file and ") && said.contains(" in place in "), "{said}");
    assert_eq!(fs::read(world.path("firm/miller/2025/ledger.csv")).unwrap(), ledger);
    assert_eq!(fs::read(world.path("firm/note.txt")).unwrap(), b"newer", "what is there stays");
    world.ok(&["restore", &world.at("firm/note.txt"), "--in-place", "--overwrite", "always", "--quiet"]);
    assert_eq!(fs::read(world.path("firm/note.txt")).unwrap(), b"remember");
    let both = world.run(&["restore", "latest", "--in-place", "--to", "out"]);
    assert_eq!(both.code, 2, "{}", both.err);
    let bad = world.run(&["restore", "latest", "--to", "out", "--include", "a{b"]);
    assert_eq!(bad.code, 2);
    assert!(bad.err.contains("include pattern `a{b` is not valid"), "{}", bad.err);
    let messages = json(&world.ok(&["restore", &world.at("firm"), "--to", "j", "--json", "-v"]));
    let entry = messages.iter().find(|message| message["path"] == "/note.txt").unwrap();
    assert_eq!((&entry["message_type"], &entry["deed"]), (&"restored".into(), &"restored".into()));
}

#[test]
fn a_whole_snapshot_is_restored_in_place() {
    let world = World::backed_up();
    fs::remove_dir_all(world.path("firm/miller")).unwrap();
    fs::write(world.path("firm/note.txt"), "newer").unwrap();
    fs::write(world.path("firm/extra"), "").unwrap();
    let restore = |more: &[&str]| world.ok(&[&["restore", "latest", "--in-place"], more].concat());
    let said = restore(&["--dry-run"]);
    assert!(said.starts_with("would restore 1 file and ") && !world.path("firm/miller").exists(), "{said}");
    let said = restore(&["--include", "nothing"]);
    assert!(said.starts_with("restored 0 files and 0 folders "), "{said}");
    let said = restore(&[]);
    assert!(said.starts_with("restored 1 file and "), "{said}");
    assert_eq!(fs::read(world.path("firm/note.txt")).unwrap(), b"newer", "what is there stays");
    restore(&["--overwrite", "if-changed", "--delete", "--quiet"]);
    assert_eq!(fs::read(world.path("firm/note.txt")).unwrap(), b"remember");
    assert!(!world.path("firm/extra").exists() && world.path("vault").exists() && world.path("home").exists());
}

#[test]
fn a_restore_in_place_never_deletes_the_vault() {
    let world = World::new();
    fs::create_dir(world.path("firm/vault")).unwrap();
    world.ok(&["init", "firm/vault", "--quiet"]);
    world.ok(&["backup", "-r", "firm/vault", "firm"]);
    fs::write(world.path("firm/extra"), "").unwrap();
    let firm = world.at("firm");
    world.ok(&["restore", "-r", "firm/vault", &firm, "--in-place", "--overwrite", "if-changed", "--delete"]);
    assert!(!world.path("firm/extra").exists());
    assert!(world.ok(&["verify", "-r", "firm/vault", "--level", "restore"]).ends_with("nothing is wrong\n"));
}

#[test]
fn a_good_vault_verifies_at_every_level() {
    let world = World::backed_up();
    for level in ["objects", "data", "restore"] {
        let said = world.ok(&["verify", "--level", level]);
        assert!(said.contains(&format!("at level `{level}` in ")) && said.ends_with("nothing is wrong\n"), "{said}");
    }
    let mut public = world.command(&["check", "--public"]);
    let public = ran(public.env_remove("SB_KEY_FILE"));
    assert_eq!(public.code, 0);
    assert!(public.out.contains("with no key: contents were not opened"), "{}", public.out);
    assert!(!public.out.contains("recovery sheet"), "this machine remembers the vault: {}", public.out);
    world.ok(&["verify", "--public", "--level", "objects"]);
    world.fails(
        &["verify", "--public", "--level", "data"],
        2,
        "sb: with no key, nothing deeper than the level `objects` can be verified. Leave out --public, or --level.",
    );

    let auditor = |arguments: &[&str]| ran(world.command(arguments).env("SB_STATE_DIR", world.path("auditor")));
    let messages = json(&auditor(&["verify", "--public", "--json"]).out);
    let summary = of_type(&messages, "summary")[0];
    let fingerprint = summary["root_fingerprint"].as_str().unwrap();
    assert_eq!(summary["root_known"], false);
    let said = auditor(&["verify", "--public"]).out;
    assert!(said.contains(&format!("with --fingerprint:\n    {fingerprint}\n")), "{said}");
    let said = auditor(&["verify", "--public", "--fingerprint", fingerprint]).out;
    assert!(!said.contains("recovery sheet"), "{said}");
}

#[test]
fn a_vault_is_described() {
    let world = World::backed_up();
    let info = world.ok(&["info"]);
    for part in [
        "\nrecorded in journals  objects ",
        "root fingerprint  ",
        "opened by         key file (keys/",
        ", owner\n",
        "snapshots         1, the latest of ",
        "packs   ",
        "all  ",
    ] {
        assert!(info.contains(part), "{part}: {info}");
    }
    let public = ran(world.command(&["info", "--public"]).env_remove("SB_KEY_FILE"));
    assert!(public.code == 0 && !public.out.contains("opened by"), "{}", public.out);
}

#[test]
fn what_was_lost_locally_is_rebuilt() {
    let world = World::backed_up();
    fs::remove_dir_all(world.path("state")).unwrap();
    let said = world.ok(&["db", "rebuild"]);
    assert!(said.starts_with("located ") && said.contains("writes under a new name"), "{said}");
    world.ok(&["backup", "firm"]);
    assert_eq!(world.ok(&["snapshots"]).lines().count(), 3);
}

#[test]
fn help_version_and_completions_are_there() {
    let world = World::bare();
    assert_eq!(world.ok(&["--version"]), format!("sb {}\n", env!("CARGO_PKG_VERSION")));
    assert!(world.ok(&["--help"]).contains("Begin with `sb try`"));
    assert!(world.ok(&["restore", "--help"]).contains("sb restore latest:/srv/clients/miller --to /tmp/miller"));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(world.ok(&["completions", shell]).contains("snapshots"), "{shell}");
    }
    assert_eq!(world.run(&[]).code, 2);
    assert_eq!(world.run(&["restor"]).code, 2);
}

#[test]
fn somebody_who_has_read_enough_is_no_error() {
    let world = World::new();
    fs::create_dir(world.path("many")).unwrap();
    for n in 0..3000 {
        fs::write(world.path("many").join(format!("a file with quite a long name, number {n}")), "").unwrap();
    }
    world.ok(&["backup", "many"]);
    for command in ["ls latest", "ls latest --json", "completions zsh", "--help"] {
        let script = format!("{{ {} {command}; echo code $? >&2; }} | true", env!("CARGO_BIN_EXE_sb"));
        let mut command = world.command(&[]);
        let environment: Vec<_> =
            command.get_envs().map(|(k, v)| (k.to_owned(), v.unwrap_or_default().to_owned())).collect();
        command = std::process::Command::new("sh");
        command.arg("-c").arg(script).current_dir(&world.root).envs(environment);
        let ran = ran(&mut command);
        assert_eq!(ran.err, "code 0\n");
    }
}
