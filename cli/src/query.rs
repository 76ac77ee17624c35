//! `portico query`: what a chain knows.

mod views;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use portico_client::{Actors, Blocks, Chain, Claims, ModuleParams};
use portico_protocol::session::Timing;
use portico_protocol::{Address, Height, ServiceId};

use crate::chain::ChainArgs;
use crate::folders;
use crate::output::GlobalOutputArgs;
use crate::view::View;

#[derive(Args)]
pub(crate) struct QueryArgs {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    chain: ChainArgs,
    #[command(flatten)]
    output: GlobalOutputArgs,
}

#[derive(Subcommand)]
enum What {
    /// Chain id, newest block, sync state
    Status,
    /// The session of a service: its suppliers, its blocks, and when it is claimed, proved and settled
    Session {
        /// Service id, e.g. pocket
        service: ServiceId,
        /// Application that pays; not needed when one application is staked for the service
        #[arg(long, value_name = "ACTOR")]
        application: Option<String>,
        /// A height inside the session; the newest block by default
        #[arg(long, default_value_t = 0)]
        height: i64,
    },
    /// A staked application, or all of them
    Application {
        /// Address, key file, or an actor of the local network
        actor: Option<String>,
    },
    /// A staked supplier, or all of them
    Supplier {
        /// Operator's address, key file, or an actor of the local network
        actor: Option<String>,
    },
    /// A staked gateway, or all of them
    Gateway {
        /// Address, key file, or an actor of the local network
        actor: Option<String>,
    },
    /// A service, or all of them
    Service {
        /// Service id
        service: Option<ServiceId>,
    },
    /// Claims that are not settled yet
    Claim {
        /// Only of this session (id of 64 hexadecimal characters)
        session: Option<String>,
        /// Only of this supplier
        #[arg(long, value_name = "ACTOR")]
        supplier: Option<String>,
    },
    /// Tokens of an account, in upokt (1,000,000 upokt are 1 POKT)
    Balance {
        /// Address, key file, or an actor of the local network
        actor: String,
    },
    /// Number, sequence and public key of an account
    Account {
        /// Address, key file, or an actor of the local network
        actor: String,
    },
    /// Params of the modules
    Params {
        /// Only of this module
        #[arg(value_enum)]
        module: Option<Module>,
    },
    /// A block with its events and transactions
    Block {
        /// Height; the newest block by default
        height: Option<i64>,
    },
    /// An included transaction
    Tx {
        /// Hash, hexadecimal
        hash: String,
    },
}

/// A module with params.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Module {
    /// Session length, claim and proof windows, price of a compute unit
    Shared,
    /// Suppliers per session
    Session,
    /// When a proof is required
    Proof,
    /// Who gets what of a settled claim
    Tokenomics,
}

impl QueryArgs {
    pub(crate) async fn run(self) -> Result<()> {
        let chain = self.chain.connect().await?;
        answer(&*chain, self.what).await?.print(self.output.is_json())
    }
}

async fn answer(chain: &dyn Chain, what: What) -> Result<View> {
    Ok(match what {
        What::Status => views::status(&chain.status().await?),
        What::Session {
            service,
            application,
            height,
        } => session(chain, &service, application.as_deref(), Height(height)).await?,
        What::Application { actor: None } => chain
            .applications()
            .await?
            .iter()
            .map(views::application)
            .collect(),
        What::Application { actor: Some(actor) } => {
            views::application(&chain.application(&folders::address(&actor)?).await?)
        }
        What::Supplier { actor: None } => chain.suppliers().await?.iter().map(views::supplier).collect(),
        What::Supplier { actor: Some(actor) } => {
            views::supplier(&chain.supplier(&folders::address(&actor)?).await?)
        }
        What::Gateway { actor: None } => chain.gateways().await?.iter().map(views::gateway).collect(),
        What::Gateway { actor: Some(actor) } => {
            views::gateway(&chain.gateway(&folders::address(&actor)?).await?)
        }
        What::Service { service: None } => chain.services().await?.iter().map(views::service).collect(),
        What::Service {
            service: Some(service),
        } => views::service(&chain.service(&service).await?),
        What::Claim { session, supplier } => claims(chain, session, supplier).await?,
        What::Balance { actor } => {
            let address = folders::address(&actor)?;
            views::balance(&address, chain.balance(&address).await?)
        }
        What::Account { actor } => views::account(&chain.account(&folders::address(&actor)?).await?),
        What::Params { module } => params(chain, module).await?,
        What::Block { height } => block(chain, height).await?,
        What::Tx { hash } => {
            let hash = hash.to_uppercase();
            let found = chain.tx(&hash).await?;
            views::tx(&found.with_context(|| format!("no block includes a transaction {hash}"))?)
        }
    })
}

async fn session(
    chain: &dyn Chain,
    service: &ServiceId,
    application: Option<&str>,
    height: Height,
) -> Result<View> {
    let application = match application {
        Some(actor) => folders::address(actor)?,
        None => only_application(chain, service).await?,
    };
    let session = chain.session(&application, service, height).await?;
    let end = session
        .header
        .as_ref()
        .map_or(0, |header| header.session_end_block_height);
    let params = chain
        .shared_params(Some(Height(end.min(chain.status().await?.head.height.0))))
        .await?;
    Ok(views::session(&session, &Timing::new(&params)))
}

/// The application that is staked for `service`, when there is exactly one.
pub(crate) async fn only_application(chain: &dyn Actors, service: &ServiceId) -> Result<Address> {
    let all = chain.applications().await?;
    let staked_for_it = |application: &&portico_protocol::wire::pocket::application::Application| {
        application
            .service_configs
            .iter()
            .any(|config| config.service_id == service.as_str())
    };
    let mut found = all
        .iter()
        .filter(staked_for_it)
        .map(|application| application.address.as_str());
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only.parse()?),
        (None, _) => bail!("no application is staked for {service}"),
        (Some(_), Some(_)) => {
            bail!("several applications are staked for {service}: name one with --application")
        }
    }
}

async fn claims(chain: &dyn Claims, session: Option<String>, supplier: Option<String>) -> Result<View> {
    let supplier = supplier
        .map(|actor| folders::address(&actor))
        .transpose()?
        .map(|address| address.to_string());
    let claims = chain.claims().await?;
    let wanted = |claim: &&portico_protocol::wire::pocket::proof::Claim| {
        let id = claim
            .session_header
            .as_ref()
            .map(|header| header.session_id.as_str());
        session.as_deref().is_none_or(|session| id == Some(session))
            && supplier
                .as_ref()
                .is_none_or(|supplier| *supplier == claim.supplier_operator_address)
    };
    Ok(claims.iter().filter(wanted).map(views::claim).collect())
}

async fn params(chain: &dyn ModuleParams, module: Option<Module>) -> Result<View> {
    let wanted = |candidate| module.is_none_or(|module| module == candidate);
    let mut fields = Vec::new();
    if wanted(Module::Shared) {
        fields.push(("shared", views::shared_params(&chain.shared_params(None).await?)));
    }
    if wanted(Module::Session) {
        fields.push(("session", views::session_params(&chain.session_params().await?)));
    }
    if wanted(Module::Proof) {
        fields.push(("proof", views::proof_params(&chain.proof_params().await?)));
    }
    if wanted(Module::Tokenomics) {
        fields.push((
            "tokenomics",
            views::tokenomics_params(&chain.tokenomics_params().await?),
        ));
    }
    Ok(View::Fields(fields))
}

async fn block(chain: &dyn Blocks, height: Option<i64>) -> Result<View> {
    let height = match height {
        Some(height) => Height(height),
        None => chain.status().await?.head.height,
    };
    let head = chain.block(height).await?;
    Ok(views::block(&head, &chain.block_results(height).await?))
}
