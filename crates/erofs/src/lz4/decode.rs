//! The decoder, for blocks of unknown origin.

use super::{LENGTH_MORE, MATCH_MIN};

/// Why a block was not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The block ends within a sequence.
    #[error("the block ends within a sequence, at byte {at}")]
    Truncated {
        /// Offset in the block.
        at: usize,
    },
    /// A match begins before the beginning of the output.
    #[error("a match goes back beyond the beginning, at byte {at}")]
    Distance {
        /// Offset in the block.
        at: usize,
    },
    /// The block decodes to less than was asked for.
    #[error("the block holds {got_bytes} bytes, {want_bytes} were asked for")]
    Short {
        /// Bytes decoded.
        got_bytes: usize,
        /// Bytes asked for.
        want_bytes: usize,
    },
}

/// Decodes the first `out.len()` bytes of a block; the block may hold more.
///
/// # Errors
/// [`DecodeError`] when the block is damaged or too short; `out` then holds anything.
pub fn decode(block: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
    let (mut at, mut done) = (0, 0);
    while done < out.len() {
        let Some(&token) = block.get(at) else {
            return Err(DecodeError::Short { got_bytes: done, want_bytes: out.len() });
        };
        at += 1;
        let literals = length(block, &mut at, usize::from(token >> 4))?;
        let literals = literals.min(out.len() - done);
        let from = block.get(at..at + literals).ok_or(DecodeError::Truncated { at })?;
        out[done..done + literals].copy_from_slice(from);
        at += literals;
        done += literals;
        if done == out.len() || at == block.len() {
            continue;
        }
        let Some(&[low, high]) = block.get(at..at + 2) else { return Err(DecodeError::Truncated { at }) };
        let distance = usize::from(u16::from_le_bytes([low, high]));
        if distance == 0 || distance > done {
            return Err(DecodeError::Distance { at });
        }
        at += 2;
        let matched = MATCH_MIN + length(block, &mut at, usize::from(token & 15))?;
        let matched = matched.min(out.len() - done);
        copy_match(out, done, distance, matched);
        done += matched;
    }
    Ok(())
}

/// Reads what follows a length field of four bits.
fn length(block: &[u8], at: &mut usize, field: usize) -> Result<usize, DecodeError> {
    let mut length = field;
    if field == LENGTH_MORE {
        loop {
            let &byte = block.get(*at).ok_or(DecodeError::Truncated { at: *at })?;
            *at += 1;
            length += usize::from(byte);
            if byte != 255 {
                break;
            }
        }
    }
    Ok(length)
}

/// Copies `length` bytes from `distance` before `done`; source and target overlap when the match is longer than far.
fn copy_match(out: &mut [u8], done: usize, distance: usize, length: usize) {
    let (from, mut to, end) = (done - distance, done, done + length);
    while to < end {
        // All from `from` to `to` repeats with the distance as its period.
        let step = (to - from).min(end - to);
        out.copy_within(from..from + step, to);
        to += step;
    }
}
