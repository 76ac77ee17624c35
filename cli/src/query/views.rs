//! How each thing of the chain is shown.

use portico_client::{Account, BlockHead, BlockResults, ChainStatus, Event, TxResult};
use portico_protocol::claim::root_totals;
use portico_protocol::session::Timing;
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket::shared::RpcType;
use portico_protocol::wire::pocket::{application, gateway, proof, session, shared, tokenomics};
use portico_protocol::{Address, Height, Upokt};

use crate::view::View;

fn coin(coin: Option<&Coin>) -> View {
    coin.map_or_else(
        || "none".into(),
        |coin| format!("{}{}", coin.amount, coin.denom).into(),
    )
}

fn unbonding(height: u64) -> View {
    match height {
        0 => "no".into(),
        height => format!("after the session that ends at height {height}").into(),
    }
}

pub(super) fn status(status: &ChainStatus) -> View {
    View::Fields(vec![
        ("chain_id", status.chain_id.as_str().into()),
        ("height", status.head.height.0.into()),
        ("hash", hex::encode_upper(status.head.hash).into()),
        ("time_ms", status.head.time_ms.into()),
        ("catching_up", status.catching_up.into()),
    ])
}

pub(super) fn application(application: &application::Application) -> View {
    View::Fields(vec![
        ("address", application.address.as_str().into()),
        ("stake", coin(application.stake.as_ref())),
        (
            "services",
            application
                .service_configs
                .iter()
                .map(|config| config.service_id.as_str())
                .collect(),
        ),
        (
            "gateways",
            application
                .delegatee_gateway_addresses
                .iter()
                .map(String::as_str)
                .collect(),
        ),
        (
            "spend_limit_per_session",
            coin(application.per_session_spend_limit.as_ref()),
        ),
        ("unbonding", unbonding(application.unstake_session_end_height)),
    ])
}

pub(super) fn gateway(gateway: &gateway::Gateway) -> View {
    View::Fields(vec![
        ("address", gateway.address.as_str().into()),
        ("stake", coin(gateway.stake.as_ref())),
        ("unbonding", unbonding(gateway.unstake_session_end_height)),
    ])
}

pub(super) fn supplier(supplier: &shared::Supplier) -> View {
    View::Fields(vec![
        ("operator", supplier.operator_address.as_str().into()),
        ("owner", supplier.owner_address.as_str().into()),
        ("stake", coin(supplier.stake.as_ref())),
        (
            "services",
            supplier.services.iter().map(supplier_service).collect(),
        ),
        ("unbonding", unbonding(supplier.unstake_session_end_height)),
    ])
}

fn supplier_service(config: &shared::SupplierServiceConfig) -> View {
    let endpoint = |endpoint: &shared::SupplierEndpoint| {
        let kind = RpcType::try_from(endpoint.rpc_type).unwrap_or_default();
        format!("{} ({})", endpoint.url, kind.as_str_name().to_lowercase())
    };
    let share =
        |share: &shared::ServiceRevenueShare| format!("{}% {}", share.rev_share_percentage, share.address);
    View::Fields(vec![
        ("service", config.service_id.as_str().into()),
        ("endpoints", config.endpoints.iter().map(endpoint).collect()),
        ("revenue_shares", config.rev_share.iter().map(share).collect()),
    ])
}

pub(super) fn service(service: &shared::Service) -> View {
    View::Fields(vec![
        ("id", service.id.as_str().into()),
        ("name", service.name.as_str().into()),
        ("compute_units_per_relay", service.compute_units_per_relay.into()),
        ("owner", service.owner_address.as_str().into()),
    ])
}

pub(super) fn session(session: &session::Session, timing: &Timing<'_>) -> View {
    let header = session.header.clone().unwrap_or_default();
    let end = Height(header.session_end_block_height);
    let window = |from: Height, to: Height| View::from(format!("height {from} to {to}"));
    let endpoints = |supplier: &shared::Supplier| {
        let urls = supplier.services.iter().flat_map(|config| &config.endpoints);
        let urls: Vec<&str> = urls.map(|endpoint| endpoint.url.as_str()).collect();
        format!("{}  {}", supplier.operator_address, urls.join(" "))
    };
    View::Fields(vec![
        ("session", session.session_id.as_str().into()),
        ("number", session.session_number.into()),
        ("service", header.service_id.as_str().into()),
        ("application", header.application_address.as_str().into()),
        ("blocks", window(Height(header.session_start_block_height), end)),
        ("relays_until", format!("height {}", timing.grace_end(end)).into()),
        (
            "claim_window",
            window(timing.claim_open(end), timing.claim_close(end)),
        ),
        (
            "proof_window",
            window(timing.proof_open(end), timing.proof_close(end)),
        ),
        (
            "settles",
            format!("at the end of height {}", timing.proof_close(end)).into(),
        ),
        ("suppliers", session.suppliers.iter().map(endpoints).collect()),
    ])
}

pub(super) fn claim(claim: &proof::Claim) -> View {
    let header = claim.session_header.clone().unwrap_or_default();
    let status = proof::ClaimProofStatus::try_from(claim.proof_validation_status).unwrap_or_default();
    let totals = root_totals(&claim.root_hash);
    let (units, relays) = totals.map_or((0, 0), |(units, relays)| (units.0, relays));
    View::Fields(vec![
        ("session", header.session_id.as_str().into()),
        ("service", header.service_id.as_str().into()),
        ("application", header.application_address.as_str().into()),
        ("supplier", claim.supplier_operator_address.as_str().into()),
        ("session_end_height", header.session_end_block_height.into()),
        ("relays", relays.into()),
        ("compute_units", units.into()),
        ("root", hex::encode(&claim.root_hash).into()),
        ("proof", status.as_str_name().to_lowercase().into()),
    ])
}

pub(super) fn balance(address: &Address, balance: Upokt) -> View {
    View::Fields(vec![
        ("address", address.to_string().into()),
        ("balance", balance.to_string().into()),
    ])
}

pub(super) fn account(account: &Account) -> View {
    let key = account.public_key.map(|key| hex::encode(key.as_bytes()));
    View::Fields(vec![
        ("address", account.address.to_string().into()),
        ("number", account.number.into()),
        ("sequence", account.sequence.into()),
        (
            "public_key",
            key.map_or_else(|| "not known: the account never signed".into(), View::from),
        ),
    ])
}

pub(super) fn block(head: &BlockHead, results: &BlockResults) -> View {
    View::Fields(vec![
        ("height", head.height.0.into()),
        ("hash", hex::encode_upper(head.hash).into()),
        ("time_ms", head.time_ms.into()),
        ("transactions", View::List(results.txs.iter().map(tx).collect())),
        (
            "events",
            View::List(results.block_events.iter().map(event).collect()),
        ),
    ])
}

pub(super) fn tx(tx: &TxResult) -> View {
    View::Fields(vec![
        ("height", tx.height.0.into()),
        ("code", tx.code.into()),
        ("codespace", tx.codespace.as_str().into()),
        ("log", tx.log.as_str().into()),
        ("gas_used", tx.gas_used.into()),
        ("events", View::List(tx.events.iter().map(event).collect())),
    ])
}

fn event(event: &Event) -> View {
    let attribute = |(key, value): &(String, String)| format!("{key}={value}");
    View::Fields(vec![
        ("event", event.kind.as_str().into()),
        ("attributes", event.attributes.iter().map(attribute).collect()),
    ])
}

pub(super) fn shared_params(params: &shared::Params) -> View {
    View::Fields(vec![
        ("num_blocks_per_session", params.num_blocks_per_session.into()),
        (
            "grace_period_end_offset_blocks",
            params.grace_period_end_offset_blocks.into(),
        ),
        (
            "claim_window_open_offset_blocks",
            params.claim_window_open_offset_blocks.into(),
        ),
        (
            "claim_window_close_offset_blocks",
            params.claim_window_close_offset_blocks.into(),
        ),
        (
            "proof_window_open_offset_blocks",
            params.proof_window_open_offset_blocks.into(),
        ),
        (
            "proof_window_close_offset_blocks",
            params.proof_window_close_offset_blocks.into(),
        ),
        (
            "supplier_unbonding_period_sessions",
            params.supplier_unbonding_period_sessions.into(),
        ),
        (
            "application_unbonding_period_sessions",
            params.application_unbonding_period_sessions.into(),
        ),
        (
            "gateway_unbonding_period_sessions",
            params.gateway_unbonding_period_sessions.into(),
        ),
        (
            "compute_units_to_tokens_multiplier",
            params.compute_units_to_tokens_multiplier.into(),
        ),
        (
            "compute_unit_cost_granularity",
            params.compute_unit_cost_granularity.into(),
        ),
    ])
}

pub(super) fn session_params(params: &session::Params) -> View {
    View::Fields(vec![(
        "num_suppliers_per_session",
        params.num_suppliers_per_session.into(),
    )])
}

pub(super) fn proof_params(params: &proof::Params) -> View {
    View::Fields(vec![
        (
            "proof_request_probability",
            params.proof_request_probability.to_string().into(),
        ),
        (
            "proof_requirement_threshold",
            coin(params.proof_requirement_threshold.as_ref()),
        ),
        (
            "proof_missing_penalty",
            coin(params.proof_missing_penalty.as_ref()),
        ),
        ("proof_submission_fee", coin(params.proof_submission_fee.as_ref())),
    ])
}

pub(super) fn tokenomics_params(params: &tokenomics::Params) -> View {
    let shares = |dao: f64, proposer: f64, supplier: f64, source_owner: f64, application: f64| {
        View::Fields(vec![
            ("dao", dao.to_string().into()),
            ("proposer", proposer.to_string().into()),
            ("supplier", supplier.to_string().into()),
            ("source_owner", source_owner.to_string().into()),
            ("application", application.to_string().into()),
        ])
    };
    let mint = params.mint_allocation_percentages.unwrap_or_default();
    let burn = params.mint_equals_burn_claim_distribution.unwrap_or_default();
    View::Fields(vec![
        ("dao_reward_address", params.dao_reward_address.as_str().into()),
        (
            "global_inflation_per_claim",
            params.global_inflation_per_claim.to_string().into(),
        ),
        ("mint_ratio", params.mint_ratio.to_string().into()),
        (
            "overservicing_bonus_multiplier",
            params.overservicing_bonus_multiplier.into(),
        ),
        (
            "mint_equals_burn_claim_distribution",
            shares(
                burn.dao,
                burn.proposer,
                burn.supplier,
                burn.source_owner,
                burn.application,
            ),
        ),
        (
            "mint_allocation_percentages",
            shares(
                mint.dao,
                mint.proposer,
                mint.supplier,
                mint.source_owner,
                mint.application,
            ),
        ),
    ])
}
