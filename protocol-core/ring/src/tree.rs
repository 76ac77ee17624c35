//! Several sums of many points at once: in pairs, level by level, while the pairs of a level are worth an inversion.
//!
//! ```text
//! a + b   c + d   e + f   g + h      five products and a square each, and one inversion for all of a level
//!     └─ + ─┘         └─ + ─┘
//! ```
//! Adding a point to a running sum takes ten; what the levels leave is added that way. Variable time, for public values.

use super::field::Fe;
use super::point::{Affine, Sum};

/// Pairs whose savings, four products each, pay for an inversion.
const WORTH_AN_INVERSION: usize = 24;

/// The sums of points, each of at least one, whose y may have magnitude 2. What the formulas do not cover is [`Sum::UNDEFINED`] or has
/// Z² = 0, too.
pub(super) fn sums<const N: usize>(mut points: [Vec<Affine>; N]) -> [Sum; N] {
    let mut stride = 1;
    while pairs(&points, stride) >= WORTH_AN_INVERSION {
        if add_pairs(&mut points, stride).is_none() {
            return [Sum::UNDEFINED; N];
        }
        stride *= 2;
    }
    points.map(|points| in_turn(points.iter().step_by(stride)))
}

/// Pairs of neighbours, where every `stride`th point is left.
fn pairs(points: &[Vec<Affine>], stride: usize) -> usize {
    let of = |points: &Vec<Affine>| points.len().div_ceil(stride) / 2;
    points.iter().map(of).sum()
}

/// A pair's difference of x, and the product of those before in its chain.
struct Step {
    dx: Fe,
    before: Fe,
}

/// Chains of products that are multiplied in turn, so that the processor has work while one's last product is under way.
const CHAINS: usize = 2;

/// Puts the sum of each pair in the place of its first point; `None` if two have the same x.
fn add_pairs(points: &mut [Vec<Affine>], stride: usize) -> Option<()> {
    let mut steps = Vec::with_capacity(pairs(points, stride));
    let mut products = [Fe::ONE; CHAINS];
    for pair in points.iter().flat_map(|points| points.chunks(2 * stride)) {
        if let Some(second) = pair.get(stride) {
            let dx = second.x.add(&pair[0].x.negated(1));
            let product = &mut products[steps.len() % CHAINS];
            steps.push(Step { dx, before: *product });
            *product = product.mul(&dx);
        }
    }
    let product = products[0].mul(&products[1]);
    if product.is_zero() {
        return None;
    }
    let inverse = product.inverted_vartime();
    let mut inverses = [inverse.mul(&products[1]), inverse.mul(&products[0])];
    let pairs = points.iter_mut().flat_map(|points| points.chunks_mut(2 * stride));
    let pairs = pairs.rev().filter(|pair| pair.len() > stride);
    for (pair, (at, step)) in pairs.zip(steps.iter().enumerate().rev()) {
        let inverse = &mut inverses[at % CHAINS];
        let own = inverse.mul(&step.before);
        *inverse = inverse.mul(&step.dx);
        pair[0] = pair[0].plus(&pair[stride], &own);
    }
    Some(())
}

fn in_turn<'a>(mut points: impl Iterator<Item = &'a Affine>) -> Sum {
    let Some(first) = points.next() else {
        return Sum::UNDEFINED;
    };
    let Some(second) = points.next() else {
        return Sum::of(first);
    };
    let mut sum = Sum::of_two(first, second);
    for point in points {
        sum.add_affine(point);
    }
    sum
}
