//! An answer that a node gives piece by piece.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use portico_relay::stream::MAX_DATA;

use super::BackendError;
use super::headers::{Allowed, relayed_headers};
use super::pool::Asked;

/// An answer of which the head has arrived. Dropped, it ends the connection to the node.
#[derive(Debug)]
pub(crate) struct BackendStream {
    /// Until it is known what to hold against the node, or for it.
    asked: Option<Asked>,
    response: reqwest::Response,
    headers: BTreeMap<String, Header>,
    /// Bytes that came and were not told yet.
    rest: Bytes,
    /// How the connection ended, until it is told.
    ended: Option<Result<(), reqwest::Error>>,
}

impl BackendStream {
    pub(super) fn new(asked: Asked, response: reqwest::Response, returned: &Allowed) -> Self {
        Self {
            asked: Some(asked),
            headers: relayed_headers(response.headers(), None, returned),
            response,
            rest: Bytes::new(),
            ended: None,
        }
    }

    /// HTTP status of the node.
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
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
        if self.rest.is_empty() {
            if self.ended.is_none() {
                let chunk = self.response.chunk().await;
                self.came(chunk);
            }
            if self.rest.is_empty() {
                return self.end();
            }
            self.asked.take().into_iter().for_each(Asked::answered);
        }
        self.gather().await;
        Ok(Some(self.rest.split_to(self.rest.len().min(MAX_DATA))))
    }

    /// Notes what the connection gave.
    fn came(&mut self, chunk: Result<Option<Bytes>, reqwest::Error>) {
        match chunk {
            Ok(Some(chunk)) => self.rest = chunk,
            Ok(None) => self.ended = Some(Ok(())),
            Err(error) => self.ended = Some(Err(error)),
        }
    }

    fn end(&mut self) -> Result<Option<Bytes>, BackendError> {
        match self.ended.take() {
            Some(Err(error)) => {
                self.asked
                    .take()
                    .into_iter()
                    .for_each(|asked| asked.failed("broken_off"));
                Err(BackendError::Unreachable(error))
            }
            Some(Ok(())) => {
                self.asked.take().into_iter().for_each(Asked::answered);
                Ok(None)
            }
            None => Ok(Some(Bytes::new())), // an empty chunk, which no HTTP body has
        }
    }

    /// Adds the bytes that are there already, so that a node which writes little and often is not signed byte by byte.
    async fn gather(&mut self) {
        let mut gathered = BytesMut::new();
        while self.ended.is_none() && gathered.len().saturating_add(self.rest.len()) < MAX_DATA {
            let ready = {
                let mut chunk = pin!(self.response.chunk());
                poll_fn(|context| Poll::Ready(chunk.as_mut().poll(context))).await
            };
            let Poll::Ready(chunk) = ready else { break };
            if let Ok(Some(_)) = chunk {
                gathered.extend_from_slice(&self.rest);
            }
            self.came(chunk);
        }
        if !gathered.is_empty() {
            gathered.extend_from_slice(&self.rest);
            self.rest = gathered.freeze();
        }
    }
}
