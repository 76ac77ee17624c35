//! Receipts: asked for, verified, and handed to the caller with what it takes to check them.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use portico_gateway::{OneCall, relay_once};
use portico_protocol::PublicKey;
use portico_protocol::receipt;
use portico_protocol::wire::pocket::service::{RelayRequest, RelayRequestMetadata, RelayResponse};
use support::{Answer, Manner, Net, call, config, net, net_with, service, staked};

const ASKED: [(&str, &str); 1] = [("Pocket-Sign-Receipt", "true")];

/// Headers that come with a receipt, and with nothing else.
const WITH_RECEIPT: [&str; 4] = [
    "pocket-relay-receipt",
    "x-request-signature",
    "x-payload-hash",
    "x-supplier-public-key",
];

/// Checks a receipt as a caller can, by the answer's headers alone.
fn verified_by_the_caller(answer: &Answer) -> bool {
    let bytes = |name| hex::decode(answer.header(name).unwrap()).unwrap();
    let key = PublicKey::from_slice(&bytes("x-supplier-public-key")).unwrap();
    assert_eq!(
        answer.header("x-supplier-address"),
        Some(key.address().to_string().as_str())
    );
    let meta = RelayRequestMetadata {
        signature: bytes("x-request-signature"),
        ..Default::default()
    };
    let request = RelayRequest {
        meta: Some(meta),
        ..Default::default()
    };
    let response = RelayResponse {
        payload_hash: bytes("x-payload-hash"),
        ..Default::default()
    };
    let receipt = answer.header("pocket-relay-receipt").unwrap();
    receipt::verify(receipt, &request, &response, &key).is_ok()
}

fn assert_without_receipt(answer: &Answer, status: Option<&str>) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("x-receipt-status"), status);
    for name in WITH_RECEIPT {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

async fn asking(net: &Net) -> Answer {
    net.post_with("/v1/eth", call("1"), &ASKED).await
}

#[tokio::test]
async fn a_caller_who_asks_gets_a_receipt_and_can_check_it() {
    let net = net(vec![Manner::Receipt(None)]).await;
    let answer = asking(&net).await;
    assert_eq!(
        (answer.status, answer.header("x-receipt-status")),
        (200, Some("verified"))
    );
    assert!(verified_by_the_caller(&answer));
    assert_eq!(net.metric("gateway_receipts_total", "verified"), 1);
}

#[tokio::test]
async fn suppliers_sign_no_receipt_that_nobody_asked_for() {
    let net = net(vec![Manner::Receipt(None)]).await;
    for headers in [&[][..], &[("Pocket-Sign-Receipt", "1")]] {
        let answer = net.post_with("/v1/eth", call("1"), headers).await;
        assert_without_receipt(&answer, None);
    }
    assert_eq!(net.metric("gateway_receipts_total", ""), 0);
}

#[tokio::test]
async fn an_answer_without_a_receipt_is_served_and_says_so() {
    let net = net(vec![Manner::Honest]).await;
    assert_without_receipt(&asking(&net).await, Some("missing"));
    assert_eq!(net.metric("gateway_receipts_total", "missing"), 1);
    assert_eq!(net.suppliers[0].hits(), 1);
}

#[tokio::test]
async fn a_receipt_that_does_not_verify_is_never_handed_on() {
    let of_another_relay = "v1.9e0313ad5e2172e514d9aa481ab4690b0dc4696b998582d020e649d7e6e22789\
                            0ba2d584d5c74ecb8f9cdb0fd83638c3db066a393ff262aa93e3c4d814e2c3bc";
    let wrong = ["", "v1.", "v2.00", "true", of_another_relay];
    for text in wrong {
        let net = net(vec![Manner::Receipt(Some(text)), Manner::Receipt(Some(text))]).await;
        assert_without_receipt(&asking(&net).await, Some("invalid"));
        assert_eq!(net.metric("gateway_receipts_total", "invalid"), 1, "{text}");
        let hits: usize = net.suppliers.iter().map(|supplier| supplier.hits()).sum();
        assert_eq!(hits, 1, "the call is not relayed again for a receipt");
    }
}

#[tokio::test]
async fn the_calls_of_a_batch_get_no_receipts() {
    let net = net(vec![Manner::Receipt(None)]).await;
    let batch = format!("[{},{}]", call("1"), call("2"));
    let answer = net.post_with("/v1/eth", batch, &ASKED).await;
    assert_without_receipt(&answer, Some("batch"));
    assert_eq!(net.metric("gateway_receipts_total", ""), 0);
}

#[tokio::test]
async fn a_configuration_can_ask_for_every_call() {
    let mut config = config();
    config.request_receipts = true;
    let net = net_with(config, vec![Manner::Receipt(None)]).await;
    assert!(verified_by_the_caller(&net.post("/v1/eth", call("1")).await));
}

#[tokio::test]
async fn a_tool_can_ask_for_a_receipt() {
    let (chain, _suppliers) = staked(vec![Manner::Receipt(None)]).await;
    let one = OneCall {
        service: service("eth"),
        path: String::new(),
        body: call("7").into(),
        wants_receipt: true,
    };
    let relayed = relay_once(&config(), chain, one).await.unwrap();
    let receipt = relayed.receipt.verified().unwrap();
    assert_eq!(receipt.supplier.address(), relayed.supplier);
    assert!(relayed.checks.iter().any(|check| check.name == "receipt"));
}
