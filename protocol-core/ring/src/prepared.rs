//! A signature's part that needs no message, made ahead; the rest is then a fraction of it.
//!
//! ```text
//! ahead:   nonce u, u·G, u·Hp(Pⱼ)        each other member i: its drawn sᵢ, sᵢ·G, sᵢ·Hp(Pᵢ)
//! online:  cⱼ₊₁ of the first two;        each other member i: + cᵢ·Pᵢ, + cᵢ·I, cᵢ₊₁;        sⱼ = u − cⱼ·x
//! ```
//! When every key of the ring is the signer's own (an application without delegation) no point depends on the message: with a drawn tᵢ per
//! member and sᵢ = tᵢ − cᵢ·x the points are tᵢ·G and tᵢ·Hp(P). The signatures are distributed as the others.
//!
//! Secret are u, t and x ([`super::secret`] says how they are handled); sᵢ and cᵢ of the others become public with the signature. That
//! they came first is what hides the signer, so every place in the ring goes through the same steps.

use std::sync::Arc;

use k256::elliptic_curve::group::Group;
use k256::elliptic_curve::ops::LinearCombination;
use k256::{ProjectivePoint, Scalar};
use zeroize::Zeroizing;

use super::cache::{Entry, KEPT};
use super::curve::{challenge, compress, random_scalar};
use super::field::Fe;
use super::point::{Affine, Sum, normalize, normalize_pair};
use super::product::{generator, products_of_one};
use super::recode::Halves;
use super::secret::{Own, commit_plainly, inverted_blinded};
use super::signer::RingSigner;
use super::{Ring, RingError};

/// A signature of a ring but for its message, for one use. Wiped on drop; `Debug` shows the ring only.
///
/// ```
/// use portico_ring::{Ring, RingSignature, RingSigner};
/// # use rand::SeedableRng;
/// # let mut rng = rand::rngs::StdRng::seed_from_u64(1); // for an example only
/// # let (application_secret, gateway_secret) = ([1; 32], [2; 32]);
/// let (application, gateway) = (RingSigner::new(&application_secret)?, RingSigner::new(&gateway_secret)?);
/// let ring = Ring::new([*application.public_key(), *gateway.public_key()])?;
///
/// let prepared = ring.prepare(&gateway, &mut rng)?; // before the message is known
/// let signature = prepared.sign(&[7; 32])?; // and it is used up
///
/// RingSignature::parse(&signature)?.verify(&[7; 32])?;
/// # Ok::<(), portico_ring::RingError>(())
/// ```
/// Two signatures of one nonce would give the key away, so there is no way to make them:
/// ```compile_fail,E0382
/// # fn twice(prepared: portico_ring::Prepared) {
/// let one = prepared.sign(&[1; 32]);
/// let other = prepared.sign(&[2; 32]);
/// # }
/// ```
pub struct Prepared {
    keys: Vec<[u8; 33]>,
    image: [u8; 33],
    secret: Zeroizing<Scalar>,
    nonces: Nonces,
}

/// What stands for the draws.
enum Nonces {
    /// One of the signer's and the scalars of the others, in cyclic order after it.
    OfSigner {
        signer: usize,
        nonce: Nonce,
        others: Vec<Other>,
        image: Arc<Entry>,
    },
    /// One per member: all are the signer.
    OfAll(Vec<Nonce>),
}

/// k, and k·G and k·Hp(P) compressed.
struct Nonce {
    scalar: Zeroizing<Scalar>,
    points: [[u8; 33]; 2],
}

/// Another member's drawn s, with s·G and s·Hp(P).
pub(super) struct Other {
    pub(super) s: Scalar,
    pub(super) points: [Affine; 2],
    pub(super) member: Arc<Entry>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl Prepared {
    /// The ring's keys.
    #[must_use]
    pub fn keys(&self) -> &[[u8; 33]] {
        &self.keys
    }

    /// Signs a 32-byte message; returns the serialized signature (69 + 65·n bytes).
    ///
    /// # Errors
    /// [`RingError::Challenge`], when a challenge has no defined scalar: once in 2^128 messages.
    pub fn sign(self, message: &[u8; 32]) -> Result<Vec<u8>, RingError> {
        let (first, scalars) = match &self.nonces {
            Nonces::OfAll(nonces) => self.sign_for_all(nonces, message)?,
            Nonces::OfSigner {
                signer,
                nonce,
                others,
                image,
            } => self.sign_for_one(*signer, nonce, others, image, message)?,
        };
        Ok(super::serialized(
            &first,
            &self.image,
            scalars.iter().zip(&self.keys),
        ))
    }

    /// c₀ and the scalars.
    fn sign_for_one(
        &self,
        signer: usize,
        nonce: &Nonce,
        others: &[Other],
        image: &Entry,
        message: &[u8; 32],
    ) -> Result<(Scalar, Vec<Scalar>), RingError> {
        let n = self.keys.len();
        let mut scalars = vec![Scalar::ZERO; n];
        let mut running = challenge(message, &nonce.points)?;
        let mut first = running;
        let mut at = signer;
        for other in others {
            at = (at + 1) % n;
            if at == 0 {
                first = running;
            }
            scalars[at] = other.s;
            running = other.next(message, image, &running)?;
        }
        if signer == 0 {
            first = running;
        }
        scalars[signer] = *nonce.scalar - running * *self.secret;
        Ok((first, scalars))
    }

    fn sign_for_all(&self, nonces: &[Nonce], message: &[u8; 32]) -> Result<(Scalar, Vec<Scalar>), RingError> {
        // Any member may begin: the last one's nonce gives the first challenge.
        let (last, before) = nonces.split_last().expect("rings have members");
        let first = challenge(message, &last.points)?;
        let mut running = first;
        let mut scalars = Vec::with_capacity(nonces.len());
        for nonce in before {
            scalars.push(*nonce.scalar - running * *self.secret);
            running = challenge(message, &nonce.points)?;
        }
        scalars.push(*last.scalar - running * *self.secret);
        Ok((first, scalars))
    }
}

impl Other {
    /// The challenge after this member's: of s·G + c·P and s·Hp(P) + c·I.
    pub(super) fn next(&self, message: &[u8; 32], image: &Entry, c: &Scalar) -> Result<Scalar, RingError> {
        let points = match self.points_at(image, c) {
            Some(points) => points.map(|point| point.compressed()),
            None => self.points_plainly(image, c)?,
        };
        challenge(message, &points)
    }

    fn points_at(&self, image: &Entry, c: &Scalar) -> Option<[Affine; 2]> {
        let (member, image) = (self.member.tables()?, image.tables()?);
        let mut sums = products_of_one([&member.point, &image.point], &Halves::of(c));
        for (sum, prepared) in sums.iter_mut().zip(&self.points) {
            sum.add_affine(prepared);
        }
        normalize_pair(&sums[0], &sums[1], Fe::inverted_vartime)
    }

    /// By complete formulas.
    fn points_plainly(&self, image: &Entry, c: &Scalar) -> Result<[[u8; 33]; 2], RingError> {
        let product =
            |entry: &Entry| ProjectivePoint::lincomb_vartime(&[(ProjectivePoint::from(entry.point), *c)]);
        let prepared = self
            .points
            .map(|point| point.to_curve().expect("a point of the curve"));
        let [left, right] = [product(&self.member) + prepared[0], product(image) + prepared[1]];
        if bool::from(left.is_identity() | right.is_identity()) {
            return Err(RingError::Challenge);
        }
        Ok([left, right].map(|point| compress(&point.to_affine())))
    }
}

impl Ring {
    /// Makes ahead what a signature with `key`, a member of the ring, needs; its first place in the ring signs.
    ///
    /// For a ring of the key alone there is a shorter way (see [`Prepared`]'s module), so that for such rings the same draws do not give
    /// the bytes that [`Self::sign`] makes of them.
    ///
    /// # Errors
    /// [`RingError::NotAMember`]; [`RingError::Point`] for keys that no point of the curve comes of.
    pub fn prepare(
        &self,
        key: &RingSigner,
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Prepared, RingError> {
        let own = key.public_key();
        match self.keys().iter().all(|member| member == own) {
            true => self.prepare_for_all(key, rng),
            false => self.prepare_at(self.place_of(own)?, key, rng),
        }
    }

    /// As the member at `signer`, whoever the others are.
    pub(super) fn prepare_at(
        &self,
        signer: usize,
        key: &RingSigner,
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Prepared, RingError> {
        let n = self.keys().len();
        let others = (1..n).map(|step| Entry::of_key(&self.keys()[(signer + step) % n]));
        let others: Vec<Arc<Entry>> = others.collect::<Result<_, _>>()?;
        let image = Entry::of_image(&key.own().image)?;
        // Who signs for a ring was told by the chain who is in it.
        KEPT.used(others.iter().chain([&image]));
        self.prepare_with(signer, key, others, image, rng)
    }

    /// With the other members, in cyclic order after the signer, and the signer's image.
    pub(super) fn prepare_with(
        &self,
        signer: usize,
        key: &RingSigner,
        others: Vec<Arc<Entry>>,
        image: Arc<Entry>,
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Prepared, RingError> {
        let own = key.own();
        let nonce = random_scalar(rng);
        let others: Vec<(Scalar, Arc<Entry>)> = others
            .into_iter()
            .map(|other| (*random_scalar(rng), other))
            .collect();
        let points = points_ahead(own, std::slice::from_ref(&nonce), &others);
        let (committed, rest) = points.split_first().expect("the nonce's pair");
        let others = others.into_iter().zip(rest).map(|((s, member), points)| Other {
            s,
            points: *points,
            member,
        });
        let nonces = Nonces::OfSigner {
            signer,
            others: others.collect(),
            nonce: Nonce::new(nonce, committed),
            image,
        };
        Ok(self.prepared(key, nonces))
    }

    fn prepare_for_all(
        &self,
        key: &RingSigner,
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Prepared, RingError> {
        let own = key.own();
        let scalars: Vec<_> = self.keys().iter().map(|_| random_scalar(rng)).collect();
        let points = points_ahead(own, &scalars, &[]);
        let nonces = scalars
            .into_iter()
            .zip(&points)
            .map(|(scalar, points)| Nonce::new(scalar, points));
        let nonces = Nonces::OfAll(nonces.collect());
        Ok(self.prepared(key, nonces))
    }

    fn prepared(&self, key: &RingSigner, nonces: Nonces) -> Prepared {
        Prepared {
            keys: self.keys().to_vec(),
            image: key.own().image,
            secret: Zeroizing::new(*key.scalar()),
            nonces,
        }
    }
}

/// k·G and k·Hp(P) for the signer's nonces, then for the other members' scalars; one inversion for all of them.
pub(super) fn points_ahead(
    own: &Own,
    nonces: &[Zeroizing<Scalar>],
    others: &[(Scalar, Arc<Entry>)],
) -> Vec<[Affine; 2]> {
    let mut sums = Zeroizing::new(Vec::with_capacity(2 * (nonces.len() + others.len())));
    for nonce in nonces {
        sums.extend(*own.commit(nonce));
    }
    for (s, other) in others {
        sums.extend(commit_vartime(other, s));
    }
    let blinding = nonces.first().expect("signers have nonces");
    match normalize(&sums, |product| inverted_blinded(product, blinding)) {
        Some(points) => points.as_chunks().0.to_vec(),
        None => points_ahead_plainly(own, nonces, others),
    }
}

/// s·G and s·Hp(P) of another member, for an s that the signature tells; variable time.
fn commit_vartime(member: &Entry, s: &Scalar) -> [Sum; 2] {
    let tables = member.tables();
    if let Some((hashed, tables)) = tables.and_then(|tables| Some((tables.hashed.as_ref()?, tables))) {
        return products_of_one([generator(tables.point.width()), hashed], &Halves::of(s));
    }
    let sum = |base: ProjectivePoint| {
        let product = ProjectivePoint::lincomb_vartime(&[(base, *s)]).to_affine();
        Affine::of(&product).map_or(Sum::UNDEFINED, |point| Sum::of(&point))
    };
    [
        sum(ProjectivePoint::GENERATOR),
        sum(ProjectivePoint::from(*member.hashed())),
    ]
}

/// By complete formulas: for draws whose sums meet an addition that the others do not cover.
fn points_ahead_plainly(
    own: &Own,
    nonces: &[Zeroizing<Scalar>],
    others: &[(Scalar, Arc<Entry>)],
) -> Vec<[Affine; 2]> {
    let nonces = nonces.iter().map(|nonce| own.commit_plainly(nonce));
    let others = others.iter().map(|(s, other)| commit_plainly(other.hashed(), s));
    nonces.chain(others).collect()
}

impl Nonce {
    fn new(scalar: Zeroizing<Scalar>, points: &[Affine; 2]) -> Self {
        Self {
            scalar,
            points: points.map(|point| point.compressed()),
        }
    }
}
