use std::time::Duration;

use bytes::Bytes;
use portico_client::{Accounts, Blocks, ChainError, ModuleParams, Sessions, Transactions};
use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx, tx_hash};
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::pocket::proof::MsgUpdateParams;
use portico_protocol::wire::pocket::shared::RpcType;
use portico_protocol::{Height, ServiceId, SigningKey, Upokt};

use super::{Fault, MemoryChain, question};

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32]).unwrap()
}

fn eth() -> ServiceId {
    ServiceId::new("eth").unwrap()
}

/// A transaction by which account 1 pays 5 upokt to account 2.
async fn payment(chain: &MemoryChain) -> Bytes {
    let account = chain.account(&key(1).address()).await.unwrap();
    let message = MsgSend {
        from_address: key(1).address().to_string(),
        to_address: key(2).address().to_string(),
        amount: vec![Upokt(5).into()],
    };
    let options = TxOptions {
        gas_limit: 1_000_000,
        ..TxOptions::default()
    };
    let context = SignerContext {
        chain_id: Blocks::status(chain).await.unwrap().chain_id,
        account_number: account.number,
        sequence: account.sequence,
    };
    sign_tx(vec![pack(&message)], &options, &context, &key(1)).into()
}

#[tokio::test]
async fn refuses_sessions_as_the_chain_does() {
    let chain = MemoryChain::new();
    chain.stake_application(key(1).public_key(), &eth(), &[]);
    let application = key(1).address();
    let nobody_serves = chain.session(&application, &eth(), Height(1)).await;
    assert!(
        matches!(nobody_serves, Err(ChainError::NotFound(_))),
        "{nobody_serves:?}"
    );
    chain.stake_supplier(key(3).public_key(), &eth(), "http://one", RpcType::Rest);
    let unknown = chain.session(&key(9).address(), &eth(), Height(1)).await;
    assert!(matches!(unknown, Err(ChainError::NotFound(_))), "{unknown:?}");
    let negative = chain.session(&application, &eth(), Height(-1)).await;
    assert!(
        matches!(negative, Err(ChainError::InvalidArgument(_))),
        "{negative:?}"
    );
    let future = chain.session(&application, &eth(), Height(2)).await;
    assert!(matches!(future, Err(ChainError::Unavailable(_))), "{future:?}");
    let held = chain.session(&application, &eth(), Height(1)).await.unwrap();
    let endpoint = &held.suppliers[0].services[0].endpoints[0];
    assert_eq!(
        (endpoint.url.as_str(), endpoint.rpc_type()),
        ("http://one", RpcType::Rest)
    );
    assert_eq!(chain.asked(question::SESSION), 5);
}

#[tokio::test]
async fn a_transaction_whose_answer_was_lost_is_in_the_next_block_until_that_is_undone() {
    let chain = MemoryChain::new();
    for number in [1, 2] {
        chain.add_account(key(number).public_key());
    }
    let tx = payment(&chain).await;
    let before = chain.balance(&key(2).address()).await.unwrap();
    chain.fail(question::BROADCAST, [Fault::AnswerLost]);
    let lost = Transactions::broadcast(&*chain, tx.clone()).await;
    assert!(matches!(lost, Err(ChainError::Unavailable(_))), "{lost:?}");
    assert_eq!(chain.advance(), 2);
    let hash = tx_hash(&tx);
    let included = Transactions::tx(&*chain, &hash).await.unwrap().unwrap();
    assert_eq!(
        (included.height, included.code),
        (Height(2), 0),
        "{}",
        included.log
    );
    let after = chain.balance(&key(2).address()).await.unwrap();
    assert_eq!(after.0, before.0 + 5);

    let hash_before = Blocks::block(&*chain, Height(2)).await.unwrap().hash;
    chain.roll_back(1);
    assert!(Blocks::block(&*chain, Height(2)).await.is_err());
    chain.advance();
    assert_ne!(Blocks::block(&*chain, Height(2)).await.unwrap().hash, hash_before);
    assert_eq!(chain.balance(&key(2).address()).await.unwrap(), before);
}

#[tokio::test]
async fn a_transaction_that_is_taken_and_lost_may_be_handed_over_again_and_then_no_more() {
    let chain = MemoryChain::new();
    for number in [1, 2] {
        chain.add_account(key(number).public_key());
    }
    let tx = payment(&chain).await;
    let codes = async |times: usize| {
        let mut codes = Vec::new();
        for _ in 0..times {
            let result = Transactions::broadcast(&*chain, tx.clone()).await.unwrap();
            codes.push(result.code);
        }
        codes
    };
    chain.fail(question::BROADCAST, [Fault::Lost]);
    assert_eq!(codes(1).await, [0]);
    chain.advance();
    assert!(chain.included().is_empty(), "it was lost");
    assert_eq!(codes(2).await, [0, 19], "what waits is refused");
    chain.advance();
    assert_eq!(codes(1).await, [19], "what is in a block is refused");
    let included: Vec<_> = chain.included().iter().map(|tx| (tx.height, tx.code)).collect();
    assert_eq!(included, [(3, 0)]);
    let taken: Vec<_> = chain.taken().into_iter().map(|(height, _)| height).collect();
    assert_eq!(taken, [1, 2]);
}

#[tokio::test]
async fn a_block_that_nobody_was_told_of_is_there_for_who_asks() {
    let chain = MemoryChain::new();
    let head = Blocks::head(&*chain);
    chain.advance_untold();
    assert_eq!((head.borrow().height, chain.height()), (Height(1), 1));
    let status = Blocks::status(&*chain).await.unwrap();
    assert_eq!(status.head.height, Height(2));
    assert_eq!(
        chain.advance(),
        2,
        "the block that there is, is told of; no other is made"
    );
    assert_eq!(*head.borrow(), status.head);
    assert_eq!(status.head.hash, chain.hash(2));
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_may_depend_on_what_is_asked() {
    let chain = MemoryChain::new();
    chain.stake_application(key(1).public_key(), &eth(), &[]);
    chain.stake_supplier(key(3).public_key(), &eth(), "http://one", RpcType::Rest);
    let known = key(1).address().to_string();
    let stranger = move |request: &[u8]| !request.windows(known.len()).any(|part| part == known.as_bytes());
    let hour = Duration::from_secs(3_600);
    let ask = |number| {
        let chain = chain.clone();
        async move {
            let application = key(number).address();
            tokio::time::timeout(hour, chain.session(&application, &eth(), Height(1))).await
        }
    };
    chain.fail_when(question::SESSION, Fault::Silent, stranger.clone());
    assert!(ask(9).await.is_err(), "no answer");
    assert!(ask(1).await.unwrap().is_ok());
    chain.fail_when(question::SESSION, Fault::Slow(hour / 2), stranger);
    let asked_at = tokio::time::Instant::now();
    assert!(matches!(ask(9).await.unwrap(), Err(ChainError::NotFound(_))));
    assert_eq!(asked_at.elapsed(), hour / 2);
}

#[tokio::test]
async fn the_authority_changes_params_at_any_height() {
    let chain = MemoryChain::new();
    chain.found(|genesis| genesis.params.authority = Some(key(1).address()));
    chain.add_account(key(1).public_key());
    chain.advance_to(30);
    let mut params = chain.proof_params().await.unwrap();
    params.proof_request_probability = 0.5;
    let message = MsgUpdateParams {
        authority: key(1).address().to_string(),
        params: Some(params.clone()),
    };
    chain.send(&key(1), vec![pack(&message)]);
    assert_ne!(chain.proof_params().await.unwrap(), params);
    chain.advance();
    assert_eq!(chain.proof_params().await.unwrap(), params);
    assert_eq!(chain.included()[0].code, 0);
    assert!(chain.taken().is_empty(), "nobody else handed it over");
}
