//! Queries of modules that our chain does not have, answered truthfully: there are no proposals, no plan, no evidence, and nobody is jailed.

use portico_protocol::types::DENOM;
use portico_protocol::wire::cosmos::base::query::v1beta1::PageResponse;
use portico_protocol::wire::cosmos::{
    circuit::v1 as circuit_wire, evidence::v1beta1 as evidence_wire, gov, mint::v1beta1 as mint_wire,
    params::v1beta1 as params_wire, slashing::v1beta1 as slashing_wire, upgrade::v1beta1 as upgrade_wire,
};
use portico_protocol::wire::pocket::migration as migration_wire;
use prost_types::Duration;

use super::view::{Answer, QueryError, View, answer, read, unknown};
use crate::authority::authority;

/// Our modules; their state has had one form so far.
const MODULES: [&str; 14] = [
    "application",
    "auth",
    "authz",
    "bank",
    "feature",
    "feegrant",
    "gateway",
    "proof",
    "service",
    "session",
    "shared",
    "supplier",
    "tokenomics",
    "validator",
];
const ZERO: &str = "0";

fn none() -> Option<PageResponse> {
    Some(PageResponse::default())
}

fn absent<T>(text: impl Into<String>) -> Answer<T> {
    Err(QueryError::NotFound(text.into()))
}

fn invalid<T>(text: impl Into<String>) -> Answer<T> {
    Err(QueryError::InvalidArgument(text.into()))
}

pub(super) fn slashing(method: &str, request: &[u8]) -> Answer<Vec<u8>> {
    match method {
        "Params" => answer(&slashing_wire::QueryParamsResponse {
            params: Some(slashing_wire::Params {
                signed_blocks_window: 0,
                min_signed_per_window: ZERO.into(),
                downtime_jail_duration: Some(Duration::default()),
                slash_fraction_double_sign: ZERO.into(),
                slash_fraction_downtime: ZERO.into(),
            }),
        }),
        "SigningInfos" => answer(&slashing_wire::QuerySigningInfosResponse {
            info: Vec::new(),
            pagination: none(),
        }),
        "SigningInfo" => {
            let request: slashing_wire::QuerySigningInfoRequest = read(request)?;
            match request.cons_address.as_str() {
                "" => invalid("invalid request"),
                validator => absent(format!("SigningInfo not found for validator {validator}")),
            }
        }
        _ => unknown("cosmos.slashing.v1beta1.Query", method),
    }
}

/// Tokens are minted by settlement only.
pub(super) fn mint(method: &str) -> Answer<Vec<u8>> {
    match method {
        "Params" => answer(&mint_wire::QueryParamsResponse {
            params: Some(mint_wire::Params {
                mint_denom: DENOM.to_owned(),
                inflation_rate_change: ZERO.to_owned(),
                inflation_max: ZERO.to_owned(),
                inflation_min: ZERO.to_owned(),
                goal_bonded: ZERO.to_owned(),
                blocks_per_year: 0,
            }),
        }),
        "Inflation" => answer(&mint_wire::QueryInflationResponse {
            inflation: ZERO.into(),
        }),
        "AnnualProvisions" => answer(&mint_wire::QueryAnnualProvisionsResponse {
            annual_provisions: ZERO.into(),
        }),
        _ => unknown("cosmos.mint.v1beta1.Query", method),
    }
}

/// One account governs, without votes.
pub(super) fn gov(method: &str, request: &[u8]) -> Answer<Vec<u8>> {
    use gov::v1::{
        DepositParams, Params, QueryConstitutionResponse, QueryDepositsResponse, QueryParamsRequest,
        QueryParamsResponse, QueryProposalsResponse, QueryVotesResponse, TallyParams, VotingParams,
    };
    match method {
        "Constitution" => answer(&QueryConstitutionResponse::default()),
        "Proposals" => answer(&QueryProposalsResponse {
            proposals: Vec::new(),
            pagination: none(),
        }),
        "Votes" => answer(&QueryVotesResponse {
            votes: Vec::new(),
            pagination: none(),
        }),
        "Deposits" => answer(&QueryDepositsResponse {
            deposits: Vec::new(),
            pagination: none(),
        }),
        "Params" => {
            let request: QueryParamsRequest = read(request)?;
            let kind = request.params_type.as_str();
            if !["", "voting", "deposit", "tallying"].contains(&kind) {
                return invalid(format!("unknown params type: {kind}"));
            }
            let zero = Some(Duration::default());
            answer(&QueryParamsResponse {
                voting_params: (kind == "voting").then_some(VotingParams { voting_period: zero }),
                deposit_params: (kind == "deposit").then(|| DepositParams {
                    min_deposit: Vec::new(),
                    max_deposit_period: zero,
                }),
                tally_params: (kind == "tallying").then(|| TallyParams {
                    quorum: ZERO.to_owned(),
                    threshold: ZERO.to_owned(),
                    veto_threshold: ZERO.to_owned(),
                }),
                params: Some(Params {
                    min_deposit: Vec::new(),
                    max_deposit_period: zero,
                    voting_period: zero,
                    quorum: ZERO.to_owned(),
                    threshold: ZERO.to_owned(),
                    veto_threshold: ZERO.to_owned(),
                }),
            })
        }
        _ => proposal("cosmos.gov.v1.Query", method, request),
    }
}

pub(super) fn gov_v1beta1(method: &str, request: &[u8]) -> Answer<Vec<u8>> {
    use gov::v1beta1::{
        DepositParams, QueryDepositsResponse, QueryParamsRequest, QueryParamsResponse,
        QueryProposalsResponse, QueryVotesResponse, TallyParams, VotingParams,
    };
    match method {
        "Proposals" => answer(&QueryProposalsResponse {
            proposals: Vec::new(),
            pagination: none(),
        }),
        "Votes" => answer(&QueryVotesResponse {
            votes: Vec::new(),
            pagination: none(),
        }),
        "Deposits" => answer(&QueryDepositsResponse {
            deposits: Vec::new(),
            pagination: none(),
        }),
        "Params" => {
            let request: QueryParamsRequest = read(request)?;
            let kind = request.params_type.as_str();
            if !["voting", "deposit", "tallying"].contains(&kind) {
                return invalid(format!("{kind} is not a valid parameter type"));
            }
            let zero = Some(Duration::default());
            answer(&QueryParamsResponse {
                voting_params: Some(VotingParams { voting_period: zero }),
                deposit_params: Some(DepositParams {
                    min_deposit: Vec::new(),
                    max_deposit_period: zero,
                }),
                tally_params: Some(TallyParams {
                    quorum: ZERO.into(),
                    threshold: ZERO.into(),
                    veto_threshold: ZERO.into(),
                }),
            })
        }
        _ => proposal("cosmos.gov.v1beta1.Query", method, request),
    }
}

/// Methods about one proposal, whose requests have the same form in both versions.
fn proposal(service: &str, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
    let request: gov::v1::QueryVoteRequest = read(request)?;
    let (id, account) = (request.proposal_id, &request.voter);
    match (method, id) {
        ("Proposal" | "Vote" | "Deposit" | "TallyResult", 0) => invalid("proposal id can not be 0"),
        ("Proposal" | "TallyResult", _) => absent(format!("proposal {id} doesn't exist")),
        ("Vote", _) => invalid(format!("voter: {account} not found for proposal: {id}")),
        ("Deposit", _) => absent(format!("depositer: {account} not found for proposal: {id}")),
        _ => unknown(service, method),
    }
}

impl View<'_> {
    pub(super) fn upgrade(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        match method {
            "CurrentPlan" => answer(&upgrade_wire::QueryCurrentPlanResponse::default()),
            "AppliedPlan" => answer(&upgrade_wire::QueryAppliedPlanResponse::default()),
            "UpgradedConsensusState" => answer(&upgrade_wire::QueryUpgradedConsensusStateResponse::default()),
            "Authority" => answer(&upgrade_wire::QueryAuthorityResponse {
                address: authority(self.state)?,
            }),
            "ModuleVersions" => {
                let request: upgrade_wire::QueryModuleVersionsRequest = read(request)?;
                let asked = request.module_name.as_str();
                if !asked.is_empty() && !MODULES.contains(&asked) {
                    return Err(QueryError::Unknown(format!(
                        "codespace upgrade code 2: module version not found: x/upgrade: QueryModuleVersions module {asked} not found"
                    )));
                }
                let wanted = MODULES.iter().filter(|name| asked.is_empty() || **name == asked);
                let version = |name: &&str| upgrade_wire::ModuleVersion {
                    name: (*name).to_owned(),
                    version: 1,
                };
                answer(&upgrade_wire::QueryModuleVersionsResponse {
                    module_versions: wanted.map(version).collect(),
                })
            }
            _ => unknown("cosmos.upgrade.v1beta1.Query", method),
        }
    }
}

pub(super) fn evidence(method: &str, request: &[u8]) -> Answer<Vec<u8>> {
    match method {
        "AllEvidence" => answer(&evidence_wire::QueryAllEvidenceResponse {
            evidence: Vec::new(),
            pagination: none(),
        }),
        "Evidence" => {
            let request: evidence_wire::QueryEvidenceRequest = read(request)?;
            match request.hash.as_str() {
                "" => invalid("invalid request; hash is empty"),
                hash => absent(format!("evidence {hash} not found")),
            }
        }
        _ => unknown("cosmos.evidence.v1beta1.Query", method),
    }
}

/// Params are their modules' own.
pub(super) fn params(method: &str, request: &[u8]) -> Answer<Vec<u8>> {
    match method {
        "Subspaces" => answer(&params_wire::QuerySubspacesResponse::default()),
        "Params" => {
            let request: params_wire::QueryParamsRequest = read(request)?;
            if request.subspace.is_empty() || request.key.is_empty() {
                return invalid("invalid request");
            }
            let subspace = request.subspace;
            Err(QueryError::Unknown(format!(
                "codespace params code 2: unknown subspace: {subspace}"
            )))
        }
        _ => unknown("cosmos.params.v1beta1.Query", method),
    }
}

pub(super) fn circuit(method: &str, request: &[u8]) -> Answer<Vec<u8>> {
    match method {
        "Accounts" => answer(&circuit_wire::AccountsResponse {
            accounts: Vec::new(),
            pagination: none(),
        }),
        "DisabledList" => answer(&circuit_wire::DisabledListResponse::default()),
        "Account" => {
            let request: circuit_wire::QueryAccountRequest = read(request)?;
            let text = format!("{} may break no circuit: there are none", request.address);
            Err(QueryError::Unknown(text))
        }
        _ => unknown("cosmos.circuit.v1.Query", method),
    }
}

/// Nobody can claim here what he had on the network before this one.
pub(super) fn migration(method: &str) -> Answer<Vec<u8>> {
    match method {
        "Params" => answer(&migration_wire::QueryParamsResponse {
            params: Some(migration_wire::Params::default()),
        }),
        "MorseClaimableAccountAll" => answer(&migration_wire::QueryAllMorseClaimableAccountResponse {
            morse_claimable_account: Vec::new(),
            pagination: none(),
        }),
        "MorseClaimableAccount" => absent("not found"),
        _ => unknown("pocket.migration.Query", method),
    }
}
