//! Go's `math/rand` (v1) source, since the chain draws from it.

use super::cooked::COOKED;

const LEN: usize = 607;
const TAP: usize = 273;
/// 2^31 − 1, the modulus of the seeding generator.
const MODULUS: i64 = (1 << 31) - 1;

/// An additive lagged Fibonacci generator, seeded as Go seeds it.
#[derive(Clone)]
pub struct GoRand {
    state: Box<[i64; LEN]>,
    tap: usize,
    feed: usize,
}

impl std::fmt::Debug for GoRand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GoRand")
            .field("tap", &self.tap)
            .field("feed", &self.feed)
            .finish_non_exhaustive()
    }
}

impl GoRand {
    /// `rand.NewSource(seed)`.
    #[must_use]
    pub fn new(seed: i64) -> Self {
        let mut x = match seed.rem_euclid(MODULUS) {
            0 => 89_482_311,
            x => x,
        };
        for _ in 0..20 {
            x = step(x);
        }
        let mut state = Box::new([0; LEN]);
        for (word, cooked) in state.iter_mut().zip(COOKED) {
            let mut next = || {
                x = step(x);
                x
            };
            *word = (next() << 40) ^ (next() << 20) ^ next() ^ cooked;
        }
        Self {
            state,
            tap: 0,
            feed: LEN - TAP,
        }
    }

    fn next(&mut self) -> i64 {
        self.tap = self.tap.checked_sub(1).unwrap_or(LEN - 1);
        self.feed = self.feed.checked_sub(1).unwrap_or(LEN - 1);
        self.state[self.feed] = self.state[self.feed].wrapping_add(self.state[self.tap]);
        self.state[self.feed]
    }

    /// A number in [0, 2^63).
    pub fn int63(&mut self) -> i64 {
        self.next() & i64::MAX
    }

    /// A double in [0, 1).
    #[allow(clippy::cast_precision_loss)] // the rounding is Go's
    pub fn float64(&mut self) -> f64 {
        loop {
            let draw = self.int63() as f64 / (1_u64 << 63) as f64;
            if draw < 1.0 {
                return draw;
            }
        }
    }
}

/// x·48271 mod 2^31 − 1.
#[expect(clippy::arithmetic_side_effects, reason = "x is below 2^31")]
const fn step(x: i64) -> i64 {
    x * 48_271 % MODULUS
}

/// Go's `binary.Varint`: a zig-zag LEB128 number at the beginning of `bytes`; 0 when it does not end or does not fit 64 bits.
#[expect(clippy::arithmetic_side_effects, reason = "an index below 10")]
pub(super) fn varint(bytes: &[u8]) -> i64 {
    let mut value: u64 = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        if index == 9 && *byte > 1 {
            return 0;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            #[allow(clippy::cast_possible_wrap)] // both halves of the zig-zag fit
            let half = (value >> 1) as i64;
            return if value & 1 == 0 { half } else { !half };
        }
    }
    0
}
