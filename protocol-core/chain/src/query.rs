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
mod view;

use portico_protocol::Height;

use crate::state::StateRead;

pub use page::MAX_PAGE;
pub use view::QueryError;
use view::View;

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
