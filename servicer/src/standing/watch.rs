//! Asks the chain how the suppliers stand.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use portico_client::{Chain, ChainError};
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket;
use portico_protocol::wire::pocket::shared::Supplier;
use portico_protocol::{Address, Height, ServiceId, Upokt};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Standings;
use super::judge::{Alarm, Facts, judge};
use crate::lifecycle::funds::Costs;
use crate::lifecycle::remembered::answered;
use crate::lifecycle::submit::Submitter;
use crate::metrics::Metrics;
use crate::relay::served::Serving;
use crate::session::record::SessionRecord;
use crate::session::stage::{ExpiredReason, Stage};
use crate::session::tree::SessionTrees;

/// Blocks between two looks at all suppliers; those with an alarm, or without an answer, are looked at in each block.
const EVERY_BLOCKS: i64 = 10;
/// Suppliers that are asked about at a time.
const MAX_AT_A_TIME: usize = 64;

/// The task that keeps [`Standings`].
pub(crate) struct Watch {
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) trees: Arc<SessionTrees>,
    pub(crate) submitter: Arc<Submitter>,
    pub(crate) standings: Arc<Standings>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) serving: Arc<Serving>,
}

/// What the last look at all suppliers left.
#[derive(Default)]
struct Seen {
    /// With the height of that look.
    rules: Option<(Height, Rules)>,
    /// Suppliers that are looked at again at the next block.
    restless: BTreeSet<Address>,
}

/// What the sessions of a supplier may still cost.
#[derive(Clone, Copy, Debug, Default)]
struct Burden {
    /// Of its account.
    outstanding: u128,
    /// Claims that will cost stake.
    certain_slashes: u64,
}

/// Params that say how a supplier stands.
struct Rules {
    min_stake: Upokt,
    proof: pocket::proof::Params,
    unbonding_blocks: i64,
}

impl Watch {
    /// Looks at blocks until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut head = self.chain.head();
        let mut seen = Seen::default();
        loop {
            let height = head.borrow_and_update().height;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.block(height, &mut seen) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = head.changed() => if changed.is_err() {
                    return stop.cancelled().await;
                },
            }
        }
    }

    /// Looks at whom the block at `height` is for.
    async fn block(&self, height: Height, seen: &mut Seen) {
        if height.0 <= 0 {
            return;
        }
        let is_fresh = |(at, _): &(Height, Rules)| (0..EVERY_BLOCKS).contains(&(height.0 - at.0));
        let of = if seen.rules.as_ref().is_some_and(is_fresh) {
            mem::take(&mut seen.restless)
        } else {
            seen.rules = self.rules().await.map(|rules| (height, rules));
            let suppliers = self.serving.now().keys.keys().copied().collect();
            self.standings.keep(&suppliers);
            suppliers
        };
        if let Some((_, rules)) = &seen.rules {
            seen.restless = self.look(of, rules, height).await;
        }
    }

    /// Looks at these suppliers; those that are to be looked at again at the next block.
    async fn look(&self, of: BTreeSet<Address>, rules: &Rules, head: Height) -> BTreeSet<Address> {
        if of.is_empty() {
            return of;
        }
        let costs = Costs::new(self.submitter.fees(), &rules.proof);
        let burdens = self.burdens(&costs, head);
        let served: BTreeSet<ServiceId> = self.serving.now().services.keys().cloned().collect();
        let mut restless = BTreeSet::new();
        let mut left = of.into_iter();
        let mut asking = JoinSet::new();
        loop {
            while asking.len() < MAX_AT_A_TIME
                && let Some(operator) = left.next()
            {
                let (chain, submitter) = (Arc::clone(&self.chain), Arc::clone(&self.submitter));
                asking.spawn(ask(chain, submitter, operator));
            }
            let Some(asked) = asking.join_next().await else {
                break;
            };
            match asked {
                Ok((operator, Ok((supplier, balance)))) => {
                    let burden = burdens.get(&operator).copied().unwrap_or_default();
                    let services = supplier.as_ref().map_or(0, |supplier| supplier.services.len());
                    let facts = Facts {
                        supplier: supplier.as_ref(),
                        balance,
                        needed: costs
                            .needed(burden.outstanding, u128::try_from(services).unwrap_or(u128::MAX)),
                        min_stake: rules.min_stake,
                        penalty: amount(rules.proof.proof_missing_penalty.as_ref()),
                        certain_slashes: burden.certain_slashes,
                        services: &served,
                        unbonding_blocks: rules.unbonding_blocks,
                    };
                    if self.judged(operator, &facts) {
                        restless.insert(operator);
                    }
                }
                Ok((supplier, Err(error))) => {
                    tracing::warn!(%error, %supplier, "how a supplier stands cannot be asked");
                    restless.insert(supplier);
                }
                // It is looked at with all others again.
                Err(error) => tracing::error!(%error, "a question about a supplier failed"),
            }
        }
        for name in Alarm::NAMES {
            self.metrics.supplier_alarms(name, self.standings.count(name));
        }
        restless
    }

    async fn rules(&self) -> Option<Rules> {
        let asked = tokio::try_join!(
            answered(self.chain.supplier_params()),
            answered(self.chain.proof_params()),
            answered(self.chain.shared_params(None)),
        );
        let (supplier, proof, shared) = asked
            .inspect_err(
                |error| tracing::warn!(%error, "the params that suppliers are judged by cannot be asked"),
            )
            .ok()?;
        let sessions = i64::try_from(shared.supplier_unbonding_period_sessions).unwrap_or(i64::MAX);
        let blocks = i64::try_from(shared.num_blocks_per_session).unwrap_or(i64::MAX);
        Some(Rules {
            min_stake: amount(supplier.min_stake.as_ref()),
            proof,
            unbonding_blocks: sessions.saturating_mul(blocks),
        })
    }

    /// What sessions may still cost, by supplier.
    fn burdens(&self, costs: &Costs, head: Height) -> BTreeMap<Address, Burden> {
        let mut burdens: BTreeMap<Address, Burden> = BTreeMap::new();
        for tree in self.trees.all().iter().filter(|tree| !tree.is_forgotten()) {
            let record = tree.record();
            let burden = burdens.entry(record.supplier).or_default();
            let outstanding = costs.outstanding(&record, record.stage == Stage::ClaimSent);
            burden.outstanding = burden.outstanding.saturating_add(outstanding);
            burden.certain_slashes = burden
                .certain_slashes
                .saturating_add(u64::from(is_lost(&record, head)));
        }
        burdens
    }

    /// Keeps what follows from what is known of a supplier, and tells of it; whether that may change soon.
    fn judged(&self, operator: Address, facts: &Facts<'_>) -> bool {
        let standing = judge(facts);
        let stake = facts.supplier.and_then(|supplier| supplier.stake.as_ref());
        let (stake, balance) = (amount(stake), facts.balance);
        self.metrics.supplier(&operator.to_string(), stake, balance);
        let quiet = standing.alarms.is_empty();
        let before = self.standings.set(operator, standing.clone());
        let had = |alarm: &Alarm| {
            let before = before.iter().flat_map(|before| &before.alarms);
            before.into_iter().any(|old| old.name() == alarm.name())
        };
        for alarm in standing.alarms.iter().filter(|alarm| !had(alarm)) {
            tracing::error!(supplier = %operator, alarm = alarm.name(), "{alarm}");
        }
        if quiet && before.is_some_and(|before| !before.alarms.is_empty()) {
            tracing::info!(supplier = %operator, "the supplier is in order again");
        }
        standing.alarms.iter().any(Alarm::may_end_soon)
    }
}

/// What the chain says of a supplier: its stake, if any, and its account. The number of the account is asked for beside them, and remembered.
async fn ask(
    chain: Arc<dyn Chain>,
    submitter: Arc<Submitter>,
    operator: Address,
) -> (Address, Result<(Option<Supplier>, Upokt), ChainError>) {
    let supplier = async {
        match answered(chain.supplier(&operator)).await {
            Ok(supplier) => Ok(Some(supplier)),
            Err(ChainError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let standing = async { tokio::try_join!(supplier, answered(chain.balance(&operator))) };
    // Without an answer the first transaction asks again.
    let (asked, _) = tokio::join!(standing, submitter.prepare(operator));
    (operator, asked)
}

/// Whether the claim of `record` will be slashed: its proof is asked for, and will not come.
fn is_lost(record: &SessionRecord, head: Height) -> bool {
    let reason = match record.stage {
        Stage::Expired { reason } => reason,
        _ => return false,
    };
    let unproved = matches!(
        reason,
        ExpiredReason::RootMismatch | ExpiredReason::ProofNotVerified | ExpiredReason::ProofWindowMissed
    );
    let asked_for = record.claimed_on_chain && record.proof_required == Some(true);
    unproved && asked_for && head < record.windows.proof_close
}

fn amount(coin: Option<&Coin>) -> Upokt {
    coin.and_then(|coin| Upokt::try_from(coin).ok())
        .unwrap_or_default()
}
