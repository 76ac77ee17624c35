//! Plain HTTP: REST, and CometBFT's RPC by URI. The backend's answer is the caller's: status, headers that may be passed on, body.

use std::borrow::Cow;
use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use portico_relay as relay;
use portico_relay::RpcType;

use super::asked::{Asked, Context};
use super::response::{error_response, mirrored_response};
use super::state::Front;
use crate::codec::http::{Expected, Http, request_headers};
use crate::core::call::Call;

impl Front {
    /// Relays the request as it is.
    pub(super) async fn plain(
        self: &Arc<Self>,
        head: &Parts,
        asked: Asked,
        kind: RpcType,
        body: Bytes,
        context: Context<'_>,
    ) -> Response {
        let Asked {
            service,
            path,
            choice,
            wants_receipt,
            ..
        } = asked;
        let call = Call {
            request: relay::Call {
                rpc_type: kind,
                method: Cow::Owned(head.method.to_string()),
                path,
                headers: request_headers(&head.headers, &service.passed).into(),
                body,
            },
            expected: Expected {
                is_idempotent: head.method.is_idempotent(),
            },
            budgets: self.relayer.budgets(context.client),
            wants_receipt,
            takes_stream: head.method != Method::HEAD,
            choice,
            origin: Arc::clone(context.origin),
            deadline: context.deadline,
        };
        match self.relay(Http, &service.id, &call).await {
            Ok(reply) => {
                let headers = service.passed.response_headers(&reply.headers);
                let status = u16::try_from(reply.backend_status).ok();
                let status = status.and_then(|status| StatusCode::from_u16(status).ok());
                let status = status.unwrap_or(StatusCode::BAD_GATEWAY); // the codec takes no other
                if reply.stream.is_some() {
                    return self.streamed((status, headers), reply, &service.id, context);
                }
                mirrored_response(status, headers, reply, head.method == Method::HEAD)
            }
            Err(error) => {
                self.log(&error, &service.id, context.request_id);
                error_response(&error, &None, error.http_status(), context.request_id)
            }
        }
    }
}
