//! Tables of what things cost: ours against the budget, ours against Go's.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::estimates::{Medians, human};

/// What a row of the budget is called, which benchmark measures it, and its budget in nanoseconds.
const BUDGET: &[(&str, &str, f64)] = &[
    ("ring verify, warm, any x86-64", "ring/verify/n2/scalar", 45e3),
    ("ring verify, warm, AVX-512 IFMA", "ring/verify/n2/ifma", 15e3),
    ("ring verify, first sight", "ring/verify_first/n2", 230e3),
    (
        "ring sign, message to signature, any x86-64",
        "ring/sign_online/n2/scalar",
        15e3,
    ),
    (
        "ring sign, message to signature, IFMA",
        "ring/sign_online/n2/ifma",
        8e3,
    ),
    (
        "ring sign, prepared part, any x86-64",
        "ring/prepare/n2/scalar",
        30e3,
    ),
    ("ring sign, prepared part, IFMA", "ring/prepare/n2/ifma", 30e3),
    ("own ring, message to signature", "ring/sign_own/n2/scalar", 15e3),
    ("own ring, prepared part", "ring/prepare_own/n2/scalar", 30e3),
    ("ECDSA sign", "ecdsa/sign", 25e3),
    ("ECDSA verify", "ecdsa/verify", 25e3),
    ("SMST insert, 1 M leaves", "smst/insert/1m", 0.3e3),
    ("SMST root, 1 M leaves", "smst/root/1m", 1e9),
    ("SMST closest proof, 1 M leaves", "smst/closest/1m", 20e3),
];

/// Our figure, the budget, the ratio: a line a row, then what else was measured. Errs when a row is over its budget.
///
/// Rows without a measurement (no AVX-512 IFMA here) are shown as such and are not over.
pub fn against_budget(medians: &Medians) -> Result<()> {
    println!("{:<46} {:>10} {:>10} {:>7}", "", "measured", "budget", "ratio");
    let mut over = 0;
    for (row, id, budget) in BUDGET {
        let Some(median) = medians.get(*id) else {
            println!("{row:<46} {:>10} {:>10}", "–", human(*budget));
            continue;
        };
        let verdict = if median <= budget { "ok" } else { "OVER" };
        over += usize::from(median > budget);
        println!(
            "{row:<46} {:>10} {:>10} {:>7.2} {verdict}",
            human(*median),
            human(*budget),
            median / budget
        );
    }
    println!("\nwithout a budget");
    for (id, median) in medians
        .iter()
        .filter(|(id, _)| BUDGET.iter().all(|row| row.1 != id.as_str()))
    {
        println!("{id:<46} {:>10}", human(*median));
    }
    ensure!(over == 0, "{over} rows over budget");
    Ok(())
}

/// Pairs of a Go benchmark and ours; ours may be a sum.
const PAIRS: &[(&str, &[&str])] = &[
    ("EcdsaSign", &["ecdsa/sign"]),
    ("EcdsaVerify", &["ecdsa/verify"]),
    ("RingVerify/n2", &["ring/verify/n2/scalar"]),
    ("RingVerify/n2", &["ring/verify/n2/ifma"]),
    ("RingVerify/n2", &["ring/verify_first/n2"]),
    ("RingVerify/n3", &["ring/verify/n3/scalar"]),
    ("RingVerify/n3", &["ring/verify/n3/ifma"]),
    ("RingVerify/n8", &["ring/verify/n8/scalar"]),
    ("RingVerify/n8", &["ring/verify/n8/ifma"]),
    (
        "RingSign/n2",
        &["ring/prepare/n2/scalar", "ring/sign_online/n2/scalar"],
    ),
    (
        "RingSign/n2",
        &["ring/prepare/n2/ifma", "ring/sign_online/n2/ifma"],
    ),
    ("RingSign/n2", &["ring/sign_online/n2/scalar"]),
    ("RingSign/n2", &["ring/sign_online/n2/ifma"]),
    ("RingSignPrepared/n2", &["ring/sign_online/n2/scalar"]),
    ("RingSignPrepared/n2", &["ring/sign_online/n2/ifma"]),
    ("RingSign/n3", &["ring/sign_online/n3/scalar"]),
    ("RingSign/n3", &["ring/sign_online/n3/ifma"]),
    ("RingSign/n8", &["ring/sign_online/n8/scalar"]),
    ("RingSign/n8", &["ring/sign_online/n8/ifma"]),
    ("TrieInsert/1k", &["smst/insert/1k", "smst/hash_leaf/1kib"]),
    ("TrieInsert/100k", &["smst/insert/100k", "smst/hash_leaf/1kib"]),
    ("TrieInsert/1m", &["smst/insert/1m", "smst/hash_leaf/1kib"]),
    ("TrieRoot/1k", &["smst/root/1k"]),
    ("TrieRoot/100k", &["smst/root/100k"]),
    ("TrieRoot/1m", &["smst/root/1m"]),
    ("TrieClosest/1k", &["smst/closest/1k"]),
    ("TrieClosest/100k", &["smst/closest/100k"]),
    ("TrieClosest/1m", &["smst/closest/1m"]),
];

/// Ours, Go's, and how many times faster ours is, in CPU time (our tries' in wall time, which is never less). `output` is what
/// `go test -bench` printed.
pub fn against_go(medians: &Medians, output: &str) -> Result<()> {
    let theirs = go_medians(output);
    ensure!(!theirs.is_empty(), "no benchmark of Go's was read");
    println!(
        "{:<22} {:<50} {:>10} {:>10} {:>8}",
        "Go", "ours", "ours", "Go's", "times"
    );
    for (theirs_id, ours_ids) in PAIRS {
        let ours: Option<f64> = ours_ids.iter().map(|id| medians.get(*id)).sum();
        let (Some(ours), Some(theirs)) = (ours, theirs.get(*theirs_id)) else {
            continue;
        };
        let ids = ours_ids.join(" + ");
        println!(
            "{theirs_id:<22} {ids:<50} {:>10} {:>10} {:>8.1}",
            human(ours),
            human(*theirs),
            theirs / ours
        );
    }
    Ok(())
}

/// Median nanoseconds of each benchmark over its runs: lines `BenchmarkNAME-CORES  ITERATIONS  W ns/op  X cpu-ns/op`.
fn go_medians(output: &str) -> BTreeMap<String, f64> {
    let mut runs: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in output.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let figure = fields
            .windows(2)
            .find(|pair| pair[1] == "cpu-ns/op")
            .map(|pair| pair[0]);
        let (Some(name), Some(figure)) = (fields.first(), figure) else {
            continue;
        };
        let name = name.trim_start_matches("Benchmark");
        let name = name.rsplit_once('-').map_or(name, |(name, _)| name);
        runs.entry(name.to_owned())
            .or_default()
            .extend(figure.parse::<f64>());
    }
    let median = |mut runs: Vec<f64>| {
        runs.sort_by(f64::total_cmp);
        runs[runs.len() / 2]
    };
    runs.into_iter()
        .filter(|(_, runs)| !runs.is_empty())
        .map(|(name, runs)| (name, median(runs)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_a_go_benchmarks_runs_is_read_without_its_cores() {
        let run = |figure: u32| format!("BenchmarkRingSign/n2-2 \t 900\t 99 ns/op\t {figure} cpu-ns/op\n");
        let output = format!("goos: linux\n{}{}{}PASS\n", run(1_300_000), run(5), run(7));
        assert_eq!(
            go_medians(&output),
            BTreeMap::from([("RingSign/n2".to_owned(), 7.0)])
        );
    }

    #[test]
    fn a_row_over_its_budget_is_an_error_and_one_that_was_not_measured_is_not() {
        let at = |nanoseconds: f64| Medians::from([("ecdsa/sign".to_owned(), nanoseconds)]);
        assert!(against_budget(&at(25e3)).is_ok());
        assert!(against_budget(&at(25.1e3)).is_err());
    }
}
