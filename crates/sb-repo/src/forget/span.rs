//! Spans of time as people count them: in years and months, weeks, days and hours.

use std::str::FromStr;

use chrono::{DateTime, Months, TimeDelta, Utc};

/// A span of time. Months are those of the calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Months; a year has twelve.
    pub months: u32,
    /// Hours; a day has twenty-four.
    pub hours: u32,
}

impl Span {
    /// That long before a time; as early as can be where that is too early to be a time.
    pub fn before(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        let hours = TimeDelta::hours(self.hours.into());
        let earlier = time.checked_sub_months(Months::new(self.months)).and_then(|time| time.checked_sub_signed(hours));
        earlier.unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// That long after a time; as late as can be where that is too late to be a time.
    pub fn after(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        let hours = TimeDelta::hours(self.hours.into());
        let later = time.checked_add_months(Months::new(self.months)).and_then(|time| time.checked_add_signed(hours));
        later.unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// A text that is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no span of time: write for example `30d`, `8w`, `18m` or `1y6m`, with h, d, w, m (months) and y")]
pub struct SpanError {
    /// As given.
    pub text: String,
}

/// Reads `30d`, `8w`, `1y6m`, `2d12h`: numbers, each with h, d, w, m for months or y.
///
/// ```
/// use sb_repo::Span;
/// assert_eq!("1y6m2d12h".parse(), Ok(Span { months: 18, hours: 60 }));
/// assert!("soon".parse::<Span>().is_err());
/// ```
impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        read(text.trim()).ok_or_else(|| SpanError { text: text.to_owned() })
    }
}

fn read(text: &str) -> Option<Span> {
    let mut span = Span::default();
    let mut rest = text;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = rest[..end].parse().ok()?;
        let unit = rest[end..].chars().next()?;
        let (of, factor) = match unit.to_ascii_lowercase() {
            'h' => (&mut span.hours, 1),
            'd' => (&mut span.hours, 24),
            'w' => (&mut span.hours, 24 * 7),
            'm' => (&mut span.months, 1),
            'y' => (&mut span.months, 12),
            _ => return None,
        };
        *of = of.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[end + unit.len_utf8()..];
        if rest.is_empty() {
            return Some(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, months, hours) in
            [("30d", 0, 720), ("2w", 0, 336), ("1Y", 12, 0), ("1y5m7d2h", 17, 170), (" 3h ", 0, 3), ("0d", 0, 0)]
        {
            assert_eq!(text.parse(), Ok(Span { months, hours }), "{text}");
        }
        for text in ["", "d", "30", "1x", "-1d", "1d2", "99999999999d", "4294967295w", "1 d", "3ü"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError { text: text.to_owned() }));
        }
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let time = Utc.with_ymd_and_hms(2026, 3, 31, 12, 0, 0).unwrap();
        let before = |text: &str| text.parse::<Span>().unwrap().before(time);
        assert_eq!(before("1m"), Utc.with_ymd_and_hms(2026, 2, 28, 12, 0, 0).unwrap());
        assert_eq!(before("1y1d"), Utc.with_ymd_and_hms(2025, 3, 30, 12, 0, 0).unwrap());
        assert_eq!(before("4294967295m"), DateTime::<Utc>::MIN_UTC);
        let after = |text: &str| text.parse::<Span>().unwrap().after(time);
        assert_eq!(after("1m"), Utc.with_ymd_and_hms(2026, 4, 30, 12, 0, 0).unwrap());
        assert_eq!(after("90d"), Utc.with_ymd_and_hms(2026, 6, 29, 12, 0, 0).unwrap());
        assert_eq!(after("4294967295m"), DateTime::<Utc>::MAX_UTC);
    }
}
