//! What is asked of the machine, of the chain and of the staked endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use portico_client::{Chain, ChainError};
use portico_config::servicer::ServicerConfig;
use portico_engine::{Clock, SystemClock};
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket::shared::Supplier;
use portico_protocol::{Address, ServiceId, Upokt};

/// Time for one endpoint to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Endpoints that are probed; operators stake the same few for all suppliers.
const MAX_PROBES: usize = 32;

/// What the machine has.
pub(crate) struct Machine {
    /// Free bytes where the data are; `None` when the system does not tell.
    pub(crate) free_bytes: Option<u64>,
}

/// What the chain has of a supplier.
pub(crate) struct Known {
    pub(crate) chain_id: String,
    pub(crate) catching_up: bool,
    /// Time of the newest block, and of this machine when it was asked, in milliseconds since 1970.
    pub(crate) block_ms: u64,
    pub(crate) now_ms: u64,
    pub(crate) min_stake: Upokt,
    pub(crate) proof_fee: Upokt,
    pub(crate) proof_missing_penalty: Upokt,
    /// By operator; `None` for one that is not staked.
    pub(crate) suppliers: BTreeMap<Address, Option<Supplier>>,
    /// `None` for one without account.
    pub(crate) balances: BTreeMap<Address, Option<Upokt>>,
    /// Services of the configuration that the chain does not have.
    pub(crate) missing_services: BTreeSet<ServiceId>,
    /// Endpoints that did not answer, and why.
    pub(crate) silent: BTreeMap<String, String>,
}

pub(crate) fn machine(data_dir: &Path) -> Machine {
    Machine {
        free_bytes: data_dir
            .ancestors()
            .find(|folder| folder.exists())
            .and_then(portico_disk::free_bytes),
    }
}

pub(crate) async fn chain(config: &ServicerConfig, chain: &dyn Chain, probe: bool) -> Result<Known> {
    let status = chain.status().await?;
    let (supplier_params, proof_params) = (chain.supplier_params().await?, chain.proof_params().await?);
    let mut known = Known {
        chain_id: status.chain_id,
        catching_up: status.catching_up,
        block_ms: status.head.time_ms,
        now_ms: SystemClock.now_ms(),
        min_stake: amount(supplier_params.min_stake.as_ref()),
        proof_fee: amount(proof_params.proof_submission_fee.as_ref()),
        proof_missing_penalty: amount(proof_params.proof_missing_penalty.as_ref()),
        suppliers: BTreeMap::new(),
        balances: BTreeMap::new(),
        missing_services: BTreeSet::new(),
        silent: BTreeMap::new(),
    };
    for secret in &config.suppliers {
        let address = secret.signing_key()?.address();
        known
            .suppliers
            .insert(address, found(chain.supplier(&address).await)?);
        let account = found(chain.account(&address).await)?;
        let balance = match account {
            Some(_) => Some(chain.balance(&address).await?),
            None => None,
        };
        known.balances.insert(address, balance);
    }
    for id in config.services.keys() {
        if found(chain.service(id).await)?.is_none() {
            known.missing_services.insert(id.clone());
        }
    }
    if probe {
        known.silent = silent(known.suppliers.values().flatten()).await;
    }
    Ok(known)
}

fn found<T>(answer: Result<T, ChainError>) -> Result<Option<T>, ChainError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(ChainError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn amount(coin: Option<&Coin>) -> Upokt {
    coin.and_then(|coin| Upokt::try_from(coin).ok())
        .unwrap_or_default()
}

/// Endpoints at which no HTTP server answers. Any answer counts: a relay endpoint answers `/health`, a proxy in front of it may not.
async fn silent(suppliers: impl Iterator<Item = &Supplier>) -> BTreeMap<String, String> {
    let urls: BTreeSet<&String> = suppliers
        .flat_map(|supplier| &supplier.services)
        .flat_map(|service| &service.endpoints)
        .map(|endpoint| &endpoint.url)
        .collect();
    let mut silent = BTreeMap::new();
    for url in urls.into_iter().take(MAX_PROBES) {
        let http = url
            .strip_prefix("ws")
            .map_or_else(|| url.clone(), |rest| format!("http{rest}"));
        if let Err(error) = answers(&http).await {
            silent.insert(url.clone(), error);
        }
    }
    silent
}

async fn answers(url: &str) -> Result<(), String> {
    let client = crate::http::client().map_err(|error| error.to_string())?;
    let health = format!("{}/health", url.trim_end_matches('/'));
    let asked = client.get(health).timeout(PROBE_TIMEOUT).send().await;
    match asked {
        Ok(_) => Ok(()),
        Err(error) if error.is_timeout() => Err("no answer in time".to_owned()),
        Err(error) if error.is_connect() => Err("no connection".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
