//! The configuration file: TOML, with the names of the command line's options as keys.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sb_crypto::{KeyFile, Secret};
use sb_repo::Span;
use sb_source::{FileSource, SelectionError, SourceOptions};
use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

use crate::fingerprint::fingerprint;
use crate::location::{Location, LocationError, may_be_url};
use crate::passphrase::passphrase;
use crate::size::Size;

/// A configuration that can be used as it is once the vault and the sources in it are those one wants.
pub const SAMPLE_CONFIG: &str = include_str!("sample.toml");

/// zstd's ordinary levels; those above cost memory out of all proportion.
const LEVELS: std::ops::RangeInclusive<i32> = 1..=19;

/// What a configuration file says. Relative paths in it belong to the folder the file is in.
///
/// ```
/// use sb_core::Config;
///
/// let text = "vault = 'vault'\n[backup]\npaths = ['/srv/clients']\nexclude = ['*.tmp']";
/// let config = Config::parse(text, "/etc/sb/config.toml".as_ref())?;
/// assert_eq!(config.vault.as_deref(), Some("/etc/sb/vault"));
/// assert_eq!(config.backup.exclude, ["*.tmp"]);
///
/// let error = Config::parse("\nvalut = '/mnt/vault'", "sb.toml".as_ref()).unwrap_err();
/// assert!(error.to_string().starts_with("`sb.toml`, line 2: unknown field `valut`"));
/// # Ok::<(), sb_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Config {
    /// Where the vault is: a path or a URL.
    pub vault: Option<String>,
    /// File with the key, or one half of it where there is a passphrase too.
    pub key_file: Option<PathBuf>,
    /// File with the passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// Command that prints the passphrase.
    pub passphrase_command: Option<String>,
    /// The login of the user who opens the vault, where several are let in.
    pub user: Option<String>,
    /// Fingerprint of the vault's root key, 64 hexadecimal digits.
    pub fingerprint: Option<String>,
    /// Who issues certificates, such as the firm's domain; without it, the vault's id.
    pub issuer: Option<String>,
    /// Folder for local state.
    pub state_dir: Option<PathBuf>,
    /// What to back up, and how.
    pub backup: BackupSection,
    /// When keys are to be rotated.
    pub keys: KeysSection,
}

/// When keys are to be rotated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct KeysSection {
    /// So long after they came into use; without it, 90 days.
    #[serde(deserialize_with = "span")]
    pub rotate_after: Option<Span>,
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}

/// What to back up, and how.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BackupSection {
    /// Folders and files, when the command line names none.
    pub paths: Vec<PathBuf>,
    /// Name of this machine.
    pub host: Option<String>,
    /// Words to find the snapshot by.
    pub tags: Vec<String>,
    /// Patterns of what to leave out.
    pub exclude: Vec<String>,
    /// The same, where upper and lower case are alike.
    pub iexclude: Vec<String>,
    /// Files of such patterns.
    pub exclude_files: Vec<PathBuf>,
    /// Leave out what is in folders marked as caches.
    pub exclude_caches: bool,
    /// Leave out what is in folders that hold something of such a name.
    pub exclude_if_present: Vec<String>,
    /// Leave out larger files.
    pub exclude_larger_than: Option<Size>,
    /// Stay on the file systems of the sources.
    pub one_file_system: bool,
    /// zstd level, 1 to 19.
    pub compression_level: Option<i32>,
    /// Free space in the vault's storage without which no run begins.
    pub free_minimum: Option<Size>,
}

/// Why a configuration cannot be used, or will not do what it says.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{}`", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not TOML, or says something that means nothing here.
    #[error("`{}`, line {line}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A value cannot be used.
    #[error("`{}`: `{key}` {reason}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// Of which key.
        key: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file that it names is not there.
    #[error("`{key}` names `{}`, which does not exist", path.display())]
    Missing {
        /// Under which key.
        key: &'static str,
        /// What it names.
        path: PathBuf,
    },
    /// A file that it names is not what it should be.
    #[error("`{key}` names `{}`, which cannot be used: {reason}", path.display())]
    Unfit {
        /// Under which key.
        key: &'static str,
        /// What it names.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The vault cannot be there.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// Sources and excludes do not go together.
    #[error(transparent)]
    Selection(#[from] SelectionError),
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`], [`ConfigError::Syntax`], [`ConfigError::Value`].
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(file).map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
        Self::parse(&text, file)
    }

    /// Reads the text of `file`.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`], [`ConfigError::Value`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start).min(text.len());
            let line = 1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
            ConfigError::Syntax { file: file.to_owned(), line, message: error.message().to_owned() }
        })?;
        config.check_values().map_err(|(key, reason)| ConfigError::Value { file: file.to_owned(), key, reason })?;
        // Absolute, so that a colon in the folder's name makes no URL of a path.
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        config.resolve(file.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// Whether what it names is there and patterns make sense: everything that can be said without opening the vault.
    pub fn check(&self) -> Vec<ConfigError> {
        let mut found = Vec::new();
        found
            .extend(self.vault.as_ref().and_then(|vault| Location::parse(vault.as_ref()).err()).map(ConfigError::from));
        let files: [(_, _, Check); 3] = [
            ("key-file", &self.key_file, check_key_file),
            ("passphrase-file", &self.passphrase_file, check_passphrase_file),
            ("state-dir", &self.state_dir, check_state_dir),
        ];
        for (key, path, check) in files {
            let Some(path) = path else { continue };
            // The state folder is made when it is needed.
            if !path.exists() && key != "state-dir" {
                found.push(ConfigError::Missing { key, path: path.clone() });
            } else if let Err(reason) = check(path) {
                found.push(ConfigError::Unfit { key, path: path.clone(), reason });
            }
        }
        let sources = &self.backup.paths;
        found.extend(
            sources
                .iter()
                .filter(|path| path.symlink_metadata().is_err())
                .map(|path| ConfigError::Missing { key: "backup.paths", path: path.clone() }),
        );
        // Patterns are compiled together with a source; any that exists will do.
        let there = sources.iter().find(|path| path.exists()).cloned().unwrap_or_else(|| PathBuf::from("/"));
        found.extend(FileSource::new([there], self.backup.source_options()).err().map(ConfigError::from));
        found
    }

    fn check_values(&self) -> Result<(), (&'static str, &'static str)> {
        let is_wrong = self.backup.compression_level.is_some_and(|level| !LEVELS.contains(&level));
        if is_wrong {
            return Err(("backup.compression-level", "must be from 1 to 19"));
        }
        if self.fingerprint.as_ref().is_some_and(|text| fingerprint(text).is_err()) {
            return Err(("fingerprint", "must have 64 hexadecimal digits"));
        }
        if self.issuer.as_ref().is_some_and(|issuer| issuer.is_empty() || issuer.chars().any(char::is_control)) {
            return Err(("issuer", "must be a name on one line"));
        }
        let home = |path: &Path| path.starts_with("~");
        let paths = [
            ("vault", self.vault.as_deref().map(Path::new)),
            ("key-file", self.key_file.as_deref()),
            ("passphrase-file", self.passphrase_file.as_deref()),
            ("state-dir", self.state_dir.as_deref()),
        ];
        let lists = [("backup.paths", &self.backup.paths), ("backup.exclude-files", &self.backup.exclude_files)];
        let lists = lists.iter().flat_map(|(key, paths)| paths.iter().map(|path| (*key, Some(path.as_path()))));
        let mut all = paths.into_iter().chain(lists);
        match all.find(|(_, path)| path.is_some_and(home)) {
            Some((key, _)) => Err((key, "begins with `~`, which means nothing here: write the whole path")),
            None => Ok(()),
        }
    }

    fn resolve(&mut self, folder: &Path) {
        let single = [&mut self.key_file, &mut self.passphrase_file, &mut self.state_dir].into_iter().flatten();
        for path in single.chain(&mut self.backup.paths).chain(&mut self.backup.exclude_files) {
            *path = folder.join(&*path);
        }
        if let Some(vault) = self.vault.as_mut().filter(|vault| !vault.is_empty() && !may_be_url(vault.as_ref())) {
            // Both halves are text, so nothing is lost unless the folder's own name is not.
            *vault = folder.join(&*vault).to_string_lossy().into_owned();
        }
    }
}

/// Says what is wrong with a file.
type Check = fn(&Path) -> Result<(), String>;

fn check_key_file(file: &Path) -> Result<(), String> {
    let text = Secret::new(fs::read(file).map_err(|error| error.to_string())?);
    let text = std::str::from_utf8(text.as_bytes()).map_err(|_| "it is not text".to_owned())?;
    text.parse::<KeyFile>().map(drop).map_err(|error| error.to_string())
}

fn check_passphrase_file(file: &Path) -> Result<(), String> {
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    passphrase(bytes.into()).map(drop).map_err(|error| error.to_string())
}

fn check_state_dir(folder: &Path) -> Result<(), String> {
    if folder.exists() && !folder.is_dir() { Err("it is not a folder".to_owned()) } else { Ok(()) }
}

impl BackupSection {
    /// What it says about leaving out.
    pub fn source_options(&self) -> SourceOptions {
        let mut options =
            SourceOptions::default().exclude_caches(self.exclude_caches).one_file_system(self.one_file_system);
        for pattern in &self.exclude {
            options = options.exclude(pattern);
        }
        for pattern in &self.iexclude {
            options = options.iexclude(pattern);
        }
        for file in &self.exclude_files {
            options = options.exclude_file(file);
        }
        for name in &self.exclude_if_present {
            options = options.exclude_if_present(name);
        }
        match self.exclude_larger_than {
            Some(size) => options.exclude_larger_than(size.0),
            None => options,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Config::parse(text, Path::new("/etc/sb.toml")).unwrap_err().to_string()
    }

    #[test]
    fn the_sample_says_what_happens_without_it() {
        let sample = Config::parse(SAMPLE_CONFIG, Path::new("/etc/sb.toml")).unwrap();
        assert_eq!(sample.vault.as_deref(), Some("/mnt/backup/vault"));
        let uncommented: String = SAMPLE_CONFIG
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        let all = Config::parse(&uncommented, Path::new("/etc/sb.toml")).unwrap();
        assert!(all.key_file.is_some() && all.passphrase_file.is_some());
        assert!(all.passphrase_command.is_some() && all.fingerprint.is_some() && all.state_dir.is_some());
        let (backup, defaults) = (all.backup, crate::BackupOptions::default());
        assert_eq!(backup.compression_level, Some(defaults.compression_level));
        assert_eq!((backup.free_minimum, defaults.free_minimum), (Some(Size(16 << 20)), None));
        assert!(backup.host.is_some() && !backup.tags.is_empty() && !backup.exclude.is_empty());
        assert!(
            !backup.iexclude.is_empty() && !backup.exclude_files.is_empty() && !backup.exclude_if_present.is_empty()
        );
        assert!(backup.exclude_larger_than.is_some());
        assert_eq!(all.keys.rotate_after, "90d".parse().ok());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        assert!(
            error("vault = '/a'\n\nvualt = 1")
                .starts_with("`/etc/sb.toml`, line 3: unknown field `vualt`, expected one of `vault`, `key-file`")
        );
        assert!(
            error("[backup]\npath = []")
                .starts_with("`/etc/sb.toml`, line 2: unknown field `path`, expected one of `paths`")
        );
        assert!(error("vault = 1").starts_with("`/etc/sb.toml`, line 1: invalid type: integer"));
        assert!(error("vault = ").starts_with("`/etc/sb.toml`, line 1: "));
        assert_eq!(
            error("[backup]\n\nfree-minimum = 'much'"),
            "`/etc/sb.toml`, line 3: `much` is no size: write a number and a unit, such as `500M` or `2G`"
        );
        assert_eq!(
            error("backup.compression-level = 20"),
            "`/etc/sb.toml`: `backup.compression-level` must be from 1 to 19"
        );
        assert_eq!(error("issuer = ''"), "`/etc/sb.toml`: `issuer` must be a name on one line");
        assert_eq!(error("fingerprint = '12'"), "`/etc/sb.toml`: `fingerprint` must have 64 hexadecimal digits");
        assert!(Config::parse(&format!("fingerprint = '{}'", "0123abcd ".repeat(8)), Path::new("a")).is_ok());
        assert_eq!(
            error("backup.paths = ['/a', '~/b']"),
            "`/etc/sb.toml`: `backup.paths` begins with `~`, which means nothing here: write the whole path"
        );
    }

    #[test]
    fn relative_paths_belong_to_the_file() {
        let text = "vault = 'v'\nkey-file = 'k'\npassphrase-file = '/p'\nstate-dir = 's'\nbackup.paths = ['a', '/b']";
        let config = Config::parse(text, Path::new("/etc/sb.toml")).unwrap();
        assert_eq!(config.vault.as_deref(), Some("/etc/v"));
        assert_eq!(config.key_file.as_deref(), Some(Path::new("/etc/k")));
        assert_eq!(config.passphrase_file.as_deref(), Some(Path::new("/p")));
        assert_eq!(config.state_dir.as_deref(), Some(Path::new("/etc/s")));
        assert_eq!(config.backup.paths, [Path::new("/etc/a"), Path::new("/b")]);
        let vault = |text: &str| {
            let config = Config::parse(&format!("vault = '{text}'"), Path::new("/etc/a:b/sb.toml")).unwrap();
            let location = config.vault.map(|vault| Location::parse(vault.as_ref()).map(|at| at.to_string()));
            location.unwrap().map_err(|error| error.to_string())
        };
        assert_eq!(vault("file:///v"), Ok("/v".to_owned()));
        assert_eq!(
            vault("v:w/../x").as_deref().unwrap_err().split_once('`').map(|(_, rest)| &rest[..8]),
            Some("v:w/../x")
        );
        assert_eq!(vault("./2026:vault"), Ok("/etc/a:b/2026:vault".to_owned()));
        assert_eq!(vault("2026/my:vault"), Ok("/etc/a:b/2026/my:vault".to_owned()));
        let here = std::env::current_dir().unwrap();
        let relative = Config::parse("vault = 'v'", Path::new("a:b.toml")).unwrap();
        assert_eq!(relative.vault.as_deref(), here.join("v").to_str());
    }

    #[test]
    fn what_it_names_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sb.toml");
        fs::write(&file, "key-file = 'none'\nbackup.paths = ['sb.toml', 'gone']\nbackup.exclude = ['a{b']").unwrap();
        let found: Vec<String> = Config::read(&file).unwrap().check().iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("`key-file` names `") && found[0].ends_with("none`, which does not exist"));
        assert!(found[1].starts_with("`backup.paths` names `") && found[1].contains("gone"));
        assert!(found[2].starts_with("exclude pattern `a{b` is not valid"));
        fs::write(folder.path().join("empty"), "\n").unwrap();
        let text = "vault = 's3://x'\nkey-file = 'sb.toml'\npassphrase-file = 'empty'\nstate-dir = 'sb.toml'";
        fs::write(&file, text).unwrap();
        let found: Vec<String> = Config::read(&file).unwrap().check().iter().map(ToString::to_string).collect();
        let reasons = found.iter().map(|fault| fault.rsplit("be used: ").next().unwrap()).collect::<Vec<_>>();
        assert_eq!(
            reasons,
            [
                "`s3://x` cannot be reached by this version: `s3` comes later",
                "not a key file: it should begin with `sb-key-1:`",
                "the passphrase is empty",
                "it is not a folder"
            ]
        );
        fs::write(
            &file,
            "backup.paths = ['sb.toml']\nbackup.exclude-larger-than = '1M'\nbackup.exclude-if-present = ['.nobackup']",
        )
        .unwrap();
        assert!(Config::read(&file).unwrap().check().is_empty());
        assert!(matches!(Config::read(&folder.path().join("none")), Err(ConfigError::Unreadable { .. })));
    }
}
