use portico_client::{Accounts, Blocks, ChainError, Sessions, Transactions};
use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx};
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::pocket::shared::RpcType;
use portico_protocol::{Height, ServiceId, SigningKey, Upokt};

use super::{Fault, MemoryChain, question};

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32]).unwrap()
}

fn eth() -> ServiceId {
    ServiceId::new("eth").unwrap()
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
        chain_id: Blocks::status(&*chain).await.unwrap().chain_id,
        account_number: account.number,
        sequence: account.sequence,
    };
    let tx = sign_tx(vec![pack(&message)], &options, &context, &key(1));
    let before = chain.balance(&key(2).address()).await.unwrap();
    chain.fail(question::BROADCAST, [Fault::AnswerLost]);
    let lost = Transactions::broadcast(&*chain, tx.clone().into()).await;
    assert!(matches!(lost, Err(ChainError::Unavailable(_))), "{lost:?}");
    assert_eq!(chain.advance(), 2);
    let hash = portico_protocol::tx::tx_hash(&tx);
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
