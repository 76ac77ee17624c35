//! What is kept on disk: checked, copied while it is used, and repaired from any damage; and that a later version still reads it.

use std::path::{Path, PathBuf};

use portico_protocol::Upokt;

use super::*;
use crate::leaf_log::{self, Backup, FILE_NAME, LeafLogError, LeafReader};
use crate::{ExpiredReason, Stage};

/// Data of the first release, as `write_the_data_of_this_version` made them.
const DATA_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/servicer-data-1");

fn log_of(folder: &Path) -> PathBuf {
    folder.join(FILE_NAME)
}

/// A folder with a copy of the log in `folder`, changed.
fn damaged(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(log_of(folder)).unwrap();
    change(&mut bytes);
    std::fs::write(log_of(copy.path()), bytes).unwrap();
    copy
}

/// Where the file has anything but zeros.
fn used(bytes: &[u8]) -> Vec<usize> {
    let pages = bytes.chunks(4096).enumerate();
    let used = pages.filter(|(_, page)| page.iter().any(|byte| *byte != 0));
    used.map(|(index, _)| index * 4096).collect()
}

impl World {
    /// Thirty leaves of different sizes in a session that is open, stopped.
    async fn with_leaves_on_disk() -> Self {
        let mut world = Self::start().await;
        for n in 0..30_usize {
            let size = [10, 900, 9_000][n % 3];
            world.relay("/", &format!("{n} {}", "x".repeat(size))).await;
        }
        world.go_to(2).await;
        world.stop().await;
        world
    }
}

#[tokio::test]
async fn a_sound_log_is_found_sound() {
    let mut world = World::with_leaves_on_disk().await;
    let report = leaf_log::check(world.folder.path()).unwrap();
    assert_eq!(
        (report.sessions, report.leaves, report.is_sound()),
        (1, 30, true),
        "{report:?}"
    );
    assert_eq!(leaf_log::repair(world.folder.path(), false).unwrap(), None);
    world.run(world.config());
    assert!(matches!(
        leaf_log::check(world.folder.path()),
        Err(LeafLogError::InUse)
    ));
    assert!(matches!(
        leaf_log::repair(world.folder.path(), true),
        Err(LeafLogError::InUse)
    ));
    world.go_to(20).await;
    world.stop().await;
    let report = leaf_log::check(world.folder.path()).unwrap();
    assert!(report.is_sound() && report.leaves == 30, "settled: {report:?}");
}

/// Wherever the file ends: what can be read is kept, and what is known to have been there is told.
#[tokio::test]
async fn a_log_that_is_cut_short_opens_after_a_repair() {
    let world = World::with_leaves_on_disk().await;
    let bytes = std::fs::read(log_of(world.folder.path())).unwrap();
    let pages = used(&bytes);
    let last = pages.last().unwrap() + 4096;
    let cuts = [1, 2, 100, 4095, 4096, 4097]
        .map(|cut| bytes.len() - cut)
        .into_iter();
    let cuts: Vec<usize> = cuts.chain((1..last).rev().step_by(1777)).collect();
    let (mut fewest, mut most) = (u64::MAX, 0);
    for length in cuts {
        let folder = damaged(world.folder.path(), |bytes| bytes.truncate(length));
        let repaired = leaf_log::repair(folder.path(), false).unwrap();
        let report = leaf_log::check(folder.path()).unwrap();
        assert!(report.is_sound(), "cut to {length}: {report:?}");
        let Some(repaired) = repaired else {
            assert_eq!(report.leaves, 30, "cut to {length}");
            continue;
        };
        assert_eq!(
            (repaired.sessions, repaired.leaves),
            (report.sessions, report.leaves)
        );
        let lost: u64 = repaired.lost.iter().map(|lost| lost.leaves).sum();
        if repaired.sessions == 1 {
            assert_eq!(repaired.leaves + lost, 30, "cut to {length}: {repaired:?}");
            let worth: u128 = repaired.lost.iter().map(|lost| lost.upokt.0).sum();
            assert_eq!(worth, u128::from(lost) * COST);
        }
        assert_eq!(std::fs::metadata(&repaired.kept_as).unwrap().len(), length as u64);
        assert!(RedbLog::open(folder.path()).is_ok());
        fewest = fewest.min(repaired.leaves);
        most = most.max(repaired.leaves);
    }
    assert!(fewest < 30, "no cut was deep enough to lose anything");
    assert_eq!(most, 30, "the smallest cuts lose nothing");
}

/// Wherever a byte is another one: it is found unless it is of no meaning, and after a repair all but the damaged leaf is there.
#[tokio::test]
async fn a_changed_byte_is_found_and_repaired() {
    let world = World::with_leaves_on_disk().await;
    let bytes = std::fs::read(log_of(world.folder.path())).unwrap();
    let (mut found, mut tried, mut records) = (0, 0, 0);
    for page in used(&bytes) {
        for within in [0, 2, 5, 40, 131, 1_003, 2_711, 4_080] {
            let folder = damaged(world.folder.path(), |bytes| bytes[page + within] ^= 0x55);
            let before = leaf_log::check(folder.path());
            if matches!(before, Err(LeafLogError::Format { .. })) {
                continue; // the very number of the format
            }
            tried += 1;
            found += usize::from(!before.unwrap().is_sound());
            let repaired = leaf_log::repair(folder.path(), false).unwrap();
            let report = leaf_log::check(folder.path()).unwrap();
            assert!(report.is_sound(), "byte {}: {report:?}", page + within);
            // Old pages have what a damaged one had, or it is told.
            let lost = repaired
                .as_ref()
                .map_or(0, |repaired| repaired.lost.iter().map(|lost| lost.leaves).sum());
            // Of the session's record there are few copies, or one. One that names another session is told of beside its leaves.
            let record = report.leaves == 0;
            records += usize::from(record);
            let accounted = report.leaves + lost == 30 || record && lost == 60;
            assert!(accounted, "byte {}: {repaired:?}", page + within);
            assert!(
                record || lost <= 3,
                "byte {}: {lost} leaves are lost",
                page + within
            );
        }
    }
    assert!(tried > 100 && found > 20, "{found} of {tried} changes were found");
    assert!(
        records < 8,
        "{records} of {tried} changes lost the session's record"
    );
}

/// What is left of a session whose claim was not sent yet is claimed.
#[tokio::test]
async fn a_repaired_session_is_claimed_for_what_is_left() {
    let mut world = World::with_leaves_on_disk().await;
    world.run(world.config());
    world.chain.refuse_simulation_of(&world.row().session_id);
    world.go_to(12).await;
    assert_eq!(world.row().stage, Stage::Sealed);
    world.stop().await;
    // One of the large leaves, in every place where it is.
    let relay = LeafReader::open(world.folder.path()).unwrap();
    let row = relay.sessions().unwrap().remove(0);
    let leaf = relay.leaves(&row.session_id, &row.supplier).unwrap().remove(5);
    drop(relay);
    let path = log_of(world.folder.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let places: Vec<usize> = (0..bytes.len() - 32)
        .filter(|at| bytes[*at..].starts_with(&leaf.key))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + 200] ^= 1;
    }
    std::fs::write(&path, bytes).unwrap();
    let report = leaf_log::check(world.folder.path()).unwrap();
    assert!(!report.is_sound(), "{report:?}");
    let repaired = leaf_log::repair(world.folder.path(), false).unwrap().unwrap();
    let lost = &repaired.lost[..];
    assert_eq!(
        (lost.len(), lost[0].leaves, lost[0].upokt),
        (1, 1, Upokt(COST)),
        "{repaired:?}"
    );
    assert_eq!(lost[0].session_id.as_deref(), Some(row.session_id.as_str()));
    let mut mended = World::without_servicer().await;
    while mended.chain.height() < 12 {
        mended.chain.advance();
    }
    mended.folder = Arc::clone(&world.folder);
    mended.run(mended.config());
    mended.go_to(20).await;
    let row = mended.row();
    assert_eq!(row.stage, Stage::Settled, "{row:?}");
    assert_eq!(row.settled_upokt, Some(Upokt(29 * COST)));
}

/// A claim that is on chain cannot be proved without each of its leaves, and that is said.
#[tokio::test]
async fn a_repair_tells_of_a_claim_that_cannot_be_proved() {
    let mut world = World::with_leaves_on_disk().await;
    world.run(world.config());
    world.go_to(14).await;
    world.stop().await;
    let log = RedbLog::open(world.folder.path()).unwrap();
    assert_eq!(log.delete_leaves(0, 1).unwrap(), 1);
    drop(log);
    let report = leaf_log::check(world.folder.path()).unwrap();
    assert!(
        report.faults[0].what.contains("1 leaves are missing"),
        "{report:?}"
    );
    // The deleted leaf is still in an old page.
    let repaired = leaf_log::repair(world.folder.path(), false).unwrap().unwrap();
    assert_eq!((repaired.leaves, repaired.lost.len()), (30, 0), "{repaired:?}");
    let log = RedbLog::open(world.folder.path()).unwrap();
    assert_eq!(log.delete_leaves(0, 1).unwrap(), 1);
    drop(log);
    // Compaction leaves no old pages.
    let copy = tempfile::tempdir().unwrap();
    let mut backup = Backup::to(copy.path()).unwrap();
    backup.read(world.folder.path()).unwrap();
    assert!(!backup.finish().unwrap().is_sound());
    let repaired = leaf_log::repair(copy.path(), false).unwrap().unwrap();
    assert_eq!((repaired.leaves, repaired.lost.len()), (29, 1), "{repaired:?}");
    assert_eq!(
        (repaired.lost[0].leaves, repaired.lost[0].upokt),
        (1, Upokt(30 * COST))
    );
    std::fs::copy(log_of(copy.path()), log_of(world.folder.path())).unwrap();
    world.run(world.config());
    world.go_to(16).await;
    assert_eq!(
        world.row().stage,
        Stage::Expired {
            reason: ExpiredReason::RootMismatch
        }
    );
}

#[tokio::test]
async fn a_backup_is_of_one_moment_while_relays_are_served() {
    let world = World::start().await;
    for n in 0..20 {
        world.relay("/", &format!("before {n}")).await;
    }
    world.go_to(3).await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}/backup", world.running().address);
    let copying = async {
        let mut backup = Backup::to(folder.path()).unwrap();
        let mut answer = world.client.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        while let Some(chunk) = answer.chunk().await.unwrap() {
            backup.push(&chunk).unwrap();
            tokio::task::yield_now().await;
        }
        backup.finish().unwrap()
    };
    let serving = async {
        for n in 0..20 {
            world.relay("/", &format!("meanwhile {n}")).await;
        }
    };
    let (report, ()) = tokio::join!(copying, serving);
    assert!(
        report.is_sound() && report.sessions == 1 && (20..=40).contains(&report.leaves),
        "{report:?}"
    );
    assert_eq!(leaf_log::check(folder.path()).unwrap().leaves, report.leaves);
    let again = Backup::to(folder.path());
    assert!(
        matches!(again, Err(LeafLogError::Exists(_))),
        "it overwrites nothing"
    );

    // The machine burns; the backup is put in its place.
    let mut elsewhere = World::without_servicer().await;
    while elsewhere.chain.height() < 3 {
        elsewhere.chain.advance();
    }
    elsewhere.folder = Arc::new(folder);
    elsewhere.run(elsewhere.config());
    elsewhere.go_to(20).await;
    let row = elsewhere.row();
    assert_eq!((row.stage, row.claimed), (Stage::Settled, report.leaves));
}

#[tokio::test]
async fn a_backup_that_is_cut_short_or_changed_is_none() {
    let world = World::start().await;
    for n in 0..3 {
        world.relay("/", &n.to_string()).await;
    }
    let url = format!("http://{}/backup", world.running().address);
    let whole = world
        .client
        .get(&url)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let receive = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let mut backup = Backup::to(folder.path()).unwrap();
        let outcome = bytes.chunks(100).try_for_each(|part| backup.push(part));
        let outcome = outcome.and_then(|()| backup.finish());
        assert_eq!(
            log_of(folder.path()).exists(),
            outcome.is_ok(),
            "what is not whole is removed"
        );
        outcome
    };
    assert_eq!(receive(&whole).unwrap().leaves, 3);
    for length in (0..whole.len()).step_by(61).chain([whole.len() - 1]) {
        assert!(receive(&whole[..length]).is_err(), "cut to {length}");
    }
    for at in (0..whole.len()).step_by(61) {
        let mut changed = whole.to_vec();
        changed[at] ^= 1;
        assert!(receive(&changed).is_err(), "changed at {at}");
    }
}

/// Leaves of settled sessions are deleted, their room is used again, and compaction gives it back.
#[tokio::test]
async fn room_of_settled_sessions_is_used_again_and_given_back() {
    let mut world = World::with(|config| config.keep_leaves_blocks = 1).await;
    let large = "x".repeat(100_000);
    let mut sizes = Vec::new();
    for session in 0..6 {
        for n in 0..20 {
            world.relay("/", &format!("{session} {n} {large}")).await;
        }
        world.go_to(world.chain.height() + 30).await;
        sizes.push(std::fs::metadata(log_of(world.folder.path())).unwrap().len());
    }
    let usage = world.running().handle.log.usage();
    assert!(usage.leaf_bytes < 100_000, "{usage:?}");
    // A page with records of old sessions may lie behind leaves that are gone, and keeps the file from shrinking to less.
    let leaves_of_a_session = 20 * 100_000;
    // Whether the file shrinks by itself hangs on where the store put its last pages; that it does not grow hangs on nothing.
    assert!(
        sizes.iter().all(|size| *size < 3 * leaves_of_a_session),
        "it does not grow with what was: {sizes:?}"
    );
    assert!(world.rows().iter().all(|row| row.stage == Stage::Settled));
    world.stop().await;
    let (before, after) = leaf_log::compact(world.folder.path()).unwrap();
    assert!(after < before, "{before} to {after}");
    assert!(leaf_log::check(world.folder.path()).unwrap().is_sound());
    world.run(world.config());
    assert_eq!(world.rows().len(), 6);
}

#[tokio::test]
async fn a_newer_format_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    drop(RedbLog::open(folder.path()).unwrap());
    {
        let database = redb::Database::open(log_of(folder.path())).unwrap();
        let change = database.begin_write().unwrap();
        let meta = redb::TableDefinition::<&str, u64>::new("meta");
        change.open_table(meta).unwrap().insert("format", 2).unwrap();
        change.commit().unwrap();
    }
    let refused = |error: LeafLogError| {
        let text = error.to_string();
        assert!(
            text.contains("has format 2") && text.contains("run that version"),
            "{text}"
        );
    };
    refused(RedbLog::open(folder.path()).unwrap_err());
    refused(LeafReader::open(folder.path()).unwrap_err());
    refused(leaf_log::check(folder.path()).unwrap_err());
    refused(leaf_log::repair(folder.path(), false).unwrap_err());
    refused(leaf_log::compact(folder.path()).unwrap_err());
}

/// A version that cannot read the data of the one before loses what they are worth: this test is what a change of the format has to pass.
#[tokio::test]
async fn the_data_of_the_first_release_open_and_settle() {
    let mut world = World::without_servicer().await;
    std::fs::copy(log_of(Path::new(DATA_1)), log_of(world.folder.path())).unwrap();
    assert!(leaf_log::check(world.folder.path()).unwrap().is_sound());
    while world.chain.height() < 22 {
        world.chain.advance();
    }
    let mut config = world.config();
    config.tx.gas_price_micro_upokt = 10;
    world.run(config);
    let rows = world.rows();
    let known: Vec<_> = rows.iter().map(|row| (row.stage, row.committed)).collect();
    assert_eq!(
        known,
        [(Stage::Settled, 3), (Stage::ClaimSent, 5), (Stage::Open, 2)]
    );
    assert_eq!(rows[0].paid(), Upokt(9_702), "{:?}", rows[0]);
    world.go_to(40).await;
    let settled: Vec<_> = world
        .rows()
        .iter()
        .map(|row| (row.stage, row.settled_upokt))
        .collect();
    let upokt = |relays: u128| (Stage::Settled, Some(Upokt(relays * COST)));
    assert_eq!(settled, [upokt(3), upokt(5), upokt(2)]);
    let rows = world.rows();
    assert_eq!(
        (rows[0].tx_fees_upokt, rows[0].fees_unknown),
        (Upokt(0), 0),
        "that release took none down"
    );
    assert!(
        rows[2].tx_fees_upokt.0 > 0,
        "what is sent from here on is: {:?}",
        rows[2]
    );
}

/// How the data in `testdata/servicer-data-1` were made; a new format gets a folder of its own, and the old one stays.
#[tokio::test]
#[ignore = "writes the folder that PORTICO_WRITE_DATA names"]
async fn write_the_data_of_this_version() {
    let target = PathBuf::from(std::env::var_os("PORTICO_WRITE_DATA").unwrap());
    let mut world = World::start().await;
    for (relays, height) in [(3, 12), (5, 20)] {
        for n in 0..relays {
            world.relay("/", &format!("relay {n}")).await;
        }
        world.go_to(height).await;
    }
    // The claim of the second session is taken by a mempool, and by no block.
    world.chain.lose_all();
    world.go_to(22).await;
    for n in 0..2 {
        world.relay("/", &format!("relay {n}")).await;
    }
    world.stop().await;
    std::fs::create_dir_all(&target).unwrap();
    let mut backup = Backup::to(&target).unwrap();
    backup.read(world.folder.path()).unwrap();
    assert!(backup.finish().unwrap().is_sound());
}
