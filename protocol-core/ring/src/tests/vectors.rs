//! Rings against the data of the Go library.

mod file;

use rand::SeedableRng;
use rand::rngs::StdRng;
use sha3::{Digest, Sha3_256, Sha3_512};

use super::super::curve::{
    challenge, compress, decode_point, hash_to_curve, hash_to_scalar, reduced_digest, step_points,
};
use super::super::*;
use super::{drawn_signer, verify};
use file::{File, OtherBackend, Tampered};
use portico_vectors::{Hex, Recorded, counted, read, read_json, seen};

const FILE: &str = "ring.json";

fn ring_of(keys: &[Hex]) -> Result<Ring, RingError> {
    Ring::new(keys.iter().map(Hex::array::<33>))
}

fn signing_key(hex: &Hex) -> RingSigner {
    RingSigner::new(&hex.array()).unwrap()
}

/// One step of a verification.
struct Step {
    challenge: Scalar,
    points: [[u8; 33]; 2],
    /// The next challenge before its alignment.
    reduced: [u8; 32],
    next: Scalar,
}

/// What [`RingSignature::verify`] goes through.
fn steps(signature: &RingSignature, message: &[u8; 32]) -> Vec<Step> {
    let mut challenge_before = signature.first;
    let mut steps = Vec::new();
    for (member, s) in signature.members.iter().zip(&signature.scalars) {
        let bases = [&member.point, member.hashed(), &signature.image.point];
        let points = step_points(bases, s, &challenge_before).unwrap();
        let input = [message.as_slice(), &points[0], &points[1]].concat();
        let next = challenge(message, &points).unwrap();
        steps.push(Step {
            challenge: challenge_before,
            points,
            reduced: reduced_digest(&input),
            next,
        });
        challenge_before = next;
    }
    steps
}

/// Whether some challenge of the signature has leading zero bytes, which the network moves.
fn has_short_challenge(signature: &[u8], message: &[u8; 32]) -> bool {
    let signature = RingSignature::parse(signature).unwrap();
    steps(&signature, message).iter().any(|step| step.reduced[0] == 0)
}

fn bytes_of(scalar: &Scalar) -> Vec<u8> {
    scalar.to_bytes().to_vec()
}

#[test]
fn hashes_keys_to_the_curve_as_go_does() {
    let file: File = read_json(FILE);
    for case in &file.hash_to_curve {
        let key = case.point.array();
        let point = hash_to_curve(&key).unwrap();
        assert_eq!(compress(&point).as_slice(), case.hash_to_curve.0);
        let mut x = key.to_vec();
        for _ in 0..case.sha3_256_rounds {
            x = Sha3_256::digest(x).to_vec();
        }
        assert_eq!(case.hash_to_curve.0[1..], x, "number of rounds");
    }
    counted(FILE, "hash_to_curve", file.hash_to_curve.len());
}

#[test]
fn hashes_to_scalars_as_go_does_with_short_values_aligned_to_the_left() {
    let file: File = read_json(FILE);
    let mut short = 0;
    for case in &file.hash_to_scalar {
        assert_eq!(Sha3_512::digest(&case.input.0).as_slice(), case.sha3_512.0);
        assert_eq!(reduced_digest(&case.input.0).as_slice(), case.reduced_mod_order.0);
        assert_eq!(bytes_of(&hash_to_scalar(&case.input.0).unwrap()), case.scalar.0);
        short += usize::from(case.reduced_mod_order != case.scalar);
    }
    seen(FILE, "values that the rule moves", short);
    counted(FILE, "hash_to_scalar", file.hash_to_scalar.len());
}

#[test]
fn derives_challenges_as_go_does() {
    let file: File = read_json(FILE);
    for case in &file.challenge {
        let points = [&case.left, &case.right].map(|point| compress(&decode_point(&point.array()).unwrap()));
        let scalar = challenge(&case.message.array(), &points).unwrap();
        assert_eq!(bytes_of(&scalar), case.challenge.0);
    }
    counted(FILE, "challenge", file.challenge.len());
}

#[test]
fn derives_key_images_as_go_does() {
    let file: File = read_json(FILE);
    let mut rng = StdRng::seed_from_u64(1);
    for case in &file.key_image {
        let key = signing_key(&case.private_key);
        assert_eq!(key.public_key().as_slice(), case.public_key.0);
        let hashed = hash_to_curve(key.public_key()).unwrap();
        assert_eq!(compress(&hashed).as_slice(), case.hash_to_curve.0);
        let ring = Ring::new([*key.public_key(); 2]).unwrap();
        let signature = RingSignature::parse(&ring.sign(&key, &[7; 32], &mut rng).unwrap()).unwrap();
        assert_eq!(signature.key_image().as_slice(), case.key_image.0);
    }
    counted(FILE, "key_image", file.key_image.len());
}

#[test]
fn links_two_signatures_of_one_signer_by_their_images() {
    let file: File = read_json(FILE);
    for case in &file.link {
        let [a, b] = [&case.a, &case.b].map(|bytes| RingSignature::parse(&bytes.0).unwrap().key_image());
        assert_eq!(a == b, case.linked, "{}", case.name);
    }
    counted(FILE, "link", file.link.len());
}

#[test]
fn verifies_what_go_signed() {
    let file: File = read_json(FILE);
    for case in &file.signatures {
        let signature = RingSignature::parse(&case.signature.0).unwrap();
        case.verify
            .agrees(&case.name, &signature.verify(&case.message.array()));
        assert_eq!(bytes_of(&signature.first), case.c0.0, "{}", case.name);
        assert_eq!(
            signature.key_image().as_slice(),
            case.key_image.0,
            "{}",
            case.name
        );
        assert_eq!(
            signature.keys(),
            ring_of(&case.ring).unwrap().keys(),
            "{}",
            case.name
        );
        assert_eq!(signature.to_bytes(), case.signature.0, "{}", case.name);
        let key = signing_key(&case.private_key);
        assert_eq!(
            &signature.keys()[case.signer_index],
            key.public_key(),
            "{}",
            case.name
        );
    }
    counted(FILE, "signatures", file.signatures.len());
}

#[test]
fn goes_through_the_steps_that_go_goes_through() {
    let file: File = read_json(FILE);
    let mut traced = 0;
    for case in &file.signatures {
        let Some(trace) = &case.trace else { continue };
        let signature = RingSignature::parse(&case.signature.0).unwrap();
        let steps = steps(&signature, &case.message.array());
        assert_eq!(steps.len(), trace.len(), "{}", case.name);
        for (index, (step, theirs)) in steps.iter().zip(trace).enumerate() {
            assert_eq!(theirs.index, index);
            assert_eq!(signature.keys[index].as_slice(), theirs.public_key.0);
            assert_eq!(
                compress(signature.members[index].hashed()).as_slice(),
                theirs.hash_to_curve.0
            );
            assert_eq!(bytes_of(&signature.scalars[index]), theirs.s.0);
            assert_eq!(bytes_of(&step.challenge), theirs.c.0);
            assert_eq!(step.points[0].as_slice(), theirs.left.0);
            assert_eq!(step.points[1].as_slice(), theirs.right.0);
            assert_eq!(bytes_of(&step.next), theirs.next_c.0);
        }
        traced += 1;
    }
    seen(FILE, "signatures with a trace", traced);
}

#[test]
fn makes_the_bytes_that_go_makes_of_the_same_draws() {
    let file: File = read_json(FILE);
    let mut signed = 0;
    for case in &file.signatures {
        let Some(nonces) = &case.nonces else { continue };
        let mut draws = Recorded::new(nonces);
        let ring = ring_of(&case.ring).unwrap();
        let key = signing_key(&case.private_key);
        let bytes = ring.sign_at(case.signer_index, &key, &case.message.array(), &mut draws);
        assert_eq!(bytes.unwrap(), case.signature.0, "{}", case.name);
        assert!(draws.is_used_up(), "{}: draws are left", case.name);
        signed += 1;
    }
    seen(FILE, "signatures made again", signed);
}

#[test]
fn judges_altered_signatures_as_go_does() {
    let file: File = read_json(FILE);
    for case in &file.tampered {
        let (Some(message), Some(signature)) = (&case.message, &case.signature) else {
            judges_an_attempt_to_sign(case);
            continue;
        };
        let ours = verify(&signature.0, &message.array());
        // Here we are stricter on purpose: see the module's documentation.
        let refused_by_us_only = matches!(ours, Err(RingError::Size(1) | RingError::Length(_)));
        if !(refused_by_us_only && case.verify.ok) {
            case.verify.agrees(&case.name, &ours);
        }
    }
    counted(FILE, "tampered", file.tampered.len());
}

/// Cases without bytes: rings that cannot be made and keys that cannot sign.
fn judges_an_attempt_to_sign(case: &Tampered) {
    let mut rng = StdRng::seed_from_u64(2);
    let key = drawn_signer(&mut rng);
    let twice = Ring::new([*key.public_key(); 2]).unwrap();
    let ours = match case.name.as_str() {
        // Go compares pointers there; equal keys by value are the ring of an application without delegation, next case.
        "construct_ring_same_point_object_twice" => return assert!(!case.verify.ok),
        "construct_ring_equal_points_distinct_objects" => Ok(()),
        "sign_with_ring_of_one" => Ring::new([*key.public_key()]).map(drop),
        "sign_with_key_outside_ring" => {
            let stranger = drawn_signer(&mut rng);
            twice.sign(&stranger, &[0; 32], &mut rng).map(drop)
        }
        "sign_with_zero_key" => RingSigner::new(&[0; 32]).map(drop),
        unknown => panic!("a case that no test knows: {unknown}"),
    };
    case.verify.agrees(&case.name, &ours);
}

#[test]
fn sides_with_the_chain_where_the_other_go_backend_differs() {
    let file: File = read_json(FILE);
    for other in &file.ethereum_backend {
        differs_only_in_short_challenges(&file, other);
    }
    counted(FILE, "ethereum_backend", file.ethereum_backend.len());
}

fn differs_only_in_short_challenges(file: &File, other: &OtherBackend) {
    for case in &other.hash_to_scalar {
        assert_eq!(
            reduced_digest(&case.input.0).as_slice(),
            case.scalar.0,
            "theirs is not aligned"
        );
        assert_ne!(bytes_of(&hash_to_scalar(&case.input.0).unwrap()), case.scalar.0);
    }
    seen(FILE, "scalars of the other backend", other.hash_to_scalar.len());

    let mut rejected = 0;
    for case in &file.signatures {
        let short = has_short_challenge(&case.signature.0, &case.message.array());
        let listed = other.signatures_of_this_file_rejected_by_it.contains(&case.name);
        assert_eq!(short, listed, "{}", case.name);
        rejected += usize::from(short);
    }
    seen(FILE, "signatures that the other backend rejects", rejected);
    // Two counts of signatures, accepted by both backends: the first of what was just judged, the second of what is not in the file.
    let _ = other.signatures_of_this_file_accepted_by_it_count;
    let _ = other.signatures_made_by_it_accepted_by_decred_count;

    let mut differing = 0;
    for case in &other.tampered_outcomes_that_differ {
        let Some(main) = file.tampered.iter().find(|main| main.name == case.name) else {
            continue;
        };
        let ours = verify(
            &main.signature.as_ref().unwrap().0,
            &main.message.as_ref().unwrap().array(),
        );
        main.verify.agrees(&case.name, &ours);
        assert!(
            !case.verify.ok,
            "{}: the other backend refuses all of these",
            case.name
        );
        differing += 1;
    }
    seen(
        FILE,
        "altered signatures that the other backend judges otherwise",
        differing,
    );
}

#[test]
fn refuses_signatures_that_the_other_go_backend_made_of_short_challenges() {
    let file: File = read_json(FILE);
    let lists = file.ethereum_backend.iter();
    let cases: Vec<_> = lists
        .flat_map(|other| &other.signatures_made_by_it_rejected_by_decred)
        .collect();
    for case in &cases {
        assert!(case.verify_by_ethereum && !case.verify_by_decred, "{}", case.name);
        let message = case.message.array();
        assert_eq!(
            verify(&case.signature.0, &message),
            Err(RingError::Invalid),
            "{}",
            case.name
        );
        let parsed = RingSignature::parse(&case.signature.0).unwrap();
        assert_eq!(bytes_of(&parsed.first), case.c0.0);
        assert_eq!(parsed.key_image().as_slice(), case.key_image.0);
        let ring = ring_of(&case.ring).unwrap();
        let mut draws = Recorded::new(&case.nonces);
        let ours = ring
            .sign_at(
                case.signer_index,
                &signing_key(&case.private_key),
                &message,
                &mut draws,
            )
            .unwrap();
        assert_ne!(ours, case.signature.0, "{}", case.name);
        verify(&ours, &message).unwrap();
    }
    seen(FILE, "signatures of the other backend", cases.len());
}

/// Message and signature of each record: 32 bytes, u32 big-endian length, signature.
pub(super) fn recorded_signatures() -> Vec<([u8; 32], Vec<u8>)> {
    let file = read("wire/ring2-signatures.default-backend.4000.bin");
    let mut rest = file.as_slice();
    let mut records = Vec::new();
    while let Some((message, after)) = rest.split_first_chunk::<32>() {
        let (len, after) = after.split_first_chunk::<4>().unwrap();
        let (signature, after) = after.split_at(u32::from_be_bytes(*len) as usize);
        records.push((*message, signature.to_vec()));
        rest = after;
    }
    assert!(rest.is_empty());
    records
}

#[test]
fn verifies_four_thousand_signatures_of_the_network() {
    let records = recorded_signatures();
    let mut short = 0;
    for (index, (message, bytes)) in records.iter().enumerate() {
        let signature = RingSignature::parse(bytes).unwrap();
        signature
            .verify(message)
            .unwrap_or_else(|error| panic!("record {index}: {error}"));
        assert_eq!(signature.to_bytes(), *bytes, "record {index}");
        short += usize::from(has_short_challenge(bytes, message));
        if index % 40 == 0 {
            let mut other = *message;
            other[index / 40 % 32] ^= 1 << (index % 8);
            assert_eq!(
                signature.verify(&other),
                Err(RingError::Invalid),
                "record {index}"
            );
        }
    }
    seen(
        "wire/ring2-signatures",
        "signatures that a verifier without the alignment refuses",
        short,
    );
    counted(
        "wire/ring2-signatures.default-backend.4000.bin",
        "records",
        records.len(),
    );
}

#[test]
fn every_case_of_every_file_is_run() {
    portico_vectors::every_case_is_run(&[FILE], &[]);
}
