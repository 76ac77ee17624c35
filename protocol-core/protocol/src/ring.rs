//! Ring signatures: bLSAG over secp256k1, as the network's applications and gateways sign relays.

use crate::keys::{PublicKey, SigningKey};

/// Largest ring that is parsed or signed. The network's default allows an application and 7 gateways.
pub const MAX_RING_SIZE: usize = 64;

/// Why a ring signature is refused or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// Fewer than 2 or more than [`MAX_RING_SIZE`] keys.
    #[error("ring of {0} keys: 2 to {MAX_RING_SIZE} are allowed")]
    Size(usize),
    /// The byte string's length is not 69 + 65·n.
    #[error("ring signature of {0} bytes does not fit its declared size")]
    Length(usize),
    /// A point in it is not on the curve.
    #[error("ring signature holds an invalid point")]
    Point,
    /// The signer's key is not in the ring.
    #[error("the signing key is not a member of the ring")]
    NotAMember,
    /// A challenge left the scalar range after alignment; the library we must agree with defines no result.
    #[error("challenge has no defined scalar")]
    Challenge,
    /// The final challenge differs from the first.
    #[error("ring signature does not verify")]
    Invalid,
}

/// Public keys in signing order; duplicates are allowed ([P, P] is the ring of an application without delegation).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring(Vec<PublicKey>);

impl Ring {
    /// Takes 2 to [`MAX_RING_SIZE`] keys.
    pub fn new(keys: Vec<PublicKey>) -> Result<Self, RingError> {
        if keys.len() < 2 || keys.len() > MAX_RING_SIZE {
            return Err(RingError::Size(keys.len()));
        }
        Ok(Self(keys))
    }

    /// The keys in order.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.0
    }

    /// Signs a 32-byte message with `key`, a member of the ring; returns the serialized signature (69 + 65·n bytes).
    pub fn sign(
        &self,
        _key: &SigningKey,
        _message: &[u8; 32],
        _rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Vec<u8>, RingError> {
        unimplemented!()
    }
}

/// A parsed ring signature.
#[derive(Clone, Debug)]
pub struct RingSignature {
    keys: Vec<PublicKey>,
}

impl RingSignature {
    /// Reads serialized bytes; the length must be exactly 69 + 65·n.
    pub fn parse(_bytes: &[u8]) -> Result<Self, RingError> {
        unimplemented!()
    }

    /// Public keys embedded in the signature, in its order.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Verifies the signature over `message` (variable time: nothing here is secret).
    pub fn verify(&self, _message: &[u8; 32]) -> Result<(), RingError> {
        unimplemented!()
    }
}

/// The fixed key that the verifier adds for applications without gateways (`pkg/crypto/rings`).
#[must_use]
pub fn placeholder_key() -> PublicKey {
    unimplemented!()
}
