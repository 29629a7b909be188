"""Writes negatives.txt: signatures and paddings that look right and are wrong, in the manner of Project Wycheproof.

Everything is computed here, with the test keys in this folder and, for ECDSA, those of RFC 6979 appendix A.2. Of each kind one is
right: it shows that the others fail for the one thing that is wrong with them. Needs the package cryptography.
The private keys in this folder protect nothing: they exist for tests only.
"""
import hashlib
import hmac
import pathlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = pathlib.Path(__file__).parent
MESSAGE = b"sample"
CEK, INFO, AAD, TEXT = bytes(range(32)), b"info", b"aad", b"the pack keys"


def key(name):
    return serialization.load_pem_private_key((HERE / name).read_bytes(), None)


def raw(private, block):
    """The private operation of RSA on a whole block."""
    numbers = private.private_numbers()
    n = numbers.public_numbers.n
    return pow(int.from_bytes(block, "big"), numbers.d, n).to_bytes(len(block), "big")


def encrypted(private, block):
    numbers = private.public_key().public_numbers()
    return pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(len(block), "big")


# RSA PKCS #1 v1.5 (RFC 8017 §8.2.2, §9.2)

DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
# Without the NULL of the parameters; with a long form of the outer length; with the identifier of SHA-384; of SHA-1.
NO_NULL = bytes.fromhex("302f300b0609608648016503040201" "0420")
LONG_FORM = bytes.fromhex("308131300d060960864801650304020105000420")
SHA384 = bytes.fromhex("3031300d060960864801650304020205000420")


def v15(digest_info, digest, size, start=b"\0\1", fill=b"\xff", between=b"\0", end=b""):
    tail = between + digest_info + digest + end
    return start + fill * (size - len(start) - len(tail)) + tail


def pkcs1():
    private, size = key("rsa2048.pem"), 256
    digest = hashlib.sha256(MESSAGE).digest()
    blocks = {
        "good": v15(DIGEST_INFO, digest, size),
        "no_null": v15(NO_NULL, digest, size),
        "long_form": v15(LONG_FORM, digest, size),
        "other_hash_named": v15(SHA384, digest, size),
        "hash_alone": v15(b"", digest, size),
        "block_type_2": v15(DIGEST_INFO, digest, size, start=b"\0\2"),
        "block_type_0": v15(DIGEST_INFO, digest, size, start=b"\0\0"),
        "first_byte_1": v15(DIGEST_INFO, digest, size, start=b"\1\1"),
        "filled_with_fe": v15(DIGEST_INFO, digest, size, fill=b"\xfe"),
        "no_separator": v15(DIGEST_INFO, digest, size, between=b"\xff"),
        "garbage_at_the_end": v15(DIGEST_INFO, digest, size, end=bytes(20)),
        "garbage_after_short_fill": b"\0\1" + b"\xff" * 8 + b"\0" + DIGEST_INFO + digest + bytes(size - 11 - 51),
        "digest_cut": v15(DIGEST_INFO, digest[:-1], size),
        "other_digest": v15(DIGEST_INFO, hashlib.sha256(b"other").digest(), size),
    }
    public = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    yield "pkcs1.public", public
    for name, block in blocks.items():
        yield f"pkcs1.{name}", raw(private, block)
    modulus = private.private_numbers().public_numbers.n
    good = raw(private, blocks["good"])
    yield "pkcs1.zero", bytes(size)
    yield "pkcs1.one", bytes(size - 1) + b"\1"
    yield "pkcs1.shorter", good[:-1]
    yield "pkcs1.longer", b"\0" + good
    above = int.from_bytes(good, "big") + modulus
    yield "pkcs1.above_modulus", above.to_bytes(size + 1, "big").removeprefix(b"\0")


# RSA-OAEP (RFC 8017 §7.1)

def mgf1(seed, length, name="sha256"):
    blocks = (hashlib.new(name, seed + i.to_bytes(4, "big")).digest() for i in range(length // 20 + 1))
    return b"".join(blocks)[:length]


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def oaep(first=b"\0", label=INFO, fill=b"\0", separator=b"\1", text=CEK, name="sha256", mask="sha256", size=512):
    label_hash = hashlib.new(name, label).digest()
    seed = hashlib.new(name, b"seed").digest()
    db = label_hash + fill * (size - 2 * len(label_hash) - 1 - len(separator) - len(text)) + separator + text
    masked = xor(db, mgf1(seed, len(db), mask))
    return first + xor(seed, mgf1(masked, len(seed), mask)) + masked


def hkdf(material, info):
    return hmac.digest(hmac.digest(bytes(32), material, "sha256"), info + b"\1", "sha256")


def oaeps():
    private = key("rsa4096.pem")
    blocks = {
        "good": oaep(),
        "first_byte_1": oaep(first=b"\1"),
        "other_label": oaep(label=b"other"),
        "no_label": oaep(label=b""),
        "filled_with_2": oaep(fill=b"\2"),
        "separator_2": oaep(separator=b"\2"),
        "no_separator": oaep(separator=b"", text=b""),
        "sha1": oaep(name="sha1", mask="sha1"),
        "mgf1_sha1": oaep(mask="sha1"),
        "short_key": oaep(text=CEK[:31]),
        "long_key": oaep(text=CEK + b"\0"),
        "no_key": oaep(text=b""),
    }
    sealed = AESGCM(hkdf(CEK, b"sbv1/rsa\0" + INFO)).encrypt(bytes(12), TEXT, AAD)
    yield "oaep.text", TEXT
    modulus = private.private_numbers().public_numbers.n
    for name, block in blocks.items():
        number = int.from_bytes(block, "big")
        assert number < modulus, name
        yield f"oaep.{name}", encrypted(private, block) + sealed
    yield "oaep.zero", bytes(512) + sealed
    yield "oaep.one", bytes(511) + b"\1" + sealed
    yield "oaep.modulus", modulus.to_bytes(512, "big") + sealed
    yield "oaep.raw_key", encrypted(private, CEK.rjust(512, b"\0")) + sealed


# ECDSA (RFC 6979 appendices A.2.5 and A.2.6; FIPS 186-5 §6.4)

CURVES = {
    "p256": (ec.SECP256R1(), hashes.SHA256(), 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
             0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721),
    "p384": (ec.SECP384R1(), hashes.SHA384(),
             0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
             0x6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5),
}


def integer(value, pad=b""):
    content = pad + value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
    return b"\2" + bytes([len(content)]) + content


def pair(r, s, end=b""):
    content = integer(r) + integer(s) + end
    return b"\x30" + bytes([len(content)]) + content


def ecdsas():
    for name, (curve, digest, order, secret) in CURVES.items():
        private = ec.derive_private_key(secret, curve)
        point = private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        compressed = private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
        signature = private.sign(MESSAGE, ec.ECDSA(digest, deterministic_signing=True))
        r, s = decode_dss_signature(signature)
        yield f"{name}.public", point
        yield f"{name}.public_compressed", compressed
        yield f"{name}.public_off_the_curve", point[:-1] + bytes([point[-1] ^ 1])
        yield f"{name}.public_infinity", b"\0"
        yield f"{name}.r", r.to_bytes(len(point) // 2, "big")
        yield f"{name}.s", s.to_bytes(len(point) // 2, "big")
        yield f"{name}.good", pair(r, s)
        yield f"{name}.other_s", pair(r, order - s)
        bad = {
            "r_0": pair(0, s),
            "s_0": pair(r, 0),
            "r_and_s_0": pair(0, 0),
            "r_order": pair(order, s),
            "s_order": pair(r, order),
            "r_plus_order": pair(r + order, s),
            "s_plus_order": pair(r, s + order),
            "r_negative": pair(-r, s),
            "s_negative": pair(r, -s),
            "s_minus_order": pair(r, s - order),
            "swapped": pair(s, r),
            "r_and_s_1": pair(1, 1),
            "byte_at_the_end": pair(r, s) + b"\0",
            "byte_in_the_sequence": pair(r, s, end=b"\0"),
            "null_in_the_sequence": pair(r, s, end=b"\5\0"),
            "raw": r.to_bytes(len(point) // 2, "big") + s.to_bytes(len(point) // 2, "big"),
        }
        content = integer(r) + integer(s)
        bad["long_form"] = b"\x30\x81" + bytes([len(content)]) + content
        content = integer(r, pad=b"\0") + integer(s)
        bad["r_padded"] = b"\x30" + bytes([len(content)]) + content
        content = integer(r)
        bad["s_missing"] = b"\x30" + bytes([len(content)]) + content
        for kind, value in bad.items():
            yield f"{name}.bad.{kind}", value


lines = [f"{name} = {value.hex()}\n" for part in (pkcs1, oaeps, ecdsas) for name, value in part()]
(HERE / "negatives.txt").write_text("".join(lines))
