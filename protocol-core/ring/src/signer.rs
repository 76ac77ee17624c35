//! The private key of a ring's member, with what its signatures need again and again.

use k256::elliptic_curve::ff::PrimeField;
use k256::{ProjectivePoint, Scalar};
use zeroize::Zeroizing;

use super::RingError;
use super::curve::compress;
use super::secret::Own;

/// A private key that signs in rings. `Debug` shows the public key only; memory is wiped on drop.
///
/// Making one takes some 0.2 ms and 42 KiB, so keep it: each signature by it is then many times cheaper.
pub struct RingSigner {
    secret: Zeroizing<Scalar>,
    public: [u8; 33],
    own: Own,
}

impl std::fmt::Debug for RingSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingSigner")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl RingSigner {
    /// Reads 32 big-endian bytes of a private key.
    ///
    /// # Errors
    /// [`RingError::Signer`] unless they are a scalar between 1 and the curve order.
    pub fn new(secret: &[u8; 32]) -> Result<Self, RingError> {
        let scalar = Option::<Scalar>::from(Scalar::from_repr((*secret).into()));
        let secret = Zeroizing::new(scalar.ok_or(RingError::Signer)?);
        if bool::from(secret.is_zero()) {
            return Err(RingError::Signer);
        }
        let public = compress(&ProjectivePoint::mul_by_generator(&secret).to_affine());
        let own = Own::of(&secret, &public)?;
        Ok(Self { secret, public, own })
    }

    /// The compressed public key.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 33] {
        &self.public
    }

    pub(super) fn scalar(&self) -> &Scalar {
        &self.secret
    }

    pub(super) const fn own(&self) -> &Own {
        &self.own
    }
}
