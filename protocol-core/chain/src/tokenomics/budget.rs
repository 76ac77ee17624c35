//! How much of a claim an application's stake covers.
//!
//! A session may take its part of the stake, each claiming supplier its part of that: the floor, which is always paid. With a bonus
//! multiplier above 1, what suppliers below the floor leave unused is shared by those above it, in proportion to their excess.

use std::collections::BTreeMap;

use portico_protocol::Upokt;
use portico_protocol::settlement::Fraction;
use portico_protocol::wire::pocket::application::Application;

use super::state::{MODULE, arithmetic};
use crate::error::{Fault, refuse};
use crate::stake;

/// Budget of one application for one session; amounts include the inflation that the application pays on top.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    /// What each claiming supplier may take.
    pub(super) floor: Upokt,
    /// What suppliers below the floor leave.
    unused: Upokt,
    /// What suppliers above the floor ask beyond it.
    excess: Upokt,
    /// Whether the application's spend limit, not its stake, set the floor.
    pub(super) by_spend_limit: bool,
}

/// Budgets by (application, session id).
pub(super) type Budgets = BTreeMap<(String, String), Budget>;

/// What a budget allows of a claim.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    /// To be settled.
    pub(super) settlement: Upokt,
    /// When less than claimed: what the claim would have taken of the stake, and what it takes.
    pub(super) overserviced: Option<(Upokt, Upokt)>,
}

impl Budget {
    /// The budget of a session in which `num_suppliers` claim; `staked` is the application's stake before this block's settlement.
    pub(super) fn new(app: &Application, staked: Upokt, num_pending: u64, num_suppliers: u64) -> Self {
        let divided = |amount: u128, by: u64| amount.checked_div(by.into()).unwrap_or(amount);
        let per_session = divided(staked.0, num_pending);
        let mut budget = Self {
            floor: Upokt(divided(per_session, num_suppliers)),
            ..Self::default()
        };
        let limit = stake::amount(app.per_session_spend_limit.as_ref());
        let limited = Upokt(divided(limit.0.min(per_session), num_suppliers));
        if limit > Upokt(0) && limited < budget.floor {
            budget.floor = limited;
            budget.by_spend_limit = true;
        }
        budget
    }

    /// Counts a claim that will settle.
    pub(super) fn count(&mut self, claimed: Upokt, inflation: Fraction) -> Result<(), Fault> {
        let needed = needed(claimed, inflation)?;
        let (below, above) = (
            self.floor.0.saturating_sub(needed.0),
            needed.0.saturating_sub(self.floor.0),
        );
        self.unused.0 = self.unused.0.checked_add(below).ok_or_else(beyond)?;
        self.excess.0 = self.excess.0.checked_add(above).ok_or_else(beyond)?;
        Ok(())
    }

    /// What may be settled of a claim.
    pub(super) fn allow(
        &self,
        claimed: Upokt,
        inflation: Fraction,
        bonus_multiplier: u64,
    ) -> Result<Allowed, Fault> {
        let needed = needed(claimed, inflation)?;
        let most = self.most(needed, bonus_multiplier.max(1))?;
        let settlement = inflation.floor_without(most).map_err(|e| arithmetic(&e))?;
        if claimed <= settlement {
            return Ok(Allowed {
                settlement: claimed,
                overserviced: None,
            });
        }
        Ok(Allowed {
            settlement,
            overserviced: Some((needed, needed.min(most))),
        })
    }

    /// Most of the stake that a claim which needs `needed` may take.
    fn most(&self, needed: Upokt, multiplier: u64) -> Result<Upokt, Fault> {
        let mut most = self.floor.0;
        if multiplier > 1 && needed > self.floor {
            let own = needed.0.saturating_sub(self.floor.0);
            let product = self.unused.0.checked_mul(own).ok_or_else(beyond)?;
            let bonus = product.checked_div(self.excess.0).unwrap_or(0);
            most = most.checked_add(bonus).ok_or_else(beyond)?;
        }
        let cap = self
            .floor
            .0
            .checked_mul(u128::from(multiplier))
            .ok_or_else(beyond)?;
        Ok(Upokt(most.min(cap)))
    }
}

/// A claim with the inflation on top: what it takes of the stake.
fn needed(claimed: Upokt, inflation: Fraction) -> Result<Upokt, Fault> {
    let inflation = inflation.ceil_of(claimed).map_err(|error| arithmetic(&error))?;
    claimed.0.checked_add(inflation.0).map(Upokt).ok_or_else(beyond)
}

fn beyond() -> Fault {
    refuse(MODULE, 1117, "a budget is beyond 2^128")
}
