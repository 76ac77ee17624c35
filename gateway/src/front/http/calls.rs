//! From an HTTP request to an HTTP response.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use http::header::{CONTENT_LENGTH, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use portico_protocol::{ServiceId, receipt};
use portico_relay as relay;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::body::Parts;
use super::compress::{chosen, compress};
use super::response::{error_response, identify, json_response, no_receipts, reply_response};
use super::route::{ROOT, Route, route};
use super::state::Front;
use crate::codec::Codec;
use crate::codec::jsonrpc::{self, Id, Item, JsonRpc, NotARequest};
use crate::core::attempt::Reply;
use crate::core::budget::{Budgets, holding};
use crate::core::call::Call;
use crate::core::fault::shortened;
use crate::front::error::{CLIENT_GONE, CallError};
use crate::relayer::Relayer;

/// Answers from this size on, in bytes, count in the byte budget until their callers have taken them; smaller ones fit into the system's
/// buffers.
const COUNTED: usize = 16 << 10;

/// A call: everything that is not a probe.
pub(super) async fn call(State(front): State<Arc<Front>>, request: Request) -> Response {
    let request_id = front.request_id(request.headers());
    let coding = chosen(request.headers());
    let mut response = match admit(&front, &request) {
        Ok(()) => front.serve(request, &request_id).await,
        Err(error) => front.refuse(None, &None, &error, &request_id),
    };
    identify(&mut response, &request_id);
    compress(coding, response)
}

/// What can be refused before the body is read.
fn admit(front: &Front, request: &Request) -> Result<(), CallError> {
    let origin = request.headers().get(ORIGIN).map(HeaderValue::as_bytes);
    let allowed = &front.config.cors_allowed_origins;
    if origin.is_some_and(|origin| !allowed.iter().any(|o| o == "*" || o.as_bytes() == origin)) {
        return Err(CallError::Origin);
    }
    let path = request.uri().path();
    if path != ROOT
        && !path
            .strip_prefix(ROOT)
            .is_some_and(|below| below.starts_with('/'))
    {
        let available = front
            .relayer
            .signers
            .services()
            .map(ToString::to_string)
            .collect();
        return Err(CallError::UnknownService {
            asked: Some(shortened(path)),
            available,
        });
    }
    match *request.method() {
        _ if front.is_draining() => Err(CallError::Draining),
        Method::POST => Ok(()),
        ref other => Err(CallError::RpcType(format!("HTTP {other}"))),
    }
}

impl Front {
    /// Reads the body and relays the calls in it.
    async fn serve(&self, request: Request, request_id: &str) -> Response {
        let deadline = self.deadline();
        let (head, body) = request.into_parts();
        let body = match self.read_body(&head.headers, body, deadline).await {
            Ok(body) => body,
            Err(error) => return self.refuse(None, &None, &error, request_id),
        };
        let max_batch = self.config.max_batch;
        match JsonRpc.read(&body, max_batch) {
            jsonrpc::Body::NotJson => self.refuse(None, &None, &CallError::NotJson, request_id),
            jsonrpc::Body::Single(item) => {
                self.single(&head.uri, &head.headers, item, deadline, request_id)
                    .await
            }
            jsonrpc::Body::Batch(items) => {
                self.batch(&head.uri, &head.headers, items, deadline, request_id)
                    .await
            }
            jsonrpc::Body::TooLong(None) => self.refuse(
                None,
                &None,
                &CallError::BatchTooLarge { max: max_batch },
                request_id,
            ),
            jsonrpc::Body::TooLong(Some(ids)) => {
                let error = CallError::BatchTooLarge { max: max_batch };
                self.relayer.metrics.call(None, error.row().reason);
                let answers: Vec<Bytes> = ids
                    .into_iter()
                    .map(|id| error.body(&Some(id), request_id))
                    .collect();
                json_response(StatusCode::OK, Body::new(Parts::new(jsonrpc::batch(answers))))
            }
        }
    }

    async fn read_body(
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
        self.decoder.decoded(headers, body, max, deadline).await
    }

    async fn single(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        item: Result<Item, NotARequest>,
        deadline: Instant,
        request_id: &str,
    ) -> Response {
        let item = match item {
            Ok(item) => item,
            Err(not) => return self.refuse(None, &not.id, &CallError::Invalid(not.reason), request_id),
        };
        let route = match route(uri, headers, &self.relayer.signers) {
            Ok(route) => route,
            Err(error) => return self.refuse(None, &item.id, &error, request_id),
        };
        let wants_receipt = self.wants_receipt(headers);
        let budgets = self.relayer.budgets();
        match self.relay(&route, &item, deadline, budgets, wants_receipt).await {
            Ok(reply) if item.id.is_none() => reply_response(StatusCode::NO_CONTENT, &[reply], Body::empty()),
            Ok(mut reply) => {
                let answer = std::mem::take(&mut reply.answer);
                let body = match reply.room.take().filter(|_| answer.len() >= COUNTED) {
                    Some(room) => holding(answer, vec![room]),
                    None => answer,
                };
                reply_response(StatusCode::OK, &[reply], body.into())
            }
            Err(error) => {
                self.log(&error, &route.service, request_id);
                error_response(&error, &item.id, request_id)
            }
        }
    }

    /// Always 200 with an entry per id, in the order of the batch; 204 when nothing wants an answer.
    async fn batch(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        items: Vec<Result<Item, NotARequest>>,
        deadline: Instant,
        request_id: &str,
    ) -> Response {
        let route = route(uri, headers, &self.relayer.signers);
        let budgets = self.relayer.batch_budgets();
        // Entries become futures as their turn comes: a thousand at once would hold some megabytes.
        let entry = |index: usize| self.entry(&route, &items[index], deadline, budgets.clone(), request_id);
        let outcomes: Vec<_> = stream::iter(0..items.len())
            .map(entry)
            .buffered(self.config.max_batch_concurrency.max(1))
            .collect()
            .await;
        let (mut answers, mut replies) = (Vec::new(), Vec::new());
        for (answer, reply) in outcomes {
            answers.extend(answer);
            replies.extend(reply);
        }
        let mut response = if answers.is_empty() {
            reply_response(StatusCode::NO_CONTENT, &replies, Body::empty())
        } else {
            let rooms = replies
                .iter_mut()
                .filter_map(|reply: &mut Reply| reply.room.take())
                .collect();
            let mut parts = jsonrpc::batch(answers);
            let last = parts.pop().unwrap_or_default(); // dropped when everything before it is written
            parts.push(holding(last, rooms));
            reply_response(StatusCode::OK, &replies, Body::new(Parts::new(parts)))
        };
        if self.wants_receipt(headers) {
            no_receipts(&mut response);
        }
        response
    }

    /// Whether a call is to be relayed with a receipt.
    fn wants_receipt(&self, headers: &HeaderMap) -> bool {
        let asked = headers.get(receipt::REQUEST_HEADER);
        self.config.request_receipts || asked.is_some_and(|value| receipt::is_wanted(value.as_bytes()))
    }

    /// One entry of a batch: its answer, unless it is a notification, and how it came about.
    async fn entry(
        &self,
        route: &Result<Route, CallError>,
        item: &Result<Item, NotARequest>,
        deadline: Instant,
        budgets: Budgets,
        request_id: &str,
    ) -> (Option<Bytes>, Option<Reply>) {
        let (item, route) = match (item, route) {
            (Err(not), _) => {
                let error = CallError::Invalid(not.reason);
                self.relayer.metrics.call(None, error.row().reason);
                return (Some(error.body(&not.id, request_id)), None);
            }
            (Ok(item), Err(error)) => {
                self.relayer.metrics.call(None, error.row().reason);
                return (item.id.is_some().then(|| error.body(&item.id, request_id)), None);
            }
            (Ok(item), Ok(route)) => (item, route),
        };
        match self.relay(route, item, deadline, budgets, false).await {
            Ok(reply) => (item.id.is_some().then(|| reply.answer.clone()), Some(reply)),
            Err(error) => {
                self.log(&error, &route.service, request_id);
                (item.id.is_some().then(|| error.body(&item.id, request_id)), None)
            }
        }
    }

    /// Relays and counts, also a caller that goes away meanwhile.
    async fn relay(
        &self,
        route: &Route,
        item: &Item,
        deadline: Instant,
        budgets: Budgets,
        wants_receipt: bool,
    ) -> Result<Reply, CallError> {
        let begun = Instant::now();
        let mut tally = Tally {
            relayer: &self.relayer,
            service: &route.service,
            outcome: CLIENT_GONE,
        };
        self.relayer.metrics.in_flight.inc();
        let call = Call {
            request: relay::Call::json_rpc(route.path.clone(), item.body.clone()),
            expected: item.id.clone(),
            budgets,
            wants_receipt,
            deadline,
        };
        let reply = self
            .relayer
            .relay(JsonRpc, &route.service, &call)
            .await
            .map_err(CallError::from);
        tally.outcome = match &reply {
            Ok(_) => {
                self.relayer.metrics.answered(&route.service, begun.elapsed());
                "ok"
            }
            Err(error) => error.row().reason,
        };
        reply
    }

    fn log(&self, error: &CallError, service: &ServiceId, request_id: &str) {
        let reason = error.row().reason;
        let tries: Vec<String> = error
            .attempts()
            .iter()
            .map(|failed| format!("{}: {}", failed.supplier, failed.fault))
            .collect();
        match error.row().retry_after {
            Some(_) => info!(%service, request_id, reason, error = error.message(), ?tries, "call refused"),
            None => warn!(%service, request_id, reason, error = error.message(), ?tries, "call failed"),
        }
    }

    fn refuse(&self, service: Option<&ServiceId>, id: &Id, error: &CallError, request_id: &str) -> Response {
        self.relayer.metrics.call(service, error.row().reason);
        error_response(error, id, request_id)
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
