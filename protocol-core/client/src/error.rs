//! Why a chain did not answer as asked.

use tonic::Code;

/// An error of a [`crate::Chain`] call. [`ChainError::is_retryable`] says whether asking again may help.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChainError {
    /// The chain has no such object.
    #[error("not found: {0}")]
    NotFound(String),
    /// The chain refused the question or the transaction's shape.
    #[error("refused: {0}")]
    InvalidArgument(String),
    /// The chain cannot be reached, or is not ready; another try may succeed.
    #[error("chain unavailable: {0}")]
    Unavailable(String),
    /// A node that answers is not of the chain that is wanted.
    #[error("{url} is a node of chain {found:?}, not of {wanted:?}")]
    Foreign {
        /// The chain that is wanted.
        wanted: String,
        /// The node's.
        found: String,
        /// Where it is.
        url: String,
    },
    /// The chain failed while answering.
    #[error("chain error: {0}")]
    Internal(String),
}

impl ChainError {
    /// What a node says by a gRPC status: the number of its code, and its text.
    #[must_use]
    pub fn of_grpc(code: i32, text: String) -> Self {
        match Code::from_i32(code) {
            Code::NotFound => Self::NotFound(text),
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented => Self::InvalidArgument(text),
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Cancelled => Self::Unavailable(text),
            _ => Self::Internal(text),
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Internal(_))
    }
}
