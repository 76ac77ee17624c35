mod bounds;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use portico_client::ChainError;
use portico_protocol::wire::pocket::shared::RpcType;
use portico_protocol::{Address, Height, ServiceId, SigningKey};
use portico_testkit::MemoryChain;
use tokio_util::sync::CancellationToken;

use crate::{SessionCache, SessionError};

struct World {
    chain: Arc<MemoryChain>,
    cache: Arc<SessionCache>,
    application: Address,
    service: ServiceId,
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32]).unwrap()
}

fn world() -> World {
    let chain = MemoryChain::new();
    let service = ServiceId::new("eth").unwrap();
    chain.add_account(key(2).public_key());
    chain.stake_application(key(1).public_key(), &service, &[key(2).address()]);
    for number in 3..6 {
        chain.stake_supplier(
            key(number).public_key(),
            &service,
            "http://supplier",
            RpcType::JsonRpc,
        );
    }
    let cache = SessionCache::new(chain.clone(), "test", &prometheus::Registry::new()).unwrap();
    World {
        chain,
        cache: Arc::new(cache),
        application: key(1).address(),
        service,
    }
}

impl World {
    async fn id(&self) -> Result<String, SessionError> {
        let view = self.cache.current(&self.application, &self.service).await?;
        Ok(view.id().to_owned())
    }

    async fn end(&self) -> i64 {
        self.cache
            .current(&self.application, &self.service)
            .await
            .unwrap()
            .end
            .0
    }
}

#[tokio::test]
async fn gives_ring_suppliers_and_keys_with_the_session() {
    let world = world();
    world.chain.advance_to(7);
    let view = world
        .cache
        .current(&world.application, &world.service)
        .await
        .unwrap();
    assert_eq!(
        (view.start, view.end, view.grace_end),
        (Height(1), Height(10), Height(11))
    );
    assert_eq!(view.ring.keys(), [key(1).public_key(), key(2).public_key()]);
    assert_eq!(view.suppliers.len(), 3);
    let supplier = view.supplier(&key(4).address()).unwrap();
    assert_eq!(supplier.public_key, key(4).public_key());
    assert_eq!(supplier.url(RpcType::JsonRpc), Some("http://supplier"));
    assert_eq!(supplier.url(RpcType::Websocket), None);
}

#[tokio::test]
async fn an_application_without_gateways_signs_in_a_ring_of_itself_twice() {
    let world = world();
    let service = ServiceId::new("pocket").unwrap();
    world.chain.stake_application(key(9).public_key(), &service, &[]);
    world
        .chain
        .stake_supplier(key(3).public_key(), &service, "http://supplier", RpcType::JsonRpc);
    let view = world.cache.current(&key(9).address(), &service).await.unwrap();
    assert_eq!(view.ring.keys(), [key(9).public_key(), key(9).public_key()]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_cause_one_look_up() {
    let world = world();
    world.chain.delay_sessions(Duration::from_millis(50));
    let calls = (0..1_000).map(|_| world.id());
    let ids: Vec<String> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert!(ids.iter().all(|id| id == &ids[0]));
    assert_eq!(world.chain.session_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_leaves_the_look_up_to_the_next() {
    let world = world();
    world.chain.delay_sessions(Duration::from_millis(50));
    let impatient = tokio::time::timeout(Duration::from_millis(10), world.id());
    let (impatient, patient) = tokio::join!(impatient, world.id());
    assert!(impatient.is_err());
    assert!(patient.is_ok());
    assert_eq!(world.chain.session_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn rolls_over_with_one_look_up_and_serves_the_previous_session_meanwhile() {
    let world = world();
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let (cache, stop) = (world.cache.clone(), stop.clone());
        async move { cache.run(stop).await }
    });
    assert_eq!(world.end().await, 10);
    world.chain.delay_sessions(Duration::from_millis(50));
    world.chain.advance_to(11);
    tokio::time::sleep(Duration::from_millis(10)).await; // the task has begun to read the next session
    let during: Vec<i64> = join_all((0..200).map(|_| world.end())).await;
    assert!(
        during.iter().all(|end| *end == 10),
        "served while the next is read"
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.end().await, 20);
    assert_eq!(
        world
            .cache
            .previous(&world.application, &world.service)
            .unwrap()
            .end,
        Height(10)
    );
    world.chain.advance_to(12);
    assert!(
        world.cache.previous(&world.application, &world.service).is_none(),
        "grace is over"
    );
    assert_eq!(world.chain.session_calls(), 2);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn asks_again_when_queries_lag_behind_blocks_at_the_boundary() {
    let world = world();
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let (cache, stop) = (world.cache.clone(), stop.clone());
        async move { cache.run(stop).await }
    });
    assert_eq!(world.end().await, 10);
    let early = || ChainError::InvalidArgument("block 11 is not stored".to_owned());
    world.chain.refuse_sessions(vec![early(), early()]);
    world.chain.advance_to(11);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.end().await, 20);
    assert_eq!(world.chain.session_calls(), 4);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn rolls_over_even_if_nobody_runs_the_task() {
    let world = world();
    assert_eq!(world.end().await, 10);
    world.chain.advance_to(11);
    assert_eq!(world.end().await, 20);
    world.chain.advance_to(45);
    assert_eq!(world.end().await, 50);
    assert_eq!(world.chain.session_calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn does_not_read_sessions_that_nobody_used_since_the_last_rollover() {
    let world = world();
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let (cache, stop) = (world.cache.clone(), stop.clone());
        async move { cache.run(stop).await }
    });
    world.id().await.unwrap();
    for height in [11, 21, 31, 41] {
        world.chain.advance_to(height);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        world.chain.session_calls(),
        2,
        "the first, and the one after the only use"
    );
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn remembers_a_refusal_until_the_next_block() {
    let world = world();
    let stranger = key(77).address();
    for _ in 0..5 {
        let error = world.cache.current(&stranger, &world.service).await.unwrap_err();
        assert!(!error.is_transient(), "{error}");
    }
    assert_eq!(world.chain.session_calls(), 1);
    world
        .chain
        .stake_application(key(77).public_key(), &world.service, &[]);
    world.chain.advance_to(2);
    assert!(world.cache.current(&stranger, &world.service).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn asks_an_unreachable_chain_again_after_half_a_second() {
    let world = world();
    world
        .chain
        .refuse_sessions(vec![ChainError::Unavailable("down".to_owned())]);
    assert!(world.id().await.is_err());
    assert!(world.id().await.is_err());
    assert_eq!(world.chain.session_calls(), 1);
    tokio::time::sleep(Duration::from_millis(501)).await;
    assert!(world.id().await.is_ok());
}

#[tokio::test]
async fn finds_past_sessions_by_height_and_refuses_future_ones() {
    let world = world();
    world.chain.advance_to(15);
    let past = world
        .cache
        .at(&world.application, &world.service, Height(10))
        .await
        .unwrap();
    let now = world
        .cache
        .at(&world.application, &world.service, Height(0))
        .await
        .unwrap();
    assert_eq!((past.end, now.end), (Height(10), Height(20)));
    assert!(
        world
            .cache
            .at(&world.application, &world.service, Height(16))
            .await
            .is_ok(),
        "same session"
    );
    assert!(
        world
            .cache
            .at(&world.application, &world.service, Height(21))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn leaves_out_suppliers_whose_key_the_chain_does_not_know() {
    let chain = MemoryChain::new();
    let service = ServiceId::new("eth").unwrap();
    chain.stake_application(key(1).public_key(), &service, &[key(2).address()]);
    chain.stake_unknown_supplier(key(3).address(), &service, "http://supplier", RpcType::JsonRpc);
    let cache = SessionCache::new(chain, "test", &prometheus::Registry::new()).unwrap();
    let view = cache.current(&key(1).address(), &service).await.unwrap();
    assert!(view.suppliers.is_empty());
    assert_eq!(
        view.ring.keys(),
        [key(1).public_key(), key(1).public_key()],
        "nor gateways"
    );
}
