//! 256-bit keys as people can copy them: Crockford's base32 with a check group.
//!
//! ```text
//! alphabet   0123456789ABCDEFGHJKMNPQRSTVWXYZ        values 0 to 31
//! data       the 256 bits, first bit first, and four zero bits: 52 symbols of 5 bits each
//! check      (the 52 symbols as one number in base 32, the first the most significant) mod 1048573,
//!            as 4 symbols in base 32, the most significant first
//! text       data ‖ check: 56 symbols
//! reading    case does not matter; O is 0, I and L are 1; hyphens and white space are skipped;
//!            the four last bits of the data must be zero
//! ```
//!
//! 1048573 = 2²⁰ − 3 is prime. One wrong symbol, or two neighbours swapped, change `data − check` by a product of
//! smaller primes: by d · 32ⁿ or d · 31 · 32ⁿ with d < 32, at the border of data and check by d · 32769. That is no
//! multiple of the prime, so such an error is found for certain; of all others, one in a million slips through.

use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::secret::Key;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const KEY_BITS: usize = 256;
const DATA_LEN: usize = KEY_BITS.div_ceil(5);
const CHECK_LEN: usize = 4;
const CHECK_MODULUS: u32 = 1_048_573;
const PADDING_MASK: u8 = 0b0_1111;

/// Symbols in a written key.
pub(crate) const TEXT_LEN: usize = DATA_LEN + CHECK_LEN;

/// The 56 symbols of `key`.
pub(crate) fn encode(key: &Key) -> Zeroizing<String> {
    let mut data = Zeroizing::new([0u8; DATA_LEN]);
    for bit in 0..KEY_BITS {
        let value = key.as_bytes()[bit / 8] >> (7 - bit % 8) & 1;
        data[bit / 5] |= value << (4 - bit % 5);
    }
    let symbols = data.iter().copied().chain(check_group(&*data));
    let mut text = Zeroizing::new(String::with_capacity(TEXT_LEN));
    text.extend(symbols.map(|value| char::from(ALPHABET[usize::from(value)])));
    text
}

/// The key written as `text`.
pub(crate) fn decode(text: &str) -> Result<Key, CryptoError> {
    let mut symbols = Zeroizing::new(Vec::with_capacity(text.len()));
    for symbol in text.chars().filter(|symbol| *symbol != '-' && !symbol.is_whitespace()) {
        let position = symbols.len() + 1;
        symbols.push(value_of(symbol).ok_or(CryptoError::KeyTextCharacter { position })?);
    }
    if symbols.len() != TEXT_LEN {
        return Err(CryptoError::KeyTextLength { len: symbols.len(), expected: TEXT_LEN });
    }
    let (data, check) = symbols.split_at(DATA_LEN);
    if check != check_group(data) || data[DATA_LEN - 1] & PADDING_MASK != 0 {
        return Err(CryptoError::KeyTextChecksum);
    }
    let mut key = Key::from_bytes([0; Key::LEN]);
    for bit in 0..KEY_BITS {
        let value = data[bit / 5] >> (4 - bit % 5) & 1;
        key.as_mut_bytes()[bit / 8] |= value << (7 - bit % 8);
    }
    Ok(key)
}

fn value_of(symbol: char) -> Option<u8> {
    let canonical = match symbol.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let index = ALPHABET.iter().position(|letter| char::from(*letter) == canonical)?;
    u8::try_from(index).ok()
}

fn check_group(data: &[u8]) -> [u8; CHECK_LEN] {
    let check = data.iter().fold(0, |sum, value| (sum * 32 + u32::from(*value)) % CHECK_MODULUS);
    [15, 10, 5, 0].map(|shift| (check >> shift & 31) as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All symbols but `symbol`, none of them an alias of it.
    fn others(symbol: u8) -> impl Iterator<Item = u8> {
        ALPHABET.iter().copied().filter(move |other| *other != symbol)
    }

    fn text(symbols: &[u8]) -> String {
        String::from_utf8(symbols.to_vec()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn keys_read_back(bytes in any::<[u8; 32]>()) {
            let key = Key::from_bytes(bytes);
            let written = encode(&key);
            prop_assert_eq!(written.len(), TEXT_LEN);
            prop_assert_eq!(decode(&written), Ok(key));
        }

        #[test]
        fn every_wrong_symbol_is_noticed(bytes in any::<[u8; 32]>()) {
            let written = encode(&Key::from_bytes(bytes)).as_bytes().to_vec();
            for position in 0..TEXT_LEN {
                for other in others(written[position]) {
                    let mut typed = written.clone();
                    typed[position] = other;
                    prop_assert_eq!(decode(&text(&typed)), Err(CryptoError::KeyTextChecksum));
                }
            }
        }

        #[test]
        fn every_swap_of_neighbours_is_noticed(bytes in any::<[u8; 32]>()) {
            let written = encode(&Key::from_bytes(bytes)).as_bytes().to_vec();
            for position in 1..TEXT_LEN {
                let mut typed = written.clone();
                typed.swap(position - 1, position);
                prop_assert!(typed == written || decode(&text(&typed)) == Err(CryptoError::KeyTextChecksum));
            }
        }
    }

    #[test]
    fn extreme_keys_are_written_as_the_definition_says() {
        assert_eq!(encode(&Key::from_bytes([0; 32])).as_str(), "0".repeat(56));
        // (2²⁵⁶ − 1) · 16 mod 1048573 = 545734 = 16·32³ + 20·32² + 30·32 + 6.
        let ones = encode(&Key::from_bytes([0xff; 32]));
        assert_eq!(ones.as_str(), format!("{}GGMY6", "Z".repeat(51)));
    }

    #[test]
    fn reading_forgives_what_is_not_ambiguous() {
        let key = Key::from_bytes([0; 32]);
        assert_eq!(decode(&format!(" \t{}-\n{}", "o".repeat(28), "O".repeat(28))), Ok(key));
        let written = encode(&Key::from_bytes([0x08; 32]));
        assert!(written.contains('1'));
        for one in ["i", "I", "l", "L"] {
            assert_eq!(decode(&written.to_lowercase().replace('1', one)), Ok(Key::from_bytes([0x08; 32])));
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        assert_eq!(decode("00-U"), Err(CryptoError::KeyTextCharacter { position: 3 }));
        assert_eq!(decode("é"), Err(CryptoError::KeyTextCharacter { position: 1 }));
        for len in [0, 55, 57] {
            let error = CryptoError::KeyTextLength { len, expected: 56 };
            assert_eq!(decode(&"0".repeat(len)), Err(error));
        }
    }

    #[test]
    fn padding_bits_must_be_zero() {
        let mut data = [0; DATA_LEN];
        data[DATA_LEN - 1] = 1;
        let symbols: Vec<_> =
            data.iter().copied().chain(check_group(&data)).map(|value| ALPHABET[usize::from(value)]).collect();
        assert_eq!(decode(&text(&symbols)), Err(CryptoError::KeyTextChecksum));
    }
}
