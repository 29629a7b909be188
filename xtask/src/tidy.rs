//! `cargo xtask tidy`: house rules that neither the compiler nor clippy checks.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::options::Options;
use crate::workspace::{Crate, Workspace};

/// A file with more lines than this, its tests aside, holds more than one idea.
const LINES_MAX: usize = 600;
const DOCS: &str = "#![doc = include_str!(\"../README.md\")]";
/// Signs of unfinished work; in two halves, so that this file passes its own check.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("un", "implemented!(")];

pub(crate) fn run(options: Options) -> Result<(), Failure> {
    options.finish()?;
    let workspace = Workspace::load()?;
    let mut faults = Vec::new();
    for name in ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "CHANGELOG.md"] {
        if name.starts_with("LICENSE") {
            faults.extend(missing(&workspace.root, &workspace.root, name));
        } else {
            faults.extend(workspace.product().filter_map(|member| missing(&workspace.root, &member.folder, name)));
        }
    }
    for member in &workspace.crates {
        faults.extend(crate_faults(&workspace.root, member)?);
    }
    faults.extend(fuzz_faults(&workspace.root)?);
    for fault in &faults {
        println!("tidy: {fault}");
    }
    if faults.is_empty() {
        println!("tidy: {} crates in order", workspace.crates.len());
        Ok(())
    } else {
        Err(Failure::Found { task: "untidy things", faults: faults.len() })
    }
}

fn missing(root: &Path, folder: &Path, name: &str) -> Option<String> {
    let path = folder.join(name);
    let there = fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() > 0);
    (!there).then(|| format!("{} is missing", shown(root, &path)))
}

fn crate_faults(root: &Path, member: &Crate) -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    let manifest = member.folder.join("Cargo.toml");
    for dependency in own_versions(&read(&manifest)?) {
        faults.push(format!("{}: `{dependency}` is not taken from the workspace", shown(root, &manifest)));
    }
    for path in sources(&member.folder)? {
        let text = read(&path)?;
        let file = shown(root, &path);
        if path.parent() == Some(&member.folder.join("src")) && is_crate_head(&path) && !begins_with_docs(&text) {
            faults.push(format!("{file} does not begin with its documentation"));
        }
        let lines = lines_before_tests(&text);
        if lines > LINES_MAX && !is_test(&member.folder, &path) {
            faults.push(format!("{file} has {lines} lines, more than {LINES_MAX}"));
        }
        faults.extend(unfinished(&text).map(|(line, word)| format!("{file}:{line}: `{word}`")));
    }
    Ok(faults)
}

/// Every file in `fuzz/src/bin` is a target without being listed; elsewhere it would never run.
fn fuzz_faults(root: &Path) -> Result<Vec<String>, Failure> {
    let folder = root.join("fuzz");
    let targets = folder.join("src/bin");
    let mut faults = Vec::new();
    for path in sources(&folder)? {
        let is_target = read(&path)?.contains("fuzz_target!(");
        if is_target != (path.parent() == Some(&targets)) {
            let problem = if is_target { "is a fuzz target outside" } else { "is no fuzz target, but in" };
            faults.push(format!("{} {problem} fuzz/src/bin", shown(root, &path)));
        }
    }
    Ok(faults)
}

/// The dependencies in a manifest that do not say `workspace = true`.
fn own_versions(manifest: &str) -> Vec<String> {
    let mut own = Vec::new();
    let mut in_list = false;
    let mut table: Option<(String, bool)> = None;
    let mut open = 0_usize;
    for line in manifest.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        let words = line.replace(' ', "");
        // A crate's tests may ask for the crate itself with other features; that names no version.
        let inherits = words.contains("workspace=true") || words.contains("path=\".\"");
        if open == 0 && line.starts_with('[') {
            own.extend(table.take().filter(|(_, inherits)| !inherits).map(|(name, _)| name));
            let header = line.trim_matches(['[', ']']);
            in_list = header.ends_with("dependencies");
            table = header.rsplit_once("dependencies.").map(|(_, name)| (name.to_owned(), false));
            continue;
        }
        if let Some((_, inherited)) = &mut table {
            *inherited |= inherits;
        } else if in_list && open == 0 && line.contains('=') && !inherits {
            own.push(line.split(['.', '=', ' ']).next().unwrap_or_default().to_owned());
        }
        let count = |brackets: [char; 2]| line.matches(brackets).count();
        open = (open + count(['[', '{'])).saturating_sub(count([']', '}']));
    }
    own.extend(table.filter(|(_, inherits)| !inherits).map(|(name, _)| name));
    own
}

fn is_crate_head(path: &Path) -> bool {
    path.ends_with("lib.rs") || path.ends_with("main.rs")
}

fn begins_with_docs(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    first.starts_with("//!") || first == DOCS
}

fn is_test(folder: &Path, path: &Path) -> bool {
    path.starts_with(folder.join("tests")) || path.ends_with("tests.rs") || path.iter().any(|part| part == "tests")
}

fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests"));
    tests.unwrap_or(lines.len())
}

fn unfinished(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    let word_in = |line: &str| UNFINISHED.into_iter().find(|word| line.contains(word));
    text.lines().enumerate().filter_map(move |(at, line)| Some((at + 1, word_in(line)?)))
}

/// The Rust files of a crate, sorted.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["src", "tests", "benches", "examples"].map(|name| folder.join(name)).into();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.map_err(|source| Failure::Io { path: folder.clone(), source })?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|source| Failure::Io { path: path.to_owned(), source })
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_from_the_workspace() {
        let manifest = "\
[package]
version = \"1.0\"
[dependencies]
a.workspace = true
b = { workspace = true, features = [
    \"x=y\",
] }
c = \"1\" # a version of its own
d = { path = \"../d\" }
itself = { path = \".\", features = [\"testing\"] }
[target.'cfg(unix)'.dev-dependencies]
e = \"2\"
[dependencies.f]
workspace = true
[build-dependencies.g]
version = \"3\"
[features]
h = []
";
        assert_eq!(own_versions(manifest), ["c", "d", "e", "g"]);
        assert_eq!(own_versions("[dependencies.z]\nversion = \"1\""), ["z"]);
    }

    #[test]
    fn a_library_begins_with_its_documentation() {
        assert!(begins_with_docs(&format!("{DOCS}\n")));
        assert!(begins_with_docs("\n//! Text\n"));
        assert!(!begins_with_docs("mod a;\n//! Text\n"));
        assert!(!begins_with_docs(""));
    }

    #[test]
    fn inline_tests_do_not_count_as_lines() {
        assert_eq!(lines_before_tests("a\nb\n\n#[cfg(test)]\nmod tests {\n}\n"), 3);
        assert_eq!(lines_before_tests("a\n#[cfg(test)]\nfn b() {}\n"), 3);
        assert!(is_test(Path::new("/c"), Path::new("/c/tests/sim/faults.rs")));
        assert!(is_test(Path::new("/c"), Path::new("/c/src/store/tests.rs")));
        assert!(!is_test(Path::new("/c"), Path::new("/c/src/store.rs")));
    }

    #[test]
    fn unfinished_work_is_found() {
        let text = format!("fine\n// {}: later\n", UNFINISHED[0]);
        assert_eq!(unfinished(&text).collect::<Vec<_>>(), [(2, UNFINISHED[0])]);
    }

    #[test]
    fn the_folders_of_this_crate_are_walked() {
        let sources = sources(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(sources.iter().any(|path| path.ends_with("src/tidy.rs")));
        assert!(missing(Path::new("/"), Path::new("/no/such"), "README.md").is_some());
    }

    fn made_up(test: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("xtask-tidy-{test}-{}", std::process::id()));
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn every_fault_of_a_crate_is_named() {
        let long = "//! Long\n".repeat(LINES_MAX + 1);
        let root = made_up(
            "crate",
            &[
                ("Cargo.toml", "[dependencies]\na = \"1\"\n"),
                ("src/lib.rs", "mod long;\n"),
                ("src/long.rs", &long),
                ("tests/long.rs", &long),
            ],
        );
        let member = Crate { name: "x".to_owned(), id: "x".to_owned(), folder: root.clone(), has_library: true };
        assert_eq!(
            crate_faults(&root, &member).unwrap(),
            [
                "Cargo.toml: `a` is not taken from the workspace",
                "src/lib.rs does not begin with its documentation",
                "src/long.rs has 601 lines, more than 600",
            ]
        );
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn fuzz_targets_are_where_they_run() {
        let target = "fuzz_target!(|data: &[u8]| {});";
        let root = made_up(
            "fuzz",
            &[("fuzz/src/bin/good.rs", target), ("fuzz/src/lost.rs", target), ("fuzz/src/bin/empty.rs", "")],
        );
        assert_eq!(
            fuzz_faults(&root).unwrap(),
            [
                "fuzz/src/bin/empty.rs is no fuzz target, but in fuzz/src/bin",
                "fuzz/src/lost.rs is a fuzz target outside fuzz/src/bin",
            ]
        );
        fs::remove_dir_all(root).unwrap();
    }
}
