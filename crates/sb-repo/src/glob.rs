//! Patterns of names and paths, as shells write them, over raw bytes.

/// More components than a pattern can have: which of them are matched so far is kept in the bits of a number.
const COMPONENTS_MAX: usize = 63;

/// A pattern of names, or of paths if it has a slash.
///
/// `*` stands for any characters, `?` for one, `[a-z]` for one of these and `[!a-z]` for one that is none of them, `\` takes
/// what follows as it is; between slashes `**` stands for any number of folders. A path begins anywhere unless the pattern
/// begins with a slash.
///
/// ```
/// use sb_repo::Pattern;
///
/// let matches = |pattern: &str, path: &str| Pattern::new(pattern.as_bytes(), false).unwrap().matches(path.as_bytes());
/// assert!(matches("*.pdf", "/clients/miller/invoice.pdf"));
/// assert!(matches("miller/*", "/clients/miller/invoice.pdf") && !matches("/miller/*", "/clients/miller/invoice.pdf"));
/// assert!(matches("/clients/**/*.pdf", "/clients/miller/2025/tax.pdf"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Component>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Component {
    /// Any number of folders.
    Folders,
    Name(Glob),
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Nothing can have that name.
    #[error("an empty pattern matches nothing")]
    Empty,
    /// A class of characters has no end.
    #[error("a `[` has no `]`; `\\[` means the bracket itself")]
    OpenClass,
    /// More components than can be matched.
    #[error("a pattern has at most 62 components")]
    TooLong,
}

/// Which components of a pattern come next; each bit is one.
pub(crate) type Positions = u64;

impl Pattern {
    /// Reads a pattern. With `ignore_case`, upper and lower case are the same.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(text: &[u8], ignore_case: bool) -> Result<Self, PatternError> {
        let is_rooted = text.starts_with(b"/");
        let mut components = if is_rooted { Vec::new() } else { vec![Component::Folders] };
        for part in split(text) {
            let component =
                if part == b"**" { Component::Folders } else { Component::Name(Glob::new(part, ignore_case)?) };
            if component != Component::Folders || components.last() != Some(&Component::Folders) {
                components.push(component);
            }
        }
        match components.last() {
            None | Some(Component::Folders) if !text.ends_with(b"**") => Err(PatternError::Empty),
            _ if components.len() >= COMPONENTS_MAX => Err(PatternError::TooLong),
            // What ends with any number of folders matches everything in them.
            Some(Component::Folders) => {
                components.push(Component::Name(Glob(vec![Token::Star], false)));
                Ok(Self(components))
            }
            _ => Ok(Self(components)),
        }
    }

    /// True if an absolute path matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        let mut at = self.start();
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            at = self.step(at, name);
        }
        self.accepts(at)
    }

    /// Where matching begins: at the root.
    pub(crate) fn start(&self) -> Positions {
        self.closed(1)
    }

    /// Where matching stands after another name of the path; 0 if nothing below it can match.
    pub(crate) fn step(&self, at: Positions, name: &[u8]) -> Positions {
        let mut next = 0;
        for (number, component) in self.0.iter().enumerate().filter(|(number, _)| at & (1 << number) != 0) {
            match component {
                Component::Folders => next |= 1 << number,
                Component::Name(glob) if glob.matches(name) => next |= 1 << (number + 1),
                Component::Name(_) => {}
            }
        }
        self.closed(next)
    }

    /// True if the path so far matches.
    pub(crate) fn accepts(&self, at: Positions) -> bool {
        at & (1 << self.0.len()) != 0
    }

    /// What of it matters for names below.
    pub(crate) fn below(&self, at: Positions) -> Positions {
        at & !(1 << self.0.len())
    }

    /// Any number of folders may be none.
    fn closed(&self, mut at: Positions) -> Positions {
        for (number, component) in self.0.iter().enumerate() {
            if *component == Component::Folders && at & (1 << number) != 0 {
                at |= 1 << (number + 1);
            }
        }
        at
    }
}

/// The parts between slashes that are not empty. A slash in a class or after a backslash separates as well: no name has one.
fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}

/// A pattern of one name; true where case is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob(Vec<Token>, bool);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Star,
    One,
    Unit(u32),
    Class { negated: bool, ranges: Vec<(u32, u32)> },
}

impl Glob {
    fn new(text: &[u8], ignore_case: bool) -> Result<Self, PatternError> {
        let (mut tokens, mut at) = (Vec::new(), 0);
        let next = |at: &mut usize| {
            let (unit, length) = unit(&text[*at..])?;
            *at += length;
            Some(unit)
        };
        const BACKSLASH: u32 = b'\\' as u32;
        while let Some(unit) = next(&mut at) {
            tokens.push(match char::from_u32(unit) {
                Some('*') if tokens.last() == Some(&Token::Star) => continue,
                Some('*') => Token::Star,
                Some('?') => Token::One,
                Some('\\') => Token::Unit(fold(next(&mut at).unwrap_or(BACKSLASH), ignore_case)),
                Some('[') => {
                    let negated = matches!(text.get(at), Some(b'!' | b'^'));
                    at += usize::from(negated);
                    let mut ranges = Vec::new();
                    loop {
                        let mut from = next(&mut at).ok_or(PatternError::OpenClass)?;
                        // A bracket that comes first is one of the characters.
                        if from == u32::from(b']') && !ranges.is_empty() {
                            break;
                        }
                        if from == BACKSLASH {
                            from = next(&mut at).ok_or(PatternError::OpenClass)?;
                        }
                        let mut to = from;
                        if text.get(at) == Some(&b'-') && text.get(at + 1).is_some_and(|byte| *byte != b']') {
                            at += 1;
                            to = next(&mut at).ok_or(PatternError::OpenClass)?;
                        }
                        ranges.push((from, to));
                    }
                    Token::Class { negated, ranges }
                }
                _ => Token::Unit(fold(unit, ignore_case)),
            });
        }
        Ok(Self(tokens, ignore_case))
    }

    /// Goes through the name once, and back to the last `*` where that did not fit.
    fn matches(&self, name: &[u8]) -> bool {
        let Self(tokens, ignore_case) = self;
        let (mut token, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let here = unit(&name[at..]);
            match (tokens.get(token), here) {
                (Some(Token::Star), _) => {
                    retry = Some((token, at));
                    token += 1;
                    continue;
                }
                (Some(one), Some((unit, length))) if one.fits(unit, *ignore_case) => {
                    (token, at) = (token + 1, at + length);
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((star, from)) = retry else { return false };
            let Some((_, length)) = unit(&name[from..]) else { return false };
            retry = Some((star, from + length));
            (token, at) = (star + 1, from + length);
        }
    }
}

impl Token {
    fn fits(&self, unit: u32, ignore_case: bool) -> bool {
        match self {
            Self::Star | Self::One => true,
            Self::Unit(wanted) => *wanted == fold(unit, ignore_case),
            Self::Class { negated, ranges } => {
                let other = char::from_u32(unit).map_or(unit, |c| {
                    single(c.to_lowercase())
                        .filter(|l| *l != c)
                        .or_else(|| single(c.to_uppercase()))
                        .unwrap_or(c)
                        .into()
                });
                let holds = |unit: u32| ranges.iter().any(|(from, to)| (*from..=*to).contains(&unit));
                *negated != (holds(unit) || ignore_case && holds(other))
            }
        }
    }
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    chars.next().filter(|_| chars.next().is_none())
}

/// The first character and how many bytes it has; a byte that begins none is a unit of its own, above all characters.
fn unit(text: &[u8]) -> Option<(u32, usize)> {
    let first = *text.first()?;
    if first.is_ascii() {
        return Some((first.into(), 1));
    }
    let chunk = text[..text.len().min(4)].utf8_chunks().next()?;
    Some(chunk.valid().chars().next().map_or((0x11_0000 + u32::from(first), 1), |c| (c.into(), c.len_utf8())))
}

/// The same for upper and lower case, if that is wanted.
fn fold(unit: u32, ignore_case: bool) -> u32 {
    match char::from_u32(unit).filter(|_| ignore_case) {
        Some(c) if c.is_ascii() => c.to_ascii_lowercase().into(),
        Some(c) => single(c.to_lowercase()).unwrap_or(c).into(),
        None => unit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(pattern: &[u8], name: &[u8], ignore_case: bool) -> bool {
        Glob::new(pattern, ignore_case).unwrap().matches(name)
    }

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*.pdf", ".pdf", true),
            ("*.pdf", "a.pdf.pdf", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
            ("?", "ü", true),
            ("??", "ü", false),
            ("[a-cx]1", "b1", true),
            ("[!a-c]1", "b1", false),
            ("[^a-c]1", "d1", true),
            ("[]x]", "]", true),
            ("[a-]", "-", true),
            ("[\\]]", "]", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", true),
            ("A", "a", false),
            ("ä[Ö]", "Äö", false),
        ] {
            assert_eq!(name(pattern.as_bytes(), text.as_bytes(), false), fits, "{pattern} {text}");
        }
        assert!(name("ä[Ö]X*".as_bytes(), "Äöxy".as_bytes(), true));
        assert!(name(b"b?ro", b"b\xfcro", false) && name(b"b\xfcro", b"b\xfcro", true));
        assert!(!name("bü*".as_bytes(), b"b\xfcro", false));
    }

    #[test]
    fn paths_match_from_the_root_or_anywhere() {
        let fits =
            |pattern: &str, path: &str| Pattern::new(pattern.as_bytes(), false).unwrap().matches(path.as_bytes());
        for (pattern, path, is_match) in [
            ("x", "/a/x", true),
            ("x", "/a/x/b", false),
            ("/x", "/a/x", false),
            ("/a/x", "/a/x", true),
            ("/a/x/", "/a/x", true),
            ("a/x", "/b/a/x", true),
            ("a/x", "/a/b/x", false),
            ("/a/*/x", "/a/b/x", true),
            ("/a/*/x", "/a/b/c/x", false),
            ("/a/**/x", "/a/x", true),
            ("/a/**/x", "/a/b/c/x", true),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/a", false),
            ("**/x", "/a/x", true),
            ("**", "/a", true),
            ("/a/**/b/**/c", "/a/1/b/b/2/c", true),
            ("/a/**/b/**/c", "/a/1/c/2/c", false),
        ] {
            assert_eq!(fits(pattern, path), is_match, "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let error = |text: &str| Pattern::new(text.as_bytes(), false).unwrap_err();
        assert_eq!(
            (error(""), error("/"), error("a[b")),
            (PatternError::Empty, PatternError::Empty, PatternError::OpenClass)
        );
        assert_eq!(error(&"/a".repeat(63)), PatternError::TooLong);
        assert!(Pattern::new("/a".repeat(62).as_bytes(), false).is_ok());
    }

    /// The same by trying everything.
    fn slowly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => slowly(&pattern[1..], text) || !text.is_empty() && slowly(pattern, &text[1..]),
            (Some('?'), Some(_)) => slowly(&pattern[1..], &text[1..]),
            (Some(a), Some(b)) if a == b => slowly(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn stars_match_as_if_everything_were_tried(pattern in "[ab?*]{0,6}", text in "[abü]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(name(pattern.as_bytes(), text.as_bytes(), false), slowly(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn a_name_matches_itself_whatever_its_bytes(text in any::<Vec<u8>>()) {
            let escaped: Vec<u8> = text.iter().flat_map(|byte| match byte {
                b'*' | b'?' | b'[' | b'\\' => vec![b'\\', *byte],
                other => vec![*other],
            }).collect();
            prop_assert!(name(&escaped, &text, false) && name(&escaped, &text, true));
        }

        #[test]
        fn no_bytes_make_a_pattern_panic(pattern in any::<Vec<u8>>(), path in any::<Vec<u8>>()) {
            if let Ok(pattern) = Pattern::new(&pattern, true) {
                pattern.matches(&path);
            }
        }
    }
}
