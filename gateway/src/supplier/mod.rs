//! How a signed relay request reaches a supplier, and what comes back: one module for each transport.

mod failed;
mod guard;
pub(crate) mod http;
pub(crate) mod stream;
pub(crate) mod websocket;

use ::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use portico_net::budget::{Budgets, Room};
use portico_protocol::PublicKey;
use portico_protocol::wire::pocket::service::RelayResponse;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_relay::{Exchange, MessageFault, message};
use serde::Deserialize;

use self::stream::Opened;
use crate::core::candidate::Candidate;
use crate::core::fault::Fault;

/// A way to suppliers. The caller bounds the time of [`SupplierTransport::open`] and of each message.
pub(crate) trait SupplierTransport {
    /// What an open request yields.
    type Exchange: Exchange<Message = Message, Fault = Fault>;

    /// Sends the encoded relay `request` to the candidate's endpoint; messages count in `budgets` as they arrive. Asks for what is `wanted` too,
    /// where the transport has a place for it, and tells it what is `told`.
    fn open(
        &self,
        candidate: &Candidate,
        request: Vec<u8>,
        budgets: &Budgets,
        wanted: Wanted,
        told: HeaderMap,
    ) -> impl Future<Output = Result<Self::Exchange, Fault>> + Send;
}

/// What a supplier is asked for beside an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// A receipt.
    pub(crate) receipt: bool,
    /// The answer piece by piece, if its backend gives it so.
    pub(crate) stream: bool,
}

/// One message of a supplier, as it came: nothing about it is verified.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) bytes: Bytes,
    /// The HTTP status, if it is no success: then the bytes may be a refusal's text.
    pub(crate) http_error: Option<u16>,
    /// What the bytes hold of the budgets.
    pub(crate) room: Option<Room>,
    /// The receipt that came with them, if one was asked for.
    pub(crate) receipt: Option<HeaderValue>,
    /// In the bytes' place, the answer comes piece by piece.
    pub(crate) stream: Option<Box<Opened>>,
}

impl Message {
    /// The same bytes, to be read another time; they are not copied.
    pub(crate) fn again(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            http_error: self.http_error,
            room: None,
            receipt: None,
            stream: None,
        }
    }
}

/// Reads and verifies one message: shape, session header, payload hash, supplier signature.
pub(crate) fn verify(
    message: Message,
    header: &SessionHeader,
    supplier: &PublicKey,
) -> Result<RelayResponse, Fault> {
    let Message {
        bytes, http_error, ..
    } = message;
    message::open(bytes.clone(), header, supplier).map_err(|fault| match (fault, http_error) {
        (MessageFault::Undecodable, Some(status)) => Fault::http(status, &refusal_text(&bytes)),
        (fault, _) => fault.into(),
    })
}

/// The text of `{"error": "…"}`; of anything else nothing, since it may come from a host that is no supplier.
fn refusal_text(body: &Bytes) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    serde_json::from_slice::<Refusal>(body).map_or_else(|_| String::new(), |refusal| refusal.error)
}
