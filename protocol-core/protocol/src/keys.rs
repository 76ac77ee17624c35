//! secp256k1 keys, addresses and ordinary (ECDSA) signatures.

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
    secret: [u8; 32],
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public_key().address())
    }
}

impl SigningKey {
    /// Reads 64 hexadecimal characters (no `0x`).
    pub fn from_hex(_text: &str) -> Result<Self, KeyError> {
        unimplemented!()
    }

    /// Reads 32 big-endian bytes.
    pub fn from_bytes(_bytes: &[u8; 32]) -> Result<Self, KeyError> {
        unimplemented!()
    }

    /// Draws a key.
    pub fn generate(_rng: &mut impl rand_core::CryptoRng) -> Self {
        unimplemented!()
    }

    /// 64 hexadecimal characters: for key files only, never for logs.
    #[must_use]
    pub fn to_hex(&self) -> String {
        unimplemented!()
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        unimplemented!("{}", self.secret.len())
    }

    /// The account address of the public key.
    #[must_use]
    pub fn address(&self) -> Address {
        self.public_key().address()
    }

    /// Signs as the chain's accounts do: ECDSA over SHA-256(`message`), RFC 6979 nonce, r‖s, low s.
    #[must_use]
    pub fn sign(&self, _message: &[u8]) -> [u8; 64] {
        unimplemented!()
    }
}

/// A compressed public key, 33 bytes, known to be a point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 33]);

impl PublicKey {
    /// Reads 33 bytes; errs unless they are a compressed point.
    pub fn from_slice(_bytes: &[u8]) -> Result<Self, KeyError> {
        unimplemented!()
    }

    /// The 33 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    /// RIPEMD-160(SHA-256(key)).
    #[must_use]
    pub fn address(&self) -> Address {
        unimplemented!()
    }

    /// Verifies what [`SigningKey::sign`] makes; refuses a high s.
    pub fn verify(&self, _message: &[u8], _signature: &[u8]) -> Result<(), KeyError> {
        unimplemented!()
    }
}
