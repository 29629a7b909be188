//! The keys that a slot opened, ready for use.

use std::fmt;

use sb_crypto::{
    Digest, HashAlgorithm, Key, KeyedHash, PrivateKey, PublicKey, RecipientAlgorithm, Secret, SigningKey, VerifyingKey,
    derive,
};

use crate::access::granted;
use crate::error::{Flaw, RepoError};
use crate::ids::{BucketId, ChunkId, CompartmentId, DocumentId, UserId, VaultId};
use crate::name::ObjectKind;
use crate::view::View;
use crate::wire::config::Epoch;
use crate::wire::slot::{CompartmentSecrets, KeyBundle, SlotPayload};

/// All that one user's slot holds.
pub(crate) struct Keyring {
    pub(crate) vault: VaultId,
    pub(crate) root: VerifyingKey,
    pub(crate) user: UserId,
    pub(crate) signing: SigningKey,
    /// Of owners and administrators.
    pub(crate) root_signing: Option<SigningKey>,
    /// What the slot opened to.
    pub(crate) payload: SlotPayload,
    /// The keys that the user was granted.
    pub(crate) keys: KeyBundle,
    /// By which object.
    pub(crate) grant: Option<String>,
}

impl Keyring {
    pub(crate) fn open(payload: &Secret) -> Result<Self, crate::wire::cbor::Malformed> {
        Ok(Self::from_payload(SlotPayload::decode(payload)?))
    }

    pub(crate) fn from_payload(payload: SlotPayload) -> Self {
        let root = VerifyingKey::from_bytes(payload.root);
        let keys = payload.keys.clone();
        Self {
            vault: payload.vault,
            root,
            user: payload.user,
            signing: SigningKey::from_seed(payload.signing_seed.as_bytes()),
            root_signing: root_pair(&keys, root),
            payload,
            keys,
            grant: None,
        }
    }

    /// With what the vault has granted to the user, instead of what the slot itself holds.
    pub(crate) fn with_grants(mut self, view: &View) -> Result<Self, RepoError> {
        // Slots of vaults that were made before there were grants hold the keys themselves.
        if let Some(private) = &self.payload.private {
            (self.keys, self.grant) = granted(view, self.user, private)?;
            self.root_signing = root_pair(&self.keys, self.root);
        }
        Ok(self)
    }

    /// The keys of the vault's compartment, if the user has any.
    pub(crate) fn of(&self, view: &View) -> Result<Option<CompartmentKeys>, RepoError> {
        let Some(compartment) = view.config.compartments.first() else { return Ok(None) };
        let (hash, recipient) = (view.config.hash, view.config.recipient);
        let secrets = self.keys.compartments.iter().find(|secrets| secrets.id == compartment.id);
        let identity = self.payload.private.clone().map(|private| (self.user, private));
        secrets.map(|secrets| CompartmentKeys::new(secrets, hash, recipient, identity)).transpose()
    }
}

/// The root key, if that is what was granted.
fn root_pair(keys: &KeyBundle, root: VerifyingKey) -> Option<SigningKey> {
    let pair = keys.root_seed.as_ref().map(|seed| SigningKey::from_seed(seed.as_bytes()));
    pair.filter(|pair| pair.public() == root)
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("user", &self.user).finish_non_exhaustive()
    }
}

/// One compartment's keys.
pub(crate) struct CompartmentKeys {
    pub(crate) id: CompartmentId,
    pub(crate) hash: HashAlgorithm,
    pub(crate) seed: Key,
    pub(crate) index: Key,
    chunk_id: Key,
    documents: KeyedHash,
    pub(crate) pages: KeyedHash,
    meta: Vec<PrivateKey>,
    content: Vec<PrivateKey>,
    meta_bucket: BucketId,
    content_bucket: BucketId,
    /// Whose they are, and what opens what is granted to them; where they were granted.
    identity: Option<(UserId, PrivateKey)>,
}

impl CompartmentKeys {
    fn new(
        secrets: &CompartmentSecrets,
        hash: HashAlgorithm,
        recipient: RecipientAlgorithm,
        identity: Option<(UserId, PrivateKey)>,
    ) -> Result<Self, RepoError> {
        let open = |keys: &[(u64, Secret)]| -> Result<Vec<_>, RepoError> {
            keys.iter().map(|(_, key)| Ok(PrivateKey::from_secret_bytes(recipient, key.as_bytes())?)).collect()
        };
        let bucket = |description: &[u8]| {
            let key = derive(&secrets.index, "bucket", &[description]);
            BucketId::from_slice(&key.as_bytes()[..16]).expect("16 bytes")
        };
        Ok(Self {
            id: secrets.id,
            hash,
            seed: secrets.seed.clone(),
            index: secrets.index.clone(),
            chunk_id: secrets.chunk_id.clone(),
            documents: KeyedHash::new(HashAlgorithm::HmacSha256, &secrets.document_id),
            pages: KeyedHash::new(hash, &derive(&secrets.chunk_id, "page", &[])),
            meta: open(&secrets.meta)?,
            content: open(&secrets.content)?,
            meta_bucket: bucket(b"meta"),
            content_bucket: bucket(b"default"),
            identity,
        })
    }

    /// The keys of the same compartment as they are granted in this view; `None` if they are not, or never were.
    pub(crate) fn granted_in(&self, view: &View) -> Result<Option<Self>, RepoError> {
        let Some((user, private)) = &self.identity else { return Ok(None) };
        let (bundle, _) = granted(view, *user, private)?;
        let secrets = bundle.compartments.iter().find(|secrets| secrets.id == self.id);
        let open = |secrets| Self::new(secrets, self.hash, view.config.recipient, self.identity.clone());
        secrets.map(open).transpose()
    }

    /// True if something is to be read, and what is sealed to keys of this epoch can't be.
    pub(crate) fn lacks(&self, epoch: &Epoch) -> bool {
        let lacks = |keys: &[PrivateKey], public: &PublicKey| {
            !keys.is_empty() && !keys.iter().any(|key| key.public() == public)
        };
        lacks(&self.meta, &epoch.meta) || lacks(&self.content, &epoch.content)
    }

    /// The private key with this id, and of which kind of pack it reads the keys.
    pub(crate) fn private_of(&self, key_id: [u8; 16]) -> Option<(ObjectKind, &PrivateKey)> {
        let meta = self.meta.iter().map(|key| (ObjectKind::MetaPack, key));
        let mut all = meta.chain(self.content.iter().map(|key| (ObjectKind::ContentPack, key)));
        all.find(|(_, key)| key.public().key_id() == key_id)
    }

    /// The bucket in which chunks of this kind of pack lie.
    pub(crate) fn bucket(&self, kind: ObjectKind) -> BucketId {
        if kind == ObjectKind::MetaPack { self.meta_bucket } else { self.content_bucket }
    }

    /// How chunks of one bucket get their ids.
    pub(crate) fn chunk_ids(&self, kind: ObjectKind, bucket: BucketId) -> ChunkIds {
        let key = derive(&self.chunk_id, "chunk", &[&[kind as u8], bucket.as_bytes()]);
        ChunkIds(KeyedHash::new(self.hash, &key))
    }

    /// What stands in the headers of what is sealed under the index key.
    pub(crate) fn index_key_id(&self) -> [u8; 16] {
        let key = derive(&self.index, "key id", &[]);
        *key.as_bytes().first_chunk().expect("32 bytes")
    }

    /// The id of the document at this path.
    pub(crate) fn document(&self, path: &[u8]) -> DocumentId {
        DocumentId::of(self.documents.hash(path))
    }

    /// The private key with this id, for packs of this kind, to open the object `name` with. Who may read such objects and
    /// still has no key for this one has all keys but those that a damaged or forged header names.
    pub(crate) fn private(&self, kind: ObjectKind, key_id: [u8; 16], name: &str) -> Result<&PrivateKey, RepoError> {
        let (keys, what) = match kind {
            ObjectKind::ContentPack => (&self.content, "contents"),
            _ => (&self.meta, "names and snapshots"),
        };
        if keys.is_empty() {
            return Err(RepoError::NoReadingKey { what });
        }
        let key = keys.iter().find(|key| key.public().key_id() == key_id);
        key.ok_or_else(|| RepoError::Damaged { name: name.to_owned(), flaw: Flaw::UnknownKey })
    }

    /// Loses all that reads.
    #[cfg(feature = "testing")]
    pub(crate) fn lose_private(&mut self) {
        self.meta.clear();
        self.content.clear();
    }

    /// True if contents can be read.
    pub(crate) fn reads_content(&self) -> bool {
        !self.content.is_empty()
    }

    /// True if names and snapshots can be read.
    pub(crate) fn reads_meta(&self) -> bool {
        !self.meta.is_empty()
    }
}

impl fmt::Debug for CompartmentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompartmentKeys").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Computes chunk ids of one bucket.
#[derive(Clone, Debug)]
pub(crate) struct ChunkIds(KeyedHash);

impl ChunkIds {
    pub(crate) fn of(&self, chunk: &[u8]) -> ChunkId {
        ChunkId::of(self.0.hash(chunk))
    }
}

/// A digest as a snapshot's or pack's id.
pub(crate) fn id_of<T>(digest: Digest) -> crate::ids::Id<T, 32> {
    crate::ids::Id::new(*digest.as_bytes())
}
