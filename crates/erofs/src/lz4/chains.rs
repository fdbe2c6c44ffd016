//! Where the same bytes occurred before: hash chains over the last 64 KiB.
//!
//! Two chains serve one search. One is keyed by eight bytes: few candidates, each a good one. The other is keyed by four
//! and gives the short matches; its chains are long, so only the nearest candidates are worth a look.

/// Positions of a new segment begin so far after those of the one before that nothing of it is within reach.
const WINDOW: u32 = 1 << 16;

/// Positions are kept below this, so that sums do not overflow.
const POSITION_MAX: u32 = 1 << 30;

const HASH_BITS: u32 = 15;
const HEADS: usize = 1 << HASH_BITS;
const LINKS: usize = 1 << 16;

/// A chain for each hash: its newest position, and from each position the distance to the one before.
#[derive(Debug)]
struct Chain {
    heads: Box<[u32; HEADS]>,
    links: Box<[u16; LINKS]>,
}

impl Chain {
    fn new() -> Self {
        Self { heads: Box::new([0; HEADS]), links: Box::new([0; LINKS]) }
    }

    #[inline]
    fn insert(&mut self, hash: usize, position: u32) {
        let head = &mut self.heads[hash % HEADS];
        let distance = (position - *head).min(u32::from(u16::MAX));
        self.links[position as usize % LINKS] = distance as u16;
        *head = position;
    }
}

/// A match: where it begins in the input, how long it is, where it repeats from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) source: usize,
}

/// How many candidates a search looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    pub(super) long: u32,
    pub(super) short: u32,
}

/// Both chains over one input.
#[derive(Debug)]
pub(super) struct Chains {
    long: Chain,
    short: Chain,
    /// Position of the input's first byte.
    base: u32,
    /// Index of the first byte that is not in the chains.
    next: usize,
}

#[inline]
fn read4(input: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*input[at..].first_chunk().expect("searches end before the input"))
}

#[inline]
fn read8(input: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*input[at..].first_chunk().expect("searches end before the input"))
}

#[inline]
fn hash_long(bytes: u64) -> usize {
    (bytes.wrapping_mul(0x9e37_79b1_85eb_ca87) >> (64 - HASH_BITS)) as usize
}

#[inline]
fn hash_short(bytes: u64) -> usize {
    ((bytes as u32).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

/// How many bytes from `a` and `b` on are equal, ending before `end`; `a < b`.
#[inline]
fn common(input: &[u8], a: usize, b: usize, end: usize) -> usize {
    let (first, second) = (&input[a..end - b + a], &input[b..end]);
    let mut length = 0;
    for (x, y) in first.chunks_exact(8).zip(second.chunks_exact(8)) {
        let difference = read8(x, 0) ^ read8(y, 0);
        if difference != 0 {
            return length + difference.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let rest = first[length..].iter().zip(&second[length..]);
    length + rest.take_while(|(x, y)| x == y).count()
}

impl Chains {
    pub(super) fn new() -> Self {
        Self { long: Chain::new(), short: Chain::new(), base: WINDOW, next: 0 }
    }

    /// Forgets the input before, in no time.
    pub(super) fn begin(&mut self) {
        self.base += u32::try_from(self.next).unwrap_or(POSITION_MAX) + WINDOW;
        self.next = 0;
        if self.base >= POSITION_MAX {
            *self = Self::new();
        }
    }

    /// Puts all indexes before `end` into the chains; eight bytes must follow each.
    #[inline]
    fn insert_until(&mut self, input: &[u8], end: usize) {
        while self.next < end {
            let bytes = read8(input, self.next);
            let position = self.base + self.next as u32;
            self.long.insert(hash_long(bytes), position);
            self.short.insert(hash_short(bytes), position);
            self.next += 1;
        }
    }

    /// The longest match at `at`, if longer than `than`; it begins at `low` at the earliest and ends before `end`.
    #[inline]
    pub(super) fn find(
        &mut self,
        input: &[u8],
        at: usize,
        (low, end): (usize, usize),
        than: usize,
        effort: Effort,
    ) -> Option<Match> {
        self.insert_until(input, at);
        let bytes = read8(input, at);
        let mut best = Best { input, at, end, length: than, source: usize::MAX };
        self.walk(&self.long, hash_long(bytes), low, effort.long, &mut best);
        if best.length < 8 {
            self.walk(&self.short, hash_short(bytes), low, effort.short, &mut best);
        }
        (best.source != usize::MAX).then_some(Match { start: at, length: best.length, source: best.source })
    }

    #[inline]
    fn walk(&self, chain: &Chain, hash: usize, low: usize, attempts: u32, best: &mut Best<'_>) {
        let at = self.base + best.at as u32;
        let low = (self.base + low as u32).max(at - u32::from(u16::MAX));
        let mut position = chain.heads[hash % HEADS];
        let mut left = attempts;
        while position >= low && left > 0 {
            if position < at {
                best.offer((position - self.base) as usize);
                left -= 1;
            }
            let link = chain.links[position as usize % LINKS];
            position -= u32::from(link);
        }
    }
}

struct Best<'i> {
    input: &'i [u8],
    at: usize,
    end: usize,
    length: usize,
    source: usize,
}

impl Best<'_> {
    #[inline]
    fn offer(&mut self, source: usize) {
        let input = self.input;
        if self.at + self.length >= self.end {
            return;
        }
        // Only a match longer than the best so far counts: look at where it must go on first.
        if input[source + self.length] != input[self.at + self.length] || read4(input, source) != read4(input, self.at) {
            return;
        }
        let length = common(input, source, self.at, self.end);
        if length > self.length {
            self.length = length;
            self.source = source;
        }
    }
}
