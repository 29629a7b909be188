//! What the crate promises, tested from outside.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod certificates;
mod chains;
mod documents;
mod envelopes;
mod folders;
mod histories;
mod logs;
mod notes;
mod policies;
mod published;
mod statements;
mod stretches;
mod tiles;
mod timestamps;
mod vectors;
mod witnesses;

use chrono::{DateTime, Utc};
use sb_audit::{Cosigner, Event, NoteSigner, Outcome};
use sb_crypto::{SigningKey, sha256};

/// The key that the design's vectors derive from a name.
fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(sha256(format!("SecureBackup test vector key: {name}").as_bytes()).as_bytes())
}

fn log_key() -> NoteSigner {
    NoteSigner::new("example.com/log", key("log")).unwrap()
}

fn witness(name: &str) -> Cosigner {
    Cosigner::new(name, key(name)).unwrap()
}

/// So many seconds after some moment.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_468_000 + seconds, 0).unwrap()
}

/// Something that happened at this second, to the object of this number.
fn event(second: i64, object: u64, outcome: Outcome) -> Event {
    let id = |text: &str| text.parse().unwrap();
    let object = format!("snapshot:s_{object}").parse().unwrap();
    Event::new(at(second), id("host:nas-1/sb"), id("u_7"), "Snapshot.Delete".parse().unwrap(), object, outcome)
}
