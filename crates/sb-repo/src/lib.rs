#![doc = include_str!("../README.md")]

mod ids;
mod name;
mod wire;

mod clock;
mod error;
mod keys;
mod state;

mod live;
mod trust;
mod view;

mod create;
mod sessions;
mod vault;

mod chunks;
mod locator;
mod pack;
mod tree;
