//! What every query has: the state it reads, the forms of its answer.

use portico_protocol::{Address, Height};
use prost::Message;

use crate::error::Fault;
use crate::state::{StateError, StateRead};
use crate::validators::Signatory;

/// Why a query is not answered; the numbers are gRPC status codes.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// Code 2: what the network's program answers without a status of its own.
    #[error("{0}")]
    Unknown(String),
    /// Code 3.
    #[error("{0}")]
    InvalidArgument(String),
    /// Code 5.
    #[error("{0}")]
    NotFound(String),
    /// Code 12: no such method.
    #[error("unknown query {0:?}")]
    Unimplemented(String),
    /// Code 13.
    #[error("{0}")]
    Internal(String),
}

impl QueryError {
    /// The gRPC status code.
    #[must_use]
    pub const fn grpc_code(&self) -> i32 {
        match self {
            Self::Unknown(_) => 2,
            Self::InvalidArgument(_) => 3,
            Self::NotFound(_) => 5,
            Self::Unimplemented(_) => 12,
            Self::Internal(_) => 13,
        }
    }
}

impl From<StateError> for QueryError {
    fn from(error: StateError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Fault> for QueryError {
    fn from(fault: Fault) -> Self {
        Self::Internal(fault.to_string())
    }
}

pub(super) type Answer<T> = Result<T, QueryError>;

/// The state a query reads, and its height.
pub(super) struct View<'a> {
    pub(super) state: &'a dyn StateRead,
    pub(super) height: Height,
    /// Who commits to blocks at that height, as far as the asker knows.
    pub(super) committers: &'a [Signatory],
}

pub(super) fn read<T: Message + Default>(request: &[u8]) -> Answer<T> {
    T::decode(request).map_err(|error| QueryError::InvalidArgument(error.to_string()))
}

pub(super) fn answer(message: &impl Message) -> Answer<Vec<u8>> {
    Ok(message.encode_to_vec())
}

pub(super) fn found<T>(value: Option<T>, what: impl FnOnce() -> String) -> Answer<T> {
    value.ok_or_else(|| QueryError::NotFound(what()))
}

pub(super) fn unknown<T>(module: &str, method: &str) -> Answer<T> {
    Err(QueryError::Unimplemented(format!("{module}/{method}")))
}

/// A height of a request.
pub(super) fn height_of(height: i64) -> Answer<Height> {
    if height < 0 {
        return Err(QueryError::InvalidArgument("height must be non-negative".into()));
    }
    Ok(Height(height))
}

pub(super) fn address(text: &str) -> Answer<Address> {
    text.parse()
        .map_err(|error: portico_protocol::types::TypeError| QueryError::InvalidArgument(error.to_string()))
}
