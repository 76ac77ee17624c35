//! Relay mining difficulty: which relays become leaves, and how the target follows the volume.

/// The easiest target: every relay but the all-ones hash is applicable.
pub const BASE_TARGET: [u8; 32] = [0xff; 32];

/// Whether a relay with this hash is a leaf: strictly below the target, bytewise.
#[must_use]
pub fn is_applicable(_relay_hash: &[u8; 32], _target_hash: &[u8]) -> bool {
    unimplemented!()
}

/// Exponential moving average of relays per session (`trunc(0.1·num_relays + 0.9·prev)`, in 64-bit-mantissa arithmetic).
#[must_use]
pub fn next_ema(_prev_ema: u64, _num_relays: u64) -> u64 {
    unimplemented!()
}

/// Target for an average volume, scaled from the base; `None` where a zero volume leaves it undefined.
#[must_use]
pub fn target_hash(_target_num_relays: u64, _ema: u64) -> Option<[u8; 32]> {
    unimplemented!()
}
