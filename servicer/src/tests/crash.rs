//! What is acknowledged is on disk, whatever ends the process.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use portico_protocol::Height;
use portico_protocol::relay::MinedRelay;
use redb::StorageBackend;

use super::*;
use crate::leaf_log::{
    DiskState, FILE_NAME, LeafLogError, LeafReader, NewLeaf, TakeRecord, Usage, VisitLeaf,
};
use crate::session::record::SessionRecord;

/// A real log that fails to append when told to.
struct FailingLog {
    inner: RedbLog,
    fails: AtomicBool,
}

impl LeafLog for FailingLog {
    fn sessions(&self) -> Result<Vec<(u64, SessionRecord)>, LeafLogError> {
        self.inner.sessions()
    }

    fn cursor(&self) -> Result<Height, LeafLogError> {
        self.inner.cursor()
    }

    fn append(&self, leaves: &[NewLeaf<'_>]) -> Result<(), LeafLogError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(LeafLogError::Io(std::io::Error::other("input/output error")));
        }
        self.inner.append(leaves)
    }

    fn begin(&self, index: u64, record: &SessionRecord) -> Result<(), LeafLogError> {
        self.inner.begin(index, record)
    }

    fn put(&self, records: &[(u64, SessionRecord)], cursor: Option<Height>) -> Result<(), LeafLogError> {
        self.inner.put(records, cursor)
    }

    fn state(&self) -> &Arc<DiskState> {
        self.inner.state()
    }

    fn probe(&self) -> Result<(), LeafLogError> {
        match self.fails.load(Ordering::SeqCst) {
            true => Err(LeafLogError::Io(std::io::ErrorKind::StorageFull.into())),
            false => self.inner.probe(),
        }
    }

    fn visit(&self, take: TakeRecord<'_>) -> Result<(), LeafLogError> {
        self.inner.visit(take)
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    fn scan(&self, session: u64, visit: VisitLeaf<'_>) -> Result<(), LeafLogError> {
        self.inner.scan(session, visit)
    }

    fn relay(&self, session: u64, seq: u64) -> Result<Option<Vec<u8>>, LeafLogError> {
        self.inner.relay(session, seq)
    }

    fn delete_leaves(&self, session: u64, limit: usize) -> Result<usize, LeafLogError> {
        self.inner.delete_leaves(session, limit)
    }

    fn delete_sessions(&self, sessions: &[u64]) -> Result<(), LeafLogError> {
        self.inner.delete_sessions(sessions)
    }
}

#[tokio::test]
async fn answers_no_relay_that_could_not_be_recorded() {
    let mut world = World::without_servicer().await;
    let inner = RedbLog::open(world.folder.path()).unwrap();
    let log = Arc::new(FailingLog {
        inner,
        fails: AtomicBool::new(false),
    });
    world.run_on(world.config(), Arc::clone(&log) as Arc<dyn LeafLog>);
    world.relay("/", "recorded").await;
    log.fails.store(true, Ordering::SeqCst);
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
    log.fails.store(false, Ordering::SeqCst);
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
    let mut world = World::with(|config| {
        let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
        service.durability = portico_config::servicer::Durability::Bounded;
    })
    .await;
    for n in 0..10 {
        world.relay("/", &n.to_string()).await;
    }
    world.stop().await;
    let reader = LeafReader::open(world.folder.path()).unwrap();
    assert_eq!(
        reader.sessions().unwrap()[0].leaves,
        10,
        "an orderly stop loses nothing"
    );
}

/// What reached the disk, operation by operation.
#[derive(Clone, Debug)]
enum Operation {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

/// A disk in memory that remembers every operation.
#[derive(Clone, Debug, Default)]
struct Disk {
    content: Arc<Mutex<Vec<u8>>>,
    operations: Arc<Mutex<Vec<Operation>>>,
}

impl Disk {
    /// The disk as it is after the first `count` operations, with only `torn` bytes of the last one when it is a write.
    fn at(operations: &[Operation], count: usize, torn: usize) -> Self {
        let disk = Self::default();
        for (index, operation) in operations[..count].iter().enumerate() {
            match operation {
                Operation::Write(offset, data) => {
                    let length = if index + 1 == count {
                        torn.min(data.len())
                    } else {
                        data.len()
                    };
                    StorageBackend::write(&disk, *offset, &data[..length]).unwrap();
                }
                Operation::SetLen(length) => disk.set_len(*length).unwrap(),
                Operation::Sync => {}
            }
        }
        disk
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, std::io::Error> {
        Ok(u64::try_from(self.content.lock().unwrap().len()).unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        let start = usize::try_from(offset).unwrap();
        let content = self.content.lock().unwrap();
        let part = content
            .get(start..start + out.len())
            .ok_or(std::io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(part);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.operations.lock().unwrap().push(Operation::SetLen(len));
        self.content
            .lock()
            .unwrap()
            .resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.operations.lock().unwrap().push(Operation::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.operations
            .lock()
            .unwrap()
            .push(Operation::Write(offset, data.to_vec()));
        let start = usize::try_from(offset).unwrap();
        self.content.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

/// The process ends at each single disk operation, and within each write: every leaf acknowledged until then is there, and whole.
#[test]
fn no_acknowledged_leaf_is_lost_wherever_the_process_ends() {
    let disk = Disk::default();
    let log = RedbLog::on(disk.clone(), None).unwrap();
    let mut acknowledged = vec![(disk.operations.lock().unwrap().len(), 0)];
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
        acknowledged.push((disk.operations.lock().unwrap().len(), first + batch + 1));
    }
    let operations = disk.operations.lock().unwrap().clone();
    let beginning = acknowledged[0].0;
    for count in beginning..=operations.len() {
        for torn in [0, 1, 300, usize::MAX] {
            let crashed = Disk::at(&operations, count, torn);
            let log = RedbLog::on(crashed, None).unwrap();
            let mut found = 0;
            log.scan(3, &mut |seq, _, relay| {
                assert_eq!((seq, relay.len()), (found, 700));
                found += 1;
            })
            .unwrap();
            // An operation that is torn was not finished: what it completes is not acknowledged yet.
            let done = if torn == usize::MAX { count } else { count - 1 };
            let promised = acknowledged
                .iter()
                .rev()
                .find(|(at, _)| *at <= done)
                .map_or(0, |(_, leaves)| *leaves);
            assert!(
                found >= promised,
                "{found} of {promised} leaves after {count} operations, {torn} bytes of the last"
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
