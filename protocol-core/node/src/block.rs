//! Blocks in CometBFT's shape: header, hashes, commit, encoding.
//!
//! The block id is the hash of the header and the root over the parts of the encoded block, both as CometBFT computes them.

use bytes::Bytes;
use portico_chain::block::{BlockOutcome, TxOutcome};
use portico_engine::BlockId;
use portico_protocol::wire::tendermint::abci::Event;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tendermint::block::{Commit, CommitSig, Header, Height, Id, Round, header, parts};
use tendermint::vote::{CanonicalVote, Type};
use tendermint::{AppHash, Block, Hash, Signature, Time, account, chain, evidence};
use tendermint_proto::v0_38::abci as raw;
use tendermint_proto::v0_38::types::{
    Block as RawBlock, BlockId as RawBlockId, CanonicalVote as RawVote, Commit as RawCommit, HashedParams,
    PartSetHeader as RawParts,
};

use crate::ValidatorKey;
use crate::hash::{Sha, root, tx_hash};
use crate::validators::Validators;

/// Most bytes of a block; a consensus param, default of CometBFT.
pub(crate) const MAX_BLOCK_BYTES: u32 = 22_020_096;
/// Most bytes of transactions in a block: what remains for header and commit is far more than they take.
pub(crate) const MAX_BLOCK_TX_BYTES: usize = 22_020_096 - (64 << 10);
/// Bytes that a transaction takes in a block besides its own, at most: tag and length.
pub(crate) const TX_OVERHEAD: usize = 6;
/// Gas limit of a block: none; a consensus param.
pub(crate) const MAX_BLOCK_GAS: i64 = -1;
/// Blocks for which evidence of a validator's fault would count; a consensus param, as those below, defaults of CometBFT.
pub(crate) const EVIDENCE_BLOCKS: i64 = 100_000;
/// Seconds for which it would.
pub(crate) const EVIDENCE_SECONDS: i64 = 172_800;
/// Most bytes of evidence in a block.
pub(crate) const EVIDENCE_BYTES: i64 = 1_048_576;
/// Version of CometBFT whose shapes are spoken.
pub(crate) const COMETBFT_VERSION: &str = "0.38.19";
/// Version of the block format (CometBFT 0.34 to 1.0).
pub(crate) const BLOCK_PROTOCOL: u64 = 11;
/// Version of the application, which headers name.
pub(crate) const APP_VERSION: u64 = 0;
/// Size of a part of an encoded block.
const PART_BYTES: usize = 65_536;

/// Bytes that are not a block, or not one that the rules allow.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BlockError(pub(crate) String);

fn malformed(error: impl std::fmt::Display) -> BlockError {
    BlockError(error.to_string())
}

/// What a header says besides what follows from the parent.
pub(crate) struct Proposal<'a> {
    pub(crate) chain_id: &'a chain::Id,
    pub(crate) height: i64,
    /// Address of whose turn it is.
    pub(crate) proposer: account::Id,
    /// Who commits to this block, and to the next one.
    pub(crate) validators_hash: Hash,
    pub(crate) next_validators_hash: Hash,
    pub(crate) time_ms: u64,
    pub(crate) txs: Vec<Bytes>,
    /// The parent and why it is final; nothing before the first block.
    pub(crate) parent: Option<Id>,
    pub(crate) last_commit: Option<Commit>,
    /// State after the parent.
    pub(crate) app_hash: [u8; 32],
    /// Results of the parent.
    pub(crate) last_results: Hash,
}

impl Proposal<'_> {
    /// The block.
    pub(crate) fn block(self) -> Result<Block, BlockError> {
        let header = Header {
            version: header::Version {
                block: BLOCK_PROTOCOL,
                app: APP_VERSION,
            },
            chain_id: self.chain_id.clone(),
            height: Height::try_from(self.height).map_err(malformed)?,
            time: time(self.time_ms)?,
            last_block_id: self.parent,
            last_commit_hash: Some(commit_hash(self.last_commit.as_ref())),
            data_hash: Some(data_hash(&self.txs)),
            validators_hash: self.validators_hash,
            next_validators_hash: self.next_validators_hash,
            consensus_hash: consensus_hash(),
            app_hash: AppHash::try_from(self.app_hash.to_vec()).map_err(malformed)?,
            last_results_hash: Some(self.last_results),
            evidence_hash: Some(no_evidence()),
            proposer_address: self.proposer,
        };
        let txs = self.txs.iter().map(|tx| tx.to_vec()).collect();
        Ok(Block::new(
            header,
            txs,
            evidence::List::default(),
            self.last_commit,
        ))
    }
}

/// A moment as headers have it.
pub(crate) fn time(ms: u64) -> Result<Time, BlockError> {
    let seconds = i64::try_from(ms / 1_000).map_err(malformed)?;
    let nanos = u32::try_from(ms % 1_000).map_err(malformed)? * 1_000_000;
    Time::from_unix_timestamp(seconds, nanos).map_err(malformed)
}

/// Milliseconds since 1970 UTC of a header's time.
pub(crate) fn time_ms(time: Time) -> u64 {
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}

/// The encoded block, in the bytes of the Go implementation.
pub(crate) fn encode(block: &Block) -> Vec<u8> {
    let mut raw = RawBlock::from(block.clone());
    // Go writes messages that cannot be absent even when they are empty.
    let nothing = RawBlockId {
        hash: Vec::new(),
        part_set_header: Some(RawParts::default()),
    };
    if let Some(header) = &mut raw.header {
        header.last_block_id.get_or_insert_with(|| nothing.clone());
    }
    raw.last_commit.get_or_insert_with(|| RawCommit {
        block_id: Some(nothing),
        ..RawCommit::default()
    });
    raw.encode_to_vec()
}

/// Reads an encoded block of at most [`MAX_BLOCK_BYTES`].
pub(crate) fn decode(bytes: &[u8]) -> Result<Block, BlockError> {
    if bytes.len() > MAX_BLOCK_BYTES as usize {
        let size = bytes.len();
        return Err(BlockError(format!(
            "its {size} bytes are more than {MAX_BLOCK_BYTES}"
        )));
    }
    let raw = RawBlock::decode(bytes).map_err(malformed)?;
    Block::try_from(raw).map_err(malformed)
}

/// Id of a block and its encoding.
pub(crate) fn id(block: &Block, encoded: &[u8]) -> Result<Id, BlockError> {
    let leaves: Vec<&[u8]> = encoded.chunks(PART_BYTES).collect();
    let total = u32::try_from(leaves.len()).map_err(malformed)?;
    Ok(Id {
        hash: block.header.hash_with::<Sha>(),
        part_set_header: parts::Header::new(total, root(&leaves)).map_err(malformed)?,
    })
}

/// The id by which engines name a block: SHA-256 over its id, whose parts cover the whole encoding. The hash of the header alone does not.
pub(crate) fn digest(id: &Id) -> BlockId {
    let hasher = Sha256::new_with_prefix(id.hash.as_bytes());
    let hasher = hasher.chain_update(id.part_set_header.total.to_be_bytes());
    hasher
        .chain_update(id.part_set_header.hash.as_bytes())
        .finalize()
        .into()
}

/// The 32 bytes of a hash; zeros for none.
pub(crate) fn bytes_of(hash: &Hash) -> [u8; 32] {
    match hash {
        Hash::Sha256(bytes) => *bytes,
        Hash::None => [0; 32],
    }
}

/// `Header.data_hash`: over the hashes of the transactions.
pub(crate) fn data_hash(txs: &[impl AsRef<[u8]>]) -> Hash {
    let hashes: Vec<_> = txs.iter().map(|tx| tx_hash(tx.as_ref())).collect();
    root(&hashes)
}

/// `Header.evidence_hash` of a block without evidence.
fn no_evidence() -> Hash {
    root::<&[u8]>(&[])
}

/// `Header.last_commit_hash`: over the encoded signatures.
pub(crate) fn commit_hash(commit: Option<&Commit>) -> Hash {
    let raw = commit.map(|commit| RawCommit::from(commit.clone()));
    let signatures = raw.map(|commit| commit.signatures).unwrap_or_default();
    let leaves: Vec<_> = signatures.iter().map(prost::Message::encode_to_vec).collect();
    root(&leaves)
}

/// `Header.last_results_hash`: over the deterministic fields of the results.
pub(crate) fn results_hash(results: &[raw::ExecTxResult]) -> Hash {
    let leaf = |result: &raw::ExecTxResult| {
        let result = raw::ExecTxResult {
            code: result.code,
            data: result.data.clone(),
            gas_wanted: result.gas_wanted,
            gas_used: result.gas_used,
            ..raw::ExecTxResult::default()
        };
        result.encode_to_vec()
    };
    root(&results.iter().map(leaf).collect::<Vec<_>>())
}

/// `Header.consensus_hash`: over the params that limit a block.
pub(crate) fn consensus_hash() -> Hash {
    let params = HashedParams {
        block_max_bytes: i64::from(MAX_BLOCK_BYTES),
        block_max_gas: MAX_BLOCK_GAS,
    };
    Hash::Sha256(tx_hash(&params.encode_to_vec()))
}

fn gas(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

fn event(event: &Event) -> raw::Event {
    let attribute =
        |attribute: &portico_protocol::wire::tendermint::abci::EventAttribute| raw::EventAttribute {
            key: attribute.key.clone(),
            value: attribute.value.clone(),
            index: attribute.index,
        };
    raw::Event {
        r#type: event.r#type.clone(),
        attributes: event.attributes.iter().map(attribute).collect(),
    }
}

/// The outcome as it is stored: CometBFT's `ResponseFinalizeBlock`.
pub(crate) fn results(outcome: &BlockOutcome, app_hash: [u8; 32]) -> raw::ResponseFinalizeBlock {
    let tx = |tx: &TxOutcome| raw::ExecTxResult {
        code: tx.code,
        data: tx.data.clone().into(),
        log: tx.log.clone(),
        info: String::new(),
        gas_wanted: gas(tx.gas_wanted),
        gas_used: gas(tx.gas_used),
        events: tx.events.iter().map(event).collect(),
        codespace: tx.codespace.clone(),
    };
    raw::ResponseFinalizeBlock {
        events: outcome.events.iter().map(event).collect(),
        tx_results: outcome.txs.iter().map(tx).collect(),
        app_hash: app_hash.to_vec().into(),
        ..raw::ResponseFinalizeBlock::default()
    }
}

/// Bytes that a validator signs to commit to a block: the canonical precommit of round 0, length-prefixed.
fn precommit(chain_id: &chain::Id, height: Height, block_id: Id, timestamp: Time) -> Vec<u8> {
    let vote = CanonicalVote {
        vote_type: Type::Precommit,
        height,
        round: Round::default(),
        block_id: Some(block_id),
        timestamp: Some(timestamp),
        chain_id: chain_id.clone(),
    };
    let raw = RawVote::from(vote);
    raw.encode_length_delimited_to_vec()
}

/// The commit of `validators` to a block, signed by those whose keys are `keys`; the others are absent. Its time is the block's.
///
/// Errs when they are too few.
pub(crate) fn sign(
    keys: &[ValidatorKey],
    validators: &Validators,
    chain_id: &chain::Id,
    height: Height,
    block_id: Id,
    timestamp: Time,
) -> Result<Commit, BlockError> {
    let message = precommit(chain_id, height, block_id, timestamp);
    let mut signatures = vec![CommitSig::BlockIdFlagAbsent; validators.len()];
    let mut signed = 0;
    for key in keys {
        let Some(place) = validators.place(&key.public_key()) else {
            continue;
        };
        signatures[place] = CommitSig::BlockIdFlagCommit {
            validator_address: account::Id::new(key.address()),
            timestamp,
            signature: Signature::new(key.sign(&message)).map_err(malformed)?,
        };
        signed += 1;
    }
    let (all, quorum) = (validators.len(), validators.quorum());
    if signed < quorum {
        return Err(BlockError(format!(
            "block {height} needs the signatures of {quorum} of its {all} validators, and the keys of {signed} are here: \
             add the others to validator_keys"
        )));
    }
    Ok(Commit {
        height,
        round: Round::default(),
        block_id,
        signatures,
    })
}

/// Checks that `commit` is to the block `block_id` at `height`, and that a quorum of `validators` signed it. Whoever signed otherwise
/// makes it wrong, as for CometBFT's full nodes.
pub(crate) fn verify_commit(
    validators: &Validators,
    chain_id: &chain::Id,
    commit: &Commit,
    height: i64,
    block_id: &Id,
) -> Result<(), BlockError> {
    let refuse = |text: &str| Err(BlockError(format!("commit refused: {text}")));
    if i64::from(commit.height) != height || commit.block_id != *block_id || commit.round != Round::default()
    {
        return refuse("it is of another block");
    }
    if commit.signatures.len() != validators.len() {
        return refuse("it has not one entry for each validator");
    }
    let mut signed = 0;
    for (place, (entry, info)) in commit.signatures.iter().zip(validators.infos()).enumerate() {
        let (address, timestamp, signature) = match entry {
            CommitSig::BlockIdFlagAbsent => continue,
            CommitSig::BlockIdFlagCommit {
                validator_address,
                timestamp,
                signature: Some(signature),
            } => (validator_address, timestamp, signature),
            _ => return refuse("an entry is neither a signature nor absent"),
        };
        let message = precommit(chain_id, commit.height, commit.block_id, *timestamp);
        if *address != info.address || !validators.verify(place, &message, signature.as_bytes()) {
            return refuse("a signature is not its validator's");
        }
        signed += 1;
    }
    if signed < validators.quorum() {
        return refuse("too few validators signed");
    }
    Ok(())
}

/// Encodes a commit: the certificate of a block.
pub(crate) fn encode_commit(commit: &Commit) -> Vec<u8> {
    RawCommit::from(commit.clone()).encode_to_vec()
}

/// Reads a commit.
pub(crate) fn decode_commit(bytes: &[u8]) -> Result<Commit, BlockError> {
    let raw = RawCommit::decode(bytes).map_err(malformed)?;
    Commit::try_from(raw).map_err(malformed)
}

#[cfg(test)]
mod captured;
#[cfg(test)]
pub(crate) mod tests;
