//! What inventions and a full cache may cost: over a reader that knows some applications, and may hang.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::join_all;
use portico_client::{BlockHead, ChainError};
use portico_protocol::{Address, Height, ServiceId};
use tokio::sync::{Notify, watch};

use crate::flights::MAX_UNKNOWN_WAITING;
use crate::{Bounds, Cache, Held, Question, Reader, SessionError, WhenFull};

struct Session(Height);

impl Held for Session {
    fn id(&self) -> &str {
        "session"
    }

    fn start(&self) -> Height {
        self.0
    }

    fn end(&self) -> Height {
        Height(self.0.0 + 9)
    }

    fn grace_end(&self) -> Height {
        Height(self.0.0 + 10)
    }
}

#[derive(Default)]
struct Source {
    staked: BTreeSet<Address>,
    reads: AtomicU64,
    /// Applications that are not staked are answered only when told.
    hanging: bool,
    told: Notify,
    failure: Mutex<Option<ChainError>>,
}

struct Lender(Arc<Source>);

#[async_trait]
impl Reader for Lender {
    type Session = Session;

    async fn read(&self, question: &Question) -> Result<Session, SessionError> {
        let source = &self.0;
        source.reads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let chain = |error| SessionError::Chain {
            application: question.application,
            service: question.service.clone(),
            source: error,
        };
        if let Some(failure) = source.failure.lock().unwrap().clone() {
            return Err(chain(failure));
        }
        if source.staked.contains(&question.application) {
            return Ok(Session(Height((question.height.0 - 1) / 10 * 10 + 1)));
        }
        if source.hanging {
            source.told.notified().await;
        }
        Err(chain(ChainError::NotFound("no such application".to_owned())))
    }
}

fn application(number: u64) -> Address {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Address::new(bytes)
}

fn eth() -> ServiceId {
    ServiceId::new("eth").unwrap()
}

/// Applications 1 to `staked` are known.
fn cache(
    staked: u64,
    source: Source,
    when_full: WhenFull,
) -> (Arc<Cache<Lender>>, Arc<Source>, watch::Sender<BlockHead>) {
    let source = Arc::new(Source {
        staked: (1..=staked).map(application).collect(),
        ..source
    });
    let head = watch::Sender::new(at(5));
    let bounds = Bounds {
        max_pairs: 2,
        when_full,
        failure_pause: std::time::Duration::ZERO,
    };
    let cache = Cache::over(Lender(Arc::clone(&source)), head.subscribe(), bounds);
    (Arc::new(cache), source, head)
}

fn at(height: i64) -> BlockHead {
    BlockHead {
        height: Height(height),
        ..BlockHead::default()
    }
}

#[tokio::test]
async fn inventions_cost_a_look_up_a_block_and_no_room() {
    let (cache, source, head) = cache(2, Source::default(), WhenFull::Refuse);
    cache.current(&application(1), &eth()).await.unwrap();
    for round in 1..=2 {
        for _ in 0..3 {
            for number in 100..10_100 {
                assert!(cache.current(&application(number), &eth()).await.is_err());
            }
        }
        assert_eq!(source.reads.load(Ordering::SeqCst), 1 + 10_000 * round);
        head.send_replace(at(6)); // the next block
    }
    cache.current(&application(1), &eth()).await.unwrap();
    assert_eq!(
        source.reads.load(Ordering::SeqCst),
        20_001,
        "the first is still known"
    );
    cache
        .current(&application(2), &eth())
        .await
        .expect("there is room for another session");
}

#[tokio::test]
async fn a_full_cache_evicts_or_refuses_as_it_is_told() {
    for when_full in [WhenFull::Evict, WhenFull::Refuse] {
        let (cache, source, head) = cache(3, Source::default(), when_full);
        for number in [1, 2] {
            cache.current(&application(number), &eth()).await.unwrap();
            head.send_modify(|head| head.height.0 += 1);
        }
        let third = cache.current(&application(3), &eth()).await;
        let reads = source.reads.load(Ordering::SeqCst);
        cache.current(&application(1), &eth()).await.ok();
        let read_again = source.reads.load(Ordering::SeqCst) - reads;
        match when_full {
            WhenFull::Evict => assert!(third.is_ok() && read_again == 1, "the oldest made room"),
            WhenFull::Refuse => assert!(matches!(third, Err(SessionError::Busy)) && read_again == 0),
        }
    }
}

#[tokio::test]
async fn a_rollover_does_not_wait_behind_hanging_inventions() {
    let hanging = Source {
        hanging: true,
        ..Source::default()
    };
    let (cache, source, head) = cache(1, hanging, WhenFull::Refuse);
    cache.current(&application(1), &eth()).await.unwrap();
    let count = u64::try_from(MAX_UNKNOWN_WAITING).unwrap() + 100;
    let inventions: Vec<_> = (100..100 + count)
        .map(|number| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { cache.current(&application(number), &eth()).await.err() })
        })
        .collect();
    for _ in 0..100 {
        tokio::task::yield_now().await; // until all of them ask, wait or were refused
    }
    head.send_replace(at(25));
    let next = cache.current(&application(1), &eth()).await.unwrap();
    assert_eq!(next.start(), Height(21));
    for task in &inventions {
        task.abort();
    }
    let ended: Vec<_> = join_all(inventions).await;
    let refused = ended
        .iter()
        .filter(|ended| matches!(ended, Ok(Some(SessionError::Busy))));
    assert_eq!(refused.count(), 100, "the line of the unknown is bounded");
    source.told.notify_waiters();
    head.send_replace(at(26));
    let again = tokio::time::timeout(std::time::Duration::from_secs(5), async {
        source.told.notify_one();
        cache.current(&application(7), &eth()).await
    });
    assert!(again.await.is_ok(), "who went away left no place taken");
}

#[tokio::test]
async fn a_failure_is_shared_by_who_waited_and_asked_again_by_the_next() {
    let (cache, source, _head) = cache(1, Source::default(), WhenFull::Refuse);
    *source.failure.lock().unwrap() = Some(ChainError::Unavailable("away".to_owned()));
    let waiting = (0..50).map(|_| {
        let cache = Arc::clone(&cache);
        async move { cache.current(&application(1), &eth()).await.is_err() }
    });
    assert!(join_all(waiting).await.into_iter().all(|failed| failed));
    assert_eq!(source.reads.load(Ordering::SeqCst), 1);
    *source.failure.lock().unwrap() = None;
    cache
        .current(&application(1), &eth())
        .await
        .expect("asked again at once");
}
