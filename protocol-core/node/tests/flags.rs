//! A node whose chain gets rules that it does not have.

mod common;

use common::{CHAIN_ID, Running, genesis};
use portico_chain::genesis::{GenesisFlag, GenesisFlagKind, GenesisFlagScope};
use portico_protocol::causes;

#[tokio::test(flavor = "multi_thread")]
async fn halts_where_a_required_feature_begins_that_it_does_not_know() {
    let mut genesis = genesis(CHAIN_ID);
    genesis.params.features.push(GenesisFlag {
        name: "quantum_relays".into(),
        value: String::new(),
        from_height: 2,
        scope: GenesisFlagScope::Chain,
        kind: GenesisFlagKind::Required,
    });
    let node = Running::of(genesis).await;
    let tx = node.transfer(1, 5).await;
    node.chain
        .broadcast(tx)
        .await
        .expect("block 1 is there, and checks go on");
    let error = node.ended().await.expect_err("no block 2");
    let line = "block 2 needs the feature \"quantum_relays\", which this version does not know";
    assert!(causes(&error).contains(line), "{}", causes(&error));
}
