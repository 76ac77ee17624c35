//! What an operator does with a chain's data: check it, roll it back, copy it, and begin from a copy.

pub(crate) mod door;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portico_chain::genesis::Genesis;
use portico_config::node::MempoolConfig;
use portico_engine::{EngineError, MachineError, StateMachine as _, Verdict};
use portico_store::{About, ChainStore, DEFAULT_RETAIN, Manifest, Report, Snapshot, StoreError, Tip};
use prost::Message as _;
use tendermint::block::Header;
use tendermint_proto::v0_38::abci::ResponseFinalizeBlock;
use tendermint_proto::v0_38::types::Header as RawHeader;

use crate::NodeError;
use crate::block::{self, bytes_of};
use crate::hash::{Sha, tx_hash};
use crate::machine::{Machine, Rules};
use crate::metrics::Metrics;
use crate::node::{STORE_FILE, rules};
use crate::state::Durable;
use crate::validators::Validators;

/// Most faults of blocks that are told.
const MAX_FAULTS: usize = 20;

/// The data of a chain whose node does not run.
pub struct Upkeep {
    store: ChainStore,
    path: PathBuf,
}

/// A block as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// Height.
    pub height: i64,
    /// The encoded block.
    pub bytes: Vec<u8>,
    /// Why it is final.
    pub certificate: Vec<u8>,
}

/// What a rollback did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// The tip before.
    pub from: Tip,
    /// The tip now.
    pub to: Tip,
}

impl Upkeep {
    /// Opens the chain in `data_dir`; errs when there is none, or when a node has it open.
    pub fn open(data_dir: &Path) -> Result<Self, NodeError> {
        let path = data_dir.join(STORE_FILE);
        if !path.exists() {
            return Err(NodeError::NoChain { path });
        }
        Ok(Self {
            store: ChainStore::open(&path, DEFAULT_RETAIN)?,
            path,
        })
    }

    fn snapshot(&self) -> Result<(Snapshot, Tip), NodeError> {
        let snapshot = self.store.snapshot()?;
        let none = || NodeError::NoChain {
            path: self.path.clone(),
        };
        let tip = snapshot.tip().ok_or_else(none)?;
        Ok((snapshot, tip))
    }

    /// Compares everything with everything: [`Snapshot::check`], and each block with its id, its parent, its signature, the state and
    /// the results before it, and the index of transactions. `progress` is told each height that was compared.
    pub fn check(&self, progress: impl FnMut(i64)) -> Result<Report, NodeError> {
        let (snapshot, tip) = self.snapshot()?;
        let mut report = snapshot.check(progress)?;
        let rules = rules(&genesis(&snapshot)?)?;
        let state_now = Durable(Arc::new(snapshot.clone()));
        for height in 1..=tip.height {
            if report.faults.len() >= MAX_FAULTS {
                break;
            }
            if let Err(fault) = check_block(&snapshot, &state_now, &rules, height) {
                report.faults.push(format!("height {height}: {fault}"));
            }
        }
        Ok(report)
    }

    /// Undoes the newest `blocks` blocks in one transaction. Errs, having done nothing, when the state there is no longer retained.
    /// `progress` is told each height that was undone.
    pub fn rollback(&self, blocks: u32, progress: impl FnMut(i64)) -> Result<RolledBack, NodeError> {
        let (_, from) = self.snapshot()?;
        let to = self
            .store
            .rollback(from.height.saturating_sub(i64::from(blocks)), progress)?;
        Ok(RolledBack { from, to })
    }

    /// The blocks from `from` to the newest one.
    pub fn blocks(&self, from: i64) -> Result<Vec<StoredBlock>, NodeError> {
        let (snapshot, tip) = self.snapshot()?;
        let missing = |what| NodeError::Damaged {
            what,
            reason: "it is missing".into(),
        };
        let stored = |height| {
            Ok(StoredBlock {
                height,
                bytes: snapshot.block(height)?.ok_or_else(|| missing("block"))?,
                certificate: snapshot
                    .certificate(height)?
                    .ok_or_else(|| missing("certificate"))?,
            })
        };
        (from.max(1)..=tip.height).map(stored).collect()
    }

    /// Judges, executes and commits blocks that follow the tip, as a node does with those of others. `progress` is told each tip.
    pub fn replay(self, blocks: &[StoredBlock], mut progress: impl FnMut(&Tip)) -> Result<Self, NodeError> {
        let Self { store, path } = self;
        let rules = rules(&genesis(&store.snapshot()?)?)?;
        let metrics = Metrics::new(&prometheus::Registry::new())?;
        let machine = Machine::open(store, rules, MempoolConfig::default(), metrics)?;
        for block in blocks {
            let refused = |source| EngineError::Machine {
                height: block.height,
                source,
            };
            let parent = machine.tip().block_id;
            let id = match machine.verify(&parent, &block.bytes).map_err(refused)? {
                Verdict::Valid(id) => id,
                Verdict::Invalid(reason) => return Err(refused(MachineError::Refused(reason)).into()),
                Verdict::Missing(parent) => return Err(refused(MachineError::Unknown(parent)).into()),
            };
            machine.commit(&id, &block.certificate).map_err(refused)?;
            if let Some(tip) = machine.view().snapshot.tip() {
                progress(&tip);
            }
        }
        Ok(Self {
            store: machine.into_store(),
            path,
        })
    }

    /// Writes a snapshot into the new folder `folder`; `progress` is told each chunk.
    pub fn write_snapshot(&self, folder: &Path, progress: impl FnMut(usize)) -> Result<Manifest, NodeError> {
        Ok(self.store.write_snapshot(folder, about, progress)?)
    }
}

/// Checks the snapshot in `folder`: chunks, root of the state, and that its header is the block's.
pub fn verify_snapshot(folder: &Path, progress: impl FnMut(usize)) -> Result<Manifest, NodeError> {
    let manifest = Manifest::verify(folder, progress)?;
    check_header(&manifest)?;
    Ok(manifest)
}

/// Begins a chain in `data_dir`, where none is, from the snapshot in `folder`, and checks it.
pub fn restore_snapshot(
    folder: &Path,
    data_dir: &Path,
    progress: impl FnMut(usize),
) -> Result<Manifest, NodeError> {
    check_header(&Manifest::read(folder)?)?;
    std::fs::create_dir_all(data_dir).map_err(|source| NodeError::DataDir {
        path: data_dir.to_owned(),
        source,
    })?;
    Ok(Manifest::restore(folder, &data_dir.join(STORE_FILE), progress)?)
}

fn check_header(manifest: &Manifest) -> Result<(), NodeError> {
    let wrong = |reason: String| NodeError::Damaged {
        what: "header of the snapshot",
        reason,
    };
    if manifest.height == 0 {
        return Ok(());
    }
    let bytes = hex::decode(&manifest.header).map_err(|error| wrong(error.to_string()))?;
    let raw = RawHeader::decode(bytes.as_slice()).map_err(|error| wrong(error.to_string()))?;
    let header = Header::try_from(raw).map_err(|error| wrong(error.to_string()))?;
    let id = hex::encode_upper(bytes_of(&header.hash_with::<Sha>()));
    let found = (i64::from(header.height), header.chain_id.as_str(), id.as_str());
    if found == (manifest.height, &manifest.chain_id, &manifest.block_id) {
        return Ok(());
    }
    Err(wrong("it is of another block".into()))
}

/// What a snapshot says about its chain.
pub(crate) fn about(snapshot: &Snapshot) -> Result<About, StoreError> {
    let damaged = |error: String| StoreError::Damaged(error);
    let genesis = genesis(snapshot).map_err(|error| damaged(error.to_string()))?;
    let height = snapshot.tip().map_or(0, |tip| tip.height);
    let header = match snapshot.block(height)? {
        Some(bytes) => {
            let block = block::decode(&bytes).map_err(|error| damaged(error.0))?;
            RawHeader::from(block.header).encode_to_vec()
        }
        None => Vec::new(),
    };
    Ok(About {
        chain_id: genesis.chain_id,
        header,
    })
}

fn genesis(snapshot: &Snapshot) -> Result<Genesis, NodeError> {
    let damaged = |reason: String| NodeError::Damaged {
        what: "genesis",
        reason,
    };
    let bytes = snapshot
        .genesis()?
        .ok_or_else(|| damaged("it is missing".into()))?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))
}

/// Why the block at `height` does not agree with what surrounds it. Sets of validators of all heights are in `state_now`.
fn check_block(snapshot: &Snapshot, state_now: &Durable, rules: &Rules, height: i64) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let bytes = snapshot
        .block(height)
        .map_err(|error| text(&error))?
        .ok_or("the block is missing")?;
    let decoded = block::decode(&bytes).map_err(|error| error.0)?;
    let header = &decoded.header;
    let id = block::id(&decoded, &bytes).map_err(|error| error.0)?;
    let before = height.saturating_sub(1);
    let parent = snapshot
        .block_id(before)
        .map_err(|error| text(&error))?
        .unwrap_or_default();
    let named = header
        .last_block_id
        .map(|id| bytes_of(&id.hash))
        .unwrap_or_default();
    let state = snapshot
        .app_hash(before)
        .map_err(|error| text(&error))?
        .unwrap_or_default();
    let certificate = snapshot
        .certificate(height)
        .map_err(|error| text(&error))?
        .unwrap_or_default();
    let commit = block::decode_commit(&certificate).map_err(|error| error.0)?;
    let holds = [
        ("height", i64::from(header.height) == height),
        (
            "id",
            snapshot.block_id(height).map_err(|error| text(&error))? == Some(bytes_of(&id.hash)),
        ),
        ("chain id", header.chain_id == rules.chain_id),
        ("parent", named == parent),
        ("app hash", header.app_hash.as_bytes() == state),
        (
            "data hash",
            header.data_hash == Some(block::data_hash(&decoded.data)),
        ),
        (
            "results hash",
            header.last_results_hash == Some(results_hash(snapshot, before)?),
        ),
    ];
    if let Some((what, _)) = holds.iter().find(|(_, holds)| !holds) {
        return Err(format!("the block's {what} is not what follows from the rest"));
    }
    let validators = Validators::at(state_now, height, &rules.validators).map_err(|error| text(&error))?;
    if header.validators_hash != validators.hash() {
        return Err("the block's validators are not those of its height".into());
    }
    block::verify_commit(&validators, &rules.chain_id, &commit, height, &id).map_err(|error| error.0)?;
    for tx in &decoded.data {
        let found = snapshot.tx(&tx_hash(tx)).map_err(|error| text(&error))?;
        if found.is_none_or(|(at, _)| at > height) {
            return Err("a transaction is not in the index".into());
        }
    }
    Ok(())
}

/// Hash of the results of the block at `height`, as the next header has it.
fn results_hash(snapshot: &Snapshot, height: i64) -> Result<tendermint::Hash, String> {
    let bytes = snapshot
        .results(height)
        .map_err(|error| error.to_string())?
        .unwrap_or_default();
    let results = ResponseFinalizeBlock::decode(bytes.as_slice()).map_err(|error| error.to_string())?;
    Ok(block::results_hash(&results.tx_results))
}
