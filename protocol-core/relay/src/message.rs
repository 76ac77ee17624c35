//! One signed message of a supplier, verified alone.

use bytes::Bytes;
use portico_protocol::PublicKey;
use portico_protocol::relay::{RelayError, verify_response};
use portico_protocol::wire::pocket::service::{RelayMinerError, RelayResponse};
use portico_protocol::wire::pocket::session::SessionHeader;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

/// Number of `RelayResponse.payload`, the second of its fields.
const PAYLOAD: u32 = 2;

/// Why a supplier's bytes are no message that can be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MessageFault {
    /// The bytes are no relay response, or an empty one.
    #[error("the bytes are not a relay response")]
    Undecodable,
    /// The supplier refused, in the form of the reference relay miner.
    #[error("relay miner error {}/{}: {}", .0.codespace, .0.code, .0.message)]
    Refused(Box<RelayMinerError>),
    /// Signature, payload hash, session header or shape do not hold.
    #[error(transparent)]
    Unverified(RelayError),
}

/// Reads a message and verifies shape, session header, payload hash and signature: it answers a request with `header` and comes from the
/// supplier with this public key.
pub fn open(
    bytes: Bytes,
    header: &SessionHeader,
    supplier: &PublicKey,
) -> Result<RelayResponse, MessageFault> {
    let decoded = RelayResponse::decode(bytes).ok();
    let Some(response) = decoded.filter(|response| *response != RelayResponse::default()) else {
        return Err(MessageFault::Undecodable);
    };
    verified(response, header, supplier)
}

/// Verifies a message that was read.
pub(crate) fn verified(
    response: RelayResponse,
    header: &SessionHeader,
    supplier: &PublicKey,
) -> Result<RelayResponse, MessageFault> {
    match verify_response(&response, header, supplier) {
        Ok(()) => Ok(response),
        Err(RelayError::Miner(error)) => Err(MessageFault::Refused(error)),
        Err(error) => Err(MessageFault::Unverified(error)),
    }
}

/// The response's bytes in the order of its fields, with the payload as it is: it counts in the budget of held bytes until it is sent.
#[must_use]
pub fn parts(mut response: RelayResponse) -> Vec<Bytes> {
    let payload = std::mem::take(&mut response.payload);
    let before = RelayResponse {
        meta: response.meta.take(),
        ..RelayResponse::default()
    };
    let (mut before, after) = (before.encode_to_vec(), response.encode_to_vec());
    if !payload.is_empty() {
        encode_key(PAYLOAD, WireType::LengthDelimited, &mut before);
        encode_varint(payload.len() as u64, &mut before);
    }
    vec![before.into(), payload, after.into()]
}

#[cfg(test)]
mod tests {
    use portico_protocol::SigningKey;
    use portico_protocol::relay::sign_response;
    use portico_protocol::wire::pocket::service::RelayResponseMetadata;

    use super::*;

    fn header() -> SessionHeader {
        let application = SigningKey::from_bytes(&[1; 32]).unwrap().address();
        SessionHeader {
            application_address: application.to_string(),
            service_id: "eth".to_owned(),
            session_start_block_height: 1,
            session_end_block_height: 10,
            session_id: "0".repeat(64),
        }
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[2; 32]).unwrap()
    }

    fn opened(response: &RelayResponse) -> Result<RelayResponse, MessageFault> {
        open(response.encode_to_vec().into(), &header(), &key().public_key())
    }

    #[test]
    fn opens_what_the_supplier_signed() {
        let response = sign_response(&header(), Bytes::from_static(b"payload"), &key());
        assert_eq!(opened(&response).unwrap().payload, "payload");
    }

    #[test]
    fn refuses_a_changed_payload_and_another_session() {
        let mut response = sign_response(&header(), Bytes::from_static(b"payload"), &key());
        response.payload = Bytes::from_static(b"other");
        assert_eq!(
            opened(&response),
            Err(MessageFault::Unverified(RelayError::PayloadHash))
        );
        let other = SessionHeader {
            session_id: "1".repeat(64),
            ..header()
        };
        let response = sign_response(&other, Bytes::from_static(b"payload"), &key());
        assert!(matches!(
            opened(&response),
            Err(MessageFault::Unverified(RelayError::HeaderMismatch(_)))
        ));
    }

    #[test]
    fn tells_a_refusal_from_noise() {
        let error = RelayMinerError {
            codespace: "relayer_proxy".to_owned(),
            code: 7,
            ..Default::default()
        };
        let refusal = RelayResponse {
            relay_miner_error: Some(error.clone()),
            ..Default::default()
        };
        assert_eq!(opened(&refusal), Err(MessageFault::Refused(Box::new(error))));
        for noise in ["", "<html>", "{\"error\":\"no\"}"] {
            let outcome = open(noise.into(), &header(), &key().public_key());
            assert_eq!(outcome, Err(MessageFault::Undecodable), "{noise}");
        }
    }

    #[test]
    fn parts_are_the_bytes_of_the_whole() {
        let whole = RelayResponse {
            meta: Some(RelayResponseMetadata {
                session_header: None,
                supplier_operator_signature: vec![1; 64],
            }),
            payload: Bytes::from(vec![2; 300]),
            relay_miner_error: Some(RelayMinerError {
                code: 3,
                ..RelayMinerError::default()
            }),
            payload_hash: vec![4; 32],
        };
        let without_payload = RelayResponse {
            payload: Bytes::new(),
            ..whole.clone()
        };
        for response in [whole, without_payload, RelayResponse::default()] {
            assert_eq!(parts(response.clone()).concat(), response.encode_to_vec());
        }
    }
}
