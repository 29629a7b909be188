//! Taking typed fields out of JSON objects.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sb_crypto::Digest;

use crate::json::Json;
use crate::lines;
use crate::malformed::Malformed;
use crate::time;

/// The fields of an object that have not been taken yet.
#[derive(Debug)]
pub(crate) struct Fields {
    format: &'static str,
    fields: BTreeMap<String, Json>,
}

impl Fields {
    /// Those of `value`, which stands in the field `name` of something.
    pub(crate) fn of(format: &'static str, name: &str, value: Json) -> Result<Self, Malformed> {
        match value {
            Json::Object(fields) => Ok(Self { format, fields }),
            _ => Err(Malformed::at_field(format, name, "not an object")),
        }
    }

    pub(crate) fn fault(&self, name: &str, fault: &'static str) -> Malformed {
        Malformed::at_field(self.format, name, fault)
    }

    pub(crate) fn optional(&mut self, name: &str) -> Option<Json> {
        self.fields.remove(name)
    }

    pub(crate) fn any(&mut self, name: &str) -> Result<Json, Malformed> {
        self.optional(name).ok_or_else(|| self.fault(name, "missing"))
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<String, Malformed> {
        match self.any(name)? {
            Json::Text(text) => Ok(text),
            _ => Err(self.fault(name, "not a string")),
        }
    }

    pub(crate) fn number(&mut self, name: &str) -> Result<u64, Malformed> {
        match self.any(name)? {
            Json::Integer(number) => Ok(number),
            _ => Err(self.fault(name, "not a whole number")),
        }
    }

    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<Json>, Malformed> {
        match self.any(name)? {
            Json::List(values) => Ok(values),
            _ => Err(self.fault(name, "not a list")),
        }
    }

    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, Malformed> {
        let text = |value| match value {
            Json::Text(text) => Some(text),
            _ => None,
        };
        let texts: Option<Vec<_>> = self.list(name)?.into_iter().map(text).collect();
        texts.ok_or_else(|| self.fault(name, "not a list of strings"))
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Self, Malformed> {
        let value = self.any(name)?;
        Self::of(self.format, name, value)
    }

    pub(crate) fn optional_object(&mut self, name: &str) -> Result<Option<Self>, Malformed> {
        self.optional(name).map(|value| Self::of(self.format, name, value)).transpose()
    }

    /// A hash in 64 lower-case hexadecimal digits.
    pub(crate) fn digest(&mut self, name: &str) -> Result<Digest, Malformed> {
        let text = self.text(name)?;
        let digest = text.parse::<Digest>().ok().filter(|digest| digest.to_string() == text);
        digest.ok_or_else(|| self.fault(name, "not 64 lower-case hexadecimal digits"))
    }

    /// A hash in base64.
    pub(crate) fn hash(&mut self, name: &str) -> Result<Digest, Malformed> {
        let text = self.text(name)?;
        lines::hash(&text).ok_or_else(|| self.fault(name, "not the base64 of a SHA-256 hash"))
    }

    pub(crate) fn seconds(&mut self, name: &str) -> Result<DateTime<Utc>, Malformed> {
        let text = self.text(name)?;
        time::parse_seconds(&text).ok_or_else(|| self.fault(name, "not a time in UTC like 2026-01-15T09:14:00Z"))
    }

    pub(crate) fn optional_seconds(&mut self, name: &str) -> Result<Option<DateTime<Utc>>, Malformed> {
        self.fields.contains_key(name).then(|| self.seconds(name)).transpose()
    }

    pub(crate) fn optional_number(&mut self, name: &str) -> Result<Option<u64>, Malformed> {
        self.fields.contains_key(name).then(|| self.number(name)).transpose()
    }

    pub(crate) fn optional_digest(&mut self, name: &str) -> Result<Option<Digest>, Malformed> {
        self.fields.contains_key(name).then(|| self.digest(name)).transpose()
    }

    pub(crate) fn milliseconds(&mut self, name: &str) -> Result<DateTime<Utc>, Malformed> {
        let text = self.text(name)?;
        let fault = "not a time in UTC like 2026-01-15T09:14:00.000Z";
        time::parse_milliseconds(&text).ok_or_else(|| self.fault(name, fault))
    }

    /// Checks that a field says exactly this.
    pub(crate) fn expect(&mut self, name: &str, text: &str, fault: &'static str) -> Result<(), Malformed> {
        if self.text(name)? == text { Ok(()) } else { Err(self.fault(name, fault)) }
    }

    /// Checks that nothing is left.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        self.fields.keys().next().map_or(Ok(()), |name| Err(self.fault(name, "unknown")))
    }

    /// What is left.
    pub(crate) fn rest(self) -> BTreeMap<String, Json> {
        self.fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::of("thing", "thing", Json::parse(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn the_wrong_kind_of_value_is_named() {
        let all = r#"{"a":true}"#;
        let fault = |fault| Malformed::at_field("thing", "a", fault);
        assert_eq!(fields(all).text("a"), Err(fault("not a string")));
        assert_eq!(fields(all).number("a"), Err(fault("not a whole number")));
        assert_eq!(fields(all).list("a"), Err(fault("not a list")));
        assert_eq!(fields(r#"{"a":[1]}"#).texts("a"), Err(fault("not a list of strings")));
        assert_eq!(fields(all).object("a").unwrap_err(), fault("not an object"));
        assert_eq!(fields(all).optional_object("a").unwrap_err(), fault("not an object"));
        assert!(fields(all).optional_object("b").unwrap().is_none());
        assert_eq!(fields("{}").any("a"), Err(fault("missing")));
        assert_eq!(fields(all).finish(), Err(fault("unknown")));
        assert_eq!(fields(r#"{"a":"c"}"#).expect("a", "b", "not b"), Err(fault("not b")));
    }

    #[test]
    fn digests_and_times_have_one_spelling() {
        let hex = sb_crypto::sha256(b"").to_string();
        assert!(fields(&format!(r#"{{"a":"{hex}"}}"#)).digest("a").is_ok());
        assert!(fields(&format!(r#"{{"a":"{}"}}"#, hex.to_uppercase())).digest("a").is_err());
        assert!(fields(&format!(r#"{{"a":"{hex}"}}"#)).hash("a").is_err());
        assert!(fields(r#"{"a":"2026-01-15T09:14:00Z"}"#).seconds("a").is_ok());
        assert!(fields(r#"{"a":"2026-01-15T09:14:00Z"}"#).milliseconds("a").is_err());
        assert!(fields(r#"{"a":"2026-01-15T09:14:00.000Z"}"#).seconds("a").is_err());
    }
}
