//! Signatures: ring and ordinary, each side verifying the other's, and changed ones refused by both.

use anyhow::{Context, Result, ensure};
use portico_protocol::ring::{Ring, RingSignature, build_tables, clear_cache, force_scalar};
use portico_protocol::{PublicKey, SigningKey};
use rand::rngs::StdRng;
use rand::{Rng, RngExt};

use crate::case::{EcdsaCase, Hex, RingCase};

/// Largest ring that is drawn.
const MAX_RING: usize = 8;

/// A random ring, each fourth with a key twice; each fifth signature has a bit flipped, each second one was prepared before its message
/// was known.
pub fn make_ring(rng: &mut StdRng) -> Result<RingCase> {
    let size = rng.random_range(2..=MAX_RING);
    let signer = rng.random_range(0..size);
    let mut keys: Vec<SigningKey> = (0..size).map(|_| SigningKey::generate(rng)).collect();
    if rng.random_ratio(1, 4) {
        keys[(signer + 1) % size] = keys[rng.random_range(0..size)].clone();
    }
    let ring = Ring::new(keys.iter().map(SigningKey::public_key))?;
    let mut message = [0; 32];
    rng.fill_bytes(&mut message);
    let mut signature = if rng.random() {
        warm(&ring, &keys, rng)?;
        ring.prepare(keys[signer].ring_signer()?, rng)?.sign(&message)?
    } else {
        ring.sign(keys[signer].ring_signer()?, &message, rng)?
    };
    clear_cache();
    let image = RingSignature::parse(&signature)?.key_image();
    let valid = !rng.random_ratio(1, 5);
    if !valid {
        // The size stays: bytes that are not the declared length are nobody's signature.
        flip(&mut signature[4..], rng);
    }
    let privates = keys.iter().map(private).collect::<Result<Vec<_>>>()?;
    Ok(RingCase {
        private: privates[signer].clone(),
        privates,
        keys: ring.keys().iter().map(|key| key.as_slice().into()).collect(),
        message: message.as_slice().into(),
        signature: Hex(signature),
        image: image.as_slice().into(),
        valid,
    })
}

/// Verifies a ring signature that Go made, at first sight, by tables, and by tables without the vector unit; and signs as its signer to
/// compare the images.
pub fn check_ring(case: &RingCase, rng: &mut StdRng) -> Result<usize> {
    let message: [u8; 32] = case
        .message
        .0
        .as_slice()
        .try_into()
        .context("a message has 32 bytes")?;
    let keys = case
        .privates
        .iter()
        .map(signing_key)
        .collect::<Result<Vec<_>>>()?;
    let ring = Ring::new(keys.iter().map(SigningKey::public_key))?;
    ensure!(
        ring.keys()
            .iter()
            .map(|key| key.as_slice())
            .eq(case.keys.iter().map(|key| key.0.as_slice())),
        "other keys"
    );
    clear_cache();
    check_verdict(case, &message).context("at first sight")?;
    warm(&ring, &keys, rng)?;
    check_verdict(case, &message).context("by tables")?;
    force_scalar(true);
    let scalar = check_verdict(case, &message).context("without the vector unit");
    force_scalar(false);
    scalar?;
    let ours = ring
        .prepare(signing_key(&case.private)?.ring_signer()?, rng)?
        .sign(&message)?;
    let ours = RingSignature::parse(&ours)?;
    ours.verify(&message).context("our own signature")?;
    ensure!(
        ours.key_image().as_slice() == case.image.0,
        "our key image is {}",
        hex::encode(ours.key_image())
    );
    Ok(1)
}

fn check_verdict(case: &RingCase, message: &[u8; 32]) -> Result<()> {
    let verdict = RingSignature::parse(&case.signature.0).and_then(|parsed| {
        parsed.verify(message)?;
        Ok(parsed)
    });
    ensure!(verdict.is_ok() == case.valid, "we say {verdict:?}");
    if let Ok(parsed) = verdict {
        ensure!(parsed.to_bytes() == case.signature.0, "other bytes than ours");
        let keys = parsed.keys().iter().map(|key| key.as_slice());
        ensure!(
            case.keys.iter().map(|key| key.0.as_slice()).eq(keys),
            "another ring"
        );
        ensure!(parsed.key_image().as_slice() == case.image.0, "another key image");
    }
    Ok(())
}

/// Builds the tables of a ring, as if each member had signed twice before.
pub fn warm(ring: &Ring, keys: &[SigningKey], rng: &mut StdRng) -> Result<()> {
    for key in keys.iter().chain(keys) {
        ring.prepare(key.ring_signer()?, rng)?;
    }
    while build_tables(usize::from(u8::MAX)) > 0 {}
    Ok(())
}

fn signing_key(private: &Hex) -> Result<SigningKey> {
    Ok(SigningKey::from_hex(&hex::encode(&private.0))?)
}

fn private(key: &SigningKey) -> Result<Hex> {
    Ok(Hex(hex::decode(key.to_hex())?))
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
        private: private(&key)?,
        public: key.public_key().as_bytes().as_slice().into(),
        message: Hex(message),
        signature: Hex(signature),
        valid,
    })
}

/// Verifies what Go signed; ours is the same to the last byte, since nonces follow from key and message.
pub fn check_ecdsa(case: &EcdsaCase) -> Result<usize> {
    let key = signing_key(&case.private)?;
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
