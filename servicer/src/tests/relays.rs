//! The relay endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use portico_config::servicer::{BackendConfig, RpcType};
use portico_protocol::relay::{MinedRelay, sign_request};
use portico_protocol::ring::Ring;
use portico_protocol::tx::pack;
use portico_protocol::wire::pocket::application::MsgDelegateToGateway;
use portico_protocol::wire::pocket::service::{RelayRequest, RelayResponse};
use portico_protocol::wire::sdk::types::{Header, PokthttpRequest};
use prost::Message;

use super::*;

#[tokio::test]
async fn serves_a_relay_and_records_exactly_what_was_sent() {
    let world = World::start().await;
    let request = world.request("/v1?x=1", "hello");
    let response = world.send(&request).await;
    let answer = PokthttpResponse::decode(response.payload.clone()).unwrap();
    assert_eq!((answer.status_code, &answer.body_bz[..]), (200, &b"hello"[..]));
    assert_eq!(answer.header["X-Path"].values, ["/v1?x=1"]);
    portico_protocol::relay::verify_response(&response, &world.header(), &world.suppliers[0].public_key())
        .unwrap();

    let row = world.row();
    assert_eq!(
        (
            row.validated,
            row.served,
            row.applicable,
            row.committed,
            row.unpaid
        ),
        (1, 1, 1, 1, 0)
    );
    assert_eq!(row.committed_compute_units, UNITS);
    let leaves = world
        .running()
        .handle
        .leaves(&row.session_id, &row.supplier)
        .unwrap();
    let sent = MinedRelay::new(&request, &response);
    assert_eq!(
        (leaves[0].key, &leaves[0].relay, leaves[0].weight),
        (sent.hash, &sent.bytes, UNITS)
    );
}

/// What is wrong with a request, how it is made so, and the status and words it is refused with; in the order of the checks.
type Case = (&'static str, fn(&World, &mut RelayRequest), (u16, &'static str));

const CASES: [Case; 13] = [
    (
        "no header",
        |_, request| meta(request).session_header = None,
        (400, "invalid relay request: no session header"),
    ),
    (
        "no supplier",
        |_, request| meta(request).supplier_operator_address.clear(),
        (400, "invalid relay request: no supplier"),
    ),
    (
        "unknown service",
        |_, request| header(request).service_id = "other".into(),
        (404, "unknown service"),
    ),
    (
        "another supplier's",
        |_, request| meta(request).supplier_operator_address = key(9).address().to_string(),
        (503, "supplier not served here"),
    ),
    (
        "no signature",
        |_, request| meta(request).signature.clear(),
        (403, "relay validation failed: missing application signature"),
    ),
    (
        "heights off the grid",
        |_, request| {
            header(request).session_start_block_height = 2;
            header(request).session_end_block_height = 11;
        },
        (403, "neither active nor"),
    ),
    (
        "wrong end",
        |_, request| header(request).session_end_block_height = 20,
        (403, "neither active nor"),
    ),
    (
        "a session of the future",
        |world, request| *header(request) = world.chain.header(11, SERVICE),
        (403, "neither active nor"),
    ),
    (
        "unknown application",
        |_, request| header(request).application_address = key(9).address().to_string(),
        (403, "the chain has no such session"),
    ),
    (
        "wrong session id",
        |_, request| header(request).session_id = "ab".repeat(32),
        (403, "differs from the chain's in session_id"),
    ),
    (
        "another ring",
        |world, request| {
            let ring = Ring::new(vec![key(8).public_key(), key(9).public_key()]).unwrap();
            let supplier = world.supplier().to_string();
            let signed = sign_request(
                &world.header(),
                &supplier,
                payload("/", "x"),
                &ring,
                &key(9),
                &mut rng(),
            );
            meta(request).signature = signed.unwrap().meta.unwrap().signature;
        },
        (403, "belongs neither to the application"),
    ),
    (
        "tampered payload",
        |_, request| request.payload = payload("/", "tampered"),
        (403, "relay validation failed: ring"),
    ),
    (
        "tampered signature",
        |_, request| *meta(request).signature.last_mut().unwrap() ^= 1,
        (403, "relay validation failed: ring"),
    ),
];

fn meta(request: &mut RelayRequest) -> &mut portico_protocol::wire::pocket::service::RelayRequestMetadata {
    request.meta.as_mut().unwrap()
}

fn header(request: &mut RelayRequest) -> &mut SessionHeader {
    meta(request).session_header.as_mut().unwrap()
}

#[tokio::test]
async fn refuses_every_wrong_request_before_the_backend_is_touched() {
    let world = World::start().await;
    for (name, change, (status, words)) in CASES {
        let mut request = world.request("/", name);
        change(&world, &mut request);
        world.refused(&request).await.is(status, words);
        assert_eq!(world.backend.hits(), 0, "{name}: the backend was asked");
    }
    let undecodable = Refused::read(world.post(&b"\xff\xff\xff"[..]).await).await;
    undecodable.is(400, "must be a valid RelayRequest protobuf");
    assert_eq!(world.backend.hits(), 0);
    assert!(world.rows().is_empty(), "nothing of a refused request is stored");
}

/// Of two things that are wrong, the one that is cheaper to find is reported: each case beats all later ones.
#[tokio::test]
async fn checks_in_order_of_their_cost() {
    let world = World::start().await;
    for (earlier, (name, change, (status, words))) in CASES.iter().enumerate() {
        for (other, break_also, _) in &CASES[earlier + 1..] {
            let mut request = world.request("/", name);
            break_also(&world, &mut request);
            change(&world, &mut request);
            let refused = world.refused(&request).await;
            assert!(
                refused.status == *status && refused.error.contains(words),
                "{name} with {other}: {refused:?}"
            );
        }
    }
    assert_eq!(world.backend.hits(), 0);
}

#[tokio::test]
async fn refuses_a_ring_with_a_stranger_in_it() {
    let world = World::start().await;
    let stranger = key(9);
    let ring = Ring::new(vec![world.application.public_key(), stranger.public_key()]).unwrap();
    let supplier = world.supplier().to_string();
    let request = sign_request(
        &world.header(),
        &supplier,
        payload("/", "x"),
        &ring,
        &stranger,
        &mut rng(),
    )
    .unwrap();
    world.refused(&request).await.is(403, "belongs neither");
    assert_eq!(world.backend.hits(), 0);
}

#[tokio::test]
async fn a_gateway_delegated_to_within_the_session_is_known_at_the_next_block() {
    let world = World::start().await;
    let newcomer = key(9);
    world.chain.stake_gateway(newcomer.public_key());
    let ring = Ring::new(vec![world.application.public_key(), newcomer.public_key()]).unwrap();
    let supplier = world.supplier().to_string();
    let request = sign_request(
        &world.header(),
        &supplier,
        payload("/", "x"),
        &ring,
        &newcomer,
        &mut rng(),
    )
    .unwrap();
    world.refused(&request).await.is(403, "belongs neither");
    let delegation = MsgDelegateToGateway {
        app_address: world.application.address().to_string(),
        gateway_address: newcomer.address().to_string(),
    };
    world.chain.send(&world.application, vec![pack(&delegation)]);
    world.chain.advance_untold();
    let refused = world.refused(&request).await;
    assert_eq!(refused.status, 403, "asked once per block");
    world.go_to(2).await;
    assert!(world.is_served(&request).await);
}

#[tokio::test]
async fn refuses_when_its_supplier_is_not_in_the_session() {
    let world = World::without_servicer().await;
    world.chain.unstake_supplier(&world.supplier());
    let mut world = world;
    world.run(world.config());
    world
        .refused(&world.request("/", "x"))
        .await
        .is(403, "is not in the session");
    assert_eq!(world.backend.hits(), 0);
}

#[tokio::test]
async fn serves_until_the_grace_period_ends() {
    let world = World::start().await;
    let header = world.header();
    let request = |body| world.request_in(&header, &world.supplier().to_string(), "/", body);
    world.go_to(11).await;
    assert!(world.is_served(&request("in grace")).await);
    world.go_to(12).await;
    world
        .refused(&request("too late"))
        .await
        .is(403, "neither active nor");
    assert_eq!(world.backend.hits(), 1);
}

#[tokio::test]
async fn refuses_beyond_the_budget_and_forged_requests_do_not_burn_it() {
    let world = World::without_servicer().await;
    // floor(floor(stake / 2 suppliers) / (1 pending session + 1)) pays for two relays.
    world.chain.set_stake(4 * (2 * COST + COST / 2));
    let mut world = world;
    world.run(world.config());
    for n in 0..20 {
        let mut forged = world.request("/", &n.to_string());
        forged.payload = payload("/", "forged");
        world.refused(&forged).await.is(403, "ring signature refused");
    }
    world.relay("/", "one").await;
    assert_eq!(world.relay("/500", "answered, not mined").await.status_code, 500);
    world.relay("/", "two").await;
    world
        .refused(&world.request("/", "three"))
        .await
        .is(429, "session relay limit reached");
    assert_eq!(world.backend.hits(), 3);
    // The other supplier has a budget of its own.
    let other = world.suppliers[1].address().to_string();
    world
        .send(&world.request_in(&world.header(), &other, "/", "four"))
        .await;
    // A restart knows what was spent.
    world.restart().await;
    assert_eq!(world.refused(&world.request("/", "three")).await.status, 429);
}

#[tokio::test]
async fn serves_beyond_the_budget_for_nothing_when_told_to() {
    let world = World::without_servicer().await;
    world.chain.set_stake(4 * COST);
    let mut world = world;
    let mut config = world.config();
    config.meter.over_servicing = true;
    world.run(config);
    world.relay("/", "paid").await;
    world.relay("/", "unpaid").await;
    let row = world.row();
    assert_eq!((row.served, row.committed, row.unpaid), (2, 1, 1));
}

/// What may be lost by serving on is a budget too, and a restart knows what was used of it.
#[tokio::test]
async fn what_is_served_for_nothing_has_a_budget_of_its_own() {
    let world = World::without_servicer().await;
    world.chain.set_stake(4 * COST);
    let mut world = world;
    let mut config = world.config();
    config.meter.over_servicing = true;
    config.meter.max_unpaid_upokt = Some(u64::try_from(2 * COST + COST / 2).unwrap());
    world.run(config.clone());
    world.relay("/", "paid").await;
    world.relay("/", "unpaid").await;
    world.relay("/", "unpaid too").await;
    let refused = world.refused(&world.request("/", "beyond both")).await;
    refused.is(429, "session relay limit reached");
    assert_eq!(world.backend.hits(), 3);
    let row = world.row();
    assert_eq!((row.served, row.committed, row.unpaid), (3, 1, 2));
    // The other supplier has budgets of its own.
    let other = world.suppliers[1].address().to_string();
    for body in ["four", "five", "six"] {
        let request = world.request_in(&world.header(), &other, "/", body);
        assert!(world.is_served(&request).await, "{body}");
    }
    world.stop().await;
    world.run(config);
    let refused = world.refused(&world.request("/", "after a restart")).await;
    refused.is(429, "session relay limit reached");
}

/// Whoever asks for what: names of series grow with the configuration alone, and hold nothing of sessions, applications or relays.
#[tokio::test]
async fn labels_of_metrics_are_bounded() {
    let world = World::start().await;
    let series = || -> std::collections::BTreeSet<String> {
        let families = world.registry.gather();
        let name = |family: &prometheus::proto::MetricFamily, metric: &prometheus::proto::Metric| {
            let labels = metric.get_label().iter();
            let labels: Vec<String> = labels
                .map(|one| format!("{}={}", one.name(), one.value()))
                .collect();
            format!("{}{{{}}}", family.name(), labels.join(","))
        };
        families
            .iter()
            .flat_map(|family| family.get_metric().iter().map(move |metric| name(family, metric)))
            .collect()
    };
    let ask = async |round: usize| {
        world.relay("/", &format!("relay {round}")).await;
        let mut stranger = world.request("/", &format!("forged {round}"));
        stranger.payload = payload("/", "forged");
        world.refused(&stranger).await;
        let header = SessionHeader {
            session_id: hex::encode([u8::try_from(round).unwrap(); 32]),
            ..world.header()
        };
        let invented = world.request_in(&header, &world.supplier().to_string(), "/", "x");
        world.refused(&invented).await;
        world
            .post(format!("no relay {round}"))
            .await
            .error_for_status()
            .unwrap_err();
    };
    ask(0).await;
    world.go_to(25).await;
    let before = series();
    for round in 1..20 {
        ask(round).await;
        world.go_to(world.chain.height() + 3).await;
    }
    let sessions = world.rows().len();
    assert!(sessions > 3, "{sessions} sessions");
    let new: Vec<_> = series().difference(&before).cloned().collect();
    // An outcome or a stage may come for the first time; what is counted by them does not grow with those who ask.
    assert!(new.len() < 8, "{new:?}");
    let (session, application) = (world.row_ids(), world.application.address().to_string());
    for name in series() {
        let of_somebody = session.iter().any(|id| name.contains(id.as_str())) || name.contains(&application);
        assert!(!of_somebody, "{name}");
    }
}

#[tokio::test]
async fn carries_any_backend_status_and_mines_no_server_error() {
    let world = World::start().await;
    assert_eq!(world.relay("/404", "x").await.status_code, 404);
    assert_eq!(world.relay("/500", "x").await.status_code, 500);
    let row = world.row();
    assert_eq!((row.served, row.committed, row.unpaid), (2, 1, 1));
}

#[tokio::test]
async fn decodes_an_unasked_encoding_before_it_signs() {
    let world = World::start().await;
    let answer = world.relay("/gzip", "x").await;
    assert_eq!((answer.status_code, &answer.body_bz[..]), (200, &b"plain"[..]));
    assert!(!answer.header.contains_key("Content-Encoding"));
    assert_eq!(answer.header["Content-Length"].values, ["5"]);
}

#[tokio::test]
async fn gives_up_on_a_backend_that_does_not_answer() {
    let world = World::with(|config| {
        config
            .services
            .get_mut(&SERVICE.parse().unwrap())
            .unwrap()
            .timeout_ms = 50;
    })
    .await;
    let request = world.request("/never", "x");
    let refused = tokio::time::timeout(Duration::from_secs(60), world.refused(&request));
    let refused = refused.await.expect("it gives up long before that");
    refused.is(502, "did not answer within 50 ms");
    assert_eq!(world.row().served, 0);
}

#[tokio::test]
async fn tells_a_large_answer_and_an_absent_backend_apart() {
    let world = World::with(|config| {
        let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
        service.max_response_bytes = 1_000;
        service
            .rpc_types
            .insert(RpcType::Rest, BackendConfig::new("http://127.0.0.1:1/"));
    })
    .await;
    world
        .refused(&world.request("/large", "x"))
        .await
        .is(502, "larger than 1000 bytes");
    let url = format!("http://{}/any/path", world.running().address);
    let request = world.request("/", "x").encode_to_vec();
    let absent = world
        .client
        .post(url)
        .header("rpc-type", "rest")
        .body(request)
        .send()
        .await
        .unwrap();
    Refused::read(absent)
        .await
        .is(502, "backend error: the backend cannot be reached");
    assert_eq!(world.row().served, 0);
}

#[tokio::test]
async fn sets_backend_headers_over_those_of_the_request() {
    let world = World::with(|config| {
        let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
        service.backend.headers = BTreeMap::from([("x-key".to_owned(), Secret::new("ours".into()))]);
        service.backend.forward_pocket_headers = true;
    })
    .await;
    let header = |key: &str, value: &str| {
        (
            key.to_owned(),
            Header {
                key: key.into(),
                values: vec![value.into()],
            },
        )
    };
    let relayed = PokthttpRequest {
        method: "GET".into(),
        url: "/headers".into(),
        header: BTreeMap::from([
            header("X-Key", "theirs"),
            header("X-Other", "kept"),
            header("Connection", "close"),
            header("Pocket-Supplier", "forged"),
        ]),
        ..Default::default()
    };
    let ring = Ring::new(vec![world.application.public_key(), world.gateway.public_key()]).unwrap();
    let supplier = world.supplier().to_string();
    let payload = relayed.encode_to_vec().into();
    let request = sign_request(
        &world.header(),
        &supplier,
        payload,
        &ring,
        &world.gateway,
        &mut rng(),
    )
    .unwrap();
    let response = world.send(&request).await;
    let seen = PokthttpResponse::decode(response.payload).unwrap().body_bz;
    let seen = String::from_utf8_lossy(&seen);
    for part in ["\"ours\"", "\"kept\"", &supplier, "\"pocket-application\""] {
        assert!(seen.contains(part), "{part} is missing in {seen}");
    }
    for part in ["theirs", "forged", "close"] {
        assert!(!seen.contains(part), "{part} was passed on in {seen}");
    }
}

#[tokio::test]
async fn refuses_at_once_what_exceeds_its_bounds() {
    let world = World::with(|config| {
        config.limits.max_in_flight = 1;
        config
            .services
            .get_mut(&SERVICE.parse().unwrap())
            .unwrap()
            .max_request_bytes = 2_000;
    })
    .await;
    let waiting = world.request("/wait", "first").encode_to_vec();
    let url = format!("http://{}/", world.running().address);
    let first = tokio::spawn(world.client.post(&url).body(waiting).send());
    while world.backend.hits() == 0 {
        tokio::task::yield_now().await;
    }
    let second = world.refused(&world.request("/", "second")).await;
    second.is(503, "overloaded: relays in progress");
    assert_eq!(second.retry_after.as_deref(), Some("1"));
    world.backend.gate.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    let large = world.request("/", &"x".repeat(3_000));
    world.refused(&large).await.is(413, "larger than 2000 bytes");
    assert_eq!(world.backend.hits(), 1);
}

#[tokio::test]
async fn asks_the_chain_once_per_session_however_many_relays_wait() {
    let world = Arc::new(World::start().await);
    let clients: Vec<_> = (0..32)
        .map(|n| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.relay("/", &format!("client {n}")).await.status_code })
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.unwrap(), 200);
    }
    assert_eq!(world.chain.session_calls(), 1);
    let row = world.row();
    assert_eq!((row.served, row.committed), (32, 32));
}

#[tokio::test]
async fn a_session_above_the_followed_head_is_served_once_the_chain_confirms_it() {
    let world = Arc::new(World::start().await);
    world.go_to(10).await;
    world.relay("/", "in time").await;
    let next = world.chain.header(11, SERVICE);
    let supplier = world.supplier().to_string();
    // The chain's id, which transactions need, is asked for beforehand.
    world
        .until("its id is known", async || world.chain.status_calls() == 1)
        .await;
    let mut beside = world.request_in(&next, &supplier, "/", "beside the grid");
    header(&mut beside).session_start_block_height = 12;
    world.refused(&beside).await;
    assert_eq!(world.chain.status_calls(), 1, "no such session can be");

    world.chain.advance_untold();
    let clients: Vec<_> = (0..16)
        .map(|n| {
            let request = world.request_in(&next, &supplier, "/", &format!("client {n}"));
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.is_served(&request).await })
        })
        .collect();
    for client in clients {
        assert!(client.await.unwrap());
    }
    assert_eq!(world.chain.status_calls(), 2, "one question for all");
}

/// Of two nodes of a chain one hears of a block first: a gateway's request may be a block ahead of the servicer.
#[tokio::test]
async fn a_request_one_block_early_is_served_once_its_session_begins() {
    let world = Arc::new(World::start().await);
    world.go_to(10).await;
    let (next, supplier) = (world.chain.header(11, SERVICE), world.supplier().to_string());
    let request = |body| world.request_in(&next, &supplier, "/", body);
    world
        .refused(&request("no block comes"))
        .await
        .is(403, "neither active nor");

    let (early, ahead) = (request("early"), Arc::clone(&world));
    let early = tokio::spawn(async move { ahead.is_served(&early).await });
    let asked = world.chain.status_calls();
    while world.chain.status_calls() == asked {
        tokio::task::yield_now().await;
    }
    world.go_to(11).await;
    assert!(early.await.unwrap());
    assert_eq!(world.backend.hits(), 1);
}

#[tokio::test]
async fn remembers_what_the_chain_refused_for_a_block_and_what_it_failed_to_answer_not_at_all() {
    let world = World::start().await;
    world.chain.set_away(true);
    world
        .refused(&world.request("/", "x"))
        .await
        .is(503, "relay validation unavailable");
    world.chain.set_away(false);
    world.relay("/", "x").await;

    let asked = world.chain.session_calls();
    let mut unknown = world.request("/", "x");
    header(&mut unknown).application_address = key(9).address().to_string();
    for _ in 0..3 {
        assert_eq!(world.refused(&unknown).await.status, 403);
    }
    assert_eq!(world.chain.session_calls(), asked + 1);
    world.go_to(2).await;
    assert_eq!(world.refused(&unknown).await.status, 403);
    assert_eq!(world.chain.session_calls(), asked + 2);
}

#[tokio::test]
async fn an_equal_relay_counts_once_across_a_restart() {
    let world = World::start().await;
    let request = world.request("/", "same");
    let mut world = world;
    // The backend's answer carries a clock of seconds: equal answers make equal relays.
    let (mut distinct, mut served) = (std::collections::BTreeSet::new(), 0);
    while distinct.len() == served {
        let response = world.send(&request).await;
        distinct.insert(MinedRelay::new(&request, &response).hash);
        served += 1;
        world.restart().await; // it does not know the request any more, but its leaf
    }
    let row = world.row();
    let (served, distinct) = (
        u64::try_from(served).unwrap(),
        u64::try_from(distinct.len()).unwrap(),
    );
    assert_eq!(
        (row.served, row.committed, row.unpaid),
        (served, distinct, served - distinct)
    );
}

#[tokio::test]
async fn mines_only_what_meets_the_difficulty() {
    let world = World::without_servicer().await;
    world.chain.set_target_hash([0; 32]);
    let mut world = world;
    world.run(world.config());
    world.relay("/", "x").await;
    let row = world.row();
    assert_eq!(
        (row.served, row.applicable, row.committed, row.unpaid),
        (1, 0, 0, 1)
    );
}

#[tokio::test]
async fn answers_probes_and_metrics_beside_relays() {
    let world = World::start().await;
    world.go_to(2).await;
    world.relay("/", "x").await;
    let get = |path: &str| {
        world
            .client
            .get(format!("http://{}{path}", world.running().address))
            .send()
    };
    let health: serde_json::Value =
        serde_json::from_slice(&get("/health").await.unwrap().bytes().await.unwrap()).unwrap();
    assert_eq!(health["block_height"], 2);
    assert_eq!(get("/ready").await.unwrap().status(), 200);
    let metrics = get("/metrics").await.unwrap().text().await.unwrap();
    for series in [
        "servicer_relays_total{outcome=\"served\"} 1",
        "servicer_leaves_total 1",
        "servicer_session_lookups_total 1",
    ] {
        assert!(metrics.contains(series), "{series} is missing in\n{metrics}");
    }
    let ledger: serde_json::Value =
        serde_json::from_slice(&get("/ledger").await.unwrap().bytes().await.unwrap()).unwrap();
    assert_eq!(ledger["totals"]["committed"], 1);
    assert_eq!(ledger["sessions"][0]["stage"]["stage"], "open");
}

#[tokio::test]
async fn says_which_port_is_taken_and_where_to_change_it() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = ServicerConfig {
        listen: world.running().address,
        data_dir: folder.path().to_owned(),
        ..world.config()
    };
    let error = Servicer::open(config, world.chain.clone(), prometheus::Registry::new())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&world.running().address.to_string()) && error.contains("servicer.listen"),
        "{error}"
    );
}

#[tokio::test]
async fn bounds_a_body_of_unannounced_length() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::with(|config| {
        config
            .services
            .get_mut(&SERVICE.parse().unwrap())
            .unwrap()
            .max_request_bytes = 10_000;
    })
    .await;
    let mut socket = tokio::net::TcpStream::connect(world.running().address)
        .await
        .unwrap();
    socket
        .write_all(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let chunk = [b"1000\r\n".as_slice(), &[0; 4096], b"\r\n"].concat();
    for _ in 0..3 {
        socket.write_all(&chunk).await.unwrap();
    }
    while !answer.windows(14).any(|part| part == b"body too large") {
        assert!(
            socket.read_buf(&mut answer).await.unwrap() > 0,
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(world.backend.hits(), 0);
}

#[tokio::test]
async fn shows_leaves_only_to_this_machine() {
    let world = World::with(|config| {
        config.listen = SocketAddr::from(([0, 0, 0, 0], 0));
        config.admin_listen = None;
    })
    .await;
    world.relay("/", "x").await;
    let row = world.row();
    let port = world.running().address.port();
    let get = |path: String| world.client.get(format!("http://127.0.0.1:{port}{path}")).send();
    assert_eq!(get("/metrics".into()).await.unwrap().status(), 200);
    let query = format!("/leaves?session={}&supplier={}", row.session_id, row.supplier);
    let answer = Refused::read(get(query).await.unwrap()).await;
    answer.is(400, "invalid relay request"); // it is taken for a relay
}

#[tokio::test]
async fn a_receipt_ties_an_answer_to_its_request_when_asked_for() {
    use portico_protocol::receipt;
    let world = World::start().await;
    let url = format!("http://{}/", world.running().address);
    let ask = |request: &RelayRequest, wish: &str| {
        let call = world.client.post(&url).body(request.encode_to_vec());
        call.header("Pocket-Sign-Receipt", wish).send()
    };
    let request = world.request("/", "with");
    let answer = ask(&request, "true").await.unwrap();
    let receipt = answer.headers()["Pocket-Relay-Receipt"]
        .to_str()
        .unwrap()
        .to_owned();
    let response = RelayResponse::decode(answer.bytes().await.unwrap()).unwrap();
    let supplier = world.suppliers[0].public_key();
    receipt::verify(&receipt, &request, &response, &supplier).unwrap();
    let other = world.request("/", "without");
    assert!(receipt::verify(&receipt, &other, &response, &supplier).is_err());
    let without = ask(&other, "false").await.unwrap();
    assert!(!without.headers().contains_key("pocket-relay-receipt"));
}
