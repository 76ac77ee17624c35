//! Which suppliers of a session to try, and in which order. Pure: the same state and seed give the same order.

use portico_protocol::Height;
use portico_relay::RpcType;
use portico_session_cache::SessionView;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use crate::core::choice::Choice;
use crate::core::reputation::{Rank, Reputation};

/// One relay in so many tries a supplier of a lower tier first, or it could never get better. A good one follows if it fails.
const PROBATION: u32 = 20;

/// Kinds by which a call is sent when no supplier of its session staked its own, in this order (as PATH): suppliers stake the wrong kind, and
/// their backends answer all the same.
const INSTEAD: [RpcType; 4] = [RpcType::JsonRpc, RpcType::Rest, RpcType::CometBft, RpcType::Grpc];

/// Why suppliers of a session are not tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filtered {
    /// They have no endpoint for this kind of call.
    pub(crate) no_endpoint: usize,
    /// They have served what the application's stake pays for.
    pub(crate) exhausted: usize,
    /// Their answers did not verify.
    pub(crate) distrusted: usize,
    /// The caller wants others.
    pub(crate) unwanted: usize,
}

/// Whom to try.
#[derive(Clone, Debug)]
pub(crate) struct Ranked {
    /// Indices of suppliers of the session, best first.
    pub(crate) suppliers: Vec<usize>,
    /// The kind of endpoint that takes the call: its own, or one that is staked instead.
    pub(crate) rpc_type: RpcType,
    /// Who was left out.
    pub(crate) filtered: Filtered,
}

/// The suppliers of `session` to try for a relay of this kind, of those that the caller wants.
pub(crate) fn rank(
    session: &SessionView,
    rpc_type: RpcType,
    choice: Option<&Choice>,
    reputation: &Reputation,
    height: Height,
    rng: &mut impl Rng,
) -> Ranked {
    let rpc_type = staked(session, rpc_type);
    let mut filtered = Filtered::default();
    let mut tiers: [Vec<usize>; 3] = Default::default();
    for (index, supplier) in session.suppliers.iter().enumerate() {
        let Some(url) = supplier.url(rpc_type.wire()) else {
            filtered.no_endpoint = filtered.no_endpoint.saturating_add(1);
            continue;
        };
        if choice.is_some_and(|choice| !choice.takes(supplier, url)) {
            filtered.unwanted = filtered.unwanted.saturating_add(1);
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
    Ranked {
        suppliers: probation.into_iter().chain(tiers.into_iter().flatten()).collect(),
        rpc_type,
        filtered,
    }
}

/// `wanted`, if any supplier of the session staked it, else the first kind [`INSTEAD`] of it that one did.
fn staked(session: &SessionView, wanted: RpcType) -> RpcType {
    let is_staked = |kind: &RpcType| {
        let mut suppliers = session.suppliers.iter();
        suppliers.any(|supplier| supplier.url(kind.wire()).is_some())
    };
    match is_staked(&wanted) || wanted == RpcType::WebSocket {
        // An endpoint for requests takes no WebSocket.
        true => wanted,
        false => INSTEAD.into_iter().find(is_staked).unwrap_or(wanted),
    }
}
