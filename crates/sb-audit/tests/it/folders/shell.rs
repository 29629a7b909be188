//! Folders on a disk, and `verify.sh` run in them as an auditor runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Files;

/// A folder that is gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sb-audit-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn with(files: &Files) -> Self {
        let scratch = Self::new();
        for (name, bytes) in files {
            let path = scratch.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        scratch
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Runs the script of this crate with nothing in the environment; its exit status and what it prints.
    pub(crate) fn verify(&self, arguments: &[&str]) -> (i32, String) {
        self.run(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/folder/verify.sh")), arguments)
    }

    /// The same with this script.
    pub(crate) fn run(&self, script: &Path, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new("/usr/bin/env");
        command.args(["-i", "PATH=/usr/bin:/bin", "sh"]).arg(script).args(arguments).current_dir(&self.0);
        let output = command.output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&printed).into_owned())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
