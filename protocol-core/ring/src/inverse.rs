//! Inverses modulo p of public values: the safegcd algorithm of Bernstein and Yang, in the shape that libsecp256k1 gave it.
//!
//! The greatest common divisor of p and x is found by *divsteps*, 62 at a time on the lowest word; the 2×2 matrix that they amount to is
//! then applied to the long numbers. Variable time.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // low words of long numbers are meant

use super::field::{Fe, Words};

/// Bits of a limb.
const LIMB: u32 = 62;
const MASK: u64 = u64::MAX >> 2;
/// p = 2^256 − 2^32 − 977 in signed limbs, and its inverse modulo 2^62.
const P: Long = [-0x1_0000_03D1, 0, 0, 0, 256];
const P_INVERSE: u64 = 0x27C7_F6E2_2DDA_CACF;

/// Five signed limbs of 62 bits.
type Long = [i64; 5];

/// What 62 divsteps do to (f, g), times 2^62.
#[derive(Clone, Copy)]
struct Matrix {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

impl Fe {
    /// Inverse, zero for zero; variable time.
    pub(super) fn inverted_vartime(&self) -> Self {
        let (mut d, mut e) = ([0; 5], [1, 0, 0, 0, 0]);
        let (mut f, mut g) = (P, limbs(&self.to_words()));
        let (mut eta, mut len) = (-1, 5);
        loop {
            let (next, matrix) = divsteps(eta, f[0].cast_unsigned(), g[0].cast_unsigned());
            eta = next;
            matrix.apply_modulo_p(&mut d, &mut e);
            matrix.apply(&mut f[..len], &mut g[..len]);
            if g[..len].iter().all(|limb| *limb == 0) {
                break;
            }
            len = shortened(&mut f, &mut g, len);
        }
        Self::from_words(&words(&normalized(d, f[len - 1] >> 63)))
    }
}

/// 62 divsteps on the low words; η is minus the algorithm's δ.
fn divsteps(mut eta: i64, mut f: u64, mut g: u64) -> (i64, Matrix) {
    let (mut u, mut v, mut q, mut r) = (1_u64, 0_u64, 0_u64, 1_u64);
    let mut left = LIMB;
    loop {
        // A sentinel keeps from counting beyond the divsteps that are left.
        let zeros = (g | (u64::MAX << left)).trailing_zeros();
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        eta -= i64::from(zeros);
        left -= zeros;
        if left == 0 {
            break;
        }
        if eta < 0 {
            eta = -eta;
            (f, g) = (g, f.wrapping_neg());
            (u, q) = (q, u.wrapping_neg());
            (v, r) = (r, v.wrapping_neg());
        }
        // As many low bits of g go at once as divsteps allow without another swap: g + w·f for w = −g/f modulo a power of two.
        let limit = u32::try_from(eta + 1).unwrap_or(LIMB).min(left).min(6);
        let mask = u64::MAX >> (64 - limit);
        let inverse = f.wrapping_mul(f.wrapping_mul(f).wrapping_sub(2));
        let w = inverse.wrapping_mul(g) & mask;
        g = g.wrapping_add(f.wrapping_mul(w));
        q = q.wrapping_add(u.wrapping_mul(w));
        r = r.wrapping_add(v.wrapping_mul(w));
    }
    let [u, v, q, r] = [u, v, q, r].map(u64::cast_signed);
    (eta, Matrix { u, v, q, r })
}

impl Matrix {
    /// (f, g) ← matrix · (f, g) / 2^62, which is whole.
    fn apply(&self, f: &mut [i64], g: &mut [i64]) {
        let (mut cf, mut cg) = (0, 0);
        for i in 0..f.len() {
            cf += wide(self.u, f[i]) + wide(self.v, g[i]);
            cg += wide(self.q, f[i]) + wide(self.r, g[i]);
            if i > 0 {
                (f[i - 1], g[i - 1]) = (low(cf), low(cg));
            }
            cf >>= LIMB;
            cg >>= LIMB;
        }
        if let (Some(f), Some(g)) = (f.last_mut(), g.last_mut()) {
            (*f, *g) = (cf as i64, cg as i64);
        }
    }

    /// (d, e) ← matrix · (d, e) / 2^62 modulo p, each between −2·p and p before and after.
    fn apply_modulo_p(&self, d: &mut Long, e: &mut Long) {
        let (sd, se) = (d[4] >> 63, e[4] >> 63);
        // Multiples of p that bring negative numbers up, and then such that the lowest 62 bits vanish.
        let mut md = (self.u & sd) + (self.v & se);
        let mut me = (self.q & sd) + (self.r & se);
        let (mut cd, mut ce) = (0, 0);
        for i in 0..5 {
            cd += wide(self.u, d[i]) + wide(self.v, e[i]);
            ce += wide(self.q, d[i]) + wide(self.r, e[i]);
            if i == 0 {
                md -= vanishing(cd, md);
                me -= vanishing(ce, me);
            }
            cd += wide(P[i], md);
            ce += wide(P[i], me);
            if i > 0 {
                (d[i - 1], e[i - 1]) = (low(cd), low(ce));
            }
            cd >>= LIMB;
            ce >>= LIMB;
        }
        (d[4], e[4]) = (cd as i64, ce as i64);
    }
}

fn wide(a: i64, b: i64) -> i128 {
    i128::from(a) * i128::from(b)
}

fn low(carry: i128) -> i64 {
    (carry as u64 & MASK).cast_signed()
}

/// What to take off the multiple of p so that the sum's lowest 62 bits vanish.
fn vanishing(sum: i128, multiple: i64) -> i64 {
    let product = P_INVERSE
        .wrapping_mul(sum as u64)
        .wrapping_add(multiple.cast_unsigned());
    (product & MASK).cast_signed()
}

/// Drops the top limb of both when it holds nothing but the sign.
fn shortened(f: &mut Long, g: &mut Long, len: usize) -> usize {
    let (top_f, top_g) = (f[len - 1], g[len - 1]);
    if len < 2 || (top_f ^ (top_f >> 63)) != 0 || (top_g ^ (top_g >> 63)) != 0 {
        return len;
    }
    f[len - 2] |= top_f << LIMB;
    g[len - 2] |= top_g << LIMB;
    len - 1
}

/// d between −2·p and p, or its negative if `negative` is all ones, between 0 and p.
fn normalized(mut d: Long, negative: i64) -> Long {
    let add_p_if_negative = |d: &mut Long| {
        let mask = d[4] >> 63;
        for (limb, p) in d.iter_mut().zip(P) {
            *limb += p & mask;
        }
    };
    add_p_if_negative(&mut d);
    for limb in &mut d {
        *limb = (*limb ^ negative) - negative;
    }
    carry(&mut d);
    add_p_if_negative(&mut d);
    carry(&mut d);
    d
}

fn carry(d: &mut Long) {
    for i in 0..4 {
        d[i + 1] += d[i] >> LIMB;
        d[i] &= MASK.cast_signed();
    }
}

fn limbs(w: &Words) -> Long {
    [
        w[0] & MASK,
        (w[0] >> 62 | w[1] << 2) & MASK,
        (w[1] >> 60 | w[2] << 4) & MASK,
        (w[2] >> 58 | w[3] << 6) & MASK,
        w[3] >> 56,
    ]
    .map(u64::cast_signed)
}

fn words(d: &Long) -> Words {
    let [a, b, c, d, e] = d.map(i64::cast_unsigned);
    [a | b << 62, b >> 2 | c << 60, c >> 4 | d << 58, d >> 6 | e << 56]
}
