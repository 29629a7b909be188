#![doc = include_str!("../README.md")]

mod chunker;
mod chunks;
mod params;

pub use chunker::Chunker;
pub use chunks::Chunks;
pub use params::{Params, ParamsError};
