//! Patterns of what to leave out.

use std::fs;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::{SelectionError, SourceOptions, platform};

/// The patterns of a [`SourceOptions`], compiled.
#[derive(Clone, Debug)]
pub(crate) struct Excludes {
    compiled: Gitignore,
    patterns: Vec<String>,
}

impl Excludes {
    pub(crate) fn new(options: &SourceOptions) -> Result<Self, SelectionError> {
        let mut builder = GitignoreBuilder::new("");
        let mut patterns = Vec::new();
        let mut add = |pattern: &str, any_case: bool| {
            patterns.push(pattern.to_owned());
            let added = builder.case_insensitive(any_case).and_then(|builder| builder.add_line(None, pattern));
            match added {
                Ok(_) => Ok(()),
                Err(source) => Err(SelectionError::Pattern { pattern: pattern.to_owned(), source: Box::new(source) }),
            }
        };
        options.excludes.iter().try_for_each(|pattern| add(pattern, false))?;
        options.iexcludes.iter().try_for_each(|pattern| add(pattern, true))?;
        for file in &options.exclude_files {
            let unreadable = |source| SelectionError::ExcludeFile { file: file.clone(), source };
            let lines = fs::read_to_string(file).map_err(unreadable)?;
            lines.lines().try_for_each(|line| add(line, false))?;
        }
        let set = |source| SelectionError::Pattern { pattern: options.excludes.join("\n"), source: Box::new(source) };
        Ok(Self { compiled: builder.build().map_err(set)?, patterns })
    }

    /// The patterns, in their order.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(String::as_str)
    }

    /// The patterns that begin with this path.
    pub(crate) fn beginning_with(&self, path: &[u8]) -> impl Iterator<Item = &str> {
        let begins = move |pattern: &&String| {
            let rest = pattern.trim_start_matches('!').as_bytes().strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.patterns.iter().filter(begins).map(String::as_str)
    }

    /// What these patterns alone say of `path`: whether they match it, or `None` if they do not mention it.
    pub(crate) fn verdict(&self, path: &[u8], folder: bool) -> Option<bool> {
        match self.compiled.matched(platform::os_str(path).ok()?, folder) {
            Match::Ignore(_) => Some(true),
            Match::Whitelist(_) => Some(false),
            Match::None => None,
        }
    }

    /// Whether to leave out what is at `path`, counted from its source, without a slash in front.
    pub(crate) fn leave_out(&self, path: &[u8], folder: bool) -> bool {
        platform::os_str(path).is_ok_and(|path| self.compiled.matched(path, folder).is_ignore())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excludes(patterns: &[&str]) -> Excludes {
        let options = patterns.iter().fold(SourceOptions::default(), |options, pattern| options.exclude(*pattern));
        Excludes::new(&options).unwrap()
    }

    #[test]
    fn patterns_mean_what_the_documentation_says() {
        let folder = true;
        let file = false;
        for (pattern, path, is, left_out) in [
            ("*.tmp", "a.tmp", file, true),
            ("*.tmp", "deep/down/a.tmp", folder, true),
            ("*.tmp", "a.TMP", file, false),
            ("*.tmp", ".tmp", file, true),
            ("cache/", "deep/cache", folder, true),
            ("cache/", "deep/cache", file, false),
            ("/cache", "cache", file, true),
            ("/cache", "deep/cache", file, false),
            ("office/~*", "office/~a", file, true),
            ("office/~*", "deep/office/~a", file, false),
            ("office/~*", "office/deep/~a", file, false),
            ("**/office/~*", "deep/office/~a", file, true),
            ("**/office/~*", "office/~a", file, true),
            ("logs/**", "logs", folder, false),
            ("logs/**", "logs/a/b", file, true),
            ("/home/a", "home/a", file, true),
            ("\\#a", "#a", file, true),
            ("\\!a", "!a", file, true),
            ("#a", "#a", file, false),
            ("", "a", file, false),
            ("a ", "a", file, true),
            ("[ab].txt", "b.txt", file, true),
            ("a?c", "a/c", file, false),
            ("~$*", "x/~$letter.docx", file, true),
        ] {
            assert_eq!(excludes(&[pattern]).leave_out(path.as_bytes(), is), left_out, "{pattern} on {path}");
        }
    }

    #[test]
    fn the_last_match_decides() {
        let excludes = excludes(&["*.tmp", "!keep.tmp", "/x/keep.tmp"]);
        assert!(excludes.leave_out(b"a.tmp", false));
        assert!(!excludes.leave_out(b"keep.tmp", false));
        assert!(excludes.leave_out(b"x/keep.tmp", false));
    }

    #[test]
    fn patterns_that_begin_with_a_path_are_found() {
        let excludes = excludes(&["/a/b", "/a/b/*.tmp", "!/a/b/c", "/a/bc", "/a", "b", "*/a/b"]);
        let found: Vec<&str> = excludes.beginning_with(b"/a/b").collect();
        assert_eq!(found, ["/a/b", "/a/b/*.tmp", "!/a/b/c"]);
    }

    #[test]
    fn case_counts_unless_it_is_not_to() {
        let options = SourceOptions::default().iexclude("*.TMP").exclude("*.bak").iexclude("!keep.tmp");
        let excludes = Excludes::new(&options).unwrap();
        for (name, left_out) in
            [("a.tmp", true), ("A.Tmp", true), ("a.bak", true), ("a.BAK", false), ("KEEP.tmp", false)]
        {
            assert_eq!(excludes.leave_out(name.as_bytes(), false), left_out, "{name}");
        }
    }

    #[test]
    fn names_need_no_encoding() {
        assert!(excludes(&["*.tmp"]).leave_out(b"\xff.tmp", false));
        assert!(excludes(&["a?b"]).leave_out(b"a\xffb", false));
        assert!(!excludes(&["a.tmp"]).leave_out(b"\xff.tmp", false));
    }

    #[test]
    fn files_of_patterns_come_last() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("excludes");
        fs::write(&file, "# what we can spare\r\n\r\n!keep.tmp\r\n*.bak\r\n").unwrap();
        let options = SourceOptions::default().exclude_file(&file).exclude("*.tmp");
        let excludes = Excludes::new(&options).unwrap();
        assert!(excludes.leave_out(b"a.bak", false));
        assert!(excludes.leave_out(b"a.tmp", false));
        assert!(!excludes.leave_out(b"keep.tmp", false));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let bad = Excludes::new(&SourceOptions::default().exclude("a{b")).unwrap_err();
        assert!(bad.to_string().starts_with("exclude pattern `a{b` is not valid: "), "{bad}");
        let folder = tempfile::tempdir().unwrap();
        let none = Excludes::new(&SourceOptions::default().exclude_file(folder.path().join("none"))).unwrap_err();
        assert!(none.to_string().starts_with("cannot read excludes from `"), "{none}");
        let binary = folder.path().join("binary");
        fs::write(&binary, b"\xff").unwrap();
        let binary = Excludes::new(&SourceOptions::default().exclude_file(binary)).unwrap_err();
        assert!(matches!(binary, SelectionError::ExcludeFile { .. }));
    }
}
