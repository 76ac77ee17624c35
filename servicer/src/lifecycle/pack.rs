//! Which messages share a transaction. Pure.

use std::cmp::Reverse;

use portico_protocol::{Address, Upokt};
use prost_types::Any;

use crate::lifecycle::orders::{Batch, Kind, Limits, Order, Session};

/// Bytes of messages in a transaction; a node takes a transaction of 1 MiB.
pub(super) const MAX_BATCH_BYTES: usize = 768 << 10;

/// A message on its way into a transaction.
pub(super) struct Packed {
    order: Order,
    index: u64,
    message: Any,
    /// In a transaction of its own.
    alone: bool,
}

impl Packed {
    pub(super) fn new(session: &Session, kind: Kind, message: Any) -> Self {
        let record = &session.record;
        let sending = match kind {
            Kind::Claim => &record.claim,
            Kind::Proof => &record.proof,
        };
        Self {
            order: (
                kind.close(record),
                Reverse(record.seal.map_or(Upokt(0), |seal| seal.worth)),
            ),
            index: session.index,
            message,
            alone: sending.alone,
        }
    }
}

/// Messages of a supplier in transactions, by deadline and value, as many in each as count and bytes allow.
pub(super) fn pack(kind: Kind, supplier: Address, mut messages: Vec<Packed>, limits: &Limits) -> Vec<Batch> {
    messages.sort_by_key(|packed| (packed.order, packed.index));
    let mut open: Option<(Batch, usize)> = None;
    let mut full = Vec::new();
    for packed in messages {
        let size = packed.message.value.len();
        let single = Batch {
            kind,
            supplier,
            messages: vec![(packed.index, packed.message)],
        };
        if packed.alone {
            full.push(single);
            continue;
        }
        open = Some(match open.take() {
            Some((mut batch, bytes))
                if batch.messages.len() < limits.max_messages.max(1)
                    && bytes.saturating_add(size) <= MAX_BATCH_BYTES =>
            {
                batch.messages.extend(single.messages);
                (batch, bytes.saturating_add(size))
            }
            other => {
                full.extend(other.map(|(batch, _)| batch));
                (single, size)
            }
        });
    }
    full.extend(open.map(|(batch, _)| batch));
    full
}
