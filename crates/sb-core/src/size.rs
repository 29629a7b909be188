//! Numbers of bytes, as people write and read them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// A number of bytes. Units are powers of 1024: `16M`, `1.5 GiB` and `500kb` are understood, a bare number means bytes.
///
/// ```
/// use sb_core::Size;
/// assert_eq!("1.5G".parse(), Ok(Size(1_610_612_736)));
/// assert_eq!(Size(1_610_612_736).to_string(), "1.5 GiB");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no size: write a number and a unit, such as `500M` or `2G`")]
pub struct SizeError {
    /// As given.
    pub text: String,
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let wrong = || SizeError { text: text.to_owned() };
        let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(at);
        let unit = unit.trim().to_ascii_lowercase();
        let power = match unit.as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 1,
            "m" | "mb" | "mib" => 2,
            "g" | "gb" | "gib" => 3,
            "t" | "tb" | "tib" => 4,
            _ => return Err(wrong()),
        };
        let factor = 1_u64 << (10 * power);
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(factor).map(Self).ok_or_else(wrong);
        }
        let value = number.parse::<f64>().map_err(|_| wrong())? * factor as f64;
        // Half a byte is none; what is beyond 2^53 has lost its last digits, which nobody wrote.
        if value < u64::MAX as f64 { Ok(Self(value as u64)) } else { Err(wrong()) }
    }
}

/// Three significant digits at least: `812 B`, `1.5 MiB`, `103.4 GiB`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let (mut value, mut unit) = (self.0 as f64, 0);
        // Rounding must not print 1024.0.
        while value >= 1023.95 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        f.pad(&format!("{value:.1} {}", UNITS[unit]))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1234", 1234),
            ("12b", 12),
            ("1k", 1024),
            ("1 KB", 1024),
            ("16MiB", 16 << 20),
            ("1.5g", 3 << 29),
            ("0.5T", 1 << 39),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "x", "-1", "1x", "1.2.3", "M", "99999999999999999999", "99999999999T", "9999999999.5T", "1i"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError { text: text.to_owned() }));
        }
    }

    #[test]
    fn sizes_are_shown_with_a_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(format!("{:>9}", Size(1 << 20)), "  1.0 MiB");
    }
}
