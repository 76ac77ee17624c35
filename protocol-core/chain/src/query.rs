//! Queries over committed state, by gRPC path and protobuf bytes: one router for gRPC, `abci_query` and the in-process chain.

mod page;

use portico_protocol::wire::cosmos::{auth::v1beta1 as wire_auth, bank::v1beta1 as wire_bank};
use portico_protocol::wire::pocket;
use portico_protocol::{Address, Height};
use prost::{Message, Name};

use crate::context::key;
use crate::error::Fault;
use crate::state::{StateError, StateRead, Store};
use crate::{application, auth, bank, gateway, proof, service, session, shared, supplier, tokenomics};
use page::{filtered, history, paged};

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

fn address(text: &str) -> Answer<Address> {
    text.parse()
        .map_err(|error: portico_protocol::types::TypeError| QueryError::InvalidArgument(error.to_string()))
}

impl View<'_> {
    fn application(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::application::{
            Application, QueryAllApplicationsRequest, QueryAllApplicationsResponse,
            QueryGetApplicationRequest, QueryGetApplicationResponse, QueryParamsResponse,
        };
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(application::params(self.state)?),
            }),
            "Application" => {
                let request: QueryGetApplicationRequest = read(request)?;
                address(&request.address)?;
                let app = found(application::application(self.state, &request.address)?, || {
                    format!("application {} not found", request.address)
                })?;
                answer(&QueryGetApplicationResponse {
                    application: Some(app),
                })
            }
            "AllApplications" => {
                let request: QueryAllApplicationsRequest = read(request)?;
                let gateway = request.delegatee_gateway_address;
                let wanted = |app: &Application| {
                    gateway.is_empty() || app.delegatee_gateway_addresses.contains(&gateway)
                };
                let (applications, pagination) = filtered(
                    self.state,
                    Store::Application,
                    application::APPLICATIONS,
                    request.pagination,
                    wanted,
                )?;
                answer(&QueryAllApplicationsResponse {
                    applications,
                    pagination,
                })
            }
            _ => unknown("pocket.application.Query", method),
        }
    }

    fn gateway(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::gateway::{
            Gateway, QueryAllGatewaysRequest, QueryAllGatewaysResponse, QueryGetGatewayRequest,
            QueryGetGatewayResponse, QueryParamsResponse,
        };
        let bare = |mut gateway: Gateway, dehydrated: bool| {
            if dehydrated {
                gateway.metadata = None;
            }
            gateway
        };
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(gateway::params(self.state)?),
            }),
            "Gateway" => {
                let request: QueryGetGatewayRequest = read(request)?;
                address(&request.address)?;
                let gateway = found(gateway::gateway(self.state, &request.address)?, || {
                    format!("gateway {} not found", request.address)
                })?;
                answer(&QueryGetGatewayResponse {
                    gateway: Some(bare(gateway, request.dehydrated)),
                })
            }
            "AllGateways" => {
                let request: QueryAllGatewaysRequest = read(request)?;
                let (gateways, pagination) =
                    paged(self.state, Store::Gateway, gateway::GATEWAYS, request.pagination)?;
                let gateways = gateways
                    .into_iter()
                    .map(|gateway| bare(gateway, request.dehydrated))
                    .collect();
                answer(&QueryAllGatewaysResponse { gateways, pagination })
            }
            _ => unknown("pocket.gateway.Query", method),
        }
    }

    fn supplier(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::shared::Supplier;
        use pocket::supplier::{
            QueryAllSuppliersRequest, QueryAllSuppliersResponse, QueryGetSupplierRequest,
            QueryGetSupplierResponse, QueryParamsResponse,
        };
        // Shown with the services of the queried height; without revenue shares and history when dehydrated.
        let shown = |mut supplier: Supplier, dehydrated: bool| {
            supplier.services = supplier::active_services(&supplier, self.height);
            if dehydrated {
                supplier.service_config_history.clear();
                for config in &mut supplier.services {
                    config.rev_share.clear();
                }
            }
            supplier
        };
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(supplier::params(self.state)?),
            }),
            "Supplier" => {
                let request: QueryGetSupplierRequest = read(request)?;
                address(&request.operator_address)?;
                let supplier = found(supplier::supplier(self.state, &request.operator_address)?, || {
                    format!("supplier {} not found", request.operator_address)
                })?;
                answer(&QueryGetSupplierResponse {
                    supplier: Some(shown(supplier, request.dehydrated)),
                })
            }
            "AllSuppliers" => {
                let request: QueryAllSuppliersRequest = read(request)?;
                let equal = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
                let wanted = |supplier: &Supplier| {
                    equal(&request.operator_address, &supplier.operator_address)
                        && equal(&request.owner_address, &supplier.owner_address)
                        && (request.service_id.is_empty()
                            || supplier::active_services(supplier, self.height)
                                .iter()
                                .any(|config| config.service_id == request.service_id))
                };
                let (supplier, pagination) = filtered(
                    self.state,
                    Store::Supplier,
                    supplier::SUPPLIERS,
                    request.pagination.clone(),
                    wanted,
                )?;
                let supplier = supplier
                    .into_iter()
                    .map(|supplier| shown(supplier, request.dehydrated))
                    .collect();
                answer(&QueryAllSuppliersResponse { supplier, pagination })
            }
            _ => unknown("pocket.supplier.Query", method),
        }
    }

    fn service(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::service::*;
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(service::params(self.state)?),
            }),
            "Service" => {
                let request: QueryGetServiceRequest = read(request)?;
                let mut service = self.existing_service(&request.id)?;
                if request.dehydrated {
                    service.metadata = None;
                }
                answer(&QueryGetServiceResponse {
                    service: Some(service),
                })
            }
            "AllServices" => {
                let request: QueryAllServicesRequest = read(request)?;
                let (service, pagination) =
                    paged(self.state, Store::Service, service::SERVICES, request.pagination)?;
                answer(&QueryAllServicesResponse { service, pagination })
            }
            "RelayMiningDifficulty" => {
                let request: QueryGetRelayMiningDifficultyRequest = read(request)?;
                self.existing_service(&request.service_id)?;
                let relay_mining_difficulty = Some(service::difficulty(self.state, &request.service_id)?);
                answer(&QueryGetRelayMiningDifficultyResponse {
                    relay_mining_difficulty,
                })
            }
            "RelayMiningDifficultyAll" => {
                let request: QueryAllRelayMiningDifficultyRequest = read(request)?;
                let (relay_mining_difficulty, pagination) = paged(
                    self.state,
                    Store::Service,
                    service::DIFFICULTIES,
                    request.pagination,
                )?;
                answer(&QueryAllRelayMiningDifficultyResponse {
                    relay_mining_difficulty,
                    pagination,
                })
            }
            "RelayMiningDifficultyAtHeight" => {
                let request: QueryGetRelayMiningDifficultyAtHeightRequest = read(request)?;
                self.existing_service(&request.service_id)?;
                let difficulty =
                    service::difficulty_at(self.state, &request.service_id, Height(request.block_height))?;
                answer(&QueryGetRelayMiningDifficultyAtHeightResponse {
                    relay_mining_difficulty: Some(difficulty),
                })
            }
            "RelayMiningDifficultyHistory" => {
                let request: QueryRelayMiningDifficultyHistoryRequest = read(request)?;
                let prefix = key("difficulty_history", &request.service_id);
                let (relay_mining_difficulty_history, pagination) =
                    history(self.state, Store::Service, &prefix, request.pagination)?;
                answer(&QueryRelayMiningDifficultyHistoryResponse {
                    relay_mining_difficulty_history,
                    pagination,
                })
            }
            "ComputeUnitsPerRelayAtHeight" => {
                let request: QueryComputeUnitsPerRelayAtHeightRequest = read(request)?;
                let height = Height(request.block_height);
                let compute_units_per_relay = found(
                    service::compute_units_at(self.state, &request.service_id, height)?,
                    || format!("service {:?} not found", request.service_id),
                )?;
                answer(&QueryComputeUnitsPerRelayAtHeightResponse {
                    compute_units_per_relay,
                })
            }
            "ComputeUnitsPerRelayHistory" => {
                let request: QueryComputeUnitsPerRelayHistoryRequest = read(request)?;
                let prefix = key("compute_units", &request.service_id);
                let (compute_units_per_relay_history, pagination) =
                    history(self.state, Store::Service, &prefix, request.pagination)?;
                answer(&QueryComputeUnitsPerRelayHistoryResponse {
                    compute_units_per_relay_history,
                    pagination,
                })
            }
            _ => unknown("pocket.service.Query", method),
        }
    }

    fn existing_service(&self, id: &str) -> Answer<pocket::shared::Service> {
        found(service::service(self.state, id)?, || {
            format!("service {id:?} not found")
        })
    }

    fn session(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::session::{QueryGetSessionRequest, QueryGetSessionResponse, QueryParamsResponse};
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(session::params(self.state)?),
            }),
            "GetSession" => {
                let request: QueryGetSessionRequest = read(request)?;
                if request.block_height < 0 {
                    return Err(QueryError::InvalidArgument("block_height is negative".into()));
                }
                let height = if request.block_height == 0 {
                    self.height
                } else {
                    Height(request.block_height)
                };
                let (app, service) = (&request.application_address, &request.service_id);
                address(app)?;
                portico_protocol::ServiceId::new(service)
                    .map_err(|error| QueryError::InvalidArgument(error.to_string()))?;
                let session = session::hydrate(self.state, self.height, app, service, height)?;
                answer(&QueryGetSessionResponse {
                    session: Some(session),
                })
            }
            _ => unknown("pocket.session.Query", method),
        }
    }

    fn shared(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::shared::{QueryParamsAtHeightRequest, QueryParamsAtHeightResponse, QueryParamsResponse};
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(shared::params(self.state)?),
            }),
            "ParamsAtHeight" => {
                let request: QueryParamsAtHeightRequest = read(request)?;
                let params = shared::params_at(self.state, Height(request.height))?;
                answer(&QueryParamsAtHeightResponse { params: Some(params) })
            }
            _ => unknown("pocket.shared.Query", method),
        }
    }

    fn proof(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::proof::*;
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(proof::params(self.state)?),
            }),
            "Claim" => {
                let request: QueryGetClaimRequest = read(request)?;
                let (session, supplier) = (&request.session_id, &request.supplier_operator_address);
                let claim = found(proof::claim(self.state, session, supplier)?, || {
                    format!("claim of supplier {supplier} in session {session} not found")
                })?;
                answer(&QueryGetClaimResponse { claim: Some(claim) })
            }
            "Proof" => {
                let request: QueryGetProofRequest = read(request)?;
                let (session, supplier) = (&request.session_id, &request.supplier_operator_address);
                let proof = found(proof::proof(self.state, session, supplier)?, || {
                    format!("proof of supplier {supplier} in session {session} not found")
                })?;
                answer(&QueryGetProofResponse { proof: Some(proof) })
            }
            "AllClaims" => {
                use query_all_claims_request::Filter;
                let request: QueryAllClaimsRequest = read(request)?;
                let wanted = |claim: &Claim| match &request.filter {
                    None => true,
                    Some(Filter::SupplierOperatorAddress(supplier)) => {
                        claim.supplier_operator_address == *supplier
                    }
                    Some(Filter::SessionId(id)) => proof::header_of(claim).session_id == *id,
                    Some(Filter::SessionEndHeight(end)) => ends_at(claim.session_header.as_ref(), *end),
                };
                let (claims, pagination) = filtered(
                    self.state,
                    Store::Proof,
                    proof::CLAIMS,
                    request.pagination.clone(),
                    wanted,
                )?;
                answer(&QueryAllClaimsResponse { claims, pagination })
            }
            "AllProofs" => {
                use query_all_proofs_request::Filter;
                let request: QueryAllProofsRequest = read(request)?;
                let wanted = |proof: &Proof| match &request.filter {
                    None => true,
                    Some(Filter::SupplierOperatorAddress(supplier)) => {
                        proof.supplier_operator_address == *supplier
                    }
                    Some(Filter::SessionId(id)) => proof
                        .session_header
                        .as_ref()
                        .is_some_and(|header| header.session_id == *id),
                    Some(Filter::SessionEndHeight(end)) => ends_at(proof.session_header.as_ref(), *end),
                };
                let (proofs, pagination) = filtered(
                    self.state,
                    Store::Proof,
                    proof::PROOFS,
                    request.pagination.clone(),
                    wanted,
                )?;
                answer(&QueryAllProofsResponse { proofs, pagination })
            }
            _ => unknown("pocket.proof.Query", method),
        }
    }

    fn tokenomics(&self, method: &str, _request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::tokenomics::QueryParamsResponse;
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(tokenomics::params(self.state)?),
            }),
            _ => unknown("pocket.tokenomics.Query", method),
        }
    }

    fn auth(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        match method {
            "Account" => {
                let request: wire_auth::QueryAccountRequest = read(request)?;
                let account = found(auth::account(self.state, &address(&request.address)?)?, || {
                    format!("account {} not found", request.address)
                })?;
                let account = prost_types::Any {
                    type_url: wire_auth::BaseAccount::type_url(),
                    value: account.encode_to_vec(),
                };
                answer(&wire_auth::QueryAccountResponse {
                    account: Some(account),
                })
            }
            _ => unknown("cosmos.auth.v1beta1.Query", method),
        }
    }

    fn bank(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use wire_bank::*;
        let coin = |amount: portico_protocol::Upokt| amount.into();
        match method {
            "Balance" => {
                let request: QueryBalanceRequest = read(request)?;
                let balance = bank::balance(self.state, &address(&request.address)?)?;
                let balance = if request.denom == portico_protocol::types::DENOM {
                    balance
                } else {
                    Default::default()
                };
                let mut balance: portico_protocol::wire::cosmos::base::v1beta1::Coin = coin(balance);
                balance.denom = request.denom;
                answer(&QueryBalanceResponse {
                    balance: Some(balance),
                })
            }
            "AllBalances" => {
                let request: QueryAllBalancesRequest = read(request)?;
                let balance = bank::balance(self.state, &address(&request.address)?)?;
                let balances = if balance.0 == 0 {
                    Vec::new()
                } else {
                    vec![coin(balance)]
                };
                let pagination = Some(page::whole(balances.len()));
                answer(&QueryAllBalancesResponse { balances, pagination })
            }
            "TotalSupply" => {
                let supply = vec![coin(bank::supply(self.state)?)];
                let pagination = Some(page::whole(supply.len()));
                answer(&QueryTotalSupplyResponse { supply, pagination })
            }
            "SupplyOf" => {
                let request: QuerySupplyOfRequest = read(request)?;
                let upokt = request.denom == portico_protocol::types::DENOM;
                let supply = if upokt {
                    bank::supply(self.state)?
                } else {
                    Default::default()
                };
                let mut amount: portico_protocol::wire::cosmos::base::v1beta1::Coin = coin(supply);
                amount.denom = request.denom;
                answer(&QuerySupplyOfResponse { amount: Some(amount) })
            }
            _ => unknown("cosmos.bank.v1beta1.Query", method),
        }
    }
}

fn ends_at(header: Option<&pocket::session::SessionHeader>, end: u64) -> bool {
    header.is_some_and(|header| u64::try_from(header.session_end_block_height) == Ok(end))
}
