//! The file system as a source.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::accounts::Accounts;
use crate::excludes::Excludes;
use crate::file_content::FileContent;
use crate::platform::{self, Node, Xattrs};
use crate::selection::{Plan, entry_path, normalize, outermost};
use crate::walk::Walk;
use crate::{
    Cause, Content, Entry, EntryPath, Event, Kind, Metadata, Problem, SelectionError, Source, SourceError,
    SourceOptions,
};

/// Folders, files or links of the file system.
///
/// Sources are made absolute; symbolic links in the folders that lead to one are resolved, while a source that is a
/// link itself is recorded as such. Sources named twice or inside another are backed up once, and what is in several
/// is left out only if it is left out of each. Hidden files are files like others, and a `.gitignore` found on the way
/// means nothing. Access times are left alone where the system permits.
///
/// ```
/// use sb_source::{Event, FileSource, Source, SourceOptions};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// std::fs::write(folder.join("invoice.pdf"), "%PDF-1.7")?;
/// std::fs::write(folder.join("invoice.tmp"), "")?;
///
/// let source = FileSource::new([folder], SourceOptions::default().exclude("*.tmp"))?;
/// let mut files = Vec::new();
/// for event in source.walk() {
///     match event {
///         Event::Entry(entry) => {
///             let mut content = source.open(&entry)?;
///             let mut bytes = vec![0; 100];
///             let length = content.read(&mut bytes)?;
///             content.finish()?;
///             files.push((entry.name().to_vec(), bytes[..length].to_vec()));
///         }
///         Event::Problem(problem) => panic!("{problem}"),
///         Event::Enter(_) | Event::Leave => {}
///     }
/// }
/// assert_eq!(files, [(b"invoice.pdf".to_vec(), b"%PDF-1.7".to_vec())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileSource(Arc<Selected>);

/// What was selected, and how to get there.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) roots: Vec<EntryPath>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) options: SourceOptions,
    pub(crate) excludes: Excludes,
    accounts: Accounts,
    /// All sources given, also those inside another, sorted.
    pub(crate) named: Vec<EntryPath>,
    /// The same as they were spelled, links on the way and all.
    spelled: Vec<PathBuf>,
    /// The root of the file system.
    pub(crate) top: Node,
    /// The folders not to visit.
    pub(crate) skipped: Vec<(u64, u64)>,
    /// The file systems that may be visited; `None` for all.
    pub(crate) devices: Option<Vec<u64>>,
}

impl FileSource {
    /// Takes the sources and what to leave out of them.
    ///
    /// A source that does not exist becomes a problem of the walk, so that one missing disk does not keep the others
    /// from being backed up.
    ///
    /// # Errors
    /// No source at all or none that exists, a source inside a folder to skip, a pattern that is not valid.
    pub fn new<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
        options: SourceOptions,
    ) -> Result<Self, SelectionError> {
        let paths: Vec<PathBuf> = paths.into_iter().map(|path| path.as_ref().to_path_buf()).collect();
        let first = paths.first().ok_or(SelectionError::NoSource)?;
        if paths.iter().all(|path| missing(path)) {
            return Err(SelectionError::NothingThere { path: first.clone() });
        }
        let absolute =
            |path: &PathBuf| normalize(path).map_err(|source| SelectionError::BadSource { path: path.clone(), source });
        let mut named = paths.iter().map(absolute).collect::<Result<Vec<_>, _>>()?;
        named.sort();
        named.dedup();
        for folder in &options.skip_folders {
            let Some(skipped) = resolve(folder) else { continue };
            if let Some(path) = named.iter().find(|source| source.strip_prefix(&skipped).is_some()) {
                return Err(SelectionError::Skipped { path: path.clone(), folder: folder.clone() });
            }
        }
        let top = Node::root().map_err(|source| SelectionError::BadSource { path: first.clone(), source })?;
        let (excludes, accounts) = (Excludes::new(&options)?, Accounts::read(Path::new("/etc")));
        let spelled = paths.iter().filter_map(|path| std::path::absolute(path).ok()).collect();
        let (plan, roots) = (Arc::new(Plan::new(&named)), outermost(named.clone()));
        let skipped = options.skip_folders.iter().filter_map(|folder| identity(&top, folder)).collect();
        let device = |path| locate(&top, path).ok().map(|(_, metadata)| metadata.device);
        let devices = options.one_file_system.then(|| named.iter().filter_map(device).collect());
        Ok(Self(Arc::new(Selected { roots, plan, options, excludes, accounts, named, spelled, top, skipped, devices })))
    }

    /// The patterns that begin with the absolute path of a source. Patterns are matched *below* the sources, so these most
    /// likely leave out nothing, and somebody should be told.
    ///
    /// ```
    /// use sb_source::{FileSource, SourceOptions};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// let meant = format!("{}/cache", folder.display());
    /// let source = FileSource::new([folder], SourceOptions::default().exclude("*.tmp").exclude(&meant))?;
    /// assert_eq!(source.misplaced_excludes(), [meant]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn misplaced_excludes(&self) -> Vec<&str> {
        let Selected { spelled, named, excludes, .. } = &*self.0;
        let spelled = spelled.iter().map(|path| path.as_os_str().as_encoded_bytes());
        let paths = named.iter().map(EntryPath::as_bytes).chain(spelled);
        // Below the root, an absolute path is as good as any.
        let paths = paths.map(|path| path.strip_suffix(b"/").unwrap_or(path)).filter(|path| !path.is_empty());
        let mut patterns: Vec<&str> = paths.flat_map(|path| excludes.beginning_with(path)).collect();
        patterns.sort_unstable();
        patterns.dedup();
        patterns
    }
}

impl Selected {
    fn complete(&self, metadata: &mut Metadata, xattrs: Xattrs) {
        metadata.xattrs = xattrs;
        self.accounts.name(metadata);
    }

    /// Opens a file, in one call to the system if it can.
    fn open_file(&self, path: &EntryPath) -> Result<File, SourceError> {
        if let Ok(file) = self.top.file_beneath(path) {
            return Ok(file);
        }
        let failed = |error| SourceError::new(path.clone(), error);
        let Some(parent) = path.parent() else { return Err(no_file(path)) };
        let folder = platform::descend(&self.top, &parent).map_err(|end| failed(end.error))?;
        folder.open(path.file_name()).map_err(|error| match folder.inspect(path.file_name()) {
            Ok((kind, _)) if kind != Kind::File => no_file(path),
            _ => failed(error),
        })
    }
}

impl Source for FileSource {
    fn walk(&self) -> Box<dyn Iterator<Item = Event> + Send + '_> {
        Box::new(Walk::new(Arc::clone(&self.0)))
    }

    fn details(&self, entry: &Entry) -> (Metadata, Option<Problem>) {
        let source = &*self.0;
        let mut metadata = entry.metadata.clone();
        let (xattrs, error) = match entry.path.parent() {
            None => source.top.xattrs_self(),
            Some(parent) => match platform::descend(&source.top, &parent) {
                Ok(folder) => folder.xattrs(entry.name()),
                Err(end) => (Vec::new(), Some(end.error)),
            },
        };
        source.complete(&mut metadata, xattrs);
        (metadata, error.map(|error| unread_attributes(&entry.path, &error)))
    }

    fn open(&self, entry: &Entry) -> Result<Box<dyn Content + '_>, SourceError> {
        let source = &*self.0;
        let file = source.open_file(&entry.path)?;
        let inspected = platform::inspect_file(&file);
        let (kind, mut metadata, sparse) = inspected.map_err(|error| SourceError::new(entry.path.clone(), error))?;
        if kind != Kind::File {
            return Err(no_file(&entry.path));
        }
        let (xattrs, error) = platform::xattrs_of_file(&file);
        let problem = error.map(|error| unread_attributes(&entry.path, &error));
        source.complete(&mut metadata, xattrs);
        Ok(Box::new(FileContent::new(entry.path.clone(), file, metadata, problem, sparse)))
    }

    fn roots(&self) -> Vec<EntryPath> {
        self.0.roots.clone()
    }
}

fn no_file(path: &EntryPath) -> SourceError {
    SourceError::Changed { path: path.clone(), change: "it is not a regular file" }
}

fn unread_attributes(path: &EntryPath, error: &io::Error) -> Problem {
    let detail = format!("extended attributes: {error}");
    Problem { path: path.clone(), cause: Cause::of(error), detail }
}

/// What tells this folder from all others; `None` when it does not exist.
fn identity(top: &Node, folder: &Path) -> Option<(u64, u64)> {
    let node = platform::descend(top, &resolve(folder)?).ok()?;
    let (_, metadata) = node.inspect_self().ok()?;
    Some(node.identity(&metadata))
}

fn missing(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// The path without symbolic links; `None` when it does not exist.
fn resolve(folder: &Path) -> Option<EntryPath> {
    entry_path(&folder.canonicalize().ok()?).ok()
}

fn locate(top: &Node, path: &EntryPath) -> io::Result<(Kind, Metadata)> {
    match path.parent() {
        None => top.inspect_self(),
        Some(parent) => platform::descend(top, &parent).map_err(|end| end.error)?.inspect(path.file_name()),
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
