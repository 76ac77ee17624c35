//! Suppliers that leave, are poor, or will be slashed.

use portico_protocol::Upokt;
use portico_protocol::tx::pack;
use portico_protocol::wire::pocket::supplier::MsgUnstakeSupplier;

use super::*;
use crate::{ExpiredReason, Stage};

impl World {
    /// A servicer of the first supplier alone, whose stake and balance are these.
    async fn staked(stake: Option<u128>, balance: Option<u128>) -> Self {
        let mut world = Self::without_servicer().await;
        let supplier = world.supplier();
        world.chain.found(|genesis| {
            let mut suppliers = genesis.suppliers.iter_mut();
            let staked = suppliers.find(|staked| staked.operator == supplier).unwrap();
            staked.stake = stake.map_or(staked.stake, Upokt);
            let mut accounts = genesis.accounts.iter_mut();
            let account = accounts.find(|account| account.address == supplier).unwrap();
            account.balance = balance.map_or(account.balance, Upokt);
        });
        let mut config = world.config();
        config.suppliers.truncate(1);
        world.run(config);
        world
    }

    fn min_stake(&self) -> u128 {
        self.chain.genesis().params.supplier_min_stake.0
    }

    fn penalty(&self) -> u128 {
        self.chain.genesis().params.proof.proof_missing_penalty.0
    }

    /// Waits until `/ready` warns of exactly these alarms.
    async fn until_warned_of(&self, alarms: &[&str]) {
        self.until("other warnings", async || {
            let warnings = self.running().handle.readiness().warnings;
            let named = |(warning, alarm): (&String, &&str)| warning.contains(&format!(": {alarm}: "));
            warnings.len() == alarms.len() && warnings.iter().zip(alarms).all(named)
        })
        .await;
        for alarm in alarms {
            self.until("another metric", async || {
                self.metric("servicer_supplier_alarms", &[("alarm", *alarm)]) == 1.0
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_supplier_that_leaves_serves_what_is_settled_before_it_is_gone() {
    let world = World::staked(None, None).await;
    world
        .until("a first look", async || {
            world.metric("servicer_supplier_stake_upokt", &[]) > 0.0
        })
        .await;
    world.until_warned_of(&[]).await;
    let unstake = MsgUnstakeSupplier {
        signer: world.supplier().to_string(),
        operator_address: world.supplier().to_string(),
    };
    world.chain.send(&world.suppliers[0], vec![pack(&unstake)]);
    // Suppliers in order are looked at every ten blocks.
    world.go_to(2).await;
    world.relay("/", "served").await;
    world.go_to(11).await;
    world.until_warned_of(&["unstaking"]).await;
    assert!(world.running().handle.readiness().ready, "its sessions go on");
    world.go_to(20).await;
    assert_eq!(world.row().stage, Stage::Settled);
    world.go_to(21).await;
    world.until_warned_of(&["not_staked"]).await;
    let readiness = world.running().handle.readiness();
    assert_eq!(readiness.reasons, ["no supplier can earn: see warnings"]);
}

#[tokio::test]
async fn a_stake_below_the_least_takes_no_relays() {
    let world = World::staked(None, None).await;
    world.relay("/", "served").await;
    world.chain.set_min_stake(u128::MAX / 2);
    // Suppliers in order are looked at every ten blocks.
    world.go_to(11).await;
    world.until_warned_of(&["below_min_stake"]).await;
    let refused = world.refused(&world.request("/", "x")).await;
    refused.is(403, "takes no relays of this session: below_min_stake");
    assert_eq!(world.backend.hits(), 1);
    assert!(!world.running().handle.readiness().ready);
}

/// A claim whose proof cannot come will take the stake below the least: relays stop before the chain unstakes the supplier.
#[tokio::test]
async fn relays_stop_before_a_slash_unstakes_the_supplier() {
    let unstaked = World::without_servicer().await;
    let (min, penalty) = (unstaked.min_stake(), unstaked.penalty());
    let world = World::staked(Some(min + penalty - 1), None).await;
    world.until_warned_of(&["stake_low"]).await;
    world.relay("/", "served").await;
    world.go_to(14).await;
    world.chain.forget_delegations();
    world.go_to(15).await;
    let reason = ExpiredReason::ProofNotVerified;
    assert_eq!(world.row().stage, Stage::Expired { reason });
    world.go_to(17).await;
    world.until_warned_of(&["unstakes_soon"]).await;
    let refused = world.refused(&world.request("/", "in the next session")).await;
    refused.is(403, "unstakes_soon");
    // It comes as foreseen.
    world.go_to(21).await;
    world.until_warned_of(&["unstaking"]).await;
}

#[tokio::test]
async fn an_empty_account_is_told() {
    let world = World::staked(None, Some(0)).await;
    world.until_warned_of(&["low_balance"]).await;
    assert!(!world.running().handle.readiness().ready);
    world
        .relay("/", "served: the account may be given more in time")
        .await;
}
