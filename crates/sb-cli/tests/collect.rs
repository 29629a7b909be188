//! `sb forget` and `sb collect`, as people use them.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

mod common;

use std::fs;

use common::{World, json, of_type};

/// Backs up the firm so many times, each time with something new, and something large the last but one time.
fn worked(days: usize) -> World {
    let world = World::new();
    for day in 0..days {
        fs::write(world.path("firm/today"), format!("written on day {day}")).unwrap();
        if day + 2 == days {
            let mut dice = 88_172_645_463_325_252u64;
            let noise = (0..400_000).map(|_| {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                dice.to_le_bytes()[3]
            });
            fs::write(world.path("firm/large"), noise.collect::<Vec<u8>>()).unwrap();
        } else {
            let _ = fs::remove_file(world.path("firm/large"));
        }
        world.ok(&["backup", "firm"]);
    }
    world
}

fn ids(world: &World) -> Vec<String> {
    let listed = json(&world.ok(&["snapshots", "--json"]));
    of_type(&listed, "snapshot").iter().map(|s| s["snapshot_id"].as_str().unwrap().to_owned()).collect()
}

/// The size of the vault but for its logs, which only grow.
fn size(world: &World) -> u64 {
    fn of(folder: &std::path::Path) -> u64 {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { of(&path) } else { fs::metadata(&path).unwrap().len() }).sum()
    }
    of(&world.path("vault")) - of(&world.path("vault/log"))
}

#[test]
fn what_is_named_is_forgotten_and_collecting_frees_its_space() {
    let world = worked(3);
    let all = ids(&world);
    let said = world.ok(&["forget", "latest~1", &all[0]]);
    assert!(said.contains("goes") && said.contains(&all[1][..8]) && said.contains(&all[0][..8]), "{said}");
    assert!(said.ends_with("forgot 2 snapshots\n`sb collect` frees the space that only they needed\n"), "{said}");
    assert_eq!(ids(&world), all[2..]);
    let before = size(&world);
    let trial = world.ok(&["collect", "--dry-run"]);
    assert!(trial.contains("would free ") && size(&world) == before, "{trial}");
    let said = world.ok(&["collect"]);
    assert!(said.contains("went through 1 snapshot\n") && said.contains("\nfreed "), "{said}");
    assert!(size(&world) + 400_000 < before, "{} of {before}", size(&world));
    world.ok(&["verify"]);
    world.ok(&["restore", "latest", "--to", "back", "--quiet"]);
    let back = world.path("back").join(world.path("firm/today").strip_prefix("/").unwrap());
    assert_eq!(fs::read_to_string(back).unwrap(), "written on day 2");
}

#[test]
fn rules_say_what_stays_and_why() {
    let world = worked(4);
    let all = ids(&world);
    let trial = world.ok(&["forget", "--keep-last", "2", "--keep-yearly", "5", "--dry-run"]);
    assert!(trial.contains(": 2 snapshots stay, 2 go\n"), "{trial}");
    assert!(trial.contains("last, yearly") && trial.contains("would go"), "{trial}");
    assert!(trial.ends_with("would forget 2 snapshots\n"), "{trial}");
    assert_eq!(ids(&world), all);
    let done = json(&world.ok(&["forget", "--keep-last", "2", "--collect", "--max-unused", "0", "--json"]));
    let decided = of_type(&done, "decision");
    let kept: Vec<&str> =
        decided.iter().filter(|s| s["keep"] == true).map(|s| s["snapshot_id"].as_str().unwrap()).collect();
    assert_eq!(kept, [&all[3], &all[2]], "newest first");
    assert!(decided.iter().filter(|s| s["keep"] == true).all(|s| s["reasons"][0] == "last"));
    let summary = of_type(&done, "summary")[0].clone();
    assert_eq!((&summary["forgotten"], &summary["kept"]), (&2.into(), &2.into()));
    assert!(summary["collected"]["freed_bytes"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(ids(&world), all[2..]);
    world.ok(&["tag", "latest~1", "--add", "audit", "--add", "2025"]);
    let mistaken = "sb: no snapshot is tagged `audit,2026`. Nothing was forgotten. `sb snapshots` shows the tags there are; \
                    `--keep-tag a,b` keeps what has both; for a policy that names a tag before any snapshot has it there is --allow-unused-tags.";
    world.fails(&["forget", "--keep-tag", "audit,2026", "--keep-last", "1"], 2, mistaken);
    assert_eq!(ids(&world), all[2..]);
    world.ok(&["forget", "--keep-tag", "pinned", "--allow-unused-tags", "--keep-last", "9"]);
    assert_eq!(ids(&world), all[2..]);
    world.ok(&["forget", "--keep-tag", "2025,audit", "--keep-within-daily", "0d"]);
    assert_eq!(ids(&world), all[2..], "the newest day has one, and the other has both tags");
    world.ok(&["forget", "--keep-tag", "audit", "--group-by", ""]);
    assert_eq!(ids(&world), all[2..3]);
    world.ok(&["verify"]);
}

#[test]
fn rules_look_only_at_what_they_are_told_to() {
    let world = worked(2);
    world.ok(&["backup", "firm", "--host", "elsewhere", "--tag", "special"]);
    world.ok(&["backup", "firm", "--host", "elsewhere"]);
    let all = ids(&world);
    for filter in [["--host", "nowhere"], ["--tag", "none"], ["--path", "home"]] {
        let said = world.ok(&[&["forget", "--keep-last", "1"][..], &filter].concat());
        assert_eq!(said, "forgot 0 snapshots\n", "{filter:?}");
    }
    world.ok(&["forget", "--keep-last", "1", "--host", "elsewhere", "--path", "firm/miller"]);
    assert_eq!(ids(&world), [&all[..2], &all[3..]].concat());
}

#[test]
fn collecting_has_the_name_that_people_know_and_says_what_it_did() {
    let world = worked(3);
    world.ok(&["forget", "latest~1", "latest~2", "--quiet"]);
    let summary = json(&world.ok(&["prune", "--max-unused", "unlimited", "--json"]));
    let summary = of_type(&summary, "summary")[0].clone();
    assert_eq!((&summary["snapshots"], &summary["dry_run"]), (&1.into(), &false.into()));
    assert!(summary["packs_deleted"]["count"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(summary["packs_rewritten"]["count"], 0);
    let quiet = world.ok(&["collect", "--quiet"]);
    assert!(quiet.starts_with("freed ") && quiet.lines().count() == 1, "{quiet}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let world = worked(1);
    let nothing = "sb: neither snapshots nor a rule to keep some is given. Name snapshots, or give at least one of the --keep \
                   options; --dry-run shows what that would do.";
    world.fails(&["forget"], 2, nothing);
    world.fails(&["forget", "--host", "x"], 2, nothing);
    world.fails(&["forget", "0000"], 1, "sb: no snapshot `0000`. `sb snapshots` lists those there are.");
    for arguments in [
        &["forget", "latest", "--keep-last", "1"][..],
        &["forget", "latest", "--host", "x"],
        &["forget", "--keep-last", "0"],
        &["forget", "--keep-within", "soon"],
        &["forget", "--keep-last", "1", "--group-by", "user"],
        &["collect", "--max-unused", "much"],
    ] {
        assert_eq!(world.run(arguments).code, 2, "{arguments:?}");
    }
    assert_eq!(ids(&world).len(), 1);
}

#[test]
fn a_damaged_vault_is_not_collected_until_what_is_damaged_is_given_up() {
    let world = worked(2);
    let all = ids(&world);
    let snapshot = world.path("vault/snapshots").join(&all[0]);
    let mut bytes = fs::read(&snapshot).unwrap();
    bytes[100] ^= 1;
    fs::write(&snapshot, bytes).unwrap();
    let before = size(&world);
    world.fails(
        &["collect"],
        4,
        &format!(
            "sb: cannot tell what is still needed, so nothing was deleted: `snapshots/{}`: its bytes do not have the SHA-256 in \
             its name. `sb verify` shows what is damaged; if that cannot be mended, `sb forget` with the snapshot's id gives it \
             up, and then collecting goes on.",
            all[0]
        ),
    );
    assert_eq!(size(&world), before);
    let said = world.ok(&["forget", &all[0][..10]]);
    assert!(said.contains("damaged"), "{said}");
    world.ok(&["collect"]);
    world.ok(&["verify"]);
    assert_eq!(ids(&world), all[1..]);
}

#[test]
fn while_a_collection_runs_elsewhere_another_gives_way() {
    let world = worked(3);
    world.ok(&["forget", "latest~1"]);
    // A machine that dies in the middle of its collection: what it has put up stays.
    let (fences, leases) = (world.path("vault/fences"), world.path("vault/leases"));
    let watcher = std::thread::spawn({
        let (fences, leases, kept) = (fences.clone(), leases.clone(), world.path("kept"));
        move || {
            fs::create_dir_all(&kept).unwrap();
            let mut seen = 0;
            for _ in 0..200_000 {
                for folder in [&fences, &leases] {
                    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
                        let copy = kept.join(format!("{name}~{}", entry.file_name().to_string_lossy()));
                        if !copy.exists() && fs::copy(entry.path(), &copy).is_ok() {
                            seen += 1;
                        }
                    }
                }
                if seen >= 2 {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_micros(50));
            }
        }
    });
    world.ok(&["collect"]);
    watcher.join().unwrap();
    for entry in fs::read_dir(world.path("kept")).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().replace('~', "/");
        fs::create_dir_all(world.path("vault").join(&name).parent().unwrap()).unwrap();
        fs::copy(entry.path(), world.path("vault").join(&name)).unwrap();
    }
    let elsewhere = ["collect", "--json"];
    let mut command = world.command(&elsewhere);
    let ran = common::ran(command.env("SB_STATE_DIR", world.path("other-state")));
    assert_eq!(ran.code, 11, "{ran:?}");
    assert!(
        ran.err.contains("another collection or rotation of this vault began at ")
            && ran.err.contains("two days later"),
        "{ran:?}"
    );
    // On its own machine it is known to be dead.
    world.ok(&["collect"]);
    world.ok(&["verify"]);
}
