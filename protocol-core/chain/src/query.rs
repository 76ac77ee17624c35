//! Queries over committed state, by gRPC path and protobuf bytes: one router for gRPC, `abci_query` and the in-process chain.

use portico_protocol::Height;

use crate::state::StateRead;

/// Why a query is not answered; the numbers are gRPC status codes.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
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

/// Answers the gRPC method `path` (e.g. `/pocket.session.Query/GetSession`) at `height`, whose committed state is `state`.
pub fn query(
    _state: &dyn StateRead,
    _height: Height,
    _path: &str,
    _request: &[u8],
) -> Result<Vec<u8>, QueryError> {
    unimplemented!()
}
