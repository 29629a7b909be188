//! The names of a vault's objects (docs/format.md §3).

use sb_crypto::Digest;
use sb_store::ObjectName;

use crate::ids::{BucketId, Id, KeyId, PackId, SnapshotId};

/// What an object is; the number stands in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ObjectKind {
    /// Format version, algorithms, public keys.
    Config = 1,
    /// Certificate of a user's signing key.
    User = 2,
    /// Certificate of a machine's log key.
    Writer = 3,
    /// The keys one user's roles need.
    Slot = 4,
    /// Pack keys, sealed to a compartment.
    SessionTable = 5,
    /// Segments of content.
    ContentPack = 6,
    /// Segments of trees and other metadata.
    MetaPack = 7,
    /// Chunk → place.
    Locator = 8,
    /// One point in time of one compartment.
    Snapshot = 9,
    /// Old tree node → redacted node.
    Redaction = 10,
    /// What a run changed.
    Journal = 11,
    /// Who is writing.
    Lease = 12,
    /// A collection has begun.
    Fence = 13,
    /// What is about to go.
    Condemned = 14,
    /// Space kept for disposal on a full disk.
    Reserve = 15,
    /// Tags given to a snapshot after it was made.
    Label = 16,
    /// Entries of a machine's audit log.
    Log = 17,
    /// What is certified of a run.
    Certificate = 18,
    /// A signature of a certificate.
    Signature = 19,
    /// How far a log had got, with cosignatures of witnesses.
    Checkpoint = 20,
    /// A time stamp by an authority.
    Stamp = 21,
    /// What an opaque id stands for.
    Name = 22,
    /// The keys that a user's roles need, sealed to the user.
    Grant = 23,
    /// Who has which roles.
    Roll = 24,
    /// What is asked for, who agrees, and what was carried out.
    Request = 25,
}

impl ObjectKind {
    /// Every kind, ascending by number.
    pub const ALL: [Self; 25] = [
        Self::Config,
        Self::User,
        Self::Writer,
        Self::Slot,
        Self::SessionTable,
        Self::ContentPack,
        Self::MetaPack,
        Self::Locator,
        Self::Snapshot,
        Self::Redaction,
        Self::Journal,
        Self::Lease,
        Self::Fence,
        Self::Condemned,
        Self::Reserve,
        Self::Label,
        Self::Log,
        Self::Certificate,
        Self::Signature,
        Self::Checkpoint,
        Self::Stamp,
        Self::Name,
        Self::Grant,
        Self::Roll,
        Self::Request,
    ];

    /// The kind with this number.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The folder of this kind.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::User => "users",
            Self::Writer => "writers",
            Self::Slot => "keys",
            Self::SessionTable => "sessions",
            Self::ContentPack | Self::MetaPack => "packs",
            Self::Locator => "locator",
            Self::Snapshot => "snapshots",
            Self::Redaction => "redactions",
            Self::Journal => "journal",
            Self::Lease => "leases",
            Self::Fence => "fences",
            Self::Condemned => "condemned",
            Self::Reserve => "reserve",
            Self::Label => "labels",
            Self::Log => "log",
            Self::Certificate => "certificates",
            Self::Signature => "signatures",
            Self::Checkpoint => "checkpoints",
            Self::Stamp => "stamps",
            Self::Name => "names",
            Self::Grant => "grants",
            Self::Roll => "roles",
            Self::Request => "requests",
        }
    }

    /// True for the kinds that are small and fatal to lose, and so stored twice.
    pub fn has_twin(self) -> bool {
        matches!(
            self,
            Self::Config
                | Self::User
                | Self::Writer
                | Self::Slot
                | Self::SessionTable
                | Self::Label
                | Self::Name
                | Self::Grant
                | Self::Roll
                | Self::Request
        )
    }

    /// True for the kinds that come and go and stand in no journal.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Lease | Self::Fence | Self::Condemned)
    }

    /// True for the kinds that journals list, so that it is known which must be there. Journals and logs are chains of their own.
    pub fn is_journaled(self) -> bool {
        !self.is_transient() && !matches!(self, Self::Journal | Self::Log)
    }

    /// True for the kinds that say nothing before a journal has them: what a run wrote of these before it was cut short is not taken
    /// over by anybody.
    pub(crate) fn counts_only_if_entered(self) -> bool {
        matches!(
            self,
            Self::Label
                | Self::Certificate
                | Self::Signature
                | Self::Checkpoint
                | Self::Stamp
                | Self::Name
                | Self::Grant
                | Self::Roll
                | Self::Request
        )
    }

    /// True for the kinds whose objects each writer numbers, in a folder of its own.
    pub(crate) fn is_numbered(self) -> bool {
        matches!(self, Self::Journal | Self::Log)
    }
}

/// The name of a twin is this and the name of the object.
pub(crate) const TWIN: &str = "twin/";

/// An object's name without its hash: what its signature covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Stem {
    folder: String,
    /// `I` and generation, or the number that its writer gave it.
    item: Option<(String, u64)>,
    is_numbered: bool,
}

impl Stem {
    /// Of an object that is named by its whole hash.
    pub(crate) fn immutable(kind: ObjectKind) -> Self {
        Self { folder: kind.folder().to_owned(), item: None, is_numbered: false }
    }

    /// Of the vault's config.
    pub(crate) fn config(generation: u64) -> Self {
        Self::item(ObjectKind::Config.folder().to_owned(), "vault".to_owned(), generation)
    }

    /// Of the vault's roll.
    pub(crate) fn roll(generation: u64) -> Self {
        Self::item(ObjectKind::Roll.folder().to_owned(), "vault".to_owned(), generation)
    }

    /// Of a mutable object with an id.
    pub(crate) fn mutable<T>(kind: ObjectKind, id: Id<T, 8>, generation: u64) -> Self {
        Self::item(kind.folder().to_owned(), id.to_string(), generation)
    }

    /// Of a session table.
    pub(crate) fn table(bucket: BucketId, id: crate::ids::TableId, generation: u64) -> Self {
        Self::item(format!("sessions/{bucket}"), id.to_string(), generation)
    }

    /// Of a journal entry.
    pub(crate) fn journal(writer: KeyId, sequence: u64) -> Self {
        Self::numbered(ObjectKind::Journal, writer, sequence)
    }

    /// Of a log batch that begins with this entry.
    pub(crate) fn log(writer: KeyId, first: u64) -> Self {
        Self::numbered(ObjectKind::Log, writer, first)
    }

    fn numbered(kind: ObjectKind, writer: KeyId, number: u64) -> Self {
        Self { folder: format!("{}/{writer}", kind.folder()), item: Some((String::new(), number)), is_numbered: true }
    }

    fn item(folder: String, id: String, generation: u64) -> Self {
        Self { folder, item: Some((id, generation)), is_numbered: false }
    }

    /// The text that the signature covers.
    pub(crate) fn signed_text(&self) -> String {
        match &self.item {
            None => format!("{}/", self.folder),
            Some((_, sequence)) if self.is_numbered => format!("{}/{sequence:010}.", self.folder),
            Some((id, generation)) => format!("{}/{id}.{generation}.", self.folder),
        }
    }

    /// The folder and id that all generations of a mutable object share.
    pub(crate) fn family(&self) -> String {
        self.item.as_ref().map_or_else(|| self.folder.clone(), |(id, _)| format!("{}/{id}", self.folder))
    }

    /// A mutable object's id (`I`); empty for others.
    pub(crate) fn id(&self) -> &str {
        self.item.as_ref().map_or("", |(id, _)| id)
    }

    /// A mutable object's generation, or the number of a journal entry or log batch; 0 for others.
    pub(crate) fn generation(&self) -> u64 {
        self.item.as_ref().map_or(0, |(_, generation)| *generation)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    /// Whose journal or log it is of.
    pub(crate) fn writer(&self) -> Option<KeyId> {
        self.folder.split_once('/').filter(|_| self.is_numbered).and_then(|(_, writer)| KeyId::from_hex(writer))
    }

    /// The whole name of the object with these bytes' hash.
    pub(crate) fn name(&self, digest: &Digest) -> ObjectName {
        let hash = digest.to_string();
        let text = match &self.item {
            None if self.folder == "packs" => format!("packs/{}/{hash}", &hash[..2]),
            Some(_) if !self.is_numbered => format!("{}{}", self.signed_text(), &hash[..16]),
            _ => format!("{}{hash}", self.signed_text()),
        };
        ObjectName::new(text).expect("made of hexadecimal digits, letters, dots and slashes")
    }
}

/// A name taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParsedName {
    /// Which folder it is in; `ContentPack` stands for both kinds of pack.
    pub(crate) kind: ObjectKind,
    /// The name without its hash.
    pub(crate) stem: Stem,
    /// The hash in the name, 16 or 64 hexadecimal digits.
    pub(crate) hash: String,
    /// True if it is the second copy.
    pub(crate) twin: bool,
}

impl ParsedName {
    /// Takes a name apart; `None` if it is none that a vault's object can have.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (twin, rest) = match name.strip_prefix(TWIN) {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let (folder, _) = rest.split_once('/')?;
        let kind = ObjectKind::ALL.into_iter().find(|kind| kind.folder() == folder)?;
        if twin && !kind.has_twin() {
            return None;
        }
        let (directory, file) = rest.rsplit_once('/')?;
        let (stem, hash) = match kind {
            ObjectKind::ContentPack | ObjectKind::MetaPack => {
                let fan_out = directory.strip_prefix("packs/")?;
                (file.get(..2)? == fan_out).then_some((Stem::immutable(kind), file))?
            }
            ObjectKind::User
            | ObjectKind::Writer
            | ObjectKind::Locator
            | ObjectKind::Snapshot
            | ObjectKind::Redaction
            | ObjectKind::Reserve
            | ObjectKind::Certificate
            | ObjectKind::Signature
            | ObjectKind::Checkpoint
            | ObjectKind::Stamp => (directory == folder).then_some((Stem::immutable(kind), file))?,
            ObjectKind::Journal | ObjectKind::Log => {
                let writer = KeyId::from_hex(directory.strip_prefix(folder)?.strip_prefix('/')?)?;
                let (digits, hash) = file.split_once('.')?;
                let number: u64 = digits.parse().ok()?;
                (digits.len() == 10 && digits == format!("{number:010}"))
                    .then_some((Stem::numbered(kind, writer, number), hash))?
            }
            ObjectKind::Config | ObjectKind::Roll => {
                let (stem, hash) = mutable(directory, file)?;
                (directory == folder && stem.id() == "vault").then_some((stem, hash))?
            }
            ObjectKind::SessionTable => {
                BucketId::from_hex(directory.strip_prefix("sessions/")?)?;
                let (stem, hash) = mutable(directory, file)?;
                Id::<(), 8>::from_hex(stem.id()).map(|_| (stem, hash))?
            }
            ObjectKind::Slot
            | ObjectKind::Lease
            | ObjectKind::Fence
            | ObjectKind::Condemned
            | ObjectKind::Label
            | ObjectKind::Name
            | ObjectKind::Grant
            | ObjectKind::Request => {
                let (stem, hash) = mutable(directory, file)?;
                (directory == folder).then_some(())?;
                Id::<(), 8>::from_hex(stem.id()).map(|_| (stem, hash))?
            }
        };
        let digits = if stem.item.is_some() && !stem.is_numbered { 16 } else { 64 };
        let is_hash = hash.len() == digits && hash.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        is_hash.then(|| Self { kind, stem, hash: hash.to_owned(), twin })
    }

    /// True if an object with this digest may have this name.
    pub(crate) fn fits(&self, digest: &Digest) -> bool {
        digest.to_string().starts_with(&self.hash)
    }
}

fn mutable<'a>(directory: &str, file: &'a str) -> Option<(Stem, &'a str)> {
    let (id, rest) = file.split_once('.')?;
    let (generation, hash) = rest.split_once('.')?;
    let number: u64 = generation.parse().ok()?;
    (number.to_string() == generation).then(|| (Stem::item(directory.to_owned(), id.to_owned(), number), hash))
}

/// The name of the second copy of `name`.
pub(crate) fn twin_of(name: &ObjectName) -> ObjectName {
    ObjectName::new(format!("{TWIN}{name}")).expect("a valid name with a valid folder before it")
}

/// The name of this pack.
pub(crate) fn pack(id: &PackId) -> ObjectName {
    Stem::immutable(ObjectKind::ContentPack).name(&Digest::from_bytes(*id.as_bytes()))
}

/// The name of this snapshot.
pub(crate) fn snapshot(id: &SnapshotId) -> ObjectName {
    Stem::immutable(ObjectKind::Snapshot).name(&Digest::from_bytes(*id.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TableId;
    use sb_crypto::sha256;

    #[test]
    fn every_kind_of_name_reads_back() {
        let digest = sha256(b"an object");
        let id = TableId::new([7; 8]);
        let mut stems: Vec<(ObjectKind, Stem)> = vec![
            (ObjectKind::Config, Stem::config(3)),
            (ObjectKind::SessionTable, Stem::table(BucketId::new([9; 16]), id, 12)),
            (ObjectKind::Journal, Stem::journal(KeyId::new([1; 16]), 42)),
            (ObjectKind::Log, Stem::log(KeyId::new([2; 16]), 9_999_999_999)),
        ];
        let with_ids = ObjectKind::ALL.into_iter().filter(|kind| {
            use ObjectKind::{Condemned, Fence, Label, Lease, Name, Request, Slot};
            matches!(kind, Slot | Lease | Fence | Condemned | Label | Name | Request)
        });
        for kind in with_ids {
            stems.push((kind, Stem::mutable(kind, id, 1)));
        }
        for kind in [
            ObjectKind::User,
            ObjectKind::Writer,
            ObjectKind::ContentPack,
            ObjectKind::Locator,
            ObjectKind::Snapshot,
            ObjectKind::Redaction,
            ObjectKind::Reserve,
            ObjectKind::Certificate,
            ObjectKind::Signature,
            ObjectKind::Checkpoint,
            ObjectKind::Stamp,
        ] {
            stems.push((kind, Stem::immutable(kind)));
        }
        for (kind, stem) in stems {
            let name = stem.name(&digest);
            let parsed = ParsedName::parse(name.as_str()).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((parsed.kind, &parsed.stem, parsed.twin), (kind, &stem, false), "{name}");
            assert!(parsed.fits(&digest) && !parsed.fits(&sha256(b"another")));
            assert!(name.as_str().starts_with(&stem.signed_text()));
            assert_eq!(ParsedName::parse(twin_of(&name).as_str()).is_some(), kind.has_twin());
        }
    }

    #[test]
    fn other_names_are_refused() {
        let hash = sha256(b"").to_string();
        let short = &hash[..16];
        for name in [
            "".to_owned(),
            "readme.txt".to_owned(),
            format!("packs/00/{hash}"),
            format!("packs/{hash}"),
            format!("snapshots/{short}"),
            format!("snapshots/x/{hash}"),
            format!("snapshots/{}", hash.to_uppercase()),
            format!("twin/snapshots/{hash}"),
            format!("config/vault.01.{short}"),
            format!("config/vault.-1.{short}"),
            format!("config/other.1.{short}"),
            format!("keys/0.0.{short}"),
            format!("keys/x/0707070707070707.0.{short}"),
            format!("sessions/00/0707070707070707.0.{short}"),
            format!("journal/{}/1.{hash}", "0".repeat(32)),
            format!("journal/{}/0000000001.{short}", "0".repeat(32)),
            format!("log/{}/1.{hash}", "0".repeat(32)),
            format!("log/{}/00000000001.{hash}", "0".repeat(32)),
            format!("log/{}/0000000001.{short}", "0".repeat(32)),
            format!("log/0000000001.{hash}"),
            format!("twin/log/{}/0000000001.{hash}", "0".repeat(32)),
            format!("other/{hash}"),
        ] {
            assert_eq!(ParsedName::parse(&name), None, "{name}");
        }
    }
}
