//! What a call is: which class of the service's methods, and whether it only reads. Pure.
//!
//! A read may be asked of a second node when the first failed; anything else only when the first never got a byte of it. Methods are taken for
//! reads when they are known to be: what nobody knows may be a write.

use std::borrow::Cow;
use std::sync::Arc;

use portico_config::servicer::{DEFAULT_CLASS, ServiceConfig};
use portico_protocol::wire::sdk::types::PokthttpRequest;
use serde::Deserialize;

/// Bodies up to this size are looked into where they are; larger ones on a thread for work that takes long.
pub(super) const MAX_INLINE: usize = 64 << 10;
/// Methods that only read, of EVM nodes, Solana and CometBFT.
const READS: [&str; 62] = [
    "eth_blobBaseFee",
    "eth_blockNumber",
    "eth_call",
    "eth_chainId",
    "eth_createAccessList",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_gasPrice",
    "eth_getAccount",
    "eth_getBalance",
    "eth_getBlock*",
    "eth_getCode",
    "eth_getLogs",
    "eth_getProof",
    "eth_getStorageAt",
    "eth_getTransaction*",
    "eth_getUncle*",
    "eth_maxPriorityFeePerGas",
    "eth_protocolVersion",
    "eth_simulateV1",
    "eth_syncing",
    "debug_getRaw*",
    "debug_traceBlock*",
    "debug_traceCall",
    "debug_traceTransaction",
    "net_listening",
    "net_peerCount",
    "net_version",
    "trace_block",
    "trace_call",
    "trace_callMany",
    "trace_filter",
    "trace_get",
    "trace_replay*",
    "trace_transaction",
    "web3_clientVersion",
    "web3_sha3",
    "getAccountInfo",
    "getBalance",
    "getBlock*",
    "getEpoch*",
    "getFeeForMessage",
    "getHealth",
    "getLatestBlockhash",
    "getMultipleAccounts",
    "getProgramAccounts",
    "getSignature*",
    "getSlot*",
    "getSupply",
    "getToken*",
    "getTransaction",
    "getVersion",
    "isBlockhashValid",
    "simulateTransaction",
    "abci_info",
    "abci_query",
    "block*",
    "commit",
    "health",
    "status",
    "tx*",
    "validators",
];
/// Beginnings of the last part of a path that changes something although it is asked by GET (CometBFT's RPC by URI).
const WRITES_BY_GET: [&str; 5] = ["broadcast_", "check_tx", "dial_", "unsafe_", "subscribe"];

/// A name, or a beginning with `*` behind.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    is_beginning: bool,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let beginning = text.strip_suffix('*');
        Self {
            text: beginning.unwrap_or(text).to_owned(),
            is_beginning: beginning.is_some(),
        }
    }

    /// Whether it is a name, not a beginning.
    pub(super) const fn is_whole(&self) -> bool {
        !self.is_beginning
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match self.is_beginning {
            true => name.starts_with(&self.text),
            false => name == self.text,
        }
    }
}

/// The methods of a service.
#[derive(Debug)]
pub(super) struct Methods {
    classes: Vec<(Arc<str>, Vec<Pattern>)>,
    reads: Vec<Pattern>,
}

/// What a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Index of its class; 0 is the default.
    pub(super) class: usize,
    /// Whether it changes nothing.
    pub(super) is_read: bool,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
}

impl Methods {
    pub(super) fn new(config: &ServiceConfig) -> Self {
        let patterns = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect();
        let configured = config
            .method_classes
            .iter()
            .map(|(name, class)| (Arc::from(&**name), patterns(&class.methods)));
        let reads = READS.iter().map(|text| Pattern::new(text));
        Self {
            classes: std::iter::once((Arc::from(DEFAULT_CLASS), Vec::new()))
                .chain(configured)
                .collect(),
            reads: reads
                .chain(config.read_methods.iter().map(|text| Pattern::new(text)))
                .collect(),
        }
    }

    /// Whether calls need not be looked into: there is one class, and nobody asks which of them read.
    pub(super) const fn are_all_alike(&self) -> bool {
        self.classes.len() == 1
    }

    /// What `request` is. `path` is that of its URL, without query.
    pub(super) fn kind(&self, request: &PokthttpRequest, path: &str) -> Kind {
        self.kind_of(&request.method, path, &request.body_bz)
    }

    /// What a request of this method, path and body is.
    pub(super) fn kind_of(&self, method: &str, path: &str, body: &[u8]) -> Kind {
        let body = body.trim_ascii_start();
        let calls = match body.first() {
            Some(b'{') => serde_json::from_slice::<Named<'_>>(body)
                .ok()
                .map(|call| vec![call]),
            Some(b'[') => serde_json::from_slice::<Vec<Named<'_>>>(body).ok(),
            _ => None,
        };
        match calls.filter(|calls| method == "POST" && !calls.is_empty()) {
            Some(calls) => Kind {
                class: calls
                    .iter()
                    .map(|call| self.class(&call.method))
                    .find(|class| *class > 0)
                    .unwrap_or(0),
                is_read: calls.iter().all(|call| self.is_read_method(&call.method)),
            },
            None => Kind {
                class: self.class(path),
                is_read: is_read_request(method, path),
            },
        }
    }

    fn class(&self, name: &str) -> usize {
        let names =
            |(_, patterns): &(Arc<str>, Vec<Pattern>)| patterns.iter().any(|pattern| pattern.matches(name));
        self.classes.iter().position(names).unwrap_or(0)
    }

    fn is_read_method(&self, method: &str) -> bool {
        self.reads.iter().any(|pattern| pattern.matches(method))
    }
}

fn is_read_request(method: &str, path: &str) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let last = last.to_ascii_lowercase();
    // An escape may hide any name.
    let by_get = !last.contains('%') && !WRITES_BY_GET.iter().any(|beginning| last.starts_with(beginning));
    matches!(method, "GET" | "HEAD") && by_get
}

#[cfg(test)]
mod tests {
    use portico_config::servicer::MethodClass;

    use super::*;

    fn methods() -> Methods {
        let class = |methods: &[&str]| MethodClass {
            methods: methods.iter().map(|&name| name.to_owned()).collect(),
            ..MethodClass::default()
        };
        let mut config = ServiceConfig::new("http://x");
        config
            .method_classes
            .insert("archive".to_owned(), class(&["trace_*", "eth_getLogs"]));
        config
            .method_classes
            .insert("heavy".to_owned(), class(&["eth_*", "/cosmos/tx/*"]));
        config.read_methods.push("own_read".to_owned());
        Methods::new(&config)
    }

    fn kind(method: &str, path: &str, body: &str) -> (usize, bool) {
        let request = PokthttpRequest {
            method: method.to_owned(),
            body_bz: body.to_owned().into(),
            ..PokthttpRequest::default()
        };
        let kind = methods().kind(&request, path);
        (kind.class, kind.is_read)
    }

    fn post(body: &str) -> (usize, bool) {
        kind("POST", "/", body)
    }

    #[test]
    fn classes_go_by_the_first_that_names_a_method() {
        assert_eq!(post(r#"{"method":"eth_getLogs"}"#), (1, true));
        assert_eq!(
            post(r#"{"method":"eth_call","params":[{"a":[1]}],"id":1}"#),
            (2, true)
        );
        assert_eq!(post(r#"{"method":"net_version"}"#), (0, true));
        assert_eq!(
            post(r#" [{"method":"net_version"},{"method":"trace_block"}]"#),
            (1, true)
        );
        assert_eq!(kind("GET", "/cosmos/tx/v1beta1/txs", ""), (2, true));
        assert_eq!(kind("GET", "/cosmos/bank", ""), (0, true));
    }

    #[test]
    fn nothing_that_may_write_is_taken_for_a_read() {
        for method in [
            "eth_sendRawTransaction",
            "eth_sendTransaction",
            "eth_newFilter",
            "eth_getFilterChanges",
            "eth_subscribe",
            "sendTransaction",
            "requestAirdrop",
            "broadcast_tx_sync",
            "broadcast_tx_commit",
            "evm_mine",
            "hardhat_reset",
            "debug_setHead",
            "unknown",
        ] {
            let body = format!(r#"{{"method":"{method}"}}"#);
            assert!(!post(&body).1, "{method}");
            let batch = format!(r#"[{{"method":"eth_chainId"}},{body}]"#);
            assert!(!post(&batch).1, "{method} in a batch");
        }
        for body in [
            "",
            "{",
            "[]",
            "text",
            r#"{"id":1}"#,
            r#"[{"method":"eth_chainId"},{}]"#,
            r#"{"method":1}"#,
        ] {
            assert!(!post(body).1, "{body}");
        }
        for (method, path) in [
            ("POST", "/status"),
            ("PUT", "/x"),
            ("DELETE", "/x"),
            ("PATCH", "/x"),
            ("get", "/x"),
            ("GET", "/broadcast_tx_sync"),
            ("GET", "/rpc/Broadcast_tx_commit/"),
            ("GET", "/%62roadcast_tx_sync"),
            ("GET", "/unsafe_flush_mempool"),
        ] {
            assert!(!kind(method, path, "").1, "{method} {path}");
        }
    }

    #[test]
    fn reads_are_those_that_are_known_and_configured() {
        for method in [
            "eth_getBlockByNumber",
            "getAccountInfo",
            "status",
            "block_results",
            "own_read",
        ] {
            assert!(post(&format!(r#"{{"method":"{method}"}}"#)).1, "{method}");
        }
        for path in ["/", "/status", "/cosmos/bank/v1beta1/balances/x", "/block"] {
            assert!(kind("GET", path, "").1 && kind("HEAD", path, "").1, "{path}");
        }
    }

    /// Escapes in a method's name are undone before it is compared.
    #[test]
    fn an_escaped_name_is_the_name() {
        assert_eq!(post(r#"{"method":"eth\u005fgetLogs"}"#), (1, true));
        assert!(!post(r#"{"method":"eth\u005fsendRawTransaction"}"#).1);
    }
}
