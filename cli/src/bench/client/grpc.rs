//! Unary gRPC, on HTTP/2 connections with one call at a time.

use ::http::{HeaderMap, Request, Uri, header};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portico_net::dial_grpc;
use tokio::time::Instant;

use super::{Client, Run, Seen};
use crate::bench::SERVICE;
use crate::bench::backend::frame;

/// Size of a call's message, in bytes.
const CALL_BYTES: usize = 64;
/// What is called.
const METHOD: &str = "/bench.Bench/Call";

/// Calls over one connection.
pub(super) async fn calls(client: &Client, run: &Run) -> Result<Seen> {
    let stream = dial_grpc(&client.url, &client.tls).await?;
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let mut url = client.url.clone().into_parts();
    url.path_and_query = Some(METHOD.parse()?);
    let (url, message) = (Uri::from_parts(url)?, frame(CALL_BYTES));
    let calls = async {
        let mut seen = Seen::default();
        while run.another() {
            let begun = Instant::now();
            let bytes = call(&url, message.clone(), &mut sender).await?;
            seen.came(begun, bytes);
        }
        anyhow::Ok(seen)
    };
    tokio::select! {
        seen = calls => seen,
        closed = connection => anyhow::bail!("{} closed a connection: {closed:?}", client.url),
    }
}

/// Size of the answer's message.
async fn call(url: &Uri, message: Bytes, sender: &mut SendRequest<Full<Bytes>>) -> Result<usize> {
    let request = Request::post(url.clone())
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header("target-service-id", SERVICE)
        .body(Full::new(message))?;
    sender.ready().await?;
    let response = sender
        .send_request(request)
        .await
        .context("a call was not answered")?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = |headers: &HeaderMap| headers.get("grpc-status").cloned();
    let given = status(&head.headers).or_else(|| status(&trailers));
    ensure!(
        given.as_ref().is_some_and(|status| status == "0"),
        "a call was answered with HTTP {}, {:?}, {trailers:?}",
        head.status,
        head.headers
    );
    body.to_bytes()
        .len()
        .checked_sub(frame(0).len())
        .context("an answer has no message")
}
