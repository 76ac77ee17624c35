//! `oracle make SEED COUNT` prints cases; `oracle check` reads those of the other side.

use std::collections::BTreeMap;
use std::io::{BufRead, BufWriter, Write, stdin, stdout};

use anyhow::{Context, Result, bail, ensure};
use portico_oracle::case::Case;
use portico_oracle::{sign, trie};
use portico_smst::{Plain, Sum};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Tries of each kind, rings and ordinary signatures in a unit of work; `COUNT` says how many units.
const RINGS_PER_TRIE: usize = 3;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["make", seed, count] => make(seed.parse().context("SEED")?, count.parse().context("COUNT")?),
        ["check"] => check(),
        _ => bail!("oracle make SEED COUNT | oracle check"),
    }
}

fn make(seed: u64, count: usize) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut out = BufWriter::new(stdout().lock());
    let mut put = |case: Case| -> Result<()> {
        serde_json::to_writer(&mut out, &case)?;
        out.write_all(b"\n").context("the reader is gone")
    };
    put(Case::Seed { seed })?;
    for _ in 0..count {
        put(Case::Trie(trie::make::<Sum>(&mut rng)?))?;
        put(Case::Trie(trie::make::<Plain>(&mut rng)?))?;
        for _ in 0..RINGS_PER_TRIE {
            put(Case::Ring(sign::make_ring(&mut rng)?))?;
            put(Case::Ecdsa(sign::make_ecdsa(&mut rng)?))?;
        }
    }
    put(Case::End {})?;
    Ok(out.flush()?)
}

fn check() -> Result<()> {
    let mut counts = BTreeMap::new();
    let mut ended = false;
    let mut rng = StdRng::seed_from_u64(0);
    for (number, line) in (1..).zip(stdin().lock().lines()) {
        let line = line?;
        let case = serde_json::from_str(&line).with_context(|| format!("line {number}: {line}"))?;
        let (name, verdicts) = match &case {
            Case::Seed { seed } => {
                rng = StdRng::seed_from_u64(*seed);
                continue;
            }
            Case::End {} => {
                ended = true;
                continue;
            }
            Case::Trie(case) => ("trie roots and proofs", trie::check(case)),
            Case::Ring(case) => ("ring signatures", sign::check_ring(case, &mut rng)),
            Case::Ecdsa(case) => ("ordinary signatures", sign::check_ecdsa(case)),
        };
        *counts.entry(name).or_insert(0) +=
            verdicts.with_context(|| format!("we disagree on line {number}: {line}"))?;
    }
    let all: usize = counts.values().sum();
    ensure!(
        ended && all > 0,
        "the other side stopped after {all} cases of its own"
    );
    for (name, count) in counts {
        println!("{count:>6} {name} of Go's, checked by Rust");
    }
    println!("{all} passed, 0 failed");
    Ok(())
}
