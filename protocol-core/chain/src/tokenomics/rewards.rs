//! The token logic modules: what settling one claim burns, mints and pays.

use portico_protocol::Upokt;
use portico_protocol::settlement::{Fraction, Parts, SettlementError, Shares, shareholders, split};
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::shared::{ServiceRevenueShare, Supplier};
use portico_protocol::wire::pocket::tokenomics::{Params, SettlementOpReason as Reason};

use super::operations::Operations;
use super::state::{MODULE, arithmetic};
use crate::context::Context;
use crate::error::{Fault, refuse};
use crate::event::{TypedEvent, quote};
use crate::{application, supplier};

/// The validators' part of all claims of a block so far; it is paid once, so that rounding happens once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ValidatorPool {
    /// Of relays' mints.
    pub(crate) relays: Upokt,
    /// Of inflation.
    pub(crate) inflation: Upokt,
}

/// Who is concerned by a claim's settlement.
pub(crate) struct Rewards<'a> {
    pub(crate) params: &'a Params,
    pub(crate) supplier: &'a Supplier,
    /// Revenue shares of the supplier for the service.
    pub(crate) rev_shares: &'a [ServiceRevenueShare],
    pub(crate) service_id: &'a str,
    pub(crate) source_owner: &'a str,
    pub(crate) session_id: &'a str,
    pub(crate) session_end: i64,
}

impl Rewards<'_> {
    /// Queues everything that settling `settlement` does, and takes it off the application's stake.
    ///
    /// Errs, having changed only its arguments, when the mint rounds to nothing or the stake does not suffice.
    pub(crate) fn queue(
        &self,
        ctx: &mut Context<'_>,
        app: &mut Application,
        settlement: Upokt,
        pool: &mut ValidatorPool,
    ) -> Result<Operations, Fault> {
        let mut queued = Operations {
            supplier: self.supplier.operator_address.clone(),
            ..Operations::default()
        };
        self.relay_burn_equals_mint(ctx, app, settlement, pool, &mut queued)
            .map_err(|fault| of_module("TLMRelayBurnEqualsMint", fault))?;
        let inflation =
            Fraction::of(self.params.global_inflation_per_claim).map_err(|error| arithmetic(&error))?;
        if !inflation.is_zero() {
            let minted = inflation
                .ceil_of(settlement)
                .map_err(|error| arithmetic(&error))?;
            self.global_mint(ctx, app, minted, pool, &mut queued)
                .map_err(|fault| of_module("TLMGlobalMint", fault))?;
            self.reimbursement_request(ctx, app, minted, &mut queued)
                .map_err(|fault| of_module("TLMGlobalMintReimbursementRequest", fault))?;
        }
        Ok(queued)
    }

    fn relay_burn_equals_mint(
        &self,
        ctx: &mut Context<'_>,
        app: &mut Application,
        settlement: Upokt,
        pool: &mut ValidatorPool,
        queued: &mut Operations,
    ) -> Result<(), Fault> {
        queued.burn(
            Reason::TlmRelayBurnEqualsMintApplicationStakeBurn,
            application::MODULE,
            settlement,
        );
        application::pay(app, settlement)?;
        let ratio = Fraction::of(self.params.mint_ratio).map_err(|error| arithmetic(&error))?;
        let minted = ratio.floor_of(settlement).map_err(|error| arithmetic(&error))?;
        if minted == Upokt(0) {
            let text = format!(
                "TLMRelayBurnEqualsMint: mint amount truncated to zero for settlement {} with mint_ratio {}",
                settlement.0, self.params.mint_ratio
            );
            return Err(refuse(MODULE, 1118, text));
        }
        queued.mint(
            Reason::TlmRelayBurnEqualsMintTokenomicsClaimDistributionMint,
            minted,
        );
        let shares = self
            .params
            .mint_equals_burn_claim_distribution
            .unwrap_or_default();
        let shares = Shares {
            supplier: shares.supplier,
            proposer: shares.proposer,
            source_owner: shares.source_owner,
            application: shares.application,
        };
        let parts = split(minted, &shares).map_err(|error| arithmetic(&error))?;
        let reason = Reason::TlmRelayBurnEqualsMintSupplierShareholderRewardDistribution;
        self.to_shareholders(ctx, parts.supplier, [reason, reason], queued)?;
        pool.relays = sum(pool.relays, parts.proposer)?;
        let from = MODULE;
        let reason = Reason::TlmRelayBurnEqualsMintSourceOwnerRewardDistribution;
        queued.pay(reason, from, self.source_owner, parts.source_owner);
        let reason = Reason::TlmRelayBurnEqualsMintDaoRewardDistribution;
        queued.pay(reason, from, &self.params.dao_reward_address, parts.dao);
        let reason = Reason::TlmRelayBurnEqualsMintApplicationRewardDistribution;
        queued.pay(reason, from, &app.address, parts.application);
        Ok(())
    }

    fn global_mint(
        &self,
        ctx: &mut Context<'_>,
        app: &Application,
        minted: Upokt,
        pool: &mut ValidatorPool,
        queued: &mut Operations,
    ) -> Result<(), Fault> {
        queued.mint(Reason::TlmGlobalMintInflation, minted);
        let parts = self.inflation_parts(minted).map_err(|error| arithmetic(&error))?;
        // The network names this transfer after the reimbursement.
        let reasons = [
            Reason::TlmGlobalMintReimbursementRequestEscrowModuleTransfer,
            Reason::TlmGlobalMintSupplierShareholderRewardDistribution,
        ];
        self.to_shareholders(ctx, parts.supplier, reasons, queued)?;
        let from = MODULE;
        let reason = Reason::TlmGlobalMintApplicationRewardDistribution;
        queued.pay(reason, from, &app.address, parts.application);
        let reason = Reason::TlmGlobalMintSourceOwnerRewardDistribution;
        queued.pay(reason, from, self.source_owner, parts.source_owner);
        pool.inflation = sum(pool.inflation, parts.proposer)?;
        let reason = Reason::TlmGlobalMintDaoRewardDistribution;
        queued.pay(reason, from, &self.params.dao_reward_address, parts.dao);
        Ok(())
    }

    fn inflation_parts(&self, minted: Upokt) -> Result<Parts, SettlementError> {
        let shares = self.params.mint_allocation_percentages.unwrap_or_default();
        let shares = Shares {
            supplier: shares.supplier,
            proposer: shares.proposer,
            source_owner: shares.source_owner,
            application: shares.application,
        };
        split(minted, &shares)
    }

    /// The inflation leaves the application's stake to the DAO.
    fn reimbursement_request(
        &self,
        ctx: &mut Context<'_>,
        app: &mut Application,
        inflation: Upokt,
        queued: &mut Operations,
    ) -> Result<(), Fault> {
        application::pay(app, inflation)?;
        let reason = Reason::TlmGlobalMintReimbursementRequestEscrowModuleTransfer;
        queued.between(reason, application::MODULE, MODULE, inflation);
        let reason = Reason::TlmGlobalMintReimbursementRequestEscrowDaoTransfer;
        queued.pay(reason, MODULE, &self.params.dao_reward_address, inflation);
        ctx.emit(
            TypedEvent::new("pocket.tokenomics.EventApplicationReimbursementRequest")
                .text("application_addr", &app.address)
                .text("supplier_operator_addr", &self.supplier.operator_address)
                .text("supplier_owner_addr", &self.supplier.owner_address)
                .text("service_id", self.service_id)
                .text("session_id", self.session_id)
                .text("amount", &inflation.to_string()),
        );
        Ok(())
    }

    /// Queues the supplier's part: into the module's account, from there to the shareholders; to the owner when the shares are odd.
    fn to_shareholders(
        &self,
        ctx: &mut Context<'_>,
        amount: Upokt,
        [into_module, to_shareholder]: [Reason; 2],
        queued: &mut Operations,
    ) -> Result<(), Fault> {
        if amount == Upokt(0) {
            return Ok(());
        }
        queued.between(into_module, MODULE, supplier::MODULE, amount);
        match shareholders(amount, self.rev_shares) {
            Ok(parts) => {
                for (to, part) in parts {
                    queued.pay(to_shareholder, supplier::MODULE, &to, part);
                }
            }
            Err(SettlementError::RevShare(why)) => {
                let owner = &self.supplier.owner_address;
                queued.pay(to_shareholder, supplier::MODULE, owner, amount);
                self.announce_fallback(ctx, amount, to_shareholder, &why);
            }
            Err(error) => return Err(arithmetic(&error)),
        }
        Ok(())
    }

    fn announce_fallback(&self, ctx: &mut Context<'_>, amount: Upokt, reason: Reason, why: &str) {
        let observed = self.rev_shares.iter().map(|share| share.rev_share_percentage);
        let observed = observed.fold(0, u64::saturating_add);
        ctx.emit(
            TypedEvent::new("pocket.tokenomics.EventSupplierRevShareFallbackDistribution")
                .text("supplier_operator_address", &self.supplier.operator_address)
                .text("supplier_owner_address", &self.supplier.owner_address)
                .text("service_id", self.service_id)
                .long("session_end_block_height", self.session_end)
                .text("amount", &amount.to_string())
                .json("op_reason", quote(reason.as_str_name()))
                .long("observed_sum_percentage", observed)
                .text("reason", why),
        );
    }
}

/// Says which token logic module refused.
fn of_module(name: &str, fault: Fault) -> Fault {
    match fault {
        Fault::Module(error) => refuse(MODULE, 1119, format!("TLM {name:?}: {}", error.text)),
        fault => fault,
    }
}

fn sum(a: Upokt, b: Upokt) -> Result<Upokt, Fault> {
    let sum = a.0.checked_add(b.0);
    sum.map(Upokt)
        .ok_or_else(|| refuse(MODULE, 1117, "the validators' part is beyond 2^128"))
}
