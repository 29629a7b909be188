#![doc = include_str!("../README.md")]

mod entry;
mod path;
mod problem;
mod source;

mod accounts;
mod excludes;
mod file_content;
mod file_source;
mod memory;
mod options;
mod selection;
mod walk;

mod file_writer;
mod restored;
mod target;
mod target_error;

mod platform;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod testing;

pub use entry::{Entry, Kind, Metadata, Timestamp};
pub use path::{EntryPath, PathError};
pub use problem::{Cause, Problem, SourceError};
pub use source::{Content, Event, Source};

pub use file_source::FileSource;
pub use memory::{Fault, MemorySource};
pub use options::SourceOptions;
pub use selection::SelectionError;

pub use file_writer::FileWriter;
pub use restored::{Attribute, MetadataProblem};
pub use target::Target;
pub use target_error::TargetError;
