//! What is wrong with bytes that somebody handed over, and where.

use std::fmt;

/// Bytes that are not what they should be. They are refused whole: nothing of them was believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {format}: {fault}, {place}")]
#[non_exhaustive]
pub struct Malformed {
    /// What was read, such as `checkpoint`.
    pub format: &'static str,
    /// What is wrong.
    pub fault: &'static str,
    /// Where.
    pub place: Place,
}

/// A place in what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A line of a text, counted from 1.
    Line(usize),
    /// A byte, counted from 0.
    Byte(usize),
    /// A field of a JSON object.
    Field(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Byte(byte) => write!(f, "byte {byte}"),
            Self::Field(name) => write!(f, "field `{name}`"),
        }
    }
}

impl Malformed {
    pub(crate) const fn at_line(format: &'static str, line: usize, fault: &'static str) -> Self {
        Self { format, fault, place: Place::Line(line) }
    }

    pub(crate) const fn at_byte(format: &'static str, byte: usize, fault: &'static str) -> Self {
        Self { format, fault, place: Place::Byte(byte) }
    }

    pub(crate) fn at_field(format: &'static str, name: &str, fault: &'static str) -> Self {
        Self { format, fault, place: Place::Field(name.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_and_where() {
        for (error, message) in [
            (Malformed::at_line("checkpoint", 2, "no number"), "not a valid checkpoint: no number, line 2"),
            (Malformed::at_byte("tile", 31, "cut short"), "not a valid tile: cut short, byte 31"),
            (Malformed::at_field("log entry", "t", "missing"), "not a valid log entry: missing, field `t`"),
        ] {
            assert_eq!(error.to_string(), message);
        }
    }
}
