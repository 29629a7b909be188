//! What an audit log says: one entry for each thing that was done, denied or tried, `sb-audit/v1`.
//!
//! An entry is one object in [canonical JSON](crate::Json) with the facts of NIST SP 800-53 AU-3 and at most 65,535
//! bytes: when (`t`), who (`actor`), what (`action`), to what (`object`), with which result (`outcome`), from where
//! (`src`), anything else (`data`), and its number in the log (`seq`), which is its index in the tree. Ids are opaque:
//! a log can't forget, so names have no place in it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::bundle::ENTRY_BYTES_MAX;
use crate::fields::Fields;
use crate::json::Json;
use crate::malformed::Malformed;
use crate::time;

const FORMAT: &str = "log entry";
const VERSION: &str = "sb-audit/v1";
/// The field of `data` that says which intent an entry is the outcome of.
const INTENT: &str = "intent";
const ID_BYTES_MAX: usize = 255;

/// The id of somebody or something: printable ASCII without spaces, quotes and backslashes, at most 255 bytes.
///
/// It should be opaque, such as `u_3f9c` or `snapshot:5be2…`: what it stands for is written where it can be erased.
///
/// ```
/// use sb_audit::OpaqueId;
/// assert!("client:c_0077".parse::<OpaqueId>().is_ok());
/// assert!("Smith & Sons".parse::<OpaqueId>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpaqueId(String);

impl OpaqueId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OpaqueId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'\'');
        if text.is_empty() || text.len() > ID_BYTES_MAX || !text.bytes().all(fits) {
            return Err(Malformed::at_byte(
                "id",
                0,
                "not 1 to 255 printable ASCII characters without spaces and quotes",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for OpaqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is done, as `Thing.Verb`: two words of ASCII letters and digits, each with a capital, at most 64 bytes.
///
/// ```
/// use sb_audit::Action;
/// let action: Action = "Snapshot.Create".parse()?;
/// assert_eq!(action.as_str(), "Snapshot.Create");
/// # Ok::<(), sb_audit::Malformed>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Action(String);

impl Action {
    /// The action whose entry says that a certificate was issued; `statement_sha256` in its data says which.
    pub const CERTIFICATE_ISSUE: &str = "Certificate.Issue";

    /// The action as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Action {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let is_word = |word: &str| {
            word.starts_with(|first: char| first.is_ascii_uppercase())
                && word.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        let fits = text.len() <= 64 && text.split_once('.').is_some_and(|(a, b)| is_word(a) && is_word(b));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed::at_byte("action", 0, "not like `Snapshot.Create`"))
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It was permitted and is about to happen. A later entry says how it ended; without one, nobody knows.
    Intent,
    /// It was permitted and has happened.
    Success,
    /// It was not permitted and has not happened.
    Denied,
    /// It was permitted and did not succeed.
    Failed,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Intent, Self::Success, Self::Denied, Self::Failed];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// Something to be logged: an entry without its number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When, as the machine's clock says. Written to the millisecond.
    pub time: DateTime<Utc>,
    /// Who did it.
    pub actor: OpaqueId,
    /// What was done.
    pub action: Action,
    /// To what.
    pub object: OpaqueId,
    /// How it ended.
    pub outcome: Outcome,
    /// The machine and program it was done from.
    pub source: OpaqueId,
    /// The number of the entry that announced it, if one did.
    pub intent: Option<u64>,
    /// Anything else. Not `intent`, which has its own field.
    pub data: BTreeMap<String, Json>,
}

impl Event {
    /// An event without further data.
    #[must_use]
    pub const fn new(
        time: DateTime<Utc>,
        source: OpaqueId,
        actor: OpaqueId,
        action: Action,
        object: OpaqueId,
        outcome: Outcome,
    ) -> Self {
        Self { time, actor, action, object, outcome, source, intent: None, data: BTreeMap::new() }
    }

    /// The event with one more fact.
    #[must_use]
    pub fn with(mut self, key: &str, value: Json) -> Self {
        self.data.insert(key.to_owned(), value);
        self
    }

    /// The event as the outcome of what entry `intent` announced.
    #[must_use]
    pub const fn answering(mut self, intent: u64) -> Self {
        self.intent = Some(intent);
        self
    }
}

/// An event at its place in a log.
///
/// ```
/// use sb_audit::Entry;
/// let bytes = br#"{"action":"Snapshot.Create","actor":"svc:sbd","data":{},"object":"snapshot:s_07","outcome":"success","seq":7,"src":"host:nas-1/sbd","t":"2026-01-15T09:31:00.000Z","v":"sb-audit/v1"}"#;
/// let entry = Entry::parse(bytes)?;
/// assert_eq!((entry.seq, entry.event.actor.as_str()), (7, "svc:sbd"));
/// assert_eq!(entry.to_bytes()?, bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 0.
    pub seq: u64,
    /// What it says.
    pub event: Event,
}

impl Entry {
    /// Reads an entry. Only the canonical bytes are accepted, and only the fields of `sb-audit/v1`.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(Malformed::at_byte(FORMAT, ENTRY_BYTES_MAX, "too long"));
        }
        let mut fields = Fields::of(FORMAT, "", Json::parse_canonical(bytes)?)?;
        fields.expect("v", VERSION, "not `sb-audit/v1`")?;
        let seq = fields.number("seq")?;
        let outcome = fields.text("outcome")?;
        let outcome = Outcome::ALL.into_iter().find(|known| known.as_str() == outcome);
        let outcome = outcome.ok_or_else(|| fields.fault("outcome", "unknown"))?;
        let mut data = fields.object("data")?;
        let intent = match data.optional(INTENT) {
            None => None,
            Some(Json::Integer(intent)) if outcome != Outcome::Intent && intent < seq => Some(intent),
            Some(_) => return Err(data.fault(INTENT, "not the number of an entry before an outcome")),
        };
        let event = Event {
            time: fields.milliseconds("t")?,
            actor: fields.text("actor")?.parse()?,
            action: fields.text("action")?.parse()?,
            object: fields.text("object")?.parse()?,
            outcome,
            source: fields.text("src")?.parse()?,
            intent,
            data: data.rest(),
        };
        fields.finish()?;
        Ok(Self { seq, event })
    }

    /// The canonical bytes: what is hashed into the log.
    ///
    /// # Errors
    /// [`Malformed`] if nobody could read them: more than 65,535 bytes, a time outside the years 0000 to 9999, an intent
    /// that does not stand before or stands among the data, or data that [`Json`] can't write.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Malformed> {
        let event = &self.event;
        if event.data.contains_key(INTENT) {
            return Err(Malformed::at_field(FORMAT, INTENT, "among the data"));
        }
        let data = Json::Object(event.data.clone()).with(INTENT, event.intent.map(Json::Integer));
        let json = Json::object([
            ("action", Json::text(event.action.as_str())),
            ("actor", Json::text(event.actor.as_str())),
            ("data", data),
            ("object", Json::text(event.object.as_str())),
            ("outcome", Json::text(event.outcome.as_str())),
            ("seq", Json::Integer(self.seq)),
            ("src", Json::text(event.source.as_str())),
            ("t", Json::text(time::milliseconds(&event.time))),
            ("v", Json::text(VERSION)),
        ]);
        let bytes = json.to_string().into_bytes();
        Self::parse(&bytes)?;
        Ok(bytes)
    }
}
