//! Waiting until relays are paid, and looking at the money then.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use portico_client::Chain;
use portico_protocol::session::Timing;
use portico_protocol::{Height, ServiceId};

use super::actors::Actors;
use super::expected::Rates;
use super::load::Tally;
use super::money::{Money, Pots, Snapshot, Verdict, leaves};
use super::start::Network;
use super::supply::Supply;
use super::watch::{Seen, Watch};

/// Blocks that are waited beyond the last session's settlement, before its absence is told.
const PATIENCE_BLOCKS: i64 = 2;

/// What there was before the client began.
pub(super) struct Before {
    /// Stakes and balances.
    pub(super) amounts: Snapshot,
    /// Leaves of the servicer.
    pub(super) leaves: Tally,
}

/// Waits until every session of `tally` is settled (or is overdue), and compares all figures with what they should be after `before`;
/// `say` is told how far the sessions are.
pub(super) async fn follow(
    network: &Network,
    actors: &Actors,
    (pots, supply): (&Pots, &Supply),
    (before, tally): (&Before, &Tally),
    say: &mut dyn FnMut(Height, String),
) -> Result<Verdict> {
    let chain = &network.chain;
    let mut watch = Watch::after(chain.clone(), before.amounts.height);
    wait(&**chain, &mut watch, tally, say).await?;
    let leaves = leaves(&network.books.ledger().await?);
    let after = pots.read(&**chain, supply).await?;
    watch.catch_up(after.height).await?;
    let rates = Rates::of(
        &chain.shared_params(None).await?,
        &chain.tokenomics_params().await?,
    )?;
    let units = units(&**chain, &watch.seen).await?;
    let money = Money {
        actors,
        pots,
        before: &before.amounts,
        after: &after,
        earlier: &before.leaves,
        tally,
        leaves: &leaves,
        seen: &watch.seen,
        rates: &rates,
        units: &units,
    };
    Ok(money.verdict())
}

async fn wait(chain: &dyn Chain, watch: &mut Watch, tally: &Tally, say: &mut dyn FnMut(Height, String)) -> Result<()> {
    let params = chain.shared_params(None).await?;
    let timing = Timing::new(&params);
    let mut head = chain.head();
    let sent_at = chain.status().await?.head.height; // asked: the head of a remote chain may lag behind
    let last = timing.proof_close(sent_at);
    loop {
        let height = head.borrow_and_update().height;
        watch.catch_up(height).await?;
        let settled = tally
            .keys()
            .filter(|served| watch.seen.settlement(served).is_some())
            .count();
        if settled == tally.len() || height.0 > last.0.saturating_add(PATIENCE_BLOCKS) {
            return Ok(());
        }
        let what = format!(
            "{}; {} claimed, {} proved, {settled} of {} settled",
            stage(&timing, sent_at, height),
            watch.seen.claims,
            watch.seen.proofs,
            tally.len(),
        );
        say(height, what);
        head.changed()
            .await
            .context("the chain's blocks can no longer be followed")?;
    }
}

/// Where the session that contains `sent_at` is at `height`.
fn stage(timing: &Timing<'_>, sent_at: Height, height: Height) -> String {
    let stages = [
        (timing.end(sent_at), "session ends"),
        (timing.claim_open(sent_at), "claim window opens"),
        (timing.claim_close(sent_at), "claim window closes"),
        (timing.proof_open(sent_at), "proof window opens"),
        (
            timing.proof_close(sent_at),
            "proof window closes and claims settle",
        ),
    ];
    let next = stages.into_iter().find(|(at, _)| height < *at);
    next.map_or_else(
        || "claims settle now".to_owned(),
        |(at, what)| format!("{what} at {at}"),
    )
}

/// Compute units per relay of every service that was settled.
async fn units(chain: &dyn Chain, seen: &Seen) -> Result<BTreeMap<ServiceId, u64>> {
    let mut units = BTreeMap::new();
    for settlement in &seen.settlements {
        if !units.contains_key(&settlement.service) {
            let service = chain.service(&settlement.service).await?;
            units.insert(settlement.service.clone(), service.compute_units_per_relay);
        }
    }
    Ok(units)
}
