//! Ring signatures: bLSAG over secp256k1, as the network's applications and gateways sign relays.
//!
//! ```text
//! c₀ ──► (s₀, P₀) ──► c₁ ──► (s₁, P₁) ──► … ──► cₙ = c₀ ?      L = s·G + c·P,  R = s·Hp(P) + c·I
//! ```
//! Bytes: size u32 BE ‖ c₀ 32 ‖ key image 33 ‖ size × [ s 32 ‖ P 33 ].
//!
//! Verification is variable-time, since nothing in it is secret. What touches a key or a nonce is constant-time: the module `secret` lists
//! what guarantees it, step by step. A signature by the key x shows its image x·Hp(x·G), so two signatures of one signer can be linked,
//! but not told from another member's.
//!
//! Keys that are seen again get tables, after which a step is additions alone, eight sums at once where the processor has AVX-512 IFMA
//! (`decisions/0001-rings-by-tables.md` has the figures). Most of a signature can be made before its message: [`Ring::prepare`].
//!
//! Where the network's library is laxer, we refuse: other lengths than 69 + 65·n (it ignores trailing bytes) and a ring of one.

mod cache;
mod curve;
mod field;
mod inverse;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod lift;
mod point;
mod prepared;
mod product;
mod recode;
mod secret;
mod signer;
mod table;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use k256::Scalar;

use cache::{Entry, KEPT};
use curve::{challenge, reduce, step_points};
use recode::Halves;

pub use cache::CacheSize;
pub use prepared::Prepared;
pub use product::{force_scalar, use_lanes};
pub use signer::RingSigner;

/// Largest ring that is parsed or signed. The network's default allows an application and 7 gateways.
pub const MAX_RING_SIZE: usize = 64;

/// Largest ring that counts as warm.
pub const MAX_WARM_RING: usize = 8;

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
    /// The signer's key is not a scalar between 1 and the curve order.
    #[error("not a private key of the curve")]
    Signer,
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

/// Compressed public keys in signing order; duplicates are allowed ([P, P] is the ring of an application without delegation).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring(Vec<[u8; 33]>);

impl Ring {
    /// Takes 2 to [`MAX_RING_SIZE`] compressed keys. Whether they are points shows when the ring signs.
    pub fn new<K: Into<[u8; 33]>>(keys: impl IntoIterator<Item = K>) -> Result<Self, RingError> {
        let keys: Vec<[u8; 33]> = keys.into_iter().map(Into::into).collect();
        if keys.len() < 2 || keys.len() > MAX_RING_SIZE {
            return Err(RingError::Size(keys.len()));
        }
        Ok(Self(keys))
    }

    /// The keys in order.
    #[must_use]
    pub fn keys(&self) -> &[[u8; 33]] {
        &self.0
    }

    /// Signs a 32-byte message with `key`, a member of the ring; returns the serialized signature (69 + 65·n bytes).
    ///
    /// `rng` gives 32 bytes per member: first the nonce, then a scalar for each member after the signer, cyclically.
    pub fn sign(
        &self,
        key: &RingSigner,
        message: &[u8; 32],
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Vec<u8>, RingError> {
        self.sign_at(self.place_of(key.public_key())?, key, message, rng)
    }

    /// Signs as the member at `signer`: matters only for a ring that holds the key twice.
    pub fn sign_at(
        &self,
        signer: usize,
        key: &RingSigner,
        message: &[u8; 32],
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Vec<u8>, RingError> {
        if self.0.get(signer) != Some(key.public_key()) {
            return Err(RingError::NotAMember);
        }
        self.prepare_at(signer, key, rng)?.sign(message)
    }

    /// First place of a key.
    fn place_of(&self, key: &[u8; 33]) -> Result<usize, RingError> {
        let place = self.0.iter().position(|member| member == key);
        place.ok_or(RingError::NotAMember)
    }
}

/// A parsed ring signature.
#[derive(Clone, Debug)]
pub struct RingSignature {
    keys: Vec<[u8; 33]>,
    members: Vec<Arc<Entry>>,
    scalars: Vec<Scalar>,
    first: Scalar,
    image: Arc<Entry>,
}

impl RingSignature {
    /// Reads serialized bytes; the length must be exactly 69 + 65·n, scalars beyond the order are reduced.
    pub fn parse(bytes: &[u8]) -> Result<Self, RingError> {
        let layout = Layout::of(bytes)?;
        let mut keys = Vec::with_capacity(layout.members.len());
        let mut members = Vec::with_capacity(layout.members.len());
        let mut scalars = Vec::with_capacity(layout.members.len());
        for (scalar, key) in layout.members() {
            members.push(Entry::of_key(key)?);
            keys.push(*key);
            scalars.push(reduce(scalar));
        }
        Ok(Self {
            keys,
            members,
            scalars,
            first: reduce(layout.first),
            image: Entry::of_image(layout.image)?,
        })
    }

    /// The embedded keys as they stand, after the checks of size and length only: to be compared with the expected ring before any
    /// curve arithmetic is spent on a stranger.
    pub fn embedded_keys(bytes: &[u8]) -> Result<impl Iterator<Item = &[u8; 33]>, RingError> {
        Ok(Layout::of(bytes)?.members().map(|(_, key)| key))
    }

    /// Serialized bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serialized(
            &self.first,
            self.image.bytes(),
            self.scalars.iter().zip(&self.keys),
        )
    }

    /// Public keys embedded in the signature, in its order.
    #[must_use]
    pub fn keys(&self) -> &[[u8; 33]] {
        &self.keys
    }

    /// Compressed key image: equal for two signatures of the same signer.
    #[must_use]
    pub fn key_image(&self) -> [u8; 33] {
        *self.image.bytes()
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

    /// Keeps what was computed for the keys and the image: for valid signatures of rings that the chain expects. From the second one on
    /// tables are wanted, see [`build_tables`].
    pub fn keep_members(&self) {
        KEPT.used(self.members.iter().chain([&self.image]));
    }
}

/// The challenge that follows (s, c) at a member: by tables if there are, else and in exceptional cases by the curve crate. Variable
/// time, for public values.
fn step(
    message: &[u8; 32],
    member: &Entry,
    image: &Entry,
    s: &Scalar,
    c: &Scalar,
) -> Result<Scalar, RingError> {
    let points = match step_by_tables(member, image, s, c) {
        Some(points) => points,
        None => step_points([&member.point, member.hashed(), &image.point], s, c)?,
    };
    challenge(message, &points)
}

fn step_by_tables(member: &Entry, image: &Entry, s: &Scalar, c: &Scalar) -> Option<[[u8; 33]; 2]> {
    let (member, image) = (member.tables()?, &image.tables()?.point);
    let generator = product::generator(member.point.width());
    let tables = [generator, &member.point, member.hashed.as_ref()?, image];
    let points = product::step(tables, &Halves::of(s), &Halves::of(c))?;
    Some(points.map(|point| point.compressed()))
}

/// Whether these signature bytes will verify by tables, in tens of microseconds for a ring of two: all its keys and its image have theirs,
/// and it has at most [`MAX_WARM_RING`] members. Others take some 0.1 ms a member.
#[must_use]
pub fn is_warm(bytes: &[u8]) -> bool {
    Layout::of(bytes).is_ok_and(|layout| {
        layout.members.len() <= MAX_WARM_RING
            && KEPT.has_tables(layout.image, layout.members().map(|(_, key)| key))
    })
}

/// How many keys and key images wait for tables: the rings of valid signatures that were seen twice.
#[must_use]
pub fn tables_wanted() -> usize {
    KEPT.wanted()
}

/// Builds the tables of up to `limit` keys or images that wait for them, 0.1 to 0.6 ms each; returns how many it looked at.
///
/// Rings verify five to twenty times faster once their tables stand. Call it off the path of relays, when [`tables_wanted`] says so.
pub fn build_tables(limit: usize) -> usize {
    KEPT.build_wanted(limit)
}

/// What the process keeps for rings.
#[must_use]
pub fn cache_size() -> CacheSize {
    KEPT.size()
}

/// Forgets all that was kept for rings: for measuring first sights.
pub fn clear_cache() {
    KEPT.clear();
}

/// Bytes of a signature: first challenge, image, and each member's scalar and key.
fn serialized<'a>(
    first: &Scalar,
    image: &[u8; 33],
    members: impl ExactSizeIterator<Item = (&'a Scalar, &'a [u8; 33])>,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_LEN + MEMBER_LEN * members.len());
    let size = u32::try_from(members.len()).expect("at most MAX_RING_SIZE");
    bytes.extend_from_slice(&size.to_be_bytes());
    bytes.extend_from_slice(&first.to_bytes());
    bytes.extend_from_slice(image);
    for (scalar, key) in members {
        bytes.extend_from_slice(&scalar.to_bytes());
        bytes.extend_from_slice(key);
    }
    bytes
}

/// A serialized signature, cut at its fields; nothing is decoded.
struct Layout<'a> {
    first: &'a [u8; 32],
    image: &'a [u8; 33],
    members: &'a [[u8; MEMBER_LEN]],
}

impl<'a> Layout<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, RingError> {
        let fault = RingError::Length(bytes.len());
        let (size, rest) = bytes.split_first_chunk::<4>().ok_or(fault.clone())?;
        let size = usize::try_from(u32::from_be_bytes(*size)).map_err(|_| fault.clone())?;
        if !(2..=MAX_RING_SIZE).contains(&size) {
            return Err(RingError::Size(size));
        }
        let (first, rest) = rest.split_first_chunk().ok_or(fault.clone())?;
        let (image, rest) = rest.split_first_chunk().ok_or(fault.clone())?;
        let (members, trailing) = rest.as_chunks();
        if members.len() != size || !trailing.is_empty() {
            return Err(fault);
        }
        Ok(Self {
            first,
            image,
            members,
        })
    }

    /// Scalar and public key of each member.
    fn members(&self) -> impl Iterator<Item = (&'a [u8; 32], &'a [u8; 33])> + use<'a> {
        self.members.iter().map(|member| {
            let (scalar, key) = member.split_first_chunk().expect("32 of 65 bytes");
            (scalar, key.try_into().expect("the other 33 bytes"))
        })
    }
}

/// Hp of a compressed key, compressed: a point whose logarithm nobody knows. A key's image is its private scalar times this.
///
/// # Errors
/// [`RingError::Point`], when none of 128 rounds gives a point: never seen.
pub fn hash_to_curve(key: &[u8; 33]) -> Result<[u8; 33], RingError> {
    curve::hash_to_curve(key).map(|point| curve::compress(&point))
}
