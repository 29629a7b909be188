//! Entry bundles of C2SP tlog-tiles: entries with two bytes for their length in front of each.

use crate::malformed::Malformed;

/// The most bytes that an entry may have.
pub const ENTRY_BYTES_MAX: usize = 0xffff;
const FORMAT: &str = "entry bundle";

/// Puts entries one after another.
///
/// # Panics
/// When one has more than [`ENTRY_BYTES_MAX`] bytes; [`Entry::to_bytes`](crate::Entry::to_bytes) yields none.
#[must_use]
pub fn bundle<T: AsRef<[u8]>>(entries: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries.iter().map(AsRef::as_ref) {
        let len = u16::try_from(entry.len()).expect("entries have at most 65,535 bytes");
        bytes.extend(len.to_be_bytes());
        bytes.extend(entry);
    }
    bytes
}

/// Takes entries apart again.
///
/// # Errors
/// [`Malformed`] where it ends in the midst of an entry.
pub fn parse_bundle(bytes: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let cut = |rest: &[u8]| Malformed::at_byte(FORMAT, bytes.len() - rest.len(), "cut short");
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk().ok_or_else(|| cut(rest))?;
        let (entry, after) = after.split_at_checked(u16::from_be_bytes(*len).into()).ok_or_else(|| cut(rest))?;
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_come_apart_as_they_were_put_together() {
        let longest = vec![7; ENTRY_BYTES_MAX];
        let entries: [&[u8]; 3] = [b"", b"one", &longest];
        let bytes = bundle(&entries);
        assert_eq!(parse_bundle(&bytes).unwrap(), entries);
        assert_eq!(parse_bundle(b"").unwrap(), [b""; 0]);
        assert_eq!(parse_bundle(&bytes[..6]), Err(Malformed::at_byte(FORMAT, 2, "cut short")));
        assert_eq!(parse_bundle(&bytes[..8]), Err(Malformed::at_byte(FORMAT, 7, "cut short")));
    }

    #[test]
    #[should_panic(expected = "at most 65,535 bytes")]
    fn longer_entries_are_a_mistake() {
        let _ = bundle(&[vec![0; ENTRY_BYTES_MAX + 1]]);
    }
}
