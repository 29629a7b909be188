//! Checkpoints: how long a log is and the hash over all of it, signed (C2SP tlog-checkpoint v1.0.0).

use std::fmt;

use crate::lines::{Lines, hash_text};
use crate::malformed::Malformed;
use crate::note::{Note, NoteSigner};
use crate::tree::TreeHead;

const FORMAT: &str = "checkpoint";
const BYTES_MAX: usize = 16 << 10;

/// The text of a checkpoint. Signed, it is a [`Note`].
///
/// ```
/// use sb_audit::{Checkpoint, NoteSigner, TreeHead};
/// use sb_crypto::{SigningKey, SystemRandom};
/// let log = NoteSigner::new("example.com/log", SigningKey::generate(&SystemRandom))?;
/// let note = Checkpoint::of(&log, TreeHead::empty());
/// assert!(note.verify([log.verifier()]).is_ok());
/// assert_eq!(Checkpoint::parse(note.text())?.head().size, 0);
/// # Ok::<(), sb_audit::Malformed>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    head: TreeHead,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// The signed checkpoint of a log whose origin is the name of its key.
    #[must_use]
    pub fn of(log: &NoteSigner, head: TreeHead) -> Note {
        let text = Self { origin: log.verifier().name().to_owned(), head, extensions: vec![] }.to_string();
        Note::new(&text, log.sign(&text)).expect("names of keys contain no control characters")
    }

    /// Reads the text of a note.
    ///
    /// # Errors
    /// [`Malformed`] if it is no checkpoint.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut lines = Lines::new(FORMAT, text.as_bytes(), BYTES_MAX)?;
        let origin = lines.next()?.to_owned();
        if origin.is_empty() {
            return Err(lines.fault("no origin"));
        }
        let size = lines.next()?;
        let size = lines.number(size)?;
        let root = lines.next()?;
        let root = lines.hash(root)?;
        let mut extensions = Vec::new();
        while !lines.rest().is_empty() {
            let line = lines.next()?;
            if line.is_empty() {
                return Err(lines.fault("an empty line"));
            }
            extensions.push(line.to_owned());
        }
        Ok(Self { origin, head: TreeHead { size, root }, extensions })
    }

    /// Which log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its size and root.
    #[must_use]
    pub const fn head(&self) -> TreeHead {
        self.head
    }

    /// Further lines. Ours have none.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

/// The text, as it is signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.head.size, hash_text(&self.head.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
