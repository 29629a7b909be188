//! Storage that fails on purpose, the same way every time: for tests of crates that build on this one.
//!
//! - [`SimDisk`] is a disk with a page cache under a [`LocalStorage`](crate::LocalStorage): power loss, full disk, failing
//!   file operations, bit rot.
//! - [`SimStorage`] makes the operations of any storage fail, or the process die at one of them.
//! - [`Schedule`] runs several participants on one storage, one at a time, in an order that a seed decides.
//!
//! Operations are counted from 0, so a test of all failures of a run is a loop over `0..operations()` of an undisturbed one:
//!
//! ```
//! use std::sync::Arc;
//! use sb_store::sim::{Cut, SimStorage};
//! use sb_store::{MemoryStorage, ObjectName, StoreError, create};
//!
//! let name = ObjectName::new("snapshots/1")?;
//! let calm = SimStorage::new(Arc::new(MemoryStorage::new()));
//! create(&calm, &name, b"whole")?;
//!
//! for k in 0..calm.operations() {
//!     for cut in [Cut::Before, Cut::After] {
//!         let memory = MemoryStorage::new();
//!         let storage = SimStorage::new(Arc::new(memory.clone()));
//!         storage.cut(cut);
//!         storage.crash_at(k);
//!         assert!(matches!(create(&storage, &name, b"whole"), Err(StoreError::Crashed)));
//!         assert!(memory.objects().values().all(|bytes| bytes == b"whole"));
//!     }
//! }
//! # Ok::<(), StoreError>(())
//! ```

mod disk;
mod faults;
mod model;
mod random;
mod schedule;
mod storage;

pub use disk::SimDisk;
pub use faults::{Cut, Failure};
pub use schedule::Schedule;
pub use storage::{Operation, SimStorage, Verb};
