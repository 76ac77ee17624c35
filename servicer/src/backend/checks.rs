//! Checks of nodes on a timer: what each says of its chain, compared with its peers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use portico_config::servicer::{HealthCheck, HealthConfig, RpcType};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::judge::{Seen, Witness, compare_at, judge};
use super::node::HttpNode;
use super::pool::Pool;

/// Largest answer to a check, in bytes: a block's header with its transactions' hashes, or a commit with its signatures.
const MAX_ANSWER: usize = 4 << 20;

/// Checks the nodes of `pool` until `stop`.
pub(super) async fn run(pool: Arc<Pool>, stop: CancellationToken) {
    if pool.health.check == HealthCheck::None {
        return;
    }
    let interval = Duration::from_millis(pool.health.interval_ms);
    while !stop.is_cancelled() {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = round(&pool) => {}
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

/// One round: all nodes are asked at a time, then all for the hash of one block.
async fn round(pool: &Arc<Pool>) {
    let health = &pool.health;
    let seen = of_each(pool, |node, health| async move { look(&node, &health).await }).await;
    let mut witnesses: Vec<Witness> = (pool.nodes.iter().zip(seen))
        .map(|(node, seen)| Witness {
            weight: node.weight,
            seen,
        })
        .collect();
    if let Some(height) = compare_at(&witnesses, health).filter(|_| has_hashes(health.check)) {
        let hashes = of_each(pool, |node, health| async move {
            hash(&node, health.check, height).await
        });
        for (witness, hash) in witnesses.iter_mut().zip(hashes.await) {
            if let Some(seen) = &mut witness.seen {
                seen.hash = hash;
            }
        }
    }
    for (index, event) in judge(&witnesses, health).into_iter().enumerate() {
        if let Some(head) = witnesses[index].seen.as_ref().and_then(|seen| seen.head) {
            pool.head(index, head);
        }
        pool.on(index, event);
    }
}

/// Asks each node the same, in time; `None` for those that give no answer.
async fn of_each<T, F>(pool: &Pool, ask: impl Fn(Arc<HttpNode>, HealthConfig) -> F) -> Vec<Option<T>>
where
    T: Send + 'static,
    F: Future<Output = Option<T>> + Send + 'static,
{
    let timeout = Duration::from_millis(pool.health.timeout_ms);
    let mut asking = JoinSet::new();
    for (index, node) in pool.nodes.iter().enumerate() {
        let answer = ask(Arc::clone(&node.http), pool.health.clone());
        asking.spawn(async move { (index, tokio::time::timeout(timeout, answer).await.ok().flatten()) });
    }
    let mut answers: Vec<Option<T>> = pool.nodes.iter().map(|_| None).collect();
    while let Some(answer) = asking.join_next().await {
        if let Ok((index, answer)) = answer {
            answers[index] = answer;
        }
    }
    answers
}

const fn has_hashes(check: HealthCheck) -> bool {
    matches!(check, HealthCheck::Evm | HealthCheck::CometBft)
}

/// What a node says of itself.
async fn look(node: &HttpNode, health: &HealthConfig) -> Option<Seen> {
    match health.check {
        HealthCheck::None => None,
        HealthCheck::Evm => {
            let (head, chain, syncing) = tokio::join!(
                call(node, "eth_blockNumber", json!([])),
                call(node, "eth_chainId", json!([])),
                call(node, "eth_syncing", json!([])),
            );
            Some(Seen {
                head: Some(quantity(&head?)?),
                chain: Some(quantity(&chain?)?.to_string()),
                // Nodes without this method are not syncing: they tell their head.
                syncing: syncing.is_some_and(|syncing| syncing.is_object()),
                hash: None,
            })
        }
        HealthCheck::Solana => {
            let (health, slot, genesis) = tokio::join!(
                call(node, "getHealth", json!([])),
                call(node, "getSlot", json!([])),
                call(node, "getGenesisHash", json!([])),
            );
            Some(Seen {
                head: Some(slot?.as_u64()?),
                chain: Some(genesis?.as_str()?.to_owned()),
                // It says "ok", or gives an error that says how far behind it is.
                syncing: health.is_none_or(|health| health != "ok"),
                hash: None,
            })
        }
        HealthCheck::CometBft => {
            let status = get(node, "/status").await?;
            let sync = &status["sync_info"];
            Some(Seen {
                head: Some(sync["latest_block_height"].as_str()?.parse().ok()?),
                chain: Some(status["node_info"]["network"].as_str()?.to_owned()),
                syncing: sync["catching_up"].as_bool()?,
                hash: None,
            })
        }
        HealthCheck::Http => {
            let body = node.ask(Method::GET, &health.path, None, MAX_ANSWER).await?;
            let contains = |text: &String| String::from_utf8_lossy(&body).contains(text);
            health.contains.as_ref().is_none_or(contains).then(Seen::default)
        }
    }
}

/// The hash of a node's block at `height`.
async fn hash(node: &HttpNode, check: HealthCheck, height: u64) -> Option<String> {
    let hash = match check {
        HealthCheck::Evm => {
            let block = call(
                node,
                "eth_getBlockByNumber",
                json!([format!("{height:#x}"), false]),
            )
            .await?;
            block["hash"].as_str()?.to_ascii_lowercase()
        }
        HealthCheck::CometBft => {
            let commit = get(node, &format!("/commit?height={}", height.max(1))).await?;
            commit["signed_header"]["commit"]["block_id"]["hash"]
                .as_str()?
                .to_ascii_lowercase()
        }
        HealthCheck::None | HealthCheck::Solana | HealthCheck::Http => return None,
    };
    Some(hash).filter(|hash| !hash.is_empty())
}

/// Result of a JSON-RPC method.
async fn call(node: &HttpNode, method: &str, params: Value) -> Option<Value> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    result(&node.ask(Method::POST, "/", Some(request), MAX_ANSWER).await?)
}

/// Result of a path of CometBFT's RPC.
async fn get(node: &HttpNode, path: &str) -> Option<Value> {
    result(&node.ask(Method::GET, path, None, MAX_ANSWER).await?)
}

fn result(answer: &Bytes) -> Option<Value> {
    let mut answer: Value = serde_json::from_slice(answer).ok()?;
    let failed = answer.get("error").is_some_and(|error| !error.is_null());
    answer.get_mut("result").filter(|_| !failed).map(Value::take)
}

/// A number as EVM nodes write it.
fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// A call that every node of a backend answers when it is well: what simulated relays ask.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    /// `None` for the service's default.
    pub(crate) rpc_type: Option<RpcType>,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: &'static str,
}

impl Probe {
    /// The call for nodes that are checked so; `None` where nobody says what they answer.
    pub(super) fn new(rpc_type: Option<RpcType>, health: &HealthConfig) -> Option<Self> {
        const EVM: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;
        const SOLANA: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getSlot","params":[]}"#;
        let (method, path, body) = match health.check {
            HealthCheck::None => return None,
            HealthCheck::Evm => ("POST", "/", EVM),
            HealthCheck::Solana => ("POST", "/", SOLANA),
            HealthCheck::CometBft => ("GET", "/status", ""),
            HealthCheck::Http => ("GET", &*health.path, ""),
        };
        Some(Self {
            rpc_type,
            method,
            path: path.to_owned(),
            body,
        })
    }
}
