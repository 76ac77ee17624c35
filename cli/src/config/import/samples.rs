//! Files with the keys of the other relay miners' samples: a servicer starts from each, and serves a relay of each of its services.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use portico_client::Sessions as _;
use portico_config::servicer::{RpcType, ServicerConfig};
use portico_net::tls::ClientTls;
use portico_net::websocket::{self, Incoming, Kind, Limits, Message};
use portico_protocol::relay::{sign_request, verify_response};
use portico_protocol::ring::Ring;
use portico_protocol::wire::pocket::service::RelayResponse;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::pocket::shared::RpcType as StakedType;
use portico_protocol::wire::sdk::types::{PokthttpRequest, PokthttpResponse};
use portico_protocol::{Height, ServiceId, SigningKey};
use portico_servicer::Servicer;
use portico_testkit::MemoryChain;
use prost::Message as _;
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
        &["fixed", "local", "localws"],
        &[
            "ignored: mining_supervisor (reference-localnet.yaml:12): ",
            "ignored: suppliers[].enable_eager_relay_request_validation (reference-localnet.yaml:32): ",
        ],
    ),
    (
        &["reference-values-common.yaml", "reference-values-1.yaml"],
        &["local", "localws", "rest"],
        &["ignored: signing_key_name (reference-values-1.yaml:2): "],
    ),
    (
        &["ha-in-poktroll.yaml"],
        &["fixed", "local"],
        &["unsupported: services.local.health_check (ha-in-poktroll.yaml:15): "],
    ),
    (
        &["ha-relayer.yaml", "ha-miner.yaml"],
        &["comet", "grpc", "http", "sockets", "stream"],
        &[
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

fn limits() -> Limits {
    Limits {
        max_message_bytes: 1 << 20,
        write_timeout: Duration::from_secs(10),
        budgets: None,
    }
}

/// A node that answers everything, by HTTP/1.1, HTTP/2 and on WebSockets.
async fn backend() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(async |mut request: Request| {
        if !websocket::is_upgrade(request.headers()) {
            return format!("answered by {:?}", request.version()).into_response();
        }
        let (response, upgrade) = websocket::accept(&mut request).unwrap();
        tokio::spawn(async move {
            let (mut receiver, sender) = upgrade.open(limits()).await.unwrap();
            while let Ok(Incoming::Message(message)) = receiver.next().await {
                let bytes = "answered by a socket".into();
                let kind = message.kind;
                sender.send(Message { kind, bytes }).await.unwrap();
            }
        });
        response
    });
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
    let mut tried: BTreeSet<RpcType> = BTreeSet::new();
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
        let types: BTreeMap<ServiceId, BTreeSet<RpcType>> = config
            .services
            .iter()
            .map(|(id, service)| {
                let default = service.has_backend().then_some(RpcType::JsonRpc);
                let types = default.into_iter().chain(service.rpc_types.keys().copied());
                (id.clone(), types.collect())
            })
            .collect();
        tried.extend(types.values().flatten());
        let chain = chain(services);
        let servicer = Servicer::open(config, chain.clone(), prometheus::Registry::new())
            .unwrap_or_else(|error| panic!("{files:?}: {error}"));
        let (url, stop) = (
            format!("http://{}/", servicer.local_addr()),
            CancellationToken::new(),
        );
        let task = tokio::spawn(servicer.run(stop.clone()));
        for (n, id) in (10..).zip(types.keys()) {
            let caller = Caller {
                header: session(&chain, &key(n), id).await,
                application: key(n),
            };
            for rpc_type in &types[id] {
                let (answer, by) = match rpc_type {
                    RpcType::Websocket => (caller.message(&url).await, "a socket"),
                    RpcType::Grpc => (caller.relay(&url, 1).await, "HTTP/2.0"),
                    RpcType::JsonRpc => (caller.relay(&url, 3).await, "HTTP/1.1"),
                    RpcType::Rest => (caller.relay(&url, 4).await, "HTTP/1.1"),
                    RpcType::CometBft => (caller.relay(&url, 5).await, "HTTP/1.1"),
                };
                assert_eq!(
                    answer,
                    format!("answered by {by}"),
                    "{files:?}: {id}: {rpc_type:?}"
                );
            }
        }
        stop.cancel();
        task.await.unwrap().unwrap();
    }
    assert_eq!(tried.len(), 5, "every RPC type is in a sample: {tried:?}");
}

async fn session(chain: &MemoryChain, application: &SigningKey, service: &ServiceId) -> SessionHeader {
    let session = chain.session(&application.address(), service, Height(1)).await;
    session.unwrap().header.unwrap()
}

/// A gateway in a session, which verifies every answer.
struct Caller {
    header: SessionHeader,
    application: SigningKey,
}

impl Caller {
    fn request(&self, payload: Bytes) -> Bytes {
        let gateway = key(2);
        let ring = Ring::new(vec![self.application.public_key(), gateway.public_key()]).unwrap();
        let request = sign_request(
            &self.header,
            &key(1).address().to_string(),
            payload,
            &ring,
            &gateway,
            &mut rand::rng(),
        );
        request.unwrap().encode_to_vec().into()
    }

    fn payload(&self, response: Bytes) -> Bytes {
        let response = RelayResponse::decode(response).unwrap();
        verify_response(&response, &self.header, &key(1).public_key()).unwrap();
        response.payload
    }

    /// The body of the answer to a relay of this RPC type, by its number.
    async fn relay(&self, url: &str, rpc_type: u8) -> String {
        let payload = PokthttpRequest {
            method: "POST".to_owned(),
            url: "http://relay.example/".to_owned(),
            body_bz: "{}".into(),
            ..PokthttpRequest::default()
        };
        let client = crate::http::client().unwrap();
        let sending = client
            .post(url)
            .header("rpc-type", rpc_type.to_string())
            .body(self.request(payload.encode_to_vec().into()));
        let response = sending.send().await.unwrap();
        let status = response.status();
        let bytes = response.bytes().await.unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
        let answer = PokthttpResponse::decode(self.payload(bytes)).unwrap();
        String::from_utf8(answer.body_bz.to_vec()).unwrap()
    }

    /// The answer to a message on a WebSocket.
    async fn message(&self, url: &str) -> String {
        let url: http::Uri = url.replace("http", "ws").parse().unwrap();
        let socket = portico_net::dial_websocket(&url, &ClientTls::public())
            .await
            .unwrap();
        let mut headers = http::HeaderMap::new();
        let service = self.header.service_id.parse().unwrap();
        headers.insert("target-service-id", service);
        headers.insert("rpc-type", http::HeaderValue::from_static("2"));
        let (mut receiver, sender) = websocket::connect(socket, &url, headers, limits()).await.unwrap();
        let (kind, bytes) = (Kind::Text, self.request("{}".into()));
        sender.send(Message { kind, bytes }).await.unwrap();
        match receiver.next().await.unwrap() {
            Incoming::Message(message) => String::from_utf8(self.payload(message.bytes).to_vec()).unwrap(),
            Incoming::Close(close) => panic!("{close:?}"),
        }
    }
}
