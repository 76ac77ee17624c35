//! Additions that the fast formulas do not cover, as an adversary makes them: he owns a key of the ring and chooses the scalars.

use std::sync::Arc;

use k256::elliptic_curve::ff::Field;
use k256::{ProjectivePoint, Scalar};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::cache::Entry;
use super::super::curve::{compress, reduce, step_points};
use super::super::product::{force_scalar, use_lanes};
use super::super::recode::Halves;
use super::super::table::Width;
use super::super::{RingError, challenge, step, step_by_tables};

/// The curve's third root of one, as a scalar.
fn lambda() -> Scalar {
    let hex = "5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72";
    reduce(&hex::decode(hex).unwrap().try_into().unwrap())
}

fn odd(k: i64) -> Scalar {
    let size = Scalar::from(k.unsigned_abs());
    if k < 0 { -size } else { size }
}

/// The member whose key is so many times the generator, so that c·P is a multiple of it too; its image is Hp(P), so that R's products are
/// multiples of one point as well.
fn member(width: Width, times: &Scalar) -> (Arc<Entry>, Arc<Entry>) {
    let key = (ProjectivePoint::GENERATOR * times).to_affine();
    let of_key = Entry::of_key(&compress(&key)).unwrap();
    let member = Arc::new(of_key.without_tables());
    let image = Arc::new(
        Entry::of_image(&compress(member.hashed()))
            .unwrap()
            .without_tables(),
    );
    for entry in [&member, &image] {
        entry.build_at_once(width);
    }
    (member, image)
}

/// Steps by tables and by complete formulas, scalar and in lanes; returns how often tables had to give up.
fn agree(member: &Entry, image: &Entry, s: &Scalar, c: &Scalar) -> usize {
    let message = [5; 32];
    let expected = step_points([&member.point, member.hashed(), &image.point], s, c)
        .and_then(|points| challenge(&message, &points));
    let mut gave_up = 0;
    for scalar in [true, false] {
        force_scalar(scalar);
        assert_eq!(
            step(&message, member, image, s, c),
            expected,
            "s = {s:?}, c = {c:?}"
        );
        gave_up += usize::from(step_by_tables(member, image, s, c).is_none());
    }
    gave_up
}

/// How many of the two ways that [`agree`] goes are without lanes.
fn without_lanes() -> usize {
    2 - usize::from(use_lanes())
}

/// What the lowest places of a scalar's half stand for.
fn lowest(c: &Scalar, half: usize, places: u32) -> i64 {
    let bits = Halves::of(c).window(half, 0, places);
    2 * i64::try_from(bits).unwrap() - ((1_i64 << places) - 1)
}

/// `first` and `second` as the halves of a scalar.
fn with_halves(half: usize, first: Scalar, second: Scalar) -> Scalar {
    let twisted = if half == 0 { second } else { first };
    let plain = if half == 0 { first } else { second };
    plain + lambda() * twisted
}

#[test]
fn a_pair_of_equal_or_opposite_entries_is_computed_otherwise() {
    let mut rng = StdRng::seed_from_u64(31);
    // Neighbours: the generator's last entry, of the places from 120 on, and the key's first one.
    let place = Scalar::from(2_u64).pow_vartime([120_u64]);
    let (member, image) = member(Width::Eight, &place);
    let mut met = 0;
    while met < 20 {
        let c = reduce(&rng.random());
        for half in 0..2 {
            let digit = lowest(&c, half, 8);
            if digit.abs() < 127 {
                for digit in [digit, -digit] {
                    let s = with_halves(
                        half,
                        odd(digit) * place + Scalar::ONE,
                        odd(rng.random::<i64>() | 1),
                    );
                    assert_eq!(agree(&member, &image, &s, &c), without_lanes());
                    met += 1;
                }
            }
        }
    }
}

#[test]
fn a_sum_that_meets_its_next_entry_is_computed_otherwise() {
    let mut rng = StdRng::seed_from_u64(33);
    let (member, image) = member(Width::Eight, &Scalar::ONE);
    for _ in 0..20 {
        let c = reduce(&rng.random());
        for half in 0..2 {
            // All of s·H comes before the sum of c·I's four lowest windows.
            let sum = lowest(&c, half, 32);
            for sum in [sum, -sum] {
                let s = with_halves(half, odd(sum), odd(rng.random::<i64>() | 1));
                assert_eq!(agree(&member, &image, &s, &c), without_lanes());
            }
        }
    }
}

#[test]
fn products_that_are_equal_or_opposite_are_computed_or_refused() {
    let mut rng = StdRng::seed_from_u64(32);
    for width in [Width::Six, Width::Eight, Width::Ten] {
        let (member, image) = member(width, &Scalar::ONE);
        let mut scalars: Vec<Scalar> = (0..20).map(|_| reduce(&rng.random())).collect();
        scalars.extend([1, 3, -1, 255, -257].map(odd));
        scalars.extend([
            lambda(),
            -lambda(),
            lambda() + Scalar::ONE,
            lambda() - Scalar::ONE,
        ]);
        for c in &scalars {
            // s = c doubles; the others share one of the halves, or both but for λ.
            let twisted = [*c, *c * lambda(), -(*c * lambda()), *c * lambda() * lambda()];
            let gave_up: usize = twisted.iter().map(|s| agree(&member, &image, s, c)).sum();
            // Lanes add whole products.
            assert_eq!(gave_up > 0, use_lanes() && width.fits_lanes(), "{width:?}");
            assert_eq!(
                step(&[5; 32], &member, &image, &-*c, c),
                Err(RingError::Challenge),
                "L and R are the identity"
            );
            agree(&member, &image, &-*c, c);
        }
        for (s, c) in [
            (Scalar::ZERO, scalars[0]),
            (scalars[0], Scalar::ZERO),
            (Scalar::ZERO, Scalar::ZERO),
        ] {
            agree(&member, &image, &s, &c);
        }
    }
}
