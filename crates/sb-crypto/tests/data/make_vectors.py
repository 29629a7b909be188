"""Writes vectors.txt: the constructions of sb-crypto, computed a second time with other libraries.

Needs the packages cryptography, argon2-cffi and blake3. RSA-OAEP is randomized, so its lines differ from run to run.
The private keys in this folder protect nothing: they exist for tests only.
"""
import hashlib
import hmac
import pathlib

import blake3
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = pathlib.Path(__file__).parent
ZERO_NONCE = bytes(12)


def hkdf_extract(salt, ikm):
    return hmac.digest(salt or bytes(32), ikm, "sha256")


def hkdf_expand(prk, info, length):
    okm, block, counter = b"", b"", 1
    while len(okm) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        okm, counter = okm + block, counter + 1
    return okm[:length]


def derive(material, label, *context):
    info = b"sbv1/" + label.encode() + b"\0" + b"".join(context)
    return hkdf_expand(hkdf_extract(b"", material), info, 32)


def keyed_hash(algorithm, key, data):
    return blake3.blake3(data, key=key).digest() if algorithm == 1 else hmac.digest(key, data, "sha256")


def seal(algorithm, key, label, context, aad, plaintext):
    h = keyed_hash(algorithm, derive(key, "bind", label, b"\0"), plaintext)
    message_key = derive(key, "seal", label, b"\0", context, hashlib.sha256(aad).digest(), h)
    return h + AESGCM(message_key).encrypt(ZERO_NONCE, plaintext, aad)


def hpke(kem_id, aead_id, dh, enc, pk_r, info, aad, plaintext):
    def labeled_extract(suite, salt, label, ikm):
        return hkdf_extract(salt, b"HPKE-v1" + suite + label + ikm)

    def labeled_expand(suite, prk, label, info, length):
        return hkdf_expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)

    kem = b"KEM" + kem_id.to_bytes(2, "big")
    shared = labeled_expand(kem, labeled_extract(kem, b"", b"eae_prk", dh), b"shared_secret", enc + pk_r, 32)
    suite = b"HPKE" + b"".join(n.to_bytes(2, "big") for n in (kem_id, 1, aead_id))
    context = b"\0" + labeled_extract(suite, b"", b"psk_id_hash", b"") + labeled_extract(suite, b"", b"info_hash", info)
    secret = labeled_extract(suite, shared, b"secret", b"")
    key = labeled_expand(suite, secret, b"key", context, 16 if aead_id == 1 else 32)
    nonce = labeled_expand(suite, secret, b"base_nonce", context, 12)
    return AESGCM(key).encrypt(nonce, plaintext, aad)


def hpke_x25519(sk_e, sk_r, aead_id, info, aad, plaintext):
    e, r = (x25519.X25519PrivateKey.from_private_bytes(k) for k in (sk_e, sk_r))
    enc, pk_r = e.public_key().public_bytes_raw(), r.public_key().public_bytes_raw()
    return pk_r, enc, hpke(0x20, aead_id, e.exchange(r.public_key()), enc, pk_r, info, aad, plaintext)


def hpke_p256(sk_e, sk_r, aead_id, info, aad, plaintext):
    def public(key):
        form = serialization.PublicFormat.UncompressedPoint
        return key.public_key().public_bytes(serialization.Encoding.X962, form)

    e, r = (ec.derive_private_key(int.from_bytes(k, "big"), ec.SECP256R1()) for k in (sk_e, sk_r))
    dh = e.exchange(ec.ECDH(), r.public_key())
    return public(r), public(e), hpke(0x10, aead_id, dh, public(e), public(r), info, aad, plaintext)


def oaep(public, label, key):
    return public.encrypt(key, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label))


def written(key):
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    data = int.from_bytes(key, "big") << 4
    number = data << 20 | data % 1048573
    return "".join(alphabet[number >> 5 * i & 31] for i in reversed(range(56)))


def slots(vectors, public):
    aad, payload, passphrase = b"vault 4711", b"what the roles need", "Größe 42".encode()
    salt, key_file, recovery, seed = (hashlib.sha256(n).digest() for n in (b"salt", b"file", b"recovery", b"seed"))
    argon = hash_secret_raw(passphrase, salt, 3, 65536, 4, 32, Type.ID, 19)
    pbkdf2 = hashlib.pbkdf2_hmac("sha256", passphrase, salt, 100000, 32)
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    key_id = hashlib.sha256(spki).digest()[:16]
    keks = {
        "argon2id": derive(argon, "slot/passphrase", salt),
        "pbkdf2": derive(pbkdf2, "slot/passphrase", salt),
        "key_file": derive(key_file, "slot/key-file", salt),
        "both": derive(pbkdf2 + key_file, "slot/passphrase-and-key-file", salt),
        "rsa": derive(seed, "slot/rsa", salt, key_id),
        "recovery": derive(recovery, "slot/recovery", salt),
    }
    vectors |= {"slot.salt": salt, "slot.aad": aad, "slot.payload": payload, "slot.passphrase": passphrase}
    vectors |= {"slot.key_file_text": ("sb-key-1:" + written(key_file)).encode(), "slot.rsa.key_id": key_id}
    vectors |= {"slot.recovery_text": written(recovery).encode()}
    vectors |= {f"slot.{name}.sealed": seal(2, kek, b"slot", aad, aad, payload) for name, kek in keks.items()}
    vectors["slot.rsa.wrapped"] = oaep(public, b"sbv1/slot/rsa\0" + salt, seed)


def main():
    rfc_info, rfc_plain = b"Ode on a Grecian Urn", b"Beauty is truth, truth beauty"
    rfc_aad = b"Count-0"
    x = [bytes.fromhex(k) for k in (
        "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
        "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")]
    p = [bytes.fromhex(k) for k in (
        "4995788ef4b9d6132b249ce59a77281493eb39af373d236a1fe415cb0c2d7beb",
        "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2")]
    # This implementation reproduces RFC 9180 A.1.1 and A.3.1 (AES-128-GCM); the RFC has no vector with our AEAD.
    assert hpke_x25519(*x, 1, rfc_info, rfc_aad, rfc_plain)[2].hex().startswith("f938558b5d72f1a23810b4be2ab4f843")
    assert hpke_p256(*p, 1, rfc_info, rfc_aad, rfc_plain)[2].hex().startswith("5ad590bb8baa577f8619db35a3631122")

    public = serialization.load_pem_public_key((HERE / "rsa4096.pub.pem").read_bytes())
    key, label, context, aad, plaintext = bytes(range(32)), b"segment", b"place", b"vault", b"the ledger of 2026"
    vectors = {"derive": derive(key, "pack", b"one", b"two"), "commitment": derive(key, "commit", bytes([7] * 32))}
    vectors |= {f"seal.{n}": seal(n, key, label, context, aad, plaintext) for n in (1, 2)}
    for name, function, keys in (("hpke.x25519", hpke_x25519, x), ("hpke.p256", hpke_p256, p)):
        pk_r, enc, ciphertext = function(*keys, 2, rfc_info, rfc_aad, rfc_plain)
        vectors |= {f"{name}.private": keys[1], f"{name}.public": pk_r, f"{name}.sealed": enc + ciphertext}
    cek = hashlib.sha256(b"cek").digest()
    rsa = AESGCM(derive(cek, "rsa", rfc_info)).encrypt(ZERO_NONCE, rfc_plain, rfc_aad)
    vectors["rsa.sealed"] = oaep(public, rfc_info, cek) + rsa
    slots(vectors, public)
    lines = (f"{name} = {value.hex()}\n" for name, value in vectors.items())
    (HERE / "vectors.txt").write_text("".join(lines))


main()
