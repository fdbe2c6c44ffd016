//! Ignition v3 configs: reading with positions, validation with upstream's verdicts, translation upward, merging.
//! No I/O.
//!
//! Principles:
//! - **One table.** [`config`] declares every section and field once, with the spec that brought it; reading, unknown
//!   keys, writing, duplicates and merging follow from it. There is one set of types, that of the newest spec; a config
//!   is read by the fields of its own version, validated by the rules of its own version ([`check`]), then translated
//!   up, which in 3.x changes next to nothing.
//! - **Verdicts are upstream's** (`ignition-validate` 2.26): what it accepts is accepted, what it refuses is refused,
//!   with its texts and `$.` paths. Beyond that every entry has a position, a stable code and often a hint, and all
//!   wrong types are reported at once.
//! - **Validation is not support.** Whether this system can do what a valid config asks is the planner's to say.
//!
//! ```
//! let parsed = ignition_spec::parse(br#"{"ignition": {"version": "3.5.0"}}"#).unwrap();
//! assert_eq!(parsed.config.ignition.version, "3.6.0");
//! let report = ignition_spec::parse(br#"{"ignition": {"version": "2.3.0"}}"#).unwrap_err();
//! assert_eq!(report.to_string(), "error at $.ignition.version, line 1 col 26: unsupported config version");
//! ```
//!
//! Modules: [`parse`](mod@parse) is the way in; [`json`] and [`tree`] read text; [`read`] gives types; [`schema`],
//! [`value`](ConfigValue) and [`config`] are the table; [`check`] the rules; [`mod@merge`] and its transcript;
//! [`rules`] every rule with the page that
//! explains it; [`report`], [`positions`], [`excerpt`] say what is wrong and where; [`dataurl`], [`url`], [`unitfile`], [`gopath`]
//! are the small grammars inside.

#![forbid(unsafe_code)]

pub mod check;
pub mod config;
pub mod dataurl;
pub mod excerpt;
pub mod explain;
pub mod gopath;
pub mod json;
pub mod json_schema;
pub mod merge;
pub mod parse;
pub mod path;
pub mod positions;
pub mod read;
pub mod report;
pub mod rules;
pub mod schema;
pub mod suggest;
pub mod tree;
pub mod unitfile;
pub mod url;
mod value;
pub mod version;
pub mod view;
pub mod write;

pub use check::validate;
pub use config::Config;
pub use merge::{Side, Transcript, merge};
pub use parse::{Parsed, parse};
pub use positions::Positions;
pub use report::{Entry, Position, Report, Severity};
pub use schema::ConfigValue;
pub use version::Spec;
pub use view::View;

/// Fuzz entry: any bytes must be parsed or refused; an accepted config must survive being written, parsed again and
/// merged with itself.
pub fn fuzz_json(bytes: &[u8]) {
    let Ok(parsed) = parse(bytes) else { return };
    // In its own version: rules of later ones need not hold (3.0 takes an empty source, 3.1 does not).
    let mut own = parsed.config.clone();
    own.ignition.version = parsed.spec.to_string();
    let again = parse(&own.to_json_pretty()).map(|again| again.config);
    assert_eq!(again.as_ref(), Ok(&parsed.config), "a written config reads back");
    let _ = merge(&parsed.config, &parsed.config);
}
