//! Points by their x: a square root in the field. Variable time, for public values.

use k256::AffinePoint;

use super::field::Fe;
use super::point::Affine;

/// The b of y² = x³ + b.
const B: Fe = Fe([7, 0, 0, 0, 0]);

/// The point with this x, big-endian, and an odd or an even y; `None` when x is not below the field's prime or not of the curve.
pub(super) fn lift_x(bytes: &[u8; 32], odd: bool) -> Option<AffinePoint> {
    let x = Fe::from_bytes(bytes);
    if x.to_bytes() != *bytes {
        return None;
    }
    let y_squared = x.square().mul(&x).add(&B);
    let y = y_squared.root_candidate();
    if !y.square().add(&y_squared.negated(2)).is_zero() {
        return None;
    }
    // No point has y = 0: −7 is no cube.
    let y = if y.is_odd() == odd { y } else { y.negated(1) };
    Affine { x, y }.to_curve()
}

#[cfg(test)]
mod tests {
    use k256::FieldBytes;
    use k256::elliptic_curve::point::DecompressPoint;
    use k256::elliptic_curve::subtle::Choice;
    use proptest::prelude::*;

    use super::*;

    fn agrees(x: &[u8; 32]) {
        for odd in [false, true] {
            let theirs = AffinePoint::decompress(&FieldBytes::from(*x), Choice::from(u8::from(odd)));
            assert_eq!(
                lift_x(x, odd),
                Option::from(theirs),
                "{}, odd: {odd}",
                hex::encode(x)
            );
        }
    }

    #[test]
    fn edges_of_the_field_lift_as_the_curve_crate_lifts_them() {
        // p, and all of 2^256 above it, is no x.
        let prime = {
            let mut prime = [0xFF; 32];
            prime[27..].copy_from_slice(&[0xFE, 0xFF, 0xFF, 0xFC, 0x2F]);
            prime
        };
        for n in 0..=u8::MAX {
            let mut small = [0; 32];
            small[31] = n;
            agrees(&small);
            let mut large = [0xFF; 32];
            large[31] = n;
            agrees(&large);
            let mut near = prime;
            near[31] = n;
            agrees(&near);
        }
        for place in 0..32 {
            let mut ones = [0; 32];
            ones[place..].fill(0xFF);
            agrees(&ones);
        }
        assert_eq!(lift_x(&prime, false), None);
    }

    proptest! {
        #[test]
        fn any_x_lifts_as_the_curve_crate_lifts_it(x in any::<[u8; 32]>()) {
            agrees(&x);
        }
    }
}
