//! The leaf of a document in the snapshot's document tree (docs/format.md §11).

use std::fmt::Write;

use chrono::{DateTime, Datelike};
use sb_crypto::{Digest, leaf_hash};
use sb_source::Timestamp;

use crate::wire::entry::FileItem;

/// The leaf hash of a document: what proves name, time, size and content to whoever is shown the leaf.
pub(crate) fn document_leaf(path: &[u8], mtime: Timestamp, file: &FileItem) -> Digest {
    leaf_hash(leaf_text(path, mtime, file).as_bytes())
}

/// What a document leaf says: canonical JSON.
pub(crate) fn leaf_text(path: &[u8], mtime: Timestamp, file: &FileItem) -> String {
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    format!(
        r#"{{"id":"{}","mtime":"{}","path":{},"salt":"{}","sha256":"{}","size":{},"v":"sb-doc/v1"}}"#,
        file.document,
        time_text(mtime),
        json_string(&percent_encoded(path)),
        hex(&file.salt),
        file.sha256,
        file.size,
    )
}

fn time_text(time: Timestamp) -> String {
    match DateTime::from_timestamp(time.seconds, time.nanoseconds) {
        Some(at) if (0..=9999).contains(&at.year()) => at.format("%Y-%m-%dT%H:%M:%S.%9fZ").to_string(),
        _ => format!("@{}.{:09}", time.seconds, time.nanoseconds),
    }
}

/// `%` and bytes that are not UTF-8 as `%XX`.
fn percent_encoded(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// A JSON string in the one form that RFC 8785 §3.2.2.2 allows.
fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{8}' => json.push_str("\\b"),
            '\t' => json.push_str("\\t"),
            '\n' => json.push_str("\\n"),
            '\u{c}' => json.push_str("\\f"),
            '\r' => json.push_str("\\r"),
            control if control < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DocumentId;
    use crate::wire::entry::Inline;
    use sb_crypto::sha256;

    fn item() -> FileItem {
        FileItem {
            size: 14,
            sha256: sha256(b"synthetic 1040"),
            parts: Vec::new(),
            depth: 0,
            chunker: 1,
            transform: 0,
            document: DocumentId::new([0xd0; 32]),
            salt: [0x5a; 16],
            holes: Inline::default(),
            inconsistent: false,
        }
    }

    #[test]
    fn a_leaf_is_canonical_json() {
        let mtime = Timestamp { seconds: 1_743_351_600, nanoseconds: 123_456_789 };
        let text = leaf_text(b"/2024/1040 \"100%\"\xff\n.pdf", mtime, &item());
        let expected = format!(
            r#"{{"id":"{}","mtime":"2025-03-30T16:20:00.123456789Z","path":"/2024/1040 \"100%25\"%FF\n.pdf","salt":"{}","sha256":"{}","size":14,"v":"sb-doc/v1"}}"#,
            "d0".repeat(32),
            "5a".repeat(16),
            sha256(b"synthetic 1040"),
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn times_and_names_that_fit_no_calendar_or_charset() {
        assert_eq!(time_text(Timestamp { seconds: -1, nanoseconds: 5 }), "1969-12-31T23:59:59.000000005Z");
        assert_eq!(time_text(Timestamp { seconds: 253_402_300_800, nanoseconds: 0 }), "@253402300800.000000000");
        assert_eq!(time_text(Timestamp { seconds: i64::MIN, nanoseconds: 7 }), "@-9223372036854775808.000000007");
        assert_eq!(json_string("\u{8}\t\u{c}\r\\\u{1f}é\u{7f}"), "\"\\b\\t\\f\\r\\\\\\u001fé\u{7f}\"");
    }

    #[test]
    fn every_part_of_a_document_changes_its_leaf() {
        let mtime = Timestamp { seconds: 0, nanoseconds: 0 };
        let leaf = document_leaf(b"/a", mtime, &item());
        assert_ne!(leaf, document_leaf(b"/b", mtime, &item()));
        assert_ne!(leaf, document_leaf(b"/a", Timestamp { seconds: 0, nanoseconds: 1 }, &item()));
        assert_ne!(leaf, document_leaf(b"/a", mtime, &FileItem { salt: [0; 16], ..item() }));
        assert_ne!(leaf, document_leaf(b"/a", mtime, &FileItem { size: 15, ..item() }));
        assert_ne!(leaf, document_leaf(b"/a", mtime, &FileItem { sha256: sha256(b""), ..item() }));
    }
}
