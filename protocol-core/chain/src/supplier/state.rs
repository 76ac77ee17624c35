//! Suppliers in the state, and the index of what they serve.

use portico_protocol::Height;
use portico_protocol::wire::pocket::shared::{
    ServiceConfigUpdate, ServiceRevenueShare, Supplier, SupplierServiceConfig,
};
use portico_protocol::wire::pocket::supplier::Params;

use crate::context::{Context, be, key, read, scan};
use crate::state::{StateError, StateRead, Store};

pub(crate) const MODULE: &str = "supplier";
const PARAMS: &[u8] = b"params";
/// Prefix of suppliers.
pub(crate) const SUPPLIERS: &[u8] = b"supplier/";
/// Index of configs: followed by the service, the activation height, and the operator.
pub(super) const INDEX: &[u8] = b"service_config/";
/// Index of configs that end: followed by the height, big-endian, and the operator.
pub(super) const ENDED: &[u8] = b"service_config_end/";

pub(crate) fn params(state: &dyn StateRead) -> Result<Params, StateError> {
    Ok(read(state, Store::Supplier, PARAMS)?.unwrap_or_default())
}

pub(crate) fn set_params(ctx: &mut Context<'_>, params: &Params) {
    ctx.put(Store::Supplier, PARAMS.to_vec(), params);
}

/// A staked supplier by operator address.
pub(crate) fn supplier(state: &dyn StateRead, operator: &str) -> Result<Option<Supplier>, StateError> {
    read(state, Store::Supplier, &key("supplier", operator))
}

/// Key of a config update in the index: ordered by service, activation, operator, as candidates are.
fn index_key(update: &ServiceConfigUpdate) -> Option<Vec<u8>> {
    let service = update.service.as_ref()?;
    let prefix = key("service_config", &service.service_id);
    Some(
        [
            prefix,
            be(update.activation_height).to_vec(),
            format!("{}/", update.operator_address).into_bytes(),
        ]
        .concat(),
    )
}

fn ended_key(update: &ServiceConfigUpdate) -> Vec<u8> {
    let height = be(update.deactivation_height);
    [ENDED, &height, update.operator_address.as_bytes()].concat()
}

fn unindex(ctx: &mut Context<'_>, update: &ServiceConfigUpdate) {
    if let Some(key) = index_key(update) {
        ctx.delete(Store::Supplier, key);
    }
    ctx.delete(Store::Supplier, ended_key(update));
}

/// Writes a supplier and its entries of the index; `old` is what was there.
pub(crate) fn save(ctx: &mut Context<'_>, old: Option<&Supplier>, new: &Supplier) {
    for update in old.iter().flat_map(|old| &old.service_config_history) {
        unindex(ctx, update);
    }
    for update in &new.service_config_history {
        if let Some(key) = index_key(update) {
            ctx.put(Store::Supplier, key, update);
        }
        if update.deactivation_height > 0 {
            ctx.state.set(Store::Supplier, ended_key(update), vec![1]);
        }
    }
    ctx.put(Store::Supplier, key("supplier", &new.operator_address), new);
}

pub(super) fn remove(ctx: &mut Context<'_>, supplier: &Supplier) {
    for update in &supplier.service_config_history {
        unindex(ctx, update);
    }
    ctx.delete(Store::Supplier, key("supplier", &supplier.operator_address));
}

/// Config updates of a service that are active at `height`, in index order: the candidates of a session.
pub(crate) fn candidates(
    state: &dyn StateRead,
    service: &str,
    height: Height,
) -> Result<Vec<ServiceConfigUpdate>, StateError> {
    let updates: Vec<ServiceConfigUpdate> = scan(state, Store::Supplier, &key("service_config", service))?;
    Ok(updates
        .into_iter()
        .filter(|update| is_active(update, height))
        .collect())
}

fn is_active(update: &ServiceConfigUpdate, height: Height) -> bool {
    update.activation_height <= height.0
        && (update.deactivation_height == 0 || update.deactivation_height > height.0)
}

/// Service configs that a supplier serves at `height`.
pub(crate) fn active_services(supplier: &Supplier, height: Height) -> Vec<SupplierServiceConfig> {
    let history = supplier.service_config_history.iter();
    let active = history.filter(|update| is_active(update, height));
    active.filter_map(|update| update.service.clone()).collect()
}

/// Revenue shares by which a reward for `service` is paid at `height`: those of the active config, or else of the newest one, which stays
/// in the history until the proofs of its last session are over.
pub(crate) fn rev_shares(supplier: &Supplier, service: &str, height: Height) -> Vec<ServiceRevenueShare> {
    let of_service = |update: &&ServiceConfigUpdate| {
        update
            .service
            .as_ref()
            .is_some_and(|config| config.service_id == service)
    };
    let configs = || supplier.service_config_history.iter().filter(of_service);
    let config = configs()
        .find(|update| is_active(update, height))
        .or_else(|| configs().max_by_key(|update| update.activation_height));
    config
        .and_then(|update| update.service.as_ref())
        .map(|config| config.rev_share.clone())
        .unwrap_or_default()
}

/// Replaces the services from `activation` on: earlier configs end there; one of the same service that would begin there never was.
pub(crate) fn replace_services(
    supplier: &mut Supplier,
    services: &[SupplierServiceConfig],
    activation: Height,
) {
    let replaced = |update: &ServiceConfigUpdate| {
        let id = update.service.as_ref().map(|config| &config.service_id);
        update.activation_height == activation.0 && services.iter().any(|new| Some(&new.service_id) == id)
    };
    supplier.service_config_history.retain(|update| !replaced(update));
    for update in &mut supplier.service_config_history {
        if update.deactivation_height == 0 {
            update.deactivation_height = activation.0;
        }
    }
    let operator = &supplier.operator_address;
    let new = services.iter().map(|service| ServiceConfigUpdate {
        operator_address: operator.clone(),
        service: Some(service.clone()),
        activation_height: activation.0,
        deactivation_height: 0,
    });
    supplier.service_config_history.extend(new);
    // The network keeps a supplier's history by service and activation.
    let key = |update: &ServiceConfigUpdate| {
        let id = update.service.as_ref().map(|config| config.service_id.clone());
        (id.unwrap_or_default() + "/", update.activation_height)
    };
    supplier.service_config_history.sort_by_cached_key(key);
}
