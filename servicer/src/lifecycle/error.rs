//! Why a step of the lifecycle does not end.

use portico_client::ChainError;

use crate::leaf_log::LeafLogError;

/// Why an effect is to be begun again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriverError {
    #[error("the chain does not answer")]
    Chain(#[from] ChainError),
    #[error("the leaf log fails")]
    Log(#[from] LeafLogError),
    #[error("the session was forgotten")]
    Forgotten,
    #[error("a task was cancelled")]
    Task(#[from] tokio::task::JoinError),
}
