//! Answers that come piece by piece: what callers see of suppliers' streams, well and ill.
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use std::time::Duration;

use portico_config::gateway::GatewayConfig;
use portico_protocol::wire::pocket::shared::RpcType;
use support::{Manner, Net, Streamed, call, config, events, net_on, staked_for};

/// Time for what must come.
const SOON: Duration = Duration::from_secs(60);

async fn net(config: GatewayConfig, manners: &[Streamed]) -> Net {
    let (chain, suppliers) = staked_for(&vec![RpcType::Rest; manners.len()]).await;
    let net = net_on(config, chain, suppliers).await;
    for (supplier, how) in net.suppliers.iter().zip(manners) {
        supplier.behave(Manner::Stream(how.clone()));
    }
    net
}

async fn open(net: &Net) -> reqwest::Response {
    let get = net.client.get(format!("{}/v1/eth/events", net.url));
    get.header("accept", "text/event-stream").send().await.unwrap()
}

/// All bytes, and whether they ended in order.
async fn read(mut response: reqwest::Response) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        match tokio::time::timeout(SOON, response.chunk()).await.unwrap() {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return (bytes, true),
            Err(_) => return (bytes, false),
        }
    }
}

fn first(count: usize) -> Vec<u8> {
    events()[..count].concat()
}

async fn ended(net: &Net, reason: &str) {
    let reached = async {
        while net.metric("gateway_streams_ended_total", reason) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, reached).await.unwrap();
    assert_eq!(net.metric("gateway_streams", ""), 0);
}

#[tokio::test]
async fn a_caller_gets_what_the_backend_said_in_either_framing() {
    for how in [Streamed::Well, Streamed::AsGo] {
        let net = net(config(), std::slice::from_ref(&how)).await;
        let response = open(&net).await;
        assert_eq!(response.status(), 200);
        let headers = response.headers();
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(
            headers["x-supplier-address"],
            net.suppliers[0].address().to_string()
        );
        assert!(!headers.contains_key("x-relay-id"), "there is no relay yet");
        assert_eq!(read(response).await, (first(5), true), "{how:?}");
        ended(&net, "complete").await;
    }
}

#[tokio::test]
async fn events_are_passed_on_as_they_come_and_a_caller_that_leaves_ends_them() {
    let net = net(config(), &[Streamed::Stalls]).await;
    let mut response = open(&net).await;
    let mut bytes = Vec::new();
    while bytes != first(2) {
        bytes.extend_from_slice(&response.chunk().await.unwrap().unwrap());
    }
    assert_eq!(net.metric("gateway_streams", ""), 1);
    drop(response);
    ended(&net, "caller_gone").await;
}

#[tokio::test]
async fn nothing_unverified_is_passed_on_and_what_is_cut_off_breaks_off() {
    for (how, said, reason) in [
        (Streamed::LeavesOut, 1, "bad_payload"),
        (Streamed::TurnsForeign, 2, "signature"),
        (Streamed::EndsEarly, 2, "connection_lost"),
        (Streamed::Cut, 2, "miner_error"),
    ] {
        let net = net(config(), std::slice::from_ref(&how)).await;
        let (bytes, in_order) = read(open(&net).await).await;
        assert_eq!((bytes, in_order), (first(said), false), "{how:?}");
        ended(&net, reason).await;
        assert_eq!(net.metric("gateway_supplier_failures_total", reason), 1);
    }
}

#[tokio::test]
async fn until_the_first_message_another_supplier_is_tried() {
    let net = net(config(), &[Streamed::ForeignKey, Streamed::Well]).await;
    for _ in 0..4 {
        let response = open(&net).await;
        assert_eq!(
            response.headers()["x-supplier-address"],
            net.suppliers[1].address().to_string()
        );
        assert_eq!(read(response).await, (first(5), true));
    }
}

#[tokio::test]
async fn silence_and_too_much_end_a_stream() {
    let impatient = GatewayConfig {
        stream_idle_timeout_ms: 50,
        ..config()
    };
    let stalled = net(impatient, &[Streamed::Stalls]).await;
    assert_eq!(read(open(&stalled).await).await, (first(2), false));
    ended(&stalled, "timeout").await;
    let bounded = GatewayConfig {
        max_stream_bytes: 40,
        ..config()
    };
    let bounded = net(bounded, &[Streamed::Well]).await;
    assert_eq!(read(open(&bounded).await).await, (first(2), false));
    ended(&bounded, "response_too_large").await;
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    let one = GatewayConfig {
        max_streams: 1,
        ..config()
    };
    let net = net(one, &[Streamed::Stalls]).await;
    let held = open(&net).await;
    let refused = open(&net).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.text().await.unwrap().contains("overloaded"));
    drop(held);
    ended(&net, "caller_gone").await;
    assert_eq!(open(&net).await.status(), 200);
}

#[tokio::test]
async fn a_json_rpc_call_may_be_answered_by_events_where_its_caller_takes_them() {
    let (chain, suppliers) = staked_for(&[RpcType::JsonRpc]).await;
    let net = net_on(config(), chain, suppliers).await;
    net.suppliers[0].behave(Manner::Stream(Streamed::Well));
    let post = net.client.post(format!("{}/v1/eth", net.url)).body(call("1"));
    let response = post
        .header("accept", "application/json, text/event-stream")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(read(response).await, (first(5), true));
    // Who does not say so is answered as ever.
    net.suppliers[0].behave(Manner::Honest);
    let answer = net.post("/v1/eth", call("1")).await;
    assert_eq!(
        (answer.status, answer.json()["result"].as_str()),
        (200, Some("eth_blockNumber"))
    );
}
