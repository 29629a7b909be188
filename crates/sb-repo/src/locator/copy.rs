//! This machine's own copy of the locator: many increments as one sorted table.
//!
//! It may be lost at any time, and then is made anew out of the increments. Its layout is nobody else's business and changes with
//! [`VERSION`]:
//!
//! ```text
//! file = block … ‖ part of the filter … ‖ packs … ‖ fences ‖ head ‖ length of the head (4)
//! ```
//!
//! each of which is sealed, with its kind, its number and the id of the file as context; the head, which names the id, with id 0.

use std::io::{SeekFrom, Write};

use super::Scope;
use super::filter::Filter;
use super::seal::{FileId, Local, Part, Unfit};
use super::table::{BLOCK, Index, OFTEN, Table, TableWriter, as_u32, stored_length};
use crate::state::CacheBytes;
use crate::wire::cbor::{Fields, Malformed, Value, array};
use crate::wire::locator::{LocatorEntry, PackPlaces, pack_value, read_pack};

/// Which layout this is.
const VERSION: u64 = 1;
/// Packs listed in one part.
const PACKS: usize = 1024;
/// No part is longer than this: fences of 10¹⁰ chunks have half of it.
const PART_MAX: u64 = 1 << 30;

/// A pack in an increment, as an entry's pack ordinal counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Occurrence {
    /// Which of the increments.
    pub(super) increment: u32,
    pub(super) pack: PackPlaces,
}

/// A copy, and what it is of.
pub(super) struct Copy {
    pub(super) table: Table,
    /// Names of the increments that it has all entries of.
    pub(super) increments: Vec<String>,
    pub(super) packs: Vec<Occurrence>,
}

impl Copy {
    /// This machine's copy, if it has one; with its filter if most of what it will be asked for is not there.
    pub(super) fn open(local: &Local, filtered: bool) -> Option<Self> {
        let mut file = local.state().open_cache(local.copy())?;
        let Head { id, entries, increments, filter, packs, fences } = read_head(local, &mut *file).ok()?;
        file.seek(SeekFrom::Start(stored_length(entries))).ok()?;
        let mut parts = Parts { local, file: &mut *file, id };
        let filter = if filtered {
            let mut read = Filter::default();
            for (number, length) in (0..).zip(filter) {
                read.push_encoded(&parts.next(Part::Filter, number, length)?).ok()?;
            }
            Some(read)
        } else {
            parts.skip(&filter)?;
            None
        };
        let mut occurrences = Vec::new();
        for (number, length) in (0..).zip(packs) {
            let bytes = parts.next(Part::Packs, number, length)?;
            occurrences.extend(Value::decode(&bytes).and_then(|value| value.list(read_occurrence)).ok()?);
        }
        let fences = parts.next(Part::Fences, 0, fences)?;
        let fences: Vec<u64> = fences.as_chunks().0.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
        if fences.len() as u64 != entries.div_ceil(BLOCK as u64) {
            return None;
        }
        let table = Table::new(local, file, Index { id, entries, fences, filter }, OFTEN);
        Some(Self { table, increments, packs: occurrences })
    }

    /// Writes the copy of these increments, in the place of the one before; for a check it goes when it is dropped.
    pub(super) fn write(
        local: &Local,
        scope: &Scope,
        increments: Vec<String>,
        packs: Vec<Occurrence>,
        entries: impl Iterator<Item = Result<LocatorEntry, Unfit>>,
    ) -> std::io::Result<Result<Self, Unfit>> {
        // Also where this run itself needs no filter: the next may.
        let mut writer = TableWriter::begin(local, true)?;
        for entry in entries {
            match entry {
                Ok(entry) => writer.add(entry)?,
                Err(unfit) => return Ok(Err(unfit)),
            }
        }
        let (mut file, mut index) = writer.finish()?;
        let mut put = |id, part, number: usize, mut plain: Vec<u8>| -> std::io::Result<u64> {
            local.seal(id, part, as_u32(number), &mut plain);
            file.write_all(&plain)?;
            Ok(plain.len() as u64)
        };
        let parts = index.filter.iter().flat_map(Filter::encoded).enumerate();
        let filters = parts.map(|(number, part)| put(index.id, Part::Filter, number, part));
        let filter: Vec<u64> = filters.collect::<Result<_, _>>()?;
        let lists = packs.chunks(PACKS).enumerate().map(|(number, packs)| {
            let list =
                array(packs, |Occurrence { increment, pack }| vec![Value::from(*increment), pack_value(pack).into()]);
            put(index.id, Part::Packs, number, list.encode())
        });
        let lists: Vec<u64> = lists.collect::<Result<_, _>>()?;
        let fences = index.fences.iter().flat_map(|fence| fence.to_be_bytes()).collect();
        let fences = put(index.id, Part::Fences, 0, fences)?;
        let head = Head { id: index.id, entries: index.entries, increments, filter, packs: lists, fences };
        let length = put([0; 16], Part::Head, 0, head.encode())?;
        file.write_all(&u32::try_from(length).map_err(std::io::Error::other)?.to_be_bytes())?;
        if !scope.is_writing() {
            index.filter = None;
        }
        let name = (*scope != Scope::Checking).then(|| local.copy());
        let table = Table::new(local, file.open(name)?, index, OFTEN);
        Ok(Ok(Self { table, increments: head.increments, packs }))
    }
}

/// What a copy says of itself.
struct Head {
    id: FileId,
    entries: u64,
    increments: Vec<String>,
    /// Lengths of the parts of the filter, of the lists of packs, and of the fences.
    filter: Vec<u64>,
    packs: Vec<u64>,
    fences: u64,
}

impl Head {
    fn encode(&self) -> Vec<u8> {
        let increments = array(&self.increments, |name| Value::from(name.as_str()));
        let fields = Fields::new().with(1, VERSION).with(2, &self.id).with(3, self.entries).with(4, increments);
        let fields =
            fields.with(5, array(&self.filter, |length| *length)).with(6, array(&self.packs, |length| *length));
        fields.with(7, self.fences).encode()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(bytes)?;
        if fields.need(1)?.uint()? != VERSION {
            return Err(Malformed("a copy of another version"));
        }
        Ok(Self {
            id: fields.need(2)?.array_of()?,
            entries: fields.need(3)?.uint()?,
            increments: fields.need(4)?.list(Value::text)?,
            filter: fields.need(5)?.list(Value::uint)?,
            packs: fields.need(6)?.list(Value::uint)?,
            fences: fields.need(7)?.uint()?,
        })
    }
}

fn read_occurrence(value: Value) -> Result<Occurrence, Malformed> {
    let [increment, pack] = value.tuple()?;
    Ok(Occurrence { increment: increment.uint32()?, pack: read_pack(pack)? })
}

fn read_head(local: &Local, file: &mut dyn CacheBytes) -> Result<Head, Unfit> {
    let mut read = |offset: i64, length: usize| -> std::io::Result<Vec<u8>> {
        file.seek(SeekFrom::End(offset))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    let length = read(-4, 4).map_err(|_| Unfit)?;
    let length = u32::from_be_bytes(length.try_into().expect("4 bytes"));
    if u64::from(length) > PART_MAX {
        return Err(Unfit);
    }
    let mut head = read(-4 - i64::from(length), length as usize).map_err(|_| Unfit)?;
    local.open([0; 16], Part::Head, 0, &mut head)?;
    Head::decode(&head).map_err(|_| Unfit)
}

/// The parts behind the blocks, one after the other.
struct Parts<'a> {
    local: &'a Local,
    file: &'a mut dyn CacheBytes,
    id: FileId,
}

impl Parts<'_> {
    fn next(&mut self, part: Part, number: u32, length: u64) -> Option<Vec<u8>> {
        let length = usize::try_from(length).ok().filter(|_| length <= PART_MAX)?;
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes).ok()?;
        self.local.open(self.id, part, number, &mut bytes).ok()?;
        Some(bytes)
    }

    fn skip(&mut self, lengths: &[u64]) -> Option<()> {
        let offset = i64::try_from(lengths.iter().sum::<u64>()).ok()?;
        self.file.seek(SeekFrom::Current(offset)).ok().map(drop)
    }
}
