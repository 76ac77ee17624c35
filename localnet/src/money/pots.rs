//! Where tokens lie: stakes, balances and the supply, read all at one height.

use anyhow::{Context, Result};
use portico_client::Chain;
use portico_protocol::{Address, Height};

use super::supply::Supply;
use crate::actors::{Actors, application_name, supplier_name};

/// How often reading all balances is tried: a block in between makes them those of two heights.
const SNAPSHOT_TRIES: usize = 100;

/// Where tokens lie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pot {
    ApplicationStake(Address),
    GatewayStake(Address),
    SupplierStake(Address),
    Balance(Address),
    Supply,
}

/// The pots of a local network, in the order of the table, with actor and kind.
pub struct Pots(pub(super) Vec<(String, &'static str, Pot)>);

impl Pots {
    /// All pots of `actors`, and the total supply.
    #[must_use]
    pub fn of(actors: &Actors) -> Self {
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
        for (index, key) in actors.suppliers.iter().enumerate() {
            pots.push((supplier_name(index), "stake", Pot::SupplierStake(key.address())));
        }
        for (name, key) in actors.all() {
            pots.push((name, "balance", Pot::Balance(key.address())));
        }
        pots.push(("all tokens".to_owned(), "supply", Pot::Supply));
        Self(pots)
    }

    /// What is in each pot, all at one height, which is returned too.
    pub async fn read(&self, chain: &dyn Chain, supply: &Supply) -> Result<Snapshot> {
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
    #[must_use]
    pub fn stake_of(&self, actor: &Address, snapshot: &Snapshot) -> Option<u128> {
        self.find(snapshot, |pot| match pot {
            Pot::ApplicationStake(address) | Pot::GatewayStake(address) | Pot::SupplierStake(address) => {
                address == actor
            }
            Pot::Balance(_) | Pot::Supply => false,
        })
    }

    /// Balance of an actor at the time of `snapshot`.
    #[must_use]
    pub fn balance_of(&self, actor: &Address, snapshot: &Snapshot) -> Option<u128> {
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
pub struct Snapshot {
    /// The height.
    pub height: Height,
    /// In upokt, in the order of the pots.
    pub(super) amounts: Vec<u128>,
}
