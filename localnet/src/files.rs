//! The roles' configuration files. Secrets are named by their files only.

use anyhow::{Context, Result};
use portico_protocol::{ServiceId, SigningKey};
use serde_json::{Map, Value, json};

use crate::actors::{consensus_key_file, key_file, supplier_name};
use crate::plan::{Plan, genesis_file};
use crate::ports::local;
use crate::spec::Role;

/// Writes the configuration file of `role`.
pub(crate) fn write(plan: &Plan, role: Role) -> Result<()> {
    let (mut config, settings) = match role {
        Role::Node => (node(plan)?, &plan.spec.settings.node),
        Role::Servicer => (servicer(plan), &plan.spec.settings.servicer),
        Role::Gateway => (gateway(plan), &plan.spec.settings.gateway),
    };
    if let Some(files) = &plan.certificates {
        let own = json!({"tls": {"cert_file": files.certificate, "key_file": files.key}});
        merge(&mut config, &own);
    }
    merge(&mut config, settings);
    drop_nulls(&mut config);
    let file = plan.config_file(role);
    std::fs::write(&file, serde_saphyr::to_string(&config)?)
        .with_context(|| format!("{} cannot be written", file.display()))
}

fn node(plan: &Plan) -> Result<Value> {
    Ok(json!({
        "data_dir": plan.folder.join("chain"),
        "genesis": genesis_file(&plan.folder),
        "rpc_listen": local(plan.ports.rpc),
        "grpc_listen": local(plan.ports.grpc),
        "block_time_ms": u64::try_from(plan.spec.block_time.as_millis())?,
        "validator_key": {"file": consensus_key_file(&plan.folder)},
    }))
}

fn servicer(plan: &Plan) -> Value {
    let services = plan.spec.services.iter().map(|(id, url)| {
        let backend = match url {
            Some(url) => json!({"url": url}),
            None => json!({"url": plan.rpc_url(), "tls": trust(plan)}),
        };
        let websocket = match (plan.spec.websockets.get(id), url) {
            (Some(url), _) => Some(json!({"url": url})),
            (None, None) => Some(json!({"url": plan.websocket_url(), "tls": trust(plan)})),
            (None, Some(_)) => None,
        };
        let grpc = match (plan.spec.grpc.get(id), url) {
            (Some(url), _) => Some(json!({"url": url})),
            (None, None) => Some(json!({"url": plan.grpc_url(), "tls": trust(plan)})),
            (None, Some(_)) => None,
        };
        let rest = plan.spec.rest.get(id).map(|url| json!({"url": url}));
        let of_type = |(rpc_type, backend): (&str, Option<Value>)| Some((rpc_type.to_owned(), backend?));
        let rpc_types = [("websocket", websocket), ("grpc", grpc), ("rest", rest)];
        let rpc_types: Map<_, _> = rpc_types.into_iter().filter_map(of_type).collect();
        (
            id.to_string(),
            json!({"backend": backend, "rpc_types": rpc_types}),
        )
    });
    let suppliers = plan.spec.suppliers.iter().enumerate();
    let here = suppliers.filter(|(_, supplier)| supplier.elsewhere.is_none());
    let keys = here.map(|(index, _)| json!({"file": key_file(&plan.folder, &supplier_name(index))}));
    json!({
        "listen": local(plan.ports.servicer),
        "data_dir": plan.folder.join("servicer"),
        "chain": chain(plan),
        "suppliers": keys.collect::<Vec<_>>(),
        "services": services.collect::<Map<_, _>>(),
    })
}

fn gateway(plan: &Plan) -> Value {
    let application =
        |(service, key): (&ServiceId, &SigningKey)| json!({"address": key.address(), "service_id": service});
    json!({
        "listen": local(plan.ports.gateway),
        "chain": chain(plan),
        "supplier_tls": trust(plan),
        "gateway_key": {"file": key_file(&plan.folder, "gateway")},
        "applications": plan.actors.applications.iter().map(application).collect::<Vec<_>>(),
    })
}

fn chain(plan: &Plan) -> Value {
    json!({"rpc_url": plan.rpc_url(), "grpc_url": plan.grpc_url(), "tls": trust(plan)})
}

/// Trust in the network's authority; nothing where hops are not TLS.
fn trust(plan: &Plan) -> Value {
    let files = plan.certificates.as_ref();
    files.map_or(Value::Null, |files| json!({"ca_file": files.authority}))
}

/// Leaves out what is not set: binaries of an earlier version do not know every key.
fn drop_nulls(config: &mut Value) {
    match config {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(drop_nulls);
        }
        Value::Array(array) => array.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Puts `more` over `config`: objects key by key, anything else as a whole; null changes nothing.
fn merge(config: &mut Value, more: &Value) {
    match (config, more) {
        (_, Value::Null) => {}
        (Value::Object(config), Value::Object(more)) => {
            for (key, value) in more {
                merge(config.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (config, more) => *config = more.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use portico_config::gateway::GatewayConfig;
    use portico_config::load;
    use portico_config::node::NodeConfig;
    use portico_config::servicer::{Durability, RpcType, ServicerConfig};
    use serde_json::json;

    use crate::spec::{Role, Spec, SupplierSpec, chain_service};
    use crate::{Plan, free_ports, local};

    #[test]
    fn the_roles_accept_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let eth = "eth".parse().unwrap();
        let services = BTreeMap::from([
            (chain_service(), None),
            (eth, Some("http://node:8545".to_owned())),
        ]);
        let mut spec = Spec::new(services);
        let elsewhere = SupplierSpec {
            elsewhere: Some(local(1)),
            ..spec.suppliers[0].clone()
        };
        spec.suppliers.push(elsewhere);
        spec.websockets = BTreeMap::from([("eth".parse().unwrap(), "ws://node:8546".to_owned())]);
        spec.rest = BTreeMap::from([("eth".parse().unwrap(), "http://node:1317".to_owned())]);
        spec.settings.servicer = json!({"services": {"eth": {"durability": "bounded"}}});
        let plan = Plan::open(folder.path(), free_ports().unwrap(), spec, &mut rand::rng()).unwrap();

        let node: NodeConfig = load(&plan.config_file(Role::Node)).unwrap();
        assert_eq!(node.rpc_listen, local(plan.ports.rpc));
        let servicer: ServicerConfig = load(&plan.config_file(Role::Servicer)).unwrap();
        assert_eq!(servicer.suppliers.len(), 1, "the other one is served elsewhere");
        let urls: Vec<_> = servicer
            .services
            .values()
            .map(|s| s.backend.url.clone())
            .collect();
        assert_eq!(urls, ["http://node:8545".to_owned(), plan.rpc_url()]);
        let websockets = servicer
            .services
            .values()
            .map(|s| &s.rpc_types[&RpcType::Websocket].url);
        let of_chain = format!("{}/websocket", plan.rpc_url().replace("http", "ws"));
        assert_eq!(websockets.collect::<Vec<_>>(), ["ws://node:8546", &of_chain]);
        let grpc = servicer
            .services
            .values()
            .map(|s| s.rpc_types.get(&RpcType::Grpc));
        let grpc: Vec<_> = grpc
            .map(|backend| backend.map(|backend| backend.url.clone()))
            .collect();
        assert_eq!(grpc, [None, Some(plan.grpc_url())]);
        let rest = servicer
            .services
            .values()
            .map(|s| s.rpc_types.get(&RpcType::Rest));
        let rest: Vec<_> = rest.map(|backend| backend.map(|backend| &*backend.url)).collect();
        assert_eq!(rest, [Some("http://node:1317"), None]);
        let durability: Vec<_> = servicer.services.values().map(|s| s.durability).collect();
        assert_eq!(durability, [Durability::Bounded, Durability::Strict]);
        let gateway: GatewayConfig = load(&plan.config_file(Role::Gateway)).unwrap();
        assert_eq!(gateway.applications.len(), 2);
    }
}
