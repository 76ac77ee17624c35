//! Why there is no session to serve in.

use portico_client::ChainError;
use portico_protocol::Address;
use portico_session_cache as session_cache;

/// Why there is no session to serve in.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// No session of the current grid has these heights, or it is over.
    #[error("session {start}..{end} is neither active nor within its grace period at height {height}")]
    NotActive { start: i64, end: i64, height: i64 },
    /// The chain has no such session.
    #[error("the chain has no such session: {0}")]
    Unknown(ChainError),
    /// The chain could not be asked.
    #[error("the chain cannot be asked for the session: {0}")]
    Chain(ChainError),
    /// The header is not the session's.
    #[error("session header differs from the chain's in {0}")]
    Header(&'static str),
    /// The supplier is not in the session.
    #[error("supplier {0} is not in the session")]
    Supplier(Address),
    /// Too many sessions are held or asked for.
    #[error("too many sessions at a time")]
    TooMany,
}

impl From<session_cache::SessionError> for SessionError {
    fn from(error: session_cache::SessionError) -> Self {
        match error {
            session_cache::SessionError::Busy => Self::TooMany,
            session_cache::SessionError::Chain { source, .. } if source.is_retryable() => Self::Chain(source),
            session_cache::SessionError::Chain { source, .. } => Self::Unknown(source),
            other => Self::Chain(ChainError::Internal(other.to_string())),
        }
    }
}
