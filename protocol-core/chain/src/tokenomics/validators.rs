//! Who validates, with what stake, and how the validators' part of a block is shared: by bonded tokens, then commission, then delegation.

use std::collections::{BTreeMap, BTreeSet};

use portico_protocol::settlement::{Fraction, by_weight};
use portico_protocol::wire::pocket::tokenomics::SettlementOpReason as Reason;
use portico_protocol::{Address, Upokt};
use serde::{Deserialize, Serialize};

use super::operations::Operations;
use super::state::{MODULE, arithmetic};
use crate::context::Context;
use crate::error::{Fault, refuse};
use crate::event::{TypedEvent, quote};
use crate::state::{StateError, StateRead, Store};

const VALIDATORS: &[u8] = b"validators";

/// A bonded validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Validator {
    /// Account of its operator.
    pub(crate) account: Address,
    /// Bonded upokt.
    pub(crate) tokens: Upokt,
    /// Part of its delegators' rewards that it keeps: a decimal from 0 to 1, with up to 18 decimals.
    pub(crate) commission: String,
    /// Bonded upokt by who delegated them, itself included.
    pub(crate) delegations: BTreeMap<String, Upokt>,
}

/// The bonded validators.
pub(crate) fn validators(state: &dyn StateRead) -> Result<Vec<Validator>, StateError> {
    let Some(bytes) = state.get(Store::Tokenomics, VALIDATORS)? else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(&bytes).map_err(|error| StateError::Corrupt {
        store: Store::Tokenomics.name(),
        key: hex::encode(VALIDATORS),
        reason: error.to_string(),
    })
}

/// Sets the validators.
pub(crate) fn set_validators(ctx: &mut Context<'_>, validators: &[Validator]) -> Result<(), Fault> {
    let bytes = serde_json::to_vec(validators).map_err(|error| refuse(MODULE, 1117, error.to_string()))?;
    ctx.state.set(Store::Tokenomics, VALIDATORS.to_vec(), bytes);
    Ok(())
}

/// Queues `total` for the validators and their delegators. Without validators nobody is paid, and the tokens stay in the module.
pub(crate) fn distribute(
    ctx: &mut Context<'_>,
    total: Upokt,
    reason: Reason,
    session_end: i64,
    queued: &mut Operations,
) -> Result<(), Fault> {
    let mut validators = validators(&ctx.state)?;
    validators.retain(|validator| validator.tokens > Upokt(0));
    validators.sort_by_key(|validator| validator.account.to_string());
    if total == Upokt(0) || validators.is_empty() {
        return Ok(());
    }
    let weights = validators
        .iter()
        .map(|validator| (validator.account.to_string(), validator.tokens.0))
        .collect();
    let pools = by_weight(total, &weights).map_err(|error| arithmetic(&error))?;
    let mut rewards = BTreeMap::new();
    for validator in &validators {
        let pool = pools
            .get(&validator.account.to_string())
            .copied()
            .unwrap_or_default();
        if pool > Upokt(0) {
            let shared = share(validator, pool, &mut rewards)?;
            announce(ctx, validator, pool, &shared, reason, session_end);
        }
    }
    let operators: BTreeSet<String> = weights.into_keys().collect();
    for (to, amount) in rewards {
        let reason = if operators.contains(&to) {
            reason
        } else {
            of_delegator(reason)
        };
        queued.pay(reason, MODULE, &to, amount);
    }
    Ok(())
}

const fn of_delegator(reason: Reason) -> Reason {
    match reason {
        Reason::TlmGlobalMintValidatorRewardDistribution => Reason::TlmGlobalMintDelegatorRewardDistribution,
        _ => Reason::TlmRelayBurnEqualsMintDelegatorRewardDistribution,
    }
}

/// How one validator's pool was shared.
#[derive(Default)]
struct Shared {
    commission: Upokt,
    own: Upokt,
    delegators: Upokt,
    delegated: Upokt,
    num_delegators: u32,
}

/// Commission to the operator, the rest to its delegations.
fn share(validator: &Validator, pool: Upokt, rewards: &mut BTreeMap<String, Upokt>) -> Result<Shared, Fault> {
    let operator = validator.account.to_string();
    let rate = Fraction::of_decimal(&validator.commission)
        .ok_or_else(|| refuse(MODULE, 1116, format!("commission of {operator} is no fraction")))?;
    let commission = rate.floor_of(pool).map_err(|error| arithmetic(&error))?.min(pool);
    add(rewards, &operator, commission);
    let rest = Upokt(pool.0.saturating_sub(commission.0));
    let mut shared = Shared {
        commission,
        ..Shared::default()
    };
    let weights: BTreeMap<String, u128> = validator
        .delegations
        .iter()
        .filter(|(_, tokens)| tokens.0 > 0)
        .map(|(delegator, tokens)| (delegator.clone(), tokens.0))
        .collect();
    if rest == Upokt(0) {
        return Ok(shared);
    }
    if weights.is_empty() {
        add(rewards, &operator, rest);
        shared.own = rest;
        return Ok(shared);
    }
    shared.delegated = Upokt(
        weights
            .values()
            .fold(0, |sum: u128, tokens| sum.saturating_add(*tokens)),
    );
    for (delegator, amount) in by_weight(rest, &weights).map_err(|error| arithmetic(&error))? {
        add(rewards, &delegator, amount);
        if delegator == operator {
            shared.own = amount;
        } else {
            shared.num_delegators = shared.num_delegators.saturating_add(1);
        }
    }
    shared.delegators = Upokt(rest.0.saturating_sub(shared.own.0));
    Ok(shared)
}

/// Parts of one total: they cannot overflow it.
fn add(rewards: &mut BTreeMap<String, Upokt>, to: &str, amount: Upokt) {
    let entry = rewards.entry(to.to_owned()).or_default();
    entry.0 = entry.0.saturating_add(amount.0);
}

fn announce(
    ctx: &mut Context<'_>,
    validator: &Validator,
    pool: Upokt,
    shared: &Shared,
    reason: Reason,
    session_end: i64,
) {
    ctx.emit(
        TypedEvent::new("pocket.tokenomics.EventValidatorRewardDistribution")
            .long("session_end_block_height", session_end)
            .json("op_reason", quote(reason.as_str_name()))
            .text(
                "validator_operator_address",
                &validator.account.to_operator_string(),
            )
            .text("validator_account_address", &validator.account.to_string())
            .text("commission_rate", &validator.commission)
            .text("pool_share_upokt", &pool.0.to_string())
            .text("commission_upokt", &shared.commission.0.to_string())
            .text("self_delegation_reward_upokt", &shared.own.0.to_string())
            .text("delegators_reward_upokt", &shared.delegators.0.to_string())
            .text("total_delegated_stake_upokt", &shared.delegated.0.to_string())
            .json("num_delegators", shared.num_delegators.to_string()),
    );
}
