//! What the chain has of the keys.

use anyhow::{Context as _, Result};
use portico_client::{Accounts as _, Actors as _, ChainError, RemoteChain, Transport as _};
use portico_protocol::wire::pocket::application::{Application, QueryParamsRequest, QueryParamsResponse};
use portico_protocol::wire::pocket::gateway as gateways;
use portico_protocol::{Address, ServiceId, Upokt};
use prost::Message as _;

use super::Keys;
use crate::servicer::check::look::amount;

/// What is known of whoever takes part.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) application_address: String,
    /// `None` where it is not staked.
    pub(super) application: Option<Application>,
    pub(super) application_balance: Upokt,
    /// The gateway's stake; `None` where it is not staked.
    pub(super) gateway: Option<Upokt>,
    pub(super) gateway_balance: Upokt,
    /// Whose tokens they are that are sent, and how many; `None` where nobody sends some.
    pub(super) funder: Option<(Address, Upokt)>,
    pub(super) least_application_stake: Upokt,
    pub(super) least_gateway_stake: Upokt,
    /// Whether the chain has the service.
    pub(super) has_service: bool,
}

pub(super) async fn at(
    chain: &RemoteChain,
    service: &ServiceId,
    gateway: &Address,
    keys: &Keys,
) -> Result<Known> {
    let asked = QueryParamsRequest {}.encode_to_vec();
    let params = chain
        .query("/pocket.application.Query/Params", asked.clone().into())
        .await;
    let params = QueryParamsResponse::decode(params.context("params of applications")?)?;
    let of_gateways = chain.query("/pocket.gateway.Query/Params", asked.into()).await;
    let of_gateways = gateways::QueryParamsResponse::decode(of_gateways.context("params of gateways")?)?;
    let application = keys.application.address();
    let funder = match &keys.funder {
        Some(key) => Some((key.address(), chain.balance(&key.address()).await?)),
        None => None,
    };
    Ok(Known {
        application_address: application.to_string(),
        application: found(chain.application(&application).await)?,
        application_balance: chain.balance(&application).await?,
        gateway: found(chain.gateway(gateway).await)?.map(|gateway| amount(gateway.stake.as_ref())),
        gateway_balance: chain.balance(gateway).await?,
        funder,
        least_application_stake: amount(params.params.unwrap_or_default().min_stake.as_ref()),
        least_gateway_stake: amount(of_gateways.params.unwrap_or_default().min_stake.as_ref()),
        has_service: found(chain.service(service).await)?.is_some(),
    })
}

fn found<T>(answer: Result<T, ChainError>) -> Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(ChainError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
