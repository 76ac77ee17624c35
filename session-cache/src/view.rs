//! What a session is to those who relay in it.

use portico_protocol::ring::Ring;
use portico_protocol::wire::pocket::session::{Session, SessionHeader};
use portico_protocol::wire::pocket::shared::{Params, RpcType};
use portico_protocol::{Address, Height, PublicKey, ServiceId};

use crate::reader::Held;

/// A session with all that is needed to sign for it and to verify what its suppliers answer.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// The application whose stake pays.
    pub application: Address,
    /// The service that is relayed.
    pub service: ServiceId,
    /// Header that every relay of the session carries.
    pub header: SessionHeader,
    /// First block.
    pub start: Height,
    /// Last block.
    pub end: Height,
    /// Last block in which suppliers still accept relays of this session.
    pub grace_end: Height,
    /// Suppliers whose public key the chain knows, in session order.
    pub suppliers: Vec<SupplierView>,
    /// Keys that sign: the application's, then its gateways' in the chain's order; `[app, app]` without a gateway.
    pub ring: Ring,
    /// Shared params in force at the session's start.
    pub params: Params,
    /// The session as the chain gave it.
    pub session: Session,
}

impl SessionView {
    /// Id of the session: 64 lower-case hexadecimal characters.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.header.session_id
    }

    /// Whether `height` is one of the session's blocks.
    #[must_use]
    pub fn contains(&self, height: Height) -> bool {
        self.start <= height && height <= self.end
    }

    /// Whether suppliers still accept relays of this session at `height`.
    #[must_use]
    pub fn is_open_at(&self, height: Height) -> bool {
        self.start <= height && height <= self.grace_end
    }

    /// The supplier with this operator address, if it is in the session.
    #[must_use]
    pub fn supplier(&self, operator: &Address) -> Option<&SupplierView> {
        self.suppliers
            .iter()
            .find(|supplier| supplier.operator == *operator)
    }
}

impl Held for SessionView {
    fn id(&self) -> &str {
        Self::id(self)
    }

    fn start(&self) -> Height {
        self.start
    }

    fn end(&self) -> Height {
        self.end
    }

    fn grace_end(&self) -> Height {
        self.grace_end
    }
}

/// A supplier of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupplierView {
    /// Operator address, which relays name and which signs answers.
    pub operator: Address,
    /// The same as text, which every relay says several times.
    pub operator_text: String,
    /// Public key of the operator's account.
    pub public_key: PublicKey,
    /// Where the supplier serves this service.
    pub endpoints: Vec<Endpoint>,
}

impl SupplierView {
    /// URL of the first endpoint of this type.
    #[must_use]
    pub fn url(&self, rpc_type: RpcType) -> Option<&str> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.rpc_type == rpc_type)
            .map(|endpoint| endpoint.url.as_str())
    }
}

/// One address at which a supplier serves one kind of call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As staked, e.g. `https://relay.example:8081`.
    pub url: String,
    /// Kind of call.
    pub rpc_type: RpcType,
}
