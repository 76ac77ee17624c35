//! secp256k1 keys, addresses and ordinary (ECDSA) signatures.
//!
//! ECDSA is libsecp256k1's: signing is constant-time, nonces follow RFC 6979. Rings have curve arithmetic of their own ([`crate::ring`]).

mod ecdsa;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use portico_ring::{RingError, RingSigner};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::types::Address;

/// Why a key or a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 hex characters of a scalar between 1 and the curve order.
    #[error("not a secp256k1 private key: 64 hexadecimal characters expected")]
    SigningKey,
    /// Not a compressed point of the curve.
    #[error("not a compressed secp256k1 public key of 33 bytes")]
    PublicKey,
    /// The signature has a wrong length, a high s, or does not verify.
    #[error("signature does not verify")]
    Signature,
}

/// A private key. `Debug` shows its address only; memory is wiped on drop.
#[derive(Clone)]
pub struct SigningKey {
    secret: Zeroizing<[u8; 32]>,
    public: PublicKey,
    /// The key as rings sign with it; made on first use, shared by clones made after.
    ring_signer: OnceLock<Arc<RingSigner>>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public_key().address())
    }
}

impl SigningKey {
    /// Reads 64 hexadecimal characters (no `0x`).
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text, bytes.as_mut_slice()).map_err(|_| KeyError::SigningKey)?;
        Self::from_bytes(&bytes)
    }

    /// Reads 32 big-endian bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let parsed = ecdsa::public_key(bytes)?;
        Ok(Self {
            secret: Zeroizing::new(*bytes),
            public: PublicKey {
                bytes: parsed.serialize(),
                parsed,
            },
            ring_signer: OnceLock::new(),
        })
    }

    /// Draws a key.
    pub fn generate(rng: &mut impl rand_core::CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            rng.fill_bytes(bytes.as_mut_slice());
            // A draw outside 1 … n − 1 happens once in 2^128.
            if let Ok(key) = Self::from_bytes(&bytes) {
                return key;
            }
        }
    }

    /// 64 hexadecimal characters: for key files only, never for logs.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.secret.as_slice())
    }

    /// The public key.
    #[must_use]
    pub const fn public_key(&self) -> PublicKey {
        self.public
    }

    /// The account address of the public key.
    #[must_use]
    pub fn address(&self) -> Address {
        self.public_key().address()
    }

    /// Signs as the chain's accounts do: ECDSA over SHA-256(`message`), RFC 6979 nonce, r‖s, low s.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let digest: [u8; 32] = Sha256::digest(message).into();
        ecdsa::sign(&self.secret, digest)
    }

    /// The key as a ring's member: what [`crate::ring::Ring::sign`] and `prepare` take. Takes 0.2 ms the first time.
    ///
    /// # Errors
    /// [`RingError::Point`], when no point of the curve comes of hashing the public key: never seen.
    pub fn ring_signer(&self) -> Result<&RingSigner, RingError> {
        if let Some(signer) = self.ring_signer.get() {
            return Ok(signer);
        }
        let signer = Arc::new(RingSigner::new(&self.secret)?);
        Ok(self.ring_signer.get_or_init(|| signer))
    }
}

/// A compressed public key, 33 bytes, known to be a point of the curve. It is compared, ordered and hashed by these bytes.
#[derive(Clone, Copy)]
pub struct PublicKey {
    bytes: [u8; 33],
    /// The point, so that a verification need not decompress it.
    parsed: secp256k1::PublicKey,
}

impl PublicKey {
    /// Reads 33 bytes; errs unless they are a compressed point.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: [u8; 33] = bytes.try_into().map_err(|_| KeyError::PublicKey)?;
        let parsed = ecdsa::parse(&bytes)?;
        Ok(Self { bytes, parsed })
    }

    /// The 33 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 33] {
        &self.bytes
    }

    /// RIPEMD-160(SHA-256(key)).
    #[must_use]
    pub fn address(&self) -> Address {
        Address::of_key(&self.bytes)
    }

    /// Verifies what [`SigningKey::sign`] makes; refuses a high s.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let digest: [u8; 32] = Sha256::digest(message).into();
        ecdsa::verify(&self.parsed, digest, signature)
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({})", hex::encode(self.bytes))
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

/// The bytes that a ring is made of.
impl From<PublicKey> for [u8; 33] {
    fn from(key: PublicKey) -> Self {
        key.bytes
    }
}

/// A ring's member compared with a key.
impl PartialEq<PublicKey> for [u8; 33] {
    fn eq(&self, other: &PublicKey) -> bool {
        *self == other.bytes
    }
}
