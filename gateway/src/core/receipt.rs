//! What came of asking a supplier for a receipt.
//!
//! A receipt is an extra: a relay whose response verifies is answered with or without one. It is never asked for again at another supplier,
//! which would relay the call twice, and suppliers are not ranked by it. What does not verify is counted and never handed on.

use portico_protocol::PublicKey;
use portico_protocol::receipt;
use portico_protocol::wire::pocket::service::{RelayRequest, RelayResponse};

/// A supplier's signature over one request and its response, with what it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The receipt in hexadecimal or base64url, as the supplier sent it.
    pub receipt: String,
    /// Ring signature of the relay request.
    pub request_signature: Vec<u8>,
    /// SHA-256 of the relay response's payload.
    pub payload_hash: Vec<u8>,
    /// Operator key of the supplier, by which it verifies.
    pub supplier: PublicKey,
}

/// What came of asking a supplier for a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptOutcome {
    /// Nobody asked.
    NotAsked,
    /// It verifies.
    Verified(Box<Receipt>),
    /// The supplier gave none: it may be of a version that knows no receipts.
    Missing,
    /// The supplier gave one that is not of this request, response and key.
    Invalid,
}

impl ReceiptOutcome {
    /// What `sent`, the supplier's header if it gave one, is worth for a request and its verified response.
    pub(crate) fn of(
        sent: Option<&[u8]>,
        request: &RelayRequest,
        response: &RelayResponse,
        supplier: PublicKey,
    ) -> Self {
        let Some(sent) = sent else { return Self::Missing };
        let (Ok(text), Some(meta)) = (std::str::from_utf8(sent), &request.meta) else {
            return Self::Invalid;
        };
        match receipt::verify(text, request, response, &supplier) {
            Err(_) => Self::Invalid,
            Ok(()) => Self::Verified(Box::new(Receipt {
                receipt: text.trim().to_owned(),
                request_signature: meta.signature.clone(),
                payload_hash: response.payload_hash.clone(),
                supplier,
            })),
        }
    }

    /// Short name for metrics and headers; `None` when nobody asked.
    #[must_use]
    pub const fn name(&self) -> Option<&'static str> {
        match self {
            Self::NotAsked => None,
            Self::Verified(_) => Some("verified"),
            Self::Missing => Some("missing"),
            Self::Invalid => Some("invalid"),
        }
    }

    /// The receipt, if it verifies.
    #[must_use]
    pub const fn verified(&self) -> Option<&Receipt> {
        match self {
            Self::Verified(receipt) => Some(&**receipt),
            _ => None,
        }
    }
}
