//! The engine over a state machine that only counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use portico_protocol::Height;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Certify, Engine as _, Pace, Pool, Solo};
use crate::{
    Block, BlockId, Clock, Committed, EngineError, MachineError, Slot, StateMachine, Tip, TxSource, Verdict,
};

/// Blocks: (time, transactions, certificate), of a chain whose ids are its heights.
#[derive(Default)]
struct Counting {
    blocks: Mutex<Vec<(u64, Vec<Bytes>, Bytes)>>,
    built: Mutex<Option<(u64, Vec<Bytes>)>>,
    committed: watch::Sender<usize>,
    fail_at: Option<i64>,
    /// Commits that the disk refuses.
    refusals: AtomicU64,
    /// Blocks built, committed or not.
    builds: AtomicU64,
}

fn id(height: i64) -> BlockId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&height.to_be_bytes());
    id
}

impl StateMachine for Counting {
    fn tip(&self) -> Tip {
        let blocks = self.blocks.lock().expect("sound");
        let height = i64::try_from(blocks.len()).expect("few");
        Tip {
            height: Height(height),
            block_id: id(height),
            time_ms: blocks.last().map_or(1_000, |block| block.0),
            state_root: [0; 32],
        }
    }

    fn build(&self, parent: &BlockId, slot: Slot, txs: &mut dyn TxSource) -> Result<Block, MachineError> {
        if self.fail_at == Some(slot.height.0) {
            return Err(MachineError::Refused("told to fail".into()));
        }
        let mut taken = Vec::new();
        let mut room = slot.max_bytes;
        while let Some(tx) = txs.next(room) {
            room -= tx.len();
            taken.push(tx);
        }
        self.builds.fetch_add(1, Ordering::SeqCst);
        *self.built.lock().expect("sound") = Some((slot.time_ms, taken));
        Ok(Block {
            id: id(slot.height.0),
            parent: *parent,
            height: slot.height,
            time_ms: slot.time_ms,
            bytes: Bytes::new(),
        })
    }

    fn verify(&self, _: &BlockId, _: &[u8]) -> Result<Verdict, MachineError> {
        Ok(Verdict::Invalid("not asked".into()))
    }

    fn commit(&self, block: &BlockId, certificate: &[u8]) -> Result<Committed, MachineError> {
        let left = |count: u64| count.checked_sub(1);
        if self
            .refusals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
            .is_ok()
        {
            return Err(MachineError::Unwritable("no space left".into()));
        }
        let (time, txs) = self.built.lock().expect("sound").take().expect("built");
        let mut blocks = self.blocks.lock().expect("sound");
        blocks.push((time, txs, Bytes::copy_from_slice(certificate)));
        let height = i64::try_from(blocks.len()).expect("few");
        assert_eq!(*block, id(height));
        self.committed.send_replace(blocks.len());
        Ok(Committed {
            height: Height(height),
            new: true,
        })
    }

    fn discard_unfinalized(&self) {}
}

#[derive(Default)]
struct Queue {
    txs: Mutex<Vec<Bytes>>,
    waiting: watch::Sender<usize>,
}

impl Queue {
    fn push(&self, tx: &'static [u8]) {
        let mut txs = self.txs.lock().expect("sound");
        txs.push(Bytes::from_static(tx));
        self.waiting.send_replace(txs.len());
    }
}

struct Taking<'a>(&'a Queue);

impl TxSource for Taking<'_> {
    fn next(&mut self, room: usize) -> Option<Bytes> {
        let mut txs = self.0.txs.lock().expect("sound");
        if txs.first()?.len() > room {
            return None;
        }
        let tx = txs.remove(0);
        self.0.waiting.send_replace(txs.len());
        Some(tx)
    }
}

impl Pool for Queue {
    fn source(&self) -> Box<dyn TxSource + '_> {
        Box::new(Taking(self))
    }

    fn waiting(&self) -> watch::Receiver<usize> {
        self.waiting.subscribe()
    }
}

struct Sealed;

impl Certify for Sealed {
    fn certify(&self, block: &Block) -> Result<Bytes, MachineError> {
        Ok(Bytes::from(format!("sealed {}", block.height)))
    }
}

#[derive(Clone, Default)]
struct FakeClock(Arc<AtomicU64>);

impl Clock for FakeClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

struct Scene {
    machine: Arc<Counting>,
    pool: Arc<Queue>,
    clock: FakeClock,
}

impl Scene {
    fn new(fail_at: Option<i64>) -> Self {
        let machine = Counting {
            fail_at,
            ..Counting::default()
        };
        Self {
            machine: Arc::new(machine),
            pool: Arc::default(),
            clock: FakeClock::default(),
        }
    }

    fn engine(&self, pace: Pace) -> Solo<FakeClock> {
        let (machine, pool) = (self.machine.clone(), self.pool.clone());
        Solo::new(machine, pool, Arc::new(Sealed), self.clock.clone(), pace, 4)
    }

    fn times(&self) -> Vec<u64> {
        let blocks = self.machine.blocks.lock().expect("sound");
        blocks.iter().map(|block| block.0).collect()
    }
}

const HOUR: Pace = Pace::Interval(Duration::from_hours(1));

#[test]
fn block_times_rise_even_when_the_clock_stands_or_goes_back() {
    let scene = Scene::new(None);
    let engine = scene.engine(HOUR);
    for now in [5_000, 5_000, 3_000, 9_000] {
        scene.clock.0.store(now, Ordering::SeqCst);
        engine.step().expect("made");
    }
    assert_eq!(scene.times(), [5_000, 5_001, 5_002, 9_000]);
}

#[test]
fn the_first_block_is_later_than_the_genesis() {
    let scene = Scene::new(None);
    scene.engine(HOUR).step().expect("made");
    assert_eq!(scene.times(), [1_001]);
}

#[test]
fn fills_a_block_up_to_its_bound_and_certifies_it() {
    let scene = Scene::new(None);
    for tx in [b"aa".as_slice(), b"bb", b"cc"] {
        scene.pool.push(tx);
    }
    let engine = scene.engine(HOUR);
    engine.step().expect("made");
    engine.step().expect("made");
    let blocks = scene.machine.blocks.lock().expect("sound");
    assert_eq!(blocks[0].1, [&b"aa"[..], b"bb"]);
    assert_eq!(blocks[1].1, [&b"cc"[..]]);
    assert_eq!(blocks[1].2, "sealed 2");
}

#[tokio::test(start_paused = true)]
async fn makes_a_block_per_interval_until_it_is_stopped() {
    let scene = Scene::new(None);
    let stop = CancellationToken::new();
    let started = tokio::time::Instant::now();
    let engine = Box::new(scene.engine(Pace::Interval(Duration::from_secs(1))));
    let run = tokio::spawn(engine.run(stop.clone()));
    let mut committed = scene.machine.committed.subscribe();
    committed.wait_for(|count| *count == 4).await.expect("alive");
    assert_eq!(started.elapsed().as_secs(), 3);
    stop.cancel();
    run.await.expect("no panic").expect("stopped in order");
}

#[tokio::test(start_paused = true)]
async fn makes_a_block_at_once_when_a_transaction_waits() {
    let scene = Scene::new(None);
    let stop = CancellationToken::new();
    let engine = Box::new(scene.engine(Pace::Instant(Duration::from_hours(1))));
    let run = tokio::spawn(engine.run(stop.clone()));
    let mut committed = scene.machine.committed.subscribe();
    committed.wait_for(|count| *count == 1).await.expect("alive");
    let before = tokio::time::Instant::now();
    scene.pool.push(b"tx");
    committed.wait_for(|count| *count == 2).await.expect("alive");
    assert!(before.elapsed() < Duration::from_secs(1));
    committed
        .wait_for(|count| *count == 3)
        .await
        .expect("the heartbeat");
    assert!(before.elapsed() >= Duration::from_secs(3_599));
    stop.cancel();
    run.await.expect("no panic").expect("stopped in order");
}

#[tokio::test(start_paused = true)]
async fn a_failing_state_machine_stops_the_engine() {
    let engine = Box::new(Scene::new(Some(2)).engine(Pace::Interval(Duration::from_secs(1))));
    let error = engine.run(CancellationToken::new()).await.expect_err("fails");
    assert!(matches!(error, EngineError::Machine { height: 2, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_block_that_the_disk_refuses_is_committed_when_it_no_longer_does() {
    let scene = Scene::new(None);
    scene.machine.refusals.store(20, Ordering::SeqCst);
    scene.pool.push(b"tx");
    let stop = CancellationToken::new();
    let started = tokio::time::Instant::now();
    let run = tokio::spawn(Box::new(scene.engine(HOUR)).run(stop.clone()));
    let mut committed = scene.machine.committed.subscribe();
    committed.wait_for(|count| *count == 1).await.expect("alive");
    // 0.1 + 0.2 + … + 3.2 seconds, then 5 each.
    assert_eq!(started.elapsed().as_millis(), 6_300 + 14 * 5_000);
    assert_eq!(
        scene.machine.builds.load(Ordering::SeqCst),
        1,
        "a signed block is not replaced"
    );
    assert_eq!(scene.machine.blocks.lock().expect("sound")[0].1, [&b"tx"[..]]);
    stop.cancel();
    run.await.expect("no panic").expect("stopped in order");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_waits_for_the_disk_can_be_stopped() {
    let scene = Scene::new(None);
    scene.machine.refusals.store(u64::MAX, Ordering::SeqCst);
    let stop = CancellationToken::new();
    let run = tokio::spawn(Box::new(scene.engine(HOUR)).run(stop.clone()));
    tokio::time::sleep(Duration::from_mins(1)).await;
    stop.cancel();
    run.await.expect("no panic").expect("stopped in order");
    assert!(scene.times().is_empty());
}
