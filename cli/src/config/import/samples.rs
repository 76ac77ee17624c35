//! Files with the keys of the other relay miners' samples: a servicer starts from each, and serves a relay of each of its services.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use portico_client::Sessions as _;
use portico_config::servicer::ServicerConfig;
use portico_protocol::relay::{sign_request, verify_response};
use portico_protocol::ring::Ring;
use portico_protocol::wire::pocket::service::RelayResponse;
use portico_protocol::wire::pocket::shared::RpcType as StakedType;
use portico_protocol::wire::sdk::types::{PokthttpRequest, PokthttpResponse};
use portico_protocol::{Height, ServiceId, SigningKey};
use portico_servicer::Servicer;
use portico_testkit::MemoryChain;
use prost::Message as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/relay-miner-configs");
/// Each servicer's files, its services, and what is told of what is not taken over.
const SAMPLES: [(&[&str], &[&str], &[&str]); 9] = [
    (
        &["reference-full.yaml"],
        &["eth", "sidechain"],
        &[
            "left out: service \"model:small:7b\" (reference-full.yaml:29): ",
            "ignored: smt_store_path (reference-full.yaml:2): ",
            "ignored: ping (reference-full.yaml:11): ",
        ],
    ),
    (
        &["reference-localnet.yaml"],
        &["fixed", "local"],
        &[
            "ignored: mining_supervisor (reference-localnet.yaml:12): ",
            "ignored: suppliers[].enable_eager_relay_request_validation (reference-localnet.yaml:32): ",
            "unsupported: localws: WebSocket backend ws://127.0.0.1",
            "unsupported: service localws has no backend for requests over HTTP",
        ],
    ),
    (
        &["reference-values-common.yaml", "reference-values-1.yaml"],
        &["local", "rest"],
        &["ignored: signing_key_name (reference-values-1.yaml:2): "],
    ),
    (
        &["ha-in-poktroll.yaml"],
        &["fixed", "local"],
        &["unsupported: services.local.health_check (ha-in-poktroll.yaml:15): "],
    ),
    (
        &["ha-relayer.yaml", "ha-miner.yaml"],
        &["comet", "grpc", "http", "stream"],
        &[
            "unsupported: service sockets has no backend",
            "ignored: pool_profiles (ha-relayer.yaml:98): ",
            "ignored: leader_election (ha-miner.yaml:25): ",
            "unsupported: default_service_factor (ha-miner.yaml:42): ",
        ],
    ),
    (
        &["ha-docker-relayer.yaml", "ha-docker-miner.yaml"],
        &["http"],
        &["ignored: transaction (ha-docker-miner.yaml:21): "],
    ),
    (
        &["ha-host-relayer.yaml", "ha-host-miner.yaml"],
        &["my-service"],
        &["ignored: block_time_seconds (ha-host-miner.yaml:10): "],
    ),
    (
        &["ha-standalone.yaml"],
        &["my-service"],
        &[
            "ignored: storage (ha-standalone.yaml:19): ",
            "ignored: redis (ha-standalone.yaml:34): ",
            "ignored: redis (ha-standalone.yaml:38): ",
            "ignored: block_time_seconds (ha-standalone.yaml:37): ",
        ],
    ),
    (
        &["ha-standalone-host.yaml"],
        &["my-service"],
        &["unsupported: services.my-service.backends.jsonrpc.health_check (ha-standalone-host.yaml:25): "],
    ),
];

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32]).unwrap()
}

/// A node that answers everything, by HTTP/1.1 and HTTP/2.
async fn backend() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(|| async { "answered" });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// A folder with the key that all samples name.
fn keys() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    portico_config::secret::write_key_file(&folder.path().join("operator-1.hex"), &key(1)).unwrap();
    folder
}

/// A chain in which the key serves these services, each with an application of its own.
fn chain(services: &[&str]) -> Arc<MemoryChain> {
    let chain = MemoryChain::new();
    for (n, service) in (10..).zip(services) {
        let id: ServiceId = service.parse().unwrap();
        chain.stake_supplier(key(1).public_key(), &id, "http://supplier", StakedType::JsonRpc);
        chain.stake_application(key(n).public_key(), &id, &[key(2).address()]);
    }
    chain.add_account(key(2).public_key());
    chain
}

fn imported(files: &[&str], backend: SocketAddr, folder: &Path) -> Imported {
    let keys = folder.join("operator-1.hex").display().to_string();
    let read = |name: &&str| {
        let text = std::fs::read_to_string(Path::new(FOLDER).join(name)).unwrap();
        let text = text.replace("BACKEND", &backend.to_string());
        Tree::read(name, &text.replace("KEYS", &keys)).unwrap()
    };
    let trees: Vec<Tree> = files.iter().map(read).collect();
    import(&trees, None, folder, None).unwrap()
}

/// The configuration as it is read, with free ports and a folder of its own.
fn config(imported: &Imported, folder: &Path) -> ServicerConfig {
    let file = folder.join("servicer.yaml");
    let mut yaml = imported.yaml.clone();
    if imported
        .notes
        .iter()
        .any(|note| note.contains("the files name no keys"))
    {
        yaml += "suppliers: [{file: operator-1.hex}]\n"; // as the note says
    }
    let mut config: ServicerConfig = portico_config::load::parse(&file, &yaml, &|_| None)
        .unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.admin_listen = None;
    config.data_dir = folder.join("data");
    config
}

#[tokio::test]
async fn a_servicer_starts_from_every_sample_and_serves_each_service() {
    let backend = backend().await;
    for (files, services, told) in SAMPLES {
        let folder = keys();
        let imported = imported(files, backend, folder.path());
        let notes = imported.notes.join("\n");
        for note in told {
            assert!(notes.contains(note), "{note} in\n{notes}");
        }
        assert!(!notes.contains("unknown: "), "{files:?}: {notes}");
        let config = config(&imported, folder.path());
        let served: Vec<String> = config.services.keys().map(ToString::to_string).collect();
        assert_eq!(served, services, "{files:?}");
        let chain = chain(services);
        let servicer = Servicer::open(config, chain.clone(), prometheus::Registry::new())
            .unwrap_or_else(|error| panic!("{files:?}: {error}"));
        let (url, stop) = (
            format!("http://{}/", servicer.local_addr()),
            CancellationToken::new(),
        );
        let task = tokio::spawn(servicer.run(stop.clone()));
        for (n, service) in (10..).zip(services) {
            let answer = relay(&chain, &url, &key(n), service).await;
            assert_eq!(&answer.body_bz[..], b"answered", "{files:?}: {service}");
        }
        stop.cancel();
        task.await.unwrap().unwrap();
    }
}

/// The answer to a relay, verified as a gateway does.
async fn relay(chain: &MemoryChain, url: &str, application: &SigningKey, service: &str) -> PokthttpResponse {
    let id: ServiceId = service.parse().unwrap();
    let session = chain
        .session(&application.address(), &id, Height(1))
        .await
        .unwrap();
    let header = session.header.unwrap();
    let payload = PokthttpRequest {
        method: "POST".to_owned(),
        url: "http://relay.example/".to_owned(),
        body_bz: "{}".into(),
        ..PokthttpRequest::default()
    };
    let (supplier, gateway) = (key(1), key(2));
    let ring = Ring::new(vec![application.public_key(), gateway.public_key()]).unwrap();
    let request = sign_request(
        &header,
        &supplier.address().to_string(),
        payload.encode_to_vec().into(),
        &ring,
        &gateway,
        &mut StdRng::seed_from_u64(1),
    )
    .unwrap();
    let client = crate::http::client().unwrap();
    let sending = client
        .post(url)
        .header("rpc-type", "3")
        .body(request.encode_to_vec());
    let response = sending.send().await.unwrap();
    let status = response.status();
    let bytes = response.bytes().await.unwrap();
    assert_eq!(status, 200, "{service}: {}", String::from_utf8_lossy(&bytes));
    let response = RelayResponse::decode(bytes).unwrap();
    verify_response(&response, &header, &supplier.public_key()).unwrap();
    PokthttpResponse::decode(response.payload).unwrap()
}
