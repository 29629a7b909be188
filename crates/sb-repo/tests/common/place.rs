//! Restoring into folders, and looking at what is there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sb_repo::{Deed, Monitor, Progress, RepoError, RestoreOptions, RestoreReport, Vault};
use sb_source::{MemorySource, Target};
use sb_store::MemoryStorage;

use super::meddler::heard_by;
use super::{Machine, new_vault, options};

pub fn backed_up(seed: u64, source: &MemorySource) -> Vault {
    let machine = Machine::new(seed);
    let (mut vault, _) = new_vault(&machine, Arc::new(MemoryStorage::new()));
    vault.backup(source, &options(), Progress::none()).unwrap();
    vault
}

pub fn restore_as(
    vault: &Vault,
    path: &str,
    to: &Path,
    options: RestoreOptions,
    monitor: &dyn Monitor,
) -> Result<RestoreReport, RepoError> {
    let reader = vault.reader(Progress::none()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    reader.restore(&snapshot, path.as_bytes(), &Target::create(to).unwrap(), options, heard_by(monitor))
}

pub fn restore(vault: &Vault, path: &str, to: &Path, options: RestoreOptions) -> RestoreReport {
    restore_as(vault, path, to, options, &sb_repo::Silent).unwrap()
}

/// Everything below a folder: kind, mode, time, content, and which file it is where it has several names.
pub fn look(folder: &Path) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>, u64)> {
    let mut seen = BTreeMap::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let stat = path.symlink_metadata().unwrap();
            let content = match stat.file_type() {
                kind if kind.is_file() => fs::read(&path).unwrap(),
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                _ => Vec::new(),
            };
            if stat.is_dir() {
                waiting.push(path.clone());
            }
            let links = if stat.is_dir() { 0 } else { stat.nlink() };
            let place = path.strip_prefix(folder).unwrap().to_path_buf();
            seen.insert(place, (stat.mode(), stat.mtime_nsec() + stat.mtime() * 1_000_000_000, content, links));
        }
    }
    seen
}

pub fn names(folder: &Path) -> Vec<String> {
    look(folder).into_keys().map(|path| path.to_str().unwrap().to_owned()).collect()
}

/// Keeps what it hears of each entry.
#[derive(Debug, Default)]
pub struct Ear(Mutex<Vec<(Deed, String)>>);

impl Monitor for Ear {
    fn restored(&self, deed: Deed, path: &[u8]) {
        self.0.lock().unwrap().push((deed, String::from_utf8_lossy(path).into_owned()));
    }
}

impl Ear {
    pub fn heard(&self, deed: Deed) -> Vec<String> {
        self.0.lock().unwrap().iter().filter(|(heard, _)| *heard == deed).map(|(_, path)| path.clone()).collect()
    }
}
