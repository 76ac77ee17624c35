//! A whole network of processes, and what scenarios ask of it.

mod forgery;
mod ledger;
mod load;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use portico_client::{BlockHead, Chain, RemoteChain};
use portico_protocol::Height;
use portico_protocol::wire::pocket::session::Session;

pub use forgery::Forgery;
pub use ledger::{Claimed, Settled};
pub use load::LoadOutcome;

use crate::backend::Backend;
use crate::evm::EvmNode;
use crate::genesis::{self, Actors};
use crate::process::{Process, binary, eventually, free_addr};
use crate::supplier::LyingSupplier;
use crate::{Answer, DApp};

/// Block time of test networks: short, so that a session with its settlement takes seconds.
pub const BLOCK_TIME_MS: u64 = 250;

/// Which claims must be proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProofPolicy {
    /// As the network's default params draw it.
    #[default]
    Default,
    /// All of them.
    Always,
    /// None.
    Never,
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
    /// Use this node as backend.
    pub evm_node: Option<EvmNode>,
}

/// Running processes: node, gateway, servicer; with their backend and, if wanted, lying suppliers.
#[derive(Debug)]
pub struct Network {
    dir: tempfile::TempDir,
    actors: Actors,
    chain: RemoteChainDebug,
    backend: Backend,
    rpc: String,
    grpc: String,
    gateway_url: String,
    servicer_url: String,
    liars: Vec<LyingSupplier>,
    gateway: Process,
    servicer: Process,
    node: Process,
    genesis_supply: u128,
}

/// The chain client, which has nothing worth printing.
struct RemoteChainDebug(RemoteChain);

impl std::fmt::Debug for RemoteChainDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RemoteChain")
    }
}

impl Network {
    /// Starts everything and awaits a ready gateway.
    pub async fn start(spec: &NetworkSpec) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let backend = Backend::start().await?;
        let backend_url = spec
            .evm_node
            .as_ref()
            .map_or_else(|| backend.url(), |node| node.url().to_owned());
        let (servicer_addr, gateway_addr) = (free_addr()?, free_addr()?);
        let (rpc, grpc) = (free_addr()?, free_addr()?);
        let actors = Actors::draw(spec, servicer_addr)?;

        let genesis_path = dir.path().join("genesis.json");
        let genesis = genesis::build(spec, &actors);
        std::fs::write(&genesis_path, serde_json::to_vec_pretty(&genesis)?)?;

        let mut liars = Vec::new();
        for liar in &actors.liars {
            liars.push(LyingSupplier::start(liar.endpoint, liar.key.clone()).await?);
        }
        let configs = Configs {
            dir: dir.path(),
            rpc: rpc.to_string(),
            grpc: grpc.to_string(),
        };
        let mut node = configs.node(&genesis_path)?;
        let chain = connect(&rpc.to_string(), &grpc.to_string(), &mut node).await?;
        let servicer = configs.servicer(&actors, servicer_addr, &backend_url)?;
        let gateway = configs.gateway(&actors, gateway_addr)?;
        let mut network = Self {
            dir,
            actors,
            chain: RemoteChainDebug(chain),
            backend,
            rpc: rpc.to_string(),
            grpc: grpc.to_string(),
            gateway_url: format!("http://{gateway_addr}"),
            servicer_url: format!("http://{servicer_addr}"),
            liars,
            gateway,
            servicer,
            node,
            genesis_supply: 0,
        };
        network.genesis_supply = network.supply().await?;
        network.await_ready().await?;
        Ok(network)
    }

    async fn await_ready(&mut self) -> Result<()> {
        for url in [
            format!("{}/ready", self.gateway_url),
            format!("{}/ready", self.servicer_url),
        ] {
            eventually(&format!("{url} says 200"), || async {
                let status = reqwest::get(&url).await?.status();
                Ok((status == 200).then_some(()))
            })
            .await
            .with_context(|| self.logs())?;
        }
        self.node.must_run()?;
        self.gateway.must_run()?;
        self.servicer.must_run()
    }

    /// The last lines of every process, for a failing case.
    #[must_use]
    pub fn logs(&self) -> String {
        [
            ("node", &self.node),
            ("servicer", &self.servicer),
            ("gateway", &self.gateway),
        ]
        .map(|(name, process)| format!("--- {name}\n{}", process.tail()))
        .join("\n")
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> &dyn Chain {
        &self.chain.0
    }

    /// Keys of everybody.
    #[must_use]
    pub const fn actors(&self) -> &Actors {
        &self.actors
    }

    /// URL of the node's CometBFT RPC.
    #[must_use]
    pub fn rpc_url(&self) -> String {
        format!("http://{}", self.rpc)
    }

    /// Host and port of the node's gRPC.
    #[must_use]
    pub fn grpc_addr(&self) -> &str {
        &self.grpc
    }

    /// A dApp that uses the gateway.
    #[must_use]
    pub fn dapp(&self) -> DApp {
        DApp::new(format!("{}/v1", self.gateway_url))
    }

    /// Calls that reached the backend.
    #[must_use]
    pub fn backend_calls(&self) -> u64 {
        self.backend.calls()
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

    /// Address of the honest supplier number `index`.
    pub fn supplier_address(&self, index: usize) -> Result<String> {
        Ok(self
            .actors
            .suppliers
            .get(index)
            .context("no such supplier")?
            .key
            .address()
            .to_string())
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
        let application = self.actors.application.address();
        Ok(self
            .chain()
            .session(&application, &genesis::service(), height)
            .await?)
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
        Ok(reqwest::get(format!("{}/metrics", self.gateway_url))
            .await?
            .text()
            .await?)
    }

    /// Text of the servicer's metrics.
    pub async fn servicer_metrics(&self) -> Result<String> {
        Ok(reqwest::get(format!("{}/metrics", self.servicer_url))
            .await?
            .text()
            .await?)
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
        for supplier in &self.actors.suppliers {
            let supplier = supplier.key.address();
            let url = format!(
                "{}/leaves?session={session}&supplier={supplier}",
                self.servicer_url
            );
            let leaves: Vec<serde_json::Value> = reqwest::get(url).await?.error_for_status()?.json().await?;
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
        self.node.kill_dash_nine()?;
        let config = self.dir.path().join("node.yaml");
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
        self.node = start_role(self.dir.path(), "node")?;
        let answers = || async { Ok(self.head().await.ok()) };
        let head = eventually("the node answers again", answers).await;
        head.map(|_| ()).with_context(|| self.logs())
    }

    /// Starts the servicer again, with the same data and port.
    fn restart_servicer(&self) -> Result<Process> {
        start_role(self.dir.path(), "servicer")
    }

    /// Sends a forged relay request straight to the servicer; returns the text of its refusal.
    pub async fn send_forged(&self, forgery: Forgery) -> Result<String> {
        forgery::send(self, forgery).await
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

async fn connect(rpc: &str, grpc: &str, node: &mut Process) -> Result<RemoteChain> {
    let (rpc, grpc) = (format!("http://{rpc}"), format!("http://{grpc}"));
    let connected = eventually("the node answers", || async {
        let Ok(chain) = RemoteChain::connect(&rpc, &grpc).await else {
            return Ok(None);
        };
        Ok(chain
            .status()
            .await
            .ok()
            .filter(|status| status.head.height.0 > 0)
            .map(|_| chain))
    })
    .await;
    node.must_run()?;
    connected.with_context(|| node.tail())
}

/// Starts a role with its configuration file in `dir`, for the first time or again.
fn start_role(dir: &Path, role: &str) -> Result<Process> {
    let config = dir.join(role).with_extension("yaml");
    Process::portico(
        role,
        dir,
        [role.as_ref(), "--config".as_ref(), config.as_os_str()],
    )
}

/// Writes the roles' configuration files and starts them.
struct Configs<'a> {
    dir: &'a Path,
    rpc: String,
    grpc: String,
}

impl Configs<'_> {
    fn start(&self, role: &str, text: &str) -> Result<Process> {
        std::fs::write(self.dir.join(role).with_extension("yaml"), text)?;
        start_role(self.dir, role)
    }

    fn node(&self, genesis_path: &Path) -> Result<Process> {
        let text = format!(
            "data_dir: {}\ngenesis: {}\nrpc_listen: {}\ngrpc_listen: {}\nblock_time_ms: {BLOCK_TIME_MS}\nvalidator_key: \"{}\"\n",
            self.dir.join("node").display(),
            genesis_path.display(),
            self.rpc,
            self.grpc,
            hex::encode(genesis::VALIDATOR_SEED)
        );
        self.start("node", &text)
    }

    fn servicer(&self, actors: &Actors, listen: std::net::SocketAddr, backend: &str) -> Result<Process> {
        let keys: String = actors
            .suppliers
            .iter()
            .chain(&actors.foreign)
            .map(|s| format!("  - \"{}\"\n", s.key.to_hex()))
            .collect();
        let services: String = [genesis::SERVICE, genesis::OTHER_SERVICE]
            .map(|id| format!("  {id}:\n    backend: {{url: \"{backend}\"}}\n"))
            .concat();
        let suppliers = if keys.is_empty() {
            format!("  - \"{}\"\n", actors.spare.to_hex())
        } else {
            keys
        };
        let text = format!(
            "listen: {listen}\ndata_dir: {}\n{}suppliers:\n{suppliers}services:\n{services}",
            self.dir.join("servicer").display(),
            self.chain_keys()
        );
        self.start("servicer", &text)
    }

    fn gateway(&self, actors: &Actors, listen: std::net::SocketAddr) -> Result<Process> {
        let text = format!(
            "listen: {listen}\n{}gateway_key: \"{}\"\napplications:\n  - {{address: {}, service_id: {}}}\n",
            self.chain_keys(),
            actors.gateway.to_hex(),
            actors.application.address(),
            genesis::SERVICE
        );
        self.start("gateway", &text)
    }

    fn chain_keys(&self) -> String {
        format!(
            "chain:\n  rpc_url: http://{}\n  grpc_url: http://{}\n",
            self.rpc, self.grpc
        )
    }
}

/// One answer that is a result, or what it was instead.
fn expect_result(answer: &Answer) -> Result<(), String> {
    if answer.is_result() {
        Ok(())
    } else {
        Err(format!("HTTP {}: {}", answer.status, answer.body))
    }
}
