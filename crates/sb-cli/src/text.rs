//! Numbers, names and times as people read them.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Local, Utc};

/// A number with separators: `1,234,567`.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and a word: `1 file`, `1,234 files`. Words in `-y` and others that do not take an `s` are not used.
pub(crate) fn count(n: u64, word: &str) -> String {
    format!("{} {word}{}", number(n), if n == 1 { "" } else { "s" })
}

/// How long something took: `0.04 s`, `12.3 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn duration(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{:.2} s", time.as_secs_f64()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A time where we are, with its offset.
pub(crate) fn local(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// Raw bytes for a terminal: what is not UTF-8 and what could control the terminal is escaped.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for part in bytes.utf8_chunks() {
        for c in part.valid().chars() {
            if c.is_control() || c == '\\' { text.extend(c.escape_default()) } else { text.push(c) }
        }
        for byte in part.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Text for a terminal: what could control it is escaped, line ends are not.
pub(crate) fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { harmless.extend(c.escape_default()) } else { harmless.push(c) }
    }
    harmless
}

/// The same on one line.
pub(crate) fn harmless_line(text: &str) -> String {
    harmless(text).replace('\n', r"\n")
}

/// A word for a shell: in quotes if it needs them.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-:=+@,%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// An error's text without the numbers of the operating system, which say nothing that the words do not.
pub(crate) fn without_codes(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    plain
}

/// Rows in columns, the ones in `right` aligned to the right, the last not padded.
pub(crate) fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(width(column).unwrap_or(0) - cell.chars().count());
            let (before, after) =
                if right.contains(&column) { (padding, String::new()) } else { (String::new(), padding) };
            let _ = write!(line, "{}{before}{cell}{after}", if column > 0 { "  " } else { "" });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The beginning of a hash, which is enough to name what has it.
pub(crate) fn short(digest: &sb_core::crypto::Digest) -> String {
    digest.to_string()[..8].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((count(1, "file"), count(0, "file")), ("1 file".to_owned(), "0 files".to_owned()));
    }

    #[test]
    fn durations_have_two_parts_at_most() {
        let of = |millis| duration(Duration::from_millis(millis));
        assert_eq!([40, 12_340, 200_000, 7_500_000].map(of), ["0.04 s", "12.3 s", "3 min 20 s", "2 h 5 min"]);
    }

    #[test]
    fn names_cannot_control_the_terminal() {
        assert_eq!(shown("bü\u{1b}[31m\\".as_bytes()), r"bü\u{1b}[31m\\");
        assert_eq!(shown(b"a\xffb\n"), r"a\xffb\n");
    }

    #[test]
    fn text_cannot_control_the_terminal() {
        assert_eq!(harmless("a\\b\n\u{1b}[31m\r\u{9b}ü"), "a\\b\n\\u{1b}[31m\\r\\u{9b}ü");
        assert_eq!(harmless_line("a\nb\t"), r"a\nb\t");
    }

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(["/mnt/büro", "a b", "it's", ""].map(quoted), ["/mnt/büro", "'a b'", "'it'\\''s'", "''"]);
    }

    #[test]
    fn numbers_of_errors_are_dropped() {
        let text = "a: denied (os error 13). b: full (os error 28)";
        assert_eq!(without_codes(text), "a: denied. b: full");
        assert_eq!(without_codes("(os error"), "(os error");
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [
            vec!["id".to_owned(), "files".to_owned(), "x".to_owned()],
            vec!["ä".to_owned(), "3".to_owned(), String::new()],
        ];
        assert_eq!(table(&rows, &[1]), "id  files  x\nä       3\n");
    }
}
