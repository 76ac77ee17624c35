//! The curve as rings use it: points, hash to curve, challenges.

use k256::elliptic_curve::BatchNormalize;
use k256::elliptic_curve::ff::PrimeField;
use k256::elliptic_curve::group::Group;
use k256::elliptic_curve::ops::{LinearCombination, Reduce};
use k256::elliptic_curve::sec1::ToSec1Point;
use k256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar, WideBytes};
use sha3::{Digest, Sha3_256, Sha3_512};
use zeroize::Zeroizing;

use super::RingError;
use super::lift::lift_x;

/// Rounds of SHA3-256 that are tried until an x is on the curve; half of all x are.
const HASH_TO_CURVE_ROUNDS: usize = 128;

/// Reads a compressed point: 02 or 03 and an x of the curve below the field's prime. No other encoding is the network's.
pub(super) fn decode_point(bytes: &[u8; 33]) -> Result<AffinePoint, RingError> {
    let [tag @ (2 | 3), x @ ..] = bytes else {
        return Err(RingError::Point);
    };
    lift_x(x.first_chunk().ok_or(RingError::Point)?, tag & 1 == 1).ok_or(RingError::Point)
}

/// 33 bytes of a point that is not the identity.
pub(super) fn compress(point: &AffinePoint) -> [u8; 33] {
    let encoded = point.to_sec1_point(true);
    let mut bytes = [0; 33];
    // The identity, which callers keep out, has one byte.
    for (to, from) in bytes.iter_mut().zip(encoded.as_bytes()) {
        *to = *from;
    }
    bytes
}

/// SHA3-256 of the compressed point, hashed on until it is an x of the curve; the point with even y.
pub(super) fn hash_to_curve(key: &[u8; 33]) -> Result<AffinePoint, RingError> {
    let mut x: [u8; 32] = Sha3_256::digest(key).into();
    for _ in 0..HASH_TO_CURVE_ROUNDS {
        if let Some(point) = lift_x(&x, false) {
            return Ok(point);
        }
        x = Sha3_256::digest(x).into();
    }
    Err(RingError::Point)
}

/// A scalar of 32 big-endian bytes, reduced modulo the order.
pub(super) fn reduce(bytes: &[u8; 32]) -> Scalar {
    Scalar::reduce(&FieldBytes::from(*bytes))
}

/// A non-zero scalar from 32 drawn bytes, reduced.
pub(super) fn random_scalar(rng: &mut impl rand_core::CryptoRng) -> Zeroizing<Scalar> {
    let mut bytes = Zeroizing::new([0; 32]);
    loop {
        rng.fill_bytes(bytes.as_mut_slice());
        let scalar = Zeroizing::new(reduce(&bytes));
        if !bool::from(scalar.is_zero()) {
            return scalar;
        }
    }
}

/// L = s·G + c·P and R = s·H + c·I, compressed; refuses the identity, for which no encoding of 33 bytes is defined. Variable time, and
/// complete: no input is exceptional.
pub(super) fn step_points(
    [p, h, i]: [&AffinePoint; 3],
    s: &Scalar,
    c: &Scalar,
) -> Result<[[u8; 33]; 2], RingError> {
    let [p, h, i] = [p, h, i].map(|affine| ProjectivePoint::from(*affine));
    let points = [
        ProjectivePoint::lincomb_vartime(&[(ProjectivePoint::GENERATOR, *s), (p, *c)]),
        ProjectivePoint::lincomb_vartime(&[(h, *s), (i, *c)]),
    ];
    if points.iter().any(|point| bool::from(point.is_identity())) {
        return Err(RingError::Challenge);
    }
    Ok(ProjectivePoint::batch_normalize_vartime(&points).map(|point| compress(&point)))
}

/// Hash to scalar of message ‖ L ‖ R, both points compressed.
pub(super) fn challenge(message: &[u8; 32], [left, right]: &[[u8; 33]; 2]) -> Result<Scalar, RingError> {
    let mut input = [0; 98];
    input[..32].copy_from_slice(message);
    input[32..65].copy_from_slice(left);
    input[65..].copy_from_slice(right);
    hash_to_scalar(&input)
}

/// SHA3-512 modulo the order, its minimal bytes aligned to the *left* of 32: the network's rule, which moves a value that has leading
/// zero bytes (`go-dleq`, default backend). Errs when the moved value reaches the order: the network defines no result there.
pub(super) fn hash_to_scalar(input: &[u8]) -> Result<Scalar, RingError> {
    let mut bytes = reduced_digest(input);
    let leading_zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.rotate_left(leading_zeros);
    Option::from(Scalar::from_repr(bytes.into())).ok_or(RingError::Challenge)
}

/// SHA3-512 as a big-endian integer modulo the order.
pub(super) fn reduced_digest(input: &[u8]) -> [u8; 32] {
    let digest: [u8; 64] = Sha3_512::digest(input).into();
    <Scalar as Reduce<WideBytes>>::reduce(&digest.into())
        .to_bytes()
        .into()
}
