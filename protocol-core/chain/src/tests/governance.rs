//! Changes of params: by whom, from when on.

use portico_protocol::wire::pocket::proof::MsgUpdateParams as UpdateProof;
use portico_protocol::wire::pocket::session::{MsgUpdateParam as UpdateSession, msg_update_param as session};
use portico_protocol::wire::pocket::shared::{
    MsgUpdateParam as UpdateShared, MsgUpdateParams as UpdateSharedAll, Params, QueryParamsAtHeightRequest,
    QueryParamsAtHeightResponse, msg_update_param as shared,
};
use portico_protocol::wire::pocket::tokenomics::MsgUpdateParams as UpdateTokenomics;

use super::network::{Network, address, genesis};

fn network() -> Network {
    let mut genesis = genesis();
    genesis.params.authority = Some(address("other"));
    let mut network = Network::new(&genesis);
    network.run_to(1);
    network
}

fn set(name: &str, value: u64) -> UpdateShared {
    UpdateShared {
        authority: address("other").to_string(),
        name: name.into(),
        as_type: Some(shared::AsType::AsUint64(value)),
    }
}

fn params_at(network: &Network, height: i64) -> Params {
    let request = QueryParamsAtHeightRequest { height };
    let answer: QueryParamsAtHeightResponse = network.query("/pocket.shared.Query/ParamsAtHeight", &request);
    answer.params.unwrap()
}

#[test]
fn lets_only_the_authority_change_params() {
    let mut network = network();
    let message = UpdateShared {
        authority: address("owner").to_string(),
        ..set("compute_units_to_tokens_multiplier", 1)
    };
    // Signed by another than the authority it names.
    let forged = set("compute_units_to_tokens_multiplier", 1);
    network.refuse("owner", &forged, "sdk", 8);
    network.refuse("owner", &message, "shared", 1100);
    network.accept("other", &set("compute_units_to_tokens_multiplier", 1));
}

#[test]
fn lets_nobody_change_params_without_an_authority() {
    let mut network = Network::new(&genesis());
    network.run_to(1);
    network.refuse(
        "other",
        &set("compute_units_to_tokens_multiplier", 1),
        "shared",
        1100,
    );
}

#[test]
fn lays_a_new_grid_of_sessions_from_the_next_session_on() {
    let mut network = network();
    network.run_to(4);
    network.accept("other", &set("num_blocks_per_session", 20));
    let before = network.session(0).header.unwrap();
    assert_eq!(
        (before.session_start_block_height, before.session_end_block_height),
        (1, 10)
    );
    let old = params_at(&network, 10);
    assert_eq!(
        (old.num_blocks_per_session, old.session_grid_anchor_height),
        (10, 1)
    );
    let new = params_at(&network, 11);
    assert_eq!(
        (new.num_blocks_per_session, new.session_grid_anchor_height),
        (20, 11)
    );
    network.run_to(10);
    assert_eq!(
        crate::shared::params(network.state())
            .unwrap()
            .num_blocks_per_session,
        10
    );
    network.run_to(11);
    assert_eq!(
        crate::shared::params(network.state())
            .unwrap()
            .num_blocks_per_session,
        20
    );
    network.run_to(31);
    let session = network.session(0);
    let header = session.header.unwrap();
    assert_eq!(
        (header.session_start_block_height, header.session_end_block_height),
        (31, 50)
    );
    assert_eq!(session.session_number, 3);
    let earlier = network.session(7).header.unwrap();
    assert_eq!(
        earlier.session_end_block_height, 10,
        "the past keeps its sessions"
    );
}

#[test]
fn prices_a_session_as_it_was_at_its_start() {
    let mut network = network();
    network.run_to(4);
    network.accept("other", &set("compute_units_to_tokens_multiplier", 1_000_000));
    let live = crate::shared::params(network.state()).unwrap();
    assert_eq!(live.compute_units_to_tokens_multiplier, 1_000_000);
    assert_eq!(
        params_at(&network, 5).compute_units_to_tokens_multiplier,
        42_000_000
    );
    assert_eq!(
        params_at(&network, 11).compute_units_to_tokens_multiplier,
        1_000_000
    );
}

#[test]
fn refuses_params_that_break_the_sessions() {
    let mut network = network();
    for (name, value) in [
        ("num_blocks_per_session", 1),
        ("grace_period_end_offset_blocks", 10),
        ("claim_window_open_offset_blocks", 0),
        ("compute_units_to_tokens_multiplier", 0),
        ("compute_unit_cost_granularity", 0),
        ("proof_window_close_offset_blocks", 100),
    ] {
        network.refuse("other", &set(name, value), "shared", 1103);
    }
    for name in ["session_grid_anchor_height", "nothing"] {
        network.refuse("other", &set(name, 5), "shared", 1102);
    }
    let all = UpdateSharedAll {
        authority: address("other").to_string(),
        params: Some(Params::default()),
    };
    network.refuse("other", &all, "shared", 1103);
    let proof = UpdateProof {
        authority: address("other").to_string(),
        params: Some(portico_protocol::wire::pocket::proof::Params {
            proof_request_probability: 1.1,
            ..crate::proof::params(network.state()).unwrap()
        }),
    };
    network.refuse("other", &proof, "proof", 1120);
    let mut params = crate::tokenomics::params(network.state()).unwrap();
    params.mint_ratio = 0.0;
    let tokenomics = UpdateTokenomics {
        authority: address("other").to_string(),
        params: Some(params),
    };
    network.refuse("other", &tokenomics, "tokenomics", 1112);
}

#[test]
fn draws_a_session_s_suppliers_by_the_number_in_force_at_its_height() {
    let mut network = network();
    network.run_to(5);
    let message = UpdateSession {
        authority: address("other").to_string(),
        name: "num_suppliers_per_session".into(),
        as_type: Some(session::AsType::AsUint64(1)),
    };
    network.accept("other", &message);
    let at = |height| {
        crate::session::params_at(network.state(), portico_protocol::Height(height))
            .unwrap()
            .num_suppliers_per_session
    };
    assert_eq!([at(6), at(10), at(11)], [15, 15, 1]);
}
