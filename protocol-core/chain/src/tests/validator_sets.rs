//! Who commits to blocks: by whom it is changed, from when on, and what is refused.

use ed25519_consensus::SigningKey;
use portico_protocol::wire::portico::validator::{MsgSetValidators, Validator};
use portico_protocol::{Address, Height};

use super::network::{Network, address, genesis};
use crate::feature::VALIDATOR_SETS;
use crate::genesis::{Genesis, GenesisFlag, GenesisFlagKind, GenesisFlagScope};
use crate::validators::{MAX_VALIDATORS, members, of_genesis, set_at};

fn key(seed: u8) -> Vec<u8> {
    SigningKey::from([seed; 32])
        .verification_key()
        .to_bytes()
        .to_vec()
}

fn validator(seed: u8) -> Validator {
    Validator {
        consensus_public_key: key(seed),
        account: Address::new([seed; 20]).to_string(),
    }
}

fn set(seeds: &[u8]) -> MsgSetValidators {
    MsgSetValidators {
        authority: address("other").to_string(),
        validators: seeds.iter().copied().map(validator).collect(),
    }
}

fn governed(flagged: bool) -> Genesis {
    let mut genesis = genesis();
    genesis.params.authority = Some(address("other"));
    if flagged {
        genesis.params.features.push(GenesisFlag {
            name: VALIDATOR_SETS.into(),
            value: String::new(),
            from_height: 0,
            scope: GenesisFlagScope::Chain,
            kind: GenesisFlagKind::Required,
        });
    }
    genesis
}

fn network(flagged: bool) -> Network {
    let mut network = Network::new(&governed(flagged));
    network.run_to(1);
    network
}

/// Keys of the set of a height.
fn keys(network: &Network, height: i64) -> Option<Vec<Vec<u8>>> {
    let set = set_at(network.state(), Height(height)).expect("readable")?;
    let members = members(&set).expect("of a message");
    Some(members.iter().map(|one| one.key.to_bytes().to_vec()).collect())
}

#[test]
fn a_set_holds_from_the_second_block_after_its_message_and_stays_known() {
    let mut network = network(true);
    assert_eq!(keys(&network, 1_000), None, "the genesis' set");
    network.accept("other", &set(&[1, 2, 3])); // in block 2
    network.accept("other", &set(&[4])); // in block 3
    network.run_to(40);
    assert_eq!(keys(&network, 3), None);
    assert_eq!(keys(&network, 4), Some(vec![key(1), key(2), key(3)]));
    for height in [5, 6, 40, 42] {
        assert_eq!(keys(&network, height), Some(vec![key(4)]), "{height}");
    }
}

#[test]
fn only_the_authority_sets_validators_and_only_where_the_chain_has_the_flag() {
    let mut without = network(false);
    without.refuse("other", &set(&[1]), "validator", 1105);
    let mut network = network(true);
    let mut foreign = set(&[1]);
    foreign.authority = address("owner").to_string();
    network.refuse("owner", &foreign, "validator", 1100);
    assert_eq!(keys(&network, 1_000), None);
}

#[test]
fn refuses_sets_that_cannot_commit() {
    let mut network = network(true);
    let too_many: Vec<u8> = (1..=101).collect();
    network.refuse("other", &set(&[]), "validator", 1101);
    network.refuse("other", &set(&too_many), "validator", 1101);
    network.refuse("other", &set(&[1, 1]), "validator", 1104);
    let mut wrong = set(&[1]);
    wrong.validators[0].account = "pokt1".into();
    network.refuse("other", &wrong, "validator", 1102);
    for no_key in [vec![1; 31], vec![2; 32]] {
        let mut wrong = set(&[1]);
        wrong.validators[0].consensus_public_key = no_key;
        network.refuse("other", &wrong, "validator", 1103);
    }
    network.accept("other", &set(&too_many[..MAX_VALIDATORS]));
}

#[test]
fn a_genesis_names_one_to_a_hundred_validators() {
    let mut genesis = genesis();
    genesis.validators[0].consensus_public_key = hex::encode(key(1));
    assert_eq!(of_genesis(&genesis).expect("one").len(), 1);
    let first = genesis.validators[0].clone();
    genesis.validators = (1..=101)
        .map(|seed| {
            let mut next = first.clone();
            next.consensus_public_key = hex::encode(key(seed));
            next.account = Address::new([seed; 20]);
            next
        })
        .collect();
    for refused in [of_genesis(&genesis).err(), crate::block::init(&genesis).err()] {
        let text = refused.expect("too many").to_string();
        assert!(
            text.contains("101 validators, but there must be 1 to 100"),
            "{text}"
        );
    }
    genesis.validators.pop();
    assert_eq!(of_genesis(&genesis).expect("a hundred").len(), 100);
    crate::block::init(&genesis).expect("a hundred");
    genesis.validators[7].consensus_public_key = hex::encode([2; 32]);
    assert!(of_genesis(&genesis).is_err(), "no point of the curve");
}
