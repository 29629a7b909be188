//! The stored structures, byte for byte as docs/format.md has them; domain types live elsewhere.

pub(crate) mod cbor;
pub(crate) mod certificate;
pub(crate) mod config;
pub(crate) mod container;
pub(crate) mod entry;
pub(crate) mod frame;
pub(crate) mod journal;
pub(crate) mod label;
pub(crate) mod lease;
pub(crate) mod locator;
pub(crate) mod named;
pub(crate) mod node;
pub(crate) mod pack;
pub(crate) mod proof;
pub(crate) mod redaction;
pub(crate) mod request;
mod roll;
#[cfg(test)]
mod roundtrips;
pub(crate) mod session;
pub(crate) mod skim;
pub(crate) mod slot;
pub(crate) mod snapshot;

use chrono::{DateTime, Utc};

use cbor::{Malformed, Value};

/// A point in time as stored.
pub(crate) fn time(time: DateTime<Utc>) -> Value {
    Value::Array(vec![time.timestamp().into(), time.timestamp_subsec_nanos().min(999_999_999).into()])
}

/// Reads a point in time.
pub(crate) fn read_time(value: Value) -> Result<DateTime<Utc>, Malformed> {
    let [seconds, nanoseconds] = value.tuple()?;
    let nanoseconds = Some(nanoseconds.uint32()?).filter(|n| *n < 1_000_000_000);
    let time = nanoseconds.and_then(|n| DateTime::from_timestamp(seconds.integer().ok()?, n));
    time.ok_or(Malformed("a time is out of range"))
}

/// `length` rounded up by Padmé (Nikitin et al., PoPETs 2019(4), §4): at most 12 % more, and few distinct lengths.
pub(crate) fn padme(length: u64) -> u64 {
    if length < 2 {
        return length;
    }
    let e = u64::from(length.ilog2());
    let s = u64::from(e.max(1).ilog2()) + 1;
    let unit = 1 << e.saturating_sub(s);
    length.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn padme_costs_at_most_an_eighth_and_is_stable(length in 0u64..1 << 40) {
            let padded = padme(length);
            prop_assert!(padded >= length && padded - length <= length / 8 + 1);
            prop_assert_eq!(padme(padded), padded);
        }

        #[test]
        fn times_read_back(seconds in -62_000_000_000i64..250_000_000_000, nanoseconds in 0u32..1_000_000_000) {
            let at = DateTime::from_timestamp(seconds, nanoseconds).unwrap();
            prop_assert_eq!(read_time(time(at)), Ok(at));
        }
    }

    #[test]
    fn padme_as_published() {
        // Examples computed from the paper's definition.
        for (length, padded) in [(0, 0), (1, 1), (9, 10), (1000, 1024), (1_000_000, 1_015_808)] {
            assert_eq!(padme(length), padded, "{length}");
        }
        assert!(read_time(Value::Array(vec![Value::Uint(u64::MAX), Value::Uint(0)])).is_err());
        assert!(read_time(Value::Array(vec![Value::Uint(0), Value::Uint(2_000_000_001)])).is_err());
    }
}
