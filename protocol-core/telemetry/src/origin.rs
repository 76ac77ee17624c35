//! Where a request comes from: its id, and its place in a trace.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::sampling;

/// Id of a request, of the caller's or of a gateway's.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Place of a request in a trace (W3C Trace Context).
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// Longest id that is kept, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// What a request says of itself across processes.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    request_id: Option<String>,
    parent: Option<SpanContext>,
}

impl Origin {
    /// What a request's headers say: an id that may stand in logs, and a `traceparent` that is well-formed; anything else is ignored.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        Self {
            request_id: id.filter(|id| is_sane(id)).map(str::to_owned),
            parent: headers
                .contains_key(TRACE_PARENT)
                .then(|| parent(headers))
                .flatten(),
        }
    }

    /// With an id of ours, if it came without.
    #[must_use]
    pub fn or_id(mut self, make: impl FnOnce() -> String) -> Self {
        self.request_id.get_or_insert_with(make);
        self
    }

    /// The id, for logs.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The span that `make` makes with [`root!`](crate::root), below the caller's if there is one; none when the relay is not traced.
    pub fn root(&self, make: impl FnOnce() -> Span) -> Span {
        if !sampling::takes(self.parent.as_ref()) {
            return Span::none();
        }
        let span = make();
        if let Some(parent) = &self.parent {
            // It fails where spans are not exported, and so have no parents.
            let _ = span.set_parent(Context::new().with_remote_span_context(parent.clone()));
        }
        span
    }

    /// The headers that tell another process: the id, and as the parent the current span, or the caller's where this process makes none.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let id = self.request_id.as_deref().map(HeaderValue::try_from);
        if let Some(Ok(id)) = id {
            headers.insert(REQUEST_ID, id);
        }
        let span = Span::current();
        let mut context = match span.is_none() {
            true => Context::new(),
            false => span.context(),
        };
        if !context.span().span_context().is_valid()
            && let Some(parent) = &self.parent
        {
            context = Context::new().with_remote_span_context(parent.clone());
        }
        TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(&mut headers));
        if headers.get("tracestate").is_some_and(HeaderValue::is_empty) {
            headers.remove("tracestate");
        }
        headers
    }
}

/// The caller's span.
fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let context =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
    let parent = context.span().span_context().clone();
    parent.is_valid().then_some(parent)
}

/// Whether a request id may stand in logs, headers and JSON as it is: UUIDs, ULIDs, trace ids.
fn is_sane(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        let given = given.iter();
        given
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn passes_on_what_it_was_given() {
        let given = headers(&[
            ("x-request-id", "one"),
            ("traceparent", PARENT),
            ("tracestate", "vendor=1"),
        ]);
        assert_eq!(Origin::of(&given).headers(), given);
    }

    #[test]
    fn passes_on_no_place_in_a_trace_where_it_has_none() {
        let told = Origin::default().or_id(|| "one".to_owned()).headers();
        assert_eq!(told, headers(&[("x-request-id", "one")]));
    }

    #[test]
    fn ignores_what_is_malformed() {
        for parent in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-zzf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            let origin = Origin::of(&headers(&[("traceparent", parent)]));
            assert!(origin.parent.is_none(), "{parent}");
        }
        for id in ["", "two words", "{}", &"x".repeat(MAX_REQUEST_ID + 1)] {
            let origin = Origin::of(&headers(&[("x-request-id", id)]));
            assert_eq!(origin.request_id(), None, "{id}");
        }
    }

    #[test]
    fn makes_no_span_in_a_process_that_exports_none() {
        let origin = Origin::of(&headers(&[("traceparent", PARENT)]));
        assert!(origin.root(|| panic!("is not asked for")).is_none());
    }
}
