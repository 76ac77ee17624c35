//! Stake files by the hundred, on a chain that makes blocks.

use std::time::Duration;

use portico_chain::genesis::GenesisAccount;
use portico_client::Actors as _;
use portico_testkit::MemoryChain;

use super::*;

/// More than a page of suppliers, and than a transaction has messages.
const SUPPLIERS: u16 = 150;
const STAKE: u64 = 2_000_000;

fn key(n: u16) -> SigningKey {
    let mut bytes = [1; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    SigningKey::from_bytes(&bytes).unwrap()
}

/// A folder of stake files with this stake, and one of their keys.
fn folders(stake: u64) -> (tempfile::TempDir, tempfile::TempDir) {
    let (stakes, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for n in 0..SUPPLIERS {
        let (key, name) = (key(n), format!("{n:03}"));
        let text = format!(
            "owner_address: {0}\noperator_address: {0}\nstake_amount: {stake}upokt\nservices:\n- service_id: eth\n  endpoints:\n  - \
             {{publicly_exposed_url: \"https://relay.example\", rpc_type: json_rpc}}\n",
            key.address()
        );
        std::fs::write(stakes.path().join(format!("{name}.yaml")), text).unwrap();
        portico_config::secret::write_key_file(&keys.path().join(format!("{name}.hex")), &key).unwrap();
    }
    (stakes, keys)
}

/// A chain with a service and these accounts, on which a block is made every few milliseconds.
fn chain() -> std::sync::Arc<MemoryChain> {
    let chain = MemoryChain::new();
    let application = key(u16::MAX);
    chain.stake_application(application.public_key(), &"eth".parse().unwrap(), &[]);
    chain.found(|genesis| {
        for n in 0..SUPPLIERS {
            let account = GenesisAccount::new(&key(n).public_key(), Upokt(10_000_000));
            genesis.accounts.push(account);
        }
    });
    let blocks = std::sync::Arc::clone(&chain);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            blocks.advance();
        }
    });
    chain
}

async fn run(stakes: &std::path::Path, keys: &std::path::Path, chain: &MemoryChain, yes: bool) -> Result<()> {
    let args = FilesArgs {
        files: vec![stakes.to_owned()],
        key_paths: vec![keys.to_owned()],
        yes,
    };
    let fee = Fee { gas: None, upokt: 0 };
    args.run(Verb::Stake, &args.keys(None)?, chain, fee, "", false)
        .await
}

#[tokio::test]
async fn suppliers_by_the_hundred_are_staked_once_the_plan_is_agreed_to() {
    let chain = chain();
    let (stakes, keys) = folders(STAKE);
    run(stakes.path(), keys.path(), &chain, false).await.unwrap();
    assert_eq!(chain.suppliers().await.unwrap().len(), 0, "a plan sends nothing");
    run(stakes.path(), keys.path(), &chain, true).await.unwrap();
    let staked = chain.suppliers().await.unwrap();
    assert_eq!(staked.len(), usize::from(SUPPLIERS));
    let sent = chain.included().len();
    run(stakes.path(), keys.path(), &chain, true).await.unwrap();
    assert_eq!(
        chain.included().len(),
        sent,
        "what is as the files say is left alone"
    );
    // One file that cannot be paid for stops all of them before anything is sent.
    let (raised, _) = folders(STAKE + 1);
    let first = raised.path().join("000.yaml");
    let text = std::fs::read_to_string(&first).unwrap();
    std::fs::write(&first, text.replace("2000001upokt", "900000000upokt")).unwrap();
    let error = run(raised.path(), keys.path(), &chain, true).await.unwrap_err();
    assert!(
        error.to_string().contains("nothing was sent: 1 faults"),
        "{error}"
    );
    assert_eq!(chain.included().len(), sent);
}
