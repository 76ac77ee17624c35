//! The page of faults names tests that exist.

use std::path::Path;

/// Faults of the page.
const FAULTS: std::ops::RangeInclusive<usize> = 1..=34;

/// Whether `source` has a test of this name that is not ignored.
fn has_test(source: &str, name: &str) -> bool {
    let Some(at) = source.find(&format!("fn {name}(")) else {
        return false;
    };
    // Above the name: what is left of its line, then attributes.
    let above = source[..at].lines().rev().map(str::trim);
    let attributes: Vec<&str> = above
        .skip_while(|line| matches!(*line, "" | "async"))
        .take_while(|line| line.starts_with("#["))
        .collect();
    let is_test = |line: &&str| line.ends_with("test]") || line.starts_with("#[tokio::test(");
    attributes.iter().any(is_test) && !attributes.iter().any(|line| line.starts_with("#[ignore"))
}

#[test]
fn every_fault_names_tests_that_run() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(repository.join("servicer/docs/faults.md")).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .map(|line| line.split('|').map(str::trim).collect())
        .filter(|cells: &Vec<&str>| cells.len() == 6 && cells[1].parse::<usize>().is_ok())
        .collect();
    let numbers: Vec<usize> = rows.iter().map(|cells| cells[1].parse().unwrap()).collect();
    assert_eq!(numbers, FAULTS.collect::<Vec<_>>(), "each fault has its row");
    for cells in rows {
        let tests = cells[4].split('`').skip(1).step_by(2);
        let mut count = 0;
        for test in tests {
            let (file, name) = test.split_once(": ").expect("a file and a name");
            let source = std::fs::read_to_string(repository.join(file));
            let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
            let exists = match file.ends_with(".feature") {
                true => source.contains(&format!("Scenario: {name}\n")),
                false => has_test(&source, name),
            };
            assert!(exists, "fault {}: {file} has no test {name} that runs", cells[1]);
            count += 1;
        }
        assert!(count > 0, "fault {} has no test", cells[1]);
    }
}
