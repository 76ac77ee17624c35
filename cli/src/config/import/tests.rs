use portico_config::servicer::{RpcType, ServicerConfig};

use super::*;

/// In the shape of the reference relay miner's full example.
const REFERENCE: &str = r#"
default_signing_key_names: [operator-1]
default_request_timeout_seconds: 12
default_max_body_size: 5MB
enable_over_servicing: true
smt_store_path: /home/pocket/.pocket/smt
metrics: {enabled: true, addr: ":9090"}
pocket_node:
  query_node_rpc_url: tcp://127.0.0.1:26657
  query_node_grpc_url: tcp://grpc.example:443
  tx_node_rpc_url: tcp://127.0.0.1:26657
pprof: {enabled: false, addr: "localhost:6060"}
suppliers:
  - service_id: eth
    listen_url: http://0.0.0.0:8545
    service_config:
      backend_url: http://geth:8545
      authentication: {username: user, password: "p: w"}
      headers: {X-Key: "1"}
    rpc_type_service_configs:
      websocket: {backend_url: "ws://geth:8546"}
      rest: {backend_url: "http://geth:5052", forward_pocket_headers: true}
  - service_id: xrpl
    listen_url: http://0.0.0.0:8546
    signing_key_names: [operator-2]
    request_timeout_seconds: 30
    x_forwarded_host_lookup: true
    service_config: {backend_url: "https://xrpl.example"}
future_key: 1
"#;

/// In the shape of the HA relay miner's examples.
const RELAYER: &str = r#"
listen_addr: "0.0.0.0:8080"
redis: {url: "redis://localhost:6379"}
pocket_node: {query_node_rpc_url: "http://node:26657", query_node_grpc_url: "node:9090", grpc_insecure: true}
keys: {keys_file: KEYS}
metrics: {enabled: true, addr: "0.0.0.0:9090"}
default_request_timeout_seconds: 30
timeout_profiles:
  streaming: {request_timeout_seconds: 600, dial_timeout_seconds: 10}
services:
  eth:
    validation_mode: eager
    timeout_profile: streaming
    max_body_size_bytes: 1048576
    backends:
      jsonrpc:
        load_balancing: round_robin
        urls: ["http://a:8545", {name: b, url: "http://b:8545"}]
        authentication: {bearer_token: "t"}
      cometbft: {url: "http://a:26657", base_path: "v1"}
      json_rpc: {url: "http://never"}
  stream:
    default_backend: websocket
    backends:
      websocket: {url: "ws://backend:8545/ws"}
  grpc-only:
    default_backend: grpc
    backends:
      grpc: {url: "grpcs://backend:50051"}
"#;

const MINER: &str = r#"
redis: {url: "redis://localhost:6379"}
pocket_node: {query_node_rpc_url: "http://node:26657", query_node_grpc_url: "node:9090", grpc_insecure: true, chain_id: pocket}
keys: {keys_file: KEYS}
transaction: {gas_price: "0.001upokt", gas_adjustment: 1.7, disable_claim_batching: true}
default_service_factor: 0.01
known_applications: []
"#;

fn key_folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, name) in names.iter().enumerate() {
        let key = portico_protocol::SigningKey::from_bytes(&[u8::try_from(index).unwrap() + 1; 32]).unwrap();
        portico_config::secret::write_key_file(&folder.path().join(name), &key).unwrap();
    }
    folder
}

/// What was imported, as a servicer reads it.
fn read(imported: &Imported, folder: &Path) -> ServicerConfig {
    portico_config::load::parse(&folder.join("servicer.yaml"), &imported.yaml, &|_| None)
        .unwrap_or_else(|error| panic!("{error}\n{}", imported.yaml))
}

fn trees(texts: &[&str]) -> Vec<Tree> {
    let names = ["first.yaml", "second.yaml"].into_iter();
    let read = |(name, text): (&str, &&str)| Tree::read(name, text).unwrap();
    names.zip(texts).map(read).collect()
}

#[test]
fn the_reference_relay_miners_file_becomes_a_servicers() {
    let folder = key_folder(&["operator-1.hex", "operator-2.hex"]);
    let imported = import(&trees(&[REFERENCE]), None, folder.path(), None).unwrap();
    let config = read(&imported, folder.path());
    assert_eq!(config.listen.to_string(), "0.0.0.0:8545");
    assert_eq!(config.admin_listen.unwrap().to_string(), "127.0.0.1:9090");
    assert_eq!(
        (config.chain.rpc_url(), config.chain.grpc_url()),
        ("http://127.0.0.1:26657", "https://grpc.example:443")
    );
    assert_eq!(config.suppliers.len(), 2);
    assert!(config.meter.over_servicing);
    let eth = &config.services[&"eth".parse().unwrap()];
    assert_eq!((eth.timeout_ms, eth.max_request_bytes), (12_000, 5 << 20));
    assert!(eth.rpc_types[&RpcType::Rest].forward_pocket_headers);
    assert_eq!(eth.rpc_types[&RpcType::Websocket].url, "ws://geth:8546");
    assert_eq!(config.services[&"xrpl".parse().unwrap()].timeout_ms, 30_000);
    let notes = imported.notes.join("\n");
    for told in [
        "ignored: smt_store_path (first.yaml:6): ",
        "ignored: pprof (first.yaml:12): ",
        "unsupported: suppliers[].x_forwarded_host_lookup (first.yaml:27): ",
        "unknown: future_key (first.yaml:29): ",
        "different: one endpoint serves all services",
        "different: xrpl (first.yaml:25) names keys of its own",
        "pocketd keys export operator-1 --unarmored-hex",
    ] {
        assert!(notes.contains(told), "{told} in\n{notes}");
    }
}

#[test]
fn relayer_and_miner_of_ha_become_one_servicer() {
    let folder = key_folder(&["keys.hex"]);
    let path = folder.path().join("keys.hex").display().to_string();
    let texts = [RELAYER, MINER].map(|text| text.replace("KEYS", &path));
    let imported = import(
        &trees(&texts.each_ref().map(String::as_str)),
        None,
        folder.path(),
        None,
    )
    .unwrap();
    let config = read(&imported, folder.path());
    assert_eq!(config.suppliers.len(), 1, "from key_files");
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.chain.grpc_url(), "http://node:9090");
    assert_eq!(
        (config.tx.gas_price_micro_upokt, config.tx.max_messages),
        (1_000, 1)
    );
    let eth = &config.services[&"eth".parse().unwrap()];
    assert_eq!((eth.timeout_ms, eth.max_request_bytes), (600_000, 1 << 20));
    let of_type = |service: &str, rpc_type| {
        let service = &config.services[&service.parse().unwrap()];
        (service.has_backend(), service.rpc_types[&rpc_type].url.as_str())
    };
    let expected = (false, "ws://backend:8545/ws");
    assert_eq!(of_type("stream", RpcType::Websocket), expected);
    let expected = (true, "https://backend:50051");
    assert_eq!(of_type("grpc-only", RpcType::Grpc), expected);
    assert!(imported.yaml.contains("http://a:26657/v1"), "{}", imported.yaml);
    assert!(
        imported.yaml.contains("\"authorization\": \"Bearer t\""),
        "{}",
        imported.yaml
    );
    let notes = imported.notes.join("\n");
    for told in [
        "ignored: services.eth.backends.json_rpc (first.yaml:21): no RPC type",
        "ignored: redis (first.yaml:3): ",
        "ignored: redis (second.yaml:2): ",
        "unsupported: default_service_factor (second.yaml:6): ",
    ] {
        assert!(notes.contains(told), "{told} in\n{notes}");
    }
    assert!(!notes.contains("unknown"), "{notes}");
}

#[test]
fn what_is_no_relay_miners_file_is_refused() {
    assert!(
        import(&trees(&["a: 1"]), None, Path::new("keys"), None)
            .unwrap_err()
            .to_string()
            .contains("--of")
    );
    let alone = import(&trees(&[MINER]), None, Path::new("keys"), None)
        .unwrap_err()
        .to_string();
    assert!(alone.contains("the relayer's file is needed"), "{alone}");
}

#[test]
fn passwords_are_in_the_file_and_not_in_the_notes() {
    let imported = import(&trees(&[REFERENCE]), None, Path::new("keys"), None).unwrap();
    assert!(imported.yaml.contains("p: w") && !imported.notes.join("\n").contains("p: w"));
}

/// The keyrings that the Cosmos SDK wrote (`testdata`), for their owner only.
fn keyrings(backend: &str) -> tempfile::TempDir {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cosmos-keyring-0.50");
    let home = tempfile::tempdir().unwrap();
    let backend = format!("keyring-{backend}");
    std::fs::create_dir(home.path().join(&backend)).unwrap();
    for entry in std::fs::read_dir(folder.join(&backend)).unwrap() {
        let from = entry.unwrap().path();
        let text = std::fs::read_to_string(&from).unwrap();
        let to = home.path().join(&backend).join(from.file_name().unwrap());
        portico_config::secret::write_secret_file(&to, &text.trim().to_owned().into()).unwrap();
    }
    home
}

#[test]
fn keys_are_read_from_the_keyring_that_the_files_name() {
    let home = keyrings("file");
    let path = home.path().display().to_string();
    let keys = format!(
        "keys: {{keyring: {{backend: file, dir: \"{path}\", app_name: pocket, key_names: [operator-1, \"operator 2\"]}}}}"
    );
    let texts = [RELAYER, MINER].map(|text| text.replace("keys: {keys_file: KEYS}", &keys));
    let imported = import(
        &trees(&texts.each_ref().map(String::as_str)),
        None,
        home.path(),
        None,
    )
    .unwrap();
    let notes = imported.notes.join("\n");
    assert!(
        notes.contains("to do: write the keyring's password to keyring-password"),
        "{notes}"
    );
    assert!(
        !notes.contains("unknown") && !notes.contains("export the key"),
        "{notes}"
    );
    let password = portico_config::Secret::new("correct horse".to_owned());
    portico_config::secret::write_secret_file(&home.path().join("keyring-password"), &password).unwrap();
    assert_eq!(read(&imported, home.path()).suppliers.len(), 2);
}

#[test]
fn names_of_the_reference_relay_miner_are_looked_up_in_pocketds_keyring() {
    let home = keyrings("test");
    let reference = REFERENCE.replace("operator-2", "operator 2");
    let keyring = Some((home.path().to_str().unwrap(), "test"));
    let imported = import(&trees(&[&reference]), None, Path::new("keys"), keyring).unwrap();
    assert_eq!(read(&imported, home.path()).suppliers.len(), 2);
    assert!(
        !imported.notes.join("\n").contains("export"),
        "{:?}",
        imported.notes
    );
}

#[test]
fn a_service_that_the_network_cannot_have_is_left_out_by_name() {
    let reference = REFERENCE.replace("service_id: xrpl", "service_id: \"model:small:7b\"");
    let imported = import(&trees(&[&reference]), None, Path::new("keys"), None).unwrap();
    assert!(!imported.yaml.contains("model:small"), "{}", imported.yaml);
    let notes = imported.notes.join("\n");
    let told = "left out: service \"model:small:7b\" (first.yaml:23): the network has no such id";
    assert!(notes.contains(told), "{notes}");
}
