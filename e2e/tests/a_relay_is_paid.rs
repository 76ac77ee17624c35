//! One relay's whole life, on real processes: stake, relay, claim, prove, settle.

use anyhow::Result;
use portico_e2e::{Network, NetworkSpec, ProofPolicy};

/// 100 compute units at the network's default price of 42 upokt each.
const RELAY_UPOKT: u128 = 4_200;

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_is_paid() -> Result<()> {
    // A chain, a servicer and a gateway; the application has staked and delegated, and every claim must be proved.
    let spec = NetworkSpec {
        suppliers: 1,
        proofs: ProofPolicy::Always,
        ..NetworkSpec::default()
    };
    let network = Network::start(&spec).await?;

    // A dApp calls; the answer comes from the backend and names the supplier that signed it.
    let (session, answers) = network.call_within_one_session(1).await?;
    assert_eq!(answers[0].body["result"], "0x0", "{:?}", answers[0]);
    assert_eq!(
        answers[0].header("x-supplier-address"),
        Some(network.supplier_address(0)?.as_str())
    );

    // The relay is a leaf before its answer left.
    let relay = answers[0]
        .header("x-relay-id")
        .expect("an answer says which relay it was")
        .to_owned();
    assert!(network.leaves(&session).await?.contains(&relay));

    // When the session has ended, its root is claimed, one leaf of it proved, and the claim settles.
    let claim = network.claimed(&session).await?;
    assert_eq!((claim.num_relays, claim.compute_units), (1, 100));
    let settled = network.settled(&session).await?;
    assert!(settled.proved);
    assert_eq!(settled.upokt, RELAY_UPOKT);

    // Every upokt is where the default distribution says, and the supply grew by inflation only.
    network.check_default_distribution(RELAY_UPOKT).await?;
    network.check_supply().await
}
