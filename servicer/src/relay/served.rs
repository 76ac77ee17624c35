//! What this process serves: its suppliers' keys and its services, and which requests are for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portico_config::servicer::{Durability, RpcType};
use portico_protocol::relay;
use portico_protocol::wire::pocket::service::{RelayRequest, RelayRequestMetadata};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::{Address, ServiceId, SigningKey};
use prost::Message;
use tokio::sync::watch;

use crate::backend::Backends;
use crate::relay::refusal::Refusal;

/// A request that is well-formed and addressed to us.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) relay: Arc<RelayRequest>,
    pub(crate) supplier: Address,
    pub(crate) application: Address,
    pub(crate) service_id: ServiceId,
    pub(crate) service: Arc<ServedService>,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) rpc_type: RpcType,
}

/// A service of the configuration.
#[derive(Debug)]
pub(crate) struct ServedService {
    pub(crate) backends: Backends,
    pub(crate) durability: Durability,
    pub(crate) max_request_bytes: usize,
    pub(crate) max_response_bytes: usize,
    pub(crate) streams: StreamBounds,
}

/// Bounds of an answer that comes piece by piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamBounds {
    /// Longest wait for the next piece.
    pub(crate) idle: Duration,
    /// Bytes of all pieces.
    pub(crate) max_bytes: u64,
}

/// What the key of a supplier is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyState {
    /// To serve, claim and prove.
    Active,
    /// To claim and prove what was served, as the configuration says.
    Draining,
    /// As `Draining`, though the configuration names it no more: until everything is settled.
    Leaving,
}

/// A supplier's key.
#[derive(Clone, Debug)]
pub(crate) struct HeldKey {
    pub(crate) key: Arc<SigningKey>,
    pub(crate) state: KeyState,
}

/// Keys and services of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    pub(crate) keys: BTreeMap<Address, HeldKey>,
    pub(crate) services: BTreeMap<ServiceId, Arc<ServedService>>,
    /// Largest relay request of any service, in bytes.
    pub(crate) max_request_bytes: usize,
}

/// Keys and services as they are now: a reload puts others in their place while relays go on with those that they began with.
#[derive(Debug)]
pub(crate) struct Serving(watch::Sender<Arc<Served>>);

impl Serving {
    pub(crate) fn new(served: Served) -> Self {
        Self(watch::Sender::new(Arc::new(served)))
    }

    /// What is served now.
    pub(crate) fn now(&self) -> Arc<Served> {
        Arc::clone(&self.0.borrow())
    }

    /// Tells of each change.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Served>> {
        self.0.subscribe()
    }

    /// From now on something else is served.
    pub(crate) fn put(&self, served: Served) {
        self.0.send_replace(Arc::new(served));
    }

    /// The key that signs for `supplier`, whatever it is held for.
    pub(crate) fn key(&self, supplier: &Address) -> Option<Arc<SigningKey>> {
        self.0
            .borrow()
            .keys
            .get(supplier)
            .map(|held| Arc::clone(&held.key))
    }

    /// Whether relays are served for `supplier`.
    pub(crate) fn is_active(&self, supplier: &Address) -> bool {
        let now = self.0.borrow();
        now.keys
            .get(supplier)
            .is_some_and(|held| held.state == KeyState::Active)
    }

    /// Whether there are keys that [`Self::retire`] may let go of.
    pub(crate) fn has_leaving(&self) -> bool {
        let now = self.0.borrow();
        now.keys.values().any(|held| held.state == KeyState::Leaving)
    }

    /// Lets go of keys that left the configuration, unless their suppliers have something `unsettled`; returns whose they were.
    pub(crate) fn retire(&self, unsettled: &BTreeSet<Address>) -> Vec<Address> {
        let retired = |served: &Served| -> Vec<Address> {
            let leaving = served
                .keys
                .iter()
                .filter(|(_, held)| held.state == KeyState::Leaving);
            leaving
                .map(|(supplier, _)| *supplier)
                .filter(|supplier| !unsettled.contains(supplier))
                .collect()
        };
        let mut gone = Vec::new();
        self.0.send_if_modified(|now| {
            gone = retired(now);
            if !gone.is_empty() {
                let mut next = Served::clone(now);
                next.keys.retain(|supplier, _| !gone.contains(supplier));
                *now = Arc::new(next);
            }
            !gone.is_empty()
        });
        gone
    }
}

/// Reads a relay request from the bytes of an HTTP body.
pub(crate) fn decode(body: Bytes) -> Result<RelayRequest, Refusal> {
    RelayRequest::decode(body).map_err(|error| Refusal::Decode(error.to_string()))
}

/// Metadata and header of a request.
pub(crate) fn parts(request: &RelayRequest) -> Result<(&RelayRequestMetadata, &SessionHeader), Refusal> {
    let meta = request.meta.as_ref().ok_or(Refusal::Malformed("no metadata"))?;
    let header = meta
        .session_header
        .as_ref()
        .ok_or(Refusal::Malformed("no session header"))?;
    if meta.supplier_operator_address.is_empty() {
        return Err(Refusal::Malformed("no supplier"));
    }
    if header.session_end_block_height < header.session_start_block_height {
        return Err(Refusal::Malformed("the session ends before it starts"));
    }
    Ok((meta, header))
}

impl Served {
    pub(crate) fn new(
        keys: BTreeMap<Address, HeldKey>,
        services: BTreeMap<ServiceId, Arc<ServedService>>,
    ) -> Self {
        let sizes = services.values().map(|service| service.max_request_bytes);
        Self {
            max_request_bytes: sizes.max().unwrap_or(0),
            keys,
            services,
        }
    }

    /// Checks shape, supplier, service and RPC type; needs neither the chain nor cryptography.
    pub(crate) fn accept(
        &self,
        request: RelayRequest,
        bytes: usize,
        rpc_type: Option<&str>,
    ) -> Result<Request, Refusal> {
        self.accept_as(request, bytes, || rpc_type_of(rpc_type))
    }

    /// The same of a request that is a message of a WebSocket.
    pub(crate) fn accept_message(&self, request: RelayRequest, bytes: usize) -> Result<Request, Refusal> {
        self.accept_as(request, bytes, || Ok(RpcType::Websocket))
    }

    fn accept_as(
        &self,
        request: RelayRequest,
        bytes: usize,
        rpc_type: impl FnOnce() -> Result<RpcType, Refusal>,
    ) -> Result<Request, Refusal> {
        let (meta, header) = parts(&request)?;
        let service_id = ServiceId::new(&header.service_id).map_err(|_| Refusal::Malformed("no service"))?;
        let service = self.services.get(&service_id);
        let service = Arc::clone(service.ok_or_else(|| Refusal::UnknownService(service_id.clone()))?);
        let foreign = || Refusal::ForeignSupplier(meta.supplier_operator_address.clone());
        let supplier: Address = meta.supplier_operator_address.parse().map_err(|_| foreign())?;
        let held = self.keys.get(&supplier).ok_or_else(foreign)?;
        if held.state != KeyState::Active {
            return Err(Refusal::Draining(supplier));
        }
        let key = Arc::clone(&held.key);
        if bytes > service.max_request_bytes {
            return Err(Refusal::RequestTooLarge(service.max_request_bytes));
        }
        let rpc_type = rpc_type()?;
        relay::validate_request_basic(&request).map_err(|error| Refusal::Invalid(error.to_string()))?;
        let application = header.application_address.parse();
        let application =
            application.map_err(|_| Refusal::Invalid("malformed application address".to_owned()))?;
        Ok(Request {
            relay: Arc::new(request),
            supplier,
            application,
            service_id,
            service,
            key,
            rpc_type,
        })
    }
}

/// Reads the `Rpc-Type` header: a number as gateways send it, or a name.
fn rpc_type_of(header: Option<&str>) -> Result<RpcType, Refusal> {
    let text = header.unwrap_or_default().trim();
    match portico_relay::RpcType::parse(text) {
        Some(portico_relay::RpcType::Grpc) => Ok(RpcType::Grpc),
        Some(portico_relay::RpcType::Rest) => Ok(RpcType::Rest),
        Some(portico_relay::RpcType::CometBft) => Ok(RpcType::CometBft),
        Some(portico_relay::RpcType::JsonRpc) => Ok(RpcType::JsonRpc),
        Some(portico_relay::RpcType::WebSocket) => {
            Err(Refusal::RpcType("2, WebSocket, comes with a handshake"))
        }
        // Numbers of later versions of the network use the default backend, as numbers without a backend of their own do.
        None if text.is_empty() || text.parse::<u32>().is_ok() => Ok(RpcType::JsonRpc),
        None => Err(Refusal::RpcType("is neither a number nor a known name")),
    }
}
