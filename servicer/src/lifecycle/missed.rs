//! Why the chain had no claim or proof in time of which it had refused none.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use portico_protocol::Height;

use crate::session::record::{Sending, SessionRecord};
use crate::session::stage::{ExpiredReason, Stage};

/// Ranges of unseen blocks that are remembered.
const MAX_RANGES: usize = 16;

/// The blocks that this process did not see: from before its start, or while no chain node answered.
#[derive(Debug, Default)]
pub(crate) struct Unseen {
    newest: Height,
    /// The first block of this process.
    started: Option<Height>,
    ranges: VecDeque<RangeInclusive<i64>>,
}

impl Unseen {
    /// The newest block is now at `head`.
    pub(crate) fn saw(&mut self, head: Height) {
        self.started.get_or_insert(head);
        let first = self.newest.0.saturating_add(1);
        if first < head.0 {
            if self.ranges.len() == MAX_RANGES {
                self.ranges.pop_front();
            }
            self.ranges.push_back(first..=head.0.saturating_sub(1));
        }
        self.newest = head;
    }

    /// The first block that was seen from `open` on, unless it is one up to `close`.
    fn seen_after(&self, open: Height, close: Height) -> Option<i64> {
        let covers = |range: &&RangeInclusive<i64>| range.contains(&open.0) && range.contains(&close.0);
        let range = self.ranges.iter().rev().find(covers)?;
        Some(range.end().saturating_add(1))
    }

    /// Says of a session that is over for want of a claim or proof why there was none, unless a refusal says it.
    pub(crate) fn explain(&self, record: &mut SessionRecord) {
        let windows = record.windows;
        let (what, open, close, sending) = match record.stage {
            Stage::Expired {
                reason: ExpiredReason::ClaimWindowMissed,
            } => (
                "claim",
                windows.claim_open,
                windows.claim_close,
                &mut record.claim,
            ),
            Stage::Expired {
                reason: ExpiredReason::ProofWindowMissed | ExpiredReason::ProofMissing,
            } => (
                "proof",
                windows.proof_open,
                windows.proof_close,
                &mut record.proof,
            ),
            _ => return,
        };
        if sending.last_error.is_none() {
            sending.last_error = Some(self.why(what, open, close, sending));
        }
    }

    fn why(&self, what: &str, open: Height, close: Height, sending: &Sending) -> String {
        if let (Some(tx), Some(at)) = (sending.txs.last(), sending.accepted_at) {
            return format!(
                "no block up to height {close} took the {what} transaction {tx}, which a chain node had accepted at height {at}"
            );
        }
        // A transaction is in the block after the newest at the earliest.
        let last = Height(close.0.saturating_sub(1));
        match self.seen_after(open, last) {
            Some(seen) if self.started == Some(Height(seen)) => format!(
                "no {what} was sent: the servicer was not running; it was started at height {seen}, and a {what} could be sent at heights {open} to {last}"
            ),
            Some(seen) => format!(
                "no {what} was sent: no chain node was reached until height {seen}, and a {what} could be sent at heights {open} to {last}"
            ),
            None => format!(
                "no {what} was sent: the servicer was running, and a chain node did not answer, or not in time, what has to be asked first; its log says more"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::next::tests::record;

    fn explained(
        unseen: &Unseen,
        mut record: SessionRecord,
        reason: ExpiredReason,
    ) -> (SessionRecord, String) {
        record.expire(reason, Height(30));
        unseen.explain(&mut record);
        let sending = match reason {
            ExpiredReason::ClaimWindowMissed => &record.claim,
            _ => &record.proof,
        };
        let error = sending.last_error.clone().unwrap_or_default();
        (record, error)
    }

    fn seeing(heads: impl IntoIterator<Item = i64>) -> Unseen {
        let mut unseen = Unseen::default();
        for head in heads {
            unseen.saw(Height(head));
        }
        unseen
    }

    #[test]
    fn a_window_of_which_no_block_was_seen_was_missed_by_the_servicer_or_its_node() {
        let (open, close) = (record().windows.claim_open.0, record().windows.claim_close.0);
        let reason = ExpiredReason::ClaimWindowMissed;
        let last = close - 1;
        let could = format!("height {close}, and a claim could be sent at heights {open} to {last}");
        let (_, error) = explained(&seeing([close, close + 1]), record(), reason);
        assert!(error.contains(&format!("was started at {could}")), "{error}");
        let (_, error) = explained(&seeing([open - 1, close, close + 1]), record(), reason);
        assert!(
            error.contains(&format!("no chain node was reached until {could}")),
            "{error}"
        );
        for heads in [
            vec![open, close],
            vec![1, close - 1, close],
            (1..=close).collect(),
        ] {
            let (_, error) = explained(&seeing(heads), record(), reason);
            assert!(error.contains("was running"), "{error}");
        }
    }

    #[test]
    fn a_transaction_that_no_block_took_is_named() {
        let mut sent = record();
        sent.proof.accepted("AB12".into(), Height(17));
        for reason in [ExpiredReason::ProofMissing, ExpiredReason::ProofWindowMissed] {
            let (_, error) = explained(&seeing(1..30), sent.clone(), reason);
            assert!(
                error.contains("AB12") && error.contains("at height 17"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_refusal_says_more_and_stays() {
        let mut refused = record();
        refused.claim.refused("out of gas".into(), false);
        let (record, error) = explained(&Unseen::default(), refused, ExpiredReason::ClaimWindowMissed);
        assert_eq!(error, "out of gas");
        assert_eq!(record.proof.last_error, None);
    }

    #[test]
    fn only_the_newest_ranges_are_remembered() {
        let unseen = seeing((0..100).map(|n| n * 10));
        assert_eq!(unseen.ranges.len(), MAX_RANGES);
        assert_eq!(unseen.seen_after(Height(981), Height(989)), Some(990));
        assert_eq!(unseen.seen_after(Height(1), Height(9)), None);
    }
}
