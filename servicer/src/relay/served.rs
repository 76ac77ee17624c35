//! What this process serves: its suppliers' keys and its services, and which requests are for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use portico_config::servicer::{Durability, RpcType};
use portico_protocol::relay;
use portico_protocol::wire::pocket::service::{RelayRequest, RelayRequestMetadata};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::{Address, ServiceId, SigningKey};
use prost::Message;

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
}

/// Keys and services of the configuration.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) keys: BTreeMap<Address, Arc<SigningKey>>,
    pub(crate) services: BTreeMap<ServiceId, Arc<ServedService>>,
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
        let key = Arc::clone(self.keys.get(&supplier).ok_or_else(foreign)?);
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
