//! What the store costs with many keys: `just bench-store`, or `cargo run --release -p portico-store --example bench -- KEYS FOLDER`.
//!
//! A block here changes 4,000 keys, as a thousand transfers do (sender and receiver: balance and account).
#![allow(clippy::print_stdout, reason = "it prints a report")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use portico_store::{About, BlockWrite, ChainStore, Change, Hash, Manifest, StateTries};
use sha2::{Digest as _, Sha256};

const STORES: [&str; 3] = ["auth", "bank", "proof"];
/// Transactions of a block.
const TXS: u64 = 1_000;
/// Keys that a block changes.
const CHANGED: u64 = 4 * TXS;
/// Blocks that are measured.
const BLOCKS: i64 = 50;
/// Blocks whose state is retained while it is measured: the last ones forget as much as they write.
const RETAIN: u32 = 25;
/// The last of them, each of which is moved to the tables alone.
const MOVED: i64 = 5;
/// Proofs of each kind.
const PROOFS: u64 = 2_000;
/// Bytes of a value.
const VALUE: usize = 100;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let keys: u64 = args.next().unwrap_or_else(|| "1000000".into()).parse()?;
    let folder = args.next().map_or_else(std::env::temp_dir, Into::into);
    let folder = folder.join(format!("portico-bench-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let outcome = run(keys, &folder);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn run(keys: u64, folder: &Path) -> Result<(), Failure> {
    let path = folder.join("chain.redb");
    let store = ChainStore::open(&path, RETAIN)?;
    let mut tries = genesis(&store, keys, &path)?;
    blocks(&store, &mut tries, keys, &path)?;
    proofs(&store, keys)?;
    let crashed = folder.join("crashed.redb");
    fs::copy(&path, &crashed)?; // as a crash leaves it: nothing was closed
    let (took, rolled) = timed(|| store.rollback(BLOCKS - 5, |_| ()))?;
    say(
        "roll back 5 blocks",
        format!("{} to height {}", ms(took), rolled.height),
    );
    copies(&store, folder)?;
    let (took, report) = timed(|| store.snapshot()?.check(|_| ()))?;
    say(
        "check all of it",
        format!("{}, {} faults", ms(took), report.faults.len()),
    );
    drop(store);
    restart("restart in order", &path)?;
    restart("restart after a crash", &crashed)?;
    say("most memory", format!("{} MiB", memory_mib()));
    Ok(())
}

fn genesis(store: &ChainStore, keys: u64, path: &Path) -> Result<StateTries, Failure> {
    let all: Vec<[u8; 32]> = (0..keys).map(key).collect();
    let value = |n: u64| [u8::try_from(n % 251).unwrap_or(0); VALUE];
    let values: Vec<_> = (0..keys).map(value).collect();
    let changes = || {
        all.iter()
            .zip(&values)
            .map(|(key, value)| -> Change<'_> { ("bank", key, Some(value)) })
    };
    let mut tries = StateTries::new(&STORES);
    let (took, _) = timed(|| {
        tries.apply(changes())?;
        Ok(tries.app_hash())
    })?;
    say(&format!("{keys} keys: root in memory"), ms(took));
    let (took, ()) = timed(|| store.init(b"{}", &tries, changes()))?;
    say(
        &format!("{keys} keys: written as genesis"),
        format!("{}, {} on disk", ms(took), mib(path)?),
    );
    Ok(tries)
}

fn blocks(store: &ChainStore, tries: &mut StateTries, keys: u64, path: &Path) -> Result<(), Failure> {
    let before = fs::metadata(path)?.len();
    let (mut one_by_one, mut hashing, mut commits) = (Vec::new(), Vec::new(), Vec::new());
    let (mut committing, mut moving) = (Vec::new(), Vec::new());
    let all_before = process_cpu()?;
    for height in 1..=BLOCKS {
        let seed = height.unsigned_abs().wrapping_mul(7_919);
        let written: Vec<_> = (0..CHANGED)
            .map(|n| key(seed.wrapping_add(n.wrapping_mul(104_729)) % keys))
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        let value = [u8::try_from(height)?; VALUE];
        let changes = || {
            written
                .iter()
                .map(|key| -> Change<'_> { ("bank", key, Some(&value)) })
        };
        let mut single = tries.clone();
        let (took, alone) = timed(|| {
            changes().try_for_each(|change| single.apply([change]))?;
            Ok(single.app_hash())
        })?;
        one_by_one.push(took);
        drop(single);
        let (took, app_hash) = timed(|| {
            tries.apply(changes())?;
            Ok(tries.app_hash())
        })?;
        if alone != app_hash {
            return Err("one descent has another root than single inserts".into());
        }
        hashing.push(took);
        let txs: Vec<Hash> = (0..TXS)
            .map(|n| Sha256::digest([seed.to_be_bytes(), n.to_be_bytes()].concat()).into())
            .collect();
        let write = BlockWrite {
            height,
            id: Sha256::digest(height.to_be_bytes()).into(),
            app_hash,
            tries,
            block: &vec![1; 300 * usize::try_from(TXS)?],
            results: &vec![2; 400 * usize::try_from(TXS)?],
            certificate: &[3; 150],
            tx_hashes: &txs,
        };
        let cpu = thread_cpu()?;
        commits.push(timed(|| store.commit(&write, changes()))?.0);
        committing.push(thread_cpu()?.saturating_sub(cpu));
        if height > BLOCKS - MOVED {
            // What a commit did before there was a log: this block alone goes to the tables.
            let cpu = thread_cpu()?;
            store.settle()?;
            moving.push(thread_cpu()?.saturating_sub(cpu));
        } else if height == BLOCKS - MOVED {
            store.settle()?;
            let spent = process_cpu()?.saturating_sub(all_before);
            say(
                "CPU of the process per block, this bench included",
                ms(spent / u32::try_from(height)?),
            );
        }
    }
    let grown = fs::metadata(path)?.len().saturating_sub(before);
    let raw = 700 * TXS;
    say("root of a block's changes, key by key", spread(&mut one_by_one));
    say("root of a block's changes in memory", spread(&mut hashing));
    say("CPU of a commit, on its thread", spread(&mut committing));
    say("CPU of one block alone to the tables", spread(&mut moving));
    let half = commits.len() / 2;
    let (early, late) = commits.split_at_mut(half);
    say("commit of a block", spread(early));
    say("commit of a block that forgets another", spread(late));
    let all: Duration = early.iter().chain(late.iter()).chain(&hashing).sum();
    say(
        "blocks of 1,000 transactions, store only",
        format!(
            "{:.1} per second",
            f64::from(i32::try_from(BLOCKS)?) / all.as_secs_f64()
        ),
    );
    say(
        "disk growth per block",
        format!(
            "{} KiB in the mean of {BLOCKS}, of which {} KiB are block and results",
            grown / BLOCKS.unsigned_abs() / 1024,
            raw / 1024
        ),
    );
    Ok(())
}

fn proofs(store: &ChainStore, keys: u64) -> Result<(), Failure> {
    for (name, height) in [("newest", BLOCKS), ("oldest", BLOCKS - i64::from(RETAIN))] {
        let at = store.at(height)?;
        for (kind, first) in [("present", 0), ("absent", keys)] {
            let (mut times, mut largest) = (Vec::new(), 0);
            for n in 0..PROOFS {
                let key = key(first + n.wrapping_mul(7_919) % keys);
                let (took, proof) = timed(|| at.prove("bank", &key))?;
                times.push(took);
                largest = largest.max(proof.steps().iter().map(|step| step.data.len()).sum());
            }
            say(
                &format!("proof of {kind} key, {name} height"),
                format!("{}, at most {largest} bytes", spread(&mut times)),
            );
        }
    }
    Ok(())
}

fn copies(store: &ChainStore, folder: &Path) -> Result<(), Failure> {
    let snapshot = folder.join("snapshot");
    let (took, manifest) = timed(|| store.write_snapshot(&snapshot, |_| Ok(About::default()), |_| ()))?;
    say(
        "write a snapshot",
        format!(
            "{}, {} MiB in {} chunks",
            ms(took),
            manifest.bytes >> 20,
            manifest.chunks.len()
        ),
    );
    say("verify it", ms(timed(|| Manifest::verify(&snapshot, |_| ()))?.0));
    let restored = folder.join("restored.redb");
    say(
        "restore it, with a check",
        ms(timed(|| Manifest::restore(&snapshot, &restored, |_| ()))?.0),
    );
    fs::remove_file(restored)?;
    Ok(())
}

fn restart(name: &str, path: &Path) -> Result<(), Failure> {
    let (opened, store) = timed(|| ChainStore::open(path, RETAIN))?;
    let (loaded, _) = timed(|| store.load_tries(&STORES))?;
    say(
        name,
        format!("{} to open, {} to build the tries", ms(opened), ms(loaded)),
    );
    Ok(())
}

fn key(n: u64) -> [u8; 32] {
    Sha256::digest(n.to_be_bytes()).into()
}

fn timed<T>(work: impl FnOnce() -> Result<T, portico_store::StoreError>) -> Result<(Duration, T), Failure> {
    let started = SystemTime::now();
    let done = work()?;
    Ok((started.elapsed()?, done))
}

/// Time that this thread was on a processor, on Linux; else none.
fn thread_cpu() -> Result<Duration, Failure> {
    let Ok(text) = fs::read_to_string("/proc/thread-self/schedstat") else {
        return Ok(Duration::ZERO);
    };
    let ns = text.split_whitespace().next().unwrap_or("0").parse()?;
    Ok(Duration::from_nanos(ns))
}

/// As [`thread_cpu`], of all threads: user and system time, in hundredths of a second.
fn process_cpu() -> Result<Duration, Failure> {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let times = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = times.map(|ticks| ticks.parse().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks.saturating_mul(10)))
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |percent: usize| {
        times
            .get(times.len().saturating_sub(1) * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    let ms = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e3);
    format!("p50 {} ms, p99 {} ms", ms(at(50)), ms(at(99)))
}

fn mib(path: &Path) -> Result<String, Failure> {
    Ok(format!("{} MiB", fs::metadata(path)?.len() >> 20))
}

fn memory_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap_or_default();
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|text| text.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn say(what: &str, figure: impl std::fmt::Display) {
    println!("{what:<44} {figure}");
}
