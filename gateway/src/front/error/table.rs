//! The table of errors: HTTP status, JSON-RPC code and reason of everything that can go wrong. Nothing else in the crate chooses any of
//! them.
//!
//! An answer from the chain is HTTP 200. A failure of ours is not, and can be tried again; a permanent refusal is never one of those
//! statuses and codes that client libraries repeat by themselves (403, 413, −32005, −32603).

use http::StatusCode;

use portico_relay::grpc::RESOURCE_EXHAUSTED;

use super::code;
use crate::codec::jsonrpc::Source;

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// HTTP status of the answer to a single call; batches are always 200.
    pub(crate) status: StatusCode,
    /// `error.code`.
    pub(crate) code: i32,
    /// `error.data.reason`, label in metrics, and page below `/errors/`.
    pub(crate) reason: &'static str,
    /// `error.data.source`.
    pub(crate) source: Source,
    /// `error.data.retryable`.
    pub(crate) retryable: bool,
    /// `Retry-After` in seconds.
    pub(crate) retry_after: Option<u32>,
    /// gRPC's status, where HTTP's does not say it: what clients of gRPC repeat is UNAVAILABLE.
    pub(crate) grpc: Option<u8>,
    /// What it means and what to do.
    pub(crate) help: &'static str,
}

const fn row(status: StatusCode, code: i32, reason: &'static str, source: Source, help: &'static str) -> Row {
    Row {
        status,
        code,
        reason,
        source,
        retryable: false,
        retry_after: None,
        grpc: None,
        help,
    }
}

impl Row {
    const fn retryable(self) -> Self {
        Self {
            retryable: true,
            ..self
        }
    }

    const fn exhausted(self) -> Self {
        Self {
            grpc: Some(RESOURCE_EXHAUSTED),
            ..self
        }
    }

    const fn after(self, seconds: u32) -> Self {
        Self {
            retryable: true,
            retry_after: Some(seconds),
            ..self
        }
    }
}

pub(super) const PARSE_ERROR: Row = row(
    StatusCode::BAD_REQUEST,
    code::PARSE_ERROR,
    "parse_error",
    Source::Gateway,
    "The body is not JSON, or not compressed as its Content-Encoding says. Nothing was relayed.",
);
pub(super) const INVALID_REQUEST: Row = row(
    StatusCode::OK,
    code::INVALID_REQUEST,
    "invalid_request",
    Source::Gateway,
    "JSON, but not a JSON-RPC request: an object with a text `method`, and `id` a text, a number or null. Or a header that says whom to relay \
     by has a value that is none. Without a readable id the HTTP status is 400.",
);
pub(super) const BATCH_TOO_LARGE: Row = row(
    StatusCode::OK,
    code::INVALID_REQUEST,
    "batch_too_large",
    Source::Gateway,
    "The batch has more entries than `max_batch` (in `data.max`). Send it in parts.",
);
pub(super) const BODY_TOO_LARGE: Row = row(
    StatusCode::BAD_REQUEST,
    code::BODY_TOO_LARGE,
    "body_too_large",
    Source::Gateway,
    "The body is larger than `max_body_bytes` (in `data.max`). The connection is closed without reading the rest.",
)
.exhausted();
pub(super) const UNSUPPORTED_ENCODING: Row = row(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    code::UNSUPPORTED_ENCODING,
    "unsupported_encoding",
    Source::Gateway,
    "The body is compressed in a way that this gateway does not know. The header Accept-Encoding of this answer names those that it does; or send \
     the body as it is.",
);
pub(super) const UNKNOWN_SERVICE: Row = row(
    StatusCode::NOT_FOUND,
    code::UNKNOWN_SERVICE,
    "unknown_service",
    Source::Gateway,
    "This gateway does not serve that service. Name one of `data.available`: POST /v1/{service}, or the header Target-Service-Id. A \
     gateway with one service needs neither.",
);
pub(super) const UNKNOWN_APPLICATION: Row = row(
    StatusCode::NOT_FOUND,
    code::UNKNOWN_APPLICATION,
    "unknown_application",
    Source::Gateway,
    "The header App-Address names an application whose relays this gateway does not sign for this service. Leave it out, and the gateway \
     chooses.",
);
pub(super) const RPC_TYPE_UNSUPPORTED: Row = row(
    StatusCode::OK,
    code::RPC_TYPE_UNSUPPORTED,
    "rpc_type_unsupported",
    Source::Gateway,
    "This kind of call is not relayed: gRPC is not, a service whose only kind is JSON-RPC takes POST alone (other methods get \
     status 405), and no supplier of the session may have staked an endpoint that takes it. Status 501 where the call is no JSON-RPC.",
);
pub(super) const UNAUTHORIZED: Row = row(
    StatusCode::UNAUTHORIZED,
    code::UNAUTHORIZED,
    "unauthorized",
    Source::Gateway,
    "Pages of this web origin may not call: it is not in `cors_allowed_origins`. Nothing was relayed.",
);
pub(super) const SESSION_UNAVAILABLE: Row = row(
    StatusCode::SERVICE_UNAVAILABLE,
    code::SESSION_UNAVAILABLE,
    "session_unavailable",
    Source::Chain,
    "The chain gives no session: the application is not staked for the service, no supplier serves it, the gateway's key was not \
     delegated to, or the chain cannot be reached. The message says which.",
)
.after(1);
pub(super) const STAKE_EXHAUSTED: Row = row(
    StatusCode::SERVICE_UNAVAILABLE,
    code::STAKE_EXHAUSTED,
    "stake_exhausted",
    Source::Chain,
    "All suppliers of the session have served what the application's stake pays for. The next session begins anew; more stake raises \
     the limit. Other applications are not affected.",
)
.retryable()
.exhausted();
pub(super) const NO_SUPPLIER: Row = row(
    StatusCode::SERVICE_UNAVAILABLE,
    code::NO_SUPPLIER,
    "no_supplier",
    Source::Supplier,
    "The session has no supplier that can be tried now; `data.filtered` counts why.",
)
.after(1);
pub(super) const SUPPLIERS_FAILED: Row = row(
    StatusCode::BAD_GATEWAY,
    code::SUPPLIERS_FAILED,
    "suppliers_failed",
    Source::Supplier,
    "Several suppliers were tried and none answered; `data.attempts` has cause and detail of each.",
)
.retryable();
pub(super) const SIGNATURE_INVALID: Row = row(
    StatusCode::BAD_GATEWAY,
    code::SIGNATURE_INVALID,
    "signature_invalid",
    Source::Supplier,
    "Suppliers answered, but no answer verified: signature, payload hash or session header. They are left alone for two sessions.",
)
.retryable();
pub(super) const BAD_PAYLOAD: Row = row(
    StatusCode::BAD_GATEWAY,
    code::BAD_PAYLOAD,
    "bad_payload",
    Source::Supplier,
    "Suppliers answered with something that is no answer to the call: empty, HTML or another id where JSON-RPC was called, no HTTP response.",
)
.retryable();
pub(super) const DEADLINE: Row = row(
    StatusCode::GATEWAY_TIMEOUT,
    code::DEADLINE,
    "deadline",
    Source::Gateway,
    "`relay_timeout_ms` is over; `data.phase` says how far the call got: body, session or supplier.",
)
.retryable();
pub(super) const RESPONSE_TOO_LARGE: Row = row(
    StatusCode::BAD_GATEWAY,
    code::RESPONSE_TOO_LARGE,
    "response_too_large",
    Source::Gateway,
    "The answer is larger than `max_response_bytes` or than the supplier takes, or the answers of the batch are larger together than \
     `max_answer_bytes_per_request`. Other suppliers would say the same. Ask for less.",
)
.exhausted();
pub(super) const OVERLOADED: Row = row(
    StatusCode::SERVICE_UNAVAILABLE,
    code::OVERLOADED,
    "overloaded",
    Source::Gateway,
    "As many relays as `max_concurrent_relays` are under way, or three quarters of it for one of several services, as many bytes of answers as `max_answer_bytes_in_flight` are held, or of \
     answers that callers at your address have not taken yet as `max_answer_bytes_per_client`, or the gateway is stopping.",
)
.after(1);
pub(super) const INTERNAL: Row = row(
    StatusCode::INTERNAL_SERVER_ERROR,
    code::INTERNAL,
    "internal",
    Source::Gateway,
    "A fault of the gateway. Its log has more under the request id.",
);

/// The table, in the order of a call's way.
pub(crate) const ROWS: [&Row; 19] = [
    &BODY_TOO_LARGE,
    &UNSUPPORTED_ENCODING,
    &UNAUTHORIZED,
    &PARSE_ERROR,
    &INVALID_REQUEST,
    &BATCH_TOO_LARGE,
    &UNKNOWN_SERVICE,
    &UNKNOWN_APPLICATION,
    &RPC_TYPE_UNSUPPORTED,
    &OVERLOADED,
    &SESSION_UNAVAILABLE,
    &STAKE_EXHAUSTED,
    &NO_SUPPLIER,
    &SUPPLIERS_FAILED,
    &SIGNATURE_INVALID,
    &BAD_PAYLOAD,
    &RESPONSE_TOO_LARGE,
    &DEADLINE,
    &INTERNAL,
];

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::ROWS;

    #[test]
    fn the_table_of_errors() {
        let mut table = String::new();
        for row in ROWS {
            let retry = match (row.retryable, row.retry_after) {
                (_, Some(seconds)) => format!("after {seconds} s"),
                (true, None) => "yes".to_owned(),
                (false, None) => "no".to_owned(),
            };
            let (status, code, source) = (row.status.as_u16(), row.code, format!("{:?}", row.source));
            writeln!(
                table,
                "{status} {code} {:20} {source:8} retry: {retry}",
                row.reason
            )
            .unwrap();
        }
        insta::assert_snapshot!(table, @r"
        400 -31022 body_too_large       Gateway  retry: no
        415 -31023 unsupported_encoding Gateway  retry: no
        401 -31020 unauthorized         Gateway  retry: no
        400 -32700 parse_error          Gateway  retry: no
        200 -32600 invalid_request      Gateway  retry: no
        200 -32600 batch_too_large      Gateway  retry: no
        404 -31010 unknown_service      Gateway  retry: no
        404 -31012 unknown_application  Gateway  retry: no
        200 -31011 rpc_type_unsupported Gateway  retry: no
        503 -31052 overloaded           Gateway  retry: after 1 s
        503 -31030 session_unavailable  Chain    retry: after 1 s
        503 -31032 stake_exhausted      Chain    retry: yes
        503 -31033 no_supplier          Supplier retry: after 1 s
        502 -31040 suppliers_failed     Supplier retry: yes
        502 -31041 signature_invalid    Supplier retry: yes
        502 -31042 bad_payload          Supplier retry: yes
        502 -31051 response_too_large   Gateway  retry: no
        504 -31050 deadline             Gateway  retry: yes
        500 -31099 internal             Gateway  retry: no
        ");
    }

    #[test]
    fn permanent_refusals_are_nothing_that_clients_repeat() {
        for row in ROWS
            .iter()
            .filter(|row| !row.retryable && row.reason != "internal")
        {
            assert!(
                ![403, 408, 413, 429, 500, 503, 504].contains(&row.status.as_u16()),
                "{}",
                row.reason
            );
            assert!(![-32005, -32603].contains(&row.code), "{}", row.reason);
        }
    }
}
