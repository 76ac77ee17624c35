//! The money of settled sessions: what the chain says happened, beside what arithmetic says should have.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use portico_client::Chain;
use portico_protocol::{Address, Height, ServiceId};

use super::actors::{Actors, application_name};
use super::expected::{ClaimMoney, Rates};
use super::load::{Served, Tally};
use super::supply::Supply;
use super::watch::{Seen, Settlement};

/// How often reading all balances is tried: a block in between makes them those of two heights.
const SNAPSHOT_TRIES: usize = 100;

/// Where tokens lie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pot {
    ApplicationStake(Address),
    GatewayStake(Address),
    SupplierStake(Address),
    Balance(Address),
    Supply,
}

/// The pots of a local network, in the order of the table, with actor and kind.
pub(super) struct Pots(Vec<(String, &'static str, Pot)>);

impl Pots {
    /// All pots of `actors`, and the total supply.
    pub(super) fn of(actors: &Actors) -> Self {
        let mut pots = Vec::new();
        for (service, key) in &actors.applications {
            pots.push((
                application_name(service),
                "stake",
                Pot::ApplicationStake(key.address()),
            ));
        }
        pots.push((
            "gateway".to_owned(),
            "stake",
            Pot::GatewayStake(actors.gateway.address()),
        ));
        pots.push((
            "supplier".to_owned(),
            "stake",
            Pot::SupplierStake(actors.supplier.address()),
        ));
        for (name, key) in actors.all() {
            pots.push((name, "balance", Pot::Balance(key.address())));
        }
        pots.push(("all tokens".to_owned(), "supply", Pot::Supply));
        Self(pots)
    }

    /// What is in each pot, all at one height, which is returned too.
    pub(super) async fn read(&self, chain: &dyn Chain, supply: &Supply) -> Result<Snapshot> {
        for _ in 0..SNAPSHOT_TRIES {
            let height = chain.status().await?.head.height; // asked: the head of a remote chain may lag behind
            let mut amounts = Vec::with_capacity(self.0.len());
            for (actor, _, pot) in &self.0 {
                amounts.push(
                    pot.amount(chain, supply)
                        .await
                        .with_context(|| format!("tokens of {actor}"))?,
                );
            }
            if chain.status().await?.head.height == height {
                return Ok(Snapshot { height, amounts });
            }
        }
        anyhow::bail!("blocks come faster than balances can be read: use a longer --block-time")
    }

    /// Stake of an actor at the time of `snapshot`.
    pub(super) fn stake_of(&self, actor: &Address, snapshot: &Snapshot) -> Option<u128> {
        self.find(snapshot, |pot| match pot {
            Pot::ApplicationStake(address) | Pot::GatewayStake(address) | Pot::SupplierStake(address) => {
                address == actor
            }
            Pot::Balance(_) | Pot::Supply => false,
        })
    }

    /// Balance of an actor at the time of `snapshot`.
    pub(super) fn balance_of(&self, actor: &Address, snapshot: &Snapshot) -> Option<u128> {
        self.find(snapshot, |pot| *pot == Pot::Balance(*actor))
    }

    fn find(&self, snapshot: &Snapshot, wanted: impl Fn(&Pot) -> bool) -> Option<u128> {
        let index = self.0.iter().position(|(_, _, pot)| wanted(pot))?;
        snapshot.amounts.get(index).copied()
    }
}

impl Pot {
    async fn amount(&self, chain: &dyn Chain, supply: &Supply) -> Result<u128> {
        let stake = match self {
            Self::Balance(address) => return Ok(chain.balance(address).await?.0),
            Self::Supply => return supply.total().await,
            Self::ApplicationStake(address) => chain.application(address).await?.stake,
            Self::GatewayStake(address) => chain.gateway(address).await?.stake,
            Self::SupplierStake(address) => chain.supplier(address).await?.stake,
        };
        Ok(stake.context("no stake")?.amount.parse()?)
    }
}

/// What was in each pot at one height.
pub(super) struct Snapshot {
    pub(super) height: Height,
    amounts: Vec<u128>,
}

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
pub(super) struct Verdict {
    pub(super) sessions: Vec<SessionLine>,
    pub(super) pots: Vec<PotLine>,
    pub(super) disagreements: Vec<Disagreement>,
}

/// A settled session and supplier.
pub(super) struct SessionLine {
    pub(super) settlement: Settlement,
    /// Leaves before the client began.
    pub(super) earlier: u64,
    /// Answers that the client received.
    pub(super) relays: u64,
    /// Leaves that the servicer has on disk.
    pub(super) leaves: u64,
    /// What the claim should be worth, in upokt.
    pub(super) expected: u128,
}

/// A pot before and after, in upokt.
pub(super) struct PotLine {
    pub(super) actor: String,
    /// Stake, balance or supply.
    pub(super) kind: &'static str,
    pub(super) before: u128,
    pub(super) after: u128,
    pub(super) change: i128,
    /// By how much it should have changed.
    pub(super) expected: i128,
}

/// A figure that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Disagreement {
    /// What should not happen, as the chain's events tell it.
    Loss(String),
    /// A session with this many relays was not settled.
    NotSettled {
        session: String,
        relays: u64,
    },
    /// A figure of a settled session.
    Session {
        session: String,
        what: &'static str,
        found: u128,
        expected: u128,
    },
    /// The change of a pot, in upokt.
    Pot {
        actor: String,
        kind: &'static str,
        change: i128,
        expected: i128,
    },
    /// The change of all the actors' tokens together, and that of the supply, in upokt.
    Supply { held: i128, supply: i128 },
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
                (self.actors.supplier.address(), money.rewards.supplier),
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
pub(super) fn leaves(ledger: &[portico_servicer::LedgerRow]) -> Tally {
    let served = |row: &portico_servicer::LedgerRow| Served {
        session: row.session_id.clone(),
        supplier: row.supplier,
    };
    ledger.iter().map(|row| (served(row), row.committed)).collect()
}

#[cfg(test)]
mod tests;
