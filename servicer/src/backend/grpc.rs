//! Answers of gRPC nodes: the body as it is, the trailers among the headers.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::BodyExt as _;
use portico_net::budget::holding;
use portico_protocol::wire::sdk::types::{PokthttpRequest, PokthttpResponse};
use portico_relay::grpc::{self, Wire};
use prost::Message as _;
use tokio::time::Instant;

use super::headers::{Allowed, relayed_headers};
use super::node::Limits;
use super::{BackendError, Message};

/// Whether an answer is gRPC's.
pub(super) fn is_grpc(response: &reqwest::Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.and_then(Wire::of) == Some(Wire::Native)
}

/// When a call must be answered: as its caller says, if that is sooner.
pub(super) fn deadline(relayed: &PokthttpRequest, otherwise: Instant) -> Instant {
    let mut headers = relayed.header.iter();
    let given = headers.find(|(name, _)| name.eq_ignore_ascii_case(grpc::TIMEOUT));
    let given = given.and_then(|(_, header)| grpc::timeout(header.values.first()?));
    given.map_or(otherwise, |time| otherwise.min(Instant::now() + time))
}

/// Reads an answer with its trailers.
pub(super) async fn read(
    response: reqwest::Response,
    limits: &Limits,
    returned: &Allowed,
) -> Result<Message, BackendError> {
    let max = limits.max_response_bytes;
    let (head, mut body) = http::Response::<reqwest::Body>::from(response).into_parts();
    let mut headers = relayed_headers(&head.headers, None, returned);
    let (mut bytes, mut room) = (BytesMut::new(), limits.buffers.room());
    while let Some(frame) = body.frame().await {
        match frame.map_err(BackendError::Unreachable)?.into_data() {
            Ok(data) => {
                if bytes.len().saturating_add(data.len()) > max {
                    return Err(BackendError::TooLarge(max));
                }
                room.grow(data.len()).map_err(|_| BackendError::NoRoom)?;
                bytes.extend_from_slice(&data);
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    headers.extend(relayed_headers(&trailers, None, returned));
                }
            }
        }
    }
    let status = head.status.as_u16();
    let response = PokthttpResponse {
        status_code: u32::from(status),
        header: headers,
        body_bz: bytes.freeze(),
    };
    let payload = Bytes::from(response.encode_to_vec());
    Ok(Message {
        status,
        payload: holding(payload, vec![room]),
    })
}
