//! Relay mining difficulty: which relays become leaves, and how the target follows the volume.

use num_bigint::BigUint;

/// The easiest target: every relay but the all-ones hash is applicable.
pub const BASE_TARGET: [u8; 32] = [0xff; 32];

/// Whether a relay with this hash is a leaf: strictly below the target, bytewise.
#[must_use]
pub fn is_applicable(relay_hash: &[u8; 32], target_hash: &[u8]) -> bool {
    relay_hash.as_slice() < target_hash
}

/// Exponential moving average of relays per session: `trunc(0.1·num_relays + 0.9·prev)`, each product and the sum rounded to 64 bits of
/// mantissa, half to even, as the network computes it (0.1 is the double, a hair above a tenth).
#[must_use]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "52 and 55 bits times 64, and their sum, fit 128"
)]
pub fn next_ema(prev_ema: u64, num_relays: u64) -> u64 {
    /// The double 0.1 is ALPHA / 2^55, exactly.
    const ALPHA: u128 = 0xc_cccc_cccc_cccd;
    const SCALE: u32 = 55;
    let one = 1_u128 << SCALE;
    let new = round_to_64_bits(ALPHA * u128::from(num_relays));
    let old = round_to_64_bits((one - ALPHA) * u128::from(prev_ema));
    u64::try_from(round_to_64_bits(new + old) >> SCALE).unwrap_or(u64::MAX)
}

/// The nearest number with at most 64 significant bits; ties go to the even mantissa.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a shift below 64; a mantissa of 64 bits has room for one more"
)]
const fn round_to_64_bits(value: u128) -> u128 {
    let bits = u128::BITS - value.leading_zeros();
    if bits <= 64 {
        return value;
    }
    let shift = bits - 64;
    let (mantissa, rest) = (value >> shift, value & ((1 << shift) - 1));
    let half = 1 << (shift - 1);
    let up = rest > half || (rest == half && mantissa & 1 == 1);
    (mantissa + up as u128) << shift
}

/// Target for an average volume, scaled from the base; `None` where a zero volume leaves it undefined.
#[must_use]
pub fn target_hash(target_num_relays: u64, ema: u64) -> Option<[u8; 32]> {
    scale_target(&BASE_TARGET, target_num_relays, ema)
}

/// `previous` scaled by target_num_relays / ema, at most the base; `None` for an ema of zero.
///
/// The network reads both numbers as signed 64-bit: beyond 2^63 the ratio is negative and the size of its floor counts. No chain's
/// volume gets there.
#[must_use]
pub fn scale_target(previous: &[u8; 32], target_num_relays: u64, ema: u64) -> Option<[u8; 32]> {
    if ema == 0 {
        return None;
    }
    let (numerator, denominator) = (target_num_relays.cast_signed(), ema.cast_signed());
    let product = BigUint::from_bytes_be(previous) * numerator.unsigned_abs();
    let divisor = BigUint::from(denominator.unsigned_abs());
    let negative = (numerator < 0) != (denominator < 0);
    let mut scaled = &product / &divisor;
    if negative && &scaled * divisor != product {
        scaled += 1_u32;
    }
    let bytes = scaled.to_bytes_be();
    if bytes.len() > BASE_TARGET.len() {
        return Some(BASE_TARGET);
    }
    let mut target = [0; 32];
    for (to, from) in target.iter_mut().rev().zip(bytes.iter().rev()) {
        *to = *from;
    }
    Some(target)
}
