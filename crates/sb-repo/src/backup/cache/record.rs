//! One line of a cache.

use sb_crypto::Digest;
use sb_source::{Kind, Metadata, Timestamp};

use crate::ids::ChunkId;
use crate::wire::cbor::Malformed;
use crate::wire::node::Reference;

/// What tells whether something has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) kind: u8,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) inode: u64,
    pub(crate) mtime: Timestamp,
    pub(crate) ctime: Timestamp,
}

impl Stat {
    /// In place of a ctime that would not tell whether the file has changed since. No file has it.
    pub(crate) const NO_CTIME: Timestamp = Timestamp { seconds: i64::MIN, nanoseconds: 0 };

    pub(crate) fn new(kind: &Kind, metadata: &Metadata) -> Self {
        let kind = match kind {
            Kind::File => 1,
            Kind::Directory => 2,
            Kind::Symlink { .. } => 3,
            Kind::Fifo => 4,
            Kind::Socket => 5,
            Kind::CharDevice { .. } => 6,
            Kind::BlockDevice { .. } => 7,
        };
        let Metadata { mode, uid, gid, size, inode, mtime, ctime, .. } = *metadata;
        Self { kind, mode, uid, gid, size, inode, mtime, ctime }
    }
}

/// Anything but a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryRecord {
    pub(crate) name: Vec<u8>,
    pub(crate) stat: Stat,
    /// It may have changed in the very moment it was looked at.
    pub(crate) racy: bool,
    /// Of a file: its leaf in the document tree.
    pub(crate) leaf: Option<Digest>,
    /// The entry as it stands in the tree.
    pub(crate) encoded: Vec<u8>,
}

/// The end of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FolderRecord {
    pub(crate) stat: Stat,
    pub(crate) racy: bool,
    /// Its root node.
    pub(crate) node: Reference,
    /// Its entry as it stands in the tree; empty for the root.
    pub(crate) encoded: Vec<u8>,
    /// It was there only because it led to a source.
    pub(crate) ancestor: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Enter(Vec<u8>),
    Entry(EntryRecord),
    /// A node of the present folder, after the entry that filled it.
    Page(ChunkId),
    Leave(FolderRecord),
    End,
}

impl Record {
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Enter(name) => {
                to.push(1);
                put_bytes(to, name);
            }
            Self::Entry(entry) => {
                to.push(2);
                put_bytes(to, &entry.name);
                put_stat(to, &entry.stat);
                to.push(u8::from(entry.racy));
                put_bytes(to, entry.leaf.as_ref().map_or(&[][..], |leaf| leaf.as_bytes()));
                put_bytes(to, &entry.encoded);
            }
            Self::Leave(folder) => {
                to.push(3);
                put_stat(to, &folder.stat);
                to.push(u8::from(folder.racy));
                to.extend_from_slice(folder.node.id.as_bytes());
                put(to, folder.node.length.into());
                put_bytes(to, &folder.encoded);
                to.push(u8::from(folder.ancestor));
            }
            Self::End => to.push(4),
            Self::Page(id) => {
                to.push(5);
                to.extend_from_slice(id.as_bytes());
            }
        }
    }

    /// Takes a record from the front of these bytes.
    pub(crate) fn read(from: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(match take::<1>(from)?[0] {
            1 => Self::Enter(take_bytes(from)?.to_vec()),
            2 => Self::Entry(EntryRecord {
                name: take_bytes(from)?.to_vec(),
                stat: take_stat(from)?,
                racy: take::<1>(from)?[0] != 0,
                leaf: match take_bytes(from)? {
                    [] => None,
                    bytes => Some(Digest::from_bytes(bytes.try_into().map_err(|_| SHORT)?)),
                },
                encoded: take_bytes(from)?.to_vec(),
            }),
            3 => {
                let (stat, racy, id) = (take_stat(from)?, take::<1>(from)?[0] != 0, ChunkId::new(take(from)?));
                let length = u32::try_from(number(from)?).map_err(|_| SHORT)?;
                let encoded = take_bytes(from)?.to_vec();
                let ancestor = take::<1>(from)?[0] != 0;
                Self::Leave(FolderRecord { stat, racy, node: Reference { id, length }, encoded, ancestor })
            }
            4 => Self::End,
            5 => Self::Page(ChunkId::new(take(from)?)),
            _ => return Err(Malformed("an unknown record")),
        })
    }
}

const SHORT: Malformed = Malformed("a record is cut short");

/// LEB128.
fn put(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn put_stat(to: &mut Vec<u8>, stat: &Stat) {
    to.push(stat.kind);
    for number in [stat.mode.into(), stat.uid.into(), stat.gid.into(), stat.size, stat.inode] {
        put(to, number);
    }
    for time in [stat.mtime, stat.ctime] {
        to.extend_from_slice(&time.seconds.to_be_bytes());
        to.extend_from_slice(&time.nanoseconds.to_be_bytes());
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (first, rest) = from.split_first_chunk().ok_or(SHORT)?;
    *from = rest;
    Ok(*first)
}

fn number(from: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = take(from)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Malformed("a number is too long"))
}

fn take_bytes<'b>(from: &mut &'b [u8]) -> Result<&'b [u8], Malformed> {
    let length = usize::try_from(number(from)?).map_err(|_| SHORT)?;
    let (bytes, rest) = from.split_at_checked(length).ok_or(SHORT)?;
    *from = rest;
    Ok(bytes)
}

fn take_stat(from: &mut &[u8]) -> Result<Stat, Malformed> {
    let [kind] = take(from)?;
    let mut small = || u32::try_from(number(from)?).map_err(|_| SHORT);
    let (mode, uid, gid) = (small()?, small()?, small()?);
    let (size, inode) = (number(from)?, number(from)?);
    let mut time =
        || Ok(Timestamp { seconds: i64::from_be_bytes(take(from)?), nanoseconds: u32::from_be_bytes(take(from)?) });
    Ok(Stat { kind, mode, uid, gid, size, inode, mtime: time()?, ctime: time()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stats() -> impl Strategy<Value = Stat> {
        let time = (any::<i64>(), any::<u32>()).prop_map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds });
        let numbers = (any::<u8>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>());
        (numbers, time.clone(), time).prop_map(|((kind, mode, uid, gid, size, inode), mtime, ctime)| Stat {
            kind,
            mode,
            uid,
            gid,
            size,
            inode,
            mtime,
            ctime,
        })
    }

    fn records() -> impl Strategy<Value = Record> {
        let bytes = || any::<Vec<u8>>();
        let entry = (bytes(), stats(), any::<bool>(), any::<Option<[u8; 32]>>(), bytes());
        let entry = entry.prop_map(|(name, stat, racy, leaf, encoded)| {
            Record::Entry(EntryRecord { name, stat, racy, leaf: leaf.map(Digest::from_bytes), encoded })
        });
        let leave = (stats(), any::<[bool; 2]>(), any::<([u8; 32], u32)>(), bytes());
        let leave = leave.prop_map(|(stat, [racy, ancestor], (id, length), encoded)| {
            let node = Reference { id: ChunkId::new(id), length };
            Record::Leave(FolderRecord { stat, racy, node, encoded, ancestor })
        });
        let page = any::<[u8; 32]>().prop_map(|id| Record::Page(ChunkId::new(id)));
        prop_oneof![bytes().prop_map(Record::Enter), entry, page, leave, Just(Record::End)]
    }

    proptest! {
        #[test]
        fn records_read_back_one_after_the_other(all in prop::collection::vec(records(), 0..6), cut in any::<usize>()) {
            let mut bytes = Vec::new();
            all.iter().for_each(|record| record.write(&mut bytes));
            let mut rest = &bytes[..];
            for record in &all {
                prop_assert_eq!(&Record::read(&mut rest).unwrap(), record);
            }
            prop_assert!(rest.is_empty());
            let mut short = &bytes[..cut % (bytes.len() + 1)];
            let whole = std::iter::from_fn(|| Record::read(&mut short).ok()).collect::<Vec<_>>();
            prop_assert_eq!(&whole[..], &all[..whole.len()], "what is cut short is refused");
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            let mut rest = &bytes[..];
            while Record::read(&mut rest).is_ok() {}
        }
    }
}
