//! Where a ledger is read: a servicer that runs, or the data of one that does not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use portico_config::chain::ChainConfig;
use portico_config::load;
use portico_config::servicer::ServicerConfig;
use portico_servicer::leaf_log::{LeafLogError, LeafReader};
use portico_servicer::{FoundRelay, LedgerRow};
use serde::Deserialize;

/// The servicer of a local network.
const LOCAL: &str = "http://127.0.0.1:8081";

/// Whose ledger.
#[derive(Args)]
pub(super) struct SourceArgs {
    /// The servicer's configuration file: it is asked while it runs, and its data are read while it does not
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A running servicer, by its admin address; the servicer of the local network by default
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    servicer: Option<String>,
    /// The data folder of a servicer that does not run
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["config", "servicer"])]
    data_dir: Option<PathBuf>,
}

/// An opened ledger.
pub(super) enum Source {
    /// A servicer that runs, by its URL, and what it said.
    Running(String, Vec<LedgerRow>),
    /// Data of one that does not.
    Stopped(LeafReader, Vec<LedgerRow>),
}

#[derive(Deserialize)]
struct Answer {
    sessions: Vec<LedgerRow>,
}

impl SourceArgs {
    /// The chain that the configuration names, or a node on this machine.
    pub(super) fn chain(&self) -> Result<ChainConfig> {
        match &self.config {
            Some(file) => Ok(load::<ServicerConfig>(file)?.chain),
            None => Ok(ChainConfig::default()),
        }
    }

    pub(super) async fn open(&self) -> Result<Source> {
        if let Some(folder) = &self.data_dir {
            return stopped(folder, None);
        }
        let Some(file) = &self.config else {
            let url = self.servicer.as_deref().unwrap_or(LOCAL);
            let rows = ask(url).await?.with_context(|| {
                format!("no servicer answers at {url}; name one with --servicer, --config or --data-dir")
            })?;
            return Ok(Source::Running(url.to_owned(), rows));
        };
        let config: ServicerConfig = load(file)?;
        let Some(url) = admin_url(&config) else {
            return stopped(&config.data_dir, None);
        };
        match ask(&url).await? {
            Some(rows) => Ok(Source::Running(url, rows)),
            None => stopped(&config.data_dir, Some(&url)),
        }
    }
}

impl Source {
    /// All rows, oldest first.
    pub(super) fn rows(&self) -> &[LedgerRow] {
        match self {
            Self::Running(_, rows) | Self::Stopped(_, rows) => rows,
        }
    }

    /// What is known of one relay.
    pub(super) async fn relay(&self, hash: &[u8; 32]) -> Result<Option<FoundRelay>> {
        match self {
            Self::Stopped(reader, _) => Ok(reader.find(hash)?),
            Self::Running(url, _) => {
                let response = get(&format!("{url}/relays/{}", hex::encode(hash))).await?;
                match response.status() {
                    http::StatusCode::NOT_FOUND => Ok(None),
                    _ => Ok(Some(response.error_for_status()?.json().await?)),
                }
            }
        }
    }
}

/// The rows of a running servicer; `None` when nobody listens.
async fn ask(url: &str) -> Result<Option<Vec<LedgerRow>>> {
    let response = match get(&format!("{}/ledger", url.trim_end_matches('/'))).await {
        Ok(response) => response,
        Err(error) if error.is_connect() => return Ok(None),
        Err(error) => return Err(anyhow!(error).context(format!("the servicer at {url} does not answer"))),
    };
    let told = response.error_for_status().map_err(|error| {
        anyhow!(error).context(format!(
            "{url} shows no ledger: name the admin address of a servicer"
        ))
    })?;
    let answer: Answer = told
        .json()
        .await
        .with_context(|| format!("the ledger at {url} has another shape: another version?"))?;
    Ok(Some(answer.sessions))
}

async fn get(url: &str) -> reqwest::Result<reqwest::Response> {
    crate::http::client()?.get(url).send().await
}

fn stopped(folder: &Path, asked: Option<&str>) -> Result<Source> {
    let reader = match LeafReader::open(folder) {
        Ok(reader) => reader,
        Err(LeafLogError::InUse) => bail!(
            "a servicer is running on {}{}; give it an admin_listen address, and name that with --servicer",
            folder.display(),
            asked.map_or_else(String::new, |url| format!(" and does not answer at {url}"))
        ),
        Err(error) => return Err(anyhow!(error).context(format!("no leaf log in {}", folder.display()))),
    };
    let rows = reader.ledger()?;
    Ok(Source::Stopped(reader, rows))
}

/// Where a servicer with this configuration shows its ledger; `None` when it does not.
pub(super) fn admin_url(config: &ServicerConfig) -> Option<String> {
    let address = match config.admin_listen {
        Some(address) => address,
        None if config.listen.ip().is_loopback() && config.tls.is_none() => config.listen,
        None => return None,
    };
    let ip = match address.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    Some(format!("http://{}", SocketAddr::new(ip, address.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_where_the_servicer_shows_it() {
        let mut config = ServicerConfig::default();
        assert_eq!(admin_url(&config).unwrap(), LOCAL);
        config.listen = "0.0.0.0:8081".parse().unwrap();
        assert_eq!(
            admin_url(&config),
            None,
            "the relay endpoint of everybody shows none"
        );
        config.admin_listen = Some("0.0.0.0:8082".parse().unwrap());
        assert_eq!(admin_url(&config).unwrap(), "http://127.0.0.1:8082");
    }
}
