#![doc = include_str!("../README.md")]

mod disk;
mod error;
mod files;
mod local;
mod memory;
mod name;
mod platform;
mod storage;
mod throttled;

#[cfg(any(test, feature = "testing"))]
pub mod contract;
#[cfg(any(test, feature = "testing"))]
pub mod sim;

pub use error::StoreError;
pub use local::LocalStorage;
pub use memory::MemoryStorage;
pub use name::ObjectName;
pub use storage::{Listed, Space, Storage, Upload, create};
pub use throttled::{Limits, Throttled, Timer};
