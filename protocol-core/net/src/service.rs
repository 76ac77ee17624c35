//! From hyper to a role's router and back: what every request has to hold, and what every answer has to be.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use tower::ServiceExt as _;

use crate::activity::Activity;
use crate::answer::{Answer, InProgress, Unread};
use crate::body::{BodyFault, Budget, RequestBody, Upload};
use crate::limits::Limits;
use crate::linger::Pace;
use crate::metrics::Counts;

/// Body of an error that the listener answers by itself, from its status and a sentence; JSON.
pub type ErrorBody = fn(StatusCode, &str) -> String;

/// Address of the client, an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// An extension of an answer whose body is somebody else's: an empty one stays empty, also of an error.
#[derive(Clone, Copy, Debug)]
pub struct AsIs;

/// Longest rest of a body that is read so that the connection can be kept after an early answer, and the time for it.
const SHORT_REST: u64 = 64 << 10;
const SHORT_REST_TIMEOUT: Duration = Duration::from_secs(1);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const ONE_SECOND: HeaderValue = HeaderValue::from_static("1");

/// `{"error": "…"}`
pub(crate) fn json_error(_: StatusCode, reason: &str) -> String {
    serde_json::json!({ "error": reason }).to_string()
}

/// What all connections of a listener share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) router: Router,
    pub(crate) limits: Limits,
    pub(crate) budget: Arc<Budget>,
    pub(crate) discards: Pace,
    pub(crate) errors: ErrorBody,
    pub(crate) raw_uris: bool,
    pub(crate) counts: Counts,
}

/// The service of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) shared: Arc<Shared>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) peer: SocketAddr,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let http2 = request.version() == Version::HTTP_2;
        // Not in the future: from here on the connection is not idle, whenever the future is polled first.
        let in_progress = InProgress::new(&self.activity, http2);
        Box::pin(self.clone().answer(request, in_progress, http2))
    }
}

impl Service {
    async fn answer(
        self,
        request: Request<Incoming>,
        mut in_progress: InProgress,
        http2: bool,
    ) -> Result<Response<Answer>, Infallible> {
        let Self {
            shared,
            activity,
            peer,
        } = self;
        let (mut head, body) = request.into_parts();
        head.extensions.insert(PeerAddr(peer));
        let upload = Upload::new(&shared.budget, body.is_end_stream());
        let expected = Expected::of(&head.headers);
        let is_head = head.method == Method::HEAD;
        let valid = has_host(head.version, &head.headers);
        let body = RequestBody::new(body, Arc::clone(&upload), shared.limits.body);
        let mut response = if valid {
            let routed = shared
                .router
                .clone()
                .oneshot(Request::from_parts(head, Body::new(body)));
            routed.await.unwrap_or_else(|never| match never {})
        } else {
            drop(body);
            shared.without_host()
        };
        if let Some(fault) = upload.fault().filter(|_| !response.status().is_success()) {
            shared.explain(&mut response, fault);
        }
        upload.release();
        in_progress.answered();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            activity.upgrades();
        }
        shared.fill(&mut response, is_head);
        let unread = match upload.has_ended() {
            true => None,
            false => upload.take_rest(),
        };
        let unread = match unread {
            Some(rest) if http2 => Some(Unread::new(rest, &shared.limits)),
            Some(rest) => {
                if !expected.discards(&upload, rest).await {
                    response.headers_mut().insert(CONNECTION, CLOSE);
                    activity.leaves_unread();
                }
                None
            }
            None => None,
        };
        Ok(response.map(|body| Answer::new(body, in_progress, http2, unread)))
    }
}

impl Shared {
    /// Makes `response` an error; headers that the role has set stay.
    fn refuse(&self, response: &mut Response<Body>, status: StatusCode, reason: &str) {
        *response.status_mut() = status;
        *response.body_mut() = Body::from((self.errors)(status, reason));
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().insert(CONTENT_TYPE, JSON);
    }

    fn without_host(&self) -> Response<Body> {
        self.counts.refused("host");
        let mut response = Response::new(Body::empty());
        self.refuse(
            &mut response,
            StatusCode::BAD_REQUEST,
            "HTTP/1.1 requests need one Host header",
        );
        response
    }

    /// Tells why a body was not read, for reasons that only the listener knows.
    fn explain(&self, response: &mut Response<Body>, fault: BodyFault) {
        match fault {
            BodyFault::Full => {
                self.counts.refused("bytes_in_flight");
                let reason = "too many bytes of requests are held; try again";
                self.refuse(response, StatusCode::SERVICE_UNAVAILABLE, reason);
                response.headers_mut().insert(RETRY_AFTER, ONE_SECOND);
            }
            BodyFault::Stalled => {
                self.counts.refused("body");
                let reason = "the request's body did not arrive in time";
                self.refuse(response, StatusCode::REQUEST_TIMEOUT, reason);
            }
        }
    }

    /// Gives an error without a body one.
    fn fill(&self, response: &mut Response<Body>, is_head: bool) {
        let status = response.status();
        let empty = response.body().size_hint().exact() == Some(0);
        let as_is = response.extensions().get::<AsIs>().is_some();
        if is_head || as_is || !empty || !(status.is_client_error() || status.is_server_error()) {
            return;
        }
        let reason = status.canonical_reason().unwrap_or("error");
        self.refuse(response, status, &reason.to_ascii_lowercase());
    }
}

/// What the head of a request says about its body.
#[derive(Clone, Copy, Debug)]
struct Expected {
    length: Option<u64>,
    /// Whether the client waits for `100 Continue` before it sends.
    waits: bool,
}

impl Expected {
    fn of(headers: &HeaderMap) -> Self {
        let length = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            length,
            waits: headers.contains_key(EXPECT),
        }
    }

    /// Reads what is left of a short body, so that the connection can be kept; whether that succeeded.
    async fn discards(self, upload: &Upload, mut rest: Incoming) -> bool {
        let short = self.length.is_some_and(|length| length <= SHORT_REST);
        if !short || (self.waits && !upload.was_asked_for()) {
            return false;
        }
        let end = async {
            while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut rest).poll_frame(cx)).await {
                if frame.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(SHORT_REST_TIMEOUT, end)
            .await
            .unwrap_or(false)
    }
}

/// Whether the host is named as RFC 9112 §3.2 wants it.
fn has_host(version: Version, headers: &HeaderMap) -> bool {
    let count = headers.get_all(HOST).iter().count();
    match version {
        Version::HTTP_11 => count == 1,
        _ => count <= 1,
    }
}
