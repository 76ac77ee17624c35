//! Waiting until relays are paid, and looking at the money then.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use portico_client::Chain;
use portico_protocol::session::Timing;
use portico_protocol::{Height, ServiceId};

use super::expected::Rates;
use super::figures::{Money, Verdict, leaves};
use super::load::Tally;
use super::pots::{Pots, Snapshot};
use super::supply::Supply;
use super::watch::{Seen, Watch};
use crate::actors::Actors;
use crate::network::Network;

/// Blocks that are waited beyond the last session's settlement, before its absence is told.
const PATIENCE_BLOCKS: i64 = 2;

/// What there was before the client began.
pub struct Before {
    /// Stakes and balances.
    pub amounts: Snapshot,
    /// Leaves of the servicer.
    pub leaves: Tally,
}

/// What a client did, and what there was before.
pub struct Moved<'a> {
    /// Who takes part.
    pub actors: &'a Actors,
    /// Where their tokens lie.
    pub pots: &'a Pots,
    /// What there was.
    pub before: &'a Before,
    /// Answers that the client received.
    pub tally: &'a Tally,
}

/// Waits until every session of the client's is settled (or is overdue), and compares all figures with what they should be; `say` is
/// told how far the sessions are.
pub async fn follow(
    network: &Network,
    supply: &Supply,
    moved: &Moved<'_>,
    say: &mut (dyn FnMut(Height, String) + Send),
) -> Result<Verdict> {
    let chain = &network.chain;
    let mut watch = Watch::after(chain.clone(), moved.before.amounts.height);
    wait(&**chain, &mut watch, moved.tally, say).await?;
    let leaves = leaves(&network.ledger.rows().await?);
    let after = moved.pots.read(&**chain, supply).await?;
    watch.catch_up(after.height).await?;
    let rates = Rates::of(
        &chain.shared_params(None).await?,
        &chain.tokenomics_params().await?,
    )?;
    let units = units(&**chain, &watch.seen).await?;
    let money = Money {
        pots: moved.pots,
        before: &moved.before.amounts,
        after: &after,
        earlier: &moved.before.leaves,
        actors: moved.actors,
        tally: moved.tally,
        leaves: &leaves,
        seen: &watch.seen,
        rates: &rates,
        units: &units,
    };
    Ok(money.verdict())
}

async fn wait(
    chain: &dyn Chain,
    watch: &mut Watch,
    tally: &Tally,
    say: &mut (dyn FnMut(Height, String) + Send),
) -> Result<()> {
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
