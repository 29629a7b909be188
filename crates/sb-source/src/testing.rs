//! What several tests need.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::platform::Node;
use crate::selection::entry_path;
use crate::{Entry, EntryPath, Event, FileSource, Kind, MetadataProblem, Source, SourceOptions, Target, TargetError};

/// A temporary folder and its path without links.
pub(crate) fn folder() -> (TempDir, EntryPath) {
    let temp = tempfile::tempdir().unwrap();
    let path = entry_path(&temp.path().canonicalize().unwrap()).unwrap();
    (temp, path)
}

pub(crate) fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

/// Makes files, and folders where a name ends in a slash.
pub(crate) fn plant(folder: &Path, names: &[&str]) {
    for name in names {
        let path = folder.join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }
}

pub(crate) fn source(folder: &Path) -> FileSource {
    FileSource::new([folder], SourceOptions::default()).unwrap()
}

/// The entries of a walk; panics at a problem.
pub(crate) fn entries(source: &dyn Source) -> Vec<Entry> {
    source
        .walk()
        .filter_map(|event| match event {
            Event::Enter(entry) | Event::Entry(entry) => Some(entry),
            Event::Leave => None,
            Event::Problem(problem) => panic!("{problem}"),
        })
        .collect()
}

/// A walk as text, one word for each event below `base`, without the path that leads there.
pub(crate) fn script(source: &dyn Source, base: &EntryPath) -> Vec<String> {
    let mut depth = 0_usize;
    let mut told = Vec::new();
    for event in source.walk() {
        let (mark, path) = match &event {
            Event::Enter(entry) => ("+", &entry.path),
            Event::Entry(entry) => ("", &entry.path),
            Event::Problem(problem) => ("!", &problem.path),
            Event::Leave => {
                if depth > 0 {
                    told.push("-".to_owned());
                    depth -= 1;
                }
                continue;
            }
        };
        let Some(inner) = path.strip_prefix(base).filter(|inner| !inner.is_root()) else { continue };
        depth += usize::from(mark == "+");
        let cause = if let Event::Problem(problem) = &event { format!(" {:?}", problem.cause) } else { String::new() };
        told.push(format!("{mark}{}{cause}", &inner.to_string()[1..]));
    }
    told
}

/// All bytes of a file of a source.
pub(crate) fn content(source: &dyn Source, entry: &Entry) -> Vec<u8> {
    let mut content = source.open(entry).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 1000];
    loop {
        match content.read(&mut buffer).unwrap() {
            0 => break,
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
    content.finish().unwrap();
    bytes
}

/// Restores what lies below `base` of a source, hard links included, and returns what could not be set.
pub(crate) fn restore(
    source: &dyn Source,
    base: &EntryPath,
    target: &Target,
) -> Result<Vec<MetadataProblem>, TargetError> {
    let mut problems = Vec::new();
    let mut folders = Vec::new();
    let mut linked: Vec<(u64, EntryPath)> = Vec::new();
    for entry in entries(source) {
        let Some(path) = entry.path.strip_prefix(base) else { continue };
        let metadata = &entry.metadata;
        if entry.kind != Kind::Directory && metadata.links > 1 {
            if let Some((_, first)) = linked.iter().find(|(inode, _)| *inode == metadata.inode) {
                target.hard_link(first, &path)?;
                continue;
            }
            linked.push((metadata.inode, path.clone()));
        }
        match &entry.kind {
            Kind::File => {
                let mut content = source.open(&entry).unwrap();
                let holes = content.holes().to_vec();
                let file = target.file(&path, content.metadata().size)?;
                let (mut offset, mut buffer) = (0, [0; 1000]);
                loop {
                    let length = content.read(&mut buffer).unwrap();
                    if length == 0 {
                        break;
                    }
                    if !holes.iter().any(|(start, size)| (*start..start + size).contains(&offset)) {
                        file.write_at(offset, &buffer[..length])?;
                    }
                    offset += length as u64;
                }
                problems.extend(file.commit(content.metadata())?);
                continue;
            }
            Kind::Directory => {
                target.directory(&path)?;
                folders.push((path, entry));
                continue;
            }
            Kind::Symlink { target: text } => target.symlink(&path, text)?,
            Kind::Fifo => target.fifo(&path)?,
            Kind::Socket => target.socket(&path)?,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => target.device(&path, &entry.kind)?,
        }
        problems.extend(target.apply_metadata(&path, &entry.kind, metadata)?);
    }
    for (path, entry) in folders.iter().rev() {
        problems.extend(target.apply_metadata(path, &entry.kind, &entry.metadata)?);
    }
    target.sync()?;
    Ok(problems)
}

/// A POSIX access list as Linux stores it (`linux/posix_acl_xattr.h`): owner, the user with number 12345, group,
/// mask, others.
pub(crate) fn access_list() -> Vec<u8> {
    let nobody = u32::MAX;
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in
        [(0x01_u16, 6_u16, nobody), (0x02, 4, 12345), (0x04, 4, nobody), (0x10, 6, nobody), (0x20, 0, nobody)]
    {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

/// A chain of folders of long names below `folder`, until the path has more than 5,000 bytes.
pub(crate) fn deep(folder: &Path) -> (Node, EntryPath) {
    let (mut node, _) = Node::create(folder).unwrap();
    let mut path = EntryPath::root();
    for level in 0..21 {
        let name = format!("{level:0240}");
        node.make_folder(name.as_bytes()).unwrap();
        node = node.folder(name.as_bytes()).unwrap();
        path.push(name.as_bytes());
    }
    assert!(path.as_bytes().len() > 5_000);
    (node, path)
}

const UNPRIVILEGED: &str = "SB_SOURCE_TEST_UNPRIVILEGED";

/// Runs the body of the test called `name` without the rights of root, in a folder it owns: in a process of its own,
/// if this one has them.
pub(crate) fn without_privileges(name: &str, body: impl FnOnce(&Path)) {
    if let Some(folder) = env::var_os(UNPRIVILEGED) {
        return body(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    if !rustix::process::geteuid().is_root() {
        return body(folder.path());
    }
    let program = folder.path().join("program");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    chown(&work, Some(65534), Some(65534)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(program)
        .args(["--exact", name, "--nocapture"])
        .env(UNPRIVILEGED, &work)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("1 passed"), "no test is called {name}: {told}");
}
