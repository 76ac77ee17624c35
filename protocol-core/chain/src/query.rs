//! Queries over committed state, by gRPC path and protobuf bytes: one router for gRPC, `abci_query` and the in-process chain.

mod application;
mod cosmos;
mod feature;
mod gateway;
mod page;
mod proof;
mod service;
mod session;
mod shared;
mod supplier;
mod tokenomics;

use portico_protocol::{Address, Height};
use prost::Message;

use crate::error::Fault;
use crate::state::{StateError, StateRead};

pub use page::MAX_PAGE;

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

type Answer<T> = Result<T, QueryError>;

/// The state a query reads, and its height.
struct View<'a> {
    state: &'a dyn StateRead,
    height: Height,
}

/// Answers the gRPC method `path` (e.g. `/pocket.session.Query/GetSession`) at `height`, whose committed state is `state`.
pub fn query(
    state: &dyn StateRead,
    height: Height,
    path: &str,
    request: &[u8],
) -> Result<Vec<u8>, QueryError> {
    let view = View { state, height };
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    match service {
        "pocket.application.Query" => view.application(method, request),
        "pocket.gateway.Query" => view.gateway(method, request),
        "pocket.supplier.Query" => view.supplier(method, request),
        "pocket.service.Query" => view.service(method, request),
        "pocket.session.Query" => view.session(method, request),
        "pocket.shared.Query" => view.shared(method, request),
        "pocket.proof.Query" => view.proof(method, request),
        "pocket.tokenomics.Query" => view.tokenomics(method, request),
        "portico.feature.Query" => view.feature(method, request),
        "cosmos.auth.v1beta1.Query" => view.auth(method, request),
        "cosmos.bank.v1beta1.Query" => view.bank(method, request),
        _ => Err(QueryError::Unimplemented(path.to_owned())),
    }
}

/// Paths of all queries, for reflection and tests.
#[must_use]
pub fn services() -> &'static [&'static str] {
    &[
        "pocket.application.Query",
        "pocket.gateway.Query",
        "pocket.supplier.Query",
        "pocket.service.Query",
        "pocket.session.Query",
        "pocket.shared.Query",
        "pocket.proof.Query",
        "pocket.tokenomics.Query",
        "portico.feature.Query",
        "cosmos.auth.v1beta1.Query",
        "cosmos.bank.v1beta1.Query",
    ]
}

fn read<T: Message + Default>(request: &[u8]) -> Answer<T> {
    T::decode(request).map_err(|error| QueryError::InvalidArgument(error.to_string()))
}

fn answer(message: &impl Message) -> Answer<Vec<u8>> {
    Ok(message.encode_to_vec())
}

fn found<T>(value: Option<T>, what: impl FnOnce() -> String) -> Answer<T> {
    value.ok_or_else(|| QueryError::NotFound(what()))
}

fn unknown<T>(module: &str, method: &str) -> Answer<T> {
    Err(QueryError::Unimplemented(format!("{module}/{method}")))
}

/// A height of a request.
fn height_of(height: i64) -> Answer<Height> {
    if height < 0 {
        return Err(QueryError::InvalidArgument("height must be non-negative".into()));
    }
    Ok(Height(height))
}

fn address(text: &str) -> Answer<Address> {
    text.parse()
        .map_err(|error: portico_protocol::types::TypeError| QueryError::InvalidArgument(error.to_string()))
}
