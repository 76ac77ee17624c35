//! Sums of products by tables: a·A + b·B, with additions only. Variable time, for public values.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, OnceLock};

use k256::AffinePoint;

use super::field::Fe;
#[cfg(target_arch = "x86_64")]
use super::lanes::{self, LANES};
use super::point::{Affine, Packed, Sum, normalize_pair};
use super::recode::Halves;
use super::table::{Table, Width};
use super::tree;

/// Most windows of a table.
const MAX_WINDOWS: usize = 22;

static NOTHING: Packed = Packed { x: [0; 4], y: [0; 4] };

/// What one scalar's half takes from a table: entries, and all ones for those to be subtracted.
type Entries<'a> = [(&'a Packed, u64); MAX_WINDOWS];

/// The generator's tables, each built at first use; together 578 KiB.
static GENERATOR_BY_SIX: LazyLock<Table> = LazyLock::new(|| generator_by(Width::Six));
static GENERATOR_BY_EIGHT: LazyLock<Table> = LazyLock::new(|| generator_by(Width::Eight));
static GENERATOR_BY_TEN: LazyLock<Table> = LazyLock::new(|| generator_by(Width::Ten));

fn generator_by(width: Width) -> Table {
    Table::new(&AffinePoint::GENERATOR, width).expect("the generator is not the identity")
}

/// The generator's table that goes best with others of this width: in lanes the same, as all take as many steps; else the widest.
pub(super) fn generator(width: Width) -> &'static Table {
    match width {
        _ if !use_lanes() => &GENERATOR_BY_TEN,
        Width::Six => &GENERATOR_BY_SIX,
        Width::Eight | Width::Ten => &GENERATOR_BY_EIGHT,
    }
}

/// The generator's narrowest table.
pub(super) fn narrow_generator() -> &'static Table {
    &GENERATOR_BY_SIX
}

/// L = s·G + c·P and R = s·H + c·I from the tables of G, P, H, I; `None` when the formulas do not cover an addition on the way.
pub(super) fn step(tables: [&Table; 4], s: &Halves, c: &Halves) -> Option<[Affine; 2]> {
    let [g, p, h, i] = tables;
    let products = [(g, s), (p, c), (h, s), (i, c)];
    let [left, right] =
        if use_lanes() && g.width().fits_lanes() && tables.iter().all(|table| table.width() == g.width()) {
            step_by_lanes(g.width(), &products)
        } else {
            let [first, second, third, fourth] = products;
            sums_of([&[first, second], &[third, fourth]])
        };
    normalize_pair(&left, &right, Fe::inverted_vartime)
}

/// c·P and c·I from the tables of P and I, when the products by s were prepared.
pub(super) fn products_of_one(tables: [&Table; 2], c: &Halves) -> [Sum; 2] {
    let width = tables[0].width();
    if use_lanes() && width.fits_lanes() && tables[1].width() == width {
        return products_by_lanes(width, tables, c);
    }
    let [first, second] = tables;
    sums_of([&[(first, c)], &[(second, c)]])
}

/// Two sums of products, each in two halves that are added up together.
fn sums_of(products: [&[(&Table, &Halves)]; 2]) -> [Sum; 2] {
    let [left, right] = products;
    let points = [
        points_of(left, 0),
        points_of(left, 1),
        points_of(right, 0),
        points_of(right, 1),
    ];
    let [left, left_lambda, right, right_lambda] = tree::sums(points);
    [joined(&left, &left_lambda), joined(&right, &right_lambda)]
}

fn joined(first: &Sum, second: &Sum) -> Sum {
    let mut sum = second.times_lambda();
    sum.add(first);
    sum
}

/// What to add up for one half of products.
fn points_of(products: &[(&Table, &Halves)], half: usize) -> Vec<Affine> {
    // All entries are found before any is read, so that cache misses overlap.
    let mut read = [(&NOTHING, 0); 2 * MAX_WINDOWS];
    let mut count = 0;
    for (table, scalar) in products {
        for index in 0..table.width().windows() {
            read[count] = table.entry(index, scalar, half);
            count += 1;
        }
    }
    let mut points = Vec::with_capacity(count);
    points.extend(
        read[..count]
            .iter()
            .map(|(entry, negative)| signed(entry, *negative)),
    );
    points
}

#[inline]
fn signed(entry: &Packed, negative: u64) -> Affine {
    let point = entry.unpacked();
    Affine {
        x: point.x,
        y: point.y.negated_if(negative),
    }
}

/// The entries of all windows of a table for a scalar's half.
fn entries<'a>(table: &'a Table, scalar: &Halves, half: usize) -> Entries<'a> {
    let mut entries = [(&NOTHING, 0); MAX_WINDOWS];
    for (index, entry) in (0..table.width().windows()).zip(&mut entries) {
        *entry = table.entry(index, scalar, half);
    }
    entries
}

/// Lanes: first and second half of each of the four products.
#[cfg(target_arch = "x86_64")]
fn step_by_lanes(width: Width, products: &[(&Table, &Halves); 4]) -> [Sum; 2] {
    let entries: [Entries<'_>; LANES] = std::array::from_fn(|lane| {
        let (table, scalar) = products[lane / 2];
        entries(table, scalar, lane % 2)
    });
    lanes::sum_lanes(&entries.each_ref().map(|lane| &lane[..width.windows() as usize]))
}

/// Lanes: first and second half of the lower windows, of the upper ones, of the first product; then of the second.
#[cfg(target_arch = "x86_64")]
fn products_by_lanes(width: Width, tables: [&Table; 2], c: &Halves) -> [Sum; 2] {
    let entries: [Entries<'_>; 4] = std::array::from_fn(|at| entries(tables[at / 2], c, at % 2));
    let windows = width.windows() as usize;
    let (lower, upper) = (0..windows / 2, windows / 2..windows);
    lanes::sum_lanes(&std::array::from_fn(|lane| {
        let range = if lane % 4 < 2 {
            lower.clone()
        } else {
            upper.clone()
        };
        &entries[lane / 4 * 2 + lane % 2][range]
    }))
}

#[cfg(not(target_arch = "x86_64"))]
fn step_by_lanes(_: Width, _: &[(&Table, &Halves); 4]) -> [Sum; 2] {
    unreachable!("there are no lanes")
}

#[cfg(not(target_arch = "x86_64"))]
fn products_by_lanes(_: Width, _: [&Table; 2], _: &Halves) -> [Sum; 2] {
    unreachable!("there are no lanes")
}

#[cfg(not(test))]
static SCALAR_ONLY: AtomicBool = AtomicBool::new(false);

// Tests that force the way run side by side.
#[cfg(test)]
thread_local! {
    static SCALAR_ONLY: AtomicBool = const { AtomicBool::new(false) };
}

/// Keeps from the vector unit, process-wide: for comparing the two ways, which give the same results.
pub fn force_scalar(on: bool) {
    scalar_only(|only| only.store(on, Ordering::Relaxed));
}

#[cfg(not(test))]
fn scalar_only<T>(of: impl FnOnce(&AtomicBool) -> T) -> T {
    of(&SCALAR_ONLY)
}

#[cfg(test)]
fn scalar_only<T>(of: impl FnOnce(&AtomicBool) -> T) -> T {
    SCALAR_ONLY.with(of)
}

/// Whether rings are computed on the vector unit (AVX-512 IFMA): the processor has it, and it passed its self-test.
#[must_use]
pub fn use_lanes() -> bool {
    !scalar_only(|only| only.load(Ordering::Relaxed)) && lanes_work()
}

#[cfg(target_arch = "x86_64")]
fn lanes_work() -> bool {
    static WORK: OnceLock<bool> = OnceLock::new();
    *WORK.get_or_init(|| lanes::available() && self_test())
}

#[cfg(not(target_arch = "x86_64"))]
fn lanes_work() -> bool {
    false
}

/// Compares the lanes with the scalar path on a few steps.
#[cfg(target_arch = "x86_64")]
fn self_test() -> bool {
    use k256::{ProjectivePoint, Scalar};

    const STEPS: u64 = 16;
    let base = |k: u64| (ProjectivePoint::GENERATOR * Scalar::from(k)).to_affine();
    let tables = [1, 5, 0x1234_5678_9ABC_DEF1, u64::MAX].map(|k| Table::new(&base(k), Width::Six));
    let [Some(g), Some(p), Some(h), Some(i)] = &tables else {
        return false;
    };
    let mut scalar = Scalar::from(0x0123_4567_89AB_CDEF_u64);
    (0..STEPS).all(|_| {
        let s = Halves::of(&scalar);
        scalar = scalar * scalar + Scalar::ONE;
        let c = Halves::of(&scalar);
        let products = [(g, &s), (p, &c), (h, &s), (i, &c)];
        let by_lanes = step_by_lanes(Width::Six, &products).map(normal);
        let half = products_by_lanes(Width::Six, [p, i], &c).map(normal);
        by_lanes == sums_of([&products[..2], &products[2..]]).map(normal)
            && half == sums_of([&[(p, &c)], &[(i, &c)]]).map(normal)
    })
}

/// Coordinates of a sum's point.
#[cfg(target_arch = "x86_64")]
fn normal(sum: Sum) -> Option<[[u8; 32]; 2]> {
    let [point, _] = normalize_pair(&sum, &sum, Fe::inverted)?;
    Some([point.x.to_bytes(), point.y.to_bytes()])
}
