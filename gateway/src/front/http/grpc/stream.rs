//! Answers of many messages: each part verified before it goes on, the node's trailers at the end. What is cut off ends with a status that says so;
//! within a message of gRPC-Web, whose trailers stand in the body, the connection breaks instead.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream::unfold;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::StreamBody;
use portico_relay::grpc::{self, Wire};
use tokio::time::{Instant, sleep_until};

use super::super::response::streamed_response;
use super::super::services::Service;
use super::super::state::Front;
use super::super::stream::{CutOff, Streaming};
use super::turns::Place;
use super::{outcome, passed_on, status};
use crate::core::attempt::Reply;
use crate::core::error::RelayError;
use crate::front::error::CallError;

/// A call whose answer is under way.
struct Answering {
    /// `None` when the trailers were sent.
    streaming: Option<Streaming>,
    service: Arc<Service>,
    wire: Wire,
    /// When its caller gives up, if it says so.
    ends: Option<Instant>,
    /// How the call went, where the node's trailers do not say it: what stands in its head.
    otherwise: HeaderMap,
    /// Where in the messages that were passed on.
    place: Place,
}

impl Front {
    /// The answer of many messages, until its caller's time is over.
    pub(super) fn messages(
        self: &Arc<Self>,
        wire: Wire,
        (mut reply, mut headers): (Reply, HeaderMap),
        service: Arc<Service>,
        ends: Option<Instant>,
    ) -> Result<Response, CallError> {
        let streaming = self.streaming(&mut reply).ok_or(RelayError::Overloaded)?;
        let answering = Answering {
            streaming: Some(streaming),
            service,
            wire,
            ends,
            otherwise: outcome(&mut headers, reply.backend_status),
            place: Place::default(),
        };
        let frames = unfold(answering, |mut answering| async move {
            let frame = answering.next().await?;
            Some((frame, answering))
        });
        let ok = http::StatusCode::OK;
        let mut response = streamed_response(ok, headers, reply, Body::new(StreamBody::new(frames)));
        let content_type = HeaderValue::from_static(wire.content_type());
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        Ok(response)
    }
}

impl Answering {
    /// The next bytes, or the trailers behind the last ones.
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, CutOff>> {
        let streaming = self.streaming.as_mut()?;
        let ends = self.ends;
        let late = async {
            match ends {
                Some(ends) => sleep_until(ends).await,
                None => std::future::pending().await,
            }
        };
        let trailers = tokio::select! {
            next = streaming.next() => match next {
                Ok(Some(bytes)) => {
                    self.place.pass(&bytes);
                    return Some(Ok(self.data(bytes)));
                }
                Ok(None) => {
                    let said = passed_on(&self.service, streaming.trailers());
                    match said.contains_key(grpc::STATUS) {
                        true => said,
                        false => std::mem::take(&mut self.otherwise),
                    }
                }
                Err(why) => status(grpc::UNAVAILABLE, &why),
            },
            () = late => {
                streaming.ended("deadline");
                status(grpc::DEADLINE_EXCEEDED, "time was up")
            }
        };
        self.streaming = None;
        Some(match self.wire {
            Wire::Native => Ok(Frame::trailers(trailers)),
            Wire::Web | Wire::WebText if self.place.is_in_message() => Err(CutOff),
            Wire::Web | Wire::WebText => {
                let fields = trailers.iter();
                let fields = fields.map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
                Ok(self.data(grpc::web_trailers(fields)))
            }
        })
    }

    fn data(&self, bytes: Bytes) -> Frame<Bytes> {
        Frame::data(match self.wire {
            Wire::Native | Wire::Web => bytes,
            Wire::WebText => STANDARD.encode(bytes).into(), // pieces may each be padded
        })
    }
}
