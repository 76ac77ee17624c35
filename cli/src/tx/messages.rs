//! The messages of the commands.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use portico_client::{Chain, ChainError};
use portico_config::stake::{ApplicationStake, GatewayStake};
use portico_protocol::tx::pack;
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::pocket::shared::{
    ApplicationServiceConfig, RpcType, Service, ServiceRevenueShare, SupplierEndpoint, SupplierServiceConfig,
};
use portico_protocol::wire::pocket::{application, gateway, service, supplier};
use portico_protocol::{Address, ServiceId, Upokt};
use prost_types::Any;

use super::{Message, ServiceUrl};
use crate::folders;

impl Message {
    /// The messages, signed by `signer`, with their types. Of a stake file, what `chain` has already is left out.
    pub(super) async fn pack(&self, signer: &Address, chain: &dyn Chain) -> Result<Vec<Any>> {
        match self {
            Self::StakeApplication {
                config: Some(file), ..
            } => application_file(file, signer, chain).await,
            Self::StakeGateway {
                config: Some(file), ..
            } => {
                let stake = portico_config::load::<GatewayStake>(file)?.stake_amount.0;
                Ok(vec![stake_gateway(signer.to_string(), stake)])
            }
            one => Ok(vec![one.single(signer)?]),
        }
    }

    fn single(&self, signer: &Address) -> Result<Any> {
        let address = signer.to_string();
        Ok(match self {
            Self::Send { to, amount } => pack(&MsgSend {
                from_address: address,
                to_address: folders::address(to)?.to_string(),
                amount: vec![upokt(*amount)],
            }),
            Self::StakeApplication {
                stake,
                service,
                spend_limit,
                config: _,
            } => pack(&application::MsgStakeApplication {
                address,
                stake: Some(upokt(stake.context("a stake is needed")?)),
                services: vec![ApplicationServiceConfig {
                    service_id: service.as_ref().context("a service is needed")?.to_string(),
                }],
                per_session_spend_limit: spend_limit.map(upokt),
            }),
            Self::StakeGateway { stake, config: _ } => {
                stake_gateway(address, Upokt(stake.context("a stake is needed")?.into()))
            }
            Self::StakeSupplier {
                stake,
                services,
                files: _,
            } => pack(&supplier::MsgStakeSupplier {
                signer: address.clone(),
                owner_address: address.clone(),
                operator_address: address.clone(),
                stake: Some(upokt(stake.context("a stake is needed")?)),
                services: services
                    .iter()
                    .map(|service| supplier_service(service, &address))
                    .collect(),
            }),
            Self::Delegate { gateway } => pack(&application::MsgDelegateToGateway {
                app_address: address,
                gateway_address: folders::address(gateway)?.to_string(),
            }),
            Self::Undelegate { gateway } => pack(&application::MsgUndelegateFromGateway {
                app_address: address,
                gateway_address: folders::address(gateway)?.to_string(),
            }),
            Self::UnstakeApplication => pack(&application::MsgUnstakeApplication { address }),
            Self::UnstakeGateway => pack(&gateway::MsgUnstakeGateway { address }),
            Self::UnstakeSupplier { operator, files: _ } => {
                let operator = operator.as_deref().map(folders::address).transpose()?;
                pack(&supplier::MsgUnstakeSupplier {
                    operator_address: operator.unwrap_or(*signer).to_string(),
                    signer: address,
                })
            }
            Self::AddService {
                id,
                name,
                compute_units_per_relay,
            } => pack(&service::MsgAddService {
                owner_address: address.clone(),
                service: Some(Service {
                    id: id.to_string(),
                    name: name.clone(),
                    compute_units_per_relay: *compute_units_per_relay,
                    owner_address: address,
                    metadata: None,
                }),
            }),
        })
    }
}

fn stake_gateway(address: String, stake: Upokt) -> Any {
    pack(&gateway::MsgStakeGateway {
        address,
        stake: Some(stake.into()),
    })
}

/// What makes an application as its stake file says: its stake, and delegations that it lacks.
async fn application_file(file: &Path, signer: &Address, chain: &dyn Chain) -> Result<Vec<Any>> {
    let stake: ApplicationStake = portico_config::load(file)?;
    let address = signer.to_string();
    let on_chain = match chain.application(signer).await {
        Ok(application) => Some(application),
        Err(ChainError::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let same = on_chain.as_ref().is_some_and(|found| {
        let services: Vec<&str> = found
            .service_configs
            .iter()
            .map(|config| config.service_id.as_str())
            .collect();
        let wanted: Vec<&str> = stake.service_ids.iter().map(ServiceId::as_str).collect();
        found.stake == Some(stake.stake_amount.0.into())
            && services == wanted
            && stake.per_session_spend_limit.is_none()
    });
    let mut messages = Vec::new();
    if !same {
        messages.push(pack(&application::MsgStakeApplication {
            address: address.clone(),
            stake: Some(stake.stake_amount.0.into()),
            services: stake
                .service_ids
                .iter()
                .map(|id| ApplicationServiceConfig {
                    service_id: id.to_string(),
                })
                .collect(),
            per_session_spend_limit: stake.per_session_spend_limit.map(|limit| limit.0.into()),
        }));
    }
    let known = on_chain
        .map(|found| found.delegatee_gateway_addresses)
        .unwrap_or_default();
    for gateway in stake.gateway_addresses.iter().map(Address::to_string) {
        if !known.contains(&gateway) {
            messages.push(pack(&application::MsgDelegateToGateway {
                app_address: address.clone(),
                gateway_address: gateway,
            }));
        }
    }
    ensure!(
        !messages.is_empty(),
        "application {signer} is as {} says: there is nothing to send",
        file.display()
    );
    Ok(messages)
}

fn upokt(amount: u64) -> portico_protocol::wire::cosmos::base::v1beta1::Coin {
    Upokt(amount.into()).into()
}

/// Configuration of a supplier for JSON-RPC relays at a URL, all revenue to `owner`.
pub(crate) fn supplier_service(service: &ServiceUrl, owner: &str) -> SupplierServiceConfig {
    SupplierServiceConfig {
        service_id: service.id.to_string(),
        endpoints: vec![SupplierEndpoint {
            url: service.url.clone(),
            rpc_type: RpcType::JsonRpc.into(),
            configs: Vec::new(),
        }],
        rev_share: vec![ServiceRevenueShare {
            address: owner.to_owned(),
            rev_share_percentage: 100,
        }],
    }
}
