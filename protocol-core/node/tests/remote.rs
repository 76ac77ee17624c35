//! The same chain in process and through sockets: every call, the same answer.

mod common;

use std::fmt::Debug;

use bytes::Bytes;
use common::{Running, config, key, service};
use portico_chain::genesis::GenesisGateway;
use portico_client::{
    Accounts, Blocks, Chain, ChainError, ModuleParams, RemoteChain, Sessions, Transactions,
};
use portico_protocol::{Address, Height, ServiceId, Upokt};

/// Both answers, which must be the same; errors of the same kind count as such.
fn same<T: PartialEq + Debug>(
    what: &str,
    local: Result<T, ChainError>,
    remote: Result<T, ChainError>,
) -> Option<T> {
    match (local, remote) {
        (Ok(local), Ok(remote)) => {
            assert_eq!(local, remote, "{what}");
            Some(local)
        }
        (Err(local), Err(remote)) => {
            let kind = std::mem::discriminant::<ChainError>;
            assert_eq!(kind(&local), kind(&remote), "{what}: {local} / {remote}");
            None
        }
        (local, remote) => panic!("{what}: {local:?} / {remote:?}"),
    }
}

macro_rules! same {
    ($local:expr, $remote:expr, $call:ident($($argument:expr),*)) => {
        same(
            stringify!($call($($argument),*)),
            $local.$call($($argument),*).await,
            (&$remote as &dyn Chain).$call($($argument),*).await,
        )
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_gives_the_same_answer_in_process_and_remotely() {
    let node = Running::new().await;
    let (local, remote) = (node.chain.clone(), node.remote().await);
    let tx = node.transfer(1, 5).await;
    same!(local, remote, simulate(tx.clone())).expect("it would work");
    let sent = Transactions::broadcast(&remote, tx).await.expect("answered");
    assert_eq!(sent.code, 0, "{}", sent.log);
    node.reach(Height(2)).await;

    let status = same!(local, remote, status()).expect("known");
    assert_eq!(
        (status.chain_id.as_str(), status.head.height),
        (common::CHAIN_ID, Height(2))
    );
    let block = same!(local, remote, block(Height(2))).expect("known");
    assert_eq!(block, status.head);
    same!(local, remote, block(Height(1))).expect("known");
    let results = same!(local, remote, block_results(Height(2))).expect("known");
    assert_eq!(results.txs.len(), 1);
    assert!(!results.txs[0].events.is_empty());
    same!(local, remote, block_results(Height(1))).expect("known");
    let included = same!(local, remote, tx(&sent.hash))
        .expect("known")
        .expect("in a block");
    assert_eq!(
        (included.code, included.height),
        (0, Height(2)),
        "{}",
        included.log
    );
    assert!(
        same!(local, remote, tx(&"00".repeat(32)))
            .expect("answered")
            .is_none()
    );

    same!(local, remote, shared_params(None)).expect("known");
    same!(local, remote, shared_params(Some(Height(1)))).expect("known");
    same!(local, remote, session_params()).expect("known");
    same!(local, remote, proof_params()).expect("known");
    same!(local, remote, tokenomics_params()).expect("known");

    same!(local, remote, total_supply()).expect("known");
    let (application, gateway, supplier) = (key(1).address(), key(2).address(), key(3).address());
    let session = same!(local, remote, session(&application, &service(), Height(0))).expect("known");
    assert_eq!(session.suppliers.len(), 1);
    same!(local, remote, application(&application)).expect("known");
    assert_eq!(same!(local, remote, applications()).expect("known").len(), 1);
    same!(local, remote, gateway(&gateway)).expect("known");
    assert_eq!(same!(local, remote, gateways()).expect("known").len(), 1);
    same!(local, remote, supplier(&supplier)).expect("known");
    assert_eq!(same!(local, remote, suppliers()).expect("known").len(), 1);
    same!(local, remote, service(&service())).expect("known");
    assert_eq!(same!(local, remote, services()).expect("known").len(), 1);
    assert_eq!(
        same!(local, remote, compute_units_per_relay(&service(), Height(1))),
        Some(10)
    );
    same!(local, remote, difficulty(&service(), Height(1))).expect("known");
    assert!(same!(local, remote, claims()).expect("known").is_empty());
    assert_eq!(same!(local, remote, claim("none", &supplier)), Some(None));
    assert_eq!(same!(local, remote, proof("none", &supplier)), Some(None));
    let account = same!(local, remote, account(&application)).expect("known");
    assert_eq!(
        (account.sequence, account.public_key),
        (1, Some(key(1).public_key()))
    );
    same!(local, remote, balance(&gateway)).expect("known");
    assert_eq!(same!(local, remote, balance(&key(99).address())), Some(Upokt(0)));
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_of_the_same_kind_in_process_and_remotely() {
    let node = Running::new().await;
    let (local, remote) = (node.chain.clone(), node.remote().await);
    let nobody = key(99).address();
    let nothing = ServiceId::new("nothing").expect("an id");
    assert_eq!(same!(local, remote, block(Height(99))), None);
    assert_eq!(same!(local, remote, block_results(Height(99))), None);
    assert_eq!(same!(local, remote, application(&nobody)), None);
    assert_eq!(same!(local, remote, gateway(&nobody)), None);
    assert_eq!(same!(local, remote, supplier(&nobody)), None);
    assert_eq!(same!(local, remote, service(&nothing)), None);
    assert_eq!(same!(local, remote, account(&nobody)), None);
    assert_eq!(same!(local, remote, session(&nobody, &nothing, Height(0))), None);
    assert_eq!(
        same!(local, remote, simulate(Bytes::from_static(b"garbage"))),
        None
    );
    assert_eq!(same!(local, remote, tx("no hash")), None);
    assert!(matches!(
        Blocks::block(&remote, Height(99)).await,
        Err(ChainError::NotFound(_))
    ));
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_transactions_have_the_same_code_in_process_and_remotely() {
    let node = Running::new().await;
    let (local, remote) = (node.chain.clone(), node.remote().await);
    let known = node.transfer(1, 5).await;
    assert_eq!(local.broadcast(known.clone()).await.expect("answered").code, 0);
    node.reach(Height(2)).await;
    let mut forged = node.transfer(1, 5).await.to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let large = vec![0; (1 << 20) + 1];
    for (tx, code) in [(known, Some(19)), (large.into(), Some(21)), (forged.into(), None)] {
        let here = local.broadcast(tx.clone()).await.expect("answered");
        let there = Transactions::broadcast(&remote, tx).await.expect("answered");
        assert_ne!(here.code, 0);
        assert!(code.is_none_or(|code| code == here.code), "{}", here.log);
        assert_eq!(
            (here.hash, here.code, here.codespace),
            (there.hash, there.code, there.codespace)
        );
    }
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_chain_follows_the_head() {
    let node = Running::new().await;
    let remote = node.remote().await;
    let mut head = Blocks::head(&remote);
    for height in 2..5 {
        let tx = node.transfer(1, 5).await;
        assert_eq!(
            Transactions::broadcast(&remote, tx).await.expect("answered").code,
            0
        );
        let seen = head
            .wait_for(|head| head.height == Height(height))
            .await
            .expect("it follows")
            .clone();
        assert_eq!(seen, node.chain.block(Height(height)).await.expect("known"));
    }
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_whole_however_many_pages_they_take() {
    let mut genesis = common::genesis(common::CHAIN_ID);
    let more = (0..600_u64).map(|n| {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        GenesisGateway {
            address: Address::new(bytes),
            stake: Upokt(1_000),
        }
    });
    genesis.gateways.extend(more);
    let node = Running::of(genesis).await;
    let (local, remote) = (node.chain.clone(), node.remote().await);
    assert_eq!(same!(local, remote, gateways()).expect("known").len(), 601);
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_chain_goes_on_when_its_node_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Running::at(config(folder.path()), common::genesis(common::CHAIN_ID)).await;
    let remote = first.remote().await;
    let mut again = config(folder.path());
    let address = |url: &str| url.trim_start_matches("http://").parse().expect("an address");
    (again.rpc_listen, again.grpc_listen) = (address(&first.rpc), address(&first.grpc));
    first.stop().await.expect("in order");
    for error in [
        Blocks::status(&remote)
            .await
            .map(drop)
            .expect_err("nobody is there"),
        remote
            .shared_params(None)
            .await
            .map(drop)
            .expect_err("nobody is there"),
    ] {
        assert!(
            matches!(error, ChainError::Unavailable(_)) && error.is_retryable(),
            "{error}"
        );
    }
    let second = Running::at(again, common::genesis(common::CHAIN_ID)).await;
    let mut head = Blocks::head(&remote);
    head.wait_for(|head| head.height == Height(2))
        .await
        .expect("it follows");
    let balance = remote.balance(&key(1).address()).await;
    assert_eq!(balance.expect("answered"), Upokt(1_000_000_000));
    second.stop().await.expect("in order");
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_refused_at_once() {
    for url in ["ftp://127.0.0.1:1", "127.0.0.1:1", ""] {
        let refused = RemoteChain::connect(url, "http://127.0.0.1:1")
            .await
            .err()
            .expect("refused");
        assert!(matches!(refused, ChainError::InvalidArgument(_)), "{refused}");
    }
}

/// A servicer remembers what the chain refused, and asks again what it failed to answer: the node answers both with gRPC Internal.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_is_not_found_and_a_later_one_may_come() {
    let node = Running::new().await;
    let remote = node.remote().await;
    let strangers = [key(9).address(), key(2).address()];
    for stranger in strangers {
        let asked = Sessions::session(&remote, &stranger, &service(), Height(1)).await;
        assert!(matches!(asked, Err(ChainError::NotFound(_))), "{asked:?}");
        let asked = node.chain.session(&stranger, &service(), Height(1)).await;
        assert!(matches!(asked, Err(ChainError::NotFound(_))), "{asked:?}");
    }
    let other = ServiceId::new("other").expect("an id");
    let asked = Sessions::session(&remote, &key(1).address(), &other, Height(1)).await;
    assert!(asked.is_err_and(|error| !error.is_retryable()));
    let asked = Sessions::session(&remote, &key(1).address(), &service(), Height(1_000)).await;
    assert!(asked.is_err_and(|error| error.is_retryable()));
}
