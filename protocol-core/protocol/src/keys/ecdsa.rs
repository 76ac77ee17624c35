//! ECDSA by libsecp256k1: signatures as the chain's accounts make them.
//!
//! Secret are the key and the nonce. Constant time for both: `secp256k1_ecdsa_sign` with `secp256k1_nonce_function_rfc6979` (products by
//! the generator through `secp256k1_ecmult_gen`, which reads whole tables and is blinded) and `secp256k1_ec_pubkey_create`.
//! Verification, of public values, is variable-time.
//!
//! Blinding is a second line of defence behind constant time, and costs as much as a signature. So each thread has a context of its own
//! and renews its blinding every [`SIGNATURES_PER_BLINDING`] signatures. The bytes of a signature do not depend on it.

use std::cell::RefCell;
use std::sync::LazyLock;

use secp256k1::{Message, PublicKey, Secp256k1, SecretKey, SignOnly, VerifyOnly, ecdsa};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::KeyError;

/// Uses of a thread's context between two renewals of its blinding, which then cost 1 % of a signature.
const SIGNATURES_PER_BLINDING: u32 = 128;

static VERIFYING: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

thread_local! {
    static SIGNING: RefCell<Blinded> = RefCell::new(Blinded::new());
}

/// A context whose blinding is renewed by use.
struct Blinded {
    context: Secp256k1<SignOnly>,
    uses_left: u32,
}

impl Blinded {
    fn new() -> Self {
        Self {
            context: Secp256k1::signing_only(),
            uses_left: 0,
        }
    }

    /// The context; `digest` is what it is wanted for. libsecp256k1 mixes each seed into the blinding before, so that a seed which only
    /// the key's owner can know is enough.
    fn for_use(&mut self, secret: &[u8; 32], digest: &[u8; 32]) -> &Secp256k1<SignOnly> {
        if self.uses_left == 0 {
            let seed = Sha256::new()
                .chain_update(b"blinding")
                .chain_update(secret)
                .chain_update(digest);
            let seed = Zeroizing::new(<[u8; 32]>::from(seed.finalize()));
            self.context.seeded_randomize(&seed);
            self.uses_left = SIGNATURES_PER_BLINDING;
        }
        self.uses_left = self.uses_left.saturating_sub(1);
        &self.context
    }
}

/// The compressed public key of a secret; errs unless it is a scalar between 1 and the order.
pub(super) fn public_key(secret: &[u8; 32]) -> Result<PublicKey, KeyError> {
    let mut key = SecretKey::from_byte_array(*secret).map_err(|_| KeyError::SigningKey)?;
    let public = SIGNING
        .with_borrow_mut(|blinded| PublicKey::from_secret_key(blinded.for_use(secret, &[0; 32]), &key));
    key.non_secure_erase();
    Ok(public)
}

/// r‖s of a digest by a secret that [`public_key`] accepted: RFC 6979 nonce, low s.
pub(super) fn sign(secret: &[u8; 32], digest: [u8; 32]) -> [u8; 64] {
    let mut key = SecretKey::from_byte_array(*secret).expect("checked when the key was made");
    let signature = SIGNING.with_borrow_mut(|blinded| {
        blinded
            .for_use(secret, &digest)
            .sign_ecdsa(Message::from_digest(digest), &key)
    });
    key.non_secure_erase();
    signature.serialize_compact()
}

/// Reads a compressed point.
pub(super) fn parse(key: &[u8; 33]) -> Result<PublicKey, KeyError> {
    PublicKey::from_byte_array_compressed(*key).map_err(|_| KeyError::PublicKey)
}

/// Verifies what [`sign`] makes; libsecp256k1 refuses a high s.
pub(super) fn verify(key: &PublicKey, digest: [u8; 32], signature: &[u8]) -> Result<(), KeyError> {
    let signature = ecdsa::Signature::from_compact(signature).map_err(|_| KeyError::Signature)?;
    VERIFYING
        .verify_ecdsa(Message::from_digest(digest), &signature, key)
        .map_err(|_| KeyError::Signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewing_the_blinding_changes_no_signature() {
        let (secret, digest) = ([3; 32], [8; 32]);
        let first = sign(&secret, digest);
        let mut blindings = 1;
        for _ in 0..3 * SIGNATURES_PER_BLINDING {
            blindings += u32::from(SIGNING.with_borrow(|blinded| blinded.uses_left == 0));
            assert_eq!(sign(&secret, digest), first);
        }
        assert_eq!(blindings, 4);
        // Another thread begins with a blinding of its own.
        let other = std::thread::spawn(move || sign(&secret, digest));
        assert_eq!(other.join().unwrap(), first);
    }
}
