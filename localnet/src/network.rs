//! A running network, wherever its roles run.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context, Result};
use portico_client::Chain;
use portico_servicer::{LedgerRow, ServicerHandle};
use serde_json::Value;

/// What is asked of a running network.
pub struct Network {
    /// The chain, embedded or in another process.
    pub chain: Arc<dyn Chain>,
    /// The servicer's books.
    pub ledger: Ledger,
}

/// A role that runs until it is told to stop, or fails.
pub struct Part {
    /// What it is called in errors.
    pub name: &'static str,
    /// Runs it.
    pub run: Pin<Box<dyn Future<Output = Result<()>> + Send>>,
}

impl Part {
    pub(crate) fn new<E>(
        name: &'static str,
        run: impl Future<Output = std::result::Result<(), E>> + Send + 'static,
    ) -> Self
    where
        E: Into<anyhow::Error>,
    {
        let run = Box::pin(async move { run.await.map_err(Into::into) });
        Self { name, run }
    }
}

/// Where the servicer's ledger is.
pub enum Ledger {
    /// In this process.
    Here(ServicerHandle),
    /// At this URL.
    At(String, reqwest::Client),
}

impl Ledger {
    /// One row per session and supplier.
    pub async fn rows(&self) -> Result<Vec<LedgerRow>> {
        match self {
            Self::Here(servicer) => Ok(servicer.ledger()),
            Self::At(url, client) => ask(url, client).await,
        }
    }
}

async fn ask(url: &str, client: &reqwest::Client) -> Result<Vec<LedgerRow>> {
    let asked = async {
        let answer = client.get(url).send().await?;
        answer.error_for_status()?.json().await
    };
    let mut answer: Value = asked
        .await
        .with_context(|| format!("the servicer does not show its ledger at {url}"))?;
    serde_json::from_value(answer["sessions"].take()).context("the servicer's ledger has another shape")
}
