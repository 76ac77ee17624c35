//! From an HTTP request to an HTTP response.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, ORIGIN};
use http::{HeaderMap, HeaderValue, Method};
use portico_net::PeerAddr;
use portico_net::websocket::is_upgrade;
use portico_protocol::ServiceId;
use portico_relay::RpcType;
use portico_telemetry::{Origin, root, span};
use tokio::time::{Instant, timeout_at};
use tracing::field::Empty;
use tracing::{Instrument as _, debug, info, warn};

use super::asked::Context;
use super::compress::{chosen, compress};
use super::grpc;
use super::response::{error_response, identify};
use super::route::{is_call, unknown};
use super::state::Front;
use super::stream::takes_events;
use crate::codec::Codec;
use crate::codec::detect::{Looked, Protocol, detect};
use crate::codec::jsonrpc::Id;
use crate::core::attempt::Reply;
use crate::core::call::Call;
use crate::front::error::{CLIENT_GONE, CallError};
use crate::front::websocket;
use crate::relayer::Relayer;

/// A call: everything that is not a probe.
pub(super) async fn call(State(front): State<Arc<Front>>, request: Request) -> Response {
    let origin = Arc::new(front.origin(request.headers()));
    let request_id = origin.request_id().unwrap_or_default();
    let coding = chosen(request.headers());
    let mut response = match admit(&front, &request) {
        Ok(()) if is_upgrade(request.headers()) => websocket::open(&front, request, &origin).await,
        Ok(()) => {
            let span = origin.root(|| root!("call", otel.kind = "server", request_id, status = Empty));
            let response = front.serve(request, &origin).instrument(span.clone()).await;
            span.record("status", response.status().as_u16());
            response
        }
        Err(error) => front.refuse(&None, &error, request_id),
    };
    identify(&mut response, request_id);
    compress(coding, response)
}

/// What can be refused before the body is read.
fn admit(front: &Front, request: &Request) -> Result<(), CallError> {
    let origin = request.headers().get(ORIGIN).map(HeaderValue::as_bytes);
    let allowed = &front.config.cors_allowed_origins;
    if origin.is_some_and(|origin| !allowed.iter().any(|o| o == "*" || o.as_bytes() == origin)) {
        return Err(CallError::Origin);
    }
    let is_grpc = || grpc::wire(request.headers()).is_some();
    if !is_call(request.uri(), request.headers(), &front.services) && !is_grpc() {
        return Err(unknown(Some(request.uri().path()), &front.services));
    }
    match *request.method() {
        _ if front.is_draining() => Err(CallError::Draining),
        ref method @ (Method::CONNECT | Method::TRACE) => Err(CallError::Method(method.clone())),
        _ => Ok(()),
    }
}

impl Front {
    /// Reads the body and relays what is in it.
    async fn serve(self: &Arc<Self>, request: Request, origin: &Arc<Origin>) -> Response {
        let deadline = self.deadline();
        let request_id = origin.request_id().unwrap_or_default();
        let (head, body) = request.into_parts();
        let context = Context {
            deadline,
            request_id,
            origin,
            client: head.extensions.get().map(|PeerAddr(peer)| peer.ip()),
        };
        if let Some(wire) = grpc::wire(&head.headers) {
            return Box::pin(self.grpc(wire, (&head, body), context)).await;
        }
        let body = match self.read_body(&head.headers, body, deadline).await {
            Ok(body) => body,
            Err(error) => return self.refuse(&None, &error, request_id),
        };
        let asked = self.asked(&head);
        let protocol = match &asked {
            Ok(asked) => detect(Looked {
                named: asked.named,
                offered: asked.service.offered.as_deref(),
                method: &head.method,
                path: &asked.path,
                body: &body,
            })
            .map_err(|_| CallError::Method(head.method.clone())),
            Err(_) if head.method == Method::POST => Ok(Protocol::JsonRpc(None)), // told under the call's id
            Err(_) => Ok(Protocol::Http(RpcType::Rest)),
        };
        match (protocol, asked) {
            // What answers by events is no plain JSON-RPC: its caller says that it takes them.
            (Ok(Protocol::JsonRpc(kind)), Ok(asked)) if takes_events(&head.headers) => {
                let kind = kind.unwrap_or(RpcType::JsonRpc);
                Box::pin(self.plain(&head, asked, kind, body, context)).await
            }
            (Ok(Protocol::JsonRpc(kind)), asked) => self.json_rpc(asked, kind, &body, context).await,
            (Ok(Protocol::Http(kind)), Ok(asked)) => {
                Box::pin(self.plain(&head, asked, kind, body, context)).await
            }
            (Ok(Protocol::Http(_)), Err(error)) => self.refuse_plain(&error, request_id),
            (Err(error), _) => self.refuse(&None, &error, request_id),
        }
    }

    pub(super) async fn read_body(
        &self,
        headers: &HeaderMap,
        body: Body,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let max = self.config.max_body_bytes;
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > max) {
            return Err(CallError::BodyTooLarge { max });
        }
        let read = timeout_at(deadline, to_bytes(body, max))
            .await
            .map_err(|_| CallError::BodyLate)?;
        let body = read.map_err(|_| CallError::BodyTooLarge { max })?; // or the caller broke off, and nobody reads this
        match headers.contains_key(CONTENT_ENCODING) {
            true => Box::pin(self.decoder.decoded(headers, body, max, deadline)).await,
            false => Ok(body),
        }
    }

    /// Relays and counts, also a caller that goes away meanwhile.
    pub(super) async fn relay<C: Codec>(
        &self,
        codec: C,
        service: &ServiceId,
        call: &Call<C::Expected>,
    ) -> Result<Reply, CallError> {
        let begun = Instant::now();
        let mut tally = Tally {
            relayer: &self.relayer,
            service,
            outcome: CLIENT_GONE,
        };
        self.relayer.metrics.in_flight.inc();
        let span = span!("relay", %service, rpc_type = %call.request.rpc_type, outcome = Empty);
        let reply = self.relayer.relay(codec, service, call).instrument(span.clone());
        let reply = reply.await.map_err(CallError::from);
        tally.outcome = match &reply {
            Ok(reply) => {
                let took = begun.elapsed();
                self.relayer.metrics.answered(service, took);
                let (session, supplier) = (reply.candidate.session.id(), reply.candidate.supplier().operator);
                let request_id = call.origin.request_id();
                debug!(%service, request_id, session, %supplier, ms = took.as_millis(), "call answered");
                "ok"
            }
            Err(error) => error.row().reason,
        };
        span.record("outcome", tally.outcome);
        reply
    }

    pub(in crate::front) fn log(&self, error: &CallError, service: &ServiceId, request_id: &str) {
        let reason = error.row().reason;
        let tries: Vec<String> = error
            .attempts()
            .iter()
            .map(|failed| format!("{}: {}", failed.supplier, failed.fault.unquoted()))
            .collect();
        match error.row().retry_after {
            Some(_) => info!(%service, request_id, reason, error = error.message(), ?tries, "call refused"),
            None => warn!(%service, request_id, reason, error = error.message(), ?tries, "call failed"),
        }
    }

    /// Refuses a request of which nothing was relayed.
    pub(super) fn refuse(&self, id: &Id, error: &CallError, request_id: &str) -> Response {
        self.relayer.metrics.call(None, error.row().reason);
        error_response(error, id, error.status(id), request_id)
    }

    /// The same of a request that is no JSON-RPC.
    pub(in crate::front) fn refuse_plain(&self, error: &CallError, request_id: &str) -> Response {
        self.relayer.metrics.call(None, error.row().reason);
        error_response(error, &None, error.http_status(), request_id)
    }
}

/// Counts a call when it ends, however it ends.
struct Tally<'a> {
    relayer: &'a Relayer,
    service: &'a ServiceId,
    outcome: &'static str,
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.relayer.metrics.in_flight.dec();
        self.relayer.metrics.call(Some(self.service), self.outcome);
    }
}
