//! What criterion measured, read from its folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// Medians in nanoseconds, by a benchmark's full name.
pub type Medians = BTreeMap<String, f64>;

/// Reads the latest run of each benchmark below `folder` (a target folder's `criterion`).
pub fn read(folder: &Path) -> Result<Medians> {
    let mut medians = Medians::new();
    collect(folder, &mut medians)
        .with_context(|| format!("{}: run the benchmarks first", folder.display()))?;
    Ok(medians)
}

fn collect(folder: &Path, medians: &mut Medians) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if path.ends_with("new") {
            let benchmark: Benchmark = serde_json::from_slice(&fs::read(path.join("benchmark.json"))?)?;
            let estimates: Estimates = serde_json::from_slice(&fs::read(path.join("estimates.json"))?)?;
            medians.insert(benchmark.full_id, estimates.median.point_estimate);
        } else {
            collect(&path, medians)?;
        }
    }
    Ok(())
}

/// Nanoseconds as people read them.
#[must_use]
pub fn human(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}
