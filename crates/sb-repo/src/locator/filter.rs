//! What says of nearly every absent chunk that it is absent, in 18 bits a chunk.

use xorf::{BinaryFuse16, Descriptor, Filter as _};

use crate::wire::cbor::Malformed;

/// Bytes of a part's description, which stands before its fingerprints.
const DESCRIPTION: usize = 20;

/// Binary fuse filters (Graf and Lemire, ACM JEA 27, 2022), one for each stretch of a table: making one takes some 30 bytes a
/// key, so no stretch is long. One present key in none is missed, one absent key in 65,000 is not told apart.
#[derive(Default)]
pub(super) struct Filter {
    /// None where no filter could be made: anything may be there.
    parts: Vec<Option<BinaryFuse16>>,
}

impl Filter {
    /// True unless stretch `part` is sure not to have the key.
    pub(super) fn may_have(&self, part: usize, key: u64) -> bool {
        self.parts.get(part).is_none_or(|part| part.as_ref().is_none_or(|part| part.contains(&key)))
    }

    /// Adds the filter of the next stretch, whose different keys these are.
    pub(super) fn push(&mut self, keys: &[u64]) {
        self.parts.push(BinaryFuse16::try_from(keys).ok());
    }

    /// Each part as it is stored; empty for one that could not be made.
    pub(super) fn encoded(&self) -> impl Iterator<Item = Vec<u8>> {
        self.parts.iter().map(|part| {
            let Some(BinaryFuse16 { descriptor, fingerprints }) = part else { return Vec::new() };
            let mut bytes = Vec::with_capacity(DESCRIPTION + 2 * fingerprints.len());
            bytes.extend(descriptor.seed.to_be_bytes());
            bytes.extend(descriptor.segment_length.to_be_bytes());
            bytes.extend(descriptor.segment_length_mask.to_be_bytes());
            bytes.extend(descriptor.segment_count_length.to_be_bytes());
            bytes.extend(fingerprints.iter().flat_map(|fingerprint| fingerprint.to_be_bytes()));
            bytes
        })
    }

    /// Adds a part as it is stored.
    pub(super) fn push_encoded(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        const WRONG: Malformed = Malformed("not a filter");
        if bytes.is_empty() {
            self.parts.push(None);
            return Ok(());
        }
        let (description, rest) = bytes.split_first_chunk::<DESCRIPTION>().ok_or(WRONG)?;
        let (seed, numbers) = description.split_first_chunk().expect("20 bytes");
        let (numbers, _) = numbers.as_chunks::<4>();
        let [segment_length, segment_length_mask, segment_count_length] =
            [0, 1, 2].map(|number| u32::from_be_bytes(numbers[number]));
        let (fingerprints, odd) = rest.as_chunks::<2>();
        let fits = segment_length.is_power_of_two()
            && segment_length_mask == segment_length - 1
            && u64::from(segment_count_length) + 2 * u64::from(segment_length) == fingerprints.len() as u64;
        if !fits || !odd.is_empty() {
            return Err(WRONG);
        }
        self.parts.push(Some(BinaryFuse16 {
            descriptor: Descriptor {
                seed: u64::from_be_bytes(*seed),
                segment_length,
                segment_length_mask,
                segment_count_length,
            },
            fingerprints: fingerprints.iter().map(|bytes| u16::from_be_bytes(*bytes)).collect(),
        }));
        Ok(())
    }

    /// Bytes it takes in memory.
    #[cfg(feature = "testing")]
    pub(super) fn resident(&self) -> usize {
        self.parts.iter().flatten().map(|part| 2 * part.len() + size_of::<Option<BinaryFuse16>>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sb_crypto::{Random, SeededRandom};

    use super::*;

    fn read_back(filter: &Filter) -> Filter {
        let mut read = Filter::default();
        filter.encoded().for_each(|part| read.push_encoded(&part).unwrap());
        read
    }

    #[test]
    fn absent_keys_are_nearly_always_known_to_be_absent() {
        let random = SeededRandom::new(3);
        let mut bytes = vec![0; 8 * 60_000];
        random.fill(&mut bytes);
        let keys: Vec<u64> = bytes.as_chunks().0.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
        let (present, absent) = keys.split_at(40_000);
        let mut filter = Filter::default();
        filter.push(present);
        let filter = read_back(&filter);
        assert!(present.iter().all(|key| filter.may_have(0, *key)));
        assert!(absent.iter().filter(|key| filter.may_have(0, **key)).count() < 10);
        assert!(filter.resident() < 3 * present.len(), "{}", filter.resident());
    }

    proptest! {
        #[test]
        fn whatever_is_in_it_may_be_there(parts in prop::collection::vec(prop::collection::btree_set(any::<u64>(), 0..40), 0..4)) {
            let mut filter = Filter::default();
            for keys in &parts {
                filter.push(&keys.iter().copied().collect::<Vec<_>>());
            }
            let filter = read_back(&filter);
            for (part, keys) in parts.iter().enumerate() {
                prop_assert!(keys.iter().all(|key| filter.may_have(part, *key)));
            }
            prop_assert!(filter.may_have(parts.len(), 1), "where there is no filter, anything may be");
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), keys in any::<[u64; 3]>()) {
            let mut filter = Filter::default();
            if filter.push_encoded(&bytes).is_ok() {
                keys.iter().for_each(|key| { filter.may_have(0, *key); });
            }
        }
    }
}
