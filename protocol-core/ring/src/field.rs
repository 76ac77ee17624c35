//! The field of the curve's coordinates: integers modulo p = 2^256 − 2^32 − 977, in five limbs of 52 bits.
//!
//! Sums are not reduced at once. An element has a *magnitude*: limbs are at most that many times the largest of a reduced one. A product
//! takes factors of magnitude 8 and less and gives 1; each function says what it gives. Nothing here depends on values in its time, but
//! what is named `vartime`.
#![allow(clippy::cast_possible_truncation)] // low words of long numbers are meant

/// Low 52 bits.
const MASK: u64 = (1 << 52) - 1;
/// Low 48 bits: what the top limb of a reduced element holds.
const TOP: u64 = (1 << 48) - 1;
/// 2^256 modulo p.
const FOLD: u64 = 0x1_0000_03D1;
/// 2^260 modulo p: what a column five limbs up is worth here.
const FOLD_LIMB: u128 = (FOLD as u128) << 4;
/// p.
const P: [u64; 5] = [0xF_FFFE_FFFF_FC2F, MASK, MASK, MASK, TOP];

/// An element; see the module for its magnitude.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fe(pub(super) [u64; 5]);

/// 256 bits as four little-endian words, below p: how tables keep coordinates.
pub(super) type Words = [u64; 4];

impl Fe {
    pub(super) const ZERO: Self = Self([0; 5]);
    pub(super) const ONE: Self = Self([1, 0, 0, 0, 0]);
    /// A third root of one: (βx, y) is λ·(x, y).
    pub(super) const BETA: Self = Self([
        0x9_6C28_7195_01EE,
        0x7_512F_5899_5C13,
        0xC_3434_E99C_F049,
        0x0_7106_E644_79EA,
        0x7AE9_6A2B_657C,
    ]);

    /// From big-endian bytes of a value below 2^256; magnitude 1.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let word = |at: usize| u64::from_be_bytes(*bytes[at..].first_chunk().expect("eight of 32 bytes"));
        Self::from_words(&[word(24), word(16), word(8), word(0)])
    }

    /// Big-endian bytes of the reduced value.
    pub(super) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .zip(self.to_words().iter().rev())
        {
            *chunk = word.to_be_bytes();
        }
        bytes
    }

    /// From words of a value below 2^256; magnitude 1.
    #[inline]
    pub(super) const fn from_words(w: &Words) -> Self {
        Self([
            w[0] & MASK,
            (w[0] >> 52 | w[1] << 12) & MASK,
            (w[1] >> 40 | w[2] << 24) & MASK,
            (w[2] >> 28 | w[3] << 36) & MASK,
            w[3] >> 16,
        ])
    }

    /// Words of the reduced value.
    pub(super) fn to_words(self) -> Words {
        let [a, b, c, d, e] = self.normalized().0;
        [
            a | b << 52,
            b >> 12 | c << 40,
            c >> 24 | d << 28,
            d >> 36 | e << 16,
        ]
    }

    /// Itself with magnitude 1, of one of at most 32.
    #[inline]
    pub(super) fn carried(self) -> Self {
        let [mut a, mut b, mut c, mut d, mut e] = self.0;
        let over = e >> 48;
        e &= TOP;
        a += over * FOLD;
        (b, a) = (b + (a >> 52), a & MASK);
        (c, b) = (c + (b >> 52), b & MASK);
        (d, c) = (d + (c >> 52), c & MASK);
        (e, d) = (e + (d >> 52), d & MASK);
        Self([a, b, c, d, e])
    }

    /// The one representation below p.
    pub(super) fn normalized(self) -> Self {
        let [mut a, mut b, mut c, mut d, mut e] = self.carried().0;
        // Now below 2·p: p comes off when it fits, which adding 2^256 − p tells by its carry.
        let at_least_p =
            (e >> 48) | (u64::from(e == TOP) & u64::from(b & c & d == MASK) & u64::from(a >= P[0]));
        a += at_least_p * FOLD;
        (b, a) = (b + (a >> 52), a & MASK);
        (c, b) = (c + (b >> 52), b & MASK);
        (d, c) = (d + (c >> 52), c & MASK);
        (e, d) = (e + (d >> 52), d & MASK);
        Self([a, b, c, d, e & TOP])
    }

    /// Whether it is zero modulo p.
    pub(super) fn is_zero(self) -> bool {
        self.normalized().0 == [0; 5]
    }

    /// Whether the reduced value is odd.
    pub(super) fn is_odd(self) -> bool {
        self.normalized().0[0] & 1 == 1
    }

    /// Sum; magnitudes add up.
    #[inline]
    pub(super) fn add(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    /// Negative of an element whose magnitude is at most `magnitude`; gives one more.
    #[inline]
    pub(super) fn negated(&self, magnitude: u64) -> Self {
        Self(std::array::from_fn(|i| P[i] * 2 * (magnitude + 1) - self.0[i]))
    }

    /// Itself or, if `negative` is all ones and not zero, its negative; magnitude 1 in, 2 out.
    #[inline]
    pub(super) fn negated_if(&self, negative: u64) -> Self {
        let other = self.negated(1);
        Self(std::array::from_fn(|i| {
            self.0[i] ^ ((self.0[i] ^ other.0[i]) & negative)
        }))
    }

    /// Product.
    #[inline]
    pub(super) fn mul(&self, other: &Self) -> Self {
        reduce(columns(&self.0, &other.0))
    }

    /// `self · b + c · d`, reduced once; the products of magnitudes add up to at most 64.
    #[inline]
    pub(super) fn mul_add(&self, b: &Self, c: &Self, d: &Self) -> Self {
        let (left, right) = (columns(&self.0, &b.0), columns(&c.0, &d.0));
        reduce(std::array::from_fn(|i| left[i] + right[i]))
    }

    /// Square.
    #[inline]
    pub(super) fn square(&self) -> Self {
        let [a, b, c, d, e] = self.0.map(u128::from);
        let (a2, b2, c2, d2) = (a * 2, b * 2, c * 2, d * 2);
        reduce([
            a * a,
            a2 * b,
            a2 * c + b * b,
            a2 * d + b2 * c,
            a2 * e + b2 * d + c * c,
            b2 * e + c2 * d,
            c2 * e + d * d,
            d2 * e,
            e * e,
        ])
    }

    fn squared(self, times: usize) -> Self {
        (0..times).fold(self, |x, _| x.square())
    }

    /// Inverse by Fermat's little theorem, zero for zero; constant time.
    pub(super) fn inverted(&self) -> Self {
        // p − 2 is 223 ones, a zero, 22 ones, and 0000101101.
        let [x2, x22, x223] = self.powers_of_ones();
        let x = x223.squared(23).mul(&x22);
        x.squared(5).mul(self).squared(3).mul(&x2).squared(2).mul(self)
    }

    /// A square root, if there is one: the power (p + 1)/4. Constant time.
    pub(super) fn root_candidate(&self) -> Self {
        // 223 ones, a zero, 22 ones, and 00001100.
        let [x2, x22, x223] = self.powers_of_ones();
        x223.squared(23).mul(&x22).squared(6).mul(&x2).squared(2)
    }

    /// The powers 2^n − 1 for n of 2, 22 and 223.
    fn powers_of_ones(&self) -> [Self; 3] {
        let x2 = self.squared(1).mul(self);
        let x3 = x2.squared(1).mul(self);
        let x6 = x3.squared(3).mul(&x3);
        let x9 = x6.squared(3).mul(&x3);
        let x11 = x9.squared(2).mul(&x2);
        let x22 = x11.squared(11).mul(&x11);
        let x44 = x22.squared(22).mul(&x22);
        let x88 = x44.squared(44).mul(&x44);
        let x176 = x88.squared(88).mul(&x88);
        let x220 = x176.squared(44).mul(&x44);
        [x2, x22, x220.squared(3).mul(&x3)]
    }
}

/// The nine columns of a product: column i is worth 2^(52·i).
#[inline]
fn columns(a: &[u64; 5], b: &[u64; 5]) -> [u128; 9] {
    let [a0, a1, a2, a3, a4] = a.map(u128::from);
    let [b0, b1, b2, b3, b4] = b.map(u128::from);
    [
        a0 * b0,
        a0 * b1 + a1 * b0,
        a0 * b2 + a1 * b1 + a2 * b0,
        a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0,
        a0 * b4 + a1 * b3 + a2 * b2 + a3 * b1 + a4 * b0,
        a1 * b4 + a2 * b3 + a3 * b2 + a4 * b1,
        a2 * b4 + a3 * b3 + a4 * b2,
        a3 * b4 + a4 * b3,
        a4 * b4,
    ]
}

/// Folds the columns beyond 2^260 back and carries; as libsecp256k1's `fe_mul_inner` orders it.
#[inline]
fn reduce(t: [u128; 9]) -> Fe {
    const LOW: u128 = MASK as u128;
    let low64 = |x: u128| x as u64 as u128;
    let d = t[3] + FOLD_LIMB * low64(t[8]);
    let c = t[8] >> 64;
    let r3 = d & LOW;
    let d = (d >> 52) + t[4] + (FOLD_LIMB << 12) * c;
    let (r4, d) = (d & LOW, d >> 52);
    let (over, r4) = (r4 >> 48, r4 & (LOW >> 4));
    let d = d + t[5];
    let (u0, d) = (d & LOW, d >> 52);
    let c = t[0] + (u0 << 4 | over) * (FOLD_LIMB >> 4);
    let (r0, c) = (c & LOW, c >> 52);
    let d = d + t[6];
    let c = c + t[1] + (d & LOW) * FOLD_LIMB;
    let d = d >> 52;
    let (r1, c) = (c & LOW, c >> 52);
    let d = d + t[7];
    let c = c + t[2] + FOLD_LIMB * low64(d);
    let (r2, c) = (c & LOW, c >> 52);
    let c = c + (FOLD_LIMB << 12) * (d >> 64) + r3;
    let (r3, c) = (c & LOW, c >> 52);
    Fe([r0 as u64, r1 as u64, r2 as u64, r3 as u64, (c + r4) as u64])
}
