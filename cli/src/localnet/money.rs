//! The money table: what the chain says happened, beside what arithmetic says should have.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use portico_client::Chain;
use portico_protocol::{Address, Height, ServiceId};

use super::actors::{Actors, application_name};
use super::expected::{ClaimMoney, Rates};
use super::load::{Served, Tally};
use super::supply::Supply;
use super::watch::{Seen, Settlement};
use crate::table::{Table, grouped};

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

/// All that the table is made of.
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

/// The printed tables, and what does not agree.
pub(super) struct Verdict {
    pub(super) text: String,
    pub(super) disagreements: Vec<String>,
}

impl Money<'_> {
    /// Compares every figure with its expectation.
    pub(super) fn verdict(&self) -> Verdict {
        let mut disagreements = self.seen.losses.clone();
        let sessions = self.sessions(&mut disagreements);
        let balances = self.balances(&mut disagreements);
        Verdict {
            text: format!("{sessions}\n{balances}"),
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

    fn sessions(&self, disagreements: &mut Vec<String>) -> String {
        let mut table = Table::new(&[
            "session",
            "service",
            ">earlier",
            ">relays",
            ">leaves",
            ">claimed",
            "proof",
            ">compute units",
            ">claimed upokt",
            ">settled upokt",
            ">expected upokt",
            ">height",
        ]);
        for settlement in &self.seen.settlements {
            let count = |tally: &Tally| tally.get(&settlement.served).copied().unwrap_or_default();
            let leaves = count(self.leaves);
            let money = self.expected(settlement);
            self.check(settlement, &money, leaves, disagreements);
            table.row([
                short(&settlement.served.session),
                settlement.service.to_string(),
                count(self.earlier).to_string(),
                count(self.tally).to_string(),
                leaves.to_string(),
                settlement.relays.to_string(),
                if settlement.proved { "valid" } else { "none" }.to_owned(),
                grouped(settlement.compute_units),
                grouped(settlement.claimed),
                grouped(settlement.settled),
                grouped(money.claimed),
                settlement.height.to_string(),
            ]);
        }
        for (served, relays) in self
            .tally
            .iter()
            .filter(|(served, _)| self.seen.settlement(served).is_none())
        {
            disagreements.push(format!(
                "session {} with {relays} relays was not settled",
                short(&served.session)
            ));
        }
        table.text(2)
    }

    fn check(
        &self,
        settlement: &Settlement,
        money: &ClaimMoney,
        leaves: u64,
        disagreements: &mut Vec<String>,
    ) {
        let relays = self.relays(settlement);
        let mut agree = |what: &str, found: u128, expected: u128| {
            if found != expected {
                let session = short(&settlement.served.session);
                let (found, expected) = (grouped(found), grouped(expected));
                disagreements.push(format!("session {session}: {what} {found}, expected {expected}"));
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
        let mut give = |key: &portico_protocol::SigningKey, amount: u128| {
            add(Pot::Balance(key.address()), amount.cast_signed());
        };
        let all: Vec<(&Settlement, ClaimMoney)> = self
            .seen
            .settlements
            .iter()
            .map(|settlement| (settlement, self.expected(settlement)))
            .collect();
        for (_, money) in &all {
            give(&self.actors.supplier, money.rewards.supplier);
            give(&self.actors.service_owner, money.rewards.source_owner);
            give(&self.actors.validator, money.rewards.validator);
            give(&self.actors.dao, money.rewards.dao);
        }
        for (settlement, money) in &all {
            add(
                Pot::Balance(settlement.application),
                money.rewards.application.cast_signed(),
            );
            add(
                Pot::ApplicationStake(settlement.application),
                -money.paid.cast_signed(),
            );
            add(Pot::Supply, money.supply_change);
        }
        changes
    }

    fn balances(&self, disagreements: &mut Vec<String>) -> String {
        let changes = self.changes();
        let mut table = Table::new(&[
            "actor",
            "upokt of",
            ">before",
            ">after",
            ">change",
            ">expected",
            "",
        ]);
        let mut held = 0_i128;
        for (index, (actor, kind, pot)) in self.pots.0.iter().enumerate() {
            let (before, after) = (self.before.amounts[index], self.after.amounts[index]);
            let change = after.cast_signed() - before.cast_signed();
            let expected = changes.get(pot).copied().unwrap_or_default();
            if change != expected {
                disagreements.push(format!(
                    "{actor} {kind}: changed by {}, expected {}",
                    signed(change),
                    signed(expected)
                ));
            }
            let mark = if change == expected { "" } else { "!" };
            table.row([
                actor.clone(),
                (*kind).to_owned(),
                grouped(before),
                grouped(after),
                signed(change),
                signed(expected),
                mark.to_owned(),
            ]);
            match pot {
                Pot::Supply if held != change => {
                    disagreements.push(format!(
                        "the actors' tokens changed by {}, the supply by {}",
                        signed(held),
                        signed(change)
                    ));
                }
                Pot::Supply => {}
                _ => held += change,
            }
        }
        table.text(2)
    }
}

fn signed(change: i128) -> String {
    let plus = if change > 0 { "+" } else { "" };
    format!("{plus}{}", grouped(change))
}

/// The first characters of a session id, enough to tell sessions apart.
fn short(session: &str) -> String {
    session.chars().take(12).collect()
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
