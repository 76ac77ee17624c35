//! Relay requests that a servicer must refuse: signed by hand, as no gateway would.

use anyhow::Result;
use bytes::Bytes;
use portico_protocol::relay::sign_request;
use portico_protocol::ring::Ring;
use portico_protocol::wire::pocket::service::RelayRequest;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::{Address, PublicKey, SigningKey};
use rand::rngs::StdRng;

/// What is wrong with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forgery {
    /// Signed in a ring of a stranger's key.
    StrangersRing,
    /// Well signed, but for a session that there is not.
    OtherSession,
    /// Well signed, but for a supplier that is not in the session.
    ForeignSupplier,
    /// One byte of the payload was changed after signing.
    ChangedPayload,
    /// One byte of the signature was changed.
    ChangedSignature,
    /// Nothing, but it was served before.
    Replay,
}

impl Forgery {
    /// All.
    pub const ALL: [Self; 6] = [
        Self::StrangersRing,
        Self::OtherSession,
        Self::ForeignSupplier,
        Self::ChangedPayload,
        Self::ChangedSignature,
        Self::Replay,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StrangersRing => "forged ring",
            Self::OtherSession => "wrong session",
            Self::ForeignSupplier => "wrong supplier",
            Self::ChangedPayload => "tampered payload",
            Self::ChangedSignature => "tampered signature",
            Self::Replay => "replay",
        }
    }
}

/// Who signs a request, and for whom.
#[derive(Debug)]
pub struct Signing<'a> {
    /// The session.
    pub header: SessionHeader,
    /// A supplier of it.
    pub supplier: Address,
    /// One that is not in it.
    pub foreign: Option<Address>,
    /// Keys of the ring: the application's, and its gateways' in the chain's order.
    pub ring: Vec<PublicKey>,
    /// One of them, which signs.
    pub key: &'a SigningKey,
}

impl Signing<'_> {
    /// A request with this payload; well signed but for what the forgery says.
    pub fn request(&self, payload: Bytes, forgery: Forgery) -> Result<RelayRequest> {
        let mut rng: StdRng = rand::make_rng();
        let (mut header, mut supplier, mut key) = (self.header.clone(), self.supplier, self.key.clone());
        let mut members = self.ring.clone();
        match forgery {
            Forgery::StrangersRing => {
                key = SigningKey::generate(&mut rng);
                members = vec![key.public_key(), key.public_key()];
            }
            Forgery::OtherSession => header.session_id = "0".repeat(header.session_id.len()),
            Forgery::ForeignSupplier => {
                supplier = anyhow::Context::context(self.foreign, "the network has no such supplier")?;
            }
            Forgery::ChangedPayload | Forgery::ChangedSignature | Forgery::Replay => {}
        }
        let ring = Ring::new(members)?;
        let mut request = sign_request(&header, &supplier.to_string(), payload, &ring, &key, &mut rng)?;
        match forgery {
            Forgery::ChangedPayload => {
                let mut changed = request.payload.to_vec();
                changed.last_mut().into_iter().for_each(|byte| *byte ^= 1);
                request.payload = changed.into();
            }
            Forgery::ChangedSignature => {
                let signature = request.meta.as_mut().map(|meta| &mut meta.signature);
                let last = signature.and_then(|signature| signature.last_mut());
                last.into_iter().for_each(|byte| *byte ^= 1);
            }
            _ => {}
        }
        Ok(request)
    }
}
