//! Products by secret scalars, in constant time.
//!
//! Secret are nonces and the signing key. What makes each step's time independent of them:
//! - a nonce's digits choose table entries: each window is read whole, the entry is taken out by masks ([`read`]);
//! - the recoding has no zero digit, so every scalar makes the same additions, without a branch ([`Halves`], [`Sum`], the lanes);
//! - Z of the sums is blinded before it is inverted ([`inverted_blinded`]);
//! - the key meets a point twice, in its public key and its image, by k256's `mul_by_generator` and `ProjectivePoint * Scalar`, which are
//!   constant-time; so is `to_affine`. They are also the way out for sums that the fast formulas do not cover;
//! - u − c·x and t − c·x are sums and products of k256's `Scalar`, constant-time as well.

use k256::{AffinePoint, ProjectivePoint, Scalar};
use sha2::{Digest, Sha256};
use zeroize::{DefaultIsZeroes, Zeroize, Zeroizing};

use super::RingError;
use super::curve::{compress, hash_to_curve};
use super::field::Fe;
#[cfg(target_arch = "x86_64")]
use super::lanes::{LANES, sum_lanes};
use super::point::{Affine, Packed, Sum};
use super::product::{narrow_generator, use_lanes};
use super::recode::Halves;
use super::table::{Table, Width};

/// Tables that are read whole: wider ones cost more to read than they save in additions (per product: 4 bits 9.6 µs, 5 8.1, 6 8.3, 8 12.8).
const WIDTH: Width = Width::Six;
const WINDOWS: usize = WIDTH.windows() as usize;

/// What rings need of a signing key again and again; nothing of it is secret. Some 42 KiB.
pub(super) struct Own {
    /// The key's image: x·Hp(x·G), compressed.
    pub(super) image: [u8; 33],
    hashed: AffinePoint,
    table: Table,
}

impl Own {
    /// Of the private key `secret`, whose public key is `public`: takes 150 µs.
    pub(super) fn of(secret: &Scalar, public: &[u8; 33]) -> Result<Self, RingError> {
        let hashed = hash_to_curve(public)?;
        let image = (ProjectivePoint::from(hashed) * *secret).to_affine();
        Ok(Self {
            image: compress(&image),
            table: Table::new(&hashed, WIDTH).ok_or(RingError::Point)?,
            hashed,
        })
    }

    /// k·G and k·Hp(P) for the key's own P.
    pub(super) fn commit(&self, k: &Scalar) -> Zeroizing<[Sum; 2]> {
        let generator = narrow_generator();
        products([generator, &self.table], k)
    }

    /// As [`Self::commit`], by k256's complete formulas, constant-time as well.
    pub(super) fn commit_plainly(&self, k: &Scalar) -> [Affine; 2] {
        commit_plainly(&self.hashed, k)
    }
}

/// The inverse of what comes of secret scalars, zero for zero: of its product with a factor that only who knows `nonce` can know, and
/// that makes all results equally likely. So the time, which depends on that product, tells nothing. 2.5 µs less than
/// [`super::field::Fe::inverted`].
pub(super) fn inverted_blinded(x: &Fe, nonce: &Scalar) -> Fe {
    let mut hash = Sha256::new_with_prefix(b"portico: blinding of an inversion");
    hash.update(Zeroizing::new(<[u8; 32]>::from(nonce.to_bytes())).as_slice());
    let blinding = Fe::from_bytes(&Zeroizing::new(hash.finalize().into()));
    x.mul(&blinding).inverted_vartime().mul(&blinding)
}

/// k·G and k·H by k256's complete formulas, constant-time.
pub(super) fn commit_plainly(hashed: &AffinePoint, k: &Scalar) -> [Affine; 2] {
    [
        ProjectivePoint::mul_by_generator(k),
        ProjectivePoint::from(*hashed) * *k,
    ]
    .map(|point| Affine::of(&point.to_affine()).expect("k is not zero, and the order is prime"))
}

/// The entry that a window's digit chooses, and all ones if it is to be subtracted.
#[derive(Clone, Copy, Default)]
struct Chosen {
    point: Packed,
    negative: u64,
}

impl DefaultIsZeroes for Chosen {}

/// Choices for both halves of a scalar.
type Choices = Zeroizing<[[Chosen; WINDOWS]; 2]>;

/// k times the points of two tables of [`WIDTH`].
fn products(tables: [&Table; 2], k: &Scalar) -> Zeroizing<[Sum; 2]> {
    let halves = Zeroizing::new(Halves::of(k));
    let entries = tables.map(|table| read(table, &halves));
    Zeroizing::new(match use_lanes() {
        true => sums_by_lanes(&entries),
        false => entries.each_ref().map(sum),
    })
}

fn read(table: &Table, halves: &Halves) -> Choices {
    let mut found = Choices::default();
    let [first, second] = &mut *found;
    for ((index, first), second) in (0..).zip(first).zip(second) {
        [*first, *second] = table.read_whole(index, halves);
    }
    found
}

impl Table {
    /// The entries that a window of both halves chooses, by reading all of it.
    #[inline(always)]
    fn read_whole(&self, index: u32, halves: &Halves) -> [Chosen; 2] {
        let (window, first) = self.window(index, halves, 0);
        let (_, second) = self.window(index, halves, 1);
        let (mut one, mut other) = (Packed::default(), Packed::default());
        for (at, entry) in (0_u64..).zip(window) {
            one = one.or_if(entry, equal(at, first.index as u64));
            other = other.or_if(entry, equal(at, second.index as u64));
        }
        [(one, first), (other, second)].map(|(point, digit)| Chosen {
            point,
            negative: digit.negative,
        })
    }
}

/// All ones if equal. The barrier keeps the compiler from making a branch of it.
#[inline(always)]
fn equal(a: u64, b: u64) -> u64 {
    let difference = a ^ b;
    std::hint::black_box(((difference | difference.wrapping_neg()) >> 63).wrapping_sub(1))
}

impl Packed {
    #[inline(always)]
    fn or_if(self, entry: &Self, mask: u64) -> Self {
        Self {
            x: std::array::from_fn(|i| self.x[i] | (entry.x[i] & mask)),
            y: std::array::from_fn(|i| self.y[i] | (entry.y[i] & mask)),
        }
    }
}

/// The sum of all entries, λ times those of the second half.
fn sum(entries: &Choices) -> Sum {
    let [first, second] = entries.each_ref().map(|half| {
        let mut points = half.iter().map(|entry| {
            let point = entry.point.unpacked();
            Affine {
                x: point.x,
                y: point.y.negated_if(entry.negative),
            }
        });
        let mut sum = Sum::of(&points.next().expect("there are windows"));
        for point in points {
            sum.add_affine(&point);
        }
        sum
    });
    let mut sum = second.times_lambda();
    sum.add(&first);
    sum
}

/// Lanes: halves of the lower windows, halves of the upper ones, of the first product; then of the second.
#[cfg(target_arch = "x86_64")]
fn sums_by_lanes(entries: &[Choices; 2]) -> [Sum; 2] {
    const HALF: usize = WINDOWS / 2;
    let mut lanes: [[(&Packed, u64); HALF]; LANES] = std::array::from_fn(|lane| {
        let entries = &entries[lane / 4][lane % 2];
        let first = lane % 4 / 2 * HALF;
        std::array::from_fn(|at| (&entries[first + at].point, entries[first + at].negative))
    });
    let sums = sum_lanes(&lanes.each_ref().map(<[_; HALF]>::as_slice));
    for (_, negative) in lanes.as_flattened_mut() {
        negative.zeroize();
    }
    sums
}

#[cfg(not(target_arch = "x86_64"))]
fn sums_by_lanes(entries: &[Choices; 2]) -> [Sum; 2] {
    entries.each_ref().map(sum)
}

impl Zeroize for Sum {
    fn zeroize(&mut self) {
        for element in [&mut self.x, &mut self.y, &mut self.zz, &mut self.zzz] {
            element.0.zeroize();
        }
    }
}
