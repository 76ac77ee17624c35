//! An event stream of the gateway's.

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::RequestBuilder;

/// Media type of what is asked for.
const EVENTS: &str = "text/event-stream";
/// Largest event that is held until its end has come, in bytes.
const MAX_EVENT_BYTES: usize = 64 << 20;

/// Asks for the events at a path.
pub(super) fn get(url: &str) -> Result<RequestBuilder> {
    Ok(crate::http::patient_client()?.get(url))
}

/// Asks for the events that answer a JSON-RPC call.
pub(super) fn post(url: &str, body: Bytes) -> Result<RequestBuilder> {
    let request = crate::http::patient_client()?.post(url);
    Ok(request.header(CONTENT_TYPE, "application/json").body(body))
}

/// Prints the first event, and all others if they are wanted. An answer that is no stream is printed as it is.
pub(super) async fn call(request: RequestBuilder, follow: bool) -> Result<()> {
    let (client, request) = request.header(ACCEPT, EVENTS).build_split();
    let request = request.context("the call makes no request")?;
    let url = request.url().clone();
    let response = client.execute(request).await;
    let mut response = response.map_err(|error| super::no_gateway(error, url.as_str()))?;
    let status = response.status();
    if !status.is_success() {
        let answer = response.text().await.unwrap_or_default();
        bail!("the gateway answered HTTP {status}: {answer}");
    }
    let mut events = Events::default();
    let printed = async {
        while let Some(chunk) = response.chunk().await.context("the stream was cut off")? {
            events.push(&chunk)?;
            while let Some(event) = events.next() {
                print!("{}", String::from_utf8_lossy(&event));
                if !follow {
                    return Ok(());
                }
            }
        }
        println!("{}", String::from_utf8_lossy(&events.0));
        Ok(())
    };
    tokio::select! {
        printed = printed => printed,
        _ = tokio::signal::ctrl_c(), if follow => Ok(()),
    }
}

/// Bytes that become events: each ends with an empty line.
#[derive(Debug, Default)]
struct Events(BytesMut);

impl Events {
    fn push(&mut self, chunk: &[u8]) -> Result<()> {
        if self.0.len().saturating_add(chunk.len()) > MAX_EVENT_BYTES {
            bail!("an event is larger than {MAX_EVENT_BYTES} bytes");
        }
        self.0.extend_from_slice(chunk);
        Ok(())
    }

    /// The next event with the empty line behind it.
    fn next(&mut self) -> Option<BytesMut> {
        let ends = ["\n\n", "\r\n\r\n"].into_iter().filter_map(|end| {
            let at = self
                .0
                .windows(end.len())
                .position(|window| window == end.as_bytes())?;
            Some(at.saturating_add(end.len()))
        });
        Some(self.0.split_to(ends.min()?))
    }
}

#[cfg(test)]
mod tests {
    use super::Events;

    #[test]
    fn events_end_with_an_empty_line() {
        let mut events = Events::default();
        events.push(b"data: 1\n").unwrap();
        assert_eq!(events.next(), None);
        events.push(b"\ndata: 2\r\n\r\ndata: 3").unwrap();
        assert_eq!(events.next().unwrap(), &b"data: 1\n\n"[..]);
        assert_eq!(events.next().unwrap(), &b"data: 2\r\n\r\n"[..]);
        assert_eq!(events.next(), None);
    }
}
