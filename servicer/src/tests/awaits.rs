//! Where the way from a request to its settlement waits, and for what: every place is one at which `kills` ends the process.

use std::collections::BTreeSet;
use std::path::Path;

use super::kills::EFFECTS;

/// The modules on the way, from the request to the chain.
const FILES: [&str; 13] = [
    "front/relay.rs",
    "relay/serve.rs",
    "relay/verify.rs",
    "session/lookup.rs",
    "backend/mod.rs",
    "backend/http.rs",
    "relay/recorder.rs",
    "relay/writer.rs",
    "lifecycle/driver.rs",
    "lifecycle/steps.rs",
    "lifecycle/submit.rs",
    "lifecycle/remembered.rs",
    "fees/book.rs",
];
/// What is no effect; see the list's head.
const OTHERS: [&str; 3] = ["inner", "memory", "aside"];

/// The `.await`s and joins of a file, each as its line, with the line before when it begins with `.await`.
fn awaits(source: &str) -> Vec<String> {
    let lines: Vec<&str> = source
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .map(str::trim)
        .collect();
    let waits = |line: &str| (line.contains(".await") || line.contains("join!(")) && !line.starts_with("//");
    let indices = (0..lines.len()).filter(|index| waits(lines[*index]));
    let whole = |index: usize| match lines[index].starts_with(".await") {
        true => format!("{} {}", lines[index - 1], lines[index]),
        false => lines[index].to_owned(),
    };
    indices.map(whole).collect()
}

#[test]
fn every_await_from_request_to_settlement_has_its_effect() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let listed: Vec<Vec<&str>> = include_str!("awaits.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(" | ").collect())
        .collect();
    let mut named = BTreeSet::new();
    for line in &listed {
        let [_, _, effects] = line[..] else {
            panic!("{line:?} has not three parts");
        };
        for effect in effects.split(", ") {
            let known = EFFECTS.contains(&effect) || OTHERS.contains(&effect);
            assert!(known, "{effect:?} of {line:?} is no effect");
            named.insert(effect);
        }
    }
    for file in FILES {
        let text = std::fs::read_to_string(source.join(file)).unwrap();
        let of_file = listed.iter().filter(|line| line[0] == file);
        let expected: Vec<&str> = of_file.map(|line| line[1]).collect();
        assert_eq!(
            awaits(&text),
            expected,
            "say in servicer/src/tests/awaits.txt what each `.await` of {file} waits for"
        );
    }
    let looked_at: usize = FILES
        .map(|file| listed.iter().filter(|line| line[0] == file).count())
        .iter()
        .sum();
    assert_eq!(looked_at, listed.len(), "a file of the list is none of the way's");
    assert!(named.contains("log.append") && named.contains("broadcast"));
}
