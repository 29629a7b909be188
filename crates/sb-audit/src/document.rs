//! Showing one document of a snapshot, and no other: the leaves of the document tree, `sb-doc/v1`.
//!
//! A leaf is canonical JSON and is salted: its hash says nothing to anyone who is not shown the leaf.

use sb_crypto::{Digest, leaf_hash, verify_inclusion};

use crate::fields::Fields;
use crate::json::Json;
use crate::lines::{Lines, hash_text};
use crate::malformed::Malformed;
use crate::predicate::DocumentTree;
use crate::tlog_proof::HASHES_MAX;

const FORMAT: &str = "document leaf";
const VERSION: &str = "sb-doc/v1";
const BYTES_MAX: usize = 64 << 10;

/// One version of a document, as its leaf says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Document {
    /// Its opaque id.
    pub id: String,
    /// Its path in bytes, with what is percent-encoded in the leaf decoded.
    pub path: Vec<u8>,
    /// When it was modified, as the leaf writes it: RFC 3339 to the nanosecond, or `@seconds.nanoseconds`.
    pub modified: String,
    /// The SHA-256 of its content.
    pub sha256: Digest,
    /// The length of its content in bytes.
    pub size: u64,
}

impl Document {
    /// Reads a leaf. Only canonical bytes are accepted.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(leaf: &[u8]) -> Result<Self, Malformed> {
        if leaf.len() > BYTES_MAX {
            return Err(Malformed::at_byte(FORMAT, BYTES_MAX, "too long"));
        }
        let mut fields = Fields::of(FORMAT, "", Json::parse_canonical(leaf)?)?;
        fields.expect("v", VERSION, "not `sb-doc/v1`")?;
        let salt = fields.text("salt")?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if salt.len() != 32 || !salt.bytes().all(is_hex) {
            return Err(fields.fault("salt", "not 32 lower-case hexadecimal digits"));
        }
        let path = fields.text("path")?;
        let document = Self {
            id: fields.text("id")?,
            path: decode_path(&path).ok_or_else(|| fields.fault("path", "a `%` without two upper-case digits"))?,
            modified: fields.text("mtime")?,
            sha256: fields.digest("sha256")?,
            size: fields.number("size")?,
        };
        fields.finish()?;
        Ok(document)
    }
}

fn decode_path(path: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { digit(bytes.next()?)? << 4 | digit(bytes.next()?)? } else { byte });
    }
    Some(decoded)
}

/// The place of a document in the document tree of its snapshot.
///
/// Its file has a line `sb-doc-proof@v1`, one `index N`, and then one base64 hash a line, from the leaf upwards.
///
/// ```
/// use sb_audit::{DocumentProof, DocumentTree};
/// use sb_crypto::{inclusion_proof, leaf_hash, node_hash};
///
/// let leaf = br#"{"id":"5f","mtime":"2025-03-14T09:00:00.000000000Z","path":"/2024/1120-S.pdf","salt":"0123456789abcdef0123456789abcdef","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":3,"v":"sb-doc/v1"}"#;
/// let leaves = [leaf_hash(b"a leaf that is not shown"), leaf_hash(leaf)];
/// let tree = DocumentTree { size: 2, root: node_hash(&leaves[0], &leaves[1]) }; // from a certificate
/// let proof = DocumentProof { index: 1, path: inclusion_proof(&leaves, 1) };
/// assert_eq!(proof.verify(leaf, &tree)?.path, b"/2024/1120-S.pdf");
/// # Ok::<(), sb_audit::DocumentError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentProof {
    /// Which leaf, from 0.
    pub index: u64,
    /// The inclusion proof.
    pub path: Vec<Digest>,
}

impl DocumentProof {
    const HEADER: &str = "sb-doc-proof@v1";

    /// Reads the file.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut lines = Lines::new("document proof", bytes, BYTES_MAX)?;
        if lines.next()? != Self::HEADER {
            return Err(lines.fault("not `sb-doc-proof@v1`"));
        }
        let index = lines.after("index", "no index")?;
        let index = lines.number(index)?;
        let mut path = Vec::new();
        while !lines.rest().is_empty() {
            let line = lines.next()?;
            if path.len() == HASHES_MAX {
                return Err(lines.fault("too many hashes"));
            }
            path.push(lines.hash(line)?);
        }
        Ok(Self { index, path })
    }

    /// Checks that the document of this leaf is in the snapshot with this document tree, which a certificate gives.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn verify(&self, leaf: &[u8], tree: &DocumentTree) -> Result<Document, DocumentError> {
        let document = Document::parse(leaf)?;
        if verify_inclusion(self.index, tree.size, &leaf_hash(leaf), &self.path, &tree.root) {
            Ok(document)
        } else {
            Err(DocumentError::NotIncluded { index: self.index, size: tree.size })
        }
    }
}

/// The file.
impl std::fmt::Display for DocumentProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\nindex {}", Self::HEADER, self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", hash_text(hash)))
    }
}

/// Why a document is not proven to be in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The leaf can't be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The hashes do not lead from the leaf to the root.
    #[error("the proof does not show this document to be number {index} of {size}")]
    NotIncluded {
        /// Where it is said to stand.
        index: u64,
        /// How many documents the snapshot has.
        size: u64,
    },
}
