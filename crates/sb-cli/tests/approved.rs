//! `--approved-algorithms`: a vault's whole life by approved algorithms, and everything else refused.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::fs;

use common::{World, json, ran};

const REFUSED: &str = "sb: Argon2id is no approved algorithm, and this vault is for nothing else. With approved algorithms there are --kdf \
                       pbkdf2-hmac-sha256, and --algorithm p256 or rsa4096.";

/// A vault with approved algorithms that passphrase and key file open together, and a backup.
fn office() -> World {
    let world = World::bare();
    fs::write(world.path("pf"), "correct horse battery").unwrap();
    fs::write(world.path("nf"), "another good one").unwrap();
    let init = ran(world.command(&["init", "--approved-algorithms"]).env("SB_PASSPHRASE_FILE", world.path("pf")));
    assert_eq!(init.code, 0, "{init:?}");
    assert!(init.out.contains("no validated cryptographic module"), "{init:?}");
    owner(&world, &["backup", "firm"]);
    world
}

fn owner(world: &World, words: &[&str]) -> String {
    world.ok(&[words, &["--passphrase-file", "pf"]].concat())
}

fn refused(world: &World, words: &[&str]) {
    world.fails(&[words, &["--passphrase-file", "pf"]].concat(), 2, REFUSED);
}

#[test]
fn a_vault_lives_by_approved_algorithms() {
    let world = office();
    owner(
        &world,
        &["user", "add", "nina", "--role", "restorer", "--new-passphrase-file", "nf", "--new-key-file", "n.key"],
    );
    let from = world.at("firm");
    let nina = ["restore", &from, "--to", "r", "--user", "nina", "--key-file", "n.key", "--passphrase-file", "nf"];
    world.ok(&nina);
    assert_eq!(fs::read_to_string(world.path("r/note.txt")).unwrap(), "remember");
    owner(&world, &["key", "add", "--new-passphrase-file", "nf"]);
    owner(&world, &["key", "passwd", "--new-passphrase-file", "pf", "--new-key-file", "sb.key"]);
    owner(&world, &["verify"]);
    let keys = json(&owner(&world, &["key", "list", "--all", "--json"]));
    let hashed: Vec<_> = keys.iter().filter_map(|key| key["kdf"].as_str()).collect();
    assert_eq!(hashed, ["PBKDF2-HMAC-SHA-256, 600000 rounds"; 3]);
}

#[test]
fn info_says_what_is_used_and_what_is_not_claimed() {
    let world = office();
    for words in [&["info"][..], &["info", "--public"]] {
        let text = owner(&world, words);
        assert!(
            text.contains("approved ones only: HMAC-SHA-256, HPKE with P-256, AES-256-GCM, Ed25519, PBKDF2"),
            "{text}"
        );
        assert!(text.contains("This program is no validated cryptographic module"), "{text}");
        assert!(!text.to_lowercase().contains("complian") && !text.contains("FIPS"), "{text}");
        let told = json(&owner(&world, &[words, &["--json"]].concat())).remove(0);
        assert_eq!((&told["approved_algorithms"], &told["hash"]), (&true.into(), &"HMAC-SHA-256".into()));
    }
    let plain = World::new();
    let text = plain.ok(&["info"]);
    assert!(text.contains("BLAKE3, HPKE with X25519") && !text.contains("approved"), "{text}");
}

#[test]
fn what_is_not_approved_is_refused_and_changes_nothing() {
    let bare = World::bare();
    fs::write(bare.path("pf"), "correct horse battery").unwrap();
    refused(&bare, &["init", "--approved-algorithms", "--kdf", "argon2id"]);
    bare.fails(
        &["init", "--approved-algorithms", "--algorithm", "x25519"],
        2,
        "sb: X25519 is no approved algorithm, and this vault is for nothing else. With approved algorithms there are --kdf \
         pbkdf2-hmac-sha256, and --algorithm p256 or rsa4096.",
    );
    assert!(!bare.path("sb.key").exists());
    assert!(!bare.path("vault").join("config").exists());

    let world = office();
    let keys = owner(&world, &["key", "list", "--all"]);
    let new = ["--new-passphrase-file", "nf", "--kdf", "argon2id"];
    refused(&world, &[&["key", "add"][..], &new].concat());
    refused(&world, &[&["key", "passwd"][..], &new].concat());
    refused(&world, &[&["user", "add", "nina", "--role", "restorer"][..], &new].concat());
    owner(&world, &["user", "add", "ben", "--role", "operator", "--new-passphrase-file", "nf"]);
    refused(&world, &[&["user", "reset", "ben"][..], &new].concat());
    let after = owner(&world, &["key", "list", "--all"]);
    assert_eq!(after.lines().filter(|line| !line.contains("ben")).count(), keys.lines().count(), "{after}");
}

#[test]
fn rsa_is_approved_too() {
    let world = World::bare();
    let init = ["init", "--approved-algorithms", "--algorithm", "rsa4096", "--quiet"];
    world.ok(&init);
    world.ok(&["backup", "firm"]);
    world.ok(&["restore", "latest", "--to", "r"]);
    assert!(world.ok(&["info"]).contains("approved ones only: HMAC-SHA-256, RSA-4096-OAEP"));
}
