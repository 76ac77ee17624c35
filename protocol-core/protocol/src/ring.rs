//! Ring signatures: bLSAG over secp256k1, as the network's applications and gateways sign relays.
//!
//! ```text
//! c₀ ──► (s₀, P₀) ──► c₁ ──► (s₁, P₁) ──► … ──► cₙ = c₀ ?      L = s·G + c·P,  R = s·Hp(P) + c·I
//! ```
//! Bytes: size u32 BE ‖ c₀ 32 ‖ key image 33 ‖ size × [ s 32 ‖ P 33 ].

mod curve;

use k256::{AffinePoint, ProjectivePoint, Scalar};
use zeroize::Zeroize;

use crate::keys::{PublicKey, SigningKey};
use curve::{challenge, compress, decode_point, random_scalar, reduce};

/// Largest ring that is parsed or signed. The network's default allows an application and 7 gateways.
pub const MAX_RING_SIZE: usize = 64;

/// Bytes before the members: size, first challenge, key image.
const HEAD_LEN: usize = 69;
/// Bytes per member: scalar and public key.
const MEMBER_LEN: usize = 65;

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
    /// A challenge left the scalar range after alignment, or its points are the identity: no result is defined.
    #[error("ring signature has a challenge without a defined scalar")]
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
        key: &SigningKey,
        message: &[u8; 32],
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Vec<u8>, RingError> {
        let public = key.public_key();
        let signer = self
            .0
            .iter()
            .position(|member| *member == public)
            .ok_or(RingError::NotAMember)?;
        self.sign_at(signer, key, message, rng)
    }

    /// Signs as the member at `signer`: matters only for a ring that holds the key twice.
    pub fn sign_at(
        &self,
        signer: usize,
        key: &SigningKey,
        message: &[u8; 32],
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Vec<u8>, RingError> {
        if self.0.get(signer) != Some(&key.public_key()) {
            return Err(RingError::NotAMember);
        }
        let n = self.0.len();
        let members = self.members()?;
        let mut secret = key.scalar();
        let image = (ProjectivePoint::from(members[signer].1) * secret).to_affine();

        let mut nonce = random_scalar(rng);
        let left = ProjectivePoint::mul_by_generator(&nonce);
        let right = ProjectivePoint::from(members[signer].1) * nonce;
        let mut scalars = vec![Scalar::ZERO; n];
        let mut challenges = vec![Scalar::ZERO; n];
        let mut at = (signer + 1) % n;
        challenges[at] = challenge(message, &left, &right)?;
        while at != signer {
            scalars[at] = random_scalar(rng);
            let step = step(message, &members[at], &image, &scalars[at], &challenges[at])?;
            at = (at + 1) % n;
            challenges[at] = step;
        }
        scalars[signer] = nonce - challenges[signer] * secret;
        nonce.zeroize();
        secret.zeroize();
        let first = challenges[0];
        Ok(RingSignature {
            keys: self.0.clone(),
            members,
            scalars,
            first,
            image,
        }
        .to_bytes())
    }

    /// Each key as a point, with its hash to the curve.
    fn members(&self) -> Result<Vec<Member>, RingError> {
        self.0.iter().map(|key| member(key.as_bytes())).collect()
    }
}

/// A public key's point P and Hp(P).
type Member = (AffinePoint, AffinePoint);

fn member(key: &[u8; 33]) -> Result<Member, RingError> {
    curve::cached_member(key)
}

/// The challenge that follows (s, c) at a member.
fn step(
    message: &[u8; 32],
    member: &Member,
    image: &AffinePoint,
    s: &Scalar,
    c: &Scalar,
) -> Result<Scalar, RingError> {
    let left = curve::double_mul(None, s, &member.0, c);
    let right = curve::double_mul(Some(&member.1), s, image, c);
    challenge(message, &left, &right)
}

/// A parsed ring signature.
#[derive(Clone, Debug)]
pub struct RingSignature {
    keys: Vec<PublicKey>,
    members: Vec<Member>,
    scalars: Vec<Scalar>,
    first: Scalar,
    image: AffinePoint,
}

impl RingSignature {
    /// Reads serialized bytes; the length must be exactly 69 + 65·n.
    pub fn parse(bytes: &[u8]) -> Result<Self, RingError> {
        let keys = Self::parse_keys(bytes)?;
        let image = decode_point(&bytes[36..HEAD_LEN])?;
        let first = reduce(&bytes[4..36]);
        let scalars = bytes[HEAD_LEN..]
            .chunks_exact(MEMBER_LEN)
            .map(|member| reduce(&member[..32]))
            .collect();
        let members = keys
            .iter()
            .map(|key| member(key.as_bytes()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            keys,
            members,
            scalars,
            first,
            image,
        })
    }

    /// The public keys alone, after the checks of size and length: cheap, to be compared with the expected ring before anything costs.
    pub fn parse_keys(bytes: &[u8]) -> Result<Vec<PublicKey>, RingError> {
        let size = bytes.first_chunk::<4>().ok_or(RingError::Length(bytes.len()))?;
        let size = usize::try_from(u32::from_be_bytes(*size)).map_err(|_| RingError::Length(bytes.len()))?;
        if !(2..=MAX_RING_SIZE).contains(&size) {
            return Err(RingError::Size(size));
        }
        if bytes.len() != HEAD_LEN + MEMBER_LEN * size {
            return Err(RingError::Length(bytes.len()));
        }
        bytes[HEAD_LEN..]
            .chunks_exact(MEMBER_LEN)
            .map(|member| PublicKey::from_slice(&member[32..]).map_err(|_| RingError::Point))
            .collect()
    }

    /// Serialized bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_LEN + MEMBER_LEN * self.keys.len());
        let size = u32::try_from(self.keys.len()).expect("at most MAX_RING_SIZE");
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(&self.first.to_bytes());
        bytes.extend_from_slice(&compress(&self.image));
        for (scalar, key) in self.scalars.iter().zip(&self.keys) {
            bytes.extend_from_slice(&scalar.to_bytes());
            bytes.extend_from_slice(key.as_bytes());
        }
        bytes
    }

    /// Public keys embedded in the signature, in its order.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Compressed key image: equal for two signatures of the same signer.
    #[must_use]
    pub fn key_image(&self) -> [u8; 33] {
        compress(&self.image)
    }

    /// Verifies the signature over `message` (variable time: nothing here is secret).
    pub fn verify(&self, message: &[u8; 32]) -> Result<(), RingError> {
        let mut running = self.first;
        for (member, scalar) in self.members.iter().zip(&self.scalars) {
            running = step(message, member, &self.image, scalar, &running)?;
        }
        if running == self.first {
            Ok(())
        } else {
            Err(RingError::Invalid)
        }
    }
}

/// The fixed key that the verifier adds for applications without gateways (`pkg/crypto/rings`).
///
/// # Panics
/// Never: the constant is a point.
#[must_use]
pub fn placeholder_key() -> PublicKey {
    const KEY: [u8; 33] = [
        0x02, 0x10, 0x66, 0xf2, 0x93, 0x70, 0x93, 0x56, 0xa3, 0x3e, 0x9c, 0x13, 0x01, 0x78, 0x67, 0x58, 0x6b,
        0xaf, 0x52, 0x51, 0x3e, 0x84, 0x5b, 0xc4, 0x33, 0x52, 0x33, 0xa1, 0x5e, 0xd1, 0xe0, 0x0b, 0xaf,
    ];
    PublicKey::from_slice(&KEY).expect("a point of the curve")
}
