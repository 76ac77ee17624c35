//! Odd multiples of one point, for every window of a scalar's half: a product by the point becomes additions alone.
//!
//! ```text
//! window 0: 1·B, 3·B, … (2^w − 1)·B    window 1: the same of 2^w·B    …    the last one takes what is left of the 129 places
//! ```
//! Both halves of a scalar use the same table; the sum of the second halves is multiplied by λ once, at its end.

use k256::AffinePoint;

use super::field::Fe;
use super::point::{Affine, Packed, Sum, normalize};
use super::recode::{BITS, Halves};

/// Width of the windows of a table, in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Width {
    /// 676 entries: 42 KiB.
    Six,
    /// 2,176 entries: 136 KiB.
    Eight,
    /// 6,400 entries: 400 KiB.
    Ten,
}

impl Width {
    /// Bits of a window.
    pub(super) const fn bits(self) -> u32 {
        match self {
            Self::Six => 6,
            Self::Eight => 8,
            Self::Ten => 10,
        }
    }

    /// Whether lanes take it: they share out an even number of windows.
    pub(super) const fn fits_lanes(self) -> bool {
        self.windows().is_multiple_of(2)
    }

    /// Number of windows.
    pub(super) const fn windows(self) -> u32 {
        match self {
            Self::Six => 22,
            Self::Eight => 16,
            Self::Ten => 13,
        }
    }

    /// First place and number of places of a window.
    #[inline]
    pub(super) const fn window(self, index: u32) -> (u32, u32) {
        let first = index * self.bits();
        if index + 1 == self.windows() {
            (first, BITS - first)
        } else {
            (first, self.bits())
        }
    }

    /// Entries of all windows before this one.
    #[inline]
    pub(super) const fn offset(self, index: u32) -> usize {
        (index as usize) << (self.bits() - 1)
    }

    /// Entries of a table.
    pub(super) const fn entries(self) -> usize {
        let last = self.windows() - 1;
        self.offset(last) + (1 << (self.window(last).1 - 1))
    }

    /// Bytes of a table.
    pub(super) const fn bytes(self) -> usize {
        self.entries() * size_of::<Packed>()
    }
}

/// The table of a point.
#[derive(Debug)]
pub(super) struct Table {
    width: Width,
    entries: Box<[Packed]>,
}

impl Table {
    /// `None` for the identity.
    pub(super) fn new(base: &AffinePoint, width: Width) -> Option<Self> {
        let powers = powers_of_two(&Affine::of(base)?)?;
        let mut points = vec![None; width.entries()];
        for window in 0..width.windows() {
            let (first, _) = width.window(window);
            points[width.offset(window)] = Some(powers[first as usize]);
        }
        let widest = (0..width.windows()).map(|window| width.window(window).1).max()?;
        for level in 1..widest {
            add_level(width, level, &powers, &mut points)?;
        }
        let entries: Option<Box<[_]>> = points
            .iter()
            .map(|point| point.as_ref().map(Packed::of))
            .collect();
        Some(Self {
            width,
            entries: entries?,
        })
    }

    pub(super) const fn width(&self) -> Width {
        self.width
    }

    /// The entries of a window, and the places that choose among them.
    #[inline]
    pub(super) fn window(&self, index: u32, halves: &Halves, half: usize) -> (&[Packed], Digit) {
        let (first, places) = self.width.window(index);
        let digit = Digit::of(halves.window(half, first, places), places);
        let start = self.width.offset(index);
        (&self.entries[start..start + (1 << (places - 1))], digit)
    }

    /// The entry that a window of a scalar's half chooses, and all ones if it is to be subtracted. Its time depends on the scalar.
    #[inline]
    pub(super) fn entry(&self, index: u32, halves: &Halves, half: usize) -> (&Packed, u64) {
        let (entries, digit) = self.window(index, halves, half);
        (&entries[digit.index], digit.negative)
    }
}

/// A window of a scalar: index of the odd multiple and, all ones for minus, its sign.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digit {
    pub(super) index: usize,
    pub(super) negative: u64,
}

impl Digit {
    #[inline]
    fn of(bits: u64, places: u32) -> Self {
        let negative = (bits >> (places - 1)).wrapping_sub(1);
        let index = (bits ^ negative) & ((1 << (places - 1)) - 1);
        Self {
            // At most nine bits.
            #[allow(clippy::cast_possible_truncation)]
            index: index as usize,
            negative,
        }
    }
}

/// 2ⁱ·B for every place of a half.
fn powers_of_two(base: &Affine) -> Option<Vec<Affine>> {
    let mut sum = Sum::of(base);
    let mut sums = Vec::with_capacity(BITS as usize);
    for _ in 0..BITS {
        sums.push(sum);
        sum.double();
    }
    normalize(&sums, Fe::inverted_vartime)
}

/// Completes the odd multiples below 2^(level + 1) from those below 2^level, in all windows for one inversion.
fn add_level(width: Width, level: u32, powers: &[Affine], points: &mut [Option<Affine>]) -> Option<()> {
    let known = 1_usize << (level - 1);
    let mut steps = Vec::with_capacity(known * width.windows() as usize);
    let mut product = Fe::ONE;
    for window in (0..width.windows()).filter(|window| width.window(*window).1 > level) {
        let added = powers[(width.window(window).0 + level) as usize];
        for (at, from) in (width.offset(window)..).zip(points.iter().skip(width.offset(window)).take(known)) {
            let from = (*from)?;
            let dx = added.x.add(&from.x.negated(1));
            steps.push((at, from, added, dx, product));
            product = product.mul(&dx);
        }
    }
    // Two odd multiples below the order never share x, so no factor is zero.
    let mut inverse = product.inverted_vartime();
    for (at, from, added, dx, before) in steps.into_iter().rev() {
        points[at + known] = Some(from.plus(&added, &inverse.mul(&before)));
        inverse = inverse.mul(&dx);
    }
    Some(())
}
