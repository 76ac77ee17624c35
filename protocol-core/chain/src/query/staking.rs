//! Queries of the SDK's modules staking and distribution, over the validators that our chain has: bonded in the genesis, without unbonding, and
//! paid at once.

use portico_protocol::tx::pack;
use portico_protocol::types::DENOM;
use portico_protocol::wire::cosmos::base::query::v1beta1::PageResponse;
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::cosmos::crypto::ed25519::PubKey;
use portico_protocol::wire::cosmos::distribution::v1beta1 as paid;
use portico_protocol::wire::cosmos::staking::v1beta1::{
    BondStatus, Commission, CommissionRates, Delegation, DelegationResponse, Description, Params, Pool,
    QueryDelegationRequest, QueryDelegationResponse, QueryDelegatorDelegationsRequest,
    QueryDelegatorDelegationsResponse, QueryDelegatorUnbondingDelegationsResponse,
    QueryDelegatorValidatorRequest, QueryDelegatorValidatorResponse, QueryDelegatorValidatorsRequest,
    QueryDelegatorValidatorsResponse, QueryHistoricalInfoRequest, QueryParamsResponse, QueryPoolResponse,
    QueryRedelegationsResponse, QueryUnbondingDelegationRequest, QueryValidatorDelegationsRequest,
    QueryValidatorDelegationsResponse, QueryValidatorRequest, QueryValidatorResponse,
    QueryValidatorUnbondingDelegationsResponse, QueryValidatorsRequest, QueryValidatorsResponse, Validator,
};
use portico_protocol::{Address, Upokt};
use prost_types::{Duration, Timestamp};

use super::page::of_list;
use super::view::{Answer, QueryError, View, answer, found, read, unknown};
use crate::tokenomics;
use crate::validators::MAX_VALIDATORS;

/// Decimals of a number of the SDK.
const DECIMALS: usize = 18;

impl View<'_> {
    pub(super) fn staking(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(Params {
                    unbonding_time: Some(Duration::default()),
                    max_validators: u32::try_from(MAX_VALIDATORS).unwrap_or(u32::MAX),
                    max_entries: 0,
                    historical_entries: 0,
                    bond_denom: DENOM.to_owned(),
                    min_commission_rate: "0".to_owned(),
                }),
            }),
            "Pool" => {
                let bonded = self
                    .bonded()?
                    .iter()
                    .fold(0_u128, |sum, one| sum.saturating_add(one.tokens.0));
                answer(&QueryPoolResponse {
                    pool: Some(Pool {
                        not_bonded_tokens: "0".to_owned(),
                        bonded_tokens: bonded.to_string(),
                    }),
                })
            }
            "Validators" => {
                let request: QueryValidatorsRequest = read(request)?;
                let status = &request.status;
                let known = BondStatus::from_str_name(status);
                if !status.is_empty() && known.is_none_or(|known| known == BondStatus::Unspecified) {
                    return Err(QueryError::InvalidArgument(format!(
                        "invalid validator status {status}"
                    )));
                }
                let all = known.is_none_or(|known| known == BondStatus::Bonded);
                let bonded = if all { self.bonded()? } else { Vec::new() };
                let shown = bonded.iter().map(|one| self.shown(one)).collect();
                let (validators, pagination) = of_list(shown, request.pagination)?;
                answer(&QueryValidatorsResponse {
                    validators,
                    pagination,
                })
            }
            "Validator" => {
                let request: QueryValidatorRequest = read(request)?;
                let validator = Some(self.shown(&self.validator(&request.validator_addr)?));
                answer(&QueryValidatorResponse { validator })
            }
            "HistoricalInfo" => {
                let request: QueryHistoricalInfoRequest = read(request)?;
                let text = format!("historical info for height {} not found", request.height);
                Err(QueryError::NotFound(text))
            }
            _ => self.delegations(method, request),
        }
    }

    fn delegations(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        let none = Some(PageResponse::default());
        match method {
            "ValidatorDelegations" => {
                let request: QueryValidatorDelegationsRequest = read(request)?;
                let validator = self.validator(&request.validator_addr)?;
                let all = validator
                    .delegations
                    .keys()
                    .filter_map(|by| delegation(&validator, by));
                let (delegation_responses, pagination) = of_list(all.collect(), request.pagination)?;
                answer(&QueryValidatorDelegationsResponse {
                    delegation_responses,
                    pagination,
                })
            }
            "Delegation" => {
                let request: QueryDelegationRequest = read(request)?;
                let (by, to) = (&request.delegator_addr, &request.validator_addr);
                let of = self
                    .validator(to)
                    .ok()
                    .and_then(|validator| delegation(&validator, by));
                let delegation_response = Some(found(of, || {
                    format!("delegation with delegator {by} not found for validator {to}")
                })?);
                answer(&QueryDelegationResponse { delegation_response })
            }
            "DelegatorDelegations" => {
                let request: QueryDelegatorDelegationsRequest = read(request)?;
                let by = &request.delegator_addr;
                let all = self.bonded()?;
                let all = all.iter().filter_map(|validator| delegation(validator, by));
                let (delegation_responses, pagination) = of_list(all.collect(), request.pagination)?;
                answer(&QueryDelegatorDelegationsResponse {
                    delegation_responses,
                    pagination,
                })
            }
            "DelegatorValidators" => {
                let request: QueryDelegatorValidatorsRequest = read(request)?;
                let of = self.of_delegator(&request.delegator_addr)?;
                let shown = of.iter().map(|one| self.shown(one)).collect();
                let (validators, pagination) = of_list(shown, request.pagination)?;
                answer(&QueryDelegatorValidatorsResponse {
                    validators,
                    pagination,
                })
            }
            "DelegatorValidator" => {
                let request: QueryDelegatorValidatorRequest = read(request)?;
                let validator = self.validator(&request.validator_addr)?;
                if !validator.delegations.contains_key(&request.delegator_addr) {
                    return Err(no_delegation());
                }
                let validator = Some(self.shown(&validator));
                answer(&QueryDelegatorValidatorResponse { validator })
            }
            "UnbondingDelegation" => {
                let request: QueryUnbondingDelegationRequest = read(request)?;
                let (by, to) = (&request.delegator_addr, &request.validator_addr);
                let text = format!("unbonding delegation with delegator {by} not found for validator {to}");
                Err(QueryError::NotFound(text))
            }
            "ValidatorUnbondingDelegations" => answer(&QueryValidatorUnbondingDelegationsResponse {
                unbonding_responses: Vec::new(),
                pagination: none,
            }),
            "DelegatorUnbondingDelegations" => answer(&QueryDelegatorUnbondingDelegationsResponse {
                unbonding_responses: Vec::new(),
                pagination: none,
            }),
            "Redelegations" => answer(&QueryRedelegationsResponse {
                redelegation_responses: Vec::new(),
                pagination: none,
            }),
            _ => unknown("cosmos.staking.v1beta1.Query", method),
        }
    }

    pub(super) fn distribution(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        match method {
            "Params" => answer(&paid::QueryParamsResponse {
                params: Some(paid::Params {
                    community_tax: "0".to_owned(),
                    base_proposer_reward: "0".to_owned(),
                    bonus_proposer_reward: "0".to_owned(),
                    withdraw_addr_enabled: false,
                }),
            }),
            "CommunityPool" => answer(&paid::QueryCommunityPoolResponse::default()),
            "ValidatorDistributionInfo" => {
                let request: paid::QueryValidatorDistributionInfoRequest = read(request)?;
                let validator = self.existing(&request.validator_address)?;
                answer(&paid::QueryValidatorDistributionInfoResponse {
                    operator_address: validator.account.to_string(),
                    ..Default::default()
                })
            }
            "ValidatorOutstandingRewards" => {
                let request: paid::QueryValidatorOutstandingRewardsRequest = read(request)?;
                self.existing(&request.validator_address)?;
                answer(&paid::QueryValidatorOutstandingRewardsResponse {
                    rewards: Some(paid::ValidatorOutstandingRewards::default()),
                })
            }
            "ValidatorCommission" => {
                let request: paid::QueryValidatorCommissionRequest = read(request)?;
                self.existing(&request.validator_address)?;
                answer(&paid::QueryValidatorCommissionResponse {
                    commission: Some(paid::ValidatorAccumulatedCommission::default()),
                })
            }
            "ValidatorSlashes" => answer(&paid::QueryValidatorSlashesResponse {
                slashes: Vec::new(),
                pagination: Some(PageResponse::default()),
            }),
            "DelegationRewards" => {
                let request: paid::QueryDelegationRewardsRequest = read(request)?;
                let validator = self.existing(&request.validator_address)?;
                if !validator.delegations.contains_key(&request.delegator_address) {
                    return Err(no_delegation());
                }
                answer(&paid::QueryDelegationRewardsResponse::default())
            }
            "DelegationTotalRewards" => {
                let request: paid::QueryDelegationTotalRewardsRequest = read(request)?;
                let of = self.of_delegator(&request.delegator_address)?;
                let reward = |one: &tokenomics::Validator| paid::DelegationDelegatorReward {
                    validator_address: one.account.to_operator_string(),
                    reward: Vec::new(),
                };
                answer(&paid::QueryDelegationTotalRewardsResponse {
                    rewards: of.iter().map(reward).collect(),
                    total: Vec::new(),
                })
            }
            "DelegatorValidators" => {
                let request: paid::QueryDelegatorValidatorsRequest = read(request)?;
                let of = self.of_delegator(&request.delegator_address)?;
                answer(&paid::QueryDelegatorValidatorsResponse {
                    validators: of.iter().map(|one| one.account.to_operator_string()).collect(),
                })
            }
            "DelegatorWithdrawAddress" => {
                let request: paid::QueryDelegatorWithdrawAddressRequest = read(request)?;
                answer(&paid::QueryDelegatorWithdrawAddressResponse {
                    withdraw_address: request.delegator_address,
                })
            }
            _ => unknown("cosmos.distribution.v1beta1.Query", method),
        }
    }

    fn bonded(&self) -> Answer<Vec<tokenomics::Validator>> {
        Ok(tokenomics::validators(self.state)?)
    }

    fn of_delegator(&self, delegator: &str) -> Answer<Vec<tokenomics::Validator>> {
        let mut all = self.bonded()?;
        all.retain(|validator| validator.delegations.contains_key(delegator));
        Ok(all)
    }

    /// The validator whose operator has this address, `poktvaloper1…`.
    fn validator(&self, operator: &str) -> Answer<tokenomics::Validator> {
        if operator.is_empty() {
            let text = "validator address cannot be empty";
            return Err(QueryError::InvalidArgument(text.into()));
        }
        let all = self.bonded()?;
        let of = all
            .into_iter()
            .find(|one| one.account.to_operator_string() == operator);
        found(of, || format!("validator {operator} not found"))
    }

    /// As [`View::validator`], refused in the words of module distribution.
    fn existing(&self, operator: &str) -> Answer<tokenomics::Validator> {
        self.validator(operator).map_err(|error| match error {
            QueryError::NotFound(_) => {
                QueryError::Unknown("codespace staking code 3: validator does not exist".into())
            }
            error => error,
        })
    }

    fn shown(&self, validator: &tokenomics::Validator) -> Validator {
        let key = self.key_of(&validator.account);
        Validator {
            operator_address: validator.account.to_operator_string(),
            consensus_pubkey: key.map(|key| pack(&PubKey { key: key.to_vec() })),
            jailed: false,
            status: BondStatus::Bonded.into(),
            tokens: validator.tokens.0.to_string(),
            delegator_shares: shares(validator.tokens),
            description: Some(Description::default()),
            unbonding_height: 0,
            unbonding_time: Some(Timestamp::default()),
            commission: Some(Commission {
                commission_rates: Some(CommissionRates {
                    rate: units(&validator.commission),
                    max_rate: units(&validator.commission),
                    max_change_rate: "0".to_owned(),
                }),
                update_time: Some(Timestamp::default()),
            }),
            min_self_delegation: "0".to_owned(),
            ..Validator::default()
        }
    }

    /// Key with which the validator of this account commits to blocks.
    fn key_of(&self, account: &Address) -> Option<[u8; 32]> {
        let of = self.committers.iter().find(|one| one.account == *account);
        of.map(|one| one.key.to_bytes())
    }
}

fn no_delegation() -> QueryError {
    QueryError::Unknown("codespace staking code 19: no delegation for (address, validator) tuple".into())
}

/// What `by` delegated to `validator`.
fn delegation(validator: &tokenomics::Validator, by: &str) -> Option<DelegationResponse> {
    let tokens = validator.delegations.get(by)?;
    Some(DelegationResponse {
        delegation: Some(Delegation {
            delegator_address: by.to_owned(),
            validator_address: validator.account.to_operator_string(),
            shares: shares(*tokens),
        }),
        balance: Some(Coin::from(*tokens)),
    })
}

/// Tokens as shares: one each, with decimals.
fn shares(tokens: Upokt) -> String {
    match tokens.0 {
        0 => "0".to_owned(),
        tokens => format!("{tokens}{}", "0".repeat(DECIMALS)),
    }
}

/// A decimal such as `0.100000000000000000` in units of its last place.
fn units(decimal: &str) -> String {
    let (whole, places) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits = format!("{whole}{places:0<DECIMALS$}");
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => digits.to_owned(),
    }
}
