//! Writes proofs of a chain's state as JSON lines, for verifiers in other languages: `cargo run -p portico-store --example proofs -- 10000`.
//!
//! Each line has `height`, `store`, `root` (of the store), `app_hash`, `keys`, `values` (null for an absent key), `proof` (of the keys
//! against the root, `cosmos.ics23.v1.CommitmentProof`) and `store_proof` (of the root against the app hash); bytes are hexadecimal.
//! Half of the keys are absent; one line in a hundred is a compressed batch of twenty keys.

use std::error::Error;
use std::io::{BufWriter, Write as _};

use portico_store::{BlockWrite, ChainStore, Change, Hash, Snapshot, StateProof, StateTries, batch};
use prost_ics23::Message as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

const STORES: [&str; 3] = ["auth", "bank", "proof"];
/// Every so many lines, a batch.
const BATCH_EVERY: u32 = 100;
/// Keys of a batch.
const BATCH: u32 = 20;

/// Store, key, and the value that is set or `None`.
type Write = (&'static str, Vec<u8>, Option<Vec<u8>>);

fn main() -> Result<(), Box<dyn Error>> {
    let keys: u32 = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "10000".into())
        .parse()?;
    let store = ChainStore::in_memory()?;
    let mut tries = StateTries::new(&STORES);
    store.init(b"{}", &tries, [])?;
    // Block 1 sets all keys, 2 changes every tenth, 3 removes another tenth.
    for (height, first, step) in [(1, 0, 1), (2, 0, 10), (3, 5, 10)] {
        let set: Vec<Write> = (first..keys)
            .step_by(step)
            .map(|n| {
                (
                    store_of(n),
                    key(n),
                    (height < 3).then(|| format!("{n} at {height}").into_bytes()),
                )
            })
            .collect();
        let changes = || {
            set.iter()
                .map(|(store, key, value)| -> Change<'_> { (store, key, value.as_deref()) })
        };
        tries.apply(changes())?;
        let id: Hash = Sha256::digest(i64::to_be_bytes(height)).into();
        let write = BlockWrite {
            height,
            id,
            app_hash: tries.app_hash(),
            tries: &tries,
            block: b"",
            results: b"",
            certificate: b"",
            tx_hashes: &[],
        };
        store.commit(&write, changes())?;
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    for n in 0..keys {
        let at = store.at(1 + i64::from(n % 3))?;
        for n in [n, n + keys] {
            writeln!(out, "{}", line(&[at.prove(store_of(n), &key(n))?])?)?;
        }
        if n.is_multiple_of(BATCH_EVERY) {
            writeln!(out, "{}", line(&many(&at, n, keys)?)?)?;
        }
    }
    Ok(out.flush()?)
}

/// Proofs of the keys of one store from `n` on, every other one absent.
fn many(at: &Snapshot, n: u32, keys: u32) -> Result<Vec<StateProof>, Box<dyn Error>> {
    let numbers = (n..n + BATCH).map(|n| if n.is_multiple_of(2) { n % keys } else { n + keys });
    let proofs = numbers.map(|n| at.prove("bank", &key(n)));
    Ok(proofs.collect::<Result<_, _>>()?)
}

fn line(proofs: &[StateProof]) -> Result<serde_json::Value, Box<dyn Error>> {
    let first = proofs.first().ok_or("no proof")?;
    let proof = match proofs {
        [one] => one.key_proof.clone().ok_or("the store is empty")?,
        _ => batch(proofs)?,
    };
    Ok(json!({
        "height": first.height,
        "store": first.store,
        "root": hex(&first.store_root),
        "app_hash": hex(&first.app_hash),
        "keys": proofs.iter().map(|proof| hex(&proof.key)).collect::<Vec<_>>(),
        "values": proofs.iter().map(|proof| proof.value.as_deref().map(hex)).collect::<Vec<_>>(),
        "proof": hex(&proof.encode_to_vec()),
        "store_proof": hex(&first.store_proof.encode_to_vec()),
    }))
}

/// Keys of 20 bytes, as addresses are.
fn key(n: u32) -> Vec<u8> {
    Sha256::digest(n.to_be_bytes())[..20].to_vec()
}

fn store_of(n: u32) -> &'static str {
    if n.is_multiple_of(4) { "auth" } else { "bank" }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
