//! Eight sums at once, with the vector unit's 52-bit multiply-add (AVX-512 IFMA).
//!
//! A step of a ring needs eight sums of table entries: both halves of s·G, c·P, s·H and c·I. Here each is one lane, so a single relay
//! fills the vector; nothing waits for others. Elements are five limbs of 52 bits as in [`super::field`], kept below 2^52 each before
//! every product, since the instruction drops what is above.
//!
//! Variable time, for public values only. Used after the processor was asked for the instructions and [`works`] compared the results with
//! the scalar path's; the vectors, properties and fuzzing run both.
//!
//! This is the only module with `unsafe`: calls into code for other instructions than the crate is compiled for, and loads and stores.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_add_epi64, _mm512_and_si512, _mm512_loadu_si512,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_blend_epi64, _mm512_or_si512,
    _mm512_permutexvar_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shuffle_i64x2,
    _mm512_slli_epi64 as shl, _mm512_srli_epi64 as shr, _mm512_storeu_si512, _mm512_sub_epi64,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::field::Fe;
use super::point::{Packed, Sum};

/// Lanes of a vector.
pub(super) const LANES: usize = 8;

/// The entries that one lane adds up, with all ones for those to be subtracted.
pub(super) type Lane<'a> = [(&'a Packed, u64)];

const MASK: i64 = (1 << 52) - 1;
const TOP: i64 = (1 << 48) - 1;
/// 2^256 modulo p, and 2^260.
const FOLD: i64 = 0x1_0000_03D1;
const FOLD_LIMB: i64 = FOLD << 4;
/// p.
const P: [i64; 5] = [0xF_FFFE_FFFF_FC2F, MASK, MASK, MASK, TOP];

/// Whether the processor has the instructions.
pub(super) fn available() -> bool {
    std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512ifma")
}

/// Adds up each lane, takes λ times the odd ones, and adds four lanes each to the two sums that come back: of lanes 0–3, and of 4–7.
///
/// As in [`super::point`], a sum that the formulas do not cover has Z² = 0.
///
/// # Panics
/// When the processor lacks the instructions, or lanes are empty or not equally long.
pub(super) fn sum_lanes(lanes: &[&Lane<'_>; LANES]) -> [Sum; 2] {
    assert!(available(), "callers ask first");
    // SAFETY: the processor has the features that the function is compiled for.
    unsafe { sum_lanes_with_ifma(lanes) }
}

/// Eight elements.
#[derive(Clone, Copy)]
struct Eight([__m512i; 5]);

/// Eight sums, as [`Sum`].
#[derive(Clone, Copy)]
struct Sums {
    x: Eight,
    y: Eight,
    zz: Eight,
    zzz: Eight,
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn sum_lanes_with_ifma(lanes: &[&Lane<'_>; LANES]) -> [Sum; 2] {
    let count = lanes[0].len();
    assert!(
        lanes.iter().all(|lane| lane.len() == count),
        "lanes are equally long"
    );
    prefetch(lanes);
    // Each addition also negates the sum, which saves a reduction; the signs of entries are turned so that the last one is as it should.
    let turned = |at: usize| {
        if (count - at.max(1)).is_multiple_of(2) {
            0
        } else {
            u64::MAX
        }
    };
    let (x, y) = load(lanes, 0);
    let one = Eight::one();
    let mut sums = Sums {
        x,
        y: signed(&y, signs(lanes, 0, turned(0))),
        zz: one,
        zzz: one,
    };
    for at in 1..count {
        let (x, y) = load(lanes, at);
        sums.add_entries_and_negate(&x, &y, signs(lanes, at, turned(at)));
    }
    sums.x = sums.x.or_if_odd(&sums.x.mul(&Eight::all(&Fe::BETA)));
    // Neighbours, then neighbours of those: two negations.
    sums.add_and_negate(&sums.permuted(&[1, 0, 3, 2, 5, 4, 7, 6]));
    sums.add_and_negate(&sums.permuted(&[2, 3, 0, 1, 6, 7, 4, 5]));
    sums.first_and_fifth()
}

impl Sums {
    /// −(self + (x, ±y)): `madd-2008-s` with the other sign of y₃.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add_entries_and_negate(&mut self, x: &Eight, y: &Eight, negative: __m512i) {
        let u = x.mul(&self.zz);
        let s = y.mul(&self.zzz);
        let p = u.minus(&self.x);
        let r = s.signed_minus(negative, &self.y);
        let (u1, s1) = (self.x, self.y);
        self.finish(&p, &r, &u1, &s1);
    }

    /// −(self + other): `add-2008-s` with the other sign of y₃.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add_and_negate(&mut self, other: &Self) {
        let (u1, u2) = (self.x.mul(&other.zz), other.x.mul(&self.zz));
        let (s1, s2) = (self.y.mul(&other.zzz), other.y.mul(&self.zzz));
        self.zz = self.zz.mul(&other.zz);
        self.zzz = self.zzz.mul(&other.zzz);
        let (p, r) = (u2.minus(&u1), s2.minus(&s1));
        self.finish(&p, &r, &u1, &s1);
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn finish(&mut self, p: &Eight, r: &Eight, u1: &Eight, s1: &Eight) {
        let pp = p.square();
        let rr = r.square();
        let ppp = p.mul(&pp);
        let q = u1.mul(&pp);
        self.zz = self.zz.mul(&pp);
        self.zzz = self.zzz.mul(&ppp);
        self.x = rr.minus_and_twice(&ppp, &q);
        self.y = r.mul_add(&self.x.minus(&q), s1, &ppp);
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn permuted(&self, order: &[u64; LANES]) -> Self {
        let order = load_words(order);
        Self {
            x: self.x.permuted(order),
            y: self.y.permuted(order),
            zz: self.zz.permuted(order),
            zzz: self.zzz.permuted(order),
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn first_and_fifth(&self) -> [Sum; 2] {
        let [x, y, zz, zzz] = [
            self.x.first_and_fifth(),
            self.y.first_and_fifth(),
            self.zz.first_and_fifth(),
            self.zzz.first_and_fifth(),
        ];
        [0, 1].map(|which| Sum {
            x: x[which],
            y: y[which],
            zz: zz[which],
            zzz: zzz[which],
        })
    }
}

impl Eight {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn one() -> Self {
        Self::all(&Fe::ONE)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn all(element: &Fe) -> Self {
        let mut limbs = [_mm512_setzero_si512(); 5];
        for (to, from) in limbs.iter_mut().zip(element.0) {
            *to = _mm512_set1_epi64(from.cast_signed());
        }
        Self(limbs)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn mul(&self, other: &Self) -> Self {
        let mut columns = [_mm512_setzero_si512(); 10];
        self.multiply_into(other, &mut columns);
        reduce(&columns)
    }

    /// `self · b + c · d`, reduced once.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn mul_add(&self, b: &Self, c: &Self, d: &Self) -> Self {
        let mut columns = [_mm512_setzero_si512(); 10];
        self.multiply_into(b, &mut columns);
        c.multiply_into(d, &mut columns);
        reduce(&columns)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn multiply_into(&self, other: &Self, columns: &mut [__m512i; 10]) {
        for (i, a) in self.0.iter().enumerate() {
            for (j, b) in other.0.iter().enumerate() {
                columns[i + j] = _mm512_madd52lo_epu64(columns[i + j], *a, *b);
                columns[i + j + 1] = _mm512_madd52hi_epu64(columns[i + j + 1], *a, *b);
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn square(&self) -> Self {
        let mut columns = [_mm512_setzero_si512(); 10];
        for i in 0..5 {
            for j in i + 1..5 {
                columns[i + j] = _mm512_madd52lo_epu64(columns[i + j], self.0[i], self.0[j]);
                columns[i + j + 1] = _mm512_madd52hi_epu64(columns[i + j + 1], self.0[i], self.0[j]);
            }
        }
        for column in &mut columns {
            *column = _mm512_add_epi64(*column, *column);
        }
        for (i, a) in self.0.iter().enumerate() {
            columns[2 * i] = _mm512_madd52lo_epu64(columns[2 * i], *a, *a);
            columns[2 * i + 1] = _mm512_madd52hi_epu64(columns[2 * i + 1], *a, *a);
        }
        reduce(&columns)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn minus(&self, other: &Self) -> Self {
        let mut limbs = self.0;
        for ((limb, other), p) in limbs.iter_mut().zip(&other.0).zip(P) {
            *limb = _mm512_add_epi64(_mm512_sub_epi64(*limb, *other), _mm512_set1_epi64(2 * p));
        }
        carried(limbs)
    }

    /// `±self − other`: all ones in a lane take the negative of self.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn signed_minus(&self, negative: __m512i, other: &Self) -> Self {
        let mut limbs = self.0;
        for ((limb, other), p) in limbs.iter_mut().zip(&other.0).zip(P) {
            let signed = _mm512_sub_epi64(_mm512_xor_si512(*limb, negative), negative);
            *limb = _mm512_add_epi64(_mm512_sub_epi64(signed, *other), _mm512_set1_epi64(4 * p));
        }
        carried(limbs)
    }

    /// `self − a − 2·b`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn minus_and_twice(&self, a: &Self, b: &Self) -> Self {
        let mut limbs = self.0;
        for (((limb, a), b), p) in limbs.iter_mut().zip(&a.0).zip(&b.0).zip(P) {
            let taken = _mm512_add_epi64(*a, _mm512_add_epi64(*b, *b));
            *limb = _mm512_add_epi64(_mm512_sub_epi64(*limb, taken), _mm512_set1_epi64(4 * p));
        }
        carried(limbs)
    }

    /// Itself in even lanes, `other` in odd ones.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn or_if_odd(&self, other: &Self) -> Self {
        let mut limbs = self.0;
        for (limb, other) in limbs.iter_mut().zip(&other.0) {
            *limb = _mm512_mask_blend_epi64(0b1010_1010, *limb, *other);
        }
        Self(limbs)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn permuted(&self, order: __m512i) -> Self {
        let mut limbs = self.0;
        for limb in &mut limbs {
            *limb = _mm512_permutexvar_epi64(order, *limb);
        }
        Self(limbs)
    }

    #[target_feature(enable = "avx512f")]
    fn first_and_fifth(&self) -> [Fe; 2] {
        let mut elements = [Fe::ZERO; 2];
        for (i, limb) in self.0.iter().enumerate() {
            let lanes = store_words(*limb);
            (elements[0].0[i], elements[1].0[i]) = (lanes[0], lanes[4]);
        }
        elements
    }
}

/// Folds columns below 2^58 back into five limbs below 2^52, the top one below 2^49.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce(t: &[__m512i; 10]) -> Eight {
    let mask = _mm512_set1_epi64(MASK);
    let fold = _mm512_set1_epi64(FOLD_LIMB);
    let mut r = [t[0], t[1], t[2], t[3], t[4], _mm512_setzero_si512()];
    // A high column is 52 bits and a few above; the latter count for the column after it.
    for i in 0..5 {
        let low = _mm512_and_si512(t[i + 5], mask);
        let over = shr::<52>(t[i + 5]);
        r[i] = _mm512_madd52lo_epu64(r[i], low, fold);
        r[i + 1] = _mm512_madd52hi_epu64(r[i + 1], low, fold);
        r[i + 1] = _mm512_madd52lo_epu64(r[i + 1], over, fold);
    }
    r[0] = _mm512_madd52lo_epu64(r[0], r[5], fold);
    r[1] = _mm512_madd52hi_epu64(r[1], r[5], fold);
    carried([r[0], r[1], r[2], r[3], r[4]])
}

/// Carries limbs below 2^59: each is below 2^52 after it, the top one below 2^49.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn carried([a, b, c, d, e]: [__m512i; 5]) -> Eight {
    let mask = _mm512_set1_epi64(MASK);
    // First what is beyond 2^256 goes to the bottom, so that one pass is enough: it leaves at most 2^7 on top of the 48 bits.
    let a = _mm512_madd52lo_epu64(a, shr::<48>(e), _mm512_set1_epi64(FOLD));
    let e = _mm512_and_si512(e, _mm512_set1_epi64(TOP));
    let b = _mm512_add_epi64(b, shr::<52>(a));
    let c = _mm512_add_epi64(c, shr::<52>(b));
    let d = _mm512_add_epi64(d, shr::<52>(c));
    let e = _mm512_add_epi64(e, shr::<52>(d));
    Eight([
        _mm512_and_si512(a, mask),
        _mm512_and_si512(b, mask),
        _mm512_and_si512(c, mask),
        _mm512_and_si512(d, mask),
        e,
    ])
}

/// Itself or, in lanes of all ones, the negative.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn signed(y: &Eight, negative: __m512i) -> Eight {
    y.signed_minus(negative, &Eight([_mm512_setzero_si512(); 5]))
}

/// Asks for all entries at once: of tables that no cache holds they come together, instead of eight by eight.
#[inline]
#[target_feature(enable = "avx512f")]
fn prefetch(lanes: &[&Lane<'_>; LANES]) {
    for (entry, _) in lanes.iter().copied().flatten() {
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref::<Packed>(entry).cast());
    }
}

/// x and y of every lane's entry.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(lanes: &[&Lane<'_>; LANES], at: usize) -> (Eight, Eight) {
    let mut rows = [_mm512_setzero_si512(); LANES];
    for (row, lane) in rows.iter_mut().zip(lanes) {
        let entry: &Packed = lane[at].0;
        // SAFETY: an entry is 64 readable bytes, `repr(C)` of eight words.
        *row = unsafe { _mm512_loadu_si512(std::ptr::from_ref(entry).cast()) };
    }
    let [x0, x1, x2, x3, y0, y1, y2, y3] = transposed(&rows);
    (limbs([x0, x1, x2, x3]), limbs([y0, y1, y2, y3]))
}

/// Signs of every lane's entry, turned or not.
#[inline]
#[target_feature(enable = "avx512f")]
fn signs(lanes: &[&Lane<'_>; LANES], at: usize, turned: u64) -> __m512i {
    let mut words = [0; LANES];
    for (word, lane) in words.iter_mut().zip(lanes) {
        *word = lane[at].1 ^ turned;
    }
    load_words(&words)
}

/// Four words of 64 bits as five limbs of 52.
#[inline]
#[target_feature(enable = "avx512f")]
fn limbs([w0, w1, w2, w3]: [__m512i; 4]) -> Eight {
    let mask = _mm512_set1_epi64(MASK);
    Eight([
        _mm512_and_si512(w0, mask),
        _mm512_and_si512(_mm512_or_si512(shr::<52>(w0), shl::<12>(w1)), mask),
        _mm512_and_si512(_mm512_or_si512(shr::<40>(w1), shl::<24>(w2)), mask),
        _mm512_and_si512(_mm512_or_si512(shr::<28>(w2), shl::<36>(w3)), mask),
        shr::<16>(w3),
    ])
}

/// Rows to columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(r: &[__m512i; 8]) -> [__m512i; 8] {
    let mut pairs = [_mm512_setzero_si512(); 8];
    for i in 0..4 {
        pairs[2 * i] = _mm512_unpacklo_epi64(r[2 * i], r[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi64(r[2 * i], r[2 * i + 1]);
    }
    let mut columns = [_mm512_setzero_si512(); 8];
    for odd in 0..2 {
        // Two words each of rows 0–3 and of rows 4–7: words (0, 4) and (2, 6) of one parity.
        let low = _mm512_shuffle_i64x2::<0b10_00_10_00>(pairs[odd], pairs[2 + odd]);
        let high = _mm512_shuffle_i64x2::<0b11_01_11_01>(pairs[odd], pairs[2 + odd]);
        let low_rest = _mm512_shuffle_i64x2::<0b10_00_10_00>(pairs[4 + odd], pairs[6 + odd]);
        let high_rest = _mm512_shuffle_i64x2::<0b11_01_11_01>(pairs[4 + odd], pairs[6 + odd]);
        columns[odd] = _mm512_shuffle_i64x2::<0b10_00_10_00>(low, low_rest);
        columns[4 + odd] = _mm512_shuffle_i64x2::<0b11_01_11_01>(low, low_rest);
        columns[2 + odd] = _mm512_shuffle_i64x2::<0b10_00_10_00>(high, high_rest);
        columns[6 + odd] = _mm512_shuffle_i64x2::<0b11_01_11_01>(high, high_rest);
    }
    columns
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_words(words: &[u64; LANES]) -> __m512i {
    // SAFETY: eight words are 64 readable bytes.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_words(vector: __m512i) -> [u64; LANES] {
    let mut words = [0; LANES];
    // SAFETY: eight words are 64 writable bytes.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
    words
}
