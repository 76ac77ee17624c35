//! The recorded data of the Go implementations, for tests: where it lies, how its values are written, and whether tests ran all of it.
//!
//! A test that went through a section says so by [`counted`]; one test per crate, [`every_case_is_run`], runs the others once more and
//! compares what they said with what the files hold.

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
#[must_use]
pub fn read(name: &str) -> Vec<u8> {
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
#[must_use]
pub fn read_json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// To be called when all cases of a section were checked: prints each by name, and fails unless they are as many as the file has.
///
/// What follows the section's name in brackets says which of several checks it was.
pub fn counted(file: &str, section: &str, cases: usize) {
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
pub fn seen(file: &str, what: &str, cases: usize) {
    println!("{file}: {cases} {what}");
    assert!(cases > 0 || others().is_some(), "{file} has no {what}");
}

/// Bytes in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hex(
    /// The bytes.
    pub Vec<u8>,
);

impl Hex {
    /// As an array; the test fails when the length is another.
    #[must_use]
    pub fn array<const N: usize>(&self) -> [u8; N] {
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
pub struct Outcome {
    /// Whether the function gave a result.
    pub ok: bool,
    /// Its error.
    pub error: Option<String>,
    /// What it panicked with.
    pub panic: Option<String>,
}

impl Outcome {
    /// Fails the test unless `ours` came out the same way; an `Err` stands for both a Go error and a Go panic.
    #[track_caller]
    pub fn agrees<T: std::fmt::Debug, E: std::fmt::Debug>(&self, name: &str, ours: &Result<T, E>) {
        assert!(
            !self.ok || (self.error.is_none() && self.panic.is_none()),
            "{name}: contradictory outcome {self:?}"
        );
        assert_eq!(ours.is_ok(), self.ok, "{name}: ours {ours:?}, Go's {self:?}");
    }
}

/// A field of some cases only: tells `null` (`Some(None)`) from absent (`None`).
pub fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Hands out recorded draws; the test fails when more are asked for, or other lengths.
#[derive(Debug)]
pub struct Recorded<'a>(std::slice::Iter<'a, Hex>);

impl<'a> Recorded<'a> {
    /// Draws in the order in which they will be asked for.
    #[must_use]
    pub fn new(draws: &'a [Hex]) -> Self {
        Self(draws.iter())
    }

    /// Whether nothing is left to draw.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
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

/// Sections of a file (`"*"`: all of them) that are no cases of the asking crate, and whose they are.
pub type Elsewhere<'a> = (&'a str, &'a [&'a str], &'a str);

/// Runs the calling crate's tests of the data once more, in a process of their own, and reads what they counted: a test that was lost, or
/// that passes cases over, leaves a section short.
///
/// To be called by a test named `every_case_of_every_file_is_run`. Tests with `laws` or `four_thousand` in their names are not run again.
pub fn every_case_is_run(files: &[&str], elsewhere: &[Elsewhere<'_>]) {
    let counts = counts(&said_by_the_tests());
    // Past the test harness, which shows only what fails.
    let mut out = std::io::stdout().lock();
    for file in files {
        let line = summary(file, &counts, elsewhere);
        writeln!(out, "{line}").expect("written");
    }
}

/// What this test binary prints, but for the test that asks.
fn said_by_the_tests() -> String {
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
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(
        run.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&run.stderr)
    );
    said
}

/// Cases by file and section.
type Counts = BTreeMap<(String, String), usize>;

fn counts(said: &str) -> Counts {
    let mut counts = Counts::new();
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
    counts
}

/// How many cases of a file were run, and where; panics when a section of it was not.
fn summary(file: &str, counts: &Counts, elsewhere_known: &[Elsewhere<'_>]) -> String {
    let json: Value = read_json(file);
    let (mut here, mut elsewhere) = (0, BTreeMap::<&str, usize>::new());
    for (section, cases) in json.as_object().expect("an object") {
        let cases = cases.as_array().map_or(1, Vec::len);
        let other = elsewhere_known.iter().find(|(name, sections, _)| {
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
