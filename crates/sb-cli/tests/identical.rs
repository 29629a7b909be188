//! A tree with every kind of entry comes back identical, as told by tools that are not ours.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(target_os = "linux")]

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A tree with everything that a Unix file system can hold.
const TREE: &str = r#"
set -e
mkdir -p folder/deep/deeper empty "name with spaces" 'büro'
printf 'content' > folder/file
printf 'x' > "$(printf 'folder/not-utf-8-\377\376')"
printf 'y' > "$(printf 'folder/line\nbreak')"
: > folder/nothing
head -c 300000 /dev/urandom > folder/deep/noise
ln folder/deep/noise folder/hard-link
ln folder/deep/noise folder/deep/deeper/another
ln -s ../file folder/deep/link
ln -s /nowhere/at/all folder/broken
truncate -s 5M sparse
printf 'in the middle' | dd of=sparse bs=1 seek=2000000 conv=notrunc status=none
dd if=/dev/zero of=zeros bs=64k count=4 status=none
mkfifo pipe
mknod zero c 1 5
mknod loop b 7 0
chown 1234:5678 folder/file folder/deep
chown -h 4321:8765 folder/deep/link
chmod 6755 folder/nothing
chmod 0000 zeros
chmod 1777 empty
chmod 0500 'name with spaces'
touch -d '1969-12-31 23:59:59.123456789 UTC' folder/file
touch -d '2038-01-20 00:00:00.000000001 UTC' folder/deep/noise
touch -h -d '2001-02-03 04:05:06.789 UTC' folder/deep/link
touch -d '2010-10-10 10:10:10.101010101 UTC' empty folder
"#;

fn sh(folder: &Path, script: &str) -> String {
    let output = Command::new("sh").arg("-c").arg(script).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn sb_command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sb"));
    command.args(arguments).env("SB_VAULT", home.join("vault")).env("SB_STATE_DIR", home.join("state"));
    command.env("SB_KEY_FILE", home.join("key"));
    command
}

fn sb(home: &Path, arguments: &[&str]) {
    let output = sb_command(home, arguments).output().unwrap();
    assert!(output.status.success(), "sb {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A tree with everything, backed up.
struct BackedUp {
    home: tempfile::TempDir,
    tree: PathBuf,
}

impl BackedUp {
    fn new(extra: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let tree = home.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        sh(&tree, TREE);
        UnixListener::bind(tree.join("socket")).unwrap();
        sh(&tree, extra);
        sb(home.path(), &["init"]);
        sb(home.path(), &["backup", "--quiet", tree.to_str().unwrap()]);
        Self { home, tree }
    }

    fn snapshot(&self) -> String {
        format!("latest:{}", self.tree.to_str().unwrap())
    }

    /// Compares what `look` says of the tree and of what was made of it.
    fn compare(&self, made: &Path, looks: &[&str]) {
        for look in looks {
            let (before, after) = (sh(&self.tree, look), sh(made, look));
            assert!(!before.trim().is_empty(), "{look} says nothing");
            assert!(before == after, "{look}\nbefore:\n{before}\nafter:\n{after}");
        }
        // Byte by byte; what diff can't read (pipes, devices) has been compared by its metadata.
        let tree = self.tree.display();
        let diff = format!("diff -r --no-dereference -x pipe -x zero -x loop -x socket {tree} . && echo same");
        assert_eq!(sh(made, &diff), "same\n");
    }
}

/// Makes a tree, backs it up, restores it, and compares what `looks` say of both.
fn compare(extra: &str, looks: &[&str]) {
    let backed_up = BackedUp::new(extra);
    let restored = backed_up.home.path().join("restored");
    sb(backed_up.home.path(), &["restore", "--quiet", &backed_up.snapshot(), "--to", restored.to_str().unwrap()]);
    backed_up.compare(&restored, looks);
}

/// The same by way of an archive that another program unpacks.
fn compare_unpacked(extra: &str, looks: &[&str]) {
    let backed_up = BackedUp::new(extra);
    let home = backed_up.home.path();
    let unpacked = home.join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let mut cat = sb_command(home, &["cat", &backed_up.snapshot()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let unpack = ["--xattrs", "--xattrs-include=*", "--same-owner", "--warning=no-timestamp", "-xpf", "-"];
    let tar =
        Command::new("tar").args(unpack).current_dir(&unpacked).stdin(cat.stdout.take().unwrap()).output().unwrap();
    let cat = cat.wait_with_output().unwrap();
    let warnings = String::from_utf8_lossy(&cat.stderr);
    assert!(
        cat.status.success() && warnings.trim_end().ends_with("/socket` is not in the archive: a socket"),
        "{warnings}"
    );
    assert!(tar.status.success() && tar.stderr.is_empty(), "{}", String::from_utf8_lossy(&tar.stderr));
    backed_up.compare(&unpacked.join("tree"), looks);
}

#[test]
#[ignore = "needs root"]
fn names_kinds_modes_owners_times_links_and_sizes() {
    let links = "find . -type f -links +1 -printf '%i %P\\n' | sort | awk '{ if ($1 != last) { group++; last = $1 } $1 = group; print }'";
    compare(
        "true",
        &[
            "find . -printf '%P|%y|%m|%U|%G|%T@|%l|%n\\n' | LC_ALL=C sort",
            "find . -type f -printf '%P %s %b\\n' | LC_ALL=C sort",
            "find . \\( -type c -o -type b \\) -exec stat -c '%n %t %T' {} + | LC_ALL=C sort",
            links,
        ],
    );
}

#[test]
#[ignore = "needs root and getfattr"]
fn extended_attributes() {
    let extra = r#"
        setfattr -n user.client -v acme folder/file
        setfattr -n user.binary -v 0x00ff00fe folder
        setfattr -n user.large -v "$(head -c 3000 /dev/zero | tr '\0' a)" folder/deep/noise
        setfattr -n trusted.secret -v root folder/file
        setfattr -h -n trusted.link -v link folder/deep/link
    "#;
    compare(extra, &["getfattr -R -P -h -d -m - -e hex . | LC_ALL=C sort"]);
}

#[test]
#[ignore = "needs root"]
fn an_archive_has_names_kinds_modes_owners_times_and_links() {
    let long = "d=$(printf 'folder-%0200d' 7); mkdir -p \"$d/$d\"; echo deep > \"$d/$d/$(printf 'file-%0120d' 3)\"; \
                ln -s \"$d/$d/target\" long-link; ln \"$d/$d\"/file* folder/second-name; chown 3000000:4000000000 empty";
    compare_unpacked(
        long,
        &[
            "find . ! -name socket -printf '%P|%y|%m|%U|%G|%T@|%l|%n\\n' | LC_ALL=C sort",
            "find . -type f -printf '%P %s\\n' | LC_ALL=C sort",
            "find . \\( -type c -o -type b \\) -exec stat -c '%n %t %T' {} + | LC_ALL=C sort",
        ],
    );
}

#[test]
#[ignore = "needs root and getfattr"]
fn an_archive_has_extended_attributes() {
    let extra = r#"
        setfattr -n user.client -v acme folder/file
        setfattr -n user.binary -v 0x00ff00fe folder
        setfattr -n 'user.a=50%' -v odd folder/file
        setfattr -n user.large -v "$(head -c 3000 /dev/zero | tr '\0' a)" folder/deep/noise
        setfattr -n trusted.secret -v root folder/file
    "#;
    compare_unpacked(extra, &["getfattr -R -P -h -d -m - -e hex . | LC_ALL=C sort"]);
}

#[test]
#[ignore = "needs root and getfacl"]
fn access_control_lists() {
    let extra = r#"
        setfacl -m u:1001:rw,g:1002:r,m::rwx folder/file
        setfacl -m d:u:1003:rwx,d:g:1004:--- folder
        setfacl -m u:1005:x folder/deep
    "#;
    compare(extra, &["getfacl -R -P -n -p ."]);
}

#[test]
#[ignore = "needs the corpus"]
fn real_documents() {
    let corpus = std::env::var("SB_CORPUS").unwrap();
    let home = tempfile::tempdir().unwrap();
    sb(home.path(), &["try", &corpus]);
    sb(home.path(), &["init"]);
    sb(home.path(), &["backup", "--quiet", &corpus]);
    sb(home.path(), &["verify", "--quiet", "--level", "restore"]);
    let restored = home.path().join("restored");
    sb(home.path(), &["restore", "--quiet", &format!("latest:{corpus}"), "--to", restored.to_str().unwrap()]);
    let diff = format!("diff -r --no-dereference '{corpus}' . && echo same");
    assert_eq!(sh(&restored, &diff), "same\n");
}
