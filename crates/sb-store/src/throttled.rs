use std::fmt::Debug;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Listed, ObjectName, Space, Storage, StoreError, Upload};

/// How much a limit may be exceeded for a moment, after a pause: what it lets through in this time.
const BURST: Duration = Duration::from_millis(250);
/// Uploads are passed on in pieces of this many bytes, so that they flow evenly.
const PIECE_BYTES: usize = 64 * 1024;

/// Limits of the traffic of a [`Throttled`] storage; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes per second written.
    pub up: Option<NonZeroU64>,
    /// Bytes per second read.
    pub down: Option<NonZeroU64>,
}

/// A monotonic clock one can sleep by.
pub trait Timer: Debug + Send + Sync {
    /// Time since some fixed moment.
    fn now(&self) -> Duration;
    /// Returns after `duration`.
    fn sleep(&self, duration: Duration);
}

/// A storage whose traffic is limited, over all threads that use it.
///
/// ```
/// use std::num::NonZeroU64;
/// use sb_store::{Limits, MemoryStorage, Storage, Throttled};
///
/// let limits = Limits { up: NonZeroU64::new(5_000_000), down: None };
/// let storage = Throttled::new(MemoryStorage::new(), limits);
/// assert!(storage.list("")?.is_empty());
/// # Ok::<(), sb_store::StoreError>(())
/// ```
#[derive(Debug)]
pub struct Throttled<S> {
    inner: S,
    timer: Arc<dyn Timer>,
    up: Option<Bucket>,
    down: Option<Bucket>,
}

impl<S: Storage> Throttled<S> {
    /// Limits a storage by the clock of this machine.
    pub fn new(inner: S, limits: Limits) -> Self {
        Self::with_timer(inner, limits, Arc::new(SystemTimer { start: Instant::now() }))
    }

    /// Limits a storage by another clock.
    pub fn with_timer(inner: S, limits: Limits, timer: Arc<dyn Timer>) -> Self {
        Self { inner, timer, up: limits.up.map(Bucket::new), down: limits.down.map(Bucket::new) }
    }

    fn pay(&self, bucket: Option<&Bucket>, bytes: usize) {
        if let Some(bucket) = bucket {
            let wait = bucket.take(bytes as u64, self.timer.now());
            if !wait.is_zero() {
                self.timer.sleep(wait);
            }
        }
    }
}

impl<S: Storage> Storage for Throttled<S> {
    fn read(&self, name: &ObjectName) -> Result<Vec<u8>, StoreError> {
        let bytes = self.inner.read(name)?;
        self.pay(self.down.as_ref(), bytes.len());
        Ok(bytes)
    }

    fn read_range_into(
        &self,
        name: &ObjectName,
        offset: u64,
        length: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        self.inner.read_range_into(name, offset, length, buffer)?;
        self.pay(self.down.as_ref(), length);
        Ok(())
    }

    fn evict(&self, name: &ObjectName) {
        self.inner.evict(name);
    }

    fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        self.inner.size(name)
    }

    fn begin(&self) -> Result<Box<dyn Upload + '_>, StoreError> {
        Ok(Box::new(ThrottledUpload { storage: self, inner: self.inner.begin()? }))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(prefix)
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.inner.remove(name)
    }

    fn space(&self) -> Result<Option<Space>, StoreError> {
        self.inner.space()
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        self.inner.sweep()
    }
}

struct ThrottledUpload<'a, S> {
    storage: &'a Throttled<S>,
    inner: Box<dyn Upload + 'a>,
}

impl<S: Storage> Upload for ThrottledUpload<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.storage.up.is_none() {
            return self.inner.write(bytes);
        }
        for piece in bytes.chunks(PIECE_BYTES) {
            self.storage.pay(self.storage.up.as_ref(), piece.len());
            self.inner.write(piece)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>, name: &ObjectName) -> Result<(), StoreError> {
        self.inner.finish(name)
    }
}

/// A token bucket, kept as the time at which all that was taken so far has been paid for.
#[derive(Debug)]
struct Bucket {
    bytes_per_second: NonZeroU64,
    paid_at: Mutex<Duration>,
}

impl Bucket {
    fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, paid_at: Mutex::new(Duration::ZERO) }
    }

    /// Takes bytes at time `now` and returns how long to wait for them.
    fn take(&self, bytes: u64, now: Duration) -> Duration {
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.get());
        let price = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        *paid_at = (*paid_at).max(now.saturating_sub(BURST)).saturating_add(price);
        paid_at.saturating_sub(now)
    }
}

#[derive(Debug)]
struct SystemTimer {
    start: Instant,
}

impl Timer for SystemTimer {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStorage, create};

    /// A clock on which only sleeping takes time.
    #[derive(Debug, Default)]
    struct Slept(Mutex<Duration>);

    impl Timer for Slept {
        fn now(&self) -> Duration {
            *self.0.lock().unwrap()
        }

        fn sleep(&self, duration: Duration) {
            *self.0.lock().unwrap() += duration;
        }
    }

    const KIB: usize = 1024;

    fn throttled(up: Option<u64>, down: Option<u64>) -> (Throttled<MemoryStorage>, Arc<Slept>) {
        let timer = Arc::new(Slept::default());
        let limits = Limits { up: up.and_then(NonZeroU64::new), down: down.and_then(NonZeroU64::new) };
        (Throttled::with_timer(MemoryStorage::new(), limits, Arc::clone(&timer) as Arc<dyn Timer>), timer)
    }

    fn name() -> ObjectName {
        ObjectName::new("packs/1").unwrap()
    }

    #[test]
    fn uploads_take_as_long_as_the_limit_says() {
        let (storage, timer) = throttled(Some(100 * 1024), None);
        create(&storage, &name(), &vec![7; 1000 * KIB]).unwrap();
        assert_eq!(timer.now(), Duration::from_secs(10));
        assert_eq!(storage.read(&name()).unwrap().len(), 1000 * KIB);
        assert_eq!(timer.now(), Duration::from_secs(10));
    }

    #[test]
    fn downloads_take_as_long_as_the_limit_says() {
        let (storage, timer) = throttled(None, Some(100 * 1024));
        create(&storage, &name(), &vec![7; 1000 * KIB]).unwrap();
        assert_eq!(timer.now(), Duration::ZERO);
        storage.read_range(&name(), 0, 500 * KIB).unwrap();
        assert_eq!(timer.now(), Duration::from_secs(5));
        storage.read(&name()).unwrap();
        assert_eq!(timer.now(), Duration::from_secs(15));
    }

    #[test]
    fn a_pause_saves_up_a_burst_and_no_more() {
        let bucket = Bucket::new(NonZeroU64::new(1000).unwrap());
        let now = Duration::from_secs(3600);
        assert_eq!(bucket.take(250, now), Duration::ZERO);
        assert_eq!(bucket.take(1000, now), Duration::from_secs(1));
        assert_eq!(bucket.take(u64::MAX, now), Duration::from_nanos(u64::MAX) + Duration::from_secs(1));
    }

    #[test]
    fn the_clock_of_the_machine_goes_on_while_sleeping() {
        let timer = SystemTimer { start: Instant::now() };
        let before = timer.now();
        timer.sleep(Duration::from_millis(1));
        assert!(timer.now() >= before);
    }
}
