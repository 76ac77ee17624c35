//! What the network is made of: each cell's service and application, and the suppliers of them.

use std::time::Duration;

use anyhow::Result;
use portico_localnet::ports::free_address;
use portico_localnet::{ProofPolicy, Spec, SupplierSpec};
use portico_protocol::{ServiceId, Upokt};
use serde_json::{Map, Value, json};

use super::cell::Cell;
use super::ground::PAID_RELAYS;
use super::node::MAX_ANSWER;

/// Time between two blocks: all cells take a step within a session, whose grace period is one block.
const BLOCK_TIME: Duration = Duration::from_secs(2);
/// A service of a supplier that is in no cell's session.
const ELSEWHERE: &str = "elsewhere";
/// Weight and price of a relay.
const COMPUTE_UNITS_PER_RELAY: u64 = 100;
const RELAY_UPOKT: u128 = 4_200;
/// What the meter gives a supplier of a stake, with the default params: 1/30.
const SHARE: u128 = 30;

/// A service, an application and a backend for each cell; one supplier of them, one of another service, and those that lie.
pub(super) fn spec(cells: &[Cell]) -> Result<Spec> {
    let elsewhere: ServiceId = ELSEWHERE.parse()?;
    let services = cells
        .iter()
        .map(|cell| (cell.service.clone(), Some(cell.node.url())));
    let nowhere = (elsewhere.clone(), Some("http://127.0.0.1:9".to_owned()));
    let mut spec = Spec::new(services.chain([nowhere]).collect());
    let honest = cells.iter().filter(|cell| !cell.is_lied_to());
    spec.suppliers = vec![
        SupplierSpec::here(honest.map(|cell| cell.service.clone()).collect()),
        SupplierSpec::here(vec![elsewhere]),
    ];
    // One for each: a supplier that was caught is left alone for all services.
    for cell in cells.iter().filter(|cell| cell.is_lied_to()) {
        spec.suppliers.push(SupplierSpec {
            services: vec![cell.service.clone()],
            elsewhere: Some(free_address()?),
        });
    }
    spec.applications = cells.iter().map(|cell| cell.service.clone()).collect();
    let (mut settings, url) = (Map::new(), portico_net::websocket_url);
    for cell in cells {
        let service = &cell.service;
        if cell.is_websocket() {
            spec.websockets.insert(service.clone(), url(&cell.node.url()));
        }
        if cell.is_grpc() {
            spec.grpc.insert(service.clone(), cell.node.url());
        }
        if cell.has_bounded_answers() {
            let bounds = json!({"max_response_bytes": MAX_ANSWER, "max_stream_bytes": MAX_ANSWER});
            settings.insert(service.to_string(), bounds);
        }
        if cell.has_small_stake() {
            let stake = Upokt(PAID_RELAYS as u128 * RELAY_UPOKT * SHARE);
            spec.application_stakes.insert(service.clone(), stake);
        }
    }
    spec.settings.servicer = json!({"services": Value::Object(settings), "keep_leaves_blocks": 1_000_000});
    spec.compute_units_per_relay = COMPUTE_UNITS_PER_RELAY;
    spec.proofs = ProofPolicy::Always;
    spec.block_time = BLOCK_TIME;
    Ok(spec)
}
