//! Events in stored results, read where they lie: a search looks at millions of attributes and wants few of them.
//!
//! ```text
//!  ResponseFinalizeBlock ─1─► Event ─1─► type        what the block itself says
//!                        └2─► ExecTxResult ─7─► Event ─2─► EventAttribute ─1─► key, ─2─► value
//! ```

use portico_store::Snapshot;

use super::query::Query;
use crate::api::ApiError;
use crate::results::{Malformed, of_field};

/// Field of a block's events in `ResponseFinalizeBlock`.
const BLOCK_EVENTS: u64 = 1;
/// Field of the events in `ExecTxResult`.
const TX_EVENTS: u64 = 7;

/// Reads results of block after block, within a bound.
pub(super) struct Scan<'a> {
    snapshot: &'a Snapshot,
    limit: usize,
    left: usize,
}

impl<'a> Scan<'a> {
    /// Reads at most `limit` bytes in all.
    pub(super) const fn new(snapshot: &'a Snapshot, limit: usize) -> Self {
        let left = limit;
        Self {
            snapshot,
            limit,
            left,
        }
    }

    /// The results of the block at `height`, as stored; empty for a height without. Errs when they pass the bound: `key` is what
    /// narrows the search.
    pub(super) fn results(&mut self, height: i64, key: &str) -> Result<Vec<u8>, ApiError> {
        let bytes = self.snapshot.results(height)?.unwrap_or_default();
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            let text = format!(
                "a search reads at most {} bytes of results, which end before height {height}: add conditions on {key}",
                self.limit
            );
            return Err(ApiError::Refused(text));
        };
        self.left = left;
        Ok(bytes)
    }
}

/// Whether a transaction matches, by its stored result and what is `implied`.
pub(super) fn tx_matches(query: &Query, result: &[u8], implied: &[(&str, &str)]) -> Result<bool, ApiError> {
    matches(query, result, TX_EVENTS, implied)
}

/// Whether a block matches, by its stored results and what is `implied`.
pub(super) fn block_matches(
    query: &Query,
    results: &[u8],
    implied: &[(&str, &str)],
) -> Result<bool, ApiError> {
    matches(query, results, BLOCK_EVENTS, implied)
}

/// Looks through the events once per message: what the conditions wait for is noted as it comes by.
fn matches(query: &Query, message: &[u8], events: u64, implied: &[(&str, &str)]) -> Result<bool, ApiError> {
    let mut open = query.open(implied);
    for event in of_field(message, events) {
        if open.is_empty() {
            break;
        }
        let event = event?;
        let kind = text(event, 1)?;
        if kind.is_empty() || !open.iter().any(|condition| condition.may_be_of(kind)) {
            continue;
        }
        for attribute in of_field(event, 2) {
            let attribute = attribute?;
            let key = text(attribute, 1)?;
            if key.is_empty() {
                continue;
            }
            let value = text(attribute, 2)?;
            open.retain(|condition| !condition.is_met_by(kind, key, value));
        }
    }
    Ok(open.is_empty())
}

/// The text in a field; empty when absent, the last one when there are more.
fn text(message: &[u8], number: u64) -> Result<&str, ApiError> {
    let bytes = of_field(message, number).last().transpose()?;
    std::str::from_utf8(bytes.unwrap_or_default()).map_err(|_| Malformed.into())
}

#[cfg(test)]
mod tests;
