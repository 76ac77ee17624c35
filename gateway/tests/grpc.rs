//! gRPC and gRPC-Web through the gateway: what suppliers get, and what callers see.
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use bytes::Bytes;
use http::HeaderMap;
use portico_protocol::wire::pocket::shared::RpcType;
use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use support::{Manner, Net, Streamed, config, net_on, staked_for};

const PING: &[u8] = b"\0\0\0\0\x04ping";

async fn net() -> Net {
    let (chain, suppliers) = staked_for(&[RpcType::Grpc]).await;
    net_on(config(), chain, suppliers).await
}

fn says(status: u32, fields: &[(&str, &str)], body: &'static [u8]) -> Manner {
    let field = |(name, value): &(&str, &str)| {
        let (key, values) = ((*name).to_owned(), vec![(*value).to_owned()]);
        (key.clone(), Header { key, values })
    };
    Manner::Response(PokthttpResponse {
        status_code: status,
        header: fields.iter().map(field).collect(),
        body_bz: Bytes::from_static(body),
    })
}

/// Head, body and trailers of an answer.
async fn call(net: &Net, fields: &[(&str, &str)], body: &'static [u8]) -> (HeaderMap, Bytes, HeaderMap) {
    let client = portico_net::tls::ClientTls::public().http_client().no_proxy();
    let client = client.http2_prior_knowledge().build().unwrap();
    let mut post = client.post(format!("{}/demo.Demo/Echo", net.url)).body(body);
    for (name, value) in fields {
        post = post.header(*name, *value);
    }
    let response = post.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let (head, mut body) = http::Response::<reqwest::Body>::from(response).into_parts();
    let (mut bytes, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(frame) = futures::future::poll_fn(|cx| {
        let body = std::pin::Pin::new(&mut body);
        http_body::Body::poll_frame(body, cx)
    })
    .await
    {
        match frame.unwrap().into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().unwrap(),
        }
    }
    (head.headers, bytes.into(), trailers)
}

const NATIVE: [(&str, &str); 4] = [
    ("content-type", "application/grpc+proto"),
    ("te", "trailers"),
    ("target-service-id", "eth"),
    ("authorization", "secret"),
];

#[tokio::test]
async fn a_message_goes_to_the_node_and_its_trailers_are_trailers_again() {
    let net = net().await;
    let fields = [
        ("Content-Type", "application/grpc"),
        ("Grpc-Status", "0"),
        ("Grpc-Message", "fine"),
        ("X-Cosmos-Block-Height", "7"),
        ("Set-Cookie", "a=b"),
    ];
    net.suppliers[0].behave(says(200, &fields, b"\0\0\0\0\x04pong"));
    let (head, body, trailers) = call(&net, &NATIVE, PING).await;
    assert_eq!(head["content-type"], "application/grpc");
    assert_eq!(head["x-cosmos-block-height"], "7");
    assert_eq!(head["x-supplier-address"], net.suppliers[0].address().to_string());
    assert!(!head.contains_key("grpc-status") && !head.contains_key("set-cookie"));
    assert_eq!(body, &b"\0\0\0\0\x04pong"[..]);
    assert_eq!(
        (&trailers["grpc-status"], &trailers["grpc-message"]),
        (&"0".parse().unwrap(), &"fine".parse().unwrap())
    );

    assert_eq!(*net.suppliers[0].kinds.lock().unwrap(), ["1"]);
    let seen = net.suppliers[0].seen.lock().unwrap()[0].clone();
    assert_eq!((&*seen.method, &seen.body_bz[..]), ("POST", PING));
    assert_eq!(seen.url, format!("{}/demo.Demo/Echo", net.suppliers[0].url));
    assert_eq!(seen.header["Content-Type"].values, ["application/grpc"]);
    assert!(
        !seen.header.contains_key("Authorization"),
        "suppliers are strangers"
    );
}

#[tokio::test]
async fn a_status_without_a_message_is_told_and_so_is_a_node_that_speaks_no_grpc() {
    let net = net().await;
    net.suppliers[0].behave(says(
        200,
        &[("Grpc-Status", "5"), ("Grpc-Message", "not%20found")],
        b"",
    ));
    let (head, body, _) = call(&net, &NATIVE, PING).await;
    assert_eq!((&head["grpc-status"], body.len()), (&"5".parse().unwrap(), 0));
    assert_eq!(head["grpc-message"], "not%20found");
    net.suppliers[0].behave(says(503, &[("Content-Type", "text/html")], b"<html>"));
    let (head, body, _) = call(&net, &NATIVE, PING).await;
    assert_eq!((&head["grpc-status"], body.len()), (&"14".parse().unwrap(), 0));
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_told_by_a_status_of_grpc_and_reaches_nobody() {
    let net = net().await;
    let unknown = [NATIVE[0], ("target-service-id", "nosuch")];
    for (fields, body, status) in [(&NATIVE[..], &b"\0\0\0\0\x09a"[..], "3"), (&unknown, PING, "5")] {
        let (head, body, trailers) = call(&net, fields, body).await;
        assert_eq!(
            (trailers["grpc-status"].to_str().unwrap(), body.len()),
            (status, 0),
            "{trailers:?}"
        );
        // A head with a status must end the answer, which waits for the rest of a request that is refused unread.
        assert!(!head.contains_key("grpc-status"));
    }
    assert_eq!(net.suppliers[0].hits(), 0);
    net.suppliers[0].behave(Manner::Garbage);
    let (_, _, trailers) = call(&net, &NATIVE, PING).await;
    assert_eq!(trailers["grpc-status"], "14", "{trailers:?}");
    let late = [&NATIVE[..], &[("grpc-timeout", "50m")]].concat();
    net.suppliers[0].behave(Manner::Silent);
    net.chain.advance();
    let (_, _, trailers) = call(&net, &late, PING).await;
    assert!(
        ["4", "14"].contains(&trailers["grpc-status"].to_str().unwrap()),
        "{trailers:?}"
    );
}

/// Three messages, as a supplier of ours sends them.
const THREE: &[u8] = b"\0\0\0\0\x01a\0\0\0\0\x01b\0\0\0\0\x01c";

#[tokio::test]
async fn a_stream_of_answers_is_passed_on_with_its_trailers_and_told_to_be_cut_off() {
    let net = net().await;
    net.suppliers[0].behave(Manner::Stream(Streamed::Messages));
    let (head, body, trailers) = call(&net, &NATIVE, PING).await;
    assert_eq!(head["x-supplier-address"], net.suppliers[0].address().to_string());
    assert_eq!(head["content-type"], "application/grpc");
    assert_eq!(
        (&body[..], &trailers["grpc-status"]),
        (THREE, &"0".parse().unwrap())
    );
    assert_eq!(trailers["grpc-message"], "fine");
    net.suppliers[0].behave(Manner::Stream(Streamed::MessagesCut));
    let (_, body, trailers) = call(&net, &NATIVE, PING).await;
    assert_eq!(
        (&body[..], &trailers["grpc-status"]),
        (&THREE[..12], &"14".parse().unwrap())
    );
    assert!(
        trailers["grpc-message"]
            .to_str()
            .unwrap()
            .contains("backend_gone")
    );
    let web = [
        ("content-type", "application/grpc-web"),
        ("target-service-id", "eth"),
    ];
    net.suppliers[0].behave(Manner::Stream(Streamed::Messages));
    let (_, body, trailers) = call(&net, &web, PING).await;
    assert!(
        body.starts_with(THREE) && body[THREE.len()] == 0x80 && trailers.is_empty(),
        "{body:?}"
    );
}

#[tokio::test]
async fn a_stream_that_is_cut_within_a_message_has_a_status_where_trailers_have_a_place() {
    let net = net().await;
    net.suppliers[0].behave(Manner::Stream(Streamed::MessageCut));
    let (_, body, trailers) = call(&net, &NATIVE, PING).await;
    assert_eq!(
        (&body[..], &trailers["grpc-status"]),
        (&THREE[..9], &"14".parse().unwrap())
    );
    // Behind half a message, gRPC-Web's trailers would be read as its other half.
    for content_type in ["application/grpc-web", "application/grpc-web-text"] {
        let client = portico_net::tls::ClientTls::public().http_client().no_proxy();
        let client = client.build().unwrap();
        let response = client
            .post(format!("{}/demo.Demo/Echo", net.url))
            .header("content-type", content_type)
            .header("target-service-id", "eth")
            .body(match content_type {
                "application/grpc-web" => Bytes::from_static(PING),
                _ => Bytes::from_static(b"AAAAAARwaW5n"),
            })
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap_err();
    }
}

#[tokio::test]
async fn a_status_that_stands_in_the_head_of_a_stream_is_its_callers() {
    let net = net().await;
    net.suppliers[0].behave(Manner::Stream(Streamed::StatusInHead));
    let (head, body, trailers) = call(&net, &NATIVE, THREE).await;
    assert!(
        !head.contains_key("grpc-status") && body.is_empty(),
        "{head:?} {body:?}"
    );
    assert_eq!(trailers["grpc-status"], "12");
    assert_eq!(trailers["grpc-message"], "no such method");
}

#[tokio::test]
async fn a_stream_of_requests_is_for_suppliers_that_answer_by_chained_messages() {
    let net = net().await;
    net.suppliers[0].behave(Manner::Stream(Streamed::Messages));
    let (_, body, trailers) = call(&net, &NATIVE, THREE).await;
    assert_eq!(
        (&body[..], &trailers["grpc-status"]),
        (THREE, &"0".parse().unwrap())
    );
    assert_eq!(&net.suppliers[0].seen.lock().unwrap()[0].body_bz[..], THREE);
    net.suppliers[0].behave(says(200, &[("Grpc-Status", "0")], b"\0\0\0\0\x01a"));
    let (_, body, trailers) = call(&net, &NATIVE, THREE).await;
    assert_eq!(
        (&trailers["grpc-status"], body.len()),
        (&"12".parse().unwrap(), 0)
    );
}

#[tokio::test]
async fn grpc_web_has_its_trailers_in_the_body() {
    let net = net().await;
    net.suppliers[0].behave(says(200, &[("Grpc-Status", "0")], b"\0\0\0\0\x04pong"));
    let post = |content_type: &'static str, body: &'static [u8]| {
        let post = net.client.post(format!("{}/v1/eth/demo.Demo/Echo", net.url));
        post.header("content-type", content_type).body(body)
    };
    let whole = b"\0\0\0\0\x04pong\x80\0\0\0\x10grpc-status: 0\r\n";
    let response = post("application/grpc-web+proto", PING).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
    assert_eq!(response.bytes().await.unwrap(), &whole[..]);
    let response = post("application/grpc-web-text", b"AAAAAARwaW5n")
        .send()
        .await
        .unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/grpc-web-text+proto"
    );
    assert_eq!(
        response.bytes().await.unwrap(),
        "AAAAAARwb25ngAAAABBncnBjLXN0YXR1czogMA0K"
    );
    let response = post("application/grpc", PING).send().await.unwrap();
    assert_eq!(response.status(), 505, "native gRPC needs HTTP/2");
}
