//! A disk that is full or fails: nothing is served unpaid, claims and proofs go on, and relays come back with the room.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use portico_protocol::Upokt;
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::*;
use crate::Stage;

/// The folder of the small disk, for the test that runs on it.
const SMALL_DISK: &str = "PORTICO_SMALL_DISK";

/// A disk in memory that is full when told so, unless the room beside it was given up.
#[derive(Clone, Debug)]
struct FullDisk {
    disk: Arc<InMemoryBackend>,
    full: Arc<AtomicBool>,
    reserve: PathBuf,
    fault: io::ErrorKind,
}

impl FullDisk {
    fn new(folder: &Path, fault: io::ErrorKind) -> Self {
        Self {
            disk: Arc::new(InMemoryBackend::new()),
            full: Arc::default(),
            reserve: folder.join("reserve"),
            fault,
        }
    }

    fn fill(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    fn check(&self) -> io::Result<()> {
        let given_up = self.fault == io::ErrorKind::StorageFull && !self.reserve.exists();
        match self.full.load(Ordering::SeqCst) && !given_up {
            true => Err(self.fault.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for FullDisk {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.disk.write(offset, data)
    }
}

impl World {
    async fn on_disk(disk: &FullDisk, folder: Arc<tempfile::TempDir>) -> Self {
        let mut world = Self::without_servicer().await;
        world.folder = folder;
        let log = RedbLog::on(disk.clone(), Some(world.folder.path())).unwrap();
        world.run_on(world.config(), Arc::new(log));
        world
    }

    /// Relays are refused before the backend hears of them.
    async fn refuses_without_asking(&self) {
        let asked = self.backend.hits();
        for n in 0..20 {
            let refused = self.refused(&self.request("/", &format!("refused {n}"))).await;
            refused.is(503, "relays cannot be recorded now");
            assert!(refused.retry_after.is_some(), "{refused:?}");
        }
        assert_eq!(self.backend.hits(), asked, "no backend works for nothing");
    }
}

#[tokio::test]
async fn a_full_disk_takes_no_relays_and_the_room_that_is_kept_takes_claims_and_proofs() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let disk = FullDisk::new(folder.path(), io::ErrorKind::StorageFull);
    let mut world = World::on_disk(&disk, folder).await;
    for n in 0..5 {
        world.relay("/", &format!("paid {n}")).await;
    }
    assert!(disk.reserve.exists());
    disk.fill(true);
    // The one that finds out: its backend was asked, but its client has no signed answer.
    let refused = world.refused(&world.request("/", "finds out")).await;
    refused.is(503, "cannot be recorded");
    world.refuses_without_asking().await;
    let reasons = world.running().handle.readiness().reasons;
    assert_eq!(reasons, ["leaves cannot be written: the disk is full"]);

    world.go_to(20).await;
    let row = world.row();
    assert_eq!((row.served, row.committed, row.unpaid), (5, 5, 0));
    assert_eq!(
        (row.stage, row.settled_upokt),
        (Stage::Settled, Some(Upokt(5 * COST)))
    );
    world.refuses_without_asking().await;

    disk.fill(false);
    world.until_ready().await;
    assert!(disk.reserve.exists(), "the room is kept again");
    world.relay("/", "served again").await;
    world.stop().await;
    let log = RedbLog::on(disk.clone(), Some(world.folder.path())).unwrap();
    let stages: Vec<_> = log
        .sessions()
        .unwrap()
        .into_iter()
        .map(|(_, record)| record.stage)
        .collect();
    assert_eq!(
        stages,
        [Stage::Settled, Stage::Open],
        "nothing of it was only in memory"
    );
}

/// A disk that can only be read, as a file system is that its kernel mounted so after a fault.
#[tokio::test]
async fn a_disk_that_can_only_be_read_has_its_sealed_sessions_proved() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let disk = FullDisk::new(folder.path(), io::ErrorKind::ReadOnlyFilesystem);
    let world = World::on_disk(&disk, folder).await;
    for n in 0..5 {
        world.relay("/", &format!("paid {n}")).await;
    }
    world.go_to(12).await;
    assert_eq!(world.row().stage, Stage::ClaimSent);
    disk.fill(true);
    world
        .refused(&world.request("/", "finds out"))
        .await
        .is(503, "cannot be recorded");
    world.refuses_without_asking().await;
    let reasons = world.running().handle.readiness().reasons;
    assert!(
        reasons[0].starts_with("leaves cannot be written: the disk fails: "),
        "{reasons:?}"
    );
    world.go_to(20).await;
    let paid = world.rows().remove(0);
    assert_eq!(
        (paid.stage, paid.settled_upokt),
        (Stage::Settled, Some(Upokt(5 * COST)))
    );
    disk.fill(false);
    world.until_ready().await;
}

/// The same on a file system that really is full, where this system lets a process mount one of its own.
#[test]
fn a_real_full_disk_takes_no_relays_and_loses_no_claim() {
    let own_mounts = ["unshare", "--user", "--map-root-user", "--mount"];
    let can = Command::new(own_mounts[0])
        .args(&own_mounts[1..])
        .arg("true")
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("no file system can be mounted here: only the disk in memory was full");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=160m tmpfs \"$1\" && exec \"$2\" --exact tests::disk::on_a_small_disk --ignored --nocapture";
    let output = Command::new(own_mounts[0])
        .args(&own_mounts[1..])
        .args(["sh", "-c", script, "sh"])
        .args([
            folder.path().as_os_str(),
            std::env::current_exe().unwrap().as_os_str(),
        ])
        .env(SMALL_DISK, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        let block = vec![7; size];
        while file.write_all(&block).is_ok() {}
    }
}

#[tokio::test]
#[ignore = "run by a_real_full_disk_takes_no_relays_and_loses_no_claim, on a file system of its own"]
async fn on_a_small_disk() {
    let small = PathBuf::from(std::env::var_os(SMALL_DISK).unwrap());
    let mut world = World::without_servicer().await;
    world.folder = Arc::new(tempfile::tempdir_in(&small).unwrap());
    world.run(world.config());
    let reserve = world.folder.path().join("reserve");
    for n in 0..5 {
        world.relay("/", &format!("paid {n}")).await;
    }
    assert!(reserve.exists());
    let ballast = small.join("ballast");
    fill(&ballast);
    // The log has some room in its own file; large relays use it up.
    let large = "x".repeat(1 << 20);
    while world.running().handle.readiness().ready {
        let request = world.request("/", &format!("{large}{}", rand::random::<u64>()));
        let answer = world.post(request.encode_to_vec()).await.status().as_u16();
        assert!(answer == 200 || answer == 503, "{answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.refuses_without_asking().await;
    let reasons = world.running().handle.readiness().reasons;
    assert!(
        reasons[0].starts_with("leaves cannot be written: the disk is full"),
        "{reasons:?}"
    );

    world.go_to(20).await;
    let row = world.row();
    assert_eq!(row.served, row.committed, "nothing was served unpaid: {row:?}");
    assert_eq!((row.stage, row.claimed), (Stage::Settled, row.committed));
    world.refuses_without_asking().await;

    std::fs::remove_file(&ballast).unwrap();
    world.until_ready().await;
    assert!(reserve.exists(), "the room is kept again");
    world.relay("/", "served again").await;
    world.restart().await;
    let stages: Vec<_> = world.rows().into_iter().map(|row| row.stage).collect();
    assert_eq!(stages, [Stage::Settled, Stage::Open]);
}
