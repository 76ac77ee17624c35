//! The messages of the commands.

use anyhow::Result;
use portico_protocol::tx::pack;
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::pocket::shared::{
    ApplicationServiceConfig, RpcType, Service, ServiceRevenueShare, SupplierEndpoint, SupplierServiceConfig,
};
use portico_protocol::wire::pocket::{application, gateway, service, supplier};
use portico_protocol::{Address, Upokt};
use prost_types::Any;

use super::{Message, ServiceUrl};
use crate::folders;

impl Message {
    /// The message, signed by `signer`, with its type.
    pub(super) fn pack(&self, signer: &Address) -> Result<Any> {
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
            } => pack(&application::MsgStakeApplication {
                address,
                stake: Some(upokt(*stake)),
                services: vec![ApplicationServiceConfig {
                    service_id: service.to_string(),
                }],
                per_session_spend_limit: spend_limit.map(upokt),
            }),
            Self::StakeGateway { stake } => pack(&gateway::MsgStakeGateway {
                address,
                stake: Some(upokt(*stake)),
            }),
            Self::StakeSupplier { stake, services } => pack(&supplier::MsgStakeSupplier {
                signer: address.clone(),
                owner_address: address.clone(),
                operator_address: address.clone(),
                stake: Some(upokt(*stake)),
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
            Self::UnstakeSupplier => pack(&supplier::MsgUnstakeSupplier {
                signer: address.clone(),
                operator_address: address,
            }),
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
