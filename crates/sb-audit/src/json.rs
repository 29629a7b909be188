//! JSON with one spelling for each value, so that what is signed and hashed is a pure function of what it says.
//!
//! The rules: UTF-8; no white space between tokens; keys sorted by their bytes, each once, in ASCII; strings escaped as
//! RFC 8785 §3.2.2.2 does (`\"`, `\\`, `\b`, `\f`, `\n`, `\r`, `\t`, other control characters as `\u00xx`, everything
//! else as it is); numbers are integers from 0 to 2⁶⁴ − 1 in decimal. There are no fractions, exponents, negative
//! numbers and no `null`: they can't be written, and reading them fails. Up to 2⁵³ − 1 the result is exactly that of
//! RFC 8785; what lies above is written with all its digits, where RFC 8785 would round it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::malformed::Malformed;

/// How deep lists and objects may be nested.
const DEPTH_MAX: u8 = 16;

/// A value that has a canonical form.
///
/// ```
/// use sb_audit::Json;
/// let value = Json::parse(br#"{ "size": 13, "origin": "example.com/log" }"#)?;
/// assert_eq!(value.to_string(), r#"{"origin":"example.com/log","size":13}"#);
/// assert!(Json::parse(br#"{"size": 13.0}"#).is_err());
/// # Ok::<(), sb_audit::Malformed>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that is not negative.
    Integer(u64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object. Keys are ASCII; see [`Json::object`].
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads JSON in any spelling.
    ///
    /// # Errors
    /// [`Malformed`] if it is not JSON, or says what has no canonical form: a number that is no integer from 0 to
    /// 2⁶⁴ − 1, `null`, a key twice or one that is not ASCII, or more than 16 levels.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = Nested(DEPTH_MAX).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
        value.map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Malformed::at_line("JSON", error.line(), "a value we do not write"),
            _ => Malformed::at_line("JSON", error.line(), "a syntax error"),
        })
    }

    /// Reads JSON in its canonical form.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse), and [`Malformed`] where another spelling was chosen.
    pub fn parse_canonical(bytes: &[u8]) -> Result<Self, Malformed> {
        let value = Self::parse(bytes)?;
        let canonical = value.to_string();
        let same = bytes.iter().zip(canonical.as_bytes()).take_while(|(read, written)| read == written).count();
        if same == bytes.len() && same == canonical.len() {
            Ok(value)
        } else {
            Err(Malformed::at_byte("canonical JSON", same, "another spelling"))
        }
    }

    /// An object of these fields.
    ///
    /// # Panics
    /// When a key is not ASCII. Keys are constants of a format.
    #[must_use]
    pub fn object<const N: usize>(fields: [(&str, Self); N]) -> Self {
        Self::Object(fields.into_iter().map(|(key, value)| (ascii(key), value)).collect())
    }

    /// A string.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Adds a field to an object.
    pub(crate) fn with(self, key: &str, value: Option<Self>) -> Self {
        match (self, value) {
            (Self::Object(mut fields), Some(value)) => {
                fields.insert(ascii(key), value);
                Self::Object(fields)
            }
            (other, _) => other,
        }
    }
}

fn ascii(key: &str) -> String {
    assert!(key.is_ascii(), "the key `{key}` is not ASCII");
    key.to_owned()
}

/// The canonical form.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(text) => write_text(f, text),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(fields) => {
                f.write_str("{")?;
                for (index, (key, value)) in fields.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    write_text(f, key)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    let mut rest = text;
    while let Some(at) = rest.find(|character| matches!(character, '"' | '\\' | '\0'..='\u{1f}')) {
        let (plain, special) = rest.split_at(at);
        f.write_str(plain)?;
        match special.as_bytes()[0] {
            b'"' => f.write_str("\\\""),
            b'\\' => f.write_str("\\\\"),
            0x08 => f.write_str("\\b"),
            0x0c => f.write_str("\\f"),
            b'\n' => f.write_str("\\n"),
            b'\r' => f.write_str("\\r"),
            b'\t' => f.write_str("\\t"),
            control => write!(f, "\\u{control:04x}"),
        }?;
        rest = &special[1..];
    }
    f.write_str(rest)?;
    f.write_str("\"")
}

/// Reads a value that may have so many levels.
#[derive(Clone, Copy)]
struct Nested(u8);

impl Nested {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Json, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that has a canonical form")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Integer(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut fields = BTreeMap::new();
        while let Some(key) = object.next_key::<String>()? {
            if !key.is_ascii() {
                return Err(A::Error::custom("a key that is not ASCII"));
            }
            if fields.insert(key, object.next_value_seed(inner)?).is_some() {
                return Err(A::Error::custom("a key that stands twice"));
            }
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_canonical_form_is_refused() {
        for bad in [
            "null",
            "1.0",
            "1.5",
            "-1",
            "-0",
            "1e2",
            "18446744073709551616",
            r#"{"a":1,"a":1}"#,
            r#"{"é":1}"#,
            r#""\ud800""#,
            "[1,]",
            "{}{}",
            "",
            "tru",
            "NaN",
            "'a'",
            "[1] x",
            "\"\n\"",
        ] {
            assert!(Json::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Json::parse(nested(16).as_bytes()).is_ok());
        assert!(Json::parse(nested(17).as_bytes()).is_err());
        assert!(Json::parse(nested(100_000).as_bytes()).is_err());
        let objects = format!("{}1{}", r#"{"a":"#.repeat(17), "}".repeat(17));
        assert!(Json::parse(objects.as_bytes()).is_err());
    }

    #[test]
    fn only_one_spelling_is_canonical() {
        let canonical = r#"{"a":[true,false,{}],"b":"\"\\\b\f\n\r\t\u0001é/\u001f","c":18446744073709551615}"#;
        assert_eq!(Json::parse_canonical(canonical.as_bytes()).unwrap().to_string(), canonical);
        for other in [r#"{"b":1,"a":2}"#, r#"{"a": 1}"#, "[1 ]", r#""\u0041""#, r#""\/""#, r#""\u001F""#, "1\n"] {
            assert!(Json::parse(other.as_bytes()).is_ok(), "{other}");
            assert!(Json::parse_canonical(other.as_bytes()).is_err(), "{other}");
        }
        let error = Json::parse_canonical(br#"{"a": 1}"#).unwrap_err();
        assert_eq!(error.to_string(), "not a valid canonical JSON: another spelling, byte 5");
    }

    #[test]
    fn fields_are_only_added_to_objects() {
        let object = Json::object([("b", Json::Integer(1))]);
        assert_eq!(object.clone().with("a", None), object);
        assert_eq!(object.with("a", Some(Json::Bool(true))).to_string(), r#"{"a":true,"b":1}"#);
        assert_eq!(Json::Bool(true).with("a", Some(Json::Bool(true))), Json::Bool(true));
    }

    #[test]
    #[should_panic(expected = "the key `é` is not ASCII")]
    fn keys_are_ascii() {
        let _ = Json::object([("é", Json::Bool(true))]);
    }

    fn values() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Json::Bool),
            any::<u64>().prop_map(Json::Integer),
            any::<String>().prop_map(Json::Text),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Json::List),
                prop::collection::btree_map("[ -~]{0,6}", inner, 0..5).prop_map(Json::Object),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_value_reads_back(value in values()) {
            let text = value.to_string();
            prop_assert_eq!(Json::parse_canonical(text.as_bytes()).unwrap(), value);
            let other: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(serde_json::to_string(&other).unwrap().replace("\\u007f", "\u{7f}"), text);
        }
    }
}
