//! JSON of staked actors inside events: proto field names in declaration order, defaults included.

use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::gateway::Gateway;
use portico_protocol::wire::pocket::shared::{RpcType, Supplier, SupplierServiceConfig};

use crate::event::quote;

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

fn coin(coin: Option<&Coin>) -> String {
    coin.map_or("null".into(), |coin| {
        format!(
            "{{\"denom\":{},\"amount\":{}}}",
            quote(&coin.denom),
            quote(&coin.amount)
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
         \"pending_undelegations\":{{{pending}}},\"unstake_session_end_height\":\"{}\",\"pending_transfer\":null,\
         \"per_session_spend_limit\":{},\"service_config_history\":{history}}}",
        quote(&app.address),
        coin(app.stake.as_ref()),
        app.unstake_session_end_height,
        coin(app.per_session_spend_limit.as_ref()),
    )
}

/// A gateway.
pub(crate) fn gateway(gateway: &Gateway) -> String {
    format!(
        "{{\"address\":{},\"stake\":{},\"unstake_session_end_height\":\"{}\",\"metadata\":null}}",
        quote(&gateway.address),
        coin(gateway.stake.as_ref()),
        gateway.unstake_session_end_height
    )
}

fn supplier_service(config: &SupplierServiceConfig) -> String {
    let endpoints = list(config.endpoints.iter().map(|endpoint| {
        let kind = RpcType::try_from(endpoint.rpc_type).map_or("UNKNOWN_RPC", |kind| kind.as_str_name());
        format!(
            "{{\"url\":{},\"rpc_type\":\"{kind}\",\"configs\":[]}}",
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
