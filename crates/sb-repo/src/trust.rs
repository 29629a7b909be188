//! Who may sign what (docs/format.md §2 and §4).

use std::collections::BTreeMap;

use sb_crypto::{Digest, VerifyingKey, sha256};

use crate::error::Flaw;
use crate::ids::{KeyId, RunId, UserId, VaultId};
use crate::name::{ObjectKind, ParsedName};
use crate::wire::certificate::{UserCertificate, WriterCertificate};
use crate::wire::frame::{Frame, Header, Trailer};
use crate::wire::journal::JournalEntry;

/// The key id of a verifying key.
pub(crate) fn key_id(key: &VerifyingKey) -> KeyId {
    KeyId::new(key.key_id())
}

/// True for the name of what the root key alone may remove: keys, who has them, the config, and what was asked for and decided.
pub(crate) fn is_roots_own(name: &str) -> bool {
    use ObjectKind::{Config, Grant, Request, Roll, Slot, User, Writer};
    let kind = ParsedName::parse(name).map(|parsed| parsed.kind);
    matches!(kind, Some(Config | User | Writer | Slot | Grant | Roll | Request))
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
        if certificate.user_key != frame.trailer.signer {
            return Err(Flaw::Foreign);
        }
        self.writers.insert(key_id(&certificate.key), certificate);
        Ok(())
    }

    /// A whole object whose name, vault, kind, signer and signature are all good.
    pub(crate) fn check<'a>(&self, name: &ParsedName, bytes: &'a [u8]) -> Result<Frame<'a>, Flaw> {
        let frame = self.check_unsigned(name, bytes)?;
        self.check_parts(name, &frame.header, &frame.trailer, &frame.signed)?;
        Ok(frame)
    }

    /// The same without the signature, for what a signed object names by its hash.
    pub(crate) fn check_unsigned<'a>(&self, name: &ParsedName, bytes: &'a [u8]) -> Result<Frame<'a>, Flaw> {
        if !name.fits(&sha256(bytes)) {
            return Err(Flaw::WrongHash);
        }
        let frame = Frame::parse(bytes)?;
        self.check_signer(name, &frame.header, &frame.trailer)?;
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
        let key = self.check_signer(name, header, trailer)?;
        if trailer.is_by(&key, signed, &name.stem) { Ok(trailer.run) } else { Err(Flaw::BadSignature) }
    }

    /// The key that signed an object of this vault, if it may sign what has such a name.
    fn check_signer(&self, name: &ParsedName, header: &Header, trailer: &Trailer) -> Result<VerifyingKey, Flaw> {
        if header.vault != self.vault || header.kind.folder() != name.kind.folder() {
            return Err(Flaw::Foreign);
        }
        self.signer(header.kind, name, trailer.signer).ok_or(Flaw::UnknownSigner)
    }

    /// True if a user or the root key answers for what this entry removes or redacts; the root key for the removal of keys,
    /// certificates and config.
    pub(crate) fn authorises(&self, entry: &JournalEntry, writer: KeyId) -> bool {
        let Some(by) = &entry.authority else { return !entry.needs_authority() };
        let is_root = by.signer == key_id(&self.root);
        let key = if is_root { Some(self.root) } else { self.users.get(&by.signer).map(|user| user.key) };
        let may = is_root || !entry.removed.iter().any(|(name, _)| is_roots_own(name));
        may && key.is_some_and(|key| key.verify(&entry.authority_message(self.vault, writer), &by.signature).is_ok())
    }

    /// True if this key may sign slots of that user: the user's own, and root's.
    pub(crate) fn gives_slots_to(&self, user: UserId, signer: KeyId) -> bool {
        signer == key_id(&self.root) || self.users.get(&signer).is_some_and(|known| known.user == user)
    }

    fn signer(&self, kind: ObjectKind, name: &ParsedName, signer: KeyId) -> Option<VerifyingKey> {
        let root = (signer == key_id(&self.root)).then_some(self.root);
        let user = self.users.get(&signer).map(|user| user.key);
        match kind {
            ObjectKind::Config | ObjectKind::User | ObjectKind::Grant | ObjectKind::Roll => root,
            ObjectKind::Slot | ObjectKind::Redaction | ObjectKind::Label | ObjectKind::Name => user.or(root),
            ObjectKind::Writer | ObjectKind::Request => user,
            kind if kind.is_numbered() && name.stem.writer() != Some(signer) => None,
            _ => self.writers.get(&signer).map(|writer| writer.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Stem;
    use crate::wire::frame::Author;
    use chrono::DateTime;
    use sb_crypto::SigningKey;

    fn signing(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    /// Root and two users.
    fn trust() -> Trust {
        let mut trust = Trust::new(VaultId::new([1; 16]), signing(1).public());
        for seed in [2, 3] {
            let certificate = UserCertificate {
                user: UserId::new([seed; 16]),
                key: signing(seed).public(),
                created: DateTime::UNIX_EPOCH,
            };
            let header = Header::clear(ObjectKind::User, trust.vault);
            let stem = Stem::immutable(ObjectKind::User);
            let (bytes, digest) = Author::outside(&signing(1)).frame(header, &certificate.encode(), &stem);
            trust.add_user(&ParsedName::parse(stem.name(&digest).as_str()).unwrap(), &bytes).unwrap();
        }
        trust
    }

    #[test]
    fn a_slot_is_given_by_its_user_or_by_root() {
        let gives = |seed: u8| trust().gives_slots_to(UserId::new([2; 16]), key_id(&signing(seed).public()));
        assert_eq!([1, 2, 3, 4].map(gives), [true, true, false, false]);
    }

    #[test]
    fn a_machine_is_vouched_for_by_the_user_that_its_certificate_names() {
        let added = |names: u8, signs: u8| {
            let mut trust = trust();
            let certificate = WriterCertificate {
                key: signing(9).public(),
                user_key: key_id(&signing(names).public()),
                created: DateTime::UNIX_EPOCH,
            };
            let stem = Stem::immutable(ObjectKind::Writer);
            let header = Header::clear(ObjectKind::Writer, trust.vault);
            let (bytes, digest) = Author::outside(&signing(signs)).frame(header, &certificate.encode(), &stem);
            trust.add_writer(&ParsedName::parse(stem.name(&digest).as_str()).unwrap(), &bytes)
        };
        assert_eq!(added(2, 2), Ok(()));
        assert_eq!(added(2, 3), Err(Flaw::Foreign));
        assert_eq!(added(4, 4), Err(Flaw::UnknownSigner));
    }
}
