//! Sets of validators that change, and stay.

use portico_chain::genesis::{GenesisFlag, GenesisFlagKind, GenesisFlagScope};
use portico_protocol::wire::portico::validator::{MsgSetValidators, Validator};

use super::*;

fn governed() -> Genesis {
    let mut genesis = genesis();
    genesis.params.authority = Some(account(1).address());
    genesis.params.features.push(GenesisFlag {
        name: "validator_sets".into(),
        value: String::new(),
        from_height: 0,
        scope: GenesisFlagScope::Chain,
        kind: GenesisFlagKind::Required,
    });
    genesis
}

#[test]
fn the_keys_of_a_set_are_read_when_it_changes_and_not_again() {
    let store = ChainStore::in_memory().expect("made");
    let bounds = portico_config::node::MempoolConfig::default();
    let machine = machine_of(&governed(), store, GENESIS_MS, bounds);
    let message = MsgSetValidators {
        authority: account(1).address().to_string(),
        validators: vec![Validator {
            consensus_public_key: hex::decode(consensus().public_key_hex()).expect("hex"),
            account: account(2).address().to_string(),
        }],
    };
    let options = TxOptions {
        gas_limit: 1_000_000,
        ..TxOptions::default()
    };
    let context = SignerContext {
        chain_id: "portico-test".into(),
        account_number: number(1),
        sequence: 0,
    };
    let tx: Bytes = sign_tx(vec![pack(&message)], &options, &context, &account(1)).into();
    let mut parent = ROOT;
    let mut sets = Vec::new();
    for height in 1..=5 {
        let txs = if height == 2 { vec![tx.clone()] } else { Vec::new() };
        let time = GENESIS_MS + u64::try_from(height).expect("few");
        let built = machine
            .build(&parent, slot(height, time), &mut Given(txs))
            .expect("built");
        parent = built.id;
        sets.push(
            machine
                .below(&parent)
                .expect("known")
                .after
                .next_validators
                .clone(),
        );
    }
    assert!(
        Arc::ptr_eq(&sets[0], &machine.rules.validators),
        "that of the genesis"
    );
    assert!(!Arc::ptr_eq(&sets[0], &sets[1]), "the second block changes it");
    for later in &sets[2..] {
        assert!(Arc::ptr_eq(&sets[1], later));
    }
    assert_eq!(sets[1].members()[0].account, account(2).address());
}
