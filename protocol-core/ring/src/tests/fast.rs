//! The fast arithmetic against the curve crate's.

use k256::{AffinePoint, ProjectivePoint, Scalar};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::field::Fe;
use super::super::point::{Affine, normalize};
use super::super::product::{force_scalar, step, use_lanes};
use super::super::recode::Halves;
use super::super::table::{Table, Width};
use super::super::tree;

#[test]
fn products_by_tables_are_the_curve_crates() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut scalar = || super::super::curve::reduce(&rng.random());
    let base = |k: Scalar| (ProjectivePoint::GENERATOR * k).to_affine();
    let points = [base(Scalar::ONE), base(scalar()), base(scalar()), base(scalar())];
    for width in [Width::Six, Width::Eight, Width::Ten] {
        let tables = points.map(|point| Table::new(&point, width).unwrap());
        for _ in 0..50 {
            let (s, c) = (scalar(), scalar());
            let [g, p, h, i] = points.map(ProjectivePoint::from);
            let expected = [g * s + p * c, h * s + i * c].map(|point| point.to_affine());
            for scalar_only in [true, false] {
                force_scalar(scalar_only);
                let ours = step(tables.each_ref(), &Halves::of(&s), &Halves::of(&c)).unwrap();
                assert_eq!(
                    ours.map(|point| point.to_curve().unwrap()),
                    expected,
                    "{}",
                    use_lanes()
                );
            }
        }
    }
}

#[test]
fn both_inverses_are_inverses() {
    use super::super::field::Fe;
    let mut rng = StdRng::seed_from_u64(2);
    let mut bytes: Vec<[u8; 32]> = (0..200).map(|_| rng.random()).collect();
    let p = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";
    let mut p: [u8; 32] = hex::decode(p).unwrap().try_into().unwrap();
    p[31] -= 1;
    bytes.push(p);
    bytes.push([0xFF; 32]);
    for n in 0..=255_u8 {
        let mut small = [0; 32];
        small[31 - usize::from(n) / 8] = 1 << (n % 8);
        bytes.push(small);
    }
    for bytes in bytes {
        let x = Fe::from_bytes(&bytes);
        let (slow, fast) = (x.inverted(), x.inverted_vartime());
        assert_eq!(slow.to_words(), fast.to_words(), "{}", hex::encode(bytes));
        assert_eq!(x.mul(&fast).to_words(), Fe::ONE.to_words());
    }
    assert!(Fe::ZERO.inverted().is_zero() && Fe::ZERO.inverted_vartime().is_zero());
}

/// Points that are sums of nothing known to each other.
fn points(count: usize, rng: &mut StdRng) -> Vec<AffinePoint> {
    let scalar = |_| super::super::curve::reduce(&rng.random());
    (0..count)
        .map(scalar)
        .map(|k| (ProjectivePoint::GENERATOR * k).to_affine())
        .collect()
}

/// Four sums as the tree adds them; `None` for what its formulas do not cover.
fn sums_in_a_tree(points: &[Vec<AffinePoint>; 4]) -> Option<Vec<AffinePoint>> {
    let affine = |points: &Vec<AffinePoint>| points.iter().map(|point| Affine::of(point).unwrap()).collect();
    let sums = tree::sums(points.each_ref().map(affine));
    let points = normalize(&sums, Fe::inverted_vartime)?;
    Some(
        points
            .into_iter()
            .map(|point| point.to_curve().unwrap())
            .collect(),
    )
}

#[test]
fn a_tree_of_any_size_has_the_sums_of_its_points() {
    let mut rng = StdRng::seed_from_u64(4);
    for count in 1..=44_usize {
        let sizes = [count, count.div_ceil(2), 1, count / 3 + 1];
        let points = sizes.map(|count| points(count, &mut rng));
        let sum = |points: &Vec<AffinePoint>| {
            points
                .iter()
                .copied()
                .map(ProjectivePoint::from)
                .sum::<ProjectivePoint>()
        };
        let expected = points.iter().map(|points| sum(points).to_affine()).collect();
        assert_eq!(sums_in_a_tree(&points), Some(expected), "{sizes:?}");
    }
}

#[test]
fn a_tree_gives_no_sum_where_two_of_its_summands_share_x() {
    let mut rng = StdRng::seed_from_u64(5);
    let all: [_; 4] = std::array::from_fn(|_| points(32, &mut rng));
    // Two levels of pairs, then runs of eight; the second summand's last point is made the difference.
    for (first, second) in [(0..1, 1..2), (0..2, 2..4), (0..4, 4..8), (0..28, 28..32)] {
        for opposite in [false, true] {
            let mut points = all.clone();
            let sum = |points: &[AffinePoint]| {
                points
                    .iter()
                    .copied()
                    .map(ProjectivePoint::from)
                    .sum::<ProjectivePoint>()
            };
            let wanted = sum(&points[2][first.clone()]);
            let wanted = if opposite { -wanted } else { wanted };
            let last = second.end - 1;
            points[2][last] = (wanted - sum(&points[2][second.start..last])).to_affine();
            assert_eq!(sums_in_a_tree(&points), None, "{second:?}");
        }
    }
}
