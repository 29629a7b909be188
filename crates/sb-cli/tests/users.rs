//! Several people and one vault: who is let in, what each may do, and what they are told.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::fs;

use common::{Ran, World, json, ran};

/// A vault with a snapshot whose owner opens it with key file and passphrase, and `nina` with a passphrase.
fn office(role: &str) -> World {
    let world = World::backed_up();
    fs::write(world.path("pf"), "correct horse battery").unwrap();
    fs::write(world.path("nf"), "another good one").unwrap();
    world.ok(&["key", "add", "--new-key-file", "sb.key", "--new-passphrase-file", "pf"]);
    owner(&world, &["user", "add", "nina", "--role", role, "--new-passphrase-file", "nf"]);
    world
}

fn owner(world: &World, words: &[&str]) -> String {
    world.ok(&[words, &["--passphrase-file", "pf"]].concat())
}

/// The program as somebody else runs it.
fn as_user(world: &World, login: &str, passphrase_file: &str, words: &[&str]) -> Ran {
    let mut command = world.command(&[words, &["--user", login, "--passphrase-file", passphrase_file]].concat());
    ran(command.env_remove("SB_KEY_FILE"))
}

#[test]
fn who_adds_backups_reads_none() {
    let world = office("operator");
    let backed = as_user(&world, "nina", "nf", &["backup", "firm"]);
    assert_eq!(backed.code, 0, "{backed:?}");
    for words in [
        &["snapshots"][..],
        &["ls", "latest"],
        &["restore", "latest", "--to", "r"],
        &["user", "list"],
        &["log", "show"],
    ] {
        let refused = as_user(&world, "nina", "nf", words);
        assert_eq!((refused.code, refused.out.as_str()), (5, ""), "{words:?}: {refused:?}");
        assert!(refused.err.starts_with("sb: ") && refused.err.trim_end().lines().count() == 1, "{refused:?}");
    }
    assert!(!world.path("r").exists());
    assert!(owner(&world, &["snapshots"]).lines().count() > 2);
}

#[test]
fn who_is_not_there_is_told_what_who_mistypes_is_told() {
    let world = office("restorer");
    let wrong = as_user(&world, "nina", "pf", &["snapshots"]);
    let nobody = as_user(&world, "nobody", "nf", &["snapshots"]);
    assert_eq!((wrong.code, wrong.out.as_str()), (12, ""), "{wrong:?}");
    assert_eq!((nobody.code, &nobody.out, &nobody.err), (wrong.code, &wrong.out, &wrong.err));
    let log = json(&owner(&world, &["log", "show", "--json"]));
    let denied = log.iter().filter(|entry| entry["operation"] == "Vault.Open" && entry["status"] == "DENIED");
    assert_eq!(denied.count(), 2);
}

#[test]
fn who_is_locked_is_not_let_in_and_the_log_says_so() {
    let world = office("verifier");
    assert_eq!(as_user(&world, "nina", "nf", &["verify", "--level", "objects"]).code, 0);
    owner(&world, &["user", "lock", "nina"]);
    let refused = as_user(&world, "nina", "nf", &["verify", "--level", "objects"]);
    assert_eq!(refused.code, 5);
    assert_eq!(
        refused.err.trim_end(),
        "sb: you are not let in: your access is locked. Ask whoever manages the users of this vault."
    );
    let log = owner(&world, &["log", "show"]);
    assert!(
        log.lines().any(|line| line.contains("Vault.Open") && line.contains("denied") && line.contains("nina")),
        "{log}"
    );
    owner(&world, &["user", "unlock", "nina"]);
    assert_eq!(as_user(&world, "nina", "nf", &["verify", "--level", "objects"]).code, 0);
}

#[test]
fn access_is_explained_in_words() {
    let world = office("operator");
    let told = owner(&world, &["access", "explain", "nina", "RestoreDocument"]);
    assert!(told.starts_with("nina may not restore a document: "), "{told}");
    assert!(told.contains("it would be allowed with"), "{told}");
    let told = owner(&world, &["access", "explain", "nina", "createsnapshot"]);
    assert!(told.starts_with("nina may make a backup: "), "{told}");
    let odd = world.run(&["access", "explain", "nina", "Fly", "--passphrase-file", "pf"]);
    assert_eq!(odd.code, 2, "{odd:?}");
    assert!(odd.err.contains("there is no action `Fly`"), "{odd:?}");
}

#[test]
fn one_person_never_meets_users_or_roles() {
    let world = World::backed_up();
    for words in
        [&["restore", "latest", "--to", "r"][..], &["forget", "latest"], &["collect"], &["verify"], &["log", "show"]]
    {
        world.ok(words);
    }
    // Whatever name is given or set: there is one who can be meant.
    world.ok(&["info", "--user", "ann"]);
    let help = world.ok(&["info"]);
    assert!(!help.contains("role"), "{help}");
}

#[test]
fn a_second_person_needs_an_owner_with_two_factors() {
    let world = World::backed_up();
    fs::write(world.path("nf"), "another good one").unwrap();
    let refused = world.run(&["user", "add", "nina", "--role", "operator", "--new-passphrase-file", "nf"]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.err.contains("two factors"), "{refused:?}");
    // A key file that was made for somebody who was not added is not left behind.
    let refused = world.run(&["user", "add", "nina", "--role", "operator", "--new-key-file", "nina.key"]);
    assert_eq!((refused.code, world.path("nina.key").exists()), (5, false), "{refused:?}");
}

#[test]
fn a_passphrase_is_changed_and_the_old_one_opens_nothing() {
    let world = office("restorer");
    fs::write(world.path("better"), "a much better one").unwrap();
    assert_eq!(as_user(&world, "nina", "nf", &["key", "passwd", "--new-passphrase-file", "better"]).code, 0);
    assert_eq!(as_user(&world, "nina", "nf", &["snapshots"]).code, 12);
    assert_eq!(as_user(&world, "nina", "better", &["snapshots"]).code, 0);
    owner(&world, &["user", "reset", "nina", "--new-passphrase-file", "nf"]);
    assert_eq!(as_user(&world, "nina", "better", &["snapshots"]).code, 12);
    assert_eq!(as_user(&world, "nina", "nf", &["snapshots"]).code, 0);
    fs::write(world.path("short"), "short").unwrap();
    assert_eq!(as_user(&world, "nina", "nf", &["key", "passwd", "--new-passphrase-file", "short"]).code, 2);
}
