//! Why a node does not start, or stops.

use std::net::SocketAddr;
use std::path::PathBuf;

use portico_chain::genesis::GenesisError;
use portico_chain::state::StateError;
use portico_engine::EngineError;
use portico_store::StoreError;

use crate::KeyFileError;

/// Why a node does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data folder cannot be made or locked.
    #[error("data folder {} cannot be used", .path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be opened, or is damaged.
    #[error("chain data cannot be used")]
    Store(#[from] StoreError),
    /// There is no chain to look after.
    #[error("there is no chain at {}", .path.display())]
    NoChain {
        /// The store's file.
        path: PathBuf,
    },
    /// The running node cannot be talked to.
    #[error("{} cannot be used", .path.display())]
    Door {
        /// The socket, or the folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The running node refused.
    #[error("the node refused: {0}")]
    Refused(String),
    /// The genesis is inconsistent.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The data is of another chain.
    #[error("{} holds the chain {stored:?}, not {configured:?}; choose another data_dir", .path.display())]
    ForeignChain {
        /// The data folder.
        path: PathBuf,
        /// Chain id of the data.
        stored: String,
        /// Chain id of the genesis that was given.
        configured: String,
    },
    /// The keys that were given do not make blocks final.
    #[error(
        "blocks need {needed} of {all} validators, and the keys of {here} are here; add to validator_keys: {}; keys are here of: {}",
        listed(.missing), listed(.ours)
    )]
    ForeignValidators {
        /// Validators whose keys were given.
        here: usize,
        /// Validators whose signatures make a block final.
        needed: usize,
        /// Validators of the next block.
        all: usize,
        /// Public keys of those whose keys were not given, hexadecimal.
        missing: Vec<String>,
        /// Public keys of the keys that were given, hexadecimal.
        ours: Vec<String>,
    },
    /// A key is configured twice.
    #[error("the validator key of {0} is configured twice: in validator_key and validator_keys each once")]
    KeyTwice(
        /// Public key, hexadecimal.
        String,
    ),
    /// The validator's key cannot be used.
    #[error("the validator's key cannot be used")]
    Key(#[from] KeyFileError),
    /// TLS cannot be set up.
    #[error("tls: TLS cannot be set up")]
    Tls(#[from] portico_net::tls::TlsError),
    /// An address cannot be listened on.
    #[error("{address} cannot be listened on; change {key}, or stop what uses the port")]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// Key of the configuration: `rpc_listen` or `grpc_listen`.
        key: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A server failed.
    #[error("the {server} server failed")]
    Serve {
        /// Which one.
        server: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The engine, and with it the chain, stopped.
    #[error("the chain stopped")]
    Engine(#[from] EngineError),
    /// State cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A stored block, header or genesis does not decode.
    #[error("stored {what} is damaged: {reason}")]
    Damaged {
        /// What does not decode.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Metrics of another node are in the registry.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// Most keys that a message names.
const MAX_LISTED: usize = 4;

fn listed(keys: &[String]) -> String {
    let shown: Vec<_> = keys.iter().take(MAX_LISTED).map(String::as_str).collect();
    match keys.len().checked_sub(shown.len()) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}
