//! What the feature files' sentences do.

mod abuse;
mod backends;
mod crash;
mod dapps;
mod ecosystem;
mod evm;
mod faults;
mod grpc;
mod http;
mod refusals;
mod relay;
mod settlement;
mod sockets;
mod streams;
mod tls;

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use portico_e2e::abuse::Outcome;
use portico_e2e::{Answer, Network, NetworkSpec, ProofPolicy};

/// State of one scenario. The network starts with the first step that uses it, so that `Given` steps can shape it.
#[derive(Debug, Default, cucumber::World)]
pub(crate) struct World {
    spec: NetworkSpec,
    network: Option<Network>,
    answers: Vec<Answer>,
    failures: Vec<String>,
    /// Status and text of pages.
    pages: Vec<(u16, String)>,
    session: Option<String>,
    relay_error: Option<String>,
    rollovers: u64,
    attack: Option<Outcome>,
    first_block: i64,
    streams: u64,
    broken_streams: u64,
    /// Where the page of a browser is.
    page: Option<SocketAddr>,
}

impl World {
    /// The running network; started from what the `Given` steps said.
    async fn network(&mut self) -> Result<&mut Network> {
        if self.network.is_none() {
            self.network = Some(Network::start(&self.spec).await?);
        }
        self.network.as_mut().context("it was just started")
    }
}

#[cucumber::given(regex = r"^a network with (\d+) suppliers?$")]
fn a_network(world: &mut World, suppliers: usize) {
    world.spec.suppliers = suppliers;
}

#[cucumber::given(regex = r"^a network with (\d+) suppliers of which (\d+) serves another service$")]
fn a_network_with_foreigners(world: &mut World, suppliers: usize, foreign: usize) {
    world.spec.suppliers = suppliers - foreign;
    world.spec.foreign_suppliers = foreign;
}

#[cucumber::given("every claim must be proved")]
fn every_claim_must_be_proved(world: &mut World) {
    world.spec.proofs = ProofPolicy::Always;
}

#[cucumber::given("no claim must be proved")]
fn no_claim_must_be_proved(world: &mut World) {
    world.spec.proofs = ProofPolicy::Never;
}

#[cucumber::given("a supplier that signs garbage")]
fn a_lying_supplier(world: &mut World) {
    world.spec.lying_suppliers = 1;
}

#[cucumber::given(regex = r"^an application that can pay for (\d+) relays per session$")]
fn an_application_with_a_small_stake(world: &mut World, relays: u64) {
    world.spec.relays_per_session = Some(relays);
}
