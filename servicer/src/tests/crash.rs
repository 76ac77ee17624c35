//! What is acknowledged is on disk, whatever ends the process.

use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use portico_protocol::relay::MinedRelay;

use super::hooked::{HookedLog, Write};
use super::volatile::{Disk, Operation};
use super::*;
use crate::leaf_log::{FILE_NAME, LeafReader, NewLeaf};

/// Lets whoever waits for it go on, or not.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    changed: Condvar,
    waiting: AtomicU64,
}

impl Gate {
    fn shut(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.changed.notify_all();
    }

    fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(
            self.changed
                .wait_while(self.shut.lock().unwrap(), |shut| *shut)
                .unwrap(),
        );
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Waits until somebody waits.
    async fn is_waited_for(&self) {
        while self.waiting.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl World {
    /// A servicer whose leaves are written while the gate is open.
    async fn with_gate(adjust: impl FnOnce(&mut ServicerConfig)) -> (Self, Arc<Gate>) {
        let mut world = Self::without_servicer().await;
        let gate = Arc::new(Gate::default());
        let shut = Arc::clone(&gate);
        let log = HookedLog::new(RedbLog::open(world.folder.path()).unwrap(), move |write| {
            if write == Write::Append {
                shut.pass();
            }
            Ok(())
        });
        let mut config = world.config();
        adjust(&mut config);
        world.run_on(config, Arc::new(log));
        (world, gate)
    }
}

/// The answer is not even made to wait for what is written with others: it waits for its own leaf.
#[tokio::test]
async fn an_answer_leaves_when_its_leaf_is_on_disk_and_not_before() {
    let (world, gate) = World::with_gate(|_| {}).await;
    world.relay("/", "the session is open").await;
    gate.shut(true);
    let body = world.request("/", "waits").encode_to_vec();
    let url = format!("http://{}/", world.running().address);
    let mut asked = tokio::spawn(world.client.post(url).body(body).send());
    gate.is_waited_for().await;
    let early = tokio::time::timeout(Duration::from_millis(500), &mut asked).await;
    assert!(early.is_err(), "answered without its leaf: {early:?}");
    gate.shut(false);
    assert_eq!(asked.await.unwrap().unwrap().status(), 200);
    assert_eq!(world.row().committed, 2);
}

/// Answers of a bounded service leave before their leaves are written, so relays in progress do not bound what waits for the disk: the queue does.
#[tokio::test]
async fn a_relay_without_a_place_in_the_writers_queue_is_refused_before_its_backend_is_asked() {
    const PLACES: u64 = 3;
    let (world, gate) = World::with_gate(|config| {
        config.limits.max_in_flight = usize::try_from(PLACES).unwrap();
        let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
        service.durability = portico_config::servicer::Durability::Bounded;
    })
    .await;
    gate.shut(true);
    world.relay("/", "is being written").await;
    gate.is_waited_for().await;
    for n in 0..PLACES {
        world.relay("/", &format!("waits {n}")).await;
    }
    let refused = world.refused(&world.request("/", "one too many")).await;
    refused.is(503, "overloaded: leaf writer");
    assert_eq!(world.backend.hits(), 1 + PLACES);
    gate.shut(false);
    world
        .until("the queue is written", async || {
            world.row().committed == 1 + PLACES
        })
        .await;
    world.relay("/", "there is room again").await;
}

#[tokio::test]
async fn answers_no_relay_that_could_not_be_recorded() {
    let mut world = World::without_servicer().await;
    let inner = RedbLog::open(world.folder.path()).unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let log = HookedLog::new(inner, move |write| match failing.load(Ordering::SeqCst) {
        true if write == Write::Append => Err(std::io::Error::other("input/output error").into()),
        true if write == Write::Probe => Err(std::io::Error::from(std::io::ErrorKind::StorageFull).into()),
        _ => Ok(()),
    });
    world.run_on(world.config(), Arc::new(log));
    world.relay("/", "recorded").await;
    fails.store(true, Ordering::SeqCst);
    world
        .refused(&world.request("/", "not recorded"))
        .await
        .is(503, "cannot be recorded");
    world.chain.advance();
    world.running().handle.wait_for_block(2).await;
    let readiness = world.running().handle.readiness();
    assert_eq!(readiness.reasons.len(), 1, "{readiness:?}");
    let reason = &readiness.reasons[0];
    assert!(
        reason.starts_with("leaves cannot be written: the disk"),
        "{reason}"
    );
    let asked = world.backend.hits();
    let refused = world.refused(&world.request("/", "not asked")).await;
    refused.is(503, "relays cannot be recorded now");
    assert!(refused.retry_after.is_some(), "{refused:?}");
    assert_eq!(world.backend.hits(), asked, "no backend works for nothing");
    fails.store(false, Ordering::SeqCst);
    world.until_ready().await;
    world.relay("/", "recorded again").await;
    let row = world.row();
    assert_eq!((row.served, row.committed), (2, 2));
    let leaves = world
        .running()
        .handle
        .leaves(&row.session_id, &row.supplier)
        .unwrap();
    assert_eq!(leaves.iter().map(|leaf| leaf.seq).collect::<Vec<_>>(), [0, 1]);
}

/// The file as `kill -9` leaves it: nothing was closed or flushed by the process.
#[tokio::test]
async fn every_answer_is_a_leaf_after_a_kill() {
    let world = Arc::new(World::start().await);
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let mut held = Vec::new();
                for n in 0..4 {
                    let request = world.request("/", &format!("client {client} relay {n}"));
                    let response = world.send(&request).await;
                    held.push(MinedRelay::new(&request, &response).hash);
                }
                held
            })
        })
        .collect();
    let mut held = Vec::new();
    for client in clients {
        held.extend(client.await.unwrap());
    }
    let killed = tempfile::tempdir().unwrap();
    std::fs::copy(world.folder.path().join(FILE_NAME), killed.path().join(FILE_NAME)).unwrap();
    let row = world.row();
    let reader = LeafReader::open(killed.path()).unwrap();
    let keys: Vec<_> = reader
        .leaves(&row.session_id, &row.supplier)
        .unwrap()
        .into_iter()
        .map(|leaf| leaf.key)
        .collect();
    assert_eq!(keys.len(), 64);
    assert!(
        held.iter().all(|hash| keys.contains(hash)),
        "an answered relay is missing"
    );
    drop(reader);
    assert_eq!(
        std::fs::read_dir(killed.path()).unwrap().count(),
        1,
        "the reader's copy is gone"
    );
}

#[tokio::test]
async fn a_bounded_service_records_without_making_its_answers_wait() {
    let (mut world, gate) = World::with_gate(|config| {
        let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
        service.durability = portico_config::servicer::Durability::Bounded;
    })
    .await;
    gate.shut(true);
    for n in 0..10 {
        world.relay("/", &n.to_string()).await;
    }
    gate.is_waited_for().await;
    {
        let mut stopping = std::pin::pin!(world.stop());
        let early = tokio::time::timeout(Duration::from_millis(500), &mut stopping).await;
        assert!(early.is_err(), "stopped before its leaves were written");
        gate.shut(false);
        stopping.await;
    }
    let reader = LeafReader::open(world.folder.path()).unwrap();
    assert_eq!(
        reader.sessions().unwrap()[0].leaves,
        10,
        "an orderly stop loses nothing"
    );
}

/// What a disk did while twelve batches of leaves were appended, and how many leaves were acknowledged after how many operations.
fn appended() -> (Vec<Operation>, Vec<(usize, u64)>) {
    let disk = Disk::default();
    let log = RedbLog::on(disk.clone(), None).unwrap();
    let mut acknowledged = vec![(disk.operations().len(), 0)];
    for batch in 0..12_u64 {
        let relays: Vec<Vec<u8>> = (0..=batch).map(|n| vec![u8::try_from(n).unwrap(); 700]).collect();
        let key = [u8::try_from(batch).unwrap(); 32];
        let first = batch * (batch + 1) / 2;
        let leaves: Vec<_> = relays
            .iter()
            .zip(first..)
            .map(|(relay, seq)| NewLeaf {
                session: 3,
                seq,
                key: &key,
                relay,
            })
            .collect();
        log.append(&leaves).unwrap();
        acknowledged.push((disk.operations().len(), first + batch + 1));
    }
    (disk.operations(), acknowledged)
}

/// Leaves that were acknowledged when `done` operations were finished.
fn promised(acknowledged: &[(usize, u64)], done: usize) -> u64 {
    let mut latest = acknowledged.iter().rev();
    latest
        .find(|(at, _)| *at <= done)
        .map_or(0, |(_, leaves)| *leaves)
}

/// Whole leaves in a log on `disk`.
fn found(disk: Disk) -> u64 {
    let log = RedbLog::on(disk, None).unwrap();
    let mut found = 0;
    log.scan(3, &mut |seq, _, relay| {
        assert_eq!((seq, relay.len()), (found, 700));
        found += 1;
    })
    .unwrap();
    found
}

/// The process ends at each single disk operation, and within each write: every leaf acknowledged until then is there, and whole.
#[test]
fn no_acknowledged_leaf_is_lost_wherever_the_process_ends() {
    let (operations, acknowledged) = appended();
    for count in acknowledged[0].0..=operations.len() {
        for torn in [0, 1, 300, usize::MAX] {
            let found = found(Disk::at(&operations, count, torn));
            // An operation that is torn was not finished: what it completes is not acknowledged yet.
            let promised = promised(&acknowledged, if torn == usize::MAX { count } else { count - 1 });
            assert!(
                found >= promised,
                "{found} of {promised} leaves after {count} operations, {torn} bytes of the last"
            );
        }
    }
}

/// The power goes at each single disk operation: of what was not synced, the disk has any part.
#[test]
fn no_acknowledged_leaf_is_lost_when_the_power_fails() {
    let (operations, acknowledged) = appended();
    for count in acknowledged[0].0..=operations.len() {
        for seed in 0..8 {
            let mut rng = StdRng::seed_from_u64(seed);
            let found = found(Disk::default().cut(&operations[..count], &mut rng));
            let promised = promised(&acknowledged, count);
            assert!(
                found >= promised,
                "{found} of {promised} leaves when the power goes after {count} operations, seed {seed}"
            );
        }
    }
}

/// Leaves hold what clients asked.
#[cfg(unix)]
#[tokio::test]
async fn the_leaf_log_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = World::start().await;
    let path = world.folder.path().join(FILE_NAME);
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    world.stop().await;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    world.run(world.config());
    assert_eq!(mode(), 0o600, "a log of an earlier version is closed");
}

/// So is the folder, where that takes nothing from anybody else.
#[cfg(unix)]
#[test]
fn the_data_folder_is_its_owners() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let mode = || std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
    let open_to_others =
        || std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    drop(RedbLog::open(&folder).unwrap());
    assert_eq!(mode(), 0o700);
    open_to_others();
    drop(RedbLog::open(&folder).unwrap());
    assert_eq!(mode(), 0o700, "a folder of an earlier version is closed");
    std::fs::write(folder.join("another program's"), "").unwrap();
    open_to_others();
    drop(RedbLog::open(&folder).unwrap());
    assert_eq!(mode(), 0o755, "others may need to look into it");
}
