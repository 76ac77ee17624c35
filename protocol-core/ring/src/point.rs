//! Points as sums need them: (X, Y, Z², Z³) for x = X/Z², y = Y/Z³, which adds an affine point in eight products and two squares.
//!
//! The formulas are incomplete: adding a point to itself or to its negative gives Z² = 0, and that stays so for the rest of the sum. So
//! a sum is looked at once, at its end; zero means "compute it another way", never a result.

use k256::elliptic_curve::sec1::{FromSec1Point, Sec1Point, ToSec1Point};
use k256::{AffinePoint, Secp256k1};

use super::field::{Fe, Words};

/// A point that is not the identity; coordinates of magnitude 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine {
    pub(super) x: Fe,
    pub(super) y: Fe,
}

impl Affine {
    /// From the curve crate's point; `None` for the identity.
    pub(super) fn of(point: &AffinePoint) -> Option<Self> {
        let encoded = point.to_sec1_point(false);
        let bytes = encoded.as_bytes();
        let x = bytes.get(1..33)?.try_into().ok()?;
        let y = bytes.get(33..65)?.try_into().ok()?;
        Some(Self {
            x: Fe::from_bytes(x),
            y: Fe::from_bytes(y),
        })
    }

    /// The curve crate's point.
    pub(super) fn to_curve(self) -> Option<AffinePoint> {
        let (x, y) = (self.x.to_bytes(), self.y.to_bytes());
        let encoded = Sec1Point::<Secp256k1>::from_affine_coordinates(&x.into(), &y.into(), false);
        AffinePoint::from_sec1_point(&encoded).into_option()
    }

    /// The sum with another point, with the inverse of the other's x less this one's; both y may have magnitude 2.
    #[inline]
    pub(super) fn plus(&self, other: &Self, inverse: &Fe) -> Self {
        let minus_y = self.y.negated(2);
        let slope = other.y.add(&minus_y).mul(inverse);
        let x = slope.square().add(&self.x.add(&other.x).negated(2)).carried();
        let t = self.x.add(&x.negated(1));
        Self {
            x,
            y: slope.mul(&t).add(&minus_y).carried(),
        }
    }

    /// 33 bytes.
    pub(super) fn compressed(&self) -> [u8; 33] {
        let mut bytes = [0; 33];
        bytes[0] = 2 | u8::from(self.y.is_odd());
        bytes[1..].copy_from_slice(&self.x.to_bytes());
        bytes
    }
}

/// A running sum. X has magnitude 6 at most, the others 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    pub(super) x: Fe,
    pub(super) y: Fe,
    pub(super) zz: Fe,
    pub(super) zzz: Fe,
}

/// Largest magnitude of a sum's X.
const X: u64 = 6;

impl Sum {
    /// What an addition gives that the formulas do not cover: Z² = 0.
    pub(super) const UNDEFINED: Self = Self {
        x: Fe::ONE,
        y: Fe::ONE,
        zz: Fe::ZERO,
        zzz: Fe::ZERO,
    };

    /// A sum of one point, whose y may have magnitude 2.
    pub(super) fn of(point: &Affine) -> Self {
        Self {
            x: point.x,
            y: point.y.mul(&Fe::ONE),
            zz: Fe::ONE,
            zzz: Fe::ONE,
        }
    }

    /// A sum of two points, whose y may have magnitude 2 (`mmadd-2008-s`).
    #[inline]
    pub(super) fn of_two(first: &Affine, second: &Affine) -> Self {
        let p = second.x.add(&first.x.negated(1));
        let minus_y = first.y.negated(2);
        let r = second.y.add(&minus_y);
        let pp = p.square();
        let ppp = p.mul(&pp);
        let q = first.x.mul(&pp);
        let x = r.square().add(&ppp.negated(1)).add(&q.add(&q).negated(2));
        let t = q.add(&x.negated(X));
        Self {
            x,
            y: r.mul_add(&t, &minus_y, &ppp),
            zz: pp,
            zzz: ppp,
        }
    }

    /// Adds a point, whose y may have magnitude 2 (`madd-2008-s`).
    #[inline]
    pub(super) fn add_affine(&mut self, point: &Affine) {
        let u = point.x.mul(&self.zz);
        let s = point.y.mul(&self.zzz);
        self.finish(&u, &s, &{ self.x }, &{ self.y }, X);
    }

    /// Adds another sum (`add-2008-s`).
    pub(super) fn add(&mut self, other: &Self) {
        let (u1, u2) = (self.x.mul(&other.zz), other.x.mul(&self.zz));
        let (s1, s2) = (self.y.mul(&other.zzz), other.y.mul(&self.zzz));
        self.zz = self.zz.mul(&other.zz);
        self.zzz = self.zzz.mul(&other.zzz);
        self.finish(&u2, &s2, &u1, &s1, 1);
    }

    /// What both additions end with: the points (u₁, s₁) and (u₂, s₂) over the same Z, u₁ of the magnitude told.
    #[inline]
    fn finish(&mut self, u2: &Fe, s2: &Fe, u1: &Fe, s1: &Fe, magnitude: u64) {
        let p = u2.add(&u1.negated(magnitude));
        let minus_s1 = s1.negated(1);
        let r = s2.add(&minus_s1);
        let pp = p.square();
        let ppp = p.mul(&pp);
        let q = u1.mul(&pp);
        self.x = r.square().add(&ppp.negated(1)).add(&q.add(&q).negated(2));
        let t = q.add(&self.x.negated(X));
        self.y = r.mul_add(&t, &minus_s1, &ppp);
        self.zz = self.zz.mul(&pp);
        self.zzz = self.zzz.mul(&ppp);
    }

    /// Doubles it (`dbl-2008-s-1`): there is no point of order two.
    pub(super) fn double(&mut self) {
        let u = self.y.add(&self.y);
        let v = u.square();
        let w = u.mul(&v);
        let s = self.x.mul(&v);
        let xx = self.x.square();
        let m = xx.add(&xx).add(&xx);
        self.x = m.square().add(&s.add(&s).negated(2));
        let t = s.add(&self.x.negated(X));
        self.y = m.mul_add(&t, &w.negated(1), &self.y);
        self.zz = v.mul(&self.zz);
        self.zzz = w.mul(&self.zzz);
    }

    /// λ times the sum.
    #[inline]
    pub(super) fn times_lambda(&self) -> Self {
        Self {
            x: self.x.mul(&Fe::BETA),
            ..*self
        }
    }

    /// The point, with the inverse of Z³.
    fn affine(&self, inverse: &Fe) -> Affine {
        let z_inverse_squared = self.zz.mul(inverse).square();
        Affine {
            x: self.x.mul(&z_inverse_squared),
            y: self.y.mul(inverse),
        }
    }
}

/// The points of sums, for one inversion; `None` if any met an addition that the formulas do not cover.
pub(super) fn normalize(sums: &[Sum], invert: impl FnOnce(&Fe) -> Fe) -> Option<Vec<Affine>> {
    let mut products = Vec::with_capacity(sums.len());
    let mut product = Fe::ONE;
    for sum in sums {
        products.push(product);
        product = product.mul(&sum.zzz);
    }
    if product.is_zero() {
        return None;
    }
    let mut inverse = invert(&product);
    let mut points: Vec<_> = sums
        .iter()
        .zip(&products)
        .rev()
        .map(|(sum, before)| {
            let own = inverse.mul(before);
            inverse = inverse.mul(&sum.zzz);
            sum.affine(&own)
        })
        .collect();
    points.reverse();
    Some(points)
}

/// As [`normalize`], of a pair, without a heap.
#[inline]
pub(super) fn normalize_pair(left: &Sum, right: &Sum, invert: fn(&Fe) -> Fe) -> Option<[Affine; 2]> {
    let product = left.zzz.mul(&right.zzz);
    if product.is_zero() {
        return None;
    }
    let inverse = invert(&product);
    Some([
        left.affine(&inverse.mul(&right.zzz)),
        right.affine(&inverse.mul(&left.zzz)),
    ])
}

/// A point as a table keeps it: one cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Packed {
    pub(super) x: Words,
    pub(super) y: Words,
}

impl Packed {
    pub(super) fn of(point: &Affine) -> Self {
        Self {
            x: point.x.to_words(),
            y: point.y.to_words(),
        }
    }

    #[inline]
    pub(super) const fn unpacked(&self) -> Affine {
        Affine {
            x: Fe::from_words(&self.x),
            y: Fe::from_words(&self.y),
        }
    }
}
