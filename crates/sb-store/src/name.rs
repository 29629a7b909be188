use std::fmt;

use crate::StoreError;

/// The name of an object: `/`-separated components of `a-z 0-9 . _ -`, at most [`ObjectName::BYTES_MAX`] bytes.
///
/// No component is empty or starts with a dot, and the first one is not `tmp`, so that a name means the same on every
/// file system and in every object store, and never a hidden or an unfinished file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(String);

impl ObjectName {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 250;

    /// Checks a name.
    ///
    /// ```
    /// use sb_store::ObjectName;
    ///
    /// let name = ObjectName::new("packs/aa/aa31f0")?;
    /// assert_eq!(name.kind(), "packs");
    /// assert!(ObjectName::new("../etc/passwd").is_err());
    /// # Ok::<(), sb_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::BadName`] with the rule the name breaks.
    pub fn new(name: impl Into<String>) -> Result<Self, StoreError> {
        let name = name.into();
        match broken_rule(&name) {
            None => Ok(Self(name)),
            Some(reason) => Err(StoreError::BadName { name, reason }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first component, by which objects are told apart: `packs` of `packs/aa/aa31f0`.
    pub fn kind(&self) -> &str {
        self.0.split('/').next().expect("split yields at least one part")
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn broken_rule(name: &str) -> Option<&'static str> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    if name.len() > ObjectName::BYTES_MAX {
        return Some("longer than 250 bytes");
    }
    for (position, component) in name.split('/').enumerate() {
        if component.is_empty() {
            return Some("empty component");
        }
        if component.starts_with('.') {
            return Some("component starts with a dot");
        }
        if !component.bytes().all(allowed) {
            return Some("characters other than a-z, 0-9, `.`, `_` and `-`");
        }
        if position == 0 && component == "tmp" {
            return Some("`tmp` is where uploads are");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_names_are_kept_as_they_are() {
        for good in ["config", "packs/aa/00ff", "keys/a.1.0123456789abcdef", "a-b_c", "packs/tmp", "tmp2"] {
            assert_eq!(ObjectName::new(good).unwrap().as_str(), good);
        }
        assert_eq!(ObjectName::new("packs/aa/00ff").unwrap().kind(), "packs");
        assert_eq!(ObjectName::new("config").unwrap().to_string(), "config");
    }

    #[test]
    fn bad_names_are_refused_with_the_rule_they_break() {
        let reason = |name: &str| ObjectName::new(name).unwrap_err().to_string();
        assert_eq!(reason(""), "bad object name ``: empty component");
        assert_eq!(reason("/a"), "bad object name `/a`: empty component");
        assert_eq!(reason("a//b"), "bad object name `a//b`: empty component");
        assert_eq!(reason("a/"), "bad object name `a/`: empty component");
        assert_eq!(reason("a/.."), "bad object name `a/..`: component starts with a dot");
        assert_eq!(reason("tmp/a"), "bad object name `tmp/a`: `tmp` is where uploads are");
        for bad in ["A", "a b", "ä", "a\\b", "a\0", "a:b"] {
            assert!(matches!(ObjectName::new(bad), Err(StoreError::BadName { .. })), "{bad:?}");
        }
        assert!(ObjectName::new("a".repeat(250)).is_ok());
        assert!(ObjectName::new("a".repeat(251)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn an_accepted_name_can_not_leave_its_folder(text in "[a-bA./_]{0,6}") {
            if let Ok(name) = ObjectName::new(text.clone()) {
                prop_assert_eq!(name.as_str(), text.as_str());
                prop_assert!(text.split('/').all(|part| !part.is_empty() && !part.starts_with('.')));
            }
        }
    }
}
