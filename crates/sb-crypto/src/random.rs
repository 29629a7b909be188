//! Where random bytes come from: a seam, so that a simulation can replay a run from its seed.

use std::fmt::Debug;

use ring::rand::{SecureRandom, SystemRandom as RingRandom};

/// A source of unpredictable bytes.
pub trait Random: Debug + Send + Sync {
    /// Overwrites all of `out` with random bytes.
    ///
    /// # Panics
    /// When the source fails. There is no safe way to go on without randomness, so there is no error to handle.
    fn fill(&self, out: &mut [u8]);
}

/// `N` random bytes.
///
/// # Panics
/// When the source fails.
#[must_use]
pub fn random_array<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// The random generator of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) {
        RingRandom::new().fill(out).expect("the operating system supplies random bytes");
    }
}

/// A reproducible stream of bytes: the BLAKE3 output stream of a seed. For tests and simulation only.
#[cfg(any(test, feature = "testing"))]
pub struct SeededRandom {
    seed: u64,
    stream: std::sync::Mutex<blake3::OutputReader>,
}

#[cfg(any(test, feature = "testing"))]
impl SeededRandom {
    /// The stream that belongs to `seed`, from its beginning.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let stream = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
        Self { seed, stream: stream.into() }
    }
}

#[cfg(any(test, feature = "testing"))]
impl Random for SeededRandom {
    fn fill(&self, out: &mut [u8]) {
        self.stream.lock().expect("no holder of the lock panics").fill(out);
    }
}

#[cfg(any(test, feature = "testing"))]
impl Debug for SeededRandom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeededRandom").field("seed", &self.seed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_seeds_differ() {
        let draw = |seed| {
            let random = SeededRandom::new(seed);
            (random_array::<5>(&random), random_array::<40>(&random))
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let (first, second) = draw(1);
        assert_ne!(first, second[..5]);
        assert_eq!(format!("{:?}", SeededRandom::new(7)), "SeededRandom { seed: 7, .. }");
    }

    #[test]
    fn the_system_does_not_repeat() {
        assert_ne!(random_array::<16>(&SystemRandom), random_array::<16>(&SystemRandom));
    }
}
