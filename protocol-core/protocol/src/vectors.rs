//! The data of the Go implementation, for tests: where it lies and how its values are written.

use std::path::PathBuf;

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, de};

/// A file of the folder that `PORTICO_VECTORS` names, else of the tracked copy.
pub(crate) fn read(name: &str) -> Vec<u8> {
    let tracked = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/go-poktroll-0.1.35");
    let folder = std::env::var_os("PORTICO_VECTORS").map_or_else(|| PathBuf::from(tracked), PathBuf::from);
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A JSON file; its types refuse a section or field that they do not know, so that nothing is passed over.
pub(crate) fn read_json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Prints how many cases of a section were checked; a section without any fails.
pub(crate) fn counted(file: &str, section: &str, cases: usize) {
    assert!(cases > 0, "{file} {section} is empty");
    println!("{file} {section}: {cases} cases");
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
