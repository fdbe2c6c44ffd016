//! The pure parts and the state directory, from outside.

mod plan;
mod spec;
mod state;
