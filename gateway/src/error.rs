//! Why a gateway does not start or stops.

use std::io;
use std::net::SocketAddr;

use portico_net::tls::TlsError;
use portico_protocol::keys::KeyError;

/// Why a gateway does not start or stops.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// An address cannot be taken.
    #[error("cannot listen on {address}: {hint} (configuration key `{key}`)")]
    Listen {
        /// The configuration key that names it.
        key: &'static str,
        /// The configured address and port.
        address: SocketAddr,
        /// What that means and what to do.
        hint: &'static str,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// The front door cannot be served.
    #[error("the front door failed")]
    Serve(#[source] io::Error),
    /// A configured private key is malformed; the text names the configuration key.
    #[error("{0} is not a private key")]
    Key(String, #[source] KeyError),
    /// The configuration names no application, or one that nobody can sign for.
    #[error("{0}")]
    Config(String),
    /// A metric cannot be registered, mostly since the registry already has one of that name.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// TLS cannot be set up; the text names the configuration key.
    #[error("{0}: TLS cannot be set up")]
    Tls(&'static str, #[source] TlsError),
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be built")]
    Client(#[from] reqwest::Error),
}
