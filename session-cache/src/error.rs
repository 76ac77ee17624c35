//! Why there is no session.

use portico_client::ChainError;
use portico_protocol::ring::RingError;
use portico_protocol::{Address, ServiceId};

/// Why there is no session to relay in.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// The chain gave none. Whether asking again may help is the source's to say.
    #[error("the chain gives no session of {application} for service {service}")]
    Chain {
        /// The application.
        application: Address,
        /// The service.
        service: ServiceId,
        /// The chain's answer.
        #[source]
        source: ChainError,
    },
    /// The chain's answer contradicts the question or itself.
    #[error("the chain's session is malformed: {0}")]
    Malformed(String),
    /// The application's account has no public key on chain, so that no ring can be made; it has to sign one transaction first.
    #[error("the chain knows no public key of application {0}: its account has never signed a transaction")]
    NoPublicKey(Address),
    /// Too many sessions are held, or too many that nobody knows are asked for.
    #[error("too many sessions at a time")]
    Busy,
    /// The ring of application and gateways cannot be made.
    #[error("the application's ring cannot be made")]
    Ring(#[from] RingError),
}

impl SessionError {
    /// Whether the same question may be answered before the next block; otherwise the refusal is remembered for one block.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Chain { source, .. } => source.is_retryable(),
            Self::Malformed(_) | Self::Busy => true,
            Self::NoPublicKey(_) | Self::Ring(_) => false,
        }
    }
}
