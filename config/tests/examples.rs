//! The example files are valid as they stand.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use portico_config::gateway::GatewayConfig;
use portico_config::node::NodeConfig;
use portico_config::secret::write_secret_file;
use portico_config::servicer::ServicerConfig;
use portico_config::{Config, Secret, load};

/// Loads an example from a folder that has the keys it names.
fn example<T: Config>(name: &str) -> T {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let to = folder.path().join(name);
    std::fs::copy(from, &to).unwrap();
    std::fs::create_dir(folder.path().join("keys")).unwrap();
    for key in ["gateway", "application", "supplier", "validator"] {
        let path = folder.path().join(format!("keys/{key}.hex"));
        write_secret_file(&path, &Secret::new("11".repeat(32))).unwrap();
    }
    load(&to).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_gateways_example_is_valid() {
    let config: GatewayConfig = example("gateway.yaml");
    assert_eq!(config.applications.len(), 2);
}

#[test]
fn the_servicers_example_is_valid() {
    let config: ServicerConfig = example("servicer.yaml");
    assert_eq!(config.services.len(), 2);
}

#[test]
fn the_nodes_example_is_valid() {
    let config: NodeConfig = example("node.yaml");
    assert!(config.validator_key.is_some());
}
