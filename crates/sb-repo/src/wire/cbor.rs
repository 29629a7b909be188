//! CBOR values (RFC 8949) in the core deterministic encoding, with integer map keys.
//!
//! Structures of the vault are written and read by way of [`Value`], so that a reader can keep the map entries it does not know.

use std::convert::Infallible;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use sb_crypto::Secret;

/// Deeper nesting than any structure of the vault has is refused, so that hostile bytes can't exhaust the stack.
const DEPTH_MAX: u32 = 16;

/// A CBOR item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// An unsigned integer.
    Uint(u64),
    /// A negative integer, as the number itself.
    Negative(i64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A byte string that is wiped. Written, it is one like any other.
    Secret(Secret),
    /// A text string.
    Text(String),
    /// An array.
    Array(Vec<Value>),
    /// A map with ascending integer keys.
    Map(Fields),
    /// True or false.
    Bool(bool),
    /// Null.
    Null,
}

/// Why bytes are not the structure they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid structure: {0}")]
pub struct Malformed(pub(crate) &'static str);

type Result<T> = std::result::Result<T, Malformed>;

/// A map's entries, ascending by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(u64, Value)>);

impl Fields {
    /// An empty map.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The map with this entry added. Keys may come in any order; a key that is there already is replaced.
    #[must_use]
    pub(crate) fn with(mut self, key: u64, value: impl Into<Value>) -> Self {
        self.insert(key, value.into());
        self
    }

    /// The map with this entry added if there is a value.
    #[must_use]
    pub(crate) fn with_some(self, key: u64, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds or replaces an entry.
    pub(crate) fn insert(&mut self, key: u64, value: Value) {
        match self.0.binary_search_by_key(&key, |(k, _)| *k) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// Takes an entry out.
    pub(crate) fn take(&mut self, key: u64) -> Option<Value> {
        let at = self.0.binary_search_by_key(&key, |(k, _)| *k).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Takes an entry out that must be there.
    pub(crate) fn need(&mut self, key: u64) -> Result<Value> {
        self.take(key).ok_or(Malformed("a field is missing"))
    }

    /// This map as bytes.
    pub(crate) fn encode(self) -> Vec<u8> {
        Value::Map(self).encode()
    }

    /// The same, where secrets are in it: the bytes are wiped, and there is no copy of them.
    pub(crate) fn encode_secret(self) -> Secret {
        Value::Map(self).encode_secret()
    }

    /// [`decode`](Self::decode) of what holds secrets: its byte strings are wiped.
    pub(crate) fn decode_secret(bytes: &Secret) -> Result<Self> {
        Value::decode_as(bytes, true)?.fields()
    }

    /// The map at the start of `bytes`; what follows it must be zero (padding) or nothing.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        Value::decode(bytes)?.fields()
    }
}

impl Value {
    /// Bytes that are wiped.
    pub(crate) fn of_secret(bytes: &[u8]) -> Self {
        Self::Secret(Secret::new(bytes.to_vec()))
    }

    /// This item as bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        write(&mut encoder, self).expect("writing to memory does not fail");
        encoder.into_writer()
    }

    fn encode_secret(&self) -> Secret {
        let mut counter = Encoder::new(Counter(0));
        write(&mut counter, self).expect("counting does not fail");
        let length = counter.into_writer().0;
        // With room for all of it from the start it is never moved, which would leave a copy behind.
        let mut encoder = Encoder::new(Vec::with_capacity(length));
        write(&mut encoder, self).expect("writing to memory does not fail");
        let bytes = encoder.into_writer();
        debug_assert_eq!(bytes.len(), length);
        Secret::new(bytes)
    }

    /// The item at the start of `bytes`; what follows it must be zero (padding) or nothing.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        Self::decode_as(bytes, false)
    }

    fn decode_as(bytes: &[u8], secret: bool) -> Result<Self> {
        let mut decoder = Decoder::new(bytes);
        let value = read(&mut decoder, secret, 0)?;
        if bytes[decoder.position()..].iter().any(|byte| *byte != 0) {
            return Err(Malformed("bytes after the end"));
        }
        Ok(value)
    }

    /// As an unsigned integer.
    pub(crate) fn uint(self) -> Result<u64> {
        match self {
            Self::Uint(number) => Ok(number),
            _ => Err(Malformed("not an unsigned integer")),
        }
    }

    /// As an unsigned integer below 2³².
    pub(crate) fn uint32(self) -> Result<u32> {
        u32::try_from(self.uint()?).map_err(|_| Malformed("a number is too large"))
    }

    /// As an integer.
    pub(crate) fn integer(self) -> Result<i64> {
        match self {
            Self::Uint(number) => i64::try_from(number).map_err(|_| Malformed("a number is too large")),
            Self::Negative(number) => Ok(number),
            _ => Err(Malformed("not an integer")),
        }
    }

    /// As a byte string.
    pub(crate) fn bytes(self) -> Result<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed("not a byte string")),
        }
    }

    /// As a byte string that is wiped.
    pub(crate) fn secret(self) -> Result<Secret> {
        match self {
            Self::Secret(secret) => Ok(secret),
            other => other.bytes().map(Secret::new),
        }
    }

    /// As a byte string of exactly this length, which is no secret.
    pub(crate) fn array_of<const N: usize>(self) -> Result<[u8; N]> {
        const WRONG: Malformed = Malformed("a byte string has the wrong length");
        match self {
            Self::Secret(secret) => secret.as_bytes().try_into().map_err(|_| WRONG),
            other => other.bytes()?.try_into().map_err(|_| WRONG),
        }
    }

    /// As text.
    pub(crate) fn text(self) -> Result<String> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(Malformed("not text")),
        }
    }

    /// As an array.
    pub(crate) fn array(self) -> Result<Vec<Self>> {
        match self {
            Self::Array(items) => Ok(items),
            _ => Err(Malformed("not an array")),
        }
    }

    /// As an array of exactly `N` items.
    pub(crate) fn tuple<const N: usize>(self) -> Result<[Self; N]> {
        self.array()?.try_into().map_err(|_| Malformed("an array has the wrong length"))
    }

    /// As an array whose items are all read by `item`.
    pub(crate) fn list<T>(self, item: impl FnMut(Self) -> Result<T>) -> Result<Vec<T>> {
        self.array()?.into_iter().map(item).collect()
    }

    /// As a map.
    pub(crate) fn fields(self) -> Result<Fields> {
        match self {
            Self::Map(fields) => Ok(fields),
            _ => Err(Malformed("not a map")),
        }
    }

    /// As true or false.
    pub(crate) fn boolean(self) -> Result<bool> {
        match self {
            Self::Bool(value) => Ok(value),
            _ => Err(Malformed("not true or false")),
        }
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Uint(number)
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Uint(number.into())
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        u64::try_from(number).map_or(Self::Negative(number), Self::Uint)
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}
impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}
impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::Array(items)
    }
}
impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::Map(fields)
    }
}
impl<T, const N: usize> From<crate::ids::Id<T, N>> for Value {
    fn from(id: crate::ids::Id<T, N>) -> Self {
        Self::Bytes(id.as_bytes().to_vec())
    }
}
impl From<sb_crypto::Digest> for Value {
    fn from(digest: sb_crypto::Digest) -> Self {
        Self::Bytes(digest.as_bytes().to_vec())
    }
}

/// An array of what each item becomes.
pub(crate) fn array<T, V: Into<Value>>(items: impl IntoIterator<Item = T>, each: impl FnMut(T) -> V) -> Value {
    Value::Array(items.into_iter().map(each).map(Into::into).collect())
}

type Written = std::result::Result<(), minicbor::encode::Error<Infallible>>;

/// How long what is written is.
struct Counter(usize);

impl minicbor::encode::Write for Counter {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> std::result::Result<(), Infallible> {
        self.0 += bytes.len();
        Ok(())
    }
}

fn write<W: minicbor::encode::Write<Error = Infallible>>(encoder: &mut Encoder<W>, value: &Value) -> Written {
    match value {
        Value::Uint(number) => encoder.u64(*number).map(drop),
        Value::Negative(number) => encoder.i64(*number).map(drop),
        Value::Bytes(bytes) => encoder.bytes(bytes).map(drop),
        Value::Secret(secret) => encoder.bytes(secret).map(drop),
        Value::Text(text) => encoder.str(text).map(drop),
        Value::Bool(value) => encoder.bool(*value).map(drop),
        Value::Null => encoder.null().map(drop),
        Value::Array(items) => {
            encoder.array(items.len() as u64)?;
            items.iter().try_for_each(|item| write(encoder, item))
        }
        Value::Map(fields) => {
            encoder.map(fields.0.len() as u64)?;
            fields.0.iter().try_for_each(|(key, value)| {
                encoder.u64(*key)?;
                write(encoder, value)
            })
        }
    }
}

fn read(decoder: &mut Decoder<'_>, secret: bool, depth: u32) -> Result<Value> {
    const BROKEN: Malformed = Malformed("not CBOR");
    if depth > DEPTH_MAX {
        return Err(Malformed("nested too deeply"));
    }
    let value = match decoder.datatype().map_err(|_| BROKEN)? {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => Value::Uint(decoder.u64().map_err(|_| BROKEN)?),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => Value::Negative(decoder.i64().map_err(|_| BROKEN)?),
        Type::Bytes if secret => Value::of_secret(decoder.bytes().map_err(|_| BROKEN)?),
        Type::Bytes => Value::Bytes(decoder.bytes().map_err(|_| BROKEN)?.to_vec()),
        Type::String => Value::Text(decoder.str().map_err(|_| BROKEN)?.to_owned()),
        Type::Bool => Value::Bool(decoder.bool().map_err(|_| BROKEN)?),
        Type::Null => {
            decoder.null().map_err(|_| BROKEN)?;
            Value::Null
        }
        Type::Array => {
            let length = decoder.array().map_err(|_| BROKEN)?.ok_or(BROKEN)?;
            let mut items = Vec::new();
            for _ in 0..length {
                items.push(read(decoder, secret, depth + 1)?);
            }
            Value::Array(items)
        }
        Type::Map => {
            let length = decoder.map().map_err(|_| BROKEN)?.ok_or(BROKEN)?;
            let mut fields: Vec<(u64, Value)> = Vec::new();
            for _ in 0..length {
                let key = decoder.u64().map_err(|_| Malformed("a map key is not an unsigned integer"))?;
                if fields.last().is_some_and(|(last, _)| *last >= key) {
                    return Err(Malformed("map keys are not ascending"));
                }
                fields.push((key, read(decoder, secret, depth + 1)?));
            }
            Value::Map(Fields(fields))
        }
        _ => return Err(Malformed("an unexpected kind of item")),
    };
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<u64>().prop_map(Value::Uint),
            (i64::MIN..0).prop_map(Value::Negative),
            any::<Vec<u8>>().prop_map(Value::Bytes),
            ".*".prop_map(Value::Text),
            any::<bool>().prop_map(Value::Bool),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
                prop::collection::btree_map(any::<u64>(), inner, 0..8)
                    .prop_map(|map| Value::Map(Fields(map.into_iter().collect()))),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_reads_back_with_any_padding(value in values(), padding in 0..40usize) {
            let mut bytes = value.encode();
            bytes.extend(vec![0; padding]);
            prop_assert_eq!(Value::decode(&bytes), Ok(value));
        }

        #[test]
        fn secrets_are_written_like_anything_else_in_one_piece_and_read_as_secrets(value in values()) {
            let encoded = value.encode_secret();
            prop_assert_eq!(encoded.as_bytes(), value.encode());
            let read = Value::decode_as(&encoded, true).unwrap();
            prop_assert!(holds_no_bare_bytes(&read));
            prop_assert_eq!(read.encode(), value.encode());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            let _ = Value::decode(&bytes);
        }
    }

    fn holds_no_bare_bytes(value: &Value) -> bool {
        match value {
            Value::Bytes(_) => false,
            Value::Array(items) => items.iter().all(holds_no_bare_bytes),
            Value::Map(fields) => fields.0.iter().all(|(_, value)| holds_no_bare_bytes(value)),
            _ => true,
        }
    }

    #[test]
    fn the_encoding_is_the_shortest_with_keys_ascending() {
        let fields = Fields::new().with(300, 1u64).with(2, -1i64).with(1, true).with_some(9, None::<u64>);
        assert_eq!(fields.encode(), [0xa3, 1, 0xf5, 2, 0x20, 0x19, 1, 0x2c, 1]);
    }

    #[test]
    fn hostile_bytes_are_refused() {
        for (bytes, why) in [
            (&[0x9f, 1, 0xff][..], "indefinite length"),
            (&[0xa2, 2, 0, 1, 0], "keys descend"),
            (&[0xa2, 1, 0, 1, 0], "a key twice"),
            (&[0xa1, 0x61, 0x61, 0], "a text key"),
            (&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "an endless array"),
            (&[1, 1], "bytes after the end"),
            (&[0xf9, 0, 0], "a float"),
            (&[], "nothing"),
        ] {
            assert!(Value::decode(bytes).is_err(), "{why}");
        }
        assert!(Value::decode(&[0x81; 100]).is_err(), "nested too deeply");
        assert!(Value::Null.uint().is_err() && Value::Null.text().is_err() && Value::Null.boolean().is_err());
        assert!(Value::Uint(u64::MAX).integer().is_err() && Value::Uint(1 << 32).uint32().is_err());
        assert!(Value::Bytes(vec![1]).array_of::<2>().is_err() && Value::Array(vec![]).tuple::<1>().is_err());
    }
}
