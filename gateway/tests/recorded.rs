//! Every request over plain HTTP that was recorded of PATH and pocket-ap (`testdata/go-wire-transports/gateways.json`), sent to our gateway: what a
//! supplier is asked for it, and what its caller gets of what the backend said then.
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use std::collections::BTreeMap;

use http::Method;
use portico_config::gateway::{GatewayConfig, ServiceConfig};
use portico_protocol::wire::pocket::shared::RpcType;
use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use portico_relay::content_encoding;
use serde::Deserialize;
use support::{Manner, Net, config, net_on, service, staked_for};

const RECORDED: &str = include_str!("../../testdata/go-wire-transports/gateways.json");
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[allow(dead_code)]
    what: String,
    called: Option<Called>,
    #[allow(dead_code)]
    answered: Option<u16>,
    relays: Vec<Relay>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Called {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Relay {
    rpc_type: i32,
    payload: Payload,
    backend: Option<Backend>,
    refused: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    method: String,
    url: String,
    headers: BTreeMap<String, Vec<String>>,
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Backend {
    status: u32,
    headers: BTreeMap<String, Vec<String>>,
    body: String,
}

impl Backend {
    fn response(&self) -> PokthttpResponse {
        let header = |(name, values): (&String, &Vec<String>)| {
            let (key, values) = (name.clone(), values.clone());
            (key.clone(), Header { key, values })
        };
        PokthttpResponse {
            status_code: self.status,
            header: self.headers.iter().map(header).collect(),
            body_bz: hex::decode(&self.body).unwrap().into(),
        }
    }
}

#[tokio::test]
async fn every_recorded_request_is_relayed_as_called() {
    let special = ServiceConfig {
        forward_headers: vec!["X-Api".to_owned()],
        ..ServiceConfig::default()
    };
    let config = GatewayConfig {
        services: [(service("eth"), special)].into(),
        max_attempts: 1,
        ..config()
    };
    let (chain, suppliers) = staked_for(&[RpcType::JsonRpc, RpcType::Rest, RpcType::CometBft]).await;
    let net = net_on(config, chain, suppliers).await;
    let cases: Vec<Case> = serde_json::from_str(RECORDED).unwrap();
    assert_eq!(cases.len(), 127);
    let mut relayed = 0;
    for case in &cases {
        // What has no caller or no relay was recorded of the miners alone, or is PATH's own refusal.
        let Some(called) = &case.called else {
            assert!(
                case.relays.iter().all(|relay| (3..=5).contains(&relay.rpc_type)),
                "{}",
                case.name
            );
            continue;
        };
        relayed += usize::from(check(&net, case, called).await);
    }
    assert_eq!(relayed, 112, "cases that were relayed");
}

/// Sends one case; whether it was relayed.
async fn check(net: &Net, case: &Case, called: &Called) -> bool {
    let name = &case.name;
    let of_path = name.contains("-path-");
    let path = match of_path {
        true => called.url.clone(),
        false => format!("/v1{}", called.url),
    };
    for supplier in &net.suppliers {
        supplier.seen.lock().unwrap().clear();
        supplier.kinds.lock().unwrap().clear();
        let manner = match case.relays.first() {
            Some(Relay {
                backend: Some(backend),
                ..
            }) => Manner::Response(backend.response()),
            Some(Relay {
                refused: Some(status),
                ..
            }) => Manner::HttpError(*status, "backend service error"),
            _ => Manner::Honest,
        };
        supplier.behave(manner);
    }
    let method: Method = called.method.parse().unwrap();
    let mut request = net.client.request(method, format!("{}{path}", net.url));
    for (field, value) in &called.headers {
        let ours = [
            "host",
            "connection",
            "content-length",
            "transfer-encoding",
            "target-service-id",
        ];
        if !ours.contains(&field.to_ascii_lowercase().as_str()) {
            request = request.header(field, value);
        }
    }
    let asked_for_service = !name.ends_with("-no-service") && !name.ends_with("-unknown-service");
    request = request.header(
        "target-service-id",
        if asked_for_service { "eth" } else { "nosuch" },
    );
    let kind = case.relays.first().map_or(3, |relay| relay.rpc_type);
    if !of_path && kind != 3 {
        request = request.header("rpc-type", if kind == 4 { "rest" } else { "comet_bft" }); // pocket-ap's listeners have one kind each
    }
    let response = request
        .body(hex::decode(&called.body).unwrap())
        .send()
        .await
        .unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = response.bytes().await.unwrap();
    if let Some(encoding) = headers.get("content-encoding") {
        let mut asked = called.headers.iter();
        assert!(
            asked.any(|(field, _)| field.eq_ignore_ascii_case("accept-encoding")),
            "{name}: nobody asked"
        );
        body = content_encoding::decode([encoding.to_str().unwrap()], body, 1 << 20).unwrap();
    }

    let seen: Vec<_> = net
        .suppliers
        .iter()
        .map(|supplier| supplier.seen.lock().unwrap().clone())
        .collect();
    let count: usize = seen.iter().map(Vec::len).sum();
    if !asked_for_service {
        assert_eq!((status, count), (404, 0), "{name}");
        return false;
    }
    // JSON-RPC that cannot be read is told so here, and not relayed.
    if name.ends_with("-batch-empty") || name.ends_with("-not-json") {
        assert_eq!((status, count), (400, 0), "{name}");
        return false;
    }
    if case.relays.is_empty() {
        return count > 0; // PATH had no endpoint left
    }
    // pocket-ap relays a batch as one, PATH and we call by call.
    let calls = name.contains("-batch") && kind == 3;
    assert!(
        count == case.relays.len().max(1) || calls,
        "{name}: {count} relays"
    );
    let recorded = &case.relays[0];
    let compressed = name.ends_with("-request-gzip"); // PATH takes it for REST; ours is decoded first
    let supplier = match (compressed, recorded.rpc_type) {
        (true, _) | (_, 3) => 0,
        (_, 4) => 1,
        _ => 2,
    };
    let asked = seen[supplier]
        .first()
        .unwrap_or_else(|| panic!("{name}: another kind was asked"));
    assert_eq!(
        net.suppliers[supplier].kinds.lock().unwrap()[0],
        (supplier + 3).to_string(),
        "{name}"
    );
    assert_eq!(asked.method, recorded.payload.method, "{name}");
    let target = path.strip_prefix("/v1").unwrap();
    let target = if target == "/" { "" } else { target };
    assert_eq!(
        asked.url,
        format!("{}{target}", net.suppliers[supplier].url),
        "{name}: as called"
    );
    // What PATH and pocket-ap made of it differs only in what they lose: PATH the query, and escapes of the path.
    let theirs = recorded.payload.url.splitn(4, '/').nth(3).unwrap_or_default();
    let same = theirs.trim_end_matches('/') == target.trim_start_matches('/');
    assert!(same || of_path, "{name}: {theirs}");
    if !calls && !compressed {
        assert_eq!(hex::encode(&asked.body_bz), recorded.payload.body, "{name}");
    }
    for (field, header) in &asked.header {
        if field == "Accept" && header.values == ["*/*"] {
            continue; // our client says so by itself
        }
        let given = called
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(field));
        let given: Vec<_> = given.map(|(_, value)| value.clone()).collect();
        let constant = supplier != 1 && field == "Content-Type";
        assert!(header.values == given || constant, "{name}: {field}");
        assert!(
            recorded.payload.headers.contains_key(field) || of_path,
            "{name}: {field}"
        );
        let held_back = [
            "Authorization",
            "Cookie",
            "Connection",
            "Te",
            "Content-Length",
            "Accept-Encoding",
        ];
        assert!(
            !held_back.contains(&field.as_str()) && !field.starts_with("Pocket-"),
            "{name}: {field}"
        );
    }
    answered(name, supplier, recorded, status, &headers, &body);
    true
}

/// What the caller got of what the backend said.
fn answered(
    name: &str,
    supplier: usize,
    recorded: &Relay,
    status: u16,
    headers: &http::HeaderMap,
    body: &[u8],
) {
    let Some(backend) = &recorded.backend else {
        if !name.ends_with("-head") {
            assert_eq!(status, 502, "{name}: the supplier refused");
        }
        return;
    };
    if supplier == 0 || recorded.payload.method == "POST" && supplier == 2 {
        return; // JSON-RPC: the recorded backend echoes, which is no answer to a call
    }
    assert_eq!(u32::from(status), backend.status, "{name}");
    let encoded = backend
        .headers
        .keys()
        .any(|key| key.eq_ignore_ascii_case("content-encoding"));
    if !encoded {
        assert_eq!(hex::encode(body), backend.body, "{name}");
    }
    let content_type = backend
        .headers
        .get("Content-Type")
        .map(|values| values[0].as_str());
    let ours = headers.get("content-type").map(|value| value.to_str().unwrap());
    assert_eq!(ours, content_type, "{name}");
    assert!(!headers.contains_key("x-backend"), "{name}: it is on no list");
}
