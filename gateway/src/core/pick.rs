//! Which suppliers of a session to try, and in which order. Pure: the same state and seed give the same order.

use portico_protocol::Height;
use portico_relay::RpcType;
use portico_session_cache::SessionView;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use crate::core::reputation::{Rank, Reputation};

/// One relay in so many tries a supplier of a lower tier first, or it could never get better. A good one follows if it fails.
const PROBATION: u32 = 20;

/// Why suppliers of a session are not tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filtered {
    /// They have no endpoint for this kind of call.
    pub(crate) no_endpoint: usize,
    /// They have served what the application's stake pays for.
    pub(crate) exhausted: usize,
    /// Their answers did not verify.
    pub(crate) distrusted: usize,
}

/// Indices of the suppliers of `session` to try for a relay of this kind, best first, and what was left out.
pub(crate) fn rank(
    session: &SessionView,
    rpc_type: RpcType,
    reputation: &Reputation,
    height: Height,
    rng: &mut impl Rng,
) -> (Vec<usize>, Filtered) {
    let mut filtered = Filtered::default();
    let mut tiers: [Vec<usize>; 3] = Default::default();
    for (index, supplier) in session.suppliers.iter().enumerate() {
        if supplier.url(rpc_type.wire()).is_none() {
            filtered.no_endpoint = filtered.no_endpoint.saturating_add(1);
            continue;
        }
        match reputation.rank(session, &supplier.operator, height) {
            Rank::Tier(tier) => tiers[usize::from(tier.min(2))].push(index),
            Rank::Exhausted => filtered.exhausted = filtered.exhausted.saturating_add(1),
            Rank::Distrusted => filtered.distrusted = filtered.distrusted.saturating_add(1),
        }
    }
    for tier in &mut tiers {
        tier.shuffle(rng);
    }
    let [best, middling, poor] = &mut tiers;
    let probation = rng.random_ratio(1, PROBATION) && !best.is_empty();
    let probation = probation.then(|| poor.pop().or_else(|| middling.pop())).flatten();
    (
        probation.into_iter().chain(tiers.into_iter().flatten()).collect(),
        filtered,
    )
}
