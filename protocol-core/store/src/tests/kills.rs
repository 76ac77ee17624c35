//! Killed at random moments under load, and cut off from power: what is there afterwards is whole.
//!
//! `PORTICO_KILLS=500 cargo test -p portico-store kills` kills five hundred times, and cuts the power a thousand times; `PORTICO_SEED` repeats a run.

use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portico_disk::Disk;
use redb::StorageBackend;
use sha2::{Digest as _, Sha256};

use super::STORES;
use crate::{BlockWrite, ChainStore, Change, Disks, Hash, StateTries};

/// Kills and power cuts of a normal test run.
const KILLS: u32 = 12;
/// Blocks whose state is retained.
const RETAIN: u32 = 5;
/// Keys that a block writes, out of ten times as many.
const KEYS: u64 = 150;
/// Names the file to the process that is killed.
const FILE: &str = "PORTICO_TEST_KILLS";

/// Numbers from a seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn kills() -> u32 {
    let asked = std::env::var("PORTICO_KILLS").ok();
    asked.map_or(KILLS, |text| text.parse().expect("a number"))
}

fn seed() -> u64 {
    let asked = std::env::var("PORTICO_SEED").ok();
    let seed = asked.map_or_else(rand_seed, |text| text.parse().expect("a number"));
    println!("PORTICO_SEED={seed}");
    seed
}

fn rand_seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

type Writes = std::collections::BTreeMap<(&'static str, Vec<u8>), Option<Vec<u8>>>;

/// What block `height` writes: the same on every run.
fn writes(height: i64) -> Writes {
    let mut numbers = Numbers(height.unsigned_abs());
    let mut writes = Writes::new();
    for _ in 0..KEYS {
        let store = STORES[usize::try_from(numbers.next() % 3).expect("small")];
        let key = Sha256::digest((numbers.next() % (KEYS * 10)).to_be_bytes())[..24].to_vec();
        let gone = numbers.next().is_multiple_of(4);
        let value = vec![
            u8::try_from(height % 251).expect("small");
            usize::try_from(numbers.next() % 300).expect("small")
        ];
        writes.insert((store, key), (!gone).then_some(value));
    }
    writes
}

fn changes(writes: &Writes) -> impl Iterator<Item = Change<'_>> {
    writes
        .iter()
        .map(|((store, key), value)| (*store, key.as_slice(), value.as_deref()))
}

fn id(height: i64) -> Hash {
    Sha256::digest(height.to_be_bytes()).into()
}

/// Commits block `height`; `tries` are those of the block before.
fn commit(store: &ChainStore, tries: &mut StateTries, height: i64) -> bool {
    let writes = writes(height);
    tries.apply(changes(&writes)).expect("known stores");
    let txs: Vec<Hash> = (0..20_u8)
        .map(|n| Sha256::digest([&height.to_be_bytes()[..], &[n]].concat()).into())
        .collect();
    let write = BlockWrite {
        height,
        id: id(height),
        app_hash: tries.app_hash(),
        tries,
        block: &[1; 2_000],
        results: &[2; 3_000],
        certificate: &[3; 100],
        tx_hashes: &txs,
    };
    store.commit(&write, changes(&writes)).is_ok()
}

/// The store is sound, and at the state of one of `heights`; `tries`, at `at`, go on to it.
fn assert_sound(
    store: &ChainStore,
    heights: std::ops::RangeInclusive<i64>,
    tries: &mut StateTries,
    at: &mut i64,
) {
    let snapshot = store.snapshot().expect("readable");
    let tip = snapshot.tip().expect("a tip");
    assert!(
        heights.contains(&tip.height),
        "{} is not in {heights:?}",
        tip.height
    );
    while *at < tip.height {
        *at += 1;
        tries.apply(changes(&writes(*at))).expect("known stores");
    }
    assert_eq!(tip.app_hash, tries.app_hash());
    assert_eq!(snapshot.check(|_| ()).expect("readable").faults, [""; 0]);
}

/// Not a test by itself: the process that the test below starts and kills.
#[test]
#[ignore = "the test below runs it as a process of its own"]
fn child() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let store = ChainStore::open(Path::new(&path), RETAIN).expect("opened");
    let mut tries = store.load_tries(&STORES).expect("sound");
    let from = store.snapshot().expect("readable").tip().expect("a tip").height;
    println!("{from}");
    for height in from + 1..from + 500 {
        assert!(commit(&store, &mut tries, height));
        println!("{height}");
    }
}

#[test]
fn kill_9_at_a_random_moment_under_load_leaves_the_last_block_or_the_next_one() {
    let mut numbers = Numbers(seed());
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("chain.redb");
    let (mut tries, mut at) = (StateTries::new(&STORES), 0);
    let store = ChainStore::open(&path, RETAIN).expect("opened");
    store.init(b"{}", &tries, []).expect("written");
    drop(store);
    let started = std::time::SystemTime::now();
    let mut whole_next = 0;
    for _ in 0..kills() {
        let mut child = Command::new(std::env::current_exe().expect("known"))
            .args(["--exact", "tests::kills::child", "--ignored", "--nocapture"])
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut heights = lines.filter_map(|line| line.ok()?.parse::<i64>().ok());
        let wait = usize::try_from(numbers.next() % 8).expect("small");
        let seen = heights.by_ref().take(wait + 1).last().expect("it starts");
        #[allow(clippy::disallowed_methods, reason = "the random moment")]
        std::thread::sleep(Duration::from_micros(numbers.next() % 6_000));
        child.kill().expect("killed");
        child.wait().expect("ended");
        let told = heights.last().unwrap_or(seen);
        let store = ChainStore::open(&path, RETAIN).expect("opened");
        assert_sound(&store, told..=told + 1, &mut tries, &mut at);
        whole_next += i64::from(at > told);
    }
    println!(
        "{} kills to height {at}, {whole_next} of them after a commit that nobody was told of; {:?}",
        kills(),
        started.elapsed().expect("forward")
    );
}

/// A disk that forgets what was not synced, with the three files of a store.
#[derive(Debug, Default)]
struct Volatile(Mutex<Parts>);

#[derive(Debug, Default)]
struct Parts {
    files: [Contents; 3],
    /// Operations until the power goes.
    left: u64,
}

#[derive(Debug, Default)]
struct Contents {
    synced: Vec<u8>,
    now: Vec<u8>,
    /// Since the last sync: offset and bytes, or a new length.
    unsynced: Vec<(u64, Vec<u8>)>,
    lens: Vec<usize>,
}

/// One of the files.
#[derive(Debug)]
struct VolatileFile(Arc<Volatile>, usize);

impl Volatile {
    fn parts(&self) -> std::sync::MutexGuard<'_, Parts> {
        self.0.lock().expect("sound")
    }

    fn disks(self: &Arc<Self>) -> Disks {
        let file = |index| -> Disk { Arc::new(VolatileFile(Arc::clone(self), index)) };
        Disks {
            tables: file(0),
            logs: [file(1), file(2)],
        }
    }

    /// What is on the disk after the power went: any of the writes since the last sync, whole or in part.
    fn cut(&self, numbers: &mut Numbers) -> Arc<Self> {
        let parts = self.parts();
        let files = std::array::from_fn(|index| {
            let disk = parts.files[index].cut(numbers);
            Contents {
                now: disk.clone(),
                synced: disk,
                ..Contents::default()
            }
        });
        Arc::new(Self(Mutex::new(Parts {
            files,
            left: u64::MAX,
        })))
    }
}

impl Contents {
    fn cut(&self, numbers: &mut Numbers) -> Vec<u8> {
        let mut disk = self.synced.clone();
        if let Some(len) = self.lens.iter().rev().find(|_| numbers.next().is_multiple_of(2)) {
            disk.resize(*len, 0);
        }
        for (offset, bytes) in &self.unsynced {
            let torn = match numbers.next() % 3 {
                0 => 0,
                1 => usize::try_from(numbers.next()).unwrap_or(usize::MAX) % (bytes.len() / 512 + 1) * 512,
                _ => bytes.len(),
            };
            let from = usize::try_from(*offset).expect("small");
            if disk.len() >= from + bytes.len() {
                disk[from..from + torn].copy_from_slice(&bytes[..torn]);
            }
        }
        disk
    }
}

fn spend(parts: &mut Parts) -> io::Result<()> {
    parts.left = parts.left.saturating_sub(1);
    match parts.left {
        0 => Err(io::Error::other("the power is gone")),
        _ => Ok(()),
    }
}

impl StorageBackend for VolatileFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.parts().files[self.1].now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).expect("small");
        out.copy_from_slice(&self.0.parts().files[self.1].now[from..from + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).expect("small");
        let mut parts = self.0.parts();
        spend(&mut parts)?;
        let file = &mut parts.files[self.1];
        file.now.resize(len, 0);
        file.lens.push(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut parts = self.0.parts();
        spend(&mut parts)?;
        let file = &mut parts.files[self.1];
        file.synced = file.now.clone();
        file.unsynced.clear();
        file.lens.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut parts = self.0.parts();
        spend(&mut parts)?;
        let file = &mut parts.files[self.1];
        let from = usize::try_from(offset).expect("small");
        file.now[from..from + data.len()].copy_from_slice(data);
        file.unsynced.push((offset, data.to_vec()));
        Ok(())
    }
}

#[test]
fn a_power_cut_at_any_write_loses_no_block_that_was_acknowledged() {
    let mut numbers = Numbers(seed());
    let (mut tries, mut at) = (StateTries::new(&STORES), 0);
    let mut disk = Arc::new(Volatile::default());
    disk.parts().left = u64::MAX;
    let store = ChainStore::on(disk.disks(), RETAIN).expect("made");
    store.init(b"{}", &tries, []).expect("written");
    drop(store);
    for _ in 0..kills() * 2 {
        let store = ChainStore::on(disk.disks(), RETAIN).expect("opened");
        assert_sound(&store, at..=at + 1, &mut tries, &mut at);
        disk.parts().left = numbers.next() % 400 + 1;
        let (mut now, mut height) = (tries.clone(), at);
        while commit(&store, &mut now, height + 1) {
            height += 1;
        }
        disk.parts().left = 1;
        let after = disk.cut(&mut numbers);
        drop(store); // which writes nothing any more
        disk = after;
        let store = ChainStore::on(disk.disks(), RETAIN).expect("opened");
        assert_sound(&store, height..=height + 1, &mut tries, &mut at);
    }
    println!("{} power cuts to height {at}", kills() * 2);
}
