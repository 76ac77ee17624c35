//! Relay requests sent straight to the servicer, by every transport that takes them.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;
use portico_net::tls::ClientTls;
use portico_net::websocket::Kind;
use portico_protocol::wire::pocket::service::RelayResponse;
use portico_protocol::{ServiceId, http_payload};
use portico_relay::{grpc, stream};
use prost::Message as _;
use serde_json::Value;

use super::Transport;
use super::client::Socket;
use super::ground::Ground;
use super::node::framed;
use crate::Forgery;
use crate::process::PATIENCE;

/// Sends it; how the servicer refuses it. What is to be a replay is sent twice.
pub(super) async fn send(
    ground: &Ground,
    service: &ServiceId,
    transport: Transport,
    forgery: Forgery,
) -> Result<String> {
    let signing = ground.signing(service).await?;
    let request = signing
        .request(payload(ground, transport), forgery)?
        .encode_to_vec();
    if forgery != Forgery::Replay {
        return sent(ground, service, transport, request).await;
    }
    let first = sent(ground, service, transport, request.clone()).await?;
    ensure!(first == "served", "the request itself is not served: {first}");
    let again = sent(ground, service, transport, request).await?;
    Ok(format!("{first}; then {again}"))
}

/// What a gateway would relay.
fn payload(ground: &Ground, transport: Transport) -> Bytes {
    let call = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#);
    let (method, path, content_type, body) = match transport {
        Transport::WebSocket => return call,
        Transport::Sse => ("GET", "/events", "text/plain", Bytes::new()),
        Transport::Grpc => ("POST", "/demo.Demo/Echo", "application/grpc", framed(b"ping")),
        _ => ("POST", "/", "application/json", call),
    };
    let url = format!("{}{path}", ground.servicer_url());
    http_payload::encode_http_request(method, &url, [("Content-Type", content_type)], body)
}

async fn sent(
    ground: &Ground,
    service: &ServiceId,
    transport: Transport,
    request: Vec<u8>,
) -> Result<String> {
    let url = ground.servicer_url();
    match transport {
        Transport::WebSocket => {
            let mut headers = HeaderMap::new();
            headers.insert("target-service-id", HeaderValue::try_from(service.as_str())?);
            let socket = Socket::connect(&url, headers).await?;
            let mut socket = match socket {
                Ok(socket) => socket,
                Err(refused) => return Ok(refused),
            };
            socket.send(Kind::Binary, request.into()).await;
            let seen = match socket.message(PATIENCE).await? {
                Ok(bytes) => served(&bytes)?,
                Err(end) => return Ok(end),
            };
            socket.close().await;
            Ok(seen)
        }
        Transport::Grpc => {
            let client = ClientTls::public()
                .http_client()
                .http2_prior_knowledge()
                .build()?;
            let post = client.post(format!("{url}{}", grpc::SEND_RELAY));
            let post = post
                .header("content-type", "application/grpc")
                .header("te", "trailers");
            let response = http::Response::<reqwest::Body>::from(post.body(framed(&request)).send().await?);
            let (head, body) = response.into_parts();
            let body = body.collect().await?;
            let status = body.trailers().unwrap_or(&head.headers).get(grpc::STATUS);
            if status.is_some_and(|status| status == "0") {
                let message = body.to_bytes();
                return served(message.get(grpc::PREFIX..).context("a message has a prefix")?);
            }
            let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
            let message = text(grpc::MESSAGE).unwrap_or_default().split(':').next();
            Ok(format!(
                "status {} {}",
                text(grpc::STATUS).unwrap_or("missing"),
                message.unwrap_or_default()
            ))
        }
        _ => {
            let rpc_type = if transport == Transport::Sse { "4" } else { "3" };
            let post = ClientTls::public_http().post(url);
            let post = post
                .header("content-type", "application/json")
                .header("rpc-type", rpc_type);
            let response = post
                .header(stream::HEADER, stream::VERSION)
                .body(request)
                .send()
                .await?;
            let (status, is_stream) = (response.status(), response.headers().contains_key(stream::HEADER));
            let body = response.bytes().await?;
            if status.is_success() {
                return match is_stream {
                    true => Ok("served".to_owned()),
                    false => served(&body),
                };
            }
            let refusal: Value = serde_json::from_slice(&body).context("a refusal is JSON")?;
            let text = refusal["error"].as_str().context("a refusal has an error")?;
            let text = text.split(':').next().unwrap_or_default();
            Ok(format!("{} {text}", status.as_u16()))
        }
    }
}

/// A whole answer has the hash of its payload.
fn served(response: &[u8]) -> Result<String> {
    let response = RelayResponse::decode(response)?;
    ensure!(
        !response.payload_hash.is_empty(),
        "no relay response: {response:?}"
    );
    Ok("served".to_owned())
}
