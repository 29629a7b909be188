//! The folder in which vaults, caches and restored trees lie while they are measured.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::trees;
use crate::failure::Failure;
use crate::program;

/// Files from this size on give back their space as soon as they are thrown away.
const LARGE: u64 = 256 << 10;
/// Making a file is quick if it takes no longer, and until it does, is tried again after a while.
const QUICK: Duration = Duration::from_micros(120);
const WHILE: Duration = Duration::from_secs(20);
const SETTLE_FOLDERS: u32 = 64;
const SETTLE_FILES: u32 = 16;

/// A folder for one run, which goes when the run is over.
#[derive(Debug)]
pub(crate) struct Lab {
    folder: PathBuf,
}

impl Lab {
    pub(crate) fn new(parent: &Path) -> Result<Self, Failure> {
        let parent = std::path::absolute(parent).map_err(failed(parent))?;
        let folder = parent.join(format!("run-{}", std::process::id()));
        let lab = Self { folder };
        lab.folder("trash")?;
        Ok(lab)
    }

    /// The folder of this path below, which is made if need be.
    pub(crate) fn folder(&self, path: impl AsRef<Path>) -> Result<PathBuf, Failure> {
        let folder = self.folder.join(path);
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        Ok(folder)
    }

    /// Takes all that is in `folder` out of the way, so that it is empty.
    pub(crate) fn empty(&self, folder: &Path) -> Result<(), Failure> {
        self.throw_away(folder)?;
        fs::create_dir_all(folder).map_err(failed(folder))
    }

    /// Takes `folder` out of the way.
    ///
    /// ext4 is slow to make files for minutes after many were deleted, so nothing is deleted before the run is over; only
    /// large files give back their space.
    pub(crate) fn throw_away(&self, folder: &Path) -> Result<(), Failure> {
        if !folder.exists() {
            return Ok(());
        }
        for file in trees::files(folder)?.iter().filter(|file| file.size >= LARGE) {
            truncate(&folder.join(&file.path))?;
        }
        let trash = self.folder.join("trash");
        let number = fs::read_dir(&trash).map_err(failed(&trash))?.count();
        fs::rename(folder, trash.join(number.to_string())).map_err(failed(folder))
    }

    /// Takes what a tree's measuring has left out of the way.
    pub(crate) fn clear(&self, tree: &str) -> Result<(), Failure> {
        self.throw_away(&self.folder.join(tree))
    }

    /// Fails where there is less space than this.
    pub(crate) fn need(&self, bytes: u64) -> Result<(), Failure> {
        let text = program::output(Command::new("df").args(["--output=avail", "--block-size=1"]).arg(&self.folder))?;
        let free = text.lines().nth(1).and_then(|line| line.trim().parse::<u64>().ok()).unwrap_or(u64::MAX);
        if free >= bytes {
            return Ok(());
        }
        let what = format!("{} MB of free space in `{}`", bytes / 1_000_000, self.folder.display());
        Err(Failure::Missing { what, hint: "name a folder on another disk with `--lab DIR`" })
    }

    /// Waits until making files is as quick as ever, but no longer than this.
    pub(crate) fn settle(&self, limit: Duration) -> Result<(), Failure> {
        let started = Instant::now();
        let mut round = 0;
        while started.elapsed() < limit {
            let folder = self.folder.join("trash").join(format!("settle-{round}"));
            let before = Instant::now();
            make_files(&folder).map_err(failed(&folder))?;
            if before.elapsed() < QUICK * SETTLE_FOLDERS * SETTLE_FILES {
                break;
            }
            thread::sleep(WHILE.min(limit.saturating_sub(started.elapsed())));
            round += 1;
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // What is left is named by the folder's name, and there is nobody to tell.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Empties a file, unless it is a name of one that lies outside as well.
fn truncate(path: &Path) -> Result<(), Failure> {
    let metadata = fs::symlink_metadata(path).map_err(failed(path))?;
    if metadata.nlink() > 1 {
        return Ok(());
    }
    fs::File::options().write(true).truncate(true).open(path).map(drop).map_err(failed(path))
}

fn make_files(folder: &Path) -> io::Result<()> {
    for one in 0..SETTLE_FOLDERS {
        let below = folder.join(one.to_string());
        fs::create_dir_all(&below)?;
        for other in 0..SETTLE_FILES {
            fs::File::create(below.join(other.to_string()))?;
        }
    }
    Ok(())
}

/// Reads all files in a folder, so that they are in memory.
pub(crate) fn warm(folder: &Path) -> Result<(), Failure> {
    for file in trees::files(folder)? {
        let path = folder.join(file.path);
        let mut file = fs::File::open(&path).map_err(failed(&path))?;
        io::copy(&mut file, &mut io::sink()).map_err(failed(&path))?;
    }
    Ok(())
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |source| Failure::Io { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_thrown_away_is_gone_when_the_run_is_over() {
        let parent = std::env::temp_dir().join(format!("xtask-lab-{}", std::process::id()));
        let lab = Lab::new(&parent).unwrap();
        let folder = lab.folder("small/vault").unwrap();
        fs::write(folder.join("large"), vec![1; LARGE as usize]).unwrap();
        fs::write(folder.join("little"), "1").unwrap();
        warm(&folder).unwrap();
        lab.empty(&folder).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        assert_eq!(trees::bytes(&lab.folder).unwrap(), 1);
        lab.settle(Duration::from_millis(1)).unwrap();
        lab.clear("small").unwrap();
        assert!(lab.need(1).is_ok());
        assert!(lab.need(u64::MAX / 2).unwrap_err().to_string().contains("free space"));
        drop(lab);
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        fs::remove_dir_all(parent).unwrap();
    }
}
