//! Suppliers that fail, lie or refuse, and what the caller sees of it.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use portico_config::Secret;
use portico_config::gateway::{ApplicationConfig, GatewayConfig};
use serde_json::Value;
use support::{
    Answer, Manner, Net, call, config, key, net, net_on, net_signing_ahead, net_with, service, staked,
};

/// Every way to fail, with the cause that metrics and errors name.
fn failures() -> Vec<(Manner, &'static str)> {
    vec![
        (Manner::Garbage, "signature"),
        (Manner::ForeignKey, "signature"),
        (Manner::TamperedPayload, "payload_hash"),
        (Manner::OtherHeader, "session_header"),
        (Manner::MinerError("relayer_proxy", 5), "miner_error"),
        (Manner::MinerError("relayer_proxy", 7), "over_serviced"),
        (
            Manner::HttpError(429, "session relay limit reached"),
            "over_serviced",
        ),
        (Manner::HttpError(502, "backend service error"), "http_status"),
        (Manner::HttpError(500, ""), "http_status"),
        (Manner::Raw(b""), "undecodable"),
        (Manner::Raw(b"<html>hello</html>"), "undecodable"),
        (Manner::Raw(b"{\"error\":\"no\"}"), "undecodable"),
        (Manner::Silent, "timeout"),
        (Manner::Backend(200, String::new()), "bad_payload"),
        (
            Manner::Backend(200, "<html>busy</html>".to_owned()),
            "bad_payload",
        ),
        (
            Manner::Backend(200, "{\"id\":2,\"result\":1}".to_owned()),
            "bad_payload",
        ),
        (Manner::Backend(503, "busy".to_owned()), "backend"),
    ]
}

fn limits() -> GatewayConfig {
    GatewayConfig {
        max_response_bytes: 4_000,
        ..config()
    }
}

/// Limits under which a supplier that never answers times out after `ms`.
fn limits_for(manner: &Manner, ms: u64) -> GatewayConfig {
    match manner {
        Manner::Silent => GatewayConfig {
            attempt_timeout_ms: ms,
            ..limits()
        },
        _ => limits(),
    }
}

fn causes(answer: &Answer) -> Vec<String> {
    let attempts = answer.json()["error"]["data"]["attempts"].clone();
    attempts
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["cause"].as_str().unwrap().to_owned())
        .collect()
}

/// Calls until the first supplier was tried; every call must succeed.
async fn until_tried(net: &Net) -> Answer {
    for _ in 0..200 {
        let answer = net.post("/v1", call("1")).await;
        assert_eq!(
            answer.text,
            r#"{"jsonrpc":"2.0","id":1,"result":"eth_blockNumber"}"#
        );
        if net.suppliers[0].hits() > 0 {
            return answer;
        }
    }
    panic!("the supplier was never tried");
}

#[tokio::test]
async fn goes_on_to_another_supplier_whatever_goes_wrong() {
    for (manner, cause) in failures() {
        let net = net_with(limits_for(&manner, 3_000), vec![manner.clone(), Manner::Honest]).await;
        let answer = until_tried(&net).await;
        let (bad, good) = (net.suppliers[0].address(), net.suppliers[1].address());
        assert_eq!(
            answer.header("x-supplier-address"),
            Some(&*good.to_string()),
            "{manner:?}"
        );
        assert_eq!(
            answer.header("x-suppliers-tried"),
            Some(&*format!("{bad},{good}")),
            "{manner:?}"
        );
        assert_eq!(
            (answer.header("x-attempts"), answer.header("x-retry-count")),
            (Some("2"), Some("1"))
        );
        assert_eq!(
            net.metric("gateway_supplier_failures_total", cause),
            1,
            "{manner:?}"
        );
    }
}

#[tokio::test]
async fn goes_on_to_another_supplier_when_one_is_down() {
    let (chain, mut suppliers) = staked(vec![]).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for url in [
        format!("http://{nobody}"),
        "not a url".to_owned(),
        "http://no-such-host.invalid".to_owned(),
    ] {
        let rpc_type = portico_protocol::wire::pocket::shared::RpcType::JsonRpc;
        let number = 50 + u8::try_from(suppliers.len()).unwrap();
        chain.stake_supplier(key(number).public_key(), &service("eth"), &url, rpc_type);
        suppliers.clear();
        let net = net_on(limits(), chain.clone(), vec![]).await;
        let answer = net.post("/v1", call("1")).await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (502, "suppliers_failed"),
            "{url}"
        );
        assert!(
            causes(&answer).iter().all(|cause| cause == "connect"),
            "{url}: {:?}",
            causes(&answer)
        );
    }
}

#[tokio::test]
async fn says_what_was_wrong_when_all_suppliers_fail() {
    for (manner, cause) in failures() {
        let net = net_with(limits_for(&manner, 50), vec![manner.clone(), manner.clone()]).await;
        let answer = net.post("/v1", call("1")).await;
        let expected = match cause {
            "signature" | "payload_hash" | "session_header" => (502, "signature_invalid"),
            "bad_payload" => (502, "bad_payload"),
            "over_serviced" => (503, "stake_exhausted"),
            _ => (502, "suppliers_failed"),
        };
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            expected,
            "{manner:?}: {}",
            answer.text
        );
        assert_eq!(causes(&answer), [cause, cause], "{manner:?}");
        assert_eq!(answer.header("x-attempts"), Some("2"));
        assert!(!answer.text.contains("0xlie"), "nothing unverified is shown");
    }
}

#[tokio::test]
async fn mixed_failures_are_listed_one_by_one() {
    let net = net_with(
        limits(),
        vec![Manner::Garbage, Manner::HttpError(502, "x"), Manner::Raw(b"")],
    )
    .await;
    let answer = net.post("/v1", call("1")).await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (502, "suppliers_failed")
    );
    let mut causes = causes(&answer);
    causes.sort();
    assert_eq!(causes, ["http_status", "signature", "undecodable"]);
}

#[tokio::test]
async fn tries_no_more_suppliers_than_allowed() {
    let config = GatewayConfig {
        max_attempts: 2,
        ..limits()
    };
    let net = net_with(config, vec![Manner::Raw(b""); 4]).await;
    assert_eq!(causes(&net.post("/v1", call("1")).await).len(), 2);
    assert_eq!(
        net.suppliers
            .iter()
            .map(|supplier| supplier.hits())
            .sum::<usize>(),
        2
    );
}

#[tokio::test]
async fn leaves_a_supplier_alone_for_two_sessions_after_a_bad_signature() {
    let net = net_with(limits(), vec![Manner::ForeignKey, Manner::Honest]).await;
    until_tried(&net).await;
    for height in [5, 12, 20] {
        net.chain.advance_to(height);
        for _ in 0..20 {
            assert_eq!(net.post("/v1", call("1")).await.header("x-attempts"), Some("1"));
        }
    }
    assert_eq!(net.suppliers[0].hits(), 1);
    net.suppliers[0].behave(Manner::Honest);
    net.chain.advance_to(22);
    for _ in 0..200 {
        net.post("/v1", call("1")).await;
    }
    assert!(net.suppliers[0].hits() > 1, "it gets another chance");
}

#[tokio::test]
async fn signs_every_relay_whether_or_not_a_signature_was_made_ahead() {
    // More calls than are kept ready, one after the other and many at once; the suppliers verify each signature.
    let net = net_signing_ahead(vec![Manner::Honest; 3]).await;
    for _ in 0..50 {
        assert_eq!(net.post("/v1", call("1")).await.status, 200);
    }
    let answers = futures::future::join_all((0..100).map(|_| net.post("/v1", call("1")))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(
        net.suppliers
            .iter()
            .map(|supplier| supplier.hits())
            .sum::<usize>(),
        150
    );
}

#[tokio::test]
async fn prefers_suppliers_that_answer() {
    let net = net_with(limits(), vec![Manner::Raw(b""), Manner::Honest]).await;
    for _ in 0..100 {
        assert_eq!(net.post("/v1", call("1")).await.status, 200);
    }
    let tries = net.suppliers[0].hits();
    assert!(
        (1..30).contains(&tries),
        "{tries} of 100 calls tried the bad one first"
    );
}

#[tokio::test]
async fn leaves_an_exhausted_supplier_alone_for_a_while_that_grows() {
    let net = net_with(limits(), vec![Manner::MinerError("relayer_proxy", 7); 5]).await;
    // After one block each is tried again, then after two, then after four.
    for (height, hits) in [(1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (9, 4)] {
        net.chain.advance_to(height);
        for _ in 0..3 {
            let answer = net.post("/v1", call("1")).await;
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (503, "stake_exhausted")
            );
        }
        assert!(
            net.suppliers.iter().all(|supplier| supplier.hits() == hits),
            "each {hits} times up to block {height}"
        );
    }
    for supplier in &net.suppliers {
        supplier.behave(Manner::Honest);
    }
    assert_eq!(net.post("/v1", call("1")).await.status, 503);
    net.chain.advance_to(11);
    assert_eq!(
        net.post("/v1", call("1")).await.status,
        200,
        "the next session begins anew"
    );
}

const SEND: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x01"]}"#;

/// A supplier whose node takes a transaction and fails, and one whose node has it then; what a caller is told whose call went to both.
async fn sent_twice(second: &str) -> Value {
    let second = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-32000,"message":"{second}"}}}}"#);
    let failing = Manner::Backend(503, "down".to_owned());
    let net = net_with(config(), vec![failing, Manner::Backend(200, second)]).await;
    loop {
        let answer = net.post("/v1", SEND).await;
        if answer.header("x-attempts") == Some("2") {
            return answer.json();
        }
    }
}

#[tokio::test]
async fn a_transaction_that_was_sent_twice_is_answered_by_its_hash() {
    let hash = "0x5fe7f977e71dba2ea1a68e21057beebb9be2ac30c6410aa38d4f3fbe41dcffd2"; // Keccak-256 of 0x01
    let told = sent_twice("already known").await;
    assert_eq!((&told["id"], &told["result"]), (&1.into(), &hash.into()));
    // The node knows no such transaction: another one of the sender has its nonce.
    let told = sent_twice("nonce too low").await;
    assert_eq!(told["error"]["message"], "nonce too low");
    let told = sent_twice("intrinsic gas too low").await;
    assert_eq!(told["error"]["message"], "intrinsic gas too low");
}

#[tokio::test]
async fn a_transaction_that_was_sent_once_is_the_nodes_to_judge() {
    let known = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"already known"}}"#;
    let net = net_with(config(), vec![Manner::Backend(200, known.to_owned())]).await;
    let answer = net.post("/v1", SEND).await.json();
    assert_eq!(answer["error"]["message"], "already known");
}

#[tokio::test]
async fn a_momentary_refusal_costs_a_supplier_no_session() {
    let net = net_with(limits(), vec![Manner::MinerError("relayer_proxy", 7)]).await;
    assert_eq!(net.post("/v1", call("1")).await.reason(), "stake_exhausted");
    net.suppliers[0].behave(Manner::Honest);
    net.chain.advance_to(2);
    assert_eq!(net.post("/v1", call("1")).await.status, 200);
}

#[tokio::test]
async fn another_application_of_the_service_takes_over() {
    let (chain, suppliers) = staked(vec![Manner::Honest]).await;
    let second = |key| ApplicationConfig {
        address: None,
        service_id: service("eth"),
        key: Some(key),
    };
    let mut config = limits();
    config.applications.push(second(Secret::from(&key(33)))); // not staked
    let net = net_on(config, chain, suppliers).await;
    for _ in 0..10 {
        assert_eq!(net.post("/v1", call("1")).await.status, 200);
    }
}

#[tokio::test]
async fn relays_in_the_previous_session_while_suppliers_are_a_block_behind() {
    let net = net_with(limits(), vec![Manner::OnlySessionEnding(10); 3]).await;
    assert_eq!(net.post("/v1", call("1")).await.status, 200);
    net.chain.advance_to(11);
    for _ in 0..5 {
        let answer = net.post("/v1", call("1")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    net.chain.advance_to(12);
    assert_eq!(
        net.post("/v1", call("1")).await.reason(),
        "suppliers_failed",
        "its grace is over"
    );
}

#[tokio::test]
async fn answers_with_the_deadline_when_time_is_over() {
    let config = GatewayConfig {
        relay_timeout_ms: 900,
        attempt_timeout_ms: 600,
        ..config()
    };
    let net = net_with(config.clone(), vec![Manner::Silent; 3]).await;
    let answer = net.post("/v1", call("1")).await;
    assert_eq!((answer.status, answer.reason().as_str()), (504, "deadline"));
    assert_eq!(answer.json()["error"]["data"]["phase"], "supplier");
    assert_eq!(causes(&answer), ["timeout", "timeout"]);
    let net = net_with(config, vec![Manner::Honest]).await;
    net.chain.delay_sessions(std::time::Duration::from_secs(60));
    let answer = net.post("/v1", call("1")).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["data"]["phase"]),
        (504, &"session".into())
    );
}

#[tokio::test]
async fn passes_errors_of_the_chain_through_untouched() {
    let reverted =
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution reverted","data":"0x08c379a0"}}"#;
    let net = net(vec![
        Manner::Backend(200, reverted.to_owned()),
        Manner::Backend(200, reverted.to_owned()),
    ])
    .await;
    let answer = net.post("/v1", call("1")).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, reverted));
    assert_eq!(
        answer.header("x-attempts"),
        Some("1"),
        "another supplier would say the same"
    );
}

#[tokio::test]
async fn a_nodes_error_is_the_answer_whatever_its_status() {
    let said = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"internal"}}"#;
    let net = net(vec![Manner::Backend(500, said.to_owned()); 3]).await;
    let answer = net.post("/v1", call("1")).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, said));
    assert_eq!(answer.header("x-attempts"), Some("1"), "no other is asked");
    assert_eq!(net.metric("gateway_supplier_failures_total", ""), 0);
}

#[tokio::test]
async fn a_rate_limit_of_every_node_is_told_with_its_pause() {
    let said = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"slow down"}}"#;
    let limited = Manner::BackendWith(429, ("Retry-After", "7"), said.to_owned());
    let net = net(vec![limited.clone(), limited]).await;
    let answer = net.post("/v1", call("1")).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, said));
    assert_eq!(answer.header("retry-after"), Some("7"));
    let both = net.suppliers.iter().map(|s| s.address().to_string());
    let mut tried: Vec<_> = answer.header("x-suppliers-tried").unwrap().split(',').collect();
    assert_eq!(tried.first().copied(), answer.header("x-supplier-address"));
    tried.sort_unstable();
    let mut both: Vec<_> = both.collect();
    both.sort_unstable();
    assert_eq!(tried, both, "each once");
    assert_eq!(
        (answer.header("x-attempts"), answer.header("x-retry-count")),
        (Some("2"), Some("1"))
    );
}

#[tokio::test]
async fn a_rate_limit_without_json_is_told_with_its_pause() {
    let limited = Manner::BackendWith(429, ("Retry-After", "7"), "slow down".to_owned());
    let net = net(vec![limited]).await;
    let answer = net.post("/v1", call("1")).await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (502, "suppliers_failed")
    );
    assert_eq!(answer.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn a_nodes_refusal_without_an_id_is_told_under_the_callers() {
    for (status, said, told) in [
        (
            200,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Invalid request"}}"#,
        ),
        (
            400,
            r#"{"error":{"code":-32602,"message":"params"}}"#,
            r#"{"id":1,"error":{"code":-32602,"message":"params"}}"#,
        ),
    ] {
        let net = net(vec![Manner::Backend(status, said.to_owned()); 2]).await;
        let answer = net.post("/v1", call("1")).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, told));
        assert_eq!(answer.header("x-attempts"), Some("1"), "no other is asked");
        assert_eq!(
            net.metric("gateway_supplier_failures_total", ""),
            0,
            "nobody is blamed"
        );
    }
}

#[tokio::test]
async fn answers_beyond_a_limit_are_not_asked_for_again() {
    let large = format!("{{\"id\":1,\"result\":\"{}\"}}", "x".repeat(5_000));
    for manner in [
        Manner::Backend(200, large),
        Manner::MinerError("relayer_proxy", 12),
        Manner::HttpError(502, "backend response too large: larger than 4000 bytes"),
    ] {
        let net = net_with(limits(), vec![manner.clone(); 3]).await;
        for _ in 0..10 {
            let answer = net.post("/v1", call("1")).await;
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (502, "response_too_large"),
                "{manner:?}"
            );
            assert_eq!(causes(&answer), ["response_too_large"], "{manner:?}");
            assert_eq!(answer.json()["error"]["data"]["retryable"], false);
        }
        let tried = net.suppliers.iter().filter(|supplier| supplier.hits() > 0);
        assert!(tried.count() > 1, "none loses its rank for it");
    }
}

#[tokio::test]
async fn shows_the_beginning_of_what_a_node_said_instead_of_an_answer() {
    let long = format!("<html>no such key: {}</html>", "x".repeat(10_000));
    let net = net(vec![Manner::Backend(401, long)]).await;
    let answer = net.post("/v1", call("1")).await;
    let detail = answer.json()["error"]["data"]["attempts"][0]["detail"].clone();
    let detail = detail.as_str().unwrap();
    assert!(
        detail.contains("401") && detail.contains("<html>no such key: x"),
        "{detail}"
    );
    assert!(answer.text.len() < 1_500, "{} bytes", answer.text.len());
}

#[tokio::test]
async fn shows_what_a_supplier_said_but_no_bytes_that_are_no_relay_answer() {
    for (manner, shown) in [
        (Manner::MinerError("relayer_proxy", 5), "refused by the test"),
        (
            Manner::HttpError(502, "backend service error"),
            "backend service error",
        ),
    ] {
        let net = net(vec![manner]).await;
        let answer = net.post("/v1", call("1")).await;
        let detail = answer.json()["error"]["data"]["attempts"][0]["detail"].clone();
        assert!(detail.as_str().unwrap().contains(shown), "{detail}");
    }
    let net = net(vec![Manner::Raw(b"root:x:0:0:secret of another host")]).await;
    assert!(!net.post("/v1", call("1")).await.text.contains("secret"));
}

#[tokio::test]
async fn a_retry_after_the_sessions_end_opens_the_current_session() {
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let net = net_with(limits(), vec![Manner::SealsOthersThan(20, barrier.clone()); 3]).await;
    let slow = net.post("/v1", call("1"));
    let rollover = async {
        while net.suppliers.iter().all(|supplier| supplier.hits() == 0) {
            tokio::task::yield_now().await;
        }
        net.chain.advance_to(12); // the session ended at 10, its grace at 11
        loop {
            barrier.wait().await; // later attempts in the dead session would be refused as well
        }
    };
    let answer = tokio::select! {
        answer = slow => answer,
        _ = rollover => unreachable!("it never ends"),
    };
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("x-attempts"), Some("2"));
}

#[tokio::test]
async fn a_supplier_that_others_outdo_is_asked_last() {
    let net = net(vec![
        Manner::Backend(404, "<html>no such page</html>".to_owned()),
        Manner::Honest,
    ])
    .await;
    for _ in 0..100 {
        assert_eq!(net.post("/v1", call("1")).await.status, 200);
    }
    let tries = net.suppliers[0].hits();
    assert!(
        (1..30).contains(&tries),
        "{tries} of 100 calls tried the bad one first"
    );
}

#[tokio::test]
async fn no_call_lowers_suppliers_scores() {
    let bad = Manner::Backend(404, "<html>no such page</html>".to_owned());
    let config = GatewayConfig {
        max_attempts: 1,
        ..config()
    };
    let net = net_with(config, vec![bad, Manner::Honest, Manner::Honest]).await;
    // All these calls fail at the first supplier alone: the others are never asked to do better.
    for _ in 0..60 {
        net.post("/v1", call("1")).await;
    }
    net.suppliers[0].behave(Manner::Honest);
    let before = net.suppliers[0].hits();
    for _ in 0..90 {
        assert_eq!(net.post("/v1", call("1")).await.status, 200);
    }
    let after = net.suppliers[0].hits() - before;
    assert!(after > 15, "only {after} of 90 calls came back to it");
}

#[tokio::test]
async fn counts_callers_that_go_away() {
    let net = net(vec![Manner::Silent]).await;
    tokio::select! {
        _ = net.post("/v1", call("1")) => panic!("nobody answers"),
        () = async { while net.suppliers[0].hits() == 0 { tokio::task::yield_now().await } } => {}
    }
    while net.metric("gateway_relays_total", "client_gone") == 0 {
        tokio::task::yield_now().await;
    }
}

/// A network whose only supplier is reached through a proxy that closes connections after so many requests.
async fn net_behind_a_closing_proxy(served: usize) -> (Net, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let (chain, _) = staked(vec![]).await;
    let supplier = support::supplier(support::FIRST_SUPPLIER, Manner::Honest).await;
    let (url, connections) = support::closing_proxy(&supplier, served).await;
    let rpc_type = portico_protocol::wire::pocket::shared::RpcType::JsonRpc;
    chain.stake_supplier(supplier.key.public_key(), &service("eth"), &url, rpc_type);
    (net_on(config(), chain, vec![supplier]).await, connections)
}

#[tokio::test]
async fn a_reused_connection_that_ends_is_replaced_without_an_attempt() {
    let (net, connections) = net_behind_a_closing_proxy(1).await;
    for expected in [1, 2, 3] {
        let answer = net.post("/v1", call("1")).await;
        assert_eq!(
            (answer.status, answer.header("x-attempts")),
            (200, Some("1")),
            "{}",
            answer.text
        );
        assert_eq!(net.suppliers[0].hits(), expected, "no request is served twice");
    }
    assert!(connections.load(std::sync::atomic::Ordering::SeqCst) >= 2);
    assert_eq!(net.metric("gateway_supplier_failures_total", ""), 0);
}

#[tokio::test]
async fn a_fresh_connection_that_ends_is_the_suppliers_fault() {
    let (net, connections) = net_behind_a_closing_proxy(0).await;
    let answer = net.post("/v1", call("1")).await;
    assert_eq!(causes(&answer), ["connection_lost"]);
    assert_eq!(
        connections.load(std::sync::atomic::Ordering::SeqCst),
        1,
        "asked once"
    );
}

#[tokio::test]
async fn suppliers_on_private_addresses_are_refused_where_that_is_asked_for() {
    let config = GatewayConfig {
        refuse_private_suppliers: Some(true),
        ..limits()
    };
    let (chain, suppliers) = staked(vec![Manner::Honest]).await;
    let net = net_on(config.clone(), chain.clone(), suppliers).await;
    let answer = net.post("/v1", call("1")).await;
    assert_eq!(causes(&answer), ["connect"]);
    assert!(answer.text.contains("private address"), "{}", answer.text);

    // By a name, too: it is resolved when the connection is made.
    let url = net.suppliers[0].url.replace("127.0.0.1", "localhost");
    let rpc_type = portico_protocol::wire::pocket::shared::RpcType::JsonRpc;
    let (chain, _) = staked(vec![]).await;
    chain.stake_supplier(
        key(support::FIRST_SUPPLIER).public_key(),
        &service("eth"),
        &url,
        rpc_type,
    );
    let by_name = net_on(config, chain.clone(), vec![]).await;
    let answer = by_name.post("/v1", call("1")).await;
    assert_eq!(causes(&answer), ["connect"]);
    assert!(answer.text.contains("private address"), "{}", answer.text);
    assert_eq!(net.suppliers[0].hits(), 0);
    let reachable = net_on(limits(), chain, vec![]).await;
    assert_eq!(reachable.post("/v1", call("1")).await.status, 200);
}
