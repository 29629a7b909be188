//! What this machine has of what tests need, and what may be installed on it.

use std::collections::HashMap;
use std::env;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program;

/// Programs that tests need, and the Debian packages that have them.
const PACKAGES: [(&str, &str); 8] = [
    ("getfattr", "attr"),
    ("setfattr", "attr"),
    ("getfacl", "acl"),
    ("setfacl", "acl"),
    ("openssl", "openssl"),
    ("perl", "perl-base"),
    ("strace", "strace"),
    ("time", "time"),
];

/// The machine the tests run on.
#[derive(Debug)]
pub(crate) struct Machine {
    corpus: Option<PathBuf>,
    may_install: bool,
    lists_are_fresh: bool,
    installed: HashMap<String, bool>,
    /// Whether a file system can be mounted, once that was tried.
    mounts: Option<bool>,
}

impl Machine {
    /// Looks for the corpus in `SB_CORPUS`, then beside the checkout. Debian packages are installed only as root, and
    /// only where `CI=true` says that the machine is nobody's own, or the caller was told to.
    pub(crate) fn inspect(root: &Path, told_to_install: bool) -> Self {
        let beside = root.join("../shared/corpus");
        let corpus = env::var_os("SB_CORPUS").map_or(beside, PathBuf::from).canonicalize().ok();
        let may_install = is_root() && (told_to_install || env::var_os("CI").is_some_and(|value| value == "true"));
        Self { corpus, may_install, lists_are_fresh: false, installed: HashMap::new(), mounts: None }
    }

    /// The folder with real documents, if it is there.
    pub(crate) fn corpus(&self) -> Option<&Path> {
        self.corpus.as_deref()
    }

    /// Whether the reason a test is ignored for, `needs … and …`, holds no longer; installs what is missing if it may.
    pub(crate) fn satisfies(&mut self, reason: &str) -> bool {
        let Some(needs) = reason.strip_prefix("needs ") else { return false };
        needs.split(" and ").all(|need| match need {
            "the corpus" => self.corpus.is_some(),
            "root" => is_root(),
            "mounting" => *self.mounts.get_or_insert_with(mounts),
            program => self.has_program(program),
        })
    }

    fn has_program(&mut self, program: &str) -> bool {
        if program::find(program).is_some() {
            return true;
        }
        let package = PACKAGES.iter().find(|(name, _)| *name == program).map(|(_, package)| *package);
        package.is_some_and(|package| self.install(package))
    }

    /// Installs a Debian package, once, if that is allowed here. Whether it is installed now.
    pub(crate) fn install(&mut self, package: &str) -> bool {
        if let Some(&known) = self.installed.get(package) {
            return known;
        }
        let installed = self.may_install && self.refresh_lists() && apt(&["install", "--yes", package]);
        self.installed.insert(package.to_owned(), installed);
        installed
    }

    fn refresh_lists(&mut self) -> bool {
        self.lists_are_fresh = self.lists_are_fresh || apt(&["update"]);
        self.lists_are_fresh
    }
}

fn apt(arguments: &[&str]) -> bool {
    let mut command = Command::new("apt-get");
    command.args(["--quiet", "--no-install-recommends"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command.stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Tries it: root in a container often may not.
fn mounts() -> bool {
    let folder = env::temp_dir().join(format!("xtask-mount-{}", std::process::id()));
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).arg(&folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let mounted = std::fs::create_dir(&folder).is_ok()
        && run("mount", &["-t", "tmpfs", "-o", "size=1m", "none"])
        && run("umount", &[]);
    // Fails, as it should, on what is still mounted.
    let _ = std::fs::remove_dir(&folder);
    mounted
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare() -> Machine {
        Machine { corpus: None, may_install: false, lists_are_fresh: false, installed: HashMap::new(), mounts: None }
    }

    #[test]
    fn a_need_is_the_corpus_root_or_a_program() {
        let mut machine = bare();
        assert!(machine.satisfies("needs sh"));
        assert_eq!(machine.satisfies("needs root"), is_root());
        assert!(!machine.satisfies("needs the corpus"));
        assert!(!machine.satisfies("needs no-such-program-anywhere"));
        assert!(!machine.satisfies("long: cargo xtask sim"));
        assert!(machine.satisfies("needs sh and ls"));
        assert!(!machine.satisfies("needs sh and no-such-program-anywhere"));
        assert!(!machine.satisfies("needs no-such-program-anywhere and sh"));
        machine.corpus = Some(PathBuf::from("/"));
        assert!(machine.satisfies("needs the corpus"));
    }

    #[test]
    fn mounting_is_tried_once_and_leaves_nothing() {
        let mut machine = bare();
        let mounts = machine.satisfies("needs mounting");
        assert_eq!(machine.mounts, Some(mounts));
        assert!(is_root() || !mounts);
        assert!(!env::temp_dir().join(format!("xtask-mount-{}", std::process::id())).exists());
        machine.mounts = Some(!mounts);
        assert_eq!(machine.satisfies("needs mounting"), !mounts);
    }

    #[test]
    fn nothing_is_installed_without_leave() {
        assert!(!bare().install("attr"));
    }
}
