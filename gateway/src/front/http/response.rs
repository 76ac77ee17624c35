//! HTTP responses: bodies, and the headers that say how they came about.

use std::fmt::Write as _;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, LINK, LOCATION, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use portico_net::AsIs;
use portico_net::budget::holding;
use portico_protocol::receipt;
use portico_relay::content_encoding::SUPPORTED;
use portico_telemetry::REQUEST_ID;

use crate::codec::jsonrpc::Id;
use crate::core::attempt::{Failed, Reply};
use crate::core::receipt::ReceiptOutcome;
use crate::front::error::CallError;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const SUPPLIER: HeaderName = HeaderName::from_static("x-supplier-address");
const SESSION: HeaderName = HeaderName::from_static("x-session-id");
const APPLICATION: HeaderName = HeaderName::from_static("x-app-address");
/// Hash of the relay: the key of its leaf in the supplier's trie.
const RELAY_ID: HeaderName = HeaderName::from_static("x-relay-id");
/// What came of asking for a receipt: verified, missing, invalid, or batch.
const RECEIPT_STATUS: HeaderName = HeaderName::from_static("x-receipt-status");
/// The supplier's receipt; only one that verifies.
const RECEIPT: HeaderName = HeaderName::from_static(receipt::HEADER);
/// What the receipt signs, and the key by which it verifies; in hex.
const REQUEST_SIGNATURE: HeaderName = HeaderName::from_static("x-request-signature");
const PAYLOAD_HASH: HeaderName = HeaderName::from_static("x-payload-hash");
const SUPPLIER_KEY: HeaderName = HeaderName::from_static("x-supplier-public-key");
/// Suppliers tried, the one that answered included.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-attempts");
/// One less.
const RETRIES: HeaderName = HeaderName::from_static("x-retry-count");
/// Their addresses, in order.
const TRIED: HeaderName = HeaderName::from_static("x-suppliers-tried");
/// Whether the call was kept to suppliers of old blocks, and what came of sending it to two at a time (PATH): neither is done here.
const ARCHIVAL: HeaderName = HeaderName::from_static("x-archival-request");
const HEDGE: HeaderName = HeaderName::from_static("x-hedge-result");
/// Answers from this size on, in bytes, count in the byte budget until their callers have taken them; smaller ones fit into the system's
/// buffers.
const COUNTED: usize = 16 << 10;
/// Length of an operator's address as text, with a comma.
const OPERATOR: usize = 44;
/// Headers that pages may read.
pub(crate) const EXPOSED: [HeaderName; 21] = [
    ACCEPT_RANGES,
    ARCHIVAL,
    CONTENT_RANGE,
    ETAG,
    HEDGE,
    LINK,
    LOCATION,
    SUPPLIER,
    SESSION,
    APPLICATION,
    RELAY_ID,
    RECEIPT_STATUS,
    RECEIPT,
    REQUEST_SIGNATURE,
    PAYLOAD_HASH,
    SUPPLIER_KEY,
    ATTEMPTS,
    RETRIES,
    TRIED,
    REQUEST_ID,
    RETRY_AFTER,
];

/// Puts the id of the call on its answer.
pub(crate) fn identify(response: &mut Response, request_id: &str) {
    set(response, REQUEST_ID, request_id);
}

/// A response with a JSON body, or without any.
pub(crate) fn json_response(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_TYPE, JSON);
    }
    response
}

/// An error answer to a single call.
pub(crate) fn error_response(error: &CallError, id: &Id, status: StatusCode, request_id: &str) -> Response {
    let mut response = json_response(status, error.body(id, request_id));
    retry_after(&mut response, error.retry_after());
    if matches!(error, CallError::BodyTooLarge { .. } | CallError::BodyLate) {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if matches!(error, CallError::UnsupportedEncoding) {
        set(&mut response, ACCEPT_ENCODING, SUPPORTED);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
    }
    tried(&mut response, error.attempts(), None);
    response
}

/// Body of an error that the listener answers by itself: a head that cannot be read, a method that no route has, a body that stands
/// still, too many bytes in flight.
pub(crate) fn http_layer_error(status: StatusCode, reason: &str) -> String {
    let body = CallError::Http(status, reason.to_owned()).body(&None, "");
    String::from_utf8_lossy(&body).into_owned()
}

/// The body of a reply, which counts in the byte budget until its caller has taken it, if it is large.
pub(crate) fn answer_body(reply: &mut Reply) -> Bytes {
    let answer = std::mem::take(&mut reply.answer);
    match reply.room.take().filter(|_| answer.len() >= COUNTED) {
        Some(room) => holding(answer, vec![room]),
        None => answer,
    }
}

/// A backend's answer as it is, with the headers that say how it came about. `headers` are those of the backend that are passed on.
pub(crate) fn mirrored_response(
    status: StatusCode,
    headers: HeaderMap,
    mut reply: Reply,
    is_head: bool,
) -> Response {
    let body = answer_body(&mut reply);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if is_head && let Some(length) = announced(&reply) {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    answered_response(&mut response, reply);
    response
}

/// The same of an answer that comes piece by piece: no relay is there yet that could be named.
pub(crate) fn streamed_response(
    status: StatusCode,
    headers: HeaderMap,
    reply: Reply,
    body: Body,
) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    answered_response(&mut response, reply);
    response.headers_mut().remove(RELAY_ID);
    response
}

/// Says how an answer came about on a response that is made already.
pub(super) fn answered_response(response: &mut Response, reply: Reply) {
    response.extensions_mut().insert(AsIs);
    describe(response, &[reply]);
}

/// Says who was tried for nothing.
pub(super) fn tried_response(response: &mut Response, failed: &[Failed]) {
    tried(response, failed, None);
}

/// The length that a backend gives of the body which it does not send to a HEAD; nothing of one that would be encoded, since ours is not.
fn announced(reply: &Reply) -> Option<u64> {
    let header = |wanted: &HeaderName| {
        let mut headers = reply.headers.iter();
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_str()))
    };
    let (_, length) = header(&CONTENT_LENGTH).filter(|_| header(&CONTENT_ENCODING).is_none())?;
    length.values.first()?.trim().parse().ok()
}

/// An answer with the headers that say how it came about; of a batch, those that all its entries share.
pub(crate) fn reply_response(status: StatusCode, replies: &[Reply], body: Body) -> Response {
    let mut response = json_response(status, body);
    describe(&mut response, replies);
    response
}

/// Says how an answer came about.
fn describe(response: &mut Response, replies: &[Reply]) {
    if let [reply] = replies {
        set(response, SUPPLIER, &reply.candidate.supplier().operator_text);
        put(response, RELAY_ID, hex::encode(reply.relay_hash));
        tried(
            response,
            &reply.failed,
            Some(reply).filter(|reply| !reply.is_fallback),
        );
        retry_after(response, reply.retry_after);
        receipt_headers(response, &reply.receipt);
    }
    if let Some((first, rest)) = replies.split_first()
        && rest
            .iter()
            .all(|reply| reply.candidate.session.id() == first.candidate.session.id())
    {
        let session = &first.candidate.session;
        set(response, SESSION, session.id());
        set(response, APPLICATION, &session.header.application_address);
    }
    let headers = response.headers_mut();
    headers.insert(ARCHIVAL, HeaderValue::from_static("false"));
    headers.insert(HEDGE, HeaderValue::from_static("no_hedge"));
}

/// A receipt with all that it takes to check it, or why there is none.
fn receipt_headers(response: &mut Response, outcome: &ReceiptOutcome) {
    let Some(status) = outcome.name() else { return };
    set(response, RECEIPT_STATUS, status);
    if let Some(verified) = outcome.verified() {
        set(response, RECEIPT, &verified.receipt);
        put(
            response,
            REQUEST_SIGNATURE,
            hex::encode(&verified.request_signature),
        );
        put(response, PAYLOAD_HASH, hex::encode(&verified.payload_hash));
        put(response, SUPPLIER_KEY, hex::encode(verified.supplier.as_bytes()));
    }
}

/// Says that calls of a batch get no receipts: each is a relay of its own, and the answer has one head.
pub(crate) fn no_receipts(response: &mut Response) {
    set(response, RECEIPT_STATUS, "batch");
}

fn retry_after(response: &mut Response, seconds: Option<u32>) {
    if let Some(seconds) = seconds {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// Who was tried, in order.
fn tried(response: &mut Response, failed: &[Failed], reply: Option<&Reply>) {
    let answered = reply.map(|reply| reply.candidate.supplier().operator_text.as_str());
    let count = failed.len() + usize::from(answered.is_some());
    if count == 0 {
        return;
    }
    let mut suppliers = String::with_capacity(count * OPERATOR);
    for failed in failed {
        let _ = write!(suppliers, "{},", failed.supplier); // a string takes all
    }
    match answered {
        Some(answered) => suppliers.push_str(answered),
        None => drop(suppliers.pop()),
    }
    let headers = response.headers_mut();
    headers.insert(ATTEMPTS, HeaderValue::from(count));
    headers.insert(RETRIES, HeaderValue::from(count.saturating_sub(1)));
    put(response, TRIED, suppliers);
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The same of a text of our own, which is not copied.
fn put(response: &mut Response, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}
