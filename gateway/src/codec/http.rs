//! A request and a response, whatever is in them: REST, and CometBFT's RPC by URI.
//!
//! The backend's answer is mirrored: status, body, and the headers that a gateway may pass on. Only where the backend says that it could not
//! answer may another supplier do better, and only if asking twice does no harm.

mod headers;

use bytes::Bytes;

use super::response::Response;
use super::{Codec, Verdict, jsonrpc};
use crate::core::call::Call;
use crate::core::fault::Fault;

pub(crate) use headers::{Passed, request_headers};

/// The codec of plain HTTP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Http;

/// What is known of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Whether it may be asked again after a backend may have acted on it (RFC 9110 §9.2.2).
    pub(crate) is_idempotent: bool,
}

impl Codec for Http {
    type Expected = Expected;

    fn judge(self, call: &Call<Expected>, payload: Bytes, max_bytes: usize) -> Result<Verdict, Fault> {
        judge(payload, call.expected, max_bytes)
    }
}

fn judge(payload: Bytes, expected: Expected, max_bytes: usize) -> Result<Verdict, Fault> {
    let response = Response::open(payload, max_bytes)?;
    if !(200..=599).contains(&response.status) {
        return Err(response.bad("its status is no final one of HTTP"));
    }
    // A failing status may belong to an answer all the same: CometBFT says errors of its RPC by 500.
    let may_be_bettered = may_be_bettered(response.status) && !jsonrpc::is_error(&response.body);
    Ok(Verdict {
        status: response.status,
        retry_after: response.retry_after(),
        answer: response.body,
        headers: response.headers,
        failed: expected.is_idempotent && may_be_bettered,
    })
}

/// Whether another backend may have an answer: not where this one says that nobody has (501, 505).
const fn may_be_bettered(status: u32) -> bool {
    matches!(status, 429 | 500 | 502..=504 | 506..=599)
}

#[cfg(test)]
mod tests {
    use portico_protocol::wire::sdk::types::PokthttpResponse;
    use prost::Message as _;

    use super::*;

    fn judged(status: u32, body: &'static str, is_idempotent: bool) -> Result<Verdict, Fault> {
        let response = PokthttpResponse {
            status_code: status,
            body_bz: body.into(),
            ..PokthttpResponse::default()
        };
        judge(
            response.encode_to_vec().into(),
            Expected { is_idempotent },
            1 << 10,
        )
    }

    #[test]
    fn every_final_answer_is_mirrored() {
        for (status, body) in [
            (200, "{}"),
            (201, ""),
            (302, ""),
            (304, ""),
            (404, "<html>"),
            (501, "no"),
        ] {
            let verdict = judged(status, body, true).unwrap();
            assert_eq!((verdict.status, &verdict.answer[..]), (status, body.as_bytes()));
            assert!(!verdict.failed, "{status}");
        }
        for status in [0, 100, 101, 199, 600, u32::MAX] {
            assert_eq!(judged(status, "", true).unwrap_err().cause(), "bad_payload");
        }
    }

    #[test]
    fn another_supplier_may_do_better_where_asking_twice_does_no_harm() {
        let comet = r#"{"jsonrpc":"2.0","id":-1,"error":{"code":-32603,"message":"Internal error"}}"#;
        for (status, body, is_idempotent, failed) in [
            (503, "down", true, true),
            (429, "slow down", true, true),
            (503, "down", false, false),
            (500, comet, true, false),
        ] {
            let verdict = judged(status, body, is_idempotent).unwrap();
            assert_eq!(verdict.failed, failed, "{status} {body}");
        }
    }
}
