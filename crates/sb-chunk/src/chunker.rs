//! Finding the end of the next chunk.

use std::borrow::Cow;
use std::fmt;

use fastcdc::v2020::{Normalization, cut_gear, get_gear_with_seed, select_masks};

use crate::Params;

/// Says where the next chunk of a stream of bytes ends.
///
/// The algorithm is `FastCDC` with a 64-bit gear hash and normalization level 1 (Xia et al., "The
/// Design of Fast Content-Defined Chunking for Data Deduplication Based Storage Systems", IEEE
/// TPDS 31(9), 2020). A chunker holds no state between calls and can be shared by threads.
///
/// ```
/// use sb_chunk::{Chunker, Params};
///
/// let chunker = Chunker::new(Params::around(1024)?, &[7; 32]);
/// let mut rest: &[u8] = &[42; 10_000];
/// let mut lengths = Vec::new();
/// while let Some(length) = chunker.cut(rest, true) {
///     lengths.push(length);
///     rest = &rest[length..];
/// }
/// assert_eq!(lengths, [4096, 4096, 1808]);
/// # Ok::<(), sb_chunk::ParamsError>(())
/// ```
#[derive(Clone)]
pub struct Chunker {
    params: Params,
    mask_small: u64,
    mask_large: u64,
    gear: Cow<'static, [u64]>,
    gear_shifted: Cow<'static, [u64]>,
}

impl Chunker {
    /// A chunker whose boundaries depend on `seed`: equal seeds and sizes give equal boundaries.
    ///
    /// The first eight bytes, little-endian, are XORed into the gear table; the others are not
    /// used. That makes boundaries differ between vaults but is **no security boundary**: chunk
    /// lengths that become visible let an attacker recover the seed. Keep lengths hidden instead.
    pub fn new(params: Params, seed: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *seed;
        let (gear, gear_shifted) = get_gear_with_seed(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
        let (mask_small, mask_large) = select_masks(params.average(), Normalization::Level1);
        Self { params, mask_small, mask_large, gear, gear_shifted }
    }

    /// The sizes this chunker was made with.
    pub fn params(&self) -> Params {
        self.params
    }

    /// The length of the first chunk in `buffer`, which starts where the last chunk ended.
    ///
    /// `end` says that nothing follows `buffer`. `None` means that more input is needed, which is
    /// so as long as `buffer` is shorter than [`Params::max`] and not the end, or that `buffer` is
    /// empty. The answer looks at no more than `max` bytes, so it does not depend on how a stream
    /// was divided into buffers.
    pub fn cut(&self, buffer: &[u8], end: bool) -> Option<usize> {
        if buffer.is_empty() || (buffer.len() < self.params.max() && !end) {
            return None;
        }
        let (_, length) = cut_gear(
            buffer,
            self.params.min(),
            self.params.average(),
            self.params.max(),
            self.mask_small,
            self.mask_large,
            self.mask_small << 1,
            self.mask_large << 1,
            &self.gear,
            &self.gear_shifted,
        );
        Some(length)
    }
}

/// Shows the sizes only; the gear tables would give the seed away.
impl fmt::Debug for Chunker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunker").field("params", &self.params).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const SEED: [u8; 32] = [0x5b; 32];

    /// The high bytes of a 64-bit linear congruential generator (Knuth, MMIX).
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let step = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(step).collect()
    }

    fn lengths(chunker: &Chunker, mut rest: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(length) = chunker.cut(rest, true) {
            lengths.push(length);
            rest = &rest[length..];
        }
        lengths
    }

    #[test]
    fn golden_boundaries_never_change() {
        let data = noise(200_000);
        let sixteen = Params::around(16 * 1024).unwrap();
        let odd = Params::new(1000, 6000, 9998).unwrap();
        let mut seed = [0; 32];
        assert_eq!(lengths(&Chunker::new(sixteen, &seed), &data), GOLDEN_ZERO);
        assert_eq!(lengths(&Chunker::new(sixteen, &SEED), &data), GOLDEN_SEED);
        assert_eq!(lengths(&Chunker::new(odd, &SEED), &data[..60_000]), GOLDEN_ODD);
        seed[..8].copy_from_slice(&SEED[..8]);
        assert_eq!(lengths(&Chunker::new(sixteen, &seed), &data), GOLDEN_SEED, "only eight bytes count");
        let shuffled: [u8; 32] = std::array::from_fn(|i| i as u8);
        assert_eq!(lengths(&Chunker::new(sixteen, &shuffled), &data), GOLDEN_SHUFFLED, "little-endian");
    }

    const GOLDEN_ZERO: [usize; 12] = [23527, 24615, 9854, 4430, 23786, 31250, 8349, 5272, 8887, 20523, 18218, 21289];
    const GOLDEN_SEED: [usize; 10] = [13029, 23030, 28876, 22552, 8395, 32358, 22679, 18296, 19516, 11269];
    const GOLDEN_ODD: [usize; 9] = [2183, 4013, 6833, 9998, 7899, 5133, 9542, 9998, 4401];
    const GOLDEN_SHUFFLED: [usize; 12] =
        [18249, 26598, 21657, 21942, 23379, 18046, 10623, 10957, 21899, 9300, 13145, 4205];

    #[test]
    fn nothing_and_too_little_have_no_boundary() {
        let params = Params::around(1024).unwrap();
        let chunker = Chunker::new(params, &SEED);
        let data = noise(params.max());
        assert_eq!(chunker.cut(&[], true), None);
        assert_eq!(chunker.cut(&[], false), None);
        assert_eq!(chunker.cut(&data[..params.max() - 1], false), None);
        assert_eq!(chunker.cut(&data[..1], true), Some(1));
        assert!(chunker.cut(&data, false).is_some());
        assert_eq!(chunker.params(), params);
    }

    #[test]
    fn debug_output_keeps_the_seed() {
        let text = format!("{:?}", Chunker::new(Params::around(1024).unwrap(), &SEED));
        assert_eq!(text, "Chunker { params: Params { min: 256, average: 1024, max: 4096 }, .. }");
    }

    #[test]
    fn an_edit_changes_few_chunks() {
        let params = Params::around(1024).unwrap();
        let chunker = Chunker::new(params, &SEED);
        let before = noise(300_000);
        let chunks = |data: &[u8]| -> HashSet<Vec<u8>> {
            let mut rest = data;
            let take = |length| rest.split_off(..length).expect("chunks add up to the data").to_vec();
            lengths(&chunker, data).into_iter().map(take).collect()
        };
        let old = chunks(&before);
        for at in [0, 1, 77_777, 150_000, 299_000] {
            let mut after = before.clone();
            after.splice(at..at, *b"seven b");
            let fresh = chunks(&after).difference(&old).count();
            assert!((1..=12).contains(&fresh), "{fresh} new chunks after an edit at {at}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn boundaries_depend_on_content_and_seed_only(
            data in prop::collection::vec(any::<u8>(), 0..20_000),
            seed in any::<[u8; 32]>(),
            pieces in prop::collection::vec(1_usize..3_000, 1..20),
        ) {
            let params = Params::around(256).unwrap();
            let chunker = Chunker::new(params, &seed);
            let whole = lengths(&chunker, &data);
            prop_assert_eq!(whole.iter().sum::<usize>(), data.len());
            for (i, &length) in whole.iter().enumerate() {
                prop_assert!(length <= params.max());
                prop_assert!(length >= params.min() || i + 1 == whole.len());
            }

            let (mut start, mut fed, mut buffered) = (0, 0, Vec::new());
            for piece in pieces.iter().cycle() {
                fed = (fed + piece).min(data.len());
                while let Some(length) = chunker.cut(&data[start..fed], fed == data.len()) {
                    buffered.push(length);
                    start += length;
                }
                if fed == data.len() {
                    break;
                }
            }
            prop_assert_eq!(buffered, whole);
        }
    }
}
