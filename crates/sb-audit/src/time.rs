//! Times as they are written in entries and certificates: RFC 3339, always UTC, years 0000 to 9999.

use chrono::{DateTime, NaiveDateTime, Utc};

const SECONDS: &str = "%Y-%m-%dT%H:%M:%SZ";
const MILLISECONDS: &str = "%Y-%m-%dT%H:%M:%S%.3fZ";

/// As `2026-01-15T09:14:00Z`; what is below a second is cut off.
pub(crate) fn seconds(time: &DateTime<Utc>) -> String {
    time.format(SECONDS).to_string()
}

/// As `2026-01-15T09:14:00.123Z`; what is below a millisecond is cut off.
pub(crate) fn milliseconds(time: &DateTime<Utc>) -> String {
    time.format(MILLISECONDS).to_string()
}

pub(crate) fn parse_seconds(text: &str) -> Option<DateTime<Utc>> {
    parse(text, SECONDS)
}

pub(crate) fn parse_milliseconds(text: &str) -> Option<DateTime<Utc>> {
    parse(text, MILLISECONDS)
}

/// Only the spelling that we write ourselves, which four digits for the year guarantee with the comparison.
fn parse(text: &str, format: &str) -> Option<DateTime<Utc>> {
    let time = NaiveDateTime::parse_from_str(text, format).ok()?.and_utc();
    (text.as_bytes().get(4) == Some(&b'-') && time.format(format).to_string() == text).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_spelling() {
        let time = parse_milliseconds("2026-01-15T09:00:01.120Z").unwrap();
        assert_eq!(milliseconds(&time), "2026-01-15T09:00:01.120Z");
        assert_eq!(seconds(&time), "2026-01-15T09:00:01Z");
        assert_eq!(parse_seconds("2026-01-15T09:00:01Z").unwrap().timestamp(), time.timestamp());
        for bad in [
            "2026-01-15T09:00:01.12Z",
            "2026-01-15T09:00:01.1200Z",
            "2026-01-15T09:00:01Z",
            "2026-01-15 09:00:01.120Z",
            "2026-01-15T09:00:01.120+00:00",
            "2026-1-15T09:00:01.120Z",
            "2026-02-30T09:00:01.120Z",
            "+12026-01-15T09:00:01.120Z",
            "-0001-01-15T09:00:01.120Z",
            "",
        ] {
            assert_eq!(parse_milliseconds(bad), None, "{bad}");
        }
    }
}
