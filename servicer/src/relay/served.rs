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

/// Metadata and header of a request that passed [`relay::validate_request_basic`].
pub(crate) fn parts(request: &RelayRequest) -> Result<(&RelayRequestMetadata, &SessionHeader), Refusal> {
    let meta = request
        .meta
        .as_ref()
        .ok_or_else(|| Refusal::Basic("no metadata".to_owned()))?;
    let header = meta
        .session_header
        .as_ref()
        .ok_or_else(|| Refusal::Basic("no session header".to_owned()))?;
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
        relay::validate_request_basic(&request).map_err(|error| Refusal::Basic(error.to_string()))?;
        let (meta, header) = parts(&request)?;
        let foreign = || Refusal::ForeignSupplier(meta.supplier_operator_address.clone());
        let supplier: Address = meta.supplier_operator_address.parse().map_err(|_| foreign())?;
        let key = Arc::clone(self.keys.get(&supplier).ok_or_else(foreign)?);
        let application = header
            .application_address
            .parse()
            .map_err(|_| malformed("application address"))?;
        let service_id = ServiceId::new(&header.service_id).map_err(|_| malformed("service id"))?;
        let service = self.services.get(&service_id);
        let service = Arc::clone(service.ok_or_else(|| Refusal::UnknownService(service_id.clone()))?);
        if bytes > service.max_request_bytes {
            return Err(Refusal::RequestTooLarge(service.max_request_bytes));
        }
        let rpc_type = rpc_type_of(rpc_type)?;
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

fn malformed(what: &str) -> Refusal {
    Refusal::Basic(format!("malformed {what}"))
}

/// Reads the `Rpc-Type` header: a number as gateways send it, or a name.
fn rpc_type_of(header: Option<&str>) -> Result<RpcType, Refusal> {
    let Some(text) = header else {
        return Ok(RpcType::JsonRpc);
    };
    match text.trim().to_ascii_lowercase().as_str() {
        "0" | "3" | "" | "json_rpc" | "jsonrpc" => Ok(RpcType::JsonRpc),
        "1" | "grpc" => Ok(RpcType::Grpc),
        "4" | "rest" => Ok(RpcType::Rest),
        "5" | "comet_bft" | "cometbft" => Ok(RpcType::CometBft),
        "2" | "websocket" => Err(Refusal::Transport),
        // Numbers of later versions of the network use the default backend, as numbers without a backend of their own do.
        other if other.parse::<u32>().is_ok() => Ok(RpcType::JsonRpc),
        _ => Err(Refusal::RpcType),
    }
}
