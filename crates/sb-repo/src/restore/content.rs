//! Writing content with its holes.

use sb_source::FileWriter;

use crate::error::RepoError;

/// Writes `bytes` at `offset` but for what lies in holes, which are sorted.
pub(super) fn write(writer: &FileWriter, holes: &[(u64, u64)], offset: u64, bytes: &[u8]) -> Result<(), RepoError> {
    for part in parts(holes, offset, offset + bytes.len() as u64) {
        let within = |at: u64| usize::try_from(at - offset).expect("inside the bytes");
        let bytes = &bytes[within(part.start)..within(part.end)];
        // A list of holes that is wrong must not change the content.
        if !part.is_hole || bytes.iter().any(|byte| *byte != 0) {
            writer.write_at(part.start, bytes)?;
        }
    }
    Ok(())
}

/// A part of a file that is a hole altogether, or not at all.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    start: u64,
    end: u64,
    is_hole: bool,
}

/// Cuts `start..end` at the edges of the holes, which are sorted.
fn parts(holes: &[(u64, u64)], start: u64, end: u64) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = start;
    let mut push = |end: u64, is_hole| {
        if at < end {
            parts.push(Part { start: at, end, is_hole });
            at = end;
        }
    };
    let first = holes.partition_point(|(offset, length)| offset + length <= start);
    for (offset, length) in holes[first..].iter().take_while(|(offset, _)| *offset < end) {
        push(*offset, false);
        push(end.min(offset + length), true);
    }
    push(end, false);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_told_from_what_is_between() {
        let cut = |holes: &[(u64, u64)], start, end| -> Vec<_> {
            parts(holes, start, end).into_iter().map(|part| (part.start, part.end, part.is_hole)).collect()
        };
        let holes = [(10, 10), (30, 5)];
        let all = [(0, 10, false), (10, 20, true), (20, 30, false), (30, 35, true), (35, 40, false)];
        assert_eq!(cut(&holes, 0, 40), all);
        assert_eq!(cut(&holes, 12, 18), [(12, 18, true)]);
        assert_eq!(cut(&holes, 5, 15), [(5, 10, false), (10, 15, true)]);
        assert_eq!(cut(&holes, 19, 31), [(19, 20, true), (20, 30, false), (30, 31, true)]);
        assert_eq!(cut(&[], 3, 4), [(3, 4, false)]);
        assert_eq!(cut(&holes, 35, 35), []);
    }
}
