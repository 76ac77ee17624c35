//! Where the chain is: for roles in a process of their own.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::load::Faults;

/// A full node that is asked and sent transactions: ours, or any of the network's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChainConfig {
    /// Its CometBFT-style RPC. Default <http://127.0.0.1:26657>.
    pub rpc_url: String,
    /// Its gRPC. Default <http://127.0.0.1:9090>.
    pub grpc_url: String,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            rpc_url: "http://127.0.0.1:26657".to_owned(),
            grpc_url: "http://127.0.0.1:9090".to_owned(),
        }
    }
}

impl ChainConfig {
    /// Reports what is no URL.
    pub(crate) fn validate(&self, faults: &mut Faults) {
        for (key, url) in [
            ("chain.rpc_url", &self.rpc_url),
            ("chain.grpc_url", &self.grpc_url),
        ] {
            let http = url.starts_with("http://") || url.starts_with("https://");
            faults.expect(http, key, "must be an http:// or https:// URL");
        }
    }
}
