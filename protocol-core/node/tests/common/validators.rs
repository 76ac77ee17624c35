//! Chains of several validators, and changing them.

use std::path::Path;

use portico_chain::genesis::{Genesis, GenesisFlag, GenesisFlagKind, GenesisFlagScope, GenesisValidator};
use portico_config::Secret;
use portico_config::node::NodeConfig;
use portico_node::ValidatorKey;
use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx};
use portico_protocol::wire::portico::validator::{MsgSetValidators, Validator};
use portico_protocol::{Address, Height, Upokt};

use super::{CHAIN_ID, Running, config, genesis, key};

pub fn seed(number: u8) -> [u8; 32] {
    [number; 32]
}

pub fn consensus(number: u8) -> ValidatorKey {
    ValidatorKey::from_seed(&seed(number))
}

pub fn account(number: u8) -> Address {
    Address::new([number; 20])
}

/// A chain of validators with these numbers, governed by actor 5.
pub fn chain_of(numbers: &[u8]) -> Genesis {
    let mut genesis = genesis(CHAIN_ID);
    let validator = |number: &u8| GenesisValidator {
        consensus_public_key: consensus(*number).public_key_hex(),
        account: account(*number),
        tokens: Upokt(1_000_000),
    };
    genesis.validators = numbers.iter().map(validator).collect();
    genesis.params.authority = Some(key(5).address());
    genesis.params.features.push(GenesisFlag {
        name: "validator_sets".into(),
        value: String::new(),
        from_height: 0,
        scope: GenesisFlagScope::Chain,
        kind: GenesisFlagKind::Required,
    });
    genesis
}

/// A node that signs for the validators with these numbers.
pub fn signing(folder: &Path, numbers: &[u8]) -> NodeConfig {
    let secret = |number: &u8| Secret::new(hex::encode(seed(*number)));
    NodeConfig {
        validator_key: None,
        validator_keys: numbers.iter().map(secret).collect(),
        ..config(folder)
    }
}

/// Makes a block with a transfer in it.
pub async fn next_block(node: &Running) {
    let height = node.chain.head().borrow().height.0;
    let tx = node.transfer(1, 5).await;
    assert_eq!(node.chain.broadcast(tx).await.expect("answered").code, 0);
    node.reach(Height(height + 1)).await;
}

/// Has the authority set the validators; returns the height of the block that says so.
pub async fn set(node: &Running, numbers: &[u8]) -> i64 {
    let authority = key(5);
    let known = node.chain.account(&authority.address()).await.expect("known");
    let one = |number: &u8| Validator {
        consensus_public_key: consensus(*number).public_key().to_vec(),
        account: account(*number).to_string(),
    };
    let message = MsgSetValidators {
        authority: authority.address().to_string(),
        validators: numbers.iter().map(one).collect(),
    };
    let options = TxOptions {
        gas_limit: 1_000_000,
        ..TxOptions::default()
    };
    let context = SignerContext {
        chain_id: CHAIN_ID.into(),
        account_number: known.number,
        sequence: known.sequence,
    };
    let height = node.chain.head().borrow().height.0;
    let tx = sign_tx(vec![pack(&message)], &options, &context, &authority);
    let sent = node.chain.broadcast(tx.into()).await.expect("answered");
    assert_eq!(sent.code, 0, "{}", sent.log);
    node.reach(Height(height + 1)).await;
    height + 1
}
