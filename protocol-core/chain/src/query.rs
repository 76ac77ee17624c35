//! Queries over committed state, by gRPC path and protobuf bytes: one router for gRPC, `abci_query` and the in-process chain.

mod absent;
mod application;
mod auth;
mod bank;
mod feature;
mod gateway;
mod grants;
mod page;
mod proof;
mod service;
mod session;
mod shared;
mod staking;
mod supplier;
mod tokenomics;
mod view;

use portico_protocol::Height;

use crate::state::StateRead;
use crate::validators::Signatory;

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
    query_with(state, height, &[], path, request)
}

/// As [`query`], of somebody who knows who commits to blocks: queries of module staking show their keys.
pub fn query_with(
    state: &dyn StateRead,
    height: Height,
    committers: &[Signatory],
    path: &str,
    request: &[u8],
) -> Result<Vec<u8>, QueryError> {
    let view = View {
        state,
        height,
        committers,
    };
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
        "cosmos.authz.v1beta1.Query" => view.authz(method, request),
        "cosmos.feegrant.v1beta1.Query" => view.feegrant(method, request),
        "cosmos.staking.v1beta1.Query" => view.staking(method, request),
        "cosmos.distribution.v1beta1.Query" => view.distribution(method, request),
        "cosmos.slashing.v1beta1.Query" => absent::slashing(method, request),
        "cosmos.mint.v1beta1.Query" => absent::mint(method),
        "cosmos.gov.v1.Query" => absent::gov(method, request),
        "cosmos.gov.v1beta1.Query" => absent::gov_v1beta1(method, request),
        "cosmos.upgrade.v1beta1.Query" => view.upgrade(method, request),
        "cosmos.evidence.v1beta1.Query" => absent::evidence(method, request),
        "cosmos.params.v1beta1.Query" => absent::params(method, request),
        "cosmos.circuit.v1.Query" => absent::circuit(method, request),
        "pocket.migration.Query" => absent::migration(method),
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
        "cosmos.authz.v1beta1.Query",
        "cosmos.feegrant.v1beta1.Query",
        "cosmos.staking.v1beta1.Query",
        "cosmos.distribution.v1beta1.Query",
        "cosmos.slashing.v1beta1.Query",
        "cosmos.mint.v1beta1.Query",
        "cosmos.gov.v1.Query",
        "cosmos.gov.v1beta1.Query",
        "cosmos.upgrade.v1beta1.Query",
        "cosmos.evidence.v1beta1.Query",
        "cosmos.params.v1beta1.Query",
        "cosmos.circuit.v1.Query",
        "pocket.migration.Query",
    ]
}
