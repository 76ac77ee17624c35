//! CometBFT's JSON-RPC over HTTP.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use portico_net::tls::{ClientTls, explain};
use portico_protocol::Height;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::events::EventReader;
use super::fault::Fault;
use super::json::{BlockJson, BlockResultsJson, BroadcastJson, StatusJson, TxJson};
use crate::{
    BlockEvents, BlockHead, BlockResults, BroadcastResult, ChainError, ChainStatus, KeepEvent, TxResult,
};

/// Largest answer that is held, in bytes: results of a block with thousands of transactions.
const MAX_ANSWER_BYTES: usize = 128 << 20;
/// Time for an answer of any size that is read as it arrives.
const STREAM_TIMEOUT: Duration = Duration::from_secs(600);
/// Calls' time-outs without a byte after which such an answer is given up: a node puts all of it together before the first one.
const STREAM_PATIENCE: u32 = 6;
/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What the SDK says for transactions that the mempool does not take for reasons of its own (`types/errors`): code and CometBFT's text.
const MEMPOOL_REFUSALS: [(&str, u32); 3] = [
    ("tx already exists in cache", 19),
    ("mempool is full", 20),
    ("Tx too large", 21),
];

/// A client of one node.
#[derive(Clone)]
pub(super) struct Rpc {
    http: reqwest::Client,
    url: String,
    /// Time for one call.
    timeout: Duration,
}

#[derive(Deserialize)]
struct Answer {
    result: Option<Value>,
    error: Option<Fault>,
}

/// Why a call has no result.
enum Failure {
    Transport(ChainError),
    Fault(Fault),
}

impl From<Failure> for ChainError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Transport(error) => error,
            Failure::Fault(fault) => {
                let text = fault.text();
                let absent = ["must be less than or equal to", "is not available", "not found"];
                match absent.iter().any(|words| text.contains(words)) {
                    true => Self::NotFound(text),
                    false => Self::Internal(text),
                }
            }
        }
    }
}

/// Errs for URLs that cannot be used.
pub(super) fn check_url(url: &str) -> Result<(), ChainError> {
    let known = url.starts_with("http://") || url.starts_with("https://");
    match known && reqwest::Url::parse(url).is_ok_and(|url| url.has_host()) {
        true => Ok(()),
        false => Err(ChainError::InvalidArgument(format!(
            "{url}: an http:// or https:// URL with a host is expected"
        ))),
    }
}

impl Rpc {
    pub(super) fn new(url: &str, timeout: Duration, tls: &ClientTls) -> Result<Self, ChainError> {
        check_url(url)?;
        let http = tls.http_client().connect_timeout(CONNECT_TIMEOUT).build();
        Ok(Self {
            http: http.map_err(|error| ChainError::Internal(portico_protocol::causes(&error)))?,
            url: url.trim_end_matches('/').to_owned(),
            timeout,
        })
    }

    /// Where it is, without a slash at the end.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    async fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, Failure> {
        let answer = self.post(method, params).await.map_err(Failure::Transport)?;
        if let Some(fault) = answer.error {
            return Err(Failure::Fault(fault));
        }
        serde_json::from_value(answer.result.unwrap_or_default())
            .map_err(|error| Failure::Transport(ChainError::Internal(format!("answer to {method}: {error}"))))
    }

    async fn post(&self, method: &str, params: Value) -> Result<Answer, ChainError> {
        let mut response = self.send(method, params, self.timeout).await?;
        let status = response.status();
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unavailable(error))? {
            if text.len() + chunk.len() > MAX_ANSWER_BYTES {
                let text = format!("answer to {method} is larger than {MAX_ANSWER_BYTES} bytes");
                return Err(ChainError::Internal(text));
            }
            text.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&text).map_err(|_| self.no_json(method, status))
    }

    /// The head of the answer; all of it has to be there within `timeout`.
    async fn send(
        &self,
        method: &str,
        params: Value,
        timeout: Duration,
    ) -> Result<reqwest::Response, ChainError> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = self.http.post(&self.url).timeout(timeout).json(&body);
        request.send().await.map_err(|error| self.unavailable(error))
    }

    fn unavailable(&self, error: reqwest::Error) -> ChainError {
        let error = error.without_url();
        let reason = explain(&error).unwrap_or_else(|| portico_protocol::causes(&error));
        ChainError::Unavailable(format!("{}: {reason}", self.url))
    }

    fn no_json(&self, method: &str, status: reqwest::StatusCode) -> ChainError {
        ChainError::Unavailable(format!(
            "{} answers {method} with HTTP {status}, and no JSON-RPC",
            self.url
        ))
    }

    pub(super) async fn status(&self) -> Result<ChainStatus, ChainError> {
        self.call::<StatusJson>("status", json!({})).await?.read()
    }

    pub(super) async fn block(&self, height: Height) -> Result<BlockHead, ChainError> {
        let params = json!({"height": height.0.to_string()});
        self.call::<BlockJson>("block", params).await?.read()
    }

    pub(super) async fn block_results(&self, height: Height) -> Result<BlockResults, ChainError> {
        let params = json!({"height": height.0.to_string()});
        self.call::<BlockResultsJson>("block_results", params)
            .await?
            .read()
    }

    /// Reads the answer as it arrives: it may be larger than what can be held.
    pub(super) async fn block_events(
        &self,
        height: Height,
        keep: KeepEvent,
    ) -> Result<BlockEvents, ChainError> {
        let method = "block_results";
        let patience = self.timeout.saturating_mul(STREAM_PATIENCE);
        let silent = |_| {
            let text = format!("{}: no byte of {method} for {patience:?}", self.url);
            ChainError::Unavailable(text)
        };
        let params = json!({"height": height.0.to_string()});
        let sending = self.send(method, params, STREAM_TIMEOUT);
        let mut response = tokio::time::timeout(patience, sending).await.map_err(silent)??;
        let status = response.status();
        let mut reader = EventReader::new(keep);
        loop {
            let chunk = tokio::time::timeout(patience, response.chunk()).await;
            let chunk = chunk.map_err(silent)?.map_err(|error| self.unavailable(error))?;
            let Some(chunk) = chunk else { break };
            reader.push(&chunk).map_err(|_| self.no_json(method, status))?;
        }
        reader.finish()?.map_err(|fault| Failure::Fault(fault).into())
    }

    pub(super) async fn broadcast(&self, tx: &[u8], hash: String) -> Result<BroadcastResult, ChainError> {
        let params = json!({"tx": BASE64.encode(tx)});
        match self.call::<BroadcastJson>("broadcast_tx_sync", params).await {
            Ok(answer) => Ok(answer.read()),
            Err(Failure::Fault(fault)) => {
                let log = fault.text();
                let known = MEMPOOL_REFUSALS.iter().find(|(words, _)| log.contains(words));
                let Some((_, code)) = known else {
                    return Err(Failure::Fault(fault).into());
                };
                Ok(BroadcastResult {
                    hash,
                    code: *code,
                    codespace: "sdk".to_owned(),
                    log,
                })
            }
            Err(failure) => Err(failure.into()),
        }
    }

    pub(super) async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError> {
        let bytes =
            hex::decode(hash).map_err(|error| ChainError::InvalidArgument(format!("{hash:?}: {error}")))?;
        let params = json!({"hash": BASE64.encode(bytes), "prove": false});
        match self.call::<TxJson>("tx", params).await.map_err(ChainError::from) {
            Ok(tx) => tx.read().map(Some),
            Err(ChainError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
