//! `portico tx`: one message in a signed transaction, followed until a block includes it.

mod messages;
mod send;
mod stake;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use portico_protocol::ServiceId;

use crate::chain::ChainArgs;
use crate::folders;
use crate::output::GlobalOutputArgs;
use crate::view::View;

pub(crate) use send::{Fee, submit};

#[derive(Args)]
pub(crate) struct TxArgs {
    #[command(subcommand)]
    message: Message,
    /// Who signs: a key file, or an actor of the local network (e.g. faucet, the default)
    #[arg(long, global = true, value_name = "KEY")]
    from: Option<String>,
    /// Gas limit; found out by simulation when left out
    #[arg(long, global = true, value_name = "GAS")]
    gas: Option<u64>,
    /// Fee in upokt; a local network needs none
    #[arg(long, global = true, value_name = "UPOKT", default_value_t = 0)]
    fee: u64,
    /// A remark that is stored with the transaction
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    memo: String,
    #[command(flatten)]
    chain: ChainArgs,
    #[command(flatten)]
    output: GlobalOutputArgs,
}

/// Amounts are in upokt (1,000,000 upokt are 1 POKT); actors are addresses, key files, or names of the local network.
#[derive(Subcommand)]
pub(crate) enum Message {
    /// Send tokens to another account
    Send {
        /// Who receives
        #[arg(value_name = "ACTOR")]
        to: String,
        /// Amount in upokt
        #[arg(value_name = "UPOKT")]
        amount: u64,
    },
    /// Stake the signer as application of one service, or raise its stake
    StakeApplication {
        /// Stake in upokt; more than before on a change
        #[arg(value_name = "UPOKT", required_unless_present = "config")]
        stake: Option<u64>,
        /// Service whose relays are paid from the stake
        #[arg(required_unless_present = "config")]
        service: Option<ServiceId>,
        /// Take stake, service, limit and gateways from a stake file, as the network's own CLI reads them
        #[arg(long, value_name = "FILE", conflicts_with_all = ["stake", "service", "spend_limit"])]
        config: Option<PathBuf>,
        /// Most that one session may cost, in upokt; 0 takes a limit away
        #[arg(long, value_name = "UPOKT")]
        spend_limit: Option<u64>,
    },
    /// Stake the signer as gateway, or raise its stake
    StakeGateway {
        /// Stake in upokt; more than before on a change
        #[arg(value_name = "UPOKT", required_unless_present = "config")]
        stake: Option<u64>,
        /// Take the stake from a stake file, as the network's own CLI reads them
        #[arg(long, value_name = "FILE", conflicts_with = "stake")]
        config: Option<PathBuf>,
    },
    /// Stake suppliers, or change stake and services; active from the next session on
    ///
    /// With a stake and --service: the signer, as owner and operator, for JSON-RPC. With --config: one or hundreds of suppliers, each from a
    /// stake file as the network's own CLI reads them. What exists on chain, what would change and what it costs is shown first; nothing is
    /// sent without --yes, and a supplier that is as its file says is left alone.
    StakeSupplier {
        /// Stake in upokt
        #[arg(
            value_name = "UPOKT",
            required_unless_present = "config",
            conflicts_with = "config"
        )]
        stake: Option<u64>,
        /// A service and the URL under which relays for it are answered; repeat for more
        #[arg(
            long = "service",
            value_name = "ID=URL",
            required_unless_present = "config",
            conflicts_with = "config"
        )]
        services: Vec<ServiceUrl>,
        #[command(flatten)]
        files: stake::FilesArgs,
    },
    /// Let a gateway sign relays for the signer, an application
    Delegate {
        /// The gateway
        #[arg(value_name = "ACTOR")]
        gateway: String,
    },
    /// Take that back; in force from the next session on
    Undelegate {
        /// The gateway
        #[arg(value_name = "ACTOR")]
        gateway: String,
    },
    /// End the signer's stake as application
    UnstakeApplication,
    /// End the signer's stake as gateway
    UnstakeGateway,
    /// End the stake of the signer, or of an operator whose owner the signer is, as supplier
    UnstakeSupplier {
        /// The operator, when the signer is its owner
        #[arg(long, value_name = "ACTOR", conflicts_with = "config")]
        operator: Option<String>,
        #[command(flatten)]
        files: stake::FilesArgs,
    },
    /// Add a service, or change one that the signer owns
    AddService {
        /// Service id, e.g. eth
        id: ServiceId,
        /// Name for people
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        /// Weight of one relay
        #[arg(long, value_name = "UNITS", default_value_t = 1)]
        compute_units_per_relay: u64,
    },
}

/// `id=url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceUrl {
    /// Service id.
    pub(crate) id: ServiceId,
    /// `http://` or `https://` URL.
    pub(crate) url: String,
}

impl std::str::FromStr for ServiceUrl {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (id, url) = service_and_url(text, "http", "an", "eth=http://127.0.0.1:8545")?;
        Ok(Self { id, url })
    }
}

/// A service and the URL of a node that takes its WebSockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebSocketUrl {
    /// Service id.
    pub(crate) id: ServiceId,
    /// `ws://` or `wss://` URL.
    pub(crate) url: String,
}

impl std::str::FromStr for WebSocketUrl {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (id, url) = service_and_url(text, "ws", "a", "eth=ws://127.0.0.1:8546")?;
        Ok(Self { id, url })
    }
}

/// Reads `id=url` with a URL of `scheme`, or of that scheme over TLS.
fn service_and_url(text: &str, scheme: &str, article: &str, example: &str) -> Result<(ServiceId, String)> {
    let example = format!("expected SERVICE=URL, e.g. {example}");
    let (id, url) = text.split_once('=').ok_or_else(|| anyhow::anyhow!("{example}"))?;
    let schemes = [format!("{scheme}://"), format!("{scheme}s://")];
    anyhow::ensure!(
        schemes.iter().any(|scheme| url.starts_with(scheme)),
        "{url:?} is not {article} {} or {} URL; {example}",
        schemes[0],
        schemes[1]
    );
    Ok((id.parse()?, url.to_owned()))
}

impl TxArgs {
    pub(crate) async fn run(self) -> Result<()> {
        let fee = Fee {
            gas: self.gas,
            upokt: self.fee,
        };
        let files = match &self.message {
            Message::StakeSupplier { files, .. } => Some((files, stake::Verb::Stake)),
            Message::UnstakeSupplier { files, .. } => Some((files, stake::Verb::Unstake)),
            _ => None,
        };
        if let Some((files, verb)) = files.filter(|(files, _)| files.is_given()) {
            let keys = files.keys(self.from.as_deref())?;
            let chain = self.chain.connect().await?;
            return files
                .run(verb, &keys, &*chain, fee, &self.memo, self.output.is_json())
                .await;
        }
        let key = folders::key(self.from.as_deref().unwrap_or("faucet"))?;
        let chain = self.chain.connect().await?;
        let messages = self.message.pack(&key.address(), &*chain).await?;
        let included = submit(&*chain, &key, messages, fee, &self.memo).await?;
        let outcome = View::Fields(vec![
            ("hash", included.hash.as_str().into()),
            ("height", included.result.height.0.into()),
            ("code", included.result.code.into()),
            ("gas_used", included.result.gas_used.into()),
        ]);
        outcome.print(self.output.is_json())?;
        included.succeeded()
    }
}

#[cfg(test)]
mod tests {
    use super::ServiceUrl;

    #[test]
    fn a_service_and_its_url_are_split_at_the_first_equals_sign() {
        let parsed: ServiceUrl = "eth=http://node/?key=1".parse().unwrap();
        assert_eq!(
            (parsed.id.as_str(), parsed.url.as_str()),
            ("eth", "http://node/?key=1")
        );
    }

    #[test]
    fn what_is_not_a_service_and_a_url_is_refused_with_an_example() {
        for text in ["eth", "eth=node:8545", "a b=http://node"] {
            assert!(text.parse::<ServiceUrl>().is_err(), "{text}");
        }
    }
}
