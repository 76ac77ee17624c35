//! What is prepared signs as what is not.

use std::sync::Arc;

use k256::{ProjectivePoint, Scalar};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use zeroize::Zeroizing;

use super::super::curve::{challenge, compress, hash_to_curve, random_scalar, step_points};
use super::super::point::Affine;
use super::super::prepared::{Other, points_ahead};
use super::super::product::force_scalar;
use super::super::secret::commit_plainly;
use super::super::table::Width;
use super::*;

/// The textbook's signature by the curve crate's complete formulas: what all others are held against.
fn sign_plainly(
    ring: &Ring,
    signer: usize,
    key: &RingSigner,
    message: &[u8; 32],
    rng: &mut StdRng,
) -> Vec<u8> {
    let n = ring.keys().len();
    let members: Vec<_> = ring
        .keys()
        .iter()
        .map(|key| Entry::of_key(key).unwrap())
        .collect();
    let hashed = ProjectivePoint::from(*members[signer].hashed());
    let image = (hashed * *key.scalar()).to_affine();
    let nonce = random_scalar(rng);
    let committed = [ProjectivePoint::GENERATOR * *nonce, hashed * *nonce].map(|point| point.to_affine());
    let (mut scalars, mut challenges) = (vec![Scalar::ZERO; n], vec![Scalar::ZERO; n]);
    let mut at = (signer + 1) % n;
    challenges[at] = challenge(message, &committed.each_ref().map(compress)).unwrap();
    while at != signer {
        scalars[at] = *random_scalar(rng);
        let points = step_points(
            [&members[at].point, members[at].hashed(), &image],
            &scalars[at],
            &challenges[at],
        );
        let next = challenge(message, &points.unwrap()).unwrap();
        at = (at + 1) % n;
        challenges[at] = next;
    }
    scalars[signer] = *nonce - challenges[signer] * *key.scalar();
    serialized(&challenges[0], &compress(&image), scalars.iter().zip(ring.keys()))
}

/// An entry of its own, kept nowhere, with tables or without.
fn entry(
    name: &[u8; 33],
    of: fn(&[u8; 33]) -> Result<Arc<Entry>, RingError>,
    width: Option<Width>,
) -> Arc<Entry> {
    let entry = Arc::new(of(name).unwrap().without_tables());
    if let Some(width) = width {
        entry.build_at_once(width);
    }
    entry
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_same_draws_give_the_same_bytes_by_every_way(
        seed in any::<u64>(),
        n in 2_usize..=5,
        place in any::<prop::sample::Index>(),
        message in any::<[u8; 32]>(),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let keys: Vec<RingSigner> = (0..n).map(|_| drawn_signer(&mut rng)).collect();
        let ring = Ring::new(keys.iter().map(|key| *key.public_key())).unwrap();
        let signer = place.index(n);
        let draws = || StdRng::seed_from_u64(seed ^ 1);
        let expected = sign_plainly(&ring, signer, &keys[signer], &message, &mut draws());
        prop_assert_eq!(verify(&expected, &message), Ok(()));
        let direct = ring.sign(&keys[signer], &message, &mut draws()).unwrap();
        prop_assert_eq!(&direct, &expected);
        let prepared = ring.prepare(&keys[signer], &mut draws()).unwrap();
        prop_assert_eq!(prepared.keys(), ring.keys());
        prop_assert_eq!(&prepared.sign(&message).unwrap(), &expected);
        for width in [None, Some(Width::Six), Some(Width::Eight), Some(Width::Ten)] {
            for scalar in [true, false] {
                force_scalar(scalar);
                let other = |step: usize| entry(&ring.keys()[(signer + step) % n], Entry::of_key, width);
                let image = entry(&keys[signer].own().image, Entry::of_image, width);
                let others = (1..n).map(other).collect();
                let prepared = ring.prepare_with(signer, &keys[signer], others, image, &mut draws()).unwrap();
                prop_assert_eq!(&prepared.sign(&message).unwrap(), &expected, "{:?}, scalar: {}", width, scalar);
            }
        }
    }

    #[test]
    fn a_ring_of_one_key_repeated_signs_without_the_message(
        seed in any::<u64>(),
        n in 2_usize..=6,
        message in any::<[u8; 32]>(),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let key = drawn_signer(&mut rng);
        let ring = Ring::new(vec![*key.public_key(); n]).unwrap();
        let [one, other] = [(); 2].map(|()| ring.prepare(&key, &mut rng).unwrap().sign(&message).unwrap());
        prop_assert_ne!(&one, &other);
        let [one, other] = [one, other].map(|bytes| RingSignature::parse(&bytes).unwrap());
        let textbook = RingSignature::parse(&ring.sign(&key, &message, &mut rng).unwrap()).unwrap();
        for signature in [&one, &other] {
            prop_assert_eq!(signature.verify(&message), Ok(()));
            prop_assert_eq!(signature.key_image(), textbook.key_image());
        }
        prop_assert_eq!(one.verify(&[!message[0]; 32]), Err(RingError::Invalid));
    }
}

#[test]
fn secret_scalars_at_the_edges_give_the_curve_crates_products() {
    let key = RingSigner::new(&[11; 32]).unwrap();
    let own = key.own();
    let hashed = hash_to_curve(key.public_key()).unwrap();
    let mut rng = StdRng::seed_from_u64(8);
    let mut scalars: Vec<Scalar> = (0..64).map(|_| *random_scalar(&mut rng)).collect();
    scalars.extend((1..=300_u64).flat_map(|k| [Scalar::from(k), -Scalar::from(k)]));
    // Powers of two, and one less.
    let powers = std::iter::successors(Some(Scalar::ONE), |power| Some(*power + *power)).take(256);
    scalars.extend(
        powers
            .skip(1)
            .flat_map(|power| [power, power - Scalar::ONE, -power]),
    );
    for scalar in scalars {
        let expected = commit_plainly(&hashed, &scalar).map(|point| point.compressed());
        for scalar_only in [true, false] {
            force_scalar(scalar_only);
            let ours = points_ahead(own, &[Zeroizing::new(scalar)], &[]);
            assert_eq!(ours[0].map(|point| point.compressed()), expected, "{scalar:?}");
        }
    }
}

#[test]
fn additions_that_the_fast_formulas_do_not_cover_are_computed_or_refused() {
    let mut rng = StdRng::seed_from_u64(21);
    let key = drawn_signer(&mut rng);
    let stranger = *drawn_signer(&mut rng).public_key();
    let own = key.own();
    let message = [3; 32];
    let c = *random_scalar(&mut rng);
    for width in [None, Some(Width::Six), Some(Width::Eight), Some(Width::Ten)] {
        let member = entry(&stranger, Entry::of_key, width);
        let image = entry(&own.image, Entry::of_image, width);
        let by_c = [member.point, image.point].map(|point| ProjectivePoint::from(point) * c);
        let other = |points: [ProjectivePoint; 2]| Other {
            s: Scalar::ONE,
            points: points.map(|point| Affine::of(&point.to_affine()).unwrap()),
            member: Arc::clone(&member),
        };
        let free = ProjectivePoint::GENERATOR * *random_scalar(&mut rng);
        for points in [[by_c[0], free], [free, by_c[1]], by_c] {
            // A point added to itself.
            let expected = [by_c[0] + points[0], by_c[1] + points[1]].map(|point| point.to_affine());
            let next = other(points).next(&message, &image, &c);
            assert_eq!(
                next,
                challenge(&message, &expected.each_ref().map(compress)),
                "{width:?}"
            );
        }
        for points in [[-by_c[0], free], [free, -by_c[1]], by_c.map(|point| -point)] {
            assert_eq!(
                other(points).next(&message, &image, &c),
                Err(RingError::Challenge)
            );
        }
        // No challenge is zero by chance, and none gives a wrong point.
        let expected = [free.to_affine(); 2];
        assert_eq!(
            other([free; 2]).next(&message, &image, &Scalar::ZERO),
            challenge(&message, &expected.each_ref().map(compress))
        );
    }
}

#[test]
fn what_is_prepared_shows_no_secret() {
    let mut rng = StdRng::seed_from_u64(13);
    let key = drawn_signer(&mut rng);
    let stranger = *drawn_signer(&mut rng).public_key();
    for other in [stranger, *key.public_key()] {
        let ring = Ring::new([*key.public_key(), other]).unwrap();
        let prepared = ring.prepare(&key, &mut rng).unwrap();
        let keys = ring.keys();
        assert_eq!(
            format!("{prepared:?}"),
            format!("Prepared {{ keys: {keys:?}, .. }}")
        );
    }
    let ring = Ring::new([stranger; 2]).unwrap();
    assert_eq!(ring.prepare(&key, &mut rng).unwrap_err(), RingError::NotAMember);
}
