//! Why a servicer cannot start or go on.

use std::net::SocketAddr;
use std::path::PathBuf;

use portico_client::ChainError;
use portico_protocol::keys::KeyError;

use crate::leaf_log::LeafLogError;

/// An error that ends a servicer; errors of single relays stay inside.
#[derive(Debug, thiserror::Error)]
pub enum ServicerError {
    /// The configuration has semantic errors; all of them as (key, message).
    #[error("servicer configuration: {}", .0.iter().map(|(key, what)| format!("{key} {what}")).collect::<Vec<_>>().join("; "))]
    Config(Vec<(String, String)>),
    /// The port of an endpoint is taken or not allowed.
    #[error("cannot listen on {address} (key servicer.{key}): choose another port there")]
    Bind {
        /// The configuration key.
        key: &'static str,
        /// The address that was asked for.
        address: SocketAddr,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A supplier's key is not a private key.
    #[error("suppliers[{index}] is not a usable key")]
    Key {
        /// Position in the list.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// The leaf log cannot be opened or written.
    #[error("leaf log in {}", path.display())]
    LeafLog {
        /// The data folder.
        path: PathBuf,
        /// What failed.
        #[source]
        source: LeafLogError,
    },
    /// The HTTP client, a metric or a thread cannot be set up.
    #[error("cannot set up {what}")]
    Setup {
        /// What was being set up.
        what: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The chain cannot be used at all.
    #[error("the chain does not answer")]
    Chain(#[from] ChainError),
    /// An endpoint stopped accepting connections.
    #[error("the relay endpoint failed")]
    Serve(#[source] std::io::Error),
}
