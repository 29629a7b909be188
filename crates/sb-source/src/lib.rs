#![doc = include_str!("../README.md")]

mod entry;
mod path;
mod problem;
mod source;

mod accounts;
mod ahead;
mod excludes;
mod file_content;
mod file_source;
mod look;
mod memory;
mod options;
mod selection;
mod stream;
mod walk;

mod restore;

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
pub use stream::StreamSource;

pub use restore::{
    Attribute, FileWriter, Filter, FolderId, IfTaken, Mark, MetadataProblem, Prune, Scratch, Target, TargetError,
    TargetFolder, Verdict,
};
