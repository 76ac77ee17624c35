//! The data of the Go implementation, for tests: where it lies and how its values are written.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, de};
use serde_json::Value;

const TRACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/go-poktroll-0.1.35");

/// The folder that `PORTICO_VECTORS` names: the same schemas, other and differently many cases.
fn others() -> Option<PathBuf> {
    std::env::var_os("PORTICO_VECTORS").map(PathBuf::from)
}

/// A file of the folder that `PORTICO_VECTORS` names, else of the tracked copy; captured messages that the folder lacks are the tracked
/// ones.
pub(crate) fn read(name: &str) -> Vec<u8> {
    let tracked = PathBuf::from(TRACKED);
    let folder = others().unwrap_or_else(|| tracked.clone());
    let path = if name.starts_with("wire/") && !folder.join(name).exists() {
        tracked.join(name)
    } else {
        folder.join(name)
    };
    std::fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A JSON file; its types refuse a section or field that they do not know, so that nothing is passed over.
pub(crate) fn read_json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// To be called when all cases of a section were checked: prints each by name, and fails unless they are as many as the file has.
///
/// What follows the section's name in brackets says which of several checks it was.
pub(crate) fn counted(file: &str, section: &str, cases: usize) {
    let name = section.split(" (").next().unwrap_or(section);
    if file.ends_with(".json") {
        let json: Value = read_json(file);
        let of_file = json[name]
            .as_array()
            .unwrap_or_else(|| panic!("{file} has no section {name}"));
        for (index, case) in of_file.iter().enumerate() {
            println!(
                "{file} {section} {index} {} ... ok",
                case["name"].as_str().unwrap_or_default()
            );
        }
        assert_eq!(
            cases,
            of_file.len(),
            "{file} {section}: cases checked, cases in the file"
        );
    }
    println!("{file} {section}: {cases} cases");
}

/// As [`counted`], for some cases of a section: those with a trace, those that show a rule at work. Our own data has such.
pub(crate) fn seen(file: &str, what: &str, cases: usize) {
    println!("{file}: {cases} {what}");
    assert!(cases > 0 || others().is_some(), "{file} has no {what}");
}

/// Bytes in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl Hex {
    /// As an array; the test fails when the length is another.
    pub(crate) fn array<const N: usize>(&self) -> [u8; N] {
        self.0.clone().try_into().expect("a value of this length")
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text).map(Hex).map_err(de::Error::custom)
    }
}

/// What a Go function said: `panic` marks input for which it defines no result, where ours must return an error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outcome {
    pub(crate) ok: bool,
    pub(crate) error: Option<String>,
    pub(crate) panic: Option<String>,
}

impl Outcome {
    /// Fails the test unless `ours` came out the same way; an `Err` stands for both a Go error and a Go panic.
    #[track_caller]
    pub(crate) fn agrees<T: std::fmt::Debug, E: std::fmt::Debug>(&self, name: &str, ours: &Result<T, E>) {
        assert!(
            !self.ok || (self.error.is_none() && self.panic.is_none()),
            "{name}: contradictory outcome {self:?}"
        );
        assert_eq!(ours.is_ok(), self.ok, "{name}: ours {ours:?}, Go's {self:?}");
    }
}

/// A field of some cases only: tells `null` (`Some(None)`) from absent (`None`).
pub(crate) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Hands out recorded draws; the test fails when more are asked for, or other lengths.
pub(crate) struct Recorded<'a>(std::slice::Iter<'a, Hex>);

impl<'a> Recorded<'a> {
    pub(crate) fn new(draws: &'a [Hex]) -> Self {
        Self(draws.iter())
    }

    /// Whether nothing is left to draw.
    pub(crate) fn is_used_up(&self) -> bool {
        self.0.as_slice().is_empty()
    }
}

impl rand_core::TryRng for Recorded<'_> {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        panic!("32 bytes are drawn at a time")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        panic!("32 bytes are drawn at a time")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.copy_from_slice(&self.0.next().expect("a recorded draw").0);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Recorded<'_> {}

/// Sections that need state, or give names to the cases of others.
const NOT_CASES_HERE: &[(&str, &[&str], &str)] = &[
    (
        "proof.json",
        &[
            "full_session",
            "message_server",
            "proof_requirement",
            "validation",
        ],
        "portico-chain",
    ),
    ("session.json", &["hydration_conditions"], "portico-chain"),
    (
        "session.json",
        &["candidates", "shared_params"],
        "inputs of the others",
    ),
    (
        "tokenomics.json",
        &[
            "difficulty_sequences",
            "settlement",
            "token_logic",
            "validator_distribution",
        ],
        "portico-chain",
    ),
    (
        "tokenomics.json",
        &["settlement_actors", "token_logic_params"],
        "inputs of the others",
    ),
    ("smst.json", &["*"], "portico-smst"),
    ("smt.json", &["*"], "portico-smst"),
];

/// Runs this crate's tests of the data once more, in a process of their own, and reads what they counted: a test that was lost, or that
/// passes cases over, leaves a section short.
#[test]
fn every_case_of_every_file_is_run() {
    let me = std::env::current_exe().expect("a test binary");
    let run = Command::new(me)
        .args([
            "--nocapture",
            "--skip",
            "every_case_of_every_file",
            "--skip",
            "laws",
            "--skip",
            "four_thousand",
        ])
        .output()
        .expect("the tests start");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    // Lines of tests that run side by side may follow each other's without a break.
    for line in said.lines() {
        let Some((what, count)) = line
            .strip_suffix(" cases")
            .and_then(|line| line.rsplit_once(": "))
        else {
            continue;
        };
        let what = what.rsplit_once(" ... ").map_or(what, |(_, what)| what);
        let (file, section) = what.split_once(' ').expect("file and section");
        let section = section.split(" (").next().unwrap_or(section);
        let count = count.parse().expect("a number");
        let known = counts.insert((file.to_owned(), section.to_owned()), count);
        assert!(known.is_none_or(|known| known == count), "{line}");
    }
    // Past the test harness, which shows only what fails.
    let mut out = std::io::stdout().lock();
    for file in [
        "proof.json",
        "relay.json",
        "ring.json",
        "session.json",
        "smst.json",
        "smt.json",
        "tokenomics.json",
        "tx.json",
    ] {
        let line = summary(file, &counts);
        writeln!(out, "{line}").expect("written");
    }
}

/// How many cases of a file were run, and where; panics when a section of it was not.
fn summary(file: &str, counts: &BTreeMap<(String, String), usize>) -> String {
    let json: Value = read_json(file);
    let (mut here, mut elsewhere) = (0, BTreeMap::<&str, usize>::new());
    for (section, cases) in json.as_object().expect("an object") {
        let cases = cases.as_array().map_or(1, Vec::len);
        let other = NOT_CASES_HERE.iter().find(|(name, sections, _)| {
            *name == file && (sections.contains(&"*") || sections.contains(&section.as_str()))
        });
        let run = counts.get(&(file.to_owned(), section.clone()));
        match (run, other) {
            _ if section == "meta" => {}
            (Some(run), _) => {
                assert_eq!(*run, cases, "{file} {section}");
                here += run;
            }
            (None, Some((_, _, place))) => *elsewhere.entry(place).or_default() += cases,
            (None, None) => panic!("{file} {section}: no test ran its {cases} cases"),
        }
    }
    let elsewhere = elsewhere
        .iter()
        .map(|(place, cases)| format!(", {cases} {place}"));
    format!(
        "{file:<16} {here:>4} cases run here{}",
        elsewhere.collect::<String>()
    )
}
