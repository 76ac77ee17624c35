//! From genesis over sessions to settled money, with real relays, rings, tries and proofs.

use portico_protocol::Upokt;
use portico_protocol::tx::module_address;
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::pocket::application::{MsgDelegateToGateway, MsgStakeApplication};
use portico_protocol::wire::pocket::gateway::MsgStakeGateway;
use portico_protocol::wire::pocket::proof::{
    MsgCreateClaim, MsgSubmitProof, QueryAllClaimsRequest, QueryAllClaimsResponse,
};
use portico_protocol::wire::pocket::service::{
    QueryGetRelayMiningDifficultyRequest, QueryGetRelayMiningDifficultyResponse,
};
use portico_protocol::wire::pocket::shared::{
    ApplicationServiceConfig, RpcType, ServiceRevenueShare, SupplierEndpoint, SupplierServiceConfig,
};
use portico_protocol::wire::pocket::supplier::MsgStakeSupplier;

use super::network::{Network, STAKE, Served, UNITS, address, genesis};
use crate::genesis::Genesis;

const DAO: &str = "pokt1eeeksh2tvkh7wzmfrljnhw4wrhs55lcuvmekkw";
const RELAYS: u64 = 7;

fn claim(served: &mut Served, supplier: &str) -> MsgCreateClaim {
    MsgCreateClaim {
        supplier_operator_address: address(supplier).to_string(),
        session_header: served.session.header.clone(),
        root_hash: served.root(),
    }
}

fn proof(served: &mut Served, supplier: &str, seed_height: i64) -> MsgSubmitProof {
    MsgSubmitProof {
        supplier_operator_address: address(supplier).to_string(),
        session_header: served.session.header.clone(),
        proof: served.prove(seed_height),
    }
}

/// A genesis in which every claim must be proved.
fn strict_genesis() -> Genesis {
    let mut genesis = genesis();
    genesis.params.proof.proof_request_probability = 1.0;
    genesis
}

/// Serves relays in the first session and claims them when the window opens, at block 12.
fn claimed(genesis: &Genesis) -> (Network, Served) {
    let mut network = Network::new(genesis);
    network.run_to(3);
    let mut served = Served::new(network.session(0), "supplier", RELAYS);
    network.run_to(11);
    let message = claim(&mut served, "supplier");
    network.accept("supplier", &message);
    (network, served)
}

#[test]
fn pays_everyone_exactly_for_proved_relays() {
    let (mut network, mut served) = claimed(&strict_genesis());
    let request = QueryAllClaimsRequest::default();
    let claims: QueryAllClaimsResponse = network.query("/pocket.proof.Query/AllClaims", &request);
    assert_eq!(claims.claims.len(), 1);

    network.run_to(15);
    let message = proof(&mut served, "supplier", 15);
    let outcome = network.accept("supplier", &message);
    let kinds: Vec<&str> = outcome.events.iter().map(|event| event.r#type.as_str()).collect();
    assert!(kinds.contains(&"pocket.proof.EventProofSubmitted"), "{kinds:?}");

    network.run_to(19);
    let names = ["owner", "supplier", "source", "validator", "application"];
    let before = names.map(|name| network.balance(&address(name)));
    let supply = network.supply();
    let events = network.run_to(20);
    let settled = events
        .iter()
        .find(|event| event.r#type == "pocket.tokenomics.EventClaimSettled");
    let settled = settled.unwrap().attributes.iter();
    let settled: Vec<_> = settled
        .filter(|one| one.key == "settled_upokt" || one.key == "mode")
        .map(|one| one.value.as_str())
        .collect();
    assert_eq!(settled, ["\"29400upokt\"", "EndBlock"]);

    // 7 relays of 100 units at 42 upokt; a tenth of that is minted on top, and reimbursed to the DAO by the application.
    let (paid, inflation) = (29_400, 2_940);
    assert_eq!(
        network.stake_of_application("application"),
        STAKE.0 - paid - inflation
    );
    let gains: Vec<u128> = names
        .iter()
        .zip(before)
        .map(|(name, before)| network.balance(&address(name)) - before)
        .collect();
    assert_eq!(
        gains,
        [16_464 + 1_647, 4_116 + 411, 4_410 + 441, 1_470 + 147, 0],
        "{names:?}"
    );
    assert_eq!(network.balance(&DAO.parse().unwrap()), 2_940 + 294 + inflation);
    assert_eq!(network.supply(), supply + inflation);
    assert_eq!(network.balance(&module_address("tokenomics")), 0);
    assert_eq!(
        network.balance(&module_address("application")),
        STAKE.0 - paid - inflation
    );
    let claims: QueryAllClaimsResponse = network.query("/pocket.proof.Query/AllClaims", &request);
    assert_eq!(claims.claims.len(), 0);

    let request = QueryGetRelayMiningDifficultyRequest {
        service_id: "eth".into(),
    };
    let answer: QueryGetRelayMiningDifficultyResponse =
        network.query("/pocket.service.Query/RelayMiningDifficulty", &request);
    let difficulty = answer.relay_mining_difficulty.unwrap();
    assert_eq!((difficulty.num_relays_ema, difficulty.block_height), (RELAYS, 21));
}

#[test]
fn slashes_the_supplier_whose_required_proof_is_missing() {
    let (mut network, _) = claimed(&strict_genesis());
    network.run_to(19);
    let (supply, owner) = (network.supply(), network.balance(&address("owner")));
    let events = network.run_to(20);
    let penalty = 320_000_000;
    assert_eq!(network.stake_of_supplier("supplier"), Some(STAKE.0 - penalty));
    assert_eq!(network.supply(), supply - penalty);
    assert_eq!(network.balance(&address("owner")), owner);
    assert_eq!(network.stake_of_application("application"), STAKE.0);
    let kinds: Vec<&str> = events.iter().map(|event| event.r#type.as_str()).collect();
    assert!(
        kinds.contains(&"pocket.tokenomics.EventClaimExpired"),
        "{kinds:?}"
    );
    assert!(
        kinds.contains(&"pocket.tokenomics.EventSupplierSlashed"),
        "{kinds:?}"
    );
}

#[test]
fn slashes_the_supplier_that_answers_another_challenge() {
    let (mut network, mut served) = claimed(&strict_genesis());
    network.run_to(15);
    let message = proof(&mut served, "supplier", 14);
    let tx = network.tx("supplier", &message, &Default::default());
    let outcome = network.block(&[tx]);
    assert_eq!(outcome.txs[0].code, 0, "its shape is right");
    let checked = outcome
        .events
        .iter()
        .find(|event| event.r#type == "pocket.proof.EventProofValidityChecked");
    let status = checked.unwrap().attributes.iter();
    let status = status.filter(|one| one.key == "claim_proof_status_int");
    assert_eq!(status.map(|one| one.value.as_str()).collect::<Vec<_>>(), ["2"]);
    network.run_to(20);
    assert_eq!(network.stake_of_supplier("supplier"), Some(STAKE.0 - 320_000_000));
}

#[test]
fn unstakes_a_supplier_that_slashing_leaves_too_poor() {
    let mut genesis = strict_genesis();
    genesis.params.proof.proof_missing_penalty = Upokt(STAKE.0 - 1);
    let (mut network, _) = claimed(&genesis);
    network.run_to(20);
    assert_eq!(network.stake_of_supplier("supplier"), Some(1));
    network.run_to(21);
    let path = "/pocket.session.Query/GetSession";
    let request = portico_protocol::wire::pocket::session::QueryGetSessionRequest {
        application_address: address("application").to_string(),
        service_id: "eth".into(),
        block_height: 0,
    };
    use prost::Message as _;
    let answer = crate::query::query(
        network.state(),
        portico_protocol::Height(21),
        path,
        &request.encode_to_vec(),
    );
    let text = answer.unwrap_err().to_string();
    assert!(text.starts_with("could not find suppliers"), "{text}");
    network.run_to(30);
    assert_eq!(
        network.stake_of_supplier("supplier"),
        None,
        "paid back after a session"
    );
}

#[test]
fn settles_without_a_proof_when_none_is_required() {
    let mut genesis = genesis();
    genesis.params.proof.proof_request_probability = 0.0;
    let (mut network, mut served) = claimed(&genesis);
    network.run_to(15);
    let message = proof(&mut served, "supplier", 15);
    network.refuse("supplier", &message, "proof", 1129);
    network.run_to(20);
    assert_eq!(network.stake_of_application("application"), STAKE.0 - 32_340);
}

#[test]
fn pays_no_more_than_the_session_s_part_of_a_small_stake() {
    let mut genesis = genesis();
    genesis.params.proof.proof_request_probability = 0.0;
    genesis.params.application_min_stake = Upokt(1);
    genesis.applications[0].stake = Upokt(20_000);
    let (mut network, _) = claimed(&genesis);
    let events = network.run_to(20);
    // One session can be unsettled, one supplier claims: all 20,000 are the budget. 18,181 settle, and 1,819 are inflation on that.
    assert_eq!(network.stake_of_application("application"), 0);
    let kinds: Vec<&str> = events.iter().map(|event| event.r#type.as_str()).collect();
    assert!(
        kinds.contains(&"pocket.tokenomics.EventApplicationOverserviced"),
        "{kinds:?}"
    );
}

#[test]
fn lets_newcomers_stake_delegate_serve_and_be_paid() {
    let mut genesis = genesis();
    genesis.params.proof.proof_request_probability = 0.0;
    let mut network = Network::new(&genesis);
    network.run_to(1);
    let coins = |amount: u128| vec![Upokt(amount).into()];
    let funds = MsgSend {
        from_address: address("other").to_string(),
        to_address: address("second").to_string(),
        amount: coins(3_000_000_000),
    };
    network.accept("other", &funds);
    let stake = MsgStakeSupplier {
        signer: address("second").to_string(),
        owner_address: address("second").to_string(),
        operator_address: address("second").to_string(),
        stake: Some(STAKE.into()),
        services: vec![service_config("second")],
    };
    network.accept("second", &stake);
    let gateway = MsgStakeGateway {
        address: address("second").to_string(),
        stake: Some(Upokt(1_000_000).into()),
    };
    network.accept("second", &gateway);
    let app = MsgStakeApplication {
        address: address("other").to_string(),
        stake: Some(STAKE.into()),
        services: vec![ApplicationServiceConfig {
            service_id: "eth".into(),
        }],
        per_session_spend_limit: None,
    };
    network.accept("other", &app);
    let delegate = MsgDelegateToGateway {
        app_address: address("application").to_string(),
        gateway_address: address("second").to_string(),
    };
    network.accept("application", &delegate);
    assert_eq!(
        network.session(0).suppliers.len(),
        1,
        "the new supplier begins with the next session"
    );
    network.run_to(11);
    let session = network.session(0);
    assert_eq!(session.suppliers.len(), 2);
    assert_eq!(
        session
            .application
            .as_ref()
            .unwrap()
            .delegatee_gateway_addresses
            .len(),
        2
    );

    let mut of_first = Served::new(session.clone(), "supplier", 3);
    let mut of_second = Served::new(session, "second", 5);
    network.run_to(21);
    let message = claim(&mut of_first, "supplier");
    network.accept("supplier", &message);
    let message = claim(&mut of_second, "second");
    network.accept("second", &message);
    network.run_to(29);
    let (supply, second) = (network.supply(), network.balance(&address("second")));
    network.run_to(30);
    let settled = u128::from(8 * UNITS * 42);
    assert_eq!(
        network.stake_of_application("application"),
        STAKE.0 - settled - settled / 10
    );
    assert_eq!(network.supply(), supply + settled / 10);
    // 5 relays: 70 % of 21,000, and of the inflation on it.
    assert_eq!(network.balance(&address("second")) - second, 14_700 + 1_470);
}

fn service_config(name: &str) -> SupplierServiceConfig {
    SupplierServiceConfig {
        service_id: "eth".into(),
        endpoints: vec![SupplierEndpoint {
            url: "http://127.0.0.1:8546".into(),
            rpc_type: RpcType::JsonRpc.into(),
            configs: Vec::new(),
        }],
        rev_share: vec![ServiceRevenueShare {
            address: address(name).to_string(),
            rev_share_percentage: 100,
        }],
    }
}
