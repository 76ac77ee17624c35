//! The curve as rings use it: hash to curve, challenges, and what is worth keeping per key.

use std::collections::HashMap;
use std::sync::{LazyLock, RwLock};

use k256::elliptic_curve::group::Group;
use k256::elliptic_curve::ops::{LinearCombination, Reduce};
use k256::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use k256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use num_bigint::BigUint;
use sha3::{Digest, Sha3_256, Sha3_512};

use super::{Member, RingError};

/// Rounds of SHA3-256 that are tried until an x is on the curve; half of all x are.
const HASH_TO_CURVE_ROUNDS: usize = 128;

/// Keys whose points are kept; when full, all are dropped: a miss costs tens of microseconds.
const CACHED_KEYS: usize = 8_192;

static MEMBERS: LazyLock<RwLock<HashMap<[u8; 33], Member>>> = LazyLock::new(RwLock::default);

/// A key's point and its hash to the curve, computed once per key.
pub(super) fn cached_member(key: &[u8; 33]) -> Result<Member, RingError> {
    if let Ok(members) = MEMBERS.read()
        && let Some(member) = members.get(key)
    {
        return Ok(*member);
    }
    let member = (decode_point(key)?, hash_to_curve(key)?);
    if let Ok(mut members) = MEMBERS.write() {
        if members.len() >= CACHED_KEYS {
            members.clear();
        }
        members.insert(*key, member);
    }
    Ok(member)
}

/// Reads a compressed point.
pub(super) fn decode_point(bytes: &[u8]) -> Result<AffinePoint, RingError> {
    let encoded = k256::Sec1Point::from_bytes(bytes).map_err(|_| RingError::Point)?;
    Option::from(AffinePoint::from_sec1_point(&encoded)).ok_or(RingError::Point)
}

/// 33 bytes of a point that is not the identity.
pub(super) fn compress(point: &AffinePoint) -> [u8; 33] {
    let encoded = point.to_sec1_point(true);
    let mut bytes = [0; 33];
    let len = encoded.as_bytes().len().min(33);
    bytes[..len].copy_from_slice(&encoded.as_bytes()[..len]);
    bytes
}

/// SHA3-256 of the compressed point, hashed on until it is an x of the curve; the point with even y.
pub(super) fn hash_to_curve(key: &[u8; 33]) -> Result<AffinePoint, RingError> {
    let mut x: [u8; 32] = Sha3_256::digest(key).into();
    for _ in 0..HASH_TO_CURVE_ROUNDS {
        let mut encoded = [2; 33];
        encoded[1..].copy_from_slice(&x);
        if let Ok(point) = decode_point(&encoded) {
            return Ok(point);
        }
        x = Sha3_256::digest(x).into();
    }
    Err(RingError::Point)
}

/// A scalar of 32 big-endian bytes, reduced modulo the order.
pub(super) fn reduce(bytes: &[u8]) -> Scalar {
    let mut field = FieldBytes::default();
    field.copy_from_slice(bytes);
    <Scalar as Reduce<FieldBytes>>::reduce(&field)
}

/// A non-zero scalar from 32 drawn bytes, reduced.
pub(super) fn random_scalar(rng: &mut impl rand_core::CryptoRng) -> Scalar {
    let mut bytes = [0; 32];
    loop {
        rng.fill_bytes(&mut bytes);
        let scalar = reduce(&bytes);
        if !bool::from(scalar.is_zero()) {
            return scalar;
        }
    }
}

/// The challenge of a step: hash to scalar of message ‖ L ‖ R.
pub(super) fn challenge(
    message: &[u8; 32],
    left: &ProjectivePoint,
    right: &ProjectivePoint,
) -> Result<Scalar, RingError> {
    if bool::from(left.is_identity()) || bool::from(right.is_identity()) {
        return Err(RingError::Challenge);
    }
    let mut input = [0; 98];
    input[..32].copy_from_slice(message);
    input[32..65].copy_from_slice(&compress(&left.to_affine()));
    input[65..].copy_from_slice(&compress(&right.to_affine()));
    hash_to_scalar(&input)
}

/// SHA3-512 modulo the order, its minimal bytes aligned to the *left* of 32: the network's rule, which moves a value that has leading
/// zero bytes.
pub(super) fn hash_to_scalar(input: &[u8]) -> Result<Scalar, RingError> {
    static ORDER: LazyLock<BigUint> = LazyLock::new(|| {
        BigUint::parse_bytes(
            b"fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
            16,
        )
        .expect("the order of secp256k1")
    });
    let digest = Sha3_512::digest(input);
    let value = (BigUint::from_bytes_be(&digest) % &*ORDER).to_bytes_be();
    let mut aligned = [0; 32];
    aligned[..value.len()].copy_from_slice(&value);
    if BigUint::from_bytes_be(&aligned) >= *ORDER {
        return Err(RingError::Challenge);
    }
    Ok(reduce(&aligned))
}

/// s·A + c·B in variable time, A being the generator if not given: for public values only.
pub(super) fn double_mul(
    a: Option<&AffinePoint>,
    s: &Scalar,
    b: &AffinePoint,
    c: &Scalar,
) -> ProjectivePoint {
    let a = a.map_or(ProjectivePoint::GENERATOR, |a| ProjectivePoint::from(*a));
    ProjectivePoint::lincomb_vartime(&[(a, *s), (ProjectivePoint::from(*b), *c)])
}
