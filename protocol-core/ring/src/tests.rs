//! Laws of ring signatures, and what an adversary may try.

mod exceptional;
mod fast;
mod prepared;
mod recorded;
mod vectors;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::curve::compress;
use super::*;

fn drawn_signer(rng: &mut StdRng) -> RingSigner {
    RingSigner::new(&rng.random()).unwrap()
}

/// Verifies by the curve crate, by tables, and by tables in lanes: all must say the same.
fn verify(signature: &[u8], message: &[u8; 32]) -> Result<(), RingError> {
    let signature = RingSignature::parse(signature)?;
    let complete = signature.verify_by_the_curve_crate(message);
    for entry in signature.members.iter().chain([&signature.image]) {
        entry.build_at_once(table::Width::Six);
    }
    for scalar in [true, false] {
        force_scalar(scalar);
        assert_eq!(signature.verify(message), complete, "lanes: {}", use_lanes());
    }
    complete
}

impl RingSignature {
    fn verify_by_the_curve_crate(&self, message: &[u8; 32]) -> Result<(), RingError> {
        let mut running = self.first;
        for (member, s) in self.members.iter().zip(&self.scalars) {
            let bases = [&member.point, member.hashed(), &self.image.point];
            running = challenge(message, &step_points(bases, s, &running)?)?;
        }
        if running == self.first {
            Ok(())
        } else {
            Err(RingError::Invalid)
        }
    }
}

#[test]
fn refuses_a_key_image_in_the_compact_form() {
    // SEC1 has a form 05 for points with even y, which the curve library reads and the network does not.
    let mut rng = StdRng::seed_from_u64(3);
    let (bytes, message) = std::iter::repeat_with(|| {
        let key = drawn_signer(&mut rng);
        let ring = Ring::new([*key.public_key(); 2]).unwrap();
        (ring.sign(&key, &[9; 32], &mut rng).unwrap(), [9; 32])
    })
    .find(|(bytes, _)| bytes[36] == 2)
    .unwrap();
    verify(&bytes, &message).unwrap();
    for tag in [0, 1, 4, 5, 6, 7] {
        let mut altered = bytes.clone();
        altered[36] = tag;
        assert_eq!(
            verify(&altered, &message),
            Err(RingError::Point),
            "image with tag {tag}"
        );
        let mut altered = bytes.clone();
        altered[HEAD_LEN + 32] = tag;
        assert_eq!(
            verify(&altered, &message),
            Err(RingError::Point),
            "key with tag {tag}"
        );
    }
}

#[test]
fn refuses_the_identity_as_a_point_of_a_step() {
    // With s = −c·x, L and R are the identity, which has no encoding of 33 bytes.
    let mut rng = StdRng::seed_from_u64(4);
    let key = drawn_signer(&mut rng);
    let ring = Ring::new([*key.public_key(); 2]).unwrap();
    let mut signature = RingSignature::parse(&ring.sign(&key, &[1; 32], &mut rng).unwrap()).unwrap();
    signature.scalars[0] = -(signature.first * *key.scalar());
    assert_eq!(verify(&signature.to_bytes(), &[1; 32]), Err(RingError::Challenge));
    // An image that is not the signer's leaves R alone, L is still the identity.
    signature.image = Entry::of_image(&compress(&k256::AffinePoint::GENERATOR)).unwrap();
    assert_eq!(verify(&signature.to_bytes(), &[1; 32]), Err(RingError::Challenge));
}

#[test]
fn refuses_every_length_but_the_right_one() {
    let mut rng = StdRng::seed_from_u64(5);
    let key = drawn_signer(&mut rng);
    let bytes = Ring::new([*key.public_key(); 3])
        .unwrap()
        .sign(&key, &[0; 32], &mut rng)
        .unwrap();
    assert_eq!(bytes.len(), 69 + 65 * 3);
    let longer = [bytes.as_slice(), &[0; 66]].concat();
    for len in 0..longer.len() {
        let refused = matches!(RingSignature::parse(&longer[..len]), Err(RingError::Length(l)) if l == len);
        assert_eq!(refused, len != bytes.len(), "{len} bytes");
    }
    for size in [0_u32, 1, 65, u32::MAX] {
        let mut altered = bytes.clone();
        altered[..4].copy_from_slice(&size.to_be_bytes());
        assert_eq!(
            RingSignature::parse(&altered).unwrap_err(),
            RingError::Size(size as usize)
        );
    }
    assert_eq!(Ring::new([*key.public_key(); 65]), Err(RingError::Size(65)));
    assert_eq!(Ring::new([[0; 33]; 0]), Err(RingError::Size(0)));
}

prop_compose! {
    /// A ring of 2 to 6 members, the signer's place in it, the signer, and a message.
    fn signers()(seed in any::<u64>(), n in 2_usize..=6, message in any::<[u8; 32]>())(
        seed in Just(seed), n in Just(n), message in Just(message), signer in 0..n,
    ) -> (Ring, usize, RingSigner, [u8; 32], StdRng) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut keys: Vec<RingSigner> = (0..n).map(|_| drawn_signer(&mut rng)).collect();
        let ring = Ring::new(keys.iter().map(|key| *key.public_key())).unwrap();
        (ring, signer, keys.swap_remove(signer), message, rng)
    }
}

#[test]
fn rings_of_every_size_verify_by_every_way() {
    let mut rng = StdRng::seed_from_u64(6);
    let keys: Vec<RingSigner> = (0..MAX_RING_SIZE).map(|_| drawn_signer(&mut rng)).collect();
    for n in [2, 3, 5, 8, 9, 21, 63, 64] {
        let ring = Ring::new(keys[..n].iter().map(|key| *key.public_key())).unwrap();
        let mut bytes = ring.sign(&keys[n / 2], &[4; 32], &mut rng).unwrap();
        assert_eq!(verify(&bytes, &[4; 32]), Ok(()), "{n} keys");
        // A bit of the last member's scalar.
        let at = bytes.len() - MEMBER_LEN + 31;
        bytes[at] ^= 1;
        assert_eq!(verify(&bytes, &[4; 32]), Err(RingError::Invalid), "{n} keys");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_a_member_signs_verifies((ring, signer, key, message, mut rng) in signers()) {
        let bytes = ring.sign_at(signer, &key, &message, &mut rng).unwrap();
        let signature = RingSignature::parse(&bytes).unwrap();
        prop_assert_eq!(signature.verify(&message), Ok(()));
        prop_assert_eq!(signature.keys(), ring.keys());
        prop_assert_eq!(signature.to_bytes(), bytes);
    }

    #[test]
    fn no_altered_byte_of_signature_or_message_verifies(
        (ring, signer, key, message, mut rng) in signers(),
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let bytes = ring.sign_at(signer, &key, &message, &mut rng).unwrap();
        let mut altered = bytes.clone();
        altered[at.index(bytes.len())] ^= change;
        prop_assert!(verify(&altered, &message).is_err());
        let mut other = message;
        other[at.index(32)] ^= change;
        prop_assert_eq!(verify(&bytes, &other), Err(RingError::Invalid));
    }

    #[test]
    fn bytes_of_strangers_never_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400),
        message in any::<[u8; 32]>(),
    ) {
        let _ = verify(&bytes, &message);
        bytes.resize(199, 0);
        bytes[..4].copy_from_slice(&[0, 0, 0, 2]);
        let _ = verify(&bytes, &message);
    }
}
