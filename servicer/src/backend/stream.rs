//! An answer that a node gives piece by piece.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::BodyExt as _;
use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use portico_relay::stream::MAX_DATA;

use super::BackendError;
use super::grpc::Begun;
use super::headers::{Allowed, relayed_headers};
use super::pool::Asked;

/// An answer of which the head has arrived. Dropped, it ends the connection to the node.
#[derive(Debug)]
pub(crate) struct BackendStream {
    /// Until it is known what to hold against the node, or for it.
    asked: Option<Asked>,
    status: u16,
    headers: BTreeMap<String, Header>,
    body: reqwest::Body,
    /// Behind the body.
    trailers: HeaderMap,
    /// Which headers and trailers are passed on.
    returned: Allowed,
    /// Bytes that came and were not told yet.
    rest: Bytes,
    /// How the connection ended, until it is told.
    ended: Option<Result<(), reqwest::Error>>,
}

impl BackendStream {
    pub(super) fn new(asked: Asked, begun: Begun, returned: &Allowed) -> Self {
        Self {
            asked: Some(asked),
            status: begun.head.status.as_u16(),
            headers: relayed_headers(&begun.head.headers, None, returned),
            body: begun.body,
            trailers: HeaderMap::new(),
            returned: returned.clone(),
            rest: begun.bytes,
            ended: None,
        }
    }

    /// What the node said behind its body, once it has said everything.
    pub(crate) fn trailers(&self) -> BTreeMap<String, Header> {
        relayed_headers(&self.trailers, None, &self.returned)
    }

    /// HTTP status of the node.
    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    /// Status and headers that are passed on, without a body.
    pub(crate) fn head(&self) -> PokthttpResponse {
        PokthttpResponse {
            status_code: u32::from(self.status()),
            header: self.headers.clone(),
            body_bz: Bytes::new(),
        }
    }

    /// What the node says next, with all that is there already, up to [`MAX_DATA`]; `None` when it has said everything. May be dropped before
    /// it is ready.
    ///
    /// # Errors
    /// [`BackendError::Unreachable`] when the connection breaks.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BackendError> {
        while self.rest.is_empty() && self.ended.is_none() {
            let frame = self.body.frame().await;
            self.came(frame);
        }
        if self.rest.is_empty() {
            return self.end();
        }
        self.asked.take().into_iter().for_each(Asked::answered);
        self.gather().await;
        Ok(Some(self.rest.split_to(self.rest.len().min(MAX_DATA))))
    }

    /// Notes what the connection gave.
    fn came(&mut self, frame: Option<Result<Frame<Bytes>, reqwest::Error>>) {
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => self.rest = data,
            Some(Ok(Err(frame))) => self.trailers.extend(frame.into_trailers().unwrap_or_default()),
            None => self.ended = Some(Ok(())),
            Some(Err(error)) => self.ended = Some(Err(error)),
        }
    }

    fn end(&mut self) -> Result<Option<Bytes>, BackendError> {
        match self.ended.take() {
            Some(Err(error)) => {
                self.asked
                    .take()
                    .into_iter()
                    .for_each(|asked| asked.failed("broken_off"));
                Err(BackendError::unreachable(error))
            }
            Some(Ok(())) | None => {
                self.asked.take().into_iter().for_each(Asked::answered);
                Ok(None)
            }
        }
    }

    /// Adds the bytes that are there already, so that a node which writes little and often is not signed byte by byte.
    async fn gather(&mut self) {
        let mut gathered = BytesMut::new();
        while self.ended.is_none() && gathered.len().saturating_add(self.rest.len()) < MAX_DATA {
            let ready = {
                let mut frame = pin!(self.body.frame());
                poll_fn(|context| Poll::Ready(frame.as_mut().poll(context))).await
            };
            let Poll::Ready(frame) = ready else { break };
            if frame
                .as_ref()
                .is_some_and(|frame| frame.as_ref().is_ok_and(Frame::is_data))
            {
                gathered.extend_from_slice(&self.rest);
            }
            self.came(frame);
        }
        if !gathered.is_empty() {
            gathered.extend_from_slice(&self.rest);
            self.rest = gathered.freeze();
        }
    }
}
