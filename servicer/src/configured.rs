//! What the configuration describes, made ready: keys, services, bounds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portico_config::servicer::{ServiceConfig, ServicerConfig};
use portico_protocol::{Address, ServiceId};

use crate::backend::{self, Backends};
use crate::error::ServicerError;
use crate::relay::served::{HeldKey, KeyState, ServedService, StreamBounds};

/// Keys of all suppliers that the configuration names.
pub(crate) fn supplier_keys(config: &ServicerConfig) -> Result<BTreeMap<Address, HeldKey>, ServicerError> {
    let mut keys = BTreeMap::new();
    for (list, state) in [
        (&config.suppliers, KeyState::Active),
        (&config.draining, KeyState::Draining),
    ] {
        for (index, secret) in list.iter().enumerate() {
            let key = secret.signing_key();
            let key = Arc::new(key.map_err(|source| ServicerError::Key { index, source })?);
            keys.entry(key.address()).or_insert(HeldKey { key, state });
        }
    }
    Ok(keys)
}

/// All services, as the configuration describes them.
pub(crate) fn services(
    config: &ServicerConfig,
    shared: &backend::Shared,
) -> Result<BTreeMap<ServiceId, Arc<ServedService>>, ServicerError> {
    let made = config.services.iter();
    made.map(|(id, config)| Ok((id.clone(), service(id, config, shared)?)))
        .collect()
}

/// A service as the configuration describes it.
pub(crate) fn service(
    id: &ServiceId,
    config: &ServiceConfig,
    shared: &backend::Shared,
) -> Result<Arc<ServedService>, ServicerError> {
    let backends = Backends::new(id, config, shared)
        .map_err(|(key, what)| ServicerError::Config(vec![(format!("services.{id}.{key}"), what)]))?;
    Ok(Arc::new(ServedService {
        backends,
        durability: config.durability,
        max_request_bytes: config.max_request_bytes,
        max_response_bytes: config.max_response_bytes,
        streams: StreamBounds {
            idle: Duration::from_millis(config.stream_idle_timeout_ms),
            max_bytes: config.max_stream_bytes,
        },
    }))
}

/// Relays in progress of a service without a bound of its own: one of several leaves a quarter of all to the others.
pub(crate) fn service_share(config: &ServicerConfig) -> usize {
    let all = config.limits.max_in_flight;
    match config.services.len() {
        0 | 1 => all,
        _ => (all - all / 4).max(1),
    }
}
