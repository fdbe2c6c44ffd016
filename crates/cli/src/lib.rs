//! What the fronts share, so that engines never print: errors told to people, `--format`, progress, logging.
//!
//! A front is a thin `main`: clap parses [`Global`] and its verb, the verb returns `Result<_, Error>`,
//! and [`main`] prints what went wrong and gives the exit code.
//!
//! - [`error`]: [`Kind`] and [`Error`], `error: what: why` and `hint:` lines, or one JSON object.
//! - [`output`]: data on standard output, words on standard error.
//! - [`progress`]: a line that is redrawn on a terminal after 250 ms, plain lines elsewhere.
//! - [`serve`]: the exit of a whole program.

pub mod error;
pub mod output;
pub mod progress;
pub mod serve;

pub use error::{Error, Kind, ResultExt};
pub use output::{Format, Global, out, out_json, say};
pub use progress::Progress;
pub use serve::main;
