//! Params of all modules as a genesis states them; defaults are the network's.

use portico_protocol::wire::pocket;
use portico_protocol::{Address, Upokt};
use serde::{Deserialize, Serialize};

use super::flags::GenesisFlag;

/// Params of all modules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenesisParams {
    /// Account that may change params and flags; nobody when it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<Address>,
    /// Rules that hold from a height on; those of our own chain when the list is absent, the network's rules when it is empty.
    pub features: Vec<GenesisFlag>,
    /// Sessions, windows and prices.
    pub shared: SharedParams,
    /// Suppliers drawn into a session.
    pub num_suppliers_per_session: u64,
    /// Gateways that an application may delegate to.
    pub max_delegated_gateways: u64,
    /// Least stake of an application.
    pub application_min_stake: Upokt,
    /// Least stake of a gateway.
    pub gateway_min_stake: Upokt,
    /// Least stake of a supplier.
    pub supplier_min_stake: Upokt,
    /// Fee of each supplier stake message.
    pub supplier_staking_fee: Upokt,
    /// Fee for adding a service.
    pub add_service_fee: Upokt,
    /// Relays per session that the difficulty aims at.
    pub target_num_relays: u64,
    /// Proofs.
    pub proof: ProofParams,
    /// Settlement.
    pub tokenomics: TokenomicsParams,
}

impl Default for GenesisParams {
    fn default() -> Self {
        Self {
            authority: None,
            features: GenesisFlag::own_chain(),
            shared: SharedParams::default(),
            num_suppliers_per_session: 15,
            max_delegated_gateways: 7,
            application_min_stake: Upokt(1_000_000),
            gateway_min_stake: Upokt(100),
            supplier_min_stake: Upokt(1_000_000),
            supplier_staking_fee: Upokt(1),
            add_service_fee: Upokt(1),
            target_num_relays: 100_000,
            proof: ProofParams::default(),
            tokenomics: TokenomicsParams::default(),
        }
    }
}

/// Params of module `shared`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // named and explained by the chain: `pocket.shared.Params`
pub struct SharedParams {
    pub num_blocks_per_session: u64,
    pub grace_period_end_offset_blocks: u64,
    pub claim_window_open_offset_blocks: u64,
    pub claim_window_close_offset_blocks: u64,
    pub proof_window_open_offset_blocks: u64,
    pub proof_window_close_offset_blocks: u64,
    pub supplier_unbonding_period_sessions: u64,
    pub application_unbonding_period_sessions: u64,
    pub gateway_unbonding_period_sessions: u64,
    pub compute_units_to_tokens_multiplier: u64,
    pub compute_unit_cost_granularity: u64,
}

impl Default for SharedParams {
    fn default() -> Self {
        Self {
            num_blocks_per_session: 10,
            grace_period_end_offset_blocks: 1,
            claim_window_open_offset_blocks: 1,
            claim_window_close_offset_blocks: 4,
            proof_window_open_offset_blocks: 0,
            proof_window_close_offset_blocks: 4,
            supplier_unbonding_period_sessions: 1,
            application_unbonding_period_sessions: 1,
            gateway_unbonding_period_sessions: 1,
            compute_units_to_tokens_multiplier: 42_000_000,
            compute_unit_cost_granularity: 1_000_000,
        }
    }
}

impl From<&SharedParams> for pocket::shared::Params {
    fn from(params: &SharedParams) -> Self {
        Self {
            num_blocks_per_session: params.num_blocks_per_session,
            grace_period_end_offset_blocks: params.grace_period_end_offset_blocks,
            claim_window_open_offset_blocks: params.claim_window_open_offset_blocks,
            claim_window_close_offset_blocks: params.claim_window_close_offset_blocks,
            proof_window_open_offset_blocks: params.proof_window_open_offset_blocks,
            proof_window_close_offset_blocks: params.proof_window_close_offset_blocks,
            supplier_unbonding_period_sessions: params.supplier_unbonding_period_sessions,
            application_unbonding_period_sessions: params.application_unbonding_period_sessions,
            compute_units_to_tokens_multiplier: params.compute_units_to_tokens_multiplier,
            gateway_unbonding_period_sessions: params.gateway_unbonding_period_sessions,
            compute_unit_cost_granularity: params.compute_unit_cost_granularity,
            session_grid_anchor_height: 1,
            session_number_at_anchor: 1,
        }
    }
}

/// Params of module `proof`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // `pocket.proof.Params`
pub struct ProofParams {
    pub proof_request_probability: f64,
    pub proof_requirement_threshold: Upokt,
    pub proof_missing_penalty: Upokt,
    pub proof_submission_fee: Upokt,
}

impl Default for ProofParams {
    fn default() -> Self {
        Self {
            proof_request_probability: 0.25,
            proof_requirement_threshold: Upokt(20_000_000),
            proof_missing_penalty: Upokt(320_000_000),
            proof_submission_fee: Upokt(0),
        }
    }
}

impl From<&ProofParams> for pocket::proof::Params {
    fn from(params: &ProofParams) -> Self {
        Self {
            proof_request_probability: params.proof_request_probability,
            proof_requirement_threshold: Some(params.proof_requirement_threshold.into()),
            proof_missing_penalty: Some(params.proof_missing_penalty.into()),
            proof_submission_fee: Some(params.proof_submission_fee.into()),
        }
    }
}

/// Shares of a mint; they add up to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct DistributionShares {
    pub dao: f64,
    pub proposer: f64,
    pub supplier: f64,
    pub source_owner: f64,
    pub application: f64,
}

impl Default for DistributionShares {
    fn default() -> Self {
        Self {
            dao: 0.1,
            proposer: 0.05,
            supplier: 0.7,
            source_owner: 0.15,
            application: 0.0,
        }
    }
}

/// Params of module `tokenomics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // `pocket.tokenomics.Params`
pub struct TokenomicsParams {
    pub dao_reward_address: String,
    pub global_inflation_per_claim: f64,
    pub mint_allocation_percentages: DistributionShares,
    pub mint_equals_burn_claim_distribution: DistributionShares,
    pub mint_ratio: f64,
    pub overservicing_bonus_multiplier: u64,
}

impl Default for TokenomicsParams {
    fn default() -> Self {
        Self {
            dao_reward_address: "pokt1eeeksh2tvkh7wzmfrljnhw4wrhs55lcuvmekkw".to_owned(),
            global_inflation_per_claim: 0.1,
            mint_allocation_percentages: DistributionShares::default(),
            mint_equals_burn_claim_distribution: DistributionShares::default(),
            mint_ratio: 1.0,
            overservicing_bonus_multiplier: 1,
        }
    }
}

impl From<&TokenomicsParams> for pocket::tokenomics::Params {
    fn from(params: &TokenomicsParams) -> Self {
        let (a, b) = (
            &params.mint_allocation_percentages,
            &params.mint_equals_burn_claim_distribution,
        );
        Self {
            mint_allocation_percentages: Some(pocket::tokenomics::MintAllocationPercentages {
                dao: a.dao,
                proposer: a.proposer,
                supplier: a.supplier,
                source_owner: a.source_owner,
                application: a.application,
            }),
            dao_reward_address: params.dao_reward_address.clone(),
            global_inflation_per_claim: params.global_inflation_per_claim,
            mint_equals_burn_claim_distribution: Some(pocket::tokenomics::MintEqualsBurnClaimDistribution {
                dao: b.dao,
                proposer: b.proposer,
                supplier: b.supplier,
                source_owner: b.source_owner,
                application: b.application,
            }),
            mint_ratio: params.mint_ratio,
            overservicing_bonus_multiplier: params.overservicing_bonus_multiplier,
        }
    }
}
