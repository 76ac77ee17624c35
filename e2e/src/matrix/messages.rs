//! A stream of messages over gRPC, as its caller reads it.

use anyhow::{Result, ensure};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use portico_relay::grpc;

use super::node::{EVENTS_BEFORE, REPLY, framed};

/// A call whose answer is under way.
#[derive(Debug)]
pub(super) struct Messages {
    body: reqwest::Body,
    got: Vec<u8>,
    /// Head, and trailers once they have come: either has the status.
    fields: HeaderMap,
}

impl Messages {
    pub(super) fn new(response: http::Response<reqwest::Body>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            body,
            got: Vec::new(),
            fields: head.headers,
        }
    }

    /// Reads until a held stream waits.
    pub(super) async fn held(&mut self) -> Result<()> {
        while grpc::count(&self.got) != Some(EVENTS_BEFORE) {
            ensure!(self.read().await?, "the stream ended before it was held");
        }
        Ok(())
    }

    /// Reads the rest.
    pub(super) async fn rest(mut self) -> Result<String> {
        while self.read().await? {}
        let status = self.fields.get(grpc::STATUS);
        let status = status.map_or("none", |status| status.to_str().unwrap_or_default());
        let reply = framed(REPLY);
        let count = self.got.len() / reply.len();
        Ok(match &self.got {
            got if got.is_empty() => format!("status {status}"),
            got if *got == reply.repeat(count) => format!("{count} messages, status {status}"),
            _ => format!("large messages, status {status}"), // how many pass below the bound is the pieces' affair
        })
    }

    /// Reads on; nothing is left otherwise.
    async fn read(&mut self) -> Result<bool> {
        let Some(frame) = self.body.frame().await.transpose()? else {
            return Ok(false);
        };
        match frame.into_data() {
            Ok(data) => self.got.extend(data),
            Err(frame) => self.fields.extend(frame.into_trailers().unwrap_or_default()),
        }
        Ok(true)
    }
}
