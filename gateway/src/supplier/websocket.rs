//! WebSockets to suppliers: each message that goes is a signed relay request, each that comes a signed relay response.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use portico_config::gateway::GatewayConfig;
use portico_net::budget::Budgets;
use portico_net::tls::ClientTls;
use portico_net::websocket::{
    self, Close, ConnectError, Incoming, Kind, Limits, Receiver, Sender, WebSocketError,
};
use portico_net::{DialError, dial_websocket, dial_websocket_to, websocket_url};
use portico_protocol::wire::pocket::service::RelayRequest;
use portico_relay::RefusalKind;
use prost::Message as _;
use tokio::time::timeout;

use super::guard::{PRIVATE, is_public};
use super::{Message, refusal_text, verify};
use crate::GatewayError;
use crate::core::candidate::Candidate;
use crate::core::fault::{Fault, shortened};

/// Time for a supplier to take 64 KiB, or what is left of a message.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens WebSockets to suppliers.
#[derive(Clone, Debug)]
pub(crate) struct WebSocketTransport {
    tls: ClientTls,
    connect_timeout: Duration,
    max_response_bytes: usize,
    /// Whether suppliers on private addresses are refused.
    public_only: bool,
}

/// A WebSocket to a supplier, in the session that its candidate names.
pub(crate) struct Link {
    pub(crate) candidate: Candidate,
    receiver: Receiver,
    sender: Sender,
    /// Answers pings, and ends when the supplier gives no sign of life.
    keep: BoxFuture<'static, WebSocketError>,
}

/// What a supplier said, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) kind: Kind,
    /// What its backend said.
    pub(crate) payload: Bytes,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("supplier", &self.candidate.supplier().operator)
            .finish_non_exhaustive()
    }
}

impl WebSocketTransport {
    pub(crate) fn new(config: &GatewayConfig) -> Result<Self, GatewayError> {
        let tls = ClientTls::open(&config.supplier_tls);
        Ok(Self {
            tls: tls.map_err(|source| GatewayError::Tls("supplier_tls", source))?,
            connect_timeout: Duration::from_millis(config.connect_timeout_ms),
            max_response_bytes: config.max_response_bytes,
            public_only: config.refuses_private_suppliers(),
        })
    }

    /// Opens a WebSocket at the candidate's endpoint, which is `told` these headers too; what comes counts in `budgets`. The caller bounds the
    /// time.
    pub(crate) async fn open(
        &self,
        candidate: Candidate,
        budgets: Budgets,
        told: HeaderMap,
    ) -> Result<Link, Fault> {
        let url: Uri = websocket_url(candidate.url())
            .parse()
            .map_err(|_| Fault::Connect("the supplier's URL is malformed".to_owned()))?;
        let dialled = async {
            match self.public_only {
                true => dial_websocket_to(&url, &self.tls, is_public as fn(IpAddr) -> bool).await,
                false => dial_websocket(&url, &self.tls).await,
            }
        };
        let socket = timeout(self.connect_timeout, dialled).await;
        let socket = socket.map_err(|_| Fault::Timeout(ms(self.connect_timeout)))?;
        let socket = socket.map_err(|error| self.not_dialled(&error))?;
        let limits = Limits {
            max_message_bytes: self.max_response_bytes,
            write_timeout: WRITE_TIMEOUT,
            budgets: Some(budgets),
        };
        let opened = websocket::connect(socket, &url, headers(&candidate, told), limits).await;
        let (receiver, sender) = opened.map_err(refused)?;
        let keeper = sender.clone();
        let keep = async move {
            match keeper.keep().await {
                Ok(never) => match never {},
                Err(error) => error,
            }
        };
        Ok(Link {
            candidate,
            receiver,
            sender,
            keep: Box::pin(keep),
        })
    }

    fn not_dialled(&self, error: &DialError) -> Fault {
        match error {
            DialError::Connect { source, .. }
                if self.public_only && source.kind() == std::io::ErrorKind::Other =>
            {
                Fault::Connect(PRIVATE.to_owned())
            }
            DialError::Connect { source, .. } => Fault::Connect(shortened(&source.to_string())),
            error => Fault::Connect(shortened(&error.to_string())),
        }
    }
}

impl Link {
    /// The next message, verified: session header, payload hash, supplier signature. May be dropped before it is ready.
    pub(crate) async fn next(&mut self) -> Result<Said, Fault> {
        let incoming = tokio::select! {
            incoming = self.receiver.next() => incoming,
            error = &mut self.keep => Err(error),
        };
        let message = match incoming {
            Ok(Incoming::Message(message)) => message,
            Ok(Incoming::Close(close)) => {
                self.sender.close(close.clone().sendable()).await;
                return Err(closed(&close));
            }
            Err(error) => return Err(lost(error)),
        };
        let received = Message {
            bytes: message.bytes,
            http_error: None,
            room: None, // the bytes hold it
            receipt: None,
            stream: None,
        };
        let header = &self.candidate.session.header;
        let response = verify(received, header, &self.candidate.supplier().public_key)?;
        Ok(Said {
            kind: message.kind,
            payload: response.payload,
        })
    }

    /// Sends a signed request.
    pub(crate) async fn send(&mut self, kind: Kind, request: &RelayRequest) -> Result<(), Fault> {
        let bytes = request.encode_to_vec().into();
        let sent = self.sender.send(websocket::Message { kind, bytes }).await;
        sent.map_err(lost)
    }

    /// Says goodbye.
    pub(crate) async fn close(self, close: Close) {
        self.sender.close(close).await;
    }
}

/// What a handshake says, as those of PATH: the servicer of our own reads the service alone, since everything else is said again, and signed,
/// by each request.
fn headers(candidate: &Candidate, mut headers: HeaderMap) -> HeaderMap {
    let header = &candidate.session.header;
    let (start, end) = (
        header.session_start_block_height.to_string(),
        header.session_end_block_height.to_string(),
    );
    for (name, value) in [
        ("target-service-id", header.service_id.as_str()),
        ("app-address", &header.application_address),
        ("rpc-type", candidate.rpc_type.digits()),
        ("pocket-session-id", &header.session_id),
        ("pocket-session-start-height", &start),
        ("pocket-session-end-height", &end),
        ("pocket-supplier-address", &candidate.supplier().operator_text),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

fn refused(error: ConnectError) -> Fault {
    match error {
        ConnectError::Refused { status, text } => Fault::http(status, &refusal_text(&text)),
        error => Fault::Connect(shortened(&portico_protocol::causes(&error))),
    }
}

/// What a supplier's close means.
fn closed(close: &Close) -> Fault {
    let text = match close.code {
        Some(code) => format!("closed with {code} {}", close.reason),
        None => "closed".to_owned(),
    };
    let text = shortened(text.trim());
    match RefusalKind::of_close(close.code, &close.reason) {
        RefusalKind::OverServiced => Fault::OverServiced(text),
        RefusalKind::Session => Fault::Session(text),
        RefusalKind::ResponseTooLarge => Fault::TooLargeThere(text),
        // Its backend's word, mostly, which callers can bring about: it lowers no supplier's score.
        RefusalKind::Other => Fault::Miner {
            codespace: "websocket".to_owned(),
            code: close.code.map_or(0, u32::from),
            text,
        },
    }
}

fn lost(error: WebSocketError) -> Fault {
    match error {
        WebSocketError::TooLarge(max) => Fault::TooLarge(max),
        WebSocketError::NoRoom => Fault::NoRoom,
        error => Fault::Lost(error.to_string()),
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
