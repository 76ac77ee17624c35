//! How one try at one supplier ended.

use portico_net::budget::Room;
use std::collections::BTreeMap;

use bytes::Bytes;
use portico_protocol::Address;
use portico_protocol::wire::sdk::types::Header;

use crate::core::candidate::Candidate;
use crate::core::fault::Fault;
use crate::core::receipt::ReceiptOutcome;
use crate::supplier::stream::SupplierStream;

/// A verified answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The chain's answer in the caller's protocol; empty if the caller wants none.
    pub(crate) answer: Bytes,
    /// What the answer holds of the byte budgets.
    pub(crate) room: Option<Room>,
    /// In the answer's place, what comes piece by piece.
    pub(crate) stream: Option<Box<SupplierStream>>,
    /// HTTP status that the supplier's backend gave.
    pub(crate) backend_status: u32,
    /// Headers that it gave, where the caller's protocol has a place for them.
    pub(crate) headers: BTreeMap<String, Header>,
    /// Seconds after which the backend wants to be asked again.
    pub(crate) retry_after: Option<u32>,
    /// Who answered, in which session.
    pub(crate) candidate: Candidate,
    /// Hash of the relay: the key of its leaf in the supplier's trie.
    pub(crate) relay_hash: [u8; 32],
    /// Whether the supplier's signature covers a hash of the payload, or (suppliers of old) the payload itself.
    pub(crate) payload_hashed: bool,
    /// The supplier's receipt, if one was asked for.
    pub(crate) receipt: ReceiptOutcome,
    /// Tries that failed before; if [`Reply::is_fallback`], all tries.
    pub(crate) failed: Vec<Failed>,
    /// Whether this is what a failing backend said, since no supplier did better.
    pub(crate) is_fallback: bool,
}

/// A try whose answer is not used, as long as another supplier may do better.
#[derive(Debug)]
pub(crate) struct Miss {
    pub(crate) fault: Fault,
    /// Time that the try took, in milliseconds.
    pub(crate) ms: u64,
    /// What the chain said while its backend failed: better than nothing.
    pub(crate) fallback: Option<Box<Reply>>,
}

/// A try that failed, as it is told.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) supplier: Address,
    pub(crate) fault: Fault,
    pub(crate) ms: u64,
}
