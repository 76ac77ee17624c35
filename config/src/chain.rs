//! Where the chain is: for roles in a process of their own.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::load::Faults;

/// The full nodes that are asked and sent transactions: ours, or any of the network's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChainConfig {
    /// Its CometBFT-style RPC. Default <http://127.0.0.1:26657>.
    pub rpc_url: String,
    /// Its gRPC. Default <http://127.0.0.1:9090>.
    pub grpc_url: String,
    /// More nodes of the same chain, asked when the one above does not answer or falls behind. Default none.
    pub fallbacks: Vec<NodeUrls>,
}

/// Both ends of a full node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeUrls {
    /// Its CometBFT-style RPC.
    pub rpc_url: String,
    /// Its gRPC.
    pub grpc_url: String,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            rpc_url: "http://127.0.0.1:26657".to_owned(),
            grpc_url: "http://127.0.0.1:9090".to_owned(),
            fallbacks: Vec::new(),
        }
    }
}

impl ChainConfig {
    /// Reports what is no URL.
    pub(crate) fn validate(&self, faults: &mut Faults) {
        check("chain", &self.rpc_url, &self.grpc_url, faults);
        for (index, node) in self.fallbacks.iter().enumerate() {
            let key = format!("chain.fallbacks[{index}]");
            check(&key, &node.rpc_url, &node.grpc_url, faults);
        }
    }
}

fn check(key: &str, rpc_url: &str, grpc_url: &str, faults: &mut Faults) {
    for (name, url) in [("rpc_url", rpc_url), ("grpc_url", grpc_url)] {
        let http = url.starts_with("http://") || url.starts_with("https://");
        faults.expect(
            http,
            &format!("{key}.{name}"),
            "must be an http:// or https:// URL",
        );
    }
}
