//! Every structure reads back as it was written; what is cut, or of the wrong type anywhere, is refused or read, never a panic.

use chrono::{DateTime, Utc};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use sb_crypto::{
    Digest, HashAlgorithm, Kdf, Key, PrivateKey, RecipientAlgorithm, SealedSlot, Secret, SeededRandom, SigningKey,
    SlotMethod, sha256,
};
use sb_source::Timestamp;

use super::cbor::{Fields, Malformed, Value};
use super::certificate::{UserCertificate, WriterCertificate};
use super::config::{CompartmentPublic, Config, Epoch, Tier};
use super::container::SEGMENTS_START;
use super::entry::{Entry, FileItem, Inline, Item};
use super::journal::{Added, Authority, JournalEntry, Loss, Lost};
use super::label::Label;
use super::lease::{Condemned, Fence, Lease};
use super::locator::{Block, LocatorEntry, LocatorFooter, PackPlaces, prefix};
use super::named::Named;
use super::node::{Child, Node, Part, Reference};
use super::pack::{Codec, PackFooter, SEGMENT_MAX, SEGMENTS_MAX, SegmentContent, SegmentPlace};
use super::proof::{SignatureBody, StampBody};
use super::redaction::Redaction;
use super::request::{Says, Statement, decode_reason, encode_reason};
use super::session::{KEYS_MAX, SessionTable};
use super::slot::{CompartmentSecrets, KeyBundle, Slot, SlotPayload};
use super::snapshot::{Counts, SnapshotBody, SnapshotType};
use crate::access::{KeySet, Member, Roll};
use crate::ids::{Id, KeyId};
use crate::name::ObjectKind;

fn id<T, const N: usize>() -> impl Strategy<Value = Id<T, N>> {
    any::<u64>().prop_map(|seed| {
        let mut bytes = [0; N];
        sb_crypto::Random::fill(&SeededRandom::new(seed), &mut bytes);
        Id::new(bytes)
    })
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn time() -> impl Strategy<Value = DateTime<Utc>> {
    let range = (-60_000_000_000i64..250_000_000_000, 0u32..1_000_000_000);
    range.prop_map(|(seconds, nanoseconds)| DateTime::from_timestamp(seconds, nanoseconds).unwrap())
}

fn reference() -> impl Strategy<Value = Reference> {
    (id(), any::<u32>()).prop_map(|(id, length)| Reference { id, length })
}

fn inline<T: std::fmt::Debug + Clone + 'static>(
    item: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Inline<T>> {
    prop_oneof![vec(item, 0..4).prop_map(Inline::Here), reference().prop_map(Inline::At)]
}

fn file() -> impl Strategy<Value = FileItem> {
    let parts = vec((reference(), 0u64..1 << 40), 0..5);
    // Each begins a little behind the end of the one before.
    let holes = inline((0u64..1 << 40, 0u64..1 << 40)).prop_map(|holes| match holes {
        Inline::Here(mut list) => {
            list.iter_mut().fold(0, |end, (offset, length)| {
                *offset += end;
                *offset + *length
            });
            Inline::Here(list)
        }
        at => at,
    });
    let rest = (id(), any::<[u8; 16]>(), holes, any::<bool>(), 0u64..9);
    (parts, digest(), 0u64..9, any::<u64>(), rest).prop_map(|(parts, sha256, depth, chunker, rest)| {
        let (document, salt, holes, inconsistent, transform) = rest;
        let content = |reference: &Reference, length| if depth == 0 { reference.length.into() } else { length };
        let parts: Vec<Part> =
            parts.iter().map(|(r, length)| Part { reference: *r, content: content(r, *length) }).collect();
        let size = parts.iter().map(|part| part.content).sum();
        FileItem { size, sha256, parts, depth, chunker, transform, document, salt, holes, inconsistent }
    })
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        4 => file().prop_map(|file| Item::File(Box::new(file))),
        2 => (reference(), any::<bool>()).prop_map(|(node, ancestor)| Item::Folder { node, ancestor }),
        1 => any::<Vec<u8>>().prop_map(|target| Item::Symlink { target }),
        1 => Just(Item::Fifo),
        1 => Just(Item::Socket),
        1 => any::<(u32, u32)>().prop_map(|(major, minor)| Item::CharDevice { major, minor }),
        1 => any::<(u32, u32)>().prop_map(|(major, minor)| Item::BlockDevice { major, minor }),
        1 => vec(digest(), 0..4).prop_map(|leaves| Item::Redacted { leaves }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let name = vec(any::<u8>().prop_filter("no file can have it", |byte| !matches!(byte, 0 | b'/')), 3..20);
    let owner = (any::<u32>(), any::<u32>(), option::of(any::<Vec<u8>>()), option::of(any::<Vec<u8>>()));
    let mtime = (any::<i64>(), 0u32..1_000_000_000);
    // Fields of a later version: numbers that this one does not use.
    let extra = btree_map(28u64..1000, any::<u64>(), 0..3);
    (name, item(), any::<u32>(), owner, mtime, inline(any::<(Vec<u8>, Vec<u8>)>()), option::of(id()), extra).prop_map(
        |(name, item, mode, (uid, gid, user, group), (seconds, nanoseconds), xattrs, link_group, extra)| Entry {
            name: if matches!(item, Item::Redacted { .. }) { Vec::new() } else { name },
            item,
            mode,
            uid,
            gid,
            user,
            group,
            mtime: Timestamp { seconds, nanoseconds },
            xattrs,
            link_group,
            extra: extra.into_iter().fold(Fields::new(), |fields, (key, value)| fields.with(key, value)),
        },
    )
}

fn segment_lengths() -> impl Strategy<Value = Vec<(u32, Codec, Vec<u32>)>> {
    let codec = prop_oneof![Just(Codec::Raw), Just(Codec::Zstd)];
    vec((0u32..1 << 22, codec, vec(0u32..1 << 18, 0..6)), 0..5)
}

fn pack_footer() -> impl Strategy<Value = PackFooter> {
    let kind = prop_oneof![Just(ObjectKind::ContentPack), Just(ObjectKind::MetaPack)];
    (id(), id(), kind, segment_lengths(), any::<u8>()).prop_map(|(compartment, bucket, kind, segments, seed)| {
        let mut offset = SEGMENTS_START;
        let segments = segments.into_iter().map(|(stored, codec, lengths)| {
            let place = SegmentPlace { offset, stored, raw: lengths.iter().sum(), codec };
            offset += u64::from(stored);
            let chunks = lengths.into_iter().map(|length| (Id::new([seed; 32]), length)).collect();
            SegmentContent { place, chunks }
        });
        PackFooter { compartment, bucket, kind, segments: segments.collect() }
    })
}

fn pack_places() -> impl Strategy<Value = PackPlaces> {
    (pack_footer(), id(), any::<u64>(), any::<[u8; 16]>()).prop_map(|(footer, id, size, key)| {
        let segments = footer.segments.iter().map(|segment| segment.place).collect();
        PackPlaces { id, size, key, kind: footer.kind, bucket: footer.bucket, segments }
    })
}

fn snapshot() -> impl Strategy<Value = SnapshotBody> {
    let kind = prop_oneof![Just(SnapshotType::Full), Just(SnapshotType::Incremental), Just(SnapshotType::Differential)];
    let who = (any::<Vec<u8>>(), id(), vec(any::<Vec<u8>>(), 0..4), vec(".*", 0..3), ".*");
    let what = (digest(), any::<[u64; 9]>(), option::of(reference()));
    (id(), reference(), option::of(id()), kind, who, (time(), time()), what).prop_map(
        |(compartment, root, base, kind, (host, user, sources, tags, version), (started, finished), what)| {
            let (document_root, numbers, problems) = what;
            let [files, folders, others, bytes, new_chunks, new_bytes, stored_bytes, documents, problem_count] =
                numbers;
            let counts = Counts { files, folders, others, bytes, new_chunks, new_bytes, stored_bytes };
            SnapshotBody {
                compartment,
                root,
                base,
                kind,
                host,
                user,
                sources,
                started,
                finished,
                counts,
                document_root,
                documents,
                problem_count,
                problems,
                tags,
                version,
            }
        },
    )
}

fn journal() -> impl Strategy<Value = JournalEntry> {
    let added = (".*", any::<u64>(), option::of(digest()));
    let added = added.prop_map(|(name, size, digest)| Added { name, size, digest });
    let lists = (vec(added, 0..5), vec((".*", any::<u64>()), 0..5));
    let log = option::of((any::<u64>(), digest()));
    let log = log.prop_map(|head| head.map(|(size, root)| sb_audit::TreeHead { size, root }));
    let losses = vec((id(), any::<bool>(), any::<u64>(), digest()), 0..3).prop_map(|losses| {
        let loss = |(writer, is_log, number, digest)| {
            let what = if is_log { Lost::Log(number, digest) } else { Lost::Entry(number, digest) };
            Loss { writer, what }
        };
        losses.into_iter().map(loss).collect::<Vec<_>>()
    });
    let authority = option::of((any::<[u8; 16]>(), any::<[u8; 32]>()));
    let authority = authority.prop_map(|by| {
        by.map(|(signer, half)| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&half);
            Authority { signer: KeyId::new(signer), signature }
        })
    });
    (any::<u64>(), option::of(digest()), time(), ".*", any::<u64>(), lists, (authority, log, losses)).prop_map(
        |(sequence, previous, time, operation, generation, (added, removed), (authority, log, accepted))| {
            JournalEntry { sequence, previous, time, operation, generation, added, removed, authority, log, accepted }
        },
    )
}

/// That a structure reads back, and that no cut and no changed byte of it makes its parser panic.
fn check<T: PartialEq + std::fmt::Debug>(
    value: &T,
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, Malformed>,
) -> Result<(), TestCaseError> {
    let read = decode(bytes);
    prop_assert_eq!(read.as_ref(), Ok(value));
    let step = (bytes.len() / 20).max(1);
    for at in (0..bytes.len()).step_by(step) {
        // Zeros at the end of padded structures may be missing.
        prop_assert!(decode(&bytes[..at]).is_err() || bytes[at..].iter().all(|byte| *byte == 0));
        let mut damaged = bytes.to_vec();
        damaged[at] = damaged[at].wrapping_add(0x41);
        let _ = decode(&damaged);
    }
    Ok(())
}

fn leaf(entry: &Entry) -> Vec<u8> {
    Node::encode_leaf(vec![entry.encode()])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn entries_and_nodes(entry in entry(), children in vec((any::<Vec<u8>>(), reference(), any::<u64>()), 0..5)) {
        check(&Node::Leaf(vec![entry.clone()]), &leaf(&entry), Node::decode)?;
        let children: Vec<_> =
            children.into_iter().map(|(last, node, entries)| Child { last, node, entries }).collect();
        check(&Node::Inner(children.clone()), &Node::encode_inner(&children), Node::decode)?;
    }

    #[test]
    fn fields_of_a_later_version_are_kept(entry in entry(), value in any::<Vec<u8>>()) {
        let Value::Map(fields) = entry.encode() else { panic!("an entry is a map") };
        let later = Value::Map(fields.with(4711, value.as_slice())).encode();
        let read = Entry::decode(Fields::decode(&later).unwrap()).unwrap();
        prop_assert_eq!(read.encode().encode(), later);
    }

    #[test]
    fn pack_footers(footer in pack_footer()) {
        check(&footer, &footer.encode(), PackFooter::decode)?;
    }

    #[test]
    fn locator_footers(
        compartment in id(),
        packs in vec(pack_places(), 0..3),
        blocks in vec((any::<[u8; 16]>(), any::<u64>(), any::<u32>(), any::<u32>()), 0..4),
    ) {
        let blocks =
            blocks.into_iter().map(|(first, offset, stored, entries)| Block { first, offset, stored, entries });
        let footer = LocatorFooter { compartment, packs, blocks: blocks.collect() };
        check(&footer, &footer.encode(), LocatorFooter::decode)?;
    }

    #[test]
    fn locator_entries(chunk in id(), pack in any::<u32>(), segment in 0u32..1024, offset in 0u32..1 << 22) {
        let entry = LocatorEntry::new(&chunk, pack, segment, offset);
        prop_assert_eq!((entry.prefix(), entry.pack()), (prefix(&chunk), pack));
        prop_assert_eq!((entry.segment(), entry.offset()), (segment, offset));
        let moved = entry.with_pack(7);
        prop_assert_eq!((moved.prefix(), moved.pack(), moved.offset()), (prefix(&chunk), 7, offset));
    }

    #[test]
    fn snapshots(body in snapshot()) {
        let bytes = body.encode();
        prop_assert_eq!(super::padme(bytes.len() as u64), bytes.len() as u64, "it is padded");
        check(&body, &bytes, SnapshotBody::decode)?;
    }

    #[test]
    fn journal_entries(entry in journal()) {
        check(&entry, &entry.encode(), JournalEntry::decode)?;
    }

    #[test]
    fn leases_fences_and_condemned_lists(
        (run, generation, started, expires) in (id(), any::<u64>(), time(), time()),
        (bases, vault_generation, id, names) in (vec(id(), 0..4), any::<u64>(), id(), vec(".*", 0..5)),
    ) {
        let lease = Lease { run, generation, started, expires, bases, vault_generation, epoch: generation };
        check(&lease, &lease.encode(), Lease::decode)?;
        let fence = Fence { id, vault_generation, time: started };
        check(&fence, &fence.encode(), Fence::decode)?;
        let condemned = Condemned { id, vault_generation, time: started, names };
        check(&condemned, &condemned.encode(), Condemned::decode)?;
    }

    #[test]
    fn certificates_redactions_and_labels(
        (seed, user, key, time) in (any::<[u8; 32]>(), id(), any::<[u8; 16]>(), time()),
        (nodes, snapshot, tags) in (vec((id(), reference()), 0..5), id(), vec(".*", 0..4)),
    ) {
        let signing = SigningKey::from_seed(&seed).public();
        let certificate = UserCertificate { user, key: signing, created: time };
        check(&certificate, &certificate.encode(), UserCertificate::decode)?;
        let certificate = WriterCertificate { key: signing, user_key: KeyId::new(key), created: time };
        check(&certificate, &certificate.encode(), WriterCertificate::decode)?;
        let label = Label { snapshot, tags, time };
        check(&label, &label.encode(), Label::decode)?;
        let [id, name] = [0, 1].map(|n| label.tags.get(n).cloned().unwrap_or_default());
        let named = Named { id, name, time };
        check(&named, &named.encode(), Named::decode)?;
        let (statement, signature) = (sha256(&seed), [7; 64]);
        let body = SignatureBody { statement, key: signing, signature };
        check(&body, &body.encode(), SignatureBody::decode)?;
        let stamp = StampBody { stamped: statement, response: seed.to_vec() };
        check(&stamp, &stamp.encode(), StampBody::decode)?;
        let redaction = Redaction { nodes, time };
        check(&redaction, &redaction.encode(), Redaction::decode)?;
    }

    #[test]
    fn requests(
        (says, time, of, kind) in (0..4, time(), digest(), ".*"),
        (targets, text, reason) in (vec(".*", 0..3), option::of(".*"), option::of(vec(any::<u8>(), 0..40))),
    ) {
        let says = match says {
            0 => Says::Proposed { kind: kind.clone(), targets, text, reason },
            1 => Says::Approved(of),
            2 => Says::Rejected(of),
            _ => Says::CarriedOut(of, crate::ids::UserId::new([9; 16])),
        };
        let statement = Statement { time, says };
        check(&statement, &statement.encode(), Statement::decode)?;
        prop_assert_eq!(decode_reason(&encode_reason(&kind)), Ok(kind));
    }

    #[test]
    fn configs(
        (generation, previous, created) in (any::<u64>(), option::of(digest()), time()),
        features in vec(vec("[a-z-]*", 0..3), 3),
        (tiers, compartment, epochs) in (vec(any::<(u64, u64)>(), 0..4), id(), vec(any::<u64>(), 1..3)),
        (closed, began, extra) in (vec(any::<u64>(), 0..3), option::of(time()), btree_map(13u64..1000, any::<u64>(), 0..3)),
    ) {
        let public = |seed| {
            let key = PrivateKey::generate(RecipientAlgorithm::HpkeX25519, &SeededRandom::new(seed)).unwrap();
            key.public().clone()
        };
        let epoch = |number| Epoch { number, meta: public(number), content: public(!number) };
        let config = Config {
            generation,
            previous,
            created,
            incompatible: features[0].clone(),
            writer_only: features[1].clone(),
            compatible: features[2].clone(),
            root: SigningKey::from_seed(&[7; 32]).public(),
            hash: HashAlgorithm::HmacSha256,
            recipient: RecipientAlgorithm::HpkeX25519,
            tiers: tiers.into_iter().map(|(size_limit, chunker)| Tier { size_limit, chunker }).collect(),
            compartments: vec![CompartmentPublic {
                id: compartment,
                epochs: epochs.into_iter().map(epoch).collect(),
                closed: closed.into_iter().map(|number| (number, public(number))).collect(),
            }],
            began,
            extra: extra.into_iter().fold(Fields::new(), |fields, (key, value)| fields.with(key, value)),
        };
        check(&config, &config.encode(), Config::decode)?;
    }

    #[test]
    fn session_tables(table in id(), generation in any::<u64>(), bucket in id(), keys in vec(option::of(any::<[u8; 32]>()), 0..=64)) {
        let keys: Vec<_> = keys.into_iter().map(|key| key.map(Key::from_bytes)).collect();
        let written = SessionTable { id: table, generation, bucket, keys: keys.clone() }.encode();
        let read = SessionTable::decode(&written).unwrap();
        prop_assert_eq!((read.id, read.generation, read.bucket, read.keys), (table, generation, bucket, keys));
    }

    #[test]
    fn rolls(
        (generation, previous, time, by) in (any::<u64>(), option::of(any::<[u8; 32]>()), time(), id()),
        members in vec((id(), vec(".*", 0..3), 0u64..16, any::<bool>(), vec(".*", 0..3), vec(".*", 0..3), option::of(time())), 0..4),
        (roles, policies) in (btree_map(".*", vec(".*", 0..3), 0..3), option::of(".*")),
    ) {
        let recipient = PrivateKey::generate(RecipientAlgorithm::HpkeX25519, &SeededRandom::new(1)).unwrap().public().clone();
        let members = members.into_iter().map(|(user, roles, bits, active, clients, walled_off, access_until)| {
            let keys = KeySet::from_bits(bits).unwrap_or(KeySet::ALL);
            let known = access_until.is_some();
            let (login, key) = (known.then(|| vec![1, 2, 3]), known.then(|| KeyId::new([9; 16])));
            let (recipient, grant) = (known.then(|| recipient.clone()), known.then(|| "grants/a".to_owned()));
            Member { user, roles, keys, active, clients, walled_off, access_until, login, key, recipient, grant }
        });
        let members = members.collect();
        let previous = previous.map(Digest::from_bytes);
        let mut roll = Roll { generation, previous, time, by, members, roles, policies };
        roll.members.dedup_by_key(|member| member.user);
        check(&roll, &roll.encode(), Roll::decode)?;
        if let Some(twice) = roll.members.first().cloned() {
            roll.members.push(twice);
            prop_assert!(Roll::decode(&roll.encode()).is_err());
        }
    }

    #[test]
    fn slots(
        (slot, user, salt, payload) in (id(), id(), any::<[u8; 32]>(), any::<Vec<u8>>()),
        (a, b, c, key_id) in (any::<u32>(), any::<u32>(), any::<u32>(), any::<[u8; 16]>()),
        which in 0usize..6,
    ) {
        let argon2id = Kdf::Argon2id { memory_kib: a, passes: b, lanes: c };
        let method = [
            SlotMethod::Passphrase { kdf: argon2id },
            SlotMethod::Passphrase { kdf: Kdf::Pbkdf2HmacSha256 { rounds: a } },
            SlotMethod::KeyFile,
            SlotMethod::PassphraseAndKeyFile { kdf: argon2id },
            SlotMethod::Rsa { key_id },
            SlotMethod::Recovery,
        ][which];
        let wrapped = if which == 4 { payload.clone() } else { Vec::new() };
        let sealed = SealedSlot { method, salt, wrapped, payload };
        let recipient = PrivateKey::generate(RecipientAlgorithm::HpkeX25519, &SeededRandom::new(1)).unwrap();
        for (hint, recipient) in [(None, None), (Some([7, 9]), Some(recipient.public().clone()))] {
            let written = Slot { id: slot, user, hint, recipient: recipient.clone(), sealed: sealed.clone() };
            let read = Slot::decode(&written.encode()).unwrap();
            prop_assert_eq!((read.id, read.user, read.sealed), (slot, user, sealed.clone()));
            prop_assert_eq!((read.hint, read.recipient), (hint, recipient));
        }
    }

    #[test]
    fn slot_payloads(
        (vault, user, compartment, root) in (id(), id(), id(), any::<[u8; 32]>()),
        (seed, root_seed) in (any::<[u8; 32]>(), option::of(any::<[u8; 32]>())),
        (meta, content) in (vec((any::<u64>(), any::<Vec<u8>>()), 0..3), vec((any::<u64>(), any::<Vec<u8>>()), 0..3)),
        (private, login) in (any::<bool>(), option::of("[a-z]{1,9}")),
    ) {
        let secret = |keys: Vec<(u64, Vec<u8>)>| -> Vec<_> {
            keys.into_iter().map(|(number, bytes)| (number, Secret::new(bytes))).collect()
        };
        let key = |number: u8| Key::from_bytes([number; 32]);
        let algorithm = [RecipientAlgorithm::HpkeX25519, RecipientAlgorithm::HpkeP256][usize::from(login.is_some())];
        let private = private.then(|| PrivateKey::generate(algorithm, &SeededRandom::new(2)).unwrap());
        let payload = SlotPayload {
            vault,
            root,
            user,
            signing_seed: Key::from_bytes(seed),
            keys: KeyBundle {
                root_seed: root_seed.map(Key::from_bytes),
                compartments: vec![CompartmentSecrets {
                    id: compartment,
                    seed: key(1),
                    chunk_id: key(2),
                    index: key(3),
                    document_id: key(4),
                    meta: secret(meta),
                    content: secret(content),
                }],
            },
            private,
            login,
        };
        let written = payload.encode();
        let read = SlotPayload::decode(&written).unwrap();
        prop_assert_eq!(read.encode(), written);
        let root_seed = root_seed.map(Key::from_bytes);
        prop_assert_eq!((read.vault, read.user, read.keys.root_seed), (vault, user, root_seed.clone()));
        prop_assert_eq!(read.login, payload.login);
        let granted = KeyBundle::decode(&payload.keys.encode()).unwrap();
        prop_assert_eq!((granted.encode(), granted.root_seed), (payload.keys.encode(), root_seed));
    }
}

#[test]
fn names_that_would_lead_out_of_a_folder_are_refused() {
    for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0"] {
        assert!(Node::decode(&leaf(&Entry::plain(name))).is_err(), "{name:?}");
    }
    let redacted = Item::Redacted { leaves: Vec::new() };
    assert!(Node::decode(&leaf(&Entry { item: redacted.clone(), ..Entry::plain(b"named") })).is_err());
    assert!(Node::decode(&leaf(&Entry { item: redacted, ..Entry::plain(b"") })).is_ok());
    for name in [&b"..."[..], b".a", b"\xff\xfe", b"a b\n"] {
        assert!(Node::decode(&leaf(&Entry::plain(name))).is_ok(), "{name:?}");
    }
}

#[test]
fn entries_out_of_order_or_out_of_range_are_refused() {
    let leaf = |names: &[&[u8]]| Node::encode_leaf(names.iter().map(|name| Entry::plain(name).encode()).collect());
    assert!(Node::decode(&leaf(&[b"a", b"b"])).is_ok());
    assert!(Node::decode(&leaf(&[b"b", b"a"])).is_err());
    assert!(Node::decode(&leaf(&[b"a", b"a"])).is_err());
    let Value::Map(fields) = Entry::plain(b"a").encode() else { panic!("an entry is a map") };
    let with = |key, value: Value| Entry::decode(fields.clone().with(key, value));
    assert!(with(2, Value::Uint(9)).is_err(), "an unknown kind");
    assert!(with(8, vec![0u64.into(), Value::Uint(1_000_000_000)].into()).is_err(), "a second and more");
    assert!(with(3, Value::Uint(1 << 32)).is_err(), "a mode of 33 bits");
    let hole = Value::Array(vec![Value::Array(vec![Value::Uint(u64::MAX), Value::Uint(1)])]);
    assert!(super::entry::read_holes(hole).is_err(), "a hole beyond all files");
    let holes = |list: &[(u64, u64)]| super::entry::read_holes(super::entry::holes(list));
    assert!(holes(&[(0, 5), (5, 1), (9, 0)]).is_ok());
    assert!(holes(&[(0, 5), (4, 1)]).is_err() && holes(&[(7, 1), (0, 1)]).is_err(), "holes out of order");
    assert!(
        Node::decode(&Fields::new().with(1, 2u64).with(2, Vec::<Value>::new()).encode()).is_err(),
        "an unknown kind of node"
    );
}

#[test]
fn files_whose_parts_do_not_add_up_are_refused() {
    let part = |length| Part { reference: Reference { id: Id::new([1; 32]), length }, content: length.into() };
    let file = |size, depth, parts| FileItem {
        size,
        sha256: Digest::from_bytes([0; 32]),
        parts,
        depth,
        chunker: 1,
        transform: 0,
        document: Id::new([2; 32]),
        salt: [0; 16],
        holes: Inline::default(),
        inconsistent: false,
    };
    let read = |file| Node::decode(&leaf(&Entry { item: Item::File(Box::new(file)), ..Entry::plain(b"a") }));
    assert!(read(file(7, 0, vec![part(3), part(4)])).is_ok());
    assert!(read(file(8, 0, vec![part(3), part(4)])).is_err());
    assert!(read(file(0, 0, Vec::new())).is_ok());
    assert!(read(file(0, 9, Vec::new())).is_err(), "lists in lists in lists");
    let huge = Part { content: u64::MAX, ..part(1) };
    assert!(read(file(1, 1, vec![huge, Part { content: 2, ..part(1) }])).is_err(), "a sum that overflows");
}

#[test]
fn footers_that_contradict_themselves_are_refused() {
    let place = SegmentPlace { offset: SEGMENTS_START, stored: 100, raw: 5, codec: Codec::Raw };
    let segment = SegmentContent { place, chunks: vec![(Id::new([1; 32]), 5)] };
    let footer = |segments| PackFooter {
        compartment: Id::new([1; 16]),
        bucket: Id::new([2; 16]),
        kind: ObjectKind::ContentPack,
        segments,
    };
    let read = |segment: SegmentContent| PackFooter::decode(&footer(vec![segment]).encode());
    assert!(read(segment.clone()).is_ok());
    let raw = |raw| SegmentPlace { raw, ..place };
    assert!(read(SegmentContent { place: raw(6), ..segment.clone() }).is_err(), "longer than its chunks");
    let large = u32::try_from(SEGMENT_MAX).unwrap() + 1;
    assert!(read(SegmentContent { place: raw(large), chunks: vec![(Id::new([1; 32]), large)] }).is_err());
    let stored = SegmentPlace { stored: u32::MAX, ..place };
    assert!(read(SegmentContent { place: stored, ..segment.clone() }).is_err(), "longer than any when sealed");
    assert!(PackFooter::decode(&footer(vec![segment.clone(); SEGMENTS_MAX]).encode()).is_ok());
    assert!(PackFooter::decode(&footer(vec![segment; SEGMENTS_MAX + 1]).encode()).is_err());
    let kind = |kind: u64| Fields::new().with(1, &[0; 16]).with(2, &[0; 16]).with(3, kind).with(4, Vec::<Value>::new());
    assert!(PackFooter::decode(&kind(6).encode()).is_ok() && PackFooter::decode(&kind(8).encode()).is_err());
    assert!(Codec::from_number(2).is_err());
    let keys = vec![Some(Key::from_bytes([0; 32])); KEYS_MAX + 1];
    let table = SessionTable { id: Id::new([0; 8]), generation: 0, bucket: Id::new([0; 16]), keys };
    assert!(SessionTable::decode(&table.encode()).is_err());
}
