//! What a dApp sees of the gateway, over real sockets.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::join_all;
use http::Method;
use portico_config::gateway::{Batches, GatewayConfig, ServiceConfig};
use portico_gateway::{Gateway, OneCall, OneError, relay_once};
use portico_protocol::wire::pocket::shared::RpcType;
use portico_testkit::MemoryChain;
use serde_json::{Value, json};
use support::{APPLICATION, Answer, Manner, Net, call, config, key, net, net_with, service, staked};

#[tokio::test]
async fn relays_a_call_and_says_who_answered() {
    let net = net(vec![Manner::Honest]).await;
    let answer = net.post("/v1", call("1")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text,
        r#"{"jsonrpc":"2.0","id":1,"result":"eth_blockNumber"}"#
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.header("x-supplier-address"),
        Some(&*net.suppliers[0].address().to_string())
    );
    assert_eq!(
        answer.header("x-app-address"),
        Some(&*key(APPLICATION).address().to_string())
    );
    assert_eq!(answer.header("x-session-id").unwrap().len(), 64);
    assert_eq!(answer.header("x-relay-id").unwrap().len(), 64);
    assert_eq!(
        (answer.header("x-attempts"), answer.header("x-retry-count")),
        (Some("1"), Some("0"))
    );
    assert_eq!(
        answer.header("x-suppliers-tried"),
        answer.header("x-supplier-address")
    );
    let seen = net.suppliers[0].seen.lock().unwrap()[0].clone();
    assert_eq!((seen.method.as_str(), &seen.url), ("POST", &net.suppliers[0].url));
    assert_eq!(seen.header["Content-Type"].values, ["application/json"]);
    assert_eq!(seen.body_bz, call("1").as_bytes(), "the call as it was written");
}

#[tokio::test]
async fn gives_every_id_back_byte_for_byte() {
    let net = net(vec![Manner::Honest]).await;
    for id in [
        "0",
        "-1",
        "1.50",
        "1e400",
        "18446744073709551617",
        "\"\"",
        "\"\\u00e9\\/\"",
        "null",
    ] {
        let answer = net.post("/v1", call(id)).await;
        assert!(
            answer.text.contains(&format!("\"id\":{id},\"result\"")),
            "{id}: {}",
            answer.text
        );
        let refused = net.post("/v1/nosuch", call(id)).await;
        assert!(
            refused.text.contains(&format!("\"id\":{id},\"error\"")),
            "{id}: {}",
            refused.text
        );
    }
}

#[tokio::test]
async fn finds_the_service_by_path_header_or_because_it_is_the_only_one() {
    let net = net(vec![Manner::Honest]).await;
    for path in ["/v1", "/v1/", "/v1/eth"] {
        assert_eq!(net.post(path, call("1")).await.status, 200, "{path}");
    }
    let deep = net
        .post_with(
            "/v1/ext//bc%2FC/rpc/?z=a%20b&k=v",
            call("1"),
            &[("Target-Service-Id", "eth")],
        )
        .await;
    assert_eq!(deep.status, 200);
    let seen = net.suppliers[0].seen.lock().unwrap().last().unwrap().url.clone();
    assert_eq!(
        seen,
        format!("{}/ext//bc%2FC/rpc/?z=a%20b&k=v", net.suppliers[0].url),
        "as it was called"
    );
}

#[tokio::test]
async fn answers_a_batch_in_order_without_entries_for_notifications() {
    let net = net(vec![Manner::Honest, Manner::Honest]).await;
    let batch = r#"[{"id":"a","method":"one"}, {"method":"silent"}, 7, {"id":2,"method":"two"},
        {"id":3,"method":[]}, {"id":"a","method":"again"}]"#;
    let answer = net.post("/v1", batch).await;
    assert_eq!(answer.status, 200);
    let answers = answer.json();
    let brief: Vec<Value> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|a| json!([a["id"], a["result"], a["error"]["code"]]))
        .collect();
    let expected = json!([
        ["a", "one", null],
        [null, null, -32600],
        [2, "two", null],
        [3, null, -32600],
        ["a", "again", null],
    ]);
    assert_eq!(Value::from(brief), expected);
    assert_eq!(
        net.suppliers
            .iter()
            .map(|supplier| supplier.hits())
            .sum::<usize>(),
        4,
        "each item is a relay"
    );
    assert_eq!(answer.header("x-session-id").unwrap().len(), 64);
}

#[tokio::test]
async fn relays_a_batch_whole_where_the_service_says_so() {
    let mut config = config();
    let whole = ServiceConfig {
        batches: Batches::Whole,
        ..ServiceConfig::default()
    };
    config.services.insert(service("eth"), whole);
    let net = net_with(config, vec![Manner::Honest]).await;
    let supplier = &net.suppliers[0];
    let batch = r#"[{"id":"a","method":"one"}, {"method":"silent"},{"id":2,"method":"two"}]"#;
    let answer = net
        .post_with("/v1", batch, &[("Pocket-Sign-Receipt", "true")])
        .await;
    assert_eq!((answer.status, supplier.hits()), (200, 1), "{}", answer.text);
    let one = r#"[{"jsonrpc":"2.0","id":"a","result":"one"},{"jsonrpc":"2.0","id":2,"result":"two"}]"#;
    assert_eq!(answer.text, one);
    assert_eq!(answer.header("x-relay-id").unwrap().len(), 64);
    assert_eq!(
        answer.header("x-receipt-status"),
        Some("missing"),
        "it is one relay"
    );
    assert_eq!(
        supplier.seen.lock().unwrap()[0].body_bz,
        batch.as_bytes(),
        "the batch as it was written"
    );

    let silent = net.post("/v1", r#"[{"method":"a"},{"method":"b"}]"#).await;
    assert_eq!(
        (silent.status, silent.text.as_str(), supplier.hits()),
        (204, "", 2)
    );
    let sends = r#"[{"id":1,"method":"one"},{"id":2,"method":"eth_sendRawTransaction","params":["0x"]}]"#;
    assert_eq!(
        net.post("/v1", sends).await.json()[1]["result"],
        "eth_sendRawTransaction"
    );
    assert_eq!(supplier.hits(), 4, "each by itself");

    supplier.behave(Manner::Backend(200, r#"[{"id":2,"result":1}]"#.to_owned()));
    let unanswered = net
        .post("/v1", r#"[{"id":1,"method":"a"},{"id":2,"method":"b"}]"#)
        .await;
    assert_eq!(unanswered.status, 200);
    for (index, id) in [(0, 1), (1, 2)] {
        let answer = &unanswered.json()[index];
        assert_eq!(
            (&answer["id"], answer["result"].is_null()),
            (&json!(id), true),
            "{answer}"
        );
        assert_eq!(answer["error"]["data"]["attempts"][0]["cause"], "bad_payload");
    }
}

#[tokio::test]
async fn relays_the_items_of_a_batch_at_the_same_time() {
    let barrier = Arc::new(tokio::sync::Barrier::new(4));
    let net = net(vec![Manner::Barrier(barrier)]).await;
    let items: Vec<String> = (0..4).map(|id| call(&id.to_string())).collect();
    let answer = net.post("/v1", format!("[{}]", items.join(","))).await;
    assert_eq!(answer.json().as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn relays_notifications_and_answers_them_with_204() {
    let net = net(vec![Manner::Honest]).await;
    for body in [
        r#"{"method":"silent"}"#,
        r#"[{"method":"silent"},{"method":"silent"}]"#,
    ] {
        let answer = net.post("/v1", body).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    }
    assert_eq!(net.suppliers[0].hits(), 3);
}

/// All that holds for every error answer; returns (HTTP status, code, reason).
async fn error(net: &Net, answer: &Answer, id: &str) -> (u16, i64, String) {
    let json = answer.json();
    let (error, data) = (&json["error"], &json["error"]["data"]);
    assert!(
        answer.text.contains(&format!("\"id\":{id},\"error\"")),
        "{}",
        answer.text
    );
    assert_eq!(json["jsonrpc"], "2.0");
    assert_eq!(
        answer
            .headers
            .get_all("access-control-allow-origin")
            .iter()
            .count(),
        1
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(data["request_id"].as_str(), answer.header("x-request-id"));
    assert!(data["attempts"].is_array() && data["retryable"].is_boolean());
    assert!(!error["message"].as_str().unwrap().is_empty());
    let docs = net.get(data["docs"].as_str().unwrap()).await;
    assert_eq!(docs.status, 200);
    (answer.status, error["code"].as_i64().unwrap(), answer.reason())
}

#[track_caller]
fn row(found: &(u16, i64, String), status: u16, code: i64, reason: &str) {
    assert_eq!((found.0, found.1, found.2.as_str()), (status, code, reason));
}

#[tokio::test]
async fn refuses_what_cannot_be_relayed_by_the_table() {
    let config = GatewayConfig {
        max_batch: 2,
        max_body_bytes: 1_000,
        ..config()
    };
    let net = net_with(config, vec![Manner::Honest]).await;
    let found = error(&net, &net.post("/v1", "{").await, "null").await;
    row(&found, 400, -32700, "parse_error");
    let found = error(&net, &net.post("/v1", r#"{"id":5,"method":1}"#).await, "5").await;
    row(&found, 200, -32600, "invalid_request");
    let found = error(&net, &net.post("/v1", "7").await, "null").await;
    row(&found, 400, -32600, "invalid_request");
    let found = error(&net, &net.post("/v1", "[]").await, "null").await;
    row(&found, 400, -32600, "invalid_request");
    let answer = net.post("/v1/nosuch", call("1")).await;
    row(&error(&net, &answer, "1").await, 404, -31010, "unknown_service");
    assert_eq!(answer.json()["error"]["data"]["available"], json!(["eth"]));
    let answer = net.post_with("/v1", call("1"), &[("RPC-Type", "grpc")]).await;
    row(
        &error(&net, &answer, "1").await,
        200,
        -31011,
        "rpc_type_unsupported",
    );
    let answer = net
        .send(
            net.client
                .get(format!("{}/v1/eth", net.url))
                .header("RPC-Type", "json_rpc"),
        )
        .await;
    row(
        &error(&net, &answer, "null").await,
        405,
        -31011,
        "rpc_type_unsupported",
    );
    assert_eq!(answer.header("allow"), Some("POST"));
    let answer = net.post("/elsewhere", call("1")).await;
    row(
        &error(&net, &answer, "null").await,
        404,
        -31010,
        "unknown_service",
    );
    assert_eq!(net.suppliers[0].hits(), 0, "nothing of it was paid for");
}

#[tokio::test]
async fn refuses_a_batch_that_is_too_long_with_one_error_per_id() {
    let net = net_with(
        GatewayConfig {
            max_batch: 2,
            ..config()
        },
        vec![Manner::Honest],
    )
    .await;
    let answer = net
        .post(
            "/v1",
            r#"[{"id":1,"method":"a"},{"id":"b","method":"b"},{"method":"c"}]"#,
        )
        .await;
    assert_eq!(answer.status, 200);
    let ids: Vec<Value> = answer
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["id"].clone())
        .collect();
    assert_eq!(ids, [json!(1), json!("b")]);
    assert_eq!(answer.json()[0]["error"]["code"], -32600);
    assert_eq!(answer.json()[0]["error"]["data"]["reason"], "batch_too_large");
    assert_eq!(net.suppliers[0].hits(), 0);
}

#[tokio::test]
async fn refuses_a_body_that_is_too_large_announced_or_not() {
    let net = net_with(
        GatewayConfig {
            max_body_bytes: 100,
            ..config()
        },
        vec![Manner::Honest],
    )
    .await;
    let large = call(&format!("\"{}\"", "x".repeat(100)));
    let announced = net.post("/v1", large.clone()).await;
    row(
        &error(&net, &announced, "null").await,
        400,
        -31022,
        "body_too_large",
    );
    assert_eq!(announced.header("connection"), Some("close"));
    let chunks = large
        .into_bytes()
        .chunks(10)
        .map(|c| Ok::<_, std::io::Error>(c.to_vec()))
        .collect::<Vec<_>>();
    let streamed = net
        .post("/v1", reqwest::Body::wrap_stream(futures::stream::iter(chunks)))
        .await;
    row(
        &error(&net, &streamed, "null").await,
        400,
        -31022,
        "body_too_large",
    );
}

#[tokio::test]
async fn refuses_web_origins_that_are_not_allowed_before_a_relay_is_paid_for() {
    let origins = vec!["https://good.example".to_owned()];
    let net = net_with(
        GatewayConfig {
            cors_allowed_origins: origins,
            ..config()
        },
        vec![Manner::Honest],
    )
    .await;
    let bad = net
        .post_with("/v1", call("1"), &[("Origin", "https://bad.example")])
        .await;
    assert_eq!((bad.status, bad.reason().as_str()), (401, "unauthorized"));
    assert_eq!(net.suppliers[0].hits(), 0);
    let good = net
        .post_with("/v1", call("1"), &[("Origin", "https://good.example")])
        .await;
    assert_eq!(
        (good.status, good.header("access-control-allow-origin")),
        (200, Some("https://good.example"))
    );
    let preflight = net.client.request(Method::OPTIONS, format!("{}/v1", net.url));
    let preflight = preflight.header("Origin", "https://good.example");
    let preflight = net
        .send(preflight.header("Access-Control-Request-Method", "POST"))
        .await;
    assert_eq!(preflight.status, 200);
    assert!(
        preflight
            .header("access-control-allow-methods")
            .unwrap()
            .contains("POST")
    );
}

/// Stakes a supplier whose key the chain does not know.
fn stake_unknown(chain: &MemoryChain) {
    let operator = key(support::FIRST_SUPPLIER).address();
    chain.stake_unknown_supplier(operator, &service("eth"), "http://supplier", RpcType::JsonRpc);
}

#[tokio::test]
async fn has_no_session_for_an_application_that_is_not_staked_or_did_not_delegate() {
    let (chain, _) = staked(vec![]).await;
    stake_unknown(&chain); // a session has suppliers, but this one is of no use
    let net = support::net_on(config(), chain, vec![]).await;
    let answer = net.post("/v1", call("1")).await;
    row(&error(&net, &answer, "1").await, 503, -31033, "no_supplier");
    assert_eq!(answer.header("retry-after"), Some("1"));

    let chain = MemoryChain::new();
    let net = support::net_on(config(), chain.clone(), vec![]).await;
    let answer = net.post("/v1", call("1")).await;
    row(
        &error(&net, &answer, "1").await,
        503,
        -31030,
        "session_unavailable",
    );
    assert_eq!(net.get("/ready").await.status, 503);
    chain.stake_application(key(APPLICATION).public_key(), &service("eth"), &[]);
    stake_unknown(&chain);
    chain.advance_to(2);
    let answer = net.post("/v1", call("1")).await;
    row(
        &error(&net, &answer, "1").await,
        503,
        -31030,
        "session_unavailable",
    );
    assert!(answer.text.contains("has not delegated"), "{}", answer.text);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn tells_callers_to_come_back_when_it_has_its_hands_full() {
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    let config = GatewayConfig {
        max_concurrent_relays: 1,
        ..config()
    };
    let net = net_with(config, vec![Manner::Barrier(barrier.clone())]).await;
    let held = net.post("/v1", call("1"));
    let refused = async {
        while net.suppliers[0].hits() == 0 {
            tokio::task::yield_now().await;
        }
        let refused = net.post("/v1", call("2")).await;
        barrier.wait().await;
        refused
    };
    let (held, refused) = tokio::join!(held, refused);
    assert_eq!(held.status, 200);
    row(&error(&net, &refused, "2").await, 503, -31052, "overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_thousand_concurrent_calls_read_the_session_once() {
    let net = net(vec![Manner::Honest, Manner::Honest, Manner::Honest]).await;
    net.chain.delay_sessions(std::time::Duration::from_millis(20));
    let batch = format!(
        "[{}]",
        (0..8)
            .map(|id| call(&id.to_string()))
            .collect::<Vec<_>>()
            .join(",")
    );
    let answers = join_all((0..125).map(|_| net.post("/v1", batch.clone()))).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.text.matches("eth_blockNumber").count() == 8)
    );
    assert_eq!(net.chain.session_calls(), 1);
    assert_eq!(net.metric("session_lookups_total", "gateway"), 1);
    assert_eq!(net.metric("gateway_relays_total", "ok"), 1_000);
    assert!(
        net.suppliers.iter().all(|supplier| supplier.hits() > 200),
        "the load is spread"
    );
}

#[tokio::test]
async fn no_caller_notices_that_sessions_end() {
    let net = net(vec![Manner::Honest, Manner::Honest]).await;
    let mut sessions = std::collections::BTreeSet::new();
    for height in 2..=45 {
        net.chain.advance_to(height);
        for answer in join_all((0..8).map(|id| net.post("/v1", call(&id.to_string())))).await {
            assert_eq!(answer.status, 200, "{}", answer.text);
            sessions.insert(answer.header("x-session-id").unwrap().to_owned());
        }
    }
    assert_eq!(sessions.len(), 5);
    assert_eq!(net.metric("session_lookups_total", ""), 5, "one per rollover");
}

#[tokio::test]
async fn says_that_it_lives_and_when_it_is_ready() {
    let net = net(vec![Manner::Honest]).await;
    let health = net.get("/health").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("ok")));
    let ready = net.get("/ready").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["services"]["eth"]["suppliers"], 1);
    net.post("/v1", call("1")).await;
    let metrics = net.get("/metrics").await.text;
    for name in [
        r#"gateway_relays_total{outcome="ok",service="eth"} 1"#,
        r#"gateway_relay_duration_seconds_count{service="eth"} 1"#,
        r#"session_lookups_total{role="gateway"} 1"#,
        "gateway_relays_in_flight 0",
    ] {
        assert!(metrics.contains(name), "{name} in\n{metrics}");
    }
}

#[tokio::test]
async fn operators_pages_are_apart_from_the_public() {
    let admin = GatewayConfig {
        admin_listen: Some("127.0.0.1:0".parse().unwrap()),
        ..config()
    };
    let public = GatewayConfig {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..config()
    };
    for config in [admin, public] {
        let own = config.admin_listen.is_some();
        let mut net = net_with(config, vec![Manner::Honest]).await;
        net.url = net.url.replace("0.0.0.0", "127.0.0.1");
        assert_eq!(net.get("/metrics").await.status, 404);
        let ready = net.get("/ready").await;
        assert_eq!((ready.status, ready.text.as_str()), (200, r#"{"ready":true}"#));
        assert_eq!(net.get("/health").await.status, 200);
        assert_eq!(net.post("/v1", call("1")).await.status, 200);
        assert_eq!(net.admin.is_some(), own);
        if let Some(admin) = net.admin.clone() {
            net.url = admin;
            let metrics = net.get("/metrics").await;
            assert!(
                metrics
                    .text
                    .contains(r#"gateway_relays_total{outcome="ok",service="eth"} 1"#)
            );
            assert_eq!(net.get("/ready").await.json()["services"]["eth"]["suppliers"], 1);
            assert_eq!(net.post("/v1", call("1")).await.status, 404, "no calls here");
        }
    }
}

#[tokio::test]
async fn keeps_a_callers_request_id_if_it_is_sane() {
    let net = net(vec![Manner::Honest]).await;
    for id in ["5f0c9f9e-4b7c-4c1e-9d5e-0a0a0a0a0a0a", "trace:01/a_b.c=", "x"] {
        let answer = net.post_with("/v1", call("1"), &[("X-Request-Id", id)]).await;
        assert_eq!(answer.header("x-request-id"), Some(id));
        let refused = net.post_with("/v1", "{", &[("X-Request-Id", id)]).await;
        assert_eq!(refused.json()["error"]["data"]["request_id"], id);
    }
    let long = "x".repeat(129);
    for id in ["", "a b", "<script>", "a\"b", long.as_str()] {
        let answer = net.post_with("/v1", call("1"), &[("X-Request-Id", id)]).await;
        assert_ne!(answer.header("x-request-id"), Some(id));
        assert!(answer.header("x-request-id").unwrap().len() > 8);
    }
}

#[tokio::test]
async fn a_preflight_names_the_headers_that_may_be_sent() {
    let net = net(vec![Manner::Honest]).await;
    let preflight = net.client.request(Method::OPTIONS, format!("{}/v1", net.url));
    let preflight = preflight
        .header("Origin", "https://app.example")
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "authorization,content-type");
    let preflight = net.send(preflight).await;
    let allowed = preflight.header("access-control-allow-headers");
    assert_eq!(allowed, Some("authorization,content-type"));
}

#[tokio::test]
async fn relays_a_call_with_a_member_whose_name_is_no_text() {
    let net = net(vec![Manner::Backend(
        200,
        r#"{"id":1,"result":2,"\ud800":3}"#.to_owned(),
    )])
    .await;
    let answer = net.post("/v1", r#"{"\ud800":1,"id":1,"method":"m"}"#).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, r#"{"id":1,"result":2,"\ud800":3}"#)
    );
}

/// A network whose supplier answers call 1 with so many bytes.
async fn net_with_large_answers(config: GatewayConfig, bytes: usize) -> Net {
    let answer = format!(r#"{{"id":1,"result":"{}"}}"#, "x".repeat(bytes));
    net_with(config, vec![Manner::Backend(200, answer); 2]).await
}

#[tokio::test]
async fn a_batch_holds_no_more_bytes_of_answers_than_one_request_may() {
    let config = GatewayConfig {
        max_response_bytes: 100_000,
        max_answer_bytes_per_request: 100_000,
        max_answer_bytes_in_flight: 10_000_000,
        ..config()
    };
    let net = net_with_large_answers(config, 30_000).await;
    let batch = format!("[{}]", vec![call("1"); 10].join(","));
    let answer = net.post("/v1", batch.clone()).await;
    let entries = answer.json();
    let entries = entries.as_array().unwrap();
    let (large, refused): (Vec<&Value>, Vec<&Value>) =
        entries.iter().partition(|entry| entry["result"].is_string());
    assert!((1..=3).contains(&large.len()), "{} answers", large.len());
    assert_eq!(large.len() + refused.len(), 10);
    for entry in refused {
        assert_eq!(entry["error"]["data"]["reason"], "response_too_large");
        assert_eq!(entry["error"]["data"]["attempts"].as_array().unwrap().len(), 1);
    }
    let text = net.post("/v1", format!("[{},{}]", call("1"), call("1"))).await;
    assert_eq!(
        text.json().as_array().unwrap().len(),
        2,
        "another request has its own"
    );
    assert!(text.text.len() > 60_000);
}

#[tokio::test]
async fn answers_that_nobody_takes_count_until_their_connection_ends() {
    const ANSWER: usize = 12_000_000; // more than the system's buffers take
    let config = GatewayConfig {
        max_answer_bytes_in_flight: 20_000_000,
        max_answer_bytes_per_request: 20_000_000,
        max_response_bytes: 20_000_000,
        ..config()
    };
    let net = net_with_large_answers(config, ANSWER).await;
    let mut lazy = tokio::net::TcpStream::connect(net.url.trim_start_matches("http://"))
        .await
        .unwrap();
    let body = call("1");
    let head = format!(
        "POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    tokio::io::AsyncWriteExt::write_all(&mut lazy, (head + &body).as_bytes())
        .await
        .unwrap();
    lazy.readable().await.unwrap(); // the answer is on its way, and nobody reads it
    let refused = net.post("/v1", call("1")).await;
    row(&error(&net, &refused, "1").await, 503, -31052, "overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(
        refused.header("x-attempts"),
        Some("1"),
        "no other supplier is asked"
    );
    drop(lazy);
    while net.post("/v1", call("1")).await.status != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn calls_to_a_method_with_large_answers_take_turns() {
    const ANSWER: usize = 1 << 20;
    let config = GatewayConfig {
        max_answer_bytes_per_client: Some(8 * ANSWER),
        max_answer_bytes_per_request: 4 * ANSWER,
        max_response_bytes: 4 * ANSWER,
        ..config()
    };
    let answer = format!(r#"{{"id":1,"result":"{}"}}"#, "x".repeat(ANSWER));
    let net = net_with(config, vec![Manner::Slow(answer)]).await;
    let most = &net.suppliers[0].under_way.1;
    assert_eq!(net.post("/v1", call("1")).await.status, 200, "known from here on");
    let batch = format!("[{}]", vec![call("1"); 10].join(","));
    let answers = net.post("/v1", batch).await.json();
    let large = |entry: &&Value| entry["result"].is_string();
    assert_eq!(
        answers.as_array().unwrap().iter().filter(large).count(),
        3,
        "what a request may hold"
    );
    let most_so_far = most.load(Ordering::SeqCst);
    assert!(
        most_so_far <= 2,
        "{most_so_far} at a time are more than a quarter of the client's share"
    );

    let other = call("1").replace("eth_blockNumber", "eth_getLogs");
    let batch = format!("[{}]", vec![other; 10].join(","));
    net.post("/v1", batch).await;
    assert!(
        most.load(Ordering::SeqCst) > 2,
        "another method waits for nothing"
    );
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_refused_before_a_relay_is_paid_for() {
    const ANSWER: usize = 12_000_000; // more than the system's buffers take, and three quarters of the client's share
    let config = GatewayConfig {
        max_answer_bytes_per_client: Some(16_000_000),
        max_answer_bytes_per_request: 16_000_000,
        max_response_bytes: 16_000_000,
        ..config()
    };
    let net = net_with_large_answers(config, ANSWER).await;
    let address = net.url.trim_start_matches("http://").to_owned();
    let connect = |from: [u8; 4]| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((std::net::Ipv4Addr::from(from), 0).into()).unwrap();
        socket.connect(address.parse().unwrap())
    };
    let body = call("1");
    let request = format!(
        "POST /v1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut lazy = connect([127, 0, 0, 2]).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut lazy, request.as_bytes())
        .await
        .unwrap();
    lazy.readable().await.unwrap(); // the answer is on its way, and nobody reads it
    let hits = || {
        net.suppliers
            .iter()
            .map(|supplier| supplier.hits())
            .sum::<usize>()
    };
    let before = hits();
    let mut again = connect([127, 0, 0, 2]).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut again, request.as_bytes())
        .await
        .unwrap();
    let mut refused = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut again, &mut refused)
        .await
        .unwrap();
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert_eq!(hits(), before, "no supplier was asked");
    assert_eq!(net.post("/v1", call("1")).await.status, 200, "another address");
    drop(lazy);
}

#[tokio::test]
async fn lets_calls_under_way_finish_when_it_stops() {
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    let net = net(vec![Manner::Barrier(barrier.clone())]).await;
    let held = net.post("/v1", call("1"));
    let stop = async {
        while net.suppliers[0].hits() == 0 {
            tokio::task::yield_now().await;
        }
        net.stop.cancel();
        barrier.wait().await;
    };
    let (held, ()) = tokio::join!(held, stop);
    assert_eq!(held.status, 200);
    let Net {
        gateway, client, url, ..
    } = net;
    drop(client);
    gateway.await.unwrap().unwrap();
    assert!(
        portico_net::tls::ClientTls::public_http()
            .get(url)
            .send()
            .await
            .is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn names_the_port_that_is_taken_and_the_key_to_change() {
    let (chain, _) = staked(vec![]).await;
    let first = Gateway::bind(config(), chain.clone(), prometheus::Registry::new())
        .await
        .unwrap();
    let taken = GatewayConfig {
        listen: first.local_addr(),
        ..config()
    };
    let error = Gateway::bind(taken, chain, prometheus::Registry::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&first.local_addr().to_string()) && error.contains("`listen`"),
        "{error}"
    );
}

#[tokio::test]
async fn the_same_seed_makes_the_same_choices() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let net = net(vec![Manner::Honest, Manner::Honest, Manner::Honest]).await;
        let mut chosen = Vec::new();
        for id in 0..20 {
            let answer = net.post("/v1", call(&id.to_string())).await;
            let supplier = answer.header("x-supplier-address").unwrap().to_owned();
            chosen.push((supplier, answer.header("x-request-id").unwrap().to_owned()));
        }
        runs.push(chosen);
    }
    assert_eq!(runs[0], runs[1]);
    let suppliers: std::collections::BTreeSet<_> = runs[0].iter().map(|(supplier, _)| supplier).collect();
    assert_eq!(suppliers.len(), 3);
}

#[tokio::test]
async fn a_tool_can_relay_once_and_see_what_was_verified() {
    let (chain, suppliers) = staked(vec![Manner::Honest]).await;
    let one = |body: String| OneCall {
        service: service("eth"),
        path: String::new(),
        body: body.into(),
        wants_receipt: false,
    };
    let relayed = relay_once(&config(), chain.clone(), one(call("7")))
        .await
        .unwrap();
    assert_eq!(
        relayed.answer,
        r#"{"jsonrpc":"2.0","id":7,"result":"eth_blockNumber"}"#
    );
    assert_eq!(
        (relayed.supplier, &relayed.endpoint),
        (suppliers[0].address(), &suppliers[0].url)
    );
    assert_eq!(relayed.session.end.0, 10);
    let names: Vec<_> = relayed.checks.iter().map(|check| check.name).collect();
    assert_eq!(
        names,
        ["session header", "payload", "supplier signature", "answer"]
    );
    suppliers[0].behave(Manner::Garbage);
    let error = relay_once(&config(), chain, one(call("7"))).await.unwrap_err();
    let OneError::Relay {
        reason,
        failed_attempts,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (reason, failed_attempts[0].cause),
        ("signature_invalid", "signature")
    );
}
