//! The total supply, asked for over the chain's RPC: another way than the balances come.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portico_protocol::types::DENOM;
use portico_protocol::wire::cosmos::bank::v1beta1::{QuerySupplyOfRequest, QuerySupplyOfResponse};
use prost::Message;

/// Asks the RPC at a URL.
pub struct Supply {
    client: reqwest::Client,
    url: String,
}

impl Supply {
    /// Will ask the RPC at `url`.
    #[must_use]
    pub const fn at(client: reqwest::Client, url: String) -> Self {
        Self { client, url }
    }

    /// All upokt that exist.
    pub async fn total(&self) -> Result<u128> {
        let request = QuerySupplyOfRequest {
            denom: DENOM.to_owned(),
        }
        .encode_to_vec();
        let call = serde_json::json!({
            "jsonrpc": "2.0", "id": 1, "method": "abci_query",
            "params": { "path": "/cosmos.bank.v1beta1.Query/SupplyOf", "data": hex::encode(request), "prove": false },
        });
        let answer: serde_json::Value = self
            .client
            .post(&self.url)
            .json(&call)
            .send()
            .await?
            .json()
            .await?;
        let value = answer
            .pointer("/result/response/value")
            .and_then(serde_json::Value::as_str);
        let bytes = STANDARD
            .decode(value.with_context(|| format!("the chain's RPC does not tell the supply: {answer}"))?)?;
        let amount = QuerySupplyOfResponse::decode(bytes.as_slice())?
            .amount
            .context("no amount")?;
        Ok(amount.amount.parse()?)
    }
}
