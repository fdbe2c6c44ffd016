//! Where the same bytes occurred before, within the last 64 KiB.
//!
//! A hash chain keyed by four bytes gives the candidates, nearest first. Positions are kept modulo 64 KiB, so the tables
//! stay small enough for a near cache; a stale position therefore looks like one within reach, and is refused when its
//! bytes are compared. All is forgotten at the beginning of an input: what an encoder did before never changes its output.

const HASH_BITS: u32 = 15;
const HEADS: usize = 1 << HASH_BITS;
const WINDOW: usize = 1 << 16;

/// A match: where it begins in the input, how long it is, how far back it repeats from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) distance: usize,
}

/// What a search is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The match has this byte in it and the three after it.
    pub(super) at: usize,
    /// It does not begin before this byte.
    pub(super) from: usize,
    /// It is longer than this: at least 3, and at least `at + 2 - from`.
    pub(super) longer_than: usize,
    /// It ends here or before.
    pub(super) end: usize,
}

/// The tables over one input.
#[derive(Debug)]
pub(super) struct Chains {
    /// Newest position by hash.
    heads: Box<[u16; HEADS]>,
    /// The position before, by position.
    links: Box<[u16; WINDOW]>,
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
fn hash(bytes: u32) -> usize {
    (bytes.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

/// How many bytes before `a` and `b` are equal, down to `from` of the second; `a < b`.
#[inline(always)]
fn common_before(input: &[u8], a: usize, b: usize, from: usize) -> usize {
    let most = (b - from).min(a);
    (1..=most).take_while(|n| input[a - n] == input[b - n]).count()
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
        Self { heads: Box::new([0; HEADS]), links: Box::new([0; WINDOW]), next: 0 }
    }

    /// Forgets the input before.
    pub(super) fn begin(&mut self) {
        self.heads.fill(0);
        self.next = 0;
    }

    /// Puts all indexes before `end` into the tables; four bytes are read at each.
    #[inline(always)]
    fn insert_until(&mut self, input: &[u8], end: usize) {
        let mut at = self.next;
        while at < end {
            let head = &mut self.heads[hash(read4(input, at))];
            self.links[at % WINDOW] = *head;
            *head = at as u16;
            at += 1;
        }
        self.next = at.max(self.next);
    }

    /// The longest match as wanted, among `attempts` candidates.
    #[inline(always)]
    pub(super) fn find(&mut self, input: &[u8], wanted: Wanted, attempts: u32) -> Option<Match> {
        let Wanted { at, from, longer_than: mut length, end } = wanted;
        self.insert_until(input, at);
        if from + length >= end {
            return None;
        }
        let first = read4(input, at);
        // Any longer match has these bytes in it, wherever it begins.
        let mut probe = from + length - 3;
        let mut probed = read4(input, probe);
        let reach = at.min(probe).min(WINDOW - 1);
        let (mut best, mut left) = (None, attempts);
        let mut distance = usize::from((at as u16).wrapping_sub(self.heads[hash(first)]));
        if distance == 0 {
            // As far as a window, or no entry.
            distance = WINDOW;
        }
        while distance <= reach && left > 0 {
            left -= 1;
            let source = at - distance;
            if read4(input, probe - distance) == probed && read4(input, source) == first {
                let before = common_before(input, source, at, from);
                let total = before + common(input, source, at, end);
                if total > length {
                    length = total;
                    best = Some(Match { start: at - before, length, distance });
                    if from + length >= end {
                        break;
                    }
                    probe = from + length - 3;
                    probed = read4(input, probe);
                }
            }
            let next = usize::from((at as u16).wrapping_sub(self.links[source % WINDOW]));
            if next <= distance {
                break;
            }
            distance = next;
        }
        best
    }
}
