//! A whole network of processes, and what scenarios ask of it.

mod ledger;
mod load;
mod second;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use portico_client::{BlockHead, Chain};
use portico_localnet::ports::free_address;
use portico_localnet::{
    Actors, Output, Plan, Process, Processes, Program, ProofPolicy, Role, Spec, SupplierSpec, free_ports,
    local,
};
use portico_protocol::http_payload;
use portico_protocol::wire::pocket::service::RelayRequest;
use portico_protocol::wire::pocket::session::Session;
use portico_protocol::{Address, Height, ServiceId, SigningKey, Upokt};
use prost::Message as _;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

pub use ledger::{Claimed, Settled};
pub use load::{Load, LoadOutcome};

use crate::backend::Backend;
use crate::evm::EvmNode;
use crate::nginx::Nginx;
use crate::node_server::NodeServer;
use crate::process::{binary, eventually};
use crate::supplier::LyingSupplier;
use crate::{Answer, DApp};
use portico_localnet::forgery::{Forgery, Signing};

/// The service that the application is staked for.
pub const SERVICE: &str = "anvil";
/// Another one, of suppliers outside its sessions.
const OTHER_SERVICE: &str = "elsewhere";
/// Block time of test networks: short, so that a session with its settlement takes seconds.
const BLOCK_TIME: Duration = Duration::from_millis(250);
/// Weight of a relay.
const COMPUTE_UNITS_PER_RELAY: u64 = 100;
/// Price of a relay at the default params: 100 compute units of 42 upokt.
pub(crate) const RELAY_UPOKT: u128 = 4_200;
/// Seed of the actors' keys, fixed so that a failing run can be repeated.
const KEYS_SEED: u64 = 3;

/// The application's service.
///
/// # Panics
/// Never: the constant is a service id.
#[must_use]
pub fn service() -> ServiceId {
    ServiceId::new(SERVICE).expect("a service id")
}

/// What a scenario wants.
#[derive(Debug, Default)]
pub struct NetworkSpec {
    /// Honest suppliers of the application's service, all served by one servicer.
    pub suppliers: usize,
    /// Suppliers of another service, served by the same servicer.
    pub foreign_suppliers: usize,
    /// Suppliers that sign garbage.
    pub lying_suppliers: usize,
    /// Stake the application so that it can pay for this many relays per session; much more by default.
    pub relays_per_session: Option<u64>,
    /// Which claims must be proved.
    pub proofs: ProofPolicy,
    /// Whether one supplier more is served by a servicer of its own, which can be killed while the others go on.
    pub second_servicer: bool,
    /// Use this node as backend.
    pub evm_node: Option<EvmNode>,
    /// Use the backend at this URL, of a process of its own.
    pub backend_url: Option<String>,
    /// Use these nodes as backend of the application's service, by name, checked often.
    pub evm_nodes: Vec<(&'static str, EvmNode)>,
    /// Use this event server as backend; beside an EVM node, for what is not JSON-RPC.
    pub event_server: Option<NodeServer>,
    /// Put this proxy between servicer and EVM node.
    pub proxy: Option<Nginx>,
    /// Use this server as backend, for WebSockets too.
    pub socket_server: Option<NodeServer>,
    /// Use this server for gRPC calls of the application's service.
    pub grpc_server: Option<NodeServer>,
    /// Whether suppliers take WebSockets, for the EVM node.
    pub websockets: bool,
    /// Time between blocks; a short one by default.
    pub block_time: Option<Duration>,
    /// Use the network's own node as backend, by its RPC.
    pub node_as_backend: bool,
    /// Speak TLS on every hop; the backend is then the chain's RPC.
    pub tls: bool,
    /// Settings of the servicer; none by default.
    pub servicer: serde_json::Value,
    /// Settings of the gateway; none by default.
    pub gateway: serde_json::Value,
    /// Settings of all three roles' listeners, under the key `listener`; none by default.
    pub listeners: serde_json::Value,
}

impl NetworkSpec {
    /// The network to start, `backend` behind its servicer: honest suppliers first, then foreign ones, then liars.
    fn plan(&self, backend: String) -> Result<Spec> {
        let (own, other) = (service(), ServiceId::new(OTHER_SERVICE)?);
        let services = [own.clone(), other.clone()];
        let mut spec = Spec::new(services.map(|id| (id, Some(backend.clone()))).into());
        spec.suppliers = vec![SupplierSpec::here(vec![own.clone()]); self.suppliers];
        spec.suppliers
            .extend(vec![SupplierSpec::here(vec![other]); self.foreign_suppliers]);
        for _ in 0..self.lying_suppliers {
            spec.suppliers.push(SupplierSpec {
                services: vec![own.clone()],
                elsewhere: Some(free_address()?),
            });
        }
        if self.second_servicer {
            spec.suppliers.push(SupplierSpec {
                services: vec![own.clone()],
                elsewhere: Some(free_address()?),
            });
        }
        if self.suppliers + self.foreign_suppliers == 0 {
            // A servicer serves somebody, staked or not.
            spec.settings.servicer = json!({"suppliers": [{"file": "keys/faucet.hex"}]});
        }
        if !self.evm_nodes.is_empty() {
            spec.settings.servicer = self.checked_nodes();
        }
        if self.servicer.is_object() {
            spec.settings.servicer = self.servicer.clone();
        }
        spec.settings.gateway = self.gateway.clone();
        if self.listeners.is_object() {
            let listeners = &self.listeners;
            spec.settings.node = listeners.clone();
            spec.settings.gateway = listeners.clone();
            spec.settings.servicer = listeners.clone();
        }
        if let Some(server) = &self.grpc_server {
            spec.grpc = [(own.clone(), server.url().to_owned())].into();
        }
        if let Some(server) = self.event_server.as_ref().filter(|_| self.evm_node.is_some()) {
            spec.rest = [(own.clone(), server.url().to_owned())].into();
        }
        if let Some(node) = self.evm_node.as_ref().filter(|_| self.websockets) {
            spec.websockets = [(own.clone(), portico_net::websocket_url(node.url()))].into();
        }
        if let Some(server) = &self.socket_server {
            spec.websockets = [(own.clone(), portico_net::websocket_url(server.url()))].into();
        }
        if let Some(proxy) = &self.proxy {
            spec.websockets = [(own.clone(), portico_net::websocket_url(proxy.url()))].into();
            let of_operator = json!({"tls": {"ca_file": proxy.authority()}});
            spec.settings.servicer = json!({"services": {SERVICE: {"backend": of_operator, "rpc_types": {"websocket": of_operator}}}});
        }
        spec.applications = vec![own];
        spec.compute_units_per_relay = COMPUTE_UNITS_PER_RELAY;
        spec.proofs = self.proofs;
        spec.block_time = self.block_time.unwrap_or(BLOCK_TIME);
        spec.tls = self.tls;
        if self.tls || self.node_as_backend {
            // With TLS too: the scenario's own backend speaks none, the chain's RPC does.
            spec.services.values_mut().for_each(|backend| *backend = None);
        }
        // The meter gives a supplier stake / suppliers per session / (pending sessions + 1); with the default params 1/30.
        if let Some(relays) = self.relays_per_session {
            spec.application_stake = Upokt(u128::from(relays) * RELAY_UPOKT * 30);
        }
        Ok(spec)
    }
}

impl NetworkSpec {
    /// Settings of a servicer with several nodes behind the application's service.
    fn checked_nodes(&self) -> serde_json::Value {
        let node = |(name, node): &(&str, EvmNode)| json!({"name": name, "url": node.url()});
        let nodes: Vec<_> = self.evm_nodes.iter().map(node).collect();
        // The nodes have their first block in common; they make the others at different times.
        let health = json!({"check": "evm", "chain_id": "31337", "compare_depth_blocks": 1_000_000, "interval_ms": 200,
            "timeout_ms": 30_000, "fall": 1, "rise": 1, "probation": 2});
        json!({"services": {SERVICE: {"backend": {"url": "", "nodes": nodes, "health": health}}}})
    }
}

/// Running processes: node, gateway, servicer; with their backend and, if wanted, lying suppliers.
#[derive(Debug)]
pub struct Network {
    plan: Plan,
    http: reqwest::Client,
    chain: Chained,
    backend: Backend,
    liars: Vec<LyingSupplier>,
    honest: usize,
    foreign: usize,
    processes: Processes,
    second: Option<Process>,
    genesis_supply: u128,
    _dir: tempfile::TempDir, // last: what the processes write is deleted after they have ended
}

/// The chain client, which has nothing worth printing.
struct Chained(Arc<dyn Chain>);

impl std::fmt::Debug for Chained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chain")
    }
}

impl Network {
    /// Starts everything and awaits a ready gateway.
    pub async fn start(spec: &NetworkSpec) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let backend = Backend::start().await?;
        let proxy = spec.proxy.as_ref().map(|proxy| proxy.url().to_owned());
        let evm_node = spec.evm_node.as_ref().map(|node| node.url().to_owned());
        let event_server = spec.event_server.as_ref().map(|server| server.url().to_owned());
        let socket_server = spec.socket_server.as_ref().map(|server| server.url().to_owned());
        let elsewhere = spec.backend_url.clone().or(proxy).or(evm_node).or(event_server);
        let elsewhere = elsewhere.or(socket_server);
        let planned = spec.plan(elsewhere.unwrap_or_else(|| backend.url()))?;
        let mut rng = StdRng::seed_from_u64(KEYS_SEED);
        let plan = Plan::open(dir.path(), free_ports()?, planned, &mut rng)?;
        let mut liars = Vec::new();
        let suppliers = plan.spec.suppliers.iter().zip(&plan.actors.suppliers);
        for (supplier, key) in suppliers.take(plan.spec.suppliers.len() - usize::from(spec.second_servicer)) {
            if let Some(address) = supplier.elsewhere {
                liars.push(LyingSupplier::start(address, key.clone()).await?);
            }
        }
        let program = Program {
            path: binary()?.to_owned(),
            output: Output::Logged(dir.path().to_owned()),
            log_level: Some(std::env::var("PORTICO_E2E_LOG").unwrap_or_else(|_| "info".into())),
        };
        let (network, processes) = Processes::start(&plan, program).await?;
        let second = match spec.second_servicer {
            true => Some(second::start(&plan).await?),
            false => None,
        };
        let mut network = Self {
            _dir: dir,
            http: plan.http_client()?,
            plan,
            chain: Chained(network.chain),
            backend,
            liars,
            honest: spec.suppliers,
            foreign: spec.foreign_suppliers,
            processes,
            second,
            genesis_supply: 0,
        };
        network.genesis_supply = network.supply().await?;
        let roles: &[Role] = match spec.suppliers {
            0 => &[Role::Gateway],
            _ => &[Role::Servicer, Role::Gateway],
        };
        network.processes.are_ready(&network.plan, roles).await?;
        Ok(network)
    }

    /// The last lines of every process, for a failing case.
    #[must_use]
    pub fn logs(&self) -> String {
        let second = self.second.as_ref().map(Process::tail).unwrap_or_default();
        format!("{}\n{second}", self.processes.logs())
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> &dyn Chain {
        &*self.chain.0
    }

    /// Keys of everybody.
    #[must_use]
    pub const fn actors(&self) -> &Actors {
        &self.plan.actors
    }

    /// Address of the application.
    ///
    /// # Panics
    /// Never: it is staked for the service.
    #[must_use]
    pub fn application(&self) -> Address {
        self.actors()
            .application(&service())
            .expect("staked for the service")
    }

    /// Keys of the honest suppliers of the application's service.
    #[must_use]
    pub fn suppliers(&self) -> &[SigningKey] {
        &self.actors().suppliers[..self.honest]
    }

    /// Keys of the suppliers of the other service.
    #[must_use]
    pub fn foreign_suppliers(&self) -> &[SigningKey] {
        &self.actors().suppliers[self.honest..][..self.foreign]
    }

    /// URL of the node's CometBFT RPC.
    #[must_use]
    pub fn rpc_url(&self) -> String {
        self.plan.rpc_url()
    }

    /// Host and port of the node's gRPC.
    #[must_use]
    pub fn grpc_addr(&self) -> String {
        local(self.plan.ports.grpc).to_string()
    }

    /// A dApp that uses the gateway.
    #[must_use]
    pub fn dapp(&self) -> DApp {
        DApp::new(format!("{}/v1", self.plan.gateway_url())).with_client(self.http.clone())
    }

    /// Calls that reached the backend.
    #[must_use]
    pub fn backend_calls(&self) -> u64 {
        self.backend.calls()
    }

    /// Certificate of the authority that vouches for every role, where hops are TLS.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        let certificates = self.plan.certificates.as_ref();
        certificates.map(|certificates| &*certificates.authority)
    }

    /// URL of the gateway.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        self.plan.gateway_url()
    }

    /// URL at which the gateway takes calls of the application's service.
    #[must_use]
    pub fn service_url(&self) -> String {
        format!("{}/v1/{SERVICE}", self.gateway_url())
    }

    /// Stops the backend.
    pub async fn backend_down(&mut self) -> Result<()> {
        self.backend.take_down().await;
        Ok(())
    }

    /// Starts the backend again.
    pub async fn backend_up(&mut self) -> Result<()> {
        self.backend.bring_back().await
    }

    /// Calls until an answer comes.
    pub async fn await_an_answer(&self) -> Result<()> {
        let dapp = self.dapp();
        eventually("a call is answered", || async {
            Ok(dapp.call(1, "eth_blockNumber").await?.is_result().then_some(()))
        })
        .await
    }

    /// Process id of the second servicer.
    pub fn second_servicer(&self) -> Result<u32> {
        let id = self.second.as_ref().and_then(Process::id);
        id.context("there is no second servicer, or it has ended")
    }

    /// Address of the honest supplier number `index`.
    pub fn supplier_address(&self, index: usize) -> Result<String> {
        let key = self.suppliers().get(index).context("no such supplier")?;
        Ok(key.address().to_string())
    }

    /// Whether a lying supplier was asked.
    #[must_use]
    pub fn liar_was_asked(&self) -> bool {
        self.liars.iter().any(|liar| liar.asked() > 0)
    }

    /// The newest committed block.
    pub async fn head(&self) -> Result<BlockHead> {
        Ok(self.chain().status().await?.head)
    }

    /// The session of the application at `height`.
    pub async fn session(&self, height: Height) -> Result<Session> {
        let application = self.application();
        Ok(self.chain().session(&application, &service(), height).await?)
    }

    /// The session with this id, the current one or the one before.
    pub async fn session_with_id(&self, id: &str) -> Result<Session> {
        let head = self.head().await?.height;
        for height in [head.0, head.0 - 10] {
            let session = self.session(Height(height.max(1))).await?;
            if session.session_id == id {
                return Ok(session);
            }
        }
        anyhow::bail!("{id} is neither the session at height {head} nor the one before")
    }

    /// Text of the gateway's metrics.
    pub async fn gateway_metrics(&self) -> Result<String> {
        Ok(self
            .http
            .get(format!("{}/metrics", self.plan.gateway_url()))
            .send()
            .await?
            .text()
            .await?)
    }

    /// Text of the servicer's metrics.
    pub async fn servicer_metrics(&self) -> Result<String> {
        Ok(self
            .http
            .get(format!("{}/metrics", self.plan.servicer_url()))
            .send()
            .await?
            .text()
            .await?)
    }

    /// The rows of the servicer's ledger, in JSON.
    pub async fn servicer_sessions(&self) -> Result<Vec<serde_json::Value>> {
        let url = self.plan.ledger_url();
        let answer = self.http.get(url).send().await?.error_for_status()?;
        let mut ledger: serde_json::Value = answer.json().await?;
        Ok(serde_json::from_value(ledger["sessions"].take())?)
    }

    /// Kills the servicer without warning and starts it again.
    pub async fn kill_servicer(&mut self) -> Result<()> {
        self.processes.of(Role::Servicer).kill().await?;
        self.processes.restart(&self.plan, Role::Servicer)
    }

    /// Session look-ups that the gateway made at the chain, prefetches included.
    pub async fn session_lookups(&self) -> Result<u64> {
        sum_metric(&self.gateway_metrics().await?, "session_lookups_total")
    }

    /// Relays that the servicer answered.
    pub async fn relays_served(&self) -> Result<u64> {
        sum_metric(&self.servicer_metrics().await?, "servicer_leaves_total")
    }

    /// Keys (relay hashes, in hex) of the leaves that the servicer has recorded for `session`, read from its log.
    pub async fn leaves(&self, session: &str) -> Result<BTreeSet<String>> {
        let mut keys = BTreeSet::new();
        for supplier in self.suppliers() {
            let supplier = supplier.address();
            let url = format!(
                "{}/leaves?session={session}&supplier={supplier}",
                self.plan.servicer_url()
            );
            let leaves: Vec<serde_json::Value> = self
                .http
                .get(url)
                .send()
                .await?
                .error_for_status()?
                .json()
                .await?;
            keys.extend(
                leaves
                    .iter()
                    .filter_map(|leaf| leaf["key"].as_str().map(str::to_owned)),
            );
        }
        Ok(keys)
    }

    /// Leaves of all of the application's sessions so far.
    pub async fn leaves_of_all_sessions(&self) -> Result<u64> {
        let head = self.head().await?.height.0;
        let (mut height, mut count) = (1, 0);
        while height <= head {
            let session = self.session(Height(height)).await?;
            count += self.leaves(&session.session_id).await?.len() as u64;
            height = session
                .header
                .context("a session has a header")?
                .session_end_block_height
                + 1;
        }
        Ok(count)
    }

    /// Kills the node, undoes the blocks from that of the session's claim on and starts it again. Errs when the claim was not undone.
    pub async fn roll_back_claim(&mut self, session: &str) -> Result<()> {
        const MORE: i64 = 3; // the node goes on until it is killed
        let claimed = self.claim_height(session).await?;
        let blocks = self.head().await?.height.0 - claimed.0 + 1 + MORE;
        self.processes.of(Role::Node).kill().await?;
        let config = self.plan.config_file(Role::Node);
        let rollback = tokio::process::Command::new(binary()?)
            .args(["node", "rollback", "--blocks", &blocks.to_string(), "--config"])
            .arg(&config)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&rollback.stdout).into_owned();
        ensure!(
            rollback.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&rollback.stderr)
        );
        let height = said
            .split("height is ")
            .nth(1)
            .and_then(|rest| rest.split(',').next());
        let height: i64 = height.with_context(|| said.clone())?.parse()?;
        ensure!(
            height < claimed.0,
            "the claim of block {} is left at height {height}",
            claimed.0
        );
        self.processes.restart(&self.plan, Role::Node)?;
        let answers = || async { Ok(self.head().await.ok()) };
        let head = eventually("the node answers again", answers).await;
        head.map(|_| ()).with_context(|| self.logs())
    }

    /// URL of the servicer's relay endpoint.
    #[must_use]
    pub fn servicer_url(&self) -> String {
        self.plan.servicer_url()
    }

    /// Session look-ups that the servicer made at the chain.
    pub async fn servicer_lookups(&self) -> Result<u64> {
        sum_metric(&self.servicer_metrics().await?, "servicer_session_lookups_total")
    }

    /// A relay request signed by a stranger.
    pub(crate) async fn forged_request(&self) -> Result<RelayRequest> {
        self.forge(Forgery::StrangersRing).await
    }

    async fn forge(&self, forgery: Forgery) -> Result<RelayRequest> {
        let session = self.session(self.head().await?.height).await?;
        let (first, actors) = (self.suppliers().first(), self.actors());
        let signing = Signing {
            header: session.header.context("a session has a header")?,
            supplier: first.context("the network has no supplier")?.address(),
            foreign: self.foreign_suppliers().first().map(SigningKey::address),
            ring: vec![
                actors.applications[&service()].public_key(),
                actors.gateway.public_key(),
            ],
            key: &actors.gateway,
        };
        let call = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#);
        let (url, json) = (
            format!("{}/", self.plan.servicer_url()),
            ("Content-Type", "application/json"),
        );
        signing.request(
            http_payload::encode_http_request("POST", &url, [json], call),
            forgery,
        )
    }

    /// The folder of the processes' files.
    pub(crate) fn folder(&self) -> &Path {
        &self.plan.folder
    }

    /// Where a role listens; the node's RPC.
    pub(crate) fn address(&self, role: Role) -> SocketAddr {
        let ports = self.plan.ports;
        local(match role {
            Role::Node => ports.rpc,
            Role::Servicer => ports.servicer,
            Role::Gateway => ports.gateway,
        })
    }

    /// Every listener of the network.
    #[must_use]
    pub fn listeners(&self) -> [(&'static str, SocketAddr); 4] {
        let ports = self.plan.ports;
        [
            ("gateway", local(ports.gateway)),
            ("servicer", local(ports.servicer)),
            ("chain's RPC", local(ports.rpc)),
            ("chain's gRPC", local(ports.grpc)),
        ]
    }

    /// Text of each role's configuration file.
    pub fn config_files(&self) -> Result<Vec<(&'static str, String)>> {
        let read = |role: Role| Ok((role.name(), std::fs::read_to_string(self.plan.config_file(role))?));
        Role::ALL.into_iter().map(read).collect()
    }

    /// Process ids of the roles that run.
    pub(crate) fn process_ids(&self) -> Vec<(Role, u32)> {
        self.processes.ids()
    }

    /// Sends a forged relay request straight to the servicer; returns the text of its refusal, and errs when it is answered.
    pub async fn send_forged(&self, forgery: Forgery) -> Result<String> {
        let request = self.forge(forgery).await?;
        let post = self.http.post(self.plan.servicer_url());
        let post = post
            .header("Content-Type", "application/json")
            .header("Rpc-Type", "3");
        let response = post.body(request.encode_to_vec()).send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        ensure!(!status.is_success(), "the forged request was answered");
        let refusal: serde_json::Value = serde_json::from_slice(&body).context("a refusal is JSON")?;
        let error = refusal["error"].as_str().context("a refusal has an error")?;
        Ok(format!("{}: {error}", status.as_u16()))
    }
}

/// Sum over all label sets of the counter `name` in a Prometheus text.
pub fn sum_metric(text: &str, name: &str) -> Result<u64> {
    let values: Vec<f64> = text
        .lines()
        .filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    ensure!(!values.is_empty(), "no metric {name} in:\n{text}");
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a counter of whole events
    Ok(values.iter().sum::<f64>() as u64)
}

/// One answer that is a result, or what it was instead.
pub(crate) fn expect_result(answer: &Answer) -> Result<(), String> {
    if answer.is_result() {
        Ok(())
    } else {
        Err(format!("HTTP {}: {}", answer.status, answer.body))
    }
}
