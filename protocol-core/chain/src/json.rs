//! JSON of staked actors inside events: proto field names in declaration order, defaults included.

use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket::application::{Application, PendingApplicationTransfer};
use portico_protocol::wire::pocket::gateway::Gateway;
use portico_protocol::wire::pocket::shared::{
    ConfigOption, ConfigOptions, RpcType, Supplier, SupplierServiceConfig,
};

use crate::event::quote;

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

/// A coin; `null` when there is none.
pub(crate) fn coin(coin: Option<&Coin>) -> String {
    coin.map_or("null".into(), |coin| {
        format!(
            "{{\"denom\":{},\"amount\":{}}}",
            quote(&coin.denom),
            quote(&coin.amount)
        )
    })
}

fn transfer(pending: Option<&PendingApplicationTransfer>) -> String {
    pending.map_or("null".into(), |pending| {
        format!(
            "{{\"destination_address\":{},\"session_end_height\":\"{}\"}}",
            quote(&pending.destination_address),
            pending.session_end_height
        )
    })
}

fn service(id: &str) -> String {
    format!("{{\"service_id\":{}}}", quote(id))
}

/// An application.
pub(crate) fn application(app: &Application) -> String {
    let services = list(
        app.service_configs
            .iter()
            .map(|config| service(&config.service_id)),
    );
    let gateways = list(
        app.delegatee_gateway_addresses
            .iter()
            .map(|address| quote(address)),
    );
    let pending = app
        .pending_undelegations
        .iter()
        .map(|(height, gone)| {
            let addresses = list(gone.gateway_addresses.iter().map(|address| quote(address)));
            format!("\"{height}\":{{\"gateway_addresses\":{addresses}}}")
        })
        .collect::<Vec<_>>()
        .join(",");
    let history = list(app.service_config_history.iter().map(|update| {
        let config = update.service.as_ref().map_or("null".into(), |config| service(&config.service_id));
        format!(
            "{{\"application_address\":{},\"service\":{config},\"activation_height\":\"{}\",\"deactivation_height\":\"{}\"}}",
            quote(&update.application_address),
            update.activation_height,
            update.deactivation_height
        )
    }));
    format!(
        "{{\"address\":{},\"stake\":{},\"service_configs\":{services},\"delegatee_gateway_addresses\":{gateways},\
         \"pending_undelegations\":{{{pending}}},\"unstake_session_end_height\":\"{}\",\"pending_transfer\":{},\
         \"per_session_spend_limit\":{},\"service_config_history\":{history}}}",
        quote(&app.address),
        coin(app.stake.as_ref()),
        app.unstake_session_end_height,
        transfer(app.pending_transfer.as_ref()),
        coin(app.per_session_spend_limit.as_ref()),
    )
}

/// A gateway, without its card.
pub(crate) fn gateway(gateway: &Gateway) -> String {
    format!(
        "{{\"address\":{},\"stake\":{},\"unstake_session_end_height\":\"{}\",\"metadata\":null}}",
        quote(&gateway.address),
        coin(gateway.stake.as_ref()),
        gateway.unstake_session_end_height
    )
}

fn option(option: &ConfigOption) -> String {
    let key = ConfigOptions::try_from(option.key).map_or("UNKNOWN_CONFIG", |key| key.as_str_name());
    format!("{{\"key\":\"{key}\",\"value\":{}}}", quote(&option.value))
}

fn supplier_service(config: &SupplierServiceConfig) -> String {
    let endpoints = list(config.endpoints.iter().map(|endpoint| {
        let kind = RpcType::try_from(endpoint.rpc_type).map_or("UNKNOWN_RPC", |kind| kind.as_str_name());
        let configs = list(endpoint.configs.iter().map(option));
        format!(
            "{{\"url\":{},\"rpc_type\":\"{kind}\",\"configs\":{configs}}}",
            quote(&endpoint.url)
        )
    }));
    let shares = list(config.rev_share.iter().map(|share| {
        format!(
            "{{\"address\":{},\"rev_share_percentage\":\"{}\"}}",
            quote(&share.address),
            share.rev_share_percentage
        )
    }));
    format!(
        "{{\"service_id\":{},\"endpoints\":{endpoints},\"rev_share\":{shares}}}",
        quote(&config.service_id)
    )
}

/// A supplier.
pub(crate) fn supplier(supplier: &Supplier) -> String {
    let services = list(supplier.services.iter().map(supplier_service));
    let history = list(supplier.service_config_history.iter().map(|update| {
        format!(
            "{{\"operator_address\":{},\"service\":{},\"activation_height\":\"{}\",\"deactivation_height\":\"{}\"}}",
            quote(&update.operator_address),
            update.service.as_ref().map_or("null".into(), supplier_service),
            update.activation_height,
            update.deactivation_height
        )
    }));
    format!(
        "{{\"owner_address\":{},\"operator_address\":{},\"stake\":{},\"services\":{services},\
         \"unstake_session_end_height\":\"{}\",\"service_config_history\":{history}}}",
        quote(&supplier.owner_address),
        quote(&supplier.operator_address),
        coin(supplier.stake.as_ref()),
        supplier.unstake_session_end_height
    )
}

#[cfg(test)]
mod tests {
    use portico_protocol::Upokt;
    use portico_protocol::wire::pocket::application::{
        ApplicationServiceConfigUpdate, UndelegatingGatewayList,
    };
    use portico_protocol::wire::pocket::shared::{
        ApplicationServiceConfig, ServiceConfigUpdate, ServiceRevenueShare, SupplierEndpoint,
    };

    use super::*;

    #[test]
    fn writes_every_field_in_the_order_of_the_definitions() {
        let config = ApplicationServiceConfig {
            service_id: "eth".into(),
        };
        let app = Application {
            address: "a\"".into(),
            stake: Some(Upokt(5).into()),
            service_configs: vec![config.clone()],
            delegatee_gateway_addresses: vec!["g".into()],
            pending_undelegations: [(
                20,
                UndelegatingGatewayList {
                    gateway_addresses: vec!["h".into()],
                },
            )]
            .into(),
            unstake_session_end_height: 30,
            pending_transfer: Some(PendingApplicationTransfer {
                destination_address: "d".into(),
                session_end_height: 40,
            }),
            per_session_spend_limit: None,
            service_config_history: vec![ApplicationServiceConfigUpdate {
                application_address: "a".into(),
                service: Some(config),
                activation_height: 1,
                deactivation_height: 0,
            }],
        };
        assert_eq!(
            application(&app),
            r#"{"address":"a\"","stake":{"denom":"upokt","amount":"5"},"service_configs":[{"service_id":"eth"}],"delegatee_gateway_addresses":["g"],"pending_undelegations":{"20":{"gateway_addresses":["h"]}},"unstake_session_end_height":"30","pending_transfer":{"destination_address":"d","session_end_height":"40"},"per_session_spend_limit":null,"service_config_history":[{"application_address":"a","service":{"service_id":"eth"},"activation_height":"1","deactivation_height":"0"}]}"#
        );
        let config = SupplierServiceConfig {
            service_id: "eth".into(),
            endpoints: vec![SupplierEndpoint {
                url: "http://n".into(),
                rpc_type: RpcType::JsonRpc.into(),
                configs: vec![ConfigOption {
                    key: ConfigOptions::Timeout.into(),
                    value: "5".into(),
                }],
            }],
            rev_share: vec![ServiceRevenueShare {
                address: "s".into(),
                rev_share_percentage: 100,
            }],
        };
        let staked = Supplier {
            owner_address: "o".into(),
            operator_address: "p".into(),
            stake: None,
            services: Vec::new(),
            unstake_session_end_height: 0,
            service_config_history: vec![ServiceConfigUpdate {
                operator_address: "p".into(),
                service: Some(config),
                activation_height: 11,
                deactivation_height: 21,
            }],
        };
        assert_eq!(
            supplier(&staked),
            r#"{"owner_address":"o","operator_address":"p","stake":null,"services":[],"unstake_session_end_height":"0","service_config_history":[{"operator_address":"p","service":{"service_id":"eth","endpoints":[{"url":"http://n","rpc_type":"JSON_RPC","configs":[{"key":"TIMEOUT","value":"5"}]}],"rev_share":[{"address":"s","rev_share_percentage":"100"}]},"activation_height":"11","deactivation_height":"21"}]}"#
        );
    }
}
