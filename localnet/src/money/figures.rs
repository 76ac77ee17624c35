//! What the chain says happened, beside what arithmetic says should have.

use std::collections::BTreeMap;

use portico_protocol::ServiceId;

use super::expected::{ClaimMoney, Rates};
use super::load::{Served, Tally};
use super::pots::{Pot, Pots, Snapshot};
use super::watch::{Seen, Settlement};
use crate::actors::Actors;

/// All that is compared.
pub(super) struct Money<'a> {
    pub(super) actors: &'a Actors,
    pub(super) pots: &'a Pots,
    pub(super) before: &'a Snapshot,
    pub(super) after: &'a Snapshot,
    /// Leaves that the servicer had on disk before the client began.
    pub(super) earlier: &'a Tally,
    /// Answers that the client received.
    pub(super) tally: &'a Tally,
    /// Leaves that the servicer has on disk.
    pub(super) leaves: &'a Tally,
    pub(super) seen: &'a Seen,
    pub(super) rates: &'a Rates,
    /// Compute units of one relay, by service.
    pub(super) units: &'a BTreeMap<ServiceId, u64>,
}

/// Every figure, and what does not agree.
pub struct Verdict {
    /// Settled sessions, in the order of their settlement.
    pub sessions: Vec<SessionLine>,
    /// Stakes, balances and the supply.
    pub pots: Vec<PotLine>,
    /// Empty when every figure is as expected.
    pub disagreements: Vec<Disagreement>,
}

/// A settled session and supplier.
pub struct SessionLine {
    /// What the chain says.
    pub settlement: Settlement,
    /// Leaves before the client began.
    pub earlier: u64,
    /// Answers that the client received.
    pub relays: u64,
    /// Leaves that the servicer has on disk.
    pub leaves: u64,
    /// What the claim should be worth, in upokt.
    pub expected: u128,
}

/// A pot before and after, in upokt.
pub struct PotLine {
    /// Whose it is.
    pub actor: String,
    /// Stake, balance or supply.
    pub kind: &'static str,
    /// When the client began.
    pub before: u128,
    /// When all was settled.
    pub after: u128,
    /// The difference.
    pub change: i128,
    /// By how much it should have changed.
    pub expected: i128,
}

/// A figure that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// What should not happen, as the chain's events tell it.
    Loss(String),
    /// A session with this many relays was not settled.
    NotSettled {
        /// Session id.
        session: String,
        /// Answers that the client received.
        relays: u64,
    },
    /// A figure of a settled session.
    Session {
        /// Session id.
        session: String,
        /// Name of the figure.
        what: &'static str,
        /// What it is.
        found: u128,
        /// What it should be.
        expected: u128,
    },
    /// The change of a pot, in upokt.
    Pot {
        /// Whose it is.
        actor: String,
        /// Stake, balance or supply.
        kind: &'static str,
        /// By how much it changed.
        change: i128,
        /// By how much it should have.
        expected: i128,
    },
    /// The change of all the actors' tokens together, and that of the supply, in upokt.
    Supply {
        /// Change of the actors' tokens.
        held: i128,
        /// Change of the supply.
        supply: i128,
    },
}

impl Money<'_> {
    /// Compares every figure with its expectation.
    pub(super) fn verdict(&self) -> Verdict {
        let losses = self.seen.losses.iter().cloned();
        let mut disagreements: Vec<_> = losses.map(Disagreement::Loss).collect();
        Verdict {
            sessions: self.sessions(&mut disagreements),
            pots: self.pots(&mut disagreements),
            disagreements,
        }
    }

    /// Relays that a settlement should count: those that were leaves before, and those that the client saw answered since.
    fn relays(&self, settlement: &Settlement) -> u64 {
        let count = |tally: &Tally| tally.get(&settlement.served).copied().unwrap_or_default();
        count(self.earlier).saturating_add(count(self.tally))
    }

    fn expected(&self, settlement: &Settlement) -> ClaimMoney {
        let units = self.units.get(&settlement.service).copied().unwrap_or_default();
        ClaimMoney::of(self.relays(settlement), units, self.rates)
    }

    fn sessions(&self, disagreements: &mut Vec<Disagreement>) -> Vec<SessionLine> {
        let mut lines = Vec::new();
        for settlement in &self.seen.settlements {
            let count = |tally: &Tally| tally.get(&settlement.served).copied().unwrap_or_default();
            let leaves = count(self.leaves);
            let money = self.expected(settlement);
            self.check(settlement, &money, leaves, disagreements);
            lines.push(SessionLine {
                settlement: settlement.clone(),
                earlier: count(self.earlier),
                relays: count(self.tally),
                leaves,
                expected: money.claimed,
            });
        }
        let unsettled = |served: &Served| self.seen.settlement(served).is_none();
        for (served, relays) in self.tally.iter().filter(|(served, _)| unsettled(served)) {
            disagreements.push(Disagreement::NotSettled {
                session: served.session.clone(),
                relays: *relays,
            });
        }
        lines
    }

    fn check(
        &self,
        settlement: &Settlement,
        money: &ClaimMoney,
        leaves: u64,
        disagreements: &mut Vec<Disagreement>,
    ) {
        let relays = self.relays(settlement);
        let mut agree = |what, found: u128, expected: u128| {
            if found != expected {
                let session = settlement.served.session.clone();
                disagreements.push(Disagreement::Session {
                    session,
                    what,
                    found,
                    expected,
                });
            }
        };
        agree("relays claimed", settlement.relays.into(), relays.into());
        agree("leaves of the servicer", leaves.into(), relays.into());
        agree(
            "compute units",
            settlement.compute_units.into(),
            money.compute_units,
        );
        agree("claimed upokt", settlement.claimed, money.claimed);
        agree("settled upokt", settlement.settled, money.claimed);
        agree("minted upokt", settlement.minted, money.minted);
        agree("valid proofs", settlement.proved.into(), 1); // the genesis asks for a proof of every claim
    }

    /// By how many upokt each pot should have changed.
    fn changes(&self) -> BTreeMap<Pot, i128> {
        let mut changes: BTreeMap<Pot, i128> = BTreeMap::new();
        let mut add = |pot: Pot, change: i128| *changes.entry(pot).or_default() += change;
        for settlement in &self.seen.settlements {
            let money = self.expected(settlement);
            let rewards = [
                (settlement.served.supplier, money.rewards.supplier),
                (self.actors.service_owner.address(), money.rewards.source_owner),
                (self.actors.validator.address(), money.rewards.validator),
                (self.actors.dao.address(), money.rewards.dao),
                (settlement.application, money.rewards.application),
            ];
            for (address, amount) in rewards {
                add(Pot::Balance(address), amount.cast_signed());
            }
            add(
                Pot::ApplicationStake(settlement.application),
                -money.paid.cast_signed(),
            );
            add(Pot::Supply, money.supply_change);
        }
        changes
    }

    fn pots(&self, disagreements: &mut Vec<Disagreement>) -> Vec<PotLine> {
        let changes = self.changes();
        let mut lines = Vec::new();
        let mut held = 0_i128;
        for (index, (actor, kind, pot)) in self.pots.0.iter().enumerate() {
            let (before, after) = (self.before.amounts[index], self.after.amounts[index]);
            let change = after.cast_signed() - before.cast_signed();
            let expected = changes.get(pot).copied().unwrap_or_default();
            if change != expected {
                disagreements.push(Disagreement::Pot {
                    actor: actor.clone(),
                    kind,
                    change,
                    expected,
                });
            }
            lines.push(PotLine {
                actor: actor.clone(),
                kind,
                before,
                after,
                change,
                expected,
            });
            match pot {
                Pot::Supply if held != change => {
                    let supply = change;
                    disagreements.push(Disagreement::Supply { held, supply });
                }
                Pot::Supply => {}
                _ => held += change,
            }
        }
        lines
    }
}

/// Leaves on disk per session and supplier, from the servicer's ledger.
#[must_use]
pub fn leaves(ledger: &[portico_servicer::LedgerRow]) -> Tally {
    let served = |row: &portico_servicer::LedgerRow| Served {
        session: row.session_id.clone(),
        supplier: row.supplier,
    };
    ledger.iter().map(|row| (served(row), row.committed)).collect()
}

#[cfg(test)]
mod tests;
