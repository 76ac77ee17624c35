//! Signatures: ring and ordinary, each side verifying the other's, and changed ones refused by both.

use anyhow::{Context, Result, ensure};
use portico_protocol::ring::{Ring, RingSignature};
use portico_protocol::{PublicKey, SigningKey};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use crate::case::{EcdsaCase, Hex, RingCase};

/// Largest ring that is drawn.
const MAX_RING: usize = 8;

/// A random ring, each fourth with a key twice; each fifth signature has a bit flipped.
pub fn make_ring(rng: &mut StdRng) -> Result<RingCase> {
    let key = SigningKey::generate(rng);
    let size = rng.random_range(2..=MAX_RING);
    let mut keys: Vec<PublicKey> = (1..size)
        .map(|_| SigningKey::generate(rng).public_key())
        .collect();
    keys.insert(rng.random_range(0..size), key.public_key());
    if rng.random_ratio(1, 4) {
        let twice = *keys.choose(rng).expect("not empty");
        let at = keys
            .iter()
            .position(|other| *other != key.public_key())
            .expect("two different keys");
        keys[at] = twice;
    }
    let mut message = [0; 32];
    rng.fill_bytes(&mut message);
    let mut signature = Ring::new(keys.clone())?.sign(&key, &message, rng)?;
    let image = RingSignature::parse(&signature)?.key_image();
    let valid = !rng.random_ratio(1, 5);
    if !valid {
        // The size stays: bytes that are not the declared length are nobody's signature.
        flip(&mut signature[4..], rng);
    }
    Ok(RingCase {
        private: Hex(hex::decode(key.to_hex())?),
        keys: keys.iter().map(|key| key.as_bytes().as_slice().into()).collect(),
        message: message.as_slice().into(),
        signature: Hex(signature),
        image: image.as_slice().into(),
        valid,
    })
}

/// Verifies a ring signature that Go made, and signs as its signer to compare the images.
pub fn check_ring(case: &RingCase, rng: &mut StdRng) -> Result<usize> {
    let message: [u8; 32] = case
        .message
        .0
        .as_slice()
        .try_into()
        .context("a message has 32 bytes")?;
    let verdict = RingSignature::parse(&case.signature.0).and_then(|parsed| {
        parsed.verify(&message)?;
        Ok(parsed)
    });
    ensure!(verdict.is_ok() == case.valid, "we say {verdict:?}");
    if let Ok(parsed) = verdict {
        ensure!(parsed.to_bytes() == case.signature.0, "other bytes than ours");
        let keys: Vec<&[u8]> = parsed
            .keys()
            .iter()
            .map(|key| key.as_bytes().as_slice())
            .collect();
        ensure!(
            case.keys.iter().map(|key| key.0.as_slice()).eq(keys),
            "another ring"
        );
        ensure!(parsed.key_image().as_slice() == case.image.0, "another key image");
    }
    let key = SigningKey::from_hex(&hex::encode(&case.private.0))?;
    let keys = case
        .keys
        .iter()
        .map(|key| PublicKey::from_slice(&key.0))
        .collect::<Result<_, _>>()?;
    let ours = RingSignature::parse(&Ring::new(keys)?.sign(&key, &message, rng)?)?;
    ensure!(
        ours.key_image().as_slice() == case.image.0,
        "our key image is {}",
        hex::encode(ours.key_image())
    );
    Ok(1)
}

/// A random ordinary signature; each fifth has a bit flipped.
pub fn make_ecdsa(rng: &mut StdRng) -> Result<EcdsaCase> {
    let key = SigningKey::generate(rng);
    let mut message = vec![0; rng.random_range(0..200)];
    rng.fill_bytes(&mut message);
    let mut signature = key.sign(&message).to_vec();
    let valid = !rng.random_ratio(1, 5);
    if !valid {
        flip(&mut signature, rng);
    }
    Ok(EcdsaCase {
        private: Hex(hex::decode(key.to_hex())?),
        public: key.public_key().as_bytes().as_slice().into(),
        message: Hex(message),
        signature: Hex(signature),
        valid,
    })
}

/// Verifies what Go signed; ours is the same to the last byte, since nonces follow from key and message.
pub fn check_ecdsa(case: &EcdsaCase) -> Result<usize> {
    let key = SigningKey::from_hex(&hex::encode(&case.private.0))?;
    ensure!(
        key.public_key().as_bytes().as_slice() == case.public.0,
        "another public key"
    );
    let verdict = PublicKey::from_slice(&case.public.0)?.verify(&case.message.0, &case.signature.0);
    ensure!(verdict.is_ok() == case.valid, "we say {verdict:?}");
    ensure!(
        !case.valid || key.sign(&case.message.0).as_slice() == case.signature.0,
        "other bytes than ours"
    );
    Ok(1)
}

fn flip(bytes: &mut [u8], rng: &mut StdRng) {
    let at = rng.random_range(0..bytes.len());
    bytes[at] ^= 1 << rng.random_range(0..8);
}
