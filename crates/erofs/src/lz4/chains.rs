//! Where the same bytes occurred before, within the last 64 KiB.
//!
//! A hash chain keyed by five bytes gives the candidates for good matches, nearest first; a table keyed by four gives
//! the last candidate for a short one. Positions are kept modulo 64 KiB, so the tables stay small enough for a near
//! cache; a stale position therefore looks like one within reach, and is refused when its bytes are compared. All is
//! forgotten at the beginning of an input: what an encoder did before never changes its output.

const HASH_BITS: u32 = 15;
const HEADS: usize = 1 << HASH_BITS;
const SHORT_BITS: u32 = 14;
const SHORTS: usize = 1 << SHORT_BITS;
const WINDOW: usize = 1 << 16;

/// A match: where it begins in the input, how long it is, how far back it repeats from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) distance: usize,
}

/// The part of the input in which matches may lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The earliest source.
    pub(super) low: usize,
    /// No match goes on to here.
    pub(super) end: usize,
}

/// The tables over one input.
#[derive(Debug)]
pub(super) struct Chains {
    /// Newest position by hash of five bytes.
    heads: Box<[u16; HEADS]>,
    /// The position before, by position.
    links: Box<[u16; WINDOW]>,
    /// Newest position by hash of four bytes.
    shorts: Box<[u16; SHORTS]>,
    /// Index of the first byte that is not in the tables.
    next: usize,
}

#[inline(always)]
fn read4(input: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*input[at..].first_chunk().expect("searches end before the input"))
}

#[inline(always)]
fn read8(input: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*input[at..].first_chunk().expect("searches end before the input"))
}

#[inline(always)]
fn hash(bytes: u64) -> usize {
    ((bytes << 24).wrapping_mul(0x9e37_79b1_85eb_ca87) >> (64 - HASH_BITS)) as usize
}

#[inline(always)]
fn hash_short(bytes: u64) -> usize {
    ((bytes as u32).wrapping_mul(0x9e37_79b1) >> (32 - SHORT_BITS)) as usize
}

/// How many bytes from `a` and `b` on are equal, ending before `end`; `a < b`.
#[inline(always)]
fn common(input: &[u8], a: usize, b: usize, end: usize) -> usize {
    let mut length = 0;
    while b + length + 8 <= end {
        let difference = read8(input, a + length) ^ read8(input, b + length);
        if difference != 0 {
            return length + difference.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    while b + length < end && input[a + length] == input[b + length] {
        length += 1;
    }
    length
}

impl Chains {
    pub(super) fn new() -> Self {
        Self {
            heads: Box::new([0; HEADS]),
            links: Box::new([0; WINDOW]),
            shorts: Box::new([0; SHORTS]),
            next: 0,
        }
    }

    /// Forgets the input before.
    pub(super) fn begin(&mut self) {
        self.heads.fill(0);
        self.shorts.fill(0);
        self.next = 0;
    }

    /// Puts all indexes before `end` into the tables; eight bytes must follow each.
    #[inline(always)]
    fn insert_until(&mut self, input: &[u8], end: usize) {
        let mut at = self.next;
        while at < end {
            let bytes = read8(input, at);
            let head = &mut self.heads[hash(bytes)];
            self.links[at % WINDOW] = *head;
            *head = at as u16;
            self.shorts[hash_short(bytes)] = at as u16;
            at += 1;
        }
        self.next = at.max(self.next);
    }

    /// The longest match found at `at` among `attempts` candidates, if longer than `than` (at least 3).
    #[inline(always)]
    pub(super) fn find(
        &mut self,
        input: &[u8],
        at: usize,
        bounds: Bounds,
        than: usize,
        attempts: u32,
    ) -> Option<Match> {
        self.insert_until(input, at);
        let bytes = read8(input, at);
        let reach = (at - bounds.low).min(WINDOW - 1);
        let (mut length, mut best, mut left) = (than, 0, attempts);
        if at + length + 1 > bounds.end {
            return None;
        }
        let mut wanted = read4(input, at + length - 3);
        let mut distance = usize::from((at as u16).wrapping_sub(self.heads[hash(bytes)]));
        if distance == 0 {
            // As far as a window, or no entry.
            distance = WINDOW;
        }
        while distance <= reach && left > 0 {
            left -= 1;
            let source = at - distance;
            if read4(input, source + length - 3) == wanted && read4(input, source) == bytes as u32 {
                let found = common(input, source, at, bounds.end);
                if found > length {
                    (length, best) = (found, distance);
                    if at + length + 1 > bounds.end {
                        break;
                    }
                    wanted = read4(input, at + length - 3);
                }
            }
            let before = usize::from((at as u16).wrapping_sub(self.links[source % WINDOW]));
            if before <= distance {
                break;
            }
            distance = before;
        }
        if length == 3 {
            let distance = usize::from((at as u16).wrapping_sub(self.shorts[hash_short(bytes)]));
            if distance != 0 && distance <= reach && read4(input, at - distance) == bytes as u32 {
                best = distance;
                length = common(input, at - distance, at, bounds.end);
            }
        }
        (best != 0).then_some(Match { start: at, length, distance: best })
    }
}
