//! The list of the logs that a witness watches: lines `log` and a verifier key, as in C2SP tlog-policy.

use std::fmt;
use std::str::FromStr;

use sb_audit::{Malformed, SignatureType, VerifierKey};

const HEADER: &str = "# The logs that this witness watches. `sb witness add-log` adds lines.";

/// The keys of the logs to watch. A log whose key has changed has two: its origin is the name of both.
///
/// ```
/// use sb_witness::Logs;
/// let text = "
/// ## two comments may stand here
/// log example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
/// ";
/// let logs: Logs = text.parse()?;
/// assert_eq!(logs.keys()[0].name(), "example.com/foo");
/// # Ok::<(), sb_witness::LogsError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    keys: Vec<VerifierKey>,
}

impl Logs {
    /// The keys in the order they were added.
    #[must_use]
    pub fn keys(&self) -> &[VerifierKey] {
        &self.keys
    }

    /// Adds a key; false if it was there.
    ///
    /// # Errors
    /// [`LogsError`] if it is no key of a log, or that of a log by another name.
    pub fn add(&mut self, key: VerifierKey) -> Result<bool, LogsError> {
        if key.kind() != SignatureType::Note {
            return Err(LogsError::NotALog { name: key.name().to_owned() });
        }
        match self.keys.iter().find(|known| known.key() == key.key()) {
            Some(known) if known.name() == key.name() => Ok(false),
            Some(known) => Err(LogsError::TwoNames { name: key.name().to_owned(), known: known.name().to_owned() }),
            None => {
                self.keys.push(key);
                Ok(true)
            }
        }
    }
}

impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        self.keys.iter().try_for_each(|key| writeln!(f, "log {key}"))
    }
}

/// Reads a list. Empty lines and those that begin with `#` say nothing; a key is listed once.
impl FromStr for Logs {
    type Err = LogsError;

    fn from_str(text: &str) -> Result<Self, LogsError> {
        let mut logs = Self::default();
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let number = index + 1;
            let line = line.strip_suffix('\n').ok_or(LogsError::NoEnd { line: number })?;
            let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
            match (words.next(), words.next(), words.next()) {
                (None, ..) => {}
                (Some(first), ..) if first.starts_with('#') => {}
                (Some("log"), Some(key), None) => {
                    let key = key.parse().map_err(|source| LogsError::NotAKey { line: number, source })?;
                    if !logs.add(key)? {
                        return Err(LogsError::Twice { line: number });
                    }
                }
                _ => return Err(LogsError::NotALine { line: number }),
            }
        }
        Ok(logs)
    }
}

/// What is wrong with a list of logs, or with a key for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogsError {
    /// The last line is cut short.
    #[error("line {line} has no end")]
    NoEnd {
        /// Which, counted from 1.
        line: usize,
    },
    /// A line says something else.
    #[error("line {line} is not `log` and a verifier key")]
    NotALine {
        /// Which, counted from 1.
        line: usize,
    },
    /// A line's key can't be read.
    #[error("the key in line {line} is none")]
    NotAKey {
        /// Which, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: Malformed,
    },
    /// A key is there a second time.
    #[error("the key in line {line} was listed before")]
    Twice {
        /// Which, counted from 1.
        line: usize,
    },
    /// The key cosigns.
    #[error("`{name}` is the key of a witness, not of a log")]
    NotALog {
        /// The key's name.
        name: String,
    },
    /// One key for two logs: a signature by it says nothing about which.
    #[error("the key of `{name}` is known as that of `{known}`")]
    TwoNames {
        /// The name it has here.
        name: String,
        /// The name it had before.
        known: String,
    },
}

#[cfg(test)]
mod tests {
    use sb_audit::{Cosigner, NoteSigner};
    use sb_crypto::SigningKey;

    use super::*;

    fn key(name: &str, seed: u8) -> VerifierKey {
        NoteSigner::new(name, SigningKey::from_seed(&[seed; 32])).unwrap().verifier().clone()
    }

    #[test]
    fn a_list_is_written_as_it_is_read() {
        let mut logs = Logs::default();
        assert_eq!(logs.add(key("a", 1)), Ok(true));
        assert_eq!(logs.add(key("b", 2)), Ok(true));
        assert_eq!(logs.add(key("a", 3)), Ok(true), "a log whose key has changed");
        assert_eq!(logs.add(key("a", 1)), Ok(false));
        assert_eq!(logs.to_string().parse(), Ok(logs));
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_line() {
        let good = key("a", 1);
        for (text, error) in [
            ("log".to_owned(), LogsError::NoEnd { line: 1 }),
            ("\nlog\n".to_owned(), LogsError::NotALine { line: 2 }),
            ("witness w x\n".to_owned(), LogsError::NotALine { line: 1 }),
            (format!("log {good} http://a\n"), LogsError::NotALine { line: 1 }),
            (format!("log {good}\nlog {good}\n"), LogsError::Twice { line: 2 }),
            (
                format!("log {good}\nlog {}\n", key("b", 1)),
                LogsError::TwoNames { name: "b".to_owned(), known: "a".to_owned() },
            ),
        ] {
            assert_eq!(text.parse::<Logs>(), Err(error), "{text}");
        }
        assert!(matches!("log a+b+c\n".parse::<Logs>(), Err(LogsError::NotAKey { line: 1, .. })));
        let cosigner = Cosigner::new("w", SigningKey::from_seed(&[1; 32])).unwrap();
        let text = format!("log {}\n", cosigner.verifier());
        assert_eq!(text.parse::<Logs>(), Err(LogsError::NotALog { name: "w".to_owned() }));
    }
}
