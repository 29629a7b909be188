//! What is remembered, where, and what is not.

use std::io::{Read, Seek};

use super::*;
use sb_crypto::sha256;

fn states() -> (tempfile::TempDir, [State; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&folder.path().join("a/b")).unwrap();
    (folder, [state, State::in_memory()])
}

/// Names and contents.
fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    files
}

#[test]
fn log_key_and_heads_are_remembered() {
    let (_folder, states) = states();
    for state in states {
        assert!(state.log_key().unwrap().is_none());
        let key = SigningKey::from_seed(&[7; 32]);
        state.set_log_key(&key).unwrap();
        assert_eq!(state.log_key().unwrap().unwrap().public(), key.public());
        assert_eq!(state.remembered().unwrap(), Remembered::default());
        let head = Head { sequence: 41, digest: sha256(b"entry") };
        let heads = BTreeMap::from([(KeyId::new([3; 16]), head)]);
        let end = LogEnd { head: TreeHead { size: 9, root: sha256(b"tree") }, first: 7, digest: sha256(b"batch") };
        let logs = BTreeMap::from([(KeyId::new([4; 16]), end)]);
        let remembered = Remembered { root: Some(sha256(b"root")), heads, logs };
        state.remember(&remembered).unwrap();
        assert_eq!(state.remembered().unwrap(), remembered);
    }
}

#[test]
fn a_run_is_alive_while_it_is_held() {
    let (_folder, states) = states();
    for state in states {
        let run = RunId::new([1; 8]);
        assert!(!state.is_alive(run).unwrap());
        let guard = state.hold(run).unwrap();
        assert!(state.is_alive(run).unwrap());
        drop(guard);
        assert!(!state.is_alive(run).unwrap());
        drop(state.lock_journal().unwrap());
        drop(state.lock_journal().unwrap());
    }
}

#[test]
fn who_only_rehearses_reads_and_changes_nothing() {
    let (folder, states) = states();
    for state in states {
        let vault = VaultId::new([5; 16]);
        let (key, run) = (SigningKey::from_seed(&[7; 32]), RunId::new([1; 8]));
        state.set_log_key(&key).unwrap();
        let cache = |state: &State, bytes: &[u8]| {
            let mut cache = state.create_cache().unwrap();
            cache.write_all(bytes).and_then(|()| cache.flush()).unwrap();
            cache
        };
        cache(&state, b"known").keep(&["a".to_owned()]).unwrap();
        let alive = state.hold(run).unwrap();
        let files = || files_below(&folder.path().join("a/b"));
        let before = files();

        let rehearsing = state.rehearsing().bound(vault).unwrap();
        assert_eq!(rehearsing.log_key().unwrap().unwrap().public(), key.public());
        assert!(rehearsing.is_alive(run).unwrap() && rehearsing.knows(vault));
        rehearsing.set_log_key(&SigningKey::from_seed(&[8; 32])).unwrap();
        rehearsing.remember(&Remembered { root: Some(sha256(b"root")), ..Remembered::default() }).unwrap();
        rehearsing.remove_cache("a");
        cache(&rehearsing, b"other").keep(&["a".to_owned()]).unwrap();
        let _guards = (rehearsing.lock_journal().unwrap(), rehearsing.hold(RunId::new([2; 8])).unwrap());
        let read = |mut bytes: Box<dyn CacheBytes>| {
            let mut text = String::new();
            bytes.rewind().unwrap();
            bytes.read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!(read(cache(&rehearsing, b"mine").open(Some("a")).unwrap()), "mine");
        assert_eq!(read(rehearsing.open_cache("a").unwrap()), "known");
        assert_eq!(files(), before);
        assert_eq!(state.remembered().unwrap(), Remembered::default());
        assert_eq!(state.log_key().unwrap().unwrap().public(), key.public());
        assert!(!state.is_alive(RunId::new([2; 8])).unwrap());
        drop(alive);
        assert!(!rehearsing.is_alive(run).unwrap());
    }
    // What is left of a run that died stays for the next real one.
    let dead = folder.path().join(format!("a/b/{}.run", RunId::new([3; 8])));
    fs::write(&dead, b"").unwrap();
    let state = State::open(&folder.path().join("a/b")).unwrap();
    assert!(!state.rehearsing().is_alive(RunId::new([3; 8])).unwrap() && dead.exists());
    assert!(!state.is_alive(RunId::new([3; 8])).unwrap() && !dead.exists());
    assert_eq!(format!("{:?}", state.rehearsing()), format!("{state:?}"));
}

#[test]
#[cfg(unix)]
fn the_log_key_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, [state, _]) = states();
    state.set_log_key(&SigningKey::from_seed(&[7; 32])).unwrap();
    let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("a/b"), mode("a/b/log.key")), (0o700, 0o600));
}

#[test]
fn damaged_state_is_reported() {
    let (folder, [state, _]) = states();
    fs::write(folder.path().join("a/b/log.key"), b"short").unwrap();
    fs::write(folder.path().join("a/b/heads"), b"not a head").unwrap();
    assert!(matches!(state.log_key(), Err(RepoError::State { action: "read", .. })));
    assert!(matches!(state.remembered(), Err(RepoError::State { action: "read", .. })));
    fs::write(folder.path().join("file"), b"").unwrap();
    assert!(matches!(State::open(&folder.path().join("file/x")), Err(RepoError::State { action: "create", .. })));
}
