//! LZ4 blocks: an encoder that fills a given space, and a decoder. Safe Rust, no dependency.
//!
//! Format: `lz4_Block_format.md` of the LZ4 project. A block is a row of *sequences*: a token byte (length of literals in
//! the upper four bits, of the match less 4 in the lower), more length bytes where a field is 15 (each adds up to 255),
//! the literals, then the match's distance in two bytes. The last sequence has literals only. The last five bytes are
//! always literals, and the last match begins at least twelve bytes before the end.

mod chains;
mod decode;
mod encode;

pub use decode::{DecodeError, decode};
pub use encode::Encoder;

/// Greatest distance of a match.
pub const DISTANCE_MAX: u16 = u16::MAX;
/// Shortest match.
const MATCH_MIN: usize = 4;
/// So many bytes at the end are literals.
const END_LITERALS: usize = 5;
/// The last match begins at least so far before the end.
const END_MATCH_START: usize = 12;
/// A length field of four bits that goes on in further bytes.
const LENGTH_MORE: usize = 15;
