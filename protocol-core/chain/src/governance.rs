//! Who may change params, and how: a whole module's at once, or one by name.

mod rules;

use portico_protocol::Address;
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket;

use crate::authority::authorize;
use crate::context::Context;
use crate::error::{Fault, refuse, sdk};
use crate::{application, gateway, proof, service, session, shared, supplier, tokenomics};

pub(crate) use rules::{check_application, check_gateway, check_proof, check_service, check_session};
pub(crate) use rules::{check_shared, check_supplier, check_tokenomics};

/// Stateless check of a message of the authority.
pub(crate) fn check_authority(authority: &str) -> Result<(), Fault> {
    let parsed: Result<Address, _> = authority.parse();
    parsed
        .map(|_| ())
        .map_err(|error| sdk::invalid_address(format!("invalid authority address ({error})")))
}

/// Declares the handler of a module's `MsgUpdateParams`.
macro_rules! update_params {
    ($($handler:ident, $module:ident, $check:path, $set:path, $invalid:literal;)*) => {$(
        #[doc = concat!("`pocket.", stringify!($module), ".MsgUpdateParams`")]
        pub(crate) fn $handler(
            ctx: &mut Context<'_>,
            message: &pocket::$module::MsgUpdateParams,
        ) -> Result<(), Fault> {
            authorize(ctx, stringify!($module), &message.authority)?;
            let params = message.params.clone();
            let params = params.ok_or_else(|| refuse(stringify!($module), $invalid, "params are missing"))?;
            $check(&params)?;
            $set(ctx, &params)
        }
    )*};
}

update_params! {
    update_application_params, application, check_application, set_application, 1115;
    update_gateway_params, gateway, check_gateway, set_gateway, 1105;
    update_supplier_params, supplier, check_supplier, set_supplier, 1107;
    update_service_params, service, check_service, set_service, 1115;
    update_session_params, session, check_session, session::change_params, 1110;
    update_shared_params, shared, check_shared, shared::change_params, 1103;
    update_proof_params, proof, check_proof, set_proof, 1120;
    update_tokenomics_params, tokenomics, check_tokenomics, set_tokenomics, 1112;
}

/// Setters of modules whose params change at once.
macro_rules! at_once {
    ($($name:ident, $module:ident;)*) => {$(
        #[allow(clippy::unnecessary_wraps)] // as the setters that keep a history
        fn $name(ctx: &mut Context<'_>, params: &pocket::$module::Params) -> Result<(), Fault> {
            $module::set_params(ctx, params);
            Ok(())
        }
    )*};
}

at_once! {
    set_application, application;
    set_gateway, gateway;
    set_supplier, supplier;
    set_service, service;
    set_proof, proof;
    set_tokenomics, tokenomics;
}

fn unknown(module: &'static str, code: u32, name: &str) -> Fault {
    refuse(
        module,
        code,
        format!("unsupported param {name:?}, or a value of another type"),
    )
}

/// `pocket.application.MsgUpdateParam`
pub(crate) fn update_application_param(
    ctx: &mut Context<'_>,
    message: &pocket::application::MsgUpdateParam,
) -> Result<(), Fault> {
    use pocket::application::msg_update_param::AsType;
    authorize(ctx, "application", &message.authority)?;
    let mut params = application::params(&ctx.state)?;
    match (message.name.as_str(), message.as_type.clone()) {
        ("max_delegated_gateways", Some(AsType::AsUint64(value))) => params.max_delegated_gateways = value,
        ("min_stake", Some(AsType::AsCoin(value))) => params.min_stake = Some(value),
        (name, _) => return Err(unknown("application", 1115, name)),
    }
    check_application(&params)?;
    set_application(ctx, &params)
}

/// `pocket.gateway.MsgUpdateParam`
pub(crate) fn update_gateway_param(
    ctx: &mut Context<'_>,
    message: &pocket::gateway::MsgUpdateParam,
) -> Result<(), Fault> {
    use pocket::gateway::msg_update_param::AsType;
    authorize(ctx, "gateway", &message.authority)?;
    let mut params = gateway::params(&ctx.state)?;
    match (message.name.as_str(), message.as_type.clone()) {
        ("min_stake", Some(AsType::AsCoin(value))) => params.min_stake = Some(value),
        (name, _) => return Err(unknown("gateway", 1105, name)),
    }
    check_gateway(&params)?;
    set_gateway(ctx, &params)
}

/// `pocket.supplier.MsgUpdateParam`
pub(crate) fn update_supplier_param(
    ctx: &mut Context<'_>,
    message: &pocket::supplier::MsgUpdateParam,
) -> Result<(), Fault> {
    use pocket::supplier::msg_update_param::AsType;
    authorize(ctx, "supplier", &message.authority)?;
    let mut params = supplier::params(&ctx.state)?;
    match (message.name.as_str(), message.as_type.clone()) {
        ("min_stake", Some(AsType::AsCoin(value))) => params.min_stake = Some(value),
        ("staking_fee", Some(AsType::AsCoin(value))) => params.staking_fee = Some(value),
        (name, _) => return Err(unknown("supplier", 1107, name)),
    }
    check_supplier(&params)?;
    set_supplier(ctx, &params)
}

/// `pocket.service.MsgUpdateParam`
pub(crate) fn update_service_param(
    ctx: &mut Context<'_>,
    message: &pocket::service::MsgUpdateParam,
) -> Result<(), Fault> {
    use pocket::service::msg_update_param::AsType;
    authorize(ctx, "service", &message.authority)?;
    let mut params = service::params(&ctx.state)?;
    match (message.name.as_str(), message.as_type.clone()) {
        ("add_service_fee", Some(AsType::AsCoin(value))) => params.add_service_fee = Some(value),
        ("target_num_relays", Some(AsType::AsUint64(value))) => params.target_num_relays = value,
        (name, _) => return Err(unknown("service", 1115, name)),
    }
    check_service(&params)?;
    set_service(ctx, &params)
}

/// `pocket.session.MsgUpdateParam`
pub(crate) fn update_session_param(
    ctx: &mut Context<'_>,
    message: &pocket::session::MsgUpdateParam,
) -> Result<(), Fault> {
    use pocket::session::msg_update_param::AsType;
    authorize(ctx, "session", &message.authority)?;
    let mut params = session::params(&ctx.state)?;
    match (message.name.as_str(), message.as_type) {
        ("num_suppliers_per_session", Some(AsType::AsUint64(value))) => {
            params.num_suppliers_per_session = value;
        }
        (name, _) => return Err(unknown("session", 1110, name)),
    }
    check_session(&params)?;
    session::change_params(ctx, &params)
}

/// `pocket.shared.MsgUpdateParam`
pub(crate) fn update_shared_param(
    ctx: &mut Context<'_>,
    message: &pocket::shared::MsgUpdateParam,
) -> Result<(), Fault> {
    use pocket::shared::msg_update_param::AsType;
    authorize(ctx, "shared", &message.authority)?;
    let mut params = shared::params(&ctx.state)?;
    let field = match message.name.as_str() {
        "num_blocks_per_session" => &mut params.num_blocks_per_session,
        "grace_period_end_offset_blocks" => &mut params.grace_period_end_offset_blocks,
        "claim_window_open_offset_blocks" => &mut params.claim_window_open_offset_blocks,
        "claim_window_close_offset_blocks" => &mut params.claim_window_close_offset_blocks,
        "proof_window_open_offset_blocks" => &mut params.proof_window_open_offset_blocks,
        "proof_window_close_offset_blocks" => &mut params.proof_window_close_offset_blocks,
        "supplier_unbonding_period_sessions" => &mut params.supplier_unbonding_period_sessions,
        "application_unbonding_period_sessions" => &mut params.application_unbonding_period_sessions,
        "gateway_unbonding_period_sessions" => &mut params.gateway_unbonding_period_sessions,
        "compute_units_to_tokens_multiplier" => &mut params.compute_units_to_tokens_multiplier,
        "compute_unit_cost_granularity" => &mut params.compute_unit_cost_granularity,
        name => return Err(unknown("shared", 1102, name)),
    };
    let Some(AsType::AsUint64(value)) = message.as_type else {
        return Err(unknown("shared", 1103, &message.name));
    };
    *field = value;
    check_shared(&params)?;
    shared::change_params(ctx, &params)
}

/// `pocket.proof.MsgUpdateParam`
pub(crate) fn update_proof_param(
    ctx: &mut Context<'_>,
    message: &pocket::proof::MsgUpdateParam,
) -> Result<(), Fault> {
    use pocket::proof::msg_update_param::AsType;
    authorize(ctx, "proof", &message.authority)?;
    let mut params = proof::params(&ctx.state)?;
    let coin = |value: Coin| Some(value);
    match (message.name.as_str(), message.as_type.clone()) {
        ("proof_request_probability", Some(AsType::AsFloat(value))) => {
            params.proof_request_probability = value;
        }
        ("proof_requirement_threshold", Some(AsType::AsCoin(value))) => {
            params.proof_requirement_threshold = coin(value);
        }
        ("proof_missing_penalty", Some(AsType::AsCoin(value))) => params.proof_missing_penalty = coin(value),
        ("proof_submission_fee", Some(AsType::AsCoin(value))) => params.proof_submission_fee = coin(value),
        (
            name @ ("proof_request_probability"
            | "proof_requirement_threshold"
            | "proof_missing_penalty"
            | "proof_submission_fee"),
            _,
        ) => return Err(unknown("proof", 1120, name)),
        (name, _) => return Err(unknown("proof", 1119, name)),
    }
    check_proof(&params)?;
    set_proof(ctx, &params)
}

/// `pocket.tokenomics.MsgUpdateParam`
pub(crate) fn update_tokenomics_param(
    ctx: &mut Context<'_>,
    message: &pocket::tokenomics::MsgUpdateParam,
) -> Result<(), Fault> {
    use pocket::tokenomics::msg_update_param::AsType;
    authorize(ctx, "tokenomics", &message.authority)?;
    let mut params = tokenomics::params(&ctx.state)?;
    match (message.name.as_str(), message.as_type.clone()) {
        ("mint_allocation_percentages", Some(AsType::AsMintAllocationPercentages(value))) => {
            params.mint_allocation_percentages = Some(value);
        }
        ("mint_equals_burn_claim_distribution", Some(AsType::AsMintEqualsBurnClaimDistribution(value))) => {
            params.mint_equals_burn_claim_distribution = Some(value)
        }
        ("dao_reward_address", Some(AsType::AsString(value))) => params.dao_reward_address = value,
        ("global_inflation_per_claim", Some(AsType::AsFloat(value))) => {
            params.global_inflation_per_claim = value;
        }
        ("mint_ratio", Some(AsType::AsFloat(value))) => params.mint_ratio = value,
        ("overservicing_bonus_multiplier", Some(AsType::AsUint64(value))) => {
            params.overservicing_bonus_multiplier = value;
        }
        (_, None) => return Err(refuse("tokenomics", 1108, "missing param AsType")),
        (
            name @ ("mint_allocation_percentages"
            | "mint_equals_burn_claim_distribution"
            | "dao_reward_address"
            | "global_inflation_per_claim"
            | "mint_ratio"
            | "overservicing_bonus_multiplier"),
            _,
        ) => return Err(unknown("tokenomics", 1112, name)),
        (name, _) => return Err(unknown("tokenomics", 1111, name)),
    }
    check_tokenomics(&params)?;
    set_tokenomics(ctx, &params)
}
