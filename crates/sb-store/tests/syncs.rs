//! What the operating system is asked for, in which order: nothing but this tells a disk that syncs from one that says so.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use sb_store::{LocalStorage, ObjectName, Storage, create};

const CALLS: &str =
    "trace=fsync,fdatasync,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,write,pwrite64";

/// Tells the run under `strace` what folder to use.
const FOLDER: &str = "SB_STORE_TEST_TRACED";

fn use_storage(folder: &Path) {
    let storage = LocalStorage::create(folder.join("new/v")).unwrap();
    let [config, pack] = ["config", "packs/aa/1"].map(|name| ObjectName::new(name).unwrap());
    create(&storage, &pack, b"bytes").unwrap();
    create(&storage, &config, b"bytes").unwrap();
    create(&storage, &config, b"other").unwrap_err();
    storage.remove(&config).unwrap();
    storage.remove(&config).unwrap_err();
    storage.sweep().unwrap();
}

/// A successful call in a line of `strace -f -y`: a verb and the paths as seen from `folder`, `*` for temporary names.
fn event(line: &str, folder: &str) -> Option<String> {
    // `1234  fsync(3</folder/new/v/tmp/5-a>) = 0`
    let (_, call) = line.trim_start().split_once(' ')?;
    let (call, result) = call.rsplit_once(" = ")?;
    if result.starts_with('-') {
        return None;
    }
    let (call, arguments) = call.trim_start().split_once('(')?;
    let verb = match call {
        "write" | "pwrite64" => "write",
        "fsync" | "fdatasync" => "sync",
        "mkdir" | "mkdirat" => "make",
        "rename" | "renameat" | "renameat2" | "link" | "linkat" => "name",
        _ => "remove",
    };
    let paths: Vec<_> = arguments.split(['"', '<', '>']).filter_map(|part| part.strip_prefix(folder)).collect();
    let shown = paths.iter().map(|path| if path.starts_with("/new/v/tmp/") { "/new/v/tmp/*" } else { path });
    (!paths.is_empty()).then(|| shown.fold(verb.to_owned(), |event, path| event + " " + path))
}

#[test]
#[ignore = "needs strace"]
fn everything_is_synced_before_it_is_relied_on() {
    if let Some(folder) = env::var_os(FOLDER) {
        return use_storage(Path::new(&folder));
    }
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().canonicalize().unwrap();
    let log = folder.join("log");
    let output = Command::new("strace")
        .args(["-f", "-y", "-s", "4096", "-e", CALLS, "-e", "signal=none", "-o"])
        .arg(&log)
        .arg(env::current_exe().unwrap())
        .args(["--exact", "everything_is_synced_before_it_is_relied_on", "--ignored"])
        .env(FOLDER, &folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let log = fs::read_to_string(log).unwrap();
    let events: Vec<_> = log.lines().filter_map(|line| event(line, folder.to_str().unwrap())).collect();
    let expected = [
        "make /new",
        "sync ",
        "make /new/v",
        "sync /new",
        // A new object in new folders.
        "make /new/v/tmp",
        "write /new/v/tmp/*",
        "sync /new/v/tmp/*",
        "make /new/v/packs",
        "sync /new/v",
        "make /new/v/packs/aa",
        "sync /new/v/packs",
        "name /new/v/tmp/* /new/v/packs/aa/1",
        "sync /new/v/packs/aa",
        // Another in a folder that is there, and one whose name is taken.
        "write /new/v/tmp/*",
        "sync /new/v/tmp/*",
        "name /new/v/tmp/* /new/v/config",
        "sync /new/v",
        "write /new/v/tmp/*",
        "sync /new/v/tmp/*",
        "sync /new/v",
        "remove /new/v/tmp/*",
        // A removal, which is repeated.
        "remove /new/v/config",
        "sync /new/v",
        "sync /new/v",
        // A sweep.
        "sync /new/v",
        "sync /new/v/packs",
        "sync /new/v/packs/aa",
    ];
    assert_eq!(events, expected);
}
