//! Rotating keys with the program: what it says, who may, and when it reminds.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::fs;

use common::{World, json, of_type, ran};

#[test]
fn keys_are_rotated_and_everything_is_there_for_everybody() {
    let world = World::backed_up();
    fs::write(world.path("pf"), "correct horse battery").unwrap();
    fs::write(world.path("nf"), "another good one").unwrap();
    world.ok(&["key", "add", "--new-key-file", "sb.key", "--new-passphrase-file", "pf"]);
    let both = |words: &[&str]| world.ok(&[words, &["--passphrase-file", "pf"]].concat());
    both(&["user", "add", "nina", "--role", "restorer", "--new-key-file", "nk", "--new-passphrase-file", "nf"]);
    let packs: Vec<_> = world.content_packs().iter().map(|pack| (pack.clone(), fs::read(pack).unwrap())).collect();

    let said = both(&["key", "rotate"]);
    assert!(said.starts_with("began epoch 1: "), "{said}");
    assert!(said.contains("granted 2 users ") && said.contains("anew, and touched no pack"), "{said}");
    assert!(said.contains("destroyed the private keys for contents of 1 earlier epoch"), "{said}");
    assert!(said.contains("keeps the private keys for names of 1 earlier epoch"), "{said}");
    assert!(said.contains("\nfinished; the next rotation is due by "), "{said}");
    for (pack, bytes) in &packs {
        assert_eq!(&fs::read(pack).unwrap(), bytes);
    }
    let again = json(&both(&["key", "rotate", "--json"]));
    let again = of_type(&again, "summary")[0];
    assert_eq!((&again["epoch"], &again["new"], &again["finished"]), (&2.into(), &true.into(), &true.into()));
    assert_eq!((&again["users"], &again["name_keys_kept"]), (&2.into(), &2.into()));

    both(&["verify", "--level", "restore"]);
    both(&["restore", "latest", "--to", "mine"]);
    let as_nina = |words: &[&str]| {
        let mut command =
            world.command(&[words, &["--user", "nina", "--passphrase-file", "nf", "--key-file", "nk"]].concat());
        ran(&mut command)
    };
    let restored = as_nina(&["restore", "latest", "--to", "hers"]);
    assert_eq!(restored.code, 0, "{restored:?}");
    let refused = as_nina(&["key", "rotate"]);
    assert_eq!((refused.code, refused.out.as_str()), (5, ""), "{refused:?}");

    let log = json(&both(&["log", "show", "--json"]));
    let rotations: Vec<_> = log.iter().filter(|entry| entry["operation"] == "Key.Rotate").collect();
    let statuses: Vec<_> = rotations.iter().map(|entry| entry["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["INTENT", "SUCCESS", "INTENT", "SUCCESS", "DENIED"], "{rotations:?}");
    let shown = both(&["log", "show"]);
    assert!(shown.contains("Key.Rotate"), "{shown}");
}

#[test]
fn who_has_not_rotated_for_too_long_is_told() {
    let world = World::backed_up();
    let info = json(&world.ok(&["info", "--json"])).pop().unwrap();
    assert_eq!(
        (&info["key_epoch"], &info["keys_overdue"], &info["rotating"]),
        (&0.into(), &false.into(), &false.into())
    );
    let days = |info: &serde_json::Value| {
        let time = |key: &str| info[key].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>();
        (time("keys_due").unwrap() - time("keys_since").unwrap()).num_days()
    };
    assert_eq!(days(&info), 90);
    fs::write(world.path("sb.toml"), "[keys]\nrotate-after = \"0d\"\n").unwrap();
    for words in [&["backup", "firm"][..], &["verify"], &["info"], &["info", "--public"], &["key", "list"]] {
        let quiet = ran(&mut world.command(words));
        assert!(quiet.code == 0 && !quiet.err.contains("rotate"), "{words:?}: {quiet:?}");
        let told = ran(&mut world.command(&[words, &["--config", "sb.toml"]].concat()));
        assert_eq!(told.code, 0, "{words:?}: {told:?}");
        let lines: Vec<_> = told.err.lines().filter(|line| line.contains("sb key rotate")).collect();
        assert!(
            matches!(lines.as_slice(), [line] if line.starts_with("sb: warning: the keys are in use since ")),
            "{told:?}"
        );
        let told = ran(&mut world.command(&[words, &["--config", "sb.toml", "--json"]].concat()));
        assert_eq!(json(&told.out).pop().unwrap()["keys_overdue"], true, "{words:?}");
    }
    assert!(world.ok(&["info"]).contains("epoch 0, in use since "));
    world.ok(&["key", "rotate"]);
    let info = json(&world.ok(&["info", "--json"])).pop().unwrap();
    assert_eq!((&info["key_epoch"], days(&info)), (&1.into(), 90));
    fs::write(world.path("bad.toml"), "[keys]\nrotate-after = \"soon\"\n").unwrap();
    let bad = world.run(&["info", "--config", "bad.toml"]);
    assert!(bad.code == 2 && bad.err.contains("line 2") && bad.err.contains("`soon` is no span of time"), "{bad:?}");
}
