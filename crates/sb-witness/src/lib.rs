#![doc = include_str!("../README.md")]

mod files;
mod logs;
mod state;

mod witness;

mod http;
mod server;

mod client;

pub use files::FolderError;
pub use logs::{Logs, LogsError};
pub use state::Seen;

pub use witness::{Answer, CosignError, Cosigned, Overview, Watched, Witness};

pub use server::{Served, Server, ServerLimits};

pub use client::{Client, HttpError, RootsError, StampError, SubmitError};

/// The readers of bytes from outside, for the fuzzer.
#[cfg(feature = "testing")]
pub mod testing {
    pub use crate::http::{Fault, Head, parse_head};
}
