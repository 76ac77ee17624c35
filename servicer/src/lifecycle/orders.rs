//! What is to be sent: for which sessions, in which order, within which bounds.

use std::cmp::Reverse;

use portico_protocol::wire::pocket::proof::MsgCreateClaim;
use portico_protocol::{Address, Height, Upokt, tx};
use prost_types::Any;

use crate::session::record::SessionRecord;

/// What a transaction is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Claim,
    Proof,
}

impl Kind {
    /// Name in logs and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Proof => "proof",
        }
    }

    /// Last block that takes it.
    pub(super) const fn close(self, record: &SessionRecord) -> Height {
        match self {
            Self::Claim => record.windows.claim_close,
            Self::Proof => record.windows.proof_close,
        }
    }
}

/// Messages of one supplier in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    pub(crate) kind: Kind,
    pub(crate) supplier: Address,
    /// Session and message.
    pub(crate) messages: Vec<(u64, Any)>,
}

/// A session as the planner sees it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) index: u64,
    pub(crate) record: SessionRecord,
    /// Relays that may still become leaves.
    pub(crate) in_flight: u64,
}

/// How much goes into one transaction, and how long leaves are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_messages: usize,
    pub(crate) keep_leaves_blocks: u32,
}

/// What an effect serves: order among those that could begin.
pub(super) type Order = (Height, Reverse<Upokt>);

/// The message that claims what a session is sealed to.
pub(crate) fn create_claim(record: &SessionRecord) -> prost_types::Any {
    tx::pack(&MsgCreateClaim {
        supplier_operator_address: record.supplier.to_string(),
        session_header: Some(record.header()),
        root_hash: record.seal.map(|seal| seal.root.to_vec()).unwrap_or_default(),
    })
}
