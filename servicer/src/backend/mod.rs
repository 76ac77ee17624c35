//! The nodes behind a service.
//!
//! ```text
//! relay ─► admit: class of the method, place in service and class, backend by RPC type, a node to ask? ─┐ before any cost
//!          open:  node by weight among the healthy ─► asked ─► a second one when that is safe ─► Exchange ┘
//!
//! checks (timer) ─► judge (pure) ─┐
//! relays ─────────────────────────┴─► node_state (pure) ─► asked or not, metrics, /ready
//! ```
//! [`Backends::open`] hands a relay's payload to a node for its RPC type and gives an [`Exchange`], which yields the messages to sign: one
//! for HTTP. A transport is a module here with a variant in [`Exchange`]; nothing else knows which one a relay takes. A WebSocket is no
//! exchange for one request but a connection for many, which [`Backends::connect`] opens.

mod checks;
mod encoding;
mod grpc;
mod headers;
mod http;
mod judge;
mod methods;
mod metrics;
mod node;
mod node_state;
mod pool;
mod stream;
mod target;
mod websocket;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use bytes::Bytes;
use portico_config::servicer::{BackendConfig, DEFAULT_CLASS, RpcType, ServiceConfig};
use portico_net::Connections;
use portico_net::budget::Budgets;
use portico_net::tls::ClientTls;
use portico_net::websocket::{ConnectError, Limits as SocketLimits, Receiver, Sender};
use portico_protocol::ServiceId;
use portico_protocol::wire::pocket::service::RelayRequestMetadata;
use portico_protocol::wire::sdk::types::PokthttpRequest;
use portico_relay::stream::Framing;
use prost::Message as _;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::checks::Probe;
use self::headers::Allowed;
use self::http::{Attempts, HttpExchange};
use self::methods::{Kind, MAX_INLINE, Methods};
pub(crate) use self::metrics::BackendMetrics;
use self::metrics::Labels;
pub(crate) use self::node::connections;
use self::node::{HttpCall, HttpNode, Limits, Passing};
use self::node_state::{Out, Rules};
use self::pool::{Node, Pool, Tried};
pub(crate) use self::stream::BackendStream;
use self::target::path_of;

/// A message of a backend, ready to be signed.
#[derive(Debug)]
pub(crate) struct Message {
    /// HTTP status of the backend.
    pub(crate) status: u16,
    /// Serialized `POKTHTTPResponse`, which counts in the budget of held bytes until the last slice of it is dropped.
    pub(crate) payload: Bytes,
}

/// Why a backend gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// The payload is not an HTTP request.
    #[error("the relay's payload is not an HTTP request: {0}")]
    Payload(String),
    /// As many relays of the service, or of the class of its method, are in progress as allowed.
    #[error("too many relays of {0} are in progress")]
    Full(String),
    /// The service has no backend for this RPC type.
    #[error("{} is not served for this service", .0.name())]
    NotServed(RpcType),
    /// No node may be asked now.
    #[error("no node of the service is healthy")]
    NoNode,
    /// No connection, or it broke.
    #[error("the backend cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// No WebSocket.
    #[error("the backend takes no WebSocket")]
    Handshake(#[source] ConnectError),
    /// No whole answer in time.
    #[error("the backend did not answer within {0} ms")]
    Timeout(u64),
    /// Too many bytes are held already.
    #[error("too many bytes are held for the answer")]
    NoRoom,
    /// The answer is in an encoding that nobody asked for and that cannot be undone.
    #[error("the backend's answer has a content encoding that cannot be decoded")]
    Encoding,
    /// It ended before it said anything.
    #[error("the backend ended the exchange without an answer")]
    NoMessage,
    /// The answer is too large.
    #[error("the backend's answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl BackendError {
    /// No connection, or it broke; without the URL, which may hold a key.
    pub(crate) fn unreachable(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }
}

/// The nodes of one service.
#[derive(Debug)]
pub(crate) struct Backends {
    service: String,
    /// Of types without one of their own.
    default: Option<Backend>,
    by_type: BTreeMap<RpcType, Backend>,
    methods: Arc<Methods>,
    /// By index of class; the first is the default.
    classes: Vec<Class>,
    /// Relays of the service in progress.
    places: Arc<Semaphore>,
}

/// The nodes for an RPC type, and what passes between them and relays.
#[derive(Debug)]
struct Backend {
    pool: Arc<Pool>,
    passing: Passing,
    /// For nodes of WebSockets; the connections of the others have theirs.
    websocket_tls: Option<ClientTls>,
}

/// Bounds of a class of methods.
#[derive(Debug)]
struct Class {
    name: String,
    limits: Limits,
    /// `None`: as many as of the service.
    places: Option<Arc<Semaphore>>,
    in_flight: prometheus::IntGauge,
    metrics: BackendMetrics,
}

/// A relay that its service has a place and a node for.
#[derive(Debug)]
pub(crate) struct Admitted {
    rpc_type: RpcType,
    relayed: PokthttpRequest,
    kind: Kind,
    places: Places,
}

impl Admitted {
    /// Whether all that the payload says beside its request is what kind of body it has: so write PATH and nobody else.
    pub(crate) fn says_content_type_alone(&self) -> bool {
        self.relayed.header.len() == 1 && self.relayed.header.contains_key("Content-Type")
    }
}

/// Places that a relay holds until its answer is recorded.
#[derive(Debug)]
pub(crate) struct Places {
    _service: OwnedSemaphorePermit,
    _class: Option<OwnedSemaphorePermit>,
    in_flight: prometheus::IntGauge,
}

impl Drop for Places {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

/// A call in progress.
#[derive(Debug)]
pub(crate) enum Exchange {
    Http(Box<HttpExchange>),
}

/// How the nodes of a service are, as `/ready/SERVICE` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    total: usize,
    healthy: usize,
    endpoints: Vec<Endpoint>,
}

/// A node, by its name and never by its URL.
#[derive(Debug, Serialize)]
struct Endpoint {
    backend: String,
    name: String,
    healthy: bool,
    /// Why relays do not go to it.
    reason: Option<&'static str>,
}

/// What all services share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) connections: Connections,
    pub(crate) buffers: Budgets,
    pub(crate) metrics: BackendMetrics,
    /// Relays in progress of a service that has no bound of its own.
    pub(crate) max_in_flight: usize,
}

impl Shared {
    /// The same, with another bound for services that have none of their own.
    pub(crate) fn with_share(&self, max_in_flight: usize) -> Self {
        Self {
            max_in_flight,
            ..self.clone()
        }
    }
}

impl Backends {
    /// Reads URLs and headers; errs with (key below the service, message).
    pub(crate) fn new(
        id: &ServiceId,
        config: &ServiceConfig,
        shared: &Shared,
    ) -> Result<Self, (String, String)> {
        let service = id.to_string();
        let mut default = None;
        let mut by_type = BTreeMap::new();
        for (key, rpc_type, backend) in config.backends() {
            let built = Backend::new(&service, &key, rpc_type, backend, shared)?;
            match rpc_type {
                Some(rpc_type) => _ = by_type.insert(rpc_type, built),
                None => default = Some(built),
            }
        }
        let class = |name: &str, timeout_ms: Option<u64>, places: Option<usize>| Class {
            name: name.to_owned(),
            limits: Limits {
                timeout_ms: timeout_ms.unwrap_or(config.timeout_ms),
                max_response_bytes: config.max_response_bytes,
                buffers: shared.buffers.clone(),
            },
            places: places.map(|places| Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)))),
            in_flight: shared.metrics.in_flight(&service, name),
            metrics: shared.metrics.clone(),
        };
        let mut classes = vec![class(DEFAULT_CLASS, None, None)];
        for (name, bounds) in &config.method_classes {
            classes.push(class(name, bounds.timeout_ms, bounds.max_in_flight));
        }
        let places = config.max_in_flight.unwrap_or(shared.max_in_flight);
        Ok(Self {
            default,
            by_type,
            methods: Arc::new(Methods::new(config)),
            classes,
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            service,
        })
    }

    /// Reads a relay's payload and takes a place for it; costs nothing that a stranger could run up.
    pub(crate) async fn admit(&self, rpc_type: RpcType, payload: &Bytes) -> Result<Admitted, BackendError> {
        let relayed = PokthttpRequest::decode(payload.clone())
            .map_err(|error| BackendError::Payload(error.to_string()))?;
        let backend = self.backend(rpc_type)?;
        if backend.pool.is_out() {
            return Err(BackendError::NoNode);
        }
        let (relayed, kind) = self.look_into(relayed, backend).await?;
        let places = self.place(&self.classes[kind.class])?;
        Ok(Admitted {
            rpc_type,
            relayed,
            kind,
            places,
        })
    }

    /// Sends an admitted relay's call to a node, which is `told` these headers too. The places are to be held until the answer is recorded.
    pub(crate) async fn open(
        &self,
        admitted: Admitted,
        meta: &RelayRequestMetadata,
        told: HeaderMap,
    ) -> Result<(Exchange, Places), BackendError> {
        let backend = self.backend(admitted.rpc_type)?;
        let limits = self.classes[admitted.kind.class].limits.clone();
        let mut deadline = Instant::now() + Duration::from_millis(limits.timeout_ms);
        if admitted.rpc_type == RpcType::Grpc {
            deadline = grpc::deadline(&admitted.relayed, deadline);
        }
        let attempts = Attempts {
            pool: Arc::clone(&backend.pool),
            call: HttpCall::new(
                admitted.relayed,
                admitted.rpc_type,
                &backend.passing,
                meta,
                told,
                Arc::clone(&self.methods),
            )?,
            is_read: admitted.kind.is_read,
            passing: backend.passing.clone(),
            deadline,
            limits,
            tried: Tried::default(),
        };
        let exchange = Exchange::Http(Box::new(attempts.open().await?));
        Ok((exchange, admitted.places))
    }

    /// Whether WebSockets of the service are served.
    pub(crate) fn has_websockets(&self) -> bool {
        self.by_type.contains_key(&RpcType::Websocket)
    }

    /// Opens a WebSocket to a node, for requests like the one with this metadata.
    pub(crate) async fn connect(
        &self,
        meta: &RelayRequestMetadata,
        limits: &SocketLimits,
    ) -> Result<(Receiver, Sender), BackendError> {
        match self.by_type.get(&RpcType::Websocket) {
            Some(backend) => backend.connect(meta, limits).await,
            None => Err(BackendError::NotServed(RpcType::Websocket)),
        }
    }

    /// Checks the nodes of all services until `stop`.
    pub(crate) async fn check(services: impl Iterator<Item = &Self>, stop: &CancellationToken) {
        let mut checking = JoinSet::new();
        for pool in services.flat_map(Self::pools) {
            checking.spawn(checks::run(Arc::clone(pool), stop.clone()));
        }
        while checking.join_next().await.is_some() {}
    }

    /// How the nodes are.
    pub(crate) fn standing(&self) -> Standing {
        let endpoint = |(labels, out): (&Labels, Option<Out>)| Endpoint {
            backend: labels.backend.clone(),
            name: labels.node.clone(),
            healthy: out.is_none(),
            reason: out.map(Out::name),
        };
        let endpoints: Vec<Endpoint> = self
            .pools()
            .flat_map(|pool| pool.standing().into_iter().map(endpoint))
            .collect();
        Standing {
            total: endpoints.len(),
            healthy: endpoints.iter().filter(|endpoint| endpoint.healthy).count(),
            endpoints,
        }
    }

    /// Why relays of some RPC type have no node to go to, in words; `None` when all have.
    pub(crate) fn outage(&self) -> Option<String> {
        let outages: Vec<String> = self
            .pools()
            .filter(|pool| pool.is_out())
            .map(|pool| {
                let standing = pool.standing();
                let backend = standing.first().map_or("", |(labels, _)| &*labels.backend);
                let nodes: Vec<String> = standing
                    .iter()
                    .map(|(labels, out)| format!("{} {}", labels.node, out.map_or("ok", Out::name)))
                    .collect();
                format!("{backend}: {}", nodes.join(", "))
            })
            .collect();
        let service = &self.service;
        (!outages.is_empty())
            .then(|| format!("service {service} has no healthy node ({})", outages.join("; ")))
    }

    /// What simulated relays ask of each backend that is checked.
    pub(crate) fn probes(&self) -> Vec<Probe> {
        let default = self.default.iter().map(|backend| (None, backend));
        let by_type = self
            .by_type
            .iter()
            .map(|(rpc_type, backend)| (Some(*rpc_type), backend));
        let backends = default.chain(by_type);
        backends
            .filter_map(|(rpc_type, backend)| Probe::new(rpc_type, &backend.pool.health))
            .collect()
    }

    fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.default
            .iter()
            .chain(self.by_type.values())
            .map(|backend| &backend.pool)
    }

    fn backend(&self, rpc_type: RpcType) -> Result<&Backend, BackendError> {
        let own = self.by_type.get(&rpc_type);
        own.or(self.default.as_ref())
            .ok_or(BackendError::NotServed(rpc_type))
    }

    async fn look_into(
        &self,
        relayed: PokthttpRequest,
        backend: &Backend,
    ) -> Result<(PokthttpRequest, Kind), BackendError> {
        let path =
            path_of(&relayed.url).ok_or_else(|| BackendError::Payload("its URL is malformed".to_owned()))?;
        if self.methods.are_all_alike() && backend.pool.nodes.len() == 1 {
            let kind = Kind {
                class: 0,
                is_read: false,
            };
            return Ok((relayed, kind));
        }
        if relayed.body_bz.len() <= MAX_INLINE {
            let kind = self.methods.kind(&relayed, &path);
            return Ok((relayed, kind));
        }
        let methods = Arc::clone(&self.methods);
        let looking = tokio::task::spawn_blocking(move || {
            let kind = methods.kind(&relayed, &path);
            (relayed, kind)
        });
        looking.await.map_err(|_| BackendError::NoRoom)
    }

    fn place(&self, class: &Class) -> Result<Places, BackendError> {
        let take = |places: &Arc<Semaphore>, of: String| {
            let permit = Arc::clone(places).try_acquire_owned();
            permit.map_err(|_| {
                class.metrics.full(&self.service, &class.name);
                BackendError::Full(of)
            })
        };
        let of_class = class.places.as_ref();
        let of_class =
            of_class.map(|places| take(places, format!("class {} of {}", class.name, self.service)));
        let places = Places {
            _class: of_class.transpose()?,
            _service: take(&self.places, format!("service {}", self.service))?,
            in_flight: class.in_flight.clone(),
        };
        places.in_flight.inc();
        Ok(places)
    }
}

impl Backend {
    fn new(
        service: &str,
        key: &str,
        rpc_type: Option<RpcType>,
        config: &BackendConfig,
        shared: &Shared,
    ) -> Result<Self, (String, String)> {
        let connections = match rpc_type {
            Some(RpcType::Grpc) => node::grpc_pool(config, key)?,
            _ => node::pool(config, key, shared.connections.clone())?,
        };
        let mut nodes = Vec::new();
        for keyed in config.all_nodes() {
            nodes.push(Node {
                labels: Labels {
                    service: service.to_owned(),
                    backend: rpc_type.map_or("default", RpcType::name).to_owned(),
                    node: keyed.1.label(),
                },
                weight: keyed.1.weight,
                http: Arc::new(HttpNode::new(config, key, &keyed, connections.clone())?),
            });
        }
        let rules = Rules::new(&config.health, config.breaker);
        let websocket_tls = match rpc_type {
            Some(RpcType::Websocket) => Some(node::tls(config, key)?),
            _ => None,
        };
        Ok(Self {
            websocket_tls,
            pool: Arc::new(Pool::new(
                nodes,
                config.health.clone(),
                rules,
                shared.metrics.clone(),
            )),
            passing: Passing {
                forwarded: Allowed::new(config.forward_headers.as_deref()),
                returned: Allowed::new(config.return_headers.as_deref()),
                pocket: config.forward_pocket_headers,
            },
        })
    }
}

impl Exchange {
    /// Whether the answer is a stream that `framing` has a place for. Of gRPC, the beginning of the answer is waited for.
    pub(crate) async fn becomes_stream(&mut self, framing: Framing) -> bool {
        match self {
            Self::Http(exchange) => exchange.becomes_stream(framing).await,
        }
    }

    /// The answer as a stream; `None` of one that is none.
    pub(crate) fn into_stream(self) -> Option<BackendStream> {
        match self {
            Self::Http(exchange) => exchange.into_stream(),
        }
    }
}

/// Each message is signed alone.
impl portico_relay::Exchange for Exchange {
    type Message = Message;
    type Fault = BackendError;

    async fn next(&mut self) -> Option<Result<Message, BackendError>> {
        match self {
            Self::Http(exchange) => exchange.next().await,
        }
    }
}
