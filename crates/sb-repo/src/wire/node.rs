//! References, parts and tree nodes (docs/format.md §11).

use super::cbor::{Fields, Malformed, Value, array};
use super::entry::Entry;
use crate::ids::ChunkId;

/// A chunk and its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The chunk's id.
    pub id: ChunkId,
    /// Its length in bytes.
    pub length: u32,
}

impl Reference {
    pub(crate) fn encode(self) -> Value {
        Value::Array(vec![self.id.into(), self.length.into()])
    }

    pub(crate) fn decode(value: Value) -> Result<Self, Malformed> {
        let [id, length] = value.tuple()?;
        Ok(Self { id: ChunkId::new(id.array_of()?), length: length.uint32()? })
    }
}

/// A piece of a file: a chunk of content, or a list of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The chunk.
    pub reference: Reference,
    /// Bytes of content in it or below it.
    pub content: u64,
}

/// Encodes parts of one depth.
pub(crate) fn parts(parts: &[Part], depth: u64) -> Value {
    array(parts, |part| match depth {
        0 => part.reference.encode(),
        _ => Value::Array(vec![part.reference.id.into(), part.reference.length.into(), part.content.into()]),
    })
}

/// Reads parts of one depth.
pub(crate) fn read_parts(value: Value, depth: u64) -> Result<Vec<Part>, Malformed> {
    value.list(|part| {
        if depth == 0 {
            let reference = Reference::decode(part)?;
            return Ok(Part { reference, content: reference.length.into() });
        }
        let [id, length, content] = part.tuple()?;
        let reference = Reference { id: ChunkId::new(id.array_of()?), length: length.uint32()? };
        Ok(Part { reference, content: content.uint()? })
    })
}

/// A page of a folder, or the list of its pages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Leaf(Vec<Entry>),
    Inner(Vec<Child>),
}

/// A page, seen from the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) last: Vec<u8>,
    pub(crate) node: Reference,
    pub(crate) entries: u64,
}

/// A leaf out of this many entries, encoded and laid end to end.
pub(crate) fn encode_page(count: u64, entries: &[u8]) -> Vec<u8> {
    let mut encoder = minicbor::Encoder::new(Vec::with_capacity(entries.len() + 16));
    let head = encoder.map(2).and_then(|e| e.u64(1)?.u64(0)?.u64(2)?.array(count)).map(drop);
    head.expect("writing to memory does not fail");
    let mut page = encoder.into_writer();
    page.extend_from_slice(entries);
    page
}

impl Node {
    /// A leaf out of entries that are encoded already.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn encode_leaf(entries: Vec<Value>) -> Vec<u8> {
        Fields::new().with(1, 0u64).with(2, entries).encode()
    }

    pub(crate) fn encode_inner(children: &[Child]) -> Vec<u8> {
        let children = array(children, |child| {
            vec![child.last.as_slice().into(), child.node.encode(), Value::from(child.entries)]
        });
        Fields::new().with(1, 1u64).with(2, children).encode()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(bytes)?;
        match fields.need(1)?.uint()? {
            0 => {
                let entries = fields.need(2)?.list(|entry| Entry::decode(entry.fields()?))?;
                // What was disposed of keeps its place, but not its name.
                let named: Vec<_> = entries.iter().filter(|entry| !entry.is_redacted()).map(Entry::order_key).collect();
                if !named.is_sorted_by(|a, b| a < b) {
                    return Err(Malformed("entries out of order"));
                }
                Ok(Self::Leaf(entries))
            }
            1 => Ok(Self::Inner(fields.need(2)?.list(|child| {
                let [last, node, entries] = child.tuple()?;
                Ok(Child { last: last.bytes()?, node: Reference::decode(node)?, entries: entries.uint()? })
            })?)),
            _ => Err(Malformed("an unknown kind of node")),
        }
    }
}
