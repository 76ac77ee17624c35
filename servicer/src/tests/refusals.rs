//! Refusals beside those that were recorded of the HA relay miner (`testdata/go-wire-transports`).

use portico_config::servicer::RpcType;
use portico_protocol::relay::sign_request;
use portico_protocol::ring::Ring;
use portico_relay::refusal::Reason;

use super::*;

const RECORDED: &str = include_str!("../../../testdata/go-wire-transports/refusals.json");

fn ha_status(case: &str) -> u64 {
    let recorded: serde_json::Value = serde_json::from_str(RECORDED).unwrap();
    recorded["ha"][case]["status"].as_u64().unwrap()
}

/// A case of the recording, and how a request is made wrong in the same way.
type Case = (&'static str, fn(&World, &mut RelayRequest));

const CASES: [Case; 17] = [
    ("app-unknown", |_, request| {
        header(request).application_address = key(9).address().to_string();
    }),
    ("no-session-header", |_, request| {
        meta(request).session_header = None
    }),
    ("no-signature", |_, request| meta(request).signature.clear()),
    ("no-supplier", |_, request| {
        meta(request).supplier_operator_address.clear()
    }),
    ("payload-changed", |_, request| {
        request.payload = payload("/", "other")
    }),
    ("payload-not-http", |world, request| {
        *request = signed(
            world,
            world.application.public_key(),
            Bytes::from_static(b"\xff\xff"),
        );
    }),
    ("ring-of-other-app", |world, request| {
        *request = signed(world, key(9).public_key(), payload("/", "x"));
    }),
    ("service-unknown", |_, request| {
        header(request).service_id = "no-such-svc".into();
    }),
    ("session-expired", |world, request| {
        *header(request) = world.chain.header(1, SERVICE);
    }),
    ("session-far-future", |_, request| {
        header(request).session_start_block_height += 20_000;
        header(request).session_end_block_height += 20_000;
    }),
    ("session-future", |_, request| {
        header(request).session_start_block_height += 10;
        header(request).session_end_block_height += 10;
    }),
    ("session-heights-inverted", |_, request| {
        let header = header(request);
        std::mem::swap(
            &mut header.session_start_block_height,
            &mut header.session_end_block_height,
        );
    }),
    ("session-id-empty", |_, request| {
        header(request).session_id.clear()
    }),
    ("session-id-wrong", |_, request| {
        header(request).session_id = "ab".repeat(32);
    }),
    ("signature-flipped-c", |_, request| {
        meta(request).signature[40] ^= 1
    }),
    ("signature-short", |_, request| {
        meta(request).signature.truncate(50)
    }),
    ("supplier-not-ours", |_, request| {
        meta(request).supplier_operator_address = key(9).address().to_string();
    }),
];

fn meta(request: &mut RelayRequest) -> &mut portico_protocol::wire::pocket::service::RelayRequestMetadata {
    request.meta.as_mut().unwrap()
}

fn header(request: &mut RelayRequest) -> &mut SessionHeader {
    meta(request).session_header.as_mut().unwrap()
}

/// Signed by the gateway, in a ring with `other`.
fn signed(world: &World, other: portico_protocol::PublicKey, payload: Bytes) -> RelayRequest {
    let ring = Ring::new(vec![other, world.gateway.public_key()]).unwrap();
    let supplier = world.supplier().to_string();
    sign_request(
        &world.header(),
        &supplier,
        payload,
        &ring,
        &world.gateway,
        &mut rng(),
    )
    .unwrap()
}

#[tokio::test]
async fn wrong_requests_are_refused_with_the_ha_miners_status() {
    let world = World::start().await;
    world.go_to(25).await;
    for (case, change) in CASES {
        let mut request = world.request("/", case);
        change(&world, &mut request);
        let refused = world.refused(&request).await;
        assert_eq!(u64::from(refused.status), ha_status(case), "{case}: {refused:?}");
    }
    let whole = world.request("/", "x").encode_to_vec();
    for (case, body) in [
        ("malformed", b"\xff\xff\xff".to_vec()),
        ("json-body", b"{\"jsonrpc\":\"2.0\"}".to_vec()),
        ("empty-body", Vec::new()),
        ("truncated", whole[..whole.len() / 2].to_vec()),
    ] {
        let refused = Refused::read(world.post(body).await).await;
        assert_eq!(u64::from(refused.status), ha_status(case), "{case}: {refused:?}");
    }
    assert_eq!(world.backend.hits(), 0);
}

/// A service that is only WebSockets, say, has no node for anything else.
#[tokio::test]
async fn relays_of_a_type_without_a_node_are_refused() {
    let mut world = World::without_servicer().await;
    let mut config = world.config();
    let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
    let backend = std::mem::take(&mut service.backend);
    service.rpc_types.insert(RpcType::Rest, backend);
    world.run(config);
    world.go_to(25).await;
    let refused = world.refused(&world.request("/", "x")).await;
    assert_eq!((refused.status, world.backend.hits()), (503, 0), "{refused:?}");
    assert!(
        refused.error.contains("json_rpc is not served for this service"),
        "{refused:?}"
    );
}

#[test]
fn the_table_has_the_ha_miners_statuses() {
    for (case, reason) in [
        ("over-serviced", Reason::OverServiced),
        ("body-too-large", Reason::RequestTooLarge),
        ("backend-down", Reason::BackendUnreachable),
        ("backend-closes", Reason::BackendUnreachable),
        ("timeout", Reason::BackendTimeout),
        ("rpc-type-abc", Reason::RpcType),
    ] {
        assert_eq!(u64::from(reason.row().http), ha_status(case), "{case}");
    }
}
