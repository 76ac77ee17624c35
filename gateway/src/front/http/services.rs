//! The services that are called here: by which names and hosts, and what is special about each.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;
use portico_config::gateway::{Batches, GatewayConfig, ServiceConfig};
use portico_protocol::ServiceId;
use portico_relay::RpcType;

use crate::GatewayError;
use crate::codec::http::Passed;

/// One service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) id: ServiceId,
    /// Kinds of call that it offers, if the operator says so.
    pub(crate) offered: Option<Vec<RpcType>>,
    pub(crate) passed: Passed,
    /// How its JSON-RPC batches are relayed.
    pub(crate) batches: Batches,
}

/// All services.
#[derive(Debug)]
pub(crate) struct Services {
    all: Vec<Arc<Service>>,
    by_name: HashMap<String, Arc<Service>>,
    by_host: HashMap<String, Arc<Service>>,
}

impl Services {
    pub(crate) fn new(config: &GatewayConfig) -> Result<Self, GatewayError> {
        let defaults = ServiceConfig::default();
        let (mut all, mut by_name, mut by_host) = (Vec::new(), HashMap::new(), HashMap::new());
        for id in config.served() {
            let special = config.services.get(&id).unwrap_or(&defaults);
            let service = Arc::new(Service::new(id.clone(), special)?);
            by_name.insert(id.to_string(), Arc::clone(&service));
            for alias in &special.aliases {
                by_name.insert(alias.clone(), Arc::clone(&service));
            }
            for host in &special.hosts {
                by_host.insert(host.clone(), Arc::clone(&service));
            }
            all.push(service);
        }
        Ok(Self {
            all,
            by_name,
            by_host,
        })
    }

    /// The service with this id or alias.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Service>> {
        self.by_name.get(name)
    }

    /// The service of a host, as a `Host` header names it.
    pub(crate) fn at_host(&self, host: &str) -> Option<&Arc<Service>> {
        if self.by_host.is_empty() {
            return None;
        }
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        self.by_host.get(&name.trim_end_matches('.').to_ascii_lowercase())
    }

    /// The service, if there is only one.
    pub(crate) fn only(&self) -> Option<&Arc<Service>> {
        match &self.all[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Ids of all, in order of the alphabet.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.all.iter().map(|service| service.id.to_string()).collect()
    }
}

impl Service {
    fn new(id: ServiceId, special: &ServiceConfig) -> Result<Self, GatewayError> {
        let kinds = special.rpc_types.iter();
        let kinds: Vec<RpcType> = kinds.filter_map(|kind| RpcType::parse(kind.name())).collect();
        let headers = |list: &str, names: &[String]| {
            let names = names.iter().map(|name| HeaderName::try_from(name.as_str()));
            let names: Result<Vec<_>, _> = names.collect();
            names.map_err(|error| GatewayError::Config(format!("services.{id}.{list}: {error}")))
        };
        Ok(Self {
            offered: (!kinds.is_empty()).then_some(kinds),
            passed: Passed {
                to_backends: headers("forward_headers", &special.forward_headers)?,
                from_backends: headers("return_headers", &special.return_headers)?,
            },
            batches: special.batches,
            id,
        })
    }
}
