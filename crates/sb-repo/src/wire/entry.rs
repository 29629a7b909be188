//! One entry of a folder (docs/format.md §11).

use std::borrow::Cow;

use sb_crypto::Digest;
use sb_source::{Kind, Metadata, Timestamp};

use super::cbor::{Fields, Malformed, Value, array};
use super::node::{Part, Reference, parts, read_parts};
use crate::ids::DocumentId;

/// An entry of a folder in a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The name, raw bytes; empty for what was disposed of.
    pub name: Vec<u8>,
    /// What it is.
    pub item: Item,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The owner's name, where it was known.
    pub user: Option<Vec<u8>>,
    /// The group's name, where it was known.
    pub group: Option<Vec<u8>>,
    /// When the content was last modified.
    pub mtime: Timestamp,
    /// Extended attributes, ACLs among them.
    pub xattrs: Inline<Xattr>,
    /// The same for all hard links to one file, FIFO or whatever it is; none for folders.
    pub link_group: Option<DocumentId>,
    /// Fields of a later version of the format.
    pub(crate) extra: Fields,
}

/// An extended attribute: name and value, raw bytes.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// What an entry is.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A regular file.
    File(Box<FileItem>),
    /// A folder.
    Folder {
        /// Its entries.
        node: Reference,
        /// True if only some of its entries were sources.
        ancestor: bool,
    },
    /// A symbolic link.
    Symlink {
        /// What it points to, raw bytes.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Documents that were disposed of; their leaf hashes keep every proof valid.
    Redacted {
        /// The leaf hashes, in path order.
        leaves: Vec<Digest>,
    },
}

/// A regular file: where its content is, and what proves it.
#[derive(Clone, Debug, PartialEq)]
pub struct FileItem {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the content.
    pub sha256: Digest,
    /// The content's pieces.
    pub parts: Vec<Part>,
    /// 0 if the parts are content, else how many levels of lists are between.
    pub depth: u64,
    /// How it was cut.
    pub chunker: u64,
    /// What was done to it before; 0 is nothing.
    pub transform: u64,
    /// The document's id.
    pub document: DocumentId,
    /// Salt of the leaf in the document tree.
    pub salt: [u8; 16],
    /// Offset and length of the holes of a sparse file.
    pub holes: Inline<(u64, u64)>,
    /// True if the file changed while it was read.
    pub inconsistent: bool,
}

/// A list in the entry itself or, when long, in a chunk of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inline<T> {
    /// The list.
    Here(Vec<T>),
    /// Where it is.
    At(Reference),
}

impl<T> Default for Inline<T> {
    fn default() -> Self {
        Self::Here(Vec::new())
    }
}

impl Entry {
    /// What entries are sorted by: the name, and `/` after a folder's.
    pub fn order_key(&self) -> Cow<'_, [u8]> {
        order_key(&self.name, matches!(self.item, Item::Folder { .. }))
    }

    /// True if it stands for documents that were disposed of; then it has no name, for that was theirs.
    pub fn is_redacted(&self) -> bool {
        matches!(self.item, Item::Redacted { .. })
    }

    /// The metadata as the source had it, as far as it is kept; attributes must have been looked up.
    pub fn metadata(&self, xattrs: Vec<Xattr>) -> Metadata {
        Metadata {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            user: self.user.clone(),
            group: self.group.clone(),
            mtime: self.mtime,
            size: if let Item::File(file) = &self.item { file.size } else { 0 },
            xattrs,
            ..Metadata::default()
        }
    }

    /// What kind of thing the source had; `None` for what was disposed of.
    pub fn kind(&self) -> Option<Kind> {
        Some(match &self.item {
            Item::File(_) => Kind::File,
            Item::Folder { .. } => Kind::Directory,
            Item::Symlink { target } => Kind::Symlink { target: target.clone() },
            Item::Fifo => Kind::Fifo,
            Item::Socket => Kind::Socket,
            Item::CharDevice { major, minor } => Kind::CharDevice { major: *major, minor: *minor },
            Item::BlockDevice { major, minor } => Kind::BlockDevice { major: *major, minor: *minor },
            Item::Redacted { .. } => return None,
        })
    }

    /// Something of this name with nothing special about it.
    #[cfg(test)]
    pub(crate) fn plain(name: &[u8]) -> Self {
        Self {
            name: name.to_vec(),
            item: Item::Fifo,
            mode: 0,
            uid: 0,
            gid: 0,
            user: None,
            group: None,
            mtime: Timestamp { seconds: 0, nanoseconds: 0 },
            xattrs: Inline::default(),
            link_group: None,
            extra: Fields::new(),
        }
    }

    pub(crate) fn encode(&self) -> Value {
        let mut fields = self.extra.clone();
        fields.insert(1, self.name.as_slice().into());
        fields.insert(3, self.mode.into());
        fields.insert(4, self.uid.into());
        fields.insert(5, self.gid.into());
        let fields = fields
            .with_some(6, self.user.as_deref())
            .with_some(7, self.group.as_deref())
            .with_some(21, self.link_group)
            .with(8, vec![self.mtime.seconds.into(), Value::from(self.mtime.nanoseconds)]);
        let fields = match &self.xattrs {
            Inline::Here(list) if list.is_empty() => fields,
            Inline::Here(list) => fields.with(9, xattrs(list)),
            Inline::At(reference) => fields.with(10, reference.encode()),
        };
        Value::Map(self.item.encode(fields))
    }

    pub(crate) fn decode(mut fields: Fields) -> Result<Self, Malformed> {
        let name = fields.need(1)?.bytes()?;
        let [seconds, nanoseconds] = fields.need(8)?.tuple()?;
        let entry = Self {
            name,
            mode: fields.need(3)?.uint32()?,
            uid: fields.need(4)?.uint32()?,
            gid: fields.need(5)?.uint32()?,
            user: fields.take(6).map(Value::bytes).transpose()?,
            group: fields.take(7).map(Value::bytes).transpose()?,
            mtime: Timestamp { seconds: seconds.integer()?, nanoseconds: nanoseconds.uint32()? },
            xattrs: match fields.take(10) {
                Some(reference) => Inline::At(Reference::decode(reference)?),
                None => Inline::Here(fields.take(9).map_or(Ok(Vec::new()), read_xattrs)?),
            },
            link_group: fields.take(21).map(|v| v.array_of().map(DocumentId::new)).transpose()?,
            item: Item::decode(&mut fields)?,
            extra: fields,
        };
        if entry.is_redacted() != entry.name.is_empty()
            || entry.name == b"."
            || entry.name == b".."
            || entry.name.iter().any(|byte| matches!(byte, 0 | b'/'))
        {
            return Err(Malformed("a name that no file can have"));
        }
        if entry.mtime.nanoseconds > 999_999_999 {
            return Err(Malformed("a time is out of range"));
        }
        Ok(entry)
    }
}

/// What an entry of this name sorts by.
pub(crate) fn order_key(name: &[u8], is_folder: bool) -> Cow<'_, [u8]> {
    if is_folder { Cow::Owned([name, b"/"].concat()) } else { Cow::Borrowed(name) }
}

/// Extended attributes as stored.
pub(crate) fn xattrs(list: &[Xattr]) -> Value {
    array(list, |(name, value)| vec![name.as_slice().into(), Value::from(value.as_slice())])
}

/// Reads extended attributes.
pub(crate) fn read_xattrs(value: Value) -> Result<Vec<Xattr>, Malformed> {
    value.list(|item| {
        let [name, value] = item.tuple()?;
        Ok((name.bytes()?, value.bytes()?))
    })
}

/// Holes as stored.
pub(crate) fn holes(list: &[(u64, u64)]) -> Value {
    array(list, |(offset, length)| vec![Value::from(*offset), Value::from(*length)])
}

/// Reads holes.
pub(crate) fn read_holes(value: Value) -> Result<Vec<(u64, u64)>, Malformed> {
    let mut last = 0;
    value.list(|item| {
        let [offset, length] = item.tuple()?;
        let (offset, length) = (offset.uint()?, length.uint()?);
        if offset < last {
            return Err(Malformed("holes out of order"));
        }
        last = offset.checked_add(length).ok_or(Malformed("a hole is out of range"))?;
        Ok((offset, length))
    })
}

impl Item {
    pub(crate) fn encode(&self, fields: Fields) -> Fields {
        let device = |kind: u64, major: u32, minor: u32| (kind, vec![Value::from(major), Value::from(minor)]);
        match self {
            Self::File(file) => file.encode(fields.with(2, 1u64)),
            Self::Folder { node, ancestor } => {
                fields.with(2, 2u64).with(24, node.encode()).with_some(25, ancestor.then_some(true))
            }
            Self::Symlink { target } => fields.with(2, 3u64).with(22, target.as_slice()),
            Self::Fifo => fields.with(2, 4u64),
            Self::Socket => fields.with(2, 5u64),
            Self::CharDevice { major, minor } => {
                let (kind, numbers) = device(6, *major, *minor);
                fields.with(2, kind).with(23, numbers)
            }
            Self::BlockDevice { major, minor } => {
                let (kind, numbers) = device(7, *major, *minor);
                fields.with(2, kind).with(23, numbers)
            }
            Self::Redacted { leaves } => fields.with(2, 8u64).with(27, array(leaves, |leaf| *leaf)),
        }
    }

    fn decode(fields: &mut Fields) -> Result<Self, Malformed> {
        let device = |fields: &mut Fields| {
            let [major, minor] = fields.need(23)?.tuple()?;
            Ok((major.uint32()?, minor.uint32()?))
        };
        Ok(match fields.need(2)?.uint()? {
            1 => Self::File(Box::new(FileItem::decode(fields)?)),
            2 => Self::Folder {
                node: Reference::decode(fields.need(24)?)?,
                ancestor: fields.take(25).map_or(Ok(false), Value::boolean)?,
            },
            3 => Self::Symlink { target: fields.need(22)?.bytes()? },
            4 => Self::Fifo,
            5 => Self::Socket,
            6 => device(fields).map(|(major, minor)| Self::CharDevice { major, minor })?,
            7 => device(fields).map(|(major, minor)| Self::BlockDevice { major, minor })?,
            8 => Self::Redacted { leaves: fields.need(27)?.list(|leaf| leaf.array_of().map(Digest::from_bytes))? },
            _ => return Err(Malformed("an unknown kind of entry")),
        })
    }
}

impl FileItem {
    fn encode(&self, fields: Fields) -> Fields {
        let fields = fields
            .with(11, self.size)
            .with(12, self.sha256)
            .with(13, parts(&self.parts, self.depth))
            .with_some(14, (self.depth > 0).then_some(self.depth))
            .with(15, self.chunker)
            .with(16, self.transform)
            .with(17, self.document)
            .with(18, &self.salt)
            .with_some(26, self.inconsistent.then_some(true));
        match &self.holes {
            Inline::Here(list) if list.is_empty() => fields,
            Inline::Here(list) => fields.with(19, holes(list)),
            Inline::At(reference) => fields.with(20, reference.encode()),
        }
    }

    fn decode(fields: &mut Fields) -> Result<Self, Malformed> {
        let depth = fields.take(14).map_or(Ok(0), Value::uint)?;
        if depth > 8 {
            return Err(Malformed("lists nested too deeply"));
        }
        let file = Self {
            size: fields.need(11)?.uint()?,
            sha256: Digest::from_bytes(fields.need(12)?.array_of()?),
            parts: read_parts(fields.need(13)?, depth)?,
            depth,
            chunker: fields.need(15)?.uint()?,
            transform: fields.need(16)?.uint()?,
            document: DocumentId::new(fields.need(17)?.array_of()?),
            salt: fields.need(18)?.array_of()?,
            holes: match fields.take(20) {
                Some(reference) => Inline::At(Reference::decode(reference)?),
                None => Inline::Here(fields.take(19).map_or(Ok(Vec::new()), read_holes)?),
            },
            inconsistent: fields.take(26).map_or(Ok(false), Value::boolean)?,
        };
        let total = file.parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.content));
        if total != Some(file.size) {
            return Err(Malformed("a file's parts are not as long as it is"));
        }
        Ok(file)
    }
}
