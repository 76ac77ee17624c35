//! gRPC and gRPC-Web: the messages of a call in, one answer or a stream of them out, relayed as the HTTP request that it is. The node's trailers come
//! back among the headers of its answer, or at the end of its stream, and are trailers again for the caller.

mod stream;
mod turns;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use http_body::Frame;
use portico_protocol::wire::sdk::types::Header;
use portico_relay as relay;
use portico_relay::RpcType;
use portico_relay::grpc::{self, Wire};
use tokio::time::Instant;

use self::turns::Messages;
use super::asked::{Asked, Context};
use super::response::answered_response;
use super::services::Service;
use super::state::Front;
use crate::codec::http::{Expected, Http, request_headers};
use crate::core::attempt::Reply;
use crate::core::call::Call;
use crate::front::error::CallError;

/// What is not relayed: a relay is signed over all that its caller says.
const TAKES_TURNS: &str = "a call whose caller waits for an answer before it has said everything";
/// The same of other programs' suppliers.
const OTHER_SUPPLIER: &str = "a stream of requests to a supplier of another program";
/// What is said by trailers.
const TRAILERS: [&str; 3] = [grpc::STATUS, grpc::MESSAGE, grpc::DETAILS];

/// The wire of a call, if it is one of gRPC.
pub(super) fn wire(headers: &HeaderMap) -> Option<Wire> {
    Wire::of(headers.get(CONTENT_TYPE)?.as_bytes())
}

impl Front {
    /// Relays a call of gRPC.
    pub(super) async fn grpc(
        self: &Arc<Self>,
        wire: Wire,
        (head, body): (&Parts, Body),
        context: Context<'_>,
    ) -> Response {
        if wire == Wire::Native && head.version != Version::HTTP_2 {
            let error = CallError::Http(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "gRPC requires HTTP/2; gRPC-Web does not".to_owned(),
            );
            return self.refuse_plain(&error, context.request_id);
        }
        match self.relayed(wire, head, body, context).await {
            Ok(response) => response,
            Err(error) => {
                let mut response = failed(wire, error.grpc_status(), &error.message());
                super::response::tried_response(&mut response, error.attempts());
                response
            }
        }
    }

    async fn relayed(
        self: &Arc<Self>,
        wire: Wire,
        head: &Parts,
        body: Body,
        context: Context<'_>,
    ) -> Result<Response, CallError> {
        let refused = |error: CallError| {
            self.relayer.metrics.call(None, error.row().reason);
            error
        };
        let ends = ends(&head.headers);
        let deadline = ends.map_or(context.deadline, |ends| ends.min(context.deadline));
        let (messages, waits) = Messages::new(body);
        let body = match wire {
            Wire::Native | Wire::Web => Body::new(messages),
            Wire::WebText => messages.into_body(), // base64, and browsers do not take turns
        };
        let read = self.read_body(&head.headers, body, deadline).await;
        let body = read.map_err(|error| match waits.get() {
            true => refused(CallError::RpcType(TAKES_TURNS.to_owned())),
            false => refused(error),
        })?;
        let asked = self.asked(head).map_err(refused)?;
        let Asked {
            service,
            path,
            choice,
            ..
        } = asked;
        let offered = service.offered.as_deref();
        if offered.is_some_and(|offered| !offered.contains(&RpcType::Grpc)) {
            return Err(refused(CallError::RpcType(RpcType::Grpc.to_string())));
        }
        if head.method != Method::POST {
            return Err(refused(CallError::Method(head.method.clone())));
        }
        let body = match wire {
            Wire::Native | Wire::Web => body,
            Wire::WebText => {
                let decoded = STANDARD.decode(&body).map(Bytes::from);
                decoded.map_err(|_| refused(CallError::NotAsEncoded))?
            }
        };
        let Some(messages) = grpc::count(&body) else {
            return Err(refused(CallError::Invalid("the body is no message of gRPC")));
        };
        let mut headers = request_headers(&head.headers, &service.passed);
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        headers.push((Cow::Borrowed("Content-Type"), Cow::Borrowed("application/grpc")));
        let call = Call {
            request: relay::Call {
                rpc_type: RpcType::Grpc,
                method: Cow::Borrowed("POST"),
                path,
                headers: headers.into(),
                body,
            },
            // Nothing says of a method whether it may be repeated.
            expected: Expected { is_idempotent: false },
            budgets: self.relayer.budgets(context.client),
            wants_receipt: false,
            takes_stream: true,
            choice,
            origin: Arc::clone(context.origin),
            deadline,
        };
        let reply = self.relay(Http, &service.id, &call).await;
        let reply = reply.inspect_err(|error| self.log(error, &service.id, context.request_id))?;
        let headers = passed_on(&service, &reply.headers);
        if reply.stream.is_some() {
            let id = service.id.clone();
            let answer = self.messages(wire, (reply, headers), service, ends);
            return answer.inspect_err(|error| self.log(error, &id, context.request_id));
        }
        // A supplier of ours answers such a call by a stream; what another one made of it nobody knows.
        if messages != 1 && headers.contains_key(grpc::STATUS) {
            return Err(CallError::RpcType(OTHER_SUPPLIER.to_owned()));
        }
        Ok(answered(wire, reply, headers))
    }
}

/// What a caller gets of a node's headers or trailers: what is passed on, and how the call went.
fn passed_on(service: &Service, given: &BTreeMap<String, Header>) -> HeaderMap {
    let mut headers = service.passed.response_headers(given);
    for name in TRAILERS {
        let found = given.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let value = found.and_then(|(_, header)| HeaderValue::try_from(header.values.first()?).ok());
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// When a call's caller gives up, if it says so.
fn ends(headers: &HeaderMap) -> Option<Instant> {
    let given = headers.get(grpc::TIMEOUT)?;
    Some(Instant::now() + grpc::timeout(given.to_str().ok()?)?)
}

/// The node's answer: what it says by trailers is said by trailers.
fn answered(wire: Wire, mut reply: Reply, mut headers: HeaderMap) -> Response {
    if !headers.contains_key(grpc::STATUS) {
        reply.answer = Bytes::new();
        headers.clear();
    }
    let trailers = outcome(&mut headers, reply.backend_status);
    let body = super::response::answer_body(&mut reply);
    let mut response = said(wire, body, trailers);
    headers.remove(CONTENT_TYPE);
    response.headers_mut().extend(headers);
    answered_response(&mut response, reply);
    response
}

/// Takes what a node's headers say of how the call went; of headers that say nothing, what their status of HTTP means.
fn outcome(headers: &mut HeaderMap, http: u32) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for name in TRAILERS {
        if let Some(value) = headers.remove(name) {
            trailers.insert(HeaderName::from_static(name), value);
        }
    }
    if trailers.contains_key(grpc::STATUS) {
        return trailers;
    }
    let http = u16::try_from(http).unwrap_or(0);
    let text = match http {
        200 => "the node ended its answer without a status".to_owned(),
        _ => format!("the node answered with HTTP status {http}"),
    };
    status(grpc::of_node(http), &text)
}

/// An error. Its status is in trailers, although nothing stands before them: of a request that was not read to its end, the answer ends when the
/// rest was discarded, and a status in a head that does not end the answer is none to gRPC's clients.
fn failed(wire: Wire, code: u8, text: &str) -> Response {
    let trailers = status(code, text);
    match wire {
        Wire::Native => typed(
            wire,
            Body::new(Trailed {
                body: None,
                trailers: Some(trailers),
            }),
        ),
        Wire::Web | Wire::WebText => said(wire, Bytes::new(), trailers),
    }
}

/// An answer of gRPC; one without a message has its status in the head.
fn said(wire: Wire, body: Bytes, trailers: HeaderMap) -> Response {
    match wire {
        Wire::Native if body.is_empty() => {
            let mut response = typed(wire, Body::empty());
            response.headers_mut().extend(trailers);
            response
        }
        Wire::Native => typed(
            wire,
            Body::new(Trailed {
                body: Some(body),
                trailers: Some(trailers),
            }),
        ),
        Wire::Web | Wire::WebText => {
            let fields = trailers.iter();
            let fields = fields.map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
            let parts = [body, grpc::web_trailers(fields)];
            let body = match wire {
                Wire::WebText => Body::from(STANDARD.encode(parts.concat())),
                _ => Body::new(portico_net::Parts::new(parts.into())),
            };
            typed(wire, body)
        }
    }
}

fn typed(wire: Wire, body: Body) -> Response {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static(wire.content_type());
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn status(code: u8, text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static(grpc::STATUS),
        HeaderValue::from(u16::from(code)),
    );
    if let Ok(text) = HeaderValue::try_from(grpc::message(text)) {
        headers.insert(HeaderName::from_static(grpc::MESSAGE), text);
    }
    headers
}

/// A body with trailers behind it.
struct Trailed {
    body: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for Trailed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let data = self.body.take().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none() && self.trailers.is_none()
    }
}
