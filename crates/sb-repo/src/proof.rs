//! Proving one document of a snapshot without showing another.

use sb_audit::DocumentProof;
use sb_crypto::{Digest, inclusion_proof};

use crate::clock::Progress;
use crate::error::RepoError;
use crate::reader::{Reader, shown};
use crate::snapshots::Snapshot;
use crate::tree::{Step, document_leaf, leaf_text, walk};
use crate::wire::entry::Item;

/// A document of a snapshot and the proof of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DocumentEvidence {
    /// The leaf: path, time, size, SHA-256 and salt, as canonical JSON.
    pub leaf: String,
    /// Its place in the document tree that the snapshot's certificate names.
    pub proof: DocumentProof,
}

impl Reader<'_> {
    /// Goes through all names of a snapshot to prove that this file is in it. Takes 32 bytes of memory a document.
    ///
    /// # Errors
    /// [`RepoError::NoSuchPath`], [`RepoError::WrongKind`] if it is no file, [`RepoError::Damaged`] and [`RepoError::MissingChunk`] if
    /// not all of the tree can be read or is not what it was, and [`RepoError::Interrupted`].
    pub fn prove_document(
        &self,
        snapshot: &Snapshot,
        path: &[u8],
        progress: Progress<'_>,
    ) -> Result<DocumentEvidence, RepoError> {
        if let Some(entry) = self.entry(snapshot, path)?
            && !matches!(entry.item, Item::File(_))
        {
            return Err(RepoError::WrongKind { path: shown(path), expected: "file" });
        }
        let (mut leaves, mut found): (Vec<Digest>, Option<(usize, String)>) = (Vec::new(), None);
        let mut trouble = None;
        walk(self.tree(), snapshot.root(), b"/", &mut |at, step| {
            progress.check()?;
            match step {
                Step::Entry(entry) => match &entry.item {
                    Item::File(file) => {
                        if at == path {
                            found = Some((leaves.len(), leaf_text(at, entry.mtime, file)));
                        }
                        leaves.push(document_leaf(at, entry.mtime, file));
                    }
                    Item::Redacted { leaves: gone } => leaves.extend(gone.iter().copied()),
                    _ => {}
                },
                Step::Unreadable(error) => {
                    trouble = Some(error);
                    return Ok(false);
                }
                Step::Leave(_) => {}
            }
            Ok(true)
        })?;
        if let Some(error) = trouble {
            return Err(error);
        }
        let no_such = || RepoError::NoSuchPath { path: shown(path), snapshot: snapshot.id.short() };
        let (index, leaf) = found.ok_or_else(no_such)?;
        let proof = DocumentProof { index: index as u64, path: inclusion_proof(&leaves, index) };
        if proof.verify(leaf.as_bytes(), &snapshot.document_tree()).is_err() {
            let name = crate::name::snapshot(&snapshot.id).to_string();
            return Err(RepoError::Damaged { name, flaw: crate::error::Flaw::WrongDocumentRoot });
        }
        Ok(DocumentEvidence { leaf, proof })
    }
}
