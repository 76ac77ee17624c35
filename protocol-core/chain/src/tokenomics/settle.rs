//! Which claims are due, what becomes of each, and in which order.

use std::collections::BTreeMap;

use portico_protocol::claim::ClaimAmount;
use portico_protocol::session::Timing;
use portico_protocol::settlement::Fraction;
use portico_protocol::wire::pocket::application::{Application, ApplicationUnbondingReason};
use portico_protocol::wire::pocket::proof::Claim;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::pocket::tokenomics::{Params, SettlementOpReason as Reason};
use portico_protocol::{Height, Upokt};

use super::assessed::Assessed;
use super::budget::{Budget, Budgets};
use super::operations::{Operations, execute};
use super::rewards::{Rewards, ValidatorPool};
use super::state::{MODULE, arithmetic, params};
use super::{announce, slash, validators};
use crate::context::{Context, required};
use crate::error::{Fault, ModuleError, refuse};
use crate::state::StateError;
use crate::{application, proof, service, shared, stake, supplier};

/// What a block's settlement did.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Operations per settled claim, then the validators' part.
    pub(crate) operations: Vec<Operations>,
    /// Claims that expired.
    pub(crate) expired: Vec<Claim>,
    /// Claims whose data did not fit together.
    pub(crate) discarded: Vec<Claim>,
    /// Settled leaves per service.
    pub(crate) relays: BTreeMap<String, u64>,
}

/// An application during the settlement.
struct Payer {
    app: Application,
    /// Its stake before this block's settlement, which budgets are made of.
    staked: Upokt,
}

/// Settlement of one block.
struct Settlement {
    params: Params,
    inflation: Fraction,
    payers: BTreeMap<String, Payer>,
    budgets: Budgets,
    /// Claims per (application, session), also those that expire.
    claimants: BTreeMap<(String, String), u64>,
    pool: ValidatorPool,
    session_end: i64,
    done: Settled,
}

/// Settles the claims that are due.
pub(crate) fn settle(ctx: &mut Context<'_>) -> Result<Settled, Fault> {
    let claims = due(ctx)?;
    if claims.is_empty() {
        return Ok(Settled::default());
    }
    let params = params(&ctx.state)?;
    let inflation = Fraction::of(params.global_inflation_per_claim).map_err(|error| arithmetic(&error))?;
    let mut settlement = Settlement {
        params,
        inflation,
        payers: BTreeMap::new(),
        budgets: Budgets::new(),
        claimants: BTreeMap::new(),
        pool: ValidatorPool::default(),
        session_end: 0,
        done: Settled::default(),
    };
    for claim in &claims {
        let claimants = settlement.claimants.entry(pair(claim)).or_default();
        *claimants = claimants.saturating_add(1);
    }
    let mut assessed = Vec::with_capacity(claims.len());
    for claim in claims {
        let one = settlement.assess(ctx, &claim);
        assessed.push((claim, refusal(one)?));
    }
    for (claim, one) in assessed {
        match one {
            Ok(one) => settlement.process(ctx, one)?,
            Err(error) => settlement.discard(ctx, claim, &error),
        }
    }
    settlement.finish(ctx)
}

/// A rule's refusal as a value: it concerns one claim. Unreadable state concerns the block.
fn refusal<T>(result: Result<T, Fault>) -> Result<Result<T, ModuleError>, Fault> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Fault::Module(error)) => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

/// Claims whose proof window has closed, by session end, session and supplier.
fn due(ctx: &Context<'_>) -> Result<Vec<Claim>, StateError> {
    let height = ctx.height();
    let mut claims = Vec::new();
    for end in proof::ends_with_claims(&ctx.state, height)? {
        let at_end = shared::params_at(&ctx.state, end)?;
        let window = Timing::new(&at_end).end_to_proof_close_blocks();
        if height.0 > end.0.saturating_add(window) {
            claims.extend(proof::claims_ending_at(&ctx.state, end)?);
        }
    }
    Ok(claims)
}

fn pair(claim: &Claim) -> (String, String) {
    let header = proof::header_of(claim);
    (header.application_address, header.session_id)
}

impl Settlement {
    /// Looks at a claim, and counts what it will take of its session's budget.
    fn assess(&mut self, ctx: &Context<'_>, claim: &Claim) -> Result<Assessed, Fault> {
        let header = proof::header_of(claim);
        let id = &header.service_id;
        let service = required(service::service(&ctx.state, id)?, || {
            refuse(MODULE, 1115, format!("service with ID {id:?} not found"))
        })?;
        self.load_payer(ctx, &header.application_address)?;
        let operator = &claim.supplier_operator_address;
        let supplier = required(supplier::supplier(&ctx.state, operator)?, || {
            refuse(MODULE, 1105, "")
        })?;
        let amount = proof::amount(&ctx.state, claim)?;
        let requirement = proof::requirement(&ctx.state, claim, &amount)?;
        let assessed = Assessed {
            claim: claim.clone(),
            amount,
            requirement,
            service,
            supplier,
        };
        let inflation = self.inflation;
        let budget = self.budget(ctx, claim)?;
        if assessed.settles() {
            budget.count(assessed.amount.claimed, inflation)?;
        }
        Ok(assessed)
    }

    fn load_payer(&mut self, ctx: &Context<'_>, address: &str) -> Result<(), Fault> {
        if self.payers.contains_key(address) {
            return Ok(());
        }
        let app = required(application::application(&ctx.state, address)?, || {
            refuse(MODULE, 1106, "")
        })?;
        let staked = stake::amount(app.stake.as_ref());
        self.payers.insert(address.to_owned(), Payer { app, staked });
        Ok(())
    }

    fn budget(&mut self, ctx: &Context<'_>, claim: &Claim) -> Result<&mut Budget, Fault> {
        let key = pair(claim);
        if !self.budgets.contains_key(&key) {
            let end = Height(proof::header_of(claim).session_end_block_height);
            let at_end = shared::params_at(&ctx.state, end)?;
            let num_suppliers = self.claimants.get(&key).copied().unwrap_or(1);
            let payer = required(self.payers.get(&key.0), || refuse(MODULE, 1106, ""))?;
            let pending = Timing::new(&at_end).num_pending_sessions();
            let budget = Budget::new(&payer.app, payer.staked, pending, num_suppliers);
            self.budgets.insert(key.clone(), budget);
        }
        required(self.budgets.get_mut(&key), || refuse(MODULE, 1117, ""))
    }

    fn process(&mut self, ctx: &mut Context<'_>, assessed: Assessed) -> Result<(), Fault> {
        if !assessed.settles() {
            announce::expired(ctx, &assessed);
            proof::remove_claim(ctx, &assessed.claim);
            self.done.expired.push(assessed.claim);
            return Ok(());
        }
        let first_event = ctx.events.len();
        match refusal(self.settle_one(ctx, &assessed))? {
            Ok(operations) => {
                let header = proof::header_of(&assessed.claim);
                if self.done.operations.is_empty() {
                    self.session_end = header.session_end_block_height;
                }
                let relays = self.done.relays.entry(header.service_id).or_default();
                *relays = relays.wrapping_add(assessed.amount.num_relays);
                self.done.operations.push(operations);
                proof::remove_claim(ctx, &assessed.claim);
            }
            Err(error) => {
                ctx.events.truncate(first_event);
                self.discard(ctx, assessed.claim, &error);
            }
        }
        Ok(())
    }

    /// Settles one claim into the payer's stake and the queue; on a refusal neither has changed.
    fn settle_one(&mut self, ctx: &mut Context<'_>, assessed: &Assessed) -> Result<Operations, Fault> {
        let header = proof::header_of(&assessed.claim);
        if assessed.amount.claimed_compute_units == 0 {
            return Err(refuse(MODULE, 1109, "root hash has zero relays"));
        }
        refusal(proof::check_units(&ctx.state, &header, &assessed.amount))?
            .map_err(|_| mismatch(ctx, &header, &assessed.amount))?;
        let (inflation, multiplier) = (self.inflation, self.params.overservicing_bonus_multiplier);
        let budget = *self.budget(ctx, &assessed.claim)?;
        let allowed = budget.allow(assessed.amount.claimed, inflation, multiplier)?;
        announce::overserviced(ctx, assessed, &allowed, budget.by_spend_limit);
        let payer = required(self.payers.get(&header.application_address), || {
            refuse(MODULE, 1106, "")
        })?;
        let (mut app, mut pool) = (payer.app.clone(), self.pool.clone());
        let mut operations = Operations {
            supplier: assessed.supplier.operator_address.clone(),
            ..Operations::default()
        };
        if allowed.settlement > Upokt(0) {
            let rev_shares = supplier::rev_shares(&assessed.supplier, &header.service_id, ctx.height());
            let rewards = Rewards {
                params: &self.params,
                supplier: &assessed.supplier,
                rev_shares: &rev_shares,
                service_id: &header.service_id,
                source_owner: &assessed.service.owner_address,
                session_id: &header.session_id,
                session_end: header.session_end_block_height,
            };
            operations = rewards.queue(ctx, &mut app, allowed.settlement, &mut pool)?;
            unbond_if_poor(ctx, &mut app)?;
        }
        announce::settled(ctx, assessed, allowed.settlement, &self.params, &operations)?;
        if let Some(payer) = self.payers.get_mut(&header.application_address) {
            payer.app = app;
        }
        self.pool = pool;
        Ok(operations)
    }

    fn discard(&mut self, ctx: &mut Context<'_>, claim: Claim, error: &ModuleError) {
        announce::discarded(ctx, &claim, &error.text);
        proof::remove_claim(ctx, &claim);
        self.done.discarded.push(claim);
    }

    /// Writes stakes, shares the validators' part, executes what was queued, slashes.
    fn finish(mut self, ctx: &mut Context<'_>) -> Result<Settled, Fault> {
        for payer in self.payers.values() {
            application::save(ctx, &payer.app);
        }
        let mut queued = Operations::default();
        let end = self.session_end;
        for (total, reason) in [
            (
                self.pool.relays,
                Reason::TlmRelayBurnEqualsMintValidatorRewardDistribution,
            ),
            (
                self.pool.inflation,
                Reason::TlmGlobalMintValidatorRewardDistribution,
            ),
        ] {
            validators::distribute(ctx, total, reason, end, &mut queued)?;
        }
        if !queued.to_accounts.is_empty() {
            self.done.operations.push(queued);
        }
        execute(ctx, &self.done.operations, end)?;
        for claim in &self.done.expired {
            slash::slash(ctx, claim)?;
        }
        Ok(self.done)
    }
}

fn mismatch(ctx: &Context<'_>, header: &SessionHeader, amount: &ClaimAmount) -> Fault {
    let start = Height(header.session_start_block_height);
    let units = service::compute_units_at(&ctx.state, &header.service_id, start);
    let text = format!(
        "mismatch: claim compute units ({}) != number of relays ({}) * service compute units per relay ({})",
        amount.claimed_compute_units,
        amount.num_relays,
        units.ok().flatten().unwrap_or(0)
    );
    refuse(MODULE, 1109, text)
}

/// Unbonds an application that a settlement leaves too poor; one that already unbonds does so from this session's end on.
fn unbond_if_poor(ctx: &mut Context<'_>, app: &mut Application) -> Result<(), Fault> {
    let min = stake::amount(application::params(&ctx.state)?.min_stake.as_ref());
    if stake::amount(app.stake.as_ref()) < min {
        application::begin_unbonding(ctx, app, ApplicationUnbondingReason::BelowMinStake)?;
    }
    Ok(())
}
