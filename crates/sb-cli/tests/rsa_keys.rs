//! RSA private keys in files, encrypted or not. The keys are those for tests of `sb-crypto`.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Ran, World, at_terminal, ran, sh};

fn test_key(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../sb-crypto/tests/data");
    folder.join(name).canonicalize().unwrap().display().to_string()
}

/// A vault that the RSA test key alone opens.
fn vault() -> World {
    let world = World::bare();
    fs::write(world.path("pf"), "open-sesame\n").unwrap();
    fs::write(world.path("wrong"), "open-sesam").unwrap();
    let init =
        ran(world.command(&["init", "--quiet", "--recipient", &test_key("rsa4096.pub.pem")]).env_remove("SB_KEY_FILE"));
    assert_eq!(init.code, 0, "{init:?}");
    world
}

fn info(world: &World, key: &str, more: &[&str]) -> Ran {
    world.run(&[&["info", "--rsa-key", key][..], more].concat())
}

#[test]
fn an_encrypted_key_opens_with_its_passphrase() {
    let world = vault();
    assert_eq!(info(&world, &test_key("rsa4096.pem"), &[]).code, 0);
    for name in ["rsa4096-encrypted.pem", "rsa4096-scrypt.pem"] {
        let opened = info(&world, &test_key(name), &["--passphrase-file", "pf"]);
        assert!(opened.code == 0 && opened.out.contains("RSA key (keys/"), "{name}: {opened:?}");
        let by_variable =
            ran(world.command(&["info", "--rsa-key", &test_key(name)]).env("SB_PASSPHRASE", "open-sesame"));
        assert_eq!(by_variable.code, 0, "{by_variable:?}");
    }
    world.ok(&["backup", "firm", "--rsa-key", &test_key("rsa4096-encrypted.pem"), "--passphrase-file", "pf"]);
}

#[test]
fn what_is_wrong_with_a_key_is_said_in_a_line() {
    let world = vault();
    let new = "openssl pkcs8 -topk8";
    for (name, passphrase, code, said) in [
        ("rsa4096-encrypted.pem", "wrong", 12, "wrong passphrase of the private key, or a damaged file"),
        ("rsa2048-encrypted.pem", "pf", 12, "an RSA key must have 4096 bits, this one has 2048"),
        ("p256-encrypted.pem", "pf", 12, "the key is not an RSA key"),
        ("rsa2048-3des.pem", "pf", 12, new),
        ("rsa2048-pkcs1.pem", "pf", 12, new),
        ("rsa4096.pub.pem", "pf", 12, "the PEM file holds a `PUBLIC KEY`"),
    ] {
        let refused = info(&world, &test_key(name), &["--passphrase-file", passphrase]);
        assert_eq!((refused.code, refused.err.trim_end().lines().count()), (code, 1), "{name}: {refused:?}");
        assert!(refused.err.contains(said) && !refused.err.contains("sesam"), "{name}: {refused:?}");
    }
    let unasked = info(&world, &test_key("rsa4096-encrypted.pem"), &[]);
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(unasked.err.contains("there is no terminal to ask at"), "{unasked:?}");
}

#[test]
#[ignore = "needs script"]
fn the_passphrase_of_a_key_is_asked_for() {
    let world = vault();
    let key = test_key("rsa4096-encrypted.pem");
    let seen = at_terminal(&world, &format!("info --rsa-key {key}"), &["open-sesame\n"]);
    assert!(seen.contains("Passphrase of the RSA key") && seen.contains("\ncode 0\n"), "{seen}");
    assert!(!seen.contains("sesame"), "{seen}");
}

#[test]
#[ignore = "needs openssl"]
fn a_key_that_openssl_makes_and_encrypts_opens() {
    let world = World::bare();
    fs::write(world.path("pf"), "open-sesame\n").unwrap();
    let made = sh(
        &world.root,
        "openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -aes256 -pass pass:open-sesame -out k.pem &&
         openssl pkey -in k.pem -passin pass:open-sesame -pubout -out p.pem",
    );
    assert_eq!(made.code, 0, "{made:?}");
    let init = ran(world.command(&["init", "--quiet", "--recipient", "p.pem"]).env_remove("SB_KEY_FILE"));
    assert_eq!(init.code, 0, "{init:?}");
    let opened = info(&world, "k.pem", &["--passphrase-file", "pf"]);
    assert_eq!(opened.code, 0, "{opened:?}");
}
