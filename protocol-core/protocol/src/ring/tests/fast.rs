//! The fast arithmetic against the curve crate's.

use k256::{ProjectivePoint, Scalar};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::product::{force_scalar, step, use_lanes};
use super::super::recode::Halves;
use super::super::table::{Table, Width};

#[test]
fn products_by_tables_are_the_curve_crates() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut scalar = || super::super::curve::reduce(&rng.random());
    let base = |k: Scalar| (ProjectivePoint::GENERATOR * k).to_affine();
    let points = [base(Scalar::ONE), base(scalar()), base(scalar()), base(scalar())];
    for width in [Width::Six, Width::Eight] {
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
