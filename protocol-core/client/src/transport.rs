//! The [`Chain`](crate::Chain) of whoever can pass on a query: types and paths of all calls are written once, here.

use async_trait::async_trait;
use bytes::Bytes;
use portico_protocol::types::DENOM;
use portico_protocol::wire::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse};
use portico_protocol::wire::cosmos::bank::v1beta1::{
    QueryBalanceRequest, QueryBalanceResponse, QuerySupplyOfRequest, QuerySupplyOfResponse,
};
use portico_protocol::wire::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::cosmos::crypto::secp256k1;
use portico_protocol::wire::pocket;
use portico_protocol::{Address, Height, PublicKey, ServiceId, Upokt, tx};
use portico_telemetry::span;
use prost::Message;
use tokio::sync::watch;
use tracing::Instrument as _;

use crate::{
    Account, Accounts, Actors, BlockEvents, BlockHead, BlockResults, Blocks, BroadcastResult, ChainError,
    ChainStatus, Claims, KeepEvent, ModuleParams, Sessions, Transactions, TxResult,
};

/// Entries asked for per page of a list.
const PAGE: u64 = 500;
/// Most pages of a list: beyond it the other end is not telling the truth.
const MAX_PAGES: usize = 2_000;

/// What a [`Chain`](crate::Chain) is made of: queries by gRPC path and encoded messages, and what is not a query.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Answers the gRPC method `path` (e.g. `/pocket.session.Query/GetSession`) from the newest committed state.
    async fn query(&self, path: &'static str, request: Bytes) -> Result<Bytes, ChainError>;
    /// As [`Blocks::head`].
    fn head(&self) -> watch::Receiver<BlockHead>;
    /// As [`Blocks::unreached`].
    fn unreached(&self) -> Option<String> {
        None
    }
    /// As [`Blocks::status`].
    async fn status(&self) -> Result<ChainStatus, ChainError>;
    /// As [`Blocks::block`].
    async fn block(&self, height: Height) -> Result<BlockHead, ChainError>;
    /// As [`Blocks::block_results`].
    async fn block_results(&self, height: Height) -> Result<BlockResults, ChainError>;
    /// As [`Blocks::block_events`].
    async fn block_events(&self, height: Height, keep: KeepEvent) -> Result<BlockEvents, ChainError> {
        Ok(self.block_results(height).await?.events(&keep))
    }
    /// As [`Transactions::broadcast`].
    async fn broadcast(&self, tx: Bytes) -> Result<BroadcastResult, ChainError>;
    /// As [`Transactions::simulate`].
    async fn simulate(&self, tx: Bytes) -> Result<u64, ChainError>;
    /// As [`Transactions::tx`].
    async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError>;
}

async fn ask<A: Message + Default>(
    to: &impl Transport,
    path: &'static str,
    request: &impl Message,
) -> Result<A, ChainError> {
    let span = span!("chain query", otel.kind = "client", path);
    let answer = to
        .query(path, request.encode_to_vec().into())
        .instrument(span)
        .await?;
    A::decode(answer).map_err(|error| ChainError::Internal(format!("answer to {path}: {error}")))
}

/// Registered texts of module `session` for sessions that there are not (`poktroll:x/session/types/errors.go`).
///
/// "error during session hydration" is none of them: the chain says it around every failure to make a session, also of one that it could not
/// read, and names the refusal, if it is one, within.
const NO_SESSION: [&str; 6] = [
    "application for session not found",
    "application in session not staked for requested service",
    "no suppliers not found for session",
    "invalid application address for session",
    "invalid block height for session",
    "application is not active",
];

/// The chain refuses a question for a session in the status of its own failures (gRPC Internal): its text tells them apart. A height that it
/// has not reached may come.
fn no_session(error: ChainError) -> ChainError {
    match error {
        ChainError::Internal(text) if text.contains("is ahead of the last committed block") => {
            ChainError::Unavailable(text)
        }
        ChainError::Internal(text) if NO_SESSION.iter().any(|refusal| text.contains(refusal)) => {
            ChainError::NotFound(text)
        }
        other => other,
    }
}

/// What an answer must hold.
fn held<T>(value: Option<T>, what: &str) -> Result<T, ChainError> {
    value.ok_or_else(|| ChainError::Internal(format!("the answer holds no {what}")))
}

fn optional<T>(result: Result<T, ChainError>) -> Result<Option<T>, ChainError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(ChainError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn amount(coin: Option<&Coin>) -> Result<Upokt, ChainError> {
    let coin = held(coin, "amount")?;
    Upokt::try_from(coin).map_err(|error| ChainError::Internal(error.to_string()))
}

/// Follows the pages of a list.
async fn all<Q, A, T>(
    to: &impl Transport,
    path: &'static str,
    request: impl Fn(Option<PageRequest>) -> Q,
    page: impl Fn(A) -> (Vec<T>, Option<PageResponse>),
) -> Result<Vec<T>, ChainError>
where
    Q: Message,
    A: Message + Default,
{
    let mut found = Vec::new();
    let mut key = Vec::new();
    for _ in 0..MAX_PAGES {
        let wanted = PageRequest {
            key,
            limit: PAGE,
            ..PageRequest::default()
        };
        let (entries, next) = page(ask(to, path, &request(Some(wanted))).await?);
        found.extend(entries);
        key = next.unwrap_or_default().next_key;
        if key.is_empty() {
            return Ok(found);
        }
    }
    Err(ChainError::Internal(format!(
        "{path} has more than {MAX_PAGES} pages"
    )))
}

fn account(any: &prost_types::Any) -> Result<Account, ChainError> {
    let damaged = |error: String| ChainError::Internal(format!("account: {error}"));
    let base: BaseAccount = tx::unpack(any).map_err(|error| damaged(error.to_string()))?;
    let key = |any: &prost_types::Any| {
        let key: secp256k1::PubKey = tx::unpack(any).map_err(|error| damaged(error.to_string()))?;
        PublicKey::from_slice(&key.key).map_err(|error| damaged(error.to_string()))
    };
    let public_key = base.pub_key.as_ref().map(key).transpose()?;
    let address = base.address.parse();
    Ok(Account {
        address: address.map_err(|error: portico_protocol::types::TypeError| damaged(error.to_string()))?,
        public_key,
        number: base.account_number,
        sequence: base.sequence,
    })
}

/// Asks for a type's live params.
macro_rules! params {
    ($to:expr, $module:ident) => {{
        use pocket::$module::{QueryParamsRequest, QueryParamsResponse};
        let path = concat!("/pocket.", stringify!($module), ".Query/Params");
        let answer: QueryParamsResponse = ask($to, path, &QueryParamsRequest {}).await?;
        held(answer.params, "params")
    }};
}

#[async_trait]
impl<T: Transport> Blocks for T {
    fn head(&self) -> watch::Receiver<BlockHead> {
        Transport::head(self)
    }

    fn unreached(&self) -> Option<String> {
        Transport::unreached(self)
    }

    async fn status(&self) -> Result<ChainStatus, ChainError> {
        Transport::status(self).await
    }

    async fn block(&self, height: Height) -> Result<BlockHead, ChainError> {
        Transport::block(self, height).await
    }

    async fn block_results(&self, height: Height) -> Result<BlockResults, ChainError> {
        Transport::block_results(self, height).await
    }

    async fn block_events(&self, height: Height, keep: KeepEvent) -> Result<BlockEvents, ChainError> {
        Transport::block_events(self, height, keep).await
    }
}

#[async_trait]
impl<T: Transport> ModuleParams for T {
    async fn shared_params(&self, height: Option<Height>) -> Result<pocket::shared::Params, ChainError> {
        use pocket::shared::{QueryParamsAtHeightRequest, QueryParamsAtHeightResponse};
        let Some(height) = height else {
            return params!(self, shared);
        };
        let request = QueryParamsAtHeightRequest { height: height.0 };
        let answer: QueryParamsAtHeightResponse =
            ask(self, "/pocket.shared.Query/ParamsAtHeight", &request).await?;
        held(answer.params, "params")
    }

    async fn session_params(&self) -> Result<pocket::session::Params, ChainError> {
        params!(self, session)
    }

    async fn proof_params(&self) -> Result<pocket::proof::Params, ChainError> {
        params!(self, proof)
    }

    async fn supplier_params(&self) -> Result<pocket::supplier::Params, ChainError> {
        params!(self, supplier)
    }

    async fn tokenomics_params(&self) -> Result<pocket::tokenomics::Params, ChainError> {
        params!(self, tokenomics)
    }
}

#[async_trait]
impl<T: Transport> Sessions for T {
    async fn session(
        &self,
        application: &Address,
        service: &ServiceId,
        height: Height,
    ) -> Result<pocket::session::Session, ChainError> {
        use pocket::session::{QueryGetSessionRequest, QueryGetSessionResponse};
        let request = QueryGetSessionRequest {
            application_address: application.to_string(),
            service_id: service.to_string(),
            block_height: height.0,
        };
        let answer: Result<QueryGetSessionResponse, _> =
            ask(self, "/pocket.session.Query/GetSession", &request).await;
        held(answer.map_err(no_session)?.session, "session")
    }

    async fn compute_units_per_relay(&self, service: &ServiceId, height: Height) -> Result<u64, ChainError> {
        use pocket::service::{
            QueryComputeUnitsPerRelayAtHeightRequest, QueryComputeUnitsPerRelayAtHeightResponse,
        };
        let request = QueryComputeUnitsPerRelayAtHeightRequest {
            service_id: service.to_string(),
            block_height: height.0,
        };
        let path = "/pocket.service.Query/ComputeUnitsPerRelayAtHeight";
        let answer: QueryComputeUnitsPerRelayAtHeightResponse = ask(self, path, &request).await?;
        Ok(answer.compute_units_per_relay)
    }

    async fn difficulty(
        &self,
        service: &ServiceId,
        height: Height,
    ) -> Result<pocket::service::RelayMiningDifficulty, ChainError> {
        use pocket::service::{
            QueryGetRelayMiningDifficultyAtHeightRequest, QueryGetRelayMiningDifficultyAtHeightResponse,
        };
        let request = QueryGetRelayMiningDifficultyAtHeightRequest {
            service_id: service.to_string(),
            block_height: height.0,
        };
        let path = "/pocket.service.Query/RelayMiningDifficultyAtHeight";
        let answer: QueryGetRelayMiningDifficultyAtHeightResponse = ask(self, path, &request).await?;
        held(answer.relay_mining_difficulty, "difficulty")
    }
}

#[async_trait]
impl<T: Transport> Actors for T {
    async fn application(&self, address: &Address) -> Result<pocket::application::Application, ChainError> {
        use pocket::application::{QueryGetApplicationRequest, QueryGetApplicationResponse};
        let request = QueryGetApplicationRequest {
            address: address.to_string(),
        };
        let answer: QueryGetApplicationResponse =
            ask(self, "/pocket.application.Query/Application", &request).await?;
        held(answer.application, "application")
    }

    async fn applications(&self) -> Result<Vec<pocket::application::Application>, ChainError> {
        use pocket::application::{QueryAllApplicationsRequest, QueryAllApplicationsResponse};
        let request = |pagination| QueryAllApplicationsRequest {
            pagination,
            ..Default::default()
        };
        let page = |answer: QueryAllApplicationsResponse| (answer.applications, answer.pagination);
        all(self, "/pocket.application.Query/AllApplications", request, page).await
    }

    async fn gateway(&self, address: &Address) -> Result<pocket::gateway::Gateway, ChainError> {
        use pocket::gateway::{QueryGetGatewayRequest, QueryGetGatewayResponse};
        let request = QueryGetGatewayRequest {
            address: address.to_string(),
            ..Default::default()
        };
        let answer: QueryGetGatewayResponse = ask(self, "/pocket.gateway.Query/Gateway", &request).await?;
        held(answer.gateway, "gateway")
    }

    async fn gateways(&self) -> Result<Vec<pocket::gateway::Gateway>, ChainError> {
        use pocket::gateway::{QueryAllGatewaysRequest, QueryAllGatewaysResponse};
        let request = |pagination| QueryAllGatewaysRequest {
            pagination,
            ..Default::default()
        };
        let page = |answer: QueryAllGatewaysResponse| (answer.gateways, answer.pagination);
        all(self, "/pocket.gateway.Query/AllGateways", request, page).await
    }

    async fn supplier(&self, operator: &Address) -> Result<pocket::shared::Supplier, ChainError> {
        use pocket::supplier::{QueryGetSupplierRequest, QueryGetSupplierResponse};
        let request = QueryGetSupplierRequest {
            operator_address: operator.to_string(),
            ..Default::default()
        };
        let answer: QueryGetSupplierResponse = ask(self, "/pocket.supplier.Query/Supplier", &request).await?;
        held(answer.supplier, "supplier")
    }

    async fn suppliers(&self) -> Result<Vec<pocket::shared::Supplier>, ChainError> {
        use pocket::supplier::{QueryAllSuppliersRequest, QueryAllSuppliersResponse};
        let request = |pagination| QueryAllSuppliersRequest {
            pagination,
            ..Default::default()
        };
        let page = |answer: QueryAllSuppliersResponse| (answer.supplier, answer.pagination);
        all(self, "/pocket.supplier.Query/AllSuppliers", request, page).await
    }

    async fn service(&self, id: &ServiceId) -> Result<pocket::shared::Service, ChainError> {
        use pocket::service::{QueryGetServiceRequest, QueryGetServiceResponse};
        let request = QueryGetServiceRequest {
            id: id.to_string(),
            ..Default::default()
        };
        let answer: QueryGetServiceResponse = ask(self, "/pocket.service.Query/Service", &request).await?;
        held(answer.service, "service")
    }

    async fn services(&self) -> Result<Vec<pocket::shared::Service>, ChainError> {
        use pocket::service::{QueryAllServicesRequest, QueryAllServicesResponse};
        let request = |pagination| QueryAllServicesRequest {
            pagination,
            ..Default::default()
        };
        let page = |answer: QueryAllServicesResponse| (answer.service, answer.pagination);
        all(self, "/pocket.service.Query/AllServices", request, page).await
    }
}

#[async_trait]
impl<T: Transport> Claims for T {
    async fn claim(
        &self,
        session_id: &str,
        supplier: &Address,
    ) -> Result<Option<pocket::proof::Claim>, ChainError> {
        use pocket::proof::{QueryGetClaimRequest, QueryGetClaimResponse};
        let request = QueryGetClaimRequest {
            session_id: session_id.to_owned(),
            supplier_operator_address: supplier.to_string(),
        };
        let answer = ask::<QueryGetClaimResponse>(self, "/pocket.proof.Query/Claim", &request).await;
        Ok(optional(answer)?.and_then(|answer| answer.claim))
    }

    async fn claims(&self) -> Result<Vec<pocket::proof::Claim>, ChainError> {
        use pocket::proof::{QueryAllClaimsRequest, QueryAllClaimsResponse};
        let request = |pagination| QueryAllClaimsRequest {
            pagination,
            ..Default::default()
        };
        let page = |answer: QueryAllClaimsResponse| (answer.claims, answer.pagination);
        all(self, "/pocket.proof.Query/AllClaims", request, page).await
    }

    async fn claims_of(&self, supplier: &Address) -> Result<Vec<pocket::proof::Claim>, ChainError> {
        use pocket::proof::query_all_claims_request::Filter;
        use pocket::proof::{QueryAllClaimsRequest, QueryAllClaimsResponse};
        let request = |pagination| QueryAllClaimsRequest {
            pagination,
            filter: Some(Filter::SupplierOperatorAddress(supplier.to_string())),
        };
        let page = |answer: QueryAllClaimsResponse| (answer.claims, answer.pagination);
        all(self, "/pocket.proof.Query/AllClaims", request, page).await
    }

    async fn proof(
        &self,
        session_id: &str,
        supplier: &Address,
    ) -> Result<Option<pocket::proof::Proof>, ChainError> {
        use pocket::proof::{QueryGetProofRequest, QueryGetProofResponse};
        let request = QueryGetProofRequest {
            session_id: session_id.to_owned(),
            supplier_operator_address: supplier.to_string(),
        };
        let answer = ask::<QueryGetProofResponse>(self, "/pocket.proof.Query/Proof", &request).await;
        Ok(optional(answer)?.and_then(|answer| answer.proof))
    }
}

#[async_trait]
impl<T: Transport> Accounts for T {
    async fn account(&self, address: &Address) -> Result<Account, ChainError> {
        let request = QueryAccountRequest {
            address: address.to_string(),
        };
        let answer: QueryAccountResponse = ask(self, "/cosmos.auth.v1beta1.Query/Account", &request).await?;
        account(&held(answer.account, "account")?)
    }

    async fn balance(&self, address: &Address) -> Result<Upokt, ChainError> {
        let request = QueryBalanceRequest {
            address: address.to_string(),
            denom: DENOM.to_owned(),
        };
        let answer: QueryBalanceResponse = ask(self, "/cosmos.bank.v1beta1.Query/Balance", &request).await?;
        amount(answer.balance.as_ref())
    }

    async fn total_supply(&self) -> Result<Upokt, ChainError> {
        let request = QuerySupplyOfRequest {
            denom: DENOM.to_owned(),
        };
        let answer: QuerySupplyOfResponse =
            ask(self, "/cosmos.bank.v1beta1.Query/SupplyOf", &request).await?;
        amount(answer.amount.as_ref())
    }
}

#[async_trait]
impl<T: Transport> Transactions for T {
    async fn broadcast(&self, tx: Bytes) -> Result<BroadcastResult, ChainError> {
        Transport::broadcast(self, tx).await
    }

    async fn simulate(&self, tx: Bytes) -> Result<u64, ChainError> {
        Transport::simulate(self, tx).await
    }

    async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError> {
        Transport::tx(self, hash).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_the_chain_failed_to_make_is_no_refusal() {
        let sorted = |text: &str| no_session(ChainError::Internal(text.to_owned()));
        let refused = "application for session not found not found pokt1: error during session hydration";
        assert!(matches!(sorted(refused), ChainError::NotFound(_)));
        let failed =
            "failed to hydrate session suppliers: version does not exist: error during session hydration";
        let failed = sorted(failed);
        assert!(failed.is_retryable(), "{failed}");
        let early =
            "block height 12 is ahead of the last committed block height 11: error during session hydration";
        assert!(matches!(sorted(early), ChainError::Unavailable(_)));
    }
}
