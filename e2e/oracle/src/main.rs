//! Second opinions and measurements; `e2e/second-opinion`, `e2e/bench` and `e2e/count` say how.
//!
//! ```text
//! oracle make SEED COUNT | THE OTHER SIDE | oracle check
//! oracle budget CRITERION-FOLDER                   ours against the budget
//! go test -bench … | oracle versus-go CRITERION-FOLDER
//! oracle count FILE [--accept]                     instructions, against those in the file
//! oracle work NAME TIMES                           what `count` counts
//! ```

use std::collections::BTreeMap;
use std::io::{BufRead, BufWriter, Write, stdin, stdout};

use anyhow::{Context, Result, bail, ensure};
use portico_oracle::case::Case;
use portico_oracle::{bench, count, estimates, sign, trie};
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
        ["budget", folder] => bench::against_budget(&estimates::read(folder.as_ref())?),
        ["versus-go", folder] => bench::against_go(
            &estimates::read(folder.as_ref())?,
            &std::io::read_to_string(stdin())?,
        ),
        ["count", file] => count::run(file.as_ref(), false),
        ["count", file, "--accept"] => count::run(file.as_ref(), true),
        ["work", name, times] => count::work(name, times.parse().context("TIMES")?),
        _ => bail!(
            "oracle make SEED COUNT, check, budget FOLDER, versus-go FOLDER, count FILE [--accept], work NAME TIMES"
        ),
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
