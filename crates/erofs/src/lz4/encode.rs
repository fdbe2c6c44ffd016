//! The encoder: fills a given space with as much input as goes in.

use super::chains::{Chains, Match, Wanted};
use super::{END_LITERALS, END_MATCH_START, LENGTH_MORE, MATCH_MIN};

/// Room that every sequence leaves behind it: a token and twelve literals, so that a block may end after any of them.
const CLOSING_BYTES: usize = 1 + END_MATCH_START;

/// How many candidates a search looks at, by level from 1 on. A change here changes the bytes of images.
const ATTEMPTS: [u32; 9] = [1, 2, 4, 8, 12, 16, 32, 64, 256];

/// Compresses into clusters of a fixed size.
#[derive(Debug)]
pub struct Encoder {
    chains: Chains,
    attempts: u32,
    /// The matches of the last block.
    matches: Vec<Match>,
}

/// Where matches may be in an input.
#[derive(Debug, Clone, Copy)]
struct Ends {
    /// They begin before here.
    start: usize,
    /// They end here or before.
    end: usize,
}

impl Ends {
    fn of(input: &[u8]) -> Self {
        let start = (input.len() + 1).saturating_sub(END_MATCH_START);
        Self { start, end: input.len().saturating_sub(END_LITERALS) }
    }
}

impl Encoder {
    /// An encoder of a level from 1 to 9; others are taken for the nearest.
    #[must_use]
    pub fn new(level: u8) -> Self {
        let attempts = ATTEMPTS[usize::from(level).clamp(1, ATTEMPTS.len()) - 1];
        Self { chains: Chains::new(), attempts, matches: Vec::new() }
    }

    /// Compresses from the beginning of `input` until it or `out` ends: gives the bytes taken and those written.
    pub fn fill(&mut self, input: &[u8], out: &mut [u8]) -> (usize, usize) {
        self.chains.begin();
        self.matches.clear();
        let mut block = Block { out, len: 0, anchor: 0 };
        let ends = Ends::of(input);
        let mut at = 0;
        while at < ends.start && at - block.anchor <= block.room() {
            let wanted = Wanted { at, from: at, longer_than: MATCH_MIN - 1, end: ends.end };
            let Some(found) = self.chains.find(input, wanted, self.attempts) else {
                at += 1;
                continue;
            };
            let found = extend_back(input, found, block.anchor);
            if !self.sequences(input, ends, found, &mut block) {
                break;
            }
            at = block.anchor;
        }
        block.close(input);
        (block.anchor, block.len)
    }

    /// Writes what the last [`Encoder::fill`] found, with the same `input`, into less space.
    pub fn refill(&self, input: &[u8], out: &mut [u8]) -> (usize, usize) {
        let mut block = Block { out, len: 0, anchor: 0 };
        self.matches.iter().all(|&found| block.sequence(input, found));
        block.close(input);
        (block.anchor, block.len)
    }

    /// Writes a match, and those after it that overlap its end and are longer; each is cut where the next one begins.
    /// Says whether they fit.
    fn sequences(&mut self, input: &[u8], ends: Ends, found: Match, block: &mut Block<'_>) -> bool {
        let mut found = found;
        loop {
            let next = self.overlapping(input, ends, found);
            let taken = match next {
                Some(next) if next.start < found.start + MATCH_MIN => {
                    // Too little would be left of it.
                    found = next;
                    continue;
                }
                Some(next) => Match { length: next.start - found.start, ..found },
                None => found,
            };
            if !block.sequence(input, taken) {
                return false;
            }
            self.matches.push(taken);
            match next {
                Some(next) => found = next,
                None => return true,
            }
        }
    }

    /// A longer match that begins within this one and has its last two bytes in it.
    #[inline(always)]
    fn overlapping(&mut self, input: &[u8], ends: Ends, found: Match) -> Option<Match> {
        let at = found.start + found.length - 2;
        if at >= ends.start {
            return None;
        }
        let wanted = Wanted { at, from: found.start, longer_than: found.length, end: ends.end };
        self.chains.find(input, wanted, self.attempts)
    }
}

#[inline]
fn extend_back(input: &[u8], found: Match, anchor: usize) -> Match {
    let Match { mut start, mut length, distance } = found;
    while start > anchor && start > distance && input[start - 1] == input[start - distance - 1] {
        start -= 1;
        length += 1;
    }
    Match { start, length, distance }
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
        let extra = found.length - MATCH_MIN;
        let needs = 1 + length_bytes(literals.len()) + literals.len() + 2 + length_bytes(extra);
        if needs + CLOSING_BYTES > self.room() {
            return false;
        }
        let token_at = self.len;
        let high = self.literals(literals);
        self.put(&(found.distance as u16).to_le_bytes());
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
