//! Claims that the supplier's account cannot pay for, or that cost more than they are worth.

use portico_client::ChainError;
use portico_protocol::Upokt;
use portico_protocol::tx::pack;
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_testkit::{Fault, question};

use super::*;
use crate::{ExpiredReason, Gaps, Stage};

/// What the chain takes for a proof: less than one relay is worth.
const PROOF_FEE: u128 = 1_000;

const fn expired(reason: ExpiredReason) -> Stage {
    Stage::Expired { reason }
}

impl World {
    /// A supplier with `balance` that served three relays for [`SERVICE`] and one for another service, each of which is proved for `fee`.
    pub(super) async fn with_funds(
        balance: u128,
        fee: u128,
        adjust: impl FnOnce(&mut ServicerConfig),
    ) -> Self {
        let mut world = Self::without_servicer().await;
        let supplier = world.supplier();
        world.chain.header(1, "second"); // makes the service
        world.chain.found(|genesis| {
            genesis.params.proof.proof_submission_fee = Upokt(fee);
            let mut accounts = genesis.accounts.iter_mut();
            accounts
                .find(|account| account.address == supplier)
                .unwrap()
                .balance = Upokt(balance);
        });
        let mut config = world.config();
        let service = config.services[&SERVICE.parse().unwrap()].clone();
        config.services.insert("second".parse().unwrap(), service);
        adjust(&mut config);
        world.run(config);
        for (service, relays) in [(SERVICE, 3), ("second", 1)] {
            let header = world.chain.header(1, service);
            for n in 0..relays {
                let request = world.request_in(&header, &supplier.to_string(), "/", &format!("{n}"));
                assert!(world.is_served(&request).await);
            }
        }
        world
    }

    /// Stages of the two sessions, the more valuable one first.
    fn both(&self) -> [Stage; 2] {
        let mut rows = self.rows();
        rows.sort_by_key(|row| std::cmp::Reverse(row.committed));
        for row in &rows {
            assert!(Gaps::of(row).closes(row), "{row:?}");
        }
        [rows[0].stage, rows[1].stage]
    }

    fn withheld(&self, reason: &str) -> f64 {
        self.metric("servicer_claims_withheld_total", &[("reason", reason)])
    }
}

#[tokio::test]
async fn no_claim_is_sent_whose_proof_could_not_be_paid_for() {
    // Enough for one proof: the chain wants more in the account than its fee.
    let world = World::with_funds(PROOF_FEE + 1, PROOF_FEE, |_| {}).await;
    world.go_to(14).await;
    assert_eq!(world.both(), [Stage::ClaimOnChain, Stage::Sealed]);
    assert_eq!(world.withheld("unfunded"), 1.0, "once for all blocks");
    world.go_to(20).await;
    assert_eq!(world.both(), [Stage::Settled, expired(ExpiredReason::Unfunded)]);
    let rows = world.rows();
    let withheld = rows.iter().find(|row| row.service.as_str() == "second").unwrap();
    let error = withheld.last_error.as_deref().unwrap();
    assert!(
        error.contains("holds 1001upokt") && error.contains("2001upokt"),
        "{error}"
    );
    assert_eq!(withheld.slashed_upokt, Upokt(0));
}

#[tokio::test]
async fn a_claim_is_sent_once_the_account_is_given_more() {
    let world = World::with_funds(PROOF_FEE + 1, PROOF_FEE, |_| {}).await;
    world.go_to(13).await;
    assert_eq!(world.both(), [Stage::ClaimOnChain, Stage::Sealed]);
    let payment = MsgSend {
        from_address: world.gateway.address().to_string(),
        to_address: world.supplier().to_string(),
        amount: vec![Upokt(PROOF_FEE).into()],
    };
    world.chain.send(&world.gateway, vec![pack(&payment)]);
    world.go_to(20).await;
    assert_eq!(world.both(), [Stage::Settled; 2]);
    assert_eq!(world.withheld("unfunded"), 1.0);
}

#[tokio::test]
async fn a_claim_that_costs_more_than_it_is_worth_is_sent_only_if_the_operator_says_so() {
    let fee = COST + 1; // more than one relay, less than three
    let world = World::with_funds(1_000_000, fee, |_| {}).await;
    world.go_to(20).await;
    assert_eq!(
        world.both(),
        [Stage::Settled, expired(ExpiredReason::Unprofitable)]
    );
    assert_eq!(world.withheld("unprofitable"), 1.0);
    let world = World::with_funds(1_000_000, fee, |config| config.tx.min_claim_value_percent = 0).await;
    world.go_to(20).await;
    assert_eq!(world.both(), [Stage::Settled; 2]);
    assert_eq!(world.withheld("unprofitable"), 0.0);
}

/// Not sending is a certain loss: when nobody says what the account holds, claims go in the second half of their window.
#[tokio::test]
async fn an_unknown_balance_holds_claims_back_for_half_of_the_window() {
    let world = World::with_funds(1_000_000, PROOF_FEE, |_| {}).await;
    let away = Fault::Refused(ChainError::Unavailable("no balances".to_owned()));
    world.chain.fail_when(question::BALANCE, away, |_| true);
    world.go_to(13).await;
    assert_eq!(world.both(), [Stage::Sealed; 2]);
    world.go_to(14).await;
    assert_eq!(world.both(), [Stage::ClaimSent; 2]);
    world.go_to(20).await;
    assert_eq!(world.both(), [Stage::Settled; 2]);
}
