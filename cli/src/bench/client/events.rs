//! Event streams: one call has many chunks, and a connection of its own.

use ::http::{Request, header};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use portico_net::dial_websocket;
use tokio::time::Instant;

use super::{Client, Run, Seen};

/// Calls one after the other.
pub(super) async fn calls(client: &Client, run: &Run) -> Result<Seen> {
    let mut seen = Seen::default();
    while run.another() {
        let stream = dial_websocket(&client.url, &client.tls).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let driven = async {
            _ = connection.await; // how it ends, the call is told
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            called = call(client, &mut sender, &mut seen) => called?,
            never = driven => match never {},
        }
    }
    Ok(seen)
}

async fn call(client: &Client, sender: &mut SendRequest<Empty<Bytes>>, seen: &mut Seen) -> Result<()> {
    let turn = client.workload.turns.begin();
    let wanted = usize::from(client.workload.per_call);
    let target = format!(
        "{}/events?events={wanted}&turn={}",
        client.url.path(),
        turn.number
    );
    let request = Request::get(target)
        .header(header::HOST, client.host())
        .header(header::ACCEPT, "text/event-stream")
        .body(Empty::new())?;
    let mut begun = Instant::now();
    let response = sender
        .send_request(request)
        .await
        .context("a call was not answered")?;
    let (status, mut body) = (response.status(), response.into_body());
    ensure!(status.is_success(), "a call was answered with HTTP {status}");
    let (mut events, mut event) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.context("a stream was cut off")?.into_data() else {
            continue;
        };
        event.extend_from_slice(&data);
        if event.ends_with(b"\n\n") {
            events += 1;
            seen.came(begun, event.len());
            event.clear();
            begun = Instant::now();
            turn.next();
        }
    }
    ensure!(
        events == wanted,
        "a stream of {wanted} events ended after {events}"
    );
    Ok(())
}
