//! `portico onboard`: from nothing to a first paid relay.
//!
//! ```text
//! keys ─► what the chain has of them ─► plan (pure): what is done, what is to be sent, what is missing
//!            └── --spend: sent one by one, each awaited ─► a relay ─► its settlement
//! ```
//! What is done stays done: a run that broke off is gone on with by the same command.

mod look;
mod plan;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use portico_client::{Actors as _, Blocks as _, Chain, RemoteChain};
use portico_config::chain::{ChainConfig, Network as PublicNetwork};
use portico_config::secret::{read_key_file, write_key_file};
use portico_gateway::{OneCall, OneError, relay_once};
use portico_protocol::{Address, ServiceId, SigningKey, Upokt};
use serde::Serialize;

use crate::chain::RoleChainArgs;
use crate::folders;
use crate::output::OutputArgs;
use crate::relay::config_for;
use crate::servicer::check::look::amount;
use crate::tx::{Fee, submit};
use plan::{Role, State, Step, Wishes};

/// The chain with real money, which nobody is led onto.
const MAIN_NETWORK: &str = "pocket";
/// Longest wait for a session in which the key signs, and for a settlement, in blocks.
const MOST_BLOCKS: i64 = 200;
/// Longest wait for the next block.
const NEXT_BLOCK: Duration = Duration::from_secs(300);
/// Fee of a transaction on a public network, in upokt, unless it is said: several times what its gas costs at 0.001 upokt.
const PUBLIC_FEE: u64 = 1_000;

/// Makes keys of an application and of a gateway, funds and stakes them, delegates, relays a call, and waits until it is paid for.
///
/// Without --spend nothing is sent: every transaction is shown, with who signs it, what it says and what it costs. Keys are made by the first run, since
/// others need their addresses to send tokens. The same command goes on where the last run ended.
#[derive(Args)]
pub(crate) struct OnboardArgs {
    /// Which network: the one of `portico localnet` on this machine, or the public test network
    #[arg(long, value_enum)]
    network: NetworkName,
    /// Folder of the keys; those that are missing are made
    #[arg(long, value_name = "FOLDER", default_value = "onboard-keys")]
    keys: PathBuf,
    /// Service that the application is staked for
    #[arg(long, value_name = "ID", default_value = "pocket")]
    service: ServiceId,
    /// JSON-RPC method, without params, of the first relay
    #[arg(long, value_name = "METHOD", default_value = "status")]
    method: String,
    /// The application's stake in upokt [default: ten times the least]
    #[arg(long, value_name = "UPOKT")]
    stake: Option<u64>,
    /// Delegate to this gateway, instead of one of one's own
    #[arg(long, value_name = "ADDRESS")]
    gateway: Option<Address>,
    /// Who sends tokens to keys that lack some: a key file, or an actor of the local network [default: faucet, on the local network]
    #[arg(long, value_name = "KEY")]
    funder: Option<String>,
    /// Fee of each transaction in upokt [default: 0 on the local network, else 1000]
    #[arg(long, value_name = "UPOKT")]
    fee: Option<u64>,
    /// Send what is shown
    #[arg(long)]
    spend: bool,
    #[command(flatten)]
    chain: RoleChainArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A network that one is led onto.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NetworkName {
    /// The public test network
    Beta,
    /// That of `portico localnet`
    Local,
}

/// The keys of whoever takes part.
struct Keys {
    application: SigningKey,
    /// `None` where somebody else's gateway is delegated to.
    gateway: Option<SigningKey>,
    funder: Option<SigningKey>,
}

impl Keys {
    fn of(&self, role: Role) -> Result<&SigningKey> {
        let key = match role {
            Role::Application => Some(&self.application),
            Role::Gateway => self.gateway.as_ref(),
            Role::Funder => self.funder.as_ref(),
        };
        key.context("the plan has a signer without a key")
    }
}

/// What a run did, or would do.
#[derive(Debug, Serialize)]
struct Report {
    spends: bool,
    steps: Vec<Step>,
}

impl OnboardArgs {
    /// Exit code 1 when something is missing that nobody but the user can bring.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let public = match self.network {
            NetworkName::Beta => Some(PublicNetwork::Beta),
            NetworkName::Local => None,
        };
        let file = ChainConfig {
            network: public,
            ..ChainConfig::default()
        };
        let args = self.chain.clone().or(&file);
        let chain = args.open().await?;
        // A local network is called as the main one is.
        let chain_id = chain.status().await?.chain_id;
        let is_meant = match self.network {
            NetworkName::Beta => chain_id != MAIN_NETWORK,
            NetworkName::Local => is_here(&args.chain_rpc) && is_here(&args.chain_grpc),
        };
        ensure!(
            is_meant,
            "chain {chain_id:?} at {} is not the network that --network names; where tokens are real, stake with portico tx",
            args.chain_rpc
        );
        let keys = self.open_keys()?;
        let wishes = Wishes {
            service: self.service.clone(),
            stake: self.stake.map(|stake| Upokt(stake.into())),
            gateway: match (&keys.gateway, self.gateway) {
                (Some(own), _) => own.address(),
                (None, Some(other)) => other,
                (None, None) => bail!("there is neither a gateway nor a key of one"),
            },
            own_gateway: keys.gateway.is_some(),
            fee: self.fee(),
        };
        let mut report = Report {
            spends: self.spend,
            steps: Vec::new(),
        };
        let known = look::at(&chain, &wishes.service, &wishes.gateway, &keys).await?;
        let before = known
            .application
            .as_ref()
            .map(|application| amount(application.stake.as_ref()));
        for step in plan::steps(&wishes, &known) {
            report.steps.push(self.carry_out(step, &chain, &keys).await?);
            self.say(&report.steps);
            if report
                .steps
                .last()
                .is_some_and(|step| matches!(step.state, State::Missing))
            {
                return self.end(&report, ExitCode::FAILURE);
            }
        }
        if !self.spend {
            return self.end(&report, ExitCode::SUCCESS);
        }
        let application = keys.application.address();
        let staked = match before {
            Some(stake) => stake,
            None => amount(chain.application(&application).await?.stake.as_ref()),
        };
        let relayed = self.relay(
            &chain,
            keys.gateway.as_ref().unwrap_or(&keys.application),
            application,
        );
        report.steps.push(relayed.await?);
        self.say(&report.steps);
        report.steps.push(paid(&*chain, application, staked).await?);
        self.say(&report.steps);
        self.end(&report, ExitCode::SUCCESS)
    }

    fn fee(&self) -> u64 {
        self.fee.unwrap_or(match self.network {
            NetworkName::Local => 0,
            NetworkName::Beta => PUBLIC_FEE,
        })
    }

    fn open_keys(&self) -> Result<Keys> {
        let funder = match (&self.funder, self.network) {
            (Some(key), _) => Some(folders::key(key)?),
            (None, NetworkName::Local) => Some(folders::key("faucet")?),
            (None, NetworkName::Beta) => None,
        };
        Ok(Keys {
            application: made(&self.keys, "application")?,
            gateway: match self.gateway {
                Some(_) => None,
                None => Some(made(&self.keys, "gateway")?),
            },
            funder,
        })
    }

    /// Sends a step's transaction, if it has one and that is wanted.
    async fn carry_out(&self, mut step: Step, chain: &Arc<RemoteChain>, keys: &Keys) -> Result<Step> {
        let Some(transaction) = step.transaction.as_mut().filter(|_| self.spend) else {
            return Ok(step);
        };
        let fee = Fee {
            gas: None,
            upokt: transaction.fee_upokt,
        };
        let messages = vec![transaction.message.clone()];
        let included = submit(&**chain, keys.of(transaction.signer)?, messages, fee, "").await;
        let included = included.with_context(|| format!("step {:?}", step.name))?;
        included.succeeded()?;
        transaction.hash = Some(included.hash);
        step.state = State::Done;
        Ok(step)
    }

    /// The first relay, once there is a session whose ring holds the key.
    async fn relay(&self, chain: &Arc<RemoteChain>, key: &SigningKey, application: Address) -> Result<Step> {
        let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": self.method, "params": []});
        let config = config_for(key, application, self.service.clone());
        let mut head = chain.head();
        let last = head.borrow().height.0.saturating_add(MOST_BLOCKS);
        loop {
            let call = OneCall {
                service: self.service.clone(),
                path: String::new(),
                body: Bytes::from(call.to_string()),
                wants_receipt: false,
            };
            let asked: Arc<dyn portico_client::RelayChain> = Arc::clone(chain) as _;
            match relay_once(&config, asked, call).await {
                Ok(relayed) => {
                    let what = format!(
                        "answered by {} in session {}, and verified",
                        relayed.supplier,
                        relayed.session.id()
                    );
                    return Ok(Step::done("relay", what));
                }
                // A stake or a delegation is of the next session on.
                Err(OneError::Relay { .. }) if head.borrow().height.0 < last => {
                    let changed = tokio::time::timeout(NEXT_BLOCK, head.changed()).await;
                    changed.context("no block comes")?.context("the chain is gone")?;
                }
                Err(error) => return Err(error).context("the first relay"),
            }
        }
    }

    fn say(&self, steps: &[Step]) {
        if let Some(step) = steps.last().filter(|_| !self.output.is_json()) {
            print!("{}", step.text());
        }
    }

    fn end(&self, report: &Report, code: ExitCode) -> Result<ExitCode> {
        if self.output.is_json() {
            println!("{}", serde_json::to_string_pretty(report)?);
        } else if !self.spend && report.steps.iter().any(|step| matches!(step.state, State::ToDo)) {
            println!(
                "Nothing was sent. The same command with --spend sends it, relays a call, and waits until it is paid for."
            );
        }
        Ok(code)
    }
}

/// Whether a URL is of this machine.
fn is_here(url: &str) -> bool {
    let host = reqwest::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| {
        let address: Result<std::net::IpAddr, _> = host.trim_matches(['[', ']']).parse();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

/// The key of `name` in `folder`, which is made where there is none.
fn made(folder: &Path, name: &str) -> Result<SigningKey> {
    let file = folder.join(name).with_extension("hex");
    if !file.exists() {
        std::fs::create_dir_all(folder).with_context(|| format!("no folder {}", folder.display()))?;
        write_key_file(&file, &SigningKey::generate(&mut rand::rng()))?;
        eprintln!(
            "portico: made {}, a new private key: who has it has what it holds",
            file.display()
        );
    }
    Ok(read_key_file(&file)?)
}

/// Waits until the application's stake has paid.
async fn paid(chain: &dyn Chain, application: Address, staked: Upokt) -> Result<Step> {
    let mut head = chain.head();
    let last = head.borrow().height.0.saturating_add(MOST_BLOCKS);
    while head.borrow_and_update().height.0 < last {
        let stake = amount(chain.application(&application).await?.stake.as_ref());
        if stake < staked {
            let burned = Upokt(staked.0.saturating_sub(stake.0));
            return Ok(Step::done(
                "paid",
                format!("{burned} of the application's stake paid for what was relayed"),
            ));
        }
        let changed = tokio::time::timeout(NEXT_BLOCK, head.changed()).await;
        changed.context("no block comes")?.context("the chain is gone")?;
    }
    bail!(
        "no settlement within {MOST_BLOCKS} blocks: portico query claim shows whether the supplier has claimed the session"
    )
}

#[cfg(test)]
mod tests {
    use super::is_here;

    #[test]
    fn a_local_network_is_on_this_machine() {
        for here in [
            "http://127.0.0.1:26657",
            "https://localhost:1",
            "http://[::1]:9090",
        ] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "https://sauron-rpc.infra.pocket.network",
            "http://10.0.0.1:1",
            "http://127.0.0.1.example",
            "pocket",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
