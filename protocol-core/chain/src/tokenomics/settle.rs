//! The end blocker: which claims settle, for how much, and where the tokens go.

use std::collections::{BTreeMap, BTreeSet};

use portico_protocol::claim::ClaimAmount;
use portico_protocol::session::Timing;
use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket::application::{Application, ApplicationUnbondingReason};
use portico_protocol::wire::pocket::proof::{Claim, ClaimProofStatus, ProofRequirementReason};
use portico_protocol::wire::pocket::shared::{ServiceRevenueShare, Supplier};
use portico_protocol::wire::pocket::tokenomics::{ClaimExpirationReason, Params, SettlementOpReason as Op};
use portico_protocol::{Height, Upokt};

use super::distribution::{Fraction, Parts, by_weight, shareholders, split};
use super::{MODULE, params, validators};
use crate::context::{Context, required};
use crate::error::{Fault, refuse};
use crate::event::{TypedEvent, quote};
use crate::state::StateError;
use crate::{application, bank, proof, service, shared, stake, supplier};

/// One payment of a settlement, for its event.
struct Payment {
    to: String,
    reason: Op,
    amount: Upokt,
}

/// A claim that is due, with what it is worth.
struct Due {
    claim: Claim,
    amount: ClaimAmount,
    requirement: ProofRequirementReason,
}

/// Applications and sessions of this block's settlement: their stake before it and how many suppliers share it.
type Budgets = BTreeMap<(String, String), (Upokt, u64)>;

/// Settles or expires every claim whose proof window closes with this block.
pub(crate) fn end_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let live = shared::params(&ctx.state)?;
    let after = Timing::new(&live).end_to_proof_close_blocks().saturating_add(1);
    let last = Height(ctx.height().0.saturating_sub(after));
    let mut volumes: BTreeMap<String, u64> = BTreeMap::new();
    let mut proposer = Proposer::default();
    // Usually one end; older ones when windows were shortened meanwhile.
    for end in proof::ends_with_claims(&ctx.state, last)? {
        settle_session_end(ctx, end, &mut volumes, &mut proposer)?;
    }
    proposer.pay(ctx)?;
    for (service, num_relays) in volumes {
        service::update_difficulty(ctx, &service, num_relays)?;
    }
    Ok(())
}

fn settle_session_end(
    ctx: &mut Context<'_>,
    end: Height,
    volumes: &mut BTreeMap<String, u64>,
    proposer: &mut Proposer,
) -> Result<(), Fault> {
    let mut due = Vec::new();
    for claim in proof::claims_ending_at(&ctx.state, end)? {
        match assess(ctx, claim.clone()) {
            Ok(assessed) => due.push(assessed),
            Err(Fault::Module(error)) => discard(ctx, &claim, &error.text),
            Err(error) => return Err(error),
        }
    }
    let (settling, expiring): (Vec<Due>, Vec<Due>) = due.into_iter().partition(Due::settles);
    let budgets = budgets(ctx, &settling)?;
    let mut applications = BTreeSet::new();
    for due in settling {
        let header = proof::header_of(&due.claim);
        let before = Context {
            state: ctx.state.clone(),
            block: ctx.block,
            events: ctx.events.clone(),
        };
        let proposer_before = proposer.clone();
        match settle(ctx, &due, &budgets, proposer) {
            Ok(()) => {
                *volumes.entry(header.service_id).or_default() += due.amount.num_relays;
                applications.insert(header.application_address);
            }
            Err(Fault::Module(error)) => {
                *ctx = before;
                *proposer = proposer_before;
                discard(ctx, &due.claim, &error.text);
                continue;
            }
            Err(error) => return Err(error),
        }
        proof::remove_claim(ctx, &due.claim);
    }
    for due in expiring {
        expire(ctx, &due)?;
        proof::remove_claim(ctx, &due.claim);
    }
    for address in applications {
        unbond_if_poor(ctx, &address)?;
    }
    Ok(())
}

impl Due {
    fn settles(&self) -> bool {
        self.requirement == ProofRequirementReason::NotRequired
            || self.claim.proof_validation_status == i32::from(ClaimProofStatus::Validated)
    }
}

fn assess(ctx: &Context<'_>, claim: Claim) -> Result<Due, Fault> {
    let amount = proof::amount(&ctx.state, &claim)?;
    let requirement = proof::requirement(&ctx.state, &claim, &amount)?;
    Ok(Due {
        claim,
        amount,
        requirement,
    })
}

/// Stake and number of claiming suppliers per (application, session), before anything settles.
fn budgets(ctx: &Context<'_>, settling: &[Due]) -> Result<Budgets, StateError> {
    let mut budgets = Budgets::new();
    for due in settling {
        let header = proof::header_of(&due.claim);
        let app = application::application(&ctx.state, &header.application_address)?;
        let staked = stake::amount(app.as_ref().and_then(|app| app.stake.as_ref()));
        let entry = budgets
            .entry((header.application_address, header.session_id))
            .or_insert((staked, 0));
        entry.1 += 1;
    }
    Ok(budgets)
}

/// What the application's budget allows of a claim: the claimed amount, or less when it was over-serviced.
fn allowed(
    ctx: &mut Context<'_>,
    due: &Due,
    budgets: &Budgets,
    app: &Application,
    inflation: Fraction,
) -> Result<Upokt, Fault> {
    let header = proof::header_of(&due.claim);
    let key = (header.application_address.clone(), header.session_id.clone());
    let (staked, suppliers) = budgets.get(&key).copied().unwrap_or_default();
    let at_end = shared::params_at(&ctx.state, Height(header.session_end_block_height))?;
    let pending = u128::from(Timing::new(&at_end).num_pending_sessions().max(1));
    let suppliers = u128::from(suppliers.max(1));
    let mut budget = Upokt(staked.0 / pending / suppliers);
    let limit = stake::amount(app.per_session_spend_limit.as_ref());
    if limit > Upokt(0) {
        budget = budget.min(Upokt(limit.0.min(staked.0 / pending) / suppliers));
    }
    let claimed = due.amount.claimed;
    let needed = Upokt(claimed.0.saturating_add(inflation.ceil_of(claimed)?.0));
    if needed <= budget {
        return Ok(claimed);
    }
    ctx.emit(
        TypedEvent::new("pocket.tokenomics.EventApplicationOverserviced")
            .text("application_addr", &header.application_address)
            .text("supplier_operator_addr", &due.claim.supplier_operator_address)
            .text("expected_burn", &needed.to_string())
            .text("effective_burn", &budget.to_string())
            .text("service_id", &header.service_id)
            .long("session_end_block_height", header.session_end_block_height)
            .json("spend_limit_exceeded", (limit > Upokt(0)).to_string()),
    );
    inflation.floor_without(budget)
}

fn settle(ctx: &mut Context<'_>, due: &Due, budgets: &Budgets, proposer: &mut Proposer) -> Result<(), Fault> {
    let header = proof::header_of(&due.claim);
    let address = &header.application_address;
    let mut app = required(application::application(&ctx.state, address)?, || {
        refuse(MODULE, 1106, format!("application {address} not found"))
    })?;
    let operator = &due.claim.supplier_operator_address;
    let paid = required(supplier::supplier(&ctx.state, operator)?, || {
        refuse(MODULE, 1105, format!("supplier {operator} not found"))
    })?;
    let owner = required(service::service(&ctx.state, &header.service_id)?, || {
        refuse(MODULE, 1115, format!("service {} not found", header.service_id))
    })?
    .owner_address;
    let params = params(&ctx.state)?;
    let inflation_rate = Fraction::of(params.global_inflation_per_claim)?;
    let settled = allowed(ctx, due, budgets, &app, inflation_rate)?;
    let inflation = inflation_rate.ceil_of(settled)?;
    let minted = Fraction::of(params.mint_ratio)?.floor_of(settled)?;

    // The application pays: its stake is burned for the relays, and refunds the inflation to the DAO.
    bank::burn(ctx, application::MODULE, settled)?;
    application::pay(&mut app, Upokt(settled.0.saturating_add(inflation.0)))?;
    application::save(ctx, &app);
    let roles = Roles {
        supplier: &paid,
        service: &header.service_id,
        source_owner: &owner,
        application: address,
    };
    let mut payments = Vec::new();
    bank::mint(ctx, MODULE, minted)?;
    let parts = split(minted, burn_shares(&params))?;
    proposer.burn_equals_mint = Upokt(proposer.burn_equals_mint.0 + parts.proposer.0);
    distribute(ctx, &parts, &roles, &params, &RELAY_REASONS, &mut payments)?;
    bank::mint(ctx, MODULE, inflation)?;
    let parts = split(inflation, mint_shares(&params))?;
    proposer.global_mint = Upokt(proposer.global_mint.0 + parts.proposer.0);
    distribute(ctx, &parts, &roles, &params, &GLOBAL_REASONS, &mut payments)?;
    reimburse(ctx, due, &params, inflation, &paid, &mut payments)?;
    settled_event(ctx, due, &paid, settled, minted, &params, &payments);
    Ok(())
}

fn burn_shares(params: &Params) -> [f64; 4] {
    let shares = params.mint_equals_burn_claim_distribution.unwrap_or_default();
    [
        shares.supplier,
        shares.proposer,
        shares.source_owner,
        shares.application,
    ]
}

fn mint_shares(params: &Params) -> [f64; 4] {
    let shares = params.mint_allocation_percentages.unwrap_or_default();
    [
        shares.supplier,
        shares.proposer,
        shares.source_owner,
        shares.application,
    ]
}

/// Who stands behind the parts of a mint.
struct Roles<'a> {
    supplier: &'a Supplier,
    service: &'a str,
    source_owner: &'a str,
    application: &'a str,
}

/// Reasons of one mint's payments: supplier, source owner, application, DAO.
type Reasons = [Op; 4];
const RELAY_REASONS: Reasons = [
    Op::TlmRelayBurnEqualsMintSupplierShareholderRewardDistribution,
    Op::TlmRelayBurnEqualsMintSourceOwnerRewardDistribution,
    Op::TlmRelayBurnEqualsMintApplicationRewardDistribution,
    Op::TlmRelayBurnEqualsMintDaoRewardDistribution,
];
const GLOBAL_REASONS: Reasons = [
    Op::TlmGlobalMintSupplierShareholderRewardDistribution,
    Op::TlmGlobalMintSourceOwnerRewardDistribution,
    Op::TlmGlobalMintApplicationRewardDistribution,
    Op::TlmGlobalMintDaoRewardDistribution,
];

fn distribute(
    ctx: &mut Context<'_>,
    parts: &Parts,
    roles: &Roles<'_>,
    params: &Params,
    reasons: &Reasons,
    payments: &mut Vec<Payment>,
) -> Result<(), Fault> {
    let shares = rev_shares(roles.supplier, roles.service);
    for (to, amount) in shareholders(parts.supplier, &shares)? {
        pay(ctx, to, amount, reasons[0], payments)?;
    }
    pay(
        ctx,
        roles.source_owner.to_owned(),
        parts.source_owner,
        reasons[1],
        payments,
    )?;
    pay(
        ctx,
        roles.application.to_owned(),
        parts.application,
        reasons[2],
        payments,
    )?;
    pay(
        ctx,
        params.dao_reward_address.clone(),
        parts.dao,
        reasons[3],
        payments,
    )
}

/// Revenue shares for the service; everything to the owner when they are missing or odd.
fn rev_shares(supplier: &Supplier, service: &str) -> Vec<ServiceRevenueShare> {
    let current = supplier
        .services
        .iter()
        .find(|config| config.service_id == service);
    let past = supplier
        .service_config_history
        .iter()
        .rev()
        .filter_map(|update| update.service.as_ref());
    let config = current.or_else(|| past.into_iter().find(|config| config.service_id == service));
    let shares = config.map(|config| config.rev_share.clone()).unwrap_or_default();
    if shares.iter().map(|share| share.rev_share_percentage).sum::<u64>() == 100 {
        return shares;
    }
    vec![ServiceRevenueShare {
        address: supplier.owner_address.clone(),
        rev_share_percentage: 100,
    }]
}

/// Pays out of the tokenomics account; nothing for nothing.
fn pay(
    ctx: &mut Context<'_>,
    to: String,
    amount: Upokt,
    reason: Op,
    payments: &mut Vec<Payment>,
) -> Result<(), Fault> {
    if amount == Upokt(0) {
        return Ok(());
    }
    let address = stake::address(MODULE, 1101, &to)?;
    bank::send(ctx, &module_address(MODULE), &address, amount)?;
    payments.push(Payment { to, reason, amount });
    Ok(())
}

/// The inflation leaves the application's stake to the DAO.
fn reimburse(
    ctx: &mut Context<'_>,
    due: &Due,
    params: &Params,
    inflation: Upokt,
    paid: &Supplier,
    payments: &mut Vec<Payment>,
) -> Result<(), Fault> {
    if inflation == Upokt(0) {
        return Ok(());
    }
    let header = proof::header_of(&due.claim);
    bank::send(
        ctx,
        &module_address(application::MODULE),
        &module_address(MODULE),
        inflation,
    )?;
    let reason = Op::TlmGlobalMintReimbursementRequestEscrowDaoTransfer;
    pay(
        ctx,
        params.dao_reward_address.clone(),
        inflation,
        reason,
        payments,
    )?;
    ctx.emit(
        TypedEvent::new("pocket.tokenomics.EventApplicationReimbursementRequest")
            .text("application_addr", &header.application_address)
            .text("supplier_operator_addr", &paid.operator_address)
            .text("supplier_owner_addr", &paid.owner_address)
            .text("service_id", &header.service_id)
            .text("session_id", &header.session_id)
            .text("amount", &inflation.to_string()),
    );
    Ok(())
}

fn settled_event(
    ctx: &mut Context<'_>,
    due: &Due,
    paid: &Supplier,
    settled: Upokt,
    minted: Upokt,
    params: &Params,
    payments: &[Payment],
) {
    let header = proof::header_of(&due.claim);
    let mut sums: BTreeMap<&str, u128> = BTreeMap::new();
    for payment in payments {
        *sums.entry(&payment.to).or_default() += payment.amount.0;
    }
    let sums: Vec<String> = sums
        .iter()
        .map(|(to, sum)| format!("{}:{}", quote(to), quote(&Upokt(*sum).to_string())))
        .collect();
    let details: Vec<String> = payments
        .iter()
        .map(|payment| {
            format!(
                "{{\"recipient_address\":{},\"op_reason\":\"{}\",\"amount\":\"{}\"}}",
                quote(&payment.to),
                payment.reason.as_str_name(),
                payment.amount
            )
        })
        .collect();
    let loss = |from: Upokt, to: Upokt| Upokt(from.0.saturating_sub(to.0)).to_string();
    ctx.emit(
        TypedEvent::new("pocket.tokenomics.EventClaimSettled")
            .int("proof_requirement_int", due.requirement.into())
            .long("num_relays", due.amount.num_relays)
            .long("num_claimed_compute_units", due.amount.claimed_compute_units)
            .long("num_estimated_compute_units", due.amount.estimated_compute_units)
            .text("claimed_upokt", &due.amount.claimed.to_string())
            .text("service_id", &header.service_id)
            .text("application_address", &header.application_address)
            .long("session_end_block_height", header.session_end_block_height)
            .int("claim_proof_status_int", due.claim.proof_validation_status)
            .text("supplier_operator_address", &due.claim.supplier_operator_address)
            .json("reward_distribution", format!("{{{}}}", sums.join(",")))
            .json("reward_distribution_detailed", format!("[{}]", details.join(",")))
            .text("settled_upokt", &settled.to_string())
            .text("mint_ratio", &params.mint_ratio.to_string())
            .text("session_id", &header.session_id)
            .text("supplier_owner_address", &paid.owner_address)
            .long("num_estimated_relays", due.amount.estimated_relays)
            .text("minted_upokt", &minted.to_string())
            .text("overservicing_loss_upokt", &loss(due.amount.claimed, settled))
            .text("deflation_loss_upokt", &loss(settled, minted)),
    );
}

/// A claim whose required proof is missing or invalid: its supplier is slashed.
fn expire(ctx: &mut Context<'_>, due: &Due) -> Result<(), Fault> {
    let header = proof::header_of(&due.claim);
    let invalid = due.claim.proof_validation_status == i32::from(ClaimProofStatus::Invalid);
    let reason = if invalid {
        ClaimExpirationReason::ProofInvalid
    } else {
        ClaimExpirationReason::ProofMissing
    };
    let estimated = due.amount.estimated_compute_units;
    let event = proof::claim_event(
        "pocket.tokenomics.EventClaimExpired",
        &due.claim,
        &due.amount,
        estimated,
    )
    .json("expiration_reason", quote(reason.as_str_name()));
    ctx.emit(event);
    let penalty = stake::amount(proof::params(&ctx.state)?.proof_missing_penalty.as_ref());
    let operator = &due.claim.supplier_operator_address;
    let Some((burned, left)) = supplier::slash(ctx, operator, penalty)? else {
        return Ok(());
    };
    ctx.emit(
        TypedEvent::new("pocket.tokenomics.EventSupplierSlashed")
            .text("proof_missing_penalty", &burned.to_string())
            .text("service_id", &header.service_id)
            .text("application_address", &header.application_address)
            .long("session_end_block_height", header.session_end_block_height)
            .int("claim_proof_status_int", due.claim.proof_validation_status)
            .text("supplier_operator_address", operator)
            .text("supplier_stake_after_slash", &left.to_string()),
    );
    Ok(())
}

/// A claim whose data do not fit together: it goes, the others continue.
fn discard(ctx: &mut Context<'_>, claim: &Claim, error: &str) {
    let header = proof::header_of(claim);
    proof::remove_claim(ctx, claim);
    ctx.emit(
        TypedEvent::new("pocket.tokenomics.EventClaimDiscarded")
            .text("error", error)
            .text("service_id", &header.service_id)
            .text("application_address", &header.application_address)
            .long("session_end_block_height", header.session_end_block_height)
            .int("claim_proof_status_int", claim.proof_validation_status)
            .text("supplier_operator_address", &claim.supplier_operator_address),
    );
}

fn unbond_if_poor(ctx: &mut Context<'_>, address: &str) -> Result<(), Fault> {
    let Some(mut app) = application::application(&ctx.state, address)? else {
        return Ok(());
    };
    let min = stake::amount(application::params(&ctx.state)?.min_stake.as_ref());
    if app.unstake_session_end_height == 0 && stake::amount(app.stake.as_ref()) < min {
        application::begin_unbonding(ctx, &mut app, ApplicationUnbondingReason::BelowMinStake)?;
    }
    Ok(())
}

/// The proposer's parts of all claims of a block, paid at once by bonded stake.
#[derive(Clone, Debug, Default)]
struct Proposer {
    burn_equals_mint: Upokt,
    global_mint: Upokt,
}

impl Proposer {
    fn pay(&self, ctx: &mut Context<'_>) -> Result<(), Fault> {
        let validators = validators(&ctx.state)?;
        for total in [self.burn_equals_mint, self.global_mint] {
            for (account, amount) in by_weight(total, &validators)? {
                let to = stake::address(MODULE, 1101, &account)?;
                bank::send(ctx, &module_address(MODULE), &to, amount)?;
            }
        }
        Ok(())
    }
}
