//! What of a snapshot to restore.

use crate::excludes::Excludes;
use crate::{SelectionError, SourceOptions};

/// Patterns of what to restore and what not, with the syntax of [`SourceOptions`], matched against the path below what is
/// restored.
///
/// ```
/// use sb_source::{Filter, Verdict};
///
/// let filter = Filter::new(["/2025/"], ["*.tmp"])?;
/// assert_eq!(filter.verdict(b"2025", true, Verdict::Undecided), Verdict::In);
/// assert_eq!(filter.verdict(b"2025/ledger.csv", false, Verdict::In), Verdict::In);
/// assert_eq!(filter.verdict(b"2025/a.tmp", false, Verdict::In), Verdict::Out);
/// assert_eq!(filter.verdict(b"2024", true, Verdict::Undecided), Verdict::Undecided);
/// # Ok::<(), sb_source::SelectionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    includes: Option<Excludes>,
    excludes: Excludes,
}

/// What a [`Filter`] says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is restored.
    In,
    /// It is not, and nothing below it.
    Out,
    /// It is not by itself, but something below it may be.
    Undecided,
}

impl Filter {
    /// Compiles the patterns. Without any `includes`, everything is restored that `excludes` do not leave out.
    ///
    /// # Errors
    /// [`SelectionError::Include`] or [`SelectionError::Pattern`] for one that is no valid glob.
    pub fn new<P: Into<String>>(
        includes: impl IntoIterator<Item = P>,
        excludes: impl IntoIterator<Item = P>,
    ) -> Result<Self, SelectionError> {
        let (includes, none) = compile(includes).map_err(|error| match error {
            SelectionError::Pattern { pattern, source } => SelectionError::Include { pattern, source },
            other => other,
        })?;
        Ok(Self { includes: (!none).then_some(includes), excludes: compile(excludes)?.0 })
    }

    /// What to begin with, above everything.
    pub fn start(&self) -> Verdict {
        if self.includes.is_some() { Verdict::Undecided } else { Verdict::In }
    }

    /// Whether to restore what is at `path`, without a slash in front, in a folder of which the filter said `parent`.
    pub fn verdict(&self, path: &[u8], is_folder: bool, parent: Verdict) -> Verdict {
        if parent == Verdict::Out || self.excludes.leave_out(path, is_folder) {
            return Verdict::Out;
        }
        match self.includes.as_ref().and_then(|includes| includes.verdict(path, is_folder)) {
            Some(true) => Verdict::In,
            Some(false) if is_folder => Verdict::Undecided,
            Some(false) => Verdict::Out,
            None if parent == Verdict::Undecided && !is_folder => Verdict::Out,
            None => parent,
        }
    }

    /// The patterns of what to restore, in their order; none if that is everything.
    pub fn includes(&self) -> impl Iterator<Item = &str> {
        self.includes.iter().flat_map(Excludes::patterns)
    }

    /// The patterns of what to leave out, in their order.
    pub fn excludes(&self) -> impl Iterator<Item = &str> {
        self.excludes.patterns()
    }
}

/// Everything.
impl Default for Filter {
    fn default() -> Self {
        Self::new([""; 0], [""; 0]).expect("no pattern is a valid list")
    }
}

fn compile<P: Into<String>>(patterns: impl IntoIterator<Item = P>) -> Result<(Excludes, bool), SelectionError> {
    let patterns: Vec<String> = patterns.into_iter().map(Into::into).collect();
    let none = patterns.is_empty();
    let options = patterns.into_iter().fold(SourceOptions::default(), SourceOptions::exclude);
    Ok((Excludes::new(&options)?, none))
}

#[cfg(test)]
mod tests {
    use super::Verdict::{In, Out, Undecided};
    use super::*;

    #[test]
    fn nothing_given_means_everything() {
        let filter = Filter::default();
        assert_eq!((filter.start(), filter.verdict(b"a", true, In)), (In, In));
    }

    #[test]
    fn what_is_included_takes_what_is_below_it_along() {
        let filter = Filter::new(["clients/miller", "*.pdf", "!draft.pdf"], ["secret/"]).unwrap();
        assert_eq!(filter.start(), Undecided);
        for (path, is_folder, parent, verdict) in [
            ("clients", true, Undecided, Undecided),
            ("clients/miller", true, Undecided, In),
            ("clients/miller/2025/a", false, In, In),
            ("clients/miller/draft.pdf", false, In, Out),
            ("clients/miller/secret", true, In, Out),
            ("clients/miller/secret/x.pdf", false, Out, Out),
            ("clients/b/x.pdf", false, Undecided, In),
            ("clients/b/x.txt", false, Undecided, Out),
            ("clients/b/draft.pdf", true, In, Undecided),
        ] {
            assert_eq!(filter.verdict(path.as_bytes(), is_folder, parent), verdict, "{path}");
        }
        assert!(filter.includes().eq(["clients/miller", "*.pdf", "!draft.pdf"]) && filter.excludes().eq(["secret/"]));
    }

    #[test]
    fn bad_patterns_are_named_as_what_they_are() {
        let text = |includes: &[&str], excludes: &[&str]| {
            Filter::new(includes.iter().copied(), excludes.iter().copied()).unwrap_err().to_string()
        };
        assert!(text(&["a{b"], &[]).starts_with("include pattern `a{b` is not valid: "));
        assert!(text(&[], &["a{b"]).starts_with("exclude pattern `a{b` is not valid: "));
    }
}
