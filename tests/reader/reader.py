"""A reader of SecureBackup vaults, written from `docs/format.md` alone; § here means a section of that document.

It opens a vault in a local folder, lists and restores snapshots, and verifies every object; it never writes to the
vault. It needs only `cryptography`, `zstandard` and `cbor2`: the keyed BLAKE3 hash is implemented below.

    reader.py VAULT CREDENTIAL… list [--snapshot N|ID]
    reader.py VAULT CREDENTIAL… restore --snapshot N|ID --to FOLDER
    reader.py VAULT CREDENTIAL… verify

In order: primitives (§1.1), names and objects (§2, §3), credentials (§6), packs (§8), entries and document tree (§11),
the vault (§4, §5, §7, §10, §12, §13), listing and restoring, verifying (with the locators of §9), the command line.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import io
import json
import os
import re
import stat
import struct
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import IntEnum
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import cbor2
import zstandard
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

BLAKE3, HMAC_SHA256 = 1, 2
Fields = dict[int, Any]  # a CBOR map: what the numbers mean is in the document


class VaultError(Exception):
    """Something in the vault does not fit the format, or does not open."""


MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError)  # of signed structures of another shape


def require(condition: object, message: str) -> None:
    if not condition:
        raise VaultError(message)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_COLUMNS_AND_DIAGONALS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)
_CHUNK_START, _CHUNK_END, _PARENT, _ROOT, _KEYED = 1, 2, 4, 8, 16


def _compress(
    cv: list[int], block: list[int], counters: tuple[int, int], length: int, flags: int, ones: int
) -> list[int]:
    """BLAKE3's compression of many inputs at once: each integer holds a 32-bit word per input, 64 bits apart.

    `ones` has a 1 at the place of every input, so `ones * n` is the number n in each; sums are masked back to 32 bits.
    """
    mask = ones * 0xFFFFFFFF
    v = [*cv, *(ones * word for word in _IV[:4]), *counters, ones * length, ones * flags]
    for _ in range(7):
        for n, (a, b, c, d) in enumerate(_COLUMNS_AND_DIAGONALS):
            for word, turn_d, turn_b in ((block[2 * n], 16, 12), (block[2 * n + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & mask
                x = v[d] ^ v[a]
                v[d] = ((x | x << 32) >> turn_d) & mask  # a rotation: the word doubled, then shifted
                v[c] = (v[c] + v[d]) & mask
                x = v[b] ^ v[c]
                v[b] = ((x | x << 32) >> turn_b) & mask
        block = [block[n] for n in _PERMUTATION]
    return [v[n] ^ v[n + 8] for n in range(8)]


def _pack_words(words: tuple[int, ...]) -> int:
    return int.from_bytes(struct.pack(f"<{len(words)}Q", *words), "little")


def _unpack_words(packed: int, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}Q", packed.to_bytes(8 * count, "little"))


def _chunk_values(key: tuple[int, ...], data: bytes, first: int, count: int, root: int) -> list[tuple[int, ...]]:
    """The chaining values of `count` chunks of equal length from the chunk numbered `first` on."""
    ones = _pack_words((1,) * count)
    size = len(data) // count
    blocks = max(1, -(-size // 64))
    words = struct.unpack(f"<{count * blocks * 16}I", data.ljust(count * blocks * 64, b"\0"))
    numbers = range(first, first + count)
    counters = _pack_words(tuple(n & 0xFFFFFFFF for n in numbers)), _pack_words(tuple(n >> 32 for n in numbers))
    cv = [ones * word for word in key]
    for n in range(blocks):
        flags = _KEYED | (_CHUNK_START if n == 0 else 0) | (_CHUNK_END | root if n == blocks - 1 else 0)
        block = [_pack_words(words[16 * n + w :: 16 * blocks]) for w in range(16)]
        cv = _compress(cv, block, counters, min(64, size - 64 * n), flags, ones)
    return list(zip(*(_unpack_words(word, count) for word in cv)))


def keyed_blake3(key: bytes, data: bytes) -> bytes:
    """Keyed BLAKE3-256 (specification of 2020, §2): all whole chunks of 1,024 bytes at once, then the tree."""
    key_words = struct.unpack("<8I", key)
    whole = max(0, (len(data) - 1) // 1024)
    values = _chunk_values(key_words, data[: 1024 * whole], 0, whole, 0) if whole else []
    values += _chunk_values(key_words, data[1024 * whole :], whole, 1, 0 if whole else _ROOT)
    while len(values) > 1:
        pairs = len(values) // 2
        ones = _pack_words((1,) * pairs)
        block = [_pack_words(words) for side in (0, 1) for words in zip(*values[side : 2 * pairs : 2])]
        flags = _KEYED | _PARENT | (_ROOT if len(values) == 2 else 0)
        parents = _compress([ones * word for word in key_words], block, (0, 0), 64, flags, ones)
        values = list(zip(*(_unpack_words(word, pairs) for word in parents))) + values[2 * pairs :]
    return struct.pack("<8I", *values[0])


def keyed_hash(algorithm: int, key: bytes, data: bytes) -> bytes:
    """H(K, m)."""
    return keyed_blake3(key, data) if algorithm == BLAKE3 else hmac_sha256(key, data)


def kdf(key: bytes, label: str, context: bytes = b"") -> bytes:
    info = b"sbv1/" + label.encode() + b"\0" + context
    return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(key)


def open_gcm(key: bytes, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except (InvalidTag, ValueError):
        raise VaultError("a sealed text does not open") from None


def open_seal(algorithm: int, key: bytes, label: str, context: bytes, aad: bytes, sealed: bytes) -> bytes:
    """The text of a Seal, after its content-bound hash is found right."""
    require(len(sealed) >= 48, "a sealed text is cut short")
    h, tag = sealed[:32], label.encode() + b"\0"
    text = open_gcm(kdf(key, "seal", tag + context + sha256(aad) + h), bytes(12), aad, sealed[32:])
    bound = keyed_hash(algorithm, kdf(key, "bind", tag), text)
    require(hmac.compare_digest(bound, h), "a sealed text has another hash")
    return text


def _diffie_hellman(algorithm: int, secret: bytes, other: bytes) -> tuple[bytes, bytes]:
    """The shared secret with `other`, and the own public key."""
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    point = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    if algorithm == 1:
        own = X25519PrivateKey.from_private_bytes(secret)
        return own.exchange(X25519PublicKey.from_public_bytes(other)), own.public_key().public_bytes(*raw)
    scalar = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), other)
    return scalar.exchange(ec.ECDH(), peer), scalar.public_key().public_bytes(*point)


def open_hpke(algorithm: int, secret: bytes, info: bytes, aad: bytes, sealed: bytes) -> bytes:
    """HPKE in base mode (RFC 9180, §4.1 and §5.1), one message."""
    kem = b"KEM" + (b"\x00\x20" if algorithm == 1 else b"\x00\x10")
    suite = b"HPKE" + kem[3:] + b"\x00\x01\x00\x02"
    size = 32 if algorithm == 1 else 65

    def extract(suite_id: bytes, salt: bytes, label: bytes, key: bytes) -> bytes:
        return hmac_sha256(salt or bytes(32), b"HPKE-v1" + suite_id + label + key)

    def expand(suite_id: bytes, key: bytes, label: bytes, context: bytes, length: int) -> bytes:
        labelled = struct.pack(">H", length) + b"HPKE-v1" + suite_id + label + context
        return HKDFExpand(hashes.SHA256(), length, labelled).derive(key)

    enc = sealed[:size]
    try:
        shared, public = _diffie_hellman(algorithm, secret, enc)
    except ValueError:
        raise VaultError("an encapsulated key is not a point") from None
    shared = expand(kem, extract(kem, b"", b"eae_prk", shared), b"shared_secret", enc + public, 32)
    context = b"\0" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    key = extract(suite, shared, b"secret", b"")
    nonce = expand(suite, key, b"base_nonce", context, 12)
    return open_gcm(expand(suite, key, b"key", context, 32), nonce, aad, sealed[size:])


def open_sealed_to(algorithm: int, secret: bytes, info: bytes, aad: bytes, sealed: bytes) -> bytes:
    """The text of a SealTo."""
    if algorithm != 3:
        return open_hpke(algorithm, secret, info, aad, sealed)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), info)
    try:
        wrapped = serialization.load_der_private_key(secret, None).decrypt(sealed[:512], oaep)  # type: ignore
    except ValueError:
        raise VaultError("a wrapped key does not open") from None
    return open_gcm(kdf(wrapped, "rsa", info), bytes(12), aad, sealed[512:])


def decode(data: bytes, padded: bool = False) -> Any:
    """CBOR in deterministic encoding, if `padded` with zero bytes behind (§1)."""
    try:
        item = cbor2.CBORDecoder(io.BytesIO(data)).decode()
        encoded = cbor2.dumps(item, canonical=True)
    except (cbor2.CBORError, ValueError, TypeError) as error:
        raise VaultError(f"not CBOR: {error}") from None
    rest = data[len(encoded) :]
    require(data.startswith(encoded), "CBOR is not in its deterministic encoding")
    require(rest.count(0) == len(rest) and (padded or not rest), "something stands behind the CBOR")
    return item


def padme(n: int) -> int:
    if n < 2:
        return n
    exponent = n.bit_length() - 1
    unit = 1 << (exponent - exponent.bit_length())
    return -(-n // unit) * unit


class Type(IntEnum):
    CONFIG, USER, WRITER, SLOT, SESSIONS, CONTENT, META, LOCATOR, SNAPSHOT, REDACTION = range(1, 11)
    JOURNAL, LEASE, FENCE, CONDEMNED, RESERVE, LABEL, LOG = range(11, 18)
    CERTIFICATE, SIGNATURE, CHECKPOINT, STAMP, NAME, GRANT, ROLL, REQUEST = range(18, 26)


TWINS = (Type.CONFIG, Type.USER, Type.WRITER, Type.SLOT, Type.SESSIONS, Type.LABEL, Type.NAME, Type.GRANT, Type.ROLL, Type.REQUEST)
_NO_KEY_ID = (Type.CONFIG, Type.USER, Type.WRITER, *range(Type.JOURNAL, Type.RESERVE + 1), *range(Type.LOG, Type.STAMP + 1), Type.ROLL)
_PARTS = {  # as §3 calls them
    "x": "(?P<hash>[0-9a-f]{16})",
    "X": "(?P<hash>[0-9a-f]{64})",
    "XX": "(?P<fan>[0-9a-f]{2})",
    "B": "(?P<owner>[0-9a-f]{32})",
    "W": "(?P<owner>[0-9a-f]{32})",
    "IG": "(?P<id>[0-9a-f]{16})[.](?P<number>0|[1-9][0-9]*)[.]",
    "G": "(?P<number>0|[1-9][0-9]*)[.]",
    "N": "(?P<number>[0-9]{10})[.]",
}
_NAMES = {
    Type.CONFIG: "(?P<stem>config/vault[.]{G}){x}",
    Type.USER: "(?P<stem>users/){X}",
    Type.WRITER: "(?P<stem>writers/){X}",
    Type.SLOT: "(?P<stem>keys/{IG}){x}",
    Type.SESSIONS: "(?P<stem>sessions/{B}/{IG}){x}",
    Type.CONTENT: "(?P<stem>packs/){XX}/{X}",
    Type.LOCATOR: "(?P<stem>locator/){X}",
    Type.SNAPSHOT: "(?P<stem>snapshots/){X}",
    Type.REDACTION: "(?P<stem>redactions/){X}",
    Type.JOURNAL: "(?P<stem>journal/{W}/{N}){X}",
    Type.LEASE: "(?P<stem>leases/{IG}){x}",
    Type.FENCE: "(?P<stem>fences/{IG}){x}",
    Type.CONDEMNED: "(?P<stem>condemned/{IG}){x}",
    Type.RESERVE: "(?P<stem>reserve/){X}",
    Type.LABEL: "(?P<stem>labels/{IG}){x}",
    Type.LOG: "(?P<stem>log/{W}/{N}){X}",
    Type.CERTIFICATE: "(?P<stem>certificates/){X}",
    Type.SIGNATURE: "(?P<stem>signatures/){X}",
    Type.CHECKPOINT: "(?P<stem>checkpoints/){X}",
    Type.STAMP: "(?P<stem>stamps/){X}",
    Type.NAME: "(?P<stem>names/{IG}){x}",
    Type.GRANT: "(?P<stem>grants/{IG}){x}",
    Type.ROLL: "(?P<stem>roles/vault[.]{G}){x}",
    Type.REQUEST: "(?P<stem>requests/{IG}){x}",
}


_PATTERNS = {kind: re.compile(pattern.format(**_PARTS)) for kind, pattern in _NAMES.items()}


class Name(NamedTuple):
    """An object's name without `twin/`. Packs of both types have CONTENT for type; `owner` is a bucket or a writer."""

    text: str
    type: Type
    stem: str
    hash: str
    id: str
    number: int
    owner: str

    @staticmethod
    def parse(text: str) -> Name:
        for kind, pattern in _PATTERNS.items():
            if match := pattern.fullmatch(text.removeprefix("twin/")):
                part = match.groupdict("")
                in_place = part["hash"].startswith(part.get("fan", "")) and (match.string == text or kind in TWINS)
                require(in_place, f"{text}: in the wrong folder")
                others = part.get("id", ""), int(part.get("number", 0)), part.get("owner", "")
                return Name(match.string, kind, part["stem"], part["hash"], *others)
        raise VaultError(f"{text}: does not belong into a vault")


class Object:
    """An object whose bytes fit its name (§3) and whose header is well-formed (§2); its signature is unchecked yet."""

    def __init__(self, name: Name, data: bytes) -> None:
        require(hashlib.sha256(data).hexdigest().startswith(name.hash), f"{name.text}: its bytes do not fit its name")
        require(len(data) >= 128 and data[:4] == b"SBV1", f"{name.text}: not an object")
        require(data[4] == name.type or (data[4], name.type) == (Type.META, Type.CONTENT), f"{name.text}: wrong type")
        require(data[5:8] == b"\x01\0\0", f"{name.text}: of an unknown version")
        self.name, self.data, self.type = name, data, Type(data[4])
        self.header, self.vault_id, self.key_id, self.signer = data[:40], data[8:24], data[24:40], data[-88:-72]
        require(name.type not in _NO_KEY_ID or self.key_id == bytes(16), f"{name.text}: with a key id")

    @property
    def body(self) -> bytes:
        return self.data[40:-88]

    def check_signature(self, public: bytes) -> None:
        text = b"sbv1/object\0" + sha256(self.data[:-64]) + self.name.stem.encode()
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(self.data[-64:], text)
        except InvalidSignature:
            raise VaultError(f"{self.name.text}: the signature is wrong") from None


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PASSPHRASE, _KEY_FILE, _BOTH, _RSA, _RECOVERY = range(1, 6)
_SLOT_LABELS = {
    _PASSPHRASE: "slot/passphrase",
    _KEY_FILE: "slot/key-file",
    _BOTH: "slot/passphrase-and-key-file",
    _RECOVERY: "slot/recovery",
}


def parse_key_text(text: str) -> bytes:
    """The 256 bits of a recovery key, or of a key file behind its `sb-key-1:`."""
    plain = re.sub(r"[\s-]", "", text).upper().translate(str.maketrans("OIL", "011"))
    require(len(plain) == 56 and set(plain) <= set(_CROCKFORD), "this is not a key of 56 symbols")
    bits = 0
    for symbol in plain:
        bits = bits << 5 | _CROCKFORD.index(symbol)
    number, check = bits >> 20, bits & 0xFFFFF
    require(number % 1_048_573 == check and number & 15 == 0, "the key is mistyped: its check symbols do not fit")
    return (number >> 4).to_bytes(32, "big")


class Credentials:
    """What the user knows or has, each in a file."""

    def __init__(self, passphrase: Path | None = None, key: Path | None = None, recovery: Path | None = None) -> None:
        text = passphrase.read_bytes().decode().rstrip("\r\n") if passphrase else ""
        self.passphrase = unicodedata.normalize("NFC", text).encode()
        key_text = key.read_text().strip() if key else ""
        require(not key or key_text.startswith("sb-key-1:"), "the key file does not begin with sb-key-1:")
        key_file = parse_key_text(key_text.removeprefix("sb-key-1:")) if key else None
        recovery_key = parse_key_text(recovery.read_text()) if recovery else None
        both = key_file if passphrase else None
        secrets = {_PASSPHRASE: passphrase and b"", _KEY_FILE: key_file, _BOTH: both, _RECOVERY: recovery_key}
        self.secrets = {method: secret for method, secret in secrets.items() if secret is not None}

    def open_slot(self, slot: Object) -> Fields | None:
        """The payload of a slot; nothing if its method is not at hand."""
        fields = decode(slot.body)
        method, salt, slot_id = fields[3], fields[5], bytes.fromhex(slot.name.id)
        if method not in self.secrets:
            return None
        stretched = self._stretch(fields[4], salt) if method in (_PASSPHRASE, _BOTH) else b""
        kek = kdf(stretched + self.secrets[method], _SLOT_LABELS[method], salt)
        payload = decode(open_seal(HMAC_SHA256, kek, "slot", slot.header, slot.header, fields[8]))
        require(fields[1] == slot_id and slot.key_id == slot_id + bytes(8), f"{slot.name.text}: with another slot's id")
        require(payload[1] == slot.vault_id and payload[3] == fields[2], f"{slot.name.text}: not of this vault or user")
        return payload

    def _stretch(self, parameters: list[int], salt: bytes) -> bytes:
        match parameters:
            case [1, memory, passes, lanes]:
                fair = 65_536 <= memory <= 1_048_576 and 3 <= passes <= 16 and 1 <= lanes <= 16
                require(fair, "Argon2id parameters out of bounds")
                argon2 = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
                return argon2.derive(self.passphrase)
            case [2, rounds]:
                require(100_000 <= rounds <= 10_000_000, "PBKDF2 rounds out of bounds")
                return hashlib.pbkdf2_hmac("sha256", self.passphrase, salt, rounds, 32)
        raise VaultError("an unknown function for stretching passphrases")


class Compartment(NamedTuple):
    """The keys of a compartment (§6)."""

    id: bytes
    chunk_ids: bytes
    index: bytes
    documents: bytes
    metas: dict[int, bytes]
    contents: dict[int, bytes]


class Layout:
    """What packs and locators have in common: salt, commitment, sealed pieces from 104 on, footer, pointer."""

    def __init__(self, algorithm: int, compartment: Compartment, item: Object) -> None:
        self.algorithm, self.compartment, self.name, self.type = algorithm, compartment, item.name, item.type
        self.size, self.key_id = len(item.data), item.key_id
        self.salt, self.commitment = item.data[40:72], item.data[72:104]
        self.aad, end = item.header + self.salt, self.size - 64 - 88
        require(end >= 104, f"{self.name.text}: cut short")
        key = compartment.index
        pointer = open_seal(algorithm, key, "pointer", self.salt, self.aad, item.data[end:-88])
        self.footer_start, length = struct.unpack(">QQ", pointer)
        fits = self.footer_start >= 104 and self.footer_start + length == end
        require(fits, f"{self.name.text}: its footer lies elsewhere")
        sealed = item.data[self.footer_start : end]
        self.footer: Fields = decode(open_seal(algorithm, key, "footer", self.salt, self.aad, sealed), padded=True)
        require(self.footer[1] == compartment.id, f"{self.name.text}: of another compartment")
        padded = self.size % 65_536 == 0 if self.size >= 1 << 22 else padme(self.size) == self.size
        require(padded, f"{self.name.text}: wrongly padded")

    def commits_to(self, key: bytes) -> bool:
        return self.commitment == kdf(key, "commit", self.salt)

    def piece(self, key: bytes, label: str, number: int, data: bytes, offset: int, length: int) -> bytes:
        """The text of a segment or block of the object whose bytes are `data`."""
        require(self.commits_to(key), f"{self.name.text}: of another key")
        require(104 <= offset <= offset + length <= self.footer_start, f"{self.name.text}: a piece lies outside")
        context = self.salt + struct.pack(">I", number)
        return open_seal(self.algorithm, key, label, context, self.aad, data[offset : offset + length])


class Segment(NamedTuple):
    """A segment as the footer describes it."""

    offset: int
    sealed: int
    length: int
    codec: int
    lengths: list[int]
    ids: list[bytes]


class Pack(Layout):
    def __init__(self, algorithm: int, compartment: Compartment, item: Object) -> None:
        super().__init__(algorithm, compartment, item)
        require(self.footer[3] == self.type, f"{self.name.text}: its footer is of another type")
        self.bucket, self.segments, offset = self.footer[2], [], 104
        for sealed, length, codec, lengths, ids in self.footer[4]:
            fits = len(ids) == 32 * len(lengths) and sum(lengths) == length <= 1 << 22
            require(fits, f"{self.name.text}: a segment whose lengths do not fit")
            chunk_ids = [ids[n : n + 32] for n in range(0, len(ids), 32)]
            self.segments.append(Segment(offset, sealed, length, codec, lengths, chunk_ids))
            offset += sealed
        whole = len(self.segments) <= 1023 and offset == self.footer_start
        require(whole, f"{self.name.text}: its segments do not reach its footer")

    def open_segment(self, key: bytes, number: int, data: bytes) -> dict[bytes, bytes]:
        """The chunks of a segment, each checked against its id."""
        segment, name = self.segments[number], self.name.text
        plain = self.piece(key, "segment", number, data, segment.offset, segment.sealed)
        require(segment.codec in (0, 1), f"{name}: a segment of unknown codec")
        if segment.codec == 1:
            try:
                plain = zstandard.ZstdDecompressor().decompress(plain, segment.length)
            except zstandard.ZstdError:
                raise VaultError(f"{name}: a segment does not decompress") from None
        require(len(plain) == segment.length, f"{name}: a segment of wrong length")
        id_key = kdf(self.compartment.chunk_ids, "chunk", bytes([self.type]) + self.bucket)
        chunks, start = {}, 0
        for length, chunk_id in zip(segment.lengths, segment.ids):
            chunks[chunk_id] = plain[start : start + length]
            fits = keyed_hash(self.algorithm, id_key, chunks[chunk_id]) == chunk_id
            require(fits, f"{name}: a chunk does not fit its id")
            start += length
        return chunks


class Kind(IntEnum):
    FILE, FOLDER, SYMLINK, FIFO, SOCKET, CHARACTER_DEVICE, BLOCK_DEVICE, REDACTED = range(1, 9)


class Entry:
    """An entry of a tree with its absolute path, which for a redacted one is its folder's and `/`."""

    def __init__(self, folder: bytes, fields: Fields) -> None:
        name = fields[1]
        self.path, self.kind, self.fields, self.mtime = folder + name, Kind(fields[2]), fields, fields[8]
        self.text = os.fsdecode(self.path)
        self.order_key: bytes = name + b"/" if self.kind == Kind.FOLDER else name
        fair = not name if self.kind == Kind.REDACTED else name not in (b"", b".", b"..")
        require(fair and not {0, ord("/")} & set(name), f"{self.text}: an impossible name")

    def document_leaves(self) -> list[bytes]:
        """The hashes of its leaves of the document tree."""
        if self.kind != Kind.FILE:
            return self.fields[27] if self.kind == Kind.REDACTED else []
        escaped = self.path.replace(b"%", b"%25").decode("utf-8", "surrogateescape")
        members = {
            "id": self.fields[17].hex(),
            "mtime": document_time(*self.mtime),
            "path": re.sub("[\udc80-\udcff]", lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", escaped),
            "salt": self.fields[18].hex(),
            "sha256": self.fields[12].hex(),
            "size": self.fields[11],
            "v": "sb-doc/v1",
        }
        text = json.dumps(members, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return [sha256(b"\0" + text.encode())]


def document_time(seconds: int, nanoseconds: int) -> str:
    days, second = divmod(seconds, 86_400)
    if not -719_528 <= days < 2_932_897:  # 0000-01-01 and 10000-01-01
        return f"@{seconds}.{nanoseconds:09}"
    shift = 400 if days < 0 else 0  # datetime knows no year 0, and the calendar repeats after 400 years
    moment = datetime(1970, 1, 1) + timedelta(days=days + shift // 400 * 146_097, seconds=second)
    return f"{moment.year - shift:04}-{moment:%m-%dT%H:%M:%S}.{nanoseconds:09}Z"


def document_root(leaves: list[bytes]) -> bytes:
    """The Merkle tree hash of RFC 6962, §2.1: neighbours joined level by level, a last odd one as it is."""
    while len(leaves) > 1:
        joined = [sha256(b"\1" + left + right) for left, right in zip(leaves[::2], leaves[1::2])]
        leaves = joined + leaves[2 * len(joined) :]
    return leaves[0] if leaves else sha256(b"")


class Snapshot(NamedTuple):
    """A snapshot (§12): the hash in its name, its compartment, its fields."""

    id: str
    compartment: Compartment
    fields: Fields


class Vault:
    """An opened vault. What is damaged but not needed to go on is noted in `problems`."""

    def __init__(self, folder: Path, credentials: Credentials) -> None:
        files = (Path(top, file) for top, _, files in os.walk(folder) for file in files)
        names = (file.relative_to(folder).as_posix() for file in files)
        self.folder, self.problems = folder, []
        self.stored = sorted(name for name in names if not name.startswith("tmp/"))
        self.names: dict[Type, set[Name]] = {kind: set() for kind in Type}
        for text in self.stored:
            try:
                name = Name.parse(text)
                self.names[name.type].add(name)
            except VaultError as error:
                self.note(error)
        slot, payload = self._open_slot(credentials)
        self.vault_id, self.root = payload[1], payload[2]
        self._load_certificates()
        self.check_signature(slot)
        self._load_config()
        self._replay_journals()
        self._load_keys(payload)
        counts = slot.name.text not in self.removed and self._newest(Type.SLOT, slot.name.id).name == slot.name
        require(counts, "these credentials have been revoked")
        self._index_packs()
        self.snapshots = sorted(self._load_snapshots(), key=lambda snapshot: snapshot.fields[8])
        self._apply_labels()

    def note(self, problem: object) -> None:
        if str(problem) not in self.problems:
            self.problems.append(str(problem))

    def read(self, text: str) -> bytes:
        try:
            return (self.folder / text).read_bytes()
        except OSError as error:
            raise VaultError(f"{text}: {error.strerror}") from None

    def _first_copy(self, name: Name) -> Object:
        """The object itself, or if need be its twin."""
        try:
            return Object(name, self.read(name.text))
        except VaultError as error:
            if name.type not in TWINS:
                raise
            self.note(error)
            return Object(name, self.read(f"twin/{name.text}"))

    @lru_cache(maxsize=16)
    def load(self, name: Name) -> Object:
        item = self._first_copy(name)
        self.check_signature(item)
        return item

    def _good(self, kind: Type, identity: str = "") -> Iterator[Object]:
        """All good objects of a kind, in order; with `identity` those with this `I` in the name."""
        for name in sorted(self.names[kind]):
            if name.id == identity or not identity:
                try:
                    yield self.load(name)
                except VaultError as error:
                    self.note(error)

    def _newest(self, kind: Type, identity: str = "") -> Object:
        """The one that counts of a mutable object: the good one with the highest generation (§3)."""
        good = list(self._good(kind, identity))
        require(good, f"{kind.name.lower()} {identity}: none is good")
        return max(good, key=lambda item: item.name.number)

    def live_objects(self, kind: Type) -> list[Object]:
        return [item for item in self._good(kind) if item.name.text in self.live]

    def check_signature(self, item: Object) -> None:
        """That the object is of this vault and signed by a key of the class that §2 demands."""
        text, signer, kind = item.name.text, item.signer, item.name.type
        require(item.vault_id == self.vault_id, f"{text}: of another vault")
        root = self.root if signer == sha256(self.root)[:16] else None
        user = self.users.get(signer, {})
        if kind in (Type.CONFIG, Type.USER, Type.GRANT, Type.ROLL):
            public = root
        elif kind == Type.WRITER:
            public = user.get(2)
        elif kind in (Type.REDACTION, Type.LABEL, Type.NAME, Type.REQUEST):
            public = root or user.get(2)
        elif kind == Type.SLOT:
            public = root or (user.get(2) if user.get(1) == decode(item.body)[2] else None)
        else:
            own = kind not in (Type.JOURNAL, Type.LOG) or item.name.owner == signer.hex()
            public = self.writers.get(signer) if own else None
        require(public, f"{text}: signed by a key that may not sign it")
        item.check_signature(public)

    def _open_slot(self, credentials: Credentials) -> tuple[Object, Fields]:
        for name in sorted(self.names[Type.SLOT], key=lambda name: (-name.number, name.text)):
            try:
                item = self._first_copy(name)
                if payload := credentials.open_slot(item):
                    return item, payload
            except VaultError:
                pass
        raise VaultError("no slot opens with these credentials")

    def _load_certificates(self) -> None:
        self.users: dict[bytes, Fields] = {}
        self.writers: dict[bytes, bytes] = {}
        for item in self._good(Type.USER):
            certificate = decode(item.body)
            self.users[sha256(certificate[2])[:16]] = certificate
        for item in self._good(Type.WRITER):
            certificate = decode(item.body)
            require(certificate[2] == item.signer, f"{item.name.text}: names another user key than its signer's")
            self.writers[sha256(certificate[1])[:16]] = certificate[1]

    def _load_config(self) -> None:
        item = self._newest(Type.CONFIG)
        self.config: Fields = decode(item.body)
        require(self.config[1] == item.name.number, f"{item.name.text}: of another generation")
        require(self.config[7] == self.root, "the config names another root key than the slot")
        require(not self.config[4], f"the vault needs features unknown here: {self.config[4]}")
        self.hash, self.recipient = self.config[8], self.config[9]
        require(self.hash in (1, 2) and self.recipient in (1, 2, 3), "the vault's algorithms are unknown here")

    def _load_keys(self, payload: Fields) -> None:
        """The compartments, and by the key id of the public key each secret key with its compartment."""
        payload = self._granted(payload) or payload
        found = [Compartment(*map(c.get, (1, 3, 4, 5)), dict(c.get(6, [])), dict(c.get(7, []))) for c in payload[6]]
        self.compartments = {compartment.id: compartment for compartment in found}
        self.secrets: dict[bytes, tuple[Compartment, bytes]] = {}
        for described in self.config[11]:
            if compartment := self.compartments.get(described[1]):
                epochs = [*described[2], *((epoch, meta, None) for epoch, meta in described.get(3, []))]
                for epoch, meta, content in epochs:
                    for public, secrets in ((meta, compartment.metas), (content, compartment.contents)):
                        if public and epoch in secrets:
                            self.secrets[sha256(public)[:16]] = compartment, secrets[epoch]

    def _granted(self, payload: Fields) -> Fields | None:
        """The keys that the user was granted (§18), if any grant is for the slot's private key."""
        if 7 not in payload:
            return None
        algorithm, secret = payload[7]
        none = {6: []}
        grants = [item for item in self._good(Type.GRANT) if item.name.text not in self.removed]
        grants.sort(key=lambda item: (item.name.text not in self.live, -item.name.number))
        rolls = [item for item in self._good(Type.ROLL) if item.name.text not in self.removed]
        if rolls:  # the newest says which grant counts (§19)
            newest = min(rolls, key=lambda item: (-item.name.number, item.name.hash))
            member = next((member for member in decode(newest.body)[5] if member[1] == payload[3]), {})
            grants = [item for item in grants if item.name.text == member.get(11)]
        for item in grants:
            try:
                text = open_sealed_to(algorithm, secret, b"sbv1/grant", item.header, item.body)
            except (VaultError, InvalidTag, ValueError):
                continue  # somebody else's
            return decode(text)
        return none

    def _replay_journals(self) -> None:
        """The live set (§10): name to size and SHA-256. A missing or damaged entry is noted, the others still count."""
        added: dict[str, tuple[int, str]] = {}
        self.removed: set[str] = set()
        problems = len(self.problems)
        expected: dict[str, tuple[int, str]] = {}  # of each writer the next number, and the hash before
        for item in self._good(Type.JOURNAL):
            name, entry = item.name, decode(item.body)
            require(entry[1] == name.number, f"{name.text}: has another number inside")
            if (name.number, entry.get(2, b"").hex()) != expected.get(name.owner, (0, "")):
                self.note(f"{name.text}: the chain is broken before it")
            expected[name.owner] = name.number + 1, name.hash
            entry = self._authorised(name, entry)
            for text, size, *digest in entry[6]:
                added[text] = size, digest[0].hex() if digest else Name.parse(text).hash
            self.removed.update(text for text, *_ in entry[7])
        if len(self.problems) > problems:
            self._add_unknown(added)
        self.live = {text: known for text, known in added.items() if text not in self.removed}

    def _authorised(self, name: Name, entry: Fields) -> Fields:
        """The entry, without its removals and redactions if nobody who may has signed for them (§10)."""
        is_redaction = lambda text: text.startswith("redactions/")
        if not entry[7] and not entry.get(10) and not any(is_redaction(text) for text, *_ in entry[6]):
            return entry
        signer, signature = entry.get(8, (b"", b""))
        public = self.root if signer == sha256(self.root)[:16] else self.users.get(signer, {}).get(2)
        lists = sha256(cbor2.dumps(entry[6], canonical=True)) + sha256(cbor2.dumps(entry[7], canonical=True))
        if entry.get(10):
            lists += sha256(cbor2.dumps(entry[10], canonical=True))
        text = b"sbv1/authority\0" + self.vault_id + bytes.fromhex(name.owner) + entry[1].to_bytes(8, "big") + lists
        folders = ("config/", "users/", "writers/", "keys/", "grants/", "roles/", "requests/")
        roots_own = folders + tuple(f"twin/{folder}" for folder in folders)
        try:
            require(public, "signed by nobody who may")
            require(public == self.root or not any(n.startswith(roots_own) for n, _ in entry[7]), "not root's")
            Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
            return entry
        except (VaultError, InvalidSignature):
            self.note(f"{name.text}: removes or redacts what only a user may")
            return entry | {6: [item for item in entry[6] if not is_redaction(item[0])], 7: []}

    def _add_unknown(self, added: dict[str, tuple[int, str]]) -> None:
        """Where journals are damaged, well-signed objects that none of them knows are used too (§10)."""
        for kind in (*TWINS, Type.CONTENT, Type.LOCATOR, Type.SNAPSHOT, Type.REDACTION):
            for item in self._good(kind):
                for text in (item.name.text, f"twin/{item.name.text}"):
                    if text in self.stored:
                        added.setdefault(text, (len(item.data), item.name.hash))

    def open_sealed(self, item: Object, info: str, padded: bool = False) -> tuple[Compartment, Fields]:
        """The text of a session table, snapshot, redaction or label."""
        require(item.key_id in self.secrets, f"{item.name.text}: its key is not in the slot")
        compartment, secret = self.secrets[item.key_id]
        text = open_sealed_to(self.recipient, secret, f"sbv1/{info}".encode(), item.header, item.body)
        require(not padded or padme(len(text)) == len(text), f"{item.name.text}: wrongly padded")
        return compartment, decode(text, padded)

    def _load_snapshots(self) -> Iterator[Snapshot]:
        for item in self.live_objects(Type.SNAPSHOT):
            compartment, fields = self.open_sealed(item, "snapshot", padded=True)
            require(fields[1] == compartment.id, f"{item.name.text}: of another compartment")
            yield Snapshot(item.name.hash, compartment, fields)

    def _apply_labels(self) -> None:
        """Gives snapshots the tags that they got last (§14)."""
        labels = [(item.name, self.open_sealed(item, "label", padded=True)[1]) for item in self.live_objects(Type.LABEL)]
        highest = {name.id: max(other.number for other, _ in labels if other.id == name.id) for name, _ in labels}
        counting = [(name, fields) for name, fields in labels if name.number == highest[name.id]]
        tags = {}
        for name, fields in sorted(counting, key=lambda label: (label[1][3], label[0].id, label[0].hash)):
            tags[fields[1].hex()] = fields[2]
        for snapshot in self.snapshots:
            snapshot.fields[15] = tags.get(snapshot.id, snapshot.fields[15])

    @cached_property
    def redactions(self) -> dict[bytes, list[Any]]:
        """New references by old node ids (§13). No tree may be read without all, so none is left out."""
        names = [Name.parse(text) for text in self.live if text.startswith("redactions/")]
        found = [self.open_sealed(self.load(name), "redaction")[1] for name in names]
        return {old: new for fields in found for old, new in fields[1]}

    @lru_cache
    def sessions(self, table: str) -> list[list[bytes | None]]:
        """The pack keys of the live session tables with this id, highest generation first (§7)."""
        live = [item for item in self._good(Type.SESSIONS, table) if item.name.text in self.live]
        tables = []
        for item in sorted(live, key=lambda item: item.name.number, reverse=True):
            _, fields = self.open_sealed(item, "session")
            same = (fields[1].hex(), fields[2], fields[3].hex()) == (table, item.name.number, item.name.owner)
            require(same and len(fields[4]) <= 64, f"{item.name.text}: the table is another one")
            tables.append(fields[4])
        require(tables, f"session table {table}: none is good")
        return tables

    def _pack_key(self, pack: Pack) -> bytes:
        """The first key with the pack's key id that the pack commits to (§7)."""
        table, index, text = pack.key_id[:8].hex(), int.from_bytes(pack.key_id[8:10], "big"), pack.name.text
        require(pack.key_id[10:] == bytes(6), f"{text}: its key id is wrong")
        keys = [keys[index] for keys in self.sessions(table) if index < len(keys) and keys[index]]
        require(keys, f"{text}: its key is in no table, or was destroyed")
        return next((key for key in keys if pack.commits_to(key)), keys[0])

    def open_layout(self, layout: type[Any], item: Object) -> Any:
        """The item as a Pack or Layout, of the compartment whose index key opens it."""
        for compartment in self.compartments.values():
            try:
                return layout(self.hash, compartment, item)
            except VaultError as error:
                last = error
        raise VaultError(f"{item.name.text}: {last}")

    def _index_packs(self) -> None:
        """Where each chunk lies, by type and id: [(pack, segment, length)], from the packs' footers."""
        self.packs: dict[Name, Pack] = {}
        self.places: dict[tuple[Type, bytes], list[tuple[Name, int, int]]] = {}
        for item in self.live_objects(Type.CONTENT):
            try:
                self.packs[item.name] = pack = self.open_layout(Pack, item)
                for number, segment in enumerate(pack.segments):
                    for chunk_id, length in zip(segment.ids, segment.lengths):
                        self.places.setdefault((item.type, chunk_id), []).append((item.name, number, length))
            except VaultError as error:
                self.note(error)

    @lru_cache(maxsize=16)
    def segment(self, name: Name, number: int) -> dict[bytes, bytes]:
        """The chunks of a segment of a pack."""
        pack = self.packs[name]
        return pack.open_segment(self._pack_key(pack), number, self.load(name).data)

    def chunk(self, kind: Type, chunk_id: bytes, length: int) -> bytes:
        """A chunk, from the first pack that yields it."""
        last = VaultError(f"chunk {chunk_id.hex()}: in no pack")
        for name, number, found in self.places.get((kind, chunk_id), []):
            try:
                require(found == length, f"chunk {chunk_id.hex()}: has another length")
                return self.segment(name, number)[chunk_id]
            except VaultError as error:
                last = error
        raise last

    def metadata(self, reference: list[Any]) -> Any:
        return decode(self.chunk(Type.META, *reference))

    def _leaf_entries(self, reference: list[Any], folder: bytes) -> Iterator[Entry]:
        """The entries of a folder; redacted nodes are replaced (§13), inner nodes checked against what is below."""
        met = set()
        while reference[0] in self.redactions and reference[0] not in met:
            met.add(reference[0])
            reference = self.redactions[reference[0]]
        node = self.metadata(reference)
        require(node[1] in (0, 1), "a node of unknown kind")
        if node[1] == 0:
            yield from (Entry(folder, fields) for fields in node[2])
            return
        for last_key, below, count in node[2]:
            entries = list(self._leaf_entries(below, folder))
            fits = len(entries) == count and (entries[-1].kind == Kind.REDACTED or entries[-1].order_key == last_key)
            require(fits, f"{os.fsdecode(folder)}: an inner node that does not fit what is below")
            yield from entries

    def walk(self, reference: list[Any], folder: bytes = b"/") -> Iterator[Entry]:
        """All entries below a reference to a root node, depth first in the order of their paths."""
        before = b""
        for entry in self._leaf_entries(reference, folder):
            if entry.kind != Kind.REDACTED:
                require(before < entry.order_key, f"{entry.text}: out of order")
                before = entry.order_key
            yield entry
            if entry.kind == Kind.FOLDER:
                yield from self.walk(entry.fields[24], entry.path + b"/")

    def content(self, entry: Entry) -> Iterator[bytes]:
        """A file's content in pieces; the end of the iteration checks size and SHA-256."""
        require(entry.fields.get(16, 0) == 0, f"{entry.text}: of an unknown transform")
        digest, size = hashlib.sha256(), 0
        for piece in self._parts(entry.fields.get(13, []), entry.fields.get(14, 0)):
            digest.update(piece)
            size += len(piece)
            yield piece
        same = size == entry.fields[11] and digest.digest() == entry.fields[12]
        require(same, f"{entry.text}: the content has another SHA-256")

    def _parts(self, parts: list[Any], depth: int) -> Iterator[bytes]:
        for chunk_id, length, *_ in parts:
            if depth == 0:
                yield self.chunk(Type.CONTENT, chunk_id, length)
            else:
                yield from self._parts(self.metadata([chunk_id, length]), depth - 1)

    def attributes(self, entry: Entry) -> list[list[bytes]]:
        return self.metadata(entry.fields[10]) if 10 in entry.fields else entry.fields.get(9, [])

    def holes(self, entry: Entry) -> list[list[int]]:
        return self.metadata(entry.fields[20]) if 20 in entry.fields else entry.fields.get(19, [])


def listing_line(vault: Vault, entry: Entry) -> str:
    """`path mode uid gid mtime kind…`, path and attributes in hexadecimal."""
    fields, (seconds, nanoseconds) = entry.fields, entry.mtime
    words = [entry.path.hex(), f"{fields.get(3, 0):04o}", fields.get(4, 0), fields.get(5, 0)]
    words.append(f"{seconds}.{nanoseconds:09}")
    match entry.kind:
        case Kind.FILE:
            words += ["file", fields[11], fields[12].hex()]
        case Kind.SYMLINK:
            words += ["symlink", fields[22].hex()]
        case Kind.CHARACTER_DEVICE | Kind.BLOCK_DEVICE:
            words += ["char" if entry.kind == Kind.CHARACTER_DEVICE else "block", *fields[23]]
        case Kind.REDACTED:
            words += ["redacted", len(fields[27])]
        case _:
            words.append(entry.kind.name.lower())
    words += ["sparse"] * bool(vault.holes(entry)) + ["linked"] * (21 in fields)
    words += [f"{name.hex()}={value.hex()}" for name, value in vault.attributes(entry)]
    return " ".join(map(str, words))


def _write_file(vault: Vault, entry: Entry, path: bytes) -> None:
    """The content, with its holes left out, so that the file system may keep them as holes."""
    holes, size, offset = vault.holes(entry), entry.fields[11], 0
    starts = [0, *(start + length for start, length in holes)]  # of what is between the holes
    ends = [*(start for start, _ in holes), size]
    with open(path, "xb") as file:
        for piece in vault.content(entry):
            run = bisect_right(ends, offset)
            while run < len(starts) and starts[run] < offset + len(piece):
                start, end = max(starts[run], offset), min(ends[run], offset + len(piece))
                file.seek(start)
                file.write(piece[start - offset : end - offset])
                run += 1
            offset += len(piece)
        file.truncate(size)


_NODES = {
    Kind.FIFO: stat.S_IFIFO,
    Kind.SOCKET: stat.S_IFSOCK,
    Kind.CHARACTER_DEVICE: stat.S_IFCHR,
    Kind.BLOCK_DEVICE: stat.S_IFBLK,
}


def _make(vault: Vault, entry: Entry, path: bytes, links: dict[bytes, bytes]) -> None:
    """Creates what the entry describes; a path of a hard link met before becomes a link to the first."""
    fields, group = entry.fields, entry.fields.get(21)
    if group in links:
        os.link(links[group], path, follow_symlinks=False)
    elif entry.kind == Kind.FILE:
        _write_file(vault, entry, path)
    elif entry.kind == Kind.FOLDER:
        os.mkdir(path, 0o700)
    elif entry.kind == Kind.SYMLINK:
        os.symlink(fields[22], path)
    else:
        os.mknod(path, _NODES[entry.kind] | 0o600, os.makedev(*fields.get(23, (0, 0))))
    if group:
        links.setdefault(group, path)


def _set_metadata(vault: Vault, entry: Entry, path: bytes) -> None:
    """Owner and attributes as far as the user may set them, then mode and time."""
    fields, (seconds, nanoseconds) = entry.fields, entry.mtime
    settings = [lambda: os.chown(path, fields[4], fields[5], follow_symlinks=False)]
    for name, value in vault.attributes(entry):
        settings.append(lambda name=name, value=value: os.setxattr(path, name, value, follow_symlinks=False))
    for setting in settings:
        try:
            setting()
        except OSError:
            pass
    if entry.kind != Kind.SYMLINK:
        os.chmod(path, fields[3])
    os.utime(path, ns=(seconds * 10**9 + nanoseconds,) * 2, follow_symlinks=False)


def restore(vault: Vault, snapshot: Snapshot, target: Path) -> list[str]:
    """Restores everything below the new or empty folder `target`; returns what could not be restored, and why."""
    target.mkdir(parents=True, exist_ok=True)
    require(not any(target.iterdir()), f"{target} is not empty")
    problems: list[str] = []
    folders: list[tuple[Entry, bytes]] = []
    links: dict[bytes, bytes] = {}
    for entry in vault.walk(snapshot.fields[2]):
        path = os.fsencode(target) + entry.path
        try:
            if entry.kind != Kind.REDACTED:
                _make(vault, entry, path, links)
            if entry.kind == Kind.FOLDER:
                folders.append((entry, path))
            elif entry.kind != Kind.REDACTED:
                _set_metadata(vault, entry, path)
        except (VaultError, OSError) as error:
            problems.append(f"{entry.text}: {error}")
    for entry, path in reversed(folders):
        _set_metadata(vault, entry, path)
    return problems


def verify(vault: Vault) -> list[str]:
    """Checks every stored object and everything live; returns what is wrong, nothing for a sound vault."""
    checks: list[tuple[Any, ...]] = [(_verify_stored, vault, text) for text in vault.stored]
    checks += [(_verify_live, vault, text) for text in vault.live]
    checks += [(vault.sessions, name.id) for name in vault.names[Type.SESSIONS]]
    checks += [(vault.segment, pack.name, n) for pack in vault.packs.values() for n in range(len(pack.segments))]
    checks += [(_verify_locators, vault)]
    checks += [(_verify_snapshot, vault, snapshot) for snapshot in vault.snapshots]
    for check, *subject in checks:
        try:
            check(*subject)
        except VaultError as error:
            vault.note(error)
        except MALFORMED as error:
            vault.note(f"malformed: {error!r} in {check.__name__} of {subject[-1]}")
    return vault.problems


def _verify_stored(vault: Vault, text: str) -> None:
    name = Name.parse(text)
    if name.type in TWINS:
        other = name.text if name.text != text else f"twin/{text}"
        require(other in vault.stored, f"{other}: is missing")
    try:
        vault.check_signature(Object(name, vault.read(text)))
    except VaultError as error:
        raise VaultError(f"{text}: {error}") from None


def _verify_live(vault: Vault, text: str) -> None:
    data, (size, digest) = vault.read(text), vault.live[text]
    same = len(data) == size and sha256(data).hex().startswith(digest)
    require(same, f"{text}: not as the journal has it")


def _verify_locators(vault: Vault) -> None:
    """Locators (§9) must name what the footers name: every chunk of every live pack, at its place."""
    located: dict[Name, set[tuple[bytes, int, int]]] = {name: set() for name in vault.packs}
    for item in vault.live_objects(Type.LOCATOR):
        locator, text = vault.open_layout(Layout, item), item.name.text
        index_key, packs, last = locator.compartment.index, [], (b"", 0, 0)
        require(item.key_id == kdf(index_key, "key id")[:16], f"{text}: has another key id")
        for digest, size, key_id, kind, bucket, segments in locator.footer[2]:
            pack = vault.packs.get(Name.parse(f"packs/{digest.hex()[:2]}/{digest.hex()}"))
            packs.append(pack)
            if pack:
                known = pack.size, pack.key_id, pack.type, pack.bucket, [list(segment[:4]) for segment in pack.segments]
                same = (size, key_id, kind, bucket, segments) == known
                require(same, f"{text}: describes {pack.name.text} otherwise")
        for number, (first, offset, sealed, count) in enumerate(locator.footer[3]):
            block = locator.piece(index_key, "locator", number, item.data, offset, sealed)
            entries = list(struct.iter_unpack(">16sII", block))
            ordered = [last, *entries] == sorted([last, *entries])
            fits = len(entries) == count <= 4096 and ordered and entries[0][0] == first
            last = entries[-1]
            require(fits, f"{text}: a block that does not fit its description")
            for chunk_id, ordinal, place in entries:
                if pack := packs[ordinal]:
                    located[pack.name].add((chunk_id, *divmod(place, 1 << 22)))
    for name, pack in vault.packs.items():
        held = set()
        for number, segment in enumerate(pack.segments):
            starts = accumulate(segment.lengths, initial=0)
            held |= {(chunk_id[:16], number, start) for chunk_id, start in zip(segment.ids, starts)}
        require(located[name] == held, f"{name.text}: the locators name other chunks than its footer")


def _verify_snapshot(vault: Vault, snapshot: Snapshot) -> None:
    """Every file's content, the document ids, and the document tree."""
    leaves: list[bytes] = []
    for entry in vault.walk(snapshot.fields[2]):
        leaves += entry.document_leaves()
        vault.attributes(entry)
        if entry.kind == Kind.FILE:
            content = b"".join(vault.content(entry))
            document = hmac_sha256(snapshot.compartment.documents, entry.path)
            require(entry.fields[17] == document, f"{entry.text}: has another document id")
            for offset, length in vault.holes(entry):
                require(content[offset : offset + length] == bytes(length), f"{entry.text}: a hole is not empty")
    same = len(leaves) == snapshot.fields[12] and document_root(leaves) == snapshot.fields[11]
    require(same, f"snapshot {snapshot.id}: the document tree has another root")


def choose(vault: Vault, wanted: str) -> Snapshot:
    """A snapshot by its number from 0 in the order of their starts, or by the beginning of its id."""
    if wanted.isdecimal() and int(wanted) < len(vault.snapshots):
        return vault.snapshots[int(wanted)]
    found = [snapshot for snapshot in vault.snapshots if snapshot.id.startswith(wanted)]
    require(len(found) == 1, f"{wanted}: {len(found)} snapshots have this id")
    return found[0]


def snapshot_line(number: int, snapshot: Snapshot) -> str:
    fields = snapshot.fields
    partial = " PARTIAL" if fields[13] else ""
    return f"{number} {snapshot.id} {document_time(*fields[8])} {os.fsdecode(fields[5])}{partial}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Reads SecureBackup vaults.")
    parser.add_argument("vault", type=Path)
    for option in ("--passphrase-file", "--key-file", "--recovery-key"):
        parser.add_argument(option, type=Path, metavar="FILE")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list").add_argument("--snapshot", metavar="N|ID")
    restoring = commands.add_parser("restore")
    restoring.add_argument("--snapshot", metavar="N|ID", required=True)
    restoring.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    commands.add_parser("verify")
    options = parser.parse_args(arguments)
    try:
        credentials = Credentials(options.passphrase_file, options.key_file, options.recovery_key)
        vault = Vault(options.vault, credentials)
        problems = vault.problems
        if options.command == "verify":
            problems = verify(vault)
        elif options.command == "restore":
            problems = problems + restore(vault, choose(vault, options.snapshot), options.to)
        elif options.snapshot is None:
            for number, snapshot in enumerate(vault.snapshots):
                print(snapshot_line(number, snapshot))
        else:
            for entry in vault.walk(choose(vault, options.snapshot).fields[2]):
                print(listing_line(vault, entry))
    except (VaultError, OSError) as error:
        problems = [str(error)]
    except MALFORMED as error:
        problems = [f"malformed: {error!r}"]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
