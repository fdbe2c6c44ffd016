//! The encoder: fills a given space with as much input as goes in.

use super::chains::{Chains, Effort, Match};
use super::{END_LITERALS, END_MATCH_START, LENGTH_MORE, MATCH_MIN};

/// Room that every sequence leaves behind it: a token and twelve literals, so that a block may end after any of them.
const CLOSING_BYTES: usize = 1 + END_MATCH_START;

/// Compresses into clusters of a fixed size.
#[derive(Debug)]
pub struct Encoder {
    chains: Chains,
    effort: Effort,
}

impl Encoder {
    /// An encoder of a level from 1 to 9; others are taken for the nearest.
    #[must_use]
    pub fn new(level: u8) -> Self {
        let effort = match level {
            0 | 1 => Effort { long: 1, short: 1 },
            2 => Effort { long: 2, short: 2 },
            3 => Effort { long: 4, short: 4 },
            4 => Effort { long: 8, short: 8 },
            5 => Effort { long: 16, short: 4 },
            6 => Effort { long: 16, short: 16 },
            7 => Effort { long: 32, short: 16 },
            8 => Effort { long: 64, short: 64 },
            _ => Effort { long: 256, short: 256 },
        };
        Self { chains: Chains::new(), effort }
    }

    /// Begins with another input: the next call of [`Encoder::fill`] may be given it.
    pub fn begin(&mut self) {
        self.chains.begin();
    }

    /// Compresses `input` from `from` on into `out` until one of them ends: gives the bytes taken and those written.
    /// The block decodes by itself. Between two calls of [`Encoder::begin`], `input` must be the same.
    pub fn fill(&mut self, input: &[u8], from: usize, out: &mut [u8]) -> (usize, usize) {
        let mut block = Block { out, len: 0, anchor: from };
        let match_end = input.len().saturating_sub(END_LITERALS);
        let search_end = (input.len() + 1).saturating_sub(END_MATCH_START);
        let bounds = (from, match_end);
        let mut at = from;
        while at < search_end && at - block.anchor <= block.room() {
            let Some(found) = self.chains.find(input, at, bounds, MATCH_MIN - 1, self.effort) else {
                at += 1;
                continue;
            };
            let found = self.improve(input, bounds, search_end, found);
            let found = extend_back(input, found, block.anchor, from);
            if !block.sequence(input, found) {
                break;
            }
            at = found.start + found.length;
        }
        block.close(input);
        (block.anchor - from, block.len)
    }

    /// Looks whether a match that begins a little later is longer.
    #[inline]
    fn improve(&mut self, input: &[u8], bounds: (usize, usize), search_end: usize, found: Match) -> Match {
        let mut found = found;
        loop {
            let next = found.start + 1;
            if next + 1 >= search_end {
                return found;
            }
            let better = self.chains.find(input, next, bounds, found.length, self.effort);
            let better = better.or_else(|| self.chains.find(input, next + 1, bounds, found.length, self.effort));
            match better {
                Some(better) => found = better,
                None => return found,
            }
        }
    }
}

#[inline]
fn extend_back(input: &[u8], found: Match, anchor: usize, low: usize) -> Match {
    let Match { mut start, mut length, mut source } = found;
    while start > anchor && source > low && input[start - 1] == input[source - 1] {
        start -= 1;
        source -= 1;
        length += 1;
    }
    Match { start, length, source }
}

/// A block being written.
struct Block<'o> {
    out: &'o mut [u8],
    len: usize,
    /// Input before it is in the block.
    anchor: usize,
}

impl Block<'_> {
    fn room(&self) -> usize {
        self.out.len() - self.len
    }

    /// Appends literals up to the match, and the match; or nothing, when they do not fit.
    #[inline]
    fn sequence(&mut self, input: &[u8], found: Match) -> bool {
        let literals = &input[self.anchor..found.start];
        let distance = found.start - found.source;
        let extra = found.length - MATCH_MIN;
        let needs = 1 + length_bytes(literals.len()) + literals.len() + 2 + length_bytes(extra);
        if needs + CLOSING_BYTES > self.room() {
            return false;
        }
        let token_at = self.len;
        let high = self.literals(literals);
        self.put(&(distance as u16).to_le_bytes());
        let low = self.length(extra);
        self.out[token_at] = high << 4 | low;
        self.anchor = found.start + found.length;
        true
    }

    /// Appends the last sequence: as many literals as there are or as fit.
    fn close(&mut self, input: &[u8]) {
        let room = self.room().saturating_sub(1);
        let mut count = (input.len() - self.anchor).min(room);
        while count + length_bytes(count) > room {
            count -= 1;
        }
        let token_at = self.len;
        if self.room() > 0 {
            let high = self.literals(&input[self.anchor..self.anchor + count]);
            self.out[token_at] = high << 4;
        }
        self.anchor += count;
    }

    /// Leaves a byte for the token, appends literals, and gives their field in the token.
    #[inline]
    fn literals(&mut self, literals: &[u8]) -> u8 {
        self.len += 1;
        let field = self.length(literals.len());
        self.put(literals);
        field
    }

    /// Appends the further bytes of a length, and gives its field in the token.
    #[inline]
    fn length(&mut self, length: usize) -> u8 {
        let Some(mut rest) = length.checked_sub(LENGTH_MORE) else { return length as u8 };
        while rest >= 255 {
            self.put(&[255]);
            rest -= 255;
        }
        self.put(&[rest as u8]);
        LENGTH_MORE as u8
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.out[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// How many bytes follow a token's field for this length.
#[inline]
fn length_bytes(length: usize) -> usize {
    length.checked_sub(LENGTH_MORE).map_or(0, |rest| rest / 255 + 1)
}
