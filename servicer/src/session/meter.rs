//! The relay meter: how much of an application's stake one supplier may work for in one session.
//!
//! ```text
//! max = committed + reserved + free        per (session, supplier)
//!       leaves      in progress
//! ```
//! A relay reserves its cost before anything expensive is done for it, and commits it when its leaf is on disk; everything else (forged
//! signature, backend failure, missed difficulty, a client that went away) releases it. The reservation is a value that its relay owns,
//! so it cannot outlive the relay's deadline. What is served beyond, where the operator says so, has a bound of its own and is never released.

use std::sync::{Arc, Mutex, PoisonError};

use portico_protocol::claim;
use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::shared::Params;

/// Budget of one supplier in one session, in upokt.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Cost of one relay that becomes a leaf.
    cost: u128,
    /// Price of one relay.
    price: u128,
    /// `None`: not metered.
    max: Option<u128>,
    used: Mutex<Used>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    committed: u128,
    reserved: u128,
    /// Served beyond it, for nothing.
    unpaid: u128,
}

/// A place in the budget; released when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    meter: Arc<Meter>,
    open: bool,
}

/// What a relay takes from the application.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// When it becomes a leaf: see [`cost_per_leaf`].
    pub(crate) leaf: u128,
    /// On average.
    pub(crate) relay: u128,
}

/// What a meter is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prices {
    pub(crate) compute_units_per_relay: u64,
    pub(crate) compute_units_to_tokens_multiplier: u64,
    pub(crate) compute_unit_cost_granularity: u64,
}

impl Prices {
    /// Cost of one relay in upokt, rounded down; prices are those of the session's start.
    pub(crate) fn cost_per_relay(&self) -> u128 {
        let product = u128::from(self.compute_units_per_relay)
            .checked_mul(u128::from(self.compute_units_to_tokens_multiplier))
            .expect("a product of two 64-bit numbers fits in 128 bits");
        product
            .checked_div(u128::from(self.compute_unit_cost_granularity))
            .unwrap_or(product)
    }
}

/// What a leaf takes from the application in upokt: a relay that met the difficulty stands for all that did not, and a claim is paid so.
pub(crate) fn cost_per_leaf(prices: &Prices, target_hash: &[u8; 32]) -> u128 {
    let mut root = [0; 48];
    root[32..40].copy_from_slice(&prices.compute_units_per_relay.to_be_bytes());
    root[40..].copy_from_slice(&1_u64.to_be_bytes());
    let (multiplier, granularity) = (
        prices.compute_units_to_tokens_multiplier,
        prices.compute_unit_cost_granularity,
    );
    let amount = claim::claim_amount(&root, target_hash, multiplier, granularity);
    amount.map_or_else(|_| prices.cost_per_relay(), |amount| amount.claimed.0)
}

/// Budget of one supplier in one session: floor(floor(stake / suppliers) / (pending sessions + 1)), under the params of the session's
/// end (`pkg/relayer/proxy/relay_meter.go`).
///
/// A spend limit of the application, when it is above 0, is shared by the suppliers of the session, and bounds it.
pub(crate) fn budget(
    stake_upokt: u128,
    spend_limit_upokt: u128,
    suppliers_per_session: u64,
    params: &Params,
) -> u128 {
    let share = stake_upokt
        .checked_div(u128::from(suppliers_per_session))
        .unwrap_or(stake_upokt);
    let sessions = u128::from(Timing::new(params).num_pending_sessions()).saturating_add(1);
    let share = share.checked_div(sessions).unwrap_or(share);
    let limit = spend_limit_upokt
        .checked_div(u128::from(suppliers_per_session))
        .unwrap_or(spend_limit_upokt);
    if spend_limit_upokt == 0 {
        share
    } else {
        share.min(limit)
    }
}

impl Meter {
    /// A meter of leaves that cost so much, in which `committed_relays` are counted already.
    #[cfg(test)]
    pub(crate) fn new(cost: u128, max: Option<u128>, committed_relays: u64) -> Arc<Self> {
        let costs = Costs {
            leaf: cost,
            relay: cost,
        };
        Self::with(costs, max, committed_relays, 0)
    }

    /// A meter in which `committed_relays`, and `unpaid_relays` beyond the budget, are counted already.
    pub(crate) fn with(
        costs: Costs,
        max: Option<u128>,
        committed_relays: u64,
        unpaid_relays: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            cost: costs.leaf,
            price: costs.relay,
            max,
            used: Mutex::new(Used {
                committed: costs.leaf.saturating_mul(u128::from(committed_relays)),
                reserved: 0,
                unpaid: costs.relay.saturating_mul(u128::from(unpaid_relays)),
            }),
        })
    }

    /// Counts one relay that is served for nothing, if that is not more than `max` with those before it.
    pub(crate) fn serve_unpaid(&self, max: u128) -> bool {
        let mut used = self.used();
        let taken = used.unpaid.saturating_add(self.price);
        let fits = max > 0 && taken <= max;
        if fits {
            used.unpaid = taken;
        }
        fits
    }

    /// Reserves the cost of one relay; `None` when it does not fit.
    pub(crate) fn reserve(self: &Arc<Self>) -> Option<Reservation> {
        let mut used = self.used();
        let taken = used
            .committed
            .saturating_add(used.reserved)
            .saturating_add(self.cost);
        if self.max.is_some_and(|max| taken > max) {
            return None;
        }
        used.reserved = used.reserved.saturating_add(self.cost);
        Some(Reservation {
            meter: Arc::clone(self),
            open: true,
        })
    }

    fn used(&self) -> std::sync::MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn committed_and_reserved(&self) -> (u128, u128) {
        let used = self.used();
        (used.committed, used.reserved)
    }
}

impl Reservation {
    /// The relay's leaf is on disk.
    pub(crate) fn commit(mut self) {
        self.open = false;
        let mut used = self.meter.used();
        used.reserved = used.reserved.saturating_sub(self.meter.cost);
        used.committed = used.committed.saturating_add(self.meter.cost);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.open {
            let mut used = self.meter.used();
            used.reserved = used.reserved.saturating_sub(self.meter.cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn serves_exactly_what_the_budget_pays() {
        let meter = Meter::new(42, Some(100), 0);
        let first = meter.reserve().unwrap();
        let second = meter.reserve().unwrap();
        assert!(meter.reserve().is_none(), "the third would cost 126 of 100");
        drop(second);
        first.commit();
        assert_eq!(meter.committed_and_reserved(), (42, 0));
        assert!(meter.reserve().is_some(), "a released place is free again");
    }

    #[test]
    fn counts_the_leaves_found_at_start() {
        let meter = Meter::new(50, Some(100), 2);
        assert!(meter.reserve().is_none());
    }

    #[test]
    fn follows_the_formula_of_the_network() {
        let params = Params {
            num_blocks_per_session: 10,
            claim_window_open_offset_blocks: 1,
            claim_window_close_offset_blocks: 4,
            proof_window_open_offset_blocks: 0,
            proof_window_close_offset_blocks: 4,
            ..Params::default()
        };
        assert_eq!(
            budget(1_000_003, 0, 15, &params),
            33_333,
            "floor(floor(1000003 / 15) / (1 + 1))"
        );
        let prices = Prices {
            compute_units_per_relay: 100,
            compute_units_to_tokens_multiplier: 42_000_000,
            compute_unit_cost_granularity: 1_000_000,
        };
        assert_eq!(prices.cost_per_relay(), 4_200);
        assert_eq!(
            budget(1_000_003, 150_000, 15, &params),
            10_000,
            "limit / suppliers"
        );
        assert_eq!(
            budget(1_000_003, 900_000, 15, &params),
            33_333,
            "a limit beyond the stake"
        );
        let mut target = [0xff; 32];
        assert_eq!(cost_per_leaf(&prices, &target), 4_200);
        target[0] = 0x7f;
        assert_eq!(
            cost_per_leaf(&prices, &target),
            8_400,
            "half of the relays become leaves"
        );
    }

    proptest! {
        /// Whatever relays do, what is used is what was committed and what is still reserved, and never more than the budget.
        #[test]
        fn used_is_committed_plus_reserved(steps in prop::collection::vec(0u8..3, 0..200), max in 0u128..2_000) {
            let meter = Meter::new(7, Some(max), 0);
            let (mut open, mut committed) = (Vec::new(), 0u128);
            for step in steps {
                match step {
                    0 => open.extend(meter.reserve()),
                    1 => if let Some(place) = open.pop() { place.commit(); committed += 7 },
                    _ => drop(open.pop()),
                }
                let reserved = 7 * open.len() as u128;
                prop_assert_eq!(meter.committed_and_reserved(), (committed, reserved));
                prop_assert!(committed + reserved <= max);
            }
        }
    }
}
