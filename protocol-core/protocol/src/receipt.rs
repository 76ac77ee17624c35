//! Relay receipts: a supplier's signature over one request *and* its response.
//!
//! A response alone is signed over session header and payload hash, so it could answer any request of the session. A receipt ties the two
//! together: the supplier signs SHA-256(tag ‖ request ring signature ‖ response `payload_hash`). It travels beside the response, in the
//! header [`HEADER`], when the request asked for it by [`REQUEST_HEADER`]; format and digest are those of the HA relay miner.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::keys::{PublicKey, SigningKey};
use crate::wire::pocket::service::{RelayRequest, RelayResponse};

/// Request header that asks for a receipt, with the value `true`.
pub const REQUEST_HEADER: &str = "pocket-sign-receipt";
/// Response header that holds it.
pub const HEADER: &str = "pocket-relay-receipt";

/// Keeps receipts apart from everything else that the supplier's key signs. The zero byte belongs to it.
const TAG: &[u8] = b"POKT-RELAY-RECEIPT-v1\0";
const VERSION: &str = "v1.";
const SIGNATURE_BYTES: usize = 64;

/// Why a receipt is not one for a request and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not `v1.` and 64 bytes in hexadecimal or base64url.
    #[error("the receipt is not \"v1.\" with a signature in hexadecimal or base64url")]
    Malformed,
    /// The request has no ring signature or the response no payload hash: there is nothing to tie together.
    #[error("the request has no signature or the response no payload hash")]
    Incomplete,
    /// The signature is of another request, another response or another supplier.
    #[error("the receipt's signature does not verify")]
    Signature,
}

/// Whether a [`REQUEST_HEADER`] with this value asks for a receipt: only `true` does, in any case.
#[must_use]
pub const fn is_wanted(value: &[u8]) -> bool {
    value.trim_ascii().eq_ignore_ascii_case(b"true")
}

/// What a receipt's signature is over; the signature hashes it once more.
#[must_use]
pub fn digest(request_signature: &[u8], payload_hash: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new_with_prefix(TAG);
    hasher.update(request_signature);
    hasher.update(payload_hash);
    hasher.finalize().into()
}

/// The receipt for `response` to `request`: `v1.` and 128 hexadecimal characters.
///
/// # Errors
/// [`ReceiptError::Incomplete`].
pub fn sign(
    request: &RelayRequest,
    response: &RelayResponse,
    key: &SigningKey,
) -> Result<String, ReceiptError> {
    let digest = digest_of(request, response)?;
    Ok(format!("{VERSION}{}", hex::encode(key.sign(&digest))))
}

/// Verifies a receipt, in hexadecimal or base64url, with the supplier's operator key.
///
/// # Errors
/// See [`ReceiptError`]; a high s is [`ReceiptError::Signature`].
pub fn verify(
    receipt: &str,
    request: &RelayRequest,
    response: &RelayResponse,
    supplier: &PublicKey,
) -> Result<(), ReceiptError> {
    let signature = parse(receipt)?;
    let digest = digest_of(request, response)?;
    supplier
        .verify(&digest, &signature)
        .map_err(|_| ReceiptError::Signature)
}

fn digest_of(request: &RelayRequest, response: &RelayResponse) -> Result<[u8; 32], ReceiptError> {
    let signature = request.meta.as_ref().map(|meta| meta.signature.as_slice());
    match signature {
        Some(signature) if !signature.is_empty() && response.payload_hash.len() == 32 => {
            Ok(digest(signature, &response.payload_hash))
        }
        _ => Err(ReceiptError::Incomplete),
    }
}

/// The signature's bytes.
fn parse(receipt: &str) -> Result<[u8; SIGNATURE_BYTES], ReceiptError> {
    let text = receipt
        .trim()
        .strip_prefix(VERSION)
        .ok_or(ReceiptError::Malformed)?;
    let mut bytes = [0; SIGNATURE_BYTES];
    if text.len() == 2 * SIGNATURE_BYTES {
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ReceiptError::Malformed)?;
        return Ok(bytes);
    }
    let decoded = URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| ReceiptError::Malformed)?;
    decoded.try_into().map_err(|_| ReceiptError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pocket::service::RelayRequestMetadata;

    fn request() -> RelayRequest {
        RelayRequest {
            meta: Some(RelayRequestMetadata {
                signature: hex::decode("aabbccdd11223344").unwrap(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn response() -> RelayResponse {
        let hash = "035246ede2579f9e904957f7aae6b9ca3395dd74b18e2d36dbb4fcd12ee69931";
        RelayResponse {
            payload_hash: hex::decode(hash).unwrap(),
            ..Default::default()
        }
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32]).unwrap()
    }

    /// Of the HA relay miner's `relayer/receipt_test.go`.
    #[test]
    fn the_digest_is_the_ha_miners() {
        assert_eq!(
            hex::encode(digest_of(&request(), &response()).unwrap()),
            "5bb8a3914486e4ff4ecde225a4c13d2939419fb5621b320bd33f44b5ac854319"
        );
    }

    #[test]
    fn only_true_asks_for_a_receipt() {
        for yes in ["true", "TRUE", "True", " true "] {
            assert!(is_wanted(yes.as_bytes()), "{yes}");
        }
        for no in ["", "false", "1", "yes", "on", "true,true", "\u{0}\u{ff}"] {
            assert!(!is_wanted(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn verifies_in_hexadecimal_and_base64url() {
        let receipt = sign(&request(), &response(), &key()).unwrap();
        let check = |text: &str| verify(text, &request(), &response(), &key().public_key());
        assert_eq!(receipt.len(), "v1.".len() + 128);
        assert_eq!(check(&receipt), Ok(()));
        let base64 = format!("v1.{}", URL_SAFE_NO_PAD.encode(parse(&receipt).unwrap()));
        assert_eq!(check(&base64), Ok(()));
        assert_eq!(check(&format!("{base64}==")), Ok(()));
    }

    #[test]
    fn refuses_another_request_response_or_supplier() {
        let receipt = sign(&request(), &response(), &key()).unwrap();
        let mut other_request = request();
        other_request.meta.as_mut().unwrap().signature.push(0);
        let mut other_response = response();
        other_response.payload_hash[0] ^= 1;
        let other_key = SigningKey::from_bytes(&[8; 32]).unwrap().public_key();
        for outcome in [
            verify(&receipt, &other_request, &response(), &key().public_key()),
            verify(&receipt, &request(), &other_response, &key().public_key()),
            verify(&receipt, &request(), &response(), &other_key),
        ] {
            assert_eq!(outcome, Err(ReceiptError::Signature));
        }
    }

    #[test]
    fn refuses_what_is_no_receipt() {
        let valid = sign(&request(), &response(), &key()).unwrap();
        for text in ["", "v1.", "v1.AAAA", &valid[3..], &valid.replace("v1.", "v2.")] {
            let outcome = verify(text, &request(), &response(), &key().public_key());
            assert_eq!(outcome, Err(ReceiptError::Malformed), "{text}");
        }
        let unsigned = RelayRequest::default();
        assert_eq!(
            sign(&unsigned, &response(), &key()),
            Err(ReceiptError::Incomplete)
        );
        let unhashed = RelayResponse::default();
        assert_eq!(sign(&request(), &unhashed, &key()), Err(ReceiptError::Incomplete));
    }
}
