//! What params may be (`x/*/types/params.go`).

use portico_protocol::Upokt;
use portico_protocol::session::Timing;
use portico_protocol::settlement::Fraction;
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket;

use crate::error::{Fault, refuse};
use crate::stake;

/// Highest bonus multiplier for over-serviced claims.
const MAX_OVERSERVICING_BONUS_MULTIPLIER: u64 = 1_000;
/// By how much the shares of a distribution may miss 1.
const EPSILON: f64 = 1e-10;

fn coin(module: &'static str, code: u32, name: &str, coin: Option<&Coin>) -> Result<Upokt, Fault> {
    let coin = coin.ok_or_else(|| refuse(module, code, format!("{name} is missing")))?;
    Upokt::try_from(coin).map_err(|error| refuse(module, code, format!("{name}: {error}")))
}

fn positive(module: &'static str, code: u32, name: &str, stated: Option<&Coin>) -> Result<(), Fault> {
    if coin(module, code, name, stated)? == Upokt(0) {
        return Err(refuse(module, code, format!("{name} must be above 0")));
    }
    Ok(())
}

/// Params of module `application`.
pub(crate) fn check_application(params: &pocket::application::Params) -> Result<(), Fault> {
    let (module, code) = ("application", 1115);
    if params.max_delegated_gateways == 0 {
        return Err(refuse(module, code, "max_delegated_gateways must be at least 1"));
    }
    positive(module, code, "min_stake", params.min_stake.as_ref())
}

/// Params of module `gateway`.
pub(crate) fn check_gateway(params: &pocket::gateway::Params) -> Result<(), Fault> {
    positive("gateway", 1105, "min_stake", params.min_stake.as_ref())
}

/// Params of module `supplier`.
pub(crate) fn check_supplier(params: &pocket::supplier::Params) -> Result<(), Fault> {
    positive("supplier", 1107, "min_stake", params.min_stake.as_ref())?;
    coin("supplier", 1107, "staking_fee", params.staking_fee.as_ref()).map(|_| ())
}

/// Params of module `service`.
pub(crate) fn check_service(params: &pocket::service::Params) -> Result<(), Fault> {
    if params.target_num_relays == 0 {
        return Err(refuse("service", 1115, "target_num_relays must be at least 1"));
    }
    let fee = params.add_service_fee.as_ref();
    positive("service", 1115, "add_service_fee", fee)
}

/// Params of module `session`.
pub(crate) fn check_session(params: &pocket::session::Params) -> Result<(), Fault> {
    if params.num_suppliers_per_session == 0 {
        return Err(refuse(
            "session",
            1110,
            "num_suppliers_per_session must be at least 1",
        ));
    }
    Ok(())
}

/// Params of module `shared`.
pub(crate) fn check_shared(params: &pocket::shared::Params) -> Result<(), Fault> {
    let timing = Timing::new(params);
    let unsettled = u64::try_from(timing.end_to_proof_close_blocks()).unwrap_or(u64::MAX);
    let unbonding = |sessions: u64| sessions.saturating_mul(params.num_blocks_per_session);
    let rules = [
        // The network allows 1, but no session header of one block is valid.
        (
            params.num_blocks_per_session >= 2,
            "num_blocks_per_session must be at least 2",
        ),
        (
            params.grace_period_end_offset_blocks < params.num_blocks_per_session,
            "grace_period_end_offset_blocks must be less than num_blocks_per_session",
        ),
        (
            params.claim_window_open_offset_blocks >= params.grace_period_end_offset_blocks,
            "claim_window_open_offset_blocks must be at least grace_period_end_offset_blocks",
        ),
        (
            params.compute_units_to_tokens_multiplier > 0,
            "compute_units_to_tokens_multiplier must be at least 1",
        ),
        (
            params.compute_unit_cost_granularity > 0,
            "compute_unit_cost_granularity must be at least 1",
        ),
        (
            params.gateway_unbonding_period_sessions > 0,
            "gateway_unbonding_period_sessions must be at least 1",
        ),
        (
            params.supplier_unbonding_period_sessions > 0
                && unbonding(params.supplier_unbonding_period_sessions) >= unsettled,
            "supplier_unbonding_period_sessions must cover claim and proof windows",
        ),
        (
            params.application_unbonding_period_sessions > 0
                && unbonding(params.application_unbonding_period_sessions) >= unsettled,
            "application_unbonding_period_sessions must cover claim and proof windows",
        ),
        (
            timing.num_pending_sessions() > 0,
            "claim and proof windows must take at least one block",
        ),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, text)) => Err(refuse("shared", 1103, text)),
        None => Ok(()),
    }
}

/// Params of module `proof`.
pub(crate) fn check_proof(params: &pocket::proof::Params) -> Result<(), Fault> {
    let (module, code) = ("proof", 1120);
    if !(0.0..=1.0).contains(&params.proof_request_probability) {
        return Err(refuse(
            module,
            code,
            "proof_request_probability must be between 0 and 1",
        ));
    }
    for (name, value) in [
        ("proof_requirement_threshold", &params.proof_requirement_threshold),
        ("proof_missing_penalty", &params.proof_missing_penalty),
        ("proof_submission_fee", &params.proof_submission_fee),
    ] {
        coin(module, code, name, value.as_ref())?;
    }
    Ok(())
}

/// Params of module `tokenomics`.
pub(crate) fn check_tokenomics(params: &pocket::tokenomics::Params) -> Result<(), Fault> {
    let fault = |text: String| refuse("tokenomics", 1112, text);
    stake::address("tokenomics", 1112, &params.dao_reward_address)?;
    let mint = params.mint_allocation_percentages.unwrap_or_default();
    let burn = params.mint_equals_burn_claim_distribution.unwrap_or_default();
    let distributions = [
        (
            "mint_allocation_percentages",
            [
                mint.dao,
                mint.proposer,
                mint.supplier,
                mint.source_owner,
                mint.application,
            ],
        ),
        (
            "mint_equals_burn_claim_distribution",
            [
                burn.dao,
                burn.proposer,
                burn.supplier,
                burn.source_owner,
                burn.application,
            ],
        ),
    ];
    for (name, shares) in distributions {
        let sum: f64 = shares.iter().sum();
        let usable = shares.iter().all(|share| Fraction::of(*share).is_ok());
        if !usable || (sum - 1.0).abs() > EPSILON {
            return Err(fault(format!("{name} must be shares that add up to 1")));
        }
    }
    Fraction::of(params.global_inflation_per_claim)
        .map_err(|error| fault(format!("global_inflation_per_claim: {error}")))?;
    Fraction::of(params.mint_ratio).map_err(|error| fault(format!("mint_ratio: {error}")))?;
    if !(params.mint_ratio > 0.0 && params.mint_ratio <= 1.0) {
        return Err(fault("mint_ratio must be above 0 and at most 1".into()));
    }
    if params.overservicing_bonus_multiplier > MAX_OVERSERVICING_BONUS_MULTIPLIER {
        return Err(fault(format!(
            "overservicing_bonus_multiplier must be at most {MAX_OVERSERVICING_BONUS_MULTIPLIER}"
        )));
    }
    Ok(())
}
