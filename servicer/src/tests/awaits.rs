//! Where the way from a request to its settlement waits, and for what: every place is one at which `kills` ends the process.

use std::collections::BTreeSet;
use std::path::Path;

use super::kills::EFFECTS;

/// Folders with the modules on the way, from the request to the chain: every file in them that waits is on the list, or below.
const FOLDERS: [&str; 7] = [
    "backend",
    "fees",
    "front",
    "leaf_log",
    "lifecycle",
    "relay",
    "session",
];
/// Files in those folders that are beside the way: nothing that was acknowledged depends on how far they came.
const BESIDE: [&str; 5] = [
    "backend/checks.rs",
    "fees/watch.rs",
    "front/admin.rs",
    "leaf_log/watch.rs",
    "relay/simulation.rs",
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

/// The files of [`FOLDERS`], without tests.
fn files(source: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders: Vec<String> = FOLDERS.iter().map(ToString::to_string).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(source.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = format!("{folder}/{name}");
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                files.push(path);
            }
        }
    }
    files.sort();
    files
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
    let files = files(&source);
    for file in BESIDE {
        assert!(files.iter().any(|known| known == file), "{file} is gone");
    }
    let files: Vec<String> = files
        .into_iter()
        .filter(|file| !BESIDE.contains(&file.as_str()))
        .collect();
    for file in &files {
        let text = std::fs::read_to_string(source.join(file)).unwrap();
        let of_file = listed.iter().filter(|line| line[0] == file);
        let expected: Vec<&str> = of_file.map(|line| line[1]).collect();
        assert_eq!(
            awaits(&text),
            expected,
            "say in servicer/src/tests/awaits.txt what each `.await` of {file} waits for"
        );
    }
    for line in &listed {
        assert!(
            files.iter().any(|file| file == line[0]),
            "{line:?} is of no file of the way"
        );
    }
    // What only ends processes elsewhere is not behind an `.await`, but in what follows from it.
    for effect in [
        "log.append",
        "broadcast",
        "piece",
        "message",
        "backend.piece",
        "backend.call",
        "backend.message",
    ] {
        assert!(named.contains(effect), "nothing waits for {effect}");
    }
}
