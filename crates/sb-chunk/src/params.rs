//! The three sizes that govern where chunks end.

use fastcdc::v2020::{AVERAGE_MAX, AVERAGE_MIN, MAXIMUM_MAX, MAXIMUM_MIN, MINIMUM_MAX, MINIMUM_MIN};
use thiserror::Error;

/// Minimum, average and maximum length of a chunk, in bytes.
///
/// All three are even, because the algorithm tests two positions in one step, and
/// `min ≤ average ≤ max`. Different sizes give different boundaries: whoever stores chunks must
/// store the sizes as well.
///
/// ```
/// use sb_chunk::Params;
///
/// let params = Params::around(16 * 1024)?;
/// assert_eq!((params.min(), params.average(), params.max()), (4 * 1024, 16 * 1024, 64 * 1024));
/// # Ok::<(), sb_chunk::ParamsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Params {
    min: usize,
    average: usize,
    max: usize,
}

impl Params {
    /// Takes the three sizes, in bytes.
    ///
    /// The average selects one of the algorithm's masks by its rounded binary logarithm, so it is
    /// exact for powers of two and a rough aim otherwise.
    ///
    /// # Errors
    /// A size that is odd or outside the algorithm's limits (min 64 B to 1 MiB, average 256 B to
    /// 4 MiB, max 1 KiB to 16 MiB), and sizes out of order.
    pub fn new(min: usize, average: usize, max: usize) -> Result<Self, ParamsError> {
        within("minimum", min, MINIMUM_MIN, MINIMUM_MAX)?;
        within("average", average, AVERAGE_MIN, AVERAGE_MAX)?;
        within("maximum", max, MAXIMUM_MIN, MAXIMUM_MAX)?;
        if min > average || average > max {
            return Err(ParamsError::Disordered { min, average, max });
        }
        Ok(Self { min, average, max })
    }

    /// The usual proportions: a quarter of the average, the average, four times the average.
    ///
    /// # Errors
    /// As [`Params::new`]: the average must lie between 256 B and 4 MiB and be divisible by 8.
    pub fn around(average: usize) -> Result<Self, ParamsError> {
        Self::new(average / 4, average, average.saturating_mul(4))
    }

    /// No chunk but the last of an input is shorter. Bytes.
    pub fn min(&self) -> usize {
        self.min
    }

    /// The length aimed at. Bytes.
    pub fn average(&self) -> usize {
        self.average
    }

    /// No chunk is longer. Bytes.
    pub fn max(&self) -> usize {
        self.max
    }
}

fn within(size: &'static str, value: usize, least: usize, most: usize) -> Result<(), ParamsError> {
    if !(least..=most).contains(&value) {
        return Err(ParamsError::OutOfRange { size, value, least, most });
    }
    if !value.is_multiple_of(2) {
        return Err(ParamsError::Odd { size, value });
    }
    Ok(())
}

/// Why three numbers cannot be chunk sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// A size is outside what the algorithm supports.
    #[error("{size} chunk size of {value} bytes is not between {least} and {most}")]
    OutOfRange {
        /// Which size: `minimum`, `average` or `maximum`.
        size: &'static str,
        /// The size given, in bytes.
        value: usize,
        /// The least allowed, in bytes.
        least: usize,
        /// The most allowed, in bytes.
        most: usize,
    },
    /// A size is odd.
    #[error("{size} chunk size of {value} bytes is odd")]
    Odd {
        /// Which size: `minimum`, `average` or `maximum`.
        size: &'static str,
        /// The size given, in bytes.
        value: usize,
    },
    /// The sizes are not in ascending order.
    #[error("chunk sizes {min}, {average}, {max} are not in ascending order")]
    Disordered {
        /// The minimum given, in bytes.
        min: usize,
        /// The average given, in bytes.
        average: usize,
        /// The maximum given, in bytes.
        max: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_inclusive() {
        assert!(Params::new(64, 256, 1024).is_ok());
        assert!(Params::new(1 << 20, 4 << 20, 16 << 20).is_ok());
        assert!(Params::new(4096, 4096, 4096).is_ok());
        assert!(Params::around(256).is_ok());
        assert!(Params::around(4 << 20).is_ok());
    }

    #[test]
    fn refusals_name_the_size() {
        let cases = [
            ((62, 256, 1024), "minimum chunk size of 62 bytes is not between 64 and 1048576"),
            ((64, 254, 1024), "average chunk size of 254 bytes is not between 256 and 4194304"),
            ((64, 256, (16 << 20) + 2), "maximum chunk size of 16777218 bytes is not between 1024 and 16777216"),
            ((65, 256, 1024), "minimum chunk size of 65 bytes is odd"),
            ((64, 257, 1024), "average chunk size of 257 bytes is odd"),
            ((64, 256, 1025), "maximum chunk size of 1025 bytes is odd"),
            ((512, 256, 1024), "chunk sizes 512, 256, 1024 are not in ascending order"),
            ((64, 2048, 1024), "chunk sizes 64, 2048, 1024 are not in ascending order"),
        ];
        for ((min, average, max), message) in cases {
            assert_eq!(Params::new(min, average, max).unwrap_err().to_string(), message);
        }
        assert!(matches!(Params::around(260), Err(ParamsError::Odd { size: "minimum", value: 65 })));
        assert!(matches!(Params::around(usize::MAX), Err(ParamsError::OutOfRange { .. })));
    }
}
