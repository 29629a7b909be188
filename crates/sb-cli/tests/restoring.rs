//! A restore that is killed, and goes on.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use common::{AS_NOBODY, World, ran, sh};

/// Everything that there is to say of a tree but for its content.
const LOOK: &str = "find . -printf '%P|%y|%m|%s|%T@|%l|%n\\n' | LC_ALL=C sort";

/// A firm that takes a while to restore, with what is easily got wrong the second time.
fn large() -> World {
    let world = World::new();
    let script = "for d in 1 2 3 4 5 6 7 8; do mkdir -p firm/$d/deep; for n in $(seq 150); do \
                  head -c 20000 /dev/urandom > firm/$d/$n; ln -s ../$n firm/$d/deep/$n; done; done; \
                  ln firm/1/1 firm/8/linked; head -c 30000000 /dev/urandom > firm/large; chmod 500 firm/3; \
                  touch -d '2001-02-03 04:05:06.789 UTC' firm/4/4 firm/5/deep firm";
    assert_eq!(sh(&world.root, script).code, 0);
    world.ok(&["backup", "firm"]);
    world
}

/// How many whole files there are.
fn files(folder: &Path) -> usize {
    let Ok(lines) = fs::read_dir(folder) else { return 0 };
    let count = |line: fs::DirEntry| match line.file_type() {
        Ok(kind) if kind.is_dir() => files(&line.path()),
        Ok(kind) => usize::from(kind.is_file() && !line.file_name().as_encoded_bytes().starts_with(b".sb-")),
        Err(_) => 0,
    };
    lines.flatten().map(count).sum()
}

fn is_marked(folder: &Path) -> bool {
    let is_mark = |name: &str| name.starts_with(".sb-restore-unfinished-");
    fs::read_dir(folder).is_ok_and(|lines| lines.flatten().any(|line| line.file_name().to_str().is_some_and(is_mark)))
}

/// Waits for the first file, and kills the program as nothing else does.
fn kill_half_way(mut child: Child, target: &Path) {
    while files(target) == 0 && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_restore_that_was_killed_goes_on_where_it_was() {
    let world = large();
    let out = world.path("out");
    let restore = ["restore", &world.at("firm"), "--to", "out", "--overwrite", "if-changed"];
    let child = world.command(&restore).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    kill_half_way(child, &out);
    assert!(files(&out) < files(&world.path("firm")) && is_marked(&out), "it was killed half-way");
    // What a power cut does to what was written last.
    let torn = sh(
        &out,
        "f=$(find . -type f -not -name '.sb-*' | head -n 1); touch -r \"$f\" ../time; \
                         truncate -s 0 \"$f\"; truncate -s 20000 \"$f\"; touch -r ../time \"$f\"",
    );
    assert_eq!(torn.code, 0, "{torn:?}");
    let again = world.run(&[&restore[..], &["--delete"]].concat());
    assert_eq!((again.code, again.err.as_str()), (0, ""));
    assert!(again.out.contains("1 in place of what was there"), "{}", again.out);
    assert_eq!(sh(&world.root, "diff -r --no-dereference firm out").out, "");
    let look = |folder: &str| sh(&world.path(folder), LOOK).out;
    assert!(look("firm") == look("out"), "the folder itself has its metadata too");
    let third = world.ok(&restore);
    assert!(third.contains("restored 0 files and 0 folders to out") && !third.contains("in place"), "{third}");
}

#[test]
fn who_replaces_nothing_is_told_what_may_not_be_whole() {
    let world = World::backed_up();
    world.ok(&["restore", &world.at("firm"), "--to", "out"]);
    fs::write(world.path("out/.sb-restore-unfinished-0123456789abcdef"), "").unwrap();
    let restore = ["restore", &world.at("firm"), "--to", "out", "--overwrite"];
    let never = world.run(&[&restore[..], &["never"]].concat());
    assert!(never.code == 0 && never.err.starts_with("sb: an earlier restore here was cut short, "), "{never:?}");
    assert_eq!(world.run(&[&restore[..], &["if-changed"]].concat()).err, "");
}

#[test]
fn everything_comes_back_in_place() {
    let world = World::backed_up();
    fs::remove_dir_all(world.path("firm")).unwrap();
    let dry = world.ok(&["restore", "latest", "--in-place", "--dry-run"]);
    assert!(dry.starts_with("would restore 2 files and 3 folders in place"), "{dry}");
    let said = world.ok(&["restore", "latest:/", "--in-place"]);
    assert!(said.starts_with("restored 2 files and 3 folders in place"), "{said}");
    assert_eq!(fs::read(world.path("firm/note.txt")).unwrap(), b"remember");
    assert!(!is_marked(&world.root) && !is_marked(&world.path("firm")));
}

#[test]
fn what_is_in_the_way_of_a_folder_is_said() {
    let world = World::backed_up();
    fs::create_dir(world.path("out")).unwrap();
    fs::write(world.path("out/miller"), "in the way").unwrap();
    let restore = ["restore", &world.at("firm"), "--to", "out", "--overwrite"];
    let never = world.run(&[&restore[..], &["never"]].concat());
    assert_eq!(never.code, 3);
    assert!(
        never.err.starts_with("sb: `/miller` is not a folder\nsb: what is in the way of a folder can be moved"),
        "{never:?}"
    );
    let changed = world.ok(&[&restore[..], &["if-changed"]].concat());
    assert!(changed.contains("1 in place of what was there"), "{changed}");
    assert_eq!(sh(&world.root, "diff -r --no-dereference firm out").out, "");
}

#[test]
#[ignore = "needs root"]
fn only_copies_of_what_could_not_be_read_stay() {
    let world = World::bare();
    let script = "chmod 777 . && mkdir firm/closed && echo only > firm/closed/copy && chmod 000 firm/closed && \
                  echo only > firm/shut && chmod 000 firm/shut && chown -R 65534 .";
    assert_eq!(sh(&world.root, script).code, 0);
    let run = |arguments: &[&str]| ran(&mut world.wrapped(&AS_NOBODY, arguments));
    assert_eq!(run(&["init", "--quiet"]).code, 0);
    assert_eq!(run(&["backup", "firm"]).code, 3);
    fs::write(world.path("firm/extra"), "").unwrap();
    let firm = world.at("firm");
    let restore = world.run(&["restore", &firm, "--in-place", "--overwrite", "if-changed", "--delete"]);
    assert_eq!(restore.code, 3);
    assert!(restore.out.contains("  1 deleted, since"), "{}", restore.out);
    assert!(
        restore.err.contains("2 entries could not be read when it was made; what is there of them was not deleted")
    );
    assert!(
        world.path("firm/closed/copy").exists()
            && world.path("firm/shut").exists()
            && !world.path("firm/extra").exists()
    );
}

#[test]
#[ignore = "needs root"]
fn folders_that_let_nobody_through_get_their_permissions_last() {
    let world = World::new();
    let script = "chmod 777 . && for n in $(seq 400); do mkdir -p firm/$n/a/b; done; chown -Rh 65534:65534 firm && \
                  find firm -name b -exec chmod 700 {} + && find firm -name a -exec chmod 600 {} + && \
                  find firm -maxdepth 1 -mindepth 1 -type d -exec chmod 000 {} +";
    assert_eq!(sh(&world.root, script).code, 0);
    world.ok(&["backup", "firm"]);
    assert_eq!(sh(&world.root, "mkdir out && chown -R 65534 out vault state sb.key firm").code, 0);
    let restore = ran(&mut world.wrapped(&AS_NOBODY, &["restore", &world.at("firm"), "--to", "out/new"]));
    assert_eq!((restore.code, restore.err.as_str()), (0, ""));
    let look = |folder: &str| sh(&world.path(folder), "find . -mindepth 1 -type d -printf '%P %m %T@\\n' | sort").out;
    assert_eq!(look("firm"), look("out/new"));
}
