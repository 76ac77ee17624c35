//! What the ledger says was earned and paid, beside the balance of the account that earned and paid it.

use std::time::Duration;

use portico_client::Accounts as _;
use portico_protocol::Upokt;
use portico_protocol::tx::pack;
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_testkit::{Fault, question};

use super::*;
use crate::leaf_log::{Backup, LeafReader};
use crate::{ExpiredReason, LedgerTotals, Stage};

/// What the account holds at first.
const BALANCE: u128 = 1_000_000;
/// What the chain takes for a proof.
const PROOF_FEE: u128 = 1_000;
/// Per unit of gas, so that a transaction costs a few upokt.
const GAS_PRICE: u64 = 10;
/// Seconds, and blocks of the chain in memory, after which no block takes a transaction.
const TIMEOUT_S: u64 = 30;
const PATIENCE: Duration = Duration::from_secs(20);

const fn with_fees(config: &mut ServicerConfig) {
    config.tx.gas_price_micro_upokt = GAS_PRICE;
    config.tx.timeout_s = TIMEOUT_S;
}

impl World {
    async fn with_fees() -> Self {
        Self::with_funds(BALANCE, PROOF_FEE, with_fees).await
    }

    /// The configuration of [`Self::with_fees`].
    fn config_with_fees(&self) -> ServicerConfig {
        let mut config = self.config();
        let service = config.services[&SERVICE.parse().unwrap()].clone();
        config.services.insert("second".parse().unwrap(), service);
        with_fees(&mut config);
        config
    }

    fn totals(&self) -> LedgerTotals {
        LedgerTotals::of(&self.rows())
    }

    /// The totals once so many transactions are left of which nobody knows what they cost.
    async fn totals_with_unknown(&self, unknown: u64) -> LedgerTotals {
        let known = async {
            while self.totals().fees_unknown != unknown {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, known).await;
        waited.unwrap_or_else(|_| panic!("{unknown} expected: {:?}", self.totals()));
        self.totals()
    }

    async fn balance(&self) -> i128 {
        let balance = self.chain.balance(&self.supplier()).await.unwrap();
        i128::try_from(balance.0).unwrap()
    }

    /// That earnings less fees are what the balance changed by, but for what was `given` otherwise; returns the totals.
    async fn check_balance(&self, given: i128) -> LedgerTotals {
        self.check_balance_with_unknown(given, 0).await
    }

    async fn check_balance_with_unknown(&self, given: i128, unknown: u64) -> LedgerTotals {
        let totals = self.totals_with_unknown(unknown).await;
        let before = i128::try_from(BALANCE).unwrap();
        assert_eq!(
            totals.net_upokt(),
            self.balance().await - before - given,
            "{totals:?}"
        );
        totals
    }

    fn give(&self, from: &SigningKey, to: Address, upokt: u128) {
        let payment = MsgSend {
            from_address: from.address().to_string(),
            to_address: to.to_string(),
            amount: vec![Upokt(upokt).into()],
        };
        self.chain.send(from, vec![pack(&payment)]);
    }
}

#[tokio::test]
async fn earnings_less_fees_are_what_the_balance_changed_by() {
    let mut world = World::with_fees().await;
    world.chain.lose(1); // the first claims: they are sent again
    world.go_to(15).await;
    // Both sessions had a claim in the transaction that was lost, and it may still come.
    let lost = 2;
    let totals = world.check_balance_with_unknown(0, lost).await;
    assert!(
        totals.tx_fees_upokt.0 > 0 && totals.proof_fees_upokt == Upokt(0),
        "{totals:?}"
    );
    world.stop().await;
    let reader = LeafReader::open(world.folder.path()).unwrap();
    let told = LedgerTotals::of(&reader.ledger().unwrap());
    drop(reader);
    assert!(told.tx_fees_upokt.0 > 0 && told.fees_unknown == lost, "{told:?}");
    world.run(world.config_with_fees());
    world.go_to(20).await;
    assert!(world.rows().iter().all(|row| row.stage == Stage::Settled));
    let totals = world.check_balance_with_unknown(0, lost).await;
    assert_eq!(totals.proof_fees_upokt, Upokt(2 * PROOF_FEE));
    world.go_to(50).await;
    let totals = world.check_balance(0).await;
    assert_eq!(totals.proof_fees_upokt, Upokt(2 * PROOF_FEE));
    assert!(totals.tx_fees_upokt.0 > 0, "{totals:?}");
}

/// What the chain took stays taken, whatever becomes of the messages.
#[tokio::test]
async fn a_transaction_that_failed_in_its_block_was_paid_for() {
    let fixed = |config: &mut ServicerConfig| {
        with_fees(config);
        config.tx.gas_limit = 1_000_000; // nothing is simulated, so the failure comes in a block
    };
    let world = World::with_funds(BALANCE, PROOF_FEE, fixed).await;
    world.go_to(15).await;
    let claimed = world.check_balance(0).await;
    assert_eq!(claimed.tx_fees_upokt, Upokt(10));
    let left = world.balance().await - i128::try_from(PROOF_FEE).unwrap();
    world.give(
        &world.suppliers[0],
        world.gateway.address(),
        left.try_into().unwrap(),
    );
    world.go_to(17).await; // one transaction with two proofs that the account cannot pay for
    // What failed is sent again, each proof alone.
    let failed = world.check_balance_with_unknown(-left, 2).await;
    assert_eq!(failed.tx_fees_upokt, Upokt(20), "{failed:?}");
    assert_eq!(failed.proof_fees_upokt, Upokt(0), "{failed:?}");
    world.give(&world.gateway, world.supplier(), 10 * PROOF_FEE);
    world.go_to(20).await;
    let given = i128::try_from(10 * PROOF_FEE).unwrap() - left;
    let totals = world.check_balance(given).await;
    let failed = world.chain.included().iter().filter(|tx| tx.code != 0).count();
    assert!(failed > 0, "a transaction failed in its block");
    assert!(totals.proof_fees_upokt.0 > 0, "{totals:?}");
    for (kind, taken) in [
        ("transaction", totals.tx_fees_upokt),
        ("proof", totals.proof_fees_upokt),
    ] {
        let counted = world.metric("servicer_fees_upokt_total", &[("kind", kind)]);
        assert_eq!(counted, taken.0 as f64, "{kind}");
    }
    assert!(world.rows().iter().any(|row| row.stage == Stage::Settled));
}

#[tokio::test]
async fn fees_follow_a_chain_that_goes_back() {
    let world = World::with_fees().await;
    world.go_to(14).await;
    let before = world.check_balance(0).await;
    assert!(before.tx_fees_upokt.0 > 0);
    world.chain.roll_back(12);
    let taken = async {
        while world.running().handle.height() != 12 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.unwrap();
    assert_eq!(
        world.totals().tx_fees_upokt,
        Upokt(0),
        "no block has them any more"
    );
    world.go_to(50).await;
    assert!(world.rows().iter().all(|row| row.stage == Stage::Settled));
    world.check_balance(0).await;
}

/// Nothing is made up: what no node tells is counted as not known, and asked again after a restart.
#[tokio::test]
async fn fees_that_no_node_tells_are_counted_as_not_known() {
    let mut world = World::with_fees().await;
    let no_index = Fault::Refused(portico_client::ChainError::Internal(
        "transaction indexing is disabled".to_owned(),
    ));
    world.chain.fail_when(question::TX, no_index, |_| true);
    world.go_to(60).await;
    assert!(world.rows().iter().all(|row| row.stage == Stage::Settled));
    let totals = world.totals();
    assert_eq!((totals.tx_fees_upokt, totals.fees_unknown), (Upokt(0), 4));
    let asked = world.chain.asked(question::TX);
    world.go_to(62).await;
    assert_eq!(
        world.chain.asked(question::TX),
        asked,
        "there is no use in asking on"
    );
    world.stop().await;
    world.chain.fail_when(question::TX, Fault::Lost, |_| false);
    world.run(world.config_with_fees());
    world.go_to(63).await;
    world.check_balance(0).await;
}

#[tokio::test]
async fn a_claim_that_was_never_sent_cost_nothing() {
    let world = World::with_funds(1, PROOF_FEE, with_fees).await;
    world.go_to(20).await;
    let expired = Stage::Expired {
        reason: ExpiredReason::Unfunded,
    };
    assert!(world.rows().iter().all(|row| row.stage == expired));
    assert_eq!(world.totals().net_upokt(), 0);
    assert_eq!(world.totals().fees_unknown, 0);
}

#[tokio::test]
async fn fees_are_in_a_backup_and_in_what_a_repair_finds() {
    let mut world = World::with_fees().await;
    world.go_to(20).await;
    world.check_balance(0).await;
    world.stop().await;
    let rows = |folder: &std::path::Path| LeafReader::open(folder).unwrap().ledger().unwrap();
    let told = rows(world.folder.path());
    assert!(LedgerTotals::of(&told).proof_fees_upokt.0 > 0);

    let copy = tempfile::tempdir().unwrap();
    let mut backup = Backup::to(copy.path()).unwrap();
    backup.read(world.folder.path()).unwrap();
    assert!(backup.finish().unwrap().is_sound());
    assert_eq!(rows(copy.path()), told);

    let sent = tempfile::tempdir().unwrap();
    let mut backup = Backup::to(sent.path()).unwrap();
    let log = RedbLog::open(world.folder.path()).unwrap();
    crate::leaf_log::backup::send(&log, |bytes| backup.push(&bytes).is_ok()).unwrap();
    drop(log);
    backup.finish().unwrap();
    assert_eq!(rows(sent.path()), told);

    crate::leaf_log::repair(world.folder.path(), true)
        .unwrap()
        .unwrap();
    assert_eq!(rows(world.folder.path()), told);
}
