//! `portico smst`: the trie of a session as text.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use portico_protocol::Address;
use portico_servicer::LedgerRow;
use portico_servicer::leaf_log::{Leaf, LeafLogError, LeafReader};
use portico_smst::{SumTrie, render};
use serde::Deserialize;

#[derive(Args)]
pub(crate) struct SmstArgs {
    #[command(subcommand)]
    command: SmstCommand,
}

#[derive(Subcommand)]
enum SmstCommand {
    /// Show the trie of a session: every relay is a leaf, the root is what is claimed
    Show(ShowArgs),
}

#[derive(Args)]
struct ShowArgs {
    /// Session id, or its first characters; the newest session with leaves by default
    session: Option<String>,
    /// A running servicer to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    servicer: String,
    /// Read the data folder of a servicer that is not running instead
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Levels of the trie to show; what is below is folded
    #[arg(long, default_value_t = 6)]
    levels: usize,
}

/// Most levels: below are more lines than anybody reads.
const MAX_LEVELS: usize = 16;

/// A session of a supplier whose leaves can be read.
struct Found {
    session: String,
    supplier: Address,
    leaves: Vec<Leaf>,
}

impl SmstArgs {
    pub(crate) async fn run(self) -> Result<()> {
        let SmstCommand::Show(args) = self.command;
        ensure!(args.levels <= MAX_LEVELS, "--levels is at most {MAX_LEVELS}");
        let wanted = args.session.as_deref().unwrap_or_default();
        let found = match &args.data_dir {
            Some(folder) => from_folder(folder, wanted)?,
            None => from_servicer(&args.servicer, wanted).await?,
        };
        print!("{}", show(&found, args.levels));
        Ok(())
    }
}

fn show(found: &Found, levels: usize) -> String {
    let mut trie = SumTrie::new();
    for leaf in &found.leaves {
        trie.insert(
            portico_smst::Path::of_key(&leaf.key),
            leaf.relay.clone(),
            leaf.weight,
        );
    }
    let root = hex::encode(trie.root());
    let tree = render::text(&trie, levels);
    format!(
        "session   {}\nsupplier  {}\nroot      {root}\n\n{tree}",
        found.session, found.supplier
    )
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
    Ok(Found {
        session,
        supplier,
        leaves,
    })
}

#[derive(Deserialize)]
struct Ledger {
    sessions: Vec<LedgerRow>,
}

/// A leaf as the servicer's `/leaves` shows it.
#[derive(Deserialize)]
struct ShownLeaf {
    seq: u64,
    key: String,
    relay: String,
    weight: u64,
}

impl ShownLeaf {
    fn read(self) -> Result<Leaf> {
        let key = hex::decode(&self.key)?;
        let key = key
            .try_into()
            .map_err(|_| anyhow::anyhow!("a leaf's key has not 32 bytes: {}", self.key))?;
        Ok(Leaf {
            seq: self.seq,
            key,
            relay: hex::decode(&self.relay)?,
            weight: self.weight,
        })
    }
}

async fn from_servicer(url: &str, wanted: &str) -> Result<Found> {
    let url = url.trim_end_matches('/');
    let ledger: Ledger = ask(&format!("{url}/ledger")).await?;
    let candidates = ledger.sessions.iter().filter(|row| row.committed > 0);
    let (session, supplier) = pick(
        wanted,
        candidates.map(|row| (row.session_id.as_str(), row.supplier)),
    )?;
    let leaves: Vec<ShownLeaf> = ask(&format!("{url}/leaves?session={session}&supplier={supplier}")).await?;
    let leaves = leaves.into_iter().map(ShownLeaf::read).collect::<Result<_>>()?;
    Ok(Found {
        session,
        supplier,
        leaves,
    })
}

async fn ask<T: serde::de::DeserializeOwned>(url: &str) -> Result<T> {
    let silent = || {
        format!(
            "no servicer answers at {url}; name a running one with --servicer, or the folder of a stopped one with --data-dir"
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
    use portico_servicer::leaf_log::Leaf;

    use super::{Found, pick, show};

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

    #[test]
    fn the_trie_is_shown_with_its_root_and_sum() {
        let leaf = |seq: u8| Leaf {
            seq: seq.into(),
            key: [seq; 32],
            relay: vec![seq],
            weight: 10,
        };
        let found = Found {
            session: "aa11".to_owned(),
            supplier: SUPPLIER,
            leaves: vec![leaf(1), leaf(2)],
        };
        insta::assert_snapshot!(show(&found, 4));
    }
}
