//! What looks right and is wrong is refused: signatures, paddings, points and tags in the manner of Project Wycheproof, made by
//! `data/make_negatives.py`. Beside each stands a right one, so that it is refused for what is wrong with it.

use std::collections::BTreeMap;

use sb_crypto::{
    CryptoError, HashAlgorithm, Key, PrivateKey, PublicKey, RecipientAlgorithm, Sealer, SigningKey, VerifyingKey,
    X509Hash, X509Signature, open_with,
};

const MESSAGE: &[u8] = b"sample";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits")).collect()
}

/// The values whose names begin with `prefix`, without it.
fn values(prefix: &str) -> BTreeMap<&'static str, Vec<u8>> {
    let lines = include_str!("data/negatives.txt").lines().map(|line| line.split_once(" = ").expect("`name = hex`"));
    lines.filter_map(|(name, hex)| Some((name.strip_prefix(prefix)?, bytes(hex)))).collect()
}

#[test]
fn rsa_signatures_with_any_other_padding_are_refused() {
    let mut values = values("pkcs1.");
    let public = values.remove("public").expect("a key");
    let verify = |signature: &[u8]| X509Signature::Rsa(X509Hash::Sha256).verify(&public, MESSAGE, signature);
    assert_eq!(verify(&values.remove("good").expect("a signature")), Ok(()));
    assert_eq!(values.len(), 18);
    for (name, signature) in values {
        assert_eq!(verify(&signature), Err(CryptoError::BadSignature), "{name}");
    }
}

#[test]
fn rsa_oaep_with_any_other_padding_opens_nothing_and_all_errors_are_alike() {
    let mut values = values("oaep.");
    let key = PrivateKey::from_pem(include_str!("data/rsa4096.pem")).expect("a key");
    let text = values.remove("text").expect("a text");
    let good = values.remove("good").expect("a message");
    assert_eq!(open_with(&key, b"info", b"aad", &good).expect("it opens").as_bytes(), text);
    assert_eq!(values.len(), 15);
    for (name, sealed) in values {
        assert_eq!(open_with(&key, b"info", b"aad", &sealed), Err(CryptoError::NotAuthentic), "{name}");
    }
}

/// RFC 6979 appendices A.2.5 and A.2.6, message "sample".
#[test]
fn ecdsa_signatures_of_rfc_6979_verify_and_malformed_ones_do_not() {
    let r = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716";
    let s = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
    assert_eq!((&values("p256.")["r"], &values("p256.")["s"]), (&bytes(r), &bytes(s)), "those that the RFC prints");
    let r = "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46";
    let s = "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8";
    assert_eq!((&values("p384.")["r"], &values("p384.")["s"]), (&bytes(r), &bytes(s)), "those that the RFC prints");
    let curves = [
        ("p256.", X509Signature::EcdsaP256(X509Hash::Sha256), X509Signature::EcdsaP256(X509Hash::Sha384)),
        ("p384.", X509Signature::EcdsaP384(X509Hash::Sha384), X509Signature::EcdsaP384(X509Hash::Sha256)),
    ];
    for (curve, algorithm, other_hash) in curves {
        let values = values(curve);
        let (public, good) = (&values["public"], &values["good"]);
        assert_eq!(algorithm.verify(public, MESSAGE, good), Ok(()));
        // The standard allows both s and order − s, so a signature never names what it signs.
        assert_eq!(algorithm.verify(public, MESSAGE, &values["other_s"]), Ok(()));
        let bad = values.iter().filter(|(name, _)| name.starts_with("bad."));
        assert_eq!(bad.clone().count(), 19);
        for (name, signature) in bad {
            assert_eq!(algorithm.verify(public, MESSAGE, signature), Err(CryptoError::BadSignature), "{curve}{name}");
        }
        assert_eq!(other_hash.verify(public, MESSAGE, good), Err(CryptoError::BadSignature));
        for key in ["public_compressed", "public_off_the_curve", "public_infinity"] {
            assert_eq!(algorithm.verify(&values[key], MESSAGE, good), Err(CryptoError::BadSignature), "{curve}{key}");
        }
    }
}

/// The order of the base point of edwards25519 (RFC 8032 §5.1), little-endian.
const ED25519_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn add(a: &mut [u8], b: &[u8]) {
    let mut carry = 0;
    for (a, b) in a.iter_mut().zip(b) {
        let sum = u16::from(*a) + u16::from(*b) + carry;
        (*a, carry) = (sum as u8, sum >> 8);
    }
}

#[test]
fn ed25519_signatures_have_one_form() {
    let key = SigningKey::from_seed(&[9; 32]);
    let good = key.sign(MESSAGE);
    assert_eq!(key.public().verify(MESSAGE, &good), Ok(()));
    // S + order, S + 2 · order …: the same S to arithmetic, another to RFC 8032 §5.1.7.
    let mut malleable = good;
    for times in 1..=8 {
        add(&mut malleable[32..], &bytes(ED25519_ORDER));
        assert_eq!(key.public().verify(MESSAGE, &malleable), Err(CryptoError::BadSignature), "S + {times} · order");
    }
    for (name, range, byte) in [("R 0", 0..32, 0), ("S 0", 32..64, 0), ("R 255", 0..32, 255), ("S 255", 32..64, 255)] {
        let mut forged = good;
        forged[range].fill(byte);
        assert_eq!(key.public().verify(MESSAGE, &forged), Err(CryptoError::BadSignature), "{name}");
    }
    // The top bit of R is the sign of x, that of S must be zero.
    for at in [31, 63] {
        let mut forged = good;
        forged[at] ^= 0x80;
        assert_eq!(key.public().verify(MESSAGE, &forged), Err(CryptoError::BadSignature), "byte {at}");
    }
    let mut swapped = good;
    swapped.rotate_left(32);
    assert_eq!(key.public().verify(MESSAGE, &swapped), Err(CryptoError::BadSignature));
}

#[test]
fn a_point_of_another_form_is_nobodys_ed25519_key() {
    let good = SigningKey::from_seed(&[9; 32]).sign(MESSAGE);
    // y = p, p + 1 and 2^255 − 1, not reduced; y = 2, which is on no point.
    for point in ["edff", "eeff", "ffff", "0200"] {
        let (low, fill) = (bytes(point), if point == "0200" { 0 } else { 0xff });
        let mut key = [fill; 32];
        key[..2].copy_from_slice(&low);
        key[31] &= 0x7f;
        assert_eq!(VerifyingKey::from_bytes(key).verify(MESSAGE, &good), Err(CryptoError::BadSignature), "{point}");
    }
}

/// With such a key anybody could sign whatever he likes: R = the neutral element and S = 0 fit every message.
#[test]
fn a_key_of_low_order_verifies_nothing() {
    let p = |low: u8| [&[low][..], &[0xff; 30], &[0x7f]].concat();
    let small = |low: u8| [&[low][..], &[0; 31]].concat();
    let mut keys = vec![small(0), small(1), p(0xec), p(0xed), p(0xee)];
    keys.push(bytes("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"));
    keys.push(bytes("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"));
    for mut key in keys {
        for sign in [0, 0x80] {
            key[31] ^= sign;
            let public = VerifyingKey::from_bytes(key.as_slice().try_into().expect("32 bytes"));
            for n in 0..64_u8 {
                let mut signature = [0; 64];
                signature[0] = 1;
                assert_eq!(public.verify(&[n], &signature), Err(CryptoError::BadSignature), "{key:02x?}");
            }
        }
    }
}

/// The points of low order of Curve25519 and of its twist, and their other forms (RFC 7748 §6.1: the shared secret is zero).
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn x25519_points_of_low_order_are_neither_sealed_to_nor_opened_from() {
    let algorithm = RecipientAlgorithm::HpkeX25519;
    let key = PrivateKey::from_secret_bytes(algorithm, &[5; 32]).expect("a key");
    for point in LOW_ORDER {
        for top_bit in [0, 0x80] {
            let mut point = bytes(point);
            point[31] |= top_bit;
            let refused = PublicKey::from_bytes(algorithm, &point);
            assert_eq!(refused, Err(CryptoError::InvalidPublicKey { algorithm }), "{point:02x?}");
            let sealed = [point.as_slice(), &[0; 40]].concat();
            assert_eq!(open_with(&key, b"", b"", &sealed), Err(CryptoError::NotAuthentic), "{point:02x?}");
        }
    }
}

#[test]
fn p256_points_that_are_none_are_refused() {
    let algorithm = RecipientAlgorithm::HpkeP256;
    let values = values("p256.");
    let good = &values["public"];
    assert!(PublicKey::from_bytes(algorithm, good).is_ok());
    let mut bad =
        ["public_compressed", "public_off_the_curve", "public_infinity"].map(|name| values[name].clone()).to_vec();
    // (0, 0); coordinates that are not reduced; the hybrid form of SEC 1 before 2.0; the prefix of nothing.
    bad.push([&[4][..], &[0; 64]].concat());
    bad.push([&[4][..], &[0xff; 64]].concat());
    bad.extend([0, 5, 6, 7].map(|prefix| [&[prefix], &good[1..]].concat()));
    let key = PrivateKey::from_secret_bytes(algorithm, &[5; 32]).expect("a key");
    for point in bad {
        let refused = PublicKey::from_bytes(algorithm, &point);
        assert_eq!(refused, Err(CryptoError::InvalidPublicKey { algorithm }), "{point:02x?}");
        let mut sealed = point.clone();
        sealed.resize(65 + 40, 0);
        assert_eq!(open_with(&key, b"", b"", &sealed), Err(CryptoError::NotAuthentic), "{point:02x?}");
    }
}

#[test]
fn any_changed_or_shortened_tag_is_refused() {
    let sealer = Sealer::new(HashAlgorithm::HmacSha256, &Key::from_bytes([3; 32]), "test");
    for length in [0, 1, 15, 16, 17, 100] {
        let good = sealer.seal(b"place", b"aad", &vec![7; length]);
        assert!(sealer.open(b"place", b"aad", &good).is_ok());
        let tag = good.len() - 16;
        for bit in 0..128 {
            let mut forged = good.clone();
            forged[tag + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(sealer.open(b"place", b"aad", &forged), Err(CryptoError::NotAuthentic), "bit {bit}");
        }
        for fill in [0, 0xff] {
            let mut forged = good.clone();
            forged[tag..].fill(fill);
            assert_eq!(sealer.open(b"place", b"aad", &forged), Err(CryptoError::NotAuthentic));
        }
        for cut in 1..=16 {
            assert!(sealer.open(b"place", b"aad", &good[..good.len() - cut]).is_err());
        }
        assert!(sealer.open(b"place", b"aad", &[good.as_slice(), &[0]].concat()).is_err());
    }
}
