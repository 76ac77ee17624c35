//! Configuration of a chain node: the node of a local network, and `portico node`.
//!
//! ```yaml
//! data_dir: chain
//! genesis: genesis.json
//! rpc_listen: 127.0.0.1:26657     # CometBFT-style JSON-RPC over HTTP
//! grpc_listen: 127.0.0.1:9090     # gRPC queries and transactions
//! block_time_ms: 1000
//! mempool: {max_txs: 5000}
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::listener::ListenerConfig;
use crate::load::{Config, Environment, Faults};
use crate::secret::Secret;
use crate::tls::ServerTls;

/// Longest time between blocks that may be set, in milliseconds: one hour.
const MAX_BLOCK_TIME_MS: u64 = 3_600_000;
/// Shortest time between blocks, in milliseconds.
const MIN_BLOCK_TIME_MS: u64 = 10;
/// Most blocks whose state may be retained.
const MAX_RETAIN_BLOCKS: u32 = 10_000_000;
/// Most transactions that a mempool may be allowed to hold.
const MAX_TXS: usize = 1_000_000;
/// Most bytes that a mempool may be allowed to hold: 4 GiB.
const MAX_BYTES: usize = 4 << 30;
/// Largest transaction that may be allowed, in bytes: 8 MiB, so that a block of them stays below what clients take.
const MAX_TX_BYTES: usize = 8 << 20;

/// Most keys of validators.
const MAX_VALIDATOR_KEYS: usize = 100;
/// Highest price of gas that may be asked for, in millionths of a upokt: 1000 upokt.
const MAX_GAS_PRICE_MICRO_UPOKT: u64 = 1_000_000_000;

/// The whole configuration of a node.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// Folder of the chain's data; made when it is missing. Default `chain`.
    pub data_dir: PathBuf,
    /// The chain's first state, for a node in a process of its own. Default `genesis.json`.
    pub genesis: PathBuf,
    /// Address and port of the CometBFT-style RPC. Default 127.0.0.1:26657; port 0 takes a free one.
    #[schemars(with = "String")]
    pub rpc_listen: SocketAddr,
    /// Address and port of gRPC. Default 127.0.0.1:9090; port 0 takes a free one.
    #[schemars(with = "String")]
    pub grpc_listen: SocketAddr,
    /// Address and port for operators: `/metrics` and `/health`. Not for the public. Default: none; then the RPC answers `/metrics`, as
    /// long as `rpc_listen` is a loopback address.
    #[schemars(with = "Option<String>")]
    pub admin_listen: Option<SocketAddr>,
    /// Time between blocks, in milliseconds. Default 1000; from 10 to 3600000.
    pub block_time_ms: u64,
    /// Makes a block as soon as a transaction waits; without transactions one every `block_time_ms`. Default false.
    pub instant: bool,
    /// Blocks below the newest one whose state can still be queried, proved and rolled back to. Default 1000; from 1 to 10000000. Each
    /// costs disk space for what its block changed.
    pub retain_blocks: u32,
    /// The validator's private key: 64 hexadecimal characters, the seed of an ed25519 key. Without it the key is the one in
    /// `validator.hex` in the data folder, which is made when it is missing, unless `validator_keys` names some. The environment variable
    /// `PORTICO_VALIDATOR_KEY` replaces it.
    pub validator_key: Option<Secret>,
    /// Private keys of more validators for whom this node signs, at most 100. Blocks need more than two thirds of the validators, and no
    /// other node makes them: with fewer keys than that the node does not start.
    pub validator_keys: Vec<Secret>,
    /// Bounds of the transactions that wait.
    pub mempool: MempoolConfig,
    /// Time-outs and bounds of clients' connections, at the RPC and at gRPC.
    pub listener: ListenerConfig,
    /// Serves RPC and gRPC by TLS. Default: without.
    pub tls: Option<ServerTls>,
}

/// Bounds of the transactions that wait for a block.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MempoolConfig {
    /// Most transactions. Default 5000.
    pub max_txs: usize,
    /// Most bytes of all transactions together. Default 67108864 (64 MiB).
    pub max_bytes: usize,
    /// Most transactions of one sender. Default 500.
    pub max_txs_per_sender: usize,
    /// Largest transaction, in bytes. Default 1048576 (1 MiB).
    pub max_tx_bytes: usize,
    /// Least price of a unit of gas, in millionths of a upokt: a transaction that offers less does not wait here. Default 0, which takes
    /// transactions without a fee; at most 1000000000.
    pub min_gas_price_micro_upokt: u64,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("chain"),
            genesis: PathBuf::from("genesis.json"),
            rpc_listen: SocketAddr::from(([127, 0, 0, 1], 26_657)),
            grpc_listen: SocketAddr::from(([127, 0, 0, 1], 9_090)),
            admin_listen: None,
            block_time_ms: 1_000,
            instant: false,
            retain_blocks: 1_000,
            validator_key: None,
            validator_keys: Vec::new(),
            mempool: MempoolConfig::default(),
            listener: ListenerConfig::default(),
            tls: None,
        }
    }
}

impl Default for MempoolConfig {
    fn default() -> Self {
        Self {
            max_txs: 5_000,
            max_bytes: 64 << 20,
            max_txs_per_sender: 500,
            max_tx_bytes: 1 << 20,
            min_gas_price_micro_upokt: 0,
        }
    }
}

impl NodeConfig {
    /// Whether the RPC answers operators too: nobody else can reach it, and they have no address of their own.
    #[must_use]
    pub fn rpc_is_admin(&self) -> bool {
        self.admin_listen.is_none() && self.rpc_listen.ip().is_loopback()
    }
}

impl Config for NodeConfig {
    fn validate(&self, faults: &mut Faults) {
        let block_time = MIN_BLOCK_TIME_MS..=MAX_BLOCK_TIME_MS;
        faults.expect(
            block_time.contains(&self.block_time_ms),
            "block_time_ms",
            format!("must be from {MIN_BLOCK_TIME_MS} to {MAX_BLOCK_TIME_MS}"),
        );
        faults.expect(
            (1..=MAX_RETAIN_BLOCKS).contains(&self.retain_blocks),
            "retain_blocks",
            format!("must be from 1 to {MAX_RETAIN_BLOCKS}"),
        );
        let taken = self.rpc_listen == self.grpc_listen && self.rpc_listen.port() != 0;
        faults.expect(!taken, "grpc_listen", "must differ from rpc_listen");
        let admin = self.admin_listen.filter(|admin| admin.port() != 0);
        faults.expect(
            admin.is_none_or(|admin| admin != self.rpc_listen && admin != self.grpc_listen),
            "admin_listen",
            "must differ from rpc_listen and grpc_listen",
        );
        faults.expect(
            self.validator_keys.len() <= MAX_VALIDATOR_KEYS,
            "validator_keys",
            format!("must be at most {MAX_VALIDATOR_KEYS}"),
        );
        self.listener.validate(faults);
        if let Some(tls) = &self.tls {
            tls.validate("tls", faults);
        }
        faults.within("mempool", |faults| self.mempool.validate(faults));
    }

    fn take_secrets(&mut self, environment: &Environment<'_>) {
        if let Some(key) = environment.secret("PORTICO_VALIDATOR_KEY") {
            self.validator_key = Some(key);
        }
    }
}

impl MempoolConfig {
    fn validate(&self, faults: &mut Faults) {
        let bounds = [
            ("max_txs", self.max_txs, MAX_TXS),
            ("max_bytes", self.max_bytes, MAX_BYTES),
            ("max_txs_per_sender", self.max_txs_per_sender, MAX_TXS),
            ("max_tx_bytes", self.max_tx_bytes, MAX_TX_BYTES),
        ];
        for (key, value, most) in bounds {
            faults.expect(
                (1..=most).contains(&value),
                key,
                format!("must be from 1 to {most}"),
            );
        }
        faults.expect(
            self.min_gas_price_micro_upokt <= MAX_GAS_PRICE_MICRO_UPOKT,
            "min_gas_price_micro_upokt",
            format!("must be at most {MAX_GAS_PRICE_MICRO_UPOKT}"),
        );
        faults.expect(
            self.max_tx_bytes <= self.max_bytes,
            "max_tx_bytes",
            "must not exceed max_bytes",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::NodeConfig;
    use crate::load::{Config, Faults};
    use crate::secret::Secret;

    fn faults(config: &NodeConfig) -> Vec<String> {
        let mut faults = Faults::default();
        config.validate(&mut faults);
        faults.found().iter().map(|fault| fault.key.clone()).collect()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert!(faults(&NodeConfig::default()).is_empty());
    }

    #[test]
    fn operators_have_an_address_of_their_own_or_ask_a_loopback_rpc() {
        let mut config = NodeConfig::default();
        assert!(config.rpc_is_admin());
        config.admin_listen = Some(config.rpc_listen);
        assert_eq!(faults(&config), ["admin_listen"]);
        config.admin_listen = Some(([127, 0, 0, 1], 26_660).into());
        assert!(faults(&config).is_empty() && !config.rpc_is_admin());
        config.admin_listen = None;
        config.rpc_listen = ([0, 0, 0, 0], 26_657).into();
        assert!(!config.rpc_is_admin());
    }

    #[test]
    fn names_every_key_out_of_range() {
        let mut config = NodeConfig {
            block_time_ms: 0,
            retain_blocks: 0,
            ..NodeConfig::default()
        };
        config.grpc_listen = config.rpc_listen;
        config.validator_keys = vec![Secret::new("11".repeat(32)); 101];
        config.mempool.max_txs = 0;
        config.mempool.max_tx_bytes = config.mempool.max_bytes + 1;
        config.mempool.min_gas_price_micro_upokt = u64::MAX;
        let expected = [
            "block_time_ms",
            "retain_blocks",
            "grpc_listen",
            "validator_keys",
            "mempool.max_txs",
            "mempool.max_tx_bytes",
            "mempool.min_gas_price_micro_upokt",
            "mempool.max_tx_bytes",
        ];
        assert_eq!(faults(&config), expected);
    }
}
