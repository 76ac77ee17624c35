//! A genesis is consistent or refused with a reason.

use portico_protocol::Upokt;
use portico_protocol::tx::module_address;

use super::network::{Network, STAKE, address, genesis};
use crate::bank;
use crate::block::init;
use crate::genesis::Genesis;

fn refusal(change: impl FnOnce(&mut Genesis)) -> String {
    let mut genesis = genesis();
    change(&mut genesis);
    init(&genesis).unwrap_err().to_string()
}

#[test]
fn counts_every_balance_and_stake_into_the_supply() {
    let genesis = genesis();
    let network = Network::new(&genesis);
    assert_eq!(network.supply(), genesis.supply().0);
    assert_eq!(bank::sum_of_balances(network.state()).unwrap(), genesis.supply());
    assert_eq!(network.balance(&module_address("application")), STAKE.0);
    assert_eq!(network.balance(&module_address("supplier")), STAKE.0);
    assert_eq!(network.balance(&module_address("gateway")), 1_000_000);
    assert_eq!(network.balance(&module_address("bonded_tokens_pool")), 5_000_000);
}

#[test]
fn serves_its_actors_in_the_first_session() {
    let mut network = Network::new(&genesis());
    network.run_to(1);
    let session = network.session(0);
    assert_eq!(
        session.suppliers[0].operator_address,
        address("supplier").to_string()
    );
    let header = session.header.unwrap();
    assert_eq!(
        (header.session_start_block_height, header.session_end_block_height),
        (1, 10)
    );
}

#[test]
fn reads_back_what_it_writes_and_refuses_unknown_keys() {
    let text = serde_json::to_string_pretty(&genesis()).unwrap();
    let again: Genesis = serde_json::from_str(&text).unwrap();
    assert_eq!(init(&again).unwrap(), init(&genesis()).unwrap());
    let typo = text.replace("\"suppliers\"", "\"supplyers\"");
    let error = serde_json::from_str::<Genesis>(&typo).unwrap_err().to_string();
    assert!(error.contains("unknown field `supplyers`"), "{error}");
    let short = r#"{"chain_id":"x","genesis_time_ms":1,"validators":[]}"#;
    let short: Genesis = serde_json::from_str(short).unwrap();
    assert!(init(&short).unwrap_err().to_string().contains("validators"));
}

#[test]
fn says_what_is_inconsistent() {
    let cases: [(&str, String); 17] = [
        ("chain_id", refusal(|genesis| genesis.chain_id.clear())),
        ("validators", refusal(|genesis| genesis.validators.clear())),
        (
            "64 hexadecimal",
            refusal(|genesis| genesis.validators[0].consensus_public_key = "11".into()),
        ),
        (
            "no tokens",
            refusal(|genesis| genesis.validators[0].tokens = Upokt(0)),
        ),
        (
            "is not this address's key",
            refusal(|genesis| genesis.accounts[0].address = address("stranger")),
        ),
        (
            "applications: pokt1",
            refusal(|genesis| genesis.applications.push(genesis.applications[0].clone())),
        ),
        (
            "suppliers: pokt1",
            refusal(|genesis| genesis.suppliers.push(genesis.suppliers[0].clone())),
        ),
        (
            "gateways: pokt1",
            refusal(|genesis| genesis.gateways.push(genesis.gateways[0].clone())),
        ),
        (
            "services: eth is listed twice",
            refusal(|genesis| genesis.services.push(genesis.services[0].clone())),
        ),
        (
            "not listed under services",
            refusal(|genesis| genesis.services.clear()),
        ),
        ("no gateway", refusal(|genesis| genesis.gateways.clear())),
        (
            "must stake at least",
            refusal(|genesis| genesis.applications[0].stake = Upokt(1)),
        ),
        (
            "must stake at least",
            refusal(|genesis| genesis.suppliers[0].stake = Upokt(1)),
        ),
        (
            "revenue share",
            refusal(|genesis| genesis.suppliers[0].services[0].rev_share[0].percentage = 1),
        ),
        (
            "serves nothing",
            refusal(|genesis| genesis.suppliers[0].services.clear()),
        ),
        (
            "num_blocks_per_session",
            refusal(|genesis| genesis.params.shared.num_blocks_per_session = 0),
        ),
        (
            "add up to 1",
            refusal(|genesis| genesis.params.tokenomics.mint_allocation_percentages.dao = 0.5),
        ),
    ];
    for (wanted, text) in cases {
        assert!(
            text.starts_with("genesis refused: ") && text.contains(wanted),
            "{text}"
        );
    }
}
