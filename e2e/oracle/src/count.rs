//! Counted instructions: what the hot paths cost, on any machine, to compare with what they cost before.
//!
//! Callgrind counts what this program executes for a few and for more repetitions; the difference is the repetitions' alone. It knows
//! neither AVX-512 nor SHA extensions, and says so to who asks the processor, so that everybody counts the portable paths.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path as File;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use portico_protocol::SigningKey;
use portico_protocol::ring::{Ring, RingSignature, force_scalar};
use portico_smst::{LeafSet, Path};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::sign::warm;

/// A count may differ by one part in so many of the accepted one.
const TOLERANCE: u64 = 20;
/// Repetitions that are counted.
const TIMES: u64 = 10;
const LEAVES: u64 = 10_000;

/// What is counted, by name.
type Work = fn(u64) -> Result<()>;
const WORK: &[(&str, Work)] = &[
    ("ring_verify_n2", verify),
    ("ring_prepare_n2", prepare),
    ("ring_prepare_and_sign_n2", prepare_and_sign),
    ("smst_root_10k", root),
];

/// Does the work `name` so many times; for a counter to watch.
pub fn work(name: &str, times: u64) -> Result<()> {
    let (_, work) = WORK
        .iter()
        .find(|(known, _)| *known == name)
        .with_context(|| format!("no work {name}"))?;
    work(times)
}

fn ring_of_two() -> Result<(Ring, Vec<SigningKey>, StdRng)> {
    force_scalar(true);
    let mut rng = StdRng::seed_from_u64(1);
    let keys = vec![SigningKey::generate(&mut rng), SigningKey::generate(&mut rng)];
    let ring = Ring::new(keys.iter().map(SigningKey::public_key))?;
    warm(&ring, &keys, &mut rng)?;
    Ok((ring, keys, rng))
}

/// Of bytes to a verdict, tables built.
fn verify(times: u64) -> Result<()> {
    let (ring, keys, mut rng) = ring_of_two()?;
    let signature = ring.sign(keys[0].ring_signer()?, &[7; 32], &mut rng)?;
    for _ in 0..times {
        RingSignature::parse(black_box(&signature))?.verify(&[7; 32])?;
    }
    Ok(())
}

fn prepare(times: u64) -> Result<()> {
    let (ring, keys, mut rng) = ring_of_two()?;
    for _ in 0..times {
        black_box(ring.prepare(keys[0].ring_signer()?, &mut rng)?);
    }
    Ok(())
}

fn prepare_and_sign(times: u64) -> Result<()> {
    let (ring, keys, mut rng) = ring_of_two()?;
    for _ in 0..times {
        black_box(ring.prepare(keys[0].ring_signer()?, &mut rng)?.sign(&[7; 32])?);
    }
    Ok(())
}

/// Root of a set of which nothing is known but the leaves; the copy is counted too.
fn root(times: u64) -> Result<()> {
    let mut set = LeafSet::new(7);
    for seq in 0..LEAVES {
        let path = Path::of_key(&seq.to_be_bytes());
        ensure!(
            set.insert(path, LeafSet::hash_leaf(&path, b"value", 7), seq),
            "twice the same leaf"
        );
    }
    for _ in 0..times {
        black_box(set.clone().root());
    }
    Ok(())
}

/// Counts all work and compares with `accepted`, or writes it there.
pub fn run(accepted: &File, accept: bool) -> Result<()> {
    let mut counts = BTreeMap::new();
    for (name, _) in WORK {
        let (few, more) = (count(name, 1)?, count(name, 1 + TIMES)?);
        let spent = more
            .checked_sub(few)
            .context("more work took fewer instructions")?;
        counts.insert((*name).to_owned(), spent / TIMES);
    }
    if accept {
        std::fs::write(accepted, written(&counts))?;
    }
    let known = std::fs::read_to_string(accepted).with_context(|| accepted.display().to_string())?;
    compare(&counts, &read(&known)?)
}

/// Instructions of this program at the work, as callgrind counts them.
fn count(name: &str, times: u64) -> Result<u64> {
    let this = std::env::current_exe()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args(["work", name, &times.to_string()])
        .output()
        .context("valgrind cannot be started: is it installed?")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {said}");
    let counted = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .map(|(_, count)| count.trim());
    counted
        .and_then(|count| count.parse().ok())
        .with_context(|| format!("{name}: no count in {said}"))
}

fn written(counts: &BTreeMap<String, u64>) -> String {
    let mut text = String::from(
        "# Instructions per repetition, counted by callgrind in a release build; portable paths. `just count --accept` writes this file.\n",
    );
    for (name, count) in counts {
        text += &format!("{name} = {count}\n");
    }
    text
}

fn read(text: &str) -> Result<BTreeMap<String, u64>> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, count) = line
                .split_once('=')
                .with_context(|| format!("not NAME = COUNT: {line}"))?;
            Ok((name.trim().to_owned(), count.trim().parse()?))
        })
        .collect()
}

/// A line per work; errs when one differs by more than [`TOLERANCE`], or is not known.
fn compare(counts: &BTreeMap<String, u64>, known: &BTreeMap<String, u64>) -> Result<()> {
    println!(
        "{:<28} {:>12} {:>12} {:>8}",
        "instructions", "counted", "accepted", ""
    );
    let mut astray = Vec::new();
    for (name, count) in counts {
        let Some(accepted) = known.get(name) else {
            astray.push(name.as_str());
            println!("{name:<28} {count:>12} {:>12}", "–");
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let change = *count as f64 / *accepted as f64 - 1.0;
        if count.abs_diff(*accepted) > accepted / TOLERANCE {
            astray.push(name);
        }
        println!("{name:<28} {count:>12} {accepted:>12} {:>+7.1}%", change * 100.0);
    }
    if astray.is_empty() {
        return Ok(());
    }
    bail!(
        "{} changed by more than {} %: find out why; if it is meant (also an improvement), `just count --accept` and commit the file",
        astray.join(", "),
        100 / TOLERANCE
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(count: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([("root".to_owned(), count)])
    }

    #[test]
    fn a_count_may_stray_by_five_percent_either_way() {
        let accepted = counts(1000);
        for fine in [950, 1000, 1050] {
            assert!(compare(&counts(fine), &accepted).is_ok(), "{fine}");
        }
        for astray in [949, 1051] {
            assert!(compare(&counts(astray), &accepted).is_err(), "{astray}");
        }
        assert!(
            compare(&counts(1), &BTreeMap::new()).is_err(),
            "work that nobody accepted"
        );
    }

    #[test]
    fn the_file_reads_back_as_written() {
        assert_eq!(read(&written(&counts(42))).unwrap(), counts(42));
    }
}
