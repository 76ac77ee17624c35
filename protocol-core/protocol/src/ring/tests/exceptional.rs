//! Additions that the fast formulas do not cover, as an adversary makes them: he owns a key of the ring and chooses the scalars.

use std::sync::Arc;

use k256::{AffinePoint, Scalar};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::cache::Entry;
use super::super::curve::{compress, reduce, step_points};
use super::super::product::{force_scalar, use_lanes};
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

/// The member whose key is the generator, so that s·G and c·P come of the same table; its image is Hp(G), so that R's do too.
fn member(width: Width) -> (Arc<Entry>, Arc<Entry>) {
    let of_key = Entry::of_key(&compress(&AffinePoint::GENERATOR)).unwrap();
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

#[test]
fn a_sum_that_meets_its_next_entry_is_computed_otherwise() {
    let mut rng = StdRng::seed_from_u64(31);
    for width in [Width::Six, Width::Eight] {
        let (member, image) = member(width);
        let c = reduce(&rng.random());
        let largest = (1_i64 << width.bits()) - 1;
        // Half of s is one odd digit: some of them are the first digit of c, or its negative.
        let mut gave_up = [0; 2];
        for digit in (-largest..=largest).step_by(2) {
            let rest = odd(rng.random::<i64>() | 1);
            gave_up[0] += agree(&member, &image, &(odd(digit) + lambda() * rest), &c);
            gave_up[1] += agree(&member, &image, &(rest + lambda() * odd(digit)), &c);
        }
        assert!(gave_up.iter().all(|times| *times > 0), "{width:?}: {gave_up:?}");
    }
}

#[test]
fn products_that_are_equal_or_opposite_are_computed_or_refused() {
    let mut rng = StdRng::seed_from_u64(32);
    for width in [Width::Six, Width::Eight] {
        let (member, image) = member(width);
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
            assert_eq!(gave_up > 0, use_lanes(), "{width:?}");
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
