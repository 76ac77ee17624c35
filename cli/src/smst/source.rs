//! Where the leaves of a trie come from: a servicer that runs, the data folder of one that does not, or a file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use portico_protocol::Address;
use portico_servicer::LedgerRow;
use portico_servicer::leaf_log::{LeafLogError, LeafReader};
use portico_smst::{Leaf, PlainTrie, Sum, SumTrie};
use serde::Deserialize;

/// Longest file of leaves that is read, in bytes.
const MAX_FILE_LEN: u64 = 1 << 30;

/// Which trie is meant.
#[derive(Args)]
pub(super) struct SourceArgs {
    /// Session id, or its first characters; the newest session with leaves by default
    #[arg(conflicts_with = "leaves")]
    session: Option<String>,
    /// A running servicer to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    servicer: String,
    /// Read the data folder of a servicer that is not running instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "leaves")]
    data_dir: Option<PathBuf>,
    /// Read a JSON list of leaves instead: [{"key": HEX, "value": HEX, "weight": 20}, …]; a leaf may have "path" in
    /// place of "key", and what a servicer's /leaves answers is such a list too
    #[arg(long, value_name = "FILE")]
    leaves: Option<PathBuf>,
    /// The file's leaves have no weights: build the plain trie
    #[arg(long, requires = "leaves")]
    plain: bool,
}

/// The leaves of a trie, and whose they are.
pub(super) struct Found {
    pub(super) trie: Trie,
    /// Session id, when the leaves are those of a session.
    pub(super) session: Option<String>,
    /// What else is known: names and values.
    pub(super) facts: Vec<(String, String)>,
}

/// A trie of either kind.
pub(super) enum Trie {
    Sum(SumTrie),
    Plain(PlainTrie),
}

impl SourceArgs {
    pub(super) async fn find(&self) -> Result<Found> {
        if let Some(file) = &self.leaves {
            return from_file(file, self.plain);
        }
        let wanted = self.session.as_deref().unwrap_or_default();
        match &self.data_dir {
            Some(folder) => from_folder(folder, wanted),
            None => from_servicer(&self.servicer, wanted).await,
        }
    }
}

impl Found {
    /// The trie of a session, whose leaves have a key, a relay and a weight.
    pub(super) fn of_session<'a>(
        session: String,
        supplier: Address,
        leaves: impl IntoIterator<Item = (&'a [u8; 32], &'a [u8], u64)>,
    ) -> Self {
        let leaves = leaves.into_iter();
        let trie = leaves
            .map(|(key, relay, weight)| Leaf::<Sum>::new(portico_smst::Path::of_key(key), relay, weight));
        Self {
            trie: Trie::Sum(trie.collect()),
            facts: vec![
                ("session".to_owned(), session.clone()),
                ("supplier".to_owned(), supplier.to_string()),
            ],
            session: Some(session),
        }
    }
}

/// A leaf in a file, or as the servicer's `/leaves` shows it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLeaf {
    /// Position in the servicer's log; of no interest.
    #[serde(default, rename = "seq")]
    _seq: Option<u64>,
    key: Option<String>,
    path: Option<String>,
    #[serde(alias = "relay")]
    value: String,
    weight: Option<Weight>,
}

/// A number, or one in a string since JSON readers lose digits of large ones.
#[derive(Deserialize)]
#[serde(untagged)]
enum Weight {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FileLeaves {
    List(Vec<FileLeaf>),
    Object { leaves: Vec<FileLeaf> },
}

impl FileLeaf {
    fn path(&self) -> Result<portico_smst::Path> {
        match (&self.key, &self.path) {
            (Some(key), None) => Ok(portico_smst::Path::of_key(&bytes("key", key)?)),
            (None, Some(path)) => path_of(path),
            _ => bail!("it needs either a \"key\" or a \"path\""),
        }
    }

    fn weight(&self) -> Result<u64> {
        match &self.weight {
            Some(Weight::Number(weight)) => Ok(*weight),
            Some(Weight::Text(weight)) => {
                let read = weight.parse();
                read.with_context(|| format!("its weight is no number below 2^64: {weight:?}"))
            }
            None => bail!("it has no \"weight\"; give --plain for a trie without weights"),
        }
    }
}

/// The 32 bytes of a path in hex.
pub(super) fn path_of(hex: &str) -> Result<portico_smst::Path> {
    let bytes = bytes("path", hex)?;
    let path: [u8; 32] = bytes.try_into().map_err(|bytes: Vec<u8>| {
        anyhow::anyhow!("a path has 32 bytes (64 hex digits), not {}", bytes.len())
    })?;
    Ok(portico_smst::Path::new(path))
}

/// Bytes in hex; `name` says what they should be.
pub(super) fn bytes(name: &str, hex: &str) -> Result<Vec<u8>> {
    hex::decode(hex.strip_prefix("0x").unwrap_or(hex)).with_context(|| format!("{name} is not hex: {hex:?}"))
}

fn from_file(file: &Path, plain: bool) -> Result<Found> {
    let name = || format!("cannot read leaves from {}", file.display());
    let len = std::fs::metadata(file).with_context(name)?.len();
    ensure!(len <= MAX_FILE_LEN, "{}: more than {MAX_FILE_LEN} bytes", name());
    let text = std::fs::read(file).with_context(name)?;
    let leaves = match serde_json::from_slice(&text) {
        Ok(FileLeaves::List(leaves) | FileLeaves::Object { leaves }) => leaves,
        Err(_) => {
            // Again without the choice, for an error that names line and column.
            let list = serde_json::from_slice::<Vec<FileLeaf>>(&text);
            list.with_context(name).context("it is no JSON list of leaves")?
        }
    };
    let mut trie = match plain {
        true => Trie::Plain(PlainTrie::new()),
        false => Trie::Sum(SumTrie::new()),
    };
    for (index, leaf) in leaves.iter().enumerate() {
        let place = || format!("{}: leaf {index} of the list", file.display());
        let new = add(&mut trie, leaf).with_context(place)?;
        ensure!(new, "{}: another leaf of the list has the same path", place());
    }
    Ok(Found {
        trie,
        session: None,
        facts: vec![("file".to_owned(), file.display().to_string())],
    })
}

/// Adds a leaf; whether there was none at its path.
fn add(trie: &mut Trie, leaf: &FileLeaf) -> Result<bool> {
    let (path, value) = (leaf.path()?, bytes("value", &leaf.value)?);
    Ok(match trie {
        Trie::Sum(trie) => trie.insert(path, value, leaf.weight()?),
        Trie::Plain(trie) => trie.insert(path, value),
    })
}

fn from_folder(folder: &Path, wanted: &str) -> Result<Found> {
    let log = LeafReader::open(folder).map_err(|error| match error {
        LeafLogError::InUse => anyhow::anyhow!(
            "a servicer is running on {}; ask it with --servicer",
            folder.display()
        ),
        error => anyhow::Error::new(error).context(format!("no leaf log in {}", folder.display())),
    })?;
    let sessions = log.sessions()?;
    let candidates = sessions.iter().filter(|session| session.leaves > 0);
    let (session, supplier) = pick(
        wanted,
        candidates.map(|found| (found.session_id.as_str(), found.supplier)),
    )?;
    let leaves = log.leaves(&session, &supplier)?;
    let leaves = leaves
        .iter()
        .map(|leaf| (&leaf.key, leaf.relay.as_slice(), leaf.weight));
    Ok(Found::of_session(session, supplier, leaves))
}

#[derive(Deserialize)]
struct Ledger {
    sessions: Vec<LedgerRow>,
}

async fn from_servicer(url: &str, wanted: &str) -> Result<Found> {
    let url = url.trim_end_matches('/');
    let ledger: Ledger = ask(&format!("{url}/ledger")).await?;
    let candidates = ledger.sessions.iter().filter(|row| row.committed > 0);
    let (session, supplier) = pick(
        wanted,
        candidates.map(|row| (row.session_id.as_str(), row.supplier)),
    )?;
    let leaves: Vec<FileLeaf> = ask(&format!("{url}/leaves?session={session}&supplier={supplier}")).await?;
    let mut found = Found::of_session(session, supplier, []);
    for (index, leaf) in leaves.iter().enumerate() {
        add(&mut found.trie, leaf).with_context(|| format!("{url}: leaf {index} of the session"))?;
    }
    Ok(found)
}

async fn ask<T: serde::de::DeserializeOwned>(url: &str) -> Result<T> {
    let silent = || {
        format!(
            "no servicer answers at {url}; name a running one with --servicer, the folder of a stopped one with --data-dir, \
             or a file with --leaves"
        )
    };
    let response = crate::http::client()?
        .get(url)
        .send()
        .await
        .with_context(silent)?;
    let response = response.error_for_status().context("the servicer refuses")?;
    response
        .json()
        .await
        .with_context(|| format!("{url} does not answer as a servicer does"))
}

/// The newest session whose id begins with `wanted`; `sessions` come oldest first.
fn pick<'a>(wanted: &str, sessions: impl Iterator<Item = (&'a str, Address)>) -> Result<(String, Address)> {
    let found: Vec<_> = sessions
        .filter(|(session, _)| session.starts_with(wanted))
        .collect();
    let Some((session, supplier)) = found.last() else {
        match wanted {
            "" => bail!("no session has leaves yet; send a relay first (portico relay status)"),
            _ => bail!("no session with leaves begins with {wanted:?}"),
        }
    };
    let others = found.iter().any(|(other, _)| other != session);
    ensure!(
        wanted.is_empty() || !others,
        "several sessions begin with {wanted:?}: give more of the id"
    );
    Ok(((*session).to_owned(), *supplier))
}

#[cfg(test)]
mod tests {
    use portico_protocol::Address;

    use super::pick;

    const SUPPLIER: Address = Address::new([7; 20]);

    #[test]
    fn the_newest_session_is_shown_when_none_is_named() {
        let sessions = [("aa11", SUPPLIER), ("aa22", SUPPLIER)];
        assert_eq!(pick("", sessions.into_iter()).unwrap().0, "aa22");
    }

    #[test]
    fn a_session_is_named_by_its_first_characters() {
        let sessions = [("aa11", SUPPLIER), ("aa22", SUPPLIER)];
        assert_eq!(pick("aa1", sessions.into_iter()).unwrap().0, "aa11");
        assert!(
            pick("aa", sessions.into_iter())
                .unwrap_err()
                .to_string()
                .contains("several")
        );
        assert!(pick("bb", sessions.into_iter()).is_err());
    }
}
