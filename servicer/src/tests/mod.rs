//! The servicer as a whole: real sockets, a real store, a real backend server; the chain is in memory.

mod awaits;
mod backends;
mod chain;
mod cost;
mod crash;
mod damage;
mod disk;
mod faults;
mod faulty;
mod fees;
mod floods;
mod funds;
mod grpc;
mod hooked;
mod http_vectors;
mod kills;
mod ledger;
mod memory;
mod nodes;
mod refusals;
mod relays;
mod reload;
mod rules;
mod scale;
mod settle;
mod standing;
mod store;
mod streams;
mod vectors;
mod volatile;
mod ways;
mod websockets;
mod why;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use portico_client::Chain;
use portico_config::Secret;
use portico_config::servicer::{ServiceConfig, ServicerConfig};
use portico_protocol::relay::sign_request;
use portico_protocol::ring::Ring;
use portico_protocol::wire::pocket::service::{RelayRequest, RelayResponse};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::sdk::types::{PokthttpRequest, PokthttpResponse};
use portico_protocol::{Address, SigningKey};
use portico_testkit::MemoryChain;
use prost::Message;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::chain::ServicerChain as _;
use crate::leaf_log::{LeafLog, RedbLog};
use crate::{LedgerRow, Servicer, ServicerHandle};

const SERVICE: &str = "eth";
/// Compute units per relay, and with the params below what one relay costs in upokt.
const UNITS: u64 = 100;
const COST: u128 = 4_200;

/// A node that counts its requests.
#[derive(Clone)]
struct Backend {
    address: SocketAddr,
    hits: Arc<AtomicU64>,
    /// Requests to `/wait` are answered when this has permits.
    gate: Arc<Semaphore>,
    /// Called at each request.
    on_request: Arc<Mutex<Option<OnRequest>>>,
}

type OnRequest = Box<dyn Fn() + Send>;

impl Backend {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backend = Self {
            address,
            hits: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            on_request: Arc::default(),
        };
        let app = Router::new().fallback(Self::answer).with_state(backend.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        backend
    }

    async fn answer(State(backend): State<Self>, request: Request) -> Response {
        backend.hits.fetch_add(1, Ordering::SeqCst);
        if let Some(called) = &*backend.on_request.lock().unwrap() {
            called();
        }
        let (parts, body) = request.into_parts();
        match parts.uri.path() {
            "/500" => return (http::StatusCode::INTERNAL_SERVER_ERROR, "oops").into_response(),
            "/404" => return (http::StatusCode::NOT_FOUND, "no such thing").into_response(),
            "/wait" => backend.gate.acquire().await.unwrap().forget(),
            "/never" => std::future::pending().await,
            "/huge" => return Body::from(vec![0; memory::HUGE]).into_response(),
            "/large" => return Body::from(vec![0; 64 << 10]).into_response(),
            "/gzip" => return gzipped("plain").into_response(),
            "/headers" => return format!("{:?}", parts.headers).into_response(),
            _ => {}
        }
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        ([("x-path", parts.uri.to_string())], body).into_response()
    }

    fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }
}

/// A servicer with what is around it.
struct World {
    chain: Arc<MemoryChain>,
    backend: Backend,
    application: SigningKey,
    gateway: SigningKey,
    suppliers: Vec<SigningKey>,
    folder: Arc<tempfile::TempDir>,
    running: Option<Running>,
    client: reqwest::Client,
    registry: prometheus::Registry,
}

struct Running {
    handle: ServicerHandle,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), crate::ServicerError>>,
}

/// A refusal as a client gets it: never an HTTP success, which PATH would take for a bad signature.
#[derive(Debug, PartialEq, Eq)]
struct Refused {
    status: u16,
    error: String,
    retry_after: Option<String>,
}

impl Refused {
    async fn read(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        assert!(status >= 400, "status {status} of a refusal");
        assert_eq!(response.headers()["content-type"], "application/json");
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
        let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        Self {
            status,
            error: body["error"].as_str().unwrap().to_owned(),
            retry_after,
        }
    }

    #[track_caller]
    fn is(&self, status: u16, part: &str) {
        assert!(
            self.status == status && self.error.contains(part),
            "{self:?} is not {status} with {part:?}"
        );
    }
}

/// An answer in an encoding that nobody asked for.
fn gzipped(text: &str) -> impl IntoResponse {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    ([("content-encoding", "gzip")], encoder.finish().unwrap())
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32]).unwrap()
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

impl World {
    /// A servicer with default configuration.
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut ServicerConfig)) -> Self {
        let mut world = Self::without_servicer().await;
        let mut config = world.config();
        adjust(&mut config);
        world.run(config);
        world
    }

    async fn without_servicer() -> Self {
        let (gateway, suppliers) = (key(2), vec![key(3), key(4)]);
        let chain = MemoryChain::new();
        chain.found_for(&gateway, &suppliers);
        Self {
            chain,
            backend: Backend::start().await,
            application: chain::application(SERVICE),
            gateway,
            suppliers,
            folder: Arc::new(tempfile::tempdir().unwrap()),
            running: None,
            client: portico_net::tls::ClientTls::public()
                .http_client()
                .no_proxy()
                .build()
                .unwrap(),
            registry: prometheus::Registry::new(),
        }
    }

    fn config(&self) -> ServicerConfig {
        let mut config = ServicerConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data_dir: self.folder.path().to_owned(),
            suppliers: self
                .suppliers
                .iter()
                .map(|key| Secret::new(key.to_hex()))
                .collect(),
            ..ServicerConfig::default()
        };
        let service = ServiceConfig::new(format!("http://{}/", self.backend.address));
        config.services.insert(SERVICE.parse().unwrap(), service);
        config
    }

    fn run(&mut self, config: ServicerConfig) {
        let log = Arc::new(RedbLog::open(&config.data_dir).unwrap());
        self.run_on(config, log);
    }

    fn run_on(&mut self, config: ServicerConfig, log: Arc<dyn LeafLog>) {
        self.run_with(config, self.chain.clone(), log);
    }

    fn run_with(&mut self, config: ServicerConfig, chain: Arc<dyn Chain>, log: Arc<dyn LeafLog>) {
        self.registry = prometheus::Registry::new();
        let servicer = Servicer::with_log(config, chain, self.registry.clone(), log).unwrap();
        let (handle, address, stop) = (servicer.handle(), servicer.local_addr(), CancellationToken::new());
        let task = tokio::spawn(servicer.run(stop.clone()));
        self.running = Some(Running {
            handle,
            address,
            stop,
            task,
        });
    }

    /// Stops the servicer and starts it again on the same data.
    async fn restart(&mut self) {
        self.stop().await;
        self.run(self.config());
    }

    async fn stop(&mut self) {
        let running = self.running.take().unwrap();
        running.stop.cancel();
        running.task.await.unwrap().unwrap();
        drop(running.handle);
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// Commits blocks up to `height`, each after the servicer is done with the one before.
    async fn go_to(&self, height: i64) {
        while self.chain.height() < height {
            let height = self.chain.advance();
            self.running().handle.wait_for_block(height).await;
        }
    }

    /// Waits until relays are taken; the disk is probed every second at first.
    async fn until_ready(&self) {
        let ready = async {
            while !self.running().handle.readiness().ready {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), ready).await;
        waited.unwrap_or_else(|_| panic!("{:?}", self.running().handle.readiness()));
    }

    fn header(&self) -> SessionHeader {
        self.chain.header(self.chain.height(), SERVICE)
    }

    fn supplier(&self) -> Address {
        self.suppliers[0].address()
    }

    /// A request as the gateway sends it; `path` chooses what the backend does.
    fn request(&self, path: &str, body: &str) -> RelayRequest {
        self.request_in(&self.header(), &self.supplier().to_string(), path, body)
    }

    fn request_in(&self, header: &SessionHeader, supplier: &str, path: &str, body: &str) -> RelayRequest {
        let application = chain::application(&header.service_id).public_key();
        let ring = Ring::new(vec![application, self.gateway.public_key()]).unwrap();
        sign_request(
            header,
            supplier,
            payload(path, body),
            &ring,
            &self.gateway,
            &mut rng(),
        )
        .unwrap()
    }

    async fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let url = format!("http://{}/", self.running().address);
        self.client
            .post(url)
            .header("rpc-type", "3")
            .body(body)
            .send()
            .await
            .unwrap()
    }

    /// Sends a request that must be served.
    async fn send(&self, request: &RelayRequest) -> RelayResponse {
        let response = self.post(request.encode_to_vec()).await;
        assert_eq!(response.status(), 200);
        RelayResponse::decode(response.bytes().await.unwrap()).unwrap()
    }

    /// Sends a request that must be served, and verifies the answer as a gateway does.
    async fn relay(&self, path: &str, body: &str) -> PokthttpResponse {
        let request = self.request(path, body);
        let response = self.send(&request).await;
        let header = request.meta.unwrap().session_header.unwrap();
        let supplier = self.suppliers[0].public_key();
        portico_protocol::relay::verify_response(&response, &header, &supplier).unwrap();
        PokthttpResponse::decode(response.payload).unwrap()
    }

    /// Sends a request that must be refused, and reads the refusal.
    async fn refused(&self, request: &RelayRequest) -> Refused {
        Refused::read(self.post(request.encode_to_vec()).await).await
    }

    async fn is_served(&self, request: &RelayRequest) -> bool {
        self.post(request.encode_to_vec()).await.status() == 200
    }

    fn rows(&self) -> Vec<LedgerRow> {
        self.running().handle.ledger()
    }

    /// Session ids of all rows.
    fn row_ids(&self) -> Vec<String> {
        self.rows().into_iter().map(|row| row.session_id).collect()
    }

    fn row(&self) -> LedgerRow {
        let rows = self.rows();
        assert_eq!(rows.len(), 1, "one session of one supplier");
        rows.into_iter().next().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.stop.cancel();
        }
    }
}

fn payload(path: &str, body: &str) -> Bytes {
    let request = PokthttpRequest {
        method: "POST".into(),
        url: format!("http://relay.example{path}"),
        body_bz: Bytes::from(body.to_owned()),
        ..Default::default()
    };
    request.encode_to_vec().into()
}
