//! Scalars as sums of odd digits: no digit is zero, so every scalar's sum has the same shape.
//!
//! A scalar is split in halves, k = k₁ + λ·k₂ (the curve's endomorphism makes λ·P cheap), each a sum of ±2ⁱ over [`BITS`] places:
//! bit 1 stands for plus, bit 0 for minus. A window of w such places is an odd number between −(2^w − 1) and 2^w − 1.
//! All of it takes the same time for every scalar.
#![allow(clippy::cast_possible_truncation)] // low words of long numbers are meant

use std::sync::LazyLock;

use k256::Scalar;
use k256::elliptic_curve::ff::PrimeField;
use zeroize::DefaultIsZeroes;

/// Places of a half.
pub(super) const BITS: u32 = 129;

/// The lattice of the endomorphism: short (a, b) with a + λ·b = 0 modulo the order n; b₂ is a₁.
const A1: u128 = 0x3086_D221_A7D4_6BCD_E86C_90E4_9284_EB15;
/// a₂ less 2^128.
const A2_LOW: u128 = 0x14CA_50F7_A8E2_F3F6_57C1_108D_9D44_CFD8;
const MINUS_B1: u128 = 0xE443_7ED6_010E_8828_6F54_7FA9_0ABF_E4C3;
/// 2^384·b₂/n and −2^384·b₁/n, rounded; words, lowest first.
const G1: [u64; 4] = [
    0xE893_209A_45DB_B031,
    0x3DAA_8A14_71E8_CA7F,
    0xE86C_90E4_9284_EB15,
    0x3086_D221_A7D4_6BCD,
];
const G2: [u64; 4] = [
    0x1571_B4AE_8AC4_7F71,
    0x2212_08AC_9DF5_06C6,
    0x6F54_7FA9_0ABF_E4C4,
    0xE443_7ED6_010E_8828,
];

/// ½ and (−1 − λ)/2 modulo n.
static HALF: LazyLock<[Scalar; 2]> = LazyLock::new(|| {
    let half = Scalar::from(2_u64).invert().expect("two is not zero");
    [half, -(Scalar::ONE + lambda()) * half]
});

/// The third root of one that [`super::field::Fe::BETA`] belongs to.
fn lambda() -> Scalar {
    let word = |x: u64| Scalar::from(x);
    let shift = word(1 << 32) * word(1 << 32);
    [
        0x5363_AD4C_C05C_30E0,
        0xA526_1C02_8812_645A,
        0x122E_22EA_2081_6678,
        0xDF02_967C_1B23_BD72,
    ]
    .into_iter()
    .fold(Scalar::ZERO, |sum, part| sum * shift + word(part))
}

/// Both halves of a scalar, as words, lowest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Halves(pub(super) [[u64; 3]; 2]);

impl DefaultIsZeroes for Halves {}

impl Halves {
    pub(super) fn of(k: &Scalar) -> Self {
        // Sums of ±2ⁱ over 129 places are 2·v − 2^129 + 1. With v₁ = s₁ + 2^128 and v₂ = s₂ + 2^128 they are 2·s₁ + 1 and 2·s₂ + 1, so
        // s = s₁ + λ·s₂ must be (k − 1 − λ)/2.
        let [half, offset] = *HALF;
        let s = words(&(*k * half + offset));
        let (c1, c2) = (rounded_high(&s, &G1), rounded_high(&s, &G2));
        // s₁ = s − c₁·a₁ − c₂·a₂ and s₂ = −c₁·b₁ − c₂·b₂ are below 2^128 in size: 192 bits, wrapping, are enough.
        let v1 = sub(
            sub([s[0], s[1], s[2]], mul(c1, A1)),
            add_high(mul(c2, A2_LOW), c2),
        );
        let v2 = sub(mul(c1, MINUS_B1), mul(c2, A1));
        Self([add_high(v1, 1), add_high(v2, 1)])
    }

    /// `width` places of a half from `place` on.
    #[inline]
    pub(super) fn window(&self, half: usize, place: u32, width: u32) -> u64 {
        let (word, bit) = ((place / 64) as usize, place % 64);
        let low = self.0[half][word] >> bit;
        // Shifted in two steps, as 64 at once is no shift.
        let high = self.0[half]
            .get(word + 1)
            .map_or(0, |next| (next << 1) << (63 - bit));
        (low | high) & ((1 << width) - 1)
    }
}

fn words(k: &Scalar) -> [u64; 4] {
    let bytes = k.to_repr();
    let word = |at: usize| u64::from_be_bytes(*bytes[at..].first_chunk().expect("eight of 32 bytes"));
    [word(24), word(16), word(8), word(0)]
}

/// `a · b / 2^384`, rounded.
fn rounded_high(a: &[u64; 4], b: &[u64; 4]) -> u128 {
    let mut product = [0_u64; 8];
    for (i, a) in a.iter().enumerate() {
        let mut carry = 0_u128;
        for (j, b) in b.iter().enumerate() {
            let sum = u128::from(*a) * u128::from(*b) + u128::from(product[i + j]) + carry;
            product[i + j] = sum as u64;
            carry = sum >> 64;
        }
        product[i + 4] = carry as u64;
    }
    (u128::from(product[7]) << 64 | u128::from(product[6])) + u128::from(product[5] >> 63)
}

/// Modulo 2^192.
fn mul(a: u128, b: u128) -> [u64; 3] {
    let (a0, a1) = (u128::from(a as u64), a >> 64);
    let (b0, b1) = (u128::from(b as u64), b >> 64);
    let low = a0 * b0;
    let cross = a0 * b1;
    let middle = (low >> 64) + u128::from(cross as u64) + u128::from((a1 * b0) as u64);
    let high = (middle >> 64) + (cross >> 64) + ((a1 * b0) >> 64) + a1 * b1;
    [low as u64, middle as u64, high as u64]
}

/// Modulo 2^192.
fn sub(a: [u64; 3], b: [u64; 3]) -> [u64; 3] {
    let (low, borrow) = a[0].overflowing_sub(b[0]);
    let (middle, first) = a[1].overflowing_sub(b[1]);
    let (middle, second) = middle.overflowing_sub(u64::from(borrow));
    let high = a[2].wrapping_sub(b[2]).wrapping_sub(u64::from(first | second));
    [low, middle, high]
}

/// `a + 2^128·b` modulo 2^192.
fn add_high(a: [u64; 3], b: u128) -> [u64; 3] {
    [a[0], a[1], a[2].wrapping_add(b as u64)]
}
