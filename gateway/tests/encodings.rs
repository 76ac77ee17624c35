//! Compressed bodies: of callers, of backends and of what lies before a supplier, and answers compressed for callers who ask.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use support::{Manner, Net, call, config, net, net_with};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(body, 1).unwrap()
}

const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":"eth_blockNumber"}"#;

/// A JSON-RPC answer of about `size` bytes.
fn answer_of(size: usize) -> String {
    let result = "0123456789abcdef".repeat(size / 16);
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{result}"}}"#)
}

#[tokio::test]
async fn a_backend_that_compresses_unasked_is_understood() {
    for (encoding, body) in [
        ("gzip", gzip(ANSWER.as_bytes())),
        ("zstd", zstd(ANSWER.as_bytes())),
    ] {
        let net = net(vec![Manner::Encoded(encoding, body.into())]).await;
        let answer = net.post("/v1/eth", call("1")).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ANSWER), "{encoding}");
        assert_eq!(answer.header("content-encoding"), None);
    }
}

#[tokio::test]
async fn an_answer_may_be_large_once_it_is_decoded() {
    let large = answer_of(2 << 20);
    let net = net(vec![Manner::Encoded("gzip", gzip(large.as_bytes()).into())]).await;
    let answer = net.post("/v1/eth", call("1")).await;
    assert_eq!((answer.status, answer.text.len()), (200, large.len()));
}

#[tokio::test]
async fn a_bomb_in_a_payload_is_an_answer_that_is_too_large() {
    let mut config = config();
    config.max_response_bytes = 1 << 20;
    let bomb = Manner::Encoded("gzip", gzip(&vec![b' '; 4 << 20]).into());
    let net = net_with(config, vec![bomb]).await;
    let answer = net.post("/v1/eth", call("1")).await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (502, "response_too_large")
    );
}

#[tokio::test]
async fn what_a_proxy_before_a_supplier_compressed_is_undone() {
    let net = net(vec![Manner::OuterEncoded("gzip", gzip)]).await;
    let answer = net.post("/v1/eth", call("1")).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ANSWER));
    for manner in [
        Manner::OuterEncoded("gzip", <[u8]>::to_vec),
        Manner::OuterEncoded("compress", gzip),
    ] {
        let net = support::net(vec![manner]).await;
        let answer = net.post("/v1/eth", call("1")).await;
        let attempts = &answer.json()["error"]["data"]["attempts"];
        assert_eq!(attempts[0]["cause"], "undecodable");
    }
}

async fn posted(net: &Net, encoding: &str, body: Vec<u8>) -> support::Answer {
    net.post_with("/v1/eth", body, &[("content-encoding", encoding)])
        .await
}

#[tokio::test]
async fn a_callers_compressed_body_is_read() {
    let net = net(vec![Manner::Honest]).await;
    let body = call("1");
    for (encoding, body) in [("gzip", gzip(body.as_bytes())), ("zstd", zstd(body.as_bytes()))] {
        let answer = posted(&net, encoding, body).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ANSWER), "{encoding}");
    }
    assert_eq!(net.suppliers[0].seen.lock().unwrap()[0].body_bz, call("1"));
}

#[tokio::test]
async fn an_unknown_encoding_is_refused_by_naming_known_ones() {
    let net = net(vec![Manner::Honest]).await;
    let answer = posted(&net, "compress", gzip(call("1").as_bytes())).await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (415, "unsupported_encoding")
    );
    assert_eq!(answer.header("accept-encoding"), Some("gzip, deflate, br, zstd"));
    let answer = posted(&net, "gzip", call("1").into()).await;
    assert_eq!((answer.status, answer.reason().as_str()), (400, "parse_error"));
    assert!(answer.text.contains("Content-Encoding"), "{}", answer.text);
}

#[tokio::test]
async fn a_callers_bomb_ends_at_the_largest_body() {
    let mut config = config();
    config.max_body_bytes = 64 << 10;
    let net = net_with(config, vec![Manner::Honest]).await;
    let answer = posted(&net, "gzip", gzip(&vec![b' '; 8 << 20])).await;
    assert_eq!((answer.status, answer.reason().as_str()), (400, "body_too_large"));
    assert_eq!(net.suppliers[0].hits(), 0);
}

/// An answer as it came: nothing undone.
struct Raw {
    status: u16,
    encoding: Option<String>,
    /// Whether `Vary` names the encoding.
    varies: bool,
    body: Vec<u8>,
}

async fn raw(net: &Net, accepted: Option<&str>, body: String) -> Raw {
    let mut request = net.client.post(format!("{}/v1/eth", net.url)).body(body);
    if let Some(accepted) = accepted {
        request = request.header(ACCEPT_ENCODING, accepted);
    }
    let response = request.send().await.unwrap();
    let headers = response.headers();
    let encoding = headers.get(CONTENT_ENCODING);
    let mut vary = headers.get_all(VARY).iter();
    Raw {
        status: response.status().as_u16(),
        encoding: encoding.map(|value| value.to_str().unwrap().to_owned()),
        varies: vary.any(|value| value.to_str().unwrap().contains("accept-encoding")),
        body: response.bytes().await.unwrap().into(),
    }
}

fn unzipped(body: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(body).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn answers_are_compressed_for_callers_who_ask() {
    let large = answer_of(300_000);
    let net = net(vec![Manner::Backend(200, large.clone())]).await;
    let zipped = raw(&net, Some("gzip"), call("1")).await;
    assert_eq!((zipped.status, zipped.varies), (200, true));
    assert_eq!(zipped.encoding.as_deref(), Some("gzip"));
    assert!(zipped.body.len() < large.len() / 3, "{}", zipped.body.len());
    assert_eq!(unzipped(&zipped.body), large);
    let zstd = raw(&net, Some("gzip, br, zstd"), call("1")).await;
    assert_eq!(zstd.encoding.as_deref(), Some("zstd"));
    assert_eq!(::zstd::decode_all(&zstd.body[..]).unwrap(), large.as_bytes());
    let plain = raw(&net, None, call("1")).await;
    assert_eq!((plain.encoding, plain.varies), (None, true));
    assert_eq!(plain.body, large.as_bytes());
}

#[tokio::test]
async fn small_answers_and_none_are_not_compressed() {
    let net = net(vec![Manner::Honest]).await;
    let small = raw(&net, Some("gzip"), call("1")).await;
    assert_eq!((small.encoding, small.varies), (None, false));
    assert_eq!(small.body, ANSWER.as_bytes());
    let notification = r#"{"jsonrpc":"2.0","method":"eth_blockNumber"}"#;
    let none = raw(&net, Some("gzip"), notification.to_owned()).await;
    assert_eq!((none.status, none.encoding, none.body.len()), (204, None, 0));
}

#[tokio::test]
async fn a_batch_is_compressed_as_a_whole() {
    let net = net(vec![Manner::Honest]).await;
    let calls: Vec<String> = (0..60).map(|id| call(&id.to_string())).collect();
    let batch = raw(&net, Some("gzip"), format!("[{}]", calls.join(","))).await;
    assert_eq!(batch.encoding.as_deref(), Some("gzip"));
    let answers: Vec<serde_json::Value> = serde_json::from_str(&unzipped(&batch.body)).unwrap();
    let ids: Vec<u64> = answers
        .iter()
        .map(|answer| answer["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, (0..60).collect::<Vec<_>>());
}

/// What a program prints.
async fn printed(program: &str, arguments: Vec<String>) -> String {
    let mut command = std::process::Command::new(program);
    command.args(arguments);
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = run.await.unwrap().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn curl_and_node_undo_what_they_asked_for() {
    let large = answer_of(300_000);
    let net = net(vec![Manner::Backend(200, large.clone())]).await;
    let (url, body) = (format!("{}/v1/eth", net.url), call("1"));
    let curl = [
        "-sS",
        "--compressed",
        "-w",
        "\\n%{size_download}",
        "-d",
        &body,
        &url,
    ];
    let told = printed("curl", curl.map(str::to_owned).to_vec()).await;
    let (answer, received) = told.rsplit_once('\n').unwrap();
    assert_eq!(answer, large);
    assert!(received.parse::<usize>().unwrap() < large.len() / 3, "{received}");
    let script = format!(
        "fetch({url:?}, {{method: 'POST', body: {body:?}}}).then(async answer =>
            console.log(answer.headers.get('content-encoding'), (await answer.text()).length))"
    );
    let told = printed("node", vec!["-e".to_owned(), script]).await;
    assert_eq!(told.trim(), format!("gzip {}", large.len()));
}
