use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::random::Random;

/// What of a file survives a power loss is decided per block of this size: small, so that small objects can tear.
const BLOCK_BYTES: usize = 32;

const ROOT: Inode = 0;

pub(super) type Inode = u64;

/// The state of a disk and its page cache.
///
/// Bytes of a file are durable once it is synced, the names in a folder once the folder is. That is all POSIX promises; in
/// particular a new name may survive without its bytes, and of a move either half alone.
#[derive(Debug, Clone)]
pub(super) struct Model {
    nodes: BTreeMap<Inode, Node>,
    next_inode: Inode,
    pub(super) capacity: Option<u64>,
}

#[derive(Debug, Clone)]
enum Node {
    File(File),
    Folder(Folder),
}

#[derive(Debug, Clone, Default)]
struct File {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// A sync failed, after which later ones claim success for pages that never reached the disk, as on Linux.
    deceptive: bool,
    locked: bool,
}

#[derive(Debug, Clone, Default)]
struct Folder {
    seen: BTreeMap<OsString, Inode>,
    durable: BTreeMap<OsString, Inode>,
    /// For each name what it stood for after each change since the folder was last synced.
    changes: BTreeMap<OsString, Vec<Option<Inode>>>,
}

impl Model {
    pub(super) fn new() -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Folder(Folder::default()))]);
        Self { nodes, next_inode: ROOT + 1, capacity: None }
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<Inode> {
        let inode = self.create(path, Node::File(File::default()))?;
        self.file_mut(inode)?.locked = true;
        Ok(inode)
    }

    pub(super) fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        self.create(path, Node::Folder(Folder::default())).map(drop)
    }

    fn create(&mut self, path: &Path, node: Node) -> io::Result<Inode> {
        let (folder, name) = self.place(path)?;
        if self.folder(folder)?.seen.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if self.free() == Some(0) {
            return Err(ErrorKind::StorageFull.into());
        }
        let inode = self.next_inode;
        self.next_inode += 1;
        self.nodes.insert(inode, node);
        self.folder_mut(folder)?.set(name, Some(inode));
        Ok(inode)
    }

    /// Appends what fits; says so if that is not all.
    pub(super) fn append(&mut self, inode: Inode, bytes: &[u8]) -> io::Result<()> {
        let fits = self.free().map_or(bytes.len(), |free| bytes.len().min(usize::try_from(free).unwrap_or(usize::MAX)));
        self.file_mut(inode)?.seen.extend_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    pub(super) fn sync_file(&mut self, inode: Inode) -> io::Result<()> {
        let file = self.file_mut(inode)?;
        if !file.deceptive {
            file.durable.clone_from(&file.seen);
        }
        Ok(())
    }

    /// A sync that reported an error.
    pub(super) fn fail_sync(&mut self, inode: Inode) {
        if let Ok(file) = self.file_mut(inode) {
            file.deceptive = true;
        }
    }

    pub(super) fn unlock(&mut self, inode: Inode) {
        if let Ok(file) = self.file_mut(inode) {
            file.locked = false;
        }
    }

    pub(super) fn unlock_all(&mut self) {
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                file.locked = false;
            }
        }
    }

    pub(super) fn is_locked(&self, path: &Path) -> io::Result<bool> {
        Ok(self.file(self.find(path)?)?.locked)
    }

    pub(super) fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        let folder = self.folder_mut(inode)?;
        folder.durable.clone_from(&folder.seen);
        folder.changes.clear();
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.find(from)?;
        let (new_folder, new_name) = self.place(to)?;
        if self.folder(new_folder)?.seen.contains_key(new_name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let (old_folder, old_name) = self.place(from)?;
        self.folder_mut(new_folder)?.set(new_name, Some(inode));
        self.folder_mut(old_folder)?.set(old_name, None);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.file(self.find(path)?)?;
        let (folder, name) = self.place(path)?;
        self.folder_mut(folder)?.set(name, None);
        Ok(())
    }

    /// The names in a folder, each with the size of the file, or `None` for a folder.
    pub(super) fn entries(&self, path: &Path) -> io::Result<Vec<(OsString, Option<u64>)>> {
        let folder = self.folder(self.find(path)?)?;
        let entry = |(name, inode): (&OsString, &Inode)| (name.clone(), self.file(*inode).ok().map(File::size));
        Ok(folder.seen.iter().map(entry).collect())
    }

    pub(super) fn bytes(&self, path: &Path) -> io::Result<&[u8]> {
        Ok(&self.file(self.find(path)?)?.seen)
    }

    /// All files that can be seen.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        self.walk(&mut |path, inode| {
            if let Ok(file) = self.file(inode) {
                files.insert(path.to_path_buf(), file.seen.clone());
            }
        });
        files
    }

    /// Flips a bit that was durable long ago. `None` if there is no such byte.
    pub(super) fn flip(&mut self, path: &Path, offset: usize, bit: u8) -> Option<()> {
        let inode = self.find(path).ok()?;
        let file = self.file_mut(inode).ok()?;
        *file.seen.get_mut(offset)? ^= 1 << (bit % 8);
        if let Some(byte) = file.durable.get_mut(offset) {
            *byte ^= 1 << (bit % 8);
        }
        Some(())
    }

    /// Bytes left; `None` is no limit.
    pub(super) fn free(&self) -> Option<u64> {
        let mut used = 0;
        self.capacity.map(|capacity| {
            self.walk(&mut |_, inode| used += self.file(inode).map_or(0, File::size));
            capacity.saturating_sub(used)
        })
    }

    /// Everything that is not durable survives, or not, as `random` wants.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.lose_power(random),
                Node::Folder(folder) => folder.lose_power(random),
            }
        }
        let mut reachable = BTreeSet::from([ROOT]);
        self.walk(&mut |_, inode| {
            reachable.insert(inode);
        });
        self.nodes.retain(|inode, _| reachable.contains(inode));
    }

    /// Calls `visit` for all that can be seen below the root.
    fn walk(&self, visit: &mut dyn FnMut(&Path, Inode)) {
        let mut folders = vec![(PathBuf::new(), ROOT)];
        while let Some((path, inode)) = folders.pop() {
            let Ok(folder) = self.folder(inode) else { continue };
            for (name, inode) in &folder.seen {
                let path = path.join(name);
                visit(&path, *inode);
                folders.push((path, *inode));
            }
        }
    }

    fn find(&self, path: &Path) -> io::Result<Inode> {
        let step = |inode, name: &OsStr| {
            let found = self.folder(inode)?.seen.get(name);
            found.copied().ok_or_else(|| ErrorKind::NotFound.into())
        };
        path.iter().try_fold(ROOT, step)
    }

    /// The folder a path is in, and its name there.
    fn place<'a>(&self, path: &'a Path) -> io::Result<(Inode, &'a OsStr)> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        let inode = self.find(folder)?;
        self.folder(inode)?;
        Ok((inode, name))
    }

    fn file(&self, inode: Inode) -> io::Result<&File> {
        match self.nodes.get(&inode) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn file_mut(&mut self, inode: Inode) -> io::Result<&mut File> {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn folder(&self, inode: Inode) -> io::Result<&Folder> {
        match self.nodes.get(&inode) {
            Some(Node::Folder(folder)) => Ok(folder),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn folder_mut(&mut self, inode: Inode) -> io::Result<&mut Folder> {
        match self.nodes.get_mut(&inode) {
            Some(Node::Folder(folder)) => Ok(folder),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }
}

impl File {
    fn size(&self) -> u64 {
        self.seen.len() as u64
    }

    fn lose_power(&mut self, random: &mut Random) {
        if self.durable != self.seen {
            let survivor = match random.below(5) {
                0 => self.durable.clone(),
                1 if !self.deceptive => self.seen.clone(),
                // The length reached the disk, the bytes did not.
                2 => self.mixed(|_| false),
                3 => {
                    let written = random.below(self.seen.len() + 1);
                    let mut prefix = self.mixed(|block| (block + 1) * BLOCK_BYTES <= written);
                    prefix.truncate(written.max(self.durable.len()));
                    prefix
                }
                _ => self.mixed(|_| random.coin()),
            };
            self.durable = survivor;
        }
        *self = Self { seen: self.durable.clone(), durable: std::mem::take(&mut self.durable), ..Self::default() };
    }

    /// As long as what is seen; the blocks `keep` chooses as seen, the others as they were, or zero.
    fn mixed(&self, mut keep: impl FnMut(usize) -> bool) -> Vec<u8> {
        let mut mixed = self.durable.clone();
        mixed.resize(self.seen.len(), 0);
        for (block, bytes) in self.seen.chunks(BLOCK_BYTES).enumerate() {
            if keep(block) {
                let start = block * BLOCK_BYTES;
                mixed[start..start + bytes.len()].copy_from_slice(bytes);
            }
        }
        mixed
    }
}

impl Folder {
    fn set(&mut self, name: &OsStr, inode: Option<Inode>) {
        put(&mut self.seen, name, inode);
        self.changes.entry(name.to_os_string()).or_default().push(inode);
    }

    /// Each name independently goes back to one of the states it had since the folder was synced.
    fn lose_power(&mut self, random: &mut Random) {
        for (name, states) in std::mem::take(&mut self.changes) {
            if let Some(last) = random.below(states.len() + 1).checked_sub(1) {
                put(&mut self.durable, &name, states[last]);
            }
        }
        self.seen.clone_from(&self.durable);
    }
}

fn put(names: &mut BTreeMap<OsString, Inode>, name: &OsStr, inode: Option<Inode>) {
    match inode {
        Some(inode) => names.insert(name.to_os_string(), inode),
        None => names.remove(name),
    };
}
