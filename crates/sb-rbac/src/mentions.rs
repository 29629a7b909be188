//! What policies mention: attributes, literals and entities. A decision can't depend on anything else.

use std::collections::BTreeSet;

use cedar_policy::Policy;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

/// What some policies mention.
#[derive(Debug, Default)]
pub(crate) struct Mentions {
    /// Attributes that are read, or asked whether they are there.
    pub(crate) attributes: BTreeSet<String>,
    /// Entities, by type and id.
    pub(crate) entities: BTreeSet<(String, String)>,
    /// Types of entities.
    pub(crate) types: BTreeSet<String>,
    pub(crate) numbers: BTreeSet<i64>,
    pub(crate) texts: BTreeSet<String>,
    pub(crate) times: BTreeSet<DateTime<Utc>>,
    /// Milliseconds.
    pub(crate) durations: BTreeSet<i64>,
}

impl Mentions {
    pub(crate) fn of<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Self {
        let mut mentions = Self::default();
        for policy in policies {
            // Whatever passed validation can be written as JSON.
            mentions.walk(&policy.to_json().unwrap_or_default());
        }
        mentions
    }

    /// The ids of the entities of a type that are mentioned.
    pub(crate) fn ids<'a>(&'a self, of: &'a str) -> impl Iterator<Item = &'a str> {
        self.entities.iter().filter(move |(name, _)| name == of).map(|(_, id)| id.as_str())
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(fields) => {
                if let (Some(name), Some(id)) = (text(fields.get("type")), text(fields.get("id"))) {
                    self.types.insert(name.to_owned());
                    self.entities.insert((name.to_owned(), id.to_owned()));
                }
                for (key, value) in fields {
                    self.field(key, value);
                }
            }
            _ => {}
        }
    }

    fn field(&mut self, key: &str, value: &Value) {
        match (key, value) {
            ("Value", Value::Number(number)) => self.numbers.extend(number.as_i64()),
            ("Value", Value::String(text)) => {
                self.texts.insert(text.clone());
            }
            ("." | "has", _) => {
                self.attributes.extend(text(value.get("attr")).map(str::to_owned));
            }
            ("entity_type", Value::String(name)) => {
                self.types.insert(name.clone());
            }
            // Fields of literal records and of annotations are walked as well; they only add to what is mentioned.
            ("pattern", Value::Array(parts)) => {
                self.texts.insert(parts.iter().filter_map(|part| text(part.get("Literal"))).collect());
            }
            ("datetime", _) => self.times.extend(argument(value).and_then(time)),
            ("duration", _) => self.durations.extend(argument(value).and_then(duration)),
            _ => {}
        }
        self.walk(value);
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    value?.as_str()
}

fn argument(value: &Value) -> Option<&str> {
    text(value.get(0)?.get("Value"))
}

/// As Cedar writes them: a day, or a day and a time with `Z` or an offset.
fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(day.and_hms_opt(0, 0, 0)?.and_utc());
    }
    let text = text.replace('Z', "+0000");
    DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%z").ok().map(|time| time.to_utc())
}

/// As Cedar writes them: `1d2h3m4s5ms`, perhaps with a minus.
fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut sum = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let factor = match &rest[digits..unit] {
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[unit..];
    }
    sum.checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_a_decision_can_depend_on_is_found() {
        let policy = r#"permit (principal in SB::Role::"r", action, resource is SB::Document in SB::Client::"c") when {
            resource.holds < 3 && context.now.offset(duration("-1d2h")) > datetime("2026-01-02T03:04:05.006+0100") &&
            principal has accessUntil && context.now < datetime("2026-02-01") && context has request &&
            context.request.kind like "dis*e" && [SB::User::"u"].contains(principal) && resource.client == SB::Client::"d" };"#;
        let found = Mentions::of([&policy.parse().unwrap()]);
        let all = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(all(&found.attributes), "accessUntil client holds kind now request");
        assert_eq!(found.ids("SB::Client").collect::<Vec<_>>(), ["c", "d"]);
        assert_eq!((found.ids("SB::User").count(), found.ids("SB::Role").count()), (1, 1));
        assert!(found.types.contains("SB::Document") && found.texts.contains("dise") && found.numbers.contains(&3));
        assert_eq!(found.durations.iter().copied().collect::<Vec<_>>(), [-93_600_000]);
        let times: Vec<String> = found.times.iter().map(DateTime::to_rfc3339).collect();
        assert_eq!(times, ["2026-01-02T02:04:05.006+00:00", "2026-02-01T00:00:00+00:00"]);
        assert_eq!((duration("1w"), duration("3"), duration("1m1ms")), (None, None, Some(60_001)));
    }
}
