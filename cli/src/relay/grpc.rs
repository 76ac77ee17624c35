//! A unary call by gRPC.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portico_net::dial_grpc;
use portico_net::tls::ClientTls;
use portico_protocol::ServiceId;
use portico_relay::grpc::{self, STATUS};

use super::{VERIFIED, told};
use crate::view::View;

/// Largest answer that is taken, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The message that hex stands for, with or without `0x`.
pub(super) fn message(hex: &str) -> Result<Bytes> {
    let digits = hex.strip_prefix("0x").unwrap_or(hex);
    let message = hex::decode(digits).context("the message of a gRPC call is its serialized form, as hex")?;
    Ok(message.into())
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    headers: HeaderMap,
    messages: Vec<Bytes>,
}

/// Calls `method` of `service` with this message; errs when its status is not 0.
pub(super) async fn call(gateway: &str, service: &ServiceId, method: &str, message: Bytes) -> Result<Answer> {
    ensure!(
        method.starts_with('/') && method.matches('/').count() == 2,
        "a method of gRPC is written /package.Service/Method"
    );
    let uri: Uri = format!("{gateway}{method}")
        .parse()
        .with_context(|| format!("{gateway}{method} is no URL"))?;
    let no_gateway = || {
        format!(
            "no gateway answers by gRPC at {gateway}; start one with `portico localnet`, or name another with --gateway"
        )
    };
    let stream = dial_grpc(&uri, &ClientTls::public()).await;
    let stream = stream.with_context(no_gateway)?;
    let opened = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.with_context(no_gateway)?;
    let body = [&grpc::prefix(message.len())[..], &message].concat();
    let request = Request::post(uri)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header("target-service-id", service.as_str())
        .body(Full::new(Bytes::from(body)))?;
    let answer = async {
        let response = sender.send_request(request).await.with_context(no_gateway)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the gateway's answer broke off: {error}"))?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        answered(head.headers, &trailers, body.to_bytes())
    };
    let driven = async {
        _ = connection.await; // how it ends, the call is told
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        answer = answer => answer,
        never = driven => match never {},
    }
}

fn answered(headers: HeaderMap, trailers: &HeaderMap, body: Bytes) -> Result<Answer> {
    let said = |name| {
        let value = trailers.get(name).or_else(|| headers.get(name));
        value.and_then(|value| value.to_str().ok())
    };
    match said(STATUS) {
        Some("0") => {}
        Some(status) => bail!(
            "gRPC status {status}: {}",
            said(grpc::MESSAGE).unwrap_or_default()
        ),
        None => bail!("the answer is none of gRPC: it has no status"),
    }
    let messages = grpc::messages(&body).context("the answer is no sequence of messages")?;
    Ok(Answer { headers, messages })
}

/// The answer for people: each message as hex, which `protoc --decode_raw` reads when it is bytes again.
pub(super) fn view(answer: &Answer) -> View {
    let messages: Vec<String> = answer.messages.iter().map(hex::encode).collect();
    let mut fields = vec![("answer", View::from(messages.join("\n")))];
    fields.extend(told(&answer.headers));
    fields.push(("verified", VERIFIED.into()));
    View::Fields(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_written_as_hex() {
        assert_eq!(message("0x0801").unwrap(), &b"\x08\x01"[..]);
        assert_eq!(message("").unwrap(), Bytes::new());
        assert!(message("{}").unwrap_err().to_string().contains("hex"));
    }

    #[test]
    fn an_answer_counts_by_its_status() {
        let fields = |status: &'static str| {
            HeaderMap::from_iter([(http::HeaderName::from_static(STATUS), status.parse().unwrap())])
        };
        let body = || Bytes::from_static(b"\0\0\0\0\x01a\0\0\0\0\0");
        let answer = answered(HeaderMap::new(), &fields("0"), body()).unwrap();
        assert_eq!(answer.messages, [&b"a"[..], b""]);
        assert!(
            answered(fields("12"), &HeaderMap::new(), Bytes::new())
                .unwrap_err()
                .to_string()
                .contains("12")
        );
        assert!(answered(HeaderMap::new(), &HeaderMap::new(), body()).is_err());
    }
}
