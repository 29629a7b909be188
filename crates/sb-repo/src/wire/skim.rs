//! Pages of folders, read for names only: what a search looks at of the many entries that it does not want.

use super::cbor::{Malformed, Value};
use super::entry::Entry;
use super::node::{Node, Reference};

/// An entry of which only so much has been read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Skimmed<'a> {
    pub(crate) name: &'a [u8],
    /// The number of its kind (docs/format.md §11).
    pub(crate) kind: u64,
    node: Option<&'a [u8]>,
    bytes: &'a [u8],
}

/// Kinds of entries by number.
pub(crate) const FILE: u64 = 1;
pub(crate) const FOLDER: u64 = 2;
pub(crate) const SYMLINK: u64 = 3;
pub(crate) const REDACTED: u64 = 8;

/// A page, or the list of pages.
#[derive(Debug)]
pub(crate) enum Page<'a> {
    Leaf(Vec<Skimmed<'a>>),
    Inner(Vec<Reference>),
}

impl<'a> Page<'a> {
    /// Reads a node.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { bytes, at: 0 };
        // The encoding is deterministic, so a leaf begins with a map of two whose first entry is 1 → 0.
        let is_leaf = reader.head()? == (MAP, 2) && reader.head()? == (UINT, 1) && reader.head()? == (UINT, 0);
        if !is_leaf {
            return match Node::decode(bytes)? {
                Node::Inner(children) => Ok(Self::Inner(children.into_iter().map(|child| child.node).collect())),
                Node::Leaf(_) => Err(Malformed("not the one encoding of a page")),
            };
        }
        if reader.head()? != (UINT, 2) {
            return Err(Malformed("a field is missing"));
        }
        let (ARRAY, count) = reader.head()? else { return Err(Malformed("not an array")) };
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.push(reader.entry()?);
        }
        Ok(Self::Leaf(entries))
    }
}

impl Skimmed<'_> {
    /// All of it.
    pub(crate) fn entry(&self) -> Result<Entry, Malformed> {
        Entry::decode(Value::decode(self.bytes)?.fields()?)
    }

    /// Where a folder's entries are.
    pub(crate) fn node(&self) -> Result<Reference, Malformed> {
        let bytes = self.node.ok_or(Malformed("a field is missing"))?;
        Reference::decode(Value::decode(bytes)?)
    }
}

/// Major types (RFC 8949 §3.1).
const UINT: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

const BROKEN: Malformed = Malformed("not CBOR");

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Major type and argument of the item that begins here.
    fn head(&mut self) -> Result<(u8, u64), Malformed> {
        let first = *self.bytes.get(self.at).ok_or(BROKEN)?;
        self.at += 1;
        let argument = match first & 31 {
            small @ 0..24 => small.into(),
            size @ 24..28 => {
                let digits = self.take(1 << (size - 24))?;
                digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit))
            }
            _ => return Err(BROKEN),
        };
        Ok((first >> 5, argument))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length)).ok_or(BROKEN)?;
        let taken = self.bytes.get(self.at..end).ok_or(BROKEN)?;
        self.at = end;
        Ok(taken)
    }

    /// Passes over an item and all that is in it.
    fn skip(&mut self) -> Result<&'a [u8], Malformed> {
        let (start, mut left) = (self.at, 1u64);
        while left > 0 {
            left -= 1;
            let (major, argument) = self.head()?;
            match major {
                BYTES | TEXT => drop(self.take(argument)?),
                ARRAY => left = left.checked_add(argument).ok_or(BROKEN)?,
                MAP => left = argument.checked_mul(2).and_then(|items| left.checked_add(items)).ok_or(BROKEN)?,
                TAG => return Err(BROKEN),
                _ => {}
            }
        }
        Ok(&self.bytes[start..self.at])
    }

    fn entry(&mut self) -> Result<Skimmed<'a>, Malformed> {
        let start = self.at;
        let (MAP, fields) = self.head()? else { return Err(Malformed("not a map")) };
        let (mut name, mut kind, mut node) = (None, None, None);
        for _ in 0..fields {
            let (UINT, key) = self.head()? else { return Err(Malformed("a map key is not an unsigned integer")) };
            match key {
                1 => {
                    let (BYTES, length) = self.head()? else { return Err(Malformed("not a byte string")) };
                    name = Some(self.take(length)?);
                }
                2 => {
                    let (UINT, number) = self.head()? else { return Err(Malformed("not an unsigned integer")) };
                    kind = Some(number);
                }
                24 => node = Some(self.skip()?),
                _ => drop(self.skip()?),
            }
        }
        let missing = Malformed("a field is missing");
        let (name, kind) = (name.ok_or(missing)?, kind.ok_or(missing)?);
        if kind == FOLDER && (matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, 0 | b'/'))) {
            return Err(Malformed("a name that no file can have"));
        }
        Ok(Skimmed { name, kind, node, bytes: &self.bytes[start..self.at] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::cbor::Fields;
    use crate::wire::entry::{Inline, Item};
    use crate::wire::node::Child;
    use proptest::prelude::*;

    fn entry(name: &[u8], folder: bool) -> Entry {
        let node = Reference { id: crate::ids::Id::new([9; 32]), length: 70_000 };
        let item =
            if folder { Item::Folder { node, ancestor: false } } else { Item::Symlink { target: b"t".to_vec() } };
        let xattrs = Inline::Here(vec![(b"user.a".to_vec(), vec![7; 300])]);
        Entry { item, xattrs, ..Entry::plain(name) }
    }

    #[test]
    fn a_page_skimmed_is_the_page_read() {
        let entries = [entry(b"a", false), entry(b"b", true), entry(b"c\xff", false)];
        let bytes = Node::encode_leaf(entries.iter().map(Entry::encode).collect());
        let Page::Leaf(skimmed) = Page::read(&bytes).unwrap() else { panic!("not a leaf") };
        for (skimmed, entry) in skimmed.iter().zip(&entries) {
            assert_eq!((skimmed.name, &skimmed.entry().unwrap()), (entry.name.as_slice(), entry));
            let node = if let Item::Folder { node, .. } = &entry.item { Some(*node) } else { None };
            assert_eq!(skimmed.node().ok(), node);
        }
        assert_eq!(skimmed.iter().map(|entry| entry.kind).collect::<Vec<_>>(), [SYMLINK, FOLDER, SYMLINK]);
        let child =
            Child { last: b"x".to_vec(), node: Reference { id: crate::ids::Id::new([1; 32]), length: 3 }, entries: 5 };
        let Page::Inner(nodes) = Page::read(&Node::encode_inner(std::slice::from_ref(&child))).unwrap() else {
            panic!("not an inner node")
        };
        assert_eq!(nodes, [child.node]);
    }

    #[test]
    fn hostile_pages_are_refused() {
        for name in [&b"."[..], b"..", b"a/b", b"a\0", b""] {
            let page = Node::encode_leaf(vec![entry(name, true).encode()]);
            assert!(Page::read(&page).is_err(), "{name:?}");
        }
        let endless = [0xa2, 1, 0, 2, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(Page::read(&endless).is_err());
        let nameless = Fields::new().with(2, 3u64);
        assert!(Page::read(&Node::encode_leaf(vec![nameless.into()])).is_err());
        assert!(Page::read(&[0xa2, 1, 0, 3, 0x80]).is_err() && Page::read(&[0xa2, 1, 0, 2, 0]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>(), at in 0usize..400, to in any::<u8>()) {
            let _ = Page::read(&bytes);
            let mut page = Node::encode_leaf(vec![entry(b"name", true).encode()]);
            if let Some(byte) = page.get_mut(at) {
                *byte = to;
            }
            if let Ok(Page::Leaf(entries)) = Page::read(&page) {
                entries.iter().for_each(|entry| drop((entry.entry(), entry.node())));
            }
        }
    }
}
