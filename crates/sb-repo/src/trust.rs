//! Who may sign what (docs/format.md §2 and §4).

use std::collections::BTreeMap;

use sb_crypto::{Digest, VerifyingKey, sha256};

use crate::error::Flaw;
use crate::ids::{KeyId, RunId, VaultId};
use crate::name::{ObjectKind, ParsedName};
use crate::wire::certificate::{UserCertificate, WriterCertificate};
use crate::wire::frame::{Frame, Header, Trailer};
use crate::wire::journal::JournalEntry;

/// The key id of a verifying key.
pub(crate) fn key_id(key: &VerifyingKey) -> KeyId {
    KeyId::new(key.key_id())
}

/// The keys that count, from the root key down.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    pub(crate) vault: VaultId,
    pub(crate) root: VerifyingKey,
    pub(crate) users: BTreeMap<KeyId, UserCertificate>,
    pub(crate) writers: BTreeMap<KeyId, WriterCertificate>,
}

impl Trust {
    pub(crate) fn new(vault: VaultId, root: VerifyingKey) -> Self {
        Self { vault, root, users: BTreeMap::new(), writers: BTreeMap::new() }
    }

    /// Takes a user's certificate in, if it is good.
    pub(crate) fn add_user(&mut self, name: &ParsedName, bytes: &[u8]) -> Result<(), Flaw> {
        let frame = self.check(name, bytes)?;
        let certificate = UserCertificate::decode(frame.body)?;
        self.users.insert(key_id(&certificate.key), certificate);
        Ok(())
    }

    /// Takes a writer's certificate in, if it is good.
    pub(crate) fn add_writer(&mut self, name: &ParsedName, bytes: &[u8]) -> Result<(), Flaw> {
        let frame = self.check(name, bytes)?;
        let certificate = WriterCertificate::decode(frame.body)?;
        self.writers.insert(key_id(&certificate.key), certificate);
        Ok(())
    }

    /// A whole object whose name, vault, kind, signer and signature are all good.
    pub(crate) fn check<'a>(&self, name: &ParsedName, bytes: &'a [u8]) -> Result<Frame<'a>, Flaw> {
        if !name.fits(&sha256(bytes)) {
            return Err(Flaw::WrongHash);
        }
        let frame = Frame::parse(bytes)?;
        self.check_parts(name, &frame.header, &frame.trailer, &frame.signed)?;
        Ok(frame)
    }

    /// The same for an object read in pieces, whose hash has been compared with its name already.
    pub(crate) fn check_parts(
        &self,
        name: &ParsedName,
        header: &Header,
        trailer: &Trailer,
        signed: &Digest,
    ) -> Result<RunId, Flaw> {
        if header.vault != self.vault || header.kind.folder() != name.kind.folder() {
            return Err(Flaw::Foreign);
        }
        let key = self.signer(header.kind, name, trailer.signer).ok_or(Flaw::UnknownSigner)?;
        if trailer.is_by(&key, signed, &name.stem) { Ok(trailer.run) } else { Err(Flaw::BadSignature) }
    }

    /// True if a user or the root key answers for what this entry removes or redacts; the root key for the removal of keys,
    /// certificates and config.
    pub(crate) fn authorises(&self, entry: &JournalEntry, writer: KeyId) -> bool {
        let Some(by) = &entry.authority else { return !entry.needs_authority() };
        let is_root = by.signer == key_id(&self.root);
        let key = if is_root { Some(self.root) } else { self.users.get(&by.signer).map(|user| user.key) };
        let roots_own = |name: &str| {
            let kind = ParsedName::parse(name).map(|parsed| parsed.kind);
            matches!(kind, Some(ObjectKind::Config | ObjectKind::User | ObjectKind::Writer | ObjectKind::Slot))
        };
        let may = is_root || !entry.removed.iter().any(|(name, _)| roots_own(name));
        may && key.is_some_and(|key| key.verify(&entry.authority_message(self.vault, writer), &by.signature).is_ok())
    }

    fn signer(&self, kind: ObjectKind, name: &ParsedName, signer: KeyId) -> Option<VerifyingKey> {
        let root = (signer == key_id(&self.root)).then_some(self.root);
        let user = self.users.get(&signer).map(|user| user.key);
        match kind {
            ObjectKind::Config | ObjectKind::User => root,
            ObjectKind::Slot | ObjectKind::Redaction => user.or(root),
            ObjectKind::Writer => user,
            ObjectKind::Journal if name.stem.folder() != format!("journal/{signer}") => None,
            _ => self.writers.get(&signer).map(|writer| writer.key),
        }
    }
}
