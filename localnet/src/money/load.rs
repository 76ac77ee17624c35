//! Relays that a network is sent for the sake of its figures, as a dApp would: over HTTP through the gateway.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, stream};
use portico_protocol::Address;

/// Calls under way at the same time.
const CONCURRENCY: usize = 8;

/// A session as one supplier serves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Served {
    /// Session id.
    pub session: String,
    /// Operator address of the supplier.
    pub supplier: Address,
}

/// Answers received, per session and supplier.
pub type Tally = BTreeMap<Served, u64>;

/// Sends `relays` calls to `url` and counts the answers; errs at the first call that is not answered.
pub async fn send(client: &reqwest::Client, url: &str, relays: u64) -> Result<Tally> {
    let mut answers = stream::iter(0..relays)
        .map(|number| {
            let call = one(client, url, number);
            async move {
                call.await
                    .with_context(|| format!("relay {} of {relays} failed", number + 1))
            }
        })
        .buffer_unordered(CONCURRENCY);
    let mut tally = Tally::new();
    while let Some(served) = answers.next().await {
        *tally.entry(served?).or_default() += 1;
    }
    Ok(tally)
}

async fn one(client: &reqwest::Client, url: &str, number: u64) -> Result<Served> {
    let call = serde_json::json!({"jsonrpc": "2.0", "id": number, "method": "status", "params": {}});
    let response = client.post(url).json(&call).send().await?;
    let status = response.status();
    let header = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value
            .map(str::to_owned)
            .with_context(|| format!("the gateway's answer has no header {name}"))
    };
    let (session, supplier) = (header("x-session-id"), header("x-supplier-address"));
    let answer: serde_json::Value = response.json().await.context("the answer is not JSON")?;
    if let Some(error) = answer.get("error") {
        bail!("HTTP {status}: {error}");
    }
    ensure!(status.is_success(), "HTTP {status}: {answer}");
    ensure!(
        answer.get("id").and_then(serde_json::Value::as_u64) == Some(number),
        "the answer is to another call"
    );
    Ok(Served {
        session: session?,
        supplier: supplier?.parse()?,
    })
}
