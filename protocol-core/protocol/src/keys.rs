//! secp256k1 keys, addresses and ordinary (ECDSA) signatures.
//!
//! ECDSA is libsecp256k1's: signing is constant-time, nonces follow RFC 6979. Curve arithmetic for rings is k256's.

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use k256::elliptic_curve::ff::PrimeField;
use k256::{AffinePoint, Scalar};
use secp256k1::{Message, SecretKey, ecdsa};
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
    /// The image that the key shows in ring signatures; public, and the same in all of them.
    ring_image: OnceLock<AffinePoint>,
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
        let mut secret = SecretKey::from_secret_bytes(*bytes).map_err(|_| KeyError::SigningKey)?;
        let public = PublicKey(secret.public_key().serialize());
        secret.non_secure_erase();
        Ok(Self {
            secret: Zeroizing::new(*bytes),
            public,
            ring_image: OnceLock::new(),
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
        let mut secret = SecretKey::from_secret_bytes(*self.secret).expect("checked when the key was made");
        let signature = ecdsa::sign(Message::from_digest(digest), &secret);
        secret.non_secure_erase();
        signature.serialize_compact()
    }

    /// The key as a scalar, for ring signatures.
    pub(crate) fn scalar(&self) -> Zeroizing<Scalar> {
        let scalar = Option::from(Scalar::from_repr((*self.secret).into()));
        Zeroizing::new(scalar.expect("checked when the key was made"))
    }

    /// The key's image in ring signatures, computed by `compute` on first use.
    pub(crate) fn ring_image(&self, compute: impl FnOnce(&Scalar) -> AffinePoint) -> &AffinePoint {
        self.ring_image.get_or_init(|| compute(&self.scalar()))
    }
}

/// A compressed public key, 33 bytes, known to be a point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 33]);

impl PublicKey {
    /// Reads 33 bytes; errs unless they are a compressed point.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: [u8; 33] = bytes.try_into().map_err(|_| KeyError::PublicKey)?;
        secp256k1::PublicKey::from_byte_array_compressed(bytes).map_err(|_| KeyError::PublicKey)?;
        Ok(Self(bytes))
    }

    /// Bytes that were just decoded as a point.
    pub(crate) const fn of_point(bytes: [u8; 33]) -> Self {
        Self(bytes)
    }

    /// The 33 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    /// RIPEMD-160(SHA-256(key)).
    #[must_use]
    pub fn address(&self) -> Address {
        Address::of_key(&self.0)
    }

    /// Verifies what [`SigningKey::sign`] makes; refuses a high s.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let digest: [u8; 32] = Sha256::digest(message).into();
        let key =
            secp256k1::PublicKey::from_byte_array_compressed(self.0).map_err(|_| KeyError::PublicKey)?;
        // libsecp256k1 refuses a high s in verification.
        let signature = ecdsa::Signature::from_compact(signature).map_err(|_| KeyError::Signature)?;
        ecdsa::verify(&signature, Message::from_digest(digest), &key).map_err(|_| KeyError::Signature)
    }
}
