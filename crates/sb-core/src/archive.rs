//! Entries of a snapshot as a tar archive with pax records (POSIX.1-2001 pax, "pax Interchange Format"), written as it goes.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::atomic::Ordering;

use sb_crypto::Digest;
use sb_repo::{DocumentId, Entry, Item, Progress, Reader, RepoError, SnapshotId};
use sb_source::Timestamp;
use tar::{EntryType, Header};

use crate::ops::ArchiveReport;

/// Everything in an archive comes in blocks of so many bytes.
const BLOCK: usize = 512;
/// Numbers above what eleven and seven octal digits hold stand in a record.
const SIZE_MAX: u64 = 0o777_7777_7777;
const ID_MAX: u32 = 0o777_7777;
/// The longest owner's name in a header, whose field ends with a zero byte.
const OWNER: usize = 31;

/// An archive in the making.
///
/// Its end is written by [`finish`](Self::finish) alone, so that an archive that was cut short can't pass for a whole one.
pub(crate) struct Tar<'a> {
    reader: &'a Reader<'a>,
    out: &'a mut dyn Write,
    progress: Progress<'a>,
    /// What paths lose to become names.
    above: usize,
    /// Of what has several names, the first, and for a file its content.
    links: HashMap<DocumentId, (Vec<u8>, Option<Digest>)>,
    entries: u64,
    files: u64,
    bytes: u64,
}

impl<'a> Tar<'a> {
    /// An archive of what is at `top` (absolute).
    pub(crate) fn new(reader: &'a Reader<'a>, out: &'a mut dyn Write, top: &[u8], progress: Progress<'a>) -> Self {
        let above = top.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        Self { reader, out, progress, above, links: HashMap::new(), entries: 0, files: 0, bytes: 0 }
    }

    /// Adds an entry and its content.
    pub(crate) fn add(&mut self, path: &[u8], entry: &Entry) -> Result<(), RepoError> {
        if self.progress.stop.load(Ordering::Relaxed) {
            return Err(RepoError::Interrupted);
        }
        let mut member = Member::new(&path[self.above..], entry);
        let first = entry.link_group.and_then(|group| self.links.get(&group));
        let content = if let Item::File(file) = &entry.item { Some(file.sha256) } else { None };
        if let Some((name, _)) = first.filter(|(_, first)| *first == content) {
            member.link(EntryType::Link, name);
            return self.put(member);
        }
        if let Some(group) = entry.link_group {
            self.links.entry(group).or_insert_with(|| (member.name.clone(), content));
        }
        for (name, value) in self.reader.attributes(entry)? {
            member.record(&[b"SCHILY.xattr.", &encoded(&name)[..]].concat(), &value);
        }
        match &entry.item {
            Item::File(file) => {
                member.size(file.size);
                self.put(member)?;
                let out = &mut *self.out;
                self.reader
                    .content(path, file, self.progress, &mut |bytes| out.write_all(bytes).map_err(RepoError::Output))?;
                self.files += 1;
                self.bytes += file.size;
                return self.pad(file.size).map_err(RepoError::Output);
            }
            Item::Folder { .. } => member.kind(EntryType::Directory),
            Item::Symlink { target } => member.link(EntryType::Symlink, target),
            Item::Fifo => member.kind(EntryType::Fifo),
            Item::CharDevice { major, minor } => member.device(EntryType::Char, *major, *minor),
            Item::BlockDevice { major, minor } => member.device(EntryType::Block, *major, *minor),
            Item::Socket | Item::Redacted { .. } => {
                let what = if entry.is_redacted() { "documents that were disposed of" } else { "a socket" };
                let path = String::from_utf8_lossy(path);
                self.progress.monitor.warning(&format!("`{path}` is not in the archive: {what}"));
                return Ok(());
            }
        }
        self.put(member)
    }

    /// Writes a member's records and header.
    fn put(&mut self, member: Member) -> Result<(), RepoError> {
        self.entries += 1;
        self.put_headers(member).map_err(RepoError::Output)
    }

    fn put_headers(&mut self, mut member: Member) -> io::Result<()> {
        if !member.records.is_empty() {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::XHeader);
            copy(&mut header.as_old_mut().name, b"././@PaxHeader");
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(member.records.len() as u64);
            header.set_cksum();
            self.out.write_all(header.as_bytes())?;
            self.out.write_all(&member.records)?;
            self.pad(member.records.len() as u64)?;
        }
        member.header.set_cksum();
        self.out.write_all(member.header.as_bytes())
    }

    fn pad(&mut self, length: u64) -> io::Result<()> {
        let rest = (length % BLOCK as u64) as usize;
        if rest == 0 { Ok(()) } else { self.out.write_all(&[0; BLOCK][rest..]) }
    }

    /// Ends the archive.
    pub(crate) fn finish(self, snapshot: SnapshotId) -> Result<ArchiveReport, RepoError> {
        self.out.write_all(&[0; 2 * BLOCK]).and_then(|()| self.out.flush()).map_err(RepoError::Output)?;
        let Self { entries, files, bytes, .. } = self;
        Ok(ArchiveReport { snapshot, entries, files, bytes })
    }
}

/// A member's header, and the records for what does not fit into it.
struct Member {
    name: Vec<u8>,
    header: Header,
    records: Vec<u8>,
}

impl Member {
    /// A file of no length with the entry's name and metadata.
    fn new(name: &[u8], entry: &Entry) -> Self {
        let mut name = name.to_vec();
        if matches!(entry.item, Item::Folder { .. }) {
            name.push(b'/');
        }
        let mut member = Self { name: name.clone(), header: Header::new_ustar(), records: Vec::new() };
        member.header.set_entry_type(EntryType::Regular);
        member.header.set_mode(entry.mode);
        member.header.set_size(0);
        if copy(&mut member.header.as_old_mut().name, &name) < name.len() {
            member.record(b"path", &name);
        }
        for (key, id) in [("uid", entry.uid), ("gid", entry.gid)] {
            if id > ID_MAX {
                member.record(key.as_bytes(), id.to_string().as_bytes());
            }
        }
        member.header.set_uid(entry.uid.min(ID_MAX).into());
        member.header.set_gid(entry.gid.min(ID_MAX).into());
        for (key, owner) in [(&b"uname"[..], &entry.user), (b"gname", &entry.group)] {
            let Some(owner) = owner else { continue };
            if owner.len() > OWNER {
                member.record(key, owner);
            } else if let Some(ustar) = member.header.as_ustar_mut() {
                copy(if key == b"uname" { &mut ustar.uname } else { &mut ustar.gname }, owner);
            }
        }
        member.mtime(entry.mtime);
        member
    }

    fn mtime(&mut self, time: Timestamp) {
        let seconds = u64::try_from(time.seconds).ok().filter(|seconds| *seconds <= SIZE_MAX);
        self.header.set_mtime(seconds.unwrap_or(0));
        if seconds.is_none() || time.nanoseconds > 0 {
            self.record(b"mtime", decimal(time).as_bytes());
        }
    }

    fn kind(&mut self, kind: EntryType) {
        self.header.set_entry_type(kind);
    }

    fn size(&mut self, size: u64) {
        self.header.set_size(size.min(SIZE_MAX));
        if size > SIZE_MAX {
            self.record(b"size", size.to_string().as_bytes());
        }
    }

    fn link(&mut self, kind: EntryType, target: &[u8]) {
        self.kind(kind);
        if copy(&mut self.header.as_old_mut().linkname, target) < target.len() {
            self.record(b"linkpath", target);
        }
    }

    fn device(&mut self, kind: EntryType, major: u32, minor: u32) {
        self.kind(kind);
        let header = &mut self.header;
        let set = header.set_device_major(major).and_then(|()| header.set_device_minor(minor));
        set.expect("a ustar header has devices");
    }

    /// Adds `LENGTH KEY=VALUE`, where the length counts its own digits.
    fn record(&mut self, key: &[u8], value: &[u8]) {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.records.extend_from_slice(format!("{length} ").as_bytes());
        self.records.extend_from_slice(&[key, b"=", value, b"\n"].concat());
    }
}

/// Fills the beginning of a field; how many bytes fitted.
fn copy(field: &mut [u8], bytes: &[u8]) -> usize {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
    length
}

/// The name of an attribute in the key of a record, as GNU tar has it: a key ends with the first `=`.
fn encoded(name: &[u8]) -> Vec<u8> {
    let byte = |byte: &u8| match byte {
        b'%' => b"%25".to_vec(),
        b'=' => b"%3D".to_vec(),
        other => vec![*other],
    };
    name.iter().flat_map(byte).collect()
}

/// Seconds with a fraction; of times before 1970 the fraction counts backwards.
fn decimal(time: Timestamp) -> String {
    let (sign, seconds, nanoseconds) = match time.seconds {
        seconds if seconds < 0 && time.nanoseconds > 0 => ("-", -(seconds + 1), 1_000_000_000 - time.nanoseconds),
        seconds => ("", seconds, time.nanoseconds),
    };
    let fraction = if nanoseconds == 0 { String::new() } else { format!(".{nanoseconds:09}") };
    format!("{sign}{seconds}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_decimal_numbers() {
        for (seconds, nanoseconds, text) in [
            (0, 0, "0"),
            (5, 1, "5.000000001"),
            (-1, 500_000_000, "-0.500000000"),
            (-2, 0, "-2"),
            (-2, 250_000_000, "-1.750000000"),
            (1 << 40, 0, "1099511627776"),
        ] {
            assert_eq!(decimal(Timestamp { seconds, nanoseconds }), text);
        }
    }

    #[test]
    fn records_count_their_own_digits() {
        for length in [0, 1, 2, 3, 4, 5, 90, 91, 92, 93, 94, 95, 980, 990, 991, 992, 993, 5000] {
            let mut member = Member { name: Vec::new(), header: Header::new_ustar(), records: Vec::new() };
            member.record(b"path", &vec![b'x'; length]);
            let text = String::from_utf8(member.records.clone()).unwrap();
            let (count, rest) = text.split_once(' ').unwrap();
            assert_eq!(count.parse::<usize>().unwrap(), member.records.len(), "{length}");
            assert!(rest.starts_with("path=") && rest.ends_with('\n'));
        }
        assert_eq!(encoded(b"user.a=50%"), b"user.a%3D50%25");
    }
}
