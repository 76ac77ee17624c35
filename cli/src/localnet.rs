//! `portico localnet`: a whole network in one process, and what its relays cost to the last token.
//!
//! ```text
//! home     the folder: whose it is, ports, services, when it may be deleted
//! banner   who is who, session timing, one curl
//! tables   the figures of money, and what does not agree          progress   how far the sessions are
//! ```
//! The network itself and the figures are of `portico-localnet`.

mod banner;
mod home;
mod progress;
mod tables;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use portico_config::traces::TracesConfig;
use portico_localnet::money::{self, Before, Moved, Pots, Supply, Tally};
use portico_localnet::ports::Wanted;
use portico_localnet::{Network, Plan, Processes, Program, Settings, Spec, chain_service, in_process, ready};
use portico_telemetry::export;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::folders;
use crate::parts::{Parts, signals};
use crate::tx::{ServiceUrl, WebSocketUrl};

use banner::Banner;
use home::{Home, Nodes};
use progress::Progress;

/// Starts a chain, a gateway and a servicer in this process, with a staked application, gateway and supplier. Stops on Ctrl-C; the next
/// start continues where it was.
#[derive(Args)]
pub(crate) struct LocalnetArgs {
    /// Port of the gateway; 0 takes a free one [default: 3069]
    #[arg(long, value_name = "PORT")]
    gateway_port: Option<u16>,
    /// Port of the chain's RPC; 0 takes a free one [default: 26657]
    #[arg(long, value_name = "PORT")]
    rpc_port: Option<u16>,
    /// Port of the chain's gRPC; 0 takes a free one [default: 9090]
    #[arg(long, value_name = "PORT")]
    grpc_port: Option<u16>,
    /// Port of the servicer; 0 takes a free one; fixed once the network exists [default: 8081]
    #[arg(long, value_name = "PORT")]
    servicer_port: Option<u16>,
    /// Time from block to block, e.g. 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = block_time)]
    block_time: Duration,
    /// Folder of the network [default: portico/localnet in your data folder]
    #[arg(long, value_name = "FOLDER", env = "PORTICO_DATA_DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
    /// Delete the network in the folder and begin a new one
    #[arg(long)]
    reset: bool,
    /// Add a service with a node of yours behind it, e.g. eth=http://127.0.0.1:8545; repeat for more. The set of services is fixed once
    /// the network exists
    #[arg(long = "backend", value_name = "ID=URL")]
    backends: Vec<ServiceUrl>,
    /// Take WebSockets of a service, by a node of yours, e.g. eth=ws://127.0.0.1:8546; repeat for more. Fixed once the network exists. Those
    /// of the service `pocket` are taken anyway, by the chain itself
    #[arg(long = "websocket", value_name = "ID=URL")]
    websockets: Vec<WebSocketUrl>,
    /// Run node, servicer and gateway as processes of their own, which talk over the node's RPC and gRPC
    #[arg(long)]
    remote: bool,
    /// Speak TLS on every hop, with an authority and certificates made at each start; fixed once the network exists
    #[arg(long)]
    tls: bool,
    /// Trace every relay, and send the traces to the OpenTelemetry collector that takes OTLP over HTTP at this URL, e.g.
    /// http://127.0.0.1:4318/v1/traces
    #[arg(long, value_name = "URL")]
    otlp_url: Option<String>,
    /// Send this many relays through the gateway
    #[arg(long, value_name = "N")]
    relays: Option<u64>,
    /// Wait until the relays are claimed, proved and settled, print a table of all money that moved, and exit: 0 only if every figure
    /// is as expected
    #[arg(long, requires = "relays")]
    until_settled: bool,
}

impl LocalnetArgs {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let dir = self
            .data_dir
            .clone()
            .map_or_else(folders::localnet_data_dir, Ok)?;
        // The roles' files name each other, and relative paths in them would start at the folder of the file.
        let dir = std::path::absolute(&dir).with_context(|| format!("no folder {}", dir.display()))?;
        let nodes = Nodes {
            backends: &self.backends,
            websockets: &self.websockets,
        };
        let home = Home::open(&dir, self.reset, self.wanted_ports(), nodes, self.tls)?;
        let plan = Plan::open(&home.dir, home.saved.ports, self.spec(&home), &mut rand::rng())?;
        home.save()?;
        let mut parts = Parts::new();
        let (network, roles) = match self.remote {
            true => {
                let (network, processes) = Processes::start(&plan, Program::this()?).await?;
                (network, processes.into_parts(&parts.stop()))
            }
            false => {
                let registry = crate::metrics::registry()?;
                parts.export(export(&self.traces(), "portico-localnet", &registry)?);
                in_process::start(&plan, &parts.stop()).await?
            }
        };
        for role in roles {
            parts.start(role.name, role.run);
        }
        let verdict = Arc::new(OnceLock::new());
        let until_settled = self.until_settled;
        let story = Story {
            args: self,
            home,
            plan,
            network,
            verdict: verdict.clone(),
        };
        let stop = parts.stop();
        parts.start("signal handler", signals(stop.clone()));
        parts.start("localnet", story.tell_until(stop));
        parts.finish().await?;
        match verdict.get() {
            Some(false) => Ok(ExitCode::FAILURE),
            None if until_settled => bail!("stopped before the relays were settled"),
            _ => Ok(ExitCode::SUCCESS),
        }
    }

    /// How relays are traced.
    fn traces(&self) -> TracesConfig {
        TracesConfig {
            otlp_url: self.otlp_url.clone(),
            sample_ratio: 1.0,
            propagate: true,
            ..TracesConfig::default()
        }
    }

    fn spec(&self, home: &Home) -> Spec {
        let TracesConfig {
            otlp_url,
            sample_ratio,
            propagate,
            ..
        } = self.traces();
        let traces = json!({"otlp_url": otlp_url, "sample_ratio": sample_ratio, "propagate": propagate});
        let role = json!({ "traces": traces });
        Spec {
            settings: Settings {
                servicer: role.clone(),
                gateway: role,
                ..Settings::default()
            },
            block_time: self.block_time,
            tls: self.tls,
            websockets: home.saved.websockets.clone(),
            ..Spec::new(home.saved.backends.clone())
        }
    }

    fn wanted_ports(&self) -> Wanted {
        Wanted {
            gateway: self.gateway_port,
            rpc: self.rpc_port,
            grpc: self.grpc_port,
            servicer: self.servicer_port,
        }
    }
}

/// What the user sees while the parts run.
struct Story {
    args: LocalnetArgs,
    home: Home,
    plan: Plan,
    network: Network,
    /// Whether every figure agreed, once that is known.
    verdict: Arc<OnceLock<bool>>,
}

impl Story {
    async fn tell_until(self, stop: CancellationToken) -> Result<()> {
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            told = self.tell() => told,
        }
    }

    async fn tell(&self) -> Result<()> {
        let gateway = format!("{}/ready", self.plan.gateway_url());
        let client = self.plan.http_client()?;
        ready(&client, &gateway)
            .await
            .context("the gateway is not ready")?;
        let supply = Supply::at(client, self.plan.rpc_url());
        let pots = Pots::of(&self.plan.actors);
        let amounts = pots.read(&*self.network.chain, &supply).await?;
        let banner = Banner {
            plan: &self.plan,
            fresh: self.home.fresh,
            pots: &pots,
            amounts: &amounts,
        };
        println!("{}", banner.text(&*self.network.chain).await?);
        let Some(relays) = self.args.relays else {
            println!("Ctrl-C stops the network; the next start continues here.");
            return std::future::pending().await;
        };
        let before = Before {
            leaves: money::leaves(&self.network.ledger.rows().await?),
            amounts,
        };
        let tally = self.send(relays).await?;
        if !self.args.until_settled {
            println!("Ctrl-C stops the network; the next start continues here.");
            return std::future::pending().await;
        }
        let mut progress = Progress::new();
        let mut say = |height, what| progress.say(height, what);
        let moved = Moved {
            actors: &self.plan.actors,
            pots: &pots,
            before: &before,
            tally: &tally,
        };
        let verdict = money::follow(&self.network, &supply, &moved, &mut say).await?;
        progress.clear();
        println!("{}", tables::text(&verdict));
        for disagreement in &verdict.disagreements {
            println!("  DISAGREES  {}", tables::disagreement(disagreement));
        }
        if !verdict.disagreements.is_empty() {
            println!(
                "(Relays that somebody else sends through this gateway meanwhile show up as disagreements.)"
            );
        } else {
            println!("Every figure agrees: {relays} relays, each a leaf, claimed, proved and paid.");
        }
        let _ = self.verdict.set(verdict.disagreements.is_empty());
        Ok(())
    }

    async fn send(&self, relays: u64) -> Result<Tally> {
        let url = banner::front_door(&self.plan, &chain_service());
        let tally = money::send(&self.plan.http_client()?, &url, relays).await?;
        let sessions = match tally.len() {
            1 => "1 session".to_owned(),
            sessions => format!("{sessions} sessions"),
        };
        println!("{relays} relays answered and verified in {sessions}.");
        Ok(tally)
    }
}

/// Reads `500ms`, `2s`, `1m`.
fn block_time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{text:?} is not a time; write e.g. 500ms, 2s or 1m"))?;
    let time = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err(format!("{text:?} has no unit; write e.g. 500ms, 2s or 1m")),
    };
    let fits = (MIN_BLOCK_TIME..=MAX_BLOCK_TIME).contains(&time);
    fits.then_some(time)
        .ok_or_else(|| "blocks take from 50ms to 60m".to_owned())
}

const MIN_BLOCK_TIME: Duration = Duration::from_millis(50);
const MAX_BLOCK_TIME: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::block_time;

    #[test]
    fn block_times_are_written_as_people_write_them() {
        assert_eq!(block_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(block_time("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(block_time("1m"), Ok(Duration::from_secs(60)));
    }

    #[test]
    fn a_time_without_unit_or_out_of_range_is_refused() {
        for text in ["5", "s", "1ms", "2h", "-1s"] {
            assert!(block_time(text).is_err(), "{text}");
        }
    }
}
