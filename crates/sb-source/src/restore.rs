//! Putting entries back.

mod error;
mod file_writer;
mod metadata;
mod target;

pub use error::TargetError;
pub use file_writer::FileWriter;
pub use metadata::{Attribute, MetadataProblem};
pub use target::Target;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
