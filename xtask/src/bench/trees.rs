//! The trees that are backed up.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The trees of a corpus, by size.
const USUAL: [&str; 3] = ["small", "many", "huge"];
/// A document larger than this is none that somebody wants back alone.
const DOCUMENT_MAX: u64 = 64 << 20;

/// The names and folders of what was given as `--corpus`, `--trees` and `--tree NAME=DIR`.
pub(crate) fn wanted(
    corpus: Option<&Path>,
    names: &[String],
    given: &[String],
) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut trees = Vec::new();
    match corpus {
        Some(corpus) if names.is_empty() => {
            let there = USUAL.iter().map(|name| ((*name).to_owned(), corpus.join(name)));
            trees.extend(there.filter(|(_, folder)| folder.is_dir()));
        }
        Some(corpus) => trees.extend(names.iter().map(|name| (name.clone(), corpus.join(name)))),
        None if names.is_empty() => {}
        None => return Err(Failure::Usage("`--trees` needs `--corpus DIR`".to_owned())),
    }
    for tree in given {
        let Some((name, folder)) = tree.split_once('=') else {
            return Err(Failure::Usage(format!("write `--tree NAME=DIR`, not `{tree}`")));
        };
        trees.push((name.to_owned(), PathBuf::from(folder)));
    }
    for (place, (name, folder)) in trees.iter().enumerate() {
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(Failure::Usage(format!("`{name}` is no name for a tree")));
        }
        if trees[..place].iter().any(|(other, _)| other == name) {
            return Err(Failure::Usage(format!("there are two trees `{name}`")));
        }
        if !folder.is_dir() {
            return Err(Failure::Missing { what: format!("`{}`", folder.display()), hint: "a tree is a folder" });
        }
    }
    Ok(trees)
}

/// One file of a tree or a vault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct File {
    /// Below the folder that was searched.
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// All files in a folder, sorted. A file of several names counts once a name.
pub(crate) fn files(folder: &Path) -> Result<Vec<File>, Failure> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(at) = left.pop() {
        let io = |source| Failure::Io { path: at.clone(), source };
        for entry in fs::read_dir(&at).map_err(io)? {
            let entry = entry.map_err(io)?;
            let metadata = entry.metadata().map_err(io)?;
            if metadata.is_dir() {
                left.push(entry.path());
            } else if metadata.is_file() {
                let path = entry.path().strip_prefix(folder).expect("it is in there").to_owned();
                found.push(File { path, size: metadata.size() });
            }
        }
    }
    found.sort();
    Ok(found)
}

/// How many bytes all files in a folder have.
pub(crate) fn bytes(folder: &Path) -> Result<u64, Failure> {
    Ok(files(folder)?.iter().map(|file| file.size).sum())
}

/// The file to look for and to want back alone: one from the midst of the tree, of a name that no tool takes for a pattern,
/// and that no other file has.
pub(crate) fn document(files: &[File]) -> Option<&File> {
    let plain = |path: &Path| {
        path.to_str().is_some_and(|text| !text.contains(|character: char| "*?[]{}\\'\"`$\n".contains(character)))
    };
    let mut counts = std::collections::HashMap::new();
    for name in files.iter().filter_map(|file| file.path.file_name()) {
        *counts.entry(name).or_insert(0) += 1;
    }
    let fits = |file: &&File| {
        let alone = file.path.file_name().is_some_and(|name| {
            counts.get(name) == Some(&1) && !name.as_encoded_bytes().iter().any(|byte| b" (),".contains(byte))
        });
        alone && plain(&file.path) && file.size > 0 && file.size <= DOCUMENT_MAX
    };
    let fitting: Vec<&File> = files.iter().filter(fits).collect();
    fitting.get(fitting.len() * 2 / 3).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn trees_are_named_once_and_are_folders() {
        let folder = std::env::temp_dir().join(format!("xtask-trees-{}", std::process::id()));
        fs::create_dir_all(folder.join("small")).unwrap();
        fs::create_dir_all(folder.join("huge")).unwrap();
        let names = |corpus: Option<&Path>, names: &[&str], given: &[&str]| {
            wanted(corpus, &owned(names), &owned(given))
                .map(|trees| trees.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        assert_eq!(names(Some(&folder), &[], &[]).unwrap(), ["small", "huge"]);
        assert_eq!(names(Some(&folder), &["huge"], &["own=/"]).unwrap(), ["huge", "own"]);
        assert!(names(Some(&folder), &["many"], &[]).unwrap_err().to_string().contains("many"));
        for wrong in ["own", "=/", "../x=/", "a b=/"] {
            assert!(names(None, &[], &[wrong]).is_err(), "{wrong}");
        }
        assert!(names(None, &["small"], &[]).is_err());
        assert!(names(None, &[], &["a=/", "a=/"]).is_err());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_document_has_a_name_of_its_own_that_is_no_pattern() {
        let file = |path: &str, size| File { path: path.into(), size };
        let files = [
            file("a/[x].pdf", 1),
            file("a/empty", 0),
            file("a/it's.pdf", 1),
            file("a/plain.pdf", 7),
            file("a/same.pdf", 1),
            file("b/dump.sql", DOCUMENT_MAX + 1),
            file("b/same.pdf", 1),
        ];
        assert_eq!(document(&files), Some(&files[3]));
        assert_eq!(document(&files[..3]), None);
    }

    #[test]
    fn files_are_found_at_every_depth() {
        let folder = std::env::temp_dir().join(format!("xtask-files-{}", std::process::id()));
        fs::create_dir_all(folder.join("a/b")).unwrap();
        fs::write(folder.join("a/b/two"), "22").unwrap();
        fs::write(folder.join("one"), "1").unwrap();
        std::os::unix::fs::symlink("one", folder.join("link")).unwrap();
        let found = files(&folder).unwrap();
        assert_eq!(found.iter().map(|file| file.path.to_str().unwrap()).collect::<Vec<_>>(), ["a/b/two", "one"]);
        assert_eq!(bytes(&folder).unwrap(), 3);
        fs::remove_dir_all(&folder).unwrap();
        assert!(files(&folder).is_err());
    }
}
