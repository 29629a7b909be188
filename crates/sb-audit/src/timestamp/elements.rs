//! Taking DER apart, element by element.

use der::asn1::ObjectIdentifier;
use der::{Decode, Reader, SliceReader, Tag};

use super::FORMAT;
use crate::malformed::Malformed;

/// One element: its tag, its content, and all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: Tag,
    pub(super) content: &'a [u8],
    pub(super) whole: &'a [u8],
}

/// Elements that stand one after another.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    /// What they are part of, for messages.
    name: &'static str,
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    /// The one element that these bytes are.
    pub(super) fn only(name: &'static str, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut elements = Elements { name, rest: bytes };
        let element = elements.next()?;
        elements.finish().map(|()| element)
    }

    /// The elements in it.
    pub(super) const fn elements(self, name: &'static str) -> Elements<'a> {
        Elements { name, rest: self.content }
    }

    /// Whether it consists of elements, and has the context-specific tag of this number.
    pub(super) fn is_context(self, number: u8) -> bool {
        matches!(self.tag, Tag::ContextSpecific { number: found, constructed: true } if found.value() == u32::from(number))
    }

    /// Whether it is a value that has the context-specific tag of this number in place of its own.
    pub(super) fn is_implicit(self, number: u8) -> bool {
        matches!(self.tag, Tag::ContextSpecific { number: found, constructed: false } if found.value() == u32::from(number))
    }

    /// An object identifier in dotted decimal.
    pub(super) fn oid(self, name: &'static str) -> Result<String, Malformed> {
        let oid: ObjectIdentifier =
            Decode::from_der(self.whole).map_err(|_| malformed(name, "not an object identifier"))?;
        Ok(oid.to_string())
    }

    /// A number from 0 to 2⁶⁴ − 1.
    pub(super) fn number(self, name: &'static str) -> Result<u64, Malformed> {
        u64::from_der(self.whole).map_err(|_| malformed(name, "not a number"))
    }

    /// The content of a context-specific element, read as a number.
    pub(super) fn implicit_number(self, name: &'static str) -> Result<u64, Malformed> {
        let bad = || malformed(name, "not a number");
        if self.content.is_empty() || self.content.len() > 8 || self.content[0] >= 0x80 {
            return Err(bad());
        }
        Ok(self.content.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

impl<'a> Elements<'a> {
    /// The next one.
    pub(super) fn next(&mut self) -> Result<Element<'a>, Malformed> {
        let bad = |_| malformed(self.name, "not an element in DER");
        let mut reader = SliceReader::new(self.rest).map_err(bad)?;
        let whole = reader.tlv_bytes().map_err(bad)?;
        let mut inner = SliceReader::new(whole).map_err(bad)?;
        let tag = Tag::peek(&inner).map_err(bad)?;
        let header = der::Header::decode(&mut inner).map_err(bad)?;
        let content = inner.read_slice(header.length()).map_err(bad)?;
        self.rest = &self.rest[whole.len()..];
        Ok(Element { tag, content, whole })
    }

    /// The next one, which must have this tag.
    pub(super) fn expect(&mut self, tag: Tag) -> Result<Element<'a>, Malformed> {
        let element = self.next()?;
        if element.tag == tag { Ok(element) } else { Err(malformed(self.name, "an element of another kind")) }
    }

    /// The next one, which must have the context-specific tag of this number.
    pub(super) fn expect_context(&mut self, number: u8) -> Result<Element<'a>, Malformed> {
        let element = self.next()?;
        if element.is_context(number) { Ok(element) } else { Err(malformed(self.name, "an element of another kind")) }
    }

    /// The next one, if it is one of those.
    pub(super) fn next_if(&mut self, fits: impl Fn(Element<'a>) -> bool) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let before = self.rest;
        let element = self.next()?;
        if fits(element) {
            return Ok(Some(element));
        }
        self.rest = before;
        Ok(None)
    }

    /// All that are left.
    pub(super) fn all(mut self) -> Result<Vec<Element<'a>>, Malformed> {
        let mut all = Vec::new();
        while !self.rest.is_empty() {
            all.push(self.next()?);
        }
        Ok(all)
    }

    /// Checks that none is left.
    pub(super) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(malformed(self.name, "more than there may be")) }
    }
}

pub(super) fn malformed(name: &str, fault: &'static str) -> Malformed {
    Malformed::at_field(FORMAT, name, fault)
}
