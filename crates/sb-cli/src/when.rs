//! Times as people write them.

use chrono::{DateTime, Days, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use sb_core::{Clock, SystemClock};

use crate::failure::Failure;

/// What a text means: a whole day, or one moment, which begins and ends at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct When {
    /// When it begins.
    pub(crate) start: DateTime<Utc>,
    /// When it is over.
    pub(crate) end: DateTime<Utc>,
}

impl When {
    /// The last moment of it.
    pub(crate) fn last(&self) -> DateTime<Utc> {
        if self.start == self.end { self.end } else { self.end - TimeDelta::nanoseconds(1) }
    }
}

/// Reads a time of the command line.
pub(crate) fn given(text: &str) -> Result<When, Failure> {
    parse(text, &SystemClock.now().with_timezone(&Local)).ok_or_else(|| {
        Failure::usage(format!("`{text}` is no time")).hint(
            "Write 2026-03-31, 2026-03-31 14:05, RFC 3339, today, yesterday, now, or 3h, 10d, 2w for that long ago",
        )
    })
}

/// Reads `2026-03-31`, `2026-03-31 14:05`, RFC 3339, `today`, `yesterday`, `now`, or `3h`, `10d`, `2w` for that long ago.
/// Without an offset, the time zone is that of `now`.
pub(crate) fn parse<Z: TimeZone>(text: &str, now: &DateTime<Z>) -> Option<When> {
    let text = text.trim();
    let today = now.date_naive();
    match text.to_ascii_lowercase().as_str() {
        "now" => return Some(moment(now.to_utc())),
        "today" => return day(today, &now.timezone()),
        "yesterday" => return day(today.checked_sub_days(Days::new(1))?, &now.timezone()),
        _ => {}
    }
    if let Some(ago) = ago(text) {
        return Some(moment(now.to_utc().checked_sub_signed(ago)?));
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return day(date, &now.timezone());
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(moment(time.to_utc()));
    }
    let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
    let time = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    Some(moment(now.timezone().from_local_datetime(&time).earliest()?.to_utc()))
}

fn moment(time: DateTime<Utc>) -> When {
    When { start: time, end: time }
}

fn day<Z: TimeZone>(date: NaiveDate, zone: &Z) -> Option<When> {
    // Where midnight does not exist, the day begins an hour later.
    let midnight = |date: NaiveDate| {
        let midnight = date.and_time(NaiveTime::MIN);
        let begins = |hour| zone.from_local_datetime(&(midnight + TimeDelta::hours(hour))).earliest();
        begins(0).or_else(|| begins(1)).map(|time| time.to_utc())
    };
    Some(When { start: midnight(date)?, end: midnight(date.checked_add_days(Days::new(1))?)? })
}

fn ago(text: &str) -> Option<TimeDelta> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: i64 = number.trim_end().parse().ok().filter(|number| *number >= 0)?;
    match unit {
        "h" => TimeDelta::try_hours(number),
        "d" => TimeDelta::try_days(number),
        "w" => TimeDelta::try_weeks(number),
        _ => None,
    }
}

/// Reads a length of time: a number with `s`, `min`, `h`, `d` or `w`.
pub(crate) fn span(text: &str) -> Result<TimeDelta, String> {
    let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err("write a number and s, min, h, d or w, such as 30d".to_owned()),
    };
    let span =
        number.parse::<i64>().ok().and_then(|number| number.checked_mul(seconds)).and_then(TimeDelta::try_seconds);
    // As far as times go.
    span.filter(|span| span.num_days() < 366_000).ok_or_else(|| "that is no length of time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::FixedOffset;

    fn read(text: &str) -> Option<(String, String)> {
        let zone = FixedOffset::east_opt(2 * 3600).unwrap();
        let now = zone.with_ymd_and_hms(2026, 4, 1, 0, 30, 0).unwrap();
        let when = parse(text, &now)?;
        let show = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S").to_string();
        Some((show(when.start), show(when.end)))
    }

    #[test]
    fn the_last_moment_of_a_day_is_in_it() {
        let now = Utc.with_ymd_and_hms(2026, 4, 1, 0, 0, 0).unwrap();
        let day = parse("2026-03-31", &now).unwrap();
        assert_eq!((day.last() + TimeDelta::nanoseconds(1), day.last() < now), (now, true));
        assert_eq!(parse("now", &now).unwrap().last(), now);
    }

    #[test]
    fn days_and_moments() {
        for (text, start, end) in [
            ("2026-03-31", "2026-03-30T22:00:00", "2026-03-31T22:00:00"),
            ("yesterday", "2026-03-30T22:00:00", "2026-03-31T22:00:00"),
            ("Today", "2026-03-31T22:00:00", "2026-04-01T22:00:00"),
            ("now", "2026-03-31T22:30:00", "2026-03-31T22:30:00"),
            ("2h", "2026-03-31T20:30:00", "2026-03-31T20:30:00"),
            ("1w", "2026-03-24T22:30:00", "2026-03-24T22:30:00"),
            ("30 d", "2026-03-01T22:30:00", "2026-03-01T22:30:00"),
            ("2026-03-31 14:05", "2026-03-31T12:05:00", "2026-03-31T12:05:00"),
            ("2026-03-31T14:05:06", "2026-03-31T12:05:06", "2026-03-31T12:05:06"),
            ("2026-03-31T14:05:06Z", "2026-03-31T14:05:06", "2026-03-31T14:05:06"),
        ] {
            assert_eq!(read(text), Some((start.to_owned(), end.to_owned())), "{text}");
        }
        for text in ["", "x", "2026-13-01", "31.03.2026", "-1d", "9999999999999w", "1ü", "d", "6m"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn lengths_of_time_have_units() {
        let seconds = ["90s", "10min", "2h", "30d", "1w"].map(|text| span(text).unwrap().num_seconds());
        assert_eq!(seconds, [90, 600, 7200, 2_592_000, 604_800]);
        for wrong in ["", "10", "d", "-1d", "1.5h", "30 d", "99999999999999999999s", "9999999999d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
